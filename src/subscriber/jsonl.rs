//! Subscribers as JSON Lines: an account per line, named as in the interface.

use super::Subscriber;
use super::fields::{SubscriberFields, SubscriberParser};
use crate::topology::record::lines::{read_lines, write_line};
use crate::topology::{ReadError, RecordErrors};
use std::io::{BufRead, Write};

/// Reads accounts. `file` is the name that errors give.
pub(super) fn read_jsonl(reader: impl BufRead, file: &str) -> Result<SubscriberParser, ReadError> {
    let mut parser = SubscriberParser::new(RecordErrors::of_file(file));
    read_lines(reader, file, &mut parser)?;
    Ok(parser)
}

/// Writes accounts in their order.
pub fn write_jsonl(subscribers: &[Subscriber], writer: &mut impl Write) -> std::io::Result<()> {
    for subscriber in subscribers {
        write_line(writer, &SubscriberFields::from(subscriber))?;
    }
    Ok(())
}
