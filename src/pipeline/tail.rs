//! The latest entries of a journal, in memory for a reader that is close behind.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Entries that are kept.
const TAIL_ENTRIES: usize = 100_000;

/// An entry of a journal.
pub trait Positioned {
    /// Rises by one from entry to entry.
    fn position(&self) -> i64;
}

/// The end of a journal: one writer, many readers.
#[derive(Debug)]
pub struct Tail<E>(Mutex<Batches<E>>);

#[derive(Debug)]
struct Batches<E> {
    batches: VecDeque<Arc<Vec<E>>>,
    entries: usize,
}

/// Consecutive entries of a journal; reads as a slice.
#[derive(Clone, Debug)]
pub struct Slice<E> {
    batch: Arc<Vec<E>>,
    from: usize,
    to: usize,
}

impl<E> Deref for Slice<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        self.batch.get(self.from..self.to).unwrap_or_default()
    }
}

impl<E> From<Vec<E>> for Slice<E> {
    fn from(batch: Vec<E>) -> Self {
        Self {
            from: 0,
            to: batch.len(),
            batch: Arc::new(batch),
        }
    }
}

impl<E> Default for Tail<E> {
    fn default() -> Self {
        Self(Mutex::new(Batches {
            batches: VecDeque::new(),
            entries: 0,
        }))
    }
}

impl<E: Positioned> Tail<E> {
    /// Entries after `position`, at most `limit`; `None` when only the database has them, or nobody.
    pub fn read_after(&self, position: i64, limit: usize) -> Option<Slice<E>> {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = tail
            .batches
            .partition_point(|batch| batch.last().is_none_or(|last| last.position() <= position));
        let batch = tail.batches.get(at)?;
        let first = batch.first()?.position();
        // A gap: the entries between are only in the database.
        if first > position + 1 {
            return None;
        }
        let from = usize::try_from(position + 1 - first).ok()?;
        Some(Slice {
            batch: Arc::clone(batch),
            from,
            to: batch.len().min(from.saturating_add(limit)),
        })
    }

    /// Adds entries that follow on the last.
    pub fn push(&self, entries: Vec<E>) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.entries += entries.len();
        tail.batches.push_back(Arc::new(entries));
        while tail.entries > TAIL_ENTRIES
            && tail.batches.len() > 1
            && let Some(oldest) = tail.batches.pop_front()
        {
            tail.entries -= oldest.len();
        }
    }
}
