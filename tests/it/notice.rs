//! Who is told what: planning and the gate together, over random lives of three incidents.

mod crossing;
mod events;
mod flapping;
mod learned;
mod merger;
mod reasons;
mod since;
mod split;
mod wording;

use crate::operators::incident;
use forewarn::incident::{CauseKind, Estimate, Incident, IncidentNo, IncidentState};
use forewarn::notice::compose::{MessageInput, Sender, compose};
use forewarn::notice::gate::{Elsewhere, GateInput, HANDED_OVER, OpenFirst, Verdict, decide};
use forewarn::notice::plan::{NoticePolicy, Plan, PlanInput, PlannedNotice, is_being_told, plan};
use forewarn::notice::standing::{Closing, History, cover, is_closed_by};
use forewarn::notice::template::Templates;
use forewarn::notice::{
    Addressee, Arm, Coverage, Decision, Facts, NoticeState, PriorNotice, Recipient, Stage,
};
use forewarn::subscriber::{ChannelKind, QuietHours, Segment};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const MINUTE: i64 = 60_000;
const PEOPLE: usize = 4;
const INCIDENTS: usize = 3;
/// This one is held out.
const HELD_OUT: usize = 3;

#[derive(Clone, Debug)]
enum Event {
    Grow(usize, usize),
    Shrink(usize, usize),
    Confirm(usize),
    Restore(usize),
    Reopen(usize),
    /// The same, and it is only suspected.
    Suspect(usize),
    Reject(usize),
    /// The first goes on in the second, which takes service from those of its people.
    Merge(usize, usize, [bool; PEOPLE]),
    /// These people of the first go on in the second, which is new.
    Split(usize, usize, [bool; PEOPLE]),
    /// An operator names another cause: it has never concerned this person.
    Correct(usize, usize),
    SetEstimate(usize, i64),
    SetCause(usize),
    Advance(i64),
    /// Claims and gates what is due; it is then on its way.
    Claim,
    /// What is on its way arrives, or is to be tried again.
    Settle(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let which = 0..INCIDENTS;
    let person = 0..PEOPLE;
    prop_oneof![
        6 => (which.clone(), person.clone()).prop_map(|(i, p)| Event::Grow(i, p)),
        3 => (which.clone(), person.clone()).prop_map(|(i, p)| Event::Shrink(i, p)),
        2 => (which.clone(), person).prop_map(|(i, p)| Event::Correct(i, p)),
        2 => (which.clone(), 1..INCIDENTS, any::<[bool; PEOPLE]>())
            .prop_map(|(i, step, off)| Event::Split(i, (i + step) % INCIDENTS, off)),
        4 => which.clone().prop_map(Event::Confirm),
        3 => which.clone().prop_map(Event::Restore),
        2 => which.clone().prop_map(Event::Reopen),
        1 => which.clone().prop_map(Event::Suspect),
        1 => which.clone().prop_map(Event::Reject),
        2 => (which.clone(), 1..INCIDENTS, any::<[bool; PEOPLE]>())
            .prop_map(|(i, step, kept)| Event::Merge(i, (i + step) % INCIDENTS, kept)),
        2 => (which.clone(), 0..600_i64).prop_map(|(i, m)| Event::SetEstimate(i, m)),
        1 => which.prop_map(Event::SetCause),
        4 => (1..60_i64).prop_map(Event::Advance),
        7 => Just(Event::Claim),
        7 => prop::bool::weighted(0.7).prop_map(Event::Settle),
    ]
}

#[derive(Clone, Debug)]
struct Row {
    planned: PlannedNotice,
    state: NoticeState,
    over: bool,
    /// Why the gate cancelled it.
    reason: &'static str,
    attempt: u32,
    available_at_ms: i64,
    sent_at_ms: Option<i64>,
    facts: Facts,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    incident: IncidentNo,
    account: String,
    episode: u32,
    stage: Stage,
    stage_no: u32,
}

struct World {
    now_ms: i64,
    policy: NoticePolicy,
    incidents: [Incident; INCIDENTS],
    lost: [BTreeSet<usize>; INCIDENTS],
    rows: Vec<Row>,
    /// Place in `rows` and attempt.
    on_their_way: Vec<(usize, u32, Facts)>,
    sent: Vec<Sent>,
    /// Incidents and whom they never concerned.
    corrected: BTreeSet<(usize, usize)>,
    once_corrected: BTreeSet<(usize, usize)>,
    /// Whoever was told all of these has nothing else to hear until they change.
    leaves_out_told: [bool; INCIDENTS],
    /// Those to whom somebody was about to say that it is over at the latest claim.
    closing: BTreeSet<String>,
    /// The person whom an incident has just taken or left.
    moved: Option<(usize, usize)>,
}

fn account(person: usize) -> String {
    format!("A-{person}")
}

fn addressee(person: usize) -> Addressee {
    Addressee {
        account: account(person),
        name: "Maria Rossi".to_owned(),
        language: "it".to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        address: "Via Esempio 1".to_owned(),
        segment: Segment::Residential,
        vulnerable: false,
        consent: true,
        quiet_hours: None,
        opted_out: false,
        emails: vec![("maria@example.net".to_owned(), false)],
    }
}

fn recipient(person: usize) -> Recipient {
    Recipient {
        account: account(person),
        language: "it".to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        segment: Segment::Residential,
        vulnerable: false,
        consent: true,
        quiet_hours: None,
        channels: vec![ChannelKind::Email],
        has_email: true,
        opted_out: false,
        suppressed: false,
        sent_last_day: 0,
        cluster: "PON-1".to_owned(),
        arm: if person == HELD_OUT {
            Arm::HeldOut
        } else {
            Arm::Told
        },
        lost_since_ms: None,
        covered_by: None,
    }
}

impl World {
    fn new() -> Self {
        let suspected = |no| incident(no, IncidentState::Suspected);
        Self {
            now_ms: 1_000_000,
            policy: NoticePolicy::default(),
            incidents: [suspected(1), suspected(2), suspected(3)],
            lost: Default::default(),
            rows: Vec::new(),
            on_their_way: Vec::new(),
            sent: Vec::new(),
            corrected: BTreeSet::new(),
            once_corrected: BTreeSet::new(),
            leaves_out_told: [false; INCIDENTS],
            closing: BTreeSet::new(),
            moved: None,
        }
    }

