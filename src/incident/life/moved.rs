//! Whom a new version of the network moves out of an incident.

use super::Tracked;
use crate::topology::{Network, SubscriberSet};

impl Tracked {
    /// Whom the latest change showed as without service, and whom the cause does not cut off in this
    /// version of the network. Nobody, where parts of the cause are gone from it, or the incident is
    /// over: that says nothing of who was without service.
    pub(super) fn find_moved_away(&self, network: &Network) -> SubscriberSet {
        let is_known = self.parts.len() == self.incident.cause.resources.len();
        if !is_known || !self.incident.state.is_open() {
            return SubscriberSet::default();
        }
        let lost = network.lost(&self.parts);
        self.shown_impact.lost.difference(&lost)
    }

    /// Those of them who are not found elsewhere by now. Nobody, where what was declared has ended
    /// meanwhile: what it would take away in this version is not known then.
    pub(super) fn take_moved_away(&mut self) -> SubscriberSet {
        let moved_away = std::mem::take(&mut self.moved_away);
        let incident = &self.incident;
        let is_declared = !self.shown.declared.is_empty();
        let has_ended =
            incident.declared != self.shown.declared || incident.life.quiet_since_ms.is_some();
        if is_declared && has_ended {
            return SubscriberSet::default();
        }
        moved_away
    }
}
