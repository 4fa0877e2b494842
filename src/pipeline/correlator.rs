//! The correlator: reads the alarm log in order, lets the pure core decide, and commits what it
//! decides (incidents, notices, holdout assignments) together with the log position it has reached.
//!
//! Invariants:
//! - one correlator runs at a time;
//! - what is committed at a position is a function of the log up to it, of what was declared up to a
//!   change that is committed with it, of the operators' commands and of the network version; a crash loses nothing but undecided work;
//! - when a commit fails, the core is thrown away and built anew from the store, so that memory
//!   never runs ahead of the database.

use crate::alarm::BookError;
use crate::clock::{Clock, Millis};
use crate::experience::Experience;
use crate::geography::{Batteries, NetworkMap};
use crate::incident::{
    CommandError, Correlator, CorrelatorSettings, DeclarationEnd, DeclarationId, Incident,
    IncidentChange, IncidentNo,
};
use crate::pipeline::alarm_log::AlarmLog;
use crate::pipeline::alarm_query::{AlarmQuery, alarm_page};
use crate::pipeline::declarations::Declarations;
use crate::pipeline::importer::{LoadError, load_network};
use crate::pipeline::live::{Live, LiveIncident, LiveWork, PendingCommand};
use crate::pipeline::planner::{Ground, Planner};
use crate::pipeline::restart::{Snapshots, restore};
use crate::store::{DatasetVersions, DeclaredPosition, Store, StoreError, Tx};
use crate::topology::Network;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::RuntimeFlavor;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Log entries taken in one step.
pub(super) const ENTRIES_PER_STEP: usize = 20_000;
/// Commands taken in one step.
const COMMANDS_PER_STEP: usize = 100;
/// A settling that only new entries ask for comes when so many times the length of the one before
/// has passed: its cost grows with the live alarms, and taking entries must keep up.
const SETTLE_PAUSE: u32 = 4;
/// The position is written at least this often, even when nothing was decided.
const CHECKPOINT_INTERVAL_MS: i64 = 1_000;
/// How often the store is asked for a new version of the network.
const VERSION_POLL_MS: i64 = 1_000;
/// How often the store is asked for what was declared, by whatever process.
const DECLARED_POLL_MS: i64 = 1_000;
/// Longest sleep.
const IDLE_SLEEP: Duration = Duration::from_millis(500);
/// Failed steps in a row after which the worker gives up.
const FAILURES_TOLERATED: u32 = 10;
const RETRY_SLEEP: Duration = Duration::from_secs(1);

