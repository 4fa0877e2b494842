//! Alarms become incidents: timelines of typical faults, and properties over random streams.

mod onset;

use forewarn::alarm::{
    AlarmBook, AlarmDetail, AlarmEvent, AlarmEventKind, AlarmKey, LogEntry, LogRecord, Severity,
    SourceId,
};
use forewarn::incident::{
    CauseKind, Correlator, CorrelatorSettings, Incident, IncidentChange, IncidentNo, IncidentState,
    OperatorAction, OperatorCommand, TimelineKind, TimelineKind as Told,
};
use forewarn::topology::{
    Attachment, Element, ElementKind, GroupKind, Link, Network, NetworkDefinition, Redundancy,
    SharedRiskGroup, SubscriberSet,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;

/// Two gateways, a ring of four switches between them; `olt2` and `olt3` hang on a switch each,
/// `oltd` on two; each OLT has two PON ports with one splitter and four homes. A cable holds the
/// feeders of `olt3`.
fn metro() -> (NetworkDefinition, Vec<Attachment>) {
    let mut network = NetworkDefinition::default();
    let mut homes = Vec::new();
    for id in ["core1", "core2"] {
        element(&mut network, id, ElementKind::Router);
        network.elements.last_mut().unwrap().gateway = true;
    }
    for id in ["s1", "s2", "s3", "s4"] {
        element(&mut network, id, ElementKind::Switch);
    }
    for (a, b) in [
        ("core1", "s1"),
        ("s1", "s2"),
        ("s2", "s3"),
        ("s3", "s4"),
        ("s4", "core2"),
    ] {
        link(&mut network, a, b);
    }
    for (olt, above) in [
        ("olt2", &["s2"][..]),
        ("olt3", &["s3"]),
        ("oltd", &["s1", "s4"]),
    ] {
        element(&mut network, olt, ElementKind::Olt);
        network.elements.last_mut().unwrap().redundancy =
            (above.len() > 1).then_some(Redundancy::Any);
        for above in above {
            link(&mut network, above, olt);
        }
        for pon in ["p1", "p2"] {
            let pon = format!("{olt}-{pon}");
            let splitter = format!("{pon}-sp");
            element(&mut network, &pon, ElementKind::PonPort);
            element(&mut network, &splitter, ElementKind::Splitter);
            link(&mut network, olt, &pon);
            link(&mut network, &pon, &splitter);
            for home in 1..=4 {
                let ont = format!("{pon}-h{home}");
                element(&mut network, &ont, ElementKind::Ont);
                link(&mut network, &splitter, &ont);
                homes.push(Attachment {
                    account: format!("acc-{ont}"),
                    served_by: vec![ont],
                    redundancy: Redundancy::Any,
                });
            }
        }
    }
    network.groups.push(SharedRiskGroup {
        id: "cable3".to_owned(),
        kind: GroupKind::Cable,
        name: "cable3".to_owned(),
        members: vec![
            "olt3-p1/olt3-p1-sp".to_owned(),
            "olt3-p2/olt3-p2-sp".to_owned(),
        ],
    });
    (network, homes)
}

fn element(network: &mut NetworkDefinition, id: &str, kind: ElementKind) {
    network.elements.push(Element {
        id: id.to_owned(),
        kind,
        name: id.to_owned(),
        site: None,
        gateway: false,
        transit: None,
        redundancy: None,
        battery_minutes: None,
    });
}

fn link(network: &mut NetworkDefinition, a: &str, b: &str) {
    network.links.push(Link {
        id: format!("{a}/{b}"),
        a: a.to_owned(),
        b: b.to_owned(),
        transit: None,
    });
}

fn built() -> Arc<Network> {
    let (definition, homes) = metro();
    Arc::new(Network::build(&definition, &homes).unwrap())
}

fn alarm_entry(
    source: i64,
    sequence: u64,
    kind: AlarmEventKind,
    resource: &str,
    alarm_type: &str,
    at_ms: i64,
) -> LogEntry {
    LogEntry {
        position: 0,
        source: SourceId(source),
        sequence,
        received_at_ms: at_ms,
        record: LogRecord::Event(AlarmEvent {
            kind,
            key: AlarmKey {
                resource: resource.to_owned(),
                alarm_type: alarm_type.to_owned(),
                qualifier: String::new(),
            },
            severity: Severity::Major,
            event_at_ms: at_ms,
            detail: AlarmDetail::default(),
        }),
    }
}

/// As delivered, but a lone alarm is believed as soon as several.
fn settings() -> CorrelatorSettings {
    CorrelatorSettings {
        lone_alarm_factor: 1,
        ..CorrelatorSettings::default()
    }
}

/// A correlator with a clock, and all that it gave out.
struct Desk {
    correlator: Correlator,
    now_ms: i64,
    position: i64,
    changes: Vec<IncidentChange>,
}

impl Desk {
    fn new() -> Self {
        Self::with(settings(), built())
    }

    fn with(settings: CorrelatorSettings, network: Arc<Network>) -> Self {
        Self {
            correlator: Correlator::new(settings, network),
            now_ms: 0,
            position: 0,
            changes: Vec::new(),
        }
    }

    fn take(&mut self, mut entry: LogEntry) {
        self.position += 1;
        entry.position = self.position;
        entry.received_at_ms = self.now_ms;
        self.correlator.apply(&entry);
    }

    /// Settles now, and at each deadline until then.
    fn until(&mut self, to_ms: i64) {
        self.settle();
        for _ in 0..10_000 {
            match self.correlator.next_deadline_ms() {
                Some(at) if at <= to_ms => {
                    assert!(at > self.now_ms, "a deadline that settling does not meet");
                    self.now_ms = at;
                    self.settle();
                }
                _ => {
                    self.now_ms = self.now_ms.max(to_ms);
                    self.settle();
                    return;
                }
            }
        }
        panic!("deadlines without end");
    }

    fn settle(&mut self) {
        let changes = self.correlator.settle(self.now_ms);
        self.changes.extend(changes);
        let again = self.correlator.settle(self.now_ms);
        assert!(again.is_empty(), "settling twice changes again: {again:?}");
    }

    fn raise(&mut self, at_ms: i64, alarm_type: &str, resources: &[&str]) {
        self.say(1, at_ms, AlarmEventKind::Raise, alarm_type, resources);
    }

    fn clear(&mut self, at_ms: i64, alarm_type: &str, resources: &[&str]) {
        self.say(1, at_ms, AlarmEventKind::Clear, alarm_type, resources);
    }

    fn say(
        &mut self,
        source: i64,
        at_ms: i64,
        kind: AlarmEventKind,
        alarm_type: &str,
        resources: &[&str],
    ) {
        self.until(at_ms);
        for resource in resources {
            let sequence = u64::try_from(self.position + 1).unwrap();
            self.take(alarm_entry(
                source, sequence, kind, resource, alarm_type, at_ms,
            ));
        }
        self.settle();
    }

    fn record(&mut self, at_ms: i64, record: LogRecord) {
        self.until(at_ms);
        let sequence = u64::try_from(self.position + 1).unwrap();
        self.take(LogEntry {
            position: 0,
            source: SourceId(1),
            sequence,
            received_at_ms: at_ms,
            record,
        });
        self.settle();
    }

    fn act(&mut self, no: i64, action: OperatorAction) {
        let command = OperatorCommand {
            incident: IncidentNo(no),
            by: "noc".to_owned(),
            action,
        };
        self.correlator.command(&command, self.now_ms).unwrap();
        self.settle();
    }

    fn open(&self) -> Vec<(i64, String, IncidentState, u64)> {
        self.correlator
            .incidents()
            .filter(|i| i.state.is_open())
            .map(|i| (i.no.0, i.cause.resources.join("+"), i.state, i.affected))
            .collect()
    }

    fn state(&self, no: i64) -> Incident {
        let latest = self.changes.iter().rev().find(|c| c.incident.no.0 == no);
        latest.unwrap().incident.clone()
    }

    fn history(&self, no: i64) -> Vec<TimelineKind> {
        let of_it = self.changes.iter().filter(|c| c.incident.no.0 == no);
        of_it
            .flat_map(|c| &c.timeline)
            .map(|line| line.what)
            .collect()
    }
}

fn homes(pon: &str) -> Vec<String> {
    (1..=4).map(|home| format!("{pon}-h{home}")).collect()
}

fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

use IncidentState::{Confirmed, Rejected, Restored, Suspected};

fn one(
    no: i64,
    cause: &str,
    state: IncidentState,
    affected: u64,
) -> (i64, String, IncidentState, u64) {
    (no, cause.to_owned(), state, affected)
}

#[test]
fn a_feeder_cut_is_inferred_from_the_homes_behind_it() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    assert_eq!(desk.open(), [], "the alarms are still gathering");
    desk.until(10 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Suspected, 4)]);
    desk.until(2 * MINUTE);
    let incident = desk.state(1);
    assert_eq!(incident.state, Confirmed);
    assert_eq!(incident.cause.kind, CauseKind::FibreCut);
    assert_eq!(incident.onset_ms, SECOND);
    assert_eq!(
        incident.cause.text,
        "PON port olt2-p1 has no signal; 4 subscribers behind it"
    );
    assert_eq!(
        desk.history(1),
        [TimelineKind::Detected, TimelineKind::Confirmed]
    );
    desk.clear(3 * MINUTE, "onu-los", &refs(&homes("olt2-p1")));
    assert_eq!(
        desk.open(),
        [one(1, "olt2-p1", Confirmed, 4)],
        "not believed at once"
    );
    desk.until(5 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    assert_eq!(desk.state(1).restored_ms, Some(3 * MINUTE));
    let last = desk.changes.last().unwrap();
    assert_eq!((last.lost.len(), last.previously_lost.len()), (0, 4));
}

