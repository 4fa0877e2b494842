//! Each kind of fault says what its physics says, and nothing else.

use super::*;
use forewarn::alarm::ServiceEffect;
use rstest::rstest;
use std::collections::BTreeSet;

const ONT_TYPES: [&str; 4] = ["los", "onu-los", "dying-gasp", "offline"];
const LIGHT_TYPES: [&str; 3] = ["los", "onu-los", "pon-los"];

fn play(fault: Fault) -> Simulation {
    Simulation::new(world(), &scenario(vec![fault]))
}

/// ONTs under the ends of the failed parts, by id, sorted.
fn onts_below(fault: &Fault) -> Vec<&'static str> {
    let network = world().network();
    let parts = fault.parts();
    let cut = network.cut_off(&parts);
    let elements =
        (0..u32::try_from(network.element_count()).unwrap()).map(forewarn::topology::ElementNo);
    let onts = elements.filter(|&e| network.kind(e) == ElementKind::Ont && cut.is_cut_off(e));
    let mut ids: Vec<&str> = onts.map(|e| network.part_id(Part::Element(e))).collect();
    ids.sort_unstable();
    ids
}

#[rstest]
#[case(FaultKind::FeederCut)]
#[case(FaultKind::DistributionCut)]
#[case(FaultKind::DropCut)]
fn cut_fibre_takes_the_light_and_nobody_gasps(#[case] kind: FaultKind) {
    for seed in 0..8 {
        let fault = draw(kind, seed);
        let dark = onts_below(&fault);
        let simulation = play(fault);
        assert!(
            raised(
                &simulation,
                &["dying-gasp", "offline", "link-down", "unreachable"]
            )
            .is_empty()
        );
        let ports = raised(&simulation, &["pon-los"]);
        assert_eq!(
            ports.len(),
            usize::from(kind == FaultKind::FeederCut),
            "{seed}"
        );
        let onts = raised(&simulation, &["los", "onu-los"]);
        assert!(
            onts == dark || (onts.is_empty() && ports.len() == 1),
            "{kind:?}: {onts:?}"
        );
        assert_eq!(raises(&simulation).count(), onts.len() + ports.len());
    }
}

#[test]
fn some_olts_hide_their_onts_behind_the_alarm_of_the_port() {
    let hidden = (0..30).filter(|&seed| {
        let mut scenario = scenario(vec![draw(FaultKind::FeederCut, seed)]);
        scenario.seed = seed;
        let simulation = Simulation::new(world(), &scenario);
        raised(&simulation, &["los", "onu-los"]).is_empty()
    });
    let hidden = hidden.count();
    assert!((4..=20).contains(&hidden), "{hidden} of 30");
}

#[test]
fn a_failed_port_says_so_itself() {
    let fault = draw(FaultKind::PonPort, 2);
    let simulation = play(fault);
    assert_eq!(raised(&simulation, &["port-down"]).len(), 1);
    assert!(raised(&simulation, &["pon-los", "dying-gasp"]).is_empty());
}

#[test]
fn a_line_card_takes_several_ports_of_one_olt_and_its_name_is_in_no_topology() {
    let fault = draw(FaultKind::LineCard, 2);
    let ports = fault.parts().len();
    assert!(ports > 2);
    let simulation = play(fault);
    assert_eq!(raised(&simulation, &["port-down"]).len(), ports);
    let cards = raised(&simulation, &["card-failure"]);
    assert_eq!(cards.len(), 1);
    assert_eq!(world().network().part(cards[0]), None);
    assert_eq!(
        kind_of(cards[0].split('/').next().unwrap()),
        Some(ElementKind::Olt)
    );
}

#[test]
fn a_dead_olt_says_nothing_of_its_onts() {
    for seed in 0..8 {
        let fault = draw(FaultKind::OltDeath, seed);
        let olt = world().network().part_id(fault.parts()[0]);
        let simulation = play(fault);
        assert!(raised(&simulation, &ONT_TYPES).is_empty());
        assert!(raised(&simulation, &["pon-los", "port-down"]).is_empty());
        assert_eq!(raised(&simulation, &["unreachable"]), [olt]);
        assert!(!raised(&simulation, &["link-down"]).is_empty());
        let at_ms = |alarm_type: &str| {
            raises(&simulation)
                .find(|event| event.key.alarm_type == alarm_type)
                .map(|event| event.event_at_ms - simulation.truth.faults[0].fault.onset_ms())
                .unwrap()
        };
        assert!(at_ms("link-down") < 2_000);
        assert!(
            (60_000..=100_000).contains(&at_ms("unreachable")),
            "{}",
            at_ms("unreachable")
        );
    }
}

#[rstest]
#[case(FaultKind::AggregationNode)]
#[case(FaultKind::RingDouble)]
#[case(FaultKind::Upstream)]
fn above_the_olts_the_light_stays_on(#[case] kind: FaultKind) {
    for seed in 0..6 {
        let fault = draw(kind, seed);
        let lost = world().network().lost(&fault.parts());
        assert!(!lost.is_empty());
        let simulation = play(fault);
        assert!(
            raised(&simulation, &ONT_TYPES).is_empty(),
            "{kind:?} {seed}"
        );
        let silent = raised(&simulation, &["unreachable", "device-down", "link-down"]);
        assert!(!silent.is_empty(), "{kind:?} {seed}");
        assert!(!simulation.samples.is_empty());
    }
}

