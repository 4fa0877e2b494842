//! Alarms: one abnormal condition of one resource, with the life cycle of ITU-T X.733 and RFC 8632.

use crate::clock::Millis;
use crate::topology::Position;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Identity of an alarm, as in RFC 8632: what, on which resource, told apart by a qualifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlarmKey {
    /// Name of the resource as its source gives it; an id of the topology when it is mapped.
    pub resource: String,
    pub alarm_type: String,
    pub qualifier: String,
}

/// X.733 perceived severity, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Indeterminate,
    Warning,
    Minor,
    Major,
    Critical,
}

impl Severity {
    /// Every severity, least first.
    pub const ALL: [Self; 5] = [
        Self::Indeterminate,
        Self::Warning,
        Self::Minor,
        Self::Major,
        Self::Critical,
    ];

    /// Name in the database and the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Indeterminate => "indeterminate",
            Self::Warning => "warning",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == name)
    }
}

/// What a condition does to the service that runs over the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceEffect {
    Loss,
    Degraded,
    None,
}

/// What happened to an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmEventKind {
    /// The condition began, or is reported again.
    Raise,
    /// Severity, text or attributes changed.
    Change,
    /// The condition ended.
    Clear,
}

/// One event of an alarm's life, as its source told it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmEvent {
    pub kind: AlarmEventKind,
    pub key: AlarmKey,
    /// Meaningful for raise and change.
    pub severity: Severity,
    /// By the clock of the source.
    pub event_at_ms: Millis,
    pub detail: AlarmDetail,
}

/// What an event says besides identity, severity and time; stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlarmDetail {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub probable_cause: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// `None`: decided by the alarm type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_effect: Option<ServiceEffect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Area as `GeoJSON` text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_geojson: Option<String>,
}

/// Number of a sending system in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceId(pub i64);

/// One entry of the durable log, in the order in which the correlator takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// Rises without gaps from 1.
    pub position: i64,
    pub source: SourceId,
    /// The source's own number of the message; 0 for entries that Forewarn wrote itself.
    pub sequence: u64,
    pub received_at_ms: Millis,
    pub record: LogRecord,
}

/// What an entry of the log says.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all records are events; a box would cost each an allocation"
)]
pub enum LogRecord {
    Event(AlarmEvent),
    /// The source begins to list everything that is active.
    SnapshotBegin,
    /// The list is complete: what was not listed since the begin is cleared (mark and sweep).
    SnapshotEnd,
    /// The source broke its promise to be heard; nothing of it may be called restored.
    Stale,
    /// The source is heard again; it stays stale until a snapshot has ended.
    Heard,
}

mod book;
mod flapping;
mod history;
mod service_effect;

pub use book::{AlarmBook, AlarmNo, AlarmState, Applied, BookError, Interval, RETENTION_MS};
pub use flapping::FlapThresholds;
pub use service_effect::{
    DEGRADED_TYPES, HARMLESS_TYPES, LOSS_TYPES, effect_of, is_hardware_fault, is_last_word,
    is_own_fault, is_power, is_service_seen, is_signal_loss,
};
