//! The episodes of an incident: when one began, how it ends, and how another begins.

use super::{Circumstances, Impact, Tracked};
use crate::alarm::{AlarmState, RETENTION_MS};
use crate::clock::Millis;
use crate::incident::evidence::entry;
use crate::incident::onset::{Onset, reaches_back};
use crate::incident::{CorrelatorSettings, Incident, IncidentState, TimelineKind};
use crate::topology::Network;

impl Tracked {
    /// Dates the episode: its onset moves to the begin of the present run of loss when that is
    /// earlier, and never to a later instant. Late reports can show that service was back in
    /// between: what goes on is then the next episode, with an onset of its own. Where none
    /// came late it moves with its cause only.
    pub(super) fn date(&mut self, onset: Onset, at: Circumstances<'_>) {
        let start_ms = onset.at_ms.min(at.now_ms);
        if std::mem::take(&mut self.is_undated) {
            self.incident.onset_ms = start_ms;
        }
        let known_ms = self.incident.life.run_since_ms;
        if start_ms <= self.incident.onset_ms {
            self.incident.onset_ms = start_ms;
        } else if known_ms.is_some_and(|known_ms| start_ms <= known_ms) {
            return;
        } else if let Some(before_ms) = self.service_before(onset, at) {
            let seconds = (start_ms - before_ms) / 1_000;
            let reason = format!("late reports show that service had been back for {seconds} s");
            self.incident.onset_ms = start_ms;
            self.incident.life.later.clear();
            self.incident.reopened += 1;
            self.note(TimelineKind::Reopened, reason, at.now_ms);
        }
        self.incident.life.run_since_ms = Some(start_ms);
    }

    /// Since when there was service before the run, if that is sure and this episode has stood for
    /// what was before. The book remembers too little of what is old; and this incident may have
    /// waited through the pause without being restored, or stood for something else meanwhile.
    fn service_before(&self, onset: Onset, at: Circumstances<'_>) -> Option<Millis> {
        let incident = &self.incident;
        let quiet_ms = at.settings.restore_quiet_ms;
        let before_ms = onset.before_ms?;
        let quiet_since_ms = incident.life.quiet_since_ms;
        let is_sure = before_ms + quiet_ms < onset.at_ms
            && onset.at_ms - quiet_ms >= at.now_ms - RETENTION_MS
            && quiet_since_ms.is_none_or(|since_ms| onset.at_ms < since_ms);
        if !is_sure || before_ms < incident.onset_ms {
            return None;
        }
        let evidence = incident.evidence.iter();
        let evidence = evidence.filter_map(|e| at.book.find(e.source, &e.key));
        let stood_for: Vec<&AlarmState> = evidence
            .chain(at.losses.near(&self.parts, at.network))
            .filter_map(|no| at.book.get(no))
            .collect();
        if !stood_for.iter().any(|alarm| alarm.is_told_late()) {
            return None;
        }
        let run_ms = reaches_back(stood_for.into_iter(), onset.at_ms, at.settings);
        let is_known = incident.life.run_since_ms.is_some_and(|at| run_ms <= at);
        (run_ms > before_ms + quiet_ms && !is_known).then_some(before_ms)
    }

    /// Whether it goes on as it was because only the network has forgotten where it is.
    fn wait_unplaced(&mut self, at: Circumstances<'_>) -> bool {
        let active = self.incident.evidence.iter().filter(|e| {
            let alarm = at.book.find(e.source, &e.key);
            let alarm = alarm.and_then(|no| at.book.get(no));
            alarm.is_some_and(AlarmState::is_active) && at.network.part(&e.key.resource).is_none()
        });
        let first = active.map(|e| e.key.resource.as_str()).next();
        // Where those whom it took are gone, too, nobody waits for its end.
        let is_lost = self.parts.is_empty() && self.incident.affected > 0;
        let unplaced = first.filter(|_| is_lost && self.incident.declared.is_empty());
        let reason = unplaced.map(|resource| {
            format!(
                "the network knows none of its resources any more, but alarms at them are active, as at \
                 {resource}: it goes on as it was until they are cleared or a resource is back"
            )
        });
        let Some(reason) = reason else {
            self.incident.life.unplaced.clear();
            return false;
        };
        if self.incident.life.unplaced.is_empty() {
            let people = at.network.subscribers(&self.impact.lost);
            let accounts = people.map(|person| at.network.account(person).to_owned());
            self.incident.life.unplaced = accounts.collect();
            self.incident.life.quiet_since_ms = None;
            self.is_touched = true;
            self.note(TimelineKind::TopologyChanged, reason, at.now_ms);
        }
        true
    }

