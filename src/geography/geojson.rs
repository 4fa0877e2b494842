//! Areas from `GeoJSON` (RFC 7946): positions are longitude, latitude.

use super::NamedArea;
use super::area::{AreaBuilder, ReadArea};
use super::polygon::Point;
use super::problem::{AreaError, AreaFault};
use super::ring::{self, Ring};
use ::geojson::{Feature, FeatureCollection, GeoJson, Geometry, GeometryValue, Position};
use geo::{Coord, LineString, MultiPolygon, Polygon};
use serde_json::Value;
use std::cell::LazyCell;
use std::collections::BTreeMap;

/// Why named areas could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GeoJsonError {
    /// It is no feature collection.
    #[error("expected a GeoJSON feature collection: {0}")]
    Syntax(String),
    /// A feature is no area, or has no name.
    #[error("feature {number}: {field}: expected {expected}")]
    Feature {
        /// From 1.
        number: usize,
        field: &'static str,
        expected: &'static str,
    },
    /// The outline of a feature is wrong.
    #[error(transparent)]
    Area(#[from] AreaError),
}

const SHAPES: &str = "a Polygon or MultiPolygon, or a Feature or FeatureCollection of them";

/// Reads one area: a geometry, a feature, or all features of a collection together.
///
/// # Errors
///
/// Everything that is wrong, with its place, up to 20 faults.
pub fn read_geojson(text: &str) -> Result<ReadArea, Vec<AreaError>> {
    let document: GeoJson = text.parse().map_err(|error: ::geojson::Error| {
        let fault = AreaFault::Unreadable {
            expected: "GeoJSON",
            found: error.to_string(),
        };
        vec![AreaError::new("geojson", fault)]
    })?;
    let mut builder = AreaBuilder::default();
    // The reader of the library takes a member that is missing for one that is null.
    let members = LazyCell::new(|| serde_json::from_str::<Value>(text).unwrap_or_default());
    match &document {
        GeoJson::Geometry(geometry) => add_geometry(&mut builder, "geometry", geometry),
        GeoJson::Feature(feature) => {
            let is_null = || members.get("geometry").is_some();
            add_feature(&mut builder, "feature", feature, is_null);
        }
        GeoJson::FeatureCollection(collection) => {
            for (index, feature) in collection.features.iter().enumerate() {
                let is_null = || members["features"][index].get("geometry").is_some();
                add_feature(
                    &mut builder,
                    &format!("features[{index}]"),
                    feature,
                    is_null,
                );
            }
        }
    }
    builder.finish("geojson")
}

/// A feature that is located nowhere says so by a geometry that is null; one that names none at all is
/// not what its writer meant.
fn add_feature(
    builder: &mut AreaBuilder,
    place: &str,
    feature: &Feature,
    is_null: impl FnOnce() -> bool,
) {
    if let Some(geometry) = &feature.geometry {
        add_geometry(builder, &format!("{place}.geometry"), geometry);
    } else if is_null() {
        builder.without_shape(place, name_of(feature));
    } else {
        builder.error(no_shape(place, "a feature without the member `geometry`"));
    }
}

/// What a feature calls itself, for messages; empty if nothing.
fn name_of(feature: &Feature) -> String {
    let name = feature.property("name").and_then(|name| name.as_str());
    name.unwrap_or_default().to_owned()
}

fn no_shape(place: &str, found: &str) -> AreaError {
    let fault = AreaFault::Unreadable {
        expected: SHAPES,
        found: found.to_owned(),
    };
    AreaError::new(place, fault)
}

fn add_geometry(builder: &mut AreaBuilder, place: &str, geometry: &Geometry) {
    match &geometry.value {
        GeometryValue::Polygon { coordinates } => {
            add_polygon(builder, &format!("{place}.coordinates"), coordinates);
        }
        GeometryValue::MultiPolygon { coordinates } => {
            for (index, rings) in coordinates.iter().enumerate() {
                if builder.has_too_many_points() {
                    return;
                }
                add_polygon(builder, &format!("{place}.coordinates[{index}]"), rings);
            }
        }
        GeometryValue::GeometryCollection { geometries } => {
            for (index, geometry) in geometries.iter().enumerate() {
                add_geometry(builder, &format!("{place}.geometries[{index}]"), geometry);
            }
        }
        other => builder.error(no_shape(place, other.type_name())),
    }
}

