//! Table `incident_episode`: when each episode of an incident began, and what is learned from how
//! long it took.

use super::{Result, Store, StoreError, Tx, on_read, on_tx};
use crate::clock::Millis;
use crate::experience::{Episode, Like, Size};
use crate::incident::{CauseKind, Incident, IncidentNo, IncidentState, PartClass};

#[derive(sqlx::FromRow)]
struct EpisodeRow {
    incident_no: i64,
    episode: i64,
    kind: String,
    part_class: String,
    affected: i64,
    onset_ms: Millis,
    ended_ms: Millis,
}

impl Tx {
    /// Writes the present episode of an incident; from a rejected one nothing is learned any more.
    pub(in crate::store) async fn save_episode(&mut self, incident: &Incident) -> Result<()> {
        const SAVE: &str = "INSERT INTO incident_episode \
            (incident_no, episode, onset_ms, kind, part_class, affected, ended_ms) \
            VALUES ($1, $2, $3, $4, $5, $6, $7) \
            ON CONFLICT (incident_no, episode) DO UPDATE SET onset_ms = excluded.onset_ms, \
            kind = excluded.kind, part_class = excluded.part_class, \
            affected = excluded.affected, ended_ms = excluded.ended_ms";
        const FORGET: &str = "UPDATE incident_episode SET ended_ms = NULL WHERE incident_no = $1";
        let ended_ms = Episode::of(incident).map(|episode| episode.ended_ms);
        on_tx!(self, conn => {
            sqlx::query(SAVE)
                .bind(incident.no.0)
                .bind(i64::from(incident.reopened))
                .bind(incident.onset_ms)
                .bind(incident.cause.kind.as_str())
                .bind(incident.cause.class.as_str())
                .bind(i64::try_from(incident.affected_peak).unwrap_or(i64::MAX))
                .bind(ended_ms)
                .execute(&mut *conn)
                .await?;
            if incident.state == IncidentState::Rejected {
                sqlx::query(FORGET).bind(incident.no.0).execute(conn).await?;
            }
        });
        Ok(())
    }
}

impl Store {
    /// Up to `limit` episodes from which something can be learned and that ended at or after
    /// `since_ms`, the latest first.
    pub async fn ended_episodes(&self, since_ms: Millis, limit: usize) -> Result<Vec<Episode>> {
        const SQL: &str = "SELECT incident_no, episode, kind, part_class, affected, onset_ms, \
            ended_ms FROM incident_episode WHERE ended_ms >= $1 \
            ORDER BY ended_ms DESC, incident_no DESC, episode DESC LIMIT $2";
        let rows: Vec<EpisodeRow> = on_read!(self, pool => sqlx::query_as(SQL)
            .bind(since_ms)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(pool)
            .await)?;
        rows.iter().map(episode).collect()
    }
}

fn episode(row: &EpisodeRow) -> Result<Episode> {
    let corrupt = |what: &str, name: &str| StoreError::Corrupt {
        what: "episode",
        reason: format!("unknown {what} `{name}`"),
    };
    Ok(Episode {
        incident: IncidentNo(row.incident_no),
        number: u32::try_from(row.episode)
            .map_err(|_| corrupt("number", &row.episode.to_string()))?,
        like: Like {
            kind: CauseKind::parse(&row.kind).ok_or_else(|| corrupt("kind", &row.kind))?,
            class: PartClass::parse(&row.part_class)
                .ok_or_else(|| corrupt("class", &row.part_class))?,
            size: Size::of(u64::try_from(row.affected).unwrap_or(0)),
        },
        onset_ms: row.onset_ms,
        ended_ms: row.ended_ms,
    })
}
