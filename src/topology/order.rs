//! Numbers the elements in pre-order of the dominator tree, and carries the kernel over into these
//! numbers.

use super::dominators::{Arc, ArcLists, Dominators};
use super::kernel::{Entry, Kernel, KernelHead, NO_SINGLE, Node};
use super::resolve::{NONE, Resolved};

/// The kernel, still without ranks, and the new number of each element of the definition.
pub(super) fn order(resolved: &Resolved) -> (Kernel, Vec<u32>) {
    let dominators = Dominators::of(resolved);
    let preorder = Preorder::of(&dominators, resolved.gateway.len());
    let number = preorder.number;
    let mut kernel = Kernel {
        nodes: preorder.nodes,
        entry: vec![Entry::Dead.pack(); number.len()],
        reached: preorder.reached,
        ..Kernel::default()
    };
    let mut heads = Vec::new();
    for (element, &new) in (0_u32..).zip(&number) {
        if new >= kernel.reached {
            continue;
        }
        match dominators.entry(element) {
            Some(link) => kernel.entry[new as usize] = Entry::Tree { link }.pack(),
            None => heads.push((new, element)),
        }
    }
    heads.sort_unstable();
    for (no, &(new, element)) in (0..).zip(&heads) {
        let idom = dominators.parent(element);
        kernel.entry[new as usize] = Entry::Head(no).pack();
        kernel.heads.push(KernelHead {
            element: new,
            idom: if idom == NONE {
                NONE
            } else {
                number[idom as usize]
            },
            gateway: resolved.gateway[element as usize],
            needs_all: resolved.needs_all[element as usize],
        });
    }
    let links = resolved.links.iter();
    kernel.set_links(links.map(|link| (number[link.from as usize], number[link.to as usize])));
    kernel.any_needs_all = kernel.heads.iter().any(|head| head.needs_all);
    carry_arcs(&dominators, &number, &mut kernel);
    (kernel, number)
}

fn carry_arcs(dominators: &Dominators<'_>, number: &[u32], kernel: &mut Kernel) {
    // From heads among the candidates to heads of the kernel.
    let mut new_head = vec![NONE; dominators.heads.len()];
    let mut active = Vec::with_capacity(kernel.heads.len());
    for (old, head) in (0_u32..).zip(&dominators.heads) {
        if dominators.is_head(head.element) && dominators.is_reached(head.element) {
            let element = number[head.element as usize];
            if let Entry::Head(no) = kernel.entry(element) {
                new_head[old as usize] = no;
                active.push((dominators.activation(old), no));
            }
        }
    }
    active.sort_unstable();
    kernel.activation = active.into_iter().map(|(_, head)| head).collect();
    kernel.place = vec![NONE; kernel.heads.len()];
    for (place, &head) in (0..).zip(&kernel.activation) {
        kernel.place[head as usize] = place;
    }
    let arcs = dominators.arcs.iter();
    kernel.arcs = arcs
        .map(|arc| {
            let from_head = new_head[dominators.final_head(arc.from) as usize];
            let to = new_head[arc.to as usize];
            Arc {
                from: number[arc.from as usize],
                from_head,
                to,
                is_earlier: kernel.place[from_head as usize] < kernel.place[to as usize],
                ..*arc
            }
        })
        .collect();
    kernel
        .arcs
        .sort_unstable_by_key(|arc| (arc.to, arc.from, arc.link));
    kernel.support = kernel
        .heads
        .iter()
        .map(|head| {
            if head.needs_all && !head.gateway {
                NO_SINGLE
            } else {
                NONE
            }
        })
        .collect();
    for arc in kernel.arcs.iter().filter(|arc| arc.support) {
        let support = &mut kernel.support[arc.to as usize];
        if *support != NO_SINGLE {
            *support = arc.from_head;
        }
    }
    let heads = kernel.heads.len();
    kernel.out = ArcLists::by(heads, &kernel.arcs, |arc| arc.from_head);
    kernel.ways_in_starts = ArcLists::by(heads, &kernel.arcs, |arc| arc.to).starts;
    let leaving = (0..).zip(&kernel.arcs).map(|(no, arc)| (arc.from, no));
    kernel.leaving = leaving.collect();
    kernel.leaving.sort_unstable();
    kernel.may_leave = vec![0; number.len() / 64 / 64 + 1];
    for &(element, _) in &kernel.leaving {
        let block = element / 64;
        kernel.may_leave[block as usize / 64] |= 1 << (block % 64);
    }
}

struct Preorder {
    number: Vec<u32>,
    nodes: Vec<Node>,
    reached: u32,
}

impl Preorder {
    fn of(dominators: &Dominators<'_>, count: usize) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "elements have 32-bit numbers"
        )]
        let elements = 0..count as u32;
        // Children as linked lists; entered backwards so that they stand in ascending order.
        let mut first_child = vec![NONE; count];
        let mut next_sibling = vec![NONE; count];
        let mut first_of_root = NONE;
        for element in elements.clone().rev().filter(|&e| dominators.is_reached(e)) {
            let first = match dominators.parent(element) {
                NONE => &mut first_of_root,
                parent => &mut first_child[parent as usize],
            };
            next_sibling[element as usize] = *first;
            *first = element;
        }
        let mut number = vec![NONE; count];
        let mut nodes = vec![Node::default(); count + 1];
        let mut next_number = 0;
        let mut above = Vec::new();
        let mut at = first_of_root;
        loop {
            while at != NONE {
                number[at as usize] = next_number;
                next_number += 1;
                above.push(at);
                at = first_child[at as usize];
            }
            let Some(done) = above.pop() else {
                break;
            };
            nodes[number[done as usize] as usize] = Node::ending(next_number);
            at = next_sibling[done as usize];
        }
        let reached = next_number;
        for element in elements {
            if number[element as usize] == NONE {
                number[element as usize] = next_number;
                nodes[next_number as usize] = Node::ending(next_number);
                next_number += 1;
            }
        }
        Self {
            number,
            nodes,
            reached,
        }
    }
}
