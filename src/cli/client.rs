//! The connection to a running server, as every client command makes it.

use super::unreachable;
use crate::proto::v1;
use anyhow::{Context as _, anyhow};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

/// Where a server listens unless it is told otherwise.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:50551";
/// Time for a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a first answer, of whatever kind.
const GREETING_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest message that either side takes, bytes.
pub const MESSAGE_LIMIT: usize = 64 << 20;

/// How to reach the server, and how to show what it says.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection and output")]
pub struct ClientArgs {
    /// Address of the server; https:// for TLS
    #[arg(long, env = "FOREWARN_SERVER", default_value = DEFAULT_SERVER, value_name = "URL", global = true)]
    pub server: String,
    /// Access token, as made by `forewarn token create`
    #[arg(
        long,
        env = "FOREWARN_TOKEN",
        hide_env_values = true,
        global = true,
        value_name = "TOKEN"
    )]
    pub token: Option<String>,
    /// PEM file with the authority that signed the server's certificate (default: the public ones)
    #[arg(long, env = "FOREWARN_CA", value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,
    /// PEM file with a certificate for this client, where the server asks for one
    #[arg(
        long,
        env = "FOREWARN_CLIENT_CERT",
        value_name = "FILE",
        global = true,
        requires = "client_key"
    )]
    pub client_cert: Option<PathBuf>,
    /// PEM file with the key of the client's certificate
    #[arg(
        long,
        env = "FOREWARN_CLIENT_KEY",
        value_name = "FILE",
        global = true,
        requires = "client_cert"
    )]
    pub client_key: Option<PathBuf>,
    /// Print one JSON object per record instead of a table
    #[arg(long, global = true)]
    pub json: bool,
}

/// Puts the token into each call.
#[derive(Clone, Debug)]
pub struct BearerToken(Option<MetadataValue<Ascii>>);

impl Interceptor for BearerToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl BearerToken {
    /// A token as `forewarn token create` prints it; `None` calls without one.
    pub fn new(token: Option<&str>) -> anyhow::Result<Self> {
        let Some(token) = token else {
            return Ok(Self(None));
        };
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {}", token.trim()).parse().map_err(|_| {
                anyhow!("the token holds characters that no token has; copy it once more")
            })?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

/// A connection that carries the caller's token; cheap to clone.
pub type Connection = InterceptedService<Channel, BearerToken>;

/// Connects to the server that `args` name.
pub async fn connect(args: &ClientArgs) -> anyhow::Result<Connection> {
    let token = BearerToken::new(args.token.as_deref())?;
    let endpoint = endpoint(args)?;
    let connected = endpoint.connect().await;
    let channel = connected.map_err(|error| unreachable::explain_connecting(args, &error))?;
    let connection = InterceptedService::new(channel, token);
    greet(args, &connection).await?;
    Ok(connection)
}

/// Asks how the server is, whatever it answers: some misunderstandings (a plain connection to a port
/// with TLS, a missing certificate of the client) show only with the first call.
async fn greet(args: &ClientArgs, connection: &Connection) -> anyhow::Result<()> {
    let mut health = HealthClient::new(connection.clone());
    let asked = health.check(HealthCheckRequest::default());
    match tokio::time::timeout(GREETING_TIMEOUT, asked).await {
        Err(_) => Err(unreachable::not_grpc(args)),
        Ok(Err(status)) => match status.source() {
            Some(error) => Err(unreachable::explain_greeting(args, error)),
            // tonic's words for an answer of another HTTP server, without and with a page.
            None if status.message().starts_with("grpc-status header missing")
                || status.message().contains("invalid compression flag") =>
            {
                Err(unreachable::not_grpc(args))
            }
            None => Ok(()),
        },
        Ok(Ok(_)) => Ok(()),
    }
}

