//! One version of a network, ready to answer.

use super::resolve::{NONE, Resolved, resolve};
use super::{
    Attachment, ElementKind, ElementNo, GroupKind, GroupNo, LinkNo, NetworkDefinition,
    NetworkError, Part, Position, SubscriberNo, SubscriberSet,
};
use std::collections::HashMap;

/// An immutable version of the network with its subscribers.
#[derive(Debug, Default)]
pub struct Network {
    pub(super) definition: NetworkDefinition,
    pub(super) resolved: Resolved,
    parts: HashMap<String, Part>,
    accounts: Vec<String>,
    by_account: HashMap<String, u32>,
    pub(super) parents: Vec<Vec<(u32, u32)>>,
    children: Vec<Vec<u32>>,
    /// Elements with service while nothing fails.
    pub(super) served: Vec<bool>,
    /// Per element: which elements it takes with it alone.
    pub(super) dominated: Vec<Vec<bool>>,
}

impl Network {
    /// A network without elements and subscribers: nothing has been imported yet.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Checks a definition and builds a network of it; up to [`super::MAX_ERRORS`] errors.
    pub fn build(
        definition: &NetworkDefinition,
        attachments: &[Attachment],
    ) -> Result<Self, Vec<NetworkError>> {
        let resolved = resolve(definition, attachments)?;
        let count = definition.elements.len();
        let mut network = Self {
            definition: definition.clone(),
            accounts: attachments.iter().map(|a| a.account.clone()).collect(),
            parents: vec![Vec::new(); count],
            children: vec![Vec::new(); count],
            resolved,
            ..Self::default()
        };
        for (no, account) in (0..).zip(&network.accounts) {
            network.by_account.insert(account.clone(), no);
        }
        for (no, element) in (0..).zip(&definition.elements) {
            let part = Part::Element(ElementNo(no));
            network.parts.insert(element.id.clone(), part);
        }
        for (no, link) in (0..).zip(&definition.links) {
            network
                .parts
                .insert(link.id.clone(), Part::Link(LinkNo(no)));
        }
        for (no, group) in (0..).zip(&definition.groups) {
            network
                .parts
                .insert(group.id.clone(), Part::Group(GroupNo(no)));
        }
        for (no, link) in (0..).zip(&network.resolved.links) {
            let mut arcs = vec![(link.from, link.to)];
            if link.both_ways {
                arcs.push((link.to, link.from));
            }
            for (from, to) in arcs {
                if !network.resolved.gateway[to as usize] {
                    network.parents[to as usize].push((from, no));
                    network.children[from as usize].push(to);
                }
            }
        }
        network.served = network.with_service(&[]);
        network.dominated = (0..count)
            .map(|e| {
                let part = Part::Element(ElementNo(u32::try_from(e).unwrap_or(NONE)));
                let up = network.with_service(&[part]);
                (0..count).map(|o| network.served[o] && !up[o]).collect()
            })
            .collect();
        Ok(network)
    }

    /// What looks wrong in the data without being an error: counts and a few examples.
    pub fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The part of that id.
    pub fn part(&self, id: &str) -> Option<Part> {
        self.parts.get(id).copied()
    }

    /// The id of a part.
    pub fn part_id(&self, part: Part) -> &str {
        match part {
            Part::Element(no) => &self.definition.elements[no.0 as usize].id,
            Part::Link(no) => &self.definition.links[no.0 as usize].id,
            Part::Group(no) => &self.definition.groups[no.0 as usize].id,
        }
    }

