//! What a BNG sees: sessions by PON port.

use super::chance::{Purpose, generator, within};
use super::reporting::{Condition, Origin, Report, Reporting, Source, What};
use super::truth::Truth;
use super::world::World;
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, Part, SubscriberSet};
use std::collections::{BTreeMap, BTreeSet};

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
        let mut is_silent = false;
        for (seen_ms, without) in seen(&changes, settings.session_timeout_ms) {
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

/// How many sessions are seen to be gone, from each instant at which that changes. A session that ends
/// is noticed when its keepalives have not been answered for so long, one that begins at once; what
/// comes back in time is not missed.
fn seen(changes: &BTreeMap<Millis, i64>, timeout_ms: Millis) -> BTreeMap<Millis, i64> {
    let mut without: BTreeMap<Millis, i64> = BTreeMap::new();
    let mut sum = 0;
    for (&at_ms, change) in changes {
        sum += change;
        without.insert(at_ms, sum);
    }
    let instants = without
        .keys()
        .flat_map(|&at_ms| [at_ms, at_ms + timeout_ms]);
    let instants: BTreeSet<Millis> = instants.collect();
    let mut seen = BTreeMap::new();
    let mut last = 0;
    for at_ms in instants {
        // Those that were gone all the time since.
        let since_ms = at_ms - timeout_ms;
        let before = without.range(..=since_ms).next_back();
        let before = before.map_or(0, |(_, &gone)| gone);
        let within = without.range(since_ms + 1..=at_ms).map(|(_, &gone)| gone);
        let gone = within.min().map_or(before, |least| least.min(before));
        if gone != last {
            seen.insert(at_ms, gone);
            last = gone;
        }
    }
    seen
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(changes: &[(Millis, i64)], expected: &[(Millis, i64)]) {
        let changes = changes.iter().copied().collect();
        let expected = expected.iter().copied().collect();
        assert_eq!(seen(&changes, 60), expected);
    }

    #[test]
    fn a_session_is_missed_when_it_has_been_gone_for_the_timeout() {
        check(&[(100, 5), (300, -5)], &[(160, 5), (300, 0)]);
        check(&[(100, 5), (130, -5)], &[]);
        check(&[(100, 5), (160, -5)], &[]);
        check(
            &[(100, 5), (110, -5), (120, 5), (500, -5)],
            &[(180, 5), (500, 0)],
        );
        check(
            &[(100, 5), (120, 2), (400, -1), (500, -6)],
            &[(160, 5), (180, 7), (400, 6), (500, 0)],
        );
        check(&[(100, 5), (130, -3), (200, -2)], &[(160, 2), (200, 0)]);
    }
}
