//! What the rules say of certain histories.

use super::{Bench, MINUTE_MS, NOW_MS, absence, fall, low_power, rule};
use forewarn::alarm::AlarmEventKind::{Clear, Raise};
use forewarn::alarm::{ServiceEffect, Severity, SourceId};
use forewarn::detect::{Condition, Detector, Fall, Sample};

fn x(
    kind: forewarn::alarm::AlarmEventKind,
    at_ms: i64,
) -> (forewarn::alarm::AlarmEventKind, String, i64) {
    (kind, "x".to_owned(), at_ms)
}

/// A minute apart, from minute `from` on.
fn feed(bench: &mut Bench, metric: &str, from: i64, values: &[f64]) {
    for (minute, value) in (from..).zip(values) {
        bench.take("x", metric, minute * MINUTE_MS, *value);
    }
}

#[test]
fn a_level_has_hysteresis() {
    let mut bench = Bench::new(vec![rule("r", "dbm", Condition::Threshold(low_power(0)))]);
    feed(
        &mut bench,
        "dbm",
        0,
        &[-20.0, -27.0, -28.0, -27.0, -29.0, -26.5, -26.0, -27.9],
    );
    assert_eq!(
        bench.events(),
        [x(Raise, 2 * MINUTE_MS), x(Clear, 6 * MINUTE_MS)]
    );
}

#[test]
fn a_level_must_hold() {
    let mut bench = Bench::new(vec![rule("r", "dbm", Condition::Threshold(low_power(120)))]);
    feed(&mut bench, "dbm", 0, &[-30.0, -30.0, -27.0, -30.0, -30.0]);
    assert_eq!(bench.events(), []);
    feed(&mut bench, "dbm", 5, &[-30.0]);
    // The trouble began with the first value of the three.
    assert_eq!(bench.events(), [x(Raise, 3 * MINUTE_MS)]);
}

#[test]
fn sessions_that_fall_alarm_until_they_are_back_at_their_old_level() {
    let mut bench = Bench::new(vec![rule("r", "sessions", Condition::Drop(fall()))]);
    feed(&mut bench, "sessions", 0, &[240.0; 30]);
    assert_eq!(bench.events(), []);
    feed(&mut bench, "sessions", 30, &[96.0]);
    assert_eq!(bench.found[0].text, "sessions fell to 96 from 240");
    assert_eq!(bench.events(), [x(Raise, 30 * MINUTE_MS)]);
    // Ten hours low is not the new normal, nor is a third of the way back.
    feed(&mut bench, "sessions", 31, &[40.0; 600]);
    feed(&mut bench, "sessions", 631, &[191.0; 10]);
    assert_eq!(bench.events(), []);
    feed(&mut bench, "sessions", 641, &[192.0]);
    assert_eq!(bench.events(), [x(Clear, 641 * MINUTE_MS)]);
}

#[test]
fn a_fall_in_steps_is_one_fall() {
    let mut bench = Bench::new(vec![rule("r", "sessions", Condition::Drop(fall()))]);
    feed(&mut bench, "sessions", 0, &[100.0; 30]);
    feed(&mut bench, "sessions", 30, &[90.0, 75.0, 60.0, 45.0, 30.0]);
    assert_eq!(bench.events(), [x(Raise, 34 * MINUTE_MS)]);
}

#[test]
fn small_counts_and_short_pasts_do_not_alarm() {
    let mut bench = Bench::new(vec![rule("r", "sessions", Condition::Drop(fall()))]);
    feed(&mut bench, "sessions", 0, &[19.0; 30]);
    feed(&mut bench, "sessions", 30, &[0.0]);
    assert_eq!(bench.events(), []);
    let mut bench = Bench::new(vec![rule("r", "sessions", Condition::Drop(fall()))]);
    feed(
        &mut bench,
        "sessions",
        0,
        &[200.0, 200.0, 200.0, 200.0, 0.0, 0.0],
    );
    assert_eq!(bench.events(), [], "six minutes are no past");
}

#[test]
fn one_wild_value_moves_no_base() {
    let mut bench = Bench::new(vec![rule("r", "sessions", Condition::Drop(fall()))]);
    feed(&mut bench, "sessions", 0, &[100.0; 30]);
    feed(&mut bench, "sessions", 30, &[100_000.0]);
    feed(&mut bench, "sessions", 31, &[100.0; 20]);
    assert_eq!(bench.events(), []);
}

