//! The index of premises against one test per premise.

use super::{MUNICIPALITIES, at, municipality, read, town};
use forewarn::geography::{
    Area, AreaDocument, METRES_PER_DEGREE, Neighbour, PremisesIndex, are_within, distance_metres,
    offset, read_geojson,
};
use forewarn::topology::{Network, Position, SubscriberSet};
use geo::{Distance as _, Geodesic, Point};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Who lives inside, looked at one by one.
fn one_by_one(network: &Network, positions: &[Option<Position>], area: &Area) -> SubscriberSet {
    let ranks = (0..).zip(positions).filter_map(|(no, position)| {
        let inside = position.is_some_and(|position| area.contains(position));
        let rank = network.rank_of(forewarn::topology::SubscriberNo(no));
        inside.then_some((rank, rank + 1))
    });
    SubscriberSet::from_runs(ranks.collect())
}

/// Points of a coarse grid, so that many lie on borders and at the same place, and points anywhere.
fn position() -> impl Strategy<Value = Option<Position>> {
    prop_oneof![
        8 => (-10..=10_i32, -10..=10_i32).prop_map(|(y, x)| Some(at(y.into(), x.into()))),
        4 => (-10.0..10.0, -10.0..10.0).prop_map(|(y, x)| Some(at(y, x))),
        2 => (-90.0..=90.0, -180.0..=180.0).prop_map(|(y, x)| Some(at(y, x))),
        1 => (-10..=10_i32, 170..=190_i32).prop_map(|(y, x)| {
            let x = if x > 180 { x - 360 } else { x };
            Some(at(y.into(), x.into()))
        }),
        1 => Just(None),
    ]
}

/// A ring of any form, mostly with crossings.
fn ring() -> impl Strategy<Value = Vec<[f64; 2]>> {
    let corner = prop_oneof![
        3 => (-11..=11_i32, -11..=11_i32).prop_map(|(x, y)| [f64::from(x), f64::from(y)]),
        1 => (-11.0..11.0, -11.0..11.0).prop_map(|(x, y)| [x, y]),
    ];
    let anywhere = proptest::collection::vec(corner, 3..12);
    let across = (165..=179_i32, -179..=-165_i32, -11..=0_i32, 1..=11_i32).prop_map(
        |(west, east, south, north)| {
            let [west, east, south, north] = [west, east, south, north].map(f64::from);
            vec![[west, south], [east, south], [east, north], [west, north]]
        },
    );
    prop_oneof![5 => anywhere, 1 => across].prop_map(|mut ring| {
        ring.push(ring[0]);
        ring
    })
}

fn any_area() -> impl Strategy<Value = Area> {
    let polygons = proptest::collection::vec(proptest::collection::vec(ring(), 1..4), 1..4);
    let polygons = polygons.prop_filter_map("without size", |parts| {
        let text = json!({"type": "MultiPolygon", "coordinates": parts}).to_string();
        read_geojson(&text).ok().map(|read| read.area)
    });
    let disc = (-90.0..=90.0, -180.0..=180.0, 1.0..5_000_000.0)
        .prop_map(|(y, x, radius_m)| Area::within_metres(at(y, x), radius_m).unwrap());
    let near = (-10.0..=10.0, -10.0..=10.0, 1.0..1_000_000.0)
        .prop_map(|(y, x, radius_m)| Area::within_metres(at(y, x), radius_m).unwrap());
    prop_oneof![6 => polygons, 1 => disc, 1 => near]
}

/// The premises nearest to those of a subscriber, by looking at all of them: rank and metres squared.
fn nearest_one_by_one(
    network: &Network,
    positions: &[Option<Position>],
    of: usize,
    most: usize,
    within_metres: f64,
) -> Vec<(u32, f64)> {
    let Some(here) = positions[of] else {
        return Vec::new();
    };
    // 180 degrees east is 180 degrees west.
    let east_of_greenwich = |degrees: f64| if degrees >= 180.0 { -180.0 } else { degrees };
    let below_pole = |degrees: f64| {
        if degrees >= 90.0 {
            90.0_f64.next_down()
        } else {
            degrees
        }
    };
    let latitude = below_pole(here.latitude);
    let per_degree = METRES_PER_DEGREE * latitude.to_radians().cos();
    let mut others: Vec<(u32, f64)> = (0..)
        .zip(positions)
        .filter(|(no, _)| *no as usize != of)
        .filter_map(|(no, there)| {
            let there = (*there)?;
            let away = east_of_greenwich(there.longitude) - east_of_greenwich(here.longitude);
            let east = away * per_degree;
            let north = (below_pole(there.latitude) - latitude) * METRES_PER_DEGREE;
            let rank = network.rank_of(forewarn::topology::SubscriberNo(no));
            Some((rank, east * east + north * north))
        })
        .filter(|(_, squared)| *squared <= within_metres * within_metres)
        .collect();
    others.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    others.truncate(most);
    others
}

