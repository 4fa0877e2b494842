//! How well what was found agrees with what happened.
//!
//! A found component is right when it is one of the true ones: the same parts, or parts that cut
//! off exactly the same subscribers and so cannot be told apart; of a fault of several parts that
//! each cost somebody service alone, each part is right as well. A fault is found when the
//! components that are right for it together name exactly its subscribers. A fault of which not one
//! alarm has arrived cannot be found from alarms: it is counted apart.

use forewarn::simulate::{FaultKind, Truth, World};
use forewarn::topology::{Network, Part, SubscriberSet};

/// A component that somebody says has failed, by the numbers of the believed network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Sorted.
    pub(crate) parts: Vec<Part>,
    pub(crate) lost: SubscriberSet,
    pub(crate) confirmed_ms: Option<i64>,
    /// When it first named these parts: the event before that decided.
    pub(crate) named_ms: Option<i64>,
}

/// A fault that has happened, by the numbers of the believed network.
#[derive(Clone, Debug)]
pub(crate) struct True {
    pub(crate) kind: FaultKind,
    /// Whether anything has been heard of it.
    is_heard: bool,
    parts: Vec<Part>,
    /// Whom its parts cut off if the believed network is right.
    expected: SubscriberSet,
    /// What each of several parts costs alone.
    alone: Vec<(Part, SubscriberSet)>,
}

/// What is true at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) faults: Vec<True>,
    /// Who has really no service.
    lost: SubscriberSet,
    /// Who would have, but for faults that something was heard of.
    lost_by_heard: SubscriberSet,
}

/// Counts of one trial, or of many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Score {
    pub(crate) found: usize,
    pub(crate) found_right: usize,
    pub(crate) faults: usize,
    pub(crate) faults_found: usize,
    pub(crate) told: usize,
    pub(crate) told_right: usize,
    pub(crate) lost_told: usize,
    pub(crate) lost: usize,
    /// Faults of which not one alarm arrived: they do not count for recall.
    pub(crate) unheard: usize,
    /// Per fault: its kind, whether it was found if it was heard of, and from when on.
    pub(crate) of_faults: Vec<(FaultKind, Option<bool>, Option<[i64; 2]>)>,
}

impl Expected {
    /// `heard` says of each fault whether any of its alarms has arrived.
    pub(crate) fn at(
        world: &World,
        truth: &Truth,
        heard: &[bool],
        believed: &Network,
        at_ms: i64,
    ) -> Self {
        let faults = truth.faults.iter().zip(heard).map(|(fault, &is_heard)| {
            let failed = fault.at(at_ms).map_or(&[][..], |stage| &stage.failed);
            let mut parts: Vec<Part> = failed
                .iter()
                .filter_map(|&part| believed.part(world.network().part_id(part)))
                .collect();
            parts.sort_unstable();
            let alone = |&part: &Part| (part, believed.lost_alone(part));
            True {
                kind: fault.fault.kind,
                is_heard,
                expected: believed.lost(&parts),
                alone: parts.iter().map(alone).collect(),
                parts,
            }
        });
        let lost = truth.lost_at(world.network(), at_ms);
        let heard = truth.faults.iter().zip(heard).filter(|(_, heard)| **heard);
        let heard = heard.filter_map(|(fault, _)| fault.at(at_ms));
        let heard: Vec<Part> = heard.flat_map(|stage| stage.failed.clone()).collect();
        let lost_by_heard = world.network().lost(&heard);
        Self {
            faults: faults.collect(),
            lost: world.carry_over(&lost, believed),
            lost_by_heard: world.carry_over(&lost_by_heard, believed),
        }
    }

