//! What happens to reports on their way: lost, late, doubled, out of order, with wrong times.

use super::chance::{
    Purpose, about_normal, exponential_ms, generator, happens, heavy_tail_ms, mixed, poisson_times,
    whole, within,
};
use super::reporting::{Origin, Report, Source, What};
use crate::clock::Millis;
use crate::topology::ElementNo;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// How bad the reports are. Rates are shares of 0 to 1 unless they say otherwise, times are
/// milliseconds. At rate 0 an impairment changes nothing.
///
/// Alarms of unrelated dark homes and spurious ones are never missed: their number is what was
/// asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Impairments {
    /// Alarms of which nothing is ever heard, each for itself.
    pub missed: f64,
    /// OLTs of which nothing is heard for a time.
    pub olt_reports_lost: f64,
    /// How long.
    pub olt_reports_lost_ms: [i64; 2],
    /// How often the poller is down, per day, and how long.
    pub poller_outages_per_day: f64,
    pub poller_outage_ms: [i64; 2],
    /// Reports that are late, and by how much (Pareto, most of them near the least).
    pub late: f64,
    pub late_ms: [i64; 2],
    /// Reports that others overtake, and by how much they are held up.
    pub reordered: f64,
    pub reordered_ms: [i64; 2],
    /// Reports that arrive twice.
    pub duplicated: f64,
    /// Deviation of the clocks of sources from the true time.
    pub clock_skew_ms: f64,
    /// Alarms about nothing, per hour and 100,000 homes; most are over in a minute.
    pub spurious_per_hour: f64,
    /// Homes that are dark for their own reasons at the start.
    pub dark_homes: u32,
    /// How long such a home stays dark on average; as many come as go.
    pub dark_home_stay_ms: i64,
    /// Share of homes that hang on another splitter than the topology says.
    pub wrong_topology: f64,
    /// Ends of alarms that are never told.
    pub lost_clears: f64,
    /// The same for dying gasps: many OLTs log them and never take them back.
    pub gasps_never_cleared: f64,
}

impl Default for Impairments {
    /// What a network of fair quality does.
    fn default() -> Self {
        Self {
            missed: 0.03,
            olt_reports_lost: 0.01,
            olt_reports_lost_ms: [5 * 60_000, 30 * 60_000],
            poller_outages_per_day: 0.05,
            poller_outage_ms: [2 * 60_000, 20 * 60_000],
            late: 0.02,
            late_ms: [5_000, 600_000],
            reordered: 0.02,
            reordered_ms: [500, 5_000],
            duplicated: 0.01,
            clock_skew_ms: 1_500.0,
            spurious_per_hour: 4.0,
            dark_homes: 500,
            dark_home_stay_ms: 48 * 3_600_000,
            wrong_topology: 0.02,
            lost_clears: 0.01,
            gasps_never_cleared: 0.5,
        }
    }
}

impl Impairments {
    /// Every report, at once, in order, with the right time, and no others.
    pub fn none() -> Self {
        Self {
            missed: 0.0,
            olt_reports_lost: 0.0,
            poller_outages_per_day: 0.0,
            late: 0.0,
            reordered: 0.0,
            duplicated: 0.0,
            clock_skew_ms: 0.0,
            spurious_per_hour: 0.0,
            dark_homes: 0,
            wrong_topology: 0.0,
            lost_clears: 0.0,
            gasps_never_cleared: 0.0,
            ..Self::default()
        }
    }
}

/// A time in which the poller is down.
pub(super) type Outage = [Millis; 2];

/// What reaches us, and when.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrival {
    Report(Report),
    Stale,
    Heard,
    SnapshotBegin,
    SnapshotEnd,
}

/// Something that arrives from a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) at_ms: Millis,
    pub(super) source: Source,
    /// By how much the clock of its source is wrong.
    pub(super) skew_ms: i64,
    pub(super) what: Arrival,
}

/// How reports get through in one scenario.
pub(super) struct Way<'a> {
    pub(super) impairments: &'a Impairments,
    pub(super) seed: u64,
    pub(super) from_ms: Millis,
    pub(super) until_ms: Millis,
    /// The poller's heartbeat.
    pub(super) heartbeat_ms: i64,
}

