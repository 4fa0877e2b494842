//! Notices: who is told what, when, and why not.
//!
//! Invariants: [`plan`] leaves a row with a decision for everyone affected; [`gate`] decides again
//! when a notice is about to leave; both read what a person knows from [`standing`] alone.

pub mod compose;
pub mod expectation;
pub mod gate;
pub mod plan;
pub mod quiet;
pub mod standing;
pub mod template;

use crate::clock::Millis;
use crate::incident::{CauseKind, Estimate, Incident, IncidentNo};
use crate::subscriber::{ChannelKind, QuietHours, Segment};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identity of a notice; derived from what it is about, so that a replay finds the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoticeId(pub Uuid);

impl std::fmt::Display for NoticeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a notice says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Service is lost; once per person and episode.
    First,
    /// More is known.
    Update,
    /// The estimated time of restoration was set or moved.
    Estimate,
    /// Service is back; once for each time the person was told of a loss.
    Restored,
    /// There was no such fault; once for each time the person was told of it.
    Retraction,
}

impl Stage {
    /// Every stage, in the order in which a person can meet them.
    pub const ALL: [Self; 5] = [
        Self::First,
        Self::Update,
        Self::Estimate,
        Self::Restored,
        Self::Retraction,
    ];

    /// Name in the database and the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Update => "update",
            Self::Estimate => "estimate",
            Self::Restored => "restored",
            Self::Retraction => "retraction",
        }
    }

    /// The stage of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == name)
    }

    /// After it there is nothing more to say about the episode.
    pub fn closes(self) -> bool {
        matches!(self, Self::Restored | Self::Retraction)
    }
}

/// Whether a person is told, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decision {
    Send,
    /// Randomly not told, to measure the effect.
    HeldOut,
    /// Never agreed to be told.
    NoConsent,
    /// Asked not to be told.
    OptedOut,
    /// Has no address that a channel can use.
    NoContactPoint,
    /// A mail server refused the address for good.
    SuppressedAddress,
    /// Another open incident has told this person.
    Covered,
    /// The incident concerns fewer people than policy asks for.
    BelowThreshold,
    /// Told as often as policy allows.
    CapReached,
    /// Knows already: nothing said so far has been taken back.
    AlreadyTold,
    /// The person's quiet time lasts longer than the notice is of use.
    QuietHours,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 11] = [
        Self::Send,
        Self::HeldOut,
        Self::NoConsent,
        Self::OptedOut,
        Self::NoContactPoint,
        Self::SuppressedAddress,
        Self::Covered,
        Self::BelowThreshold,
        Self::CapReached,
        Self::AlreadyTold,
        Self::QuietHours,
    ];

    /// Name in the database and the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::HeldOut => "held_out",
            Self::NoConsent => "no_consent",
            Self::OptedOut => "opted_out",
            Self::NoContactPoint => "no_contact_point",
            Self::SuppressedAddress => "suppressed_address",
            Self::Covered => "covered",
            Self::BelowThreshold => "below_threshold",
            Self::CapReached => "cap_reached",
            Self::AlreadyTold => "already_told",
            Self::QuietHours => "quiet_hours",
        }
    }

    /// The decision of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.as_str() == name)
    }
}

/// Where a notice is on its way. States only move forward, except that a notice that never left
/// may be decided anew, and a dead letter may be driven again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeState {
    /// Decided against; the decision says why.
    NotSent,
    /// In the outbox.
    Pending,
    /// Accepted by the next system.
    Sent,
    /// The channel says that it has arrived.
    Delivered,
    /// Refused for good.
    Bounced,
    /// Tried as often as allowed.
    Dead,
    /// No longer true or of use when its turn came.
    Cancelled,
}

impl NoticeState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::NotSent,
        Self::Pending,
        Self::Sent,
        Self::Delivered,
        Self::Bounced,
        Self::Dead,
        Self::Cancelled,
    ];

    /// Name in the database and the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == name)
    }

    /// The person has it, as far as anybody can know.
    pub fn is_told(self) -> bool {
        matches!(self, Self::Sent | Self::Delivered)
    }
}

/// Arm of the experiment a person is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arm {
    Told,
    HeldOut,
    /// Not part of the experiment.
    NotAssigned,
}

impl Arm {
    /// Every arm.
    pub const ALL: [Self; 3] = [Self::Told, Self::HeldOut, Self::NotAssigned];

    /// Name in the database and the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::HeldOut => "held_out",
            Self::NotAssigned => "not_assigned",
        }
    }

    /// The arm of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == name)
    }
}

/// What planning must know of a person who is without service.
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts about a person"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub account: String,
    pub language: String,
    /// IANA name.
    pub time_zone: String,
    pub segment: Segment,
    pub vulnerable: bool,
    pub consent: bool,
    pub quiet_hours: Option<QuietHours>,
    /// In order of preference.
    pub channels: Vec<ChannelKind>,
    pub has_email: bool,
    pub opted_out: bool,
    /// A mail server refused the person's address for good.
    pub suppressed: bool,
    /// Notices that reached the person in the last 24 hours, of whatever incident.
    pub sent_last_day: u32,
    /// Unit of randomisation; empty when nobody is assigned. Filled in by the caller.
    pub cluster: String,
    /// Filled in by the caller.
    pub arm: Arm,
    /// When the person lost service, where that was later than the incident began. Filled in by the
    /// caller.
    pub lost_since_ms: Option<Millis>,
    /// Another incident that has told this person, or is about to. Filled in by the caller.
    pub covered_by: Option<Coverage>,
}

