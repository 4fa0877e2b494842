//! What people declare, through the whole service: from the call to the notices, and back, with the
//! service stopped in the middle of it again and again.

use crate::support::{Backend, postgres_schema_url};
use forewarn::app::{App, Listeners, Running};
use forewarn::cli::client::{self, BearerToken, Connection};
use forewarn::clock::Clock;
use forewarn::config::Config;
use forewarn::generate::{GenerateSettings, Generated, generate};
use forewarn::incident::{Incident, IncidentState, TimelineKind};
use forewarn::notice::{Decision, NoticeState, Stage};
use forewarn::pipeline::importer::{import_subscribers, import_topology, load_network};
use forewarn::proto::v1;
use forewarn::proto::v1::stream_alarms_request::Message as Out;
use forewarn::proto::v1::stream_alarms_response::Message as In;
use forewarn::rpc::auth::{Role, new_token};
use forewarn::store::{IncidentFilter, NoticeFilter, NoticePage, NoticeRecord, Store};
use forewarn::topology::{ElementKind, ElementNo, Network, Part, Position};
use rstest::rstest;
use std::collections::BTreeSet;
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// 2026-03-10 10:00 in Rome: nobody sleeps.
const NOW_MS: i64 = 1_773_133_200_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A network, its people, and the service, which can be stopped at any time.
struct World {
    generated: Generated,
    network: Network,
    clock: Clock,
    store: Store,
    config: Config,
    secret: String,
    running: Option<Running>,
    sequence: u64,
    _dir: tempfile::TempDir,
}

impl World {
    async fn start(backend: Backend) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = match backend {
            Backend::Sqlite => format!("sqlite:{}", dir.path().join("t.db").display()),
            Backend::Postgres => postgres_schema_url().await,
        };
        let store = Store::open(&url).await.unwrap();
        let generated = generate(&GenerateSettings::embedded(2_000, 1).unwrap()).unwrap();
        let quiet = |_, _, _| {};
        let mut people = generated.subscribers.clone();
        for person in &mut people {
            person.quiet_hours = None;
            "Europe/Rome".clone_into(&mut person.time_zone);
        }
        import_topology(&store, generated.definition.clone(), NOW_MS, &quiet)
            .await
            .unwrap();
        import_subscribers(&store, people, NOW_MS, &quiet)
            .await
            .unwrap();
        let (secret, token) = new_token("noc-1", Role::Admin, NOW_MS);
        store.add_token(&token).await.unwrap();
        let settings = [
            ("FOREWARN_DATABASE__URL", url),
            (
                "FOREWARN_EMAIL__DIRECTORY",
                dir.path().join("mail").display().to_string(),
            ),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        let mut world = Self {
            network: load_network(&store).await.unwrap().network,
            generated,
            clock: Clock::manual(NOW_MS),
            config: Config::load(None, settings.into_iter()).unwrap(),
            store,
            secret,
            running: None,
            sequence: 0,
            _dir: dir,
        };
        world.run().await;
        world
    }

    /// Starts the service on the state of the database.
    async fn run(&mut self) {
        let listeners = Listeners {
            rpc: Some(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()),
            web: Some(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()),
        };
        let clock = self.clock.clone();
        self.running = Some(App::start(&self.config, listeners, clock).await.unwrap());
    }

    /// Drops every task where it stands, and starts again when what was just being sent may be sent
    /// again.
    async fn crash(&mut self) {
        drop(self.running.take());
        self.clock
            .advance_ms(i64::from(self.config.email.lease_s) * 1_000);
        self.run().await;
    }

    async fn connection(&self) -> Connection {
        let address = self.running.as_ref().unwrap().rpc_address;
        let endpoint =
            tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect().await.unwrap();
        InterceptedService::new(channel, BearerToken::new(Some(&self.secret)).unwrap())
    }

    async fn incidents(&self) -> Vec<Incident> {
        let any = IncidentFilter::default();
        let mut all = self.store.list_incidents(&any, None, 100).await.unwrap();
        all.reverse();
        all
    }