#[test]
fn a_lone_alarm_is_believed_later_than_two_that_agree() {
    let confirmed = |alarms: &[(&str, &str)]| {
        let mut desk = Desk::with(CorrelatorSettings::default(), built());
        for (alarm_type, resource) in alarms {
            desk.raise(SECOND, alarm_type, &[resource]);
        }
        desk.until(10 * MINUTE);
        let incident = desk.state(1);
        incident.confirmed_ms.unwrap() - incident.detected_ms
    };
    let lone = [("unreachable", "olt2"), ("device-down", "olt2")];
    assert_eq!(confirmed(&lone), 3 * MINUTE);
    assert_eq!(
        confirmed(&[("unreachable", "olt2"), ("link-down", "s2/olt2")]),
        MINUTE
    );
}

#[test]
fn a_lost_alarm_does_not_hide_a_feeder_cut() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")[..3]));
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    let reasoning = desk.state(1).cause.reasoning;
    assert!(
        reasoning.starts_with("3 alarms at and below PON port olt2-p1, which has 4 subscribers"),
        "{reasoning}"
    );
    assert!(
        reasoning.contains("by failure of OLT olt2: 10^"),
        "{reasoning}"
    );
}

#[test]
fn homes_that_went_dark_days_apart_have_no_common_cause() {
    let mut desk = Desk::new();
    for (day, home) in (0..).zip(homes("olt2-p1").iter().take(2)) {
        desk.raise(day * 24 * 60 * MINUTE, "onu-los", &[home]);
    }
    desk.until(100 * 60 * MINUTE);
    assert_eq!(desk.open(), []);
}

