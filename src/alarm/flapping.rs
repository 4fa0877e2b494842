//! Whether an alarm comes and goes: the weighted share of state changes of Icinga 2 (documentation,
//! "Check Flapping").
//!
//! - An alarm that is looked at twice a minute can change 20 times in ten minutes. The share is that
//!   of the changes that are seen, at most two a minute; the oldest counts 0.8 times, the newest 1.18
//!   times.
//! - It counts as unstable from the minute on in which the share reaches one threshold, until the
//!   whole minute in which it falls below the other, a lower one, is over.
//! - What is kept depends on the set of reports only, not on their order or repetition, and takes 24
//!   bytes.

use super::history::Mark;
use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// Shares of state changes, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlapThresholds {
    /// An alarm is unstable from this share on.
    pub raised_percent: u32,
    /// And stable again below this one; 1 at least.
    pub ended_percent: u32,
}

/// The thresholds of Icinga 2.
impl Default for FlapThresholds {
    fn default() -> Self {
        Self {
            raised_percent: 30,
            ended_percent: 25,
        }
    }
}

const MINUTE_MS: i64 = 60_000;
/// Minutes over which the share is taken, two samples each.
const WINDOW: i64 = 10;
const SAMPLES: u32 = 20;
/// Minutes that are kept, back from the newest.
const KEPT: i64 = 48;
const KEPT_BITS: u64 = (1 << KEPT) - 1;

/// In which minutes an alarm was reported to be there, and in which to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Minutes {
    /// Since 1970, of the newest report.
    newest: i64,
    /// The lowest bit is the newest minute.
    raised: u64,
    cleared: u64,
}

impl Minutes {
    pub(super) fn of(marks: &[Mark]) -> Self {
        let newest = marks.iter().map(|mark| minute(mark.at_ms)).max();
        let mut minutes = Self {
            newest: newest.unwrap_or_default(),
            raised: 0,
            cleared: 0,
        };
        for mark in marks {
            minutes.insert(*mark);
        }
        minutes
    }

    /// Takes a report; one that is older than what is kept changes nothing.
    pub(super) fn insert(&mut self, mark: Mark) {
        let minute = minute(mark.at_ms);
        if minute > self.newest {
            let by = u32::try_from(minute - self.newest).unwrap_or(u32::MAX);
            self.raised = self.raised.checked_shl(by).unwrap_or(0) & KEPT_BITS;
            self.cleared = self.cleared.checked_shl(by).unwrap_or(0) & KEPT_BITS;
            self.newest = minute;
        }
        let back = self.newest - minute;
        if back < KEPT {
            let bits = if mark.is_clear {
                &mut self.cleared
            } else {
                &mut self.raised
            };
            *bits |= 1 << back;
        }
    }

    /// State changes in the minute that lies so far back: both ways, or to the opposite of what the
    /// minute before with reports said, as far as it said only one thing.
    fn changes(&self, back: i64) -> u32 {
        let at = |bits: u64, back: i64| (0..KEPT).contains(&back) && bits >> back & 1 == 1;
        let (raised, cleared) = (at(self.raised, back), at(self.cleared, back));
        if raised == cleared {
            return 2 * u32::from(raised);
        }
        let before = (back + 1..KEPT).find(|&back| at(self.raised | self.cleared, back));
        let same = if raised { self.cleared } else { self.raised };
        u32::from(before.is_some_and(|before| at(same, before)))
    }

    /// Twenty times the weighted share in percent, for the ten minutes that end so far back.
    fn share_20(&self, back: i64) -> u32 {
        let minutes = (0..WINDOW).zip(0_u32..);
        let weighed = minutes.map(|(ago, nth)| {
            // The newer of the two samples of the minute, and the older.
            let newer = 80 + 2 * (SAMPLES - 1 - 2 * nth);
            match self.changes(back + ago) {
                0 => 0,
                1 => newer,
                _ => newer + newer - 2,
            }
        });
        weighed.sum()
    }

    /// Until when it counts as unstable if nothing more is reported; `None` if it never did lately.
    pub(super) fn unstable_until_ms(&self, thresholds: FlapThresholds) -> Option<Millis> {
        let (raised, ended) = (
            SAMPLES * thresholds.raised_percent,
            SAMPLES * thresholds.ended_percent.max(1),
        );
        let mut is_unstable = false;
        let mut last = None;
        for back in (-WINDOW..KEPT - WINDOW).rev() {
            let share = self.share_20(back);
            if share >= raised {
                is_unstable = true;
            } else if share < ended {
                is_unstable = false;
            }
            if is_unstable {
                last = Some(self.newest - back);
            }
        }
        last.map(|last| (last + 2) * MINUTE_MS)
    }
}

