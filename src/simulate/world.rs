//! The network as it really is, with what the simulation asks of it.

use crate::subscriber::{Segment, Subscriber};
use crate::topology::{
    Attachment, ElementKind, ElementNo, GroupKind, GroupNo, LinkNo, Network, NetworkDefinition,
    NetworkError, Part, Position, SubscriberNo, SubscriberSet,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NONE: u32 = u32::MAX;

/// A network with its people; shared by any number of simulations.
#[derive(Debug)]
pub struct World {
    network: Arc<Network>,
    homes: Vec<Home>,
    /// Per element: one past the last one it dominates.
    ends: Vec<u32>,
    /// Per element: how many ONTs have lower numbers; and one more.
    onts_before: Vec<u32>,
    /// Per element: a subscriber it serves.
    home_at: Vec<u32>,
    /// Per element with one way in: its link.
    way_in: Vec<u32>,
    devices: BTreeMap<ElementNo, Vec<LinkNo>>,
    rings: Vec<Vec<ElementNo>>,
    onts: Vec<ElementNo>,
    /// Elements that serve somebody, where there are no ONTs.
    serving: Vec<ElementNo>,
}

/// What the simulation knows of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Home {
    pub position: Option<Position>,
    pub business: bool,
    pub vulnerable: bool,
}

/// What a part is to the network, as far as failing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A managed device: router, switch, BNG, OLT.
    Device(ElementNo),
    /// A link between two devices.
    Transport(LinkNo),
    /// A PON port, an ONT, passive plant, or the way into one: what hangs on this element is dark.
    Access(ElementNo),
}

impl World {
    /// Builds the network of a definition and its people.
    pub fn new(
        definition: &NetworkDefinition,
        subscribers: &[Subscriber],
    ) -> Result<Self, Vec<NetworkError>> {
        let network = Network::build(definition, &attachments(subscribers))?;
        let homes = subscribers.iter().map(|subscriber| Home {
            position: subscriber.position,
            business: subscriber.segment == Segment::Business,
            vulnerable: subscriber.vulnerable,
        });
        Ok(Self::of(Arc::new(network), homes.collect()))
    }

    /// Of a network that is built; one home for each of its subscribers, in the order of their
    /// numbers.
    pub fn of(network: Arc<Network>, homes: Vec<Home>) -> Self {
        let elements = number(network.element_count());
        let mut ends: Vec<u32> = (1..=elements).collect();
        for no in (0..elements).rev() {
            if let Some(ElementNo(above)) = network.immediate_dominator(ElementNo(no)) {
                ends[above as usize] = ends[above as usize].max(ends[no as usize]);
            }
        }
        let mut onts_before = vec![0];
        let mut onts = Vec::new();
        for no in 0..elements {
            if network.kind(ElementNo(no)) == ElementKind::Ont {
                onts.push(ElementNo(no));
            }
            onts_before.push(number(onts.len()));
        }
        let mut home_at = vec![NONE; elements as usize];
        for no in 0..number(homes.len()) {
            for serving in network.serving(SubscriberNo(no)) {
                home_at[serving.0 as usize] = no;
            }
        }
        let served = (0..).map(ElementNo).zip(&home_at);
        let served = served.filter(|(_, home)| onts.is_empty() && **home != NONE);
        let serving = served.map(|(element, _)| element).collect();
        let mut world = Self {
            homes,
            ends,
            onts_before,
            home_at,
            way_in: vec![NONE; elements as usize],
            devices: BTreeMap::new(),
            rings: Vec::new(),
            onts,
            serving,
            network,
        };
        world.index_links();
        world.rings = world.find_rings();
        world
    }

    fn index_links(&mut self) {
        let elements = (0..).map(ElementNo).take(self.network.element_count());
        for element in elements.filter(|&e| is_device(self.network.kind(e))) {
            self.devices.insert(element, Vec::new());
        }
        for link in (0..).map(LinkNo).take(self.network.link_count()) {
            let (a, b) = self.network.link_ends(link);
            if self.devices.contains_key(&a) && self.devices.contains_key(&b) {
                for end in [a, b] {
                    if let Some(links) = self.devices.get_mut(&end) {
                        links.push(link);
                    }
                }
            } else {
                self.way_in[b.0 as usize] = link.0;
            }
        }
    }

    /// Chains of switches with a way up at both ends and nowhere else.
    fn find_rings(&self) -> Vec<Vec<ElementNo>> {
        let mut seen: BTreeSet<ElementNo> = BTreeSet::new();
        let mut rings = Vec::new();
        for &switch in self.devices.keys().filter(|&&e| self.is_switch(e)) {
            if seen.contains(&switch) {
                continue;
            }
            let mut found = BTreeSet::from([switch]);
            let mut open = vec![switch];
            while let Some(at) = open.pop() {
                for next in self.neighbours(at).filter(|&n| self.is_switch(n)) {
                    if found.insert(next) {
                        open.push(next);
                    }
                }
            }
            seen.extend(&found);
            rings.extend(self.chain(&found));
        }
        rings
    }

    fn chain(&self, switches: &BTreeSet<ElementNo>) -> Option<Vec<ElementNo>> {
        let inside = |e: ElementNo| self.neighbours(e).filter(move |n| switches.contains(n));
        let has_way_up = |e: &ElementNo| {
            self.neighbours(*e)
                .any(|n| !switches.contains(&n) && self.network.kind(n) != ElementKind::Olt)
        };
        let ends: Vec<ElementNo> = switches.iter().copied().filter(has_way_up).collect();
        let [first, last] = ends[..] else { return None };
        let mut chain = vec![first];
        while let Some(&at) = chain.last() {
            let mut next = inside(at).filter(|n| !chain.contains(n));
            match (next.next(), next.next()) {
                (Some(one), None) => chain.push(one),
                (None, _) => break,
                (Some(_), Some(_)) => return None,
            }
        }
        (chain.len() == switches.len() && chain.len() > 1 && chain.last() == Some(&last))
            .then_some(chain)
    }

