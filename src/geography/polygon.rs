//! Polygons as bags of edges, one bag for each ring, and exactly which points lie inside.
//!
//! # Which side a border belongs to
//!
//! A point counts as if it lay an infinitesimal step to the east and, infinitely smaller still, a
//! step to the north. A point so moved lies on no edge, and all polygons see the same moved point:
//! of two neighbours that share a border exactly one holds a point on it, whatever the direction of
//! their rings and wherever they begin. The orientation of a point to an edge is computed by
//! Shewchuk's adaptive predicates (crate `robust`), so no rounding enters.
//!
//! The moved point is inside a ring when a ray from it to the east meets an odd number of its edges,
//! so the direction of rings does not matter. It is inside a polygon when it is inside the outline and
//! inside no hole: what a hole encloses is never inside, wherever the hole lies.

use crate::topology::Position;
use robust::{Coord, orient2d};

/// A point as the edges see it: x is longitude in [-180, 180), y is latitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

impl Point {
    /// 180 degrees east is 180 degrees west; the north pole is taken to lie just south of itself,
    /// or no area could hold it.
    pub(super) fn of(position: Position) -> Self {
        let (x, y) = (position.longitude, position.latitude);
        Self {
            x: if x >= 180.0 { x - 360.0 } else { x },
            y: if y >= 90.0 { 90.0_f64.next_down() } else { y },
        }
    }
}

/// A rectangle; its borders belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) min: Point,
    pub(super) max: Point,
}

impl Bounds {
    /// Holds nothing and grows with what is added.
    pub(super) const EMPTY: Self = Self {
        min: Point {
            x: f64::INFINITY,
            y: f64::INFINITY,
        },
        max: Point {
            x: f64::NEG_INFINITY,
            y: f64::NEG_INFINITY,
        },
    };

    pub(super) fn add(&mut self, other: &Self) {
        self.min.x = self.min.x.min(other.min.x);
        self.min.y = self.min.y.min(other.min.y);
        self.max.x = self.max.x.max(other.max.x);
        self.max.y = self.max.y.max(other.max.y);
    }

    pub(super) fn add_point(&mut self, point: Point) {
        self.add(&Self {
            min: point,
            max: point,
        });
    }

    pub(super) fn holds(&self, point: Point) -> bool {
        (self.min.x..=self.max.x).contains(&point.x) && (self.min.y..=self.max.y).contains(&point.y)
    }

    pub(super) fn is_within(&self, other: &Self) -> bool {
        other.holds(self.min) && other.holds(self.max)
    }

    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        self.max.x < other.min.x
            || other.max.x < self.min.x
            || self.max.y < other.min.y
            || other.max.y < self.min.y
    }
}

/// An edge from its lower to its upper end; of a level one the western end comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    lower: Point,
    upper: Point,
}

/// What an edge means to the points of a rectangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// No ray from a point of it meets the edge.
    Missed,
    /// Every ray does.
    Met,
    /// Some do, but the edge does not touch the rectangle.
    East,
    /// The edge may touch it.
    Touches,
}

impl Edge {
    pub(super) fn new(a: Point, b: Point) -> Self {
        let (lower, upper) = if (a.y, a.x) <= (b.y, b.x) {
            (a, b)
        } else {
            (b, a)
        };
        Self { lower, upper }
    }

    fn west(&self) -> f64 {
        self.lower.x.min(self.upper.x)
    }

    fn east(&self) -> f64 {
        self.lower.x.max(self.upper.x)
    }

    /// Greater than 0 when the point lies to the west of the edge, 0 on its line.
    fn orientation(&self, point: Point) -> f64 {
        let coord = |p: Point| Coord { x: p.x, y: p.y };
        orient2d(coord(self.lower), coord(self.upper), coord(point))
    }

    /// Whether a ray to the east from the height of a point meets it, wherever it begins.
    #[inline]
    pub(super) fn spans(&self, y: f64) -> bool {
        self.lower.y <= y && y < self.upper.y
    }

    /// Whether the ray from a point meets the edge. A point on it counts as lying to the east.
    #[inline]
    pub(super) fn is_met_from(&self, point: Point) -> bool {
        self.spans(point.y)
            && point.x < self.east()
            && (point.x < self.west() || self.orientation(point) > 0.0)
    }

    /// Where it is at a height that it spans, rounded.
    fn longitude_at(&self, y: f64) -> f64 {
        let share = (y - self.lower.y) / (self.upper.y - self.lower.y);
        self.lower.x + (self.upper.x - self.lower.x) * share
    }

