//! Plans notices: for each change of an incident, who is told what, when, and why not.
//!
//! Pure. Invariants:
//! - everyone without service in a confirmed incident has a row of stage `first` with a decision;
//! - a notice that may be on its way (claimed at least once) is never cancelled here: what follows
//!   it is planned, and the gate decides once it is known whether it arrived;
//! - who is held out gets no notice of any stage.

use super::quiet::{quiet_until, time_zone};
use super::standing::{History, Standing};
use super::{
    Arm, Coverage, Decision, Facts, NoticeId, NoticeState, PersonKey, PriorNotice, Recipient, Stage,
};
use crate::clock::Millis;
use crate::incident::{Incident, IncidentNo, IncidentState};
use crate::subscriber::{ChannelKind, QuietHours};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What an operator of the service decides about notices.
#[derive(Clone, Debug, PartialEq)]
pub struct NoticePolicy {
    /// Nobody is told of an incident that concerns fewer people.
    pub min_affected: u64,
    /// At most this many notices reach a person in 24 hours; restored and retraction always may.
    pub max_per_day: u32,
    /// Time between what a person was told last and a notice of stage update or estimate; the first
    /// estimate waits for other such notices only, not for the first notice.
    pub update_interval_ms: Millis,
    /// Of an incident that has been reopened, people are told that service is back only when it has
    /// been for so long: what comes and goes is not announced each time.
    pub reopened_wait_ms: Millis,
    /// An estimate that moves by less is not told.
    pub estimate_shift_ms: Millis,
    /// From this many affected on, quiet hours do not hold anything back.
    pub quiet_override_affected: Option<u64>,
    /// After these times a notice of the stage is of no use any more.
    pub first_useless_after_ms: Millis,
    pub update_useless_after_ms: Millis,
    pub closing_useless_after_ms: Millis,
}

const MINUTE_MS: Millis = 60_000;
const HOUR_MS: Millis = 60 * MINUTE_MS;
/// A retraction because of another cause waits so long: a slip of the operator can be taken back, but what
/// people were told cannot.
const RECONSIDER_MS: Millis = 2 * MINUTE_MS;

impl Default for NoticePolicy {
    fn default() -> Self {
        Self {
            min_affected: 1,
            max_per_day: 8,
            update_interval_ms: 30 * MINUTE_MS,
            reopened_wait_ms: 10 * MINUTE_MS,
            estimate_shift_ms: 15 * MINUTE_MS,
            quiet_override_affected: None,
            first_useless_after_ms: 12 * HOUR_MS,
            update_useless_after_ms: 4 * HOUR_MS,
            closing_useless_after_ms: 24 * HOUR_MS,
        }
    }
}

impl NoticePolicy {
    /// Time after which a notice that becomes due now is of no use.
    pub fn useless_after_ms(&self, stage: Stage) -> Millis {
        match stage {
            Stage::First => self.first_useless_after_ms,
            Stage::Update | Stage::Estimate => self.update_useless_after_ms,
            Stage::Restored | Stage::Retraction => self.closing_useless_after_ms,
        }
    }

    /// Whether quiet hours count for this person and incident.
    pub fn respects_quiet_hours(&self, vulnerable: bool, affected: u64) -> bool {
        !vulnerable && self.quiet_override_affected.is_none_or(|n| affected < n)
    }

    /// Whether nothing is decided otherwise because an incident concerns so many people instead of
    /// as many as before.
    pub fn decides_alike(&self, before: u64, after: u64) -> bool {
        let bounds = [Some(self.min_affected), self.quiet_override_affected];
        let mut bounds = bounds.into_iter().flatten();
        bounds.all(|bound| (before < bound) == (after < bound))
    }

