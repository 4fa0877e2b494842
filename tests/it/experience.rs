//! What is learned from how long faults took: the mathematics against a slow reference and against
//! simulated faults, what is kept, and what is shown of it.

mod kept;
mod shown;

use crate::operators::{incident, network};
use forewarn::experience::backtest::{Coverage, Run, backtest};
use forewarn::experience::survival::{Span, Survival, ranks};
use forewarn::experience::{Episode, Experience, KEPT, KEPT_FOR_MS, Learned, Like, Size};
use forewarn::incident::{CauseKind, Estimate, Incident, IncidentNo, IncidentState, PartClass};
use forewarn::topology::Network;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// 2026-03-10T09:00:00Z, 10:00 in Rome.
const NOW_MS: i64 = 1_773_133_200_000;

const OLTS: Like = Like {
    kind: CauseKind::Equipment,
    class: PartClass::Olt,
    size: Size::Tens,
};

/// Past episodes of the same kind, a day apart up to [`NOW_MS`]; they lasted so many minutes, the
/// earliest first.
pub(crate) fn episodes(like: Like, minutes: &[i64]) -> Vec<Episode> {
    let days = i64::try_from(minutes.len()).unwrap();
    (0..days)
        .zip(minutes)
        .map(|(day, minutes)| {
            let onset_ms = NOW_MS - (days - day) * 24 * HOUR_MS;
            Episode {
                incident: IncidentNo(1_000 + day),
                number: 0,
                like,
                onset_ms,
                ended_ms: onset_ms + minutes * MINUTE_MS,
            }
        })
        .collect()
}

/// An OLT that has been down for so long.
fn fault(no: i64, minutes: i64) -> Incident {
    let mut fault = incident(no, IncidentState::Confirmed);
    fault.onset_ms = NOW_MS - minutes * MINUTE_MS;
    fault.confirmed_ms = Some(fault.onset_ms + MINUTE_MS);
    fault.cause.class = PartClass::Olt;
    fault
}

fn learned(past: &Experience, fault: &Incident) -> Option<Learned> {
    past.learned(fault, std::iter::once(fault), NOW_MS)
}

/// The product-limit estimate as it stands in the paper: for each instant at which something ended,
/// in order, the share of those still going on just before that went on after it.
fn slow_range(spans: &[Span], elapsed_ms: i64) -> Option<(i64, i64)> {
    let outlasting: Vec<Span> = spans
        .iter()
        .copied()
        .filter(|span| span.lasted_ms > elapsed_ms)
        .collect();
    let mut ends: Vec<i64> = outlasting
        .iter()
        .filter(|span| span.ended)
        .map(|span| span.lasted_ms)
        .collect();
    ends.sort_unstable();
    ends.dedup();
    let (low, high) = ranks(outlasting.len())?;
    let share = |rank: usize| rank as f64 / outlasting.len() as f64 - 1e-7;
    let reaches = |share: f64| {
        let mut survival = 1.0;
        ends.iter().copied().find(|end| {
            let at_risk = outlasting.iter().filter(|s| s.lasted_ms >= *end).count();
            let ended = outlasting.iter().filter(|s| s.ended && s.lasted_ms == *end);
            survival *= 1.0 - ended.count() as f64 / at_risk as f64;
            1.0 - survival >= share
        })
    };
    Some((reaches(share(low))?, reaches(share(high))?))
}

/// Everything anew for each fault.
fn slow_backtest(runs: &[Run], elapsed_ms: i64, least: usize) -> Coverage {
    let mut coverage = Coverage::default();
    for run in runs.iter().filter(|run| run.lasted_ms() > elapsed_ms) {
        let known: Vec<Span> = runs
            .iter()
            .filter(|known| known.ended_ms < run.onset_ms && known.lasted_ms() > elapsed_ms)
            .map(|known| Span {
                lasted_ms: known.lasted_ms(),
                ended: true,
            })
            .collect();
        if known.len() < least {
            continue;
        }
        let Some((from, to)) = slow_range(&known, elapsed_ms) else {
            continue;
        };
        coverage.tried += 1;
        coverage.held += u32::from((from..=to).contains(&run.lasted_ms()));
    }
    coverage
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    // Few different durations, so that many are the same.
    let span = (0_i64..40, prop::bool::weighted(0.7))
        .prop_map(|(lasted_ms, ended)| Span { lasted_ms, ended });
    prop::collection::vec(span, 0..80)
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let run = (0_i64..300, 0_i64..40).prop_map(|(onset_ms, lasted_ms)| Run {
        onset_ms,
        ended_ms: onset_ms + lasted_ms,
    });
    prop::collection::vec(run, 0..60)
}

