//! What an import changes: the new content against the current version, record by record.

use crate::subscriber::Subscriber;
use crate::topology::{NetworkDefinition, SharedRiskGroup};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// Counts of records by what happened to them. A record that was moved and otherwise modified
/// counts as both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub added: u64,
    pub removed: u64,
    /// Fields of its own changed.
    pub modified: u64,
    /// Elements that hang from other elements than before; subscribers whose serving elements
    /// changed.
    pub moved: u64,
}

impl Difference {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, other: Self) {
        self.added += other.added;
        self.removed += other.removed;
        self.modified += other.modified;
        self.moved += other.moved;
    }
}

/// Compares two networks. Order carries no meaning; ids are unique within their kind of record.
pub fn compare_networks(old: &NetworkDefinition, new: &NetworkDefinition) -> Difference {
    let mut all = compare_by_id(&old.sites, &new.sites, |site| &site.id);
    all.add(compare_by_id(&old.elements, &new.elements, |e| &e.id));
    all.add(compare_by_id(&old.links, &new.links, |link| &link.id));
    all.add(compare_by_id(
        &sorted_members(&old.groups),
        &sorted_members(&new.groups),
        |group| &group.id,
    ));
    all.moved = moved_elements(old, new);
    all
}

fn sorted_members(groups: &[SharedRiskGroup]) -> Vec<SharedRiskGroup> {
    let mut groups = groups.to_vec();
    for group in &mut groups {
        group.members.sort_unstable();
        group.members.dedup();
    }
    groups
}

fn compare_by_id<'a, T: PartialEq>(
    old: &'a [T],
    new: &'a [T],
    id: impl Fn(&'a T) -> &'a String,
) -> Difference {
    let mut before: HashMap<&str, &T> = old.iter().map(|t| (id(t).as_str(), t)).collect();
    let mut difference = Difference::default();
    for record in new {
        match before.remove(id(record).as_str()) {
            None => difference.added += 1,
            Some(was) if was != record => difference.modified += 1,
            Some(_) => {}
        }
    }
    difference.removed = before.len() as u64;
    difference
}

/// Elements of both networks whose incoming links start at other elements than before.
fn moved_elements(old: &NetworkDefinition, new: &NetworkDefinition) -> u64 {
    let before = parents(old);
    let after = parents(new);
    let kept: HashSet<&str> = old.elements.iter().map(|e| e.id.as_str()).collect();
    let moved = new.elements.iter().filter(|element| {
        let id = element.id.as_str();
        kept.contains(id) && before.get(id) != after.get(id)
    });
    moved.count() as u64
}

/// For each element with incoming links, where they start, sorted.
fn parents(network: &NetworkDefinition) -> HashMap<&str, Vec<&str>> {
    let mut parents: HashMap<&str, Vec<&str>> = HashMap::new();
    for link in &network.links {
        parents.entry(&link.b).or_default().push(&link.a);
    }
    for list in parents.values_mut() {
        list.sort_unstable();
    }
    parents
}

/// Compares subscribers that come in pages, both sides sorted by account.
#[derive(Debug)]
pub struct SubscriberComparison<'a> {
    new: std::iter::Peekable<std::slice::Iter<'a, Subscriber>>,
    difference: Difference,
}

impl<'a> SubscriberComparison<'a> {
    /// Starts with the new subscribers, sorted by account.
    pub fn new(new: &'a [Subscriber]) -> Self {
        Self {
            new: new.iter().peekable(),
            difference: Difference::default(),
        }
    }

    /// Takes the next subscribers of the current version, sorted by account.
    pub fn take_old(&mut self, page: &[Subscriber]) {
        for was in page {
            while self.new.next_if(|is| is.account < was.account).is_some() {
                self.difference.added += 1;
            }
            match self.new.next_if(|is| is.account == was.account) {
                None => self.difference.removed += 1,
                Some(is) => self.compare(was, is),
            }
        }
    }

    /// What differs, after the last page.
    pub fn finish(mut self) -> Difference {
        self.difference.added += self.new.count() as u64;
        self.difference
    }

    fn compare(&mut self, was: &Subscriber, is: &Subscriber) {
        if was == is {
            return;
        }
        let moved = was.served_by != is.served_by;
        self.difference.moved += u64::from(moved);
        let as_moved = Subscriber {
            served_by: is.served_by.clone(),
            ..was.clone()
        };
        self.difference.modified += u64::from(as_moved != *is);
    }
}
