//! A month of a whole network in simulated time: who was told of an outage that they did not have,
//! and who had one and was not told.
//!
//! Faults at assumed rates ([`PER_MONTH`], for a million subscribers), with every impairment of a
//! network of fair quality and 2 % of homes at a wrong place in the inventory. The correlator, the
//! planner, the store (SQLite), the truth gate and the dispatcher are the real ones; messages are
//! accepted at once. Everybody can be reached, nobody is held out, and planned work is not played:
//! who is told of it is another question.
//!
//! - **Lost service**: what really failed cut the person off, whoever else it did; homes that are
//!   dark for reasons of their own do not count.
//! - A **false** notice says that service is interrupted, or back, to somebody who had lost none in
//!   the hour before the first notice of that incident, nor lost any until told that it was over. Those
//!   who lost it only afterwards, when the battery of their home or OLT ended, are counted apart.
//! - **Not told**: service was lost for longer than the hold-down, and at no time of it did the person
//!   stand informed of an interruption. What begins in the last quarter of an hour is not judged.
//!
//! Forewarn opens no incident for a lone premise unless told to (`single_premise_incidents`), so
//! outages of one home are counted apart.
//!
//! The BNG counts the sessions of each PON port every minute, and a rule of detection says when 97 in a
//! hundred are gone, which is what a provider's telemetry and the rules for it are for. Of the counts as
//! many are lost as of alarms.
//!
//! `BENCH_SUBSCRIBERS` (default 1,000,000) and `BENCH_DAYS` (default 30) make it smaller,
//! `BENCH_MONTHS` (default 1) plays as many months with faults of their own. Intervals come from
//! resampling whole incidents and whole faults, as a mistake concerns all the people of one.
//! `BENCH_MISTAKES=1` prints the incidents that told most people wrongly. Whatever is tuned by looking
//! at these figures is tuned with `BENCH_SEEDS=tune`, which takes other faults, noise and misses than
//! the report does.

mod ledger;
mod story;
mod telemetry;

use crate::figure::Figure;
use forewarn::channel::recorder::Recorder;
use forewarn::channel::{Channel, SendOutcome};
use forewarn::delivery::unsubscribe::UnsubscribeLinks;
use forewarn::effect::holdout::Experiment;
use forewarn::generate::{GenerateSettings, Generated, generate};
use forewarn::incident::{
    Correlator, CorrelatorSettings, IncidentChange, IncidentNo, TimelineKind,
};
use forewarn::notice::compose::Sender;
use forewarn::notice::plan::NoticePolicy;
use forewarn::notice::template::Templates;
use forewarn::pipeline::dispatcher::{DispatchOptions, Dispatcher, Outlet};
use forewarn::pipeline::importer::{
    LoadedNetwork, import_subscribers, import_topology, load_network,
};
use forewarn::pipeline::planner::{Ground, Planner};
use forewarn::simulate::{
    DrawSettings, FaultKind, Impairments, Reporting, Scenario, Simulation, World, believed,
    draw_over_time, misplace,
};
use forewarn::store::Store;
use forewarn::subscriber::{ChannelKind, ContactKind, ContactPoint};
use forewarn::topology::SubscriberSet;
use ledger::{Counted, Ledger};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use story::Story;
use telemetry::with_detections;

/// Faults a month and a million subscribers. Assumed, not measured: about one in a hundred lines
/// has a fault of its own in a year's quarter, cables and cards fail every few days, power somewhere
/// several times a day.
const PER_MONTH: [(FaultKind, f64); 14] = [
    (FaultKind::FeederCut, 60.0),
    (FaultKind::DistributionCut, 150.0),
    (FaultKind::DropCut, 3_000.0),
    (FaultKind::PonPort, 40.0),
    (FaultKind::LineCard, 20.0),
    (FaultKind::OltDeath, 8.0),
    (FaultKind::AggregationNode, 4.0),
    (FaultKind::RingDouble, 2.0),
    (FaultKind::DuctCut, 8.0),
    (FaultKind::StreetPower, 150.0),
    (FaultKind::RegionalPower, 2.0),
    (FaultKind::Upstream, 0.2),
    (FaultKind::Flapping, 60.0),
    (FaultKind::Degradation, 60.0),
];

const START_MS: i64 = 1_795_000_000_000;
const DAY_MS: i64 = 24 * 3_600_000;
/// Between the end of a fault and the next one at the same place.
const CALM_MS: i64 = 3_600_000;
const REPORT_SEED: u64 = 271_828;
const TUNE_SEED: u64 = 4_711;
const GOAL: f64 = 0.005;
/// How often the outbox is looked at when nothing was planned.
const OUTBOX_MS: i64 = 15 * 60_000;

