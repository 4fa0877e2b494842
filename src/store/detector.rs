//! Tables `detector_checkpoint`, `detector_page`, `detector_tick`: how far detection has come, a copy
//! of its state as of that position, and what moved it besides samples since then.
//!
//! Invariant: a copy counts only when it is whole, because the checkpoint names it after its last
//! page was written; the ticks that it holds go in the same transaction.

use super::{Result, Store, on_read, on_tx};
use crate::alarm::SourceId;
use crate::clock::Millis;

/// Where detection goes on after a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DetectorCheckpoint {
    pub snapshot_no: i64,
    /// The copy holds the samples up to this one.
    pub position: i64,
}

/// A time at which a source was alive without samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceTick {
    /// Rises from tick to tick.
    pub tick_no: i64,
    /// It comes after the sample at this position, and before the next.
    pub position: i64,
    pub source: SourceId,
    /// By the clock of the source.
    pub clock_ms: Millis,
}

impl Store {
    /// The checkpoint; `None` when there never was a rule, or there is none any more.
    pub async fn detector_checkpoint(&self) -> Result<Option<DetectorCheckpoint>> {
        const SQL: &str =
            "SELECT snapshot_no, position FROM detector_checkpoint WHERE singleton = 1";
        Ok(on_read!(self, pool => sqlx::query_as(SQL).fetch_optional(pool).await)?)
    }

    /// The pages of a copy, in order.
    pub async fn detector_pages(&self, snapshot_no: i64) -> Result<Vec<Vec<u8>>> {
        const SQL: &str = "SELECT bytes FROM detector_page WHERE snapshot_no = $1 ORDER BY page_no";
        Ok(on_read!(self, pool =>
            sqlx::query_scalar(SQL).bind(snapshot_no).fetch_all(pool).await)?)
    }

    /// The ticks that no copy holds, in order.
    pub async fn detector_ticks(&self) -> Result<Vec<SourceTick>> {
        const SQL: &str =
            "SELECT tick_no, position, source_id, clock_ms FROM detector_tick ORDER BY tick_no";
        let rows: Vec<(i64, i64, i64, i64)> =
            on_read!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await)?;
        let ticks = rows.into_iter().map(|row| SourceTick {
            tick_no: row.0,
            position: row.1,
            source: SourceId(row.2),
            clock_ms: row.3,
        });
        Ok(ticks.collect())
    }

    /// Makes a tick durable.
    pub async fn add_detector_tick(&self, tick: SourceTick) -> Result<()> {
        const SQL: &str = "INSERT INTO detector_tick (tick_no, position, source_id, clock_ms) \
            VALUES ($1, $2, $3, $4)";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => sqlx::query(SQL)
            .bind(tick.tick_no).bind(tick.position).bind(tick.source.0).bind(tick.clock_ms)
            .execute(conn).await?.rows_affected());
        tx.commit().await
    }

    /// Keeps the state of detection, in place of the copy before, in short transactions: alarms wait
    /// behind each. It holds the ticks up to `tick_no`. The number of the copy must be new.
    pub async fn save_detector(
        &self,
        checkpoint: DetectorCheckpoint,
        tick_no: i64,
        pages: &[Vec<u8>],
    ) -> Result<()> {
        const INSERT: &str =
            "INSERT INTO detector_page (snapshot_no, page_no, bytes) VALUES ($1, $2, $3)";
        const PUBLISH: &str = "INSERT INTO detector_checkpoint (singleton, snapshot_no, position) \
            VALUES (1, $1, $2) ON CONFLICT (singleton) DO UPDATE SET \
            snapshot_no = excluded.snapshot_no, position = excluded.position";
        const TAKEN: &str = "DELETE FROM detector_tick WHERE tick_no <= $1";
        // Of a copy that was not finished.
        self.sweep_detector_pages().await?;
        for (page_no, bytes) in (0_i64..).zip(pages) {
            let mut tx = self.begin().await?;
            on_tx!(&mut tx, conn => sqlx::query(INSERT)
                .bind(checkpoint.snapshot_no).bind(page_no).bind(bytes.as_slice())
                .execute(conn).await?.rows_affected());
            tx.commit().await?;
            self.let_others_write().await;
        }
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => sqlx::query(PUBLISH)
            .bind(checkpoint.snapshot_no).bind(checkpoint.position)
            .execute(conn).await?.rows_affected());
        on_tx!(&mut tx, conn => sqlx::query(TAKEN).bind(tick_no)
            .execute(conn).await?.rows_affected());
        tx.commit().await?;
        self.sweep_detector_pages().await
    }

    /// Forgets the state of detection: there are no rules.
    pub async fn forget_detector(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        for sql in [
            "DELETE FROM detector_checkpoint",
            "DELETE FROM detector_tick",
        ] {
            on_tx!(&mut tx, conn => sqlx::query(sql).execute(conn).await?.rows_affected());
        }
        tx.commit().await?;
        self.sweep_detector_pages().await
    }

    /// Deletes the pages of copies that do not count, one by one.
    async fn sweep_detector_pages(&self) -> Result<()> {
        const SQL: &str = "DELETE FROM detector_page WHERE (snapshot_no, page_no) IN \
            (SELECT snapshot_no, page_no FROM detector_page WHERE snapshot_no NOT IN \
                (SELECT snapshot_no FROM detector_checkpoint) LIMIT 1)";
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
