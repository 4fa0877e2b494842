//! Who loses service when parts fail.
//!
//! One failure is a run of ranks, read from two numbers. A set of failures is searched for in the
//! kernel, see [`super::kernel`].

use super::at_risk::Reliance;
use super::kernel::{Entry, Kernel, Scratch, with_scratch};
use super::order::order;
use super::ranks::{Counts, Ranks, common_dominator};
use super::resolve::Resolved;
use super::{ElementNo, LinkNo, Network, Part, SubscriberSet};
use std::sync::OnceLock;

/// The runs that one part takes with it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AloneRuns<'a> {
    /// The usual case; an empty run where nobody is lost.
    One([(u32, u32); 1]),
    /// Somebody besides, who needs this part and others.
    More(&'a [(u32, u32)]),
    /// Searched for.
    Found(SubscriberSet),
}

impl AloneRuns<'_> {
    /// The half-open runs of ranks: sorted, disjoint, none empty.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        match self {
            Self::One(run) if run[0].0 == run[0].1 => &[],
            Self::One(run) => run,
            Self::More(runs) => runs,
            Self::Found(set) => set.runs(),
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

    pub(super) fn runs(&self) -> &[(u32, u32)] {
        self.elements.runs()
    }

    /// What this cuts off and the other does not.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self {
            elements: self.elements.difference(&other.elements),
        }
    }

    /// Whether a part has no way to a gateway, or is a link at an element that has none.
    pub fn takes(&self, part: Part, network: &Network) -> bool {
        match part {
            Part::Element(element) => self.is_cut_off(element),
            Part::Link(link) => {
                let (a, b) = network.link_ends(link);
                self.is_cut_off(a) || self.is_cut_off(b)
            }
            Part::Group(_) => false,
        }
    }

    /// The elements, in ascending order.
    pub fn elements(&self) -> impl Iterator<Item = ElementNo> + '_ {
        self.elements.iter().map(ElementNo)
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
    /// The runs of each of these, elements first.
    counted_runs: RunLists,
    /// What heads depend on while nothing fails, once it has been asked for.
    pub(super) reliance: OnceLock<Reliance>,
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
        impact.count();
        impact.mark();
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
            for (_, arc) in kernel.ways_in(head) {
                if !arc.support {
                    continue;
                }
                self.searched.links.set(arc.link, kernel.link_count());
                let mut at = arc.from;
                loop {
                    self.searched.elements.set(at, kernel.nodes.len());
                    match kernel.entry(at) {
                        Entry::Tree { link } => {
                            self.searched.links.set(link, kernel.link_count());
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
                        self.counted.links.set(link, kernel.link_count());
                    }
                    match kernel.idom(at) {
                        Some(above) => at = above,
                        None => break,
                    }
                }
            }
        }
    }

    /// Keeps what each counted part takes with it alone.
    fn count(&mut self) {
        self.counted.elements.finish();
        self.counted.links.finish();
        let (kernel, ranks) = (&self.kernel, &self.ranks);
        let elements = self.counted.elements.iter();
        let behind = self.counted.links.iter();
        let behind = behind.filter_map(|link| kernel.behind(link));
        let mut counts = Counts::default();
        for element in elements.chain(behind) {
            let cut = [(element, kernel.end(element))];
            let runs = ranks.lost_with(&cut, kernel, &mut counts);
            self.counted_runs.push(&runs);
        }
    }

    /// Marks in the kernel what these flags say.
    fn mark(&mut self) {
        for flags in [&self.searched, &self.counted] {
            for element in flags.elements.iter() {
                self.kernel.mark_element(element);
            }
            for link in flags.links.iter() {
                self.kernel.mark_link(link);
            }
        }
    }

    pub(super) fn is_searched(&self, element: ElementNo) -> bool {
        self.searched.elements.get(element.0)
    }

    /// The bytes that the index holds.
    pub fn resident_bytes(&self) -> usize {
        let flags = [&self.searched, &self.counted];
        let flags = flags.map(|f| f.elements.resident_bytes() + f.links.resident_bytes());
        self.kernel.resident_bytes()
            + self.ranks.resident_bytes()
            + flags.iter().sum::<usize>()
            + self.counted_runs.resident_bytes()
            + self.reliance.get().map_or(0, Reliance::resident_bytes)
    }
}

