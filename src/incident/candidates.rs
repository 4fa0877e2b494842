//! Loss alarms by place, and what they imply further up: the candidates of the localisation.
//!
//! - What is kept follows from the set of alarms, not from the order in which they came.
//! - An alarm costs work along its way up the tree, as far as something changes there.

mod outlived;

use super::CorrelatorSettings;
use super::batteries::Batteries;
use super::likelihood::{
    Aspect, GASP_BELIEVED_MS, Likelihood, Nats, Observation, Verdict, WINDOW_MS, ended_ms, is_home,
    is_reporter, observe,
};
pub(super) use super::number_map::NumberMap;
use super::shared_risk::{GroupGain, group_gain};
use crate::alarm::{AlarmBook, AlarmNo, AlarmState, ServiceEffect, is_own_fault};
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, GroupNo, LinkNo, Network, Part, SubscriberSet};
use outlived::Outlived;
use std::collections::{BTreeMap, BTreeSet};

/// Loss alarms by place, and what they imply further up.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// By place in the book.
    seen: Vec<Seen>,
    /// Places that were updated since [`Self::start_anew`].
    fresh: Vec<AlarmNo>,
    /// Parts with evidence of their own that are no single premise.
    alarmed: BTreeSet<Part>,
    /// Their alarms that count as evidence.
    alarms_of: NumberMap<Part, Vec<AlarmNo>>,
    /// Loss alarms, active or ended lately, and what they say together.
    seats: NumberMap<Seat, Seated>,
    /// Seats whose alarms changed since the last time they were weighed.
    changed: Vec<Seat>,
    likelihood: Likelihood,
    /// Elements that are held to have failed, and why.
    failed: BTreeMap<ElementNo, Verdict>,
    /// Groups in whose place the likelihood puts a single failure, by how much they explain.
    failed_groups: BTreeMap<GroupNo, GroupGain>,
    groups_of: NumberMap<Part, Vec<GroupNo>>,
    /// Homes that said that they have no power, and when.
    without_power: BTreeMap<ElementNo, Millis>,
    /// The same homes, by when they were first heard of.
    gasps: BTreeSet<(Millis, Seat)>,
    /// Per group: how many of them are in it.
    group_without_power: BTreeMap<GroupNo, u32>,
    /// By what homes hang on: how many of them said themselves that they have no power.
    gasped: NumberMap<ElementNo, u32>,
    /// By what reports for them: places that are back, and since when.
    back: NumberMap<ElementNo, BTreeMap<Seat, Millis>>,
    unmapped: BTreeSet<AlarmNo>,
    /// Subscribers behind equipment that can say that it has no power.
    heard_of: SubscriberSet,
    batteries: Batteries,
    outlived: Outlived,
}

/// Where an alarm speaks of the service of an element.
type Seat = (ElementNo, Aspect);

#[derive(Debug, Default)]
struct Seated {
    alarms: Vec<AlarmNo>,
    /// What its own alarms say.
    said: Observation,
    /// The same in the light of its neighbours.
    observation: Observation,
    is_changed: bool,
}

/// What has been taken over of an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Where a loss alarm is, active or ended lately.
    pub(super) part: Option<Part>,
    pub(super) is_evidence: bool,
    pub(super) is_fresh: bool,
}

fn alarms_of<'a>(
    numbers: &'a [AlarmNo],
    book: &'a AlarmBook,
) -> impl Iterator<Item = &'a AlarmState> {
    numbers.iter().filter_map(|no| book.get(*no))
}

