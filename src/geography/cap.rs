//! Alerts of the Common Alerting Protocol (OASIS CAP 1.2; 1.0 and 1.1 read alike).
//!
//! Positions are latitude, longitude: the reverse of `GeoJSON`. A document type is refused, and with
//! it every entity that could name a file or grow.

use super::area::{AreaBuilder, ReadArea};
use super::disc::Disc;
use super::polygon::Point;
use super::problem::{AreaError, AreaFault, AreaWarning};
use super::ring::{self, Ring};
use crate::clock::Millis;
use jiff::Timestamp;
use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What tells one message of one sender from all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CapIdentity {
    pub sender: String,
    pub identifier: String,
    pub sent_ms: Millis,
}

/// What a message does with those it refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapMessage {
    /// Something new.
    Alert,
    /// Takes the place of the messages it refers to.
    Update,
    /// Ends them.
    Cancel,
}

/// What an alert says, in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapText {
    /// BCP 47.
    pub language: String,
    pub event: String,
    pub headline: String,
}

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct CapAlert {
    pub identity: CapIdentity,
    pub message: CapMessage,
    /// As it stands there: "Actual", "Test", ...
    pub status: String,
    /// Of an update or a cancellation: what it replaces or ends.
    pub references: Vec<CapIdentity>,
    /// One for each language, in the order of the alert.
    pub texts: Vec<CapText>,
    /// Names of its areas, each once.
    pub names: Vec<String>,
    pub onset_ms: Millis,
    pub expires_ms: Option<Millis>,
    /// A cancellation needs none.
    pub area: Option<ReadArea>,
}

impl CapAlert {
    /// Whether it is meant in earnest.
    pub fn is_actual(&self) -> bool {
        self.status == "Actual"
    }
}

/// Decodes XML by the encoding that it declares: UTF-8 (also when it declares nothing), US-ASCII or
/// ISO-8859-1.
pub fn decode_xml(bytes: &[u8]) -> Result<String, AreaError> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    let declared = head
        .trim_start_matches('\u{feff}')
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split("?>").next())
        .and_then(|declaration| declaration.split("encoding").nth(1))
        .and_then(|value| value.split(['"', '\'']).nth(1))
        .unwrap_or("UTF-8")
        .to_ascii_uppercase();
    if ["ISO-8859-1", "ISO_8859-1", "LATIN1"].contains(&declared.as_str()) {
        return Ok(bytes.iter().copied().map(char::from).collect());
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        let found = format!("bytes that are no UTF-8, declared as {declared}");
        unreadable("cap", "XML in UTF-8 or ISO-8859-1", found)
    })
}

fn unreadable(place: &str, expected: &'static str, found: impl Into<String>) -> AreaError {
    let found: String = found.into().chars().take(80).collect();
    AreaError::new(place, AreaFault::Unreadable { expected, found })
}

/// Whether a text looks like XML rather than `GeoJSON`.
pub fn looks_like_xml(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('<')
}

/// Reads an alert.
///
/// # Errors
///
/// Everything that is wrong, with its place, up to 20 faults; parts are counted from 1.
pub fn read_cap(text: &str) -> Result<CapAlert, Vec<AreaError>> {
    let text = text.trim_start_matches('\u{feff}');
    let document = Document::parse(text)
        .map_err(|error| vec![unreadable("cap", "an XML document", error.to_string())])?;
    let alert = document.root_element();
    let name = alert.tag_name();
    let namespace = name.namespace().unwrap_or_default();
    if name.name() != "alert" || !(namespace.contains(":cap:") || namespace.contains("/cap/")) {
        let found = format!("the element {} of \"{namespace}\"", name.name());
        return Err(vec![unreadable(
            "cap",
            "the element alert of CAP 1.2",
            found,
        )]);
    }
    let mut reader = Reader::default();
    let read = reader.alert(alert);
    let Some(mut read) = read.filter(|_| reader.builder.errors.is_empty()) else {
        return Err(reader.builder.errors);
    };
    let needs_none = read.message == CapMessage::Cancel && reader.builder.is_empty();
    read.names = reader.names;
    read.area = if needs_none {
        None
    } else {
        Some(reader.builder.finish("cap")?)
    };
    Ok(read)
}

#[derive(Default)]
struct Reader<'a> {
    builder: AreaBuilder,
    /// The same shapes stand in an alert once for each language.
    seen: BTreeSet<&'a str>,
    names: Vec<String>,
}

