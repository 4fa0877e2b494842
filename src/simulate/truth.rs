//! What really happened.

use super::chance::whole;
use super::fault::{Fault, FaultKind};
use super::noise::DarkHome;
use super::world::World;
use crate::clock::Millis;
use crate::topology::{Network, Part, SubscriberSet};
use serde::Serialize;
use std::collections::BTreeMap;

/// What really happened, by ranks and parts of the world's network.
#[derive(Clone, Debug)]
pub struct Truth {
    pub faults: Vec<FaultTruth>,
    pub dark_homes: Vec<DarkHome>,
}

/// One fault with whom it cost their service.
#[derive(Clone, Debug)]
pub struct FaultTruth {
    pub fault: Fault,
    /// One for each stage of the fault.
    pub stages: Vec<StageTruth>,
}

/// How things are after one stage of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageTruth {
    pub at_ms: Millis,
    /// What is failed now, sorted.
    pub failed: Vec<Part>,
    /// Who has no service because of this fault alone.
    pub lost: SubscriberSet,
}

impl Truth {
    pub(super) fn of(world: &World, faults: &[Fault], dark_homes: Vec<DarkHome>) -> Self {
        let faults = faults.iter().map(|fault| FaultTruth {
            stages: stages(world, fault),
            fault: fault.clone(),
        });
        Self {
            faults: faults.collect(),
            dark_homes,
        }
    }

    /// Who has no service at an instant because of faults, also of several together; dark homes do
    /// not count.
    pub fn lost_at(&self, network: &Network, at_ms: Millis) -> SubscriberSet {
        let failed = self.faults.iter().filter_map(|fault| fault.at(at_ms));
        let failed: Vec<Part> = failed.flat_map(|stage| stage.failed.clone()).collect();
        network.lost(&failed)
    }

    /// As JSON: ids and accounts instead of numbers.
    pub fn to_json(&self, network: &Network) -> serde_json::Value {
        let faults: Vec<FaultJson> = self
            .faults
            .iter()
            .map(|f| FaultJson::of(f, network))
            .collect();
        let dark_homes: Vec<DarkHomeJson> = self
            .dark_homes
            .iter()
            .map(|home| DarkHomeJson {
                ont: network.part_id(Part::Element(home.ont)).to_owned(),
                since_ms: home.since_ms,
                until_ms: home.until_ms,
            })
            .collect();
        serde_json::json!({ "faults": faults, "dark_homes": dark_homes })
    }
}

impl FaultTruth {
    /// How things are at an instant; `None` before the onset.
    pub fn at(&self, at_ms: Millis) -> Option<&StageTruth> {
        self.stages.iter().rev().find(|stage| stage.at_ms <= at_ms)
    }

    /// Everybody who has no service at some time because of it.
    pub fn ever_lost(&self) -> SubscriberSet {
        let runs = self.stages.iter().flat_map(|stage| stage.lost.runs());
        SubscriberSet::from_runs(runs.copied().collect())
    }
}

fn stages(world: &World, fault: &Fault) -> Vec<StageTruth> {
    let mut failed: BTreeMap<Part, u32> = BTreeMap::new();
    let mut stages = Vec::with_capacity(fault.stages.len());
    for stage in &fault.stages {
        for part in &stage.failed {
            *failed.entry(*part).or_default() += 1;
        }
        for &part in &stage.restored {
            if failed.remove(&part).is_none() {
                restore_member(world, part, &mut failed);
            }
        }
        let now: Vec<Part> = failed.keys().copied().collect();
        stages.push(StageTruth {
            at_ms: stage.at_ms,
            lost: world.network().lost(&now),
            failed: now,
        });
    }
    stages
}

/// What comes back may be one member of a group that failed as a whole.
fn restore_member(world: &World, part: Part, failed: &mut BTreeMap<Part, u32>) {
    let holds = |group: &Part| match group {
        Part::Group(no) => world.network().group_members(*no).contains(&part),
        _ => false,
    };
    let Some(group) = failed.keys().copied().find(holds) else {
        return;
    };
    failed.remove(&group);
    for member in world.primitive(&[group]) {
        if member != part {
            *failed.entry(member).or_default() += 1;
        }
    }
}

#[derive(Serialize)]
struct FaultJson {
    kind: FaultKind,
    parts: Vec<String>,
    onset_ms: Millis,
    end_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_ms: Option<[Millis; 2]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded_below: Vec<String>,
    /// All stages together: people times minutes.
    lost_minutes: i64,
    stages: Vec<StageJson>,
}

#[derive(Serialize)]
struct StageJson {
    at_ms: Millis,
    failed: Vec<String>,
    lost_count: usize,
    lost: Vec<String>,
}

#[derive(Serialize)]
struct DarkHomeJson {
    ont: String,
    since_ms: Millis,
    until_ms: Option<Millis>,
}

impl FaultJson {
    fn of(truth: &FaultTruth, network: &Network) -> Self {
        let ids = |parts: &[Part]| -> Vec<String> {
            parts
                .iter()
                .map(|&part| network.part_id(part).to_owned())
                .collect()
        };
        let stages = truth.stages.iter().map(|stage| {
            let accounts = network.subscribers(&stage.lost);
            StageJson {
                at_ms: stage.at_ms,
                failed: ids(&stage.failed),
                lost_count: stage.lost.len(),
                lost: accounts.map(|s| network.account(s).to_owned()).collect(),
            }
        });
        let minutes = truth.stages.windows(2).map(|pair| match pair {
            [stage, next] => stage.lost.len() as f64 * (next.at_ms - stage.at_ms) as f64 / 60_000.0,
            _ => 0.0,
        });
        let degraded = truth.fault.degraded.iter();
        let degraded: Vec<Part> = degraded.map(|&e| Part::Element(e)).collect();
        Self {
            kind: truth.fault.kind,
            parts: ids(&truth.fault.parts()),
            onset_ms: truth.fault.onset_ms(),
            end_ms: truth.fault.end_ms(),
            window_ms: truth.fault.window_ms,
            degraded_below: ids(&degraded),
            lost_minutes: whole(minutes.sum()),
            stages: stages.collect(),
        }
    }
}
