//! The correlator without the service.

use super::{Alarm, alarms};
use crate::figure::Figure;
use crate::impact::network::Synthetic;
use forewarn::alarm::{
    AlarmDetail, AlarmEvent, AlarmEventKind, AlarmKey, LogEntry, LogRecord, Severity, SourceId,
};
use forewarn::incident::{Correlator, CorrelatorSettings};
use forewarn::topology::Network;
use std::sync::Arc;
use std::time::{Duration, Instant};

const START_MS: i64 = 1_795_000_000_000;
/// Events between two settlings.
const BATCH: usize = 10_000;
const GOAL: f64 = 2.0;

struct Cost {
    events: usize,
    apply: Vec<Duration>,
    settle: Vec<Duration>,
}

impl Cost {
    /// Microseconds an event, everything together.
    fn mean_us(&self) -> f64 {
        let all: Duration = self.apply.iter().chain(&self.settle).sum();
        1e6 * all.as_secs_f64() / self.events as f64
    }

    fn p99_us(&mut self) -> f64 {
        self.apply.sort_unstable();
        let at = self.apply.len() * 99 / 100;
        1e6 * self.apply[at].as_secs_f64()
    }

    fn longest_ms(&self) -> f64 {
        1e3 * self.settle.iter().max().unwrap().as_secs_f64()
    }
}

pub(super) fn run(subscribers: u32) -> Vec<Figure> {
    let small = play(subscribers, 1);
    let large = play(10 * subscribers, 10);
    let mut figures = Vec::new();
    let means = [&small, &large].map(Cost::mean_us);
    for (mut cost, subscribers) in [(small, subscribers), (large, 10 * subscribers)] {
        let size = format!("{subscribers} subscribers, {} events", cost.events);
        figures.push(Figure::new(
            "correlator alone: an event, settled every 10,000",
            cost.mean_us(),
            "us",
            &size,
        ));
        figures.push(Figure::new(
            "correlator alone: taking an event, p99",
            cost.p99_us(),
            "us",
            &size,
        ));
        figures.push(Figure::new(
            "correlator alone: longest settling",
            cost.longest_ms(),
            "ms",
            &size,
        ));
    }
    let ratio = means[1] / means[0];
    figures.push(
        Figure::new(
            "an event on ten times the network, times its cost",
            ratio,
            "",
            "",
        )
        .goal(format!("<= {GOAL}"), ratio <= GOAL),
    );
    figures
}

/// The first of so many parts of the network fails.
fn play(subscribers: u32, parts: u32) -> Cost {
    let synthetic = Synthetic::of(subscribers);
    let network = Network::build(&synthetic.definition, &synthetic.attachments).unwrap();
    let rings = synthetic.rings() / parts;
    let alarms = alarms(&synthetic.definition, |id| {
        parts == 1 || Synthetic::ring_of(id).is_some_and(|ring| ring < rings)
    });
    drop(synthetic);
    let mut correlator = Correlator::new(CorrelatorSettings::default(), Arc::new(network));
    let mut cost = Cost {
        events: alarms.len(),
        apply: Vec::with_capacity(alarms.len()),
        settle: Vec::new(),
    };
    let mut now_ms = START_MS;
    for (no, alarm) in alarms.iter().enumerate() {
        let entry = entry(no, alarm);
        now_ms = now_ms.max(entry.received_at_ms);
        let begun = Instant::now();
        correlator.apply(&entry);
        cost.apply.push(begun.elapsed());
        if no % BATCH == BATCH - 1 || no + 1 == alarms.len() {
            let begun = Instant::now();
            correlator.settle(now_ms);
            cost.settle.push(begun.elapsed());
        }
    }
    let open = correlator
        .live()
        .filter(|live| live.incident.state.is_open());
    let open: Vec<usize> = open.map(|live| live.lost.len()).collect();
    println!("{subscribers} subscribers: open incidents that cut off {open:?}");
    cost
}

fn entry(no: usize, alarm: &Alarm) -> LogEntry {
    LogEntry {
        position: no as i64 + 1,
        source: SourceId(1),
        sequence: no as u64 + 1,
        received_at_ms: START_MS + alarm.at_ms.max(0),
        record: LogRecord::Event(AlarmEvent {
            kind: AlarmEventKind::Raise,
            key: AlarmKey {
                resource: alarm.resource.clone(),
                alarm_type: alarm.alarm_type.to_owned(),
                qualifier: String::new(),
            },
            severity: Severity::Major,
            event_at_ms: START_MS + alarm.at_ms,
            detail: AlarmDetail::default(),
        }),
    }
}
