//! How long what has lasted so far goes on: the product-limit estimate of E. L. Kaplan and P. Meier,
//! "Nonparametric Estimation from Incomplete Observations", J. Am. Stat. Assoc. 53 (1958).
//!
//! What has not ended yet counts as having lasted at least so long (right-censored), so that long
//! faults do not drop out because they are long.

use crate::clock::Millis;

/// Share of the durations on each side of a range, as one in so many: the range is the central 80 %.
const TAIL: usize = 10;

/// By so much of one duration rounding may miss a rank.
const SLACK: f64 = 1e-6;

/// How long something lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not negative.
    pub lasted_ms: Millis,
    /// Whether it is over; else it has lasted so long by now.
    pub ended: bool,
}

/// The durations of things alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survival {
    /// By duration.
    spans: Vec<Span>,
}

impl Survival {
    /// Of these durations, in any order.
    pub fn new(mut spans: Vec<Span>) -> Self {
        spans.sort_unstable_by_key(|span| span.lasted_ms);
        Self { spans }
    }

    fn outlasting(&self, elapsed_ms: Millis) -> &[Span] {
        let begin = self
            .spans
            .partition_point(|span| span.lasted_ms <= elapsed_ms);
        self.spans.get(begin..).unwrap_or_default()
    }

    /// How many lasted longer than this and are over.
    pub fn ended_after(&self, elapsed_ms: Millis) -> usize {
        let outlasting = self.outlasting(elapsed_ms).iter();
        outlasting.filter(|span| span.ended).count()
    }

    /// The central range of the whole duration, ends included, of what has lasted `elapsed_ms` and
    /// goes on; both ends are later than that. `None` when too few have lasted longer, or too few
    /// of these are over, to tell its ends.
    pub fn range(&self, elapsed_ms: Millis) -> Option<(Millis, Millis)> {
        let outlasting = self.outlasting(elapsed_ms);
        let (low, high) = ranks(outlasting.len())?;
        let all = outlasting.len() as f64;
        let mut at_risk = outlasting.len();
        let mut survival = 1.0;
        let mut from_ms = None;
        for same in outlasting.chunk_by(|a, b| a.lasted_ms == b.lasted_ms) {
            let (&Span { lasted_ms, .. }, ended) =
                (same.first()?, same.iter().filter(|span| span.ended).count());
            // What was seen last at the instant of an end was still going on then.
            survival *= 1.0 - ended as f64 / at_risk as f64;
            let over = (1.0 - survival) * all + SLACK;
            if ended > 0 && from_ms.is_none() && over >= low as f64 {
                from_ms = Some(lasted_ms);
            }
            if ended > 0 && over >= high as f64 {
                return Some((from_ms?, lasted_ms));
            }
            at_risk -= same.len();
        }
        None
    }
}

/// Which of `count` durations in order, from 1, bound the range of one more. That one is equally
/// likely to fall into each of the `count + 1` gaps between them, so that as many gaps as this are
/// left out on each side: of 20 durations the 2nd and the 19th hold it with 17 / 21 = 81 %. `None`
/// when no gap can be left out.
pub fn ranks(count: usize) -> Option<(usize, usize)> {
    let low = (count + 1) / TAIL;
    (low > 0).then_some((low, count + 1 - low))
}