fn endpoint(args: &ClientArgs) -> anyhow::Result<Endpoint> {
    let server = &args.server;
    if !server.starts_with("http://") && !server.starts_with("https://") {
        return Err(anyhow!(
            "--server `{server}`: http:// or https:// is missing; write http://{server}, or \
             https://{server} for TLS"
        ));
    }
    let endpoint = Endpoint::from_shared(args.server.clone())
        .with_context(|| format!("--server `{}` is not a URL", args.server))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .tcp_nodelay(true)
        .user_agent(concat!("forewarn/", env!("CARGO_PKG_VERSION")))?;
    if !args.server.starts_with("https://") {
        if args.ca.is_some() || args.client_cert.is_some() {
            return Err(anyhow!(
                "--ca and --client-cert need a server with TLS: write --server https://..."
            ));
        }
        return Ok(endpoint);
    }
    let mut tls = match &args.ca {
        Some(file) => {
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority(file)?))
        }
        None => ClientTlsConfig::new().with_webpki_roots(),
    };
    if let (Some(cert), Some(key)) = (&args.client_cert, &args.client_key) {
        tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
    }
    endpoint
        .tls_config(tls)
        .context("the certificates given cannot be used")
}

/// A PEM file with at least one certificate.
fn authority(file: &Path) -> anyhow::Result<Vec<u8>> {
    let pem = read(file)?;
    let found = CertificateDer::pem_slice_iter(&pem).any(|found| found.is_ok());
    anyhow::ensure!(
        found,
        "{} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)",
        file.display()
    );
    Ok(pem)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// What a refused call means to the person who made it, with what to do about it.
pub fn explain(status: &Status) -> anyhow::Error {
    let message = status.message();
    match status.code() {
        Code::Unauthenticated => anyhow!(
            "the server wants a valid token: {message}\n\
             Make one with `forewarn token create --name NAME --role operator` on the server, and pass \
             it with --token or FOREWARN_TOKEN."
        ),
        Code::PermissionDenied => anyhow!(
            "this token is not allowed to do that: {message}\n\
             Tokens with other roles are made with `forewarn token create`."
        ),
        Code::InvalidArgument => {
            let details = status.get_error_details();
            let violations: Vec<String> = details
                .bad_request()
                .map(|bad| {
                    let fields = &bad.field_violations;
                    fields
                        .iter()
                        // A single one may be the message itself.
                        .filter(|v| !message.contains(&v.description))
                        .map(|v| format!("\n  {}: {}", v.field, v.description))
                        .collect()
                })
                .unwrap_or_default();
            anyhow!(
                "the server refused the request: {message}{}",
                violations.concat()
            )
        }
        Code::Unavailable | Code::DeadlineExceeded => anyhow!(
            "the server cannot answer now: {message}\n\
             It may be starting or stopping; try again, and look at its log if this goes on."
        ),
        Code::NotFound | Code::FailedPrecondition => anyhow!("{message}"),
        code => anyhow!("{message} ({code:?})"),
    }
}

macro_rules! client {
    ($($name:ident: $module:ident, $client:ident;)*) => {$(
        #[doc = concat!("The client of `", stringify!($client), "`'s service.")]
        pub fn $name(
            connection: &Connection,
        ) -> v1::$module::$client<Connection> {
            v1::$module::$client::new(connection.clone())
                .max_decoding_message_size(MESSAGE_LIMIT)
                .max_encoding_message_size(MESSAGE_LIMIT)
        }
    )*};
}

client! {
    alarms: alarm_service_client, AlarmServiceClient;
    areas: area_service_client, AreaServiceClient;
    incidents: incident_service_client, IncidentServiceClient;
    notices: notice_service_client, NoticeServiceClient;
    care: care_service_client, CareServiceClient;
    complaints: complaint_service_client, ComplaintServiceClient;
    effect: effect_service_client, EffectServiceClient;
    inventory: inventory_service_client, InventoryServiceClient;
    samples: telemetry_service_client, TelemetryServiceClient;
    works: work_service_client, WorkServiceClient;
}
