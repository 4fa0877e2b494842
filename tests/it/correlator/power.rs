//! Power cuts that follow no part of the network.

use super::*;
use forewarn::alarm::ServiceEffect;
use forewarn::geography::NetworkMap;
use forewarn::topology::{Position, Site};

const STREETS: usize = 8;
pub(super) const HOMES: usize = 6;

/// Streets 200 metres apart, each on a PON port of its own.
pub(super) fn streets() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    element(&mut network, "olt", ElementKind::Olt);
    link(&mut network, "core", "olt");
    with_streets(network)
}

/// The first two streets hang on one power feed.
fn fed_streets() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    element(&mut network, "olt", ElementKind::Olt);
    link(&mut network, "core", "olt");
    let homes = (1..=2).flat_map(homes_of);
    network.groups.push(SharedRiskGroup {
        id: "feed".to_owned(),
        kind: GroupKind::PowerFeed,
        name: String::new(),
        members: homes.collect(),
    });
    with_streets(network)
}

fn with_streets(mut network: NetworkDefinition) -> Arc<Network> {
    let mut attached = Vec::new();
    for street in 1..=STREETS {
        let port = format!("p{street}");
        let splitter = format!("street{street}");
        element(&mut network, &port, ElementKind::PonPort);
        element(&mut network, &splitter, ElementKind::Splitter);
        network.sites.push(Site {
            id: format!("site{street}"),
            name: String::new(),
            position: Some(Position {
                latitude: 41.9 + 0.0018 * street as f64,
                longitude: 12.5,
            }),
        });
        network.elements.last_mut().unwrap().site = Some(format!("site{street}"));
        link(&mut network, "olt", &port);
        link(&mut network, &port, &splitter);
        for home in homes_of(street) {
            element(&mut network, &home, ElementKind::Ont);
            link(&mut network, &splitter, &home);
            attached.push(Attachment {
                account: format!("acc-{home}"),
                served_by: vec![home],
                redundancy: Redundancy::Any,
            });
        }
    }
    Arc::new(Network::build(&network, &attached).unwrap())
}

pub(super) fn homes_of(street: usize) -> Vec<String> {
    (1..=HOMES)
        .map(|home| format!("s{street}-h{home}"))
        .collect()
}

/// Where the homes of the streets are: six in a row across the street, 40 metres from one another.
fn map_of(network: &Network) -> Arc<NetworkMap> {
    let mut positions = vec![None; network.subscriber_count()];
    for street in 1..=STREETS {
        for (home, id) in homes_of(street).iter().enumerate() {
            let subscriber = network.subscriber(&format!("acc-{id}")).unwrap();
            positions[subscriber.0 as usize] = Some(Position {
                latitude: 41.9 + 0.0018 * street as f64,
                longitude: 12.5 + 0.0005 * home as f64,
            });
        }
    }
    Arc::new(NetworkMap::build(network, &positions))
}

/// All homes of the first five streets lose power; of these nothing is heard.
fn power_cut_but_for(silent: &[&str]) -> Desk {
    let network = streets();
    let mut desk = Desk::with(settings(), Arc::clone(&network));
    desk.correlator.take_map(map_of(&network));
    for street in 1..=5 {
        let homes = homes_of(street);
        let mut heard = refs(&homes);
        heard.retain(|home| !silent.contains(home));
        desk.raise(SECOND, "dying-gasp", &heard);
    }
    desk
}

#[test]
fn a_home_amid_a_power_cut_has_no_power_though_nothing_is_heard_of_it() {
    // In the midst, at the end of the row, and at the edge of the cut.
    let mut desk = power_cut_but_for(&["s3-h3", "s3-h6", "s5-h3"]);
    desk.until(3 * MINUTE);
    let Some(open) = desk.open().first().cloned() else {
        panic!("no incident")
    };
    assert_eq!(open.2, Confirmed);
    // Of the streets beyond nobody is taken in.
    assert_eq!(people(&desk), 28);
    let heard: Vec<String> = (1..=5).flat_map(homes_of).collect();
    let mut heard = refs(&heard);
    heard.retain(|home| !["s3-h3", "s3-h6", "s5-h3"].contains(home));
    desk.clear(40 * MINUTE, "dying-gasp", &heard);
    desk.until(50 * MINUTE);
    assert_eq!(desk.open(), []);
}

