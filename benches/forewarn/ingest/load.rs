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
pub(super) const LATENCY_RUN: Duration = Duration::from_secs(5);
pub(super) const TICK: Duration = Duration::from_millis(1);

/// One alarm in so many is of a PON port that has failed; the others are of single premises.
const ONE_IN_PON: u64 = 100;
/// PON ports that have failed and are reported again and again.
const FAILED_PONS: u64 = 30;
/// Premises, over all streams, whose alarm has not been cleared yet.
const LIVE: u64 = 20_000;

/// The network elements that alarms are about, as the NOC of that network names them.
#[derive(Debug)]
pub(super) struct Plant {
    pub(super) onts: Vec<String>,
    pub(super) pons: Vec<String>,
}

/// The `n`th alarm of one of so many sources: premises that lose their signal, say so again, and
/// have it back later, and between them the ports that have failed.
pub(super) fn event(plant: &Plant, source: u64, sources: u64, n: u64) -> v1::AlarmEvent {
    let (step, phase) = (n / 3, n % 3);
    let (kind, resource) = if n.is_multiple_of(ONE_IN_PON) {
        let pons = FAILED_PONS.min(plant.pons.len() as u64);
        let pon = n / ONE_IN_PON % pons;
        (v1::AlarmEventKind::Raise, &plant.pons[pon as usize])
    } else {
        let (kind, step) = match phase {
            0 | 1 => (v1::AlarmEventKind::Raise, step),
            _ => (
                v1::AlarmEventKind::Clear,
                step.saturating_sub(LIVE / sources),
            ),
        };
        // Each source has its own premises, in an order as scattered as faults are.
        let own = plant.onts.len() as u64 / sources;
        let at = step.wrapping_mul(0x9e37_79b9) % own * sources + source;
        (kind, &plant.onts[at as usize])
    };
    v1::AlarmEvent {
        kind: kind.into(),
        resource: resource.clone(),
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
    plant: Arc<Plant>,
}

/// Of acknowledgements.
pub(super) struct Latency {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

impl Latency {
    pub(super) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self {
            p50: all[all.len() / 2],
            p99: all[all.len() * 99 / 100],
        }
    }
}

struct Stream {
    source: Source,
    sender: mpsc::Sender<v1::StreamAlarmsRequest>,
    answers: Streaming<v1::StreamAlarmsResponse>,
    resumed: u64,
}

/// One of the sources, and what it reports of.
#[derive(Clone, Debug)]
struct Source {
    plant: Arc<Plant>,
    number: u64,
    of: u64,
}

impl Source {
    fn alarm(&self, sequence: u64) -> v1::StreamAlarmsRequest {
        let event = event(&self.plant, self.number, self.of, sequence);
        let message = Some(Said::Event(event));
        v1::StreamAlarmsRequest { sequence, message }
    }
}

impl Load {
    pub(super) fn new(
        address: SocketAddr,
        token: Option<String>,
        streams: u64,
        plant: &Arc<Plant>,
    ) -> Self {
        Self {
            address,
            token,
            streams,
            plant: Arc::clone(plant),
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
        let source = Source {
            plant: Arc::clone(&self.plant),
            number: source,
            of: self.streams,
        };
        Stream {
            source,
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
            let (sender, source) = (stream.sender, stream.source);
            tasks.spawn(async move {
                for n in stream.resumed + 1..=last {
                    if n > *seen.borrow() + window {
                        seen.wait_for(|seen| n <= seen + window / 2).await.unwrap();
                    }
                    sender.send(source.alarm(n)).await.unwrap();
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
                stream.source,
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
        Latency::of(std::mem::take(&mut *latencies.lock().unwrap()))
    }
}

/// Times are those at which an alarm was due, so that a server that stalls is not excused.
#[allow(
    clippy::too_many_arguments,
    reason = "one stream's share of everything"
)]
async fn send_steadily(
    source: Source,
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
            sender.send(source.alarm(n)).await.unwrap();
        }
    }
    // One more, whose acknowledgement ends the run whatever was acknowledged before.
    last.store(n + 1, Ordering::Relaxed);
    sender.send(source.alarm(n + 1)).await.unwrap();
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
