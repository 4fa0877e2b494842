//! An area with a name, such as a municipality.

use crate::topology::Position;
use geo::indexed::IntervalTreeMultiPolygon;
use geo::{Area, BoundingRect, Centroid, Contains, InteriorPoint, MultiPolygon, Point};
use rand::{Rng, RngExt};
use std::collections::BTreeMap;

/// How often a random point is tried before the area is taken to be too thin for it.
const RANDOM_POINT_TRIES: usize = 1000;

/// An area with a name. Holes and several parts are respected; the direction of its rings is not
/// looked at, for real files get it wrong.
pub struct NamedArea {
    name: String,
    properties: BTreeMap<String, String>,
    shape: MultiPolygon<f64>,
    index: IntervalTreeMultiPolygon<f64>,
}

impl NamedArea {
    pub(super) fn new(
        name: String,
        properties: BTreeMap<String, String>,
        shape: MultiPolygon<f64>,
    ) -> Self {
        let index = IntervalTreeMultiPolygon::new(&shape);
        Self {
            name,
            properties,
            shape,
            index,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A textual property of it; empty when there is none of that name.
    pub fn property(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    /// Whether the position lies inside.
    pub fn contains(&self, position: Position) -> bool {
        self.index
            .contains(&Point::new(position.longitude, position.latitude))
    }

    /// Its size, in square degrees: to compare areas of like latitude only.
    pub fn square_degrees(&self) -> f64 {
        self.shape.unsigned_area()
    }

    /// Its centre of gravity, which may lie outside of it; `None` when it is empty.
    pub fn centroid(&self) -> Option<Position> {
        self.shape.centroid().map(position)
    }

    /// A point inside, evenly distributed; `None` when the area is empty or too thin to hit.
    pub fn random_point(&self, rng: &mut impl Rng) -> Option<Position> {
        let bounds = self.shape.bounding_rect()?;
        for _ in 0..RANDOM_POINT_TRIES {
            let tried = Position {
                latitude: rng.random_range(bounds.min().y..=bounds.max().y),
                longitude: rng.random_range(bounds.min().x..=bounds.max().x),
            };
            if self.contains(tried) {
                return Some(tried);
            }
        }
        self.shape
            .interior_point()
            .map(position)
            .filter(|&inside| self.contains(inside))
    }
}

impl std::fmt::Debug for NamedArea {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedArea")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn position(point: Point<f64>) -> Position {
    Position {
        latitude: point.y(),
        longitude: point.x(),
    }
}
