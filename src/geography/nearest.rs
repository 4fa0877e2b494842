//! The points nearest to one of them, by the tree of rectangles above them.

use super::METRES_PER_DEGREE;
use super::point_index::{FANOUT, PointIndex};
use super::polygon::{Bounds, Point};

/// One of the premises around others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Of its subscriber.
    pub rank: u32,
    /// How far east of those asked about it lies, on a flat earth; negative: west.
    pub east_metres: f64,
    pub north_metres: f64,
}

impl Neighbour {
    fn squared(&self) -> f64 {
        self.east_metres * self.east_metres + self.north_metres * self.north_metres
    }
}

/// The nearest so far.
struct Search<'a> {
    index: &'a PointIndex,
    slot: usize,
    from: Point,
    /// Metres of one degree of longitude there.
    metres_per_degree_east: f64,
    within_squared: f64,
    most: usize,
    /// The nearest first; of two at one distance the lower rank.
    found: Vec<Neighbour>,
}

/// The points nearest to that in a slot, without it: at most so many, and none farther away than
/// that. The nearest come first; of two at one distance that of the lower number.
pub(super) fn nearest(
    index: &PointIndex,
    slot: usize,
    most: usize,
    within_metres: f64,
) -> Vec<Neighbour> {
    let (Some(&from), Some(top)) = (index.points.get(slot), index.levels.len().checked_sub(1))
    else {
        return Vec::new();
    };
    let mut search = Search {
        index,
        slot,
        from,
        metres_per_degree_east: METRES_PER_DEGREE * from.y.to_radians().cos(),
        within_squared: within_metres * within_metres,
        most,
        found: Vec::with_capacity(most.min(64) + 1),
    };
    // Neighbours on the map are mostly neighbours on the curve: they bound the rest of the search.
    let leaf = slot / FANOUT;
    search.look_at_points(leaf);
    search.look(top, 0, leaf);
    search.found
}

impl Search<'_> {
    fn look(&mut self, level: usize, node: usize, but: usize) {
        if !self.may_hold(&self.index.levels[level][node]) {
            return;
        }
        if level > 0 {
            for child in self.index.below(level, node) {
                self.look(level - 1, child, but);
            }
        } else if node != but {
            self.look_at_points(node);
        }
    }

    fn may_hold(&self, bounds: &Bounds) -> bool {
        let apart = |at: f64, low: f64, high: f64| (low - at).max(at - high).max(0.0);
        let east = apart(self.from.x, bounds.min.x, bounds.max.x) * self.metres_per_degree_east;
        let north = apart(self.from.y, bounds.min.y, bounds.max.y) * METRES_PER_DEGREE;
        let squared = east * east + north * north;
        let last = self.found.get(self.most.saturating_sub(1));
        // A hair more than the last one: rounding must not cost a neighbour.
        let farthest = last.map_or(self.within_squared, Neighbour::squared);
        squared <= farthest * (1.0 + 1e-9)
    }

    fn look_at_points(&mut self, leaf: usize) {
        for slot in self.index.slots(0, leaf) {
            if slot == self.slot {
                continue;
            }
            let point = self.index.points[slot];
            let neighbour = Neighbour {
                rank: self.index.numbers[slot],
                east_metres: (point.x - self.from.x) * self.metres_per_degree_east,
                north_metres: (point.y - self.from.y) * METRES_PER_DEGREE,
            };
            let squared = neighbour.squared();
            if squared > self.within_squared {
                continue;
            }
            let at = self.found.partition_point(|other| {
                let by_distance = other.squared().total_cmp(&squared);
                by_distance.then(other.rank.cmp(&neighbour.rank)).is_lt()
            });
            if at < self.most {
                self.found.insert(at, neighbour);
                self.found.truncate(self.most);
            }
        }
    }
}
