//! When an incident is believed, merges, goes apart, ends and comes back.

use super::*;

#[test]
fn a_lone_alarm_waits_for_company() {
    let confirmed = |lone_alarm_ms: Option<i64>, alarms: &[(i64, i64, &str, &str)]| {
        let settings = CorrelatorSettings {
            lone_alarm_ms,
            ..CorrelatorSettings::default()
        };
        let mut desk = Desk::with(settings, built());
        for (source, at_ms, alarm_type, resource) in alarms {
            desk.until(*at_ms);
            desk.say(
                *source,
                *at_ms,
                AlarmEventKind::Raise,
                alarm_type,
                &[resource],
            );
        }
        desk.until(80 * MINUTE);
        let incident = desk.state(1);
        Some(incident.confirmed_ms? - incident.detected_ms)
    };
    let lone = (1, 40 * MINUTE, "unreachable", "olt2");
    let itself = (1, 40 * MINUTE, "device-down", "olt2");
    let long_dark = (1, MINUTE, "los", "olt2-p1-h1");
    for alone in [&[lone][..], &[lone, itself], &[long_dark, lone]] {
        assert_eq!(confirmed(None, alone), None);
        assert_eq!(
            confirmed(Some(30 * MINUTE), alone),
            Some(30 * MINUTE),
            "{alone:?}"
        );
    }
    let another = (1, 40 * MINUTE, "link-down", "s2/olt2");
    let another_source = (2, 40 * MINUTE, "device-down", "olt2");
    for company in [another, another_source] {
        assert_eq!(confirmed(None, &[lone, company]), Some(MINUTE));
    }
    let later = (1, 50 * MINUTE, "link-down", "s2/olt2");
    assert_eq!(
        confirmed(None, &[lone, later]),
        Some(11 * MINUTE - 2 * SECOND),
        "from its opening to a hold-down after its company"
    );
}

