//! What of the network the likelihood needs: the dominator tree, and how each element would look if
//! it were cut off and nothing at all were reported.

use super::{
    FEWEST_CLASSES, GRID, MARGIN, MISSED, NAT, Nats, SILENT_REPORTER, nats, unless_silent,
};
use crate::topology::{ElementKind, ElementNo, Network};

/// The unchanging side of the likelihood.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Per element: how its utter silence speaks for its being cut off; zero for what is not
    /// observed.
    silent: Vec<[i32; GRID]>,
    /// Per element: homes at and below it.
    homes_below: Vec<u32>,
    /// Premises.
    pub(super) homes: u32,
    /// What a failure must explain at least.
    pub(super) penalty: Nats,
}

impl Tree {
    pub(super) fn new(network: &Network) -> Self {
        let elements = network.element_count();
        let mut below = vec![[0i64; GRID]; elements];
        let mut silent = vec![[0i32; GRID]; elements];
        let mut homes_below = vec![0u32; elements];
        let (mut homes, mut classes) = (0u32, 0u32);
        // In pre-order of the dominator tree children have the higher numbers.
        for no in (0..elements).rev() {
            let Ok(number) = u32::try_from(no) else {
                continue;
            };
            let element = ElementNo(number);
            if !is_observed(network, element) {
                continue;
            }
            let value = if is_home(network, element) {
                homes += 1;
                homes_below[no] = 1;
                MISSED.map(nats)
            } else {
                classes += 1;
                with_own_silence(network.kind(element), below[no])
            };
            silent[no] = value.map(|nats| i32::try_from(nats).unwrap_or(i32::MIN));
            if let Some(above) = network.immediate_dominator(element)
                && let Some(sum) = below.get_mut(above.0 as usize)
            {
                homes_below[above.0 as usize] += homes_below[no];
                for (sum, value) in sum.iter_mut().zip(value) {
                    *sum += value;
                }
            }
        }
        let penalty = f64::from(classes).max(FEWEST_CLASSES).ln() + MARGIN;
        #[allow(clippy::cast_possible_truncation, reason = "a few dozen nats")]
        let penalty = (penalty * NAT as f64) as Nats;
        Self {
            silent,
            homes_below,
            homes,
            penalty,
        }
    }

    /// Whether failures of the element, or of something around it, cost subscribers their service.
    pub(super) fn is_served(&self, element: ElementNo) -> bool {
        self.silent
            .get(element.0 as usize)
            .is_some_and(|silent| silent[0] != 0)
    }

    /// Homes at and below an element.
    pub(super) fn homes_below(&self, element: ElementNo) -> u32 {
        let homes = self.homes_below.get(element.0 as usize);
        homes.copied().unwrap_or(0)
    }

    /// An element of which nothing is seen.
    pub(super) fn silence(&self, element: ElementNo) -> [Nats; GRID] {
        self.silent
            .get(element.0 as usize)
            .map_or([0; GRID], |silent| silent.map(i64::from))
    }

    /// What hangs on an element, if nothing of it is seen.
    pub(super) fn silence_below(&self, element: ElementNo, network: &Network) -> [Nats; GRID] {
        let mut sum = [0; GRID];
        for child in network.dominator_children(element) {
            for (sum, value) in sum.iter_mut().zip(self.silence(child)) {
                *sum += value;
            }
        }
        sum
    }
}

/// Premises equipment with nothing behind it: there are many, and one alone makes no incident.
pub(in crate::incident) fn is_home(network: &Network, element: ElementNo) -> bool {
    network.kind(element) == ElementKind::Ont
        && network.dominator_children(element).next().is_none()
}

/// Whether somebody has service by way of the element alone.
fn is_observed(network: &Network, element: ElementNo) -> bool {
    let part = crate::topology::Part::Element(element);
    !network.lost_alone_runs(part).as_slice().is_empty() || is_home(network, element)
}

/// Whether somebody would notice that an element of that kind does not answer.
pub(in crate::incident) fn is_polled(kind: ElementKind) -> bool {
    matches!(
        kind,
        ElementKind::Router
            | ElementKind::Switch
            | ElementKind::Bng
            | ElementKind::Olt
            | ElementKind::Cmts
    )
}

/// Whether what hangs on an element is reported by it.
pub(in crate::incident) fn is_reporter(kind: ElementKind) -> bool {
    matches!(kind, ElementKind::Olt | ElementKind::Cmts)
}

/// Adds an element's own silence to the silence below it.
fn with_own_silence(kind: ElementKind, below: [Nats; GRID]) -> [Nats; GRID] {
    std::array::from_fn(|j| {
        let below = if is_reporter(kind) {
            unless_silent(below[j], SILENT_REPORTER)
        } else {
            below[j]
        };
        let own = if is_polled(kind) { nats(MISSED[j]) } else { 0 };
        below + own
    })
}
