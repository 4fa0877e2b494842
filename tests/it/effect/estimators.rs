//! Estimators against published answers, slow references, and simulation.

use forewarn::effect::estimate::{
    ArmCounts, Arms, Estimate, pooled_risk_ratio, reduction, risk_difference, risk_ratio, wilson,
};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rstest::rstest;

const Z: f64 = 1.959_963_984_540_054;

fn arms(a: u64, n1: u64, c: u64, n0: u64) -> Arms {
    Arms {
        told: ArmCounts {
            subscribers: n1,
            complained: a,
        },
        held_out: ArmCounts {
            subscribers: n0,
            complained: c,
        },
    }
}

fn close(got: f64, want: f64, tolerance: f64) -> bool {
    (got - want).abs() <= tolerance
}

fn assert_estimate(got: Estimate, want: [f64; 3], tolerance: f64) {
    let found = [got.value, got.low, got.high];
    for (got, want) in found.into_iter().zip(want) {
        assert!(close(got, want, tolerance), "{found:?} is not {want:?}");
    }
}

/// Newcombe 1998, table II, method 10; four decimals are printed there.
#[rstest]
#[case(56, 70, 48, 80, [0.2000, 0.0524, 0.3339])]
#[case(9, 10, 3, 10, [0.6000, 0.1705, 0.8090])]
#[case(6, 7, 2, 7, [0.5714, 0.0582, 0.8062])]
#[case(5, 56, 0, 29, [0.0893, -0.0381, 0.1926])]
#[case(0, 10, 0, 20, [0.0000, -0.1611, 0.2775])]
#[case(0, 10, 0, 10, [0.0000, -0.2775, 0.2775])]
#[case(10, 10, 0, 20, [1.0000, 0.6791, 1.0000])]
#[case(10, 10, 0, 10, [1.0000, 0.6075, 1.0000])]
fn risk_difference_is_as_newcombe_printed_it(
    #[case] a: u64,
    #[case] n1: u64,
    #[case] c: u64,
    #[case] n0: u64,
    #[case] want: [f64; 3],
) {
    assert_estimate(risk_difference(arms(a, n1, c, n0)).unwrap(), want, 5.1e-5);
}

/// Aspirin in the Physicians' Health Study: 104 of 11,037 against 189 of 11,034 heart attacks,
/// known as 0.55 (0.43 to 0.70). More digits by 30-digit arithmetic.
#[test]
fn risk_ratio_is_as_known() {
    let aspirin = risk_ratio(arms(104, 11_037, 189, 11_034)).unwrap();
    let want = [0.550_114_981_21, 0.433_673_115_909, 0.697_821_657_489];
    assert_estimate(aspirin, want, 1e-11);
    let other = risk_ratio(arms(15, 100, 30, 90)).unwrap();
    assert_estimate(other, [0.45, 0.259_498_065_184, 0.780_352_639_071], 1e-11);
    assert_estimate(
        reduction(other),
        [0.55, 0.219_647_360_929, 0.740_501_934_816],
        1e-11,
    );
}

/// Deaths under tolbutamide by age in the University Group Diabetes Program, the textbook case
/// of Mantel-Haenszel: ratio 1.33. More digits by 30-digit arithmetic.
#[test]
fn pooled_ratio_is_as_known() {
    let strata = [arms(8, 106, 5, 120), arms(22, 98, 16, 85)];
    let want = [1.325_555_324_16, 0.797_907_040_146, 2.202_132_365_04];
    assert_estimate(pooled_risk_ratio(&strata).unwrap(), want, 1e-10);
}

/// Most of the told are in the incident that annoys most: summed up, telling seems to make
/// people complain nearly four times as often; within each incident they complain less.
#[test]
fn pooling_does_not_turn_the_sign_as_summing_does() {
    let strata = [arms(5_624, 17_575, 22, 50), arms(320, 20_000, 22, 1_000)];
    let sums = Arms::total(&strata);
    let crude = sums.told.risk().unwrap() / sums.held_out.risk().unwrap();
    assert!(close(crude, 3.775, 5e-4), "{crude}");
    let pooled = pooled_risk_ratio(&strata).unwrap();
    assert!(close(pooled.value, 8.0 / 11.0, 1e-12), "{pooled:?}");
    assert!(!pooled.covers(1.0), "{pooled:?}");
}

