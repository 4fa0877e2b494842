//! Alarms become incidents: timelines of typical faults, and properties over random streams.

mod apart;
mod causes;
mod commands;
mod company;
mod decisions;
mod declared;
mod growth;
mod hidden;
mod joining;
mod life;
mod onset;
mod outlived;
mod power;
mod power_region;
mod readme;
mod ring;
mod streams;
mod touching;

use forewarn::alarm::{
    AlarmBook, AlarmDetail, AlarmEvent, AlarmEventKind, AlarmKey, LogEntry, LogRecord, Severity,
    SourceId,
};
use forewarn::incident::{
    CauseKind, CommandError, Correlator, CorrelatorSettings, HoldDown, Incident, IncidentChange,
    IncidentNo, IncidentState, OperatorAction, OperatorCommand, TimelineKind, TimelineKind as Told,
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
        lone_alarm_ms: Some(0),
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
        self.try_to(no, action).unwrap();
        self.settle();
    }

    fn try_to(&mut self, no: i64, action: OperatorAction) -> Result<IncidentNo, CommandError> {
        let command = OperatorCommand {
            incident: IncidentNo(no),
            by: "noc".to_owned(),
            action,
        };
        self.correlator.command(&command, self.now_ms)
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
