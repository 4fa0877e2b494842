//! From the raw fields of records, whatever format or connection they came by, to a network.

use super::record::{RecordErrors, RecordSink, check_id, check_text, one_of};
use super::references::{Lines, Refused};
use super::{
    Element, ElementKind, GroupKind, Link, NetworkDefinition, Position, Redundancy,
    SharedRiskGroup, Site,
};
use serde::{Deserialize, Serialize};

/// Longest id, in bytes.
pub const LONGEST_ID: usize = 256;
/// Longest name, in bytes.
const LONGEST_NAME: usize = 256;

/// Longest time without mains power that is believed, in minutes.
const LONGEST_BATTERY_MINUTES: u32 = 30 * 24 * 60;

const RECORD_TYPES: [&str; 4] = ["site", "element", "link", "group"];

/// One record as it was written down: nothing is checked yet, an empty text is one not given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopologyFields {
    /// "site", "element", "link" or "group".
    #[serde(rename = "type")]
    pub record_type: String,
    pub id: String,
    /// Of an element or a group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Not of a link.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Of a site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<PositionFields>,
    /// Of an element.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub site: String,
    /// Of an element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<bool>,
    /// Of an element or a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transit: Option<bool>,
    /// Of an element.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub redundancy: String,
    /// Of an element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub battery_minutes: Option<u32>,
    /// Of a link.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub a: String,
    /// Of a link.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub b: String,
    /// Of a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

/// A position of which either half may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PositionFields {
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
}

impl From<&Site> for TopologyFields {
    fn from(site: &Site) -> Self {
        Self {
            record_type: "site".to_owned(),
            id: site.id.clone(),
            name: site.name.clone(),
            position: site.position.map(PositionFields::from),
            ..Self::default()
        }
    }
}

impl From<&Element> for TopologyFields {
    fn from(element: &Element) -> Self {
        Self {
            record_type: "element".to_owned(),
            id: element.id.clone(),
            kind: element.kind.as_str().to_owned(),
            name: element.name.clone(),
            site: element.site.clone().unwrap_or_default(),
            gateway: element.gateway.then_some(true),
            transit: element.transit,
            redundancy: element
                .redundancy
                .map(redundancy_name)
                .unwrap_or_default()
                .to_owned(),
            battery_minutes: element.battery_minutes,
            ..Self::default()
        }
    }
}

impl From<&Link> for TopologyFields {
    fn from(link: &Link) -> Self {
        Self {
            record_type: "link".to_owned(),
            id: link.id.clone(),
            transit: link.transit,
            a: link.a.clone(),
            b: link.b.clone(),
            ..Self::default()
        }
    }
}

impl From<&SharedRiskGroup> for TopologyFields {
    fn from(group: &SharedRiskGroup) -> Self {
        Self {
            record_type: "group".to_owned(),
            id: group.id.clone(),
            kind: group.kind.as_str().to_owned(),
            name: group.name.clone(),
            members: group.members.clone(),
            ..Self::default()
        }
    }
}

impl From<Position> for PositionFields {
    fn from(position: Position) -> Self {
        Self {
            latitude: Some(position.latitude),
            longitude: Some(position.longitude),
        }
    }
}

/// Checks records one by one. How they refer to each other is checked here only when some are wrong
/// by themselves, so that all comes in one go; else by [`Network::build`](super::Network::build),
/// whose errors [`super::locate_errors`] finds in a file.
#[derive(Debug)]
pub struct TopologyParser {
    errors: RecordErrors,
    definition: NetworkDefinition,
    lines: Lines,
    refused: Refused,
}

impl TopologyParser {
    /// A parser for the records of a file or a stream, as `errors` names their place.
    pub fn new(errors: RecordErrors) -> Self {
        Self {
            errors: errors.impersonal(),
            definition: NetworkDefinition::default(),
            lines: Lines::default(),
            refused: Refused::default(),
        }
    }

