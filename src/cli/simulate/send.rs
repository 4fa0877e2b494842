//! Streams simulated alarms and measured values into a running service, each source by a call of its
//! own, in their time.

use crate::alarm::{AlarmEvent, AlarmEventKind, LogEntry, LogRecord, ServiceEffect, Severity};
use crate::cli::client::{self, ClientArgs, Connection};
use crate::cli::source_stream::{Alarms, Samples, SourceStream};
use crate::clock::{Clock, Millis};
use crate::proto::v1;
use crate::proto::v1::stream_alarms_request::Message;
use crate::simulate::{Sample, Simulation, Source};
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

/// What goes out at one time.
enum Outgoing<'a> {
    Alarm(&'a LogEntry),
    Sample(&'a Sample),
}

/// Everything, in the order of the times at which it goes out.
fn outgoing(simulation: &Simulation) -> Vec<(Millis, Outgoing<'_>)> {
    let alarms = simulation.entries.iter();
    let alarms = alarms.map(|entry| (entry.received_at_ms, Outgoing::Alarm(entry)));
    let samples = simulation.samples.iter();
    let samples = samples.map(|sample| (sample.sampled_at_ms, Outgoing::Sample(sample)));
    let mut all: Vec<_> = alarms.chain(samples).collect();
    all.sort_by_key(|(at_ms, _)| *at_ms);
    all
}

/// The streams that are open.
#[derive(Default)]
struct Streams {
    alarms: BTreeMap<Source, SourceStream<Alarms>>,
    samples: Option<SourceStream<Samples>>,
}

impl Streams {
    async fn wait_until_durable(&mut self) -> anyhow::Result<()> {
        for stream in self.alarms.values_mut() {
            stream.wait_until_durable().await?;
        }
        if let Some(stream) = &mut self.samples {
            stream.wait_until_durable().await?;
        }
        Ok(())
    }

    async fn alarm(
        &mut self,
        connection: &Connection,
        source: Source,
        message: Message,
    ) -> anyhow::Result<()> {
        let stream = match self.alarms.entry(source) {
            Entry::Occupied(stream) => stream.into_mut(),
            Entry::Vacant(place) => {
                place.insert(SourceStream::open(connection, source.as_str()).await?)
            }
        };
        stream.send(message).await
    }

    async fn sample(&mut self, connection: &Connection, sample: v1::Sample) -> anyhow::Result<()> {
        let stream = match &mut self.samples {
            Some(stream) => stream,
            none => none.insert(SourceStream::open(connection, Source::Bng.as_str()).await?),
        };
        stream.send(sample).await
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
    let mut streams = Streams::default();
    let (mut messages, mut samples) = (0_u64, 0_u64);
    for (at_ms, outgoing) in outgoing(simulation) {
        if time.ours(at_ms) > clock.now_ms() {
            streams.wait_until_durable().await?;
            let wait_ms = time.ours(at_ms) - clock.now_ms();
            tokio::time::sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))).await;
        }
        match outgoing {
            Outgoing::Alarm(entry) => {
                let source = Source::of_id(entry.source);
                if let Some((source, message)) = source.zip(message(entry, time)) {
                    streams.alarm(&connection, source, message).await?;
                    messages += 1;
                }
            }
            Outgoing::Sample(sample) => {
                let sample = v1::Sample {
                    resource: sample.resource.clone(),
                    metric: sample.metric.to_owned(),
                    value: sample.value,
                    sampled_at_ms: time.ours(sample.sampled_at_ms),
                };
                streams.sample(&connection, sample).await?;
                samples += 1;
            }
        }
    }
    streams.wait_until_durable().await?;
    writeln!(
        std::io::stdout(),
        "{messages} messages of {} sources and {samples} measured values sent to {}; all of them are \
         durable",
        streams.alarms.len(),
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
