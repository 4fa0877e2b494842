//! Areas over gRPC.

use super::kept::{by, declaration};
use super::{NOW_MS, polygon, rectangle};
use crate::support::{Backend, TestStore, store};
use forewarn::clock::Clock;
use forewarn::geography::Batteries;
use forewarn::pipeline::importer::{import_subscribers, import_topology, load_network};
use forewarn::pipeline::live::Live;
use forewarn::proto::v1;
use forewarn::proto::v1::area_input::Document;
use forewarn::proto::v1::area_service_client::AreaServiceClient;
use forewarn::proto::v1::area_service_server::AreaServiceServer;
use forewarn::rpc::area::AreaApi;
use forewarn::rpc::auth::{Caller, Role};
use forewarn::subscriber::Subscriber;
use forewarn::topology::ElementKind;
use rstest::rstest;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

/// A service on the small network of the fixtures; a token is the name of its role.
pub(super) struct World {
    t: TestStore,
    pub(super) server: String,
    _tasks: JoinSet<()>,
    subscribers: Vec<Subscriber>,
}

impl World {
    pub(super) async fn start(backend: Backend) -> Self {
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
            works: Vec::new(),
            experience: Arc::default(),
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
            declared: Arc::default(),
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

    /// Those who live in a rectangle.
    pub(super) fn inside(&self, [west, east, south, north]: [f64; 4]) -> u64 {
        let positions = self.subscribers.iter().filter_map(|s| s.position);
        let inside = positions.filter(|p| {
            (west..east).contains(&p.longitude) && (south..north).contains(&p.latitude)
        });
        inside.count() as u64
    }
}

fn as_role<T>(message: T, role: Role) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {}", role.as_str());
    request
        .metadata_mut()
        .insert("authorization", token.parse().unwrap());
    request
}

pub(super) const CENTRE: [f64; 4] = [12.3, 12.7, 41.7, 42.1];

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
    assert_eq!(listed.areas, std::slice::from_ref(&area));
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

/// The answer to a declaration that is refused.
async fn refuse(world: &World, area: Option<v1::AreaInput>, request_id: &str) -> Status {
    let request = v1::DeclareAreaRequest {
        area,
        request_id: request_id.to_owned(),
    };
    let mut client = world.client().await;
    let declared = client.declare_area(as_role(request, Role::Operator)).await;
    let listed = world.t.store.list_areas(None, None, 10).await.unwrap();
    assert!(listed.is_empty());
    declared.unwrap_err()
}

#[tokio::test]
async fn what_is_wrong_is_said_field_by_field() {
    let world = World::start(Backend::Sqlite).await;
    let said = fields(&refuse(&world, None, "").await);
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
    let said = fields(&refuse(&world, Some(wrong), "").await);
    assert_eq!(said.len(), 3, "{said:?}");
    let past = v1::AreaInput {
        onset_ms: NOW_MS - 2,
        expires_ms: NOW_MS - 1,
        ..input("information")
    };
    let said = fields(&refuse(&world, Some(past), "").await);
    assert_eq!(
        said,
        ["area.expires_ms: `2026-03-10T08:59:59.999Z`: expected an instant in the future, or 0"]
    );
}

#[tokio::test]
async fn what_is_wrong_in_a_document_is_said_with_its_place() {
    let world = World::start(Backend::Sqlite).await;
    let open = v1::AreaInput {
        document: Some(Document::Geojson(
            r#"{"type":"Polygon","coordinates":[[[1,1],[2,1],[2,2],[1,2]]]}"#.to_owned(),
        )),
        ..input("information")
    };
    let said = fields(&refuse(&world, Some(open), "").await);
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
    assert_eq!(fields(&refuse(&world, Some(disc), "").await).len(), 1);
    let said = fields(&refuse(&world, Some(input("information")), &"r".repeat(200)).await);
    assert!(said[0].starts_with("request_id"), "{said:?}");
    let cap = |text: String| v1::AreaInput {
        document: Some(Document::Cap(text)),
        ..input("information")
    };
    let entities = std::fs::read_to_string("fixtures/cap/xee.cap").unwrap();
    assert!(fields(&refuse(&world, Some(cap(entities)), "").await)[0].starts_with("area.cap"));
    let storm = std::fs::read_to_string("fixtures/cap/thunderstorm.cap").unwrap();
    let status = refuse(&world, Some(cap(storm.replace("Actual", "Test"))), "").await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(fields(&refuse(&world, Some(cap(storm)), "r").await)[0].starts_with("request_id"));

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
