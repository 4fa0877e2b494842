//! A value that has fallen against its own recent past.

use super::Fall;
use super::phase::Phase;
use super::series::Point;
use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// Parts of the window.
const PARTS: i64 = 8;
/// Room for the mean of each part.
const NO_MEANS: [f64; 8] = [0.0; 8];
/// Parts that must hold samples before there is a base.
const PARTS_NEEDED: usize = 3;

/// The recent past of a value, in parts of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Past {
    /// At most [`PARTS`], by number; the last one is the newest.
    parts: Vec<PastPart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct PastPart {
    /// Time since 1970 in lengths of a part.
    no: i64,
    sum: f64,
    count: u32,
}

impl Past {
    /// Median of the means of the parts of the window that ends with the part of `at_ms`.
    fn base(&self, rule: &Fall, at_ms: Millis) -> Option<f64> {
        let from = rule.part_no(at_ms) - PARTS + 1;
        let mut means = NO_MEANS;
        let mut filled = 0;
        for part in self.parts.iter().filter(|part| part.no >= from) {
            if let Some(mean) = means.get_mut(filled) {
                *mean = part.sum / f64::from(part.count);
                filled += 1;
            }
        }
        let means = means.get_mut(..filled)?;
        if filled < PARTS_NEEDED {
            return None;
        }
        means.sort_unstable_by(f64::total_cmp);
        let upper = *means.get(filled / 2)?;
        let lower = *means.get((filled - 1) / 2)?;
        Some(f64::midpoint(lower, upper))
    }

    /// Samples come in the order of their times.
    fn learn(&mut self, rule: &Fall, point: Point) {
        let no = rule.part_no(point.at_ms);
        match self.parts.last_mut() {
            Some(part) if part.no == no => {
                part.sum += point.value;
                part.count += 1;
            }
            _ => {
                self.parts.retain(|part| part.no > no - PARTS);
                self.parts.push(PastPart {
                    no,
                    sum: point.value,
                    count: 1,
                });
            }
        }
    }

    /// Forgets it, since the length of the parts has changed.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
    }
}

impl Fall {
    fn part_no(&self, at_ms: Millis) -> i64 {
        at_ms.div_euclid((i64::from(self.window_s) * 1_000 / PARTS).max(1))
    }

    pub(super) fn take(&self, phase: &mut Phase, past: &mut Past, point: Point) {
        let base = phase
            .frozen_base()
            .or_else(|| past.base(self, point.at_ms))
            .filter(|base| *base >= self.minimum_base);
        if phase.raised().is_some() {
            let recovered =
                base.is_none_or(|base| point.value >= base * self.recover_percent / 100.0);
            if recovered {
                phase.back(point);
                past.learn(self, point);
            }
            return;
        }
        match base {
            Some(base) if point.value <= base * (1.0 - self.fall_percent / 100.0) => {
                phase.out(point, base, i64::from(self.hold_s) * 1_000);
            }
            _ => {
                phase.back(point);
                past.learn(self, point);
            }
        }
    }
}
