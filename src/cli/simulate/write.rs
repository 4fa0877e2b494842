//! The files of a simulation.

use super::send::Time;
use crate::alarm::{AlarmEventKind, LogEntry, LogRecord, ServiceEffect};
use crate::effect::complaint::COLUMNS;
use crate::simulate::{CustomerComplaint, Misplaced, Sample, Simulation, Source, World};
use crate::subscriber::Subscriber;
use crate::topology::{Network, NetworkDefinition, Part};
use crate::{subscriber, topology};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Everything that is written.
pub(super) struct Played<'a> {
    /// The network with the mistakes of the inventory.
    pub(super) believed: NetworkDefinition,
    pub(super) misplaced: Vec<Misplaced>,
    pub(super) subscribers: &'a [Subscriber],
    pub(super) simulation: &'a Simulation,
    pub(super) complaints: Vec<CustomerComplaint>,
    /// When the alarms are sent as well: the complaints are of that time, so that they belong to it.
    pub(super) time: Option<Time>,
}

/// Writes all files to a folder.
pub(super) fn all(folder: &Path, played: &Played<'_>, world: &World) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("making the folder {}", folder.display()))?;
    let network = world.network();
    file(folder, "topology.jsonl", |f| {
        topology::write_jsonl(&played.believed, f)
    })?;
    file(folder, "subscribers.jsonl", |f| {
        subscriber::write_jsonl(played.subscribers, f)
    })?;
    let entries = &played.simulation.entries;
    file(folder, "alarms.jsonl", |f| {
        lines(f, entries.iter().filter_map(alarm))
    })?;
    let samples = played.simulation.samples.iter();
    file(folder, "telemetry.jsonl", |f| lines(f, samples.map(sample)))?;
    file(folder, "truth.json", |f| {
        let mut truth = played.simulation.truth.to_json(network);
        truth["misplaced"] = played
            .misplaced
            .iter()
            .map(|m| misplaced(m, network))
            .collect();
        serde_json::to_writer_pretty(&mut *f, &truth)?;
        f.write_all(b"\n")
    })?;
    file(folder, "complaints.csv", |f| {
        complaints(f, &played.complaints, played.time, network)
    })
}

fn file(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let path = folder.join(name);
    let to_file = || {
        let mut file = BufWriter::new(File::create(&path)?);
        write(&mut file)?;
        file.flush()
    };
    to_file().with_context(|| format!("writing {}", path.display()))
}

fn lines(file: &mut impl Write, values: impl Iterator<Item = Value>) -> std::io::Result<()> {
    for value in values {
        serde_json::to_writer(&mut *file, &value)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// A message as `StreamAlarmsRequest` has it, with who sent it and when it came; nothing for what
/// the receiving side notices itself.
fn alarm(entry: &LogEntry) -> Option<Value> {
    let message = match &entry.record {
        LogRecord::Event(event) => {
            let mut fields = json!({
                "kind": match event.kind {
                    AlarmEventKind::Raise => "raise",
                    AlarmEventKind::Change => "change",
                    AlarmEventKind::Clear => "clear",
                },
                "resource": event.key.resource,
                "alarm_type": event.key.alarm_type,
                "severity": event.severity.as_str(),
                "event_time_ms": event.event_at_ms,
            });
            for (name, text) in [
                ("alarm_type_qualifier", &event.key.qualifier),
                ("text", &event.detail.text),
            ] {
                if !text.is_empty() {
                    fields[name] = json!(text);
                }
            }
            if let Some(effect) = event.detail.service_effect {
                fields["service_effect"] = json!(match effect {
                    ServiceEffect::Loss => "loss",
                    ServiceEffect::Degraded => "degraded",
                    ServiceEffect::None => "none",
                });
            }
            ("event", fields)
        }
        LogRecord::SnapshotBegin => ("snapshot_begin", json!({})),
        LogRecord::SnapshotEnd => ("snapshot_end", json!({})),
        LogRecord::Stale | LogRecord::Heard => return None,
    };
    let source = Source::of_id(entry.source)?;
    Some(json!({
        "source": source.as_str(),
        "received_at_ms": entry.received_at_ms,
        "sequence": entry.sequence,
        (message.0): message.1,
    }))
}

fn sample(sample: &Sample) -> Value {
    json!({
        "source": Source::Bng.as_str(),
        "sample": {
            "resource": sample.resource,
            "metric": sample.metric,
            "value": sample.value,
            "sampled_at_ms": sample.sampled_at_ms,
        },
    })
}

fn misplaced(misplaced: &Misplaced, network: &Network) -> Value {
    let id = |element| network.part_id(Part::Element(element));
    json!({
        "ont": id(misplaced.ont),
        "really_on": id(misplaced.really),
        "believed_on": id(misplaced.believed),
    })
}

/// As `forewarn import complaints` reads them.
fn complaints(
    file: &mut impl Write,
    complaints: &[CustomerComplaint],
    time: Option<Time>,
    network: &Network,
) -> std::io::Result<()> {
    let mut table = csv::Writer::from_writer(file);
    table.write_record(COLUMNS)?;
    for (complaint, number) in complaints.iter().zip(1..) {
        let id = format!("S-{number}");
        let at_ms = time.map_or(complaint.at_ms, |time| time.ours(complaint.at_ms));
        let at_ms = at_ms.to_string();
        table.write_record([
            &id,
            &at_ms,
            complaint.channel.as_str(),
            network.account(complaint.subscriber),
            "",
            "",
            "",
            "no_service",
            "",
        ])?;
    }
    table.flush()
}
