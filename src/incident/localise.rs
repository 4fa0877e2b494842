//! Localisation, first form: from loss alarms to the failures highest up that explain them.
//!
//! - The answer follows from the set of alarms and the network, not from the order of arrival.
//! - Candidates are the parts with a loss alarm of their own, the elements below which nearly
//!   everything is dark, and the shared-risk groups all of whose members are candidates. Failures
//!   are the candidates that the others do not cut off.
//! - A single premise is no candidate by itself, but counts for the element above it.
//! - An alarm costs work along its way up the tree; the rest of the work depends on the number of
//!   candidates.

use super::CorrelatorSettings;
use crate::alarm::{AlarmBook, AlarmNo, AlarmState, ServiceEffect, is_own_fault};
use crate::topology::{CutOff, ElementKind, ElementNo, GroupNo, Network, Part, SubscriberSet};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Parts that failed, and the loss alarms that they explain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failure {
    /// Sorted by id; several when they cut people off only together.
    pub(super) parts: Vec<Part>,
    /// Alarms that count as evidence.
    pub(super) alarms: Vec<AlarmNo>,
    /// Alarms of the failed parts themselves, also those that ended lately.
    pub(super) own: Vec<AlarmNo>,
}

/// Loss alarms by place, and what they imply further up.
#[derive(Debug, Default)]
pub(super) struct Localiser {
    /// By place in the book.
    seen: Vec<Seen>,
    /// Mapped loss alarms, also those that ended lately.
    by_part: HashMap<Part, Vec<AlarmNo>>,
    /// Number of alarms that count as evidence, where there is any.
    evidence: BTreeMap<Part, u32>,
    /// Number of such alarms on the links into an element.
    evidence_on_way_in: HashMap<ElementNo, u32>,
    dark: HashSet<ElementNo>,
    dark_children: HashMap<ElementNo, u32>,
    inferred: BTreeSet<ElementNo>,
    observable: HashMap<ElementNo, u32>,
    groups_of: HashMap<Part, Vec<GroupNo>>,
    unmapped: BTreeSet<AlarmNo>,
}

/// What the localiser has taken over of an alarm.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    part: Option<Part>,
    is_evidence: bool,
}

impl Localiser {
    /// A localiser for a network, without alarms.
    pub(super) fn new(network: &Network) -> Self {
        let mut groups_of: HashMap<Part, Vec<GroupNo>> = HashMap::new();
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
        } else {
            self.unmapped.remove(&no);
        }
        let is_loss = alarm.is_some_and(|a| a.effect() == ServiceEffect::Loss);
        let new = Seen {
            part: part.filter(|_| is_loss),
            is_evidence: part.is_some() && is_loss && alarm.is_some_and(AlarmState::is_evidence),
        };
        let at = no.0 as usize;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, Seen::default());
        }
        let old = std::mem::replace(&mut self.seen[at], new);
        if old.part != new.part {
            if let Some(part) = old.part {
                self.remove_alarm(part, no);
            }
            if let Some(part) = new.part {
                self.by_part.entry(part).or_default().push(no);
            }
        }
        let change = |seen: Seen| seen.part.filter(|_| seen.is_evidence);
        let matters = old.part.is_some() || new.part.is_some();
        if change(old) == change(new) {
            return matters;
        }
        if let Some(part) = change(old) {
            self.count(part, false, network);
            self.propagate(part, network, settings);
        }
        if let Some(part) = change(new) {
            self.count(part, true, network);
            self.propagate(part, network, settings);
        }
        matters
    }

    fn remove_alarm(&mut self, part: Part, no: AlarmNo) {
        if let Some(alarms) = self.by_part.get_mut(&part) {
            alarms.retain(|a| *a != no);
            if alarms.is_empty() {
                self.by_part.remove(&part);
            }
        }
    }

    fn count(&mut self, part: Part, up: bool, network: &Network) {
        step(&mut self.evidence, part, up);
        if let Part::Link(link) = part {
            step_hashed(&mut self.evidence_on_way_in, network.link_ends(link).1, up);
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
                step_hashed(&mut self.dark_children, parent, is_dark);
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

    /// The failures behind the present alarms, in the order of their parts' ids.
    pub(super) fn failures(
        &self,
        network: &Network,
        book: &AlarmBook,
        settings: &CorrelatorSettings,
    ) -> Vec<Failure> {
        let mut search = Search::new(self, network, book, settings);
        search.take_groups();
        search.drop_symptoms();
        let sets = search.independent_sets();
        search.assign(&sets)
    }

    /// The failure-like evidence at a part: whether an alarm there tells of its own hardware.
    fn has_own_fault(&self, book: &AlarmBook, part: Part) -> bool {
        self.by_part.get(&part).is_some_and(|alarms| {
            alarms
                .iter()
                .filter_map(|no| book.get(*no))
                .any(|alarm| alarm.is_evidence() && is_own_fault(&alarm.key().alarm_type))
        })
    }
}

/// One run of the localisation.
struct Search<'a> {
    localiser: &'a Localiser,
    network: &'a Network,
    book: &'a AlarmBook,
    candidates: BTreeSet<Part>,
    /// Candidates that are explained from beside or below, and by what.
    symptoms: BTreeMap<Part, Part>,
}

