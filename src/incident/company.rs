//! Whether more than one voice says that a part of the plant has failed.
//!
//! Of alarms that a single resource raises by itself most are about nothing. What such an alarm
//! would explain must be heard of, too, and not only a sliver of it: below a whole OLT there is
//! always somebody who is dark for a reason of his own.

use super::likelihood::{WINDOW_MS, is_home};
use super::localise::Failure;
use crate::alarm::{AlarmState, SourceId, is_power, is_service_seen};
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, GroupKind, LinkNo, Network, Part, SubscriberSet};
use std::collections::{BTreeMap, BTreeSet};

/// Alarms further apart than this do not back one another, milliseconds.
pub(super) const COMPANY_MS: i64 = 15 * 60_000;
/// Two alarms of the plant by which nobody else is heard of do so only when they may have one cause.
const ONE_CAUSE_MS: i64 = 2 * WINDOW_MS;

/// One in so many of those who would be without service must be heard of besides a lone alarm of
/// the plant: less than what is heard of a true failure when most reports are lost.
const HEARD_ONE_IN: usize = 10;

/// The same where the alarm has been there for long, so that something new must speak for all of it.
const HEARD_ANEW_ONE_IN: usize = 2;

/// But so many at least, where there are so many.
const LEAST_HEARD: usize = 3;

/// Alarms of several parts, each of which takes people of its own, back one another only when they are
/// no further apart, milliseconds: what takes several at once is heard of within two polls.
const AT_ONCE_MS: i64 = 2 * 60_000;

/// Who speaks.
type Voice<'a> = (&'a str, SourceId);

/// What speaks for a failure as a whole, or for one of its parts.
#[derive(Clone, Copy)]
struct Speaker<'a> {
    voice: Voice<'a>,
    part: Part,
    is_of_all: bool,
    raised_ms: Millis,
}

impl Speaker<'_> {
    /// Whether two that speak for a failure bear each other out.
    fn backs(&self, other: &Self) -> bool {
        let is_same = self.part == other.part || self.is_of_all && other.is_of_all;
        let apart_ms = (self.raised_ms - other.raised_ms).abs();
        let is_one_cause = is_same && apart_ms <= ONE_CAUSE_MS || apart_ms <= AT_ONCE_MS;
        self.voice != other.voice && is_one_cause
    }
}

/// Whether several voices speak for a failure that takes so many subscribers, at about one time: two of
/// the failed parts themselves (at once, where each takes people of its own), or one and a fair share of
/// those behind it, or the service itself, or one and word from before that the device lives on its
/// battery. Of those behind it the part of which most are heard of does not count, since that one can
/// have failed by itself. Links at a failed device, each of which takes few people or none, speak for it
/// when it speaks, too, or when they are most of those that it has. Where nothing but parts below speak,
/// it is for the localisation to say what they make likely; two of them will do.
pub(super) fn has_company(
    failure: &Failure,
    alarms: &[(&AlarmState, Part)],
    lost: usize,
    network: &Network,
) -> bool {
    let mut known = alarms.to_vec();
    let mut parts = known.iter();
    let plant = plant_of(failure, network);
    let is_whole_known = parts.any(|&(_, part)| speaks_of_whole(part, &plant, lost, network));
    // What began together may have been joined by others much later: the latest are looked at first,
    // then those before them, which must speak for the whole themselves.
    let mut is_latest = true;
    while let Some(latest_ms) = known.iter().map(|(alarm, _)| alarm.raised_ms()).max() {
        let (at_one_time, before): (Vec<_>, Vec<_>) = known
            .into_iter()
            .partition(|(alarm, _)| alarm.raised_ms() >= latest_ms - COMPANY_MS);
        let of_whole =
            |&(_, part): &(&AlarmState, Part)| speaks_of_whole(part, &plant, lost, network);
        if (is_latest || !is_whole_known || at_one_time.iter().any(of_whole))
            && have_company(
                (failure, &plant),
                &at_one_time,
                is_whole_known,
                lost,
                network,
            )
        {
            return true;
        }
        known = before;
        is_latest = false;
    }
    false
}

