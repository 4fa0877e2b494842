//! The likelihood against plain enumeration of every set of failures.

use super::background::Background;
use super::tree::{is_home, is_polled, is_reporter};
use super::*;
use crate::topology::{
    Attachment, Element, ElementKind, Link, NetworkDefinition, Part, Redundancy,
};
use proptest::prelude::*;

/// A tree below one gateway: per inner element its parent and kind, per inner element its homes.
#[derive(Clone, Debug)]
struct Shape {
    inner: Vec<(usize, ElementKind)>,
    homes: Vec<usize>,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let kinds = prop::sample::select(vec![
        ElementKind::Switch,
        ElementKind::Olt,
        ElementKind::PonPort,
        ElementKind::Splitter,
    ]);
    prop::collection::vec((any::<prop::sample::Index>(), kinds, 0usize..5), 2..9).prop_map(|rows| {
        let inner = rows
            .iter()
            .enumerate()
            .map(|(at, (parent, kind, _))| (parent.index(at + 1), *kind))
            .collect();
        // The last one has homes, or nobody would have service.
        let mut homes: Vec<usize> = rows.iter().map(|row| row.2).collect();
        if let Some(last) = homes.last_mut() {
            *last += 1;
        }
        Shape { inner, homes }
    })
}

fn build(shape: &Shape) -> Network {
    let mut network = NetworkDefinition::default();
    let mut attached = Vec::new();
    let mut add = |id: String, kind, parent: Option<String>| {
        network.elements.push(Element {
            id: id.clone(),
            kind,
            name: String::new(),
            site: None,
            gateway: parent.is_none(),
            transit: Some(true),
            redundancy: None,
            battery_minutes: None,
        });
        if let Some(parent) = parent {
            network.links.push(Link {
                id: format!("{parent}/{id}"),
                a: parent,
                b: id,
                transit: Some(true),
            });
        }
    };
    add("e0".to_owned(), ElementKind::Router, None);
    for (at, (parent, kind)) in shape.inner.iter().enumerate() {
        add(format!("e{}", at + 1), *kind, Some(format!("e{parent}")));
    }
    for (at, count) in shape.homes.iter().enumerate() {
        for home in 0..*count {
            let id = format!("h{}-{home}", at + 1);
            add(id.clone(), ElementKind::Ont, Some(format!("e{}", at + 1)));
            attached.push(Attachment {
                account: format!("a{}", attached.len()),
                served_by: vec![id],
                redundancy: Redundancy::Any,
            });
        }
    }
    Network::build(&network, &attached).unwrap()
}

/// The elements behind which somebody has service.
fn elements(network: &Network) -> Vec<ElementNo> {
    (0u32..)
        .map(ElementNo)
        .take(network.element_count())
        .filter(|&element| !network.lost_alone(Part::Element(element)).is_empty())
        .collect()
}

/// What is seen, looked at anew for each question.
struct Plain<'a> {
    network: &'a Network,
    seen: BTreeMap<ElementNo, Observation>,
    alarmed: [Nats; GRID],
    penalty: Nats,
}

