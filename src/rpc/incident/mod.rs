//! `IncidentService`: what operators see of incidents, and what they do about them.
//!
//! Invariants: a command is answered after its commit; a watcher that is slow gets the latest state
//! of each incident, never an error for being slow.

mod affected;
mod message;
mod open;
mod refused;
mod watch;

use refused::refused;

pub(in crate::rpc) use message::{learned_message, state_message, to_message};

use super::auth::{Admission, Role, require};
use super::status;
use crate::clock::Clock;
use crate::incident::{
    CauseKind, CommandError, Estimate, Incident, IncidentNo, IncidentState, OperatorAction,
    OperatorCommand,
};
use crate::pipeline::live::{CommandSender, LiveReceiver, PendingCommand};
use crate::proto::v1;
use crate::proto::v1::incident_service_server::IncidentService;
use crate::store::{IncidentFilter, SourceStream, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

/// Time for a command to be taken, and again for it to be committed.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages of a stream that wait for a slow client.
const STREAM_AHEAD: usize = 256;
const READERS: [Role; 2] = [Role::Operator, Role::Care];
const DEFAULT_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;
/// Bytes of a note, a reason or a text of a cause.
const LONGEST_TEXT: usize = 4_096;
/// Resources that one command names.
const MOST_RESOURCES: usize = 1_000;

/// What the service needs.
#[derive(Clone, Debug)]
pub struct IncidentApi {
    pub store: Store,
    pub live: LiveReceiver,
    pub commands: CommandSender,
    /// Tells the correlator that something was declared.
    pub declared: Arc<Notify>,
    pub clock: Clock,
    /// Holds the tasks that feed streams.
    pub tasks: TaskTracker,
    /// Ends the streams.
    pub shutdown: CancellationToken,
}

impl IncidentApi {
    async fn find(&self, no: IncidentNo) -> Result<Incident, Status> {
        self.store
            .incident(no)
            .await
            .map_err(store_failed)?
            .ok_or_else(|| Status::not_found(CommandError::NoSuchIncident(no).to_string()))
    }

    /// The correlator forgets incidents that are over; the store knows what became of them.
    async fn with_the_past(&self, error: CommandError) -> Result<CommandError, Status> {
        let (CommandError::NoSuchIncident(no) | CommandError::NoSurvivor(no)) = error else {
            return Ok(error);
        };
        let Some(incident) = self.store.incident(no).await.map_err(store_failed)? else {
            return Ok(error);
        };
        let (merged_into, state) = (incident.merged_into, incident.state);
        Ok(match (&error, merged_into) {
            (CommandError::NoSurvivor(_), None) => CommandError::SurvivorClosed {
                incident: no,
                state,
            },
            (CommandError::NoSurvivor(_), Some(other)) => CommandError::SurvivorWentOn(no, other),
            (_, Some(survivor)) => CommandError::WentOn(no, survivor),
            (_, None) => CommandError::WrongState {
                incident: no,
                state,
            },
        })
    }

    /// What like faults say of an incident now.
    fn learned(&self, incident: &Incident) -> Option<v1::LearnedEstimate> {
        let live = self.live.borrow().clone();
        let learned = live.learned(incident, self.clock.now_ms())?;
        Some(learned_message(&learned))
    }

    /// Hands a command to the correlator and waits for its commit.
    async fn carry_out(
        &self,
        by: String,
        incident: IncidentNo,
        action: OperatorAction,
    ) -> Result<Response<v1::Incident>, Status> {
        let (answer, committed) = oneshot::channel();
        let command = OperatorCommand {
            incident,
            by,
            action,
        };
        let pending = PendingCommand { command, answer };
        self.commands
            .send_timeout(pending, COMMAND_TIMEOUT)
            .await
            .map_err(|_| Status::unavailable("the correlator takes no commands now; try again"))?;
        let outcome = tokio::time::timeout(COMMAND_TIMEOUT, committed)
            .await
            .map_err(|_| {
                Status::deadline_exceeded(format!(
                    "the command was taken, but not committed in time; look at {incident} before \
                     sending it again"
                ))
            })?
            .map_err(|_| Status::unavailable("the correlator stopped before it committed"))?;
        match outcome {
            Ok(incident) => Ok(Response::new(to_message(&incident))),
            Err(error) => Err(refused(&self.with_the_past(error).await?)),
        }
    }
}

#[tonic::async_trait]
impl IncidentService for IncidentApi {
    type WatchIncidentsStream = ReceiverStream<Result<v1::IncidentChange, Status>>;
    type ListAffectedStream = ReceiverStream<Result<v1::AffectedSubscriber, Status>>;

    async fn list_incidents(
        &self,
        request: Request<v1::ListIncidentsRequest>,
    ) -> Result<Response<v1::ListIncidentsResponse>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let request = request.into_inner();
        let filter = incident_filter(&request)?;
        let size = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE)?;
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(IncidentNo::parse(token).ok_or_else(bad_page_token)?),
        };
        let mut incidents = self
            .store
            .list_incidents(&filter, before, i64::from(size) + 1)
            .await
            .map_err(store_failed)?;
        let more = incidents.len() > size as usize;
        incidents.truncate(size as usize);
        let next_page_token = match incidents.last() {
            Some(last) if more => last.no.0.to_string(),
            _ => String::new(),
        };
        let numbers: Vec<IncidentNo> = incidents.iter().map(|incident| incident.no).collect();
        let mut counts = self
            .store
            .notice_counts(&numbers)
            .await
            .map_err(store_failed)?;
        let incidents = incidents
            .iter()
            .map(|incident| v1::Incident {
                notices: counts.remove(&incident.no).unwrap_or_default(),
                learned_estimate: self.learned(incident),
                ..to_message(incident)
            })
            .collect();
        Ok(Response::new(v1::ListIncidentsResponse {
            incidents,
            next_page_token,
        }))
    }

    async fn get_incident(
        &self,
        request: Request<v1::GetIncidentRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let no = incident_no("id", &request.get_ref().id)?;
        let incident = self.find(no).await?;
        let timeline = self.store.timeline(no).await.map_err(store_failed)?;
        let sources = self.store.sources(SourceStream::Alarm).await;
        let sources = sources.map_err(store_failed)?;
        let mut counts = self
            .store
            .notice_counts(&[no])
            .await
            .map_err(store_failed)?;
        Ok(Response::new(v1::Incident {
            timeline: timeline.iter().map(message::timeline_message).collect(),
            evidence: message::evidence_messages(&incident, &sources),
            notices: counts.remove(&no).unwrap_or_default(),
            learned_estimate: self.learned(&incident),
            ..to_message(&incident)
        }))
    }

    async fn watch_incidents(
        &self,
        request: Request<v1::WatchIncidentsRequest>,
    ) -> Result<Response<Self::WatchIncidentsStream>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let admission = request.extensions().get::<Admission>().cloned();
        Ok(Response::new(watch::start(self, admission)))
    }

    async fn list_affected(
        &self,
        request: Request<v1::ListAffectedRequest>,
    ) -> Result<Response<Self::ListAffectedStream>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("incident_id", &request.incident_id)?;
        let filter = affected::Filter::parse(&request)?;
        self.find(no).await?;
        Ok(Response::new(affected::start(self, no, filter)))
    }

    async fn open_incident(
        &self,
        request: Request<v1::OpenIncidentRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        open::open(self, &caller, request.into_inner()).await
    }

    async fn confirm_incident(
        &self,
        request: Request<v1::ConfirmIncidentRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("id", &request.id)?;
        let note = text("note", &request.note, 0)?;
        self.carry_out(caller.name, no, OperatorAction::Confirm { note })
            .await
    }

    async fn reject_incident(
        &self,
        request: Request<v1::RejectIncidentRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("id", &request.id)?;
        let reason = text("reason", &request.reason, 1)?;
        self.carry_out(caller.name, no, OperatorAction::Reject { reason })
            .await
    }

    async fn set_cause(
        &self,
        request: Request<v1::SetCauseRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("id", &request.id)?;
        let kind = CauseKind::parse(&request.kind).ok_or_else(|| {
            let kinds = CauseKind::ALL.map(CauseKind::as_str).join(", ");
            invalid("kind", &request.kind, &format!("one of {kinds}"))
        })?;
        let text = text("text", &request.text, 0)?;
        let resources = resources(request.resources, 0)?;
        let action = OperatorAction::SetCause {
            kind,
            text,
            resources,
        };
        self.carry_out(caller.name, no, action).await
    }

    async fn withdraw_cause(
        &self,
        request: Request<v1::WithdrawCauseRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("id", &request.id)?;
        let reason = text("reason", &request.reason, 0)?;
        self.carry_out(caller.name, no, OperatorAction::WithdrawCause { reason })
            .await
    }

    async fn merge_incidents(
        &self,
        request: Request<v1::MergeIncidentsRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("id", &request.id)?;
        let into = incident_no("into", &request.into)?;
        let reason = text("reason", &request.reason, 0)?;
        self.carry_out(caller.name, no, OperatorAction::Merge { into, reason })
            .await
    }

    async fn split_incident(
        &self,
        request: Request<v1::SplitIncidentRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("id", &request.id)?;
        let resources = resources(request.resources, 1)?;
        let reason = text("reason", &request.reason, 0)?;
        let action = OperatorAction::Split { resources, reason };
        self.carry_out(caller.name, no, action).await
    }

    async fn set_estimate(
        &self,
        request: Request<v1::SetEstimateRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("id", &request.id)?;
        let range = (request.from_ms, request.to_ms);
        let estimate = estimate_range(range, ("from_ms", "to_ms"), self.clock.now_ms())
            .map_err(|violation| status::invalid(&[*violation]))?;
        self.carry_out(caller.name, no, OperatorAction::SetEstimate(estimate))
            .await
    }

    async fn add_note(
        &self,
        request: Request<v1::AddNoteRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("id", &request.id)?;
        let text = text("text", &request.text, 1)?;
        self.carry_out(caller.name, no, OperatorAction::AddNote { text })
            .await
    }

    async fn resolve_incident(
        &self,
        request: Request<v1::ResolveIncidentRequest>,
    ) -> Result<Response<v1::Incident>, Status> {
        let caller = require(&request, &[Role::Operator]).map_err(|status| *status)?;
        let request = request.into_inner();
        let no = incident_no("id", &request.id)?;
        let reason = text("reason", &request.reason, 0)?;
        self.carry_out(caller.name, no, OperatorAction::Resolve { reason })
            .await
    }
}

