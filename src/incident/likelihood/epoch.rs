//! The likelihood of failures at one time: sparse sums over the dominator tree.

use super::background::Background;
use super::observation::Observation;
use super::tree::{Tree, is_home, is_polled, is_reporter};
use super::{
    ALIVE, Aspect, GRID, Heard, MISSED, NAMED, NAT, Nats, ODD_LOT, ONE_OF_SIBLINGS, OWN_ALARM,
    SILENT_REPORTER, SUPPRESSED, Verdict, mixture, nats, unless_silent,
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
    /// Elements at which something failed, and whose immediate dominator is no such element.
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
    /// Alarmed parts at and below the children that are no homes; homes among them.
    alarmed_below: u32,
    alarmed_homes_below: u32,
    /// Homes at and below those children that are alive.
    alive_below: u32,
    /// What hangs on it, if nothing of it were seen.
    silence_below: [Nats; GRID],
    /// Of the children that are no homes: how much they differ from silence.
    children: [Nats; GRID],
    /// Of the children: what the best failures explain.
    best_below: Nats,
    /// The same, with those that may share one cause left unexplained.
    joint_below: Nats,
    /// How many may.
    joinable: u32,
    /// As it was told to the dominator.
    told: Told,
    state: State,
}

/// What is held to have failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing here; perhaps something below.
    #[default]
    Alive,
    /// The element.
    Failed,
    /// Those of its children that can share a cause.
    Joint,
}

