//! The simulator: the same every time, true to the network, and each fault and impairment what it
//! claims to be.

mod command;
mod faults;
mod impairments;
mod truth;

use forewarn::alarm::{AlarmEvent, AlarmEventKind, LogEntry, LogRecord};
use forewarn::generate::{GenerateSettings, Generated, generate};
use forewarn::simulate::{
    DrawSettings, Fault, FaultKind, Impairments, Origin, Reporting, SCENARIOS, Scenario,
    Simulation, World, draw_fault, draw_touching, named_scenario,
};
use forewarn::topology::{ElementKind, Part};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::OnceLock;

const START_MS: i64 = 1_795_000_000_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn generated() -> &'static Generated {
    static GENERATED: OnceLock<Generated> = OnceLock::new();
    GENERATED.get_or_init(|| generate(&GenerateSettings::embedded(6_000, 4).unwrap()).unwrap())
}

/// Six thousand subscribers.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::new(&generated().definition, &generated().subscribers).unwrap())
}

/// A perfect way for reports of these faults, for six hours.
fn scenario(faults: Vec<Fault>) -> Scenario {
    Scenario {
        faults,
        reporting: Reporting::default(),
        impairments: Impairments::none(),
        seed: 11,
        start_ms: START_MS,
        duration_ms: 6 * HOUR,
    }
}

fn draw(kind: FaultKind, seed: u64) -> Fault {
    let settings = DrawSettings {
        lasting_ms: [2 * HOUR, 3 * HOUR],
        ..DrawSettings::default()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    draw_fault(world(), kind, START_MS + 10 * MINUTE, &settings, &mut rng)
        .unwrap_or_else(|| panic!("no place for {kind:?}"))
}

fn event(entry: &LogEntry) -> Option<&AlarmEvent> {
    match &entry.record {
        LogRecord::Event(event) => Some(event),
        _ => None,
    }
}

fn raises(simulation: &Simulation) -> impl Iterator<Item = &AlarmEvent> {
    let events = simulation.entries.iter().filter_map(event);
    events.filter(|event| event.kind == AlarmEventKind::Raise)
}

/// Raises of these types, by resource, sorted.
fn raised<'a>(simulation: &'a Simulation, types: &[&str]) -> Vec<&'a str> {
    let mut resources: Vec<&str> = raises(simulation)
        .filter(|event| types.contains(&event.key.alarm_type.as_str()))
        .map(|event| event.key.resource.as_str())
        .collect();
    resources.sort_unstable();
    resources
}

fn kind_of(resource: &str) -> Option<ElementKind> {
    match world().network().part(resource) {
        Some(Part::Element(element)) => Some(world().network().kind(element)),
        _ => None,
    }
}

#[test]
fn the_same_seed_gives_the_same_alarms_and_another_does_not() {
    for (name, _, _) in SCENARIOS {
        let play = |seed| {
            let scenario = named_scenario(world(), name, seed, START_MS, 6 * HOUR).unwrap();
            Simulation::new(world(), &scenario)
        };
        let (one, same, other) = (play(1), play(1), play(2));
        assert!(
            one.entries == same.entries && one.samples == same.samples,
            "{name}"
        );
        assert!(one.entries != other.entries, "{name}");
        let network = world().network();
        assert_eq!(one.truth.to_json(network), same.truth.to_json(network));
    }
    assert!(named_scenario(world(), "no such", 1, START_MS, HOUR).is_none());
}

#[test]
fn entries_are_a_log() {
    let scenario = named_scenario(world(), "busy-day", 3, START_MS, 12 * HOUR).unwrap();
    let simulation = Simulation::new(world(), &scenario);
    assert!(
        simulation.entries.len() > 500,
        "{}",
        simulation.entries.len()
    );
    assert_eq!(simulation.entries.len(), simulation.origins.len());
    let mut sequences = std::collections::BTreeMap::new();
    let mut last_ms = i64::MIN;
    for (entry, position) in simulation.entries.iter().zip(1..) {
        assert_eq!(entry.position, position);
        assert!(entry.received_at_ms >= last_ms);
        last_ms = entry.received_at_ms;
        if entry.sequence > 0 {
            let before = sequences.insert(entry.source, entry.sequence).unwrap_or(0);
            assert_eq!(entry.sequence, before + 1);
        }
    }
    let of_faults = simulation.origins.iter().flatten();
    let with_alarms: std::collections::BTreeSet<u32> = of_faults
        .filter_map(|origin| match origin {
            Origin::Fault(no) => Some(*no),
            _ => None,
        })
        .collect();
    assert_eq!(with_alarms.len(), scenario.faults.len());
}
