use crate::support::{self, Backend, TestStore};
use forewarn::clock::Clock;
use forewarn::pipeline::alarm_log::AlarmLog;
use forewarn::pipeline::alarm_query::{AlarmPage, AlarmQuery};
use forewarn::pipeline::intake::{Intake, IntakeLimits};
use forewarn::pipeline::meter::SampleLog;
use forewarn::proto::v1;
use forewarn::proto::v1::alarm_service_client::AlarmServiceClient;
use forewarn::proto::v1::stream_alarms_request::Message as Said;
use forewarn::proto::v1::stream_alarms_response::Message as Told;
use forewarn::rpc::alarm::AlarmApi;
use forewarn::rpc::auth::{Authenticator, Role, new_token};
use forewarn::rpc::ingest::Streams;
use forewarn::rpc::server::{self, ServeError, Settings};
use forewarn::rpc::telemetry::TelemetryApi;
use forewarn::store::Store;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Interceptor, Routes};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

pub(super) const NOW_MS: i64 = 1_760_000_000_000;

pub(super) struct Options {
    pub(super) settings: Settings,
    pub(super) limits: IntakeLimits,
    /// Otherwise the test commits by itself.
    pub(super) committer: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: Settings {
                max_message_bytes: 64 * 1024 * 1024,
                ..Settings::default()
            },
            limits: IntakeLimits {
                queue_events: 100_000,
                batch_events: 1_000,
            },
            committer: true,
        }
    }
}

pub(super) struct Service {
    pub(super) store: TestStore,
    pub(super) log: Arc<AlarmLog>,
    pub(super) alarms: Intake<AlarmLog>,
    pub(super) samples: Intake<SampleLog>,
    pub(super) clock: Clock,
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
    pub(super) server: JoinHandle<Result<(), ServeError>>,
    /// Of the role ingest.
    pub(super) token: String,
}

pub(super) async fn start(backend: Backend) -> Service {
    start_with(backend, Options::default()).await
}

pub(super) async fn start_with(backend: Backend, options: Options) -> Service {
    start_on(support::store(backend).await, options).await
}

pub(super) async fn start_on(store: TestStore, options: Options) -> Service {
    start_at(Clock::manual(NOW_MS), store, options).await
}

pub(super) async fn start_at(clock: Clock, store: TestStore, options: Options) -> Service {
    let db = store.store.clone();
    let log = Arc::new(AlarmLog::open(db.clone()).await.unwrap());
    let alarms = Intake::open(Arc::clone(&log), db.clone(), clock.clone(), options.limits)
        .await
        .unwrap();
    let sample_log = Arc::new(SampleLog::open(db.clone()).await.unwrap());
    let samples = Intake::open(sample_log, db.clone(), clock.clone(), options.limits)
        .await
        .unwrap();
    let shutdown = CancellationToken::new();
    if options.committer {
        spawn(alarms.clone().run(shutdown.clone()));
        spawn(samples.clone().run(shutdown.clone()));
    }
    let routes = routes(
        &alarms,
        &samples,
        &shutdown,
        options.settings.max_message_bytes,
    )
    .await;
    let authenticator = Authenticator::new(db.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let token = token(&db, "harness", Role::Ingest).await;
    let stop = shutdown.clone();
    let server = spawn(async move {
        server::serve_routes(listener, &options.settings, authenticator, routes, stop).await
    });
    Service {
        store,
        log,
        alarms,
        samples,
        clock,
        address,
        shutdown,
        server,
        token,
    }
}

async fn routes(
    alarms: &Intake<AlarmLog>,
    samples: &Intake<SampleLog>,
    shutdown: &CancellationToken,
    max_message_bytes: usize,
) -> Routes {
    let streams = Streams::new(shutdown.clone());
    let (live_alarms, mut queries) = mpsc::channel::<AlarmQuery>(1);
    spawn(async move {
        while let Some(query) = queries.recv().await {
            drop(query.answer.send(AlarmPage::default()));
        }
    });
    let alarm = AlarmApi {
        intake: alarms.clone(),
        samples: samples.clone(),
        streams: streams.clone(),
        live_alarms,
    };
    let telemetry = TelemetryApi {
        intake: samples.clone(),
        streams,
    };
    server::ingest_routes(max_message_bytes, alarm, telemetry)
        .await
        .unwrap()
}

#[allow(clippy::disallowed_methods, reason = "a test has no supervisor")]
pub(super) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(task)
}

pub(super) async fn token(store: &Store, name: &str, role: Role) -> String {
    let (secret, stored) = new_token(name, role, NOW_MS);
    // A second start on one database makes its own.
    let stored = forewarn::store::StoredToken {
        name: format!("{name} {}", &secret[..12]),
        ..stored
    };
    assert!(store.add_token(&stored).await.unwrap());
    secret
}

