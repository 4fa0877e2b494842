//! `CareService`: one search, one answer, while the customer is on the line.

use super::auth::{Role, require};
use super::incident::{invalid, learned_message, sought, state_message, store_failed};
use super::notice;
use crate::care::{
    Concern, Customer, Impact, Language, SearchKey, Told, cause_in_words, is_affected, is_at_risk,
    search_order, standing_beside_work, what_to_say,
};
use crate::clock::{Clock, Millis};
use crate::experience::Learned;
use crate::incident::{Incident, IncidentNo, Statement};
use crate::notice::{Decision, Stage};
use crate::pipeline::live::{Live, LiveReceiver};
use crate::proto::v1;
use crate::proto::v1::care_service_server::CareService;
use crate::store::{NoticeRecord, Store};
use crate::subscriber::Numbering;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Accounts that one search returns.
const MATCHES: usize = 20;
/// Notices of an account that are looked at, and shown of each kind.
const NOTICES_READ: u32 = 100;
const NOTICES_SHOWN: usize = 20;
/// How long incidents stay in the answer.
const INCIDENTS_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// Bytes of a query.
const LONGEST_QUERY: usize = 256;

/// What the service needs.
#[derive(Clone, Debug)]
pub struct CareApi {
    pub store: Store,
    pub live: LiveReceiver,
    pub clock: Clock,
    /// What stands after the `@` of a Message-ID.
    pub message_id_domain: String,
    /// What a phone number without a country code means.
    pub numbering: Numbering,
}

