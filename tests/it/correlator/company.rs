//! What a part of the plant says by itself is believed when enough of what it would explain is heard
//! of, too.

use super::*;
use forewarn::alarm::ServiceEffect;
use forewarn::generate::{GenerateSettings, generate};
use forewarn::simulate::attachments;

const PORTS: usize = 4;
const HOMES: usize = 32;

/// An OLT with four ports, and 32 homes on each.
fn wide() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    element(&mut network, "olt", ElementKind::Olt);
    link(&mut network, "core", "olt");
    let mut homes = Vec::new();
    for port in 1..=PORTS {
        let port = format!("p{port}");
        element(&mut network, &port, ElementKind::PonPort);
        link(&mut network, "olt", &port);
        for home in 1..=HOMES {
            let ont = format!("{port}-h{home}");
            element(&mut network, &ont, ElementKind::Ont);
            link(&mut network, &port, &ont);
            homes.push(Attachment {
                account: format!("acc-{ont}"),
                served_by: vec![ont],
                redundancy: Redundancy::Any,
            });
        }
    }
    Arc::new(Network::build(&network, &homes).unwrap())
}

/// A switch with an OLT of its own, and another that it shares; 32 homes on each.
fn shared() -> Arc<Network> {
    shared_with(&[])
}

/// The same, with somebody more who is served by these homes, and a second way into the core.
fn shared_with(served_by: &[&str]) -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    for switch in ["s1", "s2"] {
        element(&mut network, switch, ElementKind::Switch);
        link(&mut network, "core", switch);
    }
    link(&mut network, "s1", "s2");
    let mut homes = Vec::new();
    for (olt, switches) in [("own", &["s1"][..]), ("both", &["s1", "s2"])] {
        element(&mut network, olt, ElementKind::Olt);
        for switch in switches {
            link(&mut network, switch, olt);
        }
        for home in 1..=HOMES {
            let ont = format!("{olt}-h{home}");
            element(&mut network, &ont, ElementKind::Ont);
            link(&mut network, olt, &ont);
            homes.push(Attachment {
                account: format!("acc-{ont}"),
                served_by: vec![ont],
                redundancy: Redundancy::Any,
            });
        }
    }
    if !served_by.is_empty() {
        element(&mut network, "core2", ElementKind::Router);
        network.elements.last_mut().unwrap().gateway = true;
        link(&mut network, "core2", "s1");
        link(&mut network, "core2", "s2");
        homes.push(Attachment {
            account: "acc-more".to_owned(),
            served_by: served_by.iter().map(|&id| id.to_owned()).collect(),
            redundancy: Redundancy::Any,
        });
    }
    for element in &mut network.elements {
        element.redundancy = Some(Redundancy::Any);
    }
    Arc::new(Network::build(&network, &homes).unwrap())
}

/// The first so many homes of each port.
fn some_homes(of_each: usize) -> Vec<String> {
    let homes = |port| (1..=of_each).map(move |home| format!("p{port}-h{home}"));
    (1..=PORTS).flat_map(homes).collect()
}

/// Whether anybody is believed to be without service an hour after the OLT did not answer and these
/// things were said.
fn is_believed(said: &[(&str, &[String])]) -> bool {
    let settings = CorrelatorSettings {
        lone_alarm_ms: None,
        ..settings()
    };
    let mut desk = Desk::with(settings, wide());
    desk.raise(SECOND, "unreachable", &["olt"]);
    for (alarm_type, resources) in said {
        let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
        desk.raise(2 * SECOND, alarm_type, &resources);
    }
    desk.until(60 * MINUTE);
    let all = (PORTS * HOMES) as u64;
    let mut open = desk.open().into_iter();
    open.any(|(.., state, affected)| state == Confirmed && affected == all)
}

#[test]
fn a_sliver_of_what_a_lone_alarm_would_explain_does_not_confirm_it() {
    assert!(!is_believed(&[]));
    assert!(!is_believed(&[("onu-los", &some_homes(1)[..1])]));
    assert!(!is_believed(&[("onu-los", &some_homes(2))]));
    assert!(is_believed(&[("onu-los", &some_homes(4))]));
}

