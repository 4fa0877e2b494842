//! The demo's own knowledge of its network: who really loses service when parts fail.
//!
//! Deliberately apart from `topology`: a plain search of the whole graph, so that what the service
//! says can be checked against something that shares no code with it.

use crate::subscriber::Subscriber;
use crate::topology::{Element, ElementKind, NetworkDefinition, Redundancy};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A generated network with its people.
pub(super) struct World {
    pub(super) definition: NetworkDefinition,
    pub(super) subscribers: Vec<Subscriber>,
    index: BTreeMap<String, usize>,
    /// Service arcs by parent: child and the link that carries it.
    arcs: Vec<Vec<(usize, usize)>>,
    /// How many arcs lead into each element.
    incoming: Vec<usize>,
}

fn transits(element: &Element) -> bool {
    element
        .transit
        .unwrap_or_else(|| element.kind.transits_by_default())
}

impl World {
    pub(super) fn new(definition: NetworkDefinition, subscribers: Vec<Subscriber>) -> Self {
        let index: BTreeMap<String, usize> = definition
            .elements
            .iter()
            .enumerate()
            .map(|(number, element)| (element.id.clone(), number))
            .collect();
        let mut arcs = vec![Vec::new(); definition.elements.len()];
        let mut incoming = vec![0; definition.elements.len()];
        let mut add = |from: usize, to: usize, link: usize| {
            if let (Some(out), Some(count)) = (arcs.get_mut(from), incoming.get_mut(to)) {
                out.push((to, link));
                *count += 1;
            }
        };
        for (number, link) in definition.links.iter().enumerate() {
            let (Some(&a), Some(&b)) = (index.get(&link.a), index.get(&link.b)) else {
                continue;
            };
            let transit = |at: usize| definition.elements.get(at).is_some_and(transits);
            match (link.transit, transit(a), transit(b)) {
                (Some(true), _, _) | (None, true, true) => {
                    add(a, b, number);
                    add(b, a, number);
                }
                (None, false, true) => add(b, a, number),
                _ => add(a, b, number),
            }
        }
        Self {
            definition,
            subscribers,
            index,
            arcs,
            incoming,
        }
    }

    /// Accounts that no path to a gateway serves when the named elements and links are dead.
    pub(super) fn without_service(&self, failed: &[&str]) -> BTreeSet<String> {
        let up = self.elements_with_service(failed);
        let has_service = |id: &String| {
            self.index
                .get(id)
                .and_then(|at| up.get(*at))
                .copied()
                .unwrap_or(false)
        };
        self.subscribers
            .iter()
            .filter(|s| {
                !match s.redundancy {
                    Redundancy::Any => s.served_by.iter().any(has_service),
                    Redundancy::All => s.served_by.iter().all(has_service),
                }
            })
            .map(|s| s.account.clone())
            .collect()
    }

    /// Ids of elements of a kind that lose service with the failed parts but have not failed.
    pub(super) fn darkened(&self, failed: &[&str], kind: ElementKind) -> Vec<String> {
        let up = self.elements_with_service(failed);
        self.definition
            .elements
            .iter()
            .zip(up)
            .filter(|(e, up)| !up && e.kind == kind && !failed.contains(&e.id.as_str()))
            .map(|(e, _)| e.id.clone())
            .collect()
    }

    fn elements_with_service(&self, failed: &[&str]) -> Vec<bool> {
        let dead_element = |at: usize| {
            self.definition
                .elements
                .get(at)
                .is_none_or(|e| failed.contains(&e.id.as_str()))
        };
        let dead_link = |at: usize| {
            self.definition
                .links
                .get(at)
                .is_none_or(|l| failed.contains(&l.id.as_str()))
        };
        let mut up = vec![false; self.definition.elements.len()];
        let mut waiting_for = self.incoming.clone();
        let mut queue: VecDeque<usize> = VecDeque::new();
        for (at, element) in self.definition.elements.iter().enumerate() {
            if element.gateway && !dead_element(at) {
                up[at] = true;
                queue.push_back(at);
            }
        }
        while let Some(at) = queue.pop_front() {
            for &(to, link) in &self.arcs[at] {
                if dead_link(link) || dead_element(to) || up[to] {
                    continue;
                }
                waiting_for[to] -= 1;
                let needs_all = self.definition.elements[to].redundancy == Some(Redundancy::All);
                if !needs_all || waiting_for[to] == 0 {
                    up[to] = true;
                    queue.push_back(to);
                }
            }
        }
        up
    }

    /// Accounts below the named elements when every access arc is followed and redundancy ignored:
    /// the wrong answer that a parent-child model gives.
    pub(super) fn descendants(&self, roots: &[&str]) -> usize {
        let mut seen = vec![false; self.definition.elements.len()];
        let mut queue: VecDeque<usize> = roots
            .iter()
            .filter_map(|id| self.index.get(*id).copied())
            .collect();
        while let Some(at) = queue.pop_front() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            for &(to, _) in &self.arcs[at] {
                if !transits(&self.definition.elements[to]) {
                    queue.push_back(to);
                }
            }
        }
        self.subscribers
            .iter()
            .filter(|s| {
                s.served_by
                    .iter()
                    .any(|id| self.index.get(id).is_some_and(|at| seen[*at]))
            })
            .count()
    }

    /// The aggregation rings: switches joined to one another, each with its two ends (the switches
    /// that hang on routers). Only rings with something between the ends.
    pub(super) fn rings(&self) -> Vec<Ring> {
        let kind = |at: usize| self.definition.elements[at].kind;
        let mut seen = vec![false; self.definition.elements.len()];
        let mut rings = Vec::new();
        for start in 0..seen.len() {
            if kind(start) != ElementKind::Switch || seen[start] {
                continue;
            }
            let (mut members, mut ends, mut links) = (Vec::new(), Vec::new(), Vec::new());
            let mut queue = VecDeque::from([start]);
            seen[start] = true;
            while let Some(at) = queue.pop_front() {
                members.push(at);
                for &(to, link) in &self.arcs[at] {
                    match kind(to) {
                        ElementKind::Switch => {
                            links.push(self.definition.links[link].id.clone());
                            if !std::mem::replace(&mut seen[to], true) {
                                queue.push_back(to);
                            }
                        }
                        ElementKind::Router | ElementKind::Bng if !ends.contains(&at) => {
                            ends.push(at);
                        }
                        _ => {}
                    }
                }
            }
            if let [one, other] = ends[..]
                && members.len() > 2
            {
                links.sort();
                links.dedup();
                let id = |at: usize| self.definition.elements[at].id.clone();
                rings.push(Ring {
                    ends: [id(one), id(other)],
                    links,
                });
            }
        }
        rings
    }
}

/// An aggregation ring.
pub(super) struct Ring {
    pub(super) ends: [String; 2],
    pub(super) links: Vec<String>,
}
