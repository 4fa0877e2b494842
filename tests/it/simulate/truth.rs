//! Who has really lost service, against a plain search of the whole graph.

use super::*;
use forewarn::topology::{NetworkDefinition, Redundancy};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Accounts that no path from a gateway serves: everything is visited again and again until nothing
/// changes.
fn without_service(definition: &NetworkDefinition, failed: &HashSet<&str>) -> BTreeSet<String> {
    let transits: HashMap<&str, bool> = definition
        .elements
        .iter()
        .map(|e| {
            (
                e.id.as_str(),
                e.transit.unwrap_or_else(|| e.kind.transits_by_default()),
            )
        })
        .collect();
    let mut arcs: Vec<(&str, &str)> = Vec::new();
    for link in definition
        .links
        .iter()
        .filter(|l| !failed.contains(l.id.as_str()))
    {
        let (a, b) = (link.a.as_str(), link.b.as_str());
        match (transits[a], transits[b]) {
            (true, true) => arcs.extend([(a, b), (b, a)]),
            (false, true) => arcs.push((b, a)),
            _ => arcs.push((a, b)),
        }
    }
    let alive = |id: &str| !failed.contains(id);
    let mut up: HashSet<&str> = definition
        .elements
        .iter()
        .filter(|e| e.gateway && alive(&e.id))
        .map(|e| e.id.as_str())
        .collect();
    loop {
        let before = up.len();
        for &(from, to) in &arcs {
            if up.contains(from) && alive(to) {
                up.insert(to);
            }
        }
        if up.len() == before {
            break;
        }
    }
    let subscribers = generated().subscribers.iter();
    subscribers
        .filter(|s| {
            let mut serving = s.served_by.iter().map(|id| up.contains(id.as_str()));
            !match s.redundancy {
                Redundancy::Any => serving.any(|up| up),
                Redundancy::All => serving.all(|up| up),
            }
        })
        .map(|s| s.account.clone())
        .collect()
}

fn ids(parts: &[Part]) -> HashSet<&'static str> {
    let network = world().network();
    let primitive = parts.iter().flat_map(|&part| match part {
        Part::Group(group) => network.group_members(group).to_vec(),
        part => vec![part],
    });
    primitive.map(|part| network.part_id(part)).collect()
}

#[test]
fn every_stage_of_every_kind_of_fault() {
    let network = world().network();
    for kind in FaultKind::ALL {
        for seed in 0..2 {
            let fault = draw(kind, seed);
            let simulation = Simulation::new(world(), &scenario(vec![fault]));
            let truth = &simulation.truth.faults[0];
            let (first, last) = (truth.stages.first().unwrap(), truth.stages.last().unwrap());
            let middle = &truth.stages[truth.stages.len() / 2];
            for stage in [first, middle, last] {
                let expected = without_service(&generated().definition, &ids(&stage.failed));
                let lost = network.subscribers(&stage.lost);
                let lost: BTreeSet<String> = lost.map(|s| network.account(s).to_owned()).collect();
                assert_eq!(lost, expected, "{kind:?} at {}", stage.at_ms);
            }
            assert!(
                last.failed.is_empty() && last.lost.is_empty(),
                "{kind:?} comes to an end"
            );
        }
    }
}

#[test]
fn faults_together_may_cost_more_than_each_alone() {
    let ring = world().rings().iter().find(|ring| ring.len() > 3).unwrap();
    let ends = [ring[0], *ring.last().unwrap()];
    let faults = ends.map(|end| {
        let part = vec![Part::Element(end)];
        Fault::lasting(FaultKind::AggregationNode, part, START_MS + MINUTE, None)
    });
    let simulation = Simulation::new(world(), &scenario(faults.to_vec()));
    let together = simulation.truth.lost_at(world().network(), START_MS + HOUR);
    let alone: usize = simulation
        .truth
        .faults
        .iter()
        .map(|f| f.ever_lost().len())
        .sum();
    assert!(together.len() > alone, "{} and {alone}", together.len());
    let failed = ids(&ends.map(Part::Element));
    assert_eq!(
        together.len(),
        without_service(&generated().definition, &failed).len()
    );
    assert!(
        simulation
            .truth
            .lost_at(world().network(), START_MS)
            .is_empty()
    );
}

