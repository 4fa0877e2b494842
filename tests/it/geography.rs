//! Areas: what is read of them, who and what lies inside, and how they are declared.

mod alerts;
mod batteries;
mod command;
mod exact;
mod index;
mod kept;
mod service;
mod traps;

use forewarn::geography::{
    Area, AreaError, AreaFault, AreaWarning, NetworkMap, ReadArea, read_geojson,
};
use forewarn::topology::{
    Attachment, Element, ElementKind, Network, NetworkDefinition, Position, Redundancy,
};
use serde_json::{Value, json};

/// 2026-03-10 10:00 in Rome.
const NOW_MS: i64 = 1_773_133_200_000;

const MUNICIPALITIES: &str = include_str!("../../fixtures/lazio-municipalities.geojson");

fn at(latitude: f64, longitude: f64) -> Position {
    Position {
        latitude,
        longitude,
    }
}

/// A polygon; each ring is closed here.
fn polygon(rings: &[&[[f64; 2]]]) -> String {
    let rings: Vec<Vec<[f64; 2]>> = rings
        .iter()
        .map(|ring| ring.iter().chain(ring.first()).copied().collect())
        .collect();
    json!({"type": "Polygon", "coordinates": rings}).to_string()
}

fn read(geojson: &str) -> ReadArea {
    read_geojson(geojson).unwrap()
}

fn area(rings: &[&[[f64; 2]]]) -> Area {
    read(&polygon(rings)).area
}

/// A rectangle between two longitudes and two latitudes.
fn rectangle(west: f64, east: f64, south: f64, north: f64) -> [[f64; 2]; 4] {
    [[west, south], [east, south], [east, north], [west, north]]
}

#[track_caller]
fn refused(geojson: &str) -> Vec<AreaError> {
    read_geojson(geojson).unwrap_err()
}

#[track_caller]
fn fault(geojson: &str) -> AreaFault {
    refused(geojson).swap_remove(0).fault
}

fn codes(read: &ReadArea) -> Vec<&'static str> {
    read.warnings.iter().map(AreaWarning::code).collect()
}

/// The feature of one municipality.
fn municipality(name: &str) -> Value {
    let all: Value = serde_json::from_str(MUNICIPALITIES).unwrap();
    let features = all["features"].as_array().unwrap();
    let found = features.iter().find(|f| f["properties"]["name"] == name);
    found.unwrap().clone()
}

/// A network of one gateway with a subscriber at each position.
fn town(positions: &[Option<Position>]) -> (Network, NetworkMap) {
    let definition = NetworkDefinition {
        elements: vec![Element {
            id: "bng".to_owned(),
            kind: ElementKind::Bng,
            name: String::new(),
            site: None,
            gateway: true,
            transit: None,
            redundancy: None,
            battery_minutes: None,
        }],
        ..NetworkDefinition::default()
    };
    let attachments: Vec<Attachment> = (0..positions.len())
        .map(|no| Attachment {
            account: format!("A{no}"),
            served_by: vec!["bng".to_owned()],
            redundancy: Redundancy::Any,
        })
        .collect();
    let network = Network::build(&definition, &attachments).unwrap();
    let map = NetworkMap::build(&network, positions);
    (network, map)
}