/// What reports for an element: itself, or the nearest above it.
pub(super) fn reporter_of(element: ElementNo, network: &Network) -> Option<ElementNo> {
    let above = |&element: &ElementNo| network.immediate_dominator(element);
    let mut line = std::iter::successors(Some(element), above);
    line.find(|&element| is_reporter(network.kind(element)))
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
        let elements = (0..).map(ElementNo).take(network.element_count());
        let homes = elements.filter(|&element| is_home(network, element));
        let runs = homes.flat_map(|home| {
            let runs = network.lost_alone_runs(Part::Element(home));
            runs.as_slice().to_vec()
        });
        Self {
            heard_of: SubscriberSet::from_runs(runs.collect()),
            groups_of,
            likelihood: Likelihood::new(network),
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
        // An incident may wait for the end of what has no place any more.
        let unmapped_changed = if part.is_none() && alarm.is_some_and(AlarmState::is_active) {
            self.unmapped.insert(no)
        } else {
            !self.unmapped.is_empty() && self.unmapped.remove(&no)
        };
        let is_loss = alarm.is_some_and(|a| a.effect() == ServiceEffect::Loss);
        let battery_changed = self.batteries.note(no, alarm, part, network);
        let is_believed = |part| !self.is_outlived(part, network);
        let new = Seen {
            part: part.filter(|_| is_loss),
            is_evidence: is_loss
                && alarm.is_some_and(AlarmState::is_evidence)
                && part.is_some_and(is_believed),
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
        if old.part != new.part {
            self.move_seat(no, old.part, false, network);
            self.move_seat(no, new.part, true, network);
        } else if let Some(seat) = new.part.and_then(|part| seat_of(network, part)) {
            self.mark(seat);
        }
        let evident = |seen: Seen| seen.part.filter(|_| seen.is_evidence);
        if evident(old) != evident(new) {
            for (part, up) in [(evident(old), false), (evident(new), true)] {
                if let Some(part) = part {
                    self.count(no, part, up, network, settings);
                }
            }
        }
        self.note_link(no, (old.part, new.part), alarm, network);
        battery_changed || unmapped_changed || old.part.is_some() || new.part.is_some()
    }

    /// Who lives on a battery.
    pub(super) fn batteries(&self) -> &Batteries {
        &self.batteries
    }

    /// Where a loss alarm is.
    pub(super) fn part_of(&self, no: AlarmNo) -> Option<Part> {
        self.seen.get(no.0 as usize)?.part
    }

    /// The first of the devices that failed, or were cut off by a failed link, and had said before that
    /// they live on a battery.
    pub(super) fn ran_on_battery(
        &self,
        parts: &[Part],
        network: &Network,
        book: &AlarmBook,
    ) -> Option<ElementNo> {
        let mut devices = parts.iter().filter_map(|&part| match part {
            Part::Element(element) => Some((part, element)),
            Part::Link(link) => {
                let below = network.link_ends(link).1;
                sole_parent(network, below).map(|_| (part, below))
            }
            Part::Group(_) => None,
        });
        let had_said = |(part, device): (Part, ElementNo)| {
            let mut said = self.batteries.since_ms(device);
            said.any(|since_ms| self.failed_after(since_ms, part, book))
                .then_some(device)
        };
        devices.find_map(had_said)
    }

    /// Whether the latest alarm of a part, if it has any, is not from before an instant. What is
    /// older was never taken back: a device that says something afterwards is not dead.
    pub(super) fn failed_after(&self, at_ms: Millis, part: Part, book: &AlarmBook) -> bool {
        let alarms = self.alarms_of.get(&part).into_iter().flatten();
        let raised = alarms.filter_map(|no| book.get(*no).map(AlarmState::raised_ms));
        // Clocks differ by minutes.
        raised
            .max()
            .is_none_or(|latest_ms| at_ms <= latest_ms + WINDOW_MS)
    }

    fn move_seat(&mut self, no: AlarmNo, part: Option<Part>, up: bool, network: &Network) {
        let Some(seat) = part.and_then(|part| seat_of(network, part)) else {
            return;
        };
        let alarms = &mut self.seats.entry(seat).or_default().alarms;
        if up {
            alarms.push(no);
        } else {
            alarms.retain(|other| *other != no);
        }
        self.mark(seat);
    }

    fn mark(&mut self, seat: Seat) {
        let seated = self.seats.entry(seat).or_default();
        if !std::mem::replace(&mut seated.is_changed, true) {
            self.changed.push(seat);
        }
    }

    fn count(
        &mut self,
        no: AlarmNo,
        part: Part,
        up: bool,
        network: &Network,
        settings: &CorrelatorSettings,
    ) {
        if settings.single_premise_incidents || !is_premise(network, part) {
            self.count_at(no, part, up);
        }
    }

    fn count_at(&mut self, no: AlarmNo, part: Part, up: bool) {
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

    /// Weighs what has changed: which failures explain the alarms best.
    pub(super) fn weigh(&mut self, book: &AlarmBook, network: &Network) {
        let gasps_from_ms = book.watermark_ms().saturating_sub(GASP_BELIEVED_MS);
        self.mark_spent_gasps(gasps_from_ms);
        let mut streets: BTreeSet<ElementNo> = BTreeSet::new();
        let mut reporters: BTreeSet<ElementNo> = BTreeSet::new();
        let mut in_doubt = self.outlived.take_in_doubt();
        for seat in std::mem::take(&mut self.changed) {
            let Some(seated) = self.seats.get_mut(&seat) else {
                continue;
            };
            seated.is_changed = false;
            let new = observe(alarms_of(&seated.alarms, book), gasps_from_ms);
            if let Observation::NoPower(_) = new {
                let alarms = alarms_of(&seated.alarms, book);
                let received = alarms.map(AlarmState::active_received_ms).min();
                self.gasps.extend(received.map(|at_ms| (at_ms, seat)));
            }
            let back_ms = match new {
                Observation::Alive(_) => ended_ms(alarms_of(&seated.alarms, book)),
                _ => None,
            };
            let old = std::mem::replace(&mut seated.said, new);
            let (element, _) = seat;
            self.doubt(seat, old, new, &mut in_doubt, network);
            if let Some(reporter) = reporter_of(element, network)
                && self.note_back(seat, reporter, back_ms)
            {
                reporters.insert(reporter);
            }
            let street = network.immediate_dominator(element);
            match street.filter(|_| is_home(network, element)) {
                Some(street) if self.count_gasp(street, old, new) => {
                    streets.insert(street);
                }
                _ => self.believe(seat, new, network),
            }
        }
        for street in streets {
            self.look_around(street, network);
        }
        for reporter in reporters {
            self.weigh_those_back(reporter, network);
        }
        for seat in in_doubt {
            self.judge_outlived(seat, book, network);
        }
        self.likelihood.weigh(network);
        self.failed = self.likelihood.failed(network);
        self.failed_groups = self.weigh_groups(network);
    }

    /// Takes note of whether a place is back; whether any is of those that the same element reports
    /// for.
    fn note_back(&mut self, seat: Seat, reporter: ElementNo, back_ms: Option<Millis>) -> bool {
        if let Some(back_ms) = back_ms {
            let back = self.back.entry(reporter).or_default();
            back.insert(seat, back_ms);
            return true;
        }
        let Some(back) = self.back.get_mut(&reporter) else {
            return false;
        };
        back.remove(&seat);
        if back.is_empty() {
            self.back.remove(&reporter);
        }
        true
    }

    /// What is back speaks against what began before that, and says nothing of what began later: where
    /// most homes around went dark after it was back, it is like one of which nothing is heard.
    fn weigh_those_back(&mut self, reporter: ElementNo, network: &Network) {
        let Some(back) = self.back.get(&reporter) else {
            return;
        };
        let mut dark: Vec<Millis> = Vec::new();
        let mut below = vec![reporter];
        while let Some(element) = below.pop() {
            below.extend(network.dominator_children(element));
            let seated = self.seats.get(&(element, Aspect::Own));
            if let Some(seated) = seated.filter(|_| is_home(network, element))
                && let Observation::Alarmed(at_ms) | Observation::NoPower(at_ms) = seated.said
            {
                dark.push(at_ms);
            }
        }
        dark.sort_unstable();
        let until = |at_ms: Millis| dark.partition_point(|&dark_ms| dark_ms <= at_ms);
        let weighed = back.iter().filter_map(|(seat, &back_ms)| {
            let said = self.seats.get(seat)?.said;
            let first = until(said.at_ms()? - 2 * WINDOW_MS);
            let before = until(back_ms);
            let later = until(back_ms + 2 * WINDOW_MS) - before;
            let is_of_before = later > before.saturating_sub(first);
            let new = if is_of_before {
                Observation::Silent
            } else {
                said
            };
            Some((*seat, new))
        });
        for (seat, observation) in weighed.collect::<Vec<_>>() {
            self.believe(seat, observation, network);
        }
    }

    /// Counts a home that says that it has no power; whether one that hangs where it does says so, or
    /// did until now.
    fn count_gasp(&mut self, street: ElementNo, old: Observation, new: Observation) -> bool {
        let gasped = |observation| matches!(observation, Observation::NoPower(_));
        if !gasped(old) && !gasped(new) {
            return self.gasped.contains_key(&street);
        }
        let count = self.gasped.entry(street).or_default();
        *count += u32::from(gasped(new));
        *count -= u32::from(gasped(old));
        if *count == 0 {
            self.gasped.remove(&street);
        }
        true
    }

    /// Judges the homes that hang on one element by what the others there say: a home that falls
    /// silent while its neighbours say that they lose power has lost it, too.
    fn look_around(&mut self, street: ElementNo, network: &Network) {
        let homes = network.dominator_children(street);
        let seats: Vec<Seat> = homes
            .filter(|&home| is_home(network, home))
            .map(|home| (home, Aspect::Own))
            .filter(|seat| self.seats.contains_key(seat))
            .collect();
        let said: Vec<Observation> = seats
            .iter()
            .filter_map(|seat| self.seats.get(seat))
            .map(|seated| seated.said)
            .collect();
        for (seat, observation) in seats.into_iter().zip(&said) {
            self.believe(seat, observation.among(&said), network);
        }
    }

    /// Takes over what is seen at a seat.
    fn believe(&mut self, seat: Seat, new: Observation, network: &Network) {
        let Some(seated) = self.seats.get_mut(&seat) else {
            return;
        };
        let old = std::mem::replace(&mut seated.observation, new);
        if seated.alarms.is_empty() {
            self.seats.remove(&seat);
        }
        let (element, aspect) = seat;
        self.likelihood
            .observe(element, aspect, (old, new), network);
        if is_home(network, element) {
            self.count_power(element, old, false);
            self.count_power(element, new, true);
        }
    }

    /// Looks again at the homes whose gasps came before an instant.
    fn mark_spent_gasps(&mut self, before_ms: Millis) {
        while let Some(&(at_ms, seat)) = self.gasps.first()
            && at_ms < before_ms
        {
            self.gasps.pop_first();
            if self.seats.contains_key(&seat) {
                self.mark(seat);
            }
        }
    }

    /// Whether there is a gasp that is believed no longer.
    pub(super) fn has_spent_gasps(&self, watermark_ms: Millis) -> bool {
        let first = self.gasps.first();
        first.is_some_and(|(at_ms, _)| *at_ms < watermark_ms.saturating_sub(GASP_BELIEVED_MS))
    }

    fn count_power(&mut self, element: ElementNo, observation: Observation, up: bool) {
        let Observation::NoPower(at_ms) = observation else {
            return;
        };
        if up {
            self.without_power.insert(element, at_ms);
        } else {
            self.without_power.remove(&element);
        }
        let groups = self.groups_of.get(&Part::Element(element));
        for group in groups.into_iter().flatten() {
            let count = self.group_without_power.entry(*group).or_default();
            *count = if up {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            if *count == 0 {
                self.group_without_power.remove(group);
            }
        }
    }

    /// Homes that said that they have no power, and when.
    pub(super) fn without_power(&self) -> &BTreeMap<ElementNo, Millis> {
        &self.without_power
    }

    /// The groups whose failure explains more than the failures of their members one by one.
    fn weigh_groups(&self, network: &Network) -> BTreeMap<GroupNo, GroupGain> {
        let enough = self
            .group_without_power
            .iter()
            .filter(|(_, count)| **count >= 2);
        let mut groups: BTreeSet<GroupNo> = enough.map(|(group, _)| *group).collect();
        groups.extend(self.groups(network));
        let weigh = |group: GroupNo| Some((group, group_gain(group, self, network)?));
        groups.into_iter().filter_map(weigh).collect()
    }

    /// Whether a part is a candidate: it has an alarm of its own, or is held to have failed.
    pub(super) fn contains(&self, part: Part) -> bool {
        self.alarmed.contains(&part)
            || matches!(part, Part::Element(element) if self.failed.contains_key(&element))
    }

    /// The candidates, without those that another one dominates.
    pub(super) fn upper(&self, network: &Network) -> BTreeSet<Part> {
        let is_explained = |element: ElementNo| {
            let above = |&element: &ElementNo| network.immediate_dominator(element);
            let mut line = std::iter::successors(above(&element), above);
            line.any(|above| self.contains(Part::Element(above)))
        };
        let alarmed = self.alarmed.iter().copied().filter(|part| match part {
            Part::Element(element) => !is_explained(*element),
            Part::Link(link) => {
                let below = network.link_ends(*link).1;
                sole_parent(network, below).is_none() || !is_explained(below)
            }
            Part::Group(_) => true,
        });
        let failed = self.failed.keys().copied();
        let failed = failed.filter(|&element| !is_explained(element));
        alarmed.chain(failed.map(Part::Element)).collect()
    }

    /// The groups with a candidate in them, or at the far end of a link in them.
    fn groups(&self, network: &Network) -> BTreeSet<GroupNo> {
        let failed = self.failed.keys().flat_map(|&e| class_of(e, network));
        let failed = failed.map(Part::Element);
        let mut groups = BTreeSet::new();
        for part in self.alarmed.iter().copied().chain(failed) {
            groups.extend(self.groups_of.get(&part).into_iter().flatten());
            if let Part::Group(group) = part {
                groups.insert(group);
            }
        }
        groups
    }

    /// The groups that are held to have failed, those that explain most first.
    pub(super) fn failed_groups(&self, network: &Network) -> Vec<GroupNo> {
        let alarmed = self.alarmed.iter().filter_map(|part| match part {
            Part::Group(group) => Some((*group, Nats::MAX)),
            _ => None,
        });
        let known = self
            .failed_groups
            .iter()
            .map(|(group, gain)| (*group, gain.gain));
        let all: BTreeMap<GroupNo, Nats> = known.chain(alarmed).collect();
        let mut groups: Vec<(GroupNo, Nats)> = all.into_iter().collect();
        groups.sort_unstable_by_key(|&(group, gain)| {
            (std::cmp::Reverse(gain), network.part_id(Part::Group(group)))
        });
        groups.into_iter().map(|(group, _)| group).collect()
    }

    /// When the earliest alarm of a part was raised that counts as evidence.
    pub(super) fn raised_ms(&self, part: Part, book: &AlarmBook) -> Option<Millis> {
        let alarms = self.alarms_of.get(&part)?.iter();
        let alarms = alarms.filter_map(|no| book.get(*no));
        alarms.map(AlarmState::raised_ms).min()
    }

    /// The links with an alarm of their own.
    pub(super) fn alarmed_links(&self) -> impl Iterator<Item = LinkNo> + '_ {
        self.alarmed.iter().filter_map(|part| match part {
            Part::Link(link) => Some(*link),
            _ => None,
        })
    }

    /// Whether a part has an alarm of its own that counts as evidence.
    pub(super) fn has_alarm(&self, part: Part) -> bool {
        self.alarmed.contains(&part)
    }

    /// How many alarms of its own a part has that count as evidence.
    pub(super) fn alarms_at(&self, part: Part) -> u64 {
        self.alarms_of
            .get(&part)
            .map_or(0, |alarms| alarms.len() as u64)
    }

    /// Whether an alarm at a part tells of its own hardware.
    pub(super) fn has_own_fault(&self, book: &AlarmBook, part: Part) -> bool {
        self.alarms_of.get(&part).is_some_and(|alarms| {
            let mut alarms = alarms.iter().filter_map(|no| book.get(*no));
            alarms.any(|alarm| is_own_fault(&alarm.key().alarm_type))
        })
    }
}

/// Where an alarm at a part tells of the service of an element: at the element itself, or on the only
/// link into it. The drop of a home tells what the home tells.
fn seat_of(network: &Network, part: Part) -> Option<Seat> {
    match part {
        Part::Element(element) => Some((element, Aspect::Own)),
        Part::Link(link) => {
            let below = network.link_ends(link).1;
            sole_parent(network, below)?;
            if network.parents(below).count() > 1 {
                return None;
            }
            let aspect = if is_home(network, below) {
                Aspect::Own
            } else {
                Aspect::WayIn
            };
            Some((below, aspect))
        }
        Part::Group(_) => None,
    }
}

impl Candidates {
    pub(super) fn likelihood(&self) -> &Likelihood {
        &self.likelihood
    }

    /// What is observed of an element.
    pub(super) fn observation(&self, element: ElementNo) -> Observation {
        let seated = self.seats.get(&(element, Aspect::Own));
        seated.map_or(Observation::Silent, |seated| seated.observation)
    }

    /// Since when a home is dark, if it says so.
    pub(super) fn dark_since_ms(&self, home: ElementNo) -> Option<Millis> {
        match self.observation(home) {
            Observation::Alarmed(at_ms) | Observation::NoPower(at_ms) => Some(at_ms),
            Observation::Silent | Observation::Alive(_) => None,
        }
    }

    /// What is dark, or was and is back, and since when it was; in no order.
    pub(super) fn dark_or_back(&self) -> impl Iterator<Item = (ElementNo, Millis)> + '_ {
        let own = |(&(element, aspect), seated): (&Seat, &Seated)| {
            let at_ms = seated.observation.at_ms()?;
            matches!(aspect, Aspect::Own).then_some((element, at_ms))
        };
        self.seats.iter().filter_map(own)
    }

    /// The subscribers behind equipment that can say that it has no power.
    pub(super) fn heard_of(&self) -> &SubscriberSet {
        &self.heard_of
    }

    /// How much a group explains, if it is held to have failed.
    pub(super) fn group_gain(&self, group: GroupNo) -> Option<GroupGain> {
        self.failed_groups.get(&group).copied()
    }

    /// The elements that are held to have failed, and why.
    pub(super) fn failed(&self) -> &BTreeMap<ElementNo, Verdict> {
        &self.failed
    }
}

/// An element and those below it that nobody could tell from it by who is cut off: the only thing that
/// hangs on each is the next.
fn class_of(element: ElementNo, network: &Network) -> impl Iterator<Item = ElementNo> + '_ {
    let only_child = |&element: &ElementNo| {
        let mut children = network.dominator_children(element);
        let only = children.next().filter(|_| children.next().is_none())?;
        let runs = |element| network.lost_alone_runs(Part::Element(element));
        (runs(element).as_slice() == runs(only).as_slice()).then_some(only)
    };
    std::iter::successors(Some(element), only_child)
}

/// The element on which another hangs alone, if there is one.
pub(super) fn sole_parent(network: &Network, element: ElementNo) -> Option<ElementNo> {
    let mut parents = network.parents(element);
    let first = parents.next()?;
    parents.all(|other| other == first).then_some(first)
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