    fn state(&self, no: IncidentNo) -> IncidentState {
        self.incidents.iter().find(|i| i.no == no).unwrap().state
    }

    fn is_open(&self, no: IncidentNo) -> bool {
        self.state(no).is_open()
    }

    /// The incidents that went on in this one, also by way of others.
    fn merged(&self, no: IncidentNo) -> Vec<IncidentNo> {
        let mut merged = vec![no];
        let mut next = 0;
        while let Some(survivor) = merged.get(next).copied() {
            next += 1;
            let taken_over = self.incidents.iter();
            let taken_over = taken_over.filter(|i| i.merged_into == Some(survivor));
            merged.extend(taken_over.map(|i| i.no));
        }
        merged.split_off(1)
    }

    fn bare(row: &Row) -> PriorNotice {
        let told = row.state.is_told() || row.state == NoticeState::Pending;
        PriorNotice {
            id: row.planned.id,
            account: row.planned.account.clone(),
            episode: row.planned.episode,
            stage: row.planned.stage,
            stage_no: row.planned.stage_no,
            state: row.state,
            decision: row.planned.decision,
            over: row.over,
            handed_over: row.state == NoticeState::Cancelled && row.reason == HANDED_OVER,
            heir_closed: false,
            attempt: row.attempt,
            planned_at_ms: row.planned.planned_at_ms,
            sent_at_ms: row.sent_at_ms,
            facts: told.then_some(row.facts),
            cover: None,
            person: row.planned.person.clone(),
        }
    }

    fn of(&self, no: IncidentNo, account: &str) -> Vec<PriorNotice> {
        self.rows
            .iter()
            .filter(|r| r.planned.incident == no && r.planned.account == account)
            .map(Self::bare)
            .collect()
    }

