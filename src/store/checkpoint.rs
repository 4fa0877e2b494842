//! Tables `correlator_checkpoint`, `live_alarm_page`: how far the correlator has decided, and a copy
//! of its live alarms as of an earlier position.
//!
//! Invariants: the position moves in the transaction that carries what was decided up to it; a copy
//! counts only when it is whole, because its position is noted after its last page.

use super::{Result, Store, Tx, on_read, on_tx};

/// Where the correlator goes on after a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Checkpoint {
    /// Last log position whose consequences are committed; 0 before the first.
    pub position: i64,
    /// Highest incident number in use; 0 before the first.
    pub last_incident_no: i64,
    /// Log position of the copy of the live alarms; 0 when there is none.
    pub snapshot_position: i64,
}

impl Tx {
    /// Notes that everything up to `position` has been decided.
    pub async fn save_checkpoint_position(
        &mut self,
        position: i64,
        last_incident_no: i64,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO correlator_checkpoint \
            (singleton, position, last_incident_no, snapshot_position) \
            VALUES (1, $1, $2, 0) ON CONFLICT (singleton) DO UPDATE SET \
            position = excluded.position, last_incident_no = excluded.last_incident_no";
        on_tx!(self, conn => sqlx::query(SQL)
            .bind(position)
            .bind(last_incident_no)
            .execute(conn)
            .await?
            .rows_affected());
        Ok(())
    }
}

impl Store {
    /// Where the correlator goes on; all zero in a new database.
    pub async fn checkpoint(&self) -> Result<Checkpoint> {
        const SQL: &str = "SELECT position, last_incident_no, snapshot_position \
            FROM correlator_checkpoint WHERE singleton = 1";
        let row: Option<Checkpoint> =
            on_read!(self, pool => sqlx::query_as(SQL).fetch_optional(pool).await)?;
        Ok(row.unwrap_or_default())
    }

    /// The pages of the copy as of `position`, in order.
    pub async fn snapshot(&self, position: i64) -> Result<Vec<Vec<u8>>> {
        const SQL: &str = "SELECT bytes FROM live_alarm_page WHERE snapshot_position = $1 \
            ORDER BY page_no";
        Ok(on_read!(self, pool =>
            sqlx::query_scalar(SQL).bind(position).fetch_all(pool).await)?)
    }

    /// Keeps the live alarms as of `position`, so that a start need not read the log from its
    /// beginning, in place of the copy before. In short transactions: alarms wait behind each.
    pub async fn save_snapshot(&self, position: i64, pages: &[Vec<u8>]) -> Result<()> {
        const INSERT: &str = "INSERT INTO live_alarm_page (snapshot_position, page_no, bytes) \
            VALUES ($1, $2, $3)";
        const PUBLISH: &str = "UPDATE correlator_checkpoint SET snapshot_position = $1 \
            WHERE singleton = 1";
        // A copy that was not finished.
        self.sweep_snapshots().await?;
        for (page_no, bytes) in (0_i64..).zip(pages) {
            let mut tx = self.begin().await?;
            on_tx!(&mut tx, conn => sqlx::query(INSERT)
                .bind(position).bind(page_no).bind(bytes.as_slice())
                .execute(conn).await?.rows_affected());
            tx.commit().await?;
            self.let_others_write().await;
        }
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => sqlx::query(PUBLISH).bind(position)
            .execute(conn).await?.rows_affected());
        tx.commit().await?;
        self.sweep_snapshots().await
    }

    /// Deletes the pages of copies that do not count, one by one.
    async fn sweep_snapshots(&self) -> Result<()> {
        const SQL: &str = "DELETE FROM live_alarm_page WHERE (snapshot_position, page_no) IN \
            (SELECT snapshot_position, page_no FROM live_alarm_page WHERE snapshot_position <> \
                (SELECT snapshot_position FROM correlator_checkpoint WHERE singleton = 1) LIMIT 1)";
        loop {
            let mut tx = self.begin().await?;
            let deleted =
                on_tx!(&mut tx, conn => sqlx::query(SQL).execute(conn).await?.rows_affected());
            tx.commit().await?;
            if deleted == 0 {
                return Ok(());
            }
            self.let_others_write().await;
        }
    }
}
