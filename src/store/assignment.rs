//! Table `holdout_assignment`: which arm of the experiment a cluster of an incident is in.

use super::{Result, Tx, on_tx};
use crate::clock::Millis;
use crate::incident::IncidentNo;
use crate::notice::Arm;
use sqlx::QueryBuilder;

const ROWS_PER_STATEMENT: usize = 1_000;

/// A cluster and its arm, [`Arm::Told`] or [`Arm::HeldOut`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterAssignment {
    pub cluster: String,
    pub arm: Arm,
}

impl Tx {
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
