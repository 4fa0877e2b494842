//! Settings: the defaults, a file over them, the environment over both; checked at start, all
//! errors in one go.
//!
//! Invariants: every setting stands in `default.toml`, which also says its type; a secret is never
//! printed, not even in an error.

mod check;
mod database_url;
mod hold_down;
mod mail_url;
mod relations;
mod rules;
mod show;

pub use mail_url::MailUrl;

use crate::detect::Rule;
use crate::incident::CauseKind;
use crate::subscriber::Numbering;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The commented defaults.
pub const DEFAULT_TOML: &str = include_str!("config/default.toml");

/// Prefix of the environment variables; section and key are separated by two underscores.
const ENVIRONMENT_PREFIX: &str = "FOREWARN_";

/// Key of an error of a file as a whole.
const UNREADABLE: &str = "file";

/// Variables of the environment that are read elsewhere: by the command line, as defaults of its
/// options.
const OTHER_VARIABLES: [&str; 6] = [
    "FOREWARN_CONFIG",
    "FOREWARN_SERVER",
    "FOREWARN_TOKEN",
    "FOREWARN_CA",
    "FOREWARN_CLIENT_CERT",
    "FOREWARN_CLIENT_KEY",
];

/// All settings, valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database: Database,
    pub rpc: Rpc,
    pub web: Web,
    pub ingest: Ingest,
    pub detect: Detect,
    pub correlation: Correlation,
    pub battery: Battery,
    pub notice: Notice,
    pub email: Email,
    pub care: Care,
    pub effect: Effect,
    pub log: Log,
    pub shutdown: Shutdown,
}

/// Where everything is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite:` or `postgres:`; may hold a password.
    pub url: String,
}

/// gRPC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rpc {
    pub listen: SocketAddr,
    /// PEM files; empty: none.
    pub tls_certificate: PathBuf,
    pub tls_key: PathBuf,
    pub client_ca: PathBuf,
    pub allow_plaintext_beyond_loopback: bool,
    pub max_message_mib: usize,
}

/// The web server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    pub listen: SocketAddr,
    /// Without a slash at the end.
    pub public_url: String,
}

/// Taking alarms and samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    pub queue_events: usize,
    pub batch_events: usize,
    pub telemetry_retention_days: u32,
}

/// Alarms from measured values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// In the order in which they are given; names differ.
    pub rule: Vec<Rule>,
}

/// From alarms to incidents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    pub hold_down_s: u32,
    pub hold_down: Vec<HoldDownClass>,
    pub unstable_factor: u32,
    pub lone_alarm_s: u32,
    pub decide_within_s: u32,
    pub restore_quiet_s: u32,
    pub reopen_within_s: u32,
    pub flap_raised_percent: u32,
    pub flap_ended_percent: u32,
    pub single_premise_incidents: bool,
}

/// A hold-down for incidents of some kind and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldDownClass {
    /// `None`: of any kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseKind>,
    /// At least so many.
    #[serde(default)]
    pub subscribers: u32,
    pub seconds: u32,
}

/// How long elements run without mains power, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Battery {
    pub router_minutes: u32,
    pub switch_minutes: u32,
    pub bng_minutes: u32,
    pub olt_minutes: u32,
    pub pon_port_minutes: u32,
    pub ont_minutes: u32,
    pub cmts_minutes: u32,
    pub fibre_node_minutes: u32,
    pub cell_minutes: u32,
    pub power_feed_minutes: u32,
    pub other_minutes: u32,
}

/// What is told, and by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    pub experiment: String,
    /// 0 to 50.
    pub holdout_percent: f64,
    pub minimum_subscribers: u32,
    pub update_interval_s: u32,
    pub default_language: String,
    pub frequency_cap_per_day: u32,
    pub reopened_wait_s: u32,
    pub useless_after_s: u32,
    pub tell_learned_estimates: bool,
    pub provider_name: String,
    pub provider_url: String,
    pub provider_phone: String,
    pub from_address: String,
    /// May be empty.
    pub reply_to: String,
}

/// How e-mail is handed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    pub transport: EmailTransport,
    pub directory: PathBuf,
    /// May hold a password.
    pub url: String,
    pub tls: EmailTls,
    /// PEM file; empty: only the public authorities.
    pub ca_file: PathBuf,
    /// Empty: the name of this machine.
    pub ehlo_name: String,
    pub connections: usize,
    pub timeout_s: u32,
    pub data_timeout_s: u32,
    pub max_attempts: u32,
    pub batch: u32,
    pub lease_s: u32,
}

