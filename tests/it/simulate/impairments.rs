//! At rate 0 nothing changes; at another rate it is that rate.

use super::*;
use forewarn::alarm::AlarmKey;
use forewarn::simulate::{Customers, Source, believed, check_settings, complaints, misplace};
use forewarn::topology::SubscriberNo;
use serde_json::{Value, from_value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Many alarms: streets without mains, and an OLT.
fn faults() -> Vec<Fault> {
    vec![
        draw(FaultKind::RegionalPower, 3),
        draw(FaultKind::OltDeath, 2),
        draw(FaultKind::FeederCut, 5),
    ]
}

fn with(change: impl FnOnce(&mut Impairments)) -> Simulation {
    let mut scenario = scenario(faults());
    change(&mut scenario.impairments);
    Simulation::new(world(), &scenario)
}

/// `count` of `trials` must not be further from `rate` than five standard deviations.
#[track_caller]
fn assert_rate(count: usize, trials: usize, rate: f64) {
    let expected = rate * trials as f64;
    let deviation = (expected * (1.0 - rate)).sqrt();
    assert!(trials > 200, "{trials} trials are too few");
    assert!(
        (count as f64 - expected).abs() <= 5.0 * deviation + 1.0,
        "{count} of {trials}, expected {expected:.0}"
    );
}

fn counts(simulation: &Simulation, kind: AlarmEventKind) -> BTreeMap<(AlarmKey, i64), usize> {
    let mut counts = BTreeMap::new();
    for event in simulation.entries.iter().filter_map(event) {
        if event.kind == kind {
            *counts
                .entry((event.key.clone(), event.event_at_ms))
                .or_default() += 1;
        }
    }
    counts
}

#[test]
fn at_rate_0_nothing_changes() {
    let ideal = with(|_| {});
    // What a rate would do if it were not 0 makes no difference.
    let other = with(|i| {
        i.late_ms = [1, 2];
        i.reordered_ms = [7, 8];
        i.olt_reports_lost_ms = [1, 2];
        i.poller_outage_ms = [1, 2];
        i.dark_home_stay_ms = 5;
    });
    assert_eq!(ideal.entries, other.entries);
    // A rate that is no number is none.
    let not_a_number = with(|i| {
        i.spurious_per_hour = f64::NAN;
        i.poller_outages_per_day = f64::NAN;
    });
    assert_eq!(ideal.entries, not_a_number.entries);
}

#[test]
fn every_value_that_can_be_set_is_checked() {
    let default = [
        json!(Reporting::default()),
        json!(Impairments::default()),
        json!(Customers::default()),
    ];
    let check = |[reporting, impairments, customers]: [Value; 3]| {
        check_settings(
            &from_value(reporting).unwrap(),
            &from_value(impairments).unwrap(),
            &from_value(customers).unwrap(),
        )
    };
    assert_eq!(check(default.clone()), []);
    assert_eq!(
        check_settings(
            &Reporting::default(),
            &Impairments::none(),
            &Customers::default()
        ),
        []
    );
    let mut wrong = default.clone();
    let mut keys = Vec::new();
    for (section, name) in wrong
        .iter_mut()
        .zip(["reporting", "impairments", "customers"])
    {
        for (key, value) in section.as_object_mut().unwrap() {
            if value.is_boolean() || key == "dark_homes" {
                continue;
            }
            *value = if value.is_array() {
                json!([2, 1])
            } else {
                json!(-1)
            };
            keys.push(format!("{name}.{key}"));
        }
    }
    let mut found: Vec<String> = check(wrong)
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    keys.sort();
    found.sort();
    assert_eq!(found, keys);
}

#[test]
fn missed_alarms_are_missed_whole_and_at_their_rate() {
    let (ideal, lossy) = (with(|_| {}), with(|i| i.missed = 0.3));
    let (all, left) = (raises(&ideal).count(), raises(&lossy).count());
    assert_rate(all - left, all, 0.3);
    let raised: BTreeSet<AlarmKey> = raises(&lossy).map(|event| event.key.clone()).collect();
    let cleared = counts(&lossy, AlarmEventKind::Clear);
    assert!(cleared.keys().all(|(key, _)| raised.contains(key)));
    assert_eq!(raises(&with(|i| i.missed = 1.0)).count(), 0);
}

/// By how much the reports arrive later than they do without impairment.
fn delays(changed: &Simulation) -> Vec<i64> {
    let arrivals = |simulation: &Simulation| -> BTreeMap<(AlarmKey, i64), i64> {
        let entries = simulation.entries.iter();
        let events = entries.filter_map(|entry| Some((entry, event(entry)?)));
        events
            .filter(|(_, event)| event.event_at_ms < START_MS + 4 * HOUR)
            .map(|(entry, event)| {
                let key = (event.key.clone(), event.event_at_ms);
                (key, entry.received_at_ms)
            })
            .collect()
    };
    let (before, after) = (arrivals(&with(|_| {})), arrivals(changed));
    assert_eq!(before.len(), after.len());
    before.iter().map(|(key, at)| after[key] - at).collect()
}

#[test]
fn late_reports_keep_their_time_and_come_later() {
    let delays = delays(&with(|i| {
        i.late = 0.2;
        i.late_ms = [60_000, 3_600_000];
    }));
    let held: Vec<&i64> = delays.iter().filter(|delay| **delay != 0).collect();
    assert_rate(held.len(), delays.len(), 0.2);
    let range = 60_000..=3_600_000;
    assert!(held.iter().all(|delay| range.contains(*delay)));
    let long = held.iter().filter(|delay| ***delay > 600_000).count();
    assert!(
        long > 0 && long * 4 < held.len(),
        "{long} of {}",
        held.len()
    );
}

#[test]
fn reordered_reports_are_overtaken() {
    let changed = with(|i| {
        i.reordered = 0.3;
        i.reordered_ms = [30_000, 40_000];
    });
    let delays = delays(&changed);
    let held: Vec<&i64> = delays.iter().filter(|delay| **delay != 0).collect();
    assert_rate(held.len(), delays.len(), 0.3);
    let range = 30_000..=40_000;
    assert!(held.iter().all(|delay| range.contains(*delay)));
    let times = changed
        .entries
        .iter()
        .filter_map(event)
        .map(|e| e.event_at_ms);
    let times: Vec<i64> = times.collect();
    let overtaken = times.windows(2).filter(|pair| pair[1] < pair[0] - 20_000);
    assert!(overtaken.count() * 10 > held.len());
}

#[test]
fn doubled_reports_arrive_twice() {
    let (ideal, doubled) = (with(|_| {}), with(|i| i.duplicated = 0.15));
    let all = ideal.entries.len();
    assert_rate(doubled.entries.len() - all, all, 0.15);
    let twice = counts(&doubled, AlarmEventKind::Raise);
    assert!(twice.values().all(|count| *count <= 2) && twice.values().any(|count| *count == 2));
}

#[test]
fn clocks_are_wrong_by_source() {
    let (ideal, skewed) = (with(|_| {}), with(|i| i.clock_skew_ms = 20_000.0));
    let mut off: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for (one, other) in ideal.entries.iter().zip(&skewed.entries) {
        let (Some(right), Some(wrong)) = (event(one), event(other)) else {
            continue;
        };
        assert_eq!(one.received_at_ms, other.received_at_ms);
        let source = off.entry(one.source.0).or_default();
        source.insert(wrong.event_at_ms - right.event_at_ms);
    }
    assert!(
        off.len() >= 3 && off.values().all(|skews| skews.len() == 1),
        "{off:?}"
    );
    assert!(
        off.values().flatten().any(|skew| skew.abs() > 1_000),
        "{off:?}"
    );
}

#[test]
fn clears_of_gasps_are_lost_at_their_own_rate() {
    let of_type = |simulation: &Simulation, gasp: bool| {
        let clears = simulation.entries.iter().filter_map(event);
        clears
            .filter(|e| e.kind == AlarmEventKind::Clear)
            .filter(|e| (e.key.alarm_type == "dying-gasp") == gasp)
            .count()
    };
    let ideal = with(|_| {});
    let lossy = with(|i| {
        i.gasps_never_cleared = 0.5;
        i.lost_clears = 0.1;
    });
    for (gasp, rate) in [(true, 0.5), (false, 0.1)] {
        let (all, left) = (of_type(&ideal, gasp), of_type(&lossy, gasp));
        assert_rate(all - left, all, rate);
    }
    assert_eq!(raises(&ideal).count(), raises(&lossy).count());
}

#[test]
fn dark_homes_and_spurious_alarms_are_as_many_as_asked_for() {
    let ideal = with(|_| {});
    let noisy = with(|i| {
        i.dark_homes = 300;
        i.dark_home_stay_ms = 6 * HOUR;
        i.spurious_per_hour = 1_000.0;
    });
    let of = |wanted: fn(&Origin) -> bool| {
        let origins = noisy.origins.iter().zip(&noisy.entries);
        origins
            .filter(|(origin, entry)| {
                let raise = event(entry).is_some_and(|e| e.kind == AlarmEventKind::Raise);
                raise && origin.as_ref().is_some_and(wanted)
            })
            .map(|(_, entry)| entry.received_at_ms)
            .collect::<Vec<i64>>()
    };
    let dark = of(|origin| matches!(origin, Origin::DarkHome(_)));
    let standing = dark.iter().filter(|at| **at < START_MS + 5_000).count();
    assert!((295..=305).contains(&standing), "{standing}");
    // As many come as go: in six hours about 300 more.
    let fresh = dark.len() - standing;
    assert!((200..=400).contains(&fresh), "{fresh}");
    // 60 an hour among 6,000 homes, for six hours.
    let spurious = of(|origin| matches!(origin, Origin::Spurious(_))).len();
    assert!((260..=460).contains(&spurious), "{spurious}");
    let of_faults = |simulation: &Simulation| {
        let origins = simulation.origins.iter().flatten();
        origins.filter(|o| matches!(o, Origin::Fault(_))).count()
    };
    let (quiet, loud) = (of_faults(&ideal), of_faults(&noisy));
    // A home that is dark already is not reported again.
    assert!(loud <= quiet && loud * 10 > quiet * 8, "{loud} and {quiet}");
}

#[test]
fn an_olt_can_fall_silent_as_a_whole() {
    let lossy = with(|i| {
        i.olt_reports_lost = 1.0;
        i.olt_reports_lost_ms = [24 * HOUR, 24 * HOUR];
    });
    let of_olts = lossy.entries.iter().filter(|entry| {
        let source = Source::of_id(entry.source).unwrap();
        matches!(source, Source::OltsA | Source::OltsB)
    });
    let ideal = with(|_| {}).entries.len();
    assert!(of_olts.count() * 2 < ideal);
}

#[test]
fn a_poller_that_was_down_lists_what_is_active() {
    let mut with_outages = scenario(vec![draw(FaultKind::OltDeath, 2)]);
    with_outages.impairments.poller_outages_per_day = 40.0;
    with_outages.impairments.poller_outage_ms = [10 * MINUTE, 20 * MINUTE];
    let simulation = Simulation::new(world(), &with_outages);
    let mut is_down = false;
    let mut counts = BTreeMap::new();
    for entry in simulation
        .entries
        .iter()
        .filter(|e| e.source == Source::Poller.id())
    {
        let what = match &entry.record {
            LogRecord::Event(_) => {
                assert!(!is_down, "nothing is said while it is down");
                "event"
            }
            LogRecord::Stale => {
                is_down = true;
                "stale"
            }
            LogRecord::Heard => {
                is_down = false;
                "heard"
            }
            LogRecord::SnapshotBegin => "begin",
            LogRecord::SnapshotEnd => "end",
        };
        *counts.entry(what).or_insert(0) += 1;
    }
    assert!(counts["stale"] >= 3, "{counts:?}");
    assert!(counts["begin"] >= counts["heard"] && counts["begin"] == counts["end"]);
    assert!(counts["event"] >= 2, "{counts:?}");
}

#[test]
fn wrong_topology_is_wrong_exactly_where_it_says() {
    let share = 0.1;
    let misplaced = misplace(world(), share, 9);
    assert_rate(misplaced.len(), generated().subscribers.len(), share);
    let definition = &generated().definition;
    let wrong = believed(world(), definition, &misplaced);
    let mut differing = BTreeSet::new();
    for (right, wrong) in definition.links.iter().zip(&wrong.links) {
        if right != wrong {
            assert_eq!((&right.id, &right.b), (&wrong.id, &wrong.b));
            assert_ne!(right.a, wrong.a);
            differing.insert(right.b.as_str());
        }
    }
    let network = world().network();
    let id = |element| network.part_id(Part::Element(element));
    let said: BTreeSet<&str> = misplaced.iter().map(|m| id(m.ont)).collect();
    assert_eq!(said, differing);
    assert_eq!(
        (&definition.elements, &definition.groups),
        (&wrong.elements, &wrong.groups)
    );
    // "spl-vt-0003-07-2" is on PON "vt-0003-07".
    let pon = |element| id(element)["spl-".len()..].rsplit_once('-').unwrap().0;
    let same = misplaced
        .iter()
        .filter(|m| pon(m.really) == pon(m.believed))
        .count();
    assert_rate(same, misplaced.len(), 0.8);
    assert!(misplace(world(), 0.0, 9).is_empty());
    // The network with the mistakes is a network.
    let network = World::new(&wrong, &generated().subscribers).unwrap();
    assert_eq!(
        network.network().subscriber_count(),
        generated().subscribers.len()
    );
}

#[test]
fn fewer_complain_when_they_are_told_and_telling_one_changes_no_other() {
    let scenario = scenario(vec![draw(FaultKind::RegionalPower, 3)]);
    let simulation = Simulation::new(world(), &scenario);
    let customers = Customers::default();
    let complain = |told: &dyn Fn(SubscriberNo) -> Option<i64>| {
        complaints(world(), &simulation.truth, &customers, 5, told)
    };
    let onset_ms = scenario.faults[0].onset_ms();
    let untold = complain(&|_| None);
    let told = complain(&|_| Some(onset_ms));
    let half = complain(&|subscriber| (subscriber.0 % 2 == 0).then_some(onset_ms));
    assert!(untold.len() > 100, "{}", untold.len());
    assert!(
        told.len() * 2 < untold.len(),
        "{} and {}",
        told.len(),
        untold.len()
    );
    let odd = |all: &[forewarn::simulate::CustomerComplaint]| -> Vec<_> {
        all.iter()
            .filter(|c| c.subscriber.0 % 2 == 1)
            .copied()
            .collect()
    };
    assert_eq!(odd(&half), odd(&untold));
    let lost = simulation.truth.faults[0].ever_lost();
    for complaint in &untold {
        assert!(lost.contains(world().network().rank_of(complaint.subscriber)));
        assert!(complaint.at_ms > onset_ms);
    }
}
