//! What operators decide, and what holds of it afterwards.

use super::*;

#[test]
fn a_rejected_cause_stays_quiet_until_it_is_raised_anew() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(2 * MINUTE);
    desk.act(
        1,
        OperatorAction::Reject {
            reason: "works at the lab".to_owned(),
        },
    );
    assert_eq!(desk.state(1).state, Rejected);
    assert_eq!(desk.changes.last().unwrap().previously_lost.len(), 4);
    desk.raise(3 * MINUTE, "onu-los", &["olt2-p1-h1"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    desk.raise(11 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(13 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(2, "olt2", Confirmed, 8)],
        "more than was rejected"
    );
    desk.clear(14 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.clear(14 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    desk.raise(60 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(62 * MINUTE);
    assert_eq!(desk.open(), [one(3, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn an_operator_confirms_names_and_resolves() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(10 * SECOND);
    desk.act(
        1,
        OperatorAction::Confirm {
            note: "seen on site".to_owned(),
        },
    );
    desk.act(
        1,
        OperatorAction::SetCause {
            kind: CauseKind::Power,
            text: "street without power".to_owned(),
            resources: Vec::new(),
        },
    );
    desk.raise(20 * SECOND, "heartbeat-loss", &["olt2"]);
    desk.until(30 * SECOND);
    let incident = desk.state(1);
    assert_eq!(incident.state, Confirmed);
    assert_eq!(incident.cause.resources, ["olt2"]);
    assert_eq!(
        (incident.cause.kind, incident.cause.text.as_str()),
        (CauseKind::Power, "street without power")
    );
    desk.act(
        1,
        OperatorAction::Resolve {
            reason: "back".to_owned(),
        },
    );
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    let command = OperatorCommand {
        incident: IncidentNo(1),
        by: "noc".to_owned(),
        action: OperatorAction::Confirm {
            note: String::new(),
        },
    };
    assert!(desk.correlator.command(&command, desk.now_ms).is_err());
}

#[test]
fn the_timeline_tells_the_range_of_an_estimate() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(2 * MINUTE);
    let estimate = forewarn::incident::Estimate {
        from_ms: 90 * MINUTE,
        to_ms: 25 * 60 * MINUTE,
    };
    for (estimate, reason) in [
        (
            Some(estimate),
            "between 1970-01-01 01:30 UTC and 1970-01-02 01:00 UTC",
        ),
        (None, "withdrawn"),
    ] {
        desk.act(1, OperatorAction::SetEstimate(estimate));
        let line = desk.changes.last().unwrap().timeline.last().unwrap();
        assert_eq!(
            (line.what, line.reason.as_str()),
            (Told::EstimateSet, reason)
        );
    }
}

fn merge(into: i64) -> OperatorAction {
    OperatorAction::Merge {
        into: IncidentNo(into),
        reason: "one digger".to_owned(),
    }
}

fn split(resources: &[&str]) -> OperatorAction {
    OperatorAction::Split {
        resources: resources.iter().map(|id| (*id).to_owned()).collect(),
        reason: "two diggers".to_owned(),
    }
}

fn cause(kind: CauseKind, text: &str, resources: &[&str]) -> OperatorAction {
    OperatorAction::SetCause {
        kind,
        text: text.to_owned(),
        resources: resources.iter().map(|id| (*id).to_owned()).collect(),
    }
}

fn withdraw() -> OperatorAction {
    OperatorAction::WithdrawCause {
        reason: "measured".to_owned(),
    }
}

/// The metro with a third port at `olt2`, on which the two others fail at once: one failure.
fn two_ports_at_once() -> Desk {
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
    let mut desk = Desk::with(settings(), network);
    desk.raise(SECOND, "pon-los", &["olt2-p1", "olt2-p2"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1+olt2-p2", Confirmed, 8)]);
    desk
}

#[test]
fn what_an_operator_merges_stays_together_until_it_ends() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1", "olt3-p1"]);
    desk.until(2 * MINUTE);
    desk.act(2, merge(1));
    let both = [one(1, "olt2-p1+olt3-p1", Confirmed, 8)];
    assert_eq!(desk.open(), both);
    assert_eq!(desk.state(2).state, Restored);
    assert_eq!(desk.state(2).merged_into, Some(IncidentNo(1)));
    for no in [1, 2] {
        let of_it = desk.changes.iter().filter(|c| c.incident.no.0 == no);
        let told = of_it.flat_map(|c| &c.timeline).next_back().unwrap();
        assert_eq!((told.what, told.by.as_str()), (Told::Merged, "noc"));
        assert!(told.reason.ends_with(": one digger"), "{}", told.reason);
    }
    desk.until(120 * MINUTE);
    assert_eq!(desk.open(), both, "by itself nothing pulls them apart");
    desk.clear(121 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(125 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt3-p1", Confirmed, 4)]);
    desk.raise(126 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(130 * MINUTE);
    assert_eq!(desk.open(), both, "it recurred");
    desk.raise(131 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(140 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2+olt3-p1", Confirmed, 12)]);
    desk.clear(141 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.clear(141 * MINUTE, "pon-los", &["olt2-p1", "olt3-p1"]);
    desk.until(150 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(desk.history(1).last(), Some(&TimelineKind::Restored));
    desk.raise(151 * MINUTE, "pon-los", &["olt2-p1", "olt3-p1"]);
    desk.until(155 * MINUTE);
    assert_eq!(desk.open(), both, "it reopens as one");
}

#[test]
fn a_merger_that_cannot_be_is_refused() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1", "olt3-p1"]);
    desk.until(2 * MINUTE);
    let refused = desk.try_to(1, merge(1)).unwrap_err();
    assert_eq!(refused, CommandError::SameIncident(IncidentNo(1)));
    let refused = desk.try_to(1, merge(7)).unwrap_err();
    assert_eq!(refused, CommandError::NoSurvivor(IncidentNo(7)));
    let refused = desk.try_to(7, merge(1)).unwrap_err();
    assert_eq!(refused, CommandError::NoSuchIncident(IncidentNo(7)));
    desk.clear(3 * MINUTE, "pon-los", &["olt3-p1"]);
    desk.until(5 * MINUTE);
    let refused = desk.try_to(1, merge(2)).unwrap_err();
    let (incident, state) = (IncidentNo(2), Restored);
    assert_eq!(refused, CommandError::SurvivorClosed { incident, state });
    let refused = desk.try_to(2, merge(1)).unwrap_err();
    assert_eq!(refused, CommandError::WrongState { incident, state });
}

#[test]
fn what_an_operator_splits_is_not_merged_back() {
    let mut desk = two_ports_at_once();
    assert_eq!(desk.try_to(1, split(&["olt2-p2"])).unwrap(), IncidentNo(2));
    desk.settle();
    let apart = [
        one(1, "olt2-p1", Confirmed, 4),
        one(2, "olt2-p2", Confirmed, 4),
    ];
    assert_eq!(desk.open(), apart);
    assert_eq!(desk.state(2).split_from, Some(IncidentNo(1)));
    assert_eq!(desk.state(2).onset_ms, SECOND);
    assert_eq!(desk.history(1).last(), Some(&TimelineKind::Split));
    assert_eq!(desk.history(2), [TimelineKind::Split]);
    desk.until(60 * MINUTE);
    assert_eq!(desk.open(), apart);
    desk.clear(61 * MINUTE, "pon-los", &["olt2-p2"]);
    desk.until(65 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    desk.raise(66 * MINUTE, "pon-los", &["olt2-p2"]);
    desk.until(70 * MINUTE);
    assert_eq!(desk.open(), apart, "it reopens apart");
    desk.raise(71 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(75 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(1, "olt2", Confirmed, 12)],
        "one cause for both"
    );
    desk.clear(76 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(85 * MINUTE);
    let open: Vec<String> = desk.open().into_iter().map(|i| i.1).collect();
    assert_eq!(open, ["olt2-p1", "olt2-p2"], "and without it two again");
}

#[test]
fn what_was_split_off_and_rejected_does_not_come_back_with_the_rest() {
    let mut desk = two_ports_at_once();
    desk.act(1, split(&["olt2-p2"]));
    let reason = "a test".to_owned();
    desk.act(2, OperatorAction::Reject { reason });
    desk.until(60 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn a_split_that_cannot_be_is_refused() {
    let mut desk = two_ports_at_once();
    let refused = desk.try_to(1, split(&["olt2-p1", "olt2-p2"])).unwrap_err();
    assert_eq!(refused, CommandError::NothingLeft(IncidentNo(1)));
    let refused = desk.try_to(1, split(&["olt3"])).unwrap_err();
    assert!(
        matches!(refused, CommandError::NotItsResource { .. }),
        "{refused:?}"
    );
    let mut desk = Desk::new();
    let ring = ["s1", "s2", "s3", "s4", "olt2", "olt3", "oltd"];
    desk.raise(SECOND, "unreachable", &ring);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1+s4", Confirmed, 24)]);
    let refused = desk.try_to(1, split(&["s1"])).unwrap_err();
    let (incident, subscribers) = (IncidentNo(1), "24".to_owned());
    let together = CommandError::OnlyTogether {
        incident,
        subscribers,
    };
    assert_eq!(refused, together);
}

#[test]
fn a_cause_named_by_an_operator_decides_who_is_affected_until_it_is_withdrawn() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "heartbeat-loss", &["olt2"]);
    desk.until(2 * MINUTE);
    desk.act(1, cause(CauseKind::FibreCut, "digger", &["olt2-p1"]));
    let named = [one(1, "olt2-p1", Confirmed, 4)];
    assert_eq!(desk.open(), named);
    let change = desk.changes.last().unwrap();
    assert_eq!(
        (change.previously_lost.len(), change.never_lost.len()),
        (8, 4)
    );
    desk.until(60 * MINUTE);
    desk.raise(60 * MINUTE, "onu-los", &refs(&homes("olt2-p2")));
    desk.until(70 * MINUTE);
    assert_eq!(desk.open(), named, "that is within what was judged");
    let ring = ["s1/s2", "s3/s4"];
    desk.raise(71 * MINUTE, "link-down", &ring);
    desk.until(75 * MINUTE);
    let grown = desk.state(1).cause;
    assert_eq!(grown.resources, ["olt2-p1", "s1/s2", "s3/s4"]);
    assert_eq!(desk.open().len(), 1, "{:?}", desk.open());
    assert_eq!(
        (grown.kind, grown.text.as_str()),
        (CauseKind::FibreCut, "digger")
    );
    assert_eq!(desk.state(1).affected, 16);
    desk.clear(76 * MINUTE, "link-down", &ring);
    desk.until(80 * MINUTE);
    assert_eq!(desk.open(), named);
    assert_eq!(
        desk.changes.last().unwrap().never_lost.len(),
        0,
        "it was so"
    );
    desk.act(1, withdraw());
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert!(!desk.state(1).cause.set_by_operator);
    assert_eq!(desk.state(1).cause.kind, CauseKind::Equipment);
    let refused = desk.try_to(1, withdraw()).unwrap_err();
    assert_eq!(refused, CommandError::CauseNotSet(IncidentNo(1)));
    let refused = desk
        .try_to(1, cause(CauseKind::Power, "", &["olt9"]))
        .unwrap_err();
    assert_eq!(refused, CommandError::UnknownResource("olt9".to_owned()));
}

#[test]
fn a_named_cause_takes_in_the_incidents_behind_it_and_ends_with_their_alarms() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(2 * MINUTE);
    desk.raise(2 * MINUTE, "link-down", &["olt2-p2/olt2-p2-sp"]);
    desk.until(5 * MINUTE);
    let before = desk.open().len();
    desk.act(1, cause(CauseKind::Power, "", &["s2"]));
    assert_eq!(
        desk.open(),
        [one(1, "s2", Confirmed, 8)],
        "before: {before}"
    );
    assert_eq!(
        desk.state(1).cause.text,
        "Switch s2 has no power; 8 subscribers behind it"
    );
    assert!(desk.changes.last().unwrap().never_lost.is_empty());
    desk.clear(6 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.clear(6 * MINUTE, "link-down", &["olt2-p2/olt2-p2-sp"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(desk.state(1).state, Restored);
}
