//! How long an agent waits: `CareService.Lookup` through gRPC on a large database with open
//! incidents, beside the bare index query on the same database.

use crate::figure::Figure;
use forewarn::clock::Clock;
use forewarn::generate::{GenerateSettings, generate};
use forewarn::incident::{Cause, CauseKind, Incident, IncidentNo, IncidentState, PartClass};
use forewarn::notice::plan::{Plan, PlannedNotice};
use forewarn::notice::{Arm, Decision, Facts, NoticeId, PersonKey, Stage};
use forewarn::pipeline::importer::{import_subscribers, import_topology, load_network};
use forewarn::pipeline::live::{Live, LiveIncident};
use forewarn::proto::v1;
use forewarn::proto::v1::care_service_client::CareServiceClient;
use forewarn::proto::v1::care_service_server::CareServiceServer;
use forewarn::rpc::auth::{Caller, Role};
use forewarn::rpc::care::CareApi;
use forewarn::store::Store;
use forewarn::subscriber::{ChannelKind, ContactKind, Segment, Subscriber};
use forewarn::topology::ElementKind;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use uuid::Uuid;

const OPEN_INCIDENTS: usize = 20;
const LOOKUPS: usize = 10_000;
const WARM_UP: usize = 500;
const GOAL_MS: f64 = 5.0;
const SCHEMA: &str = "bench_care";
const PEER_SQL: &str = "SELECT subscriber_no, account, name, language, time_zone, segment, \
    address FROM subscriber WHERE account = $1 \
    AND +version = (SELECT version FROM dataset WHERE kind = 'subscribers')";

/// The database whose answers are measured, as Forewarn and as a bare client see it.
enum Peer {
    Sqlite(sqlx::SqlitePool),
    Postgres(sqlx::PgPool),
}

pub(crate) fn run() -> Vec<Figure> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/care.db", dir.path().display());
        let store = Store::open(&url).await.unwrap();
        let peer = Peer::Sqlite(sqlx::SqlitePool::connect(&url).await.unwrap());
        let mut figures = measure("SQLite", &store, &peer).await;
        store.close().await;
        match std::env::var("BENCH_POSTGRES_URL") {
            Ok(url) => {
                let (store, peer) = postgres(&url).await;
                figures.extend(measure("PostgreSQL", &store, &peer).await);
                store.close().await;
                if let Peer::Postgres(pool) = peer {
                    drop_schema(&pool).await;
                }
            }
            Err(_) => println!("BENCH_POSTGRES_URL is not set: SQLite only"),
        }
        figures
    })
}

async fn drop_schema(pool: &sqlx::PgPool) {
    let sql = format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE");
    let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    sql.execute(pool).await.unwrap();
}

async fn postgres(url: &str) -> (Store, Peer) {
    let options = PgConnectOptions::from_str(url).unwrap();
    let admin = sqlx::PgPool::connect_with(options.clone()).await.unwrap();
    drop_schema(&admin).await;
    let sql = format!("CREATE SCHEMA {SCHEMA}");
    let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    sql.execute(&admin).await.unwrap();
    let options = options.options([("search_path", SCHEMA)]);
    let store = Store::open_postgres(options.clone()).await.unwrap();
    let pool = sqlx::PgPool::connect_with(options).await.unwrap();
    (store, Peer::Postgres(pool))
}

