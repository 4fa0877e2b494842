//! Faults at random places.

mod touching;

pub use touching::draw_touching;

use super::chance::{happens, within};
use super::fault::{Area, Batteries, Fault, FaultKind};
use super::world::{Role, World};
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, GroupKind, Network, Part};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// What faults are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrawSettings {
    /// From onset to the end, milliseconds.
    pub lasting_ms: [i64; 2],
    /// A fault that costs fewer people their service is drawn again; drop cuts, degradation and
    /// flapping may cost nobody anything.
    pub least_lost: usize,
    /// PON ports of one line card; consecutive by id.
    pub ports_per_card: usize,
    /// Metres around the place where street power fails.
    pub street_metres: [f64; 2],
    /// Metres around the place where power fails in a region.
    pub region_metres: [f64; 2],
    /// Street power fails by whole power feed groups of the network instead of around a point.
    pub power_feeds: bool,
    pub batteries: Batteries,
    /// Share of faults of several parts that come back in several steps.
    pub in_steps: f64,
    /// How often a flapping part goes down.
    pub flaps: [i64; 2],
    /// Length of planned work that was announced, and the share that overruns it.
    pub window_ms: [i64; 2],
    pub overruns: f64,
}

impl Default for DrawSettings {
    fn default() -> Self {
        Self {
            lasting_ms: [20 * 60_000, 6 * 3_600_000],
            least_lost: 2,
            ports_per_card: 8,
            street_metres: [200.0, 800.0],
            region_metres: [4_000.0, 12_000.0],
            power_feeds: false,
            batteries: Batteries::default(),
            in_steps: 0.5,
            flaps: [4, 12],
            window_ms: [3_600_000, 4 * 3_600_000],
            overruns: 0.15,
        }
    }
}

/// How often a place is tried before a kind is given up.
const TRIES: usize = 60;

/// A fault of a kind that begins at `onset_ms`; `None` where the network has no place for one.
pub fn draw_fault(
    world: &World,
    kind: FaultKind,
    onset_ms: Millis,
    settings: &DrawSettings,
    rng: &mut impl Rng,
) -> Option<Fault> {
    (0..TRIES).find_map(|_| {
        let fault = try_one(world, kind, onset_ms, settings, rng)?;
        let may_lose_nobody = matches!(
            kind,
            FaultKind::DropCut | FaultKind::Degradation | FaultKind::Flapping
        );
        let lost = world.network().lost(&fault.parts()).len();
        (may_lose_nobody || lost >= settings.least_lost).then_some(fault)
    })
}

/// Faults that do not touch one another: nobody is cut off by two of them, nor only by several
/// together. Fewer than asked for where the network has no room.
pub fn draw_apart(
    world: &World,
    kinds: &[FaultKind],
    onsets_ms: &[Millis],
    settings: &DrawSettings,
    rng: &mut impl Rng,
) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut others = Others::default();
    for &onset_ms in onsets_ms {
        for _ in 0..TRIES {
            let Some(&kind) = kinds.choose(rng) else {
                break;
            };
            let Some(fault) = draw_fault(world, kind, onset_ms, settings, rng) else {
                continue;
            };
            if others.take(world, faults.iter(), &fault) {
                faults.push(fault);
                break;
            }
        }
    }
    faults
}

/// Faults of given kinds at given times, in order of time, that do not touch one another while they
/// last, nor for `calm_ms` after. Those for which there is no room are left out.
pub fn draw_over_time(
    world: &World,
    wanted: &[(Millis, FaultKind)],
    calm_ms: i64,
    settings: &DrawSettings,
    rng: &mut impl Rng,
) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut present: Vec<usize> = Vec::new();
    for &(onset_ms, kind) in wanted {
        present.retain(|&no| {
            let end_ms = faults[no].end_ms();
            end_ms.is_none_or(|end_ms| end_ms + calm_ms > onset_ms)
        });
        let mut others = Others::default();
        others.parts = present.iter().flat_map(|&no| faults[no].parts()).collect();
        others.lost = world.network().lost(&others.parts).len();
        for _ in 0..TRIES {
            let Some(fault) = draw_fault(world, kind, onset_ms, settings, rng) else {
                break;
            };
            if others.take(world, present.iter().map(|&no| &faults[no]), &fault) {
                present.push(faults.len());
                faults.push(fault);
                break;
            }
        }
    }
    faults
}

/// Faults that another one must not touch.
#[derive(Default)]
struct Others {
    parts: Vec<Part>,
    /// Subscribers whom they cut off together.
    lost: usize,
}

