//! Phone numbers as people type them, against the form in which they are stored.

/// The form under which a phone number is looked up: digits only, of international numbers without a
/// leading `00` and without the `(0)` that is for callers inside the country: `+44 (0)20 ...`.
pub(super) fn key(number: &str) -> String {
    let number = number.trim();
    let number = match number.split_once("(0)") {
        Some((before, after)) if is_international(number) => &format!("{before}{after}"),
        _ => number,
    };
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    digits.strip_prefix("00").unwrap_or(&digits).to_owned()
}

fn is_international(number: &str) -> bool {
    let mut digits = number.chars().filter(char::is_ascii_digit);
    number.starts_with('+') || (digits.next() == Some('0') && digits.next() == Some('0'))
}

/// How numbers are dialled in the provider's country.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    /// Country code of ITU-T E.164, digits only; empty: numbers without one are taken as they are.
    pub country_code: String,
    /// What stands before a number inside the country and not after the country code, such as 0;
    /// empty where there is no such thing (Italy, Spain).
    pub trunk_prefix: String,
}

impl Numbering {
    /// The contact keys under which a number may be stored that was typed like this, likeliest
    /// first. `+39 06 5550`, `0039 06 5550` and, in the country, `06 5550` are the same number.
    pub fn keys(&self, typed: &str) -> Vec<String> {
        let typed = typed.trim();
        let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
        let international = is_international(typed);
        // Where another digit than 0 stands in brackets.
        let in_brackets = format!("({})", self.trunk_prefix);
        let typed = match typed.split_once(&in_brackets) {
            Some((before, after)) if international && !self.trunk_prefix.is_empty() => {
                format!("{before}{after}")
            }
            _ => typed.to_owned(),
        };
        let mut keys = vec![key(&typed)];
        if self.country_code.is_empty() {
            return keys;
        }
        let country = self.country_code.as_str();
        let trunk = self.trunk_prefix.as_str();
        let without_trunk = |number: &str| number.strip_prefix(trunk).unwrap_or(number).to_owned();
        if international {
            if let Some(number) = keys[0].strip_prefix(country).map(str::to_owned) {
                // Some write the trunk prefix after the country code, too.
                let shorter = without_trunk(&number);
                keys.push(format!("{country}{shorter}"));
                keys.push(format!("{trunk}{number}"));
                keys.push(format!("{trunk}{shorter}"));
            }
        } else {
            keys.insert(0, format!("{country}{}", without_trunk(&digits)));
        }
        let mut seen = std::collections::BTreeSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscriber::{ContactKind, contact_key};
    use proptest::prelude::*;

    fn numbering(country_code: &str, trunk_prefix: &str) -> Numbering {
        Numbering {
            country_code: country_code.to_owned(),
            trunk_prefix: trunk_prefix.to_owned(),
        }
    }

    #[track_caller]
    fn check(numbering: &Numbering, typed: &str, expected: &[&str]) {
        assert_eq!(numbering.keys(typed), expected, "{typed}");
    }

    #[test]
    fn a_number_is_looked_for_in_every_form_it_may_be_stored_in() {
        let italy = numbering("39", "");
        check(&italy, "+39 06 5550-0104", &["390655500104", "0655500104"]);
        check(&italy, "0039 06 5550 0104", &["390655500104", "0655500104"]);
        check(&italy, "(06) 5550.0104", &["390655500104", "0655500104"]);
        check(
            &italy,
            "39 06 55500104",
            &["39390655500104", "390655500104"],
        );
        check(&italy, "+49 30 1234567", &["49301234567"]);
        let britain = numbering("44", "0");
        let keys = ["442079460018", "02079460018"];
        check(&britain, "020 7946 0018", &keys);
        check(&britain, "+44 20 7946 0018", &keys);
        check(&britain, "+44 (0)20 7946 0018", &keys);
        check(&britain, "0044 20 7946 0018", &keys);
        let moscow = numbering("7", "8");
        let keys = ["74955550104", "84955550104"];
        check(&moscow, "+7 (8) 495 555 0104", &keys);
        check(&Numbering::default(), "06 5550 0104", &["0655500104"]);
        check(&Numbering::default(), "+39 06 5550", &["39065550"]);
    }

    proptest! {
        /// However a number was stored and is typed, the forms meet.
        #[test]
        fn national_and_international_forms_find_each_other(
            number in "[1-9][0-9]{5,9}",
            trunk in prop::sample::select(vec!["", "0", "8"]),
            stored in 0_usize..4,
            typed in 0_usize..4,
        ) {
            let numbering = numbering("39", trunk);
            let form = |which: usize| match which {
                0 => format!("+39 {number}"),
                1 => format!("0039-{number}"),
                2 if trunk == "0" => format!("+39 ({trunk}) {number}"),
                _ => format!("{trunk}{number}"),
            };
            let key = contact_key(ContactKind::Phone, &form(stored));
            let keys = numbering.keys(&form(typed));
            prop_assert!(keys.contains(&key), "{key} {keys:?}");
        }
    }
}
