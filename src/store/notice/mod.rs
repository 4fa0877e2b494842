//! Tables `notice`, `notice_attempt`, `opt_out`, `suppression`: plans, history.

mod coverage;
mod history;
mod recipient;
mod write;

pub use coverage::Histories;
pub use history::{AttemptRecord, NoticeCursor, NoticeFilter, NoticePage, NoticeRecord};

use super::outbox::read_episode;
use super::{Result, StoreError};
use crate::incident::IncidentNo;
use crate::notice::gate::HANDED_OVER;
use crate::notice::{Arm, Decision, Facts, NoticeId, NoticeState, PersonKey, PriorNotice, Stage};
use crate::subscriber::{ChannelKind, QuietHours, Segment};
use uuid::Uuid;

/// Rows per statement: at most 20 binds each, below SQLite's 32,766.
pub(in crate::store) const ROWS_PER_STATEMENT: usize = 1_000;

/// People that one statement names.
pub(in crate::store) const PEOPLE_PER_STATEMENT: usize = 5_000;

/// Columns of [`PriorRow`].
pub(in crate::store) const PRIOR_COLUMNS: &str = "notice_id, incident_no, account, episode, stage, \
     stage_no, state, state_reason, decision, attempt - attempts_before AS attempt, planned_at_ms, \
     sent_at_ms, facts, covered_by, cluster, arm, segment, vulnerable, language, channel";

/// A notice as planning and the gate see it.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::store) struct PriorRow {
    notice_id: Uuid,
    incident_no: i64,
    account: String,
    episode: i64,
    stage: String,
    stage_no: i64,
    state: String,
    state_reason: String,
    decision: String,
    attempt: i64,
    planned_at_ms: i64,
    sent_at_ms: Option<i64>,
    facts: String,
    covered_by: Option<i64>,
    cluster: String,
    arm: String,
    segment: String,
    vulnerable: bool,
    language: String,
    channel: String,
}

/// Error for a stored name that no version of this program writes.
pub(in crate::store) fn corrupt(what: &'static str, value: &str) -> StoreError {
    StoreError::Corrupt {
        what,
        reason: format!("unknown value `{value}`"),
    }
}

pub(in crate::store) fn read_stage(name: &str) -> Result<Stage> {
    Stage::parse(name).ok_or_else(|| corrupt("notice.stage", name))
}

fn read_state(name: &str) -> Result<NoticeState> {
    NoticeState::parse(name).ok_or_else(|| corrupt("notice.state", name))
}

fn read_decision(name: &str) -> Result<Decision> {
    Decision::parse(name).ok_or_else(|| corrupt("notice.decision", name))
}

pub(in crate::store) fn read_segment(name: &str) -> Result<Segment> {
    Segment::parse(name).ok_or_else(|| corrupt("segment", name))
}

pub(in crate::store) fn read_quiet_hours(text: &str) -> Result<Option<QuietHours>> {
    if text.is_empty() {
        return Ok(None);
    }
    let quiet = QuietHours::parse(text).ok_or_else(|| corrupt("subscriber.quiet_hours", text))?;
    Ok(Some(quiet))
}

pub(in crate::store) fn read_facts(text: &str) -> Result<Facts> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt {
        what: "notice.facts",
        reason: error.to_string(),
    })
}

impl PriorRow {
    /// The notice, without cover, and the number of the incident that covers it.
    pub(in crate::store) fn read(self) -> Result<(PriorNotice, Option<IncidentNo>)> {
        let state = read_state(&self.state)?;
        let compared = state.is_told() || state == NoticeState::Pending;
        let notice = PriorNotice {
            id: NoticeId(self.notice_id),
            account: self.account,
            episode: read_episode(self.episode)?,
            stage: read_stage(&self.stage)?,
            stage_no: read_episode(self.stage_no)?,
            state,
            decision: read_decision(&self.decision)?,
            over: state == NoticeState::NotSent && !self.state_reason.is_empty(),
            handed_over: state == NoticeState::Cancelled && self.state_reason == HANDED_OVER,
            heir_closed: false,
            attempt: read_episode(self.attempt)?,
            planned_at_ms: self.planned_at_ms,
            sent_at_ms: self.sent_at_ms,
            facts: if compared {
                Some(read_facts(&self.facts)?)
            } else {
                None
            },
            cover: None,
            person: PersonKey {
                cluster: self.cluster,
                arm: Arm::parse(&self.arm).ok_or_else(|| corrupt("notice.arm", &self.arm))?,
                segment: read_segment(&self.segment)?,
                vulnerable: self.vulnerable,
                language: self.language,
                channel: ChannelKind::ALL
                    .into_iter()
                    .find(|kind| kind.as_str() == self.channel),
            },
        };
        Ok((notice, self.covered_by.map(IncidentNo)))
    }

    /// The incident it belongs to.
    pub(in crate::store) fn incident(&self) -> IncidentNo {
        IncidentNo(self.incident_no)
    }
}

pub(in crate::store) const OPTED_OUT: &str =
    "EXISTS (SELECT 1 FROM opt_out o WHERE o.account = s.account)";

pub(in crate::store) fn facts_text(facts: &Facts) -> Result<String> {
    serde_json::to_string(facts).map_err(|error| StoreError::Corrupt {
        what: "notice.facts",
        reason: error.to_string(),
    })
}
