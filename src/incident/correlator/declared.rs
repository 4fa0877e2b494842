//! What the correlator does with declarations.

use super::Correlator;
use crate::clock::Millis;
use crate::incident::{Declaration, DeclarationId, Statement};
use crate::topology::SubscriberSet;
use std::sync::Arc;

impl Correlator {
    /// Takes back what was declared when the checkpoint was made, right after [`Self::restore`].
    pub fn resume(&mut self, declarations: Vec<Declaration>) {
        for declaration in declarations {
            self.declared.declare(declaration);
        }
        for tracked in self.tracked.values_mut() {
            if let Some(lost) = self.declared.lost_inside(&tracked.incident.declared) {
                tracked.resume(&lost);
            }
        }
    }

    /// Takes a declaration, new, changed or ended. Decides nothing yet.
    pub fn declare(&mut self, declaration: Declaration) {
        self.declared.declare(declaration);
        self.must_settle = true;
    }

    /// The faults that operators ended since the last call: they are to be kept as ended together with
    /// the next decisions.
    pub fn take_withdrawn(&mut self) -> Vec<DeclarationId> {
        self.declared.take_withdrawn()
    }

    /// Planned work that is going on, with who is behind it, by number.
    pub fn works(&self) -> impl Iterator<Item = (&Arc<Statement>, &Arc<SubscriberSet>)> {
        self.declared.works()
    }

    /// Works out which declarations hold now; alarms may be explained otherwise then.
    pub(super) fn heed_declarations(&mut self, now_ms: Millis) {
        let tracked = &self.tracked;
        let is_held = |reference| tracked.values().any(|t| t.holds(reference));
        if self.declared.refresh(now_ms, &self.network, is_held) {
            for tracked in self.tracked.values_mut() {
                tracked.rescope_ended(&self.declared, &self.network);
            }
            self.mark_all();
            self.must_localise = true;
        }
    }
}
