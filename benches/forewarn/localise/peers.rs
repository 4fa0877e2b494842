//! Other ways to find what has failed, on the same alarms: what is active at the end.
//!
//! - Hit ratio: SCORE (Kompella, Yates, Greenberg, Snoeren, NSDI 2005). Observations are dark
//!   subscribers, where an alarm of a part darkens all whom the part alone cuts off; candidates are
//!   elements, links and shared-risk groups; of those with a hit ratio over the threshold the one
//!   that explains most is taken, until none explains anything more.
//! - Clusters in time and distance: DBSCAN over alarms with the default metric and settings of
//!   `OpenNMS` ALEC, `alpha * (beta * minutes + (1 - beta) * hops)`, clusters of two or more; the
//!   component is the nearest common dominator. A hop counts a quarter, or the homes of one splitter
//!   would never be neighbours (chosen by reasoning, not tuned).
//! - Downstream: the topmost alarmed parts, with everything that hangs on them, redundancy ignored.
//!
//! None is asked about single premises, as Forewarn is not.

use super::score::Found;
use forewarn::alarm::{AlarmBook, LogEntry, ServiceEffect};
use forewarn::topology::{ElementNo, GroupNo, Network, Part, SubscriberSet};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::ops::Range;

/// Names of what [`Peers::find`] tries, in its order.
pub(crate) const PEERS: [&str; 4] = [
    "hit ratio 0.5 (SCORE)",
    "hit ratio 0.8 (SCORE)",
    "DBSCAN in time and distance (ALEC)",
    "everything downstream",
];

const ALPHA: f64 = 144.471_176_99;
const BETA: f64 = 0.552_577_84;
const EPSILON: f64 = 100.0;
const HOP: f64 = 0.25;
/// More hops are never within epsilon.
const MOST_HOPS: u32 = 6;

/// What the peers need to know of a network, once.
pub(crate) struct Peers<'a> {
    network: &'a Network,
    groups_of: HashMap<Part, Vec<GroupNo>>,
    link_into: HashMap<ElementNo, Part>,
}

/// Places of what a candidate explains; they do not count in comparing candidates.
struct Places(Vec<Range<usize>>);

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

impl PartialOrd for Places {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Places {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

/// An active loss alarm.
struct Alarm {
    part: Part,
    at_ms: i64,
}

impl<'a> Peers<'a> {
    pub(crate) fn new(network: &'a Network) -> Self {
        let mut groups_of: HashMap<Part, Vec<GroupNo>> = HashMap::new();
        for group in (0..).map(GroupNo).take(network.group_count()) {
            for &member in network.group_members(group) {
                groups_of.entry(member).or_default().push(group);
            }
        }
        let links = (0..)
            .map(forewarn::topology::LinkNo)
            .take(network.link_count());
        let link_into = links.filter_map(|link| {
            let (_, b) = network.link_ends(link);
            let is_sole = network.parents(b).take(2).count() == 1;
            is_sole.then_some((b, Part::Link(link)))
        });
        Self {
            network,
            groups_of,
            link_into: link_into.collect(),
        }
    }

    /// What each of [`PEERS`] finds.
    pub(crate) fn find(&self, entries: &[LogEntry]) -> [Vec<Found>; 4] {
        let alarms = self.active(entries);
        [
            self.hit_ratio(&alarms, 0.5),
            self.hit_ratio(&alarms, 0.8),
            self.clusters(&alarms),
            self.downstream(&alarms),
        ]
    }

    /// Active loss alarms at known parts.
    fn active(&self, entries: &[LogEntry]) -> Vec<Alarm> {
        let mut book = AlarmBook::new();
        for entry in entries {
            book.apply(entry);
        }
        let alarms = book.iter().map(|(_, alarm)| alarm);
        let active = alarms.filter(|a| a.is_active() && a.effect() == ServiceEffect::Loss);
        let mut active: Vec<Alarm> = active
            .filter_map(|alarm| {
                Some(Alarm {
                    part: self.network.part(&alarm.key().resource)?,
                    at_ms: alarm.raised_ms(),
                })
            })
            .collect();
        active.sort_by_key(|alarm| (alarm.at_ms, alarm.part));
        active
    }

    fn found(&self, part: Part) -> Found {
        Found {
            parts: vec![part],
            lost: self.network.lost_alone(part),
            confirmed_ms: None,
            named_ms: None,
        }
    }

    /// The element where an alarm is: of a link the far end.
    fn element(&self, part: Part) -> Option<ElementNo> {
        match part {
            Part::Element(element) => Some(element),
            Part::Link(link) => Some(self.network.link_ends(link).1),
            Part::Group(_) => None,
        }
    }

    fn way_up(&self, from: ElementNo) -> impl Iterator<Item = ElementNo> + '_ {
        std::iter::successors(Some(from), |&e| self.network.immediate_dominator(e))
    }

