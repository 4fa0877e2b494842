//! Subscribers as CSV: a row per account, contact points in a column per kind; lists are separated
//! by `;`.

use super::fields::{ContactFields, SubscriberFields, SubscriberParser};
use super::{ContactKind, Subscriber};
use crate::topology::record::RecordSink;
use crate::topology::record::table::{Columns, Row, join_list, plain_error, read_table};
use crate::topology::{PositionFields, ReadError, RecordErrors};
use std::io::{Read, Write};

const COLUMNS: Columns = Columns {
    known: &[
        "account",
        "name",
        "language",
        "time_zone",
        "segment",
        "vulnerable",
        "email",
        "phone",
        "push",
        "webhook",
        "channels",
        "quiet_hours",
        "consent",
        "address",
        "latitude",
        "longitude",
        "served_by",
        "redundancy",
        "cpe_serial",
    ],
    required: &[
        "account",
        "language",
        "time_zone",
        "segment",
        "consent",
        "served_by",
    ],
};

/// The column of each kind of contact point.
const CONTACT_COLUMNS: [(ContactKind, usize); 4] = [
    (ContactKind::Email, 6),
    (ContactKind::Phone, 7),
    (ContactKind::Push, 8),
    (ContactKind::Webhook, 9),
];

/// Reads accounts. `file` is the name that errors give.
pub(super) fn read_csv(reader: impl Read, file: &str) -> Result<SubscriberParser, ReadError> {
    let mut parser = SubscriberParser::new(RecordErrors::of_file(file));
    read_into(reader, file, &mut parser)?;
    Ok(parser)
}

/// Hands on each row.
pub(super) fn read_into(
    reader: impl Read,
    file: &str,
    sink: &mut impl RecordSink<SubscriberFields>,
) -> Result<(), ReadError> {
    read_table(reader, file, COLUMNS, sink, fields)
}

fn fields(row: &Row<'_>, errors: &mut RecordErrors) -> SubscriberFields {
    let position = PositionFields {
        latitude: row.number(14, errors),
        longitude: row.number(15, errors),
    };
    let mut contact_points = Vec::new();
    for (kind, column) in CONTACT_COLUMNS {
        contact_points.extend(row.list(column).into_iter().map(|value| ContactFields {
            kind: kind.as_str().to_owned(),
            value,
        }));
    }
    SubscriberFields {
        account: row.text(0).to_owned(),
        name: row.text(1).to_owned(),
        language: row.text(2).to_owned(),
        time_zone: row.text(3).to_owned(),
        segment: row.text(4).to_owned(),
        vulnerable: row.flag(5, errors),
        contact_points,
        channels: row.list(10),
        quiet_hours: row.text(11).to_owned(),
        consent: row.flag(12, errors),
        address: row.text(13).to_owned(),
        position: (position != PositionFields::default()).then_some(position),
        served_by: row.list(16),
        redundancy: row.text(17).to_owned(),
        cpe_serial: row.text(18).to_owned(),
    }
}

/// Writes accounts in their order. Fails on a contact value or an element id that holds `;`.
pub fn write_csv(subscribers: &[Subscriber], writer: impl Write) -> std::io::Result<()> {
    let mut table = csv::Writer::from_writer(writer);
    table.write_record(COLUMNS.known).map_err(plain_error)?;
    for subscriber in subscribers {
        write_row(&mut table, subscriber)?;
    }
    table.flush()
}

fn write_row(table: &mut csv::Writer<impl Write>, subscriber: &Subscriber) -> std::io::Result<()> {
    let fields = SubscriberFields::from(subscriber);
    let contacts = |kind: ContactKind| {
        let of_kind = subscriber.contact_points.iter();
        join_list(
            of_kind
                .filter(|point| point.kind == kind)
                .map(|point| point.value.as_str()),
        )
    };
    let position = fields.position.unwrap_or_default();
    let degrees = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let flag = |value| if value { "true" } else { "false" };
    let cells = [
        fields.account.as_str(),
        &fields.name,
        &fields.language,
        &fields.time_zone,
        &fields.segment,
        flag(subscriber.vulnerable),
        &contacts(ContactKind::Email)?,
        &contacts(ContactKind::Phone)?,
        &contacts(ContactKind::Push)?,
        &contacts(ContactKind::Webhook)?,
        &join_list(fields.channels.iter().map(String::as_str))?,
        &fields.quiet_hours,
        flag(subscriber.consent),
        &fields.address,
        &degrees(position.latitude),
        &degrees(position.longitude),
        &join_list(fields.served_by.iter().map(String::as_str))?,
        &fields.redundancy,
        &fields.cpe_serial,
    ];
    table.write_record(cells).map_err(plain_error)
}
