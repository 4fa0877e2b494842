//! Deletes the rows of dataset versions that were replaced.
//!
//! Invariants: only versions below the current one (those above it are being built), and only when
//! that has been current for so long that nobody works with an earlier one any more.

use crate::clock::Millis;
use crate::store::{DatasetKind, Result, Store, Tx, on_tx};
use sqlx::AssertSqlSafe;

impl Store {
    /// Deletes at most `limit` rows of each table, of versions that were replaced before
    /// `replaced_before_ms`; returns how many there were.
    pub async fn sweep_old_versions(&self, replaced_before_ms: Millis, limit: u32) -> Result<u64> {
        let mut deleted = 0;
        for kind in [DatasetKind::Topology, DatasetKind::Subscribers] {
            for &(table, key) in kind.tables() {
                if self.has_old_rows(kind, table, replaced_before_ms).await? {
                    let mut tx = self.begin().await?;
                    deleted += delete_old_rows(&mut tx, kind, table, key, limit).await?;
                    tx.commit().await?;
                }
            }
        }
        Ok(deleted)
    }

    /// Looked up first: most of the time there are none, and writing would hold up the alarms.
    async fn has_old_rows(
        &self,
        kind: DatasetKind,
        table: &str,
        replaced_before_ms: Millis,
    ) -> Result<bool> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {table} WHERE version <
               (SELECT version FROM dataset WHERE kind = $1 AND imported_at_ms < $2))"
        );
        Ok(
            crate::store::on_read!(self, conn => sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(kind.as_str())
            .bind(replaced_before_ms)
            .fetch_one(conn)
            .await?),
        )
    }
}

async fn delete_old_rows(
    tx: &mut Tx,
    kind: DatasetKind,
    table: &str,
    key: &str,
    limit: u32,
) -> Result<u64> {
    let sql = format!(
        "DELETE FROM {table} WHERE (version, {key}) IN
           (SELECT version, {key} FROM {table}
            WHERE version < (SELECT version FROM dataset WHERE kind = $1)
            ORDER BY version, {key} LIMIT $2)"
    );
    Ok(on_tx!(tx, conn => sqlx::query(AssertSqlSafe(sql))
        .bind(kind.as_str())
        .bind(i64::from(limit))
        .execute(conn)
        .await?
        .rows_affected()))
}