pub(crate) fn run() -> Vec<Figure> {
    let subscribers = from_env("BENCH_SUBSCRIBERS", 1_000_000);
    let days = i64::from(from_env("BENCH_DAYS", 30));
    let tune = std::env::var("BENCH_SEEDS").is_ok_and(|seeds| seeds == "tune");
    let first = if tune { TUNE_SEED } else { REPORT_SEED };
    let months = from_env("BENCH_MONTHS", 1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut all = Played::default();
    for no in 0..months {
        all.join(runtime.block_on(month(subscribers, days, first + u64::from(no))));
    }
    let tuning = if tune { ", tuning seeds" } else { "" };
    all.figures(&format!(
        "{subscribers} subscribers, {months} x {days} days{tuning}"
    ))
}

/// One or several months.
#[derive(Default)]
struct Played {
    counted: Counted,
    faults: usize,
    messages: usize,
    incidents: usize,
    settlings: usize,
    thinking: Duration,
    took: Duration,
}

impl Played {
    fn join(&mut self, next: Self) {
        self.counted.join(next.counted);
        self.faults += next.faults;
        self.messages += next.messages;
        self.incidents += next.incidents;
        self.settlings += next.settlings;
        self.thinking += next.thinking;
        self.took += next.took;
    }

    fn figures(&self, size: &str) -> Vec<Figure> {
        let mut figures = self.counted.figures(size, GOAL);
        let settling_ms = 1e3 * self.thinking.as_secs_f64() / self.settlings as f64;
        for (name, value, unit) in [
            ("faults", self.faults as f64, ""),
            ("alarm messages", self.messages as f64, ""),
            ("incidents", self.incidents as f64, ""),
            ("settlings", self.settlings as f64, ""),
            ("one settling of the correlator", settling_ms, "ms"),
            ("all of it", self.took.as_secs_f64(), "s"),
        ] {
            figures.push(Figure::new(name, value, unit, size));
        }
        figures
    }
}

fn from_env(name: &str, default: u32) -> u32 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: `{text}` is not a number"))
    })
}

async fn month(subscribers: u32, days: i64, seed: u64) -> Played {
    let mut generated = generate(&GenerateSettings::embedded(subscribers, 78).unwrap()).unwrap();
    make_reachable(&mut generated);
    let world = World::new(&generated.definition, &generated.subscribers).unwrap();
    let simulation = simulate(&world, subscribers, days, seed);
    let misplaced = misplace(&world, Impairments::default().wrong_topology, seed);
    let definition = believed(&world, &generated.definition, &misplaced);

    std::fs::create_dir_all("target/bench").unwrap();
    let dir = tempfile::tempdir_in("target/bench").unwrap();
    let store = Store::open(&format!("sqlite://{}/month.db", dir.path().display()))
        .await
        .unwrap();
    let quiet = |_, _, _| {};
    import_topology(&store, definition, START_MS, &quiet)
        .await
        .unwrap();
    import_subscribers(&store, generated.subscribers, START_MS, &quiet)
        .await
        .unwrap();
    let loaded = load_network(&store).await.unwrap();
    let settings = CorrelatorSettings::default();
    let mut desk = Desk::new(store.clone(), loaded, settings.clone());
    let begun = Instant::now();
    desk.work(&simulation, START_MS + days * DAY_MS).await;
    let took = begun.elapsed();
    let misplaced: BTreeSet<_> = misplaced.iter().map(|wrong| wrong.ont).collect();
    let ledger = Ledger::of(
        &world,
        &simulation,
        &misplaced,
        settings.hold_down_ms,
        START_MS + days * DAY_MS,
    );
    let counted = ledger.count(&store).await;
    if std::env::var_os("BENCH_MISTAKES").is_some() {
        counted.print_mistakes(&store, desk.evidence.as_ref()).await;
        let story = Story {
            ledger: &ledger,
            store: &store,
            network: desk.correlator.network(),
            trail: &desk.trail,
        };
        counted.print_untold(&story).await;
        counted.print_people(&story).await;
    }
    store.close().await;
    Played {
        counted,
        faults: simulation.truth.faults.len(),
        messages: simulation.entries.len(),
        incidents: desk.incidents,
        settlings: desk.settlings,
        thinking: desk.thinking,
        took,
    }
}

