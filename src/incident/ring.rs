//! Pairs of failures that cut off what lies between them, found by what is dark there when of one or
//! both nothing is heard: both ends of a stretch of a ring.
//!
//! By itself each device behind such a pair looks as if it had failed for a reason of its own, all at
//! one time.

use super::candidates::{Candidates, sole_parent};
use super::joint::window_of;
use super::likelihood::{Nats, is_polled};
use super::outward::{Region, replaced};
use crate::alarm::AlarmBook;
use crate::topology::{ElementNo, LinkNo, Network, Part};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Devices that must be dark at one time before ends are looked for.
const FEWEST_DARK: usize = 3;
/// Pairs that are tried for one time. Where more would have to be, so much is dark that it says itself
/// what has happened.
const MOST_PAIRS: usize = 400;

/// The failures, with those of a stretch of a ring replaced by its ends where these explain them better.
pub(super) fn find_ends(
    mut sets: Vec<Vec<Part>>,
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> Vec<Vec<Part>> {
    let mut by_window: BTreeMap<i64, Vec<Part>> = BTreeMap::new();
    for set in &sets {
        if let [part] = set[..]
            && is_of_plant(part, network)
            && let Some(window) = window_of(part, candidates, book)
        {
            by_window.entry(window).or_default().push(part);
        }
    }
    let links: Vec<LinkNo> = candidates.alarmed_links().collect();
    let windows: Vec<i64> = by_window.keys().copied().collect();
    for window in windows {
        // What fails at one time may be reported in the window after.
        let near = by_window.range(window..=window + 1);
        let parts: Vec<Part> = near.flat_map(|(_, parts)| parts).copied().collect();
        while let Some(region) = best_ends(&parts, &sets, (window, &links), candidates, network) {
            sets.retain(|set| !matches!(set[..], [part] if region.covers(part, network)));
            sets.push(region.into_parts());
        }
    }
    sets
}

fn is_of_plant(part: Part, network: &Network) -> bool {
    match part {
        Part::Element(element) => is_polled(network.kind(element)) && !network.is_gateway(element),
        Part::Link(link) => {
            let (a, b) = network.link_ends(link);
            is_polled(network.kind(a)) && is_polled(network.kind(b))
        }
        Part::Group(_) => false,
    }
}

/// The two parts that explain most of what failed at one time better than failures one by one.
fn best_ends(
    parts: &[Part],
    sets: &[Vec<Part>],
    at: (i64, &[LinkNo]),
    candidates: &Candidates,
    network: &Network,
) -> Option<Region> {
    let alone: BTreeSet<Part> = sets
        .iter()
        .filter(|s| s.len() == 1)
        .flatten()
        .copied()
        .collect();
    let parts: BTreeSet<Part> = parts
        .iter()
        .copied()
        .filter(|p| alone.contains(p))
        .collect();
    let dark = parts.iter().filter_map(|&part| match part {
        Part::Element(element) => Some(element),
        _ => None,
    });
    let dark: Vec<ElementNo> = dark.collect();
    if dark.len() < FEWEST_DARK {
        return None;
    }
    let above = dark.iter().flat_map(|&element| on_ring(element, network));
    let above: BTreeSet<Part> = above.map(Part::Element).collect();
    let anchors: BTreeSet<Part> = parts.union(&above).copied().collect();
    if anchors.len() * above.len() > MOST_PAIRS {
        return None;
    }
    let pairs = anchors.iter().flat_map(|&a| {
        let others = above.iter().filter(move |&&b| a != b);
        others.map(move |&b| Region::of(vec![a, b], network))
    });
    let explained = pairs.filter_map(|region| {
        let held = dark.iter().filter(|&&e| region.cut().is_cut_off(e));
        if held.count() < FEWEST_DARK || !is_joint(&region, network) {
            return None;
        }
        let gain = gain_of(&region, at, candidates, network);
        (gain > 0).then_some((gain, region))
    });
    // Of equals the first by its ids.
    explained
        .max_by_key(|(gain, region)| (*gain, Reverse(region.ids(network))))
        .map(|(_, region)| region)
}

/// The devices with several ways in that a device hangs on; none where it hangs on a gateway.
fn on_ring(device: ElementNo, network: &Network) -> Vec<ElementNo> {
    let mut below = device;
    while let Some(above) = sole_parent(network, below) {
        if network.parents(above).nth(1).is_some() {
            return vec![above];
        }
        below = above;
    }
    let is_on_ring = |&above: &ElementNo| {
        is_polled(network.kind(above)) && network.parents(above).nth(1).is_some()
    };
    network.parents(below).filter(is_on_ring).collect()
}

/// Whether the parts together cut off more than each alone.
fn is_joint(region: &Region, network: &Network) -> bool {
    let alone: Vec<_> = region
        .parts()
        .iter()
        .map(|&part| network.cut_off(&[part]))
        .collect();
    let mut elements = region.cut().elements();
    elements.any(|element| !alone.iter().any(|cut| cut.is_cut_off(element)))
}

/// By how much these failures explain what is seen better than failures of what is dark behind them.
/// A link is one of them only when it is alarmed, so that it costs the same either way.
fn gain_of(
    region: &Region,
    (window, links): (i64, &[LinkNo]),
    candidates: &Candidates,
    network: &Network,
) -> Nats {
    let likelihood = candidates.likelihood();
    let ends = region.parts().iter();
    let devices = ends.filter(|part| matches!(part, Part::Element(_))).count();
    let cost = likelihood.penalty() * if devices == 2 { 2 } else { 1 };
    let alone: Nats = replaced(region.cut(), candidates).into_iter().sum();
    region.darkness(window, links, candidates, network) - alone - cost
}
