//! Topology from a GraphML map as the Internet Topology Zoo writes it.
//!
//! Every node becomes a router, every edge a link. Real maps repeat labels, lack coordinates, have
//! parallel edges (kept, each with an id of its own), edges from a node to itself (left out: they
//! carry nothing) and parts that are not connected.

use super::fields::{PositionFields, parse_position};
use super::record::{ReadError, RecordErrors};
use super::{Element, ElementKind, Link, NetworkDefinition, Site};
use roxmltree::{Document, Node};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Longest label that becomes an id, in bytes; a longer one leaves room for nothing else.
const LONGEST_LABEL: usize = 100;

/// Which nodes of a map supply service. A map does not say, so whoever reads it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayRule {
    /// Nodes outside the network that the map shows (Internal = 0): its peers and upstreams.
    External,
    /// In every connected part the so many nodes with the most edges; at a tie, the first.
    MostConnected(usize),
    /// The nodes with these ids: the label, or `label#node` where a label repeats.
    Named(Vec<String>),
}

/// Reads a map. `file` is the name that errors give.
pub fn read_graphml(
    text: &str,
    file: &str,
    gateways: Option<&GatewayRule>,
) -> Result<NetworkDefinition, ReadError> {
    let Some(rule) = gateways else {
        return Err(ReadError::Gateways {
            file: file.to_owned(),
            problem:
                "a map does not say where service comes from: name the gateways or a rule for \
                      them"
                    .to_owned(),
        });
    };
    let mut errors = RecordErrors::of_file(file);
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let line = u64::from(error.pos().row);
            errors.add(line, "record", "", format!("well-formed XML: {error}"));
            return Err(errors.into());
        }
    };
    let mut map = Map::default();
    map.read(&document, &mut errors);
    let map = errors.unless_any(map)?;
    map.into_network(rule)
        .map_err(|problem| ReadError::Gateways {
            file: file.to_owned(),
            problem,
        })
}

/// What a map says, nodes by position in the file.
#[derive(Default)]
struct Map {
    nodes: Vec<MapNode>,
    edges: Vec<(usize, usize)>,
}

struct MapNode {
    xml_id: String,
    label: String,
    external: bool,
    position: Option<super::Position>,
}

impl Map {
    fn read(&mut self, document: &Document<'_>, errors: &mut RecordErrors) {
        let line_of = |node: Node<'_, '_>| u64::from(document.text_pos_at(node.range().start).row);
        // GraphML names attributes by keys such as "d31", which each file gives anew.
        let keys: HashMap<(&str, &str), &str> = named(document, "key")
            .filter_map(|key| {
                let id = key.attribute("id")?;
                Some(((key.attribute("for")?, id), key.attribute("attr.name")?))
            })
            .collect();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for node in named(document, "node") {
            let line = line_of(node);
            let Some(xml_id) = node.attribute("id") else {
                errors.add(line, "node id", "", "an id of the node");
                continue;
            };
            if places.insert(xml_id, self.nodes.len()).is_some() {
                errors.add(line, "node id", xml_id, "unique among the nodes");
            }
            self.nodes
                .push(read_node(xml_id, node, &keys, line, errors));
        }
        if self.nodes.is_empty() {
            errors.add(1, "record", "", "a GraphML map with nodes");
        }
        for edge in named(document, "edge") {
            let mut end = |field| {
                let id = edge.attribute(field).unwrap_or_default();
                let place = places.get(id).copied();
                if place.is_none() {
                    errors.add(line_of(edge), field, id, "the id of a node of this map");
                }
                place
            };
            if let (Some(a), Some(b)) = (end("source"), end("target"))
                && a != b
            {
                self.edges.push((a, b));
            }
        }
    }

    fn into_network(self, rule: &GatewayRule) -> Result<NetworkDefinition, String> {
        let mut taken = HashSet::new();
        let ids = self.element_ids(&mut taken);
        let gateways = self.gateways(rule, &ids)?;
        let mut network = NetworkDefinition::default();
        for (place, node) in self.nodes.iter().enumerate() {
            let site = node.position.map(|_| format!("site-{}", ids[place]));
            if let Some(id) = &site {
                network.sites.push(Site {
                    id: id.clone(),
                    name: node.label.clone(),
                    position: node.position,
                });
            }
            network.elements.push(Element {
                id: ids[place].clone(),
                kind: ElementKind::Router,
                name: node.label.clone(),
                site,
                gateway: gateways.contains(&place),
                transit: None,
                redundancy: None,
                battery_minutes: None,
            });
        }
        for &(a, b) in &self.edges {
            let id = unused(&format!("lnk-{}--{}", ids[a], ids[b]), &mut taken);
            network.links.push(Link {
                id,
                a: ids[a].clone(),
                b: ids[b].clone(),
                transit: None,
            });
        }
        Ok(network)
    }

