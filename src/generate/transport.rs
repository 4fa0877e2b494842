//! Backbone and aggregation: rings of switches between two nodes of a real map, and places for the
//! OLTs on them.

use super::{GenerateError, GenerateSettings, Ring};
use crate::geography::{NamedArea, distance_metres};
use crate::topology::{Element, ElementKind, Link, NetworkDefinition, Position, Redundancy, Site};
use rand::{Rng, RngExt};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Switches of a ring.
const RING_SIZES: std::ops::RangeInclusive<usize> = 4..=8;
/// Most OLTs on one switch.
const OLTS_PER_SWITCH: usize = 3;
/// What an OLT serves on average, to tell how many rings will be needed.
const SUBSCRIBERS_PER_OLT: u32 = 400;
/// A ring ends at one of so many backbone nodes that are nearest.
const NEAR_POPS: usize = 3;
/// How often a point inside a municipality is tried.
const POINT_TRIES: usize = 100;

/// The network while it grows.
pub(super) struct Transport<'a> {
    pub(super) definition: NetworkDefinition,
    towns: Vec<Town<'a>>,
    total_weight: f64,
    pops: Vec<(String, Position)>,
    counters: BTreeMap<String, u32>,
    rings: u32,
    olts: u32,
}

struct Town<'a> {
    area: &'a NamedArea,
    centre: Position,
    /// Bigger ones have more people, roughly.
    weight: f64,
    code: String,
}

/// A ring with the places for its OLTs.
pub(super) struct PlacedRing<'a> {
    pub(super) ring: Ring,
    pub(super) olts: Vec<OltPlace<'a>>,
}

/// Where an OLT goes.
pub(super) struct OltPlace<'a> {
    /// What its id and those of everything behind it end in, for instance "vt-0003".
    pub(super) suffix: String,
    pub(super) area: &'a NamedArea,
    pub(super) position: Position,
    /// One switch, or two neighbouring ones.
    pub(super) switches: Vec<String>,
    /// The link of the ring that shares a duct with feeders of the OLT.
    pub(super) ring_link: String,
}

impl<'a> Transport<'a> {
    pub(super) fn new(settings: &'a GenerateSettings) -> Result<Self, GenerateError> {
        let towns: Vec<Town<'_>> = settings
            .municipalities
            .iter()
            .filter_map(|area| {
                Some(Town {
                    area,
                    centre: area.centroid()?,
                    weight: area.square_degrees(),
                    code: code(area),
                })
            })
            .collect();
        let total_weight: f64 = towns.iter().map(|town| town.weight).sum();
        if total_weight <= 0.0 {
            return Err(GenerateError::NoMunicipality);
        }
        let pops = pops(&settings.backbone);
        if pops.len() < 2 {
            return Err(GenerateError::TooFewPops(pops.len()));
        }
        Ok(Self {
            definition: settings.backbone.clone(),
            towns,
            total_weight,
            pops,
            counters: BTreeMap::new(),
            rings: 0,
            olts: 0,
        })
    }

