//! What a caller gives, checked.

use crate::clock::Millis;
use crate::geography::{
    Affects, AlertChain, AreaDeclaration, AreaDocument, AreaError, CapAlert, CapIdentity,
    CapMessage, ReadArea, read_cap,
};
use crate::proto::v1;
use crate::proto::v1::area_input::Document;
use crate::rpc::status::{invalid, refused, violation};
use crate::topology::Position;
use tonic::Status;
use tonic_types::FieldViolation;

/// Longest document, in bytes: what fits into the database's row with ease.
const LONGEST_DOCUMENT_BYTES: usize = 16 << 20;
const LONGEST_NAME_BYTES: usize = 256;
const LONGEST_NOTE_BYTES: usize = 4_096;
const LONGEST_REQUEST_ID_BYTES: usize = 128;
/// The end of the year 9999.
const LATEST_MS: Millis = 253_402_300_799_999;

/// A declaration that may be taken.
#[derive(Debug)]
pub(super) struct Given {
    /// None when an alert only cancels.
    pub(super) declaration: Option<AreaDeclaration>,
    pub(super) alert: Option<AlertChain>,
    pub(super) area: Option<ReadArea>,
}

/// Checks a declaration.
pub(super) fn declaration(
    request: v1::DeclareAreaRequest,
    caller: &str,
    now_ms: Millis,
) -> Result<Given, Status> {
    let request_id = request.request_id;
    if request_id.len() > LONGEST_REQUEST_ID_BYTES || request_id.contains('\0') {
        let expected = "at most 128 bytes, without U+0000";
        return Err(invalid(&[violation("request_id", request_id, expected)]));
    }
    let input = request.area.unwrap_or_default();
    if let Some(Document::Cap(text)) = &input.document {
        let alert = read_alert(text)?;
        if !request_id.is_empty() {
            let expected = "nothing for an alert, which has an identity of its own";
            return Err(invalid(&[violation("request_id", request_id, expected)]));
        }
        if !alert.is_actual() {
            return Err(Status::failed_precondition(format!(
                "the status of the alert is {}: only actual alerts are declared; preview it instead",
                alert.status
            )));
        }
        let chain = AlertChain {
            identity: alert.identity.clone(),
            message: alert.message,
            references: alert.references.clone(),
        };
        if alert.message == CapMessage::Cancel {
            return Ok(Given {
                declaration: None,
                alert: Some(chain),
                area: None,
            });
        }
        let (declaration, area) = of_alert(input, alert)?;
        return Ok(Given {
            declaration: Some(declaration),
            alert: Some(chain),
            area: Some(area),
        });
    }
    let (declaration, area) = plain(input, now_ms)?;
    if let Some(past_ms) = declaration.expires_ms.filter(|at| *at <= now_ms) {
        let expected = "an instant in the future, or 0";
        let value = instant_in_words(past_ms);
        return Err(invalid(&[violation("area.expires_ms", value, expected)]));
    }
    // Two callers may choose the same id.
    let alert = (!request_id.is_empty()).then(|| AlertChain {
        identity: CapIdentity {
            sender: String::new(),
            identifier: format!("{caller}/{request_id}"),
            sent_ms: 0,
        },
        message: CapMessage::Alert,
        references: Vec::new(),
    });
    Ok(Given {
        declaration: Some(declaration),
        alert,
        area: Some(area),
    })
}

/// Checks an area that is only looked at.
pub(super) fn to_preview(
    input: Option<v1::AreaInput>,
    now_ms: Millis,
) -> Result<(AreaDeclaration, ReadArea), Status> {
    let input = input.unwrap_or_default();
    match &input.document {
        Some(Document::Cap(text)) => {
            let alert = read_alert(text)?;
            of_alert(input, alert)
        }
        _ => plain(input, now_ms),
    }
}

fn read_alert(text: &str) -> Result<CapAlert, Status> {
    check_length("area.cap", text)?;
    read_cap(text).map_err(|errors| refuse(&errors))
}