    /// What is new enough to be told, compared with what was told last.
    pub fn news(&self, told: &Facts, present: &Facts) -> Option<Stage> {
        use crate::incident::CauseKind::Unknown;
        if told.cause != present.cause && present.cause != Unknown {
            return Some(Stage::Update);
        }
        let moved = match (told.estimate, present.estimate) {
            (None, None) => false,
            (Some(a), Some(b)) => {
                (a.from_ms - b.from_ms).abs().max((a.to_ms - b.to_ms).abs())
                    >= self.estimate_shift_ms.max(1)
            }
            _ => true,
        };
        moved.then_some(Stage::Estimate)
    }

    /// When somebody may be told what is new. When service will be back is what people ask first, so
    /// the first estimate waits only for what else was told since the first notice.
    pub fn news_due_ms(&self, history: &History<'_>, present: &Facts, now_ms: Millis) -> Millis {
        let told = history.last_facts();
        let since_ms = match told {
            Some((_, told)) if is_first_estimate(&told, present) => history.last_update_ms(),
            Some((sent_at_ms, _)) => sent_at_ms,
            None => None,
        };
        since_ms.map_or(now_ms, |at_ms| now_ms.max(at_ms + self.update_interval_ms))
    }
}

fn is_first_estimate(told: &Facts, present: &Facts) -> bool {
    told.estimate.is_none() && present.estimate.is_some()
}

/// All that planning looks at.
#[derive(Clone, Debug)]
pub struct PlanInput<'a> {
    pub incident: &'a Incident,
    pub now_ms: Millis,
    pub policy: &'a NoticePolicy,
    /// Everyone who is without service now (of a merged incident: by the survivor). Each person is
    /// decided of alone: a plan for some people needs only them here, and in `prior`.
    pub recipients: &'a [Recipient],
    /// Accounts of those of whom an operator has just said that they never were without service by
    /// this incident.
    pub never_lost: &'a BTreeSet<String>,
    /// Every notice of this incident so far.
    pub prior: &'a [PriorNotice],
}

/// What to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Sorted by account. One with the key of a row that never left takes its place.
    pub notices: Vec<PlannedNotice>,
    /// Pending notices that have lost their point, with the reason; and rows of people who were
    /// not told and have service again, which keep their state.
    pub cancel: Vec<(NoticeId, &'static str)>,
    /// First notices of which it turned out that another incident told the person too.
    pub link: Vec<(NoticeId, IncidentNo)>,
}

/// A decision about one person and one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedNotice {
    pub id: NoticeId,
    pub incident: IncidentNo,
    pub account: String,
    pub episode: u32,
    pub stage: Stage,
    pub stage_no: u32,
    pub decision: Decision,
    pub covered_by: Option<IncidentNo>,
    pub person: PersonKey,
    pub planned_at_ms: Millis,
    pub available_at_ms: Millis,
    pub useless_after_ms: Millis,
    pub facts: Facts,
}

impl PlannedNotice {
    /// Pending when it is to be sent.
    pub fn state(&self) -> NoticeState {
        match self.decision {
            Decision::Send => NoticeState::Pending,
            _ => NoticeState::NotSent,
        }
    }
}

/// Whether a change can mean anything to notices: lets the caller skip loading recipients.
///
/// `before` is the incident as it was planned for last, `lost_changed` whether the set of people
/// without service differs from then.
pub fn concerns_people(before: Option<&Incident>, after: &Incident, lost_changed: bool) -> bool {
    if after.state == IncidentState::Suspected {
        return false;
    }
    let Some(before) = before else {
        // Nobody was told of what nobody believed.
        return after.confirmed_ms.is_some() || after.reopened > 0;
    };
    if before.merged_into.is_some() {
        return false;
    }
    lost_changed
        || before.state != after.state
        || before.reopened != after.reopened
        || before.merged_into != after.merged_into
        || Facts::of(before) != Facts::of(after)
}

