//! Tables `incident` and `incident_event`, and what notices say about one incident.
//!
//! Invariant: the body is the whole incident; the columns beside it only serve to find it.

use super::{Result, Store, StoreError, Tx, on_read, on_tx};
use crate::clock::Millis;
use crate::incident::{Incident, IncidentNo, IncidentState, TimelineEntry, TimelineKind};
use sqlx::QueryBuilder;
use std::collections::BTreeMap;

/// Timeline rows per statement, at six binds each.
const ROWS_PER_STATEMENT: usize = 1_000;

/// Which incidents to list; empty and `None` mean any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    pub states: Vec<IncidentState>,
    /// Onset at or after.
    pub from_ms: Option<Millis>,
    /// Onset before.
    pub to_ms: Option<Millis>,
}

/// What one row of the plan says about a person, for lists of the affected.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct NoticeOutcome {
    pub account: String,
    pub episode: i64,
    pub stage: String,
    pub stage_no: i64,
    pub decision: String,
    pub state: String,
    pub planned_at_ms: Millis,
    pub segment: String,
    pub vulnerable: bool,
    pub language: String,
}

impl Tx {
    /// Writes an incident, new or changed, and adds `entries` to its timeline.
    ///
    /// `incident.timeline_len` already counts `entries`: they get the numbers up to it.
    pub async fn save_incident(
        &mut self,
        incident: &Incident,
        entries: &[TimelineEntry],
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO incident \
            (incident_no, state, open, onset_ms, restored_ms, revision, body) \
            VALUES ($1, $2, $3, $4, $5, $6, $7) \
            ON CONFLICT (incident_no) DO UPDATE SET state = excluded.state, open = excluded.open, \
            onset_ms = excluded.onset_ms, restored_ms = excluded.restored_ms, \
            revision = excluded.revision, body = excluded.body";
        let body = serde_json::to_string(incident).map_err(|error| StoreError::Corrupt {
            what: "incident",
            reason: error.to_string(),
        })?;
        on_tx!(self, conn => {
            sqlx::query(SQL)
                .bind(incident.no.0)
                .bind(incident.state.as_str())
                .bind(incident.state.is_open())
                .bind(incident.onset_ms)
                .bind(incident.restored_ms)
                .bind(i64::try_from(incident.revision).unwrap_or(i64::MAX))
                .bind(body)
                .execute(conn)
                .await?;
        });
        self.save_episode(incident).await?;
        self.append_timeline(incident, entries).await
    }

    async fn append_timeline(
        &mut self,
        incident: &Incident,
        entries: &[TimelineEntry],
    ) -> Result<()> {
        let mut next = i64::from(incident.timeline_len)
            .saturating_sub(i64::try_from(entries.len()).unwrap_or(i64::MAX));
        for chunk in entries.chunks(ROWS_PER_STATEMENT) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "INSERT INTO incident_event (incident_no, event_no, at_ms, what, reason, by_whom) ",
                );
                query.push_values(chunk, |mut row, entry| {
                    next += 1;
                    row.push_bind(incident.no.0)
                        .push_bind(next)
                        .push_bind(entry.at_ms)
                        .push_bind(entry.what.as_str())
                        .push_bind(entry.reason.clone())
                        .push_bind(entry.by.clone());
                });
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }
}

impl Store {
    /// The open incidents, by number.
    pub async fn open_incidents(&self) -> Result<Vec<Incident>> {
        const SQL: &str = "SELECT body FROM incident WHERE open ORDER BY incident_no";
        let bodies: Vec<String> =
            on_read!(self, pool => sqlx::query_scalar(SQL).fetch_all(pool).await)?;
        bodies.iter().map(|body| decode(body)).collect()
    }

    /// The open incidents, those restored at or after `restored_since_ms`, and those that hold back
    /// a cause which an operator rejected, by number: what the correlator must know after a start.
    pub async fn load_incidents(&self, restored_since_ms: Millis) -> Result<Vec<Incident>> {
        // Read once per start, so that what is held back needs no column.
        const SQL: &str = "SELECT body FROM incident \
            WHERE open OR (state = 'restored' AND restored_ms >= $1) \
            OR body LIKE '%\"held_back\":{%' ORDER BY incident_no";
        let bodies: Vec<String> = on_read!(self, pool => sqlx::query_scalar(SQL)
            .bind(restored_since_ms)
            .fetch_all(pool)
            .await)?;
        bodies.iter().map(|body| decode(body)).collect()
    }

    /// Which incidents go on in another one, and in which, by number.
    pub async fn mergers(&self) -> Result<Vec<(IncidentNo, IncidentNo)>> {
        // Read once per start, as above.
        const SQL: &str = "SELECT body FROM incident WHERE NOT open \
            AND body LIKE '%\"merged_into\":%' AND body NOT LIKE '%\"merged_into\":null%' \
            ORDER BY incident_no";
        let bodies: Vec<String> =
            on_read!(self, pool => sqlx::query_scalar(SQL).fetch_all(pool).await)?;
        let mut mergers = Vec::new();
        for body in &bodies {
            let incident = decode(body)?;
            mergers.extend(incident.merged_into.map(|by| (incident.no, by)));
        }
        Ok(mergers)
    }

    /// One incident.
    pub async fn incident(&self, no: IncidentNo) -> Result<Option<Incident>> {
        const SQL: &str = "SELECT body FROM incident WHERE incident_no = $1";
        let body: Option<String> = on_read!(self, pool => sqlx::query_scalar(SQL)
            .bind(no.0)
            .fetch_optional(pool)
            .await)?;
        body.as_deref().map(decode).transpose()
    }

