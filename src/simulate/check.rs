//! Which settings can be played: every value by itself, and how much would happen in all.

use super::customers::Customers;
use super::impairment::Impairments;
use super::reporting::Reporting;
use super::world::World;
use std::fmt::{self, Display};

/// A setting with a value that it may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// For instance `impairments.missed`.
    pub key: String,
    pub value: String,
    /// What it may be.
    pub expected: String,
}

impl Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            value,
            expected,
        } = self;
        write!(f, "{key} = {value}: expected {expected}")
    }
}

const DAY_MS: i64 = 86_400_000;
/// Longer than any report can matter.
const MONTH_MS: i64 = 31 * DAY_MS;
const YEAR_MS: i64 = 366 * DAY_MS;
/// More polls than this are an outage of the poller.
const MOST_POLLS: i64 = 1_000;
/// An alarm about nothing per home and hour.
const MOST_SPURIOUS: f64 = 100_000.0;
const MOST_OUTAGES_PER_DAY: f64 = 100.0;
/// A contact every second.
const MOST_PER_MINUTE: f64 = 60.0;
const MOST_FACTOR: f64 = 1_000.0;
/// Homes that come and go faster are flapping, not dark.
const LEAST_STAY_MS: i64 = 60_000;
/// Faster than a million there is nothing left to see, slower than a thousandth nothing ever comes.
const SPEEDS: [f64; 2] = [0.001, 1_000_000.0];
/// Most unrelated happenings in one scenario: minutes of work and some gigabytes.
const MOST_HAPPENINGS: f64 = 10_000_000.0;

/// Everything that is wrong with settings, value by value, in their order.
pub fn check_settings(
    reporting: &Reporting,
    impairments: &Impairments,
    customers: &Customers,
) -> Vec<SettingProblem> {
    let mut check = Check {
        section: "reporting",
        problems: Vec::new(),
    };
    check.reporting(reporting);
    check.section = "impairments";
    check.impairments(impairments);
    check.section = "customers";
    check.customers(customers);
    check.problems
}

/// Whether alarms can be sent so many times faster than they come.
pub fn check_speed(speed: f64) -> Option<SettingProblem> {
    let [least, most] = SPEEDS;
    // NaN is in no range.
    let problem = || SettingProblem {
        key: "--speed".to_owned(),
        value: speed.to_string(),
        expected: format!("a number from {least} to {most}"),
    };
    (!(least..=most).contains(&speed)).then(problem)
}

/// Impairments that a network has not the homes for, or that would make too much of nothing happen on it
/// in so many milliseconds.
pub fn check_amount(
    world: &World,
    impairments: &Impairments,
    duration_ms: i64,
) -> Vec<SettingProblem> {
    let duration_ms = duration_ms as f64;
    let homes = world.homes().len() as f64;
    let spurious = impairments.spurious_per_hour * homes / 100_000.0 * duration_ms / 3_600_000.0;
    let dark = f64::from(impairments.dark_homes).min(world.onts().len() as f64);
    let dark = dark * (1.0 + duration_ms / impairments.dark_home_stay_ms.max(1) as f64);
    let per_hour = impairments.spurious_per_hour.to_string();
    let stay = impairments.dark_home_stay_ms.to_string();
    let amounts = [
        (
            "spurious_per_hour",
            per_hour,
            spurious,
            "alarms about nothing",
        ),
        ("dark_home_stay_ms", stay, dark, "dark homes"),
    ];
    let too_many = amounts
        .into_iter()
        .filter(|(_, _, amount, _)| *amount > MOST_HAPPENINGS);
    let mut problems: Vec<SettingProblem> = too_many
        .map(|(name, value, amount, what)| SettingProblem {
            key: format!("impairments.{name}"),
            value,
            expected: format!(
                "what makes at most {MOST_HAPPENINGS} {what} on this network in that time, not \
                 {amount:.0}"
            ),
        })
        .collect();
    let most = world.onts().len();
    if impairments.dark_homes as usize > most {
        problems.push(SettingProblem {
            key: "impairments.dark_homes".to_owned(),
            value: impairments.dark_homes.to_string(),
            expected: format!("a whole number from 0 to {most}, the homes of this network"),
        });
    }
    problems
}

struct Check {
    section: &'static str,
    problems: Vec<SettingProblem>,
}

