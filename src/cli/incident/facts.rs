//! One incident as facts for people, and as a record for scripts.

use super::state_name;
use crate::cli::table::{Output, grouped, instant};
use crate::proto::v1;
use serde_json::{Value, json};

pub(super) fn facts(out: &Output, incident: &v1::Incident) -> Vec<(&'static str, String)> {
    let by_operator = incident
        .cause
        .as_ref()
        .is_some_and(|cause| cause.set_by_operator);
    let notices: Vec<String> = incident
        .notices
        .iter()
        .map(|(what, count)| format!("{what} {}", grouped(*count)))
        .collect();
    let reopened = match incident.reopened {
        0 => String::new(),
        times => format!("{times} times"),
    };
    let remarks = [
        (incident.unstable, "comes and goes"),
        (incident.stale, "a source of its evidence is silent"),
        (by_operator, "cause set by an operator"),
    ];
    let remarks: Vec<&str> = remarks
        .into_iter()
        .filter_map(|(holds, remark)| holds.then_some(remark))
        .collect();
    vec![
        ("incident", incident.id.clone()),
        ("state", state_name(incident)),
        ("cause", cause_line(incident)),
        (
            "why",
            incident
                .cause
                .as_ref()
                .map(|cause| cause.reasoning.clone())
                .unwrap_or_default(),
        ),
        ("declared", incident.declared.join(", ")),
        ("affected", affected_line(incident)),
        ("at risk", grouped(incident.at_risk)),
        ("since", out.when(incident.onset_ms)),
        ("detected", out.when(incident.detected_ms)),
        ("confirmed", out.when(incident.confirmed_ms)),
        (
            "expected",
            out.range(incident.estimate_from_ms, incident.estimate_to_ms),
        ),
        ("usually", learned(out, incident.learned_estimate.as_ref())),
        ("restored", out.when(incident.restored_ms)),
        ("reopened", reopened),
        ("remarks", remarks.join("; ")),
        ("goes on in", incident.merged_into.clone()),
        ("split from", incident.split_from.clone()),
        ("notices", notices.join(", ")),
    ]
}

/// When like faults end, and how far that can be relied on; nothing when it is not known.
fn learned(out: &Output, learned: Option<&v1::LearnedEstimate>) -> String {
    let Some(learned) = learned else {
        return String::new();
    };
    let v1::LearnedEstimate { tried, held, .. } = learned;
    format!(
        "{}; of {tried} like faults ({}) {held} ended within such a range",
        out.range(learned.from_ms, learned.to_ms),
        learned.likeness,
    )
}

pub(super) fn affected_line(incident: &v1::Incident) -> String {
    let (now, peak) = (incident.affected, incident.affected_peak);
    if now == peak {
        grouped(now)
    } else {
        format!("{} (peak {})", grouped(now), grouped(peak))
    }
}

/// A power cut may have thousands of parts; all of them are in the record for machines.
pub(super) fn cause_line(incident: &v1::Incident) -> String {
    cause_with(incident, 20)
}

/// For a row of a list: a power cut may have hundreds of parts.
pub(super) fn cause_in_short(incident: &v1::Incident) -> String {
    cause_with(incident, 3)
}

fn cause_with(incident: &v1::Incident, most: usize) -> String {
    let Some(cause) = &incident.cause else {
        return String::new();
    };
    let kind = cause.kind.replace('_', " ");
    let shown = cause.resources.len().min(most);
    let mut resources = cause.resources[..shown].join(" + ");
    if cause.resources.len() > shown {
        resources = format!("{resources} and {} more", cause.resources.len() - shown);
    }
    let parts = [kind, resources, cause.text.clone()];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

pub(super) fn record(incident: &v1::Incident) -> Value {
    let cause = incident.cause.clone().unwrap_or_default();
    json!({
        "id": incident.id,
        "state": state_name(incident),
        "cause": {
            "resources": cause.resources,
            "kind": cause.kind,
            "text": cause.text,
            "set_by_operator": cause.set_by_operator,
            "reasoning": cause.reasoning,
        },
        "onset_ms": instant(incident.onset_ms),
        "detected_ms": instant(incident.detected_ms),
        "confirmed_ms": instant(incident.confirmed_ms),
        "restored_ms": instant(incident.restored_ms),
        "estimate_from_ms": instant(incident.estimate_from_ms),
        "estimate_to_ms": instant(incident.estimate_to_ms),
        "learned_estimate": incident.learned_estimate.as_ref().map(learned_record),
        "affected": incident.affected,
        "affected_peak": incident.affected_peak,
        "at_risk": incident.at_risk,
        "reopened": incident.reopened,
        "unstable": incident.unstable,
        "stale": incident.stale,
        "revision": incident.revision,
        "evidence_count": incident.evidence_count,
        "declared": incident.declared,
        "notices": incident.notices,
        "merged_into": text(&incident.merged_into),
        "split_from": text(&incident.split_from),
    })
}

/// What is learned, for scripts.
pub(in crate::cli) fn learned_record(learned: &v1::LearnedEstimate) -> Value {
    json!({
        "from_ms": learned.from_ms,
        "to_ms": learned.to_ms,
        "tried": learned.tried,
        "held": learned.held,
        "learned_from": learned.learned_from,
        "likeness": learned.likeness,
    })
}

/// The estimate that was given, or else when like faults end; for a row of a list.
pub(in crate::cli) fn expected_in_short(
    out: &Output,
    (from_ms, to_ms): (i64, i64),
    learned: Option<&v1::LearnedEstimate>,
) -> String {
    match learned {
        Some(learned) if to_ms == 0 => {
            format!("usually {}", out.range(learned.from_ms, learned.to_ms))
        }
        _ => out.range(from_ms, to_ms),
    }
}

pub(super) fn record_in_full(incident: &v1::Incident) -> Value {
    let mut full = record(incident);
    let timeline = incident.timeline.iter().map(|entry| {
        json!({
            "at_ms": entry.at_ms,
            "what": entry.what,
            "reason": entry.reason,
            "by": entry.by,
        })
    });
    let evidence = incident.evidence.iter().map(|alarm| {
        json!({
            "source": alarm.source,
            "resource": alarm.resource,
            "alarm_type": alarm.alarm_type,
            "severity": alarm.severity,
            "raised_ms": instant(alarm.raised_ms),
            "cleared_ms": instant(alarm.cleared_ms),
        })
    });
    full["timeline"] = timeline.collect();
    full["evidence"] = evidence.collect();
    full
}

/// Nothing for an empty text.
fn text(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
