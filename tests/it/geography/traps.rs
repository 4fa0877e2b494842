//! What goes wrong with areas, one test for each trap.

use super::{
    MUNICIPALITIES, area, at, codes, fault, municipality, polygon, read, rectangle, refused, town,
};
use forewarn::geography::{Area, AreaFault, AreaWarning, read_cap, read_geojson};
use forewarn::topology::Position;
use serde_json::{Value, json};

fn alert(area: &str) -> String {
    format!(
        "<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\"><identifier>i</identifier>\
         <sender>s</sender><sent>2026-03-10T09:00:00+01:00</sent><status>Actual</status>\
         <msgType>Alert</msgType><scope>Public</scope><info><event>Flood</event>\
         <area><areaDesc>A</areaDesc>{area}</area></info></alert>"
    )
}

const ROME: Position = Position {
    latitude: 41.8902,
    longitude: 12.4922,
};

#[test]
fn longitude_comes_first_in_geojson_and_latitude_in_cap() {
    let geojson = area(&[&rectangle(12.4, 12.6, 41.8, 42.0)]);
    assert!(geojson.contains(ROME));
    let polygon = "<polygon>41.8,12.4 41.8,12.6 42.0,12.6 42.0,12.4 41.8,12.4</polygon>";
    let cap = read_cap(&alert(polygon)).unwrap().area.unwrap();
    assert!(cap.area.contains(ROME));
    assert_eq!(cap.area, geojson);
    let circle = read_cap(&alert("<circle>41.8902,12.4922 2.5</circle>")).unwrap();
    assert!(circle.area.unwrap().area.contains(ROME));
}

#[test]
fn swapped_axes_are_noticed_by_who_would_live_there() {
    let (_, map) = town(&[Some(ROME), None]);
    let swapped = area(&[&rectangle(41.8, 42.0, 12.4, 12.6)]);
    let inside = map.inside(&swapped);
    assert!(inside.subscribers.is_empty());
    assert_eq!(
        inside.warnings,
        [
            AreaWarning::HoldsNobody,
            AreaWarning::AxesSwapped { subscribers: 1 },
            AreaWarning::Unplaced {
                subscribers: 1,
                of: 2
            },
        ]
    );
    let swapped = Area::within_metres(at(ROME.longitude, ROME.latitude), 500.0).unwrap();
    let warnings = map.inside(&swapped).warnings;
    assert!(warnings.contains(&AreaWarning::AxesSwapped { subscribers: 1 }));
    // With the right axes nothing is said of it.
    let right = map.inside(&area(&[&rectangle(12.4, 12.6, 41.8, 42.0)]));
    assert_eq!(right.subscribers.len(), 1);
    assert_eq!(right.warnings.len(), 1);
    // Of a latitude that can only be a longitude the error says so.
    let error = refused(&polygon(&[&rectangle(41.8, 42.0, 112.4, 112.6)])).swap_remove(0);
    assert_eq!(
        error.to_string(),
        "geometry.coordinates[0][0]: latitude 112.4 is not between -90 and 90; are latitude and \
         longitude swapped?"
    );
}

#[test]
fn the_vatican_is_not_in_rome() {
    let rome = read(&municipality("Roma").to_string());
    assert!(rome.area.contains(ROME));
    let saint_peter = at(41.9022, 12.4568);
    assert!(!rome.area.contains(saint_peter));
    // The hole alone is what keeps it out.
    let mut filled = municipality("Roma");
    let parts = filled["geometry"]["coordinates"].as_array_mut().unwrap();
    for part in parts {
        part.as_array_mut().unwrap().truncate(1);
    }
    assert!(read(&filled.to_string()).area.contains(saint_peter));
}

#[test]
fn clockwise_outlines_are_accepted() {
    let ring = rectangle(12.0, 13.0, 41.0, 42.0);
    let hole = rectangle(12.4, 12.6, 41.4, 41.6);
    let reversed = |ring: &[[f64; 2]; 4]| {
        let mut ring = *ring;
        ring.reverse();
        ring
    };
    for outline in [ring, reversed(&ring)] {
        for hole in [hole, reversed(&hole)] {
            let read = read(&polygon(&[&outline, &hole]));
            assert_eq!(read.warnings, []);
            assert!(read.area.contains(at(41.2, 12.2)));
            assert!(!read.area.contains(at(41.5, 12.5)));
        }
    }
    // All 378 of the real file are clockwise.
    let all: Value = serde_json::from_str(MUNICIPALITIES).unwrap();
    for feature in all["features"].as_array().unwrap() {
        let read = read_geojson(&feature.to_string());
        assert!(read.is_ok(), "{}: {read:?}", feature["properties"]["name"]);
    }
}

