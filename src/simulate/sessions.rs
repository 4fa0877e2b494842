//! What a BNG sees: sessions by PON port.

use super::chance::{Purpose, generator, within};
use super::reporting::{Condition, Origin, Report, Reporting, Source, What};
use super::truth::Truth;
use super::world::World;
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, Part, SubscriberSet};
use std::collections::BTreeMap;

/// A measured value, as telemetry carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Id of the resource.
    pub resource: String,
    pub metric: &'static str,
    pub value: f64,
    pub sampled_at_ms: Millis,
}

/// The counts of the ports that faults touch: one before, and one after each change that the BNG
/// has noticed. And the alarms of ports that have lost all sessions, where it raises any.
pub(super) fn sessions(
    world: &World,
    truth: &Truth,
    settings: &Reporting,
    seed: u64,
    until_ms: Millis,
    first_instance: u32,
) -> (Vec<Sample>, Vec<Report>) {
    let every_ms = settings.sessions_every_ms;
    if every_ms <= 0 {
        return (Vec::new(), Vec::new());
    }
    let (lost, fault_of) = lost_by_port(world, truth);
    let mut samples = Vec::new();
    let mut reports = Vec::new();
    let mut rng = generator(seed ^ 1, Purpose::Reporting);
    let mut instance = first_instance;
    for (port, changes) in lost {
        let all = subscribers_on(world, port);
        let resource = world.network().part_id(Part::Element(port));
        let mut sample = |value: i64, sampled_at_ms| {
            samples.push(Sample {
                resource: resource.to_owned(),
                metric: "sessions",
                value: value as f64,
                sampled_at_ms,
            });
        };
        if let Some((&first_ms, _)) = changes.first_key_value() {
            sample(all, first_ms - first_ms.rem_euclid(every_ms));
        }
        let mut without = 0;
        let mut is_silent = false;
        for (at_ms, change) in changes {
            without += change;
            // A session that ends is noticed when its keepalives are not answered; one that begins
            // at once.
            let seen_ms = at_ms
                + if change > 0 {
                    settings.session_timeout_ms
                } else {
                    0
                };
            let tick_ms = seen_ms + every_ms - seen_ms.rem_euclid(every_ms);
            if tick_ms >= until_ms {
                break;
            }
            let left = (all - without).clamp(0, all);
            sample(left, tick_ms);
            if settings.session_alarm && (left == 0) != is_silent {
                is_silent = left == 0;
                reports.push(Report {
                    at_ms: tick_ms,
                    latency_ms: within(settings.latency_ms, &mut rng),
                    is_raise: is_silent,
                    condition: Condition {
                        what: What::Silent,
                        part: Part::Element(port),
                        by: None,
                    },
                    source: Source::Bng,
                    origin: Origin::Fault(fault_of.get(&port).copied().unwrap_or(0)),
                    instance,
                });
                instance += u32::from(!is_silent);
            }
        }
        instance += 1;
    }
    samples.sort_by(|a, b| (a.sampled_at_ms, &a.resource).cmp(&(b.sampled_at_ms, &b.resource)));
    (samples, reports)
}

/// Per port: how many more are lost from an instant on, and the first fault that touches it.
fn lost_by_port(
    world: &World,
    truth: &Truth,
) -> (
    BTreeMap<ElementNo, BTreeMap<Millis, i64>>,
    BTreeMap<ElementNo, u32>,
) {
    let mut lost: BTreeMap<ElementNo, BTreeMap<Millis, i64>> = BTreeMap::new();
    let mut fault_of: BTreeMap<ElementNo, u32> = BTreeMap::new();
    for (fault, no) in truth.faults.iter().zip(0..) {
        let mut before = SubscriberSet::new();
        for stage in &fault.stages {
            let gone = stage.lost.difference(&before);
            let back = before.difference(&stage.lost);
            for (set, sign) in [(gone, 1), (back, -1)] {
                for (port, count) in by_port(world, &set) {
                    fault_of.entry(port).or_insert(no);
                    *lost
                        .entry(port)
                        .or_default()
                        .entry(stage.at_ms)
                        .or_default() += sign * count;
                }
            }
            before = stage.lost.clone();
        }
    }
    (lost, fault_of)
}

fn by_port(world: &World, lost: &SubscriberSet) -> BTreeMap<ElementNo, i64> {
    let mut ports: BTreeMap<ElementNo, i64> = BTreeMap::new();
    for subscriber in world.network().subscribers(lost) {
        for serving in world.network().serving(subscriber) {
            if let Some(port) = world.above(serving, ElementKind::PonPort) {
                *ports.entry(port).or_default() += 1;
            }
        }
    }
    ports
}

fn subscribers_on(world: &World, port: ElementNo) -> i64 {
    let onts = world.onts_under(port).iter();
    let taken = onts.filter(|&&ont| world.subscriber_at(ont).is_some());
    i64::try_from(taken.count()).unwrap_or(i64::MAX)
}
