//! Connections to one SMTP server.
//!
//! Own pool instead of lettre's: sockets with `TCP_NODELAY`, a hard limit on connections, a timeout
//! on every step, and connections that survive a refused recipient.

use super::SendOutcome;
use super::email::EmailError;
use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use std::error::Error as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Encryption of the connection to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// In the clear.
    None,
    /// Begun in the clear and then encrypted; a server that cannot is refused.
    StartTls,
    /// Encrypted from the first byte.
    Implicit,
}

/// How to reach a mail server.
#[derive(Clone)]
pub struct SmtpOptions {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Certificate authority in PEM, trusted besides the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// Name this client gives itself; `None`: that of this machine.
    pub hello_name: Option<String>,
    pub connections: usize,
    /// Of connecting and of each command.
    pub step_timeout: Duration,
    /// Of handing over the message itself.
    pub data_timeout: Duration,
}

impl std::fmt::Debug for SmtpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl SmtpOptions {
    /// A server in the open, with the usual limits.
    pub fn new(host: &str, port: u16, tls: SmtpTls) -> Self {
        Self {
            host: host.to_owned(),
            port,
            tls,
            login: None,
            ca_pem: None,
            hello_name: None,
            connections: 20,
            step_timeout: Duration::from_secs(20),
            data_timeout: Duration::from_mins(10),
        }
    }
}

/// A connection is not used again after resting this long: servers hang up.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Nor after this many messages: some servers count.
const MESSAGES_PER_CONNECTION: u32 = 500;

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
    messages: u32,
}

/// The pool.
pub struct SmtpPool {
    options: SmtpOptions,
    hello: ClientId,
    start_tls: Option<TlsParameters>,
    implicit_tls: Option<TlsConnector>,
    slots: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

impl std::fmt::Debug for SmtpPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpPool")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Where in the conversation something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connect,
    Login,
    Sender,
    Recipient,
    Content,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Login => "login",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Content => "DATA",
        }
    }
}

struct Failure {
    step: Step,
    /// Code of the answer, if the server gave one.
    code: Option<u16>,
    detail: String,
}

impl Failure {
    fn of(step: Step, error: &SmtpError) -> Self {
        let code = error.status().map(u16::from);
        let said = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        let detail = match code {
            Some(code) => format!("{}: {code} {said}", step.name()),
            None => format!("{}: {said}", step.name()),
        };
        Self { step, code, detail }
    }

    fn slow(step: Step) -> Self {
        Self {
            step,
            code: None,
            detail: format!("{}: no answer in time", step.name()),
        }
    }

    fn outcome(self) -> SendOutcome {
        let permanent = self.code.is_some_and(|code| code >= 500)
            && !matches!(self.step, Step::Connect | Step::Login);
        if !permanent {
            return SendOutcome::Retry {
                after: None,
                detail: self.detail,
            };
        }
        SendOutcome::Permanent {
            address_is_bad: self.step == Step::Recipient && blames_address(self.code, &self.detail),
            detail: self.detail,
        }
    }
}

/// Whether a refused recipient means that the address is no good: by enhanced status (RFC 3463)
/// `5.1.x` or `5.2.1`, and when there is none by code.
fn blames_address(code: Option<u16>, detail: &str) -> bool {
    let enhanced = detail.split_whitespace().find_map(|word| {
        let mut parts = word.split('.');
        let class: u16 = parts.next()?.parse().ok()?;
        let subject: u16 = parts.next()?.parse().ok()?;
        let what: u16 = parts.next()?.parse().ok()?;
        (class == 5 && parts.next().is_none()).then_some((subject, what))
    });
    match enhanced {
        Some((subject, what)) => subject == 1 || (subject, what) == (2, 1),
        None => matches!(code, Some(550 | 551 | 553)),
    }
}

impl SmtpPool {
    /// Sets the pool up; connects only when there is something to send.
    pub fn new(options: SmtpOptions) -> Result<Self, EmailError> {
        let start_tls = match options.tls {
            SmtpTls::StartTls => Some(start_tls(&options)?),
            SmtpTls::None | SmtpTls::Implicit => None,
        };
        let implicit_tls = match options.tls {
            SmtpTls::Implicit => Some(implicit_tls(&options)?),
            SmtpTls::None | SmtpTls::StartTls => None,
        };
        Ok(Self {
            hello: options
                .hello_name
                .clone()
                .map_or_else(ClientId::default, ClientId::Domain),
            start_tls,
            implicit_tls,
            slots: Semaphore::new(options.connections.max(1)),
            idle: Mutex::default(),
            options,
        })
    }