/// Fiji, more or less.
const WEST: Position = Position {
    latitude: -17.0,
    longitude: 179.0,
};
const EAST: Position = Position {
    latitude: -17.0,
    longitude: -179.0,
};

#[test]
fn an_area_that_is_cut_at_the_antimeridian_lies_on_both_sides_of_it() {
    // RFC 7946, 3.1.9.
    let cut = json!({"type": "MultiPolygon", "coordinates": [
        [[[177.0, -19.0], [180.0, -19.0], [180.0, -16.0], [177.0, -16.0], [177.0, -19.0]]],
        [[[-180.0, -19.0], [-178.0, -19.0], [-178.0, -16.0], [-180.0, -16.0], [-180.0, -19.0]]],
    ]});
    let read = read(&cut.to_string());
    assert_eq!(read.warnings, []);
    let seam = [at(-17.0, 180.0), at(-17.0, -180.0)];
    for inside in [WEST, EAST, seam[0], seam[1]] {
        assert!(read.area.contains(inside), "{inside:?}");
    }
    assert!(!read.area.contains(at(-17.0, 0.0)));
    let (_, map) = town(&[Some(WEST), Some(EAST), Some(seam[0]), Some(at(-17.0, 0.0))]);
    assert_eq!(map.premises.within(&read.area).len(), 3);
}

#[test]
fn an_uncut_ring_is_taken_the_short_way_across_the_antimeridian() {
    let uncut = [
        [177.0, -19.0],
        [-178.0, -19.0],
        [-178.0, -16.0],
        [177.0, -16.0],
    ];
    let read = read(&polygon(&[&uncut]));
    assert_eq!(codes(&read), ["crosses_antimeridian"]);
    for inside in [WEST, EAST, at(-17.0, 180.0), at(-17.0, -180.0)] {
        assert!(read.area.contains(inside), "{inside:?}");
    }
    for outside in [
        at(-17.0, 0.0),
        at(-17.0, 176.9),
        at(-17.0, -177.9),
        at(-15.0, 179.0),
    ] {
        assert!(!read.area.contains(outside), "{outside:?}");
    }
    // A slanting border is cut where neighbours cut it, in either direction.
    let north = area(&[&[[170.0, 10.0], [-170.0, 13.0], [-170.0, 20.0], [170.0, 20.0]]]);
    let south = area(&[&[[-170.0, 0.0], [-170.0, 13.0], [170.0, 10.0], [170.0, 0.0]]]);
    for step in 0..=1_000 {
        let latitude = 9.0 + f64::from(step) * 0.005;
        for longitude in [180.0, -180.0, 179.3, -179.3] {
            let place = at(latitude, longitude);
            assert!(north.contains(place) != south.contains(place), "{place:?}");
        }
    }
    let disc = Area::within_metres(at(-17.0, 179.95), 20_000.0).unwrap();
    assert!(disc.contains(at(-17.0, -179.95)) && !disc.contains(at(-17.0, -179.0)));
}

#[test]
fn a_ring_around_a_pole_is_refused_and_one_along_it_is_not() {
    let around = [[0.0, 70.0], [120.0, 70.0], [-120.0, 70.0]];
    assert_eq!(fault(&polygon(&[&around])), AreaFault::AroundPole);
    // As Antarctica is drawn: along the antimeridian to the pole, along it, and back.
    let along = [
        [-180.0, -90.0],
        [-180.0, -70.0],
        [0.0, -65.0],
        [180.0, -70.0],
        [180.0, -90.0],
    ];
    let antarctica = read(&polygon(&[&along]));
    assert_eq!(antarctica.warnings, []);
    let south_pole = at(-90.0, 12.0);
    assert!(antarctica.area.contains(at(-80.0, 100.0)) && antarctica.area.contains(south_pole));
    assert!(!antarctica.area.contains(at(-60.0, 0.0)));
    let arctic = area(&[&rectangle(-180.0, 180.0, 80.0, 90.0)]);
    assert!(arctic.contains(at(90.0, 12.0)) && arctic.contains(at(85.0, -33.0)));
    // A disc needs no such care.
    let disc = Area::within_metres(at(89.9, 0.0), 50_000.0).unwrap();
    assert!(disc.contains(at(89.9, 180.0)) && disc.contains(at(90.0, 77.0)));
    let (_, map) = town(&[Some(at(89.9, 180.0)), Some(at(89.0, 180.0))]);
    assert_eq!(map.premises.within(&disc).len(), 1);
}

