//! How the correlator comes back after a restart: a copy of the live alarms now and then, and from it,
//! the log and what was declared the core as it was.
//!
//! Invariants: a copy is as of a committed position; it is made page by page, and written beside the
//! work of the correlator, so that neither alarms nor decisions wait long.

use crate::alarm::{AlarmBook, BookError};
use crate::clock::Millis;
use crate::experience::{Experience, KEPT, KEPT_FOR_MS};
use crate::geography::NetworkMap;
use crate::incident::{Correlator, CorrelatorSettings, Declaration};
use crate::pipeline::correlator::{CorrelatorError, ENTRIES_PER_STEP};
use crate::pipeline::declarations::Declarations;
use crate::pipeline::importer::load_network;
use crate::pipeline::planner::Planner;
use crate::store::{DatasetVersions, Store, StoreError};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Live alarms are copied after so many entries at least, which bounds what a restart replays.
const ENTRIES_PER_SNAPSHOT: i64 = 500_000;
/// And after so many times as many entries as there are alarms: a copy costs about as much as
/// taking the alarms in that it holds.
const ENTRIES_PER_ALARM: i64 = 4;

/// The copies of the live alarms.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// Position of the latest copy that is whole.
    position: i64,
    /// Writes one; answers its position.
    writing: JoinSet<Result<i64, StoreError>>,
}

impl Snapshots {
    /// Goes on from the copy as of that position.
    pub(super) fn new(position: i64) -> Self {
        Self {
            position,
            writing: JoinSet::new(),
        }
    }

    /// Begins a copy if it is time. The core must be as of `position`, and that committed.
    pub(super) async fn save(
        &mut self,
        store: &Store,
        core: &Correlator,
        position: i64,
    ) -> Result<(), CorrelatorError> {
        while let Some(ended) = self.writing.try_join_next() {
            match ended {
                Ok(Ok(position)) => self.position = position,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the live alarms could not be copied; a restart takes longer");
                }
                Err(error) => tracing::error!(%error, "copying the live alarms failed"),
            }
        }
        let places = i64::try_from(core.book().places()).unwrap_or(i64::MAX);
        let spacing = ENTRIES_PER_SNAPSHOT.max(places.saturating_mul(ENTRIES_PER_ALARM));
        if !self.writing.is_empty() || position - self.position < spacing {
            return Ok(());
        }
        let mut pages = Vec::new();
        for page in core.book().pages() {
            pages.push(page?);
            tokio::task::yield_now().await;
        }
        let store = store.clone();
        self.writing.spawn(async move {
            store.save_snapshot(position, &pages).await?;
            Ok(position)
        });
        Ok(())
    }
}

/// A core that has come back.
pub(super) struct Restored {
    pub(super) core: Correlator,
    pub(super) map: Arc<NetworkMap>,
    pub(super) experience: Experience,
    pub(super) versions: DatasetVersions,
    pub(super) position: i64,
    pub(super) snapshot_position: i64,
}

/// The core as of the committed position: the last copy of the alarms, the log from there, and the
/// incidents.
pub(super) async fn restore(
    store: &Store,
    settings: CorrelatorSettings,
    planner: &mut Planner,
    declarations: &mut Declarations,
    now_ms: Millis,
) -> Result<Restored, CorrelatorError> {
    let loaded = load_network(store).await?;
    for warning in &loaded.warnings {
        tracing::warn!(%warning, "network");
    }
    let checkpoint = store.checkpoint().await?;
    let pages = store.snapshot(checkpoint.snapshot_position).await?;
    let (mut book, mut at) = match AlarmBook::from_pages(pages.iter().map(Vec::as_slice)) {
        Ok(book) => (book, checkpoint.snapshot_position),
        Err(BookError::Version(version)) => {
            tracing::warn!(
                version,
                "the copy of the live alarms is of another form; reading the whole log"
            );
            (AlarmBook::new(), 0)
        }
        Err(error) => return Err(error.into()),
    };
    drop(pages);
    let snapshot_position = at;
    while at < checkpoint.position {
        let entries = store.alarms_after(at, ENTRIES_PER_STEP).await?;
        let due = entries
            .iter()
            .take_while(|entry| entry.position <= checkpoint.position);
        for entry in due {
            book.apply(entry);
        }
        at = entries
            .last()
            .map_or(checkpoint.position, |entry| entry.position);
    }
    let incidents = store
        .load_incidents(now_ms - settings.reopen_within_ms)
        .await?;
    let episodes = store.ended_episodes(now_ms - KEPT_FOR_MS, KEPT).await?;
    planner.restart(&store.mergers().await?);
    declarations.load(store, &incidents, now_ms).await?;
    let (network, map) = (Arc::new(loaded.network), Arc::new(loaded.map));
    let ground = (network.as_ref(), map.as_ref());
    let declared = declarations.ids().into_iter();
    let declared = declared.filter_map(|id| declarations.resolve(id, ground));
    let declared: Vec<Declaration> = declared.collect();
    let last_no = checkpoint.last_incident_no;
    let mut core = Correlator::restore(settings, network, book, incidents, last_no);
    core.take_map(Arc::clone(&map));
    core.resume(declared);
    Ok(Restored {
        core,
        map,
        experience: Experience::new(episodes),
        versions: loaded.versions,
        position: checkpoint.position,
        snapshot_position,
    })
}