#[test]
fn homes_that_come_back_end_the_incident_although_one_never_says_so() {
    let mut desk = Desk::new();
    let homes = homes("olt2-p1");
    desk.raise(SECOND, "onu-los", &refs(&homes));
    desk.until(2 * MINUTE);
    desk.clear(10 * MINUTE, "onu-los", &refs(&homes[1..]));
    desk.until(12 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    desk.raise(6 * 60 * MINUTE, "high-temperature", &["olt3"]);
    desk.until(7 * 60 * MINUTE);
    assert_eq!(desk.open(), [], "what is left over opens nothing");
}

#[test]
fn homes_without_power_blame_no_line() {
    let mut desk = Desk::new();
    let homes = homes("olt2-p1");
    desk.raise(SECOND, "dying-gasp", &refs(&homes[..3]));
    desk.until(2 * MINUTE);
    let incident = desk.state(1);
    assert_eq!(incident.cause.resources, homes[..3]);
    assert_eq!(
        (incident.cause.kind, incident.affected),
        (CauseKind::Power, 3)
    );
    desk.raise(3 * MINUTE, "dying-gasp", &refs(&homes[3..]));
    desk.raise(3 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(6 * MINUTE);
    let open: Vec<_> = desk.open().iter().map(|i| (i.0, i.3)).collect();
    assert_eq!(
        open,
        [(1, 4)],
        "a port without a signal is no fault of its own"
    );
    assert_eq!(desk.state(1).cause.kind, CauseKind::Power);
}

#[test]
fn two_ports_that_fail_at_once_are_one_failure() {
    let (mut network, mut attached) = metro();
    element(&mut network, "olt2-p3", ElementKind::PonPort);
    link(&mut network, "olt2", "olt2-p3");
    for home in homes("olt2-p3") {
        element(&mut network, &home, ElementKind::Ont);
        link(&mut network, "olt2-p3", &home);
        attached.push(Attachment {
            account: format!("acc-{home}"),
            served_by: vec![home],
            redundancy: Redundancy::Any,
        });
    }
    let network = Arc::new(Network::build(&network, &attached).unwrap());
    let mut desk = Desk::with(CorrelatorSettings::default(), network);
    let both: Vec<String> = ["olt2-p1", "olt2-p2"]
        .iter()
        .flat_map(|p| homes(p))
        .collect();
    desk.raise(SECOND, "pon-los", &["olt2-p1", "olt2-p2"]);
    desk.raise(SECOND, "onu-los", &refs(&both[..6]));
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1+olt2-p2", Confirmed, 8)]);
}

#[test]
fn a_wrong_alarm_at_the_far_end_of_a_ring_cuts_nobody_off() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "device-down", &["s1"]);
    desk.until(60 * MINUTE);
    desk.raise(61 * MINUTE, "link-down", &["s4/core2"]);
    desk.until(120 * MINUTE);
    let affected: u64 = desk.open().iter().map(|incident| incident.3).sum();
    assert_eq!(affected, 0, "{:?}", desk.open());
}

