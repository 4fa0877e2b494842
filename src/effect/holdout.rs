//! Who is held out: a keyed hash decides, so that the same cluster of the same incident is
//! always in the same arm, on every machine and after every restart.
//!
//! Invariants: a cluster is never split; raising the percentage only moves clusters from told to
//! held out; people who must be told are in neither arm.

use crate::incident::IncidentNo;
pub use crate::notice::Arm;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A running experiment. Its name belongs to one percentage: whoever changes the percentage
/// changes the name, or the check of the arm sizes compares with the wrong share.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    pub name: String,
    /// Share of clusters held out, 0 to 100; 0 tells everybody.
    pub holdout_percent: f64,
}

/// Why a subscriber takes no part in the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exemption {
    Vulnerable,
    /// The incident endangers people, or a rule demands that they be told.
    MustBeTold,
    PlannedWork,
    /// Nothing says which household or line the subscriber shares.
    NoCluster,
}

impl Exemption {
    /// Name in decisions and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vulnerable => "vulnerable",
            Self::MustBeTold => "must_be_told",
            Self::PlannedWork => "planned_work",
            Self::NoCluster => "no_cluster",
        }
    }
}

/// What the assignment of one subscriber depends on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub incident: IncidentNo,
    /// Splitter, PON or building; never smaller than a household.
    pub cluster: &'a str,
    pub vulnerable: bool,
    /// Safety or regulation demands telling.
    pub must_be_told: bool,
    pub planned_work: bool,
}

/// The arm of a subscriber, with the reason where it is neither told nor held out at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    Told,
    HeldOut,
    NotAssigned(Exemption),
}

impl Assignment {
    /// The arm without the reason.
    pub fn arm(self) -> Arm {
        match self {
            Self::Told => Arm::Told,
            Self::HeldOut => Arm::HeldOut,
            Self::NotAssigned(_) => Arm::NotAssigned,
        }
    }
}

/// Assigns one subscriber of one incident.
pub fn assign(key: &[u8; 32], experiment: &Experiment, candidate: Candidate<'_>) -> Assignment {
    let exemption = if candidate.vulnerable {
        Some(Exemption::Vulnerable)
    } else if candidate.must_be_told {
        Some(Exemption::MustBeTold)
    } else if candidate.planned_work {
        Some(Exemption::PlannedWork)
    } else if candidate.cluster.is_empty() {
        Some(Exemption::NoCluster)
    } else {
        None
    };
    if let Some(exemption) = exemption {
        return Assignment::NotAssigned(exemption);
    }
    match arm(
        key,
        &experiment.name,
        candidate.incident,
        candidate.cluster,
        experiment.holdout_percent,
    ) {
        Arm::HeldOut => Assignment::HeldOut,
        Arm::Told | Arm::NotAssigned => Assignment::Told,
    }
}

/// The arm of a cluster in an incident: told or held out.
///
/// HMAC-SHA256 of experiment, incident and cluster gives a uniform number in [0, 1), which is
/// held out below `holdout_percent / 100`.
pub fn arm(
    key: &[u8; 32],
    experiment: &str,
    incident: IncidentNo,
    cluster: &str,
    holdout_percent: f64,
) -> Arm {
    if uniform(key, experiment, incident, cluster) < holdout_percent / 100.0 {
        Arm::HeldOut
    } else {
        Arm::Told
    }
}

fn uniform(key: &[u8; 32], experiment: &str, incident: IncidentNo, cluster: &str) -> f64 {
    // HMAC pads a short key with zeros to the block of its hash, which for SHA-256 is 64 bytes.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    // The length keeps ("a", "bc") and ("ab", "c") apart.
    mac.update(&(experiment.len() as u64).to_be_bytes());
    mac.update(experiment.as_bytes());
    mac.update(&incident.0.to_be_bytes());
    mac.update(cluster.as_bytes());
    let digest: [u8; 32] = mac.finalize().into_bytes().into();
    let first = digest[..8]
        .iter()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // The upper 53 bits are exact in a double and never round up to 1.
    (first >> 11) as f64 / (1_u64 << 53) as f64
}

/// Clusters by arm, as they were assigned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterCounts {
    pub told: u64,
    pub held_out: u64,
}

/// Below this p-value the arms are not what was drawn, and nothing computed from them is
/// trusted. Far below 5 %, because a report is looked at often.
pub const MISMATCH_P_VALUE: f64 = 0.001;

/// Sample-ratio mismatch: the exact two-sided binomial p-value of the counts, were each cluster
/// held out with the experiment's share (outcomes no likelier than the one seen count as
/// extreme). 1 without clusters.
pub fn mismatch_p_value(counts: ClusterCounts, holdout_percent: f64) -> f64 {
    let share = holdout_percent / 100.0;
    let clusters = counts.told + counts.held_out;
    if clusters == 0 {
        return 1.0;
    }
    if share <= 0.0 || share >= 1.0 {
        let possible = if share <= 0.0 {
            counts.held_out == 0
        } else {
            counts.told == 0
        };
        return if possible { 1.0 } else { 0.0 };
    }
    let weights = binomial_weights(clusters, share);
    let seen = weights
        .iter()
        .find_map(|(held_out, weight)| (*held_out == counts.held_out).then_some(*weight))
        .unwrap_or(0.0);
    // Equal probabilities differ by rounding; the margin is that of R's binom.test.
    let extreme: f64 = weights
        .iter()
        .map(|(_, weight)| *weight)
        .filter(|weight| *weight <= seen * (1.0 + 1e-7))
        .sum();
    let all: f64 = weights.iter().map(|(_, weight)| *weight).sum();
    (extreme / all).min(1.0)
}

/// Probability of each number of successes relative to the likeliest number, by the ratio of
/// neighbours. Numbers too unlikely for a double are left out.
fn binomial_weights(n: u64, p: f64) -> Vec<(u64, f64)> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a product of a count and a share lies between 0 and the count"
    )]
    let mode = (((n + 1) as f64 * p) as u64).min(n);
    let odds = p / (1.0 - p);
    let mut weights = vec![(mode, 1.0)];
    let mut weight = 1.0;
    for k in mode..n {
        weight *= odds * (n - k) as f64 / (k + 1) as f64;
        if weight == 0.0 {
            break;
        }
        weights.push((k + 1, weight));
    }
    weight = 1.0;
    for k in (1..=mode).rev() {
        weight *= k as f64 / (odds * (n - k + 1) as f64);
        if weight == 0.0 {
            break;
        }
        weights.push((k - 1, weight));
    }
    weights
}
