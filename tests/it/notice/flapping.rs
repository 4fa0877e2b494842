//! A fault that comes and goes.

use super::*;

/// Down and up again, each for less than what is waited for.
fn flap(world: &mut World) {
    for event in [Event::Restore(0), Event::Claim, Event::Settle(true)] {
        world.apply(&event);
    }
    for event in [Event::Advance(1), Event::Claim, Event::Settle(true)] {
        world.apply(&event);
    }
    for event in [Event::Reopen(0), Event::Claim, Event::Settle(true)] {
        world.apply(&event);
    }
}

fn heard(world: &World, person: usize) -> Vec<Stage> {
    let who = account(person);
    let sent = world.sent.iter().filter(|sent| sent.account == who);
    sent.map(|sent| sent.stage).collect()
}

#[test]
fn what_comes_and_goes_is_not_announced_each_time() {
    let mut world = World::new();
    for event in [Event::Grow(0, 0), Event::Confirm(0), Event::Claim] {
        world.apply(&event);
    }
    world.apply(&Event::Settle(true));
    for _ in 0..4 {
        flap(&mut world);
    }
    let once = [Stage::First, Stage::Restored, Stage::First];
    assert_eq!(heard(&world, 0), once, "while it comes and goes");
    world.apply(&Event::Restore(0));
    world.apply(&Event::Advance(9));
    world.apply(&Event::Claim);
    world.apply(&Event::Settle(true));
    assert_eq!(heard(&world, 0), once, "nine minutes later");
    world.drain();
    let ended = [once.as_slice(), &[Stage::Restored]].concat();
    assert_eq!(heard(&world, 0), ended, "when it stays");
}

#[test]
fn without_a_wait_each_return_is_announced() {
    let mut world = World::new();
    world.policy.reopened_wait_ms = 0;
    for event in [Event::Grow(0, 0), Event::Confirm(0), Event::Claim] {
        world.apply(&event);
    }
    world.apply(&Event::Settle(true));
    for _ in 0..2 {
        flap(&mut world);
    }
    let each = [Stage::First, Stage::Restored];
    let all = [each, each, [Stage::First, Stage::First]].concat();
    assert_eq!(heard(&world, 0), all[..5]);
}

/// Told once more after service had come back, and back again: that waits.
fn back_for_the_second_time() -> World {
    let mut world = World::new();
    for event in [Event::Grow(0, 0), Event::Grow(0, 2), Event::Confirm(0)] {
        world.apply(&event);
    }
    for event in [Event::Restore(0), Event::Reopen(0)] {
        for step in [Event::Claim, Event::Settle(true), event] {
            world.apply(&step);
        }
    }
    world.apply(&Event::Grow(0, 2));
    for event in [Event::Claim, Event::Settle(true), Event::Restore(0)] {
        world.apply(&event);
    }
    assert_eq!(
        heard(&world, 0),
        [Stage::First, Stage::Restored, Stage::First]
    );
    assert_eq!(heard(&world, 2), heard(&world, 0));
    world
}

#[test]
fn the_wait_begins_when_service_is_back() {
    let mut world = World::new();
    world.incidents[0].reopened = 1;
    for event in [Event::Grow(0, 0), Event::Confirm(0), Event::Claim] {
        world.apply(&event);
    }
    world.apply(&Event::Settle(true));
    world.incidents[0].restored_ms = Some(world.now_ms - 4 * MINUTE);
    world.apply(&Event::Restore(0));
    for (minutes, last) in [(5, Stage::First), (2, Stage::Restored)] {
        world.apply(&Event::Advance(minutes));
        world.apply(&Event::Claim);
        world.apply(&Event::Settle(true));
        assert_eq!(heard(&world, 0).last(), Some(&last));
    }
}

#[test]
fn nobody_hears_that_it_works_again_while_it_is_suspected_to_have_come_back() {
    let mut world = back_for_the_second_time();
    world.apply(&Event::Advance(8));
    world.apply(&Event::Suspect(0));
    for event in [Event::Advance(4), Event::Claim, Event::Settle(true)] {
        world.apply(&event);
    }
    let told = [Stage::First, Stage::Restored, Stage::First];
    assert_eq!(
        heard(&world, 0),
        told,
        "twelve minutes after service was back"
    );
    world.apply(&Event::Confirm(0));
    world.drain();
    assert_eq!(heard(&world, 0), told, "they know already");
    world.apply(&Event::Restore(0));
    world.drain();
    let ended = [told.as_slice(), &[Stage::Restored]].concat();
    assert_eq!(heard(&world, 0), ended);
}

