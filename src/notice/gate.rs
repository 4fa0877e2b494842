//! The truth gate: decides at the moment of sending whether a notice is still true and of use.
//!
//! Pure. Invariants: a stage goes out only after the fate of what goes before it is known; nobody
//! hears "restored", an update or a retraction who was not told; nobody is told of a fault that is
//! over.

use super::plan::NoticePolicy;
use super::quiet::{quiet_until, time_zone};
use super::standing::{History, Standing, Teller};
use super::{Addressee, Arm, Cover, Decision, Facts, NoticeState, PriorNotice, Stage};
use crate::clock::Millis;
use crate::incident::{Incident, IncidentNo, IncidentState};

/// What to do with a notice whose turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Send,
    /// Look again at that instant.
    Wait {
        until_ms: Millis,
        reason: &'static str,
    },
    /// Never; with the reason.
    Cancel(&'static str),
}

/// All that the gate looks at, as of now.
#[derive(Clone, Copy, Debug)]
pub struct GateInput<'a> {
    /// The notice, as it stands in the history.
    pub notice: &'a PriorNotice,
    pub useless_after_ms: Millis,
    pub incident: Option<&'a Incident>,
    /// Every notice of the incident to this person, this one included.
    pub history: &'a [PriorNotice],
    pub person: Option<&'a Addressee>,
    pub elsewhere: Elsewhere,
    pub now_ms: Millis,
    pub policy: &'a NoticePolicy,
}

/// Whether another open incident leaves the person without service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Elsewhere {
    #[default]
    No,
    /// It does, and may never speak to the person: this incident has to say that service is back,
    /// once it really is.
    Silent,
    /// It does, and will say when service is back.
    TakesOver,
    /// It does, and its first notice may be on its way and goes ahead of that of this incident.
    Sending,
    /// It does, has told the person itself, and will say when service is back.
    Told,
}

/// The row of stage first of an open incident that leaves a person without service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFirst {
    pub incident: IncidentNo,
    pub state: NoticeState,
    /// The person knew already when it was to be sent, or another incident speaks for this one.
    pub speaks: bool,
    pub attempt: u32,
    pub planned_at_ms: Millis,
    pub available_at_ms: Millis,
}

impl OpenFirst {
    /// Of several that are being sent the one with the least turn goes first: see
    /// [`super::standing::Closing`]. Of one claim, the one that was planned first.
    fn turn(&self) -> Option<(bool, Millis, Millis, IncidentNo)> {
        let is_claimed = self.state == NoticeState::Pending && self.attempt > 0;
        is_claimed.then_some((
            self.attempt <= 1,
            self.available_at_ms,
            self.planned_at_ms,
            self.incident,
        ))
    }
}

impl Elsewhere {
    /// What the rows of a person mean to one incident, which may be among them.
    pub fn of(asking: IncidentNo, firsts: &[OpenFirst]) -> Self {
        let (own, others): (Vec<&OpenFirst>, Vec<&OpenFirst>) =
            firsts.iter().partition(|first| first.incident == asking);
        let own_turn = own.iter().filter_map(|first| first.turn()).min();
        let each = others.into_iter().map(|first| {
            let is_ahead = first.turn().is_some_and(|turn| Some(turn) < own_turn);
            if first.state.is_told() {
                Self::Told
            } else if is_ahead {
                Self::Sending
            } else if first.speaks {
                Self::TakesOver
            } else {
                Self::Silent
            }
        });
        each.max().unwrap_or_default()
    }
}

/// Why a restored is cancelled when another incident will say when service is back.
pub const HANDED_OVER: &str = "still_affected";

/// How long a notice waits before it looks again whether another incident is over.
pub const ELSEWHERE_WAIT_MS: Millis = 60_000;

/// How long a restored waits for a suspicion that the fault is back: by then it is decided, or nobody
/// believes it (see `correlation.decide_within_s`, whose default this is).
const SUSPECTED_WAIT_MS: Millis = 10 * 60_000;

