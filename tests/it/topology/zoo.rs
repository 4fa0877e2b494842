//! All maps of the Topology Zoo: real networks, in several parts, with parallel edges.

use super::reference::Reference;
use super::{attachment, check_at_risk, check_failures, check_structure, element, link};
use forewarn::topology::{Attachment, ElementKind, Network, NetworkDefinition, Redundancy};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;

struct Map {
    name: String,
    nodes: usize,
    edges: Vec<(usize, usize)>,
}

fn maps() -> Vec<Map> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/topology-zoo");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "graphml"))
        .collect();
    files.sort();
    files.iter().map(read).collect()
}

fn read(path: &PathBuf) -> Map {
    let text = std::fs::read_to_string(path).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    let named = |name: &'static str| xml.descendants().filter(move |n| n.has_tag_name(name));
    let ids: Vec<&str> = named("node").map(|n| n.attribute("id").unwrap()).collect();
    let at = |id: Option<&str>| ids.iter().position(|other| Some(*other) == id).unwrap();
    Map {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        nodes: ids.len(),
        edges: named("edge")
            .map(|e| (at(e.attribute("source")), at(e.attribute("target"))))
            .filter(|(a, b)| a != b)
            .collect(),
    }
}

/// The nodes with most edges: so many in each connected part, or in the whole map.
fn gateways(map: &Map, count: usize, in_each_part: bool) -> Vec<usize> {
    let mut part: Vec<usize> = (0..map.nodes).collect();
    let mut degree = vec![0; map.nodes];
    for &(a, b) in &map.edges {
        degree[a] += 1;
        degree[b] += 1;
        let (old, new) = (part[a], part[b]);
        part.iter_mut()
            .filter(|p| **p == old)
            .for_each(|p| *p = new);
    }
    let mut order: Vec<usize> = (0..map.nodes).collect();
    order.sort_by_key(|&node| std::cmp::Reverse(degree[node]));
    let mut taken = vec![0; map.nodes];
    order.retain(|&node| {
        let taken = &mut taken[if in_each_part { part[node] } else { 0 }];
        *taken += 1;
        *taken <= count
    });
    order
}

/// A switch per node, every second one with an OLT that is all its subscribers', and some
/// subscribers served from two nodes.
fn network_of(map: &Map, gateways: &[usize]) -> (NetworkDefinition, Vec<Attachment>) {
    let mut definition = NetworkDefinition::default();
    let mut attachments = Vec::new();
    for node in 0..map.nodes {
        let gateway = gateways.contains(&node);
        definition
            .elements
            .push(element(format!("n{node}"), ElementKind::Switch, gateway));
        let served_by = vec![format!("n{node}")];
        attachments.push(attachment(format!("s{node}"), served_by, Redundancy::Any));
        let other = (node * 7 + 3) % map.nodes;
        if node % 5 == 0 && other != node {
            let served_by = vec![format!("n{node}"), format!("n{other}")];
            let redundancy = if node % 2 == 0 {
                Redundancy::Any
            } else {
                Redundancy::All
            };
            attachments.push(attachment(format!("d{node}"), served_by, redundancy));
        }
    }
    for (no, (a, b)) in map.edges.iter().enumerate() {
        let id = format!("l{no}");
        definition
            .links
            .push(link(id, &format!("n{a}"), &format!("n{b}")));
    }
    (definition, attachments)
}

fn check_map(map: &Map, gateways: &[usize]) {
    let (definition, attachments) = network_of(map, gateways);
    let network = Network::build(&definition, &attachments)
        .unwrap_or_else(|errors| panic!("{}: {errors:?}", map.name));
    let reference = Reference::of(&definition, &attachments);
    let ids: Vec<&str> = super::ids(&definition).collect();
    for id in &ids {
        check_failures(&network, &reference, &[id]);
    }
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut pick = |count: usize| -> Vec<&str> {
        (0..count)
            .map(|_| ids[random.random_range(0..ids.len())])
            .collect()
    };
    for count in [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5, 8, 16] {
        check_failures(&network, &reference, &pick(count));
    }
    if map.nodes <= 60 {
        check_structure(&network, &reference, &attachments);
    }
    if map.nodes <= 30 {
        for count in [1, 1, 1, 2, 2, 3] {
            check_at_risk(&network, &reference, &pick(count));
        }
    }
}

#[test]
fn all_maps_with_two_gateways_in_each_part() {
    let maps = maps();
    assert_eq!(maps.len(), 276);
    for map in &maps {
        check_map(map, &gateways(map, 2, true));
    }
}

#[test]
fn all_maps_with_one_gateway() {
    for map in &maps() {
        check_map(map, &gateways(map, 1, false));
    }
}
