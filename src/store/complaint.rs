//! Table `complaint`: what customers said, and the incident that covers it.
//!
//! Matching is set-wise and repeated, because people complain before anybody is told: a complaint
//! without an incident stays open until one that covers it has its notices planned.

use super::care::CURRENT;
use super::{Result, Store, StoreError, Tx, on_read, on_tx};
use crate::clock::Millis;
use crate::effect::complaint::{Complaint, ComplaintChannel};
use crate::effect::report::BEFORE_ONSET_MS;
use crate::incident::IncidentNo;
use crate::topology::Position;
use serde::Serialize;
use sqlx::QueryBuilder;
use std::collections::BTreeSet;

/// Rows per statement: 11 binds each.
const ROWS_PER_STATEMENT: usize = 1_000;

/// Complaints this old are no longer matched anew.
const REMATCH_HORIZON_MS: i64 = 7 * 24 * 3_600_000;

/// An incident covers complaints this long after its restoration.
const AFTER_RESTORED_MS: i64 = 24 * 3_600_000;

/// A position belongs to an incident with affected premises this near.
const NEAR_M: f64 = 150.0;

/// Metres per degree of latitude (mean of the WGS 84 meridian).
const METRES_PER_DEGREE: f64 = 111_132.0;

/// What became of complaints that were handed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ComplaintsTaken {
    /// New in the table.
    pub added: u64,
    /// Their id was there already.
    pub duplicates: u64,
    /// Found their incident at once.
    pub matched: u64,
    /// Name an account that no subscriber has.
    pub unknown_accounts: u64,
}

/// A complaint as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptComplaint {
    pub number: i64,
    pub complaint: Complaint,
    pub incident: Option<IncidentNo>,
    /// account, contact or position; empty without an incident.
    pub matched_by: String,
}

/// Accounts of the current subscribers.
#[derive(Debug, Default)]
struct Accounts(BTreeSet<String>);

impl Accounts {
    /// The account that is meant: as typed, else in capitals, as an agent finds it.
    fn find(&self, typed: &str) -> Option<&str> {
        let typed = typed.trim();
        let found = self.0.get(typed);
        let found = found.or_else(|| self.0.get(&typed.to_uppercase()));
        found.map(String::as_str)
    }
}

/// Which complaints to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComplaintFilter {
    pub incident: Option<IncidentNo>,
    /// Empty: any.
    pub account: String,
    /// Only those after this one: its time and number.
    pub after: Option<(Millis, i64)>,
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct Row {
    complaint_no: i64,
    id: String,
    account: String,
    contact: String,
    latitude: Option<f64>,
    longitude: Option<f64>,
    at_ms: i64,
    channel: String,
    category: String,
    body: String,
    incident_no: Option<i64>,
    matched_by: String,
}

impl TryFrom<Row> for KeptComplaint {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let channel = ComplaintChannel::parse(&row.channel).ok_or_else(|| StoreError::Corrupt {
            what: "complaint",
            reason: format!("channel `{}` is not known", row.channel),
        })?;
        let position = row.latitude.zip(row.longitude);
        Ok(Self {
            number: row.complaint_no,
            complaint: Complaint {
                id: row.id,
                account: row.account,
                contact: row.contact,
                contact_variants: Vec::new(),
                position: position.map(|(latitude, longitude)| Position {
                    latitude,
                    longitude,
                }),
                at_ms: row.at_ms,
                channel,
                category: row.category,
                text: row.body,
            },
            incident: row.incident_no.map(IncidentNo),
            matched_by: row.matched_by,
        })
    }
}

/// Open complaints that a matching looks at.
#[derive(Clone, Copy)]
struct Scope {
    from_number: i64,
    since_ms: Millis,
    now_ms: Millis,
}

impl Store {
    /// Keeps complaints in one transaction and matches the new ones.
    pub async fn take_complaints(
        &self,
        complaints: &[Complaint],
        now_ms: Millis,
    ) -> Result<ComplaintsTaken> {
        let mut tx = self.begin().await?;
        let taken = tx.take_complaints(complaints, now_ms).await?;
        tx.commit().await?;
        Ok(taken)
    }

    /// Gives incidents to complaints of the last seven days that have none, and takes them from
    /// those whose incident was rejected. Returns how many found their incident.
    pub async fn rematch_complaints(&self, now_ms: Millis) -> Result<u64> {
        let scope = Scope {
            from_number: 0,
            since_ms: now_ms - REMATCH_HORIZON_MS,
            now_ms,
        };
        let mut tx = self.begin().await?;
        tx.release_rejected(scope.since_ms).await?;
        let matched = tx.match_complaints(scope).await?;
        tx.commit().await?;
        Ok(matched)
    }

