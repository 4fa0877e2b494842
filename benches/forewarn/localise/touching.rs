//! Two faults that touch and are over at different times: whom do confirmed incidents name on the way,
//! and do they let go of anybody who is still without service?
//!
//! What is right changes several times in such a trial, and what is heard of it comes late. So a name is
//! wrong when that person has lost no service within [`HEARD_LATE_MS`]; and letting go of somebody is wrong
//! while service is lost, and has been for as long, and goes on being lost for as long.

use super::trial::{KINDS, START_MS, parts};
use forewarn::geography::NetworkMap;
use forewarn::incident::{Correlator, CorrelatorSettings, IncidentNo, IncidentState};
use forewarn::simulate::{
    DrawSettings, Impairments, Reporting, Scenario, Simulation, Truth, World, draw_touching,
};
use forewarn::topology::{Network, Part, SubscriberSet};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const MINUTE_MS: i64 = 60_000;
const LASTING_MS: [i64; 2] = [10 * MINUTE_MS, 40 * MINUTE_MS];
const ONSET_MS: i64 = START_MS + MINUTE_MS;
/// Until a clear has been heard, and been quiet for as long as an incident asks for.
const HEARD_LATE_MS: i64 = 3 * MINUTE_MS;
/// Watched after all is over.
const AFTER_MS: i64 = 10 * MINUTE_MS;

/// What one trial gave, or many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    /// People named by a confirmed incident, and those of them who had service.
    pub(crate) named: (usize, usize),
    /// People without service for longer than [`HEARD_LATE_MS`] at a time, and those of them never named.
    pub(crate) out: (usize, usize),
    /// People let go of while they had no service.
    pub(crate) let_go: usize,
    /// Seconds of confirmed incidents, and those in which one named a part that had not failed.
    pub(crate) shown_s: (usize, usize),
    pub(crate) mistakes: Vec<String>,
}

impl Touched {
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.named, other.named),
            (&mut self.out, other.out),
            (&mut self.shown_s, other.shown_s),
        ];
        for (sum, more) in pairs {
            *sum = (sum.0 + more.0, sum.1 + more.1);
        }
        self.let_go += other.let_go;
    }
}

/// `None` where nothing could be drawn.
pub(crate) fn simulate(world: &World, impairments: &Impairments, seed: u64) -> Option<Simulation> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let settings = DrawSettings {
        lasting_ms: LASTING_MS,
        in_steps: 0.0,
        power_feeds: true,
        ..DrawSettings::default()
    };
    let pair = draw_touching(world, &KINDS, ONSET_MS, &settings, &mut rng)?;
    let last_ms = pair
        .iter()
        .filter_map(forewarn::simulate::Fault::end_ms)
        .max()?;
    let scenario = Scenario {
        faults: pair.to_vec(),
        reporting: Reporting {
            sessions_every_ms: 0,
            ..Reporting::default()
        },
        impairments: impairments.clone(),
        seed,
        start_ms: START_MS,
        duration_ms: last_ms + AFTER_MS - START_MS,
    };
    Some(Simulation::new(world, &scenario))
}

