//! Incidents: alarms with one probable cause, their impact and their life.

use crate::alarm::{AlarmKey, Severity, SourceId};
use crate::clock::Millis;
use crate::geography::AreaNo;
use crate::topology::SubscriberSet;
use serde::{Deserialize, Serialize};

/// Number of an incident, from 1; people see `INC-42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IncidentNo(pub i64);

impl std::fmt::Display for IncidentNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "INC-{}", self.0)
    }
}

impl IncidentNo {
    /// Reads `INC-42`, in either case, or `42`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = match text.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("INC-") => text.get(4..)?,
            _ => text,
        };
        digits.parse().ok().filter(|n| *n > 0).map(Self)
    }
}

/// Where an incident is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// Evidence is there; nobody has been told.
    Suspected,
    /// Believed; affected subscribers are told.
    Confirmed,
    /// Service is back.
    Restored,
    /// An operator said that there was no such fault.
    Rejected,
}

impl IncidentState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Suspected,
        Self::Confirmed,
        Self::Restored,
        Self::Rejected,
    ];

    /// Name in the database and the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Confirmed => "confirmed",
            Self::Restored => "restored",
            Self::Rejected => "rejected",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == name)
    }

    /// Suspected or confirmed.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Suspected | Self::Confirmed)
    }
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    FibreCut,
    Equipment,
    Power,
    Upstream,
    PlannedWork,
    Unknown,
}

impl CauseKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::FibreCut,
        Self::Equipment,
        Self::Power,
        Self::Upstream,
        Self::PlannedWork,
        Self::Unknown,
    ];

    /// Name in the database and the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FibreCut => "fibre_cut",
            Self::Equipment => "equipment",
            Self::Power => "power",
            Self::Upstream => "upstream",
            Self::PlannedWork => "planned_work",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == name)
    }
}

/// The failure that best explains the alarms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Ids of the elements, links or groups that failed, sorted; several when they cut people off
    /// only together.
    pub resources: Vec<String>,
    pub kind: CauseKind,
    /// In plain words, for operators.
    pub text: String,
    /// Why this one and nothing else, in words.
    #[serde(default)]
    pub reasoning: String,
    pub set_by_operator: bool,
    /// What kind of part `resources` are.
    #[serde(default)]
    pub class: PartClass,
}

/// Estimated time of restoration, a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    pub from_ms: Millis,
    /// Not before `from_ms`.
    pub to_ms: Millis,
}

/// An alarm as evidence for an incident.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    pub key: AlarmKey,
    pub source: SourceId,
    pub severity: Severity,
    pub raised_ms: Millis,
    pub cleared_ms: Option<Millis>,
}

/// An incident as it is kept: all that the correlator needs to go on after a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub no: IncidentNo,
    pub state: IncidentState,
    pub cause: Cause,
    /// When service went, by the clock of the sources: the earliest begin of the loss that the
    /// incident has stood for in this episode (see `reopened`), as far as is known by now. It can
    /// move earlier, with late reports or when the cause turns out to be another, and moves later
    /// only with a new episode.
    pub onset_ms: Millis,
    pub detected_ms: Millis,
    pub confirmed_ms: Option<Millis>,
    pub restored_ms: Option<Millis>,
    pub estimate: Option<Estimate>,
    /// Subscribers without service now, and the most there were at one time.
    pub affected: u64,
    pub affected_peak: u64,
    pub at_risk: u64,
    /// How often it came back, also where late reports alone tell; the episodes of an incident are
    /// numbered 0 to `reopened`.
    pub reopened: u32,
    pub unstable: bool,
    pub stale: bool,
    /// Rises with each change.
    pub revision: u64,
    /// At most [`EVIDENCE_KEPT`], sorted.
    pub evidence: Vec<Evidence>,
    pub evidence_count: u64,
    /// Entries of the timeline so far.
    pub timeline_len: u32,
    /// The incident that goes on in its place: one cause was found for both. Whoever was told of
    /// this one is covered by that one, and gets no "restored" from here.
    #[serde(default)]
    pub merged_into: Option<IncidentNo>,
    /// What people declared that it stands for: areas, faults opened by hand, planned work that has
    /// overrun; empty when alarms alone speak for it.
    #[serde(default)]
    pub declared: Vec<DeclarationRef>,
    /// The incident from which this one was split.
    #[serde(default)]
    pub split_from: Option<IncidentNo>,
    #[serde(default)]
    pub life: Life,
}

impl Incident {
    /// The estimated time of restoration as long as it means anything: while service is out.
    pub fn expected(&self) -> Option<Estimate> {
        self.estimate.filter(|_| self.state.is_open())
    }

    /// Whether it is open while the network knows none of its resources any more, and alarms at them are
    /// active: it is the inventory that changed, not the outage. Nobody is told anything until these
    /// alarms are cleared, or a resource is back. An outage of which nobody is left in the network ends.
    pub fn is_unplaced(&self) -> bool {
        self.state.is_open() && !self.life.unplaced.is_empty()
    }