/// The same, of alarms of one time. `is_whole_known`: whether anything ever spoke for the whole.
fn have_company(
    (failure, plant): (&Failure, &[Part]),
    alarms: &[(&AlarmState, Part)],
    is_whole_known: bool,
    lost: usize,
    network: &Network,
) -> bool {
    let mut speakers: Vec<Speaker<'_>> = Vec::new();
    let are_separate = are_separate(failure, lost, network);
    let mut is_own_heard = false;
    let mut links: BTreeSet<LinkNo> = BTreeSet::new();
    let mut any: Option<Voice<'_>> = None;
    let mut are_several = false;
    let mut heard = Heard::default();
    for &(alarm, part) in alarms {
        let voice = (alarm.key().resource.as_str(), alarm.source());
        if speaks_of_whole(part, plant, lost, network) {
            if is_service_seen(&alarm.key().alarm_type) {
                return true;
            }
            let link = link_at_failed(part, plant, network);
            links.extend(link);
            if link.is_none() || 2 * network.lost_alone(part).len() >= lost.max(1) {
                is_own_heard |= plant.contains(&part);
                let takes_most = 2 * network.lost_alone(part).len() >= lost;
                let speaker = Speaker {
                    voice,
                    part,
                    is_of_all: takes_most || !are_separate,
                    raised_ms: alarm.raised_ms(),
                };
                if speakers.iter().any(|other| other.backs(&speaker)) {
                    return true;
                }
                speakers.push(speaker);
            }
        } else {
            heard.add(part, is_power(&alarm.key().alarm_type), network);
        }
        are_several |= any.is_some_and(|other| other != voice);
        any = Some(voice);
    }
    if !is_whole_known {
        return are_several;
    }
    let is_whole_heard = !speakers.is_empty() || !links.is_empty();
    if is_whole_heard && failure.ran_on_battery {
        return true;
    }
    let are_links_enough = is_own_heard || are_most_links(&links, plant, network);
    if are_links_enough && !links.is_empty() {
        return true;
    }
    let is_power = plant.iter().any(|&part| is_feed(part, network));
    let one_in = if is_whole_heard {
        HEARD_ONE_IN
    } else {
        HEARD_ANEW_ONE_IN
    };
    heard.people(is_power, lost, network) >= (lost / one_in).max(LEAST_HEARD.min(lost))
}

/// Whether it is several parts of which each takes people of its own, and most of them.
fn are_separate(failure: &Failure, lost: usize, network: &Network) -> bool {
    let alone = failure
        .parts
        .iter()
        .map(|&part| network.lost_alone(part).len());
    failure.parts.len() > 1 && 2 * alone.sum::<usize>() > lost
}

/// Who is heard of to be without service, besides what is said of the failure as a whole.
#[derive(Default)]
struct Heard {
    plant: Vec<(u32, u32)>,
    /// By what joins homes: a PON port, or what they hang on.
    homes: BTreeMap<Option<ElementNo>, Vec<(u32, u32)>>,
    without_power: Vec<(u32, u32)>,
    /// The largest part that speaks.
    largest: SubscriberSet,
}

impl Heard {
    fn add(&mut self, part: Part, is_power: bool, network: &Network) {
        let runs = network.lost_alone_runs(part);
        if is_power {
            self.without_power.extend(runs.as_slice());
        } else if is_about_home(part, network) {
            let at = self.homes.entry(joint_of(part, network)).or_default();
            at.extend(runs.as_slice());
        } else {
            self.plant.extend(runs.as_slice());
            let set = SubscriberSet::from_runs(runs.as_slice().to_vec());
            if set.len() > self.largest.len() {
                self.largest = set;
            }
        }
    }

