//! Takes measured values into the store.

use crate::clock::Millis;
use crate::pipeline::intake::{Journal, Mark, Origin};
use crate::store::{SourceProgress, SourceStream, Store, StoreError, StoredSample};
use std::sync::atomic::{AtomicI64, Ordering};

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

/// The stored samples: nobody reads along yet.
#[derive(Debug)]
pub struct SampleLog {
    store: Store,
    /// Position that was given last.
    end: AtomicI64,
}

impl SampleLog {
    /// The samples of a store.
    pub async fn open(store: Store) -> Result<Self, StoreError> {
        let end = AtomicI64::new(store.last_sample_position().await?);
        Ok(Self { store, end })
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
    fn resynchronises(_: &Sample) -> bool {
        true
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

    fn publish(&self, _: Vec<StoredSample>) {}

    async fn recover(&self) -> Result<(), StoreError> {
        let end = self.store.last_sample_position().await?;
        self.end.store(end, Ordering::Relaxed);
        Ok(())
    }
}