async fn measure(engine: &str, store: &Store, peer: &Peer) -> Vec<Figure> {
    let count = std::env::var("BENCH_SUBSCRIBERS").map_or(1_000_000, |n| n.parse().unwrap());
    let now_ms = Clock::System.now_ms();
    let settings = GenerateSettings::embedded(count, 1).unwrap();
    let generated = generate(&settings).unwrap();
    let people = generated.subscribers.clone();
    let quiet = |_, _, _| {};
    import_topology(store, generated.definition, now_ms, &quiet)
        .await
        .unwrap();
    import_subscribers(store, generated.subscribers, now_ms, &quiet)
        .await
        .unwrap();
    let live = faults(store, now_ms).await;
    let queries = queries(&people, &live);
    let size = format!("{count} subscribers, {OPEN_INCIDENTS} open incidents, {engine}");

    let mut client = serve(store, live).await;
    let mut lookups = Vec::with_capacity(LOOKUPS);
    for (number, query) in queries.iter().cycle().take(WARM_UP + LOOKUPS).enumerate() {
        let request = v1::LookupRequest {
            query: query.clone(),
            language: String::new(),
        };
        let start = Instant::now();
        let answer = client.lookup(request).await.unwrap().into_inner();
        if number >= WARM_UP {
            lookups.push(start.elapsed());
        }
        assert!(!answer.answers.is_empty(), "nobody matches {query}");
    }
    let mut bare = Vec::with_capacity(LOOKUPS);
    let step = people.len().div_ceil(LOOKUPS);
    let accounts = people.iter().step_by(step).map(|person| &person.account);
    for account in accounts.clone().cycle().take(LOOKUPS) {
        let start = Instant::now();
        let found = match peer {
            Peer::Sqlite(pool) => sqlx::query(PEER_SQL)
                .bind(account)
                .fetch_optional(pool)
                .await
                .unwrap()
                .is_some(),
            Peer::Postgres(pool) => sqlx::query(PEER_SQL)
                .bind(account)
                .fetch_optional(pool)
                .await
                .unwrap()
                .is_some(),
        };
        bare.push(start.elapsed());
        assert!(found);
    }
    let (lookup_p50, lookup_p99) = percentiles(lookups);
    let (bare_p50, bare_p99) = percentiles(bare);
    let named = format!("bare index query by account, {engine}");
    vec![
        Figure::new(
            format!("care lookup p50, {engine}"),
            lookup_p50,
            "ms",
            &size,
        )
        .against(&named, bare_p50, bare_p50 / lookup_p50),
        Figure::new(
            format!("care lookup p99, {engine}"),
            lookup_p99,
            "ms",
            &size,
        )
        .against(&named, bare_p99, bare_p99 / lookup_p99)
        .goal("< 5 ms", lookup_p99 < GOAL_MS),
    ]
}

/// Milliseconds that half, and 99 of 100, do not exceed.
fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |per_cent: usize| times[(times.len() - 1) * per_cent / 100].as_secs_f64() * 1e3;
    (at(50), at(99))
}

/// Confirmed incidents, each of one OLT, with a notice row for everyone affected.
async fn faults(store: &Store, now_ms: i64) -> Live {
    let loaded = load_network(store).await.unwrap();
    let network = Arc::new(loaded.network);
    let olts: Vec<_> = (0..u32::try_from(network.element_count()).unwrap())
        .map(forewarn::topology::ElementNo)
        .filter(|element| network.kind(*element) == ElementKind::Olt)
        .collect();
    let mut incidents = Vec::new();
    let step = (olts.len() / OPEN_INCIDENTS).max(1);
    for (no, olt) in (1..).zip(olts.iter().step_by(step).take(OPEN_INCIDENTS)) {
        let part = forewarn::topology::Part::Element(*olt);
        let lost = network.lost(&[part]);
        let incident = incident(no, network.part_id(part), now_ms);
        let mut tx = store.begin().await.unwrap();
        tx.save_incident(&incident, &[]).await.unwrap();
        let notices = network
            .subscribers(&lost)
            .map(|person| notice(&incident, network.account(person), person.0))
            .collect();
        tx.write_plan(&Plan {
            notices,
            ..Plan::default()
        })
        .await
        .unwrap();
        tx.commit().await.unwrap();
        incidents.push(LiveIncident {
            incident: Arc::new(incident),
            lost: Arc::new(lost),
            at_risk: Arc::default(),
        });
    }
    Live {
        network,
        map: Arc::new(loaded.map),
        topology_version: loaded.versions.topology,
        subscribers_version: loaded.versions.subscribers,
        incidents,
        works: Vec::new(),
        experience: Arc::default(),
        alarms: 0,
        unmapped_alarms: 0,
    }
}

