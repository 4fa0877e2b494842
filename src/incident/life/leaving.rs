//! A believed incident does not let people go to a failure that nobody believes yet: they would hear
//! that service is back while they are without it.

use super::{Circumstances, Impact, Tracked};
use crate::clock::Millis;
use crate::incident::evidence::Summary;
use crate::incident::localise::is_within;
use crate::incident::matching::Found;
use crate::incident::{IncidentNo, IncidentState};
use crate::topology::{Network, SubscriberSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The failures of one instant, the incidents that have them, and whom those are believed to take.
#[derive(Debug, Default)]
pub(in crate::incident) struct Elsewhere<'a> {
    found: &'a [Found],
    assigned: &'a [Option<IncidentNo>],
    believed: BTreeMap<IncidentNo, Arc<SubscriberSet>>,
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
        }
    }

    /// Whether one of these people is behind a failure of another incident, or of none, and not
    /// believed to be.
    fn suspects(&self, no: IncidentNo, people: &SubscriberSet) -> bool {
        let mut others = self.found.iter().zip(self.assigned);
        others.any(|(found, holder)| {
            let of_both = || people.intersection(&found.impact.lost);
            *holder != Some(no)
                && match holder.and_then(|holder| self.believed.get(&holder)) {
                    Some(believed) => !is_within(&of_both(), believed),
                    None => !of_both().is_empty(),
                }
        })
    }
}

impl Tracked {
    /// Whether people whom it has, and most of whom are still heard to be without service, would go
    /// over to what is only suspected. It waits for a decision, but no longer than one may take.
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
            !leaving.is_empty()
                && self.are_dark(&leaving, at)
                && at.elsewhere.suspects(self.incident.no, &leaving)
        };
        let life = &mut self.incident.life;
        if !is_leaving {
            life.leaving_since_ms = None;
            return false;
        }
        let since: Millis = *life.leaving_since_ms.get_or_insert(at.now_ms);
        let is_waiting = at.now_ms < since + at.settings.decide_within_ms;
        if !is_waiting {
            life.leaving_since_ms = None;
        }
        is_waiting
    }

    /// Whether most of these people say that they are dark, or what took them still does.
    fn are_dark(&self, people: &SubscriberSet, at: Circumstances<'_>) -> bool {
        let network: &Network = at.network;
        let is_dark = |rank: &u32| {
            let mut homes = network.serving(network.subscriber_at_rank(*rank));
            homes.any(|home| at.candidates.dark_since_ms(home).is_some())
        };
        let mut parts = self.parts.iter();
        parts.any(|&part| at.candidates.has_alarm(part))
            || 2 * people.iter().filter(is_dark).count() >= people.len()
    }
}
