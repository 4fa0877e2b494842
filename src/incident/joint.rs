//! Which failures belong together: those that cut people off only together, and those of siblings at
//! one time.

use super::candidates::{Candidates, sole_parent};
use super::likelihood::{ANY_TIME, NAT, Nats, WINDOW_MS, is_home, is_polled, odd_choice};
use super::localise::is_within;
use crate::alarm::AlarmBook;
use crate::clock::Millis;
use crate::topology::{ElementNo, Network, Part};
use std::collections::{BTreeMap, BTreeSet};

/// How surely two alarmed parts of the plant have both failed, before one looks at what hangs on
/// them: nine alarms of ten are right.
const BOTH_FAILED: Nats = 3 * NAT / 2;
/// What it speaks for them that they were alarmed at one time.
const AT_ONE_TIME: Nats = 5 * NAT;
/// What the silence of all who would be cut off speaks against it at most: in one case of fifty
/// whoever reports for them is silent itself.
const SILENT_REGION: Nats = -4 * NAT;

/// So many windows may lie between the alarms of what failed and of those who are cut off: a few rounds
/// of polling.
const HEARD_WITHIN: i64 = 3;

/// Siblings that fail together do so within this time of one another.
const SIBLINGS_WITHIN_MS: Millis = 60_000;

/// When a part failed: the number of the window.
pub(super) fn window_of(part: Part, candidates: &Candidates, book: &AlarmBook) -> Option<i64> {
    let inferred = match part {
        Part::Element(element) => candidates.failed().get(&element).map(|v| v.window),
        _ => None,
    };
    let alarmed = || {
        let raised_ms = candidates.raised_ms(part, book)?;
        Some(raised_ms.div_euclid(WINDOW_MS))
    };
    inferred
        .filter(|&window| window != ANY_TIME)
        .or_else(alarmed)
}

