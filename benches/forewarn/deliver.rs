//! From a confirmed incident of 100,000 people to their mails: how long planning takes and holds up
//! other writers, and how many mails a second are claimed, checked, composed, handed over by SMTP
//! and settled.
//!
//! Peer, in the same run: ready-made messages of the same kind through bare lettre connections,
//! without a database, into the same server.

mod sink;

use crate::figure::Figure;
use forewarn::channel::Channel;
use forewarn::channel::email::EmailChannel;
use forewarn::channel::smtp_pool::{SmtpOptions, SmtpTls};
use forewarn::clock::Clock;
use forewarn::delivery::unsubscribe::UnsubscribeLinks;
use forewarn::effect::holdout::Experiment;
use forewarn::generate::{GenerateSettings, Generated, generate};
use forewarn::incident::{
    Cause, CauseKind, Incident, IncidentChange, IncidentNo, IncidentState, Life, PartClass,
};
use forewarn::notice::compose::Sender;
use forewarn::notice::plan::NoticePolicy;
use forewarn::notice::template::Templates;
use forewarn::pipeline::dispatcher::{DispatchOptions, Dispatcher, Outlet};
use forewarn::pipeline::importer::{
    LoadedNetwork, import_subscribers, import_topology, load_network,
};
use forewarn::pipeline::planner::{Ground, Planner};
use forewarn::store::Store;
use forewarn::subscriber::{ChannelKind, ContactKind, ContactPoint};
use forewarn::topology::{ElementNo, Network, Part, SubscriberSet};
use sink::Sink;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// People of the incident.
const PEOPLE: u32 = 100_000;
/// Mails of one measured run, and such as go out before it starts.
const MAILS: usize = 20_000;
const WARM_UP: usize = 1_000;
const GOAL_MAILS: f64 = 1_000.0;
/// As in the settings as they come, but for the connections, of which a fast relay takes more.
const BATCH: u32 = 500;
const CONNECTIONS: usize = 20;

pub(crate) fn run() -> Vec<Figure> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let generated = people();
        std::fs::create_dir_all("target/bench").unwrap();
        let dir = tempfile::tempdir_in("target/bench").unwrap();
        let url = format!("sqlite://{}/deliver.db", dir.path().display());
        let mut figures = engine("SQLite", &url, &generated).await;
        match std::env::var("BENCH_POSTGRES_URL") {
            Ok(url) => {
                let url = crate::postgres::empty_schema(&url, "bench_deliver").await;
                figures.extend(engine("PostgreSQL", &url, &generated).await);
            }
            Err(_) => println!("BENCH_POSTGRES_URL is not set: SQLite only"),
        }
        figures
    })
}

/// Everybody can be told at once, so that every person means one mail.
fn people() -> Generated {
    let settings = GenerateSettings::embedded(PEOPLE, 1).unwrap();
    let mut generated = generate(&settings).unwrap();
    for person in &mut generated.subscribers {
        person.consent = true;
        person.quiet_hours = None;
        person.channels = vec![ChannelKind::Email];
        person.contact_points = vec![ContactPoint {
            kind: ContactKind::Email,
            value: format!("{}@example.net", person.account.to_lowercase()),
        }];
    }
    generated
}

async fn engine(name: &str, url: &str, generated: &Generated) -> Vec<Figure> {
    let store = Store::open(url).await.unwrap();
    let now_ms = Clock::System.now_ms();
    let quiet = |_, _, _| {};
    import_topology(&store, generated.definition.clone(), now_ms, &quiet)
        .await
        .unwrap();
    import_subscribers(&store, generated.subscribers.clone(), now_ms, &quiet)
        .await
        .unwrap();
    let loaded = load_network(&store).await.unwrap();
    let size = format!("{PEOPLE} people");
    let (planned, blocked) = plan(&store, url, &loaded, now_ms).await;
    let mut figures = vec![
        Figure::new(
            format!("{name}: from confirmation to committed plan"),
            planned.as_secs_f64(),
            "s",
            &size,
        ),
        Figure::new(
            format!("{name}: longest wait of another writer while planning"),
            blocked.as_secs_f64() * 1e3,
            "ms",
            &size,
        ),
    ];
    figures.push(deliver(name, &store, now_ms).await);
    store.close().await;
    figures
}

