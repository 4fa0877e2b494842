//! Tables `area` and `area_alert`: the areas that were declared, and the alerts they came from.
//!
//! Invariant: the body is the whole event; the columns beside it only serve to find it.

use super::{Result, Store, StoreError, Tx, on_read, on_tx};
use crate::clock::Millis;
use crate::geography::{
    AlertChain, AlertStep, AreaDeclaration, AreaEnd, AreaEvent, AreaNo, CapIdentity, KnownMessage,
    alert_step,
};

/// What became of a declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum AreaTaken {
    Declared(AreaEvent),
    /// It took the place of an area that was declared before, and ended the others.
    Updated(AreaEvent, Vec<AreaEvent>),
    /// It was taken before.
    Unchanged(AreaEvent),
    /// It ended these areas; there may be none.
    Cancelled(Vec<AreaEvent>),
    /// It had been cancelled before it came, or is a cancellation that was taken before.
    Withdrawn,
}

/// Who declares, and when.
#[derive(Clone, Copy, Debug)]
pub struct Declarant<'a> {
    /// Name of the token.
    pub name: &'a str,
    pub now_ms: Millis,
}

impl Store {
    /// Takes a declaration in one durable transaction. With an alert it is taken once, however often
    /// it comes; without `declaration`, as a cancellation is, it can only end what it refers to.
    pub async fn declare_area(
        &self,
        declaration: Option<&AreaDeclaration>,
        alert: Option<&AlertChain>,
        by: Declarant<'_>,
    ) -> Result<AreaTaken> {
        let mut tx = self.begin().await?;
        tx.lock_areas().await?;
        let step = match alert {
            None => AlertStep::Declare,
            Some(alert) => tx.step_of(alert).await?,
        };
        let taken = match (step, declaration) {
            (AlertStep::Known(no), _) => match tx.area(no).await? {
                Some(event) => AreaTaken::Unchanged(event),
                None => AreaTaken::Withdrawn,
            },
            (AlertStep::Withdrawn, _) => AreaTaken::Withdrawn,
            (AlertStep::End(areas), _) => {
                let ended = tx.end_all(&areas, "cancelled by its alert", by).await?;
                AreaTaken::Cancelled(ended)
            }
            (AlertStep::Declare, Some(declaration)) => {
                AreaTaken::Declared(tx.add_area(declaration, by).await?)
            }
            (AlertStep::Replace(no, others), Some(declaration)) => {
                let event = tx.replace_area(no, declaration, by).await?;
                let reason = format!("an alert joined it to {no}");
                AreaTaken::Updated(event, tx.end_all(&others, &reason, by).await?)
            }
            (AlertStep::Declare | AlertStep::Replace(..), None) => {
                return Err(StoreError::Corrupt {
                    what: "declaration of an area",
                    reason: "an alert that declares has no area".to_owned(),
                });
            }
        };
        if let Some(alert) = alert {
            let area = match &taken {
                AreaTaken::Declared(event) | AreaTaken::Updated(event, _) => Some(event.no),
                AreaTaken::Cancelled(_) => None,
                AreaTaken::Unchanged(_) | AreaTaken::Withdrawn => return Ok(taken),
            };
            tx.remember_alerts(alert, area).await?;
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Ends an area; `false` when it had ended before. `None` when there is none of that number.
    pub async fn end_area(
        &self,
        no: AreaNo,
        reason: &str,
        by: Declarant<'_>,
    ) -> Result<Option<(AreaEvent, bool)>> {
        let mut tx = self.begin().await?;
        tx.lock_areas().await?;
        let Some(event) = tx.area(no).await? else {
            return Ok(None);
        };
        let mut ended = tx.end_all(&[no], reason, by).await?;
        tx.commit().await?;
        Ok(Some(match ended.pop() {
            Some(event) => (event, true),
            None => (event, false),
        }))
    }

    /// One area.
    pub async fn area(&self, no: AreaNo) -> Result<Option<AreaEvent>> {
        let body: Option<String> = on_read!(self, pool => sqlx::query_scalar(ONE)
            .bind(no.0).fetch_optional(pool).await)?;
        body.as_deref().map(decode).transpose()
    }

    /// Up to `limit` areas, newest first, with numbers below `before`; with `open_at_ms` only those
    /// that have neither ended nor expired by then.
    pub async fn list_areas(
        &self,
        open_at_ms: Option<Millis>,
        before: Option<AreaNo>,
        limit: i64,
    ) -> Result<Vec<AreaEvent>> {
        const ALL: &str = "SELECT body FROM area WHERE area_no < $1 ORDER BY area_no DESC LIMIT $2";
        const OPEN: &str = "SELECT body FROM area WHERE area_no < $1 AND NOT ended \
            AND (expires_ms IS NULL OR expires_ms > $3) ORDER BY area_no DESC LIMIT $2";
        let before = before.map_or(i64::MAX, |no| no.0);
        let bodies: Vec<String> = on_read!(self, pool => match open_at_ms {
            None => sqlx::query_scalar(ALL).bind(before).bind(limit).fetch_all(pool).await,
            Some(at_ms) => sqlx::query_scalar(OPEN).bind(before).bind(limit).bind(at_ms)
                .fetch_all(pool).await,
        })?;
        bodies.iter().map(|body| decode(body)).collect()
    }

    /// Up to `limit` areas as they are now whose last change came after `change_no`, with the number
    /// of that change, in its order: how a reader keeps up with what is declared and ended.
    pub async fn areas_changed_after(
        &self,
        change_no: i64,
        limit: i64,
    ) -> Result<Vec<(i64, AreaEvent)>> {
        const SQL: &str =
            "SELECT change_no, body FROM area WHERE change_no > $1 ORDER BY change_no LIMIT $2";
        let rows: Vec<(i64, String)> = on_read!(self, pool => sqlx::query_as(SQL)
            .bind(change_no).bind(limit).fetch_all(pool).await)?;
        let decoded = rows.iter().map(|(no, body)| Ok((*no, decode(body)?)));
        decoded.collect()
    }
}

const ONE: &str = "SELECT body FROM area WHERE area_no = $1";
const ALERT: &str = "SELECT area_no FROM area_alert \
    WHERE sender = $1 AND identifier = $2 AND sent_ms = $3";

impl Tx {
    /// One writer at a time, so that numbers rise in the order of the commits.
    async fn lock_areas(&mut self) -> Result<()> {
        if let Self::Postgres(tx) = self {
            sqlx::query("LOCK TABLE area IN SHARE ROW EXCLUSIVE MODE")
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    async fn area(&mut self, no: AreaNo) -> Result<Option<AreaEvent>> {
        let body: Option<String> = on_tx!(self, conn => sqlx::query_scalar(ONE)
            .bind(no.0).fetch_optional(conn).await)?;
        body.as_deref().map(decode).transpose()
    }

    async fn step_of(&mut self, alert: &AlertChain) -> Result<AlertStep> {
        let own = self.known(&alert.identity).await?;
        let mut referred = Vec::with_capacity(alert.references.len());
        for identity in &alert.references {
            referred.push(self.known(identity).await?);
        }
        Ok(alert_step(alert.message, own, &referred))
    }

    async fn known(&mut self, identity: &CapIdentity) -> Result<Option<KnownMessage>> {
        let row: Option<(Option<i64>,)> = on_tx!(self, conn => sqlx::query_as(ALERT)
            .bind(&identity.sender).bind(&identity.identifier).bind(identity.sent_ms)
            .fetch_optional(conn).await)?;
        let Some((area,)) = row else {
            return Ok(None);
        };
        let area = area.map(AreaNo);
        let open = match area {
            Some(no) => self
                .area(no)
                .await?
                .is_some_and(|event| event.end.is_none()),
            None => false,
        };
        Ok(Some(KnownMessage { area, open }))
    }

    /// Notes the message and what it refers to, so that none of them does anything any more.
    async fn remember_alerts(&mut self, alert: &AlertChain, area: Option<AreaNo>) -> Result<()> {
        const SQL: &str = "INSERT INTO area_alert (sender, identifier, sent_ms, area_no) \
            VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        for identity in std::iter::once(&alert.identity).chain(&alert.references) {
            on_tx!(self, conn => sqlx::query(SQL)
                .bind(&identity.sender).bind(&identity.identifier).bind(identity.sent_ms)
                .bind(area.map(|no| no.0))
                .execute(conn).await.map(drop))?;
        }
        Ok(())
    }

    async fn add_area(
        &mut self,
        declaration: &AreaDeclaration,
        by: Declarant<'_>,
    ) -> Result<AreaEvent> {
        const NEXT: &str = "SELECT COALESCE(MAX(area_no), 0) + 1 FROM area";
        let no: i64 = on_tx!(self, conn => sqlx::query_scalar(NEXT).fetch_one(conn).await)?;
        let event = AreaEvent {
            no: AreaNo(no),
            revision: 1,
            declaration: declaration.clone(),
            declared_at_ms: by.now_ms,
            declared_by: by.name.to_owned(),
            changed_at_ms: by.now_ms,
            end: None,
        };
        self.save_area(&event).await?;
        Ok(event)
    }

    async fn replace_area(
        &mut self,
        no: AreaNo,
        declaration: &AreaDeclaration,
        by: Declarant<'_>,
    ) -> Result<AreaEvent> {
        let Some(mut event) = self.area(no).await? else {
            return self.add_area(declaration, by).await;
        };
        event.revision += 1;
        event.declaration = declaration.clone();
        event.changed_at_ms = by.now_ms;
        self.save_area(&event).await?;
        Ok(event)
    }

    /// Ends those of the areas that are open.
    async fn end_all(
        &mut self,
        areas: &[AreaNo],
        reason: &str,
        by: Declarant<'_>,
    ) -> Result<Vec<AreaEvent>> {
        let mut ended = Vec::new();
        for &no in areas {
            let open = self.area(no).await?.filter(|event| event.end.is_none());
            let Some(mut event) = open else {
                continue;
            };
            event.revision += 1;
            event.changed_at_ms = by.now_ms;
            event.end = Some(AreaEnd {
                at_ms: by.now_ms,
                by: by.name.to_owned(),
                reason: reason.to_owned(),
            });
            self.save_area(&event).await?;
            ended.push(event);
        }
        Ok(ended)
    }

    async fn save_area(&mut self, event: &AreaEvent) -> Result<()> {
        const SQL: &str = "INSERT INTO area \
            (area_no, change_no, ended, onset_ms, expires_ms, body) \
            SELECT $1, COALESCE(MAX(change_no), 0) + 1, $2, $3, $4, $5 FROM area WHERE TRUE \
            ON CONFLICT (area_no) DO UPDATE SET change_no = excluded.change_no, \
            ended = excluded.ended, onset_ms = excluded.onset_ms, \
            expires_ms = excluded.expires_ms, body = excluded.body";
        let body = serde_json::to_string(event).map_err(|error| corrupt(&error))?;
        on_tx!(self, conn => sqlx::query(SQL)
            .bind(event.no.0)
            .bind(event.end.is_some())
            .bind(event.declaration.onset_ms)
            .bind(event.declaration.expires_ms)
            .bind(body)
            .execute(conn).await.map(drop))?;
        Ok(())
    }
}

pub(super) fn decode(body: &str) -> Result<AreaEvent> {
    serde_json::from_str(body).map_err(|error| corrupt(&error))
}

fn corrupt(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt {
        what: "area",
        reason: error.to_string(),
    }
}