#[test]
fn a_suspicion_that_comes_to_nothing_takes_no_restored_away() {
    let mut world = back_for_the_second_time();
    world.apply(&Event::Advance(8));
    world.apply(&Event::Suspect(0));
    for event in [Event::Advance(4), Event::Claim, Event::Restore(0)] {
        world.apply(&event);
    }
    world.drain();
    assert_eq!(heard(&world, 0).len(), 4);
    assert_eq!(heard(&world, 0).last(), Some(&Stage::Restored));
}

#[test]
fn a_suspicion_that_nobody_decides_keeps_nobody_waiting_for_ever() {
    let mut world = back_for_the_second_time();
    world.apply(&Event::Advance(5));
    world.apply(&Event::Suspect(0));
    for event in [Event::Advance(11), Event::Claim, Event::Settle(true)] {
        world.apply(&event);
    }
    assert_eq!(heard(&world, 0).last(), Some(&Stage::Restored));
}

#[test]
fn who_keeps_service_when_others_lose_it_again_does_not_wait_anew() {
    let mut world = back_for_the_second_time();
    // Neither reopening concerns the third person.
    for event in [Event::Reopen(0), Event::Restore(0), Event::Reopen(0)] {
        world.apply(&Event::Advance(4));
        world.apply(&event);
        world.apply(&Event::Claim);
        world.apply(&Event::Settle(true));
    }
    // What was planned before is cancelled first.
    for event in [Event::Advance(1), Event::Claim, Event::Settle(true)] {
        world.apply(&event);
    }
    assert_eq!(heard(&world, 2).last(), Some(&Stage::Restored));
    assert_eq!(heard(&world, 0).last(), Some(&Stage::First));
}

#[test]
fn who_loses_service_by_another_fault_meanwhile_is_not_told_of_it_again() {
    let mut world = back_for_the_second_time();
    for event in [Event::Grow(1, 0), Event::Confirm(1), Event::Claim] {
        world.apply(&event);
    }
    world.drain();
    let told = [Stage::First, Stage::Restored, Stage::First];
    assert_eq!(heard(&world, 0), told);
    world.apply(&Event::Restore(1));
    world.drain();
    assert_eq!(
        heard(&world, 0),
        [told.as_slice(), &[Stage::Restored]].concat()
    );
}

#[test]
fn a_restored_that_is_planned_anew_is_taken_back_when_service_is_lost_again() {
    let mut world = back_for_the_second_time();
    for event in [Event::Reopen(0), Event::Grow(1, 0), Event::Confirm(1)] {
        world.apply(&event);
    }
    // The other incident has the say until it is over, while the first one comes and goes.
    for event in [Event::Shrink(0, 0), Event::Advance(11), Event::Claim] {
        world.apply(&event);
    }
    for event in [Event::Grow(0, 0), Event::Restore(1), Event::Shrink(0, 0)] {
        world.apply(&event);
    }
    for event in [Event::Advance(5), Event::Grow(0, 0), Event::Advance(6)] {
        world.apply(&event);
    }
    world.drain();
    assert_eq!(heard(&world, 0).last(), Some(&Stage::First));
}

#[test]
fn a_restored_that_did_not_leave_is_not_tried_again_when_service_is_lost_again() {
    let mut world = World::new();
    for event in [Event::Confirm(0), Event::Grow(0, 0), Event::Claim] {
        world.apply(&event);
    }
    for event in [Event::Settle(true), Event::Shrink(0, 0), Event::Claim] {
        world.apply(&event);
    }
    world.apply(&Event::Settle(false));
    world.apply(&Event::Grow(0, 0));
    world.drain();
    assert_eq!(heard(&world, 0), [Stage::First]);
    world.apply(&Event::Shrink(0, 0));
    world.drain();
    assert_eq!(heard(&world, 0), [Stage::First, Stage::Restored]);
}

#[test]
fn a_fault_that_did_not_happen_is_taken_back_at_once() {
    let mut world = back_for_the_second_time();
    world.apply(&Event::Reopen(0));
    for event in [Event::Shrink(0, 0), Event::Reject(0), Event::Claim] {
        world.apply(&event);
    }
    world.apply(&Event::Settle(true));
    assert_eq!(heard(&world, 0).last(), Some(&Stage::Retraction));
}