    /// The notices of an incident as the store reads them.
    fn prior(&self, no: IncidentNo) -> Vec<PriorNotice> {
        self.rows
            .iter()
            .filter(|r| r.planned.incident == no)
            .map(|r| {
                let mut notice = Self::bare(r);
                if notice.handed_over {
                    let who = &notice.account;
                    let closings = self.closings(no, who);
                    let told = self.of(no, who);
                    let told_at_ms = told.iter().filter_map(PriorNotice::first_sent_ms).max();
                    notice.heir_closed = is_closed_by(told_at_ms, &closings);
                }
                notice.cover = r.planned.covered_by.map(|by| {
                    let who = &r.planned.account;
                    let closings = self.closings(by, who);
                    cover(no, (by, self.state(by)), &self.of(by, who), &closings)
                });
                notice
            })
            .collect()
    }

    /// What the incidents have said, or may be saying, that a person is over with what `by` told.
    fn closings(&self, by: IncidentNo, who: &str) -> Vec<Closing> {
        let of_person = || self.rows.iter().filter(|r| r.planned.account == who);
        let goes_on =
            |no| of_person().any(|r| r.planned.incident == no && r.planned.covered_by == Some(by));
        of_person()
            .filter(|r| r.planned.stage.closes() && goes_on(r.planned.incident))
            .filter(|r| r.state.is_told() || r.state == NoticeState::Pending)
            .map(|r| Closing {
                by: r.planned.incident,
                sent_at_ms: r.sent_at_ms,
                attempt: r.attempt,
                available_at_ms: r.available_at_ms,
            })
            .collect()
    }

    fn has_closing(&self, row: &Row, cancelled_too: bool) -> bool {
        self.rows.iter().any(|c| {
            c.planned.incident == row.planned.incident
                && c.planned.account == row.planned.account
                && c.planned.episode >= row.planned.episode
                && c.planned.stage.closes()
                && (c.state.is_told()
                    || c.state == NoticeState::Pending && c.attempt > 0
                    || c.reason == HANDED_OVER && c.state == NoticeState::Cancelled
                    || cancelled_too && c.state != NoticeState::Cancelled)
        })
    }

    /// Whether an incident that goes on in the place of this one has said that it is over.
    fn is_closed_by_another(&self, row: &Row) -> bool {
        let closings = self.closings(row.planned.incident, &row.planned.account);
        row.sent_at_ms.is_some() && closings.iter().any(|c| c.sent_at_ms >= row.sent_at_ms)
    }

    fn told_elsewhere(&self, no: IncidentNo, who: &str) -> Option<Coverage> {
        let merged = self.merged(no);
        let mut found: Option<Coverage> = None;
        for row in &self.rows {
            let p = &row.planned;
            let told = row.state.is_told() || row.state == NoticeState::Pending;
            let counts = p.stage == Stage::First
                && p.account == who
                && p.incident != no
                && (told || p.decision == Decision::Covered)
                && (self.is_open(p.incident)
                    || merged.contains(&p.incident)
                    || self.restored_waits(p.incident, who))
                && !self.has_closing(row, false)
                && !self.is_closed_by_another(row);
            if !counts {
                continue;
            }
            let origin = match row.state {
                NoticeState::NotSent => p.covered_by.unwrap_or(p.incident),
                _ => p.incident,
            };
            let settled = row.state != NoticeState::Pending;
            let coverage = Coverage {
                incident: origin,
                settled,
                merged: merged.contains(&origin),
            };
            let rank = |c: Coverage| (c.settled, c.merged);
            if origin != no && found.is_none_or(|kept| rank(coverage) > rank(kept)) {
                found = Some(coverage);
            }
        }
        found
    }

    /// Whether an incident that is over is about to say that service is back, and surely has not.
    fn restored_waits(&self, no: IncidentNo, who: &str) -> bool {
        self.state(no) == IncidentState::Restored
            && self.rows.iter().any(|row| {
                let p = &row.planned;
                let waits = row.state == NoticeState::Pending && row.attempt == 0;
                waits && p.incident == no && p.account == who && p.stage == Stage::Restored
            })
    }

