//! From the alarm event of the interface to that of the domain; refuses what is not one.

use crate::alarm::{AlarmDetail, AlarmEvent, AlarmEventKind, AlarmKey, ServiceEffect, Severity};
use crate::clock::{BELIEVABLE, Millis, is_believable};
use crate::proto::v1;
use crate::rpc::status::violation;
use crate::topology::Position;
use std::collections::BTreeMap;

const LARGEST_GEOJSON_BYTES: usize = 4 * 1024 * 1024;
/// Corners of the polygon that stands for a disc.
const DISC_CORNERS: u32 = 32;
const METRES_PER_DEGREE: f64 = 111_195.0;
const LARGEST_RADIUS_M: f64 = 1_000_000.0;

type Violations = Vec<v1::FieldViolation>;

/// The event, or everything that is wrong with it.
pub(super) fn parse(event: v1::AlarmEvent, now_ms: Millis) -> Result<AlarmEvent, Violations> {
    let mut wrong = Vec::new();
    let kind = kind(event.kind(), event.kind, &mut wrong);
    let severity = severity(&event, kind, &mut wrong);
    text("event.resource", &event.resource, 1, 256, &mut wrong);
    text("event.alarm_type", &event.alarm_type, 1, 128, &mut wrong);
    text(
        "event.alarm_type_qualifier",
        &event.alarm_type_qualifier,
        0,
        128,
        &mut wrong,
    );
    text(
        "event.probable_cause",
        &event.probable_cause,
        0,
        128,
        &mut wrong,
    );
    text("event.text", &event.text, 0, 4_096, &mut wrong);
    attributes(&event.attributes, &mut wrong);
    time(
        "event.event_time_ms",
        event.event_time_ms,
        now_ms,
        &mut wrong,
    );
    let service_effect = service_effect(&event, &mut wrong);
    let at = event
        .position
        .and_then(|at| position("event.position", at, &mut wrong));
    let area_geojson = event.area.and_then(|area| area_geojson(area, &mut wrong));
    let (Some(kind), true) = (kind, wrong.is_empty()) else {
        return Err(wrong);
    };
    Ok(AlarmEvent {
        kind,
        key: AlarmKey {
            resource: event.resource,
            alarm_type: event.alarm_type,
            qualifier: event.alarm_type_qualifier,
        },
        severity,
        event_at_ms: event.event_time_ms,
        detail: AlarmDetail {
            probable_cause: event.probable_cause,
            text: event.text,
            attributes: event.attributes,
            service_effect,
            position: at,
            area_geojson,
        },
    })
}

/// A text of at least `min` and at most `max` bytes without U+0000, which PostgreSQL cannot store.
pub(in crate::rpc) fn text(
    field: &str,
    value: &str,
    min: usize,
    max: usize,
    wrong: &mut Violations,
) {
    if (min..=max).contains(&value.len()) && !value.contains('\0') {
        return;
    }
    let shown: String = value.replace('\0', "\u{fffd}");
    let expected = format!("a text of {min} to {max} bytes without U+0000");
    wrong.push(violation(field, shown, expected));
}

/// An instant that a working clock may show.
pub(in crate::rpc) fn time(field: &str, at_ms: Millis, now_ms: Millis, wrong: &mut Violations) {
    if !is_believable(at_ms, now_ms) {
        wrong.push(violation(field, at_ms.to_string(), BELIEVABLE));
    }
}

fn kind(kind: v1::AlarmEventKind, number: i32, wrong: &mut Violations) -> Option<AlarmEventKind> {
    // An unknown number reads as unspecified.
    match kind {
        v1::AlarmEventKind::Raise => Some(AlarmEventKind::Raise),
        v1::AlarmEventKind::Change => Some(AlarmEventKind::Change),
        v1::AlarmEventKind::Clear => Some(AlarmEventKind::Clear),
        v1::AlarmEventKind::Unspecified => {
            wrong.push(violation(
                "event.kind",
                number.to_string(),
                "ALARM_EVENT_KIND_RAISE, _CHANGE or _CLEAR",
            ));
            None
        }
    }
}

fn severity(
    event: &v1::AlarmEvent,
    kind: Option<AlarmEventKind>,
    wrong: &mut Violations,
) -> Severity {
    match event.severity() {
        v1::Severity::Indeterminate => Severity::Indeterminate,
        v1::Severity::Warning => Severity::Warning,
        v1::Severity::Minor => Severity::Minor,
        v1::Severity::Major => Severity::Major,
        v1::Severity::Critical => Severity::Critical,
        v1::Severity::Unspecified => {
            let unknown = event.severity != 0;
            if unknown || kind != Some(AlarmEventKind::Clear) {
                wrong.push(violation(
                    "event.severity",
                    event.severity.to_string(),
                    "a severity, for raise and change",
                ));
            }
            Severity::Indeterminate
        }
    }
}

