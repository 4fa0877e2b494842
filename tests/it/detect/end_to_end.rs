//! From samples over gRPC to an incident and back, with a service that is killed in between.

use super::MINUTE_MS;
use crate::crash::Service;
use crate::operators::{network, person};
use crate::support::{Backend, postgres_schema_url};
use forewarn::alarm::{LogEntry, LogRecord};
use forewarn::clock::Clock;
use forewarn::incident::{Incident, IncidentState};
use forewarn::pipeline::importer::{import_subscribers, import_topology};
use forewarn::proto::v1::stream_samples_request::Message as Out;
use forewarn::proto::v1::stream_samples_response::Message as In;
use forewarn::proto::v1::telemetry_service_client::TelemetryServiceClient;
use forewarn::proto::v1::{Hello, Sample, StreamSamplesRequest};
use forewarn::rpc::auth::{Role, new_token};
use forewarn::store::{IncidentFilter, Store};
use forewarn::subscriber::Segment;
use rstest::rstest;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

const PATIENCE: Duration = Duration::from_mins(1);

const RULES: &str = r#"
    [[detect.rule]]
    name = "sessions-drop"
    kind = "drop"
    metric = "sessions"
    alarm_type = "sessions-drop"
    severity = "major"
    effect = "loss"
    fall_percent = 60
    window_s = 1800
    minimum_base = 2
    recover_percent = 80
    [[detect.rule]]
    name = "rx-low"
    kind = "threshold"
    metric = "rx_power_dbm"
    alarm_type = "low-optical-power"
    severity = "minor"
    effect = "degraded"
    direction = "below"
    raise_at = -28
    clear_at = -26
"#;

struct Bench {
    service: Service,
    operator: String,
    store: Store,
    dir: tempfile::TempDir,
    begin_ms: i64,
    sent: u64,
}

async fn set_up(backend: Backend) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let url = match backend {
        Backend::Sqlite => format!("sqlite:{}", dir.path().join("t.db").display()),
        Backend::Postgres => postgres_schema_url().await,
    };
    let store = Store::open(&url).await.unwrap();
    let now_ms = Clock::System.now_ms();
    let quiet = |_, _, _| {};
    import_topology(&store, network(), now_ms, &quiet)
        .await
        .unwrap();
    let people = (1..=4).map(|no| person(no, "en", Segment::Residential, false));
    import_subscribers(&store, people.collect(), now_ms, &quiet)
        .await
        .unwrap();
    let mut secrets = Vec::new();
    for (name, role) in [("bng", Role::Ingest), ("noc", Role::Operator)] {
        let (secret, stored) = new_token(name, role, now_ms);
        store.add_token(&stored).await.unwrap();
        secrets.push(secret);
    }
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = address.local_addr().unwrap();
    let rules = dir.path().join("forewarn.toml");
    std::fs::write(&rules, RULES).unwrap();
    let path = |path: &Path| path.display().to_string();
    let settings = vec![
        ("FOREWARN_CONFIG", path(&rules)),
        ("FOREWARN_DATABASE__URL", url),
        ("FOREWARN_RPC__LISTEN", address.to_string()),
        ("FOREWARN_WEB__LISTEN", "127.0.0.1:0".to_owned()),
        ("FOREWARN_CORRELATION__HOLD_DOWN_S", "1".to_owned()),
        ("FOREWARN_CORRELATION__LONE_ALARM_S", "1".to_owned()),
        ("FOREWARN_CORRELATION__RESTORE_QUIET_S", "1".to_owned()),
        ("FOREWARN_EMAIL__DIRECTORY", path(&dir.path().join("mail"))),
        ("FOREWARN_LOG__FILTER", "error".to_owned()),
    ];
    let operator = secrets.remove(1);
    let token = secrets.remove(0);
    Bench {
        service: Service {
            settings,
            address,
            token,
        },
        operator,
        store,
        dir,
        begin_ms: now_ms - 60 * MINUTE_MS,
        sent: 0,
    }
}

impl Bench {
    /// Sends samples (resource, metric, minute, value), and returns when they are committed.
    async fn stream(&mut self, samples: &[(&str, &str, i64, f64)]) {
        self.try_stream("bng-1", samples).await.unwrap();
    }