impl Others {
    /// Takes the fault in, unless somebody is cut off by it and another, or by both together.
    fn take<'a>(
        &mut self,
        world: &World,
        faults: impl Iterator<Item = &'a Fault>,
        fault: &Fault,
    ) -> bool {
        let network = world.network();
        let own = network.lost(&fault.parts()).len();
        let all: Vec<Part> = [&self.parts[..], &fault.parts()].concat();
        let together = network.lost(&all).len();
        let is_apart = together == self.lost + own && !overlap(world, faults, fault);
        if is_apart {
            (self.parts, self.lost) = (all, together);
        }
        is_apart
    }
}

/// Whether a part of the one fault is cut off by another.
fn overlap<'a>(world: &World, mut faults: impl Iterator<Item = &'a Fault>, fault: &Fault) -> bool {
    let hides = |by: &Fault, what: &Fault| {
        let cut = world.network().cut_off(&by.parts());
        let parts = world.primitive(&what.parts());
        parts.iter().any(|&part| match part {
            Part::Element(e) => cut.is_cut_off(e),
            Part::Link(link) => {
                let (a, b) = world.network().link_ends(link);
                cut.is_cut_off(a) || cut.is_cut_off(b)
            }
            Part::Group(_) => false,
        })
    };
    faults.any(|other| hides(other, fault) || hides(fault, other))
}

fn try_one(
    world: &World,
    kind: FaultKind,
    onset_ms: Millis,
    settings: &DrawSettings,
    rng: &mut impl Rng,
) -> Option<Fault> {
    let end_ms = onset_ms + within(settings.lasting_ms, rng).max(1);
    let home = *world.places().choose(rng)?;
    try_one_at(world, kind, home, [onset_ms, end_ms], settings, rng)
}

/// A fault that takes the home with it, if the kind is one of places and not of rings, ducts or feeds.
fn try_one_at(
    world: &World,
    kind: FaultKind,
    home: ElementNo,
    [onset_ms, end_ms]: [Millis; 2],
    settings: &DrawSettings,
    rng: &mut impl Rng,
) -> Option<Fault> {
    let power = |metres: [f64; 2], rng: &mut _| {
        let area = Area::Circle {
            centre: world.position(home)?,
            metres: between(metres, rng),
        };
        let batteries = &settings.batteries;
        Some(Fault::power(
            world,
            kind,
            &area,
            [onset_ms, end_ms],
            batteries,
            rng,
        ))
    };
    let fault = match kind {
        FaultKind::StreetPower if settings.power_feeds => {
            let feed = *world.groups(&[GroupKind::PowerFeed]).choose(rng)?;
            Fault::lasting(kind, vec![Part::Group(feed)], onset_ms, Some(end_ms))
        }
        FaultKind::StreetPower => power(settings.street_metres, rng)?,
        FaultKind::RegionalPower => power(settings.region_metres, rng)?,
        FaultKind::Flapping => {
            let part = flapping_part(world, home, rng)?;
            Fault::flapping(part, &down_times(onset_ms, settings, rng))
        }
        FaultKind::Degradation => {
            let under = world.above(home, ElementKind::PonPort)?;
            Fault::degradation(under, onset_ms, Some(end_ms))
        }
        FaultKind::PlannedWork => {
            let parts = parts_of(world, FaultKind::OltDeath, home, settings, rng)?;
            let until_ms = onset_ms + within(settings.window_ms, rng).max(2);
            let overruns = happens(settings.overruns, rng);
            let real_ms = if overruns {
                until_ms + (until_ms - onset_ms) / 2
            } else {
                until_ms - (until_ms - onset_ms) / 4
            };
            Fault::planned(parts, [onset_ms, until_ms], real_ms)
        }
        _ => {
            let parts = parts_of(world, kind, home, settings, rng)?;
            Fault::lasting(kind, parts, onset_ms, Some(end_ms))
        }
    };
    let steps = rng.random_range(2..=4);
    let in_steps = happens(settings.in_steps, rng) && kind != FaultKind::Flapping;
    Some(if in_steps {
        fault.restored_in(world, steps, (end_ms - onset_ms) / 10)
    } else {
        fault
    })
}