fn incident_filter(request: &v1::ListIncidentsRequest) -> Result<IncidentFilter, Status> {
    let mut states = Vec::with_capacity(request.states.len());
    for state in request.states() {
        states.push(state_of(state).ok_or_else(|| {
            invalid(
                "states",
                state.as_str_name(),
                "states other than INCIDENT_STATE_UNSPECIFIED; none for all",
            )
        })?);
    }
    if states.len() != request.states.len() {
        return Err(invalid("states", "", "numbers of states that exist"));
    }
    let (from_ms, to_ms) = period(request.from_ms, request.to_ms)?;
    Ok(IncidentFilter {
        states,
        from_ms,
        to_ms,
    })
}

fn state_of(state: v1::IncidentState) -> Option<IncidentState> {
    match state {
        v1::IncidentState::Unspecified => None,
        v1::IncidentState::Suspected => Some(IncidentState::Suspected),
        v1::IncidentState::Confirmed => Some(IncidentState::Confirmed),
        v1::IncidentState::Restored => Some(IncidentState::Restored),
        v1::IncidentState::Rejected => Some(IncidentState::Rejected),
    }
}

/// A repair that takes longer is a mistake in the typing.
const LONGEST_ESTIMATE_MS: i64 = 1_000 * 24 * 3_600_000;