fn minute(at_ms: Millis) -> i64 {
    at_ms.div_euclid(MINUTE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const ICINGA: FlapThresholds = FlapThresholds {
        raised_percent: 30,
        ended_percent: 25,
    };

    fn marks(times_s: &[i64]) -> Vec<Mark> {
        let marks = times_s.iter().enumerate().map(|(turn, at_s)| Mark {
            at_ms: at_s * 1_000,
            is_clear: turn % 2 == 1,
        });
        marks.collect()
    }

    fn until_min(times_s: &[i64]) -> Option<i64> {
        let until_ms = Minutes::of(&marks(times_s)).unstable_until_ms(ICINGA);
        until_ms.map(|at| at / MINUTE_MS)
    }

    #[test]
    fn three_failures_within_ten_minutes_are_too_many_and_two_are_not() {
        assert_eq!(until_min(&[0, 20, 60, 80]), None);
        assert_eq!(until_min(&[0, 20, 60, 80, 120, 140]), Some(11));
        assert_eq!(until_min(&[0, 20, 240, 260, 480, 500]), Some(11));
        assert_eq!(until_min(&[0, 20, 300, 320, 600, 620]), None);
    }

    #[test]
    fn one_that_goes_on_all_the_time_is_unstable_for_longer_and_a_repeated_raise_is_nothing() {
        let often: Vec<i64> = (0..40).map(|n| n * 30).collect();
        assert_eq!(until_min(&often), Some(28));
        let raises: Vec<Mark> = (0..40)
            .map(|n| Mark {
                at_ms: n * 30_000,
                is_clear: false,
            })
            .collect();
        assert_eq!(Minutes::of(&raises).unstable_until_ms(ICINGA), None);
    }

    /// The definition, minute by minute, from all reports.
    fn reference(marks: &[Mark]) -> Option<Millis> {
        let newest = marks.iter().map(|m| minute(m.at_ms)).max()?;
        let mut said: BTreeMap<i64, [bool; 2]> = BTreeMap::new();
        for mark in marks {
            if minute(mark.at_ms) > newest - KEPT {
                let both = said.entry(minute(mark.at_ms)).or_default();
                both[usize::from(mark.is_clear)] = true;
            }
        }
        let mut changes: BTreeMap<i64, usize> = BTreeMap::new();
        let mut before: Option<[bool; 2]> = None;
        for (minute, both) in &said {
            let count = match (both, before) {
                ([true, true], _) => 2,
                (_, None) => 0,
                (now, Some(before)) => usize::from(*now != before),
            };
            changes.insert(*minute, count);
            before = Some(*both);
        }
        let share = |end: i64| -> f64 {
            let samples = (end - 9..=end).flat_map(|minute| {
                let count = changes.get(&minute).copied().unwrap_or(0);
                [count == 2, count >= 1]
            });
            let weighed = samples.enumerate().filter(|(_, changed)| *changed);
            let sum: f64 = weighed
                .map(|(at, _)| 0.8 + 0.02 * f64::from(u32::try_from(at).unwrap_or(0)))
                .sum();
            100.0 * sum / 20.0
        };
        let mut unstable = vec![false];
        let from = newest - KEPT + WINDOW + 1;
        for end in from..=newest + WINDOW {
            let was = unstable.last() == Some(&true);
            unstable.push(share(end) > 30.0 - 1e-6 || was && share(end) > 25.0 - 1e-6);
        }
        let last = unstable.iter().rposition(|u| *u)?;
        Some((from - 1 + i64::try_from(last).unwrap_or(0) + 2) * MINUTE_MS)
    }

    proptest! {
        #[test]
        fn it_is_the_weighted_share_whatever_the_order_and_the_repetition(
            spread in prop::sample::select(vec![5 * MINUTE_MS, 20 * MINUTE_MS, 90 * MINUTE_MS]),
            times in prop::collection::vec((0.0..1.0_f64, any::<bool>()), 1..40),
            seed in any::<u64>(),
        ) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a time in a test")]
            let marks: Vec<Mark> = times
                .iter()
                .map(|(at, is_clear)| Mark { at_ms: (at * spread as f64) as i64, is_clear: *is_clear })
                .collect();
            let known = Minutes::of(&marks);
            prop_assert_eq!(known.unstable_until_ms(ICINGA), reference(&marks));
            let mut shuffled = [marks.clone(), marks.clone()].concat();
            let mut state = seed;
            for at in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(at, (state >> 33) as usize % (at + 1));
            }
            let mut grown = Minutes::of(&shuffled[..1]);
            for mark in &shuffled {
                grown.insert(*mark);
            }
            prop_assert_eq!(grown, known);
        }
    }
}
