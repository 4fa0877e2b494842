//! Detection against the reference, for any history.

use super::reference::{self, Event, Point};
use super::{Bench, MINUTE_MS, NOW_MS, rule};
use forewarn::alarm::{AlarmEventKind, SourceId};
use forewarn::detect::{
    Absence, Condition, Detection, Detector, Direction, Fall, REORDERED, Rule, Sample, Threshold,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn threshold() -> impl Strategy<Value = Threshold> {
    let direction = prop_oneof![Just(Direction::Above), Just(Direction::Below)];
    (direction, 0..4_u32).prop_map(|(direction, hold)| Threshold {
        direction,
        raise_at: match direction {
            Direction::Above => 7.0,
            Direction::Below => 3.0,
        },
        clear_at: 5.0,
        hold_s: hold * 30,
    })
}

fn fall() -> impl Strategy<Value = Fall> {
    (20..95_u32, 1..4_u32, 0..3_u32).prop_map(|(percent, window, hold)| Fall {
        fall_percent: percent.into(),
        window_s: window * 480,
        minimum_base: 2.0,
        recover_percent: f64::from(100 - percent) + f64::from(percent) * 0.6,
        hold_s: hold * 60,
    })
}

/// Values at rising times, some tens of seconds apart.
fn values() -> impl Strategy<Value = Vec<Point>> {
    let step = prop_oneof![5 => 1..90_000_i64, 1 => 1..1_000_000_i64];
    let value = prop_oneof![3 => 6..10_i32, 2 => 0..10_i32];
    prop::collection::vec((step, value), 1..80).prop_map(|steps| {
        let mut at_ms = 0;
        let mut points = Vec::new();
        for (step, value) in steps {
            at_ms += step;
            points.push((at_ms, f64::from(value)));
        }
        points
    })
}

/// The same, each overtaken by at most [`REORDERED`] others, and some twice.
fn shuffled(points: Vec<Point>) -> impl Strategy<Value = Vec<Point>> {
    let many = points.len();
    let delays = prop::collection::vec(0..=REORDERED, many);
    let doubled = prop::collection::vec(0..10_u8, many);
    (delays, doubled).prop_map(move |(delays, doubled)| {
        let mut order: Vec<usize> = (0..many).collect();
        order.sort_by_key(|no| no + delays[*no]);
        let mut arrived: Vec<Point> = Vec::new();
        for no in order {
            arrived.push(points[no]);
            if doubled[no] == 0 {
                // Another value of that time: the first counts.
                arrived.push((points[no].0, 1.0));
            }
        }
        arrived
    })
}

fn expected(condition: &Condition, arrived: &[Point]) -> Vec<Event> {
    let history = reference::history(arrived);
    match condition {
        Condition::Threshold(rule) => reference::threshold(rule, &history),
        Condition::Drop(rule) => reference::fall(rule, &history),
        Condition::Absence(_) => unreachable!("no values are judged"),
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        threshold().prop_map(Condition::Threshold),
        fall().prop_map(Condition::Drop),
    ]
}

proptest! {
    #![proptest_config(crate::support::draws(512))]

    #[test]
    fn in_order_every_event_is_that_of_the_reference(condition in condition(), points in values()) {
        let mut bench = Bench::new(vec![rule("r", "m", condition)]);
        for (at_ms, value) in &points {
            bench.take("x", "m", *at_ms, *value);
        }
        let found: Vec<Event> = bench.events().into_iter().map(|(k, _, at)| (k, at)).collect();
        let shifted: Vec<Point> = points.iter().map(|(at, v)| (NOW_MS + at, *v)).collect();
        let expected: Vec<Event> = expected(&condition, &shifted)
            .into_iter()
            .map(|(kind, at)| (kind, at - NOW_MS))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn overtaken_and_doubled_samples_end_in_the_same_state(
        condition in condition(),
        arrived in values().prop_flat_map(shuffled),
    ) {
        let mut bench = Bench::new(vec![rule("r", "m", condition)]);
        let mut seen = Vec::new();
        let mut is_raised = false;
        let mut last_ms = i64::MIN;
        for (at_ms, value) in arrived {
            bench.take("x", "m", at_ms, value);
            seen.push((NOW_MS + at_ms, value));
            for (kind, _, event_ms) in bench.events() {
                prop_assert_ne!(is_raised, kind == AlarmEventKind::Raise, "raise and clear in turn");
                prop_assert!(event_ms > last_ms, "each later than the one before");
                is_raised = !is_raised;
                last_ms = event_ms;
            }
            let reference = expected(&condition, &seen);
            let should = reference.last().is_some_and(|(kind, _)| *kind == AlarmEventKind::Raise);
            prop_assert_eq!(is_raised, should, "after {} samples", seen.len());
        }
    }

    #[test]
    fn who_is_absent_is_that_of_the_reference(
        interval_s in prop_oneof![Just(0_u32), Just(60)],
        intervals in prop_oneof![Just(1.5), Just(3.0)],
        steps in prop::collection::vec(
            (0..3_usize, prop_oneof![8 => 0..80_000_i64, 1 => 0..600_000_i64, 1 => -100_000..0_i64]),
            1..120,
        ),
    ) {
        let absence = Absence { interval_s, intervals };
        let mut bench = Bench::new(vec![rule("r", "m", Condition::Absence(absence))]);
        let mut now_ms = 1_000_000;
        let mut arrived = Vec::new();
        let mut found = Vec::new();
        let mut absent: BTreeSet<String> = BTreeSet::new();
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        for (resource, step) in steps {
            now_ms += step;
            arrived.push((resource, NOW_MS + now_ms));
            bench.take(&resource.to_string(), "m", now_ms, 1.0);
            for (kind, resource, at_ms) in bench.events() {
                let is_new = match kind {
                    AlarmEventKind::Raise => absent.insert(resource.clone()),
                    _ => absent.remove(&resource),
                };
                prop_assert!(is_new, "raise and clear in turn");
                let before = last.insert(resource, at_ms);
                prop_assert!(before.is_none_or(|before| before < at_ms), "each later");
            }
            found.push((0..3).map(|r| absent.contains(&r.to_string())).collect::<Vec<_>>());
        }
        prop_assert_eq!(found, reference::absent(&absence, &arrived, 3));
    }

    #[test]
    fn a_restart_between_any_two_samples_changes_nothing(
        conditions in prop::collection::vec(condition(), 1..3),
        arrived in values().prop_flat_map(shuffled),
        cut in any::<prop::sample::Index>(),
        tick in prop::option::of(0..600_000_i64),
    ) {
        let mut rules: Vec<Rule> = conditions
            .into_iter()
            .enumerate()
            .map(|(no, condition)| rule(&format!("r{no}"), "m", condition))
            .collect();
        let absence = Absence { interval_s: 0, intervals: 2.0 };
        rules.push(rule("absent", "m", Condition::Absence(absence)));
        let cut = cut.index(arrived.len());
        let run = |restarts: bool| {
            let mut core = Detector::new(rules.clone());
            let mut found: Vec<Detection> = Vec::new();
            for (no, (at_ms, value)) in arrived.iter().enumerate() {
                let sample = Sample {
                    position: no as i64 + 1,
                    source: SourceId(no as i64 % 2),
                    resource: if no % 3 == 0 { "x" } else { "y" },
                    metric: "m",
                    value: *value,
                    sampled_at_ms: NOW_MS + at_ms,
                    received_at_ms: NOW_MS + at_ms,
                };
                core.apply(&sample, &mut found);
                if no == cut {
                    if restarts {
                        let pages = core.pages().unwrap();
                        core = Detector::from_pages(pages.iter().map(Vec::as_slice)).unwrap();
                    }
                    if let (Some(by_ms), Some(clock)) = (tick, core.clock_ms(SourceId(0))) {
                        core.tick(SourceId(0), clock + by_ms, &mut found);
                    }
                }
            }
            let sequences: Vec<u64> = (0..rules.len()).map(|no| core.sequence(no)).collect();
            (found, sequences)
        };
        let (found, sequences) = run(false);
        for (no, last) in sequences.iter().enumerate() {
            let numbers: Vec<u64> = found.iter().filter(|d| d.rule == no).map(|d| d.sequence).collect();
            prop_assert_eq!(numbers, (1..=*last).collect::<Vec<_>>(), "numbers without gaps");
        }
        prop_assert_eq!(run(true), (found, sequences));
    }
}

proptest! {
    #![proptest_config(crate::support::draws(24))]

    #[test]
    fn a_slow_daily_curve_never_alarms(
        peak in 100.0..10_000.0_f64,
        trough in 0.1..1.0_f64,
        every_s in 20..300_i64,
        noise in prop::collection::vec(-0.05..0.05_f64, 64),
    ) {
        let mut bench = Bench::new(vec![rule("r", "sessions", Condition::Drop(super::fall()))]);
        let samples = 2 * 86_400 / every_s;
        for (no, noise) in (0..samples).zip(noise.iter().cycle()) {
            let at_s = no * every_s;
            let phase = at_s as f64 / 86_400.0 * std::f64::consts::TAU;
            let level = peak * (trough + (1.0 - trough) * (1.0 + phase.cos()) / 2.0);
            let value = level * (1.0 + noise);
            bench.take("x", "sessions", at_s * 1_000, value.round());
        }
        prop_assert_eq!(bench.events(), vec![]);
        // And yet it sees a port that dies on the second evening.
        let at_ms = 2 * 24 * 60 * MINUTE_MS;
        bench.take("x", "sessions", at_ms, 0.0);
        prop_assert_eq!(bench.events(), vec![(AlarmEventKind::Raise, "x".to_owned(), at_ms)]);
    }
}
