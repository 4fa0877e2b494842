//! Sets of subscribers, as runs of ranks.
//!
//! A failure takes whole subtrees, and a subtree is one run: hundreds of thousands of subscribers
//! are a handful of pairs.

/// A set of subscriber ranks of one [`super::Network`], as sorted, disjoint, non-adjacent half-open
/// runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriberSet {
    runs: Vec<(u32, u32)>,
}

impl SubscriberSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The union of half-open runs, in any order; they may overlap, touch or be empty.
    pub fn from_runs(mut runs: Vec<(u32, u32)>) -> Self {
        normalise(&mut runs);
        Self { runs }
    }

    /// The set of ranks that come in ascending order, each once or more.
    pub fn from_ascending(ranks: impl IntoIterator<Item = u32>) -> Self {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for rank in ranks {
            match runs.last_mut() {
                Some(last) if rank <= last.1 => last.1 = last.1.max(rank + 1),
                _ => runs.push((rank, rank + 1)),
            }
        }
        Self { runs }
    }

    /// The set of the ranks whose bits are set, the lowest bit of the first word being rank 0.
    pub fn from_bits(words: &[u64]) -> Self {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for (base, &word) in (0..).step_by(64).zip(words) {
            let mut left = word;
            while left != 0 {
                let start = left.trailing_zeros();
                let length = (left >> start).trailing_ones();
                let run = (base + start, base + start + length);
                match runs.last_mut() {
                    Some(last) if last.1 == run.0 => last.1 = run.1,
                    _ => runs.push(run),
                }
                let above = start + length;
                left = if above == 64 {
                    0
                } else {
                    left >> above << above
                };
            }
        }
        Self { runs }
    }

    /// A set of runs that are in order already.
    pub(super) fn of_sorted(runs: Vec<(u32, u32)>) -> Self {
        debug_assert!(runs.iter().all(|run| run.0 < run.1));
        debug_assert!(runs.windows(2).all(|pair| pair[0].1 < pair[1].0));
        Self { runs }
    }

    /// Number of subscribers.
    pub fn len(&self) -> usize {
        self.runs
            .iter()
            .map(|&(start, end)| (end - start) as usize)
            .sum()
    }

    /// Whether nobody is in the set.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The half-open runs: sorted, disjoint, not adjacent, none empty.
    pub fn runs(&self) -> &[(u32, u32)] {
        &self.runs
    }

    /// Whether the subscriber of that rank is in the set; binary search.
    pub fn contains(&self, rank: u32) -> bool {
        holds(&self.runs, rank)
    }

    /// Whether everybody in these half-open runs is in the set; a binary search for each.
    pub fn covers(&self, runs: &[(u32, u32)]) -> bool {
        runs.iter().all(|&(start, end)| {
            let after = self.runs.partition_point(|run| run.0 <= start);
            start >= end || (after > 0 && end <= self.runs[after - 1].1)
        })
    }

    /// Ranks in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().flat_map(|&(start, end)| start..end)
    }

    /// Who is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut runs = Vec::with_capacity(self.runs.len() + other.runs.len());
        runs.extend_from_slice(&self.runs);
        runs.extend_from_slice(&other.runs);
        Self::from_runs(runs)
    }

    /// Who is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut runs = Vec::new();
        let (mut i, mut j) = (0, 0);
        while let (Some(&a), Some(&b)) = (self.runs.get(i), other.runs.get(j)) {
            let (start, end) = (a.0.max(b.0), a.1.min(b.1));
            if start < end {
                runs.push((start, end));
            }
            if a.1 <= b.1 {
                i += 1;
            } else {
                j += 1;
            }
        }
        Self { runs }
    }

    /// Who is in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut runs = Vec::new();
        let mut j = 0;
        for &(mut start, end) in &self.runs {
            while other.runs.get(j).is_some_and(|cut| cut.1 <= start) {
                j += 1;
            }
            let mut k = j;
            while let Some(&(cut_start, cut_end)) = other.runs.get(k).filter(|cut| cut.0 < end) {
                if start < cut_start {
                    runs.push((start, cut_start));
                }
                start = start.max(cut_end);
                k += 1;
            }
            if start < end {
                runs.push((start, end));
            }
        }
        Self { runs }
    }
}

/// Sorts half-open runs and joins those that overlap or touch; drops empty ones.
pub(super) fn normalise(runs: &mut Vec<(u32, u32)>) {
    runs.retain(|&(start, end)| start < end);
    // As one number each: twice as fast as comparing pairs.
    runs.sort_unstable_by_key(|&(start, end)| u64::from(start) << 32 | u64::from(end));
    runs.dedup_by(|next, kept| {
        let joins = next.0 <= kept.1;
        if joins {
            kept.1 = kept.1.max(next.1);
        }
        joins
    });
}

/// Whether runs in order hold a number; binary search.
pub(super) fn holds(runs: &[(u32, u32)], no: u32) -> bool {
    let after = runs.partition_point(|run| run.0 <= no);
    after > 0 && no < runs[after - 1].1
}
