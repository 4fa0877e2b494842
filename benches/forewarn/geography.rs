//! Areas to subscribers: how fast, in how much memory, beside `PostGIS` with a `GiST` index and the
//! crate `geo` on the same premises.

mod peers;

use crate::figure::Figure;
use forewarn::generate::{GenerateSettings, embedded_municipalities, generate};
use forewarn::geography::{Area, NetworkMap, PremisesIndex, read_geojson};
use forewarn::topology::{Attachment, Network, Position};
use std::hint::black_box;
use std::time::{Duration, Instant};

const SUBSCRIBERS: u32 = 1 << 20;
const SIZE: &str = "1M subscribers";
/// Subscribers of the city that is asked for: the outline of Rome is grown until it holds about so many.
const CITY: usize = 40_000;
const CITY_GOAL_MS: f64 = 2.0;
const ALL_GOAL_S: f64 = 0.15;

/// A municipality, as all who are measured read it.
struct Municipality {
    name: String,
    geojson: String,
    area: Area,
}

pub(crate) fn run() -> Vec<Figure> {
    let generated = generate(&GenerateSettings::embedded(SUBSCRIBERS, 1).unwrap()).unwrap();
    let positions: Vec<Option<Position>> =
        generated.subscribers.iter().map(|s| s.position).collect();
    let attachments = generated.subscribers.into_iter().map(|s| Attachment {
        account: s.account,
        served_by: s.served_by,
        redundancy: s.redundancy,
    });
    let attachments: Vec<Attachment> = attachments.collect();
    let network = Network::build(&generated.definition, &attachments).unwrap();
    drop((attachments, generated.definition));
    let municipalities = municipalities();

    let mut figures = Vec::new();
    let build = fastest(3, || {
        drop(black_box(PremisesIndex::build(&network, &positions)));
    });
    let map = NetworkMap::build(&network, &positions);
    let index = &map.premises;
    let counts: Vec<usize> = municipalities
        .iter()
        .map(|one| index.within(&one.area).len())
        .collect();
    let rome = municipalities.iter().find(|one| one.name == "Roma");
    let shape = grown(rome.unwrap(), index);
    let city = index.within(&shape.area).len();
    let peers = peers::Peers::measure(&positions, &municipalities, &counts, &shape, city);

    let each = index.resident_bytes() as f64 / index.placed() as f64;
    let bytes = figure("memory of the index", each, "bytes/premises");
    figures.push(peers.beside(
        bytes,
        |all| all.postgis.as_ref().map(|p| p.index_bytes),
        "GiST",
    ));
    let build = figure("build of the index", build.as_secs_f64(), "s");
    figures.push(peers.beside(build, |all| all.postgis.as_ref().map(|p| p.build_s), "GiST"));

    let what = format!(
        "{}: {city} subscribers, {} edges",
        shape.name,
        shape.area.edge_count()
    );
    let ms = milliseconds(20, || drop(black_box(index.within(&shape.area))));
    let goal = format!("< {CITY_GOAL_MS} ms");
    let city_figure = figure(&what, ms, "ms").goal(goal.clone(), ms < CITY_GOAL_MS);
    figures.push(peers.beside(
        city_figure,
        |all| all.postgis.as_ref().map(|p| p.city_ms),
        "PostGIS, count only",
    ));
    let again = |peer: &str, value: f64| figure(&what, ms, "ms").against(peer, value, value / ms);
    figures.push(again(
        "geo, IntervalTreeMultiPolygon in its bounds",
        peers.tree_city_ms,
    ));
    figures.push(again(
        "geo, plain contains in its bounds",
        peers.plain_city_ms,
    ));
    let read = milliseconds(20, || {
        drop(black_box(read_geojson(&shape.geojson)));
    });
    figures.push(figure(
        format!("{}: reading its GeoJSON", shape.name),
        read,
        "ms",
    ));
    let inside = milliseconds(20, || drop(black_box(map.inside(&shape.area))));
    figures.push(figure(
        format!("{}: subscribers, premises and elements", shape.name),
        inside,
        "ms",
    ));

    let all = fastest(5, || {
        for one in &municipalities {
            black_box(index.within(&one.area));
        }
    });
    let all_s = all.as_secs_f64();
    let name = format!("all {} municipalities", municipalities.len());
    let total = figure(&name, all_s, "s").goal(format!("< {ALL_GOAL_S} s"), all_s < ALL_GOAL_S);
    figures.push(peers.beside(
        total,
        |all| all.postgis.as_ref().map(|p| p.all_s),
        "PostGIS, count only",
    ));
    let tree = peers.tree_all_s;
    figures.push(figure(&name, all_s, "s").against(
        "geo, IntervalTreeMultiPolygon, R-tree of bounds",
        tree,
        tree / all_s,
    ));

    let centre = positions.iter().flatten().nth(positions.len() / 2).unwrap();
    for radius_m in [500.0, 5_000.0, 50_000.0] {
        let disc = Area::within_metres(*centre, radius_m).unwrap();
        let held = index.within(&disc).len();
        let us = milliseconds(20, || drop(black_box(index.within(&disc)))) * 1e3;
        let name = format!("within {radius_m} m: {held} subscribers");
        let peer = peers.disc_us(*centre, radius_m, held);
        let disc = figure(name, us, "µs");
        figures.push(match peer {
            Some(peer_us) => disc.against("PostGIS, count only", peer_us, peer_us / us),
            None => disc,
        });
    }
    figures
}

