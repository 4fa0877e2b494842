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
        let steps = region.steps(network);
        let better = steps.into_iter().filter_map(|parts| {
            let larger = Region::of(parts, network);
            let gain = larger.gain_over(&region, window, candidates, network)?;
            (gain > 0).then_some((gain, larger))
        });
        // Of equals the first, whose parts come first.
        let Some((_, best)) = better
            .max_by_key(|(gain, larger)| (*gain, std::cmp::Reverse(ids(&larger.parts, network))))
        else {
            break;
        };
        region = best;
    }
    region.parts
}

fn ids(parts: &[Part], network: &Network) -> Vec<String> {
    let each = parts.iter();
    each.map(|&part| network.part_id(part).to_owned()).collect()
}

/// What some parts cut off.
struct Region {
    /// Sorted by id.
    parts: Vec<Part>,
    cut: CutOff,
    lost: SubscriberSet,
}

impl Region {
    fn of(mut parts: Vec<Part>, network: &Network) -> Self {
        parts.sort_unstable_by_key(|&part| network.part_id(part));
        parts.dedup();
        Self {
            cut: network.cut_off(&parts),
            lost: network.lost(&parts),
            parts,
        }
    }

    /// The parts with one of them moved to a device beside it that has service.
    fn steps(&self, network: &Network) -> Vec<Vec<Part>> {
        let mut steps = Vec::new();
        for (at, &part) in self.parts.iter().enumerate() {
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
                parts[at] = Part::Element(other);
                steps.push(parts);
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
        let holds_parts = smaller.parts.iter().all(|&part| match part {
            Part::Element(element) => self.cut.is_cut_off(element),
            Part::Link(link) => {
                let (a, b) = network.link_ends(link);
                self.cut.is_cut_off(a) && self.cut.is_cut_off(b) || self.parts.contains(&part)
            }
            Part::Group(_) => self.parts.contains(&part),
        });
        if !holds_parts || !is_within(&smaller.lost, &self.lost) {
            return None;
        }
        let new = self.cut.difference(&smaller.cut);
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
        Some(seen - alone)
    }
}
