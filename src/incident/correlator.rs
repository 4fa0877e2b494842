//! The correlator: takes the log in order, and decides which incidents there are.
//!
//! - Synchronous and without I/O: the same entries, commands and instants give the same decisions.
//! - Taking an entry is cheap; thinking happens in [`Correlator::settle`], once per batch.
//! - What alarms mean ([`super::localise`]) is decided apart from what becomes of incidents
//!   ([`super::life`]); [`super::matching`] stands between.

mod command;
mod declared;
mod doubt;
mod grouping;

use super::candidates::Candidates;
use super::declared::Declared;
use super::evidence::summarise;
use super::life::{Impact, Tracked};
use super::localise::Failure;
use super::matching::{Found, Matching, claims};
use super::onset::{FailedParts, LossRecord};
use super::surrounded::Neighbourhoods;
use super::{CauseKind, CorrelatorSettings, Incident, IncidentChange, IncidentNo};
use crate::alarm::{AlarmBook, AlarmNo, AlarmState, Applied, LogEntry};
use crate::clock::Millis;
use crate::geography::NetworkMap;
use crate::topology::{Network, Part, SubscriberSet};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How often what is believed is taken into account in one settle.
const MOST_SETTLINGS: usize = 3;

/// Alarms and incidents of one network.
#[derive(Debug)]
pub struct Correlator {
    settings: CorrelatorSettings,
    network: Arc<Network>,
    /// Where the premises are; nowhere, as long as nobody has said.
    map: Arc<NetworkMap>,
    neighbourhoods: Neighbourhoods,
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
    /// Parts that incidents were believed of at the end of the latest settle.
    believed: BTreeSet<Part>,
    /// Parts that they were believed of at its begin, or in it.
    trusted: BTreeSet<Part>,
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
            map: Arc::default(),
            neighbourhoods: Neighbourhoods::default(),
            dirty: Vec::new(),
            is_dirty: Vec::new(),
            must_localise: true,
            must_settle: true,
            found: Vec::new(),
            tracked,
            believed: BTreeSet::new(),
            trusted: BTreeSet::new(),
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

    /// Goes over to another version of the network; the changes come out of the next
    /// [`Self::settle`]. Whatever was declared with an area must be declared again before that, with
    /// what the area holds in the new version, and the map given anew ([`Self::take_map`]).
    pub fn replace_network(&mut self, network: Arc<Network>, _now_ms: Millis) {
        for tracked in self.tracked.values_mut() {
            tracked.move_to(&self.network, &network);
        }
        self.candidates = Candidates::new(&network);
        self.losses = LossRecord::new(&network);
        self.declared.move_to_new_network();
        self.network = network;
        self.map = Arc::default();
        self.neighbourhoods.clear();
        self.found.clear();
        self.must_localise = true;
        self.mark_all();
    }

    /// Takes the map of the present version of the network. Without one, nothing is concluded from where
    /// people live.
    pub fn take_map(&mut self, map: Arc<NetworkMap>) {
        self.map = map;
        self.neighbourhoods.clear();
        self.must_localise = true;
    }

