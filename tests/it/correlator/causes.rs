//! Which cause is found: timelines of typical faults.

use super::*;

#[test]
fn a_feeder_cut_is_inferred_from_the_homes_behind_it() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    assert_eq!(desk.open(), [], "the alarms are still gathering");
    desk.until(10 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Suspected, 4)]);
    desk.until(2 * MINUTE);
    let incident = desk.state(1);
    assert_eq!(incident.state, Confirmed);
    assert_eq!(incident.cause.kind, CauseKind::FibreCut);
    assert_eq!(incident.onset_ms, SECOND);
    assert_eq!(
        incident.cause.text,
        "PON port olt2-p1 has no signal; 4 subscribers behind it"
    );
    assert_eq!(
        desk.history(1),
        [TimelineKind::Detected, TimelineKind::Confirmed]
    );
    desk.clear(3 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    assert_eq!(
        desk.open(),
        [one(1, "olt2-p1", Confirmed, 4)],
        "not believed at once"
    );
    desk.until(5 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    assert_eq!(desk.state(1).restored_ms, Some(3 * MINUTE));
    let last = desk.changes.last().unwrap();
    assert_eq!((last.lost.len(), last.previously_lost.len()), (0, 4));
}

#[test]
fn a_lost_alarm_does_not_hide_a_feeder_cut() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")[..3]));
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    let reasoning = desk.state(1).cause.reasoning;
    assert!(
        reasoning.starts_with("3 alarms at and below PON port olt2-p1, which has 4 subscribers"),
        "{reasoning}"
    );
    assert!(
        reasoning.contains("by failure of OLT olt2: 10^"),
        "{reasoning}"
    );
}

#[test]
fn homes_that_went_dark_days_apart_have_no_common_cause() {
    let mut desk = Desk::new();
    for (day, home) in (0..).zip(homes("olt2-p1").iter().take(2)) {
        desk.raise(day * 24 * 60 * MINUTE, "onu-los", &[home]);
    }
    desk.until(100 * 60 * MINUTE);
    assert_eq!(desk.open(), []);
}

