//! Incidents that operators ended hold back what was active then, and no more; and what cannot be said of
//! those that were declared.

use super::*;

fn reject() -> OperatorAction {
    let reason = "poller at fault".to_owned();
    OperatorAction::Reject { reason }
}

fn resolve() -> OperatorAction {
    let reason = "checked with the field".to_owned();
    OperatorAction::Resolve { reason }
}

/// One alarm of the port below, of which an operator says that it is about nothing.
fn ended_with_one_alarm(alarmed: &str, action: OperatorAction) -> Desk {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &[alarmed]);
    desk.until(2 * MINUTE);
    desk.act(1, action);
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), []);
    desk
}

#[test]
fn one_alarm_that_stayed_hides_no_later_outage() {
    // What was resolved a short time ago reopens.
    for (action, no) in [(reject(), 2), (resolve(), 1)] {
        let mut desk = ended_with_one_alarm("olt2", action);
        desk.raise(31 * MINUTE, "pon-los", &["olt2-p1", "olt2-p2"]);
        desk.raise(31 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
        desk.until(40 * MINUTE);
        assert_eq!(desk.open(), [one(no, "olt2", Confirmed, 8)]);
    }
}

#[test]
fn the_same_alarm_raised_anew_among_old_homes_is_an_outage() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(2 * MINUTE);
    assert_eq!(desk.open().len(), 1);
    desk.act(1, reject());
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    desk.raise(11 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    assert_eq!(desk.open(), [one(2, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn one_more_dark_home_beside_the_old_alarms_is_held_back() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")[..3]));
    desk.until(2 * MINUTE);
    assert_eq!(desk.open().len(), 1);
    desk.act(1, reject());
    desk.raise(10 * MINUTE, "onu-los", &refs(&homes("olt2-p1")[3..]));
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), []);
    let mut desk = ended_with_one_alarm("olt2-p1", reject());
    desk.raise(31 * MINUTE, "onu-los", &refs(&homes("olt2-p1")[..1]));
    desk.until(50 * MINUTE);
    assert_eq!(desk.open(), []);
}

#[test]
fn what_was_opened_above_a_small_incident_and_resolved_hides_no_later_outage() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(2 * MINUTE);
    desk.declare(3 * MINUTE, plain(fault(1, 3 * MINUTE, &["olt2"])));
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    desk.act(1, resolve());
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), [], "the alarm that stayed is held back");
    desk.raise(31 * MINUTE, "unreachable", &["olt2"]);
    desk.raise(31 * MINUTE, "onu-los", &refs(&homes("olt2-p2")));
    desk.until(40 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)], "it reopens");
    assert_eq!(desk.state(1).reopened, 1);
}

#[test]
fn an_incident_that_names_some_of_its_alarms_holds_all_of_them_back() {
    let mut network = metro();
    let kept = forewarn::incident::EVIDENCE_KEPT;
    for home in 0..kept + 200 {
        let ont = format!("olt2-p1-x{home:04}");
        element(&mut network.0, &ont, ElementKind::Ont);
        link(&mut network.0, "olt2-p1-sp", &ont);
        network.1.push(Attachment {
            account: format!("acc-{ont}"),
            served_by: vec![ont],
            redundancy: Redundancy::Any,
        });
    }
    let network = Arc::new(Network::build(&network.0, &network.1).unwrap());
    let mut desk = Desk::with(settings(), network);
    let ids: Vec<String> = (0..kept + 200)
        .map(|home| format!("olt2-p1-x{home:04}"))
        .collect();
    desk.raise(SECOND, "onu-los", &refs(&ids[..500]));
    desk.raise(20 * SECOND, "onu-los", &refs(&ids[500..kept]));
    desk.raise(40 * SECOND, "onu-los", &refs(&ids[kept..]));
    desk.until(5 * MINUTE);
    assert_eq!(desk.open().len(), 1);
    desk.act(1, reject());
    let held = desk.state(1).life.held_back.unwrap();
    assert_eq!(held.newest_raise_ms, 40 * SECOND);
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), []);
}

