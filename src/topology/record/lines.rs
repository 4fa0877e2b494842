//! JSON Lines: one JSON object per line.

use super::{ReadError, RecordErrors, RecordSink};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::io::{BufRead, Read, Write};

/// Longest line, in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// Reads every line as a `T` and hands it on with its number. Empty lines are skipped; a line that
/// is no `T` becomes an error.
pub(crate) fn read_lines<T: DeserializeOwned>(
    mut reader: impl BufRead,
    file: &str,
    sink: &mut impl RecordSink<T>,
) -> Result<(), ReadError> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = reader
            .by_ref()
            .take(LONGEST_LINE + 1)
            .read_until(b'\n', &mut line)
            .map_err(|source| ReadError::Io {
                file: file.to_owned(),
                source,
            })?;
        if length == 0 {
            break;
        }
        if length as u64 > LONGEST_LINE {
            let expected = format!("a line of at most {LONGEST_LINE} bytes");
            sink.errors().add(number, "record", "", expected);
            sink.pass_over(None);
            break;
        }
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        if text.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(text) {
            Ok(record) => sink.take(number, record),
            Err(error) => {
                let id = explain::<T>(text, &error, number, sink.errors());
                sink.pass_over(id.as_deref());
            }
        }
    }
    Ok(())
}

/// Writes one record as a line.
pub(crate) fn write_line(writer: &mut impl Write, record: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *writer, record)?;
    writer.write_all(b"\n")
}

/// Says which fields of a line are no fields of a `T`: serde alone names the column only. Answers the
/// id of the record, where that is there.
fn explain<T: DeserializeOwned>(
    text: &[u8],
    error: &serde_json::Error,
    number: u64,
    errors: &mut RecordErrors,
) -> Option<String> {
    let object = match serde_json::from_slice::<Map<String, Value>>(text) {
        Ok(object) => object,
        Err(error) => {
            // Syntax errors name what is wrong and the column, and repeat nothing of the line.
            let expected = if error.is_syntax() {
                let what = error
                    .to_string()
                    .replace(" at line 1 column ", " at column ");
                format!("one JSON object in UTF-8 ({what})")
            } else {
                "one JSON object in UTF-8".to_owned()
            };
            errors.add(number, "record", "", &expected);
            return None;
        }
    };
    let id = object.get("id").and_then(Value::as_str).map(str::to_owned);
    let mut explained = false;
    for (field, value) in object {
        let shown = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let alone = Map::from_iter([(field.clone(), value)]);
        if let Err(error) = serde_json::from_value::<T>(Value::Object(alone)) {
            errors.add(number, &field, &shown, expectation(&error));
            explained = true;
        }
    }
    if !explained {
        // What only the whole line shows is a field given twice; its name is no personal data.
        let text = error.to_string();
        let field = text.split('`').nth(1).unwrap_or("record");
        errors.add(number, field, "", "to be given once");
    }
    id
}

/// The part of serde's text that says what should have been there; the part before it repeats the
/// value.
fn expectation(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("unknown field") {
        let known = text.split_once("expected ").map_or("", |(_, known)| known);
        return format!("a known field, {}", known.replace('`', ""));
    }
    let expected = text.rsplit("expected ").next().unwrap_or_default();
    match expected {
        "f64" => "a number".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative".to_owned(),
        "i32" | "i64" => "a whole number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        other => other.to_owned(),
    }
}
