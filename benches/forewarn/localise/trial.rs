//! One trial: faults on a network, alarms through the correlator second by second, and what stands
//! confirmed at the end.

use super::score::{Expected, Found, Score};
use forewarn::alarm::{LogEntry, LogRecord};
use forewarn::geography::NetworkMap;
use forewarn::incident::{Correlator, CorrelatorSettings, IncidentNo, IncidentState};
use forewarn::simulate::{
    DrawSettings, FaultKind, Impairments, Origin, Reporting, Scenario, Simulation, World,
    draw_apart,
};
use forewarn::topology::{Network, Part};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Kinds of which an incident is expected.
pub(crate) const KINDS: [FaultKind; 9] = [
    FaultKind::FeederCut,
    FaultKind::DistributionCut,
    FaultKind::PonPort,
    FaultKind::LineCard,
    FaultKind::OltDeath,
    FaultKind::AggregationNode,
    FaultKind::RingDouble,
    FaultKind::DuctCut,
    FaultKind::StreetPower,
];

pub(super) const START_MS: i64 = 1_795_000_000_000;
/// When the first fault begins, and within which time all do.
const ONSET_MS: i64 = START_MS + 60_000;
const TOGETHER_MS: i64 = 10_000;
/// From the start to the moment at which what is confirmed is compared with the truth: time for
/// missed polls, the hold-down, and some more.
const WATCHED_MS: i64 = 360_000;

/// What is measured with the same settings.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) faults: usize,
    pub(crate) reporting: Reporting,
    pub(crate) impairments: Impairments,
}

/// What a trial gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// See [`Expected::mistakes`].
    pub(crate) mistakes: Vec<String>,
    pub(crate) score: Score,
    /// Milliseconds from the first alarm of a fault that arrived to the incident, per fault found.
    pub(crate) delays_ms: Vec<i64>,
    /// From the event with which its incident first named what it names at the end to its being confirmed.
    pub(crate) decided_ms: Vec<i64>,
    /// Confirmed incidents that rest on a lone alarm, of all that are confirmed.
    pub(crate) lone: (usize, usize),
    pub(crate) entries: usize,
    pub(crate) compute: Duration,
    /// To make an empty correlator.
    pub(crate) restore: Duration,
    /// Of incidents, those that named a right component when they were confirmed.
    pub(crate) right_when_confirmed: (usize, usize),
}

/// The faults and alarms of a trial.
pub(crate) fn simulate(world: &World, cell: &Cell, seed: u64) -> Simulation {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let onsets: Vec<i64> = (0..cell.faults)
        .map(|_| ONSET_MS + rng.random_range(0..TOGETHER_MS))
        .collect();
    let settings = DrawSettings {
        lasting_ms: [10 * WATCHED_MS; 2],
        in_steps: 0.0,
        power_feeds: true,
        ..DrawSettings::default()
    };
    let scenario = Scenario {
        faults: draw_apart(world, &KINDS, &onsets, &settings, &mut rng),
        reporting: Reporting {
            sessions_every_ms: 0,
            ..cell.reporting.clone()
        },
        impairments: cell.impairments.clone(),
        seed,
        start_ms: START_MS,
        duration_ms: WATCHED_MS,
    };
    Simulation::new(world, &scenario)
}

/// The instant at which what is confirmed counts.
pub(crate) fn end_ms() -> i64 {
    START_MS + WATCHED_MS
}

/// What is true then, of the faults of which any alarm has arrived.
pub(crate) fn expected(world: &World, believed: &Network, simulation: &Simulation) -> Expected {
    let heard = first_arrivals(simulation);
    let heard: Vec<bool> = heard.iter().map(Option::is_some).collect();
    Expected::at(world, &simulation.truth, &heard, believed, end_ms())
}

