//! From rings as they are written to the edges of a polygon: checks, and the cut at the antimeridian.
//!
//! Every longitude of a ring is used as it was given, never shifted: two neighbours that share a
//! border across the antimeridian still share it to the last bit.

use super::holes;
use super::polygon::{Contour, Edge, Point, Polygon};
use super::problem::{AreaError, AreaFault, AreaWarning};
use robust::{Coord, orient2d};

/// A ring as it was written: longitude and latitude, the last point repeating the first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ring {
    pub(super) place: String,
    pub(super) points: Vec<Point>,
}

/// A longitude and a latitude in range.
pub(super) fn point(place: &str, longitude: f64, latitude: f64) -> Result<Point, AreaError> {
    let fault = if !longitude.is_finite() {
        AreaFault::NotANumber(longitude.to_string())
    } else if !latitude.is_finite() {
        AreaFault::NotANumber(latitude.to_string())
    } else if !(-90.0..=90.0).contains(&latitude) {
        AreaFault::Latitude(latitude.to_string())
    } else if !(-180.0..=180.0).contains(&longitude) {
        AreaFault::Longitude(longitude.to_string())
    } else {
        return Ok(Point {
            x: longitude,
            y: latitude,
        });
    };
    Err(AreaError::new(place, fault))
}

impl Ring {
    /// Refuses a ring that is open or too short.
    pub(super) fn new(place: String, points: Vec<Point>) -> Result<Self, AreaError> {
        let fault = if points.len() >= 2 && points.first() != points.last() {
            AreaFault::UnclosedRing
        } else if points.len() < 4 {
            AreaFault::TooFewPoints(points.len())
        } else {
            return Ok(Self { place, points });
        };
        Err(AreaError::new(place, fault))
    }
}

/// The polygon of some rings, the first of them the outline; `None` when the outline has no size.
///
/// # Errors
///
/// A ring that goes around a pole.
pub(super) fn polygon(
    rings: &[Ring],
    warnings: &mut Vec<AreaWarning>,
) -> Result<Option<Polygon>, AreaError> {
    let mut read: Vec<(&Ring, Contour)> = Vec::with_capacity(rings.len());
    let mut segments: Vec<(Point, Point)> = Vec::new();
    let mut of_outline = [0.0, 0.0];
    for (number, ring) in rings.iter().enumerate() {
        let turns = turns(ring)?;
        if turns.iter().any(|&turn| turn != 0) {
            let place = ring.place.clone();
            warnings.push(AreaWarning::CrossesAntimeridian { place });
        }
        let mut unrolled = unroll(ring, &turns);
        if has_no_size(&unrolled) {
            let place = ring.place.clone();
            warnings.push(AreaWarning::NoSize { place });
            if number == 0 {
                return Ok(None);
            }
            continue;
        }
        if number == 0 {
            of_outline = width(&unrolled);
        } else {
            bring_beside(&mut unrolled, of_outline);
        }
        segments.extend(unrolled.windows(2).map(|pair| (pair[0], pair[1])));
        read.push((ring, Contour::new(cut(ring, &turns))));
    }
    let Some(((ring, outline), holes)) = read.split_first() else {
        return Ok(None);
    };
    let place = ring.place.clone();
    let crossings = crossings(&mut segments);
    match crossings {
        Crossings::Some | Crossings::Overlaps => warnings.push(AreaWarning::SelfCrossing { place }),
        Crossings::None => {}
        Crossings::Unknown => warnings.push(AreaWarning::CrossingsUnchecked { place }),
    }
    let knows_sides = matches!(crossings, Crossings::None | Crossings::Overlaps);
    holes::look_at(outline, holes, knows_sides, warnings);
    let mut contours = read.into_iter().map(|(_, contour)| contour);
    let outline = contours.next();
    Ok(outline.map(|outline| Polygon {
        outline,
        holes: contours.collect(),
    }))
}

/// The westernmost and the easternmost longitude.
fn width(points: &[Point]) -> [f64; 2] {
    let both = [f64::INFINITY, f64::NEG_INFINITY];
    points
        .iter()
        .fold(both, |[west, east], p| [west.min(p.x), east.max(p.x)])
}

/// Moves an unrolled hole by a turn of the earth where only so it comes to lie at the outline.
fn bring_beside(hole: &mut [Point], [west, east]: [f64; 2]) {
    let own = width(hole);
    let meets = |turn: &f64| own[0] + turn <= east && own[1] + turn >= west;
    if let Some(turn) = [0.0, 360.0, -360.0].into_iter().find(meets) {
        for point in hole {
            point.x += turn;
        }
    }
}

/// For each edge: 1 when it crosses the antimeridian to the east, -1 to the west, else 0.
fn turns(ring: &Ring) -> Result<Vec<i32>, AreaError> {
    let points = &ring.points;
    let steps: Vec<f64> = points
        .windows(2)
        .map(|pair| pair[1].x - pair[0].x)
        .collect();
    let level = |index: usize| steps[index % steps.len()] == 0.0;
    let turns: Vec<i32> = (0..steps.len())
        .map(|index| {
            let step = steps[index];
            // The whole width of the map between two vertical edges is a parallel drawn in full, as
            // Antarctica is; anything else that long is an edge that was not cut.
            let whole = step.abs() >= 360.0;
            if whole && level(index + steps.len() - 1) && level(index + 1) {
                0
            } else if step < -180.0 {
                1
            } else if step > 180.0 {
                -1
            } else {
                0
            }
        })
        .collect();
    if turns.iter().sum::<i32>() != 0 {
        return Err(AreaError::new(ring.place.clone(), AreaFault::AroundPole));
    }
    Ok(turns)
}

