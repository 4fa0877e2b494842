//! What fails in one region at one time: one power cut, or several.

use super::declared::{plain, statement};
use super::power::{HOMES, loses_mains, people};
use super::*;
use forewarn::geography::NetworkMap;
use forewarn::incident::{DeclarationId, Statement};
use forewarn::topology::{Position, Site};
use std::ops::Range;

/// Streets in a row, 400 metres apart, each on a power feed of its own, and where people live.
const IN_A_ROW: usize = 24;

fn row() -> (Arc<Network>, Arc<NetworkMap>) {
    let (definition, attached) = row_of(&[(0..IN_A_ROW, "olt")]);
    placed(&definition, &attached)
}

/// The streets, and on which OLT they hang.
fn row_of(olts: &[(Range<usize>, &str)]) -> (NetworkDefinition, Vec<Attachment>) {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    let mut attached = Vec::new();
    for (streets, olt) in olts {
        if network.elements.iter().all(|element| element.id != *olt) {
            element(&mut network, olt, ElementKind::Olt);
            link(&mut network, "core", olt);
        }
        for street in streets.clone() {
            let port = format!("row{street}");
            element(&mut network, &port, ElementKind::PonPort);
            network.elements.last_mut().unwrap().site = Some(port.clone());
            network.sites.push(Site {
                id: port.clone(),
                name: String::new(),
                position: Some(place(street, 0)),
            });
            link(&mut network, olt, &port);
            for home in homes_at(&port) {
                element(&mut network, &home, ElementKind::Ont);
                link(&mut network, &port, &home);
                attached.push(Attachment {
                    account: format!("acc-{home}"),
                    served_by: vec![home],
                    redundancy: Redundancy::Any,
                });
            }
            network.groups.push(SharedRiskGroup {
                id: format!("feed{street}"),
                kind: GroupKind::PowerFeed,
                name: String::new(),
                members: homes_at(&port),
            });
        }
    }
    (network, attached)
}

/// Everybody lives where their home is.
fn placed(
    definition: &NetworkDefinition,
    attached: &[Attachment],
) -> (Arc<Network>, Arc<NetworkMap>) {
    let network = Arc::new(Network::build(definition, attached).unwrap());
    let mut positions = vec![None; network.subscriber_count()];
    for street in 0..IN_A_ROW {
        for (home, id) in homes_at(&format!("row{street}")).iter().enumerate() {
            let account = format!("acc-{id}");
            let of_home = format!("acc-{id}/");
            let here = attached
                .iter()
                .filter(|a| a.account == account || a.account.starts_with(&of_home));
            for attachment in here {
                let subscriber = network.subscriber(&attachment.account).unwrap();
                positions[subscriber.0 as usize] = Some(place(street, home));
            }
        }
    }
    let map = NetworkMap::build(&network, &positions);
    (network, Arc::new(map))
}

/// The home of that number in that street.
fn place(street: usize, home: usize) -> Position {
    Position {
        latitude: 41.9 + 0.0036 * street as f64,
        longitude: 12.5 + 0.0003 * home as f64,
    }
}

fn homes_in(streets: impl Iterator<Item = usize>) -> Vec<String> {
    streets
        .flat_map(|street| homes_at(&format!("row{street}")))
        .collect()
}

/// How many people each open incident has, after these streets have lost power at one time.
fn sizes(streets: impl Iterator<Item = usize>) -> Vec<u64> {
    let (network, map) = row();
    let mut desk = Desk::with(settings(), network);
    desk.correlator.take_map(map);
    desk.raise(SECOND, "dying-gasp", &refs(&homes_in(streets)));
    desk.until(20 * MINUTE);
    open_sizes(&desk)
}

fn open_sizes(desk: &Desk) -> Vec<u64> {
    desk.open().iter().map(|(.., people)| *people).collect()
}

const STREET: u64 = HOMES as u64;

#[test]
fn two_streets_with_people_between_who_have_power_are_two_power_cuts() {
    assert_eq!(sizes([0, 23].into_iter()), [STREET; 2]);
    assert_eq!(sizes([0, 10].into_iter()), [STREET; 2]);
    assert_eq!(sizes((0..4).chain(14..18)), [4 * STREET; 2]);
    // Also three of them: that each has its cause follows from who has power, not from how many there are.
    assert_eq!(sizes([0, 10, 20].into_iter()), [STREET; 3]);
}

#[test]
fn what_hardly_anybody_with_power_lives_between_is_one_power_cut() {
    assert_eq!(sizes(0..IN_A_ROW), [24 * STREET]);
    // Of some streets nothing arrived.
    assert_eq!(sizes((0..IN_A_ROW).filter(|s| s % 3 == 0)), [8 * STREET]);
    assert_eq!(sizes((0..10).chain(13..IN_A_ROW)), [21 * STREET]);
}