    /// A step without active evidence.
    pub(in crate::incident) fn wait_in_quiet(&mut self, at: Circumstances<'_>) {
        if self.wait_unplaced(at) {
            return;
        }
        self.taken = None;
        self.is_undated = false;
        self.incident.life.clearing_since_ms = None;
        self.incident.life.leaving_since_ms = None;
        self.forget_growth();
        self.is_touched = true;
        let incident = &mut self.incident;
        for evidence in &mut incident.evidence {
            let alarm = at
                .book
                .find(evidence.source, &evidence.key)
                .and_then(|no| at.book.get(no));
            if let Some(alarm) = alarm {
                *evidence = entry(alarm);
            }
        }
        incident.evidence.sort_unstable();
        incident.evidence_count = 0;
        let cleared = incident.evidence.iter().filter_map(|e| e.cleared_ms);
        let ended_ms = at.declared.ended_ms(&incident.declared, at.now_ms);
        incident.life.last_clear_ms = cleared.chain(ended_ms).max();
        let since = *incident.life.quiet_since_ms.get_or_insert(at.now_ms);
        let is_stale = incident.evidence.iter().any(|e| at.book.is_stale(e.source));
        self.failures = 0;
        self.forget_scope(at);
        self.set_stale(is_stale, at.now_ms);
        if let Some(reason) = self.ends_in_quiet(since, at) {
            let onset_ms = self.incident.onset_ms.min(at.now_ms);
            let restored_ms = self.incident.life.last_clear_ms.unwrap_or(since);
            self.end(
                IncidentState::Restored,
                restored_ms.clamp(onset_ms, at.now_ms),
            );
            self.note(TimelineKind::Restored, reason, at.now_ms);
        }
    }

    pub(super) fn end(&mut self, state: IncidentState, at_ms: Millis) {
        self.taken = None;
        let incident = &mut self.incident;
        incident.state = state;
        incident.restored_ms = (state == IncidentState::Restored).then_some(at_ms);
        incident.affected = 0;
        incident.at_risk = 0;
        incident.stale = false;
        incident.unstable = false;
        incident.life.quiet_since_ms = None;
    }

    /// The fault recurred: the same incident, from suspicion on.
    pub(in crate::incident) fn reopen(
        &mut self,
        settings: &CorrelatorSettings,
        network: &Network,
        now_ms: Millis,
    ) {
        // Of one that is over nobody keeps who was at risk.
        self.impact = Impact::of(&self.parts, network);
        let since_ms = self.suspected_since_ms(settings, now_ms);
        let incident = &mut self.incident;
        incident.state = IncidentState::Suspected;
        incident.life.suspected_since_ms = Some(since_ms);
        incident.detected_ms = now_ms;
        incident.life.unbacked_since_ms = None;
        incident.life.backed_since_ms = None;
        incident.life.scope = 0;
        incident.life.scope_since_ms = None;
        incident.confirmed_ms = None;
        incident.restored_ms = None;
        incident.estimate = None;
        incident.reopened += 1;
        incident.onset_ms = now_ms;
        incident.life.later.clear();
        incident.life.run_since_ms = None;
        // However long its failures stood side by side before, they do so anew.
        incident.life.failures_changed_ms = now_ms;
        // What it held back is what it now stands for.
        incident.life.held_back = None;
        let reason = "the same cause recurred".to_owned();
        self.note(TimelineKind::Reopened, reason, now_ms);
    }

    /// One cause was found for this incident and another, which goes on.
    pub(in crate::incident) fn merge_into(
        &mut self,
        survivor: &mut Self,
        network: &Network,
        now_ms: Millis,
    ) {
        let all = (0..self.incident.life.claims.len()).collect();
        self.give_claims(survivor, all, network);
        let is_declared = |incident: &Incident| !incident.declared.is_empty();
        if self.incident.state == IncidentState::Confirmed
            && !is_declared(&self.incident)
            && !is_declared(&survivor.incident)
        {
            survivor.stand_for_believed(self, network);
        }
        self.hand_over(survivor, now_ms);
        let (no, by) = (self.incident.no, survivor.incident.no);
        let reason = format!("{no} has the same cause and goes on here");
        survivor.note(TimelineKind::Merged, reason, now_ms);
        let reason = format!("goes on in {by}, which has the same cause");
        self.note(TimelineKind::Merged, reason, now_ms);
    }

    /// Ends, because another incident goes on in its place.
    pub(super) fn hand_over(&mut self, survivor: &mut Self, now_ms: Millis) {
        if self.incident.state == IncidentState::Confirmed
            && survivor.incident.state == IncidentState::Suspected
        {
            survivor.incident.state = IncidentState::Confirmed;
            survivor.incident.confirmed_ms = self.incident.confirmed_ms;
        }
        let theirs = &mut survivor.incident;
        theirs.onset_ms = theirs.onset_ms.min(self.incident.onset_ms);
        theirs.declared.extend(&self.incident.declared);
        survivor.is_touched = true;
        // Which of its parts failed later than it began is to be worked out anew.
        survivor.taken = None;
        self.end(IncidentState::Restored, now_ms);
        self.incident.merged_into = Some(survivor.incident.no);
        self.is_touched = true;
    }
}
