//! Which faults are like one another.

use crate::incident::{CauseKind, Incident, PartClass};
use std::fmt;

/// How many lost service, the most at one time, by powers of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    UnderTen,
    Tens,
    Hundreds,
    Thousands,
    TenThousands,
}

impl Size {
    /// The size of a fault that takes service from so many.
    pub fn of(affected: u64) -> Self {
        match affected {
            0..10 => Self::UnderTen,
            10..100 => Self::Tens,
            100..1_000 => Self::Hundreds,
            1_000..10_000 => Self::Thousands,
            _ => Self::TenThousands,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::UnderTen => "fewer than 10 affected",
            Self::Tens => "10 to 99 affected",
            Self::Hundreds => "100 to 999 affected",
            Self::Thousands => "1,000 to 9,999 affected",
            Self::TenThousands => "10,000 or more affected",
        }
    }
}

/// All by which a fault is compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Like {
    pub kind: CauseKind,
    pub class: PartClass,
    pub size: Size,
}

impl Like {
    /// Of an incident, as far as is known by now.
    pub fn of(incident: &Incident) -> Self {
        Self {
            kind: incident.cause.kind,
            class: incident.cause.class,
            size: Size::of(incident.affected_peak),
        }
    }

    /// What to compare by, the closest first. Faults of parts that nobody knows have only their kind
    /// in common.
    pub fn chain(self) -> Vec<Likeness> {
        let Self { kind, class, size } = self;
        let likeness = |class, size| Likeness { kind, class, size };
        let class = Some(class).filter(|class| *class != PartClass::Unknown);
        let mut chain = Vec::with_capacity(3);
        if class.is_some() {
            chain.push(likeness(class, Some(size)));
            chain.push(likeness(class, None));
        }
        chain.push(likeness(None, None));
        chain
    }
}

/// What faults have in common that count as like each other; `None` is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness {
    pub kind: CauseKind,
    pub class: Option<PartClass>,
    pub size: Option<Size>,
}

impl Likeness {
    /// Whether a fault has this in common.
    pub fn covers(&self, like: &Like) -> bool {
        self.kind == like.kind
            && self.class.is_none_or(|class| class == like.class)
            && self.size.is_none_or(|size| size == like.size)
    }
}

/// For operators: "equipment, olt, 100 to 999 affected".
impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.as_str().replace('_', " "))?;
        if let Some(class) = self.class {
            write!(f, ", {}", class.as_str().replace('_', " "))?;
        }
        if let Some(size) = self.size {
            write!(f, ", {}", size.words())?;
        }
        Ok(())
    }
}
