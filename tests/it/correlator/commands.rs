//! What operators decide holds whatever the order, the repetition and the batches of alarms, and after
//! a crash.

use super::streams::{SPAN, Story, check_invariants, essence, shuffled, stories, stream};
use super::*;

/// What an operator does, to incidents by their place in an order that follows from their causes.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Confirm(usize),
    Merge(usize, usize),
    /// Every part of the cause whose bit is set.
    Split(usize, u32),
    Cause(usize, CauseKind, Option<&'static str>),
    Withdraw(usize),
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let kind = prop::sample::select(vec![CauseKind::Power, CauseKind::FibreCut]);
    let parts = ["olt2", "olt2-p1", "olt3-p1", "s2", "oltd", "cable3", "s1"];
    let part = prop::option::of(prop::sample::select(parts.to_vec()));
    let which = 0..6_usize;
    prop_oneof![
        which.clone().prop_map(Act::Confirm),
        (which.clone(), which.clone()).prop_map(|(a, b)| Act::Merge(a, b)),
        (which.clone(), 1..6_u32).prop_map(|(a, bits)| Act::Split(a, bits)),
        (which.clone(), kind, part).prop_map(|(a, kind, part)| Act::Cause(a, kind, part)),
        which.prop_map(Act::Withdraw),
    ]
}

/// The command, if there are such incidents.
pub(super) fn command(act: &Act, correlator: &Correlator) -> Option<OperatorCommand> {
    let mut open: Vec<&Incident> = correlator
        .incidents()
        .map(|incident| &**incident)
        .filter(|i| i.state.is_open() && i.evidence_count > 0)
        .collect();
    open.sort_by_key(|i| (&i.cause.resources, &i.evidence));
    let find = |at: usize| open.get(at % open.len().max(1)).copied();
    let (incident, action) = match *act {
        Act::Confirm(at) => {
            let note = String::new();
            (find(at)?, OperatorAction::Confirm { note })
        }
        Act::Merge(at, into) => {
            let reason = "one cause".to_owned();
            let into = find(into)?.no;
            (find(at)?, OperatorAction::Merge { into, reason })
        }
        Act::Split(at, bits) => {
            let incident = find(at)?;
            let resources = (0..).zip(&incident.cause.resources);
            let resources = resources.filter(|(at, _)| bits >> (at % 32) & 1 == 1);
            let resources = resources.map(|(_, id)| id.clone()).collect();
            let reason = "two causes".to_owned();
            (incident, OperatorAction::Split { resources, reason })
        }
        Act::Cause(at, kind, part) => {
            let text = "seen".to_owned();
            let resources = part.map(str::to_owned).into_iter().collect();
            let action = OperatorAction::SetCause {
                kind,
                text,
                resources,
            };
            (find(at)?, action)
        }
        Act::Withdraw(at) => {
            let reason = String::new();
            (find(at)?, OperatorAction::WithdrawCause { reason })
        }
    };
    Some(OperatorCommand {
        incident: incident.no,
        by: "noc".to_owned(),
        action,
    })
}

/// When operators speak: everything before has settled.
const BREAK: i64 = SPAN + 7 * MINUTE;
/// Nothing happens any more.
const END: i64 = 2 * BREAK;

/// The stream until the operators speak, and the rest, which happens after that.
fn halves(stories: &[Story], at: usize) -> (Vec<LogEntry>, Vec<LogEntry>) {
    let mut before = stream(stories);
    let mut after = before.split_off(at.min(before.len()));
    for entry in &mut after {
        entry.received_at_ms += BREAK;
        if let LogRecord::Event(event) = &mut entry.record {
            event.event_at_ms += BREAK;
        }
    }
    (before, after)
}

fn speak(desk: &mut Desk, acts: &[Act]) {
    for act in acts {
        if let Some(command) = command(act, &desk.correlator) {
            // What cannot be done is refused to both.
            drop(desk.correlator.command(&command, desk.now_ms));
            desk.settle();
            check_invariants(&desk.correlator);
        }
        desk.until(desk.now_ms + MINUTE);
    }
}

fn repeated(entries: &[LogEntry], repeats: usize) -> Vec<LogEntry> {
    (0..=repeats).flat_map(|_| entries.to_vec()).collect()
}

fn take_straight(desk: &mut Desk, entries: &[LogEntry]) {
    for entry in entries {
        desk.until(entry.received_at_ms);
        desk.take(entry.clone());
    }
}

fn take_crooked(desk: &mut Desk, entries: Vec<LogEntry>, from_ms: i64, seed: u64, batch: usize) {
    let count = i64::try_from(entries.len()).unwrap().max(1);
    for (at, entry) in shuffled(entries, seed).into_iter().enumerate() {
        desk.now_ms = from_ms + 2 * MINUTE * i64::try_from(at).unwrap() / count;
        desk.take(entry);
        if at % batch == 0 {
            desk.settle();
        }
    }
}

proptest! {
    #![proptest_config(crate::support::draws(192))]

    #[test]
    fn what_operators_say_holds_whatever_the_order_of_alarms(
        stories in stories(),
        at in 0..40_usize,
        acts in prop::collection::vec(act(), 1..4),
        seed in any::<u64>(),
        repeats in 0..2_usize,
        batch in 1..9_usize,
    ) {
        let (before, after) = halves(&stories, at);
        let (mut straight, mut crooked) = (Desk::new(), Desk::new());
        take_straight(&mut straight, &before);
        let again = repeated(&before, repeats);
        take_crooked(&mut crooked, again, SPAN, seed, batch);
        straight.until(BREAK);
        crooked.until(BREAK);
        prop_assert_eq!(essence(&straight.correlator), essence(&crooked.correlator));
        for desk in [&mut straight, &mut crooked] {
            speak(desk, &acts);
        }
        prop_assert_eq!(essence(&straight.correlator), essence(&crooked.correlator));
        take_straight(&mut straight, &after);
        let again = repeated(&[before, after].concat(), repeats);
        take_crooked(&mut crooked, again, BREAK + SPAN, seed, batch);
        straight.until(END);
        crooked.until(END);
        prop_assert_eq!(essence(&straight.correlator), essence(&crooked.correlator));
    }

    #[test]
    fn the_affected_are_those_whom_the_cause_cuts_off_whatever_operators_say(
        stories in stories(),
        acts in prop::collection::btree_map(0..40_usize, act(), 1..6),
    ) {
        let settings = CorrelatorSettings { gather_ms: 0, ..settings() };
        let mut desk = Desk::with(settings, built());
        for (at, entry) in stream(&stories).into_iter().enumerate() {
            desk.until(entry.received_at_ms);
            desk.take(entry);
            desk.settle();
            check_invariants(&desk.correlator);
            let command = acts.get(&at).and_then(|act| command(act, &desk.correlator));
            if let Some(command) = command {
                drop(desk.correlator.command(&command, desk.now_ms));
                desk.settle();
                check_invariants(&desk.correlator);
            }
        }
        desk.until(SPAN + 5 * MINUTE);
        check_invariants(&desk.correlator);
    }
}