#[test]
fn a_single_premise_opens_no_incident_unless_asked_for() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "dying-gasp", &["olt2-p1-h1"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    let settings = CorrelatorSettings {
        single_premise_incidents: true,
        ..settings()
    };
    let mut desk = Desk::with(settings, built());
    desk.raise(SECOND, "dying-gasp", &["olt2-p1-h1"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1-h1", Confirmed, 1)]);
    assert_eq!(desk.state(1).cause.kind, CauseKind::Power);
}

#[test]
fn the_death_of_an_olt_is_one_incident_whose_cause_moves_up() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &refs(&homes("olt2-p1")));
    desk.until(20 * SECOND);
    desk.raise(21 * SECOND, "pon-los", &["olt2-p2"]);
    desk.until(40 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2", Suspected, 8)]);
    desk.raise(90 * SECOND, "heartbeat-loss", &["olt2"]);
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    let incident = desk.state(1);
    assert_eq!(incident.onset_ms, SECOND);
    assert_eq!(incident.evidence_count, 6);
    assert_eq!(
        incident.cause.text,
        "OLT olt2 does not answer; 8 subscribers behind it"
    );
}

#[test]
fn an_old_fault_below_does_not_date_a_new_one_above() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "onu-los", &["olt2-p1-h1"]);
    desk.raise(
        10 * MINUTE,
        "onu-los",
        &["olt2-p1-h2", "olt2-p1-h3", "olt2-p1-h4"],
    );
    desk.raise(10 * MINUTE + SECOND, "onu-los", &refs(&homes("olt2-p2")));
    desk.until(12 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2", Confirmed, 8)]);
    assert_eq!(desk.state(1).onset_ms, 10 * MINUTE);
}

#[test]
fn both_ends_of_a_ring_are_one_incident_and_what_lies_between_is_explained() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "unreachable", &["s1"]);
    desk.until(30 * SECOND);
    assert_eq!(desk.open(), [one(1, "s1", Suspected, 0)]);
    assert!(desk.state(1).at_risk > 0);
    desk.raise(
        31 * SECOND,
        "unreachable",
        &["s2", "s3", "s4", "olt2", "olt3", "oltd"],
    );
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1+s4", Confirmed, 24)]);
    assert_eq!(desk.state(1).evidence_count, 7);
    desk.clear(
        4 * MINUTE,
        "unreachable",
        &["s4", "s3", "s2", "olt2", "olt3", "oltd"],
    );
    desk.until(5 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1", Confirmed, 0)]);
    assert!(desk.history(1).ends_with(&[TimelineKind::Shrank]));
}

#[test]
fn two_incidents_that_turn_out_to_be_one_are_merged() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "unreachable", &["s1"]);
    desk.until(10 * SECOND);
    desk.raise(11 * SECOND, "link-down", &["s4/core2"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1+s4/core2", Confirmed, 24)]);
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(10 * SECOND);
    desk.raise(11 * SECOND, "link-down", &["s3/s4"]);
    desk.until(2 * MINUTE);
    assert_eq!(
        desk.open(),
        [
            one(1, "olt2-p1", Confirmed, 4),
            one(2, "s3/s4", Confirmed, 0)
        ]
    );
    desk.raise(3 * MINUTE, "link-down", &["s1/s2"]);
    desk.until(5 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s1/s2+s3/s4", Confirmed, 16)]);
    let merged = desk.state(2);
    assert_eq!(merged.state, Restored);
    assert_eq!(merged.merged_into, Some(IncidentNo(1)));
    assert!(desk.history(1).contains(&TimelineKind::Merged));
    assert!(!desk.history(2).contains(&TimelineKind::Restored));
}

#[test]
fn what_is_left_of_a_large_failure_stays_together_and_goes_apart_later() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "heartbeat-loss", &["s2"]);
    desk.raise(2 * SECOND, "pon-los", &["olt2-p1"]);
    desk.raise(2 * SECOND, "link-down", &["olt2-p2/olt2-p2-sp"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2", Confirmed, 8)]);
    desk.clear(3 * MINUTE, "heartbeat-loss", &["s2"]);
    desk.until(3 * MINUTE + 30 * SECOND);
    let open = desk.open();
    assert_eq!(open.len(), 1, "{open:?}");
    desk.until(6 * MINUTE);
    let open = desk.open();
    assert!(open.iter().all(|(_, _, state, _)| *state == Confirmed));
    let affected: u64 = open.iter().map(|(_, _, _, affected)| affected).sum();
    assert_eq!(affected, 8, "{open:?}");
}

#[test]
fn a_cable_with_all_its_fibres_cut_is_the_one_cause() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "link-down", &["olt3-p1/olt3-p1-sp"]);
    desk.until(30 * SECOND);
    desk.raise(31 * SECOND, "onu-los", &refs(&homes("olt3-p2")));
    desk.until(3 * MINUTE);
    assert_eq!(desk.open(), [one(1, "cable3", Confirmed, 8)]);
    assert_eq!(desk.state(1).cause.kind, CauseKind::FibreCut);
}

