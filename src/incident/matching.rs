//! Which incident each failure belongs to, so that an incident keeps its number while its cause
//! moves, grows and shrinks.
//!
//! - A failure belongs to an incident that has one of its parts already, or whose cause is gone, at
//!   least in part, and whose people or alarms it has. The oldest wins.
//! - A declared cause stays with the incident that stands for it.
//! - Failures of one power cut belong to one incident: that of the homes that lack power, if it has one.
//! - What is left of a larger failure stays in its incident: one incident may hold several failures.
//! - What operators have said of a failure goes before all of that ([`super::life::Claim`]).
//! - An incident that is left with nothing because another took over its failure is merged into it.

use super::evidence::Summary;
use super::life::{Impact, Tracked};
use super::localise::{Failure, PowerCut, is_within};
use super::onset::{FailedParts, Onset, Premises};
use super::{Incident, IncidentNo, IncidentState};
use crate::alarm::{AlarmKey, AlarmNo, SourceId};
use crate::clock::Millis;
use crate::topology::Part;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// A failure that was found, with its impact.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) summary: Arc<Summary>,
    pub(super) impact: Impact,
    pub(super) premises: Premises,
    pub(super) power_cut: Option<PowerCut>,
    alarms: Arc<[AlarmNo]>,
    own: Arc<[AlarmNo]>,
}

impl Found {
    pub(super) fn new(
        failure: &Failure,
        summary: Summary,
        impact: Impact,
        premises: Premises,
    ) -> Self {
        Self {
            summary: Arc::new(summary),
            impact,
            premises,
            power_cut: failure.power_cut,
            alarms: failure.alarms.as_slice().into(),
            own: failure.own.as_slice().into(),
        }
    }

    /// The failure, as far as its begin goes.
    pub(super) fn failed(&self) -> FailedParts<'_> {
        FailedParts {
            parts: &self.summary.parts,
            alarms: &self.alarms,
            own: &self.own,
        }
    }

    /// Notes when service went, and by which part when.
    pub(super) fn date(&mut self, (onset, failed_since): (Onset, Vec<(Part, Millis)>)) {
        if self.summary.onset != onset || self.summary.failed_since != failed_since {
            let summary = Arc::make_mut(&mut self.summary);
            summary.onset = onset;
            summary.failed_since = failed_since;
        }
    }

    /// Whether somebody declared it.
    pub(super) fn is_stated(&self) -> bool {
        !self.summary.stated.is_empty()
    }

    /// Whether it was found from the same alarms, for the same reasons.
    pub(super) fn covers(&self, failure: &Failure) -> bool {
        *self.alarms == *failure.alarms
            && *self.own == *failure.own
            && self.summary.reasoning == failure.reasoning
    }
}

/// Per failure, the claim of an operator under which it falls: its incident, and its place there.
pub(super) fn claims(
    tracked: &BTreeMap<IncidentNo, Tracked>,
    found: &[Found],
    reopen_within_ms: i64,
    now_ms: i64,
) -> Vec<Option<(IncidentNo, usize)>> {
    let hosts = tracked.values().filter(|t| {
        let incident = &t.incident;
        let is_there = incident.state.is_open() || can_reopen(incident, reopen_within_ms, now_ms);
        is_there && !incident.life.claims.is_empty()
    });
    let hosts: Vec<&Tracked> = hosts.collect();
    let claim = |found: &Found| {
        let mut hosts = hosts.iter();
        if found.is_stated() {
            // It stays with the incident that stands for it, whatever else is said of that.
            let host = hosts.find(|t| stands_for(&t.incident, found))?;
            return Some((host.incident.no, 0)).filter(|_| host.incident.state.is_open());
        }
        let (_, no, at) = hosts
            .filter_map(|t| {
                t.claims_on(found)
                    .map(|(rank, at)| (rank, t.incident.no, at))
            })
            .min()?;
        Some((no, at))
    };
    found.iter().map(claim).collect()
}

/// The incidents and the failures of one instant.
pub(super) struct Matching<'a> {
    tracked: &'a BTreeMap<IncidentNo, Tracked>,
    found: &'a [Found],
    /// Per failure the open incidents that have one of its parts, the oldest first.
    sharing: Vec<Vec<IncidentNo>>,
    /// Open incidents whose cause is gone, at least in part.
    gone: BTreeSet<IncidentNo>,
    /// Of those, the ones with evidence that is active still, of what the network no longer knows.
    /// Nobody took that back: it is the inventory that changed, not the outage.
    unmapped: BTreeSet<IncidentNo>,
}

