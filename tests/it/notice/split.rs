//! What people hear when an operator splits an incident, or says that something else failed.

use super::*;
use Stage::{First, Restored, Retraction};

const FIRST_TWO: [bool; PEOPLE] = [true, true, false, false];

fn heard(world: &World, person: usize) -> Vec<(i64, Stage)> {
    let who = account(person);
    let sent = world.sent.iter().filter(|sent| sent.account == who);
    sent.map(|sent| (sent.incident.0, sent.stage)).collect()
}

fn stages(world: &World, person: usize) -> Vec<Stage> {
    let heard = heard(world, person).into_iter();
    heard.map(|(_, stage)| stage).collect()
}

/// Everything that happens; then everything that is under way.
fn let_happen(world: &mut World, events: &[Event]) {
    for event in events {
        world.apply(event);
    }
    world.drain();
}

/// The first incident tells three people.
fn told() -> Vec<Event> {
    let mut events: Vec<Event> = (0..3).map(|person| Event::Grow(0, person)).collect();
    events.extend([Event::Confirm(0), Event::Claim, Event::Settle(true)]);
    events
}

#[test]
fn whoever_is_split_off_is_not_told_again_and_hears_the_end_from_the_new_incident() {
    let mut world = World::new();
    let_happen(&mut world, &told());
    let_happen(&mut world, &[Event::Split(0, 1, FIRST_TWO)]);
    for person in 0..3 {
        assert_eq!(heard(&world, person), [(1, First)], "{person}");
    }
    let_happen(&mut world, &[Event::Restore(0)]);
    assert_eq!(heard(&world, 0), [(1, First)]);
    assert_eq!(heard(&world, 2), [(1, First), (1, Restored)]);
    let_happen(&mut world, &[Event::Restore(1)]);
    assert_eq!(stages(&world, 0), [First, Restored]);
}

#[test]
fn a_first_notice_that_had_not_left_comes_from_the_new_incident() {
    let mut events: Vec<Event> = (0..2).map(|person| Event::Grow(0, person)).collect();
    events.extend([Event::Confirm(0), Event::Split(0, 1, FIRST_TWO)]);
    let mut world = World::new();
    let_happen(&mut world, &events);
    assert_eq!(heard(&world, 0), [(2, First)]);
}

#[test]
fn whoever_never_was_affected_gets_a_retraction_and_the_others_the_end() {
    let mut world = World::new();
    let_happen(&mut world, &told());
    let_happen(&mut world, &[Event::Correct(0, 0)]);
    assert_eq!(heard(&world, 0), [(1, First), (1, Retraction)]);
    assert_eq!(heard(&world, 1), [(1, First)]);
    let_happen(&mut world, &[Event::Restore(0)]);
    assert_eq!(heard(&world, 0), [(1, First), (1, Retraction)]);
    assert_eq!(heard(&world, 1), [(1, First), (1, Restored)]);
}

#[test]
fn nobody_who_was_not_told_hears_a_retraction() {
    let events = [
        Event::Grow(0, 0),
        Event::Confirm(0),
        Event::Correct(0, 0),
        Event::Restore(0),
    ];
    let mut world = World::new();
    let_happen(&mut world, &events);
    assert_eq!(heard(&world, 0), []);
}

#[test]
fn whoever_another_incident_leaves_without_service_hears_no_retraction() {
    let mut world = World::new();
    let_happen(&mut world, &told());
    let_happen(&mut world, &[Event::Grow(1, 0), Event::Confirm(1)]);
    let_happen(&mut world, &[Event::Correct(0, 0)]);
    assert_eq!(heard(&world, 0), [(1, First)]);
    let_happen(&mut world, &[Event::Restore(1)]);
    assert_eq!(stages(&world, 0), [First, Restored]);
}
