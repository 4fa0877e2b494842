//! Answers that are not a success, in the forms that clients of gRPC understand.

use crate::proto::v1;
use crate::store::StoreError;
use std::borrow::Cow;
use std::time::Duration;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// Characters of a refused value that are shown.
const SHOWN_CHARACTERS: usize = 80;

/// Room for the message and the details of a refusal among the trailers, encoded. The C core of gRPC
/// (Python, C++, Ruby) takes 8 KiB in all, and makes `RESOURCE_EXHAUSTED` of an answer with more.
const MOST_TRAILER_BYTES: usize = 6 * 1_024;
/// Fields that the message names.
const NAMED_FIELDS: usize = 10;
/// Where the parts of a refusal are cut.
const LONGEST_SUMMARY_BYTES: usize = 400;
const LONGEST_FIELD_BYTES: usize = 160;
const LONGEST_DESCRIPTION_BYTES: usize = 600;
/// At most what is said after the summary of violations that are not listed.
const COUNT_BYTES: usize = 128;
/// At most what the details need besides the texts: the type of the details, and around one violation.
const ENVELOPE_BYTES: usize = 64;
const FRAME_BYTES: usize = 12;

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
    let fields: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
    let summary = if fields.len() > NAMED_FIELDS {
        let named = fields[..NAMED_FIELDS].join(", ");
        format!("invalid: {} errors, of {named} and others", fields.len())
    } else {
        format!("invalid: {}", fields.join(", "))
    };
    let described = violations.iter().map(|violation| {
        let description = if violation.value.is_empty() {
            format!("expected {}", violation.expected)
        } else {
            format!("`{}`: expected {}", violation.value, violation.expected)
        };
        FieldViolation::new(violation.field.clone(), description)
    });
    refused(&summary, violations.len() as u64, "", described)
}

/// `INVALID_ARGUMENT` with as many of the violations, the first, as every client can take. Where that is
/// not `total`, the message says how many they are, and what `hint` adds.
pub fn refused(
    summary: &str,
    total: u64,
    hint: &str,
    violations: impl IntoIterator<Item = FieldViolation>,
) -> Status {
    let summary = shortened(summary, LONGEST_SUMMARY_BYTES);
    let message_bytes = summary.len() + COUNT_BYTES;
    // Percent-encoded, a message may be three times as long; the details, in base64, repeat it.
    let mut room =
        (MOST_TRAILER_BYTES - 3 * message_bytes) / 4 * 3 - message_bytes - ENVELOPE_BYTES;
    let mut listed = Vec::new();
    for violation in violations {
        let field = shortened(&violation.field, LONGEST_FIELD_BYTES);
        let description = shortened(&violation.description, LONGEST_DESCRIPTION_BYTES);
        let Some(left) = room.checked_sub(field.len() + description.len() + FRAME_BYTES) else {
            break;
        };
        room = left;
        listed.push(FieldViolation::new(field, description));
    }
    let message = match listed.len() as u64 {
        all if all >= total => summary.into_owned(),
        some => format!("{summary}; the first {some} are listed{hint}"),
    };
    let mut details = ErrorDetails::new();
    details.set_bad_request(listed);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// The text, at most so many bytes of it.
fn shortened(text: &str, most_bytes: usize) -> Cow<'_, str> {
    if text.len() <= most_bytes {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(most_bytes - '…'.len_utf8());
    Cow::Owned(format!("{}…", &text[..end]))
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
