//! Which incident holds which failures: mergers, splits, openings, and a step for each.

use super::Correlator;
use crate::clock::Millis;
use crate::incident::declared::combined_impact;
use crate::incident::evidence::combine;
use crate::incident::life::{Circumstances, Elsewhere, Impact, Tracked};
use crate::incident::localise::is_within;
use crate::incident::matching::{Found, Group, can_reopen, recurring, separable};
use crate::incident::{Incident, IncidentNo, IncidentState};
use crate::topology::Part;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Correlator {
    /// Ends the open incidents whose failure another incident took over.
    pub(super) fn merge(&mut self, assigned: &[Option<IncidentNo>], now_ms: Millis) {
        let matching = self.matching();
        let mut pairs: Vec<(IncidentNo, IncidentNo)> = Vec::new();
        for (no, tracked) in &self.tracked {
            if !tracked.incident.state.is_open() || assigned.contains(&Some(*no)) {
                continue;
            }
            let survivor = assigned
                .iter()
                .enumerate()
                .filter(|(at, _)| matching.goes_on_in(tracked, *at))
                .filter_map(|(_, survivor)| *survivor)
                .min();
            pairs.extend(survivor.map(|survivor| (*no, survivor)));
        }
        for (no, survivor) in pairs {
            let Some(mut merged) = self.tracked.remove(&no) else {
                continue;
            };
            if let Some(survivor) = self.tracked.get_mut(&survivor) {
                merged.merge_into(survivor, &self.network, now_ms);
            }
            self.tracked.insert(no, merged);
        }
    }

    /// Failures that have stood side by side in one incident for the hold-down go apart, but for
    /// those that an operator has put together: those with the most people keep the number.
    pub(super) fn split(&mut self, assigned: &mut [Option<IncidentNo>], now_ms: Millis) {
        let claims = self.claims(now_ms);
        for (no, failures) in failures_of(assigned) {
            let Some(tracked) = self.tracked.get(&no) else {
                continue;
            };
            let changed_ms = tracked.incident.life.failures_changed_ms;
            if failures.len() < 2 || now_ms < changed_ms + self.settings.hold_down_ms {
                continue;
            }
            let mut groups = separable(together(&failures, &claims, &self.found), &self.found);
            if groups.len() < 2 || !self.are_found(&failures, &tracked.found) {
                continue;
            }
            let mut parent = tracked.incident.clone();
            if parent.state == IncidentState::Suspected {
                // How long something else was suspected says nothing of what goes apart.
                parent.detected_ms = changed_ms;
            }
            let believed = Arc::clone(&tracked.impact.lost);
            let mut claims: BTreeMap<IncidentNo, usize> = BTreeMap::new();
            let mut kept = failures;
            for (claim, failures) in groups.drain(1..) {
                kept.retain(|at| !failures.contains(at));
                // What it was not believed of is not believed because it goes apart.
                let mut lost = failures.iter().map(|at| &self.found[*at].impact.lost);
                let is_known = claim.is_some() || lost.all(|lost| is_within(lost, &believed));
                let parent = Some(&parent).filter(|_| is_known);
                let new = self.open_one(failures[0], parent, now_ms);
                claims.extend(claim.map(|(_, at)| (new, at)));
                for at in failures {
                    assigned[at] = Some(new);
                }
            }
            self.give_claims(no, claims);
            let parts = self.parts_of(&kept);
            if let Some(parent) = self.tracked.get_mut(&no) {
                parent.keep_after_split(parts, &self.network, now_ms);
            }
        }
    }

    /// Whether the failures are of exactly these parts, which are sorted by id.
    fn are_found(&self, failures: &[usize], found: &[Part]) -> bool {
        self.parts_of(failures) == found
    }

    /// The parts of these failures, sorted by id.
    fn parts_of(&self, failures: &[usize]) -> Vec<Part> {
        let failures = failures.iter().map(|at| &self.found[*at].summary.parts);
        let mut parts: Vec<Part> = failures.flatten().copied().collect();
        parts.sort_unstable_by_key(|&part| self.network.part_id(part));
        parts.dedup();
        parts
    }

    /// Each claim goes with its failures.
    fn give_claims(&mut self, from: IncidentNo, to: BTreeMap<IncidentNo, usize>) {
        let mut to: Vec<(IncidentNo, usize)> = to.into_iter().collect();
        to.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        for (no, at) in to {
            let Some(mut new) = self.tracked.remove(&no) else {
                continue;
            };
            if let Some(old) = self.tracked.get_mut(&from) {
                old.give_claims(&mut new, vec![at], &self.network);
            }
            self.tracked.insert(no, new);
        }
    }

    /// Opens or reopens incidents for the failures that belong to none, once they have gathered.
    pub(super) fn open(
        &mut self,
        assigned: &mut [Option<IncidentNo>],
        held: &[Option<IncidentNo>],
        now_ms: Millis,
    ) {
        let restored: Vec<IncidentNo> = self
            .tracked
            .values()
            .map(|tracked| &tracked.incident)
            .filter(|incident| can_reopen(incident, self.settings.reopen_within_ms, now_ms))
            // One that an operator ended goes on to hold back what was declared.
            .filter(|incident| incident.life.held_back.is_none() || incident.declared.is_empty())
            .map(|incident| incident.no)
            .collect();
        let claims = self.claims(now_ms);
        for at in 0..self.found.len() {
            let gathered_ms = self.found[at].summary.first_received_ms + self.settings.gather_ms;
            let is_due = self.found[at].is_stated()
                || (now_ms >= gathered_ms && !self.is_left_over(&self.found[at]));
            if assigned[at].is_some() || held[at].is_some() || !is_due {
                continue;
            }
            let no = match claims[at] {
                Some((no, _)) => Some(no),
                None => self
                    .opened_for_cut(at, assigned, &claims)
                    .or_else(|| recurring(&self.tracked, &self.found[at], &restored)),
            };
            assigned[at] = match no.and_then(|no| self.tracked.get_mut(&no)) {
                Some(tracked) => {
                    if !tracked.incident.state.is_open() {
                        tracked.reopen(&self.settings, &self.network, now_ms);
                    }
                    no
                }
                None => Some(self.open_one(at, None, now_ms)),
            };
        }
    }

    /// The incident of another failure of the same power cut.
    fn opened_for_cut(
        &self,
        at: usize,
        assigned: &[Option<IncidentNo>],
        claims: &[Option<(IncidentNo, usize)>],
    ) -> Option<IncidentNo> {
        let cut = self.found[at].power_cut?.number;
        let mut others = self.found.iter().zip(assigned).zip(claims);
        others.find_map(|((found, no), claim)| {
            let is_of_cut = found.power_cut.is_some_and(|other| other.number == cut);
            no.filter(|_| claim.is_none() && is_of_cut)
        })
    }

    /// Whether what was a failure opens no incident now.
    pub(super) fn is_left_over(&self, found: &Found) -> bool {
        found.summary.is_left_over(self.book.watermark_ms())
    }

    fn open_one(&mut self, at: usize, parent: Option<&Incident>, now_ms: Millis) -> IncidentNo {
        self.last_incident_no += 1;
        let no = IncidentNo(self.last_incident_no);
        let Found {
            summary, impact, ..
        } = &self.found[at];
        let at = Circumstances {
            settings: &self.settings,
            book: &self.book,
            losses: &self.losses,
            candidates: &self.candidates,
            declared: &self.declared,
            network: &self.network,
            elsewhere: &Elsewhere::default(),
            now_ms,
        };
        let tracked = Tracked::open(no, summary, impact, parent, at);
        self.tracked.insert(no, tracked);
        no
    }

    /// One step in the life of each open incident.
    pub(super) fn step(&mut self, assigned: &[Option<IncidentNo>], now_ms: Millis) {
        let claims = self.claims(now_ms);
        let failures_of = failures_of(assigned);
        let elsewhere = Elsewhere::of(&self.found, assigned, &self.tracked);
        let at = Circumstances {
            settings: &self.settings,
            book: &self.book,
            losses: &self.losses,
            candidates: &self.candidates,
            declared: &self.declared,
            network: &self.network,
            elsewhere: &elsewhere,
            now_ms,
        };
        for (no, tracked) in &mut self.tracked {
            if !tracked.incident.state.is_open() {
                continue;
            }
            let failures = failures_of.get(no).map_or(&[][..], Vec::as_slice);
            tracked.failures =
                separable(together(failures, &claims, &self.found), &self.found).len();
            let failures: Vec<&Found> = failures.iter().map(|at| &self.found[*at]).collect();
            let judged = tracked.judge(&failures, &self.network);
            match (failures.as_slice(), judged) {
                ([], _) => tracked.wait_in_quiet(at),
                ([one], None) => tracked.continue_with(&one.summary, &one.impact, None, at),
                (several, judged) => {
                    let summaries = several.iter().map(|found| &*found.summary).collect();
                    let Some(mut summary) = combine(summaries, &self.network) else {
                        continue;
                    };
                    if let Some(judged) = &judged {
                        summary.parts.clone_from(&judged.parts);
                    }
                    let impact = if !summary.stated.is_empty() {
                        combined_impact(several, &summary.parts, &self.network)
                    } else if tracked.parts == summary.parts
                        // Else it may still hold whom an area that has ended took.
                        && tracked.incident.declared.is_empty()
                    {
                        tracked.impact.clone()
                    } else {
                        Impact::of(&summary.parts, &self.network)
                    };
                    tracked.continue_with(&Arc::new(summary), &impact, judged.as_ref(), at);
                }
            }
        }
    }
}

/// The failures of each incident.
fn failures_of(assigned: &[Option<IncidentNo>]) -> BTreeMap<IncidentNo, Vec<usize>> {
    let mut failures: BTreeMap<IncidentNo, Vec<usize>> = BTreeMap::new();
    for (at, no) in assigned.iter().enumerate() {
        if let Some(no) = no {
            failures.entry(*no).or_default().push(at);
        }
    }
    failures
}

/// Failures under one claim belong together, and those of one power cut; every other stands alone.
fn together(
    failures: &[usize],
    claims: &[Option<(IncidentNo, usize)>],
    found: &[Found],
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut of_claim: BTreeMap<(IncidentNo, usize), usize> = BTreeMap::new();
    let mut of_cut: BTreeMap<usize, usize> = BTreeMap::new();
    for &at in failures {
        let claim = claims[at];
        let next = groups.len();
        let place = match (claim, found[at].power_cut) {
            (Some(claim), _) => *of_claim.entry(claim).or_insert(next),
            (None, Some(cut)) => *of_cut.entry(cut.number).or_insert(next),
            (None, None) => next,
        };
        match groups.get_mut(place) {
            Some((_, group)) => group.push(at),
            None => groups.push((claim, vec![at])),
        }
    }
    groups
}
