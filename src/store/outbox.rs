//! Table `notice` as an outbox: claim by lease, settle by attempt, retry, dead letters.
//!
//! Invariants: only the worker whose attempt is current settles a notice; a notice that was sent
//! is written as sent even when it was cancelled meanwhile.

use super::notice::{
    OPTED_OUT, PEOPLE_PER_STATEMENT, corrupt, facts_text, read_quiet_hours, read_segment,
    read_stage,
};
use super::{Result, Store, Tx, list, on_read, on_tx};
use crate::clock::Millis;
use crate::incident::IncidentNo;
use crate::notice::{Addressee, Facts, NoticeId, NoticeState, PRIORITIES, Stage};
use sqlx::{AssertSqlSafe, QueryBuilder};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Settlements per statement: 11 binds each.
const SETTLED_PER_STATEMENT: usize = 500;

/// A small number that is stored as a wide one.
pub(in crate::store) fn read_episode(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| corrupt("notice number", &number.to_string()))
}

/// A notice that this worker holds until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub id: NoticeId,
    pub incident: IncidentNo,
    pub account: String,
    pub episode: u32,
    pub stage: Stage,
    pub stage_no: u32,
    pub covered_by: Option<IncidentNo>,
    pub planned_at_ms: Millis,
    pub useless_after_ms: Millis,
    /// Names this claim when it is settled.
    pub attempt: u32,
    /// The number of this try since the notice was planned, or put back into the queue; from 1.
    pub try_no: u32,
}

type ClaimedRow = (
    Uuid,
    i64,
    String,
    i64,
    String,
    i64,
    Option<i64>,
    i64,
    i64,
    i64,
    i64,
);

#[derive(Debug, sqlx::FromRow)]
struct AddresseeRow {
    subscriber_no: i64,
    account: String,
    name: String,
    language: String,
    time_zone: String,
    address: String,
    segment: String,
    vulnerable: bool,
    consent: bool,
    quiet_hours: String,
    opted_out: bool,
}

/// What became of a claimed notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The next system has it. Exactly what it was given is kept.
    Sent {
        facts: Facts,
        template_version: String,
        subject: String,
        body: String,
    },
    /// To be tried again.
    Retry { at_ms: Millis, detail: String },
    /// Not yet its turn; does not count as a try.
    Wait { until_ms: Millis, reason: String },
    /// No longer to be sent.
    Cancel { reason: String },
    /// Refused for good. A bad address is noted under its contact key.
    Bounced {
        detail: String,
        bad_address: Option<String>,
    },
    /// Tried as often as allowed.
    Dead { detail: String },
}

/// The outcome of one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub id: NoticeId,
    pub attempt: u32,
    pub at_ms: Millis,
    pub outcome: Outcome,
}