    /// "element", "link" or "group".
    pub fn part_kind_str(&self, part: Part) -> &'static str {
        match part {
            Part::Element(_) => "element",
            Part::Link(_) => "link",
            Part::Group(_) => "group",
        }
    }

    /// Number of elements; they are numbered from 0.
    pub fn element_count(&self) -> usize {
        self.definition.elements.len()
    }

    /// Number of links; they are numbered from 0.
    pub fn link_count(&self) -> usize {
        self.definition.links.len()
    }

    /// Number of shared-risk groups; they are numbered from 0.
    pub fn group_count(&self) -> usize {
        self.definition.groups.len()
    }

    /// The kind of an element.
    pub fn kind(&self, element: ElementNo) -> ElementKind {
        self.definition.elements[element.0 as usize].kind
    }

    /// The name of an element, its id where it has none.
    pub fn name(&self, element: ElementNo) -> &str {
        &self.definition.elements[element.0 as usize].name
    }

    /// Id and name of the site where an element stands.
    pub fn site(&self, element: ElementNo) -> Option<(&str, &str)> {
        let site = self.resolved.sites[element.0 as usize];
        let site = self.definition.sites.get(site as usize)?;
        Some((&site.id, &site.name))
    }

    /// Where an element stands: the position of its site.
    pub fn position(&self, element: ElementNo) -> Option<Position> {
        let site = self.resolved.sites[element.0 as usize];
        self.definition.sites.get(site as usize)?.position
    }

    /// Whether service is supplied from an element.
    pub fn is_gateway(&self, element: ElementNo) -> bool {
        self.resolved.gateway[element.0 as usize]
    }

    /// The elements that service can come from, one entry per way in; a gateway has none.
    pub fn parents(&self, element: ElementNo) -> impl Iterator<Item = ElementNo> + '_ {
        self.parents[element.0 as usize]
            .iter()
            .map(|&(from, _)| ElementNo(from))
    }

    /// The elements to which service goes on, one entry per way out.
    pub fn children(&self, element: ElementNo) -> impl Iterator<Item = ElementNo> + '_ {
        self.children[element.0 as usize]
            .iter()
            .map(|&to| ElementNo(to))
    }

    /// The two ends of a link, the end nearer to the gateways first where the data say so.
    pub fn link_ends(&self, link: LinkNo) -> (ElementNo, ElementNo) {
        let link = self.resolved.links[link.0 as usize];
        (ElementNo(link.from), ElementNo(link.to))
    }

    /// The elements and links that fail with a group.
    pub fn group_members(&self, group: GroupNo) -> &[Part] {
        &self.resolved.members[group.0 as usize]
    }

    /// The kind of a shared-risk group.
    pub fn group_kind(&self, group: GroupNo) -> GroupKind {
        self.definition.groups[group.0 as usize].kind
    }

    /// The name of a shared-risk group, its id where it has none.
    pub fn group_name(&self, group: GroupNo) -> &str {
        &self.definition.groups[group.0 as usize].name
    }

    /// The nearest element whose failure alone cuts this one off; `None` where there is none.
    pub fn immediate_dominator(&self, element: ElementNo) -> Option<ElementNo> {
        // The nearest dominator is the one that all others dominate.
        (0..)
            .map(ElementNo)
            .take(self.element_count())
            .filter(|&d| d != element && self.dominates(d, element))
            .max_by_key(|&d| self.depth(d))
    }

    /// Whether the failure of `a` alone cuts `b` off; each element with service dominates itself.
    pub fn dominates(&self, a: ElementNo, b: ElementNo) -> bool {
        self.dominated[a.0 as usize][b.0 as usize]
    }

    /// Number of other elements whose failure alone cuts this one off.
    pub fn depth(&self, element: ElementNo) -> u32 {
        let count = (0..)
            .map(ElementNo)
            .take(self.element_count())
            .filter(|&d| d != element && self.dominates(d, element))
            .count();
        u32::try_from(count).unwrap_or(NONE)
    }

    /// The elements whose immediate dominator is this one.
    pub fn dominator_children(&self, element: ElementNo) -> impl Iterator<Item = ElementNo> + '_ {
        (0..)
            .map(ElementNo)
            .take(self.element_count())
            .filter(move |&e| self.immediate_dominator(e) == Some(element))
    }

    /// Number of subscribers.
    pub fn subscriber_count(&self) -> usize {
        self.accounts.len()
    }

    /// The rank of a subscriber in the sets of this network.
    pub fn rank_of(&self, subscriber: SubscriberNo) -> u32 {
        subscriber.0
    }

    /// The subscriber of a rank.
    pub fn subscriber_at_rank(&self, rank: u32) -> SubscriberNo {
        SubscriberNo(rank)
    }

    /// The subscribers of a set, by rank.
    pub fn subscribers<'a>(
        &'a self,
        set: &'a SubscriberSet,
    ) -> impl Iterator<Item = SubscriberNo> + 'a {
        set.iter().map(|rank| self.subscriber_at_rank(rank))
    }

    /// The account of a subscriber.
    pub fn account(&self, subscriber: SubscriberNo) -> &str {
        &self.accounts[subscriber.0 as usize]
    }

    /// The subscriber of an account.
    pub fn subscriber(&self, account: &str) -> Option<SubscriberNo> {
        self.by_account.get(account).copied().map(SubscriberNo)
    }

    /// The elements that serve a subscriber.
    pub fn serving(&self, subscriber: SubscriberNo) -> impl Iterator<Item = ElementNo> + '_ {
        let no = subscriber.0 as usize;
        let ends = &self.resolved.serving_end;
        let start = if no == 0 { 0 } else { ends[no - 1] as usize };
        self.resolved.serving[start..ends[no] as usize]
            .iter()
            .map(|&element| ElementNo(element))
    }

    /// The cluster of a subscriber for experiments: the PON port above it, else the splitter, else
    /// what its serving element hangs on, else the serving element.
    pub fn cluster(&self, subscriber: SubscriberNo) -> ElementNo {
        let serving = self.serving(subscriber).next().unwrap_or(ElementNo(NONE));
        let above = |kind| {
            std::iter::successors(Some(serving), |&e| self.immediate_dominator(e))
                .find(|&e| self.kind(e) == kind)
        };
        above(ElementKind::PonPort)
            .or_else(|| above(ElementKind::Splitter))
            .or_else(|| self.immediate_dominator(serving))
            .unwrap_or(serving)
    }
}