fn service_effect(event: &v1::AlarmEvent, wrong: &mut Violations) -> Option<ServiceEffect> {
    match event.service_effect() {
        v1::ServiceEffect::Loss => Some(ServiceEffect::Loss),
        v1::ServiceEffect::Degraded => Some(ServiceEffect::Degraded),
        v1::ServiceEffect::None => Some(ServiceEffect::None),
        v1::ServiceEffect::Unspecified => {
            if event.service_effect != 0 {
                wrong.push(violation(
                    "event.service_effect",
                    event.service_effect.to_string(),
                    "SERVICE_EFFECT_LOSS, _DEGRADED, _NONE or nothing",
                ));
            }
            None
        }
    }
}

fn attributes(attributes: &BTreeMap<String, String>, wrong: &mut Violations) {
    if attributes.len() > 64 {
        wrong.push(violation(
            "event.attributes",
            attributes.len().to_string(),
            "at most 64 entries",
        ));
    }
    for (key, value) in attributes.iter().take(64) {
        text("event.attributes.key", key, 1, 64, wrong);
        if value.len() > 1_024 || value.contains('\0') {
            let field = format!("event.attributes[{}]", shortened(key));
            text(&field, value, 0, 1_024, wrong);
        }
    }
}

fn shortened(key: &str) -> String {
    key.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn position(field: &str, at: v1::Position, wrong: &mut Violations) -> Option<Position> {
    let valid = (-90.0..=90.0).contains(&at.latitude) && (-180.0..=180.0).contains(&at.longitude);
    if !valid {
        wrong.push(violation(
            field,
            format!("{} {}", at.latitude, at.longitude),
            "latitude -90 to 90 and longitude -180 to 180",
        ));
        return None;
    }
    Some(Position {
        latitude: at.latitude,
        longitude: at.longitude,
    })
}

fn area_geojson(area: v1::Area, wrong: &mut Violations) -> Option<String> {
    match area.shape {
        Some(v1::area::Shape::Disc(disc)) => {
            let centre = position(
                "event.area.disc.centre",
                disc.centre.unwrap_or(v1::Position {
                    latitude: f64::NAN,
                    longitude: f64::NAN,
                }),
                wrong,
            )?;
            if !(disc.radius_m > 0.0 && disc.radius_m <= LARGEST_RADIUS_M) {
                wrong.push(violation(
                    "event.area.disc.radius_m",
                    disc.radius_m.to_string(),
                    "metres, greater than 0, at most 1000000",
                ));
                return None;
            }
            Some(disc_geojson(centre, disc.radius_m))
        }
        Some(v1::area::Shape::Geojson(geojson)) => {
            if let Err(reason) = check_geojson(&geojson) {
                wrong.push(violation("event.area.geojson", &geojson, reason));
                return None;
            }
            Some(geojson)
        }
        None => {
            wrong.push(violation("event.area", area.name, "a disc or geojson"));
            None
        }
    }
}

fn check_geojson(geojson: &str) -> Result<(), &'static str> {
    if geojson.len() > LARGEST_GEOJSON_BYTES {
        return Err("at most 4 MiB");
    }
    let expected = "a GeoJSON geometry of type Polygon or MultiPolygon";
    let geometry: geojson::Geometry = geojson.parse().map_err(|_| expected)?;
    match geometry.value {
        geojson::GeometryValue::Polygon { .. } | geojson::GeometryValue::MultiPolygon { .. } => {
            Ok(())
        }
        _ => Err(expected),
    }
}

/// A regular polygon around the centre, in the equirectangular approximation, which is exact to
/// 0.1 % for the radii of alarms outside the polar circles.
fn disc_geojson(centre: Position, radius_m: f64) -> String {
    let shrink = centre.latitude.to_radians().cos().max(0.01);
    let corners: Vec<[f64; 2]> = (0..=DISC_CORNERS)
        .map(|corner| {
            let angle =
                std::f64::consts::TAU * f64::from(corner % DISC_CORNERS) / f64::from(DISC_CORNERS);
            let north = radius_m * angle.sin() / METRES_PER_DEGREE;
            let east = radius_m * angle.cos() / METRES_PER_DEGREE / shrink;
            [
                centre.longitude + east,
                (centre.latitude + north).clamp(-90.0, 90.0),
            ]
        })
        .collect();
    serde_json::json!({"type": "Polygon", "coordinates": [corners]}).to_string()
}
