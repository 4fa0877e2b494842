//! An SMTP server in the same process, and bare connections into it.

use forewarn::demo::smtp_capture::{Capture, CaptureOptions, CapturedMail};
use lettre::address::Envelope;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The server.
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    capture: Capture,
    server: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Sink {
    /// One that keeps mails, or only counts them.
    pub(super) async fn start(keep: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let options = CaptureOptions {
            only_count: !keep,
            ..CaptureOptions::default()
        };
        let (capture, serve) = Capture::new(listener, options, shutdown.clone());
        let mut server = JoinSet::new();
        server.spawn(serve);
        Self {
            address,
            capture,
            server,
            shutdown,
        }
    }

    /// What it was given so far.
    pub(super) fn mails(&self) -> Vec<CapturedMail> {
        self.capture.mails()
    }

    /// Mails a second by lettre alone: such messages, over and over, through so many connections.
    pub(super) async fn bare_rate(
        &self,
        messages: &[CapturedMail],
        count: usize,
        connections: usize,
    ) -> f64 {
        let before = self.capture.count();
        let messages = Arc::new(messages.to_vec());
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            let (messages, next) = (Arc::clone(&messages), Arc::clone(&next));
            let stream = TcpStream::connect(self.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let hello = ClientId::Domain("localhost".to_owned());
            let connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello);
            let mut connection = connection.await.unwrap();
            senders.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let mail = &messages[number % messages.len()];
                    let to = mail.to.iter().map(|to| to.parse().unwrap()).collect();
                    let envelope = Envelope::new(Some(mail.from.parse().unwrap()), to).unwrap();
                    connection.send(&envelope, &mail.data).await.unwrap();
                }
            });
        }
        while let Some(ended) = senders.join_next().await {
            ended.unwrap();
        }
        let rate = count as f64 / started.elapsed().as_secs_f64();
        assert_eq!(self.capture.count() - before, count);
        rate
    }

    pub(super) async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.server.join_next().await {
            ended.unwrap();
        }
    }
}
