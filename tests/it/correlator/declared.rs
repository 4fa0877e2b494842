//! What people declare beside the alarms: areas, faults opened by hand, planned work.

mod ended;
mod streams;
mod work;

use super::*;
use forewarn::geography::{Affects, AreaImpact, AreaNo, Inside, PowerFailure};
use forewarn::incident::{
    Declaration, DeclarationEnd, DeclarationId, DeclarationRef, Estimate, Statement, joined_later,
};
use forewarn::topology::SubscriberNo;

/// Something declared at an instant; no area and no resources yet.
pub(super) fn statement(id: DeclarationId, revision: u32, since_ms: i64) -> Statement {
    Statement {
        reference: DeclarationRef { id, revision },
        resources: Vec::new(),
        area: None,
        kind: CauseKind::Unknown,
        text: String::new(),
        since_ms,
        until_ms: None,
        estimate: None,
        declared_at_ms: since_ms,
        declared_by: "noc-1".to_owned(),
        end: None,
    }
}

fn area_statement(revision: u32, since_ms: i64) -> Statement {
    let mut statement = statement(DeclarationId::Area(AreaNo(7)), revision, since_ms);
    statement.area = Some(AreaNo(7));
    "Lower town".clone_into(&mut statement.text);
    statement
}

fn subscribers(network: &Network, homes: &[String]) -> SubscriberSet {
    let wanted: BTreeSet<String> = homes.iter().map(|home| format!("acc-{home}")).collect();
    let numbers = (0..u32::try_from(network.subscriber_count()).unwrap()).map(SubscriberNo);
    let found = numbers.filter(|&s| wanted.contains(network.account(s)));
    let runs = found.map(|s| (network.rank_of(s), network.rank_of(s) + 1));
    SubscriberSet::from_runs(runs.collect())
}

/// The area holds those homes, and elements with the minutes of their batteries.
fn impact(
    network: &Network,
    affects: Affects,
    since_ms: i64,
    homes: &[String],
    elements: &[(&str, u32)],
) -> AreaImpact {
    let number = |id: &str| match network.part(id) {
        Some(forewarn::topology::Part::Element(element)) => element,
        other => panic!("{id} is {other:?}"),
    };
    let mut failures: Vec<PowerFailure> = elements
        .iter()
        .map(|(id, minutes)| PowerFailure {
            element: number(id),
            battery_minutes: *minutes,
            at_ms: since_ms + i64::from(*minutes) * MINUTE,
        })
        .collect();
    failures.sort_by_key(|failure| (failure.at_ms, failure.element));
    let mut inside: Vec<_> = elements.iter().map(|(id, _)| number(id)).collect();
    inside.sort();
    AreaImpact {
        affects,
        onset_ms: since_ms,
        inside: Inside {
            subscribers: subscribers(network, homes),
            premises: homes.len(),
            elements: inside,
            warnings: Vec::new(),
        },
        failures,
    }
}

/// Service is lost in those homes.
fn dark_area(network: &Network, statement: Statement, homes: &[String]) -> Declaration {
    let since_ms = statement.since_ms;
    let area = impact(network, Affects::ServiceLostInside, since_ms, homes, &[]);
    Declaration {
        statement: Arc::new(statement),
        area: Some(Arc::new(area)),
    }
}

/// Mains power is lost at those elements.
fn powerless_area(
    network: &Network,
    mut statement: Statement,
    elements: &[(&str, u32)],
) -> Declaration {
    statement.kind = CauseKind::Power;
    let since_ms = statement.since_ms;
    let area = impact(network, Affects::PowerLostInside, since_ms, &[], elements);
    Declaration {
        statement: Arc::new(statement),
        area: Some(Arc::new(area)),
    }
}

fn fault(no: i64, since_ms: i64, resources: &[&str]) -> Statement {
    Statement {
        resources: resources.iter().map(|id| (*id).to_owned()).collect(),
        kind: CauseKind::Equipment,
        ..statement(DeclarationId::Fault(no), 1, since_ms)
    }
}

fn ended(mut statement: Statement, at_ms: i64) -> Statement {
    statement.reference.revision += 1;
    statement.end = Some(DeclarationEnd {
        at_ms,
        by: "noc-2".to_owned(),
        reason: String::new(),
    });
    statement
}

pub(super) fn plain(statement: Statement) -> Declaration {
    Declaration {
        statement: Arc::new(statement),
        area: None,
    }
}