impl<'a> Matching<'a> {
    pub(super) fn new(
        tracked: &'a BTreeMap<IncidentNo, Tracked>,
        found: &'a [Found],
        unmapped: &HashSet<(&AlarmKey, SourceId)>,
    ) -> Self {
        let failed = FailuresOfParts::of(found);
        let mut sharing: Vec<Vec<IncidentNo>> = vec![Vec::new(); found.len()];
        let mut gone: Vec<&Tracked> = Vec::new();
        for open in tracked.values().filter(|t| t.incident.state.is_open()) {
            if is_gone(open, found, &failed) {
                gone.push(open);
            }
            for at in open.parts.iter().flat_map(|part| failed.with(*part)) {
                if let Some(sharing) = sharing.get_mut(at)
                    && sharing.last() != Some(&open.incident.no)
                {
                    sharing.push(open.incident.no);
                }
            }
        }
        let has_unmapped = |t: &&&Tracked| {
            let mut evidence = t.incident.evidence.iter();
            !unmapped.is_empty() && evidence.any(|e| unmapped.contains(&(&e.key, e.source)))
        };
        let without_place = gone.iter().filter(has_unmapped);
        Self {
            tracked,
            found,
            sharing,
            unmapped: without_place.map(|t| t.incident.no).collect(),
            gone: gone.iter().map(|t| t.incident.no).collect(),
        }
    }

    /// Per failure, the incident that an operator ended and that holds it back.
    pub(super) fn held_back(&self) -> Vec<Option<IncidentNo>> {
        let holding: Vec<&Tracked> = self
            .tracked
            .values()
            .filter(|t| t.incident.life.held_back.is_some())
            .collect();
        let held = |found: &Found| {
            let holder = holding.iter().find(|t| holds_back(t, found))?;
            Some(holder.incident.no)
        };
        self.found.iter().map(held).collect()
    }

    /// Per failure, the open incident that it belongs to; `claims`: of each.
    pub(super) fn open(&self, claims: &[Option<(IncidentNo, usize)>]) -> Vec<Option<IncidentNo>> {
        let open: Vec<&Tracked> = self
            .tracked
            .values()
            .filter(|t| t.incident.state.is_open())
            .collect();
        let oldest = |at: usize, found: &Found| {
            let stated = open.iter().find(|t| stands_for(&t.incident, found));
            let tracked = stated.or_else(|| open.iter().find(|t| self.goes_on_in(t, at)))?;
            Some(tracked.incident.no)
        };
        let mut assigned: Vec<Option<IncidentNo>> = self
            .found
            .iter()
            .enumerate()
            .zip(claims)
            .map(|((at, found), claim)| match claim {
                Some((no, _)) => open.iter().any(|t| t.incident.no == *no).then_some(*no),
                None => oldest(at, found),
            })
            .collect();
        let unclaimed = || {
            let found = self.found.iter().zip(claims);
            found.map(|(found, claim)| found.power_cut.filter(|_| claim.is_none()))
        };
        let mut of_cut: BTreeMap<usize, (bool, IncidentNo)> = BTreeMap::new();
        for (cut, assigned) in unclaimed().zip(&assigned) {
            if let Some((cut, no)) = cut.zip(*assigned) {
                let this = (cut.is_device, no);
                let first = of_cut.entry(cut.number).or_insert(this);
                *first = this.min(*first);
            }
        }
        for (cut, assigned) in unclaimed().zip(&mut assigned) {
            if let Some((_, no)) = cut.and_then(|cut| of_cut.get(&cut.number)) {
                *assigned = Some(*no);
            }
        }
        assigned
    }

    /// Whether this open incident goes on in the failure at that place.
    pub(super) fn goes_on_in(&self, tracked: &Tracked, at: usize) -> bool {
        let sharing = self.sharing.get(at).map_or(&[][..], Vec::as_slice);
        sharing.contains(&tracked.incident.no) || self.took_over(tracked, at, sharing)
    }

    /// Whether the cause of the incident is gone, at least in part, and the failure has people or
    /// alarms of it.
    fn took_over(&self, tracked: &Tracked, at: usize, sharing: &[IncidentNo]) -> bool {
        let Some(found) = self.found.get(at) else {
            return false;
        };
        if !self.gone.contains(&tracked.incident.no) {
            return false;
        }
        let is_believed = |t: &Tracked| t.incident.state == IncidentState::Confirmed;
        let mut sharing = sharing.iter().filter_map(|no| self.tracked.get(no));
        let is_of_believed = sharing.any(is_believed);
        // What is believed does not go on in what nobody believes, and what nobody believes not in what
        // is another matter that is believed.
        let is_other_matter = if is_believed(tracked) {
            found.summary.is_lone
                && !is_of_believed
                && !self.unmapped.contains(&tracked.incident.no)
        } else {
            is_of_believed && is_within(&found.impact.lost, &tracked.impact.lost)
        };
        if is_other_matter {
            return false;
        }
        let (theirs, mine) = (&tracked.impact.lost, &found.impact.lost);
        let has_people = if found.is_stated() {
            // What is declared takes over what it explains, not whatever it touches.
            !theirs.is_empty() && is_within(theirs, mine)
        } else {
            !theirs.intersection(mine).is_empty()
        };
        has_people || shares_evidence(&tracked.incident, &found.summary)
    }
}

/// The failures of each part that failed, by their places in the list of failures.
struct FailuresOfParts(Vec<(Part, usize)>);

