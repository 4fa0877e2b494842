//! Localisation: from loss alarms to the failures highest up that explain them.
//!
//! - The answer follows from the set of alarms and the network, not from the order of arrival.
//! - Candidates are the parts with a loss alarm of their own, and the elements and shared-risk groups
//!   that the likelihood holds to have failed. Failures are the candidates that the others do not cut
//!   off.
//! - A single premise is no candidate by itself, but counts for the element above it.
//! - Each alarm at a part that is cut off belongs to exactly one failure.

mod owners;
mod power;

use super::apart::{keep_apart, keep_from_work};
use super::candidates::{Candidates, NumberMap};
use super::declared::Declared;
use super::joint::{explains_its_links, is_plausible, join_links, join_siblings, join_whole};
use super::likelihood::{WINDOW_MS, is_polled};
use super::outward::push_out;
use super::power_area::by_id;
use super::reasoning::reasoning;
use super::ring::find_ends;
use super::shared_risk::top_of_class;
use super::surrounded::Neighbourhoods;
use super::wall::Wall;
use crate::alarm::{AlarmBook, AlarmNo};
use crate::geography::NetworkMap;
use crate::topology::{CutOff, ElementNo, GroupNo, LinkNo, Network, Part, SubscriberSet};
use owners::Owners;
pub(super) use power::PowerCut;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Parts that failed, and the loss alarms that they explain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failure {
    /// Sorted by id; several when they cut people off only together.
    pub(super) parts: Vec<Part>,
    /// Alarms that count as evidence.
    pub(super) alarms: Vec<AlarmNo>,
    /// Alarms of the failed parts themselves, also those that ended lately.
    pub(super) own: Vec<AlarmNo>,
    /// Some of these alarms changed since the localisation before.
    pub(super) is_fresh: bool,
    /// One of the parts had said that it lived on a battery.
    pub(super) ran_on_battery: bool,
    pub(super) power_cut: Option<PowerCut>,
    /// Why these parts, and what else it might have been; in words.
    pub(super) reasoning: String,
}

/// The failures behind the present alarms, in the order of their parts' ids. The sets of parts in
/// `apart` fail apart from all others, and so does what planned work has left behind. A map without
/// anybody on it is one that is not known; what was read from it is kept for the next time.
pub(super) fn localise(
    candidates: &Candidates,
    (network, map): (&Network, &NetworkMap),
    book: &AlarmBook,
    (apart, declared): (&[Vec<Part>], &Declared),
    neighbourhoods: &mut Neighbourhoods,
) -> Vec<Failure> {
    let mut search = Search {
        all: candidates,
        network,
        map,
        neighbourhoods,
        book,
        candidates: candidates.upper(network),
        symptoms: BTreeMap::new(),
    };
    search.take_groups();
    search.drop_symptoms();
    let areas = search.take_power_areas();
    let (mut sets, cut) = search.independent_sets();
    sets = keep_from_work(sets, declared, candidates, network, book);
    let of_areas = areas.iter().map(|area| by_id(area.homes.clone(), network));
    sets.extend(of_areas);
    sets = keep_apart(sets, apart, network);
    sets.sort_unstable_by_key(|set| set.first().map(|&part| network.part_id(part)));
    let power_cuts = search.power_cuts(&sets, &areas);
    let mut failures = search.assign(&(sets, cut));
    for (failure, power_cut) in failures.iter_mut().zip(power_cuts) {
        failure.power_cut = power_cut;
        search.spare_batteries(&mut failure.parts);
    }
    failures
}

/// One run of the localisation.
struct Search<'a> {
    all: &'a Candidates,
    network: &'a Network,
    map: &'a NetworkMap,
    neighbourhoods: &'a mut Neighbourhoods,
    book: &'a AlarmBook,
    candidates: BTreeSet<Part>,
    /// Candidates that are explained from beside or below, and by what.
    symptoms: BTreeMap<Part, Part>,
}