    /// Finds the failures behind the alarms and moves the incidents along their life. Each incident
    /// occurs at most once in the answer, in the order of their numbers.
    pub fn settle(&mut self, now_ms: Millis) -> Vec<IncidentChange> {
        self.heed_declarations(now_ms);
        self.take_over_alarms();
        self.must_localise |= self.believed_parts() != self.believed;
        let due = self.next_deadline_ms().is_some_and(|at| at <= now_ms);
        if !self.must_localise && !self.must_settle && !due {
            return Vec::new();
        }
        self.must_settle = false;
        self.trusted = self.believed_parts();
        for _ in 0..MOST_SETTLINGS {
            if std::mem::take(&mut self.must_localise) {
                self.localise();
            }
            if !self.advance(now_ms) {
                // What an incident held that has ended, or held back, belongs to another one.
                self.advance(now_ms);
            }
            // What is believed now may explain more than it did.
            self.believed = self.believed_parts();
            if self.believed.is_subset(&self.trusted) {
                break;
            }
            self.trusted.extend(&self.believed);
            self.must_localise = true;
        }
        self.must_localise = false;
        let changes = self
            .tracked
            .values_mut()
            .filter_map(|tracked| tracked.publish(now_ms))
            .collect();
        let apart = self.parts_apart();
        self.tracked
            .retain(|_, tracked| tracked.incident.is_followed(&self.settings, now_ms));
        // Where one that was split off is forgotten, its parts are like any others again.
        self.must_localise |= self.parts_apart() != apart;
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
        self.must_localise |= self.candidates.has_spent_gasps(self.book.watermark_ms());
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
        let failures = self.find_failures();
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
                known.power_cut = failure.power_cut;
                if losses_changed {
                    let loss = (known.impact.lost.len(), known.premises);
                    let dated = self
                        .losses
                        .date(known.failed(), loss, book, network, settings)?;
                    known.date(dated);
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
            let dated = self
                .losses
                .date(failed, (lost, premises), book, network, settings)?;
            let mut summary = summarise(failure, lost, book, network, settings, dated)?;
            summary.overrun = self.declared.overrun(&summary.failed_since, network);
            if summary.overrun.is_some() {
                summary.kind = CauseKind::PlannedWork;
            }
            Some(Found::new(failure, summary, impact, premises))
        };
        let mut found: Vec<Found> = failures.iter().filter_map(find).collect();
        found.extend(self.declared.found(&stated, book, network, settings));
        self.found = found;
    }

    /// Parts that operators have split off, sets of them in an order that follows from their names.
    fn parts_apart(&self) -> Vec<Vec<Part>> {
        let apart = self.tracked.values().flat_map(Tracked::parts_apart);
        let mut apart: Vec<Vec<Part>> = apart.map(<[Part]>::to_vec).collect();
        apart.sort_by_cached_key(|parts| {
            let ids = parts
                .iter()
                .map(|&part| self.network.part_id(part).to_owned());
            ids.collect::<Vec<_>>()
        });
        apart
    }

    fn matching(&self) -> Matching<'_> {
        let unmapped = self.unmapped().map(|alarm| (alarm.key(), alarm.source()));
        let unmapped = unmapped.collect();
        Matching::new(&self.tracked, &self.found, &unmapped)
    }

    /// Per failure, the claim of an operator under which it falls.
    fn claims(&self, now_ms: Millis) -> Vec<Option<(IncidentNo, usize)>> {
        let within_ms = self.settings.reopen_within_ms;
        claims(&self.tracked, &self.found, within_ms, now_ms)
    }

    /// Gives each failure to its incident, opens and ends incidents, and lets time work on them.
    /// Whether all failures still belong to open ones, and none is held back any less than before.
    fn advance(&mut self, now_ms: Millis) -> bool {
        let matching = self.matching();
        let held = matching.held_back();
        let mut assigned = matching.open(&self.claims(now_ms));
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
        let holding = self.holding();
        self.merge(&assigned, now_ms);
        self.split(&mut assigned, now_ms);
        self.open(&mut assigned, &held, now_ms);
        let still_holding = self.holding() >= holding;
        self.step(&assigned, now_ms);
        self.gathered_ms = assigned
            .iter()
            .zip(held)
            .zip(&self.found)
            .filter(|((assigned, held), _)| assigned.is_none() && held.is_none())
            .filter(|(_, found)| !self.is_left_over(found))
            .map(|(_, found)| found.summary.first_received_ms + self.settings.gather_ms)
            .min();
        let mut holders = assigned.iter().flatten();
        let are_open = holders.all(|no| {
            let holder = self.tracked.get(no);
            holder.is_some_and(|tracked| tracked.incident.state.is_open())
        });
        are_open && still_holding
    }

    /// How many incidents that operators ended hold something back; one that reopens does no longer.
    fn holding(&self) -> usize {
        let tracked = self.tracked.values();
        tracked
            .filter(|tracked| tracked.incident.life.held_back.is_some())
            .count()
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

    /// Active alarms of the plant that speak for no failure any more, since what is behind them has come
    /// back: their clear was lost.
    pub fn outlived(&self) -> impl Iterator<Item = &AlarmState> {
        let places = self.candidates.outlived();
        let alarms = places.filter_map(|no| self.book.get(no));
        alarms.filter(|alarm| alarm.is_active())
    }

    /// How many [`Self::unmapped`] yields.
    pub fn unmapped_count(&self) -> usize {
        self.candidates.unmapped().len()
    }
}
