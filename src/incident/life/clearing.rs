//! While alarms of a cause clear one after another, what is left of them is no cause of its own.

use super::{Circumstances, Impact, Tracked};
use crate::incident::IncidentState;
use crate::incident::evidence::Summary;
use crate::incident::localise::is_within;
use crate::topology::{Network, Part};
use std::collections::HashSet;

impl Tracked {
    /// Whether the failure is only what is left of the present cause while its alarms clear, in
    /// whatever order they do: parts that the cause has cut off are causes themselves only when
    /// they outlast it, and what comes back behind one of several parts may show only then that something
    /// else has failed there.
    ///
    /// What grows meanwhile does not lengthen the wait.
    pub(super) fn is_clearing(
        &mut self,
        summary: &Summary,
        impact: &Impact,
        at: Circumstances<'_>,
    ) -> bool {
        let found: HashSet<&Part> = summary.parts.iter().collect();
        let gone = self.parts.iter().filter(|part| !found.contains(part));
        let gone: Vec<Part> = gone.copied().collect();
        let may_clear = self.incident.state == IncidentState::Confirmed
            && summary.stated.is_empty()
            && self.incident.declared.is_empty()
            && !self.network_changed
            // It has waited before it waits for what else is decided.
            && self.incident.life.leaving_since_ms.is_none()
            && !gone.is_empty()
            // What another incident has now is not back.
            && !gone.iter().any(|part| at.elsewhere.names(*part));
        if !may_clear {
            self.incident.life.clearing_since_ms = None;
            return false;
        }
        if !self.is_left_of_it(summary, impact, at.network) {
            return false;
        }
        let since = *self
            .incident
            .life
            .clearing_since_ms
            .get_or_insert(at.now_ms);
        let is_waiting = at.now_ms < since + at.settings.restore_quiet_ms;
        if !is_waiting {
            self.incident.life.clearing_since_ms = None;
        }
        is_waiting
    }

    /// Whether what is found is no more than what is known, and none of it lies beside that.
    fn is_left_of_it(&self, summary: &Summary, impact: &Impact, network: &Network) -> bool {
        let known: HashSet<&Part> = self.parts.iter().collect();
        let mut left = summary.parts.iter().filter(|part| !known.contains(part));
        let cut_off = network.cut_off(&self.parts);
        let is_less = impact.lost.len() < self.impact.lost.len()
            && is_within(&impact.lost, &self.impact.lost);
        left.all(|&part| {
            cut_off.takes(part, network) || is_less && self.takes_all_of(part, network)
        })
    }

    /// Whether a part takes only people whom the incident takes anyhow, or is a member of a group that is
    /// held to have failed.
    fn takes_all_of(&self, part: Part, network: &Network) -> bool {
        let lost = network.lost_alone_runs(part);
        let takes_some = !lost.is_empty() && self.impact.lost.covers(lost.as_slice());
        takes_some
            || self.parts.iter().any(|known| match known {
                Part::Group(group) => network.group_members(*group).contains(&part),
                _ => false,
            })
    }
}