impl Plain<'_> {
    fn of(&self, element: ElementNo) -> Observation {
        self.seen.get(&element).copied().unwrap_or_default()
    }

    fn cut_off(&self, element: ElementNo, j: usize) -> Nats {
        let seen = self.of(element);
        if is_home(self.network, element) {
            return match seen {
                Observation::Silent => nats(MISSED[j]),
                Observation::Alarmed(_) => self.alarmed[j],
                Observation::NoPower(_) => 0,
                Observation::Alive(_) => ALIVE,
            };
        }
        let served = |child: &ElementNo| {
            is_home(self.network, *child)
                || !self.network.lost_alone(Part::Element(*child)).is_empty()
        };
        let below: Nats = self
            .network
            .dominator_children(element)
            .filter(served)
            .map(|child| self.cut_off(child, j))
            .sum();
        let kind = self.network.kind(element);
        let is_alarmed = matches!(seen, Observation::Alarmed(_) | Observation::NoPower(_));
        let below = if is_reporter(kind) {
            unless_silent(below, SILENT_REPORTER)
        } else if is_alarmed {
            unless_silent(below, SUPPRESSED)
        } else {
            below
        };
        below
            + match seen {
                _ if is_alarmed => OWN_ALARM,
                Observation::Alive(_) => ALIVE,
                _ if is_polled(kind) => nats(MISSED[j]),
                _ => 0,
            }
    }

    fn alarmed_below(&self, element: ElementNo) -> usize {
        let mut count = usize::from(matches!(self.of(element), Observation::Alarmed(_)));
        if !is_home(self.network, element) {
            count = usize::from(matches!(
                self.of(element),
                Observation::Alarmed(_) | Observation::NoPower(_)
            ));
        }
        let children = self.network.dominator_children(element);
        count
            + children
                .map(|child| self.alarmed_below(child))
                .sum::<usize>()
    }

    fn failure(&self, element: ElementNo) -> Option<Nats> {
        if is_home(self.network, element) {
            return None;
        }
        let own = matches!(
            self.of(element),
            Observation::Alarmed(_) | Observation::NoPower(_)
        );
        let named = if own { NAMED } else { 0 };
        let gain =
            mixture(std::array::from_fn(|j| self.cut_off(element, j))) - self.penalty + named;
        let odd_lot = self.odd_lot(element);
        let is_backed = own || self.alarmed_below(element) >= 2;
        (is_backed && gain + self.penalty >= odd_lot).then_some(gain)
    }

    fn dark_homes(&self, element: ElementNo) -> u32 {
        if is_home(self.network, element) {
            return u32::from(matches!(self.of(element), Observation::Alarmed(_)));
        }
        let children = self.network.dominator_children(element);
        children.map(|child| self.dark_homes(child)).sum()
    }

    fn homes(&self, element: ElementNo) -> u32 {
        if is_home(self.network, element) {
            return 1;
        }
        let children = self.network.dominator_children(element);
        children.map(|child| self.homes(child)).sum()
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "the logarithm of a number of lots is small"
    )]
    fn odd_lot(&self, element: ElementNo) -> Nats {
        let (dark, homes) = (self.dark_homes(element), self.homes(element));
        if dark < 2 {
            return Nats::MIN / 4;
        }
        let ways: f64 = (0..dark)
            .map(|i| (f64::from(homes - i) / f64::from(i + 1)).ln())
            .sum();
        #[allow(clippy::cast_possible_truncation, reason = "a few dozen nats")]
        let lots = ((ways + f64::from(homes + 1).ln()) * NAT as f64) as Nats;
        i64::from(dark) * self.alarmed[0] - lots - ODD_LOT
    }

    /// The most that siblings explain that fail together, every subset of them tried.
    fn joint(&self, element: ElementNo) -> Option<Nats> {
        let children: Vec<ElementNo> = self.network.dominator_children(element).collect();
        let children: Vec<(Nats, Option<Nats>)> = children
            .into_iter()
            .filter(|&child| !is_home(self.network, child))
            .map(|child| {
                let failure = self.failure(child);
                (
                    self.best(child),
                    failure.map(|f| f + self.penalty - ONE_OF_SIBLINGS),
                )
            })
            .collect();
        let subsets = 0u32..1 << children.len();
        let joint = subsets
            .filter(|set| set.count_ones() >= 2)
            .filter_map(|set| {
                let each = children.iter().enumerate().map(|(at, (best, joint))| {
                    if set & (1 << at) == 0 {
                        Some(*best)
                    } else {
                        *joint
                    }
                });
                each.sum::<Option<Nats>>()
            });
        joint.max().map(|sum| sum - self.penalty)
    }

    /// The most that any set of failures explains, none below another.
    fn best(&self, element: ElementNo) -> Nats {
        let children = self.network.dominator_children(element);
        let instead: Nats = children.map(|child| self.best(child)).sum();
        let joint = self.joint(element).unwrap_or(0);
        let odd_lot = self.odd_lot(element) - self.penalty;
        instead
            .max(self.failure(element).unwrap_or(0))
            .max(joint)
            .max(odd_lot)
            .max(0)
    }
}

