//! Power cuts that follow no part of the network: homes near one another that say within minutes that
//! they have no power.
//!
//! A dying gasp says nothing about the line, so no element above is to blame. Homes are gathered by
//! where their line comes from the street (the nearest element above that has a position), and such
//! places are joined when they are near one another and lost power at one time.

use super::candidates::Candidates;
use super::likelihood::{LEAF_SHARES, Nats, Observation, WINDOW_MS, is_home};
use super::power_region::{AT_ONCE, Ground, Regions, Spot};
use crate::geography::{METRES_PER_DEGREE, are_within};
use crate::topology::{ElementNo, Network, Part, Position};
use std::collections::{BTreeMap, BTreeSet};

/// Places nearer to one another than this may hang on one feed; about the reach of a low-voltage
/// substation and its neighbours.
pub(super) const NEAR_METRES: f64 = 1_500.0;
/// Fewer homes without power are lone ones.
const FEWEST_HOMES: usize = 3;
/// Where most homes around have power again, so many of one place must still be dark to count: many a
/// dying gasp is never taken back.
const FEWEST_AMONG_BACK: usize = 4;

/// Homes around one place that went dark at one time, at least one of them for want of power.
#[derive(Debug)]
struct Place {
    position: Option<Position>,
    window: i64,
    dark: Vec<ElementNo>,
    /// Homes around that went dark later: where power has failed, that is the end of their batteries.
    later: Vec<ElementNo>,
    without_power: usize,
    alive: usize,
    /// Homes around of which nothing is heard.
    silent: Vec<ElementNo>,
}

impl Place {
    fn spot(&self) -> Option<Spot> {
        Some(Spot {
            position: self.position?,
            window: self.window,
        })
    }
}

/// A power cut that follows no part of the network.
#[derive(Debug)]
pub(super) struct PowerArea {
    /// In no order.
    pub(super) homes: Vec<Part>,
    pub(super) spots: Vec<Spot>,
    /// Homes of the same streets of which nothing is heard.
    pub(super) silent: Vec<ElementNo>,
}

impl PowerArea {
    /// Whether power failed beside all of these homes in the window in which they went dark. That
    /// something else did so there in the same minutes is too rare to be thought of.
    pub(super) fn explains(&self, went_dark: &[(ElementNo, i64)], network: &Network) -> bool {
        self.failed_beside(went_dark, network, is_then)
    }

    /// Whether power had failed beside all of these homes before the window in which they went dark.
    pub(super) fn outlasted_by(&self, went_dark: &[(ElementNo, i64)], network: &Network) -> bool {
        self.failed_beside(went_dark, network, |window, failed| window > failed)
    }

    fn failed_beside(
        &self,
        went_dark: &[(ElementNo, i64)],
        network: &Network,
        is_wanted: impl Fn(i64, i64) -> bool,
    ) -> bool {
        let is_near = |there: Position, window: i64| {
            self.spots.iter().any(|spot| {
                is_wanted(window, spot.window) && are_within(spot.position, there, NEAR_METRES)
            })
        };
        let at_place =
            |&(home, window): &(ElementNo, i64)| Some((place_of(home, network)?, window));
        let places: Option<BTreeSet<(ElementNo, i64)>> = went_dark.iter().map(at_place).collect();
        places.is_some_and(|places| {
            let mut places = places.into_iter();
            places.all(|(place, window)| {
                let position = network.position(place);
                position.is_some_and(|there| is_near(there, window))
            })
        })
    }
}