/// A range in the future; both ends 0 for none. `fields` are the names of its ends.
fn estimate_range(
    (from_ms, to_ms): (i64, i64),
    (from_field, to_field): (&str, &str),
    now_ms: i64,
) -> Result<Option<Estimate>, Box<v1::FieldViolation>> {
    if from_ms == 0 && to_ms == 0 {
        return Ok(None);
    }
    let refused = |field: &str, value: i64, expected: &str| {
        let value = value.to_string();
        Err(Box::new(status::violation(field, value, expected)))
    };
    if from_ms <= now_ms {
        let expected = "an instant in the future, or 0 in both fields";
        return refused(from_field, from_ms, expected);
    }
    if to_ms < from_ms {
        let expected = format!("an instant not before {from_field}");
        return refused(to_field, to_ms, &expected);
    }
    if to_ms > now_ms.saturating_add(LONGEST_ESTIMATE_MS) {
        let expected = "an instant at most 1,000 days from now";
        return refused(to_field, to_ms, expected);
    }
    Ok(Some(Estimate { from_ms, to_ms }))
}

fn text(field: &str, text: &str, least: usize) -> Result<String, Status> {
    let text = text.trim().to_owned();
    if text.len() < least || text.len() > LONGEST_TEXT {
        let expected = format!("a text of {least} to {LONGEST_TEXT} bytes");
        return Err(invalid(field, "", &expected));
    }
    // They would reach the terminals of others, and PostgreSQL stores no NUL.
    let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.chars().any(is_control) {
        return Err(invalid(field, "", "a text without control characters"));
    }
    Ok(text)
}

