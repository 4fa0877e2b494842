//! Answers that are not a success, in the forms that clients of gRPC understand.

use crate::proto::v1;
use crate::store::StoreError;
use std::time::Duration;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Characters of a refused value that are shown.
const SHOWN_CHARACTERS: usize = 80;

/// Metadata key under which some clients look for the delay, and nowhere else.
const RETRY_INFO_METADATA: &str = "google.rpc.retryinfo-bin";

/// One field that was refused. `value` is empty for personal data.
pub fn violation(
    field: impl Into<String>,
    value: impl AsRef<str>,
    expected: impl Into<String>,
) -> v1::FieldViolation {
    v1::FieldViolation {
        field: field.into(),
        value: value.as_ref().chars().take(SHOWN_CHARACTERS).collect(),
        expected: expected.into(),
    }
}

/// `INVALID_ARGUMENT` with google.rpc.BadRequest.
pub fn invalid(violations: &[v1::FieldViolation]) -> Status {
    let mut details = ErrorDetails::new();
    for violation in violations {
        let description = if violation.value.is_empty() {
            format!("expected {}", violation.expected)
        } else {
            format!("`{}`: expected {}", violation.value, violation.expected)
        };
        details.add_bad_request_violation(violation.field.clone(), description);
    }
    let fields: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
    Status::with_error_details(
        Code::InvalidArgument,
        format!("invalid: {}", fields.join(", ")),
        details,
    )
}

/// `RESOURCE_EXHAUSTED` with the delay, in the status details (Go, Rust) and in the trailing metadata
/// (Python reads only that).
pub fn exhausted(message: &str, retry_after: Duration) -> Status {
    use prost::Message as _;
    let retry = tonic_types::pb::RetryInfo {
        retry_delay: prost_types::Duration::try_from(retry_after).ok(),
    };
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(
        RETRY_INFO_METADATA,
        MetadataValue::from_bytes(&retry.encode_to_vec()),
    );
    let details = ErrorDetails::with_retry_info(Some(retry_after));
    Status::with_error_details_and_metadata(Code::ResourceExhausted, message, details, metadata)
}

/// UNAVAILABLE for a failed store; logs the failure, whose text is not for the caller.
pub fn store(error: &StoreError) -> Status {
    tracing::error!(error = %Chain(error), "the store failed during a call");
    Status::unavailable("the database does not answer now")
}

/// What ended a stream of requests. tonic says `OUT_OF_RANGE` of a message over the limit, which
/// clients retry for ever; `RESOURCE_EXHAUSTED` without a delay says that it is in vain.
pub fn of_stream(status: Status) -> Status {
    if status.code() == Code::OutOfRange {
        Status::resource_exhausted(status.message())
    } else {
        status
    }
}

/// An error with its causes, on one line.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