/// The power cuts. `is_explained`: homes that something else has cut off.
pub(super) fn power_areas(
    ground: Ground<'_>,
    is_explained: impl Fn(ElementNo) -> bool,
) -> Vec<PowerArea> {
    let (candidates, network) = (ground.candidates, ground.network);
    let mut homes_of: BTreeMap<ElementNo, Vec<i64>> = BTreeMap::new();
    for (&home, &at_ms) in candidates.without_power() {
        if !is_explained(home)
            && let Some(place) = place_of(home, network)
        {
            let windows = homes_of.entry(place).or_default();
            windows.push(at_ms.div_euclid(WINDOW_MS));
        }
    }
    let mut places: Vec<Place> = Vec::new();
    for (element, mut windows) in homes_of {
        // Power may fail around one place again while some are still without it.
        let mut taken: BTreeSet<ElementNo> = BTreeSet::new();
        while !windows.is_empty() {
            let is_explained = |home| is_explained(home) || taken.contains(&home);
            let place = look(element, &windows, candidates, network, &is_explained);
            windows.retain(|window| !is_then(*window, place.window));
            taken.extend(&place.dark);
            places.push(place);
        }
    }
    let mut areas: Vec<Vec<&Place>> = Vec::new();
    for mut joined in join(&places) {
        leave_those_that_are_back(&mut joined);
        let of = |count: fn(&Place) -> usize| joined.iter().map(|p| count(p)).sum::<usize>();
        let (dark, without_power) = (of(|p| p.dark.len()), of(|p| p.without_power));
        let window = joined.iter().map(|p| p.window).min().unwrap_or(0);
        let is_power = without_power >= FEWEST_HOMES
            && 2 * without_power >= dark
            && beats_chance(without_power, window, candidates);
        if is_power {
            areas.push(joined);
        }
    }
    let areas = join_regions(areas, ground);
    let in_areas = areas.iter().flatten().flat_map(|place| &place.dark);
    let mut taken: BTreeSet<ElementNo> = in_areas.copied().collect();
    let mut with_batteries = |joined: &Vec<&Place>| {
        let mut homes: Vec<ElementNo> = Vec::new();
        for place in joined {
            homes.extend(&place.dark);
            let late = place.later.iter().filter(|&&home| taken.insert(home));
            homes.extend(late);
        }
        let places = joined.iter();
        PowerArea {
            homes: homes.into_iter().map(Part::Element).collect(),
            spots: places.filter_map(|place| place.spot()).collect(),
            silent: joined
                .iter()
                .flat_map(|place| &place.silent)
                .copied()
                .collect(),
        }
    };
    areas.iter().map(&mut with_batteries).collect()
}

/// Homes in the order of their ids, each once. Numbers follow the definition of the network, and so do ids for
/// the most part: what is in the order of numbers is sorted by id in few comparisons.
pub(super) fn by_id(mut homes: Vec<Part>, network: &Network) -> Vec<Part> {
    homes.sort_unstable();
    homes.dedup();
    homes.sort_by_key(|&home| network.part_id(home));
    homes
}

/// Power comes back street by street: a place where a third of those that were dark are back has
/// power, whatever gasps are left there.
fn leave_those_that_are_back(joined: &mut Vec<&Place>) {
    let dark: usize = joined.iter().map(|place| place.dark.len()).sum();
    let alive: usize = joined.iter().map(|place| place.alive).sum();
    let fewest = if alive >= dark { FEWEST_AMONG_BACK } else { 0 };
    joined.retain(|place| {
        let dark = place.dark.len();
        dark > 2 * place.alive && dark >= fewest
    });
}

/// Whether homes of this window went dark with those of that one.
pub(super) fn is_then(window: i64, of: i64) -> bool {
    (-1..=2).contains(&(window - of))
}

/// Whether so many homes lose power within a window by chance more rarely than there are places for
/// power cuts.
fn beats_chance(homes: usize, window: i64, candidates: &Candidates) -> bool {
    gain_of_gasps(homes, window, candidates) > 0
}

/// By how much one power cut explains better than chance that so many homes lose power within a
/// window.
pub(super) fn gain_of_gasps(homes: usize, window: i64, candidates: &Candidates) -> Nats {
    let likelihood = candidates.likelihood();
    let [weight, ..] = likelihood.leaf_weights(window * WINDOW_MS);
    let homes = i64::try_from(homes).unwrap_or(i64::MAX / weight.gasped(1.0).max(1));
    const { assert!(LEAF_SHARES > 0) };
    homes.saturating_mul(weight.gasped(1.0)) - likelihood.penalty()
}

/// The nearest element above a home that stands somewhere, else the one it hangs on.
pub(super) fn place_of(home: ElementNo, network: &Network) -> Option<ElementNo> {
    let above = |&element: &ElementNo| network.immediate_dominator(element);
    let mut line = std::iter::successors(above(&home), above);
    line.find(|&element| network.position(element).is_some())
        .or_else(|| network.immediate_dominator(home))
}

