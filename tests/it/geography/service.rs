//! Areas in both databases, over gRPC and by the command line.

use super::{at, polygon, rectangle};
use crate::support::{Backend, TestStore, store};
use forewarn::clock::Clock;
use forewarn::geography::{
    Affects, AlertChain, AreaDeclaration, AreaDocument, AreaNo, AreaState, Batteries, CapIdentity,
    CapMessage, CapText,
};
use forewarn::pipeline::importer::{import_subscribers, import_topology, load_network};
use forewarn::pipeline::live::Live;
use forewarn::proto::v1;
use forewarn::proto::v1::area_input::Document;
use forewarn::proto::v1::area_service_client::AreaServiceClient;
use forewarn::proto::v1::area_service_server::AreaServiceServer;
use forewarn::rpc::area::AreaApi;
use forewarn::rpc::auth::{Caller, Role};
use forewarn::store::{AreaTaken, Declarant};
use forewarn::topology::ElementKind;
use rstest::rstest;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Output;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

/// 2026-03-10 10:00 in Rome.
const NOW_MS: i64 = 1_773_133_200_000;

fn by(now_ms: i64) -> Declarant<'static> {
    Declarant {
        name: "noc",
        now_ms,
    }
}

fn declaration(name: &str) -> AreaDeclaration {
    AreaDeclaration {
        name: name.to_owned(),
        affects: Affects::PowerLostInside,
        document: AreaDocument::Disc {
            centre: at(41.9, 12.5),
            radius_m: 250.5,
        },
        onset_ms: NOW_MS,
        expires_ms: Some(NOW_MS + 1_000),
        texts: vec![CapText {
            language: "it".to_owned(),
            event: "Interruzione".to_owned(),
            headline: "Piazza Re di Roma: \u{26a1} \"blackout\"".to_owned(),
        }],
        note: "crew on its way".to_owned(),
    }
}

fn identity(identifier: &str) -> CapIdentity {
    CapIdentity {
        sender: "power@example.net".to_owned(),
        identifier: identifier.to_owned(),
        sent_ms: NOW_MS,
    }
}

fn chain(identifier: &str, message: CapMessage, references: &[&str]) -> AlertChain {
    AlertChain {
        identity: identity(identifier),
        message,
        references: references.iter().map(|id| identity(id)).collect(),
    }
}

#[rstest]
#[tokio::test]
async fn an_area_is_kept_whole_through_its_life(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let declared = declaration("Tuscolano");
    let taken = t
        .store
        .declare_area(Some(&declared), None, by(NOW_MS))
        .await;
    let AreaTaken::Declared(event) = taken.unwrap() else {
        panic!("a new area is declared");
    };
    assert_eq!(event.no, AreaNo(1));
    assert_eq!(event.declaration, declared);
    assert_eq!(t.store.area(AreaNo(1)).await.unwrap(), Some(event.clone()));
    assert_eq!(event.state(NOW_MS - 1), AreaState::Scheduled);
    assert_eq!(event.state(NOW_MS), AreaState::Active);
    assert_eq!(event.state(NOW_MS + 1_000), AreaState::Expired);

    let endless = AreaDeclaration {
        expires_ms: None,
        ..declaration("second")
    };
    t.store
        .declare_area(Some(&endless), None, by(NOW_MS))
        .await
        .unwrap();
    let numbers = async |open_at_ms, before, limit| -> Vec<i64> {
        let listed = t.store.list_areas(open_at_ms, before, limit).await.unwrap();
        listed.iter().map(|event| event.no.0).collect()
    };
    assert_eq!(numbers(Some(NOW_MS), None, 10).await, [2, 1]);
    assert_eq!(numbers(Some(NOW_MS + 1_000), None, 10).await, [2]);
    assert_eq!(numbers(None, None, 1).await, [2]);
    assert_eq!(numbers(None, Some(AreaNo(2)), 1).await, [1]);

    let (ended, changed) = t
        .store
        .end_area(AreaNo(2), "mended", by(NOW_MS + 5))
        .await
        .unwrap()
        .unwrap();
    assert!(changed && ended.state(NOW_MS) == AreaState::Ended);
    assert_eq!(ended.end.as_ref().unwrap().reason, "mended");
    let again = t
        .store
        .end_area(AreaNo(2), "again", by(NOW_MS + 9))
        .await
        .unwrap();
    assert_eq!(again, Some((ended, false)));
    assert_eq!(
        t.store.end_area(AreaNo(3), "", by(NOW_MS)).await.unwrap(),
        None
    );
    assert_eq!(numbers(Some(NOW_MS), None, 10).await, [1]);

    // A reader keeps up by the number of the change.
    let changes = t.store.areas_changed_after(0, 10).await.unwrap();
    let changes: Vec<(i64, i64, u32)> = changes
        .iter()
        .map(|(no, event)| (*no, event.no.0, event.revision))
        .collect();
    assert_eq!(changes, [(1, 1, 1), (3, 2, 2)]);
    assert!(t.store.areas_changed_after(3, 10).await.unwrap().is_empty());
}