    /// What was found and is wrong, and what was not found, in words.
    pub(crate) fn mistakes(&self, found: &[Found], believed: &Network) -> Vec<String> {
        let ids = |parts: &[Part]| -> Vec<String> {
            let each = parts.iter().take(6);
            each.map(|&part| believed.part_id(part).to_owned())
                .collect()
        };
        let wrong = found
            .iter()
            .filter(|one| !self.faults.iter().any(|fault| fault.is_named_by(one)));
        let wrong =
            wrong.map(|one| format!("wrong: {:?}, {} lost", ids(&one.parts), one.lost.len()));
        let missed = self.faults.iter().filter(|fault| {
            fault.is_heard && !found.iter().any(|one| fault.is_wholly_named_by(one))
        });
        let missed = missed.map(|fault| {
            let (parts, lost) = (ids(&fault.parts), fault.expected.len());
            format!("not wholly found: {:?} {parts:?}, {lost} lost", fault.kind)
        });
        let mut all: Vec<String> = wrong.chain(missed).collect();
        if !all.is_empty() {
            let faults = self.faults.iter();
            all.extend(faults.map(|f| {
                format!(
                    "  true: {:?} {:?}, {} lost",
                    f.kind,
                    ids(&f.parts),
                    f.expected.len()
                )
            }));
        }
        all
    }

    pub(crate) fn score(&self, found: &[Found]) -> Score {
        let mut score = Score {
            found: found.len(),
            lost: self.lost_by_heard.len(),
            ..Score::default()
        };
        let is_right = |one: &&Found| self.faults.iter().any(|fault| fault.is_named_by(one));
        score.found_right = found.iter().filter(is_right).count();
        for fault in &self.faults {
            let right: Vec<&Found> = found.iter().filter(|one| fault.is_named_by(one)).collect();
            let runs = right.iter().flat_map(|one| one.lost.runs());
            let named = SubscriberSet::from_runs(runs.copied().collect());
            let is_found = right.iter().any(|one| fault.is_wholly_named_by(one))
                || (!right.is_empty() && named == fault.expected);
            if !fault.is_heard {
                score.unheard += 1;
                score.of_faults.push((fault.kind, None, None));
                continue;
            }
            score.faults += 1;
            score.faults_found += usize::from(is_found);
            let times = right.iter().filter_map(|one| {
                let confirmed_ms = one.confirmed_ms?;
                Some([confirmed_ms, one.named_ms.unwrap_or(confirmed_ms)])
            });
            score
                .of_faults
                .push((fault.kind, Some(is_found), times.min()));
        }
        let runs = found.iter().flat_map(|one| one.lost.runs());
        let told = SubscriberSet::from_runs(runs.copied().collect());
        score.told = told.len();
        score.told_right = told.intersection(&self.lost).len();
        score.lost_told = told.intersection(&self.lost_by_heard).len();
        score
    }
}

impl True {
    fn is_wholly_named_by(&self, found: &Found) -> bool {
        found.parts == self.parts || (!found.lost.is_empty() && found.lost == self.expected)
    }

    fn is_named_by(&self, found: &Found) -> bool {
        let is_one_of_several = || {
            self.alone.iter().any(|(part, lost)| {
                !lost.is_empty() && (found.parts == [*part] || found.lost == *lost)
            })
        };
        self.is_wholly_named_by(found) || is_one_of_several()
    }
}

impl Score {
    pub(crate) fn add(&mut self, other: &Self) {
        self.found += other.found;
        self.found_right += other.found_right;
        self.faults += other.faults;
        self.faults_found += other.faults_found;
        self.told += other.told;
        self.told_right += other.told_right;
        self.lost_told += other.lost_told;
        self.lost += other.lost;
        self.unheard += other.unheard;
        self.of_faults.extend_from_slice(&other.of_faults);
    }

    /// Component precision and recall, subscriber precision and recall, as (right, of).
    pub(crate) fn shares(&self) -> [(usize, usize); 4] {
        [
            (self.found_right, self.found),
            (self.faults_found, self.faults),
            (self.told_right, self.told),
            (self.lost_told, self.lost),
        ]
    }
}

/// Names of [`Score::shares`].
pub(crate) const SHARES: [&str; 4] = [
    "component precision",
    "component recall",
    "subscriber precision",
    "subscriber recall",
];
