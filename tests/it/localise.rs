//! The harness that measures localisation, on a small network: its scoring says what it means, and
//! the correlator passes what is easy.

#[allow(dead_code, reason = "the benchmark uses more of it")]
#[path = "../../benches/forewarn/interval.rs"]
mod interval;
#[allow(dead_code, reason = "the benchmark uses more of it")]
#[path = "../../benches/forewarn/localise/peers.rs"]
mod peers;
#[allow(dead_code, reason = "the benchmark uses more of it")]
#[path = "../../benches/forewarn/localise/score.rs"]
mod score;
#[allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "the benchmark measures time with it"
)]
#[path = "../../benches/forewarn/localise/trial.rs"]
mod trial;

use forewarn::generate::{GenerateSettings, generate};
use forewarn::geography::NetworkMap;
use forewarn::incident::CorrelatorSettings;
use forewarn::simulate::{Fault, FaultKind, Impairments, Reporting, Scenario, Simulation, World};
use forewarn::topology::{ElementKind, ElementNo, Part};
use interval::{bootstrap, wilson};
use peers::Peers;
use score::{Expected, Found, Score};
use std::sync::{Arc, OnceLock};
use trial::Cell;

const AT_MS: i64 = 1_795_000_000_000;

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let generated = generate(&GenerateSettings::embedded(20_000, 5).unwrap()).unwrap();
        World::new(&generated.definition, &generated.subscribers).unwrap()
    })
}

fn cell(impairments: Impairments) -> Cell {
    Cell {
        name: String::new(),
        faults: 2,
        reporting: Reporting::default(),
        impairments,
    }
}

/// Ours, then the peers'.
fn run(impairments: Impairments, trials: u64) -> [Score; 5] {
    let network = world().network();
    let peers = Peers::new(network);
    let settings = CorrelatorSettings::default();
    let mut scores: [Score; 5] = Default::default();
    let cell = cell(impairments);
    let map = Arc::new(NetworkMap::default());
    for seed in 0..trials {
        let simulation = trial::simulate(world(), &cell, seed);
        let outcome = trial::run(world(), (network, &map), &simulation, &settings);
        let expected = trial::expected(world(), network, &simulation);
        scores[0].add(&outcome.score);
        let found = peers.find(&simulation.entries);
        for (score, found) in scores[1..].iter_mut().zip(&found) {
            score.add(&expected.score(found));
        }
    }
    scores
}

#[test]
fn with_every_alarm_nobody_is_told_wrongly_and_nearly_all_are_told() {
    let scores = run(Impairments::none(), 6);
    let ours = &scores[0];
    assert_eq!(ours.faults + ours.unheard, 12);
    assert!(ours.found > 0 && ours.told > 0);
    assert!(ours.told_right * 100 >= ours.told * 95, "{ours:?}");
    assert!(ours.lost_told * 100 >= ours.lost * 90, "{ours:?}");
    for score in &scores {
        assert!(score.found_right <= score.found && score.faults_found <= score.faults);
        assert!(score.told_right <= score.told && score.lost_told <= score.lost);
        assert_eq!(score.lost, ours.lost, "all are measured by the same truth");
    }
    assert!(scores[1..].iter().any(|peer| peer.faults_found > 0));
}

#[test]
fn the_same_seeds_give_the_same_scores() {
    let shares = |scores: &[Score; 5]| scores.each_ref().map(Score::shares);
    let [one, same] = [(); 2].map(|()| run(Impairments::default(), 2));
    assert_eq!(shares(&one), shares(&same));
}

/// Truth of a port and an OLT elsewhere, all heard but the second where `heard` says so.
fn expected(heard: [bool; 2]) -> (Expected, [ElementNo; 2]) {
    let network = world().network();
    let elements = (0..u32::try_from(network.element_count()).unwrap()).map(ElementNo);
    let with_people = |kind: ElementKind| {
        let of_kind = elements.clone().filter(move |&e| network.kind(e) == kind);
        of_kind.filter(|&e| network.lost_alone(Part::Element(e)).len() > 5)
    };
    let port = with_people(ElementKind::PonPort).next().unwrap();
    let olt = with_people(ElementKind::Olt).next_back().unwrap();
    assert!(!network.dominates(olt, port));
    let fault = |kind, element| Fault::lasting(kind, vec![Part::Element(element)], AT_MS, None);
    let scenario = Scenario {
        faults: vec![
            fault(FaultKind::PonPort, port),
            fault(FaultKind::OltDeath, olt),
        ],
        reporting: Reporting::default(),
        impairments: Impairments::none(),
        seed: 1,
        start_ms: AT_MS - 1_000,
        duration_ms: 60_000,
    };
    let truth = Simulation::new(world(), &scenario).truth;
    let expected = Expected::at(world(), &truth, &heard, network, AT_MS + 1_000);
    (expected, [port, olt])
}

fn found(element: ElementNo) -> Found {
    let part = Part::Element(element);
    Found {
        parts: vec![part],
        lost: world().network().lost_alone(part),
        confirmed_ms: Some(AT_MS),
        named_ms: None,
    }
}

#[test]
fn the_class_counts_and_the_wrong_part_does_not() {
    let network = world().network();
    let (expected, [port, olt]) = expected([true, true]);
    let all = expected.score(&[found(port), found(olt)]);
    assert_eq!(all.shares().map(|(right, of)| right == of), [true; 4]);
    // The splitter behind the port costs the same people their service.
    let splitter = network.dominator_children(port).next().unwrap();
    let class = expected.score(&[found(splitter)]);
    assert_eq!(
        (class.found_right, class.faults_found, class.faults),
        (1, 1, 2)
    );
    // The OLT above it is another component, and tells too many.
    let above = network.immediate_dominator(port).unwrap();
    let wrong = expected.score(&[found(above)]);
    assert_eq!(
        (wrong.found_right, wrong.found, wrong.faults_found),
        (0, 1, 0)
    );
    assert!(wrong.told_right < wrong.told && wrong.told_right > 0);
    let none = expected.score(&[]);
    assert_eq!((none.found, none.told, none.faults_found), (0, 0, 0));
    assert!(none.lost > 0);
}

#[test]
fn a_fault_nothing_was_heard_of_does_not_count_for_recall() {
    let (expected, [port, _]) = expected([true, false]);
    let score = expected.score(&[found(port)]);
    assert_eq!((score.faults, score.faults_found, score.unheard), (1, 1, 1));
    assert_eq!(score.shares().map(|(right, of)| right == of), [true; 4]);
}

#[test]
fn intervals_are_those_of_the_books() {
    // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611.
    let close = |(low, high): (f64, f64), expected: (f64, f64)| {
        assert!((low - expected.0).abs() < 5e-5, "{low}");
        assert!((high - expected.1).abs() < 5e-5, "{high}");
    };
    close(wilson(81, 263), (0.2553, 0.3662));
    close(wilson(0, 20), (0.0, 0.1611));
    let clusters: Vec<(usize, usize)> = (0..100).map(|no| (no % 2, 1)).collect();
    let (low, high) = bootstrap(&clusters);
    assert!(
        (0.38..0.45).contains(&low) && (0.55..0.62).contains(&high),
        "{low} {high}"
    );
}