proptest! {
    #![proptest_config(crate::support::draws(256))]

    #[test]
    fn the_range_is_that_of_the_slow_reference(spans in spans(), elapsed_ms in -1_i64..40) {
        let survival = Survival::new(spans.clone());
        let range = survival.range(elapsed_ms);
        prop_assert_eq!(range, slow_range(&spans, elapsed_ms));
        if let Some((from_ms, to_ms)) = range {
            prop_assert!(elapsed_ms < from_ms && from_ms <= to_ms);
        }
    }

    #[test]
    fn the_backtest_is_that_of_the_slow_reference(
        runs in runs(), elapsed_ms in -1_i64..30, least in 9_usize..15,
    ) {
        let slow = slow_backtest(&runs, elapsed_ms, least);
        prop_assert_eq!(backtest(&runs, elapsed_ms, least), slow);
    }

    #[test]
    fn order_says_nothing(spans in spans(), elapsed_ms in 0_i64..40) {
        let mut turned = spans.clone();
        turned.reverse();
        let range = Survival::new(spans).range(elapsed_ms);
        prop_assert_eq!(range, Survival::new(turned).range(elapsed_ms));
    }
}

fn over(minutes: i64) -> Span {
    Span {
        lasted_ms: minutes,
        ended: true,
    }
}

fn open(minutes: i64) -> Span {
    Span {
        lasted_ms: minutes,
        ended: false,
    }
}

#[track_caller]
fn check(spans: impl IntoIterator<Item = Span>, elapsed: i64, expected: Option<(i64, i64)>) {
    let survival = Survival::new(spans.into_iter().collect());
    assert_eq!(survival.range(elapsed), expected);
}

#[test]
fn ties_open_ones_and_those_that_were_shorter() {
    check([], 0, None);
    // Of 20 the 2nd and the 19th; what is as old as this fault is not longer.
    check((1..=20).map(over), 0, Some((2, 19)));
    check((1..=30).map(over), 10, Some((12, 29)));
    check((1..=30).map(over), 9, Some((11, 29)));
    check((1..=8).map(over), 0, None);
    check((1..=9).map(over), 0, Some((1, 9)));
    check((1..=30).map(over), 30, None);
    // All at one instant.
    check(std::iter::repeat_n(over(5), 30), 0, Some((5, 5)));
    check(std::iter::repeat_n(over(5), 30), 5, None);
    // One that was seen last when others ended was still going on then, and says nothing of later.
    let tied = (1..=9).map(over).chain((0..10).map(|_| open(9)));
    check(tied, 0, None);
    let before = (1..=9).map(over).chain((0..10).map(|_| open(8)));
    check(before, 0, Some((2, 9)));
    // Nobody knows how long the half lasts that goes on.
    let half = (1..=20).map(over).chain((0..20).map(|_| open(100)));
    check(half, 0, None);
    // Those that have begun only now are no evidence that faults are short, nor that they are long.
    let new = (1..=20).map(over).chain((0..20).map(|_| open(0)));
    check(new, 0, Some((2, 19)));
    // Long ones that go on make the range longer than those alone that are over.
    let long = (1..=40).map(over).chain((0..4).map(|_| open(30)));
    check((1..=40).map(over), 0, Some((4, 37)));
    check(long, 0, Some((4, 38)));
}

/// A standard normal number, by Box and Muller.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let uniform = |random: &mut ChaCha8Rng| (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let (u, v) = (1.0 - uniform(random), uniform(random));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Durations of repairs: the logarithm is normal, the median two hours.
#[allow(clippy::cast_possible_truncation, reason = "far below 2^63")]
fn lognormal(random: &mut ChaCha8Rng) -> i64 {
    (2.0 * HOUR_MS as f64 * (0.8 * normal(random)).exp()) as i64
}

/// Faults with such durations, three hours apart.
fn lognormal_runs(seed: u64, count: i64) -> Vec<Run> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut runs = Vec::new();
    for no in 0..count {
        let onset_ms = no * 3 * HOUR_MS;
        runs.push(Run {
            onset_ms,
            ended_ms: onset_ms + lognormal(&mut random),
        });
    }
    runs
}

#[track_caller]
fn near(share: f64, expected: f64, what: &str) {
    assert!((share - expected).abs() < 0.03, "{what}: {share}");
}

#[test]
fn the_backtest_measures_what_the_range_promises() {
    for elapsed_ms in [0, HOUR_MS, 3 * HOUR_MS] {
        let (mut held, mut tried) = (0, 0);
        for seed in 0..8 {
            let coverage = backtest(&lognormal_runs(seed, 600), elapsed_ms, 20);
            held += coverage.held;
            tried += coverage.tried;
        }
        assert!(tried > 500, "{tried}");
        let share = f64::from(held) / f64::from(tried);
        near(share, 0.8, &format!("after {elapsed_ms} ms, of {tried}"));
    }
}

