//! Writes plans.

use super::{ROWS_PER_STATEMENT, facts_text};
use crate::clock::Millis;
use crate::incident::IncidentNo;
use crate::notice::NoticeId;
use crate::notice::plan::Plan;
use crate::store::{Result, Tx, on_tx};
use crate::subscriber::ChannelKind;
use sqlx::QueryBuilder;
use std::collections::BTreeMap;

impl Tx {
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
