//! The clock of a source: the latest time of its samples, carried on while it is alive.

use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// Shorter steps are not remembered: no interval is shorter.
pub(super) const SHORTEST_LEAP_MS: i64 = 1_000;
/// Leaps that are remembered; of more, the longest.
const LEAPS_KEPT: usize = 256;
/// And for so long.
const LEAPS_KEPT_MS: i64 = 7 * 86_400_000;

/// What the clock of a source shows, and where it leapt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SourceClock {
    pub(super) now_ms: Millis,
    leaps: Vec<Leap>,
}

/// One step that a sample made; nobody knows whether the source was heard meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Leap {
    from_ms: Millis,
    by_ms: i64,
}

impl SourceClock {
    pub(super) fn new(now_ms: Millis) -> Self {
        Self {
            now_ms,
            leaps: Vec::new(),
        }
    }

    /// A sample of that time has come; whether the clock moved.
    pub(super) fn leap_to(&mut self, at_ms: Millis) -> bool {
        let by_ms = at_ms - self.now_ms;
        if by_ms <= 0 {
            return false;
        }
        if by_ms > SHORTEST_LEAP_MS {
            let oldest_ms = at_ms - LEAPS_KEPT_MS;
            self.leaps.retain(|leap| leap.from_ms >= oldest_ms);
            if self.leaps.len() >= LEAPS_KEPT
                && let Some((shortest, _)) = self
                    .leaps
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, leap)| leap.by_ms)
            {
                self.leaps.remove(shortest);
            }
            self.leaps.push(Leap {
                from_ms: self.now_ms,
                by_ms,
            });
        }
        self.now_ms = at_ms;
        true
    }

    /// The source was alive until then.
    pub(super) fn live_to(&mut self, at_ms: Millis) {
        self.now_ms = self.now_ms.max(at_ms);
    }

    /// What of the time since then does not count, when a leap counts as one interval at most.
    pub(super) fn uncounted_ms(&self, since_ms: Millis, interval_ms: i64) -> i64 {
        let leaps = self.leaps.iter().filter(|leap| leap.from_ms >= since_ms);
        leaps.map(|leap| (leap.by_ms - interval_ms).max(0)).sum()
    }
}