/// Ids of resources that an operator names.
fn resources(resources: Vec<String>, least: usize) -> Result<Vec<String>, Status> {
    if resources.len() < least || resources.len() > MOST_RESOURCES {
        let expected = format!("{least} to {MOST_RESOURCES} ids");
        return Err(invalid(
            "resources",
            &resources.len().to_string(),
            &expected,
        ));
    }
    Ok(resources)
}

/// The number in an id such as `INC-42`.
pub(in crate::rpc) fn incident_no(field: &str, id: &str) -> Result<IncidentNo, Status> {
    IncidentNo::parse(id).ok_or_else(|| invalid(field, id, "an id such as INC-42"))
}

/// The size of a page, where 0 asks for the default.
pub(in crate::rpc) fn page_size(asked: u32, default: u32, largest: u32) -> Result<u32, Status> {
    match asked {
        0 => Ok(default),
        size if size <= largest => Ok(size),
        size => Err(invalid(
            "page_size",
            &size.to_string(),
            &format!("at most {largest}"),
        )),
    }
}

/// Reads a name; an empty one means any.
pub(in crate::rpc) fn one_of<T>(
    field: &str,
    name: &str,
    parse: fn(&str) -> Option<T>,
    names: &[&str],
) -> Result<Option<T>, Status> {
    if name.is_empty() {
        return Ok(None);
    }
    let expected = || format!("one of {}", names.join(", "));
    parse(name)
        .map(Some)
        .ok_or_else(|| invalid(field, name, &expected()))
}

/// A period in which 0 leaves an end open.
pub(in crate::rpc) fn period(
    from_ms: i64,
    to_ms: i64,
) -> Result<(Option<i64>, Option<i64>), Status> {
    let end = |ms: i64| (ms != 0).then_some(ms);
    match (end(from_ms), end(to_ms)) {
        (Some(from), Some(to)) if from > to => Err(invalid(
            "to_ms",
            &to.to_string(),
            "an instant not before from_ms",
        )),
        ends => Ok(ends),
    }
}

/// A page token that this server did not make.
pub(in crate::rpc) fn bad_page_token() -> Status {
    invalid("page_token", "", "the next_page_token of the previous page")
}

/// A text to look for; PostgreSQL knows none with a NUL in it.
pub(in crate::rpc) fn sought(field: &str, text: &str) -> Result<String, Status> {
    if text.contains('\0') {
        return Err(invalid(field, "", "a text without NUL"));
    }
    Ok(text.to_owned())
}

/// One field of a request that cannot be used.
pub(in crate::rpc) fn invalid(field: &str, value: &str, expected: &str) -> Status {
    status::invalid(&[status::violation(field, value, expected)])
}

/// The store could not answer; what it said goes into the log, not to the caller.
#[allow(
    clippy::needless_pass_by_value,
    reason = "the form that map_err asks for"
)]
pub(in crate::rpc) fn store_failed(error: StoreError) -> Status {
    status::store(&error)
}