/// What became of the homes around a place when most of them lost power.
fn look(
    element: ElementNo,
    windows: &[i64],
    candidates: &Candidates,
    network: &Network,
    is_explained: &impl Fn(ElementNo) -> bool,
) -> Place {
    let in_two = |from: i64| {
        windows
            .iter()
            .filter(|&&w| (0..2).contains(&(w - from)))
            .count()
    };
    let window = windows
        .iter()
        .copied()
        .max_by_key(|&window| (in_two(window), std::cmp::Reverse(window)))
        .unwrap_or(0);
    let mut place = Place {
        position: network.position(element),
        window,
        dark: Vec::new(),
        later: Vec::new(),
        without_power: 0,
        alive: 0,
        silent: Vec::new(),
    };
    let is_then = |at_ms: i64| is_then(at_ms.div_euclid(WINDOW_MS), window);
    let mut open = vec![element];
    while let Some(element) = open.pop() {
        for child in network.dominator_children(element) {
            if !is_home(network, child) {
                // What stands elsewhere is a place of its own.
                if network.position(child).is_none() {
                    open.push(child);
                }
                continue;
            }
            match candidates.observation(child) {
                _ if is_explained(child) => {}
                Observation::Silent => place.silent.push(child),
                Observation::NoPower(at_ms) if is_then(at_ms) => {
                    place.without_power += 1;
                    place.dark.push(child);
                }
                Observation::Alarmed(at_ms) if is_then(at_ms) => place.dark.push(child),
                Observation::Alive(at_ms) if is_then(at_ms) => place.alive += 1,
                Observation::NoPower(at_ms) | Observation::Alarmed(at_ms)
                    if at_ms.div_euclid(WINDOW_MS) > window =>
                {
                    place.later.push(child);
                }
                _ => {}
            }
        }
    }
    place
}

/// Whether most of the homes below these elements that went dark did so for want of power.
pub(super) fn mostly_without_power(
    elements: &[ElementNo],
    candidates: &Candidates,
    network: &Network,
) -> bool {
    let (mut alarmed, mut without_power) = (0, 0);
    let mut open = elements.to_vec();
    while let Some(element) = open.pop() {
        for child in network.dominator_children(element) {
            if !is_home(network, child) {
                open.push(child);
                continue;
            }
            match candidates.observation(child) {
                Observation::NoPower(_) => without_power += 1,
                Observation::Alarmed(_) => alarmed += 1,
                _ => {}
            }
        }
    }
    without_power > alarmed
}

/// Areas that lost power at one time and are of one cut ([`Regions::cut`]).
fn join_regions<'a>(areas: Vec<Vec<&'a Place>>, ground: Ground<'_>) -> Vec<Vec<&'a Place>> {
    let spots = |area: &Vec<&Place>| area.iter().filter_map(|place| place.spot()).collect();
    let spots: Vec<Vec<Spot>> = areas.iter().map(spots).collect();
    let regions = Regions::of(&spots, ground);
    let mut joined: BTreeMap<usize, Vec<&Place>> = BTreeMap::new();
    for (at, area) in areas.into_iter().enumerate() {
        joined.entry(regions.cut(at)).or_default().extend(area);
    }
    joined.into_values().collect()
}

/// Places in groups: those near one another that lost power at one time, and what is near those.
/// A place without a position stands alone.
fn join(places: &[Place]) -> Vec<Vec<&Place>> {
    // Squares of a little more than that distance where a degree is narrowest, wider elsewhere.
    let positions = places.iter().filter_map(|place| place.position);
    let latitude = positions.map(|position| position.latitude.abs());
    let narrowest = latitude.fold(0.0, f64::max).to_radians().cos().max(0.01);
    let high = 1.01 * NEAR_METRES / METRES_PER_DEGREE;
    let wide = high / narrowest;
    #[allow(clippy::cast_possible_truncation, reason = "at most a million squares")]
    let square = |position: Position| {
        let number = |degrees: f64, side: f64| (degrees / side).floor() as i32;
        (
            number(position.latitude, high),
            number(position.longitude, wide),
        )
    };
    let mut in_square: BTreeMap<(i32, i32), Vec<usize>> = BTreeMap::new();
    for (at, place) in places.iter().enumerate() {
        if let Some(position) = place.position {
            in_square.entry(square(position)).or_default().push(at);
        }
    }
    let is_near = |a: &Place, b: &Place| {
        let positions = a.position.zip(b.position);
        (a.window - b.window).abs() <= AT_ONCE
            && positions.is_some_and(|(a, b)| are_within(a, b, NEAR_METRES))
    };
    let mut joined = Vec::new();
    let mut is_seen = vec![false; places.len()];
    for first in 0..places.len() {
        if std::mem::replace(&mut is_seen[first], true) {
            continue;
        }
        let mut group = vec![first];
        let mut next = 0;
        while let Some(&at) = group.get(next) {
            next += 1;
            let Some((row, column)) = places[at].position.map(square) else {
                continue;
            };
            for key in
                (row - 1..=row + 1).flat_map(|r| (column - 1..=column + 1).map(move |c| (r, c)))
            {
                for &other in in_square.get(&key).into_iter().flatten() {
                    if !is_seen[other] && is_near(&places[at], &places[other]) {
                        is_seen[other] = true;
                        group.push(other);
                    }
                }
            }
        }
        joined.push(group.into_iter().map(|at| &places[at]).collect());
    }
    joined
}