#[test]
fn where_people_live_being_unknown_a_region_is_one_power_cut() {
    let (network, _) = row();
    let mut desk = Desk::with(settings(), network);
    desk.raise(SECOND, "dying-gasp", &refs(&homes_in([0, 23].into_iter())));
    desk.until(20 * MINUTE);
    assert_eq!(open_sizes(&desk), [2 * STREET]);
}

#[test]
fn a_power_cut_stays_one_while_it_is_remembered_that_power_came_back_in_its_midst() {
    let (network, map) = row();
    let mut desk = Desk::with(settings(), network);
    desk.correlator.take_map(map);
    desk.raise(SECOND, "dying-gasp", &refs(&homes_in(0..IN_A_ROW)));
    desk.until(20 * MINUTE);
    assert_eq!(open_sizes(&desk), [24 * STREET]);
    desk.clear(30 * MINUTE, "dying-gasp", &refs(&homes_in(2..22)));
    desk.until(80 * MINUTE);
    assert_eq!(open_sizes(&desk), [4 * STREET]);
    assert_eq!(desk.correlator.incidents().count(), 1);
}

/// Whether the begin and the end of what lay between are taken together or one after the other.
#[test]
fn what_is_one_power_cut_does_not_follow_from_when_one_looks() {
    let (network, map) = row();
    let mut live = Desk::with(settings(), Arc::clone(&network));
    live.correlator.take_map(Arc::clone(&map));
    live.raise(SECOND, "dying-gasp", &refs(&homes_in(0..18)));
    live.clear(10 * MINUTE, "dying-gasp", &refs(&homes_in(4..14)));
    live.until(60 * MINUTE);
    assert_eq!(open_sizes(&live), [8 * STREET]);
    // All of it is read after half an hour.
    let mut late = Desk::with(settings(), network);
    late.correlator.take_map(map);
    late.now_ms = 30 * MINUTE;
    for (streets, at_ms, kind) in [
        (0..18, SECOND, AlarmEventKind::Raise),
        (4..14, 10 * MINUTE, AlarmEventKind::Clear),
    ] {
        for home in homes_in(streets) {
            let sequence = u64::try_from(late.position + 1).unwrap();
            late.take(alarm_entry(1, sequence, kind, &home, "dying-gasp", at_ms));
        }
    }
    late.settle();
    late.until(60 * MINUTE);
    assert_eq!(open_sizes(&late), [8 * STREET]);
}

/// Nobody hears whether those have power whose OLT is dead.
#[test]
fn what_lies_behind_something_else_that_failed_divides_no_power_cut() {
    let (definition, attached) = row_of(&[(0..6, "olt"), (6..18, "dead"), (18..IN_A_ROW, "olt")]);
    let (network, map) = placed(&definition, &attached);
    let mut desk = Desk::with(settings(), network);
    desk.correlator.take_map(map);
    desk.raise(SECOND, "unreachable", &["dead"]);
    desk.raise(SECOND, "link-down", &["core/dead"]);
    let streets = (0..6).chain(18..IN_A_ROW);
    desk.raise(2 * SECOND, "dying-gasp", &refs(&homes_in(streets)));
    desk.until(20 * MINUTE);
    assert_eq!(open_sizes(&desk), [12 * STREET; 2]);
}

/// Of flats behind one box all are counted, and who is served otherwise is not asked.
#[test]
fn people_are_counted_and_not_boxes() {
    let (mut definition, mut attached) = row_of(&[(0..IN_A_ROW, "olt")]);
    element(&mut definition, "node", ElementKind::FibreNode);
    link(&mut definition, "core", "node");
    for street in 0..IN_A_ROW {
        for home in homes_at(&format!("row{street}")) {
            for flat in 2..=4 {
                attached.push(Attachment {
                    account: format!("acc-{home}/{flat}"),
                    served_by: vec![home.clone()],
                    redundancy: Redundancy::Any,
                });
            }
            for cable in 1..=8 {
                attached.push(Attachment {
                    account: format!("acc-{home}/cable{cable}"),
                    served_by: vec!["node".to_owned()],
                    redundancy: Redundancy::Any,
                });
            }
        }
    }
    let (network, map) = placed(&definition, &attached);
    let mut desk = Desk::with(settings(), network);
    desk.correlator.take_map(map);
    let streets = (0..9).chain(12..15).chain(18..IN_A_ROW);
    desk.raise(SECOND, "dying-gasp", &refs(&homes_in(streets)));
    desk.until(20 * MINUTE);
    assert_eq!(desk.open().len(), 1, "{:?}", desk.open());
}