#[test]
fn the_parts_of_what_was_declared_are_named_by_another_declaration() {
    let mut desk = Desk::new();
    let parts = ["olt2-p1", "olt3-p1"];
    desk.declare(MINUTE, plain(fault(1, MINUTE, &parts)));
    let resources = vec!["olt2".to_owned()];
    let renamed = OperatorAction::SetCause {
        kind: CauseKind::Power,
        text: String::new(),
        resources: resources.clone(),
    };
    let split = OperatorAction::Split {
        resources: vec!["olt2-p1".to_owned()],
        reason: String::new(),
    };
    for action in [renamed.clone(), split] {
        assert_eq!(
            desk.try_to(1, action).unwrap_err().to_string(),
            "FAULT-1 names the parts of INC-1: resolve it, and open another one for those that \
             failed"
        );
    }
    desk.act(1, resolve());
    desk.declare(2 * MINUTE, plain(fault(2, MINUTE, &["olt2"])));
    assert_eq!(desk.open(), [one(2, "olt2", Confirmed, 8)]);
    let mut desk = Desk::new();
    let area = dark_area(&built(), area_statement(1, MINUTE), &some_homes());
    desk.declare(MINUTE, area);
    assert_eq!(
        desk.try_to(1, renamed).unwrap_err().to_string(),
        "AREA-7 says whom INC-1 affects: change or end the area instead"
    );
}

#[test]
fn whom_an_area_no_longer_holds_on_a_new_network_never_was_without_service() {
    let mut desk = Desk::new();
    let inside = some_homes();
    let area =
        |homes: &[String], network: &Network| dark_area(network, area_statement(1, MINUTE), homes);
    desk.declare(MINUTE, area(&inside, &built()));
    let network = built();
    desk.correlator
        .replace_network(Arc::clone(&network), desk.now_ms);
    desk.correlator.declare(area(&inside[1..], &network));
    desk.settle();
    let change = desk.changes.last().unwrap();
    assert_eq!(change.never_lost, subscribers(&network, &inside[..1]));
    // An end at the same time says nothing of who was inside.
    desk.correlator
        .replace_network(Arc::clone(&network), desk.now_ms);
    let ended = ended(area_statement(1, MINUTE), desk.now_ms);
    desk.correlator
        .declare(dark_area(&network, ended, &inside[2..]));
    desk.settle();
    assert_eq!(desk.changes.last().unwrap().never_lost.len(), 0);
}

/// The operator denied what was declared then; what the area no longer says, alarms may say.
#[test]
fn alarms_that_a_rejected_area_explained_speak_for_themselves_when_it_gets_another_scope() {
    let mut desk = Desk::new();
    let network = built();
    let inside = homes("olt2-p1");
    let area = dark_area(&network, area_statement(1, MINUTE), &inside);
    desk.declare(MINUTE, area);
    desk.raise(2 * MINUTE, "onu-los", &refs(&inside[..3]));
    desk.act(1, reject());
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    let elsewhere = homes("olt3-p1");
    let area = dark_area(&network, area_statement(2, MINUTE), &elsewhere);
    desk.declare(10 * MINUTE, area);
    desk.until(20 * MINUTE);
    let open = desk.open();
    assert!(open.contains(&one(2, "olt2-p1", Confirmed, 4)), "{open:?}");
    assert_eq!(open.len(), 2, "{open:?}");
}

/// A fault for an area names no resources; it ends with its incident, and so do its alarms.
#[test]
fn what_was_opened_for_an_area_and_ended_holds_back_the_alarms_inside() {
    for action in [reject(), resolve()] {
        let mut desk = Desk::new();
        let network = built();
        let inside = homes("olt2-p1");
        let opened = dark_area(&network, fault(1, MINUTE, &[]), &inside);
        desk.declare(MINUTE, opened);
        desk.raise(2 * MINUTE, "onu-los", &refs(&inside[..3]));
        assert_eq!(desk.open(), [one(1, "", Confirmed, 4)]);
        desk.act(1, action);
        desk.until(20 * MINUTE);
        assert_eq!(desk.open(), []);
    }
}
