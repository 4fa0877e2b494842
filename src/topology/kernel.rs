//! What of a network can be reached by more than one way, and the search in it.
//!
//! The kernel holds the heads (gateways, and elements with several ways in) and the arcs into
//! them; every other element stands in the tree of a head. Elements are numbered in pre-order of
//! the dominator tree, so what an element takes with it alone is the run of numbers from its own
//! to its end, and the arcs that leave such a run are a run of arcs.
//!
//! Heads stand in an order in which each comes after its support: what first gave it service. A
//! failure asks those whose support it took, in this order. One that has another way in from a head
//! before it that is in no doubt, or from any whose line of supports is unbroken, keeps its service;
//! any other is in doubt, and those that it supports are asked. What is in doubt has service again
//! as soon as a way in leads from what has service beyond doubt. This is exact for elements that need
//! all their parents too, all of which stand before them. The work depends on what hangs on the
//! failure and has no other way, not on the size of the network.

use super::dominators::{Arc, ArcLists};
use super::ranks::Counts;
use super::resolve::NONE;
use super::subscriber_set::normalise;
use std::cell::RefCell;

/// Marks the entry of a head: the rest of the number is the index of the head.
const HEAD: u32 = 1 << 31;

/// Marks an end of a link that is cut off with the link.
const SOLE_ENTRY: u32 = 1 << 31;
/// Marks a part that alone takes more, or others, than the run of what it dominates.
///
/// The marks stand with the numbers so that the usual answer reads one or two places of memory.
const NOT_ITS_RUN: u32 = 1 << 30;
/// Instead of the support of a head: all its ways in are.
pub(super) const NO_SINGLE: u32 = NONE - 1;
/// Elements and links are fewer.
pub(super) const MOST_PARTS: usize = 1 << 30;
const NUMBER: u32 = NOT_ITS_RUN - 1;

/// How service comes to an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// By one link only; what counts for the other end counts for this element.
    Tree { link: u32 },
    /// By several ways, or it is a gateway: index of the head.
    Head(u32),
    /// Never.
    Dead,
}

impl Entry {
    pub(super) fn pack(self) -> u32 {
        match self {
            Self::Tree { link } => link,
            Self::Head(head) => head | HEAD,
            Self::Dead => NONE,
        }
    }

    #[inline]
    fn unpack(packed: u32) -> Self {
        match packed {
            NONE => Self::Dead,
            head if head & HEAD != 0 => Self::Head(head & !HEAD),
            link => Self::Tree { link },
        }
    }
}

/// An element in pre-order of the dominator tree.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Node {
    /// The rank of the first subscriber placed at this element.
    pub(super) first_rank: u32,
    /// One past the last element dominated by this one, its own number if it is never served; with
    /// [`NOT_ITS_RUN`].
    end: u32,
}

impl Node {
    pub(super) fn ending(end: u32) -> Self {
        Self { first_rank: 0, end }
    }
}

/// Elements in pre-order, and the kernel among them.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// One per element and one more, which holds the first rank after all elements.
    pub(super) nodes: Vec<Node>,
    /// Packed [`Entry`] per element.
    pub(super) entry: Vec<u32>,
    /// The two ends of each link, with [`SOLE_ENTRY`] on an end that has no other way in and
    /// [`NOT_ITS_RUN`] on the first.
    pub(super) links: Vec<(u32, u32)>,
    /// Elements that a gateway reaches; they come first.
    pub(super) reached: u32,
    pub(super) heads: Vec<KernelHead>,
    /// Sorted by the head they lead to, see [`Self::ways_in`].
    pub(super) arcs: Vec<Arc>,
    /// Per head: where its arcs in start; and one more.
    pub(super) ways_in_starts: Vec<u32>,
    /// (element, arc that leaves it), sorted.
    pub(super) leaving: Vec<(u32, u32)>,
    /// Of each 64 elements: whether an arc leaves one of them.
    pub(super) may_leave: Vec<u64>,
    pub(super) out: ArcLists,
    /// Heads in an order in which each comes after what first gave it service.
    pub(super) activation: Vec<u32>,
    /// The place of each head in that order.
    pub(super) place: Vec<u32>,
    /// Per head: the head that supports it; `NONE` for gateways.
    pub(super) support: Vec<u32>,
    pub(super) any_needs_all: bool,
}

/// A head, in ascending order of elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct KernelHead {
    pub(super) element: u32,
    /// The immediate dominator, `NONE` for the root.
    pub(super) idom: u32,
    pub(super) gateway: bool,
    pub(super) needs_all: bool,
}