impl<'a> Search<'a> {
    fn new(
        localiser: &'a Localiser,
        network: &'a Network,
        book: &'a AlarmBook,
        settings: &CorrelatorSettings,
    ) -> Self {
        let alarmed = localiser
            .evidence
            .keys()
            .copied()
            .filter(|&part| settings.single_premise_incidents || !is_premise(network, part));
        let inferred = localiser.inferred.iter().map(|&e| Part::Element(e));
        Self {
            localiser,
            network,
            book,
            candidates: alarmed.chain(inferred).collect(),
            symptoms: BTreeMap::new(),
        }
    }

    /// Puts a group in the place of its members, larger groups first.
    fn take_groups(&mut self) {
        let mut groups: BTreeSet<GroupNo> = BTreeSet::new();
        for &part in &self.candidates {
            groups.extend(self.localiser.groups_of.get(&part).into_iter().flatten());
            if let Part::Group(group) = part {
                groups.insert(group);
            }
        }
        let mut groups: Vec<GroupNo> = groups
            .into_iter()
            .filter(|&group| {
                let members = self.network.group_members(group);
                self.candidates.contains(&Part::Group(group))
                    || (members.len() >= 2 && members.iter().all(|&member| self.is_down(member)))
            })
            .collect();
        groups.sort_unstable_by_key(|&group| {
            let members = self.network.group_members(group).len();
            (
                std::cmp::Reverse(members),
                self.network.part_id(Part::Group(group)),
            )
        });
        let mut taken: BTreeMap<Part, Part> = BTreeMap::new();
        for group in groups {
            let members = self.network.group_members(group);
            let first = members
                .first()
                .and_then(|member| taken.get(member))
                .copied();
            let group = Part::Group(group);
            match first {
                Some(by) if members.iter().all(|member| taken.contains_key(member)) => {
                    self.candidates.remove(&group);
                    self.symptoms.insert(group, by);
                }
                _ => {
                    for &member in members {
                        taken.entry(member).or_insert(group);
                    }
                    self.put_group(group);
                }
            }
        }
        for member in taken.into_keys() {
            self.candidates.remove(&member);
        }
    }

    /// A link without an alarm is down as well when all that it alone leads to is.
    fn is_down(&self, member: Part) -> bool {
        if self.candidates.contains(&member) {
            return true;
        }
        let Part::Link(link) = member else {
            return false;
        };
        let below = self.network.link_ends(link).1;
        self.candidates.contains(&Part::Element(below)) && self.network.parents(below).count() == 1
    }

    /// Elements above that were only inferred, or that only miss the signal, are explained by the
    /// group if it takes all their subscribers.
    fn put_group(&mut self, group: Part) {
        let lost = self.network.lost_alone(group);
        let explained: Vec<Part> = self
            .candidates
            .iter()
            .copied()
            .filter(|&part| {
                let Part::Element(_) = part else { return false };
                let own = self.network.lost_alone(part);
                !own.is_empty()
                    && is_within(&own, &lost)
                    && !self.localiser.has_own_fault(self.book, part)
            })
            .collect();
        for part in explained {
            self.candidates.remove(&part);
            self.symptoms.insert(part, group);
        }
        self.candidates.insert(group);
    }

    /// A link that is down because the element at its end failed is no failure of its own: when the
    /// element says so, or when all its ways in, two or more, are down.
    fn drop_symptoms(&mut self) {
        let mut ends: BTreeMap<ElementNo, Vec<Part>> = BTreeMap::new();
        for &part in &self.candidates {
            if let Part::Link(link) = part {
                let (a, b) = self.network.link_ends(link);
                ends.entry(a).or_default().push(part);
                ends.entry(b).or_default().push(part);
            }
        }
        let mut by_end: Vec<(ElementNo, Vec<Part>)> = ends.into_iter().collect();
        by_end.sort_unstable_by_key(|(e, _)| self.network.part_id(Part::Element(*e)));
        for (element, mut links) in by_end {
            let part = Part::Element(element);
            links.retain(|link| !self.symptoms.contains_key(link));
            let ways_in = self.network.parents(element).count();
            let all_down = links.len() >= 2
                && ways_in >= 2
                && links.iter().filter(|&&l| self.leads_to(l, element)).count() == ways_in;
            let says_so =
                self.candidates.contains(&part) && self.localiser.has_own_fault(self.book, part);
            if all_down || says_so {
                self.candidates.insert(part);
                for link in links {
                    self.candidates.remove(&link);
                    self.symptoms.insert(link, part);
                }
            }
        }
    }