    /// Whether the correlator needs it back after a restart: it is open, it holds back a rejected
    /// cause, or it can reopen.
    pub fn is_followed(&self, settings: &CorrelatorSettings, now_ms: Millis) -> bool {
        let can_reopen = self.state == IncidentState::Restored
            && self.merged_into.is_none()
            && self
                .restored_ms
                .is_some_and(|at| now_ms < at + settings.reopen_within_ms);
        self.state.is_open() || self.life.held_back.is_some() || can_reopen
    }
}

/// What the correlator must remember of an incident to go on with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// Since when none of its evidence is active, by our clock.
    pub quiet_since_ms: Option<Millis>,
    /// Begin of the run of loss that was found last in this episode, by the clock of the source; not
    /// before the onset.
    pub run_since_ms: Option<Millis>,
    /// Parts of it that failed later than it began, in order of time.
    pub later: Vec<LaterParts>,
    /// When the set of its failures last changed, by our clock.
    pub failures_changed_ms: Millis,
    /// Latest clear of its evidence, by the clock of the source.
    pub last_clear_ms: Option<Millis>,
    /// Since when all that is left are alarms that its cause explains, while part of that is gone.
    pub clearing_since_ms: Option<Millis>,
    /// Since when people whom it has are behind something else that is not believed yet.
    pub leaving_since_ms: Option<Millis>,
    /// An operator ended it while its alarms were active: they must not open it again.
    pub held_back: Option<HeldBack>,
    /// Since when it has been suspected without ever being believed, also where it was quiet in
    /// between.
    pub suspected_since_ms: Option<Millis>,
    /// What operators have said of its cause, and of what belongs together.
    pub claims: Vec<Claim>,
    /// Ids of the parts that were found, sorted, where they are others than those of the cause.
    pub found: Vec<String>,
    /// Latest raise among the alarms that it was last found by, by the clock of the source.
    pub newest_raise_ms: Option<Millis>,
    /// Since when it seems to have taken in more people than it is believed to.
    pub growing_since_ms: Option<Millis>,
    /// Since when that has rested on what would be believed after a hold-down.
    pub growth_backed_since_ms: Option<Millis>,
    /// How many more people that has been all the time; where it comes to be far more of them, it begins
    /// anew.
    pub growth_scope: u64,
    /// An operator believes that.
    pub is_growth_believed: bool,
    /// More than a lone alarm spoke for it when it was last found.
    pub has_company: bool,
    /// Since when nobody would believe it, however long it stands.
    pub unbacked_since_ms: Option<Millis>,
    /// When that ended, if it had lasted for longer than it takes to be believed: what has begun to
    /// speak for it then has stood no longer.
    pub backed_since_ms: Option<Millis>,
    /// How many people a suspicion has concerned all the time since it began, and when that was: one that
    /// comes to concern far more of them begins anew.
    pub scope: u64,
    pub scope_since_ms: Option<Millis>,
    /// What it was last found by was old when it was detected.
    pub is_left_over: bool,
    /// Accounts of those without service, where the network knows none of its resources any more
    /// although alarms at them are active: see [`Incident::is_unplaced`].
    pub unplaced: Vec<String>,
}

/// A cause that opens no incident as long as what speaks for it is mainly what was active when an
/// operator ended its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// Latest raise among those alarms, by the clock of the source.
    pub newest_raise_ms: Millis,
}

/// What the correlator decided about one incident.
#[derive(Clone, Debug)]
pub struct IncidentChange {
    /// The new state, with a new revision.
    pub incident: Incident,
    /// New entries of its timeline; empty when only numbers changed.
    pub timeline: Vec<TimelineEntry>,
    /// Empty when the incident is not open.
    pub lost: SubscriberSet,
    pub at_risk: SubscriberSet,
    /// `lost` as of the change before, by the ranks of the present network: who has left the network
    /// since is not in it.
    pub previously_lost: SubscriberSet,
    /// Those of `previously_lost` who never were without service by this incident: an operator has
    /// said that something else failed, or a new version of the network has them elsewhere.
    pub never_lost: SubscriberSet,
}

/// Alarms that an incident names one by one; the rest is counted.
pub const EVIDENCE_KEPT: usize = 1_000;

/// One line of an incident's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    pub at_ms: Millis,
    pub what: TimelineKind,
    /// In words.
    pub reason: String,
    /// Name of the operator's token; empty when Forewarn acted.
    pub by: String,
}

/// What a line of the history tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimelineKind {
    Detected,
    /// It may have grown, which is not believed yet.
    Suspected,
    Confirmed,
    Grew,
    Shrank,
    Restored,
    Reopened,
    Rejected,
    CauseSet,
    EstimateSet,
    Note,
    Merged,
    TopologyChanged,
    Resolved,
    Unstable,
    Stale,
    Resynchronised,
    Split,
}