#[test]
fn a_dead_switch_is_the_cause_of_its_dead_links() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "link-down", &["s1/s2", "s2/s3", "s2/olt2"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.open(), [one(1, "s2", Confirmed, 8)]);
}

#[test]
fn a_short_fault_is_never_confirmed() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.clear(40 * SECOND, "pon-los", &["olt2-p1"]);
    desk.until(10 * MINUTE);
    let incident = desk.state(1);
    assert_eq!((incident.state, incident.confirmed_ms), (Restored, None));
    assert_eq!(
        desk.history(1),
        [TimelineKind::Detected, TimelineKind::Restored]
    );
}

#[test]
fn a_flapping_link_is_one_unstable_incident() {
    let mut desk = Desk::new();
    for round in 0..5 {
        desk.raise(round * MINUTE + SECOND, "link-down", &["s2/olt2"]);
        desk.clear(round * MINUTE + 20 * SECOND, "link-down", &["s2/olt2"]);
    }
    desk.raise(6 * MINUTE, "link-down", &["s2/olt2"]);
    desk.until(8 * MINUTE);
    let incident = desk.state(1);
    assert_eq!(desk.open(), [one(1, "s2/olt2", Confirmed, 8)]);
    assert!(incident.unstable);
    desk.clear(8 * MINUTE, "link-down", &["s2/olt2"]);
    desk.until(17 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(1, "s2/olt2", Confirmed, 8)],
        "quiet is not long enough yet"
    );
    desk.until(19 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    assert_eq!(desk.state(1).restored_ms, Some(8 * MINUTE));
    let unconfirmed = [
        Told::Detected,
        Told::Restored,
        Told::Reopened,
        Told::Restored,
        Told::Reopened,
        Told::Restored,
        Told::Reopened,
    ];
    assert_eq!(desk.history(1)[..7], unconfirmed, "nobody hears of these");
    let rest = [Told::Unstable, Told::Confirmed, Told::Restored];
    assert_eq!(desk.history(1)[7..], rest);
}