#[test]
fn whoever_has_power_again_is_no_longer_taken_for_a_home_of_a_dead_feed() {
    let mut desk = Desk::with(settings(), fed_streets());
    for street in 1..=2 {
        desk.raise(SECOND, "dying-gasp", &refs(&homes_of(street)));
    }
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [(1, "feed".to_owned(), Confirmed, 12)]);
    let back = ["s1-h2", "s2-h5"];
    desk.clear(60 * MINUTE, "dying-gasp", &back);
    desk.until(61 * MINUTE);
    let open = desk.open();
    assert_eq!(people(&desk), 10, "{open:?}");
    assert!(
        open.iter().all(|open| open.0 == 1 && open.2 == Confirmed),
        "{open:?}"
    );
}

#[test]
fn an_olt_is_not_to_blame_for_homes_that_lost_power_together() {
    let mut desk = Desk::with(settings(), streets());
    for street in 1..=4 {
        desk.raise(SECOND, "dying-gasp", &refs(&homes_of(street)));
    }
    // Of these nobody is heard to say why.
    for street in 5..=STREETS {
        let homes = homes_of(street);
        let dark = usize::from(street == STREETS);
        desk.raise(20 * SECOND, "los", &refs(&homes[dark..]));
    }
    desk.until(5 * MINUTE);
    let open = desk.open();
    assert!(open.iter().all(|open| open.1 != "olt"), "{open:?}");
    assert_eq!(people(&desk), (STREETS * HOMES) as u64 - 1, "{open:?}");
}

#[test]
fn an_olt_is_not_to_blame_when_the_battery_of_a_home_ends_amid_a_power_cut() {
    let mut desk = Desk::with(settings(), streets());
    let (on_battery, silent) = ("s2-h2".to_owned(), "s5-h1".to_owned());
    for street in 1..=STREETS {
        let mut homes = homes_of(street);
        homes.retain(|home| *home != on_battery && *home != silent);
        let alarm_type = if street <= 4 { "dying-gasp" } else { "los" };
        desk.raise(SECOND, alarm_type, &refs(&homes));
    }
    desk.until(10 * MINUTE);
    let before = desk.open();
    assert_eq!(people(&desk), (STREETS * HOMES) as u64 - 2, "{before:?}");
    desk.raise(45 * MINUTE, "los", &[&on_battery]);
    desk.until(60 * MINUTE);
    let open = desk.open();
    assert!(open.iter().all(|open| open.1 != "olt"), "{open:?}");
    assert_eq!(people(&desk), (STREETS * HOMES) as u64 - 1, "{open:?}");
}

#[test]
fn without_a_map_nothing_is_concluded_of_homes_of_which_nothing_is_heard() {
    let network = streets();
    let mut desk = Desk::with(settings(), network);
    for street in 1..=5 {
        let homes = homes_of(street);
        let mut heard = refs(&homes);
        heard.retain(|home| *home != "s3-h3");
        desk.raise(SECOND, "dying-gasp", &heard);
    }
    desk.until(3 * MINUTE);
    assert_eq!(people(&desk), 29);
}

#[test]
fn a_home_on_battery_amid_a_power_cut_still_has_service() {
    let mut desk = power_cut_but_for(&["s3-h3"]);
    loses_mains(&mut desk, SECOND, "s3-h3");
    desk.until(3 * MINUTE);
    assert_eq!(people(&desk), 29);
    desk.raise(50 * MINUTE, "dying-gasp", &["s3-h3"]);
    desk.until(60 * MINUTE);
    assert_eq!(people(&desk), 30);
}

