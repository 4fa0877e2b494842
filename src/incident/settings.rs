//! How eager and how patient the correlator is.

use super::CauseKind;
use crate::alarm::FlapThresholds;
use serde::{Deserialize, Serialize};

/// How long a suspected incident of some kind and size must stand before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldDown {
    /// `None`: of any kind.
    #[serde(default)]
    pub cause: Option<CauseKind>,
    /// So many subscribers at least.
    #[serde(default)]
    pub min_affected: u64,
    pub hold_down_ms: i64,
}

/// How eager and how patient the correlator is. All durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorrelatorSettings {
    /// An incident is opened this long after its first alarm arrived, so that a storm can show its
    /// common cause first.
    pub gather_ms: i64,
    /// A suspected incident is confirmed this long after it was detected, where none of `hold_downs`
    /// says something else.
    pub hold_down_ms: i64,
    /// Of those that fit an incident the most specific counts.
    pub hold_downs: Vec<HoldDown>,
    /// So many times as long while its alarms come and go.
    pub unstable_factor: u32,
    /// It stands at least so long while one resource, seen by one source, is all that speaks for it:
    /// of such alarms most are about nothing. `None`: only an operator believes it.
    pub lone_alarm_ms: Option<i64>,
    /// A suspicion is decided this long after it began, however its evidence has changed since: it is
    /// confirmed if there is evidence then, and dropped if there is none.
    pub decide_within_ms: i64,
    /// An incident is restored when all its evidence has been clear for this long.
    pub restore_quiet_ms: i64,
    /// The same cause within this time after restoration reopens the incident.
    pub reopen_within_ms: i64,
    /// From when on an alarm comes and goes; its incident is not restored before it has stopped.
    pub flapping: FlapThresholds,
    /// Whether the alarm of a single premise opens an incident.
    pub single_premise_incidents: bool,
}

impl CorrelatorSettings {
    /// How long an incident must stand before it is believed: an entry for its kind counts more than
    /// one for all kinds, and of these the one for the most subscribers.
    pub fn hold_down_of(&self, cause: CauseKind, affected: u64) -> i64 {
        self.hold_downs
            .iter()
            .filter(|h| h.cause.is_none_or(|of| of == cause) && affected >= h.min_affected)
            .max_by_key(|h| (h.cause.is_some(), h.min_affected))
            .map_or(self.hold_down_ms, |h| h.hold_down_ms)
    }
}

impl Default for CorrelatorSettings {
    fn default() -> Self {
        Self {
            gather_ms: 2_000,
            hold_down_ms: 60_000,
            hold_downs: Vec::new(),
            unstable_factor: 3,
            lone_alarm_ms: None,
            decide_within_ms: 10 * 60_000,
            restore_quiet_ms: 30_000,
            reopen_within_ms: 30 * 60_000,
            flapping: FlapThresholds::default(),
            single_premise_incidents: false,
        }
    }
}
