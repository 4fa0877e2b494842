//! Which outages of power are one power cut.
//!
//! What fails a few kilometres apart within minutes may be one cut of a medium-voltage grid, or two that
//! have nothing to do with one another: at a million homes that happens every day. One cut leaves hardly
//! anybody between its parts who has power. Nothing being heard of many who live between two outages
//! tells that they are two.

use super::power_area::Spot;
use crate::geography::{Area, METRES_PER_DEGREE, PremisesIndex, are_within, distance_metres};
use crate::topology::Position;
use std::collections::BTreeMap;

/// Outages in squares of this side, or in neighbouring ones, are of one region: about how far apart the
/// substations of one medium-voltage grid are.
const REGION_METRES: f64 = 10_000.0;
/// In squares of this side, or in neighbouring ones, they are one power cut, whoever lives between.
const BESIDE_METRES: f64 = 750.0;
/// Windows by which power that failed at one time can seem to have failed apart: clocks differ by minutes,
/// and a window may have been taken for the one before.
pub(super) const AT_ONCE: i64 = 2;
/// Of so many who live between two parts of one power cut, one has no power.
const ONE_DARK_OF: usize = 3;
/// Of each part of a region at most so many of the nearest others are asked, or more where those ask it.
const ASKED: usize = 4;

/// Which of several outages of power are of one region and time, and which of those are one power cut.
pub(super) struct Regions {
    in_square: BTreeMap<Square, Vec<(usize, Spot)>>,
    of_one_region: Joined,
    of_one_cut: Joined,
}

impl Regions {
    /// Of outages by their places in this list; `premises`: where people live.
    pub(super) fn of(outages: &[Vec<Spot>], premises: &PremisesIndex) -> Self {
        let mut in_square: BTreeMap<Square, Vec<(usize, Spot)>> = BTreeMap::new();
        for (at, spots) in outages.iter().enumerate() {
            for &spot in spots {
                let square = Square::of(spot.position, REGION_METRES);
                in_square.entry(square).or_default().push((at, spot));
            }
        }
        let regions = join_squares(outages, REGION_METRES);
        let mut cuts = join_squares(outages, BESIDE_METRES);
        let mut of_region: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for at in 0..outages.len() {
            of_region.entry(regions.first(at)).or_default().push(at);
        }
        for within in of_region.values() {
            join_across(within, outages, premises, &mut cuts);
        }
        Self {
            in_square,
            of_one_region: regions,
            of_one_cut: cuts,
        }
    }

    /// The first outage of the region of that one.
    pub(super) fn region(&self, outage: usize) -> usize {
        self.of_one_region.first(outage)
    }

    /// The first outage of the power cut of that one.
    pub(super) fn cut(&self, outage: usize) -> usize {
        self.of_one_cut.first(outage)
    }

    /// Of the outages around a position in whose windows something is true, the nearest.
    pub(super) fn nearest(
        &self,
        position: Position,
        is_wanted: impl Fn(i64) -> bool,
    ) -> Option<usize> {
        let around = Square::of(position, REGION_METRES).around(REGION_METRES);
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
    /// Of each one of the same group, itself if it is the first.
    earlier: Vec<usize>,
}

impl Joined {
    fn none(count: usize) -> Self {
        Self {
            earlier: (0..count).collect(),
        }
    }