impl Desk {
    pub(super) fn declare(&mut self, at_ms: i64, declaration: Declaration) {
        self.until(at_ms);
        self.correlator.declare(declaration);
        self.settle();
    }

    fn lost(&self, no: i64) -> BTreeSet<String> {
        let network = self.correlator.network();
        let mut live = self.correlator.live();
        let live = live.find(|live| live.incident.no.0 == no).unwrap();
        let people = network.subscribers(live.lost);
        people.map(|s| network.account(s).to_owned()).collect()
    }
}

fn accounts(homes: &[String]) -> BTreeSet<String> {
    homes.iter().map(|home| format!("acc-{home}")).collect()
}

/// Homes of two ports, four in all: no part of the network serves just those.
fn some_homes() -> Vec<String> {
    [&homes("olt2-p1")[..3], &homes("olt3-p2")[..1]].concat()
}

#[test]
fn an_area_without_service_is_an_incident_of_those_inside() {
    let mut desk = Desk::new();
    let network = built();
    let inside = some_homes();
    desk.declare(
        10 * MINUTE,
        dark_area(&network, area_statement(1, 5 * MINUTE), &inside),
    );
    assert_eq!(desk.open(), [one(1, "", Confirmed, 4)]);
    assert_eq!(desk.lost(1), accounts(&inside));
    let incident = desk.state(1);
    assert_eq!(incident.onset_ms, 5 * MINUTE);
    assert_eq!(incident.confirmed_ms, Some(10 * MINUTE));
    assert_eq!(
        incident.cause.text,
        "Service is lost inside AREA-7 (Lower town); 4 subscribers"
    );
    assert_eq!(desk.history(1), [Told::Detected, Told::Confirmed]);
    let confirmed = desk.changes[0].timeline[1].clone();
    assert_eq!(confirmed.reason, "AREA-7 (Lower town) was declared");
    assert_eq!(confirmed.by, "noc-1");
    let end = ended(area_statement(1, 5 * MINUTE), 60 * MINUTE);
    desk.declare(61 * MINUTE, dark_area(&network, end, &inside));
    assert_eq!(desk.open(), [one(1, "", Confirmed, 4)], "not yet believed");
    desk.until(62 * MINUTE);
    let incident = desk.state(1);
    assert_eq!(
        (incident.state, incident.restored_ms),
        (Restored, Some(60 * MINUTE))
    );
    let last = desk.changes.last().unwrap();
    assert_eq!((last.lost.len(), last.previously_lost.len()), (0, 4));
    assert_eq!(
        last.timeline.last().unwrap().reason,
        "AREA-7 takes no service away any more, and no alarm is left"
    );
}

#[test]
fn an_area_begins_and_expires_by_itself() {
    let mut desk = Desk::new();
    let mut later = area_statement(1, 30 * MINUTE);
    later.declared_at_ms = MINUTE;
    later.until_ms = Some(50 * MINUTE);
    desk.declare(MINUTE, dark_area(&built(), later, &some_homes()));
    desk.until(30 * MINUTE - 1);
    assert_eq!(desk.open(), []);
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), [one(1, "", Confirmed, 4)]);
    desk.until(55 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(desk.state(1).restored_ms, Some(50 * MINUTE));
}

#[test]
fn batteries_take_more_and_more_away() {
    let mut desk = Desk::new();
    let elements = [("olt2-p1", 30), ("s1", 60), ("olt3", 90), ("s4", 120)];
    let area = powerless_area(&built(), area_statement(1, 0), &elements);
    desk.declare(MINUTE, area);
    desk.until(30 * MINUTE - 1);
    assert_eq!(desk.open(), [], "the batteries hold");
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert_eq!(desk.state(1).cause.kind, CauseKind::Power);
    desk.until(60 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(1, "olt2-p1+s1", Confirmed, 4)],
        "s1 has another way"
    );
    assert_eq!(
        desk.state(1).at_risk,
        desk.correlator.live().next().unwrap().at_risk.len() as u64
    );
    desk.until(90 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1+olt3+s1", Confirmed, 12)]);
    desk.until(120 * MINUTE);
    let network = built();
    let failed = ["olt2-p1", "olt3", "s1", "s4"].map(|id| network.part(id).unwrap());
    let lost = network.lost(&failed).len() as u64;
    assert_eq!(desk.open(), [one(1, "olt2-p1+olt3+s1+s4", Confirmed, lost)]);
    assert_eq!(lost, 24, "both ways into the ring are gone");
    let grown = desk
        .history(1)
        .iter()
        .filter(|what| **what == Told::Grew)
        .count();
    assert_eq!(grown, 2);
    let joined = joined_later(&desk.state(1), &network);
    let joined: Vec<(i64, usize)> = joined.iter().map(|(at, who)| (*at, who.len())).collect();
    assert_eq!(
        joined,
        [(30 * MINUTE, 4), (90 * MINUTE, 8), (120 * MINUTE, 12)],
        "each has had service until then"
    );
}

