//! An SMTP server that keeps what it is given: for demonstrations and tests.
//!
//! Speaks enough of RFC 5321: EHLO, PIPELINING, SIZE, 8BITMIME, STARTTLS, AUTH PLAIN and LOGIN,
//! dot-stuffing; answers can be set by rule. It must not face a network one does not trust.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedMail {
    pub from: String,
    pub to: Vec<String>,
    /// As it was before dot-stuffing.
    pub data: Vec<u8>,
    pub encrypted: bool,
    /// Name that the client gave itself last.
    pub hello: String,
    /// User that logged in; empty when nobody did.
    pub user: String,
}

/// What to do instead of going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Go on as usual.
    Accept,
    /// A whole answer, for instance "451 4.3.0 try later".
    Answer(String),
    /// Close the connection without a word.
    Hangup,
    /// Say nothing for this long, then go on.
    Stall(Duration),
}

/// The moments at which a rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After RCPT TO.
    Recipient,
    /// After the first line of the content.
    Content,
    /// After the end of the content, before it is kept.
    End,
}

/// Rule of the server: given the moment and the recipient's address.
pub type Rule = Box<dyn Fn(Moment, &str) -> Reaction + Send + Sync>;

/// What a server asks for and offers.
#[derive(Default)]
pub struct CaptureOptions {
    pub rule: Option<Rule>,
    /// Offers STARTTLS, or with `implicit_tls` speaks TLS at once.
    pub tls: Option<TlsAcceptor>,
    pub implicit_tls: bool,
    /// Takes mail only after a login with this user and password.
    pub login: Option<(String, String)>,
    /// Messages are counted and thrown away.
    pub only_count: bool,
}

impl std::fmt::Debug for CaptureOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureOptions").finish_non_exhaustive()
    }
}

/// The kept messages.
#[derive(Clone, Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    count: watch::Receiver<usize>,
}

struct Shared {
    options: CaptureOptions,
    mails: Mutex<Vec<CapturedMail>>,
    count: watch::Sender<usize>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Largest message, in bytes.
const SIZE_LIMIT: usize = 10 * 1024 * 1024;
/// Longest command line, in bytes.
const LINE_LIMIT: usize = 4_096;

impl Capture {
    /// A capture, and the server that fills it: poll that to the end.
    pub fn new(
        listener: TcpListener,
        options: CaptureOptions,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, count) = watch::channel(0);
        let shared = Arc::new(Shared {
            options,
            mails: Mutex::default(),
            count: sender,
        });
        let server = serve(listener, Arc::clone(&shared), shutdown);
        (Self { shared, count }, server)
    }

    /// A copy of what was accepted so far, in order.
    pub fn mails(&self) -> Vec<CapturedMail> {
        self.shared.mails().clone()
    }

    /// Messages accepted so far.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until so many messages were accepted; false when the server ends before.
    pub async fn wait_for(&self, count: usize) -> bool {
        let mut receiver = self.count.clone();
        receiver.wait_for(|n| *n >= count).await.is_ok()
    }
}

impl Shared {
    fn mails(&self) -> std::sync::MutexGuard<'_, Vec<CapturedMail>> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn react(&self, moment: Moment, to: &str) -> Reaction {
        self.options
            .rule
            .as_ref()
            .map_or(Reaction::Accept, |rule| rule(moment, to))
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => {
                if let Ok((stream, peer)) = accepted {
                    sessions.spawn(connection(stream, peer, Arc::clone(&shared)));
                }
            }
            Some(_) = sessions.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let ended = async {
        stream.set_nodelay(true)?;
        match &shared.options.tls {
            Some(tls) if shared.options.implicit_tls => {
                let stream = tls.accept(stream).await?;
                session(stream, true, &shared, true).await?;
            }
            _ => {
                let (next, rest) = session(stream, false, &shared, true).await?;
                if let (Next::Encrypt, Some(tls)) = (next, &shared.options.tls) {
                    session(tls.accept(rest).await?, true, &shared, false).await?;
                }
            }
        }
        std::io::Result::Ok(())
    };
    if let Err(error) = ended.await {
        tracing::debug!(%peer, %error, "mail connection ended early");
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Close,
    Encrypt,
}

struct Session<'a, S> {
    stream: BufReader<S>,
    shared: &'a Shared,
    encrypted: bool,
    hello: String,
    user: String,
    from: Option<String>,
    to: Vec<String>,
}