/// Some homes of one PON port go dark for three seconds, and later their OLT fails, of which every
/// so many homes nothing is heard; what is open then, and how many homes there are.
fn failing_after(
    before: usize,
    seconds: i64,
    silent: usize,
) -> (Vec<(i64, String, IncidentState, u64)>, u64) {
    let generated = GenerateSettings::embedded(2_000, 1).unwrap();
    let generated = generate(&generated).unwrap();
    let attached = attachments(&generated.subscribers);
    let network = Arc::new(Network::build(&generated.definition, &attached).unwrap());
    let olt = network.part("olt-fr-0001").unwrap();
    let lost = network.lost(&[olt]).len() as u64;
    let mut desk = Desk::with(settings(), network);
    let ids = generated.definition.elements.iter().map(|e| e.id.as_str());
    let homes: Vec<&str> = ids.filter(|id| id.starts_with("ont-fr-0001-")).collect();
    let of_port = homes.iter().filter(|id| id.starts_with("ont-fr-0001-09"));
    let short: Vec<&str> = of_port.take(before).copied().collect();
    desk.raise(MINUTE, "los", &short);
    desk.clear(MINUTE + 3 * SECOND, "los", &short);
    let failed_ms = MINUTE + (3 + seconds) * SECOND;
    desk.raise(failed_ms, "unreachable", &["olt-fr-0001"]);
    let dark = homes.iter().filter(|id| !short.contains(id)).enumerate();
    let dark = dark.filter(|(no, _)| no % silent > 0);
    let dark: Vec<&str> = dark.map(|(_, id)| *id).collect();
    desk.raise(failed_ms + SECOND, "los", &dark);
    desk.until(10 * MINUTE);
    (desk.open(), lost)
}

#[test]
fn homes_that_were_back_before_their_olt_failed_are_cut_off_with_the_others() {
    for (before, seconds, silent) in [(6, 20, 5), (HOMES, 70, 5), (6, 20, 2), (1, 20, 5)] {
        let (mut open, lost) = failing_after(before, seconds, silent);
        for open in &mut open {
            open.0 = 0;
        }
        let whole = one(0, "olt-fr-0001", Confirmed, lost);
        assert_eq!(open, [whole], "{before}, {seconds} s, one in {silent}");
    }
}

#[test]
fn an_olt_of_which_only_some_homes_are_heard_is_one_failure_although_a_duct_holds_some_of_its_ports()
 {
    let generated = GenerateSettings::embedded(2_000, 1).unwrap();
    let generated = generate(&generated).unwrap();
    let attached = attachments(&generated.subscribers);
    let network = Arc::new(Network::build(&generated.definition, &attached).unwrap());
    let olt = network.part("olt-fr-0001").unwrap();
    let lost = network.lost(&[olt]).len() as u64;
    let ids = generated.definition.elements.iter().map(|e| e.id.as_str());
    let homes: Vec<&str> = ids.filter(|id| id.starts_with("ont-fr-0001-")).collect();
    for heard in [2, 3] {
        for from in 0..heard {
            let mut desk = Desk::with(settings(), Arc::clone(&network));
            let dark: Vec<&str> = homes.iter().skip(from).step_by(heard).copied().collect();
            desk.raise(MINUTE, "los", &dark);
            desk.until(10 * MINUTE);
            let whole = one(1, "olt-fr-0001", Confirmed, lost);
            assert_eq!(desk.open(), [whole], "one in {heard} from {from}");
        }
    }
}

#[test]
fn a_duct_that_takes_nobody_has_nothing_to_do_with_what_fails_elsewhere() {
    let mut network = NetworkDefinition::default();
    let mut attached = Vec::new();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    for switch in ["s1", "s2", "s3"] {
        element(&mut network, switch, ElementKind::Switch);
        link(&mut network, "core", switch);
        let olt = format!("olt-{switch}");
        element(&mut network, &olt, ElementKind::Olt);
        link(&mut network, switch, &olt);
        attached.push(Attachment {
            account: format!("acc-{olt}"),
            served_by: vec![olt],
            redundancy: Redundancy::Any,
        });
    }
    // Between these there is a way around.
    link(&mut network, "s1", "s2");
    link(&mut network, "s2", "s1");
    network.groups.push(SharedRiskGroup {
        id: "duct".to_owned(),
        kind: GroupKind::Duct,
        name: String::new(),
        members: vec!["s1/s2".to_owned(), "s2/s1".to_owned()],
    });
    let network = Arc::new(Network::build(&network, &attached).unwrap());
    let mut desk = Desk::with(settings(), network);
    desk.raise(SECOND, "link-down", &["duct"]);
    desk.until(3 * MINUTE);
    let duct = one(1, "duct", Confirmed, 0);
    assert_eq!(desk.open(), std::slice::from_ref(&duct));
    desk.raise(4 * MINUTE, "unreachable", &["olt-s3"]);
    desk.until(8 * MINUTE);
    assert_eq!(desk.open(), [duct, one(2, "olt-s3", Confirmed, 1)]);
}

