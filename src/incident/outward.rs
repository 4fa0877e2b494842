//! Ends of a dark region that did not say anything themselves: of failures that cut people off only
//! together, each is looked for further out as long as what is newly cut off is seen to be dark.

use super::candidates::{Candidates, sole_parent};
use super::joint::window_of;
use super::likelihood::{ALIVE, Nats, is_polled};
use super::localise::is_within;
use crate::alarm::AlarmBook;
use crate::topology::{CutOff, ElementNo, LinkNo, Network, Part, SubscriberSet};
use std::collections::BTreeSet;

/// A ring of more devices is searched no further.
const MOST_STEPS: usize = 16;
/// Regions that more parts cut off have no ends to be looked for: what takes so much is far larger
/// than a ring, and says so itself.
pub(super) const MOST_PARTS: usize = 16;
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
    let links: Vec<LinkNo> = candidates.alarmed_links().collect();
    let mut region = Region::of(parts, network);
    for _ in 0..MOST_STEPS {
        let seen = region.darkness(window, &links, candidates, network);
        let gain = |larger: &Region, is_far: bool| {
            let alone = larger.replaces(&region, is_far, &links, candidates, network)?;
            Some(larger.darkness(window, &links, candidates, network) - seen - alone)
        };
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
    fn better(
        &self,
        network: &Network,
        gain: impl Fn(&Self, bool) -> Option<Nats>,
    ) -> Option<Self> {
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
                if !region.holds(self, network) {
                    continue;
                }
                if let Some(at) = region.position(end).filter(|_| depth < deepest) {
                    further.push((region.parts.clone(), at));
                }
                let Some(gain) = gain(&region, depth > 1) else {
                    continue;
                };
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
            let further = further.into_iter();
            let further = further.map(|(parts, at)| Self::of(parts, network).steps(at, network));
            ends = further.flatten().collect();
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
                Part::Element(element) if !is_of_device(element, network) => network
                    .parents(element)
                    .chain(network.children(element))
                    .collect(),
                Part::Link(link) => {
                    let (a, b) = network.link_ends(link);
                    BTreeSet::from([a, b])
                }
                Part::Element(_) | Part::Group(_) => BTreeSet::new(),
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

    /// Whether all that a smaller one takes is in it.
    fn holds(&self, smaller: &Self, network: &Network) -> bool {
        let mut held = smaller.parts.iter();
        held.all(|&part| self.covers(part, network)) && is_within(&smaller.lost, &self.lost)
    }

    /// What the failures explain by themselves that it takes in beyond those of a smaller one; `None` if
    /// what it takes in is too little for it.
    fn replaces(
        &self,
        smaller: &Self,
        is_far: bool,
        links: &[LinkNo],
        candidates: &Candidates,
        network: &Network,
    ) -> Option<Nats> {
        let (new, inner) = (
            self.cut.difference(&smaller.cut),
            self.inner_links(links, network),
        );
        let failed = replaced(&new, candidates);
        let is_lone = failed.len() < 2;
        // Somebody who has service has reported a link in there; one alarm alone does not outweigh that.
        if is_lone && (is_far || inner > smaller.inner_links(links, network)) {
            return None;
        }
        Some(failed.into_iter().sum())
    }

    /// How much better what is seen fits it that all this is cut off by one cause than that all of it
    /// has service.
    pub(super) fn darkness(
        &self,
        window: i64,
        links: &[LinkNo],
        candidates: &Candidates,
        network: &Network,
    ) -> Nats {
        let likelihood = candidates.likelihood();
        let at = [window - 1, window]
            .map(|at| likelihood.darkness_together(at, network.heads(&self.cut)));
        at[0].max(at[1]) + self.inner_links(links, network) * ALIVE
    }

    /// Alarmed links with both ends cut off, of which nobody there could have told.
    fn inner_links(&self, links: &[LinkNo], network: &Network) -> Nats {
        let inner = links.iter().filter(|&&link| {
            let (a, b) = network.link_ends(link);
            let is_inside = self.cut.is_cut_off(a) && self.cut.is_cut_off(b);
            is_inside && !self.parts.contains(&Part::Link(link))
        });
        Nats::try_from(inner.count()).unwrap_or(0)
    }
}

/// Whether an element is a port, or hangs on one: nothing lies further out but its device, and whether that has
/// failed its other ports tell.
fn is_of_device(element: ElementNo, network: &Network) -> bool {
    !is_polled(network.kind(element)) && sole_parent(network, element).is_some()
}

/// What the failures that are held to have happened among some elements explain, each by itself.
pub(super) fn replaced(cut: &CutOff, candidates: &Candidates) -> Vec<Nats> {
    let failed = candidates.failed().iter();
    let failed = failed.filter(|(element, _)| cut.is_cut_off(**element));
    failed.map(|(_, verdict)| verdict.gain).collect()
}
