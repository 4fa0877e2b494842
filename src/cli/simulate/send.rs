//! Streams simulated alarms into a running service, each source by a call of its own, in their time.

use crate::alarm::{AlarmEvent, AlarmEventKind, LogEntry, LogRecord, ServiceEffect, Severity};
use crate::cli::alarm_stream::AlarmStream;
use crate::cli::client::{self, ClientArgs};
use crate::clock::{Clock, Millis};
use crate::proto::v1;
use crate::proto::v1::stream_alarms_request::Message;
use crate::simulate::{Simulation, Source};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write as _;
use std::time::Duration;

/// How simulated time becomes ours: the scenario begins now, and goes so many times faster.
#[derive(Clone, Copy)]
pub(super) struct Time {
    start_ms: Millis,
    now_ms: Millis,
    speed: f64,
}

impl Time {
    /// The scenario begins now.
    pub(super) fn from_now(start_ms: Millis, speed: f64) -> Self {
        Self {
            start_ms,
            now_ms: Clock::System.now_ms(),
            speed,
        }
    }

    pub(super) fn ours(self, at_ms: Millis) -> Millis {
        let since_ms = (at_ms - self.start_ms) as f64 / self.speed;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a duration in milliseconds, and what does not fit saturates"
        )]
        let since_ms = since_ms.round() as i64;
        self.now_ms.saturating_add(since_ms)
    }
}

/// Sends everything; what came before the start goes out at once.
pub(super) async fn run(
    args: &ClientArgs,
    simulation: &Simulation,
    time: Time,
) -> anyhow::Result<()> {
    let connection = client::connect(args).await?;
    let clock = Clock::System;
    let mut streams: BTreeMap<Source, AlarmStream> = BTreeMap::new();
    let mut sent = 0_u64;
    for entry in &simulation.entries {
        let (Some(source), Some(message)) = (Source::of_id(entry.source), message(entry, time))
        else {
            continue;
        };
        let wait_ms = time.ours(entry.received_at_ms) - clock.now_ms();
        if wait_ms > 0 {
            for stream in streams.values_mut() {
                stream.wait_until_durable().await?;
            }
            let wait_ms = time.ours(entry.received_at_ms) - clock.now_ms();
            tokio::time::sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))).await;
        }
        let stream = match streams.entry(source) {
            Entry::Occupied(stream) => stream.into_mut(),
            Entry::Vacant(place) => {
                place.insert(AlarmStream::open(&connection, source.as_str()).await?)
            }
        };
        stream.send(message).await?;
        sent += 1;
    }
    for stream in streams.values_mut() {
        stream.wait_until_durable().await?;
    }
    writeln!(
        std::io::stdout(),
        "{sent} messages of {} sources sent to {}; all of them are durable",
        streams.len(),
        args.server
    )?;
    Ok(())
}

/// Nothing for what the receiving side notices itself.
fn message(entry: &LogEntry, time: Time) -> Option<Message> {
    match &entry.record {
        LogRecord::Event(event) => Some(Message::Event(self::event(event, time))),
        LogRecord::SnapshotBegin => Some(Message::SnapshotBegin(v1::SnapshotBegin {})),
        LogRecord::SnapshotEnd => Some(Message::SnapshotEnd(v1::SnapshotEnd {})),
        LogRecord::Stale | LogRecord::Heard => None,
    }
}

fn event(event: &AlarmEvent, time: Time) -> v1::AlarmEvent {
    let kind = match event.kind {
        AlarmEventKind::Raise => v1::AlarmEventKind::Raise,
        AlarmEventKind::Change => v1::AlarmEventKind::Change,
        AlarmEventKind::Clear => v1::AlarmEventKind::Clear,
    };
    let severity = match event.severity {
        Severity::Indeterminate => v1::Severity::Indeterminate,
        Severity::Warning => v1::Severity::Warning,
        Severity::Minor => v1::Severity::Minor,
        Severity::Major => v1::Severity::Major,
        Severity::Critical => v1::Severity::Critical,
    };
    let effect = match event.detail.service_effect {
        None => v1::ServiceEffect::Unspecified,
        Some(ServiceEffect::Loss) => v1::ServiceEffect::Loss,
        Some(ServiceEffect::Degraded) => v1::ServiceEffect::Degraded,
        Some(ServiceEffect::None) => v1::ServiceEffect::None,
    };
    v1::AlarmEvent {
        kind: kind.into(),
        resource: event.key.resource.clone(),
        alarm_type: event.key.alarm_type.clone(),
        alarm_type_qualifier: event.key.qualifier.clone(),
        severity: severity.into(),
        event_time_ms: time.ours(event.event_at_ms),
        text: event.detail.text.clone(),
        service_effect: effect.into(),
        ..v1::AlarmEvent::default()
    }
}
