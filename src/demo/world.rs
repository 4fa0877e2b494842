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
    /// Where the arcs into each element come from.
    parents: Vec<Vec<usize>>,
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
        let mut parents = vec![Vec::new(); definition.elements.len()];
        let mut add = |from: usize, to: usize, link: usize| {
            if let (Some(out), Some(into)) = (arcs.get_mut(from), parents.get_mut(to)) {
                out.push((to, link));
                into.push(from);
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
            parents,
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
            .filter(|s| !match s.redundancy {
                Redundancy::Any => s.served_by.iter().any(has_service),
                Redundancy::All => s.served_by.iter().all(has_service),
            })
            .map(|s| s.account.clone())
            .collect()
    }

    /// Ids of elements of a kind that lose service with the failed parts but have not failed.
    pub(super) fn darkened(&self, failed: &[&str], kind: ElementKind) -> Vec<String> {
        let before = self.elements_with_service(&[]);
        let after = self.elements_with_service(failed);
        self.definition
            .elements
            .iter()
            .zip(before.into_iter().zip(after))
            .filter(|(e, (before, after))| {
                *before && !after && e.kind == kind && !failed.contains(&e.id.as_str())
            })
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
        let mut waiting_for: Vec<usize> = self.parents.iter().map(Vec::len).collect();
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

    /// The element of a kind from which the single-homed accounts below it hang, with how many.
    pub(super) fn accounts_below(&self, kind: ElementKind) -> BTreeMap<String, usize> {
        let mut below = BTreeMap::new();
        for subscriber in &self.subscribers {
            let [serving] = &subscriber.served_by[..] else {
                continue;
            };
            let mut at = self.index.get(serving).copied();
            while let Some(here) = at {
                let element = &self.definition.elements[here];
                if element.kind == kind {
                    *below.entry(element.id.clone()).or_default() += 1;
                    break;
                }
                at = self.parents[here]
                    .first()
                    .copied()
                    .filter(|_| !transits(element));
            }
        }
        below
    }

    /// Id of a link between two elements.
    pub(super) fn link_between(&self, one: &str, other: &str) -> Option<String> {
        let joins = |a: &str, b: &str| (a, b) == (one, other) || (b, a) == (one, other);
        let mut links = self.definition.links.iter();
        links.find(|l| joins(&l.a, &l.b)).map(|l| l.id.clone())
    }

    /// Ids of the elements that lead to an element.
    pub(super) fn parents(&self, id: &str) -> Vec<&str> {
        let Some(&child) = self.index.get(id) else {
            return Vec::new();
        };
        self.parents[child]
            .iter()
            .map(|&at| self.definition.elements[at].id.as_str())
            .collect()
    }
}
