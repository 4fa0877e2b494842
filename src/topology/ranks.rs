//! Where each subscriber stands in the order of ranks.
//!
//! A subscriber stands at the element whose loss is its loss: the serving element; with several,
//! any of which is enough, their nearest common dominator; with several that are all needed, the
//! first of them. So the subscribers of a run of elements are a run of ranks, except for those with
//! several serving elements, who are counted one by one.

use super::kernel::Kernel;
use super::resolve::{NONE, Resolved};
use super::subscriber_set::{holds, normalise};

/// Ranks of subscribers, and those who have several serving elements.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    /// Rank per subscriber.
    pub(super) rank_of: Vec<u32>,
    /// Subscriber per rank.
    pub(super) at_rank: Vec<u32>,
    /// In ascending order of rank.
    pub(super) multihomed: Vec<Multihomed>,
    /// Serving elements of them, in the order given.
    serving: Vec<u32>,
    /// (element, index in `multihomed`): whose count rises when the element is lost; sorted.
    references: Vec<(u32, u32)>,
}

/// A subscriber with several serving elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Multihomed {
    pub(super) rank: u32,
    serving_start: u32,
    serving_end: u32,
    /// So many references must be lost before the subscriber is; 0: never has service.
    pub(super) enough: u32,
    pub(super) needs_all: bool,
}

impl Ranks {
    /// Ranks the subscribers and enters the first rank of each element into the kernel.
    pub(super) fn of(resolved: &Resolved, number: &[u32], kernel: &mut Kernel) -> Self {
        let mut ranks = Self::default();
        let mut homes = Vec::with_capacity(resolved.serving_end.len());
        let mut several = Vec::new();
        let mut start = 0;
        for (subscriber, &end) in (0..).zip(&resolved.serving_end) {
            let serving = &resolved.serving[start as usize..end as usize];
            homes.push(if let [element] = serving {
                number[*element as usize]
            } else {
                let needs_all = resolved.subscriber_needs_all[subscriber as usize];
                several.push((subscriber, needs_all));
                let from = ranks.serving.len();
                let renumbered = serving.iter().map(|&e| number[e as usize]);
                ranks.serving.extend(renumbered);
                home(kernel, &ranks.serving[from..], needs_all)
            });
            start = end;
        }
        ranks.place(&homes, kernel);
        ranks.enter(&several, resolved, kernel);
        ranks
    }

    /// Counting sort of the subscribers by their homes; those at home nowhere come first.
    fn place(&mut self, homes: &[u32], kernel: &mut Kernel) {
        let mut nowhere = 0;
        for &home in homes {
            match kernel.nodes.get_mut(home as usize) {
                Some(node) => node.first_rank += 1,
                None => nowhere += 1,
            }
        }
        let mut next = nowhere;
        for node in &mut kernel.nodes {
            let count = node.first_rank;
            node.first_rank = next;
            next += count;
        }
        self.rank_of = vec![0; homes.len()];
        self.at_rank = vec![0; homes.len()];
        let mut next_nowhere = 0;
        for (subscriber, &home) in (0..).zip(homes) {
            let next = match kernel.nodes.get_mut(home as usize) {
                Some(node) => &mut node.first_rank,
                None => &mut next_nowhere,
            };
            self.rank_of[subscriber as usize] = *next;
            self.at_rank[*next as usize] = subscriber;
            *next += 1;
        }
        // Each first rank has moved on to where the next element begins.
        let mut first = nowhere;
        for node in &mut kernel.nodes {
            std::mem::swap(&mut node.first_rank, &mut first);
        }
    }

    fn enter(&mut self, several: &[(u32, bool)], resolved: &Resolved, kernel: &Kernel) {
        let mut serving_start = 0;
        for &(subscriber, needs_all) in several {
            let no = subscriber as usize;
            let before = if no == 0 {
                0
            } else {
                resolved.serving_end[no - 1]
            };
            let serving_end = serving_start + resolved.serving_end[no] - before;
            self.multihomed.push(Multihomed {
                rank: self.rank_of[no],
                serving_start,
                serving_end,
                enough: 0,
                needs_all,
            });
            serving_start = serving_end;
        }
        self.multihomed.sort_unstable_by_key(|of| of.rank);
        for index in 0..self.multihomed.len() {
            let of = self.multihomed[index];
            let serving = &self.serving[of.serving_start as usize..of.serving_end as usize];
            let live = |&&element: &&u32| element < kernel.reached;
            let mut enough = 0;
            if !of.needs_all || serving.iter().all(|element| live(&element)) {
                for &element in serving.iter().filter(live) {
                    #[allow(clippy::cast_possible_truncation, reason = "one per subscriber")]
                    self.references.push((element, index as u32));
                    enough += 1;
                }
            }
            self.multihomed[index].enough = if of.needs_all { enough.min(1) } else { enough };
        }
        self.references.sort_unstable();
    }

