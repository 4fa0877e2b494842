//! `WorkService`: planned work.

use super::auth::{Role, require};
use super::declared::Draft;
use super::incident::{bad_page_token, invalid, page_size, store_failed};
use crate::clock::{Clock, Millis};
use crate::incident::{CauseKind, DeclarationEnd, DeclarationId, IncidentNo, Statement};
use crate::pipeline::live::LiveReceiver;
use crate::proto::v1;
use crate::proto::v1::work_service_server::WorkService;
use crate::store::Store;
use std::sync::Arc;
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

const READERS: [Role; 2] = [Role::Operator, Role::Care];
const DEFAULT_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;
const LONGEST_TITLE_BYTES: usize = 256;
const LONGEST_REASON_BYTES: usize = 1_024;
/// A window that is longer is a mistake in the typing.
const LONGEST_WINDOW_MS: i64 = 30 * 24 * 3_600_000;
/// Nobody plans further ahead.
const FURTHEST_MS: i64 = 1_000 * 24 * 3_600_000;

/// What the service needs.
#[derive(Clone, Debug)]
pub struct WorkApi {
    pub store: Store,
    /// Shows the network.
    pub live: LiveReceiver,
    /// Tells the correlator that something was declared.
    pub declared: Arc<Notify>,
    pub clock: Clock,
}

#[tonic::async_trait]
impl WorkService for WorkApi {
    async fn declare_work(
        &self,
        request: Request<v1::DeclareWorkRequest>,
    ) -> Result<Response<v1::PlannedWork>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let now_ms = self.clock.now_ms();
        let request = request.into_inner();
        let live = self.live.borrow().clone();
        let mut draft = Draft::new(DeclarationId::Work(0), &caller, now_ms);
        draft.statement.kind = CauseKind::PlannedWork;
        draft.text("title", &request.title, LONGEST_TITLE_BYTES);
        if request.title.trim().is_empty() {
            draft.refuse("title", "", "a text of 1 to 256 bytes");
        }
        draft.scope(request.resources, &request.area_id, &live);
        draft.since("from_ms", request.from_ms);
        let (from_ms, to_ms) = (draft.statement.since_ms, request.to_ms);
        if from_ms > now_ms.saturating_add(FURTHEST_MS) {
            let from = request.from_ms.to_string();
            draft.refuse("from_ms", &from, "an instant at most 1,000 days from now");
        }
        if to_ms <= from_ms || to_ms <= now_ms {
            let expected = "an instant in the future, after from_ms";
            draft.refuse("to_ms", &to_ms.to_string(), expected);
        } else if to_ms - from_ms > LONGEST_WINDOW_MS {
            let expected = "an instant at most 30 days after from_ms";
            draft.refuse("to_ms", &to_ms.to_string(), expected);
        }
        draft.statement.until_ms = Some(to_ms);
        draft.request_id(&request.request_id);
        let statement = draft.checked(&self.store).await?;
        let kept = self.store.declare(&statement, &request.request_id).await;
        let (statement, is_new) = kept.map_err(store_failed)?;
        if is_new {
            let id = statement.reference.id;
            tracing::info!(caller = caller.name, declared = %id, "planned work was declared");
            self.declared.notify_one();
        }
        Ok(Response::new(message(&statement, &[], now_ms)))
    }

    async fn list_work(
        &self,
        request: Request<v1::ListWorkRequest>,
    ) -> Result<Response<v1::ListWorkResponse>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let now_ms = self.clock.now_ms();
        let request = request.into_inner();
        let size = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE)?;
        let before = match request.page_token.as_str() {
            "" => None,
            token => match DeclarationId::parse(token) {
                Some(DeclarationId::Work(no)) => Some(no),
                _ => return Err(bad_page_token()),
            },
        };
        let open_at_ms = (!request.all).then_some(now_ms);
        let limit = i64::from(size) + 1;
        let works = self.store.list_work(open_at_ms, before, limit).await;
        let mut works = works.map_err(store_failed)?;
        let more = works.len() > size as usize;
        works.truncate(size as usize);
        let ids: Vec<DeclarationId> = works.iter().map(|work| work.reference.id).collect();
        let incidents = self.store.declared_incidents(&ids).await;
        let incidents = incidents.map_err(store_failed)?;
        let last = ids.last().filter(|_| more);
        Ok(Response::new(v1::ListWorkResponse {
            next_page_token: last.map(ToString::to_string).unwrap_or_default(),
            works: works
                .iter()
                .map(|work| {
                    let of_it = incidents.get(&work.reference.id.to_string());
                    message(work, of_it.map_or(&[], Vec::as_slice), now_ms)
                })
                .collect(),
        }))
    }

    async fn cancel_work(
        &self,
        request: Request<v1::CancelWorkRequest>,
    ) -> Result<Response<v1::PlannedWork>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let now_ms = self.clock.now_ms();
        let request = request.into_inner();
        let id = DeclarationId::parse(&request.id);
        let Some(id @ DeclarationId::Work(_)) = id else {
            return Err(invalid(
                "id",
                &request.id,
                "the id of planned work, such as WORK-3",
            ));
        };
        let reason = request.reason.trim();
        if reason.len() > LONGEST_REASON_BYTES || reason.chars().any(char::is_control) {
            let expected = "at most 1,024 bytes without control characters";
            return Err(invalid("reason", "", expected));
        }
        let known = self.store.declaration(id).await.map_err(store_failed)?;
        let known = known.ok_or_else(|| not_found(id))?;
        let is_over = known.until_ms.is_some_and(|until_ms| until_ms <= now_ms);
        let mut statement = known;
        if !is_over {
            let end = DeclarationEnd {
                at_ms: now_ms,
                by: caller.name.clone(),
                reason: reason.to_owned(),
            };
            let ended = self.store.end_declaration(id, &end).await;
            let (ended, changed) = ended.map_err(store_failed)?.ok_or_else(|| not_found(id))?;
            statement = ended;
            if changed {
                tracing::info!(caller = caller.name, declared = %id, "planned work was cancelled");
                self.declared.notify_one();
            }
        }
        let incidents = self.store.declared_incidents(&[id]).await;
        let incidents = incidents.map_err(store_failed)?.remove(&id.to_string());
        let incidents = incidents.unwrap_or_default();
        Ok(Response::new(message(&statement, &incidents, now_ms)))
    }
}

fn not_found(id: DeclarationId) -> Status {
    Status::not_found(format!("there is no planned work {id}"))
}

fn message(statement: &Statement, incidents: &[IncidentNo], now_ms: Millis) -> v1::PlannedWork {
    let end = statement.end.as_ref();
    let state = if end.is_some() {
        "cancelled"
    } else if statement.is_current(now_ms) {
        "active"
    } else if now_ms < statement.since_ms {
        "scheduled"
    } else {
        "over"
    };
    v1::PlannedWork {
        id: statement.reference.id.to_string(),
        state: state.to_owned(),
        title: statement.text.clone(),
        resources: statement.resources.clone(),
        area_id: statement.area.map(|no| no.to_string()).unwrap_or_default(),
        from_ms: statement.since_ms,
        to_ms: statement.until_ms.unwrap_or_default(),
        declared_ms: statement.declared_at_ms,
        declared_by: statement.declared_by.clone(),
        cancelled_ms: end.map_or(0, |end| end.at_ms),
        cancelled_by: end.map(|end| end.by.clone()).unwrap_or_default(),
        cancel_reason: end.map(|end| end.reason.clone()).unwrap_or_default(),
        incident_ids: incidents.iter().map(ToString::to_string).collect(),
    }
}