    fn hit_ratio(&self, alarms: &[Alarm], threshold: f64) -> Vec<Found> {
        let mut dark = Vec::new();
        let mut candidates: BTreeSet<Part> = BTreeSet::new();
        for alarm in alarms {
            dark.extend_from_slice(self.network.lost_alone(alarm.part).runs());
            candidates.insert(alarm.part);
            let Some(element) = self.element(alarm.part) else {
                continue;
            };
            for above in self.way_up(element) {
                let link = self.link_into.get(&above).copied();
                for part in std::iter::once(Part::Element(above)).chain(link) {
                    candidates.insert(part);
                    let groups = self.groups_of.get(&part).into_iter().flatten();
                    candidates.extend(groups.map(|&group| Part::Group(group)));
                }
            }
        }
        let dark: Vec<u32> = SubscriberSet::from_runs(dark).iter().collect();
        let mut is_open = vec![true; dark.len()];
        let place = |rank: u32| dark.partition_point(|&other| other < rank);
        // A candidate with the dark ones it explains, as ranges of places; most first, and of equals
        // the first in order.
        let mut heap = BinaryHeap::new();
        for part in candidates {
            let set = self.network.lost_alone(part);
            let runs = set.runs().iter();
            let places: Vec<Range<usize>> = runs.map(|run| place(run.0)..place(run.1)).collect();
            let hits: usize = places.iter().map(ExactSizeIterator::len).sum();
            if set.len() >= 2 && hits as f64 / set.len() as f64 >= threshold {
                heap.push((hits, Reverse(part), Places(places)));
            }
        }
        let mut found = Vec::new();
        while let Some((claimed, Reverse(part), Places(places))) = heap.pop() {
            let still = places
                .iter()
                .cloned()
                .flatten()
                .filter(|&at| is_open[at])
                .count();
            if still < claimed {
                // Others have explained a part of it meanwhile.
                if still >= 2 {
                    heap.push((still, Reverse(part), Places(places)));
                }
                continue;
            }
            if still < 2 {
                break;
            }
            places
                .into_iter()
                .flatten()
                .for_each(|at| is_open[at] = false);
            found.push(self.found(part));
        }
        found
    }

    fn clusters(&self, alarms: &[Alarm]) -> Vec<Found> {
        // By each element nearby: which alarms are how many hops below it.
        let mut below: BTreeMap<ElementNo, Vec<(usize, u32)>> = BTreeMap::new();
        for (no, alarm) in alarms.iter().enumerate() {
            let Some(element) = self.element(alarm.part) else {
                continue;
            };
            for (above, hops) in self.way_up(element).zip(0..=MOST_HOPS) {
                below.entry(above).or_default().push((no, hops));
            }
        }
        let mut cluster_of: Vec<usize> = (0..alarms.len()).collect();
        for near in below.values() {
            for (at, &(one, hops)) in near.iter().enumerate() {
                for &(other, more) in &near[at + 1..] {
                    let minutes = (alarms[one].at_ms - alarms[other].at_ms).abs() as f64 / 60_000.0;
                    let hops = f64::from(hops + more) * HOP;
                    if ALPHA * (BETA * minutes + (1.0 - BETA) * hops) <= EPSILON {
                        join(&mut cluster_of, one, other);
                    } else if alarms[other].at_ms - alarms[one].at_ms > 120_000 {
                        // In order of time: what follows is further away still.
                        break;
                    }
                }
            }
        }
        let mut clusters: BTreeMap<usize, Vec<ElementNo>> = BTreeMap::new();
        for (no, alarm) in alarms.iter().enumerate() {
            let members = clusters.entry(root(&mut cluster_of, no)).or_default();
            members.extend(self.element(alarm.part));
        }
        let clusters = clusters.into_values().filter(|members| members.len() >= 2);
        let common = clusters.filter_map(|members| self.common_dominator(&members));
        let common: BTreeSet<ElementNo> = common.collect();
        let found = common.into_iter().map(|e| self.found(Part::Element(e)));
        found.filter(|found| found.lost.len() >= 2).collect()
    }

    fn common_dominator(&self, members: &[ElementNo]) -> Option<ElementNo> {
        let mut common = *members.first()?;
        for &member in members {
            common = self
                .way_up(common)
                .find(|&e| self.network.dominates(e, member))?;
        }
        Some(common)
    }

    fn downstream(&self, alarms: &[Alarm]) -> Vec<Found> {
        let alarmed: BTreeSet<ElementNo> = alarms
            .iter()
            .filter(|alarm| self.network.lost_alone(alarm.part).len() != 1)
            .filter_map(|alarm| self.element(alarm.part))
            .collect();
        let topmost = alarmed.iter().copied().filter(|&element| {
            !self
                .way_up(element)
                .skip(1)
                .any(|above| alarmed.contains(&above))
        });
        let found = topmost.map(|element| Found {
            parts: vec![Part::Element(element)],
            lost: self.descendants(element),
            confirmed_ms: None,
            named_ms: None,
        });
        found.filter(|found| found.lost.len() >= 2).collect()
    }

    /// Whom the elements serve that hang on this one, on whatever else they hang as well.
    fn descendants(&self, element: ElementNo) -> SubscriberSet {
        let mut seen = BTreeSet::from([element]);
        let mut open = vec![element];
        let mut runs = Vec::new();
        while let Some(at) = open.pop() {
            runs.extend_from_slice(self.network.lost_alone(Part::Element(at)).runs());
            for child in self.network.children(at) {
                let transits = self.network.kind(child).transits_by_default();
                // A child that hangs here alone is in the run of this one already.
                let is_alone = self.network.immediate_dominator(child) == Some(at);
                if !transits && !is_alone && seen.insert(child) {
                    open.push(child);
                }
            }
        }
        SubscriberSet::from_runs(runs)
    }
}

fn root(cluster_of: &mut [usize], mut no: usize) -> usize {
    while cluster_of[no] != no {
        cluster_of[no] = cluster_of[cluster_of[no]];
        no = cluster_of[no];
    }
    no
}

fn join(cluster_of: &mut [usize], one: usize, other: usize) {
    let (one, other) = (root(cluster_of, one), root(cluster_of, other));
    cluster_of[one.max(other)] = one.min(other);
}
