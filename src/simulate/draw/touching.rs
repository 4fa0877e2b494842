//! Two faults in one place.

use super::{DrawSettings, TRIES, draw_fault, overlap, try_one_at};
use crate::clock::Millis;
use crate::simulate::chance::{happens, within};
use crate::simulate::fault::{Fault, FaultKind};
use crate::simulate::world::World;
use crate::topology::{ElementNo, Part};
use rand::Rng;
use rand::seq::IndexedRandom;

/// Share of pairs that are drawn on one ring, where either alone costs few or nobody service.
const ON_ONE_RING: f64 = 0.25;

/// Two faults that touch: somebody is cut off by both, or only by both together, or a part of one lies
/// behind the other. The first begins at `onset_ms`, the other while it lasts; which
/// is over first is left to chance. `None` where the network has no place for them.
pub fn draw_touching(
    world: &World,
    kinds: &[FaultKind],
    onset_ms: Millis,
    settings: &DrawSettings,
    rng: &mut impl Rng,
) -> Option<[Fault; 2]> {
    let network = world.network();
    (0..TRIES).find_map(|_| {
        let later_ms = onset_ms + within([0, settings.lasting_ms[0]], rng);
        let mut onsets_ms = [onset_ms, later_ms];
        if happens(0.5, rng) {
            onsets_ms.reverse();
        }
        let pair = if happens(ON_ONE_RING, rng) {
            on_one_ring(world, onsets_ms, settings, rng)?
        } else {
            let kind = *kinds.choose(rng)?;
            let first = draw_fault(world, kind, onsets_ms[0], settings, rng)?;
            let home = home_behind(world, &first, rng)?;
            let kind = *kinds.choose(rng)?;
            let end_ms = onsets_ms[1] + within(settings.lasting_ms, rng).max(1);
            let times_ms = [onsets_ms[1], end_ms];
            let other = try_one_at(world, kind, home, times_ms, settings, rng)?;
            [first, other]
        };
        let [first, other] = &pair;
        let parts = [first.parts(), other.parts()];
        let primitive = parts.each_ref().map(|parts| world.primitive(parts));
        let lost = parts.each_ref().map(|parts| network.lost(parts).len());
        let together = network.lost(&parts.concat()).len();
        let are_same = primitive[0] == primitive[1];
        let touch = together != lost[0] + lost[1] || overlap(world, [first].into_iter(), other);
        (touch && !are_same && together >= settings.least_lost).then_some(pair)
    })
}

/// An ONT of somebody whom a fault cuts off.
fn home_behind(world: &World, fault: &Fault, rng: &mut impl Rng) -> Option<ElementNo> {
    let network = world.network();
    let lost: Vec<u32> = network.lost(&fault.parts()).iter().collect();
    let rank = *lost.choose(rng)?;
    network.serving(network.subscriber_at_rank(rank)).next()
}

/// Two links, two switches, or one of each.
fn on_one_ring(
    world: &World,
    onsets_ms: [Millis; 2],
    settings: &DrawSettings,
    rng: &mut impl Rng,
) -> Option<[Fault; 2]> {
    let ring = world.rings().choose(rng)?;
    let mut one = |onset_ms: Millis| {
        let switch = *ring.choose(rng)?;
        let end_ms = Some(onset_ms + within(settings.lasting_ms, rng).max(1));
        Some(if happens(0.5, rng) {
            let parts = vec![Part::Element(switch)];
            Fault::lasting(FaultKind::AggregationNode, parts, onset_ms, end_ms)
        } else {
            let link = *world.links_of(switch).choose(rng)?;
            Fault::lasting(
                FaultKind::RingDouble,
                vec![Part::Link(link)],
                onset_ms,
                end_ms,
            )
        })
    };
    Some([one(onsets_ms[0])?, one(onsets_ms[1])?])
}
