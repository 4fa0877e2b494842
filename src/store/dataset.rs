//! Tables `dataset`: which version of the network and of the subscribers is current.
//!
//! Invariants: rows of a version are written before it becomes current and never changed after; a
//! version number is handed out once. Whoever was handed the last number may write and publish;
//! everybody before has lost the right to (a fence), so that a dead import holds no lock.

use super::{Result, Store, Tx, on_read, on_tx};
use crate::clock::Millis;

/// What is imported as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatasetKind {
    Topology,
    Subscribers,
}

impl DatasetKind {
    /// Name in the database, on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topology => "topology",
            Self::Subscribers => "subscribers",
        }
    }

    /// The tables of the dataset, each with what of its key follows the version.
    pub(in crate::store) fn tables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Topology => &[
                ("site", "site_no"),
                ("element", "element_no"),
                ("link", "link_no"),
                ("risk_group", "group_no"),
            ],
            Self::Subscribers => &[
                ("subscriber_key", "kind, key, subscriber_no"),
                ("subscriber_position", "latitude, longitude, subscriber_no"),
                ("contact_point", "subscriber_no, contact_no"),
                ("subscriber", "subscriber_no"),
            ],
        }
    }
}

/// The current version of each dataset; 0 means that nothing was imported yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DatasetVersions {
    pub topology: i64,
    pub subscribers: i64,
}

/// How many records the current versions hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InventoryCounts {
    pub elements: i64,
    pub links: i64,
    pub groups: i64,
    pub sites: i64,
    pub gateways: i64,
    pub subscribers: i64,
}

/// A version in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportTicket {
    pub kind: DatasetKind,
    /// The current versions when the ticket was handed out.
    pub base: DatasetVersions,
    /// The number of the version that may be written.
    pub version: i64,
}

/// Rows that one transaction of a sweep deletes at most (of a table).
const SWEEP_ROWS: i64 = 20_000;

