//! The dominator tree of a network, found on what is left when trees are contracted.
//!
//! A virtual root supplies the gateways, and arcs lead away from them. An element with one way in
//! hangs on the element it comes from: such trees, nearly all of an access network, need no
//! algorithm. What has several ways in are the heads of these trees; on them alone runs the
//! iteration of Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
//!
//! An element that needs all its parents is given one of them, the one that completes it, as its
//! only way in. So every dominator found is one in truth, but such an element may have more; see
//! [`super::kernel`] for how the difference is made good.
//!
//! Element numbers here are those of the definition.

use super::resolve::{NONE, Resolved, ServiceLink};

/// The entry of an element with several ways in, or of a gateway.
const SEVERAL: u32 = u32::MAX - 1;
/// The tree of an element that no gateway reaches.
const DEAD: u32 = u32::MAX - 1;
const VISITING: u32 = u32::MAX - 2;

/// An arc into a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arc {
    pub(super) from: u32,
    /// Index of the head of the tree of `from`.
    pub(super) from_head: u32,
    /// Index of a head.
    pub(super) to: u32,
    pub(super) link: u32,
    /// Service of `to` was first found by this arc, so that it is in doubt when the arc dies.
    pub(super) support: bool,
    /// The head that it comes from stands before the one it leads to in the order of activation.
    pub(super) is_earlier: bool,
}

/// An element with several ways in that matter, or a gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) element: u32,
    /// The immediate dominator, an element, or `NONE` for the root.
    pub(super) idom: u32,
    /// Position in an order in which each head comes after what it first had service from;
    /// `NONE` where no gateway reaches it.
    active: u32,
    /// Arcs still awaited while service spreads.
    awaited: u32,
    pub(super) needs_all: bool,
}

/// Lists of arcs by head.
#[derive(Debug, Default)]
pub(super) struct ArcLists {
    pub(super) starts: Vec<u32>,
    arcs: Vec<u32>,
}

impl ArcLists {
    /// Sorts arcs into lists, keeping their order.
    pub(super) fn by(heads: usize, arcs: &[Arc], head_of: impl Fn(&Arc) -> u32) -> Self {
        let mut starts = vec![0; heads + 1];
        for arc in arcs {
            starts[head_of(arc) as usize + 1] += 1;
        }
        for head in 0..heads {
            starts[head + 1] += starts[head];
        }
        let mut next = starts.clone();
        let mut sorted = vec![0; arcs.len()];
        for (no, arc) in (0..).zip(arcs) {
            let at = &mut next[head_of(arc) as usize];
            sorted[*at as usize] = no;
            *at += 1;
        }
        Self {
            starts,
            arcs: sorted,
        }
    }

    /// Numbers of the arcs of a head.
    #[inline]
    pub(super) fn of(&self, head: u32) -> &[u32] {
        let head = head as usize;
        &self.arcs[self.starts[head] as usize..self.starts[head + 1] as usize]
    }

    pub(super) fn resident_bytes(&self) -> usize {
        (self.starts.capacity() + self.arcs.capacity()) * size_of::<u32>()
    }
}

/// The dominator tree: every element that a gateway reaches hangs on its tree parent or, as a
/// head, on its immediate dominator.
#[derive(Debug)]
pub(super) struct Dominators<'a> {
    links: &'a [ServiceLink],
    /// Per element: the link of its only way in, `SEVERAL`, or `NONE`.
    entry: Vec<u32>,
    /// Per element: index of the head of its tree, or `DEAD`.
    tree: Vec<u32>,
    pub(super) heads: Vec<Head>,
    /// Arcs that can matter, into heads that gateways reach.
    pub(super) arcs: Vec<Arc>,
}

/// The other end of a link.
#[inline]
fn other_end(link: ServiceLink, element: u32) -> u32 {
    if link.to == element {
        link.from
    } else {
        link.to
    }
}

impl<'a> Dominators<'a> {
    pub(super) fn of(resolved: &'a Resolved) -> Self {
        let mut dominators = Self {
            links: &resolved.links,
            entry: ways_in(resolved),
            tree: Vec::new(),
            heads: Vec::new(),
            arcs: Vec::new(),
        };
        dominators.plant(resolved);
        dominators.collect_arcs();
        dominators.spread(resolved);
        dominators.iterate();
        dominators.prune();
        dominators
    }

    /// The link of the only way into an element of a tree.
    #[inline]
    pub(super) fn entry(&self, element: u32) -> Option<u32> {
        Some(self.entry[element as usize]).filter(|&link| link < SEVERAL)
    }

    /// Whether a gateway reaches the element while nothing fails.
    #[inline]
    pub(super) fn is_reached(&self, element: u32) -> bool {
        let tree = self.tree[element as usize];
        tree != DEAD && self.heads[tree as usize].active != NONE
    }

