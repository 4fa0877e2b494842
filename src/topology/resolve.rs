//! From ids to numbers: checks a definition and refuses what is wrong or ambiguous.
//!
//! Everything after this step works on numbers and cannot fail.

use super::kernel::MOST_PARTS;
use super::names::NameIndex;
use super::{Attachment, Element, ElementKind, GroupNo, LinkNo, NetworkDefinition, Redundancy};
use super::{ElementNo, Part};
use std::collections::HashMap;
use std::fmt;

/// At most so many errors are collected; an import shows them all at once.
pub const MAX_ERRORS: usize = 100;

/// One thing wrong with a definition: in which record, in which field, what was found there and
/// what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    /// "network", "site", "element", "link", "group" or "subscriber".
    pub record: &'static str,
    /// Id of the record, the account of a subscriber; empty for the network as a whole.
    pub id: String,
    pub field: &'static str,
    pub value: String,
    pub expected: String,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.record)?;
        if !self.id.is_empty() {
            write!(f, " \"{}\"", self.id)?;
        }
        write!(f, ": {}", self.field)?;
        if self.value.is_empty() {
            write!(f, ": expected {}", self.expected)
        } else {
            write!(f, " is \"{}\", expected {}", self.value, self.expected)
        }
    }
}

impl std::error::Error for NetworkError {}

/// A checked definition in numbers: index in the list of the definition.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Per element: index of its site, or `NONE`.
    pub(super) sites: Vec<u32>,
    /// Per element.
    pub(super) gateway: Vec<bool>,
    /// Per element: needs all its parents.
    pub(super) needs_all: Vec<bool>,
    /// Per link: service runs from the first to the second end, or both ways.
    pub(super) links: Vec<ServiceLink>,
    /// Per group.
    pub(super) members: Vec<Vec<Part>>,
    /// Per subscriber: where its entries of `serving` end.
    pub(super) serving_end: Vec<u32>,
    /// Elements, without repetition per subscriber.
    pub(super) serving: Vec<u32>,
    /// Per subscriber: needs all its serving elements.
    pub(super) subscriber_needs_all: Vec<bool>,
    /// Ids of elements, then links, then groups, see [`id_of`].
    pub(super) ids: NameIndex,
    pub(super) accounts: NameIndex,
}

/// The id of a number of [`Resolved::ids`].
pub(super) fn id_of(definition: &NetworkDefinition, no: u32) -> &str {
    let (elements, links) = (&definition.elements, &definition.links);
    let no = no as usize;
    if let Some(element) = elements.get(no) {
        return &element.id;
    }
    let no = no - elements.len();
    match links.get(no) {
        Some(link) => &link.id,
        None => &definition.groups[no - links.len()].id,
    }
}

/// A link as service uses it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceLink {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) both_ways: bool,
}

/// No number.
pub(super) const NONE: u32 = u32::MAX;

/// Checks a definition and its attachments, and numbers them in the order given; up to
/// [`MAX_ERRORS`] errors.
pub fn resolve(
    definition: &NetworkDefinition,
    attachments: &[Attachment],
) -> Result<Resolved, Vec<NetworkError>> {
    let mut resolver = Resolver {
        definition,
        sites: HashMap::new(),
        errors: Vec::new(),
        resolved: Resolved::default(),
    };
    resolver.sites();
    resolver.number_parts();
    resolver.elements();
    resolver.links();
    resolver.redundancy();
    resolver.groups();
    resolver.attachments(attachments);
    if resolver.errors.is_empty() {
        Ok(resolver.resolved)
    } else {
        Err(resolver.errors)
    }
}

struct Resolver<'a> {
    definition: &'a NetworkDefinition,
    sites: HashMap<&'a str, u32>,
    errors: Vec<NetworkError>,
    resolved: Resolved,
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a definition of 2^32 records does not fit in memory"
)]
fn number(index: usize) -> u32 {
    index as u32
}

