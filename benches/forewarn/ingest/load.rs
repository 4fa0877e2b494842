//! The clients: real tonic clients, one connection for each source.

use forewarn::proto::v1;
use forewarn::proto::v1::alarm_service_client::AlarmServiceClient;
use forewarn::proto::v1::stream_alarms_request::Message as Said;
use forewarn::proto::v1::stream_alarms_response::Message as Told;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;
use tonic::{Request, Streaming};

/// Alarms that are sent and not yet acknowledged, over all streams: a client that resumes must keep
/// them, so it does not run ahead for ever.
const UNACKNOWLEDGED: u64 = 64_000;
/// How long the acknowledgements are measured, and how often a client sends what is due.
const LATENCY_RUN: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(1);

pub(super) fn event(n: u64) -> v1::AlarmEvent {
    v1::AlarmEvent {
        kind: v1::AlarmEventKind::Raise.into(),
        resource: format!(
            "rome-olt-{:03}-pon-{:02}-ont-{:04}",
            n % 977,
            n % 16,
            n % 4_096
        ),
        alarm_type: "los".to_owned(),
        alarm_type_qualifier: String::new(),
        severity: v1::Severity::Major.into(),
        event_time_ms: 1_760_000_000_000 + n.cast_signed(),
        text: "loss of signal at the optical interface".to_owned(),
        ..v1::AlarmEvent::default()
    }
}

/// Sources that send to one server.
pub(super) struct Load {
    address: SocketAddr,
    token: Option<String>,
    streams: u64,
}

/// Of acknowledgements.
pub(super) struct Latency {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

struct Stream {
    sender: mpsc::Sender<v1::StreamAlarmsRequest>,
    answers: Streaming<v1::StreamAlarmsResponse>,
    resumed: u64,
}

impl Load {
    pub(super) fn new(address: SocketAddr, token: Option<String>, streams: u64) -> Self {
        Self {
            address,
            token,
            streams,
        }
    }

    async fn open(&self, source: u64) -> Stream {
        let channel = Endpoint::from_shared(format!("http://{}", self.address))
            .unwrap()
            .tcp_nodelay(true)
            .connect()
            .await
            .unwrap();
        let (sender, receiver) = mpsc::channel(4_096);
        let mut request = Request::new(ReceiverStream::new(receiver));
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let hello = v1::Hello {
            source: format!("bench-{source}"),
            heartbeat_interval_s: 60,
        };
        let message = Some(Said::Hello(hello));
        let hello = v1::StreamAlarmsRequest {
            sequence: 0,
            message,
        };
        sender.send(hello).await.unwrap();
        let answers = AlarmServiceClient::new(channel)
            .stream_alarms(request)
            .await;
        let mut answers = answers.unwrap().into_inner();
        let Some(Told::Resume(resume)) = answers.message().await.unwrap().unwrap().message else {
            panic!("resume expected");
        };
        Stream {
            sender,
            answers,
            resumed: resume.last_committed_sequence,
        }
    }

    /// Sends that many alarms as fast as they are acknowledged; returns alarms a second.
    pub(super) async fn full_speed(&self, alarms: u64) -> f64 {
        let each = alarms / self.streams;
        let window = UNACKNOWLEDGED / self.streams;
        let mut streams = Vec::new();
        for source in 0..self.streams {
            streams.push(self.open(source).await);
        }
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for stream in streams {
            let last = stream.resumed + each;
            let (acknowledged, mut seen) = watch::channel(stream.resumed);
            let sender = stream.sender;
            tasks.spawn(async move {
                for n in stream.resumed + 1..=last {
                    if n > *seen.borrow() + window {
                        seen.wait_for(|seen| n <= seen + window / 2).await.unwrap();
                    }
                    sender.send(alarm(n)).await.unwrap();
                }
            });
            let mut answers = stream.answers;
            tasks.spawn(async move {
                while *acknowledged.borrow() < last {
                    if let Some(through) = next_committed(&mut answers).await {
                        acknowledged.send_replace(through);
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        (each * self.streams) as f64 / started.elapsed().as_secs_f64()
    }

    /// How long acknowledgements take while alarms come at a steady rate.
    pub(super) async fn acknowledgements_at(&self, rate: f64) -> Latency {
        let mut streams = Vec::new();
        for source in 0..self.streams {
            streams.push(self.open(source).await);
        }
        let per_tick = rate / self.streams as f64 * TICK.as_secs_f64();
        let latencies = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for stream in streams {
            let sent = Arc::new(Mutex::new(VecDeque::new()));
            let last = Arc::new(AtomicU64::new(u64::MAX));
            let done = CancellationToken::new();
            tasks.spawn(send_steadily(
                stream.sender,
                stream.resumed,
                per_tick,
                Arc::clone(&sent),
                Arc::clone(&last),
                done.clone(),
            ));
            let mut answers = stream.answers;
            let latencies = Arc::clone(&latencies);
            tasks.spawn(async move {
                let _done = done.drop_guard();
                let mut through = 0;
                while through < last.load(Ordering::Relaxed) {
                    let Some(committed) = next_committed(&mut answers).await else {
                        continue;
                    };
                    through = committed;
                    let now = Instant::now();
                    let mut sent = sent.lock().unwrap();
                    while let Some((n, at)) = sent.front().copied()
                        && n <= through
                    {
                        latencies.lock().unwrap().push(now - at);
                        sent.pop_front();
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        let mut all = std::mem::take(&mut *latencies.lock().unwrap());
        all.sort_unstable();
        Latency {
            p50: all[all.len() / 2],
            p99: all[all.len() * 99 / 100],
        }
    }
}

/// Times are those at which an alarm was due, so that a server that stalls is not excused.
async fn send_steadily(
    sender: mpsc::Sender<v1::StreamAlarmsRequest>,
    resumed: u64,
    per_tick: f64,
    sent: Arc<Mutex<VecDeque<(u64, Instant)>>>,
    last: Arc<AtomicU64>,
    done: CancellationToken,
) {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    let mut n = resumed;
    while started.elapsed() < LATENCY_RUN {
        ticks.tick().await;
        let due_ticks = started.elapsed().as_secs_f64() / TICK.as_secs_f64();
        let due = resumed + (due_ticks * per_tick) as u64;
        while n < due {
            n += 1;
            let at = started + TICK.mul_f64((n - resumed) as f64 / per_tick);
            sent.lock().unwrap().push_back((n, at));
            sender.send(alarm(n)).await.unwrap();
        }
    }
    // One more, whose acknowledgement ends the run whatever was acknowledged before.
    last.store(n + 1, Ordering::Relaxed);
    sender.send(alarm(n + 1)).await.unwrap();
    // The stream must stay open until then.
    done.cancelled().await;
}

async fn next_committed(answers: &mut Streaming<v1::StreamAlarmsResponse>) -> Option<u64> {
    match answers.message().await.unwrap().unwrap().message {
        Some(Told::Committed(committed)) => Some(committed.through_sequence),
        Some(Told::Rejected(rejected)) => panic!("{rejected:?}"),
        _ => None,
    }
}

fn alarm(sequence: u64) -> v1::StreamAlarmsRequest {
    let message = Some(Said::Event(event(sequence)));
    v1::StreamAlarmsRequest { sequence, message }
}
