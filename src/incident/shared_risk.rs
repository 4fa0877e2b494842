//! Whether one failure of a shared-risk group explains the alarms better than failures of its members
//! one by one.

use super::candidates::{Candidates, reporter_of, sole_parent};
use super::likelihood::{
    ANY_TIME, Heard, LEAF_SHARES, Likelihood, MISSED, MISSED_WEIGHT, Nats, Observation, WINDOW_MS,
    is_home, mixture,
};
use super::localise::is_within;
use crate::topology::{ElementNo, GroupNo, Network, Part, SubscriberSet};
use std::collections::{BTreeMap, BTreeSet};

/// How likely a home that loses power says so before it falls silent (some units cannot), and how
/// likely a dark home is one that fell silent without a word when only its line is cut.
const GASPS: f64 = 0.7;

/// What speaks for a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupGain {
    /// How much its failure explains.
    pub(super) gain: Nats,
    /// How much the failures explain that it stands for.
    pub(super) instead: Nats,
}

/// How much the failure of a group explains; `None` when those that it would replace explain more.
pub(super) fn group_gain(
    group: GroupNo,
    candidates: &Candidates,
    network: &Network,
) -> Option<GroupGain> {
    let likelihood = candidates.likelihood();
    let lost = network.lost_alone(Part::Group(group));
    let mut replaced = Replaced::default();
    let (mut homes, mut heads, mut links) = (Vec::new(), Vec::new(), 0);
    // What a link leads to; its own failure may be the one to be replaced.
    let mut behind = Vec::new();
    for &member in network.group_members(group) {
        match member {
            Part::Element(element) if is_home(network, element) => homes.push(element),
            Part::Element(element) => heads.push(top_of_class(element, network)),
            Part::Link(link) => {
                let below = network.link_ends(link).1;
                if sole_parent(network, below).is_some() {
                    behind.push(below);
                    heads.push(top_of_class(below, network));
                } else {
                    let own = likelihood.lone_link(candidates.contains(member));
                    links += own;
                    replaced.gains += (own - likelihood.penalty()).max(0);
                }
            }
            Part::Group(_) => {}
        }
    }
    if !is_everywhere(&homes, candidates, network) {
        return None;
    }
    for &element in homes.iter().chain(&behind).chain(&heads) {
        replaced.add(element, &lost, candidates, network)?;
    }
    let at_window = |window: i64| of_heads(&heads, window, candidates, network);
    let dark = replaced
        .windows
        .iter()
        .map(|&window| at_window(window))
        .max();
    let dark = dark.unwrap_or_else(|| at_window(ANY_TIME));
    let explained = dark + links + of_homes(&homes, candidates) - likelihood.penalty();
    let gain = GroupGain {
        gain: explained,
        instead: replaced.gains.max(0),
    };
    (gain.gain > gain.instead).then_some(gain)
}

/// The heads of a group that one device reports.
#[derive(Default)]
struct Reported {
    /// With alarms of their own and none of their homes.
    without_homes: i64,
    /// Of which nothing is heard.
    unheard: i64,
    /// How the former fit their being cut off; the latter, by the silence of each home.
    dark: [Nats; 2],
    /// Homes of some are heard.
    shows_homes: bool,
}

/// So many heads with alarms of their own must be heard for each one of which nothing is.
const HEARD_FOR_EACH: i64 = 3;

impl Reported {
    /// Where no home is heard behind what is alarmed, its reporter holds their alarms back, and the
    /// silence of the homes behind another part says no more than that the alarm of that part is missing.
    /// More than a few missing ones are rather parts that have service.
    fn darkness(&self, likelihood: &Likelihood) -> Nats {
        let [dark, by_homes] = self.dark;
        let are_few = HEARD_FOR_EACH * self.unheard <= self.without_homes;
        if self.shows_homes || !are_few {
            return dark + by_homes;
        }
        let missing = likelihood.missed_of(self.without_homes, self.unheard);
        dark + by_homes.max(missing)
    }
}

/// How what is seen at and below the heads of a group fits their being cut off together.
fn of_heads(heads: &[ElementNo], window: i64, candidates: &Candidates, network: &Network) -> Nats {
    let likelihood = candidates.likelihood();
    let mut by_reporter: BTreeMap<Option<ElementNo>, Reported> = BTreeMap::new();
    for &head in heads {
        let reported = by_reporter.entry(reporter_of(head, network)).or_default();
        let [dark, by_homes] = &mut reported.dark;
        let darkness = likelihood.darkness_at(window, head);
        match likelihood.heard(window, head) {
            Heard::Nothing => {
                *by_homes += darkness;
                reported.unheard += 1;
            }
            Heard::NoHomes => {
                *dark += darkness;
                reported.without_homes += 1;
            }
            Heard::Something => {
                *dark += darkness;
                reported.shows_homes = true;
            }
        }
    }
    let each = by_reporter
        .into_iter()
        .map(|(reporter, reported)| match reporter {
            Some(_) => reported.darkness(likelihood),
            None => reported.dark.iter().sum(),
        });
    each.sum()
}

