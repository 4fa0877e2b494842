//! `TelemetryService`: takes measured values.

use crate::clock::Millis;
use crate::pipeline::intake::Intake;
use crate::pipeline::meter::{Sample, SampleLog};
use crate::proto::v1;
use crate::proto::v1::stream_samples_request::Message as Said;
use crate::proto::v1::stream_samples_response::Message as Told;
use crate::proto::v1::telemetry_service_server::TelemetryService;
use crate::rpc::alarm::event;
use crate::rpc::ingest::{self, Answer, Answers, Message, Protocol, Streams};
use crate::rpc::status;
use tonic::{Request, Response, Status, Streaming};

/// Serves `TelemetryService`.
#[derive(Clone, Debug)]
pub struct TelemetryApi {
    pub intake: Intake<SampleLog>,
    pub streams: Streams,
}

/// The messages of `StreamSamples`.
pub(in crate::rpc) struct TelemetryProtocol;

impl Protocol for TelemetryProtocol {
    type Request = v1::StreamSamplesRequest;
    type Response = v1::StreamSamplesResponse;
    type Journal = SampleLog;

    fn parse(request: v1::StreamSamplesRequest, now_ms: Millis) -> (u64, Message<Sample>) {
        let message = match request.message {
            Some(Said::Hello(hello)) => Message::Hello(hello),
            Some(Said::Heartbeat(v1::Heartbeat {})) => Message::Heartbeat,
            Some(Said::Sample(sample)) => parse_sample(sample, now_ms),
            None => Message::Invalid(vec![status::violation(
                "message",
                "",
                "one of sample, heartbeat",
            )]),
        };
        (request.sequence, message)
    }

    fn answer(answer: Answer) -> v1::StreamSamplesResponse {
        let message = Some(match answer {
            Answer::Resume(resume) => Told::Resume(resume),
            Answer::Committed(committed) => Told::Committed(committed),
            Answer::Rejected(rejected) => Told::Rejected(rejected),
        });
        v1::StreamSamplesResponse { message }
    }
}

fn parse_sample(sample: v1::Sample, now_ms: Millis) -> Message<Sample> {
    let mut wrong = Vec::new();
    event::text("sample.resource", &sample.resource, 1, 256, &mut wrong);
    event::text("sample.metric", &sample.metric, 1, 128, &mut wrong);
    if !sample.value.is_finite() {
        wrong.push(status::violation(
            "sample.value",
            sample.value.to_string(),
            "a finite number",
        ));
    }
    event::time(
        "sample.sampled_at_ms",
        sample.sampled_at_ms,
        now_ms,
        &mut wrong,
    );
    if !wrong.is_empty() {
        return Message::Invalid(wrong);
    }
    Message::Record(Sample {
        resource: sample.resource,
        metric: sample.metric,
        value: sample.value,
        sampled_at_ms: sample.sampled_at_ms,
    })
}

#[tonic::async_trait]
impl TelemetryService for TelemetryApi {
    type StreamSamplesStream = Answers<v1::StreamSamplesResponse>;

    async fn stream_samples(
        &self,
        request: Request<Streaming<v1::StreamSamplesRequest>>,
    ) -> Result<Response<Self::StreamSamplesStream>, Status> {
        ingest::serve::<TelemetryProtocol>(&self.streams, self.intake.clone(), request)
    }
}