    async fn try_stream(
        &mut self,
        source: &str,
        samples: &[(&str, &str, i64, f64)],
    ) -> Result<(), Status> {
        let endpoint = format!("http://{}", self.service.address);
        let endpoint = tonic::transport::Endpoint::from_shared(endpoint).unwrap();
        let begin = Instant::now();
        let channel = loop {
            match endpoint.connect().await {
                Ok(channel) => break channel,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
            sleep(Duration::from_millis(20)).await;
        };
        let hello = Hello {
            source: source.to_owned(),
            heartbeat_interval_s: 0,
        };
        let mut requests = vec![StreamSamplesRequest {
            sequence: 0,
            message: Some(Out::Hello(hello)),
        }];
        for (resource, metric, minute, value) in samples {
            self.sent += 1;
            let sample = Sample {
                resource: (*resource).to_owned(),
                metric: (*metric).to_owned(),
                value: *value,
                sampled_at_ms: self.begin_ms + minute * MINUTE_MS,
            };
            requests.push(StreamSamplesRequest {
                sequence: self.sent,
                message: Some(Out::Sample(sample)),
            });
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(requests.len());
        for request in requests {
            sender.try_send(request).unwrap();
        }
        let mut request = tonic::Request::new(ReceiverStream::new(receiver));
        let bearer = format!("Bearer {}", self.service.token).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let mut client = TelemetryServiceClient::new(channel);
        let mut answers = client.stream_samples(request).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            match answer.message {
                Some(In::Committed(c)) if c.through_sequence >= self.sent => return Ok(()),
                Some(In::Rejected(rejected)) => panic!("{rejected:?}"),
                _ => {}
            }
        }
        panic!("the stream ended before everything was committed");
    }

    async fn incidents(&self) -> Vec<Incident> {
        let filter = IncidentFilter::default();
        self.store.list_incidents(&filter, None, 10).await.unwrap()
    }

    /// Waits until there is one incident, in that state.
    async fn incident_in(&self, state: IncidentState) -> Incident {
        let begin = Instant::now();
        loop {
            let mut incidents = self.incidents().await;
            if incidents.len() == 1 && incidents[0].state == state {
                return incidents.remove(0);
            }
            assert!(begin.elapsed() < PATIENCE, "{incidents:#?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What `forewarn alarm list` shows: source, alarm type, resource, effect.
    async fn alarms(&self) -> Vec<[String; 4]> {
        let output = Command::new(env!("CARGO_BIN_EXE_forewarn"))
            .args(["alarm", "list", "--json", "--server"])
            .arg(format!("http://{}", self.service.address))
            .args(["--token", &self.operator])
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut alarms: Vec<[String; 4]> = text
            .lines()
            .map(|line| {
                let alarm: serde_json::Value = serde_json::from_str(line).unwrap();
                ["source", "alarm_type", "resource", "service_effect"]
                    .map(|key| alarm[key].as_str().unwrap().to_owned())
            })
            .collect();
        alarms.sort();
        alarms
    }

    /// Events of the rules as (kind, resource, minute), each source in its order.
    async fn events(&self) -> BTreeMap<i64, Vec<(u64, String, String, i64)>> {
        let log: Vec<LogEntry> = self.store.alarms_after(0, usize::MAX).await.unwrap();
        let mut events: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for entry in log {
            if let LogRecord::Event(event) = entry.record {
                let minute = (event.event_at_ms - self.begin_ms) / MINUTE_MS;
                let kind = format!("{:?}", event.kind);
                let told = (entry.sequence, kind, event.key.resource, minute);
                events.entry(entry.source.0).or_default().push(told);
            }
        }
        events
    }
}

async fn kill(mut process: Child) {
    process.kill().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_fall_are_an_incident_until_they_are_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut bench = set_up(backend).await;
    let process = bench.service.start();
    let refused = bench.try_stream("detect/rx-low", &[]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let normal: Vec<_> = (0..40)
        .flat_map(|minute| {
            [
                ("olt1", "sessions", minute, 240.0),
                ("olt2", "sessions", minute, 100.0),
                ("ont4", "rx_power_dbm", minute, -20.0),
            ]
        })
        .collect();
    bench.stream(&normal).await;
    kill(process).await;

    // Committed, and killed before anybody may have looked.
    let process = bench.service.start();
    bench
        .stream(&[
            ("olt1", "sessions", 40, 12.0),
            ("olt2", "sessions", 40, 99.0),
            ("ont4", "rx_power_dbm", 40, -31.0),
        ])
        .await;
    kill(process).await;

    let process = bench.service.start();
    let incident = bench.incident_in(IncidentState::Confirmed).await;
    assert_eq!(incident.cause.resources, ["olt1"]);
    assert_eq!(incident.affected, 3);
    assert_eq!(incident.onset_ms, bench.begin_ms + 40 * MINUTE_MS);
    let alarm = |source: &str, kind: &str, resource: &str, effect: &str| {
        [source, kind, resource, effect].map(str::to_owned)
    };
    let dim = alarm("detect/rx-low", "low-optical-power", "ont4", "degraded");
    let drop = alarm("detect/sessions-drop", "sessions-drop", "olt1", "loss");
    assert_eq!(bench.alarms().await, [dim.clone(), drop]);
    kill(process).await;

    let process = bench.service.start();
    bench.stream(&[("olt1", "sessions", 50, 191.0)]).await;
    bench.stream(&[("olt1", "sessions", 51, 239.0)]).await;
    kill(process).await;
    let process = bench.service.start();
    let incident = bench.incident_in(IncidentState::Restored).await;
    assert_eq!(incident.no.0, 1);
    assert_eq!(bench.alarms().await, [dim]);
    kill(process).await;

    let event =
        |no, kind: &str, resource: &str, minute| (no, kind.to_owned(), resource.to_owned(), minute);
    let expected = [
        vec![event(1, "Raise", "ont4", 40)],
        vec![event(1, "Raise", "olt1", 40), event(2, "Clear", "olt1", 51)],
    ];
    let events = bench.events().await;
    let mut told: Vec<_> = events.into_values().collect();
    told.sort_by_key(Vec::len);
    assert_eq!(told, expected, "each once");

    // Without rules nothing of them stays.
    std::fs::write(bench.dir.path().join("forewarn.toml"), "").unwrap();
    let process = bench.service.start();
    bench.stream(&[("olt1", "sessions", 52, 0.0)]).await;
    let begin = Instant::now();
    while !bench.alarms().await.is_empty() {
        assert!(
            begin.elapsed() < PATIENCE,
            "an alarm of a rule that is gone"
        );
        sleep(Duration::from_millis(100)).await;
    }
    kill(process).await;
}