#[test]
fn restoration_in_steps_brings_people_back_step_by_step() {
    let fault = Fault::lasting(
        FaultKind::DuctCut,
        draw(FaultKind::DuctCut, 1).parts(),
        START_MS + MINUTE,
        Some(START_MS + 3 * HOUR),
    );
    let stepwise = fault.restored_in(world(), 3, 20 * MINUTE);
    let simulation = Simulation::new(world(), &scenario(vec![stepwise]));
    let stages = &simulation.truth.faults[0].stages;
    let lost: Vec<usize> = stages.iter().map(|stage| stage.lost.len()).collect();
    assert_eq!(stages.len(), 4);
    assert!(
        lost.windows(2).all(|pair| pair[1] < pair[0]) && lost[3] == 0,
        "{lost:?}"
    );
    assert_eq!(stages[3].at_ms - stages[2].at_ms, 20 * MINUTE);
}

#[test]
fn sessions_fall_with_those_who_lost_service() {
    let fault = draw(FaultKind::FeederCut, 3);
    let lost = world().network().lost(&fault.parts()).len() as f64;
    let simulation = Simulation::new(world(), &scenario(vec![fault]));
    let counts: Vec<f64> = simulation
        .samples
        .iter()
        .map(|sample| sample.value)
        .collect();
    let [before, without, again] = counts[..] else {
        panic!("{counts:?}");
    };
    assert!(
        before - without >= lost && (before - again).abs() < 0.5,
        "{counts:?}, {lost} lost"
    );
}

#[test]
fn faults_drawn_to_touch_do_so_while_both_last() {
    const KINDS: [FaultKind; 5] = [
        FaultKind::FeederCut,
        FaultKind::LineCard,
        FaultKind::OltDeath,
        FaultKind::AggregationNode,
        FaultKind::StreetPower,
    ];
    let network = world().network();
    let settings = DrawSettings {
        lasting_ms: [10 * MINUTE, 40 * MINUTE],
        ..DrawSettings::default()
    };
    let (mut first_ends_first, mut pairs) = (0, 0);
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let Some([a, b]) = draw_touching(world(), &KINDS, START_MS, &settings, &mut rng) else {
            continue;
        };
        pairs += 1;
        let (first, second) = if a.onset_ms() <= b.onset_ms() {
            (&a, &b)
        } else {
            (&b, &a)
        };
        assert_eq!(first.onset_ms(), START_MS);
        assert!(second.onset_ms() <= first.end_ms().unwrap());
        first_ends_first += usize::from(first.end_ms() < second.end_ms());
        let cut = [&a, &b].map(|fault| network.cut_off(&fault.parts()));
        let lost = [&a, &b].map(|fault| network.lost(&fault.parts()).len());
        let together = network.lost(&[a.parts(), b.parts()].concat()).len();
        let hides = |cut: &forewarn::topology::CutOff, fault: &Fault| {
            let mut parts = fault.parts().into_iter();
            parts.any(|part| match part {
                Part::Link(link) => {
                    let (upper, lower) = network.link_ends(link);
                    cut.is_cut_off(upper) || cut.is_cut_off(lower)
                }
                part => cut.takes(part, network),
            })
        };
        assert!(
            together != lost[0] + lost[1] || hides(&cut[0], &b) || hides(&cut[1], &a),
            "{a:?} and {b:?} do not touch"
        );
    }
    assert!(pairs >= 20, "{pairs} pairs");
    assert!(
        (1..pairs).contains(&first_ends_first),
        "{first_ends_first} of {pairs}"
    );
}
