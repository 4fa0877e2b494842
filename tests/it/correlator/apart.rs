//! Failures that have nothing to do with one another, near one another in the network.

use super::*;

const PORTS: usize = 8;
const HOMES: usize = 12;

/// Two OLTs of eight ports with twelve homes each. One subscriber is served by a home of the first port
/// of each.
fn two_olts() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    let mut attached = Vec::new();
    for olt in ["a", "b"] {
        element(&mut network, olt, ElementKind::Olt);
        link(&mut network, "core", olt);
        for port in (1..=PORTS).map(|port| format!("{olt}-p{port}")) {
            element(&mut network, &port, ElementKind::PonPort);
            link(&mut network, olt, &port);
            for home in behind(&port) {
                element(&mut network, &home, ElementKind::Ont);
                link(&mut network, &port, &home);
                attached.push(Attachment {
                    account: format!("acc-{home}"),
                    served_by: vec![home],
                    redundancy: Redundancy::Any,
                });
            }
        }
    }
    attached.push(Attachment {
        account: "dual".to_owned(),
        served_by: vec!["a-p1-h1".to_owned(), "b-p1-h1".to_owned()],
        redundancy: Redundancy::Any,
    });
    Arc::new(Network::build(&network, &attached).unwrap())
}

fn behind(port: &str) -> Vec<String> {
    (1..=HOMES).map(|home| format!("{port}-h{home}")).collect()
}

fn cut(desk: &mut Desk, at_ms: i64, port: &str) {
    desk.raise(at_ms, "pon-los", &[port]);
    desk.raise(at_ms + SECOND, "onu-los", &refs(&behind(port)));
}

fn causes(desk: &Desk) -> Vec<(String, u64)> {
    let open = desk.open().into_iter();
    open.map(|(_, parts, _, people)| (parts, people)).collect()
}

#[test]
fn a_subscriber_with_two_lines_does_not_move_two_cuts_up_to_their_olts() {
    for later_ms in [20 * SECOND, 80 * SECOND, 10 * MINUTE] {
        let mut desk = Desk::with(CorrelatorSettings::default(), two_olts());
        cut(&mut desk, SECOND, "a-p1");
        desk.until(later_ms);
        cut(&mut desk, later_ms, "b-p1");
        desk.until(later_ms + 5 * MINUTE);
        // One incident, as only both together take the subscriber with two lines.
        assert_eq!(
            causes(&desk),
            [("a-p1+b-p1".to_owned(), 2 * HOMES as u64 + 1)],
            "{later_ms} ms apart"
        );
        assert_eq!(desk.state(1).state, Confirmed);
    }
}

#[test]
fn ports_of_one_olt_that_fail_minutes_apart_fail_for_reasons_of_their_own() {
    let causes_after = |times: &[(i64, &str)]| {
        let mut desk = Desk::with(CorrelatorSettings::default(), two_olts());
        for (at_ms, port) in times {
            desk.until(*at_ms);
            cut(&mut desk, *at_ms, port);
        }
        desk.until(30 * MINUTE);
        causes(&desk)
    };
    let single = |port: &str| (port.to_owned(), HOMES as u64);
    assert_eq!(
        causes_after(&[(SECOND, "b-p3"), (3 * MINUTE, "b-p7")]),
        [single("b-p3"), single("b-p7")]
    );
    assert_eq!(
        causes_after(&[(SECOND, "b-p3"), (70 * SECOND, "b-p7")]),
        [single("b-p3"), single("b-p7")]
    );
    assert_eq!(
        causes_after(&[(SECOND, "b-p3"), (20 * SECOND, "b-p7")]),
        [("b-p3+b-p7".to_owned(), 2 * HOMES as u64)]
    );
}

/// The repair of one of them moves nothing else.
#[test]
fn ports_that_failed_apart_stay_apart_when_another_one_is_repaired() {
    let mut desk = Desk::with(CorrelatorSettings::default(), two_olts());
    for (at_ms, port) in [
        (SECOND, "b-p3"),
        (50 * SECOND, "b-p5"),
        (140 * SECOND, "b-p7"),
    ] {
        desk.until(at_ms);
        cut(&mut desk, at_ms, port);
    }
    desk.until(10 * MINUTE);
    let single = |port: &str| (port.to_owned(), HOMES as u64);
    let both = ("b-p3+b-p5".to_owned(), 2 * HOMES as u64);
    assert_eq!(causes(&desk), [both, single("b-p7")]);
    desk.clear(10 * MINUTE, "pon-los", &["b-p3"]);
    desk.clear(10 * MINUTE, "onu-los", &refs(&behind("b-p3")));
    desk.until(20 * MINUTE);
    assert_eq!(causes(&desk), [single("b-p5"), single("b-p7")]);
}

