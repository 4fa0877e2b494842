//! From the raw fields of an account, whatever format or connection they came by, to a subscriber.

use super::{ChannelKind, ContactKind, ContactPoint, QuietHours, Segment, Subscriber};
use crate::topology::record::{RecordErrors, RecordSink, check_id, check_text, one_of};
use crate::topology::{
    LONGEST_ID, PositionFields, Redundancy, parse_position, parse_redundancy, redundancy_name,
};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Longest account id, in bytes.
pub const LONGEST_ACCOUNT: usize = 64;
/// Most contact points of one account.
const MOST_CONTACT_POINTS: usize = 32;
/// Most elements that serve one account.
const MOST_SERVED_BY: usize = 16;
/// Longest contact value, address, name and serial number, in bytes.
const LONGEST_CONTACT: usize = 512;
const LONGEST_ADDRESS: usize = 512;
const LONGEST_NAME: usize = 256;
const LONGEST_SERIAL: usize = 128;

/// What `served_by` must hold.
pub const SERVING: &str = "the id of an element of the current network";

/// One account as it was written down: nothing is checked yet, an empty text is one not given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubscriberFields {
    pub account: String,
    pub name: String,
    pub language: String,
    pub time_zone: String,
    pub segment: String,
    /// Not given: no.
    pub vulnerable: Option<bool>,
    pub contact_points: Vec<ContactFields>,
    pub channels: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub quiet_hours: String,
    /// Must be given.
    pub consent: Option<bool>,
    pub address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<PositionFields>,
    pub served_by: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub redundancy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cpe_serial: String,
}

/// One contact point as it was written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContactFields {
    pub kind: String,
    pub value: String,
}

impl From<&Subscriber> for SubscriberFields {
    fn from(subscriber: &Subscriber) -> Self {
        let redundancy = if subscriber.served_by.len() > 1 {
            redundancy_name(subscriber.redundancy)
        } else {
            ""
        };
        Self {
            account: subscriber.account.clone(),
            name: subscriber.name.clone(),
            language: subscriber.language.clone(),
            time_zone: subscriber.time_zone.clone(),
            segment: subscriber.segment.as_str().to_owned(),
            vulnerable: Some(subscriber.vulnerable),
            contact_points: subscriber
                .contact_points
                .iter()
                .map(|point| ContactFields {
                    kind: point.kind.as_str().to_owned(),
                    value: point.value.clone(),
                })
                .collect(),
            channels: subscriber
                .channels
                .iter()
                .map(|channel| channel.as_str().to_owned())
                .collect(),
            quiet_hours: subscriber
                .quiet_hours
                .map(|quiet| quiet.to_string())
                .unwrap_or_default(),
            consent: Some(subscriber.consent),
            address: subscriber.address.clone(),
            position: subscriber.position.map(PositionFields::from),
            served_by: subscriber.served_by.clone(),
            redundancy: redundancy.to_owned(),
            cpe_serial: subscriber.cpe_serial.clone(),
        }
    }
}

/// Checks accounts one by one, then that none is there twice, and what takes the network to see.
#[derive(Debug)]
pub struct SubscriberParser {
    errors: RecordErrors,
    subscribers: Vec<Subscriber>,
    lines: Vec<u64>,
    /// Time zones found to exist: there are few, and looking one up is slow.
    zones: HashSet<String>,
    /// Lines whose serving elements were refused.
    unserved: HashSet<u64>,
    has_looked_for_twins: bool,
}

impl SubscriberParser {
    /// A parser for the records of a file or a stream, as `errors` names their place.
    pub fn new(errors: RecordErrors) -> Self {
        Self {
            errors,
            subscribers: Vec::new(),
            lines: Vec::new(),
            zones: HashSet::new(),
            unserved: HashSet::new(),
            has_looked_for_twins: false,
        }
    }

