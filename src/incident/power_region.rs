//! Which outages of power are one power cut.
//!
//! What fails a few kilometres apart within minutes may be one cut of a medium-voltage grid, or two that
//! have nothing to do with one another: at a million homes that happens every day. One cut takes at least
//! a good part of those who live between its parts. Where nothing is heard of nearly all who live between
//! two outages, they are two.
//!
//! The answer follows from what is known of the homes, whatever came first: whoever has been dark with
//! the outages and has service again counts as long as it is remembered
//! ([`Observation::Alive`](super::likelihood::Observation::Alive)).

use super::candidates::Candidates;
use super::likelihood::{WINDOW_MS, is_home};
use crate::geography::{Area, METRES_PER_DEGREE, PremisesIndex, are_within, distance_metres};
use crate::topology::{Network, Part, Position, SubscriberSet};
use std::collections::BTreeMap;

/// Outages in squares of this side, or in neighbouring ones, are of one region: about how far apart the
/// substations of one medium-voltage grid are.
const REGION_METRES: f64 = 10_000.0;
/// Side of the squares by which is told what lies side by side.
const SQUARE_METRES: f64 = 500.0;
/// Outages whose squares have their middles so many sides apart at most are one power cut, whoever lives
/// between: the reach of a low-voltage substation and its neighbours.
const BESIDE_SQUARES: i32 = 3;
/// Windows by which power that failed at one time can seem to have failed apart: clocks differ by minutes,
/// and a window may have been taken for the one before.
pub(super) const AT_ONCE: i64 = 2;
/// Of so many who live between two parts of one power cut, one at least is known to have no power: half of
/// the reports may be lost, and some have power.
const ONE_DARK_OF: usize = 3;
/// Who lives so near to the ends of what lies between counts as well.
const AROUND_METRES: f64 = 500.0;
/// Of each part of a region so many of the nearest others are asked.
const ASKED: usize = 4;

/// Where power failed, and in which window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) position: Position,
    pub(super) window: i64,
}

/// What is known of those who live around.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) candidates: &'a Candidates,
    pub(super) network: &'a Network,
    pub(super) premises: &'a PremisesIndex,
    /// Whom something else has cut off: whether they have power nobody can tell.
    pub(super) cut_off: &'a SubscriberSet,
}

/// Which of several outages of power are one power cut.
pub(super) struct Regions {
    in_square: BTreeMap<Square, Vec<(usize, Spot)>>,
    cuts: Joined,
}

impl Regions {
    /// Of outages by their places in this list.
    pub(super) fn of(outages: &[Vec<Spot>], ground: Ground<'_>) -> Self {
        let mut in_square: BTreeMap<Square, Vec<(usize, Spot)>> = BTreeMap::new();
        for (at, spots) in outages.iter().enumerate() {
            for &spot in spots {
                let square = Square::of(spot.position, REGION_METRES);
                in_square.entry(square).or_default().push((at, spot));
            }
        }
        let mut regions = join_squares(outages, REGION_METRES, 1);
        let mut cuts = join_squares(outages, SQUARE_METRES, BESIDE_SQUARES);
        let mut of_region: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for at in 0..outages.len() {
            of_region.entry(regions.first(at)).or_default().push(at);
        }
        let mut dark: Option<Dark> = None;
        for within in of_region.values() {
            let spots = spots_of_parts(within, outages, &mut cuts);
            for (a, b) in nearest_of_parts(&spots) {
                if cuts.first(a.0) == cuts.first(b.0) {
                    continue;
                }
                let dark = dark.get_or_insert_with(|| Dark::of(ground));
                if is_one(a.1, b.1, dark, ground) {
                    cuts.join(a.0, b.0);
                }
            }
        }
        Self { in_square, cuts }
    }

    /// The first outage of the power cut of that one.
    pub(super) fn cut(&self, outage: usize) -> usize {
        self.cuts.find(outage)
    }

    /// Of the outages around a position in whose windows something is true, the nearest.
    pub(super) fn nearest(
        &self,
        position: Position,
        is_wanted: impl Fn(i64) -> bool,
    ) -> Option<usize> {
        let around = Square::of(position, REGION_METRES).around(REGION_METRES, 1);
        let there = around.filter_map(|square| self.in_square.get(&square));
        let wanted = there.flatten().filter(|(_, spot)| is_wanted(spot.window));
        let far = |(at, spot): &(usize, Spot)| (distance_metres(position, spot.position), *at);
        let nearest = wanted
            .map(far)
            .min_by(|(a, first), (b, second)| a.total_cmp(b).then(first.cmp(second)));
        nearest.map(|(_, at)| at)
    }
}