impl Store {
    /// The current version of each dataset.
    pub async fn dataset_versions(&self) -> Result<DatasetVersions> {
        const SQL: &str = "SELECT kind, version FROM dataset";
        let rows: Vec<(String, i64)> =
            on_read!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await)?;
        Ok(versions_of(&rows))
    }

    /// How many records the given versions hold.
    pub async fn inventory_counts(&self, versions: DatasetVersions) -> Result<InventoryCounts> {
        const SQL: &str = "SELECT \
            (SELECT count(*) FROM element WHERE version = $1), \
            (SELECT count(*) FROM link WHERE version = $1), \
            (SELECT count(*) FROM risk_group WHERE version = $1), \
            (SELECT count(*) FROM site WHERE version = $1), \
            (SELECT count(*) FROM element WHERE version = $1 AND gateway), \
            (SELECT count(*) FROM subscriber WHERE version = $2)";
        let row: (i64, i64, i64, i64, i64, i64) = on_read!(self, pool => sqlx::query_as(SQL)
            .bind(versions.topology).bind(versions.subscribers)
            .fetch_one(pool).await)?;
        Ok(InventoryCounts {
            elements: row.0,
            links: row.1,
            groups: row.2,
            sites: row.3,
            gateways: row.4,
            subscribers: row.5,
        })
    }

    /// Hands out the next version number of a dataset and so fences off whoever got the one before.
    pub async fn begin_version(&self, kind: DatasetKind, now_ms: Millis) -> Result<ImportTicket> {
        const TAKE: &str = "INSERT INTO dataset (kind, version, last_version, imported_at_ms) \
            VALUES ($1, 0, 1, $2) \
            ON CONFLICT (kind) DO UPDATE SET last_version = dataset.last_version + 1 \
            RETURNING last_version";
        const CURRENT: &str = "SELECT kind, version FROM dataset";
        let mut tx = self.begin().await?;
        let version: i64 = on_tx!(&mut tx, conn => sqlx::query_scalar(TAKE)
            .bind(kind.as_str()).bind(now_ms).fetch_one(conn).await)?;
        let rows: Vec<(String, i64)> =
            on_tx!(&mut tx, conn => sqlx::query_as(CURRENT).fetch_all(conn).await)?;
        tx.commit().await?;
        Ok(ImportTicket {
            kind,
            base: versions_of(&rows),
            version,
        })
    }

    /// Lets PostgreSQL count what an import wrote. Its own daemon does so only about a minute later, and
    /// until then it does not know how many rows the new version has, and may read all of them for a few
    /// people. On SQLite nothing: there the statements give the order themselves.
    pub async fn gather_statistics(&self, kind: DatasetKind) -> Result<()> {
        if let super::Engine::Postgres(pool) = &self.engine {
            for (table, _) in kind.tables() {
                let sql = format!("ANALYZE {table}");
                sqlx::query(sqlx::AssertSqlSafe(sql)).execute(pool).await?;
            }
        }
        Ok(())
    }

    /// Makes the ticket's version current, if no later import began and what it was compared with
    /// is still current. For subscribers this includes the network that they were checked against.
    pub async fn publish_version(&self, ticket: &ImportTicket, now_ms: Millis) -> Result<bool> {
        // Two conditions on one row, and for subscribers one on the other; all in one statement.
        const SQL: &str = "UPDATE dataset SET version = $1, imported_at_ms = $2 \
            WHERE kind = $3 AND last_version = $1 AND version = $4 \
            AND ($3 = 'topology' OR EXISTS (SELECT 1 FROM dataset AS network \
                WHERE network.kind = 'topology' AND network.version = $5))";
        let base = match ticket.kind {
            DatasetKind::Topology => ticket.base.topology,
            DatasetKind::Subscribers => ticket.base.subscribers,
        };
        let mut tx = self.begin().await?;
        let done = on_tx!(&mut tx, conn => sqlx::query(SQL)
            .bind(ticket.version).bind(now_ms).bind(ticket.kind.as_str())
            .bind(base).bind(ticket.base.topology)
            .execute(conn).await?.rows_affected());
        tx.commit().await?;
        Ok(done == 1)
    }

    /// Leaves the database to other writers for a moment, between the transactions of bulk work.
    ///
    /// SQLite gives its one write lock to whoever asks first after it is free, and who waits asks
    /// only every few milliseconds ([`super::WRITE_LOCK_POLL`]): without a gap, the alarms of a
    /// service in another process would starve for the length of an import.
    pub async fn let_others_write(&self) {
        if self.has_one_writer() {
            tokio::time::sleep(2 * super::WRITE_LOCK_POLL).await;
        }
    }

    /// Whether a write transaction keeps all others waiting.
    pub fn has_one_writer(&self) -> bool {
        matches!(self.engine, super::Engine::Sqlite { .. })
    }

    /// Deletes what imports that never finished left behind: rows of versions that are neither
    /// current nor `keep`, and above the current one. In short transactions.
    pub async fn sweep_unpublished(&self, kind: DatasetKind, keep: i64) -> Result<u64> {
        let current = self.dataset_versions().await?;
        let current = match kind {
            DatasetKind::Topology => current.topology,
            DatasetKind::Subscribers => current.subscribers,
        };
        let mut deleted = 0;
        for &(table, key) in kind.tables() {
            while let Some(version) = self.unpublished_version(table, current, keep).await? {
                deleted += self.delete_version(table, key, version).await?;
            }
        }
        Ok(deleted)
    }

    async fn unpublished_version(
        &self,
        table: &str,
        current: i64,
        keep: i64,
    ) -> Result<Option<i64>> {
        let sql = format!(
            "SELECT version FROM {table} WHERE version > $1 AND version < $2 \
             ORDER BY version LIMIT 1"
        );
        Ok(
            on_read!(self, pool => sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(current).bind(keep).fetch_optional(pool).await)?,
        )
    }

    async fn delete_version(&self, table: &str, key: &str, version: i64) -> Result<u64> {
        let delete = format!(
            "DELETE FROM {table} WHERE (version, {key}) IN \
             (SELECT version, {key} FROM {table} WHERE version = $1 ORDER BY {key} LIMIT $2)"
        );
        let mut deleted = 0;
        loop {
            let mut tx = self.begin().await?;
            let rows = on_tx!(&mut tx, conn => sqlx::query(sqlx::AssertSqlSafe(delete.as_str()))
                .bind(version).bind(SWEEP_ROWS).execute(conn).await?.rows_affected());
            tx.commit().await?;
            deleted += rows;
            if rows == 0 {
                return Ok(deleted);
            }
            self.let_others_write().await;
        }
    }
}

impl Tx {
    /// The current version of each dataset, as this transaction sees it.
    pub async fn dataset_versions(&mut self) -> Result<DatasetVersions> {
        const SQL: &str = "SELECT kind, version FROM dataset";
        let rows: Vec<(String, i64)> =
            on_tx!(self, conn => sqlx::query_as(SQL).fetch_all(conn).await)?;
        Ok(versions_of(&rows))
    }

    /// Whether the ticket is still the last one of its dataset.
    pub async fn holds(&mut self, ticket: &ImportTicket) -> Result<bool> {
        const SQL: &str = "SELECT last_version FROM dataset WHERE kind = $1";
        let last: i64 = on_tx!(self, conn => sqlx::query_scalar(SQL)
            .bind(ticket.kind.as_str()).fetch_one(conn).await)?;
        Ok(last == ticket.version)
    }
}

fn versions_of(rows: &[(String, i64)]) -> DatasetVersions {
    let of = |kind: DatasetKind| {
        rows.iter()
            .find(|(name, _)| name == kind.as_str())
            .map_or(0, |(_, version)| *version)
    };
    DatasetVersions {
        topology: of(DatasetKind::Topology),
        subscribers: of(DatasetKind::Subscribers),
    }
}