/// Some were dark in the window before.
#[test]
fn the_border_of_a_window_divides_no_power_cut() {
    let (network, map) = row();
    let mut desk = Desk::with(settings(), network);
    desk.correlator.take_map(map);
    let every = |rest: usize| homes_in((0..IN_A_ROW).filter(|s| s % 4 == rest));
    for (at_ms, rest) in [(299 * SECOND, 0), (301 * SECOND, 2)] {
        let homes = every(rest);
        desk.raise(at_ms, "dying-gasp", &refs(&homes));
    }
    desk.until(30 * MINUTE);
    assert_eq!(open_sizes(&desk), [12 * STREET]);
}

#[test]
fn which_reports_come_first_does_not_matter_to_what_is_one_power_cut() {
    let (network, map) = row();
    let mut desk = Desk::with(settings(), network);
    desk.correlator.take_map(map);
    // Both ends are known to be dark some minutes before anything is heard from between them.
    let ends = homes_in((0..3).chain(21..24));
    desk.raise(SECOND, "dying-gasp", &refs(&ends));
    desk.until(3 * MINUTE);
    assert_eq!(open_sizes(&desk), [3 * STREET; 2]);
    desk.raise(3 * MINUTE, "dying-gasp", &refs(&homes_in(3..21)));
    desk.until(20 * MINUTE);
    assert_eq!(open_sizes(&desk), [24 * STREET]);
}

/// Streets of three villages, 6 kilometres apart, and of a town far away.
#[test]
fn a_region_that_loses_power_at_one_time_is_one_incident() {
    let villages = |latitude: f64, name: &str, network: &mut NetworkDefinition| {
        let site = format!("site-{name}");
        let position = Position {
            latitude,
            longitude: 12.5,
        };
        network.sites.push(Site {
            id: site.clone(),
            name: String::new(),
            position: Some(position),
        });
        let port = format!("p-{name}");
        element(network, &port, ElementKind::PonPort);
        network.elements.last_mut().unwrap().site = Some(site);
        link(network, "olt", &port);
        for home in 1..=HOMES {
            let id = format!("{name}-h{home}");
            element(network, &id, ElementKind::Ont);
            link(network, &port, &id);
        }
    };
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    element(&mut network, "olt", ElementKind::Olt);
    link(&mut network, "core", "olt");
    let names = ["a", "b", "c", "far"];
    for (name, latitude) in names.into_iter().zip([41.9, 41.954, 42.008, 43.5]) {
        villages(latitude, name, &mut network);
    }
    let homes =
        |name: &str| -> Vec<String> { (1..=HOMES).map(|home| format!("{name}-h{home}")).collect() };
    let attached = names.iter().flat_map(|name| homes(name));
    let attached: Vec<Attachment> = attached
        .map(|home| Attachment {
            account: format!("acc-{home}"),
            served_by: vec![home],
            redundancy: Redundancy::Any,
        })
        .collect();
    let network = Arc::new(Network::build(&network, &attached).unwrap());
    let open = |gasps: &[(i64, &str)]| -> Vec<u64> {
        let mut desk = Desk::with(settings(), Arc::clone(&network));
        for (at_ms, name) in gasps {
            desk.raise(*at_ms, "dying-gasp", &refs(&homes(name)[..4]));
        }
        desk.until(90 * MINUTE);
        desk.open().iter().map(|(.., people)| *people).collect()
    };
    let at_once = [
        (SECOND, "a"),
        (2 * SECOND, "b"),
        (3 * SECOND, "c"),
        (4 * SECOND, "far"),
    ];
    assert_eq!(open(&at_once), [12, 4]);
    assert_eq!(open(&[(SECOND, "a"), (60 * MINUTE, "b")]), [4, 4]);
}

/// Two villages 6 kilometres apart, each on an OLT of its own, and two others far away.
fn region() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    let mut attached = Vec::new();
    for (name, latitude) in [("a", 41.9), ("b", 41.954), ("far", 43.5), ("calm", 44.5)] {
        let site = |id: String, at: f64| Site {
            id,
            name: String::new(),
            position: Some(Position {
                latitude: at,
                longitude: 12.5,
            }),
        };
        let olt = format!("olt-{name}");
        network.sites.push(site(olt.clone(), latitude + 0.01));
        element(&mut network, &olt, ElementKind::Olt);
        network.elements.last_mut().unwrap().site = Some(olt.clone());
        link(&mut network, "core", &olt);
        for street in 1..=2 {
            let port = format!("{name}-p{street}");
            network
                .sites
                .push(site(port.clone(), latitude + 0.002 * f64::from(street)));
            element(&mut network, &port, ElementKind::PonPort);
            network.elements.last_mut().unwrap().site = Some(port.clone());
            link(&mut network, &olt, &port);
            for home in 1..=HOMES {
                let id = format!("{port}-h{home}");
                element(&mut network, &id, ElementKind::Ont);
                link(&mut network, &port, &id);
                attached.push(Attachment {
                    account: format!("acc-{id}"),
                    served_by: vec![id],
                    redundancy: Redundancy::Any,
                });
            }
        }
    }
    Arc::new(Network::build(&network, &attached).unwrap())
}

