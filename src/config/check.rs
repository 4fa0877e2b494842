//! What value each setting may have by itself; [`super::relations`] says what they may be together.

use super::MailUrl;
use super::{database_url, hold_down};
use crate::notice::template::LANGUAGES;
use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use toml::{Table, Value};

/// A setting with a value that it may not have.
pub(super) struct Problem {
    pub(super) key: Cow<'static, str>,
    /// Where the key alone does not lead to it.
    pub(super) value: Option<String>,
    pub(super) expected: String,
}

/// What a single setting must be.
enum Form {
    Whole {
        least: i64,
        most: i64,
    },
    Number {
        above: f64,
        most: f64,
    },
    OneOf(&'static [&'static str]),
    Filled,
    Address,
    DatabaseUrl,
    WebUrl,
    MailUrl,
    EhloName,
    /// Or nothing.
    Digits {
        most: usize,
    },
    MailAddress,
    OptionalMailAddress,
    Language,
    Filter,
    HoldDowns,
}

const YEAR_S: i64 = 366 * 86_400;

/// At most 30 days.
const BATTERY: Form = Form::Whole {
    least: 0,
    most: 43_200,
};

const FORMS: &[(&str, Form)] = &[
    ("database.url", Form::DatabaseUrl),
    ("rpc.listen", Form::Address),
    (
        "rpc.max_message_mib",
        Form::Whole {
            least: 1,
            most: 1_024,
        },
    ),
    ("web.listen", Form::Address),
    ("web.public_url", Form::WebUrl),
    (
        "ingest.queue_events",
        Form::Whole {
            least: 1_000,
            most: 10_000_000,
        },
    ),
    (
        "ingest.batch_events",
        Form::Whole {
            least: 1,
            most: 1_000_000,
        },
    ),
    (
        "ingest.telemetry_retention_days",
        Form::Whole {
            least: 1,
            most: 3_660,
        },
    ),
    (
        "correlation.hold_down_s",
        Form::Whole {
            least: 0,
            most: 86_400,
        },
    ),
    (
        "correlation.restore_quiet_s",
        Form::Whole {
            least: 0,
            most: 86_400,
        },
    ),
    (
        "correlation.reopen_within_s",
        Form::Whole {
            least: 0,
            most: YEAR_S,
        },
    ),
    (
        "correlation.unstable_factor",
        Form::Whole { least: 1, most: 20 },
    ),
    (
        "correlation.lone_alarm_s",
        Form::Whole {
            least: 0,
            most: 86_400,
        },
    ),
    ("correlation.hold_down", Form::HoldDowns),
    (
        "correlation.decide_within_s",
        Form::Whole {
            least: 0,
            most: 86_400,
        },
    ),
    (
        "correlation.flap_raised_percent",
        Form::Whole { least: 1, most: 99 },
    ),
    (
        "correlation.flap_ended_percent",
        Form::Whole { least: 1, most: 99 },
    ),
    ("battery.router_minutes", BATTERY),
    ("battery.switch_minutes", BATTERY),
    ("battery.bng_minutes", BATTERY),
    ("battery.olt_minutes", BATTERY),
    ("battery.pon_port_minutes", BATTERY),
    ("battery.ont_minutes", BATTERY),
    ("battery.cmts_minutes", BATTERY),
    ("battery.fibre_node_minutes", BATTERY),
    ("battery.cell_minutes", BATTERY),
    ("battery.power_feed_minutes", BATTERY),
    ("battery.other_minutes", BATTERY),
    ("notice.experiment", Form::Filled),
    (
        "notice.holdout_percent",
        Form::Number {
            above: -0.0,
            most: 50.0,
        },
    ),
    (
        "notice.minimum_subscribers",
        Form::Whole {
            least: 1,
            most: 1_000_000_000,
        },
    ),
    (
        "notice.update_interval_s",
        Form::Whole {
            least: 60,
            most: YEAR_S,
        },
    ),
    (
        "notice.reopened_wait_s",
        Form::Whole {
            least: 0,
            most: YEAR_S,
        },
    ),
    ("notice.default_language", Form::Language),
    (
        "notice.frequency_cap_per_day",
        Form::Whole {
            least: 1,
            most: 1_000,
        },
    ),
    (
        "notice.useless_after_s",
        Form::Whole {
            least: 60,
            most: YEAR_S,
        },
    ),
    ("notice.provider_name", Form::Filled),
    ("notice.provider_url", Form::WebUrl),
    ("notice.provider_phone", Form::Filled),
    ("notice.from_address", Form::MailAddress),
    ("notice.reply_to", Form::OptionalMailAddress),
    ("email.transport", Form::OneOf(&["file", "smtp"])),
    ("email.url", Form::MailUrl),
    ("email.tls", Form::OneOf(&["starttls", "tls", "none"])),
    ("email.ehlo_name", Form::EhloName),
    (
        "email.data_timeout_s",
        Form::Whole {
            least: 1,
            most: 3_600,
        },
    ),
    (
        "email.connections",
        Form::Whole {
            least: 1,
            most: 1_000,
        },
    ),
    (
        "email.timeout_s",
        Form::Whole {
            least: 1,
            most: 600,
        },
    ),
    (
        "email.max_attempts",
        Form::Whole {
            least: 1,
            most: 100,
        },
    ),
    (
        "email.batch",
        Form::Whole {
            least: 1,
            most: 10_000,
        },
    ),
    (
        "email.lease_s",
        Form::Whole {
            least: 3,
            most: 86_400,
        },
    ),
    ("care.country_code", Form::Digits { most: 3 }),
    ("care.trunk_prefix", Form::Digits { most: 4 }),
    (
        "effect.window_s",
        Form::Whole {
            least: 60,
            most: YEAR_S,
        },
    ),
    ("log.format", Form::OneOf(&["text", "json"])),
    ("log.filter", Form::Filter),
    (
        "shutdown.grace_s",
        Form::Whole {
            least: 1,
            most: 600,
        },
    ),
];

