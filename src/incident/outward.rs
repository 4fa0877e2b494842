//! Ends of a dark region that did not say anything themselves: of failures that cut people off only
//! together, each is looked for further out as long as what is newly cut off is seen to be dark.

use super::candidates::Candidates;
use super::joint::window_of;
use super::likelihood::{Nats, is_polled};
use super::localise::is_within;
use crate::alarm::AlarmBook;
use crate::topology::{CutOff, ElementNo, Network, Part, SubscriberSet};
use std::collections::BTreeSet;

/// A ring of more devices is searched no further.
const MOST_STEPS: usize = 16;
/// Regions that more parts cut off have no ends to be looked for: what takes so much is far larger
/// than a ring, and says so itself.
const MOST_PARTS: usize = 16;
/// Devices in a line that may be passed before one is seen to be dark: some of those that are cut off
/// say nothing, or not yet.
const MOST_SILENT: usize = 4;
/// Only ends of regions that so few parts cut off are looked for behind silent devices: the work grows
/// with both.
const FEW_PARTS: usize = 4;

/// The parts, or others further out that explain what is seen better.
pub(super) fn push_out(
    parts: Vec<Part>,
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> Vec<Part> {
    if parts.len() > MOST_PARTS {
        return parts;
    }
    let windows = parts.iter();
    let windows = windows.filter_map(|&part| window_of(part, candidates, book));
    let Some(window) = windows.min() else {
        return parts;
    };
    let mut region = Region::of(parts, network);
    for _ in 0..MOST_STEPS {
        let gain = |larger: &Region| larger.gain_over(&region, window, candidates, network);
        let Some(better) = region.better(network, gain) else {
            break;
        };
        region = better;
    }
    region.parts
}

/// What some parts cut off.
pub(super) struct Region {
    /// Sorted by id.
    parts: Vec<Part>,
    cut: CutOff,
    lost: SubscriberSet,
}

impl Region {
    pub(super) fn of(mut parts: Vec<Part>, network: &Network) -> Self {
        parts.sort_unstable_by_key(|&part| network.part_id(part));
        parts.dedup();
        Self {
            cut: network.cut_off(&parts),
            lost: network.lost(&parts),
            parts,
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) fn into_parts(self) -> Vec<Part> {
        self.parts
    }

    pub(super) fn cut(&self) -> &CutOff {
        &self.cut
    }

    pub(super) fn ids(&self, network: &Network) -> Vec<String> {
        let each = self.parts.iter();
        each.map(|&part| network.part_id(part).to_owned()).collect()
    }

    /// Whether a part is one of those that failed, or is cut off by them.
    pub(super) fn covers(&self, part: Part, network: &Network) -> bool {
        match part {
            Part::Element(element) => self.cut.is_cut_off(element),
            Part::Link(link) => {
                let (a, b) = network.link_ends(link);
                self.cut.is_cut_off(a) && self.cut.is_cut_off(b) || self.parts.contains(&part)
            }
            Part::Group(_) => self.parts.contains(&part),
        }
    }

    /// The best of the regions with one end further out; past silent devices only if none right beside
    /// it is better.
    fn better(&self, network: &Network, gain: impl Fn(&Self) -> Option<Nats>) -> Option<Self> {
        let mut ends: Vec<(Self, ElementNo)> = (0..self.parts.len())
            .flat_map(|at| self.steps(at, network))
            .collect();
        let deepest = if self.parts.len() > FEW_PARTS {
            1
        } else {
            1 + MOST_SILENT
        };
        for depth in 1..=deepest {
            let mut best: Option<(Nats, Self)> = None;
            let mut further = Vec::new();
            for (region, end) in ends {
                let Some(gain) = gain(&region) else { continue };
                if let Some(at) = region.position(end).filter(|_| depth < deepest) {
                    further.extend(region.steps(at, network));
                }
                // Of equals the first, whose parts come first.
                let rank = |gain, region: &Self| (gain, std::cmp::Reverse(region.ids(network)));
                let beaten = |(g, r): &(Nats, Self)| rank(*g, r) < rank(gain, &region);
                if gain > 0 && best.as_ref().is_none_or(beaten) {
                    best = Some((gain, region));
                }
            }
            if let Some((_, region)) = best {
                return Some(region);
            }
            ends = further;
        }
        None
    }

    fn position(&self, end: ElementNo) -> Option<usize> {
        let mut parts = self.parts.iter();
        parts.position(|&part| part == Part::Element(end))
    }

    /// The regions with one part moved to a device beside it that has service, and that device.
    fn steps(&self, at: usize, network: &Network) -> Vec<(Self, ElementNo)> {
        let mut steps = Vec::new();
        if let Some(&part) = self.parts.get(at) {
            let beside: BTreeSet<ElementNo> = match part {
                Part::Element(element) => network
                    .parents(element)
                    .chain(network.children(element))
                    .collect(),
                Part::Link(link) => {
                    let (a, b) = network.link_ends(link);
                    BTreeSet::from([a, b])
                }
                Part::Group(_) => BTreeSet::new(),
            };
            let alive = beside.into_iter().filter(|&other| {
                is_polled(network.kind(other))
                    && !network.is_gateway(other)
                    && !self.cut.is_cut_off(other)
            });
            for other in alive {
                let mut parts = self.parts.clone();
                if let Some(part) = parts.get_mut(at) {
                    *part = Part::Element(other);
                }
                steps.push((Self::of(parts, network), other));
            }
        }
        steps
    }

    /// By how much it explains what is seen better than a smaller one; `None` if it does not hold
    /// that one.
    fn gain_over(
        &self,
        smaller: &Self,
        window: i64,
        candidates: &Candidates,
        network: &Network,
    ) -> Option<Nats> {
        let mut held = smaller.parts.iter();
        let holds_parts = held.all(|&part| self.covers(part, network));
        if !holds_parts || !is_within(&smaller.lost, &self.lost) {
            return None;
        }
        let new = self.cut.difference(&smaller.cut);
        Some(darker_together(&new, window, candidates, network))
    }
}

/// How much better it explains what is seen of some elements that they are all cut off by one cause than
/// that each of their failures happened by itself.
pub(super) fn darker_together(
    new: &CutOff,
    window: i64,
    candidates: &Candidates,
    network: &Network,
) -> Nats {
    let heads = new.elements().filter(|&element| {
        let above = network.immediate_dominator(element);
        !above.is_some_and(|above| new.is_cut_off(above))
    });
    let likelihood = candidates.likelihood();
    let dark_at = |element| {
        let at = [window - 1, window].map(|at| likelihood.darkness_at(at, element));
        at[0].max(at[1])
    };
    let seen: Nats = heads.map(dark_at).sum();
    let alone = candidates.failed().iter();
    let alone: Nats = alone
        .filter(|(element, _)| new.is_cut_off(**element))
        .map(|(_, verdict)| verdict.gain)
        .sum();
    seen - alone
}
