//! What operators do with an incident.

use super::Tracked;
use crate::clock::Millis;
use crate::incident::evidence::describe;
use crate::incident::{
    CommandError, HeldBack, IncidentState, OperatorAction, OperatorCommand, TimelineEntry,
    TimelineKind,
};
use crate::topology::Network;

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
            OperatorAction::Confirm { .. } => state == IncidentState::Suspected,
            OperatorAction::AddNote { .. } => true,
            _ => state.is_open(),
        };
        if !allowed {
            return Err(CommandError::WrongState {
                incident: command.incident,
                state,
            });
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

    fn carry_out(
        &mut self,
        action: &OperatorAction,
        network: &Network,
        now_ms: Millis,
    ) -> (TimelineKind, String) {
        match action {
            OperatorAction::Confirm { note } => {
                self.incident.state = IncidentState::Confirmed;
                self.incident.confirmed_ms = Some(now_ms);
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
            OperatorAction::SetCause { kind, text } => {
                let cause = &mut self.incident.cause;
                cause.kind = *kind;
                cause.text = if text.is_empty() {
                    describe(&self.parts, *kind, self.impact.lost.len(), network)
                } else {
                    text.clone()
                };
                cause.set_by_operator = true;
                (
                    TimelineKind::CauseSet,
                    format!("{}: {}", kind.as_str(), cause.text),
                )
            }
            OperatorAction::SetEstimate(estimate) => {
                self.incident.estimate = *estimate;
                let reason = if estimate.is_some() { "" } else { "withdrawn" };
                (TimelineKind::EstimateSet, reason.to_owned())
            }
            OperatorAction::AddNote { text } => (TimelineKind::Note, text.clone()),
        }
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
        let newest_raise_ms = active.map(|e| e.raised_ms).max();
        // Without alarms it may still hold back what is declared.
        let declared = (!self.incident.declared.is_empty()).then_some(Millis::MIN);
        self.incident.life.held_back = newest_raise_ms
            .or(declared)
            .map(|newest_raise_ms| HeldBack { newest_raise_ms });
    }
}
