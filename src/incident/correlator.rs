//! The correlator: takes the log in order, and decides which incidents there are.
//!
//! - Synchronous and without I/O: the same entries, commands and instants give the same decisions.
//! - Taking an entry is cheap; thinking happens in [`Correlator::settle`], once per batch.
//! - What alarms mean ([`super::localise`]) is decided apart from what becomes of incidents
//!   ([`super::life`]); [`super::matching`] stands between.

mod declared;

use super::candidates::Candidates;
use super::declared::{Declared, combined_impact};
use super::evidence::{combine, summarise};
use super::life::{Circumstances, Impact, Tracked};
use super::localise::{Failure, localise};
use super::matching::{Found, Matching, can_reopen, recurring, separable};
use super::onset::{FailedParts, LossRecord};
use super::{
    CauseKind, CommandError, CorrelatorSettings, DeclarationId, Incident, IncidentChange,
    IncidentNo, OperatorCommand,
};
use crate::alarm::{AlarmBook, AlarmNo, AlarmState, Applied, LogEntry, RETENTION_MS};
use crate::clock::Millis;
use crate::topology::{Network, Part, SubscriberSet};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Alarms and incidents of one network.
#[derive(Debug)]
pub struct Correlator {
    settings: CorrelatorSettings,
    network: Arc<Network>,
    book: AlarmBook,
    candidates: Candidates,
    losses: LossRecord,
    declared: Declared,
    /// Alarms that changed since the latest settle, each once.
    dirty: Vec<AlarmNo>,
    is_dirty: Vec<bool>,
    /// What was found may be out of date for another reason than a changed alarm.
    must_localise: bool,
    /// An operator acted, or time must be looked at anyhow.
    must_settle: bool,
    found: Vec<Found>,
    tracked: BTreeMap<IncidentNo, Tracked>,
    /// When the first of the failures that belong to no incident will have gathered.
    gathered_ms: Option<Millis>,
    last_incident_no: i64,
}

