//! The life of one incident: from suspicion to restoration, by evidence, by time and by operators.
//!
//! Invariants: an incident is confirmed only while its evidence is active; it is restored only after
//! a quiet in which no source of its evidence is stale.

mod claim;
mod clearing;
mod command;
mod declared;
mod episode;
mod growth;
mod leaving;
mod moved;
mod trust;

pub use claim::{Claim, Said};
pub(super) use command::Word;

use super::candidates::Candidates;
use super::declared::{Declared, Stated, cause_text};
use super::evidence::{Summary, describe, thousands};
use super::joining::later_parts;
use super::onset::LossRecord;
use super::reasoning::alarms;
use super::{
    Cause, CorrelatorSettings, Incident, IncidentChange, IncidentNo, IncidentState, Life,
    PartClass, TimelineEntry, TimelineKind,
};
use crate::alarm::AlarmBook;
use crate::clock::Millis;
use crate::topology::{Network, Part, SubscriberSet};
use claim::{Judged, Scope};
use growth::Growth;
pub(in crate::incident) use leaving::Elsewhere;
use std::sync::Arc;

/// Whether a failure that takes so many people is another matter than one that took so few, so that it
/// has not stood as long: half as many again. What grows steadily, as reports come in, does so a few
/// times only.
fn outgrows(people: u64, before: u64) -> bool {
    2 * people > 3 * before
}

/// Who is without service, and who has no redundancy left.
#[derive(Clone, Debug, Default)]
pub(in crate::incident) struct Impact {
    pub(in crate::incident) lost: Arc<SubscriberSet>,
    pub(in crate::incident) at_risk: Arc<SubscriberSet>,
}

impl Impact {
    pub(in crate::incident) fn of(parts: &[Part], network: &Network) -> Self {
        Self {
            lost: Arc::new(network.lost(parts)),
            at_risk: Arc::new(network.at_risk(parts)),
        }
    }

    /// Of those who are without service, whatever cut them off.
    pub(in crate::incident) fn lost_only(lost: SubscriberSet) -> Self {
        Self {
            lost: Arc::new(lost),
            at_risk: Arc::default(),
        }
    }

    /// Who is at risk matters only while an incident is open.
    fn kept(parts: &[Part], network: &Network, is_open: bool) -> Self {
        if is_open {
            return Self::of(parts, network);
        }
        Self::lost_only(network.lost(parts))
    }
}

/// Everything that the steps of a life depend on besides the incident.
#[derive(Clone, Copy, Debug)]
pub(in crate::incident) struct Circumstances<'a> {
    pub(in crate::incident) settings: &'a CorrelatorSettings,
    pub(in crate::incident) book: &'a AlarmBook,
    pub(in crate::incident) losses: &'a LossRecord,
    pub(in crate::incident) candidates: &'a Candidates,
    pub(in crate::incident) declared: &'a Declared,
    pub(in crate::incident) network: &'a Network,
    pub(in crate::incident) elsewhere: &'a Elsewhere<'a>,
    pub(in crate::incident) now_ms: Millis,
}

/// What the timeline of an incident has told of its cause.
#[derive(Debug)]
struct Told {
    parts: Vec<Part>,
    resources: Vec<String>,
    /// People without service by it.
    affected: usize,
}

/// An incident that is followed.
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts about what has happened since the latest change"
)]
#[derive(Debug)]
pub(in crate::incident) struct Tracked {
    pub(in crate::incident) incident: Incident,
    /// The parts that failed, as far as the present network knows them.
    pub(in crate::incident) parts: Vec<Part>,
    /// The parts that were found; other than those of the cause where an operator has named some.
    pub(in crate::incident) found: Vec<Part>,
    /// Of the parts that failed, whatever the state is.
    pub(in crate::incident) impact: Impact,
    /// The claims of operators, in their order, on the present network.
    scopes: Vec<Scope>,
    /// Failures that it consists of now, those that an operator has put together as one.
    pub(in crate::incident) failures: usize,
    /// As of the latest change that was given out.
    pub(in crate::incident) shown: Arc<Incident>,
    pub(in crate::incident) shown_impact: Impact,
    network_changed: bool,
    /// An operator has named other parts since the latest change that was given out.
    is_corrected: bool,
    /// Whom that change showed as without service, and whom the same parts do not cut off in the
    /// present version of the network.
    moved_away: SubscriberSet,
    /// Its onset is that of the next step.
    is_undated: bool,
    /// What it was before failures went apart from it that its timeline does not tell of yet.
    before_split: Option<Told>,
    /// When it will count as stable, if nothing happens.
    calm_ms: Option<Millis>,
    /// When it will be believed to have grown.
    growing_until_ms: Option<Millis>,
    /// What was taken over last; taking over the same again changes nothing.
    taken: Option<Arc<Summary>>,
    /// It may differ from what was shown.
    is_touched: bool,
    timeline: Vec<TimelineEntry>,
}

