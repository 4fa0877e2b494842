//! A believed incident that seems to have grown: it takes in more people only when what speaks for
//! that has stood as long as it would have to for an incident of its own.
//!
//! Until then it stands for what it stood for: whoever is told of it is somebody of whom it is
//! believed. What clears meanwhile leaves nothing behind.

use super::{Circumstances, Impact, Tracked, outgrows};
use crate::alarm::RETENTION_MS;
use crate::clock::Millis;
use crate::incident::evidence::{Summary, describe, median};
use crate::incident::localise::is_within;
use crate::incident::reasoning::alarms;
use crate::incident::{EVIDENCE_KEPT, Evidence, IncidentState, TimelineKind};
use crate::topology::{Network, SubscriberSet};

/// What becomes of a failure that takes in more people than an incident is believed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// It takes in no more, or is believed.
    Believed,
    /// It is not believed yet.
    Awaited,
    /// Nothing is left of what is believed, and what else there is nobody believes by itself.
    Uprooted,
}

/// Whether what takes in these people is too old for anything new ([`Summary::is_left_over`]): as far as
/// they say themselves since when they are dark, else by all that speaks for it.
fn is_left_over(
    more: &SubscriberSet,
    summary: &Summary,
    since_ms: Millis,
    at: Circumstances<'_>,
) -> bool {
    let network = at.network;
    let homes = more
        .iter()
        .flat_map(|rank| network.serving(network.subscriber_at_rank(rank)));
    let dark = homes.filter_map(|home| at.candidates.dark_since_ms(home));
    let mut dark: Vec<Millis> = dark.collect();
    let are_most = 2 * dark.len() >= more.len();
    match median(&mut dark).filter(|_| are_most) {
        Some(half_ms) => since_ms > half_ms + RETENTION_MS,
        None => summary.is_left_over(since_ms),
    }
}

impl Tracked {
    /// Whether the failure takes in people of whom it is not believed yet that they lost service by
    /// it.
    pub(super) fn growth(
        &mut self,
        summary: &Summary,
        impact: &Impact,
        at: Circumstances<'_>,
    ) -> Growth {
        let is_larger = self.incident.state == IncidentState::Confirmed
            && summary.stated.is_empty()
            && self.incident.declared.is_empty()
            && !self.network_changed
            && self.parts != summary.parts
            && !is_within(&impact.lost, &self.impact.lost);
        if !is_larger {
            if self.incident.life.growing_since_ms.is_some() {
                let reason = "what spoke for more is gone".to_owned();
                self.note(TimelineKind::Suspected, reason, at.now_ms);
            }
            self.forget_growth();
            return Growth::Believed;
        }
        let affected = impact.lost.len();
        let life = &mut self.incident.life;
        let is_new = life.growing_since_ms.is_none();
        life.growing_since_ms.get_or_insert(at.now_ms);
        let more = impact.lost.difference(&self.impact.lost);
        let people = more.len() as u64;
        if outgrows(people, life.growth_scope) {
            life.growth_scope = people;
            life.growth_backed_since_ms = None;
        }
        life.growth_scope = life.growth_scope.min(people);
        let hold_down_ms = at.settings.hold_down_of(summary.kind, affected as u64);
        let backed_ms = life.growth_backed_since_ms;
        let wait_ms = if life.is_growth_believed {
            Some(0)
        } else if is_left_over(&more, summary, backed_ms.unwrap_or(at.now_ms), at) {
            None
        } else if !summary.has_company() {
            let lone_ms = at.settings.lone_alarm_ms;
            lone_ms.map(|lone_ms| lone_ms.max(hold_down_ms))
        } else {
            Some(hold_down_ms)
        };
        // The time of what nobody would have believed does not count.
        life.growth_backed_since_ms = wait_ms.map(|_| backed_ms.unwrap_or(at.now_ms));
        let until_ms = life.growth_backed_since_ms.zip(wait_ms);
        let until_ms = until_ms.map(|(since_ms, wait_ms)| since_ms + wait_ms);
        if until_ms.is_some_and(|until_ms| at.now_ms >= until_ms) {
            self.forget_growth();
            return Growth::Believed;
        }
        if until_ms.is_none() && self.is_uprooted(summary, at.network) {
            return Growth::Uprooted;
        }
        self.growing_until_ms = until_ms;
        if is_new {
            let reason = format!(
                "may have grown: {}; {}",
                describe(&summary.parts, summary.kind, affected, at.network),
                alarms(summary.evidence_count)
            );
            self.note(TimelineKind::Suspected, reason, at.now_ms);
        }
        Growth::Awaited
    }

    /// Nothing larger is seen any more, or it is believed.
    pub(super) fn forget_growth(&mut self) {
        self.growing_until_ms = None;
        self.incident.life.growing_since_ms = None;
        self.incident.life.growth_backed_since_ms = None;
        self.incident.life.growth_scope = 0;
        self.incident.life.is_growth_believed = false;
    }

    /// Goes on as it was while more is not believed.
    pub(super) fn wait_to_grow(&mut self, summary: &Summary, at: Circumstances<'_>) {
        self.taken = None;
        self.is_touched = true;
        let incident = &mut self.incident;
        incident.evidence.clone_from(&summary.evidence);
        incident.evidence_count = summary.evidence_count;
        incident.life.newest_raise_ms = Some(summary.newest_raise_ms);
        incident.life.quiet_since_ms = None;
        incident.life.last_clear_ms = None;
        self.judge_trust(summary, at);
    }

    /// Ends like others, and holds what speaks for more until it has ended.
    pub(super) fn wait_uprooted(&mut self, summary: &Summary, at: Circumstances<'_>) {
        let is_new = |e: &&Evidence| {
            let mut others = summary.evidence.iter();
            !others.any(|other| other.key == e.key && other.source == e.source)
        };
        let known = self.incident.evidence.iter().filter(is_new);
        let mut evidence: Vec<Evidence> = known.chain(&summary.evidence).cloned().collect();
        evidence.sort_unstable();
        evidence.truncate(EVIDENCE_KEPT);
        self.incident.evidence = evidence;
        self.wait_in_quiet(at);
    }

    /// Whether no alarm is left of what it stands for.
    fn is_uprooted(&self, summary: &Summary, network: &Network) -> bool {
        let cut = network.cut_off(&self.parts);
        let mut resources = summary.evidence.iter().map(|e| &e.key.resource);
        !resources.any(|id| {
            let part = network.part(id);
            part.is_some_and(|part| self.parts.contains(&part) || cut.takes(part, network))
        })
    }

    /// Takes over what another incident, which was believed, stood for; only that, if it was not
    /// believed itself.
    pub(super) fn stand_for_believed(&mut self, other: &Self, network: &Network) {
        if self.incident.state == IncidentState::Suspected {
            self.parts.clear();
        }
        self.parts.extend(&other.parts);
        self.parts
            .sort_unstable_by_key(|&part| network.part_id(part));
        self.parts.dedup();
        self.impact = Impact::of(&self.parts, network);
        self.note_parts(network);
        self.count_impact();
        self.taken = None;
    }
}
