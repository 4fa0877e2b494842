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
    desk.clear(11 * MINUTE, "port-down", &["p1", "p2", "p3", "p4"]);
    desk.raise(11 * MINUTE + 20 * SECOND, "pon-los", &["p1", "p2"]);
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

#[test]
fn a_switch_that_loses_all_its_links_is_dead_although_a_port_behind_it_failed_before() {
    let mut desk = Desk::with(settings(), ring_beside_a_feeder());
    desk.raise(0, "port-down", &["olt3-p1"]);
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt3-p1", Confirmed, 4)]);
    desk.raise(191 * SECOND, "link-down", &["s2/s3", "s3/s4", "s3/olt3"]);
    desk.until(6 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s3", Confirmed, 8)]);
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
fn streets_that_come_back_one_by_one_are_let_go_half_a_minute_later_while_others_come_and_go() {
    let mut desk = Desk::with(settings(), streets());
    desk.raise(0, "port-down", &["p1", "p2", "p3", "p4"]);
    desk.until(10 * MINUTE);
    assert_eq!(told(&desk).len(), 4 * HOMES, "{:?}", desk.open());
    desk.clear(11 * MINUTE, "port-down", &["p1"]);
    // Something beside it begins and ends meanwhile, again and again.
    for round in 0..4 {
        let at_ms = 11 * MINUTE + round * 14 * SECOND;
        desk.raise(at_ms, "port-down", &["p6"]);
        desk.clear(at_ms + 7 * SECOND, "port-down", &["p6"]);
    }
    let people = told(&desk);
    assert_eq!(
        missing(&people, &[1], &desk).len(),
        HOMES,
        "{:?}",
        desk.open()
    );
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
