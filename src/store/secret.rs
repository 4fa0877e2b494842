//! Keys of the server, made at first start and then kept.

use crate::store::{Result, Store, on_tx};

impl Store {
    /// The secret of that name; `fresh` becomes it when there is none yet. All processes on one
    /// database get the same.
    pub async fn server_secret(&self, name: &str, fresh: [u8; 32]) -> Result<Vec<u8>> {
        let mut tx = self.begin().await?;
        let value = on_tx!(&mut tx, conn => {
            sqlx::query(
                "INSERT INTO server_secret (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(name)
            .bind(fresh.as_slice())
            .execute(&mut *conn)
            .await?;
            sqlx::query_scalar("SELECT value FROM server_secret WHERE name = $1")
                .bind(name)
                .fetch_one(&mut *conn)
                .await?
        });
        tx.commit().await?;
        Ok(value)
    }
}