impl Tx {
    /// Leases up to `limit` due notices, those that come first in priority and then in time, by
    /// moving `available_at_ms` to the end of the lease.
    pub async fn claim_notices(
        &mut self,
        now_ms: Millis,
        lease_until_ms: Millis,
        limit: u32,
    ) -> Result<Vec<Claimed>> {
        let skip_locked = match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE SKIP LOCKED",
        };
        let mut claimed = Vec::new();
        // One range of the partial index per priority, instead of stepping over what is not due.
        for priority in 0..PRIORITIES {
            let left = i64::from(limit) - i64::try_from(claimed.len()).unwrap_or(i64::MAX);
            if left <= 0 {
                break;
            }
            let rows: Vec<ClaimedRow> = on_tx!(self, conn => {
                let mut query = QueryBuilder::new("UPDATE notice SET available_at_ms = ");
                query.push_bind(lease_until_ms)
                    .push(", attempt = attempt + 1 WHERE notice_id IN (SELECT notice_id FROM notice \
                           WHERE state = 'pending' AND priority = ").push_bind(priority)
                    .push(" AND available_at_ms <= ").push_bind(now_ms)
                    .push(" ORDER BY available_at_ms LIMIT ").push_bind(left)
                    .push(skip_locked)
                    .push(") RETURNING notice_id, incident_no, account, episode, stage, stage_no, \
                           covered_by, planned_at_ms, useless_after_ms, attempt, \
                           attempt - attempts_before");
                query.build_query_as().fetch_all(conn).await?
            });
            for row in rows {
                claimed.push(read_claimed(row)?);
            }
        }
        Ok(claimed)
    }

    /// Writes what became of claimed notices. Returns how many were still this worker's.
    pub async fn settle_notices(&mut self, settled: &[Settlement]) -> Result<u64> {
        let mut done = 0;
        for chunk in settled.chunks(SETTLED_PER_STATEMENT) {
            self.lock_in_order(chunk).await?;
            done += self.settle_chunk(chunk).await?;
            self.log_attempts(chunk).await?;
            self.suppress(chunk).await?;
        }
        Ok(done)
    }

    /// Takes the row locks in the same order as planning does, so that the two cannot block each
    /// other for good.
    async fn lock_in_order(&mut self, chunk: &[Settlement]) -> Result<()> {
        if matches!(self, Self::Sqlite(_)) {
            return Ok(());
        }
        let _locked: Vec<Uuid> = on_tx!(self, conn => {
            let mut query = QueryBuilder::new("SELECT notice_id FROM notice WHERE notice_id IN (");
            let mut list = query.separated(", ");
            for settlement in chunk {
                list.push_bind(settlement.id.0);
            }
            query.push(") ORDER BY notice_id FOR UPDATE");
            query.build_query_scalar().fetch_all(conn).await?
        });
        Ok(())
    }

    async fn settle_chunk(&mut self, chunk: &[Settlement]) -> Result<u64> {
        let mut rows = Vec::with_capacity(chunk.len());
        for settlement in chunk {
            rows.push(settled_row(settlement)?);
        }
        // The plus keeps SQLite from looking up each notice there is among the settled ones.
        let (text, number, uuid, plus) = match self {
            Self::Sqlite(_) => ("", "", "", "+"),
            Self::Postgres(_) => ("::text", "::bigint", "::uuid", ""),
        };
        Ok(on_tx!(self, conn => {
            let mut query = QueryBuilder::new(
                "WITH settled (notice_id, attempt, state, reason, available_at_ms, sent_at_ms, \
                 waited, facts, template_version, subject, body) AS (");
            query.push_values(rows, |mut row, r| {
                row.push_bind(r.id).push_unseparated(uuid)
                    .push_bind(r.attempt).push_unseparated(number)
                    .push_bind(r.state).push_unseparated(text)
                    .push_bind(r.reason).push_unseparated(text)
                    .push_bind(r.available_at_ms).push_unseparated(number)
                    .push_bind(r.sent_at_ms).push_unseparated(number)
                    .push_bind(r.waited).push_unseparated(number)
                    .push_bind(r.facts).push_unseparated(text)
                    .push_bind(r.template_version).push_unseparated(text)
                    .push_bind(r.subject).push_unseparated(text)
                    .push_bind(r.body).push_unseparated(text);
            });
            query.push(
                ") UPDATE notice SET state = settled.state, state_reason = settled.reason, \
                 available_at_ms = coalesce(settled.available_at_ms, notice.available_at_ms), \
                 sent_at_ms = coalesce(settled.sent_at_ms, notice.sent_at_ms), \
                 attempt = notice.attempt - settled.waited, \
                 facts = coalesce(settled.facts, notice.facts), \
                 template_version = coalesce(settled.template_version, notice.template_version), \
                 subject = coalesce(settled.subject, notice.subject), \
                 body = coalesce(settled.body, notice.body) FROM settled WHERE notice.notice_id = ");
            query.push(plus).push("settled.notice_id AND notice.attempt = ").push(plus)
                .push("settled.attempt AND (notice.state = 'pending' \
                       OR settled.state = 'sent' AND notice.state = 'cancelled')");
            query.build().execute(conn).await?.rows_affected()
        }))
    }

    async fn log_attempts(&mut self, chunk: &[Settlement]) -> Result<()> {
        let rows: Vec<_> = chunk.iter().filter_map(attempt_row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        on_tx!(self, conn => {
            let mut query = QueryBuilder::new(
                "INSERT INTO notice_attempt (notice_id, attempt, at_ms, outcome, detail) ");
            query.push_values(rows, |mut row, (settlement, outcome, detail)| {
                row.push_bind(settlement.id.0).push_bind(i64::from(settlement.attempt))
                    .push_bind(settlement.at_ms).push_bind(outcome).push_bind(detail);
            });
            query.push(" ON CONFLICT (notice_id, attempt) DO NOTHING");
            query.build().execute(conn).await?;
        });
        Ok(())
    }

    async fn suppress(&mut self, chunk: &[Settlement]) -> Result<()> {
        let mut keys = BTreeMap::new();
        for settlement in chunk {
            if let Outcome::Bounced {
                bad_address: Some(key),
                detail,
            } = &settlement.outcome
            {
                keys.insert(key, (settlement.at_ms, detail));
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        on_tx!(self, conn => {
            let mut query = QueryBuilder::new("INSERT INTO suppression (address_key, at_ms, reason) ");
            query.push_values(keys, |mut row, (key, (at_ms, reason))| {
                row.push_bind(key).push_bind(at_ms).push_bind(reason);
            });
            query.push(" ON CONFLICT (address_key) DO NOTHING");
            query.build().execute(conn).await?;
        });
        Ok(())
    }

    /// Puts a dead letter back into the queue, to be tried as often as a new notice. False when it is
    /// none.
    pub async fn redrive_notice(
        &mut self,
        id: NoticeId,
        now_ms: Millis,
        useless_after_ms: Millis,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE notice SET state = 'pending', state_reason = '', \
             available_at_ms = $1, useless_after_ms = $2, attempts_before = attempt \
             WHERE notice_id = $3 AND state = 'dead'";
        let done = on_tx!(self, conn => sqlx::query(SQL).bind(now_ms).bind(useless_after_ms)
            .bind(id.0).execute(conn).await?.rows_affected());
        Ok(done == 1)
    }
}

struct SettledRow {
    id: Uuid,
    attempt: i64,
    state: &'static str,
    reason: String,
    available_at_ms: Option<i64>,
    sent_at_ms: Option<i64>,
    waited: i64,
    facts: Option<String>,
    template_version: Option<String>,
    subject: Option<String>,
    body: Option<String>,
}

fn settled_row(settlement: &Settlement) -> Result<SettledRow> {
    let mut row = SettledRow {
        id: settlement.id.0,
        attempt: i64::from(settlement.attempt),
        state: NoticeState::Pending.as_str(),
        reason: String::new(),
        available_at_ms: None,
        sent_at_ms: None,
        waited: 0,
        facts: None,
        template_version: None,
        subject: None,
        body: None,
    };
    match &settlement.outcome {
        Outcome::Sent {
            facts,
            template_version,
            subject,
            body,
        } => {
            row.state = NoticeState::Sent.as_str();
            row.sent_at_ms = Some(settlement.at_ms);
            row.facts = Some(facts_text(facts)?);
            row.template_version = Some(template_version.clone());
            row.subject = Some(subject.clone());
            row.body = Some(body.clone());
        }
        Outcome::Retry { at_ms, detail } => {
            row.available_at_ms = Some(*at_ms);
            row.reason.clone_from(detail);
        }
        Outcome::Wait { until_ms, reason } => {
            row.available_at_ms = Some(*until_ms);
            row.waited = 1;
            row.reason.clone_from(reason);
        }
        Outcome::Cancel { reason } => {
            row.state = NoticeState::Cancelled.as_str();
            row.reason.clone_from(reason);
        }
        Outcome::Bounced { detail, .. } => {
            row.state = NoticeState::Bounced.as_str();
            row.reason.clone_from(detail);
        }
        Outcome::Dead { detail } => {
            row.state = NoticeState::Dead.as_str();
            row.reason.clone_from(detail);
        }
    }
    Ok(row)
}

fn attempt_row(settlement: &Settlement) -> Option<(&Settlement, &'static str, String)> {
    let (outcome, detail) = match &settlement.outcome {
        Outcome::Sent { .. } => ("sent", String::new()),
        Outcome::Retry { detail, .. } => ("retry", detail.clone()),
        Outcome::Bounced { detail, .. } | Outcome::Dead { detail } => ("failed", detail.clone()),
        Outcome::Wait { .. } | Outcome::Cancel { .. } => return None,
    };
    Some((settlement, outcome, detail))
}

fn read_claimed(row: ClaimedRow) -> Result<Claimed> {
    let (id, incident, account, episode, stage, stage_no, cover, planned, useless, attempt, try_no) =
        row;
    Ok(Claimed {
        id: NoticeId(id),
        incident: IncidentNo(incident),
        account,
        episode: read_episode(episode)?,
        stage: read_stage(&stage)?,
        stage_no: read_episode(stage_no)?,
        covered_by: cover.map(IncidentNo),
        planned_at_ms: planned,
        useless_after_ms: useless,
        attempt: read_episode(attempt)?,
        try_no: read_episode(try_no)?,
    })
}

impl Store {
    /// The people of these accounts in the current version of the subscribers, by account.
    pub async fn addressees(
        &self,
        accounts: &[String],
    ) -> Result<BTreeMap<String, Arc<Addressee>>> {
        let listed = self.listed();
        // The plus keeps the version from being looked up first, which would read all subscribers.
        let sql = format!(
            "SELECT s.subscriber_no, s.account, s.name, s.language, s.time_zone, s.address, \
             s.segment, s.vulnerable, s.consent, s.quiet_hours, {OPTED_OUT} AS opted_out FROM {}",
            listed.rows(
                "subscriber",
                "s",
                "s.account = listed.value \
                 AND +s.version = (SELECT version FROM dataset WHERE kind = 'subscribers')"
            )
        );
        let mut people = BTreeMap::new();
        for chunk in accounts.chunks(PEOPLE_PER_STATEMENT) {
            let rows: Vec<AddresseeRow> = on_read!(self, pool =>
                sqlx::query_as(AssertSqlSafe(sql.as_str())).persistent(listed.keeps_plan())
                    .bind(list::texts(chunk))
                    .fetch_all(pool).await)?;
            let numbers: Vec<i64> = rows.iter().map(|row| row.subscriber_no).collect();
            let mut emails = self.emails(&numbers).await?;
            for row in rows {
                let found = emails.remove(&row.subscriber_no).unwrap_or_default();
                people.insert(row.account.clone(), Arc::new(read_addressee(row, found)?));
            }
        }
        Ok(people)
    }

    async fn emails(&self, numbers: &[i64]) -> Result<BTreeMap<i64, Vec<(String, bool)>>> {
        let mut emails: BTreeMap<i64, Vec<(String, bool)>> = BTreeMap::new();
        if numbers.is_empty() {
            return Ok(emails);
        }
        let listed = self.listed();
        let sql = format!(
            "SELECT c.subscriber_no, c.value, EXISTS (SELECT 1 FROM suppression p \
             WHERE p.address_key = c.value_key) FROM {} ORDER BY c.subscriber_no, c.contact_no",
            listed.rows(
                "contact_point",
                "c",
                "c.version = (SELECT version FROM dataset WHERE kind = 'subscribers') \
                 AND c.subscriber_no = CAST(listed.value AS BIGINT) AND c.kind = 'email'"
            )
        );
        let rows: Vec<(i64, String, bool)> = on_read!(self, pool =>
            sqlx::query_as(AssertSqlSafe(sql)).persistent(listed.keeps_plan())
                .bind(list::numbers(numbers.iter().copied()))
                .fetch_all(pool).await)?;
        for (number, value, suppressed) in rows {
            emails.entry(number).or_default().push((value, suppressed));
        }
        Ok(emails)
    }

    /// When the next pending notice is due, if any is pending.
    pub async fn next_notice_due_ms(&self) -> Result<Option<Millis>> {
        const SQL: &str = "SELECT min(available_at_ms) FROM notice WHERE state = 'pending' \
             AND priority = $1";
        let mut next: Option<Millis> = None;
        for priority in 0..PRIORITIES {
            let due: Option<Millis> = on_read!(self, pool =>
                sqlx::query_scalar(SQL).bind(priority).fetch_one(pool).await?);
            next = match (next, due) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        Ok(next)
    }
}

fn read_addressee(row: AddresseeRow, emails: Vec<(String, bool)>) -> Result<Addressee> {
    Ok(Addressee {
        account: row.account,
        name: row.name,
        language: row.language,
        time_zone: row.time_zone,
        address: row.address,
        segment: read_segment(&row.segment)?,
        vulnerable: row.vulnerable,
        consent: row.consent,
        quiet_hours: read_quiet_hours(&row.quiet_hours)?,
        opted_out: row.opted_out,
        emails,
    })
}
