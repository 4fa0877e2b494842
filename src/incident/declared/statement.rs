//! What is declared, as it is kept and as it bears on one version of the network.

use crate::clock::Millis;
use crate::geography::{Affects, AreaEvent, AreaImpact, AreaNo};
use crate::incident::{CauseKind, Estimate};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What is declared; in the order in which declarations claim the alarms that several explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclarationId {
    Area(AreaNo),
    /// An incident that an operator opened by hand; counts from 1.
    Fault(i64),
    /// Planned work; counts from 1.
    Work(i64),
}

impl DeclarationId {
    /// Reads "AREA-7", "FAULT-7" or "WORK-7", in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, digits) = text.split_once('-')?;
        let is_number = digits.bytes().all(|b| b.is_ascii_digit());
        let no: i64 = digits.parse().ok().filter(|&no| is_number && no > 0)?;
        match kind.to_ascii_uppercase().as_str() {
            "AREA" => Some(Self::Area(AreaNo(no))),
            "FAULT" => Some(Self::Fault(no)),
            "WORK" => Some(Self::Work(no)),
            _ => None,
        }
    }
}

impl fmt::Display for DeclarationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Area(no) => write!(f, "{no}"),
            Self::Fault(no) => write!(f, "FAULT-{no}"),
            Self::Work(no) => write!(f, "WORK-{no}"),
        }
    }
}

/// One state of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeclarationRef {
    pub id: DeclarationId,
    /// Counts its changes, from 1.
    pub revision: u32,
}

/// How a declaration was ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclarationEnd {
    pub at_ms: Millis,
    /// Name of the operator's token.
    pub by: String,
    pub reason: String,
}

/// What somebody declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    #[serde(flatten)]
    pub reference: DeclarationRef,
    /// Ids of elements, links and groups; empty for an area.
    pub resources: Vec<String>,
    /// The area whose shape it has.
    pub area: Option<AreaNo>,
    /// What has failed, by the one who declares it; of planned work always [`CauseKind::PlannedWork`].
    pub kind: CauseKind,
    /// In plain words: the cause of a fault, the title of planned work, the name of an area.
    pub text: String,
    /// Begin of the loss, or of the window of planned work; by the clock of the world.
    pub since_ms: Millis,
    /// When it ends by itself; of planned work the end of its window.
    pub until_ms: Option<Millis>,
    pub estimate: Option<Estimate>,
    pub declared_at_ms: Millis,
    /// Name of the token.
    pub declared_by: String,
    pub end: Option<DeclarationEnd>,
}

impl Statement {
    /// What an area states.
    pub fn of_area(event: &AreaEvent) -> Self {
        let declaration = &event.declaration;
        Self {
            reference: DeclarationRef {
                id: DeclarationId::Area(event.no),
                revision: event.revision,
            },
            resources: Vec::new(),
            area: Some(event.no),
            kind: match declaration.affects {
                Affects::PowerLostInside => CauseKind::Power,
                Affects::ServiceLostInside | Affects::Information => CauseKind::Unknown,
            },
            text: declaration.name.clone(),
            since_ms: declaration.onset_ms,
            until_ms: declaration.expires_ms,
            estimate: None,
            declared_at_ms: event.declared_at_ms,
            declared_by: event.declared_by.clone(),
            end: event.end.as_ref().map(|end| DeclarationEnd {
                at_ms: end.at_ms,
                by: end.by.clone(),
                reason: end.reason.clone(),
            }),
        }
    }

    /// Its id with its text, for people: "WORK-3 (new line cards)".
    pub fn title(&self) -> String {
        let id = self.reference.id;
        if self.text.is_empty() {
            id.to_string()
        } else {
            format!("{id} ({})", self.text)
        }
    }

    /// When it ended or will end, as far as is known.
    pub fn ends_ms(&self) -> Option<Millis> {
        let by_hand = self.end.as_ref().map(|end| end.at_ms);
        by_hand.into_iter().chain(self.until_ms).min()
    }

    /// The revision that gave it its present scope: to end something changes no scope.
    pub fn scope_revision(&self) -> u32 {
        self.reference
            .revision
            .saturating_sub(self.end.is_some().into())
    }

    /// Whether it has begun and not ended at an instant.
    pub fn is_current(&self, now_ms: Millis) -> bool {
        self.end.is_none()
            && self.since_ms <= now_ms
            && self.until_ms.is_none_or(|until_ms| now_ms < until_ms)
    }
}

/// A statement with what it means on one version of the network.
#[derive(Clone, Debug)]
pub struct Declaration {
    pub statement: Arc<Statement>,
    /// What its area holds and does, on the version of the network that the correlator has; `None`
    /// without an area.
    pub area: Option<Arc<AreaImpact>>,
}

impl Declaration {
    /// Its number and revision.
    pub fn reference(&self) -> DeclarationRef {
        self.statement.reference
    }

    /// Whether it is planned work.
    pub fn is_work(&self) -> bool {
        matches!(self.reference().id, DeclarationId::Work(_))
    }
}
