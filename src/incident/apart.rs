//! Parts that an operator has split off, and those that planned work has left behind, are failures of
//! their own, also where they would count as one failure with others.

use super::candidates::Candidates;
use super::declared::Declared;
use super::joint::failed_ms;
use crate::alarm::AlarmBook;
use crate::topology::{Network, Part};
use std::collections::BTreeMap;

/// Divides these failures where some of their parts failed within the scope and the window of planned work
/// that has ended, and others did not: these have another cause.
pub(super) fn keep_from_work(
    sets: Vec<Vec<Part>>,
    declared: &Declared,
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> Vec<Vec<Part>> {
    if !declared.has_overrun() {
        return sets;
    }
    let left_by = |part: Part| {
        let at_ms = match part {
            Part::Element(element) => failed_ms(element, candidates, network, book),
            Part::Link(_) | Part::Group(_) => candidates.raised_ms(part, book),
        };
        let work = declared.overrun(&[(part, at_ms?)], network)?;
        Some(work.statement.reference.id)
    };
    let divide = |set: Vec<Part>| {
        if set.len() < 2 {
            return vec![set];
        }
        let mut pieces: BTreeMap<_, Vec<Part>> = BTreeMap::new();
        for part in set {
            pieces.entry(left_by(part)).or_default().push(part);
        }
        whole_unless_apart(pieces.into_values().collect(), network)
    };
    sets.into_iter().flat_map(divide).collect()
}

/// The pieces of a failure; all together when that cuts people off whom the pieces would not: then the
/// parts did fail together.
fn whole_unless_apart(pieces: Vec<Vec<Part>>, network: &Network) -> Vec<Vec<Part>> {
    if pieces.len() < 2 {
        return pieces;
    }
    let mut whole = pieces.concat();
    whole.sort_unstable_by_key(|&part| network.part_id(part));
    let runs = pieces.iter().map(|piece| network.lost(piece));
    let lost = runs.reduce(|all, more| all.union(&more));
    if lost.is_some_and(|lost| lost == network.lost(&whole)) {
        pieces
    } else {
        vec![whole]
    }
}

/// Divides these failures where parts of them were split off by an operator.
pub(super) fn keep_apart(
    sets: Vec<Vec<Part>>,
    apart: &[Vec<Part>],
    network: &Network,
) -> Vec<Vec<Part>> {
    if apart.is_empty() {
        return sets;
    }
    let divide = |set: Vec<Part>| {
        let mut pieces: Vec<Vec<Part>> = Vec::new();
        let mut left = set;
        for off in apart {
            let (piece, others) = left.into_iter().partition(|part| off.contains(part));
            pieces.push(piece);
            left = others;
        }
        pieces.push(left);
        pieces.retain(|piece| !piece.is_empty());
        whole_unless_apart(pieces, network)
    };
    sets.into_iter().flat_map(divide).collect()
}