/// Decides what each person is told about an incident as it is now.
///
/// Merging: the incident that was taken over is planned first, this one last time, with `merged_into` set and with
/// those as recipients whom the survivor leaves without service: it says nothing more to them and
/// takes its unsent notices back; to others whom it told it says that service is back. The survivor
/// is planned after it, with recipients whose `covered_by` names the taken-over incident; they get
/// a row `covered` there and then the survivor's later stages.
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let mut people: BTreeMap<&str, Person<'_>> = BTreeMap::new();
    for notice in input.prior {
        let person = people.entry(&notice.account).or_default();
        person.prior.push(notice);
    }
    for recipient in input.recipients {
        people.entry(&recipient.account).or_default().lost = Some(recipient);
    }
    let mut planner = Planner {
        input,
        facts: Facts::of(input.incident),
        quiet: BTreeMap::new(),
        plan: Plan::default(),
    };
    for (account, person) in &people {
        let history = History::new(person.prior.iter().copied());
        planner.person(account, person.lost, &history);
    }
    planner.plan
}

/// Whether somebody who has been told all by the time of the next look may then have lost service
/// after being told that it is back, or not have been told after all. `made` is the plan that was
/// made of `prior`.
pub fn is_being_told(prior: &[PriorNotice], made: &Plan) -> bool {
    let is_settling = |notice: &PriorNotice| {
        notice.state == NoticeState::Pending && notice.stage.closes()
            || notice.cover.is_some_and(|cover| cover.is_unsettled())
    };
    // What another incident that is named only now has said may be unsettled, too.
    let is_covered = |notice: &PlannedNotice| notice.covered_by.is_some();
    prior.iter().any(is_settling) || made.notices.iter().any(is_covered) || !made.link.is_empty()
}

#[derive(Debug, Default)]
struct Person<'a> {
    lost: Option<&'a Recipient>,
    prior: Vec<&'a PriorNotice>,
}

