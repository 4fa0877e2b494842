//! Where things are: areas, which subscribers and elements lie inside them, and what that means.
//!
//! Longitude is x and latitude is y throughout; [`Position`] is the only form that leaves the
//! module, so that the two cannot be swapped outside.

mod area;
mod cap;
mod disc;
mod event;
mod geojson;
mod holes;
mod impact;
mod named;
mod nearest;
mod network_map;
mod point_index;
mod polygon;
mod problem;
mod ring;

pub use area::{Area, ReadArea};
pub use cap::{CapAlert, CapIdentity, CapMessage, CapText, decode_xml, looks_like_xml, read_cap};
pub use event::{
    AlertChain, AlertStep, AreaDeclaration, AreaDocument, AreaEnd, AreaEvent, AreaNo, AreaState,
    KnownMessage, alert_step,
};
pub use geojson::{GeoJsonError, read_areas, read_geojson};
pub use impact::{Affects, AreaImpact, Batteries, PowerFailure};
pub use named::NamedArea;
pub use nearest::Neighbour;
pub use network_map::{Inside, NetworkMap, PremisesIndex};
pub use problem::{AreaError, AreaFault, AreaWarning, LARGEST_RADIUS_M, MOST_POINTS};

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

/// Whether two positions are at most so many metres apart, as [`distance_metres`] has it: faster,
/// most of all where they are not.
pub fn are_within(a: Position, b: Position, metres: f64) -> bool {
    let degrees = metres / METRES_PER_DEGREE;
    let north = a.latitude - b.latitude;
    if north.abs() > degrees {
        return false;
    }
    let shrink = f64::midpoint(a.latitude, b.latitude).to_radians().cos();
    let east = (a.longitude - b.longitude) * shrink;
    north * north + east * east <= degrees * degrees
}
