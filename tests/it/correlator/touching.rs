//! Two faults in one place that begin and end at different times.

use super::power::{HOMES, homes_of, streets, streets_on_a_duct};
use super::*;

/// Who is without service by a confirmed incident.
fn told(desk: &Desk) -> SubscriberSet {
    let live = desk.correlator.live();
    let confirmed = live.filter(|live| live.incident.state == Confirmed);
    confirmed.fold(SubscriberSet::new(), |all, live| all.union(live.lost))
}

/// The homes of these streets that are not among the people.
fn missing(people: &SubscriberSet, streets: &[usize], desk: &Desk) -> Vec<String> {
    let network = desk.correlator.network();
    let homes = streets.iter().flat_map(|street| homes_of(*street));
    let is_missing = |home: &String| {
        let subscriber = network.subscriber(&format!("acc-{home}")).unwrap();
        !people.contains(network.rank_of(subscriber))
    };
    homes.filter(is_missing).collect()
}

#[test]
fn a_port_that_is_back_in_a_cut_duct_lets_go_of_nobody() {
    let mut desk = Desk::with(settings(), streets_on_a_duct());
    desk.raise(0, "port-down", &["p2"]);
    desk.raise(122 * SECOND, "link-down", &["core/beyond"]);
    desk.raise(125 * SECOND, "pon-los", &["p1", "p3"]);
    desk.until(10 * MINUTE);
    assert_eq!(told(&desk).len(), 3 * HOMES, "{:?}", desk.open());
    // Behind the port it is as dark as before, which the port can say now.
    desk.clear(904 * SECOND, "port-down", &["p2"]);
    desk.raise(905 * SECOND, "pon-los", &["p2"]);
    for second in 905..1_200 {
        desk.until(second * SECOND);
        let missing = missing(&told(&desk), &[1, 2, 3], &desk);
        assert!(
            missing.is_empty(),
            "{second} s: {missing:?} of {:?}",
            desk.open()
        );
    }
}

#[test]
fn a_card_that_is_back_lets_go_of_nobody_who_has_no_power() {
    let mut desk = Desk::with(settings(), streets());
    // Of the streets behind the card nothing is heard when their power fails.
    desk.raise(0, "port-down", &["p1", "p2", "p3", "p4"]);
    desk.until(10 * MINUTE);
    assert_eq!(told(&desk).len(), 4 * HOMES, "{:?}", desk.open());
    desk.clear(11 * MINUTE, "port-down", &["p1", "p2", "p3"]);
    desk.raise(11 * MINUTE + 20 * SECOND, "pon-los", &["p1", "p2"]);
    desk.clear(11 * MINUTE + 20 * SECOND, "port-down", &["p4"]);
    for second in 660..900 {
        desk.until(second * SECOND);
        let missing = missing(&told(&desk), &[1, 2], &desk);
        assert!(
            missing.is_empty(),
            "{second} s: {missing:?} of {:?}",
            desk.open()
        );
    }
    assert_eq!(told(&desk).len(), 2 * HOMES, "{:?}", desk.open());
}

/// A ring whose link on one side of a switch lies in a duct with the feeder of an OLT at that switch.
fn ring_beside_a_feeder() -> Arc<Network> {
    let (mut network, homes) = metro();
    network.groups.push(SharedRiskGroup {
        id: "duct".to_owned(),
        kind: GroupKind::Duct,
        name: String::new(),
        members: vec!["s3/s4".to_owned(), "olt3-p1/olt3-p1-sp".to_owned()],
    });
    Arc::new(Network::build(&network, &homes).unwrap())
}

