//! What is wrong with the records of an import, said so that a person can find and mend it.
//!
//! Every import, whatever its format, collects its errors here, so that the same mistake gets the
//! same words from a file and over the network. Personal values never enter an error.

pub(crate) mod lines;
pub(crate) mod locate;
pub(crate) mod table;

use std::collections::BTreeSet;
use std::fmt;

/// How many errors an import reports one by one; the rest is only counted.
pub const REPORTED_ERRORS: usize = 100;

/// Longest value that an error repeats, in characters.
const SHOWN_CHARS: usize = 60;

/// Fields whose values are personal data in the record of a person, and are never repeated there.
const PERSONAL_FIELDS: [&str; 10] = [
    "name",
    "address",
    "email",
    "phone",
    "push",
    "webhook",
    "contact_points",
    "position",
    "latitude",
    "longitude",
];

/// One thing wrong with one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Name of the file; `None` for records that came over the network.
    pub file: Option<String>,
    /// Line of the file, or number of the record in the stream, from 1; 0 for all of it.
    pub line: u64,
    /// Name of the field; "record" when it is about the whole record.
    pub field: String,
    /// What stood there; `None` where nothing did, or where it is personal.
    pub value: Option<String>,
    /// What should have stood there.
    pub expected: String,
}

impl RecordError {
    /// Value and expectation without the place, for an interface that names the place itself.
    pub fn description(&self) -> String {
        match &self.value {
            Some(value) => format!("\"{value}\" is not {}", self.expected),
            None => format!("expected {}", self.expected),
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), 0) => write!(f, "{file}: ")?,
            (Some(file), line) => write!(f, "{file}:{line}: ")?,
            (None, 0) => {}
            (None, line) => write!(f, "record {line}: ")?,
        }
        write!(f, "{}: {}", self.field, self.description())
    }
}

/// What is wrong with an import: up to [`REPORTED_ERRORS`] errors and the number of further ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordErrors {
    file: Option<String>,
    errors: Vec<RecordError>,
    further: u64,
    /// Whether the records are of people.
    personal: bool,
    /// Line of a record, and its fields that could not be read.
    unread: (u64, BTreeSet<String>),
}

impl RecordErrors {
    /// Collects for the file of that name.
    pub fn of_file(name: &str) -> Self {
        Self {
            file: Some(name.to_owned()),
            errors: Vec::new(),
            further: 0,
            personal: true,
            unread: (0, BTreeSet::new()),
        }
    }

    /// Collects for records that come over the network.
    pub fn of_stream() -> Self {
        Self {
            file: None,
            errors: Vec::new(),
            further: 0,
            personal: true,
            unread: (0, BTreeSet::new()),
        }
    }

    /// Says that the records are of no people: any value may be repeated.
    pub(crate) fn impersonal(self) -> Self {
        Self {
            personal: false,
            ..self
        }
    }

    /// Whether the records are of people.
    pub(crate) fn is_personal(&self) -> bool {
        self.personal
    }

    /// Whether an error repeats what stood in that field.
    pub(crate) fn repeats(&self, field: &str) -> bool {
        !self.personal || !PERSONAL_FIELDS.contains(&field)
    }

    /// The first errors, in the order in which they were found.
    pub fn errors(&self) -> &[RecordError] {
        &self.errors
    }

    /// Where the errors stand that were found after so many.
    pub(crate) fn since(&self, count: usize) -> &[RecordError] {
        self.errors.get(count..).unwrap_or_default()
    }

    /// Whether so many were found that further ones are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= REPORTED_ERRORS
    }

    /// How many more there are.
    pub fn further(&self) -> u64 {
        self.further
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Notes that `value` of `field` is not `expected`. An empty value is not repeated, nor one of a
    /// personal field.
    pub(crate) fn add(&mut self, line: u64, field: &str, value: &str, expected: impl Into<String>) {
        if self.is_unread(line, field) {
            return;
        }
        if self.errors.len() >= REPORTED_ERRORS {
            self.further += 1;
            return;
        }
        let shown = !value.is_empty() && self.repeats(field);
        self.errors.push(RecordError {
            file: self.file.clone(),
            line,
            field: field.to_owned(),
            value: shown.then(|| shorten(value)),
            expected: expected.into(),
        });
    }

    /// Notes that a field could not be read. What is found wrong with it afterwards, such as that it is
    /// missing, only follows from that and is not noted.
    pub(crate) fn refuse(
        &mut self,
        line: u64,
        field: &str,
        value: &str,
        expected: impl Into<String>,
    ) {
        self.add(line, field, value, expected);
        if self.unread.0 != line {
            self.unread = (line, BTreeSet::new());
        }
        self.unread.1.insert(field.to_owned());
    }

    /// Whether that field of that record, the latest, could not be read.
    pub(crate) fn is_unread(&self, line: u64, field: &str) -> bool {
        self.unread.0 == line && self.unread.1.contains(field)
    }

    /// `value` if nothing is wrong.
    pub(crate) fn unless_any<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for RecordErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        if self.further > 0 {
            let errors = if self.further == 1 { "error" } else { "errors" };
            write!(f, "\nand {} more {errors}", self.further)?;
        }
        Ok(())
    }
}

impl std::error::Error for RecordErrors {}

/// Takes the records of an import as they are read.
pub(crate) trait RecordSink<T> {
    /// Where errors go.
    fn errors(&mut self) -> &mut RecordErrors;
    /// Takes the next record; fields that could not be read are missing in it.
    fn take(&mut self, line: u64, record: T);
    /// Is told that a record could not be read at all, after its errors.
    fn pass_over(&mut self) {}
}

/// Why a file could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read at all.
    #[error("reading {file}: {source}")]
    Io {
        file: String,
        source: std::io::Error,
    },
    /// Records of it are wrong.
    #[error(transparent)]
    Records(#[from] RecordErrors),
    /// The name of the file does not say its format.
    #[error("{file}: expected a name that ends in {expected}")]
    UnknownFormat {
        file: String,
        expected: &'static str,
    },
    /// The gateways of a map cannot be told.
    #[error("{file}: {problem}")]
    Gateways { file: String, problem: String },
}

/// Checks an id or a reference to one: 1 to `longest` bytes without control characters or
/// surrounding white space. Says whether it is right.
pub(crate) fn check_id(
    errors: &mut RecordErrors,
    line: u64,
    field: &str,
    id: &str,
    longest: usize,
) -> bool {
    let right = !id.is_empty()
        && id.len() <= longest
        && id.trim().len() == id.len()
        && !id.chars().any(char::is_control);
    if !right {
        errors.add(
            line,
            field,
            id,
            format!("an id of 1 to {longest} bytes without control characters or outer spaces"),
        );
    }
    right
}

/// Checks free text: up to `longest` bytes without control characters.
pub(crate) fn check_text(
    errors: &mut RecordErrors,
    line: u64,
    field: &str,
    text: &str,
    longest: usize,
) {
    if text.len() > longest || text.chars().any(char::is_control) {
        errors.add(
            line,
            field,
            text,
            format!("text of at most {longest} bytes without control characters"),
        );
    }
}

/// "one of a, b, c".
pub(crate) fn one_of(names: &[&str]) -> String {
    format!("one of {}", names.join(", "))
}

fn shorten(value: &str) -> String {
    let clean: String = value
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(SHOWN_CHARS + 1)
        .collect();
    match clean.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &clean[..end]),
        None => clean,
    }
}