#[test]
fn a_home_on_battery_on_a_feed_that_failed_has_service_until_the_battery_ends() {
    let mut desk = Desk::with(settings(), fed_streets());
    loses_mains(&mut desk, SECOND, "s1-h2");
    for street in 1..=2 {
        let mut homes = homes_of(street);
        homes.retain(|home| home != "s1-h2" && home != "s2-h4");
        desk.raise(2 * SECOND, "dying-gasp", &refs(&homes));
    }
    desk.until(3 * MINUTE);
    let open = desk.open();
    // Of one nothing is heard: the feed takes it all the same.
    assert_eq!(people(&desk), 11, "{open:?}");
    let network = fed_streets();
    let rank = |account: &str| network.rank_of(network.subscriber(account).unwrap());
    for live in desk.correlator.live() {
        assert!(live.lost.contains(rank("acc-s2-h4")));
        assert!(!live.lost.contains(rank("acc-s1-h2")));
    }
    desk.raise(50 * MINUTE, "dying-gasp", &["s1-h2"]);
    desk.until(55 * MINUTE);
    let open = desk.open();
    assert_eq!(people(&desk), 12, "{open:?}");
    assert!(open.iter().all(|open| open.0 == 1), "{open:?}");
}

/// The ports of the first three streets have their feeders in one duct with a way to another router.
pub(super) fn streets_on_a_duct() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    element(&mut network, "olt", ElementKind::Olt);
    link(&mut network, "core", "olt");
    element(&mut network, "beyond", ElementKind::Router);
    link(&mut network, "core", "beyond");
    let streets = (1..=3).map(|street| format!("street{street}"));
    network.groups.push(SharedRiskGroup {
        id: "duct".to_owned(),
        kind: GroupKind::Duct,
        name: String::new(),
        members: streets.chain(["core/beyond".to_owned()]).collect(),
    });
    with_streets(network)
}

/// The homes of the first three streets go dark but for the last of each; of so many of each street it is
/// heard that they have no power.
fn dark_along_a_duct(gasping: usize) -> Desk {
    let mut desk = Desk::with(settings(), streets_on_a_duct());
    for street in 1..=3 {
        let homes = homes_of(street);
        let homes = refs(&homes);
        desk.raise(SECOND, "dying-gasp", &homes[..gasping]);
        desk.raise(SECOND, "los", &homes[gasping..HOMES - 1]);
    }
    // A port that hears of none of its homes says so.
    desk.raise(SECOND, "pon-los", &["p2", "p3"]);
    desk.until(3 * MINUTE);
    desk
}

#[test]
fn a_duct_is_not_cut_where_most_of_those_behind_it_lost_power() {
    let desk = dark_along_a_duct(3);
    let open = desk.open();
    assert!(open.iter().all(|open| open.1 != "duct"), "{open:?}");
    // Of the first street one home is not known to be dark.
    assert_eq!(people(&desk), 3 * HOMES as u64 - 1, "{open:?}");
    let desk = dark_along_a_duct(0);
    let open = desk.open();
    assert_eq!(open, [(1, "duct".to_owned(), Confirmed, 18)]);
    // Or where what else lies in it has failed, too.
    let mut desk = dark_along_a_duct(3);
    desk.raise(3 * MINUTE, "link-down", &["core/beyond"]);
    desk.until(10 * MINUTE);
    let open = desk.open();
    assert!(open.iter().any(|open| open.1 == "duct"), "{open:?}");
}

/// A device says that it lives on its battery.
pub(super) fn loses_mains(desk: &mut Desk, at_ms: i64, device: &str) {
    desk.record(
        at_ms,
        LogRecord::Event(AlarmEvent {
            kind: AlarmEventKind::Raise,
            key: AlarmKey {
                resource: device.to_owned(),
                alarm_type: "power-failure".to_owned(),
                qualifier: String::new(),
            },
            severity: Severity::Minor,
            event_at_ms: at_ms,
            detail: AlarmDetail {
                service_effect: Some(ServiceEffect::None),
                ..AlarmDetail::default()
            },
        }),
    );
}

pub(super) fn people(desk: &Desk) -> u64 {
    desk.open().iter().map(|(.., affected)| affected).sum()
}