#[rstest]
#[case::nobody_told(arms(0, 0, 3, 10))]
#[case::nobody_held_out(arms(3, 10, 0, 0))]
#[case::no_complaint_of_the_told(arms(0, 10, 3, 10))]
#[case::no_complaint_of_the_held_out(arms(3, 10, 0, 10))]
#[case::everybody_complained(arms(10, 10, 4, 4))]
#[case::nothing_at_all(arms(0, 0, 0, 0))]
fn a_ratio_that_cannot_be_computed_is_none(#[case] arms: Arms) {
    assert_eq!(risk_ratio(arms), None);
    assert_eq!(pooled_risk_ratio(&[arms]), None);
}

/// Bounds of the score interval by bisection on the score equation.
fn score_bounds(arm: ArmCounts) -> (f64, f64) {
    let n = arm.subscribers as f64;
    let p = arm.complained as f64 / n;
    let inside = |q: f64| (p - q).abs() <= Z * (q * (1.0 - q) / n).sqrt();
    let edge = |mut within: f64, mut beyond: f64| {
        if inside(beyond) {
            return beyond;
        }
        for _ in 0..200 {
            let middle = f64::midpoint(within, beyond);
            if inside(middle) {
                within = middle;
            } else {
                beyond = middle;
            }
        }
        within
    };
    (edge(p, 0.0), edge(p, 1.0))
}

fn arm_counts(most: u64) -> impl Strategy<Value = ArmCounts> {
    (1..=most).prop_flat_map(|subscribers| {
        (0..=subscribers).prop_map(move |complained| ArmCounts {
            subscribers,
            complained,
        })
    })
}

fn any_arms() -> impl Strategy<Value = Arms> {
    (arm_counts(5_000), arm_counts(5_000)).prop_map(|(told, held_out)| Arms { told, held_out })
}

fn scaled(arms: Arms, by: u64) -> Arms {
    let arm = |arm: ArmCounts| ArmCounts {
        subscribers: arm.subscribers * by,
        complained: arm.complained * by,
    };
    Arms {
        told: arm(arms.told),
        held_out: arm(arms.held_out),
    }
}

fn swapped(arms: Arms) -> Arms {
    Arms {
        told: arms.held_out,
        held_out: arms.told,
    }
}

fn width(estimate: Estimate) -> f64 {
    estimate.high - estimate.low
}

proptest! {
    #![proptest_config(crate::support::draws(256))]

    #[test]
    fn wilson_solves_the_score_equation(arm in arm_counts(100_000)) {
        let got = wilson(arm).unwrap();
        let (low, high) = score_bounds(arm);
        prop_assert!(close(got.low, low, 1e-9) && close(got.high, high, 1e-9), "{got:?} {low} {high}");
    }

    #[test]
    fn swapping_the_arms_mirrors_difference_and_inverts_ratio(arms in any_arms()) {
        let (there, back) = (risk_difference(arms).unwrap(), risk_difference(swapped(arms)).unwrap());
        prop_assert!(close(there.low, -back.high, 1e-12) && close(there.high, -back.low, 1e-12));
        match (risk_ratio(arms), risk_ratio(swapped(arms))) {
            (Some(there), Some(back)) => {
                prop_assert!(close(there.value * back.value, 1.0, 1e-9));
                prop_assert!(close(there.low * back.high, 1.0, 1e-9));
                prop_assert!(close(there.high * back.low, 1.0, 1e-9));
            }
            (there, back) => prop_assert_eq!(there.is_some(), back.is_some()),
        }
    }

    #[test]
    fn more_of_the_same_narrows(arms in any_arms(), by in 2_u64..20) {
        let more = scaled(arms, by);
        prop_assert!(width(risk_difference(more).unwrap()) < width(risk_difference(arms).unwrap()));
        if let Some(ratio) = risk_ratio(arms) {
            let narrower = risk_ratio(more).unwrap();
            prop_assert!(close(ratio.value, narrower.value, ratio.value * 1e-12));
            prop_assert!(width(narrower) < width(ratio));
        }
    }

    #[test]
    fn estimates_lie_inside_their_intervals(arms in any_arms()) {
        let difference = risk_difference(arms).unwrap();
        prop_assert!(difference.covers(difference.value));
        prop_assert!(difference.low >= -1.0 && difference.high <= 1.0);
        if let Some(ratio) = risk_ratio(arms) {
            prop_assert!(ratio.covers(ratio.value) && ratio.low > 0.0);
        }
    }

    #[test]
    fn one_stratum_pools_to_katz(arms in any_arms()) {
        match (pooled_risk_ratio(&[arms]), risk_ratio(arms)) {
            (Some(pooled), Some(katz)) => {
                for (pooled, katz) in [
                    (pooled.value, katz.value),
                    (pooled.low, katz.low),
                    (pooled.high, katz.high),
                ] {
                    prop_assert!(close(pooled / katz, 1.0, 1e-6), "{pooled} {katz}");
                }
            }
            // With everybody complaining in both arms rounding may leave a trace of variance.
            (pooled, katz) => prop_assert!(
                pooled.is_none() == katz.is_none() || arms.told.complained == arms.told.subscribers
            ),
        }
    }

    #[test]
    fn pooling_ignores_order_and_incidents_without_an_arm(
        mut strata in prop::collection::vec(any_arms(), 1..8), told in arm_counts(1_000),
    ) {
        let before = pooled_risk_ratio(&strata);
        strata.reverse();
        strata.push(Arms { told, held_out: ArmCounts::default() });
        let after = pooled_risk_ratio(&strata);
        prop_assert_eq!(before.is_some(), after.is_some());
        if let (Some(before), Some(after)) = (before, after) {
            prop_assert!(close(before.value / after.value, 1.0, 1e-9));
            prop_assert!(close(before.high / after.high, 1.0, 1e-9));
        }
    }

    #[test]
    fn pooled_ratio_lies_between_those_of_the_strata(strata in prop::collection::vec(any_arms(), 1..8)) {
        let ratios: Option<Vec<f64>> = strata.iter().map(|arms| risk_ratio(*arms).map(|r| r.value)).collect();
        if let (Some(ratios), Some(pooled)) = (ratios, pooled_risk_ratio(&strata)) {
            let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let high = ratios.iter().copied().fold(0.0, f64::max);
            prop_assert!(low * (1.0 - 1e-9) <= pooled.value && pooled.value <= high * (1.0 + 1e-9));
        }
    }
}