/// Marks of one search; kept between searches so that none has to clear them.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Marks of this search are `2 * generation` and the number after it.
    generation: u32,
    /// Per head: in doubt, failed, or older marks for "has service".
    doubt: Vec<u32>,
    /// Per head: what is known of its line of supports, marked alike: unbroken, or not.
    line: Vec<u32>,
    /// Per arc.
    dead: Vec<u32>,
    /// Heads to be asked, a bit for each place in the order of activation; none between searches.
    asked: Vec<u64>,
    doubted: Vec<u32>,
    revived: Vec<u32>,
    /// An arc died, or a head failed.
    beyond_trees: bool,
    /// Elements without service, as runs.
    pub(super) cut: Vec<(u32, u32)>,
    /// For subscribers with several serving elements.
    pub(super) counts: Counts,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Lends the marks of this thread.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => work(&mut scratch),
        Err(_) => work(&mut Scratch::default()),
    })
}

impl Scratch {
    fn begin(&mut self, kernel: &Kernel) {
        if self.generation >= u32::MAX / 2 - 1 {
            *self = Self::default();
        }
        self.generation += 1;
        if self.doubt.len() < kernel.heads.len() {
            self.doubt.resize(kernel.heads.len(), 0);
            self.line.resize(kernel.heads.len(), 0);
        }
        if self.dead.len() < kernel.arcs.len() {
            self.dead.resize(kernel.arcs.len(), 0);
        }
        let words = kernel.heads.len().div_ceil(64);
        if self.asked.len() < words {
            self.asked.resize(words, 0);
        }
        self.doubted.clear();
        self.beyond_trees = false;
        self.cut.clear();
    }

    /// Whether the failures touch more than trees that nothing leads out of: ways into heads, or
    /// heads.
    pub(super) fn is_beyond_trees(&self) -> bool {
        self.beyond_trees
    }

    /// Whether a head has service, as far as is known.
    #[inline]
    pub(super) fn is_up(&self, head: u32) -> bool {
        self.doubt[head as usize] < 2 * self.generation
    }

    #[inline]
    fn is_in_doubt(&self, head: u32) -> bool {
        self.doubt[head as usize] == 2 * self.generation
    }

    /// Whether neither the link of the arc nor what it leads out of has failed.
    #[inline]
    pub(super) fn is_alive(&self, arc: u32) -> bool {
        self.dead[arc as usize] != self.generation
    }

    #[inline]
    fn is_failed(&self, head: u32) -> bool {
        self.doubt[head as usize] == 2 * self.generation + 1
    }

    /// Whether service comes by an arc, as far as is known.
    #[inline]
    fn feeds(&self, no: u32, arc: &Arc) -> bool {
        self.is_alive(no) && self.is_up(arc.from_head)
    }

    fn mark_line(&mut self, head: u32, is_unbroken: bool) {
        self.line[head as usize] = 2 * self.generation + u32::from(!is_unbroken);
    }

    /// Whether the line of supports of a head is unbroken, if that is known.
    #[inline]
    fn is_unbroken(&self, head: u32) -> Option<bool> {
        let mark = self.line[head as usize];
        (mark >= 2 * self.generation).then_some(mark == 2 * self.generation)
    }

    #[inline]
    fn is_asked(&self, place: u32) -> bool {
        self.asked[place as usize / 64] >> (place % 64) & 1 == 1
    }

    #[inline]
    fn ask(&mut self, place: u32) {
        self.asked[place as usize / 64] |= 1 << (place % 64);
    }
}

impl Kernel {
    #[inline]
    pub(super) fn entry(&self, element: u32) -> Entry {
        Entry::unpack(self.entry[element as usize])
    }

    /// One past the last element that this one dominates.
    #[inline]
    pub(super) fn end(&self, element: u32) -> u32 {
        self.nodes[element as usize].end & NUMBER
    }

    /// The two ends of a link.
    #[inline]
    pub(super) fn ends(&self, link: u32) -> (u32, u32) {
        let (a, b) = self.links[link as usize];
        (a & NUMBER, b & NUMBER)
    }

    pub(super) fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Enters the ends of the links; the entries of the elements must be known.
    pub(super) fn set_links(&mut self, links: impl Iterator<Item = (u32, u32)>) {
        let mark = |no: u32, element: u32| {
            // Packed entries of heads and of the dead are no numbers of links.
            let sole = self.entry[element as usize] == no;
            element | if sole { SOLE_ENTRY } else { 0 }
        };
        let links = (0..).zip(links);
        self.links = links
            .map(|(no, (a, b))| (mark(no, a), mark(no, b)))
            .collect();
    }

    /// Marks an element as one that takes more than its run.
    pub(super) fn mark_element(&mut self, element: u32) {
        self.nodes[element as usize].end |= NOT_ITS_RUN;
    }

    /// Marks a link as one that takes more than the run behind it.
    pub(super) fn mark_link(&mut self, link: u32) {
        self.links[link as usize].0 |= NOT_ITS_RUN;
    }

