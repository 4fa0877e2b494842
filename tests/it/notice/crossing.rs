//! Incidents that speak to one person while the word of another is still on its way.

use super::Event::{
    Advance, Claim, Confirm, Correct, Grow, Merge, Reject, Reopen, Restore, SetEstimate, Settle,
    Shrink, Split,
};
use super::*;

const NOBODY: [bool; PEOPLE] = [false; PEOPLE];

/// The third waits for what the second tells, the second goes on in the first, and the third is over.
fn two_go_on_for_a_third() -> World {
    let kept = [true, false, false, false];
    let mut world = World::new();
    for event in [
        Grow(2, 0),
        Grow(1, 0),
        Confirm(1),
        Confirm(2),
        Claim,
        Merge(1, 0, kept),
        Settle(true),
        Restore(2),
    ] {
        world.apply(&event);
    }
    world
}

#[test]
fn what_one_incident_is_saying_to_be_over_no_other_says_as_well() {
    let mut world = two_go_on_for_a_third();
    for event in [Claim, Reject(0), Claim] {
        world.apply(&event);
    }
    world.drain();
    let stages: Vec<Stage> = world.sent.iter().map(|sent| sent.stage).collect();
    assert_eq!(stages[0], Stage::First);
    let ends = stages.iter().filter(|stage| stage.closes());
    assert_eq!(ends.count(), 1, "{stages:?}");
}

#[test]
fn of_two_that_are_about_to_say_it_one_does() {
    let mut world = two_go_on_for_a_third();
    let again = [Settle(true), Reopen(2), Claim, Reject(2)];
    for event in [Reject(0), Claim].iter().chain(&again) {
        world.apply(event);
    }
    world.drain();
}

#[test]
fn who_comes_to_an_incident_while_that_is_over_is_being_said_is_looked_at_again() {
    World::after(&[
        Grow(2, 0),
        Confirm(1),
        Confirm(2),
        Claim,
        Settle(true),
        SetEstimate(2, 0),
        Grow(1, 0),
        Claim,
        Merge(2, 0, NOBODY),
        Grow(0, 0),
        Shrink(0, 1),
    ]);
}

#[test]
fn who_was_without_service_by_another_fault_after_all_hears_that_it_is_back() {
    let world = World::after(&[
        Confirm(2),
        Grow(0, 2),
        Grow(2, 2),
        Claim,
        Settle(true),
        Correct(2, 2),
        Advance(2),
        Confirm(0),
        Claim,
        Settle(false),
        Restore(0),
    ]);
    let stages: Vec<Stage> = world.sent.iter().map(|sent| sent.stage).collect();
    assert_eq!(stages, [Stage::First, Stage::Restored]);
}

/// Both take service from one person, and one of them tells; it ends while the other waits.
fn one_ends_while_the_other_waits(ends: usize) -> World {
    let goes_on = 1 - ends;
    World::after(&[
        Grow(ends, 0),
        Grow(goes_on, 0),
        Confirm(ends),
        Confirm(goes_on),
        Claim,
        Settle(true),
        Restore(ends),
        Claim,
    ])
}

#[test]
fn an_incident_that_waits_for_one_that_ends_goes_on_in_its_place() {
    for ends in [0, 1] {
        let mut world = one_ends_while_the_other_waits(ends);
        let sent: Vec<_> = world.sent.iter().map(|s| (s.incident.0, s.stage)).collect();
        let (by, goes_on) = (ends as i64 + 1, 2 - ends as i64);
        assert_eq!(sent, [(by, Stage::First)], "told twice, or that it is over");
        world.apply(&Restore(1 - ends));
        world.drain();
        let last = world.sent.last().map(|s| (s.incident.0, s.stage));
        assert_eq!(last, Some((goes_on, Stage::Restored)));
        assert_eq!(world.sent.len(), 2);
    }
}

#[test]
fn who_was_told_the_end_by_what_was_split_off_hears_of_it_when_it_fails_again() {
    for arrives in [true, false] {
        let mut world = World::new();
        let off = [true, false, false, false];
        for event in [
            Grow(2, 0),
            Confirm(2),
            Claim,
            Settle(true),
            Split(2, 1, off),
            Claim,
            Restore(2),
            Restore(1),
            Claim,
        ] {
            world.apply(&event);
        }
        if arrives {
            world.apply(&Settle(true));
        }
        world.apply(&Reopen(2));
        world.drain();
        let sent = world.sent.iter().filter(|sent| sent.account == account(0));
        let sent: Vec<_> = sent.map(|sent| (sent.incident.0, sent.stage)).collect();
        let told = [(3, Stage::First), (2, Stage::Restored), (3, Stage::First)];
        assert_eq!(sent, told);
    }
}

#[test]
fn of_two_firsts_that_know_nothing_of_each_other_one_is_sent() {
    let kept = [true, false, false, false];
    // Both wait for the first, which goes on in the second and never says anything.
    let world = World::after(&[
        Confirm(0),
        Restore(0),
        Grow(2, 0),
        Reopen(0),
        Claim,
        Settle(false),
        Confirm(2),
        Merge(0, 1, kept),
        Advance(1),
        Claim,
        Advance(1),
        Claim,
    ]);
    let firsts = world.sent.iter().filter(|sent| sent.account == account(0));
    assert_eq!(firsts.count(), 1, "{:?}", world.sent);
}

#[test]
fn one_that_was_decided_anew_and_one_that_was_planned_first_do_not_wait_for_each_other() {
    let mut world = World::after(&[
        Grow(1, 0),
        Confirm(1),
        Grow(0, 0),
        Confirm(0),
        Claim,
        Settle(true),
        Advance(1),
        Claim,
        Shrink(0, 0),
        Restore(1),
        Claim,
        Settle(true),
        Reopen(1),
        Grow(0, 0),
        Claim,
    ]);
    world.drain();
    let mut sent = world.sent.iter().filter(|sent| sent.account == account(0));
    let last = sent.next_back().map(|sent| sent.stage);
    assert_eq!(last, Some(Stage::First), "{:?}", world.sent);
}

#[test]
fn a_first_does_not_wait_for_ever_for_a_restored_that_is_tried_again() {
    let world = World::after(&[
        Grow(0, 0),
        Confirm(0),
        Claim,
        Settle(true),
        Grow(1, 0),
        Confirm(1),
        Shrink(1, 0),
        Shrink(0, 0),
        Claim,
        Settle(false),
        Grow(1, 0),
        Advance(1),
        Claim,
    ]);
    let last = world.sent.last().map(|sent| (sent.incident.0, sent.stage));
    assert_eq!(last, Some((2, Stage::First)), "{:?}", world.sent);
}

#[test]
fn what_arrives_after_its_survivor_said_that_it_is_over_is_closed_as_well() {
    let kept = [false, true, false, false];
    let world = World::after(&[
        Confirm(1),
        Grow(1, 1),
        Claim,
        Settle(true),
        Shrink(1, 1),
        Claim,
        Confirm(0),
        Grow(0, 1),
        Claim,
        Merge(0, 1, kept),
        Reject(1),
    ]);
    let sent: Vec<_> = world.sent.iter().map(|s| (s.incident.0, s.stage)).collect();
    let told = [(2, Stage::First), (2, Stage::Restored), (1, Stage::First)];
    assert_eq!(sent[..3], told);
    assert!(sent.len() == 4 && sent[3].1.closes(), "{sent:?}");
}