#[test]
fn a_ring_that_crosses_itself_is_reported() {
    let bow_tie = [[0.0, 1.0], [2.0, 3.0], [2.0, 1.0], [0.0, 3.0]];
    let crossing = read(&polygon(&[&bow_tie]));
    assert_eq!(codes(&crossing), ["self_crossing"]);
    assert!(crossing.area.contains(at(2.0, 1.9)) && crossing.area.contains(at(2.0, 0.1)));
    assert!(!crossing.area.contains(at(2.9, 1.0)));
    // So is a hole that reaches over the outline.
    let outline = rectangle(0.0, 10.0, 1.0, 10.0);
    let crossing = read(&polygon(&[&outline, &rectangle(9.0, 12.0, 4.0, 6.0)]));
    assert_eq!(codes(&crossing), ["self_crossing"]);
    // Touching in a point is allowed.
    let hole = [[0.0, 5.0], [3.0, 4.0], [3.0, 6.0]];
    assert_eq!(read(&polygon(&[&outline, &hole])).warnings, []);
}

/// Inside, one by one, by the index of premises, and in whole cells of it.
#[track_caller]
fn assert_inside(area: &Area, inside: &[Position], outside: &[Position]) {
    for (places, expected) in [(inside, true), (outside, false)] {
        for &place in places {
            assert_eq!(area.contains(place), expected, "{place:?}");
            // So many at one place fill whole cells.
            let (_, map) = town(&vec![Some(place); 300]);
            let found = map.premises.within(area).len();
            assert_eq!(found, if expected { 300 } else { 0 }, "{place:?}");
        }
    }
    let all: Vec<Option<Position>> = inside.iter().chain(outside).copied().map(Some).collect();
    let (_, map) = town(&all);
    assert_eq!(map.premises.within(area).len(), inside.len());
}

#[test]
fn nothing_is_inside_of_a_hole_that_lies_outside_the_outline() {
    let outline = rectangle(0.0, 10.0, 1.0, 10.0);
    let beside = rectangle(12.0, 14.0, 4.0, 6.0);
    let read_area = read(&polygon(&[
        &outline,
        &beside,
        &rectangle(2.0, 4.0, 4.0, 6.0),
    ]));
    assert_eq!(codes(&read_area), ["hole_outside"]);
    assert_eq!(
        read_area.warnings[0].to_string(),
        "geometry.coordinates[1]: a hole does not lie within the outline; what is inside of it is \
         not inside the area"
    );
    let (inside, outside) = ([at(5.0, 1.0), at(5.0, 9.0)], [at(5.0, 13.0), at(5.0, 3.0)]);
    assert_inside(&read_area.area, &inside, &outside);
    // In a bay of the outline, which is all around it, whatever side it touches.
    let bay = [
        [0.0, 0.0],
        [9.0, 0.0],
        [9.0, 9.0],
        [6.0, 9.0],
        [6.0, 3.0],
        [3.0, 3.0],
        [3.0, 9.0],
        [0.0, 9.0],
    ];
    let free = rectangle(4.0, 5.0, 4.0, 5.0);
    let touching = [[3.0, 6.0], [5.0, 5.0], [5.0, 7.0]];
    for hole in [&free[..], &touching[..]] {
        let read_area = read(&polygon(&[&bay, hole]));
        assert_eq!(codes(&read_area), ["hole_outside"]);
        assert_inside(
            &read_area.area,
            &[at(5.0, 1.0)],
            &[at(4.5, 4.5), at(6.0, 4.5)],
        );
    }
    // Along the border, which it shares.
    let read_area = read(&polygon(&[&outline, &rectangle(10.0, 12.0, 4.0, 6.0)]));
    assert_eq!(codes(&read_area), ["self_crossing", "hole_outside"]);
    assert_inside(
        &read_area.area,
        &[at(5.0, 9.0)],
        &[at(5.0, 11.0), at(5.0, 10.0)],
    );
    // Within it, all corners on it: nothing is wrong.
    let inscribed = [[0.0, 5.0], [5.0, 1.0], [10.0, 5.0], [5.0, 10.0]];
    let read_area = read(&polygon(&[&outline, &inscribed]));
    assert_eq!(read_area.warnings, []);
    assert_inside(&read_area.area, &[at(2.0, 1.0)], &[at(5.0, 5.0)]);
}

