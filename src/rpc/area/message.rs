//! Areas as messages.

use crate::clock::Millis;
use crate::geography::{AreaDocument, AreaEvent, AreaImpact, AreaWarning, PowerFailure};
use crate::pipeline::live::Live;
use crate::proto::v1;
use crate::proto::v1::get_area_response::Document;
use crate::store::AreaTaken;
use crate::topology::Part;

/// Failures that a preview lists.
const LISTED_FAILURES: usize = 1_000;

/// An area.
pub(super) fn event(event: &AreaEvent, now_ms: Millis) -> v1::DeclaredArea {
    let declaration = &event.declaration;
    let end = event.end.as_ref();
    let texts = declaration.texts.iter().map(|text| v1::AlertText {
        language: text.language.clone(),
        event: text.event.clone(),
        headline: text.headline.clone(),
    });
    v1::DeclaredArea {
        id: event.no.to_string(),
        revision: event.revision,
        state: event.state(now_ms).as_str().to_owned(),
        name: declaration.name.clone(),
        affects: declaration.affects.as_str().to_owned(),
        format: declaration.document.format().to_owned(),
        onset_ms: declaration.onset_ms,
        expires_ms: declaration.expires_ms.unwrap_or_default(),
        note: declaration.note.clone(),
        texts: texts.collect(),
        declared_ms: event.declared_at_ms,
        declared_by: event.declared_by.clone(),
        changed_ms: event.changed_at_ms,
        ended_ms: end.map(|end| end.at_ms).unwrap_or_default(),
        ended_by: end.map(|end| end.by.clone()).unwrap_or_default(),
        end_reason: end.map(|end| end.reason.clone()).unwrap_or_default(),
        incident_ids: Vec::new(),
    }
}

/// What became of a declaration. What lies inside is said of areas that this changed or found.
pub(super) fn taken(
    taken: &AreaTaken,
    preview: Option<v1::AreaPreview>,
    now_ms: Millis,
) -> v1::DeclareAreaResponse {
    let (outcome, area, ended) = match taken {
        AreaTaken::Declared(area) => ("declared", Some(area), &[][..]),
        AreaTaken::Updated(area, ended) => ("updated", Some(area), ended.as_slice()),
        AreaTaken::Unchanged(area) => ("unchanged", Some(area), &[][..]),
        AreaTaken::Cancelled(ended) => ("cancelled", None, ended.as_slice()),
        AreaTaken::Withdrawn => ("withdrawn", None, &[][..]),
    };
    v1::DeclareAreaResponse {
        outcome: outcome.to_owned(),
        area: area.map(|area| event(area, now_ms)),
        ended_ids: ended.iter().map(|area| area.no.to_string()).collect(),
        preview: preview.filter(|_| area.is_some()),
    }
}

/// What an area holds and does.
pub(super) fn preview(impact: &AreaImpact, live: &Live, now_ms: Millis) -> v1::AreaPreview {
    let network = &live.network;
    let count = |number: usize| number as u64;
    let failure = |failure: &PowerFailure| v1::PowerFailure {
        element_id: network.part_id(Part::Element(failure.element)).to_owned(),
        kind: network.kind(failure.element).as_str().to_owned(),
        battery_minutes: failure.battery_minutes,
        fails_ms: failure.at_ms,
    };
    let listed = impact.failures.iter().take(LISTED_FAILURES);
    let inside = &impact.inside;
    v1::AreaPreview {
        subscribers: count(inside.subscribers.len()),
        premises: count(inside.premises),
        elements: count(inside.elements.len()),
        subscribers_lost_now: count(impact.lost_by(network, now_ms).len()),
        subscribers_lost_at_last: count(impact.lost_by(network, Millis::MAX).len()),
        power_failures_total: count(impact.failures.len()),
        power_failures: listed.map(failure).collect(),
        warnings: inside.warnings.iter().map(warning).collect(),
        topology_version: live.topology_version,
        subscribers_version: live.subscribers_version,
    }
}

fn warning(warning: &AreaWarning) -> v1::AreaWarning {
    v1::AreaWarning {
        code: warning.code().to_owned(),
        text: warning.to_string(),
    }
}

/// The document as it was declared.
pub(super) fn document(document: AreaDocument) -> Document {
    match document {
        AreaDocument::Geojson { text } => Document::Geojson(text),
        AreaDocument::Cap { text } => Document::Cap(text),
        AreaDocument::Disc { centre, radius_m } => Document::Disc(v1::Disc {
            centre: Some(v1::Position {
                latitude: centre.latitude,
                longitude: centre.longitude,
            }),
            radius_m,
        }),
    }
}
