//! `NoticeService`: the history of what was sent, and of what was not sent and why.

use super::auth::{Role, require};
use super::incident::{
    bad_page_token, incident_no, invalid, one_of, page_size, period, sought, store_failed,
};
use crate::clock::Clock;
use crate::incident::CommandError;
use crate::notice::{Decision, NoticeId, NoticeState, Stage};
use crate::proto::v1;
use crate::proto::v1::notice_service_server::NoticeService;
use crate::store::{AttemptRecord, NoticeCursor, NoticeFilter, NoticePage, NoticeRecord, Store};
use tonic::{Request, Response, Status};
use uuid::Uuid;

const READERS: [Role; 2] = [Role::Operator, Role::Care];
const DEFAULT_PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;

/// What the service needs.
#[derive(Clone, Debug)]
pub struct NoticeApi {
    pub store: Store,
    pub clock: Clock,
    /// How long a notice that is driven again may wait before it is of no use.
    pub useful_for_ms: i64,
    /// What stands after the `@` of a Message-ID.
    pub message_id_domain: String,
}

impl NoticeApi {
    async fn find(&self, id: NoticeId) -> Result<v1::Notice, Status> {
        let found = self.store.notice(id).await.map_err(store_failed)?;
        let (record, attempts) = found.ok_or_else(|| not_found(id))?;
        Ok(v1::Notice {
            subject: record.subject.clone(),
            text: record.body.clone(),
            attempt_log: attempts.iter().map(attempt_message).collect(),
            ..to_message(&record, &self.message_id_domain)
        })
    }
}

#[tonic::async_trait]
impl NoticeService for NoticeApi {
    async fn list_notices(
        &self,
        request: Request<v1::ListNoticesRequest>,
    ) -> Result<Response<v1::ListNoticesResponse>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let request = request.into_inner();
        let filter = notice_filter(&request)?;
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(NoticeCursor::parse(token).ok_or_else(bad_page_token)?),
        };
        let size = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE)?;
        if let Some(no) = filter.incident {
            let incident = self.store.incident(no).await.map_err(store_failed)?;
            incident
                .ok_or_else(|| Status::not_found(CommandError::NoSuchIncident(no).to_string()))?;
        }
        let (records, next) = self
            .store
            .list_notices(&filter, NoticePage { after, size })
            .await
            .map_err(store_failed)?;
        Ok(Response::new(v1::ListNoticesResponse {
            notices: records
                .iter()
                .map(|record| to_message(record, &self.message_id_domain))
                .collect(),
            next_page_token: next.map(|cursor| cursor.to_string()).unwrap_or_default(),
        }))
    }

    async fn get_notice(
        &self,
        request: Request<v1::GetNoticeRequest>,
    ) -> Result<Response<v1::Notice>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let id = notice_id(&request.get_ref().id)?;
        Ok(Response::new(self.find(id).await?))
    }

    async fn redrive_notice(
        &self,
        request: Request<v1::RedriveNoticeRequest>,
    ) -> Result<Response<v1::Notice>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let id = notice_id(&request.get_ref().id)?;
        let now_ms = self.clock.now_ms();
        let useless_after_ms = now_ms.saturating_add(self.useful_for_ms);
        let mut tx = self.store.begin().await.map_err(store_failed)?;
        let redriven = tx
            .redrive_notice(id, now_ms, useless_after_ms)
            .await
            .map_err(store_failed)?;
        tx.commit().await.map_err(store_failed)?;
        let notice = self.find(id).await?;
        if !redriven {
            return Err(Status::failed_precondition(format!(
                "notice {id} is {}; only a dead one can be driven again",
                notice.state
            )));
        }
        tracing::info!(caller = caller.name, notice = %id, "a dead letter is driven again");
        Ok(Response::new(notice))
    }
}

fn notice_filter(request: &v1::ListNoticesRequest) -> Result<NoticeFilter, Status> {
    let incident = match request.incident_id.as_str() {
        "" => None,
        id => Some(incident_no("incident_id", id)?),
    };
    let stage_names = Stage::ALL.map(Stage::as_str);
    let decision_names = Decision::ALL.map(Decision::as_str);
    let state_names = NoticeState::ALL.map(NoticeState::as_str);
    let (from_ms, to_ms) = period(request.from_ms, request.to_ms)?;
    Ok(NoticeFilter {
        incident,
        account: Some(sought("account", &request.account)?).filter(|account| !account.is_empty()),
        stage: one_of("stage", &request.stage, Stage::parse, &stage_names)?,
        decision: one_of(
            "decision",
            &request.decision,
            Decision::parse,
            &decision_names,
        )?,
        state: one_of("state", &request.state, NoticeState::parse, &state_names)?,
        from_ms,
        to_ms,
    })
}

fn notice_id(id: &str) -> Result<NoticeId, Status> {
    Uuid::parse_str(id)
        .map(NoticeId)
        .map_err(|_| invalid("id", id, "the id of a notice, a UUID"))
}

fn not_found(id: NoticeId) -> Status {
    Status::not_found(format!("there is no notice {id}"))
}

/// A notice without its text and its attempts.
pub(super) fn to_message(record: &NoticeRecord, message_id_domain: &str) -> v1::Notice {
    v1::Notice {
        id: record.id.to_string(),
        incident_id: record.incident.to_string(),
        account: record.account.clone(),
        stage: record.stage.as_str().to_owned(),
        channel: record.channel.clone(),
        decision: record.decision.as_str().to_owned(),
        state: record.state.as_str().to_owned(),
        state_reason: record.state_reason.clone(),
        language: record.language.clone(),
        planned_ms: record.planned_at_ms,
        not_before_ms: record.available_at_ms,
        sent_ms: record.sent_at_ms.unwrap_or_default(),
        attempts: record.attempt,
        message_id: if record.channel == "email" {
            format!("<{}@{message_id_domain}>", record.id)
        } else {
            String::new()
        },
        subject: String::new(),
        text: String::new(),
        template_version: record.template_version.clone(),
        attempt_log: Vec::new(),
    }
}

fn attempt_message(record: &AttemptRecord) -> v1::Attempt {
    v1::Attempt {
        number: record.attempt,
        at_ms: record.at_ms,
        outcome: record.outcome.clone(),
        detail: record.detail.clone(),
    }
}