    /// How many they are. Homes that lose power say nothing of the line, and of those that fall
    /// silent among them many could only not say so.
    fn people(mut self, is_power: bool, lost: usize, network: &Network) -> usize {
        let set = SubscriberSet::from_runs;
        let without_power = set(self.without_power);
        let mut homes = SubscriberSet::new();
        for (joint, at) in self.homes {
            let at = set(at);
            let is_part = joint
                .is_some_and(|joint| 2 * network.lost_alone(Part::Element(joint)).len() < lost);
            if is_part && at.len() > self.largest.len() {
                self.largest = at.clone();
            }
            homes = homes.union(&at);
        }
        if is_power {
            return set(self.plant).union(&homes).union(&without_power).len();
        }
        let mut silent = homes.difference(&without_power);
        if silent.len() <= 2 * without_power.len() {
            silent = SubscriberSet::new();
        }
        let heard = set(self.plant).union(&silent);
        heard.difference(&self.largest).len()
    }
}

/// The PON port above a home, else what it hangs on.
fn joint_of(part: Part, network: &Network) -> Option<ElementNo> {
    let home = match part {
        Part::Element(element) => element,
        Part::Link(link) => network.link_ends(link).1,
        Part::Group(_) => return None,
    };
    let above = |&element: &ElementNo| network.immediate_dominator(element);
    let mut line = std::iter::successors(above(&home), above);
    line.find(|&element| network.kind(element) == ElementKind::PonPort)
        .or_else(|| network.immediate_dominator(home))
}

/// The failed parts that are no single homes.
pub(super) fn plant_of(failure: &Failure, network: &Network) -> Vec<Part> {
    let parts = failure.parts.iter().copied();
    parts
        .filter(|&part| !is_about_home(part, network))
        .collect()
}

/// Whether an alarm of this part is about a failure as a whole: of one of the plant that failed, of a
/// link at one, or of what takes most of the people with it.
pub(super) fn speaks_of_whole(part: Part, plant: &[Part], lost: usize, network: &Network) -> bool {
    let is_failed = |part: Part| plant.contains(&part);
    if is_about_home(part, network) {
        return false;
    }
    let is_at_failed = match part {
        Part::Link(link) => {
            let (a, b) = network.link_ends(link);
            is_failed(Part::Element(a)) || is_failed(Part::Element(b))
        }
        _ => false,
    };
    let is_member = || {
        plant.iter().any(|&failed| match failed {
            Part::Group(group) => network.group_members(group).contains(&part),
            _ => false,
        })
    };
    is_at_failed || is_failed(part) || is_member() || 2 * network.lost_alone(part).len() >= lost
}

/// A link at a failed device that did not fail itself.
fn link_at_failed(part: Part, plant: &[Part], network: &Network) -> Option<LinkNo> {
    let Part::Link(link) = part else { return None };
    let (a, b) = network.link_ends(link);
    let mut ends = [a, b].into_iter().map(Part::Element);
    let is_at = ends.any(|end| plant.contains(&end));
    (is_at && !plant.contains(&part)).then_some(link)
}

/// Whether these are more than half of the links of one of the failed devices, two at least.
fn are_most_links(links: &BTreeSet<LinkNo>, plant: &[Part], network: &Network) -> bool {
    plant.iter().any(|part| {
        let Part::Element(element) = *part else {
            return false;
        };
        let is_at = |link: &&LinkNo| {
            let (a, b) = network.link_ends(**link);
            a == element || b == element
        };
        let down = links.iter().filter(is_at).count();
        let neighbours: BTreeSet<ElementNo> = network
            .parents(element)
            .chain(network.children(element))
            .collect();
        down >= 2 && 2 * down > neighbours.len()
    })
}

/// Whether a part serves one home only.
pub(super) fn is_about_home(part: Part, network: &Network) -> bool {
    match part {
        Part::Element(element) => is_home(network, element),
        Part::Link(link) => is_home(network, network.link_ends(link).1),
        Part::Group(_) => false,
    }
}

/// Whether a part brings power.
pub(super) fn is_feed(part: Part, network: &Network) -> bool {
    match part {
        Part::Element(element) => network.kind(element) == ElementKind::PowerFeed,
        Part::Group(group) => network.group_kind(group) == GroupKind::PowerFeed,
        Part::Link(_) => false,
    }
}