#[test]
fn gasps_that_nobody_took_back_open_nothing_later() {
    let mut desk = Desk::new();
    let homes = [homes("olt2-p1"), homes("olt2-p2")].concat();
    desk.raise(SECOND, "dying-gasp", &refs(&homes));
    desk.until(30 * MINUTE);
    assert_eq!(desk.state(1).state, Confirmed);
    // Half of the homes say that they are back; the others' gasps are never cleared.
    let back: Vec<&str> = homes.iter().step_by(2).map(String::as_str).collect();
    let others: Vec<&str> = homes
        .iter()
        .skip(1)
        .step_by(2)
        .map(String::as_str)
        .collect();
    desk.clear(30 * MINUTE, "dying-gasp", &back);
    desk.clear(30 * MINUTE, "dying-gasp", &others[..1]);
    desk.until(40 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    desk.raise(130 * MINUTE, "los", &back[..1]);
    desk.until(140 * MINUTE);
    assert_eq!(desk.open(), []);
}

#[test]
fn two_incidents_that_turn_out_to_be_one_are_merged() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "unreachable", &["s1"]);
    desk.until(10 * SECOND);
    desk.raise(11 * SECOND, "link-down", &["s4/core2"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1+s4/core2", Confirmed, 24)]);
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(10 * SECOND);
    desk.raise(11 * SECOND, "link-down", &["s3/s4"]);
    desk.until(2 * MINUTE);
    assert_eq!(
        desk.open(),
        [
            one(1, "olt2-p1", Confirmed, 4),
            one(2, "s3/s4", Confirmed, 0)
        ]
    );
    desk.raise(3 * MINUTE, "link-down", &["s1/s2"]);
    desk.until(5 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1/s2+s3/s4", Confirmed, 16)]);
    let merged = desk.state(2);
    assert_eq!(merged.state, Restored);
    assert_eq!(merged.merged_into, Some(IncidentNo(1)));
    assert!(desk.history(1).contains(&TimelineKind::Merged));
    assert!(!desk.history(2).contains(&TimelineKind::Restored));
}

#[test]
fn what_is_left_of_a_large_failure_stays_together() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "heartbeat-loss", &["s2"]);
    desk.raise(2 * SECOND, "pon-los", &["olt2-p1"]);
    desk.raise(2 * SECOND, "link-down", &["olt2-p2/olt2-p2-sp"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2", Confirmed, 8)]);
    desk.clear(3 * MINUTE, "heartbeat-loss", &["s2"]);
    desk.until(3 * MINUTE + 30 * SECOND);
    let open = desk.open();
    assert_eq!(open.len(), 1, "{open:?}");
    desk.until(6 * MINUTE);
    let open = desk.open();
    assert!(open.iter().all(|(_, _, state, _)| *state == Confirmed));
    let affected: u64 = open.iter().map(|(_, _, _, affected)| affected).sum();
    assert_eq!(affected, 8, "{open:?}");
}

#[test]
fn a_short_fault_is_never_confirmed() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.clear(40 * SECOND, "pon-los", &["olt2-p1"]);
    desk.until(10 * MINUTE);
    let incident = desk.state(1);
    assert_eq!((incident.state, incident.confirmed_ms), (Restored, None));
    assert_eq!(
        desk.history(1),
        [TimelineKind::Detected, TimelineKind::Restored]
    );
}

#[test]
fn a_flapping_link_is_one_unstable_incident() {
    let mut desk = Desk::new();
    for round in 0..5 {
        desk.raise(round * MINUTE + SECOND, "link-down", &["s2/olt2"]);
        desk.clear(round * MINUTE + 20 * SECOND, "link-down", &["s2/olt2"]);
    }
    desk.raise(6 * MINUTE, "link-down", &["s2/olt2"]);
    desk.until(8 * MINUTE);
    let incident = desk.state(1);
    assert_eq!(desk.open(), [one(1, "s2/olt2", Confirmed, 8)]);
    assert!(incident.unstable);
    desk.clear(8 * MINUTE, "link-down", &["s2/olt2"]);
    desk.until(13 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(1, "s2/olt2", Confirmed, 8)],
        "its share of state changes is still too high"
    );
    desk.until(15 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    assert_eq!(desk.state(1).restored_ms, Some(8 * MINUTE));
    let unconfirmed = [
        Told::Detected,
        Told::Restored,
        Told::Reopened,
        Told::Restored,
        Told::Reopened,
    ];
    assert_eq!(desk.history(1)[..5], unconfirmed, "nobody hears of these");
    let rest = [Told::Unstable, Told::Confirmed, Told::Restored];
    assert_eq!(desk.history(1)[5..], rest);
}

#[test]
fn the_same_cause_soon_after_reopens_its_incident() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.clear(2 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(4 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    desk.raise(5 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(5 * MINUTE + 10 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Suspected, 4)]);
    assert_eq!(desk.state(1).onset_ms, 5 * MINUTE);
    desk.until(7 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert_eq!(desk.state(1).reopened, 1);
    desk.clear(8 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.raise(60 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(61 * MINUTE);
    assert_eq!(desk.open(), [one(2, "olt2-p1", Suspected, 4)]);
}

#[test]
fn a_silent_source_restores_nothing_until_it_has_resynchronised() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1", "olt3-p1"]);
    desk.until(2 * MINUTE);
    desk.record(3 * MINUTE, LogRecord::Stale);
    assert!(desk.state(1).stale);
    desk.record(4 * MINUTE, LogRecord::Heard);
    desk.clear(4 * MINUTE + SECOND, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    assert_eq!(
        desk.open(),
        [
            one(1, "olt2-p1", Confirmed, 4),
            one(2, "olt3-p1", Confirmed, 4)
        ]
    );
    desk.record(21 * MINUTE, LogRecord::SnapshotBegin);
    desk.raise(21 * MINUTE, "high-temperature", &["s1"]);
    desk.record(21 * MINUTE + SECOND, LogRecord::SnapshotEnd);
    desk.until(23 * MINUTE);
    assert_eq!(desk.open(), [], "neither was listed");
    assert_eq!(desk.state(2).restored_ms, Some(21 * MINUTE + SECOND));
    assert_eq!(
        desk.history(1)[2..],
        [
            TimelineKind::Stale,
            TimelineKind::Resynchronised,
            TimelineKind::Restored
        ]
    );
}

#[test]
fn an_alarm_listed_again_was_never_gone() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.record(2 * MINUTE, LogRecord::SnapshotBegin);
    desk.record(2 * MINUTE, LogRecord::SnapshotEnd);
    assert_eq!(desk.correlator.book().active_count(), 0);
    desk.record(2 * MINUTE + SECOND, LogRecord::SnapshotBegin);
    let sequence = 1_000;
    desk.take(alarm_entry(
        1,
        sequence,
        AlarmEventKind::Raise,
        "olt2-p1",
        "pon-los",
        SECOND,
    ));
    desk.record(2 * MINUTE + SECOND, LogRecord::SnapshotEnd);
    desk.until(5 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert_eq!(desk.state(1).onset_ms, SECOND);
}

#[test]
fn a_new_network_moves_who_is_affected() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.raise(SECOND, "los", &["nowhere"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.correlator.unmapped_count(), 1);
    let (definition, mut homes) = metro();
    homes[0].served_by = vec!["olt2-p2-h1".to_owned()];
    homes[20].served_by = vec!["olt2-p1-h1".to_owned()];
    homes.reverse();
    let network = Arc::new(Network::build(&definition, &homes).unwrap());
    desk.correlator
        .replace_network(Arc::clone(&network), desk.now_ms);
    desk.settle();
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert_eq!(desk.history(1).last(), Some(&TimelineKind::TopologyChanged));
    let change = desk.changes.last().unwrap();
    let names = |set: &SubscriberSet| -> BTreeSet<String> {
        let people = network.subscribers(set);
        people.map(|s| network.account(s).to_owned()).collect()
    };
    let (now, before) = (names(&change.lost), names(&change.previously_lost));
    assert_eq!(
        before.difference(&now).collect::<Vec<_>>(),
        ["acc-olt2-p1-h1"]
    );
    assert_eq!(now.difference(&before).count(), 1);
    let never = names(&change.never_lost);
    assert_eq!(
        never.iter().collect::<Vec<_>>(),
        ["acc-olt2-p1-h1"],
        "who is behind another port never was without service"
    );
    let mut gone = metro();
    gone.0.elements.retain(|e| !e.id.starts_with("olt2"));
    gone.0.links.retain(|l| !l.id.contains("olt2"));
    gone.1.retain(|a| !a.served_by[0].starts_with("olt2"));
    let network = Arc::new(Network::build(&gone.0, &gone.1).unwrap());
    desk.correlator.replace_network(network, desk.now_ms);
    desk.until(10 * MINUTE);
    // One of its people is in the network still, and nobody took its alarms back.
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 1)]);
    assert_eq!(desk.correlator.unmapped_count(), 2);
    let last = desk.changes.last().unwrap();
    assert!(last.never_lost.is_empty(), "the cause is gone");
}

#[test]
fn where_the_cause_is_gone_from_the_network_nobody_is_said_never_to_have_been_without_service() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(2 * MINUTE);
    let (mut definition, homes) = metro();
    let renamed = |id: &mut String| {
        if id == "olt2-p1" {
            *id = "olt2-port1".to_owned();
        }
    };
    definition
        .elements
        .iter_mut()
        .for_each(|e| renamed(&mut e.id));
    for link in &mut definition.links {
        renamed(&mut link.a);
        renamed(&mut link.b);
    }
    let network = Arc::new(Network::build(&definition, &homes).unwrap());
    desk.correlator.replace_network(network, desk.now_ms);
    desk.until(10 * MINUTE);
    // The alarm is active, whatever the inventory calls what it is at.
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert!(desk.state(1).is_unplaced());
    assert_eq!(desk.changes.last().unwrap().lost.len(), 4);
    // Whoever it took is known after a restart, too.
    let pages = desk.correlator.book().pages();
    let pages: Vec<Vec<u8>> = pages.collect::<Result<_, _>>().unwrap();
    let mut restarted = Correlator::restore(
        settings(),
        Arc::clone(desk.correlator.network()),
        AlarmBook::from_pages(pages.iter().map(Vec::as_slice)).unwrap(),
        vec![desk.state(1)],
        1,
    );
    restarted.settle(desk.now_ms);
    let lost: Vec<usize> = restarted.live().map(|live| live.lost.len()).collect();
    assert_eq!(lost, [4]);
    assert_eq!(desk.history(1).last(), Some(&Told::TopologyChanged));
    desk.clear(20 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(desk.state(1).state, Restored);
    assert!(desk.changes.iter().all(|c| c.never_lost.is_empty()));
}

#[test]
fn an_incident_whose_renamed_cause_is_back_goes_on_there() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(2 * MINUTE);
    let (known, homes) = metro();
    let mut renamed = known.clone();
    for element in &mut renamed.elements {
        if element.id == "olt2-p1" {
            element.id = "olt2-port1".to_owned();
        }
    }
    for link in &mut renamed.links {
        for end in [&mut link.a, &mut link.b] {
            if end == "olt2-p1" {
                *end = "olt2-port1".to_owned();
            }
        }
    }
    for definition in [renamed, known] {
        let network = Arc::new(Network::build(&definition, &homes).unwrap());
        desk.correlator.replace_network(network, desk.now_ms);
        desk.until(desk.now_ms + 10 * MINUTE);
        assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    }
    assert!(!desk.state(1).is_unplaced());
}