impl FailuresOfParts {
    fn of(found: &[Found]) -> Self {
        let parts = found.iter().enumerate();
        let parts = parts.flat_map(|(at, f)| f.summary.parts.iter().map(move |&part| (part, at)));
        let mut sorted: Vec<(Part, usize)> = parts.collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    fn with(&self, part: Part) -> impl Iterator<Item = usize> {
        let first = self.0.partition_point(|(other, _)| *other < part);
        let there = self.0.iter().skip(first);
        let of_part = there.take_while(move |(other, _)| *other == part);
        of_part.map(|(_, at)| *at)
    }
}

/// Whether the cause of an incident is gone, at least in part; also from the network.
fn is_gone(tracked: &Tracked, found: &[Found], failed: &FailuresOfParts) -> bool {
    if tracked.parts.is_empty() {
        let mut found = found.iter();
        return !found.any(|found| stands_for(&tracked.incident, found));
    }
    let mut parts = tracked.parts.iter();
    parts.any(|part| failed.with(*part).next().is_none())
}

/// The restored incident that recurs with a failure: the latest with a part in common, or with
/// exactly the same people behind it.
pub(super) fn recurring(
    tracked: &BTreeMap<IncidentNo, Tracked>,
    found: &Found,
    can_reopen: &[IncidentNo],
) -> Option<IncidentNo> {
    can_reopen
        .iter()
        .filter_map(|no| tracked.get(no))
        .filter(|t| {
            let same_people = t.impact.lost == found.impact.lost;
            shares_part(t, found) || (same_people && !found.impact.lost.is_empty())
        })
        .max_by_key(|t| (t.incident.restored_ms, t.incident.no))
        .map(|t| t.incident.no)
}

/// Whether an incident stands for a declared failure.
fn stands_for(incident: &Incident, found: &Found) -> bool {
    let mut stated = found.summary.stated.iter();
    stated.any(|stated| {
        let id = stated.statement.reference.id;
        incident.declared.iter().any(|declared| declared.id == id)
    })
}

fn shares_part(tracked: &Tracked, found: &Found) -> bool {
    const FEW: usize = 16;
    let (theirs, mine) = (&tracked.parts, &found.summary.parts);
    if theirs.len() > FEW && mine.len() > FEW {
        let theirs: HashSet<&Part> = theirs.iter().collect();
        return mine.iter().any(|part| theirs.contains(part));
    }
    mine.iter().any(|part| theirs.contains(part))
}

fn shares_evidence(incident: &Incident, summary: &Summary) -> bool {
    incident.evidence.iter().any(|mine| {
        summary
            .evidence
            .binary_search_by(|e| (&e.key, e.source).cmp(&(&mine.key, mine.source)))
            .is_ok()
    })
}

/// The failure is no larger than what the operator ended, and most of what speaks for it was active then:
/// one alarm that stayed must not hide a later outage. What is declared an operator ends by name.
fn holds_back(tracked: &Tracked, found: &Found) -> bool {
    let Some(held) = tracked
        .incident
        .life
        .held_back
        .filter(|_| !found.is_stated())
    else {
        return false;
    };
    let no_larger = found
        .summary
        .parts
        .iter()
        .all(|part| tracked.parts.contains(part))
        || (!found.impact.lost.is_empty() && is_within(&found.impact.lost, &tracked.impact.lost));
    no_larger && found.summary.half_raised_ms <= held.newest_raise_ms
}

/// Failures that stay together, with the claim of an operator under which they fall.
pub(super) type Group = (Option<(IncidentNo, usize)>, Vec<usize>);

/// Of the groups of failures of one incident, those that can go apart; the one with the most people,
/// which keeps the number, comes first. What people say of a part, and what alarms say of it, stays
/// together.
pub(super) fn separable(mut groups: Vec<Group>, found: &[Found]) -> Vec<Group> {
    groups.sort_by_cached_key(|(_, failures)| {
        let lost = failures.iter().map(|at| (*found[*at].impact.lost).clone());
        let lost = lost.reduce(|all, more| all.union(&more));
        std::cmp::Reverse(lost.map_or(0, |lost| lost.len()))
    });
    let Some((_, keeps)) = groups.first().cloned() else {
        return groups;
    };
    let stays = |leaves: &[usize]| {
        let pairs = leaves
            .iter()
            .flat_map(|a| keeps.iter().map(move |b| (a, b)));
        let mut pairs = pairs.map(|(a, b)| (&found[*a], &found[*b]));
        pairs.any(|(a, b)| speaks_of(a, b) || speaks_of(b, a))
    };
    groups.retain(|(_, failures)| *failures == keeps || !stays(failures));
    groups
}

/// Whether a failure is declared and has a part in common with another.
fn speaks_of(stated: &Found, other: &Found) -> bool {
    let parts = &other.summary.parts;
    stated.is_stated() && stated.summary.parts.iter().any(|part| parts.contains(part))
}

/// Whether an incident can be reopened at all.
pub(super) fn can_reopen(incident: &Incident, within_ms: i64, now_ms: i64) -> bool {
    incident.state == IncidentState::Restored
        && incident.merged_into.is_none()
        && incident
            .restored_ms
            .is_some_and(|at| now_ms < at + within_ms)
}
