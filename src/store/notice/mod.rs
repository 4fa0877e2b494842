//! Tables `notice`, `notice_attempt`, `opt_out`, `suppression`: plans, history.

use super::outbox::read_episode;
use super::{Result, Store, StoreError, Tx, on_read, on_tx};
use crate::clock::Millis;
use crate::incident::IncidentNo;
use crate::notice::gate::HANDED_OVER;
use crate::notice::plan::Plan;
use crate::notice::standing::cover;
use crate::notice::{
    Arm, Coverage, Decision, Facts, NoticeId, NoticeState, PersonKey, PriorNotice, Recipient, Stage,
};
use crate::subscriber::{ChannelKind, QuietHours, Segment};
use crate::topology::SubscriberNo;
use sqlx::QueryBuilder;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Rows per statement: at most 20 binds each, below SQLite's 32,766.
pub(in crate::store) const ROWS_PER_STATEMENT: usize = 1_000;

const DAY_MS: Millis = 24 * 3_600_000;

/// Columns of [`PriorRow`].
pub(in crate::store) const PRIOR_COLUMNS: &str = "notice_id, incident_no, account, episode, stage, \
     stage_no, state, state_reason, decision, attempt, planned_at_ms, sent_at_ms, facts, \
     covered_by, cluster, arm, segment, vulnerable, language, channel";

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

#[allow(clippy::struct_excessive_bools, reason = "columns of a row")]
#[derive(Debug, sqlx::FromRow)]
struct RecipientRow {
    account: String,
    language: String,
    time_zone: String,
    segment: String,
    vulnerable: bool,
    consent: bool,
    quiet_hours: String,
    channels: String,
    has_email: bool,
    usable_email: bool,
    opted_out: bool,
}

impl RecipientRow {
    fn read(self) -> Result<Recipient> {
        let channels: Vec<ChannelKind> =
            serde_json::from_str(&self.channels).map_err(|error| StoreError::Corrupt {
                what: "subscriber.channels",
                reason: error.to_string(),
            })?;
        Ok(Recipient {
            account: self.account,
            language: self.language,
            time_zone: self.time_zone,
            segment: read_segment(&self.segment)?,
            vulnerable: self.vulnerable,
            consent: self.consent,
            quiet_hours: read_quiet_hours(&self.quiet_hours)?,
            channels,
            has_email: self.has_email,
            opted_out: self.opted_out,
            suppressed: self.has_email && !self.usable_email,
            sent_last_day: 0,
            cluster: String::new(),
            arm: Arm::NotAssigned,
            covered_by: None,
        })
    }
}

/// True when the person has an e-mail address.
const HAS_EMAIL: &str = "EXISTS (SELECT 1 FROM contact_point c WHERE c.version = s.version \
     AND c.subscriber_no = s.subscriber_no AND c.kind = 'email')";

/// True when one of them has not been refused for good.
const USABLE_EMAIL: &str = "EXISTS (SELECT 1 FROM contact_point c WHERE c.version = s.version \
     AND c.subscriber_no = s.subscriber_no AND c.kind = 'email' AND NOT EXISTS \
     (SELECT 1 FROM suppression p WHERE p.address_key = c.value_key))";

pub(in crate::store) const OPTED_OUT: &str =
    "EXISTS (SELECT 1 FROM opt_out o WHERE o.account = s.account)";