#[test]
fn the_same_cause_soon_after_reopens_its_incident() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.clear(2 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(4 * MINUTE);
    assert_eq!(desk.state(1).state, Restored);
    desk.raise(5 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(5 * MINUTE + 10 * SECOND);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Suspected, 4)]);
    assert_eq!(desk.state(1).onset_ms, 5 * MINUTE);
    desk.until(7 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert_eq!(desk.state(1).reopened, 1);
    desk.clear(8 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.raise(60 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(61 * MINUTE);
    assert_eq!(desk.open(), [one(2, "olt2-p1", Suspected, 4)]);
}

#[test]
fn a_silent_source_restores_nothing_until_it_has_resynchronised() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1", "olt3-p1"]);
    desk.until(2 * MINUTE);
    desk.record(3 * MINUTE, LogRecord::Stale);
    assert!(desk.state(1).stale);
    desk.record(4 * MINUTE, LogRecord::Heard);
    desk.clear(4 * MINUTE + SECOND, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    assert_eq!(
        desk.open(),
        [
            one(1, "olt2-p1", Confirmed, 4),
            one(2, "olt3-p1", Confirmed, 4)
        ]
    );
    desk.record(21 * MINUTE, LogRecord::SnapshotBegin);
    desk.raise(21 * MINUTE, "high-temperature", &["s1"]);
    desk.record(21 * MINUTE + SECOND, LogRecord::SnapshotEnd);
    desk.until(23 * MINUTE);
    assert_eq!(desk.open(), [], "neither was listed");
    assert_eq!(desk.state(2).restored_ms, Some(21 * MINUTE + SECOND));
    assert_eq!(
        desk.history(1)[2..],
        [
            TimelineKind::Stale,
            TimelineKind::Resynchronised,
            TimelineKind::Restored
        ]
    );
}

#[test]
fn an_alarm_listed_again_was_never_gone() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.record(2 * MINUTE, LogRecord::SnapshotBegin);
    desk.record(2 * MINUTE, LogRecord::SnapshotEnd);
    assert_eq!(desk.correlator.book().active_count(), 0);
    desk.record(2 * MINUTE + SECOND, LogRecord::SnapshotBegin);
    let sequence = 1_000;
    desk.take(alarm_entry(
        1,
        sequence,
        AlarmEventKind::Raise,
        "olt2-p1",
        "pon-los",
        SECOND,
    ));
    desk.record(2 * MINUTE + SECOND, LogRecord::SnapshotEnd);
    desk.until(5 * MINUTE);
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert_eq!(desk.state(1).onset_ms, SECOND);
}

#[test]
fn a_rejected_cause_stays_quiet_until_it_is_raised_anew() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(2 * MINUTE);
    desk.act(
        1,
        OperatorAction::Reject {
            reason: "works at the lab".to_owned(),
        },
    );
    assert_eq!(desk.state(1).state, Rejected);
    assert_eq!(desk.changes.last().unwrap().previously_lost.len(), 4);
    desk.raise(3 * MINUTE, "onu-los", &["olt2-p1-h1"]);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    desk.raise(11 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.until(13 * MINUTE);
    assert_eq!(
        desk.open(),
        [one(2, "olt2", Confirmed, 8)],
        "more than was rejected"
    );
    desk.clear(14 * MINUTE, "heartbeat-loss", &["olt2"]);
    desk.clear(14 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(20 * MINUTE);
    desk.raise(60 * MINUTE, "pon-los", &["olt2-p1"]);
    desk.until(62 * MINUTE);
    assert_eq!(desk.open(), [one(3, "olt2-p1", Confirmed, 4)]);
}

#[test]
fn an_operator_confirms_names_and_resolves() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.until(10 * SECOND);
    desk.act(
        1,
        OperatorAction::Confirm {
            note: "seen on site".to_owned(),
        },
    );
    desk.act(
        1,
        OperatorAction::SetCause {
            kind: CauseKind::Power,
            text: "street without power".to_owned(),
        },
    );
    desk.raise(20 * SECOND, "heartbeat-loss", &["olt2"]);
    desk.until(30 * SECOND);
    let incident = desk.state(1);
    assert_eq!(incident.state, Confirmed);
    assert_eq!(incident.cause.resources, ["olt2"]);
    assert_eq!(
        (incident.cause.kind, incident.cause.text.as_str()),
        (CauseKind::Power, "street without power")
    );
    desk.act(
        1,
        OperatorAction::Resolve {
            reason: "back".to_owned(),
        },
    );
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    let command = OperatorCommand {
        incident: IncidentNo(1),
        by: "noc".to_owned(),
        action: OperatorAction::Confirm {
            note: String::new(),
        },
    };
    assert!(desk.correlator.command(&command, desk.now_ms).is_err());
}

#[test]
fn a_new_network_moves_who_is_affected() {
    let mut desk = Desk::new();
    desk.raise(SECOND, "pon-los", &["olt2-p1"]);
    desk.raise(SECOND, "los", &["nowhere"]);
    desk.until(2 * MINUTE);
    assert_eq!(desk.correlator.unmapped_count(), 1);
    let (definition, mut homes) = metro();
    homes[0].served_by = vec!["olt2-p2-h1".to_owned()];
    homes[20].served_by = vec!["olt2-p1-h1".to_owned()];
    homes.reverse();
    let network = Arc::new(Network::build(&definition, &homes).unwrap());
    desk.correlator
        .replace_network(Arc::clone(&network), desk.now_ms);
    desk.settle();
    assert_eq!(desk.open(), [one(1, "olt2-p1", Confirmed, 4)]);
    assert_eq!(desk.history(1).last(), Some(&TimelineKind::TopologyChanged));
    let change = desk.changes.last().unwrap();
    let names = |set: &SubscriberSet| -> BTreeSet<String> {
        let people = network.subscribers(set);
        people.map(|s| network.account(s).to_owned()).collect()
    };
    let (now, before) = (names(&change.lost), names(&change.previously_lost));
    assert_eq!(
        before.difference(&now).collect::<Vec<_>>(),
        ["acc-olt2-p1-h1"]
    );
    assert_eq!(now.difference(&before).count(), 1);
    let mut gone = metro();
    gone.0.elements.retain(|e| !e.id.starts_with("olt2"));
    gone.0.links.retain(|l| !l.id.contains("olt2"));
    gone.1.retain(|a| !a.served_by[0].starts_with("olt2"));
    let network = Arc::new(Network::build(&gone.0, &gone.1).unwrap());
    desk.correlator.replace_network(network, desk.now_ms);
    desk.until(10 * MINUTE);
    assert_eq!(desk.open(), []);
    assert_eq!(desk.correlator.unmapped_count(), 2);
}

/// One alarm of a random stream, with the instants at which it is raised and cleared in turn.
#[derive(Clone, Debug)]
struct Story {
    source: i64,
    resource: String,
    alarm_type: &'static str,
    at_ms: Vec<i64>,
}

const SPAN: i64 = 5 * MINUTE;

fn stories() -> impl Strategy<Value = Vec<Story>> {
    let (definition, _) = metro();
    let mut resources: Vec<String> = definition.elements.iter().map(|e| e.id.clone()).collect();
    resources.extend(definition.links.iter().map(|l| l.id.clone()));
    resources.push("cable3".to_owned());
    resources.push("unknown-thing".to_owned());
    let story = (
        1..=3_i64,
        prop::sample::select(resources),
        prop::sample::select(vec![
            "los",
            "unreachable",
            "power-failure",
            "signal-degrade",
        ]),
        prop::collection::btree_set(1..SPAN, 1..6),
    )
        .prop_map(|(source, resource, alarm_type, at_ms)| Story {
            source,
            resource,
            alarm_type,
            at_ms: at_ms.into_iter().collect(),
        });
    let outage = prop::sample::select(vec!["olt2", "olt2-p1", "olt3", "oltd", "s2"]).prop_flat_map(
        |above| {
            let (definition, _) = metro();
            let below: Vec<String> = definition
                .elements
                .iter()
                .filter(|e| e.id.starts_with(above) && e.id.contains("-h"))
                .map(|e| e.id.clone())
                .collect();
            below
                .into_iter()
                .map(|resource| {
                    (1..SPAN, prop::bool::weighted(0.15)).prop_map(move |(at_ms, clears)| Story {
                        source: 1,
                        resource: resource.clone(),
                        alarm_type: "onu-los",
                        at_ms: if clears {
                            vec![at_ms, at_ms + 1]
                        } else {
                            vec![at_ms]
                        },
                    })
                })
                .collect::<Vec<_>>()
        },
    );
    (
        prop::collection::vec(story, 0..14),
        prop::option::of(outage),
    )
        .prop_map(|(stories, outage)| {
            stories
                .into_iter()
                .chain(outage.into_iter().flatten())
                .collect()
        })
}

/// The stream of the stories in the order of its events; one alarm is told once.
fn stream(stories: &[Story]) -> Vec<LogEntry> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for story in stories {
        if !seen.insert((story.source, &story.resource, story.alarm_type)) {
            continue;
        }
        for (turn, at_ms) in story.at_ms.iter().enumerate() {
            let kind = if turn % 2 == 0 {
                AlarmEventKind::Raise
            } else {
                AlarmEventKind::Clear
            };
            entries.push(alarm_entry(
                story.source,
                0,
                kind,
                &story.resource,
                story.alarm_type,
                *at_ms,
            ));
        }
    }
    entries.sort_by_key(|e| e.received_at_ms);
    for (sequence, entry) in (1..).zip(&mut entries) {
        entry.sequence = sequence;
    }
    entries
}

