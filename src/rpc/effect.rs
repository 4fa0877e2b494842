//! `EffectService`: what telling people was worth.

use super::auth::{Role, require};
use super::status;
use crate::effect::estimate::{ArmCounts, Estimate, reduction};
use crate::effect::holdout::Experiment;
use crate::effect::report::{EffectReport, IncidentEffect, PooledEffect, assemble, log};
use crate::incident::IncidentNo;
use crate::proto::v1;
use crate::proto::v1::effect_service_server::{EffectService, EffectServiceServer};
use crate::store::{EffectScope, Store};
use tonic::{Request, Response, Status};

const READERS: [Role; 2] = [Role::Operator, Role::Care];
/// Incidents that one request may name.
const MOST_INCIDENTS: usize = 1_000;
/// 30 days: beyond it a complaint has nothing to do with the onset.
const LONGEST_WINDOW_S: u32 = 30 * 86_400;

/// What the service needs.
#[derive(Clone, Debug)]
pub struct EffectApi {
    pub store: Store,
    /// The running experiment, to check the sizes of its arms.
    pub experiment: Experiment,
    /// Window of a request that names none.
    pub window_s: u32,
}

impl EffectApi {
    /// The service, ready to be added to a server.
    pub fn service(self) -> EffectServiceServer<Self> {
        EffectServiceServer::new(self)
    }
}

#[tonic::async_trait]
impl EffectService for EffectApi {
    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::EffectReport>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let request = request.into_inner();
        let scope = parse_scope(&request)?;
        let window_s = match request.window_s {
            0 => self.window_s,
            seconds if seconds > LONGEST_WINDOW_S => {
                return Err(refused("window_s", "", "at most 2,592,000 (30 days)"));
            }
            seconds => seconds,
        };
        let facts = self
            .store
            .effect_facts(&scope, &self.experiment.name, window_s)
            .await
            .map_err(|error| status::store(&error))?;
        if let EffectScope::Incidents(named) = &scope {
            let unknown = |no: &&IncidentNo| !facts.incidents.iter().any(|of| of.incident == **no);
            if let Some(missing) = named.iter().find(unknown) {
                return Err(Status::not_found(format!(
                    "there is no incident {missing}, or it was rejected"
                )));
            }
        }
        let report = assemble(&facts, &self.experiment, window_s);
        log(&report);
        Ok(Response::new(to_message(&report)))
    }
}

fn parse_scope(request: &v1::ReportRequest) -> Result<EffectScope, Status> {
    if request.incident_ids.len() > MOST_INCIDENTS {
        return Err(refused("incident_ids", "", "at most 1,000"));
    }
    if !request.incident_ids.is_empty() {
        let parsed: Option<Vec<_>> = request
            .incident_ids
            .iter()
            .map(|id| IncidentNo::parse(id))
            .collect();
        return parsed
            .map(EffectScope::Incidents)
            .ok_or_else(|| refused("incident_ids", "", "ids such as INC-42"));
    }
    let to_ms = match request.to_ms {
        0 => i64::MAX,
        to_ms => to_ms,
    };
    if request.from_ms < 0 || to_ms <= request.from_ms {
        return Err(refused("to_ms", "", "an instant after from_ms"));
    }
    Ok(EffectScope::Onset {
        from_ms: request.from_ms,
        to_ms,
    })
}

fn refused(field: &str, value: &str, expected: &str) -> Status {
    status::invalid(&[status::violation(field, value, expected)])
}

fn to_message(report: &EffectReport) -> v1::EffectReport {
    let lead = report.lead_time;
    v1::EffectReport {
        incidents: report.incidents.iter().map(incident_message).collect(),
        pooled: Some(pooled_message(&report.pooled)),
        lead_time: Some(v1::LeadTime {
            before_notice: lead.before_notice,
            after_notice: lead.after_notice,
            never: lead.never,
            median_s: lead.median_s,
            p90_s: lead.p90_s,
        }),
        claim: report.claim.text.clone(),
        claim_allowed: report.claim.allowed,
        window_s: report.window_s,
    }
}

fn incident_message(effect: &IncidentEffect) -> v1::IncidentEffect {
    v1::IncidentEffect {
        incident_id: effect.incident.to_string(),
        told: Some(arm_message(effect.arms.told)),
        held_out: Some(arm_message(effect.arms.held_out)),
        risk_difference: effect.risk_difference.map(estimate_message),
        risk_ratio: effect.risk_ratio.map(estimate_message),
        reduction: effect.risk_ratio.map(reduction).map(estimate_message),
    }
}

fn pooled_message(pooled: &PooledEffect) -> v1::PooledEffect {
    v1::PooledEffect {
        told: Some(arm_message(pooled.arms.told)),
        held_out: Some(arm_message(pooled.arms.held_out)),
        risk_ratio: pooled.risk_ratio.map(estimate_message),
        reduction: pooled.risk_ratio.map(reduction).map(estimate_message),
        incidents: pooled.incidents,
    }
}

fn arm_message(arm: ArmCounts) -> v1::Arm {
    v1::Arm {
        subscribers: arm.subscribers,
        complained: arm.complained,
    }
}

fn estimate_message(estimate: Estimate) -> v1::Estimate {
    v1::Estimate {
        value: estimate.value,
        low: estimate.low,
        high: estimate.high,
    }
}
