//! Localisation: are the confirmed incidents what really failed, and do they name those who really
//! lost service? Simulated faults and reports, against other ways to find the cause.
//!
//! In the matrix of independent misses every OLT reports its ONTs: where the alarm of a port hides
//! them, the loss of that one alarm is the loss of all evidence (the special cells show it).
//!
//! `BENCH_SUBSCRIBERS` (default 1,000,000) and `BENCH_TRIALS` (a cell, default 40) make it smaller.
//! `BENCH_CELLS=TEXT` runs only the cells with that text in their names, on the same seeds.
//! `BENCH_MISTAKES=1` prints what was found and is wrong, and what was not found.
//! Whatever is tuned by looking at these figures is tuned with `BENCH_SEEDS=tune`, which takes
//! other faults, noise and misses than the report does.

mod peers;
mod score;
mod touching;
mod trial;

use crate::figure::Figure;
use crate::interval::{bootstrap, wilson};
use forewarn::generate::{GenerateSettings, generate};
use forewarn::geography::NetworkMap;
use forewarn::incident::CorrelatorSettings;
use forewarn::simulate::{Impairments, Reporting, World, attachments, believed, misplace};
use forewarn::topology::Network;
use peers::{PEERS, Peers};
use score::{SHARES, Score};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use touching::Touched;
use trial::{Cell, KINDS, Outcome};

/// First seeds of the two ranges; a range holds 100,000 cells of 10,000 trials.
const REPORT_SEEDS: u64 = 1 << 40;
const TUNE_SEEDS: u64 = 2 << 40;

/// What is pooled: cells of one miss rate and noise, or one of the special cells.
struct Group {
    cell: Cell,
    pool: String,
    goals: [Option<f64>; 4],
    wrong_topology: bool,
}

/// A trial with what the peers made of it.
#[derive(Default)]
struct Trial {
    outcome: Outcome,
    peers: [Score; 4],
}

pub(crate) fn run() -> Vec<Figure> {
    let subscribers = from_env("BENCH_SUBSCRIBERS", 1_000_000);
    let trials = usize::try_from(from_env("BENCH_TRIALS", 40)).unwrap();
    let tune = std::env::var("BENCH_SEEDS").is_ok_and(|seeds| seeds == "tune");
    let seeds = if tune { TUNE_SEEDS } else { REPORT_SEEDS };
    let size = format!(
        "{subscribers} subscribers{}",
        if tune { ", tuning seeds" } else { "" }
    );
    let cells = std::env::var("BENCH_CELLS").unwrap_or_default();
    let mut groups: Vec<(u64, Group)> = (0..).zip(groups()).collect();
    let mut touching: Vec<_> = (groups.len() as u64..).zip(touching()).collect();
    groups.retain(|(_, group)| group.cell.name.contains(&cells));
    touching.retain(|(_, (name, _))| name.contains(&cells));
    let first_seeds: Vec<u64> = groups.iter().map(|(no, _)| seeds + no * 10_000).collect();
    let groups: Vec<Group> = groups.into_iter().map(|(_, group)| group).collect();
    let worlds = Worlds::of(subscribers);
    let results = run_all(&worlds, &groups, trials, &first_seeds);
    let mut figures = report(&groups, &results, &size);
    for (no, (name, impairments)) in touching {
        let first = seeds + no * 10_000;
        let touched = run_touching(&worlds, &impairments, (trials, first), name);
        figures.extend(report_touching(name, &touched, &size));
    }
    figures
}

fn from_env(name: &str, default: u32) -> u32 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: `{text}` is not a number"))
    })
}

/// The real network, and what an inventory with mistakes takes it for.
struct Worlds {
    world: World,
    mistaken: Arc<Network>,
    /// Where the homes are, in the ranks of either.
    maps: [Arc<NetworkMap>; 2],
}

impl Worlds {
    fn of(subscribers: u32) -> Self {
        let generated = generate(&GenerateSettings::embedded(subscribers, 77).unwrap()).unwrap();
        let world = World::new(&generated.definition, &generated.subscribers).unwrap();
        let share = Impairments::default().wrong_topology;
        let misplaced = misplace(&world, share, 77);
        let definition = believed(&world, &generated.definition, &misplaced);
        let attachments = attachments(&generated.subscribers);
        let mistaken = Network::build(&definition, &attachments).unwrap();
        println!(
            "{} elements, {} rings, {} of {} homes misplaced in the wrong topology",
            world.network().element_count(),
            world.rings().len(),
            misplaced.len(),
            world.homes().len()
        );
        let people = generated.subscribers.iter();
        let positions: Vec<_> = people.map(|person| person.position).collect();
        let map = |network: &Network| Arc::new(NetworkMap::build(network, &positions));
        Self {
            maps: [map(world.network()), map(&mistaken)],
            world,
            mistaken: Arc::new(mistaken),
        }
    }
}

