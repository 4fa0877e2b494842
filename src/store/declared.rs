//! Tables `declaration`, `declaration_request` and `declared_incident`: what operators declared without
//! an alarm, which incidents stand for what was declared, and how far the correlator has read both.
//!
//! Invariant: the body is the whole statement; the columns beside it only serve to find it.

use super::{Result, Store, StoreError, Tx, on_read, on_tx};
use crate::clock::Millis;
use crate::geography::AreaEvent;
use crate::incident::{DeclarationEnd, DeclarationId, IncidentNo, Statement};
use sqlx::QueryBuilder;
use std::collections::BTreeMap;

/// Up to which changes the correlator has decided: of areas, and of other declarations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct DeclaredPosition {
    pub area_change_no: i64,
    pub declaration_change_no: i64,
}

/// Rows read at a time: an area may be megabytes long.
const PAGE: i64 = 100;

impl Store {
    /// Keeps a declaration; its number is chosen here, whatever `draft` says. With a `request_id` of
    /// that caller only the first counts: the answer is then the one that was kept, and `false`.
    pub async fn declare(&self, draft: &Statement, request_id: &str) -> Result<(Statement, bool)> {
        const KNOWN: &str = "SELECT declaration_no FROM declaration_request \
            WHERE caller = $1 AND request_id = $2 AND kind = $3";
        const REMEMBER: &str = "INSERT INTO declaration_request \
            (caller, request_id, kind, declaration_no) VALUES ($1, $2, $3, $4)";
        const NEXT: &str =
            "SELECT COALESCE(MAX(declaration_no), 0) + 1 FROM declaration WHERE kind = $1";
        let (kind, _) = key(draft.reference.id)?;
        let caller = draft.declared_by.as_str();
        // Two kinds of declarations may carry the same id.
        let request = format!("{kind}/{request_id}");
        let mut tx = self.begin().await?;
        tx.lock_declarations().await?;
        if !request_id.is_empty() {
            let known: Option<i64> = on_tx!(&mut tx, conn => sqlx::query_scalar(KNOWN)
                .bind(caller).bind(&request).bind(kind).fetch_optional(conn).await)?;
            if let Some(no) = known
                && let Some(statement) = tx.statement(numbered(kind, no)?).await?
            {
                return Ok((statement, false));
            }
        }
        let no: i64 = on_tx!(&mut tx, conn => sqlx::query_scalar(NEXT)
            .bind(kind).fetch_one(conn).await)?;
        let mut statement = draft.clone();
        statement.reference.id = numbered(kind, no)?;
        statement.reference.revision = 1;
        tx.save_statement(&statement).await?;
        if !request_id.is_empty() {
            on_tx!(&mut tx, conn => sqlx::query(REMEMBER)
                .bind(caller).bind(&request).bind(kind).bind(no)
                .execute(conn).await.map(drop))?;
        }
        tx.commit().await?;
        Ok((statement, true))
    }

