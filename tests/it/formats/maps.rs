//! Maps as GraphML.

use super::*;

const MAP: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key attr.name="label" attr.type="string" for="edge" id="d1" />
  <key attr.name="label" attr.type="string" for="node" id="d2" />
  <key attr.name="Internal" attr.type="int" for="node" id="d3" />
  <key attr.name="Latitude" attr.type="double" for="node" id="d4" />
  <key attr.name="Longitude" attr.type="double" for="node" id="d5" />
  <graph edgedefault="undirected">
    <node id="0"><data key="d2">Rome  A</data><data key="d4">41.9</data><data key="d5">12.5</data></node>
    <node id="1"><data key="d2">Milan</data></node>
    <node id="2"><data key="d2">Milan</data><data key="d3">0</data></node>
    <node id="3"/>
    <node id="4"><data key="d2">Alone</data></node>
    <edge source="0" target="1"><data key="d1">one</data></edge>
    <edge source="0" target="1"/>
    <edge source="1" target="2"/>
    <edge source="2" target="2"/>
    <edge source="1" target="3"/>
  </graph>
</graphml>"#;

#[test]
fn a_map_keeps_parallel_edges_and_makes_ids_unique() {
    let network = read_graphml(MAP, "m.graphml", Some(&GatewayRule::External)).unwrap();
    let elements: Vec<_> = network
        .elements
        .iter()
        .map(|element| {
            (
                element.id.as_str(),
                element.gateway,
                element.site.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        elements,
        [
            ("Rome A", false, Some("site-Rome A")),
            ("Milan#1", false, None),
            ("Milan#2", true, None),
            ("#3", false, None),
            ("Alone", false, None),
        ]
    );
    let links: Vec<_> = network.links.iter().map(|link| link.id.as_str()).collect();
    assert_eq!(
        links,
        [
            "lnk-Rome A--Milan#1",
            "lnk-Rome A--Milan#1#2",
            "lnk-Milan#1--Milan#2",
            "lnk-Milan#1--#3",
        ]
    );
    assert_eq!(network.sites.len(), 1);
    let latitude = network.sites[0].position.unwrap().latitude;
    assert!((latitude - 41.9).abs() < 1e-12);
}

#[rstest]
#[case::external(GatewayRule::External, &["Milan#2"])]
#[case::most_connected(GatewayRule::MostConnected(1), &["Milan#1", "Alone"])]
#[case::most_connected_two(GatewayRule::MostConnected(2), &["Rome A", "Milan#1", "Alone"])]
#[case::named(GatewayRule::Named(vec!["Rome A".to_owned(), "#3".to_owned()]), &["Rome A", "#3"])]
fn gateways_of_a_map_follow_the_rule(#[case] rule: GatewayRule, #[case] expected: &[&str]) {
    let network = read_graphml(MAP, "m.graphml", Some(&rule)).unwrap();
    let gateways = network.elements.iter().filter(|element| element.gateway);
    let ids: Vec<_> = gateways.map(|element| element.id.as_str()).collect();
    assert_eq!(ids, expected);
}

#[test]
fn a_map_without_a_gateway_rule_or_with_an_idle_one_is_refused() {
    assert_eq!(
        messages(read_graphml(MAP, "m.graphml", None)),
        [
            "m.graphml: a map does not say where service comes from: name the gateways or a rule \
             for them"
        ]
    );
    let named = GatewayRule::Named(vec!["Milan".to_owned()]);
    assert_eq!(
        messages(read_graphml(MAP, "m.graphml", Some(&named))),
        [
            "m.graphml: no node \"Milan\" to be a gateway; a node is named by its label, or by \
             label#node where the label repeats or is missing"
        ]
    );
    let inside = MAP.replace("<data key=\"d3\">0</data>", "");
    let errors = messages(read_graphml(
        &inside,
        "m.graphml",
        Some(&GatewayRule::External),
    ));
    assert!(errors[0].contains("no external nodes"), "{errors:?}");
}

#[rstest]
#[case::broken(MAP.replace("</graph>", ""), "m.graphml:20: record: expected well-formed XML: ")]
#[case::entity(
    format!("<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>{}", &MAP[39..]),
    "m.graphml:1: record: expected well-formed XML: "
)]
#[case::edge(
    MAP.replace("target=\"3\"", "target=\"9\""),
    "m.graphml:18: target: \"9\" is not the id of a node of this map"
)]
#[case::degrees(MAP.replace("41.9", "north"), "m.graphml:9: Latitude: \"north\" is not a number")]
#[case::no_nodes("<graphml/>".to_owned(), "m.graphml:1: record: expected a GraphML map with nodes")]
fn a_wrong_map_is_explained(#[case] text: String, #[case] expected: &str) {
    let errors = messages(read_graphml(
        &text,
        "m.graphml",
        Some(&GatewayRule::External),
    ));
    assert!(errors[0].starts_with(expected), "{errors:?}");
}

#[test]
fn every_map_of_the_topology_zoo_is_read_whole() {
    let mut maps = 0;
    for entry in Path::new("fixtures/topology-zoo").read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "graphml")
        {
            continue;
        }
        maps += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.display().to_string();
        let rule = GatewayRule::MostConnected(1);
        let network = read_graphml(&text, &file, Some(&rule)).unwrap();
        let edges = text.matches("<edge ").count();
        let loops = self_loops(&text);
        assert_eq!(
            network.elements.len(),
            text.matches("<node ").count(),
            "{file}"
        );
        assert_eq!(network.links.len(), edges - loops, "{file}");
        let mut ids = HashSet::new();
        let elements = network.elements.iter().map(|element| &element.id);
        let links = network.links.iter().map(|link| &link.id);
        assert!(elements.chain(links).all(|id| ids.insert(id)), "{file}");
        // What a map becomes can be written and imported as a network.
        let mut jsonl = Vec::new();
        topology::write_jsonl(&network, &mut jsonl).unwrap();
        assert_eq!(
            read_topology(&jsonl[..], "n.jsonl", None).unwrap(),
            network,
            "{file}"
        );
    }
    assert!(maps > 0);
}

/// Edges from a node to itself, found without an XML parser.
fn self_loops(text: &str) -> usize {
    let end = |edge: &str, name: &str| {
        let (_, rest) = edge.split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    text.split("<edge ")
        .skip(1)
        .filter(|edge| end(edge, "source") == end(edge, "target"))
        .count()
}
