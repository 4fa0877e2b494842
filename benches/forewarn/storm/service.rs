//! The storm through the real binary.

use super::{Alarm, alarms};
use crate::figure::Figure;
use forewarn::clock::Clock;
use forewarn::generate::{GenerateSettings, generate};
use forewarn::pipeline::importer::{import_subscribers, import_topology, load_network};
use forewarn::proto::v1;
use forewarn::proto::v1::alarm_service_client::AlarmServiceClient;
use forewarn::proto::v1::incident_service_client::IncidentServiceClient;
use forewarn::proto::v1::stream_alarms_request::Message as Said;
use forewarn::proto::v1::stream_alarms_response::Message as Told;
use forewarn::rpc::auth::{Role, new_token};
use forewarn::store::Store;
use forewarn::topology::{ElementNo, Part};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

/// Alarms that are sent and not yet acknowledged.
const UNACKNOWLEDGED: u64 = 64_000;
/// How long the incident may take, and the plan after it.
const PATIENCE: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(100);
const GOAL_MIB: f64 = 1_536.0;
/// Of those who lost service, and of those named.
const RIGHT: f64 = 0.999;
/// Long enough for the incident to be seen before it is confirmed by hand.
const HOLD_DOWN_S: &str = "3600";
/// The least that the settings allow beside that.
const DECIDE_WITHIN_S: &str = "10800";

pub(super) async fn run(subscribers: u32) -> Vec<Figure> {
    let generated = generate(&GenerateSettings::embedded(subscribers, 79).unwrap()).unwrap();
    let alarms = alarms(&generated.definition, |_| true);
    std::fs::create_dir_all("target/bench").unwrap();
    let dir = tempfile::tempdir_in("target/bench").unwrap();
    let url = format!("sqlite://{}/storm.db", dir.path().display());
    let store = Store::open(&url).await.unwrap();
    let now_ms = Clock::System.now_ms();
    let quiet = |_, _, _| {};
    import_topology(&store, generated.definition, now_ms, &quiet)
        .await
        .unwrap();
    import_subscribers(&store, generated.subscribers, now_ms, &quiet)
        .await
        .unwrap();
    let network = load_network(&store).await.unwrap().network;
    let gateways = (0..network.element_count()).map(|no| ElementNo(no as u32));
    let gateways = gateways.filter(|gateway| network.is_gateway(*gateway));
    let gateways: Vec<Part> = gateways.map(Part::Element).collect();
    let truth = network.lost(&gateways).len();
    drop(network);
    let (token, stored) = new_token("storm", Role::Admin, now_ms);
    assert!(store.add_token(&stored).await.unwrap());
    store.close().await;

    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut service = Service::start(&url, port, dir.path());
    let connection = service.connect(port).await;
    let loaded_mib = service.steady_memory().await;
    let size = format!("{subscribers} subscribers, {} events", alarms.len());
    let begun = Instant::now();
    let (durable, right) = tokio::join!(
        send(connection.clone(), &token, &alarms, begun),
        until_right(connection.clone(), &token, truth, begun),
    );
    let storm_mib = service.memory("VmHWM:");
    let begun = Instant::now();
    let planned = confirm(connection, &token, &right.id, truth, begun).await;
    let plan_mib = service.memory("VmHWM:");
    service.stop();
    let seconds = |duration: Duration| duration.as_secs_f64();
    vec![
        Figure::new(
            "service: all events acknowledged",
            seconds(durable),
            "s",
            &size,
        ),
        Figure::new(
            "service: from the first event to the right incident",
            seconds(right.after),
            "s",
            format!(
                "{size}; {} open, {} of {truth} affected",
                right.open, right.affected
            ),
        ),
        Figure::new(
            "service: from the last acknowledgement to the right incident",
            (seconds(right.after) - seconds(durable)).max(0.0),
            "s",
            &size,
        ),
        Figure::new(
            "service: memory with the network loaded",
            loaded_mib,
            "MiB",
            &size,
        ),
        Figure::new(
            "service: peak memory through the storm",
            storm_mib,
            "MiB",
            &size,
        )
        .goal(format!("<= {GOAL_MIB} MiB"), storm_mib <= GOAL_MIB),
        Figure::new(
            "service: from the confirmation to everybody's notice",
            seconds(planned),
            "s",
            &size,
        ),
        Figure::new("service: peak memory after that", plan_mib, "MiB", &size),
    ]
}

struct Service(Child);

impl Service {
    fn start(url: &str, port: u16, dir: &std::path::Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
        command
            .arg("serve")
            .env_clear()
            .env("FOREWARN_DATABASE__URL", url)
            .env("FOREWARN_RPC__LISTEN", format!("127.0.0.1:{port}"))
            .env("FOREWARN_WEB__LISTEN", "127.0.0.1:0")
            .env("FOREWARN_EMAIL__DIRECTORY", dir.join("mails"))
            .env("FOREWARN_CORRELATION__HOLD_DOWN_S", HOLD_DOWN_S)
            .env("FOREWARN_CORRELATION__DECIDE_WITHIN_S", DECIDE_WITHIN_S)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    async fn connect(&mut self, port: u16) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let endpoint = endpoint.tcp_nodelay(true);
        loop {
            if let Ok(channel) = endpoint.connect().await {
                return channel;
            }
            assert!(self.0.try_wait().unwrap().is_none(), "the service ended");
            tokio::time::sleep(POLL).await;
        }
    }

