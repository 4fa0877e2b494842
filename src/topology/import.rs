//! Topology from a file, in the format that its name tells.

use super::record::ReadError;
use super::record::lines::read_lines;
use super::record::locate::{LineFinder, record_key};
use super::{GatewayRule, NetworkDefinition, NetworkError, TopologyFields, csv, graphml, jsonl};
use std::io::{BufRead, Read};

/// Largest map, in bytes: maps are read as a whole.
const LARGEST_MAP: u64 = 64 << 20;

/// Reads a network: `.jsonl` or `.ndjson`, `.csv`, or `.graphml`, for which `gateways` says where
/// service comes from. `file` is the name that tells the format and that errors give.
pub fn read_topology(
    mut reader: impl BufRead,
    file: &str,
    gateways: Option<&GatewayRule>,
) -> Result<NetworkDefinition, ReadError> {
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" | "csv" if gateways.is_some() => Err(ReadError::Gateways {
            file: file.to_owned(),
            problem: "only a map (.graphml) needs to be told its gateways: here each element says \
                      itself whether it is one, by the field gateway"
                .to_owned(),
        }),
        "jsonl" | "ndjson" => jsonl::read_jsonl(reader, file),
        "csv" => csv::read_csv(reader, file),
        "graphml" => {
            let mut text = String::new();
            reader
                .by_ref()
                .take(LARGEST_MAP)
                .read_to_string(&mut text)
                .map_err(|source| ReadError::Io {
                    file: file.to_owned(),
                    source,
                })?;
            graphml::read_graphml(&text, file, gateways)
        }
        _ => Err(ReadError::UnknownFormat {
            file: file.to_owned(),
            expected: ".jsonl, .ndjson, .csv or .graphml",
        }),
    }
}

/// The errors of a network that was read from a file, as texts that begin with name and line of the
/// file where it has lines (not in GraphML).
pub fn locate_errors(
    reader: impl BufRead,
    file: &str,
    errors: &[NetworkError],
) -> Result<Vec<String>, ReadError> {
    let mut finder = LineFinder::new(file, errors, |fields: &TopologyFields| {
        record_key(&fields.record_type, &fields.id)
    });
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => read_lines(reader, file, &mut finder)?,
        "csv" => csv::read_into(reader, file, &mut finder)?,
        _ => {}
    }
    Ok(finder.texts(file, errors))
}