#[test]
fn ranges_hold_what_they_promise_though_many_faults_go_on() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for elapsed_ms in [0, 90 * MINUTE_MS] {
        let (mut held, mut of_the_ended_alone, mut tried) = (0, 0, 0);
        for _ in 0..1_500 {
            // Each is looked at after up to twelve hours: the long ones are more often still open.
            let past: Vec<Span> = (0..200)
                .map(|_| {
                    let (lasted, seen) = (lognormal(&mut random), random.next_u64() % 43_200_000);
                    let seen = i64::try_from(seen).unwrap();
                    Span {
                        lasted_ms: lasted.min(seen),
                        ended: lasted <= seen,
                    }
                })
                .collect();
            let mut lasts_ms = lognormal(&mut random);
            while lasts_ms <= elapsed_ms {
                lasts_ms = lognormal(&mut random);
            }
            let ended: Vec<Span> = past.iter().copied().filter(|s| s.ended).collect();
            let ended = Survival::new(ended).range(elapsed_ms).unwrap();
            let Some((from_ms, to_ms)) = Survival::new(past).range(elapsed_ms) else {
                continue;
            };
            tried += 1;
            held += u32::from((from_ms..=to_ms).contains(&lasts_ms));
            of_the_ended_alone += u32::from((ended.0..=ended.1).contains(&lasts_ms));
        }
        assert!(tried > 1_400, "{tried}");
        let share = |held| f64::from(held) / f64::from(tried);
        near(share(held), 0.8, "with those that go on");
        assert!(share(of_the_ended_alone) < share(held) - 0.01);
    }
}

#[test]
fn an_estimate_is_learned_from_the_closest_faults_of_which_there_are_enough() {
    let minutes: Vec<i64> = (1..=60).map(|n| 30 + n * 7 % 60).collect();
    let past = Experience::new(episodes(OLTS, &minutes));
    let asked = learned(&past, &fault(1, 10)).unwrap();
    assert_eq!(
        asked.likeness.to_string(),
        "equipment, olt, 10 to 99 affected"
    );
    assert_eq!((asked.learned_from, asked.coverage.tried), (60, 40));
    assert!((30..=40).contains(&asked.coverage.held), "{asked:?}");
    let minutes_from_onset = |at_ms: i64| (at_ms - NOW_MS) / MINUTE_MS + 10;
    assert_eq!(minutes_from_onset(asked.range.from_ms), 35);
    assert_eq!(minutes_from_onset(asked.range.to_ms), 84);

    // Of another size: what all OLTs have in common; of another class: the kind.
    let mut larger = fault(1, 10);
    larger.affected_peak = 500;
    let by_class = learned(&past, &larger).unwrap();
    assert_eq!(by_class.likeness.to_string(), "equipment, olt");
    assert_eq!(by_class.range, asked.range);
    for class in [PartClass::Port, PartClass::Unknown] {
        let mut other = fault(1, 10);
        other.cause.class = class;
        let by_kind = learned(&past, &other).unwrap();
        assert_eq!(by_kind.likeness.to_string(), "equipment");
    }
    let mut power = fault(1, 10);
    power.cause.kind = CauseKind::Power;
    assert_eq!(learned(&past, &power), None);

    // Too few are close: the next wider ones are taken.
    let mut few = episodes(OLTS, &minutes);
    for episode in few.iter_mut().take(30) {
        episode.like.size = Size::Hundreds;
    }
    let wider = learned(&Experience::new(few), &fault(1, 10)).unwrap();
    assert_eq!(wider.likeness.to_string(), "equipment, olt");
    assert_eq!(wider.range, asked.range);
}

