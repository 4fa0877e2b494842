//! One version of a network, ready to answer.
//!
//! Elements are numbered in pre-order of the dominator tree, subscribers by their place in the
//! list of attachments and, in sets, by rank. Numbers and ranks are valid within one version only.

use super::impact::{CutOff, Impact};
use super::kernel::Entry;
use super::names::{NameIndex, Names, SparseNames};
use super::resolve::{NONE, Resolved, resolve};
use super::{
    Attachment, ElementKind, ElementNo, GroupKind, GroupNo, LinkNo, NetworkDefinition,
    NetworkError, Part, Position, Site, SubscriberNo, SubscriberSet,
};

/// An immutable version of the network with its subscribers.
#[derive(Debug, Default)]
pub struct Network {
    /// Ids of links, then groups.
    ids: Names,
    /// Per element: length of its id if that is the end of the id of its only way in, else 0.
    ///
    /// Inventories name most links after the element they lead to: such an id is kept once.
    shared_id: Vec<u8>,
    own_ids: SparseNames,
    /// Of elements, then links, then groups.
    id_index: NameIndex,
    kinds: Vec<ElementKind>,
    /// Of elements whose name is not their id.
    names: SparseNames,
    /// Per element: index in `sites`, or `NONE`.
    site_of: Vec<u32>,
    sites: Vec<Site>,
    /// Element and minutes, of elements that give them; ascending.
    batteries: Vec<(u32, u32)>,
    groups: Vec<Group>,
    accounts: Names,
    account_index: NameIndex,
    pub(super) impact: Impact,
}

#[derive(Debug)]
struct Group {
    kind: GroupKind,
    name: String,
    members: Vec<Part>,
}

impl Network {
    /// A network without elements and subscribers: nothing has been imported yet.
    pub fn empty() -> Self {
        let mut network = Self::default();
        // One past the last element, see `Kernel::nodes`.
        network
            .impact
            .kernel
            .nodes
            .push(super::kernel::Node::default());
        network
    }

    /// Checks a definition and builds a network of it; up to [`super::MAX_ERRORS`] errors.
    pub fn build(
        definition: &NetworkDefinition,
        attachments: &[Attachment],
    ) -> Result<Self, Vec<NetworkError>> {
        let resolved = resolve(definition, attachments)?;
        let (impact, number) = Impact::of(&resolved);
        Ok(Self::assemble(
            definition,
            attachments,
            resolved,
            impact,
            &number,
        ))
    }

    fn assemble(
        definition: &NetworkDefinition,
        attachments: &[Attachment],
        resolved: Resolved,
        impact: Impact,
        number: &[u32],
    ) -> Self {
        let elements = &definition.elements;
        let mut order = vec![0; number.len()];
        for (old, &new) in (0_u32..).zip(number) {
            order[new as usize] = old;
        }
        let in_order = || order.iter().map(|&old| &elements[old as usize]);
        let ids = definition.links.iter().map(|link| link.id.as_str());
        let ids = ids.chain(definition.groups.iter().map(|group| group.id.as_str()));
        let shared_id: Vec<u8> = (0..)
            .zip(in_order())
            .map(|(no, element)| match impact.kernel.entry(no) {
                Entry::Tree { link }
                    if definition.links[link as usize].id.ends_with(&element.id) =>
                {
                    u8::try_from(element.id.len()).unwrap_or(0)
                }
                _ => 0,
            })
            .collect();
        let own_ids = (0..)
            .zip(in_order())
            .filter(|&(no, _)| shared_id[no as usize] == 0);
        let own_ids = SparseNames::pack(own_ids.map(|(no, element)| (no, element.id.as_str())));
        let names = (0..)
            .zip(in_order())
            .filter(|(_, element)| !element.name.is_empty() && element.name != element.id);
        let mut id_index = resolved.ids;
        id_index.renumber(number);
        let new_part = |part: &Part| match *part {
            Part::Element(ElementNo(old)) => Part::Element(ElementNo(number[old as usize])),
            part => part,
        };
        let groups = definition.groups.iter().zip(&resolved.members);
        let groups = groups.map(|(group, members)| {
            let mut members: Vec<Part> = members.iter().map(new_part).collect();
            members.sort_unstable();
            Group {
                kind: group.kind,
                name: if group.name.is_empty() {
                    &group.id
                } else {
                    &group.name
                }
                .clone(),
                members,
            }
        });
        Self {
            ids: Names::pack(ids),
            shared_id,
            own_ids,
            id_index,
            kinds: in_order().map(|element| element.kind).collect(),
            names: SparseNames::pack(names.map(|(no, element)| (no, element.name.as_str()))),
            site_of: order
                .iter()
                .map(|&old| resolved.sites[old as usize])
                .collect(),
            sites: definition.sites.clone(),
            batteries: (0..)
                .zip(in_order())
                .filter_map(|(no, element)| Some((no, element.battery_minutes?)))
                .collect(),
            groups: groups.collect(),
            accounts: Names::pack(attachments.iter().map(|a| a.account.as_str())),
            account_index: resolved.accounts,
            impact,
        }
    }

