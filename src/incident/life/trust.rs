//! How far the evidence of an incident is believed: hold-down, deadline, flapping, silent sources.

use super::{Circumstances, Tracked, outgrows};
use crate::alarm::AlarmState;
use crate::clock::Millis;
use crate::incident::evidence::{Summary, unstable_until_ms};
use crate::incident::{CorrelatorSettings, DeclarationId, Evidence, IncidentState, TimelineKind};

/// Longer than any incident.
const NEVER_MS: i64 = 100 * 366 * 86_400_000;

impl Tracked {
    /// Believes a suspicion that has stood for its hold-down, or that still stands at its deadline.
    pub(super) fn believe_in_time(&mut self, at: Circumstances<'_>) {
        let is_due = at.now_ms >= self.believed_at_ms(at.settings);
        if self.incident.state != IncidentState::Suspected || !is_due {
            return;
        }
        let hold_down_ms = self.hold_down_ms(at.settings);
        let reason = if at.now_ms >= self.held_down_ms(at.settings) {
            let seconds = hold_down_ms / 1_000;
            format!("the evidence has stood for the hold-down of {seconds} s")
        } else {
            let seconds = at.settings.decide_within_ms / 1_000;
            format!(
                "there is evidence {seconds} s after it was first suspected, which is the deadline"
            )
        };
        self.incident.state = IncidentState::Confirmed;
        self.incident.confirmed_ms = Some(at.now_ms);
        self.note(TimelineKind::Confirmed, reason, at.now_ms);
    }

    /// When it will be believed, if its evidence stays as it is.
    pub(super) fn believed_at_ms(&self, settings: &CorrelatorSettings) -> Millis {
        let held_down_ms = self.held_down_ms(settings);
        held_down_ms.min(self.decided_at_ms(settings))
    }

    /// When what speaks for it will have stood for its hold-down.
    fn held_down_ms(&self, settings: &CorrelatorSettings) -> Millis {
        let hold_down_ms = self.hold_down_ms(settings);
        let detected_ms = self.incident.detected_ms;
        let scope_ms = self.incident.life.scope_since_ms;
        let scope_ms = scope_ms.filter(|_| self.incident.declared.is_empty());
        let since_ms = scope_ms.unwrap_or(detected_ms).max(detected_ms);
        let held_down_ms = self.begun_ms(since_ms).saturating_add(hold_down_ms);
        // Where a lone alarm is believed after a time, company is not believed later.
        let alone_ms = settings.lone_alarm_ms.unwrap_or(NEVER_MS);
        held_down_ms.min(since_ms + hold_down_ms.max(alone_ms))
    }

    /// Takes note of whether it has come to be another matter than it was.
    pub(super) fn note_scope(&mut self, now_ms: Millis) {
        let incident = &mut self.incident;
        if incident.state != IncidentState::Suspected {
            return;
        }
        let (people, life) = (incident.affected, &mut incident.life);
        if outgrows(people, life.scope) {
            life.scope = people;
            life.scope_since_ms = Some(now_ms);
        }
        // Who is back meanwhile must stand anew when gone again.
        life.scope = life.scope.min(people);
    }

    /// When that began which speaks for it: not before what it stood for alone was joined.
    fn begun_ms(&self, suspected_ms: Millis) -> Millis {
        let backed_ms = self.incident.life.backed_since_ms;
        let backed_ms = backed_ms.filter(|_| self.incident.declared.is_empty());
        backed_ms.map_or(suspected_ms, |backed_ms| backed_ms.max(suspected_ms))
    }

    /// Takes note of whether anybody would believe it if it only stands for long enough.
    pub(super) fn note_backing(&mut self, is_backed: bool, at: Circumstances<'_>) {
        let incident = &self.incident;
        let hold_down_ms = at
            .settings
            .hold_down_of(incident.cause.kind, incident.affected);
        let life = &mut self.incident.life;
        if !is_backed {
            life.unbacked_since_ms.get_or_insert(at.now_ms);
            return;
        }
        let unbacked_ms = life.unbacked_since_ms.take();
        if unbacked_ms.is_some_and(|since_ms| at.now_ms >= since_ms + hold_down_ms) {
            life.backed_since_ms = Some(at.now_ms);
        }
    }

    /// When a suspicion is decided at the latest.
    fn decided_at_ms(&self, settings: &CorrelatorSettings) -> Millis {
        let incident = &self.incident;
        let since_ms = incident.life.suspected_since_ms;
        let alone_ms = self.alone_ms(settings);
        let within_ms = settings.decide_within_ms.max(alone_ms);
        self.begun_ms(since_ms.unwrap_or(incident.detected_ms)) + within_ms
    }

    /// How long it must stand before it is believed: longer while its alarms come and go, and much
    /// longer while a lone alarm speaks for it.
    fn hold_down_ms(&self, settings: &CorrelatorSettings) -> i64 {
        let incident = &self.incident;
        let factor = if incident.unstable {
            settings.unstable_factor
        } else {
            1
        };
        let hold_down_ms = settings.hold_down_of(incident.cause.kind, incident.affected);
        let hold_down_ms = hold_down_ms.saturating_mul(factor.into());
        hold_down_ms.max(self.alone_ms(settings))
    }

    /// How long it must stand while nothing but a lone alarm speaks for it, or what was there long
    /// before it was suspected; 0 when something else does.
    fn alone_ms(&self, settings: &CorrelatorSettings) -> i64 {
        let life = &self.incident.life;
        let alone_ms = settings.lone_alarm_ms.unwrap_or(NEVER_MS);
        if !self.incident.declared.is_empty() {
            0
        } else if life.is_left_over {
            NEVER_MS
        } else if life.has_company {
            0
        } else {
            alone_ms
        }
    }

