//! Incidents in the store, and what operators see and do.

mod calls;
mod growing;
mod kept;
mod worker;

use crate::support::{Backend, TestStore, store};
use forewarn::cli::client::{self, ClientArgs, Connection, connect};
use forewarn::clock::Clock;
use forewarn::experience::{Episode, Experience};
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

async fn save(store: &Store, incident: &Incident, entries: &[TimelineEntry]) {
    let mut tx = store.begin().await.unwrap();
    tx.save_incident(incident, entries).await.unwrap();
    tx.commit().await.unwrap();
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
            works: Vec::new(),
            experience: Arc::default(),
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

    /// Lets these faults be what is remembered.
    pub(crate) fn remember(&self, past: Vec<Episode>) {
        self.live
            .send_modify(|live| Arc::make_mut(live).experience = Arc::new(Experience::new(past)));
    }

    /// A row for a person, not sent for the reason of `decision`, or sent at [`NOW_MS`].
    pub(crate) async fn notice(
        &self,
        incident: &Incident,
        account: &str,
        stage: Stage,
        decision: Decision,
    ) -> NoticeId {
        self.notice_covered(incident, account, (stage, decision), None)
            .await
    }

    /// The same, covered by another incident if one is named.
    pub(crate) async fn notice_covered(
        &self,
        incident: &Incident,
        account: &str,
        (stage, decision): (Stage, Decision),
        covered_by: Option<IncidentNo>,
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
            covered_by,
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
            // The real one forgets what is over for long, or goes on elsewhere.
            Some(incident)
                if !incident.state.is_open()
                    && !live.borrow().incidents.iter().any(|l| l.incident.no == no) =>
            {
                Err(CommandError::NoSuchIncident(no))
            }
            Some(incident) if !incident.state.is_open() => Err(CommandError::WrongState {
                incident: no,
                state: incident.state,
            }),
            Some(mut incident) => {
                match command.action {
                    OperatorAction::Confirm { .. } => incident.state = IncidentState::Confirmed,
                    OperatorAction::Reject { .. } => incident.state = IncidentState::Rejected,
                    OperatorAction::Resolve { .. } => incident.state = IncidentState::Restored,
                    OperatorAction::SetCause {
                        kind,
                        text,
                        resources,
                    } => {
                        incident.cause.kind = kind;
                        incident.cause.text = text;
                        incident.cause.resources = resources;
                        incident.cause.set_by_operator = true;
                    }
                    OperatorAction::WithdrawCause { .. } => incident.cause.set_by_operator = false,
                    // What becomes of two incidents is tested with the real correlator.
                    OperatorAction::Merge { into, .. } => incident.merged_into = Some(into),
                    OperatorAction::Split { resources, .. } => incident.cause.resources = resources,
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
        declared: Arc::default(),
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