#[test]
fn a_hole_around_the_outline_leaves_nothing() {
    let outline = rectangle(4.0, 6.0, 4.0, 6.0);
    let read_area = read(&polygon(&[&outline, &rectangle(0.0, 10.0, 1.0, 10.0)]));
    assert_eq!(codes(&read_area), ["hole_outside"]);
    assert_inside(&read_area.area, &[], &[at(5.0, 5.0), at(2.0, 2.0)]);
}

#[test]
fn nothing_is_inside_of_a_hole_within_a_hole() {
    let outline = rectangle(0.0, 10.0, 1.0, 10.0);
    let (hole, island) = (rectangle(2.0, 8.0, 2.0, 8.0), rectangle(6.0, 7.0, 6.0, 7.0));
    let nested = read(&polygon(&[&outline, &hole, &island]));
    assert_eq!(codes(&nested), ["holes_overlap"]);
    assert_eq!(
        nested.warnings[0].to_string(),
        "geometry.coordinates[2]: a hole overlaps another one; what is inside of either is not \
         inside the area"
    );
    assert_inside(&nested.area, &[at(9.0, 9.0)], &[at(6.5, 6.5), at(3.0, 3.0)]);
    // An island is a polygon of its own.
    let closed = |ring: &[[f64; 2]; 4]| -> Vec<[f64; 2]> { [&ring[..], &ring[..1]].concat() };
    let parts = json!({"type": "MultiPolygon", "coordinates": [
        [closed(&outline), closed(&hole)], [closed(&island)]
    ]});
    let islands = read(&parts.to_string());
    assert_eq!(islands.warnings, []);
    let inside = [at(9.0, 9.0), at(6.5, 6.5)];
    assert_inside(&islands.area, &inside, &[at(3.0, 3.0)]);
    // Each polygon has holes of its own.
    let parts = json!({"type": "MultiPolygon", "coordinates": [
        [closed(&rectangle(20.0, 30.0, 1.0, 10.0)), closed(&hole)], [closed(&outline)]
    ]});
    let apart = read(&parts.to_string());
    assert_eq!(codes(&apart), ["hole_outside"]);
    assert_inside(
        &apart.area,
        &[at(3.0, 3.0), at(3.0, 25.0)],
        &[at(3.0, 15.0)],
    );
}

#[test]
fn a_hole_that_reaches_over_the_outline_takes_away_only() {
    let outline = rectangle(0.0, 10.0, 1.0, 10.0);
    let over = read(&polygon(&[&outline, &rectangle(9.0, 12.0, 4.0, 6.0)]));
    assert_eq!(codes(&over), ["self_crossing"]);
    let outside = [at(5.0, 9.5), at(5.0, 11.0)];
    assert_inside(&over.area, &[at(5.0, 8.0), at(7.0, 9.5)], &outside);
}

#[test]
fn holes_lie_where_they_lie_on_both_sides_of_the_antimeridian() {
    let outline = rectangle(177.0, -178.0, -19.0, -16.0);
    let east = rectangle(-179.5, -178.5, -18.0, -17.0);
    let west = rectangle(177.5, 178.5, -18.0, -17.0);
    let across = rectangle(179.5, -179.8, -18.0, -17.0);
    let fine = read(&polygon(&[&outline, &east, &west]));
    assert_eq!(codes(&fine), ["crosses_antimeridian"]);
    let holes = [at(-17.5, -179.0), at(-17.5, 178.0)];
    assert_inside(&fine.area, &[WEST, at(-16.5, -179.0)], &holes);
    let fine = read(&polygon(&[&outline, &across]));
    assert_eq!(
        codes(&fine),
        ["crosses_antimeridian", "crosses_antimeridian"]
    );
    assert_inside(
        &fine.area,
        &[WEST, EAST],
        &[at(-17.5, 180.0), at(-17.5, -179.9)],
    );
    // Out of reach on the other side, and over the border there.
    let beyond = read(&polygon(&[
        &outline,
        &rectangle(-177.0, -176.0, -18.0, -17.0),
    ]));
    assert_eq!(codes(&beyond), ["crosses_antimeridian", "hole_outside"]);
    assert_inside(&beyond.area, &[WEST, EAST], &[at(-17.5, -176.5)]);
    let over = read(&polygon(&[
        &outline,
        &rectangle(-179.0, -177.0, -18.0, -17.0),
    ]));
    assert_eq!(codes(&over), ["crosses_antimeridian", "self_crossing"]);
    assert_inside(&over.area, &[WEST], &[at(-17.5, -178.5), at(-17.5, -177.5)]);
    let other_side = read(&polygon(&[&west, &across]));
    assert_eq!(codes(&other_side), ["crosses_antimeridian", "hole_outside"]);
    assert_inside(&other_side.area, &[at(-17.5, 178.0)], &[at(-17.5, 180.0)]);
}