/// Puts the token on each call.
#[derive(Clone)]
pub(super) struct Bearer(pub(super) Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value: AsciiMetadataValue = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

pub(super) type Client = AlarmServiceClient<InterceptedService<Channel, Bearer>>;

impl Service {
    pub(super) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    pub(super) async fn client(&self, token: Option<&str>) -> Client {
        let bearer = Bearer(token.map(str::to_owned));
        AlarmServiceClient::with_interceptor(self.channel().await, bearer)
    }

    /// A stream that has said hello.
    pub(super) async fn source(&self, name: &str, heartbeat_interval_s: u32) -> Source {
        let mut client = self.client(Some(&self.token)).await;
        let mut source = Source::open(&mut client).await.unwrap();
        source
            .say(0, Said::Hello(hello(name, heartbeat_interval_s)))
            .await;
        match source.hear().await.unwrap() {
            Told::Resume(resume) => source.resumed = resume.last_committed_sequence,
            other => panic!("resume expected, not {other:?}"),
        }
        source
    }

    /// Commits until something was committed.
    pub(super) async fn commit(&self) {
        let one = async {
            while self.alarms.commit_pending().await.unwrap() == 0 {
                tokio::task::yield_now().await;
            }
        };
        timely(one).await;
    }

    /// Sequence numbers of the stored log.
    pub(super) async fn stored_sequences(&self) -> Vec<u64> {
        let entries = self.store.store.alarms_after(0, usize::MAX).await.unwrap();
        let positions: Vec<i64> = entries.iter().map(|e| e.position).collect();
        let expected: Vec<i64> = (1..).take(entries.len()).collect();
        assert_eq!(positions, expected, "positions have no gaps");
        entries.iter().map(|e| e.sequence).collect()
    }
}

/// The client's side of a stream.
pub(super) struct Source {
    sender: Option<mpsc::Sender<v1::StreamAlarmsRequest>>,
    answers: Streaming<v1::StreamAlarmsResponse>,
    pub(super) resumed: u64,
}

impl Source {
    pub(super) async fn open(client: &mut Client) -> Result<Self, Status> {
        let (sender, receiver) = mpsc::channel(16);
        let answers = client.stream_alarms(ReceiverStream::new(receiver)).await?;
        Ok(Self {
            sender: Some(sender),
            answers: answers.into_inner(),
            resumed: 0,
        })
    }

    /// A call that has ended takes no more: then nothing is sent.
    pub(super) async fn say(&self, sequence: u64, message: Said) {
        let message = Some(message);
        let sender = self.sender.as_ref().unwrap();
        drop(
            sender
                .send(v1::StreamAlarmsRequest { sequence, message })
                .await,
        );
    }

    pub(super) async fn event(&self, sequence: u64) {
        self.say(sequence, Said::Event(event(sequence))).await;
    }

    /// Ends the client's half.
    pub(super) fn finish(&mut self) {
        self.sender = None;
    }

    pub(super) async fn hear(&mut self) -> Result<Told, Status> {
        let answer = timely(self.answers.message()).await?;
        let answer = answer.ok_or_else(|| Status::ok("the stream has ended"))?;
        Ok(answer.message.unwrap())
    }

    /// What was rejected until `through` was committed.
    pub(super) async fn until_committed(
        &mut self,
        through: u64,
    ) -> Result<Vec<v1::Rejected>, Status> {
        let mut rejected = Vec::new();
        loop {
            match self.hear().await? {
                Told::Committed(c) if c.through_sequence >= through => return Ok(rejected),
                Told::Committed(_) => {}
                Told::Rejected(one) => rejected.push(one),
                Told::Resume(_) => panic!("a second resume"),
            }
        }
    }

    /// How the call ends, and what was acknowledged last.
    pub(super) async fn until_end(&mut self) -> (Status, u64) {
        let mut acknowledged = self.resumed;
        loop {
            match self.hear().await {
                Ok(Told::Committed(c)) => acknowledged = c.through_sequence,
                Ok(_) => {}
                Err(status) => return (status, acknowledged),
            }
        }
    }
}

pub(super) fn hello(source: &str, heartbeat_interval_s: u32) -> v1::Hello {
    v1::Hello {
        source: source.to_owned(),
        heartbeat_interval_s,
    }
}

pub(super) fn event(n: u64) -> v1::AlarmEvent {
    v1::AlarmEvent {
        kind: v1::AlarmEventKind::Raise.into(),
        resource: format!("olt-{n}"),
        alarm_type: "los".to_owned(),
        severity: v1::Severity::Major.into(),
        event_time_ms: NOW_MS,
        ..v1::AlarmEvent::default()
    }
}

pub(super) async fn timely<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_mins(1), future)
        .await
        .expect("within a minute")
}
