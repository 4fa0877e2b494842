//! Table `holdout_assignment`: which arm of the experiment a cluster of an incident is in.

use super::{Result, StoreError, Tx, on_tx};
use crate::clock::Millis;
use crate::incident::IncidentNo;
use crate::notice::Arm;
use sqlx::QueryBuilder;
use std::collections::BTreeMap;

const ROWS_PER_STATEMENT: usize = 1_000;

/// A cluster and its arm, [`Arm::Told`] or [`Arm::HeldOut`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterAssignment {
    pub cluster: String,
    pub arm: Arm,
}

impl Tx {
    /// The logged arms of an incident, by cluster.
    pub async fn assignments(&mut self, incident: IncidentNo) -> Result<BTreeMap<String, Arm>> {
        const SQL: &str = "SELECT cluster, arm FROM holdout_assignment WHERE incident_no = $1";
        let rows: Vec<(String, String)> = on_tx!(self, conn => sqlx::query_as(SQL)
            .bind(incident.0)
            .fetch_all(conn)
            .await?);
        let read = |(cluster, arm): (String, String)| match Arm::parse(&arm) {
            Some(arm) => Ok((cluster, arm)),
            None => Err(StoreError::Corrupt {
                what: "holdout assignment",
                reason: format!("there is no arm `{arm}`"),
            }),
        };
        rows.into_iter().map(read).collect()
    }

    /// Logs the arms of an incident's clusters; an arm that was logged before stays as it is.
    pub async fn save_assignments(
        &mut self,
        incident: IncidentNo,
        experiment: &str,
        assignments: &[ClusterAssignment],
        now_ms: Millis,
    ) -> Result<()> {
        for chunk in assignments.chunks(ROWS_PER_STATEMENT) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "INSERT INTO holdout_assignment \
                     (incident_no, cluster, experiment, arm, assigned_at_ms) ");
                query.push_values(chunk, |mut row, assignment| {
                    row.push_bind(incident.0)
                        .push_bind(&assignment.cluster)
                        .push_bind(experiment)
                        .push_bind(assignment.arm.as_str())
                        .push_bind(now_ms);
                });
                query.push(" ON CONFLICT (incident_no, cluster) DO NOTHING");
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }
}
