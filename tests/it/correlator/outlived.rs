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

#[test]
fn two_of_many_links_that_come_back_prove_nothing() {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core1", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    for switch in ["s1", "s2", "s3", "s4", "s5", "s6", "hub"] {
        element(&mut network, switch, ElementKind::Switch);
        let above = if switch == "hub" { "s1" } else { "core1" };
        link(&mut network, above, switch);
    }
    for switch in ["s2", "s3", "s4", "s5", "s6"] {
        link(&mut network, switch, "hub");
    }
    let mut attached = Vec::new();
    for home in ["h1", "h2", "h3"] {
        element(&mut network, home, ElementKind::Ont);
        link(&mut network, "hub", home);
        attached.push(Attachment {
            account: format!("acc-{home}"),
            served_by: vec![home.to_owned()],
            redundancy: Redundancy::Any,
        });
    }
    let network = Arc::new(Network::build(&network, &attached).unwrap());
    let mut desk = Desk::with(settings(), network);
    let links = ["s1/hub", "s2/hub", "s3/hub", "s4/hub", "s5/hub", "s6/hub"];
    desk.raise(10 * SECOND, "unreachable", &["hub"]);
    desk.raise(10 * SECOND, "link-down", &links);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "hub", Confirmed, 3)]);
    desk.clear(20 * MINUTE, "link-down", &links[..2]);
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), [one(1, "hub", Confirmed, 3)]);
    assert!(outlived(&desk).is_empty());
    desk.clear(31 * MINUTE, "link-down", &links[2..]);
    desk.until(40 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(outlived(&desk), ["hub"]);
}

#[test]
fn what_is_heard_late_counts_as_if_it_had_come_in_time() {
    let many: Vec<String> = ["olt2-p1", "olt2-p2"]
        .iter()
        .flat_map(|pon| homes(pon))
        .collect();
    let mut desk = Desk::new();
    desk.raise(10 * SECOND, "unreachable", &["olt2"]);
    desk.raise(10 * SECOND, "link-down", &["s2/olt2"]);
    desk.raise(11 * SECOND, "onu-los", &refs(&many[..2]));
    desk.until(10 * MINUTE);
    desk.clear(20 * MINUTE, "onu-los", &refs(&many[..2]));
    desk.until(21 * MINUTE);
    assert_eq!(outlived(&desk), ["olt2", "s2/olt2"]);
    for (place, home) in many[2..].iter().enumerate() {
        let sequence = 100 + u64::try_from(place).unwrap();
        let kind = AlarmEventKind::Raise;
        desk.take(alarm_entry(2, sequence, kind, home, "onu-los", 11 * SECOND));
    }
    desk.settle();
    assert!(
        outlived(&desk).is_empty(),
        "six are dark since then, two are back"
    );
}

/// Its dying gasp is taken back, minutes after its other alarm was, and too soon for that to count.
#[test]
fn what_is_back_counts_from_its_last_clear() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "los", &["olt2", "olt2/olt2-p1"]);
    desk.raise(SECOND, "power-failure", &["olt2"]);
    desk.raise(MINUTE, "los", &["s2/olt2"]);
    desk.clear(2 * MINUTE, "los", &["olt2"]);
    desk.clear(5 * MINUTE, "los", &["olt2/olt2-p1"]);
    desk.until(6 * MINUTE);
    assert!(outlived(&desk).is_empty());
    desk.clear(6 * MINUTE, "power-failure", &["olt2"]);
    desk.until(15 * MINUTE);
    assert_eq!(outlived(&desk), ["s2/olt2"]);
    assert_eq!(desk.open(), []);
}