/// How long a first notice waits for another incident to say that it is over: whatever is really on
/// its way is settled when its lease ends.
const CLOSING_WAIT_MS: Millis = 5 * 60_000;

/// How long a stage waits before it looks again whether the one before it is settled.
pub const SETTLE_WAIT_MS: Millis = 5_000;

/// Decides.
pub fn decide(input: &GateInput<'_>) -> Verdict {
    if input.now_ms > input.useless_after_ms {
        return Verdict::Cancel("useless_after");
    }
    let person = match reachable(input) {
        Ok(person) => person,
        Err(reason) => return Verdict::Cancel(reason),
    };
    let Some(incident) = input.incident else {
        return Verdict::Cancel("no_such_incident");
    };
    let history = History::new(input.history);
    let verdict = match input.notice.stage {
        Stage::First => first(input, incident, &history),
        Stage::Update | Stage::Estimate => update(input, incident, &history),
        Stage::Restored | Stage::Retraction => closing(input, incident, &history),
    };
    if verdict != Verdict::Send {
        return verdict;
    }
    quiet(input, incident, person)
}

fn reachable<'a>(input: &GateInput<'a>) -> Result<&'a Addressee, &'static str> {
    let person = input.person.ok_or("no_such_account")?;
    if input.notice.person.arm == Arm::HeldOut {
        Err("held_out")
    } else if !person.consent {
        Err("no_consent")
    } else if person.opted_out {
        Err("opted_out")
    } else if person.emails.is_empty() {
        Err("no_contact_point")
    } else if person.email().is_none() {
        Err("suppressed_address")
    } else {
        Ok(person)
    }
}

fn wait(input: &GateInput<'_>, reason: &'static str) -> Verdict {
    Verdict::Wait {
        until_ms: input.now_ms + SETTLE_WAIT_MS,
        reason,
    }
}

/// A restored or retraction of this episode that is not cancelled.
fn is_closed(history: &History<'_>, episode: u32) -> bool {
    history
        .iter()
        .any(|n| n.episode == episode && n.stage.closes() && n.state != NoticeState::Cancelled)
}

fn first(input: &GateInput<'_>, incident: &Incident, history: &History<'_>) -> Verdict {
    if incident.merged_into.is_some() {
        return Verdict::Cancel("merged");
    }
    match incident.state {
        IncidentState::Suspected => return wait(input, "suspected"),
        IncidentState::Restored => return Verdict::Cancel("restored"),
        IncidentState::Rejected => return Verdict::Cancel("rejected"),
        IncidentState::Confirmed => {}
    }
    if input.notice.episode != incident.reopened {
        return Verdict::Cancel("superseded");
    }
    if is_closed(history, input.notice.episode) {
        return Verdict::Cancel("restored");
    }
    if let Some(cover) = input.notice.cover {
        // That what it told is over waits for this incident, which takes it over.
        if cover.told || cover.closing_waits {
            return Verdict::Cancel("covered");
        }
        if cover.pending && waits_for(&cover, input, incident.no) {
            return wait(input, "covering_notice_unsettled");
        }
    }
    match history.standing_before(input.notice) {
        // It was not known when this was planned.
        Standing::NotTold if input.elsewhere == Elsewhere::Told => Verdict::Cancel("covered"),
        Standing::NotTold if input.elsewhere == Elsewhere::Sending => {
            wait(input, "covering_notice_unsettled")
        }
        Standing::NotTold => Verdict::Send,
        Standing::MaybeTold | Standing::MaybeClosed => wait(input, "earlier_notice_unsettled"),
        Standing::Told => Verdict::Cancel("already_told"),
        Standing::Elsewhere => Verdict::Cancel("covered"),
    }
}

