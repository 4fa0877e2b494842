//! The faults of the demo: what really fails, and what the NOC hears of it.

use super::world::World;
use crate::generate::Ring;
use crate::topology::ElementKind;
use anyhow::{Context as _, bail};
use std::collections::BTreeSet;

/// One fault.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) title: String,
    /// What an incident about it names as its cause.
    pub(super) cause: Vec<String>,
    /// What the NOC hears: resources, alarm type, text.
    pub(super) alarms: Vec<(Vec<String>, &'static str, &'static str)>,
    /// Who loses service; by the plain search, not by the service's own reckoning.
    pub(super) without_service: BTreeSet<String>,
    /// Who is believed to be without service as long as the alarms are believed.
    pub(super) believed: BTreeSet<String>,
    pub(super) remark: Option<String>,
}

/// The faults of one run.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) feeder: Fault,
    pub(super) olt: Fault,
    pub(super) ring: Fault,
    /// A link that comes and goes and cuts nobody off.
    pub(super) flapping: Fault,
    /// A poller says that an OLT is gone. It is not.
    pub(super) phantom: Fault,
}

impl Faults {
    pub(super) fn all(&self) -> [&Fault; 5] {
        [
            &self.feeder,
            &self.olt,
            &self.ring,
            &self.flapping,
            &self.phantom,
        ]
    }

    /// Picks faults that do not touch one another.
    pub(super) fn choose(world: &World, rings: &[Ring]) -> anyhow::Result<Self> {
        let (ring_no, ring) = ring_fault(world, rings)?;
        let taken: BTreeSet<&str> = rings
            .get(ring_no)
            .into_iter()
            .flat_map(|r| r.switches.iter().map(String::as_str))
            .collect();
        let mut olts: Vec<(usize, String)> = world
            .accounts_below(ElementKind::Olt)
            .into_iter()
            .filter(|(olt, _)| !world.parents(olt).iter().any(|p| taken.contains(p)))
            .map(|(olt, accounts)| (accounts, olt))
            .collect();
        olts.sort();
        let largest: Vec<String> = olts.into_iter().rev().map(|(_, olt)| olt).collect();
        let mut apart: Vec<&str> = Vec::new();
        for olt in &largest {
            // Whom two of them cut off only together would join their incidents.
            let is_apart = apart.iter().all(|other| {
                let alone =
                    world.without_service(&[olt]).len() + world.without_service(&[other]).len();
                world.without_service(&[olt, other]).len() == alone
            });
            if is_apart {
                apart.push(olt);
            }
            if apart.len() == 3 {
                break;
            }
        }
        let [dead, phantom, cut] = apart[..] else {
            bail!("the network has too few OLTs outside one ring: ask for more subscribers");
        };
        Ok(Self {
            feeder: feeder_fault(world, cut)?,
            olt: olt_fault(world, dead),
            ring,
            flapping: flapping_fault(world, rings, ring_no)?,
            phantom: phantom_fault(world, phantom),
        })
    }
}

fn feeder_fault(world: &World, olt: &str) -> anyhow::Result<Fault> {
    let pon = world
        .accounts_below(ElementKind::PonPort)
        .into_iter()
        .filter(|(pon, _)| world.parents(pon).contains(&olt))
        .max_by_key(|(_, accounts)| *accounts)
        .map(|(pon, _)| pon)
        .with_context(|| format!("{olt} has no PON port with subscribers"))?;
    let onts = world.darkened(&[&pon], ElementKind::Ont);
    let without_service = world.without_service(&[&pon]);
    Ok(Fault {
        name: "feeder",
        title: format!("An excavator cuts the feeder of {pon}"),
        cause: vec![pon.clone()],
        alarms: vec![
            (vec![pon], "pon-los", "loss of signal on the PON"),
            (onts, "los", "no light from the ONT"),
        ],
        believed: without_service.clone(),
        without_service,
        remark: None,
    })
}

fn olt_fault(world: &World, olt: &str) -> Fault {
    let without_service = world.without_service(&[olt]);
    Fault {
        name: "olt",
        title: format!("{olt} dies without a word; only a poller misses it"),
        cause: vec![olt.to_owned()],
        alarms: vec![(vec![olt.to_owned()], "unreachable", "no answer to polls")],
        believed: without_service.clone(),
        without_service,
        remark: None,
    }
}

/// Both ends of a ring: what stands between them is cut off although nothing of it has failed.
fn ring_fault(world: &World, rings: &[Ring]) -> anyhow::Result<(usize, Fault)> {
    let mut best: Option<(usize, usize, [&str; 2])> = None;
    for (number, ring) in rings.iter().enumerate() {
        let (Some(first), Some(last)) = (ring.switches.first(), ring.switches.last()) else {
            continue;
        };
        let ends = [first.as_str(), last.as_str()];
        let together = world.without_service(&ends);
        let apart =
            world.without_service(&ends[..1]).len() + world.without_service(&ends[1..]).len();
        let extra = together.len().saturating_sub(apart);
        if best.is_none_or(|(most, _, _)| extra > most) {
            best = Some((extra, number, ends));
        }
    }
    let Some((extra, number, ends)) = best.filter(|(extra, _, _)| *extra > 0) else {
        bail!("no ring has anything between its ends: ask for more subscribers");
    };
    let mut dark = world.darkened(&ends, ElementKind::Switch);
    dark.extend(world.darkened(&ends, ElementKind::Olt));
    let without_service = world.without_service(&ends);
    let below = world.descendants(&ends);
    let cause = vec![ends[0].to_owned(), ends[1].to_owned()];
    let remark = format!(
        "counting what hangs below the two would say {below}; {} have really lost service, {extra} of \
         them only because both ends are gone",
        without_service.len()
    );
    let fault = Fault {
        name: "ring",
        title: format!(
            "Both ends of a ring fail at once: {} and {}",
            ends[0], ends[1]
        ),
        alarms: vec![
            (cause.clone(), "unreachable", "no answer to polls"),
            (dark, "unreachable", "no answer to polls"),
        ],
        cause,
        believed: without_service.clone(),
        without_service,
        remark: Some(remark),
    };
    Ok((number, fault))
}

fn flapping_fault(world: &World, rings: &[Ring], not_ring: usize) -> anyhow::Result<Fault> {
    let others = rings.iter().enumerate().filter(|(n, _)| *n != not_ring);
    let pair = others
        .flat_map(|(_, ring)| ring.switches.windows(2))
        .find_map(|pair| match pair {
            [a, b] => world.link_between(a, b),
            _ => None,
        });
    let link = pair.context("no second ring with a link: ask for more subscribers")?;
    Ok(Fault {
        name: "flapping",
        title: format!("The ring link {link} comes and goes"),
        cause: vec![link.clone()],
        without_service: world.without_service(&[&link]),
        believed: world.without_service(&[&link]),
        alarms: vec![(vec![link], "link-down", "carrier lost")],
        remark: Some("the ring carries on the other way: nobody loses service".to_owned()),
    })
}

fn phantom_fault(world: &World, olt: &str) -> Fault {
    Fault {
        name: "phantom",
        title: format!("A broken poller says that {olt} is gone; it is not"),
        cause: vec![olt.to_owned()],
        alarms: vec![(vec![olt.to_owned()], "unreachable", "no answer to polls")],
        without_service: BTreeSet::new(),
        believed: world.without_service(&[olt]),
        remark: None,
    }
}