    fn elsewhere(&self, no: IncidentNo, who: &str) -> Elsewhere {
        let known = |row: &Row| {
            let is_told = match row.reason {
                "covered" => row.planned.covered_by.is_some(),
                reason => reason == "already_told",
            };
            row.state == NoticeState::Cancelled && is_told
        };
        // Found covered, and not planned as that yet.
        let unplanned = |row: &Row| row.state == NoticeState::Cancelled && row.reason == "covered";

        let holds = |row: &&Row| {
            let waits = row.state == NoticeState::NotSent && !row.over;
            row.planned.stage == Stage::First
                && row.planned.account == who
                && self.is_open(row.planned.incident)
                && (row.state.is_told()
                    || row.state == NoticeState::Pending
                    || waits
                    || known(row)
                    || unplanned(row))
                && !self.has_closing(row, true)
        };
        let firsts = self.rows.iter().filter(holds).map(|row| OpenFirst {
            incident: row.planned.incident,
            state: row.state,
            speaks: known(row) || row.planned.decision == Decision::Covered,
            attempt: row.attempt,
            planned_at_ms: row.planned.planned_at_ms,
            available_at_ms: row.available_at_ms,
        });
        let firsts: Vec<OpenFirst> = firsts.collect();
        Elsewhere::of(no, &firsts)
    }

    /// What is planned for everybody is what is planned for each person without the others.
    fn is_decided_of_alone(
        &self,
        made: &Plan,
        which: usize,
        recipients: &[Recipient],
        never_lost: &BTreeSet<String>,
    ) {
        let mut all = Plan::default();
        let prior = self.prior(self.incidents[which].no);
        for who in (0..PEOPLE).map(account) {
            let is_who = |r: &&Recipient| r.account == who;
            let recipients: Vec<Recipient> = recipients.iter().filter(is_who).cloned().collect();
            let prior: Vec<_> = prior.iter().filter(|n| n.account == who).cloned().collect();
            let alone = plan(&PlanInput {
                incident: &self.incidents[which],
                now_ms: self.now_ms,
                policy: &self.policy,
                recipients: &recipients,
                never_lost,
                prior: &prior,
            });
            all.notices.extend(alone.notices);
            all.cancel.extend(alone.cancel);
            all.link.extend(alone.link);
        }
        assert_eq!(*made, all);
    }

    /// Once a plan has found nothing, later ones find nothing for those who have been told.
    fn leaves_out_told(&mut self, made: &Plan, which: usize, prior: &[PriorNotice]) {
        let no = self.incidents[which].no;
        let merged = self.merged(no);
        let is_of = |row: &&Row, who: &str| {
            let p = &row.planned;
            let is_merged = p.covered_by.is_some_and(|by| merged.contains(&by));
            p.incident == no
                && p.account == who
                && !row.state.is_told()
                && !(p.decision == Decision::Covered && is_merged)
        };
        let ids = made.cancel.iter().map(|(id, _)| id);
        let ids: BTreeSet<_> = ids.chain(made.link.iter().map(|(id, _)| id)).collect();
        let of_ids = prior.iter().filter(|n| ids.contains(&n.id));
        let found = made.notices.iter().map(|n| n.account.as_str());
        for who in found.chain(of_ids.map(|n| n.account.as_str())) {
            let has_moved = |(i, person): (usize, usize)| i == which && account(person) == who;
            assert!(
                !self.leaves_out_told[which]
                    || self.moved.is_some_and(has_moved)
                    || self.rows.iter().any(|row| is_of(&row, who)),
                "{who} would have been left out of {made:?}"
            );
        }
        let is_waiting = prior.iter().any(|n| {
            n.state == NoticeState::Pending || n.cover.is_some_and(|cover| cover.is_unsettled())
        });
        self.leaves_out_told[which] &= !is_being_told(prior, made);
        self.leaves_out_told[which] |= *made == Plan::default() && !is_waiting;
    }

    fn plan(&mut self, which: usize) {
        self.plan_with(which, &BTreeSet::new());
    }