    /// The only incident, once it is as wanted.
    async fn incident(&self, wanted: impl Fn(&Incident) -> bool) -> Incident {
        for _ in 0..400 {
            let all = self.incidents().await;
            assert!(all.len() <= 1, "{all:?}");
            if let Some(incident) = all.into_iter().next().filter(&wanted) {
                return incident;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?}", self.incidents().await);
    }

    async fn notices(&self, stage: Stage) -> Vec<NoticeRecord> {
        let filter = NoticeFilter {
            stage: Some(stage),
            ..NoticeFilter::default()
        };
        let page = NoticePage {
            after: None,
            size: 5_000,
        };
        self.store.list_notices(&filter, page).await.unwrap().0
    }

    /// The notices of a stage, once so many are there and none waits.
    async fn sent(&self, stage: Stage, count: usize) -> Vec<NoticeRecord> {
        for _ in 0..400 {
            let notices = self.notices(stage).await;
            let waiting = notices.iter().any(|n| n.state == NoticeState::Pending);
            if notices.len() >= count && !waiting {
                return notices;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} of {count}", self.notices(stage).await.len());
    }

    /// Those who live within so many metres.
    fn within(&self, centre: Position, radius_m: f64) -> BTreeSet<String> {
        let area = forewarn::geography::Area::within_metres(centre, radius_m).unwrap();
        let people = self.generated.subscribers.iter();
        let inside = people.filter(|p| p.position.is_some_and(|at| area.contains(at)));
        inside.map(|p| p.account.clone()).collect()
    }

    /// An OLT with people behind it, and who they are.
    fn olt(&self) -> (String, BTreeSet<String>) {
        let elements = (0..u32::try_from(self.network.element_count()).unwrap()).map(ElementNo);
        let mut olts = elements.filter(|e| self.network.kind(*e) == ElementKind::Olt);
        let lost = |e: ElementNo| self.network.lost_alone(Part::Element(e));
        let olt = olts.find(|e| lost(*e).len() > 20).unwrap();
        let lost = lost(olt);
        let people = self.network.subscribers(&lost);
        (
            self.network.part_id(Part::Element(olt)).to_owned(),
            people.map(|s| self.network.account(s).to_owned()).collect(),
        )
    }

    fn behind(&self, id: &str) -> BTreeSet<String> {
        let lost = self.network.lost_alone(self.network.part(id).unwrap());
        let people = self.network.subscribers(&lost);
        people.map(|s| self.network.account(s).to_owned()).collect()
    }

    fn ports_of(&self, olt: &str) -> Vec<String> {
        let Some(Part::Element(olt)) = self.network.part(olt) else {
            panic!("{olt} is no element");
        };
        let ports = self.network.children(olt);
        let ports = ports.filter(|e| self.network.kind(*e) == ElementKind::PonPort);
        ports
            .map(|e| self.network.part_id(Part::Element(e)).to_owned())
            .collect()
    }

    /// Of the PON ports of an OLT the one with the fewest people, and who they are.
    fn smallest_port(&self, olt: &str) -> (String, BTreeSet<String>) {
        let ports = self.ports_of(olt).into_iter();
        let ports = ports.map(|port| (self.behind(&port), port));
        let (people, port) = ports
            .filter(|(people, _)| people.len() > 1)
            .min_by_key(|(people, _)| people.len())
            .unwrap();
        (port, people)
    }

    fn homes_of(&self, accounts: &BTreeSet<String>) -> Vec<String> {
        let people = accounts.iter().filter_map(|a| self.network.subscriber(a));
        let homes = people.flat_map(|person| self.network.serving(person));
        homes
            .map(|home| self.network.part_id(Part::Element(home)).to_owned())
            .collect()
    }

    /// Reports an alarm and waits until it is kept.
    async fn alarm(&mut self, kind: v1::AlarmEventKind, resource: &str) {
        self.sequence += 1;
        let hello = v1::Hello {
            source: "noc".to_owned(),
            heartbeat_interval_s: 0,
        };
        let event = v1::AlarmEvent {
            kind: kind.into(),
            resource: resource.to_owned(),
            alarm_type: "unreachable".to_owned(),
            severity: v1::Severity::Critical.into(),
            event_time_ms: self.clock.now_ms(),
            ..v1::AlarmEvent::default()
        };
        let requests = [(0, Out::Hello(hello)), (self.sequence, Out::Event(event))];
        let requests = requests.map(|(sequence, message)| v1::StreamAlarmsRequest {
            sequence,
            message: Some(message),
        });
        let mut service = client::alarms(&self.connection().await);
        let stream = tokio_stream::iter(requests);
        let mut answers = service.stream_alarms(stream).await.unwrap().into_inner();
        while let Some(answer) = answers.message().await.unwrap() {
            match answer.message {
                Some(In::Committed(c)) if c.through_sequence == self.sequence => return,
                Some(In::Rejected(rejected)) => panic!("{rejected:?}"),
                _ => {}
            }
        }
        panic!("the alarm was not committed");
    }

    /// Lets time pass, and the correlator see it.
    async fn pass(&self, ms: i64) {
        self.clock.advance_ms(ms);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

fn accounts(notices: &[NoticeRecord]) -> BTreeSet<String> {
    let accounts: BTreeSet<String> = notices.iter().map(|n| n.account.clone()).collect();
    assert_eq!(accounts.len(), notices.len(), "one for each person");
    accounts
}

fn told(notices: &[NoticeRecord]) -> BTreeSet<String> {
    let told = notices.iter().filter(|n| n.state == NoticeState::Sent);
    told.map(|n| n.account.clone()).collect()
}

fn refused_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let fields = &details.bad_request().unwrap().field_violations;
    fields.iter().map(|v| v.field.clone()).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_area_tells_those_inside_and_its_end_tells_them_too(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut world = World::start(backend).await;
    let centre = world.generated.subscribers[7].position.unwrap();
    let radius_m = [500.0, 2_000.0, 8_000.0, 30_000.0]
        .into_iter()
        .find(|radius| world.within(centre, *radius).len() >= 10)
        .unwrap();
    let inside = world.within(centre, radius_m);
    assert!(inside.len() < 2_000, "not everybody");
    let disc = v1::Disc {
        centre: Some(v1::Position {
            latitude: centre.latitude,
            longitude: centre.longitude,
        }),
        radius_m,
    };
    let request = v1::DeclareAreaRequest {
        area: Some(v1::AreaInput {
            document: Some(v1::area_input::Document::Disc(disc)),
            name: "Old town".to_owned(),
            affects: "service_lost_inside".to_owned(),
            onset_ms: NOW_MS - 10 * MINUTE,
            ..v1::AreaInput::default()
        }),
        request_id: "cut-1".to_owned(),
    };
    let mut areas = client::areas(&world.connection().await);
    let declared = areas.declare_area(request.clone()).await.unwrap();
    let id = declared.into_inner().area.unwrap().id;
    // Whether or not the correlator has read of it.
    world.crash().await;
    let incident = world
        .incident(|incident| incident.state == IncidentState::Confirmed)
        .await;
    assert_eq!(incident.affected, inside.len() as u64);
    assert_eq!(incident.onset_ms, NOW_MS - 10 * MINUTE);
    assert_eq!(incident.declared[0].id.to_string(), id);
    let first = world.sent(Stage::First, inside.len()).await;
    assert_eq!(accounts(&first), inside);
    let told_first = told(&first);
    assert!(!told_first.is_empty());
    for notice in &first {
        assert_eq!(
            notice.decision == Decision::Send,
            told_first.contains(&notice.account),
            "{notice:?}"
        );
    }
    world.crash().await;
    let mut areas = client::areas(&world.connection().await);
    let again = areas.declare_area(request).await.unwrap().into_inner();
    assert_eq!(again.outcome, "unchanged");
    let shown = areas.get_area(v1::GetAreaRequest { id: id.clone() }).await;
    let shown = shown.unwrap().into_inner().area.unwrap();
    assert_eq!(shown.incident_ids, [incident.no.to_string()]);
    world.pass(HOUR).await;
    let request = v1::EndAreaRequest {
        id,
        reason: "power is back".to_owned(),
    };
    areas.end_area(request).await.unwrap();
    let ended_ms = world.clock.now_ms();
    world.crash().await;
    // The quiet before it is believed begins when the correlator hears of it.
    let is_heard = |incident: &Incident| {
        incident.life.quiet_since_ms.is_some() || incident.state == IncidentState::Restored
    };
    world.incident(is_heard).await;
    world.crash().await;
    world.pass(MINUTE).await;
    let incident = world
        .incident(|incident| incident.state == IncidentState::Restored)
        .await;
    assert_eq!(incident.restored_ms, Some(ended_ms));
    let over = world.sent(Stage::Restored, told_first.len()).await;
    assert_eq!(accounts(&over), told_first);
    assert_eq!(told(&over), told_first);
    assert_eq!(accounts(&world.notices(Stage::First).await), inside);
    world.incident(|_| true).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_opens_an_incident_by_hand_and_resolves_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut world = World::start(backend).await;
    let (olt, behind) = world.olt();
    let request = v1::OpenIncidentRequest {
        resources: vec![olt.clone()],
        kind: "equipment".to_owned(),
        since_ms: NOW_MS - 5 * MINUTE,
        text: "The exchange is under water".to_owned(),
        estimate_from_ms: NOW_MS + HOUR,
        estimate_to_ms: NOW_MS + 2 * HOUR,
        request_id: "call-1".to_owned(),
        ..v1::OpenIncidentRequest::default()
    };
    let mut service = client::incidents(&world.connection().await);
    let opened = service.open_incident(request.clone()).await.unwrap();
    let opened = opened.into_inner();
    assert_eq!(opened.state(), v1::IncidentState::Confirmed);
    assert_eq!(opened.affected, behind.len() as u64);
    assert_eq!(opened.onset_ms, NOW_MS - 5 * MINUTE);
    assert_eq!(opened.estimate_to_ms, NOW_MS + 2 * HOUR);
    assert_eq!(opened.declared, ["FAULT-1"]);
    let cause = opened.cause.unwrap();
    assert_eq!(cause.text, "The exchange is under water");
    assert_eq!(
        (cause.kind.as_str(), cause.resources),
        ("equipment", vec![olt.clone()])
    );
    world.crash().await;
    let mut service = client::incidents(&world.connection().await);
    let again = service.open_incident(request).await.unwrap().into_inner();
    assert_eq!(again.id, opened.id, "nothing is opened twice");
    let first = world.sent(Stage::First, behind.len()).await;
    assert_eq!(accounts(&first), behind);
    world.alarm(v1::AlarmEventKind::Raise, &olt).await;
    world.pass(10 * MINUTE).await;
    let incident = world.incident(|i| i.evidence_count == 1).await;
    assert_eq!(incident.state, IncidentState::Confirmed);
    world.alarm(v1::AlarmEventKind::Clear, &olt).await;
    world.pass(HOUR).await;
    world.crash().await;
    let incident = world.incident(|i| i.evidence_count == 0).await;
    assert_eq!(incident.state, IncidentState::Confirmed, "until he says so");
    let mut service = client::incidents(&world.connection().await);
    let request = v1::ResolveIncidentRequest {
        id: opened.id,
        reason: "pumped out".to_owned(),
    };
    service.resolve_incident(request).await.unwrap();
    world.crash().await;
    world.pass(HOUR).await;
    world
        .incident(|incident| incident.state == IncidentState::Restored)
        .await;
    let over = world.sent(Stage::Restored, told(&first).len()).await;
    assert_eq!(told(&over), told(&first));
    let timeline = world.store.timeline(incident.no).await.unwrap();
    let by_hand = timeline.iter().find(|e| e.what == TimelineKind::Confirmed);
    assert_eq!(by_hand.unwrap().by, "noc-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_opened_is_refused_field_by_field() {
    let world = World::start(Backend::Sqlite).await;
    let mut service = client::incidents(&world.connection().await);
    let request = v1::OpenIncidentRequest {
        resources: vec![world.olt().0, "nowhere".to_owned()],
        area_id: "AREA-7".to_owned(),
        kind: "gremlins".to_owned(),
        since_ms: NOW_MS + HOUR,
        text: "\u{1b}[2J".to_owned(),
        estimate_from_ms: NOW_MS + HOUR,
        estimate_to_ms: NOW_MS,
        request_id: "x".repeat(200),
    };
    let refused = service.open_incident(request).await.unwrap_err();
    let fields = [
        "resources",
        "resources[1]",
        "kind",
        "since_ms",
        "text",
        "estimate_to_ms",
        "request_id",
        "area_id",
    ];
    assert_eq!(refused_fields(&refused), fields);
    let mut works = client::works(&world.connection().await);
    let request = v1::DeclareWorkRequest {
        from_ms: NOW_MS + HOUR,
        to_ms: NOW_MS + HOUR,
        ..v1::DeclareWorkRequest::default()
    };
    let refused = works.declare_work(request).await.unwrap_err();
    assert_eq!(refused_fields(&refused), ["title", "resources", "to_ms"]);
    let request = v1::CancelWorkRequest {
        id: "WORK-9".to_owned(),
        ..v1::CancelWorkRequest::default()
    };
    let refused = works.cancel_work(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(world.incidents().await.is_empty());
    // The middle of the ocean.
    let disc = v1::Disc {
        centre: Some(v1::Position {
            latitude: -40.0,
            longitude: -140.0,
        }),
        radius_m: 1_000.0,
    };
    let area = v1::AreaInput {
        document: Some(v1::area_input::Document::Disc(disc)),
        affects: "service_lost_inside".to_owned(),
        ..v1::AreaInput::default()
    };
    let request = v1::DeclareAreaRequest {
        area: Some(area),
        request_id: String::new(),
    };
    let mut areas = client::areas(&world.connection().await);
    let declared = areas.declare_area(request).await.unwrap().into_inner();
    let warnings = declared.preview.unwrap().warnings;
    assert!(warnings.iter().any(|w| w.code == "holds_nobody"));
    let request = v1::OpenIncidentRequest {
        area_id: declared.area.unwrap().id,
        kind: "power".to_owned(),
        ..v1::OpenIncidentRequest::default()
    };
    let refused = service.open_incident(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    world.pass(HOUR).await;
    assert!(world.incidents().await.is_empty(), "it holds nobody");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planned_work_covers_its_alarms_until_it_overruns(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut world = World::start(backend).await;
    let (olt, behind) = world.olt();
    let request = v1::DeclareWorkRequest {
        title: "New line cards".to_owned(),
        resources: vec![olt.clone()],
        from_ms: 0,
        to_ms: NOW_MS + HOUR,
        request_id: "change-1".to_owned(),
        ..v1::DeclareWorkRequest::default()
    };
    let mut works = client::works(&world.connection().await);
    let declared = works.declare_work(request.clone()).await.unwrap();
    assert_eq!(declared.into_inner().id, "WORK-1");
    world.crash().await;
    let mut works = client::works(&world.connection().await);
    let again = works.declare_work(request.clone()).await.unwrap();
    assert_eq!(again.into_inner().id, "WORK-1");
    world.pass(MINUTE).await;
    let went_ms = world.clock.now_ms();
    world.alarm(v1::AlarmEventKind::Raise, &olt).await;
    world.pass(30 * MINUTE).await;
    assert!(world.incidents().await.is_empty());
    world.crash().await;
    let mut care = client::care(&world.connection().await);
    let mut asked = async |account: &str| {
        let request = v1::LookupRequest {
            query: account.to_owned(),
            language: "en".to_owned(),
        };
        let found = care.lookup(request).await.unwrap().into_inner();
        found.answers.into_iter().next().unwrap()
    };
    let answer = asked(behind.first().unwrap()).await;
    assert_eq!(answer.planned_work, "WORK-1 (New line cards)");
    assert_eq!(answer.planned_work_until_ms, NOW_MS + HOUR);
    assert!(
        answer.what_to_say.contains("until 11:00 today"),
        "{}",
        answer.what_to_say
    );
    let mut people = world.generated.subscribers.iter();
    let other = people.find(|p| !behind.contains(&p.account)).unwrap();
    assert_eq!(asked(&other.account).await.planned_work, "");
    world.pass(40 * MINUTE).await;
    let incident = world.incident(|_| true).await;
    assert_eq!(incident.state, IncidentState::Suspected);
    world.pass(10 * MINUTE).await;
    let incident = world
        .incident(|incident| incident.state == IncidentState::Confirmed)
        .await;
    assert_eq!(incident.onset_ms, went_ms);
    assert_eq!(incident.cause.kind.as_str(), "planned_work");
    assert!(
        incident
            .cause
            .text
            .starts_with("Planned work WORK-1 (New line cards) has overrun"),
        "{}",
        incident.cause.text
    );
    let first = world.sent(Stage::First, behind.len()).await;
    assert_eq!(accounts(&first), behind);
    let mut works = client::works(&world.connection().await);
    let request = v1::ListWorkRequest {
        all: true,
        ..v1::ListWorkRequest::default()
    };
    let listed = works.list_work(request).await.unwrap().into_inner().works;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state, "over");
    assert_eq!(listed[0].incident_ids, [incident.no.to_string()]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_a_fault_takes_in_later_is_told_since_when_they_are_without_service(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut world = World::start(backend).await;
    let (olt, behind) = world.olt();
    let (port, few) = world.smallest_port(&olt);
    let homes = world.homes_of(&few);
    for resource in homes.iter().chain([&port]) {
        world.alarm(v1::AlarmEventKind::Raise, resource).await;
    }
    world.pass(5 * MINUTE).await;
    world.pass(5 * MINUTE).await;
    let first = world.sent(Stage::First, few.len()).await;
    assert_eq!(accounts(&first), few);
    let went_ms = first.first().unwrap().lost_since_ms;
    world.pass(2 * HOUR).await;
    let later_ms = world.clock.now_ms();
    let ports = world.ports_of(&olt);
    for resource in ports.iter().filter(|other| **other != port).chain([&olt]) {
        world.alarm(v1::AlarmEventKind::Raise, resource).await;
    }
    world.pass(5 * MINUTE).await;
    world.pass(5 * MINUTE).await;
    let first = world.sent(Stage::First, behind.len()).await;
    assert_eq!(accounts(&first), behind);
    let mut care = client::care(&world.connection().await);
    for notice in &first {
        let is_first = few.contains(&notice.account);
        let since_ms = if is_first { went_ms } else { later_ms };
        assert_eq!(notice.lost_since_ms, since_ms, "{}", notice.account);
        let time = if is_first { "10:00" } else { "12:10" };
        let body = &notice.body;
        let is_told = notice.state == NoticeState::Sent;
        assert!(!is_told || body.contains(time), "not {time}: {body}");
        let request = v1::LookupRequest {
            query: notice.account.clone(),
            language: "en".to_owned(),
        };
        let found = care.lookup(request).await.unwrap().into_inner();
        let answer = &found.answers[0];
        let says = &answer.what_to_say;
        assert!(says.contains(&format!("since {time}")), "{says}");
        assert_eq!(answer.incidents[0].since_ms, since_ms);
    }
    for resource in homes.iter().chain(&ports).chain([&olt]) {
        world.alarm(v1::AlarmEventKind::Clear, resource).await;
    }
    world.pass(10 * MINUTE).await;
    world.pass(10 * MINUTE).await;
    let restored = world.sent(Stage::Restored, told(&first).len()).await;
    assert_eq!(told(&restored), told(&first));
    for notice in &restored {
        let is_first = few.contains(&notice.account);
        let time = if is_first { "10:00" } else { "12:10" };
        let body = &notice.body;
        let is_told = notice.state == NoticeState::Sent;
        assert!(!is_told || body.contains(time), "not {time}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_work_covers_nothing() {
    let mut world = World::start(Backend::Sqlite).await;
    let (olt, _) = world.olt();
    let request = v1::DeclareWorkRequest {
        title: "New line cards".to_owned(),
        resources: vec![olt.clone()],
        from_ms: NOW_MS,
        to_ms: NOW_MS + HOUR,
        ..v1::DeclareWorkRequest::default()
    };
    let mut works = client::works(&world.connection().await);
    let declared = works.declare_work(request).await.unwrap().into_inner();
    world.alarm(v1::AlarmEventKind::Raise, &olt).await;
    world.pass(5 * MINUTE).await;
    assert!(world.incidents().await.is_empty());
    let request = v1::CancelWorkRequest {
        id: declared.id,
        reason: "no parts".to_owned(),
    };
    let cancelled = works.cancel_work(request.clone()).await.unwrap();
    assert_eq!(cancelled.into_inner().state, "cancelled");
    let again = works.cancel_work(request).await.unwrap().into_inner();
    assert_eq!(again.cancelled_ms, NOW_MS + 5 * MINUTE);
    world.pass(MINUTE).await;
    let incident = world.incident(|_| true).await;
    assert_ne!(incident.cause.kind.as_str(), "planned_work");
}

/// Its homes are still dark when a new version of the network comes in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_opened_for_an_area_and_resolved_stays_so_after_an_import() {
    let mut world = World::start(Backend::Sqlite).await;
    let (olt, _) = world.olt();
    let (_, people) = world.smallest_port(&olt);
    let positions: Vec<Position> = world
        .generated
        .subscribers
        .iter()
        .filter(|person| people.contains(&person.account))
        .filter_map(|person| person.position)
        .collect();
    let distance = |a, b| forewarn::geography::distance_metres(a, b);
    let radius_m = positions
        .iter()
        .map(|there| distance(positions[0], *there))
        .fold(10.0, f64::max);
    let disc = v1::Disc {
        centre: Some(v1::Position {
            latitude: positions[0].latitude,
            longitude: positions[0].longitude,
        }),
        radius_m: radius_m + 1.0,
    };
    let request = v1::DeclareAreaRequest {
        area: Some(v1::AreaInput {
            document: Some(v1::area_input::Document::Disc(disc)),
            affects: "information".to_owned(),
            ..v1::AreaInput::default()
        }),
        request_id: String::new(),
    };
    let mut areas = client::areas(&world.connection().await);
    let area = areas.declare_area(request).await.unwrap().into_inner().area;
    let request = v1::OpenIncidentRequest {
        area_id: area.unwrap().id,
        kind: "fibre_cut".to_owned(),
        ..v1::OpenIncidentRequest::default()
    };
    let mut service = client::incidents(&world.connection().await);
    service.open_incident(request).await.unwrap();
    for home in world.homes_of(&people) {
        world.alarm(v1::AlarmEventKind::Raise, &home).await;
    }
    world.pass(MINUTE).await;
    let resolve = v1::ResolveIncidentRequest {
        id: "INC-1".to_owned(),
        reason: "checked".to_owned(),
    };
    service.resolve_incident(resolve).await.unwrap();
    world.pass(5 * MINUTE).await;
    world.incident(|i| i.state == IncidentState::Restored).await;
    let quiet = |_, _, _| {};
    let definition = world.generated.definition.clone();
    let now_ms = world.clock.now_ms();
    import_topology(&world.store, definition, now_ms, &quiet)
        .await
        .unwrap();
    import_subscribers(
        &world.store,
        world.generated.subscribers.clone(),
        now_ms,
        &quiet,
    )
    .await
    .unwrap();
    for _ in 0..6 {
        world.pass(2 * MINUTE).await;
    }
    world.incident(|i| i.state == IncidentState::Restored).await;
}
