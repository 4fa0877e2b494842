//! The likelihood of failures at one time: sparse sums over the dominator tree.

use super::background::Background;
use super::observation::Observation;
use super::tree::{Tree, is_home, is_polled, is_reporter};
use super::{
    ALIVE, Aspect, GRID, MISSED, NAMED, Nats, OWN_ALARM, SILENT_REPORTER, SUPPRESSED, Verdict,
    mixture, nats, unless_silent,
};
use crate::incident::candidates::NumberMap;
use crate::topology::{ElementKind, ElementNo, Network};
use std::collections::{BTreeSet, BinaryHeap};

/// Failures need so many alarmed parts, or an alarm of their own.
const FEWEST_ALARMED: u32 = 2;

/// What was seen within one window, and what it amounts to.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    /// Elements that are no homes, at or below which something is seen.
    nodes: NumberMap<u32, Node>,
    /// Elements to be worked off, with repetitions.
    dirty: Vec<u32>,
    /// Elements that are better explained by their own failure than by those below them, and whose
    /// immediate dominator is not.
    tops: BTreeSet<u32>,
    /// Parents with exactly one dark home.
    singles: u32,
    background: Background,
}

/// What is seen of an element that is no home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Own {
    #[default]
    Silent,
    Alarmed,
    Alive,
}

impl Own {
    fn of(observation: Observation) -> Self {
        match observation {
            Observation::Silent => Self::Silent,
            Observation::Alarmed(_) | Observation::NoPower(_) => Self::Alarmed,
            Observation::Alive(_) => Self::Alive,
        }
    }

    fn is_alarmed(self) -> bool {
        self == Self::Alarmed
    }
}

#[derive(Clone, Debug)]
struct Node {
    own: Own,
    way_in: Own,
    /// Homes right below.
    alarmed: u32,
    no_power: u32,
    alive: u32,
    /// Alarmed parts at and below the children that are no homes.
    alarmed_below: u32,
    /// What hangs on it, if nothing of it were seen.
    silence_below: [Nats; GRID],
    /// Of the children that are no homes: how much they differ from silence.
    children: [Nats; GRID],
    /// Of the children: what the best failures explain.
    best_below: Nats,
    /// As it was told to the dominator.
    told: Told,
    is_failed: bool,
}

/// What an element adds to the sums of its dominator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    /// Likelihood of what is seen at and below it, if it is cut off: the difference to silence.
    cut_off: [Nats; GRID],
    /// What the best failures at and below it explain.
    best: Nats,
    alarmed_in_all: u32,
}

impl Epoch {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn background(&self) -> Background {
        self.background
    }

    /// Replaces an observation at an element.
    pub(super) fn observe(
        &mut self,
        element: ElementNo,
        aspect: Aspect,
        (old, new): (Observation, Observation),
        tree: &Tree,
        network: &Network,
    ) {
        if aspect == Aspect::Own && is_home(network, element) {
            let Some(parent) = network.immediate_dominator(element) else {
                return;
            };
            let node = self.node(parent, tree, network);
            let was_single = node.alarmed == 1;
            node.count_home(old, false);
            node.count_home(new, true);
            let is_single = node.alarmed == 1;
            self.singles += u32::from(is_single);
            self.singles -= u32::from(was_single);
            self.dirty.push(parent.0);
        } else {
            let node = self.node(element, tree, network);
            match aspect {
                Aspect::Own => node.own = Own::of(new),
                Aspect::WayIn => node.way_in = Own::of(new),
            }
            self.dirty.push(element.0);
        }
    }

    fn node(&mut self, element: ElementNo, tree: &Tree, network: &Network) -> &mut Node {
        self.nodes.entry(element.0).or_insert_with(|| Node {
            own: Own::Silent,
            way_in: Own::Silent,
            alarmed: 0,
            no_power: 0,
            alive: 0,
            alarmed_below: 0,
            silence_below: tree.silence_below(element, network),
            children: [0; GRID],
            best_below: 0,
            told: Told::default(),
            is_failed: false,
        })
    }

    /// Works off what was observed, from the premises upwards.
    pub(super) fn weigh(&mut self, is_any_time: bool, tree: &Tree, network: &Network) {
        let background = Background::of(self.singles, tree.homes, is_any_time);
        let mut open: BinaryHeap<u32> = std::mem::take(&mut self.dirty).into();
        if background != self.background {
            self.background = background;
            let with_homes = self.nodes.iter().filter(|(_, node)| node.alarmed > 0);
            open.extend(with_homes.map(|(&element, _)| element));
        }
        let alarmed = background.alarmed();
        while let Some(element) = open.pop() {
            while open.peek() == Some(&element) {
                open.pop();
            }
            let element = ElementNo(element);
            let Some(node) = self.nodes.get_mut(&element.0) else {
                continue;
            };
            let (told, is_failed) = node.judge(element, &alarmed, tree, network);
            let before = std::mem::replace(&mut node.told, told);
            let flipped = std::mem::replace(&mut node.is_failed, is_failed) != is_failed;
            let is_bare = node.is_bare();
            if told != before
                && let Some(parent) = network.immediate_dominator(element)
            {
                self.node(parent, tree, network).hear(before, told);
                open.push(parent.0);
            }
            if flipped {
                self.place(element, network);
            }
            if is_bare {
                self.nodes.remove(&element.0);
            }
        }
    }