fn between([low, high]: [f64; 2], rng: &mut impl Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// What fails, for kinds whose parts all fail at one time.
fn parts_of(
    world: &World,
    kind: FaultKind,
    home: ElementNo,
    settings: &DrawSettings,
    rng: &mut impl Rng,
) -> Option<Vec<Part>> {
    let network = world.network();
    let one = |part: Part| Some(vec![part]);
    match kind {
        FaultKind::FeederCut => one(Part::Link(world.way_in(first_splitter(network, home)?)?)),
        FaultKind::DistributionCut => {
            let parent = network.immediate_dominator(home)?;
            let above = network.immediate_dominator(parent)?;
            let between_splitters = network.kind(parent) == ElementKind::Splitter
                && network.kind(above) == ElementKind::Splitter;
            one(Part::Link(
                world.way_in(parent).filter(|_| between_splitters)?,
            ))
        }
        FaultKind::DropCut => one(Part::Link(world.way_in(home)?)),
        FaultKind::PonPort => one(Part::Element(world.above(home, ElementKind::PonPort)?)),
        FaultKind::LineCard => card(world, home, settings.ports_per_card),
        FaultKind::OltDeath => one(Part::Element(world.above(home, ElementKind::Olt)?)),
        FaultKind::AggregationNode => {
            // A map shows nothing but nodes of this kind.
            if world.onts().is_empty() && !network.is_gateway(home) {
                let node = Part::Element(home);
                return matches!(world.role(node), Some(Role::Device(_))).then(|| vec![node]);
            }
            let ring = world.rings().choose(rng)?;
            one(Part::Element(*ring.choose(rng)?))
        }
        FaultKind::RingDouble => ring_double(world, rng),
        FaultKind::DuctCut => {
            let ducts = world.groups(&[GroupKind::Duct, GroupKind::Cable]);
            one(Part::Group(*ducts.choose(rng)?))
        }
        FaultKind::Upstream => {
            let devices = world.devices().filter(|&e| network.is_gateway(e));
            Some(devices.map(Part::Element).collect())
        }
        FaultKind::StreetPower
        | FaultKind::RegionalPower
        | FaultKind::Flapping
        | FaultKind::Degradation
        | FaultKind::PlannedWork => None,
    }
}

fn first_splitter(network: &Network, home: ElementNo) -> Option<ElementNo> {
    let way_up = std::iter::successors(Some(home), |&e| network.immediate_dominator(e));
    let below_port: Vec<ElementNo> = way_up
        .take_while(|&e| network.kind(e) != ElementKind::PonPort)
        .collect();
    let first = below_port.last().copied()?;
    (network.kind(first) == ElementKind::Splitter).then_some(first)
}

/// The ports of the card on which the home's port is.
fn card(world: &World, home: ElementNo, ports_per_card: usize) -> Option<Vec<Part>> {
    let network = world.network();
    let port = world.above(home, ElementKind::PonPort)?;
    let olt = network.immediate_dominator(port)?;
    let mut ports: Vec<ElementNo> = network
        .dominator_children(olt)
        .filter(|&e| network.kind(e) == ElementKind::PonPort)
        .collect();
    ports.sort_by_key(|&e| network.part_id(Part::Element(e)));
    let card = ports
        .chunks(ports_per_card.max(1))
        .find(|card| card.contains(&port))?;
    let populated = card.iter().filter(|&&e| !world.onts_under(e).is_empty());
    Some(populated.copied().map(Part::Element).collect())
}

fn ring_double(world: &World, rng: &mut impl Rng) -> Option<Vec<Part>> {
    let network = world.network();
    let ring = world.rings().choose(rng)?;
    let (&first, &last) = (ring.first()?, ring.last()?);
    if happens(0.5, rng) {
        return Some(vec![Part::Element(first), Part::Element(last)]);
    }
    let up = |end: ElementNo| {
        let links = world.links_of(end).iter().copied();
        let mut up = links.filter(|&link| {
            let (a, b) = network.link_ends(link);
            let other = if a == end { b } else { a };
            !ring.contains(&other) && network.kind(other) != ElementKind::Olt
        });
        up.next()
    };
    Some(vec![Part::Link(up(first)?), Part::Link(up(last)?)])
}

/// A link of a ring, or a feeder.
fn flapping_part(world: &World, home: ElementNo, rng: &mut impl Rng) -> Option<Part> {
    if happens(0.5, rng) {
        let feeder = first_splitter(world.network(), home)?;
        return world.way_in(feeder).map(Part::Link);
    }
    let ring = world.rings().choose(rng)?;
    let links = world.links_of(*ring.choose(rng)?);
    links.choose(rng).copied().map(Part::Link)
}

fn down_times(onset_ms: Millis, settings: &DrawSettings, rng: &mut impl Rng) -> Vec<[Millis; 2]> {
    let mut at_ms = onset_ms;
    let mut times = Vec::new();
    for _ in 0..within(settings.flaps, rng).max(1) {
        let until_ms = at_ms + within([3_000, 40_000], rng);
        times.push([at_ms, until_ms]);
        at_ms = until_ms + within([5_000, 90_000], rng);
    }
    times
}
