//! Power cuts: which elements fail when, and who has no service then.

use super::at;
use forewarn::geography::{Affects, Area, AreaImpact, AreaWarning, Batteries, NetworkMap};
use forewarn::topology::{
    Attachment, Element, ElementKind, Link, Network, NetworkDefinition, Part, Redundancy, Site,
};
use std::collections::BTreeMap;

const ONSET_MS: i64 = 1_773_133_200_000;
const MINUTE_MS: i64 = 60_000;

/// A gateway in town; in the village an OLT of 4 hours, a splitter that needs no power, and a cell
/// with a battery of its own; the customers of the OLT live in the hills outside.
fn network() -> (Network, NetworkMap) {
    let element = |id: &str, kind, site: Option<&str>, battery_minutes| Element {
        id: id.to_owned(),
        kind,
        name: String::new(),
        site: site.map(str::to_owned),
        gateway: kind == ElementKind::Bng,
        transit: None,
        redundancy: None,
        battery_minutes,
    };
    let site = |id: &str, position| Site {
        id: id.to_owned(),
        name: String::new(),
        position,
    };
    let link = |a: &str, b: &str| Link {
        id: format!("{a}--{b}"),
        a: a.to_owned(),
        b: b.to_owned(),
        transit: None,
    };
    let definition = NetworkDefinition {
        sites: vec![
            site("nowhere", None),
            site("village", Some(at(42.0, 12.0))),
            site("town", Some(at(42.5, 12.5))),
        ],
        elements: vec![
            element("bng", ElementKind::Bng, Some("town"), None),
            element("olt", ElementKind::Olt, Some("village"), None),
            element("splitter", ElementKind::Splitter, Some("village"), None),
            element("cell", ElementKind::Cell, Some("village"), Some(90)),
            element("lost", ElementKind::Olt, Some("nowhere"), None),
            element("loose", ElementKind::Olt, None, None),
        ],
        links: vec![
            link("bng", "olt"),
            link("olt", "splitter"),
            link("bng", "cell"),
            link("bng", "lost"),
            link("bng", "loose"),
        ],
        groups: Vec::new(),
    };
    let attachment = |account: &str, element: &str| Attachment {
        account: account.to_owned(),
        served_by: vec![element.to_owned()],
        redundancy: Redundancy::Any,
    };
    let attachments = [
        attachment("hill-1", "splitter"),
        attachment("hill-2", "splitter"),
        attachment("mobile", "cell"),
        attachment("villager", "loose"),
    ];
    let positions = [
        Some(at(42.1, 12.1)),
        Some(at(42.1, 12.1)),
        None,
        Some(at(42.001, 12.001)),
    ];
    let network = Network::build(&definition, &attachments).unwrap();
    let map = NetworkMap::build(&network, &positions);
    (network, map)
}

fn batteries() -> Batteries {
    Batteries(BTreeMap::from([
        (ElementKind::Olt, 240),
        (ElementKind::Cell, 120),
        (ElementKind::Bng, 0),
    ]))
}

fn accounts(network: &Network, impact: &AreaImpact, minutes: i64) -> Vec<String> {
    let lost = impact.lost_by(network, ONSET_MS + minutes * MINUTE_MS);
    let subscribers = network.subscribers(&lost);
    let mut accounts: Vec<String> = subscribers.map(|s| network.account(s).to_owned()).collect();
    accounts.sort_unstable();
    accounts
}

fn impact(network: &Network, map: &NetworkMap, affects: Affects) -> AreaImpact {
    let village = Area::within_metres(at(42.0, 12.0), 500.0).unwrap();
    AreaImpact::of(&village, affects, ONSET_MS, (network, map), &batteries())
}

#[test]
fn elements_fail_when_their_batteries_are_empty_and_take_who_hangs_on_them() {
    let (network, map) = network();
    let impact = impact(&network, &map, Affects::PowerLostInside);
    let failures: Vec<(&str, u32, i64)> = impact
        .failures
        .iter()
        .map(|failure| {
            let id = network.part_id(Part::Element(failure.element));
            let after = (failure.at_ms - ONSET_MS) / MINUTE_MS;
            (id, failure.battery_minutes, after)
        })
        .collect();
    // The minutes of the element itself go over those of its kind; the splitter needs no power.
    assert_eq!(failures, [("cell", 90, 90), ("olt", 240, 240)]);
    assert_eq!(impact.inside.elements.len(), 3);
    let codes: Vec<_> = impact
        .inside
        .warnings
        .iter()
        .map(AreaWarning::code)
        .collect();
    assert_eq!(codes, ["unplaced"]);

    assert_eq!(accounts(&network, &impact, -1), [""; 0]);
    assert_eq!(accounts(&network, &impact, 89), [""; 0]);
    assert_eq!(accounts(&network, &impact, 90), ["mobile"]);
    // They live outside of the area, and lose service with the OLT inside.
    let all = ["hill-1", "hill-2", "mobile"];
    assert_eq!(accounts(&network, &impact, 240), all);
    let next = |minutes: i64| {
        let next = impact.next_failure_after(ONSET_MS + minutes * MINUTE_MS);
        next.map(|at| (at - ONSET_MS) / MINUTE_MS)
    };
    assert_eq!([next(-1), next(90), next(240)], [Some(90), Some(240), None]);
}

#[test]
fn lost_service_is_that_of_who_lives_inside() {
    let (network, map) = network();
    let lost = impact(&network, &map, Affects::ServiceLostInside);
    assert_eq!(lost.failures, []);
    assert_eq!(accounts(&network, &lost, -1), [""; 0]);
    assert_eq!(accounts(&network, &lost, 0), ["villager"]);
    let told = impact(&network, &map, Affects::Information);
    assert_eq!(told.inside.subscribers.len(), 1);
    assert_eq!(accounts(&network, &told, 10_000), [""; 0]);
}

#[test]
fn elements_are_where_their_sites_are() {
    let (network, map) = network();
    let within = |latitude, longitude, radius_m| {
        let disc = Area::within_metres(at(latitude, longitude), radius_m).unwrap();
        let elements = map.elements_within(&disc).into_iter();
        let mut ids: Vec<String> = elements
            .map(|element| network.part_id(Part::Element(element)).to_owned())
            .collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(within(42.0, 12.0, 10.0), ["cell", "olt", "splitter"]);
    assert_eq!(within(42.5, 12.5, 10.0), ["bng"]);
    assert_eq!(within(0.0, 0.0, 1_000.0), [""; 0]);
    // Those whose site has no position, or that have none, are nowhere.
    assert_eq!(
        within(42.2, 12.2, 200_000.0),
        ["bng", "cell", "olt", "splitter"]
    );
}
