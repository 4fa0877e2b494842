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
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

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
    let routes = routes(settings.max_message_bytes, services)?;
    serve_routes(listener, settings, authenticator, routes, shutdown).await
}

/// The one place where services are added.
fn routes(max: usize, services: Services) -> Result<Routes, ServeError> {
    Ok(ingest_routes(max, services.alarm, services.telemetry)?
        .add_service(limited!(InventoryServiceServer, services.inventory, max))
        .add_service(limited!(IncidentServiceServer, services.incident, max))
        .add_service(limited!(NoticeServiceServer, services.notice, max))
        .add_service(limited!(CareServiceServer, services.care, max))
        .add_service(limited!(ComplaintServiceServer, services.complaint, max))
        .add_service(limited!(EffectServiceServer, services.effect, max))
        .add_service(limited!(AreaServiceServer, services.area, max))
        .add_service(limited!(WorkServiceServer, services.work, max)))
}

/// What a process serves that does nothing but take alarms and samples; with reflection and health.
pub fn ingest_routes(
    max: usize,
    alarm: AlarmApi,
    telemetry: TelemetryApi,
) -> Result<Routes, ServeError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The reporter is dropped: "serving" for the whole server, from start to end.
    let (_, health) = tonic_health::server::health_reporter();
    Ok(Routes::new(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(limited!(AlarmServiceServer, alarm, max))
        .add_service(limited!(TelemetryServiceServer, telemetry, max)))
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
