//! Where things are: named areas, and which of them a position lies in.
//!
//! Longitude is x and latitude is y throughout; [`Position`] is the only form that leaves the
//! module, so that the two cannot be swapped outside.

mod area;
mod geojson;

pub use area::NamedArea;
pub use geojson::{GeoJsonError, read_areas};

use crate::topology::Position;

/// Metres of one degree of latitude, on a sphere of the mean radius of the earth.
pub const METRES_PER_DEGREE: f64 = 111_195.0;

/// The position that lies so many metres north and east. A flat earth is assumed: good for tens of
/// kilometres away from the poles.
pub fn offset(from: Position, north_metres: f64, east_metres: f64) -> Position {
    let shrink = from.latitude.to_radians().cos();
    Position {
        latitude: from.latitude + north_metres / METRES_PER_DEGREE,
        longitude: from.longitude + east_metres / (METRES_PER_DEGREE * shrink),
    }
}

/// Metres between two positions, under the same assumption as [`offset`].
pub fn distance_metres(a: Position, b: Position) -> f64 {
    let shrink = f64::midpoint(a.latitude, b.latitude).to_radians().cos();
    let north = a.latitude - b.latitude;
    let east = (a.longitude - b.longitude) * shrink;
    north.hypot(east) * METRES_PER_DEGREE
}
