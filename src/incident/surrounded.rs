//! Homes amid a power cut that have lost power, too, though they are not heard of, or hang elsewhere in
//! the inventory.
//!
//! What a home says can get lost, and inventories err by some homes in a hundred. Where nearly all the
//! premises around a home lost power at one time, in every direction, it has lost it as well; a home
//! that says that it lives on a battery has not, yet.

use super::power_area::NEAR_METRES;
use crate::geography::{Neighbour, NetworkMap};
use crate::topology::SubscriberSet;
use std::f64::consts::{PI, TAU};

/// The nearest premises that are asked about.
const ASKED: usize = 12;
/// With fewer of them near by, nothing is concluded.
const FEWEST: usize = 6;
/// Of four of them so many must have lost power.
const OF_FOUR: usize = 3;

/// Whether the premises of a subscriber lie amid those that have no power.
pub(super) fn is_amid(rank: u32, without_power: &SubscriberSet, map: &NetworkMap) -> bool {
    let mut around = map.premises.nearest(rank, ASKED, NEAR_METRES);
    let asked = around.len();
    around.retain(|neighbour| without_power.contains(neighbour.rank));
    asked >= FEWEST && 4 * around.len() >= OF_FOUR * asked && is_enclosed(&around)
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
