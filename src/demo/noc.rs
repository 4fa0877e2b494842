//! The NOC system of the demo: streams alarms to the service as a real one would.

use crate::cli::client::Connection;
use crate::cli::source_stream::{Alarms, SourceStream};
use crate::proto::v1::stream_alarms_request::Message;
use crate::proto::v1::{AlarmEvent, AlarmEventKind, Severity};

/// A stream of alarms; each call returns when its alarms are durable.
pub(super) struct Noc(SourceStream<Alarms>);

impl Noc {
    /// Opens the stream and takes up where the server stands.
    pub(super) async fn connect(connection: Connection, source: &str) -> anyhow::Result<Self> {
        Ok(Self(SourceStream::open(&connection, source).await?))
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
            let event = AlarmEvent {
                kind: kind.into(),
                resource: resource.clone(),
                alarm_type: alarm_type.to_owned(),
                severity: Severity::Critical.into(),
                event_time_ms: now_ms,
                text: text.to_owned(),
                ..AlarmEvent::default()
            };
            self.0.send(Message::Event(event)).await?;
        }
        self.0.wait_until_durable().await
    }
}
