//! Which single failures explain the alarms best, and by how much.
//!
//! A failed element takes the dominator subtree below it with it. For each element the likelihood of
//! what is seen below it, if it had failed, is compared with the likelihood that every alarm there
//! is a lone one; the best set of failures over the whole tree follows from that by dynamic
//! programming, exactly, and each alarm costs work along its way up the tree only.
//!
//! - **Missing alarms** are expected: a failure loses an unknown share of its reports
//!   ([`MISSED`]), and one that silences its reporter may lose them all ([`SILENT_REPORTER`]).
//! - **Lone alarms** are expected too: homes go dark for reasons of their own. How often is read
//!   from the alarms themselves: from parents with exactly one dark child ([`Background`]).
//! - **Time** tells coincidence from cause: alarms count together when they were raised within one
//!   window ([`WINDOW_MS`]), for which lone alarms are rare; and, apart from that, whenever they were
//!   raised, for which they are not.
//! - **Siblings** that fail at one time have one cause, a card or a cable, and need no more than one
//!   explanation.
//! - **Odd lots** are left alone: when some homes below an element go dark at one time and the others
//!   do not, something has happened, but the element has not failed.
//! - **Signs of life** ([`Observation::Alive`]) speak against a failure, far more than a missing
//!   alarm does. A home without power says nothing about its line.
//!
//! All sums are whole numbers, so that the result depends on the set of the alarms and not on the
//! order in which they came.

mod background;
mod epoch;
mod observation;
#[cfg(test)]
mod tests;
mod tree;

pub(in crate::incident) use observation::{GASP_BELIEVED_MS, Observation, ended_ms, observe};
pub(in crate::incident) use tree::{is_home, is_polled, is_reporter};

use crate::clock::Millis;
use crate::topology::{ElementNo, Network};
use epoch::Epoch;
pub(in crate::incident) use epoch::odd_choice;
use std::collections::{BTreeMap, BTreeSet};
use tree::Tree;

/// Natural logarithms of probabilities, in units of 1/4096.
pub(in crate::incident) type Nats = i64;

/// One nat.
pub(super) const NAT: Nats = 4096;

/// Shares of its reports that a failure may lose; which one holds for a failure is not known.
pub(in crate::incident) const MISSED: [f64; GRID] = [0.02, 0.2, 0.5];
/// How likely each of these shares is beforehand. Most networks report nearly all; one failure in
/// seven is reported badly.
pub(in crate::incident) const MISSED_WEIGHT: [f64; GRID] = [0.5, 0.35, 0.15];
pub(in crate::incident) const GRID: usize = 3;

/// How likely it is that nothing below an element is reported, when the element that reports it is
/// dead or cut off itself. Nothing is known about how a network is managed: one half.
const SILENT_REPORTER: f64 = 0.5;

/// How likely an alarmed port holds back the alarms of what hangs on it; some makers do.
const SUPPRESSED: f64 = 0.3;

/// What an alarm of an element of the plant itself counts for: its own alarms are wrong far more
/// rarely than elements fail.
const OWN_ALARM: Nats = 20 * NAT;

/// What a sign of life counts against a failure: one report in a thousand is about another one.
pub(in crate::incident) const ALIVE: Nats = -7 * NAT;

/// What it costs a common cause of several siblings to name one of them: a line card or a cable may
/// take any of a handful.
const ONE_OF_SIBLINGS: Nats = 2 * NAT;

/// How much rarer it is that something takes an odd lot of the homes below an element than that the
/// element fails as a whole: one in twenty.
const ODD_LOT: Nats = 3 * NAT;

/// Preference for a part with an alarm of its own among parts that cannot be told apart.
const NAMED: Nats = NAT / 4;

/// Alarms within twice this time may have one cause.
pub(in crate::incident) const WINDOW_MS: i64 = 5 * 60_000;

/// How many failures are thought of at least, so that small networks are not credulous.
const FEWEST_CLASSES: f64 = 20_000.0;
/// A failure must beat chance by this beyond the number of places where it may be.
const MARGIN: f64 = 4.0;

/// For sums over any time.
pub(in crate::incident) const ANY_TIME: i64 = i64::MIN;

/// The verdict on one failed element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::incident) struct Verdict {
    /// By how much the failure explains its alarms better than chance.
    pub(in crate::incident) gain: Nats,
    /// The same for the best failures below it instead.
    pub(in crate::incident) instead: Nats,
    /// Alarmed parts at and below it that count.
    pub(in crate::incident) alarmed: u32,
    /// It fails with siblings.
    pub(in crate::incident) is_joint: bool,
    /// When: the number of the window in which it begins, [`ANY_TIME`] for no time in particular.
    pub(in crate::incident) window: i64,
}

/// Observations of a network, and what they amount to.
#[derive(Debug, Default)]
pub(in crate::incident) struct Likelihood {
    tree: Tree,
    /// By number of the window in which they begin; [`ANY_TIME`] for all together.
    epochs: BTreeMap<i64, Epoch>,
    touched: BTreeSet<i64>,
}

