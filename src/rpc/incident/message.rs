//! Incidents as messages.

use crate::alarm::SourceId;
use crate::experience::Learned;
use crate::incident::{Incident, IncidentState, TimelineEntry};
use crate::proto::v1;
use crate::store::StoredSource;
use std::collections::{BTreeMap, HashMap};

/// An incident without timeline, evidence, notices and what is learned.
pub(in crate::rpc) fn to_message(incident: &Incident) -> v1::Incident {
    v1::Incident {
        id: incident.no.to_string(),
        state: state_message(incident.state).into(),
        cause: Some(v1::Cause {
            resources: incident.cause.resources.clone(),
            kind: incident.cause.kind.as_str().to_owned(),
            text: incident.cause.text.clone(),
            set_by_operator: incident.cause.set_by_operator,
            reasoning: incident.cause.reasoning.clone(),
        }),
        onset_ms: incident.onset_ms,
        detected_ms: incident.detected_ms,
        confirmed_ms: incident.confirmed_ms.unwrap_or_default(),
        restored_ms: incident.restored_ms.unwrap_or_default(),
        estimate_from_ms: incident.expected().map_or(0, |e| e.from_ms),
        estimate_to_ms: incident.expected().map_or(0, |e| e.to_ms),
        affected: incident.affected,
        affected_peak: incident.affected_peak,
        at_risk: incident.at_risk,
        reopened: incident.reopened,
        unstable: incident.unstable,
        stale: incident.stale,
        revision: incident.revision,
        timeline: Vec::new(),
        evidence: Vec::new(),
        evidence_count: incident.evidence_count,
        notices: BTreeMap::new(),
        declared: incident
            .declared
            .iter()
            .map(|declared| declared.id.to_string())
            .collect(),
        merged_into: incident
            .merged_into
            .map_or_else(String::new, |no| no.to_string()),
        split_from: incident
            .split_from
            .map_or_else(String::new, |no| no.to_string()),
        learned_estimate: None,
    }
}

pub(in crate::rpc) fn learned_message(learned: &Learned) -> v1::LearnedEstimate {
    v1::LearnedEstimate {
        from_ms: learned.range.from_ms,
        to_ms: learned.range.to_ms,
        tried: learned.coverage.tried,
        held: learned.coverage.held,
        learned_from: learned.learned_from,
        likeness: learned.likeness.to_string(),
    }
}

pub(in crate::rpc) fn state_message(state: IncidentState) -> v1::IncidentState {
    match state {
        IncidentState::Suspected => v1::IncidentState::Suspected,
        IncidentState::Confirmed => v1::IncidentState::Confirmed,
        IncidentState::Restored => v1::IncidentState::Restored,
        IncidentState::Rejected => v1::IncidentState::Rejected,
    }
}

pub(super) fn timeline_message(entry: &TimelineEntry) -> v1::TimelineEntry {
    v1::TimelineEntry {
        at_ms: entry.at_ms,
        what: entry.what.as_str().to_owned(),
        reason: entry.reason.clone(),
        by: entry.by.clone(),
    }
}

pub(super) fn evidence_messages(
    incident: &Incident,
    sources: &[StoredSource],
) -> Vec<v1::Evidence> {
    let names: HashMap<SourceId, &str> = sources
        .iter()
        .map(|source| (source.id, source.name.as_str()))
        .collect();
    incident
        .evidence
        .iter()
        .map(|evidence| v1::Evidence {
            source: names
                .get(&evidence.source)
                .map(|name| (*name).to_owned())
                .unwrap_or_default(),
            resource: evidence.key.resource.clone(),
            alarm_type: evidence.key.alarm_type.clone(),
            severity: evidence.severity.as_str().to_owned(),
            raised_ms: evidence.raised_ms,
            cleared_ms: evidence.cleared_ms.unwrap_or_default(),
        })
        .collect()
}
