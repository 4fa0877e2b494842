//! Which of the failures explains an alarm.

use super::Search;
use crate::incident::candidates::{NumberMap, sole_parent};
use crate::topology::{CutOff, ElementNo, Part};
use std::collections::HashSet;

/// Which failure explains an alarm at a part.
pub(super) struct Owners<'a> {
    search: &'a Search<'a>,
    cut: &'a CutOff,
    pub(super) failed: NumberMap<Part, usize>,
    /// Elements right behind a failed link.
    behind: NumberMap<ElementNo, usize>,
    /// Of elements that others hang on.
    known: NumberMap<ElementNo, Option<usize>>,
    /// The same of those that are not cut off: what explains them or something above them.
    below: NumberMap<ElementNo, Option<usize>>,
}

impl<'a> Owners<'a> {
    pub(super) fn new(search: &'a Search<'a>, sets: &[Vec<Part>], cut: &'a CutOff) -> Self {
        let mut owners = Self {
            search,
            cut,
            failed: NumberMap::default(),
            behind: NumberMap::default(),
            known: NumberMap::default(),
            below: NumberMap::default(),
        };
        for (no, set) in sets.iter().enumerate() {
            for &part in set {
                owners.failed.entry(part).or_insert(no);
                if let Part::Group(group) = part {
                    for &member in search.network.group_members(group) {
                        owners.failed.entry(member).or_insert(no);
                    }
                }
                for link in search.links_of(part) {
                    let (a, b) = search.network.link_ends(link);
                    for end in [a, b] {
                        if cut.is_cut_off(end) {
                            owners.behind.entry(end).or_insert(no);
                        }
                    }
                }
            }
        }
        owners
    }

    pub(super) fn of(&mut self, part: Part) -> Option<usize> {
        if let Some(owner) = self.failed.get(&part) {
            return Some(*owner);
        }
        if let Some(&cause) = self.search.symptoms.get(&part) {
            return self.of(cause);
        }
        match part {
            Part::Element(element) => self.of_element(element),
            Part::Link(link) => {
                let (a, b) = self.search.network.link_ends(link);
                self.of_element(a).or_else(|| self.of_element(b))
            }
            Part::Group(group) => {
                let members = self.search.network.group_members(group);
                members.iter().find_map(|&member| self.of(member))
            }
        }
    }

    fn of_element(&mut self, element: ElementNo) -> Option<usize> {
        if !self.cut.is_cut_off(element) {
            return self
                .ends_at(element)
                .or_else(|| self.below_symptom(element));
        }
        if let Some(owner) = self.known.get(&element) {
            return *owner;
        }
        let is_leaf = self.search.network.children(element).next().is_none();
        if !is_leaf {
            self.known.insert(element, None);
        }
        let owner = match sole_parent(self.search.network, element) {
            _ if self.ends_at(element).is_some() => self.ends_at(element),
            Some(parent) => self.of_element(parent),
            None => self.nearest_above(element),
        };
        if !is_leaf {
            self.known.insert(element, owner);
        }
        owner
    }

    fn ends_at(&self, element: ElementNo) -> Option<usize> {
        let part = Part::Element(element);
        let own = self.failed.get(&part).or_else(|| self.behind.get(&element));
        own.copied().or_else(|| {
            let cause = self.search.symptoms.get(&part)?;
            self.failed.get(cause).copied()
        })
    }

    /// What an element hangs on may have been explained by something else, and the element with it.
    fn below_symptom(&mut self, element: ElementNo) -> Option<usize> {
        if self.search.symptoms.is_empty() {
            return None;
        }
        let above = self.search.network.immediate_dominator(element)?;
        if let Some(owner) = self.below.get(&above) {
            return *owner;
        }
        let cause = self.search.symptoms.get(&Part::Element(above));
        let owner = cause.and_then(|cause| self.failed.get(cause).copied());
        let owner = owner.or_else(|| self.below_symptom(above));
        self.below.insert(above, owner);
        owner
    }

    /// The first in order of the failures at the edge of the dark region around an element.
    fn nearest_above(&self, element: ElementNo) -> Option<usize> {
        let mut seen = HashSet::from([element]);
        let mut open = vec![element];
        let mut found: Option<usize> = None;
        while let Some(element) = open.pop() {
            if let Some(owner) = self.ends_at(element) {
                found = Some(found.map_or(owner, |f| f.min(owner)));
                continue;
            }
            for parent in self.search.network.parents(element) {
                if self.cut.is_cut_off(parent) && seen.insert(parent) {
                    open.push(parent);
                }
            }
        }
        found
    }
}