    fn leads_to(&self, link: Part, element: ElementNo) -> bool {
        let Part::Link(no) = link else { return false };
        let (a, b) = self.network.link_ends(no);
        b == element
            || self
                .network
                .parents(element)
                .any(|parent| parent == b && a == element)
    }

    /// The candidates that the others do not cut off, by id.
    fn outermost(&self) -> (Vec<Part>, CutOff) {
        let (mut outermost, cut) = self.touching();
        // Groups that overlap can hide each other: whatever is left unexplained stands.
        let mut explained = self.network.cut_off(&outermost);
        let mut rest: Vec<Part> = self.candidates.iter().copied().collect();
        rest.retain(|part| !outermost.contains(part) && self.has_service(*part, &explained));
        rest.sort_unstable_by_key(|&part| self.network.part_id(part));
        for part in rest {
            if self.has_service(part, &explained) {
                outermost.push(part);
                explained = self.network.cut_off(&outermost);
            }
        }
        outermost.sort_unstable_by_key(|&part| self.network.part_id(part));
        (outermost, cut)
    }

    /// The candidates that touch what still works.
    fn touching(&self) -> (Vec<Part>, CutOff) {
        let all: Vec<Part> = self.candidates.iter().copied().collect();
        let cut = self.network.cut_off(&all);
        let mut ways_down: HashMap<ElementNo, usize> = HashMap::new();
        for (a, b) in all.iter().flat_map(|&part| self.links_of(part)) {
            *ways_down.entry(b).or_default() += 1;
            if self.network.parents(a).any(|parent| parent == b) {
                *ways_down.entry(a).or_default() += 1;
            }
        }
        let touching = all
            .iter()
            .copied()
            .filter(|&part| match part {
                Part::Link(link) => {
                    let (a, b) = self.network.link_ends(link);
                    let back = self.network.parents(a).any(|parent| parent == b);
                    !cut.is_cut_off(a) || (back && !cut.is_cut_off(b))
                }
                Part::Element(element) => {
                    let ways = self.network.parents(element).count();
                    let parents = self.network.parents(element);
                    let alive = parents.filter(|&p| !cut.is_cut_off(p)).count();
                    let down = ways_down.get(&element).copied().unwrap_or(0);
                    if ways == 0 || (down == 0 && alive == ways) {
                        return true;
                    }
                    alive > 0 && down < ways && self.stands_without(&all, part)
                }
                Part::Group(_) => self.stands_without(&all, part),
            })
            .collect();
        (touching, cut)
    }

    fn links_of(&self, part: Part) -> Vec<(ElementNo, ElementNo)> {
        match part {
            Part::Element(_) => Vec::new(),
            Part::Link(link) => vec![self.network.link_ends(link)],
            Part::Group(group) => {
                let members = self.network.group_members(group).iter();
                members.flat_map(|&member| self.links_of(member)).collect()
            }
        }
    }

    /// Whether a part, or something in it, would have service if the other candidates alone failed.
    fn stands_without(&self, all: &[Part], part: Part) -> bool {
        let others: Vec<Part> = all.iter().copied().filter(|&p| p != part).collect();
        let cut = self.network.cut_off(&others);
        self.has_service(part, &cut)
    }

    fn has_service(&self, part: Part, cut: &CutOff) -> bool {
        match part {
            Part::Element(element) => !cut.is_cut_off(element),
            Part::Link(link) => {
                let (a, b) = self.network.link_ends(link);
                !cut.is_cut_off(a) || !cut.is_cut_off(b)
            }
            Part::Group(group) => self
                .network
                .group_members(group)
                .iter()
                .any(|&member| self.has_service(member, cut)),
        }
    }

