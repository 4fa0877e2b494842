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
