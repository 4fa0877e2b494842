//! `ComplaintService`: customers' contacts about service.
//!
//! Invariants: a complaint is counted as taken after its commit; one that is refused does not stop
//! its neighbours; the stream is read at once into a bounded queue, and a full queue ends the call
//! instead of stalling the connection.

use super::auth::{Role, require};
use super::incident::{bad_page_token, incident_no, page_size, sought};
use super::status;
use crate::clock::{Clock, Millis};
use crate::effect::complaint::{Complaint, ComplaintDraft, Violation};
use crate::pipeline::pace::CommitPace;
use crate::proto::v1;
use crate::proto::v1::complaint_service_server::{ComplaintService, ComplaintServiceServer};
use crate::store::{ComplaintFilter, KeptComplaint, Store};
use crate::subscriber::Numbering;
use crate::topology::Position;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

/// Complaints of one stream that wait for their commit.
const QUEUE: usize = 16_384;
/// Complaints of one commit, at most.
const BATCH: usize = 1_000;
/// Answers that wait for a slow client.
const ANSWERS_AHEAD: usize = 64;
const WRITERS: [Role; 2] = [Role::Ingest, Role::Care];
const READERS: [Role; 2] = [Role::Operator, Role::Care];
const DEFAULT_PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;

/// What the service needs.
#[derive(Clone, Debug)]
pub struct ComplaintApi {
    pub store: Store,
    /// What a phone number without a country code means.
    pub numbering: Numbering,
    pub clock: Clock,
    /// Holds the tasks that serve streams.
    pub tasks: TaskTracker,
    /// Ends the streams; what was read before is committed first.
    pub shutdown: CancellationToken,
}

impl ComplaintApi {
    /// The service, ready to be added to a server.
    pub fn service(self) -> ComplaintServiceServer<Self> {
        ComplaintServiceServer::new(self)
    }
}

#[tonic::async_trait]
impl ComplaintService for ComplaintApi {
    type StreamComplaintsStream = ReceiverStream<Result<v1::StreamComplaintsResponse, Status>>;

    async fn stream_complaints(
        &self,
        request: Request<Streaming<v1::StreamComplaintsRequest>>,
    ) -> Result<Response<Self::StreamComplaintsStream>, Status> {
        require(&request, &WRITERS).map_err(|status| *status)?;
        let (answers, receiver) = mpsc::channel(ANSWERS_AHEAD);
        self.tasks
            .spawn(serve(self.clone(), request.into_inner(), answers));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn list_complaints(
        &self,
        request: Request<v1::ListComplaintsRequest>,
    ) -> Result<Response<v1::ListComplaintsResponse>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let filter = parse_filter(request.get_ref())?;
        let kept = self
            .store
            .complaints(&filter)
            .await
            .map_err(|error| status::store(&error))?;
        let full = kept.len() == filter.limit as usize;
        let next_page_token = match kept.last() {
            Some(last) if full => page_token(last),
            _ => String::new(),
        };
        Ok(Response::new(v1::ListComplaintsResponse {
            complaints: kept.into_iter().map(to_message).collect(),
            next_page_token,
        }))
    }
}

type Answers = mpsc::Sender<Result<v1::StreamComplaintsResponse, Status>>;

/// Reads and commits side by side until the stream has ended and all that was read is committed.
async fn serve(
    api: ComplaintApi,
    inbound: Streaming<v1::StreamComplaintsRequest>,
    answers: Answers,
) {
    let (queue, waiting) = mpsc::channel(QUEUE);
    let pace = Mutex::new(CommitPace::default());
    let reading = read(inbound, queue, &pace, api.shutdown.clone());
    let (read, committed) = tokio::join!(reading, commit(&api, waiting, &pace, &answers));
    if let Err(status) = committed.and(read) {
        // The client may be gone, which is no failure of ours.
        answers.send(Err(status)).await.ok();
    }
}

/// Puts requests into the queue as they come.
async fn read(
    mut inbound: Streaming<v1::StreamComplaintsRequest>,
    queue: mpsc::Sender<v1::StreamComplaintsRequest>,
    pace: &Mutex<CommitPace>,
    shutdown: CancellationToken,
) -> Result<(), Status> {
    loop {
        let request = tokio::select! {
            request = inbound.message() => request.map_err(status::of_stream)?,
            () = shutdown.cancelled() => return Err(Status::unavailable("the server is stopping")),
        };
        let Some(request) = request else {
            return Ok(());
        };
        match queue.try_send(request) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let retry_after = with(pace, |pace| {
                    pace.retry_after(QUEUE, Instant::now(), rand::random())
                });
                return Err(status::exhausted(
                    "complaints come faster than they can be kept; resend those after the last answer",
                    retry_after,
                ));
            }
            // The committing side has failed and says why.
            Err(mpsc::error::TrySendError::Closed(_)) => return Ok(()),
        }
    }
}