    /// A line of its status, in MiB.
    fn memory(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with(line)).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024.0
    }

    /// Resident memory once it grows no more: the port listens before the network is loaded.
    async fn steady_memory(&self) -> f64 {
        let mut latest = Vec::new();
        loop {
            latest.push(self.memory("VmRSS:"));
            if let [.., first, _, _, _, last] = &latest[..]
                && last - first < 1.0
            {
                return *last;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn stop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// Sends all alarms; how long until the last one was acknowledged.
async fn send(channel: Channel, token: &str, alarms: &[Alarm], begun: Instant) -> Duration {
    let (sender, receiver) = mpsc::channel(4_096);
    let hello = v1::Hello {
        source: "bng".to_owned(),
        heartbeat_interval_s: 0,
    };
    let said = |sequence, message| v1::StreamAlarmsRequest {
        sequence,
        message: Some(message),
    };
    sender.send(said(0, Said::Hello(hello))).await.unwrap();
    let request = with_token(ReceiverStream::new(receiver), token);
    let answers = AlarmServiceClient::new(channel)
        .stream_alarms(request)
        .await;
    let mut answers = answers.unwrap().into_inner();
    let onset_ms = Clock::System.now_ms() - 60_000;
    let last = alarms.len() as u64;
    let (mut sent, mut acknowledged) = (0, 0);
    while acknowledged < last {
        while sent < last && sent < acknowledged + UNACKNOWLEDGED {
            let alarm = &alarms[sent as usize];
            sent += 1;
            let event = v1::AlarmEvent {
                kind: v1::AlarmEventKind::Raise.into(),
                resource: alarm.resource.clone(),
                alarm_type: alarm.alarm_type.to_owned(),
                severity: v1::Severity::Major.into(),
                event_time_ms: onset_ms + alarm.at_ms,
                ..v1::AlarmEvent::default()
            };
            sender.send(said(sent, Said::Event(event))).await.unwrap();
        }
        if let Some(Told::Committed(committed)) = answers.message().await.unwrap().unwrap().message
        {
            acknowledged = committed.through_sequence;
        }
    }
    begun.elapsed()
}

struct Right {
    after: Duration,
    id: String,
    affected: u64,
    open: usize,
}

/// Waits until one open incident names those who lost service.
async fn until_right(channel: Channel, token: &str, truth: usize, begun: Instant) -> Right {
    let mut service = IncidentServiceClient::new(channel);
    loop {
        let open = [v1::IncidentState::Suspected, v1::IncidentState::Confirmed];
        let request = v1::ListIncidentsRequest {
            states: open.map(i32::from).to_vec(),
            page_size: 500,
            ..v1::ListIncidentsRequest::default()
        };
        let page = service.list_incidents(with_token(request, token)).await;
        let incidents = page.unwrap().into_inner().incidents;
        let after = begun.elapsed();
        let largest = incidents.iter().max_by_key(|incident| incident.affected);
        if let Some(largest) = largest
            && largest.affected as f64 >= RIGHT * truth as f64
        {
            return Right {
                after,
                id: largest.id.clone(),
                affected: largest.affected,
                open: incidents.len(),
            };
        }
        assert!(
            after < PATIENCE,
            "no incident of {truth} people; open: {:?}",
            incidents
                .iter()
                .take(20)
                .map(|i| (i.affected, i.cause.as_ref().map(|c| c.resources.len())))
                .collect::<Vec<_>>()
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Confirms the incident and waits until its notices are planned.
async fn confirm(
    channel: Channel,
    token: &str,
    id: &str,
    truth: usize,
    begun: Instant,
) -> Duration {
    let mut service = IncidentServiceClient::new(channel);
    let request = v1::ConfirmIncidentRequest {
        id: id.to_owned(),
        ..v1::ConfirmIncidentRequest::default()
    };
    // So many notices may take longer than a command waits for.
    drop(service.confirm_incident(with_token(request, token)).await);
    loop {
        let request = v1::GetIncidentRequest { id: id.to_owned() };
        let incident = service.get_incident(with_token(request, token)).await;
        let incident = incident.unwrap().into_inner();
        // Shown so when the incident and all of its notices are committed.
        if incident.state() == v1::IncidentState::Confirmed {
            assert!(incident.affected as f64 >= RIGHT * truth as f64);
            return begun.elapsed();
        }
        assert!(begun.elapsed() < PATIENCE, "the notices are not planned");
        tokio::time::sleep(POLL).await;
    }
}
