//! Notices as operators and care look at them.

use super::{read_decision, read_facts, read_stage, read_state};
use crate::clock::Millis;
use crate::incident::IncidentNo;
use crate::notice::{Decision, NoticeId, NoticeState, Stage};
use crate::store::outbox::read_episode;
use crate::store::{Result, Store, on_read};
use sqlx::QueryBuilder;
use uuid::Uuid;

/// What to look for in the history; `None` means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeFilter {
    pub incident: Option<IncidentNo>,
    pub account: Option<String>,
    pub stage: Option<Stage>,
    pub decision: Option<Decision>,
    pub state: Option<NoticeState>,
    /// Planned at this instant or later.
    pub from_ms: Option<Millis>,
    /// Planned before this instant.
    pub to_ms: Option<Millis>,
}

/// Place in the history after which the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticeCursor {
    pub planned_at_ms: Millis,
    pub id: NoticeId,
}

impl std::fmt::Display for NoticeCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.planned_at_ms, self.id.0.simple())
    }
}

impl NoticeCursor {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (planned_at_ms, id) = text.split_once('.')?;
        Some(Self {
            planned_at_ms: planned_at_ms.parse().ok()?,
            id: NoticeId(Uuid::parse_str(id).ok()?),
        })
    }
}

/// One page of the history, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticePage {
    pub after: Option<NoticeCursor>,
    /// 1 to 1,000.
    pub size: u32,
}

/// A notice as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRecord {
    pub id: NoticeId,
    pub incident: IncidentNo,
    pub account: String,
    pub episode: u32,
    pub stage: Stage,
    pub stage_no: u32,
    /// Empty when there is none.
    pub channel: String,
    pub decision: Decision,
    pub covered_by: Option<IncidentNo>,
    pub state: NoticeState,
    pub state_reason: String,
    pub language: String,
    /// Since when the person is without service, as it says or would have said.
    pub lost_since_ms: Millis,
    pub planned_at_ms: Millis,
    pub available_at_ms: Millis,
    pub sent_at_ms: Option<Millis>,
    /// Claims of the outbox so far.
    pub attempt: u32,
    pub template_version: String,
    /// Exactly what was sent; empty before.
    pub subject: String,
    pub body: String,
}

/// One try to hand a notice to its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub attempt: u32,
    pub at_ms: Millis,
    /// sent, retry or failed.
    pub outcome: String,
    pub detail: String,
}

const RECORD_COLUMNS: &str = "notice_id, incident_no, account, episode, stage, stage_no, channel, \
     decision, covered_by, state, state_reason, language, planned_at_ms, available_at_ms, \
     sent_at_ms, attempt, template_version, subject, body, facts";

#[derive(Debug, sqlx::FromRow)]
struct RecordRow {
    notice_id: Uuid,
    incident_no: i64,
    account: String,
    episode: i64,
    stage: String,
    stage_no: i64,
    channel: String,
    decision: String,
    covered_by: Option<i64>,
    state: String,
    state_reason: String,
    language: String,
    planned_at_ms: i64,
    available_at_ms: i64,
    sent_at_ms: Option<i64>,
    attempt: i64,
    template_version: String,
    subject: String,
    body: String,
    facts: String,
}

impl RecordRow {
    fn read(self) -> Result<NoticeRecord> {
        Ok(NoticeRecord {
            id: NoticeId(self.notice_id),
            incident: IncidentNo(self.incident_no),
            account: self.account,
            episode: read_episode(self.episode)?,
            stage: read_stage(&self.stage)?,
            stage_no: read_episode(self.stage_no)?,
            channel: self.channel,
            decision: read_decision(&self.decision)?,
            covered_by: self.covered_by.map(IncidentNo),
            state: read_state(&self.state)?,
            state_reason: self.state_reason,
            language: self.language,
            lost_since_ms: read_facts(&self.facts)?.onset_ms,
            planned_at_ms: self.planned_at_ms,
            available_at_ms: self.available_at_ms,
            sent_at_ms: self.sent_at_ms,
            attempt: read_episode(self.attempt)?,
            template_version: self.template_version,
            subject: self.subject,
            body: self.body,
        })
    }
}