#[rstest]
#[tokio::test]
async fn alerts_of_a_chain_are_one_area_in_whatever_order_they_come(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let take = async |name: &str, chain: AlertChain| {
        let cancels = chain.message == CapMessage::Cancel;
        let declared = declaration(name);
        let declared = (!cancels).then_some(&declared);
        t.store
            .declare_area(declared, Some(&chain), by(NOW_MS))
            .await
            .unwrap()
    };
    use CapMessage::{Alert, Cancel, Update};
    assert!(
        matches!(take("a", chain("a", Alert, &[])).await, AreaTaken::Declared(e) if e.no.0 == 1)
    );
    assert!(
        matches!(take("a", chain("a", Alert, &[])).await, AreaTaken::Unchanged(e) if e.no.0 == 1)
    );
    assert!(
        matches!(take("b", chain("b", Alert, &[])).await, AreaTaken::Declared(e) if e.no.0 == 2)
    );
    // One update joins both.
    let AreaTaken::Updated(event, ended) = take("ab", chain("u", Update, &["a", "b"])).await else {
        panic!("an update replaces");
    };
    assert_eq!(
        (event.no.0, event.revision, event.declaration.name.as_str()),
        (1, 2, "ab")
    );
    assert_eq!(ended.iter().map(|e| e.no.0).collect::<Vec<_>>(), [2]);
    // An update of something that never came declares; the late original does nothing.
    assert!(
        matches!(take("l", chain("l2", Update, &["l1"])).await, AreaTaken::Declared(e) if e.no.0 == 3)
    );
    assert!(
        matches!(take("l", chain("l1", Alert, &[])).await, AreaTaken::Unchanged(e) if e.no.0 == 3)
    );
    // A cancellation ends, also by a message in the middle of the chain, and also what comes after it.
    let AreaTaken::Cancelled(ended) = take("", chain("c", Cancel, &["l1", "late"])).await else {
        panic!("a cancellation ends");
    };
    assert_eq!(ended.iter().map(|e| e.no.0).collect::<Vec<_>>(), [3]);
    assert_eq!(
        take("late", chain("late", Alert, &[])).await,
        AreaTaken::Withdrawn
    );
    // Somebody ended it: an update declares anew.
    t.store.end_area(AreaNo(1), "", by(NOW_MS)).await.unwrap();
    assert!(
        matches!(take("n", chain("n", Update, &["u"])).await, AreaTaken::Declared(e) if e.no.0 == 4)
    );
    assert_eq!(t.store.list_areas(None, None, 10).await.unwrap().len(), 4);
}

#[rstest]
#[tokio::test]
async fn areas_declared_at_the_same_time_get_numbers_of_their_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let store = t.store.clone();
        tasks.spawn(async move {
            let alert = chain(&format!("i{}", number / 2), CapMessage::Alert, &[]);
            let declared = declaration("x");
            store
                .declare_area(Some(&declared), Some(&alert), by(NOW_MS))
                .await
                .unwrap()
        });
    }
    let taken = tasks.join_all().await;
    let new = taken
        .iter()
        .filter(|taken| matches!(taken, AreaTaken::Declared(_)));
    assert_eq!(new.count(), 6);
    let changes = t.store.areas_changed_after(0, 20).await.unwrap();
    assert_eq!(
        changes.iter().map(|(no, _)| *no).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
}