/// What an element adds to the sums of its dominator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    /// Likelihood of what is seen at and below it, if it is cut off: the difference to silence.
    cut_off: [Nats; GRID],
    /// What the best failures at and below it explain.
    best: Nats,
    /// How well its failure explains what is seen, if it needs no explanation of its own; 0 if it
    /// explains less than `best`.
    joint: Nats,
    alarmed_in_all: u32,
    alarmed_homes: u32,
    alive_homes: u32,
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
            alarmed_homes_below: 0,
            alive_below: 0,
            silence_below: tree.silence_below(element, network),
            children: [0; GRID],
            best_below: 0,
            joint_below: 0,
            joinable: 0,
            told: Told::default(),
            state: State::Alive,
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
            let (told, state) = node.judge(element, &alarmed, tree, network);
            let before = std::mem::replace(&mut node.told, told);
            let was = std::mem::replace(&mut node.state, state);
            let flipped = (was == State::Alive) != (state == State::Alive);
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

    fn state(&self, element: ElementNo) -> State {
        let node = self.nodes.get(&element.0);
        node.map_or(State::Alive, |node| node.state)
    }

    /// Keeps [`Self::tops`] after an element has come to have failures at it, or has none any more.
    fn place(&mut self, element: ElementNo, network: &Network) {
        let itself = self.state(element) != State::Alive;
        let above = network.immediate_dominator(element);
        if itself && above.is_none_or(|above| self.state(above) == State::Alive) {
            self.tops.insert(element.0);
        } else {
            self.tops.remove(&element.0);
        }
        for child in network.dominator_children(element) {
            if self.state(child) != State::Alive {
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
        tree: &Tree,
        network: &Network,
    ) -> Vec<(ElementNo, Verdict)> {
        let mut failed = Vec::new();
        for &top in &self.tops {
            let top = ElementNo(top);
            if !self.is_explained(top, network) {
                self.collect(top, window, tree, network, &mut failed);
            }
        }
        failed
    }

    /// Whether something above an element has failed that cuts it off.
    fn is_explained(&self, element: ElementNo, network: &Network) -> bool {
        let mut below = element;
        while let Some(above) = network.immediate_dominator(below) {
            match self.state(above) {
                State::Failed => return true,
                State::Joint if self.is_joinable(below) => return true,
                _ => below = above,
            }
        }
        false
    }

    fn is_joinable(&self, element: ElementNo) -> bool {
        let node = self.nodes.get(&element.0);
        node.is_some_and(|node| node.told.joint > 0)
    }

    fn collect(
        &self,
        element: ElementNo,
        window: i64,
        tree: &Tree,
        network: &Network,
        failed: &mut Vec<(ElementNo, Verdict)>,
    ) {
        let Some(node) = self.nodes.get(&element.0) else {
            return;
        };
        match node.state {
            State::Alive => {}
            State::Failed => failed.push((
                element,
                Verdict {
                    gain: node.told.best,
                    instead: node.best_below,
                    alarmed: node.told.alarmed_in_all,
                    is_joint: false,
                    window,
                },
            )),
            State::Joint => {
                let share = tree.penalty / i64::from(node.joinable.max(1));
                for child in network.dominator_children(element) {
                    let Some(below) = self.nodes.get(&child.0) else {
                        continue;
                    };
                    if below.told.joint > 0 {
                        failed.push((
                            child,
                            Verdict {
                                gain: below.told.joint - share,
                                instead: below.best_below,
                                alarmed: below.told.alarmed_in_all,
                                is_joint: true,
                                window,
                            },
                        ));
                    } else {
                        self.collect(child, window, tree, network, failed);
                    }
                }
            }
        }
    }

    /// What the best failures at and below an element explain.
    #[cfg(test)]
    pub(super) fn best(&self, element: ElementNo) -> Nats {
        self.nodes.get(&element.0).map_or(0, |node| node.told.best)
    }

    /// What is heard at and below an element.
    pub(super) fn heard(&self, element: ElementNo, tree: &Tree) -> Heard {
        let told = self.nodes.get(&element.0).map(|node| node.told);
        match told.unwrap_or_default() {
            told if told == Told::default() => Heard::Nothing,
            Told {
                alarmed_homes: 0,
                alarmed_in_all: 1..,
                ..
            } if tree.homes_below(element) >= FEWEST_ALARMED => Heard::NoHomes,
            _ => Heard::Something,
        }
    }

    /// Whether homes at or below an element show that they are alive.
    pub(super) fn are_homes_alive(&self, element: ElementNo) -> bool {
        let node = self.nodes.get(&element.0);
        node.is_some_and(|node| node.told.alive_homes > 0)
    }

    /// See [`super::Likelihood::darkness`].
    pub(super) fn darkness(&self, element: ElementNo, tree: &Tree) -> Option<Nats> {
        Some(mixture(self.darkness_by_share(element, tree)?))
    }

    /// The same for each share of missed reports.
    pub(super) fn darkness_by_share(
        &self,
        element: ElementNo,
        tree: &Tree,
    ) -> Option<[Nats; GRID]> {
        let node = self.nodes.get(&element.0)?;
        let silence = tree.silence(element);
        Some(std::array::from_fn(|j| node.told.cut_off[j] + silence[j]))
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
        self.joint_below += now.best.max(now.joint) - before.best.max(before.joint);
        self.joinable += u32::from(now.joint > 0);
        self.joinable -= u32::from(before.joint > 0);
        self.alarmed_homes_below += now.alarmed_homes;
        self.alarmed_homes_below -= before.alarmed_homes;
        self.alive_below += now.alive_homes;
        self.alive_below -= before.alive_homes;
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

    /// What it tells its dominator, and what is held to have failed.
    fn judge(
        &self,
        element: ElementNo,
        alarmed: &[Nats; GRID],
        tree: &Tree,
        network: &Network,
    ) -> (Told, State) {
        let cut_off = self.cut_off(network.kind(element), alarmed);
        let own_alarms = u32::from(self.own.is_alarmed()) + u32::from(self.way_in.is_alarmed());
        let alarmed_in_all = self.alarmed_below + self.alarmed + own_alarms;
        let alarmed_homes = self.alarmed_homes_below + self.alarmed;
        let named = if own_alarms > 0 { NAMED } else { 0 };
        let is_backed = own_alarms > 0 || alarmed_in_all >= FEWEST_ALARMED;
        let odd_lot = odd_lot(alarmed_homes, tree.homes_below(element), alarmed[0]);
        let whole = mixture(cut_off) + named;
        let is_whole = is_backed && whole >= odd_lot;
        let failure = whole - tree.penalty;
        let joint = self.joint_below - tree.penalty;
        let odd_lot = odd_lot - tree.penalty;
        let instead = self.best_below.max(odd_lot).max(0);
        let (best, state) = if is_whole && failure > 0 && failure >= instead.max(joint) {
            (failure, State::Failed)
        } else if self.joinable >= 2 && joint > instead {
            (joint, State::Joint)
        } else {
            (instead, State::Alive)
        };
        let silence = tree.silence(element);
        let with_siblings = whole - ONE_OF_SIBLINGS;
        let told = Told {
            cut_off: std::array::from_fn(|j| cut_off[j] - silence[j]),
            best,
            joint: if is_whole && with_siblings > best {
                with_siblings
            } else {
                0
            },
            alarmed_in_all,
            alarmed_homes,
            alive_homes: self.alive_below + self.alive,
        };
        (told, state)
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

/// How well it explains the alarms that something has taken so many of the homes and left the others,
/// any number being as likely as any other.
fn odd_lot(alarmed: u32, homes: u32, each: Nats) -> Nats {
    if alarmed < FEWEST_ALARMED || alarmed > homes {
        return Nats::MIN / 4;
    }
    let lots = ln_choose(homes, alarmed) + f64::from(homes + 1).ln();
    #[allow(
        clippy::cast_possible_truncation,
        reason = "at most some millions of nats"
    )]
    let lots = (lots * NAT as f64) as Nats;
    i64::from(alarmed) * each - lots - ODD_LOT
}

/// What it costs that something takes just so many of so many.
pub(in crate::incident) fn odd_choice(of: usize, chosen: usize) -> Nats {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let ways = ln_choose(number(of).max(number(chosen)), number(chosen));
    #[allow(clippy::cast_possible_truncation, reason = "some dozens of nats")]
    let ways = (ways * NAT as f64) as Nats;
    ways + ODD_LOT
}

/// ln of the number of ways to choose so many out of so many, by Stirling's series (error below 1e-3).
fn ln_choose(of: u32, chosen: u32) -> f64 {
    let ln_factorial = |n: u32| {
        let x = f64::from(n) + 1.0;
        (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + 1.0 / (12.0 * x)
    };
    (ln_factorial(of) - ln_factorial(chosen) - ln_factorial(of - chosen)).max(0.0)
}