    /// Takes the next record. `line` is its line in the file or its number in the stream, from 1.
    pub fn push(&mut self, line: u64, fields: SubscriberFields) {
        let errors = &mut self.errors;
        check_id(errors, line, "account", &fields.account, LONGEST_ACCOUNT);
        check_text(errors, line, "name", &fields.name, LONGEST_NAME);
        check_text(errors, line, "address", &fields.address, LONGEST_ADDRESS);
        check_text(
            errors,
            line,
            "cpe_serial",
            &fields.cpe_serial,
            LONGEST_SERIAL,
        );
        check_language(errors, line, &fields.language);
        check_time_zone(errors, line, &fields.time_zone, &mut self.zones);
        let segment = parse_segment(errors, line, &fields.segment);
        let contact_points = parse_contact_points(errors, line, fields.contact_points);
        let channels = parse_channels(errors, line, &fields.channels);
        let quiet_hours = parse_quiet_hours(errors, line, &fields.quiet_hours);
        if fields.consent.is_none() {
            errors.add(line, "consent", "", "true or false");
        }
        let position = parse_position(errors, line, fields.position);
        let before = errors.errors().len();
        check_served_by(errors, line, &fields.served_by);
        if errors.errors().len() > before {
            self.unserved.insert(line);
        }
        let redundancy = parse_redundancy(errors, line, &fields.redundancy);
        if fields.served_by.len() > 1 && fields.redundancy.is_empty() {
            let expected = "any or all: the account is served by several elements";
            errors.add(line, "redundancy", "", expected);
        }
        self.lines.push(line);
        self.subscribers.push(Subscriber {
            account: fields.account,
            name: fields.name,
            language: fields.language,
            time_zone: fields.time_zone,
            segment,
            vulnerable: fields.vulnerable.unwrap_or(false),
            contact_points,
            channels,
            quiet_hours,
            consent: fields.consent.unwrap_or(false),
            address: fields.address,
            position,
            served_by: fields.served_by,
            redundancy: redundancy.unwrap_or(Redundancy::Any),
            cpe_serial: fields.cpe_serial,
        });
    }

    /// Whether every record is right, and no account is there twice.
    pub fn is_right(&mut self) -> bool {
        self.look_for_twins();
        self.errors.is_empty()
    }

    /// Checks that these elements are all that serve somebody: so that what is wrong comes in one go
    /// although it takes the network to see. Needed only when something else is wrong.
    pub fn check_served_by(&mut self, elements: &[String]) {
        let known: HashSet<&str> = elements.iter().map(String::as_str).collect();
        for (subscriber, &line) in self.subscribers.iter().zip(&self.lines) {
            let strangers = subscriber.served_by.iter();
            for id in strangers.filter(|id| !known.contains(id.as_str())) {
                if !self.unserved.contains(&line) {
                    self.errors.add(line, "served_by", id, SERVING);
                }
            }
        }
    }

    /// The subscribers in the order in which they came, if every record is right.
    pub fn finish(mut self) -> Result<Vec<Subscriber>, RecordErrors> {
        self.look_for_twins();
        self.errors.unless_any(self.subscribers)
    }

    fn look_for_twins(&mut self) {
        if std::mem::replace(&mut self.has_looked_for_twins, true) {
            return;
        }
        let mut first: HashMap<&str, u64> = HashMap::with_capacity(self.subscribers.len());
        for (subscriber, &line) in self.subscribers.iter().zip(&self.lines) {
            // An account that is missing has been told of.
            if subscriber.account.is_empty() {
                continue;
            }
            if let Some(earlier) = first.insert(&subscriber.account, line) {
                let expected = format!("unique: line {earlier} has it too");
                self.errors
                    .add(line, "account", &subscriber.account, expected);
            }
        }
    }
}

impl RecordSink<SubscriberFields> for SubscriberParser {
    fn errors(&mut self) -> &mut RecordErrors {
        &mut self.errors
    }

    fn take(&mut self, line: u64, fields: SubscriberFields) {
        self.push(line, fields);
    }
}

/// Accepts what has the form of a BCP 47 tag with a language of two or three letters.
fn check_language(errors: &mut RecordErrors, line: u64, tag: &str) {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    let plausible = (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && tag.len() <= 35
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        });
    if !plausible {
        errors.add(line, "language", tag, "a BCP 47 tag such as it or en-GB");
    }
}

fn check_time_zone(errors: &mut RecordErrors, line: u64, name: &str, known: &mut HashSet<String>) {
    if known.contains(name) {
        return;
    }
    if !name.is_empty() && jiff::tz::TimeZone::get(name).is_ok() {
        known.insert(name.to_owned());
    } else {
        let expected = "an IANA time zone such as Europe/Rome";
        errors.add(line, "time_zone", name, expected);
    }
}

/// The segment of that name; a wrong one is reported and stands for residential.
fn parse_segment(errors: &mut RecordErrors, line: u64, name: &str) -> Segment {
    Segment::parse(name).unwrap_or_else(|| {
        errors.add(line, "segment", name, one_of(&["residential", "business"]));
        Segment::Residential
    })
}

