//! Subscribers from a file, in the format that its name tells.

use super::{Subscriber, SubscriberFields, SubscriberParser, csv, jsonl};
use crate::topology::record::lines::read_lines;
use crate::topology::record::locate::{LineFinder, record_key};
use crate::topology::{NetworkError, ReadError};
use std::io::BufRead;

/// Reads accounts: `.jsonl` or `.ndjson`, or `.csv`. `file` is the name that tells the format and
/// that errors give.
pub fn read_subscribers(reader: impl BufRead, file: &str) -> Result<Vec<Subscriber>, ReadError> {
    Ok(parse_subscribers(reader, file)?.finish()?)
}

/// Reads them, right or wrong: what is wrong may not be all yet.
pub fn parse_subscribers(reader: impl BufRead, file: &str) -> Result<SubscriberParser, ReadError> {
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => jsonl::read_jsonl(reader, file),
        "csv" => csv::read_csv(reader, file),
        _ => Err(ReadError::UnknownFormat {
            file: file.to_owned(),
            expected: ".jsonl, .ndjson or .csv",
        }),
    }
}

/// The errors of subscribers that were read from a file, as texts that begin with name and line of
/// the file.
pub fn locate_errors(
    reader: impl BufRead,
    file: &str,
    errors: &[NetworkError],
) -> Result<Vec<String>, ReadError> {
    let mut finder = LineFinder::new(file, errors, |fields: &SubscriberFields| {
        record_key("subscriber", &fields.account)
    });
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => read_lines(reader, file, &mut finder)?,
        _ => csv::read_into(reader, file, &mut finder)?,
    }
    Ok(finder.texts(file, errors))
}
