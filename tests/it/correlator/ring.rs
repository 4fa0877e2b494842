//! What is found in a ring, of which much is not heard.

use super::*;

const SWITCHES: usize = 8;

/// A ring of switches between two gateways. On each hangs an OLT with two homes, and another one that
/// hangs on the next switch, too.
fn ring() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    let mut attached = Vec::new();
    for id in ["core1", "core2"] {
        element(&mut network, id, ElementKind::Router);
        network.elements.last_mut().unwrap().gateway = true;
    }
    let switches: Vec<String> = (1..=SWITCHES).map(|no| format!("s{no}")).collect();
    for switch in &switches {
        element(&mut network, switch, ElementKind::Switch);
    }
    let way = [&["core1".to_owned()], &switches[..], &["core2".to_owned()]].concat();
    for pair in way.windows(2) {
        link(&mut network, &pair[0], &pair[1]);
    }
    for (no, switch) in (1..).zip(&switches) {
        let single = format!("olt{no}");
        element(&mut network, &single, ElementKind::Olt);
        link(&mut network, switch, &single);
        for home in 1..=2 {
            let ont = format!("{single}-h{home}");
            element(&mut network, &ont, ElementKind::Ont);
            link(&mut network, &single, &ont);
            attached.push(Attachment {
                account: format!("acc-{ont}"),
                served_by: vec![ont],
                redundancy: Redundancy::Any,
            });
        }
        let Some(next) = switches.get(no) else {
            continue;
        };
        let double = format!("double{no}");
        element(&mut network, &double, ElementKind::Olt);
        network.elements.last_mut().unwrap().redundancy = Some(Redundancy::Any);
        link(&mut network, switch, &double);
        link(&mut network, next, &double);
    }
    Arc::new(Network::build(&network, &attached).unwrap())
}

fn desk() -> Desk {
    Desk::with(settings(), ring())
}

/// The powers of ten of the odds that are told for the failures together and one by one.
fn odds(reasoning: &str) -> Vec<i32> {
    let parts = [
        "What is dark behind them is 10^",
        "separate failures of 5 parts behind them: 10^",
    ];
    let after = parts.iter().filter_map(|part| reasoning.split(part).nth(1));
    let numbers = after.filter_map(|text| text.split(' ').next()?.parse().ok());
    numbers.collect()
}

#[test]
fn links_of_one_device_that_fail_at_one_time_are_one_failure() {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core1", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    for switch in ["s1", "s2"] {
        element(&mut network, switch, ElementKind::Switch);
        link(&mut network, "core1", switch);
    }
    let mut attached = Vec::new();
    for no in 1..=12 {
        let olt = format!("olt{no}");
        element(&mut network, &olt, ElementKind::Olt);
        network.elements.last_mut().unwrap().redundancy = Some(Redundancy::Any);
        link(&mut network, "s1", &olt);
        if no > 2 {
            link(&mut network, "s2", &olt);
        }
        attached.push(Attachment {
            account: format!("acc-{olt}"),
            served_by: vec![olt],
            redundancy: Redundancy::Any,
        });
    }
    let network = Arc::new(Network::build(&network, &attached).unwrap());
    let mut desk = Desk::with(settings(), network);
    desk.raise(SECOND, "link-down", &["s1/olt3", "s1/olt7"]);
    desk.raise(2 * SECOND, "link-down", &["s1/olt9"]);
    desk.until(2 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(1, "s1/olt3+s1/olt7+s1/olt9", Confirmed, 0)]
    );
    let cause = desk.state(1).cause;
    assert_eq!(
        cause.text,
        "Link s1/olt3, link s1/olt7 and link s1/olt9 have no signal; nobody is without service"
    );
    assert_eq!(
        cause.reasoning,
        "These 3 links failed at the same time and all end at switch s1: if that has failed itself, \
         it takes 2 subscribers with it."
    );
    // One of another day has nothing to do with them.
    desk.raise(24 * 60 * MINUTE, "link-down", &["s1/olt1"]);
    desk.until(24 * 60 * MINUTE + 2 * MINUTE);
    assert_eq!(desk.open().len(), 2, "{:?}", desk.open());
}