fn groups() -> Vec<Group> {
    let mut groups = Vec::new();
    for missed in [0.0, 0.05, 0.2, 0.5] {
        for dark_homes in [0, 500, 5_000] {
            for faults in [1, 3, 10] {
                let percent = 100.0 * missed;
                let pool = format!("{percent} % missed, {dark_homes} dark");
                let goals = if missed <= 0.2 {
                    [Some(0.98), Some(0.99), Some(0.999), Some(0.999)]
                } else {
                    [Some(0.97), Some(0.85), None, None]
                };
                groups.push(Group {
                    cell: Cell {
                        name: format!("{faults} faults, {pool}"),
                        faults,
                        reporting: Reporting {
                            port_alarm_hides_onts: 0.0,
                            ..Reporting::default()
                        },
                        impairments: Impairments {
                            missed,
                            dark_homes,
                            ..Impairments::none()
                        },
                    },
                    pool,
                    goals,
                    wrong_topology: false,
                });
            }
        }
    }
    groups.extend(special());
    groups
}

/// What independent misses are not.
fn special() -> Vec<Group> {
    let quiet = || Impairments {
        dark_homes: 500,
        ..Impairments::none()
    };
    let together = Impairments {
        olt_reports_lost: 0.1,
        poller_outages_per_day: 24.0,
        ..quiet()
    };
    let wrong = Impairments {
        missed: 0.05,
        ..quiet()
    };
    let hidden = Impairments {
        missed: 0.2,
        ..quiet()
    };
    let everything = Impairments {
        missed: 0.1,
        olt_reports_lost: 0.02,
        poller_outages_per_day: 1.0,
        late: 0.05,
        reordered: 0.05,
        dark_homes: 2_000,
        ..Impairments::default()
    };
    let subscribers = [None, None, Some(0.97), Some(0.97)];
    let special = [
        (
            "whole OLTs and the poller missed",
            together,
            false,
            [None; 4],
        ),
        ("2 % wrong topology", wrong, true, [None; 4]),
        (
            "20 % missed, ports hide their ONTs at some OLTs",
            hidden,
            false,
            [None; 4],
        ),
        ("everything together", everything, true, subscribers),
    ];
    special
        .into_iter()
        .map(|(name, impairments, wrong_topology, goals)| Group {
            cell: Cell {
                name: format!("3 faults, {name}"),
                faults: 3,
                reporting: Reporting::default(),
                impairments,
            },
            pool: name.to_owned(),
            goals,
            wrong_topology,
        })
        .collect()
}

/// How two faults that touch are heard of.
fn touching() -> [(&'static str, Impairments); 2] {
    let all = Impairments {
        dark_homes: 500,
        ..Impairments::none()
    };
    let some = Impairments {
        missed: 0.1,
        late: 0.05,
        reordered: 0.05,
        ..all.clone()
    };
    [
        ("two faults that touch", all),
        ("two faults that touch, 10 % missed, 5 % late", some),
    ]
}

/// Calls `work` with each number below `count`, on all cores.
fn on_all_cores(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let take = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return;
            }
            work(at);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(take);
        }
    });
}

fn run_touching(
    worlds: &Worlds,
    impairments: &Impairments,
    (trials, seeds): (usize, u64),
    name: &str,
) -> Vec<Touched> {
    let results: Vec<Mutex<Option<Touched>>> = (0..trials).map(|_| Mutex::default()).collect();
    let settings = settings();
    on_all_cores(trials, |no| {
        let seed = seeds + no as u64;
        let Some(simulation) = touching::simulate(&worlds.world, impairments, seed) else {
            return;
        };
        let touched = touching::run(&worlds.world, &worlds.maps[0], &simulation, &settings);
        if std::env::var_os("BENCH_MISTAKES").is_some() {
            for mistake in &touched.mistakes {
                println!("{name}, trial {no}: {mistake}");
            }
        }
        *results[no].lock().unwrap() = Some(touched);
    });
    let results = results.into_iter();
    results
        .filter_map(|one| one.into_inner().unwrap())
        .collect()
}

fn report_touching(name: &str, trials: &[Touched], size: &str) -> Vec<Figure> {
    let mut sum = Touched::default();
    for one in trials {
        sum.add(one);
    }
    let figure = |what: &str, (of, part): (usize, usize), clusters: Vec<(usize, usize)>| {
        let (low, high) = bootstrap(&clusters);
        let trials = trials.len();
        let size = format!("{size}, {trials} trials; {part} of {of}, 95 % {low:.4} to {high:.4}");
        Figure::new(format!("{name}: {what}"), share((part, of)), "share", size)
    };
    let clusters = |counts: fn(&Touched) -> (usize, usize)| {
        let each = trials.iter().map(counts);
        each.map(|(of, part)| (part, of)).collect::<Vec<_>>()
    };
    vec![
        figure(
            "people named who had service",
            sum.named,
            clusters(|one| one.named),
        ),
        figure(
            "people without service who were never named",
            sum.out,
            clusters(|one| one.out),
        ),
        figure(
            "people let go of while without service",
            (sum.named.0, sum.let_go),
            clusters(|one| (one.named.0, one.let_go)),
        ),
        figure(
            "seconds of incidents that named a part that had not failed",
            sum.shown_s,
            clusters(|one| one.shown_s),
        ),
    ]
}