impl Tracked {
    /// Follows an incident that was kept.
    pub(in crate::incident) fn restore(mut incident: Incident, network: &Network) -> Self {
        let parts = parts_of_ids(&incident.cause.resources, network);
        // One that was kept before there were classes.
        if incident.cause.class == PartClass::Unknown {
            incident.cause.class = PartClass::of(&parts, network);
        }
        let found = match &incident.life.found[..] {
            [] => parts.clone(),
            ids => parts_of_ids(ids, network),
        };
        let is_open = incident.state.is_open();
        let impact = if parts.is_empty() && incident.is_unplaced() {
            Impact::lost_only(of_accounts(&incident.life.unplaced, network))
        } else {
            Impact::kept(&parts, network, is_open)
        };
        let shown_impact = if is_open {
            impact.clone()
        } else {
            Impact::default()
        };
        let mut tracked = Self {
            parts,
            found,
            impact,
            scopes: Vec::new(),
            failures: 0,
            shown: Arc::new(incident.clone()),
            shown_impact,
            network_changed: false,
            is_corrected: false,
            moved_away: SubscriberSet::default(),
            is_undated: false,
            before_split: None,
            calm_ms: None,
            growing_until_ms: None,
            taken: None,
            is_touched: true,
            timeline: Vec::new(),
            incident,
        };
        tracked.rescope(network);
        tracked
    }

    /// A new incident for a failure; `parent` when it is split from another.
    pub(in crate::incident) fn open(
        no: IncidentNo,
        summary: &Arc<Summary>,
        impact: &Impact,
        parent: Option<&Incident>,
        at: Circumstances<'_>,
    ) -> Self {
        let onset_ms = summary.onset.at_ms.min(at.now_ms);
        let incident = Incident {
            no,
            state: parent.map_or(IncidentState::Suspected, |p| p.state),
            cause: Cause {
                resources: Vec::new(),
                kind: summary.kind,
                text: String::new(),
                reasoning: String::new(),
                set_by_operator: false,
                class: PartClass::Unknown,
            },
            onset_ms,
            // What failed later was known no sooner.
            detected_ms: parent.map_or(at.now_ms, |p| p.detected_ms.max(onset_ms)),
            confirmed_ms: parent.and_then(|p| Some(p.confirmed_ms?.max(onset_ms))),
            restored_ms: None,
            estimate: parent.and_then(|p| p.estimate),
            affected: 0,
            affected_peak: 0,
            at_risk: 0,
            reopened: 0,
            unstable: false,
            stale: false,
            revision: 0,
            evidence: Vec::new(),
            evidence_count: 0,
            timeline_len: 0,
            merged_into: None,
            declared: Vec::new(),
            split_from: parent.map(|p| p.no),
            life: Life {
                suspected_since_ms: Some(at.now_ms).filter(|_| parent.is_none()),
                ..Life::default()
            },
        };
        let mut tracked = Self {
            shown: Arc::new(incident.clone()),
            incident,
            parts: Vec::new(),
            found: Vec::new(),
            impact: Impact::default(),
            scopes: Vec::new(),
            failures: 1,
            shown_impact: Impact::default(),
            network_changed: false,
            is_corrected: false,
            moved_away: SubscriberSet::default(),
            is_undated: false,
            before_split: None,
            calm_ms: None,
            growing_until_ms: None,
            taken: None,
            is_touched: true,
            timeline: Vec::new(),
        };
        tracked.take(summary, impact, None, at);
        let reason = match parent {
            Some(parent) => format!("split from {}: {}", parent.no, tracked.incident.cause.text),
            None => tracked.incident.cause.text.clone(),
        };
        tracked.note(TimelineKind::Detected, reason, at.now_ms);
        tracked
    }

    fn note(&mut self, what: TimelineKind, reason: String, now_ms: Millis) {
        self.timeline.push(TimelineEntry {
            at_ms: now_ms,
            what,
            reason,
            by: String::new(),
        });
    }