#[test]
fn after_a_long_gap_there_is_no_past() {
    let mut bench = Bench::new(vec![rule("r", "sessions", Condition::Drop(fall()))]);
    feed(&mut bench, "sessions", 0, &[100.0; 30]);
    feed(&mut bench, "sessions", 300, &[10.0; 5]);
    assert_eq!(bench.events(), []);
}

#[test]
fn a_late_low_value_does_not_raise_what_is_back() {
    let mut bench = Bench::new(vec![rule("r", "dbm", Condition::Threshold(low_power(0)))]);
    feed(&mut bench, "dbm", 0, &[-20.0, -20.0]);
    feed(&mut bench, "dbm", 3, &[-20.0]);
    bench.take("x", "dbm", 2 * MINUTE_MS, -30.0);
    assert_eq!(bench.events(), []);
    // The latest value counts, whatever comes after it.
    feed(&mut bench, "dbm", 5, &[-30.0]);
    bench.take("x", "dbm", 4 * MINUTE_MS, -20.0);
    assert_eq!(bench.events(), [x(Raise, 5 * MINUTE_MS)]);
}

#[test]
fn a_sample_that_comes_far_too_late_changes_nothing() {
    let mut bench = Bench::new(vec![rule("r", "dbm", Condition::Threshold(low_power(0)))]);
    feed(&mut bench, "dbm", 1, &[-27.0; 10]);
    bench.take("x", "dbm", 0, -30.0);
    assert_eq!((bench.events(), bench.core.ignored()), (vec![], 1));
}

#[test]
fn a_device_whose_clock_is_ahead_makes_nothing_late() {
    let mut bench = Bench::new(vec![rule("r", "dbm", Condition::Threshold(low_power(0)))]);
    let mut found = Vec::new();
    for (position, (ahead_ms, value)) in [(86_000_000, -20.0), (0, -30.0)].into_iter().enumerate() {
        let received_at_ms = NOW_MS + position as i64 * MINUTE_MS;
        let sample = Sample {
            position: position as i64 + 1,
            source: SourceId(1),
            resource: "x",
            metric: "dbm",
            value,
            sampled_at_ms: received_at_ms + ahead_ms,
            received_at_ms,
        };
        bench.core.apply(&sample, &mut found);
    }
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].at_ms, NOW_MS + MINUTE_MS);
}

#[test]
fn a_resource_that_falls_silent_among_others_is_absent() {
    let mut bench = Bench::new(vec![rule("r", "up", Condition::Absence(absence(60)))]);
    for minute in 0..3 {
        bench.take("x", "up", minute * MINUTE_MS, 1.0);
        bench.take("y", "up", minute * MINUTE_MS + 1_000, 1.0);
    }
    for minute in 3..6 {
        bench.take("y", "up", minute * MINUTE_MS + 1_000, 1.0);
    }
    assert_eq!(
        bench.events(),
        [x(Raise, 3 * MINUTE_MS)],
        "since the first that was due"
    );
    bench.take("x", "up", 9 * MINUTE_MS, 1.0);
    assert_eq!(bench.events(), [x(Clear, 9 * MINUTE_MS)]);
}

#[test]
fn a_source_that_is_silent_as_a_whole_makes_nobody_absent() {
    let mut bench = Bench::new(vec![rule("r", "up", Condition::Absence(absence(60)))]);
    let names: Vec<String> = (0..50).map(|no| format!("olt-{no}")).collect();
    let round = |bench: &mut Bench, minute: i64| {
        for (no, name) in (0..).zip(&names) {
            bench.take(name, "up", minute * MINUTE_MS + no * 1_100, 1.0);
        }
    };
    for minute in [0, 1, 2, 3, 63, 64, 65, 67, 68, 70, 73, 76, 77] {
        round(&mut bench, minute);
        assert_eq!(bench.events(), [], "minute {minute}");
    }
}

#[test]
fn heartbeats_carry_the_clock_of_a_source_on() {
    let mut bench = Bench::new(vec![rule("r", "up", Condition::Absence(absence(60)))]);
    bench.take("x", "up", 0, 1.0);
    assert_eq!(
        bench.core.next_due_ms(SourceId(1)),
        Some(NOW_MS + 3 * MINUTE_MS)
    );
    let mut found = Vec::new();
    bench
        .core
        .tick(SourceId(1), NOW_MS + 3 * MINUTE_MS, &mut found);
    assert_eq!(found, []);
    bench
        .core
        .tick(SourceId(1), NOW_MS + 3 * MINUTE_MS + 1, &mut found);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].at_ms, NOW_MS + MINUTE_MS);
    bench
        .core
        .tick(SourceId(2), NOW_MS + 90 * MINUTE_MS, &mut found);
    assert_eq!(found.len(), 1, "nothing is known of another source");
}