    /// The parent in the dominator tree: an element, or `NONE` for the root. Only for elements
    /// that are reached.
    #[inline]
    pub(super) fn parent(&self, element: u32) -> u32 {
        match self.entry[element as usize] {
            SEVERAL => self.heads[self.tree[element as usize] as usize].idom,
            link => other_end(self.links[link as usize], element),
        }
    }

    /// Makes every element with several ways in and every gateway a head, and finds for every
    /// element the head at the top of its tree.
    fn plant(&mut self, resolved: &Resolved) {
        self.tree = vec![NONE; self.entry.len()];
        for (element, &entry) in (0_u32..).zip(&self.entry) {
            if entry == SEVERAL {
                self.tree[element as usize] = self.head_count();
                self.heads.push(Head {
                    element,
                    idom: NONE,
                    active: NONE,
                    awaited: 0,
                    needs_all: resolved.needs_all[element as usize],
                });
            }
        }
        let mut path = Vec::new();
        for element in 0..self.entry.len() {
            let mut at = element;
            let tree = loop {
                match self.tree[at] {
                    NONE => {}
                    // A circle that nothing leads into.
                    VISITING => break DEAD,
                    tree => break tree,
                }
                self.tree[at] = VISITING;
                path.push(at);
                let link = self.entry[at];
                if link == NONE {
                    break DEAD;
                }
                #[allow(clippy::cast_possible_truncation, reason = "an index of 32 bits")]
                let no = at as u32;
                at = other_end(self.links[link as usize], no) as usize;
            };
            for at in path.drain(..) {
                self.tree[at] = tree;
            }
        }
    }

