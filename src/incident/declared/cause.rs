//! Declared causes as failures, beside those that were found from alarms.

use super::standing::{Declared, Standing};
use super::statement::{DeclarationId, Statement};
use crate::alarm::{AlarmBook, AlarmNo};
use crate::clock::Millis;
use crate::geography::Affects;
use crate::incident::evidence::{Summary, describe, summarise, thousands};
use crate::incident::life::Impact;
use crate::incident::localise::Failure;
use crate::incident::matching::Found;
use crate::incident::onset::{Onset, Premises};
use crate::incident::{CauseKind, CorrelatorSettings};
use crate::topology::{Network, Part};
use std::collections::HashMap;
use std::sync::Arc;

/// What a declaration says of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::incident) struct Stated {
    pub(in crate::incident) statement: Arc<Statement>,
    /// Where, when no parts say it; empty otherwise.
    place: String,
    is_of_people: bool,
}

impl Stated {
    pub(super) fn of(standing: &Standing) -> Self {
        let statement = Arc::clone(&standing.declaration.statement);
        let place = match (statement.reference.id, statement.area) {
            (DeclarationId::Area(_), _) => statement.title(),
            (_, Some(area)) => area.to_string(),
            _ => String::new(),
        };
        let area = standing.declaration.area.as_ref();
        let is_of_people = area.is_some_and(|area| area.affects == Affects::ServiceLostInside);
        Self {
            statement,
            place,
            is_of_people,
        }
    }

    /// Whether it says of people, not of parts, that they are without service.
    pub(in crate::incident) fn is_of_people(&self) -> bool {
        self.is_of_people
    }

    /// For the timeline: who says what.
    pub(in crate::incident) fn reason(&self) -> String {
        let statement = &self.statement;
        match statement.reference.id {
            DeclarationId::Area(_) => format!("{} was declared", statement.title()),
            DeclarationId::Fault(_) if statement.text.is_empty() => "opened by hand".to_owned(),
            DeclarationId::Fault(_) => format!("opened by hand: {}", statement.text),
            DeclarationId::Work(_) => overrun(statement),
        }
    }
}

fn overrun(work: &Statement) -> String {
    let until = work.until_ms.and_then(|at| {
        let at = jiff::Timestamp::from_millisecond(at).ok()?;
        Some(at.strftime("%Y-%m-%d %H:%M UTC").to_string())
    });
    let until = until.unwrap_or_default();
    format!("planned work {} was to end at {until}", work.title())
}

impl Declared {
    /// The failures that are declared now; those that are as before are taken from `known`.
    pub(in crate::incident) fn found(
        &self,
        known: &[Found],
        book: &AlarmBook,
        network: &Network,
        settings: &CorrelatorSettings,
    ) -> Vec<Found> {
        let find = |standing: &Standing| {
            let alarms = self.alarms_of(standing.declaration.reference().id);
            let failure = failure(standing, alarms, book, network);
            let found = found(standing, &failure, book, network, settings);
            let same = known.iter().find(|known| {
                *known.summary == *found.summary && known.impact.lost == found.impact.lost
            });
            same.cloned().unwrap_or(found)
        };
        self.causes().map(find).collect()
    }
}

fn failure(
    standing: &Standing,
    alarms: impl Iterator<Item = AlarmNo>,
    book: &AlarmBook,
    network: &Network,
) -> Failure {
    let mut failure = Failure {
        parts: standing.parts.clone(),
        reasoning: Stated::of(standing).declared_by(),
        ..Failure::default()
    };
    for no in alarms {
        let Some(alarm) = book.get(no) else { continue };
        if alarm.is_evidence() {
            failure.alarms.push(no);
        }
        let part = network.part(&alarm.key().resource);
        if part.is_some_and(|part| standing.parts.contains(&part)) {
            failure.own.push(no);
        }
    }
    failure
}

