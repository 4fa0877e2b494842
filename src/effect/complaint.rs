//! Complaints: contacts by customers about service, checked before they are kept.
//!
//! Invariant: a violation names an account or an id, never a contact, a position or the text.

use crate::clock::Millis;
use crate::subscriber::{ContactKind, contact_key};
use crate::topology::Position;
use std::io::Read;

/// Longest id of a complaint, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// Longest account or category, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest contact, in bytes (RFC 5321 allows an address no more).
pub const MAX_CONTACT_BYTES: usize = 254;
/// Longest text, in bytes.
pub const MAX_TEXT_BYTES: usize = 4_096;
/// Errors of one file that are reported; reading stops there.
pub const MAX_ERRORS: usize = 100;

/// How the customer made contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ComplaintChannel {
    Call,
    Ticket,
    Chat,
    Mail,
    Social,
}

impl ComplaintChannel {
    /// Every channel.
    pub const ALL: [Self; 5] = [
        Self::Call,
        Self::Ticket,
        Self::Chat,
        Self::Mail,
        Self::Social,
    ];

    /// Name in import formats, the interface and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Ticket => "ticket",
            Self::Chat => "chat",
            Self::Mail => "mail",
            Self::Social => "social",
        }
    }

    /// The channel of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == name)
    }
}

/// A complaint that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    /// Ticket or call number of the source, unique.
    pub id: String,
    /// Empty when not known.
    pub account: String,
    /// The contact in its lookup form; empty when not known.
    pub contact: String,
    pub position: Option<Position>,
    /// When the customer made contact.
    pub at_ms: Millis,
    pub channel: ComplaintChannel,
    pub category: String,
    pub text: String,
}

/// A complaint as it arrives, nothing checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComplaintDraft {
    pub id: String,
    pub account: String,
    pub contact: String,
    pub position: Option<Position>,
    pub at_ms: Millis,
    pub channel: String,
    pub category: String,
    pub text: String,
}

/// A field that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub field: &'static str,
    /// Shortened to 80 characters; empty for personal data.
    pub value: String,
    pub expected: &'static str,
}

impl Violation {
    fn new(field: &'static str, value: &str, expected: &'static str) -> Self {
        Self {
            field,
            value: value.chars().take(80).collect(),
            expected,
        }
    }
}

impl ComplaintDraft {
    /// Checks every field and reports all violations at once.
    pub fn check(self) -> Result<Complaint, Vec<Violation>> {
        let mut wrong = Vec::new();
        if self.id.is_empty() || self.id.len() > MAX_ID_BYTES {
            wrong.push(Violation::new("id", &self.id, "a text of 1 to 128 bytes"));
        }
        if self.account.len() > MAX_NAME_BYTES {
            let expected = "an account of at most 64 bytes";
            wrong.push(Violation::new("account", &self.account, expected));
        }
        let contact = self.checked_contact(&mut wrong);
        if !self.position.is_none_or(is_on_earth) {
            let expected = "latitude from -90 to 90 and longitude from -180 to 180";
            wrong.push(Violation::new("position", "", expected));
        }
        if self.account.is_empty() && self.contact.trim().is_empty() && self.position.is_none() {
            let expected = "an account, a contact or a position";
            wrong.push(Violation::new("account", "", expected));
        }
        if self.at_ms <= 0 {
            let expected = "milliseconds since 1970, greater than 0";
            wrong.push(Violation::new("at_ms", &self.at_ms.to_string(), expected));
        }
        if self.category.len() > MAX_NAME_BYTES {
            let expected = "a text of at most 64 bytes";
            wrong.push(Violation::new("category", &self.category, expected));
        }
        if self.text.len() > MAX_TEXT_BYTES {
            wrong.push(Violation::new("text", "", "a text of at most 4,096 bytes"));
        }
        // PostgreSQL text cannot hold the character, and no source means it.
        let texts = [&self.id, &self.account, &self.category, &self.text];
        if texts.into_iter().any(|text| text.contains('\0')) {
            wrong.push(Violation::new("text", "", "no zero characters in any text"));
        }
        let channel = ComplaintChannel::parse(&self.channel);
        if channel.is_none() {
            let expected = "one of call, ticket, chat, mail, social";
            wrong.push(Violation::new("channel", &self.channel, expected));
        }
        match channel {
            Some(channel) if wrong.is_empty() => Ok(Complaint {
                id: self.id,
                account: self.account,
                contact,
                position: self.position,
                at_ms: self.at_ms,
                channel,
                category: self.category,
                text: self.text,
            }),
            _ => Err(wrong),
        }
    }

    /// The contact in its lookup form: with an `@` an e-mail address, else a phone number.
    fn checked_contact(&self, wrong: &mut Vec<Violation>) -> String {
        let contact = self.contact.trim();
        let kind = if contact.contains('@') {
            ContactKind::Email
        } else {
            ContactKind::Phone
        };
        let key = contact_key(kind, contact);
        let refused = contact.len() > MAX_CONTACT_BYTES || contact.contains('\0');
        if refused || (key.is_empty() && !contact.is_empty()) {
            let expected = "an e-mail address or a phone number of at most 254 bytes";
            wrong.push(Violation::new("contact", "", expected));
        }
        key
    }
}

