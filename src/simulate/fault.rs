//! Faults: what really fails, when, and when it comes back.

use super::chance::{happens, within};
use super::world::World;
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, Part, Position};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The fibre from a PON port to its first splitter.
    FeederCut,
    /// The fibre between two splitters.
    DistributionCut,
    /// The fibre into one home.
    DropCut,
    PonPort,
    /// Several PON ports of one OLT.
    LineCard,
    /// An OLT that dies without a word.
    OltDeath,
    AggregationNode,
    /// Two links, or both end nodes, of one ring.
    RingDouble,
    /// All links of a duct or cable.
    DuctCut,
    /// Mains gone in the streets around a point.
    StreetPower,
    /// Mains gone in a whole area; sites run on their batteries for a while.
    RegionalPower,
    /// Everything service is supplied from.
    Upstream,
    /// A part that comes and goes.
    Flapping,
    /// Service is worse, nobody loses it.
    Degradation,
    PlannedWork,
}

impl FaultKind {
    /// Every kind, in declaration order.
    pub const ALL: [Self; 15] = [
        Self::FeederCut,
        Self::DistributionCut,
        Self::DropCut,
        Self::PonPort,
        Self::LineCard,
        Self::OltDeath,
        Self::AggregationNode,
        Self::RingDouble,
        Self::DuctCut,
        Self::StreetPower,
        Self::RegionalPower,
        Self::Upstream,
        Self::Flapping,
        Self::Degradation,
        Self::PlannedWork,
    ];

    /// Name in files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FeederCut => "feeder_cut",
            Self::DistributionCut => "distribution_cut",
            Self::DropCut => "drop_cut",
            Self::PonPort => "pon_port",
            Self::LineCard => "line_card",
            Self::OltDeath => "olt_death",
            Self::AggregationNode => "aggregation_node",
            Self::RingDouble => "ring_double",
            Self::DuctCut => "duct_cut",
            Self::StreetPower => "street_power",
            Self::RegionalPower => "regional_power",
            Self::Upstream => "upstream",
            Self::Flapping => "flapping",
            Self::Degradation => "degradation",
            Self::PlannedWork => "planned_work",
        }
    }

    /// The kind of that name; `-` and `_` are the same.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether what fails has lost its power, and can say so with its last breath.
    pub fn is_power(self) -> bool {
        matches!(self, Self::StreetPower | Self::RegionalPower)
    }
}

/// What fails and comes back at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    pub at_ms: Millis,
    pub failed: Vec<Part>,
    pub restored: Vec<Part>,
}

/// A device or an ONT that runs on its battery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnBattery {
    pub device: ElementNo,
    pub from_ms: Millis,
    /// When it says no more that it does: when mains are back, or the battery is empty. For an ONT its
    /// OLT speaks, which hears of the mains only when they are back.
    pub until_ms: Millis,
}

/// One fault. Parts are those of the world it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// In order of time.
    pub stages: Vec<Stage>,
    pub on_battery: Vec<OnBattery>,
    /// Elements below which service is worse between the first and the last stage.
    pub degraded: Vec<ElementNo>,
    /// Planned work: the window that was announced.
    pub window_ms: Option<[Millis; 2]>,
}

/// Where mains fail.
pub enum Area<'a> {
    /// Around a point.
    Circle { centre: Position, metres: f64 },
    /// Inside a boundary.
    Inside(&'a crate::geography::NamedArea),
}

impl Area<'_> {
    fn holds(&self, position: Position) -> bool {
        match self {
            Self::Circle { centre, metres } => {
                crate::geography::distance_metres(*centre, position) <= *metres
            }
            Self::Inside(area) => area.contains(position),
        }
    }
}

/// How long things live without mains. What the network says of an element goes before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batteries {
    /// Minutes of an OLT. Street cabinets are built for one to four hours.
    pub olt_minutes: [i64; 2],
    /// Minutes of a switch or router site. Exchanges are built for four to eight hours.
    pub site_minutes: [i64; 2],
    /// Share of homes whose ONT has a battery.
    pub ont_share: f64,
    /// Minutes of such an ONT.
    pub ont_minutes: [i64; 2],
}

impl Default for Batteries {
    fn default() -> Self {
        Self {
            olt_minutes: [60, 240],
            site_minutes: [240, 480],
            ont_share: 0.02,
            ont_minutes: [30, 120],
        }
    }
}

const MINUTE_MS: i64 = 60_000;
/// Batteries that end within one such step are taken to end together.
const BATTERY_STEP_MS: i64 = 10 * MINUTE_MS;

impl Fault {
    /// Parts that fail together and come back together; `None` is not seen to end.
    pub fn lasting(
        kind: FaultKind,
        parts: Vec<Part>,
        onset_ms: Millis,
        end_ms: Option<Millis>,
    ) -> Self {
        let mut stages = vec![Stage {
            at_ms: onset_ms,
            failed: parts.clone(),
            restored: Vec::new(),
        }];
        stages.extend(end_ms.map(|at_ms| Stage {
            at_ms,
            failed: Vec::new(),
            restored: parts,
        }));
        Self {
            kind,
            stages,
            on_battery: Vec::new(),
            degraded: Vec::new(),
            window_ms: None,
        }
    }

    /// A part that is down in each of these times.
    pub fn flapping(part: Part, down_ms: &[[Millis; 2]]) -> Self {
        let stages = down_ms.iter().flat_map(|&[from, until]| {
            let down = Stage {
                at_ms: from,
                failed: vec![part],
                restored: Vec::new(),
            };
            let up = Stage {
                at_ms: until,
                failed: Vec::new(),
                restored: vec![part],
            };
            [down, up]
        });
        Self {
            stages: stages.collect(),
            ..Self::lasting(FaultKind::Flapping, Vec::new(), 0, None)
        }
    }

