//! Takes measured values into the store.

use crate::clock::Millis;
use crate::pipeline::intake::{Journal, Mark, Origin, Step};
use crate::pipeline::tail::{Positioned, Slice, Tail};
use crate::store::{SourceProgress, SourceStream, Store, StoreError, StoredSample};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio::sync::watch;

/// A measured value, as its source tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub resource: String,
    /// What was measured, with its unit last.
    pub metric: String,
    /// Finite.
    pub value: f64,
    /// By the clock of the source.
    pub sampled_at_ms: Millis,
}

/// The stored samples: one writer (the intake), one reader (the detector).
#[derive(Debug)]
pub struct SampleLog {
    store: Store,
    /// Position that was given last.
    end: AtomicI64,
    tail: Tail<StoredSample>,
    /// Last position that readers can see.
    last: watch::Sender<i64>,
    /// Nothing is kept in memory for nobody.
    is_read: AtomicBool,
}

impl Positioned for StoredSample {
    fn position(&self) -> i64 {
        self.position
    }
}

impl SampleLog {
    /// The samples of a store.
    pub async fn open(store: Store) -> Result<Self, StoreError> {
        let end = store.last_sample_position().await?;
        Ok(Self {
            store,
            end: AtomicI64::new(end),
            tail: Tail::default(),
            last: watch::Sender::new(end),
            is_read: AtomicBool::new(false),
        })
    }

    /// Keeps the latest samples in memory from now on.
    pub fn read_along(&self) {
        self.is_read.store(true, Ordering::Relaxed);
    }

    /// Position of the last sample; 0 when there never was one.
    pub fn last_position(&self) -> i64 {
        *self.last.borrow()
    }

    /// Samples after `position` in order, at most `limit`, and perhaps fewer than there are; empty
    /// only when there are none.
    pub async fn read_after(
        &self,
        position: i64,
        limit: usize,
    ) -> Result<Slice<StoredSample>, StoreError> {
        if let Some(slice) = self.tail.read_after(position, limit) {
            return Ok(slice);
        }
        let batch = if position < self.last_position() {
            self.store.samples_after(position, limit).await?
        } else {
            Vec::new()
        };
        Ok(batch.into())
    }

    /// Waits until there is a sample after `position`.
    pub async fn changed_after(&self, position: i64) {
        let mut last = self.last.subscribe();
        // The sender lives as long as `self`.
        drop(last.wait_for(|last| *last > position).await);
    }
}

impl Journal for SampleLog {
    type Record = Sample;
    type Entry = StoredSample;
    const STREAM: SourceStream = SourceStream::Telemetry;

    fn entry(origin: Origin, sample: Sample) -> StoredSample {
        StoredSample {
            position: 0,
            source: origin.source,
            sequence: origin.sequence,
            resource: sample.resource,
            metric: sample.metric,
            value: sample.value,
            sampled_at_ms: sample.sampled_at_ms,
            received_at_ms: origin.received_at_ms,
        }
    }

    fn mark(_: Origin, _: Mark) -> Option<StoredSample> {
        None
    }

    /// Samples have no snapshots: the next one says all there is to say.
    fn step(_: &Sample) -> Step {
        Step::Whole
    }

    fn origin(sample: &StoredSample) -> Origin {
        Origin {
            source: sample.source,
            sequence: sample.sequence,
            received_at_ms: sample.received_at_ms,
        }
    }

    async fn write(
        &self,
        samples: &mut Vec<StoredSample>,
        progress: &[SourceProgress],
    ) -> Result<(), StoreError> {
        let mut end = self.end.load(Ordering::Relaxed);
        for sample in samples.iter_mut() {
            end += 1;
            sample.position = end;
        }
        self.store.append_samples(samples, progress).await?;
        self.end.store(end, Ordering::Relaxed);
        Ok(())
    }

    fn publish(&self, samples: Vec<StoredSample>) {
        let Some(last) = samples.last().map(|sample| sample.position) else {
            return;
        };
        if self.is_read.load(Ordering::Relaxed) {
            self.tail.push(samples);
        }
        self.last.send_replace(last);
    }

    async fn recover(&self) -> Result<(), StoreError> {
        let end = self.store.last_sample_position().await?;
        self.end.store(end, Ordering::Relaxed);
        self.last.send_replace(end);
        Ok(())
    }
}