/// What must not depend on the order of arrival; of the onset, see [`onset`].
fn essence(correlator: &Correlator) -> Vec<String> {
    let mut open: Vec<String> = correlator
        .live()
        .filter(|live| live.incident.state.is_open() && live.incident.evidence_count > 0)
        .map(|live| {
            let i = live.incident;
            format!(
                "{:?} {:?} unstable {} stale {} lost {:?} at risk {:?} evidence {} {:?}",
                i.state,
                i.cause,
                i.unstable,
                i.stale,
                live.lost,
                live.at_risk,
                i.evidence_count,
                i.evidence
            )
        })
        .collect();
    open.sort();
    open
}

fn is_premise(network: &Network, resource: &str) -> bool {
    network.part(resource).is_none() || resource.contains("-h")
}

/// Every alarm of loss that is not one home's belongs to exactly one open incident, and the people
/// of an incident are exactly those whom its cause cuts off.
fn check_invariants(correlator: &Correlator) {
    let network = correlator.network();
    for live in correlator.live().filter(|l| l.incident.state.is_open()) {
        let parts: Vec<_> = live
            .incident
            .cause
            .resources
            .iter()
            .filter_map(|id| network.part(id))
            .collect();
        assert_eq!(**live.lost, network.lost(&parts));
        assert_eq!(live.incident.affected, live.lost.len() as u64);
    }
    for (_, alarm) in correlator.book().iter().filter(|(_, a)| a.is_active()) {
        if alarm.effect() != forewarn::alarm::ServiceEffect::Loss
            || is_premise(network, &alarm.key().resource)
        {
            continue;
        }
        let holders = correlator
            .incidents()
            .filter(|i| i.state.is_open() && i.life.quiet_since_ms.is_none())
            .filter(|i| {
                i.evidence
                    .iter()
                    .any(|e| e.key == *alarm.key() && e.source == alarm.source())
            })
            .count();
        assert_eq!(holders, 1, "{:?} is explained {holders} times", alarm.key());
    }
}

