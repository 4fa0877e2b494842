//! Detection: measured values to alarms, by rules.
//!
//! A series is one metric of one resource, as one source reports it, under one rule. Each sample moves
//! the series of its resource, and the clock of its source; what begins or ends with that is a
//! [`Detection`], numbered within its rule.
//!
//! Invariants:
//! - no clock is read: time is that of the samples. A sample counts as of when it was measured, but
//!   never later than it was received, so that a device whose clock is ahead moves nothing;
//! - the same samples give the same detections with the same numbers, also across
//!   [`Detector::pages`];
//! - a sample that was overtaken by at most [`REORDERED`] of its own series counts as if it had come
//!   in order: whether an alarm is raised afterwards is the same. One that comes later than that
//!   changes nothing, nor does a second one of the same series and time;
//! - nothing is learnt from values while they are out of the ordinary;
//! - a source that is silent as a whole makes none of its resources absent.

use crate::alarm::{ServiceEffect, Severity};
use serde::{Deserialize, Serialize};

mod absence;
mod detector;
mod fall;
mod level;
mod pages;
mod phase;
mod series;
mod source_clock;

pub use detector::{Detection, Detector, Sample, is_rule_source};
pub use pages::PagesError;

/// Samples of a series that may overtake another of the same series.
pub const REORDERED: usize = 8;
/// What the names of the alarm sources of rules begin with; no other source may use it.
pub const SOURCE_PREFIX: &str = "detect/";

/// When an alarm is raised and cleared, and what it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The alarms' source is `detect/NAME`.
    pub name: String,
    /// Metric of the samples that the rule looks at.
    pub metric: String,
    /// Only resources whose names begin so; empty: all.
    #[serde(default)]
    pub resource_prefix: String,
    pub alarm_type: String,
    pub severity: Severity,
    pub effect: ServiceEffect,
    #[serde(flatten)]
    pub condition: Condition,
}

/// What is out of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Condition {
    Threshold(Threshold),
    Drop(Fall),
    Absence(Absence),
}

/// A value beyond a level, until it is back beyond another (hysteresis).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    pub direction: Direction,
    /// Raised by values at this level or beyond it.
    pub raise_at: f64,
    /// Cleared by values at this level or back behind it.
    pub clear_at: f64,
    /// How long the values must stay beyond the level, by the times of the samples.
    #[serde(default)]
    pub hold_s: u32,
}

/// On which side of the level the trouble is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Above,
    Below,
}

/// A value that has fallen against its own recent past.
///
/// The base is the median of the means of up to eight equal parts of the window before; there is none
/// before three of them hold samples. It is frozen from the first low value until the alarm is
/// cleared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fall {
    /// Raised by values that have fallen by this share of the base, in percent.
    pub fall_percent: f64,
    /// The recent past, in seconds. A value that changes little in this time never falls.
    pub window_s: u32,
    /// Smaller bases are not judged.
    pub minimum_base: f64,
    /// Cleared by values of this share of the base, in percent.
    pub recover_percent: f64,
    /// How long the values must stay low, by the times of the samples.
    #[serde(default)]
    pub hold_s: u32,
}

/// Samples that no longer come, while their source goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absence {
    /// Promised interval of the samples of a resource; 0: learnt from the latest eight.
    #[serde(default)]
    pub interval_s: u32,
    /// Raised when so many intervals have passed by the clock of the source.
    pub intervals: f64,
}

impl Rule {
    /// Name of the source of its alarms.
    pub fn alarm_source(&self) -> String {
        format!("{SOURCE_PREFIX}{}", self.name)
    }

    /// Whether samples of this resource concern the rule.
    pub fn covers(&self, resource: &str) -> bool {
        resource.starts_with(&self.resource_prefix)
    }
}
