//! What an import refuses, and what it warns of.

use super::{attachment, element, link};
use forewarn::topology::{
    Attachment, Element, ElementKind, GroupKind, Link, MAX_ERRORS, Network, NetworkDefinition,
    Position, Redundancy, SharedRiskGroup, Site, SubscriberSet,
};

/// A gateway, two switches, an OLT on both, and a subscriber.
fn sound() -> (NetworkDefinition, Vec<Attachment>) {
    let definition = NetworkDefinition {
        sites: vec![Site {
            id: "rome".to_owned(),
            name: "Rome".to_owned(),
            position: Some(Position {
                latitude: 41.9,
                longitude: 12.5,
            }),
        }],
        elements: vec![
            element("gw".to_owned(), ElementKind::Bng, true),
            element("sw1".to_owned(), ElementKind::Switch, false),
            element("sw2".to_owned(), ElementKind::Switch, false),
            Element {
                site: Some("rome".to_owned()),
                ..element("olt".to_owned(), ElementKind::Olt, false)
            },
        ],
        links: vec![
            link("gw-sw1".to_owned(), "gw", "sw1"),
            link("gw-sw2".to_owned(), "gw", "sw2"),
            link("sw1-olt".to_owned(), "sw1", "olt"),
            link("sw2-olt".to_owned(), "sw2", "olt"),
        ],
        groups: vec![SharedRiskGroup {
            id: "duct".to_owned(),
            kind: GroupKind::Duct,
            name: String::new(),
            members: vec!["gw-sw1".to_owned(), "sw2".to_owned()],
        }],
    };
    let served_by = vec!["olt".to_owned()];
    let attachments = vec![attachment("anna".to_owned(), served_by, Redundancy::Any)];
    (definition, attachments)
}

fn check(change: impl Fn(&mut NetworkDefinition, &mut Vec<Attachment>), expected: &str) {
    let (mut definition, mut attachments) = sound();
    change(&mut definition, &mut attachments);
    let errors = Network::build(&definition, &attachments).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts, [expected]);
}

#[test]
fn each_mistake_is_named() {
    check(
        |d, _| d.elements[3].redundancy = None,
        "element \"olt\": redundancy: expected \"any\" or \"all\", because 2 links lead to it",
    );
    check(
        |d, _| d.elements[1].redundancy = Some(Redundancy::All),
        "element \"sw1\": redundancy is \"all\", expected \"any\" for a gateway or an element that \
         carries transit",
    );
    check(
        |d, _| d.links[2].b = "onu".to_owned(),
        "link \"sw1-olt\": b is \"onu\", expected the id of an element",
    );
    check(
        |d, _| d.links[0].b = "gw".to_owned(),
        "link \"gw-sw1\": b is \"gw\", expected another element than a",
    );
    check(
        |d, _| d.links[2].transit = Some(true),
        "link \"sw1-olt\": transit is \"true\", expected \"false\": an end of it carries no transit",
    );
    check(
        |d, _| d.elements[0].gateway = false,
        "network: gateway: expected at least one element with gateway true: service must come from \
         somewhere",
    );
    check(
        |d, _| d.elements[3].site = Some("milan".to_owned()),
        "element \"olt\": site is \"milan\", expected the id of a site",
    );
    check(
        |d, _| d.groups[0].id = "gw-sw1".to_owned(),
        "group \"gw-sw1\": id is \"gw-sw1\", expected an id used once among elements, links and \
         groups",
    );
    check(
        |d, _| d.groups[0].members[1] = "duct".to_owned(),
        "group \"duct\": members is \"duct\", expected ids of elements and links",
    );
    check(
        |d, _| {
            d.sites[0].position = Some(Position {
                latitude: 91.0,
                longitude: 0.0,
            });
        },
        "site \"rome\": latitude is \"91\", expected -90 to 90",
    );
    check(
        |_, a| a.push(a[0].clone()),
        "subscriber \"anna\": account is \"anna\", expected an account used once",
    );
    check(
        |_, a| a[0].served_by.clear(),
        "subscriber \"anna\": served_by: expected the id of at least one element",
    );
    check(
        |_, a| a[0].served_by[0] = "duct".to_owned(),
        "subscriber \"anna\": served_by is \"duct\", expected the id of an element",
    );
}

