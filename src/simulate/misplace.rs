//! Wrong topology: homes that hang on another splitter than the inventory says.

use super::chance::{Purpose, generator, happens};
use super::world::World;
use crate::topology::{ElementKind, ElementNo, LinkNo, NetworkDefinition, Part};
use rand::Rng;
use rand::seq::IndexedRandom;

/// Share of the misplaced homes that are on the right PON at least: the port is known from
/// provisioning, the way behind it only from paper.
const SAME_PON: f64 = 0.8;
/// How often another place is looked for.
const TRIES: usize = 20;

/// A home that the inventory puts in a wrong place. Numbers are those of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misplaced {
    pub ont: ElementNo,
    /// Its drop, the record of which is wrong.
    pub link: LinkNo,
    pub really: ElementNo,
    pub believed: ElementNo,
}

/// Draws which homes are misplaced, each with probability `share`, and where to.
pub fn misplace(world: &World, share: f64, seed: u64) -> Vec<Misplaced> {
    let mut rng = generator(seed, Purpose::Topology);
    let mut misplaced = Vec::new();
    for &ont in world.onts() {
        if happens(share, &mut rng) {
            misplaced.extend(elsewhere(world, ont, &mut rng));
        }
    }
    misplaced
}

/// The inventory with these mistakes in it.
pub fn believed(
    world: &World,
    definition: &NetworkDefinition,
    misplaced: &[Misplaced],
) -> NetworkDefinition {
    let mut believed = definition.clone();
    for wrong in misplaced {
        if let Some(link) = believed.links.get_mut(wrong.link.0 as usize) {
            let parent = Part::Element(wrong.believed);
            world.network().part_id(parent).clone_into(&mut link.a);
        }
    }
    believed
}

fn elsewhere(world: &World, ont: ElementNo, rng: &mut impl Rng) -> Option<Misplaced> {
    let network = world.network();
    let link = world.way_in(ont)?;
    let really = network.immediate_dominator(ont)?;
    let same_pon = happens(SAME_PON, rng);
    let kind = if same_pon {
        ElementKind::PonPort
    } else {
        ElementKind::Olt
    };
    let neighbours = world.onts_under(world.above(ont, kind)?);
    let port = world.above(ont, ElementKind::PonPort);
    let believed = (0..TRIES).find_map(|_| {
        let other = *neighbours.choose(rng)?;
        let parent = network.immediate_dominator(other)?;
        let is_same = world.above(other, ElementKind::PonPort) == port;
        (parent != really && is_same == same_pon).then_some(parent)
    })?;
    Some(Misplaced {
        ont,
        link,
        really,
        believed,
    })
}
