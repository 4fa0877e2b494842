//! Subscribers from a file, in the format that its name tells.

use super::{Subscriber, csv, jsonl};
use crate::topology::ReadError;
use std::io::BufRead;

/// Reads accounts: `.jsonl` or `.ndjson`, or `.csv`. `file` is the name that tells the format and
/// that errors give.
pub fn read_subscribers(reader: impl BufRead, file: &str) -> Result<Vec<Subscriber>, ReadError> {
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
