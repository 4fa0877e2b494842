//! What an area means for the network: who inside has lost service, or which elements lose power and
//! when their batteries are empty.

use super::area::Area;
use super::network_map::{Inside, NetworkMap};
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, Network, Part, SubscriberSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What has happened inside an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Affects {
    /// Everybody inside has lost service.
    ServiceLostInside,
    /// Elements inside have lost mains power, and fail when their batteries are empty.
    PowerLostInside,
    /// Nothing that takes service away.
    Information,
}

impl Affects {
    /// Every meaning, in declaration order.
    pub const ALL: [Self; 3] = [
        Self::ServiceLostInside,
        Self::PowerLostInside,
        Self::Information,
    ];

    /// Name in the interface and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceLostInside => "service_lost_inside",
            Self::PowerLostInside => "power_lost_inside",
            Self::Information => "information",
        }
    }

    /// The meaning of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|affects| affects.as_str() == name)
    }
}

/// How long elements run without mains power, by their kind.
///
/// Kinds that are not in it need no power: they never fail for want of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batteries(pub BTreeMap<ElementKind, u32>);

impl Batteries {
    /// Minutes that an element lasts: its own where the inventory knows it, else that of its kind;
    /// `None` when it needs no power.
    pub fn minutes(&self, network: &Network, element: ElementNo) -> Option<u32> {
        let own = network.battery_minutes(element);
        own.or_else(|| self.0.get(&network.kind(element)).copied())
    }
}

/// An element that fails for want of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerFailure {
    pub element: ElementNo,
    pub battery_minutes: u32,
    /// Onset and battery.
    pub at_ms: Millis,
}

/// What an area does to one version of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct AreaImpact {
    pub affects: Affects,
    pub onset_ms: Millis,
    pub inside: Inside,
    /// Only when power is lost; by time, then by element.
    pub failures: Vec<PowerFailure>,
}

impl AreaImpact {
    /// Works it out.
    pub fn of(
        area: &Area,
        affects: Affects,
        onset_ms: Millis,
        (network, map): (&Network, &NetworkMap),
        batteries: &Batteries,
    ) -> Self {
        let inside = map.inside(area);
        let mut failures = Vec::new();
        if affects == Affects::PowerLostInside {
            failures.extend(inside.elements.iter().filter_map(|&element| {
                let battery_minutes = batteries.minutes(network, element)?;
                Some(PowerFailure {
                    element,
                    battery_minutes,
                    at_ms: onset_ms.saturating_add(i64::from(battery_minutes) * 60_000),
                })
            }));
            failures.sort_unstable_by_key(|failure| (failure.at_ms, failure.element));
        }
        Self {
            affects,
            onset_ms,
            inside,
            failures,
        }
    }

    /// The elements that have failed by then.
    pub fn failed_by(&self, now_ms: Millis) -> &[PowerFailure] {
        let failed = self.failures.partition_point(|f| f.at_ms <= now_ms);
        &self.failures[..failed]
    }

    /// When more elements fail; `None` when no battery is left to run empty.
    pub fn next_failure_after(&self, now_ms: Millis) -> Option<Millis> {
        let failed = self.failed_by(now_ms).len();
        self.failures.get(failed).map(|failure| failure.at_ms)
    }

    /// Who has no service at an instant, as far as the area explains it, while it lasts: those inside
    /// when service is lost there; when power is lost, whoever the failed elements cut off, inside or
    /// not.
    pub fn lost_by(&self, network: &Network, now_ms: Millis) -> SubscriberSet {
        match self.affects {
            _ if now_ms < self.onset_ms => SubscriberSet::new(),
            Affects::Information => SubscriberSet::new(),
            Affects::ServiceLostInside => self.inside.subscribers.clone(),
            Affects::PowerLostInside => {
                let failed = self.failed_by(now_ms).iter();
                let parts: Vec<Part> = failed.map(|f| Part::Element(f.element)).collect();
                if parts.is_empty() {
                    return SubscriberSet::new();
                }
                network.lost(&parts)
            }
        }
    }
}
