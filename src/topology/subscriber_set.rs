//! Sets of subscribers, as runs of ranks.

/// A set of subscriber ranks of one [`super::Network`], as sorted, disjoint, non-adjacent half-open
/// runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriberSet {
    runs: Vec<(u32, u32)>,
}
