//! What operators ask of incidents.

use super::Correlator;
use crate::clock::Millis;
use crate::incident::life::Word;
use crate::incident::{
    CommandError, DeclarationEnd, DeclarationId, IncidentNo, OperatorAction, OperatorCommand,
};

impl Correlator {
    /// Carries out what an operator asks; the change comes out of the next [`Self::settle`]. Answers
    /// the incident to look at then: the one that goes on after a merger, the new one after a split.
    pub fn command(
        &mut self,
        command: &OperatorCommand,
        now_ms: Millis,
    ) -> Result<IncidentNo, CommandError> {
        let no = command.incident;
        let tracked = self.tracked.get_mut(&no);
        let tracked = tracked.ok_or(CommandError::NoSuchIncident(no))?;
        let word = |reason| Word {
            by: &command.by,
            reason,
            now_ms,
        };
        let no = match &command.action {
            OperatorAction::Merge { into, reason } => {
                self.merge_by_operator(no, *into, word(reason))?;
                *into
            }
            OperatorAction::Split { resources, reason } => {
                self.split_by_operator(no, resources, word(reason))?
            }
            _ => {
                tracked.command(command, &self.network, now_ms)?;
                if !tracked.incident.state.is_open() && !tracked.incident.declared.is_empty() {
                    // What was opened by hand ends by hand; an area goes on without an incident.
                    let declared = tracked.incident.declared.iter().map(|declared| declared.id);
                    let by_hand = declared.filter(|id| matches!(id, DeclarationId::Fault(_)));
                    let end = DeclarationEnd {
                        at_ms: now_ms,
                        by: command.by.clone(),
                        reason: String::new(),
                    };
                    self.declared.withdraw(by_hand, &end);
                }
                no
            }
        };
        self.must_settle = true;
        Ok(no)
    }

    fn merge_by_operator(
        &mut self,
        no: IncidentNo,
        into: IncidentNo,
        word: Word<'_>,
    ) -> Result<(), CommandError> {
        if let Some(tracked) = self.tracked.get(&no) {
            tracked.must_be_open()?;
        }
        if no == into {
            return Err(CommandError::SameIncident(no));
        }
        let survivor = &self
            .tracked
            .get(&into)
            .ok_or(CommandError::NoSurvivor(into))?;
        if let Err(CommandError::WrongState { incident, state }) = survivor.must_be_open() {
            return Err(CommandError::SurvivorClosed { incident, state });
        }
        let merged = self.tracked.remove(&no);
        if let (Some(mut merged), Some(survivor)) = (merged, self.tracked.get_mut(&into)) {
            survivor.absorb(&mut merged, word, &self.network);
            self.tracked.insert(no, merged);
        }
        self.must_localise = true;
        Ok(())
    }

    fn split_by_operator(
        &mut self,
        no: IncidentNo,
        resources: &[String],
        word: Word<'_>,
    ) -> Result<IncidentNo, CommandError> {
        let tracked = self.tracked.get_mut(&no);
        let tracked = tracked.ok_or(CommandError::NoSuchIncident(no))?;
        tracked.must_be_open()?;
        let new_no = IncidentNo(self.last_incident_no + 1);
        let new = tracked.split_off(new_no, resources, word, &self.network)?;
        self.last_incident_no = new_no.0;
        self.tracked.insert(new_no, new);
        self.must_localise = true;
        Ok(new_no)
    }
}
