//! The only place that reads the time of day.
//!
//! Everything else takes `now` as an argument, so that it can be tested and replayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// 2000-01-01: what is dated before it comes from a clock that was never set.
const EARLIEST_MS: Millis = 946_684_800_000;
/// A clock that is set wrong by more than a day is not believed.
const LARGEST_LEAD_MS: Millis = 24 * 3_600_000;
/// What [`is_believable`] asks, in words.
pub const BELIEVABLE: &str = "milliseconds since 1970, from the year 2000 to one day from now";

/// Whether a working clock of somebody else may show an instant.
pub fn is_believable(at_ms: Millis, now_ms: Millis) -> bool {
    (EARLIEST_MS..=now_ms.saturating_add(LARGEST_LEAD_MS)).contains(&at_ms)
}

/// Source of the present instant.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The clock of the machine.
    #[default]
    System,
    /// A clock that stands still until it is set.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that shows `start_ms` until it is set.
    pub fn manual(start_ms: Millis) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start_ms)))
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> Millis {
        match self {
            Self::System => system_now_ms(),
            Self::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock forward; a system clock is left alone.
    pub fn advance_ms(&self, by_ms: i64) {
        if let Self::Manual(now) = self {
            now.fetch_add(by_ms, Ordering::SeqCst);
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one home of the system clock"
)]
fn system_now_ms() -> Millis {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}