/// Only the homes behind them speak, as where the alarms of the ports get lost.
#[test]
fn ports_that_say_nothing_are_told_apart_by_when_their_homes_went_dark() {
    let causes_after = |later_ms: i64| {
        let mut desk = Desk::with(CorrelatorSettings::default(), two_olts());
        for (at_ms, port) in [(10 * SECOND, "b-p3"), (later_ms, "b-p7")] {
            desk.until(at_ms);
            desk.raise(at_ms, "onu-los", &refs(&behind(port)));
        }
        desk.until(30 * MINUTE);
        causes(&desk).len()
    };
    assert_eq!(causes_after(30 * SECOND), 1);
    assert_eq!(causes_after(200 * SECOND), 2);
}

#[test]
fn what_would_take_the_same_people_is_named_beside_the_cause() {
    let mut desk = Desk::with(CorrelatorSettings::default(), two_olts());
    desk.raise(SECOND, "link-down", &["core/b"]);
    desk.raise(2 * SECOND, "unreachable", &["b"]);
    desk.until(3 * MINUTE);
    let cause = desk.state(1).cause;
    assert_eq!(cause.resources, ["core/b"]);
    assert!(
        cause
            .reasoning
            .contains("Failure of OLT b (1 alarm itself) would cut off the same people."),
        "{}",
        cause.reasoning
    );
}

/// The way on which nobody depended has failed for an hour when the other one, and the device, fail.
#[test]
fn an_incident_goes_on_in_what_its_alarm_speaks_for_later() {
    let mut desk = Desk::with(CorrelatorSettings::default(), built());
    desk.raise(SECOND, "link-down", &["s1/oltd"]);
    desk.until(3 * MINUTE);
    desk.until(60 * MINUTE);
    desk.raise(60 * MINUTE, "link-down", &["s4/oltd"]);
    desk.until(60 * MINUTE + 4 * SECOND);
    desk.raise(60 * MINUTE + 4 * SECOND, "unreachable", &["oltd"]);
    desk.until(70 * MINUTE);
    assert_eq!(desk.open(), [one(1, "oltd", Confirmed, 8)]);
    assert_eq!(desk.state(2).merged_into, Some(IncidentNo(1)));
    assert!(!desk.history(1).contains(&TimelineKind::Restored));
}

/// Homes that lost power go apart from the failed port beside them, while one lone alarm above both is
/// only suspected.
#[test]
fn what_goes_apart_goes_apart_once_though_all_of_it_is_behind_something_suspected() {
    let mut desk = Desk::with(CorrelatorSettings::default(), built());
    desk.raise(1, "los", &["s2", "s2/olt2"]);
    desk.raise(
        1,
        "onu-los",
        &["olt2-p1-h1", "olt2-p1-h2", "olt2-p1-h4", "olt2-p2-h3"],
    );
    desk.raise(1, "dying-gasp", &["olt2-p1-h3", "olt2-p2-h1", "olt2-p2-h2"]);
    desk.clear(2, "los", &["s2", "s2/olt2"]);
    desk.raise(501, "onu-los", &["olt2-p2-h4"]);
    desk.raise(119_434, "los", &["core1"]);
    desk.raise(121_113, "los", &["s2"]);
    desk.raise(128_045, "los", &["s2/olt2"]);
    desk.clear(188_044, "los", &["s2"]);
    desk.until(5 * MINUTE);
    let latest = desk.correlator.last_incident_no();
    for minute in 6..12 {
        // Whatever arrives, all is looked at anew.
        let minute_ms = minute * MINUTE;
        desk.raise(minute_ms, "signal-degrade", &["core2"]);
        desk.clear(minute_ms + SECOND, "signal-degrade", &["core2"]);
    }
    let gone_apart = causes(&desk);
    for cause in [
        ("olt2-p1", 4),
        ("olt2-p2-h1+olt2-p2-h2+olt2-p2-h3+olt2-p2-h4", 4),
        ("s2/olt2", 8),
    ] {
        let cause = (cause.0.to_owned(), cause.1);
        assert!(gone_apart.contains(&cause), "{gone_apart:?}");
    }
    assert_eq!(desk.correlator.last_incident_no(), latest);
}
