//! How fast a queue is emptied, and so when one that is full is worth trying again.

use std::time::Duration;
use tokio::time::Instant;

/// Weight of the latest commit in the mean rate.
const WEIGHT: f64 = 0.3;
/// What is answered before anything was committed.
const UNKNOWN: Duration = Duration::from_secs(1);
/// No answer lies outside.
pub const SHORTEST: Duration = Duration::from_millis(100);
pub const LONGEST: Duration = Duration::from_secs(30);
/// Share of the wait that is added at random at most, so that those who were sent away together do
/// not come back together.
const SPREAD: f64 = 0.5;

/// Commits of late.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommitPace {
    /// Exponentially weighted mean; 0 before the first commit.
    entries_per_s: f64,
    /// When the commit that is under way began.
    begun: Option<Instant>,
}

impl CommitPace {
    /// A commit begins.
    pub fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    /// It has ended, with so many entries stored.
    pub fn end(&mut self, entries: usize, now: Instant) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        let took_s = now.duration_since(begun).as_secs_f64().max(1e-6);
        let rate = entries as f64 / took_s;
        self.entries_per_s = if self.entries_per_s > 0.0 {
            WEIGHT * rate + (1.0 - WEIGHT) * self.entries_per_s
        } else {
            rate
        };
    }

    /// How long `backlog` entries take at the present rate, [`SHORTEST`] to [`LONGEST`]. A commit
    /// that is stuck says that it takes at least as long again. `chance` is random, from 0 to 1.
    pub fn retry_after(&self, backlog: usize, now: Instant, chance: f64) -> Duration {
        let stuck = self
            .begun
            .map_or(Duration::ZERO, |begun| now.duration_since(begun));
        let drained = if self.entries_per_s > 0.0 {
            Duration::try_from_secs_f64(backlog as f64 / self.entries_per_s).unwrap_or(LONGEST)
        } else {
            UNKNOWN
        };
        let longest = LONGEST.div_f64(1.0 + SPREAD);
        let wait = drained.max(stuck).clamp(SHORTEST, longest);
        wait.mul_f64(1.0 + SPREAD * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The pace after commits of (entries, milliseconds), and when the last of them ended.
    fn after(commits: &[(usize, u64)]) -> (CommitPace, Instant) {
        let (mut pace, mut now) = (CommitPace::default(), Instant::now());
        for (entries, took_ms) in commits {
            pace.begin(now);
            now += Duration::from_millis(*took_ms);
            pace.end(*entries, now);
        }
        (pace, now)
    }

    #[track_caller]
    fn check(commits: &[(usize, u64)], backlog: usize, stuck_ms: u64, expected_ms: u128) {
        let (mut pace, now) = after(commits);
        if stuck_ms > 0 {
            pace.begin(now);
        }
        let now = now + Duration::from_millis(stuck_ms);
        assert_eq!(pace.retry_after(backlog, now, 0.0).as_millis(), expected_ms);
    }

    #[test]
    fn the_wait_is_the_backlog_at_the_recent_rate() {
        check(&[], 200_000, 0, 1_000);
        check(&[(10_000, 100)], 200_000, 0, 2_000);
        check(&[(10_000, 100), (10_000, 100)], 200_000, 0, 2_000);
        // The rate fell from 100,000 to 10,000 a second: its mean is 73,000 now.
        check(&[(10_000, 100), (10_000, 1_000)], 146_000, 0, 2_000);
        check(&[(10_000, 100)], 10, 0, 100);
        check(&[(1, 1_000)], 200_000, 0, 20_000);
        check(&[(10_000, 100)], 200_000, 7_000, 7_000);
        check(&[], 200_000, 600_000, 20_000);
    }

    proptest! {
        #[test]
        fn the_wait_stays_within_its_bounds_and_grows_with_the_backlog_and_chance(
            commits in prop::collection::vec((0_usize..1_000_000, 0_u64..100_000), 0..5),
            backlog in 0_usize..10_000_000,
            chance in 0.0..1.0_f64,
        ) {
            let (pace, now) = after(&commits);
            let wait = pace.retry_after(backlog, now, chance);
            prop_assert!((SHORTEST..=LONGEST).contains(&wait), "{wait:?}");
            prop_assert!(pace.retry_after(backlog + 1, now, chance) >= wait);
            prop_assert!(pace.retry_after(backlog, now, 0.0) <= wait);
            // Sixteen clients are spread over half the wait.
            let ends = [0.0, 1.0].map(|chance| pace.retry_after(backlog, now, chance));
            prop_assert!(ends[1] >= ends[0].mul_f64(1.49));
        }
    }
}
