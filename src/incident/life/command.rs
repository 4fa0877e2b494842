//! What operators do with an incident.

use super::claim::{Claim, Said};
use super::{Impact, Tracked, ids_of, parts_of_ids};
use crate::clock::Millis;
use crate::incident::evidence::{describe, thousands};
use crate::incident::{
    CauseKind, CommandError, DeclarationId, EVIDENCE_KEPT, Estimate, HeldBack, IncidentNo,
    IncidentState, OperatorAction, OperatorCommand, TimelineEntry, TimelineKind,
};
use crate::topology::{Network, Part};
use std::sync::Arc;

/// Who acts, why and when.
#[derive(Clone, Copy, Debug)]
pub(in crate::incident) struct Word<'a> {
    /// Name of the operator's token.
    pub(in crate::incident) by: &'a str,
    pub(in crate::incident) reason: &'a str,
    pub(in crate::incident) now_ms: Millis,
}

impl Tracked {
    /// Carries out an operator's command.
    pub(in crate::incident) fn command(
        &mut self,
        command: &OperatorCommand,
        network: &Network,
        now_ms: Millis,
    ) -> Result<(), CommandError> {
        let state = self.incident.state;
        let allowed = match command.action {
            OperatorAction::Confirm { .. } => {
                state == IncidentState::Suspected || self.incident.life.growing_since_ms.is_some()
            }
            OperatorAction::AddNote { .. } => true,
            _ => state.is_open(),
        };
        if !allowed {
            return Err(CommandError::WrongState {
                incident: command.incident,
                state,
            });
        }
        if let OperatorAction::SetCause { resources, .. } = &command.action
            && let Some(unknown) = resources.iter().find(|id| network.part(id).is_none())
        {
            return Err(CommandError::UnknownResource(unknown.clone()));
        }
        if let OperatorAction::SetCause { resources, .. } = &command.action
            && !resources.is_empty()
            && let Some(refused) = self.is_declared()
        {
            return Err(refused);
        }
        if matches!(command.action, OperatorAction::WithdrawCause { .. })
            && !self.incident.cause.set_by_operator
        {
            return Err(CommandError::CauseNotSet(command.incident));
        }
        self.is_touched = true;
        let (what, reason) = self.carry_out(&command.action, network, now_ms);
        self.timeline.push(TimelineEntry {
            at_ms: now_ms,
            what,
            reason,
            by: command.by.clone(),
        });
        Ok(())
    }

    /// Why nobody can name other parts of what was declared: that says itself what has failed.
    fn is_declared(&self) -> Option<CommandError> {
        let no = self.incident.no;
        let ids = self.incident.declared.iter().map(|declared| declared.id);
        ids.min().map(|id| match id {
            DeclarationId::Area(area) => CommandError::IsArea(no, area),
            id => CommandError::IsDeclared(no, id),
        })
    }

    /// Whether an operator may do with it what only open incidents allow.
    pub(in crate::incident) fn must_be_open(&self) -> Result<(), CommandError> {
        let (incident, state) = (self.incident.no, self.incident.state);
        if state.is_open() {
            return Ok(());
        }
        Err(CommandError::WrongState { incident, state })
    }

