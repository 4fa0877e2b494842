//! Who lost service later than an incident began: behind parts that failed later, as when the battery of
//! an OLT ends hours after the power went, or the second link of a ring breaks.

use super::Incident;
use crate::clock::Millis;
use crate::topology::{Network, Part, SubscriberSet};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// A part fails later than its incident begins when it does so by more than this: reports of one fault
/// are spread over minutes. Parts that fail within as long of one another count as one step.
pub(super) const FAILED_LATER_MS: Millis = 5 * 60_000;

/// Parts of an incident that failed later than it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaterParts {
    /// When the first of them failed, by the clock of the sources.
    pub since_ms: Millis,
    /// Their ids, sorted.
    pub resources: Vec<String>,
}

/// Of the parts of an incident, with the time at which each failed, those that failed later than it
/// began, in steps. One that is among the `known` keeps the earlier time.
pub(super) fn later_parts(
    failed: &[(Part, Millis)],
    onset_ms: Millis,
    known: &[LaterParts],
    network: &Network,
) -> Vec<LaterParts> {
    let known: HashMap<&str, Millis> = known
        .iter()
        .flat_map(|step| step.resources.iter().map(|id| (id.as_str(), step.since_ms)))
        .collect();
    let mut steps: BTreeMap<Millis, LaterParts> = BTreeMap::new();
    for &(part, failed_ms) in failed {
        let id = network.part_id(part);
        let since_ms = known.get(id).map_or(failed_ms, |at| failed_ms.min(*at));
        if since_ms <= onset_ms + FAILED_LATER_MS {
            continue;
        }
        let step = steps
            .entry((since_ms - onset_ms) / FAILED_LATER_MS)
            .or_insert_with(|| LaterParts {
                since_ms,
                resources: Vec::new(),
            });
        step.since_ms = step.since_ms.min(since_ms);
        step.resources.push(id.to_owned());
    }
    let mut steps: Vec<LaterParts> = steps.into_values().collect();
    for step in &mut steps {
        step.resources.sort_unstable();
    }
    steps
}

/// Who of those without service by an incident lost it later than the incident began, and since when;
/// in order of time. Exact: whom its parts cut off that had failed by then, and nobody sooner.
pub fn joined_later(incident: &Incident, network: &Network) -> Vec<(Millis, SubscriberSet)> {
    let steps = &incident.life.later;
    if steps.is_empty() {
        return Vec::new();
    }
    let step_of: HashMap<&str, usize> = steps
        .iter()
        .enumerate()
        .flat_map(|(at, step)| step.resources.iter().map(move |id| (id.as_str(), at)))
        .collect();
    let mut failed: Vec<Part> = Vec::new();
    let mut later: Vec<Vec<Part>> = vec![Vec::new(); steps.len()];
    for id in &incident.cause.resources {
        let Some(part) = network.part(id) else {
            continue;
        };
        let step = step_of.get(id.as_str()).and_then(|at| later.get_mut(*at));
        step.unwrap_or(&mut failed).push(part);
    }
    let mut lost = network.lost(&failed);
    let mut joined = Vec::new();
    for (step, parts) in steps.iter().zip(later) {
        if parts.is_empty() {
            continue;
        }
        failed.extend(parts);
        let now = network.lost(&failed);
        let people = now.difference(&lost);
        if !people.is_empty() {
            joined.push((step.since_ms, people));
        }
        lost = now;
    }
    joined
}