/// A service on the small network of the fixtures; a token is the name of its role.
struct World {
    t: TestStore,
    server: String,
    _tasks: JoinSet<()>,
    subscribers: Vec<forewarn::subscriber::Subscriber>,
}

impl World {
    async fn start(backend: Backend) -> Self {
        let t = store(backend).await;
        let generated = forewarn::generate::GenerateSettings::embedded(2_000, 1).unwrap();
        let generated = forewarn::generate::generate(&generated).unwrap();
        let quiet = |_, _, _| {};
        import_topology(&t.store, generated.definition, NOW_MS, &quiet)
            .await
            .unwrap();
        let mut subscribers = generated.subscribers;
        subscribers[0].position = None;
        import_subscribers(&t.store, subscribers.clone(), NOW_MS, &quiet)
            .await
            .unwrap();
        let loaded = load_network(&t.store).await.unwrap();
        let (_, live) = watch::channel(Arc::new(Live {
            network: Arc::new(loaded.network),
            map: Arc::new(loaded.map),
            topology_version: loaded.versions.topology,
            subscribers_version: loaded.versions.subscribers,
            incidents: Vec::new(),
            alarms: 0,
            unmapped_alarms: 0,
        }));
        let api = AreaApi {
            store: t.store.clone(),
            live,
            batteries: Arc::new(Batteries(BTreeMap::from([
                (ElementKind::Olt, 60),
                (ElementKind::Switch, 120),
            ]))),
            clock: Clock::manual(NOW_MS),
        };
        let service = AreaServiceServer::with_interceptor(api, |mut request: Request<()>| {
            let token = request.metadata().get("authorization");
            let role = token.and_then(|token| token.to_str().ok()?.strip_prefix("Bearer "));
            let role = role.and_then(Role::parse);
            let role = role.ok_or_else(|| Status::unauthenticated("no token"))?;
            request.extensions_mut().insert(Caller {
                name: format!("{}-1", role.as_str()),
                role,
            });
            Ok(request)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let serving = Server::builder().add_service(service);
            serving
                .serve_with_incoming(TcpIncoming::from(listener))
                .await
                .unwrap();
        });
        Self {
            t,
            server,
            _tasks: tasks,
            subscribers,
        }
    }

    async fn client(&self) -> AreaServiceClient<Channel> {
        AreaServiceClient::connect(self.server.clone())
            .await
            .unwrap()
    }

    /// The program with these arguments, as an operator.
    async fn run(&self, args: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_forewarn"));
        command
            .args(args)
            .env_clear()
            .env("FOREWARN_SERVER", &self.server)
            .env("FOREWARN_TOKEN", "operator")
            .env("TZ", "Europe/Rome");
        command.output().await.unwrap()
    }

    async fn prints(&self, args: &[&str]) -> (String, String) {
        let output = self.run(args).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
        (out, err)
    }

    /// Those who live in a rectangle.
    fn inside(&self, [west, east, south, north]: [f64; 4]) -> u64 {
        let positions = self.subscribers.iter().filter_map(|s| s.position);
        let inside = positions.filter(|p| {
            (west..east).contains(&p.longitude) && (south..north).contains(&p.latitude)
        });
        inside.count() as u64
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn as_role<T>(message: T, role: Role) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {}", role.as_str());
    request
        .metadata_mut()
        .insert("authorization", token.parse().unwrap());
    request
}

const CENTRE: [f64; 4] = [12.3, 12.7, 41.7, 42.1];

fn input(affects: &str) -> v1::AreaInput {
    let [west, east, south, north] = CENTRE;
    v1::AreaInput {
        document: Some(Document::Geojson(polygon(&[&rectangle(
            west, east, south, north,
        )]))),
        affects: affects.to_owned(),
        name: "centre".to_owned(),
        ..v1::AreaInput::default()
    }
}

fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    violations
        .iter()
        .map(|v| format!("{}: {}", v.field, v.description))
        .collect()
}

