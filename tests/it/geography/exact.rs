//! Inside or outside, exactly: against the crate `geo` at points moved off the borders, and by
//! tilings of the plane.

use super::{at, read};
use forewarn::geography::Area;
use geo::{Contains as _, Coord, LineString, MultiPolygon, Point, Polygon};
use proptest::prelude::*;
use serde_json::json;

type Ring = Vec<[i32; 2]>;

/// A ring around a centre with corners on the grid, none of whose edges comes near the centre.
fn star(radius: std::ops::Range<f64>) -> impl Strategy<Value = Ring> {
    let corner = (0.0..0.9_f64, radius);
    proptest::collection::vec(corner, 8..16).prop_map(|corners| {
        let count = corners.len() as f64;
        let corner = |(no, (turn, radius)): (usize, &(f64, f64))| {
            let angle = std::f64::consts::TAU * (no as f64 + turn) / count;
            #[allow(clippy::cast_possible_truncation, reason = "small numbers")]
            let round = |value: f64| value.round() as i32;
            [round(radius * angle.cos()), round(radius * angle.sin())]
        };
        let mut ring: Ring = corners.iter().enumerate().map(corner).collect();
        ring.dedup();
        ring
    })
}

/// Outline and hole around a centre, in either direction, beginning anywhere.
fn part() -> impl Strategy<Value = Vec<Ring>> {
    let centre = (-40..40_i32, -40..40_i32);
    let turn = (any::<prop::sample::Index>(), any::<bool>());
    (
        star(20.0..30.0),
        star(5.0..9.0),
        any::<bool>(),
        centre,
        turn,
    )
        .prop_map(
            |(outline, hole, has_hole, (east, north), (first, backwards))| {
                let place = |ring: Ring| -> Ring {
                    let mut ring: Ring = ring.iter().map(|[x, y]| [x + east, y + north]).collect();
                    let first = first.index(ring.len());
                    ring.rotate_left(first);
                    if backwards {
                        ring.reverse();
                    }
                    ring
                };
                let mut rings = vec![place(outline)];
                if has_hole {
                    rings.push(place(hole));
                }
                rings
            },
        )
}

fn ours(parts: &[Vec<Ring>]) -> Area {
    let closed = |ring: &Ring| -> Ring { ring.iter().chain(ring.first()).copied().collect() };
    let parts: Vec<Vec<Ring>> = parts
        .iter()
        .map(|rings| rings.iter().map(closed).collect())
        .collect();
    read(&json!({"type": "MultiPolygon", "coordinates": parts}).to_string()).area
}

fn theirs(parts: &[Vec<Ring>]) -> MultiPolygon<f64> {
    let line = |ring: &Ring| -> LineString<f64> {
        let corners = ring.iter().chain(ring.first());
        corners
            .map(|&[x, y]| Coord {
                x: x.into(),
                y: y.into(),
            })
            .collect()
    };
    let polygon = |rings: &Vec<Ring>| {
        let mut lines = rings.iter().map(line);
        Polygon::new(lines.next().unwrap(), lines.collect())
    };
    parts.iter().map(polygon).collect()
}

/// A step to the east, and a far smaller one to the north. Edges between points of the grid that are
/// at most some hundred steps long pass no other point of the grid nearer than a hundredth.
const EASTWARD: f64 = 1.0 / 1_024.0;
const NORTHWARD: f64 = EASTWARD / 1_024.0;

proptest! {
    #![proptest_config(crate::support::draws(64))]

    #[test]
    fn a_point_is_inside_as_geo_says_of_the_point_a_step_to_the_east(
        parts in proptest::collection::vec(part(), 1..3),
    ) {
        let (area, reference) = (ours(&parts), theirs(&parts));
        for x in -72..=72_i32 {
            for y in -72..=72_i32 {
                let moved = Point::new(f64::from(x) + EASTWARD, f64::from(y) + NORTHWARD);
                prop_assert_eq!(
                    area.contains(at(y.into(), x.into())),
                    reference.contains(&moved),
                    "{} {}", x, y
                );
            }
        }
    }

    #[test]
    fn tiles_of_the_plane_hold_each_point_once(
        jitter in proptest::collection::vec((-4..=4_i32, -4..=4_i32), 49),
        diagonals in proptest::collection::vec(any::<bool>(), 36),
        turns in proptest::collection::vec((0..3_usize, any::<bool>()), 72),
    ) {
        // A grid of seven by seven moved corners, each field cut into two triangles.
        let corner = |column: usize, row: usize| -> [i32; 2] {
            let (east, north) = jitter[row * 7 + column];
            let border = |at: usize| at == 0 || at == 6;
            let place = |at: usize, by: i32| {
                let at = i32::try_from(at).unwrap() * 10;
                if border(usize::try_from(at / 10).unwrap()) { at } else { at + by }
            };
            [place(column, east), place(row, north)]
        };
        let mut tiles = Vec::new();
        for row in 0..6 {
            for column in 0..6 {
                let [a, b] = [corner(column, row), corner(column + 1, row)];
                let [c, d] = [corner(column + 1, row + 1), corner(column, row + 1)];
                let halves = if diagonals[row * 6 + column] {
                    [[a, b, c], [a, c, d]]
                } else {
                    [[a, b, d], [b, c, d]]
                };
                for half in halves {
                    let (first, backwards) = turns[tiles.len()];
                    let mut ring = half.to_vec();
                    ring.rotate_left(first);
                    if backwards {
                        ring.reverse();
                    }
                    tiles.push(ring);
                }
            }
        }
        // A jittered field may fold over its diagonal; then its halves are no tiling.
        let twice_area = |ring: &Ring| {
            let [a, b, c] = [ring[0], ring[1], ring[2]];
            ((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])).abs()
        };
        let total: i32 = tiles.iter().map(twice_area).sum();
        prop_assume!(total == 2 * 60 * 60 && tiles.iter().all(|tile| twice_area(tile) > 0));
        let tiles: Vec<Area> = tiles.into_iter().map(|ring| ours(&[vec![ring]])).collect();
        for x in -1..=60_i32 {
            for y in -1..=60_i32 {
                let holds = tiles.iter().filter(|tile| tile.contains(at(y.into(), x.into())));
                let expected = usize::from((0..60).contains(&x) && (0..60).contains(&y));
                prop_assert_eq!(holds.count(), expected, "{} {}", x, y);
            }
        }
    }
}
