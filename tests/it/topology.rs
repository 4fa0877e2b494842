//! The impact index against plain reachability: on all maps of the Topology Zoo and on random
//! networks with everything the model knows.

mod reference;
mod refusals;
mod zoo;

use forewarn::topology::{
    Attachment, Element, ElementKind, ElementNo, GroupKind, GroupNo, Link, LinkNo, Network,
    NetworkDefinition, Part, Redundancy, SharedRiskGroup, SubscriberNo, SubscriberSet,
};
use proptest::prelude::*;
use proptest::sample::Index;
use reference::Reference;
use std::collections::BTreeSet;

/// An element of that id, any of whose ways in is enough.
fn element(id: String, kind: ElementKind, gateway: bool) -> Element {
    Element {
        name: id.clone(),
        id,
        kind,
        site: None,
        gateway,
        transit: None,
        redundancy: Some(Redundancy::Any),
        battery_minutes: None,
    }
}

fn link(id: String, a: &str, b: &str) -> Link {
    Link {
        id,
        a: a.to_owned(),
        b: b.to_owned(),
        transit: None,
    }
}

fn attachment(account: String, served_by: Vec<String>, redundancy: Redundancy) -> Attachment {
    Attachment {
        account,
        served_by,
        redundancy,
    }
}

/// The accounts of a set.
fn accounts(network: &Network, set: &SubscriberSet) -> BTreeSet<String> {
    network
        .subscribers(set)
        .map(|subscriber| network.account(subscriber).to_owned())
        .collect()
}

fn part(network: &Network, id: &str) -> Part {
    network.part(id).unwrap()
}

/// Everything the index says of one set of failures.
fn check_failures(network: &Network, reference: &Reference<'_>, failed: &[&str]) {
    let parts: Vec<Part> = failed.iter().map(|id| part(network, id)).collect();
    let (expected, expected_cut) = reference.impact(failed);
    assert_eq!(
        accounts(network, &network.lost(&parts)),
        expected,
        "lost with {failed:?}"
    );
    if let [alone] = parts[..] {
        let lost = network.lost_alone(alone);
        assert_eq!(
            accounts(network, &lost),
            expected,
            "lost with {failed:?} alone"
        );
        assert_eq!(network.lost_alone_runs(alone).as_slice(), lost.runs());
    }
    let cut_off = network.cut_off(&parts);
    for (id, expected) in reference.elements().zip(expected_cut) {
        let Part::Element(element) = part(network, id) else {
            panic!("{id} is no element");
        };
        let found = cut_off.is_cut_off(element);
        assert_eq!(found, expected, "{id} cut off by {failed:?}");
    }
    check_ways_in(network, reference, failed);
}

/// Of each element that failed: whether it would have service without its own failure.
fn check_ways_in(network: &Network, reference: &Reference<'_>, failed: &[&str]) {
    let parts: Vec<Part> = failed.iter().map(|id| part(network, id)).collect();
    let cut_off = network.cut_off(&parts);
    let is_down = |link| {
        parts.iter().any(|&part| match part {
            Part::Group(group) => network.group_members(group).contains(&Part::Link(link)),
            other => other == Part::Link(link),
        })
    };
    for (&id, &of) in failed.iter().zip(&parts) {
        let Part::Element(element) = of else { continue };
        let others: Vec<&str> = failed.iter().copied().filter(|&f| f != id).collect();
        if !reference.is_served(id) || reference.fails_with(id, &others) {
            continue;
        }
        let without = reference.cut_off(&others);
        let (_, &cut) = reference
            .elements()
            .zip(&without)
            .find(|&(e, _)| e == id)
            .unwrap();
        let found = network.has_way_in(element, &cut_off, is_down);
        assert_eq!(found, !cut, "{id} among {failed:?}");
    }
}

fn check_at_risk(network: &Network, reference: &Reference<'_>, failed: &[&str]) {
    let parts: Vec<Part> = failed.iter().map(|id| part(network, id)).collect();
    assert_eq!(
        accounts(network, &network.at_risk(&parts)),
        reference.at_risk(failed),
        "at risk with {failed:?}"
    );
}

