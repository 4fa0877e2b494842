//! When one alarm was active, from reports that may come in any order.
//!
//! Invariant: within what is kept ([`MARKS_KEPT`] reports, [`HISTORY_MS`] back from the latest), the
//! result depends on the set of reports only, not on their order or repetition.

use super::flapping::{FlapThresholds, Minutes};
use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// Reports of one alarm that are kept one by one; older ones are folded into one state.
const MARKS_KEPT: usize = 32;
/// How far back from the latest report the reports are kept one by one, in milliseconds.
const HISTORY_MS: i64 = 3_600_000;

/// One report: at this instant the condition was there, or had ended.
///
/// At the same instant a clear comes after a raise, so that a repeated raise cannot undo it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) at_ms: Millis,
    pub(super) is_clear: bool,
}

/// What the folded reports amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Folded {
    last_ms: Millis,
    /// Begin of the activity that still went on then.
    active_since_ms: Option<Millis>,
}

/// The reports of one alarm, by the clock of its source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    folded: Option<Folded>,
    /// Sorted, without repetition.
    marks: Vec<Mark>,
    /// Of an alarm that has ended and was reported three times at least: few come and go.
    minutes: Option<Box<Minutes>>,
}

/// A time of activity; `end_ms` is `None` while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub start_ms: Millis,
    pub end_ms: Option<Millis>,
}

impl History {
    /// Takes a report; one older than what is kept is ignored. For `again_ms` see [`Self::intervals`].
    pub(super) fn insert(&mut self, mark: Mark, again_ms: i64) {
        if let Some(minutes) = &mut self.minutes {
            minutes.insert(mark);
        }
        if self.folded.is_some_and(|f| mark.at_ms <= f.last_ms) {
            return;
        }
        if self
            .latest_ms()
            .is_some_and(|last| mark.at_ms < last - HISTORY_MS)
        {
            return;
        }
        if let Err(place) = self.marks.binary_search(&mark) {
            if self.marks.is_empty() {
                // Most alarms of a storm are reported once.
                self.marks.reserve_exact(1);
            }
            self.marks.insert(place, mark);
            if self.minutes.is_none() && self.marks.len() > 2 && self.has_ended() {
                self.minutes = Some(Box::new(Minutes::of(&self.marks)));
            }
            self.fold(again_ms);
        }
    }

    fn has_ended(&self) -> bool {
        self.marks.iter().any(|mark| mark.is_clear)
    }

    /// Until when it counts as coming and going if nothing more is reported.
    pub(super) fn unstable_until_ms(&self, thresholds: FlapThresholds) -> Option<Millis> {
        self.minutes.as_ref()?.unstable_until_ms(thresholds)
    }

    fn fold(&mut self, again_ms: i64) {
        let Some(last_ms) = self.marks.last().map(|m| m.at_ms) else {
            return;
        };
        let too_many = self.marks.len().saturating_sub(MARKS_KEPT);
        let old = self
            .marks
            .partition_point(|m| m.at_ms < last_ms - HISTORY_MS)
            .max(too_many);
        for mark in self.marks.drain(..old) {
            let active_since_ms = match self.folded {
                _ if mark.is_clear => None,
                Some(Folded {
                    active_since_ms: Some(since),
                    last_ms,
                }) if mark.at_ms - last_ms < again_ms => Some(since),
                _ => Some(mark.at_ms),
            };
            self.folded = Some(Folded {
                last_ms: mark.at_ms,
                active_since_ms,
            });
        }
    }

    /// Instant of the latest report.
    pub(super) fn latest_ms(&self) -> Option<Millis> {
        self.marks
            .last()
            .map(|m| m.at_ms)
            .or(self.folded.map(|f| f.last_ms))
    }

    /// Whether the latest report says that the condition is there.
    pub(super) fn is_active(&self) -> bool {
        match self.marks.last() {
            Some(mark) => !mark.is_clear,
            None => self.folded.is_some_and(|f| f.active_since_ms.is_some()),
        }
    }