fn homes_at(port: &str) -> Vec<String> {
    (1..=HOMES).map(|home| format!("{port}-h{home}")).collect()
}

fn goes_down(desk: &mut Desk, at_ms: i64, olt: &str) {
    desk.raise(at_ms, "unreachable", &[olt]);
    let id = format!("core/{olt}");
    desk.raise(at_ms + SECOND, "link-down", &[&id]);
}

/// Work on one street's port goes on while that street loses power with those beside it.
#[test]
fn a_power_cut_across_the_edge_of_planned_work_is_no_overrun_of_it() {
    const FROM: i64 = 60 * MINUTE;
    const UNTIL: i64 = 120 * MINUTE;
    let lose_power = |streets: Range<usize>| {
        let (network, map) = row();
        let mut desk = Desk::with(settings(), network);
        desk.correlator.take_map(map);
        let work = Statement {
            resources: vec!["row0".to_owned()],
            kind: CauseKind::PlannedWork,
            text: "new splitter".to_owned(),
            until_ms: Some(UNTIL),
            declared_at_ms: 0,
            ..statement(DeclarationId::Work(3), 1, FROM)
        };
        desk.declare(0, plain(work));
        desk.raise(FROM + 30 * MINUTE, "dying-gasp", &refs(&homes_in(streets)));
        desk
    };
    let mut desk = lose_power(0..7);
    desk.until(UNTIL - MINUTE);
    let beside = open_sizes(&desk).iter().sum::<u64>();
    assert_eq!(beside, 6 * STREET, "the work explains its street");
    desk.until(UNTIL + 20 * MINUTE);
    assert_eq!(open_sizes(&desk), [7 * STREET]);
    let cause = &desk.state(1).cause;
    assert_eq!(cause.kind, CauseKind::Power);
    assert!(!cause.text.contains("overrun"), "{}", cause.text);

    // What is left of the street alone is one.
    let mut desk = lose_power(0..1);
    desk.until(UNTIL + 20 * MINUTE);
    assert_eq!(open_sizes(&desk), [STREET]);
    assert_eq!(desk.state(1).cause.kind, CauseKind::PlannedWork);
}

#[test]
fn devices_whose_batteries_end_are_of_the_power_cut_that_took_their_mains() {
    let mut desk = Desk::with(settings(), region());
    // Of each village one street is dark; the other has mains, or batteries.
    for village in ["a", "b"] {
        desk.raise(
            SECOND,
            "dying-gasp",
            &refs(&homes_at(&format!("{village}-p1"))),
        );
    }
    for olt in ["olt-a", "olt-b", "olt-far"] {
        loses_mains(&mut desk, 2 * SECOND, olt);
    }
    desk.until(10 * MINUTE);
    assert_eq!(people(&desk), 2 * HOMES as u64);
    goes_down(&mut desk, 60 * MINUTE, "olt-a");
    desk.until(100 * MINUTE);
    goes_down(&mut desk, 100 * MINUTE, "olt-b");
    desk.until(180 * MINUTE);
    let open = desk.open();
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(people(&desk), 4 * HOMES as u64);
    let cause = desk.state(1).cause;
    assert_eq!(cause.kind, CauseKind::Power);
    assert!(
        cause.text.contains("and with them link core/olt-a"),
        "{}",
        cause.text
    );
    // What lost its mains elsewhere is another matter, and so is what fails without that.
    goes_down(&mut desk, 180 * MINUTE, "olt-far");
    desk.until(250 * MINUTE);
    assert_eq!(desk.open().len(), 2, "{:?}", desk.open());
}

#[test]
fn a_device_amid_a_power_cut_that_goes_down_later_has_outlived_its_battery() {
    let mut desk = Desk::with(settings(), region());
    desk.raise(SECOND, "dying-gasp", &refs(&homes_at("a-p1")));
    desk.until(10 * MINUTE);
    goes_down(&mut desk, 60 * MINUTE, "olt-a");
    goes_down(&mut desk, 60 * MINUTE, "olt-far");
    desk.until(120 * MINUTE);
    let mut sizes: Vec<u64> = desk.open().iter().map(|(.., people)| *people).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2 * HOMES as u64, 2 * HOMES as u64]);
    let texts: Vec<String> = [1, 2].map(|no| desk.state(no).cause.text).into();
    assert!(texts[0].contains("olt-a"), "{texts:?}");
    assert!(texts[1].contains("olt-far"), "{texts:?}");
}
