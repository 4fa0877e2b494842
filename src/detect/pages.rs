//! The state of detection for a checkpoint.

use super::Condition;
use super::Rule;
use super::absence::{Attendance, Presence};
use super::detector::{Detector, RuleState, Watch};
use super::series::Series;
use super::source_clock::SourceClock;
use crate::alarm::SourceId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Form of the pages.
const VERSION: u32 = 1;
/// Series of one page: some hundred kilobytes.
const SERIES_PER_PAGE: usize = 1_000;

/// Pages that are no state of detection.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    #[error("the state of detection cannot be read")]
    Encoding(#[from] postcard::Error),
    #[error("a rule of the state of detection cannot be read")]
    Rule(#[from] serde_json::Error),
    #[error("the state of detection has version {0}, expected {VERSION}")]
    Version(u32),
    #[error("the state of detection lacks its first page")]
    NoHead,
    #[error("the state of detection names rule {0}, which it does not have")]
    NoRule(usize),
}

#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    /// As JSON, and the number that was given last.
    rules: Vec<(String, u64)>,
    clocks: Vec<(SourceId, SourceClock)>,
}

#[derive(Serialize, Deserialize)]
struct Entry<K> {
    rule: usize,
    source: SourceId,
    resource: String,
    kept: K,
}

#[derive(Serialize)]
enum KeptRef<'a> {
    Values(&'a Series),
    Presence(&'a Presence),
}

#[derive(Deserialize)]
enum Kept {
    Values(Series),
    Presence(Presence),
}

impl Detector {
    /// The state in pages.
    pub fn pages(&self) -> Result<Vec<Vec<u8>>, PagesError> {
        let rules = self.rules.iter();
        let head = Head {
            version: VERSION,
            rules: rules
                .map(|state| Ok((serde_json::to_string(&state.rule)?, state.sequence)))
                .collect::<Result<_, PagesError>>()?,
            clocks: self.clocks.iter().map(|(k, v)| (*k, v.clone())).collect(),
        };
        let mut pages = vec![postcard::to_stdvec(&head)?];
        let mut entries = Vec::new();
        for (rule, state) in self.rules.iter().enumerate() {
            state.each(|source, resource, kept| {
                entries.push(Entry {
                    rule,
                    source,
                    resource: resource.to_owned(),
                    kept,
                });
            });
        }
        for chunk in entries.chunks(SERIES_PER_PAGE) {
            pages.push(postcard::to_stdvec(chunk)?);
        }
        Ok(pages)
    }

    /// The state of [`Self::pages`].
    pub fn from_pages<'a>(pages: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, PagesError> {
        let mut pages = pages.into_iter();
        let head = pages.next().ok_or(PagesError::NoHead)?;
        let (version, _) =
            postcard::take_from_bytes::<u32>(head).map_err(|_| PagesError::NoHead)?;
        if version != VERSION {
            return Err(PagesError::Version(version));
        }
        let head: Head = postcard::from_bytes(head)?;
        let mut rules = Vec::new();
        for (json, sequence) in head.rules {
            let rule: Rule = serde_json::from_str(&json)?;
            rules.push(RuleState {
                sequence,
                ..RuleState::new(rule)
            });
        }
        for page in pages {
            for entry in postcard::from_bytes::<Vec<Entry<Kept>>>(page)? {
                let rule = entry.rule;
                let state = rules.get_mut(rule).ok_or(PagesError::NoRule(rule))?;
                state.put(entry);
            }
        }
        for state in &mut rules {
            if let (Watch::Presence(sources), Condition::Absence(rule)) =
                (&mut state.watch, &state.rule.condition)
            {
                for attendance in sources.values_mut() {
                    attendance.plan_anew(rule);
                }
            }
            state.count();
        }
        Ok(Self::of(rules, head.clocks.into_iter().collect()))
    }
}

impl RuleState {
    fn each<'a>(&'a self, mut take: impl FnMut(SourceId, &'a str, KeptRef<'a>)) {
        match &self.watch {
            Watch::Values(sources) => {
                for (source, all) in sources {
                    for (resource, series) in all {
                        take(*source, resource, KeptRef::Values(series));
                    }
                }
            }
            Watch::Presence(sources) => {
                for (source, attendance) in sources {
                    for (resource, presence) in &attendance.resources {
                        take(*source, resource, KeptRef::Presence(presence));
                    }
                }
            }
        }
    }

    /// What does not fit the kind of the rule was not written by [`Detector::pages`].
    fn put(&mut self, entry: Entry<Kept>) {
        let resource: Arc<str> = entry.resource.into();
        match (&mut self.watch, entry.kept) {
            (Watch::Values(sources), Kept::Values(series)) => {
                let all = sources.entry(entry.source).or_default();
                all.insert(resource, series);
            }
            (Watch::Presence(sources), Kept::Presence(presence)) => {
                let attendance: &mut Attendance = sources.entry(entry.source).or_default();
                attendance.resources.insert(resource, presence);
            }
            _ => {}
        }
    }
}