    /// Up to `limit` incidents, newest first, with numbers below `before`.
    pub async fn list_incidents(
        &self,
        filter: &IncidentFilter,
        before: Option<IncidentNo>,
        limit: i64,
    ) -> Result<Vec<Incident>> {
        let bodies: Vec<String> = on_read!(self, pool => {
            let mut query = QueryBuilder::new("SELECT body FROM incident WHERE incident_no < ");
            query.push_bind(before.map_or(i64::MAX, |no| no.0));
            if !filter.states.is_empty() {
                query.push(" AND state IN (");
                let mut list = query.separated(", ");
                for state in &filter.states {
                    list.push_bind(state.as_str());
                }
                query.push(")");
            }
            if let Some(from_ms) = filter.from_ms {
                query.push(" AND onset_ms >= ").push_bind(from_ms);
            }
            if let Some(to_ms) = filter.to_ms {
                query.push(" AND onset_ms < ").push_bind(to_ms);
            }
            query.push(" ORDER BY incident_no DESC LIMIT ").push_bind(limit);
            query.build_query_scalar().fetch_all(pool).await
        })?;
        bodies.iter().map(|body| decode(body)).collect()
    }

    /// The history of an incident, oldest first.
    pub async fn timeline(&self, no: IncidentNo) -> Result<Vec<TimelineEntry>> {
        const SQL: &str = "SELECT at_ms, what, reason, by_whom FROM incident_event \
            WHERE incident_no = $1 ORDER BY event_no";
        let rows: Vec<(i64, String, String, String)> = on_read!(self, pool => sqlx::query_as(SQL)
            .bind(no.0)
            .fetch_all(pool)
            .await)?;
        rows.into_iter()
            .map(|(at_ms, what, reason, by)| {
                Ok(TimelineEntry {
                    at_ms,
                    what: timeline_kind(&what)?,
                    reason,
                    by,
                })
            })
            .collect()
    }

    /// Those of the numbered incidents (at most 1,000) that exist, by number.
    pub async fn incidents(&self, numbers: &[IncidentNo]) -> Result<Vec<Incident>> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let bodies: Vec<String> = on_read!(self, pool => {
            let mut query = QueryBuilder::new("SELECT body FROM incident WHERE incident_no IN (");
            let mut list = query.separated(", ");
            for no in numbers {
                list.push_bind(no.0);
            }
            query.push(") ORDER BY incident_no");
            query.build_query_scalar().fetch_all(pool).await
        })?;
        bodies.iter().map(|body| decode(body)).collect()
    }

    /// How many notices of each incident are in which state; those not sent are counted by the
    /// reason why.
    pub async fn notice_counts(
        &self,
        incidents: &[IncidentNo],
    ) -> Result<BTreeMap<IncidentNo, BTreeMap<String, u64>>> {
        let mut counts: BTreeMap<IncidentNo, BTreeMap<String, u64>> = BTreeMap::new();
        if incidents.is_empty() {
            return Ok(counts);
        }
        let rows: Vec<(i64, String, i64)> = on_read!(self, pool => {
            let mut query = QueryBuilder::new(
                "SELECT incident_no, CASE WHEN state = 'not_sent' THEN decision ELSE state END \
                 AS outcome, count(*) FROM notice WHERE incident_no IN (",
            );
            let mut list = query.separated(", ");
            for no in incidents {
                list.push_bind(no.0);
            }
            query.push(") GROUP BY 1, 2");
            query.build_query_as().fetch_all(pool).await
        })?;
        for (no, outcome, count) in rows {
            let of_incident = counts.entry(IncidentNo(no)).or_default();
            of_incident.insert(outcome, u64::try_from(count).unwrap_or(0));
        }
        Ok(counts)
    }

    /// All notice rows of these accounts (at most 1,000) in one incident, by account and age.
    pub async fn notice_outcomes(
        &self,
        incident: IncidentNo,
        accounts: &[String],
    ) -> Result<Vec<NoticeOutcome>> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        Ok(on_read!(self, pool => {
            let mut query = QueryBuilder::new(OUTCOME);
            query.push_bind(incident.0).push(" AND account IN (");
            let mut list = query.separated(", ");
            for account in accounts {
                list.push_bind(account.as_str());
            }
            query.push(") ORDER BY account, planned_at_ms, episode, stage_no");
            query.build_query_as().fetch_all(pool).await
        })?)
    }

    /// Accounts above `after` that have notice rows in an incident, in order.
    pub async fn accounts_of_incident(
        &self,
        incident: IncidentNo,
        after: &str,
        limit: i64,
    ) -> Result<Vec<String>> {
        const SQL: &str = "SELECT DISTINCT account FROM notice \
            WHERE incident_no = $1 AND account > $2 ORDER BY account LIMIT $3";
        Ok(on_read!(self, pool => sqlx::query_scalar(SQL)
            .bind(incident.0)
            .bind(after)
            .bind(limit)
            .fetch_all(pool)
            .await)?)
    }
}

const OUTCOME: &str = "SELECT account, episode, stage, stage_no, decision, state, planned_at_ms, \
    segment, vulnerable, language FROM notice WHERE incident_no = ";

fn decode(body: &str) -> Result<Incident> {
    serde_json::from_str(body).map_err(|error| StoreError::Corrupt {
        what: "incident",
        reason: error.to_string(),
    })
}

fn timeline_kind(name: &str) -> Result<TimelineKind> {
    TimelineKind::parse(name).ok_or_else(|| StoreError::Corrupt {
        what: "incident event",
        reason: format!("unknown kind `{name}`"),
    })
}