#[test]
fn alarms_that_the_area_explains_make_no_second_incident() {
    let mut desk = Desk::new();
    let area = powerless_area(&built(), area_statement(1, 0), &[("olt2", 10)]);
    desk.declare(MINUTE, area);
    desk.raise(11 * MINUTE, "unreachable", &["olt2"]);
    desk.raise(11 * MINUTE, "link-down", &["s2/olt2"]);
    desk.raise(12 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(20 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(desk.state(1).evidence_count, 6);
    // What lies outside is another matter.
    desk.raise(21 * MINUTE, "pon-los", &["olt3-p1"]);
    desk.until(25 * MINUTE);
    assert_eq!(
        desk.open(),
        [
            one(1, "olt2", Confirmed, 8),
            one(2, "olt3-p1", Confirmed, 4)
        ]
    );
    // More than the area took: a switch above it.
    desk.raise(26 * MINUTE, "unreachable", &["s2", "s3"]);
    desk.until(30 * MINUTE);
    let open = desk.open();
    assert_eq!(open[0], one(1, "olt2", Confirmed, 8), "{open:?}");
    assert!(open[1..].iter().any(|i| i.1.contains("s2")), "{open:?}");
}

#[test]
fn homes_inside_back_the_area_and_a_port_beyond_it_does_not() {
    let mut desk = Desk::new();
    let inside = homes("olt2-p1");
    let area = dark_area(&built(), area_statement(1, MINUTE), &inside);
    desk.declare(MINUTE, area);
    desk.raise(2 * MINUTE, "onu-los", &refs(&inside));
    desk.raise(2 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "", Confirmed, 4)]);
    assert_eq!(desk.state(1).evidence_count, 5);
    desk.raise(11 * MINUTE, "unreachable", &["olt2"]);
    desk.until(15 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(1, "", Confirmed, 4), one(2, "olt2", Confirmed, 8)]
    );
}