/// An incident with its present impact, to be shown.
#[derive(Clone, Copy, Debug)]
pub struct LiveImpact<'a> {
    pub incident: &'a Arc<Incident>,
    /// Empty when the incident is not open.
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
        incidents: Vec<Incident>,
        last_incident_no: i64,
    ) -> Self {
        let tracked = incidents
            .into_iter()
            .map(|incident| (incident.no, Tracked::restore(incident, &network)))
            .collect();
        let mut correlator = Self {
            candidates: Candidates::new(&network),
            losses: LossRecord::new(&network),
            declared: Declared::default(),
            settings,
            network,
            dirty: Vec::new(),
            is_dirty: Vec::new(),
            must_localise: true,
            must_settle: true,
            found: Vec::new(),
            tracked,
            gathered_ms: None,
            last_incident_no,
            book,
        };
        correlator.mark_all();
        correlator
    }

    /// Takes the next entry of the log. Decides nothing yet.
    pub fn apply(&mut self, entry: &LogEntry) {
        match self.book.apply(entry) {
            Applied::Nothing => {}
            Applied::Alarm(no) => self.mark(no),
            Applied::Source(source) => {
                let alarms: Vec<AlarmNo> = self.book.of_source(source).collect();
                for no in alarms {
                    self.mark(no);
                }
                self.must_localise = true;
            }
        }
    }

    fn mark(&mut self, no: AlarmNo) {
        let at = no.0 as usize;
        if self.is_dirty.len() <= at {
            self.is_dirty.resize(at + 1, false);
        }
        if !std::mem::replace(&mut self.is_dirty[at], true) {
            self.dirty.push(no);
        }
    }

    fn mark_all(&mut self) {
        let alarms: Vec<AlarmNo> = self.book.iter().map(|(no, _)| no).collect();
        for no in alarms {
            self.mark(no);
        }
    }

    /// Carries out what an operator asks; the change comes out of the next [`Self::settle`].
    pub fn command(
        &mut self,
        command: &OperatorCommand,
        now_ms: Millis,
    ) -> Result<(), CommandError> {
        let tracked = self
            .tracked
            .get_mut(&command.incident)
            .ok_or(CommandError::NoSuchIncident(command.incident))?;
        tracked.command(command, &self.network, now_ms)?;
        if !tracked.incident.state.is_open() {
            // What was opened by hand ends by hand; an area goes on without an incident.
            let declared = tracked.incident.declared.iter().map(|declared| declared.id);
            let by_hand = declared.filter(|id| matches!(id, DeclarationId::Fault(_)));
            self.declared.withdraw(by_hand);
        }
        self.must_settle = true;
        Ok(())
    }

    /// Goes over to another version of the network; the changes come out of the next
    /// [`Self::settle`]. Whatever was declared with an area must be declared again before that, with
    /// what the area holds in the new version.
    pub fn replace_network(&mut self, network: Arc<Network>, _now_ms: Millis) {
        for tracked in self.tracked.values_mut() {
            tracked.move_to(&self.network, &network);
        }
        self.candidates = Candidates::new(&network);
        self.losses = LossRecord::new(&network);
        self.declared.move_to_new_network();
        self.network = network;
        self.found.clear();
        self.must_localise = true;
        self.mark_all();
    }

    /// Finds the failures behind the alarms and moves the incidents along their life. Each incident
    /// occurs at most once in the answer, in the order of their numbers.
    pub fn settle(&mut self, now_ms: Millis) -> Vec<IncidentChange> {
        self.heed_declarations(now_ms);
        self.take_over_alarms();
        let due = self.next_deadline_ms().is_some_and(|at| at <= now_ms);
        if !self.must_localise && !self.must_settle && !due {
            return Vec::new();
        }
        if std::mem::take(&mut self.must_localise) {
            self.localise();
        }
        self.must_settle = false;
        self.advance(now_ms);
        let changes = self
            .tracked
            .values_mut()
            .filter_map(|tracked| tracked.publish(now_ms))
            .collect();
        self.tracked
            .retain(|_, tracked| tracked.incident.is_followed(&self.settings, now_ms));
        changes
    }

    fn take_over_alarms(&mut self) {
        for no in self.book.forget_expired() {
            self.losses.update(no, None, &self.network);
            self.declared.assign(no, None);
            self.must_localise |= self
                .candidates
                .update(no, None, &self.network, &self.settings);
        }
        for no in std::mem::take(&mut self.dirty) {
            self.is_dirty[no.0 as usize] = false;
            let alarm = self.book.get(no);
            self.losses.update(no, alarm, &self.network);
            let declared = alarm.and_then(|a| self.declared.explaining(a, &self.network));
            self.must_localise |= self.declared.assign(no, declared);
            let unexplained = alarm.filter(|_| declared.is_none());
            self.must_localise |=
                self.candidates
                    .update(no, unexplained, &self.network, &self.settings);
        }
    }

    fn localise(&mut self) {
        self.candidates.weigh(&self.book, &self.network);
        let failures = localise(&self.candidates, &self.network, &self.book);
        self.candidates.start_anew();
        let (stated, others): (Vec<Found>, Vec<Found>) = std::mem::take(&mut self.found)
            .into_iter()
            .partition(Found::is_stated);
        let known: HashMap<Vec<Part>, Found> = others
            .into_iter()
            .map(|found| (found.summary.parts.clone(), found))
            .collect();
        let (book, network, settings) = (&self.book, &self.network, &self.settings);
        let losses_changed = self.losses.take_changed();
        let find = |failure: &Failure| {
            let known = known.get(&failure.parts);
            if let Some(known) = known.filter(|k| !failure.is_fresh && k.covers(failure)) {
                let mut known = known.clone();
                if losses_changed {
                    let failed = known.failed();
                    let onset =
                        self.losses
                            .onset(failed, known.premises, book, network, settings)?;
                    known.date(onset);
                }
                return Some(known);
            }
            let impact = known.map_or_else(
                || Impact::of(&failure.parts, network),
                |known| known.impact.clone(),
            );
            let lost = impact.lost.len();
            let premises = self.losses.premises(failure, lost, book, settings);
            let failed = FailedParts::of(failure);
            let onset = self
                .losses
                .onset(failed, premises, book, network, settings)?;
            let mut summary = summarise(failure, book, network, settings, onset)?;
            summary.overrun = self.declared.overrun(&failure.parts, onset.at_ms, network);
            if summary.overrun.is_some() {
                summary.kind = CauseKind::PlannedWork;
            }
            Some(Found::new(failure, summary, impact, premises))
        };
        let mut found: Vec<Found> = failures.iter().filter_map(find).collect();
        found.extend(self.declared.found(&stated, book, network, settings));
        self.found = found;
    }

    /// Gives each failure to its incident, opens and ends incidents, and lets time work on them.
    fn advance(&mut self, now_ms: Millis) {
        let matching = Matching::new(&self.tracked, &self.found);
        let held = matching.held_back();
        let mut assigned = matching.open();
        for (assigned, held) in assigned.iter_mut().zip(&held) {
            if held.is_some() {
                *assigned = None;
            }
        }
        for tracked in self.tracked.values_mut() {
            let incident = &tracked.incident;
            let is_holding = held.contains(&Some(incident.no))
                || self.declared.is_current(&incident.declared, now_ms);
            if !is_holding && incident.life.held_back.is_some() {
                tracked.let_go();
            }
        }
        self.merge(&assigned, now_ms);
        self.split(&mut assigned, now_ms);
        self.open(&mut assigned, &held, now_ms);
        self.step(&assigned, now_ms);
        self.gathered_ms = assigned
            .iter()
            .zip(held)
            .zip(&self.found)
            .filter(|((assigned, held), _)| assigned.is_none() && held.is_none())
            .filter(|(_, found)| !self.is_left_over(found))
            .map(|(_, found)| found.summary.first_received_ms + self.settings.gather_ms)
            .min();
    }

    /// Ends the open incidents whose failure another incident took over.
    fn merge(&mut self, assigned: &[Option<IncidentNo>], now_ms: Millis) {
        let matching = Matching::new(&self.tracked, &self.found);
        let mut pairs: Vec<(IncidentNo, IncidentNo)> = Vec::new();
        for (no, tracked) in &self.tracked {
            if !tracked.incident.state.is_open() || assigned.contains(&Some(*no)) {
                continue;
            }
            let survivor = assigned
                .iter()
                .zip(&self.found)
                .filter(|(_, found)| matching.goes_on_in(tracked, found))
                .filter_map(|(survivor, _)| *survivor)
                .min();
            pairs.extend(survivor.map(|survivor| (*no, survivor)));
        }
        for (no, survivor) in pairs {
            let Some(mut merged) = self.tracked.remove(&no) else {
                continue;
            };
            if let Some(survivor) = self.tracked.get_mut(&survivor) {
                merged.merge_into(survivor, now_ms);
            }
            self.tracked.insert(no, merged);
        }
    }

    /// Failures that have stood side by side in one incident for the hold-down go apart: the one
    /// with the most people keeps the number.
    fn split(&mut self, assigned: &mut [Option<IncidentNo>], now_ms: Millis) {
        let mut failures_of: BTreeMap<IncidentNo, Vec<usize>> = BTreeMap::new();
        for (at, no) in assigned.iter().enumerate() {
            if let Some(no) = no {
                failures_of.entry(*no).or_default().push(at);
            }
        }
        for (no, failures) in failures_of {
            let Some(tracked) = self.tracked.get(&no) else {
                continue;
            };
            let mut parts: Vec<Part> = failures
                .iter()
                .flat_map(|at| self.found[*at].summary.parts.iter().copied())
                .collect();
            parts.sort_unstable_by_key(|&part| self.network.part_id(part));
            parts.dedup();
            let changed_ms = tracked.incident.life.failures_changed_ms;
            let is_settled =
                parts == tracked.parts && now_ms >= changed_ms + self.settings.hold_down_ms;
            if failures.len() < 2 || !is_settled {
                continue;
            }
            let parent = tracked.incident.clone();
            for at in separable(failures, |at| &self.found[*at]).drain(1..) {
                assigned[at] = Some(self.open_one(at, Some(&parent), now_ms));
            }
        }
    }

    /// Opens or reopens incidents for the failures that belong to none, once they have gathered.
    fn open(
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
            .map(|incident| incident.no)
            .collect();
        for at in 0..self.found.len() {
            let gathered_ms = self.found[at].summary.first_received_ms + self.settings.gather_ms;
            let is_due = self.found[at].is_stated()
                || (now_ms >= gathered_ms && !self.is_left_over(&self.found[at]));
            if assigned[at].is_some() || held[at].is_some() || !is_due {
                continue;
            }
            let no = recurring(&self.tracked, &self.found[at], &restored);
            assigned[at] = match no.and_then(|no| self.tracked.get_mut(&no)) {
                Some(tracked) => {
                    if !tracked.incident.state.is_open() {
                        tracked.reopen(now_ms);
                    }
                    no
                }
                None => Some(self.open_one(at, None, now_ms)),
            };
        }
    }

    /// Whether all alarms of a failure are so old that the clears of others like them may have been
    /// forgotten: what was a failure then opens no incident now.
    fn is_left_over(&self, found: &Found) -> bool {
        // What planned work has left behind has waited for the end of its window.
        found.summary.overrun.is_none()
            && self.book.watermark_ms() > found.summary.last_received_ms + RETENTION_MS
    }

    fn open_one(&mut self, at: usize, parent: Option<&Incident>, now_ms: Millis) -> IncidentNo {
        self.last_incident_no += 1;
        let no = IncidentNo(self.last_incident_no);
        let Found {
            summary, impact, ..
        } = &self.found[at];
        let tracked = Tracked::open(no, summary, impact, parent, self.at(now_ms));
        self.tracked.insert(no, tracked);
        no
    }

    fn at(&self, now_ms: Millis) -> Circumstances<'_> {
        Circumstances {
            settings: &self.settings,
            book: &self.book,
            losses: &self.losses,
            declared: &self.declared,
            network: &self.network,
            now_ms,
        }
    }

    /// One step in the life of each open incident.
    fn step(&mut self, assigned: &[Option<IncidentNo>], now_ms: Millis) {
        let mut failures_of: BTreeMap<IncidentNo, Vec<&Found>> = BTreeMap::new();
        for (no, found) in assigned.iter().zip(&self.found) {
            if let Some(no) = no {
                failures_of.entry(*no).or_default().push(found);
            }
        }
        let at = Circumstances {
            settings: &self.settings,
            book: &self.book,
            losses: &self.losses,
            declared: &self.declared,
            network: &self.network,
            now_ms,
        };
        for (no, tracked) in &mut self.tracked {
            if !tracked.incident.state.is_open() {
                continue;
            }
            let failures = failures_of.get(no).map_or(&[][..], Vec::as_slice);
            tracked.failures = separable(failures.to_vec(), |found| found).len();
            match failures {
                [] => tracked.wait_in_quiet(at),
                [one] => tracked.continue_with(&one.summary, &one.impact, at),
                several => {
                    let summaries = several.iter().map(|found| &*found.summary).collect();
                    let Some(summary) = combine(summaries, &self.network) else {
                        continue;
                    };
                    let impact = if !summary.stated.is_empty() {
                        combined_impact(several, &summary.parts, &self.network)
                    } else if tracked.parts == summary.parts {
                        tracked.impact.clone()
                    } else {
                        Impact::of(&summary.parts, &self.network)
                    };
                    tracked.continue_with(&Arc::new(summary), &impact, at);
                }
            }
        }
    }

    /// When [`Self::settle`] must run although nothing arrives; it may lie in the past.
    pub fn next_deadline_ms(&self) -> Option<Millis> {
        let of_incidents = self
            .tracked
            .values()
            .filter_map(|tracked| tracked.deadline_ms(&self.settings));
        let others = self.gathered_ms.into_iter().chain(self.declared.next_ms());
        of_incidents.chain(others).min()
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

    /// The incident of that number as of the latest settle, if it is followed.
    pub fn incident(&self, no: IncidentNo) -> Option<&Arc<Incident>> {
        self.tracked.get(&no).map(|tracked| &tracked.shown)
    }

    /// Incidents that are followed (open, able to reopen, or holding back), by number.
    pub fn incidents(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.tracked.values().map(|tracked| &tracked.shown)
    }

    /// The same with their impact.
    pub fn live(&self) -> impl Iterator<Item = LiveImpact<'_>> {
        self.tracked.values().map(|tracked| LiveImpact {
            incident: &tracked.shown,
            lost: &tracked.shown_impact.lost,
            at_risk: &tracked.shown_impact.at_risk,
        })
    }

    /// Active alarms whose resource the network does not know, as of the latest settle.
    pub fn unmapped(&self) -> impl Iterator<Item = &AlarmState> {
        let places = self.candidates.unmapped().iter();
        places.filter_map(|no| self.book.get(*no))
    }

    /// How many [`Self::unmapped`] yields.
    pub fn unmapped_count(&self) -> usize {
        self.candidates.unmapped().len()
    }
}