    fn plan_with(&mut self, which: usize, never_lost: &BTreeSet<String>) {
        let incident = self.incidents[which].clone();
        let lost = match incident.merged_into {
            Some(survivor) => &self.lost[usize::try_from(survivor.0 - 1).unwrap()],
            None => &self.lost[which],
        };
        let recipients: Vec<Recipient> = lost
            .iter()
            .map(|person| {
                let mut recipient = recipient(*person);
                recipient.covered_by = self.told_elsewhere(incident.no, &recipient.account);
                recipient
            })
            .collect();
        let prior = self.prior(incident.no);
        let made = plan(&PlanInput {
            incident: &incident,
            now_ms: self.now_ms,
            policy: &self.policy,
            recipients: &recipients,
            never_lost,
            prior: &prior,
        });
        let ids: BTreeSet<_> = made.notices.iter().map(|notice| notice.id).collect();
        assert_eq!(ids.len(), made.notices.len(), "one key twice in {made:?}");
        self.is_decided_of_alone(&made, which, &recipients, never_lost);
        self.leaves_out_told(&made, which, &prior);
        for (id, _) in made.cancel {
            let row = self.rows.iter_mut().find(|r| r.planned.id == id).unwrap();
            match row.state {
                NoticeState::Pending if row.attempt == 0 => {
                    row.state = NoticeState::Cancelled;
                    row.reason = "planned";
                }
                NoticeState::NotSent => row.over = true,
                NoticeState::Cancelled => row.reason = "planned",
                _ => {}
            }
        }
        for (id, by) in made.link {
            let row = self.rows.iter_mut().find(|r| r.planned.id == id).unwrap();
            row.planned.covered_by = Some(by);
        }
        for planned in made.notices {
            self.write(planned);
        }
        if incident.state == IncidentState::Confirmed && incident.merged_into.is_none() {
            for person in &self.lost[which] {
                let prior = self.of(incident.no, &account(*person));
                let history = History::new(&prior);
                assert!(
                    history.last_of(incident.reopened, Stage::First).is_some(),
                    "nothing decided about {person}"
                );
            }
        }
    }

    fn write(&mut self, planned: PlannedNotice) {
        let row = Row {
            state: planned.state(),
            over: false,
            reason: "",
            attempt: 0,
            available_at_ms: planned.available_at_ms,
            sent_at_ms: None,
            facts: planned.facts,
            planned,
        };
        match self
            .rows
            .iter_mut()
            .find(|r| r.planned.id == row.planned.id)
        {
            None => self.rows.push(row),
            Some(old) => {
                let replaced = matches!(old.state, NoticeState::NotSent | NoticeState::Cancelled);
                assert!(replaced, "planned twice: {old:?}");
                *old = row;
            }
        }
    }

    /// Takes all that is due, and then decides of each of them as they were taken.
    fn claim(&mut self) {
        self.now_ms += 1;
        let mut claimed = Vec::new();
        for (place, row) in self.rows.iter_mut().enumerate() {
            if row.state == NoticeState::Pending && row.available_at_ms <= self.now_ms {
                row.attempt += 1;
                row.available_at_ms = self.now_ms + 600 * MINUTE;
                claimed.push(place);
            }
        }
        let pending = self.rows.iter().filter(|r| r.state == NoticeState::Pending);
        let closing = pending.filter(|r| r.planned.stage.closes());
        self.closing = closing.map(|r| r.planned.account.clone()).collect();
        let verdicts: Vec<_> = claimed.iter().map(|place| self.verdict(*place)).collect();
        for (place, (which, person, verdict)) in claimed.into_iter().zip(verdicts) {
            let row = &mut self.rows[place];
            match verdict {
                Verdict::Send => {
                    let facts = Facts::of(&self.incidents[which]);
                    self.on_their_way.push((place, row.attempt, facts));
                    self.check_departure(place, which, person);
                }
                Verdict::Wait { until_ms, .. } => {
                    assert!(until_ms > self.now_ms, "a wait must end later");
                    row.attempt -= 1;
                    row.available_at_ms = until_ms;
                }
                Verdict::Cancel(reason) => {
                    row.state = NoticeState::Cancelled;
                    row.reason = reason;
                    // Another incident left this person without service after all.
                    let is_retraction = row.planned.stage == Stage::Retraction;
                    if is_retraction && ["lost_elsewhere", HANDED_OVER].contains(&reason) {
                        self.corrected.remove(&(which, person));
                    }
                }
            }
        }
    }