/// What of an element was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::incident) enum Aspect {
    /// Itself.
    Own,
    /// The only link into it.
    WayIn,
}

/// What is heard at and below an element at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::incident) enum Heard {
    Nothing,
    /// Alarms of parts of the plant, and none of the homes behind them.
    NoHomes,
    /// Anything else.
    Something,
}

impl Likelihood {
    /// For a network, without observations.
    pub(in crate::incident) fn new(network: &Network) -> Self {
        Self {
            tree: Tree::new(network),
            ..Self::default()
        }
    }

    /// Replaces an observation at an element.
    pub(in crate::incident) fn observe(
        &mut self,
        element: ElementNo,
        aspect: Aspect,
        (old, new): (Observation, Observation),
        network: &Network,
    ) {
        if old == new || !self.tree.is_served(element) {
            return;
        }
        for (observation, is_new) in [(old, false), (new, true)] {
            for key in keys(observation).into_iter().flatten() {
                let epoch = self.epochs.entry(key).or_default();
                let before = if is_new { Observation::Silent } else { old };
                let after = if is_new { new } else { Observation::Silent };
                epoch.observe(element, aspect, (before, after), &self.tree, network);
                self.touched.insert(key);
            }
        }
    }

    /// Works off what was observed since the last time.
    pub(in crate::incident) fn weigh(&mut self, network: &Network) {
        for key in std::mem::take(&mut self.touched) {
            let Some(epoch) = self.epochs.get_mut(&key) else {
                continue;
            };
            epoch.weigh(key == ANY_TIME, &self.tree, network);
            if epoch.is_empty() {
                self.epochs.remove(&key);
            }
        }
    }

    /// The elements that are held to have failed, none of them below another of the same time.
    pub(in crate::incident) fn failed(&self, network: &Network) -> BTreeMap<ElementNo, Verdict> {
        let mut failed: BTreeMap<ElementNo, Verdict> = BTreeMap::new();
        let timed = self.epochs.iter().filter(|(key, _)| **key != ANY_TIME);
        for (element, verdict) in
            timed.flat_map(|(window, epoch)| epoch.failed(*window, &self.tree, network))
        {
            let known = failed.entry(element).or_insert(verdict);
            if known.gain < verdict.gain {
                *known = verdict;
            }
        }
        let any_time = self.epochs.get(&ANY_TIME);
        let mut any_time = any_time.map_or_else(Vec::new, |epoch| {
            epoch.failed(ANY_TIME, &self.tree, network)
        });
        any_time.retain(|(element, verdict)| !is_of_times(*element, verdict, &failed, network));
        for (element, verdict) in any_time {
            let known = failed.entry(element).or_insert(verdict);
            if known.gain < verdict.gain {
                *known = verdict;
            }
        }
        failed
    }

    /// How much better what is seen at and below an element fits its being cut off than its having
    /// service, at the time at which it does so best.
    pub(in crate::incident) fn darkness(&self, element: ElementNo) -> Nats {
        let tree = &self.tree;
        let each = self.epochs.values();
        let seen = each.filter_map(|epoch| epoch.darkness(element, tree));
        seen.max().unwrap_or_else(|| mixture(tree.silence(element)))
    }

    /// The same at one time.
    pub(in crate::incident) fn darkness_at(&self, window: i64, element: ElementNo) -> Nats {
        let seen = self.epochs.get(&window);
        seen.and_then(|epoch| epoch.darkness(element, &self.tree))
            .unwrap_or_else(|| mixture(self.tree.silence(element)))
    }

    /// The same for elements that are cut off by one cause, which has one share of missed reports.
    pub(in crate::incident) fn darkness_together(
        &self,
        window: i64,
        elements: impl Iterator<Item = ElementNo>,
    ) -> Nats {
        let seen = self.epochs.get(&window);
        let each = elements.map(|element| {
            seen.and_then(|epoch| epoch.darkness_by_share(element, &self.tree))
                .unwrap_or_else(|| self.tree.silence(element))
        });
        let none = [0; GRID];
        mixture(each.fold(none, |sum, of| std::array::from_fn(|j| sum[j] + of[j])))
    }

    /// What is heard at and below an element at one time; signs of life count whenever the alarms were
    /// raised that they end.
    pub(in crate::incident) fn heard(&self, window: i64, element: ElementNo) -> Heard {
        let any_time = self.epochs.get(&ANY_TIME);
        if any_time.is_some_and(|epoch| epoch.are_homes_alive(element)) {
            return Heard::Something;
        }
        let epoch = self.epochs.get(&window);
        epoch.map_or(Heard::Nothing, |epoch| epoch.heard(element, &self.tree))
    }

    /// What a lone failure must explain at least.
    pub(in crate::incident) fn penalty(&self) -> Nats {
        self.tree.penalty
    }

