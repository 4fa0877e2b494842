//! What notices of several incidents to one person mean for one another.

use super::{PEOPLE_PER_STATEMENT, PRIOR_COLUMNS, PriorRow, ROWS_PER_STATEMENT, corrupt};
use crate::clock::Millis;
use crate::incident::{IncidentNo, IncidentState};
use crate::notice::gate::{Elsewhere, OpenFirst};
use crate::notice::standing::{Closing, cover, is_closed_by};
use crate::notice::{Cover, Coverage, Decision, NoticeState, PriorNotice};
use crate::store::outbox::read_episode;
use crate::store::{Result, Store, Tx, list, on_read, on_tx};
use sqlx::{AssertSqlSafe, QueryBuilder};
use std::collections::{BTreeMap, BTreeSet};

/// Notices of people, by incident and account.
pub type Histories = BTreeMap<(IncidentNo, String), Vec<PriorNotice>>;

/// People by the incident whose notices are asked for.
type Wanted = BTreeMap<IncidentNo, BTreeSet<String>>;

/// A notice of `asking` to a person whom `by` covers.
struct Link {
    asking: IncidentNo,
    account: String,
    by: IncidentNo,
}

impl Tx {
    /// Every notice of an incident, with cover filled in. On PostgreSQL the rows stay locked until
    /// the transaction ends, so that nothing planned from them leaves meanwhile.
    ///
    /// Incidents that this transaction changes must be written before, as cover reads their state.
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
        self.with_cover(rows).await
    }

    /// The same of some people only.
    pub async fn prior_notices_of(
        &mut self,
        incident: IncidentNo,
        accounts: BTreeSet<String>,
    ) -> Result<Vec<PriorNotice>> {
        let wanted = Wanted::from([(incident, accounts)]);
        let rows = self.prior_rows(&wanted, true).await?;
        self.with_cover(rows).await
    }

    /// Accounts for which something may be found to plan although their incident does not change:
    /// those with a notice of it that is not told, or not yet. Not for that reason alone those whom
    /// an incident told that it has `taken_over`.
    pub async fn accounts_to_look_at(
        &mut self,
        incident: IncidentNo,
        taken_over: &[IncidentNo],
    ) -> Result<BTreeSet<String>> {
        let rows: Vec<(String, String, Option<i64>)> = on_tx!(self, conn =>
            sqlx::query_as(
                "SELECT account, decision, covered_by FROM notice WHERE incident_no = $1 \
                 AND state NOT IN ('sent', 'delivered')",
            )
            .bind(incident.0)
            .fetch_all(conn)
            .await)?;
        let taken_over: BTreeSet<i64> = taken_over.iter().map(|no| no.0).collect();
        let is_to_look_at = |decision: &str, by: Option<i64>| {
            decision != Decision::Covered.as_str() || by.is_none_or(|by| !taken_over.contains(&by))
        };
        let found = rows
            .into_iter()
            .filter(|(_, decision, by)| is_to_look_at(decision, *by));
        Ok(found.map(|(account, _, _)| account).collect())
    }

    /// Reads rows and looks up what the incidents that cover their people mean to them.
    async fn with_cover(&mut self, rows: Vec<PriorRow>) -> Result<Vec<PriorNotice>> {
        let mut notices = Vec::with_capacity(rows.len());
        let mut links = Vec::new();
        let mut places = Vec::new();
        let mut incidents = Vec::with_capacity(rows.len());
        for row in rows {
            let asking = row.incident();
            let (notice, by) = row.read()?;
            incidents.push(asking);
            if let Some(by) = by {
                places.push(notices.len());
                links.push(Link {
                    asking,
                    account: notice.account.clone(),
                    by,
                });
            }
            notices.push(notice);
        }
        for (place, cover) in places.into_iter().zip(self.covers(&links).await?) {
            notices[place].cover = Some(cover);
        }
        self.note_heirs(&mut notices, &incidents).await?;
        Ok(notices)
    }

    /// Notes of notices that were handed over whether the incident that has the say has said that it
    /// is over. `incidents` are those of the notices.
    async fn note_heirs(
        &mut self,
        notices: &mut [PriorNotice],
        incidents: &[IncidentNo],
    ) -> Result<()> {
        let mut wanted = Wanted::new();
        for (notice, incident) in notices.iter().zip(incidents) {
            if notice.handed_over {
                let accounts = wanted.entry(*incident).or_default();
                accounts.insert(notice.account.clone());
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let closings = self.closings(&wanted).await?;
        let mut told: BTreeMap<(IncidentNo, &str), Millis> = BTreeMap::new();
        for (notice, incident) in notices.iter().zip(incidents) {
            if let Some(at_ms) = notice.first_sent_ms() {
                let latest = told.entry((*incident, &notice.account)).or_insert(at_ms);
                *latest = at_ms.max(*latest);
            }
        }
        let is_closed = |notice: &PriorNotice, incident: IncidentNo| {
            let closings = closings.get(&(incident, notice.account.clone()));
            let told_at_ms = told.get(&(incident, notice.account.as_str())).copied();
            closings.is_some_and(|closings| is_closed_by(told_at_ms, closings))
        };
        let closed = notices.iter().zip(incidents);
        let closed: Vec<bool> = closed
            .map(|(notice, incident)| notice.handed_over && is_closed(notice, *incident))
            .collect();
        for (notice, heir_closed) in notices.iter_mut().zip(closed) {
            notice.heir_closed = heir_closed;
        }
        Ok(())
    }

    async fn covers(&mut self, links: &[Link]) -> Result<Vec<Cover>> {
        let mut wanted = Wanted::new();
        for link in links {
            let accounts = wanted.entry(link.by).or_default();
            accounts.insert(link.account.clone());
        }
        let mut told = Histories::new();
        for row in self.prior_rows(&wanted, false).await? {
            let by = row.incident();
            let (notice, _) = row.read()?;
            let history = told.entry((by, notice.account.clone())).or_default();
            history.push(notice);
        }
        let states = self.states(wanted.keys().copied()).await?;
        let closings = self.closings(&wanted).await?;
        let covers = links.iter().map(|link| {
            let key = (link.by, link.account.clone());
            let state = states.get(&link.by).copied();
            cover(
                link.asking,
                (link.by, state.unwrap_or(IncidentState::Restored)),
                told.get(&key).map_or(&[], Vec::as_slice),
                closings.get(&key).map_or(&[], Vec::as_slice),
            )
        });
        Ok(covers.collect())
    }

    /// With `lock` on PostgreSQL no other transaction changes what is found until this one ends.
    async fn prior_rows(&mut self, wanted: &Wanted, lock: bool) -> Result<Vec<PriorRow>> {
        let listed = self.listed();
        let condition = "n.incident_no = $2 AND n.account = listed.value";
        let found = listed.rows("notice", "n", condition);
        let sql = match self {
            // All are locked in one order, and so not within the subquery.
            Self::Postgres(_) if lock => format!(
                "SELECT {PRIOR_COLUMNS} FROM notice WHERE notice_id IN \
                 (SELECT n.notice_id FROM {found}) ORDER BY notice_id FOR UPDATE"
            ),
            Self::Sqlite(_) | Self::Postgres(_) => format!("SELECT {PRIOR_COLUMNS} FROM {found}"),
        };
        let mut rows = Vec::new();
        for (incident, accounts) in wanted {
            let accounts: Vec<&String> = accounts.iter().collect();
            for chunk in accounts.chunks(PEOPLE_PER_STATEMENT) {
                let found: Vec<PriorRow> = on_tx!(self, conn =>
                    sqlx::query_as(AssertSqlSafe(sql.as_str())).persistent(listed.keeps_plan())
                        .bind(list::texts(chunk))
                        .bind(incident.0).fetch_all(conn).await)?;
                rows.extend(found);
            }
        }
        Ok(rows)
    }

    async fn states(
        &mut self,
        incidents: impl Iterator<Item = IncidentNo>,
    ) -> Result<BTreeMap<IncidentNo, IncidentState>> {
        let incidents: Vec<_> = incidents.collect();
        let mut states = BTreeMap::new();
        for chunk in incidents.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<(i64, String)> = on_tx!(self, conn => {
                let mut query =
                    QueryBuilder::new("SELECT incident_no, state FROM incident WHERE incident_no IN (");
                let mut list = query.separated(", ");
                for incident in chunk {
                    list.push_bind(incident.0);
                }
                query.push(")");
                query.build_query_as().fetch_all(conn).await?
            });
            for (no, name) in rows {
                let state = IncidentState::parse(&name);
                let state = state.ok_or_else(|| corrupt("incident.state", &name))?;
                states.insert(IncidentNo(no), state);
            }
        }
        Ok(states)
    }

    /// What the incidents that go on in the place of these have said to their people, or may just
    /// be saying.
    async fn closings(
        &mut self,
        wanted: &Wanted,
    ) -> Result<BTreeMap<(IncidentNo, String), Vec<Closing>>> {
        let listed = self.listed();
        let sql = format!(
            "SELECT c.account, c.incident_no, c.sent_at_ms, c.attempt - c.attempts_before, \
             c.available_at_ms FROM {}",
            listed.rows(
                "notice",
                "c",
                "c.account = listed.value AND c.stage IN ('restored', 'retraction') \
                 AND c.state IN ('sent', 'delivered', 'pending') \
                 AND EXISTS (SELECT 1 FROM notice f WHERE f.incident_no = c.incident_no \
                 AND f.account = c.account AND f.stage = 'first' AND f.covered_by = $2)"
            )
        );
        let mut closings: BTreeMap<_, Vec<Closing>> = BTreeMap::new();
        for (incident, accounts) in wanted {
            let accounts: Vec<&String> = accounts.iter().collect();
            for chunk in accounts.chunks(PEOPLE_PER_STATEMENT) {
                let rows: Vec<(String, i64, Option<i64>, i64, i64)> = on_tx!(self, conn =>
                    sqlx::query_as(AssertSqlSafe(sql.as_str())).persistent(listed.keeps_plan())
                        .bind(list::texts(chunk)).bind(incident.0).fetch_all(conn).await)?;
                for (account, by, sent_at_ms, attempt, available_at_ms) in rows {
                    let said = closings.entry((*incident, account)).or_default();
                    said.push(Closing {
                        by: IncidentNo(by),
                        sent_at_ms,
                        attempt: read_episode(attempt)?,
                        available_at_ms,
                    });
                }
            }
        }
        Ok(closings)
    }

    /// Which of the people another incident has told, or is about to, and nobody has said to them
    /// since that it is over: an open one, one of those that this incident has taken over, or one that
    /// is about to say that service is back, which it will not while this one leaves them without.
    pub async fn told_elsewhere(
        &mut self,
        incident: IncidentNo,
        merged: &[IncidentNo],
        accounts: &[&str],
    ) -> Result<BTreeMap<String, Coverage>> {
        // What has gone out counts more, and then what nobody else would say is over.
        let mut elsewhere: BTreeMap<String, Coverage> = BTreeMap::new();
        let or_merged = if merged.is_empty() {
            String::new()
        } else {
            let numbers: Vec<String> = merged.iter().map(|no| no.0.to_string()).collect();
            format!(" OR n.incident_no IN ({})", numbers.join(", "))
        };
        let listed = self.listed();
        let firsts = listed.rows(
            "notice",
            "n",
            "n.account = listed.value AND n.stage = 'first' \
             AND (n.state IN ('pending', 'sent', 'delivered') OR n.decision = 'covered') \
             AND NOT EXISTS (SELECT 1 FROM notice c WHERE c.incident_no = n.incident_no \
             AND c.account = n.account AND c.episode >= n.episode \
             AND c.stage IN ('restored', 'retraction') \
             AND (c.state IN ('sent', 'delivered') OR c.state = 'pending' AND c.attempt > c.attempts_before \
             OR c.state = 'cancelled' AND c.state_reason = 'still_affected')) \
             AND NOT EXISTS (SELECT 1 FROM notice f \
             JOIN notice c ON c.incident_no = f.incident_no AND c.account = f.account \
             WHERE f.account = n.account AND f.stage = 'first' \
             AND f.covered_by = n.incident_no AND c.stage IN ('restored', 'retraction') \
             AND c.state IN ('sent', 'delivered') AND c.sent_at_ms >= n.sent_at_ms) \
             AND n.incident_no <> $2",
        );
        let sql = format!(
            "SELECT n.account, n.incident_no, n.state, n.covered_by FROM {firsts} \
             JOIN incident i ON i.incident_no = n.incident_no WHERE i.open{or_merged} \
             OR i.state = 'restored' AND EXISTS (SELECT 1 FROM notice c \
             WHERE c.incident_no = n.incident_no AND c.account = n.account \
             AND c.stage = 'restored' AND c.state = 'pending' \
             AND c.attempt = c.attempts_before) ORDER BY n.account, n.incident_no"
        );
        for chunk in accounts.chunks(PEOPLE_PER_STATEMENT) {
            let rows: Vec<(String, i64, String, Option<i64>)> = on_tx!(self, conn =>
                sqlx::query_as(AssertSqlSafe(sql.as_str())).persistent(listed.keeps_plan())
                    .bind(list::texts(chunk))
                    .bind(incident.0).fetch_all(conn).await)?;
            for (account, by, state, covered_by) in rows {
                let origin = IncidentNo(match state.as_str() {
                    "not_sent" => covered_by.unwrap_or(by),
                    _ => by,
                });
                if origin == incident {
                    continue;
                }
                let coverage = Coverage {
                    incident: origin,
                    settled: state != "pending",
                    merged: merged.contains(&origin),
                };
                let kept = elsewhere.entry(account).or_insert(coverage);
                if (coverage.settled, coverage.merged) > (kept.settled, kept.merged) {
                    *kept = coverage;
                }
            }
        }
        Ok(elsewhere)
    }
}