    fn is_switch(&self, element: ElementNo) -> bool {
        self.network.kind(element) == ElementKind::Switch
    }

    fn neighbours(&self, device: ElementNo) -> impl Iterator<Item = ElementNo> + '_ {
        self.links_of(device).iter().map(move |&link| {
            let (a, b) = self.network.link_ends(link);
            if a == device { b } else { a }
        })
    }

    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// By subscriber number.
    pub fn homes(&self) -> &[Home] {
        &self.homes
    }

    /// Managed devices, in the order of their numbers.
    pub(super) fn devices(&self) -> impl Iterator<Item = ElementNo> + '_ {
        self.devices.keys().copied()
    }

    /// Links of a device to other devices.
    pub(super) fn links_of(&self, device: ElementNo) -> &[LinkNo] {
        self.devices.get(&device).map_or(&[], Vec::as_slice)
    }

    /// Chains of switches that close a ring over what lies above; the ends have the ways up.
    pub fn rings(&self) -> &[Vec<ElementNo>] {
        &self.rings
    }

    pub fn onts(&self) -> &[ElementNo] {
        &self.onts
    }

    /// Where faults are looked for: at the ONTs, or in a network without any, as a map of routers is,
    /// at whatever serves somebody.
    pub(super) fn places(&self) -> &[ElementNo] {
        if self.onts.is_empty() {
            &self.serving
        } else {
            &self.onts
        }
    }

    /// The ONTs at or under an element.
    pub(super) fn onts_under(&self, element: ElementNo) -> &[ElementNo] {
        let from = self.onts_before[element.0 as usize];
        let until = self.onts_before[self.ends[element.0 as usize] as usize];
        &self.onts[from as usize..until as usize]
    }

    /// The link by which an element hangs on the one above, if it is no device.
    pub(super) fn way_in(&self, element: ElementNo) -> Option<LinkNo> {
        let link = self.way_in.get(element.0 as usize).copied();
        link.filter(|&link| link != NONE).map(LinkNo)
    }

    /// A subscriber that an element serves.
    pub(super) fn subscriber_at(&self, element: ElementNo) -> Option<SubscriberNo> {
        let home = self.home_at.get(element.0 as usize).copied();
        home.filter(|&home| home != NONE).map(SubscriberNo)
    }

    /// Where an element stands: its site, the premises it serves, or the site of what is above it.
    pub(super) fn position(&self, element: ElementNo) -> Option<Position> {
        let home = self.subscriber_at(element);
        let home = home.and_then(|no| self.homes.get(no.0 as usize)?.position);
        home.or_else(|| {
            std::iter::successors(Some(element), |&e| self.network.immediate_dominator(e))
                .find_map(|e| self.network.position(e))
        })
    }

    /// The nearest element of a kind that this one hangs on, or it itself.
    pub(super) fn above(&self, element: ElementNo, kind: ElementKind) -> Option<ElementNo> {
        std::iter::successors(Some(element), |&e| self.network.immediate_dominator(e))
            .find(|&e| self.network.kind(e) == kind)
    }

    pub(super) fn role(&self, part: Part) -> Option<Role> {
        match part {
            Part::Element(e) if self.devices.contains_key(&e) => Some(Role::Device(e)),
            Part::Element(e) => Some(Role::Access(e)),
            Part::Link(link) => {
                let (a, b) = self.network.link_ends(link);
                let both = self.devices.contains_key(&a) && self.devices.contains_key(&b);
                Some(if both {
                    Role::Transport(link)
                } else {
                    Role::Access(b)
                })
            }
            Part::Group(_) => None,
        }
    }

    /// Groups of these kinds, by number.
    pub(super) fn groups(&self, kinds: &[GroupKind]) -> Vec<GroupNo> {
        (0..)
            .map(GroupNo)
            .take(self.network.group_count())
            .filter(|&group| kinds.contains(&self.network.group_kind(group)))
            .collect()
    }

    /// Elements and links, groups replaced by their members; sorted, each once.
    pub(super) fn primitive(&self, parts: &[Part]) -> Vec<Part> {
        let mut primitive: Vec<Part> = parts
            .iter()
            .flat_map(|part| match part {
                Part::Group(group) => self.network.group_members(*group),
                _ => std::slice::from_ref(part),
            })
            .copied()
            .collect();
        primitive.sort_unstable();
        primitive.dedup();
        primitive
    }

    /// The same people by their ranks in another version of the network, which must list them in
    /// the same order.
    pub fn carry_over(&self, lost: &SubscriberSet, to: &Network) -> SubscriberSet {
        let runs = self.network.subscribers(lost).map(|subscriber| {
            let rank = to.rank_of(subscriber);
            (rank, rank + 1)
        });
        SubscriberSet::from_runs(runs.collect())
    }
}

/// What serves each subscriber.
pub fn attachments(subscribers: &[Subscriber]) -> Vec<Attachment> {
    let attachments = subscribers.iter().map(|subscriber| Attachment {
        account: subscriber.account.clone(),
        served_by: subscriber.served_by.clone(),
        redundancy: subscriber.redundancy,
    });
    attachments.collect()
}

fn is_device(kind: ElementKind) -> bool {
    matches!(
        kind,
        ElementKind::Router
            | ElementKind::Switch
            | ElementKind::Bng
            | ElementKind::Olt
            | ElementKind::Cmts
            | ElementKind::Cell
    )
}

/// Numbers of parts have 32 bits.
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