/// Another incident that speaks to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    pub incident: IncidentNo,
    /// Its first notice has gone out; otherwise it is still in the outbox.
    pub settled: bool,
    /// It goes on in this incident, which alone can say that what it told is over.
    pub merged: bool,
}

/// What a notice told about the incident: kept with it, compared to see what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub cause: CauseKind,
    /// Since when the person is without service.
    pub onset_ms: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

impl Facts {
    /// What could be told now to whoever lost service when it began.
    pub fn of(incident: &Incident) -> Self {
        Self {
            cause: incident.cause.kind,
            onset_ms: incident.onset_ms,
            estimate: incident.estimate,
        }
    }
}

/// A decision taken earlier about one person of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorNotice {
    pub id: NoticeId,
    pub account: String,
    pub episode: u32,
    pub stage: Stage,
    pub stage_no: u32,
    pub state: NoticeState,
    pub decision: Decision,
    /// Of a row that was not sent: the person has service again.
    pub over: bool,
    /// Of a restored that was cancelled: another incident has the say now.
    pub handed_over: bool,
    /// Of one that was handed over: the incident that has the say now has said that it is over, or may
    /// just be saying it.
    pub heir_closed: bool,
    /// Claims of the outbox since it was planned, or driven again: a pending notice with one may be on
    /// its way right now.
    pub attempt: u32,
    pub planned_at_ms: Millis,
    pub sent_at_ms: Option<Millis>,
    /// Read for those that were told and are compared.
    pub facts: Option<Facts>,
    /// Of a row of stage first that names another incident.
    pub cover: Option<Cover>,
    pub person: PersonKey,
}

impl PriorNotice {
    /// When it told the person of a loss of service.
    pub fn first_sent_ms(&self) -> Option<Millis> {
        let is_told = self.stage == Stage::First && self.state.is_told();
        self.sent_at_ms.filter(|_| is_told)
    }

    /// In the outbox and not claimed since it was planned: cannot have left.
    pub fn is_unsent(&self) -> bool {
        self.state == NoticeState::Pending && self.attempt == 0
    }
}

/// What is known of the incident that covers a person.
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts about an incident and a person"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    pub incident: IncidentNo,
    /// It still speaks for itself.
    pub open: bool,
    /// An operator has said that there was no such fault.
    pub rejected: bool,
    /// It told the person, and nobody has said that it is over.
    pub told: bool,
    /// Its first notice to the person is still in the outbox, or the one that says that it is over.
    pub pending: bool,
    /// When its first notice that is still in the outbox was planned.
    pub first_planned_ms: Option<Millis>,
    /// When it was planned to say that what it told is over, while that is in the outbox.
    pub closing_planned_ms: Option<Millis>,
    /// That service is back after what it told is in the outbox and has surely not left: it will not
    /// while another incident leaves the person without service. Never of one that was rejected.
    pub closing_waits: bool,
    /// Another incident that goes on in its place is about to say that it is over.
    pub closing_elsewhere: bool,
    /// When it told the person, the latest time.
    pub told_at_ms: Option<Millis>,
    /// What it told last, or is about to tell.
    pub facts: Option<Facts>,
    /// When it told that; `None` while it is in the outbox.
    pub facts_at_ms: Option<Millis>,
    /// The first notice that it sent to the person: where the mail thread begins.
    pub root: Option<NoticeId>,
}

impl Cover {
    /// Whether what the person knows of it may change while nothing is planned.
    pub fn is_unsettled(&self) -> bool {
        let is_telling = self.facts.is_some() && self.facts_at_ms.is_none();
        self.pending || self.closing_elsewhere || is_telling
    }
}

/// Whom a notice is for, as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    pub account: String,
    pub name: String,
    pub language: String,
    /// IANA name.
    pub time_zone: String,
    pub address: String,
    pub segment: Segment,
    pub vulnerable: bool,
    pub consent: bool,
    pub quiet_hours: Option<QuietHours>,
    pub opted_out: bool,
    /// E-mail addresses in the order of the import, with whether each was refused for good.
    pub emails: Vec<(String, bool)>,
}

impl Addressee {
    /// The first e-mail address that was not refused for good.
    pub fn email(&self) -> Option<&str> {
        self.emails
            .iter()
            .find(|(_, refused)| !refused)
            .map(|(address, _)| address.as_str())
    }
}

/// What rows about the same person repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonKey {
    pub cluster: String,
    pub arm: Arm,
    pub segment: Segment,
    pub vulnerable: bool,
    pub language: String,
    pub channel: Option<ChannelKind>,
}

impl PersonKey {
    /// Place in the queue, least first: who suffers most is told first.
    pub fn priority(&self) -> i64 {
        match (self.vulnerable, self.segment) {
            (true, _) => 0,
            (false, Segment::Business) => 1,
            (false, Segment::Residential) => 2,
        }
    }
}

/// Number of priorities, from 0.
pub const PRIORITIES: i64 = 3;
