//! Loss alarms by place, and what they imply further up: the candidates of the localisation.
//!
//! - What is kept follows from the set of alarms, not from the order in which they came.
//! - An alarm costs work along its way up the tree, as far as something changes there.

use super::CorrelatorSettings;
use crate::alarm::{AlarmBook, AlarmNo, AlarmState, ServiceEffect, is_own_fault};
use crate::topology::{ElementKind, ElementNo, GroupNo, Network, Part};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Multiplies and rotates, as rustc's own hasher; for numbers that no stranger chooses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0xf135_7aea_2e62_a9c5);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

pub(super) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;
type NumberSet<K> = HashSet<K, BuildHasherDefault<NumberHasher>>;

/// Loss alarms by place, and what they imply further up.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// By place in the book.
    seen: Vec<Seen>,
    /// Places that were updated since [`Self::start_anew`].
    fresh: Vec<AlarmNo>,
    /// Number of alarms that count as evidence, where there is any.
    evidence: NumberMap<Part, u32>,
    /// Number of such alarms on the links into an element.
    evidence_on_way_in: NumberMap<ElementNo, u32>,
    /// Parts with evidence of their own that are no single premise.
    alarmed: BTreeSet<Part>,
    /// Their alarms that count as evidence.
    alarms_of: NumberMap<Part, Vec<AlarmNo>>,
    dark: NumberSet<ElementNo>,
    dark_children: NumberMap<ElementNo, u32>,
    inferred: BTreeSet<ElementNo>,
    observable: NumberMap<ElementNo, u32>,
    groups_of: NumberMap<Part, Vec<GroupNo>>,
    unmapped: BTreeSet<AlarmNo>,
}

/// What has been taken over of an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Where a loss alarm is, active or ended lately.
    pub(super) part: Option<Part>,
    pub(super) is_evidence: bool,
    pub(super) is_fresh: bool,
}

impl Candidates {
    /// For a network, without alarms.
    pub(super) fn new(network: &Network) -> Self {
        let mut groups_of: NumberMap<Part, Vec<GroupNo>> = NumberMap::default();
        for group in (0..).map(GroupNo).take(network.group_count()) {
            for &member in network.group_members(group) {
                groups_of.entry(member).or_default().push(group);
                if let Part::Link(link) = member {
                    let below = Part::Element(network.link_ends(link).1);
                    groups_of.entry(below).or_default().push(group);
                }
            }
        }
        Self {
            groups_of,
            ..Self::default()
        }
    }

    /// Active alarms whose resource the network does not know.
    pub(super) fn unmapped(&self) -> &BTreeSet<AlarmNo> {
        &self.unmapped
    }