struct Planner<'a> {
    input: &'a PlanInput<'a>,
    facts: Facts,
    /// End of the quiet time by zone and hours: few differ.
    quiet: BTreeMap<(&'a str, u16, u16), Option<Millis>>,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn person(&mut self, account: &str, lost: Option<&'a Recipient>, history: &History<'_>) {
        let incident = self.input.incident;
        self.facts.onset_ms = self.lost_since_ms(lost, history);
        if incident.merged_into.is_some() {
            self.take_back(history, |n| !n.stage.closes(), "merged");
            if lost.is_none() {
                self.close(account, history, Stage::Restored, self.back_from_ms());
            }
            return;
        }
        match (incident.state, lost) {
            (IncidentState::Suspected, _) => {}
            (IncidentState::Confirmed, Some(recipient)) => self.affected(recipient, history),
            (IncidentState::Confirmed | IncidentState::Restored, _) => {
                self.take_back(history, |n| !n.stage.closes(), "restored");
                if incident.state == IncidentState::Confirmed {
                    self.mark_over(history);
                }
                self.close_or_retract(account, history, self.input.never_lost.contains(account));
            }
            (IncidentState::Rejected, _) => {
                self.take_back(history, |n| !n.stage.closes(), "rejected");
                self.close_or_retract(account, history, true);
            }
        }
    }

    /// Since when the person is without service. What the person was told goes on to be said, unless it
    /// turns out to have been earlier.
    fn lost_since_ms(&self, lost: Option<&Recipient>, history: &History<'_>) -> Millis {
        let onset_ms = self.input.incident.onset_ms;
        let since_ms = lost.map(|person| person.lost_since_ms.unwrap_or(onset_ms));
        let is_open = history.standing() != Standing::NotTold;
        let told = history.last_facts().filter(|_| is_open);
        let told_ms = told.map(|(_, told)| told.onset_ms);
        let known = since_ms.into_iter().chain(told_ms);
        known.min().unwrap_or(onset_ms)
    }

    /// Who told the person may be known only when it is said: of restored and retraction the gate
    /// lets one through.
    fn close_or_retract(&mut self, account: &str, history: &History<'_>, never_lost: bool) {
        let incident = self.input.incident;
        let retracting = history.last_of(incident.reopened, Stage::Retraction);
        // What is told after a retraction that concerned this person only is still to be closed.
        let may_follow = |n: &PriorNotice| match incident.state {
            IncidentState::Rejected => false,
            IncidentState::Restored => !n.is_unsent(),
            _ => n.state.is_told(),
        };
        let now_ms = self.input.now_ms;
        if retracting.is_none_or(|n| never_left(n) || may_follow(n)) {
            let is_retracted = incident.state == IncidentState::Rejected;
            let from_ms = if is_retracted {
                now_ms
            } else {
                self.back_from_ms()
            };
            self.close(account, history, Stage::Restored, from_ms);
        }
        if never_lost {
            let is_final = incident.state == IncidentState::Rejected;
            let wait_ms = if is_final { 0 } else { RECONSIDER_MS };
            self.close(account, history, Stage::Retraction, now_ms + wait_ms);
        }
    }

    /// From when on it is said that service is back.
    fn back_from_ms(&self) -> Millis {
        let PlanInput {
            incident,
            policy,
            now_ms,
            ..
        } = *self.input;
        if incident.reopened == 0 {
            return now_ms;
        }
        // What came and went is called restored only some time after it is back.
        let back_ms = incident.restored_ms.unwrap_or(now_ms);
        now_ms.max(back_ms + policy.reopened_wait_ms)
    }

    /// Cancels what has surely not left.
    fn take_back(
        &mut self,
        history: &History<'_>,
        which: impl Fn(&PriorNotice) -> bool,
        reason: &'static str,
    ) {
        let unsent = history.iter().filter(|n| n.is_unsent() && which(n));
        self.plan.cancel.extend(unsent.map(|n| (n.id, reason)));
    }

    /// Notes on the row of somebody who was not told that service is back, while others of the
    /// incident still wait: another incident may then say so.
    fn mark_over(&mut self, history: &History<'_>) {
        let not_told = history
            .iter()
            .filter(|n| n.stage == Stage::First && n.state == NoticeState::NotSent && !n.over);
        self.plan
            .cancel
            .extend(not_told.map(|n| (n.id, "restored")));
    }

    /// Says that it is over to who was told, or may just be hearing it.
    fn close(&mut self, account: &str, history: &History<'_>, stage: Stage, from_ms: Millis) {
        let episode = self.input.incident.reopened;
        // What an incident that this one took over has said, or is just saying, counts.
        let inherited = |n: &PriorNotice| n.cover.is_some_and(|c| !c.open && (c.told || c.pending));
        let left = History::new(history.iter().filter(|n| !n.is_unsent() || inherited(n)));
        let knows = matches!(
            left.standing(),
            Standing::Told | Standing::MaybeTold | Standing::MaybeClosed
        );
        let Some(person) = history.iter().last().map(|n| n.person.clone()) else {
            return;
        };
        let said = history.last_of(episode, stage);
        let may_arrive = |n: &PriorNotice| inherited(n) && n.cover.is_some_and(|c| c.pending);
        let is_inherited = history.iter().any(may_arrive);
        // Said again only of what another incident has told since, or may just be telling.
        let is_told_since = match left.standing() {
            Standing::Told => true,
            Standing::MaybeTold => is_inherited,
            _ => false,
        };
        let number = match said {
            Some(n) if n.state.is_told() && is_told_since => n.stage_no + 1,
            // One that is just going out may be withheld, and what it goes on for may arrive after it.
            Some(n)
                if n.state == NoticeState::Pending
                    && !n.is_unsent()
                    && (is_inherited || history.notes_relapse_after(n)) =>
            {
                n.stage_no + 1
            }
            // One that went out while its outcome is open is left to the gate.
            Some(n) if !never_left(n) => return,
            Some(n) => n.stage_no,
            None => 0,
        };
        if !knows || person.arm == Arm::HeldOut {
            return;
        }
        // Whoever has had service since before the incident was reopened does not wait anew.
        let waiting = history.iter().filter(|n| n.is_unsent() && n.stage == stage);
        let back_ms = waiting.map(|n| n.planned_at_ms).min();
        let waited_ms = back_ms.map_or(0, |back_ms| self.input.now_ms - back_ms);
        let from_ms = (from_ms - waited_ms).max(self.input.now_ms);
        self.add(account, (stage, number), Decision::Send, person, from_ms);
        if let (Some(back_ms), Some(planned)) = (back_ms, self.plan.notices.last_mut()) {
            planned.planned_at_ms = back_ms;
        }
    }

    fn affected(&mut self, recipient: &'a Recipient, history: &History<'_>) {
        let episode = self.input.incident.reopened;
        self.take_back(history, |n| n.stage.closes(), "lost_again");
        // This incident has the say again, unless the one that it was handed to has had its say.
        let is_left = |n: &PriorNotice| n.handed_over && !n.heir_closed;
        let handed_over = history.iter().filter(|n| is_left(n));
        let taken_back = handed_over.map(|n| (n.id, "lost_again"));
        self.plan.cancel.extend(taken_back);
        let open = |n: &&PriorNotice| !(n.is_unsent() && n.stage.closes() || is_left(n));
        let kept = History::new(history.iter().filter(open));
        match kept.last_of(episode, Stage::First) {
            Some(first) if !never_left(first) => {
                // It may yet fail, or be over already; what a merged incident has said counts then.
                if let Some(coverage) = recipient.covered_by
                    && first.cover.map(|cover| cover.incident) != Some(coverage.incident)
                    && may_link(first, kept.standing(), coverage)
                {
                    self.plan.link.push((first.id, coverage.incident));
                }
                if self.relapse(recipient, &kept) {
                    return;
                }
            }
            earlier => self.first(recipient, &kept, earlier),
        }
        if matches!(kept.standing(), Standing::Told | Standing::MaybeTold) {
            self.news(recipient, &kept);
        }
    }

    fn first(
        &mut self,
        recipient: &'a Recipient,
        history: &History<'_>,
        earlier: Option<&PriorNotice>,
    ) {
        let in_force = earlier.filter(|n| n.state == NoticeState::NotSent && !n.over);
        let cover = earlier.and_then(|n| n.cover);
        let inherited = cover.filter(|cover| cover.told);
        // That service is back after what another incident told does not leave while this one is open.
        let takes_over = cover.is_some_and(|cover| cover.closing_waits);
        // It may just be hearing that this is over; nothing can follow that in this episode.
        let is_closing = history.iter().any(|n| {
            n.episode == self.input.incident.reopened
                && n.stage.closes()
                && n.state == NoticeState::Pending
        });
        let (decision, available_at_ms) = match (history.standing(), inherited) {
            (Standing::MaybeClosed, None) if is_closing => {
                (Decision::AlreadyTold, self.input.now_ms)
            }
            (Standing::Told | Standing::Elsewhere, _) if in_force.is_some() => return,
            (Standing::Told | Standing::Elsewhere, Some(_)) => {
                (Decision::Covered, self.input.now_ms)
            }
            (Standing::MaybeTold, _) if takes_over => (Decision::Covered, self.input.now_ms),
            // Whoever has asked since not to be told anything heard no end of the one before either.
            (Standing::Told, None) if !recipient.consent || recipient.opted_out => {
                self.decide(recipient)
            }
            (Standing::Told, None) => (Decision::AlreadyTold, self.input.now_ms),
            _ => self.decide(recipient),
        };
        if in_force.is_some_and(|n| n.decision == decision) {
            return;
        }
        let person = person_key(recipient);
        let account = &recipient.account;
        self.add(
            account,
            (Stage::First, 0),
            decision,
            person,
            available_at_ms,
        );
        // A link to what is still on its way must not be lost when the row is decided anew.
        let covered_by = earlier
            .and_then(|n| n.cover)
            .filter(|cover| cover.told || cover.pending)
            .map(|cover| cover.incident)
            .or(recipient.covered_by.map(|coverage| coverage.incident));
        if matches!(decision, Decision::Covered | Decision::Send)
            && let Some(planned) = self.plan.notices.last_mut()
        {
            planned.covered_by = covered_by;
        }
    }

    /// Lost again after being told that service is back, or while that may be on its way, within the
    /// same episode: nothing more is sent, and a row says so. Whether it is written now.
    fn relapse(&mut self, recipient: &Recipient, history: &History<'_>) -> bool {
        let episode = self.input.incident.reopened;
        let of_episode = || history.iter().filter(|n| n.episode == episode);
        let noted = of_episode().filter(|n| n.decision == Decision::CapReached);
        let noted_ms = noted.map(|n| n.planned_at_ms).max();
        let closings = of_episode().filter(|n| n.stage.closes());
        let is_to_note = closings.into_iter().any(|n| match n.state {
            // Each time, so that the gate keeps it from being tried again.
            NoticeState::Pending | NoticeState::Dead => {
                !n.is_unsent() && noted_ms < Some(n.planned_at_ms)
            }
            state => state.is_told() && noted_ms.is_none(),
        });
        if is_to_note {
            let number = next_number(history, episode, Stage::Update);
            let person = person_key(recipient);
            let now_ms = self.input.now_ms;
            let account = &recipient.account;
            self.add(
                account,
                (Stage::Update, number),
                Decision::CapReached,
                person,
                now_ms,
            );
        }
        is_to_note
    }

    /// An update or a new estimate, when there is something to say and nothing waiting to say it.
    fn news(&mut self, recipient: &Recipient, history: &History<'_>) {
        let Some((_, told)) = history.last_facts() else {
            return;
        };
        let policy = self.input.policy;
        let Some(stage) = policy.news(&told, &self.facts) else {
            return;
        };
        let now_ms = self.input.now_ms;
        let available_at_ms = policy.news_due_ms(history, &self.facts, now_ms);
        // What waits for its time says all that is so then; an estimate that need not wait for that
        // takes its place.
        let is_update = |n: &&PriorNotice| matches!(n.stage, Stage::Update | Stage::Estimate);
        let may_replace = is_first_estimate(&told, &self.facts) && available_at_ms <= now_ms;
        let waiting: Vec<_> = history.iter().filter(|n| n.is_unsent()).collect();
        let is_free = waiting.iter().all(|n| may_replace && is_update(n));
        if !is_free || recipient.arm == Arm::HeldOut {
            return;
        }
        let capped = recipient.sent_last_day >= self.input.policy.max_per_day;
        let episode = self.input.incident.reopened;
        let number = next_number(history, episode, stage);
        let noted = history
            .iter()
            .any(|n| n.episode == episode && n.decision == Decision::CapReached);
        if capped && (noted || !waiting.is_empty()) {
            return;
        }
        let decision = if capped {
            Decision::CapReached
        } else {
            Decision::Send
        };
        if decision == Decision::Send {
            let superseded = waiting.iter().map(|n| (n.id, "superseded"));
            self.plan.cancel.extend(superseded);
        }
        let person = person_key(recipient);
        self.add(
            &recipient.account,
            (stage, number),
            decision,
            person,
            available_at_ms,
        );
    }

    /// Told or not, and from when on. Held out comes last, so that both arms of the experiment are
    /// people who could have been told.
    fn decide(&mut self, recipient: &'a Recipient) -> (Decision, Millis) {
        let policy = self.input.policy;
        let now_ms = self.input.now_ms;
        let decision = if !recipient.consent {
            Decision::NoConsent
        } else if recipient.opted_out {
            Decision::OptedOut
        } else if !recipient.has_email {
            Decision::NoContactPoint
        } else if recipient.suppressed {
            Decision::SuppressedAddress
        } else if self.input.incident.affected < policy.min_affected {
            Decision::BelowThreshold
        } else if recipient.arm == Arm::HeldOut {
            Decision::HeldOut
        } else if recipient.covered_by.is_some_and(|c| c.settled) {
            Decision::Covered
        } else if recipient.sent_last_day >= policy.max_per_day {
            Decision::CapReached
        } else {
            Decision::Send
        };
        let quiet = recipient.quiet_hours.filter(|_| {
            policy.respects_quiet_hours(recipient.vulnerable, self.input.incident.affected)
        });
        if let (Decision::Send, Some(quiet)) = (decision, quiet)
            && let Some(until_ms) = self.quiet_until(&recipient.time_zone, quiet)
        {
            return if until_ms > now_ms + policy.first_useless_after_ms {
                (Decision::QuietHours, now_ms)
            } else {
                (Decision::Send, until_ms)
            };
        }
        (decision, now_ms)
    }

    fn quiet_until(&mut self, zone: &'a str, quiet: QuietHours) -> Option<Millis> {
        let now_ms = self.input.now_ms;
        *self
            .quiet
            .entry((zone, quiet.from_minute, quiet.to_minute))
            .or_insert_with(|| quiet_until(now_ms, &time_zone(zone), quiet))
    }

    fn add(
        &mut self,
        account: &str,
        (stage, stage_no): (Stage, u32),
        decision: Decision,
        person: PersonKey,
        available_at_ms: Millis,
    ) {
        let incident = self.input.incident;
        self.plan.notices.push(PlannedNotice {
            id: notice_id(incident, account, stage, stage_no),
            incident: incident.no,
            account: account.to_owned(),
            episode: incident.reopened,
            stage,
            stage_no,
            decision,
            covered_by: None,
            person,
            planned_at_ms: self.input.now_ms,
            available_at_ms,
            useless_after_ms: available_at_ms
                .max(self.input.now_ms)
                .saturating_add(self.input.policy.useless_after_ms(stage)),
            facts: self.facts,
        });
    }
}

