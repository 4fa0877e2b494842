//! Session counts of the BNG, through a rule of detection, as alarms in the log.

use forewarn::alarm::{LogEntry, LogRecord, ServiceEffect, Severity, SourceId};
use forewarn::detect::{self, Condition, Detector, Fall, Rule};
use forewarn::simulate::{Sample, Source};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// What counts take to us.
const LATENCY_MS: i64 = 1_000;
/// Alarms of rules have a source of their own.
const RULE: SourceId = SourceId(1_000);

/// Against what the counts of a port are held, and for how long they matter after a change.
const WINDOW_MS: i64 = 1_800_000;

/// The log with the alarms of ports whose sessions are gone, but for one in many, because some people
/// are served from two places. Each port is counted every `every_ms`; each count is lost for itself.
pub(super) fn with_detections(
    mut entries: Vec<LogEntry>,
    changes: &[Sample],
    every_ms: i64,
    missed: f64,
    seed: u64,
) -> Vec<LogEntry> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x7e1e);
    let mut by_port: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in changes {
        by_port.entry(&sample.resource).or_default().push(sample);
    }
    let mut received: Vec<(i64, &Sample)> = Vec::new();
    for samples in by_port.into_values() {
        let ends = samples.iter().skip(1).map(|next| next.sampled_at_ms);
        let first_ms = samples.first().map(|first| first.sampled_at_ms - WINDOW_MS);
        let begins = samples.iter().skip(1).map(|sample| sample.sampled_at_ms);
        let begins = first_ms.into_iter().chain(begins);
        let counted = samples.iter().zip(begins.zip(ends.chain([i64::MAX])));
        for (sample, (from_ms, next_ms)) in counted {
            // Between two changes the count stays; only what is near one matters.
            let mut at_ms = from_ms;
            while at_ms < next_ms {
                if at_ms - from_ms > 2 * WINDOW_MS {
                    let left_ms = next_ms.saturating_sub(at_ms).saturating_sub(WINDOW_MS);
                    at_ms += left_ms.max(0) / every_ms * every_ms;
                    if next_ms == i64::MAX {
                        break;
                    }
                }
                if !rng.random_bool(missed) {
                    received.push((at_ms, sample));
                }
                at_ms += every_ms;
            }
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
        condition: Condition::Drop(Fall {
            fall_percent: 97.0,
            window_s: 1_800,
            minimum_base: 5.0,
            recover_percent: 20.0,
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