    /// The times of activity, oldest first; a clear ends one, further clears change nothing. A report
    /// that the condition is there, `again_ms` or more after the one before, begins a new one: the end
    /// between them was not reported, and is put where the condition was last seen.
    pub(super) fn intervals(&self, again_ms: i64) -> impl Iterator<Item = Interval> + '_ {
        let mut open = self.folded.and_then(|f| f.active_since_ms);
        let mut last_ms = self.folded.map_or(0, |f| f.last_ms);
        let mut marks = self.marks.iter();
        let mut ended = false;
        std::iter::from_fn(move || {
            for mark in marks.by_ref() {
                let before_ms = std::mem::replace(&mut last_ms, mark.at_ms);
                match (open, mark.is_clear) {
                    (None, false) => open = Some(mark.at_ms),
                    (Some(start_ms), false) if mark.at_ms - before_ms >= again_ms => {
                        open = Some(mark.at_ms);
                        return Some(Interval {
                            start_ms,
                            end_ms: Some(before_ms),
                        });
                    }
                    (Some(start_ms), true) => {
                        open = None;
                        return Some(Interval {
                            start_ms,
                            end_ms: Some(mark.at_ms),
                        });
                    }
                    _ => {}
                }
            }
            let last = if ended { None } else { open };
            ended = true;
            last.map(|start_ms| Interval {
                start_ms,
                end_ms: None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEVER: i64 = i64::MAX;

    fn raise(at_ms: Millis) -> Mark {
        Mark {
            at_ms,
            is_clear: false,
        }
    }

    fn clear(at_ms: Millis) -> Mark {
        Mark {
            at_ms,
            is_clear: true,
        }
    }

    #[test]
    fn a_late_raise_does_not_undo_a_newer_clear() {
        let mut history = History::default();
        for mark in [raise(1), clear(5), raise(3), raise(5)] {
            history.insert(mark, NEVER);
        }
        assert!(!history.is_active());
        let seen: Vec<_> = history.intervals(NEVER).collect();
        assert_eq!(
            seen,
            [Interval {
                start_ms: 1,
                end_ms: Some(5)
            }]
        );
    }

    #[test]
    fn what_is_said_again_much_later_began_again() {
        let orders = [[1, 10, 60], [60, 10, 1], [10, 60, 1], [60, 1, 10]];
        for order in orders {
            let mut history = History::default();
            for at_ms in order {
                history.insert(raise(at_ms), 50);
            }
            let seen: Vec<_> = history.intervals(50).map(|i| i.start_ms).collect();
            assert_eq!(seen, [1, 60]);
        }
        // Also when what was said before is kept no longer.
        let mut history = History::default();
        for at_ms in [1, 10, 2 * HISTORY_MS, 4 * HISTORY_MS] {
            history.insert(raise(at_ms), 50);
        }
        let last = history.intervals(50).last();
        assert_eq!(last.map(|i| i.start_ms), Some(4 * HISTORY_MS));
    }

    #[test]
    fn an_alarm_repeated_for_days_keeps_its_begin_and_its_size() {
        let mut history = History::default();
        for minute in 0..10_000 {
            history.insert(raise(minute * 60_000), NEVER);
        }
        assert!(history.marks.len() <= MARKS_KEPT);
        assert_eq!(history.intervals(NEVER).next().map(|i| i.start_ms), Some(0));
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_matter(
            marks in prop::collection::vec((0..HISTORY_MS, any::<bool>()), 1..20),
            seed in any::<u64>(),
        ) {
            let marks: Vec<Mark> = marks
                .into_iter()
                .map(|(at_ms, is_clear)| Mark { at_ms, is_clear })
                .collect();
            let mut sorted = marks.clone();
            sorted.sort_unstable();
            let mut shuffled = [marks.clone(), marks].concat();
            let mut state = seed;
            for at in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(at, (state >> 33) as usize % (at + 1));
            }
            let fill = |marks: &[Mark]| {
                let mut history = History::default();
                for mark in marks {
                    history.insert(*mark, NEVER);
                }
                history
            };
            prop_assert_eq!(fill(&sorted), fill(&shuffled));
        }
    }
}
