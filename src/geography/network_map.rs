//! Where the subscribers and the elements of one version of the network are, and who and what lies
//! inside an area.

use super::area::Area;
use super::nearest::{Neighbour, nearest};
use super::point_index::PointIndex;
use super::problem::AreaWarning;
use crate::topology::{ElementNo, Network, Position, SubscriberSet};
use std::ops::Range;

/// The premises of a version of the network: which subscribers live inside an area, exactly.
#[derive(Debug, Default)]
pub struct PremisesIndex {
    /// Numbers are ranks.
    index: PointIndex,
    /// Per rank its slot in the index; [`NOWHERE`] without a position.
    slots: Vec<u32>,
    subscribers: usize,
    /// At latitude 0, longitude 0.
    at_null_island: usize,
}

const NOWHERE: u32 = u32::MAX;

/// Where a geocoder puts what it does not find.
const NULL_ISLAND: Position = Position {
    latitude: 0.0,
    longitude: 0.0,
};

impl PremisesIndex {
    /// An index of the positions of a network's subscribers, by subscriber number; positions beyond
    /// the network's subscribers, or off the earth, are left out.
    pub fn build(network: &Network, positions: &[Option<Position>]) -> Self {
        let subscribers = network.subscriber_count();
        let placed = (0..).zip(positions).take(subscribers);
        let placed = placed.filter_map(|(no, position)| Some((no, position.filter(on_earth)?)));
        let ranked = placed.map(|(no, position)| {
            let subscriber = crate::topology::SubscriberNo(no);
            (network.rank_of(subscriber), position)
        });
        let nowhere = |p: &&Position| p.latitude == 0.0 && p.longitude == 0.0;
        let index = PointIndex::new(ranked);
        let mut slots = vec![NOWHERE; subscribers];
        for (slot, &rank) in (0..).zip(&index.numbers) {
            if let Some(of_rank) = slots.get_mut(rank as usize) {
                *of_rank = slot;
            }
        }
        Self {
            index,
            slots,
            subscribers,
            at_null_island: positions.iter().flatten().filter(nowhere).count(),
        }
    }

    /// The subscribers whose premises lie inside.
    pub fn within(&self, area: &Area) -> SubscriberSet {
        self.set_of(&self.index.within(area))
    }

    /// How many subscribers' premises lie inside.
    pub fn count_within(&self, area: &Area) -> usize {
        let runs = self.index.within(area);
        runs.iter().map(ExactSizeIterator::len).sum()
    }

    fn set_of(&self, slots: &[Range<usize>]) -> SubscriberSet {
        let found: usize = slots.iter().map(ExactSizeIterator::len).sum();
        let ranks = || {
            slots
                .iter()
                .flat_map(|run| &self.index.numbers[run.clone()])
        };
        // One bit for each subscriber is set and read faster than many ranks are sorted.
        if found > self.subscribers / 64 {
            let mut bits = vec![0_u64; self.subscribers.div_ceil(64)];
            for &rank in ranks() {
                bits[rank as usize / 64] |= 1 << (rank % 64);
            }
            return SubscriberSet::from_bits(&bits);
        }
        let mut sorted: Vec<u32> = ranks().copied().collect();
        sorted.sort_unstable();
        SubscriberSet::from_ascending(sorted)
    }

    /// The premises nearest to those of the subscriber of that rank: at most so many, and none farther
    /// away than that. The nearest come first; nobody, where the position is not known.
    pub fn nearest(&self, rank: u32, most: usize, within_metres: f64) -> Vec<Neighbour> {
        match self.slots.get(rank as usize) {
            Some(&slot) if slot != NOWHERE => {
                nearest(&self.index, slot as usize, most, within_metres)
            }
            _ => Vec::new(),
        }
    }

    /// Where the subscriber of that rank lives.
    pub fn position(&self, rank: u32) -> Option<Position> {
        let slot = *self.slots.get(rank as usize)?;
        let point = self.index.points.get(slot as usize)?;
        Some(Position {
            latitude: point.y,
            longitude: point.x,
        })
    }

