//! The servers: the whole service, and a bare one.

use super::database::Database;
use forewarn::clock::Clock;
use forewarn::pipeline::alarm_log::AlarmLog;
use forewarn::pipeline::intake::{Intake, IntakeLimits};
use forewarn::pipeline::meter::SampleLog;
use forewarn::proto::v1;
use forewarn::proto::v1::alarm_service_server::{AlarmService, AlarmServiceServer};
use forewarn::proto::v1::stream_alarms_response::Message as Told;
use forewarn::rpc::alarm::AlarmApi;
use forewarn::rpc::auth::{Authenticator, Role, new_token};
use forewarn::rpc::ingest::Streams;
use forewarn::rpc::server::{self, Settings};
use forewarn::rpc::telemetry::TelemetryApi;
use forewarn::store::Store;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// Entries that the reader of the log takes at a time.
const READ_AT_ONCE: usize = 10_000;

/// Everything from the socket to the reader of the log.
pub(super) struct Whole {
    pub(super) address: SocketAddr,
    pub(super) token: String,
    store: Store,
    shutdown: CancellationToken,
    /// How far the log has been read.
    read: watch::Receiver<u64>,
    tasks: JoinSet<()>,
}

impl Whole {
    pub(super) async fn start(database: &Database) -> Self {
        let store = database.open().await;
        let clock = Clock::System;
        let (token, stored) = new_token("bench", Role::Ingest, clock.now_ms());
        assert!(store.add_token(&stored).await.unwrap());
        let limits = IntakeLimits {
            queue_events: 200_000,
            batch_events: 10_000,
        };
        let log = Arc::new(AlarmLog::open(store.clone()).await.unwrap());
        let intake = Intake::open(Arc::clone(&log), store.clone(), clock.clone(), limits)
            .await
            .unwrap();
        let samples = Arc::new(SampleLog::open(store.clone()).await.unwrap());
        let samples = Intake::open(samples, store.clone(), clock, limits)
            .await
            .unwrap();
        let shutdown = CancellationToken::new();
        let streams = Streams::new(shutdown.clone());
        let alarm = AlarmApi {
            intake: intake.clone(),
            streams: streams.clone(),
            live_alarms: mpsc::channel(1).0,
        };
        let telemetry = TelemetryApi {
            intake: samples,
            streams,
        };
        let settings = Settings {
            max_message_bytes: 64 * 1024 * 1024,
            ..Settings::default()
        };
        let routes = server::ingest_routes(settings.max_message_bytes, alarm, telemetry).unwrap();
        let authenticator = Authenticator::new(store.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let stop = shutdown.clone();
        tasks.spawn(async move {
            server::serve_routes(listener, &settings, authenticator, routes, stop)
                .await
                .unwrap();
        });
        let stop = shutdown.clone();
        tasks.spawn(async move { intake.run(stop).await.unwrap() });
        let (sender, read) = watch::channel(0);
        let stop = shutdown.clone();
        tasks.spawn(async move {
            stop.run_until_cancelled(consume(&log, &sender))
                .await
                .unwrap_or_default();
        });
        Self {
            address,
            token,
            store,
            shutdown,
            read,
            tasks,
        }
    }

    /// Waits until the reader of the log has seen that many entries.
    pub(super) async fn read_to(&self, entries: u64) {
        let mut read = self.read.clone();
        read.wait_for(|read| *read >= entries).await.unwrap();
    }

    pub(super) async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.store.close().await;
    }
}

/// Stands for the correlator: reads each entry of the log, in order.
async fn consume(log: &AlarmLog, read: &watch::Sender<u64>) {
    let mut position = log.last_position();
    loop {
        log.changed_after(position).await;
        for entry in log.read_after(position, READ_AT_ONCE).await.unwrap().iter() {
            assert_eq!(entry.position, position + 1);
            position = entry.position;
        }
        read.send_replace(position.cast_unsigned());
    }
}

/// A server that acknowledges and does nothing else.
pub(super) struct Bare {
    pub(super) address: SocketAddr,
    _server: JoinSet<()>,
}

struct Acknowledge;

impl Bare {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            Server::builder()
                .initial_stream_window_size(1024 * 1024)
                .initial_connection_window_size(8 * 1024 * 1024)
                .add_service(AlarmServiceServer::new(Acknowledge))
                .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
                .await
                .unwrap();
        });
        Self {
            address,
            _server: server,
        }
    }
}

#[tonic::async_trait]
impl AlarmService for Acknowledge {
    type StreamAlarmsStream = ReceiverStream<Result<v1::StreamAlarmsResponse, Status>>;

    async fn stream_alarms(
        &self,
        request: Request<Streaming<v1::StreamAlarmsRequest>>,
    ) -> Result<Response<Self::StreamAlarmsStream>, Status> {
        let mut stream = request.into_inner();
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            let resume = v1::Resume {
                last_committed_sequence: 0,
            };
            let mut message = Some(Told::Resume(resume));
            let mut last = 0;
            loop {
                if let Some(message) = message.take() {
                    let message = Some(message);
                    let answer = v1::StreamAlarmsResponse { message };
                    if sender.send(Ok(answer)).await.is_err() {
                        return;
                    }
                }
                let Ok(Some(request)) = stream.message().await else {
                    break;
                };
                last = request.sequence;
                if last % 1_000 == 0 {
                    message = Some(Told::Committed(v1::Committed {
                        through_sequence: last,
                    }));
                }
            }
            let message = Some(Told::Committed(v1::Committed {
                through_sequence: last,
            }));
            drop(sender.send(Ok(v1::StreamAlarmsResponse { message })).await);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn list_alarms(
        &self,
        _: Request<v1::ListAlarmsRequest>,
    ) -> Result<Response<v1::ListAlarmsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_sources(
        &self,
        _: Request<v1::ListSourcesRequest>,
    ) -> Result<Response<v1::ListSourcesResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