fn add_polygon(builder: &mut AreaBuilder, place: &str, rings: &[Vec<Position>]) {
    match read_rings(place, rings) {
        Ok(rings) => builder.polygon(&rings),
        Err(errors) => errors.into_iter().for_each(|error| builder.error(error)),
    }
}

/// The first ring is the outline, further ones are holes.
fn read_rings(place: &str, rings: &[Vec<Position>]) -> Result<Vec<Ring>, Vec<AreaError>> {
    let (mut read, mut errors) = (Vec::with_capacity(rings.len()), Vec::new());
    for (number, positions) in rings.iter().enumerate() {
        match read_ring(&format!("{place}[{number}]"), positions) {
            Ok(ring) => read.push(ring),
            Err(error) => errors.push(error),
        }
    }
    if rings.is_empty() {
        errors.push(AreaError::new(place, AreaFault::NoShape));
    }
    if errors.is_empty() {
        Ok(read)
    } else {
        Err(errors)
    }
}

fn read_ring(place: &str, positions: &[Position]) -> Result<Ring, AreaError> {
    let points = positions.iter().enumerate().map(|(index, position)| {
        let read = if let [longitude, latitude, ..] = *position.as_slice() {
            ring::point("", longitude, latitude)
        } else {
            let fault = AreaFault::Unreadable {
                expected: "longitude and latitude",
                found: format!("{} numbers", position.as_slice().len()),
            };
            Err(AreaError::new("", fault))
        };
        read.map_err(|error| AreaError {
            place: format!("{place}[{index}]"),
            ..error
        })
    });
    Ring::new(place.to_owned(), points.collect::<Result<_, _>>()?)
}

/// Reads the areas of a feature collection; each feature is a polygon or several, with a property
/// `name`.
pub fn read_areas(text: &str) -> Result<Vec<NamedArea>, GeoJsonError> {
    let collection: FeatureCollection = text
        .parse()
        .map_err(|error: ::geojson::Error| GeoJsonError::Syntax(error.to_string()))?;
    let features = collection.features.iter().enumerate();
    features
        .map(|(index, feature)| named_area(index, feature))
        .collect()
}

fn named_area(index: usize, feature: &Feature) -> Result<NamedArea, GeoJsonError> {
    let wrong = |field, expected| GeoJsonError::Feature {
        number: index + 1,
        field,
        expected,
    };
    let rings = match feature.geometry.as_ref().map(|geometry| &geometry.value) {
        Some(GeometryValue::Polygon { coordinates }) => std::slice::from_ref(coordinates),
        Some(GeometryValue::MultiPolygon { coordinates }) => coordinates.as_slice(),
        _ => return Err(wrong("geometry", "a Polygon or MultiPolygon")),
    };
    let place = format!("feature {}", index + 1);
    let polygons = rings.iter().map(|rings| {
        let rings = read_rings(&place, rings).map_err(|mut errors| errors.swap_remove(0))?;
        let mut lines = rings.into_iter().map(|ring| line_string(&ring.points));
        let outline = lines.next().unwrap_or_else(|| LineString::new(Vec::new()));
        Ok(Polygon::new(outline, lines.collect()))
    });
    let polygons = polygons.collect::<Result<_, AreaError>>()?;
    let properties: BTreeMap<String, String> = feature
        .properties
        .iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let name = properties.get("name").cloned();
    let name = name.ok_or_else(|| wrong("name", "a text property"))?;
    Ok(NamedArea::new(
        name,
        properties,
        MultiPolygon::new(polygons),
    ))
}

fn line_string(points: &[Point]) -> LineString<f64> {
    points.iter().map(|p| Coord { x: p.x, y: p.y }).collect()
}