    /// Adds a ring for some of the subscribers that remain.
    pub(super) fn add_ring(
        &mut self,
        remaining: u32,
        rng: &mut impl Rng,
    ) -> Result<PlacedRing<'a>, GenerateError> {
        self.rings += 1;
        let size = rng.random_range(RING_SIZES);
        let towns = self.neighbourhood(size, rng);
        let mut switches = Vec::with_capacity(size);
        for place in 0..size {
            // Consecutive switches share a town when there are fewer towns than switches.
            let town = towns[place * towns.len() / size];
            switches.push((town, self.add_switch(town, rng)?));
        }
        let ids: Vec<String> = switches.iter().map(|(_, id)| id.clone()).collect();
        let first = self.near_pop(self.towns[switches[0].0].centre, None, rng);
        let last = self.near_pop(self.towns[switches[size - 1].0].centre, Some(first), rng);
        let pops = [self.pops[first].0.clone(), self.pops[last].0.clone()];
        self.add_chain(&ids, &pops);
        let olts = self.olt_places(&switches, remaining, rng)?;
        Ok(PlacedRing {
            ring: Ring {
                switches: ids,
                pops,
            },
            olts,
        })
    }

    /// Up to `most` towns around one, from west to east.
    fn neighbourhood(&self, most: usize, rng: &mut impl Rng) -> Vec<usize> {
        let mut drawn = rng.random_range(0.0..self.total_weight);
        let mut home = self.towns.len() - 1;
        for (index, town) in self.towns.iter().enumerate() {
            if drawn < town.weight {
                home = index;
                break;
            }
            drawn -= town.weight;
        }
        let count = rng.random_range(2..=most).min(self.towns.len());
        let centre = self.towns[home].centre;
        let mut near: Vec<usize> = (0..self.towns.len()).collect();
        near.sort_by(|&a, &b| {
            let distance = |index: usize| distance_metres(self.towns[index].centre, centre);
            distance(a).total_cmp(&distance(b))
        });
        near.truncate(count);
        near.sort_by(|&a, &b| {
            let longitude = |index: usize| self.towns[index].centre.longitude;
            longitude(a).total_cmp(&longitude(b))
        });
        near
    }

    fn add_switch(&mut self, town: usize, rng: &mut impl Rng) -> Result<String, GenerateError> {
        let area = self.towns[town].area;
        let position = point_inside(area, rng)?;
        let id = self.next_id("agg", town);
        self.add_placed(&id, ElementKind::Switch, area.name(), position);
        Ok(id)
    }

    /// "agg-vt-0001", "agg-vt-0002", ...
    fn next_id(&mut self, prefix: &str, town: usize) -> String {
        let stem = format!("{prefix}-{}", self.towns[town].code);
        let number = self.counters.entry(stem.clone()).or_default();
        *number += 1;
        format!("{stem}-{number:04}")
    }

    fn add_placed(&mut self, id: &str, kind: ElementKind, town: &str, position: Position) {
        let site = format!("site-{id}");
        self.definition.sites.push(Site {
            id: site.clone(),
            name: format!("{town}, {id}"),
            position: Some(position),
        });
        self.definition.elements.push(Element {
            id: id.to_owned(),
            kind,
            name: town.to_owned(),
            site: Some(site),
            gateway: false,
            transit: None,
            redundancy: None,
            battery_minutes: None,
        });
    }

    /// One of the backbone nodes that are nearest, but not `except`.
    fn near_pop(&self, position: Position, except: Option<usize>, rng: &mut impl Rng) -> usize {
        let mut near: Vec<usize> = (0..self.pops.len())
            .filter(|&index| Some(index) != except)
            .collect();
        near.sort_by(|&a, &b| {
            let distance = |index: usize| distance_metres(self.pops[index].1, position);
            distance(a).total_cmp(&distance(b))
        });
        near[rng.random_range(0..near.len().min(NEAR_POPS))]
    }

    fn ring_link(&self, place: usize) -> String {
        format!("lnk-ring-{:04}-{place}", self.rings)
    }

    /// Link 0 leads from the first node to the first switch, link n to the n-th switch from the one
    /// before, and the last link from the second node to the last switch.
    fn add_chain(&mut self, switches: &[String], pops: &[String; 2]) {
        let count = switches.len();
        for place in 0..=count {
            let (a, b) = if place == 0 {
                (&pops[0], &switches[0])
            } else if place == count {
                (&pops[1], &switches[count - 1])
            } else {
                (&switches[place - 1], &switches[place])
            };
            let link = Link {
                id: self.ring_link(place),
                a: a.clone(),
                b: b.clone(),
                transit: None,
            };
            self.definition.links.push(link);
        }
    }

    /// Spreads OLTs evenly over the switches; every second one hangs on the next switch as well.
    fn olt_places(
        &mut self,
        switches: &[(usize, String)],
        remaining: u32,
        rng: &mut impl Rng,
    ) -> Result<Vec<OltPlace<'a>>, GenerateError> {
        let size = switches.len();
        let wanted = rng.random_range(size..=size * OLTS_PER_SWITCH);
        let needed = remaining.div_ceil(SUBSCRIBERS_PER_OLT) as usize;
        // A network that would fit on one ring still gets two, or it has no neighbours.
        let most = if self.rings == 1 {
            needed.div_ceil(2)
        } else {
            needed
        };
        let count = wanted.min(most).max(1);
        let mut places = Vec::with_capacity(count);
        for number in 0..count {
            let at = number * size / count;
            let (town, switch) = &switches[at];
            let neighbour = if at + 1 < size { at + 1 } else { at - 1 };
            let mut parents = vec![switch.clone()];
            let redundancy = (self.olts % 2 == 1).then_some(Redundancy::Any);
            if redundancy.is_some() {
                parents.push(switches[neighbour].1.clone());
            }
            self.olts += 1;
            let area = self.towns[*town].area;
            let position = point_inside(area, rng)?;
            let id = self.next_id("olt", *town);
            self.add_placed(&id, ElementKind::Olt, area.name(), position);
            if let Some(olt) = self.definition.elements.last_mut() {
                olt.redundancy = redundancy;
            }
            places.push(OltPlace {
                suffix: id.trim_start_matches("olt-").to_owned(),
                area,
                position,
                switches: parents,
                ring_link: self.ring_link(at.max(neighbour)),
            });
        }
        Ok(places)
    }
}

