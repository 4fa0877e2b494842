//! Planned work: what it covers, and what it leaves behind.

use super::*;

const HOUR: i64 = 60 * MINUTE;

/// On those resources, from the first to the second hour.
fn work(resources: &[&str]) -> Statement {
    Statement {
        resources: resources.iter().map(|id| (*id).to_owned()).collect(),
        kind: CauseKind::PlannedWork,
        text: "new line cards".to_owned(),
        until_ms: Some(2 * HOUR),
        declared_at_ms: 0,
        ..statement(DeclarationId::Work(3), 1, HOUR)
    }
}

fn busy() -> Desk {
    let mut desk = Desk::new();
    desk.declare(0, plain(work(&["olt2"])));
    desk
}

#[test]
fn alarms_within_scope_and_window_make_no_incident() {
    let mut desk = busy();
    desk.raise(HOUR, "unreachable", &["olt2"]);
    desk.raise(HOUR + SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.raise(HOUR + SECOND, "link-down", &["s2/olt2"]);
    desk.until(HOUR + 30 * MINUTE);
    assert_eq!(desk.open(), []);
    desk.clear(HOUR + 31 * MINUTE, "unreachable", &["olt2"]);
    desk.clear(HOUR + 31 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    desk.clear(HOUR + 31 * MINUTE, "link-down", &["s2/olt2"]);
    desk.until(5 * HOUR);
    assert!(desk.changes.is_empty(), "{:?}", desk.changes);
}

#[test]
fn what_is_left_at_the_end_of_the_window_is_an_overrun() {
    let mut desk = busy();
    desk.raise(HOUR + MINUTE, "unreachable", &["olt2"]);
    desk.raise(HOUR + MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(2 * HOUR - 1);
    assert!(desk.changes.is_empty());
    // Another alarm, so late that the first ones would count as left over.
    desk.raise(2 * HOUR, "high-temperature", &["core1"]);
    desk.raise(2 * HOUR + 10 * SECOND, "high-temperature", &["core2"]);
    assert_eq!(desk.open(), [one(1, "olt2", Suspected, 8)]);
    desk.until(2 * HOUR + 5 * MINUTE);
    let incident = desk.state(1);
    assert_eq!(incident.state, Confirmed);
    assert_eq!(incident.confirmed_ms, Some(2 * HOUR + MINUTE), "held down");
    assert_eq!(
        incident.onset_ms,
        HOUR + MINUTE,
        "since when service is out"
    );
    assert_eq!(incident.cause.kind, CauseKind::PlannedWork);
    assert_eq!(
        incident.cause.text,
        "Planned work WORK-3 (new line cards) has overrun its window. OLT olt2 does not answer; 8 \
         subscribers behind it"
    );
    assert_eq!(
        desk.changes[0].timeline[0].reason, incident.cause.text,
        "the history says it"
    );
    assert_eq!(incident.declared[0].id, DeclarationId::Work(3));
    desk.clear(3 * HOUR, "unreachable", &["olt2"]);
    desk.clear(3 * HOUR, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(3 * HOUR + 5 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(desk.state(1).restored_ms, Some(3 * HOUR));
    // A fault of its own, the day after.
    desk.raise(30 * HOUR, "unreachable", &["olt2"]);
    desk.until(31 * HOUR);
    assert_eq!(desk.state(2).cause.kind, CauseKind::Equipment);
}

#[test]
fn an_incident_below_the_work_that_comes_to_be_its_overrun_says_so() {
    let mut desk = Desk::new();
    desk.raise(10 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    desk.declare(30 * MINUTE, plain(work(&["olt2"])));
    desk.raise(HOUR + MINUTE, "unreachable", &["olt2"]);
    desk.until(2 * HOUR);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    desk.until(2 * HOUR + 10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    let incident = desk.state(1);
    assert_eq!(incident.cause.kind, CauseKind::PlannedWork);
    assert_eq!(
        incident.cause.text,
        "Planned work WORK-3 (new line cards) has overrun its window. OLT olt2 does not answer; 8 \
         subscribers behind it"
    );
    assert_eq!(incident.declared[0].id, DeclarationId::Work(3));
    let later = &incident.life.later;
    assert_eq!(later.len(), 1, "who is not behind the port joined later");
    assert_eq!(later[0].since_ms, HOUR + MINUTE);
}

#[test]
fn what_the_scope_does_not_explain_is_an_incident_like_any_other() {
    let mut desk = busy();
    desk.raise(HOUR + MINUTE, "unreachable", &["olt2"]);
    desk.raise(HOUR + MINUTE, "pon-los", &["olt3-p1"]);
    desk.until(HOUR + 10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt3-p1", Confirmed, 4)]);
    assert_ne!(desk.state(1).cause.kind, CauseKind::PlannedWork);
}

#[test]
fn what_was_dark_before_the_window_stays_an_incident() {
    let mut desk = busy();
    desk.raise(HOUR - 10 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(HOUR + 10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    desk.raise(HOUR + 11 * MINUTE, "unreachable", &["olt2"]);
    desk.until(HOUR + 20 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn work_that_is_cancelled_covers_nothing() {
    let mut desk = busy();
    desk.raise(HOUR + MINUTE, "unreachable", &["olt2"]);
    desk.declare(
        HOUR + 5 * MINUTE,
        plain(ended(work(&["olt2"]), HOUR + 5 * MINUTE)),
    );
    desk.until(HOUR + 10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    let incident = desk.state(1);
    assert_eq!(incident.cause.kind, CauseKind::Equipment);
    assert_eq!(incident.onset_ms, HOUR + MINUTE);
}

#[test]
fn work_in_an_area_covers_what_stands_and_who_lives_there() {
    let network = built();
    let mut desk = Desk::new();
    let inside = homes("olt3-p1");
    let area = impact(
        &network,
        Affects::ServiceLostInside,
        HOUR,
        &inside,
        &[("olt2", 0)],
    );
    desk.declare(
        0,
        Declaration {
            statement: Arc::new(work(&[])),
            area: Some(Arc::new(area)),
        },
    );
    desk.raise(HOUR + MINUTE, "unreachable", &["olt2"]);
    desk.raise(HOUR + MINUTE, "pon-los", &["olt3-p1"]);
    desk.until(HOUR + 10 * MINUTE);
    assert_eq!(desk.open(), []);
    desk.raise(HOUR + 11 * MINUTE, "pon-los", &["olt3-p2"]);
    desk.until(HOUR + 20 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt3-p2", Confirmed, 4)]);
}

#[test]
fn a_fault_opened_by_hand_during_the_work_is_one() {
    let mut desk = busy();
    desk.raise(HOUR + MINUTE, "unreachable", &["olt2"]);
    desk.declare(
        HOUR + 10 * MINUTE,
        plain(fault(1, HOUR + 10 * MINUTE, &["olt2"])),
    );
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(desk.state(1).evidence_count, 1);
}

#[test]
fn what_fails_beside_the_work_is_no_part_of_its_overrun() {
    for neighbour_first in [false, true] {
        let mut desk = Desk::new();
        desk.declare(0, plain(work(&["olt2-p1"])));
        let mut ports = ["olt2-p1", "olt2-p2"];
        if neighbour_first {
            ports.reverse();
        }
        for (port, at_ms) in ports
            .into_iter()
            .zip([HOUR + MINUTE, HOUR + MINUTE + 2 * SECOND])
        {
            desk.raise(at_ms, "pon-los", &[port]);
            desk.raise(at_ms + SECOND, "onu-los", &refs(&homes(port)));
        }
        desk.until(2 * HOUR - 1);
        assert_eq!(desk.open(), [one(1, "olt2-p2", Confirmed, 4)]);
        desk.until(2 * HOUR + 5 * MINUTE);
        let open = [
            one(1, "olt2-p2", Confirmed, 4),
            one(2, "olt2-p1", Confirmed, 4),
        ];
        assert_eq!(desk.open(), open);
        let overrun = desk.state(2);
        assert_eq!(overrun.cause.kind, CauseKind::PlannedWork);
        assert_eq!(overrun.declared[0].id, DeclarationId::Work(3));
        assert_eq!(desk.state(1).cause.kind, CauseKind::FibreCut);
    }
}
