//! Since when each person is without service, where parts of an incident failed one after another.

use super::*;
use forewarn::incident::joined_later;
use proptest::collection::vec;

const DAY: i64 = 24 * 60 * MINUTE;

/// Since when an account is without service by an incident, as it would be told.
fn since(desk: &Desk, no: i64, home: &str) -> i64 {
    let network = desk.correlator.network();
    let incident = desk.state(no);
    let account = network.subscriber(&format!("acc-{home}")).unwrap();
    let rank = network.rank_of(account);
    let joined = joined_later(&incident, network);
    let mut later = joined.iter().filter(|(_, people)| people.contains(rank));
    later.next().map_or(incident.onset_ms, |(at_ms, _)| *at_ms)
}

#[test]
fn the_second_cut_of_a_ring_takes_service_away_and_not_the_first() {
    let mut desk = Desk::new();
    desk.raise(10 * MINUTE, "link-down", &["s1/s2"]);
    desk.until(20 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1/s2", Confirmed, 0)]);
    desk.raise(130 * MINUTE, "link-down", &["s3/s4"]);
    desk.raise(130 * MINUTE, "unreachable", &["s2", "s3", "olt2", "olt3"]);
    desk.until(140 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1/s2+s3/s4", Confirmed, 16)]);
    assert_eq!(desk.state(1).onset_ms, 10 * MINUTE);
    for home in ["olt2-p1-h1", "olt3-p2-h4"] {
        assert_eq!(since(&desk, 1, home), 130 * MINUTE);
    }
}

#[test]
fn a_source_whose_clock_is_ahead_dates_nobody_in_the_future() {
    let mut desk = Desk::new();
    desk.raise(10 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    let kind = AlarmEventKind::Raise;
    let mut ahead = alarm_entry(2, 1, kind, "olt2", "heartbeat-loss", 20 * MINUTE);
    if let LogRecord::Event(event) = &mut ahead.record {
        event.event_at_ms += 2 * 60 * MINUTE;
    }
    desk.take(ahead);
    for minutes in [22, 30, 200] {
        desk.until(minutes * MINUTE);
        assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
        assert_eq!(desk.state(1).onset_ms, 10 * MINUTE);
        assert_eq!(since(&desk, 1, "olt2-p2-h1"), 20 * MINUTE);
    }
}

#[test]
fn an_outage_after_another_begins_anew_although_the_clock_of_the_source_is_ahead() {
    let mut desk = Desk::new();
    let say = |desk: &mut Desk, kind, at_ms: i64| {
        desk.until(at_ms);
        let sequence = u64::try_from(at_ms).unwrap();
        let mut ahead = alarm_entry(2, sequence, kind, "olt2-p1", "pon-los", at_ms);
        if let LogRecord::Event(event) = &mut ahead.record {
            event.event_at_ms += 2 * 60 * MINUTE;
        }
        desk.take(ahead);
        desk.settle();
    };
    say(&mut desk, AlarmEventKind::Raise, 10 * MINUTE);
    say(&mut desk, AlarmEventKind::Clear, 240 * MINUTE);
    say(&mut desk, AlarmEventKind::Raise, 290 * MINUTE);
    desk.until(295 * MINUTE);
    let open = desk.open();
    assert_eq!(open.len(), 1, "{open:?}");
    let onset_ms = desk.state(open[0].0).onset_ms;
    assert_eq!(onset_ms, 290 * MINUTE);
}

#[test]
fn whoever_a_fault_takes_in_hours_later_has_been_without_service_since_then() {
    let mut desk = Desk::new();
    desk.raise(10 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    desk.raise(70 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(80 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(desk.state(1).onset_ms, 10 * MINUTE);
    assert_eq!(since(&desk, 1, "olt2-p2-h1"), 70 * MINUTE);
}

#[test]
fn an_alarm_of_the_cause_that_comes_after_most_of_those_behind_it_dates_nobody_later() {
    let mut desk = Desk::new();
    desk.raise(10 * MINUTE, "pon-los", &["olt2-p1", "olt2-p2"]);
    desk.until(18 * MINUTE);
    desk.raise(18 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(since(&desk, 1, "olt2-p1-h1"), 10 * MINUTE);
    let mut desk = Desk::new();
    desk.raise(10 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    desk.raise(10 * MINUTE, "onu-los", &refs(&homes("olt2-p2")[..2]));
    desk.raise(18 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(since(&desk, 1, "olt2-p2-h4"), 10 * MINUTE);
}

#[test]
fn an_alarm_that_was_never_taken_back_does_not_date_the_next_failure() {
    let mut desk = Desk::new();
    desk.raise(MINUTE, "unreachable", &["olt2"]);
    desk.raise(MINUTE, "pon-los", &["olt2-p1", "olt2-p2"]);
    desk.clear(20 * MINUTE, "pon-los", &["olt2-p1", "olt2-p2"]);
    desk.until(25 * MINUTE);
    assert_eq!(desk.open(), []);
    desk.raise(45 * MINUTE, "pon-los", &["olt2-p1", "olt2-p2"]);
    desk.until(60 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(since(&desk, 1, "olt2-p1-h1"), 45 * MINUTE);
}

#[test]
fn homes_that_lost_power_long_before_do_not_date_the_end_of_the_battery_of_their_olt() {
    let mut desk = Desk::new();
    desk.raise(10 * MINUTE, "dying-gasp", &refs(&homes("olt2-p1")));
    desk.until(20 * MINUTE);
    assert_eq!(desk.state(1).affected, 4);
    desk.raise(70 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(80 * MINUTE);
    assert_eq!(desk.state(1).affected, 8);
    assert_eq!(desk.state(1).onset_ms, 10 * MINUTE);
    assert_eq!(since(&desk, 1, "olt2-p2-h1"), 70 * MINUTE);
}

#[test]
fn dying_gasps_that_were_never_taken_back_do_not_date_what_fails_days_later() {
    let mut desk = Desk::new();
    let homes = homes("olt2-p1");
    desk.raise(MINUTE, "dying-gasp", &refs(&homes));
    desk.until(40 * MINUTE);
    desk.clear(40 * MINUTE, "dying-gasp", &refs(&homes[2..]));
    desk.raise(2 * DAY, "pon-los", &["olt2-p2"]);
    desk.clear(2 * DAY + 10 * MINUTE, "pon-los", &["olt2-p2"]);
    let begin = 2 * DAY + 60 * MINUTE;
    desk.raise(begin, "los", &refs(&homes));
    desk.until(begin + 5 * MINUTE);
    let open = desk.open();
    let &[(no, _, Confirmed, 4)] = &open[..] else {
        panic!("{open:?}");
    };
    assert_eq!(since(&desk, no, "olt2-p1-h1"), begin);
    assert_eq!(since(&desk, no, "olt2-p1-h4"), begin);
}

#[test]
fn whoever_a_third_cut_takes_was_not_cut_off_by_the_second() {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core1", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    element(&mut network, "s", ElementKind::Switch);
    for olt in ["x", "y"] {
        element(&mut network, olt, ElementKind::Olt);
        network.elements.last_mut().unwrap().redundancy = Some(Redundancy::Any);
    }
    for (a, b) in [
        ("core1", "s"),
        ("core1", "x"),
        ("s", "x"),
        ("core1", "y"),
        ("s", "y"),
    ] {
        link(&mut network, a, b);
    }
    let mut attached = Vec::new();
    for (switch, number) in [("x", 8), ("y", 4)] {
        for home in 1..=number {
            let ont = format!("{switch}-h{home}");
            element(&mut network, &ont, ElementKind::Ont);
            link(&mut network, switch, &ont);
            attached.push(Attachment {
                account: format!("acc-{ont}"),
                served_by: vec![ont],
                redundancy: Redundancy::Any,
            });
        }
    }
    let network = Arc::new(Network::build(&network, &attached).unwrap());
    let mut desk = Desk::with(settings(), network);
    let of = |switch: &str, number: usize| -> Vec<String> {
        (1..=number)
            .map(|home| format!("{switch}-h{home}"))
            .collect()
    };
    desk.raise(10 * MINUTE, "link-down", &["core1/s", "core1/x"]);
    desk.raise(10 * MINUTE, "offline", &refs(&of("x", 8)));
    desk.until(20 * MINUTE);
    desk.raise(130 * MINUTE, "link-down", &["core1/y"]);
    desk.raise(130 * MINUTE, "offline", &refs(&of("y", 4)));
    desk.until(140 * MINUTE);
    let open = desk.open();
    let no = open
        .iter()
        .find(|(_, parts, ..)| parts.contains("core1/y"))
        .unwrap()
        .0;
    assert_eq!(since(&desk, no, "y-h1"), 130 * MINUTE, "{open:?}");
}

#[test]
fn a_later_part_keeps_its_time_through_a_restart_and_loses_it_with_the_episode() {
    let mut desk = Desk::new();
    desk.raise(10 * MINUTE, "link-down", &["s1/s2"]);
    desk.until(20 * MINUTE);
    desk.raise(130 * MINUTE, "link-down", &["s3/s4"]);
    desk.raise(130 * MINUTE, "unreachable", &["s2", "s3", "olt2", "olt3"]);
    desk.until(140 * MINUTE);
    let kept = serde_json::to_string(&desk.state(1)).unwrap();
    let kept: Incident = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept.life.later.len(), 1);
    assert_eq!(kept.life.later[0].since_ms, 130 * MINUTE);
    assert_eq!(kept.life.later[0].resources, ["s3/s4"]);
    desk.clear(150 * MINUTE, "link-down", &["s1/s2", "s3/s4"]);
    desk.clear(150 * MINUTE, "unreachable", &["s2", "s3", "olt2", "olt3"]);
    desk.until(155 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(
        desk.state(1).life.later,
        kept.life.later,
        "it still says so"
    );
    desk.raise(160 * MINUTE, "link-down", &["s1/s2", "s3/s4"]);
    desk.raise(160 * MINUTE, "unreachable", &["s2", "s3", "olt2", "olt3"]);
    desk.until(165 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1/s2+s3/s4", Confirmed, 16)]);
    assert_eq!(desk.state(1).life.later, []);
    assert_eq!(since(&desk, 1, "olt2-p1-h1"), 160 * MINUTE);
}

#[test]
fn whoever_a_merger_brings_along_keeps_their_own_time() {
    let mut desk = Desk::new();
    desk.raise(10 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    desk.raise(70 * MINUTE, "pon-los", &["olt3-p1"]);
    desk.until(80 * MINUTE);
    let pair = |a: &str, b: &str| [one(1, a, Confirmed, 4), one(2, b, Confirmed, 4)];
    assert_eq!(desk.open(), pair("olt2-p1", "olt3-p1"));
    desk.act(
        2,
        OperatorAction::Merge {
            into: IncidentNo(1),
            reason: String::new(),
        },
    );
    desk.until(85 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1+olt3-p1", Confirmed, 8)]);
    assert_eq!(since(&desk, 1, "olt2-p1-h1"), 10 * MINUTE);
    assert_eq!(since(&desk, 1, "olt3-p1-h1"), 70 * MINUTE);
}

proptest! {
    #![proptest_config(crate::support::draws(96))]

    /// Whatever fails when: everybody without service by an incident lost it with the last of the parts
    /// that it takes, by a walk over the network without what had failed by then.
    #[test]
    fn everybody_lost_service_when_the_parts_that_had_failed_cut_them_off(
        raised in vec((0..40_usize, 0..600_i64), 1..8),
    ) {
        let (definition, accounts) = metro();
        let ids: Vec<&str> = definition.links.iter().map(|link| link.id.as_str())
            .filter(|id| !id.contains("-h"))
            .collect();
        let mut story: Vec<(i64, &str)> = raised
            .iter()
            .map(|(at, minute)| (*minute * MINUTE, ids[at % ids.len()]))
            .collect();
        story.sort_unstable();
        let mut desk = Desk::new();
        for (at_ms, id) in story {
            desk.raise(at_ms, "link-down", &[id]);
        }
        desk.until(700 * MINUTE);
        let network = Arc::clone(desk.correlator.network());
        for live in desk.correlator.live().filter(|live| live.incident.state.is_open()) {
            let incident = live.incident;
            let time_of = |id: &str| {
                let mut steps = incident.life.later.iter();
                let step = steps.find(|step| step.resources.iter().any(|other| other == id));
                step.map_or(incident.onset_ms, |step| step.since_ms)
            };
            let times: BTreeSet<i64> = incident.cause.resources.iter().map(|id| time_of(id)).collect();
            for account in &accounts {
                let number = network.subscriber(&account.account).unwrap();
                if !live.lost.contains(network.rank_of(number)) {
                    continue;
                }
                let is_out = |at_ms: &&i64| {
                    let failed = incident.cause.resources.iter().filter(|id| time_of(id) <= **at_ms);
                    let failed: Vec<&str> = failed.map(String::as_str).collect();
                    !reaches_a_gateway(&definition, &account.served_by[0], &failed)
                };
                let first = times.iter().find(is_out);
                let home = account.account.strip_prefix("acc-").unwrap();
                prop_assert_eq!(first.copied(), Some(since(&desk, incident.no.0, home)));
            }
        }
    }
}

/// By a walk over the links that have not failed; transport carries only transport.
fn reaches_a_gateway(definition: &NetworkDefinition, home: &str, failed: &[&str]) -> bool {
    let element = |id: &str| definition.elements.iter().find(|e| e.id == id).unwrap();
    let is_transport =
        |id: &str| matches!(element(id).kind, ElementKind::Router | ElementKind::Switch);
    let groups = definition
        .groups
        .iter()
        .filter(|group| failed.contains(&group.id.as_str()));
    let cut: BTreeSet<&str> = groups
        .flat_map(|group| group.members.iter().map(String::as_str))
        .chain(failed.iter().copied())
        .collect();
    let mut seen = BTreeSet::new();
    let mut open = vec![home];
    while let Some(id) = open.pop() {
        if cut.contains(id) || !seen.insert(id) {
            continue;
        }
        if element(id).gateway {
            return true;
        }
        for link in definition
            .links
            .iter()
            .filter(|link| !cut.contains(link.id.as_str()))
        {
            let other = match id {
                id if id == link.a => link.b.as_str(),
                id if id == link.b => link.a.as_str(),
                _ => continue,
            };
            if is_transport(other) || !is_transport(id) {
                open.push(other);
            }
        }
    }
    false
}