#[test]
fn a_point_on_a_border_belongs_to_one_of_two_neighbours() {
    let west = area(&[&rectangle(12.0, 12.5, 41.0, 42.0)]);
    let east = area(&[&rectangle(12.5, 13.0, 41.0, 42.0)]);
    let on_border = at(41.3, 12.5);
    assert!(!west.contains(on_border) && east.contains(on_border));
    let north = area(&[&rectangle(12.0, 13.0, 42.0, 43.0)]);
    let on_corner = at(42.0, 12.5);
    assert!(north.contains(on_corner) && !west.contains(on_corner) && !east.contains(on_corner));
}

#[test]
fn no_corner_of_a_real_municipality_lies_in_two_of_them() {
    let all: Value = serde_json::from_str(MUNICIPALITIES).unwrap();
    let features = all["features"].as_array().unwrap();
    let areas: Vec<Area> = features.iter().map(|f| read(&f.to_string()).area).collect();
    let mut corners = Vec::new();
    for feature in features {
        let geometry = &feature["geometry"];
        let parts = match geometry["type"].as_str() {
            Some("Polygon") => vec![geometry["coordinates"].clone()],
            _ => geometry["coordinates"].as_array().unwrap().clone(),
        };
        for ring in parts.iter().flat_map(|part| part.as_array().unwrap()) {
            for corner in ring.as_array().unwrap().iter().skip(1) {
                let degrees = |axis: usize| corner[axis].as_f64().unwrap();
                corners.push(Some(at(degrees(1), degrees(0))));
            }
        }
    }
    corners.sort_by(|a, b| {
        let key = |p: &Option<Position>| p.map(|p| (p.longitude, p.latitude)).unwrap();
        key(a).partial_cmp(&key(b)).unwrap()
    });
    corners.dedup();
    let (network, map) = town(&corners);
    let mut held = vec![0; corners.len()];
    for area in &areas {
        let inside = map.premises.within(area);
        for subscriber in network.subscribers(&inside) {
            held[subscriber.0 as usize] += 1;
        }
    }
    let twice: Vec<_> = (0..held.len()).filter(|&no| held[no] > 1).collect();
    assert!(twice.is_empty(), "{} corners, {twice:?}", corners.len());
    // Inland corners are held by one; only those of the outer border of the region may be by none.
    let once = held.iter().filter(|&&times| times == 1).count();
    assert!(once > corners.len() * 8 / 10, "{once} of {}", corners.len());
}

#[test]
fn metres_are_not_degrees() {
    for latitude in [0.5, 41.9, 60.0, -60.0, 80.0] {
        let disc = Area::within_metres(at(latitude, 12.0), 1_000.0).unwrap();
        // Lengths of a degree on WGS 84: north by the radius of the meridian, east by the other.
        let (sin, cos) = latitude.to_radians().sin_cos();
        let (a, e2) = (6_378_137.0_f64, 0.006_694_379_990_14);
        let w2: f64 = 1.0 - e2 * sin * sin;
        let north = (a * (1.0 - e2) / w2.powf(1.5)).to_radians();
        let east = (a * cos / w2.sqrt()).to_radians();
        for (metres, inside) in [(999.0, true), (1_001.0, false)] {
            assert_eq!(
                disc.contains(at(latitude + metres / north, 12.0)),
                inside,
                "{latitude}"
            );
            assert_eq!(
                disc.contains(at(latitude, 12.0 - metres / east)),
                inside,
                "{latitude}"
            );
        }
    }
}