    /// Of which incident and whom a notice is, and what the gate says of it.
    fn verdict(&self, place: usize) -> (usize, usize, Verdict) {
        let planned = &self.rows[place].planned;
        let who = &planned.account;
        let mut history = self.prior(planned.incident);
        history.retain(|n| n.account == *who);
        let person: usize = who[2..].parse().unwrap();
        let which = usize::try_from(planned.incident.0 - 1).unwrap();
        let verdict = decide(&GateInput {
            notice: history.iter().find(|n| n.id == planned.id).unwrap(),
            useless_after_ms: planned.useless_after_ms,
            incident: Some(&self.incidents[which]),
            history: &history,
            person: Some(&addressee(person)),
            elsewhere: self.elsewhere(planned.incident, who),
            now_ms: self.now_ms,
            policy: &self.policy,
        });
        (which, person, verdict)
    }

    /// What must hold for a message at the moment it leaves.
    fn check_departure(&self, place: usize, which: usize, person: usize) {
        let notice = &self.rows[place].planned;
        assert_ne!(person, HELD_OUT, "held out, and yet {:?}", notice.stage);
        let told_first = |s: &&Sent| s.account == notice.account && s.stage == Stage::First;
        match notice.stage {
            Stage::First => {
                assert!(
                    self.lost[which].contains(&person),
                    "told without being affected"
                );
                assert_eq!(self.incidents[which].state, IncidentState::Confirmed);
                let others =
                    self.told_by_others(self.rows[place].planned.incident, &notice.account);
                assert_eq!(others, [], "told {} as well", notice.account);
            }
            Stage::Update | Stage::Estimate => {
                assert!(
                    self.sent.iter().any(|s| told_first(&s)),
                    "update before first"
                );
                assert_eq!(self.incidents[which].state, IncidentState::Confirmed);
            }
            Stage::Restored | Stage::Retraction => {
                let is_lost = |i: usize| {
                    let is_confirmed = self.incidents[i].state == IncidentState::Confirmed;
                    is_confirmed && self.lost[i].contains(&person)
                };
                assert!(
                    notice.stage != Stage::Restored || !is_lost(which),
                    "service is not back"
                );
                // Several may have told the person at the same time.
                let tellers = self.tellers(&notice.account);
                let is_rejected = |no: IncidentNo| self.state(no) == IncidentState::Rejected;
                // One that was on its way when that was taken back is tried again, and one of an
                // episode before is still true of that.
                let is_again = self.rows[place].attempt > 1
                    || notice.episode != self.incidents[which].reopened;
                let is_corrected = self.corrected.contains(&(which, person))
                    || is_again && self.once_corrected.contains(&(which, person));
                let is_so = match notice.stage {
                    Stage::Retraction => is_corrected || tellers.iter().any(|no| is_rejected(*no)),
                    _ if is_corrected && !is_again && tellers == [notice.incident] => false,
                    // What another incident has taken over did happen, if that is not rejected too.
                    _ => {
                        tellers.iter().any(|no| !is_rejected(*no)) || !is_rejected(notice.incident)
                    }
                };
                assert!(
                    is_so && !tellers.is_empty(),
                    "{:?} to {} of what {tellers:?} told",
                    notice.stage,
                    notice.account
                );
                let firsts = self.sent.iter().filter(told_first).count();
                let ends = self
                    .sent
                    .iter()
                    .filter(|s| s.account == notice.account && s.stage.closes())
                    .count();
                assert!(firsts > ends, "said to be over more often than begun");
            }
        }
    }

    /// Other open incidents that have told a person, or are just doing so, where nobody is about to say
    /// that it is over and they never concerned the person. Of one that has been reopened the others need
    /// not know.
    fn told_by_others(&self, no: IncidentNo, who: &str) -> Vec<IncidentNo> {
        let of_person = |place: usize| {
            let row = &self.rows[place];
            (row.planned.account == who).then_some(row)
        };
        let on_their_way = self.on_their_way.iter();
        let on_their_way = on_their_way.filter_map(|(place, ..)| of_person(*place));
        let being_told = on_their_way.filter(|row| row.planned.stage == Stage::First);
        // That it is over may be for another to say, in whose place it goes on.
        let is_closing = self.closing.contains(who);
        let is_corrected = |other: IncidentNo| {
            let corrected = self.once_corrected.iter();
            let mut of_it = corrected.filter(|(which, _)| self.incidents[*which].no == other);
            of_it.any(|(_, person)| account(*person) == who)
        };
        being_told
            .map(|row| row.planned.incident)
            .chain(self.tellers(who))
            .filter(|other| *other != no && self.is_open(*other))
            .filter(|other| !is_closing && !is_corrected(*other))
            .filter(|other| {
                self.incidents
                    .iter()
                    .any(|i| i.no == *other && i.reopened == 0)
            })
            .collect()
    }

