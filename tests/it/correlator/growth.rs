//! A believed incident takes in more people as slowly as a new one is believed.

use super::*;
use forewarn::generate::{GenerateSettings, generate};
use forewarn::simulate::attachments;
use forewarn::topology::Part;

/// As delivered: of a lone alarm only an operator is believed.
fn delivered() -> Desk {
    let settings = CorrelatorSettings {
        lone_alarm_ms: None,
        ..settings()
    };
    Desk::with(settings, built())
}

/// With a believed failure of `olt2-p1`.
fn with_a_port() -> Desk {
    let mut desk = delivered();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    desk
}

/// Whether anybody but the four of the port was ever among those without service.
fn spread(desk: &Desk) -> bool {
    let believed = desk
        .changes
        .iter()
        .filter(|c| c.incident.state == Confirmed);
    believed.map(|c| c.lost.len()).any(|lost| lost > 4)
}

#[test]
fn what_agrees_for_the_hold_down_is_believed() {
    let mut desk = with_a_port();
    desk.raise(3 * MINUTE, "unreachable", &["olt2"]);
    desk.raise(3 * MINUTE + SECOND, "onu-los", &refs(&homes("olt2-p2")));
    desk.until(3 * MINUTE + 50 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert!(!spread(&desk));
    desk.until(5 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(
        desk.history(1),
        [Told::Detected, Told::Confirmed, Told::Suspected, Told::Grew]
    );
}

#[test]
fn a_suspicion_that_comes_to_concern_far_more_people_begins_anew() {
    let mut desk = delivered();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    // An OLT is gone for twenty seconds just before its port would be believed to have failed.
    let olt = [&["olt2".to_owned()][..], &homes("olt2-p2")].concat();
    desk.raise(55 * SECOND, "unreachable", &refs(&olt));
    desk.clear(75 * SECOND, "unreachable", &refs(&olt));
    desk.until(10 * MINUTE);
    assert!(!spread(&desk));
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn who_was_back_meanwhile_must_be_gone_for_the_hold_down_again() {
    let mut desk = delivered();
    let rest = [&["olt2".to_owned()][..], &homes("olt2-p2")].concat();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    for (from, to) in [(2, 20), (55, 75)] {
        desk.raise(from * SECOND, "unreachable", &refs(&rest));
        desk.clear(to * SECOND, "unreachable", &refs(&rest));
    }
    desk.until(10 * MINUTE);
    assert!(!spread(&desk));
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn what_a_growth_takes_in_at_last_has_stood_no_longer() {
    let mut desk = with_a_port();
    desk.raise(3 * MINUTE, "onu-los", &["olt2-p2-h1", "olt2-p2-h2"]);
    desk.raise(3 * MINUTE, "unreachable", &["olt2"]);
    let behind = [homes("olt3-p1"), homes("olt3-p2")].concat();
    let ring = ["s1/s2", "s3/s4", "olt3"].map(str::to_owned);
    let others = [&ring[..], &behind].concat();
    desk.raise(3 * MINUTE + 50 * SECOND, "unreachable", &refs(&others));
    desk.clear(4 * MINUTE + 20 * SECOND, "unreachable", &refs(&others));
    desk.until(10 * MINUTE);
    let most = desk.changes.iter().map(|change| change.lost.len()).max();
    assert_eq!(most, Some(8));
}

#[test]
fn what_clears_before_leaves_nothing_behind() {
    let mut desk = with_a_port();
    desk.raise(3 * MINUTE, "unreachable", &["olt2", "s2"]);
    desk.clear(3 * MINUTE + 30 * SECOND, "unreachable", &["olt2", "s2"]);
    desk.until(30 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert!(!spread(&desk));
    assert_eq!(
        desk.history(1),
        [
            Told::Detected,
            Told::Confirmed,
            Told::Suspected,
            Told::Suspected
        ],
        "that it may have grown, and that it has not"
    );
}

#[test]
fn a_lone_alarm_long_after_is_believed_of_an_operator_only() {
    let mut desk = with_a_port();
    desk.raise(60 * MINUTE, "unreachable", &["olt2"]);
    desk.until(10 * 60 * MINUTE);
    let apart = [
        one(1, "olt2-p1", Confirmed, 4),
        one(2, "olt2", Suspected, 8),
    ];
    assert_eq!(desk.open(), apart);
    assert!(!spread(&desk));
    desk.act(
        2,
        OperatorAction::Confirm {
            note: "seen on site".to_owned(),
        },
    );
    desk.until(10 * 60 * MINUTE + 2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
}

#[test]
fn an_incident_ends_with_what_it_is_believed_of() {
    let mut desk = with_a_port();
    desk.raise(60 * MINUTE, "unreachable", &["olt2"]);
    desk.clear(61 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(70 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    assert!(!spread(&desk));
    // What is left is a suspicion like any other.
    assert_eq!(desk.open(), [one(2, "olt2", Suspected, 8)]);
}

#[test]
fn one_that_takes_over_another_stands_for_both_until_more_is_believed() {
    let mut desk = with_a_port();
    desk.raise(30 * MINUTE, "onu-los", &refs(&homes("olt3-p1")));
    desk.until(40 * MINUTE);
    let both = [
        one(1, "olt2-p1", Confirmed, 4),
        one(2, "olt3-p1", Confirmed, 4),
    ];
    assert_eq!(desk.open(), both);
    desk.raise(50 * MINUTE, "unreachable", &["core1", "core2"]);
    desk.until(50 * MINUTE + 30 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2-p1+olt3-p1", Confirmed, 8)]);
    desk.until(52 * MINUTE);
    assert_eq!(desk.open(), [one(1, "core1+core2", Confirmed, 24)]);
}

/// What the generator makes of a real map: `agg-fr-0002` is a switch of a ring, on which alone `olt-fr-0003`
/// and `olt-fr-0004` hang; their feeders share ducts with the ring.
fn on_a_real_map() -> Arc<Network> {
    let settings = GenerateSettings::embedded(6_000, 11).unwrap();
    let generated = generate(&settings).unwrap();
    let attached = attachments(&generated.subscribers);
    Arc::new(Network::build(&generated.definition, &attached).unwrap())
}

/// The homes behind an element.
fn homes_behind(network: &Network, id: &str) -> Vec<String> {
    let part = network.part(id).unwrap();
    let cut = network.cut_off(&[part]);
    let homes = cut
        .elements()
        .filter(|&e| network.kind(e) == ElementKind::Ont);
    homes
        .map(|home| network.part_id(Part::Element(home)).to_owned())
        .collect()
}

#[test]
fn nobody_is_let_go_to_what_is_only_suspected() {
    let network = on_a_real_map();
    let mut desk = Desk::with(CorrelatorSettings::default(), Arc::clone(&network));
    let mut mended = homes_behind(&network, "pon-fr-0004-12");
    let dark = homes_behind(&network, "spl-fr-0003-16-3");
    desk.raise(SECOND, "pon-los", &["pon-fr-0004-12"]);
    desk.raise(SECOND, "los", &refs(&mended));
    desk.raise(2 * SECOND, "los", &refs(&dark));
    desk.until(5 * MINUTE);
    let open = desk.open();
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open.iter().all(|open| open.2 == Confirmed), "{open:?}");
    // The switch fails, and the homes of the first are mended meanwhile, now of this splitter, now of that.
    let links = [
        "lnk-olt-fr-0004",
        "lnk-ring-0001-2",
        "lnk-olt-fr-0003",
        "lnk-ring-0001-1",
        "lnk-olt-fr-0002-2",
    ];
    desk.raise(10 * MINUTE, "link-down", &links);
    mended.sort_by_key(|home| home.chars().rev().collect::<String>());
    let mut mended = mended.chunks(2);
    for second in 0..180 {
        let at_ms = 10 * MINUTE + 8 * SECOND + second * SECOND;
        match mended.next() {
            Some(homes) => desk.clear(at_ms, "los", &refs(homes)),
            None => desk.until(at_ms),
        }
        let told = desk.correlator.live();
        let told = told.filter(|live| live.incident.state == Confirmed);
        let told = told.fold(SubscriberSet::new(), |all, live| all.union(live.lost));
        for home in &dark {
            let element = network.part(home).unwrap();
            let lost = network.lost_alone(element);
            assert!(
                lost.difference(&told).is_empty(),
                "{home} after {second} s: {:?}",
                desk.open()
            );
        }
    }
    let open = desk.open();
    assert!(open.iter().any(|open| open.1 == "agg-fr-0002"), "{open:?}");
}