#[test]
fn homes_that_come_back_end_the_incident_although_one_never_says_so() {
    let mut desk = Desk::new();
    let homes = homes("olt2-p1");
    desk.raise(SECOND, "onu-los", &refs(&homes));
    desk.until(2 * MINUTE);
    desk.clear(10 * MINUTE, "onu-los", &refs(&homes[1..]));
    desk.until(12 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    desk.raise(6 * 60 * MINUTE, "high-temperature", &["olt3"]);
    desk.until(7 * 60 * MINUTE);
    assert_eq!(desk.open(), [], "what is left over opens nothing");
}

#[test]
fn a_device_that_says_nothing_is_found_by_its_links() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "link-down", &["core1/s1", "s1/oltd"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1", Confirmed, 0)]);
    // One link alone has no other end to blame.
    let mut desk = Desk::new();
    desk.raise(SECOND, "link-down", &["s1/oltd"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1/oltd", Confirmed, 0)]);
}

#[test]
fn the_end_of_a_ring_that_said_nothing_is_where_it_gets_dark() {
    let mut desk = Desk::new();
    // `s2` and `s3` are dead; of `s2` and the links nothing is heard, of what hangs on it all is.
    desk.raise(SECOND, "unreachable", &["s3"]);
    desk.raise(SECOND, "unreachable", &["olt2", "olt3"]);
    desk.until(2 * MINUTE);
    let lost: u64 = desk.open().iter().map(|(.., affected)| affected).sum();
    assert_eq!(lost, 16, "{:?}", desk.open());
}

#[test]
fn homes_that_fall_silent_beside_gasps_blame_no_line() {
    let mut desk = Desk::new();
    for pon in ["olt2-p1", "olt2-p2"] {
        let homes = homes(pon);
        desk.raise(SECOND, "dying-gasp", &refs(&homes[..2]));
        desk.raise(SECOND + SECOND / 2, "onu-los", &refs(&homes[2..]));
    }
    desk.until(2 * MINUTE);
    let open = desk.open();
    let causes: Vec<&str> = open
        .iter()
        .flat_map(|(_, cause, ..)| cause.split('+'))
        .collect();
    assert!(
        causes.iter().all(|cause| cause.contains("-h")),
        "{causes:?}"
    );
    assert_eq!(open.iter().map(|(.., affected)| affected).sum::<u64>(), 8);
    assert!(
        open.iter()
            .all(|(no, ..)| desk.state(*no).cause.kind == CauseKind::Power)
    );
}

#[test]
fn homes_without_power_blame_no_line() {
    let mut desk = Desk::new();
    let homes = homes("olt2-p1");
    desk.raise(SECOND, "dying-gasp", &refs(&homes[..3]));
    desk.until(2 * MINUTE);
    let incident = desk.state(1);
    assert_eq!(incident.cause.resources, homes[..3]);
    assert_eq!(
        (incident.cause.kind, incident.affected),
        (CauseKind::Power, 3)
    );
    desk.raise(3 * MINUTE, "dying-gasp", &refs(&homes[3..]));
    desk.raise(3 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(6 * MINUTE);
    let open: Vec<_> = desk.open().iter().map(|i| (i.0, i.3)).collect();
    assert_eq!(
        open,
        [(1, 4)],
        "a port without a signal is no fault of its own"
    );
    assert_eq!(desk.state(1).cause.kind, CauseKind::Power);
}

#[test]
fn two_ports_that_fail_at_once_are_one_failure() {
    let (mut network, mut attached) = metro();
    element(&mut network, "olt2-p3", ElementKind::PonPort);
    link(&mut network, "olt2", "olt2-p3");
    for home in homes("olt2-p3") {
        element(&mut network, &home, ElementKind::Ont);
        link(&mut network, "olt2-p3", &home);
        attached.push(Attachment {
            account: format!("acc-{home}"),
            served_by: vec![home],
            redundancy: Redundancy::Any,
        });
    }
    let network = Arc::new(Network::build(&network, &attached).unwrap());
    let mut desk = Desk::with(CorrelatorSettings::default(), network);
    let both: Vec<String> = ["olt2-p1", "olt2-p2"]
        .iter()
        .flat_map(|p| homes(p))
        .collect();
    desk.raise(SECOND, "pon-los", &["olt2-p1", "olt2-p2"]);
    desk.raise(SECOND, "onu-los", &refs(&both[..6]));
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1+olt2-p2", Confirmed, 8)]);
}

#[test]
fn a_wrong_alarm_at_the_far_end_of_a_ring_cuts_nobody_off() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "device-down", &["s1"]);
    desk.until(60 * MINUTE);
    desk.raise(61 * MINUTE, "link-down", &["s4/core2"]);
    desk.until(120 * MINUTE);
    let affected: u64 = desk.open().iter().map(|incident| incident.3).sum();
    assert_eq!(affected, 0, "{:?}", desk.open());
}

#[test]
fn a_single_premise_opens_no_incident_unless_asked_for() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "dying-gasp", &["olt2-p1-h1"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    let settings = CorrelatorSettings {
        single_premise_incidents: true,
        ..settings()
    };
    let mut desk = Desk::with(settings, built());
    desk.raise(SECOND, "dying-gasp", &["olt2-p1-h1"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1-h1", Confirmed, 1)]);
    assert_eq!(desk.state(1).cause.kind, CauseKind::Power);
}

#[test]
fn the_death_of_an_olt_is_one_incident_whose_cause_moves_up() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(20 * SECOND);
    desk.raise(21 * SECOND, "pon-los", &["olt2-p2"]);
    desk.until(40 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2", Suspected, 8)]);
    desk.raise(90 * SECOND, "heartbeat-loss", &["olt2"]);
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    let incident = desk.state(1);
    assert_eq!(incident.onset_ms, SECOND);
    assert_eq!(incident.evidence_count, 6);
    assert_eq!(
        incident.cause.text,
        "OLT olt2 does not answer; 8 subscribers behind it"
    );
}

#[test]
fn an_old_fault_below_does_not_date_a_new_one_above() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &["olt2-p1-h1"]);
    desk.raise(
        10 * MINUTE,
        "onu-los",
        &["olt2-p1-h2", "olt2-p1-h3", "olt2-p1-h4"],
    );
    desk.raise(10 * MINUTE + SECOND, "onu-los", &refs(&homes("olt2-p2")));
    desk.until(12 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(desk.state(1).onset_ms, 10 * MINUTE);
}

#[test]
fn both_ends_of_a_ring_are_one_incident_and_what_lies_between_is_explained() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "unreachable", &["s1"]);
    desk.until(30 * SECOND);
    assert_eq!(desk.open(), [one(1, "s1", Suspected, 0)]);
    assert!(desk.state(1).at_risk > 0);
    desk.raise(
        31 * SECOND,
        "unreachable",
        &["s2", "s3", "s4", "olt2", "olt3", "oltd"],
    );
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1+s4", Confirmed, 24)]);
    assert_eq!(desk.state(1).evidence_count, 7);
    desk.clear(
        4 * MINUTE,
        "unreachable",
        &["s4", "s3", "s2", "olt2", "olt3", "oltd"],
    );
    desk.until(5 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1", Confirmed, 0)]);
    assert!(desk.history(1).ends_with(&[TimelineKind::Shrank]));
}

#[test]
fn a_cable_with_all_its_fibres_cut_is_the_one_cause() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "link-down", &["olt3-p1/olt3-p1-sp"]);
    desk.until(30 * SECOND);
    desk.raise(31 * SECOND, "onu-los", &refs(&homes("olt3-p2")));
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "cable3", Confirmed, 8)]);
    assert_eq!(desk.state(1).cause.kind, CauseKind::FibreCut);
}