    /// Keeps [`Self::tops`] after an element has changed between failed and not.
    fn place(&mut self, element: ElementNo, network: &Network) {
        let is_failed = |nodes: &NumberMap<u32, Node>, no: u32| {
            nodes.get(&no).is_some_and(|node| node.is_failed)
        };
        let itself = is_failed(&self.nodes, element.0);
        let above = network
            .immediate_dominator(element)
            .is_some_and(|above| is_failed(&self.nodes, above.0));
        if itself && !above {
            self.tops.insert(element.0);
        } else {
            self.tops.remove(&element.0);
        }
        for child in network.dominator_children(element) {
            if is_failed(&self.nodes, child.0) {
                if itself {
                    self.tops.remove(&child.0);
                } else {
                    self.tops.insert(child.0);
                }
            }
        }
    }

    /// The failed elements that hang on no other one.
    pub(super) fn failed(
        &self,
        window: i64,
        network: &Network,
    ) -> impl Iterator<Item = (ElementNo, Verdict)> {
        let is_failed = |element: &ElementNo| {
            let node = self.nodes.get(&element.0);
            node.is_some_and(|node| node.is_failed)
        };
        self.tops.iter().filter_map(move |&top| {
            let top = ElementNo(top);
            let above = |&element: &ElementNo| network.immediate_dominator(element);
            let mut line = std::iter::successors(above(&top), above);
            let node = self.nodes.get(&top.0)?;
            let verdict = Verdict {
                gain: node.told.best,
                instead: node.best_below,
                alarmed: node.told.alarmed_in_all,
                window,
            };
            (!line.any(|element| is_failed(&element))).then_some((top, verdict))
        })
    }

    /// See [`super::Likelihood::darkness`].
    pub(super) fn darkness(&self, element: ElementNo, tree: &Tree) -> Option<Nats> {
        let node = self.nodes.get(&element.0)?;
        let silence = tree.silence(element);
        Some(mixture(std::array::from_fn(|j| {
            node.told.cut_off[j] + silence[j]
        })))
    }
}

impl Node {
    fn count_home(&mut self, observation: Observation, up: bool) {
        let count = match observation {
            Observation::Silent => return,
            Observation::Alarmed(_) => &mut self.alarmed,
            Observation::NoPower(_) => &mut self.no_power,
            Observation::Alive(_) => &mut self.alive,
        };
        *count = if up {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
    }

    /// Takes over what a child tells now instead of what it told before.
    fn hear(&mut self, before: Told, now: Told) {
        for (sum, (before, now)) in self
            .children
            .iter_mut()
            .zip(before.cut_off.into_iter().zip(now.cut_off))
        {
            *sum += now - before;
        }
        self.best_below += now.best - before.best;
        self.alarmed_below += now.alarmed_in_all;
        self.alarmed_below -= before.alarmed_in_all;
    }

    /// Nothing is seen at or below it.
    fn is_bare(&self) -> bool {
        self.own == Own::Silent
            && self.way_in == Own::Silent
            && self.told == Told::default()
            && self.alarmed + self.no_power + self.alive + self.alarmed_below == 0
            && self.children == [0; GRID]
            && self.best_below == 0
    }

    /// What it tells its dominator, and whether it is held to have failed itself.
    fn judge(
        &self,
        element: ElementNo,
        alarmed: &[Nats; GRID],
        tree: &Tree,
        network: &Network,
    ) -> (Told, bool) {
        let cut_off = self.cut_off(network.kind(element), alarmed);
        let own_alarms = u32::from(self.own.is_alarmed()) + u32::from(self.way_in.is_alarmed());
        let alarmed_in_all = self.alarmed_below + self.alarmed + own_alarms;
        let named = if own_alarms > 0 { NAMED } else { 0 };
        let failure = mixture(cut_off) - tree.penalty + named;
        let is_backed = own_alarms > 0 || alarmed_in_all >= FEWEST_ALARMED;
        let is_failed = is_backed && failure > 0 && failure >= self.best_below;
        let silence = tree.silence(element);
        let told = Told {
            cut_off: std::array::from_fn(|j| cut_off[j] - silence[j]),
            best: if is_failed { failure } else { self.best_below },
            alarmed_in_all,
        };
        (told, is_failed)
    }

    /// Likelihood of what is seen at and below it if it is cut off, against its having service.
    fn cut_off(&self, kind: ElementKind, alarmed: &[Nats; GRID]) -> [Nats; GRID] {
        std::array::from_fn(|j| {
            let missed = nats(MISSED[j]);
            let below = self.silence_below[j]
                + self.children[j]
                + i64::from(self.alarmed) * (alarmed[j] - missed)
                - i64::from(self.no_power) * missed
                + i64::from(self.alive) * (ALIVE - missed);
            let below = if is_reporter(kind) {
                unless_silent(below, SILENT_REPORTER)
            } else if self.own == Own::Alarmed {
                unless_silent(below, SUPPRESSED)
            } else {
                below
            };
            let own = match self.own {
                Own::Alarmed => OWN_ALARM,
                Own::Alive => ALIVE,
                Own::Silent if is_polled(kind) => missed,
                Own::Silent => 0,
            };
            let way_in = match self.way_in {
                Own::Alarmed => OWN_ALARM,
                Own::Alive => ALIVE,
                Own::Silent => 0,
            };
            below + own + way_in
        })
    }
}
