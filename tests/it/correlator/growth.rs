//! A believed incident takes in more people as slowly as a new one is believed.

use super::*;

/// As delivered: of a lone alarm only an operator is believed.
fn delivered() -> Desk {
    let settings = CorrelatorSettings {
        lone_alarm_ms: None,
        ..settings()
    };
    Desk::with(settings, built())
}

/// With a believed failure of `olt2-p1`.
fn with_a_port() -> Desk {
    let mut desk = delivered();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    desk
}

/// Whether anybody but the four of the port was ever among those without service.
fn spread(desk: &Desk) -> bool {
    let believed = desk
        .changes
        .iter()
        .filter(|c| c.incident.state == Confirmed);
    believed.map(|c| c.lost.len()).any(|lost| lost > 4)
}

#[test]
fn what_agrees_for_the_hold_down_is_believed() {
    let mut desk = with_a_port();
    desk.raise(3 * MINUTE, "unreachable", &["olt2"]);
    desk.raise(3 * MINUTE + SECOND, "onu-los", &refs(&homes("olt2-p2")));
    desk.until(3 * MINUTE + 50 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert!(!spread(&desk));
    desk.until(5 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(
        desk.history(1),
        [Told::Detected, Told::Confirmed, Told::Suspected, Told::Grew]
    );
}

#[test]
fn a_suspicion_that_comes_to_concern_far_more_people_begins_anew() {
    let mut desk = delivered();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    // An OLT is gone for twenty seconds just before its port would be believed to have failed.
    let olt = [&["olt2".to_owned()][..], &homes("olt2-p2")].concat();
    desk.raise(55 * SECOND, "unreachable", &refs(&olt));
    desk.clear(75 * SECOND, "unreachable", &refs(&olt));
    desk.until(10 * MINUTE);
    assert!(!spread(&desk));
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn who_was_back_meanwhile_must_be_gone_for_the_hold_down_again() {
    let mut desk = delivered();
    let rest = [&["olt2".to_owned()][..], &homes("olt2-p2")].concat();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    for (from, to) in [(2, 20), (55, 75)] {
        desk.raise(from * SECOND, "unreachable", &refs(&rest));
        desk.clear(to * SECOND, "unreachable", &refs(&rest));
    }
    desk.until(10 * MINUTE);
    assert!(!spread(&desk));
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn what_a_growth_takes_in_at_last_has_stood_no_longer() {
    let mut desk = with_a_port();
    desk.raise(3 * MINUTE, "onu-los", &["olt2-p2-h1", "olt2-p2-h2"]);
    desk.raise(3 * MINUTE, "unreachable", &["olt2"]);
    let behind = [homes("olt3-p1"), homes("olt3-p2")].concat();
    let ring = ["s1/s2", "s3/s4", "olt3"].map(str::to_owned);
    let others = [&ring[..], &behind].concat();
    desk.raise(3 * MINUTE + 50 * SECOND, "unreachable", &refs(&others));
    desk.clear(4 * MINUTE + 20 * SECOND, "unreachable", &refs(&others));
    desk.until(10 * MINUTE);
    let most = desk.changes.iter().map(|change| change.lost.len()).max();
    assert_eq!(most, Some(8));
}

#[test]
fn what_clears_before_leaves_nothing_behind() {
    let mut desk = with_a_port();
    desk.raise(3 * MINUTE, "unreachable", &["olt2", "s2"]);
    desk.clear(3 * MINUTE + 30 * SECOND, "unreachable", &["olt2", "s2"]);
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert!(!spread(&desk));
    assert_eq!(
        desk.history(1),
        [
            Told::Detected,
            Told::Confirmed,
            Told::Suspected,
            Told::Suspected
        ],
        "that it may have grown, and that it has not"
    );
}

#[test]
fn a_lone_alarm_long_after_is_believed_of_an_operator_only() {
    let mut desk = with_a_port();
    desk.raise(60 * MINUTE, "unreachable", &["olt2"]);
    desk.until(10 * 60 * MINUTE);
    let apart = [
        one(1, "olt2-p1", Confirmed, 4),
        one(2, "olt2", Suspected, 8),
    ];
    assert_eq!(desk.open(), apart);
    assert!(!spread(&desk));
    desk.act(
        2,
        OperatorAction::Confirm {
            note: "seen on site".to_owned(),
        },
    );
    desk.until(10 * 60 * MINUTE + 2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
}

#[test]
fn an_incident_ends_with_what_it_is_believed_of() {
    let mut desk = with_a_port();
    desk.raise(60 * MINUTE, "unreachable", &["olt2"]);
    desk.clear(61 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(70 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    assert!(!spread(&desk));
    // What is left is a suspicion like any other.
    assert_eq!(desk.open(), [one(2, "olt2", Suspected, 8)]);
}

#[test]
fn one_that_takes_over_another_stands_for_both_until_more_is_believed() {
    let mut desk = with_a_port();
    desk.raise(30 * MINUTE, "onu-los", &refs(&homes("olt3-p1")));
    desk.until(40 * MINUTE);
    let both = [
        one(1, "olt2-p1", Confirmed, 4),
        one(2, "olt3-p1", Confirmed, 4),
    ];
    assert_eq!(desk.open(), both);
    desk.raise(50 * MINUTE, "unreachable", &["core1", "core2"]);
    desk.until(50 * MINUTE + 30 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2-p1+olt3-p1", Confirmed, 8)]);
    desk.until(52 * MINUTE);
    assert_eq!(desk.open(), [one(1, "core1+core2", Confirmed, 24)]);
}
