//! An incident that an operator opens by hand.

use super::{COMMAND_TIMEOUT, IncidentApi, LONGEST_TEXT, estimate_range, store_failed, to_message};
use crate::incident::{CauseKind, DeclarationId, Incident, Statement};
use crate::proto::v1;
use crate::rpc::auth::Caller;
use crate::rpc::declared::Draft;
use std::time::Duration;
use tonic::{Response, Status};

/// How often the store is asked again, where another process decides.
const ASK_AGAIN: Duration = Duration::from_millis(250);

pub(super) async fn open(
    api: &IncidentApi,
    caller: &Caller,
    request: v1::OpenIncidentRequest,
) -> Result<Response<v1::Incident>, Status> {
    let request_id = request.request_id.clone();
    let draft = draft(api, caller, request);
    let statement = draft.checked(&api.store).await?;
    check_people(api, &statement).await?;
    let kept = api.store.declare(&statement, &request_id).await;
    let (statement, is_new) = kept.map_err(store_failed)?;
    let id = statement.reference.id;
    if is_new {
        tracing::info!(caller = caller.name, declared = %id, "an incident was opened by hand");
        api.declared.notify_one();
    }
    let opened = tokio::time::timeout(COMMAND_TIMEOUT, opened(api, id)).await;
    let incident = opened.map_err(|_| {
        Status::deadline_exceeded(format!(
            "it is kept as {id}, but no incident was opened in time; call again with the same \
             request_id"
        ))
    })??;
    Ok(Response::new(to_message(&incident)))
}

fn draft(api: &IncidentApi, caller: &Caller, request: v1::OpenIncidentRequest) -> Draft {
    let now_ms = api.clock.now_ms();
    let live = api.live.borrow().clone();
    let mut draft = Draft::new(DeclarationId::Fault(0), caller, now_ms);
    draft.scope(request.resources, &request.area_id, &live);
    if let Some(kind) = CauseKind::parse(&request.kind) {
        draft.statement.kind = kind;
    } else {
        let kinds = CauseKind::ALL.map(CauseKind::as_str).join(", ");
        draft.refuse("kind", &request.kind, &format!("one of {kinds}"));
    }
    draft.since("since_ms", request.since_ms);
    if draft.statement.since_ms > now_ms {
        let since = request.since_ms.to_string();
        draft.refuse(
            "since_ms",
            &since,
            "an instant that has passed, or 0 for now",
        );
    }
    draft.text("text", &request.text, LONGEST_TEXT);
    let range = (request.estimate_from_ms, request.estimate_to_ms);
    match estimate_range(range, ("estimate_from_ms", "estimate_to_ms"), now_ms) {
        Ok(estimate) => draft.statement.estimate = estimate,
        Err(violation) => draft.wrong.push(*violation),
    }
    draft.request_id(&request.request_id);
    draft
}

/// An area must hold somebody: an incident of nobody would be opened in vain.
async fn check_people(api: &IncidentApi, statement: &Statement) -> Result<(), Status> {
    let Some(no) = statement.area else {
        return Ok(());
    };
    let Some(event) = api.store.area(no).await.map_err(store_failed)? else {
        return Ok(());
    };
    let live = api.live.borrow().clone();
    let inside = tokio::task::spawn_blocking(move || {
        let read = event.declaration.document.read().ok()?;
        Some(live.map.inside(&read.area).subscribers.len())
    });
    let inside = inside
        .await
        .map_err(|_| Status::internal("the area could not be worked out"))?;
    if inside.unwrap_or(0) == 0 {
        return Err(Status::failed_precondition(format!(
            "{no} holds no subscriber, so that it is no incident: `forewarn area show {no}` says what lies inside"
        )));
    }
    Ok(())
}

/// The incident that stands for what was declared, once that is committed.
async fn opened(api: &IncidentApi, id: DeclarationId) -> Result<Incident, Status> {
    let mut live = api.live.clone();
    loop {
        drop(live.borrow_and_update());
        let found = api.store.declared_incidents(&[id]).await;
        let found = found.map_err(store_failed)?;
        if let Some(no) = found.values().flatten().next_back() {
            return api.find(*no).await;
        }
        // The sender may be another process: then nothing changes here.
        tokio::select! {
            changed = live.changed() => if changed.is_err() { tokio::time::sleep(ASK_AGAIN).await },
            () = tokio::time::sleep(ASK_AGAIN) => {}
        }
    }
}
