//! Homes amid a power cut that have lost power, too, though they are not heard of, or hang elsewhere in
//! the inventory.
//!
//! What a home says can get lost, and inventories err by some homes in a hundred. Where nearly all the
//! premises around a home lost power at one time, in every direction, it has lost it as well; a home
//! that says that it lives on a battery has not, yet.

use super::candidates::NumberMap;
use super::power_area::NEAR_METRES;
use crate::geography::{Neighbour, NetworkMap};
use crate::topology::{Position, SubscriberSet};
use std::f64::consts::{PI, TAU};

/// The nearest premises that are asked about.
const ASKED: usize = 12;
/// With fewer of them near by, nothing is concluded.
const FEWEST: usize = 6;
/// Of four of them so many must have lost power.
const OF_FOUR: usize = 3;

/// The nearest premises around those that were asked about, as the map has them.
#[derive(Debug, Default)]
pub(super) struct Neighbourhoods(NumberMap<u32, Vec<Neighbour>>);

impl Neighbourhoods {
    /// Forgets them, for another map, or when nobody will ask for a while.
    pub(super) fn clear(&mut self) {
        self.0 = NumberMap::default();
    }

    /// Whether the premises of a subscriber lie amid those that have no power.
    pub(super) fn is_amid(
        &mut self,
        rank: u32,
        without_power: &SubscriberSet,
        map: &NetworkMap,
    ) -> bool {
        let look = || map.premises.nearest(rank, ASKED, NEAR_METRES);
        let asked = self.0.entry(rank).or_insert_with(look);
        let is_dark = |neighbour: &&Neighbour| without_power.contains(neighbour.rank);
        let dark: Vec<Neighbour> = asked.iter().filter(is_dark).copied().collect();
        asked.len() >= FEWEST && 4 * dark.len() >= OF_FOUR * asked.len() && is_enclosed(&dark)
    }
}

/// The nearest of a group that are looked at around each of it.
const BESIDE: usize = 4;
/// With fewer that are dark, or not, nothing is concluded of a group.
const FEWEST_OF_GROUP: usize = 3;
/// Of the neighbours of those of which nothing is heard so many must be dark, for each that is among the
/// neighbours of the dark.
const ALIKE: f64 = 0.6;

/// Whether the homes of a group that are not heard of live together, and the dark ones likewise: then
/// what failed takes a part of the group only. Reports get lost anywhere, and leave the homes of which
/// nothing is heard among the others. Counts like neighbours (a join count: Moran, 1948).
pub(super) fn is_divided(homes: &[(Position, bool)]) -> bool {
    let Some(&(origin, _)) = homes.first() else {
        return false;
    };
    // On a flat earth; a group is a few streets.
    let shrink = origin.latitude.to_radians().cos();
    let flat = homes.iter().map(|&(position, is_dark)| {
        let east = (position.longitude - origin.longitude) * shrink;
        (east, position.latitude - origin.latitude, is_dark)
    });
    let flat: Vec<(f64, f64, bool)> = flat.collect();
    let mut counts = [(0_usize, 0_usize, 0_usize); 2];
    for (at, &(east, north, is_dark)) in flat.iter().enumerate() {
        let mut nearest = [(f64::INFINITY, false); BESIDE];
        for (other, &(other_east, other_north, other_is_dark)) in flat.iter().enumerate() {
            let (east, north) = (other_east - east, other_north - north);
            let squared = east * east + north * north;
            if other != at && squared < nearest[BESIDE - 1].0 {
                let place = nearest.partition_point(|(nearer, _)| *nearer <= squared);
                nearest[place..].rotate_right(1);
                nearest[place] = (squared, other_is_dark);
            }
        }
        let (of_kind, beside, dark) = &mut counts[usize::from(is_dark)];
        *of_kind += 1;
        *beside += nearest
            .iter()
            .filter(|(squared, _)| squared.is_finite())
            .count();
        *dark += nearest.iter().filter(|(_, is_dark)| *is_dark).count();
    }
    let share = |(_, beside, dark): (usize, usize, usize)| dark as f64 / beside.max(1) as f64;
    let [silent, dark] = counts;
    silent.0.min(dark.0) >= FEWEST_OF_GROUP && share(silent) < ALIKE * share(dark)
}

/// Whether no line through a place has all these neighbours on one side of it.
fn is_enclosed(neighbours: &[Neighbour]) -> bool {
    let is_apart = |n: &&Neighbour| n.east_metres != 0.0 || n.north_metres != 0.0;
    let apart = neighbours.iter().filter(is_apart);
    let mut angles: Vec<f64> = apart.map(|n| n.north_metres.atan2(n.east_metres)).collect();
    if angles.len() < neighbours.len() {
        // Somebody in the same house.
        return true;
    }
    angles.sort_unstable_by(f64::total_cmp);
    let (Some(first), Some(last)) = (angles.first(), angles.last()) else {
        return false;
    };
    let across = first + TAU - last;
    let widest = angles.windows(2).map(|pair| pair[1] - pair[0]);
    widest.fold(across, f64::max) < PI
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(places: &[(f64, f64)]) -> Vec<Neighbour> {
        let neighbour = |&(east_metres, north_metres): &(f64, f64)| Neighbour {
            rank: 0,
            east_metres,
            north_metres,
        };
        places.iter().map(neighbour).collect()
    }

    /// A street of 40 homes, of which so many from its begin, and every so manieth, are not heard of.
    fn street(first: usize, every: usize) -> Vec<(Position, bool)> {
        let home = |no: usize| {
            let position = Position {
                latitude: 41.9,
                longitude: 12.5 + 0.0002 * no as f64,
            };
            (position, no >= first && !(no + 1).is_multiple_of(every))
        };
        (0..40).map(home).collect()
    }

    #[test]
    fn a_group_is_divided_where_those_not_heard_of_live_together() {
        assert!(is_divided(&street(8, 100)));
        assert!(is_divided(&street(12, 20)));
        assert!(is_divided(&street(30, 100)));
        assert!(!is_divided(&street(0, 100)));
        assert!(!is_divided(&street(0, 10)));
        assert!(!is_divided(&street(0, 3)));
        assert!(!is_divided(&street(0, 2)));
        assert!(!is_divided(&street(38, 100)));
    }

    #[test]
    fn what_lies_at_the_edge_is_not_enclosed() {
        assert!(is_enclosed(&at(&[(10.0, 0.0), (-5.0, 8.0), (-5.0, -9.0)])));
        assert!(!is_enclosed(&at(&[(10.0, 1.0), (-5.0, 8.0), (0.0, 9.0)])));
        assert!(!is_enclosed(&at(&[(10.0, 0.0), (-10.0, 0.0)])));
        assert!(!is_enclosed(&[]));
        let same_house = at(&[(0.0, 0.0), (10.0, 1.0)]);
        assert!(is_enclosed(&same_house));
    }
}