/// Nothing that holds the lock can leave the pace half changed.
fn with<T>(pace: &Mutex<CommitPace>, work: impl FnOnce(&mut CommitPace) -> T) -> T {
    work(&mut pace.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Commits what waits in the queue, as much at a time as there is.
async fn commit(
    api: &ComplaintApi,
    mut waiting: mpsc::Receiver<v1::StreamComplaintsRequest>,
    pace: &Mutex<CommitPace>,
    answers: &Answers,
) -> Result<(), Status> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut progress = v1::StreamComplaintsResponse::default();
    let mut number = 0;
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let mut complaints = Vec::with_capacity(batch.len());
        progress.rejected.clear();
        for request in batch.drain(..) {
            number += 1;
            match checked(request, api.clock.now_ms(), &api.numbering) {
                Ok(complaint) => complaints.push(complaint),
                Err(violations) => progress.rejected.push(v1::RejectedComplaint {
                    number,
                    violations: violations.iter().map(violation_message).collect(),
                }),
            }
        }
        with(pace, |pace| pace.begin(Instant::now()));
        let taken = api
            .store
            .take_complaints(&complaints, api.clock.now_ms())
            .await
            .map_err(|error| status::store(&error))?;
        with(pace, |pace| pace.end(complaints.len(), Instant::now()));
        progress.taken += complaints.len() as u64;
        progress.duplicates += taken.duplicates;
        progress.unknown_accounts += taken.unknown_accounts;
        // A client that has gone away still gets its complaints kept.
        answers.send(Ok(progress.clone())).await.ok();
    }
    Ok(())
}

fn checked(
    request: v1::StreamComplaintsRequest,
    now_ms: Millis,
    numbering: &Numbering,
) -> Result<Complaint, Vec<Violation>> {
    let Some(message) = request.complaint else {
        return Err(vec![Violation {
            field: "complaint",
            value: String::new(),
            expected: "a complaint in each request",
        }]);
    };
    ComplaintDraft {
        id: message.id,
        account: message.account,
        contact: message.contact,
        position: message.position.map(|position| Position {
            latitude: position.latitude,
            longitude: position.longitude,
        }),
        at_ms: message.at_ms,
        channel: message.channel,
        category: message.category,
        text: message.text,
    }
    .check(now_ms, numbering)
}

fn violation_message(violation: &Violation) -> v1::FieldViolation {
    let field = match violation.field {
        "complaint" => "complaint".to_owned(),
        field => format!("complaint.{field}"),
    };
    status::violation(field, &violation.value, violation.expected)
}

fn to_message(kept: KeptComplaint) -> v1::Complaint {
    let complaint = kept.complaint;
    v1::Complaint {
        id: complaint.id,
        account: complaint.account,
        contact: complaint.contact,
        position: complaint.position.map(|position| v1::Position {
            latitude: position.latitude,
            longitude: position.longitude,
        }),
        at_ms: complaint.at_ms,
        channel: complaint.channel.as_str().to_owned(),
        category: complaint.category,
        text: complaint.text,
        incident_id: kept.incident.map(|no| no.to_string()).unwrap_or_default(),
        matched_by: kept.matched_by,
    }
}

fn parse_filter(request: &v1::ListComplaintsRequest) -> Result<ComplaintFilter, Status> {
    let incident = match request.incident_id.as_str() {
        "" => None,
        id => Some(incident_no("incident_id", id)?),
    };
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(parse_page_token(token).ok_or_else(bad_page_token)?),
    };
    Ok(ComplaintFilter {
        incident,
        account: sought("account", &request.account)?,
        after,
        limit: page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE)?,
    })
}

fn page_token(last: &KeptComplaint) -> String {
    format!("{}.{}", last.complaint.at_ms, last.number)
}

fn parse_page_token(token: &str) -> Option<(i64, i64)> {
    let (at_ms, number) = token.split_once('.')?;
    Some((at_ms.parse().ok()?, number.parse().ok()?))
}