    /// What it means to the points of a rectangle.
    #[inline]
    pub(super) fn side(&self, of: &Bounds) -> Side {
        // Points at the very height of its upper end, or at its east end, count as beyond it.
        if self.upper.y <= of.min.y || self.lower.y > of.max.y || self.east() <= of.min.x {
            return Side::Missed;
        }
        let beyond = self.west() > of.max.x;
        let level = self.lower.y >= self.upper.y;
        if level {
            return if beyond { Side::Missed } else { Side::Touches };
        }
        if !beyond {
            let (min, max) = (of.min, of.max);
            // The corners that lie farthest on its eastern and on its western side.
            let (east, west) = if self.upper.x >= self.lower.x {
                ((max.x, min.y), (min.x, max.y))
            } else {
                ((max.x, max.y), (min.x, min.y))
            };
            let corner = |(x, y)| Point { x, y };
            if self.orientation(corner(east)) <= 0.0 {
                return if self.orientation(corner(west)) <= 0.0 {
                    Side::Missed
                } else {
                    Side::Touches
                };
            }
        }
        if self.spans(of.min.y) && self.spans(of.max.y) {
            Side::Met
        } else {
            Side::East
        }
    }
}

/// The edges of one ring, cut at the antimeridian; each part closes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contour {
    pub(super) edges: Vec<Edge>,
    pub(super) bounds: Bounds,
}

impl Contour {
    pub(super) fn new(edges: Vec<Edge>) -> Self {
        let mut bounds = Bounds::EMPTY;
        for edge in &edges {
            bounds.add_point(edge.lower);
            bounds.add_point(edge.upper);
        }
        Self { edges, bounds }
    }

    /// Whether a point lies inside.
    pub(super) fn contains(&self, point: Point) -> bool {
        let met = self.edges.iter().filter(|edge| edge.is_met_from(point));
        self.bounds.holds(point) && met.count() % 2 == 1
    }

    /// A point inside, away from the edges where there is room; `None` for a ring that is too thin to
    /// find one, or that encloses everything twice.
    pub(super) fn some_point_inside(&self) -> Option<Point> {
        let ends = self.edges.iter().flat_map(|e| [e.lower.y, e.upper.y]);
        let mut heights: Vec<f64> = ends.collect();
        let y = middle_of_widest(&mut heights, 1)?;
        let met = self.edges.iter().filter(|edge| edge.spans(y));
        let mut crossings: Vec<f64> = met.map(|edge| edge.longitude_at(y)).collect();
        let x = middle_of_widest(&mut crossings, 2)?;
        // Rounded so far.
        let point = Point { x, y };
        self.contains(point).then_some(point)
    }

    fn mirrored(&self) -> Self {
        let turn = |p: Point| Point { x: p.y, y: p.x };
        let turned = self.edges.iter().map(|edge| {
            let (a, b) = (turn(edge.lower), turn(edge.upper));
            Edge::new(a, b)
        });
        Self::new(turned.collect())
    }
}

/// The middle of the widest gap between neighbours of a sorted list: of every `step`-th gap.
fn middle_of_widest(values: &mut [f64], step: usize) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let gaps = values
        .windows(2)
        .step_by(step)
        .filter_map(|pair| match pair {
            [low, high] => Some((high - low, f64::midpoint(*low, *high))),
            _ => None,
        });
    let widest = gaps.max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(widest.1)
}

/// An outline and the holes in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Polygon {
    pub(super) outline: Contour,
    pub(super) holes: Vec<Contour>,
}

impl Polygon {
    /// Whether a point lies inside the outline and inside no hole.
    pub(super) fn contains(&self, point: Point) -> bool {
        self.outline.contains(point) && !self.holes.iter().any(|hole| hole.contains(point))
    }

    pub(super) fn edge_count(&self) -> usize {
        let rings = std::iter::once(&self.outline).chain(&self.holes);
        rings.map(|ring| ring.edges.len()).sum()
    }

    /// With longitude and latitude exchanged; `None` where that is no place on the earth.
    pub(super) fn mirrored(&self) -> Option<Self> {
        let bounds = &self.outline.bounds;
        if bounds.min.x < -90.0 || bounds.max.x > 90.0 {
            return None;
        }
        Some(Self {
            outline: self.outline.mirrored(),
            holes: self.holes.iter().map(Contour::mirrored).collect(),
        })
    }
}