impl Stated {
    fn declared_by(&self) -> String {
        let id = self.statement.reference.id;
        format!("Declared by {} as {id}.", self.statement.declared_by)
    }
}

fn found(
    standing: &Standing,
    failure: &Failure,
    book: &AlarmBook,
    network: &Network,
    settings: &CorrelatorSettings,
) -> Found {
    let statement = &standing.declaration.statement;
    let own = failure.own.iter().filter_map(|no| book.get(*no));
    let own = own.filter(|alarm| alarm.is_evidence());
    let mut raised: HashMap<Part, Millis> = HashMap::new();
    for alarm in own {
        if let Some(part) = network.part(&alarm.key().resource) {
            let first = raised.entry(part).or_insert(Millis::MAX);
            *first = alarm.raised_ms().min(*first);
        }
    }
    let earliest = raised.values().copied().min();
    let onset = Onset {
        at_ms: statement.since_ms.min(earliest.unwrap_or(Millis::MAX)),
        before_ms: None,
    };
    let mut failed_since = standing.failed_since();
    for (part, at_ms) in &mut failed_since {
        *at_ms = raised.get(part).map_or(*at_ms, |raised| *raised.min(at_ms));
    }
    let summary = summarise(
        failure,
        standing.impact.lost.len(),
        book,
        network,
        settings,
        (onset, failed_since.clone()),
    );
    let mut summary = summary.unwrap_or_else(|| Summary {
        parts: failure.parts.clone(),
        evidence: Vec::new(),
        evidence_count: 0,
        onset,
        failed_since,
        half_raised_ms: statement.since_ms,
        newest_raise_ms: statement.since_ms,
        first_received_ms: statement.declared_at_ms,
        half_received_ms: statement.declared_at_ms,
        is_stale: false,
        unstable_until_ms: None,
        backed: standing.impact.lost.len(),
        unbacked: 0,
        is_lone: false,
        kind: statement.kind,
        reasoning: failure.reasoning.clone(),
        stated: Vec::new(),
        overrun: None,
    });
    if statement.kind != CauseKind::Unknown {
        summary.kind = statement.kind;
    }
    // A declared cause does not come and go with its alarms.
    summary.unstable_until_ms = None;
    summary.is_lone = false;
    summary.stated.push(Stated::of(standing));
    Found::new(
        failure,
        summary,
        standing.impact.clone(),
        Premises::default(),
    )
}

/// Who is without service by several failures, when some of them are declared.
pub(in crate::incident) fn combined_impact(
    failures: &[&Found],
    parts: &[Part],
    network: &Network,
) -> Impact {
    let mut impact = Impact::of(parts, network);
    let mut lost = (*impact.lost).clone();
    for failure in failures.iter().filter(|failure| failure.is_stated()) {
        lost = lost.union(&failure.impact.lost);
    }
    impact.at_risk = Arc::new(impact.at_risk.difference(&lost));
    impact.lost = Arc::new(lost);
    impact
}

/// The cause in plain words, for operators.
pub(in crate::incident) fn cause_text(summary: &Summary, lost: usize, network: &Network) -> String {
    let described = describe(&summary.parts, summary.kind, lost, network);
    if let Some(work) = &summary.overrun {
        let title = work.statement.title();
        return format!("Planned work {title} has overrun its window. {described}");
    }
    let people = format!("{} subscribers", thousands(lost));
    match summary.stated.first() {
        Some(stated) if !stated.place.is_empty() => {
            let place = &stated.place;
            let what = if stated.is_of_people() {
                "Service"
            } else {
                "Power"
            };
            match summary.parts.len() {
                0 => format!("{what} is lost inside {place}; {people}"),
                1 => format!("{what} is lost inside {place}; 1 element has failed, {people}"),
                n => format!(
                    "{what} is lost inside {place}; {} elements have failed, {people}",
                    thousands(n)
                ),
            }
        }
        _ => described,
    }
}
