//! Scenarios by name, and random ones.

use super::Scenario;
use super::chance::{Purpose, generator};
use super::draw::{DrawSettings, draw_apart, draw_fault};
use super::fault::{Fault, FaultKind};
use super::impairment::Impairments;
use super::reporting::Reporting;
use super::world::{World, number};
use crate::clock::Millis;
use rand::RngExt;

/// A named scenario: its name, what happens, the kinds of its faults.
type Named = (&'static str, &'static str, &'static [FaultKind]);

/// The scenarios that have a name.
pub const SCENARIOS: [Named; 9] = [
    (
        "feeder",
        "an excavator cuts a feeder",
        &[FaultKind::FeederCut],
    ),
    ("olt", "an OLT dies without a word", &[FaultKind::OltDeath]),
    (
        "ring",
        "a ring fails in two places",
        &[FaultKind::RingDouble],
    ),
    (
        "duct",
        "a duct is cut, with all that lies in it",
        &[FaultKind::DuctCut],
    ),
    (
        "street-power",
        "mains fail in some streets",
        &[FaultKind::StreetPower],
    ),
    (
        "regional-power",
        "mains fail in a region; sites drop out as their batteries run dry",
        &[FaultKind::RegionalPower],
    ),
    (
        "upstream",
        "everything above the network fails",
        &[FaultKind::Upstream],
    ),
    (
        "quiet",
        "nothing that should open an incident with people in it: drops, bad light, noise",
        &[
            FaultKind::DropCut,
            FaultKind::DropCut,
            FaultKind::Degradation,
        ],
    ),
    (
        "busy-day",
        "a bit of everything",
        &[
            FaultKind::FeederCut,
            FaultKind::DistributionCut,
            FaultKind::DropCut,
            FaultKind::PonPort,
            FaultKind::LineCard,
            FaultKind::OltDeath,
            FaultKind::AggregationNode,
            FaultKind::RingDouble,
            FaultKind::DuctCut,
            FaultKind::StreetPower,
            FaultKind::Flapping,
            FaultKind::Degradation,
            FaultKind::PlannedWork,
        ],
    ),
];

/// Where in a scenario the first fault begins, and how far apart the others do, milliseconds.
const FIRST_MS: i64 = 120_000;
const APART_MS: i64 = 300_000;

/// The kinds of faults in a scenario of [`SCENARIOS`]; none for an unknown name.
pub fn scenario_kinds(name: &str) -> &'static [FaultKind] {
    let known = SCENARIOS.into_iter().find(|(known, _, _)| *known == name);
    known.map_or(&[], |(_, _, kinds)| kinds)
}

/// A scenario of [`SCENARIOS`]; `None` for an unknown name. Kinds for which the network has no
/// place are left out.
pub fn named_scenario(
    world: &World,
    name: &str,
    seed: u64,
    start_ms: Millis,
    duration_ms: i64,
) -> Option<Scenario> {
    let (_, _, kinds) = SCENARIOS.into_iter().find(|(known, _, _)| *known == name)?;
    let mut rng = generator(seed, Purpose::Draw);
    let settings = settings(duration_ms);
    let mut onset_ms = start_ms + FIRST_MS;
    let mut faults: Vec<Fault> = Vec::new();
    let room_ms = duration_ms / i64::from(2 * number(kinds.len()).max(1));
    for &kind in kinds {
        faults.extend(draw_fault(world, kind, onset_ms, &settings, &mut rng));
        onset_ms += APART_MS.min(room_ms);
    }
    Some(scenario(faults, seed, start_ms, duration_ms))
}

/// So many faults of these kinds that do not touch one another, in the first half of the time.
pub fn random_scenario(
    world: &World,
    kinds: &[FaultKind],
    count: usize,
    seed: u64,
    start_ms: Millis,
    duration_ms: i64,
) -> Scenario {
    let mut rng = generator(seed, Purpose::Draw);
    let first_ms = FIRST_MS.min(duration_ms / 4);
    let mut onsets: Vec<Millis> = (0..count)
        .map(|_| start_ms + rng.random_range(first_ms..=(duration_ms / 2).max(first_ms)))
        .collect();
    onsets.sort_unstable();
    let faults = draw_apart(world, kinds, &onsets, &settings(duration_ms), &mut rng);
    scenario(faults, seed, start_ms, duration_ms)
}

/// Faults that end before the scenario does, with time for the network to come back.
fn settings(duration_ms: i64) -> DrawSettings {
    DrawSettings {
        lasting_ms: [duration_ms / 6, duration_ms / 3],
        window_ms: [duration_ms / 6, duration_ms / 4],
        ..DrawSettings::default()
    }
}

fn scenario(faults: Vec<Fault>, seed: u64, start_ms: Millis, duration_ms: i64) -> Scenario {
    Scenario {
        faults,
        reporting: Reporting::default(),
        impairments: Impairments::default(),
        seed,
        start_ms,
        duration_ms,
    }
}