/// Numbers below some count in groups.
struct Joined {
    /// Of each one of the same group that is not later, itself if it is the first.
    earlier: Vec<usize>,
}

impl Joined {
    fn none(count: usize) -> Self {
        Self {
            earlier: (0..count).collect(),
        }
    }

    /// The first of the group.
    fn find(&self, mut at: usize) -> usize {
        while let Some(&earlier) = self.earlier.get(at)
            && earlier != at
        {
            at = earlier;
        }
        at
    }

    /// The same; the next who asks finds it sooner.
    fn first(&mut self, at: usize) -> usize {
        let first = self.find(at);
        let mut next = at;
        while next != first
            && let Some(earlier) = self.earlier.get_mut(next)
        {
            next = std::mem::replace(earlier, first);
        }
        first
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        if let Some(earlier) = self.earlier.get_mut(a.max(b)) {
            *earlier = a.min(b);
        }
    }
}

/// Joins outages in squares of that side, and in those so many sides away, where power failed at one time.
fn join_squares(outages: &[Vec<Spot>], side_metres: f64, reach: i32) -> Joined {
    let mut joined = Joined::none(outages.len());
    let mut first_in: BTreeMap<Square, BTreeMap<i64, usize>> = BTreeMap::new();
    for (at, spots) in outages.iter().enumerate() {
        for spot in spots {
            let square = first_in.entry(Square::of(spot.position, side_metres));
            let first = *square.or_default().entry(spot.window).or_insert(at);
            joined.join(first, at);
        }
    }
    for (&square, windows) in &first_in {
        for near in square.around(side_metres, reach) {
            let Some(others) = first_in.get(&near) else {
                continue;
            };
            for (window, &at) in windows {
                for (_, &other) in others.range(window - AT_ONCE..=window + AT_ONCE) {
                    joined.join(at, other);
                }
            }
        }
    }
    joined
}

/// Where a spot is, and of which part of a region it is: outages that lie side by side.
type OfPart = (usize, Spot);

/// The spots of a region by part, one for each small square and window; none if there is one part only.
fn spots_of_parts(region: &[usize], outages: &[Vec<Spot>], cuts: &mut Joined) -> Vec<OfPart> {
    let mut parts: Vec<usize> = region.iter().map(|&at| cuts.first(at)).collect();
    parts.sort_unstable();
    parts.dedup();
    if parts.len() < 2 {
        return Vec::new();
    }
    let mut spots: BTreeMap<(usize, Square, i64), Spot> = BTreeMap::new();
    for &at in region {
        let part = cuts.first(at);
        for &spot in outages.get(at).into_iter().flatten() {
            let square = Square::of(spot.position, SQUARE_METRES);
            spots.entry((part, square, spot.window)).or_insert(spot);
        }
    }
    let spots = spots.into_iter();
    spots.map(|((part, ..), spot)| (part, spot)).collect()
}

/// For each part its nearest others, by the spots where they come nearest to one another; the nearest first.
fn nearest_of_parts(spots: &[OfPart]) -> Vec<(OfPart, OfPart)> {
    let mut nearest: BTreeMap<usize, Vec<(f64, OfPart, OfPart)>> = BTreeMap::new();
    for (no, &a) in spots.iter().enumerate() {
        let known = nearest.entry(a.0).or_default();
        for (other, &b) in spots.iter().enumerate() {
            if a.0 == b.0 || no == other || (a.1.window - b.1.window).abs() > AT_ONCE {
                continue;
            }
            let metres = distance_metres(a.1.position, b.1.position);
            if known.len() == ASKED && known.last().is_some_and(|(most, ..)| metres >= *most) {
                continue;
            }
            if let Some(at) = known.iter().position(|(_, _, known)| known.0 == b.0) {
                if known.get(at).is_some_and(|(less, ..)| *less <= metres) {
                    continue;
                }
                known.remove(at);
            }
            let at = known.partition_point(|(less, ..)| *less <= metres);
            known.insert(at, (metres, a, b));
            known.truncate(ASKED);
        }
    }
    let mut pairs: Vec<(f64, OfPart, OfPart)> = nearest.into_values().flatten().collect();
    pairs.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    pairs.into_iter().map(|(_, a, b)| (a, b)).collect()
}