fn observation(kind: u8, at_ms: i64) -> Observation {
    match kind % 5 {
        0 => Observation::Silent,
        1 | 2 => Observation::Alarmed(at_ms),
        3 => Observation::NoPower(at_ms),
        _ => Observation::Alive(at_ms),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is seen one after another, in between weighed or not: what is found explains as much
    /// as the best explanation that there is.
    #[test]
    fn the_best_set_of_failures_is_found(
        shape in shapes(),
        steps in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..40),
    ) {
        let network = build(&shape);
        let mut likelihood = Likelihood::new(&network);
        let mut seen: BTreeMap<ElementNo, Observation> = BTreeMap::new();
        let all = elements(&network);
        for (which, kind, weigh) in steps {
            let element = all[which.index(all.len())];
            let new = observation(kind, 10 * WINDOW_MS + 1);
            let old = seen.insert(element, new).unwrap_or_default();
            likelihood.observe(element, Aspect::Own, (old, new), &network);
            if weigh {
                likelihood.weigh(&network);
            }
        }
        likelihood.weigh(&network);
        let gateway = all.iter().copied().find(|e| network.is_gateway(*e)).unwrap();
        for (key, epoch) in &likelihood.epochs {
            let singles = all.iter().filter(|&&e| !is_home(&network, e)).filter(|&&e| {
                network
                    .dominator_children(e)
                    .filter(|&c| is_home(&network, c))
                    .filter(|c| matches!(seen.get(c), Some(Observation::Alarmed(_))))
                    .count() == 1
            }).count();
            let homes = all.iter().filter(|&&e| is_home(&network, e)).count();
            let background = Background::of(
                u32::try_from(singles).unwrap(),
                u32::try_from(homes).unwrap(),
                *key == ANY_TIME,
            );
            prop_assert_eq!(background, epoch.background());
            let plain = Plain {
                network: &network,
                seen: seen.clone(),
                alarmed: background.alarmed(),
                penalty: likelihood.penalty(),
            };
            let slack = 64;
            let most = plain.best(gateway);
            let best = epoch.best(gateway);
            prop_assert!((best - most).abs() <= slack, "{} instead of {}", best, most);
            let found = epoch.failed(*key, &likelihood.tree, &network);
            let gain: Nats = found.iter().map(|(_, verdict)| verdict.gain).sum();
            prop_assert!(gain <= most + slack);
            for (element, verdict) in &found {
                prop_assert!(verdict.is_joint || Some(verdict.gain) == plain.failure(*element));
                for (other, _) in &found {
                    prop_assert!(element == other || !network.dominates(*element, *other));
                }
            }
        }
    }

    /// When all has ended, nothing is left.
    #[test]
    fn nothing_is_kept_of_what_ended(
        shape in shapes(),
        steps in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0i64..5), 1..30),
    ) {
        let network = build(&shape);
        let all = elements(&network);
        let mut likelihood = Likelihood::new(&network);
        let mut seen: BTreeMap<ElementNo, Observation> = BTreeMap::new();
        for (which, kind, window) in steps {
            let element = all[which.index(all.len())];
            let new = observation(kind, window * WINDOW_MS);
            let old = seen.insert(element, new).unwrap_or_default();
            likelihood.observe(element, Aspect::Own, (old, new), &network);
            likelihood.weigh(&network);
        }
        for (element, old) in seen {
            likelihood.observe(element, Aspect::Own, (old, Observation::Silent), &network);
        }
        likelihood.weigh(&network);
        prop_assert!(likelihood.epochs.is_empty());
        prop_assert!(likelihood.failed(&network).is_empty());
    }
}
