//! Assignment: deterministic, monotone, uniform, and never for those who must be told.

use forewarn::effect::holdout::{
    Arm, Assignment, Candidate, ClusterCounts, Exemption, Experiment, MISMATCH_P_VALUE, arm,
    assign, mismatch_p_value,
};
use forewarn::incident::IncidentNo;
use proptest::prelude::*;
use rstest::rstest;

const KEY: [u8; 32] = [7; 32];

fn candidate(cluster: &str) -> Candidate<'_> {
    Candidate {
        incident: IncidentNo(42),
        cluster,
        vulnerable: false,
        must_be_told: false,
        planned_work: false,
    }
}

fn experiment(holdout_percent: f64) -> Experiment {
    Experiment {
        name: "spring".to_owned(),
        holdout_percent,
    }
}

/// Cluster, and a percentage just above and just below its number. Computed apart from this code,
/// by Python's hmac over the same bytes.
const PINNED: [(&str, f64, f64); 2] = [("pon-1", 89.91, 89.89), ("pon-2", 12.57, 12.55)];

#[test]
fn assignment_never_changes_between_releases() {
    for (cluster, above, below) in PINNED {
        assert_eq!(
            arm(&KEY, "spring", IncidentNo(42), cluster, above),
            Arm::HeldOut
        );
        assert_eq!(
            arm(&KEY, "spring", IncidentNo(42), cluster, below),
            Arm::Told
        );
    }
}

proptest! {
    #![proptest_config(crate::support::draws(256))]

    #[test]
    fn a_cluster_stays_held_out_when_the_share_rises(
        cluster in "[a-z0-9-]{1,20}", number in 1_i64..1_000_000, low in 0.0..100.0_f64, more in 0.0..100.0_f64,
    ) {
        let at = |percent| arm(&KEY, "spring", IncidentNo(number), &cluster, percent);
        prop_assert_eq!(at(low), at(low));
        if at(low) == Arm::HeldOut {
            prop_assert_eq!(at((low + more).min(100.0)), Arm::HeldOut);
        }
        prop_assert_eq!(at(0.0), Arm::Told);
        prop_assert_eq!(at(100.0), Arm::HeldOut);
    }
}

#[test]
fn assignment_is_uniform_and_independent_between_incidents() {
    const CLUSTERS: u32 = 20_000;
    let mut tenths = [[0_u32; 10]; 2];
    let mut both = 0;
    for cluster in 0..CLUSTERS {
        let name = format!("pon-{cluster}");
        let tenth = |incident| {
            (1..=10)
                .find(|t| {
                    let percent = f64::from(*t) * 10.0;
                    arm(&KEY, "spring", IncidentNo(incident), &name, percent) == Arm::HeldOut
                })
                .unwrap() as usize
                - 1
        };
        let (first, second) = (tenth(1), tenth(2));
        tenths[0][first] += 1;
        tenths[1][second] += 1;
        both += u32::from(first == 0 && second == 0);
    }
    let expected = f64::from(CLUSTERS) / 10.0;
    for counts in tenths {
        let chi_square: f64 = counts
            .iter()
            .map(|count| (f64::from(*count) - expected).powi(2) / expected)
            .sum();
        // 99.9 % quantile with 9 degrees of freedom.
        assert!(chi_square < 27.877, "{chi_square} {counts:?}");
    }
    // 1 % expected; 3.3 standard errors.
    assert!((f64::from(both) - 200.0).abs() < 46.5, "{both}");
}

#[test]
fn names_that_join_alike_are_different_clusters() {
    let count = (0..1_000)
        .filter(|n| {
            let at = |experiment: &str, cluster: &str| {
                arm(&KEY, experiment, IncidentNo(*n), cluster, 50.0)
            };
            at("ab", "c") != at("a", "bc")
        })
        .count();
    assert!((400..600).contains(&count), "{count}");
}

#[rstest]
#[case(Candidate { vulnerable: true, ..candidate("pon-1") }, Exemption::Vulnerable)]
#[case(Candidate { must_be_told: true, ..candidate("pon-1") }, Exemption::MustBeTold)]
#[case(Candidate { planned_work: true, ..candidate("pon-1") }, Exemption::PlannedWork)]
#[case(candidate(""), Exemption::NoCluster)]
fn who_must_be_told_takes_no_part(#[case] who: Candidate<'_>, #[case] why: Exemption) {
    let assignment = assign(&KEY, &experiment(100.0), who);
    assert_eq!(assignment, Assignment::NotAssigned(why));
    assert_eq!(assignment.arm(), Arm::NotAssigned);
}

#[test]
fn the_rest_is_told_or_held_out() {
    let at = |percent| assign(&KEY, &experiment(percent), candidate("pon-1"));
    assert_eq!(at(0.0), Assignment::Told);
    assert_eq!(at(100.0), Assignment::HeldOut);
}

fn p_value(told: u64, held_out: u64, percent: f64) -> f64 {
    mismatch_p_value(ClusterCounts { told, held_out }, percent)
}

/// Mendelian inheritance, the example of R's `binom.test`: 682 of 925 at 0.75 gives 0.3825.
#[test]
fn mismatch_is_the_exact_binomial_test() {
    let p = p_value(925 - 682, 682, 75.0);
    assert!((p - 0.3825).abs() < 5e-5, "{p}");
    // By hand: 1 of 4 at one half: (1 + 4 + 4 + 1) / 16.
    assert!((p_value(3, 1, 50.0) - 0.625).abs() < 1e-12);
    assert!((p_value(2, 2, 50.0) - 1.0).abs() < 1e-12);
}

#[test]
fn mismatch_is_found_only_where_there_is_one() {
    assert!(p_value(90_000, 10_000, 10.0) > 0.9);
    assert!(p_value(90_500, 9_500, 10.0) < MISMATCH_P_VALUE);
    assert!(p_value(0, 1_000_000, 10.0) < MISMATCH_P_VALUE);
    for (told, held_out, percent, p) in [
        (0, 0, 10.0, 1.0),
        (500, 0, 0.0, 1.0),
        (500, 1, 0.0, 0.0),
        (0, 500, 100.0, 1.0),
        (1, 500, 100.0, 0.0),
    ] {
        assert!((p_value(told, held_out, percent) - p).abs() < 1e-12);
    }
}
