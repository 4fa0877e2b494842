//! Writes plans.

use super::{ROWS_PER_STATEMENT, facts_text};
use crate::clock::Millis;
use crate::incident::IncidentNo;
use crate::notice::NoticeId;
use crate::notice::plan::Plan;
use crate::store::bulk::{self, Table};
use crate::store::{Result, Tx, on_tx};
use crate::subscriber::ChannelKind;
use sqlx::QueryBuilder;
use std::collections::BTreeMap;

const NOTICE: Table = Table {
    name: "notice",
    columns: &[
        "notice_id",
        "incident_no",
        "account",
        "episode",
        "stage",
        "stage_no",
        "channel",
        "decision",
        "covered_by",
        "cluster",
        "arm",
        "segment",
        "vulnerable",
        "language",
        "priority",
        "state",
        "state_reason",
        "planned_at_ms",
        "available_at_ms",
        "useless_after_ms",
        "attempt",
        "facts",
        "template_version",
        "subject",
        "body",
    ],
};

/// What planning does to a notice whose key exists: it is replaced, unless it left.
const UNLESS_IT_LEFT: &str = "DO UPDATE SET channel = excluded.channel, \
     decision = excluded.decision, covered_by = excluded.covered_by, cluster = excluded.cluster, \
     arm = excluded.arm, segment = excluded.segment, vulnerable = excluded.vulnerable, \
     language = excluded.language, priority = excluded.priority, state = excluded.state, \
     state_reason = '', planned_at_ms = excluded.planned_at_ms, \
     available_at_ms = excluded.available_at_ms, useless_after_ms = excluded.useless_after_ms, \
     attempts_before = notice.attempt, facts = excluded.facts \
     WHERE notice.state IN ('not_sent', 'cancelled')";

impl Tx {
    /// Writes a plan. A notice whose key exists replaces it only if that one never left.
    pub async fn write_plan(&mut self, plan: &Plan) -> Result<()> {
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
        let mut rows = Vec::with_capacity(plan.notices.len());
        for notice in &plan.notices {
            rows.push((notice, facts_text(&notice.facts)?));
        }
        // SQLite checks the primary key too, so there the clause stands for both keys, which
        // always meet in the same row.
        let target = match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => "(incident_no, account, episode, stage, stage_no) ",
        };
        let conflict = format!("ON CONFLICT {target}{UNLESS_IT_LEFT}");
        bulk::upsert(self, NOTICE, &conflict, &rows, |(n, facts), row| {
            row.uuid(n.id.0);
            row.i64(n.incident.0);
            row.text(n.account.as_str());
            row.i64(i64::from(n.episode));
            row.text(n.stage.as_str());
            row.i64(i64::from(n.stage_no));
            row.text(n.person.channel.map_or("", ChannelKind::as_str));
            row.text(n.decision.as_str());
            row.optional_i64(n.covered_by.map(|no| no.0));
            row.text(n.person.cluster.as_str());
            row.text(n.person.arm.as_str());
            row.text(n.person.segment.as_str());
            row.bool(n.person.vulnerable);
            row.text(n.person.language.as_str());
            row.i64(n.person.priority());
            row.text(n.state().as_str());
            row.text("");
            row.i64(n.planned_at_ms);
            row.i64(n.available_at_ms);
            row.i64(n.useless_after_ms);
            row.i64(0);
            row.text(facts.as_str());
            row.text("");
            row.text("");
            row.text("");
        })
        .await
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

    /// Cancels pending notices that were not claimed since they were planned, and notes the reason on
    /// those that were not to be sent.
    async fn cancel_unsent(&mut self, ids: &[NoticeId], reason: &str) -> Result<()> {
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "UPDATE notice SET state = CASE state WHEN 'pending' THEN 'cancelled' \
                     ELSE state END, state_reason = ");
                query.push_bind(reason).push(
                    " WHERE (state IN ('not_sent', 'cancelled') OR state = 'pending' \
                     AND attempt = attempts_before) \
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

    /// Forgets that a person did not want to be told.
    pub async fn opt_in(&mut self, account: &str) -> Result<()> {
        const SQL: &str = "DELETE FROM opt_out WHERE account = $1";
        on_tx!(self, conn => {
            sqlx::query(SQL).bind(account).execute(conn).await?;
        });
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