    /// The run of ranks that an element takes with it alone, if that is all.
    #[inline]
    pub(super) fn run_of(&self, element: u32) -> Option<(u32, u32)> {
        let node = self.nodes[element as usize];
        let end = self.nodes.get(node.end as usize)?;
        Some((node.first_rank, end.first_rank))
    }

    /// The run of ranks that a link takes with it alone, if that is all.
    ///
    /// An element behind a link without mark has none either.
    #[inline]
    pub(super) fn run_behind(&self, link: u32) -> Option<(u32, u32)> {
        let (a, b) = self.links[link as usize];
        if a & NOT_ITS_RUN != 0 {
            None
        } else if b & SOLE_ENTRY != 0 {
            self.run_of(b & NUMBER)
        } else if a & SOLE_ENTRY != 0 {
            self.run_of(a & NUMBER)
        } else {
            Some((0, 0))
        }
    }

    /// The end of a link that is not this element.
    #[inline]
    pub(super) fn across(&self, link: u32, element: u32) -> u32 {
        let (a, b) = self.ends(link);
        if a == element { b } else { a }
    }

    /// The immediate dominator.
    pub(super) fn idom(&self, element: u32) -> Option<u32> {
        match self.entry(element) {
            Entry::Tree { link } => Some(self.across(link, element)),
            Entry::Head(head) => Some(self.heads[head as usize].idom).filter(|&d| d != NONE),
            Entry::Dead => None,
        }
    }

    /// (element, arc) for the arcs that leave elements of a run.
    pub(super) fn arcs_out_of(&self, start: u32, end: u32) -> &[(u32, u32)] {
        let (first, last) = (start / 64, end.saturating_sub(1) / 64);
        let leaves = |block: u32| self.may_leave[block as usize / 64] >> (block % 64) & 1 == 1;
        if last - first < 64 && !(first..=last).any(leaves) {
            return &[];
        }
        let from = self.leaving.partition_point(|&(from, _)| from < start);
        let until = self.leaving[from..].partition_point(|&(from, _)| from < end);
        &self.leaving[from..from + until]
    }

    /// The arcs into a head, with their numbers.
    #[inline]
    pub(super) fn ways_in(&self, head: u32) -> impl Iterator<Item = (u32, &Arc)> {
        let starts = &self.ways_in_starts[head as usize..head as usize + 2];
        (starts[0]..).zip(&self.arcs[starts[0] as usize..starts[1] as usize])
    }

    /// The element that one link takes with it alone.
    pub(super) fn behind(&self, link: u32) -> Option<u32> {
        let (a, b) = self.links[link as usize];
        let sole = |end: &u32| end & SOLE_ENTRY != 0;
        [b, a].into_iter().find(sole).map(|end| end & NUMBER)
    }

    /// Starts a search in which nothing has failed.
    pub(super) fn begin(&self, scratch: &mut Scratch) {
        scratch.begin(self);
    }

    /// Lets an element fail.
    pub(super) fn fail_element(&self, element: u32, scratch: &mut Scratch) {
        match self.entry(element) {
            Entry::Dead => {}
            Entry::Tree { .. } => self.fail_tree(element, scratch),
            Entry::Head(head) => {
                scratch.beyond_trees = true;
                scratch.doubt[head as usize] = 2 * scratch.generation + 1;
                scratch.ask(self.place[head as usize]);
            }
        }
    }

    /// Lets all that stands under an element of a tree lose its only way in.
    fn fail_tree(&self, element: u32, scratch: &mut Scratch) {
        let end = self.end(element);
        scratch.cut.push((element, end));
        for &(_, no) in self.arcs_out_of(element, end) {
            self.kill(no, &self.arcs[no as usize], scratch);
        }
    }

    fn kill(&self, no: u32, arc: &Arc, scratch: &mut Scratch) {
        scratch.beyond_trees = true;
        scratch.dead[no as usize] = scratch.generation;
        if arc.support {
            scratch.ask(self.place[arc.to as usize]);
        }
    }

    /// Lets a link fail.
    pub(super) fn fail_link(&self, link: u32, scratch: &mut Scratch) {
        let (a, b) = self.ends(link);
        for element in [a, b] {
            match self.entry(element) {
                Entry::Tree { link: entry } if entry == link => self.fail_tree(element, scratch),
                Entry::Head(head) => {
                    for (no, arc) in self.ways_in(head) {
                        if arc.link == link {
                            self.kill(no, arc, scratch);
                        }
                    }
                }
                Entry::Tree { .. } | Entry::Dead => {}
            }
        }
    }

