//! Listens, decrypts, authenticates, and hands each call to its service.

use crate::proto;
use crate::proto::v1::alarm_service_server::AlarmServiceServer;
use crate::proto::v1::area_service_server::AreaServiceServer;
use crate::proto::v1::care_service_server::CareServiceServer;
use crate::proto::v1::complaint_service_server::ComplaintServiceServer;
use crate::proto::v1::effect_service_server::EffectServiceServer;
use crate::proto::v1::incident_service_server::IncidentServiceServer;
use crate::proto::v1::inventory_service_server::InventoryServiceServer;
use crate::proto::v1::notice_service_server::NoticeServiceServer;
use crate::proto::v1::telemetry_service_server::TelemetryServiceServer;
use crate::proto::v1::work_service_server::WorkServiceServer;
use crate::rpc::alarm::AlarmApi;
use crate::rpc::area::AreaApi;
use crate::rpc::auth::{Authenticator, authenticate};
use crate::rpc::care::CareApi;
use crate::rpc::complaint::ComplaintApi;
use crate::rpc::effect::EffectApi;
use crate::rpc::incident::IncidentApi;
use crate::rpc::inventory::Inventory;
use crate::rpc::notice::NoticeApi;
use crate::rpc::telemetry::TelemetryApi;
use crate::rpc::work::WorkApi;
use axum::http::{HeaderMap, HeaderValue, Request};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic_health::ServingStatus;

/// How the server listens.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub tls: Option<TlsFiles>,
    /// Listen in plain text even where others than this machine can connect.
    pub allow_plaintext_beyond_loopback: bool,
    /// Largest message that is taken, after decompression.
    pub max_message_bytes: usize,
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients must show a certificate signed by one of these.
    pub client_ca: Option<PathBuf>,
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "rpc.listen {0} can be reached by others and has no TLS: set rpc.tls_certificate and \
         rpc.tls_key, or rpc.allow_plaintext_beyond_loopback = true"
    )]
    Plaintext(SocketAddr),
    #[error("{key}: cannot read {path}")]
    Unreadable {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use the listener")]
    Listener(#[source] std::io::Error),
    #[error("reflection cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("gRPC server")]
    Transport(#[from] tonic::transport::Error),
}

/// Every service of the interface.
pub struct Services {
    pub authenticator: Authenticator,
    pub alarm: AlarmApi,
    pub telemetry: TelemetryApi,
    pub inventory: Inventory,
    pub incident: IncidentApi,
    pub notice: NoticeApi,
    pub care: CareApi,
    pub complaint: ComplaintApi,
    pub effect: EffectApi,
    pub area: AreaApi,
    pub work: WorkApi,
}

/// HTTP/2 PINGs find connections whose other end is gone.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Windows wide enough that a stream is not slowed by round trips.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// A service with the limits that all share.
macro_rules! limited {
    ($server:ident, $service:expr, $max_message_bytes:expr) => {
        $server::new($service)
            .max_decoding_message_size($max_message_bytes)
            .accept_compressed(CompressionEncoding::Gzip)
    };
}

/// Serves until `shutdown`, then until the calls that are under way have ended.
pub async fn serve(
    listener: TcpListener,
    settings: &Settings,
    services: Services,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let authenticator = services.authenticator.clone();
    let routes = routes(settings.max_message_bytes, services).await?;
    serve_routes(listener, settings, authenticator, routes, shutdown).await
}

/// The one place where services are added.
async fn routes(max: usize, services: Services) -> Result<Routes, ServeError> {
    let offer = ingest_offer(max, services.alarm, services.telemetry)
        .add(limited!(InventoryServiceServer, services.inventory, max))
        .add(limited!(IncidentServiceServer, services.incident, max))
        .add(limited!(NoticeServiceServer, services.notice, max))
        .add(limited!(CareServiceServer, services.care, max))
        .add(limited!(ComplaintServiceServer, services.complaint, max))
        .add(limited!(EffectServiceServer, services.effect, max))
        .add(limited!(AreaServiceServer, services.area, max))
        .add(limited!(WorkServiceServer, services.work, max));
    offer.into_routes().await
}

/// What a process serves that does nothing but take alarms and samples; with reflection and health.
pub async fn ingest_routes(
    max: usize,
    alarm: AlarmApi,
    telemetry: TelemetryApi,
) -> Result<Routes, ServeError> {
    ingest_offer(max, alarm, telemetry).into_routes().await
}

fn ingest_offer(max: usize, alarm: AlarmApi, telemetry: TelemetryApi) -> Offer {
    Offer::default()
        .add(limited!(AlarmServiceServer, alarm, max))
        .add(limited!(TelemetryServiceServer, telemetry, max))
}

/// Services, with the names by which their health is asked for.
#[derive(Default)]
struct Offer {
    routes: Routes,
    names: Vec<&'static str>,
}

impl Offer {
    fn add<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes = self.routes.add_service(service);
        self
    }

    /// With reflection and health.
    async fn into_routes(self) -> Result<Routes, ServeError> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // The reporter is dropped in the end: "serving" for the whole server and for each service,
        // from start to end.
        let (reporter, health) = tonic_health::server::health_reporter();
        for name in self.names {
            reporter
                .set_service_status(name, ServingStatus::Serving)
                .await;
        }
        Ok(self
            .routes
            .add_service(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?))
    }
}

/// Serves these routes, behind the authentication; as [`serve`].
pub async fn serve_routes(
    listener: TcpListener,
    settings: &Settings,
    authenticator: Authenticator,
    routes: Routes,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    match &settings.tls {
        Some(files) => server = server.tls_config(tls_config(files)?)?,
        None if address.ip().is_loopback() || settings.allow_plaintext_beyond_loopback => {}
        None => return Err(ServeError::Plaintext(address)),
    }
    let authenticated = routes
        .into_axum_router()
        .layer(map_response(refuse_oversize))
        .layer(from_fn_with_state(authenticator, authenticate));
    tracing::info!(%address, tls = settings.tls.is_some(), "gRPC server listens");
    server
        .add_routes(Routes::from(authenticated).prepare())
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            shutdown.cancelled_owned(),
        )
        .await?;
    Ok(())
}

/// As [`crate::rpc::status::of_stream`], for the calls whose request tonic itself decodes.
async fn refuse_oversize(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    let code = |code: Code| HeaderValue::from(code as i32);
    if headers.get("grpc-status") == Some(&code(Code::OutOfRange)) {
        headers.insert("grpc-status", code(Code::ResourceExhausted));
    }
    response
}

fn tls_config(files: &TlsFiles) -> Result<ServerTlsConfig, ServeError> {
    let read = |key, path: &PathBuf| {
        std::fs::read(path).map_err(|source| ServeError::Unreadable {
            key,
            path: path.clone(),
            source,
        })
    };
    let certificate = read("rpc.tls_certificate", &files.certificate)?;
    let key = read("rpc.tls_key", &files.key)?;
    let config = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    Ok(match &files.client_ca {
        None => config,
        Some(path) => config.client_ca_root(Certificate::from_pem(read("rpc.client_ca", path)?)),
    })
}
