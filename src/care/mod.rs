//! The answer for a care agent: how an account stands, and what to say about it now.
//!
//! Invariants: only a confirmed incident makes an account "affected"; nothing said here tells a
//! person that they were chosen not to be told.

mod say;
mod search;

pub use say::{Language, cause_in_words, what_to_say};
pub use search::{SearchKey, search_order};

use crate::clock::Millis;
use crate::experience::Learned;
use crate::incident::{Incident, IncidentState};
use crate::subscriber::Segment;
use std::sync::Arc;

/// How long after its end an incident is still worth a sentence.
pub const LATELY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What an agent must know of a person besides faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    pub account: String,
    pub name: String,
    pub address: String,
    /// BCP 47.
    pub language: String,
    /// IANA name.
    pub time_zone: String,
    pub segment: Segment,
    pub vulnerable: bool,
}

/// What an incident does to an account now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Impact {
    /// No service.
    Lost,
    /// Service, but no redundancy left.
    AtRisk,
    /// It concerned the account at some time, and does not now.
    Past,
}

/// What the person has been told about one incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// When the person was first told of the fault, by this incident or by one that covers the person.
    pub fault_ms: Option<Millis>,
    /// It was another incident that told of it; what that said is not taken back with this one.
    pub by_another: bool,
    /// When the person was told that there was none, if that was the last word.
    pub retraction_ms: Option<Millis>,
    /// The person does not want to be told.
    pub is_unwanted: bool,
}

/// An incident that concerns the account.
#[derive(Clone, Debug, PartialEq)]
pub struct Concern {
    pub incident: Arc<Incident>,
    /// Since when the account is, or was, without service by it.
    pub since_ms: Millis,
    pub impact: Impact,
    pub told: Told,
    /// What like faults say of it, while nobody has given an estimate.
    pub learned: Option<Learned>,
}

/// How an account stands: the one thing that matters most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing<'a> {
    /// Has lost service by a confirmed incident.
    Affected(&'a Concern),
    /// Has lost service if a suspicion proves right.
    Suspected(&'a Concern),
    /// Has service without redundancy.
    AtRisk(&'a Concern),
    /// Was told of a fault lately that was none.
    Retracted(&'a Concern),
    /// Has service again since lately.
    Restored(&'a Concern),
    /// Planned work may take service away until then.
    PlannedWork(Millis),
    /// Nothing is known.
    Unconcerned,
}

/// What matters most about `concerns` at `now_ms`.
pub fn standing(concerns: &[Concern], now_ms: Millis) -> Standing<'_> {
    let open = |state, impact| {
        concerns
            .iter()
            .filter(move |c| c.incident.state == state && c.impact == impact)
            .min_by_key(|c| (c.since_ms, c.incident.no))
    };
    if let Some(concern) = open(IncidentState::Confirmed, Impact::Lost) {
        return Standing::Affected(concern);
    }
    if let Some(concern) = open(IncidentState::Suspected, Impact::Lost) {
        return Standing::Suspected(concern);
    }
    if let Some(concern) = open(IncidentState::Confirmed, Impact::AtRisk) {
        return Standing::AtRisk(concern);
    }
    // What goes on in another incident ends with that, if that tells of its end.
    let goes_on = |concern: &&Concern| {
        let survivor = concern.incident.merged_into;
        let survivor = survivor.and_then(|no| concerns.iter().find(|c| c.incident.no == no));
        survivor.is_some_and(|c| c.impact != Impact::Past || ended_ms(c, now_ms).is_some())
    };
    let over = concerns
        .iter()
        .filter(|concern| !goes_on(concern))
        .filter_map(|c| ended_ms(c, now_ms).map(|ended_ms| (ended_ms, c)))
        .filter(|(ended_ms, _)| now_ms.saturating_sub(*ended_ms) <= LATELY_MS)
        .max_by_key(|(ended_ms, c)| (*ended_ms, c.incident.no));
    match over {
        Some((_, concern))
            if concern.incident.state == IncidentState::Rejected
                || concern.told.retraction_ms.is_some() =>
        {
            Standing::Retracted(concern)
        }
        Some((_, concern)) => Standing::Restored(concern),
        None => Standing::Unconcerned,
    }
}

/// The same, where planned work goes on until `work_until_ms`: a fault that is known goes before it.
pub fn standing_beside_work(
    concerns: &[Concern],
    work_until_ms: Option<Millis>,
    now_ms: Millis,
) -> Standing<'_> {
    match (standing(concerns, now_ms), work_until_ms) {
        (known @ (Standing::Affected(_) | Standing::Suspected(_)), _) => known,
        (_, Some(until_ms)) => Standing::PlannedWork(until_ms),
        (other, None) => other,
    }
}

/// When a concern of the past ended, if it is one that the person can have noticed.
fn ended_ms(concern: &Concern, now_ms: Millis) -> Option<Millis> {
    let incident = &concern.incident;
    match incident.state {
        // The fault was one for others.
        IncidentState::Confirmed | IncidentState::Restored
            if concern.impact == Impact::Past && concern.told.retraction_ms.is_some() =>
        {
            concern.told.retraction_ms
        }
        IncidentState::Restored => incident.restored_ms,
        // The fault goes on for others; this person has service again.
        IncidentState::Confirmed if concern.impact == Impact::Past => Some(now_ms),
        // Whoever was told nothing by it need not hear of a mistake.
        IncidentState::Rejected => concern
            .told
            .fault_ms
            .filter(|_| !concern.told.by_another || concern.told.retraction_ms.is_some())
            .map(|told_ms| concern.told.retraction_ms.unwrap_or(told_ms)),
        _ => None,
    }
}

/// Whether the account has lost service by a confirmed incident.
pub fn is_affected(concerns: &[Concern]) -> bool {
    let affects =
        |c: &Concern| c.impact == Impact::Lost && c.incident.state == IncidentState::Confirmed;
    concerns.iter().any(affects)
}

/// Whether the account has service, but lost its redundancy to a confirmed incident.
pub fn is_at_risk(concerns: &[Concern]) -> bool {
    let threatens =
        |c: &Concern| c.impact == Impact::AtRisk && c.incident.state == IncidentState::Confirmed;
    !is_affected(concerns) && concerns.iter().any(threatens)
}