/// A point inside, on the grid of [`rounded`] positions.
fn point_inside(area: &NamedArea, rng: &mut impl Rng) -> Result<Position, GenerateError> {
    for _ in 0..POINT_TRIES {
        let Some(point) = area.random_point(rng) else {
            break;
        };
        let point = rounded(point);
        if area.contains(point) {
            return Ok(point);
        }
    }
    Err(GenerateError::NoRoom(area.name().to_owned()))
}

/// To 6 decimals, about 0.1 m: as precise as an address is, and the same on every machine.
pub(super) fn rounded(position: Position) -> Position {
    let round = |degrees: f64| (degrees * 1e6).round() / 1e6;
    Position {
        latitude: round(position.latitude),
        longitude: round(position.longitude),
    }
}

/// The province, or else the first letters of the name, in lower case.
fn code(area: &NamedArea) -> String {
    let province = area.property("prov_acr");
    let text = if province.is_empty() {
        area.name()
    } else {
        province
    };
    let letters: String = text
        .chars()
        .filter(char::is_ascii_alphabetic)
        .take(3)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if letters.is_empty() {
        "xx".to_owned()
    } else {
        letters
    }
}

/// Backbone nodes with a position that a gateway reaches, without the gateways.
fn pops(backbone: &NetworkDefinition) -> Vec<(String, Position)> {
    let mut neighbours: HashMap<&str, Vec<&str>> = HashMap::new();
    for link in &backbone.links {
        neighbours.entry(&link.a).or_default().push(&link.b);
        neighbours.entry(&link.b).or_default().push(&link.a);
    }
    let gateways = backbone.elements.iter().filter(|element| element.gateway);
    let mut open: Vec<&str> = gateways.map(|element| element.id.as_str()).collect();
    let mut reached: HashSet<&str> = HashSet::new();
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            open.extend(neighbours.get(id).into_iter().flatten());
        }
    }
    let positions: HashMap<&str, Position> = backbone
        .sites
        .iter()
        .filter_map(|site| Some((site.id.as_str(), site.position?)))
        .collect();
    backbone
        .elements
        .iter()
        .filter(|element| !element.gateway && reached.contains(element.id.as_str()))
        .filter_map(|element| {
            let position = positions.get(element.site.as_deref()?)?;
            Some((element.id.clone(), *position))
        })
        .collect()
}