#[test]
fn devices_that_go_dark_at_one_time_on_a_ring_are_cut_off_by_its_ends() {
    let mut desk = desk();
    // Both ways into the ring are cut; the one at `core1` is not heard of, nor is any switch.
    desk.raise(SECOND, "link-down", &["s8/core2"]);
    let dark = ["olt1", "olt3", "olt4", "olt6", "olt7", "double2", "double5"];
    desk.raise(SECOND, "unreachable", &dark);
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1+s8/core2", Confirmed, 16)]);
    let reasoning = desk.state(1).cause.reasoning;
    assert_eq!(odds(&reasoning).len(), 2, "{reasoning}");
    assert!(odds(&reasoning)[0] > odds(&reasoning)[1], "{reasoning}");
}

#[test]
fn what_goes_dark_long_after_two_links_were_reported_was_not_cut_off_by_them() {
    let day_ms = 24 * 60 * MINUTE;
    let mut desk = desk();
    desk.raise(SECOND, "link-down", &["s2/s3"]);
    desk.raise(day_ms, "link-down", &["s6/s7"]);
    desk.until(day_ms + 20 * MINUTE);
    let apart = [one(1, "s2/s3", Confirmed, 0), one(2, "s6/s7", Confirmed, 0)];
    assert_eq!(desk.open(), apart, "nobody between them is dark");
    desk.raise(3 * day_ms, "unreachable", &["olt4"]);
    desk.until(3 * day_ms + 20 * MINUTE);
    let open = desk.open();
    assert_eq!(&open[..2], apart);
    assert_eq!(open[2..], [one(3, "olt4", Confirmed, 2)]);
}

#[test]
fn devices_that_go_dark_on_different_days_failed_by_themselves() {
    let mut desk = desk();
    for (day, olt) in (1..).zip(["olt2", "olt3", "olt4", "olt5"]) {
        desk.raise(day * 24 * 60 * MINUTE, "unreachable", &[olt]);
    }
    desk.until(6 * 24 * 60 * MINUTE);
    assert_eq!(desk.open().len(), 4, "{:?}", desk.open());
}

#[test]
fn a_dark_stretch_of_a_ring_goes_on_behind_switches_that_say_nothing() {
    let mut desk = desk();
    // All is dark. Between what is heard of, two switches on either side say nothing.
    desk.raise(SECOND, "device-down", &["s4", "s5"]);
    desk.raise(SECOND, "unreachable", &["olt1", "olt4", "olt5", "olt8"]);
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1+s8", Confirmed, 16)]);
}

#[test]
fn a_lone_alarm_beyond_a_dark_stretch_moves_no_end() {
    let mut desk = desk();
    // Three switches are dead, and all that reports them has done so. Two further on, an OLT is said to
    // be out of reach, which is not so.
    desk.raise(SECOND, "link-down", &["s2/s3", "s5/s6"]);
    desk.raise(SECOND, "device-down", &["s3", "s4", "s5"]);
    let dark = ["olt3", "olt4", "olt5", "double3", "double4"];
    desk.raise(SECOND, "unreachable", &dark);
    desk.raise(2 * SECOND, "unreachable", &["olt7"]);
    desk.until(3 * MINUTE);
    let open = desk.open().into_iter();
    let open: Vec<_> = open
        .map(|(_, cause, _, affected)| (cause, affected))
        .collect();
    let expected = [("s2/s3+s5/s6".to_owned(), 6), ("olt7".to_owned(), 2)];
    assert_eq!(open, expected);
}