    /// The incidents that told a person of a loss of which nobody has said since that it is over.
    fn tellers(&self, who: &str) -> Vec<IncidentNo> {
        let mut told = Vec::new();
        for sent in self.sent.iter().filter(|s| s.account == who) {
            if sent.stage == Stage::First {
                told.push(sent.incident);
            } else if sent.stage.closes() && !told.is_empty() {
                let own = told.iter().position(|no| *no == sent.incident);
                let merged = |no: &IncidentNo| {
                    let incident = self.incidents.iter().find(|i| i.no == *no);
                    incident.is_some_and(|i| i.merged_into.is_some())
                };
                let place = own.or_else(|| told.iter().position(merged));
                told.remove(place.unwrap_or(0));
            }
        }
        told
    }

    fn settle(&mut self, works: bool) {
        for (place, attempt, facts) in std::mem::take(&mut self.on_their_way) {
            let row = &mut self.rows[place];
            assert_eq!(row.attempt, attempt);
            if works {
                self.now_ms += 1;
                row.state = NoticeState::Sent;
                row.sent_at_ms = Some(self.now_ms);
                row.facts = facts;
                let p = &row.planned;
                let sent = Sent {
                    incident: p.incident,
                    account: p.account.clone(),
                    episode: p.episode,
                    stage: p.stage,
                    stage_no: p.stage_no,
                };
                assert!(!self.sent.contains(&sent), "sent twice: {sent:?}");
                self.sent.push(sent);
            } else if row.state == NoticeState::Pending {
                row.available_at_ms = self.now_ms + MINUTE;
            }
        }
    }

    /// What is done every few minutes, and when an incident has ended.
    fn plan_confirmed(&mut self) {
        for which in 0..INCIDENTS {
            if self.incidents[which].state == IncidentState::Confirmed {
                self.plan(which);
            }
        }
    }

    /// How things stand when all of this has happened and nothing is under way any more.
    fn after(events: &[Event]) -> Self {
        let mut world = Self::new();
        for event in events {
            world.apply(event);
        }
        world.drain();
        world
    }

    /// Lets everything that is under way come to an end.
    fn drain(&mut self) {
        for _ in 0..90 {
            self.settle(true);
            self.now_ms += MINUTE / 2;
            self.plan_confirmed();
            self.claim();
        }
        self.settle(true);
    }
}

proptest! {
    #![proptest_config(crate::support::draws(2_000))]

    #[test]
    fn nobody_is_told_what_is_not_so(events in prop::collection::vec(event(), 1..70)) {
        let world = World::after(&events);
        let mut once = BTreeMap::new();
        for sent in &world.sent {
            if sent.stage == Stage::First {
                let key = (sent.incident, &sent.account, sent.episode, sent.stage);
                *once.entry(key).or_insert(0) += 1;
            }
        }
        prop_assert!(once.values().all(|n| *n == 1), "{once:?}");
        // Nobody is left believing that service is out who has it.
        for person in 0..PEOPLE {
            let who = account(person);
            let last = world.sent.iter().rfind(|s| s.account == who);
            let is_lost = |i: usize| {
                world.incidents[i].state == IncidentState::Confirmed
                    && world.lost[i].contains(&person)
            };
            let held = world.elsewhere(IncidentNo(0), &who) != Elsewhere::No
                || (0..INCIDENTS).any(is_lost);
            prop_assert!(
                held || last.is_none_or(|s| s.stage.closes()),
                "{who} heard last {last:?}"
            );
        }
    }
}
