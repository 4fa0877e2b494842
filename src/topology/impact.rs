//! Who loses service when parts fail.
//!
//! One failure is a run of ranks, read from two numbers. A set of failures is searched for in the
//! kernel, see [`super::kernel`].

use super::kernel::{Entry, Kernel, Scratch, with_scratch};
use super::order::order;
use super::ranks::{Ranks, common_dominator};
use super::resolve::Resolved;
use super::{ElementNo, LinkNo, Network, Part, SubscriberSet};

/// The runs that one part takes with it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AloneRuns {
    /// The usual case, without allocation; an empty run where nobody is lost.
    One([(u32, u32); 1]),
    Many(SubscriberSet),
}

impl AloneRuns {
    /// The half-open runs of ranks: sorted, disjoint, none empty.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        match self {
            Self::One(run) if run[0].0 == run[0].1 => &[],
            Self::One(run) => run,
            Self::Many(set) => set.runs(),
        }
    }

    /// Number of subscribers.
    pub fn len(&self) -> usize {
        let runs = self.as_slice().iter();
        runs.map(|&(start, end)| (end - start) as usize).sum()
    }

    /// Whether nobody is lost.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

/// The elements that a set of failures cuts off.
#[derive(Clone, Debug)]
pub struct CutOff {
    /// Runs of elements, as in a set of subscribers.
    elements: SubscriberSet,
}

impl CutOff {
    /// Whether the element failed itself or lost service by the failures.
    ///
    /// An element that no gateway reaches anyway is cut off by nothing but its own failure.
    pub fn is_cut_off(&self, element: ElementNo) -> bool {
        self.elements.contains(element.0)
    }
}

/// What is computed of a network to answer who loses service, and nothing else.
#[derive(Debug, Default)]
pub struct Impact {
    pub(super) kernel: Kernel,
    pub(super) ranks: Ranks,
    /// Parts whose loss must be searched for even alone: an element that needs all its parents
    /// rests on them.
    searched: Flags,
    /// Parts whose loss alone takes subscribers outside its run, because they need all of several
    /// serving elements.
    counted: Flags,
}

impl Impact {
    /// The index, and the new number of each element of the definition.
    pub fn of(resolved: &Resolved) -> (Self, Vec<u32>) {
        let (mut kernel, number) = order(resolved);
        let ranks = Ranks::of(resolved, &number, &mut kernel);
        let mut impact = Self {
            kernel,
            ranks,
            ..Self::default()
        };
        impact.flag_searched();
        impact.flag_counted();
        (impact, number)
    }

    /// Flags all that elements which need all their parents rest on.
    ///
    /// While the line of supports of such an element is whole, it has service, and the dominator
    /// tree tells the truth about everything else.
    fn flag_searched(&mut self) {
        let kernel = &self.kernel;
        let needy = (0..).zip(&kernel.heads).filter(|(_, head)| head.needs_all);
        let mut heads: Vec<u32> = needy.map(|(no, _)| no).collect();
        let mut seen = vec![false; kernel.heads.len()];
        while let Some(head) = heads.pop() {
            if std::mem::replace(&mut seen[head as usize], true) {
                continue;
            }
            for &no in kernel.ways_in.of(head) {
                let arc = &kernel.arcs[no as usize];
                if !arc.support {
                    continue;
                }
                self.searched.links.set(arc.link, kernel.links.len());
                let mut at = arc.from;
                loop {
                    self.searched.elements.set(at, kernel.nodes.len());
                    match kernel.entry(at) {
                        Entry::Tree { link } => {
                            self.searched.links.set(link, kernel.links.len());
                            at = kernel.across(link, at);
                        }
                        Entry::Head(above) => {
                            heads.push(above);
                            break;
                        }
                        Entry::Dead => break,
                    }
                }
            }
        }
    }

    /// Flags the dominators of serving elements that a subscriber needs beside the first.
    fn flag_counted(&mut self) {
        let kernel = &self.kernel;
        let needy = self.ranks.multihomed.iter();
        for of in needy.filter(|of| of.needs_all && of.enough > 0) {
            let serving = self.ranks.serving_of(of);
            for &element in &serving[1..] {
                let common = common_dominator(kernel, serving[0], element);
                let mut at = element;
                while at != common {
                    self.counted.elements.set(at, kernel.nodes.len());
                    if let Entry::Tree { link } = kernel.entry(at) {
                        self.counted.links.set(link, kernel.links.len());
                    }
                    match kernel.idom(at) {
                        Some(above) => at = above,
                        None => break,
                    }
                }
            }
        }
    }