/// Whether what the other incident has said, or may be saying, is to count for this first notice.
fn may_link(first: &PriorNotice, standing: Standing, coverage: Coverage) -> bool {
    let (told, pending) = first.cover.map_or((false, false), |c| (c.told, c.pending));
    match standing {
        Standing::Told | Standing::Elsewhere => false,
        Standing::MaybeTold => !told && (coverage.merged || !pending),
        Standing::NotTold | Standing::MaybeClosed => true,
    }
}

/// Its row may be decided anew.
fn never_left(notice: &PriorNotice) -> bool {
    matches!(notice.state, NoticeState::NotSent | NoticeState::Cancelled)
}

fn next_number(history: &History<'_>, episode: u32, stage: Stage) -> u32 {
    history
        .last_of(episode, stage)
        .map_or(0, |n| n.stage_no + 1)
}

fn person_key(recipient: &Recipient) -> PersonKey {
    PersonKey {
        cluster: recipient.cluster.clone(),
        arm: recipient.arm,
        segment: recipient.segment,
        vulnerable: recipient.vulnerable,
        language: recipient.language.clone(),
        channel: recipient.has_email.then_some(ChannelKind::Email),
    }
}

/// The same for the same notice in every replay; a version-8 UUID.
fn notice_id(incident: &Incident, account: &str, stage: Stage, stage_no: u32) -> NoticeId {
    let mut hash = Sha256::new();
    hash.update(incident.no.0.to_be_bytes());
    hash.update(incident.detected_ms.to_be_bytes());
    hash.update(incident.reopened.to_be_bytes());
    hash.update(stage.as_str());
    hash.update(stage_no.to_be_bytes());
    hash.update(account);
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    NoticeId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
