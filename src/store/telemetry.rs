//! Measured values, kept for a while.

use crate::alarm::SourceId;
use crate::clock::Millis;
use crate::store::bulk::{self, Table};
use crate::store::source::{SourceProgress, save_progress};
use crate::store::{Result, Store, on_read, on_tx};

/// A measured value of a resource at a time, as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSample {
    /// Rises without gaps from 1.
    pub position: i64,
    pub source: SourceId,
    /// The source's own number of the message.
    pub sequence: u64,
    /// Name of the resource as its source gives it.
    pub resource: String,
    /// What was measured, with its unit last.
    pub metric: String,
    /// Finite.
    pub value: f64,
    /// By the clock of the source.
    pub sampled_at_ms: Millis,
    pub received_at_ms: Millis,
}

type SampleRow = (i64, i64, String, String, f64, i64, i64);

fn stored_sample(row: SampleRow) -> StoredSample {
    let (position, source, resource, metric, value, sampled_at_ms, received_at_ms) = row;
    StoredSample {
        position,
        source: SourceId(source),
        sequence: 0,
        resource,
        metric,
        value,
        sampled_at_ms,
        received_at_ms,
    }
}

const TELEMETRY_SAMPLE: Table = Table {
    name: "telemetry_sample",
    columns: &[
        "position",
        "source_id",
        "resource",
        "metric",
        "value",
        "sampled_at_ms",
        "received_at_ms",
    ],
};

impl Store {
    /// Position of the last sample; 0 when there is none. Samples that were detected in and deleted
    /// count: positions are not given twice.
    pub async fn last_sample_position(&self) -> Result<i64> {
        Ok(on_read!(self, conn => sqlx::query_scalar(
            "SELECT COALESCE(MAX(position), 0) FROM (
               SELECT MAX(position) AS position FROM telemetry_sample
               UNION ALL SELECT position FROM detector_checkpoint) AS given",
        )
        .fetch_one(conn)
        .await?))
    }

    /// The samples after `position`, in order, at most `limit`. Their sequence numbers are not kept:
    /// they read as 0.
    pub async fn samples_after(&self, position: i64, limit: usize) -> Result<Vec<StoredSample>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<SampleRow> = on_read!(self, conn => sqlx::query_as(
            "SELECT position, source_id, resource, metric, value, sampled_at_ms, received_at_ms
             FROM telemetry_sample WHERE position > $1 ORDER BY position LIMIT $2",
        )
        .bind(position)
        .bind(limit)
        .fetch_all(conn)
        .await?);
        Ok(rows.into_iter().map(stored_sample).collect())
    }

    /// Stores samples and how far their sources have come, in one durable transaction.
    pub async fn append_samples(
        &self,
        samples: &[StoredSample],
        progress: &[SourceProgress],
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        bulk::insert(&mut tx, TELEMETRY_SAMPLE, samples, |sample, row| {
            row.i64(sample.position);
            row.i64(sample.source.0);
            row.text(sample.resource.as_str());
            row.text(sample.metric.as_str());
            row.f64(sample.value);
            row.i64(sample.sampled_at_ms);
            row.i64(sample.received_at_ms);
        })
        .await?;
        save_progress(&mut tx, progress).await?;
        tx.commit().await
    }

    /// Deletes the oldest samples, at most `limit`, as long as they were received before
    /// `before_ms` and a restart of the detector does not need them; returns how many there were.
    pub async fn delete_samples(&self, before_ms: Millis, limit: u32) -> Result<u64> {
        let mut tx = self.begin().await?;
        // Positions follow the time of receipt, so the oldest stand first and no index is needed.
        let deleted = on_tx!(&mut tx, conn => sqlx::query(
            "DELETE FROM telemetry_sample WHERE received_at_ms < $1 AND position IN
               (SELECT position FROM telemetry_sample ORDER BY position LIMIT $2)
             AND NOT EXISTS (SELECT 1 FROM detector_checkpoint
               WHERE detector_checkpoint.position < telemetry_sample.position)",
        )
        .bind(before_ms)
        .bind(i64::from(limit))
        .execute(conn)
        .await?
        .rows_affected());
        tx.commit().await?;
        Ok(deleted)
    }

    /// How many samples are stored.
    pub async fn count_samples(&self) -> Result<i64> {
        Ok(on_read!(self, conn => sqlx::query_scalar(
            "SELECT COUNT(*) FROM telemetry_sample",
        )
        .fetch_one(conn)
        .await?))
    }
}
