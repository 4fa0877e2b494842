//! Of many failures, those that stand in the way to one subscriber.

use crate::topology::{CutOff, ElementNo, Network, Part};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Failures, by where they are in the way of service.
pub(super) struct Wall<'a> {
    parts: &'a [Part],
    cut: CutOff,
    /// Failed elements, by the places of their parts.
    elements: HashMap<ElementNo, Vec<usize>>,
    /// Failed links, by both ends.
    links: HashMap<ElementNo, Vec<usize>>,
}

impl<'a> Wall<'a> {
    pub(super) fn of(parts: &'a [Part], network: &Network) -> Self {
        let mut wall = Self {
            parts,
            cut: network.cut_off(parts),
            elements: HashMap::new(),
            links: HashMap::new(),
        };
        for (at, &part) in parts.iter().enumerate() {
            wall.enter(part, at, network);
        }
        wall
    }

    fn enter(&mut self, part: Part, at: usize, network: &Network) {
        match part {
            Part::Element(element) => self.elements.entry(element).or_default().push(at),
            Part::Link(link) => {
                let (a, b) = network.link_ends(link);
                for end in [a, b] {
                    self.links.entry(end).or_default().push(at);
                }
            }
            Part::Group(group) => {
                for &member in network.group_members(group) {
                    self.enter(member, at, network);
                }
            }
        }
    }

    /// Those of the parts, in their order, that one meets first on all ways up from a subscriber:
    /// enough to cut it off, if all of them do, and few of many. Beyond them nothing matters to it.
    pub(super) fn around(&self, rank: u32, network: &Network) -> Vec<Part> {
        let mut met: BTreeSet<usize> = BTreeSet::new();
        let mut open: Vec<ElementNo> = network
            .serving(network.subscriber_at_rank(rank))
            .filter(|&element| self.cut.is_cut_off(element))
            .collect();
        let mut seen: HashSet<ElementNo> = open.iter().copied().collect();
        while let Some(element) = open.pop() {
            met.extend(self.links.get(&element).into_iter().flatten());
            if let Some(failed) = self.elements.get(&element) {
                met.extend(failed);
                continue;
            }
            for parent in network.parents(element) {
                if self.cut.is_cut_off(parent) && seen.insert(parent) {
                    open.push(parent);
                }
            }
        }
        met.into_iter().map(|at| self.parts[at]).collect()
    }
}