impl Store {
    /// A page of the history, newest first, and where the next one begins.
    pub async fn list_notices(
        &self,
        filter: &NoticeFilter,
        page: NoticePage,
    ) -> Result<(Vec<NoticeRecord>, Option<NoticeCursor>)> {
        let size = page.size.clamp(1, 1_000);
        let rows: Vec<RecordRow> = on_read!(self, pool => {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(RECORD_COLUMNS).push(" FROM notice WHERE 1 = 1");
            if let Some(incident) = filter.incident {
                query.push(" AND incident_no = ").push_bind(incident.0);
            }
            if let Some(account) = &filter.account {
                query.push(" AND account = ").push_bind(account);
            }
            if let Some(stage) = filter.stage {
                query.push(" AND stage = ").push_bind(stage.as_str());
            }
            if let Some(decision) = filter.decision {
                query.push(" AND decision = ").push_bind(decision.as_str());
            }
            if let Some(state) = filter.state {
                query.push(" AND state = ").push_bind(state.as_str());
            }
            if let Some(from_ms) = filter.from_ms {
                query.push(" AND planned_at_ms >= ").push_bind(from_ms);
            }
            if let Some(to_ms) = filter.to_ms {
                query.push(" AND planned_at_ms < ").push_bind(to_ms);
            }
            if let Some(after) = page.after {
                query.push(" AND (planned_at_ms, notice_id) < (").push_bind(after.planned_at_ms)
                    .push(", ").push_bind(after.id.0).push(")");
            }
            query.push(" ORDER BY planned_at_ms DESC, notice_id DESC LIMIT ")
                .push_bind(i64::from(size) + 1);
            query.build_query_as().fetch_all(pool).await?
        });
        let more = rows.len() > size as usize;
        let records: Vec<NoticeRecord> = rows
            .into_iter()
            .take(size as usize)
            .map(RecordRow::read)
            .collect::<Result<_>>()?;
        let next = records.last().filter(|_| more).map(|last| NoticeCursor {
            planned_at_ms: last.planned_at_ms,
            id: last.id,
        });
        Ok((records, next))
    }

    /// One notice with its attempts.
    pub async fn notice(&self, id: NoticeId) -> Result<Option<(NoticeRecord, Vec<AttemptRecord>)>> {
        const ATTEMPTS: &str = "SELECT attempt, at_ms, outcome, detail FROM notice_attempt \
             WHERE notice_id = $1 ORDER BY attempt";
        let row: Option<RecordRow> = on_read!(self, pool => {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(RECORD_COLUMNS).push(" FROM notice WHERE notice_id = ").push_bind(id.0);
            query.build_query_as().fetch_optional(pool).await?
        });
        let Some(row) = row else { return Ok(None) };
        let attempts: Vec<(i64, i64, String, String)> = on_read!(self, pool =>
            sqlx::query_as(ATTEMPTS).bind(id.0).fetch_all(pool).await?);
        let attempts = attempts
            .into_iter()
            .map(|(attempt, at_ms, outcome, detail)| {
                Ok(AttemptRecord {
                    attempt: read_episode(attempt)?,
                    at_ms,
                    outcome,
                    detail,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Some((row.read()?, attempts)))
    }

    /// The latest notices of a person, newest first.
    pub async fn notices_of_account(&self, account: &str, limit: u32) -> Result<Vec<NoticeRecord>> {
        let rows: Vec<RecordRow> = on_read!(self, pool => {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(RECORD_COLUMNS).push(" FROM notice WHERE account = ").push_bind(account)
                .push(" ORDER BY planned_at_ms DESC, notice_id DESC LIMIT ")
                .push_bind(i64::from(limit));
            query.build_query_as().fetch_all(pool).await?
        });
        rows.into_iter().map(RecordRow::read).collect()
    }
}