/// Lets the correlator work on the alarms second by second, and compares what is confirmed with the truth
/// whenever it changes.
pub(crate) fn run(
    world: &World,
    map: &Arc<NetworkMap>,
    simulation: &Simulation,
    settings: &CorrelatorSettings,
) -> Touched {
    let network = world.network();
    let truth = Outages::of(network, &simulation.truth);
    let failed = Failed::of(network, &simulation.truth);
    let mut correlator = Correlator::new(settings.clone(), Arc::clone(network));
    correlator.take_map(Arc::clone(map));
    let mut entries = simulation.entries.iter().peekable();
    let mut touched = Touched::default();
    let mut named = SubscriberSet::new();
    let mut shown: BTreeMap<IncidentNo, Shown> = BTreeMap::new();
    let mut watch = Watch::default();
    let mut now_ms = START_MS;
    while now_ms <= truth.end_ms + AFTER_MS {
        while let Some(entry) = entries.next_if(|entry| entry.received_at_ms <= now_ms) {
            correlator.apply(entry);
        }
        if !correlator.settle(now_ms).is_empty() {
            let live = correlator.live();
            let confirmed = live.filter(|live| live.incident.state == IncidentState::Confirmed);
            let mut before = std::mem::take(&mut shown);
            let mut now = SubscriberSet::new();
            for live in confirmed {
                let incident = live.incident;
                now = now.union(live.lost);
                let is_same = |known: &Shown| known.parts == incident.cause.resources;
                let known = if before.get(&incident.no).is_some_and(is_same) {
                    before.remove(&incident.no)
                } else {
                    None
                };
                let one = known.unwrap_or_else(|| {
                    let named = parts(network, &incident.cause.resources);
                    // Who is cut off may have several explanations that nothing tells apart.
                    let is_exact = !live.lost.is_empty() && **live.lost == truth.lost_at(now_ms);
                    let is_explained = |&part: &Part| failed.explains(part, network);
                    Shown {
                        is_wrong: !is_exact && !named.iter().all(is_explained),
                        since_ms: now_ms,
                        parts: incident.cause.resources.clone(),
                        text: incident.cause.text.clone(),
                    }
                });
                shown.insert(incident.no, one);
            }
            for (no, gone) in before {
                gone.note(no, now_ms, &mut touched);
            }
            watch.note_gone(&truth, &named.difference(&now), now_ms, &mut touched);
            named = now;
        }
        watch.note_named(&truth, &named, now_ms, &mut touched);
        for one in shown.values() {
            touched.shown_s.0 += 1;
            touched.shown_s.1 += usize::from(one.is_wrong);
        }
        now_ms += 1_000;
    }
    watch.close(&truth, &mut touched);
    if !touched.mistakes.is_empty() {
        for fault in &simulation.truth.faults {
            let ids: Vec<&str> = fault
                .fault
                .parts()
                .iter()
                .take(4)
                .map(|&part| network.part_id(part))
                .collect();
            let second = |at_ms: i64| (at_ms - ONSET_MS) / 1_000;
            touched.mistakes.push(format!(
                "  true: {} {ids:?}, {} to {:?} s, {} lost",
                fault.fault.kind.as_str(),
                second(fault.fault.onset_ms()),
                fault.fault.end_ms().map(second),
                fault.ever_lost().len(),
            ));
        }
    }
    touched
}

/// A cause that a confirmed incident names.
struct Shown {
    parts: Vec<String>,
    text: String,
    since_ms: i64,
    is_wrong: bool,
}

impl Shown {
    fn note(self, no: IncidentNo, now_ms: i64, touched: &mut Touched) {
        if self.is_wrong {
            touched.mistakes.push(format!(
                "from {} s for {} s {no} was `{}`",
                (self.since_ms - ONSET_MS) / 1_000,
                (now_ms - self.since_ms) / 1_000,
                self.text
            ));
        }
    }
}

/// All that failed at any time, members of groups too.
struct Failed {
    parts: BTreeSet<Part>,
    /// Whom each of them cuts off.
    lost: Vec<SubscriberSet>,
}

impl Failed {
    fn of(network: &Network, truth: &Truth) -> Self {
        let parts = truth.faults.iter().flat_map(|fault| fault.fault.parts());
        let with_members = parts.flat_map(|part| {
            let members = match part {
                Part::Group(group) => network.group_members(group),
                _ => &[],
            };
            std::iter::once(part).chain(members.iter().copied())
        });
        let parts: BTreeSet<Part> = with_members.collect();
        let lost = parts.iter().map(|&part| network.lost_alone(part));
        Self {
            lost: lost.filter(|lost| !lost.is_empty()).collect(),
            parts,
        }
    }