#[tonic::async_trait]
impl CareService for CareApi {
    async fn lookup(
        &self,
        request: Request<v1::LookupRequest>,
    ) -> Result<Response<v1::LookupResponse>, Status> {
        let caller = require(&request, &[Role::Care, Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        if request.query.trim().is_empty() || request.query.len() > LONGEST_QUERY {
            let expected = format!("a text of 1 to {LONGEST_QUERY} bytes");
            return Err(invalid("query", "", &expected));
        }
        if !request.language.is_empty() && Language::spoken(&request.language).is_none() {
            let expected = format!("{}; or nothing, for the customer's own", Language::TAGS);
            return Err(invalid("language", &request.language, &expected));
        }
        let query = sought("query", &request.query)?;
        let Some((key, mut customers)) = self.search(&query).await? else {
            return Ok(Response::new(v1::LookupResponse::default()));
        };
        let more = customers.len() > MATCHES;
        customers.truncate(MATCHES);
        tracing::info!(
            caller = caller.name,
            matched_by = key.matched_by(),
            matches = customers.len(),
            "care looked accounts up"
        );
        let found = self.gather(customers).await?;
        let answers = found
            .into_iter()
            .map(|found| v1::CareAnswer {
                matched_by: key.matched_by().to_owned(),
                ..self.answer(found, &request.language)
            })
            .collect();
        Ok(Response::new(v1::LookupResponse { answers, more }))
    }
}

/// A customer with all that concerns them.
struct Found {
    customer: Customer,
    /// Newest first.
    notices: Vec<NoticeRecord>,
    concerns: Vec<Concern>,
    /// Planned work that the account is behind, the one that ends last.
    work: Option<Arc<Statement>>,
}

impl CareApi {
    /// What the first reading of the query that matches anybody finds.
    async fn search(&self, query: &str) -> Result<Option<(SearchKey, Vec<Customer>)>, Status> {
        // One more than is returned, to know that there are more.
        let limit = i64::try_from(MATCHES + 1).unwrap_or(i64::MAX);
        for key in search_order(query, &self.numbering) {
            let found = self.store.find_customers(&key, limit).await;
            let found = found.map_err(store_failed)?;
            if !found.is_empty() {
                return Ok(Some((key, found)));
            }
        }
        Ok(None)
    }

    async fn gather(&self, customers: Vec<Customer>) -> Result<Vec<Found>, Status> {
        let now_ms = self.clock.now_ms();
        let since_ms = now_ms - INCIDENTS_MS;
        let live = self.live.borrow().clone();
        let mut of_customers = Vec::with_capacity(customers.len());
        let mut past: BTreeMap<IncidentNo, Option<Arc<Incident>>> = BTreeMap::new();
        for customer in customers {
            let notices = self
                .store
                .notices_of_account(&customer.account, NOTICES_READ)
                .await
                .map_err(store_failed)?;
            let recent = notices.iter().filter(|n| n.planned_at_ms >= since_ms);
            past.extend(recent.map(|notice| (notice.incident, None)));
            of_customers.push((customer, notices));
        }
        for shown in &live.incidents {
            if let Some(slot) = past.get_mut(&shown.incident.no) {
                *slot = Some(Arc::clone(&shown.incident));
            }
        }
        let missing: Vec<IncidentNo> = past
            .iter()
            .filter_map(|(no, incident)| incident.is_none().then_some(*no))
            .collect();
        for incident in self.store.incidents(&missing).await.map_err(store_failed)? {
            past.insert(incident.no, Some(Arc::new(incident)));
        }
        // Of the incidents that several of them share it is asked once.
        let mut learned: BTreeMap<IncidentNo, Option<Learned>> = BTreeMap::new();
        let mut found = Vec::with_capacity(of_customers.len());
        for (customer, notices) in of_customers {
            let account = &customer.account;
            let mut concerns = concerns(&live, &past, account, &notices, since_ms);
            for concern in concerns.iter_mut().filter(|c| c.impact == Impact::Lost) {
                let incident = &concern.incident;
                let ask = || live.learned(incident, now_ms);
                concern.learned = *learned.entry(incident.no).or_insert_with(ask);
            }
            found.push(Found {
                work: planned_work(&live, account),
                concerns,
                customer,
                notices,
            });
        }
        Ok(found)
    }

    fn answer(&self, found: Found, language: &str) -> v1::CareAnswer {
        let now_ms = self.clock.now_ms();
        let Found {
            customer,
            notices,
            concerns,
            work,
        } = found;
        let work_until_ms = work.as_ref().and_then(|work| work.until_ms);
        let language = Language::choose(&[language, &customer.language]);
        let (sent, not_sent): (Vec<_>, Vec<_>) =
            notices.iter().partition(|notice| notice.state.is_told());
        v1::CareAnswer {
            affected: is_affected(&concerns),
            at_risk: is_at_risk(&concerns),
            what_to_say: what_to_say(
                standing_beside_work(&concerns, work_until_ms, now_ms),
                language,
                &customer.time_zone,
                now_ms,
            ),
            incidents: concerns
                .iter()
                .map(|concern| care_incident(concern, language))
                .collect(),
            sent: self.messages(&sent),
            not_sent: self.messages(&not_sent),
            account: customer.account,
            name: customer.name,
            address: customer.address,
            language: customer.language,
            time_zone: customer.time_zone,
            segment: customer.segment.as_str().to_owned(),
            vulnerable: customer.vulnerable,
            matched_by: String::new(),
            planned_work: work.map(|work| work.title()).unwrap_or_default(),
            planned_work_until_ms: work_until_ms.unwrap_or_default(),
        }
    }

    fn messages(&self, notices: &[&NoticeRecord]) -> Vec<v1::Notice> {
        let shown = notices.iter().take(NOTICES_SHOWN);
        shown
            .map(|record| v1::Notice {
                subject: record.subject.clone(),
                text: record.body.clone(),
                ..notice::to_message(record, &self.message_id_domain)
            })
            .collect()
    }
}

/// The incidents that concern an account: those that do now first, then the newest.
fn concerns(
    live: &Live,
    past: &BTreeMap<IncidentNo, Option<Arc<Incident>>>,
    account: &str,
    notices: &[NoticeRecord],
    since_ms: Millis,
) -> Vec<Concern> {
    let rank = live
        .network
        .subscriber(account)
        .map(|number| live.network.rank_of(number));
    let mut of_account: BTreeMap<IncidentNo, (Arc<Incident>, Impact)> = BTreeMap::new();
    for notice in notices.iter().filter(|n| n.planned_at_ms >= since_ms) {
        if let Some(Some(incident)) = past.get(&notice.incident) {
            of_account.insert(incident.no, (Arc::clone(incident), Impact::Past));
        }
    }
    for shown in live.incidents.iter().filter(|l| l.incident.state.is_open()) {
        let impact = match rank {
            Some(rank) if shown.lost.contains(rank) => Impact::Lost,
            Some(rank) if shown.at_risk.contains(rank) => Impact::AtRisk,
            _ => continue,
        };
        let incident = Arc::clone(&shown.incident);
        of_account.insert(incident.no, (incident, impact));
    }
    let mut concerns: Vec<Concern> = of_account
        .into_iter()
        .rev()
        .map(|(no, (incident, impact))| Concern {
            // What is over for a person may have been so since an earlier episode.
            told: told(
                notices,
                no,
                (impact != Impact::Past).then_some(incident.reopened),
            ),
            since_ms: lost_since_ms(notices, &incident),
            incident,
            impact,
            learned: None,
        })
        .collect();
    concerns.sort_by_key(|concern| concern.impact);
    concerns
}

/// Since when the account is without service, as the latest decision about it in the latest episode
/// says; where there is none, since the incident began.
fn lost_since_ms(notices: &[NoticeRecord], incident: &Incident) -> Millis {
    let mut newest_first = notices.iter();
    let latest = newest_first.find(|n| n.incident == incident.no && n.episode == incident.reopened);
    latest.map_or(incident.onset_ms, |notice| notice.lost_since_ms)
}

fn planned_work(live: &Live, account: &str) -> Option<Arc<Statement>> {
    let rank = live.network.rank_of(live.network.subscriber(account)?);
    let works = live.works.iter().filter(|work| work.lost.contains(rank));
    let last = works.max_by_key(|work| work.statement.until_ms)?;
    Some(Arc::clone(&last.statement))
}

/// What the notices say about one incident, in one episode of it or in all. Whoever was told of the
/// fault by another incident need not be told by this one.
fn told(notices: &[NoticeRecord], incident: IncidentNo, episode: Option<u32>) -> Told {
    let mut told = Told::default();
    let of_incident = notices
        .iter()
        .filter(|n| n.incident == incident && episode.is_none_or(|episode| n.episode == episode));
    let mut is_last = true;
    let mut elsewhere_ms: Option<Millis> = None;
    for notice in of_incident {
        if notice.decision == Decision::Covered {
            let by = notice.covered_by.and_then(|by| told_by(notices, by));
            elsewhere_ms = by.or(elsewhere_ms);
        }
        told.is_unwanted |= matches!(notice.decision, Decision::OptedOut | Decision::NoConsent);
        if !notice.state.is_told() {
            continue;
        }
        // Newest first, so that the earliest is what stays.
        match notice.stage {
            Stage::First | Stage::Update | Stage::Estimate => told.fault_ms = notice.sent_at_ms,
            Stage::Retraction if is_last => told.retraction_ms = notice.sent_at_ms,
            Stage::Retraction | Stage::Restored => {}
        }
        is_last = false;
    }
    told.by_another = told.fault_ms.is_none() && elsewhere_ms.is_some();
    told.fault_ms = told.fault_ms.into_iter().chain(elsewhere_ms).min();
    told
}

/// When the person was first told of the fault by an incident, in its latest episode, if that was not
/// taken back or said to be over since.
fn told_by(notices: &[NoticeRecord], incident: IncidentNo) -> Option<Millis> {
    let mut newest_first = notices
        .iter()
        .filter(|n| n.incident == incident && n.state.is_told())
        .peekable();
    let last = *newest_first.peek()?;
    if last.stage.closes() {
        return None;
    }
    let mut of_episode = newest_first.filter(|n| n.episode == last.episode && !n.stage.closes());
    of_episode.next_back()?.sent_at_ms
}

fn care_incident(concern: &Concern, language: Language) -> v1::CareIncident {
    let incident = &concern.incident;
    v1::CareIncident {
        id: incident.no.to_string(),
        state: state_message(incident.state).into(),
        since_ms: concern.since_ms,
        restored_ms: if incident.merged_into.is_none() {
            incident.restored_ms.unwrap_or_default()
        } else {
            0
        },
        merged_into: incident
            .merged_into
            .map(|no| no.to_string())
            .unwrap_or_default(),
        cause: cause_in_words(incident.cause.kind, language).to_owned(),
        estimate_from_ms: incident.expected().map_or(0, |e| e.from_ms),
        estimate_to_ms: incident.expected().map_or(0, |e| e.to_ms),
        learned_estimate: concern.learned.as_ref().map(learned_message),
    }
}
