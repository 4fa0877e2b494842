//! A believed incident does not let people go to a failure that nobody believes yet: they would hear
//! that service is back while they are without it.

use super::{Circumstances, Impact, Tracked};
use crate::clock::Millis;
use crate::incident::evidence::Summary;
use crate::incident::localise::is_within;
use crate::incident::matching::Found;
use crate::incident::{IncidentNo, IncidentState};
use crate::topology::{Network, Part, SubscriberSet};
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The failures of one instant, the incidents that have them, and whom those are believed to take.
#[derive(Debug, Default)]
pub(in crate::incident) struct Elsewhere<'a> {
    found: &'a [Found],
    assigned: &'a [Option<IncidentNo>],
    believed: BTreeMap<IncidentNo, Arc<SubscriberSet>>,
    /// The parts of all failures, once somebody has asked.
    parts: OnceCell<HashSet<Part>>,
}

impl<'a> Elsewhere<'a> {
    pub(in crate::incident) fn of(
        found: &'a [Found],
        assigned: &'a [Option<IncidentNo>],
        tracked: &BTreeMap<IncidentNo, Tracked>,
    ) -> Self {
        let confirmed = tracked
            .iter()
            .filter(|(_, tracked)| tracked.incident.state == IncidentState::Confirmed);
        Self {
            found,
            assigned,
            believed: confirmed
                .map(|(no, tracked)| (*no, Arc::clone(&tracked.impact.lost)))
                .collect(),
            parts: OnceCell::new(),
        }
    }

    /// Whether any failure is of this part, among others.
    pub(super) fn names(&self, part: Part) -> bool {
        let parts = self.parts.get_or_init(|| {
            let parts = self.found.iter().map(|found| &found.summary.parts);
            parts.flatten().copied().collect()
        });
        parts.contains(&part)
    }

    fn others(&self, no: IncidentNo) -> impl Iterator<Item = (&Found, &Option<IncidentNo>)> {
        let others = self.found.iter().zip(self.assigned);
        others.filter(move |(_, holder)| **holder != Some(no))
    }

    /// The parts of failures of another incident, or of none, that take some of these people and more only
    /// if more than a lone alarm says so; `own` are all the people of the incident.
    fn parts_behind(
        &self,
        no: IncidentNo,
        people: &SubscriberSet,
        own: &SubscriberSet,
    ) -> Vec<Part> {
        let others = self.others(no).map(|(found, _)| found);
        let taking = others.filter(|found| {
            let lost = &found.impact.lost;
            (found.summary.has_company() || is_within(lost, own))
                && !people.intersection(lost).is_empty()
        });
        taking
            .flat_map(|found| found.summary.parts.clone())
            .collect()
    }

    /// Those of these people who are behind a failure of another incident, or of none, and not believed
    /// to be behind any.
    fn suspected(&self, no: IncidentNo, people: &SubscriberSet) -> SubscriberSet {
        let mut suspected = SubscriberSet::new();
        let mut believed = SubscriberSet::new();
        for (found, holder) in self.others(no) {
            let behind = people.intersection(&found.impact.lost);
            if behind.is_empty() {
                continue;
            }
            if let Some(known) = holder.and_then(|holder| self.believed.get(&holder)) {
                believed = believed.union(&behind.intersection(known));
            }
            suspected = suspected.union(&behind);
        }
        suspected.difference(&believed)
    }
}

impl Tracked {
    /// Whether most of the people whom it would have no longer are still heard to be without service, and
    /// behind what is only suspected. It waits for a decision, but no longer than one may take.
    pub(super) fn is_leaving(
        &mut self,
        summary: &Summary,
        impact: &Impact,
        at: Circumstances<'_>,
    ) -> bool {
        let may_leave = self.incident.state == IncidentState::Confirmed
            && summary.stated.is_empty()
            && self.incident.declared.is_empty()
            && !self.network_changed
            && self.parts != summary.parts;
        let is_leaving = may_leave && {
            let leaving = self.impact.lost.difference(&impact.lost);
            let suspected = at.elsewhere.suspected(self.incident.no, &leaving);
            !suspected.is_empty() && 2 * self.still_dark(&suspected, at) >= leaving.len()
        };
        let life = &mut self.incident.life;
        if !is_leaving {
            life.leaving_since_ms = None;
            return false;
        }
        // It waits for this instead.
        life.clearing_since_ms = None;
        let since: Millis = *life.leaving_since_ms.get_or_insert(at.now_ms);
        let is_waiting = at.now_ms < since + at.settings.decide_within_ms;
        if !is_waiting {
            life.leaving_since_ms = None;
        }
        is_waiting
    }

    /// How many of these people say that they are dark, or are behind a failed part that says that it is,
    /// of this incident or another.
    fn still_dark(&self, people: &SubscriberSet, at: Circumstances<'_>) -> usize {
        let network: &Network = at.network;
        let no = self.incident.no;
        let mut alarmed = at.elsewhere.parts_behind(no, people, &self.impact.lost);
        alarmed.extend(&self.parts);
        alarmed.retain(|&part| at.candidates.has_alarm(part));
        let behind = network.lost(&alarmed);
        let is_dark = |rank: &u32| {
            let mut homes = network.serving(network.subscriber_at_rank(*rank));
            behind.contains(*rank) || homes.any(|home| at.candidates.dark_since_ms(home).is_some())
        };
        people.iter().filter(is_dark).count()
    }
}