/// No alarm here is about nothing, so that a lone one is believed after three minutes. As it comes the
/// service waits for company, or an operator (`correlation.lone_alarm_s = 0`): how many incidents that
/// concerns is one of the figures, what it is worth `month` measures.
fn settings() -> CorrelatorSettings {
    CorrelatorSettings {
        lone_alarm_ms: Some(180_000),
        ..CorrelatorSettings::default()
    }
}

/// Runs all trials on all cores; by group, in the order of the trials.
fn run_all(
    worlds: &Worlds,
    groups: &[Group],
    trials: usize,
    first_seeds: &[u64],
) -> Vec<Vec<Trial>> {
    let right = Arc::clone(worlds.world.network());
    let peers = [Peers::new(&right), Peers::new(&worlds.mistaken)];
    let results: Vec<Mutex<Vec<Option<Trial>>>> = groups
        .iter()
        .map(|_| Mutex::new((0..trials).map(|_| None).collect()))
        .collect();
    let settings = settings();
    on_all_cores(groups.len() * trials, |at| {
        let (group, no) = (at / trials, at % trials);
        let of = &groups[group];
        let seed = first_seeds[group] + no as u64;
        let simulation = trial::simulate(&worlds.world, &of.cell, seed);
        let (network, which) = if of.wrong_topology {
            (&worlds.mistaken, 1)
        } else {
            (&right, 0)
        };
        let peers = &peers[which];
        let ground = (network, &worlds.maps[which]);
        let outcome = trial::run(&worlds.world, ground, &simulation, &settings);
        if std::env::var_os("BENCH_MISTAKES").is_some() {
            for mistake in &outcome.mistakes {
                println!("{}: {mistake}", of.cell.name);
            }
        }
        let expected = trial::expected(&worlds.world, network, &simulation);
        let found = peers.find(&simulation.entries);
        let trial = Trial {
            outcome,
            peers: found.map(|found| expected.score(&found)),
        };
        results[group].lock().unwrap()[no] = Some(trial);
    });
    let take = |trials: Mutex<Vec<Option<Trial>>>| {
        trials.into_inner().unwrap().into_iter().flatten().collect()
    };
    results.into_iter().map(take).collect()
}

fn report(groups: &[Group], results: &[Vec<Trial>], size: &str) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut pools: BTreeMap<usize, (&Group, Vec<&Trial>)> = BTreeMap::new();
    for (no, (group, trials)) in groups.iter().zip(results).enumerate() {
        let first = groups.iter().position(|other| other.pool == group.pool);
        let pool = pools
            .entry(first.unwrap_or(no))
            .or_insert((group, Vec::new()));
        pool.1.extend(trials);
        let trials: Vec<&Trial> = trials.iter().collect();
        figures.extend(accuracy(&group.cell.name, &trials, [None; 4], size));
        figures.extend(speed(&group.cell.name, &trials, size));
    }
    for (group, trials) in pools.values() {
        let name = format!("all: {}", group.pool);
        figures.extend(accuracy(&name, trials, group.goals, size));
        figures.extend(each_peer(&name, trials, size));
    }
    let all: Vec<&Trial> = results.iter().flatten().collect();
    let few_missed = groups.iter().zip(results);
    let few_missed =
        few_missed.filter(|(g, _)| g.cell.impairments.missed <= 0.2 && !g.wrong_topology);
    let few_missed: Vec<&Trial> = few_missed.flat_map(|(_, trials)| trials).collect();
    figures.extend(by_kind(&few_missed, size));
    figures.extend(speed("all", &all, size));
    let restore = all
        .iter()
        .map(|t| t.outcome.restore.as_secs_f64())
        .sum::<f64>();
    let restore = 1e3 * restore / all.len().max(1) as f64;
    figures.push(Figure::new("an empty correlator", restore, "ms", size));
    figures
}

fn sum<'a>(scores: impl Iterator<Item = &'a Score>) -> Score {
    let mut sum = Score::default();
    scores.for_each(|score| sum.add(score));
    sum
}

fn share((right, of): (usize, usize)) -> f64 {
    if of == 0 {
        f64::NAN
    } else {
        right as f64 / of as f64
    }
}