    fn carry_out(
        &mut self,
        action: &OperatorAction,
        network: &Network,
        now_ms: Millis,
    ) -> (TimelineKind, String) {
        match action {
            OperatorAction::Confirm { note } => {
                if self.incident.state == IncidentState::Confirmed {
                    self.incident.life.is_growth_believed = true;
                } else {
                    self.incident.state = IncidentState::Confirmed;
                    self.incident.confirmed_ms = Some(now_ms);
                }
                (TimelineKind::Confirmed, note.clone())
            }
            OperatorAction::Reject { reason } => {
                self.hold_back();
                self.end(IncidentState::Rejected, now_ms);
                (TimelineKind::Rejected, reason.clone())
            }
            OperatorAction::Resolve { reason } => {
                self.hold_back();
                self.end(IncidentState::Restored, now_ms);
                (TimelineKind::Resolved, reason.clone())
            }
            OperatorAction::SetCause {
                kind,
                text,
                resources,
            } => {
                self.set_cause(*kind, text, resources, network);
                let cause = &self.incident.cause;
                let mut reason = format!("{}: {}", kind.as_str(), cause.text);
                if !resources.is_empty() {
                    reason = format!("{reason} (the cause is {})", cause.resources.join(", "));
                }
                (TimelineKind::CauseSet, reason)
            }
            OperatorAction::WithdrawCause { reason } => {
                self.withdraw_cause(network);
                let given_back = "the cause is again what is found";
                let reason = match reason.as_str() {
                    "" => given_back.to_owned(),
                    reason => format!("{given_back}: {reason}"),
                };
                (TimelineKind::CauseSet, reason)
            }
            OperatorAction::SetEstimate(estimate) => {
                self.incident.estimate = *estimate;
                let reason = estimate.map_or_else(|| "withdrawn".to_owned(), range);
                (TimelineKind::EstimateSet, reason)
            }
            OperatorAction::AddNote { text } => (TimelineKind::Note, text.clone()),
            // Those change two incidents: see `absorb` and `split_off`.
            OperatorAction::Merge { reason, .. } => (TimelineKind::Merged, reason.clone()),
            OperatorAction::Split { reason, .. } => (TimelineKind::Split, reason.clone()),
        }
    }

    /// What an operator says holds until it is given back. Without parts, those named before stay.
    fn set_cause(&mut self, kind: CauseKind, text: &str, resources: &[String], network: &Network) {
        let mut claim = self.fuse_claims();
        let before = claim.said.take();
        let mut parts = resources.to_vec();
        parts.sort_unstable();
        parts.dedup();
        if parts.is_empty() {
            parts = before.as_ref().map(|s| s.parts.clone()).unwrap_or_default();
        }
        let mut found = ids_of(&self.found, network);
        if let Some(before) = &before {
            // What was judged before is judged still.
            found.extend(before.found.iter().cloned());
            found.sort_unstable();
            found.dedup();
        }
        claim.said = Some(Said {
            kind,
            text: text.to_owned(),
            found,
            found_kind: before.map_or(self.incident.cause.kind, |before| before.found_kind),
            parts: parts.clone(),
        });
        self.incident.life.claims = vec![claim];
        self.rescope(network);
        if !resources.is_empty() {
            self.change_parts(parts_of_ids(&parts, network), network);
        }
        let cause = &mut self.incident.cause;
        cause.kind = kind;
        cause.set_by_operator = true;
        cause.text = if text.is_empty() {
            describe(&self.parts, kind, self.impact.lost.len(), network)
        } else {
            text.to_owned()
        };
    }

    /// Gives the cause back to what is found.
    fn withdraw_cause(&mut self, network: &Network) {
        let mut kind = self.incident.cause.kind;
        for claim in &mut self.incident.life.claims {
            if let Some(said) = claim.said.take() {
                kind = said.found_kind;
            }
        }
        self.incident.life.claims.retain(|claim| !claim.is_empty());
        self.rescope(network);
        self.change_parts(self.found.clone(), network);
        let cause = &mut self.incident.cause;
        cause.kind = kind;
        cause.set_by_operator = false;
        cause.text = describe(&self.parts, kind, self.impact.lost.len(), network);
    }

    /// Other parts have failed than was believed: whom they do not cut off was never without service.
    fn change_parts(&mut self, mut parts: Vec<Part>, network: &Network) {
        parts.sort_unstable_by_key(|&part| network.part_id(part));
        parts.dedup();
        self.is_corrected |= parts != self.parts;
        self.impact = Impact::of(&parts, network);
        self.parts = parts;
        self.note_parts(network);
        self.count_impact();
    }