    /// Worse light for all ONTs under an element.
    pub fn degradation(under: ElementNo, onset_ms: Millis, end_ms: Option<Millis>) -> Self {
        Self {
            degraded: vec![under],
            ..Self::lasting(FaultKind::Degradation, Vec::new(), onset_ms, end_ms)
        }
    }

    /// Work on parts in a window; it really ends at `end_ms`, which may be too late.
    pub fn planned(parts: Vec<Part>, window_ms: [Millis; 2], end_ms: Millis) -> Self {
        Self {
            window_ms: Some(window_ms),
            ..Self::lasting(FaultKind::PlannedWork, parts, window_ms[0], Some(end_ms))
        }
    }

    /// Mains gone in an area: ONTs at once, unless they have a battery; OLTs, switches and routers
    /// when their batteries are empty.
    pub fn power(
        world: &World,
        kind: FaultKind,
        area: &Area<'_>,
        [onset_ms, end_ms]: [Millis; 2],
        batteries: &Batteries,
        rng: &mut impl Rng,
    ) -> Self {
        let inside = |element: ElementNo| world.position(element).is_some_and(|p| area.holds(p));
        let mut lost: BTreeMap<Millis, Vec<Part>> = BTreeMap::from([(onset_ms, Vec::new())]);
        let mut on_battery = Vec::new();
        let mut fail = |element, at_ms: Millis| {
            if at_ms < end_ms {
                lost.entry(at_ms).or_default().push(Part::Element(element));
            }
        };
        for &ont in world.onts().iter().filter(|&&ont| inside(ont)) {
            let at_ms = if happens(batteries.ont_share, rng) {
                let at_ms = battery_end(onset_ms, batteries.ont_minutes, rng);
                on_battery.push(OnBattery {
                    device: ont,
                    from_ms: onset_ms,
                    until_ms: end_ms,
                });
                at_ms
            } else {
                onset_ms
            };
            fail(ont, at_ms);
        }
        for device in world.devices().filter(|&device| inside(device)) {
            let minutes = match world.network().kind(device) {
                ElementKind::Olt => batteries.olt_minutes,
                _ => batteries.site_minutes,
            };
            let known = world.network().battery_minutes(device);
            let minutes = known.map_or(minutes, |known| [i64::from(known); 2]);
            let at_ms = battery_end(onset_ms, minutes, rng);
            fail(device, at_ms);
            on_battery.push(OnBattery {
                device,
                from_ms: onset_ms,
                until_ms: at_ms.min(end_ms),
            });
        }
        let all: Vec<Part> = lost.values().flatten().copied().collect();
        let mut stages: Vec<Stage> = lost
            .into_iter()
            .map(|(at_ms, failed)| Stage {
                at_ms,
                failed,
                restored: Vec::new(),
            })
            .collect();
        stages.push(Stage {
            at_ms: end_ms,
            failed: Vec::new(),
            restored: all,
        });
        Self {
            stages,
            on_battery,
            ..Self::lasting(kind, Vec::new(), 0, None)
        }
    }

    /// Lets the last restoration happen in so many steps, the last of them at the same time as
    /// before; neighbours come back together.
    #[must_use]
    pub fn restored_in(mut self, world: &World, steps: usize, step_ms: i64) -> Self {
        let Some(last) = self.stages.pop() else {
            return self;
        };
        if steps < 2 || last.restored.is_empty() {
            self.stages.push(last);
            return self;
        }
        let mut parts = world.primitive(&last.restored);
        // Elements of one street have neighbouring numbers.
        parts.sort_unstable();
        let size = parts.len().div_ceil(steps);
        let portions: Vec<&[Part]> = parts.chunks(size).collect();
        let newest_ms = self.stages.iter().map(|stage| stage.at_ms).max();
        for (left, portion) in (0..portions.len()).rev().zip(portions) {
            let earlier = i64::try_from(left).unwrap_or(0) * step_ms;
            self.stages.push(Stage {
                at_ms: (last.at_ms - earlier).max(newest_ms.unwrap_or(last.at_ms)),
                failed: Vec::new(),
                restored: portion.to_vec(),
            });
        }
        self
    }

    pub fn onset_ms(&self) -> Millis {
        self.stages.first().map_or(0, |stage| stage.at_ms)
    }

    /// When all of it is back; `None` while anything is not seen to come back.
    pub fn end_ms(&self) -> Option<Millis> {
        let failed: usize = self.stages.iter().map(|stage| stage.failed.len()).sum();
        let is_over = failed == 0 || self.stages.last().is_some_and(|s| !s.restored.is_empty());
        let last = self
            .stages
            .last()
            .filter(|_| is_over && self.stages.len() > 1);
        last.map(|stage| stage.at_ms)
    }

    /// Everything that fails at some time, each once, sorted.
    pub fn parts(&self) -> Vec<Part> {
        let failed = self.stages.iter().flat_map(|stage| &stage.failed);
        let mut parts: Vec<Part> = failed.copied().collect();
        parts.sort_unstable();
        parts.dedup();
        parts
    }
}

fn battery_end(onset_ms: Millis, minutes: [i64; 2], rng: &mut impl Rng) -> Millis {
    let lasts_ms = within(minutes.map(|m| m * MINUTE_MS), rng);
    // A later step than the onset, so that nothing runs on an empty battery from the start.
    onset_ms + ((lasts_ms + BATTERY_STEP_MS - 1) / BATTERY_STEP_MS).max(1) * BATTERY_STEP_MS
}