#[test]
fn an_interval_is_learnt() {
    let mut bench = Bench::new(vec![rule("r", "up", Condition::Absence(absence(0)))]);
    for no in 0..40 {
        bench.take("fast", "up", no * 10_000, 1.0);
        if no % 6 == 0 {
            bench.take("x", "up", no * 10_000, 1.0);
        }
    }
    assert_eq!(
        bench.events(),
        [],
        "every minute is as good as every ten seconds"
    );
    for no in 40..60 {
        bench.take("fast", "up", no * 10_000, 1.0);
    }
    assert_eq!(bench.events(), [x(Raise, 7 * MINUTE_MS)]);
}

#[test]
fn sources_are_told_apart_and_so_are_resources_and_metrics() {
    let mut only_onts = rule("r", "dbm", Condition::Threshold(low_power(0)));
    only_onts.resource_prefix = "ont-".to_owned();
    let mut bench = Bench::new(vec![only_onts]);
    bench.take("ont-1", "dbm", 0, -30.0);
    bench.take_from(SourceId(2), "ont-1", "dbm", 1_000, -20.0);
    bench.take("ont-1", "temperature_c", 2_000, -20.0);
    bench.take("olt-1", "dbm", 3_000, -30.0);
    assert_eq!(bench.events(), [(Raise, "ont-1".to_owned(), 0)]);
}

#[test]
fn an_event_says_what_the_rule_says() {
    let mut low = rule("rx-low", "dbm", Condition::Threshold(low_power(0)));
    low.effect = ServiceEffect::Degraded;
    low.severity = Severity::Minor;
    low.alarm_type = "low-optical-power".to_owned();
    assert_eq!(low.alarm_source(), "detect/rx-low");
    let mut bench = Bench::new(vec![low]);
    bench.take("x", "dbm", 0, -30.25);
    let event = bench.core.event(&bench.found[0], "bng-rome").unwrap();
    assert_eq!((event.kind, event.severity), (Raise, Severity::Minor));
    assert_eq!(event.key.alarm_type, "low-optical-power");
    assert_eq!(event.key.qualifier, "bng-rome");
    assert_eq!(event.detail.service_effect, Some(ServiceEffect::Degraded));
    assert_eq!(event.detail.text, "dbm is -30.25; the limit is -28");
    assert_eq!(event.event_at_ms, NOW_MS);
}

#[test]
fn a_rule_keeps_what_it_has_seen_when_its_numbers_change() {
    let mut bench = Bench::new(vec![rule("r", "sessions", Condition::Drop(fall()))]);
    feed(&mut bench, "sessions", 0, &[100.0; 30]);
    feed(&mut bench, "sessions", 30, &[10.0]);
    let changed = Fall {
        recover_percent: 50.0,
        window_s: 600,
        ..fall()
    };
    bench.core = bench
        .core
        .with_rules(vec![rule("r", "sessions", Condition::Drop(changed))]);
    bench.found.clear();
    let listed = bench.core.list(0);
    assert_eq!((listed.len(), listed[0].sequence), (1, 2));
    feed(&mut bench, "sessions", 31, &[50.0]);
    assert_eq!(bench.events(), [x(Clear, 31 * MINUTE_MS)]);
    // Another metric is another rule.
    let other = rule("r", "streams", Condition::Drop(changed));
    let mut core = bench.core.with_rules(vec![other]);
    assert_eq!(core.list(0), []);
}

#[test]
fn pages_of_something_else_are_refused() {
    let read = |page: &[u8]| Detector::from_pages([page]).unwrap_err().to_string();
    assert!(Detector::from_pages([]).is_err());
    assert!(
        read(&[200, 1]).contains("version 200"),
        "{}",
        read(&[200, 1])
    );
    let pages = Bench::new(vec![rule("r", "m", Condition::Drop(fall()))])
        .core
        .pages();
    let page = pages.unwrap().remove(0);
    assert!(Detector::from_pages([&page[..page.len() - 3]]).is_err());
}