#[test]
fn power_that_is_back_in_most_streets_is_not_back_in_all() {
    let mut desk = Desk::with(settings(), streets());
    for street in 1..=STREETS {
        let homes = homes_of(street);
        desk.raise(SECOND, "dying-gasp", &refs(&homes));
        desk.raise(10 * SECOND, "offline", &refs(&homes[..3]));
    }
    desk.until(3 * MINUTE);
    assert_eq!(people(&desk), (STREETS * HOMES) as u64);
    // Of each street one gasp is never taken back.
    for street in 1..STREETS - 1 {
        let homes = homes_of(street);
        desk.clear(60 * MINUTE, "offline", &refs(&homes[..3]));
        desk.clear(60 * MINUTE, "dying-gasp", &refs(&homes[..5]));
    }
    desk.until(70 * MINUTE);
    let open = desk.open();
    assert!(open.iter().all(|open| open.2 == Confirmed), "{open:?}");
    assert_eq!(people(&desk), 2 * HOMES as u64);
    for street in [STREETS - 1, STREETS] {
        let homes = homes_of(street);
        desk.clear(90 * MINUTE, "offline", &refs(&homes[..3]));
        desk.clear(90 * MINUTE, "dying-gasp", &refs(&homes[..5]));
    }
    desk.until(100 * MINUTE);
    assert_eq!(desk.open(), []);
}

#[test]
fn power_that_fails_for_more_homes_of_a_street_is_still_gone_for_the_first() {
    let mut desk = Desk::with(settings(), streets());
    for street in 1..=3 {
        desk.raise(SECOND, "dying-gasp", &refs(&homes_of(street)[..2]));
    }
    desk.until(3 * MINUTE);
    assert_eq!(people(&desk), 6);
    for street in 1..=3 {
        desk.raise(60 * MINUTE, "dying-gasp", &refs(&homes_of(street)[2..]));
    }
    desk.until(90 * MINUTE);
    assert_eq!(people(&desk), 18);
}

#[test]
fn a_home_whose_battery_ends_during_a_power_cut_is_without_power_like_its_neighbours() {
    let mut desk = Desk::with(settings(), streets());
    for street in 1..=3 {
        desk.raise(SECOND, "dying-gasp", &refs(&homes_of(street)[..4]));
    }
    desk.until(3 * MINUTE);
    assert_eq!(people(&desk), 12);
    let reasoning = desk.state(1).cause.reasoning;
    assert!(
        reasoning.contains("12 of them say that they have no power: 10^"),
        "{reasoning}"
    );
    desk.raise(50 * MINUTE, "dying-gasp", &["s2-h6"]);
    desk.raise(55 * MINUTE, "offline", &["s3-h6"]);
    // Elsewhere power has not failed.
    desk.raise(55 * MINUTE, "dying-gasp", &["s7-h1"]);
    desk.until(80 * MINUTE);
    assert_eq!(people(&desk), 14);
}

#[test]
fn a_home_whose_battery_ends_hours_after_a_power_cut_is_told_of_it() {
    let mut desk = Desk::with(settings(), streets());
    for street in 1..=5 {
        let homes = homes_of(street);
        desk.raise(SECOND, "dying-gasp", &refs(&homes[..HOMES - 1]));
    }
    desk.until(5 * MINUTE);
    assert_eq!(people(&desk), 25);
    desk.raise(200 * MINUTE, "dying-gasp", &["s2-h6"]);
    desk.until(210 * MINUTE);
    assert_eq!(people(&desk), 26, "{:?}", desk.open());
}

#[test]
fn a_power_cut_is_no_older_for_a_home_that_was_dark_before() {
    let mut desk = Desk::with(settings(), streets());
    desk.raise(SECOND, "offline", &["s2-h1"]);
    let begin_ms = 20 * 60 * MINUTE;
    for street in 1..=3 {
        desk.raise(begin_ms, "dying-gasp", &refs(&homes_of(street)));
    }
    desk.until(begin_ms + 5 * MINUTE);
    let onsets: Vec<i64> = desk.correlator.incidents().map(|i| i.onset_ms).collect();
    assert_eq!(onsets, [begin_ms]);
}