/// Draws binomial numbers by inverting the distribution function.
struct Binomial {
    cumulative: Vec<f64>,
}

impl Binomial {
    fn new(n: u64, p: f64) -> Self {
        let mut probability = (1.0 - p).powi(i32::try_from(n).unwrap());
        let mut sum = 0.0;
        let mut cumulative = Vec::new();
        for k in 0..=n {
            sum += probability;
            cumulative.push(sum);
            probability *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        }
        Self { cumulative }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> u64 {
        let at: f64 = rng.random();
        let last = self.cumulative.len() - 1;
        self.cumulative.partition_point(|sum| *sum < at).min(last) as u64
    }
}

/// Five standard errors of a share of 95 % over this many replications.
const REPLICATIONS: u32 = 20_000;
const SLACK: f64 = 0.0077;

#[rstest]
#[case(400, 0.10, 400, 0.15)]
#[case(900, 0.20, 100, 0.30)]
#[case(500, 0.08, 500, 0.08)]
fn intervals_of_one_incident_cover_the_truth(
    #[case] n1: u64,
    #[case] p1: f64,
    #[case] n0: u64,
    #[case] p0: f64,
) {
    let mut rng = ChaCha8Rng::seed_from_u64(20_250_301);
    let (told, held_out) = (Binomial::new(n1, p1), Binomial::new(n0, p0));
    let (mut difference, mut ratio) = (0, 0);
    for _ in 0..REPLICATIONS {
        let drawn = arms(told.draw(&mut rng), n1, held_out.draw(&mut rng), n0);
        difference += u32::from(risk_difference(drawn).unwrap().covers(p1 - p0));
        ratio += u32::from(risk_ratio(drawn).is_some_and(|ratio| ratio.covers(p1 / p0)));
    }
    for covered in [difference, ratio] {
        let share = f64::from(covered) / f64::from(REPLICATIONS);
        // The methods themselves are off by a few tenths of a percent at these sizes.
        assert!(close(share, 0.95, SLACK + 0.005), "{share}");
    }
}

#[test]
fn pooled_interval_covers_the_truth_where_risks_differ() {
    const TRUE_RATIO: f64 = 0.6;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let strata = [
        (900, 100, 0.05),
        (300, 60, 0.40),
        (2_000, 200, 0.10),
        (80, 20, 0.25),
    ];
    let draws: Vec<_> = strata
        .iter()
        .map(|(n1, n0, p0)| (Binomial::new(*n1, p0 * TRUE_RATIO), Binomial::new(*n0, *p0)))
        .collect();
    let mut covered = 0;
    for _ in 0..REPLICATIONS {
        let drawn: Vec<Arms> = strata
            .iter()
            .zip(&draws)
            .map(|((n1, n0, _), (told, held_out))| {
                arms(told.draw(&mut rng), *n1, held_out.draw(&mut rng), *n0)
            })
            .collect();
        covered += u32::from(pooled_risk_ratio(&drawn).unwrap().covers(TRUE_RATIO));
    }
    let share = f64::from(covered) / f64::from(REPLICATIONS);
    assert!(close(share, 0.95, SLACK), "{share}");
}
