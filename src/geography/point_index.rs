//! Points on the map, and exactly which of them lie in an area.
//!
//! The points stand in the order of a Hilbert curve, so that neighbours on the map are neighbours in
//! memory. Above them stands a tree of rectangles, sixteen to a node (a packed R-tree). For each
//! ring the tree is walked from the top with the edges that still matter: a rectangle that no
//! edge touches lies inside or outside as a whole; only the points of the lowest rectangles that an
//! edge does touch are tested one by one, against those few edges. What holes hold is then taken from
//! what their outline holds.

use super::area::Area;
use super::disc::{Covered, Disc};
use super::polygon::{Bounds, Contour, Edge, Point, Polygon, Side};
use crate::topology::Position;
use std::ops::Range;

/// Rectangles or points under one rectangle.
pub(super) const FANOUT: usize = 16;

/// Points with a number each.
#[derive(Debug, Default)]
pub(super) struct PointIndex {
    /// In the order of the curve; a place in that order is a slot.
    pub(super) points: Vec<Point>,
    /// Number per slot.
    pub(super) numbers: Vec<u32>,
    /// From the rectangles of points upwards; the last level has one rectangle.
    pub(super) levels: Vec<Vec<Bounds>>,
}

impl PointIndex {
    /// An index of numbered positions.
    pub(super) fn new(positions: impl Iterator<Item = (u32, Position)>) -> Self {
        let mut keyed: Vec<(u64, u32, Point)> = positions
            .map(|(number, position)| {
                let point = Point::of(position);
                (along_curve(point), number, point)
            })
            .collect();
        // Points of one key may differ in their last digits: equal ones must stand side by side.
        keyed.sort_unstable_by(|a, b| {
            let by_key = a.0.cmp(&b.0);
            let by_place = |a: &Point, b: &Point| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y));
            by_key
                .then_with(|| by_place(&a.2, &b.2))
                .then(a.1.cmp(&b.1))
        });
        let points: Vec<Point> = keyed.iter().map(|&(_, _, point)| point).collect();
        let numbers = keyed.iter().map(|&(_, number, _)| number).collect();
        drop(keyed);
        let mut levels = Vec::new();
        let mut level: Vec<Bounds> = points.chunks(FANOUT).map(around).collect();
        while !level.is_empty() {
            let above = (level.len() > 1).then(|| level.chunks(FANOUT).map(joined).collect());
            levels.push(level);
            level = above.unwrap_or_default();
        }
        Self {
            points,
            numbers,
            levels,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// The slots of the points inside, as sorted, disjoint, non-adjacent, half-open runs.
    pub(super) fn within(&self, area: &Area) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        for polygon in &area.polygons {
            runs.extend(self.within_polygon(polygon));
        }
        for disc in &area.discs {
            runs.extend(self.walked(|walk, top| walk.disc(disc, top, 0)));
        }
        // Parts may overlap; those of one part come in order.
        if area.polygons.len() + area.discs.len() > 1 {
            join(&mut runs);
        }
        runs
    }

    fn within_polygon(&self, polygon: &Polygon) -> Vec<Range<usize>> {
        let within = self.within_contour(&polygon.outline);
        if within.is_empty() || polygon.holes.is_empty() {
            return within;
        }
        let holes = polygon.holes.iter();
        let near = holes.filter(|hole| !hole.bounds.is_apart_from(&polygon.outline.bounds));
        let mut without: Vec<_> = near.flat_map(|hole| self.within_contour(hole)).collect();
        join(&mut without);
        difference(&within, &without)
    }

    /// The same for what one ring encloses, be it an outline or a hole.
    pub(super) fn within_contour(&self, contour: &Contour) -> Vec<Range<usize>> {
        self.walked(|walk, top| {
            walk.edges.extend_from_slice(&contour.edges);
            walk.contour(contour, top, 0, 0..contour.edges.len(), false);
        })
    }

    /// What a walk that begins at the top finds.
    fn walked(&self, walk: impl FnOnce(&mut Walk<'_>, usize)) -> Vec<Range<usize>> {
        let mut walker = Walk {
            index: self,
            edges: Vec::new(),
            runs: Vec::new(),
        };
        if let Some(top) = self.levels.len().checked_sub(1) {
            walk(&mut walker, top);
        }
        walker.runs
    }

    /// How many different places the points of some slots are.
    pub(super) fn places(&self, runs: &[Range<usize>]) -> usize {
        let mut places = 0;
        let mut last = None;
        for slot in runs.iter().cloned().flatten() {
            let point = self.points[slot];
            places += usize::from(last != Some(point));
            last = Some(point);
        }
        places
    }

    pub(super) fn resident_bytes(&self) -> usize {
        let bounds: usize = self.levels.iter().map(Vec::capacity).sum();
        self.points.capacity() * size_of::<Point>()
            + self.numbers.capacity() * size_of::<u32>()
            + bounds * size_of::<Bounds>()
    }

    /// The slots under a rectangle.
    pub(super) fn slots(&self, level: usize, node: usize) -> Range<usize> {
        let size = FANOUT.pow(u32::try_from(level).unwrap_or(u32::MAX) + 1);
        let start = node * size;
        start..(start + size).min(self.points.len())
    }

    /// The rectangles under a rectangle.
    pub(super) fn below(&self, level: usize, node: usize) -> Range<usize> {
        let start = node * FANOUT;
        start..(start + FANOUT).min(self.levels[level - 1].len())
    }
}

