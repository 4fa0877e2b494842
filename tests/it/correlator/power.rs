//! Power cuts that follow no part of the network.

use super::*;
use forewarn::topology::{Position, Site};

const STREETS: usize = 8;
const HOMES: usize = 6;

/// Streets 200 metres apart, each on a PON port of its own.
fn streets() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    element(&mut network, "olt", ElementKind::Olt);
    link(&mut network, "core", "olt");
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

fn homes_of(street: usize) -> Vec<String> {
    (1..=HOMES)
        .map(|home| format!("s{street}-h{home}"))
        .collect()
}

fn people(desk: &Desk) -> u64 {
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
