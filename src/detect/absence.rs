//! Samples that no longer come, by the clock of their source.
//!
//! The clock of a source is the latest time of its samples; heartbeats carry it on. One step of it
//! counts as one interval at most, unless the source is known to have been alive meanwhile: after an
//! outage of the source or of the service the resources get the time to be heard again.

use super::Absence;
use super::source_clock::{SHORTEST_LEAP_MS, SourceClock};
use crate::clock::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Gaps from which an interval is learnt.
const GAPS_KEPT: usize = 8;
/// Gaps before anything is learnt.
const GAPS_NEEDED: usize = 4;
/// A resource that reports several times at once has not promised to do so for ever.
const SHORTEST_LEARNT_MS: i64 = SHORTEST_LEAP_MS;

/// When one resource was heard.
#[allow(clippy::struct_field_names, reason = "the unit of times stands last")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Presence {
    /// Time of its newest sample.
    last_ms: Millis,
    /// Clock of the source when that came.
    pub(super) seen_ms: Millis,
    /// What of the time since then does not count, as far as it was asked.
    uncounted_ms: i64,
    /// The latest ones, oldest first.
    gaps_ms: Vec<i64>,
    /// Time of the raise, as it was said.
    pub(super) absent_since_ms: Option<Millis>,
    /// Time of the latest clear.
    cleared_ms: Option<Millis>,
}

/// The resources of one source under one rule.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    pub(super) resources: HashMap<Arc<str>, Presence>,
    /// When each is overdue, by the clock of the source; none that is absent or has no interval.
    due: BTreeSet<(Millis, Arc<str>)>,
}

impl Presence {
    fn new(at_ms: Millis, clock_ms: Millis) -> Self {
        Self {
            last_ms: at_ms,
            seen_ms: clock_ms,
            uncounted_ms: 0,
            gaps_ms: Vec::new(),
            absent_since_ms: None,
            cleared_ms: None,
        }
    }

    /// Promised or learnt.
    pub(super) fn interval_ms(&self, rule: &Absence) -> Option<i64> {
        if rule.interval_s > 0 {
            return Some(i64::from(rule.interval_s) * 1_000);
        }
        if self.gaps_ms.len() < GAPS_NEEDED {
            return None;
        }
        let mut gaps = self.gaps_ms.clone();
        gaps.sort_unstable();
        let median = gaps.get(gaps.len() / 2).copied();
        median.map(|gap| gap.max(SHORTEST_LEARNT_MS))
    }

    fn due_ms(&self, rule: &Absence) -> Option<Millis> {
        if self.absent_since_ms.is_some() {
            return None;
        }
        let interval_ms = self.interval_ms(rule)?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "both are bounded by the settings: far below 2^53"
        )]
        let patience_ms = (interval_ms as f64 * rule.intervals) as i64;
        Some(self.seen_ms + self.uncounted_ms + patience_ms)
    }
}

impl Attendance {
    /// A sample of the resource: the time at which an absence ends with it.
    pub(super) fn heard(
        &mut self,
        rule: &Absence,
        resource: &str,
        at_ms: Millis,
        clock_ms: Millis,
    ) -> Option<Millis> {
        let Some((name, _)) = self.resources.get_key_value(resource) else {
            let name: Arc<str> = resource.into();
            let presence = Presence::new(at_ms, clock_ms);
            self.plan(rule, &name, &presence);
            self.resources.insert(name, presence);
            return None;
        };
        let name = Arc::clone(name);
        let presence = self.resources.get_mut(&name)?;
        // An old sample, or the same again, is no sign of life.
        if at_ms <= presence.last_ms {
            return None;
        }
        if let Some(due_ms) = presence.due_ms(rule) {
            self.due.remove(&(due_ms, Arc::clone(&name)));
        }
        if presence.gaps_ms.len() == GAPS_KEPT {
            presence.gaps_ms.remove(0);
        }
        presence.gaps_ms.push(at_ms - presence.last_ms);
        presence.last_ms = at_ms;
        presence.seen_ms = clock_ms;
        presence.uncounted_ms = 0;
        let ended = presence
            .absent_since_ms
            .take()
            .map(|since| at_ms.max(since + 1));
        presence.cleared_ms = ended.or(presence.cleared_ms);
        if let Some(due_ms) = presence.due_ms(rule) {
            self.due.insert((due_ms, name));
        }
        ended
    }

    fn plan(&mut self, rule: &Absence, name: &Arc<str>, presence: &Presence) {
        if let Some(due_ms) = presence.due_ms(rule) {
            self.due.insert((due_ms, Arc::clone(name)));
        }
    }

    /// The clock has moved: who is absent now, and since when.
    pub(super) fn overdue(
        &mut self,
        rule: &Absence,
        clock: &SourceClock,
    ) -> Vec<(Arc<str>, Millis)> {
        let mut absent = Vec::new();
        while let Some((due_ms, _)) = self.due.first()
            && *due_ms < clock.now_ms
            && let Some((_, name)) = self.due.pop_first()
        {
            let Some(presence) = self.resources.get_mut(&name) else {
                continue;
            };
            let Some(interval_ms) = presence.interval_ms(rule) else {
                continue;
            };
            presence.uncounted_ms = clock.uncounted_ms(presence.seen_ms, interval_ms);
            if let Some(due_ms) = presence
                .due_ms(rule)
                .filter(|due_ms| *due_ms >= clock.now_ms)
            {
                self.due.insert((due_ms, name));
                continue;
            }
            // The first sample that should have come.
            let first_missing_ms = presence.last_ms + interval_ms;
            let since_ms = presence.cleared_ms.map_or(first_missing_ms, |cleared| {
                first_missing_ms.max(cleared + 1)
            });
            presence.absent_since_ms = Some(since_ms);
            absent.push((name, since_ms));
        }
        absent
    }

    /// When the first of them is overdue.
    pub(super) fn next_due_ms(&self) -> Option<Millis> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Plans all of them anew, for a rule that has changed or a book that was read.
    pub(super) fn plan_anew(&mut self, rule: &Absence) {
        self.due = self
            .resources
            .iter()
            .filter_map(|(name, presence)| Some((presence.due_ms(rule)?, Arc::clone(name))))
            .collect();
    }

    /// Keeps those for which `keep` holds.
    pub(super) fn retain(&mut self, rule: &Absence, keep: impl Fn(&str, &Presence) -> bool) {
        let before = self.resources.len();
        self.resources.retain(|name, presence| keep(name, presence));
        if self.resources.len() < before {
            self.plan_anew(rule);
        }
    }
}
