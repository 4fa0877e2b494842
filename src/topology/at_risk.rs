//! Who still has service after failures, but hangs by one part that did not matter before.
//!
//! What an element depends on is itself, and: of one way in, the link and what its other end
//! depends on; where any way in is enough, what all ways in have in common; where all are needed,
//! what any of them depends on. Failures only add to it, so whoever depends on more parts than
//! before depends on new ones.
//!
//! Where no element needs all its ways in, this is the dominator tree of what has service, found on
//! the heads as in [`super::dominators`]; otherwise the greatest solution is found by iteration over
//! sets, which are as long as the network is deep.

use super::dominators::Arc;
use super::kernel::{Entry, Kernel, Scratch, with_scratch};
use super::ranks::Multihomed;
use super::resolve::NONE;
use super::subscriber_set::holds;
use super::{Network, Part, SubscriberSet};
use std::collections::BTreeSet;

/// Elements by number, links by number with this bit set; sorted.
type Dependencies = Vec<u32>;

const LINK: u32 = 1 << 31;

impl Network {
    /// The subscribers who keep service when all these parts fail together, but then depend on a
    /// single element or link on which they did not depend before.
    ///
    /// The work depends on the number of elements with several ways in, not on that of subscribers.
    pub fn at_risk(&self, failed: &[Part]) -> SubscriberSet {
        let kernel = &self.impact.kernel;
        with_scratch(|scratch| {
            let before = self.impact.reliance.get_or_init(|| {
                self.search(&[], scratch);
                Reliance::of(kernel, scratch)
            });
            self.search(failed, scratch);
            let lost = self.lost_in(scratch);
            let found = scratch
                .is_beyond_trees()
                .then(|| Reliance::of(kernel, scratch));
            let after = found.as_ref().unwrap_or(before);
            self.worse_off(before, after, scratch).difference(&lost)
        })
    }

    /// Who depends on more after than before; may name some who are lost.
    fn worse_off(&self, before: &Reliance, after: &Reliance, scratch: &Scratch) -> SubscriberSet {
        let kernel = &self.impact.kernel;
        let mut elements = Vec::new();
        for (no, head) in (0..).zip(&kernel.heads) {
            if scratch.is_up(no) && after.count(no) > before.count(no) {
                own_tree(kernel, no, head.element, |start, end| {
                    elements.push((start, end));
                });
            }
        }
        let first_rank = |element: u32| kernel.nodes[element as usize].first_rank;
        let ranks = elements.iter();
        let ranks = ranks.map(|&(start, end)| (first_rank(start), first_rank(end)));
        let simple = SubscriberSet::from_runs(ranks.collect());
        // Those with several serving elements are counted one by one, where one of these is without
        // service or worse off; the others who stand in such a run are as well off as before.
        let touched = elements.iter().chain(&scratch.cut);
        let touched = touched.flat_map(|&(start, end)| {
            let references = self.impact.ranks.references_from(start, end).iter();
            references.map(|&(_, index)| index)
        });
        let touched: BTreeSet<u32> = touched.collect();
        let worse = touched.into_iter().filter_map(|index| {
            let of = self.impact.ranks.multihomed.get(index as usize)?;
            let before = self.needs(of, before, &[])?;
            let after = self.needs(of, after, &scratch.cut)?;
            (after > before).then_some((of.rank, of.rank + 1))
        });
        let worse = SubscriberSet::from_runs(worse.collect());
        let counted = self.impact.ranks.multihomed_in(simple.runs());
        let counted = SubscriberSet::from_runs(counted.map(|of| (of.rank, of.rank + 1)).collect());
        simple.difference(&counted).union(&worse)
    }

    /// On how many parts a subscriber with several serving elements depends; `None` without service.
    fn needs(&self, of: &Multihomed, on: &Reliance, cut: &[(u32, u32)]) -> Option<usize> {
        let serving = self.impact.ranks.serving_of(of).iter();
        let each = serving.map(|&element| {
            let mut parts = on.parts(&self.impact.kernel, element, cut)?;
            parts.sort_unstable();
            Some(parts)
        });
        join(each, of.needs_all).map(|parts| parts.len())
    }
}

/// What each head depends on after a search.
#[derive(Debug)]
pub(super) enum Reliance {
    Tree(HeadTree),
    /// `None` where a head has no service.
    Sets(Vec<Option<Dependencies>>),
}

