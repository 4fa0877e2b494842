//! Plays faults on a network and tells what a real one would report, with the truth beside it.
//!
//! The same world, scenario and seed give the same alarms. The reporting model follows what passive
//! optical access networks (ITU-T G.984, G.9807) and the systems above them really say:
//!
//! - **The state of an ONT is seen by its OLT only** (`los`, or `onu-los` at the other vendor,
//!   `dying-gasp`, `offline`). An OLT that is dead, or that its management system cannot reach, says
//!   nothing; back again, it tells the difference. So the death of an OLT, and any fault above it,
//!   raises no ONT alarm at all: the light is still there.
//! - A port on which every ONT is dark raises `pon-los`, whatever the reason; at some OLTs this
//!   alarm hides those of the ONTs. A port that fails itself raises `port-down`, a card
//!   `card-failure` under a name that no topology knows.
//! - **Cut fibre gives no dying gasp.** An ONT without mains gasps, and a share of the gasps is
//!   heard; then comes silence, which the OLT calls `offline` after tens of seconds, or nothing at
//!   all; ONTs whose gasp was lost look like a cut.
//! - A link between devices is reported as `link-down` from both ends, as far as each can be
//!   managed: over the network itself, or out of band at a share of the devices.
//! - A poller, which is a source of its own, says `unreachable` of an OLT and `device-down` of other
//!   devices after some missed polls, and takes it back with the next answer.
//! - Devices and ONTs on battery say `power-failure` without effect on service, and fall silent when
//!   the battery is empty.
//! - A BNG counts sessions by port ([`Sample`]): also where no alarm tells anything.
//!
//! On their way the reports suffer [`Impairments`].

mod chance;
mod check;
mod customers;
mod draw;
mod fault;
mod impairment;
mod misplace;
mod noise;
mod observer;
mod reporting;
mod scenario;
mod sessions;
mod truth;
mod world;

pub use check::{SettingProblem, check_amount, check_settings, check_speed};
pub use customers::{CustomerComplaint, Customers, complaints};
pub use draw::{DrawSettings, draw_apart, draw_fault, draw_over_time, draw_touching};
pub use fault::{Area, Batteries, Fault, FaultKind, OnBattery, Stage};
pub use impairment::Impairments;
pub use misplace::{Misplaced, believed, misplace};
pub use noise::DarkHome;
pub use reporting::{Origin, Reporting, Source};
pub use scenario::{SCENARIOS, named_scenario, random_scenario, scenario_kinds};
pub use sessions::Sample;
pub use truth::{FaultTruth, StageTruth, Truth};
pub use world::{Home, World, attachments};

use crate::alarm::{
    AlarmDetail, AlarmEvent, AlarmEventKind, AlarmKey, LogEntry, LogRecord, ServiceEffect,
};
use crate::clock::Millis;
use impairment::{Arrival, Arrived, Way};
use observer::Observer;
use reporting::{Report, What};
use std::collections::BTreeMap;

/// What is played.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub faults: Vec<Fault>,
    pub reporting: Reporting,
    pub impairments: Impairments,
    pub seed: u64,
    pub start_ms: Millis,
    pub duration_ms: i64,
}

/// What a played scenario gives.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// In the order of arrival, positions from 1 on; sequence numbers rise within each source.
    pub entries: Vec<LogEntry>,
    /// What each entry comes from; `None` for entries that are no alarm.
    pub origins: Vec<Option<Origin>>,
    /// In order of time.
    pub samples: Vec<Sample>,
    pub truth: Truth,
}

/// What happens at one instant.
#[derive(Clone, Copy)]
enum Event {
    DarkHome {
        no: usize,
        is_dark: bool,
    },
    Stage {
        fault: usize,
        stage: usize,
    },
    Battery {
        fault: usize,
        no: usize,
        is_on: bool,
    },
    Degrade {
        fault: usize,
        no: usize,
        is_bad: bool,
    },
}

impl Simulation {
    /// Plays a scenario. Wrong topology is no matter of the alarms: see [`misplace`].
    pub fn new(world: &World, scenario: &Scenario) -> Self {
        let until_ms = scenario.start_ms + scenario.duration_ms;
        let time = [scenario.start_ms, until_ms];
        let homes = noise::dark_homes(world, &scenario.impairments, scenario.seed, time);
        let truth = Truth::of(world, &scenario.faults, homes);
        let mut observer = Observer::new(world, &scenario.reporting, scenario.seed);
        for (at_ms, event) in events(&truth) {
            if at_ms < until_ms {
                play(&mut observer, &truth, at_ms, event);
            }
        }
        let (mut reports, mut instances) = observer.finish();
        let (reporting, impairments) = (&scenario.reporting, &scenario.impairments);
        let spurious = noise::spurious(
            world,
            reporting,
            impairments,
            scenario.seed,
            time,
            instances,
        );
        instances += noise::alarms(&spurious);
        reports.extend(spurious);
        let (samples, silent) =
            sessions::sessions(world, &truth, reporting, scenario.seed, until_ms, instances);
        reports.extend(silent);
        reports.retain(|report| report.at_ms < until_ms);
        let way = Way {
            impairments,
            seed: scenario.seed,
            from_ms: scenario.start_ms,
            until_ms,
            heartbeat_ms: reporting.poller_heartbeat_ms,
        };
        let mut arrived = way.send(reports);
        arrived.retain(|one| one.at_ms < until_ms);
        let (entries, origins) = entries(world, &arrived);
        Self {
            entries,
            origins,
            samples,
            truth,
        }
    }
}

