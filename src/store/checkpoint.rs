//! Table `correlator_checkpoint`: how far the correlator has decided.
//!
//! Invariant: the position moves in the transaction that carries what was decided up to it.

use super::{Result, Store, Tx, on_read, on_tx};

/// Where the correlator goes on after a start.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Checkpoint {
    /// Last log position whose consequences are committed; 0 before the first.
    pub position: i64,
    /// Highest incident number in use; 0 before the first.
    pub last_incident_no: i64,
    /// Log position of `snapshot`; 0 when there is none.
    pub snapshot_position: i64,
    /// The correlator's live alarms as of `snapshot_position`, in its own encoding.
    pub snapshot: Vec<u8>,
}

impl Tx {
    /// Notes that everything up to `position` has been decided.
    pub async fn save_checkpoint_position(
        &mut self,
        position: i64,
        last_incident_no: i64,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO correlator_checkpoint \
            (singleton, position, last_incident_no, snapshot_position, snapshot) \
            VALUES (1, $1, $2, 0, $3) ON CONFLICT (singleton) DO UPDATE SET \
            position = excluded.position, last_incident_no = excluded.last_incident_no";
        let none: &[u8] = &[];
        on_tx!(self, conn => sqlx::query(SQL)
            .bind(position)
            .bind(last_incident_no)
            .bind(none)
            .execute(conn)
            .await?
            .rows_affected());
        Ok(())
    }

    /// Keeps the live alarms as of `position`, so that a start need not read the log from its
    /// beginning.
    pub async fn save_snapshot(&mut self, position: i64, snapshot: &[u8]) -> Result<()> {
        const SQL: &str = "INSERT INTO correlator_checkpoint \
            (singleton, position, last_incident_no, snapshot_position, snapshot) \
            VALUES (1, $1, 0, $1, $2) ON CONFLICT (singleton) DO UPDATE SET \
            snapshot_position = excluded.snapshot_position, snapshot = excluded.snapshot";
        on_tx!(self, conn => sqlx::query(SQL)
            .bind(position)
            .bind(snapshot)
            .execute(conn)
            .await?
            .rows_affected());
        Ok(())
    }
}

impl Store {
    /// Where the correlator goes on; all zero in a new database.
    pub async fn checkpoint(&self) -> Result<Checkpoint> {
        const SQL: &str = "SELECT position, last_incident_no, snapshot_position, snapshot \
            FROM correlator_checkpoint WHERE singleton = 1";
        let row: Option<Checkpoint> =
            on_read!(self, pool => sqlx::query_as(SQL).fetch_optional(pool).await)?;
        Ok(row.unwrap_or_default())
    }
}