/// How much of a place a power cut takes that does not follow the group: nothing, half or all of it,
/// each as likely as the others.
const TAKEN: [f64; 3] = [0.0, 0.5, 1.0];

/// Whether the homes that say nothing are spread over the group as misses are, and not gathered in
/// some of the places where it has homes: what takes a corner of it only is something else. The
/// likelihood of either, whatever share of reports is missed ([`MISSED`]), is compared.
fn is_everywhere(homes: &[ElementNo], candidates: &Candidates, network: &Network) -> bool {
    let mut places: BTreeMap<Option<ElementNo>, (u32, u32)> = BTreeMap::new();
    for &home in homes {
        let place = network.immediate_dominator(home);
        let (dark, silent) = places.entry(place).or_default();
        match candidates.observation(home) {
            Observation::Alarmed(_) | Observation::NoPower(_) => *dark += 1,
            Observation::Silent | Observation::Alive(_) => *silent += 1,
        }
    }
    let in_place = |missed: f64, (dark, silent): (u32, u32)| {
        f64::from(silent) * missed.ln() + f64::from(dark) * (1.0 - missed).ln()
    };
    let whole = MISSED.map(|missed| places.values().map(|&p| in_place(missed, p)).sum());
    let in_part = |missed: f64, place: (u32, u32)| {
        let each = TAKEN.map(|taken| match (taken, place) {
            (0.0, (0, _)) => 0.0,
            (0.0, _) => f64::NEG_INFINITY,
            _ => in_place(1.0 - taken * (1.0 - missed), place),
        });
        ln_sum(each, [1.0 / TAKEN.len() as f64; TAKEN.len()])
    };
    let part = MISSED.map(|missed| places.values().map(|&p| in_part(missed, p)).sum());
    ln_sum(whole, MISSED_WEIGHT) >= ln_sum(part, MISSED_WEIGHT)
}

/// ln Σ weight · e^x.
fn ln_sum<const N: usize>(values: [f64; N], weights: [f64; N]) -> f64 {
    let most = values.into_iter().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    let each = values.into_iter().zip(weights);
    most + each
        .map(|(x, weight)| weight * (x - most).exp())
        .sum::<f64>()
        .ln()
}

/// The highest element that nobody could tell from this one by who is cut off: what its alarms say of
/// it, they say of this one, too.
pub(super) fn top_of_class(element: ElementNo, network: &Network) -> ElementNo {
    let runs = |element| network.lost_alone_runs(Part::Element(element));
    let mut top = element;
    while let Some(above) = network.immediate_dominator(top)
        && runs(above).as_slice() == runs(element).as_slice()
    {
        top = above;
    }
    top
}

/// The failures that a group would stand for.
#[derive(Default)]
struct Replaced {
    seen: BTreeSet<ElementNo>,
    /// When they happened.
    windows: BTreeSet<i64>,
    gains: Nats,
}

impl Replaced {
    /// Counts the failure that explains an element without the group; `None` when that one takes
    /// more than the group does, so that it cannot be replaced.
    fn add(
        &mut self,
        element: ElementNo,
        lost: &SubscriberSet,
        candidates: &Candidates,
        network: &Network,
    ) -> Option<()> {
        let above = |&element: &ElementNo| network.immediate_dominator(element);
        let mut line = std::iter::successors(Some(element), above);
        let Some((failed, verdict)) =
            line.find_map(|element| Some((element, candidates.failed().get(&element)?)))
        else {
            return Some(());
        };
        if !self.seen.insert(failed) {
            return Some(());
        }
        if !is_within(&network.lost_alone(Part::Element(failed)), lost) {
            return None;
        }
        self.gains += verdict.gain;
        self.windows.insert(verdict.window);
        Some(())
    }
}

/// How what is seen of homes fits their having lost power together, at the time at which most did.
fn of_homes(homes: &[ElementNo], candidates: &Candidates) -> Nats {
    let seen: Vec<Observation> = homes.iter().map(|&h| candidates.observation(h)).collect();
    let mut by_window: BTreeMap<i64, u32> = BTreeMap::new();
    for observation in &seen {
        if let Observation::NoPower(at_ms) = observation {
            *by_window.entry(at_ms.div_euclid(WINDOW_MS)).or_default() += 1;
        }
    }
    let in_two = |window: i64| -> u32 {
        let counts = [window, window + 1].map(|w| by_window.get(&w).copied().unwrap_or(0));
        counts.iter().sum()
    };
    let Some(window) = by_window
        .keys()
        .copied()
        .max_by_key(|&window| (in_two(window), std::cmp::Reverse(window)))
    else {
        return 0;
    };
    let is_then = |at_ms: i64| (0..2).contains(&(at_ms.div_euclid(WINDOW_MS) - window));
    let weights = candidates.likelihood().leaf_weights(window * WINDOW_MS);
    let mut sums = [0; LEAF_SHARES];
    for observation in seen {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += match observation {
                Observation::NoPower(at_ms) if is_then(at_ms) => weight.gasped(GASPS),
                Observation::Alarmed(at_ms) if is_then(at_ms) => weight.fell_silent(GASPS),
                Observation::Alive(_) => weight.alive,
                _ => weight.silent,
            };
        }
    }
    mixture(sums)
}
