//! The report: what telling people was worth, and what may be claimed of it.
//!
//! Invariants: only arms assigned at random are compared, as assigned (intention to treat);
//! nothing is claimed where the interval covers 1, where nobody was held out, or where the arms
//! are not in the ratio that was drawn.

use super::estimate::{Arms, Estimate, pooled_risk_ratio, reduction, risk_difference, risk_ratio};
use super::holdout::{ClusterCounts, Experiment, MISMATCH_P_VALUE, mismatch_p_value};
use crate::incident::IncidentNo;

/// Complaints count this long before onset too: people call before a fault is detected, and an
/// onset is itself an estimate.
pub const BEFORE_ONSET_MS: i64 = 3_600_000;

/// Complaints count from onset for this long unless asked otherwise.
pub const DEFAULT_WINDOW_S: u32 = 24 * 3_600;

/// Counts of one incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentCounts {
    pub incident: IncidentNo,
    pub arms: Arms,
}

/// People who were to be told, by when they first complained; and how long telling them took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LeadTime {
    /// Complained before their notice went out, or never got one.
    pub before_notice: u64,
    pub after_notice: u64,
    /// Were sent a notice and never complained.
    pub never: u64,
    /// Seconds from onset to the notice (nearest rank); `None` when nothing was sent.
    pub median_s: Option<f64>,
    pub p90_s: Option<f64>,
}

/// All that the report is made of, as counted by the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EffectFacts {
    /// By incident number.
    pub incidents: Vec<IncidentCounts>,
    /// Of the running experiment, over these incidents.
    pub clusters: ClusterCounts,
    pub lead_time: LeadTime,
}

/// One incident of the report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IncidentEffect {
    pub incident: IncidentNo,
    pub arms: Arms,
    pub risk_difference: Option<Estimate>,
    pub risk_ratio: Option<Estimate>,
}

/// All incidents with both arms together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PooledEffect {
    pub arms: Arms,
    pub risk_ratio: Option<Estimate>,
    pub incidents: u32,
}

/// What can be said, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub text: String,
    pub allowed: bool,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectReport {
    pub incidents: Vec<IncidentEffect>,
    pub pooled: PooledEffect,
    pub lead_time: LeadTime,
    pub claim: Claim,
    pub window_s: u32,
}

/// Computes the report from its counts.
pub fn assemble(facts: &EffectFacts, experiment: &Experiment, window_s: u32) -> EffectReport {
    let compared: Vec<Arms> = facts
        .incidents
        .iter()
        .map(|counts| counts.arms)
        .filter(|arms| arms.both_present())
        .collect();
    let pooled = PooledEffect {
        arms: Arms::total(&compared),
        risk_ratio: pooled_risk_ratio(&compared),
        incidents: u32::try_from(compared.len()).unwrap_or(u32::MAX),
    };
    let mismatch = mismatch_p_value(facts.clusters, experiment.holdout_percent);
    EffectReport {
        incidents: facts.incidents.iter().map(incident_effect).collect(),
        pooled,
        lead_time: facts.lead_time,
        claim: claim(facts, &pooled, mismatch, window_s),
        window_s,
    }
}

fn incident_effect(counts: &IncidentCounts) -> IncidentEffect {
    IncidentEffect {
        incident: counts.incident,
        arms: counts.arms,
        risk_difference: risk_difference(counts.arms),
        risk_ratio: risk_ratio(counts.arms),
    }
}

fn claim(facts: &EffectFacts, pooled: &PooledEffect, mismatch: f64, window_s: u32) -> Claim {
    let none = |text: String| Claim {
        text,
        allowed: false,
    };
    if pooled.incidents == 0 {
        return none(nothing_to_compare(facts));
    }
    if mismatch < MISMATCH_P_VALUE {
        return none(format!(
            "No claim: of the clusters of this experiment {} were told and {} held out, which the \
             configured share does not explain (sample-ratio mismatch, p = {mismatch:.2e}). The \
             assignment or its record is faulty, or the share was changed without a new \
             experiment name.",
            facts.clusters.told, facts.clusters.held_out
        ));
    }
    let Some(ratio) = pooled.risk_ratio else {
        return none(
            "No claim: there are too few complaints to compare; a ratio needs at least one in \
             each arm."
                .to_owned(),
        );
    };
    if ratio.covers(1.0) {
        return none(format!(
            "No claim: the told complained {:.2} times as often as the held out, but the 95 % \
             interval, {:.2} to {:.2}, covers 1 (no effect).",
            ratio.value, ratio.low, ratio.high
        ));
    }
    Claim {
        text: claim_text(pooled, ratio, window_s),
        allowed: true,
    }
}

fn nothing_to_compare(facts: &EffectFacts) -> String {
    if facts.incidents.is_empty() {
        return "No claim: there is no incident in this selection.".to_owned();
    }
    let assigned = facts.incidents.iter().map(|counts| counts.arms);
    if assigned.clone().all(|arms| arms.held_out.subscribers == 0) {
        return "No claim: nobody was held out at random, so nothing can be said about what \
                telling people was worth."
            .to_owned();
    }
    "No claim: no incident has both people told and people held out at random, so there is \
     nothing to compare."
        .to_owned()
}

fn claim_text(pooled: &PooledEffect, ratio: Estimate, window_s: u32) -> String {
    let change = reduction(ratio);
    let (verb, value, low, high) = if change.value >= 0.0 {
        ("lowered", change.value, change.low, change.high)
    } else {
        ("raised", -change.value, -change.high, -change.low)
    };
    let incidents = if pooled.incidents == 1 {
        "1 incident".to_owned()
    } else {
        format!("{} incidents", pooled.incidents)
    };
    format!(
        "Telling people {verb} the probability of a complaint within {} of onset by {:.1} % (95 % \
         interval {:.1} % to {:.1} %), comparing {} told with {} held out at random in {incidents}. \
         The interval takes subscribers as independent; they were assigned by cluster, so it may \
         be too narrow.",
        window_words(window_s),
        value * 100.0,
        low * 100.0,
        high * 100.0,
        pooled.arms.told.subscribers,
        pooled.arms.held_out.subscribers,
    )
}

fn window_words(window_s: u32) -> String {
    match (window_s, window_s % 3_600, window_s % 60) {
        (3_600, ..) => "1 hour".to_owned(),
        (_, 0, _) => format!("{} hours", window_s / 3_600),
        (60, ..) => "1 minute".to_owned(),
        (_, _, 0) => format!("{} minutes", window_s / 60),
        _ => format!("{window_s} seconds"),
    }
}

/// Writes the report into the log, as one structured event.
pub fn log(report: &EffectReport) {
    let ratio = report.pooled.risk_ratio;
    tracing::info!(
        target: "forewarn::effect",
        incidents = report.pooled.incidents,
        window_s = report.window_s,
        told = report.pooled.arms.told.subscribers,
        told_complained = report.pooled.arms.told.complained,
        held_out = report.pooled.arms.held_out.subscribers,
        held_out_complained = report.pooled.arms.held_out.complained,
        rr = ratio.map(|ratio| ratio.value),
        low = ratio.map(|ratio| ratio.low),
        high = ratio.map(|ratio| ratio.high),
        claim_allowed = report.claim.allowed,
        "effect reported"
    );
}