    /// Takes the next record. `line` is its line in the file or its number in the stream, from 1.
    pub fn push(&mut self, line: u64, fields: TopologyFields) {
        let record_type = fields.record_type.clone();
        self.parse(line, fields);
        if self.refused.has_news(&self.errors) {
            let id = match record_type.as_str() {
                "site" => self.definition.sites.last().map(|site| &site.id),
                "element" => self.definition.elements.last().map(|element| &element.id),
                "link" => self.definition.links.last().map(|link| &link.id),
                "group" => self.definition.groups.last().map(|group| &group.id),
                _ => None,
            };
            let id = id.map_or("", String::as_str);
            self.refused.note(&record_type, id, &self.errors);
        }
        if self.errors.is_unread(line, "id") {
            self.refused.pass_over(None, &self.errors);
        }
    }

    fn parse(&mut self, line: u64, fields: TopologyFields) {
        let errors = &mut self.errors;
        check_id(errors, line, "id", &fields.id, LONGEST_ID);
        check_text(errors, line, "name", &fields.name, LONGEST_NAME);
        refuse_foreign(errors, line, &fields);
        match fields.record_type.as_str() {
            "site" => {
                let position = parse_position(errors, line, fields.position);
                self.lines.sites.push(line);
                self.definition.sites.push(Site {
                    id: fields.id,
                    name: fields.name,
                    position,
                });
            }
            "element" => {
                self.lines.elements.push(line);
                let element = parse_element(errors, line, fields);
                self.definition.elements.push(element);
            }
            "link" => {
                check_ends(errors, line, &fields);
                self.lines.links.push(line);
                self.definition.links.push(Link {
                    id: fields.id,
                    a: fields.a,
                    b: fields.b,
                    transit: fields.transit,
                });
            }
            "group" => {
                self.lines.groups.push(line);
                let group = parse_group(errors, line, fields);
                self.definition.groups.push(group);
            }
            other => {
                errors.add(line, "type", other, one_of(&RECORD_TYPES));
                self.refused.pass_over(Some(&fields.id), errors);
            }
        }
    }

    /// The network, if every record is right.
    pub fn finish(mut self) -> Result<NetworkDefinition, RecordErrors> {
        if !self.errors.is_empty() {
            self.refused
                .check_references(&self.definition, &self.lines, &mut self.errors);
        }
        self.errors.unless_any(self.definition)
    }
}

impl RecordSink<TopologyFields> for TopologyParser {
    fn errors(&mut self) -> &mut RecordErrors {
        &mut self.errors
    }

    fn take(&mut self, line: u64, fields: TopologyFields) {
        self.push(line, fields);
    }

    fn pass_over(&mut self) {
        self.refused.pass_over(None, &self.errors);
    }
}

/// Refuses fields that mean nothing for the type of the record: most likely a slip that would
/// otherwise be lost silently.
fn refuse_foreign(errors: &mut RecordErrors, line: u64, fields: &TopologyFields) {
    let record_type = fields.record_type.as_str();
    let given = [
        ("kind", !fields.kind.is_empty(), "element group"),
        ("name", !fields.name.is_empty(), "site element group"),
        ("position", fields.position.is_some(), "site"),
        ("site", !fields.site.is_empty(), "element"),
        ("gateway", fields.gateway.is_some(), "element"),
        ("transit", fields.transit.is_some(), "element link"),
        ("redundancy", !fields.redundancy.is_empty(), "element"),
        (
            "battery_minutes",
            fields.battery_minutes.is_some(),
            "element",
        ),
        ("a", !fields.a.is_empty(), "link"),
        ("b", !fields.b.is_empty(), "link"),
        ("members", !fields.members.is_empty(), "group"),
    ];
    for (field, is_given, types) in given {
        if is_given
            && RECORD_TYPES.contains(&record_type)
            && !types.split(' ').any(|one| one == record_type)
        {
            errors.add(line, field, "", format!("nothing here for a {record_type}"));
        }
    }
}

