//! What equipment and pollers are like: settings, and the alarms they can raise.

use crate::alarm::{Severity, SourceId};
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, Network, Part};
use serde::{Deserialize, Serialize};

/// How a network reports. Times are milliseconds, shares 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reporting {
    /// Share of OLTs that tell nothing of single ONTs while the alarm of their PON port stands.
    pub port_alarm_hides_onts: f64,
    /// From the loss of light to the alarm of the OLT.
    pub los_ms: [i64; 2],
    /// From light to the end of the alarm: the ONT has to be ranged and registered again.
    pub back_ms: [i64; 2],
    /// From the device through its management system to us.
    pub latency_ms: [i64; 2],
    /// Between two alarms of one OLT in a burst.
    pub burst_gap_ms: i64,
    /// Share of ONTs without mains whose dying gasp is heard: not all can, and many collide.
    pub gasp_heard: f64,
    /// Share of these for which the OLT says `offline` as well, and when.
    pub offline_after_gasp: f64,
    pub offline_ms: [i64; 2],
    /// From the failure of a link or its far end to the alarm at the near end.
    pub link_down_ms: [i64; 2],
    /// Share of devices that can be managed although the network does not reach them.
    pub out_of_band: f64,
    /// The poller asks each device so often, and misses so many answers before it says anything.
    pub poll_every_ms: i64,
    pub missed_polls: i64,
    pub poll_timeout_ms: i64,
    /// The poller promises to be heard so often.
    pub poller_heartbeat_ms: i64,
    /// Share of the ONTs with bad light whose alarm passes the threshold.
    pub degraded_onts: f64,
    /// How often the BNG counts the sessions of a port; 0: it does not.
    pub sessions_every_ms: i64,
    /// How long a session is kept without an answer.
    pub session_timeout_ms: i64,
    /// Whether the BNG raises `silent` for a port that has lost all its sessions.
    pub session_alarm: bool,
}

impl Default for Reporting {
    fn default() -> Self {
        Self {
            port_alarm_hides_onts: 0.4,
            los_ms: [50, 3_000],
            back_ms: [10_000, 90_000],
            latency_ms: [200, 2_000],
            burst_gap_ms: 20,
            gasp_heard: 0.75,
            offline_after_gasp: 0.5,
            offline_ms: [10_000, 60_000],
            link_down_ms: [10, 1_500],
            out_of_band: 0.3,
            poll_every_ms: 30_000,
            missed_polls: 3,
            poll_timeout_ms: 5_000,
            poller_heartbeat_ms: 30_000,
            degraded_onts: 0.6,
            sessions_every_ms: 60_000,
            session_timeout_ms: 90_000,
            session_alarm: false,
        }
    }
}

/// A system that sends alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Management system of the OLTs that report each ONT.
    OltsA,
    /// Management system of the OLTs whose port alarm hides the ONTs.
    OltsB,
    Transport,
    Poller,
    Bng,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 5] = [
        Self::OltsA,
        Self::OltsB,
        Self::Transport,
        Self::Poller,
        Self::Bng,
    ];

    /// Its number in the log.
    pub fn id(self) -> SourceId {
        SourceId(self as i64 + 1)
    }

    /// The source of that number.
    pub fn of_id(id: SourceId) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.id() == id)
    }

    /// The name by which it says hello.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OltsA => "olt-ems-a",
            Self::OltsB => "olt-ems-b",
            Self::Transport => "transport-nms",
            Self::Poller => "poller",
            Self::Bng => "bng",
        }
    }
}

/// An abnormal condition that somebody can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Condition {
    pub(super) what: What,
    pub(super) part: Part,
    /// The device that sees it; `None`: the poller or the BNG.
    pub(super) by: Option<ElementNo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum What {
    OntLos,
    DyingGasp,
    Offline,
    PonLos,
    PortDown,
    /// Of the card of that number; the part is one of its ports.
    Card(u32),
    LinkDown,
    Unreachable,
    OnBattery,
    LowPower,
    Silent,
}

/// One thing that is said, by the true clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) at_ms: Millis,
    /// Until it reaches us if nothing delays it.
    pub(super) latency_ms: i64,
    pub(super) is_raise: bool,
    pub(super) condition: Condition,
    pub(super) source: Source,
    pub(super) origin: Origin,
    /// The raise and the clear of one alarm have the same.
    pub(super) instance: u32,
}

/// What an alarm comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The fault of that index in the truth.
    Fault(u32),
    /// The unrelated dark home of that index.
    DarkHome(u32),
    /// Nothing at all: the spurious alarm of that index.
    Spurious(u32),
}

impl Condition {
    /// Name of the resource as its source gives it.
    pub(super) fn resource(&self, network: &Network) -> String {
        let id = network.part_id(self.part);
        match (self.what, self.by) {
            // Cards are no elements of the topology.
            (What::Card(card), Some(olt)) => {
                format!("{}/card-{card}", network.part_id(Part::Element(olt)))
            }
            _ => id.to_owned(),
        }
    }

    /// A link is seen from both its ends.
    pub(super) fn qualifier(&self, network: &Network) -> String {
        match (self.what, self.by) {
            (What::LinkDown, Some(by)) => network.part_id(Part::Element(by)).to_owned(),
            _ => String::new(),
        }
    }

    pub(super) fn alarm_type(&self, source: Source, network: &Network) -> &'static str {
        match self.what {
            What::OntLos if source == Source::OltsB => "onu-los",
            What::OntLos => "los",
            What::DyingGasp => "dying-gasp",
            What::Offline => "offline",
            What::PonLos => "pon-los",
            What::PortDown => "port-down",
            What::Card(_) => "card-failure",
            What::LinkDown => "link-down",
            What::Unreachable => match self.part {
                Part::Element(e) if network.kind(e) == ElementKind::Olt => "unreachable",
                _ => "device-down",
            },
            What::OnBattery => "power-failure",
            What::LowPower => "low-optical-power",
            What::Silent => "silent",
        }
    }

    pub(super) fn severity(&self) -> Severity {
        match self.what {
            What::OnBattery => Severity::Minor,
            What::LowPower => Severity::Warning,
            What::OntLos | What::DyingGasp | What::Offline => Severity::Major,
            _ => Severity::Critical,
        }
    }
}