    /// The run of ranks from the first of an element to the last of what it dominates.
    #[inline]
    fn run_of(&self, element: u32) -> (u32, u32) {
        let nodes = &self.kernel.nodes;
        let node = nodes[element as usize];
        (node.first_rank, nodes[node.end as usize].first_rank)
    }

    pub(super) fn is_searched(&self, element: ElementNo) -> bool {
        self.searched.elements.get(element.0)
    }

    /// The bytes that the index holds.
    pub fn resident_bytes(&self) -> usize {
        let flags = [&self.searched, &self.counted];
        let words = flags.map(|f| f.elements.0.capacity() + f.links.0.capacity());
        self.kernel.resident_bytes()
            + self.ranks.resident_bytes()
            + words.iter().sum::<usize>() * size_of::<u64>()
    }
}

/// Marks on parts; without any mark, no memory.
#[derive(Debug, Default)]
struct Flags {
    elements: Bits,
    links: Bits,
}

#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, index: u32, count: usize) {
        if self.0.is_empty() {
            self.0 = vec![0; count.div_ceil(64)];
        }
        self.0[index as usize / 64] |= 1 << (index % 64);
    }

    #[inline]
    fn get(&self, index: u32) -> bool {
        let word = self.0.get(index as usize / 64);
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }
}

impl Network {
    /// The subscribers who lose service when this part fails alone.
    pub fn lost_alone(&self, part: Part) -> SubscriberSet {
        match self.lost_alone_runs(part) {
            AloneRuns::One([run]) => SubscriberSet::from_runs(vec![run]),
            AloneRuns::Many(set) => set,
        }
    }

    /// As [`Self::lost_alone`], without allocation for nearly all elements and links.
    #[inline]
    pub fn lost_alone_runs(&self, part: Part) -> AloneRuns {
        let impact = &self.impact;
        let (element, searched, counted) = match part {
            Part::Element(ElementNo(no)) => (
                Some(no),
                impact.searched.elements.get(no),
                impact.counted.elements.get(no),
            ),
            Part::Link(LinkNo(no)) => (
                impact.kernel.behind(no),
                impact.searched.links.get(no),
                impact.counted.links.get(no),
            ),
            Part::Group(_) => (None, true, false),
        };
        if searched {
            return AloneRuns::Many(self.lost(&[part]));
        }
        match element {
            None => AloneRuns::One([(0, 0)]),
            Some(element) if counted => {
                let cut = [(element, impact.kernel.end(element))];
                let lost = |scratch: &mut Scratch| {
                    impact
                        .ranks
                        .lost_with(&cut, &impact.kernel, &mut scratch.touched)
                };
                AloneRuns::Many(SubscriberSet::of_sorted(with_scratch(lost)))
            }
            Some(element) => AloneRuns::One([impact.run_of(element)]),
        }
    }

    /// The subscribers who lose service when all these parts fail together.
    pub fn lost(&self, failed: &[Part]) -> SubscriberSet {
        with_scratch(|scratch| {
            self.search(failed, scratch);
            self.lost_in(scratch)
        })
    }

    /// The elements that these failures cut off.
    pub fn cut_off(&self, failed: &[Part]) -> CutOff {
        let mut runs = with_scratch(|scratch| {
            self.search(failed, scratch);
            scratch.cut.clone()
        });
        self.each_member(failed, |part| {
            if let Part::Element(ElementNo(no)) = part {
                runs.push((no, no + 1));
            }
        });
        CutOff {
            elements: SubscriberSet::from_runs(runs),
        }
    }

    /// The subscribers lost by the search just made.
    pub(super) fn lost_in(&self, scratch: &mut Scratch) -> SubscriberSet {
        let Impact { kernel, ranks, .. } = &self.impact;
        let runs = ranks.lost_with(&scratch.cut, kernel, &mut scratch.touched);
        SubscriberSet::of_sorted(runs)
    }

    /// Searches for what these failures cut off.
    pub(super) fn search(&self, failed: &[Part], scratch: &mut Scratch) {
        let kernel = &self.impact.kernel;
        kernel.begin(scratch);
        self.each_member(failed, |part| match part {
            Part::Element(ElementNo(no)) => kernel.fail_element(no, scratch),
            Part::Link(LinkNo(no)) => kernel.fail_link(no, scratch),
            Part::Group(_) => {}
        });
        kernel.search(scratch);
    }

    /// Elements and links as they are, groups as their members.
    pub(super) fn each_member(&self, parts: &[Part], mut act: impl FnMut(Part)) {
        for &part in parts {
            match part {
                Part::Group(group) => self.group_members(group).iter().copied().for_each(&mut act),
                part => act(part),
            }
        }
    }
}