/// What the network says of itself: numbers, ids, the dominator tree.
fn check_structure(network: &Network, reference: &Reference<'_>, attachments: &[Attachment]) {
    let elements: Vec<ElementNo> = (0..).map(ElementNo).take(network.element_count()).collect();
    let id = |element: ElementNo| network.part_id(Part::Element(element));
    for &a in &elements {
        assert_eq!(part(network, id(a)), Part::Element(a));
        for child in network.children(a) {
            assert!(network.parents(child).any(|parent| parent == a));
        }
        for parent in network.parents(a) {
            assert!(network.children(parent).any(|child| child == a));
        }
        let cut = reference.cut_off(&[id(a)]);
        for (b, cut) in reference.elements().zip(cut) {
            let Part::Element(b) = part(network, b) else {
                panic!("{b} is no element");
            };
            let expected = cut && reference.is_served(id(b));
            assert_eq!(
                network.dominates(a, b),
                expected,
                "{} over {}",
                id(a),
                id(b)
            );
        }
        let above: Vec<_> = std::iter::successors(network.immediate_dominator(a), |&above| {
            network.immediate_dominator(above)
        })
        .collect();
        assert_eq!(network.depth(a) as usize, above.len());
        assert!(above.iter().all(|&above| network.dominates(above, a)));
        if !reference.any_needs_all() {
            let dominators = elements
                .iter()
                .filter(|&&d| d != a && network.dominates(d, a));
            assert_eq!(above.len(), dominators.count(), "dominators of {}", id(a));
        }
        for child in network.dominator_children(a) {
            assert_eq!(network.immediate_dominator(child), Some(a));
        }
    }
    for no in (0..).map(LinkNo).take(network.link_count()) {
        assert_eq!(
            part(network, network.part_id(Part::Link(no))),
            Part::Link(no)
        );
    }
    for no in (0..).map(GroupNo).take(network.group_count()) {
        assert_eq!(
            part(network, network.part_id(Part::Group(no))),
            Part::Group(no)
        );
    }
    assert_eq!(network.subscriber_count(), attachments.len());
    for (no, attachment) in (0..).map(SubscriberNo).zip(attachments) {
        assert_eq!(network.account(no), attachment.account);
        assert_eq!(network.subscriber(&attachment.account), Some(no));
        assert_eq!(network.subscriber_at_rank(network.rank_of(no)), no);
        let serving: Vec<_> = network.serving(no).map(id).collect();
        let mut expected: Vec<&str> = Vec::new();
        for id in &attachment.served_by {
            if !expected.contains(&id.as_str()) {
                expected.push(id);
            }
        }
        assert_eq!(serving, expected);
    }
    let never = accounts(network, &network.never_served());
    assert_eq!(never, reference.never_served());
}

/// Raw choices from which a valid network is made.
#[derive(Clone, Debug)]
struct Choices {
    elements: Vec<(u8, bool, bool)>,
    links: Vec<(Index, Index, u8)>,
    groups: Vec<Vec<Index>>,
    subscribers: Vec<(Vec<Index>, bool)>,
    failures: Vec<Vec<Index>>,
}

fn choices() -> impl Strategy<Value = Choices> {
    let index = any::<Index>;
    (
        prop::collection::vec((0_u8..10, any::<bool>(), prop::bool::weighted(0.15)), 2..24),
        prop::collection::vec((index(), index(), 0_u8..8), 1..48),
        prop::collection::vec(prop::collection::vec(index(), 0..5), 0..4),
        prop::collection::vec((prop::collection::vec(index(), 1..4), any::<bool>()), 1..30),
        prop::collection::vec(prop::collection::vec(index(), 2..6), 12),
    )
        .prop_map(|(elements, links, groups, subscribers, failures)| Choices {
            elements,
            links,
            groups,
            subscribers,
            failures,
        })
}

fn redundancy(all: bool) -> Redundancy {
    if all {
        Redundancy::All
    } else {
        Redundancy::Any
    }
}

