//! The alarm log as its readers see it: what was committed lately from memory, the rest from the
//! database.

use crate::alarm::{LogEntry, LogRecord};
use crate::pipeline::intake::{Journal, Mark, Origin, Step};
use crate::pipeline::tail::{Positioned, Slice, Tail};
use crate::store::{SourceProgress, SourceStream, Store, StoreError};
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::watch;

/// The log: one writer (the intake), many readers.
#[derive(Debug)]
pub struct AlarmLog {
    store: Store,
    /// Position that was given last.
    end: AtomicI64,
    tail: Tail<LogEntry>,
    /// Last position that readers can see.
    last: watch::Sender<i64>,
}

/// Consecutive entries of the log; reads as a slice.
pub type LogSlice = Slice<LogEntry>;

impl Positioned for LogEntry {
    fn position(&self) -> i64 {
        self.position
    }
}

impl AlarmLog {
    /// The log of a store.
    pub async fn open(store: Store) -> Result<Self, StoreError> {
        let end = store.last_alarm_position().await?;
        Ok(Self {
            store,
            end: AtomicI64::new(end),
            tail: Tail::default(),
            last: watch::Sender::new(end),
        })
    }

    /// Position of the last entry; 0 when there is none.
    pub fn last_position(&self) -> i64 {
        *self.last.borrow()
    }

    /// Entries after `position` in order, at most `limit`, and perhaps fewer than there are; empty
    /// only when there are none.
    pub async fn read_after(&self, position: i64, limit: usize) -> Result<LogSlice, StoreError> {
        if let Some(slice) = self.tail.read_after(position, limit) {
            return Ok(slice);
        }
        let batch = if position < self.last_position() {
            self.store.alarms_after(position, limit).await?
        } else {
            Vec::new()
        };
        Ok(batch.into())
    }

    /// Waits until there is an entry after `position`.
    pub async fn changed_after(&self, position: i64) {
        let mut last = self.last.subscribe();
        // The sender lives as long as `self`.
        drop(last.wait_for(|last| *last > position).await);
    }
}

impl Journal for AlarmLog {
    type Record = LogRecord;
    type Entry = LogEntry;
    const STREAM: SourceStream = SourceStream::Alarm;

    fn entry(origin: Origin, record: LogRecord) -> LogEntry {
        LogEntry {
            position: 0,
            source: origin.source,
            sequence: origin.sequence,
            received_at_ms: origin.received_at_ms,
            record,
        }
    }

    fn mark(origin: Origin, mark: Mark) -> Option<LogEntry> {
        let record = match mark {
            Mark::Stale => LogRecord::Stale,
            Mark::Heard => LogRecord::Heard,
        };
        Some(Self::entry(origin, record))
    }

    fn step(record: &LogRecord) -> Step {
        match record {
            LogRecord::SnapshotBegin => Step::SnapshotBegin,
            LogRecord::SnapshotEnd => Step::SnapshotEnd,
            LogRecord::Event(_) | LogRecord::Stale | LogRecord::Heard => Step::Plain,
        }
    }

    fn origin(entry: &LogEntry) -> Origin {
        Origin {
            source: entry.source,
            sequence: entry.sequence,
            received_at_ms: entry.received_at_ms,
        }
    }

    async fn write(
        &self,
        entries: &mut Vec<LogEntry>,
        progress: &[SourceProgress],
    ) -> Result<(), StoreError> {
        let mut end = self.end.load(Ordering::Relaxed);
        for entry in entries.iter_mut() {
            end += 1;
            entry.position = end;
        }
        self.store.append_alarms(entries, progress).await?;
        self.end.store(end, Ordering::Relaxed);
        Ok(())
    }

    fn publish(&self, entries: Vec<LogEntry>) {
        let Some(last) = entries.last().map(|entry| entry.position) else {
            return;
        };
        self.tail.push(entries);
        self.last.send_replace(last);
    }

    async fn recover(&self) -> Result<(), StoreError> {
        let end = self.store.last_alarm_position().await?;
        self.end.store(end, Ordering::Relaxed);
        self.last.send_replace(end);
        Ok(())
    }
}
