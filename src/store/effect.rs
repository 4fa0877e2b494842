//! What the effect report counts, from `notice`, `complaint` and `holdout_assignment`.

use super::{Result, Store, on_read};
use crate::clock::Millis;
use crate::effect::estimate::{ArmCounts, Arms};
use crate::effect::holdout::ClusterCounts;
use crate::effect::report::{BEFORE_ONSET_MS, EffectFacts, IncidentCounts, LeadTime};
use crate::incident::IncidentNo;
use sqlx::QueryBuilder;
use std::collections::BTreeMap;

/// Which incidents a report is about. Rejected ones never are: nobody was affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectScope {
    Incidents(Vec<IncidentNo>),
    /// With an onset from (included) to (excluded).
    Onset {
        from_ms: Millis,
        to_ms: Millis,
    },
}

/// Appends the condition that incident `i` is in the scope.
macro_rules! push_scope {
    ($query:expr, $scope:expr) => {
        $query.push(" i.state <> 'rejected' AND ");
        match $scope {
            EffectScope::Incidents(numbers) => {
                $query.push("i.incident_no IN (");
                let mut list = $query.separated(", ");
                for number in numbers {
                    list.push_bind(number.0);
                }
                $query.push(")");
            }
            EffectScope::Onset { from_ms, to_ms } => {
                $query.push("i.onset_ms >= ").push_bind(*from_ms);
                $query.push(" AND i.onset_ms < ").push_bind(*to_ms);
            }
        }
    };
}

/// Appends the table `counted` of the incidents in the scope: the first episode in which anybody was
/// to be told, and its onset. What happens in a later one depends on who was told in this one.
macro_rules! push_counted {
    ($query:expr, $scope:expr) => {
        $query.push(
            "WITH counted AS (SELECT e.incident_no, e.episode, e.onset_ms FROM incident_episode e \
             JOIN (SELECT n.incident_no, min(n.episode) AS episode FROM notice n \
             JOIN incident i ON i.incident_no = n.incident_no WHERE n.stage = 'first' AND",
        );
        push_scope!($query, $scope);
        $query.push(
            " GROUP BY n.incident_no) f ON f.incident_no = e.incident_no AND f.episode = e.episode) ",
        );
    };
}

/// A person takes part by assignment, whatever was decided or sent later. Only the reasons that
/// are decided before the holdout, alike for both arms, take people out of it.
const ELIGIBLE: &str = " n.stage = 'first' AND n.arm IN ('told', 'held_out') \
    AND n.decision NOT IN \
    ('no_consent', 'opted_out', 'no_contact_point', 'suppressed_address', 'below_threshold')";

impl Store {
    /// Counts for a report. Complaints of an account count from an hour before onset until
    /// `window_s` after it; those that were matched by position name nobody and do not count.
    pub async fn effect_facts(
        &self,
        scope: &EffectScope,
        experiment: &str,
        window_s: u32,
    ) -> Result<EffectFacts> {
        if matches!(scope, EffectScope::Incidents(numbers) if numbers.is_empty()) {
            return Ok(EffectFacts::default());
        }
        let length_ms = i64::from(window_s) * 1_000;
        Ok(EffectFacts {
            incidents: self.effect_counts(scope, length_ms).await?,
            clusters: self.effect_clusters(scope, experiment).await?,
            lead_time: self.effect_lead_time(scope, length_ms).await?,
        })
    }

    async fn effect_counts(
        &self,
        scope: &EffectScope,
        window_ms: i64,
    ) -> Result<Vec<IncidentCounts>> {
        let numbers: Vec<i64> = on_read!(self, pool => {
            let mut query = QueryBuilder::new("SELECT i.incident_no FROM incident i WHERE");
            push_scope!(query, scope);
            query.build_query_scalar().fetch_all(pool).await?
        });
        let rows: Vec<(i64, String, i64, i64)> = on_read!(self, pool => {
            let mut query = QueryBuilder::new("");
            push_counted!(query, scope);
            query.push(
                "SELECT incident_no, arm, count(*), CAST(sum(complained) AS BIGINT) FROM (\
                 SELECT n.incident_no, n.arm, n.account, max(CASE WHEN EXISTS (\
                 SELECT 1 FROM complaint c WHERE c.account = n.account AND c.at_ms >= i.onset_ms - ",
            );
            query.push_bind(BEFORE_ONSET_MS).push(" AND c.at_ms < i.onset_ms + ").push_bind(window_ms);
            query.push(") THEN 1 ELSE 0 END) AS complained FROM notice n JOIN counted i \
                 ON i.incident_no = n.incident_no AND i.episode = n.episode WHERE");
            query.push(ELIGIBLE);
            query.push(" GROUP BY n.incident_no, n.arm, n.account) person GROUP BY incident_no, arm");
            query.build_query_as().fetch_all(pool).await?
        });
        let mut counts: BTreeMap<i64, Arms> = numbers
            .into_iter()
            .map(|number| (number, Arms::default()))
            .collect();
        for (number, arm, subscribers, complained) in rows {
            let arms = counts.entry(number).or_default();
            let counted = ArmCounts {
                subscribers: subscribers.unsigned_abs(),
                complained: complained.unsigned_abs(),
            };
            if arm == "told" {
                arms.told = counted;
            } else {
                arms.held_out = counted;
            }
        }
        Ok(counts
            .into_iter()
            .map(|(number, arms)| IncidentCounts {
                incident: IncidentNo(number),
                arms,
            })
            .collect())
    }

