//! Bearer tokens, stored as SHA-256 of the secret.
//!
//! Invariant: the secret itself is never stored. It has 256 random bits, so a plain hash suffices.

use crate::clock::Millis;
use crate::store::{Result, Store, on_read, on_tx};

/// A token as it is stored; `role` is the name of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    pub hash: Vec<u8>,
    pub name: String,
    pub role: String,
    pub created_at_ms: Millis,
    pub revoked_at_ms: Option<Millis>,
}

impl Store {
    /// Adds a token; `false` when there is one of that name already, revoked or not.
    pub async fn add_token(&self, token: &StoredToken) -> Result<bool> {
        let mut tx = self.begin().await?;
        let added = on_tx!(&mut tx, conn => sqlx::query(
            "INSERT INTO token (token_hash, name, role, created_at_ms, revoked_at_ms)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(&token.hash)
        .bind(&token.name)
        .bind(&token.role)
        .bind(token.created_at_ms)
        .bind(token.revoked_at_ms)
        .execute(conn)
        .await?
        .rows_affected());
        tx.commit().await?;
        Ok(added > 0)
    }

    /// Revokes the token of that name; `false` when there is none that is still valid.
    pub async fn revoke_token(&self, name: &str, now_ms: Millis) -> Result<bool> {
        let mut tx = self.begin().await?;
        let revoked = on_tx!(&mut tx, conn => sqlx::query(
            "UPDATE token SET revoked_at_ms = $1 WHERE name = $2 AND revoked_at_ms IS NULL",
        )
        .bind(now_ms)
        .bind(name)
        .execute(conn)
        .await?
        .rows_affected());
        tx.commit().await?;
        Ok(revoked > 0)
    }

    /// All tokens by name, the revoked ones too.
    pub async fn tokens(&self) -> Result<Vec<StoredToken>> {
        type Row = (Vec<u8>, String, String, Millis, Option<Millis>);
        let rows: Vec<Row> = on_read!(self, conn => sqlx::query_as(
            "SELECT token_hash, name, role, created_at_ms, revoked_at_ms FROM token ORDER BY name",
        )
        .fetch_all(conn)
        .await?);
        Ok(rows
            .into_iter()
            .map(
                |(hash, name, role, created_at_ms, revoked_at_ms)| StoredToken {
                    hash,
                    name,
                    role,
                    created_at_ms,
                    revoked_at_ms,
                },
            )
            .collect())
    }
}
