//! What has nothing to do with any fault: homes that are dark for their own reasons, and alarms
//! about nothing.

use super::chance::{Purpose, exponential_ms, generator, happens, poisson_times, within};
use super::impairment::Impairments;
use super::observer::hides_onts;
use super::reporting::{Condition, Origin, Report, Reporting, Source, What};
use super::world::{World, number};
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, Part};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use std::collections::BTreeSet;

/// A home that is dark for its own reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DarkHome {
    pub ont: ElementNo,
    pub since_ms: Millis,
    /// `None`: longer than the scenario.
    pub until_ms: Option<Millis>,
    /// How its OLT says so.
    pub(super) what: What,
}

/// The reasons: unplugged for the night or for good (heard gasping, or just gone), and broken.
const GASPED: f64 = 0.35;
const GONE: f64 = 0.45;

/// Those that are dark at the start, and those that come afterwards.
pub(super) fn dark_homes(
    world: &World,
    impairments: &Impairments,
    seed: u64,
    [from_ms, until_ms]: [Millis; 2],
) -> Vec<DarkHome> {
    let mut rng = generator(seed, Purpose::DarkHomes);
    let stay_ms = impairments.dark_home_stay_ms.max(1) as f64;
    let mut taken: BTreeSet<ElementNo> = BTreeSet::new();
    let mut homes = Vec::new();
    let wanted = (impairments.dark_homes as usize).min(world.onts().len() / 2);
    while homes.len() < wanted {
        let since_ms = from_ms - exponential_ms(stay_ms, &mut rng).max(1);
        homes.extend(dark_home(
            world, since_ms, from_ms, stay_ms, &mut taken, &mut rng,
        ));
    }
    let per_hour = wanted as f64 * 3_600_000.0 / stay_ms;
    for since_ms in poisson_times(per_hour, from_ms, until_ms, &mut rng) {
        homes.extend(dark_home(
            world, since_ms, since_ms, stay_ms, &mut taken, &mut rng,
        ));
    }
    for home in &mut homes {
        home.until_ms = home.until_ms.filter(|at| *at < until_ms);
    }
    homes
}

/// One that is still dark at `seen_ms`. How much longer does not depend on how long already.
fn dark_home(
    world: &World,
    since_ms: Millis,
    seen_ms: Millis,
    stay_ms: f64,
    taken: &mut BTreeSet<ElementNo>,
    rng: &mut impl Rng,
) -> Option<DarkHome> {
    let ont = *world.onts().choose(rng)?;
    let drawn: f64 = rng.random();
    let until_ms = seen_ms + exponential_ms(stay_ms, rng).max(1);
    let what = if drawn < GASPED {
        What::DyingGasp
    } else if drawn < GASPED + GONE {
        What::Offline
    } else {
        What::OntLos
    };
    taken.insert(ont).then_some(DarkHome {
        ont,
        since_ms,
        until_ms: Some(until_ms),
        what,
    })
}

/// A spurious alarm that lasts longer than a minute or so.
const LASTING: f64 = 0.1;

/// Alarms about nothing, on resources of every kind. Instances are numbered from `first_instance`.
pub(super) fn spurious(
    world: &World,
    reporting: &Reporting,
    impairments: &Impairments,
    seed: u64,
    [from_ms, until_ms]: [Millis; 2],
    first_instance: u32,
) -> Vec<Report> {
    let mut rng = generator(seed, Purpose::Spurious);
    let per_hour = impairments.spurious_per_hour * world.homes().len() as f64 / 100_000.0;
    let times = poisson_times(per_hour, from_ms, until_ms, &mut rng);
    let devices: Vec<ElementNo> = world.devices().collect();
    let mut reports = Vec::new();
    for (at_ms, no) in times.into_iter().zip(0..) {
        let Some((condition, source)) = about_nothing(world, &devices, reporting, seed, &mut rng)
        else {
            continue;
        };
        let lasts_ms = if happens(LASTING, &mut rng) {
            within([60_000, 1_800_000], &mut rng)
        } else {
            exponential_ms(15_000.0, &mut rng).max(500)
        };
        for (is_raise, at_ms) in [(true, at_ms), (false, at_ms + lasts_ms)] {
            reports.push(Report {
                at_ms,
                latency_ms: within(reporting.latency_ms, &mut rng),
                is_raise,
                condition,
                source,
                origin: Origin::Spurious(no),
                instance: first_instance + no,
            });
        }
    }
    reports.retain(|report| report.at_ms < until_ms);
    reports
}

fn about_nothing(
    world: &World,
    devices: &[ElementNo],
    reporting: &Reporting,
    seed: u64,
    rng: &mut impl Rng,
) -> Option<(Condition, Source)> {
    let ont = *world.onts().choose(rng)?;
    let olt = world.above(ont, ElementKind::Olt)?;
    let olts = if hides_onts(seed, reporting, olt) {
        Source::OltsB
    } else {
        Source::OltsA
    };
    let device = *devices.choose(rng)?;
    let link = world.links_of(device).choose(rng).copied();
    let of = |what, part, by| Condition { what, part, by };
    Some(match rng.random_range(0..5_u32) {
        0 | 1 => (of(What::OntLos, Part::Element(ont), Some(olt)), olts),
        2 => {
            let port = world.above(ont, ElementKind::PonPort)?;
            let what = if rng.random() {
                What::PonLos
            } else {
                What::PortDown
            };
            (of(what, Part::Element(port), Some(olt)), olts)
        }
        3 => (
            of(What::Unreachable, Part::Element(device), None),
            Source::Poller,
        ),
        _ => {
            let part = Part::Link(link?);
            (of(What::LinkDown, part, Some(device)), Source::Transport)
        }
    })
}

/// How many alarms there are among reports about nothing.
pub(super) fn alarms(reports: &[Report]) -> u32 {
    number(reports.iter().filter(|report| report.is_raise).count())
}