/// A declaration by an alert: its times and names, unless the caller gives others.
fn of_alert(
    input: v1::AreaInput,
    mut alert: CapAlert,
) -> Result<(AreaDeclaration, ReadArea), Status> {
    let Some(area) = alert.area.take() else {
        return Err(invalid(&[violation(
            "area.cap",
            "",
            "an alert with a polygon or a circle",
        )]));
    };
    let mut name = alert.names.join("; ");
    if name.len() > LONGEST_NAME_BYTES {
        let end = name.floor_char_boundary(LONGEST_NAME_BYTES - '…'.len_utf8());
        name.truncate(end);
        name.push('…');
    }
    let times = (alert.onset_ms, alert.expires_ms);
    let mut declaration = checked(input, times)?;
    if declaration.name.is_empty() {
        declaration.name = name;
    }
    declaration.texts = alert.texts;
    Ok((declaration, area))
}

fn plain(input: v1::AreaInput, now_ms: Millis) -> Result<(AreaDeclaration, ReadArea), Status> {
    if let Some(Document::Geojson(text)) = &input.document {
        check_length("area.geojson", text)?;
    }
    let declaration = checked(input, (now_ms, None))?;
    let area = declaration.document.read();
    let area = area.map_err(|errors| refuse(&errors))?;
    Ok((declaration, area))
}

fn check_length(field: &str, text: &str) -> Result<(), Status> {
    if text.len() > LONGEST_DOCUMENT_BYTES {
        return Err(invalid(&[violation(field, "", "at most 16 MiB")]));
    }
    Ok(())
}

/// The fields, all wrong ones at once; `times` are onset and end where the caller gives none.
fn checked(
    input: v1::AreaInput,
    times: (Millis, Option<Millis>),
) -> Result<AreaDeclaration, Status> {
    let mut wrong = Vec::new();
    let document = match input.document {
        Some(Document::Geojson(text)) => Some(AreaDocument::Geojson { text }),
        Some(Document::Cap(text)) => Some(AreaDocument::Cap { text }),
        Some(Document::Disc(disc)) => disc.centre.map(|centre| AreaDocument::Disc {
            centre: Position {
                latitude: centre.latitude,
                longitude: centre.longitude,
            },
            radius_m: disc.radius_m,
        }),
        None => None,
    };
    if document.is_none() {
        let expected = "geojson, cap, or a disc with its centre";
        wrong.push(violation("area.document", "", expected));
    }
    let affects = Affects::parse(&input.affects);
    if affects.is_none() {
        let names = Affects::ALL.map(Affects::as_str).join(", ");
        let expected = format!("one of {names}");
        wrong.push(violation("area.affects", &input.affects, expected));
    }
    for (field, text, most) in [
        ("area.name", &input.name, LONGEST_NAME_BYTES),
        ("area.note", &input.note, LONGEST_NOTE_BYTES),
    ] {
        if text.len() > most {
            wrong.push(violation(field, "", format!("at most {most} bytes")));
        }
    }
    let onset_ms = match input.onset_ms {
        0 => times.0,
        given => given,
    };
    let expires_ms = match input.expires_ms {
        0 => times.1,
        given => Some(given),
    };
    if !(0..=LATEST_MS).contains(&onset_ms) {
        let value = onset_ms.to_string();
        let expected = "milliseconds since 1970, before the year 10000";
        wrong.push(violation("area.onset_ms", value, expected));
    }
    if let Some(at_ms) = expires_ms.filter(|at| *at <= onset_ms || *at > LATEST_MS) {
        let expected = "an instant after the onset, before the year 10000";
        let value = instant_in_words(at_ms);
        wrong.push(violation("area.expires_ms", value, expected));
    }
    match (document, affects) {
        (Some(document), Some(affects)) if wrong.is_empty() => Ok(AreaDeclaration {
            name: input.name,
            affects,
            document,
            onset_ms,
            expires_ms,
            texts: Vec::new(),
            note: input.note,
        }),
        _ => Err(invalid(&wrong)),
    }
}

/// `INVALID_ARGUMENT` with the places in the document.
pub(super) fn refuse(errors: &[AreaError]) -> Status {
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    let violations = errors
        .iter()
        .map(|error| FieldViolation::new(format!("area.{}", error.place), error.fault.to_string()));
    let summary = format!("the area was refused: {first}");
    refused(&summary, errors.len() as u64, "", violations)
}

/// RFC 3339, in UTC; milliseconds since 1970 where no calendar has it.
fn instant_in_words(at_ms: Millis) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| at.to_string())
}