/// The four shares with their intervals, beside the peer with the best components.
fn accuracy(name: &str, trials: &[&Trial], goals: [Option<f64>; 4], size: &str) -> Vec<Figure> {
    let ours = sum(trials.iter().map(|trial| &trial.outcome.score));
    let best = (0..PEERS.len())
        .map(|no| (no, sum(trials.iter().map(|trial| &trial.peers[no]))))
        .max_by(|(_, a), (_, b)| harmonic(a).total_cmp(&harmonic(b)));
    let mut figures = Vec::new();
    for (no, what) in SHARES.iter().enumerate() {
        let clusters = trials.iter().map(|trial| trial.outcome.score.shares()[no]);
        let clusters: Vec<(usize, usize)> = clusters.collect();
        let (right, of) = ours.shares()[no];
        let (low, high) = if no < 2 {
            wilson(right, of)
        } else {
            bootstrap(&clusters)
        };
        let value = share((right, of));
        let of = format!("{size}; {right} of {of}, 95 % {low:.4} to {high:.4}");
        let mut figure = Figure::new(format!("{name}: {what}"), value, "share", of);
        if let Some((peer, score)) = &best {
            let theirs = share(score.shares()[no]);
            figure = figure.against(PEERS[*peer], theirs, value / theirs);
        }
        if let Some(goal) = goals[no] {
            figure = figure.goal(format!(">= {goal}"), value >= goal);
        }
        figures.push(figure);
    }
    figures
}

/// F1 of the components, to tell which peer is best.
fn harmonic(score: &Score) -> f64 {
    let [precision, recall, ..] = score.shares().map(share);
    let f1 = 2.0 * precision * recall / (precision + recall);
    if f1.is_nan() { 0.0 } else { f1 }
}

fn each_peer(name: &str, trials: &[&Trial], size: &str) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (no, peer) in PEERS.iter().enumerate() {
        let score = sum(trials.iter().map(|trial| &trial.peers[no]));
        for (what, counts) in SHARES.iter().zip(score.shares()) {
            let figure = format!("{name}: {peer}: {what}");
            figures.push(Figure::new(figure, share(counts), "share", size));
        }
    }
    figures
}

fn by_kind(trials: &[&Trial], size: &str) -> Vec<Figure> {
    let kinds = KINDS.iter().map(|kind| {
        let faults = trials
            .iter()
            .flat_map(|trial| &trial.outcome.score.of_faults);
        let of_kind: Vec<bool> = faults
            .filter(|f| f.0 == *kind)
            .filter_map(|f| f.1)
            .collect();
        let found = of_kind.iter().filter(|found| **found).count();
        let name = format!("up to 20 % missed: recall of {}", kind.as_str());
        let size = format!("{size}; {found} of {}", of_kind.len());
        Figure::new(name, share((found, of_kind.len())), "share", size)
    });
    kinds.collect()
}

fn speed(name: &str, trials: &[&Trial], size: &str) -> Vec<Figure> {
    let all = |times: fn(&Outcome) -> &Vec<i64>| {
        let times = trials.iter().flat_map(|trial| times(&trial.outcome));
        let mut times: Vec<i64> = times.copied().collect();
        times.sort_unstable();
        times
    };
    let at = |times: &[i64], share: usize| {
        let time = times.get((times.len().saturating_sub(1)) * share / 100);
        time.map_or(f64::NAN, |&ms| ms as f64 / 1e3)
    };
    let (heard, decided) = (all(|one| &one.delays_ms), all(|one| &one.decided_ms));
    let events: usize = trials.iter().map(|trial| trial.outcome.entries).sum();
    let compute: f64 = trials
        .iter()
        .map(|trial| trial.outcome.compute.as_secs_f64())
        .sum();
    let confirmed = trials
        .iter()
        .map(|trial| trial.outcome.right_when_confirmed);
    let confirmed = confirmed.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let lone = trials.iter().map(|trial| trial.outcome.lone);
    let lone = lone.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let faults = sum(trials.iter().map(|trial| &trial.outcome.score));
    let unheard = (faults.unheard, faults.unheard + faults.faults);
    let figure =
        |what: &str, value, unit| Figure::new(format!("{name}: {what}"), value, unit, size);
    vec![
        figure("faults of which no alarm arrived", share(unheard), "share"),
        figure("right when confirmed", share(confirmed), "share"),
        figure(
            "confirmed incidents that rest on a lone alarm",
            share(lone),
            "share",
        ),
        figure("first alarm to confirmed, p50", at(&heard, 50), "s"),
        figure("first alarm to confirmed, p95", at(&heard, 95), "s"),
        figure("decisive event to confirmed, p50", at(&decided, 50), "s"),
        figure("decisive event to confirmed, p95", at(&decided, 95), "s"),
        figure(
            "compute per event",
            1e6 * compute / events.max(1) as f64,
            "µs",
        ),
    ]
}