fn incident(no: i64, olt: &str, now_ms: i64) -> Incident {
    Incident {
        no: IncidentNo(no),
        state: IncidentState::Confirmed,
        cause: Cause {
            resources: vec![olt.to_owned()],
            kind: CauseKind::Equipment,
            text: String::new(),
            set_by_operator: false,
            class: PartClass::Unknown,
            reasoning: String::new(),
        },
        onset_ms: now_ms - 600_000,
        detected_ms: now_ms - 590_000,
        confirmed_ms: Some(now_ms - 500_000),
        restored_ms: None,
        estimate: None,
        affected: 1,
        affected_peak: 1,
        at_risk: 0,
        reopened: 0,
        unstable: false,
        stale: false,
        revision: 1,
        evidence: Vec::new(),
        evidence_count: 0,
        timeline_len: 0,
        merged_into: None,
        declared: Vec::new(),
        split_from: None,
        life: forewarn::incident::Life::default(),
    }
}

fn notice(incident: &Incident, account: &str, number: u32) -> PlannedNotice {
    let key = u128::try_from(incident.no.0).unwrap() << 64 | u128::from(number);
    PlannedNotice {
        id: NoticeId(Uuid::from_u128(key)),
        incident: incident.no,
        account: account.to_owned(),
        episode: 0,
        stage: Stage::First,
        stage_no: 0,
        decision: Decision::Send,
        covered_by: None,
        person: PersonKey {
            cluster: "pon".to_owned(),
            arm: Arm::NotAssigned,
            segment: Segment::Residential,
            vulnerable: false,
            language: "it".to_owned(),
            channel: Some(ChannelKind::Email),
        },
        planned_at_ms: incident.detected_ms,
        available_at_ms: incident.detected_ms,
        useless_after_ms: i64::MAX,
        facts: Facts::of(incident),
    }
}

/// By account, phone, e-mail, address and serial number in turn; every other customer is affected.
fn queries(people: &[Subscriber], live: &Live) -> Vec<String> {
    let lost: Vec<_> = live
        .incidents
        .iter()
        .flat_map(|shown| live.network.subscribers(&shown.lost))
        .collect();
    let pairs = LOOKUPS / 2;
    let hit = lost.iter().cycle().step_by((lost.len() / pairs).max(1));
    let any = people.iter().step_by((people.len() / pairs).max(1)).cycle();
    hit.map(|number| &people[number.0 as usize])
        .zip(any)
        .flat_map(|(hit, any)| [hit, any])
        .take(LOOKUPS)
        .enumerate()
        .map(|(number, person)| query(number / 2, person))
        .collect()
}

fn query(number: usize, person: &Subscriber) -> String {
    let contact = |kind| {
        let found = person
            .contact_points
            .iter()
            .find(|point| point.kind == kind);
        found.map(|point| point.value.clone())
    };
    let typed = match number % 5 {
        0 => None,
        1 => contact(ContactKind::Phone),
        2 => contact(ContactKind::Email),
        3 => Some(person.address.clone()),
        _ => Some(person.cpe_serial.clone()),
    };
    typed
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| person.account.clone())
}

async fn serve(store: &Store, live: Live) -> CareServiceClient<Channel> {
    // The receiver goes on showing the last value when the sender is gone.
    let (_, receiver) = watch::channel(Arc::new(live));
    let api = CareApi {
        store: store.clone(),
        live: receiver,
        clock: Clock::System,
        message_id_domain: "mail.example.net".to_owned(),
        numbering: forewarn::subscriber::Numbering::default(),
    };
    let service = CareServiceServer::with_interceptor(api, |mut request: tonic::Request<()>| {
        request.extensions_mut().insert(Caller {
            name: "bench".to_owned(),
            role: Role::Care,
        });
        Ok(request)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))),
    );
    CareServiceClient::connect(address).await.unwrap()
}
