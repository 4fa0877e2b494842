//! The durable alarm log.

use crate::alarm::{AlarmEvent, AlarmEventKind, AlarmKey, LogEntry, LogRecord, Severity, SourceId};
use crate::store::bulk::{self, RowWriter, Table};
use crate::store::source::{SourceProgress, save_progress};
use crate::store::{Result, Store, StoreError, on_read};
use sqlx::Row as _;
use std::sync::{Arc, LazyLock};

const ALARM_LOG: Table = Table {
    name: "alarm_log",
    columns: &[
        "position",
        "source_id",
        "sequence",
        "kind",
        "resource",
        "alarm_type",
        "qualifier",
        "severity",
        "event_at_ms",
        "received_at_ms",
        "detail",
    ],
};

/// What most events say besides identity, severity and time: nothing.
const NO_DETAIL: &str = "{}";

impl Store {
    /// Position of the last entry; 0 when there is none.
    pub async fn last_alarm_position(&self) -> Result<i64> {
        Ok(on_read!(self, conn => sqlx::query_scalar(
            "SELECT COALESCE(MAX(position), 0) FROM alarm_log",
        )
        .fetch_one(conn)
        .await?))
    }

    /// Stores the entries and how far their sources have come, in one durable transaction.
    pub async fn append_alarms(
        &self,
        entries: &[LogEntry],
        progress: &[SourceProgress],
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        bulk::insert(&mut tx, ALARM_LOG, entries, write_entry).await?;
        save_progress(&mut tx, progress).await?;
        tx.commit().await
    }

    /// The entries after `position`, in order, at most `limit`.
    pub async fn alarms_after(&self, position: i64, limit: usize) -> Result<Vec<LogEntry>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        on_read!(self, conn => {
            let rows = sqlx::query(
                "SELECT position, source_id, sequence, kind, resource, alarm_type, qualifier,
                        severity, event_at_ms, received_at_ms, detail
                 FROM alarm_log WHERE position > $1 ORDER BY position LIMIT $2",
            )
            .bind(position)
            .bind(limit)
            .fetch_all(conn)
            .await?;
            rows.iter()
                .map(|row| {
                    read_entry(StoredEntry {
                        position: row.try_get(0)?,
                        source_id: row.try_get(1)?,
                        sequence: row.try_get(2)?,
                        kind: row.try_get(3)?,
                        resource: row.try_get(4)?,
                        alarm_type: row.try_get(5)?,
                        qualifier: row.try_get(6)?,
                        severity: row.try_get(7)?,
                        event_at_ms: row.try_get(8)?,
                        received_at_ms: row.try_get(9)?,
                        detail: row.try_get(10)?,
                    })
                })
                .collect()
        })
    }
}

/// The words that nearly every row repeats, made once.
struct Words {
    empty: Arc<str>,
    no_detail: Arc<str>,
    kinds: [Arc<str>; 3],
    severities: [Arc<str>; 5],
}

static WORDS: LazyLock<Words> = LazyLock::new(|| Words {
    empty: "".into(),
    no_detail: NO_DETAIL.into(),
    kinds: ["raise".into(), "change".into(), "clear".into()],
    severities: Severity::ALL.map(|severity| severity.as_str().into()),
});

fn write_entry(entry: &LogEntry, row: &mut RowWriter<'_>) {
    let words = &*WORDS;
    row.i64(entry.position);
    row.i64(entry.source.0);
    row.i64(entry.sequence.cast_signed());
    let event = match &entry.record {
        LogRecord::Event(event) => event,
        LogRecord::SnapshotBegin => return write_mark(entry, "snapshot_begin", row),
        LogRecord::SnapshotEnd => return write_mark(entry, "snapshot_end", row),
        LogRecord::Stale => return write_mark(entry, "stale", row),
        LogRecord::Heard => return write_mark(entry, "heard", row),
    };
    row.shared_text(&words.kinds[event.kind as usize]);
    row.text(event.key.resource.as_str());
    row.text(event.key.alarm_type.as_str());
    if event.key.qualifier.is_empty() {
        row.shared_text(&words.empty);
    } else {
        row.text(event.key.qualifier.as_str());
    }
    row.shared_text(&words.severities[event.severity as usize]);
    row.i64(event.event_at_ms);
    row.i64(entry.received_at_ms);
    match serde_json::to_string(&event.detail) {
        Ok(detail) if detail != NO_DETAIL => row.text(detail.as_str()),
        _ => row.shared_text(&words.no_detail),
    }
}

fn write_mark(entry: &LogEntry, kind: &'static str, row: &mut RowWriter<'_>) {
    row.text(kind);
    for _ in ["resource", "alarm_type", "qualifier", "severity"] {
        row.shared_text(&WORDS.empty);
    }
    row.i64(entry.received_at_ms);
    row.i64(entry.received_at_ms);
    row.shared_text(&WORDS.no_detail);
}

struct StoredEntry {
    position: i64,
    source_id: i64,
    sequence: i64,
    kind: String,
    resource: String,
    alarm_type: String,
    qualifier: String,
    severity: String,
    event_at_ms: i64,
    received_at_ms: i64,
    detail: String,
}

fn read_entry(row: StoredEntry) -> Result<LogEntry> {
    let position = row.position;
    let corrupt = |reason: String| StoreError::Corrupt {
        what: "alarm log entry",
        reason: format!("position {position}: {reason}"),
    };
    let kind = match row.kind.as_str() {
        "raise" => Some(AlarmEventKind::Raise),
        "change" => Some(AlarmEventKind::Change),
        "clear" => Some(AlarmEventKind::Clear),
        _ => None,
    };
    let record = match (kind, row.kind.as_str()) {
        (Some(kind), _) => LogRecord::Event(AlarmEvent {
            kind,
            key: AlarmKey {
                resource: row.resource,
                alarm_type: row.alarm_type,
                qualifier: row.qualifier,
            },
            severity: Severity::parse(&row.severity)
                .ok_or_else(|| corrupt(format!("severity `{}`", row.severity)))?,
            event_at_ms: row.event_at_ms,
            detail: serde_json::from_str(&row.detail)
                .map_err(|error| corrupt(format!("detail: {error}")))?,
        }),
        (None, "snapshot_begin") => LogRecord::SnapshotBegin,
        (None, "snapshot_end") => LogRecord::SnapshotEnd,
        (None, "stale") => LogRecord::Stale,
        (None, "heard") => LogRecord::Heard,
        (None, other) => return Err(corrupt(format!("kind `{other}`"))),
    };
    Ok(LogEntry {
        position,
        source: SourceId(row.source_id),
        sequence: u64::try_from(row.sequence)
            .map_err(|_| corrupt(format!("sequence {}", row.sequence)))?,
        received_at_ms: row.received_at_ms,
        record,
    })
}