    /// What looks wrong in the data without being an error: counts and a few examples.
    pub fn warnings(&self) -> Vec<String> {
        const EXAMPLES: usize = 3;
        let kernel = &self.impact.kernel;
        let mut warnings = Vec::new();
        let mut warn = |count: usize, what: &str, examples: Vec<&str>| {
            if count > 0 {
                let examples = examples.join(", ");
                warnings.push(format!("{count} {what}, for instance {examples}"));
            }
        };
        let total = self.element_count();
        // Ids that begin with a space are no elements of the network, but stand for what it lacks.
        let dead = (kernel.reached..)
            .take(total - kernel.reached as usize)
            .map(ElementNo)
            .filter(|&e| !self.part_id(Part::Element(e)).starts_with(' '));
        let examples = dead
            .clone()
            .take(EXAMPLES)
            .map(|e| self.part_id(Part::Element(e)));
        warn(
            dead.count(),
            "elements are reached by no gateway",
            examples.collect(),
        );
        let never = self.never_served();
        let examples = self
            .subscribers(&never)
            .take(EXAMPLES)
            .map(|s| self.account(s));
        warn(
            never.len(),
            "subscribers can never have service",
            examples.collect(),
        );
        warnings
    }

    /// The subscribers who have no service even while nothing fails.
    pub fn never_served(&self) -> SubscriberSet {
        let kernel = &self.impact.kernel;
        let first = kernel.nodes[kernel.reached as usize].first_rank;
        let end = kernel.nodes[self.element_count()].first_rank;
        SubscriberSet::from_runs(vec![(first, end)])
    }

    /// The part of that id.
    pub fn part(&self, id: &str) -> Option<Part> {
        let no = self.id_index.get(id, |no| self.id_of(no))?;
        let (elements, links) = (self.kinds.len(), self.link_count());
        let at = no as usize;
        #[allow(clippy::cast_possible_truncation, reason = "numbers have 32 bits")]
        let (elements_no, links_no) = (elements as u32, links as u32);
        Some(if at < elements {
            Part::Element(ElementNo(no))
        } else if at < elements + links {
            Part::Link(LinkNo(no - elements_no))
        } else {
            Part::Group(GroupNo(no - elements_no - links_no))
        })
    }

    /// The id of a part.
    pub fn part_id(&self, part: Part) -> &str {
        #[allow(clippy::cast_possible_truncation, reason = "numbers have 32 bits")]
        let links = self.link_count() as u32;
        match part {
            Part::Element(ElementNo(no)) => self.element_id(no),
            Part::Link(LinkNo(no)) => self.ids.get(no),
            Part::Group(GroupNo(no)) => self.ids.get(links + no),
        }
    }

    /// The id of a number of the index of ids.
    fn id_of(&self, no: u32) -> &str {
        #[allow(clippy::cast_possible_truncation, reason = "numbers have 32 bits")]
        let elements = self.kinds.len() as u32;
        match no.checked_sub(elements) {
            Some(no) => self.ids.get(no),
            None => self.element_id(no),
        }
    }

