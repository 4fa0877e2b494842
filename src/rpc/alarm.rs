//! `AlarmService`: takes alarms, shows live alarms and sources.

pub(in crate::rpc) mod event;

use crate::alarm::{AlarmKey, LogRecord, ServiceEffect, Severity, SourceId};
use crate::clock::Millis;
use crate::pipeline::alarm_log::AlarmLog;
use crate::pipeline::alarm_query::{AlarmQuery, AlarmQuerySender, LiveAlarm, LiveAlarmKey};
use crate::pipeline::intake::Intake;
use crate::pipeline::meter::SampleLog;
use crate::proto::v1;
use crate::proto::v1::alarm_service_server::AlarmService;
use crate::proto::v1::stream_alarms_request::Message as Said;
use crate::proto::v1::stream_alarms_response::Message as Told;
use crate::rpc::auth::{Role, require};
use crate::rpc::incident::{bad_page_token, page_size};
use crate::rpc::ingest::{self, Answer, Answers, Message, Protocol, Streams};
use crate::rpc::status;
use crate::store::{SourceHealth, StoredSource};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status, Streaming};

/// Serves `AlarmService`.
#[derive(Clone, Debug)]
pub struct AlarmApi {
    pub intake: Intake<AlarmLog>,
    /// Its sources are listed, too.
    pub samples: Intake<SampleLog>,
    pub streams: Streams,
    /// Asks the correlator for the live alarms.
    pub live_alarms: AlarmQuerySender,
}

const DEFAULT_PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;

/// The messages of `StreamAlarms`.
pub(in crate::rpc) struct AlarmProtocol;

impl Protocol for AlarmProtocol {
    type Request = v1::StreamAlarmsRequest;
    type Response = v1::StreamAlarmsResponse;
    type Journal = AlarmLog;

    fn parse(request: v1::StreamAlarmsRequest, now_ms: Millis) -> (u64, Message<LogRecord>) {
        let message = match request.message {
            Some(Said::Hello(hello)) => Message::Hello(hello),
            Some(Said::Heartbeat(v1::Heartbeat {})) => Message::Heartbeat,
            Some(Said::SnapshotBegin(v1::SnapshotBegin {})) => {
                Message::Record(LogRecord::SnapshotBegin)
            }
            Some(Said::SnapshotEnd(v1::SnapshotEnd {})) => Message::Record(LogRecord::SnapshotEnd),
            Some(Said::Event(event)) => match event::parse(event, now_ms) {
                Ok(event) => Message::Record(LogRecord::Event(event)),
                Err(violations) => Message::Invalid(violations),
            },
            None => Message::Invalid(vec![status::violation(
                "message",
                "",
                "one of event, snapshot_begin, snapshot_end, heartbeat",
            )]),
        };
        (request.sequence, message)
    }

    fn answer(answer: Answer) -> v1::StreamAlarmsResponse {
        let message = Some(match answer {
            Answer::Resume(resume) => Told::Resume(resume),
            Answer::Committed(committed) => Told::Committed(committed),
            Answer::Rejected(rejected) => Told::Rejected(rejected),
        });
        v1::StreamAlarmsResponse { message }
    }
}

#[tonic::async_trait]
impl AlarmService for AlarmApi {
    type StreamAlarmsStream = Answers<v1::StreamAlarmsResponse>;

    async fn stream_alarms(
        &self,
        request: Request<Streaming<v1::StreamAlarmsRequest>>,
    ) -> Result<Response<Self::StreamAlarmsStream>, Status> {
        ingest::serve::<AlarmProtocol>(&self.streams, self.intake.clone(), request)
    }

    async fn list_alarms(
        &self,
        request: Request<v1::ListAlarmsRequest>,
    ) -> Result<Response<v1::ListAlarmsResponse>, Status> {
        require(&request, &[Role::Operator, Role::Care]).map_err(|status| *status)?;
        let request = request.into_inner();
        let limit = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE)?;
        let (answer, page) = oneshot::channel();
        let query = AlarmQuery {
            unmapped_only: request.unmapped_only,
            after: parse_page_token(&request.page_token)?,
            limit: limit as usize,
            answer,
        };
        let gone = || Status::unavailable("the correlator does not answer");
        self.live_alarms.send(query).await.map_err(|_| gone())?;
        let page = page.await.map_err(|_| gone())?;
        let names: BTreeMap<SourceId, String> = self
            .intake
            .sources()
            .into_iter()
            .map(|source| (source.id, source.name))
            .collect();
        let next_page_token = match page.alarms.last() {
            Some(last) if page.more => page_token(&(last.source, last.key.clone())),
            _ => String::new(),
        };
        Ok(Response::new(v1::ListAlarmsResponse {
            alarms: page
                .alarms
                .into_iter()
                .map(|alarm| {
                    let source = names.get(&alarm.source).cloned().unwrap_or_default();
                    alarm_message(alarm, source)
                })
                .collect(),
            next_page_token,
            total: page.total,
            unmapped: page.unmapped,
        }))
    }

    async fn list_sources(
        &self,
        request: Request<v1::ListSourcesRequest>,
    ) -> Result<Response<v1::ListSourcesResponse>, Status> {
        require(&request, &[Role::Operator, Role::Care]).map_err(|status| *status)?;
        let alarms = self.intake.sources().into_iter();
        let samples = self.samples.sources().into_iter();
        let sources = alarms
            .map(|source| source_message(source, false))
            .chain(samples.map(|source| source_message(source, true)));
        Ok(Response::new(v1::ListSourcesResponse {
            sources: sources.collect(),
        }))
    }
}

fn source_message(source: StoredSource, telemetry: bool) -> v1::Source {
    v1::Source {
        stale: source.health != SourceHealth::Current,
        name: source.name,
        last_committed_sequence: source.last_sequence,
        last_heard_ms: source.last_heard_ms,
        heartbeat_interval_s: source.heartbeat_interval_s,
        telemetry,
    }
}

/// Opaque to the client: the identity of the last alarm of the page before.
fn page_token(last: &LiveAlarmKey) -> String {
    let json = serde_json::to_vec(last).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode(json)
}

fn parse_page_token(token: &str) -> Result<Option<LiveAlarmKey>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed: Option<(SourceId, AlarmKey)> = BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    parsed.map(Some).ok_or_else(bad_page_token)
}

fn alarm_message(alarm: LiveAlarm, source: String) -> v1::Alarm {
    v1::Alarm {
        source,
        resource: alarm.key.resource,
        alarm_type: alarm.key.alarm_type,
        alarm_type_qualifier: alarm.key.qualifier,
        severity: match alarm.severity {
            Severity::Indeterminate => v1::Severity::Indeterminate,
            Severity::Warning => v1::Severity::Warning,
            Severity::Minor => v1::Severity::Minor,
            Severity::Major => v1::Severity::Major,
            Severity::Critical => v1::Severity::Critical,
        }
        .into(),
        service_effect: match alarm.service_effect {
            ServiceEffect::Loss => v1::ServiceEffect::Loss,
            ServiceEffect::Degraded => v1::ServiceEffect::Degraded,
            ServiceEffect::None => v1::ServiceEffect::None,
        }
        .into(),
        raised_ms: alarm.raised_ms,
        changed_ms: alarm.changed_ms,
        text: alarm.text,
        unmapped: alarm.unmapped,
    }
}