#[test]
fn an_area_that_holds_nobody_hides_no_alarm() {
    let mut desk = Desk::new();
    desk.declare(MINUTE, dark_area(&built(), area_statement(1, MINUTE), &[]));
    desk.raise(2 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert_eq!(desk.state(1).declared, []);
}

#[test]
fn an_incident_of_alarms_goes_on_in_the_area_and_outlasts_it() {
    let mut desk = Desk::new();
    let network = built();
    desk.raise(SECOND, "unreachable", &["olt2"]);
    desk.raise(SECOND, "unreachable", &["olt3-p1"]);
    desk.until(10 * SECOND);
    assert_eq!(
        desk.open(),
        [
            one(1, "olt2", Suspected, 8),
            one(2, "olt3-p1", Suspected, 4)
        ]
    );
    let elements = [("olt2", 0), ("olt3", 0)];
    let area = powerless_area(&network, area_statement(1, SECOND), &elements);
    desk.declare(20 * SECOND, area);
    assert_eq!(desk.open(), [one(1, "olt2+olt3", Confirmed, 16)]);
    assert_eq!(desk.state(2).merged_into, Some(IncidentNo(1)));
    desk.clear(5 * MINUTE, "unreachable", &["olt3-p1"]);
    let end = ended(area_statement(1, SECOND), 10 * MINUTE);
    desk.declare(10 * MINUTE, powerless_area(&network, end, &elements));
    desk.until(20 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(1, "olt2", Confirmed, 8)],
        "an alarm still says so"
    );
    assert_eq!(desk.state(1).declared, []);
    desk.clear(21 * MINUTE, "unreachable", &["olt2"]);
    desk.until(25 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(desk.state(1).restored_ms, Some(21 * MINUTE));
}

#[test]
fn a_dark_area_that_ends_leaves_what_alarms_say() {
    let mut desk = Desk::new();
    let network = built();
    let inside = [homes("olt2-p1"), homes("olt3-p1")].concat();
    desk.declare(
        MINUTE,
        dark_area(&network, area_statement(1, MINUTE), &inside),
    );
    desk.raise(2 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    let end = ended(area_statement(1, MINUTE), 10 * MINUTE);
    desk.declare(10 * MINUTE, dark_area(&network, end, &inside));
    desk.until(20 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn what_is_merged_with_an_area_loses_its_people_when_it_ends() {
    let network = built();
    let inside = homes("olt3-p1");
    for (no, into) in [(1, 2), (2, 1)] {
        let mut desk = Desk::new();
        desk.raise(SECOND, "pon-los", &["olt2-p1"]);
        desk.until(5 * MINUTE);
        let area = dark_area(&network, area_statement(1, 5 * MINUTE), &inside);
        desk.declare(5 * MINUTE, area);
        let reason = "one flood".to_owned();
        let into = IncidentNo(into);
        desk.act(no, OperatorAction::Merge { into, reason });
        assert_eq!(desk.open(), [one(into.0, "olt2-p1", Confirmed, 8)]);
        assert_eq!(
            desk.state(into.0).cause.text,
            "Service is lost inside AREA-7 (Lower town); 1 element has failed, 8 subscribers"
        );
        let end = ended(area_statement(1, 5 * MINUTE), 10 * MINUTE);
        desk.declare(10 * MINUTE, dark_area(&network, end, &inside));
        desk.until(20 * MINUTE);
        assert_eq!(desk.open(), [one(into.0, "olt2-p1", Confirmed, 4)]);
        assert_eq!(desk.lost(into.0), accounts(&homes("olt2-p1")));
        assert!(desk.history(into.0).contains(&Told::Shrank));
        assert_eq!(desk.state(into.0).declared, []);
        let never_lost = desk.changes.iter().map(|change| change.never_lost.len());
        assert_eq!(never_lost.sum::<usize>(), 0, "they had no service");
        desk.clear(30 * MINUTE, "pon-los", &["olt2-p1"]);
        desk.until(40 * MINUTE);
        assert_eq!(desk.open(), []);
    }
}

#[test]
fn another_shape_moves_who_is_affected() {
    let mut desk = Desk::new();
    let network = built();
    let before = homes("olt2-p1");
    let after = [&homes("olt2-p1")[..1], &homes("olt3-p2")[..]].concat();
    desk.declare(
        MINUTE,
        dark_area(&network, area_statement(1, MINUTE), &before),
    );
    desk.declare(
        5 * MINUTE,
        dark_area(&network, area_statement(2, MINUTE), &after),
    );
    assert_eq!(desk.open(), [one(1, "", Confirmed, 5)]);
    assert_eq!(desk.lost(1), accounts(&after));
    let change = desk.changes.last().unwrap();
    assert_eq!(change.previously_lost, subscribers(&network, &before));
    assert_eq!(desk.history(1).last(), Some(&Told::Grew));
    desk.declare(
        9 * MINUTE,
        dark_area(&network, area_statement(3, MINUTE), &[]),
    );
    desk.until(20 * MINUTE);
    assert_eq!(desk.open(), [], "it holds nobody any more");
}

#[test]
fn a_new_network_moves_who_is_inside() {
    let mut desk = Desk::new();
    let inside = some_homes();
    desk.declare(
        MINUTE,
        dark_area(&built(), area_statement(1, MINUTE), &inside),
    );
    let (definition, mut people) = metro();
    people.reverse();
    let network = Arc::new(Network::build(&definition, &people).unwrap());
    desk.until(5 * MINUTE);
    desk.correlator
        .replace_network(Arc::clone(&network), desk.now_ms);
    // One of them has moved away, another one in.
    let moved = [&inside[1..], &homes("oltd-p1")[..1]].concat();
    desk.correlator
        .declare(dark_area(&network, area_statement(1, MINUTE), &moved));
    desk.settle();
    assert_eq!(desk.open(), [one(1, "", Confirmed, 4)]);
    assert_eq!(desk.lost(1), accounts(&moved));
    let change = desk.changes.last().unwrap();
    assert_eq!(change.previously_lost, subscribers(&network, &inside));
    assert_eq!(desk.history(1).last(), Some(&Told::TopologyChanged));
}

#[test]
fn a_rejected_area_opens_nothing_until_it_is_declared_otherwise() {
    let mut desk = Desk::new();
    let network = built();
    let inside = homes("olt2-p1");
    desk.declare(
        MINUTE,
        dark_area(&network, area_statement(1, MINUTE), &inside),
    );
    let reason = "the wrong town".to_owned();
    desk.act(1, OperatorAction::Reject { reason });
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    // It explains nothing any more.
    desk.raise(11 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    assert_eq!(desk.open(), [one(2, "olt2-p1", Confirmed, 4)]);
    desk.declare(
        30 * MINUTE,
        dark_area(&network, area_statement(2, MINUTE), &some_homes()),
    );
    assert_eq!(
        desk.open(),
        [one(2, "olt2-p1", Confirmed, 4), one(3, "", Confirmed, 4)]
    );
}

#[test]
fn a_fault_opened_by_hand_is_believed_and_takes_its_alarms_in() {
    let mut desk = Desk::new();
    let estimate = Estimate {
        from_ms: 3 * 60 * MINUTE,
        to_ms: 4 * 60 * MINUTE,
    };
    let by_hand = Statement {
        text: "the exchange burns".to_owned(),
        estimate: Some(estimate),
        ..fault(1, 5 * MINUTE, &["olt2"])
    };
    desk.declare(10 * MINUTE, plain(by_hand));
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    let incident = desk.state(1);
    assert_eq!(incident.onset_ms, 5 * MINUTE);
    assert_eq!(incident.estimate, Some(estimate));
    assert_eq!(incident.cause.text, "the exchange burns");
    assert_eq!(incident.cause.kind, CauseKind::Equipment);
    assert!(incident.cause.set_by_operator);
    desk.raise(11 * MINUTE, "onu-los", &refs(&homes("olt2-p2")));
    desk.raise(11 * MINUTE, "device-down", &["olt2"]);
    desk.until(15 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(desk.state(1).evidence_count, 5);
    desk.clear(20 * MINUTE, "device-down", &["olt2"]);
    desk.clear(20 * MINUTE, "onu-los", &refs(&homes("olt2-p2")));
    desk.until(60 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(1, "olt2", Confirmed, 8)],
        "it lives until an operator ends it"
    );
    let reason = "rebuilt".to_owned();
    desk.act(1, OperatorAction::Resolve { reason });
    desk.until(90 * MINUTE);
    assert_eq!(desk.open(), []);
    desk.raise(4 * 60 * MINUTE, "device-down", &["olt2"]);
    desk.until(5 * 60 * MINUTE);
    assert_eq!(desk.open(), [one(2, "olt2", Confirmed, 8)]);
}

#[test]
fn a_fault_that_alarms_speak_of_already_joins_their_incident() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "unreachable", &["olt2"]);
    desk.until(10 * SECOND);
    desk.declare(20 * SECOND, plain(fault(1, 20 * SECOND, &["olt2"])));
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(desk.state(1).onset_ms, SECOND);
    desk.until(60 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    let before = desk.changes.len();
    desk.until(120 * MINUTE);
    assert_eq!(desk.changes.len(), before, "nothing moves any more");
}

#[test]
fn a_link_and_a_group_can_be_opened_by_hand() {
    let mut desk = Desk::new();
    desk.declare(MINUTE, plain(fault(1, MINUTE, &["cable3"])));
    assert_eq!(desk.open(), [one(1, "cable3", Confirmed, 8)]);
    desk.declare(2 * MINUTE, plain(fault(2, 2 * MINUTE, &["s2/olt2"])));
    desk.raise(3 * MINUTE, "unreachable", &["olt2"]);
    desk.raise(3 * MINUTE, "onu-los", &refs(&homes("olt3-p1")));
    desk.until(10 * MINUTE);
    assert_eq!(
        desk.open(),
        [
            one(1, "cable3", Confirmed, 8),
            one(2, "s2/olt2", Confirmed, 8)
        ]
    );
    let parts: Vec<String> = vec!["olt2".to_owned()];
    assert_eq!(
        desk.state(2)
            .evidence
            .iter()
            .map(|e| e.key.resource.clone())
            .collect::<Vec<_>>(),
        parts
    );
}

#[test]
fn a_fault_of_what_the_network_no_longer_has_ends() {
    let mut desk = Desk::new();
    desk.declare(MINUTE, plain(fault(1, MINUTE, &["olt2"])));
    let mut gone = metro();
    gone.0.elements.retain(|e| !e.id.starts_with("olt2"));
    gone.0.links.retain(|l| !l.id.contains("olt2"));
    gone.1.retain(|a| !a.served_by[0].starts_with("olt2"));
    let network = Arc::new(Network::build(&gone.0, &gone.1).unwrap());
    desk.correlator.replace_network(network, desk.now_ms);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    let last = desk.changes.last().unwrap().timeline.last().unwrap();
    assert_eq!(last.reason, "its resources are no longer in the network");
}