#[rstest]
#[tokio::test]
async fn an_area_is_previewed_declared_listed_and_ended(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::start(backend).await;
    let mut client = world.client().await;
    let request = v1::PreviewAreaRequest {
        area: Some(input("service_lost_inside")),
    };
    let preview = client
        .preview_area(as_role(request, Role::Operator))
        .await
        .unwrap()
        .into_inner();
    let expected = world.inside(CENTRE);
    assert!(expected > 20);
    assert_eq!(preview.subscribers, expected);
    assert_eq!(preview.subscribers_lost_now, expected);
    assert!((1..=expected).contains(&preview.premises));
    assert_eq!(
        (preview.topology_version, preview.subscribers_version),
        (1, 1)
    );
    let codes: Vec<_> = preview.warnings.iter().map(|w| w.code.as_str()).collect();
    assert_eq!(codes, ["unplaced"]);
    assert!(
        world
            .t
            .store
            .list_areas(None, None, 10)
            .await
            .unwrap()
            .is_empty()
    );

    // Elements inside lose power: OLTs after an hour, switches after two.
    let request = v1::DeclareAreaRequest {
        area: Some(input("power_lost_inside")),
        request_id: "once".to_owned(),
    };
    let answer = client
        .declare_area(as_role(request.clone(), Role::Ingest))
        .await
        .unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.outcome, "declared");
    let area = answer.area.unwrap();
    assert_eq!(
        (area.id.as_str(), area.state.as_str()),
        ("AREA-1", "active")
    );
    assert_eq!(
        (area.onset_ms, area.declared_by.as_str()),
        (NOW_MS, "ingest-1")
    );
    let preview = answer.preview.unwrap();
    assert_eq!(preview.subscribers_lost_now, 0);
    assert!(preview.subscribers_lost_at_last > 0);
    let failures = &preview.power_failures;
    assert_eq!(failures.len() as u64, preview.power_failures_total);
    assert!(failures.is_sorted_by_key(|failure| failure.fails_ms));
    for failure in failures {
        let minutes = if failure.kind == "olt" { 60 } else { 120 };
        assert_eq!(failure.battery_minutes, minutes, "{}", failure.kind);
        assert_eq!(failure.fails_ms, NOW_MS + i64::from(minutes) * 60_000);
    }
    let again = client
        .declare_area(as_role(request, Role::Ingest))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (again.outcome.as_str(), again.area.unwrap()),
        ("unchanged", area.clone())
    );

    let request = v1::ListAreasRequest::default();
    let listed = client
        .list_areas(as_role(request, Role::Care))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.areas, [area.clone()]);
    let request = v1::GetAreaRequest {
        id: "area-1".to_owned(),
    };
    let detail = client
        .get_area(as_role(request, Role::Care))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(detail.preview.unwrap(), preview);
    assert!(matches!(detail.document.unwrap(),
        v1::get_area_response::Document::Geojson(text) if text.contains("Polygon")));

    let request = v1::EndAreaRequest {
        id: area.id,
        reason: "power is back".to_owned(),
    };
    let ended = client
        .end_area(as_role(request.clone(), Role::Operator))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (ended.state.as_str(), ended.ended_by.as_str()),
        ("ended", "operator-1")
    );
    let again = client
        .end_area(as_role(request, Role::Operator))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, ended);
    let request = v1::ListAreasRequest::default();
    let listed = client
        .list_areas(as_role(request, Role::Operator))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.areas, []);
}