#[test]
fn errors_are_collected_up_to_a_bound() {
    let (mut definition, attachments) = sound();
    let broken = |no: usize| link(format!("x{no}"), "gw", "nowhere");
    definition.links.extend((0..2 * MAX_ERRORS).map(broken));
    let errors = Network::build(&definition, &attachments).unwrap_err();
    assert_eq!(errors.len(), MAX_ERRORS);
}

#[test]
fn a_link_to_an_element_without_transit_leads_there_whichever_end_comes_first() {
    let (mut definition, attachments) = sound();
    definition.links[2] = link("sw1-olt".to_owned(), "olt", "sw1");
    let network = Network::build(&definition, &attachments).unwrap();
    let failed = ["sw2"].map(|id| network.part(id).unwrap());
    assert!(network.lost(&failed).is_empty());
    assert_eq!(network.at_risk(&failed).len(), 1);
}

#[test]
fn an_explicit_one_way_link_is_taken_as_written() {
    let (mut definition, attachments) = sound();
    definition.links.truncate(3);
    definition.links[2] = Link {
        transit: Some(false),
        ..link("sw1-olt".to_owned(), "olt", "sw1")
    };
    let network = Network::build(&definition, &attachments).unwrap();
    assert_eq!(network.never_served().len(), 1);
}

#[test]
fn what_no_gateway_reaches_is_warned_of() {
    let (mut definition, mut attachments) = sound();
    let island = element("island".to_owned(), ElementKind::Switch, false);
    definition.elements.push(island);
    let served_by = vec!["island".to_owned()];
    attachments.push(attachment("ugo".to_owned(), served_by, Redundancy::Any));
    let network = Network::build(&definition, &attachments).unwrap();
    assert_eq!(
        network.warnings(),
        [
            "1 elements are reached by no gateway, for instance island",
            "1 subscribers can never have service, for instance ugo"
        ]
    );
}

#[test]
fn a_sound_network_is_not_warned_of() {
    let (definition, attachments) = sound();
    let network = Network::build(&definition, &attachments).unwrap();
    assert_eq!(network.warnings(), Vec::<String>::new());
}

#[test]
fn an_empty_network_answers() {
    let network = Network::empty();
    assert_eq!(network.element_count(), 0);
    assert_eq!(network.subscriber_count(), 0);
    assert_eq!(network.part("gw"), None);
    assert_eq!(network.subscriber("anna"), None);
    assert_eq!(network.lost(&[]), SubscriberSet::new());
    assert_eq!(network.at_risk(&[]), SubscriberSet::new());
    assert_eq!(network.warnings(), Vec::<String>::new());
}

#[test]
fn the_cluster_is_the_nearest_pon_port_splitter_or_parent() {
    let (mut definition, mut attachments) = sound();
    let cluster = |definition: &NetworkDefinition, attachments: &[Attachment]| {
        let network = Network::build(definition, attachments).unwrap();
        let cluster = network.cluster(network.subscriber("anna").unwrap());
        network.name(cluster).to_owned()
    };
    // Served by the OLT, which has no single parent.
    assert_eq!(cluster(&definition, &attachments), "olt");
    let mut below = |id: &str, kind, above: &str, definition: &mut NetworkDefinition| {
        definition
            .elements
            .push(element(id.to_owned(), kind, false));
        let id_of_link = format!("{above}-{id}");
        definition.links.push(link(id_of_link, above, id));
        attachments[0].served_by = vec![id.to_owned()];
        cluster(definition, &attachments)
    };
    let mut other = definition.clone();
    assert_eq!(
        below("cabinet", ElementKind::Cabinet, "olt", &mut other),
        "olt"
    );
    assert_eq!(below("s1", ElementKind::Splitter, "olt", &mut other), "s1");
    let d = &mut definition;
    assert_eq!(below("pon", ElementKind::PonPort, "olt", d), "pon");
    assert_eq!(below("s2", ElementKind::Splitter, "pon", d), "pon");
    assert_eq!(below("ont", ElementKind::Ont, "s2", d), "pon");
}
