//! What an agent may have typed: each reading of a query that its form allows, likeliest first.

use crate::subscriber::{ContactKind, Numbering, address_key, contact_key, serial_key};

/// Digits of the shortest text that is taken for a phone number.
const PHONE_DIGITS: usize = 6;
/// Letters and digits of the shortest beginning of an address.
const ADDRESS_CHARS: usize = 3;

/// One way to look an account up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// As typed.
    Account(String),
    /// A contact key.
    Email(String),
    /// A contact key.
    Phone(String),
    /// The beginning of an address key.
    Address(String),
    /// A serial key.
    CpeSerial(String),
}

impl SearchKey {
    /// Name in the interface.
    pub fn matched_by(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Email(_) => "email",
            Self::Phone(_) => "phone",
            Self::Address(_) => "address",
            Self::CpeSerial(_) => "cpe_serial",
        }
    }
}

/// The readings of a query, in the order in which to try them; the first that matches wins.
/// `numbering` says what a phone number without a country code means.
pub fn search_order(query: &str, numbering: &Numbering) -> Vec<SearchKey> {
    let query = query.trim();
    if query.is_empty() {
        return Vec::new();
    }
    if query.contains('@') {
        let email = contact_key(ContactKind::Email, query);
        return vec![
            SearchKey::Email(email),
            SearchKey::Account(query.to_owned()),
        ];
    }
    let phone = phones(query, numbering);
    let address = Some(address_key(query))
        .filter(|key| key.chars().filter(|c| *c != ' ').count() >= ADDRESS_CHARS)
        .map(SearchKey::Address);
    let address = Vec::from_iter(address);
    let account = vec![SearchKey::Account(query.to_owned())];
    let serial = vec![SearchKey::CpeSerial(serial_key(query))];
    let order = if query.starts_with('+') {
        [phone, account, serial, address]
    } else if query.contains(char::is_whitespace) {
        [phone, address, account, serial]
    } else {
        [account, serial, phone, address]
    };
    order.into_iter().flatten().collect()
}

/// The contact keys of a text that can be a phone number.
fn phones(query: &str, numbering: &Numbering) -> Vec<SearchKey> {
    let allowed = |c: char| c.is_ascii_digit() || " +-./()".contains(c);
    let typed = contact_key(ContactKind::Phone, query);
    if !query.chars().all(allowed) || typed.len() < PHONE_DIGITS {
        return Vec::new();
    }
    let keys = numbering.keys(query).into_iter();
    keys.map(SearchKey::Phone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &[(&str, &str)]) {
        let found = search_order(query, &Numbering::default());
        let found: Vec<_> = found
            .iter()
            .map(|key| {
                let (SearchKey::Account(value)
                | SearchKey::Email(value)
                | SearchKey::Phone(value)
                | SearchKey::Address(value)
                | SearchKey::CpeSerial(value)) = key;
                (key.matched_by(), value.as_str())
            })
            .collect();
        assert_eq!(found, expected, "{query:?}");
    }

    #[test]
    fn the_form_of_a_query_says_what_to_try() {
        check("  ", &[]);
        check(
            " Anna.Rossi@Example.net ",
            &[
                ("email", "anna.rossi@example.net"),
                ("account", "Anna.Rossi@Example.net"),
            ],
        );
        check(
            "+39 06 5550-123",
            &[
                ("phone", "39065550123"),
                ("account", "+39 06 5550-123"),
                ("cpe_serial", "+39 06 5550-123"),
                ("address", "39 06 5550 123"),
            ],
        );
        check(
            "Via Appia 12",
            &[
                ("address", "via appia 12"),
                ("account", "Via Appia 12"),
                ("cpe_serial", "VIA APPIA 12"),
            ],
        );
        check(
            "A000017",
            &[
                ("account", "A000017"),
                ("cpe_serial", "A000017"),
                ("address", "a000017"),
            ],
        );
        let italy = Numbering {
            country_code: "39".to_owned(),
            trunk_prefix: String::new(),
        };
        let phone = |key: &str| SearchKey::Phone(key.to_owned());
        assert_eq!(
            search_order("06 5550 123", &italy)[..2],
            [phone("39065550123"), phone("065550123")]
        );
        check("x", &[("account", "x"), ("cpe_serial", "X")]);
        check(
            "0039065550123",
            &[
                ("account", "0039065550123"),
                ("cpe_serial", "0039065550123"),
                ("phone", "39065550123"),
                ("address", "0039065550123"),
            ],
        );
    }
}