    /// Takes over what was found, and its impact.
    fn take(
        &mut self,
        summary: &Arc<Summary>,
        impact: &Impact,
        judged: Option<&Judged>,
        at: Circumstances<'_>,
    ) {
        let is_known = self.taken.as_ref().is_some_and(|t| Arc::ptr_eq(t, summary));
        if is_known && Arc::ptr_eq(&self.impact.lost, &impact.lost) {
            return;
        }
        self.taken = Some(Arc::clone(summary));
        self.is_touched = true;
        self.incident.life.unplaced.clear();
        let found = judged.map_or(&summary.parts, |judged| &judged.found);
        if self.found != *found {
            self.incident.life.failures_changed_ms = at.now_ms;
            self.found.clone_from(found);
        }
        self.parts.clone_from(&summary.parts);
        self.impact = impact.clone();
        self.note_parts(at.network);
        self.note_later(summary, at.network);
        self.hear(summary, at.now_ms);
        let said = judged.and_then(|judged| judged.said.as_ref());
        // A declaration can say the cause, too; it stays as it was told.
        let is_told = self.incident.cause.set_by_operator && !self.has_said();
        let incident = &mut self.incident;
        match said {
            Some(said) => {
                let lost = impact.lost.len();
                incident.cause.set_by_operator = true;
                incident.cause.kind = said.kind;
                incident.cause.text = match said.text.as_str() {
                    "" => describe(&self.parts, said.kind, lost, at.network),
                    text => text.to_owned(),
                };
            }
            None if is_told => {}
            None => {
                incident.cause.set_by_operator = false;
                incident.cause.kind = summary.kind;
                incident.cause.text = cause_text(summary, impact.lost.len(), at.network);
            }
        }
        incident.cause.reasoning = if incident.cause.set_by_operator && self.found != self.parts {
            let lost = at.network.lost(&self.found).len();
            let found = describe(&self.found, summary.kind, lost, at.network);
            format!(
                "Set by an operator. The alarms speak for this: {found}. {}",
                summary.reasoning
            )
        } else {
            summary.reasoning.clone()
        };
        incident.evidence.clone_from(&summary.evidence);
        incident.evidence_count = summary.evidence_count;
        incident.life.newest_raise_ms = Some(summary.newest_raise_ms);
        incident.life.has_company = summary.has_company();
        // What is left of a suspicion was not detected when something else was suspected.
        let found_ms = match incident.state {
            IncidentState::Suspected => incident.life.failures_changed_ms,
            _ => incident.detected_ms,
        };
        let found_ms = found_ms.max(incident.detected_ms);
        incident.life.is_left_over = summary.is_left_over(found_ms);
        let is_backed = incident.life.has_company && !incident.life.is_left_over;
        self.note_backing(is_backed, at);
        let incident = &mut self.incident;
        incident.life.quiet_since_ms = None;
        incident.life.last_clear_ms = None;
        self.count_impact();
        self.note_scope(at.now_ms);
    }

    /// Writes the parts down by name.
    fn note_parts(&mut self, network: &Network) {
        self.incident.cause.resources = ids_of(&self.parts, network);
        self.incident.cause.class = PartClass::of(&self.parts, network);
        self.incident.life.found = if self.found == self.parts {
            Vec::new()
        } else {
            ids_of(&self.found, network)
        };
    }

    /// Writes down which parts failed later than the rest. Whoever is inside an area has lost service
    /// with it, whatever failed around them since.
    fn note_later(&mut self, summary: &Summary, network: &Network) {
        let known = std::mem::take(&mut self.incident.life.later);
        if !summary.stated.iter().any(Stated::is_of_people) {
            let onset_ms = self.incident.onset_ms;
            let later = later_parts(&summary.failed_since, onset_ms, &known, network);
            self.incident.life.later = later;
        }
    }

    fn count_impact(&mut self) {
        self.incident.affected = self.impact.lost.len() as u64;
        self.incident.at_risk = self.impact.at_risk.len() as u64;
        self.incident.affected_peak = self.incident.affected_peak.max(self.incident.affected);
    }

