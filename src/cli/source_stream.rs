//! A stream of alarms or of measured values to a service, as a NOC system opens one.

use super::client::{self, Connection};
use crate::proto::v1::{self, stream_alarms_request, stream_alarms_response};
use crate::proto::v1::{stream_samples_request, stream_samples_response};
use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Messages on the way to the server at one time.
const IN_FLIGHT: usize = 1_024;

/// What a stream carries: its calls and messages differ, its order of talk does not.
pub(crate) trait Cargo {
    /// One numbered message.
    type Item;
    type Request: Send + Sync + 'static;
    type Response;
    /// Its name in errors.
    const NAME: &'static str;

    fn hello(hello: v1::Hello) -> Self::Request;
    fn numbered(sequence: u64, item: Self::Item) -> Self::Request;
    fn open(
        connection: &Connection,
        requests: ReceiverStream<Self::Request>,
    ) -> impl Future<Output = Result<Streaming<Self::Response>, Status>>;
    /// `None` for a response without content.
    fn answer(response: Self::Response) -> Option<Answer>;
}

/// What a server says on a stream.
pub(crate) enum Answer {
    Resume(v1::Resume),
    Committed(v1::Committed),
    Rejected(v1::Rejected),
}

/// Alarms, with snapshots and heartbeats.
#[derive(Debug)]
pub(crate) enum Alarms {}

/// Measured values.
#[derive(Debug)]
pub(crate) enum Samples {}

impl Cargo for Alarms {
    type Item = stream_alarms_request::Message;
    type Request = v1::StreamAlarmsRequest;
    type Response = v1::StreamAlarmsResponse;
    const NAME: &'static str = "alarm stream";

    fn hello(hello: v1::Hello) -> Self::Request {
        Self::numbered(0, stream_alarms_request::Message::Hello(hello))
    }

    fn numbered(sequence: u64, item: Self::Item) -> Self::Request {
        let message = Some(item);
        v1::StreamAlarmsRequest { sequence, message }
    }

    async fn open(
        connection: &Connection,
        requests: ReceiverStream<Self::Request>,
    ) -> Result<Streaming<Self::Response>, Status> {
        let answered = client::alarms(connection).stream_alarms(requests).await?;
        Ok(answered.into_inner())
    }

    fn answer(response: Self::Response) -> Option<Answer> {
        use stream_alarms_response::Message as Said;
        Some(match response.message? {
            Said::Resume(resume) => Answer::Resume(resume),
            Said::Committed(committed) => Answer::Committed(committed),
            Said::Rejected(rejected) => Answer::Rejected(rejected),
        })
    }
}

impl Cargo for Samples {
    type Item = v1::Sample;
    type Request = v1::StreamSamplesRequest;
    type Response = v1::StreamSamplesResponse;
    const NAME: &'static str = "telemetry stream";

    fn hello(hello: v1::Hello) -> Self::Request {
        let message = Some(stream_samples_request::Message::Hello(hello));
        v1::StreamSamplesRequest {
            sequence: 0,
            message,
        }
    }

    fn numbered(sequence: u64, item: Self::Item) -> Self::Request {
        let message = Some(stream_samples_request::Message::Sample(item));
        v1::StreamSamplesRequest { sequence, message }
    }

    async fn open(
        connection: &Connection,
        requests: ReceiverStream<Self::Request>,
    ) -> Result<Streaming<Self::Response>, Status> {
        let answered = client::samples(connection).stream_samples(requests).await?;
        Ok(answered.into_inner())
    }

    fn answer(response: Self::Response) -> Option<Answer> {
        use stream_samples_response::Message as Said;
        Some(match response.message? {
            Said::Resume(resume) => Answer::Resume(resume),
            Said::Committed(committed) => Answer::Committed(committed),
            Said::Rejected(rejected) => Answer::Rejected(rejected),
        })
    }
}

/// A stream that remembers what the server has made durable.
#[derive(Debug)]
pub(crate) struct SourceStream<C: Cargo> {
    to_server: mpsc::Sender<C::Request>,
    from_server: Streaming<C::Response>,
    sequence: u64,
    committed: u64,
}

impl<C: Cargo> SourceStream<C> {
    /// Opens the stream and takes up where the server stands.
    pub(crate) async fn open(connection: &Connection, source: &str) -> anyhow::Result<Self> {
        let (to_server, requests) = mpsc::channel(IN_FLIGHT);
        let hello = v1::Hello {
            source: source.to_owned(),
            heartbeat_interval_s: 0,
        };
        to_server
            .send(C::hello(hello))
            .await
            .with_context(|| format!("the {} has ended", C::NAME))?;
        let opened = C::open(connection, ReceiverStream::new(requests)).await;
        let mut from_server = opened.with_context(|| format!("opening the {}", C::NAME))?;
        let first = from_server.message().await?.and_then(C::answer);
        let Some(Answer::Resume(resume)) = first else {
            bail!(
                "the server did not begin the {} with a resume point",
                C::NAME
            );
        };
        Ok(Self {
            to_server,
            from_server,
            sequence: resume.last_committed_sequence,
            committed: resume.last_committed_sequence,
        })
    }

    /// Hands one message over, and reads answers meanwhile so that they do not pile up.
    pub(crate) async fn send(&mut self, item: C::Item) -> anyhow::Result<()> {
        self.sequence += 1;
        let request = C::numbered(self.sequence, item);
        loop {
            let to_server = self.to_server.clone();
            tokio::select! {
                slot = to_server.reserve() => {
                    slot.with_context(|| format!("the {} has ended", C::NAME))?.send(request);
                    return Ok(());
                }
                answer = self.from_server.message() => self.take(answer?)?,
            }
        }
    }

    /// Waits until everything that was handed over is committed.
    pub(crate) async fn wait_until_durable(&mut self) -> anyhow::Result<()> {
        while self.committed < self.sequence {
            let answer = self.from_server.message().await?;
            self.take(answer)?;
        }
        Ok(())
    }

    fn take(&mut self, answer: Option<C::Response>) -> anyhow::Result<()> {
        match answer.and_then(C::answer) {
            Some(Answer::Committed(c)) => self.committed = c.through_sequence,
            Some(Answer::Rejected(r)) => {
                bail!(
                    "the server refused message {} of the {}: {:?}",
                    r.sequence,
                    C::NAME,
                    r.violations
                )
            }
            Some(Answer::Resume(_)) => bail!("the server resumed the {} twice", C::NAME),
            None => bail!("the server ended the {}", C::NAME),
        }
        Ok(())
    }
}