    fn element_id(&self, no: u32) -> &str {
        let length = usize::from(self.shared_id[no as usize]);
        match self.impact.kernel.entry(no) {
            Entry::Tree { link } if length > 0 => {
                let id = self.ids.get(link);
                &id[id.len() - length..]
            }
            _ => self.own_ids.get(no).unwrap_or_default(),
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
        self.kinds.len()
    }

    /// Number of links; they are numbered from 0.
    pub fn link_count(&self) -> usize {
        self.impact.kernel.link_count()
    }

    /// Number of shared-risk groups; they are numbered from 0.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The kind of an element.
    pub fn kind(&self, element: ElementNo) -> ElementKind {
        self.kinds[element.0 as usize]
    }

    /// The name of an element, its id where it has none.
    pub fn name(&self, element: ElementNo) -> &str {
        let own = self.names.get(element.0);
        own.unwrap_or_else(|| self.element_id(element.0))
    }

    /// Id and name of the site where an element stands.
    pub fn site(&self, element: ElementNo) -> Option<(&str, &str)> {
        let site = self.site_record(element)?;
        Some((&site.id, &site.name))
    }

    /// Where an element stands: the position of its site.
    pub fn position(&self, element: ElementNo) -> Option<Position> {
        self.site_record(element)?.position
    }

    /// The positions of all sites, in the order of the definition.
    pub fn site_positions(&self) -> impl Iterator<Item = Option<Position>> + '_ {
        self.sites.iter().map(|site| site.position)
    }

    /// Where in that order the site of an element stands.
    pub fn site_index(&self, element: ElementNo) -> Option<usize> {
        let site = self.site_of[element.0 as usize] as usize;
        (site < self.sites.len()).then_some(site)
    }

    /// Minutes that an element runs without mains power, where the inventory says so.
    pub fn battery_minutes(&self, element: ElementNo) -> Option<u32> {
        let at = self.batteries.binary_search_by_key(&element.0, |own| own.0);
        at.ok().map(|at| self.batteries[at].1)
    }

    fn site_record(&self, element: ElementNo) -> Option<&Site> {
        self.sites.get(self.site_of[element.0 as usize] as usize)
    }

    /// Whether service is supplied from an element.
    pub fn is_gateway(&self, element: ElementNo) -> bool {
        let kernel = &self.impact.kernel;
        matches!(kernel.entry(element.0), Entry::Head(h) if kernel.heads[h as usize].gateway)
    }