    /// Ends a declaration; `false` when it had ended before. `None` when there is none of that id.
    pub async fn end_declaration(
        &self,
        id: DeclarationId,
        end: &DeclarationEnd,
    ) -> Result<Option<(Statement, bool)>> {
        let mut tx = self.begin().await?;
        tx.lock_declarations().await?;
        let ended = tx.end_statement(id, end).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Planned work, newest first, with numbers below `before`; with `open_at_ms` only what has neither
    /// been cancelled nor passed by then.
    pub async fn list_work(
        &self,
        open_at_ms: Option<Millis>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Statement>> {
        const ALL: &str = "SELECT body FROM declaration WHERE kind = 'work' \
            AND declaration_no < $1 ORDER BY declaration_no DESC LIMIT $2";
        const OPEN: &str = "SELECT body FROM declaration WHERE kind = 'work' \
            AND declaration_no < $1 AND NOT ended AND (until_ms IS NULL OR until_ms > $3) \
            ORDER BY declaration_no DESC LIMIT $2";
        let before = before.unwrap_or(i64::MAX);
        let bodies: Vec<String> = on_read!(self, pool => match open_at_ms {
            None => sqlx::query_scalar(ALL).bind(before).bind(limit).fetch_all(pool).await,
            Some(at_ms) => sqlx::query_scalar(OPEN).bind(before).bind(limit).bind(at_ms)
                .fetch_all(pool).await,
        })?;
        bodies.iter().map(|body| decode(body)).collect()
    }

    /// The incidents that stand, or stood, for each of these, by number.
    pub async fn declared_incidents(
        &self,
        ids: &[DeclarationId],
    ) -> Result<BTreeMap<String, Vec<IncidentNo>>> {
        let mut incidents: BTreeMap<String, Vec<IncidentNo>> = BTreeMap::new();
        if ids.is_empty() {
            return Ok(incidents);
        }
        let rows: Vec<(String, i64)> = on_read!(self, pool => {
            let mut query = QueryBuilder::new(
                "SELECT declared, incident_no FROM declared_incident WHERE declared IN (",
            );
            let mut list = query.separated(", ");
            for id in ids {
                list.push_bind(id.to_string());
            }
            query.push(") ORDER BY declared, incident_no");
            query.build_query_as().fetch_all(pool).await
        })?;
        for (declared, no) in rows {
            incidents.entry(declared).or_default().push(IncidentNo(no));
        }
        Ok(incidents)
    }

    /// Up to where the correlator has decided.
    pub async fn declared_position(&self) -> Result<DeclaredPosition> {
        const SQL: &str = "SELECT area_change_no, declaration_change_no \
            FROM correlator_checkpoint WHERE singleton = 1";
        let row: Option<DeclaredPosition> =
            on_read!(self, pool => sqlx::query_as(SQL).fetch_optional(pool).await)?;
        Ok(row.unwrap_or_default())
    }

    /// Up to 100 declarations as they are now whose last change came after `change_no`, with the
    /// number of that change, in its order.
    pub async fn declarations_changed_after(
        &self,
        change_no: i64,
    ) -> Result<Vec<(i64, Statement)>> {
        const SQL: &str = "SELECT change_no, body FROM declaration WHERE change_no > $1 \
            ORDER BY change_no LIMIT $2";
        let rows: Vec<(i64, String)> = on_read!(self, pool => sqlx::query_as(SQL)
            .bind(change_no).bind(PAGE).fetch_all(pool).await)?;
        let decoded = rows.iter().map(|(no, body)| Ok((*no, decode(body)?)));
        decoded.collect()
    }

    /// As [`Self::declarations_changed_after`], of those that have not ended by `since_ms`, or changed
    /// after `decided`.
    pub async fn declarations_standing(
        &self,
        change_no: i64,
        decided: DeclaredPosition,
        since_ms: Millis,
    ) -> Result<Vec<(i64, Statement)>> {
        const SQL: &str = "SELECT change_no, body FROM declaration WHERE change_no > $1 \
            AND ((NOT ended AND (until_ms IS NULL OR until_ms > $3)) OR change_no > $4) \
            ORDER BY change_no LIMIT $2";
        let rows: Vec<(i64, String)> = on_read!(self, pool => sqlx::query_as(SQL)
            .bind(change_no).bind(PAGE).bind(since_ms).bind(decided.declaration_change_no)
            .fetch_all(pool).await)?;
        let decoded = rows.iter().map(|(no, body)| Ok((*no, decode(body)?)));
        decoded.collect()
    }

    /// The same of areas.
    pub async fn areas_standing(
        &self,
        change_no: i64,
        decided: DeclaredPosition,
        since_ms: Millis,
    ) -> Result<Vec<(i64, AreaEvent)>> {
        const SQL: &str = "SELECT change_no, body FROM area WHERE change_no > $1 \
            AND ((NOT ended AND (expires_ms IS NULL OR expires_ms > $3)) OR change_no > $4) \
            ORDER BY change_no LIMIT $2";
        let rows: Vec<(i64, String)> = on_read!(self, pool => sqlx::query_as(SQL)
            .bind(change_no).bind(PAGE).bind(since_ms).bind(decided.area_change_no)
            .fetch_all(pool).await)?;
        let decoded = rows
            .iter()
            .map(|(no, body)| Ok((*no, super::area::decode(body)?)));
        decoded.collect()
    }

    /// One declaration that is no area.
    pub async fn declaration(&self, id: DeclarationId) -> Result<Option<Statement>> {
        let (kind, no) = key(id)?;
        let body: Option<String> = on_read!(self, pool => sqlx::query_scalar(ONE)
            .bind(kind).bind(no).fetch_optional(pool).await)?;
        body.as_deref().map(decode).transpose()
    }
}

const ONE: &str = "SELECT body FROM declaration WHERE kind = $1 AND declaration_no = $2";

impl Tx {
    /// Notes that everything up to `position` has been decided; after the log position was saved.
    pub async fn save_declared_position(&mut self, position: DeclaredPosition) -> Result<()> {
        const SQL: &str = "UPDATE correlator_checkpoint SET area_change_no = $1, \
            declaration_change_no = $2 WHERE singleton = 1";
        on_tx!(self, conn => sqlx::query(SQL)
            .bind(position.area_change_no)
            .bind(position.declaration_change_no)
            .execute(conn).await.map(drop))?;
        Ok(())
    }

    /// Notes that an incident stands for what was declared.
    pub async fn save_declared_incident(
        &mut self,
        id: DeclarationId,
        incident: IncidentNo,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO declared_incident (declared, incident_no) \
            VALUES ($1, $2) ON CONFLICT DO NOTHING";
        on_tx!(self, conn => sqlx::query(SQL)
            .bind(id.to_string()).bind(incident.0)
            .execute(conn).await.map(drop))?;
        Ok(())
    }

    /// Ends declarations whose incidents an operator has ended; those that have ended stay as they are.
    pub async fn end_declarations(
        &mut self,
        ids: &[DeclarationId],
        end: &DeclarationEnd,
    ) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.lock_declarations().await?;
        for id in ids {
            self.end_statement(*id, end).await?;
        }
        Ok(())
    }

    /// One writer at a time, so that numbers rise in the order of the commits.
    async fn lock_declarations(&mut self) -> Result<()> {
        if let Self::Postgres(tx) = self {
            sqlx::query("LOCK TABLE declaration IN SHARE ROW EXCLUSIVE MODE")
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    async fn statement(&mut self, id: DeclarationId) -> Result<Option<Statement>> {
        let (kind, no) = key(id)?;
        let body: Option<String> = on_tx!(self, conn => sqlx::query_scalar(ONE)
            .bind(kind).bind(no).fetch_optional(conn).await)?;
        body.as_deref().map(decode).transpose()
    }

    async fn end_statement(
        &mut self,
        id: DeclarationId,
        end: &DeclarationEnd,
    ) -> Result<Option<(Statement, bool)>> {
        let Some(mut statement) = self.statement(id).await? else {
            return Ok(None);
        };
        if statement.end.is_some() {
            return Ok(Some((statement, false)));
        }
        statement.end = Some(end.clone());
        statement.reference.revision += 1;
        self.save_statement(&statement).await?;
        Ok(Some((statement, true)))
    }

    async fn save_statement(&mut self, statement: &Statement) -> Result<()> {
        const SQL: &str = "INSERT INTO declaration \
            (kind, declaration_no, change_no, ended, until_ms, body) \
            SELECT $1, $2, COALESCE(MAX(change_no), 0) + 1, $3, $4, $5 FROM declaration WHERE TRUE \
            ON CONFLICT (kind, declaration_no) DO UPDATE SET change_no = excluded.change_no, \
            ended = excluded.ended, until_ms = excluded.until_ms, body = excluded.body";
        let (kind, no) = key(statement.reference.id)?;
        let body = serde_json::to_string(statement).map_err(|error| corrupt(&error.to_string()))?;
        on_tx!(self, conn => sqlx::query(SQL)
            .bind(kind)
            .bind(no)
            .bind(statement.end.is_some())
            .bind(statement.until_ms)
            .bind(body)
            .execute(conn).await.map(drop))?;
        Ok(())
    }
}

/// The key of a declaration that is kept here.
fn key(id: DeclarationId) -> Result<(&'static str, i64)> {
    match id {
        DeclarationId::Fault(no) => Ok(("fault", no)),
        DeclarationId::Work(no) => Ok(("work", no)),
        DeclarationId::Area(no) => Err(corrupt(&format!("{no} is kept as an area"))),
    }
}

fn numbered(kind: &str, no: i64) -> Result<DeclarationId> {
    match kind {
        "fault" => Ok(DeclarationId::Fault(no)),
        "work" => Ok(DeclarationId::Work(no)),
        other => Err(corrupt(&format!("there is no kind `{other}`"))),
    }
}

fn decode(body: &str) -> Result<Statement> {
    serde_json::from_str(body).map_err(|error| corrupt(&error.to_string()))
}

fn corrupt(reason: &str) -> StoreError {
    StoreError::Corrupt {
        what: "declaration",
        reason: reason.to_owned(),
    }
}