/// The ring on a map that goes on beyond 180 degrees. Rounded: only for looking at its form.
fn unroll(ring: &Ring, turns: &[i32]) -> Vec<Point> {
    let mut turn = 0;
    let ahead = std::iter::once(&0).chain(turns);
    let shifted = ring.points.iter().zip(ahead).map(|(point, step)| {
        turn += step;
        Point {
            x: point.x + 360.0 * f64::from(turn),
            y: point.y,
        }
    });
    shifted.collect()
}

fn orientation(a: Point, b: Point, c: Point) -> f64 {
    let coord = |p: Point| Coord { x: p.x, y: p.y };
    orient2d(coord(a), coord(b), coord(c))
}

fn has_no_size(points: &[Point]) -> bool {
    let Some((&first, rest)) = points.split_first() else {
        return true;
    };
    let Some(&other) = rest.iter().find(|&&point| point != first) else {
        return true;
    };
    rest.iter().all(|&p| orientation(first, other, p) == 0.0)
}

/// The edges of a ring, those across the antimeridian in two pieces, with both sides closed.
fn cut(ring: &Ring, turns: &[i32]) -> Vec<Edge> {
    let mut edges = Vec::with_capacity(turns.len());
    let mut heights = Vec::new();
    for (pair, turn) in ring.points.windows(2).zip(turns) {
        let (from, to) = (pair[0], pair[1]);
        // Each edge is cut from its western end, so that a neighbour cuts at the same height.
        let (west, east) = match turn {
            1 => (from, to),
            -1 => (to, from),
            _ => {
                edges.push(Edge::new(from, to));
                continue;
            }
        };
        let (before, after) = (180.0 - west.x, east.x + 180.0);
        let share = if before + after > 0.0 {
            before / (before + after)
        } else {
            0.0
        };
        let y = west.y + (east.y - west.y) * share;
        edges.push(Edge::new(west, Point { x: 180.0, y }));
        edges.push(Edge::new(Point { x: -180.0, y }, east));
        heights.push(y);
    }
    heights.sort_unstable_by(f64::total_cmp);
    for pair in heights.chunks_exact(2) {
        for x in [180.0, -180.0] {
            edges.push(Edge::new(Point { x, y: pair[0] }, Point { x, y: pair[1] }));
        }
    }
    edges
}

/// Most pairs of segments that are compared: about a second.
const MOST_PAIRS: usize = 200_000_000;

/// How the segments of a polygon meet, touching in a point aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crossings {
    None,
    /// Some lie upon one another, but none crosses another.
    Overlaps,
    /// Two cross in a point inside of both.
    Some,
    /// There are too many pairs that might.
    Unknown,
}

fn crossings(segments: &mut [(Point, Point)]) -> Crossings {
    let west = |s: &(Point, Point)| s.0.x.min(s.1.x);
    let east = |s: &(Point, Point)| s.0.x.max(s.1.x);
    segments.sort_unstable_by(|a, b| west(a).total_cmp(&west(b)));
    let mut open: Vec<(Point, Point)> = Vec::new();
    let mut pairs = 0;
    let mut found = Crossings::None;
    for &segment in segments.iter() {
        open.retain(|other| east(other) >= west(&segment));
        for &other in &open {
            match meeting(segment, other) {
                Crossings::Some => return Crossings::Some,
                Crossings::Overlaps => found = Crossings::Overlaps,
                _ => {}
            }
        }
        pairs += open.len();
        if pairs > MOST_PAIRS {
            let overlaps = found == Crossings::Overlaps;
            return if overlaps {
                Crossings::Some
            } else {
                Crossings::Unknown
            };
        }
        open.push(segment);
    }
    found
}

fn meeting((a, b): (Point, Point), (c, d): (Point, Point)) -> Crossings {
    if a.y.max(b.y) < c.y.min(d.y) || c.y.max(d.y) < a.y.min(b.y) {
        return Crossings::None;
    }
    let (of_c, of_d) = (orientation(a, b, c), orientation(a, b, d));
    let (of_a, of_b) = (orientation(c, d, a), orientation(c, d, b));
    if of_c == 0.0 && of_d == 0.0 {
        return if overlap((a, b), (c, d)) {
            Crossings::Overlaps
        } else {
            Crossings::None
        };
    }
    if of_c * of_d < 0.0 && of_a * of_b < 0.0 {
        Crossings::Some
    } else {
        Crossings::None
    }
}

/// Whether two segments of one line share more than a point.
fn overlap((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let along = |p: Point| {
        if (a.x - b.x).abs() >= (a.y - b.y).abs() {
            p.x
        } else {
            p.y
        }
    };
    let (a, b, c, d) = (along(a), along(b), along(c), along(d));
    a.min(b).max(c.min(d)) < a.max(b).min(c.max(d))
}