    async fn effect_clusters(
        &self,
        scope: &EffectScope,
        experiment: &str,
    ) -> Result<ClusterCounts> {
        let rows: Vec<(String, i64)> = on_read!(self, pool => {
            let mut query = QueryBuilder::new(
                "SELECT h.arm, count(*) FROM holdout_assignment h \
                 JOIN incident i ON i.incident_no = h.incident_no WHERE h.experiment = ",
            );
            query.push_bind(experiment.to_owned()).push(" AND");
            push_scope!(query, scope);
            query.push(" GROUP BY h.arm");
            query.build_query_as().fetch_all(pool).await?
        });
        let mut counts = ClusterCounts::default();
        for (arm, clusters) in rows {
            if arm == "told" {
                counts.told = clusters.unsigned_abs();
            } else {
                counts.held_out = clusters.unsigned_abs();
            }
        }
        Ok(counts)
    }

    async fn effect_lead_time(&self, scope: &EffectScope, window_ms: i64) -> Result<LeadTime> {
        // One row per second of lead time and outcome keeps the answer small at any size.
        let rows: Vec<(Option<i64>, String, i64)> = on_read!(self, pool => {
            let mut query = QueryBuilder::new("");
            push_counted!(query, scope);
            query.push(
                "SELECT (sent_at_ms - onset_ms) / 1000 AS lead_s, CASE \
                 WHEN first_ms IS NULL AND sent_at_ms IS NULL THEN 'nothing' \
                 WHEN first_ms IS NULL THEN 'never' \
                 WHEN sent_at_ms IS NULL OR first_ms < sent_at_ms THEN 'before' \
                 ELSE 'after' END AS outcome, count(*) FROM (\
                 SELECT n.account, n.sent_at_ms, i.onset_ms, (SELECT min(c.at_ms) FROM complaint c \
                 WHERE c.account = n.account AND c.at_ms >= i.onset_ms - ",
            );
            query.push_bind(BEFORE_ONSET_MS).push(" AND c.at_ms < i.onset_ms + ").push_bind(window_ms);
            query.push(
                ") AS first_ms FROM notice n JOIN counted i \
                 ON i.incident_no = n.incident_no AND i.episode = n.episode \
                 WHERE n.stage = 'first' AND n.decision = 'send') person \
                 GROUP BY 1, 2 ORDER BY 1",
            );
            query.build_query_as().fetch_all(pool).await?
        });
        Ok(lead_time(&rows))
    }
}

fn lead_time(rows: &[(Option<i64>, String, i64)]) -> LeadTime {
    let mut lead = LeadTime::default();
    let mut seconds: BTreeMap<i64, u64> = BTreeMap::new();
    for (lead_s, outcome, people) in rows {
        let people = people.unsigned_abs();
        match outcome.as_str() {
            "before" => lead.before_notice += people,
            "after" => lead.after_notice += people,
            "never" => lead.never += people,
            _ => {}
        }
        if let Some(lead_s) = lead_s {
            *seconds.entry(*lead_s).or_default() += people;
        }
    }
    lead.median_s = nearest_rank(&seconds, 50);
    lead.p90_s = nearest_rank(&seconds, 90);
    lead
}

/// The smallest value that at least `percent` of a hundred do not exceed.
fn nearest_rank(counts: &BTreeMap<i64, u64>, percent: u64) -> Option<f64> {
    let total: u64 = counts.values().sum();
    let rank = (total * percent).div_ceil(100).max(1);
    let mut seen = 0;
    counts.iter().find_map(|(value, count)| {
        seen += count;
        (seen >= rank).then_some(*value as f64)
    })
}