#[tokio::test]
async fn lists_are_paged() {
    let world = World::start(Backend::Sqlite).await;
    for _ in 0..5 {
        let declared = declaration("x");
        world
            .t
            .store
            .declare_area(Some(&declared), None, by(NOW_MS))
            .await
            .unwrap();
    }
    let mut client = world.client().await;
    let mut request = v1::ListAreasRequest {
        all: true,
        page_size: 2,
        ..Default::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = client
            .list_areas(as_role(request.clone(), Role::Operator))
            .await
            .unwrap();
        let page = page.into_inner();
        ids.extend(page.areas.into_iter().map(|area| area.id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(ids, ["AREA-5", "AREA-4", "AREA-3", "AREA-2", "AREA-1"]);
}

#[tokio::test]
async fn what_is_wrong_is_said_field_by_field() {
    let world = World::start(Backend::Sqlite).await;
    let mut client = world.client().await;
    let mut refuse = async |area: Option<v1::AreaInput>, request_id: &str| {
        let request = v1::DeclareAreaRequest {
            area,
            request_id: request_id.to_owned(),
        };
        client
            .declare_area(as_role(request, Role::Operator))
            .await
            .unwrap_err()
    };
    let said = fields(&refuse(None, "").await);
    assert_eq!(
        said,
        [
            "area.document: expected geojson, cap, or a disc with its centre",
            "area.affects: expected one of service_lost_inside, power_lost_inside, information",
        ]
    );
    let wrong = v1::AreaInput {
        onset_ms: NOW_MS,
        expires_ms: NOW_MS - 1,
        name: "x".repeat(300),
        ..input("flooded")
    };
    let said = fields(&refuse(Some(wrong), "").await);
    assert_eq!(said.len(), 3, "{said:?}");
    let past = v1::AreaInput {
        onset_ms: NOW_MS - 2,
        expires_ms: NOW_MS - 1,
        ..input("information")
    };
    let said = fields(&refuse(Some(past), "").await);
    assert_eq!(
        said,
        ["area.expires_ms: expected an instant in the future, or 0"]
    );
    let open = v1::AreaInput {
        document: Some(Document::Geojson(
            r#"{"type":"Polygon","coordinates":[[[1,1],[2,1],[2,2],[1,2]]]}"#.to_owned(),
        )),
        ..input("information")
    };
    let said = fields(&refuse(Some(open), "").await);
    assert!(
        said[0].starts_with("area.geometry.coordinates[0]: the ring is not closed"),
        "{said:?}"
    );
    let disc = v1::AreaInput {
        document: Some(Document::Disc(v1::Disc {
            centre: Some(v1::Position {
                latitude: f64::NAN,
                longitude: 12.0,
            }),
            radius_m: 100.0,
        })),
        ..input("information")
    };
    assert_eq!(fields(&refuse(Some(disc), "").await).len(), 1);
    let said = fields(&refuse(Some(input("information")), &"r".repeat(200)).await);
    assert!(said[0].starts_with("request_id"), "{said:?}");
    let cap = |text: String| v1::AreaInput {
        document: Some(Document::Cap(text)),
        ..input("information")
    };
    let entities = std::fs::read_to_string("fixtures/cap/xee.cap").unwrap();
    assert!(fields(&refuse(Some(cap(entities)), "").await)[0].starts_with("area.cap"));
    let storm = std::fs::read_to_string("fixtures/cap/thunderstorm.cap").unwrap();
    let status = refuse(Some(cap(storm.replace("Actual", "Test"))), "").await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(fields(&refuse(Some(cap(storm)), "r").await)[0].starts_with("request_id"));

    let end = |id: &str| {
        as_role(
            v1::EndAreaRequest {
                id: id.to_owned(),
                reason: String::new(),
            },
            Role::Operator,
        )
    };
    let mut client = world.client().await;
    assert_eq!(
        client.end_area(end("AREA-7")).await.unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(
        client.end_area(end("seven")).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert!(
        world
            .t
            .store
            .list_areas(None, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn only_operators_and_sources_declare() {
    let world = World::start(Backend::Sqlite).await;
    let mut client = world.client().await;
    let request = v1::DeclareAreaRequest {
        area: Some(input("information")),
        ..Default::default()
    };
    let refused = client
        .declare_area(as_role(request, Role::Care))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let request = v1::PreviewAreaRequest {
        area: Some(input("information")),
    };
    let refused = client
        .preview_area(as_role(request, Role::Care))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let request = v1::EndAreaRequest {
        id: "AREA-1".to_owned(),
        reason: String::new(),
    };
    let refused = client
        .end_area(as_role(request, Role::Care))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

fn flood(identifier: &str, message: &str, references: &str, info: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\
         <alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">\
         <identifier>{identifier}</identifier><sender>pc@example.net</sender>\
         <sent>2026-03-10T09:00:00+01:00</sent><status>Actual</status><msgType>{message}</msgType>\
         <scope>Public</scope>{references}{info}</alert>"
    )
}

#[tokio::test]
async fn an_operator_declares_by_the_command_line() {
    let world = World::start(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    // In Latin 1, as declared.
    let write = |name: &str, text: &str| {
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
        std::fs::write(path(name), bytes).unwrap();
    };
    let info = |south: f64| {
        format!(
            "<info><language>it</language><event>Alluvione</event><headline>Il Tevere è in piena</headline>\
         <expires>2099-01-01T00:00:00+01:00</expires><area><areaDesc>Città</areaDesc>\
         <polygon>{south},12.3 {south},12.7 42.1,12.7 42.1,12.3 {south},12.3</polygon></area></info>"
        )
    };
    write("flood.xml", &flood("f1", "Alert", "", &info(41.7)));
    let references = "<references>pc@example.net,f1,2026-03-10T09:00:00+01:00</references>";
    write(
        "update.xml",
        &flood("f2", "Update", references, &info(41.8)),
    );
    let references = references.replace("f1", "f2");
    write("cancel.xml", &flood("f3", "Cancel", &references, ""));

    let affects = ["--affects", "service_lost_inside"];
    let args = |action: &'static str, file: &str| -> Vec<String> {
        let head = ["area", action].map(str::to_owned);
        head.into_iter()
            .chain([path(file)])
            .chain(affects.map(str::to_owned))
            .collect()
    };
    let run = async |action: &'static str, file: &str| {
        let args = args(action, file);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        world.prints(&args).await
    };
    let (out, err) = run("preview", "flood.xml").await;
    assert!(out.contains("subscribers inside"), "{out}");
    assert!(out.contains(&world.inside(CENTRE).to_string()), "{out}");
    assert!(
        err.contains("WARNING: 1 of 2000 subscribers have no position"),
        "{err}"
    );
    let (out, _) = run("declare", "flood.xml").await;
    assert!(
        out.contains("AREA-1") && out.contains("Il Tevere è in piena (it)"),
        "{out}"
    );
    assert!(out.contains("Città"), "{out}");
    let (out, _) = run("declare", "flood.xml").await;
    assert!(out.contains("declared before; nothing changed"), "{out}");
    let (out, _) = run("declare", "update.xml").await;
    assert!(out.contains("took the place"), "{out}");
    let (out, _) = world.prints(&["area", "list", "--json"]).await;
    let listed: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["revision"]),
        (&"AREA-1".into(), &2.into())
    );
    let (out, _) = world.prints(&["area", "show", "1", "--document"]).await;
    assert!(out.contains("<identifier>f2</identifier>"), "{out}");
    let (out, _) = run("declare", "cancel.xml").await;
    assert!(out.contains("Ended: AREA-1"), "{out}");
    assert_eq!(world.prints(&["area", "list"]).await.0, "No areas.\n");

    // A disc in the wrong place, told in metres; then ended by hand.
    let disc = [
        "area",
        "declare",
        "--at",
        "12.5,41.9",
        "--radius-m",
        "60000",
        "--affects",
        "power_lost_inside",
    ];
    let (out, err) = world.prints(&[&disc[..], &["--json"]].concat()).await;
    let answer: Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(answer["area"]["id"], "AREA-2");
    assert_eq!(answer["preview"]["subscribers"], 0);
    assert!(
        err.contains("WARNING: no subscriber lives inside this area"),
        "{err}"
    );
    assert!(err.contains("latitude and longitude were swapped"), "{err}");
    let (out, _) = world
        .prints(&["area", "end", "AREA-2", "--reason", "a slip"])
        .await;
    assert!(out.contains("ended") && out.contains("a slip"), "{out}");

    for (args, says) in [
        (
            &[
                "area",
                "preview",
                "/nowhere/a.json",
                "--affects",
                "information",
            ][..],
            "cannot read",
        ),
        (&["area", "show", "AREA-9"][..], "there is no area AREA-9"),
    ] {
        let output = world.run(args).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains(says),
            "{}",
            text(&output.stderr)
        );
    }
    let without = world
        .run(&["area", "declare", "--affects", "information"])
        .await;
    assert_eq!(without.status.code(), Some(2));
}