#[test]
fn a_port_that_takes_its_alarm_back_leaves_no_cable_cut() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt3-p1"]);
    desk.raise(SECOND, "onu-los", &refs(&homes("olt3-p1")));
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt3-p1", Confirmed, 4)]);
    desk.clear(3 * MINUTE, "pon-los", &["olt3-p1"]);
    desk.until(10 * MINUTE);
    let open: Vec<_> = desk.open().iter().map(|i| (i.0, i.2, i.3)).collect();
    assert_eq!(open, [(1, Confirmed, 4)]);
}

#[test]
fn a_dead_switch_is_the_cause_of_its_dead_links() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "link-down", &["s1/s2", "s2/s3", "s2/olt2"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2", Confirmed, 8)]);
}

#[test]
fn a_port_that_says_that_it_is_down_is_broken_and_no_cable_is_cut() {
    let kind = |alarm_type: &str| {
        let mut desk = Desk::new();
        desk.raise(SECOND, alarm_type, &["olt2-p1"]);
        desk.raise(2 * SECOND, "onu-los", &refs(&homes("olt2-p1")));
        desk.until(3 * MINUTE);
        assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
        desk.state(1).cause.kind
    };
    assert_eq!(kind("port-down"), CauseKind::Equipment);
    assert_eq!(kind("pon-los"), CauseKind::FibreCut);
}

#[test]
fn what_only_says_itself_that_it_failed_has_that_as_its_reason() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "link-down", &["s1/oltd"]);
    desk.until(3 * MINUTE);
    assert_eq!(
        desk.state(1).cause.reasoning,
        "1 alarm at link s1/oltd itself."
    );
}

#[test]
fn the_reason_of_a_cause_that_an_operator_named_says_what_the_alarms_speak_for() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(3 * MINUTE);
    desk.act(
        1,
        OperatorAction::SetCause {
            resources: vec!["olt2".to_owned()],
            kind: CauseKind::Equipment,
            text: String::new(),
        },
    );
    desk.until(4 * MINUTE);
    let incident = desk.state(1);
    assert_eq!(incident.cause.resources, ["olt2"]);
    assert!(
        incident
            .cause
            .reasoning
            .starts_with("Set by an operator. The alarms speak for this: PON port olt2-p1"),
        "{}",
        incident.cause.reasoning
    );
}
