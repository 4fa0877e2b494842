//! Who has service, by spreading it from the gateways until nothing changes. Slow and plain.

use forewarn::topology::{Attachment, Element, NetworkDefinition, Redundancy};
use std::collections::{BTreeSet, HashMap, HashSet};

pub(super) struct Reference<'a> {
    definition: &'a NetworkDefinition,
    attachments: &'a [Attachment],
    by_id: HashMap<&'a str, usize>,
    /// Ways into each element: where from, by which link.
    ways_in: Vec<Vec<(usize, usize)>>,
    served: Vec<bool>,
}

fn transits(element: &Element) -> bool {
    element
        .transit
        .unwrap_or_else(|| element.kind.transits_by_default())
}

impl<'a> Reference<'a> {
    pub(super) fn of(definition: &'a NetworkDefinition, attachments: &'a [Attachment]) -> Self {
        let elements = &definition.elements;
        let by_id: HashMap<_, _> = elements.iter().map(|e| e.id.as_str()).zip(0..).collect();
        let mut ways_in = vec![Vec::new(); elements.len()];
        for (no, link) in definition.links.iter().enumerate() {
            let (a, b) = (by_id[link.a.as_str()], by_id[link.b.as_str()]);
            let gives = |e: usize| transits(&elements[e]) || elements[e].gateway;
            let both = link.transit.unwrap_or(gives(a) && gives(b));
            let backwards = link.transit.is_none() && gives(b) && !gives(a);
            if both || !backwards {
                ways_in[b].push((a, no));
            }
            if both || backwards {
                ways_in[a].push((b, no));
            }
        }
        let mut reference = Self {
            definition,
            attachments,
            by_id,
            ways_in,
            served: Vec::new(),
        };
        reference.served = reference.with_service(&reference.members(&[]));
        reference
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = &'a str> {
        self.definition.elements.iter().map(|e| e.id.as_str())
    }

    pub(super) fn any_needs_all(&self) -> bool {
        let mut elements = self.definition.elements.iter();
        elements.any(|e| e.redundancy == Some(Redundancy::All))
    }

    pub(super) fn is_served(&self, id: &str) -> bool {
        self.served[self.by_id[id]]
    }

    fn members<'b>(&self, failed: &[&'b str]) -> HashSet<&'b str>
    where
        'a: 'b,
    {
        let mut all = HashSet::new();
        for &id in failed {
            match self.definition.groups.iter().find(|group| group.id == id) {
                Some(group) => all.extend(group.members.iter().map(String::as_str)),
                None => {
                    all.insert(id);
                }
            }
        }
        all
    }

    fn with_service(&self, failed: &HashSet<&str>) -> Vec<bool> {
        let elements = &self.definition.elements;
        let down: Vec<bool> = elements
            .iter()
            .map(|e| failed.contains(e.id.as_str()))
            .collect();
        let links = self.definition.links.iter();
        let cut: Vec<bool> = links.map(|l| failed.contains(l.id.as_str())).collect();
        let mut up = vec![false; elements.len()];
        loop {
            let mut changed = false;
            for (e, element) in elements.iter().enumerate() {
                if up[e] || down[e] {
                    continue;
                }
                let feeds = |&(from, link): &(usize, usize)| up[from] && !cut[link];
                let ways_in = &self.ways_in[e];
                let fed = if element.redundancy == Some(Redundancy::All) {
                    !ways_in.is_empty() && ways_in.iter().all(feeds)
                } else {
                    ways_in.iter().any(feeds)
                };
                if element.gateway || fed {
                    up[e] = true;
                    changed = true;
                }
            }
            if !changed {
                return up;
            }
        }
    }

    fn subscribers(&self, up: &[bool]) -> BTreeSet<String> {
        let has_service = |attachment: &&Attachment| {
            let mut serving = attachment.served_by.iter();
            let mut is_up = |id: &String| up[self.by_id[id.as_str()]];
            match attachment.redundancy {
                Redundancy::Any => serving.any(&mut is_up),
                Redundancy::All => serving.all(&mut is_up),
            }
        };
        let served = self.attachments.iter().filter(has_service);
        served
            .map(|attachment| attachment.account.clone())
            .collect()
    }

    pub(super) fn never_served(&self) -> BTreeSet<String> {
        let all = self.attachments.iter().map(|a| a.account.clone()).collect();
        &all - &self.subscribers(&self.served)
    }

    /// Who loses service, and per element whether it is cut off.
    pub(super) fn impact(&self, failed: &[&str]) -> (BTreeSet<String>, Vec<bool>) {
        let failed = self.members(failed);
        let up = self.with_service(&failed);
        let lost = &self.subscribers(&self.served) - &self.subscribers(&up);
        let elements = self.definition.elements.iter().zip(&self.served).zip(up);
        let cut_off = elements
            .map(|((e, &served), up)| (served && !up) || failed.contains(e.id.as_str()))
            .collect();
        (lost, cut_off)
    }

    fn lost(&self, failed: &[&str]) -> BTreeSet<String> {
        self.impact(failed).0
    }

    /// Whether an element is one of these or of their members.
    pub(super) fn fails_with(&self, id: &str, failed: &[&str]) -> bool {
        self.members(failed).contains(id)
    }

    pub(super) fn cut_off(&self, failed: &[&str]) -> Vec<bool> {
        self.impact(failed).1
    }

    pub(super) fn at_risk(&self, failed: &[&str]) -> BTreeSet<String> {
        let lost = self.lost(failed);
        let links = self.definition.links.iter().map(|l| l.id.as_str());
        let mut at_risk = BTreeSet::new();
        for single in self.elements().chain(links) {
            let more: Vec<&str> = failed.iter().copied().chain([single]).collect();
            let new = &self.lost(&more) - &lost;
            if !new.is_empty() {
                at_risk.extend(&new - &self.lost(&[single]));
            }
        }
        at_risk
    }
}