    /// Finds what has no service after these failures: heads by [`Scratch::is_up`], elements by
    /// the runs in `cut`.
    pub(super) fn search(&self, scratch: &mut Scratch) {
        if scratch.beyond_trees {
            self.doubt(scratch);
            self.settle_doubts(scratch);
        }
        // Heads are numbered as their elements are: where many are in doubt, going through all in
        // order is cheaper than sorting.
        if scratch.doubted.len() > self.heads.len() / 8 {
            let mut past = 0;
            for (head, of) in (0..).zip(&self.heads) {
                if of.element >= past && !scratch.is_up(head) {
                    past = self.end(of.element);
                    scratch.cut.push((of.element, past));
                }
            }
        } else {
            for index in 0..scratch.doubted.len() {
                let head = scratch.doubted[index];
                if !scratch.is_up(head) {
                    let element = self.heads[head as usize].element;
                    scratch.cut.push((element, self.end(element)));
                }
            }
        }
        normalise(&mut scratch.cut);
    }

    /// Finds the heads that no way in from before them feeds, each after all before it.
    fn doubt(&self, scratch: &mut Scratch) {
        let words = self.heads.len().div_ceil(64);
        for (first, word) in (0_u32..).step_by(64).zip(0..words) {
            // What a head supports comes after it, in the same word or a later one.
            while scratch.asked[word] != 0 {
                let place = first + scratch.asked[word].trailing_zeros();
                scratch.asked[word] &= scratch.asked[word] - 1;
                let head = self.activation[place as usize];
                if !scratch.is_failed(head) {
                    if self.has_another_way(head, scratch) {
                        continue;
                    }
                    scratch.doubt[head as usize] = 2 * scratch.generation;
                }
                scratch.doubted.push(head);
                for &no in self.out.of(head) {
                    let arc = &self.arcs[no as usize];
                    if arc.support {
                        scratch.ask(self.place[arc.to as usize]);
                    }
                }
            }
        }
    }

    /// Whether a head that lost its support has service beyond doubt; all heads before it are settled.
    fn has_another_way(&self, head: u32, scratch: &mut Scratch) -> bool {
        scratch.mark_line(head, false);
        if self.heads[head as usize].needs_all {
            return false;
        }
        let has_way = self.ways_in(head).any(|(no, arc)| {
            scratch.feeds(no, arc)
                && (arc.is_earlier || self.is_line_unbroken(arc.from_head, scratch))
        });
        if has_way {
            scratch.mark_line(head, true);
        }
        has_way
    }

    /// Whether nothing has failed on the line of supports from a head to a gateway, nor might lose its
    /// own yet.
    fn is_line_unbroken(&self, head: u32, scratch: &mut Scratch) -> bool {
        let mut at = head;
        let is_unbroken = loop {
            if let Some(known) = scratch.is_unbroken(at) {
                break known;
            }
            if !scratch.is_up(at) || scratch.is_asked(self.place[at as usize]) {
                break false;
            }
            match self.support[at as usize] {
                NONE => break true,
                NO_SINGLE => break false,
                support => at = support,
            }
        };
        let mut passed = head;
        while passed != at {
            scratch.mark_line(passed, is_unbroken);
            passed = self.support[passed as usize];
        }
        is_unbroken
    }

    /// Gives heads in doubt their service back where they are fed.
    fn settle_doubts(&self, scratch: &mut Scratch) {
        for index in 0..scratch.doubted.len() {
            self.revive(scratch.doubted[index], scratch);
            while let Some(revived) = scratch.revived.pop() {
                for &no in self.out.of(revived) {
                    let to = self.arcs[no as usize].to;
                    if scratch.is_in_doubt(to) && scratch.is_alive(no) {
                        self.revive(to, scratch);
                    }
                }
            }
        }
    }

    #[inline]
    fn revive(&self, head: u32, scratch: &mut Scratch) {
        if !scratch.is_in_doubt(head) {
            return;
        }
        let mut ways_in = self.ways_in(head);
        let is_fed = if self.heads[head as usize].needs_all {
            ways_in.all(|(no, arc)| scratch.feeds(no, arc))
        } else {
            ways_in.any(|(no, arc)| scratch.feeds(no, arc))
        };
        if is_fed {
            scratch.doubt[head as usize] = 0;
            scratch.revived.push(head);
        }
    }

    pub(super) fn resident_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.entry.capacity() * size_of::<u32>()
            + self.links.capacity() * size_of::<(u32, u32)>()
            + self.heads.capacity() * size_of::<KernelHead>()
            + self.arcs.capacity() * size_of::<Arc>()
            + (self.activation.capacity() + self.place.capacity() + self.support.capacity())
                * size_of::<u32>()
            + self.out.resident_bytes()
            + self.ways_in_starts.capacity() * size_of::<u32>()
            + self.leaving.capacity() * size_of::<(u32, u32)>()
            + self.may_leave.capacity() * size_of::<u64>()
    }
}
