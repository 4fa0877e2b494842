//! An area: polygons and discs, and whatever lies in any of them.

use super::disc::Disc;
use super::polygon::{Point, Polygon};
use super::problem::{AreaError, AreaFault, AreaWarning, MOST_POINTS};
use super::ring::{self, Ring};
use crate::topology::Position;
use std::collections::BTreeSet;

/// The union of polygons with holes and of discs.
///
/// A position on the border of a polygon counts as if it lay an infinitesimal step to the east (and a
/// smaller one to the north): of two areas that share a border, exactly one holds it. The border of
/// a disc belongs to the disc.
#[derive(Clone, Debug, PartialEq)]
pub struct Area {
    pub(super) polygons: Vec<Polygon>,
    pub(super) discs: Vec<Disc>,
}

impl Area {
    /// Everything within so many metres of a point, measured along geodesics of WGS 84.
    pub fn within_metres(centre: Position, radius_m: f64) -> Result<Self, AreaError> {
        let disc = Disc::new("disc", centre.latitude, centre.longitude, radius_m)?;
        Ok(Self {
            polygons: Vec::new(),
            discs: vec![disc],
        })
    }

    /// Whether a position lies inside. Looks at every edge: many positions at once are for
    /// [`super::PremisesIndex`].
    pub fn contains(&self, position: Position) -> bool {
        let point = Point::of(position);
        self.polygons.iter().any(|polygon| polygon.contains(point))
            || self.discs.iter().any(|disc| disc.contains(position))
    }

    /// Number of edges of its polygons.
    pub fn edge_count(&self) -> usize {
        self.polygons.iter().map(Polygon::edge_count).sum()
    }

    /// With latitude and longitude exchanged; `None` where that is no place on the earth.
    pub(super) fn mirrored(&self) -> Option<Self> {
        Some(Self {
            polygons: self
                .polygons
                .iter()
                .map(Polygon::mirrored)
                .collect::<Option<_>>()?,
            discs: self
                .discs
                .iter()
                .map(Disc::mirrored)
                .collect::<Option<_>>()?,
        })
    }
}

/// What was read of an area, with what is odd about it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadArea {
    pub area: Area,
    pub warnings: Vec<AreaWarning>,
}

/// Most errors that are collected.
const MOST_ERRORS: usize = 20;

/// Puts an area together from what a format holds, and gathers what is wrong.
#[derive(Debug, Default)]
pub(super) struct AreaBuilder {
    polygons: Vec<Polygon>,
    discs: Vec<Disc>,
    points: usize,
    without_shape: usize,
    pub(super) warnings: Vec<AreaWarning>,
    pub(super) errors: Vec<AreaError>,
}

impl AreaBuilder {
    /// Adds the polygon of some rings, the first of them the outline.
    pub(super) fn polygon(&mut self, rings: &[Ring]) {
        let points: usize = rings.iter().map(|ring| ring.points.len()).sum();
        self.points = self.points.saturating_add(points);
        if self.points > MOST_POINTS {
            let place = rings.first().map(|ring| ring.place.clone());
            self.error(AreaError::new(
                place.unwrap_or_default(),
                AreaFault::TooManyPoints,
            ));
            return;
        }
        match ring::polygon(rings, &mut self.warnings) {
            Ok(polygon) => self.polygons.extend(polygon),
            Err(error) => self.error(error),
        }
    }

    pub(super) fn disc(&mut self, disc: Disc) {
        self.discs.push(disc);
    }

    pub(super) fn error(&mut self, error: AreaError) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(error);
        }
    }

    /// Leaves out a part without a shape, and says so; of many only of the first.
    pub(super) fn without_shape(&mut self, place: &str, name: String) {
        self.without_shape += 1;
        let place = match self.without_shape {
            ..MOST_ERRORS => place.to_owned(),
            MOST_ERRORS => format!("{place}, and maybe others after it"),
            _ => return,
        };
        self.warnings.push(AreaWarning::NoShape { place, name });
    }

    /// Whether nothing with a size has come so far.
    pub(super) fn is_empty(&self) -> bool {
        self.polygons.is_empty() && self.discs.is_empty()
    }

    /// Names what has no size; without any, there was nothing at all.
    fn explain_emptiness(&mut self, place: &str) {
        let places = self.warnings.iter().filter_map(|warning| match warning {
            AreaWarning::NoSize { place } => Some(place.clone()),
            _ => None,
        });
        let places: Vec<String> = places.collect();
        if places.is_empty() {
            self.error(AreaError::new(place, AreaFault::NoShape));
        }
        for place in places {
            self.error(AreaError::new(place, AreaFault::NoSize));
        }
    }

    pub(super) fn has_too_many_points(&self) -> bool {
        self.points > MOST_POINTS
    }

    /// The area, unless something was wrong or nothing is left.
    pub(super) fn finish(mut self, place: &str) -> Result<ReadArea, Vec<AreaError>> {
        if self.errors.is_empty() && self.is_empty() {
            self.explain_emptiness(place);
        }
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let mut known = BTreeSet::new();
        let mut warnings = self.warnings;
        warnings.retain(|warning| known.insert(warning.clone()));
        Ok(ReadArea {
            area: Area {
                polygons: self.polygons,
                discs: self.discs,
            },
            warnings,
        })
    }
}
