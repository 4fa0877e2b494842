//! When to try again: exponential, with jitter that is the same in every replay.

use crate::clock::Millis;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The schedule of tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Wait after the first try.
    pub first_ms: Millis,
    /// No wait is longer, apart from jitter and what the other side asks for.
    pub longest_ms: Millis,
    /// Tries before a notice becomes a dead letter.
    pub max_attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first_ms: 20_000,
            longest_ms: 30 * 60_000,
            max_attempts: 12,
        }
    }
}

impl Backoff {
    /// Wait after try number `attempt` (from 1): doubled each time, then moved by up to a fifth
    /// either way; never shorter than what the other side asked for.
    pub fn delay_ms(&self, id: Uuid, attempt: u32, asked_ms: Option<Millis>) -> Millis {
        let doublings = attempt.saturating_sub(1).min(40);
        let doubled = self.first_ms.saturating_mul(1_i64 << doublings);
        let wait_ms = doubled.clamp(0, self.longest_ms);
        let mut hash = Sha256::new();
        hash.update(id.as_bytes());
        hash.update(attempt.to_be_bytes());
        let digest = hash.finalize();
        let draw = i64::from(u16::from_be_bytes([digest[0], digest[1]]));
        let spread = wait_ms / 5;
        let jitter = spread * 2 * draw / i64::from(u16::MAX) - spread;
        (wait_ms + jitter).max(asked_ms.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_a_fifth_up_to_the_longest() {
        let backoff = Backoff {
            first_ms: 1_000,
            longest_ms: 60_000,
            max_attempts: 10,
        };
        for attempt in 1..100 {
            let middle = (1_000_i64 << (attempt - 1).min(20)).min(60_000);
            for id in 0..50 {
                let wait = backoff.delay_ms(Uuid::from_u128(id), attempt, None);
                assert!((wait - middle).abs() <= middle / 5, "{attempt}: {wait}");
                assert_eq!(wait, backoff.delay_ms(Uuid::from_u128(id), attempt, None));
            }
        }
    }

    #[test]
    fn the_other_side_can_ask_for_more_time() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay_ms(Uuid::nil(), 1, Some(9_000_000)), 9_000_000);
    }
}
