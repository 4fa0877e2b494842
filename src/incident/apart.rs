//! Parts that an operator has split off are failures of their own, also where they would count as one
//! failure with others.

use crate::topology::{Network, Part};

/// Divides these failures where parts of them were split off.
///
/// A failure stays whole when it cuts people off whom its pieces would not: then the parts did fail
/// together.
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
        let mut left = set.clone();
        for off in apart {
            let (piece, others) = left.into_iter().partition(|part| off.contains(part));
            pieces.push(piece);
            left = others;
        }
        pieces.push(left);
        pieces.retain(|piece| !piece.is_empty());
        let runs = pieces.iter().map(|piece| network.lost(piece));
        let lost = runs.reduce(|all, more| all.union(&more));
        if pieces.len() > 1 && lost.is_some_and(|lost| lost == network.lost(&set)) {
            pieces
        } else {
            vec![set]
        }
    };
    sets.into_iter().flat_map(divide).collect()
}
