//! What people hear when one incident goes on in another.

use super::*;
use Stage::{First, Restored, Retraction};

const ALL: [bool; PEOPLE] = [true; PEOPLE];

/// Lets these things happen, then everything that is under way; answers what the first person heard,
/// by the number of the incident.
fn heard(events: &[Event]) -> Vec<(i64, Stage)> {
    let mut world = World::new();
    for event in events {
        world.apply(event);
    }
    world.drain();
    heard_so_far(&world)
}

/// What the first person has heard, by the number of the incident.
fn heard_so_far(world: &World) -> Vec<(i64, Stage)> {
    let sent = world.sent.iter().filter(|sent| sent.account == account(0));
    sent.map(|sent| (sent.incident.0, sent.stage)).collect()
}

/// An incident tells the first person.
fn told(incident: usize) -> Vec<Event> {
    vec![
        Event::Confirm(incident),
        Event::Grow(incident, 0),
        Event::Claim,
        Event::Settle(true),
    ]
}

#[test]
fn the_survivor_says_that_it_is_over_once() {
    let mut events = told(0);
    events.extend([
        Event::Confirm(1),
        Event::Merge(0, 1, ALL),
        Event::Restore(1),
    ]);
    assert_eq!(heard(&events), [(1, First), (2, Restored)]);
}

#[test]
fn another_cause_after_a_merger_is_told_no_sooner_than_after_the_first_notice() {
    let mut world = World::new();
    let mut events = told(0);
    events.extend([Event::SetCause(1), Event::Confirm(1)]);
    events.push(Event::Merge(0, 1, ALL));
    for event in &events {
        world.apply(event);
    }
    for event in [Event::Advance(20), Event::Claim, Event::Settle(true)] {
        world.apply(&event);
    }
    assert_eq!(heard_so_far(&world), [(1, First)], "20 minutes later");
    world.drain();
    assert_eq!(heard_so_far(&world), [(1, First), (2, Stage::Update)]);
}

#[test]
fn a_merged_incident_says_itself_that_it_is_over_to_those_whom_the_survivor_leaves_out() {
    let mut events = told(0);
    let nobody = [false; PEOPLE];
    events.extend([Event::Confirm(1), Event::Merge(0, 1, nobody)]);
    assert_eq!(heard(&events), [(1, First), (1, Restored)]);
}

#[test]
fn a_confirmed_incident_goes_on_in_a_suspected_one() {
    let mut events = told(0);
    events.extend([Event::Merge(0, 1, ALL), Event::Restore(1)]);
    assert_eq!(heard(&events), [(1, First), (2, Restored)]);
}

#[test]
fn a_suspected_incident_goes_on_in_a_confirmed_one() {
    let mut events = vec![Event::Grow(0, 0), Event::Confirm(1)];
    events.push(Event::Merge(0, 1, ALL));
    events.extend([Event::Claim, Event::Settle(true), Event::Restore(1)]);
    assert_eq!(heard(&events), [(2, First), (2, Restored)]);
}

#[test]
fn a_chain_of_mergers_ends_with_one_word() {
    let mut events = told(0);
    events.extend([
        Event::Confirm(1),
        Event::Merge(0, 1, ALL),
        Event::Confirm(2),
        Event::Merge(1, 2, ALL),
        Event::Restore(2),
    ]);
    assert_eq!(heard(&events), [(1, First), (3, Restored)]);
}

#[test]
fn what_was_true_is_not_retracted_with_the_incident_that_took_it_over() {
    let mut events = told(0);
    events.extend([Event::Confirm(1), Event::Merge(0, 1, ALL), Event::Reject(1)]);
    assert_eq!(heard(&events), [(1, First), (2, Restored)]);
    // Also at the end of a chain.
    let mut events = told(0);
    events.extend([
        Event::Merge(0, 1, ALL),
        Event::Merge(1, 2, ALL),
        Event::Reject(2),
    ]);
    assert_eq!(heard(&events), [(1, First), (3, Restored)]);
}

#[test]
fn nobody_hears_of_a_rejection_who_is_still_without_service() {
    let mut events = told(0);
    events.extend([
        Event::Confirm(2),
        Event::Grow(2, 0),
        Event::Confirm(1),
        Event::Merge(0, 1, ALL),
        Event::Reject(1),
    ]);
    assert_eq!(heard(&events), [(1, First)]);
    events.extend([Event::Claim, Event::Restore(2)]);
    assert_eq!(heard(&events), [(1, First), (3, Restored)]);
}

#[test]
fn what_a_rejected_incident_said_itself_is_retracted() {
    let mut events = told(1);
    events.extend([Event::Confirm(0), Event::Merge(0, 1, ALL), Event::Reject(1)]);
    assert_eq!(heard(&events), [(2, First), (2, Retraction)]);
}

#[test]
fn an_episode_after_the_last_word_is_told_anew() {
    let mut events = told(0);
    events.extend([
        Event::Confirm(1),
        Event::Merge(0, 1, ALL),
        Event::Restore(1),
        Event::Claim,
        Event::Settle(true),
        Event::Reopen(1),
        Event::Claim,
        Event::Settle(true),
        Event::Restore(1),
    ]);
    let all = [(1, First), (2, Restored), (2, First), (2, Restored)];
    assert_eq!(heard(&events), all);
}

#[test]
fn word_on_its_way_at_a_merger_is_followed_by_one_end_each() {
    // The first notice is handed over before the merger, and arrives after it.
    let events = [
        Event::Confirm(0),
        Event::Grow(0, 0),
        Event::Claim,
        Event::Confirm(1),
        Event::Merge(0, 1, ALL),
        Event::Settle(true),
        Event::Restore(1),
    ];
    assert_eq!(heard(&events), [(1, First), (2, Restored)]);
    // The survivor was just saying that it is over when the other told.
    let events = [
        &told(1)[..],
        &[
            Event::Shrink(1, 0),
            Event::Confirm(0),
            Event::Claim,
            Event::Grow(0, 0),
            Event::Claim,
            Event::Merge(0, 1, ALL),
            Event::Settle(true),
            Event::Shrink(1, 0),
        ],
    ]
    .concat();
    let heard = heard(&events);
    let ends = heard.iter().filter(|(_, stage)| stage.closes()).count();
    assert_eq!(heard.len(), 2 * ends, "{heard:?}");
    assert_eq!(heard.last(), Some(&(2, Restored)), "{heard:?}");
}

#[test]
fn what_is_under_way_at_two_mergers_is_closed_by_the_one_between() {
    let only_second = [false, true, false, false];
    let events = [
        Event::Confirm(1),
        Event::Grow(1, 1),
        Event::Claim,
        Event::Shrink(1, 1),
        Event::Confirm(0),
        Event::Settle(true),
        Event::Claim,
        Event::Settle(true),
        Event::Restore(0),
        Event::Reopen(0),
        Event::Claim,
        Event::Merge(0, 1, only_second),
        Event::Merge(1, 2, [false; PEOPLE]),
    ];
    let mut world = World::new();
    for event in &events {
        world.apply(event);
    }
    world.drain();
    let sent = world.sent.iter().filter(|sent| sent.account == account(1));
    let sent: Vec<_> = sent.map(|sent| (sent.incident.0, sent.stage)).collect();
    let expected = [(2, First), (2, Restored), (1, First), (2, Restored)];
    assert_eq!(sent, expected);
}