    /// A step with active evidence.
    pub(in crate::incident) fn continue_with(
        &mut self,
        summary: &Arc<Summary>,
        impact: &Impact,
        judged: Option<&Judged>,
        at: Circumstances<'_>,
    ) {
        if judged.is_some() {
            self.incident.life.leaving_since_ms = None;
        }
        if self.is_clearing(summary, impact, at)
            || judged.is_none() && self.is_leaving(summary, impact, at)
        {
            self.date(summary.onset, at);
            self.forget_growth();
            self.taken = None;
            self.is_touched = true;
            self.incident.evidence.clone_from(&summary.evidence);
            self.incident.evidence_count = summary.evidence_count;
            self.incident.life.newest_raise_ms = Some(summary.newest_raise_ms);
            self.incident.life.quiet_since_ms = None;
            self.incident.life.last_clear_ms = None;
            self.judge_trust(summary, at);
            return;
        }
        if judged.is_some() {
            self.forget_growth();
        } else {
            match self.growth(summary, impact, at) {
                Growth::Believed => {}
                Growth::Awaited => return self.wait_to_grow(summary, at),
                Growth::Uprooted => return self.wait_uprooted(summary, at),
            }
        }
        self.date(summary.onset, at);
        let before = self.before_split.take();
        let Told {
            parts,
            resources,
            affected,
        } = before.unwrap_or_else(|| self.told());
        let is_declared = !self.incident.declared.is_empty() || !summary.stated.is_empty();
        self.take(summary, impact, judged, at);
        self.incident.life.clearing_since_ms = None;
        self.stand_for(summary);
        let now_affected = self.impact.lost.len();
        let has_moved = parts != self.parts || (is_declared && affected != now_affected);
        // Whom the same parts take in another version of the network is said apart.
        if has_moved && (!self.network_changed || resources != self.incident.cause.resources) {
            let what = match now_affected.cmp(&affected) {
                std::cmp::Ordering::Greater => TimelineKind::Grew,
                std::cmp::Ordering::Less => TimelineKind::Shrank,
                std::cmp::Ordering::Equal => TimelineKind::CauseSet,
            };
            let text = if summary.stated.is_empty() {
                let kind = self.incident.cause.kind;
                describe(&self.parts, kind, now_affected, at.network)
            } else {
                cause_text(summary, now_affected, at.network)
            };
            let reason = format!(
                "{text} (before: {}); {}",
                thousands(affected),
                alarms(summary.evidence_count)
            );
            self.note(what, reason, at.now_ms);
        }
        self.judge_trust(summary, at);
        self.believe(summary, at.now_ms);
        self.believe_in_time(at);
    }

    fn told(&self) -> Told {
        Told {
            parts: self.parts.clone(),
            resources: self.incident.cause.resources.clone(),
            affected: self.impact.lost.len(),
        }
    }

    /// Failures have gone apart from it: these parts are left. It would take them back, and let them go
    /// again, at each step in which it waits for something else.
    pub(in crate::incident) fn keep_after_split(
        &mut self,
        parts: Vec<Part>,
        network: &Network,
        now_ms: Millis,
    ) {
        // What people have said of it is judged by the next step.
        if !self.incident.life.claims.is_empty() || !self.incident.declared.is_empty() {
            return;
        }
        let before = self.told();
        self.before_split.get_or_insert(before);
        self.impact = Impact::of(&parts, network);
        self.found.clone_from(&parts);
        self.parts = parts;
        self.note_parts(network);
        self.count_impact();
        self.incident.life.failures_changed_ms = now_ms;
        self.taken = None;
        self.is_touched = true;
    }

    /// Goes over to another version of the network.
    pub(in crate::incident) fn move_to(&mut self, old: &Network, new: &Network) {
        self.parts = parts_of_ids(&self.incident.cause.resources, new);
        self.found = match &self.incident.life.found[..] {
            [] => self.parts.clone(),
            ids => parts_of_ids(ids, new),
        };
        self.rescope(new);
        let is_open = self.incident.state.is_open();
        self.shown_impact = Impact {
            lost: Arc::new(translate(&self.shown_impact.lost, old, new)),
            at_risk: Arc::new(translate(&self.shown_impact.at_risk, old, new)),
        };
        // Where nothing of it is known any more, that says nothing of who has service.
        self.impact = if self.parts.is_empty() && is_open {
            self.shown_impact.clone()
        } else {
            Impact::kept(&self.parts, new, is_open)
        };
        self.moved_away = self.find_moved_away(new);
        self.network_changed = true;
        self.taken = None;
        self.is_touched = true;
        if is_open {
            self.count_impact();
        }
    }