#[test]
fn one_part_below_that_failed_by_itself_does_not_confirm_it() {
    let of_one: Vec<String> = (1..=HOMES).map(|home| format!("p1-h{home}")).collect();
    assert!(!is_believed(&[("onu-los", &of_one)]));
    assert!(!is_believed(&[("silent", &["p1".to_owned()])]));
    assert!(is_believed(&[(
        "silent",
        &["p1".to_owned(), "p2".to_owned()]
    )]));
}

#[test]
fn homes_without_power_say_nothing_of_the_plant() {
    assert!(!is_believed(&[("dying-gasp", &some_homes(4))]));
}

#[test]
fn another_voice_about_the_same_confirms_it() {
    assert!(is_believed(&[("link-down", &["core/olt".to_owned()])]));
    let ports: Vec<String> = (1..=PORTS).map(|port| format!("p{port}")).collect();
    assert!(is_believed(&[("silent", &ports)]));
}

#[test]
fn two_links_at_a_device_do_not_make_it_fail() {
    let confirmed = |said: &[(&str, &[&str])]| {
        let settings = CorrelatorSettings {
            lone_alarm_ms: None,
            ..settings()
        };
        let mut desk = Desk::with(settings, shared());
        for (alarm_type, resources) in said {
            desk.raise(SECOND, alarm_type, resources);
        }
        desk.until(60 * MINUTE);
        let mut open = desk.open().into_iter();
        open.any(|(.., state, affected)| state == Confirmed && affected == HOMES as u64)
    };
    let two = ("link-down", &["s1/own", "s1/both"][..]);
    let homes: Vec<String> = (1..=4).map(|home| format!("own-h{home}")).collect();
    assert!(!confirmed(&[two]));
    assert!(confirmed(&[two, ("offline", &refs(&homes))]));
    assert!(confirmed(&[two, ("unreachable", &["s1"])]));
    assert!(confirmed(&[two, ("link-down", &["core/s1"])]));
}

fn lives_on_battery(kind: AlarmEventKind, device: &str, event_at_ms: i64) -> LogRecord {
    LogRecord::Event(AlarmEvent {
        kind,
        key: AlarmKey {
            resource: device.to_owned(),
            alarm_type: "power-failure".to_owned(),
            qualifier: String::new(),
        },
        severity: Severity::Minor,
        event_at_ms,
        detail: AlarmDetail {
            service_effect: Some(ServiceEffect::None),
            ..AlarmDetail::default()
        },
    })
}

/// Whether a device that falls silent two hours after it lost its mains is believed to have failed.
fn is_believed_on_battery(device: &str, until_ms: Option<i64>) -> bool {
    let settings = CorrelatorSettings {
        lone_alarm_ms: None,
        ..settings()
    };
    let mut desk = Desk::with(settings, wide());
    let says = |kind| lives_on_battery(kind, device, SECOND);
    desk.record(SECOND, says(AlarmEventKind::Raise));
    if let Some(until_ms) = until_ms {
        desk.record(until_ms, says(AlarmEventKind::Clear));
    }
    assert!(desk.open().is_empty());
    desk.raise(120 * MINUTE, "link-down", &["core/olt"]);
    desk.until(122 * MINUTE);
    let reasons = desk.correlator.incidents().map(|i| &i.cause.reasoning);
    let is_said = reasons.into_iter().any(|text| text.contains("its battery"));
    let is_believed = desk.open().iter().any(|open| open.2 == Confirmed);
    assert_eq!(is_said, is_believed);
    is_believed
}

#[test]
fn what_takes_different_people_is_no_company_unless_it_fails_at_once() {
    let believed_after = |seconds: i64| {
        let settings = CorrelatorSettings {
            lone_alarm_ms: None,
            ..settings()
        };
        // Somebody is cut off only by both together.
        let mut desk = Desk::with(settings, shared_with(&["own-h1", "both-h1"]));
        desk.raise(SECOND, "device-down", &["s1"]);
        desk.raise((1 + seconds) * SECOND, "unreachable", &["both"]);
        desk.until(60 * MINUTE);
        let open = desk.open().into_iter();
        open.filter(|open| open.2 == Confirmed)
            .map(|open| open.3)
            .sum::<u64>()
    };
    assert_eq!(believed_after(340), 0);
    assert_eq!(believed_after(20), 2 * HOMES as u64 + 1);
}