    /// Hands one message over. Waits for a free connection, then for the server, each step within
    /// its timeout.
    pub async fn send(&self, envelope: &Envelope, mail: &[u8]) -> SendOutcome {
        let Ok(_slot) = self.slots.acquire().await else {
            return SendOutcome::Retry {
                after: None,
                detail: "pool is closed".to_owned(),
            };
        };
        if let Some(idle) = self.take_idle() {
            match self.converse(idle, envelope, mail).await {
                // The server hung up while the connection rested: nothing has been said yet.
                Err(failure)
                    if failure.step == Step::Sender && failure.code.is_none_or(|c| c == 421) => {}
                Err(failure) => return failure.outcome(),
                Ok(()) => return SendOutcome::Accepted,
            }
        }
        let fresh = match self.connect().await {
            Ok(connection) => Idle {
                connection,
                since: Instant::now(),
                messages: 0,
            },
            Err(failure) => return failure.outcome(),
        };
        match self.converse(fresh, envelope, mail).await {
            Ok(()) => SendOutcome::Accepted,
            Err(failure) => failure.outcome(),
        }
    }

    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(found) = idle.pop() {
            if found.since.elapsed() < IDLE_LIMIT {
                return Some(found);
            }
        }
        None
    }

    fn put_back(&self, mut used: Idle) {
        used.messages += 1;
        if used.messages < MESSAGES_PER_CONNECTION {
            used.since = Instant::now();
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(used);
        }
    }

    async fn step<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<T, SmtpError>>,
    ) -> Result<T, Failure> {
        match timeout(self.options.step_timeout, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Failure::of(step, &error)),
            Err(_) => Err(Failure::slow(step)),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let opened = timeout(self.options.step_timeout, self.open()).await;
        let stream = match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(Failure {
                    step: Step::Connect,
                    code: None,
                    detail: format!("connecting: {error}"),
                });
            }
            Err(_) => return Err(Failure::slow(Step::Connect)),
        };
        let greeting = AsyncSmtpConnection::connect_with_transport(stream, &self.hello);
        let mut connection = self.step(Step::Connect, greeting).await?;
        if let Some(tls) = &self.start_tls {
            let upgrade = connection.starttls(tls.clone(), &self.hello);
            self.step(Step::Connect, upgrade).await?;
        }
        if let Some((user, password)) = &self.options.login {
            let credentials = Credentials::new(user.clone(), password.clone());
            let login = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
            self.step(Step::Login, login).await?;
        }
        Ok(connection)
    }

    async fn open(&self) -> std::io::Result<Box<dyn AsyncTokioStream>> {
        let place = (self.options.host.as_str(), self.options.port);
        let stream = TcpStream::connect(place).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.implicit_tls else {
            return Ok(Box::new(stream));
        };
        let name = rustls::pki_types::ServerName::try_from(self.options.host.clone())
            .map_err(std::io::Error::other)?;
        Ok(Box::new(Encrypted(tls.connect(name, stream).await?)))
    }

    async fn converse(
        &self,
        mut used: Idle,
        envelope: &Envelope,
        mail: &[u8],
    ) -> Result<(), Failure> {
        let outcome = self.dialogue(&mut used.connection, envelope, mail).await;
        let usable = match &outcome {
            Ok(()) => true,
            // After a clear no the connection is good for the next message.
            Err(failure) if failure.code.is_some_and(|code| code != 421) => {
                let reset = used.connection.command(Rset);
                self.step(failure.step, reset).await.is_ok()
            }
            Err(_) => false,
        };
        if usable {
            self.put_back(used);
        }
        outcome
    }

    async fn dialogue(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        mail: &[u8],
    ) -> Result<(), Failure> {
        let eight_bit = connection
            .server_info()
            .supports_feature(Extension::EightBitMime);
        let parameters = if eight_bit && !mail.is_ascii() {
            vec![MailParameter::Body(MailBodyParameter::EightBitMime)]
        } else {
            Vec::new()
        };
        let from: Option<Address> = envelope.from().cloned();
        let hello = connection.command(Mail::new(from, parameters));
        self.step(Step::Sender, hello).await?;
        for to in envelope.to() {
            let recipient = connection.command(Rcpt::new(to.clone(), Vec::new()));
            self.step(Step::Recipient, recipient).await?;
        }
        self.step(Step::Content, connection.command(Data)).await?;
        match timeout(self.options.data_timeout, connection.message(mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::of(Step::Content, &error)),
            Err(_) => Err(Failure::slow(Step::Content)),
        }
    }
}

fn start_tls(options: &SmtpOptions) -> Result<TlsParameters, EmailError> {
    let mut builder = TlsParameters::builder(options.host.clone());
    if let Some(pem) = &options.ca_pem {
        let certificate =
            Certificate::from_pem(pem).map_err(|error| EmailError::Tls(error.to_string()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build()
        .map_err(|error| EmailError::Tls(error.to_string()))
}

fn implicit_tls(options: &SmtpOptions) -> Result<TlsConnector, EmailError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let tls = |error: &dyn std::error::Error| EmailError::Tls(error.to_string());
    let mut roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(pem) = &options.ca_pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| tls(&error))?;
            roots.add(certificate).map_err(|error| tls(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A TLS stream in the form that lettre takes.
#[derive(Debug)]
struct Encrypted(TlsStream<TcpStream>);

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> std::io::Result<std::net::SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