impl Check {
    fn reporting(&mut self, reporting: &Reporting) {
        // All of them, so that nobody forgets one.
        let Reporting {
            port_alarm_hides_onts,
            los_ms,
            back_ms,
            latency_ms,
            burst_gap_ms,
            gasp_heard,
            offline_after_gasp,
            offline_ms,
            link_down_ms,
            out_of_band,
            poll_every_ms,
            missed_polls,
            poll_timeout_ms,
            poller_heartbeat_ms,
            degraded_onts,
            sessions_every_ms,
            session_timeout_ms,
            session_alarm: _,
        } = *reporting;
        self.share("port_alarm_hides_onts", port_alarm_hides_onts);
        self.range("los_ms", los_ms);
        self.range("back_ms", back_ms);
        self.range("latency_ms", latency_ms);
        self.time("burst_gap_ms", burst_gap_ms, [0, DAY_MS]);
        self.share("gasp_heard", gasp_heard);
        self.share("offline_after_gasp", offline_after_gasp);
        self.range("offline_ms", offline_ms);
        self.range("link_down_ms", link_down_ms);
        self.share("out_of_band", out_of_band);
        self.time("poll_every_ms", poll_every_ms, [1, DAY_MS]);
        if !(1..=MOST_POLLS).contains(&missed_polls) {
            let expected = format!("a whole number from 1 to {MOST_POLLS}");
            self.problem("missed_polls", missed_polls, expected);
        }
        self.time("poll_timeout_ms", poll_timeout_ms, [0, DAY_MS]);
        self.time("poller_heartbeat_ms", poller_heartbeat_ms, [1, DAY_MS]);
        self.share("degraded_onts", degraded_onts);
        self.time("sessions_every_ms", sessions_every_ms, [0, DAY_MS]);
        self.time("session_timeout_ms", session_timeout_ms, [0, DAY_MS]);
    }

    fn impairments(&mut self, impairments: &Impairments) {
        let Impairments {
            missed,
            olt_reports_lost,
            olt_reports_lost_ms,
            poller_outages_per_day,
            poller_outage_ms,
            late,
            late_ms,
            reordered,
            reordered_ms,
            duplicated,
            clock_skew_ms,
            spurious_per_hour,
            // How many there are is a matter of the network.
            dark_homes: _,
            dark_home_stay_ms,
            wrong_topology,
            lost_clears,
            gasps_never_cleared,
        } = *impairments;
        self.share("missed", missed);
        self.share("olt_reports_lost", olt_reports_lost);
        self.range("olt_reports_lost_ms", olt_reports_lost_ms);
        let outages = MOST_OUTAGES_PER_DAY;
        self.number("poller_outages_per_day", poller_outages_per_day, outages);
        self.range("poller_outage_ms", poller_outage_ms);
        self.share("late", late);
        self.range("late_ms", late_ms);
        self.share("reordered", reordered);
        self.range("reordered_ms", reordered_ms);
        self.share("duplicated", duplicated);
        self.number("clock_skew_ms", clock_skew_ms, MONTH_MS as f64);
        self.number("spurious_per_hour", spurious_per_hour, MOST_SPURIOUS);
        self.time(
            "dark_home_stay_ms",
            dark_home_stay_ms,
            [LEAST_STAY_MS, 10 * YEAR_MS],
        );
        self.share("wrong_topology", wrong_topology);
        self.share("lost_clears", lost_clears);
        self.share("gasps_never_cleared", gasps_never_cleared);
    }

    fn customers(&mut self, customers: &Customers) {
        let Customers {
            notice_ms,
            business_notice_ms,
            untold_per_minute,
            told_late_per_minute,
            told_in_time_per_minute,
            business_factor,
            vulnerable_factor,
            patience_ms,
        } = *customers;
        self.time("notice_ms", notice_ms, [0, MONTH_MS]);
        self.time("business_notice_ms", business_notice_ms, [0, MONTH_MS]);
        for (name, hazard) in [
            ("untold_per_minute", untold_per_minute),
            ("told_late_per_minute", told_late_per_minute),
            ("told_in_time_per_minute", told_in_time_per_minute),
        ] {
            self.number(name, hazard, MOST_PER_MINUTE);
        }
        self.number("business_factor", business_factor, MOST_FACTOR);
        self.number("vulnerable_factor", vulnerable_factor, MOST_FACTOR);
        self.time("patience_ms", patience_ms, [0, YEAR_MS]);
    }

    fn share(&mut self, name: &str, share: f64) {
        if !(0.0..=1.0).contains(&share) {
            self.problem(name, share, "a share from 0 to 1".to_owned());
        }
    }

    fn number(&mut self, name: &str, number: f64, most: f64) {
        if !(0.0..=most).contains(&number) {
            self.problem(name, number, format!("a number from 0 to {most}"));
        }
    }

    fn time(&mut self, name: &str, ms: i64, [least, most]: [i64; 2]) {
        if !(least..=most).contains(&ms) {
            self.problem(name, ms, format!("milliseconds from {least} to {most}"));
        }
    }

    fn range(&mut self, name: &str, [least, most]: [i64; 2]) {
        if !(0 <= least && least <= most && most <= MONTH_MS) {
            let expected = format!(
                "the least and the most, in this order, in milliseconds from 0 to {MONTH_MS}"
            );
            self.problem(name, format!("[{least}, {most}]"), expected);
        }
    }

    fn problem(&mut self, name: &str, value: impl Display, expected: String) {
        self.problems.push(SettingProblem {
            key: format!("{}.{name}", self.section),
            value: value.to_string(),
            expected,
        });
    }
}