/// Whether a first notice waits for what another incident has in the outbox.
fn waits_for(cover: &Cover, input: &GateInput<'_>, no: IncidentNo) -> bool {
    let notice = input.notice;
    let Some(first_ms) = cover.first_planned_ms else {
        // That it is over may itself be waiting for this incident, and have left before.
        let begun_ms = notice
            .planned_at_ms
            .max(cover.closing_planned_ms.unwrap_or(0));
        return input.now_ms < begun_ms + CLOSING_WAIT_MS;
    };
    // Of two that wait for each other the one that was planned first goes first: it need not know of
    // the other. One that was let through before has its turn by that; one that has ended does not
    // wait.
    let is_ahead = (first_ms, cover.incident) < (notice.planned_at_ms, no);
    !cover.open || notice.attempt <= 1 && is_ahead
}

fn update(input: &GateInput<'_>, incident: &Incident, history: &History<'_>) -> Verdict {
    let gone = incident.merged_into.is_some()
        || incident.state != IncidentState::Confirmed
        || input.notice.episode != incident.reopened
        || is_closed(history, input.notice.episode);
    if gone {
        return Verdict::Cancel("superseded");
    }
    let others = History::new(input.history.iter().filter(|n| n.id != input.notice.id));
    match others.standing() {
        Standing::Told => {}
        Standing::MaybeTold | Standing::MaybeClosed => {
            return wait(input, "earlier_notice_unsettled");
        }
        Standing::NotTold => return Verdict::Cancel("not_told_before"),
        Standing::Elsewhere => return Verdict::Cancel("covered"),
    }
    let Some((_, told)) = others.last_facts() else {
        return Verdict::Cancel("not_told_before");
    };
    if input.policy.news(&told, &Facts::of(incident)).is_none() {
        return Verdict::Cancel("nothing_new");
    }
    let due_ms = (input.policy).news_due_ms(&others, &Facts::of(incident), input.now_ms);
    if due_ms > input.now_ms {
        return Verdict::Wait {
            until_ms: due_ms,
            reason: "update_interval",
        };
    }
    Verdict::Send
}

/// That it works again is not said while that is in doubt; nor is it kept back by a doubt that nobody
/// decides.
fn wait_in_doubt(input: &GateInput<'_>, suspected: &Incident) -> Option<Verdict> {
    let decided_by_ms = suspected.detected_ms + SUSPECTED_WAIT_MS;
    (input.now_ms < decided_by_ms).then(|| Verdict::Wait {
        until_ms: decided_by_ms.min(input.now_ms + ELSEWHERE_WAIT_MS),
        reason: "suspected",
    })
}

/// What becomes of the closing for somebody who was told.
fn closing_of_told(input: &GateInput<'_>, incident: &Incident) -> Verdict {
    let retraction = input.notice.stage == Stage::Retraction;
    let rejected = incident.state == IncidentState::Rejected && incident.merged_into.is_none();
    match input.elsewhere {
        Elsewhere::No => Verdict::Send,
        _ if retraction && rejected => Verdict::Send,
        Elsewhere::TakesOver | Elsewhere::Told => Verdict::Cancel(HANDED_OVER),
        // It was out after all, by another fault: that is to end with a restored, which is planned as
        // long as this incident is.
        Elsewhere::Silent | Elsewhere::Sending
            if retraction && incident.state == IncidentState::Confirmed =>
        {
            Verdict::Cancel("lost_elsewhere")
        }
        Elsewhere::Silent | Elsewhere::Sending => Verdict::Wait {
            until_ms: input.now_ms + ELSEWHERE_WAIT_MS,
            reason: "still_affected",
        },
    }
}