fn figure(what: impl Into<String>, value: f64, unit: &'static str) -> Figure {
    Figure::new(what, value, unit, SIZE)
}

fn municipalities() -> Vec<Municipality> {
    let all: serde_json::Value = serde_json::from_str(embedded_municipalities()).unwrap();
    let features = all["features"].as_array().unwrap().iter();
    features
        .map(|feature| {
            let geojson = feature["geometry"].to_string();
            Municipality {
                name: feature["properties"]["name"].as_str().unwrap().to_owned(),
                area: read_geojson(&geojson).unwrap().area,
                geojson,
            }
        })
        .collect()
}

/// The longest outline of a municipality, grown about its middle until it holds about [`CITY`].
fn grown(municipality: &Municipality, index: &PremisesIndex) -> Municipality {
    let geometry: serde_json::Value = serde_json::from_str(&municipality.geojson).unwrap();
    let parts: Vec<Vec<Vec<[f64; 2]>>> =
        serde_json::from_value(geometry["coordinates"].clone()).unwrap();
    let outlines = parts.into_iter().map(|mut rings| rings.swap_remove(0));
    let outline = outlines.max_by_key(Vec::len).unwrap();
    let mean =
        |axis: usize| outline.iter().map(|point| point[axis]).sum::<f64>() / outline.len() as f64;
    let middle = [mean(0), mean(1)];
    let by = |factor: f64| {
        let grow = |axis: usize, value: f64| middle[axis] + (value - middle[axis]) * factor;
        let ring = outline.iter().map(|p| [grow(0, p[0]), grow(1, p[1])]);
        let ring: Vec<[f64; 2]> = ring.collect();
        let geojson = serde_json::json!({"type": "Polygon", "coordinates": [ring]}).to_string();
        Municipality {
            name: "city".to_owned(),
            area: read_geojson(&geojson).unwrap().area,
            geojson,
        }
    };
    let (mut low, mut high) = (0.5, 3.0);
    for _ in 0..20 {
        let middle = f64::midpoint(low, high);
        if index.within(&by(middle).area).len() < CITY {
            low = middle;
        } else {
            high = middle;
        }
    }
    by(high)
}

fn milliseconds(times: usize, work: impl FnMut()) -> f64 {
    fastest(times, work).as_secs_f64() * 1e3
}

fn fastest(times: usize, mut work: impl FnMut()) -> Duration {
    let time = |()| {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    std::iter::repeat_n((), times)
        .map(time)
        .min()
        .unwrap_or_default()
}