#[test]
fn premises_at_zero_zero_are_in_no_area_but_one_that_covers_it() {
    let (_, map) = town(&[Some(at(0.0, 0.0)), Some(ROME)]);
    let rome = map.inside(&read(&municipality("Roma").to_string()).area);
    assert_eq!((rome.subscribers.len(), rome.warnings.len()), (1, 0));
    let gulf = area(&[&rectangle(-1.0, 1.0, -1.0, 1.0)]);
    let inside = map.inside(&gulf);
    assert_eq!(inside.subscribers.len(), 1);
    assert_eq!(inside.warnings, [AreaWarning::NullIsland { premises: 1 }]);
    let beside = map.inside(&area(&[&rectangle(0.5, 1.0, -1.0, 1.0)]));
    assert_eq!(beside.warnings, [AreaWarning::HoldsNobody]);
}

#[test]
fn an_area_that_holds_nobody_is_reported() {
    let (_, map) = town(&[Some(ROME)]);
    let sea = Area::within_metres(at(41.5, 12.0), 5.0).unwrap();
    let inside = map.inside(&sea);
    assert_eq!(inside.warnings, [AreaWarning::HoldsNobody]);
    assert_eq!((inside.premises, inside.elements.len()), (0, 0));
    let (_, empty) = town(&[]);
    assert_eq!(empty.inside(&sea).warnings, [AreaWarning::HoldsNobody]);
}

#[test]
fn an_unclosed_ring_is_refused_with_its_place() {
    let open = json!({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": null, "geometry":
            {"type": "Polygon", "coordinates": [[[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]]}},
        {"type": "Feature", "properties": {}, "geometry":
            {"type": "MultiPolygon", "coordinates": [[[[1, 1], [2, 1], [2, 2], [1, 2]]]]}},
    ]});
    let errors = refused(&open.to_string());
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].place, "features[1].geometry.coordinates[0][0]");
    assert_eq!(errors[0].fault, AreaFault::UnclosedRing);
    let errors = read_cap(&alert("<polygon>41,12 41,13 42,13 42,12</polygon>")).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "info[1].area[1].polygon[1]: the ring is not closed: its last point must repeat its first"
    );
}

#[test]
fn too_few_points_are_refused() {
    let two = json!({"type": "Polygon", "coordinates": [[[1, 1], [2, 2], [1, 1]]]});
    assert_eq!(fault(&two.to_string()), AreaFault::TooFewPoints(3));
    let none = json!({"type": "Polygon", "coordinates": [[]]});
    assert_eq!(fault(&none.to_string()), AreaFault::TooFewPoints(0));
    let no_rings = json!({"type": "Polygon", "coordinates": []});
    assert_eq!(fault(&no_rings.to_string()), AreaFault::NoShape);
}

#[test]
fn coordinates_out_of_range_are_refused() {
    let beyond = rectangle(170.0, 190.0, 1.0, 2.0);
    assert_eq!(
        fault(&polygon(&[&beyond])),
        AreaFault::Longitude("190".to_owned())
    );
    // Projected metres, as a file in another reference system has them.
    let metres = rectangle(291_000.0, 292_000.0, 4_640_000.0, 4_641_000.0);
    let AreaFault::Latitude(value) = fault(&polygon(&[&metres])) else {
        panic!("a northing is no latitude");
    };
    assert_eq!(value, "4640000");
}

#[test]
fn what_is_not_a_number_is_refused() {
    for (shape, value) in [
        ("<polygon>NaN,12 41,13 42,13 NaN,12</polygon>", "NaN"),
        ("<polygon>41;12</polygon>", "41;12"),
        ("<polygon>41,12E 41,13 42,13 41,12E</polygon>", "12E"),
        ("<circle>41,12 inf</circle>", "inf"),
        ("<circle>41,12 -3</circle>", "-3000"),
    ] {
        let errors = read_cap(&alert(shape)).unwrap_err();
        assert!(errors[0].to_string().contains(value), "{}", errors[0]);
    }
    for (latitude, longitude, radius_m) in [
        (f64::NAN, 12.0, 100.0),
        (41.0, f64::INFINITY, 100.0),
        (41.0, 12.0, f64::NAN),
        (41.0, 12.0, 0.0),
        (41.0, 12.0, -1.0),
        (41.0, 12.0, 1e9),
        (91.0, 12.0, 100.0),
    ] {
        assert!(Area::within_metres(at(latitude, longitude), radius_m).is_err());
    }
    assert!(read_geojson(r#"{"type":"Polygon","coordinates":[[[null,1],[2,2],[3,1]]]}"#).is_err());
    let (_, map) = town(&[Some(at(f64::NAN, 12.0)), Some(at(41.0, 512.0))]);
    assert_eq!(map.premises.placed(), 0);
}

#[test]
fn an_area_without_size_is_refused() {
    let line = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]];
    assert_eq!(fault(&polygon(&[&line])), AreaFault::NoSize);
    let point = [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]];
    assert_eq!(fault(&polygon(&[&point])), AreaFault::NoSize);
    // A hole without size is left out, and said.
    let read = read(&polygon(&[&rectangle(0.0, 5.0, 1.0, 5.0), &line]));
    assert_eq!(codes(&read), ["no_size"]);
    assert!(read.area.contains(at(2.0, 2.0)));
}