    /// The first of the group.
    fn first(&self, mut at: usize) -> usize {
        while let Some(&earlier) = self.earlier.get(at)
            && earlier != at
        {
            at = earlier;
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        if let Some(earlier) = self.earlier.get_mut(a.max(b)) {
            *earlier = a.min(b);
        }
    }
}

/// Joins outages in squares of that side, and in neighbouring ones, where power failed at one time.
fn join_squares(outages: &[Vec<Spot>], side_metres: f64) -> Joined {
    let mut joined = Joined::none(outages.len());
    let mut first_in: BTreeMap<(Square, i64), usize> = BTreeMap::new();
    for (at, spots) in outages.iter().enumerate() {
        for spot in spots {
            let square = Square::of(spot.position, side_metres);
            let first = *first_in.entry((square, spot.window)).or_insert(at);
            joined.join(first, at);
        }
    }
    for (&(square, window), &at) in &first_in {
        for near in square.around(side_metres) {
            let at_once = (near, window - AT_ONCE)..=(near, window + AT_ONCE);
            for (_, &other) in first_in.range(at_once) {
                joined.join(at, other);
            }
        }
    }
    joined
}

/// Joins what is one power cut of the outages of a region, though it does not lie side by side.
fn join_across(
    region: &[usize],
    outages: &[Vec<Spot>],
    premises: &PremisesIndex,
    cuts: &mut Joined,
) {
    let mut parts: Vec<usize> = region.iter().map(|&at| cuts.first(at)).collect();
    parts.sort_unstable();
    parts.dedup();
    if parts.len() < 2 {
        return;
    }
    // Who lives in one small square is told from who lives in another, not from whom beside.
    let mut spots: BTreeMap<(usize, Square, i64), Spot> = BTreeMap::new();
    for &at in region {
        for &spot in outages.get(at).into_iter().flatten() {
            let square = Square::of(spot.position, BESIDE_METRES);
            let key = (cuts.first(at), square, spot.window);
            let there = spots.entry(key).or_insert(Spot { homes: 0, ..spot });
            there.homes += spot.homes;
        }
    }
    let spots: Vec<(usize, Spot)> = spots.iter().map(|(key, &spot)| (key.0, spot)).collect();
    for (a, b) in nearest_of_parts(&spots) {
        if cuts.first(a.0) != cuts.first(b.0) && is_one(a.1, b.1, &spots, premises) {
            cuts.join(a.0, b.0);
        }
    }
}

/// Where a spot is, and of which part it is.
type OfPart = (usize, Spot);

/// For each part its nearest others, by the spots where they come nearest to one another; the nearest first.
fn nearest_of_parts(spots: &[OfPart]) -> Vec<(OfPart, OfPart)> {
    let mut nearest: BTreeMap<(usize, usize), (f64, OfPart, OfPart)> = BTreeMap::new();
    for (no, &a) in spots.iter().enumerate() {
        for &b in spots.iter().skip(no + 1) {
            if a.0 == b.0 || !is_at_once(a.1, b.1) {
                continue;
            }
            let metres = distance_metres(a.1.position, b.1.position);
            let known = nearest.entry((a.0, b.0)).or_insert((metres, a, b));
            if metres < known.0 {
                *known = (metres, a, b);
            }
        }
    }
    let mut pairs: Vec<(f64, OfPart, OfPart)> = nearest.into_values().collect();
    pairs.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let mut asked: BTreeMap<usize, usize> = BTreeMap::new();
    pairs.retain(|(_, a, b)| {
        let [of_a, of_b] = [a.0, b.0].map(|part| asked.get(&part).copied().unwrap_or(0));
        let is_asked = of_a.min(of_b) < ASKED;
        if is_asked {
            *asked.entry(a.0).or_default() += 1;
            *asked.entry(b.0).or_default() += 1;
        }
        is_asked
    });
    pairs.into_iter().map(|(_, a, b)| (a, b)).collect()
}

fn is_at_once(a: Spot, b: Spot) -> bool {
    (a.window - b.window).abs() <= AT_ONCE
}

/// Whether two outages are parts of one: of those who live in the disc between them, enough have no power.
/// Of the two themselves half the homes lie in it. Where it is not known where people live, they are one.
fn is_one(a: Spot, b: Spot, spots: &[OfPart], premises: &PremisesIndex) -> bool {
    let middle = Position {
        latitude: f64::midpoint(a.position.latitude, b.position.latitude),
        longitude: f64::midpoint(a.position.longitude, b.position.longitude),
    };
    let radius_m = distance_metres(a.position, b.position) / 2.0;
    let Ok(between) = Area::within_metres(middle, radius_m) else {
        return true;
    };
    let is_between = |spot: &Spot| {
        // The two lie on its border.
        are_within(middle, spot.position, 0.99 * radius_m)
            && (is_at_once(*spot, a) || is_at_once(*spot, b))
    };
    let inside = spots.iter().map(|(_, spot)| spot).filter(|s| is_between(s));
    let dark: usize = inside.map(|spot| spot.homes).sum();
    ONE_DARK_OF * (dark + usize::midpoint(a.homes, b.homes)) >= premises.count_within(&between)
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

    /// This one and its eight neighbours.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a few ten thousand squares"
    )]
    fn around(self, side_metres: f64) -> impl Iterator<Item = Self> {
        let middle = (f64::from(self.column) + 0.5) * Self::degrees_wide(self.row, side_metres);
        (self.row - 1..=self.row + 1).flat_map(move |row| {
            let column = (middle / Self::degrees_wide(row, side_metres)).floor() as i32;
            (column - 1..=column + 1).map(move |column| Self { row, column })
        })
    }
}