    /// Complaints, newest first.
    pub async fn complaints(&self, filter: &ComplaintFilter) -> Result<Vec<KeptComplaint>> {
        let rows: Vec<Row> = on_read!(self, pool => {
            let mut query = QueryBuilder::new(
                "SELECT complaint_no, id, account, contact, latitude, longitude, at_ms, channel, \
                 category, body, incident_no, matched_by FROM complaint WHERE 1 = 1",
            );
            if let Some(incident) = filter.incident {
                query.push(" AND incident_no = ").push_bind(incident.0);
            }
            if !filter.account.is_empty() {
                query.push(" AND account IN (").push_bind(filter.account.clone());
                query.push(", ").push_bind(filter.account.to_uppercase()).push(")");
            }
            if let Some((at_ms, number)) = filter.after {
                query.push(" AND (at_ms, complaint_no) < (").push_bind(at_ms);
                query.push(", ").push_bind(number).push(")");
            }
            query.push(" ORDER BY at_ms DESC, complaint_no DESC LIMIT ");
            query.push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(pool).await?
        });
        rows.into_iter().map(KeptComplaint::try_from).collect()
    }
}

impl Tx {
    /// Keeps complaints and matches the new ones, in this transaction.
    pub async fn take_complaints(
        &mut self,
        complaints: &[Complaint],
        now_ms: Millis,
    ) -> Result<ComplaintsTaken> {
        const LAST: &str = "SELECT coalesce(max(complaint_no), 0) FROM complaint";
        if let Self::Postgres(tx) = self {
            // Numbers are given in order, so two writers take turns; readers go on.
            sqlx::query("LOCK TABLE complaint IN SHARE ROW EXCLUSIVE MODE")
                .execute(&mut **tx)
                .await?;
        }
        let last: i64 = on_tx!(self, conn => sqlx::query_scalar(LAST).fetch_one(conn).await?);
        let mut taken = ComplaintsTaken::default();
        let mut next = last;
        for chunk in complaints.chunks(ROWS_PER_STATEMENT) {
            let accounts = self.accounts_of(chunk).await?;
            let unknown =
                |one: &&Complaint| !one.account.is_empty() && accounts.find(&one.account).is_none();
            taken.unknown_accounts += chunk.iter().filter(unknown).count() as u64;
            taken.added += self.insert_complaints(chunk, &accounts, next + 1).await?;
            next += i64::try_from(chunk.len()).unwrap_or(i64::MAX);
        }
        taken.duplicates = complaints.len() as u64 - taken.added;
        let scope = Scope {
            from_number: last + 1,
            since_ms: 0,
            now_ms,
        };
        if taken.added > 0 {
            taken.matched = self.match_complaints(scope).await?;
        }
        Ok(taken)
    }

    /// The accounts of subscribers that complaints may mean.
    async fn accounts_of(&mut self, rows: &[Complaint]) -> Result<Accounts> {
        let typed = rows.iter().map(|complaint| complaint.account.trim());
        let asked: BTreeSet<String> = typed
            .filter(|account| !account.is_empty())
            .flat_map(|account| [account.to_owned(), account.to_uppercase()])
            .collect();
        if asked.is_empty() {
            return Ok(Accounts::default());
        }
        let found: Vec<String> = on_tx!(self, conn => {
            let mut query = QueryBuilder::new("SELECT s.account FROM subscriber s WHERE s.account IN (");
            let mut list = query.separated(", ");
            for account in asked {
                list.push_bind(account);
            }
            query.push(")").push(CURRENT).build_query_scalar().fetch_all(conn).await?
        });
        Ok(Accounts(found.into_iter().collect()))
    }

    async fn insert_complaints(
        &mut self,
        rows: &[Complaint],
        accounts: &Accounts,
        first_number: i64,
    ) -> Result<u64> {
        let added = on_tx!(self, conn => {
            let mut query = QueryBuilder::new(
                "INSERT INTO complaint (complaint_no, id, account, contact, latitude, longitude, \
                 at_ms, channel, category, body, matched_by) ",
            );
            query.push_values((first_number..).zip(rows), |mut row, (number, complaint)| {
                let account = accounts.find(&complaint.account).unwrap_or(&complaint.account);
                row.push_bind(number)
                    .push_bind(complaint.id.clone())
                    .push_bind(account.to_owned())
                    .push_bind(complaint.contact.clone())
                    .push_bind(complaint.position.map(|position| position.latitude))
                    .push_bind(complaint.position.map(|position| position.longitude))
                    .push_bind(complaint.at_ms)
                    .push_bind(complaint.channel.as_str())
                    .push_bind(complaint.category.clone())
                    .push_bind(complaint.text.clone())
                    .push("''");
            });
            query.push(" ON CONFLICT (id) DO NOTHING");
            query.build().execute(conn).await?.rows_affected()
        });
        self.insert_contacts(rows, first_number).await?;
        Ok(added)
    }