/// Failure of the correlator.
#[derive(Debug, thiserror::Error)]
pub enum CorrelatorError {
    #[error("the store failed while correlating")]
    Store(#[from] StoreError),
    #[error("the network could not be loaded")]
    Network(#[from] LoadError),
    #[error("the copy of the live alarms cannot be used")]
    Snapshot(#[from] BookError),
    #[error("the network was replaced while notices were planned")]
    NetworkReplaced,
}

/// The senders and receivers that join the correlator to the rest of the process.
pub struct CorrelatorPorts {
    pub commands: mpsc::Receiver<PendingCommand>,
    pub queries: mpsc::Receiver<AlarmQuery>,
    pub live: watch::Sender<Arc<Live>>,
    /// Told when notices may have been planned.
    pub planned: Arc<Notify>,
    /// Tells that something was declared.
    pub declared: Arc<Notify>,
    /// How long elements run without mains power, for areas that lose it.
    pub batteries: Arc<Batteries>,
}

/// The worker.
pub struct CorrelatorWorker {
    store: Store,
    log: Arc<AlarmLog>,
    planner: Planner,
    declarations: Declarations,
    ports: CorrelatorPorts,
    core: Correlator,
    /// Of the version of the network that the core has.
    map: Arc<NetworkMap>,
    /// As of the latest commit.
    experience: Arc<Experience>,
    versions: DatasetVersions,
    /// Last log position that the core has taken.
    position: i64,
    checkpoint_position: i64,
    checkpoint_ms: Millis,
    snapshots: Snapshots,
    polled_ms: Millis,
    /// When it was last asked what was declared; `None`: it is to be asked now.
    declared_ms: Option<Millis>,
    declared_checkpoint: DeclaredPosition,
    /// Entries or a new network were taken and nothing has been settled since.
    unsettled: bool,
    /// The step before has failed: the core may be ahead of the database.
    broken: bool,
    /// When new entries alone are reason enough to settle.
    settle_at: Instant,
    /// What ended the last sleep.
    waiting_command: Option<PendingCommand>,
    waiting_query: Option<AlarmQuery>,
}

/// A command that the core has taken, waiting for the commit.
struct Taken {
    /// To answer with.
    incident: IncidentNo,
    by: String,
    answer: oneshot::Sender<Result<Incident, CommandError>>,
}

impl CorrelatorWorker {
    /// Takes up where the store stands.
    pub async fn open(
        store: Store,
        log: Arc<AlarmLog>,
        settings: CorrelatorSettings,
        mut planner: Planner,
        ports: CorrelatorPorts,
        now_ms: Millis,
    ) -> Result<Self, CorrelatorError> {
        let mut declarations = Declarations::new(Arc::clone(&ports.batteries));
        let restored = restore(&store, settings, &mut planner, &mut declarations, now_ms).await?;
        let mut worker = Self {
            store,
            log,
            planner,
            declared_checkpoint: declarations.position(),
            declarations,
            ports,
            core: restored.core,
            map: restored.map,
            experience: Arc::new(restored.experience),
            versions: restored.versions,
            position: restored.position,
            checkpoint_position: restored.position,
            checkpoint_ms: now_ms,
            snapshots: Snapshots::new(restored.snapshot_position),
            polled_ms: now_ms,
            declared_ms: Some(now_ms),
            unsettled: true,
            broken: false,
            settle_at: Instant::now(),
            waiting_command: None,
            waiting_query: None,
        };
        worker.publish();
        Ok(worker)
    }

    /// Last log position whose consequences are decided.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Takes what is new, decides, commits, shows. True when there may be more to take at once. After
    /// one that has failed, the next begins by building the core anew.
    pub async fn step(&mut self, now_ms: Millis) -> Result<bool, CorrelatorError> {
        if self.broken {
            self.recover(now_ms).await?;
        }
        let done = self.decide(now_ms).await;
        self.broken = done.is_err();
        done
    }

    async fn decide(&mut self, now_ms: Millis) -> Result<bool, CorrelatorError> {
        self.follow_network(now_ms).await?;
        self.follow_declarations(now_ms).await?;
        self.take_entries().await?;
        let begun = Instant::now();
        let taken = self.take_commands(now_ms);
        let due = self.planner.due(now_ms);
        let deadline = self.core.next_deadline_ms().is_some_and(|at| at <= now_ms);
        let work = !taken.is_empty() || deadline || self.unsettled;
        let changes = if work {
            aside(|| self.core.settle(now_ms))
        } else {
            Vec::new()
        };
        if changes.is_empty() && due.is_empty() && taken.is_empty() {
            self.checkpoint(now_ms).await?;
        } else {
            let by = taken.last().map_or("", |taken| taken.by.as_str());
            self.commit(&changes, &due, by, now_ms).await?;
        }
        self.unsettled = false;
        if work {
            self.publish();
        }
        let ended = Instant::now();
        self.settle_at = ended + SETTLE_PAUSE * (ended - begun);
        self.snapshots
            .save(&self.store, &self.core, self.checkpoint_position)
            .await?;
        for Taken {
            incident, answer, ..
        } in taken
        {
            // One that has ended for good is no longer followed.
            let changed = changes.iter().find(|change| change.incident.no == incident);
            let result = changed
                .map(|change| &change.incident)
                .or_else(|| self.core.incident(incident).map(Arc::as_ref))
                .cloned()
                .ok_or(CommandError::NoSuchIncident(incident));
            // Whoever asked may have gone meanwhile.
            drop(answer.send(result));
        }
        self.answer_queries();
        Ok(self.position < self.log.last_position())
    }

    /// Takes the next entries of the log, deciding nothing. True when there were any.
    async fn take_entries(&mut self) -> Result<bool, CorrelatorError> {
        let entries = self.log.read_after(self.position, ENTRIES_PER_STEP).await?;
        aside(|| {
            for entry in entries.iter() {
                self.core.apply(entry);
            }
        });
        let Some(last) = entries.last() else {
            return Ok(false);
        };
        self.position = last.position;
        self.unsettled = true;
        Ok(true)
    }

    /// Whether there is a reason to settle now.
    fn must_settle(&self, now_ms: Millis) -> bool {
        let deadlines = [
            self.core.next_deadline_ms(),
            self.planner.next_deadline_ms(),
        ];
        self.broken
            || self.declared_ms.is_none()
            || Instant::now() >= self.settle_at
            || self.waiting_command.is_some()
            || self.waiting_query.is_some()
            || !self.ports.commands.is_empty()
            || !self.ports.queries.is_empty()
            || deadlines.into_iter().flatten().any(|at| at <= now_ms)
    }

    /// A step, or as long as the latest settling is too near, its first part.
    async fn step_paced(&mut self, now_ms: Millis) -> Result<bool, CorrelatorError> {
        if self.must_settle(now_ms) {
            self.step(now_ms).await
        } else {
            self.take_entries().await
        }
    }

    /// Steps until asked to stop; wakes up for new entries, commands, questions and deadlines.
    pub async fn run(
        mut self,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Result<(), CorrelatorError> {
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            let now_ms = clock.now_ms();
            match self.step_paced(now_ms).await {
                Ok(true) => failures = 0,
                Ok(false) => {
                    failures = 0;
                    self.sleep(now_ms, &shutdown).await;
                }
                Err(CorrelatorError::NetworkReplaced) => {
                    tracing::info!(
                        "the network was replaced meanwhile: decided again with the new one"
                    );
                }
                Err(error) if failures < FAILURES_TOLERATED => {
                    failures += 1;
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        failures,
                        "correlator starts again from the store"
                    );
                    tokio::time::sleep(RETRY_SLEEP).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn sleep(&mut self, now_ms: Millis, shutdown: &CancellationToken) {
        let deadlines = [
            self.core.next_deadline_ms(),
            self.planner.next_deadline_ms(),
        ];
        let until_deadline = deadlines
            .into_iter()
            .flatten()
            .min()
            .map_or(IDLE_SLEEP, |at| {
                Duration::from_millis(u64::try_from(at - now_ms).unwrap_or(0))
            });
        let mut nap = until_deadline.clamp(Duration::from_millis(1), IDLE_SLEEP);
        if self.unsettled {
            let until_settled = self.settle_at.saturating_duration_since(Instant::now());
            nap = nap.min(until_settled.max(Duration::from_millis(1)));
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.log.changed_after(self.position) => {}
            () = self.ports.declared.notified() => self.declared_ms = None,
            Some(command) = self.ports.commands.recv() => self.waiting_command = Some(command),
            Some(query) = self.ports.queries.recv() => self.waiting_query = Some(query),
            () = tokio::time::sleep(nap) => {}
        }
    }

    fn take_commands(&mut self, now_ms: Millis) -> Vec<Taken> {
        let mut taken = Vec::new();
        while taken.len() < COMMANDS_PER_STEP {
            let next = self.waiting_command.take();
            let Some(PendingCommand { command, answer }) =
                next.or_else(|| self.ports.commands.try_recv().ok())
            else {
                break;
            };
            match self.core.command(&command, now_ms) {
                Ok(incident) => taken.push(Taken {
                    incident,
                    by: command.by,
                    answer,
                }),
                // Whoever asked may have gone meanwhile.
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        taken
    }

    async fn commit(
        &mut self,
        changes: &[IncidentChange],
        due: &[IncidentNo],
        by: &str,
        now_ms: Millis,
    ) -> Result<(), CorrelatorError> {
        let withdrawn = self.core.take_withdrawn();
        let network = Arc::clone(self.core.network());
        let ground = Ground {
            network: &network,
            versions: self.versions,
        };
        let lost: BTreeMap<_, _> = self
            .core
            .live()
            .map(|live| (live.incident.no, Arc::clone(live.lost)))
            .collect();
        let people = self
            .planner
            .read_people(&self.store, changes, ground, now_ms)
            .await?;
        let mut tx = self.store.begin().await?;
        // Subscriber numbers mean something within one version only.
        if tx.dataset_versions().await? != self.versions {
            return Err(CorrelatorError::NetworkReplaced);
        }
        self.planner
            .write(&mut tx, changes, &lost, people, (ground, now_ms))
            .await?;
        let changed: BTreeSet<IncidentNo> = changes.iter().map(|c| c.incident.no).collect();
        for live in self.core.live() {
            if due.contains(&live.incident.no) && !changed.contains(&live.incident.no) {
                self.planner
                    .look(&mut tx, live.incident, live.lost, ground, now_ms)
                    .await?;
            }
        }
        let end = DeclarationEnd {
            at_ms: now_ms,
            by: by.to_owned(),
            reason: "its incident was ended".to_owned(),
        };
        tx.end_declarations(&withdrawn, &end).await?;
        self.save_position(tx, now_ms).await?;
        self.declarations.withdraw(&withdrawn, &end);
        self.ports.planned.notify_one();
        for change in changes {
            if Experience::concerns(&change.incident) {
                Arc::make_mut(&mut self.experience).note(&change.incident);
            }
            tracing::info!(
                incident = %change.incident.no,
                state = change.incident.state.as_str(),
                cause = change.incident.cause.kind.as_str(),
                affected = change.incident.affected,
                at_risk = change.incident.at_risk,
                revision = change.incident.revision,
                "incident changed"
            );
        }
        Ok(())
    }

    /// Writes the position now and then.
    async fn checkpoint(&mut self, now_ms: Millis) -> Result<(), CorrelatorError> {
        let moved = self.position > self.checkpoint_position
            || self.declarations.position() != self.declared_checkpoint;
        if !moved || now_ms - self.checkpoint_ms < CHECKPOINT_INTERVAL_MS {
            return Ok(());
        }
        let tx = self.store.begin().await?;
        self.save_position(tx, now_ms).await
    }

    /// Commits what `tx` holds, with how far the log and what was declared have been decided.
    async fn save_position(&mut self, mut tx: Tx, now_ms: Millis) -> Result<(), CorrelatorError> {
        let declared = self.declarations.position();
        tx.save_checkpoint_position(self.position, self.core.last_incident_no())
            .await?;
        tx.save_declared_position(declared).await?;
        tx.commit().await?;
        self.checkpoint_position = self.position;
        self.declared_checkpoint = declared;
        self.checkpoint_ms = now_ms;
        Ok(())
    }

    /// Takes over what was declared, changed or ended.
    async fn follow_declarations(&mut self, now_ms: Millis) -> Result<(), CorrelatorError> {
        let asked_ms = self.declared_ms;
        if asked_ms.is_some_and(|at| (0..DECLARED_POLL_MS).contains(&(now_ms - at))) {
            return Ok(());
        }
        self.declared_ms = Some(now_ms);
        let changed = self.declarations.read_changes(&self.store, now_ms).await?;
        self.declare(changed);
        Ok(())
    }

    fn declare(&mut self, ids: BTreeSet<DeclarationId>) {
        let (declarations, core) = (&self.declarations, &mut self.core);
        let network = Arc::clone(core.network());
        let ground = (network.as_ref(), self.map.as_ref());
        for id in ids {
            if let Some(declaration) = aside(|| declarations.resolve(id, ground)) {
                core.declare(declaration);
                self.unsettled = true;
            }
        }
    }

    /// Goes over to a new version of the network, if there is one.
    async fn follow_network(&mut self, now_ms: Millis) -> Result<(), CorrelatorError> {
        if now_ms - self.polled_ms < VERSION_POLL_MS {
            return Ok(());
        }
        self.polled_ms = now_ms;
        if self.store.dataset_versions().await? == self.versions {
            return Ok(());
        }
        let loaded = load_network(&self.store).await?;
        for warning in &loaded.warnings {
            tracing::warn!(%warning, "network");
        }
        tracing::info!(
            topology = loaded.versions.topology,
            subscribers = loaded.versions.subscribers,
            "took over a new version of the network"
        );
        self.versions = loaded.versions;
        self.planner.look_at_all(now_ms);
        self.map = Arc::new(loaded.map);
        self.core.replace_network(Arc::new(loaded.network), now_ms);
        self.core.take_map(Arc::clone(&self.map));
        self.declare(self.declarations.ids());
        self.unsettled = true;
        Ok(())
    }

    /// Builds the core anew from what is committed.
    async fn recover(&mut self, now_ms: Millis) -> Result<(), CorrelatorError> {
        let settings = self.core.settings().clone();
        let restored = restore(
            &self.store,
            settings,
            &mut self.planner,
            &mut self.declarations,
            now_ms,
        )
        .await?;
        self.declared_checkpoint = self.declarations.position();
        self.core = restored.core;
        self.map = restored.map;
        self.experience = Arc::new(restored.experience);
        self.versions = restored.versions;
        self.position = restored.position;
        self.checkpoint_position = restored.position;
        self.snapshots = Snapshots::new(restored.snapshot_position);
        self.unsettled = true;
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        let incidents = self.core.live().map(|live| LiveIncident {
            incident: Arc::clone(live.incident),
            lost: Arc::clone(live.lost),
            at_risk: Arc::clone(live.at_risk),
        });
        let works = self.core.works().map(|(statement, lost)| LiveWork {
            statement: Arc::clone(statement),
            lost: Arc::clone(lost),
        });
        let live = Live {
            network: Arc::clone(self.core.network()),
            map: Arc::clone(&self.map),
            topology_version: self.versions.topology,
            subscribers_version: self.versions.subscribers,
            incidents: incidents.collect(),
            works: works.collect(),
            experience: Arc::clone(&self.experience),
            alarms: self.core.book().active_count() as u64,
            unmapped_alarms: self.core.unmapped_count() as u64,
        };
        self.ports.live.send_replace(Arc::new(live));
    }

    fn answer_queries(&mut self) {
        while let Some(query) = self
            .waiting_query
            .take()
            .or_else(|| self.ports.queries.try_recv().ok())
        {
            let page = alarm_page(&self.core, &query);
            // Whoever asked may have gone meanwhile.
            drop(query.answer.send(page));
        }
    }
}

/// What nobody has seen yet: the value before the correlator's first.
pub fn nothing_live() -> Live {
    Live {
        network: Arc::new(Network::empty()),
        map: Arc::new(NetworkMap::default()),
        topology_version: 0,
        subscribers_version: 0,
        incidents: Vec::new(),
        works: Vec::new(),
        experience: Arc::default(),
        alarms: 0,
        unmapped_alarms: 0,
    }
}

/// Computes for long without keeping a worker of the runtime from the streams: acknowledgements must
/// not wait for thinking. A runtime of one thread has no other worker.
fn aside<T>(compute: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(compute),
        _ => compute(),
    }
}