#[test]
fn what_is_no_area_is_refused_by_name() {
    for (document, says) in [
        ("", "GeoJSON"),
        ("{}", "GeoJSON"),
        (r#"{"type":"Point","coordinates":[12.5,41.9]}"#, "Point"),
        (
            r#"{"type":"Feature","properties":null,"geometry":null}"#,
            "no polygon and no circle",
        ),
        (
            r#"{"type":"Feature","properties":null,"geom":null}"#,
            "a feature without the member `geometry`",
        ),
        (
            r#"{"type":"FeatureCollection","features":[]}"#,
            "no polygon and no circle",
        ),
        (
            r#"{"type":"GeometryCollection","geometries":[]}"#,
            "no polygon and no circle",
        ),
    ] {
        let error = refused(document).swap_remove(0).to_string();
        assert!(error.contains(says), "{document}: {error}");
    }
}

#[test]
fn a_collection_is_the_union_of_its_features() {
    let square = |west: f64| -> Value {
        let geometry: Value =
            serde_json::from_str(&polygon(&[&rectangle(west, west + 2.0, 1.0, 3.0)])).unwrap();
        json!({"type": "Feature", "properties": {}, "geometry": geometry})
    };
    // They overlap: what lies in both lies inside.
    let both = json!({"type": "FeatureCollection", "features": [square(1.0), square(2.0)]});
    let both = read(&both.to_string()).area;
    for longitude in [1.5, 2.5, 3.5] {
        assert!(both.contains(at(2.0, longitude)));
    }
    let (_, map) = town(&[Some(at(2.0, 2.5)), Some(at(2.0, 3.5)), Some(at(2.0, 5.0))]);
    assert_eq!(map.premises.within(&both).len(), 2);
}

/// RFC 7946, 3.2: the geometry of a feature that is located nowhere is null.
#[test]
fn a_feature_without_geometry_is_left_out_and_said() {
    let square: Value = serde_json::from_str(&polygon(&[&rectangle(1.0, 3.0, 1.0, 3.0)])).unwrap();
    let features = json!([
        {"type": "Feature", "properties": {}, "geometry": square},
        {"type": "Feature", "properties": {"name": "Riverside"}, "geometry": null},
        {"type": "Feature", "properties": null, "geometry": null},
    ]);
    let read = read(&json!({"type": "FeatureCollection", "features": features}).to_string());
    assert!(read.area.contains(at(2.0, 2.0)));
    let warnings: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "features[1]: \"Riverside\" has no polygon and no circle; it was left out",
            "features[2]: it has no polygon and no circle, and was left out",
        ]
    );

    // A name that was mistyped is no such feature.
    let features = json!([
        {"type": "Feature", "properties": {}, "geometry": square},
        {"type": "Feature", "properties": {}, "geom": square},
    ]);
    let errors = refused(&json!({"type": "FeatureCollection", "features": features}).to_string());
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].place, "features[1]");
}

#[test]
fn an_outline_with_too_many_points_is_refused() {
    let mut ring: Vec<[f64; 2]> = (0..=forewarn::geography::MOST_POINTS)
        .map(|no| {
            let turn = std::f64::consts::TAU * no as f64 / 200_001.0;
            [10.0 + turn.cos(), 45.0 + turn.sin()]
        })
        .collect();
    ring.push(ring[0]);
    assert_eq!(fault(&polygon(&[&ring])), AreaFault::TooManyPoints);
}
