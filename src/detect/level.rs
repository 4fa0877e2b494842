//! A value beyond a level, with hysteresis.

use super::phase::Phase;
use super::series::Point;
use super::{Direction, Threshold};

impl Threshold {
    pub(super) fn take(&self, phase: &mut Phase, point: Point) {
        let (is_out, is_back) = match self.direction {
            Direction::Above => (point.value >= self.raise_at, point.value <= self.clear_at),
            Direction::Below => (point.value <= self.raise_at, point.value >= self.clear_at),
        };
        if phase.raised().is_some() {
            if is_back {
                phase.back(point);
            }
        } else if is_out {
            phase.out(point, self.raise_at, i64::from(self.hold_s) * 1_000);
        } else {
            phase.back(point);
        }
    }
}
