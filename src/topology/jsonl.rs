//! Topology as JSON Lines: a record per line, told apart by `type`, named as in the interface.

use super::NetworkDefinition;
use super::fields::{TopologyFields, TopologyParser};
use super::record::lines::{read_lines, write_line};
use super::record::{ReadError, RecordErrors};
use std::io::{BufRead, Write};

/// Reads a network. `file` is the name that errors give.
pub(super) fn read_jsonl(reader: impl BufRead, file: &str) -> Result<NetworkDefinition, ReadError> {
    let mut parser = TopologyParser::new(RecordErrors::of_file(file));
    read_lines(reader, file, &mut parser)?;
    Ok(parser.finish()?)
}

/// Writes a network: sites, elements, links, groups, each in their order.
pub fn write_jsonl(network: &NetworkDefinition, writer: &mut impl Write) -> std::io::Result<()> {
    for_each_record(network, |fields| write_line(writer, &fields))
}

/// Hands on every record of a network as raw fields: sites, elements, links, groups.
pub(super) fn for_each_record(
    network: &NetworkDefinition,
    mut take: impl FnMut(TopologyFields) -> std::io::Result<()>,
) -> std::io::Result<()> {
    for site in &network.sites {
        take(site.into())?;
    }
    for element in &network.elements {
        take(element.into())?;
    }
    for link in &network.links {
        take(link.into())?;
    }
    for group in &network.groups {
        take(group.into())?;
    }
    Ok(())
}