/// Everything that happens, in order of time.
fn events(truth: &Truth) -> Vec<(Millis, Event)> {
    let mut events = Vec::new();
    for (no, home) in truth.dark_homes.iter().enumerate() {
        events.push((home.since_ms, Event::DarkHome { no, is_dark: true }));
        if let Some(until_ms) = home.until_ms {
            events.push((until_ms, Event::DarkHome { no, is_dark: false }));
        }
    }
    for (no, of) in truth.faults.iter().enumerate() {
        let fault = &of.fault;
        for stage in 0..fault.stages.len() {
            events.push((fault.stages[stage].at_ms, Event::Stage { fault: no, stage }));
        }
        // After the stages: a device whose battery is empty cannot say that it is on it no more.
        for (at, battery) in fault.on_battery.iter().enumerate() {
            for (at_ms, is_on) in [(battery.from_ms, true), (battery.until_ms, false)] {
                let event = Event::Battery {
                    fault: no,
                    no: at,
                    is_on,
                };
                events.push((at_ms, event));
            }
        }
        for at in 0..fault.degraded.len() {
            let begin = Event::Degrade {
                fault: no,
                no: at,
                is_bad: true,
            };
            events.push((fault.onset_ms(), begin));
            if let Some(end_ms) = fault.end_ms() {
                let end = Event::Degrade {
                    fault: no,
                    no: at,
                    is_bad: false,
                };
                events.push((end_ms, end));
            }
        }
    }
    // Stable: what happens at one instant stays in the order in which it was listed.
    events.sort_by_key(|(at_ms, _)| *at_ms);
    events
}

fn play(observer: &mut Observer<'_>, truth: &Truth, at_ms: Millis, event: Event) {
    match event {
        Event::DarkHome { no, is_dark } => {
            let home = truth.dark_homes[no];
            observer.dark_home(home.ont, home.what, is_dark, at_ms, world::number(no));
        }
        Event::Stage { fault: no, stage } => {
            let fault = &truth.faults[no].fault;
            observer.change(fault, world::number(no), &fault.stages[stage]);
        }
        Event::Battery { fault, no, is_on } => {
            let device = truth.faults[fault].fault.on_battery[no].device;
            observer.battery(device, is_on, at_ms, world::number(fault));
        }
        Event::Degrade { fault, no, is_bad } => {
            let under = truth.faults[fault].fault.degraded[no];
            observer.degrade(under, is_bad, at_ms, world::number(fault));
        }
    }
}

/// The log as our side would have written it.
fn entries(world: &World, arrived: &[Arrived]) -> (Vec<LogEntry>, Vec<Option<Origin>>) {
    let mut sequences: BTreeMap<Source, u64> = BTreeMap::new();
    let mut entries = Vec::with_capacity(arrived.len());
    let mut origins = Vec::with_capacity(arrived.len());
    for (one, position) in arrived.iter().zip(1..) {
        let (record, origin) = match one.what {
            Arrival::Report(report) => {
                let event = event(world, &report, one.skew_ms);
                (LogRecord::Event(event), Some(report.origin))
            }
            Arrival::Stale => (LogRecord::Stale, None),
            Arrival::Heard => (LogRecord::Heard, None),
            Arrival::SnapshotBegin => (LogRecord::SnapshotBegin, None),
            Arrival::SnapshotEnd => (LogRecord::SnapshotEnd, None),
        };
        let by_us = matches!(record, LogRecord::Stale | LogRecord::Heard);
        let sequence = sequences.entry(one.source).or_default();
        *sequence += u64::from(!by_us);
        entries.push(LogEntry {
            position,
            source: one.source.id(),
            sequence: if by_us { 0 } else { *sequence },
            received_at_ms: one.at_ms,
            record,
        });
        origins.push(origin);
    }
    (entries, origins)
}

fn event(world: &World, report: &Report, skew_ms: i64) -> AlarmEvent {
    let network = world.network();
    let condition = report.condition;
    let on_battery = condition.what == What::OnBattery;
    AlarmEvent {
        kind: if report.is_raise {
            AlarmEventKind::Raise
        } else {
            AlarmEventKind::Clear
        },
        key: AlarmKey {
            resource: condition.resource(network),
            alarm_type: condition.alarm_type(report.source, network).to_owned(),
            qualifier: condition.qualifier(network),
        },
        severity: condition.severity(),
        event_at_ms: report.at_ms + skew_ms,
        detail: AlarmDetail {
            text: if on_battery { "on battery" } else { "" }.to_owned(),
            service_effect: on_battery.then_some(ServiceEffect::None),
            ..AlarmDetail::default()
        },
    }
}