impl Way<'_> {
    /// Sends the reports on their way; what comes of it, in order of arrival.
    pub(super) fn send(&self, mut reports: Vec<Report>) -> Vec<Arrived> {
        reports.sort_by_key(|report| (report.at_ms, report.instance, !report.is_raise));
        self.lose_single(&mut reports);
        self.lose_whole_olts(&mut reports);
        self.lose_clears(&mut reports);
        let skews = self.skews();
        let mut arrived = self.poller_outages(&mut reports);
        arrived.extend(self.delayed(reports));
        for one in &mut arrived {
            one.skew_ms = skews.get(&one.source).copied().unwrap_or(0);
        }
        // Stable: what arrives at one time stays in the order in which it was sent.
        arrived.sort_by_key(|one| one.at_ms);
        arrived
    }

    fn lose_single(&self, reports: &mut Vec<Report>) {
        let mut rng = generator(self.seed, Purpose::Missed);
        let mut missed: HashSet<u32> = HashSet::new();
        reports.retain(|report| {
            if !matches!(report.origin, Origin::Fault(_)) {
                return true;
            }
            if report.is_raise && happens(self.impairments.missed, &mut rng) {
                missed.insert(report.instance);
            }
            !missed.contains(&report.instance)
        });
    }

    /// Whether an OLT falls silent is decided for each OLT that says anything at all.
    fn lose_whole_olts(&self, reports: &mut Vec<Report>) {
        let heard_of_olt = |report: &Report| {
            let of_olt = matches!(report.source, Source::OltsA | Source::OltsB);
            report.condition.by.filter(|_| of_olt)
        };
        let olts: BTreeSet<ElementNo> = reports.iter().filter_map(heard_of_olt).collect();
        let mut silent: BTreeMap<ElementNo, [Millis; 2]> = BTreeMap::new();
        for olt in olts {
            let mut rng = generator(mixed(self.seed) ^ u64::from(olt.0), Purpose::MissedTogether);
            if happens(self.impairments.olt_reports_lost, &mut rng) {
                let length_ms = within(self.impairments.olt_reports_lost_ms, &mut rng);
                let latest_ms = (self.until_ms - length_ms / 2).max(self.from_ms);
                let from_ms = rng.random_range(self.from_ms - length_ms / 2..=latest_ms);
                silent.insert(olt, [from_ms, from_ms + length_ms]);
            }
        }
        reports.retain(|report| {
            let window = heard_of_olt(report).and_then(|olt| silent.get(&olt));
            window.is_none_or(|[from, until]| !(*from..*until).contains(&report.at_ms))
        });
    }

    fn lose_clears(&self, reports: &mut Vec<Report>) {
        let mut rng = generator(self.seed, Purpose::LostClears);
        reports.retain(|report| {
            if report.is_raise {
                return true;
            }
            let rate = if report.condition.what == What::DyingGasp {
                self.impairments.gasps_never_cleared
            } else {
                self.impairments.lost_clears
            };
            !happens(rate, &mut rng)
        });
    }

    /// While the poller is down it says nothing; back again, it lists what is active.
    fn poller_outages(&self, reports: &mut Vec<Report>) -> Vec<Arrived> {
        let mut rng = generator(self.seed, Purpose::MissedTogether);
        let per_hour = self.impairments.poller_outages_per_day / 24.0;
        let begins = poisson_times(per_hour, self.from_ms, self.until_ms, &mut rng);
        let mut arrived = Vec::new();
        let mut over_ms = self.from_ms;
        for begin_ms in begins {
            if begin_ms < over_ms {
                continue;
            }
            over_ms = begin_ms + within(self.impairments.poller_outage_ms, &mut rng).max(1);
            arrived.extend(self.poller_outage([begin_ms, over_ms], reports));
        }
        arrived
    }

    fn poller_outage(
        &self,
        [from_ms, until_ms]: Outage,
        reports: &mut Vec<Report>,
    ) -> Vec<Arrived> {
        let mut active: BTreeMap<u32, Report> = BTreeMap::new();
        reports.retain(|report| {
            if report.source != Source::Poller || report.at_ms >= until_ms {
                return true;
            }
            if report.is_raise {
                active.insert(report.instance, *report);
            } else {
                active.remove(&report.instance);
            }
            report.at_ms < from_ms
        });
        let say = |at_ms, what| Arrived {
            at_ms,
            source: Source::Poller,
            skew_ms: 0,
            what,
        };
        let mut arrived = Vec::new();
        let stale_ms = from_ms + 2 * self.heartbeat_ms;
        if stale_ms < until_ms {
            arrived.push(say(stale_ms, Arrival::Stale));
            arrived.push(say(until_ms, Arrival::Heard));
        }
        arrived.push(say(until_ms, Arrival::SnapshotBegin));
        for report in active.into_values() {
            arrived.push(say(until_ms, Arrival::Report(report)));
        }
        arrived.push(say(until_ms, Arrival::SnapshotEnd));
        arrived
    }

    fn delayed(&self, reports: Vec<Report>) -> Vec<Arrived> {
        let mut late = generator(self.seed, Purpose::Late);
        let mut reordered = generator(self.seed, Purpose::Reordered);
        let mut duplicated = generator(self.seed, Purpose::Duplicated);
        let mut arrived = Vec::with_capacity(reports.len());
        for report in reports {
            let mut at_ms = report.at_ms + report.latency_ms;
            // Both are drawn always, so that a rate does not change what others draw.
            let by_ms = heavy_tail_ms(self.impairments.late_ms, &mut late);
            if happens(self.impairments.late, &mut late) {
                at_ms += by_ms;
            }
            let by_ms = within(self.impairments.reordered_ms, &mut reordered);
            if happens(self.impairments.reordered, &mut reordered) {
                at_ms += by_ms;
            }
            let once = Arrived {
                at_ms,
                source: report.source,
                skew_ms: 0,
                what: Arrival::Report(report),
            };
            arrived.push(once);
            let again_ms = exponential_ms(3_000.0, &mut duplicated);
            if happens(self.impairments.duplicated, &mut duplicated) {
                arrived.push(Arrived {
                    at_ms: at_ms + again_ms,
                    ..once
                });
            }
        }
        arrived
    }

    fn skews(&self) -> BTreeMap<Source, i64> {
        let mut rng = generator(self.seed, Purpose::Skew);
        let deviation = self.impairments.clock_skew_ms;
        let skew = |source| (source, whole(about_normal(deviation, &mut rng)));
        Source::ALL.into_iter().map(skew).collect()
    }
}