/// A position from its halves; `None` when not given or wrong.
pub(crate) fn parse_position(
    errors: &mut RecordErrors,
    line: u64,
    fields: Option<PositionFields>,
) -> Option<Position> {
    let (latitude, longitude) = match fields? {
        PositionFields {
            latitude: None,
            longitude: None,
        } => return None,
        PositionFields {
            latitude: Some(latitude),
            longitude: Some(longitude),
        } => (latitude, longitude),
        PositionFields { latitude: None, .. } => {
            errors.add(
                line,
                "latitude",
                "",
                "a latitude where there is a longitude",
            );
            return None;
        }
        PositionFields { .. } => {
            errors.add(
                line,
                "longitude",
                "",
                "a longitude where there is a latitude",
            );
            return None;
        }
    };
    let mut right = true;
    for (field, value, limit) in [
        ("latitude", latitude, 90.0),
        ("longitude", longitude, 180.0),
    ] {
        if !(-limit..=limit).contains(&value) {
            errors.add(
                line,
                field,
                &value.to_string(),
                format!("degrees from -{limit} to {limit}"),
            );
            right = false;
        }
    }
    if latitude == 0.0 && longitude == 0.0 {
        let expected =
            "a real position: 0,0 is what a failed geocoder writes; leave it out instead";
        errors.add(line, "position", "", expected);
        right = false;
    }
    right.then_some(Position {
        latitude,
        longitude,
    })
}

/// The redundancy of that name; `None` when not given or wrong.
pub(crate) fn parse_redundancy(
    errors: &mut RecordErrors,
    line: u64,
    name: &str,
) -> Option<Redundancy> {
    match name {
        "" => None,
        "any" => Some(Redundancy::Any),
        "all" => Some(Redundancy::All),
        other => {
            errors.add(line, "redundancy", other, one_of(&["any", "all"]));
            None
        }
    }
}

/// Name of a redundancy in import formats.
pub(crate) fn redundancy_name(redundancy: Redundancy) -> &'static str {
    match redundancy {
        Redundancy::Any => "any",
        Redundancy::All => "all",
    }
}

/// Of a kind that is wrong something stands in.
fn parse_element(errors: &mut RecordErrors, line: u64, fields: TopologyFields) -> Element {
    let redundancy = parse_redundancy(errors, line, &fields.redundancy);
    let battery_minutes = fields.battery_minutes;
    if let Some(minutes) = battery_minutes.filter(|&minutes| minutes > LONGEST_BATTERY_MINUTES) {
        let expected = format!("minutes, at most {LONGEST_BATTERY_MINUTES} (30 days)");
        errors.add(line, "battery_minutes", &minutes.to_string(), expected);
    }
    if !fields.site.is_empty() {
        check_id(errors, line, "site", &fields.site, LONGEST_ID);
    }
    let kind = ElementKind::parse(&fields.kind).unwrap_or_else(|| {
        let names = ElementKind::ALL.map(ElementKind::as_str);
        errors.add(line, "kind", &fields.kind, one_of(&names));
        ElementKind::Other
    });
    Element {
        id: fields.id,
        kind,
        name: fields.name,
        site: (!fields.site.is_empty()).then_some(fields.site),
        gateway: fields.gateway.unwrap_or(false),
        transit: fields.transit,
        redundancy,
        battery_minutes,
    }
}

fn check_ends(errors: &mut RecordErrors, line: u64, fields: &TopologyFields) {
    let a_is_right = check_id(errors, line, "a", &fields.a, LONGEST_ID);
    let b_is_right = check_id(errors, line, "b", &fields.b, LONGEST_ID);
    if a_is_right && b_is_right && fields.a == fields.b {
        errors.add(line, "b", &fields.b, "another element than a");
    }
}

/// Of a kind that is wrong something stands in.
fn parse_group(errors: &mut RecordErrors, line: u64, fields: TopologyFields) -> SharedRiskGroup {
    for member in &fields.members {
        check_id(errors, line, "members", member, LONGEST_ID);
    }
    if fields.members.is_empty() {
        errors.add(
            line,
            "members",
            "",
            "at least one id of an element or a link",
        );
    }
    let kind = GroupKind::parse(&fields.kind).unwrap_or_else(|| {
        let names = GroupKind::ALL.map(GroupKind::as_str);
        errors.add(line, "kind", &fields.kind, one_of(&names));
        GroupKind::Other
    });
    SharedRiskGroup {
        id: fields.id,
        kind,
        name: fields.name,
        members: fields.members,
    }
}
