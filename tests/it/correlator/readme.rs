//! What the README shows leads to what it says.

use super::*;
use forewarn::topology::read_topology;
use serde_json::Value;

const README: &str = include_str!("../../../README.md");

/// Lines of the README that begin so.
fn lines(start: &str) -> String {
    let lines = README.lines().filter(|line| line.starts_with(start));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_alarms_of_the_readme_make_a_confirmed_incident_and_one_alone_does_not() {
    let records = lines("{\"type\":");
    let definition = read_topology(records.as_bytes(), "n.jsonl", None).unwrap();
    let person: Value = serde_json::from_str(&lines("{\"account\":")).unwrap();
    let attached = Attachment {
        account: person["account"].as_str().unwrap().to_owned(),
        served_by: vec![person["served_by"][0].as_str().unwrap().to_owned()],
        redundancy: Redundancy::Any,
    };
    let network = Arc::new(Network::build(&definition, &[attached]).unwrap());
    let events: Vec<(String, String)> = lines("{\"sequence\":")
        .replace("$(date +%s000)", "0")
        .lines()
        .map(|line| {
            let event = serde_json::from_str::<Value>(line).unwrap()["event"].clone();
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            (text("resource"), text("alarm_type"))
        })
        .collect();
    assert_eq!(events.len(), 2);
    for (sent, state) in [(2, Confirmed), (1, Suspected)] {
        let mut desk = Desk::with(CorrelatorSettings::default(), Arc::clone(&network));
        for (resource, alarm_type) in &events[..sent] {
            desk.raise(SECOND, alarm_type, &[resource]);
        }
        desk.until(90 * SECOND);
        assert_eq!(desk.open(), [one(1, "pon-1-1", state, 1)]);
        desk.until(60 * MINUTE);
        assert_eq!(desk.open(), [one(1, "pon-1-1", state, 1)]);
    }
}