    /// The serving elements of a subscriber who has several.
    pub(super) fn several(&self, rank: u32) -> Option<&[u32]> {
        let at = self.multihomed.binary_search_by_key(&rank, |of| of.rank);
        at.ok().map(|at| self.serving_of(&self.multihomed[at]))
    }

    pub(super) fn serving_of(&self, of: &Multihomed) -> &[u32] {
        &self.serving[of.serving_start as usize..of.serving_end as usize]
    }

    /// Those with several serving elements among sorted runs of ranks.
    pub(super) fn multihomed_in(&self, runs: &[(u32, u32)]) -> impl Iterator<Item = &Multihomed> {
        runs.iter().flat_map(|&(start, end)| {
            let from = self.multihomed.partition_point(|of| of.rank < start);
            let of = self.multihomed[from..].iter();
            of.take_while(move |of| of.rank < end)
        })
    }

    /// References to subscribers with several serving elements, from a run of elements.
    pub(super) fn references_from(&self, start: u32, end: u32) -> &[(u32, u32)] {
        let from = self.references.partition_point(|&(e, _)| e < start);
        let until = self.references[from..].partition_point(|&(e, _)| e < end);
        &self.references[from..from + until]
    }

    /// From runs of elements that are lost to runs of ranks that are.
    pub(super) fn lost_with(
        &self,
        cut: &[(u32, u32)],
        kernel: &Kernel,
        counts: &mut Counts,
    ) -> Vec<(u32, u32)> {
        let first_rank = |element: u32| kernel.nodes[element as usize].first_rank;
        if *cut == [(0, kernel.reached)] {
            // Nothing has service, so nobody has, wherever served from.
            return Vec::from_iter(Some((0, first_rank(kernel.reached))).filter(|r| r.0 < r.1));
        }
        let mut runs = Vec::with_capacity(cut.len());
        let ranks = cut
            .iter()
            .map(|&(start, end)| (first_rank(start), first_rank(end)));
        runs.extend(ranks.filter(|run| run.0 < run.1));
        let whole = runs.len();
        counts.begin(self.multihomed.len());
        for &(start, end) in cut {
            for &(_, index) in self.references_from(start, end) {
                let of = &self.multihomed[index as usize];
                if counts.raise(index) == of.enough && !holds(&runs[..whole], of.rank) {
                    runs.push((of.rank, of.rank + 1));
                }
            }
        }
        if runs.len() > whole || runs.windows(2).any(|pair| pair[0].1 == pair[1].0) {
            normalise(&mut runs);
        }
        runs
    }

    pub(super) fn resident_bytes(&self) -> usize {
        (self.rank_of.capacity() + self.at_rank.capacity() + self.serving.capacity())
            * size_of::<u32>()
            + self.multihomed.capacity() * size_of::<Multihomed>()
            + self.references.capacity() * size_of::<(u32, u32)>()
    }
}

/// Counters that need no clearing between uses.
#[derive(Debug, Default)]
pub(super) struct Counts {
    generation: u32,
    /// Generation and count.
    counts: Vec<(u32, u32)>,
}

impl Counts {
    fn begin(&mut self, size: usize) {
        if self.generation == u32::MAX {
            *self = Self::default();
        }
        self.generation += 1;
        if self.counts.len() < size {
            self.counts.resize(size, (0, 0));
        }
    }

    fn raise(&mut self, index: u32) -> u32 {
        let (generation, count) = &mut self.counts[index as usize];
        if *generation != self.generation {
            (*generation, *count) = (self.generation, 0);
        }
        *count += 1;
        *count
    }
}

/// The element at which a subscriber with several serving elements stands; `NONE` for the root.
fn home(kernel: &Kernel, serving: &[u32], needs_all: bool) -> u32 {
    let dead = serving.iter().copied().find(|&e| e >= kernel.reached);
    let mut live = serving.iter().copied().filter(|&e| e < kernel.reached);
    if needs_all {
        return dead.or(live.next()).unwrap_or(NONE);
    }
    let Some(first) = live.next() else {
        return dead.unwrap_or(NONE);
    };
    live.fold(first, |nearest, e| {
        if nearest == NONE {
            NONE
        } else {
            common_dominator(kernel, nearest, e)
        }
    })
}

/// The nearest common dominator of two elements that are served; `NONE` is the root.
pub(super) fn common_dominator(kernel: &Kernel, a: u32, b: u32) -> u32 {
    let mut at = Some(a);
    while let Some(element) = at {
        if element <= b && b < kernel.end(element) {
            return element;
        }
        at = kernel.idom(element);
    }
    NONE
}