async fn session<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    encrypted: bool,
    shared: &Shared,
    greet: bool,
) -> std::io::Result<(Next, S)> {
    let mut session = Session {
        stream: BufReader::new(stream),
        shared,
        encrypted,
        hello: String::new(),
        user: String::new(),
        from: None,
        to: Vec::new(),
    };
    if greet {
        session.say("220 capture.example.net ESMTP").await?;
    }
    let next = session.run().await?;
    Ok((next, session.stream.into_inner()))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    async fn run(&mut self) -> std::io::Result<Next> {
        while let Some(line) = self.line(LINE_LIMIT).await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = line
                .split([' ', ':'])
                .next()
                .unwrap_or("")
                .to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "HELO" => self.hello(&line).await?,
                "STARTTLS" if self.offers_tls() => {
                    self.say("220 2.0.0 go ahead").await?;
                    return Ok(Next::Encrypt);
                }
                "AUTH" => self.login(&line).await?,
                "MAIL" => self.mail(&line).await?,
                "RCPT" => {
                    if !self.recipient(&line).await? {
                        return Ok(Next::Close);
                    }
                }
                "DATA" => {
                    if !self.content().await? {
                        return Ok(Next::Close);
                    }
                }
                "RSET" => {
                    self.forget();
                    self.say("250 2.0.0 ok").await?;
                }
                "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" => {
                    self.say("221 2.0.0 bye").await?;
                    return Ok(Next::Close);
                }
                _ => self.say("500 5.5.1 unknown command").await?,
            }
        }
        Ok(Next::Close)
    }

    fn offers_tls(&self) -> bool {
        self.shared.options.tls.is_some() && !self.encrypted
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn say(&mut self, answer: &str) -> std::io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        stream.flush().await
    }

    /// One line with its end; `None` at the end of the stream.
    async fn line(&mut self, limit: usize) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let chunk = self.stream.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let take = end.map_or(chunk.len(), |end| end + 1);
            line.extend_from_slice(&chunk[..take]);
            self.stream.consume(take);
            if end.is_some() {
                return Ok(Some(line));
            }
            if line.len() > limit {
                return Err(std::io::Error::other("line too long"));
            }
        }
    }

    async fn hello(&mut self, line: &str) -> std::io::Result<()> {
        self.forget();
        self.hello = line.split_whitespace().nth(1).unwrap_or("").to_owned();
        let mut lines = vec!["capture.example.net", "PIPELINING", "8BITMIME"];
        if self.offers_tls() {
            lines.push("STARTTLS");
        }
        if self.shared.options.login.is_some() {
            lines.push("AUTH PLAIN LOGIN");
        }
        let size = format!("SIZE {SIZE_LIMIT}");
        lines.push(&size);
        let last = lines.len() - 1;
        let mut answer = String::new();
        for (place, line) in lines.iter().enumerate() {
            let mark = if place == last { "250 " } else { "250-" };
            let end = if place == last { "" } else { "\r\n" };
            answer.push_str(mark);
            answer.push_str(line);
            answer.push_str(end);
        }
        self.say(&answer).await
    }

    async fn login(&mut self, line: &str) -> std::io::Result<()> {
        let mut words = line.split_whitespace().skip(1);
        let mechanism = words.next().unwrap_or("").to_ascii_uppercase();
        let initial = words.next().map(str::to_owned);
        let (user, password) = match mechanism.as_str() {
            "PLAIN" => {
                let response = self.response(initial, "").await?;
                let mut parts = response.split('\0').skip(1).map(str::to_owned);
                (
                    parts.next().unwrap_or_default(),
                    parts.next().unwrap_or_default(),
                )
            }
            "LOGIN" => (
                self.response(initial, "Username:").await?,
                self.response(None, "Password:").await?,
            ),
            _ => return self.say("504 5.5.4 unknown mechanism").await,
        };
        let right = self
            .shared
            .options
            .login
            .as_ref()
            .is_some_and(|login| *login == (user.clone(), password));
        if right {
            self.user = user;
            self.say("235 2.7.0 welcome").await
        } else {
            self.say("535 5.7.8 user or password is wrong").await
        }
    }

    async fn response(&mut self, given: Option<String>, ask: &str) -> std::io::Result<String> {
        let text = if let Some(given) = given {
            given
        } else {
            self.say(&format!("334 {}", STANDARD.encode(ask))).await?;
            let line = self.line(LINE_LIMIT).await?.unwrap_or_default();
            String::from_utf8_lossy(&line).trim().to_owned()
        };
        let decoded = STANDARD.decode(text).unwrap_or_default();
        Ok(String::from_utf8_lossy(&decoded).into_owned())
    }

    async fn mail(&mut self, line: &str) -> std::io::Result<()> {
        if self.shared.options.login.is_some() && self.user.is_empty() {
            return self.say("530 5.7.0 log in first").await;
        }
        self.forget();
        self.from = Some(path(line));
        self.say("250 2.1.0 ok").await
    }

    /// False when the connection is to be closed.
    async fn recipient(&mut self, line: &str) -> std::io::Result<bool> {
        if self.from.is_none() {
            self.say("503 5.5.1 MAIL first").await?;
            return Ok(true);
        }
        let to = path(line);
        match self.shared.react(Moment::Recipient, &to) {
            Reaction::Hangup => return Ok(false),
            Reaction::Answer(answer) => {
                self.say(&answer).await?;
                return Ok(true);
            }
            Reaction::Stall(time) => tokio::time::sleep(time).await,
            Reaction::Accept => {}
        }
        self.to.push(to);
        self.say("250 2.1.5 ok").await?;
        Ok(true)
    }

    /// False when the connection is to be closed.
    async fn content(&mut self) -> std::io::Result<bool> {
        let Some(to) = self.to.first().cloned() else {
            self.say("503 5.5.1 RCPT first").await?;
            return Ok(true);
        };
        self.say("354 end with a dot").await?;
        let mut data = Vec::new();
        loop {
            let Some(line) = self.line(SIZE_LIMIT).await? else {
                return Ok(false);
            };
            if line == b".\r\n" {
                break;
            }
            if data.is_empty() && self.shared.react(Moment::Content, &to) == Reaction::Hangup {
                return Ok(false);
            }
            let stuffed = line.starts_with(b".");
            data.extend_from_slice(&line[usize::from(stuffed)..]);
        }
        match self.shared.react(Moment::End, &to) {
            Reaction::Hangup => return Ok(false),
            Reaction::Answer(answer) => {
                self.forget();
                self.say(&answer).await?;
                return Ok(true);
            }
            Reaction::Stall(time) => tokio::time::sleep(time).await,
            Reaction::Accept => {}
        }
        if data.len() > SIZE_LIMIT {
            self.forget();
            self.say("552 5.3.4 message too big").await?;
            return Ok(true);
        }
        self.keep(data);
        self.say("250 2.0.0 kept").await?;
        Ok(true)
    }

    fn keep(&mut self, data: Vec<u8>) {
        if !self.shared.options.only_count {
            self.shared.mails().push(CapturedMail {
                from: self.from.clone().unwrap_or_default(),
                to: self.to.clone(),
                data,
                encrypted: self.encrypted,
                hello: self.hello.clone(),
                user: self.user.clone(),
            });
        }
        self.forget();
        self.shared.count.send_modify(|count| *count += 1);
    }
}

/// The address between angle brackets.
fn path(line: &str) -> String {
    let start = line.find('<').map_or(0, |at| at + 1);
    let end = line.find('>').unwrap_or(line.len());
    line.get(start..end).unwrap_or("").to_owned()
}