/// Where e-mail goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailTransport {
    File,
    Smtp,
}

/// How the connection to the mail relay is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailTls {
    Starttls,
    Tls,
    None,
}

impl EmailTls {
    /// The usual port: submissions (RFC 8314), submission (RFC 6409), SMTP (RFC 5321).
    pub fn usual_port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::Starttls => 587,
            Self::None => 25,
        }
    }
}

/// Answering customers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Care {
    /// ITU-T E.164, digits only; empty: none.
    pub country_code: String,
    /// Digits; may be empty.
    pub trunk_prefix: String,
}

impl Care {
    /// How numbers are dialled in the provider's country.
    pub fn numbering(&self) -> Numbering {
        Numbering {
            country_code: self.country_code.clone(),
            trunk_prefix: self.trunk_prefix.clone(),
        }
    }
}

/// Counting what telling is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    pub window_s: u32,
}

/// What the process says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

/// Form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// How the process stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    pub grace_s: u32,
}

/// One setting that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// `section.key`.
    pub key: String,
    /// As it was given; hidden when it may hold a secret.
    pub value: String,
    pub expected: String,
    /// Where it was given: the default, a file, or a variable of the environment.
    pub given_by: String,
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(
                f,
                "{} = {} ({}): expected {}",
                error.key, error.value, error.given_by, error.expected
            )?;
        }
        Ok(())
    }
}

impl Config {
    /// The defaults, the file over them, the environment over both.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let mut layers = Layers::new();
        if let Some(path) = file {
            layers.add_file(path);
        }
        for (name, value) in environment {
            layers.add_variable(&name, &value);
        }
        layers.finish()
    }

    /// The settings as TOML, with secrets hidden.
    pub fn show(&self) -> String {
        show::to_toml(self)
    }
}

/// The settings while they are put together.
struct Layers {
    settings: Table,
    /// Where a setting was given, if not by default.
    given_by: std::collections::BTreeMap<String, String>,
    errors: Vec<ConfigError>,
}

impl Layers {
    fn new() -> Self {
        Self {
            settings: DEFAULT_TOML.parse().unwrap_or_default(),
            given_by: std::collections::BTreeMap::new(),
            errors: Vec::new(),
        }
    }

