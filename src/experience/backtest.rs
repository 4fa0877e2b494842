//! How well ranges would have done in the past.
//!
//! Invariant: each range is made of nothing that was not over when the fault it is held against began.

use super::survival::ranks;
use crate::clock::Millis;

/// When a fault began and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub onset_ms: Millis,
    /// Not before the onset.
    pub ended_ms: Millis,
}

impl Run {
    /// How long it lasted.
    pub fn lasted_ms(&self) -> Millis {
        self.ended_ms - self.onset_ms
    }
}

/// How many ranges were tried, and how many held the duration of their fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub tried: u32,
    /// At most `tried`.
    pub held: u32,
}

/// Goes through `runs`, in any order, as if each had lasted `elapsed_ms` so far: would the range,
/// learned from those that had lasted longer and were over before its onset, have held it? Tried
/// only where there were at least `least` of these.
pub fn backtest(runs: &[Run], elapsed_ms: Millis, least: usize) -> Coverage {
    let outlasting = runs.iter().filter(|run| run.lasted_ms() > elapsed_ms);
    let mut by_onset: Vec<Run> = outlasting.copied().collect();
    let mut by_end = by_onset.clone();
    by_onset.sort_unstable_by_key(|run| run.onset_ms);
    by_end.sort_unstable_by_key(|run| run.ended_ms);
    let mut over = by_end.iter().peekable();
    let mut known: Vec<Millis> = Vec::with_capacity(by_onset.len());
    let mut coverage = Coverage::default();
    for run in &by_onset {
        while let Some(ended) = over.next_if(|ended| ended.ended_ms < run.onset_ms) {
            let lasted_ms = ended.lasted_ms();
            let place = known.partition_point(|known| *known < lasted_ms);
            known.insert(place, lasted_ms);
        }
        if known.len() < least {
            continue;
        }
        // All of them are over: the ranks alone tell the range.
        let range = ranks(known.len())
            .and_then(|(low, high)| Some(*known.get(low - 1)?..=*known.get(high - 1)?));
        let Some(range) = range else {
            continue;
        };
        coverage.tried += 1;
        coverage.held += u32::from(range.contains(&run.lasted_ms()));
    }
    coverage
}