impl Tx {
    /// Every notice of an incident. On PostgreSQL the rows stay locked until the transaction ends,
    /// so that nothing planned from them leaves meanwhile.
    ///
    /// Incidents that this transaction changes must be written before, as `cover` reads their
    /// state.
    pub async fn prior_notices(&mut self, incident: IncidentNo) -> Result<Vec<PriorNotice>> {
        let lock = match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE",
        };
        let rows: Vec<PriorRow> = on_tx!(self, conn => {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(PRIOR_COLUMNS).push(" FROM notice WHERE incident_no = ")
                .push_bind(incident.0).push(" ORDER BY notice_id").push(lock);
            query.build_query_as().fetch_all(conn).await?
        });
        let mut notices = Vec::with_capacity(rows.len());
        let mut covered: BTreeMap<IncidentNo, Vec<usize>> = BTreeMap::new();
        for row in rows {
            let (notice, cover) = row.read()?;
            if let Some(by) = cover {
                covered.entry(by).or_default().push(notices.len());
            }
            notices.push(notice);
        }
        for (by, places) in covered {
            self.fill_cover(by, &places, &mut notices).await?;
        }
        Ok(notices)
    }

    async fn fill_cover(
        &mut self,
        by: IncidentNo,
        places: &[usize],
        notices: &mut [PriorNotice],
    ) -> Result<()> {
        const OPEN: &str = "SELECT count(*) FROM incident WHERE incident_no = $1 AND open";
        let open: i64 =
            on_tx!(self, conn => sqlx::query_scalar(OPEN).bind(by.0).fetch_one(conn).await?);
        let accounts: Vec<String> = places
            .iter()
            .map(|place| notices[*place].account.clone())
            .collect();
        let mut told: BTreeMap<String, Vec<PriorNotice>> = BTreeMap::new();
        for chunk in accounts.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<PriorRow> = on_tx!(self, conn => {
                let mut query = QueryBuilder::new("SELECT ");
                query.push(PRIOR_COLUMNS).push(" FROM notice WHERE incident_no = ")
                    .push_bind(by.0).push(" AND account IN (");
                let mut list = query.separated(", ");
                for account in chunk {
                    list.push_bind(account);
                }
                query.push(")");
                query.build_query_as().fetch_all(conn).await?
            });
            for row in rows {
                let (notice, _) = row.read()?;
                told.entry(notice.account.clone()).or_default().push(notice);
            }
        }
        for place in places {
            let notice = &mut notices[*place];
            let known = told.get(&notice.account).map_or(&[][..], Vec::as_slice);
            notice.cover = Some(cover(by, open > 0, known));
        }
        Ok(())
    }

    /// The people behind subscriber numbers of a version of the subscribers; numbers that do not
    /// exist there are left out. Cluster, arm and coverage are the caller's to fill in.
    pub async fn recipients(
        &mut self,
        subscribers_version: i64,
        numbers: &[SubscriberNo],
        now_ms: Millis,
    ) -> Result<Vec<Recipient>> {
        let mut recipients = Vec::with_capacity(numbers.len());
        for chunk in numbers.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<RecipientRow> = on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "SELECT s.account, s.language, s.time_zone, s.segment, s.vulnerable, s.consent, \
                     s.quiet_hours, s.channels, ");
                query.push(HAS_EMAIL).push(" AS has_email, ")
                    .push(USABLE_EMAIL).push(" AS usable_email, ")
                    .push(OPTED_OUT).push(" AS opted_out FROM subscriber s WHERE s.version = ")
                    .push_bind(subscribers_version).push(" AND s.subscriber_no IN (");
                let mut list = query.separated(", ");
                for number in chunk {
                    list.push_bind(i64::from(number.0));
                }
                query.push(")");
                query.build_query_as().fetch_all(conn).await?
            });
            let start = recipients.len();
            for row in rows {
                recipients.push(row.read()?);
            }
            self.fill_sent_last_day(&mut recipients[start..], now_ms)
                .await?;
        }
        Ok(recipients)
    }

    async fn fill_sent_last_day(
        &mut self,
        recipients: &mut [Recipient],
        now_ms: Millis,
    ) -> Result<()> {
        if recipients.is_empty() {
            return Ok(());
        }
        let counts: Vec<(String, i64)> = on_tx!(self, conn => {
            let mut query = QueryBuilder::new(
                "SELECT account, count(*) FROM notice WHERE state IN ('sent', 'delivered') \
                 AND stage IN ('first', 'update', 'estimate') AND sent_at_ms > ");
            query.push_bind(now_ms - DAY_MS).push(" AND account IN (");
            let mut list = query.separated(", ");
            for recipient in recipients.iter() {
                list.push_bind(&recipient.account);
            }
            query.push(") GROUP BY account");
            query.build_query_as().fetch_all(conn).await?
        });
        let counts: BTreeMap<String, i64> = counts.into_iter().collect();
        for recipient in recipients {
            let count = counts.get(&recipient.account).copied().unwrap_or(0);
            recipient.sent_last_day = u32::try_from(count).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    /// Which of the people another incident has told, or is about to: an open one, or one of
    /// those that this incident has taken over.
    pub async fn told_elsewhere(
        &mut self,
        incident: IncidentNo,
        merged: &[IncidentNo],
        accounts: &[&str],
    ) -> Result<BTreeMap<String, Coverage>> {
        let mut elsewhere: BTreeMap<String, Coverage> = BTreeMap::new();
        for chunk in accounts.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<(String, i64, String, Option<i64>)> = on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "SELECT n.account, n.incident_no, n.state, n.covered_by FROM notice n \
                     JOIN incident i ON i.incident_no = n.incident_no WHERE n.stage = 'first' \
                     AND (n.state IN ('pending', 'sent', 'delivered') OR n.decision = 'covered') \
                     AND NOT EXISTS (SELECT 1 FROM notice c WHERE c.incident_no = n.incident_no \
                     AND c.account = n.account AND c.episode >= n.episode \
                     AND c.stage IN ('restored', 'retraction') \
                     AND (c.state IN ('pending', 'sent', 'delivered') \
                     OR c.state = 'cancelled' AND c.state_reason = 'still_affected')) \
                     AND n.incident_no <> ");
                query.push_bind(incident.0).push(" AND (i.open");
                if !merged.is_empty() {
                    query.push(" OR n.incident_no IN (");
                    let mut list = query.separated(", ");
                    for number in merged {
                        list.push_bind(number.0);
                    }
                    query.push(")");
                }
                query.push(") AND n.account IN (");
                let mut list = query.separated(", ");
                for account in chunk {
                    list.push_bind(*account);
                }
                query.push(") ORDER BY n.account, n.incident_no");
                query.build_query_as().fetch_all(conn).await?
            });
            for (account, by, state, covered_by) in rows {
                let origin = IncidentNo(match state.as_str() {
                    "not_sent" => covered_by.unwrap_or(by),
                    _ => by,
                });
                let settled = state != "pending";
                if origin == incident {
                    continue;
                }
                let coverage = Coverage {
                    incident: origin,
                    settled,
                };
                let kept = elsewhere.entry(account).or_insert(coverage);
                if settled && !kept.settled {
                    *kept = coverage;
                }
            }
        }
        Ok(elsewhere)
    }

    /// Writes a plan. A notice whose key exists replaces it only if that one never left.
    pub async fn write_plan(&mut self, plan: &Plan) -> Result<()> {
        // SQLite checks the primary key too, so there the clause stands for both keys, which
        // always meet in the same row.
        let target = match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => "(incident_no, account, episode, stage, stage_no) ",
        };
        let mut by_reason: BTreeMap<&str, Vec<NoticeId>> = BTreeMap::new();
        for (id, reason) in &plan.cancel {
            by_reason.entry(reason).or_default().push(*id);
        }
        for (reason, ids) in by_reason {
            self.cancel_unsent(&ids, reason).await?;
        }
        let mut links: BTreeMap<IncidentNo, Vec<NoticeId>> = BTreeMap::new();
        for (id, by) in &plan.link {
            links.entry(*by).or_default().push(*id);
        }
        for (by, ids) in links {
            self.link_cover(&ids, by).await?;
        }
        for chunk in plan.notices.chunks(ROWS_PER_STATEMENT) {
            let mut rows = Vec::with_capacity(chunk.len());
            for notice in chunk {
                rows.push((notice, facts_text(&notice.facts)?));
            }
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "INSERT INTO notice (notice_id, incident_no, account, episode, stage, stage_no, \
                     channel, decision, covered_by, cluster, arm, segment, vulnerable, language, \
                     priority, state, state_reason, planned_at_ms, available_at_ms, \
                     useless_after_ms, attempt, sent_at_ms, facts, template_version, subject, body) ",
                );
                query.push_values(rows, |mut row, (n, facts)| {
                    row.push_bind(n.id.0).push_bind(n.incident.0).push_bind(n.account.clone())
                        .push_bind(i64::from(n.episode)).push_bind(n.stage.as_str())
                        .push_bind(i64::from(n.stage_no))
                        .push_bind(n.person.channel.map_or("", ChannelKind::as_str))
                        .push_bind(n.decision.as_str()).push_bind(n.covered_by.map(|no| no.0))
                        .push_bind(n.person.cluster.clone()).push_bind(n.person.arm.as_str())
                        .push_bind(n.person.segment.as_str()).push_bind(n.person.vulnerable)
                        .push_bind(n.person.language.clone()).push_bind(n.person.priority())
                        .push_bind(n.state().as_str()).push("''").push_bind(n.planned_at_ms)
                        .push_bind(n.available_at_ms).push_bind(n.useless_after_ms)
                        .push("0, NULL").push_bind(facts).push("'', '', ''");
                });
                query.push(" ON CONFLICT ").push(target).push(
                    "DO UPDATE SET channel = excluded.channel, decision = excluded.decision, \
                     covered_by = excluded.covered_by, cluster = excluded.cluster, \
                     arm = excluded.arm, segment = excluded.segment, \
                     vulnerable = excluded.vulnerable, language = excluded.language, \
                     priority = excluded.priority, state = excluded.state, state_reason = '', \
                     planned_at_ms = excluded.planned_at_ms, \
                     available_at_ms = excluded.available_at_ms, \
                     useless_after_ms = excluded.useless_after_ms, facts = excluded.facts \
                     WHERE notice.state IN ('not_sent', 'cancelled')");
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }

    async fn link_cover(&mut self, ids: &[NoticeId], by: IncidentNo) -> Result<()> {
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new("UPDATE notice SET covered_by = ");
                query.push_bind(by.0).push(" WHERE notice_id IN (");
                let mut list = query.separated(", ");
                for id in chunk {
                    list.push_bind(id.0);
                }
                query.push(")");
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }

    /// Cancels pending notices that were never claimed, and notes the reason on those that were
    /// not to be sent.
    async fn cancel_unsent(&mut self, ids: &[NoticeId], reason: &str) -> Result<()> {
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "UPDATE notice SET state = CASE state WHEN 'pending' THEN 'cancelled' \
                     ELSE state END, state_reason = ");
                query.push_bind(reason).push(
                    " WHERE (state IN ('not_sent', 'cancelled') OR state = 'pending' AND attempt = 0) \
                     AND notice_id IN (");
                let mut list = query.separated(", ");
                for id in chunk {
                    list.push_bind(id.0);
                }
                query.push(")");
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }

    /// Notes that a person does not want to be told; the first time counts.
    pub async fn opt_out(&mut self, account: &str, now_ms: Millis, via: &str) -> Result<()> {
        const SQL: &str = "INSERT INTO opt_out (account, at_ms, via) VALUES ($1, $2, $3) \
             ON CONFLICT (account) DO NOTHING";
        on_tx!(self, conn => {
            sqlx::query(SQL).bind(account).bind(now_ms).bind(via).execute(conn).await?;
        });
        Ok(())
    }
}

pub(in crate::store) fn facts_text(facts: &Facts) -> Result<String> {
    serde_json::to_string(facts).map_err(|error| StoreError::Corrupt {
        what: "notice.facts",
        reason: error.to_string(),
    })
}

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
     sent_at_ms, attempt, template_version, subject, body";

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
