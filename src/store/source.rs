//! The systems that send, and how far each has come.

use crate::alarm::SourceId;
use crate::clock::Millis;
use crate::store::{Result, Store, StoreError, Tx, on_read, on_tx};

/// Which of its two sequences a source sends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStream {
    Alarm,
    Telemetry,
}

impl SourceStream {
    fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Telemetry => "telemetry",
        }
    }
}

/// Whether what is known of a source is up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceHealth {
    /// Heard as promised.
    Current,
    /// Silent for longer than promised.
    Silent,
    /// Heard again, but no snapshot has ended since.
    Returned,
}

impl SourceHealth {
    const ALL: [Self; 3] = [Self::Current, Self::Silent, Self::Returned];

    fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Silent => "silent",
            Self::Returned => "returned",
        }
    }
}

/// A source as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSource {
    pub id: SourceId,
    pub name: String,
    /// Promised interval between messages; 0: no promise.
    pub heartbeat_interval_s: u32,
    pub last_sequence: u64,
    pub last_heard_ms: Millis,
    pub health: SourceHealth,
    /// A snapshot has begun and not ended.
    pub snapshot_open: bool,
}

/// How far a source has come with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceProgress {
    pub id: SourceId,
    /// Everything up to this number is durable with the commit.
    pub last_sequence: u64,
    pub last_heard_ms: Millis,
    pub health: SourceHealth,
    pub snapshot_open: bool,
}

type SourceRow = (i64, String, i64, i64, i64, String, bool);

impl Store {
    /// All sources of a stream, by name.
    pub async fn sources(&self, stream: SourceStream) -> Result<Vec<StoredSource>> {
        let rows: Vec<SourceRow> = on_read!(self, conn => sqlx::query_as(
            "SELECT source_id, name, heartbeat_interval_s, last_sequence, last_heard_ms, health, snapshot_open
             FROM source WHERE stream = $1 ORDER BY name",
        )
        .bind(stream.as_str())
        .fetch_all(conn)
        .await?);
        rows.into_iter().map(stored_source).collect()
    }

    /// The source of that name, made if need be, with the promise it has just given.
    pub async fn register_source(
        &self,
        stream: SourceStream,
        name: &str,
        heartbeat_interval_s: u32,
        now_ms: Millis,
    ) -> Result<StoredSource> {
        let mut tx = self.begin().await?;
        let row: SourceRow = on_tx!(&mut tx, conn => sqlx::query_as(
            "INSERT INTO source (source_id, stream, name, heartbeat_interval_s, last_sequence, last_heard_ms, health)
             SELECT COALESCE(MAX(source_id), 0) + 1, $1, $2, $3, 0, $4, 'current' FROM source WHERE TRUE
             ON CONFLICT (stream, name) DO UPDATE SET heartbeat_interval_s = excluded.heartbeat_interval_s
             RETURNING source_id, name, heartbeat_interval_s, last_sequence, last_heard_ms, health, snapshot_open",
        )
        .bind(stream.as_str())
        .bind(name)
        .bind(i64::from(heartbeat_interval_s))
        .bind(now_ms)
        .fetch_one(conn)
        .await?);
        tx.commit().await?;
        stored_source(row)
    }

    /// Keeps when sources were last heard.
    pub async fn save_last_heard(&self, heard: &[(SourceId, Millis)]) -> Result<()> {
        let mut tx = self.begin().await?;
        for (id, last_heard_ms) in heard {
            on_tx!(&mut tx, conn => sqlx::query(
                "UPDATE source SET last_heard_ms = $1 WHERE source_id = $2",
            )
            .bind(last_heard_ms)
            .bind(id.0)
            .execute(conn)
            .await
            .map(drop))?;
        }
        tx.commit().await
    }
}

/// Part of the transaction that stores what the sources sent.
pub(in crate::store) async fn save_progress(tx: &mut Tx, all: &[SourceProgress]) -> Result<()> {
    match tx {
        Tx::Sqlite(tx) => {
            for progress in all {
                sqlx::query(
                    "UPDATE source SET last_sequence = $1, last_heard_ms = $2, health = $3, snapshot_open = $4
                     WHERE source_id = $5",
                )
                .bind(progress.last_sequence.cast_signed())
                .bind(progress.last_heard_ms)
                .bind(progress.health.as_str())
                .bind(progress.snapshot_open)
                .bind(progress.id.0)
                .execute(&mut **tx)
                .await?;
            }
        }
        // One round trip, however many sources.
        Tx::Postgres(tx) => {
            let column = |of: fn(&SourceProgress) -> i64| all.iter().map(of).collect::<Vec<_>>();
            let health: Vec<&str> = all.iter().map(|p| p.health.as_str()).collect();
            let snapshot_open: Vec<bool> = all.iter().map(|p| p.snapshot_open).collect();
            sqlx::query(
                "UPDATE source SET last_sequence = new.last_sequence, last_heard_ms = new.last_heard_ms,
                     health = new.health, snapshot_open = new.snapshot_open
                 FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::boolean[])
                      AS new (source_id, last_sequence, last_heard_ms, health, snapshot_open)
                 WHERE source.source_id = new.source_id",
            )
            .bind(column(|p| p.id.0))
            .bind(column(|p| p.last_sequence.cast_signed()))
            .bind(column(|p| p.last_heard_ms))
            .bind(health)
            .bind(snapshot_open)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

fn stored_source(row: SourceRow) -> Result<StoredSource> {
    let (id, name, heartbeat_interval_s, last_sequence, last_heard_ms, health, snapshot_open) = row;
    let corrupt = |reason: String| StoreError::Corrupt {
        what: "source",
        reason,
    };
    Ok(StoredSource {
        id: SourceId(id),
        name,
        heartbeat_interval_s: u32::try_from(heartbeat_interval_s)
            .map_err(|_| corrupt(format!("heartbeat interval {heartbeat_interval_s}")))?,
        last_sequence: u64::try_from(last_sequence)
            .map_err(|_| corrupt(format!("sequence {last_sequence}")))?,
        last_heard_ms,
        health: SourceHealth::ALL
            .into_iter()
            .find(|known| known.as_str() == health)
            .ok_or_else(|| corrupt(format!("health `{health}`")))?,
        snapshot_open,
    })
}