/// Whether the parts can have failed together, as far as those say whom they would cut off together.
///
/// One of the alarms may be wrong: then nothing is seen of the others.
pub(super) fn is_plausible(
    parts: &[Part],
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> bool {
    let together = network.cut_off(parts);
    let alone: Vec<_> = parts.iter().map(|&part| network.cut_off(&[part])).collect();
    let is_new = |element: ElementNo| {
        together.is_cut_off(element) && !alone.iter().any(|cut| cut.is_cut_off(element))
    };
    let heads = together.elements().filter(|&element| {
        let above = network.immediate_dominator(element);
        is_new(element) && !above.is_some_and(is_new)
    });
    let windows: Vec<i64> = parts
        .iter()
        .filter_map(|&part| window_of(part, candidates, book))
        .collect();
    let latest = windows
        .iter()
        .max()
        .filter(|_| windows.len() == parts.len());
    let likelihood = candidates.likelihood();
    // What goes dark long after all of them had failed does so for another reason.
    let darkness = |element: ElementNo| match latest {
        Some(&latest) => {
            let heard = latest - HEARD_WITHIN..=latest + HEARD_WITHIN;
            let seen = heard.map(|window| likelihood.darkness_at(window, element));
            seen.max().unwrap_or(0)
        }
        None => likelihood.darkness(element),
    };
    let seen: Nats = heads.map(darkness).sum();
    let spread = windows.iter().max().zip(windows.iter().min());
    let at_one_time = windows.len() == parts.len() && spread.is_some_and(|(a, b)| a - b <= 1);
    let time = if at_one_time { AT_ONE_TIME } else { 0 };
    BOTH_FAILED + time + seen.max(SILENT_REGION) > 0
}

/// Whether the failure of a device explains the alarms of links that end at it better than failures
/// of those links, and of what hangs on it, one by one; or than something that takes just these of
/// its links.
pub(super) fn explains_its_links(
    element: ElementNo,
    links: &[Part],
    candidates: &Candidates,
    book: &AlarmBook,
    network: &Network,
) -> bool {
    let neighbours: BTreeSet<ElementNo> = network
        .parents(element)
        .chain(network.children(element))
        .filter(|&other| is_polled(network.kind(other)))
        .collect();
    let raised: Vec<Millis> = links
        .iter()
        .filter_map(|&link| candidates.raised_ms(link, book))
        .collect();
    let spread = raised.iter().max().zip(raised.iter().min());
    let at_one_time = spread.is_some_and(|(last, first)| last - first <= WINDOW_MS);
    if links.len() < 2 || !at_one_time || !is_polled(network.kind(element)) {
        return false;
    }
    let likelihood = candidates.likelihood();
    let count = |n: usize| Nats::try_from(n).unwrap_or(Nats::MAX / NAT);
    let silent = neighbours.len().saturating_sub(links.len());
    let below = candidates.failed().iter();
    let below: Nats = below
        .filter(|(other, _)| **other != element && network.dominates(element, **other))
        .map(|(_, verdict)| verdict.gain)
        .sum();
    let failure = likelihood.darkness(element) + likelihood.missed(count(silent));
    let one_by_one = -likelihood.penalty() * (count(links.len()) - 1);
    let together = -odd_choice(neighbours.len(), links.len());
    failure > below.max(0) + one_by_one.max(together)
}

/// Joins failures of links that end at one device and failed at one time, where the device itself is not
/// held to have failed: a card or a cable of it has. That they should have failed one by one is far less
/// likely than that something took just these ([`odd_choice`]). Only links that cut nobody off: what takes
/// service from somebody stands, or waits to be believed, by itself.
pub(super) fn join_links(
    sets: Vec<Vec<Part>>,
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> Vec<Vec<Part>> {
    let mut at_device: BTreeMap<ElementNo, Vec<(Millis, Part)>> = BTreeMap::new();
    for set in &sets {
        if let [part @ Part::Link(link)] = set[..]
            && network.lost_alone(part).is_empty()
            && let Some(raised_ms) = candidates.raised_ms(part, book)
        {
            let (a, b) = network.link_ends(link);
            for end in [a, b]
                .into_iter()
                .filter(|&end| is_polled(network.kind(end)))
            {
                at_device.entry(end).or_default().push((raised_ms, part));
            }
        }
    }
    let mut devices: Vec<_> = at_device.into_iter().collect();
    devices.sort_unstable_by_key(|(device, links)| {
        let id = network.part_id(Part::Element(*device));
        (std::cmp::Reverse(links.len()), id)
    });
    let mut joined: Vec<Vec<Part>> = Vec::new();
    let mut taken: BTreeSet<Part> = BTreeSet::new();
    for (_, mut links) in devices {
        links.retain(|(_, link)| !taken.contains(link));
        links.sort_unstable_by_key(|&(raised_ms, link)| (raised_ms, network.part_id(link)));
        while let [(first_ms, _), ..] = links[..] {
            let later = links.partition_point(|(raised_ms, _)| raised_ms - first_ms <= WINDOW_MS);
            let mut set: Vec<Part> = links.drain(..later).map(|(_, link)| link).collect();
            if set.len() > 1 && network.lost(&set).is_empty() {
                set.sort_unstable_by_key(|&link| network.part_id(link));
                taken.extend(&set);
                joined.push(set);
            }
        }
    }
    let others = sets.into_iter();
    joined.extend(others.filter(|set| !matches!(set[..], [part] if taken.contains(&part))));
    joined
}

/// Puts an element in the place of failures of elements that hang on it and of groups, where all of them
/// failed at one time and take just those whom the element takes: that is one failure instead of several,
/// and nobody could tell it from them by who is cut off.
pub(super) fn join_whole(
    sets: Vec<Vec<Part>>,
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> Vec<Vec<Part>> {
    let is_group = |set: &Vec<Part>| matches!(set[..], [Part::Group(_)]);
    let (groups, mut sets): (Vec<_>, Vec<_>) = sets.into_iter().partition(is_group);
    // By the first whom they take; one that takes nobody is no part of anything.
    let mut groups: Vec<(Option<u32>, Part)> = groups
        .into_iter()
        .flatten()
        .map(|group| (network.lost_alone(group).iter().next(), group))
        .collect();
    if groups.is_empty() {
        return sets;
    }
    groups.sort_unstable();
    let likelihood = candidates.likelihood();
    for set in &mut sets {
        let Some((parent, window)) = common_parent(set, candidates, network, book) else {
            continue;
        };
        let runs = network.lost_alone_runs(Part::Element(parent));
        let near = runs.as_slice().iter().flat_map(|&(from, end)| {
            let first = groups.partition_point(|(rank, _)| *rank < Some(from));
            let after = groups[first..].iter();
            after.take_while(move |(rank, _)| *rank < Some(end))
        });
        let near: Vec<Part> = near.map(|(_, group)| *group).collect();
        if near.is_empty() {
            continue;
        }
        let whole = network.lost_alone(Part::Element(parent));
        let mut below = near;
        below.retain(|&group| {
            is_within(&network.lost_alone(group), &whole)
                && failed_at(group, window, candidates, network, book)
        });
        if !below.is_empty()
            && network.lost(&[&set[..], &below].concat()) == whole
            && likelihood.darkness_at(window, parent) > likelihood.penalty()
        {
            groups.retain(|(_, group)| !below.contains(group));
            *set = vec![Part::Element(parent)];
        }
    }
    sets.extend(groups.into_iter().map(|(_, group)| vec![group]));
    sets
}

/// Whether what is known of a group, or of its members, is of about that window.
fn failed_at(
    group: Part,
    window: i64,
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> bool {
    let Part::Group(no) = group else { return false };
    let members = network.group_members(no).iter().flat_map(|&member| {
        let below = match member {
            Part::Link(link) => Some(Part::Element(network.link_ends(link).1)),
            _ => None,
        };
        std::iter::once(member).chain(below)
    });
    // Of parts that nobody could tell apart the highest is the one that is held to have failed.
    let above = members.flat_map(|part| {
        let element = match part {
            Part::Element(element) => network.immediate_dominator(element).map(Part::Element),
            _ => None,
        };
        std::iter::once(part).chain(element)
    });
    let mut windows = std::iter::once(group)
        .chain(above)
        .filter_map(|part| window_of(part, candidates, book));
    windows.any(|at| (at - window).abs() <= 1)
}

/// The element on which all of these hang alone, and when the first of them failed.
fn common_parent(
    parts: &[Part],
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> Option<(ElementNo, i64)> {
    let parent_of = |part: &Part| match part {
        Part::Element(element) if !is_home(network, *element) => sole_parent(network, *element),
        _ => None,
    };
    let parent = parent_of(parts.first()?)?;
    let windows = parts.iter();
    let windows = windows.filter_map(|&part| window_of(part, candidates, book));
    let window = windows.min()?;
    let is_common = parts.iter().all(|part| parent_of(part) == Some(parent));
    is_common.then_some((parent, window))
}

/// Joins failures of elements that hang on the same element alone and failed at one time: ports of
/// one card, branches of one cable. Failures so near one another in place and time have one cause; what
/// fails minutes later has its own. Taking one away never joins others.
pub(super) fn join_siblings(
    sets: Vec<Vec<Part>>,
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> Vec<Vec<Part>> {
    let mut joined: Vec<Vec<Part>> = Vec::new();
    let mut siblings: BTreeMap<ElementNo, Vec<(Millis, Part)>> = BTreeMap::new();
    for set in sets {
        let sibling = match set[..] {
            [part @ Part::Element(element)] if !is_home(network, element) => {
                let parent = sole_parent(network, element);
                let failed_ms = || failed_ms(element, candidates, network, book);
                parent.and_then(|parent| Some((parent, (failed_ms()?, part))))
            }
            _ => None,
        };
        match sibling {
            Some((parent, at)) => siblings.entry(parent).or_default().push(at),
            None => joined.push(set),
        }
    }
    for mut parts in siblings.into_values() {
        parts.sort_unstable_by_key(|&(at_ms, part)| (at_ms, network.part_id(part)));
        let mut last_ms: Option<Millis> = None;
        for (at_ms, part) in parts {
            match joined.last_mut() {
                Some(set) if last_ms.is_some_and(|last| at_ms - last <= SIBLINGS_WITHIN_MS) => {
                    set.push(part);
                }
                _ => joined.push(vec![part]),
            }
            last_ms = Some(at_ms);
        }
    }
    for set in &mut joined {
        set.sort_unstable_by_key(|&part| network.part_id(part));
    }
    joined
}

/// When an element failed: when it said so, unless that is of another time than what is seen of those behind
/// it; else when the first of these went dark then.
pub(super) fn failed_ms(
    element: ElementNo,
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> Option<Millis> {
    let raised_ms = candidates.raised_ms(Part::Element(element), book);
    let verdict = candidates.failed().get(&element);
    let Some(window) = verdict.map(|v| v.window).filter(|&w| w != ANY_TIME) else {
        return raised_ms;
    };
    let is_then = |at_ms: &Millis| (at_ms.div_euclid(WINDOW_MS) - window).abs() <= 1;
    if let Some(raised_ms) = raised_ms.filter(is_then) {
        return Some(raised_ms);
    }
    let mut first_ms: Option<Millis> = None;
    let mut open = vec![element];
    while let Some(above) = open.pop() {
        for child in network.dominator_children(above) {
            if !is_home(network, child) {
                open.push(child);
            } else if let Some(at_ms) = candidates.dark_since_ms(child).filter(is_then) {
                first_ms = Some(first_ms.map_or(at_ms, |first| first.min(at_ms)));
            }
        }
    }
    Some(first_ms.unwrap_or(window * WINDOW_MS))
}