    /// Keeps the forms under which the contacts of complaints may be stored, where the complaint of
    /// that number was new.
    async fn insert_contacts(&mut self, rows: &[Complaint], first_number: i64) -> Result<()> {
        let numbered = (first_number..).zip(rows);
        let contacts: Vec<(i64, i64, &str)> = numbered
            .filter(|(_, complaint)| !complaint.contact.is_empty())
            .flat_map(|(number, complaint)| {
                let forms = std::iter::once(&complaint.contact).chain(&complaint.contact_variants);
                let placed = (0_i64..).zip(forms);
                placed.map(move |(place, form)| (number, place, form.as_str()))
            })
            .collect();
        for chunk in contacts.chunks(ROWS_PER_STATEMENT) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new("WITH form (complaint_no, place, key) AS (");
                query.push_values(chunk, |mut row, (number, place, form)| {
                    row.push_bind(*number).push_bind(*place).push_bind((*form).to_owned());
                });
                query.push(
                    ") INSERT INTO complaint_contact (complaint_no, place, key) \
                     SELECT form.complaint_no, form.place, form.key FROM form \
                     JOIN complaint c ON c.complaint_no = form.complaint_no",
                );
                query.build().execute(conn).await?.rows_affected()
            });
        }
        Ok(())
    }

    /// An account or contact that complained of a rejected incident may be covered by another.
    async fn release_rejected(&mut self, since_ms: Millis) -> Result<()> {
        const SQL: &str = "UPDATE complaint SET incident_no = NULL, matched_by = '' \
            WHERE at_ms >= $1 AND incident_no IN \
            (SELECT incident_no FROM incident WHERE state = 'rejected')";
        on_tx!(self, conn => sqlx::query(SQL).bind(since_ms).execute(conn).await?.rows_affected());
        Ok(())
    }

    async fn match_complaints(&mut self, scope: Scope) -> Result<u64> {
        Ok(self.match_by(scope, BY_ACCOUNT).await?
            + self.match_by(scope, BY_CONTACT).await?
            + self.match_by_position(scope).await?)
    }

    async fn match_by(&mut self, scope: Scope, sql: &'static str) -> Result<u64> {
        Ok(on_tx!(self, conn => sqlx::query(sql)
            .bind(scope.from_number)
            .bind(scope.since_ms)
            .bind(BEFORE_ONSET_MS)
            .bind(scope.now_ms)
            .bind(AFTER_RESTORED_MS)
            .execute(conn).await?.rows_affected()))
    }

    async fn match_by_position(&mut self, scope: Scope) -> Result<u64> {
        let open: Vec<(i64, f64, f64)> = on_tx!(self, conn => sqlx::query_as(OPEN_POSITIONS)
            .bind(scope.from_number)
            .bind(scope.since_ms)
            .fetch_all(conn).await?);
        let mut matched = 0;
        for chunk in open.chunks(ROWS_PER_STATEMENT) {
            matched += on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "WITH box (complaint_no, latitude, longitude, north, east) AS (",
                );
                query.push_values(chunk, |mut row, (number, latitude, longitude)| {
                    let north = NEAR_M / METRES_PER_DEGREE;
                    // At the poles a degree of longitude has no length; stay finite.
                    let east = north / latitude.to_radians().cos().max(1e-6);
                    row.push_bind(*number)
                        .push_bind(*latitude)
                        .push_bind(*longitude)
                        .push_bind(north)
                        .push_bind(east);
                });
                query.push(NEAREST_HEAD).push_bind(BEFORE_ONSET_MS)
                    .push(" AND c.at_ms <= coalesce(i.restored_ms, ").push_bind(scope.now_ms)
                    .push(") + ").push_bind(AFTER_RESTORED_MS)
                    .push(NEAREST_TAIL);
                query.build().execute(conn).await?.rows_affected()
            });
        }
        Ok(matched)
    }
}

