//! JSON Lines: one JSON object per line.

use super::{ReadError, RecordErrors, RecordSink};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fmt;
use std::io::{BufRead, Read, Write};

/// Longest line, in bytes.
const LONGEST_LINE: u64 = 16 << 20;
/// How serde begins to say that there is no such field.
const UNKNOWN_FIELD: &str = "unknown field";

/// Reads every line as a `T` and hands it on with its number. Empty lines are skipped; of a line that
/// is no `T`, what is wrong becomes errors, and the fields that are right are handed on.
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
            sink.pass_over();
            break;
        }
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        if text.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(text) {
            Ok(record) => sink.take(number, record),
            Err(error) => match read_what_is_right(text, &error, number, sink.errors()) {
                Some(record) => sink.take(number, record),
                None => sink.pass_over(),
            },
        }
    }
    Ok(())
}

/// Writes one record as a line.
pub(crate) fn write_line(writer: &mut impl Write, record: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *writer, record)?;
    writer.write_all(b"\n")
}

/// The fields of an object in the order of the line, also those that are given twice.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        from.deserialize_map(Fields)
    }
}

/// Reads a line that is no `T` field by field, says of each that is no field of a `T` what was
/// expected, and answers the record without these.
fn read_what_is_right<T: DeserializeOwned>(
    text: &[u8],
    error: &serde_json::Error,
    number: u64,
    errors: &mut RecordErrors,
) -> Option<T> {
    let Object(fields) = match serde_json::from_slice(text) {
        Ok(object) => object,
        Err(error) => {
            // Syntax errors name what is wrong and the column, and repeat nothing of the line.
            let expected = if error.is_syntax() || error.is_eof() {
                format!("one JSON object in UTF-8 ({})", syntax(&error))
            } else {
                format!("one JSON object in UTF-8{}", instead(&error))
            };
            errors.add(number, "record", "", &expected);
            return None;
        }
    };
    let mut right = Map::new();
    let mut seen = HashSet::new();
    let mut is_explained = false;
    for (field, value) in fields {
        let alone = Map::from_iter([(field.clone(), value.clone())]);
        let alone = serde_json::from_value::<T>(Value::Object(alone));
        let is_first = seen.insert(field.clone());
        if is_first && alone.is_ok() {
            right.insert(field, value);
            continue;
        }
        is_explained = true;
        right.remove(&field);
        match alone {
            _ if !is_first => errors.refuse(number, &field, "", "to be given once"),
            Err(error) => {
                let shown = shown(&field, &value, &error, errors);
                let mut expected = expectation(&error);
                if shown.is_empty() {
                    expected.push_str(&instead(&error));
                }
                errors.refuse(number, &field, &shown, expected);
            }
            Ok(_) => {}
        }
    }
    if !is_explained {
        // What only the whole line shows is a field given twice deeper in it.
        let text = error.to_string();
        let field = text.split('`').nth(1).unwrap_or("record");
        errors.add(number, field, "", "to be given once");
    }
    serde_json::from_value(Value::Object(right)).ok()
}

/// The value as far as it is no personal data; what stands in an unknown field may be any.
/// What is wrong, and where in the line: its number is that of the file.
fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(what) if error.line() == 1 => format!("{what} at column {}", error.column()),
        // After its last character.
        Some(what) => format!("{what} at its end"),
        None => text,
    }
}

fn shown(field: &str, value: &Value, error: &serde_json::Error, errors: &RecordErrors) -> String {
    let is_unknown = error.to_string().starts_with(UNKNOWN_FIELD);
    if !errors.repeats(field) || errors.is_personal() && is_unknown {
        return String::new();
    }
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// ", not a list": of which type the value was that serde's text repeats.
fn instead(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let Some(found) = text.strip_prefix("invalid type: ") else {
        return String::new();
    };
    let word = found.split(['`', '"', ',']).next().unwrap_or_default();
    let found = match word.trim() {
        "boolean" => "a boolean",
        "integer" => "a whole number",
        "floating point" => "a number",
        "string" => "a string",
        "null" | "unit value" => "null",
        "sequence" => "a list",
        "map" => "an object",
        _ => return String::new(),
    };
    format!(", not {found}")
}

/// The part of serde's text that says what should have been there; the part before it repeats the
/// value.
fn expectation(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with(UNKNOWN_FIELD) {
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
        "struct PositionFields" => "an object with latitude and longitude".to_owned(),
        "struct ContactFields" => "an object with kind and value".to_owned(),
        other => other.to_owned(),
    }
}
