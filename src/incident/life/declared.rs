//! What declarations do to the life of an incident.

use super::{Circumstances, Impact, Tracked};
use crate::clock::Millis;
use crate::incident::declared::{Declared, Stated};
use crate::incident::evidence::Summary;
use crate::incident::{DeclarationId, DeclarationRef, IncidentState, TimelineEntry, TimelineKind};
use crate::topology::{Network, SubscriberSet};
use std::sync::Arc;

impl Tracked {
    /// Takes over what is said of its cause by declarations that it did not stand for before.
    pub(super) fn hear(&mut self, summary: &Summary, now_ms: Millis) {
        let known = std::mem::replace(&mut self.incident.declared, summary.references());
        let is_known = |id: DeclarationId| known.iter().any(|k| k.id == id);
        let is_new = |stated: &&Stated| !is_known(stated.statement.reference.id);
        let news = summary.stated.iter().chain(&summary.overrun);
        for stated in news.filter(is_new) {
            let statement = &stated.statement;
            if matches!(statement.reference.id, DeclarationId::Fault(_)) {
                self.be_told(stated);
            }
            // The first entry of an incident, and what confirms it, say it by themselves.
            let says_itself = self.incident.state == IncidentState::Suspected;
            if !says_itself {
                self.say(TimelineKind::CauseSet, stated, now_ms);
            }
        }
    }

    /// Lets go of what an incident that it took over had stood for, if that is over.
    pub(super) fn stand_for(&mut self, summary: &Summary) {
        let references = summary.references();
        if self.incident.declared != references {
            self.incident.declared = references;
            self.is_touched = true;
        }
    }

    /// The operator's word on cause and estimate.
    fn be_told(&mut self, stated: &Stated) {
        let statement = &stated.statement;
        if !statement.text.is_empty() {
            let cause = &mut self.incident.cause;
            cause.kind = statement.kind;
            cause.text.clone_from(&statement.text);
            cause.set_by_operator = true;
        }
        if statement.estimate.is_some() {
            self.incident.estimate = statement.estimate;
        }
    }

    /// A declared cause needs no hold-down.
    pub(super) fn believe(&mut self, summary: &Summary, now_ms: Millis) {
        if self.incident.state != IncidentState::Suspected {
            return;
        }
        if let Some(stated) = summary.stated.first() {
            self.incident.state = IncidentState::Confirmed;
            self.incident.confirmed_ms = Some(now_ms);
            self.say(TimelineKind::Confirmed, stated, now_ms);
        }
    }

    /// When what is declared has got another scope nobody is left without service by the one before.
    pub(super) fn forget_scope(&mut self, at: Circumstances<'_>) {
        let declared = &self.incident.declared;
        if self.parts.is_empty() && !declared.is_empty() && !at.declared.knows_inside(declared) {
            self.impact = Impact::default();
            self.count_impact();
        }
    }

    /// Whom one that has ended took, by what is declared now: that of an area which has got another
    /// scope since is not known after a restart either.
    pub(in crate::incident) fn rescope_ended(&mut self, declared: &Declared, network: &Network) {
        let references = &self.incident.declared;
        if self.incident.state.is_open() || references.is_empty() {
            return;
        }
        let by_parts = network.lost(&self.parts);
        let lost = match declared.lost_inside(references) {
            Some(inside) => by_parts.union(&inside),
            None => by_parts,
        };
        self.impact = Impact::lost_only(lost);
    }

    fn say(&mut self, what: TimelineKind, stated: &Stated, now_ms: Millis) {
        let is_ours = matches!(stated.statement.reference.id, DeclarationId::Work(_));
        self.timeline.push(TimelineEntry {
            at_ms: now_ms,
            what,
            reason: stated.reason(),
            by: if is_ours {
                String::new()
            } else {
                stated.statement.declared_by.clone()
            },
        });
    }

    /// After a restart: `lost` are without service by declarations that name no parts, of which it
    /// stands for the same state as before.
    pub(in crate::incident) fn resume(&mut self, lost: &SubscriberSet) {
        let with = |impact: &Impact| Impact {
            lost: Arc::new(impact.lost.union(lost)),
            at_risk: Arc::new(impact.at_risk.difference(lost)),
        };
        self.impact = with(&self.impact);
        if self.incident.state.is_open() {
            self.shown_impact = with(&self.shown_impact);
        }
    }

    /// Whether an operator has ended it while that was declared, and what is declared is the same.
    pub(in crate::incident) fn holds(&self, reference: DeclarationRef) -> bool {
        self.incident.life.held_back.is_some() && self.incident.declared.contains(&reference)
    }
}
