//! The stream of incident changes.
//!
//! The live state is replaced as a whole, so what changed is found by comparing revisions with what
//! the client has been sent: a client that falls behind gets the latest revision of each incident.

use super::{IncidentApi, STREAM_AHEAD, store_failed, to_message};
use crate::incident::{Incident, IncidentNo};
use crate::pipeline::live::Live;
use crate::proto::v1;
use crate::rpc::auth::Admission;
use crate::store::IncidentFilter;
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

type Sender = mpsc::Sender<Result<v1::IncidentChange, Status>>;

/// Incidents fetched in one go that came and went between two looks.
const FETCH: usize = 1_000;

pub(super) fn start(
    api: &IncidentApi,
    admission: Option<Admission>,
) -> ReceiverStream<Result<v1::IncidentChange, Status>> {
    let (sender, receiver) = mpsc::channel(STREAM_AHEAD);
    let api = api.clone();
    api.tasks.clone().spawn(async move {
        let failed = tokio::select! {
            outcome = feed(&api, &sender) => outcome.err(),
            () = sender.closed() => None,
            () = revoked(admission) => {
                Some(Status::unauthenticated("the token has been revoked"))
            }
            () = api.shutdown.cancelled() => {
                Some(Status::unavailable("the server is shutting down; watch again"))
            }
        };
        if let Some(status) = failed {
            // A client that has left, or reads nothing, gets no farewell.
            sender.try_send(Err(status)).ok();
        }
    });
    ReceiverStream::new(receiver)
}

async fn revoked(admission: Option<Admission>) {
    match admission {
        Some(admission) => admission.revoked().await,
        None => std::future::pending().await,
    }
}

async fn feed(api: &IncidentApi, sender: &Sender) -> Result<(), Status> {
    // Before the live state, so that nothing can come and go unseen in between.
    let any = IncidentFilter::default();
    let newest = api.store.list_incidents(&any, None, 1).await;
    let newest = newest.map_err(store_failed)?.first().map(|i| i.no);
    let mut live = api.live.clone();
    let present = live.borrow_and_update().clone();
    let mut seen = Seen::default();
    seen.update(&present, newest);
    for shown in &present.incidents {
        if shown.incident.state.is_open() && !send(sender, &shown.incident, false).await {
            return Ok(());
        }
    }
    while live.changed().await.is_ok() {
        let present = live.borrow_and_update().clone();
        let mut changed: BTreeMap<IncidentNo, Incident> = BTreeMap::new();
        for chunk in seen.gone(&present).chunks(FETCH) {
            let stored = api.store.incidents(chunk).await.map_err(store_failed)?;
            changed.extend(stored.into_iter().map(|incident| (incident.no, incident)));
        }
        for shown in &present.incidents {
            changed.insert(shown.incident.no, Incident::clone(&shown.incident));
        }
        changed.retain(|no, incident| seen.revision(*no) < incident.revision);
        seen.update(&present, changed.keys().next_back().copied());
        for incident in changed.values() {
            if !send(sender, incident, true).await {
                return Ok(());
            }
        }
    }
    Err(Status::unavailable(
        "the server is shutting down; watch again",
    ))
}

async fn send(sender: &Sender, incident: &Incident, live: bool) -> bool {
    let change = v1::IncidentChange {
        incident: Some(to_message(incident)),
        live,
    };
    sender.send(Ok(change)).await.is_ok()
}

/// What the client has been sent.
#[derive(Default)]
struct Seen {
    revisions: BTreeMap<IncidentNo, u64>,
    /// Numbers rise, so an incident above it has not been seen at all.
    highest: i64,
}

impl Seen {
    /// The revision that the client has; 0 for none.
    fn revision(&self, no: IncidentNo) -> u64 {
        self.revisions.get(&no).copied().unwrap_or(0)
    }

    /// Incidents that are no longer shown live, or that came and went unseen.
    fn gone(&self, present: &Live) -> Vec<IncidentNo> {
        let shown = |no: &IncidentNo| {
            present
                .incidents
                .binary_search_by_key(no, |live| live.incident.no)
                .is_ok()
        };
        let newest = present
            .incidents
            .last()
            .map_or(0, |live| live.incident.no.0);
        let unseen = (self.highest + 1..newest).map(IncidentNo);
        let known = self.revisions.keys().copied();
        known.chain(unseen).filter(|no| !shown(no)).collect()
    }

    fn update(&mut self, present: &Live, newest: Option<IncidentNo>) {
        self.revisions = present
            .incidents
            .iter()
            .map(|live| (live.incident.no, live.incident.revision))
            .collect();
        let live_newest = self.revisions.keys().next_back().copied();
        let newest = live_newest.max(newest).map_or(0, |no| no.0);
        self.highest = self.highest.max(newest);
    }
}