fn network_of(choices: &Choices, needs_all: bool) -> (NetworkDefinition, Vec<Attachment>) {
    let mut definition = NetworkDefinition::default();
    for (no, &(kind, all, gateway)) in choices.elements.iter().enumerate() {
        let gateway = gateway || no == 0;
        let (kind, transit) = match kind {
            0..5 => (ElementKind::Switch, None),
            5 => (ElementKind::Olt, Some(true)),
            6 => (ElementKind::Router, Some(false)),
            _ => (ElementKind::Splitter, None),
        };
        let transits = transit.unwrap_or(kind.transits_by_default());
        definition.elements.push(Element {
            transit,
            redundancy: Some(redundancy(needs_all && all && !transits && !gateway)),
            ..element(format!("e{no}"), kind, gateway)
        });
    }
    let supplies = |e: &Element| e.gateway || e.transit.unwrap_or(e.kind.transits_by_default());
    for (no, (a, b, transit)) in choices.links.iter().enumerate() {
        let a = a.index(definition.elements.len());
        let b = b.index(definition.elements.len());
        let (first, second) = (&definition.elements[a], &definition.elements[b]);
        if a != b {
            let transit = match transit {
                0 => Some(false),
                1 if supplies(first) && supplies(second) => Some(true),
                _ => None,
            };
            // Some ids end with that of the element the link leads to, as they do in practice.
            let link = link(format!("l{no}-{}", second.id), &first.id, &second.id);
            definition.links.push(Link { transit, ..link });
        }
    }
    let parts: Vec<String> = ids(&definition).map(str::to_owned).collect();
    for (no, members) in choices.groups.iter().enumerate() {
        definition.groups.push(SharedRiskGroup {
            id: format!("g{no}"),
            kind: GroupKind::Duct,
            name: String::new(),
            members: members.iter().map(|m| m.get(&parts).clone()).collect(),
        });
    }
    let elements = &definition.elements;
    let attachments = choices.subscribers.iter().enumerate();
    let attachments = attachments.map(|(no, (served_by, all))| {
        let served_by = served_by.iter().map(|e| e.get(elements).id.clone());
        attachment(format!("s{no}"), served_by.collect(), redundancy(*all))
    });
    let attachments = attachments.collect();
    (definition, attachments)
}

/// Ids of everything that can fail.
fn ids(definition: &NetworkDefinition) -> impl Iterator<Item = &str> {
    let elements = definition.elements.iter().map(|e| e.id.as_str());
    let links = definition.links.iter().map(|l| l.id.as_str());
    let groups = definition.groups.iter().map(|g| g.id.as_str());
    elements.chain(links).chain(groups)
}

fn check_random(choices: &Choices, needs_all: bool) {
    let (definition, attachments) = network_of(choices, needs_all);
    let network = Network::build(&definition, &attachments).unwrap();
    let reference = Reference::of(&definition, &attachments);
    check_structure(&network, &reference, &attachments);
    let ids: Vec<&str> = ids(&definition).collect();
    check_failures(&network, &reference, &[]);
    for id in &ids {
        check_failures(&network, &reference, &[id]);
        check_at_risk(&network, &reference, &[id]);
    }
    for failures in &choices.failures {
        let failed: Vec<&str> = failures.iter().map(|at| *at.get(&ids)).collect();
        check_failures(&network, &reference, &failed);
        check_at_risk(&network, &reference, &failed[..2]);
        check_at_risk(&network, &reference, &failed);
    }
}

proptest! {
    #![proptest_config(crate::support::draws(64))]

    #[test]
    fn random_networks_where_any_way_in_is_enough(choices in choices()) {
        check_random(&choices, false);
    }

    #[test]
    fn random_networks_where_some_elements_need_all(choices in choices()) {
        check_random(&choices, true);
    }

    #[test]
    fn sets_of_runs_are_sets(
        a in prop::collection::vec((0_u32..60, 0_u32..9), 0..8),
        b in prop::collection::vec((0_u32..60, 0_u32..9), 0..8),
    ) {
        let runs = |pairs: &[(u32, u32)]| -> Vec<(u32, u32)> {
            pairs.iter().map(|&(start, len)| (start, start + len)).collect()
        };
        let plain = |pairs: &[(u32, u32)]| -> BTreeSet<u32> {
            runs(pairs).into_iter().flat_map(|(start, end)| start..end).collect()
        };
        let (set_a, set_b) = (SubscriberSet::from_runs(runs(&a)), SubscriberSet::from_runs(runs(&b)));
        let (a, b) = (plain(&a), plain(&b));
        let same = |set: &SubscriberSet, expected: BTreeSet<u32>| {
            assert_eq!(set.iter().collect::<BTreeSet<_>>(), expected);
            assert_eq!(set.len(), expected.len());
            assert_eq!(set.is_empty(), expected.is_empty());
            assert!((0..80).all(|rank| set.contains(rank) == expected.contains(&rank)));
            assert!(set.runs().windows(2).all(|pair| pair[0].1 < pair[1].0));
        };
        same(&set_a, a.clone());
        same(&set_a.union(&set_b), &a | &b);
        same(&set_a.intersection(&set_b), &a & &b);
        same(&set_a.difference(&set_b), &a - &b);
    }
}