#[test]
fn gasps_that_a_power_cut_left_behind_are_not_believed_with_what_else_is_suspected() {
    let settings = CorrelatorSettings {
        lone_alarm_ms: None,
        ..settings()
    };
    let mut desk = Desk::with(settings, streets());
    for street in 1..=5 {
        let homes = homes_of(street);
        desk.raise(SECOND, "dying-gasp", &refs(&homes));
        desk.raise(20 * SECOND, "los", &refs(&homes));
    }
    desk.raise(110 * MINUTE, "pon-los", &["p3"]);
    for street in 1..=5 {
        desk.clear(160 * MINUTE, "los", &refs(&homes_of(street)));
    }
    // By then the book has forgotten that they were back.
    desk.raise(230 * MINUTE, "high-temperature", &["olt"]);
    desk.until(300 * MINUTE);
    let believed = desk.open().into_iter();
    let believed: Vec<_> = believed.filter(|open| open.2 == Confirmed).collect();
    assert_eq!(believed, []);
}

#[test]
fn an_old_alarm_of_a_port_says_nothing_of_homes_amid_a_power_cut() {
    let believed = |port_ms: i64| {
        let settings = CorrelatorSettings {
            lone_alarm_ms: None,
            ..settings()
        };
        let mut desk = Desk::with(settings, streets());
        desk.raise(port_ms, "pon-los", &["p3"]);
        let begin_ms = 10 * 60 * MINUTE;
        for street in 2..=4 {
            let heard = if street == 3 { 4 } else { HOMES };
            desk.raise(begin_ms, "dying-gasp", &refs(&homes_of(street)[..heard]));
        }
        desk.until(begin_ms + 5 * MINUTE);
        let open = desk.open().into_iter();
        open.filter(|open| open.2 == Confirmed)
            .map(|open| open.3)
            .sum::<u64>()
    };
    assert_eq!(believed(SECOND), 16);
    // Nothing is heard behind it since then.
    assert_eq!(believed(10 * 60 * MINUTE), 18);
}

#[test]
fn a_second_dying_gasp_tells_of_a_second_power_cut() {
    let mut desk = Desk::with(settings(), streets());
    let homes = [homes_of(1), homes_of(2)].concat();
    desk.raise(SECOND, "dying-gasp", &refs(&homes));
    desk.raise(10 * SECOND, "offline", &refs(&homes));
    desk.until(10 * MINUTE);
    assert_eq!(people(&desk), 12);
    // Power is back, but the gasps are never taken back.
    desk.clear(60 * MINUTE, "offline", &refs(&homes));
    desk.until(90 * MINUTE);
    assert_eq!(desk.open(), []);
    desk.raise(20 * 60 * MINUTE, "dying-gasp", &refs(&homes));
    desk.until(20 * 60 * MINUTE + 5 * MINUTE);
    assert_eq!(people(&desk), 12);
    let onsets: Vec<i64> = desk.correlator.incidents().map(|i| i.onset_ms).collect();
    assert_eq!(onsets, [20 * 60 * MINUTE]);
}

#[test]
fn homes_that_went_dark_beside_a_power_cut_are_no_failure_of_their_splitter() {
    let mut desk = Desk::with(settings(), streets());
    for street in 1..=3 {
        desk.raise(SECOND, "dying-gasp", &refs(&homes_of(street)));
    }
    // At the edge of what has no power, where nobody's last word arrived.
    desk.raise(20 * SECOND, "onu-los", &refs(&homes_of(4)[..4]));
    desk.until(5 * MINUTE);
    assert_eq!(people(&desk), 3 * HOMES as u64 + 4);
    // The same far away, or at another time, is a cut.
    let mut desk = Desk::with(settings(), streets());
    for street in 1..=3 {
        desk.raise(SECOND, "dying-gasp", &refs(&homes_of(street)));
    }
    desk.until(20 * MINUTE);
    desk.raise(20 * MINUTE, "onu-los", &refs(&homes_of(4)[..4]));
    desk.until(30 * MINUTE);
    assert_eq!(people(&desk), 4 * HOMES as u64);
}
