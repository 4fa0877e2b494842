//! Incidents in the store, and what operators see and do.

use crate::support::{Backend, TestStore, store};
use forewarn::cli::client::{self, ClientArgs, Connection, connect};
use forewarn::clock::Clock;
use forewarn::incident::{
    CommandError, Incident, IncidentNo, IncidentState, OperatorAction, TimelineEntry, TimelineKind,
};
use forewarn::notice::plan::{Plan, PlannedNotice};
use forewarn::notice::{Arm, Decision, Facts, NoticeId, PersonKey, Stage};
use forewarn::pipeline::importer::{import_subscribers, import_topology, load_network};
use forewarn::pipeline::live::{CommandSender, Live, LiveIncident, LiveReceiver, PendingCommand};
use forewarn::proto::v1;
use forewarn::proto::v1::care_service_server::CareServiceServer;
use forewarn::proto::v1::incident_service_client::IncidentServiceClient;
use forewarn::proto::v1::incident_service_server::IncidentServiceServer;
use forewarn::proto::v1::notice_service_server::NoticeServiceServer;
use forewarn::rpc::auth::{Caller, Role};
use forewarn::rpc::care::CareApi;
use forewarn::rpc::incident::IncidentApi;
use forewarn::rpc::notice::NoticeApi;
use forewarn::store::{Checkpoint, IncidentFilter, Outcome, Settlement, Store};
use forewarn::subscriber::{
    ChannelKind, ContactKind, ContactPoint, Numbering, Segment, Subscriber,
};
use forewarn::topology::{Element, ElementKind, Link, NetworkDefinition, Redundancy};
use rstest::rstest;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// An incident with nothing remarkable about it; onset at second `no`.
pub(crate) fn incident(no: i64, state: IncidentState) -> Incident {
    serde_json::from_value(serde_json::json!({
        "no": no,
        "state": state.as_str(),
        "cause": {"resources": ["OLT-1"], "kind": "equipment", "text": "", "set_by_operator": false},
        "onset_ms": no * 1_000,
        "detected_ms": no * 1_000 + 500,
        "confirmed_ms": null,
        "restored_ms": (state == IncidentState::Restored).then_some(no * 1_000 + 900),
        "estimate": null,
        "affected": 10, "affected_peak": 12, "at_risk": 1,
        "reopened": 0, "unstable": false, "stale": false, "revision": 1,
        "evidence": [], "evidence_count": 0, "timeline_len": 0,
    }))
    .unwrap()
}

fn entry(at_ms: i64, what: TimelineKind, by: &str) -> TimelineEntry {
    TimelineEntry {
        at_ms,
        what,
        reason: format!("because of {at_ms}"),
        by: by.to_owned(),
    }
}

async fn save(store: &Store, incident: &Incident, entries: &[TimelineEntry]) {
    let mut tx = store.begin().await.unwrap();
    tx.save_incident(incident, entries).await.unwrap();
    tx.commit().await.unwrap();
}

fn numbers(incidents: &[Incident]) -> Vec<i64> {
    incidents.iter().map(|i| i.no.0).collect()
}

