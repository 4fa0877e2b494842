//! How far a condition has come that must hold for a time: normal, pending, raised.

use super::series::Point;
use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// Where a condition stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Phase {
    step: Step,
    /// When it was cleared last.
    ended_ms: Option<Millis>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Step {
    #[default]
    Normal,
    Pending {
        since_ms: Millis,
        base: f64,
    },
    Raised(Raised),
}

/// A condition that has held for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Raised {
    /// First sample out of the ordinary.
    pub(super) since_ms: Millis,
    /// What the value was compared with.
    pub(super) base: f64,
    /// The value that raised it.
    pub(super) value: f64,
}

impl Phase {
    pub(super) fn raised(&self) -> Option<Raised> {
        match self.step {
            Step::Raised(raised) => Some(raised),
            _ => None,
        }
    }

    pub(super) fn ended_ms(&self) -> Option<Millis> {
        self.ended_ms
    }

    /// What values are compared with while the condition is pending or raised.
    pub(super) fn frozen_base(&self) -> Option<f64> {
        match self.step {
            Step::Normal => None,
            Step::Pending { base, .. } | Step::Raised(Raised { base, .. }) => Some(base),
        }
    }

    /// The value is out of the ordinary, compared with `base`.
    pub(super) fn out(&mut self, point: Point, base: f64, hold_ms: i64) {
        let since_ms = match self.step {
            Step::Raised(_) => return,
            Step::Pending { since_ms, .. } => since_ms,
            Step::Normal => point.at_ms,
        };
        self.step = if point.at_ms - since_ms >= hold_ms {
            Step::Raised(Raised {
                since_ms,
                base,
                value: point.value,
            })
        } else {
            Step::Pending { since_ms, base }
        };
    }

    /// The value is ordinary again.
    pub(super) fn back(&mut self, point: Point) {
        if self.raised().is_some() {
            self.ended_ms = Some(point.at_ms);
        }
        self.step = Step::Normal;
    }
}