fn closing(input: &GateInput<'_>, incident: &Incident, history: &History<'_>) -> Verdict {
    let retraction = input.notice.stage == Stage::Retraction;
    let rejected = incident.state == IncidentState::Rejected && incident.merged_into.is_none();
    // An operator has said that there was no such fault, or that it did not concern this person.
    let never_lost = rejected
        || history.iter().any(|n| {
            n.episode == input.notice.episode
                && n.stage == Stage::Retraction
                && n.state != NoticeState::Cancelled
        });
    // An incident that goes on in another says nothing after this any more, and of one that is only
    // suspected to have come back nothing has been planned yet.
    let is_suspected = incident.state == IncidentState::Suspected;
    let is_earlier = input.notice.episode != incident.reopened;
    if is_earlier && !is_suspected && incident.merged_into.is_none() {
        return Verdict::Cancel("reopened");
    }
    if is_earlier
        && is_suspected
        && !retraction
        && let Some(wait) = wait_in_doubt(input, incident)
    {
        return wait;
    }
    if incident.state == IncidentState::Confirmed && is_lost_again(input.notice, history) {
        return Verdict::Cancel("lost_again");
    }
    let is_in_flight = |n: &PriorNotice| n.state == NoticeState::Pending && n.attempt > 0;
    // A retraction waits for no restored: that waits for it, or has not left.
    let waits = |n: &PriorNotice| {
        retraction
            && n.stage == Stage::Restored
            && n.state == NoticeState::Pending
            && (!rejected || n.is_unsent())
    };
    let history = &History::new(history.iter().filter(|n| !waits(n)));
    let last = history.last_of(input.notice.episode, Stage::Retraction);
    let last = last.filter(|_| !retraction && !rejected);
    if history.before(input.notice).any(is_in_flight) || last.is_some_and(is_in_flight) {
        return wait(input, "earlier_notice_unsettled");
    }
    let is_retracted = last.is_some_and(|n| n.state.is_told());
    let never_lost = never_lost && !is_retracted;
    let standing = if is_retracted {
        // Only what was told since is left to be closed.
        let others = history.iter().filter(|n| n.id != input.notice.id);
        History::new(others).standing()
    } else {
        history.standing_before(input.notice)
    };
    let closing_waits = |n: &PriorNotice| n.cover.is_some_and(|cover| cover.closing_waits);
    let closing_waits = history.iter().any(closing_waits);
    match standing {
        // What another incident said is not taken back with this one.
        Standing::Told
            if never_lost
                && retraction != (history.teller_before(input.notice) == Teller::Itself) =>
        {
            Verdict::Cancel("superseded")
        }
        Standing::Told => closing_of_told(input, incident),
        // The one that told the person waits as well, until service has lasted.
        Standing::MaybeTold | Standing::MaybeClosed if closing_waits => Verdict::Wait {
            until_ms: input.now_ms + ELSEWHERE_WAIT_MS,
            reason: "earlier_notice_unsettled",
        },
        Standing::MaybeTold | Standing::MaybeClosed => wait(input, "earlier_notice_unsettled"),
        Standing::NotTold if is_retracted => Verdict::Cancel("superseded"),
        Standing::NotTold | Standing::Elsewhere => Verdict::Cancel("not_told_before"),
    }
}

/// Whether the person has a row that was decided anew since, and knows already, or one that notes the
/// relapse.
fn is_lost_again(closing: &PriorNotice, history: &History<'_>) -> bool {
    let first = history.last_of(closing.episode, Stage::First);
    let is_decided_anew = first.is_some_and(|n| {
        n.state == NoticeState::NotSent
            && !n.over
            && matches!(n.decision, Decision::AlreadyTold | Decision::Covered)
    });
    is_decided_anew || history.notes_relapse_after(closing)
}

fn quiet(input: &GateInput<'_>, incident: &Incident, person: &Addressee) -> Verdict {
    let Some(quiet) = person.quiet_hours else {
        return Verdict::Send;
    };
    let affected = incident.affected_peak.max(incident.affected);
    if !input
        .policy
        .respects_quiet_hours(person.vulnerable, affected)
    {
        return Verdict::Send;
    }
    match quiet_until(input.now_ms, &time_zone(&person.time_zone), quiet) {
        None => Verdict::Send,
        Some(until_ms) if until_ms > input.useless_after_ms => Verdict::Cancel("quiet_hours"),
        Some(until_ms) => Verdict::Wait {
            until_ms,
            reason: "quiet_hours",
        },
    }
}
