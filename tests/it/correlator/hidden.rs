//! OLTs that hold back the alarms of the homes behind a port that has raised one itself.

use super::*;

const PORTS: usize = 16;
const HOMES: usize = 30;

/// An OLT of sixteen ports with thirty homes each: two cards of eight; a duct holds the feeders of the
/// first four.
fn olt() -> Arc<Network> {
    let mut network = NetworkDefinition::default();
    element(&mut network, "core", ElementKind::Router);
    network.elements.last_mut().unwrap().gateway = true;
    element(&mut network, "olt", ElementKind::Olt);
    link(&mut network, "core", "olt");
    let mut attached = Vec::new();
    for port in (1..=PORTS).map(|port| format!("p{port}")) {
        let splitter = format!("{port}-sp");
        element(&mut network, &port, ElementKind::PonPort);
        element(&mut network, &splitter, ElementKind::Splitter);
        link(&mut network, "olt", &port);
        link(&mut network, &port, &splitter);
        for home in behind(&port) {
            element(&mut network, &home, ElementKind::Ont);
            link(&mut network, &splitter, &home);
            attached.push(Attachment {
                account: format!("acc-{home}"),
                served_by: vec![home],
                redundancy: Redundancy::Any,
            });
        }
    }
    let mut group = |id: &str, kind, members: Vec<String>| {
        network.groups.push(SharedRiskGroup {
            id: id.to_owned(),
            kind,
            name: String::new(),
            members,
        });
    };
    let feeders = (1..=4).map(|port| format!("p{port}/p{port}-sp"));
    group("duct", GroupKind::Duct, feeders.collect());
    for (card, ports) in [("card1", 1..=8), ("card2", 9..=16)] {
        let ports = ports.map(|port| format!("p{port}"));
        group(card, GroupKind::Other, ports.collect());
    }
    Arc::new(Network::build(&network, &attached).unwrap())
}

fn behind(port: &str) -> Vec<String> {
    (1..=HOMES).map(|home| format!("{port}-h{home}")).collect()
}

/// Cause and people of what is open when these ports have said for ten minutes that they lost their
/// light, and the homes behind `shown`.
fn causes(ports: &[&str], shown: &[&str]) -> Vec<(String, u64)> {
    let mut desk = Desk::with(CorrelatorSettings::default(), olt());
    desk.raise(SECOND, "pon-los", ports);
    for port in shown {
        desk.raise(2 * SECOND, "onu-los", &refs(&behind(port)));
    }
    desk.until(10 * MINUTE);
    let open = desk.open().into_iter();
    open.map(|(_, parts, _, people)| (parts, people)).collect()
}

#[test]
fn a_duct_of_which_one_port_is_not_heard_is_one_failure() {
    let cut = [("duct".to_owned(), 4 * HOMES as u64)];
    assert_eq!(causes(&["p1", "p2", "p3", "p4"], &[]), cut);
    for unheard in 0..4 {
        let mut ports = vec!["p1", "p2", "p3", "p4"];
        ports.remove(unheard);
        assert_eq!(causes(&ports, &[]), cut, "{ports:?}");
    }
}

#[test]
fn a_card_of_which_two_ports_are_not_heard_is_one_failure() {
    let heard = ["p9", "p10", "p12", "p13", "p14", "p16"];
    assert_eq!(
        causes(&heard, &[]),
        [("card2".to_owned(), 8 * HOMES as u64)]
    );
}

#[test]
fn homes_that_would_speak_and_do_not_have_service() {
    // Where the homes behind one port are heard, those behind another would be.
    for shown in [["p1", "p2", "p3"].as_slice(), &["p1"]] {
        let open = causes(&["p1", "p2", "p3"], shown);
        let people: u64 = open.iter().map(|(_, people)| people).sum();
        assert_eq!(people, 3 * HOMES as u64, "{open:?}");
        assert!(open.iter().all(|(parts, _)| parts != "duct"), "{open:?}");
    }
}

#[test]
fn some_ports_of_a_card_are_not_the_card() {
    let ports = ["p9", "p10", "p11", "p12", "p13"];
    for of_them in 3..=ports.len() {
        let open = causes(&ports[..of_them], &[]);
        let people: u64 = open.iter().map(|(_, people)| people).sum();
        assert_eq!(people, (of_them * HOMES) as u64, "{open:?}");
    }
}

#[test]
fn a_port_with_a_home_that_has_just_come_back_is_not_cut() {
    let mut desk = Desk::with(CorrelatorSettings::default(), olt());
    desk.raise(SECOND, "onu-los", &["p4-h1"]);
    desk.raise(20 * MINUTE, "pon-los", &["p1", "p2", "p3"]);
    desk.clear(20 * MINUTE + 10 * SECOND, "onu-los", &["p4-h1"]);
    desk.until(30 * MINUTE);
    let open = desk.open();
    let people: u64 = open.iter().map(|(.., people)| people).sum();
    assert_eq!(people, 3 * HOMES as u64, "{open:?}");
}