/// A switch on a ring with three OLTs, two of which have another way, and sixteen ports at the third; one
/// of its links of the ring lies in a duct with four of the feeders.
fn switch_with_olts() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    for id in ["core1", "core2"] {
        element(&mut network, id, ElementKind::Router);
        network.elements.last_mut().unwrap().gateway = true;
    }
    for id in ["a", "s", "b"] {
        element(&mut network, id, ElementKind::Switch);
    }
    for id in ["olt", "x", "y"] {
        element(&mut network, id, ElementKind::Olt);
        network.elements.last_mut().unwrap().redundancy = (id != "olt").then_some(Redundancy::Any);
    }
    let links = [("core1", "a"), ("a", "s"), ("s", "b"), ("b", "core2")];
    let olts = [("s", "olt"), ("s", "x"), ("a", "x"), ("s", "y"), ("b", "y")];
    for (from, to) in links.into_iter().chain(olts) {
        link(&mut network, from, to);
    }
    let mut attached = Vec::new();
    for port in (1..=16).map(|port| format!("p{port}")) {
        let splitter = format!("{port}-sp");
        element(&mut network, &port, ElementKind::PonPort);
        element(&mut network, &splitter, ElementKind::Splitter);
        link(&mut network, "olt", &port);
        link(&mut network, &port, &splitter);
        for home in (1..=20).map(|home| format!("{port}-h{home}")) {
            element(&mut network, &home, ElementKind::Ont);
            link(&mut network, &splitter, &home);
            attached.push(Attachment {
                account: format!("acc-{home}"),
                served_by: vec![home],
                redundancy: Redundancy::Any,
            });
        }
    }
    let feeders = (5..=8).map(|port| format!("p{port}/p{port}-sp"));
    network.groups.push(SharedRiskGroup {
        id: "duct".to_owned(),
        kind: GroupKind::Duct,
        name: String::new(),
        members: feeders.chain(["s/b".to_owned()]).collect(),
    });
    Arc::new(Network::build(&network, &attached).unwrap())
}

#[test]
fn a_switch_that_loses_all_its_links_is_dead_although_a_card_behind_it_failed_before() {
    let mut desk = Desk::with(settings(), switch_with_olts());
    let card: Vec<String> = (1..=8).map(|port| format!("p{port}")).collect();
    desk.raise(0, "port-down", &refs(&card));
    desk.until(3 * MINUTE);
    assert_eq!(told(&desk).len(), 160, "{:?}", desk.open());
    desk.raise(
        191 * SECOND,
        "link-down",
        &["a/s", "s/b", "s/olt", "s/x", "s/y"],
    );
    desk.until(6 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s", Confirmed, 320)]);
}

#[test]
fn a_duct_with_one_link_of_a_switch_is_cut_as_long_as_the_others_are_up() {
    let mut desk = Desk::with(settings(), ring_beside_a_feeder());
    desk.raise(0, "pon-los", &["olt3-p1"]);
    desk.raise(SECOND, "link-down", &["s3/s4"]);
    desk.until(6 * MINUTE);
    assert_eq!(desk.open(), [one(1, "duct", Confirmed, 4)]);
}

#[test]
fn a_street_that_is_back_is_let_go_when_it_has_been_quiet() {
    let mut desk = Desk::with(settings(), streets());
    desk.raise(0, "port-down", &["p1", "p2", "p3", "p4"]);
    desk.until(10 * MINUTE);
    desk.clear(11 * MINUTE, "port-down", &["p1"]);
    desk.until(11 * MINUTE + 29 * SECOND);
    assert_eq!(told(&desk).len(), 4 * HOMES, "{:?}", desk.open());
    desk.until(11 * MINUTE + 31 * SECOND);
    let people = told(&desk);
    assert_eq!(missing(&people, &[1], &desk).len(), HOMES);
    assert!(missing(&people, &[2, 3, 4], &desk).is_empty());
}

#[test]
fn what_goes_apart_goes_apart_once() {
    let mut desk = Desk::with(settings(), streets());
    desk.raise(0, "port-down", &["p1"]);
    desk.raise(12 * MINUTE, "heartbeat-loss", &["olt"]);
    desk.raise(13 * MINUTE, "port-down", &["p5"]);
    desk.until(20 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt", Confirmed, 48)]);
    desk.clear(21 * MINUTE, "heartbeat-loss", &["olt"]);
    desk.until(40 * MINUTE);
    let ports = [one(1, "p1", Confirmed, 6), one(2, "p5", Confirmed, 6)];
    assert_eq!(desk.open(), ports);
    let merged = |no: i64| desk.history(no).contains(&TimelineKind::Merged);
    assert!(!merged(1) && !merged(2));
}