    /// Whether a part failed, cuts off the same people as one that did, or hangs on it: what comes back
    /// comes back bit by bit, and what is left of it is named for what it is.
    fn explains(&self, part: Part, network: &Network) -> bool {
        let own = network.lost_alone(part);
        let is_behind = |lost: &SubscriberSet| !own.is_empty() && lost.covers(own.runs());
        self.parts.contains(&part) || self.lost.iter().any(is_behind)
    }
}

/// Who has no service, from one change of what is failed to the next.
struct Outages {
    since: BTreeMap<i64, SubscriberSet>,
    end_ms: i64,
}

impl Outages {
    fn of(network: &Network, truth: &Truth) -> Self {
        let stages = truth.faults.iter().flat_map(|fault| &fault.stages);
        let times: BTreeSet<i64> = stages.map(|stage| stage.at_ms).collect();
        let end_ms = times.last().copied().unwrap_or(START_MS);
        let since = times
            .into_iter()
            .map(|at_ms| (at_ms, truth.lost_at(network, at_ms)));
        Self {
            since: since.collect(),
            end_ms,
        }
    }

    fn lost_at(&self, at_ms: i64) -> SubscriberSet {
        let before = self.since.range(..=at_ms).next_back();
        before.map(|(_, lost)| lost.clone()).unwrap_or_default()
    }

    /// Who had none at some time of a span.
    fn lost_in(&self, from_ms: i64, to_ms: i64) -> SubscriberSet {
        let within = self.since.range(from_ms..=to_ms).map(|(_, lost)| lost);
        within.fold(self.lost_at(from_ms), |sum, lost| sum.union(lost))
    }

    /// Who had none at any time of a span.
    fn lost_through(&self, from_ms: i64, to_ms: i64) -> SubscriberSet {
        let within = self.since.range(from_ms..=to_ms).map(|(_, lost)| lost);
        within.fold(self.lost_at(from_ms), |all, lost| all.intersection(lost))
    }
}

/// Who was named so far, rightly and wrongly.
#[derive(Default)]
struct Watch {
    named: SubscriberSet,
    wrongly: SubscriberSet,
    let_go: SubscriberSet,
}

impl Watch {
    fn note_gone(
        &mut self,
        truth: &Outages,
        gone: &SubscriberSet,
        now_ms: i64,
        touched: &mut Touched,
    ) {
        let through = truth.lost_through(now_ms - HEARD_LATE_MS, now_ms + HEARD_LATE_MS);
        let wrong = gone.intersection(&through);
        note(&mut self.let_go, &wrong, ("lets go of", now_ms), touched);
    }

    /// Named second by second, also while nothing changes: whoever is named for too long is named wrongly.
    fn note_named(
        &mut self,
        truth: &Outages,
        named: &SubscriberSet,
        now_ms: i64,
        touched: &mut Touched,
    ) {
        let wrong = named.difference(&truth.lost_in(now_ms - HEARD_LATE_MS, now_ms));
        note(&mut self.wrongly, &wrong, ("names", now_ms), touched);
        self.named = self.named.union(named);
    }

    fn close(self, truth: &Outages, touched: &mut Touched) {
        touched.named = (self.named.len(), self.wrongly.len());
        touched.let_go = self.let_go.len();
        // All that lasts long enough begins at a change.
        let begins = truth.since.keys();
        let long = begins.map(|&at_ms| truth.lost_through(at_ms, at_ms + HEARD_LATE_MS));
        let long = long.fold(SubscriberSet::new(), |sum, lost| sum.union(&lost));
        touched.out = (long.len(), long.difference(&self.named).len());
    }
}

fn note(
    all: &mut SubscriberSet,
    people: &SubscriberSet,
    (what, now_ms): (&str, i64),
    touched: &mut Touched,
) {
    if !people.difference(all).is_empty() {
        let second = (now_ms - ONSET_MS) / 1_000;
        let wrong = format!("at {second} s {what} {} wrongly", people.len());
        touched.mistakes.push(wrong);
        *all = all.union(people);
    }
}
