//! The servers: the whole service, and a bare one.

use super::database::Database;
use super::load::Plant;
use forewarn::app::{App, Listeners, Running};
use forewarn::clock::Clock;
use forewarn::config::Config;
use forewarn::generate::{GenerateSettings, Generated, generate};
use forewarn::pipeline::importer::{import_subscribers, import_topology};
use forewarn::proto::v1;
use forewarn::proto::v1::alarm_service_server::{AlarmService, AlarmServiceServer};
use forewarn::proto::v1::stream_alarms_response::Message as Told;
use forewarn::rpc::auth::{Role, new_token};
use forewarn::store::Store;
use forewarn::supervisor::Stopped;
use forewarn::topology::ElementKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// Subscribers of the network whose alarms are taken.
const SUBSCRIBERS: u32 = 50_000;
/// How often the position of the correlator is asked for.
const POLL: Duration = Duration::from_millis(50);

/// The whole service, with a network.
pub(super) struct Whole {
    pub(super) address: SocketAddr,
    pub(super) token: String,
    store: Store,
    service: Running,
    _mails: tempfile::TempDir,
}

/// A network and its people, for every run the same.
pub(super) struct Scene {
    generated: Generated,
    pub(super) plant: Arc<Plant>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let settings = GenerateSettings::embedded(SUBSCRIBERS, 1).unwrap();
        let generated = generate(&settings).unwrap();
        let of = |kind| {
            let elements = generated.definition.elements.iter();
            let elements = elements.filter(move |element| element.kind == kind);
            elements.map(|element| element.id.clone()).collect()
        };
        let plant = Arc::new(Plant {
            onts: of(ElementKind::Ont),
            pons: of(ElementKind::PonPort),
        });
        Self { generated, plant }
    }
}

impl Whole {
    pub(super) async fn start(database: &Database, scene: &Scene) -> Self {
        let store = database.open().await;
        let clock = Clock::System;
        let now_ms = clock.now_ms();
        let quiet = |_, _, _| {};
        let definition = scene.generated.definition.clone();
        import_topology(&store, definition, now_ms, &quiet)
            .await
            .unwrap();
        let people = scene.generated.subscribers.clone();
        import_subscribers(&store, people, now_ms, &quiet)
            .await
            .unwrap();
        let (token, stored) = new_token("bench", Role::Ingest, now_ms);
        assert!(store.add_token(&stored).await.unwrap());
        let mails = tempfile::tempdir().unwrap();
        let settings = [
            ("DATABASE__URL", database.service_url()),
            ("RPC__LISTEN", "127.0.0.1:0".to_owned()),
            ("WEB__LISTEN", "127.0.0.1:0".to_owned()),
            ("EMAIL__DIRECTORY", mails.path().display().to_string()),
        ];
        let settings = settings.map(|(key, value)| (format!("FOREWARN_{key}"), value));
        let config = Config::load(None, settings.into_iter()).unwrap();
        let service = App::start(&config, Listeners::default(), clock)
            .await
            .unwrap();
        Self {
            address: service.rpc_address,
            token,
            store,
            service,
            _mails: mails,
        }
    }

    /// Waits until the correlator has taken that many entries.
    pub(super) async fn read_to(&self, entries: u64) {
        let entries = entries.cast_signed();
        while self.store.checkpoint().await.unwrap().position < entries {
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) async fn stop(self) {
        self.service.shutdown().cancel();
        let stopped = self.service.wait().await;
        assert!(matches!(stopped, Stopped::Requested), "{stopped:?}");
        self.store.close().await;
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
