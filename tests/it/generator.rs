//! The generator: exact counts, the same every time, and a network that is what it claims to be.

use forewarn::generate::{GenerateError, GenerateSettings, Generated, Ring, generate};
use forewarn::geography::distance_metres;
use forewarn::subscriber::{ContactKind, Segment, read_subscribers};
use forewarn::topology::{
    Attachment, Element, ElementKind, GroupKind, Network, NetworkDefinition, Position, Redundancy,
    read_topology,
};
use forewarn::{subscriber, topology};
use rstest::rstest;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::OnceLock;

const FIXTURES: [(&str, &str); 2] = [
    ("topology", "fixtures/small/topology.jsonl"),
    ("subscribers", "fixtures/small/subscribers.jsonl"),
];

/// Two thousand subscribers, as in fixtures/small.
fn small() -> &'static (GenerateSettings, Generated) {
    static SMALL: OnceLock<(GenerateSettings, Generated)> = OnceLock::new();
    SMALL.get_or_init(|| {
        let settings = GenerateSettings::embedded(2000, 1).unwrap();
        let generated = generate(&settings).unwrap();
        (settings, generated)
    })
}

/// Enough of them for shares to be told.
fn large() -> &'static Generated {
    static LARGE: OnceLock<Generated> = OnceLock::new();
    LARGE.get_or_init(|| generate(&GenerateSettings::embedded(20_000, 7).unwrap()).unwrap())
}

fn of_kind(network: &NetworkDefinition, kind: ElementKind) -> Vec<&Element> {
    let elements = network.elements.iter();
    elements.filter(|element| element.kind == kind).collect()
}

/// Parents of each element by links, nearest to the gateways first named.
fn parents(network: &NetworkDefinition) -> HashMap<&str, Vec<&str>> {
    let mut parents: HashMap<&str, Vec<&str>> = HashMap::new();
    for link in &network.links {
        parents.entry(&link.b).or_default().push(&link.a);
    }
    parents
}

fn jsonl(generated: &Generated) -> [Vec<u8>; 2] {
    let mut files = [Vec::new(), Vec::new()];
    topology::write_jsonl(&generated.definition, &mut files[0]).unwrap();
    subscriber::write_jsonl(&generated.subscribers, &mut files[1]).unwrap();
    files
}

#[test]
fn the_small_fixture_is_what_its_command_generates() {
    let files = jsonl(&small().1);
    for ((name, path), file) in FIXTURES.iter().zip(&files) {
        let kept = std::fs::read(path).unwrap();
        assert!(
            kept == *file,
            "{name}: {path} differs from what the generator makes now; see fixtures/README.md"
        );
    }
}

#[test]
fn another_seed_gives_another_network() {
    let of_seed = |seed| jsonl(&generate(&GenerateSettings::embedded(300, seed).unwrap()).unwrap());
    assert_eq!(of_seed(5), of_seed(5));
    assert_ne!(of_seed(5), of_seed(6));
}

#[rstest]
#[case(0)]
#[case(1)]
#[case(50)]
#[case(401)]
fn the_number_of_subscribers_is_exact(#[case] subscribers: u32) {
    let generated = generate(&GenerateSettings::embedded(subscribers, 3).unwrap()).unwrap();
    assert_eq!(generated.subscribers.len(), subscribers as usize);
    let onts = of_kind(&generated.definition, ElementKind::Ont).len();
    assert_eq!(onts, subscribers as usize);
}

#[test]
fn generated_files_pass_every_check_of_the_import() {
    let generated = large();
    let [topology_file, subscribers_file] = jsonl(generated);
    let network = read_topology(&topology_file[..], "t.jsonl", None).unwrap();
    assert_eq!(network, generated.definition);
    let subscribers = read_subscribers(&subscribers_file[..], "s.jsonl").unwrap();
    assert!(subscribers == generated.subscribers);
    let mut csv = Vec::new();
    subscriber::write_csv(&subscribers, &mut csv).unwrap();
    assert!(read_subscribers(&csv[..], "s.csv").unwrap() == subscribers);
    let mut csv = Vec::new();
    topology::write_csv(&network, &mut csv).unwrap();
    assert!(read_topology(&csv[..], "t.csv", None).unwrap() == network);
}

#[test]
fn premises_lie_inside_their_municipality_and_near_those_of_their_pon() {
    let (settings, generated) = small();
    let areas: HashMap<&str, _> = settings
        .municipalities
        .iter()
        .map(|area| (area.name(), area))
        .collect();
    let mut pons: BTreeMap<&str, Vec<Position>> = BTreeMap::new();
    for subscriber in &generated.subscribers {
        let (_, municipality) = subscriber.address.rsplit_once(", ").unwrap();
        let position = subscriber.position.unwrap();
        assert!(areas[municipality].contains(position), "{subscriber:?}");
        // "ont-vt-0003-07-2-5" is on PON "ont-vt-0003-07".
        let pon = &subscriber.served_by[0][.."ont-vt-0003-07".len()];
        pons.entry(pon).or_default().push(position);
    }
    assert!(pons.len() > 50);
    for (pon, positions) in pons {
        for &position in &positions {
            assert!(distance_metres(positions[0], position) < 600.0, "{pon}");
        }
    }
}

