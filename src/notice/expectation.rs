//! When service is expected, as a customer hears it: in a mail and from an agent alike.

use crate::clock::Millis;
use crate::incident::Estimate;

/// Estimates are widened to full five minutes: nobody knows them better.
const STEP_MS: Millis = 5 * 60_000;

/// What can be said of an estimate now; instants are full five minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// There is none.
    Unknown,
    /// Its time has passed.
    Late,
    /// Some time from now to this instant.
    By(Millis),
    Around(Millis),
    Between(Millis, Millis),
}

impl Expectation {
    /// What an estimate means at `now_ms`.
    pub fn of(estimate: Option<Estimate>, now_ms: Millis) -> Self {
        let Some(estimate) = estimate else {
            return Self::Unknown;
        };
        let from_ms = estimate.from_ms.div_euclid(STEP_MS) * STEP_MS;
        let to_ms = estimate
            .to_ms
            .saturating_add(STEP_MS - 1)
            .div_euclid(STEP_MS)
            * STEP_MS;
        if to_ms <= now_ms {
            Self::Late
        } else if from_ms <= now_ms {
            Self::By(to_ms)
        } else if from_ms == to_ms {
            Self::Around(to_ms)
        } else {
            Self::Between(from_ms, to_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: Millis = 60_000;

    /// In minutes from a full hour at which it is asked.
    #[track_caller]
    fn check(from: i64, to: i64, expected: Expectation) {
        let estimate = Estimate {
            from_ms: from * MINUTE_MS,
            to_ms: to * MINUTE_MS,
        };
        assert_eq!(Expectation::of(Some(estimate), 0), expected, "{from} {to}");
    }

    #[test]
    fn an_estimate_is_widened_to_five_minutes_and_told_as_of_now() {
        let at = |minutes: i64| minutes * MINUTE_MS;
        assert_eq!(Expectation::of(None, 0), Expectation::Unknown);
        check(31, 89, Expectation::Between(at(30), at(90)));
        check(30, 90, Expectation::Between(at(30), at(90)));
        check(30, 30, Expectation::Around(at(30)));
        check(32, 32, Expectation::Between(at(30), at(35)));
        check(4, 20, Expectation::By(at(20)));
        check(-10, 1, Expectation::By(at(5)));
        check(-10, 0, Expectation::Late);
        check(-10, -1, Expectation::Late);
        check(-20, -10, Expectation::Late);
    }
}