/// Settings whose value has not the form it needs.
pub(super) fn forms(settings: &Table) -> Vec<Problem> {
    FORMS
        .iter()
        .filter_map(|(key, form)| {
            let (section, name) = key.split_once('.')?;
            let value = settings.get(section)?.get(name)?;
            let expected = form.expected_instead_of(value)?;
            Some(Problem {
                key: (*key).into(),
                value: None,
                expected,
            })
        })
        .collect()
}

impl Form {
    fn expected_instead_of(&self, value: &Value) -> Option<String> {
        let text = value.as_str().unwrap_or_default();
        let (holds, expected) = match self {
            Self::Whole { least, most } => (
                value
                    .as_integer()
                    .is_some_and(|n| (*least..=*most).contains(&n)),
                format!("a whole number from {least} to {most}"),
            ),
            Self::Number { above, most } => {
                let zero_too = above.is_sign_negative();
                let words = if zero_too { "from" } else { "above" };
                (
                    value
                        .as_float()
                        .is_some_and(|n| (n > *above || (zero_too && n == 0.0)) && n <= *most),
                    format!("a number {words} {} to {most}", above.abs()),
                )
            }
            Self::OneOf(names) => (names.contains(&text), names.join(" or ")),
            Self::Filled => (
                !text.trim().is_empty() && !text.contains(char::is_control),
                "a text that is not empty, on one line and without control characters".to_owned(),
            ),
            Self::Address => (
                text.parse::<SocketAddr>().is_ok(),
                "an address and a port, for instance 127.0.0.1:50551".to_owned(),
            ),
            Self::DatabaseUrl => (
                database_url::is_lasting(text),
                "sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE".to_owned(),
            ),
            Self::WebUrl => (
                is_web_url(text),
                "http:// or https:// and a host, without a slash at the end".to_owned(),
            ),
            Self::MailUrl => (
                text.is_empty() || MailUrl::parse(text).is_some(),
                "smtp://USER:PASSWORD@HOST:PORT, without a port the usual one of email.tls; special \
                 characters of USER and PASSWORD percent-encoded"
                    .to_owned(),
            ),
            Self::EhloName => (
                text.is_empty() || is_ehlo_name(text),
                "a host name such as mail.example.net, an address such as [192.0.2.1] or \
                 [IPv6:2001:db8::1], or nothing"
                    .to_owned(),
            ),
            Self::Digits { most } => (
                text.len() <= *most && text.bytes().all(|b| b.is_ascii_digit()),
                format!("up to {most} digits, or nothing"),
            ),
            Self::MailAddress => (is_mail_address(text), "a mail address".to_owned()),
            Self::OptionalMailAddress => (
                text.is_empty() || is_mail_address(text),
                "a mail address, or nothing".to_owned(),
            ),
            Self::Language => (
                LANGUAGES.iter().any(|known| known.language.eq_ignore_ascii_case(text)),
                LANGUAGES.map(|known| known.language).join(" or "),
            ),
            Self::HoldDowns => hold_down::expected(value),
            Self::Filter => (
                tracing_subscriber::EnvFilter::try_new(text).is_ok(),
                "tracing directives, for instance info,forewarn=debug".to_owned(),
            ),
        };
        (!holds).then_some(expected)
    }
}

fn is_web_url(text: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .is_some_and(|rest| {
            let strange = |c: char| c.is_whitespace() || c.is_control();
            !rest.is_empty() && !rest.ends_with('/') && !rest.contains(strange)
        })
}

/// A domain or an address literal (RFC 5321, 4.1.2).
fn is_ehlo_name(text: &str) -> bool {
    if let Some(literal) = text.strip_prefix('[') {
        let address = literal.strip_suffix(']').unwrap_or_default();
        return match address.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => address.parse::<Ipv4Addr>().is_ok(),
        };
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.split('.').all(label)
}

fn is_mail_address(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok() && !text.contains(char::is_control)
}