#[test]
fn what_was_explained_before_does_not_move_an_end_up_to_what_everything_hangs_on() {
    let mut network = NetworkDefinition::default();
    let mut attached = Vec::new();
    element(&mut network, "core1", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    for router in ["r", "a", "b"] {
        element(&mut network, router, ElementKind::Router);
    }
    for (a, b) in [("core1", "r"), ("r", "a"), ("r", "b")] {
        link(&mut network, a, b);
    }
    for ring in ["s", "t"] {
        let switches: Vec<String> = (1..=5).map(|no| format!("{ring}{no}")).collect();
        for switch in &switches {
            element(&mut network, switch, ElementKind::Switch);
        }
        let way = [&["a".to_owned()], &switches[..], &["b".to_owned()]].concat();
        for pair in way.windows(2) {
            link(&mut network, &pair[0], &pair[1]);
        }
        for switch in &switches {
            let olt = format!("olt-{switch}");
            element(&mut network, &olt, ElementKind::Olt);
            link(&mut network, switch, &olt);
            for home in 1..=10 {
                attached.push(Attachment {
                    account: format!("acc-{olt}-{home}"),
                    served_by: vec![olt.clone()],
                    redundancy: Redundancy::Any,
                });
            }
        }
    }
    let network = Arc::new(Network::build(&network, &attached).unwrap());
    let mut desk = Desk::with(settings(), network);
    desk.raise(SECOND, "link-down", &["a/t1", "t5/b"]);
    for no in 1..=5 {
        desk.raise(SECOND, "device-down", &[&format!("t{no}")]);
        desk.raise(SECOND, "unreachable", &[&format!("olt-t{no}")]);
    }
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "a/t1+t5/b", Confirmed, 50)]);
}

/// A switch with two ways in and `olts` OLTs, each with one subscriber; one of them with a way of its own.
fn hub(olts: usize) -> Desk {
    let mut network = NetworkDefinition::default();
    let mut attached = Vec::new();
    for id in ["core1", "core2"] {
        element(&mut network, id, ElementKind::Router);
        network.elements.last_mut().unwrap().gateway = true;
    }
    element(&mut network, "hub", ElementKind::Switch);
    link(&mut network, "core1", "hub");
    link(&mut network, "core2", "hub");
    for no in 1..=olts {
        let olt = format!("olt{no}");
        element(&mut network, &olt, ElementKind::Olt);
        link(&mut network, "hub", &olt);
        if no == olts {
            network.elements.last_mut().unwrap().redundancy = Some(Redundancy::Any);
            link(&mut network, "core1", &olt);
        }
        attached.push(Attachment {
            account: format!("acc-{olt}"),
            served_by: vec![olt],
            redundancy: Redundancy::Any,
        });
    }
    let network = Arc::new(Network::build(&network, &attached).unwrap());
    // One alarm alone waits for company.
    let settings = CorrelatorSettings {
        lone_alarm_ms: None,
        ..settings()
    };
    Desk::with(settings, network)
}

#[test]
fn dead_devices_that_say_so_do_not_make_dead_what_they_hang_on() {
    let mut desk = hub(8);
    desk.raise(SECOND, "unreachable", &["olt2", "olt5"]);
    desk.raise(SECOND, "link-down", &["hub/olt2", "hub/olt5"]);
    desk.until(3 * MINUTE);
    let affected: u64 = desk.open().iter().map(|(.., affected)| affected).sum();
    assert_eq!(affected, 2, "{:?}", desk.open());
}

#[test]
fn an_alarm_that_cuts_nobody_off_is_no_second_voice_for_one_that_does() {
    let mut desk = hub(16);
    desk.raise(SECOND, "link-down", &["hub/olt2"]);
    desk.raise(4 * MINUTE, "link-down", &["hub/olt16"]);
    desk.until(20 * MINUTE);
    let told: Vec<_> = desk
        .open()
        .into_iter()
        .filter(|(_, _, state, affected)| *state == Confirmed && *affected > 0)
        .collect();
    assert_eq!(told, []);
}