#[test]
fn every_second_olt_hangs_on_two_neighbouring_switches_of_its_ring() {
    let generated = large();
    let parents = parents(&generated.definition);
    let ring_of: HashMap<&str, (&Ring, usize)> = generated
        .rings
        .iter()
        .flat_map(|ring| {
            let places = ring.switches.iter().enumerate();
            places.map(move |(place, id)| (id.as_str(), (ring, place)))
        })
        .collect();
    let olts = of_kind(&generated.definition, ElementKind::Olt);
    let mut dual_homed = 0;
    for olt in &olts {
        match parents[olt.id.as_str()][..] {
            [_] => assert_eq!(olt.redundancy, None),
            [first, second] => {
                dual_homed += 1;
                assert_eq!(olt.redundancy, Some(Redundancy::Any));
                assert_eq!(ring_of[first].0, ring_of[second].0);
                assert_eq!(ring_of[first].1.abs_diff(ring_of[second].1), 1);
            }
            _ => panic!("{olt:?}"),
        }
    }
    assert!(olts.len() > 40, "{}", olts.len());
    assert_eq!(dual_homed, olts.len() / 2);
}

#[test]
fn both_ends_of_a_ring_lose_more_than_what_hangs_on_them() {
    let generated = &small().1;
    let attachments: Vec<Attachment> = generated
        .subscribers
        .iter()
        .map(|subscriber| Attachment {
            account: subscriber.account.clone(),
            served_by: subscriber.served_by.clone(),
            redundancy: subscriber.redundancy,
        })
        .collect();
    let network = Network::build(&generated.definition, &attachments).unwrap();
    let ring = &generated.rings[0];
    let [first, .., last] = &ring.switches[..] else {
        panic!("{ring:?}");
    };
    let (first, last) = (network.part(first).unwrap(), network.part(last).unwrap());
    let alone = network.lost_alone(first).len() + network.lost_alone(last).len();
    let together = network.lost(&[first, last]).len();
    assert!(together > alone, "{together} against {alone}");
    // All OLTs of the ring go dark, those in between as well.
    let switches: HashSet<&str> = ring.switches.iter().map(String::as_str).collect();
    let parents = parents(&generated.definition);
    let behind = |ont: &String| {
        let olt = format!("olt-{}", &ont["ont-".len().."ont-vt-0003".len()]);
        switches.contains(parents[olt.as_str()][0])
    };
    let expected = generated
        .subscribers
        .iter()
        .filter(|subscriber| subscriber.served_by.iter().all(behind))
        .count();
    assert_eq!(together, expected);
}

#[test]
fn rings_have_four_to_eight_switches_and_end_at_two_nodes_of_the_backbone() {
    let generated = large();
    let elements: HashMap<&str, &Element> = generated
        .definition
        .elements
        .iter()
        .map(|element| (element.id.as_str(), element))
        .collect();
    for ring in &generated.rings {
        assert!((4..=8).contains(&ring.switches.len()));
        assert_ne!(ring.pops[0], ring.pops[1]);
        for pop in &ring.pops {
            assert_eq!(elements[pop.as_str()].kind, ElementKind::Router);
            assert!(!elements[pop.as_str()].gateway);
        }
    }
    let gateways = generated.definition.elements.iter().filter(|e| e.gateway);
    assert!(
        gateways
            .clone()
            .all(|gateway| gateway.kind == ElementKind::Router)
    );
    assert_eq!(gateways.count(), 13, "external nodes of the map");
}

#[test]
fn the_tree_behind_an_olt_has_sixteen_ports_and_splitters_that_hold_their_ways() {
    let generated = large();
    let parents = parents(&generated.definition);
    let mut children: HashMap<&str, usize> = HashMap::new();
    for (child, parents) in &parents {
        for parent in parents {
            *children.entry(parent).or_default() += 1;
            let single = !child.starts_with("ont-") || parents.len() == 1;
            assert!(single, "{child}");
        }
    }
    for olt in of_kind(&generated.definition, ElementKind::Olt) {
        assert_eq!(children[olt.id.as_str()], 16);
    }
    for splitter in of_kind(&generated.definition, ElementKind::Splitter) {
        assert!(
            (1..=8).contains(&children[splitter.id.as_str()]),
            "{splitter:?}"
        );
    }
    let ids = generated.definition.elements.iter().map(|one| &one.id);
    let links = generated.definition.links.iter().map(|one| &one.id);
    let groups = generated.definition.groups.iter().map(|one| &one.id);
    let mut seen = HashSet::new();
    assert!(ids.chain(links).chain(groups).all(|id| seen.insert(id)));
}