/// Of several incidents: one that people are told about rather than one that a larger incident
/// covers, then an open one, then the latest.
const BY_ACCOUNT: &str = "WITH candidate AS (\
    SELECT c.complaint_no, i.incident_no, row_number() OVER (PARTITION BY c.complaint_no \
        ORDER BY n.decision = 'covered', i.open DESC, i.onset_ms DESC, i.incident_no DESC) AS place \
    FROM complaint c \
    JOIN notice n ON n.account = c.account AND n.stage = 'first' \
    JOIN incident i ON i.incident_no = n.incident_no AND i.state <> 'rejected' \
    WHERE c.incident_no IS NULL AND c.complaint_no >= $1 AND c.at_ms >= $2 AND c.account <> '' \
    AND c.at_ms >= i.onset_ms - $3 AND c.at_ms <= coalesce(i.restored_ms, $4) + $5) \
    UPDATE complaint SET incident_no = candidate.incident_no, matched_by = 'account' \
    FROM candidate WHERE candidate.complaint_no = complaint.complaint_no AND candidate.place = 1";

/// A contact may have several forms, and belong to several accounts: the covered one of them is the one that complains,
/// and is written into the complaint.
const BY_CONTACT: &str = "WITH candidate AS (\
    SELECT c.complaint_no, i.incident_no, s.account, row_number() OVER (PARTITION BY c.complaint_no \
        ORDER BY n.decision = 'covered', i.open DESC, f.place, i.onset_ms DESC, i.incident_no DESC, s.account) AS place \
    FROM complaint c JOIN complaint_contact f ON f.complaint_no = c.complaint_no \
    JOIN subscriber_key p ON p.key = f.key AND p.kind IN ('email', 'phone') \
        AND p.version = (SELECT version FROM dataset WHERE kind = 'subscribers') \
    JOIN subscriber s ON s.version = p.version AND s.subscriber_no = p.subscriber_no \
    JOIN notice n ON n.account = s.account AND n.stage = 'first' \
    JOIN incident i ON i.incident_no = n.incident_no AND i.state <> 'rejected' \
    WHERE c.incident_no IS NULL AND c.complaint_no >= $1 AND c.at_ms >= $2 \
    AND c.account = '' \
    AND c.at_ms >= i.onset_ms - $3 AND c.at_ms <= coalesce(i.restored_ms, $4) + $5) \
    UPDATE complaint SET incident_no = candidate.incident_no, account = candidate.account, \
        matched_by = 'contact' \
    FROM candidate WHERE candidate.complaint_no = complaint.complaint_no AND candidate.place = 1";

/// A position counts only where nothing better is known: no account, and no contact of ours.
const OPEN_POSITIONS: &str = "SELECT complaint_no, latitude, longitude FROM complaint c \
    WHERE c.incident_no IS NULL AND c.complaint_no >= $1 AND c.at_ms >= $2 AND c.account = '' \
    AND c.latitude IS NOT NULL AND c.longitude IS NOT NULL AND NOT EXISTS (\
        SELECT 1 FROM complaint_contact f JOIN subscriber_key p ON p.key = f.key \
        WHERE f.complaint_no = c.complaint_no AND p.kind IN ('email', 'phone') AND p.version = (SELECT version FROM dataset WHERE kind = 'subscribers')) \
    ORDER BY complaint_no";

/// Squared distances are in units of the radius, so that 1 is [`NEAR_M`]; flat geometry is exact
/// enough at this size. Does not look across the antimeridian.
const NEAREST_HEAD: &str = "), candidate AS (\
    SELECT c.complaint_no, i.incident_no, row_number() OVER (PARTITION BY c.complaint_no \
        ORDER BY i.open DESC, \
        ((p.latitude - box.latitude) / box.north) * ((p.latitude - box.latitude) / box.north) \
        + ((p.longitude - box.longitude) / box.east) * ((p.longitude - box.longitude) / box.east), \
        i.onset_ms DESC, i.incident_no DESC) AS place \
    FROM box JOIN complaint c ON c.complaint_no = box.complaint_no \
    JOIN subscriber_position p ON p.version = (SELECT version FROM dataset WHERE kind = 'subscribers') \
        AND p.latitude BETWEEN box.latitude - box.north AND box.latitude + box.north \
        AND p.longitude BETWEEN box.longitude - box.east AND box.longitude + box.east \
    JOIN subscriber s ON s.version = p.version AND s.subscriber_no = p.subscriber_no \
    JOIN notice n ON n.account = s.account AND n.stage = 'first' \
    JOIN incident i ON i.incident_no = n.incident_no AND i.state <> 'rejected' \
    WHERE ((p.latitude - box.latitude) / box.north) * ((p.latitude - box.latitude) / box.north) \
        + ((p.longitude - box.longitude) / box.east) * ((p.longitude - box.longitude) / box.east) <= 1 \
    AND c.at_ms >= i.onset_ms - ";

const NEAREST_TAIL: &str = ") \
    UPDATE complaint SET incident_no = candidate.incident_no, matched_by = 'position' \
    FROM candidate WHERE candidate.complaint_no = complaint.complaint_no AND candidate.place = 1";