impl<'a> Resolver<'a> {
    fn refuse(
        &mut self,
        record: &'static str,
        id: &str,
        field: &'static str,
        value: &str,
        expected: impl Into<String>,
    ) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(NetworkError {
                record,
                id: id.to_owned(),
                field,
                value: value.to_owned(),
                expected: expected.into(),
            });
        }
    }

    fn sites(&mut self) {
        for (index, site) in self.definition.sites.iter().enumerate() {
            if site.id.is_empty() {
                self.refuse("site", "", "id", "", "an id that is not empty");
            }
            if self.sites.insert(&site.id, number(index)).is_some() {
                self.refuse("site", &site.id, "id", &site.id, "an id used once");
            }
            if let Some(position) = site.position {
                let (latitude, longitude) = (position.latitude, position.longitude);
                if !(-90.0..=90.0).contains(&latitude) {
                    let value = latitude.to_string();
                    self.refuse("site", &site.id, "latitude", &value, "-90 to 90");
                }
                if !(-180.0..=180.0).contains(&longitude) {
                    let value = longitude.to_string();
                    self.refuse("site", &site.id, "longitude", &value, "-180 to 180");
                }
            }
        }
    }

    fn number_parts(&mut self) {
        let definition = self.definition;
        let elements = definition.elements.iter().map(|e| ("element", &e.id));
        let links = definition.links.iter().map(|l| ("link", &l.id));
        let groups = definition.groups.iter().map(|g| ("group", &g.id));
        let count = elements.len() + links.len() + groups.len();
        if count >= MOST_PARTS {
            let value = count.to_string();
            self.refuse("network", "", "size", &value, "less than 2^30 records");
        }
        let mut bytes = 0;
        let mut ids = NameIndex::with_capacity(count);
        for (no, (record, id)) in (0..).zip(elements.chain(links).chain(groups)) {
            bytes += id.len();
            if id.is_empty() {
                self.refuse(record, "", "id", "", "an id that is not empty");
            } else if !ids.insert(no, |no| id_of(definition, no)) {
                let expected = "an id used once among elements, links and groups";
                self.refuse(record, id, "id", id, expected);
            }
        }
        bytes += definition
            .elements
            .iter()
            .map(|e| e.name.len())
            .sum::<usize>();
        self.resolved.ids = ids;
        self.bounded("network", bytes);
    }

    fn bounded(&mut self, record: &'static str, bytes: usize) {
        if bytes >= u32::MAX as usize {
            let value = bytes.to_string();
            self.refuse(
                record,
                "",
                "bytes of ids and names",
                &value,
                "less than 4 GiB of them in all",
            );
        }
    }

    fn part(&self, id: &str) -> Option<Part> {
        let no = self.resolved.ids.get(id, |no| id_of(self.definition, no))?;
        let (elements, links) = (&self.definition.elements, &self.definition.links);
        let (elements, links) = (number(elements.len()), number(links.len()));
        Some(if no < elements {
            Part::Element(ElementNo(no))
        } else if no - elements < links {
            Part::Link(LinkNo(no - elements))
        } else {
            Part::Group(GroupNo(no - elements - links))
        })
    }

    fn elements(&mut self) {
        for element in &self.definition.elements {
            let site = element.site.as_deref().map_or(NONE, |site| {
                self.sites.get(site).copied().unwrap_or_else(|| {
                    self.refuse("element", &element.id, "site", site, "the id of a site");
                    NONE
                })
            });
            let needs_all = element.redundancy == Some(Redundancy::All);
            if needs_all && (element.gateway || transits(element)) {
                self.refuse(
                    "element",
                    &element.id,
                    "redundancy",
                    "all",
                    "\"any\" for a gateway or an element that carries transit",
                );
            }
            self.resolved.sites.push(site);
            self.resolved.gateway.push(element.gateway);
            self.resolved.needs_all.push(needs_all);
        }
        if !self.resolved.gateway.contains(&true) {
            self.refuse(
                "network",
                "",
                "gateway",
                "",
                "at least one element with gateway true: service must come from somewhere",
            );
        }
    }

    fn end(&mut self, link: &str, field: &'static str, id: &str) -> Option<u32> {
        if let Some(Part::Element(element)) = self.part(id) {
            return Some(element.0);
        }
        self.refuse("link", link, field, id, "the id of an element");
        None
    }

    fn links(&mut self) {
        for link in &self.definition.links {
            let a = self.end(&link.id, "a", &link.a);
            let b = self.end(&link.id, "b", &link.b);
            let (Some(a), Some(b)) = (a, b) else {
                continue;
            };
            if a == b {
                let expected = "another element than a";
                self.refuse("link", &link.id, "b", &link.b, expected);
                continue;
            }
            let elements = &self.definition.elements;
            let supplies = |end: u32| {
                let element = &elements[end as usize];
                element.gateway || transits(element)
            };
            let (from, to, both_ways) = match (link.transit, supplies(a), supplies(b)) {
                (Some(true) | None, true, true) => (a, b, true),
                (Some(true), ..) => {
                    let expected = "\"false\": an end of it carries no transit";
                    self.refuse("link", &link.id, "transit", "true", expected);
                    continue;
                }
                (None, false, true) => (b, a, false),
                (Some(false), ..) | (None, _, false) => (a, b, false),
            };
            self.resolved.links.push(ServiceLink {
                from,
                to,
                both_ways,
            });
        }
    }

    /// An element without transit that has several ways in must say whether it needs them all.
    fn redundancy(&mut self) {
        let mut ways_in = vec![0_u32; self.definition.elements.len()];
        for link in &self.resolved.links {
            ways_in[link.to as usize] += 1;
            if link.both_ways {
                ways_in[link.from as usize] += 1;
            }
        }
        for (element, ways_in) in self.definition.elements.iter().zip(ways_in) {
            let free = element.gateway || transits(element) || element.redundancy.is_some();
            if ways_in > 1 && !free {
                self.refuse(
                    "element",
                    &element.id,
                    "redundancy",
                    "",
                    format!("\"any\" or \"all\", because {ways_in} links lead to it"),
                );
            }
        }
    }

    fn groups(&mut self) {
        for group in &self.definition.groups {
            let mut members = Vec::with_capacity(group.members.len());
            for member in &group.members {
                match self.part(member) {
                    Some(part @ (Part::Element(_) | Part::Link(_))) => members.push(part),
                    Some(Part::Group(_)) | None => {
                        let expected = "ids of elements and links";
                        self.refuse("group", &group.id, "members", member, expected);
                    }
                }
            }
            members.sort_unstable();
            members.dedup();
            self.resolved.members.push(members);
        }
    }

    fn attachments(&mut self, attachments: &'a [Attachment]) {
        let mut accounts = NameIndex::with_capacity(attachments.len());
        let mut bytes = 0;
        for (no, attachment) in (0..).zip(attachments) {
            let account = attachment.account.as_str();
            bytes += account.len();
            if account.is_empty() {
                self.refuse("subscriber", "", "account", "", "an account, not empty");
            } else if !accounts.insert(no, |no| &attachments[no as usize].account) {
                let expected = "an account used once";
                self.refuse("subscriber", account, "account", account, expected);
            }
            if attachment.served_by.is_empty() {
                let expected = "the id of at least one element";
                self.refuse("subscriber", account, "served_by", "", expected);
            }
            let start = self.resolved.serving.len();
            for id in &attachment.served_by {
                let Some(Part::Element(element)) = self.part(id) else {
                    let expected = "the id of an element";
                    self.refuse("subscriber", account, "served_by", id, expected);
                    continue;
                };
                if !self.resolved.serving[start..].contains(&element.0) {
                    self.resolved.serving.push(element.0);
                }
            }
            self.resolved
                .serving_end
                .push(number(self.resolved.serving.len()));
            self.resolved
                .subscriber_needs_all
                .push(attachment.redundancy == Redundancy::All);
        }
        self.resolved.accounts = accounts;
        self.bounded("subscribers", bytes);
    }
}

/// Whether traffic of others passes through.
fn transits(element: &Element) -> bool {
    element
        .transit
        .unwrap_or_else(|| ElementKind::transits_by_default(element.kind))
}
