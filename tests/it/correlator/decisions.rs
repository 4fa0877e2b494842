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