fn shuffled(mut entries: Vec<LogEntry>, mut state: u64) -> Vec<LogEntry> {
    for at in (1..entries.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        entries.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn order_repetition_and_batches_do_not_matter(
        stories in stories(),
        seed in any::<u64>(),
        repeats in 0..3_usize,
        batch in 1..9_usize,
    ) {
        let entries = stream(&stories);
        let mut straight = Desk::new();
        for entry in &entries {
            straight.until(entry.received_at_ms);
            straight.take(entry.clone());
        }
        let mut all = entries.clone();
        for _ in 0..repeats {
            all.extend(entries.iter().cloned());
        }
        let mut crooked = Desk::new();
        let count = i64::try_from(all.len()).unwrap().max(1);
        for (at, entry) in shuffled(all, seed).into_iter().enumerate() {
            crooked.now_ms = SPAN + 2 * MINUTE * i64::try_from(at).unwrap() / count;
            crooked.take(entry);
            if at % batch == 0 {
                crooked.settle();
            }
        }
        straight.until(SPAN + 7 * MINUTE);
        crooked.until(SPAN + 7 * MINUTE);
        prop_assert_eq!(essence(&straight.correlator), essence(&crooked.correlator));
    }

    #[test]
    fn a_crash_changes_nothing(
        stories in stories(),
        crash in 0..40_usize,
        snapshot in 0..40_usize,
        commands in prop::collection::btree_map(0..40_usize, (1..4_i64, any::<bool>()), 0..4),
        records in prop::collection::btree_map(0..40_usize, 0..4_usize, 0..6),
    ) {
        let mut entries = stream(&stories);
        for (at, kind) in &records {
            let at_ms = entries.get(*at).map_or(SPAN, |e| e.received_at_ms);
            let record = [LogRecord::Stale, LogRecord::Heard, LogRecord::SnapshotBegin, LogRecord::SnapshotEnd][*kind].clone();
            let place = (*at).min(entries.len());
            entries.insert(place, LogEntry { position: 0, source: SourceId(1), sequence: 1_000_000, received_at_ms: at_ms, record });
        }
        for (position, entry) in (1..).zip(&mut entries) {
            entry.position = position;
        }
        let settings = CorrelatorSettings { gather_ms: 500, ..CorrelatorSettings::default() };
        let mut steady = Correlator::new(settings.clone(), built());
        let mut shaky = Correlator::new(settings.clone(), built());
        let mut kept: BTreeMap<IncidentNo, String> = BTreeMap::new();
        let mut saved = (0, Vec::new());
        let rounds = entries.len().max(40) + 40;
        let mut now_ms = 0;
        for round in 0..rounds {
            if let Some(entry) = entries.get(round) {
                now_ms = now_ms.max(entry.received_at_ms);
                steady.apply(entry);
                shaky.apply(entry);
            } else {
                now_ms += 11 * SECOND;
            }
            if let Some((no, reject)) = commands.get(&round) {
                let action = if *reject {
                    OperatorAction::Reject { reason: "no".to_owned() }
                } else {
                    OperatorAction::Confirm { note: String::new() }
                };
                let command = OperatorCommand { incident: IncidentNo(*no), by: "noc".to_owned(), action };
                prop_assert_eq!(steady.command(&command, now_ms), shaky.command(&command, now_ms));
            }
            let (a, b) = (steady.settle(now_ms), shaky.settle(now_ms));
            prop_assert_eq!(format!("{a:?}"), format!("{b:?}"));
            for change in b {
                kept.insert(change.incident.no, serde_json::to_string(&change.incident).unwrap());
            }
            if round == snapshot {
                saved = (round + 1, shaky.book().pages().collect::<Result<_, _>>().unwrap());
            }
            if round == crash {
                let from = saved.0.min(round + 1);
                let mut book = AlarmBook::from_pages(saved.1.iter().map(Vec::as_slice)).unwrap();
                for entry in entries.iter().take(round + 1).skip(from) {
                    book.apply(entry);
                }
                prop_assert!(book == *shaky.book());
                let incidents: Vec<Incident> = kept
                    .values()
                    .map(|text| serde_json::from_str::<Incident>(text).unwrap())
                    .filter(|incident| incident.is_followed(&settings, now_ms))
                    .collect();
                shaky = Correlator::restore(settings.clone(), built(), book, incidents, shaky.last_incident_no());
            }
        }
    }

    #[test]
    fn every_alarm_is_explained_once_and_the_lost_are_those_cut_off(stories in stories()) {
        let settings = CorrelatorSettings { gather_ms: 0, ..CorrelatorSettings::default() };
        let mut desk = Desk::with(settings, built());
        for entry in stream(&stories) {
            desk.until(entry.received_at_ms);
            desk.take(entry);
            desk.settle();
            check_invariants(&desk.correlator);
        }
        desk.until(SPAN + 5 * MINUTE);
        check_invariants(&desk.correlator);
    }
}
