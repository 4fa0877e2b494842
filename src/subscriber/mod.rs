//! Subscribers: accounts with services, contact points and preferences.

use crate::topology::{Position, Redundancy};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// An account with services.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscriber {
    /// 1 to 64 bytes, unique.
    pub account: String,
    pub name: String,
    /// BCP 47, for instance "it", "en-GB".
    pub language: String,
    /// IANA name, for instance "Europe/Rome".
    pub time_zone: String,
    pub segment: Segment,
    /// Depends on the service more than others.
    pub vulnerable: bool,
    pub contact_points: Vec<ContactPoint>,
    /// In order of preference.
    pub channels: Vec<ChannelKind>,
    pub quiet_hours: Option<QuietHours>,
    /// Agreed to be told of faults.
    pub consent: bool,
    pub address: String,
    /// Of the premises.
    pub position: Option<Position>,
    /// Ids of the elements that serve the account.
    pub served_by: Vec<String>,
    /// Meaningful when several elements serve the account.
    pub redundancy: Redundancy,
    pub cpe_serial: String,
}

/// Market segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    Residential,
    Business,
}

impl Segment {
    /// Name in import formats, the interface and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Residential => "residential",
            Self::Business => "business",
        }
    }

    /// The segment of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Residential, Self::Business]
            .into_iter()
            .find(|segment| segment.as_str() == name)
    }
}

/// Where a person can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactPoint {
    pub kind: ContactKind,
    pub value: String,
}

/// Kind of a contact point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactKind {
    Email,
    Phone,
    Push,
    Webhook,
}

impl ContactKind {
    /// Every kind, in declaration order.
    pub const ALL: [Self; 4] = [Self::Email, Self::Phone, Self::Push, Self::Webhook];

    /// Name in import formats, the interface and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Push => "push",
            Self::Webhook => "webhook",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A way to tell somebody something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    Email,
    Sms,
    Push,
    Voice,
    Webhook,
}

impl ChannelKind {
    /// Every kind, in declaration order.
    pub const ALL: [Self; 5] = [
        Self::Email,
        Self::Sms,
        Self::Push,
        Self::Voice,
        Self::Webhook,
    ];

    /// Name in import formats, the interface and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
            Self::Voice => "voice",
            Self::Webhook => "webhook",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Daily time in which a person does not want to be disturbed, in the person's own time zone.
///
/// Minutes after midnight, 0 to 1439; `from > to` runs over midnight; `from == to` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuietHours {
    pub from_minute: u16,
    pub to_minute: u16,
}

impl QuietHours {
    /// Reads "22:00-07:00".
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let quiet = Self {
            from_minute: minute_of_day(from.trim())?,
            to_minute: minute_of_day(to.trim())?,
        };
        (quiet.from_minute != quiet.to_minute).then_some(quiet)
    }
}

impl std::fmt::Display for QuietHours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:02}:{:02}-{:02}:{:02}",
            self.from_minute / 60,
            self.from_minute % 60,
            self.to_minute / 60,
            self.to_minute % 60
        )
    }
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// The form under which a contact value is looked up: e-mail in lower case, phone as
/// [`phone::key`], everything else trimmed.
pub fn contact_key(kind: ContactKind, value: &str) -> String {
    match kind {
        ContactKind::Email => value.trim().to_lowercase(),
        ContactKind::Phone => phone::key(value),
        ContactKind::Push | ContactKind::Webhook => value.trim().to_owned(),
    }
}

/// The form under which an address is looked up: without case and accents, however they were
/// encoded (Unicode Standard Annex 15, form KD), runs of anything but letters and digits replaced by
/// one space. `Straße` and `STRASSE` are the same, `Città` and `Citta` too.
pub fn address_key(address: &str) -> String {
    if address.is_ascii() {
        // Most are, and of a million each microsecond counts.
        return words(&address.to_ascii_lowercase());
    }
    // Of other scripts the marks are vowels, which make the word.
    let is_accent = |c: &char| ('\u{0300}'..='\u{036F}').contains(c);
    let letters = address.nfkd().filter(|c| !is_accent(c)).nfc();
    // By way of upper case, which has one form of ß and ss, of both sigmas and of both i.
    let folded: String = letters
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    words(&folded)
}

fn words(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The form under which the serial number of a device is looked up: as on a label that somebody
/// reads out, without case and outer blanks.
pub fn serial_key(serial: &str) -> String {
    serial.trim().to_uppercase()
}

mod csv;
mod fields;
mod import;
mod jsonl;
mod phone;

pub use csv::write_csv;
pub use fields::{ContactFields, LONGEST_ACCOUNT, SERVING, SubscriberFields, SubscriberParser};
pub use import::{locate_errors, parse_subscribers, read_subscribers};
pub use jsonl::write_jsonl;
pub use phone::Numbering;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_same_however_they_are_typed() {
        let same: [&[&str]; 5] = [
            &[
                "Città di  Castello, 3",
                "Citta\u{300} di Castello 3",
                "CITTA DI CASTELLO/3",
            ],
            &[
                "Straße des 17. Juni 1",
                "STRASSE DES 17 JUNI 1",
                "strasse des 17 juni 1",
            ],
            &[
                "İstanbul Caddesi 7",
                "istanbul caddesi 7",
                "ISTANBUL CADDESI 7",
            ],
            &["Οδός Ερμού 2", "ΟΔΟΣ ΕΡΜΟΥ 2"],
            &["北京路 8", "北京路-8"],
        ];
        for forms in same {
            for form in forms {
                assert_eq!(address_key(form), address_key(forms[0]), "{form}");
            }
        }
        assert_eq!(address_key(" -Via  Po,1/b "), "via po 1 b");
        assert_eq!(address_key(" -Vìa  Po,1/b "), "via po 1 b");
        assert_ne!(address_key("के"), address_key("का"), "a vowel is no accent");
    }
}