fn is_on_earth(position: Position) -> bool {
    (-90.0..=90.0).contains(&position.latitude) && (-180.0..=180.0).contains(&position.longitude)
}

/// One thing wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: field `{}`: {}expected {}", violation.field, got(&violation.value), violation.expected)]
pub struct LineError {
    /// From 1, the header included.
    pub line: u64,
    pub violation: Violation,
}

fn got(value: &str) -> String {
    if value.is_empty() {
        String::new()
    } else {
        format!("got `{value}`, ")
    }
}

/// Columns of the CSV file, in any order; those after the third may be missing where
/// [`ComplaintDraft::check`] allows the field to be empty.
pub const COLUMNS: [&str; 9] = [
    "id",
    "at_ms",
    "channel",
    "account",
    "contact",
    "latitude",
    "longitude",
    "category",
    "text",
];

/// Reads complaints from CSV (RFC 4180) with a header line. All or nothing: up to
/// [`MAX_ERRORS`] errors are reported at once.
pub fn read_csv(input: impl Read) -> Result<Vec<Complaint>, Vec<LineError>> {
    let mut reader = csv::Reader::from_reader(input);
    let columns = read_header(&mut reader).map_err(|error| vec![error])?;
    let mut complaints = Vec::new();
    let mut errors = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                match read_record(&columns, &record) {
                    Ok(complaint) => complaints.push(complaint),
                    Err(violations) => errors.extend(
                        violations
                            .into_iter()
                            .map(|violation| LineError { line, violation }),
                    ),
                }
            }
            Err(error) => errors.push(unreadable(&error)),
        }
        if errors.len() >= MAX_ERRORS {
            break;
        }
    }
    errors.truncate(MAX_ERRORS);
    if errors.is_empty() {
        Ok(complaints)
    } else {
        Err(errors)
    }
}

/// Where each of [`COLUMNS`] stands in the file.
type Columns = [Option<usize>; COLUMNS.len()];

fn read_header(reader: &mut csv::Reader<impl Read>) -> Result<Columns, LineError> {
    let header = reader.headers().map_err(|error| unreadable(&error))?;
    let wrong = |field, value: &str, expected| LineError {
        line: 1,
        violation: Violation::new(field, value, expected),
    };
    let mut columns = Columns::default();
    for (index, name) in header.iter().enumerate() {
        let name = name.trim().trim_start_matches('\u{feff}');
        let Some(column) = COLUMNS.iter().position(|column| *column == name) else {
            let expected = "only the columns id, at_ms, channel, account, contact, latitude, \
                            longitude, category, text";
            return Err(wrong("header", name, expected));
        };
        if columns[column].replace(index).is_some() {
            return Err(wrong("header", name, "each column once"));
        }
    }
    if columns[..3].contains(&None) {
        let expected = "at least the columns id, at_ms, channel";
        return Err(wrong("header", "", expected));
    }
    Ok(columns)
}

fn read_record(columns: &Columns, record: &csv::StringRecord) -> Result<Complaint, Vec<Violation>> {
    let field = |column: usize| {
        columns[column]
            .and_then(|index| record.get(index))
            .unwrap_or("")
            .trim()
    };
    let at_ms = field(1).parse().map_err(|_| {
        let expected = "milliseconds since 1970, a whole number";
        vec![Violation::new("at_ms", field(1), expected)]
    })?;
    let position = match (field(5), field(6)) {
        ("", "") => None,
        (latitude, longitude) => Some(Position {
            latitude: degrees("latitude", latitude)?,
            longitude: degrees("longitude", longitude)?,
        }),
    };
    ComplaintDraft {
        id: field(0).to_owned(),
        account: field(3).to_owned(),
        contact: field(4).to_owned(),
        position,
        at_ms,
        channel: field(2).to_owned(),
        category: field(7).to_owned(),
        text: field(8).to_owned(),
    }
    .check()
}

fn degrees(field: &'static str, text: &str) -> Result<f64, Vec<Violation>> {
    text.parse().map_err(|_| {
        let expected = "degrees, and latitude and longitude both or neither";
        vec![Violation::new(field, "", expected)]
    })
}

fn unreadable(error: &csv::Error) -> LineError {
    let (line, expected) = match error.kind() {
        csv::ErrorKind::Utf8 { pos, .. } => (pos.as_ref(), "UTF-8"),
        csv::ErrorKind::UnequalLengths { pos, .. } => {
            (pos.as_ref(), "as many fields as the header has")
        }
        _ => (None, "a readable CSV file"),
    };
    LineError {
        line: line.map_or(0, csv::Position::line),
        violation: Violation::new("record", "", expected),
    }
}