#[rstest]
#[tokio::test]
async fn an_incident_is_kept_whole_and_its_timeline_grows(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut first = incident(1, IncidentState::Suspected);
    first.timeline_len = 1;
    let detected = entry(1_500, TimelineKind::Detected, "");
    save(&t.store, &first, std::slice::from_ref(&detected)).await;
    first.state = IncidentState::Confirmed;
    first.revision = 2;
    first.timeline_len = 3;
    let more = [
        entry(2_000, TimelineKind::Confirmed, "noc"),
        entry(2_000, TimelineKind::Note, "noc"),
    ];
    save(&t.store, &first, &more).await;

    assert_eq!(
        t.store.incident(IncidentNo(1)).await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(t.store.incident(IncidentNo(2)).await.unwrap(), None);
    let [confirmed, note] = more;
    assert_eq!(
        t.store.timeline(IncidentNo(1)).await.unwrap(),
        [detected, confirmed, note]
    );
}

#[rstest]
#[tokio::test]
async fn a_start_finds_open_and_lately_restored_incidents(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    for (no, state) in [
        (1, IncidentState::Restored),
        (2, IncidentState::Restored),
        (3, IncidentState::Suspected),
        (4, IncidentState::Rejected),
        (5, IncidentState::Confirmed),
    ] {
        save(&t.store, &incident(no, state), &[]).await;
    }
    assert_eq!(numbers(&t.store.open_incidents().await.unwrap()), [3, 5]);
    let loaded = t.store.load_incidents(2_900).await.unwrap();
    assert_eq!(numbers(&loaded), [2, 3, 5]);
}

#[rstest]
#[tokio::test]
async fn lists_are_filtered_and_paged_newest_first(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    for no in 1..=7 {
        let state = if no % 2 == 0 {
            IncidentState::Restored
        } else {
            IncidentState::Confirmed
        };
        save(&t.store, &incident(no, state), &[]).await;
    }
    let any = IncidentFilter::default();
    let page = t.store.list_incidents(&any, None, 3).await.unwrap();
    assert_eq!(numbers(&page), [7, 6, 5]);
    let page = t
        .store
        .list_incidents(&any, Some(IncidentNo(5)), 3)
        .await
        .unwrap();
    assert_eq!(numbers(&page), [4, 3, 2]);
    let filter = IncidentFilter {
        states: vec![IncidentState::Confirmed, IncidentState::Rejected],
        from_ms: Some(3_000),
        to_ms: Some(7_000),
    };
    let page = t.store.list_incidents(&filter, None, 10).await.unwrap();
    assert_eq!(numbers(&page), [5, 3]);
}

#[rstest]
#[tokio::test]
async fn the_checkpoint_moves_without_losing_the_snapshot(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    assert_eq!(t.store.checkpoint().await.unwrap(), Checkpoint::default());
    let decided = async |position, incident| {
        let mut tx = t.store.begin().await.unwrap();
        tx.save_checkpoint_position(position, incident)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    let long = [b"head".to_vec(), b"live".to_vec(), b"more".to_vec()];
    decided(5, 1).await;
    t.store.save_snapshot(5, &long).await.unwrap();
    decided(10, 2).await;
    let short = [b"head".to_vec(), vec![0; 100_000]];
    t.store.save_snapshot(10, &short).await.unwrap();
    decided(12, 3).await;
    assert_eq!(
        t.store.checkpoint().await.unwrap(),
        Checkpoint {
            position: 12,
            last_incident_no: 3,
            snapshot_position: 10,
        }
    );
    assert_eq!(t.store.snapshot(10).await.unwrap(), short);
    assert!(t.store.snapshot(5).await.unwrap().is_empty());
}

/// A network, its subscribers, and the services for operators and care on a port of their own.
///
/// `olt1` serves A1 (Italian), A2 (English, business) and A3 (Italian, vulnerable); `olt2` serves A4.
/// The role of a caller is the text of the token.
pub(crate) struct World {
    pub(crate) t: TestStore,
    pub(crate) server: String,
    live: Arc<watch::Sender<Arc<Live>>>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

pub(crate) const NOW_MS: i64 = 1_773_133_200_000;

fn element(id: &str, kind: ElementKind) -> Element {
    Element {
        id: id.to_owned(),
        kind,
        name: id.to_owned(),
        site: None,
        gateway: kind == ElementKind::Bng,
        transit: None,
        redundancy: None,
        battery_minutes: None,
    }
}

fn link(a: &str, b: &str) -> Link {
    Link {
        id: format!("{a}--{b}"),
        a: a.to_owned(),
        b: b.to_owned(),
        transit: None,
    }
}

pub(crate) fn network() -> NetworkDefinition {
    let mut elements = vec![
        element("bng", ElementKind::Bng),
        element("olt1", ElementKind::Olt),
        element("olt2", ElementKind::Olt),
    ];
    let mut links = vec![link("bng", "olt1"), link("bng", "olt2")];
    for (olt, no) in [("olt1", 1), ("olt1", 2), ("olt1", 3), ("olt2", 4)] {
        let ont = format!("ont{no}");
        elements.push(element(&ont, ElementKind::Ont));
        links.push(link(olt, &ont));
    }
    NetworkDefinition {
        elements,
        links,
        ..NetworkDefinition::default()
    }
}

pub(crate) fn person(no: u32, language: &str, segment: Segment, vulnerable: bool) -> Subscriber {
    Subscriber {
        account: format!("A{no}"),
        name: format!("Person {no}"),
        language: language.to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        segment,
        vulnerable,
        contact_points: vec![
            ContactPoint {
                kind: ContactKind::Email,
                value: format!("Person.{no}@example.net"),
            },
            ContactPoint {
                kind: ContactKind::Phone,
                value: format!("+39 06 5550 010{no}"),
            },
        ],
        channels: vec![ChannelKind::Email],
        quiet_hours: None,
        consent: true,
        address: format!("Via dei Salumi {no}, Roma"),
        position: None,
        served_by: vec![format!("ont{no}")],
        redundancy: Redundancy::Any,
        cpe_serial: format!("CPE000{no}"),
    }
}

impl World {
    pub(crate) async fn start(backend: Backend) -> Self {
        let t = store(backend).await;
        let quiet = |_, _, _| {};
        import_topology(&t.store, network(), NOW_MS, &quiet)
            .await
            .unwrap();
        let people = vec![
            person(1, "it", Segment::Residential, false),
            person(2, "en", Segment::Business, false),
            person(3, "it-IT", Segment::Residential, true),
            person(4, "it", Segment::Residential, false),
        ];
        import_subscribers(&t.store, people, NOW_MS, &quiet)
            .await
            .unwrap();
        let loaded = load_network(&t.store).await.unwrap();
        let (live, receiver) = watch::channel(Arc::new(Live {
            network: Arc::new(loaded.network),
            map: Arc::new(loaded.map),
            topology_version: loaded.versions.topology,
            subscribers_version: loaded.versions.subscribers,
            incidents: Vec::new(),
            alarms: 0,
            unmapped_alarms: 0,
        }));
        let live = Arc::new(live);
        let (commands, pending) = mpsc::channel(8);
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(stand_in(t.store.clone(), Arc::clone(&live), pending));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let clock = Clock::manual(NOW_MS);
        let routes = routes(&t.store, receiver, commands, &clock, &shutdown);
        let stop = shutdown.clone();
        tasks.spawn(async move {
            Server::builder()
                .add_routes(routes)
                .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop.cancelled_owned())
                .await
                .unwrap();
        });
        Self {
            t,
            server,
            live,
            shutdown,
            tasks,
        }
    }

    /// Stores incidents and shows them, each with the failure of the element `down`.
    pub(crate) async fn show(&self, incidents: &[(Incident, &str)]) {
        let mut tx = self.t.store.begin().await.unwrap();
        for (incident, _) in incidents {
            tx.save_incident(incident, &[]).await.unwrap();
        }
        tx.commit().await.unwrap();
        let shown = incidents
            .iter()
            .filter(|(incident, _)| incident.state != IncidentState::Rejected);
        self.live.send_modify(|live| {
            let live = Arc::make_mut(live);
            live.incidents = shown
                .map(|(incident, down)| LiveIncident {
                    incident: Arc::new(incident.clone()),
                    lost: Arc::new(live.network.lost(&[live.network.part(down).unwrap()])),
                    at_risk: Arc::default(),
                })
                .collect();
        });
    }

    /// A row for a person, not sent for the reason of `decision`, or sent at [`NOW_MS`].
    pub(crate) async fn notice(
        &self,
        incident: &Incident,
        account: &str,
        stage: Stage,
        decision: Decision,
    ) -> NoticeId {
        let id = NoticeId(Uuid::from_u128(
            u128::try_from(incident.no.0).unwrap() << 64
                | u128::from(account.as_bytes()[1]) << 8
                | stage as u128,
        ));
        let planned_at_ms = incident.detected_ms;
        let notice = PlannedNotice {
            id,
            incident: incident.no,
            account: account.to_owned(),
            episode: incident.reopened,
            stage,
            stage_no: 0,
            decision,
            covered_by: None,
            person: PersonKey {
                cluster: "olt1".to_owned(),
                arm: Arm::NotAssigned,
                segment: Segment::Residential,
                vulnerable: false,
                language: "it".to_owned(),
                channel: Some(ChannelKind::Email),
            },
            planned_at_ms,
            available_at_ms: planned_at_ms,
            useless_after_ms: i64::MAX,
            facts: Facts::of(incident),
        };
        let mut tx = self.t.store.begin().await.unwrap();
        let notices = vec![notice];
        let cancel = Vec::new();
        tx.write_plan(&Plan {
            notices,
            cancel,
            ..Plan::default()
        })
        .await
        .unwrap();
        for claimed in tx.claim_notices(NOW_MS, NOW_MS + 1, 10).await.unwrap() {
            let outcome = Outcome::Sent {
                facts: Facts::of(incident),
                template_version: "1".to_owned(),
                subject: format!("About {}", incident.no),
                body: format!("Dear {account}"),
            };
            let settlement = Settlement {
                id: claimed.id,
                attempt: claimed.attempt,
                at_ms: NOW_MS,
                outcome,
            };
            tx.settle_notices(&[settlement]).await.unwrap();
        }
        tx.commit().await.unwrap();
        id
    }

    /// What a client command is given to reach this world.
    pub(crate) fn args(&self, role: &str) -> ClientArgs {
        ClientArgs {
            server: self.server.clone(),
            token: Some(role.to_owned()),
            ca: None,
            client_cert: None,
            client_key: None,
            json: false,
        }
    }

    async fn incidents(&self, role: &str) -> IncidentServiceClient<Connection> {
        client::incidents(&connect(&self.args(role)).await.unwrap())
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(task) = self.tasks.join_next().await {
            task.unwrap();
        }
    }
}

/// Does what a command asks, as the correlator would: commit, show, answer.
async fn stand_in(
    store: Store,
    live: Arc<watch::Sender<Arc<Live>>>,
    mut pending: mpsc::Receiver<PendingCommand>,
) {
    while let Some(PendingCommand { command, answer }) = pending.recv().await {
        let no = command.incident;
        let outcome = match store.incident(no).await.unwrap() {
            None => Err(CommandError::NoSuchIncident(no)),
            Some(incident) if !incident.state.is_open() => Err(CommandError::WrongState {
                incident: no,
                state: incident.state,
            }),
            Some(mut incident) => {
                match command.action {
                    OperatorAction::Confirm { .. } => incident.state = IncidentState::Confirmed,
                    OperatorAction::Reject { .. } => incident.state = IncidentState::Rejected,
                    OperatorAction::Resolve { .. } => incident.state = IncidentState::Restored,
                    OperatorAction::SetCause { kind, text } => {
                        incident.cause.kind = kind;
                        incident.cause.text = text;
                    }
                    OperatorAction::SetEstimate(estimate) => incident.estimate = estimate,
                    OperatorAction::AddNote { .. } => {}
                }
                incident.revision += 1;
                save(&store, &incident, &[]).await;
                live.send_modify(|live| {
                    let shown = &mut Arc::make_mut(live).incidents;
                    shown.retain(|l| l.incident.no != no || incident.state.is_open());
                    for l in shown.iter_mut().filter(|l| l.incident.no == no) {
                        l.incident = Arc::new(incident.clone());
                    }
                });
                Ok(incident)
            }
        };
        answer.send(outcome).ok();
    }
}

fn routes(
    store: &Store,
    live: LiveReceiver,
    commands: CommandSender,
    clock: &Clock,
    shutdown: &CancellationToken,
) -> Routes {
    let domain = "mail.example.net".to_owned();
    let incident = IncidentApi {
        store: store.clone(),
        live: live.clone(),
        commands,
        clock: clock.clone(),
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
    };
    let notice = NoticeApi {
        store: store.clone(),
        clock: clock.clone(),
        useful_for_ms: 3_600_000,
        message_id_domain: domain.clone(),
    };
    let care = CareApi {
        store: store.clone(),
        live,
        clock: clock.clone(),
        message_id_domain: domain,
        numbering: Numbering {
            country_code: "39".to_owned(),
            trunk_prefix: String::new(),
        },
    };
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(forewarn::proto::DESCRIPTOR_SET)
    };
    Routes::new(reflection().build_v1().unwrap())
        .add_service(reflection().build_v1alpha().unwrap())
        .add_service(IncidentServiceServer::with_interceptor(incident, identify))
        .add_service(NoticeServiceServer::with_interceptor(notice, identify))
        .add_service(CareServiceServer::with_interceptor(care, identify))
}

#[allow(clippy::unnecessary_wraps, reason = "the form that tonic asks for")]
fn identify(mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
    let token = request.metadata().get("authorization").cloned();
    let role = token
        .as_ref()
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .and_then(Role::parse);
    if let Some(role) = role {
        let name = format!("the {}", role.as_str());
        request.extensions_mut().insert(Caller { name, role });
    }
    Ok(request)
}

fn requested<T>(result: Result<tonic::Response<T>, Status>) -> Result<T, Code> {
    result
        .map(tonic::Response::into_inner)
        .map_err(|status| status.code())
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    violations.iter().map(|v| v.field.clone()).collect()
}

#[tokio::test]
async fn commands_are_answered_after_their_commit() {
    let world = World::start(Backend::Sqlite).await;
    world
        .show(&[(incident(1, IncidentState::Suspected), "olt1")])
        .await;
    let mut api = world.incidents("operator").await;
    let confirm = v1::ConfirmIncidentRequest {
        id: "inc-1".to_owned(),
        note: String::new(),
    };
    let confirmed = requested(api.confirm_incident(confirm).await).unwrap();
    assert_eq!(confirmed.state(), v1::IncidentState::Confirmed);
    assert_eq!(confirmed.revision, 2);
    let estimate = v1::SetEstimateRequest {
        id: "1".to_owned(),
        from_ms: NOW_MS + 1,
        to_ms: NOW_MS + 2,
    };
    let set = requested(api.set_estimate(estimate).await).unwrap();
    assert_eq!(
        (set.estimate_from_ms, set.estimate_to_ms),
        (NOW_MS + 1, NOW_MS + 2)
    );
    let cause = v1::SetCauseRequest {
        id: "INC-1".to_owned(),
        kind: "power".to_owned(),
        text: "mains".to_owned(),
    };
    let set = requested(api.set_cause(cause).await).unwrap();
    assert_eq!(set.cause.unwrap().kind, "power");
    let reject = v1::RejectIncidentRequest {
        id: "INC-1".to_owned(),
        reason: "a test of ours".to_owned(),
    };
    let over = requested(api.reject_incident(reject.clone()).await).unwrap();
    let expected = (over.estimate_from_ms, over.estimate_to_ms);
    assert_eq!(expected, (0, 0), "nothing is expected of what is over");
    let again = requested(api.reject_incident(reject).await);
    assert_eq!(again.unwrap_err(), Code::FailedPrecondition);
    let note = v1::AddNoteRequest {
        id: "INC-9".to_owned(),
        text: "who?".to_owned(),
    };
    let unknown = requested(api.add_note(note).await);
    assert_eq!(unknown.unwrap_err(), Code::NotFound);
    world.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_by_field() {
    let world = World::start(Backend::Sqlite).await;
    world
        .show(&[(incident(1, IncidentState::Confirmed), "olt1")])
        .await;
    let mut api = world.incidents("operator").await;
    let estimate = |from_ms, to_ms| v1::SetEstimateRequest {
        id: "INC-1".to_owned(),
        from_ms,
        to_ms,
    };
    for (request, field) in [
        (estimate(NOW_MS - 1, NOW_MS + 1), "from_ms"),
        (estimate(NOW_MS + 2, NOW_MS + 1), "to_ms"),
        (estimate(0, NOW_MS + 1), "from_ms"),
        (estimate(NOW_MS + 1, i64::MAX), "to_ms"),
        (
            estimate(NOW_MS + 1, NOW_MS + 1_001 * 24 * 3_600_000),
            "to_ms",
        ),
    ] {
        let status = api.set_estimate(request).await.unwrap_err();
        assert_eq!(fields(&status), [field]);
    }
    for unfit in [" ", "a\0b", "\u{1b}[31mred"] {
        let request = v1::RejectIncidentRequest {
            id: "INC-1".to_owned(),
            reason: unfit.to_owned(),
        };
        let status = api.reject_incident(request).await.unwrap_err();
        assert_eq!(fields(&status), ["reason"]);
    }
    let id = "fibre".to_owned();
    let status = api
        .get_incident(v1::GetIncidentRequest { id })
        .await
        .unwrap_err();
    assert_eq!(fields(&status), ["id"]);
    let too_many = v1::ListIncidentsRequest {
        page_size: 501,
        ..v1::ListIncidentsRequest::default()
    };
    let status = api.list_incidents(too_many).await.unwrap_err();
    assert_eq!(fields(&status), ["page_size"]);
    let nul = v1::ListNoticesRequest {
        account: "a\0b".to_owned(),
        ..v1::ListNoticesRequest::default()
    };
    let mut notices = client::notices(&connect(&world.args("operator")).await.unwrap());
    let status = notices.list_notices(nul).await.unwrap_err();
    assert_eq!(fields(&status), ["account"]);
    let nonsense = v1::ListAffectedRequest {
        incident_id: "INC-1".to_owned(),
        decision: "nonsense".to_owned(),
        ..v1::ListAffectedRequest::default()
    };
    let status = api.list_affected(nonsense).await.unwrap_err();
    assert_eq!(fields(&status), ["decision"]);
    world.stop().await;
}

#[tokio::test]
async fn care_may_look_but_not_act_and_ingest_neither() {
    let world = World::start(Backend::Sqlite).await;
    world
        .show(&[(incident(1, IncidentState::Suspected), "olt1")])
        .await;
    for (role, look, act) in [
        ("care", None, Some(Code::PermissionDenied)),
        (
            "ingest",
            Some(Code::PermissionDenied),
            Some(Code::PermissionDenied),
        ),
        (
            "nobody",
            Some(Code::Unauthenticated),
            Some(Code::Unauthenticated),
        ),
        ("admin", None, None),
    ] {
        let mut api = world.incidents(role).await;
        let id = "INC-1".to_owned();
        let got = api.get_incident(v1::GetIncidentRequest { id }).await;
        assert_eq!(requested(got).err(), look, "{role}");
        let confirm = v1::ConfirmIncidentRequest {
            id: "INC-1".to_owned(),
            note: String::new(),
        };
        let done = api.confirm_incident(confirm).await;
        assert_eq!(requested(done).err(), act, "{role}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_watcher_sees_the_open_ones_and_then_every_end() {
    let world = World::start(Backend::Sqlite).await;
    let restored = incident(1, IncidentState::Restored);
    let open = incident(2, IncidentState::Suspected);
    world
        .show(&[(restored, "olt2"), (open.clone(), "olt1")])
        .await;
    let mut api = world.incidents("care").await;
    let watch = v1::WatchIncidentsRequest {};
    let mut changes = requested(api.watch_incidents(watch).await).unwrap();
    let mut next = async || {
        let change = changes.message().await.unwrap().unwrap();
        let incident = change.incident.unwrap();
        (incident.id.clone(), incident.state(), change.live)
    };
    let suspected = v1::IncidentState::Suspected;
    assert_eq!(next().await, ("INC-2".to_owned(), suspected, false));

    // Leaves the live view with its last change, and one more came and went in between.
    let mut rejected = open;
    rejected.state = IncidentState::Rejected;
    rejected.revision += 1;
    let unseen = incident(3, IncidentState::Rejected);
    let new = incident(4, IncidentState::Confirmed);
    world
        .show(&[(rejected, "olt1"), (unseen, "olt1"), (new, "olt1")])
        .await;
    let (confirmed, gone) = (v1::IncidentState::Confirmed, v1::IncidentState::Rejected);
    assert_eq!(next().await, ("INC-2".to_owned(), gone, true));
    assert_eq!(next().await, ("INC-3".to_owned(), gone, true));
    assert_eq!(next().await, ("INC-4".to_owned(), confirmed, true));

    world.shutdown.cancel();
    let end = changes.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    world.stop().await;
}

async fn affected(world: &World, request: v1::ListAffectedRequest) -> Vec<String> {
    let mut api = world.incidents("operator").await;
    let mut people = requested(api.list_affected(request).await).unwrap();
    let mut lines = Vec::new();
    while let Some(p) = people.message().await.unwrap() {
        let of = [p.account, p.name, p.impact, p.decision, p.notice_state];
        lines.push(of.join(" "));
    }
    lines.sort();
    lines
}

#[rstest]
#[tokio::test]
async fn the_affected_are_listed_with_what_each_was_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::start(backend).await;
    let mut fault = incident(1, IncidentState::Confirmed);
    world.show(&[(fault.clone(), "olt1")]).await;
    world
        .notice(&fault, "A1", Stage::First, Decision::HeldOut)
        .await;
    world
        .notice(&fault, "A2", Stage::First, Decision::Send)
        .await;
    let all = v1::ListAffectedRequest {
        incident_id: "INC-1".to_owned(),
        ..v1::ListAffectedRequest::default()
    };
    let (a1, a2, a3) = (
        "A1 Person 1 lost held_out not_sent",
        "A2 Person 2 lost send sent",
        "A3 Person 3 lost  ",
    );
    assert_eq!(affected(&world, all.clone()).await, [a1, a2, a3]);
    let italian = v1::ListAffectedRequest {
        language: "it".to_owned(),
        ..all.clone()
    };
    assert_eq!(affected(&world, italian).await, [a1, a3]);
    let business = v1::ListAffectedRequest {
        segment: "business".to_owned(),
        ..all.clone()
    };
    assert_eq!(affected(&world, business).await, [a2]);
    let vulnerable = v1::ListAffectedRequest {
        vulnerable_only: true,
        ..all.clone()
    };
    assert_eq!(affected(&world, vulnerable).await, [a3]);
    let held_out = v1::ListAffectedRequest {
        decision: "held_out".to_owned(),
        ..all.clone()
    };
    assert_eq!(affected(&world, held_out).await, [a1]);

    // Closed: what is left are the notices.
    fault.state = IncidentState::Restored;
    fault.revision += 1;
    world.show(&[(fault, "olt1")]).await;
    assert_eq!(affected(&world, all).await, [a1, a2]);
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn notices_are_listed_counted_and_shown(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::start(backend).await;
    let fault = incident(1, IncidentState::Confirmed);
    world.show(&[(fault.clone(), "olt1")]).await;
    let held = world
        .notice(&fault, "A1", Stage::First, Decision::HeldOut)
        .await;
    let sent = world
        .notice(&fault, "A2", Stage::First, Decision::Send)
        .await;
    let mut incidents = world.incidents("care").await;
    let page = v1::ListIncidentsRequest::default();
    let listed = requested(incidents.list_incidents(page).await).unwrap();
    let counts: Vec<_> = listed.incidents[0].notices.clone().into_iter().collect();
    assert_eq!(counts, [("held_out".to_owned(), 1), ("sent".to_owned(), 1)]);

    let connection = connect(&world.args("operator")).await.unwrap();
    let mut api = client::notices(&connection);
    let mut request = v1::ListNoticesRequest {
        incident_id: "INC-1".to_owned(),
        page_size: 1,
        ..v1::ListNoticesRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let page = requested(api.list_notices(request.clone()).await).unwrap();
        found.extend(page.notices.into_iter().map(|notice| notice.id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    found.sort();
    let mut expected = [held.to_string(), sent.to_string()];
    expected.sort();
    assert_eq!(found, expected);

    let id = sent.to_string();
    let notice = requested(api.get_notice(v1::GetNoticeRequest { id }).await).unwrap();
    assert_eq!(
        (notice.state.as_str(), notice.text.as_str()),
        ("sent", "Dear A2")
    );
    let id = sent.to_string();
    let redriven = api.redrive_notice(v1::RedriveNoticeRequest { id }).await;
    assert_eq!(requested(redriven).unwrap_err(), Code::FailedPrecondition);
    let wrong = v1::ListNoticesRequest {
        stage: "last".to_owned(),
        ..v1::ListNoticesRequest::default()
    };
    let status = api.list_notices(wrong).await.unwrap_err();
    assert_eq!(fields(&status), ["stage"]);
    world.stop().await;
}
