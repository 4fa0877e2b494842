//! Areas from `GeoJSON` (RFC 7946): positions are longitude, latitude.

use super::NamedArea;
use ::geojson::{Feature, FeatureCollection, GeometryValue, Position};
use geo::{Coord, LineString, MultiPolygon, Polygon};

/// Why areas could not be read.
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
}

/// Reads the areas of a feature collection; each feature is a polygon or several, with a property
/// `name`.
pub fn read_areas(text: &str) -> Result<Vec<NamedArea>, GeoJsonError> {
    let collection: FeatureCollection = text
        .parse()
        .map_err(|error: ::geojson::Error| GeoJsonError::Syntax(error.to_string()))?;
    let mut areas = Vec::with_capacity(collection.features.len());
    for (index, feature) in collection.features.iter().enumerate() {
        let area = area(feature).map_err(|(field, expected)| GeoJsonError::Feature {
            number: index + 1,
            field,
            expected,
        })?;
        areas.push(area);
    }
    Ok(areas)
}

fn area(feature: &Feature) -> Result<NamedArea, (&'static str, &'static str)> {
    let polygons = match feature.geometry.as_ref().map(|geometry| &geometry.value) {
        Some(GeometryValue::Polygon { coordinates }) => vec![polygon(coordinates)?],
        Some(GeometryValue::MultiPolygon { coordinates }) => coordinates
            .iter()
            .map(|rings| polygon(rings))
            .collect::<Result<_, _>>()?,
        _ => return Err(("geometry", "a Polygon or MultiPolygon")),
    };
    let properties: std::collections::BTreeMap<String, String> = feature
        .properties
        .iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let name = properties.get("name").cloned();
    let name = name.ok_or(("name", "a text property"))?;
    Ok(NamedArea::new(
        name,
        properties,
        MultiPolygon::new(polygons),
    ))
}

/// The first ring is the outline, further ones are holes.
fn polygon(rings: &[Vec<Position>]) -> Result<Polygon<f64>, (&'static str, &'static str)> {
    let mut lines = Vec::with_capacity(rings.len());
    for ring in rings {
        let coords = ring
            .iter()
            .map(|position| match *position.as_slice() {
                [x, y, ..] if (-180.0..=180.0).contains(&x) && (-90.0..=90.0).contains(&y) => {
                    Ok(Coord { x, y })
                }
                _ => Err(("coordinates", "longitude and latitude, in degrees")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if coords.len() < 4 || coords.first() != coords.last() {
            return Err(("coordinates", "closed rings of at least four positions"));
        }
        lines.push(LineString::new(coords));
    }
    let mut lines = lines.into_iter();
    let outline = lines.next();
    let outline = outline.ok_or(("coordinates", "a ring that is the outline"))?;
    Ok(Polygon::new(outline, lines.collect()))
}
