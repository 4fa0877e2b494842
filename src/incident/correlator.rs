//! The correlator: takes the log in order, and decides which incidents there are.
//!
//! - Synchronous and without I/O: the same entries, commands and instants give the same decisions.
//! - Taking an entry is cheap; thinking happens in [`Correlator::settle`], once per batch.

use super::{
    CommandError, CorrelatorSettings, Incident, IncidentChange, IncidentNo, OperatorCommand,
};
use crate::alarm::{AlarmBook, AlarmState, LogEntry};
use crate::clock::Millis;
use crate::topology::{Network, SubscriberSet};
use std::sync::Arc;

/// Alarms and incidents of one network.
#[derive(Debug)]
pub struct Correlator {
    settings: CorrelatorSettings,
    network: Arc<Network>,
    book: AlarmBook,
    last_incident_no: i64,
}

/// An incident with its present impact, to be shown.
#[derive(Clone, Copy, Debug)]
pub struct LiveImpact<'a> {
    pub incident: &'a Arc<Incident>,
    pub lost: &'a Arc<SubscriberSet>,
    pub at_risk: &'a Arc<SubscriberSet>,
}

impl Correlator {
    /// A correlator that has seen nothing.
    pub fn new(settings: CorrelatorSettings, network: Arc<Network>) -> Self {
        Self::restore(settings, network, AlarmBook::new(), Vec::new(), 0)
    }

    /// Goes on from a checkpoint: the book and the incidents ([`Incident::is_followed`]) as of one
    /// position of the log. Call [`Self::settle`] next.
    pub fn restore(
        settings: CorrelatorSettings,
        network: Arc<Network>,
        book: AlarmBook,
        _incidents: Vec<Incident>,
        last_incident_no: i64,
    ) -> Self {
        Self {
            settings,
            network,
            book,
            last_incident_no,
        }
    }

    /// Takes the next entry of the log. Decides nothing yet.
    pub fn apply(&mut self, entry: &LogEntry) {
        self.book.apply(entry);
    }

    /// Carries out what an operator asks; the change comes out of the next [`Self::settle`].
    pub fn command(
        &mut self,
        command: &OperatorCommand,
        _now_ms: Millis,
    ) -> Result<(), CommandError> {
        Err(CommandError::NoSuchIncident(command.incident))
    }

    /// Goes over to another version of the network; the changes come out of the next
    /// [`Self::settle`].
    pub fn replace_network(&mut self, network: Arc<Network>, _now_ms: Millis) {
        self.network = network;
    }

    /// Finds the failures behind the alarms and moves the incidents along their life. Each incident
    /// occurs at most once in the answer, in the order of their numbers.
    pub fn settle(&mut self, _now_ms: Millis) -> Vec<IncidentChange> {
        Vec::new()
    }

    /// When [`Self::settle`] must run although nothing arrives.
    pub fn next_deadline_ms(&self) -> Option<Millis> {
        None
    }

    pub fn settings(&self) -> &CorrelatorSettings {
        &self.settings
    }

    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    pub fn book(&self) -> &AlarmBook {
        &self.book
    }

    /// Number of the latest incident; 0 before the first.
    pub fn last_incident_no(&self) -> i64 {
        self.last_incident_no
    }

    /// The incident of that number, if it is followed.
    pub fn incident(&self, _no: IncidentNo) -> Option<&Arc<Incident>> {
        None
    }

    /// Incidents that are followed (open, able to reopen, or holding back), by number.
    pub fn incidents(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.live().map(|live| live.incident)
    }

    /// The same with their impact.
    pub fn live(&self) -> impl Iterator<Item = LiveImpact<'_>> {
        std::iter::empty()
    }

    /// Active alarms whose resource the network does not know.
    pub fn unmapped(&self) -> impl Iterator<Item = &AlarmState> {
        self.book.iter().map(|(_, alarm)| alarm).filter(|_| false)
    }

    /// How many [`Self::unmapped`] yields, as of the latest settle.
    pub fn unmapped_count(&self) -> usize {
        0
    }
}
