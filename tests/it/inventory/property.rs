//! Random networks: read back as they came, and compared as a slow comparison does.

use super::{sorted, topology};
use crate::support::{Backend, store};
use forewarn::pipeline::difference::Difference;
use forewarn::pipeline::importer::load_inventory;
use forewarn::topology::{
    Element, ElementKind, GroupKind, Link, Network, NetworkDefinition, Position, Redundancy,
    SharedRiskGroup, Site,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;
use std::collections::{BTreeMap, BTreeSet};

prop_compose! {
    fn any_element()(
        number in 0..12_u8,
        kind in prop::sample::select(&ElementKind::ALL[..]),
        name in "\\PC{0,12}",
        site in prop::option::of(0..4_u8),
        gateway in prop::bool::weighted(0.3),
        transit: Option<bool>,
        all in prop::bool::weighted(0.3),
        battery_minutes in prop::option::of(0..=43_200_u32),
    ) -> Element {
        Element {
            id: format!("e{number}"),
            kind,
            name,
            site: site.map(|site| format!("s{site}")),
            gateway,
            transit,
            redundancy: Some(if all && !gateway && transit == Some(false) {
                Redundancy::All
            } else {
                Redundancy::Any
            }),
            battery_minutes,
        }
    }
}

/// Networks whose references hold.
fn any_network() -> impl Strategy<Value = NetworkDefinition> {
    let elements = prop::collection::vec(any_element(), 1..12);
    let links = prop::collection::vec(
        (0..30_u8, 0..12_usize, 0..12_usize, any::<Option<bool>>()),
        0..20,
    );
    let groups = prop::collection::vec(
        (
            0..5_u8,
            prop::sample::select(&GroupKind::ALL[..]),
            prop::collection::vec(0..12_usize, 1..4),
        ),
        0..4,
    );
    let positions = prop::collection::vec(prop::option::of((-90.0..90.0, -180.0..180.0)), 4);
    (elements, links, groups, positions)
        .prop_map(|(elements, links, groups, positions)| {
            let elements: BTreeMap<_, _> =
                elements.into_iter().map(|e| (e.id.clone(), e)).collect();
            let elements: Vec<_> = elements.into_values().collect();
            let id = |at: usize| elements[at % elements.len()].id.clone();
            let links: BTreeMap<_, _> = links
                .into_iter()
                .filter(|(_, a, b, _)| id(*a) != id(*b))
                .map(|(number, a, b, transit)| {
                    let link = Link {
                        id: format!("l{number}"),
                        a: id(a),
                        b: id(b),
                        transit,
                    };
                    (number, link)
                })
                .collect();
            let groups: BTreeMap<_, _> = groups
                .into_iter()
                .map(|(number, kind, members)| {
                    let members: BTreeSet<_> = members.into_iter().map(id).collect();
                    let group = SharedRiskGroup {
                        id: format!("g{number}"),
                        kind,
                        name: String::new(),
                        members: members.into_iter().collect(),
                    };
                    (number, group)
                })
                .collect();
            let sites = positions.into_iter().enumerate().map(|(number, at)| Site {
                id: format!("s{number}"),
                name: "site".to_owned(),
                position: at.map(|(latitude, longitude)| Position {
                    latitude,
                    longitude,
                }),
            });
            NetworkDefinition {
                sites: sites.collect(),
                links: links.into_values().collect(),
                groups: groups.into_values().collect(),
                elements,
            }
        })
        .prop_filter("a network that can be built", |network| {
            Network::build(network, &[]).is_ok()
        })
}

/// The difference, found by looking at every pair.
fn slow_difference(old: &NetworkDefinition, new: &NetworkDefinition) -> Difference {
    fn of<T: PartialEq>(old: &[T], new: &[T], same: impl Fn(&T, &T) -> bool) -> [u64; 3] {
        let count = |n: usize| n as u64;
        let was = |n: &&T| old.iter().find(|o| same(o, n)).is_some();
        let is = |o: &&T| new.iter().find(|n| same(o, n)).is_some();
        let both = new.iter().filter(was);
        [
            count(new.len() - new.iter().filter(was).count()),
            count(old.len() - old.iter().filter(is).count()),
            count(both.filter(|n| !old.contains(n)).count()),
        ]
    }
    let parents = |network: &NetworkDefinition, id: &str| {
        let incoming = network.links.iter().filter(|link| link.b == id);
        let mut from: Vec<_> = incoming.map(|link| link.a.clone()).collect();
        from.sort();
        from
    };
    let parts = [
        of(&old.sites, &new.sites, |x, y| x.id == y.id),
        of(&old.elements, &new.elements, |x, y| x.id == y.id),
        of(&old.links, &new.links, |x, y| x.id == y.id),
        of(&old.groups, &new.groups, |x, y| x.id == y.id),
    ];
    let moved = new.elements.iter().filter(|n| {
        old.elements.iter().any(|o| o.id == n.id) && parents(old, &n.id) != parents(new, &n.id)
    });
    Difference {
        added: parts.iter().map(|p| p[0]).sum(),
        removed: parts.iter().map(|p| p[1]).sum(),
        modified: parts.iter().map(|p| p[2]).sum(),
        moved: moved.count() as u64,
    }
}

#[rstest]
#[tokio::test]
async fn any_network_is_read_back_and_compared_right(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut runner = TestRunner::new(Config::default());
    let mut before = NetworkDefinition::default();
    for _ in 0..40 {
        let network = any_network().new_tree(&mut runner).unwrap().current();
        let report = topology(&t.store, &network).await;
        assert_eq!(
            report.difference,
            slow_difference(&before, &network),
            "from {before:#?} to {network:#?}"
        );
        let read = load_inventory(&t.store).await.unwrap().definition;
        assert_eq!(sorted(read), sorted(network.clone()));
        before = network;
    }
}