impl Reliance {
    fn of(kernel: &Kernel, scratch: &Scratch) -> Self {
        if kernel.any_needs_all {
            Self::Sets(dependencies(kernel, scratch))
        } else {
            Self::Tree(HeadTree::of(kernel, scratch))
        }
    }

    /// On how many parts a head depends; 0 where it has no service.
    fn count(&self, head: u32) -> usize {
        match self {
            Self::Tree(tree) => tree.count[head as usize] as usize,
            Self::Sets(sets) => sets[head as usize].as_ref().map_or(0, Vec::len),
        }
    }

    /// What an element depends on, not sorted; `None` if it is among those cut off, or never has
    /// service.
    fn parts(&self, kernel: &Kernel, element: u32, cut: &[(u32, u32)]) -> Option<Dependencies> {
        if holds(cut, element) {
            return None;
        }
        match self {
            Self::Tree(tree) => tree.parts(kernel, element),
            Self::Sets(sets) => in_tree(kernel, element, sets),
        }
    }

    pub(super) fn resident_bytes(&self) -> usize {
        match self {
            Self::Tree(tree) => {
                let lists = [&tree.above, &tree.way_in, &tree.count];
                lists.map(Vec::capacity).iter().sum::<usize>() * size_of::<u32>()
            }
            Self::Sets(sets) => {
                let parts = sets.iter().flatten().map(Vec::capacity).sum::<usize>();
                parts * size_of::<u32>() + sets.capacity() * size_of::<Option<Dependencies>>()
            }
        }
    }
}

/// The dominator tree of the heads that have service after a search.
#[derive(Debug)]
pub(super) struct HeadTree {
    /// Per head: the element that dominates it immediately; `NONE` for the root.
    above: Vec<u32>,
    /// Per head: the link of the only way into it, where there is only one; else `NONE`.
    way_in: Vec<u32>,
    /// Per head: how many parts it depends on, itself among them; 0 without service.
    count: Vec<u32>,
}

impl HeadTree {
    /// By the iteration of Cooper, Harvey and Kennedy (2001), in the order in which service spreads:
    /// what dominates a head comes before it.
    fn of(kernel: &Kernel, scratch: &Scratch) -> Self {
        let heads = kernel.heads.len();
        let (sequence, place) = spread(kernel, scratch);
        let mut tree = Self {
            above: vec![NONE; heads],
            way_in: vec![NONE; heads],
            count: vec![0; heads],
        };
        let mut is_known = vec![false; heads];
        let mut changed = true;
        while changed {
            changed = false;
            for &no in &sequence {
                let at = no as usize;
                if kernel.heads[at].gateway {
                    is_known[at] = true;
                    continue;
                }
                let known = ways_in(kernel, scratch, no);
                let known = known.filter(|arc| is_known[arc.from_head as usize]);
                let common = |a, b| tree.common(kernel, a, b, &place);
                let above = known.map(|arc| arc.from).reduce(common).unwrap_or(NONE);
                let is_new = !std::mem::replace(&mut is_known[at], true);
                if is_new || above != tree.above[at] {
                    tree.above[at] = above;
                    changed = true;
                }
            }
        }
        for no in sequence {
            tree.close(no, kernel, scratch, &place);
        }
        tree
    }

    /// Finds the only way into a head, and counts what it depends on; those above it are done.
    fn close(&mut self, no: u32, kernel: &Kernel, scratch: &Scratch, place: &[u32]) {
        let at = no as usize;
        if !kernel.heads[at].gateway {
            // Ways that lead from behind the head itself are none into it.
            let mut ways = ways_in(kernel, scratch, no)
                .filter(|arc| !self.is_behind(arc.from_head, no, kernel, place));
            let first = ways.next().filter(|_| ways.next().is_none());
            self.way_in[at] = first.map_or(NONE, |arc| arc.link);
        }
        let of_above = match self.above[at] {
            NONE => 0,
            element => {
                let (head, steps) = head_of(kernel, element);
                self.count[head as usize] + 2 * steps
            }
        };
        self.count[at] = 1 + of_above + u32::from(self.way_in[at] != NONE);
    }

    /// Whether one head dominates another.
    fn is_behind(&self, head: u32, above: u32, kernel: &Kernel, place: &[u32]) -> bool {
        let mut at = head;
        while place[at as usize] > place[above as usize] {
            match self.above[at as usize] {
                NONE => return false,
                element => at = head_of(kernel, element).0,
            }
        }
        at == above
    }