/// The first child of that name, as text without space around it; empty when there is none.
fn text<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    let child = node
        .children()
        .find(|child| child.tag_name().name() == name);
    child
        .and_then(|child| child.text())
        .unwrap_or_default()
        .trim()
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |child| child.tag_name().name() == name)
}

fn time(text: &str) -> Option<Millis> {
    // CAP writes UTC as -00:00.
    let text = text
        .strip_suffix("-00:00")
        .map_or_else(|| text.to_owned(), |t| format!("{t}Z"));
    let parsed: Timestamp = text.parse().ok()?;
    Some(parsed.as_millisecond())
}

impl<'a> Reader<'a> {
    /// A text that must be there.
    fn required(&mut self, node: Node<'a, '_>, name: &'static str) -> Option<&'a str> {
        let found = text(node, name);
        if found.is_empty() {
            self.builder.error(unreadable(name, "a text", "nothing"));
        }
        (!found.is_empty()).then_some(found)
    }

    /// A time that may be missing.
    fn time(&mut self, node: Node<'a, '_>, place: &str, name: &str) -> Option<Millis> {
        let found = text(node, name);
        let parsed = time(found);
        if parsed.is_none() && !found.is_empty() {
            let place = format!("{place}{name}");
            self.builder.error(unreadable(
                &place,
                "a time such as 2026-03-10T09:00:00+01:00",
                found,
            ));
        }
        parsed
    }

    fn alert(&mut self, alert: Node<'a, '_>) -> Option<CapAlert> {
        let identifier = self.required(alert, "identifier");
        let sender = self.required(alert, "sender");
        let status = self.required(alert, "status");
        let message = match self.required(alert, "msgType") {
            Some("Alert") => Some(CapMessage::Alert),
            Some("Update") => Some(CapMessage::Update),
            Some("Cancel") => Some(CapMessage::Cancel),
            Some(other) => {
                self.builder
                    .error(unreadable("msgType", "Alert, Update or Cancel", other));
                None
            }
            None => None,
        };
        self.required(alert, "sent");
        let sent_ms = self.time(alert, "", "sent");
        let references = self.references(alert, message);
        let (texts, onset_ms, expires_ms) = self.infos(alert, sent_ms)?;
        let status = status?;
        if status != "Actual" {
            let status = status.to_owned();
            self.builder
                .warnings
                .push(AreaWarning::NotActual { status });
        }
        Some(CapAlert {
            identity: CapIdentity {
                sender: sender?.to_owned(),
                identifier: identifier?.to_owned(),
                sent_ms: sent_ms?,
            },
            message: message?,
            status: status.to_owned(),
            references,
            texts,
            names: Vec::new(),
            onset_ms,
            expires_ms,
            area: None,
        })
    }

    /// Reads what it says in its languages, and its areas; texts, onset and end.
    fn infos(
        &mut self,
        alert: Node<'a, '_>,
        sent_ms: Option<Millis>,
    ) -> Option<(Vec<CapText>, Millis, Option<Millis>)> {
        let mut texts: Vec<CapText> = Vec::new();
        let (mut onsets, mut ends) = (BTreeSet::new(), BTreeSet::new());
        for (number, info) in (1..).zip(children(alert, "info")) {
            let place = format!("info[{number}].");
            let language = match text(info, "language") {
                "" => "en-US",
                given => given,
            };
            if texts.iter().all(|text| text.language != language) {
                texts.push(CapText {
                    language: language.to_owned(),
                    event: text(info, "event").to_owned(),
                    headline: text(info, "headline").to_owned(),
                });
            }
            let onset = self.time(info, &place, "onset");
            let effective = self.time(info, &place, "effective");
            onsets.extend(onset.or(effective).or(sent_ms));
            ends.insert(self.time(info, &place, "expires"));
            for (number, area) in (1..).zip(children(info, "area")) {
                self.area(&format!("{place}area[{number}]"), area);
            }
        }
        let onset_ms = onsets.first().copied().or(sent_ms)?;
        // One part without an end makes the whole endless.
        let endless = ends.first().is_none_or(Option::is_none);
        let expires_ms = if endless { None } else { ends.last().copied()? };
        if onsets.len() > 1 || ends.len() > 1 {
            self.builder.warnings.push(AreaWarning::DifferentTimes {
                onset: written(onset_ms),
                expires: expires_ms.map_or_else(|| "none".to_owned(), written),
            });
        }
        Some((texts, onset_ms, expires_ms))
    }

    /// Messages as "sender,identifier,sent", separated by space. An alert may refer to others too,
    /// which means nothing here.
    fn references(&mut self, alert: Node<'a, '_>, message: Option<CapMessage>) -> Vec<CapIdentity> {
        if !matches!(message, Some(CapMessage::Update | CapMessage::Cancel)) {
            return Vec::new();
        }
        let mut read = Vec::new();
        for reference in text(alert, "references").split_whitespace() {
            let parts: Vec<&str> = reference.split(',').collect();
            let parsed = match parts.as_slice() {
                [sender, identifier, sent] => time(sent).map(|sent_ms| CapIdentity {
                    sender: (*sender).to_owned(),
                    identifier: (*identifier).to_owned(),
                    sent_ms,
                }),
                _ => None,
            };
            if let Some(identity) = parsed {
                read.push(identity);
            } else {
                let error = unreadable("references", "sender,identifier,sent", reference);
                self.builder.error(error);
            }
        }
        if read.is_empty() {
            let error = unreadable("references", "the messages that this one is about", "none");
            self.builder.error(error);
        }
        read
    }

    fn area(&mut self, place: &str, area: Node<'a, '_>) {
        let name = text(area, "areaDesc");
        if !name.is_empty() && self.names.iter().all(|known| known != name) {
            self.names.push(name.to_owned());
        }
        let mut shapes = 0;
        for (number, polygon) in (1..).zip(children(area, "polygon")) {
            let coordinates = polygon.text().unwrap_or_default().trim();
            shapes += 1;
            if self.seen.insert(coordinates) {
                self.polygon(&format!("{place}.polygon[{number}]"), coordinates);
            }
        }
        for (number, circle) in (1..).zip(children(area, "circle")) {
            let circle = circle.text().unwrap_or_default().trim();
            shapes += 1;
            if self.seen.insert(circle) {
                self.circle(&format!("{place}.circle[{number}]"), circle);
            }
        }
        if shapes == 0 {
            self.builder.without_shape(place, name.to_owned());
        }
    }

    fn polygon(&mut self, place: &str, coordinates: &str) {
        let points = coordinates.split_whitespace().map(|pair| {
            let (latitude, longitude) = position(place, pair)?;
            ring::point(place, longitude, latitude)
        });
        let points: Result<Vec<Point>, AreaError> = points.collect();
        match points.and_then(|points| Ring::new(place.to_owned(), points)) {
            Ok(ring) => self.builder.polygon(&[ring]),
            Err(error) => self.builder.error(error),
        }
    }

    /// A radius of 0 marks a point, as the centre of an earthquake: nothing can be inside.
    fn circle(&mut self, place: &str, circle: &str) {
        let read = || {
            let wrong = || unreadable(place, "latitude,longitude and a radius in km", circle);
            let (centre, radius_km) = circle.split_once(char::is_whitespace).ok_or_else(wrong)?;
            let (latitude, longitude) = position(place, centre)?;
            let radius_km = number(place, radius_km.trim())?;
            if radius_km == 0.0 {
                ring::point(place, longitude, latitude)?;
                return Ok(None);
            }
            Disc::new(place, latitude, longitude, radius_km * 1_000.0).map(Some)
        };
        match read() {
            Ok(Some(disc)) => self.builder.disc(disc),
            Ok(None) => {
                let place = place.to_owned();
                self.builder.warnings.push(AreaWarning::NoSize { place });
            }
            Err(error) => self.builder.error(error),
        }
    }
}

/// "latitude,longitude".
fn position(place: &str, pair: &str) -> Result<(f64, f64), AreaError> {
    let (latitude, longitude) = pair
        .split_once(',')
        .ok_or_else(|| unreadable(place, "pairs of latitude,longitude", pair))?;
    Ok((number(place, latitude)?, number(place, longitude)?))
}

fn number(place: &str, text: &str) -> Result<f64, AreaError> {
    let parsed = text.parse::<f64>().ok().filter(|value| value.is_finite());
    parsed.ok_or_else(|| {
        let shown = text.chars().take(80).collect();
        AreaError::new(place, AreaFault::NotANumber(shown))
    })
}

fn written(at_ms: Millis) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| at.to_string())
}