#[test]
fn nothing_is_said_where_too_little_is_known() {
    let minutes: Vec<i64> = (1..=60).map(|n| 30 + n * 7 % 60).collect();
    let past = Experience::new(episodes(OLTS, &minutes));
    // The range moves on with the fault, until too few have lasted longer.
    let many: Vec<i64> = (1..=240).map(|n| 30 + n * 7 % 60).collect();
    let many = Experience::new(episodes(OLTS, &many));
    let longer = learned(&many, &fault(1, 60)).unwrap();
    assert!(longer.range.from_ms > NOW_MS && longer.range.to_ms > longer.range.from_ms);
    assert_eq!((longer.learned_from, longer.coverage.tried), (116, 96));
    assert_eq!(learned(&many, &fault(1, 85)), None);
    // Enough faults, and too few against which a range could have been held.
    let few = Experience::new(episodes(OLTS, &minutes[..39]));
    assert_eq!(learned(&few, &fault(1, 10)), None);
    let enough = Experience::new(episodes(OLTS, &minutes[..40]));
    assert_eq!(learned(&enough, &fault(1, 10)).unwrap().coverage.tried, 20);
    // What people say goes before it, also when its time has passed.
    let mut told = fault(1, 10);
    told.estimate = Some(Estimate {
        from_ms: NOW_MS - 2,
        to_ms: NOW_MS - 1,
    });
    assert_eq!(learned(&past, &told), None);
    for state in [
        IncidentState::Suspected,
        IncidentState::Restored,
        IncidentState::Rejected,
    ] {
        let mut other = fault(1, 10);
        other.state = state;
        assert_eq!(learned(&past, &other), None);
    }
    let mut planned = fault(1, 10);
    planned.cause.kind = CauseKind::PlannedWork;
    let work = Like {
        kind: CauseKind::PlannedWork,
        ..OLTS
    };
    let works = Experience::new(episodes(work, &minutes));
    assert_eq!(learned(&works, &planned), None);
}

#[test]
fn faults_that_go_on_count_as_far_as_they_have_come() {
    let minutes: Vec<i64> = (1..=60).map(|n| 30 + n * 7 % 60).collect();
    let past = Experience::new(episodes(OLTS, &minutes));
    let asked = fault(1, 10);
    let alone = learned(&past, &asked).unwrap();
    let long: Vec<Incident> = (2..8).map(|no| fault(no, 85)).collect();
    let with = past.learned(&asked, long.iter(), NOW_MS).unwrap();
    assert!(with.range.to_ms > alone.range.to_ms);
    assert_eq!(with.coverage, alone.coverage);
    // Of other kinds, suspected or planned: no evidence.
    let mut others = long;
    for (other, state) in others.iter_mut().zip([0, 1].into_iter().cycle()) {
        if state == 0 {
            other.state = IncidentState::Suspected;
        } else {
            other.cause.kind = CauseKind::PlannedWork;
        }
    }
    assert_eq!(past.learned(&asked, others.iter(), NOW_MS), Some(alone));
}

#[test]
fn what_is_remembered_is_bounded_and_follows_what_is_said_later() {
    let ended = |no: i64, ended_ms: i64| {
        let mut over = fault(no, 0);
        over.state = IncidentState::Restored;
        over.onset_ms = ended_ms - MINUTE_MS;
        over.restored_ms = Some(ended_ms);
        over
    };
    let mut past = Experience::default();
    past.note(&ended(1, NOW_MS));
    past.note(&ended(1, NOW_MS));
    past.note(&fault(2, 10));
    assert_eq!(past.len(), 1);
    let mut again = ended(1, NOW_MS + HOUR_MS);
    again.reopened = 1;
    past.note(&again);
    assert_eq!(past.len(), 2);
    again.state = IncidentState::Rejected;
    past.note(&again);
    assert!(past.is_empty());

    let mut never = ended(3, NOW_MS);
    never.confirmed_ms = None;
    let mut merged = ended(4, NOW_MS);
    merged.merged_into = Some(IncidentNo(1));
    let mut planned = ended(5, NOW_MS);
    planned.cause.kind = CauseKind::PlannedWork;
    for other in [never, merged, planned] {
        past.note(&other);
    }
    assert!(past.is_empty());

    let many = i64::try_from(KEPT).unwrap() + 10;
    past = Experience::new(episodes(OLTS, &vec![1; KEPT + 10]));
    // One a day: these are more than two years.
    assert_eq!(past.len(), 732);
    for no in 0..many {
        past.note(&ended(no, NOW_MS + no));
    }
    assert_eq!(past.len(), KEPT);
    past.note(&ended(1, NOW_MS + KEPT_FOR_MS + many));
    assert_eq!(past.len(), 1);
}

#[test]
fn parts_have_a_class_when_all_have_the_same() {
    let network = Network::build(&network(), &[]).unwrap();
    let class = |ids: &[&str]| {
        let parts: Vec<_> = ids.iter().filter_map(|id| network.part(id)).collect();
        PartClass::of(&parts, &network)
    };
    for (ids, expected) in [
        (&["olt1"][..], PartClass::Olt),
        (&["olt1", "olt2"], PartClass::Olt),
        (&["ont1"], PartClass::Home),
        (&["bng"], PartClass::Transport),
        (&["bng--olt1"], PartClass::Link),
        (&["olt1", "ont4"], PartClass::Several),
        (&["gone"], PartClass::Unknown),
    ] {
        assert_eq!(class(ids), expected, "{ids:?}");
    }
    for class in PartClass::ALL {
        assert_eq!(PartClass::parse(class.as_str()), Some(class));
    }
}