    /// What has been taken over of the alarms, by place.
    pub(super) fn seen(&self) -> impl Iterator<Item = (AlarmNo, Seen)> + '_ {
        (0..).map(AlarmNo).zip(self.seen.iter().copied())
    }

    /// From now on no alarm is fresh.
    pub(super) fn start_anew(&mut self) {
        for no in self.fresh.drain(..) {
            self.seen[no.0 as usize].is_fresh = false;
        }
    }

    /// Takes over the present state of an alarm, `None` when it is forgotten. Tells whether the
    /// failures may be others now.
    pub(super) fn update(
        &mut self,
        no: AlarmNo,
        alarm: Option<&AlarmState>,
        network: &Network,
        settings: &CorrelatorSettings,
    ) -> bool {
        let part = alarm.and_then(|a| network.part(&a.key().resource));
        if part.is_none() && alarm.is_some_and(AlarmState::is_active) {
            self.unmapped.insert(no);
        } else if !self.unmapped.is_empty() {
            self.unmapped.remove(&no);
        }
        let is_loss = alarm.is_some_and(|a| a.effect() == ServiceEffect::Loss);
        let new = Seen {
            part: part.filter(|_| is_loss),
            is_evidence: part.is_some() && is_loss && alarm.is_some_and(AlarmState::is_evidence),
            is_fresh: true,
        };
        let at = no.0 as usize;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, Seen::default());
        }
        let old = std::mem::replace(&mut self.seen[at], new);
        if !old.is_fresh {
            self.fresh.push(no);
        }
        let evident = |seen: Seen| seen.part.filter(|_| seen.is_evidence);
        if evident(old) != evident(new) {
            for (part, up) in [(evident(old), false), (evident(new), true)] {
                if let Some(part) = part {
                    self.count(no, part, up, network, settings);
                    self.propagate(part, network, settings);
                }
            }
        }
        old.part.is_some() || new.part.is_some()
    }

    fn count(
        &mut self,
        no: AlarmNo,
        part: Part,
        up: bool,
        network: &Network,
        settings: &CorrelatorSettings,
    ) {
        step(&mut self.evidence, part, up);
        if let Part::Link(link) = part {
            step(&mut self.evidence_on_way_in, network.link_ends(link).1, up);
        }
        if !settings.single_premise_incidents && is_premise(network, part) {
            return;
        }
        let alarms = self.alarms_of.entry(part).or_default();
        if up {
            alarms.push(no);
            self.alarmed.insert(part);
        } else {
            alarms.retain(|other| *other != no);
            if alarms.is_empty() {
                self.alarms_of.remove(&part);
                self.alarmed.remove(&part);
            }
        }
    }

    /// Carries a change at a part up the tree, as far as it matters.
    fn propagate(&mut self, part: Part, network: &Network, settings: &CorrelatorSettings) {
        let mut next = match part {
            Part::Element(element) => Some(element),
            Part::Link(link) => Some(network.link_ends(link).1),
            Part::Group(_) => None,
        };
        while let Some(element) = next.take() {
            let Some(parent) = sole_parent(network, element) else {
                return;
            };
            if !has_subscribers(network, element) {
                return;
            }
            let is_dark = self.is_dark(network, element);
            let flipped = if is_dark {
                self.dark.insert(element)
            } else {
                self.dark.remove(&element)
            };
            if flipped {
                step(&mut self.dark_children, parent, is_dark);
            }
            let changed = if self.infer(network, parent, element, settings) {
                self.inferred.insert(parent)
            } else {
                self.inferred.remove(&parent)
            };
            next = changed.then_some(parent);
        }
    }

    fn is_dark(&self, network: &Network, element: ElementNo) -> bool {
        self.evidence.contains_key(&Part::Element(element))
            || self.inferred.contains(&element)
            || self.way_in_is_alarmed(network, element)
    }

    /// Whether the only link into an element has a loss alarm.
    fn way_in_is_alarmed(&self, network: &Network, element: ElementNo) -> bool {
        self.evidence_on_way_in.contains_key(&element) && network.parents(element).count() == 1
    }

    /// Whether an element must have failed, because nearly all that hangs on it alone is dark.
    /// Over a single dark child only passive plant is inferred: the two cannot be told apart, and
    /// the alarms do not speak against the higher one.
    fn infer(
        &mut self,
        network: &Network,
        element: ElementNo,
        child: ElementNo,
        settings: &CorrelatorSettings,
    ) -> bool {
        let dark = self.dark_children.get(&element).copied().unwrap_or(0);
        if dark == 0 {
            return false;
        }
        let observable = *self
            .observable
            .entry(element)
            .or_insert_with(|| observable_children(network, element));
        if observable == 1 {
            return is_passive(network.kind(element))
                && self.inferred.contains(&child)
                && !self.evidence.contains_key(&Part::Element(child));
        }
        dark >= settings.min_children.max(1)
            && f64::from(dark) >= settings.child_share * f64::from(observable)
    }

    /// Whether a part is a candidate: it has an alarm of its own, or is inferred.
    pub(super) fn contains(&self, part: Part) -> bool {
        self.alarmed.contains(&part)
            || matches!(part, Part::Element(element) if self.inferred.contains(&element))
    }

    /// The candidates, without the inferred ones whose only parent is a candidate as well: that one
    /// explains them, and there are many.
    pub(super) fn upper(&self, network: &Network) -> BTreeSet<Part> {
        let inferred = self.inferred.iter().copied().filter(|&element| {
            let parent = sole_parent(network, element).map(Part::Element);
            !parent.is_some_and(|parent| self.contains(parent))
        });
        let inferred = inferred.map(Part::Element);
        self.alarmed.iter().copied().chain(inferred).collect()
    }

    /// The groups with a candidate in them, or at the far end of a link in them.
    pub(super) fn groups(&self) -> BTreeSet<GroupNo> {
        let inferred = self.inferred.iter().map(|&element| Part::Element(element));
        let mut groups = BTreeSet::new();
        for part in self.alarmed.iter().copied().chain(inferred) {
            groups.extend(self.groups_of.get(&part).into_iter().flatten());
            if let Part::Group(group) = part {
                groups.insert(group);
            }
        }
        groups
    }

    /// Whether an alarm at a part tells of its own hardware.
    pub(super) fn has_own_fault(&self, book: &AlarmBook, part: Part) -> bool {
        self.alarms_of.get(&part).is_some_and(|alarms| {
            let mut alarms = alarms.iter().filter_map(|no| book.get(*no));
            alarms.any(|alarm| is_own_fault(&alarm.key().alarm_type))
        })
    }
}

fn step<K: Copy + Eq + Hash>(counts: &mut NumberMap<K, u32>, key: K, up: bool) {
    let count = counts.entry(key).or_default();
    *count = if up {
        *count + 1
    } else {
        count.saturating_sub(1)
    };
    if *count == 0 {
        counts.remove(&key);
    }
}

/// The element on which another hangs alone, if there is one.
pub(super) fn sole_parent(network: &Network, element: ElementNo) -> Option<ElementNo> {
    let mut parents = network.parents(element);
    let first = parents.next()?;
    parents.all(|other| other == first).then_some(first)
}

fn has_subscribers(network: &Network, element: ElementNo) -> bool {
    !network
        .lost_alone_runs(Part::Element(element))
        .as_slice()
        .is_empty()
}

/// How many elements with subscribers hang on an element alone.
fn observable_children(network: &Network, element: ElementNo) -> u32 {
    let children: BTreeSet<ElementNo> = network
        .children(element)
        .filter(|&child| sole_parent(network, child) == Some(element))
        .filter(|&child| has_subscribers(network, child))
        .collect();
    u32::try_from(children.len()).unwrap_or(u32::MAX)
}

fn is_passive(kind: ElementKind) -> bool {
    matches!(
        kind,
        ElementKind::Splitter
            | ElementKind::PonPort
            | ElementKind::FibreNode
            | ElementKind::Duct
            | ElementKind::Cabinet
    )
}

/// Whether a part serves one premise only: an ONT, or the drop to it, with at most one subscriber.
fn is_premise(network: &Network, part: Part) -> bool {
    let element = match part {
        Part::Element(element) => element,
        Part::Link(link) => network.link_ends(link).1,
        Part::Group(_) => return false,
    };
    let runs = network.lost_alone_runs(part);
    let subscribers: u32 = runs.as_slice().iter().map(|(from, to)| to - from).sum();
    network.kind(element) == ElementKind::Ont && subscribers <= 1
}