    /// The elements that service can come from, one entry per way in.
    ///
    /// A gateway has none, nor has an element that no gateway reaches; a way in by which service
    /// can never come, because it leads from what hangs on the element itself, is left out.
    pub fn parents(&self, element: ElementNo) -> impl Iterator<Item = ElementNo> + '_ {
        let kernel = &self.impact.kernel;
        let (one, head) = match kernel.entry(element.0) {
            Entry::Tree { link } => (Some(kernel.across(link, element.0)), None),
            Entry::Head(head) => (None, Some(head)),
            Entry::Dead => (None, None),
        };
        let several = head.into_iter().flat_map(|head| kernel.ways_in(head));
        let several = several.map(|(_, arc)| arc.from);
        one.into_iter().chain(several).map(ElementNo)
    }

    /// The elements of what is cut off that hang on none of the others there; each with all it dominates
    /// makes up the whole.
    pub fn heads<'a>(&'a self, cut: &'a CutOff) -> impl Iterator<Item = ElementNo> + 'a {
        let kernel = &self.impact.kernel;
        cut.runs().iter().flat_map(move |&(start, end)| {
            let after = move |&head: &u32| Some(kernel.end(head).max(head + 1));
            let heads = std::iter::successors(Some(start), after);
            heads.take_while(move |&head| head < end).map(ElementNo)
        })
    }

    /// Whether an element would have service if, of the failures behind `cut`, its own had not
    /// happened. `is_down` says which links failed.
    ///
    /// Exact, since what serves an element never needs it: where service came from has it all the same
    /// while the element has failed.
    pub fn has_way_in(
        &self,
        element: ElementNo,
        cut: &CutOff,
        is_down: impl Fn(LinkNo) -> bool,
    ) -> bool {
        let kernel = &self.impact.kernel;
        let leads_in =
            |link: u32, from: u32| !cut.is_cut_off(ElementNo(from)) && !is_down(LinkNo(link));
        match kernel.entry(element.0) {
            Entry::Tree { link } => leads_in(link, kernel.across(link, element.0)),
            Entry::Dead => true,
            Entry::Head(head) => {
                let of = kernel.heads[head as usize];
                let mut ways = kernel
                    .ways_in(head)
                    .map(|(_, arc)| leads_in(arc.link, arc.from));
                let of_all = of.needs_all && ways.by_ref().all(|leads| leads);
                of.gateway || of_all || (!of.needs_all && ways.any(|leads| leads))
            }
        }
    }

    /// The elements to which service goes on, one entry per way out; the reverse of
    /// [`Self::parents`].
    pub fn children(&self, element: ElementNo) -> impl Iterator<Item = ElementNo> + '_ {
        let kernel = &self.impact.kernel;
        let tree = self.dominator_children(element);
        let tree = tree.filter(|child| matches!(kernel.entry(child.0), Entry::Tree { .. }));
        let arcs = kernel.arcs_out_of(element.0, element.0 + 1).iter();
        let heads = arcs.map(|&(_, no)| kernel.heads[kernel.arcs[no as usize].to as usize].element);
        tree.chain(heads.map(ElementNo))
    }

    /// The two ends of a link, the end nearer to the gateways first where the data say so.
    pub fn link_ends(&self, link: LinkNo) -> (ElementNo, ElementNo) {
        let (a, b) = self.impact.kernel.ends(link.0);
        (ElementNo(a), ElementNo(b))
    }

    /// The elements and links that fail with a group.
    pub fn group_members(&self, group: GroupNo) -> &[Part] {
        &self.groups[group.0 as usize].members
    }

    /// The kind of a shared-risk group.
    pub fn group_kind(&self, group: GroupNo) -> GroupKind {
        self.groups[group.0 as usize].kind
    }

    /// The name of a shared-risk group, its id where it has none.
    pub fn group_name(&self, group: GroupNo) -> &str {
        &self.groups[group.0 as usize].name
    }

    /// The nearest element whose failure alone cuts this one off; `None` where there is none.
    ///
    /// Below an element that needs all its parents, the tree follows one of them.
    pub fn immediate_dominator(&self, element: ElementNo) -> Option<ElementNo> {
        self.impact.kernel.idom(element.0).map(ElementNo)
    }

    /// Whether the failure of `a` alone cuts `b` off; each element with service dominates itself.
    ///
    /// Takes constant time, except where an element that needs all its parents rests on `a`.
    pub fn dominates(&self, a: ElementNo, b: ElementNo) -> bool {
        let kernel = &self.impact.kernel;
        if self.impact.is_searched(a) {
            return b.0 < kernel.reached && self.cut_off(&[Part::Element(a)]).is_cut_off(b);
        }
        a <= b && b.0 < kernel.end(a.0)
    }

    /// Number of elements above this one in the dominator tree.
    pub fn depth(&self, element: ElementNo) -> u32 {
        let mut depth = 0;
        let mut at = element;
        while let Some(above) = self.immediate_dominator(at) {
            depth += 1;
            at = above;
        }
        depth
    }

    /// The elements whose immediate dominator is this one.
    pub fn dominator_children(&self, element: ElementNo) -> impl Iterator<Item = ElementNo> + '_ {
        let kernel = &self.impact.kernel;
        let end = kernel.end(element.0);
        let first = Some(element.0 + 1).filter(|&child| child < end);
        let next = move |&child: &u32| Some(kernel.end(child)).filter(|&next| next < end);
        std::iter::successors(first, next).map(ElementNo)
    }

    /// The numbers of an element and of all below it in the dominator tree.
    pub fn dominator_subtree(&self, element: ElementNo) -> std::ops::Range<ElementNo> {
        let end = self.impact.kernel.end(element.0).max(element.0 + 1);
        element..ElementNo(end)
    }

    /// Number of subscribers.
    pub fn subscriber_count(&self) -> usize {
        self.accounts.len()
    }

    /// The rank of a subscriber in the sets of this network.
    #[inline]
    pub fn rank_of(&self, subscriber: SubscriberNo) -> u32 {
        self.impact.ranks.rank_of[subscriber.0 as usize]
    }

    /// The subscriber of a rank.
    #[inline]
    pub fn subscriber_at_rank(&self, rank: u32) -> SubscriberNo {
        SubscriberNo(self.impact.ranks.at_rank[rank as usize])
    }

    /// The subscribers of a set, by rank.
    pub fn subscribers<'a>(
        &'a self,
        set: &'a SubscriberSet,
    ) -> impl Iterator<Item = SubscriberNo> + 'a {
        set.iter().map(|rank| self.subscriber_at_rank(rank))
    }

    /// The account of a subscriber.
    #[inline]
    pub fn account(&self, subscriber: SubscriberNo) -> &str {
        self.accounts.get(subscriber.0)
    }

    /// The subscriber of an account.
    pub fn subscriber(&self, account: &str) -> Option<SubscriberNo> {
        let no = self.account_index.get(account, |no| self.accounts.get(no));
        no.map(SubscriberNo)
    }

    /// The elements that serve a subscriber, in the order of its attachment.
    pub fn serving(&self, subscriber: SubscriberNo) -> impl Iterator<Item = ElementNo> + '_ {
        let rank = self.rank_of(subscriber);
        let several = self.impact.ranks.several(rank);
        let one = if several.is_none() {
            // The last element whose first rank is not beyond: those between hold nobody.
            let nodes = &self.impact.kernel.nodes;
            let nodes = &nodes[..self.element_count()];
            let after = nodes.partition_point(|node| node.first_rank <= rank);
            u32::try_from(after)
                .ok()
                .and_then(|after| after.checked_sub(1))
        } else {
            None
        };
        let several = several.unwrap_or_default().iter().copied();
        one.into_iter().chain(several).map(ElementNo)
    }

    /// The cluster of a subscriber for experiments: the PON port above it, else the splitter, else
    /// the one element its serving element hangs on, else the serving element.
    pub fn cluster(&self, subscriber: SubscriberNo) -> ElementNo {
        let serving = self.serving(subscriber).next().unwrap_or(ElementNo(NONE));
        let above = |kind| {
            std::iter::successors(Some(serving), |&e| self.immediate_dominator(e))
                .find(|&e| self.kind(e) == kind)
        };
        above(ElementKind::PonPort)
            .or_else(|| above(ElementKind::Splitter))
            .or_else(|| match self.impact.kernel.entry(serving.0) {
                Entry::Tree { link } => Some(ElementNo(self.impact.kernel.across(link, serving.0))),
                Entry::Head(_) | Entry::Dead => None,
            })
            .unwrap_or(serving)
    }

    /// The bytes that the network holds in memory, by what they are for.
    pub fn resident_bytes(&self) -> ResidentBytes {
        let members = self.groups.iter().map(|group| {
            size_of::<Group>() + group.name.capacity() + group.members.len() * size_of::<Part>()
        });
        ResidentBytes {
            impact: self.impact.resident_bytes(),
            names: self.ids.resident_bytes()
                + self.shared_id.capacity()
                + self.own_ids.resident_bytes()
                + self.names.resident_bytes()
                + self.accounts.resident_bytes(),
            lookup: self.id_index.resident_bytes() + self.account_index.resident_bytes(),
            facts: self.kinds.capacity() * size_of::<ElementKind>()
                + self.site_of.capacity() * size_of::<u32>()
                + self.sites.capacity() * size_of::<Site>()
                + self.batteries.capacity() * size_of::<(u32, u32)>()
                + members.sum::<usize>(),
        }
    }
}

/// Bytes that a network holds in memory.
#[derive(Clone, Copy, Debug)]
pub struct ResidentBytes {
    /// Who loses service.
    pub impact: usize,
    /// Ids, names, accounts.
    pub names: usize,
    /// From ids and accounts to numbers.
    pub lookup: usize,
    /// Kinds, sites, groups.
    pub facts: usize,
}

impl ResidentBytes {
    /// All together.
    pub fn total(&self) -> usize {
        self.impact + self.names + self.lookup + self.facts
    }
}
