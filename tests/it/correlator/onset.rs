//! Since when service is out: the onset holds while the cause moves, whatever the order of arrival.
//!
//! What an incident has once stood for it keeps. So where faults meet that do not cut each other
//! off, the onset is that of the faults that met as the alarms came; within a branch it follows
//! from the alarms alone.

use super::streams::{SPAN, Story, stories, straight_and_crooked};
use super::*;
use forewarn::alarm::RETENTION_MS;

/// Onset of an incident and the episode it is of.
fn dated(desk: &Desk, no: i64) -> (u32, i64) {
    let incident = desk.state(no);
    (incident.reopened, incident.onset_ms)
}

/// Fails when the onset of an incident moved later within an episode.
fn check_onsets(changes: &[IncidentChange]) {
    let mut latest: BTreeMap<(IncidentNo, u32), i64> = BTreeMap::new();
    for change in changes {
        let incident = &change.incident;
        let episode = (incident.no, incident.reopened);
        let before = latest.insert(episode, incident.onset_ms);
        assert!(
            before.is_none_or(|before| incident.onset_ms <= before),
            "the onset of {} in episode {} moved from {before:?} to {}",
            incident.no,
            incident.reopened,
            incident.onset_ms
        );
    }
}

/// Where nothing comes late, an incident reopens only after it was restored.
fn check_that_nothing_came_late(changes: &[IncidentChange]) {
    let mut restored = BTreeSet::new();
    for change in changes {
        for line in &change.timeline {
            match line.what {
                TimelineKind::Restored => {
                    restored.insert(change.incident.no);
                }
                TimelineKind::Reopened => {
                    assert!(restored.remove(&change.incident.no), "{}", line.reason);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_cause_that_moves_up_while_its_alarm_clears_keeps_the_onset() {
    for clear_first in [true, false] {
        let mut desk = Desk::new();
        desk.raise(44 * MINUTE, "pon-los", &["olt2-p1"]);
        desk.until(46 * MINUTE);
        let told = dated(&desk, 1);
        assert_eq!(told, (0, 44 * MINUTE));
        if clear_first {
            desk.clear(46 * MINUTE, "pon-los", &["olt2-p1"]);
            desk.raise(46 * MINUTE, "heartbeat-loss", &["olt2"]);
        } else {
            desk.raise(46 * MINUTE, "heartbeat-loss", &["olt2"]);
            desk.clear(46 * MINUTE, "pon-los", &["olt2-p1"]);
        }
        desk.until(50 * MINUTE);
        assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
        assert_eq!(dated(&desk, 1), told);
        // The book has forgotten the first alarm; the incident has not.
        desk.raise(
            50 * MINUTE + 2 * RETENTION_MS,
            "high-temperature",
            &["core1"],
        );
        desk.raise(
            51 * MINUTE + 2 * RETENTION_MS,
            "onu-los",
            &refs(&homes("olt2-p2")),
        );
        desk.until(55 * MINUTE + 2 * RETENTION_MS);
        assert_eq!(dated(&desk, 1), told);
        check_onsets(&desk.changes);
    }
}

#[test]
fn an_onset_is_found_also_when_the_earlier_alarm_arrives_late_and_cleared() {
    let mut desk = Desk::new();
    desk.raise(46 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(50 * MINUTE);
    assert_eq!(dated(&desk, 1), (0, 46 * MINUTE));
    let at = |kind, at_ms| alarm_entry(2, 0, kind, "olt2-p1", "pon-los", at_ms);
    desk.take(at(AlarmEventKind::Clear, 46 * MINUTE));
    desk.take(at(AlarmEventKind::Raise, 44 * MINUTE));
    desk.settle();
    assert_eq!(dated(&desk, 1), (0, 44 * MINUTE));
}

#[test]
fn what_is_left_of_a_larger_fault_keeps_its_onset() {
    let mut desk = Desk::new();
    desk.raise(40 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.raise(45 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.clear(46 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(55 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert_eq!(dated(&desk, 1), (0, 40 * MINUTE));
}

#[test]
fn an_unstable_fault_has_been_there_since_it_began() {
    let mut desk = Desk::new();
    for round in 0..5 {
        desk.raise(round * MINUTE + SECOND, "link-down", &["s2/olt2"]);
        desk.clear(round * MINUTE + 40 * SECOND, "link-down", &["s2/olt2"]);
    }
    desk.raise(8 * MINUTE, "link-down", &["s2/olt2"]);
    desk.until(10 * MINUTE);
    let incident = desk.state(1);
    assert!(incident.unstable);
    assert_eq!((incident.reopened, incident.onset_ms), (0, SECOND));
}

#[test]
fn late_reports_of_service_in_between_begin_another_episode() {
    let mut desk = Desk::new();
    desk.raise(MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    assert_eq!(dated(&desk, 1), (0, MINUTE));
    let at = |kind, at_ms| alarm_entry(1, 0, kind, "olt2-p1", "pon-los", at_ms);
    desk.take(at(AlarmEventKind::Raise, 10 * MINUTE));
    desk.settle();
    assert_eq!(dated(&desk, 1), (0, MINUTE));
    desk.take(at(AlarmEventKind::Clear, 5 * MINUTE));
    desk.settle();
    assert_eq!(dated(&desk, 1), (1, 10 * MINUTE));
    assert_eq!(desk.state(1).state, Confirmed);
    assert_eq!(desk.history(1).last(), Some(&TimelineKind::Reopened));
}

/// Reports of one source about the parts of one branch, from the switch down to a splitter: each
/// of them cuts off those that follow.
fn branch() -> impl Strategy<Value = Vec<Story>> {
    let parts = [
        "s2/olt2",
        "olt2",
        "olt2/olt2-p1",
        "olt2-p1",
        "olt2-p1/olt2-p1-sp",
        "olt2-p1-sp",
    ];
    let story = (
        prop::sample::select(parts.to_vec()),
        prop::sample::select(vec!["los", "unreachable", "power-failure"]),
        prop::collection::btree_set(1..SPAN, 1..6),
    )
        .prop_map(|(resource, alarm_type, at_ms)| Story {
            source: 1,
            resource: resource.to_owned(),
            alarm_type,
            at_ms: at_ms.into_iter().collect(),
        });
    prop::collection::vec(story, 1..8)
}

/// Causes of the open incidents that have evidence, with their onset.
fn onsets(desk: &Desk) -> BTreeMap<Vec<String>, i64> {
    let open = desk.correlator.incidents();
    open.filter(|i| i.state.is_open() && i.evidence_count > 0)
        .map(|i| (i.cause.resources.clone(), i.onset_ms))
        .collect()
}

proptest! {
    #![proptest_config(crate::support::draws(256))]

    #[test]
    fn the_onset_never_moves_later_within_an_episode(
        stories in stories(),
        seed in any::<u64>(),
        repeats in 0..2_usize,
        batch in 1..9_usize,
    ) {
        let (straight, crooked) = straight_and_crooked(&stories, seed, repeats, batch);
        check_onsets(&straight.changes);
        check_onsets(&crooked.changes);
        check_that_nothing_came_late(&straight.changes);
    }

    #[test]
    fn the_onset_of_a_branch_does_not_depend_on_the_order_of_arrival(
        stories in branch(),
        seed in any::<u64>(),
        repeats in 0..3_usize,
        batch in 1..9_usize,
    ) {
        let (straight, crooked) = straight_and_crooked(&stories, seed, repeats, batch);
        prop_assert_eq!(onsets(&straight), onsets(&crooked));
        check_onsets(&straight.changes);
        check_onsets(&crooked.changes);
    }
}

/// The run of loss of what an incident seemed to grow to, and was not believed of, is none of its own.
#[test]
fn what_it_is_not_believed_to_have_grown_to_does_not_date_it() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "los", &["olt2/olt2-p2"]);
    desk.raise(60 * SECOND, "los", &["olt2/olt2-p1"]);
    desk.clear(156 * SECOND, "los", &["olt2/olt2-p2"]);
    desk.until(236 * SECOND);
    let open = desk.open();
    let (no, ..) = open.first().unwrap();
    let before = dated(&desk, *no);
    desk.raise(236 * SECOND, "los", &["s2/olt2"]);
    desk.clear(237 * SECOND, "los", &["s2/olt2"]);
    desk.until(300 * SECOND);
    assert_eq!(dated(&desk, *no), before);
    check_onsets(&desk.changes);
    check_that_nothing_came_late(&desk.changes);
}