/// Contact points by kind, within a kind in the order given: so every format says the same.
fn parse_contact_points(
    errors: &mut RecordErrors,
    line: u64,
    fields: Vec<ContactFields>,
) -> Vec<ContactPoint> {
    if fields.len() > MOST_CONTACT_POINTS {
        let expected = format!("at most {MOST_CONTACT_POINTS} contact points");
        errors.add(line, "contact_points", "", expected);
    }
    let mut points = Vec::with_capacity(fields.len());
    for ContactFields { kind, value } in fields {
        let Some(kind) = ContactKind::parse(&kind) else {
            let names = ContactKind::ALL.map(ContactKind::as_str);
            let shown = if is_plain_word(&kind) { &kind } else { "" };
            errors.add(line, "contact_points.kind", shown, one_of(&names));
            continue;
        };
        if let Err(expected) = check_contact(kind, &value) {
            errors.add(line, kind.as_str(), "", expected);
        }
        points.push(ContactPoint { kind, value });
    }
    points.sort_by_key(|point| point.kind);
    points
}

/// Whether a text may be meant as the name of a kind: an address or a number, given by mistake where
/// the kind belongs, never is.
fn is_plain_word(text: &str) -> bool {
    text.len() <= 16 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

fn check_contact(kind: ContactKind, value: &str) -> Result<(), &'static str> {
    let tidy = value.len() <= LONGEST_CONTACT
        && value.trim() == value
        && !value.chars().any(char::is_control);
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let (plausible, expected) = match kind {
        ContactKind::Email => (
            is_email(value),
            "an e-mail address such as name@example.net",
        ),
        ContactKind::Phone => (
            (5..=15).contains(&digits)
                && value
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b"+ -./()".contains(&b)),
            "a phone number of 5 to 15 digits",
        ),
        ContactKind::Push => (
            !value.is_empty(),
            "a push endpoint or token of at most 512 bytes",
        ),
        ContactKind::Webhook => (
            value.starts_with("https://") || value.starts_with("http://"),
            "a URL with http:// or https:// of at most 512 bytes",
        ),
    };
    if tidy && plausible {
        Ok(())
    } else {
        Err(expected)
    }
}

/// Whether a mail server would take it as an address: dot-atom before the "@" (RFC 5322, 3.2.3),
/// a domain of at least two labels after it. Quoted local parts are valid, but nobody's.
fn is_email(value: &str) -> bool {
    let Some((local, domain)) = value.rsplit_once('@') else {
        return false;
    };
    let atom = |part: &str| {
        let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
        !part.is_empty() && part.chars().all(atext)
    };
    // Letters beyond ASCII are right in a domain: they are encoded on the way (IDNA).
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    value.len() <= 254
        && local.len() <= 64
        && local.split('.').all(atom)
        && domain.contains('.')
        && domain.split('.').all(label)
}

fn parse_channels(errors: &mut RecordErrors, line: u64, names: &[String]) -> Vec<ChannelKind> {
    let mut channels = Vec::with_capacity(names.len());
    for name in names {
        match ChannelKind::parse(name) {
            None => {
                let known = ChannelKind::ALL.map(ChannelKind::as_str);
                errors.add(line, "channels", name, one_of(&known));
            }
            Some(channel) if channels.contains(&channel) => {
                errors.add(line, "channels", name, "a channel that is given once");
            }
            Some(channel) => channels.push(channel),
        }
    }
    channels
}

fn parse_quiet_hours(errors: &mut RecordErrors, line: u64, text: &str) -> Option<QuietHours> {
    if text.is_empty() {
        return None;
    }
    let quiet = QuietHours::parse(text);
    if quiet.is_none() {
        let expected = "two different times of day such as 22:00-07:00";
        errors.add(line, "quiet_hours", text, expected);
    }
    quiet
}

fn check_served_by(errors: &mut RecordErrors, line: u64, ids: &[String]) {
    if ids.is_empty() || ids.len() > MOST_SERVED_BY {
        let expected = format!("1 to {MOST_SERVED_BY} ids of elements");
        errors.add(line, "served_by", "", expected);
    }
    for (index, id) in ids.iter().enumerate() {
        if check_id(errors, line, "served_by", id, LONGEST_ID) && ids[..index].contains(id) {
            errors.add(line, "served_by", id, "an element that is given once");
        }
    }
}