/// Lets the correlator work on the alarms, and scores it.
pub(crate) fn run(
    world: &World,
    (believed, map): (&Arc<Network>, &Arc<NetworkMap>),
    simulation: &Simulation,
    settings: &CorrelatorSettings,
) -> Outcome {
    let expected = expected(world, believed, simulation);
    let begun = Instant::now();
    let mut correlator = Correlator::new(settings.clone(), Arc::clone(believed));
    correlator.take_map(Arc::clone(map));
    let restore = begun.elapsed();
    let begun = Instant::now();
    let (confirmed, named) = drive(&mut correlator, &simulation.entries);
    let compute = begun.elapsed();
    let of_confirmed = || {
        let live = correlator.live();
        live.filter(|live| live.incident.state == IncidentState::Confirmed)
    };
    let lone = of_confirmed().filter(|live| !live.incident.life.has_company);
    let lone = (lone.count(), of_confirmed().count());
    let found: Vec<Found> = of_confirmed()
        .map(|live| Found {
            parts: parts(believed, &live.incident.cause.resources),
            lost: (**live.lost).clone(),
            confirmed_ms: live.incident.confirmed_ms,
            named_ms: named
                .get(&(live.incident.no, live.incident.cause.resources.clone()))
                .copied(),
        })
        .collect();
    let score = expected.score(&found);
    let at_confirmation = expected.score(&confirmed);
    let mut mistakes = expected.mistakes(&found, believed);
    for (no, (kind, is_found, _)) in score.of_faults.iter().enumerate() {
        if *is_found == Some(false) {
            mistakes.push(format!("  heard of {kind:?}: {}", heard_of(simulation, no)));
        }
    }
    let delays_ms = score
        .of_faults
        .iter()
        .zip(first_arrivals(simulation))
        .filter_map(|((_, is_found, since), first)| {
            let [confirmed_ms, _] = (*since)?;
            Some(confirmed_ms - first?).filter(|_| *is_found == Some(true))
        })
        .collect();
    let times = score.of_faults.iter();
    let times = times.filter(|(_, is_found, _)| *is_found == Some(true));
    let decided_ms = times
        .filter_map(|(.., times)| *times)
        .map(|[confirmed_ms, named_ms]| (confirmed_ms - named_ms).max(0))
        .collect();
    Outcome {
        mistakes,
        delays_ms,
        decided_ms,
        lone,
        entries: simulation.entries.len(),
        compute,
        restore,
        right_when_confirmed: (at_confirmation.found_right, at_confirmation.found),
        score,
    }
}

pub(super) fn parts(network: &Network, ids: &[String]) -> Vec<Part> {
    let mut parts: Vec<Part> = ids.iter().filter_map(|id| network.part(id)).collect();
    parts.sort_unstable();
    parts
}

/// When an incident first named these resources.
type Named = BTreeMap<(IncidentNo, Vec<String>), i64>;

/// Takes the log second by second; incidents as they were when they were first confirmed, and when each
/// named what.
fn drive(correlator: &mut Correlator, entries: &[LogEntry]) -> (Vec<Found>, Named) {
    let network = Arc::clone(correlator.network());
    let mut confirmed = Vec::new();
    let mut named = Named::new();
    let mut known = std::collections::BTreeSet::new();
    let mut entries = entries.iter().peekable();
    let mut now_ms = START_MS;
    while now_ms <= end_ms() {
        let mut has_come = false;
        while let Some(entry) = entries.next_if(|entry| entry.received_at_ms <= now_ms) {
            correlator.apply(entry);
            has_come = true;
        }
        let is_due = correlator.next_deadline_ms().is_some_and(|at| at <= now_ms);
        if has_come || is_due {
            for change in correlator.settle(now_ms) {
                let incident = &change.incident;
                let names = (incident.no, incident.cause.resources.clone());
                named.entry(names).or_insert(now_ms);
                if incident.state == IncidentState::Confirmed && known.insert(incident.no) {
                    confirmed.push(Found {
                        parts: parts(&network, &incident.cause.resources),
                        lost: change.lost,
                        confirmed_ms: incident.confirmed_ms,
                        named_ms: None,
                    });
                }
            }
        }
        now_ms += 1_000;
    }
    (confirmed, named)
}

/// The alarms of a fault, those of the plant first.
fn heard_of(simulation: &Simulation, fault: usize) -> String {
    const SHOWN: usize = 40;
    let entries = simulation.entries.iter().zip(&simulation.origins);
    let raised = entries.filter_map(|(entry, origin)| match (&entry.record, origin) {
        (LogRecord::Event(event), Some(Origin::Fault(no))) if *no as usize == fault => {
            Some((event.key.resource.as_str(), event.key.alarm_type.as_str()))
        }
        _ => None,
    });
    let mut raised: Vec<(&str, &str)> = raised.collect();
    raised.sort_by_key(|(resource, _)| (resource.starts_with("ont"), *resource));
    let each = raised.iter().take(SHOWN);
    let each: Vec<String> = each.map(|(id, what)| format!("{id} {what}")).collect();
    format!("{} alarms: {}", raised.len(), each.join(", "))
}

/// Per fault: when the first alarm of it arrived.
fn first_arrivals(simulation: &Simulation) -> Vec<Option<i64>> {
    let mut first = vec![None; simulation.truth.faults.len()];
    for (entry, origin) in simulation.entries.iter().zip(&simulation.origins) {
        if let Some(Origin::Fault(no)) = origin
            && let Some(first) = first.get_mut(*no as usize)
        {
            first.get_or_insert(entry.received_at_ms);
        }
    }
    first
}