#[test]
fn who_is_managed_out_of_band_is_never_unreachable_and_tells_of_its_links() {
    let fault = draw(FaultKind::RingDouble, 1);
    let mut all = scenario(vec![fault.clone()]);
    all.reporting.out_of_band = 1.0;
    let mut none = all.clone();
    none.reporting.out_of_band = 0.0;
    let (all, none) = (
        Simulation::new(world(), &all),
        Simulation::new(world(), &none),
    );
    let unreachable = ["unreachable", "device-down"];
    let failed: Vec<&str> = fault
        .parts()
        .iter()
        .map(|&p| world().network().part_id(p))
        .collect();
    assert!(
        raised(&all, &unreachable)
            .iter()
            .all(|id| failed.contains(id))
    );
    assert!(raised(&none, &unreachable).len() > raised(&all, &unreachable).len());
    assert!(raised(&none, &["link-down"]).len() < raised(&all, &["link-down"]).len());
}

#[test]
fn a_cut_duct_hits_a_ring_link_and_several_feeders() {
    let simulation = play(draw(FaultKind::DuctCut, 3));
    assert!(raised(&simulation, &["pon-los"]).len() > 1);
    let links = raised(&simulation, &["link-down"]);
    assert_eq!(links.len(), 2, "both ends of one link: {links:?}");
    assert!(raised(&simulation, &["dying-gasp"]).is_empty());
}

#[test]
fn streets_without_mains_gasp_and_then_are_silent() {
    let fault = draw(FaultKind::StreetPower, 5);
    let onset_ms = fault.onset_ms();
    let without = fault.stages[0].failed.len();
    let simulation = play(fault);
    let gasps = raised(&simulation, &["dying-gasp"]);
    let share = gasps.len() as f64 / without as f64;
    assert!(
        without > 30 && (0.6..0.9).contains(&share),
        "{} of {without}",
        gasps.len()
    );
    assert!(gasps.iter().all(|id| kind_of(id) == Some(ElementKind::Ont)));
    let first_minute = raises(&simulation).filter(|e| e.event_at_ms < onset_ms + MINUTE);
    let gasps_then = first_minute
        .filter(|e| e.key.alarm_type == "dying-gasp")
        .count();
    assert!(gasps_then * 10 >= gasps.len() * 9);
}

#[test]
fn sites_run_on_batteries_and_drop_out_one_after_another() {
    let fault = draw(FaultKind::RegionalPower, 1);
    assert!(fault.stages.len() > 3, "{} stages", fault.stages.len());
    let simulation = play(fault);
    let on_battery: Vec<_> = raises(&simulation)
        .filter(|event| event.key.alarm_type == "power-failure")
        .collect();
    assert!(!on_battery.is_empty());
    assert!(
        on_battery
            .iter()
            .all(|e| e.detail.service_effect == Some(ServiceEffect::None))
    );
    let dead: BTreeSet<&str> = raised(&simulation, &["unreachable"]).into_iter().collect();
    let stages = &simulation.truth.faults[0].stages;
    assert!(
        stages
            .windows(2)
            .any(|pair| pair[1].lost.len() > pair[0].lost.len())
    );
    assert!(!dead.is_empty());
}

#[test]
fn what_flaps_is_told_as_often_as_it_can_be_seen() {
    let fault = draw(FaultKind::Flapping, 8);
    let downs = fault.stages.iter().filter(|s| !s.failed.is_empty()).count();
    let simulation = play(fault);
    let mut of_one = std::collections::BTreeMap::new();
    for event in raises(&simulation) {
        *of_one.entry(&event.key).or_insert(0) += 1;
    }
    assert!(of_one.values().all(|count| *count <= downs));
    assert!(
        downs >= 4 && of_one.values().any(|count| *count >= 2),
        "{of_one:?}"
    );
}

#[test]
fn bad_light_costs_nobody_service() {
    let simulation = play(draw(FaultKind::Degradation, 1));
    let bad = raised(&simulation, &["low-optical-power"]);
    assert_eq!(raises(&simulation).count(), bad.len());
    assert!(!bad.is_empty());
    assert!(simulation.truth.faults[0].ever_lost().is_empty());
}

#[test]
fn planned_work_keeps_its_window_or_overruns_it() {
    let kept = (0..40).map(|seed| {
        let fault = draw(FaultKind::PlannedWork, seed);
        let [from, until] = fault.window_ms.unwrap();
        assert_eq!(from, fault.onset_ms());
        fault.end_ms().unwrap() <= until
    });
    let kept = kept.filter(|kept| *kept).count();
    assert!((25..40).contains(&kept), "{kept} of 40");
}

#[test]
fn every_alarm_ends_when_its_fault_does() {
    for kind in FaultKind::ALL {
        let simulation = play(draw(kind, 4));
        let mut open = std::collections::BTreeMap::new();
        for event in simulation.entries.iter().filter_map(event) {
            let newest = open.entry(&event.key).or_insert((0, false));
            *newest = (*newest).max((event.event_at_ms, event.kind == AlarmEventKind::Raise));
        }
        let left: Vec<_> = open.iter().filter(|(_, (_, raised))| *raised).collect();
        assert!(left.is_empty(), "{kind:?}: {left:?}");
    }
}

#[test]
fn the_truth_of_the_light_is_what_is_reported() {
    // Whoever is told of by the light is without service, at that time.
    for seed in 0..4 {
        let simulation = play(draw(FaultKind::FeederCut, seed));
        let lost = simulation.truth.faults[0].ever_lost();
        for event in
            raises(&simulation).filter(|e| LIGHT_TYPES.contains(&e.key.alarm_type.as_str()))
        {
            let part = world().network().part(&event.key.resource).unwrap();
            let behind = world().network().lost_alone(part);
            assert!(behind.difference(&lost).is_empty());
        }
    }
}
