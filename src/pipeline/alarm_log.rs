//! The alarm log as its readers see it: what was committed lately from memory, the rest from the
//! database.

use crate::alarm::{LogEntry, LogRecord};
use crate::pipeline::intake::{Journal, Mark, Origin};
use crate::store::{SourceProgress, SourceStream, Store, StoreError};
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Entries that are kept in memory for a reader that is close behind.
const TAIL_ENTRIES: usize = 100_000;

/// The log: one writer (the intake), many readers.
#[derive(Debug)]
pub struct AlarmLog {
    store: Store,
    /// Position that was given last.
    end: AtomicI64,
    tail: Mutex<Tail>,
    /// Last position that readers can see.
    last: watch::Sender<i64>,
}

#[derive(Debug, Default)]
struct Tail {
    batches: VecDeque<Arc<Vec<LogEntry>>>,
    entries: usize,
}

/// Consecutive entries of the log; reads as a slice.
#[derive(Clone, Debug)]
pub struct LogSlice {
    batch: Arc<Vec<LogEntry>>,
    from: usize,
    to: usize,
}

impl Deref for LogSlice {
    type Target = [LogEntry];

    fn deref(&self) -> &[LogEntry] {
        self.batch.get(self.from..self.to).unwrap_or_default()
    }
}

impl AlarmLog {
    /// The log of a store.
    pub async fn open(store: Store) -> Result<Self, StoreError> {
        let end = store.last_alarm_position().await?;
        Ok(Self {
            store,
            end: AtomicI64::new(end),
            tail: Mutex::default(),
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
        if let Some(slice) = self.read_tail(position, limit) {
            return Ok(slice);
        }
        let batch = if position < self.last_position() {
            self.store.alarms_after(position, limit).await?
        } else {
            Vec::new()
        };
        Ok(LogSlice {
            from: 0,
            to: batch.len(),
            batch: Arc::new(batch),
        })
    }

    /// Waits until there is an entry after `position`.
    pub async fn changed_after(&self, position: i64) {
        let mut last = self.last.subscribe();
        // The sender lives as long as `self`.
        drop(last.wait_for(|last| *last > position).await);
    }

    fn read_tail(&self, position: i64, limit: usize) -> Option<LogSlice> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let at = tail
            .batches
            .partition_point(|batch| batch.last().is_none_or(|last| last.position <= position));
        let batch = tail.batches.get(at)?;
        let first = batch.first()?.position;
        // A gap: the entries between are only in the database.
        if first > position + 1 {
            return None;
        }
        let from = usize::try_from(position + 1 - first).ok()?;
        Some(LogSlice {
            batch: Arc::clone(batch),
            from,
            to: batch.len().min(from.saturating_add(limit)),
        })
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

    fn resynchronises(record: &LogRecord) -> bool {
        matches!(record, LogRecord::SnapshotEnd)
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
        {
            let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.entries += entries.len();
            tail.batches.push_back(Arc::new(entries));
            while tail.entries > TAIL_ENTRIES
                && tail.batches.len() > 1
                && let Some(oldest) = tail.batches.pop_front()
            {
                tail.entries -= oldest.len();
            }
        }
        self.last.send_replace(last);
    }

    async fn recover(&self) -> Result<(), StoreError> {
        let end = self.store.last_alarm_position().await?;
        self.end.store(end, Ordering::Relaxed);
        self.last.send_replace(end);
        Ok(())
    }
}
