//! Session counts of the BNG, through a rule of detection, as alarms in the log.

use forewarn::alarm::{LogEntry, LogRecord, ServiceEffect, Severity, SourceId};
use forewarn::detect::{self, Condition, Detector, Direction, Rule, Threshold};
use forewarn::simulate::{Sample, Source};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// What counts take to us.
const LATENCY_MS: i64 = 1_000;
/// Alarms of rules have a source of their own.
const RULE: SourceId = SourceId(1_000);

/// The log with the alarms of ports whose last session is gone. A count that is lost comes with the
/// next one, `every_ms` later, and is as likely lost again.
pub(super) fn with_detections(
    mut entries: Vec<LogEntry>,
    samples: &[Sample],
    every_ms: i64,
    missed: f64,
    seed: u64,
) -> Vec<LogEntry> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x7e1e);
    let mut received: Vec<(i64, &Sample)> = Vec::with_capacity(samples.len());
    let mut next_ms: HashMap<&str, i64> = HashMap::new();
    for sample in samples.iter().rev() {
        let next_ms = next_ms.insert(&sample.resource, sample.sampled_at_ms);
        let mut at_ms = sample.sampled_at_ms;
        while rng.random_bool(missed) {
            at_ms += every_ms;
        }
        if next_ms.is_none_or(|next_ms| at_ms < next_ms) {
            received.push((at_ms, sample));
        }
    }
    received.sort_by_key(|(at_ms, _)| *at_ms);
    let mut detector = Detector::new(vec![Rule {
        name: "sessions-gone".to_owned(),
        metric: "sessions".to_owned(),
        resource_prefix: String::new(),
        alarm_type: "silent".to_owned(),
        severity: Severity::Critical,
        effect: ServiceEffect::Loss,
        condition: Condition::Threshold(Threshold {
            direction: Direction::Below,
            raise_at: 0.0,
            clear_at: 1.0,
            hold_s: 0,
        }),
    }]);
    let bng = Source::Bng;
    let mut detections = Vec::new();
    for (position, (at_ms, sample)) in (1..).zip(received) {
        let received_at_ms = at_ms + LATENCY_MS;
        let counted = detect::Sample {
            position,
            source: bng.id(),
            resource: &sample.resource,
            metric: sample.metric,
            value: sample.value,
            sampled_at_ms: at_ms,
            received_at_ms,
        };
        detections.clear();
        detector.apply(&counted, &mut detections);
        for detection in &detections {
            let event = detector.event(detection, bng.as_str()).unwrap();
            entries.push(LogEntry {
                position: 0,
                source: RULE,
                sequence: detection.sequence,
                received_at_ms,
                record: LogRecord::Event(event),
            });
        }
    }
    entries.sort_by_key(|entry| entry.received_at_ms);
    for (position, entry) in (1..).zip(&mut entries) {
        entry.position = position;
    }
    entries
}