    /// The begin of the suspicion, when the cause recurs: one that was never believed goes on, unless
    /// it was decided meanwhile.
    pub(super) fn suspected_since_ms(
        &self,
        settings: &CorrelatorSettings,
        now_ms: Millis,
    ) -> Millis {
        let is_open = self.incident.confirmed_ms.is_none() && now_ms < self.decided_at_ms(settings);
        let since_ms = self.incident.life.suspected_since_ms;
        since_ms.filter(|_| is_open).unwrap_or(now_ms)
    }

    /// Whether its evidence is heard of, and whether it comes and goes.
    pub(super) fn judge_trust(&mut self, summary: &Summary, at: Circumstances<'_>) {
        self.set_stale(summary.is_stale, at.now_ms);
        let until_ms = summary.unstable_until_ms;
        self.calm_ms = until_ms.filter(|calm_ms| at.now_ms < *calm_ms);
        self.set_unstable(self.calm_ms.is_some(), at.now_ms);
    }

    /// The end of a quiet; the reason, when it has come.
    pub(super) fn ends_in_quiet(
        &mut self,
        since_ms: Millis,
        at: Circumstances<'_>,
    ) -> Option<String> {
        let evidence = self.incident.evidence.iter();
        let alarms = evidence.filter_map(|e| at.book.get(at.book.find(e.source, &e.key)?));
        let until_ms = unstable_until_ms(alarms, at.settings);
        self.calm_ms = until_ms.filter(|calm_ms| at.now_ms < *calm_ms);
        if self.incident.stale {
            return None;
        }
        let seconds = (at.now_ms - since_ms) / 1_000;
        if self.calm_ms.is_none() && at.now_ms >= since_ms + at.settings.restore_quiet_ms {
            let mut declared = self.incident.declared.iter().map(|declared| declared.id);
            let area = declared.find(|id| matches!(id, DeclarationId::Area(_)));
            return Some(if let Some(area) = area {
                format!("{area} takes no service away any more, and no alarm is left")
            } else if self.parts.is_empty() {
                "its resources are no longer in the network".to_owned()
            } else if let Some(alarm) = self.outlived(at) {
                format!(
                    "what is behind it is back, and has been for {seconds} s; {} of {} was never taken back",
                    alarm.key.alarm_type, alarm.key.resource
                )
            } else if let Some(alarm) = self.active(at).next() {
                format!(
                    "its alarms have spoken for no failure of it for {seconds} s; {} of {} was not taken back",
                    alarm.key.alarm_type, alarm.key.resource
                )
            } else {
                format!("all its alarms are cleared, and have been for {seconds} s")
            });
        }
        let is_suspected = self.incident.state == IncidentState::Suspected;
        if is_suspected && at.now_ms >= self.decided_at_ms(at.settings) {
            let seconds = at.settings.decide_within_ms / 1_000;
            return Some(format!(
                "its alarms are cleared {seconds} s after it was first suspected, which is the deadline"
            ));
        }
        self.set_unstable(self.calm_ms.is_some(), at.now_ms);
        None
    }

    /// The first of its alarms that is active although it speaks for no failure.
    fn outlived<'a>(&'a self, at: Circumstances<'a>) -> Option<&'a Evidence> {
        self.active(at).find(|e| {
            let part = at.network.part(&e.key.resource);
            part.is_some_and(|part| at.candidates.is_outlived(part, at.network))
        })
    }

    /// Its alarms that are active.
    fn active<'a>(&'a self, at: Circumstances<'a>) -> impl Iterator<Item = &'a Evidence> + 'a {
        self.incident.evidence.iter().filter(move |e| {
            let alarm = at.book.find(e.source, &e.key);
            let alarm = alarm.and_then(|no| at.book.get(no));
            alarm.is_some_and(AlarmState::is_active)
        })
    }

    /// When something will happen to it in a quiet; nothing does while a source is silent.
    pub(super) fn quiet_deadline_ms(&self, settings: &CorrelatorSettings) -> Option<Millis> {
        let since_ms = self.incident.life.quiet_since_ms?;
        if self.incident.stale {
            return None;
        }
        let is_suspected = self.incident.state == IncidentState::Suspected;
        let decided = is_suspected.then(|| self.decided_at_ms(settings));
        let restored = self.calm_ms.unwrap_or(since_ms + settings.restore_quiet_ms);
        Some(decided.map_or(restored, |decided| decided.min(restored)))
    }

    pub(super) fn set_stale(&mut self, is_stale: bool, now_ms: Millis) {
        if self.incident.stale == is_stale {
            return;
        }
        self.incident.stale = is_stale;
        if is_stale {
            let reason = "a source of its alarms has fallen silent; nothing counts as restored until it has resynchronised";
            self.note(TimelineKind::Stale, reason.to_owned(), now_ms);
        } else {
            let reason = "the sources of its alarms have resynchronised";
            self.note(TimelineKind::Resynchronised, reason.to_owned(), now_ms);
        }
    }

    fn set_unstable(&mut self, is_unstable: bool, now_ms: Millis) {
        if self.incident.unstable == is_unstable {
            return;
        }
        self.incident.unstable = is_unstable;
        let reason = if is_unstable {
            "its alarms come and go; it is restored only when that has stopped"
        } else {
            "its alarms no longer come and go"
        };
        self.note(TimelineKind::Unstable, reason.to_owned(), now_ms);
    }
}