impl TimelineKind {
    /// Every kind, in declaration order.
    pub const ALL: [Self; 18] = [
        Self::Detected,
        Self::Suspected,
        Self::Confirmed,
        Self::Grew,
        Self::Shrank,
        Self::Restored,
        Self::Reopened,
        Self::Rejected,
        Self::CauseSet,
        Self::EstimateSet,
        Self::Note,
        Self::Merged,
        Self::TopologyChanged,
        Self::Resolved,
        Self::Unstable,
        Self::Stale,
        Self::Resynchronised,
        Self::Split,
    ];

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Name in the database and the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Suspected => "suspected",
            Self::Confirmed => "confirmed",
            Self::Grew => "grew",
            Self::Shrank => "shrank",
            Self::Restored => "restored",
            Self::Reopened => "reopened",
            Self::Rejected => "rejected",
            Self::CauseSet => "cause_set",
            Self::EstimateSet => "estimate_set",
            Self::Note => "note",
            Self::Merged => "merged",
            Self::TopologyChanged => "topology_changed",
            Self::Resolved => "resolved",
            Self::Unstable => "unstable",
            Self::Stale => "stale",
            Self::Resynchronised => "resynchronised",
            Self::Split => "split",
        }
    }
}

/// What an operator asks of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCommand {
    pub incident: IncidentNo,
    /// Name of the operator's token.
    pub by: String,
    pub action: OperatorAction,
}

/// The changes an operator can make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorAction {
    Confirm {
        note: String,
    },
    Reject {
        reason: String,
    },
    /// Holds until it is withdrawn. Ids of the parts that failed; none: those that are found, or
    /// that were named before.
    SetCause {
        kind: CauseKind,
        text: String,
        resources: Vec<String>,
    },
    /// The cause is again what is found.
    WithdrawCause {
        reason: String,
    },
    /// It goes on in another one, which keeps the parts of both.
    Merge {
        into: IncidentNo,
        reason: String,
    },
    /// These of its parts go on as an incident of their own.
    Split {
        resources: Vec<String>,
        reason: String,
    },
    SetEstimate(Option<Estimate>),
    AddNote {
        text: String,
    },
    Resolve {
        reason: String,
    },
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("there is no incident {0}")]
    NoSuchIncident(IncidentNo),
    #[error("{incident} is {}, which does not allow this", state.as_str())]
    WrongState {
        incident: IncidentNo,
        state: IncidentState,
    },
    #[error("{0} went on in {1}: look there")]
    WentOn(IncidentNo, IncidentNo),
    #[error("{0} cannot go on in itself")]
    SameIncident(IncidentNo),
    #[error("there is no incident {0} to go on in")]
    NoSurvivor(IncidentNo),
    #[error("{0} went on in {1}: nothing can go on in it")]
    SurvivorWentOn(IncidentNo, IncidentNo),
    #[error("{incident} is {}: nothing can go on in it", state.as_str())]
    SurvivorClosed {
        incident: IncidentNo,
        state: IncidentState,
    },
    #[error("the network knows no element, link or group `{0}`")]
    UnknownResource(String),
    #[error("`{resource}` is no part of the cause of {incident}, which is {}", resources.join(", "))]
    NotItsResource {
        incident: IncidentNo,
        resource: String,
        resources: Vec<String>,
    },
    #[error("nothing would be left of {0}")]
    NothingLeft(IncidentNo),
    #[error("{subscribers} subscribers of {incident} are without service only because both failed")]
    OnlyTogether {
        incident: IncidentNo,
        subscribers: String,
    },
    #[error("an operator has named the parts of the cause of {0}: withdraw that first")]
    CauseIsSet(IncidentNo),
    #[error("{1} says whom {0} affects: change or end the area instead")]
    IsArea(IncidentNo, AreaNo),
    #[error("{1} names the parts of {0}: resolve it, and open another one for those that failed")]
    IsDeclared(IncidentNo, DeclarationId),
    #[error("the cause of {0} is not set by an operator")]
    CauseNotSet(IncidentNo),
}

mod apart;
mod batteries;
mod candidates;
mod company;
mod correlator;
mod declared;
mod evidence;
mod joining;
mod joint;
mod life;
mod likelihood;
mod localise;
mod matching;
mod number_map;
mod onset;
mod outward;
mod part_class;
mod power_area;
mod power_region;
mod reasoning;
mod ring;
mod settings;
mod shared_risk;
mod surrounded;
mod wall;

pub use correlator::{Correlator, LiveImpact};
pub use declared::{Declaration, DeclarationEnd, DeclarationId, DeclarationRef, Statement};
pub use joining::{LaterParts, joined_later};
pub use life::{Claim, Said};
pub use part_class::PartClass;
pub use settings::{CorrelatorSettings, HoldDown};