    /// Goes on in this one, by the word of an operator: it keeps the parts of both.
    pub(in crate::incident) fn absorb(
        &mut self,
        other: &mut Self,
        word: Word<'_>,
        network: &Network,
    ) {
        let (no, survivor) = (other.incident.no, self.incident.no);
        let said_parts = self.has_said_parts() || other.has_said_parts();
        let mut claim = self.fuse_claims().with(other.fuse_claims());
        other.rescope(network);
        for side in [&*self, &*other] {
            claim.parts.extend(ids_of(&side.parts, network));
            claim.parts.extend(ids_of(&side.found, network));
        }
        claim.parts.sort_unstable();
        claim.parts.dedup();
        let parts = union(&self.parts, &other.parts, network);
        if let Some(said) = claim.said.as_mut().filter(|_| said_parts) {
            said.parts = ids_of(&parts, network);
        }
        self.incident.life.claims = vec![claim];
        self.found = union(&self.found, &other.found, network);
        let (mine, theirs) = (&mut self.incident, &other.incident);
        mine.evidence.extend(theirs.evidence.iter().cloned());
        mine.evidence.sort_unstable();
        mine.evidence.dedup();
        mine.evidence.truncate(EVIDENCE_KEPT);
        mine.estimate = mine.estimate.or(theirs.estimate);
        mine.life.failures_changed_ms = word.now_ms;
        mine.life.quiet_since_ms = match (mine.life.quiet_since_ms, theirs.life.quiet_since_ms) {
            (Some(mine), Some(theirs)) => Some(mine.max(theirs)),
            _ => None,
        };
        let (to_this, from_that) = (
            format!("{no} goes on here{}", because(word.reason)),
            format!("goes on in {survivor}{}", because(word.reason)),
        );
        self.rescope(network);
        let declared = [&*self, &*other].map(|side| {
            let is_declared = !side.incident.declared.is_empty();
            is_declared.then(|| Arc::clone(&side.impact.lost))
        });
        self.impact = Impact::of(&parts, network);
        for lost in declared.into_iter().flatten() {
            self.impact.lost = Arc::new(self.impact.lost.union(&lost));
        }
        self.parts = parts;
        self.note_parts(network);
        self.count_impact();
        other.hand_over(self, word.now_ms);
        for (tracked, reason) in [(self, to_this), (other, from_that)] {
            tracked.put_down(TimelineKind::Merged, reason, word);
        }
    }

    /// Parts of its cause go on as an incident of their own, by the word of an operator.
    pub(in crate::incident) fn split_off(
        &mut self,
        no: IncidentNo,
        resources: &[String],
        word: Word<'_>,
        network: &Network,
    ) -> Result<Self, CommandError> {
        let (off, left) = self.divide(resources, network)?;
        let ids = ids_of(&off, network);
        let mut said = None;
        for claim in &mut self.incident.life.claims {
            claim.parts.retain(|id| !ids.contains(id));
            said = said.or(claim.said.clone());
            if let Some(said) = &mut claim.said {
                said.found.retain(|id| !ids.contains(id));
            }
        }
        self.incident.life.claims.retain(|claim| !claim.is_empty());
        let said = said.map(|said| Said {
            found: ids.clone(),
            ..said
        });
        let mut new = Self::restore(self.incident.clone(), network);
        new.found.clone_from(&off);
        new.is_undated = true;
        new.shown_impact = Impact::default();
        let incident = &mut new.incident;
        incident.no = no;
        incident.split_from = Some(self.incident.no);
        incident.affected_peak = 0;
        incident.reopened = 0;
        incident.revision = 0;
        incident.timeline_len = 0;
        incident.life.run_since_ms = None;
        incident.life.claims = vec![Claim {
            parts: ids.clone(),
            is_apart: true,
            said,
        }];
        for (tracked, parts) in [(&mut *self, left), (&mut new, off)] {
            tracked.incident.life.failures_changed_ms = word.now_ms;
            tracked.rescope(network);
            tracked.found.clone_from(&parts);
            tracked.impact = Impact::of(&parts, network);
            tracked.parts = parts;
            tracked.note_parts(network);
            tracked.count_impact();
            let lost = tracked.impact.lost.len();
            let cause = &mut tracked.incident.cause;
            if !cause.set_by_operator {
                cause.text = describe(&tracked.parts, cause.kind, lost, network);
            }
        }
        let why = because(word.reason);
        let (old, names) = (self.incident.no, ids.join(", "));
        self.put_down(
            TimelineKind::Split,
            format!("{names} goes on in {no}{why}"),
            word,
        );
        new.put_down(
            TimelineKind::Split,
            format!("{names} split from {old}{why}"),
            word,
        );
        Ok(new)
    }