    /// The nearest element that dominates both, `NONE` for the root.
    fn common(&self, kernel: &Kernel, a: u32, b: u32, place: &[u32]) -> u32 {
        let (mut a, mut b) = (a, b);
        while a != NONE && b != NONE {
            let [head_a, head_b] = [a, b].map(|element| head_of(kernel, element).0 as usize);
            match place[head_a].cmp(&place[head_b]) {
                std::cmp::Ordering::Greater => a = self.above[head_a],
                std::cmp::Ordering::Less => b = self.above[head_b],
                std::cmp::Ordering::Equal => return common_in_tree(kernel, a, b),
            }
        }
        NONE
    }

    fn parts(&self, kernel: &Kernel, element: u32) -> Option<Dependencies> {
        let mut parts = Vec::new();
        let mut at = element;
        while at != NONE {
            parts.push(at);
            at = match kernel.entry(at) {
                Entry::Tree { link } => {
                    parts.push(link | LINK);
                    kernel.across(link, at)
                }
                Entry::Head(head) => {
                    let way_in = self.way_in[head as usize];
                    parts.extend((way_in != NONE).then_some(way_in | LINK));
                    self.above[head as usize]
                }
                Entry::Dead => return None,
            };
        }
        Some(parts)
    }
}

/// The heads with service, each after one from which service comes to it, and the place of each in
/// that order.
fn spread(kernel: &Kernel, scratch: &Scratch) -> (Vec<u32>, Vec<u32>) {
    let mut place = vec![NONE; kernel.heads.len()];
    let mut sequence = Vec::with_capacity(kernel.heads.len());
    let mut reach = |no: u32, sequence: &mut Vec<u32>| {
        if scratch.is_up(no) && place[no as usize] == NONE {
            place[no as usize] = u32::try_from(sequence.len()).unwrap_or(NONE);
            sequence.push(no);
        }
    };
    for (no, head) in (0..).zip(&kernel.heads) {
        if head.gateway {
            reach(no, &mut sequence);
        }
    }
    let mut next = 0;
    while let Some(&head) = sequence.get(next) {
        next += 1;
        for &no in kernel.out.of(head) {
            if scratch.is_alive(no) {
                reach(kernel.arcs[no as usize].to, &mut sequence);
            }
        }
    }
    (sequence, place)
}

/// The ways by which service comes to a head.
fn ways_in<'a>(
    kernel: &'a Kernel,
    scratch: &'a Scratch,
    head: u32,
) -> impl Iterator<Item = &'a Arc> {
    let ways = kernel.ways_in(head);
    let alive = ways.filter(|&(no, arc)| scratch.is_alive(no) && scratch.is_up(arc.from_head));
    alive.map(|(_, arc)| arc)
}

/// The head in whose tree an element stands that a gateway reaches, and how many links lie between.
fn head_of(kernel: &Kernel, element: u32) -> (u32, u32) {
    let (mut at, mut steps) = (element, 0);
    loop {
        match kernel.entry(at) {
            Entry::Tree { link } => at = kernel.across(link, at),
            Entry::Head(head) => return (head, steps),
            // Nothing is ahead of it: it never has service.
            Entry::Dead => return (NONE, steps),
        }
        steps += 1;
    }
}

/// The nearest element above two of one tree.
fn common_in_tree(kernel: &Kernel, a: u32, b: u32) -> u32 {
    let mut above = a;
    while !(above..kernel.end(above)).contains(&b) {
        match kernel.entry(above) {
            Entry::Tree { link } => above = kernel.across(link, above),
            Entry::Head(_) | Entry::Dead => break,
        }
    }
    above
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
                // Not yet known counts as "on everything": it changes no intersection.
                let ways_in = ways_in(kernel, scratch, no).map(|arc| {
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
fn own_tree(kernel: &Kernel, head: u32, element: u32, mut run: impl FnMut(u32, u32)) {
    let (mut start, end) = (element, kernel.end(element));
    let mut next = head as usize + 1;
    while let Some(inner) = kernel.heads.get(next).filter(|inner| inner.element < end) {
        run(start, inner.element);
        start = kernel.end(inner.element);
        next += kernel.heads[next..].partition_point(|other| other.element < start);
    }
    run(start, end);
}