    /// The change since the one before, if there is any.
    pub(in crate::incident) fn publish(&mut self, now_ms: Millis) -> Option<IncidentChange> {
        if !std::mem::take(&mut self.is_touched) && self.timeline.is_empty() {
            return None;
        }
        let impact = if self.incident.state.is_open() {
            self.impact.clone()
        } else {
            Impact::default()
        };
        if std::mem::take(&mut self.network_changed) && impact.lost != self.shown_impact.lost {
            let more = impact.lost.difference(&self.shown_impact.lost).len();
            let fewer = self.shown_impact.lost.difference(&impact.lost).len();
            let reason = format!(
                "with the new network {} more subscribers are behind it, and {} no longer",
                thousands(more),
                thousands(fewer)
            );
            self.note(TimelineKind::TopologyChanged, reason, now_ms);
        }
        let same_impact =
            impact.lost == self.shown_impact.lost && impact.at_risk == self.shown_impact.at_risk;
        if self.timeline.is_empty() && same_impact && self.incident == *self.shown {
            return None;
        }
        let timeline = std::mem::take(&mut self.timeline);
        self.incident.revision += 1;
        self.incident.timeline_len += u32::try_from(timeline.len()).unwrap_or(u32::MAX);
        let moved_away = self.take_moved_away();
        self.shown = Arc::new(self.incident.clone());
        let before = std::mem::replace(&mut self.shown_impact, impact);
        let never_lost = if std::mem::take(&mut self.is_corrected) {
            before.lost.difference(&self.shown_impact.lost)
        } else {
            moved_away.difference(&self.shown_impact.lost)
        };
        Some(IncidentChange {
            never_lost,
            incident: self.incident.clone(),
            timeline,
            lost: SubscriberSet::clone(&self.shown_impact.lost),
            at_risk: SubscriberSet::clone(&self.shown_impact.at_risk),
            previously_lost: SubscriberSet::clone(&before.lost),
        })
    }

    /// When something happens to it by time alone.
    pub(in crate::incident) fn deadline_ms(&self, settings: &CorrelatorSettings) -> Option<Millis> {
        let incident = &self.incident;
        if !incident.state.is_open() {
            let until = incident.restored_ms? + settings.reopen_within_ms;
            return incident.life.held_back.is_none().then_some(until);
        }
        if incident.life.quiet_since_ms.is_some() {
            return self.quiet_deadline_ms(settings);
        }
        if incident.is_unplaced() {
            return None;
        }
        let confirm =
            (incident.state == IncidentState::Suspected).then(|| self.believed_at_ms(settings));
        let life = &incident.life;
        let is_settled = life.clearing_since_ms.is_none()
            && life.growing_since_ms.is_none()
            && life.leaving_since_ms.is_none();
        let split = (self.failures > 1 && is_settled)
            .then_some(incident.life.failures_changed_ms + settings.hold_down_ms);
        let cleared = incident
            .life
            .clearing_since_ms
            .filter(|_| life.growing_since_ms.is_none())
            .map(|since| since + settings.restore_quiet_ms);
        let left = life
            .leaving_since_ms
            .map(|since| since + settings.decide_within_ms);
        let growing = self.growing_until_ms;
        let deadlines = [confirm, split, cleared, left, self.calm_ms, growing];
        deadlines.into_iter().flatten().min()
    }
}

/// The parts of these ids that the network knows, in their order.
fn parts_of_ids(ids: &[String], network: &Network) -> Vec<Part> {
    ids.iter().filter_map(|id| network.part(id)).collect()
}

/// Their ids, sorted.
fn ids_of(parts: &[Part], network: &Network) -> Vec<String> {
    let ids = parts.iter().map(|&part| network.part_id(part).to_owned());
    let mut ids: Vec<String> = ids.collect();
    ids.sort_unstable();
    ids
}

/// Those of these accounts that the network knows.
fn of_accounts(accounts: &[String], network: &Network) -> SubscriberSet {
    let people = accounts.iter().filter_map(|a| network.subscriber(a));
    let ranks = people.map(|person| network.rank_of(person));
    SubscriberSet::from_runs(ranks.map(|rank| (rank, rank + 1)).collect())
}

/// The same people in the ranks of another version of the network.
fn translate(set: &SubscriberSet, old: &Network, new: &Network) -> SubscriberSet {
    let runs = old
        .subscribers(set)
        .filter_map(|subscriber| new.subscriber(old.account(subscriber)))
        .map(|subscriber| {
            let rank = new.rank_of(subscriber);
            (rank, rank + 1)
        });
    SubscriberSet::from_runs(runs.collect())
}