#[test]
fn what_joins_a_lone_alarm_late_must_stand_for_the_hold_down() {
    let mut desk = Desk::with(
        CorrelatorSettings {
            lone_alarm_ms: None,
            ..settings()
        },
        wide(),
    );
    desk.raise(SECOND, "unreachable", &["olt"]);
    desk.until(10 * MINUTE);
    desk.raise(10 * MINUTE, "onu-los", &refs(&some_homes(8)));
    desk.until(10 * MINUTE + 30 * SECOND);
    let all = (PORTS * HOMES) as u64;
    assert_eq!(desk.open(), [one(1, "olt", Suspected, all)]);
    desk.until(12 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt", Confirmed, all)]);
}

#[test]
fn word_of_a_battery_from_before_confirms_it() {
    assert!(is_believed_on_battery("olt", None));
    assert!(!is_believed_on_battery("olt", Some(60 * MINUTE)));
    assert!(!is_believed_on_battery("p1", None));
}

#[test]
fn a_device_that_speaks_of_its_battery_after_its_alarm_is_alive() {
    let settings = CorrelatorSettings {
        lone_alarm_ms: None,
        ..settings()
    };
    let mut desk = Desk::with(settings, wide());
    desk.raise(SECOND, "link-down", &["core/olt"]);
    desk.until(60 * MINUTE);
    let says = lives_on_battery(AlarmEventKind::Raise, "olt", 60 * MINUTE);
    desk.record(60 * MINUTE, says);
    desk.until(120 * MINUTE);
    assert!(desk.open().iter().all(|open| open.2 != Confirmed));
}

#[test]
fn what_is_heard_much_later_is_about_something_else() {
    let settings = CorrelatorSettings {
        lone_alarm_ms: None,
        ..settings()
    };
    let mut desk = Desk::with(settings, wide());
    desk.raise(SECOND, "unreachable", &["olt"]);
    desk.raise(50 * MINUTE, "onu-los", &refs(&some_homes(8)));
    desk.until(120 * MINUTE);
    assert!(desk.open().iter().all(|open| open.2 != Confirmed));
}

#[test]
fn what_nobody_believes_hides_nothing_that_fails_below() {
    let settings = CorrelatorSettings {
        lone_alarm_ms: None,
        ..settings()
    };
    let mut desk = Desk::with(settings, wide());
    desk.raise(SECOND, "unreachable", &["olt"]);
    let of_one: Vec<String> = (1..=HOMES).map(|home| format!("p1-h{home}")).collect();
    desk.raise(50 * MINUTE, "onu-los", &refs(&of_one));
    desk.until(60 * MINUTE);
    let all = (PORTS * HOMES) as u64;
    assert_eq!(
        desk.open(),
        [
            one(1, "olt", Suspected, all),
            one(2, "p1", Confirmed, HOMES as u64)
        ]
    );
    // When the rest goes too, it was the OLT.
    let others: Vec<String> = some_homes(HOMES).split_off(HOMES);
    desk.raise(61 * MINUTE, "onu-los", &refs(&others));
    desk.until(70 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt", Confirmed, all)]);
}

#[test]
fn a_suspicion_that_is_gone_does_not_go_on_in_what_is_believed_below_it() {
    let hour = 60 * MINUTE;
    let mut desk = Desk::with(CorrelatorSettings::default(), built());
    desk.raise(10 * MINUTE, "unreachable", &["olt2"]);
    desk.raise(100 * hour, "dying-gasp", &refs(&homes("olt2-p1")[..3]));
    desk.until(100 * hour + 30 * MINUTE);
    let dark = "olt2-p1-h1+olt2-p1-h2+olt2-p1-h3";
    let both = [one(1, "olt2", Suspected, 8), one(2, dark, Confirmed, 3)];
    assert_eq!(desk.open(), both);
    assert_eq!(
        desk.state(2).onset_ms,
        100 * hour,
        "an old alarm above says nothing of when the homes went dark"
    );
    desk.clear(100 * hour + 40 * MINUTE, "unreachable", &["olt2"]);
    desk.until(101 * hour);
    assert_eq!(desk.open(), [one(2, dark, Confirmed, 3)]);
    assert_eq!(desk.state(1).merged_into, None);
}

#[test]
fn two_alarms_a_quarter_of_an_hour_apart_do_not_bear_each_other_out() {
    let mut desk = Desk::with(CorrelatorSettings::default(), built());
    desk.raise(10 * MINUTE, "link-down", &["s2/olt2"]);
    desk.raise(23 * MINUTE, "unreachable", &["olt2"]);
    desk.until(60 * MINUTE);
    let open = desk.open();
    assert!(
        open.iter().all(|(_, _, state, _)| *state == Suspected),
        "{open:?}"
    );
}
