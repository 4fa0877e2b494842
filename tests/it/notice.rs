//! Who is told what: planning and the gate together, over random lives of three incidents.

mod learned;
mod merger;
mod since;
mod split;
mod wording;

use crate::operators::incident;
use forewarn::incident::{CauseKind, Estimate, Incident, IncidentNo, IncidentState};
use forewarn::notice::compose::{MessageInput, Sender, compose};
use forewarn::notice::gate::{Elsewhere, GateInput, HANDED_OVER, Verdict, decide};
use forewarn::notice::plan::{NoticePolicy, Plan, PlanInput, PlannedNotice, plan};
use forewarn::notice::standing::{Closing, History, cover};
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
            .filter(|r| r.state.is_told() || r.state == NoticeState::Pending && r.attempt > 0)
            .map(|r| Closing {
                by: r.planned.incident,
                sent_at_ms: r.sent_at_ms,
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
                    || c.state == NoticeState::Pending
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
                && (self.is_open(p.incident) || merged.contains(&p.incident))
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

    fn elsewhere(&self, no: IncidentNo, who: &str) -> Elsewhere {
        let known = |row: &Row| {
            row.state == NoticeState::Cancelled && ["covered", "already_told"].contains(&row.reason)
        };
        let holds = |row: &&Row| {
            let waits = row.state == NoticeState::NotSent && !row.over;
            row.planned.stage == Stage::First
                && row.planned.account == who
                && row.planned.incident != no
                && self.is_open(row.planned.incident)
                && (row.state.is_told() || row.state == NoticeState::Pending || waits || known(row))
                && !self.has_closing(row, true)
        };
        let found = self.rows.iter().filter(holds).map(|row| {
            if row.state.is_told() || known(row) || row.planned.decision == Decision::Covered {
                Elsewhere::TakesOver
            } else {
                Elsewhere::Silent
            }
        });
        found.max().unwrap_or_default()
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
        let is_waiting = prior
            .iter()
            .any(|n| n.state == NoticeState::Pending || n.cover.is_some_and(|cover| cover.pending));
        let is_being_told = prior.iter().any(|n| {
            n.state == NoticeState::Pending && n.stage.closes()
                || n.cover.is_some_and(|cover| cover.pending)
        });
        self.leaves_out_told[which] &= !is_being_told;
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
                let attempt = old.attempt;
                *old = Row { attempt, ..row };
            }
        }
    }

    fn claim(&mut self) {
        for place in 0..self.rows.len() {
            let row = &mut self.rows[place];
            if row.state != NoticeState::Pending || row.available_at_ms > self.now_ms {
                continue;
            }
            row.attempt += 1;
            row.available_at_ms = self.now_ms + 600 * MINUTE;
            let (id, attempt) = (row.planned.id, row.attempt);
            let (no, who) = (row.planned.incident, row.planned.account.clone());
            let useless_after_ms = row.planned.useless_after_ms;
            let history: Vec<_> = self
                .prior(no)
                .into_iter()
                .filter(|n| n.account == who)
                .collect();
            let person: usize = who[2..].parse().unwrap();
            let which = usize::try_from(no.0 - 1).unwrap();
            let verdict = decide(&GateInput {
                notice: history.iter().find(|n| n.id == id).unwrap(),
                useless_after_ms,
                incident: Some(&self.incidents[which]),
                history: &history,
                person: Some(&addressee(person)),
                elsewhere: self.elsewhere(no, &who),
                now_ms: self.now_ms,
                policy: &self.policy,
            });
            let row = &mut self.rows[place];
            match verdict {
                Verdict::Send => {
                    let facts = Facts::of(&self.incidents[which]);
                    self.on_their_way.push((place, attempt, facts));
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
                }
            }
        }
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
            }
            Stage::Update | Stage::Estimate => {
                assert!(
                    self.sent.iter().any(|s| told_first(&s)),
                    "update before first"
                );
                assert_eq!(self.incidents[which].state, IncidentState::Confirmed);
            }
            Stage::Restored | Stage::Retraction => {
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

    /// What happens to one incident by itself; answers which changed.
    fn change(&mut self, event: &Event) -> Option<usize> {
        let mut changed = None;
        match *event {
            Event::Grow(i, p) if self.incidents[i].state.is_open() => {
                self.lost[i].insert(p);
                changed = Some(i);
            }
            Event::Shrink(i, p) => {
                self.lost[i].remove(&p);
                changed = Some(i);
            }
            Event::Confirm(i) if self.incidents[i].state == IncidentState::Suspected => {
                self.incidents[i].state = IncidentState::Confirmed;
                changed = Some(i);
            }
            Event::Restore(i) if self.incidents[i].state == IncidentState::Confirmed => {
                self.incidents[i].state = IncidentState::Restored;
                self.lost[i].clear();
                changed = Some(i);
            }
            Event::Reopen(i)
                if self.incidents[i].state == IncidentState::Restored
                    && self.incidents[i].merged_into.is_none() =>
            {
                self.incidents[i].state = IncidentState::Confirmed;
                self.incidents[i].reopened += 1;
                self.lost[i].extend([0, 1, HELD_OUT]);
                // What had not been said of the episode before is said with this one.
                self.corrected.retain(|(incident, _)| *incident != i);
                changed = Some(i);
            }
            Event::Reject(i) if self.incidents[i].state.is_open() => {
                self.incidents[i].state = IncidentState::Rejected;
                self.lost[i].clear();
                changed = Some(i);
            }
            Event::SetEstimate(i, minutes) => {
                let from_ms = self.now_ms + minutes * MINUTE;
                self.incidents[i].estimate = Some(Estimate {
                    from_ms,
                    to_ms: from_ms + 60 * MINUTE,
                });
                changed = Some(i);
            }
            Event::SetCause(i) => {
                self.incidents[i].cause.kind = CauseKind::FibreCut;
                changed = Some(i);
            }
            Event::Advance(minutes) => self.now_ms += minutes * MINUTE,
            Event::Claim => self.claim(),
            Event::Settle(works) => self.settle(works),
            _ => {}
        }
        changed
    }

    /// What is done with people of incidents; answers which is still to be planned.
    fn rearrange(&mut self, event: &Event) -> Option<usize> {
        let mut changed = None;
        match *event {
            Event::Merge(from, to, kept)
                if self.incidents[from].state.is_open() && self.incidents[to].state.is_open() =>
            {
                if self.incidents[from].state == IncidentState::Confirmed {
                    self.incidents[to].state = IncidentState::Confirmed;
                }
                self.incidents[from].state = IncidentState::Restored;
                self.incidents[from].merged_into = Some(self.incidents[to].no);
                let moved = std::mem::take(&mut self.lost[from]);
                self.lost[to].extend(moved.into_iter().filter(|person| kept[*person]));
                self.plan(from);
                changed = Some(to);
            }
            Event::Split(from, to, off) if self.may_split(from, to) => {
                self.incidents[to].state = IncidentState::Confirmed;
                self.incidents[to].split_from = Some(self.incidents[from].no);
                let (off, left) = self.lost[from].iter().partition(|person| off[**person]);
                (self.lost[to], self.lost[from]) = (off, left);
                self.plan(to);
                changed = Some(from);
            }
            Event::Correct(i, p) if self.lost[i].contains(&p) => {
                self.lost[i].remove(&p);
                if self.incidents[i].state == IncidentState::Confirmed {
                    self.corrected.insert((i, p));
                    self.once_corrected.insert((i, p));
                    self.plan_with(i, &BTreeSet::from([account(p)]));
                }
            }
            _ => {}
        }
        changed
    }

    fn apply(&mut self, event: &Event) {
        self.moved = match *event {
            Event::Grow(i, p) | Event::Shrink(i, p) | Event::Correct(i, p) => Some((i, p)),
            _ => None,
        };
        // What changes an incident otherwise, or may, is planned for everybody.
        let changed: &[usize] = match event {
            Event::Confirm(i)
            | Event::Restore(i)
            | Event::Reopen(i)
            | Event::Reject(i)
            | Event::SetEstimate(i, _)
            | Event::SetCause(i) => &[*i],
            Event::Merge(i, j, _) | Event::Split(i, j, _) => &[*i, *j],
            _ => &[],
        };
        for which in changed {
            self.leaves_out_told[*which] = false;
        }
        let changed = match event {
            Event::Merge(..) | Event::Split(..) | Event::Correct(..) => self.rearrange(event),
            _ => self.change(event),
        };
        // Whom it concerns again is no longer corrected.
        let lost = &self.lost;
        self.corrected
            .retain(|(i, person)| !lost[*i].contains(person));
        // After it was taken over, an incident is planned no more.
        if let Some(which) = changed.filter(|i| self.incidents[*i].merged_into.is_none()) {
            self.incidents[which].affected = self.lost[which].len() as u64;
            self.plan(which);
            if !self.incidents[which].state.is_open() {
                self.plan_confirmed();
            }
        }
    }

    fn may_split(&self, from: usize, to: usize) -> bool {
        let no = self.incidents[to].no;
        self.incidents[from].state == IncidentState::Confirmed
            && self.incidents[to].state == IncidentState::Suspected
            && self.lost[to].is_empty()
            && self.rows.iter().all(|row| row.planned.incident != no)
    }

    /// What is done every few minutes, and when an incident has ended.
    fn plan_confirmed(&mut self) {
        for which in 0..INCIDENTS {
            if self.incidents[which].state == IncidentState::Confirmed {
                self.plan(which);
            }
        }
    }

    /// Lets everything that is under way come to an end.
    fn drain(&mut self) {
        for _ in 0..60 {
            self.settle(true);
            self.now_ms += MINUTE;
            self.plan_confirmed();
            self.claim();
        }
        self.settle(true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_told_what_is_not_so(events in prop::collection::vec(event(), 1..70)) {
        let mut world = World::new();
        for event in &events {
            world.apply(event);
        }
        world.drain();
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

fn planned(recipient: Recipient, policy: &NoticePolicy, now_ms: i64) -> PlannedNotice {
    let incident = incident(1, IncidentState::Confirmed);
    let made = plan(&PlanInput {
        incident: &incident,
        now_ms,
        policy,
        recipients: &[recipient],
        never_lost: &BTreeSet::new(),
        prior: &[],
    });
    made.notices.into_iter().next().unwrap()
}

#[test]
fn whoever_is_not_told_has_a_row_that_says_why() {
    let policy = NoticePolicy::default();
    let with = |change: fn(&mut Recipient)| {
        let mut recipient = recipient(0);
        change(&mut recipient);
        let planned = planned(recipient, &policy, 0);
        (planned.decision, planned.state())
    };
    let not_sent = |decision| (decision, NoticeState::NotSent);
    assert_eq!(with(|_| {}), (Decision::Send, NoticeState::Pending));
    assert_eq!(with(|r| r.arm = Arm::HeldOut), not_sent(Decision::HeldOut));
    assert_eq!(with(|r| r.consent = false), not_sent(Decision::NoConsent));
    assert_eq!(with(|r| r.opted_out = true), not_sent(Decision::OptedOut));
    assert_eq!(
        with(|r| r.has_email = false),
        not_sent(Decision::NoContactPoint)
    );
    assert_eq!(
        with(|r| r.suppressed = true),
        not_sent(Decision::SuppressedAddress)
    );
    assert_eq!(
        with(|r| r.sent_last_day = 99),
        not_sent(Decision::CapReached)
    );
    let covered = |r: &mut Recipient| {
        r.covered_by = Some(Coverage {
            incident: IncidentNo(9),
            settled: true,
            merged: false,
        });
    };
    assert_eq!(with(covered), not_sent(Decision::Covered));
    let strict = NoticePolicy {
        min_affected: 100,
        ..NoticePolicy::default()
    };
    let few = planned(recipient(0), &strict, 0);
    assert_eq!(few.decision, Decision::BelowThreshold);
}

#[test]
fn quiet_hours_hold_back_until_they_end_where_the_person_lives() {
    // 2026-03-28T22:30:00Z is 23:30 in Rome; that night the clocks go forward.
    let now_ms = 1_774_737_000_000;
    let policy = NoticePolicy::default();
    let mut quiet = recipient(0);
    quiet.quiet_hours = QuietHours::parse("22:00-07:00");
    let held = planned(quiet.clone(), &policy, now_ms);
    assert_eq!(held.decision, Decision::Send);
    // 07:00 summer time is 05:00Z.
    assert_eq!(held.available_at_ms, now_ms + (6 * 60 + 30) * MINUTE);
    quiet.vulnerable = true;
    assert_eq!(
        planned(quiet.clone(), &policy, now_ms).available_at_ms,
        now_ms
    );
    quiet.vulnerable = false;
    let severe = NoticePolicy {
        quiet_override_affected: Some(10),
        ..NoticePolicy::default()
    };
    assert_eq!(
        planned(quiet.clone(), &severe, now_ms).available_at_ms,
        now_ms
    );
    let hasty = NoticePolicy {
        first_useless_after_ms: 60 * MINUTE,
        ..NoticePolicy::default()
    };
    assert_eq!(
        planned(quiet, &hasty, now_ms).decision,
        Decision::QuietHours
    );
}

#[test]
fn whoever_has_asked_since_not_to_be_told_has_a_row_that_says_so_when_service_goes_again() {
    let policy = NoticePolicy::default();
    let first = planned(recipient(0), &policy, 0);
    let told = World::bare(&Row {
        state: NoticeState::Sent,
        over: false,
        reason: "",
        attempt: 1,
        available_at_ms: 0,
        sent_at_ms: Some(0),
        facts: first.facts,
        planned: first,
    });
    let mut again = incident(1, IncidentState::Confirmed);
    again.reopened = 1;
    for (opted_out, decision) in [(false, Decision::AlreadyTold), (true, Decision::OptedOut)] {
        let mut recipient = recipient(0);
        recipient.opted_out = opted_out;
        let made = plan(&PlanInput {
            incident: &again,
            now_ms: MINUTE,
            policy: &policy,
            recipients: &[recipient],
            never_lost: &BTreeSet::new(),
            prior: std::slice::from_ref(&told),
        });
        let decisions: Vec<_> = made.notices.iter().map(|n| n.decision).collect();
        assert_eq!(decisions, [decision]);
    }
}

fn sent(notice: PlannedNotice, sent_at_ms: i64) -> PriorNotice {
    World::bare(&Row {
        state: NoticeState::Sent,
        over: false,
        reason: "",
        attempt: 1,
        available_at_ms: sent_at_ms,
        sent_at_ms: Some(sent_at_ms),
        facts: notice.facts,
        planned: notice,
    })
}

/// What is planned for one person, and what is taken back.
fn news_of(incident: &Incident, prior: &[PriorNotice], now_ms: i64) -> (Vec<PlannedNotice>, usize) {
    news_for(recipient(0), incident, prior, now_ms)
}

fn news_for(
    recipient: Recipient,
    incident: &Incident,
    prior: &[PriorNotice],
    now_ms: i64,
) -> (Vec<PlannedNotice>, usize) {
    let made = plan(&PlanInput {
        incident,
        now_ms,
        policy: &NoticePolicy::default(),
        recipients: &[recipient],
        never_lost: &BTreeSet::new(),
        prior,
    });
    (made.notices, made.cancel.len())
}

#[test]
fn the_first_estimate_is_told_at_once_and_the_next_after_the_interval() {
    let policy = NoticePolicy::default();
    let first = sent(planned(recipient(0), &policy, 0), 0);
    let mut estimated = incident(1, IncidentState::Confirmed);
    estimated.cause.kind = CauseKind::FibreCut;
    // A cause waits for its time; an estimate that comes meanwhile takes its place.
    let (update, _) = news_of(&estimated, std::slice::from_ref(&first), MINUTE);
    let [update] = update.try_into().unwrap();
    assert_eq!(update.stage, Stage::Update);
    assert_eq!(update.available_at_ms, policy.update_interval_ms);
    let waiting = World::bare(&Row {
        state: NoticeState::Pending,
        over: false,
        reason: "",
        attempt: 0,
        available_at_ms: update.available_at_ms,
        sent_at_ms: None,
        facts: update.facts,
        planned: update,
    });
    let until = |to_ms| Some(Estimate { from_ms: 0, to_ms });
    estimated.estimate = until(60 * MINUTE);
    let prior = [first.clone(), waiting];
    let mut told_enough = recipient(0);
    told_enough.sent_last_day = NoticePolicy::default().max_per_day;
    assert_eq!(
        news_for(told_enough, &estimated, &prior, 2 * MINUTE),
        (vec![], 0),
        "the update still waits"
    );
    let (estimate, taken_back) = news_of(&estimated, &prior, 2 * MINUTE);
    let [estimate] = estimate.try_into().unwrap();
    assert_eq!((estimate.available_at_ms, taken_back), (2 * MINUTE, 1));
    let told = [first, sent(estimate, 2 * MINUTE)];
    estimated.estimate = until(120 * MINUTE);
    let (next, _) = news_of(&estimated, &told, 3 * MINUTE);
    let [next] = next.try_into().unwrap();
    let due_ms = 2 * MINUTE + policy.update_interval_ms;
    assert_eq!(
        (next.stage, next.available_at_ms),
        (Stage::Estimate, due_ms)
    );
    let verdict = |notice: &PriorNotice, now_ms| {
        decide(&GateInput {
            notice,
            useless_after_ms: i64::MAX,
            incident: Some(&estimated),
            history: &told,
            person: Some(&addressee(0)),
            elsewhere: Elsewhere::No,
            now_ms,
            policy: &policy,
        })
    };
    // The gate decides alike.
    let mut of_next = told[1].clone();
    of_next.id = next.id;
    of_next.stage_no = next.stage_no;
    let held = verdict(&of_next, 3 * MINUTE);
    assert!(matches!(held, Verdict::Wait { until_ms, .. } if until_ms == due_ms));
    assert!(matches!(verdict(&of_next, due_ms), Verdict::Send));
}
