//! How the records of an import refer to each other, when some of them were refused by themselves: what
//! is wrong besides, and does not merely follow from that.

use super::record::locate::record_key;
use super::record::{RecordError, RecordErrors};
use super::{NetworkDefinition, NetworkError, resolve};
use std::collections::{HashMap, HashSet};

/// The records that were refused, as far as others may refer to them.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// Ids of records that are not in the definition.
    missing: HashSet<String>,
    /// There are records whose id could not be read.
    nameless: bool,
    /// Record and field.
    fields: HashSet<(String, String)>,
    /// Elements of which nobody knows whether they carry transit.
    doubtful: HashSet<String>,
    /// So many errors have been looked at.
    seen: usize,
}

/// The line of each record, in the order of the definition.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) sites: Vec<u64>,
    pub(super) elements: Vec<u64>,
    pub(super) links: Vec<u64>,
    pub(super) groups: Vec<u64>,
}

/// Fields that hold ids of other records.
const REFERENCES: [&str; 4] = ["site", "a", "b", "members"];

impl Refused {
    /// A record could not be read.
    pub(super) fn pass_over(&mut self, id: Option<&str>, errors: &RecordErrors) {
        self.seen = errors.errors().len();
        match id {
            Some(id) => drop(self.missing.insert(id.to_owned())),
            None => self.nameless = true,
        }
    }

    /// A record was read, and these are all errors so far.
    pub(super) fn note(&mut self, record_type: &str, id: &str, errors: &RecordErrors) {
        let new = errors.since(self.seen);
        self.seen = errors.errors().len();
        for RecordError { field, .. } in new {
            let key = record_key(record_type, id);
            self.fields.insert((key, field.clone()));
            let decides_transit = ["kind", "transit", "gateway"].contains(&field.as_str());
            if record_type == "element" && decides_transit {
                self.doubtful.insert(id.to_owned());
            }
        }
    }

    /// Whether errors were found since it last looked.
    pub(super) fn has_news(&self, errors: &RecordErrors) -> bool {
        errors.errors().len() > self.seen
    }

    /// Adds to the errors what is wrong between the records.
    pub(super) fn check_references(
        &self,
        definition: &NetworkDefinition,
        lines: &Lines,
        errors: &mut RecordErrors,
    ) {
        if errors.is_full() {
            return;
        }
        let Err(found) = resolve(definition, &[]) else {
            return;
        };
        let unsure = self.next_to_doubtful(definition);
        let lines = lines_of(definition, lines);
        // Of no elements at all nobody expects one to be a gateway.
        let is_empty =
            |error: &NetworkError| error.record == "network" && definition.elements.is_empty();
        for error in found {
            if self.follows(&error, &unsure) || is_empty(&error) {
                continue;
            }
            let line = lines.get(&(error.record, error.id.as_str()));
            let line = line.copied().unwrap_or_default();
            errors.add(line, error.field, &error.value, error.expected.as_str());
        }
    }

    /// Whether an error is merely a consequence of a refused record.
    fn follows(&self, error: &NetworkError, unsure: &HashSet<&str>) -> bool {
        let has_unread = self.nameless || !self.missing.is_empty();
        let of_element = |(key, _): &(String, String)| key.starts_with("element ");
        let key = record_key(error.record, &error.id);
        let names_unread = REFERENCES.contains(&error.field)
            && (self.nameless || self.missing.contains(&error.value));
        names_unread
            || error.record == "network" && (has_unread || self.fields.iter().any(of_element))
            || ["redundancy", "transit"].contains(&error.field)
                && unsure.contains(error.id.as_str())
            || self.fields.contains(&(key, error.field.to_owned()))
    }

    /// Elements and links of which what is said depends on an element that was refused.
    fn next_to_doubtful<'a>(&'a self, definition: &'a NetworkDefinition) -> HashSet<&'a str> {
        let mut unsure: HashSet<&str> = self.doubtful.iter().map(String::as_str).collect();
        if self.doubtful.is_empty() {
            return unsure;
        }
        for link in &definition.links {
            if self.doubtful.contains(&link.a) || self.doubtful.contains(&link.b) {
                unsure.extend([link.id.as_str(), &link.a, &link.b]);
            }
        }
        unsure
    }
}

/// Of a record that is there twice, the last one is the one too many.
fn lines_of<'a>(
    definition: &'a NetworkDefinition,
    lines: &Lines,
) -> HashMap<(&'static str, &'a str), u64> {
    let sites = definition.sites.iter().map(|s| ("site", s.id.as_str()));
    let elements = definition.elements.iter();
    let elements = elements.map(|e| ("element", e.id.as_str()));
    let links = definition.links.iter().map(|l| ("link", l.id.as_str()));
    let groups = definition.groups.iter().map(|g| ("group", g.id.as_str()));
    let placed = sites
        .zip(&lines.sites)
        .chain(elements.zip(&lines.elements))
        .chain(links.zip(&lines.links))
        .chain(groups.zip(&lines.groups));
    placed.map(|(key, line)| (key, *line)).collect()
}
