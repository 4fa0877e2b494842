//! What has to be done now and then: noticing silence, and deleting what has had its time.

use crate::clock::{Clock, Millis};
use crate::pipeline::alarm_log::AlarmLog;
use crate::pipeline::intake::Intake;
use crate::pipeline::meter::SampleLog;
use crate::store::{Store, StoreError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Keeps house once a second.
#[derive(Debug)]
pub struct Housekeeper {
    pub store: Store,
    pub alarms: Intake<AlarmLog>,
    pub samples: Intake<SampleLog>,
    /// How long measured values are kept.
    pub telemetry_retention_ms: i64,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Sources that were found silent.
    pub silent: usize,
    pub samples_deleted: u64,
    /// Rows of earlier versions of topology and subscribers.
    pub rows_deleted: u64,
}

const STEP_INTERVAL: Duration = Duration::from_secs(1);
/// Rounds between two attempts to find incidents for complaints that have none.
const REMATCH_EVERY: u64 = 30;
/// A replaced version stays for whoever still works with it.
const OLD_VERSION_KEPT_MS: i64 = 10 * 60_000;
/// Rows of one transaction: small, so that alarms need not wait for it.
const CHUNK: u32 = 5_000;

impl Housekeeper {
    /// One round; deletes a bounded number of rows of each kind.
    pub async fn step(&self, now_ms: Millis) -> Result<Kept, StoreError> {
        let silent = self.alarms.mark_silent(now_ms) + self.samples.mark_silent(now_ms);
        self.alarms.save_last_heard().await?;
        self.samples.save_last_heard().await?;
        let before_ms = now_ms - self.telemetry_retention_ms;
        Ok(Kept {
            silent,
            samples_deleted: self.store.delete_samples(before_ms, CHUNK).await?,
            rows_deleted: self
                .store
                .sweep_old_versions(now_ms - OLD_VERSION_KEPT_MS, CHUNK)
                .await?,
        })
    }

    /// Steps until `shutdown`. A step that fails is tried again with the next: nothing is lost.
    pub async fn run(self, clock: Clock, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(STEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut rounds: u64 = 0;
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let now_ms = clock.now_ms();
            if let Err(error) = self.step(now_ms).await {
                tracing::warn!(%error, "housekeeping failed");
            }
            // People complain before an incident is known: look again now and then.
            if rounds.is_multiple_of(REMATCH_EVERY)
                && let Err(error) = self.store.rematch_complaints(now_ms).await
            {
                tracing::warn!(%error, "complaints could not be matched again");
            }
            rounds += 1;
        }
    }
}