impl Search<'_> {
    /// Puts a group in the place of its members, those that explain most first.
    fn take_groups(&mut self) {
        let mut groups = self.all.failed_groups(self.network);
        if groups.is_empty() {
            return;
        }
        let links = self.links_by_end();
        groups.retain(|&group| {
            !self.is_fed_in_part(group)
                && !self.lacks_power_behind(group)
                && !self.is_of_device(group, &links)
        });
        if groups.is_empty() {
            return;
        }
        let by_rank = self.elements_by_rank();
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
                    self.put_group(group, &by_rank);
                }
            }
        }
        for member in taken.into_keys() {
            self.candidates.remove(&member);
        }
    }

    /// Whether the failure of a device explains all that speaks for a group, and alarms of more of its
    /// links.
    fn is_of_device(&self, group: GroupNo, links: &BTreeMap<ElementNo, Vec<Part>>) -> bool {
        let network = self.network;
        if self.all.has_alarm(Part::Group(group)) {
            return false;
        }
        let members = network.group_members(group);
        let alarmed = members.iter().filter_map(|&member| match member {
            Part::Link(link) if self.all.has_alarm(member) => Some(network.link_ends(link)),
            _ => None,
        });
        let devices: BTreeSet<ElementNo> = alarmed
            .flat_map(|(a, b)| [a, b])
            .filter(|&end| is_polled(network.kind(end)) && !network.is_gateway(end))
            .collect();
        devices.into_iter().any(|device| {
            let links = links.get(&device).map_or(&[][..], Vec::as_slice);
            let takes = |element: ElementNo| network.dominates(device, element);
            let is_explained = |&member: &Part| match member {
                Part::Link(link) => {
                    let (a, b) = network.link_ends(link);
                    let failed = self.all.failed();
                    let speaks = self.all.has_alarm(member)
                        || [b, top_of_class(b, network)]
                            .iter()
                            .any(|e| failed.contains_key(e));
                    !speaks || a == device || b == device || takes(b)
                }
                Part::Element(element) => !self.candidates.contains(&member) || takes(element),
                Part::Group(_) => false,
            };
            links.iter().any(|link| !members.contains(link))
                && members.iter().all(is_explained)
                && (self.explains_links(device, links) || self.are_all_down(device, links))
        })
    }

    /// Whether a device has no link left, so that it has no service whatever failed, and all were lost at one
    /// time.
    fn are_all_down(&self, device: ElementNo, links: &[Part]) -> bool {
        let network = self.network;
        let beside = network.parents(device).chain(network.children(device));
        let beside: BTreeSet<ElementNo> = beside.filter(|&e| is_polled(network.kind(e))).collect();
        let far_ends = links
            .iter()
            .filter_map(|&link| self.other_end(link, device));
        let far_ends: BTreeSet<ElementNo> = far_ends.collect();
        let raised = links
            .iter()
            .filter_map(|&link| self.all.raised_ms(link, self.book));
        let spread = raised.clone().max().zip(raised.min());
        let at_one_time = spread.is_some_and(|(last, first)| last - first <= WINDOW_MS);
        at_one_time && beside.len() > 2 && beside.is_subset(&far_ends)
    }

    /// The candidates among the elements that take somebody with them, by the first whom they take.
    fn elements_by_rank(&self) -> Vec<(u32, Part)> {
        let elements = self.candidates.iter().filter_map(|&part| {
            let Part::Element(_) = part else { return None };
            let runs = self.network.lost_alone_runs(part);
            let (first, _) = runs.as_slice().first()?;
            Some((*first, part))
        });
        let mut by_rank: Vec<(u32, Part)> = elements.collect();
        by_rank.sort_unstable();
        by_rank
    }

    /// Elements above that were only inferred, or that only miss the signal, are explained by the
    /// group if it takes all their subscribers.
    fn put_group(&mut self, group: Part, by_rank: &[(u32, Part)]) {
        let lost = self.network.lost_alone(group);
        let within = lost.runs().iter().flat_map(|&(start, end)| {
            let from = by_rank.partition_point(|(first, _)| *first < start);
            let after = by_rank[from..].iter();
            after.take_while(move |(first, _)| *first < end)
        });
        let explained: Vec<Part> = within
            .map(|(_, part)| *part)
            .filter(|part| self.candidates.contains(part))
            .filter(|&part| is_within(&self.network.lost_alone(part), &lost))
            .filter(|&part| !self.all.has_own_fault(self.book, part))
            .collect();
        for part in explained {
            self.candidates.remove(&part);
            self.symptoms.insert(part, group);
        }
        self.candidates.insert(group);
    }

    /// A link that is down because the element at its end failed is no failure of its own: when the
    /// element says so, when all its ways in, two or more, are down, when it is down itself although
    /// what is known of links does not cut it off, or when its failure explains its links and what
    /// hangs on it better than failures of these.
    fn drop_symptoms(&mut self) {
        let others = self.candidates.iter().copied();
        let no_elements: Vec<Part> = others.filter(|p| !matches!(p, Part::Element(_))).collect();
        let by_links = self.network.cut_off(&no_elements);
        let mut by_end: Vec<(ElementNo, Vec<Part>)> = self.links_by_end().into_iter().collect();
        by_end.sort_unstable_by_key(|(e, links)| {
            let id = self.network.part_id(Part::Element(*e));
            (std::cmp::Reverse(links.len()), id)
        });
        for (element, mut links) in by_end {
            let part = Part::Element(element);
            links.retain(|link| !self.symptoms.contains_key(link));
            let ways_in = self.network.parents(element).count();
            let all_down = links.len() >= 2
                && ways_in >= 2
                && links.iter().filter(|&&l| self.leads_to(l, element)).count() == ways_in;
            let says_so =
                self.candidates.contains(&part) && self.all.has_own_fault(self.book, part);
            let is_dead = self.candidates.contains(&part) && !by_links.is_cut_off(element);
            if all_down || says_so || is_dead || self.explains_links(element, &links) {
                self.candidates.insert(part);
                for link in links {
                    self.candidates.remove(&link);
                    self.symptoms.insert(link, part);
                }
            }
        }
    }

    /// Whether the failure of an element explains alarms of links that end at it.
    fn explains_links(&self, element: ElementNo, links: &[Part]) -> bool {
        let (all, book, network) = (self.all, self.book, self.network);
        // A link whose other end says that it is dead itself tells of that; several links to one device
        // tell of either.
        let mut telling = links.to_vec();
        let mut far_ends = BTreeSet::new();
        telling.retain(|&link| {
            let far = self.other_end(link, element);
            far.is_none_or(|far| !all.has_alarm(Part::Element(far)) && far_ends.insert(far))
        });
        explains_its_links(element, &telling, all, book, network)
    }

    /// The links among the candidates, by either end.
    fn links_by_end(&self) -> BTreeMap<ElementNo, Vec<Part>> {
        let mut by_end: BTreeMap<ElementNo, Vec<Part>> = BTreeMap::new();
        for &part in &self.candidates {
            if let Part::Link(link) = part {
                let (a, b) = self.network.link_ends(link);
                by_end.entry(a).or_default().push(part);
                by_end.entry(b).or_default().push(part);
            }
        }
        by_end
    }

    /// `None` where the element is no end of the link.
    fn other_end(&self, link: Part, element: ElementNo) -> Option<ElementNo> {
        let Part::Link(no) = link else { return None };
        match self.network.link_ends(no) {
            (a, b) if a == element => Some(b),
            (a, b) if b == element => Some(a),
            _ => None,
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
        let known: HashSet<Part> = outermost.iter().copied().collect();
        let mut rest: Vec<Part> = self.candidates.iter().copied().collect();
        rest.retain(|part| !known.contains(part) && self.has_service(*part, &explained));
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
        let down: HashSet<LinkNo> = all.iter().flat_map(|&part| self.links_of(part)).collect();
        let groups = all.iter().filter(|part| matches!(part, Part::Group(_)));
        let mut with_group: NumberMap<ElementNo, usize> = NumberMap::default();
        for element in groups.flat_map(|&group| self.elements_of(group)) {
            *with_group.entry(element).or_default() += 1;
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
                    let is_down = |link| down.contains(&link);
                    !with_group.contains_key(&element)
                        && self.network.has_way_in(element, &cut, is_down)
                }
                Part::Group(_) => {
                    // Right behind something that works, and failed by nothing else: most are.
                    let mut members = self.elements_of(part).into_iter();
                    let is_beside = members.any(|element| {
                        with_group.get(&element) == Some(&1)
                            && !self.candidates.contains(&Part::Element(element))
                            && self
                                .network
                                .has_way_in(element, &cut, |link| down.contains(&link))
                    });
                    is_beside || self.stands_without(&all, part)
                }
            })
            .collect();
        (touching, cut)
    }

    fn links_of(&self, part: Part) -> Vec<LinkNo> {
        match part {
            Part::Element(_) => Vec::new(),
            Part::Link(link) => vec![link],
            Part::Group(group) => {
                let members = self.network.group_members(group).iter();
                members.flat_map(|&member| self.links_of(member)).collect()
            }
        }
    }

    fn elements_of(&self, part: Part) -> Vec<ElementNo> {
        match part {
            Part::Element(element) => vec![element],
            Part::Link(_) => Vec::new(),
            Part::Group(group) => {
                let members = self.network.group_members(group).iter();
                members
                    .flat_map(|&member| self.elements_of(member))
                    .collect()
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

    /// The outermost candidates, joined where only several together cut somebody off, or where they
    /// are siblings that failed at one time.
    fn independent_sets(&self) -> (Vec<Vec<Part>>, CutOff) {
        let (outermost, cut) = self.outermost();
        let mut sets: Vec<Vec<Part>> = outermost.iter().map(|&part| vec![part]).collect();
        self.join_needed(&outermost, &mut sets);
        let (sets, cut) = self.with_silent_ends(sets, cut);
        let sets = join_links(sets, self.all, self.network, self.book);
        let sets = join_siblings(sets, self.all, self.network, self.book);
        let before = sets.len();
        let mut sets = join_whole(sets, self.all, self.network, self.book);
        sets.sort_unstable_by_key(|set| set.first().map(|&part| self.network.part_id(part)));
        if sets.len() == before {
            return (sets, cut);
        }
        // What was joined lies above its parts.
        let mut parts: Vec<Part> = self.candidates.iter().copied().collect();
        parts.extend(sets.iter().flatten());
        (sets, self.network.cut_off(&parts))
    }

    /// Joins those of the parts that only together cut somebody off.
    fn join_needed(&self, parts: &[Part], sets: &mut Vec<Vec<Part>>) {
        let all = self.network.lost(parts);
        let alone = parts.iter().flat_map(|&part| {
            let runs = self.network.lost_alone_runs(part);
            runs.as_slice().to_vec()
        });
        let mut explained = SubscriberSet::from_runs(alone.collect());
        let wall = Wall::of(parts, self.network);
        while let Some(rank) = all.difference(&explained).iter().next() {
            let needed = self.needed_for(rank, &[], &wall.around(rank, self.network));
            if !is_plausible(&needed, self.all, self.network, self.book) {
                explained = explained.union(&self.network.lost(&needed));
                let hidden = self.hidden_by(&needed);
                let is_new = |part: &&Part| !sets.iter().any(|set| set.contains(part));
                let new: Vec<Part> = hidden.iter().filter(is_new).copied().collect();
                // Each time there are more parts in the sets, so that this ends.
                if !new.is_empty() {
                    sets.extend(new.into_iter().map(|part| vec![part]));
                    self.join_needed(&hidden, sets);
                }
                continue;
            }
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
    }

    /// The outermost of the candidates that these parts would cut off together, and none of them alone.
    fn hidden_by(&self, parts: &[Part]) -> Vec<Part> {
        let together = self.network.cut_off(parts);
        let alone: Vec<CutOff> = parts.iter().map(|&p| self.network.cut_off(&[p])).collect();
        let mut hidden: Vec<Part> = self.candidates.iter().copied().collect();
        hidden.retain(|part| {
            let is_behind = !parts.contains(part) && self.is_taken(*part, &together);
            is_behind && !alone.iter().any(|cut| self.is_taken(*part, cut))
        });
        let cut = self.network.cut_off(&hidden);
        let down: HashSet<LinkNo> = hidden.iter().flat_map(|&p| self.links_of(p)).collect();
        let is_outermost = |&part: &Part| match part {
            Part::Element(element) => {
                let is_down = |link| down.contains(&link);
                self.network.has_way_in(element, &cut, is_down)
            }
            Part::Link(_) | Part::Group(_) => self.stands_without(&hidden, part),
        };
        hidden.iter().copied().filter(is_outermost).collect()
    }

    /// Whether a part, or all of it, has no service.
    fn is_taken(&self, part: Part, cut: &CutOff) -> bool {
        match part {
            Part::Group(group) => {
                let mut members = self.network.group_members(group).iter();
                members.all(|&member| self.is_taken(member, cut))
            }
            part => cut.takes(part, self.network),
        }
    }

    /// Failures of several parts with the ends of their regions where they fit best, and the other
    /// failures that are not within those.
    fn with_silent_ends(&self, sets: Vec<Vec<Part>>, cut: CutOff) -> (Vec<Vec<Part>>, CutOff) {
        let before: Vec<_> = sets.iter().filter(|s| s.len() > 1).cloned().collect();
        let sets = find_ends(sets, self.all, self.network, self.book);
        let (mut joint, single): (Vec<_>, Vec<_>) = sets.into_iter().partition(|s| s.len() > 1);
        for set in &mut joint {
            *set = push_out(std::mem::take(set), self.all, self.network, self.book);
        }
        if joint == before {
            joint.extend(single);
            return (joint, cut);
        }
        let moved: Vec<Part> = joint.iter().flatten().copied().collect();
        let cut_by_moved = self.network.cut_off(&moved);
        let stands = |set: &Vec<Part>| set.iter().any(|&p| self.has_service(p, &cut_by_moved));
        joint.extend(single.into_iter().filter(stands));
        let all: Vec<Part> = self.candidates.iter().copied().chain(moved).collect();
        (joint, self.network.cut_off(&all))
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
                ran_on_battery: self
                    .all
                    .ran_on_battery(parts, self.network, self.book)
                    .is_some(),
                reasoning: reasoning(parts, self.all, self.network, self.book),
                ..Failure::default()
            })
            .collect();
        for (no, seen) in self.all.seen() {
            let Some(part) = seen.part else { continue };
            let Some(failure) = owners.of(part).and_then(|owner| failures.get_mut(owner)) else {
                continue;
            };
            failure.is_fresh |= seen.is_fresh;
            if seen.is_evidence {
                failure.alarms.push(no);
            }
            if owners.failed.contains_key(&part) {
                failure.own.push(no);
            }
        }
        failures
    }
}

/// Whether each of the one is in the other.
pub(super) fn is_within(small: &SubscriberSet, large: &SubscriberSet) -> bool {
    small.difference(large).is_empty()
}