/// Marks on parts; without any mark, no memory.
#[derive(Debug, Default)]
struct Flags {
    elements: Bits,
    links: Bits,
}

/// A set of numbers that knows how many are below one of them.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    /// Per word: how many bits are set in those before it.
    below: Vec<u32>,
}

impl Bits {
    fn set(&mut self, index: u32, count: usize) {
        if self.words.is_empty() {
            self.words = vec![0; count.div_ceil(64)];
        }
        self.words[index as usize / 64] |= 1 << (index % 64);
    }

    #[inline]
    fn get(&self, index: u32) -> bool {
        let word = self.words.get(index as usize / 64);
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Counts what is set, for [`Self::place`].
    fn finish(&mut self) {
        let below = self.words.iter().scan(0, |below, word| {
            let here = *below;
            *below += word.count_ones();
            Some(here)
        });
        self.below = below.collect();
    }

    fn len(&self) -> u32 {
        let last = self.below.last().zip(self.words.last());
        last.map_or(0, |(below, word)| below + word.count_ones())
    }

    /// How many numbers of the set are below this one, if it is in the set.
    fn place(&self, index: u32) -> Option<u32> {
        let at = index as usize / 64;
        let before = self.words.get(at)? & ((1 << (index % 64)) - 1);
        self.get(index)
            .then(|| self.below[at] + before.count_ones())
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..)
            .step_by(64)
            .zip(&self.words)
            .flat_map(|(first, &word)| {
                (0..64)
                    .filter(move |bit| word >> bit & 1 == 1)
                    .map(move |bit| first + bit)
            })
    }

    fn resident_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>() + self.below.capacity() * size_of::<u32>()
    }
}

/// Lists of runs in one array.
#[derive(Debug, Default)]
struct RunLists {
    ends: Vec<u32>,
    runs: Vec<(u32, u32)>,
}

impl RunLists {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a run per part and subscriber with several serving elements"
    )]
    fn push(&mut self, runs: &[(u32, u32)]) {
        self.runs.extend_from_slice(runs);
        self.ends.push(self.runs.len() as u32);
    }

    #[inline]
    fn get(&self, no: u32) -> &[(u32, u32)] {
        let no = no as usize;
        let start = if no == 0 { 0 } else { self.ends[no - 1] };
        &self.runs[start as usize..self.ends[no] as usize]
    }

    fn resident_bytes(&self) -> usize {
        self.ends.capacity() * size_of::<u32>() + self.runs.capacity() * size_of::<(u32, u32)>()
    }
}

impl Network {
    /// The subscribers who lose service when this part fails alone.
    pub fn lost_alone(&self, part: Part) -> SubscriberSet {
        match self.lost_alone_runs(part) {
            AloneRuns::One([run]) => SubscriberSet::from_runs(vec![run]),
            AloneRuns::More(runs) => SubscriberSet::of_sorted(runs.to_vec()),
            AloneRuns::Found(set) => set,
        }
    }

    /// As [`Self::lost_alone`], without allocation unless an element that needs all its parents rests
    /// on the part, or it is a group.
    #[inline]
    pub fn lost_alone_runs(&self, part: Part) -> AloneRuns<'_> {
        let run = match part {
            Part::Element(ElementNo(no)) => self.impact.kernel.run_of(no),
            Part::Link(LinkNo(no)) => self.impact.kernel.run_behind(no),
            Part::Group(_) => None,
        };
        match run {
            Some(run) => AloneRuns::One([run]),
            None => self.more_than_a_run(part),
        }
    }

    fn more_than_a_run(&self, part: Part) -> AloneRuns<'_> {
        let Impact {
            searched,
            counted,
            counted_runs,
            ..
        } = &self.impact;
        let (is_searched, place) = match part {
            Part::Element(ElementNo(no)) => (searched.elements.get(no), counted.elements.place(no)),
            Part::Link(LinkNo(no)) => (
                searched.links.get(no),
                counted
                    .links
                    .place(no)
                    .map(|place| counted.elements.len() + place),
            ),
            Part::Group(_) => (true, None),
        };
        match place {
            Some(place) if !is_searched => AloneRuns::More(counted_runs.get(place)),
            _ => AloneRuns::Found(self.lost(&[part])),
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
        let runs = ranks.lost_with(&scratch.cut, kernel, &mut scratch.counts);
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