impl Store {
    /// All notices of each of the incidents to its people, with cover filled in.
    pub async fn notice_histories(&self, wanted: &Wanted) -> Result<Histories> {
        let mut tx = self.begin_read().await?;
        let rows = tx.prior_rows(wanted, false).await?;
        let incidents: Vec<IncidentNo> = rows.iter().map(PriorRow::incident).collect();
        let notices = tx.with_cover(rows).await?;
        let mut histories = Histories::new();
        for (incident, notice) in incidents.into_iter().zip(notices) {
            let key = (incident, notice.account.clone());
            histories.entry(key).or_default().push(notice);
        }
        Ok(histories)
    }

    /// Which of the people another open incident still leaves without service.
    pub async fn lost_elsewhere(
        &self,
        incident: IncidentNo,
        accounts: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Elsewhere>> {
        let accounts: Vec<&String> = accounts.iter().collect();
        let mut firsts: BTreeMap<String, Vec<OpenFirst>> = BTreeMap::new();
        let listed = self.listed();
        let open_firsts = listed.rows(
            "notice",
            "n",
            "n.account = listed.value AND n.stage = 'first' \
             AND (n.state IN ('pending', 'sent', 'delivered') \
             OR n.state = 'not_sent' AND n.state_reason = '' \
             OR n.state = 'cancelled' AND n.state_reason IN ('covered', 'already_told')) \
             AND NOT EXISTS (SELECT 1 FROM notice c WHERE c.incident_no = n.incident_no \
             AND c.account = n.account AND c.episode >= n.episode \
             AND c.stage IN ('restored', 'retraction') AND (c.state <> 'cancelled' \
             OR c.state_reason = 'still_affected'))",
        );
        let sql = format!(
            "SELECT n.account, n.incident_no, n.state, n.decision, n.state_reason, n.covered_by, \
             n.attempt - n.attempts_before AS attempt, n.planned_at_ms, n.available_at_ms \
             FROM {open_firsts} JOIN incident i ON i.incident_no = n.incident_no AND i.open"
        );
        for chunk in accounts.chunks(PEOPLE_PER_STATEMENT) {
            let rows: Vec<FirstRow> = on_read!(self, pool =>
                sqlx::query_as(AssertSqlSafe(sql.as_str())).persistent(listed.keeps_plan())
                    .bind(list::texts(chunk))
                    .fetch_all(pool).await)?;
            for row in rows {
                let first = row.read()?;
                firsts.entry(row.account).or_default().push(first);
            }
        }
        let found = firsts.into_iter();
        let found = found.map(|(account, rows)| (account, Elsewhere::of(incident, &rows)));
        Ok(found.collect())
    }
}

/// See [`OpenFirst`].
#[derive(Debug, sqlx::FromRow)]
struct FirstRow {
    account: String,
    incident_no: i64,
    state: String,
    decision: String,
    state_reason: String,
    covered_by: Option<i64>,
    attempt: i64,
    planned_at_ms: i64,
    available_at_ms: i64,
}

impl FirstRow {
    fn read(&self) -> Result<OpenFirst> {
        let state = NoticeState::parse(&self.state);
        let state = state.ok_or_else(|| corrupt("notice.state", &self.state))?;
        let is_covered = self.decision == Decision::Covered.as_str();
        // What the gate found covered goes on in place of the other incident once that is planned.
        let is_unplanned = self.state_reason == "covered" && self.covered_by.is_none();
        Ok(OpenFirst {
            incident: IncidentNo(self.incident_no),
            state,
            speaks: state == NoticeState::Cancelled && !is_unplanned || is_covered,
            attempt: read_episode(self.attempt)?,
            planned_at_ms: self.planned_at_ms,
            available_at_ms: self.available_at_ms,
        })
    }
}