proptest! {
    #![proptest_config(crate::support::draws(96))]

    #[test]
    fn the_nearest_premises_are_those_that_looking_at_all_finds(
        positions in proptest::collection::vec(position(), 1..1_500),
        asked in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0..40_usize, 1.0..3_000_000.0), 20),
    ) {
        let (network, map) = town(&positions);
        for (of, most, within_metres) in asked {
            let of = of.index(positions.len());
            let rank = network.rank_of(forewarn::topology::SubscriberNo(u32::try_from(of).unwrap()));
            let found = map.premises.nearest(rank, most, within_metres);
            let squared = |n: &Neighbour| n.east_metres * n.east_metres + n.north_metres * n.north_metres;
            let found: Vec<(u32, f64)> = found.iter().map(|n| (n.rank, squared(n))).collect();
            let expected = nearest_one_by_one(&network, &positions, of, most, within_metres);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_index_finds_exactly_who_lives_inside(
        positions in proptest::collection::vec(position(), 0..1_500),
        areas in proptest::collection::vec(any_area(), 4),
    ) {
        let (network, map) = town(&positions);
        for area in &areas {
            let inside = map.inside(area);
            prop_assert_eq!(&inside.subscribers, &one_by_one(&network, &positions, area));
            prop_assert_eq!(&inside.subscribers, &map.premises.within(area));
            let mut places: Vec<(u64, u64)> = positions
                .iter()
                .flatten()
                .filter(|position| area.contains(**position))
                // 180 degrees east and west are one, and so are the two zeros.
                .map(|p| (p.latitude + 0.0, if p.longitude >= 180.0 { -180.0 } else { p.longitude + 0.0 }))
                .map(|(y, x)| (y.to_bits(), x.to_bits()))
                .collect();
            places.sort_unstable();
            places.dedup();
            prop_assert_eq!(inside.premises, places.len());
        }
    }

    #[test]
    fn a_disc_holds_what_a_geodesic_of_its_radius_reaches(
        (y, x) in (-90.0..=90.0_f64, -180.0..=180.0_f64),
        (north, east) in (-1.0..1.0_f64, -1.0..1.0_f64),
        radius_m in 1.0..200_000.0_f64,
    ) {
        let (centre, other) = (at(y, x), at((y + north).clamp(-90.0, 90.0), x + east));
        prop_assume!((-180.0..=180.0).contains(&other.longitude));
        let point = |p: Position| Point::new(p.longitude, p.latitude);
        let apart = Geodesic.distance(point(centre), point(other));
        let disc = Area::within_metres(centre, radius_m).unwrap();
        prop_assert_eq!(disc.contains(other), apart <= radius_m);
    }

    #[test]
    fn sets_of_ranks_are_the_same_however_they_are_made(
        ranks in proptest::collection::btree_set(0..500_u32, 0..300),
    ) {
        let runs = ranks.iter().map(|&rank| (rank, rank + 1)).collect();
        let expected = SubscriberSet::from_runs(runs);
        prop_assert_eq!(&SubscriberSet::from_ascending(ranks.iter().copied()), &expected);
        let mut words = vec![0_u64; 8];
        for rank in ranks {
            words[rank as usize / 64] |= 1 << (rank % 64);
        }
        prop_assert_eq!(&SubscriberSet::from_bits(&words), &expected);
    }
}

#[test]
fn every_municipality_of_lazio_is_found_exactly() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let positions: Vec<Option<Position>> = (0..3_000)
        .map(|_| {
            let latitude = rng.random_range(40.78..42.84);
            Some(at(latitude, rng.random_range(11.44..14.03)))
        })
        .collect();
    let (network, map) = town(&positions);
    let all: Value = serde_json::from_str(MUNICIPALITIES).unwrap();
    let mut held = 0;
    for feature in all["features"].as_array().unwrap() {
        let area = read(&feature.to_string()).area;
        let inside = map.premises.within(&area);
        assert_eq!(inside, one_by_one(&network, &positions, &area));
        held += inside.len();
    }
    // Most of the rectangle is Lazio or the sea.
    assert!(held > 900, "{held}");
}

#[test]
fn an_index_without_premises_finds_nobody() {
    let document = AreaDocument::Geojson {
        text: municipality("Roma").to_string(),
    };
    let area = document.read().unwrap().area;
    let index = PremisesIndex::build(&Network::empty(), &[]);
    assert!(index.within(&area).is_empty());
    let (_, map) = town(&[None, None]);
    assert!(map.premises.within(&area).is_empty());
}

proptest! {
    #![proptest_config(crate::support::draws(256))]

    #[test]
    fn what_is_within_a_distance_is_no_farther_away(
        latitude in -80.0..80.0_f64,
        longitude in -179.0..179.0_f64,
        north in -3_000.0..3_000.0_f64,
        east in -3_000.0..3_000.0_f64,
        metres in 1.0..4_000.0_f64,
    ) {
        let here = Position { latitude, longitude };
        let there = offset(here, north, east);
        let distance = distance_metres(here, there);
        // Where the two ways to reckon may differ in the last digit, nothing is asked.
        prop_assume!((distance - metres).abs() > 1e-3);
        prop_assert_eq!(are_within(here, there, metres), distance <= metres);
    }
}