    /// The parts that are named, and those that are left; an error where that cannot be done.
    fn divide(
        &self,
        resources: &[String],
        network: &Network,
    ) -> Result<(Vec<Part>, Vec<Part>), CommandError> {
        let incident = self.incident.no;
        if self.has_said_parts() {
            return Err(CommandError::CauseIsSet(incident));
        }
        if let Some(refused) = self.is_declared() {
            return Err(refused);
        }
        let named = |part: &Part| resources.iter().any(|id| id == network.part_id(*part));
        let (off, left): (Vec<Part>, Vec<Part>) = self.parts.iter().partition(|part| named(part));
        for resource in resources {
            if !off.iter().any(|&part| network.part_id(part) == resource) {
                return Err(CommandError::NotItsResource {
                    incident,
                    resource: resource.clone(),
                    resources: self.incident.cause.resources.clone(),
                });
            }
        }
        if left.is_empty() {
            return Err(CommandError::NothingLeft(incident));
        }
        let apart = network.lost(&off).union(&network.lost(&left));
        let together = self.impact.lost.difference(&apart).len();
        if together > 0 {
            return Err(CommandError::OnlyTogether {
                incident,
                subscribers: thousands(together),
            });
        }
        Ok((off, left))
    }

    fn put_down(&mut self, what: TimelineKind, reason: String, word: Word<'_>) {
        self.timeline.push(TimelineEntry {
            at_ms: word.now_ms,
            what,
            reason,
            by: word.by.to_owned(),
        });
    }

    /// The alarms and declarations for which it held its cause back are gone.
    pub(in crate::incident) fn let_go(&mut self) {
        self.incident.life.held_back = None;
        self.is_touched = true;
    }

    /// The alarms that are active now must not open an incident of this cause again.
    fn hold_back(&mut self) {
        let active = self
            .incident
            .evidence
            .iter()
            .filter(|e| e.cleared_ms.is_none());
        let named = active.map(|e| e.raised_ms);
        // Of many alarms the incident names some; the newest may be another one.
        let all = self.incident.life.newest_raise_ms;
        let all = all.filter(|_| self.incident.evidence_count > 0);
        let newest_raise_ms = named.chain(all).max();
        // Without alarms it may still hold back what is declared.
        let declared = (!self.incident.declared.is_empty()).then_some(Millis::MIN);
        self.incident.life.held_back = newest_raise_ms
            .or(declared)
            .map(|newest_raise_ms| HeldBack { newest_raise_ms });
    }
}

/// In UTC: the reader's zone is not known here.
fn range(estimate: Estimate) -> String {
    let [from, to] = [estimate.from_ms, estimate.to_ms].map(|at_ms| {
        let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
        at.strftime("%Y-%m-%d %H:%M UTC").to_string()
    });
    format!("between {from} and {to}")
}

fn because(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!(": {reason}"),
    }
}

fn union(a: &[Part], b: &[Part], network: &Network) -> Vec<Part> {
    let mut parts = [a, b].concat();
    parts.sort_unstable_by_key(|&part| network.part_id(part));
    parts.dedup();
    parts
}
