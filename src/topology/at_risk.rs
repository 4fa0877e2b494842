//! Who still has service after failures, but hangs by one part that did not matter before.
//!
//! What an element depends on is itself, and: of one way in, the link and what its other end
//! depends on; where any way in is enough, what all ways in have in common; where all are needed,
//! what any of them depends on. The greatest solution is found by iteration over the heads; the
//! sets are as long as the network is deep.

use super::kernel::{Entry, Kernel, Scratch, with_scratch};
use super::subscriber_set::holds;
use super::{Network, Part, SubscriberSet};

/// Elements by number, links by number with this bit set; sorted.
type Dependencies = Vec<u32>;

const LINK: u32 = 1 << 31;

impl Network {
    /// The subscribers who keep service when all these parts fail together, but then depend on a
    /// single element or link on which they did not depend before.
    pub fn at_risk(&self, failed: &[Part]) -> SubscriberSet {
        with_scratch(|scratch| {
            self.search(&[], scratch);
            let before = dependencies(&self.impact.kernel, scratch);
            self.search(failed, scratch);
            let after = dependencies(&self.impact.kernel, scratch);
            let lost = self.lost_in(scratch);
            let at_risk = self.worse_off(&before, &after, scratch);
            at_risk.difference(&lost)
        })
    }

    /// Who depends on more after than before; may name some who are lost.
    fn worse_off(
        &self,
        before: &[Option<Dependencies>],
        after: &[Option<Dependencies>],
        scratch: &Scratch,
    ) -> SubscriberSet {
        let kernel = &self.impact.kernel;
        let mut runs = Vec::new();
        for (no, (before, after)) in (0..).zip(before.iter().zip(after)) {
            if let (Some(before), Some(after)) = (before, after)
                && after.len() > before.len()
            {
                own_tree(kernel, no, |start, end| {
                    let first_rank = |element: u32| kernel.nodes[element as usize].first_rank;
                    runs.push((first_rank(start), first_rank(end)));
                });
            }
        }
        let simple = SubscriberSet::from_runs(runs);
        let mut counted = Vec::new();
        let mut worse = Vec::new();
        for of in &self.impact.ranks.multihomed {
            counted.push((of.rank, of.rank + 1));
            let serving = self.impact.ranks.serving_of(of);
            let depends = |on: &[Option<Dependencies>], scratch: Option<&Scratch>| {
                let each = serving
                    .iter()
                    .map(|&element| depends_on(kernel, element, on, scratch));
                join(each, of.needs_all)
            };
            if let (Some(before), Some(after)) =
                (depends(before, None), depends(after, Some(scratch)))
                && after.len() > before.len()
            {
                worse.push((of.rank, of.rank + 1));
            }
        }
        let counted = SubscriberSet::from_runs(counted);
        let worse = SubscriberSet::from_runs(worse);
        simple.difference(&counted).union(&worse)
    }
}

/// What each head depends on after the search just made; `None` where it has no service.
fn dependencies(kernel: &Kernel, scratch: &Scratch) -> Vec<Option<Dependencies>> {
    let mut all: Vec<Option<Dependencies>> = vec![None; kernel.heads.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for &no in &kernel.activation {
            if !scratch.is_up(no) {
                continue;
            }
            let head = kernel.heads[no as usize];
            let found = if head.gateway {
                Some(vec![head.element])
            } else {
                let alive = kernel.ways_in(no).filter(|&(arc_no, arc)| {
                    scratch.is_alive(arc_no) && scratch.is_up(arc.from_head)
                });
                // Not yet known counts as "on everything": it changes no intersection.
                let ways_in = alive.map(|(_, arc)| {
                    let mut on = in_tree(kernel, arc.from, &all)?;
                    on.push(arc.link | LINK);
                    on.sort_unstable();
                    Some(on)
                });
                let known = join(ways_in, head.needs_all);
                known.map(|mut on| {
                    let at = on.partition_point(|&other| other < head.element);
                    on.insert(at, head.element);
                    on
                })
            };
            if found != all[no as usize] {
                all[no as usize] = found;
                changed = true;
            }
        }
    }
    all
}

/// What an element depends on; `None` if it has no service after the search.
fn depends_on(
    kernel: &Kernel,
    element: u32,
    heads: &[Option<Dependencies>],
    scratch: Option<&Scratch>,
) -> Option<Dependencies> {
    if scratch.is_some_and(|scratch| holds(&scratch.cut, element)) {
        return None;
    }
    let mut on = in_tree(kernel, element, heads)?;
    on.sort_unstable();
    Some(on)
}

/// What an element depends on, by the line to the head of its tree; not sorted.
fn in_tree(kernel: &Kernel, element: u32, heads: &[Option<Dependencies>]) -> Option<Dependencies> {
    let mut line = Vec::new();
    let mut at = element;
    loop {
        match kernel.entry(at) {
            Entry::Tree { link } => {
                line.extend([at, link | LINK]);
                at = kernel.across(link, at);
            }
            Entry::Head(head) => {
                line.extend_from_slice(heads[head as usize].as_ref()?);
                return Some(line);
            }
            Entry::Dead => return None,
        }
    }
}

/// What is depended on where all are needed (nothing if one is missing), or any of those there is.
fn join(each: impl Iterator<Item = Option<Dependencies>>, needs_all: bool) -> Option<Dependencies> {
    let mut joined: Option<Dependencies> = None;
    for on in each {
        let Some(on) = on else {
            if needs_all {
                return None;
            }
            continue;
        };
        joined = Some(match joined {
            None => on,
            Some(mut joined) if needs_all => {
                joined.extend(on);
                joined.sort_unstable();
                joined.dedup();
                joined
            }
            Some(mut joined) => {
                joined.retain(|part| on.binary_search(part).is_ok());
                joined
            }
        });
    }
    joined
}

/// The runs of elements that stand in the tree of a head, without trees of heads that it dominates.
fn own_tree(kernel: &Kernel, head: u32, mut run: impl FnMut(u32, u32)) {
    let element = kernel.heads[head as usize].element;
    let (mut start, end) = (element, kernel.end(element));
    let mut next = head as usize + 1;
    while let Some(inner) = kernel.heads.get(next).filter(|inner| inner.element < end) {
        run(start, inner.element);
        start = kernel.end(inner.element);
        next += kernel.heads[next..].partition_point(|other| other.element < start);
    }
    run(start, end);
}
