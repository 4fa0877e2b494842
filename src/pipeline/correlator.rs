//! The correlator: reads the alarm log in order, lets the pure core decide, and commits what it
//! decides (incidents, notices, holdout assignments) together with the log position it has reached.
//!
//! Invariants:
//!   * One correlator runs at a time.
//!   * What is committed at position `p` is a function of the log up to `p`, the operators' commands
//!     and the network version; a crash loses nothing but undecided work.
//!   * When a commit fails the core is thrown away and built anew from the store, so that memory
//!     never runs ahead of the database.

use crate::alarm::AlarmBook;
use crate::clock::{Clock, Millis};
use crate::incident::{
    CommandError, Correlator, CorrelatorSettings, Incident, IncidentChange, OperatorCommand,
};
use crate::pipeline::alarm_log::AlarmLog;
use crate::pipeline::importer::{self, LoadedNetwork};
use crate::pipeline::live::{Live, LiveIncident, PendingCommand};
use crate::pipeline::planner::Planner;
use crate::store::{DatasetVersions, Store, StoreError};
use crate::topology::Network;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Log entries taken in one step.
const ENTRIES_PER_STEP: usize = 20_000;
/// Live alarms are written down after this many entries, so that a restart replays at most as many.
const ENTRIES_PER_SNAPSHOT: i64 = 500_000;
/// The position is written at least this often, even when nothing was decided.
const IDLE_CHECKPOINT_MS: i64 = 1_000;
/// How often the store is asked for a new version of the network.
const VERSION_POLL_MS: i64 = 1_000;
/// Longest sleep when nothing happens.
const IDLE_SLEEP: Duration = Duration::from_millis(500);

/// Failure of the correlator; the process ends with it and a restart replays.
#[derive(Debug, thiserror::Error)]
pub enum CorrelatorError {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the network could not be loaded: {0}")]
    Network(String),
    #[error("the copy of the live alarms cannot be read: {0}")]
    Snapshot(String),
}

/// The worker; see the module's invariants.
pub struct CorrelatorWorker {
    store: Store,
    log: AlarmLog,
    clock: Clock,
    settings: CorrelatorSettings,
    planner: Planner,
    commands: mpsc::Receiver<PendingCommand>,
    live: watch::Sender<Arc<Live>>,
    core: Correlator,
    versions: DatasetVersions,
    position: i64,
    committed_position: i64,
    snapshot_position: i64,
    checkpointed_ms: Millis,
    polled_ms: Millis,
}

/// What the rest of the process needs of the correlator.
pub struct CorrelatorHandle {
    pub commands: mpsc::Sender<PendingCommand>,
    pub live: watch::Receiver<Arc<Live>>,
}

/// A command that the core accepted, waiting for the commit.
type Accepted = (
    oneshot::Sender<Result<Incident, CommandError>>,
    OperatorCommand,
);
