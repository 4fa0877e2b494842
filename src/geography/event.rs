//! An area that somebody has declared: where, what it means, from when to when, and how alerts of
//! one chain become one event.

use super::area::{Area, ReadArea};
use super::cap::{CapIdentity, CapText, read_cap};
use super::geojson::read_geojson;
use super::impact::Affects;
use super::problem::{AreaError, AreaFault};
use crate::clock::Millis;
use crate::topology::Position;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of a declared area; counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AreaNo(pub i64);

impl fmt::Display for AreaNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AREA-{}", self.0)
    }
}

impl AreaNo {
    /// Reads "AREA-7", in any case, or "7".
    pub fn parse(text: &str) -> Option<Self> {
        let digits = match text.get(..5) {
            Some(prefix) if prefix.eq_ignore_ascii_case("AREA-") => &text[5..],
            _ => text,
        };
        let no = digits.parse().ok().filter(|&no| no > 0)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then_some(Self(no))
    }
}

/// An area as it was given. The text is kept as it came, so that what was declared can be shown and
/// read again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "snake_case")]
pub enum AreaDocument {
    Geojson { text: String },
    Cap { text: String },
    Disc { centre: Position, radius_m: f64 },
}

impl AreaDocument {
    /// Name of its form: "geojson", "cap" or "disc".
    pub fn format(&self) -> &'static str {
        match self {
            Self::Geojson { .. } => "geojson",
            Self::Cap { .. } => "cap",
            Self::Disc { .. } => "disc",
        }
    }

    /// Reads the area in it.
    pub fn read(&self) -> Result<ReadArea, Vec<AreaError>> {
        match self {
            Self::Geojson { text } => read_geojson(text),
            Self::Cap { text } => {
                let none = || vec![AreaError::new("cap", AreaFault::NoShape)];
                read_cap(text)?.area.ok_or_else(none)
            }
            Self::Disc { centre, radius_m } => Area::within_metres(*centre, *radius_m)
                .map(|area| ReadArea {
                    area,
                    warnings: Vec::new(),
                })
                .map_err(|error| vec![error]),
        }
    }
}

/// What is declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AreaDeclaration {
    /// What people call the area. May be empty.
    pub name: String,
    pub affects: Affects,
    pub document: AreaDocument,
    pub onset_ms: Millis,
    /// When it ends by itself; `None`: when somebody ends it.
    pub expires_ms: Option<Millis>,
    /// Of an alert, in its languages.
    pub texts: Vec<CapText>,
    /// Free text for colleagues.
    pub note: String,
}

/// How a declared area was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaEnd {
    pub at_ms: Millis,
    pub by: String,
    pub reason: String,
}

/// A declared area.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AreaEvent {
    pub no: AreaNo,
    /// Counts its changes, from 1.
    pub revision: u32,
    #[serde(flatten)]
    pub declaration: AreaDeclaration,
    pub declared_at_ms: Millis,
    /// Name of the token.
    pub declared_by: String,
    pub changed_at_ms: Millis,
    pub end: Option<AreaEnd>,
}

/// Where an area is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaState {
    Scheduled,
    Active,
    Expired,
    Ended,
}

impl AreaState {
    /// Name in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }
}

impl AreaEvent {
    /// Its state at an instant.
    pub fn state(&self, now_ms: Millis) -> AreaState {
        if self.end.is_some() {
            AreaState::Ended
        } else if self.declaration.expires_ms.is_some_and(|at| at <= now_ms) {
            AreaState::Expired
        } else if now_ms < self.declaration.onset_ms {
            AreaState::Scheduled
        } else {
            AreaState::Active
        }
    }
}

/// What an alert does to what has been declared before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertStep {
    /// It was taken before: nothing.
    Known(AreaNo),
    /// It was withdrawn before it came: nothing.
    Withdrawn,
    /// Declares an area.
    Declare,
    /// Takes the place of the first area and ends the others.
    Replace(AreaNo, Vec<AreaNo>),
    /// Ends areas; there may be none.
    End(Vec<AreaNo>),
}

/// What is known of a message of an alert chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownMessage {
    /// `None`: it was cancelled before it came.
    pub area: Option<AreaNo>,
    /// The area has not been ended.
    pub open: bool,
}

/// Decides what a message does. `own` is what is known of the message itself, `referred` of those it
/// refers to, in their order.
///
/// Alerts come twice, and in the wrong order: a message that was taken before does nothing, and so
/// does one that a later message has replaced or cancelled before it came. An area that was ended is
/// not revived by an update of it: the update declares a new one.
pub fn alert_step(
    message: super::CapMessage,
    own: Option<KnownMessage>,
    referred: &[Option<KnownMessage>],
) -> AlertStep {
    use super::CapMessage;
    match own {
        Some(KnownMessage { area: Some(no), .. }) => return AlertStep::Known(no),
        Some(KnownMessage { area: None, .. }) => return AlertStep::Withdrawn,
        None => {}
    }
    let mut open: Vec<AreaNo> = Vec::new();
    for known in referred.iter().flatten().filter(|known| known.open) {
        open.extend(known.area.filter(|no| !open.contains(no)));
    }
    match message {
        CapMessage::Alert => AlertStep::Declare,
        CapMessage::Cancel => AlertStep::End(open),
        CapMessage::Update if open.is_empty() => AlertStep::Declare,
        CapMessage::Update => AlertStep::Replace(open.remove(0), open),
    }
}

/// An alert that is ready to be taken: who it is, what it does, and what it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertChain {
    pub identity: CapIdentity,
    pub message: super::CapMessage,
    pub references: Vec<CapIdentity>,
}