/// Commits a confirmed incident that cuts everybody off, with its notices; how long that took, and
/// the longest wait of somebody else who writes.
async fn plan(
    store: &Store,
    url: &str,
    loaded: &LoadedNetwork,
    now_ms: i64,
) -> (Duration, Duration) {
    let network = &loaded.network;
    let lost = network.lost(&gateways(network));
    assert_eq!(lost.len(), PEOPLE as usize);
    let change = IncidentChange {
        incident: incident(now_ms, lost.len() as u64),
        timeline: Vec::new(),
        lost: lost.clone(),
        at_risk: SubscriberSet::default(),
        previously_lost: SubscriberSet::default(),
        never_lost: SubscriberSet::default(),
    };
    let all = BTreeMap::from([(change.incident.no, Arc::new(lost))]);
    let experiment = Experiment {
        name: "bench".to_owned(),
        holdout_percent: 0.0,
    };
    let mut planner = Planner::new(policy(), experiment, [7; 32]);
    let ground = Ground {
        network,
        versions: loaded.versions,
    };
    let other = Store::open(url).await.unwrap();
    let stop = CancellationToken::new();
    let work = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let started = Instant::now();
        let people = planner
            .read_people(store, std::slice::from_ref(&change), ground, now_ms)
            .await
            .unwrap();
        let mut tx = store.begin().await.unwrap();
        planner
            .write(&mut tx, &[change], &all, people, (ground, now_ms))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let took = started.elapsed();
        stop.cancel();
        took
    };
    let (took, blocked) = tokio::join!(work, longest_write(&other, &stop));
    other.close().await;
    (took, blocked)
}

/// Writes a row ever again and says how long the slowest took.
async fn longest_write(store: &Store, stop: &CancellationToken) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let mut tx = store.begin().await.unwrap();
        tx.opt_out("nobody", 0, "bench").await.unwrap();
        tx.commit().await.unwrap();
        longest = longest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    longest
}

fn gateways(network: &Network) -> Vec<Part> {
    let elements = (0..u32::try_from(network.element_count()).unwrap()).map(ElementNo);
    let gateways = elements.filter(|element| network.is_gateway(*element));
    gateways.map(Part::Element).collect()
}

async fn deliver(name: &str, store: &Store, now_ms: i64) -> Figure {
    let sink = Sink::start(true).await;
    let dispatcher = Dispatcher::new(store.clone(), outlet(&sink));
    send(&dispatcher, now_ms, WARM_UP).await;
    let samples = sink.mails();
    drop(dispatcher);
    sink.stop().await;
    let sink = Sink::start(false).await;
    let dispatcher = Dispatcher::new(store.clone(), outlet(&sink));
    let bytes = samples.iter().map(|mail| mail.data.len()).sum::<usize>() / samples.len();
    let started = Instant::now();
    let sent = send(&dispatcher, now_ms, MAILS).await;
    let rate = sent as f64 / started.elapsed().as_secs_f64();
    let bare = sink.bare_rate(&samples, MAILS, CONNECTIONS).await;
    sink.stop().await;
    Figure::new(
        format!("{name}: mails from planned notices, settled"),
        rate,
        "mails/s",
        format!("{sent} mails of {bytes} bytes, {CONNECTIONS} connections"),
    )
    .against(
        "bare lettre connections, ready-made messages",
        bare,
        rate / bare,
    )
    .goal(format!(">= {GOAL_MAILS} mails/s"), rate >= GOAL_MAILS)
}

/// Sends at least that many; how many it was.
async fn send(dispatcher: &Dispatcher, now_ms: i64, at_least: usize) -> usize {
    let mut sent = 0;
    while sent < at_least {
        let progress = dispatcher.step(now_ms + 1_000).await.unwrap();
        assert_eq!(progress.sent, progress.claimed, "{progress:?}");
        assert!(progress.sent > 0, "nothing is due after {sent} mails");
        sent += progress.sent;
    }
    sent
}

fn policy() -> NoticePolicy {
    NoticePolicy::default()
}

fn outlet(sink: &Sink) -> Outlet {
    let (host, port) = (sink.address.ip().to_string(), sink.address.port());
    let mut options = SmtpOptions::new(&host, port, SmtpTls::None);
    options.connections = CONNECTIONS;
    let channel = EmailChannel::smtp("Example Net <service@example.net>", options).unwrap();
    Outlet {
        channel: Channel::Email(channel),
        templates: Templates::built_in("en").unwrap(),
        sender: Sender {
            brand: "Example Net".to_owned(),
            phone: "+39 06 5550 0100".to_owned(),
            status_url: "https://www.example.net".to_owned(),
        },
        links: UnsubscribeLinks::new(vec![7; 32], "https://notices.example.net"),
        policy: policy(),
        options: DispatchOptions {
            batch: BATCH,
            concurrency: CONNECTIONS,
            ..DispatchOptions::default()
        },
    }
}

fn incident(now_ms: i64, affected: u64) -> Incident {
    Incident {
        no: IncidentNo(1),
        state: IncidentState::Confirmed,
        cause: Cause {
            resources: vec!["core".to_owned()],
            kind: CauseKind::Equipment,
            text: String::new(),
            reasoning: String::new(),
            set_by_operator: false,
            class: PartClass::Unknown,
        },
        onset_ms: now_ms - 120_000,
        detected_ms: now_ms - 100_000,
        confirmed_ms: Some(now_ms),
        restored_ms: None,
        estimate: None,
        affected,
        affected_peak: affected,
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
        life: Life::default(),
    }
}
