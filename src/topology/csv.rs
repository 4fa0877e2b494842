//! Topology as one CSV file: a row per record, told apart by `type`; cells that mean nothing for a
//! type stay empty, lists are separated by `;`.

use super::NetworkDefinition;
use super::fields::{PositionFields, TopologyFields, TopologyParser};
use super::jsonl::for_each_record;
use super::record::table::{Columns, Row, join_list, plain_error, read_table};
use super::record::{ReadError, RecordErrors, RecordSink};
use std::io::{Read, Write};

const COLUMNS: Columns = Columns {
    known: &[
        "type",
        "id",
        "kind",
        "name",
        "site",
        "latitude",
        "longitude",
        "gateway",
        "transit",
        "redundancy",
        "a",
        "b",
        "members",
        "battery_minutes",
    ],
    required: &["type", "id"],
};

/// Reads a network. `file` is the name that errors give.
pub(super) fn read_csv(reader: impl Read, file: &str) -> Result<NetworkDefinition, ReadError> {
    let mut parser = TopologyParser::new(RecordErrors::of_file(file));
    read_into(reader, file, &mut parser)?;
    Ok(parser.finish()?)
}

/// Hands on each row.
pub(super) fn read_into(
    reader: impl Read,
    file: &str,
    sink: &mut impl RecordSink<TopologyFields>,
) -> Result<(), ReadError> {
    read_table(reader, file, COLUMNS, sink, fields)
}

fn fields(row: &Row<'_>, errors: &mut RecordErrors) -> TopologyFields {
    let position = PositionFields {
        latitude: row.number(5, errors),
        longitude: row.number(6, errors),
    };
    TopologyFields {
        record_type: row.text(0).to_owned(),
        id: row.text(1).to_owned(),
        kind: row.text(2).to_owned(),
        name: row.text(3).to_owned(),
        site: row.text(4).to_owned(),
        position: (position != PositionFields::default()).then_some(position),
        gateway: row.flag(7, errors),
        transit: row.flag(8, errors),
        redundancy: row.text(9).to_owned(),
        a: row.text(10).to_owned(),
        b: row.text(11).to_owned(),
        members: row.list(12),
        battery_minutes: row.whole(13, errors),
    }
}

/// Writes a network: sites, elements, links, groups, each in their order. Fails on the id of a
/// group member that holds `;`.
pub fn write_csv(network: &NetworkDefinition, writer: impl Write) -> std::io::Result<()> {
    let mut table = csv::Writer::from_writer(writer);
    table.write_record(COLUMNS.known).map_err(plain_error)?;
    for_each_record(network, |fields| {
        let position = fields.position.unwrap_or_default();
        let latitude = position.latitude.map(|value| value.to_string());
        let longitude = position.longitude.map(|value| value.to_string());
        let battery_minutes = fields.battery_minutes.map(|value| value.to_string());
        let members = join_list(fields.members.iter().map(String::as_str))?;
        let cells = [
            fields.record_type.as_str(),
            &fields.id,
            &fields.kind,
            &fields.name,
            &fields.site,
            &latitude.unwrap_or_default(),
            &longitude.unwrap_or_default(),
            flag(fields.gateway),
            flag(fields.transit),
            &fields.redundancy,
            &fields.a,
            &fields.b,
            &members,
            &battery_minutes.unwrap_or_default(),
        ];
        table.write_record(cells).map_err(plain_error)
    })?;
    table.flush()
}

fn flag(value: Option<bool>) -> &'static str {
    match value {
        None => "",
        Some(true) => "true",
        Some(false) => "false",
    }
}