/// So that every decision about a person is one about the outage.
fn make_reachable(generated: &mut Generated) {
    for person in &mut generated.subscribers {
        person.consent = true;
        person.quiet_hours = None;
        person.channels = vec![ChannelKind::Email];
        person.contact_points = vec![ContactPoint {
            kind: ContactKind::Email,
            value: format!("{}@example.net", person.account.to_lowercase()),
        }];
    }
}

fn simulate(world: &World, subscribers: u32, days: i64, seed: u64) -> Simulation {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let share = f64::from(subscribers) / 1e6 * days as f64 / 30.0;
    let mut wanted: Vec<(i64, FaultKind)> = Vec::new();
    for (kind, per_month) in PER_MONTH {
        let expected = per_month * share;
        let extra = rng.random_bool(expected.fract());
        for _ in 0..expected.trunc() as usize + usize::from(extra) {
            // Early enough for its notices to go out before the month ends.
            let at_ms = rng.random_range(0..days * DAY_MS - CALM_MS);
            wanted.push((START_MS + at_ms, kind));
        }
    }
    wanted.sort_unstable();
    let settings = DrawSettings::default();
    let scenario = Scenario {
        faults: draw_over_time(world, &wanted, CALM_MS, &settings, &mut rng),
        reporting: Reporting::default(),
        impairments: Impairments {
            dark_homes: subscribers / 2_000,
            ..Impairments::default()
        },
        seed,
        start_ms: START_MS,
        duration_ms: days * DAY_MS,
    };
    println!("{} of {} faults drawn", scenario.faults.len(), wanted.len());
    let mut simulation = Simulation::new(world, &scenario);
    simulation.entries = with_detections(
        simulation.entries,
        &simulation.samples,
        scenario.reporting.sessions_every_ms,
        scenario.impairments.missed,
        seed,
    );
    simulation
}

/// A change of an incident.
struct Step {
    at_ms: i64,
    incident: IncidentNo,
    lost: Arc<SubscriberSet>,
    text: String,
}

/// Correlator, planner and dispatcher over one store, in simulated time.
struct Desk {
    store: Store,
    loaded: LoadedNetwork,
    correlator: Correlator,
    planner: Planner,
    dispatcher: Dispatcher,
    incidents: usize,
    /// What spoke for incidents when they were believed, or grew; kept only to explain mistakes.
    evidence: Option<BTreeMap<IncidentNo, Vec<String>>>,
    /// What became of incidents, and whom they had then; kept for the same.
    trail: Vec<Step>,
    settlings: usize,
    thinking: Duration,
}

impl Desk {
    fn new(store: Store, mut loaded: LoadedNetwork, settings: CorrelatorSettings) -> Self {
        let empty = forewarn::topology::Network::empty();
        let network = Arc::new(std::mem::replace(&mut loaded.network, empty));
        let mut correlator = Correlator::new(settings, network);
        correlator.take_map(Arc::new(std::mem::take(&mut loaded.map)));
        let experiment = Experiment {
            name: "month".to_owned(),
            holdout_percent: 0.0,
        };
        let outlet = Outlet {
            channel: Channel::Recorder(Recorder::new(|_| SendOutcome::Accepted)),
            templates: Templates::built_in("en").unwrap(),
            sender: Sender {
                brand: "Example Net".to_owned(),
                phone: String::new(),
                status_url: String::new(),
            },
            links: UnsubscribeLinks::new(vec![7; 32], "https://notices.example.net"),
            policy: NoticePolicy::default(),
            options: DispatchOptions {
                batch: 2_000,
                ..DispatchOptions::default()
            },
        };
        Self {
            dispatcher: Dispatcher::new(store.clone(), outlet),
            planner: Planner::new(NoticePolicy::default(), experiment, [7; 32]),
            correlator,
            store,
            loaded,
            incidents: 0,
            evidence: std::env::var_os("BENCH_MISTAKES").map(|_| BTreeMap::new()),
            trail: Vec::new(),
            settlings: 0,
            thinking: Duration::ZERO,
        }
    }

