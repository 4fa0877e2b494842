//! The service is killed again and again while alarms come in. Nothing acknowledged is lost, nothing
//! happens twice, everybody affected has a decision.

use crate::support::Backend;
use forewarn::alarm::LogEntry;
use forewarn::clock::Clock;
use forewarn::demo::smtp_capture::{Capture, CaptureOptions};
use forewarn::generate::{GenerateSettings, generate};
use forewarn::incident::{Incident, IncidentState};
use forewarn::notice::{NoticeState, Stage};
use forewarn::pipeline::importer::{import_subscribers, import_topology, load_network};
use forewarn::proto::v1::alarm_service_client::AlarmServiceClient;
use forewarn::proto::v1::stream_alarms_request::Message as Out;
use forewarn::proto::v1::stream_alarms_response::Message as In;
use forewarn::proto::v1::{AlarmEvent, AlarmEventKind, Hello, Severity, StreamAlarmsRequest};
use forewarn::rpc::auth::{Role, new_token};
use forewarn::store::{IncidentFilter, NoticeFilter, NoticePage, NoticeRecord, Store};
use forewarn::topology::{ElementKind, ElementNo, Network, Part};
use rand::{RngExt as _, SeedableRng as _};
use rstest::rstest;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

const KILLS: usize = 30;
/// Notices claimed at a time: the bound on duplicates per kill.
const BATCH: usize = 20;
const PATIENCE: Duration = Duration::from_secs(90);