    /// Subscribers with a position.
    pub fn placed(&self) -> usize {
        self.index.len()
    }

    /// Bytes that it holds in memory.
    pub fn resident_bytes(&self) -> usize {
        self.index.resident_bytes() + self.slots.capacity() * size_of::<u32>()
    }
}

fn on_earth(position: &Position) -> bool {
    (-90.0..=90.0).contains(&position.latitude) && (-180.0..=180.0).contains(&position.longitude)
}

/// What an area holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Inside {
    pub subscribers: SubscriberSet,
    /// Different positions of those subscribers: the flats of one house are one.
    pub premises: usize,
    /// In ascending order.
    pub elements: Vec<ElementNo>,
    /// What is odd about the area on this map.
    pub warnings: Vec<AreaWarning>,
}

/// Premises and sites of one version of the network.
#[derive(Debug, Default)]
pub struct NetworkMap {
    pub premises: PremisesIndex,
    sites: PointIndex,
    /// Per site: the end of its elements in `elements`.
    site_ends: Vec<u32>,
    elements: Vec<ElementNo>,
}

impl NetworkMap {
    /// The map of a network; `positions` are those of its subscribers, by number.
    pub fn build(network: &Network, positions: &[Option<Position>]) -> Self {
        let sites = (0..).zip(network.site_positions());
        let sites = sites.filter_map(|(no, position)| Some((no, position.filter(on_earth)?)));
        let mut stands: Vec<(usize, ElementNo)> = (0..)
            .map(ElementNo)
            .take(network.element_count())
            .filter_map(|element| Some((network.site_index(element)?, element)))
            .collect();
        stands.sort_unstable();
        let ends = network.site_positions().enumerate().map(|(site, _)| {
            let end = stands.partition_point(|&(of, _)| of <= site);
            u32::try_from(end).unwrap_or(u32::MAX)
        });
        Self {
            premises: PremisesIndex::build(network, positions),
            sites: PointIndex::new(sites),
            site_ends: ends.collect(),
            elements: stands.into_iter().map(|(_, element)| element).collect(),
        }
    }

    /// The elements whose sites lie inside, in ascending order. An element without a site, or whose
    /// site has no position, is nowhere.
    pub fn elements_within(&self, area: &Area) -> Vec<ElementNo> {
        let sites = self.sites.within(area).into_iter().flatten();
        let of_site = |slot: usize| {
            let site = self.sites.numbers[slot] as usize;
            let end = |site: usize| self.site_ends[site] as usize;
            let start = site.checked_sub(1).map_or(0, end);
            &self.elements[start..end(site)]
        };
        let mut elements: Vec<ElementNo> = sites.flat_map(of_site).copied().collect();
        elements.sort_unstable();
        elements
    }

    /// Who and what lies inside an area, and what is odd about that.
    pub fn inside(&self, area: &Area) -> Inside {
        let slots = self.premises.index.within(area);
        let subscribers = self.premises.set_of(&slots);
        let mut warnings = Vec::new();
        if subscribers.is_empty() {
            warnings.push(AreaWarning::HoldsNobody);
            let mirrored = area.mirrored();
            let there = mirrored.map_or(0, |mirrored| self.premises.within(&mirrored).len());
            if there > 0 {
                warnings.push(AreaWarning::AxesSwapped { subscribers: there });
            }
        }
        if self.premises.at_null_island > 0 && area.contains(NULL_ISLAND) {
            warnings.push(AreaWarning::NullIsland {
                premises: self.premises.at_null_island,
            });
        }
        let (placed, of) = (self.premises.placed(), self.premises.subscribers);
        if placed < of {
            warnings.push(AreaWarning::Unplaced {
                subscribers: of - placed,
                of,
            });
        }
        Inside {
            premises: self.premises.index.places(&slots),
            subscribers,
            elements: self.elements_within(area),
            warnings,
        }
    }
}