/// The homes that are dark, or were, by where they are: position and window.
struct Dark(BTreeMap<Square, Vec<(Position, i64)>>);

impl Dark {
    fn of(ground: Ground<'_>) -> Self {
        let mut dark: BTreeMap<Square, Vec<(Position, i64)>> = BTreeMap::new();
        for (element, at_ms) in ground.candidates.dark_or_back() {
            if !is_home(ground.network, element) {
                continue;
            }
            let runs = ground.network.lost_alone_runs(Part::Element(element));
            for rank in runs.as_slice().iter().flat_map(|&(from, end)| from..end) {
                if let Some(position) = ground.premises.position(rank) {
                    let there = dark.entry(Square::of(position, SQUARE_METRES));
                    let window = at_ms.div_euclid(WINDOW_MS);
                    there.or_default().push((position, window));
                }
            }
        }
        Self(dark)
    }

    /// How many of them live within a disc, and went dark in these windows.
    fn within(&self, middle: Position, radius_m: f64, windows: [i64; 2]) -> usize {
        let north = radius_m / METRES_PER_DEGREE;
        let at = |latitude: f64| Position { latitude, ..middle };
        let first = Square::of(at(middle.latitude - north), SQUARE_METRES).row;
        let last = Square::of(at(middle.latitude + north), SQUARE_METRES).row;
        let rows =
            [(first, i32::MIN), (last, i32::MAX)].map(|(row, column)| Square { row, column });
        let there = self.0.range(rows[0]..=rows[1]).flat_map(|(_, homes)| homes);
        there
            .filter(|(position, window)| {
                (windows[0]..=windows[1]).contains(window)
                    && are_within(middle, *position, radius_m)
            })
            .count()
    }
}

/// Whether two outages are parts of one: of those who live in the disc between and around them enough are known to
/// have no power. Where it is not known where people live, they are one.
fn is_one(a: Spot, b: Spot, dark: &Dark, ground: Ground<'_>) -> bool {
    let middle = Position {
        latitude: f64::midpoint(a.position.latitude, b.position.latitude),
        longitude: f64::midpoint(a.position.longitude, b.position.longitude),
    };
    let radius_m = distance_metres(a.position, b.position) / 2.0 + AROUND_METRES;
    let Ok(between) = Area::within_metres(middle, radius_m) else {
        return true;
    };
    let windows = [
        a.window.min(b.window) - AT_ONCE,
        a.window.max(b.window) + AT_ONCE,
    ];
    let dark = dark.within(middle, radius_m, windows);
    if ONE_DARK_OF * dark >= ground.premises.count_within(&between) {
        return true;
    }
    let mut there = ground.premises.within(&between);
    there = there.difference(ground.cut_off);
    there = there.intersection(ground.candidates.heard_of());
    ONE_DARK_OF * dark >= there.len()
}

/// A square on the ground, of about some side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Square {
    row: i32,
    column: i32,
}

impl Square {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a few ten thousand squares"
    )]
    fn of(position: Position, side_metres: f64) -> Self {
        let row = (position.latitude * METRES_PER_DEGREE / side_metres).floor() as i32;
        let wide = Self::degrees_wide(row, side_metres);
        let column = (position.longitude / wide).floor() as i32;
        Self { row, column }
    }

    /// The same for all of a row, so that its squares lie side by side.
    fn degrees_wide(row: i32, side_metres: f64) -> f64 {
        let side = side_metres / METRES_PER_DEGREE;
        let parallel = (f64::from(row) + 0.5) * side;
        side / parallel.to_radians().cos().max(0.01)
    }

    /// This one and those with their middles so many sides away at most, or beside it.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a few ten thousand squares"
    )]
    fn around(self, side_metres: f64, reach: i32) -> impl Iterator<Item = Self> {
        let middle = (f64::from(self.column) + 0.5) * Self::degrees_wide(self.row, side_metres);
        (-reach..=reach).flat_map(move |north| {
            let row = self.row + north;
            let column = (middle / Self::degrees_wide(row, side_metres)).floor() as i32;
            let is_in_reach =
                move |east: &i32| reach == 1 || north * north + east * east <= reach * reach;
            (-reach..=reach).filter(is_in_reach).map(move |east| Self {
                row,
                column: column + east,
            })
        })
    }
}
