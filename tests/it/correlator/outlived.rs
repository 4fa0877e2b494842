//! Alarms of the plant whose clear was lost: what is behind them comes back.

use super::*;

/// Switch `s2` dies and takes `olt2` with it; all say so.
fn dead_switch() -> Desk {
    let mut desk = Desk::new();
    desk.raise(10 * SECOND, "unreachable", &["s2"]);
    desk.raise(12 * SECOND, "link-down", &["s1/s2", "s2/s3", "s2/olt2"]);
    desk.raise(15 * SECOND, "unreachable", &["olt2"]);
    desk.raise(20 * SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2", Confirmed, 8)]);
    desk
}

fn outlived(desk: &Desk) -> Vec<&str> {
    let alarms = desk.correlator.outlived();
    alarms.map(|alarm| alarm.key().resource.as_str()).collect()
}

#[test]
fn a_device_whose_links_are_up_again_is_not_dead_although_its_alarm_stands() {
    let mut desk = dead_switch();
    desk.clear(30 * MINUTE, "link-down", &["s1/s2", "s2/s3", "s2/olt2"]);
    // One home stays dark, or its clear is lost, too.
    desk.clear(31 * MINUTE, "unreachable", &["olt2"]);
    desk.clear(31 * MINUTE, "onu-los", &refs(&homes("olt2-p1")[1..]));
    desk.until(40 * MINUTE);
    assert_eq!(outlived(&desk), ["s2"]);
    let affected: u64 = desk.open().iter().map(|(.., affected)| affected).sum();
    assert!(affected <= 1, "{:?}", desk.open());
    // Nothing is made of it an hour later either, when the clears are forgotten.
    desk.raise(100 * MINUTE, "high-temperature", &["core1"]);
    desk.raise(101 * MINUTE, "high-temperature", &["core2"]);
    desk.until(120 * MINUTE);
    let affected: u64 = desk.open().iter().map(|(.., affected)| affected).sum();
    assert!(affected <= 1, "{:?}", desk.open());
}

#[test]
fn the_end_of_an_incident_names_the_alarm_that_was_left_aside() {
    let mut desk = Desk::new();
    desk.raise(10 * SECOND, "unreachable", &["s2"]);
    desk.raise(12 * SECOND, "link-down", &["s1/s2", "s2/s3"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2", Confirmed, 8)]);
    desk.clear(30 * MINUTE, "link-down", &["s1/s2", "s2/s3"]);
    desk.until(40 * MINUTE);
    assert_eq!(desk.open(), []);
    let incident = desk.state(1);
    assert_eq!(incident.state, Restored);
    assert_eq!(incident.restored_ms, Some(30 * MINUTE));
    let last = desk.changes.last().unwrap().timeline.last().unwrap();
    assert_eq!(
        last.reason,
        "what is behind it is back, and has been for 30 s; unreachable of s2 was never taken back"
    );
}

#[test]
fn what_came_back_before_a_device_died_says_nothing_of_it() {
    let mut desk = Desk::new();
    desk.raise(10 * SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.clear(40 * SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.raise(MINUTE, "unreachable", &["olt2"]);
    desk.raise(MINUTE, "link-down", &["s2/olt2"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2/olt2", Confirmed, 8)]);
    assert!(outlived(&desk).is_empty());
}

#[test]
fn a_device_that_dies_again_is_dead() {
    let mut desk = dead_switch();
    desk.clear(30 * MINUTE, "link-down", &["s1/s2", "s2/s3", "s2/olt2"]);
    desk.clear(31 * MINUTE, "unreachable", &["olt2"]);
    desk.clear(31 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(40 * MINUTE);
    assert_eq!(desk.open(), []);
    desk.clear(41 * MINUTE, "unreachable", &["s2"]);
    assert!(outlived(&desk).is_empty());
    desk.raise(42 * MINUTE, "unreachable", &["s2"]);
    desk.raise(42 * MINUTE, "link-down", &["s1/s2", "s2/s3"]);
    desk.until(50 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2", Confirmed, 8)]);
}

#[test]
fn one_that_comes_back_among_many_that_are_dark_proves_nothing() {
    let mut desk = dead_switch();
    desk.clear(30 * MINUTE, "onu-los", &["olt2-p1-h1"]);
    desk.until(40 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2", Confirmed, 8)]);
}