/// The service under test, as a process of its own.
pub(crate) struct Service {
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Service {
    pub(crate) fn start(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
        command
            .arg("serve")
            .env_clear()
            .envs(self.settings.iter().map(|(k, v)| (*k, v.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// Sends what is not committed yet, until all of it is or the connection breaks. `acknowledged`
    /// is the highest number that was ever acknowledged; the service must not have less.
    async fn stream(&self, events: &[AlarmEvent], acknowledged: &mut u64) {
        // A broken connection is what this test is about.
        drop(self.try_stream(events, acknowledged).await);
    }

    async fn try_stream(
        &self,
        events: &[AlarmEvent],
        acknowledged: &mut u64,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.address))?;
        let channel = loop {
            match endpoint.connect().await {
                Ok(channel) => break channel,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        };
        let (to_server, requests) = tokio::sync::mpsc::channel(64);
        let hello = Hello {
            source: "noc".to_owned(),
            heartbeat_interval_s: 0,
        };
        to_server
            .send(StreamAlarmsRequest {
                sequence: 0,
                message: Some(Out::Hello(hello)),
            })
            .await?;
        let mut request = tonic::Request::new(ReceiverStream::new(requests));
        let bearer = format!("Bearer {}", self.token).parse()?;
        request.metadata_mut().insert("authorization", bearer);
        let mut answers = AlarmServiceClient::new(channel)
            .stream_alarms(request)
            .await?
            .into_inner();
        let first = answers.message().await?.and_then(|m| m.message);
        let Some(In::Resume(resume)) = first else {
            return Err("no resume".into());
        };
        assert!(
            resume.last_committed_sequence >= *acknowledged,
            "alarms through {acknowledged} were acknowledged, but only those through {} are there",
            resume.last_committed_sequence
        );
        *acknowledged = resume.last_committed_sequence;
        let mut next = usize::try_from(resume.last_committed_sequence)?;
        while usize::try_from(*acknowledged)? < events.len() {
            // A few at a time, as a NOC does, so that a kill falls between any two of them.
            for event in events.iter().skip(next).take(7) {
                next += 1;
                let request = StreamAlarmsRequest {
                    sequence: next as u64,
                    message: Some(Out::Event(event.clone())),
                };
                to_server.send(request).await?;
            }
            match answers.message().await?.and_then(|m| m.message) {
                Some(In::Committed(c)) => *acknowledged = (*acknowledged).max(c.through_sequence),
                Some(In::Rejected(r)) => panic!("refused: {r:?}"),
                other => return Err(format!("{other:?}").into()),
            }
            sleep(Duration::from_millis(15)).await;
        }
        Ok(())
    }
}

/// Faults that do not touch one another, each by the id of what fails.
fn faults(network: &Network) -> Vec<String> {
    let elements = || (0..u32::try_from(network.element_count()).unwrap()).map(ElementNo);
    let of_kind = |kind| elements().filter(move |e| network.kind(*e) == kind);
    let lost = |e| network.lost_alone(Part::Element(e)).len();
    let olts: Vec<_> = of_kind(ElementKind::Olt)
        .filter(|e| lost(*e) > 0)
        .take(2)
        .collect();
    // One PON of each of four other OLTs: several of one OLT would point at the OLT itself.
    let others = of_kind(ElementKind::Olt).filter(|e| !olts.contains(e));
    let pons = others
        .filter_map(|olt| {
            let mut ports: Vec<_> = network
                .children(olt)
                .filter(|port| lost(*port) > 0)
                .collect();
            ports.pop().filter(|_| ports.len() > 1)
        })
        .take(4);
    let chosen: Vec<_> = olts.iter().copied().chain(pons).collect();
    chosen
        .into_iter()
        .map(|e| network.part_id(Part::Element(e)).to_owned())
        .collect()
}

/// Raises that stay, among many alarms that come and go without meaning.
fn events(faults: &[String], network: &Network, now_ms: i64) -> Vec<AlarmEvent> {
    let event = |kind: AlarmEventKind, resource: &str, alarm_type: &str, at_ms: i64| AlarmEvent {
        kind: kind.into(),
        resource: resource.to_owned(),
        alarm_type: alarm_type.to_owned(),
        severity: Severity::Major.into(),
        event_time_ms: at_ms,
        ..AlarmEvent::default()
    };
    let onts: Vec<String> = (0..u32::try_from(network.element_count()).unwrap())
        .map(ElementNo)
        .filter(|e| network.kind(*e) == ElementKind::Ont)
        .map(|e| network.part_id(Part::Element(e)).to_owned())
        .collect();
    let mut events = Vec::new();
    let per_fault = 700;
    for (number, fault) in faults.iter().enumerate() {
        events.push(event(
            AlarmEventKind::Raise,
            fault,
            "unreachable",
            now_ms + events.len() as i64,
        ));
        for at in 0..per_fault {
            let ont = &onts[(number * per_fault + at) % onts.len()];
            let kind = if at % 2 == 0 {
                AlarmEventKind::Raise
            } else {
                AlarmEventKind::Clear
            };
            events.push(event(
                kind,
                ont,
                "signal-degrade",
                now_ms + events.len() as i64,
            ));
        }
    }
    events
}

/// A database of its own, by URL: a process of its own must find it.
async fn database(backend: Backend, dir: &std::path::Path) -> String {
    match backend {
        Backend::Sqlite => format!("sqlite:{}", dir.join("crash.db").display()),
        Backend::Postgres => crate::support::postgres_schema_url().await,
    }
}

fn message_id(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail);
    let line = text.lines().find(|l| l.starts_with("Message-ID:"));
    line.expect("every mail has a Message-ID").to_owned()
}

struct Bench {
    service: Service,
    store: Store,
    network: Network,
    mails: Capture,
    _tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

async fn set_up(backend: Backend) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let url = database(backend, dir.path()).await;
    let store = Store::open(&url).await.unwrap();
    let now_ms = Clock::System.now_ms();
    let generated = generate(&GenerateSettings::embedded(2_000, 5).unwrap()).unwrap();
    let mut subscribers = generated.subscribers;
    for subscriber in &mut subscribers {
        subscriber.quiet_hours = None;
    }
    let quiet = |_, _, _| {};
    import_topology(&store, generated.definition, now_ms, &quiet)
        .await
        .unwrap();
    import_subscribers(&store, subscribers, now_ms, &quiet)
        .await
        .unwrap();
    let network = load_network(&store).await.unwrap().network;
    let (token, stored) = new_token("noc", Role::Ingest, now_ms);
    store.add_token(&stored).await.unwrap();

    let smtp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mail_url = format!("smtp://{}", smtp.local_addr().unwrap());
    let (mails, server) = Capture::new(smtp, CaptureOptions::default(), CancellationToken::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(server);
    // The port is free again at once; the service takes it in a moment.
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let settings = vec![
        ("FOREWARN_DATABASE__URL", url),
        ("FOREWARN_RPC__LISTEN", address.to_string()),
        ("FOREWARN_WEB__LISTEN", "127.0.0.1:0".to_owned()),
        ("FOREWARN_CORRELATION__HOLD_DOWN_S", "1".to_owned()),
        ("FOREWARN_CORRELATION__LONE_ALARM_S", "1".to_owned()),
        ("FOREWARN_EMAIL__TRANSPORT", "smtp".to_owned()),
        ("FOREWARN_EMAIL__URL", mail_url),
        ("FOREWARN_EMAIL__TLS", "none".to_owned()),
        ("FOREWARN_EMAIL__TIMEOUT_S", "1".to_owned()),
        ("FOREWARN_EMAIL__LEASE_S", "3".to_owned()),
        ("FOREWARN_EMAIL__BATCH", BATCH.to_string()),
        ("FOREWARN_LOG__FILTER", "error".to_owned()),
    ];
    Bench {
        service: Service {
            settings,
            address,
            token,
        },
        store,
        network,
        mails,
        _tasks: tasks,
        _dir: dir,
    }
}

/// All rows of the history that pass the filter.
async fn notices(store: &Store, filter: &NoticeFilter) -> Vec<NoticeRecord> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = NoticePage { after, size: 1_000 };
        let (more, next) = store.list_notices(filter, page).await.unwrap();
        all.extend(more);
        after = next;
        if after.is_none() {
            return all;
        }
    }
}

fn in_state(state: NoticeState) -> NoticeFilter {
    NoticeFilter {
        state: Some(state),
        ..NoticeFilter::default()
    }
}

async fn all_incidents(store: &Store) -> Vec<Incident> {
    store
        .list_incidents(&IncidentFilter::default(), None, 500)
        .await
        .unwrap()
}

/// Waits until every fault is a confirmed incident and nothing waits to be sent.
async fn wait_until_done(bench: &Bench, faults: &[String]) {
    let begin = Instant::now();
    loop {
        let incidents = all_incidents(&bench.store).await;
        let confirmed = incidents
            .iter()
            .filter(|i| i.state == IncidentState::Confirmed)
            .count();
        let pending = notices(&bench.store, &in_state(NoticeState::Pending))
            .await
            .len();
        if confirmed >= faults.len() && pending == 0 {
            return;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{confirmed} of {} confirmed, {pending} notices pending",
            faults.len()
        );
        sleep(Duration::from_millis(100)).await;
    }
}

async fn whole_log(store: &Store) -> Vec<LogEntry> {
    let mut log: Vec<LogEntry> = Vec::new();
    loop {
        let after = log.last().map_or(0, |entry| entry.position);
        let more = store.alarms_after(after, 10_000).await.unwrap();
        if more.is_empty() {
            return log;
        }
        log.extend(more);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_kills_lose_nothing_and_repeat_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let bench = set_up(backend).await;
    let faults = faults(&bench.network);
    assert_eq!(
        faults.len(),
        6,
        "the generated network has room for the faults"
    );
    let events = events(&faults, &bench.network, Clock::System.now_ms() - 60_000);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(30);
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let mut process = bench.service.start();
        let lives = Duration::from_millis(random.random_range(30..1_500));
        // Time counts from the moment at which the service answers, but for every third kill, which
        // may fall into its start.
        if kill % 3 != 0 {
            while tokio::net::TcpStream::connect(bench.service.address)
                .await
                .is_err()
            {
                sleep(Duration::from_millis(5)).await;
            }
        }
        let reached = timeout(
            lives,
            bench.service.stream_forever(&events, &mut acknowledged),
        )
        .await;
        assert!(reached.is_err(), "the stream goes on until the kill");
        process.kill().await.unwrap();
        let mails = bench.mails.mails();
        let distinct: BTreeSet<String> = mails.iter().map(|m| message_id(&m.data)).collect();
        let copies = mails.len() - distinct.len();
        // What a kill leaves goes out again when its lease has ended, perhaps after further kills.
        assert!(
            copies <= (kill + 1) * BATCH,
            "{copies} mails were repeated after {} kills",
            kill + 1
        );
    }
    let mut process = bench.service.start();
    bench.service.stream(&events, &mut acknowledged).await;
    let all = events.len() as u64;
    assert_eq!(acknowledged, all, "the last run takes the rest");
    wait_until_done(&bench, &faults).await;
    process.kill().await.unwrap();
    check_log(&bench, &events).await;
    check_incidents(&bench, &faults).await;
    check_mails(&bench).await;
}

impl Service {
    /// Streams, and reconnects whenever that ends, until dropped.
    async fn stream_forever(&self, events: &[AlarmEvent], acknowledged: &mut u64) {
        loop {
            self.stream(events, acknowledged).await;
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Every event is in the log, once and in order.
async fn check_log(bench: &Bench, events: &[AlarmEvent]) {
    let sequences: Vec<u64> = whole_log(&bench.store)
        .await
        .iter()
        .map(|entry| entry.sequence)
        .filter(|sequence| *sequence > 0)
        .collect();
    let expected: Vec<u64> = (1..=events.len() as u64).collect();
    assert_eq!(sequences, expected, "each event is logged once");
}

/// One incident for each fault, and a decision for everyone who lost service.
async fn check_incidents(bench: &Bench, faults: &[String]) {
    let incidents = all_incidents(&bench.store).await;
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for incident in &incidents {
        for resource in &incident.cause.resources {
            *causes.entry(resource).or_default() += 1;
        }
    }
    let expected: BTreeMap<&str, usize> = faults.iter().map(|f| (f.as_str(), 1)).collect();
    assert_eq!(causes, expected, "each fault is one incident");
    for incident in &incidents {
        let parts: Vec<Part> = incident
            .cause
            .resources
            .iter()
            .map(|r| bench.network.part(r).unwrap())
            .collect();
        let lost = bench.network.lost(&parts);
        let affected: BTreeSet<String> = bench
            .network
            .subscribers(&lost)
            .map(|no| bench.network.account(no).to_owned())
            .collect();
        let first = NoticeFilter {
            incident: Some(incident.no),
            stage: Some(Stage::First),
            ..NoticeFilter::default()
        };
        let rows = notices(&bench.store, &first).await;
        let decided: BTreeSet<String> = rows.iter().map(|n| n.account.clone()).collect();
        assert_eq!(decided.len(), rows.len(), "one decision for each person");
        assert_eq!(
            decided, affected,
            "{}: everyone has a decision",
            incident.no
        );
        assert!(!affected.is_empty());
    }
}

/// Whoever was to be told got mail, and copies of a mail have its Message-ID.
async fn check_mails(bench: &Bench) {
    let mails = bench.mails.mails();
    let mut by_recipient: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for mail in &mails {
        by_recipient
            .entry(mail.to.join(","))
            .or_default()
            .insert(message_id(&mail.data));
    }
    // No fault overlaps another here, so that one person hears of one incident only.
    for (recipient, ids) in &by_recipient {
        assert_eq!(
            ids.len(),
            1,
            "{recipient} got different mails about one fault"
        );
    }
    let sent = notices(&bench.store, &in_state(NoticeState::Sent)).await;
    assert_eq!(by_recipient.len(), sent.len(), "sent is what arrived");
}