    /// Plays the log, second by second where something happens.
    async fn work(&mut self, simulation: &Simulation, until_ms: i64) {
        let mut entries = simulation.entries.iter().peekable();
        let mut outbox_ms = START_MS;
        let mut now_ms = START_MS;
        let mut day = 0;
        let started = Instant::now();
        while now_ms < until_ms {
            let begun = Instant::now();
            while let Some(entry) = entries.next_if(|entry| entry.received_at_ms <= now_ms) {
                self.correlator.apply(entry);
            }
            let changes = self.correlator.settle(now_ms);
            self.thinking += begun.elapsed();
            self.settlings += 1;
            let due = self.planner.due(now_ms);
            let is_planned = !changes.is_empty() || !due.is_empty();
            if is_planned {
                self.commit(&changes, &due, now_ms).await;
            }
            if is_planned || now_ms >= outbox_ms {
                while self.dispatcher.step(now_ms).await.unwrap().claimed > 0 {}
                if let Channel::Recorder(recorder) = &self.dispatcher.outlet().channel {
                    recorder.take();
                }
                outbox_ms = now_ms + OUTBOX_MS;
            }
            let deadlines = [
                entries.peek().map(|entry| entry.received_at_ms),
                self.correlator.next_deadline_ms(),
                self.planner.next_deadline_ms(),
            ];
            let next_ms = deadlines.into_iter().flatten().min().unwrap_or(until_ms);
            // On whole seconds: the service settles about as often.
            now_ms = now_ms.max(next_ms - 1) / 1_000 * 1_000 + 1_000;
            if (now_ms - START_MS) / DAY_MS > day {
                day = (now_ms - START_MS) / DAY_MS;
                println!(
                    "day {day}: {} incidents, {} live alarms, {} settlings, {:.0} s of thinking in {:.0} s",
                    self.incidents,
                    self.correlator.book().active_count(),
                    self.settlings,
                    self.thinking.as_secs_f64(),
                    started.elapsed().as_secs_f64()
                );
            }
        }
    }

    async fn commit(&mut self, changes: &[IncidentChange], due: &[IncidentNo], now_ms: i64) {
        if let Some(evidence) = &mut self.evidence {
            for change in changes {
                note_evidence(evidence, change, now_ms);
                let live = self.correlator.live();
                let lost = live
                    .filter(|live| live.incident.no == change.incident.no)
                    .map(|live| Arc::clone(live.lost));
                self.trail.push(Step {
                    at_ms: now_ms,
                    incident: change.incident.no,
                    lost: lost.last().unwrap_or_default(),
                    text: format!("{:?}", change.timeline),
                });
            }
        }
        let network = Arc::clone(self.correlator.network());
        let ground = Ground {
            network: &network,
            versions: self.loaded.versions,
        };
        let lost: BTreeMap<_, _> = self
            .correlator
            .live()
            .map(|live| (live.incident.no, Arc::clone(live.lost)))
            .collect();
        let people = self
            .planner
            .read_people(&self.store, changes, ground, now_ms)
            .await
            .unwrap();
        let mut tx = self.store.begin().await.unwrap();
        self.planner
            .write(&mut tx, changes, &lost, people, (ground, now_ms))
            .await
            .unwrap();
        let changed: BTreeSet<_> = changes.iter().map(|change| change.incident.no).collect();
        for live in self.correlator.live() {
            if due.contains(&live.incident.no) && !changed.contains(&live.incident.no) {
                self.planner
                    .look(&mut tx, live.incident, live.lost, ground, now_ms)
                    .await
                    .unwrap();
            }
        }
        tx.commit().await.unwrap();
        self.incidents = usize::try_from(self.correlator.last_incident_no()).unwrap();
    }
}

fn note_evidence(
    evidence: &mut BTreeMap<IncidentNo, Vec<String>>,
    change: &IncidentChange,
    now_ms: i64,
) {
    const KEPT: usize = 8;
    let mut news = change.timeline.iter();
    let is_news = |what| matches!(what, TimelineKind::Confirmed | TimelineKind::Grew);
    if !news.any(|entry| is_news(entry.what)) {
        return;
    }
    let mut all: Vec<_> = change.incident.evidence.iter().collect();
    all.sort_by_key(|alarm| std::cmp::Reverse(alarm.raised_ms));
    let alarms: Vec<String> = all
        .iter()
        .take(KEPT)
        .map(|alarm| {
            let seconds = (now_ms - alarm.raised_ms) / 1_000;
            format!(
                "{} {} {seconds} s ago",
                alarm.key.resource, alarm.key.alarm_type
            )
        })
        .collect();
    let line = format!(
        "{now_ms}: {} of {} alarms: {}",
        alarms.len(),
        change.incident.evidence_count,
        alarms.join(", ")
    );
    evidence.entry(change.incident.no).or_default().push(line);
}