/// The alarm of the old name is there still, and so is the outage.
#[test]
fn an_incident_whose_failed_link_is_renamed_goes_on_in_the_device_behind_it() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "link-down", &["s2/olt2"]);
    desk.raise(SECOND, "unreachable", &["olt2"]);
    desk.until(5 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2/olt2", Confirmed, 8)]);
    let (mut definition, homes) = metro();
    for link in &mut definition.links {
        if link.id == "s2/olt2" {
            link.id = "s2/olt2 anew".to_owned();
        }
    }
    let network = Arc::new(Network::build(&definition, &homes).unwrap());
    desk.correlator.replace_network(network, desk.now_ms);
    desk.until(15 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(desk.history(1).last(), Some(&Told::CauseSet));
    desk.clear(15 * MINUTE, "unreachable", &["olt2"]);
    desk.until(25 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(desk.state(1).state, Restored);
}

/// Hold-down in seconds of an incident with that cause and so many subscribers.
fn hold_down(classes: &[(Option<CauseKind>, u64, i64)], cause: CauseKind, affected: u64) -> i64 {
    let hold_downs = classes
        .iter()
        .map(|(cause, min_affected, seconds)| HoldDown {
            cause: *cause,
            min_affected: *min_affected,
            hold_down_ms: seconds * SECOND,
        });
    let settings = CorrelatorSettings {
        hold_downs: hold_downs.collect(),
        ..CorrelatorSettings::default()
    };
    settings.hold_down_of(cause, affected) / SECOND
}

#[test]
fn the_most_specific_hold_down_counts() {
    use CauseKind::{Equipment, FibreCut, Power};
    let classes = [
        (None, 1_000, 30),
        (Some(Power), 0, 120),
        (None, 10_000, 10),
        (Some(FibreCut), 1_000, 20),
    ];
    for (cause, affected, seconds) in [
        (Equipment, 999, 60),
        (Equipment, 1_000, 30),
        (Equipment, 10_000, 10),
        (Power, 10_000, 120),
        (FibreCut, 999, 60),
        (FibreCut, 20_000, 20),
    ] {
        assert_eq!(
            hold_down(&classes, cause, affected),
            seconds,
            "{cause:?} {affected}"
        );
    }
}

#[test]
fn a_hold_down_follows_the_size_of_the_incident() {
    let hold_downs = vec![HoldDown {
        cause: None,
        min_affected: 8,
        hold_down_ms: 10 * SECOND,
    }];
    let mut desk = Desk::with(
        CorrelatorSettings {
            hold_downs,
            ..settings()
        },
        built(),
    );
    desk.raise(0, "pon-los", &["olt3-p1"]);
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(30 * SECOND);
    assert!(desk.open().iter().all(|i| i.2 == Suspected));
    desk.raise(30 * SECOND, "heartbeat-loss", &["olt2"]);
    assert!(desk.open().iter().all(|i| i.2 == Suspected));
    desk.until(41 * SECOND);
    let states: Vec<_> = desk.open().into_iter().map(|i| (i.1, i.2)).collect();
    let expected = [
        ("olt2".to_owned(), Confirmed),
        ("olt3-p1".to_owned(), Suspected),
    ];
    assert!(expected.iter().all(|e| states.contains(e)), "{states:?}");
}

/// A fault of 40 s every 90 s, so many times; each is over before it is believed.
fn comes_and_goes(times: i64) -> Desk {
    let mut desk = Desk::with(
        CorrelatorSettings {
            hold_down_ms: 200 * SECOND,
            decide_within_ms: 300 * SECOND,
            ..settings()
        },
        built(),
    );
    for round in 0..times {
        let at = round * 90 * SECOND + SECOND;
        desk.raise(at, "link-down", &["s2/olt2"]);
        desk.clear(at + 40 * SECOND, "link-down", &["s2/olt2"]);
    }
    desk
}

#[test]
fn a_suspicion_that_comes_and_goes_is_believed_at_its_deadline_if_there_is_evidence_then() {
    let desk = comes_and_goes(4);
    let incident = desk.state(1);
    assert_eq!(incident.state, Confirmed);
    let suspected_ms = desk.changes[0].incident.detected_ms;
    assert_eq!(incident.confirmed_ms, Some(suspected_ms + 300 * SECOND));
}

#[test]
fn a_suspicion_that_comes_and_goes_is_dropped_at_its_deadline_if_there_is_none() {
    let mut desk = comes_and_goes(3);
    assert_eq!(desk.open().len(), 1, "unstable, so not restored at once");
    desk.until(20 * MINUTE);
    let incident = desk.state(1);
    assert_eq!((incident.state, incident.confirmed_ms), (Restored, None));
    let change = desk.changes.last().unwrap();
    let suspected_ms = desk.changes[0].incident.detected_ms;
    let last = &change.timeline[0];
    assert_eq!(
        (last.what, last.at_ms),
        (Told::Restored, suspected_ms + 300 * SECOND)
    );
    assert!(last.reason.contains("deadline"), "{}", last.reason);
    // What comes after that is suspected anew.
    desk.raise(21 * MINUTE, "link-down", &["s2/olt2"]);
    desk.until(23 * MINUTE);
    assert_eq!(desk.open()[0].2, Suspected);
    desk.until(25 * MINUTE);
    assert_eq!(desk.open()[0].2, Confirmed);
}
