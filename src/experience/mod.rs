//! How long faults of this provider took, and what that says of one that goes on.
//!
//! Pure. Invariants: what is learned is never given without how often such ranges have held; an
//! estimate by people always goes before it.

pub mod backtest;
mod likeness;
pub mod survival;

pub use likeness::{Like, Likeness, Size};

use crate::clock::Millis;
use crate::incident::{CauseKind, Estimate, Incident, IncidentNo, IncidentState};
use backtest::{Coverage, Run, backtest};
use std::collections::VecDeque;
use survival::{Span, Survival};

/// Episodes that are kept, the latest.
pub const KEPT: usize = 10_000;
/// How long before the latest one an episode may have ended: two years.
pub const KEPT_FOR_MS: Millis = 731 * 24 * 3_600_000;
/// From so many like faults, the latest, is learned at most: newer ones tell more.
const LEARNED_FROM: usize = 1_000;
/// So many like faults must have lasted longer than the one at hand, and be over.
pub const LEAST_ENDED: usize = 20;
/// So many ranges must have been tried in the past, and half of them have held.
pub const LEAST_TRIED: u32 = 20;

/// An episode of an incident that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    pub incident: IncidentNo,
    /// Of the incident, from 0.
    pub number: u32,
    pub like: Like,
    pub onset_ms: Millis,
    /// Not before the onset.
    pub ended_ms: Millis,
}

impl Episode {
    /// The present episode of an incident, if it has ended and something can be learned from it: it
    /// was believed and came to its own end, and nobody had planned it.
    pub fn of(incident: &Incident) -> Option<Self> {
        let counts = incident.state == IncidentState::Restored
            && incident.confirmed_ms.is_some()
            && incident.merged_into.is_none()
            && incident.cause.kind != CauseKind::PlannedWork;
        let ended_ms = incident.restored_ms.filter(|_| counts)?;
        Some(Self {
            incident: incident.no,
            number: incident.reopened,
            like: Like::of(incident),
            onset_ms: incident.onset_ms,
            ended_ms: ended_ms.max(incident.onset_ms),
        })
    }

    fn run(&self) -> Run {
        Run {
            onset_ms: self.onset_ms,
            ended_ms: self.ended_ms,
        }
    }

    fn is_of(&self, incident: &Incident) -> bool {
        self.incident == incident.no
            && (self.number == incident.reopened || incident.state == IncidentState::Rejected)
    }
}

/// When service may be back, by how long like faults took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The central 80 % of the instants at which like faults that had lasted as long as this one
    /// would have ended, had they begun with it; after the instant at which it was asked.
    pub range: Estimate,
    /// Which faults counted as like this one.
    pub likeness: Likeness,
    /// Like faults that are over and lasted longer than this one has by now.
    pub learned_from: u32,
    /// How often ranges that were made in the same way held in the past.
    pub coverage: Coverage,
}

/// What is remembered of past faults; at most [`KEPT`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Experience {
    /// By end.
    ended: VecDeque<Episode>,
}

impl Experience {
    /// Of these episodes, in any order; no two may be the same.
    pub fn new(mut episodes: Vec<Episode>) -> Self {
        episodes.sort_unstable_by_key(|e| (e.ended_ms, e.incident, e.number));
        let mut experience = Self {
            ended: episodes.into(),
        };
        experience.forget();
        experience
    }

    /// How many episodes it holds.
    pub fn len(&self) -> usize {
        self.ended.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }

    /// Whether [`Self::note`] may change anything.
    pub fn concerns(incident: &Incident) -> bool {
        !incident.state.is_open()
    }

    /// Takes over how an incident ended; of one that was rejected nothing stays.
    pub fn note(&mut self, incident: &Incident) {
        if !Self::concerns(incident) {
            return;
        }
        self.ended.retain(|episode| !episode.is_of(incident));
        let Some(episode) = Episode::of(incident) else {
            return;
        };
        let key = |e: &Episode| (e.ended_ms, e.incident, e.number);
        let place = self.ended.partition_point(|e| key(e) < key(&episode));
        self.ended.insert(place, episode);
        self.forget();
    }

    fn forget(&mut self) {
        let oldest_ms = self.ended.back().map_or(0, |e| e.ended_ms - KEPT_FOR_MS);
        while self.ended.len() > KEPT || self.ended.front().is_some_and(|e| e.ended_ms < oldest_ms)
        {
            self.ended.pop_front();
        }
    }

    /// What like faults say of an incident that has been confirmed and goes on at `now_ms`, when
    /// nobody has given an estimate; `open` are all incidents that go on. `None` when too little is
    /// known, also of the faults that are like it only in kind.
    pub fn learned<'a>(
        &self,
        incident: &Incident,
        open: impl Iterator<Item = &'a Incident>,
        now_ms: Millis,
    ) -> Option<Learned> {
        if !is_fault(incident) || incident.estimate.is_some() {
            return None;
        }
        let open = open.filter(|other| is_fault(other));
        let open: Vec<_> = open.map(|o| (Like::of(o), o.onset_ms)).collect();
        let mut chain = Like::of(incident).chain().into_iter();
        chain.find_map(|likeness| self.learned_by(likeness, incident.onset_ms, &open, now_ms))
    }

    fn learned_by(
        &self,
        likeness: Likeness,
        onset_ms: Millis,
        open: &[(Like, Millis)],
        now_ms: Millis,
    ) -> Option<Learned> {
        let elapsed_ms = (now_ms - onset_ms).max(0);
        let like = self.ended.iter().rev().filter(|e| likeness.covers(&e.like));
        let runs: Vec<Run> = like.take(LEARNED_FROM).map(Episode::run).collect();
        let ended = runs.iter().map(|run| Span {
            lasted_ms: run.lasted_ms(),
            ended: true,
        });
        let open = open.iter().filter(|(like, _)| likeness.covers(like));
        let open = open.map(|(_, onset_ms)| Span {
            lasted_ms: (now_ms - onset_ms).max(0),
            ended: false,
        });
        let survival = Survival::new(ended.chain(open).collect());
        let learned_from = survival.ended_after(elapsed_ms);
        if learned_from < LEAST_ENDED {
            return None;
        }
        let (from_ms, to_ms) = survival.range(elapsed_ms)?;
        let coverage = backtest(&runs, elapsed_ms, LEAST_ENDED);
        let has_held = 2 * u64::from(coverage.held) >= u64::from(coverage.tried);
        (coverage.tried >= LEAST_TRIED && has_held).then_some(Learned {
            range: Estimate {
                from_ms: onset_ms.saturating_add(from_ms),
                to_ms: onset_ms.saturating_add(to_ms),
            },
            likeness,
            learned_from: u32::try_from(learned_from).unwrap_or(u32::MAX),
            coverage,
        })
    }
}

/// Whether an incident goes on that is believed and that nobody had planned.
fn is_fault(incident: &Incident) -> bool {
    incident.state == IncidentState::Confirmed && incident.cause.kind != CauseKind::PlannedWork
}
