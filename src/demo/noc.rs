//! The NOC system of the demo: streams alarms to the service as a real one would.

use crate::cli::client::Connection;
use crate::proto::v1::alarm_service_client::AlarmServiceClient;
use crate::proto::v1::stream_alarms_request::Message as Out;
use crate::proto::v1::stream_alarms_response::Message as In;
use crate::proto::v1::{AlarmEvent, AlarmEventKind, Hello, Severity, StreamAlarmsRequest};
use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Messages on the way to the server at one time.
const IN_FLIGHT: usize = 1_024;

/// A stream of alarms that remembers what the server has made durable.
pub(super) struct Noc {
    to_server: mpsc::Sender<StreamAlarmsRequest>,
    from_server: Streaming<crate::proto::v1::StreamAlarmsResponse>,
    sequence: u64,
    committed: u64,
}

impl Noc {
    /// Opens the stream and takes up where the server stands.
    pub(super) async fn connect(connection: Connection, source: &str) -> anyhow::Result<Self> {
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
        let mut from_server = AlarmServiceClient::new(connection)
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

    /// Says that conditions began.
    pub(super) async fn raise(
        &mut self,
        resources: &[String],
        alarm_type: &str,
        text: &str,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        self.send_all(AlarmEventKind::Raise, resources, alarm_type, text, now_ms)
            .await
    }

    /// Says that conditions ended.
    pub(super) async fn clear(
        &mut self,
        resources: &[String],
        alarm_type: &str,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        self.send_all(AlarmEventKind::Clear, resources, alarm_type, "", now_ms)
            .await
    }

    async fn send_all(
        &mut self,
        kind: AlarmEventKind,
        resources: &[String],
        alarm_type: &str,
        text: &str,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        for resource in resources {
            self.sequence += 1;
            let event = AlarmEvent {
                kind: kind.into(),
                resource: resource.clone(),
                alarm_type: alarm_type.to_owned(),
                severity: Severity::Critical.into(),
                event_time_ms: now_ms,
                text: text.to_owned(),
                ..AlarmEvent::default()
            };
            let request = StreamAlarmsRequest {
                sequence: self.sequence,
                message: Some(Out::Event(event)),
            };
            self.send(request).await?;
        }
        self.wait_until_durable().await
    }

    /// Hands one message over, and reads answers meanwhile so that they do not pile up.
    async fn send(&mut self, request: StreamAlarmsRequest) -> anyhow::Result<()> {
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

    async fn wait_until_durable(&mut self) -> anyhow::Result<()> {
        while self.committed < self.sequence {
            let answer = self.from_server.message().await?;
            self.take(answer)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        answer: Option<crate::proto::v1::StreamAlarmsResponse>,
    ) -> anyhow::Result<()> {
        match answer.and_then(|r| r.message) {
            Some(In::Committed(c)) => self.committed = c.through_sequence,
            Some(In::Rejected(r)) => bail!("the server refused an alarm: {:?}", r.violations),
            Some(In::Resume(_)) => bail!("the server resumed twice"),
            None => bail!("the server ended the alarm stream"),
        }
        Ok(())
    }
}