    fn head_count(&self) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "at most one per element")]
        let count = self.heads.len() as u32;
        count
    }

    fn collect_arcs(&mut self) {
        let mut add = |from: u32, to: u32, link: u32| {
            if self.entry[to as usize] != SEVERAL {
                return;
            }
            let to = self.tree[to as usize];
            self.heads[to as usize].awaited += 1;
            let from_head = self.tree[from as usize];
            if from_head != DEAD {
                self.arcs.push(Arc {
                    from,
                    from_head,
                    to,
                    link,
                    support: false,
                    is_earlier: false,
                });
            }
        };
        for (no, link) in (0..).zip(self.links) {
            add(link.from, link.to, no);
            if link.both_ways {
                add(link.to, link.from, no);
            }
        }
    }

    /// Lets service spread from the gateways: which heads have it, and by which arcs first.
    fn spread(&mut self, resolved: &Resolved) {
        let out = ArcLists::by(self.heads.len(), &self.arcs, |arc| arc.from_head);
        let is_gateway = |head: &Head| resolved.gateway[head.element as usize];
        // Arcs into gateways say nothing: they have service of their own.
        let mut queue = Vec::with_capacity(self.heads.len());
        for (no, head) in (0_u32..).zip(&mut self.heads) {
            if is_gateway(head) {
                head.active = no;
                queue.push(no);
            }
        }
        for (position, &no) in (0..).zip(&queue) {
            self.heads[no as usize].active = position;
        }
        let mut next = 0;
        while let Some(&from) = queue.get(next) {
            next += 1;
            for &arc in out.of(from) {
                let arc = &mut self.arcs[arc as usize];
                let head = &mut self.heads[arc.to as usize];
                if head.active != NONE {
                    continue;
                }
                head.awaited -= 1;
                arc.support = true;
                if head.awaited == 0 || !head.needs_all {
                    #[allow(clippy::cast_possible_truncation, reason = "at most one per head")]
                    let position = queue.len() as u32;
                    head.active = position;
                    queue.push(arc.to);
                }
            }
        }
        let heads = &self.heads;
        self.arcs.retain(|arc| {
            let to = &heads[arc.to as usize];
            heads[arc.from_head as usize].active != NONE && to.active != NONE && !is_gateway(to)
        });
        self.arcs.sort_by_key(|arc| heads[arc.to as usize].active);
    }

    /// The iteration of Cooper, Harvey and Kennedy over heads in the order of their activation.
    ///
    /// The arcs are sorted by the activation of the head they lead to.
    fn iterate(&mut self) {
        let arcs = std::mem::take(&mut self.arcs);
        let mut found = vec![false; self.heads.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for ways_in in arcs.chunk_by(|a, b| a.to == b.to) {
                let to = ways_in[0].to;
                let head = self.heads[to as usize];
                let mut idom = None;
                for arc in ways_in {
                    if head.needs_all && !self.completes(arc, ways_in) {
                        continue;
                    }
                    let source = &self.heads[arc.from_head as usize];
                    if source.active < head.active || found[arc.from_head as usize] {
                        idom = Some(idom.map_or(arc.from, |idom| self.nearest(idom, arc.from)));
                    }
                }
                let idom = idom.unwrap_or(NONE);
                if !found[to as usize] || idom != head.idom {
                    found[to as usize] = true;
                    self.heads[to as usize].idom = idom;
                    changed = true;
                }
            }
        }
        self.arcs = arcs;
    }

    /// Whether of all ways into an element this is the one by which it had service last.
    fn completes(&self, arc: &Arc, ways_in: &[Arc]) -> bool {
        let active = |arc: &Arc| self.heads[arc.from_head as usize].active;
        let last = ways_in.iter().max_by_key(|arc| (active(arc), arc.link));
        last.is_some_and(|last| (last.link, last.from) == (arc.link, arc.from))
    }

    /// The nearest common dominator of two elements, as far as it is known; `NONE` is the root.
    fn nearest(&self, mut a: u32, mut b: u32) -> u32 {
        loop {
            if a == NONE || b == NONE {
                return NONE;
            }
            let (tree_a, tree_b) = (self.tree[a as usize], self.tree[b as usize]);
            if tree_a == tree_b {
                return self.nearest_in_tree(a, b);
            }
            let (head_a, head_b) = (&self.heads[tree_a as usize], &self.heads[tree_b as usize]);
            if head_a.active > head_b.active {
                a = head_a.idom;
            } else {
                b = head_b.idom;
            }
        }
    }

    fn nearest_in_tree(&self, mut a: u32, mut b: u32) -> u32 {
        let up = |element: u32| {
            self.entry(element)
                .map(|link| other_end(self.links[link as usize], element))
        };
        let depth = |element: u32| std::iter::successors(Some(element), |&e| up(e)).count();
        let (mut depth_a, mut depth_b) = (depth(a), depth(b));
        while a != b {
            if depth_a >= depth_b {
                a = up(a).unwrap_or(a);
                depth_a -= 1;
            } else {
                b = up(b).unwrap_or(b);
                depth_b -= 1;
            }
        }
        a
    }

    /// Whether the head at `to` dominates the element.
    fn dominates(&self, to: u32, element: u32) -> bool {
        let active = self.heads[to as usize].active;
        let mut at = element;
        while at != NONE {
            let tree = self.tree[at as usize];
            if tree == to {
                return true;
            }
            let head = &self.heads[tree as usize];
            if head.active < active {
                return false;
            }
            at = head.idom;
        }
        false
    }

    /// Drops arcs from an element to what dominates it: no service ever comes that way. Heads to
    /// which one way in is left join the tree of the element it comes from.
    fn prune(&mut self) {
        let arcs = std::mem::take(&mut self.arcs);
        let mut kept: Vec<Arc> = Vec::with_capacity(arcs.len());
        let mut joined = Vec::new();
        for ways_in in arcs.chunk_by(|a, b| a.to == b.to) {
            let start = kept.len();
            let useful = |arc: &&Arc| !self.dominates(arc.to, arc.from);
            kept.extend(ways_in.iter().filter(useful));
            if let [arc] = kept[start..] {
                joined.push(arc);
                kept.truncate(start);
            }
        }
        // A head comes after the one it joins, so the trees of the earlier ones are final.
        for arc in joined {
            let head = self.heads[arc.to as usize];
            self.entry[head.element as usize] = arc.link;
        }
        self.arcs = kept;
    }

    /// The head of the final tree in which an element stands; only for elements that are reached.
    pub(super) fn final_head(&self, element: u32) -> u32 {
        let mut at = self.heads[self.tree[element as usize] as usize].element;
        while let Some(link) = self.entry(at) {
            at = other_end(self.links[link as usize], at);
            at = self.heads[self.tree[at as usize] as usize].element;
        }
        self.tree[at as usize]
    }

    /// Whether an element is still a head.
    #[inline]
    pub(super) fn is_head(&self, element: u32) -> bool {
        self.entry[element as usize] == SEVERAL
    }

    /// Position of a head in the order in which service spreads.
    pub(super) fn activation(&self, head: u32) -> u32 {
        self.heads[head as usize].active
    }
}

/// Per element: the link of its only way in, `SEVERAL` for more and for gateways, or `NONE`.
fn ways_in(resolved: &Resolved) -> Vec<u32> {
    let gateways = resolved.gateway.iter();
    let mut entry: Vec<u32> = gateways.map(|&g| if g { SEVERAL } else { NONE }).collect();
    let mut add = |to: u32, no: u32| {
        let entry = &mut entry[to as usize];
        *entry = if *entry == NONE { no } else { SEVERAL };
    };
    for (no, link) in (0..).zip(&resolved.links) {
        add(link.to, no);
        if link.both_ways {
            add(link.from, no);
        }
    }
    entry
}
