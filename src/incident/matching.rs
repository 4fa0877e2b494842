//! Which incident each failure belongs to, so that an incident keeps its number while its cause
//! moves, grows and shrinks.
//!
//! - A failure belongs to an incident that has one of its parts already, or whose cause is gone, at
//!   least in part, and whose people or alarms it has. The oldest wins.
//! - What is left of a larger failure stays in its incident: one incident may hold several failures.
//! - An incident that is left with nothing because another took over its failure is merged into it.

use super::evidence::Summary;
use super::life::{Impact, Tracked};
use super::localise::{Failure, is_within};
use super::onset::{FailedParts, Onset, Premises};
use super::{Incident, IncidentNo, IncidentState};
use crate::alarm::AlarmNo;
use crate::topology::Part;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A failure that was found, with its impact.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) summary: Arc<Summary>,
    pub(super) impact: Impact,
    pub(super) premises: Premises,
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

    /// Notes when service went.
    pub(super) fn date(&mut self, onset: Onset) {
        if self.summary.onset != onset {
            Arc::make_mut(&mut self.summary).onset = onset;
        }
    }

    /// Whether it was found from the same alarms, for the same reasons.
    pub(super) fn covers(&self, failure: &Failure) -> bool {
        *self.alarms == *failure.alarms
            && *self.own == *failure.own
            && self.summary.reasoning == failure.reasoning
    }
}

/// The incidents and the failures of one instant.
pub(super) struct Matching<'a> {
    tracked: &'a BTreeMap<IncidentNo, Tracked>,
    found: &'a [Found],
    failed: BTreeSet<Part>,
}

impl<'a> Matching<'a> {
    pub(super) fn new(tracked: &'a BTreeMap<IncidentNo, Tracked>, found: &'a [Found]) -> Self {
        let parts = found.iter().flat_map(|f| &f.summary.parts);
        Self {
            tracked,
            found,
            failed: parts.copied().collect(),
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

    /// Per failure, the open incident that it belongs to.
    pub(super) fn open(&self) -> Vec<Option<IncidentNo>> {
        let open: Vec<&Tracked> = self
            .tracked
            .values()
            .filter(|t| t.incident.state.is_open())
            .collect();
        let oldest = |found: &Found| {
            let tracked = open.iter().find(|t| self.goes_on_in(t, found))?;
            Some(tracked.incident.no)
        };
        self.found.iter().map(oldest).collect()
    }

    /// Whether this open incident goes on in that failure.
    pub(super) fn goes_on_in(&self, tracked: &Tracked, found: &Found) -> bool {
        shares_part(tracked, found) || self.took_over(tracked, found)
    }

    /// Whether the cause of the incident is gone, at least in part, and the failure has people or
    /// alarms of it.
    fn took_over(&self, tracked: &Tracked, found: &Found) -> bool {
        tracked.parts.iter().any(|part| !self.failed.contains(part))
            && (!tracked
                .impact
                .lost
                .intersection(&found.impact.lost)
                .is_empty()
                || shares_evidence(&tracked.incident, &found.summary))
    }
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

fn shares_part(tracked: &Tracked, found: &Found) -> bool {
    found
        .summary
        .parts
        .iter()
        .any(|part| tracked.parts.contains(part))
}

fn shares_evidence(incident: &Incident, summary: &Summary) -> bool {
    incident.evidence.iter().any(|mine| {
        summary
            .evidence
            .binary_search_by(|e| (&e.key, e.source).cmp(&(&mine.key, mine.source)))
            .is_ok()
    })
}

/// The failure is no larger than what the operator ended, and some of its alarms were active then.
fn holds_back(tracked: &Tracked, found: &Found) -> bool {
    let Some(held) = tracked.incident.life.held_back else {
        return false;
    };
    let no_larger = found
        .summary
        .parts
        .iter()
        .all(|part| tracked.parts.contains(part))
        || (!found.impact.lost.is_empty() && is_within(&found.impact.lost, &tracked.impact.lost));
    no_larger && found.summary.oldest_raise_ms <= held.newest_raise_ms
}

/// Whether an incident can be reopened at all.
pub(super) fn can_reopen(incident: &Incident, within_ms: i64, now_ms: i64) -> bool {
    incident.state == IncidentState::Restored
        && incident.merged_into.is_none()
        && incident
            .restored_ms
            .is_some_and(|at| now_ms < at + within_ms)
}