fn around(points: &[Point]) -> Bounds {
    let mut bounds = Bounds::EMPTY;
    for &point in points {
        bounds.add_point(point);
    }
    bounds
}

fn joined(all: &[Bounds]) -> Bounds {
    let mut bounds = Bounds::EMPTY;
    for one in all {
        bounds.add(one);
    }
    bounds
}

/// Sorts runs and joins those that overlap or touch.
fn join(runs: &mut Vec<Range<usize>>) {
    runs.sort_unstable_by_key(|run| run.start);
    runs.dedup_by(|next, kept| {
        let joins = next.start <= kept.end;
        if joins {
            kept.end = kept.end.max(next.end);
        }
        joins
    });
}

/// What lies in runs of the first list and in none of the second; both are sorted and disjoint.
fn difference(runs: &[Range<usize>], without: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut left = Vec::new();
    let mut without = without.iter().peekable();
    for run in runs {
        let mut start = run.start;
        while let Some(next) = without.peek().filter(|next| next.start < run.end) {
            if start < next.start {
                left.push(start..next.start);
            }
            start = start.max(next.end);
            if next.end > run.end {
                // It goes on into the next run.
                break;
            }
            without.next();
        }
        if start < run.end {
            left.push(start..run.end);
        }
    }
    left
}

struct Walk<'a> {
    index: &'a PointIndex,
    /// A stack: those that matter to the rectangle in hand stand on top.
    edges: Vec<Edge>,
    runs: Vec<Range<usize>>,
}

impl Walk<'_> {
    fn take(&mut self, slots: Range<usize>) {
        match self.runs.last_mut() {
            Some(last) if last.end == slots.start => last.end = slots.end,
            _ => self.runs.push(slots),
        }
    }

    /// `edges` of the stack matter to this rectangle; `met` is whether the rays from its points meet
    /// an odd number of the others.
    fn contour(
        &mut self,
        contour: &Contour,
        level: usize,
        node: usize,
        edges: Range<usize>,
        mut met: bool,
    ) {
        let bounds = self.index.levels[level][node];
        if bounds.is_apart_from(&contour.bounds) {
            return;
        }
        let start = self.edges.len();
        let mut touched = false;
        for at in edges {
            let edge = self.edges[at];
            match edge.side(&bounds) {
                Side::Missed => {}
                Side::Met => met = !met,
                Side::East => self.edges.push(edge),
                Side::Touches => {
                    touched = true;
                    self.edges.push(edge);
                }
            }
        }
        let end = self.edges.len();
        if !touched {
            // All its points are as the one in its corner, from where all that is kept lies east.
            let kept = &self.edges[start..end];
            let odd = kept.iter().filter(|edge| edge.spans(bounds.min.y)).count() % 2 == 1;
            if met != odd {
                self.take(self.index.slots(level, node));
            }
        } else if level == 0 {
            for slot in self.index.slots(level, node) {
                let point = self.index.points[slot];
                let kept = &self.edges[start..end];
                let odd = kept.iter().filter(|edge| edge.is_met_from(point)).count() % 2 == 1;
                if met != odd {
                    self.take(slot..slot + 1);
                }
            }
        } else {
            for child in self.index.below(level, node) {
                self.contour(contour, level - 1, child, start..end, met);
            }
        }
        self.edges.truncate(start);
    }

    fn disc(&mut self, disc: &Disc, level: usize, node: usize) {
        match disc.covers(&self.index.levels[level][node]) {
            Covered::None => {}
            Covered::All => self.take(self.index.slots(level, node)),
            Covered::Some if level == 0 => {
                for slot in self.index.slots(level, node) {
                    let point = self.index.points[slot];
                    let position = Position {
                        latitude: point.y,
                        longitude: point.x,
                    };
                    if disc.contains(position) {
                        self.take(slot..slot + 1);
                    }
                }
            }
            Covered::Some => {
                for child in self.index.below(level, node) {
                    self.disc(disc, level - 1, child);
                }
            }
        }
    }
}

/// How far along a Hilbert curve through the map a point lies, in 2^64 steps.
///
/// D. Hilbert, Ueber die stetige Abbildung einer Linie auf ein Flächenstück, 1891; the turning of
/// quadrants follows the usual iterative form. Only the order of the points rests on it, never
/// whether one is inside.
fn along_curve(point: Point) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and degrees in range do not reach the ends"
    )]
    let scaled = |degrees: f64, span: f64| (degrees / span * 4_294_967_295.0) as u32;
    let (mut x, mut y) = (
        scaled(point.x + 180.0, 360.0),
        scaled(point.y + 90.0, 180.0),
    );
    let mut along = 0;
    for bit in (0..32).rev() {
        let (right, top) = ((x >> bit) & 1, (y >> bit) & 1);
        along = along << 2 | u64::from((3 * right) ^ top);
        if top == 0 {
            if right == 1 {
                (x, y) = (!x, !y);
            }
            std::mem::swap(&mut x, &mut y);
        }
    }
    along
}