#[test]
fn ducts_join_a_ring_link_with_feeders_and_power_feeds_cover_every_ont_once() {
    let generated = large();
    let mut powered = BTreeSet::new();
    let mut ducts = 0;
    for group in &generated.definition.groups {
        match group.kind {
            GroupKind::Duct => {
                ducts += 1;
                assert!(group.members[0].starts_with("lnk-ring-"), "{group:?}");
                assert!(group.members.len() >= 2);
                assert!(
                    group.members[1..]
                        .iter()
                        .all(|id| id.starts_with("lnk-spl-"))
                );
            }
            GroupKind::PowerFeed => {
                for member in &group.members {
                    assert!(powered.insert(member.as_str()), "{member}");
                }
            }
            _ => panic!("{group:?}"),
        }
    }
    assert!(ducts > 40);
    let onts = of_kind(&generated.definition, ElementKind::Ont);
    assert_eq!(powered.len(), onts.len());
    assert!(onts.iter().all(|ont| powered.contains(ont.id.as_str())));
}

#[test]
fn some_business_subscribers_are_dual_homed_over_two_olts() {
    let generated = large();
    let business = generated
        .subscribers
        .iter()
        .filter(|one| one.segment == Segment::Business);
    let expected = (business.count() - 100).div_ceil(200);
    let dual: Vec<_> = generated
        .subscribers
        .iter()
        .filter(|subscriber| subscriber.served_by.len() > 1)
        .collect();
    assert_eq!(dual.len(), expected);
    for subscriber in dual {
        assert_eq!(subscriber.segment, Segment::Business);
        assert_eq!(subscriber.redundancy, Redundancy::Any);
        let olt = |ont: &str| ont["ont-".len().."ont-vt-0003".len()].to_owned();
        assert_ne!(olt(&subscriber.served_by[0]), olt(&subscriber.served_by[1]));
    }
}

#[test]
fn people_are_mixed_as_documented() {
    let people = &large().subscribers;
    let percent = |matching: &dyn Fn(&subscriber::Subscriber) -> bool| {
        100.0 * people.iter().filter(|one| matching(one)).count() as f64 / people.len() as f64
    };
    let has = |kind| {
        move |one: &subscriber::Subscriber| one.contact_points.iter().any(|c| c.kind == kind)
    };
    let shares = [
        (
            "business",
            percent(&|one| one.segment == Segment::Business),
            12.0,
        ),
        ("vulnerable", percent(&|one| one.vulnerable), 1.5),
        ("e-mail", percent(&has(ContactKind::Email)), 96.0),
        ("consent", percent(&|one| one.consent), 98.0),
        ("Italian", percent(&|one| one.language == "it"), 87.0),
        (
            "Rome time",
            percent(&|one| one.time_zone == "Europe/Rome"),
            99.0,
        ),
        (
            "quiet hours",
            percent(&|one| one.quiet_hours.is_some()),
            23.0,
        ),
    ];
    for (what, share, expected) in shares {
        assert!((share - expected).abs() < 1.0, "{what}: {share} %");
    }
    let languages: BTreeSet<&str> = people.iter().map(|one| one.language.as_str()).collect();
    assert_eq!(
        languages,
        BTreeSet::from(["ar", "de", "en", "fr", "it", "ro"])
    );
    let mut contacts = HashSet::new();
    for point in people.iter().flat_map(|one| &one.contact_points) {
        assert!(
            contacts.insert((point.kind, &point.value)),
            "shared by two: {point:?}"
        );
        assert!(
            point.value.starts_with("+999 ") || point.value.contains("example.net"),
            "{point:?}"
        );
    }
}

#[test]
fn a_map_without_external_nodes_gets_its_most_connected_ones_as_gateways() {
    let node = |id: u32, latitude: f64| {
        format!(
            "<node id=\"{id}\"><data key=\"y\">{latitude}</data><data key=\"x\">12.5</data></node>"
        )
    };
    let map = |nodes: u32| {
        let edges = (1..nodes).map(|id| format!("<edge source=\"0\" target=\"{id}\"/>"));
        let nodes = (0..nodes).map(|id| node(id, 41.0 + f64::from(id) / 10.0));
        format!(
            "<graphml><key id=\"y\" for=\"node\" attr.name=\"Latitude\"/><key id=\"x\" \
             for=\"node\" attr.name=\"Longitude\"/><graph>{}{}</graph></graphml>",
            nodes.collect::<String>(),
            edges.collect::<String>()
        )
    };
    let area = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
        "properties":{"name":"Borgo"},"geometry":{"type":"Polygon","coordinates":
        [[[12,42],[12,42.1],[12.1,42.1],[12.1,42],[12,42]]]}}]}"#;
    let settings = |nodes| GenerateSettings::from_maps(10, 1, ("m.graphml", &map(nodes)), area);
    let generated = generate(&settings(5).unwrap()).unwrap();
    let gateways = generated
        .definition
        .elements
        .iter()
        .filter(|one| one.gateway);
    assert_eq!(
        gateways.map(|one| one.id.as_str()).collect::<Vec<_>>(),
        ["#0", "#1"]
    );
    assert!(generated.subscribers[0].address.ends_with(", Borgo"));
    let error = generate(&settings(3).unwrap()).unwrap_err();
    assert!(matches!(error, GenerateError::TooFewPops(1)), "{error}");
}