    /// How what is seen of a home counts around an instant, if a fault takes that home: for each
    /// share of missed reports.
    pub(in crate::incident) fn leaf_weights(&self, at_ms: Millis) -> [LeafWeight; LEAF_SHARES] {
        let epoch = self.epochs.get(&at_ms.div_euclid(WINDOW_MS));
        let alarmed = epoch.map(Epoch::background).unwrap_or_default().alarmed();
        std::array::from_fn(|j| LeafWeight {
            alarmed: alarmed[j],
            silent: nats(MISSED[j]),
            alive: ALIVE,
        })
    }

    /// How so many missing reports speak for a failure.
    #[allow(clippy::unused_self, reason = "a question to the likelihood")]
    pub(in crate::incident) fn missed(&self, reports: i64) -> Nats {
        mixture(MISSED.map(|missed| reports.saturating_mul(nats(missed))))
    }

    /// How likely it is that of several reports of one failure just these are missing.
    #[allow(clippy::unused_self, reason = "a question to the likelihood")]
    pub(in crate::incident) fn missed_of(&self, heard: i64, missing: i64) -> Nats {
        mixture(MISSED.map(|missed| missing * nats(missed) + heard * nats(1.0 - missed)))
    }

    /// How a link that is not the only way to anything speaks for its having failed.
    #[allow(clippy::unused_self, reason = "a question to the likelihood")]
    pub(in crate::incident) fn lone_link(&self, is_alarmed: bool) -> Nats {
        if is_alarmed {
            OWN_ALARM
        } else {
            mixture(MISSED.map(nats))
        }
    }
}

/// Whether most of what speaks for the failure of an element at no time in particular are failures below
/// it that began at different times. One failure is reported late, but not by parts of the network that
/// fall silent one after the other: these fail one after the other, say as their batteries end.
fn is_of_times(
    element: ElementNo,
    verdict: &Verdict,
    timed: &BTreeMap<ElementNo, Verdict>,
    network: &Network,
) -> bool {
    // An alarm counts in two windows, so that those of one time can differ by one.
    const APART: i64 = 2;
    // In pre-order what an element dominates follows it.
    let below = timed
        .range(element..)
        .take_while(|(below, _)| network.dominates(element, **below))
        .filter(|(below, _)| **below != element);
    let (mut first, mut last, mut alarmed) = (i64::MAX, i64::MIN, 0u32);
    for (_, below) in below {
        first = first.min(below.window);
        last = last.max(below.window);
        alarmed = alarmed.saturating_add(below.alarmed);
    }
    let is_timed = timed.contains_key(&element);
    !is_timed && last.saturating_sub(first) >= APART && alarmed > verdict.alarmed / 2
}

/// Shares of missed reports that are thought of.
pub(in crate::incident) const LEAF_SHARES: usize = GRID;

/// What a home counts.
#[derive(Clone, Copy, Debug)]
pub(in crate::incident) struct LeafWeight {
    alarmed: Nats,
    pub(in crate::incident) silent: Nats,
    pub(in crate::incident) alive: Nats,
}

impl LeafWeight {
    /// It said that it lost power, as a share of homes does that lose it.
    pub(in crate::incident) fn gasped(self, share: f64) -> Nats {
        self.alarmed + nats(share)
    }

    /// It fell silent without a word.
    pub(in crate::incident) fn fell_silent(self, share: f64) -> Nats {
        self.alarmed + nats(1.0 - share)
    }
}

/// The windows in which an observation counts.
fn keys(observation: Observation) -> [Option<i64>; 3] {
    let Some(at_ms) = observation.at_ms() else {
        return [None; 3];
    };
    let window = at_ms.div_euclid(WINDOW_MS);
    [Some(ANY_TIME), Some(window - 1), Some(window)]
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "logarithms of probabilities are small"
)]
fn nats(probability: f64) -> Nats {
    (probability.ln() * NAT as f64).round() as Nats
}

/// ln Σ weight · e^x over the shares of missed reports.
pub(in crate::incident) fn mixture(values: [Nats; GRID]) -> Nats {
    let most = values.iter().copied().max().unwrap_or(0);
    let sum: f64 = values
        .iter()
        .zip(MISSED_WEIGHT)
        .map(|(&value, weight)| weight * ((value - most) as f64 / NAT as f64).exp())
        .sum();
    most + nats(sum)
}

/// ln ((1 - p) · e^x + p): with probability p nothing is seen, whatever there is to be seen.
fn unless_silent(value: Nats, silent: f64) -> Nats {
    // Beyond this the one term vanishes beside the other.
    const FAR: Nats = 40 * NAT;
    if value > FAR {
        return value + nats(1.0 - silent);
    }
    if value < -FAR {
        return nats(silent);
    }
    nats((1.0 - silent) * (value as f64 / NAT as f64).exp() + silent)
}
