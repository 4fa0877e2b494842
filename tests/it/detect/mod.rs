//! Detection of alarms in telemetry: by the rules, against a slow reference, and through the service.

mod cases;
mod end_to_end;
mod properties;
mod reference;
mod worker;

use forewarn::alarm::{AlarmEventKind, ServiceEffect, Severity, SourceId};
use forewarn::detect::{
    Absence, Condition, Detection, Detector, Direction, Fall, Rule, Sample, Threshold,
};

/// 2025-10-09T08:53:20Z, at the border of a part of every window used here.
pub(super) const NOW_MS: i64 = 1_760_000_000_000;
pub(super) const MINUTE_MS: i64 = 60_000;

pub(super) fn rule(name: &str, metric: &str, condition: Condition) -> Rule {
    Rule {
        name: name.to_owned(),
        metric: metric.to_owned(),
        resource_prefix: String::new(),
        alarm_type: name.to_owned(),
        severity: Severity::Major,
        effect: ServiceEffect::Loss,
        condition,
    }
}

/// Sessions that fall by 60 % against the last 30 minutes.
pub(super) fn fall() -> Fall {
    Fall {
        fall_percent: 60.0,
        window_s: 1_800,
        minimum_base: 20.0,
        recover_percent: 80.0,
        hold_s: 0,
    }
}

/// Optical power below -28 dBm, until it is at least -26.
pub(super) fn low_power(hold_s: u32) -> Threshold {
    Threshold {
        direction: Direction::Below,
        raise_at: -28.0,
        clear_at: -26.0,
        hold_s,
    }
}

/// Three intervals of a minute.
pub(super) fn absence(interval_s: u32) -> Absence {
    Absence {
        interval_s,
        intervals: 3.0,
    }
}

/// A detector with the next position.
pub(super) struct Bench {
    pub(super) core: Detector,
    position: i64,
    pub(super) found: Vec<Detection>,
}

impl Bench {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self {
            core: Detector::new(rules),
            position: 0,
            found: Vec::new(),
        }
    }

    /// A sample of source 1 that is received at once.
    pub(super) fn take(&mut self, resource: &str, metric: &str, at_ms: i64, value: f64) {
        self.take_from(SourceId(1), resource, metric, at_ms, value);
    }

    pub(super) fn take_from(
        &mut self,
        source: SourceId,
        resource: &str,
        metric: &str,
        at_ms: i64,
        value: f64,
    ) {
        self.position += 1;
        let sample = Sample {
            position: self.position,
            source,
            resource,
            metric,
            value,
            sampled_at_ms: NOW_MS + at_ms,
            received_at_ms: NOW_MS + at_ms.max(0),
        };
        self.core.apply(&sample, &mut self.found);
    }

    /// What was found since it was asked last: begin or end, resource, and when.
    pub(super) fn events(&mut self) -> Vec<(AlarmEventKind, String, i64)> {
        let found = std::mem::take(&mut self.found);
        found
            .into_iter()
            .map(|d| (d.kind, d.resource.to_string(), d.at_ms - NOW_MS))
            .collect()
    }
}