    fn add_file(&mut self, path: &Path) {
        let by = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.wrong(UNREADABLE, &by, "a file that can be read", error),
        };
        let table: Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                // The message alone: the excerpt of the file may hold a secret.
                let line = error.span().map_or(0, |span| {
                    text.get(..span.start)
                        .unwrap_or_default()
                        .lines()
                        .count()
                        .max(1)
                });
                let at = format!("{by} line {line}");
                return self.wrong(UNREADABLE, &at, "valid TOML", error.message());
            }
        };
        for (section, settings) in table {
            match settings {
                Value::Table(settings) => {
                    for (key, value) in settings {
                        self.set(&section, &key, Given::Typed(value), &by);
                    }
                }
                _ => self.wrong(&section, &by, "a section in [brackets]", "a value"),
            }
        }
    }

    fn add_variable(&mut self, name: &str, value: &str) {
        let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
            return;
        };
        let Some((section, key)) = rest.split_once("__") else {
            if !OTHER_VARIABLES.contains(&name) {
                let expected = "FOREWARN_SECTION__KEY, with two underscores between the two";
                // Nobody knows whether this was meant to be a password.
                self.wrong(name, "environment", expected, show::HIDDEN);
            }
            return;
        };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        self.set(&section, &key, Given::Text(value), name);
    }

    fn set(&mut self, section: &str, key: &str, given: Given<'_>, by: &str) {
        let name = format!("{section}.{key}");
        let Some(Value::Table(settings)) = self.settings.get_mut(section) else {
            let sections: Vec<_> = self.settings.keys().cloned().collect();
            let expected = format!("one of the sections {}", sections.join(", "));
            return self.wrong(&name, by, &expected, show::HIDDEN);
        };
        let Some(present) = settings.get_mut(key) else {
            let keys: Vec<_> = settings.keys().cloned().collect();
            let expected = format!("one of the keys {}", keys.join(", "));
            // Nobody knows whether this was meant to be a password.
            return self.wrong(&name, by, &expected, show::HIDDEN);
        };
        if let Some(value) = given.like(present) {
            *present = value;
            self.given_by.insert(name, by.to_owned());
        } else {
            let expected = match present {
                Value::Integer(_) => "a whole number",
                Value::Float(_) => "a number",
                Value::Boolean(_) => "true or false",
                Value::Array(_) => "a list of tables such as [{ key = value }, { key = value }]",
                _ => "a text",
            };
            self.wrong(&name, by, expected, given);
        }
    }

    fn wrong(&mut self, key: &str, by: &str, expected: &str, value: impl fmt::Display) {
        self.errors.push(ConfigError {
            key: key.to_owned(),
            value: show::value(key, &value.to_string()),
            expected: expected.to_owned(),
            given_by: by.to_owned(),
        });
    }

    /// Checks the values and their relations. For the relations of the others a setting that is wrong
    /// has its default.
    fn finish(mut self) -> Result<Config, ConfigErrors> {
        let mut unknown: Vec<String> = self.errors.iter().map(|e| e.key.clone()).collect();
        let has_read_all = !unknown.iter().any(|key| key == UNREADABLE);
        let mut wrong = check::forms(&self.settings);
        wrong.extend(rules::problems(&self.settings));
        for problem in &wrong {
            self.add_problem(problem);
            // One of several tables: the list is not known as a whole.
            let key = problem.key.split('[').next().unwrap_or_default();
            self.set_default(key);
            unknown.push(key.to_owned());
        }
        match Config::deserialize(Value::Table(self.settings.clone())) {
            Ok(config) => {
                // What a file says that cannot be read is known of no setting.
                if has_read_all {
                    for problem in relations::relations(&config, &unknown) {
                        self.add_problem(&problem);
                    }
                }
                if self.errors.is_empty() {
                    return Ok(config);
                }
            }
            Err(error) => self.wrong("settings", "all", "the form of the defaults", error),
        }
        Err(ConfigErrors(self.errors))
    }

    fn set_default(&mut self, key: &str) {
        let defaults: Table = DEFAULT_TOML.parse().unwrap_or_default();
        let find = |(section, key): (&str, &str)| defaults.get(section)?.get(key).cloned();
        if let Some((section, name)) = key.split_once('.')
            && let Some(default) = find((section, name))
            && let Some(Value::Table(settings)) = self.settings.get_mut(section)
        {
            settings.insert(name.to_owned(), default);
        }
    }

    fn add_problem(&mut self, problem: &check::Problem) {
        // One of several tables was given where all of them were.
        let given = problem.key.split('[').next().unwrap_or_default();
        let by = self.given_by.get(given).cloned();
        let value = problem.value.clone().or_else(|| {
            let (section, key) = problem.key.split_once('.')?;
            let value = self.settings.get(section)?.get(key)?;
            Some(match value {
                // TOML would write it on several lines.
                Value::String(text) if text.contains(char::is_control) => format!("{text:?}"),
                value => value.to_string(),
            })
        });
        self.wrong(
            &problem.key,
            &by.unwrap_or_else(|| "default".to_owned()),
            &problem.expected,
            value.unwrap_or_default(),
        );
    }
}

/// A value as it was given.
enum Given<'a> {
    /// By a file, where it has a type.
    Typed(Value),
    /// By the environment, where everything is text.
    Text(&'a str),
}

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed(value) => value.fmt(f),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

impl Given<'_> {
    /// The value in the type of the default.
    fn like(&self, default: &Value) -> Option<Value> {
        match (default, self) {
            (Value::Float(_), Self::Typed(Value::Integer(n))) => {
                i32::try_from(*n).ok().map(|n| Value::Float(n.into()))
            }
            (_, Self::Typed(value)) => value.same_type(default).then(|| value.clone()),
            (Value::Integer(_), Self::Text(text)) => text.trim().parse().ok().map(Value::Integer),
            (Value::Float(_), Self::Text(text)) => text.trim().parse().ok().map(Value::Float),
            (Value::Boolean(_), Self::Text(text)) => text.trim().parse().ok().map(Value::Boolean),
            (Value::Array(_), Self::Text(text)) => {
                let list: Table = format!("list = {text}").parse().ok()?;
                list.get("list").filter(|list| list.is_array()).cloned()
            }
            (_, Self::Text(text)) => Some(Value::String((*text).to_owned())),
        }
    }
}
