//! Randomness: one generator for each purpose, so that turning one thing on or off does not change
//! what the others draw.

use crate::clock::Millis;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a generator is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Draw = 1,
    Reporting,
    Missed,
    MissedTogether,
    Late,
    Reordered,
    Duplicated,
    Skew,
    Spurious,
    DarkHomes,
    LostClears,
    Topology,
    Customers,
}

/// The generator of a purpose.
pub(super) fn generator(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mixed(seed ^ mixed(purpose as u64)))
}

/// A lasting trait of a thing, evenly distributed over 0 to 1: the same for every scenario of a seed.
pub(super) fn trait_of(seed: u64, what: u64, no: u32) -> f64 {
    let bits = mixed(mixed(seed ^ (what << 32)) ^ u64::from(no));
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014).
pub(super) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// True with that probability; what lies outside of 0 to 1 counts as the nearest of them.
pub(super) fn happens(probability: f64, rng: &mut impl Rng) -> bool {
    // Always one draw, so that a rate changes outcomes and not the sequence.
    rng.random::<f64>() < probability
}

/// Evenly from a range of milliseconds, ends included.
pub(super) fn within(range: [i64; 2], rng: &mut impl Rng) -> i64 {
    let [low, high] = range;
    rng.random_range(low.min(high)..=low.max(high))
}

/// Exponentially distributed, in milliseconds.
pub(super) fn exponential_ms(mean_ms: f64, rng: &mut impl Rng) -> i64 {
    whole(-mean_ms * (1.0 - rng.random::<f64>()).ln())
}

/// Pareto distributed with shape 1.2 from a least value on, cut at a largest: most are short, a few
/// are very long.
pub(super) fn heavy_tail_ms(range: [i64; 2], rng: &mut impl Rng) -> i64 {
    const SHAPE: f64 = 1.2;
    let [least, most] = range;
    let least = least.max(1);
    let drawn = least as f64 * (1.0 - rng.random::<f64>()).powf(-1.0 / SHAPE);
    whole(drawn).min(most.max(least))
}

/// Roughly normal with mean 0: the sum of twelve even draws (Irwin-Hall).
pub(super) fn about_normal(deviation: f64, rng: &mut impl Rng) -> f64 {
    let sum: f64 = (0..12).map(|_| rng.random::<f64>()).sum();
    deviation * (sum - 6.0)
}

/// The instants of a Poisson process in a time, in order; none if the rate is no number over 0. More
/// than some thousands a second are cut down to that: instants have no more digits.
pub(super) fn poisson_times(
    per_hour: f64,
    from_ms: Millis,
    until_ms: Millis,
    rng: &mut impl Rng,
) -> Vec<Millis> {
    let mut times = Vec::new();
    if per_hour.is_nan() || per_hour <= 0.0 {
        return times;
    }
    let mean_ms = (3_600_000.0 / per_hour).max(LEAST_MEAN_MS);
    let mut at = from_ms as f64;
    loop {
        at -= mean_ms * (1.0 - rng.random::<f64>()).ln();
        if at >= until_ms as f64 {
            return times;
        }
        times.push(whole(at));
    }
}

/// Between two instants of a Poisson process, on average.
const LEAST_MEAN_MS: f64 = 0.1;

/// To whole milliseconds.
#[allow(
    clippy::cast_possible_truncation,
    reason = "instants and durations fit; what does not saturates"
)]
pub(super) fn whole(ms: f64) -> i64 {
    ms.round() as i64
}
