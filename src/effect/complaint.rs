//! Complaints: contacts by customers about service, checked before they are kept.
//!
//! Invariant: a violation names an account or an id, never a contact, a position or the text.

use crate::clock::{BELIEVABLE, Millis, is_believable};
use crate::subscriber::{ContactKind, Numbering, contact_key};
use crate::topology::record::table::{Columns, Row, read_table};
use crate::topology::record::{RecordErrors, RecordSink};
use crate::topology::{Position, ReadError};
use std::io::Read;

/// Longest id of a complaint, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// Longest account or category, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest contact, in bytes (RFC 5321 allows an address no more).
pub const MAX_CONTACT_BYTES: usize = 254;
/// Longest text, in bytes.
pub const MAX_TEXT_BYTES: usize = 4_096;

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
    /// The contact in its likeliest lookup form; empty when not known.
    pub contact: String,
    /// The other forms under which it may be stored, likeliest first.
    pub contact_variants: Vec<String>,
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
    /// Checks every field and reports all violations at once. `numbering` says what a phone number
    /// without a country code means.
    pub fn check(self, now_ms: Millis, numbering: &Numbering) -> Result<Complaint, Vec<Violation>> {
        let mut wrong = Vec::new();
        if self.id.is_empty() || self.id.len() > MAX_ID_BYTES {
            wrong.push(Violation::new("id", &self.id, "a text of 1 to 128 bytes"));
        }
        if self.account.len() > MAX_NAME_BYTES {
            let expected = "an account of at most 64 bytes";
            wrong.push(Violation::new("account", &self.account, expected));
        }
        let (contact, contact_variants) = self.checked_contact(numbering, &mut wrong);
        if !self.position.is_none_or(is_on_earth) {
            let expected = "latitude from -90 to 90 and longitude from -180 to 180";
            wrong.push(Violation::new("position", "", expected));
        }
        if self.account.is_empty() && self.contact.trim().is_empty() && self.position.is_none() {
            let expected = "an account, a contact or a position";
            wrong.push(Violation::new("account", "", expected));
        }
        if !is_believable(self.at_ms, now_ms) {
            wrong.push(Violation::new("at_ms", &self.at_ms.to_string(), BELIEVABLE));
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
                contact_variants,
                position: self.position,
                at_ms: self.at_ms,
                channel,
                category: self.category,
                text: self.text,
            }),
            _ => Err(wrong),
        }
    }

    /// The contact in its likeliest lookup form, and the others: with an `@` an e-mail address, else
    /// a phone number.
    fn checked_contact(
        &self,
        numbering: &Numbering,
        wrong: &mut Vec<Violation>,
    ) -> (String, Vec<String>) {
        let contact = self.contact.trim();
        let is_phone = !contact.contains('@');
        let key = if is_phone {
            contact_key(ContactKind::Phone, contact)
        } else {
            contact_key(ContactKind::Email, contact)
        };
        let refused = contact.len() > MAX_CONTACT_BYTES || contact.contains('\0');
        if refused || (key.is_empty() && !contact.is_empty()) {
            let expected = "an e-mail address or a phone number of at most 254 bytes";
            wrong.push(Violation::new("contact", "", expected));
        }
        if key.is_empty() || !is_phone {
            return (key, Vec::new());
        }
        let mut keys = numbering.keys(contact).into_iter();
        (keys.next().unwrap_or(key), keys.collect())
    }
}

fn is_on_earth(position: Position) -> bool {
    (-90.0..=90.0).contains(&position.latitude) && (-180.0..=180.0).contains(&position.longitude)
}

/// Of the CSV file, in any order; those after the third may be missing where
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
const TABLE: Columns = Columns {
    known: &COLUMNS,
    required: &["id", "at_ms", "channel"],
};

/// Reads complaints from CSV (RFC 4180) with a header line, all or nothing. `file` is the name that
/// errors give; `numbering` is that of [`ComplaintDraft::check`].
pub fn read_csv(
    input: impl Read,
    file: &str,
    now_ms: Millis,
    numbering: &Numbering,
) -> Result<Vec<Complaint>, ReadError> {
    let mut parser = Parser {
        errors: RecordErrors::of_file(file),
        complaints: Vec::new(),
        now_ms,
        numbering,
    };
    let draft = |row: &Row<'_>, errors: &mut RecordErrors| draft(row, now_ms, errors);
    read_table(input, file, TABLE, &mut parser, draft)?;
    Ok(parser.errors.unless_any(parser.complaints)?)
}

struct Parser<'a> {
    errors: RecordErrors,
    complaints: Vec<Complaint>,
    now_ms: Millis,
    numbering: &'a Numbering,
}

impl RecordSink<ComplaintDraft> for Parser<'_> {
    fn errors(&mut self) -> &mut RecordErrors {
        &mut self.errors
    }

    fn take(&mut self, line: u64, draft: ComplaintDraft) {
        match draft.check(self.now_ms, self.numbering) {
            Ok(complaint) => self.complaints.push(complaint),
            Err(violations) => {
                for wrong in violations {
                    self.errors
                        .add(line, wrong.field, &wrong.value, wrong.expected);
                }
            }
        }
    }
}

/// What a row says; of what was refused here nobody need be told again.
fn draft(row: &Row<'_>, now_ms: Millis, errors: &mut RecordErrors) -> ComplaintDraft {
    let text = |column: usize| row.text(column).trim().to_owned();
    let at_ms = text(1).parse().unwrap_or_else(|_| {
        errors.add(row.line, "at_ms", &text(1), BELIEVABLE);
        now_ms
    });
    let position = match (text(5).is_empty(), text(6).is_empty()) {
        (true, true) => None,
        _ => Some(position(row, errors)),
    };
    ComplaintDraft {
        id: text(0),
        account: text(3),
        contact: text(4),
        position,
        at_ms,
        channel: text(2),
        category: text(7),
        text: text(8),
    }
}

/// Zeros where it is refused here.
fn position(row: &Row<'_>, errors: &mut RecordErrors) -> Position {
    let mut half = |column: usize, field: &str| {
        row.text(column).trim().parse().unwrap_or_else(|_| {
            let expected = "degrees, and latitude and longitude both or neither";
            errors.add(row.line, field, "", expected);
            0.0
        })
    };
    Position {
        latitude: half(5, "latitude"),
        longitude: half(6, "longitude"),
    }
}
