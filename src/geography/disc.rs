//! Everything within a distance of a point, measured on the ellipsoid WGS 84.

use super::polygon::Bounds;
use super::problem::{AreaError, AreaFault, LARGEST_RADIUS_M};
use super::ring::point;
use crate::topology::Position;
use geo::{Distance as _, Geodesic};

/// A centre and a radius in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Disc {
    centre: Position,
    radius_m: f64,
}

/// Mean radius of the earth in metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// No way on WGS 84 is longer or shorter than on a sphere of that radius by more than this factor:
/// radii of curvature lie between 6,335,439 m and 6,399,594 m.
const ELLIPTICITY: f64 = 0.006;

/// How a rectangle lies to a disc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Covered {
    All,
    None,
    /// Perhaps a part.
    Some,
}

impl Disc {
    /// Refuses a centre that is nowhere and a radius that cannot be meant.
    pub(super) fn new(
        place: &str,
        latitude: f64,
        longitude: f64,
        radius_m: f64,
    ) -> Result<Self, AreaError> {
        point(place, longitude, latitude)?;
        if !(radius_m > 0.0 && radius_m <= LARGEST_RADIUS_M) {
            let fault = AreaFault::Radius(radius_m.to_string());
            return Err(AreaError::new(place, fault));
        }
        let centre = Position {
            latitude,
            longitude,
        };
        Ok(Self { centre, radius_m })
    }

    /// Whether the geodesic from the centre is at most as long as the radius.
    pub(super) fn contains(&self, position: Position) -> bool {
        let about = sphere_m(self.centre, position);
        if about * (1.0 + ELLIPTICITY) < self.radius_m {
            return true;
        }
        if about * (1.0 - ELLIPTICITY) > self.radius_m {
            return false;
        }
        let of = |p: Position| geo::Point::new(p.longitude, p.latitude);
        Geodesic.distance(of(self.centre), of(position)) <= self.radius_m
    }

    /// How much of a rectangle it covers, on the safe side.
    pub(super) fn covers(&self, of: &Bounds) -> Covered {
        let middle = Position {
            latitude: f64::midpoint(of.min.y, of.max.y),
            longitude: f64::midpoint(of.min.x, of.max.x),
        };
        // Along the meridian, then along a parallel, which is nowhere longer than at the equator.
        let half = f64::midpoint(of.max.y - of.min.y, of.max.x - of.min.x).to_radians();
        let reach = half * EARTH_RADIUS_M;
        let about = sphere_m(self.centre, middle);
        if (about + reach) * (1.0 + ELLIPTICITY) < self.radius_m {
            Covered::All
        } else if (about - reach) * (1.0 - ELLIPTICITY) > self.radius_m {
            Covered::None
        } else {
            Covered::Some
        }
    }

    pub(super) fn mirrored(&self) -> Option<Self> {
        let Position {
            latitude,
            longitude,
        } = self.centre;
        Self::new("", longitude, latitude, self.radius_m).ok()
    }
}

/// Metres on a sphere, by the haversine formula.
fn sphere_m(a: Position, b: Position) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let (from, to) = (a.latitude.to_radians(), b.latitude.to_radians());
    let h = half(a.latitude, b.latitude) + from.cos() * to.cos() * half(a.longitude, b.longitude);
    2.0 * EARTH_RADIUS_M * h.min(1.0).sqrt().asin()
}