    /// The label where it is there and no other node has it, else `label#node`.
    fn element_ids(&self, taken: &mut HashSet<String>) -> Vec<String> {
        let mut uses: HashMap<&str, u32> = HashMap::new();
        for node in &self.nodes {
            *uses.entry(node.label.as_str()).or_default() += 1;
        }
        let plain = |node: &MapNode| {
            !node.label.is_empty()
                && node.label.len() <= LONGEST_LABEL
                && uses[node.label.as_str()] == 1
        };
        let unique = self.nodes.iter().filter(|node| plain(node));
        taken.extend(unique.map(|node| node.label.clone()));
        self.nodes
            .iter()
            .map(|node| {
                if plain(node) {
                    return node.label.clone();
                }
                let label = if node.label.len() > LONGEST_LABEL {
                    ""
                } else {
                    &node.label
                };
                unused(&format!("{label}#{}", node.xml_id), taken)
            })
            .collect()
    }

    fn gateways(&self, rule: &GatewayRule, ids: &[String]) -> Result<BTreeSet<usize>, String> {
        let places = 0..self.nodes.len();
        match rule {
            GatewayRule::External => {
                let external: BTreeSet<usize> =
                    places.filter(|&place| self.nodes[place].external).collect();
                if external.is_empty() {
                    return Err(
                        "the map has no external nodes (Internal = 0): name the gateways, or take the \
                                most connected nodes"
                        .to_owned(),
                    );
                }
                Ok(external)
            }
            GatewayRule::MostConnected(count) => Ok(self.most_connected(*count)),
            GatewayRule::Named(names) => {
                let place_of = |name: &String| ids.iter().position(|id| id == name);
                let unknown = names.iter().filter(|name| place_of(name).is_none());
                let unknown: Vec<String> = unknown.map(|name| format!("\"{name}\"")).collect();
                if !unknown.is_empty() {
                    return Err(format!(
                        "no node {} to be a gateway; a node is named by its label, or by \
                         label#node where the label repeats or is missing",
                        unknown.join(" or ")
                    ));
                }
                Ok(names.iter().filter_map(place_of).collect())
            }
        }
    }

    fn most_connected(&self, count: usize) -> BTreeSet<usize> {
        let mut degree = vec![0_usize; self.nodes.len()];
        let mut neighbours = vec![Vec::new(); self.nodes.len()];
        for &(a, b) in &self.edges {
            degree[a] += 1;
            degree[b] += 1;
            neighbours[a].push(b);
            neighbours[b].push(a);
        }
        let mut part_of = vec![usize::MAX; self.nodes.len()];
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for start in 0..self.nodes.len() {
            let mut open = vec![start];
            while let Some(place) = open.pop() {
                if part_of[place] == usize::MAX {
                    part_of[place] = start;
                    parts.entry(start).or_default().push(place);
                    open.extend(&neighbours[place]);
                }
            }
        }
        let mut chosen = BTreeSet::new();
        for part in parts.values_mut() {
            part.sort_by_key(|&place| (std::cmp::Reverse(degree[place]), place));
            chosen.extend(part.iter().take(count));
        }
        chosen
    }
}

/// All elements of that local name, in document order.
fn named<'a, 'input>(
    document: &'a Document<'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    document
        .descendants()
        .filter(move |node| node.is_element() && node.tag_name().name() == name)
}

fn read_node(
    xml_id: &str,
    node: Node<'_, '_>,
    keys: &HashMap<(&str, &str), &str>,
    line: u64,
    errors: &mut RecordErrors,
) -> MapNode {
    let mut read = MapNode {
        xml_id: xml_id.to_owned(),
        label: String::new(),
        external: false,
        position: None,
    };
    let mut position = PositionFields::default();
    for data in node.children().filter(Node::is_element) {
        let text = data.text().unwrap_or_default().trim();
        let key = data.attribute("key").unwrap_or_default();
        match keys.get(&("node", key)).copied() {
            // Labels become ids, so white space in them is made plain.
            Some("label") => {
                read.label = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            Some("Internal") => read.external = text == "0",
            Some("Latitude") => position.latitude = degrees(text, "Latitude", line, errors),
            Some("Longitude") => position.longitude = degrees(text, "Longitude", line, errors),
            _ => {}
        }
    }
    read.position = parse_position(errors, line, Some(position));
    read
}

fn degrees(text: &str, field: &str, line: u64, errors: &mut RecordErrors) -> Option<f64> {
    let degrees = text.parse().ok();
    if degrees.is_none() {
        errors.add(line, field, text, "a number");
    }
    degrees
}

/// `wanted`, or the first of `wanted#2`, `wanted#3`, ... that nothing has yet; takes it.
fn unused(wanted: &str, taken: &mut HashSet<String>) -> String {
    let mut id = wanted.to_owned();
    let mut number = 2;
    while !taken.insert(id.clone()) {
        id = format!("{wanted}#{number}");
        number += 1;
    }
    id
}