    /// The outermost candidates, joined where only several together cut somebody off.
    fn independent_sets(&self) -> (Vec<Vec<Part>>, CutOff) {
        let (outermost, cut) = self.outermost();
        let mut sets: Vec<Vec<Part>> = outermost.iter().map(|&part| vec![part]).collect();
        let all = self.network.lost(&outermost);
        let alone = outermost.iter().flat_map(|&part| {
            let runs = self.network.lost_alone_runs(part);
            runs.as_slice().to_vec()
        });
        let mut explained = SubscriberSet::from_runs(alone.collect());
        while let Some(rank) = all.difference(&explained).iter().next() {
            let needed = self.needed_for(rank, &[], &outermost);
            let mut joined: Vec<Part> = Vec::new();
            sets.retain(|set| {
                let touches = set.iter().any(|part| needed.contains(part));
                if touches {
                    joined.extend(set);
                }
                !touches
            });
            joined.sort_unstable_by_key(|&part| self.network.part_id(part));
            explained = explained.union(&self.network.lost(&joined));
            sets.push(joined);
        }
        sets.sort_unstable_by_key(|set| set.first().map(|&part| self.network.part_id(part)));
        (sets, cut)
    }

    /// A smallest part of `open` that, with `fixed`, cuts the subscriber off (`QuickXplain`, Junker
    /// 2004): halving, so that few failures among many are found with few questions.
    fn needed_for(&self, rank: u32, fixed: &[Part], open: &[Part]) -> Vec<Part> {
        if !fixed.is_empty() && self.network.lost(fixed).contains(rank) {
            return Vec::new();
        }
        if open.len() <= 1 {
            return open.to_vec();
        }
        let (left, right) = open.split_at(open.len() / 2);
        let with_left = [fixed, left].concat();
        let of_right = self.needed_for(rank, &with_left, right);
        let with_right = [fixed, &of_right[..]].concat();
        let mut needed = self.needed_for(rank, &with_right, left);
        needed.extend(of_right);
        needed
    }

    /// Gives each alarm to the failure that explains it.
    fn assign(&self, (sets, cut): &(Vec<Vec<Part>>, CutOff)) -> Vec<Failure> {
        let mut owners = Owners::new(self, sets, cut);
        let mut failures: Vec<Failure> = sets
            .iter()
            .map(|parts| Failure {
                parts: parts.clone(),
                ..Failure::default()
            })
            .collect();
        for (&part, alarms) in &self.localiser.by_part {
            let Some(failure) = owners.of(part).and_then(|owner| failures.get_mut(owner)) else {
                continue;
            };
            if owners.failed.contains_key(&part) {
                failure.own.extend(alarms);
            }
            let is_evidence = |no: &AlarmNo| self.localiser.seen[no.0 as usize].is_evidence;
            failure
                .alarms
                .extend(alarms.iter().copied().filter(is_evidence));
        }
        failures
    }
}

/// Which failure explains an alarm at a part.
struct Owners<'a> {
    search: &'a Search<'a>,
    cut: &'a CutOff,
    failed: HashMap<Part, usize>,
    /// Elements right behind a failed link.
    behind: HashMap<ElementNo, usize>,
    known: HashMap<ElementNo, Option<usize>>,
}

impl<'a> Owners<'a> {
    fn new(search: &'a Search<'a>, sets: &[Vec<Part>], cut: &'a CutOff) -> Self {
        let mut owners = Self {
            search,
            cut,
            failed: HashMap::new(),
            behind: HashMap::new(),
            known: HashMap::new(),
        };
        for (no, set) in sets.iter().enumerate() {
            for &part in set {
                owners.failed.entry(part).or_insert(no);
                if let Part::Group(group) = part {
                    for &member in search.network.group_members(group) {
                        owners.failed.entry(member).or_insert(no);
                    }
                }
                for (a, b) in search.links_of(part) {
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

    fn of(&mut self, part: Part) -> Option<usize> {
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
        if let Some(owner) = self.known.get(&element) {
            return *owner;
        }
        self.known.insert(element, None);
        let owner = match sole_parent(self.search.network, element) {
            _ if self.ends_at(element).is_some() => self.ends_at(element),
            _ if !self.cut.is_cut_off(element) => None,
            Some(parent) => self.of_element(parent),
            None => self.nearest_above(element),
        };
        self.known.insert(element, owner);
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

fn step(counts: &mut BTreeMap<Part, u32>, key: Part, up: bool) {
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

fn step_hashed(counts: &mut HashMap<ElementNo, u32>, key: ElementNo, up: bool) {
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
fn sole_parent(network: &Network, element: ElementNo) -> Option<ElementNo> {
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

/// Whether each of the one is in the other.
pub(super) fn is_within(small: &SubscriberSet, large: &SubscriberSet) -> bool {
    small.difference(large).is_empty()
}
