//! A stream of alarms to a service, as a NOC system opens one.

use super::client::{Connection, alarms};
use crate::proto::v1::stream_alarms_request::Message as Out;
use crate::proto::v1::stream_alarms_response::Message as In;
use crate::proto::v1::{Hello, StreamAlarmsRequest, StreamAlarmsResponse};
use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Messages on the way to the server at one time.
const IN_FLIGHT: usize = 1_024;

/// A stream of alarms that remembers what the server has made durable.
#[derive(Debug)]
pub struct AlarmStream {
    to_server: mpsc::Sender<StreamAlarmsRequest>,
    from_server: Streaming<StreamAlarmsResponse>,
    sequence: u64,
    committed: u64,
}

impl AlarmStream {
    /// Opens the stream and takes up where the server stands.
    pub async fn open(connection: &Connection, source: &str) -> anyhow::Result<Self> {
        let (to_server, requests) = mpsc::channel(IN_FLIGHT);
        let hello = Hello {
            source: source.to_owned(),
            heartbeat_interval_s: 0,
        };
        to_server
            .send(StreamAlarmsRequest {
                sequence: 0,
                message: Some(Out::Hello(hello)),
            })
            .await?;
        let mut from_server = alarms(connection)
            .stream_alarms(ReceiverStream::new(requests))
            .await
            .context("opening the alarm stream")?
            .into_inner();
        let first = from_server.message().await?.and_then(|r| r.message);
        let Some(In::Resume(resume)) = first else {
            bail!("the server did not begin with a resume point");
        };
        Ok(Self {
            to_server,
            from_server,
            sequence: resume.last_committed_sequence,
            committed: resume.last_committed_sequence,
        })
    }

    /// Hands one message over, and reads answers meanwhile so that they do not pile up.
    pub async fn send(&mut self, message: Out) -> anyhow::Result<()> {
        self.sequence += 1;
        let request = StreamAlarmsRequest {
            sequence: self.sequence,
            message: Some(message),
        };
        loop {
            let to_server = self.to_server.clone();
            tokio::select! {
                slot = to_server.reserve() => {
                    slot.context("the alarm stream has ended")?.send(request);
                    return Ok(());
                }
                answer = self.from_server.message() => self.take(answer?)?,
            }
        }
    }

    /// Waits until everything that was handed over is committed.
    pub async fn wait_until_durable(&mut self) -> anyhow::Result<()> {
        while self.committed < self.sequence {
            let answer = self.from_server.message().await?;
            self.take(answer)?;
        }
        Ok(())
    }

    fn take(&mut self, answer: Option<StreamAlarmsResponse>) -> anyhow::Result<()> {
        match answer.and_then(|r| r.message) {
            Some(In::Committed(c)) => self.committed = c.through_sequence,
            Some(In::Rejected(r)) => bail!("the server refused an alarm: {:?}", r.violations),
            Some(In::Resume(_)) => bail!("the server resumed twice"),
            None => bail!("the server ended the alarm stream"),
        }
        Ok(())
    }
}
