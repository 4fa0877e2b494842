//! How many homes go dark for reasons of their own.

use super::{GRID, MISSED, NAT, Nats, nats};

/// Homes and dark ones that are assumed before any are seen: one in 100,000 within a window.
const ASSUMED_HOMES: f64 = 200_000.0;
const ASSUMED_DARK: f64 = 2.0;
/// The same, for dark homes since any time: one in a thousand.
const ASSUMED_DARK_EVER: f64 = 200.0;

/// The share of homes that are dark for reasons of their own, never put lower than it is: a power of
/// four above [`Self::LEAST`].
///
/// A parent with exactly one dark child has that one by chance, unless nearly all reports of a
/// failure were lost; so such parents count lone dark homes, however many others a failure has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Background {
    fours: u8,
}

impl Background {
    const LEAST: f64 = 1e-5;
    const MOST_FOURS: u8 = 7;

    /// From the number of parents with one dark child, among so many homes.
    pub(super) fn of(singles: u32, homes: u32, is_any_time: bool) -> Self {
        let assumed = if is_any_time {
            ASSUMED_DARK_EVER
        } else {
            ASSUMED_DARK
        };
        let share = (f64::from(singles) + assumed) / (f64::from(homes) + ASSUMED_HOMES);
        let mut background = Self::default();
        while background.share() < share && background.fours < Self::MOST_FOURS {
            background.fours += 1;
        }
        background
    }

    fn share(self) -> f64 {
        Self::LEAST * 4f64.powi(i32::from(self.fours))
    }

    /// What an alarmed home counts for its being cut off, per share of missed reports.
    pub(super) fn alarmed(self) -> [Nats; GRID] {
        MISSED.map(|missed| nats((1.0 - missed) / self.share()).max(NAT / 4))
    }
}
