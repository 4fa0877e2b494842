//! One stream of a source, be it of alarms or of samples: hello, resume, numbered messages,
//! committed.
//!
//! Invariant: a stream is read as soon as something arrives, whatever the queue or the client does.
//! Unread small messages make HTTP/2 end the whole connection; so a full queue ends the call.

use crate::clock::Millis;
use crate::detect::is_rule_source;
use crate::pipeline::intake::{Feed, Intake, Journal, Parcel, Refusal, Step};
use crate::proto::v1;
use crate::rpc::auth::{Admission, Role, require};
use crate::rpc::status;
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

/// The messages of one of the two interfaces.
pub(in crate::rpc) trait Protocol: 'static {
    type Request: Send + 'static;
    type Response: Send + 'static;
    type Journal: Journal;

    /// The number of a message and what it says.
    fn parse(
        request: Self::Request,
        now_ms: Millis,
    ) -> (u64, Message<<Self::Journal as Journal>::Record>);

    fn answer(answer: Answer) -> Self::Response;
}

/// What a source may say.
pub(in crate::rpc) enum Message<R> {
    Hello(v1::Hello),
    Heartbeat,
    Record(R),
    Invalid(Vec<v1::FieldViolation>),
}

/// What it may be told.
pub(in crate::rpc) enum Answer {
    Resume(v1::Resume),
    Committed(v1::Committed),
    Rejected(v1::Rejected),
}

/// What the streams share.
#[derive(Clone, Debug)]
pub struct Streams {
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Streams {
    /// Streams that end when `shutdown` is cancelled.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self {
            shutdown,
            tasks: TaskTracker::new(),
        }
    }
}

/// Messages that are taken from a stream at a time.
const READ_AT_ONCE: usize = 512;
/// Answers between a stream and HTTP/2.
const ANSWERS_AHEAD: usize = 32;
/// Rejections that wait for a client that does not read them.
const REJECTIONS_AHEAD: usize = 10_000;
/// A source that promises no more than a sign of life a day promises nothing.
const LONGEST_HEARTBEAT_S: u32 = 86_400;
/// A stream must begin with `hello` within this time.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// What the answers to a client that does not read them may take at the end.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Numbers are stored as signed 64-bit integers.
const LARGEST_SEQUENCE: u64 = i64::MAX.cast_unsigned();

pub(in crate::rpc) type Answers<R> = ReceiverStream<Result<R, Status>>;

/// Serves one call, in a task of its own: it reads whether or not its answers are read.
pub(in crate::rpc) fn serve<P: Protocol>(
    streams: &Streams,
    intake: Intake<P::Journal>,
    request: Request<Streaming<P::Request>>,
) -> Result<Response<Answers<P::Response>>, Status> {
    let caller = require(&request, &[Role::Ingest]).map_err(|status| *status)?;
    let admission = request.extensions().get::<Admission>().cloned();
    let (answers, receiver) = mpsc::channel(ANSWERS_AHEAD);
    let shutdown = streams.shutdown.clone();
    streams.tasks.spawn(async move {
        let mut stream = request.into_inner();
        let result = tokio::select! {
            result = begin::<P>(&intake, &mut stream) => result,
            () = shutdown.cancelled() => Err(stopping()),
        };
        let ended = match result {
            Ok((feed, source)) => {
                tracing::info!(source, caller = caller.name, "source connected");
                let session = Session::<P>::new(feed, &source, &answers);
                let ended = session.run(stream, admission, &shutdown).await;
                let code = ended.as_ref().err().map(Status::code);
                tracing::info!(source, ?code, "source disconnected");
                ended
            }
            Err(status) => Err(status),
        };
        if let Err(status) = ended {
            // A client that has gone, or reads nothing, misses why.
            drop(answers.send_timeout(Err(status), FAREWELL_TIMEOUT).await);
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

/// Reads `hello`.
async fn begin<P: Protocol>(
    intake: &Intake<P::Journal>,
    stream: &mut Streaming<P::Request>,
) -> Result<(Feed<P::Journal>, String), Status> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, stream.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no `hello` within 10 s"))?
        .map_err(status::of_stream)?;
    let Some((_, Message::Hello(hello))) = first.map(|first| P::parse(first, 0)) else {
        return Err(status::invalid(&[status::violation(
            "hello",
            "",
            "`hello` as the first message of the stream",
        )]));
    };
    if hello.source.is_empty() || hello.source.len() > 128 || hello.source.contains('\0') {
        return Err(status::invalid(&[status::violation(
            "hello.source",
            hello.source,
            "a name of 1 to 128 bytes without U+0000",
        )]));
    }
    if hello.heartbeat_interval_s > LONGEST_HEARTBEAT_S {
        return Err(status::invalid(&[status::violation(
            "hello.heartbeat_interval_s",
            hello.heartbeat_interval_s.to_string(),
            "at most 86400 seconds; 0 promises nothing",
        )]));
    }
    if is_rule_source(&hello.source) {
        return Err(status::invalid(&[status::violation(
            "hello.source",
            hello.source,
            "a name that does not begin with `detect/`, which stands for rules of detection",
        )]));
    }
    let feed = intake
        .feed(&hello.source, hello.heartbeat_interval_s)
        .await
        .map_err(|error| status::store(&error))?;
    Ok((feed, hello.source))
}

struct Session<'a, P: Protocol> {
    source: &'a str,
    feed: Feed<P::Journal>,
    answers: &'a mpsc::Sender<Result<P::Response, Status>>,
    committed: watch::Receiver<u64>,
    /// Highest number that was taken.
    accepted: u64,
    /// What is still to be said.
    rejected: VecDeque<v1::Rejected>,
    owes_committed: bool,
    /// It is on record that the source repeats itself.
    is_repetition_known: bool,
}

/// How the reading of a stream went on.
enum Read {
    More,
    Finished,
    Failed(Status),
}

impl<'a, P: Protocol> Session<'a, P> {
    fn new(
        feed: Feed<P::Journal>,
        source: &'a str,
        answers: &'a mpsc::Sender<Result<P::Response, Status>>,
    ) -> Self {
        Self {
            source,
            committed: feed.committed(),
            accepted: feed.accepted(),
            feed,
            answers,
            rejected: VecDeque::new(),
            owes_committed: false,
            is_repetition_known: false,
        }
    }

    async fn run(
        mut self,
        mut stream: Streaming<P::Request>,
        admission: Option<Admission>,
        shutdown: &CancellationToken,
    ) -> Result<(), Status> {
        let mut messages = Vec::with_capacity(READ_AT_ONCE);
        let mut revoked = pin!(async {
            match &admission {
                Some(admission) => admission.revoked().await,
                None => std::future::pending().await,
            }
        });
        // `hello` is a sign of life.
        self.accept(Parcel {
            records: Vec::new(),
            through: 0,
            rejected: false,
        })?;
        // The channel is empty, so this does not wait.
        let resume = P::answer(Answer::Resume(v1::Resume {
            last_committed_sequence: *self.committed.borrow_and_update(),
        }));
        drop(self.answers.send(Ok(resume)).await);
        let ended = loop {
            tokio::select! {
                read = read_ready(&mut stream, &mut messages) => {
                    if let Err(status) = self.take(&mut messages) {
                        break Err(status);
                    }
                    match read {
                        Read::More => {}
                        Read::Finished => break Ok(()),
                        Read::Failed(status) => break Err(status::of_stream(status)),
                    }
                }
                Ok(()) = self.committed.changed() => self.owes_committed = true,
                Ok(permit) = self.answers.reserve(), if self.owes_answer() => {
                    if let Some(answer) = self.next_answer() {
                        permit.send(Ok(answer));
                    }
                }
                () = self.feed.superseded() => break Err(superseded()),
                () = &mut revoked => {
                    break Err(Status::unauthenticated("the token has been revoked"));
                }
                () = shutdown.cancelled() => break Err(stopping()),
            }
        };
        self.settle().await;
        ended
    }

    /// Waits until what was taken is durable, and says so.
    async fn settle(&mut self) {
        let accepted = self.accepted;
        tokio::select! {
            durable = self.committed.wait_for(|through| *through >= accepted) => drop(durable),
            () = self.feed.ended() => {}
        }
        self.owes_committed = true;
        while let Some(answer) = self.next_answer() {
            let sent = self.answers.send_timeout(Ok(answer), FAREWELL_TIMEOUT);
            if sent.await.is_err() {
                return;
            }
        }
    }

    fn owes_answer(&self) -> bool {
        self.owes_committed || !self.rejected.is_empty()
    }

    fn next_answer(&mut self) -> Option<P::Response> {
        let answer = if let Some(rejected) = self.rejected.pop_front() {
            Answer::Rejected(rejected)
        } else if std::mem::take(&mut self.owes_committed) {
            Answer::Committed(v1::Committed {
                through_sequence: *self.committed.borrow_and_update(),
            })
        } else {
            return None;
        };
        Some(P::answer(answer))
    }

    /// Hands what was read to the intake.
    fn take(&mut self, messages: &mut Vec<P::Request>) -> Result<(), Status> {
        // The end of a stream is no sign of life.
        if messages.is_empty() {
            return Ok(());
        }
        let mut parcel = Parcel {
            records: Vec::with_capacity(messages.len()),
            through: self.accepted,
            rejected: false,
        };
        let now_ms = self.feed.now_ms();
        let mut snapshot_open = self.feed.is_snapshot_open();
        for message in messages.drain(..) {
            let (sequence, message) = P::parse(message, now_ms);
            let known = sequence <= parcel.through && sequence > 0;
            match message {
                Message::Hello(_) => {
                    return Err(status::invalid(&[status::violation(
                        "hello",
                        "",
                        "`hello` only once",
                    )]));
                }
                Message::Heartbeat if sequence == 0 => {}
                _ if known => {
                    self.owes_committed = true;
                    if !std::mem::replace(&mut self.is_repetition_known, true) {
                        tracing::warn!(
                            source = self.source,
                            sequence,
                            taken_through = parcel.through,
                            "messages with numbers that were taken before are left out as \
                             repetitions; a source that numbers anew needs another name"
                        );
                    }
                }
                _ if sequence == 0 || sequence > LARGEST_SEQUENCE => {
                    self.rejected.push_back(v1::Rejected {
                        sequence,
                        violations: vec![status::violation(
                            "sequence",
                            sequence.to_string(),
                            "a number from 1 to 9223372036854775807",
                        )],
                    });
                }
                Message::Heartbeat => parcel.through = sequence,
                Message::Record(record) => {
                    parcel.through = sequence;
                    match in_order(P::Journal::step(&record), &mut snapshot_open) {
                        Ok(()) => parcel.records.push((sequence, record)),
                        Err(violation) => self.reject(&mut parcel, vec![violation]),
                    }
                }
                Message::Invalid(violations) => {
                    parcel.through = sequence;
                    self.reject(&mut parcel, violations);
                }
            }
        }
        if self.rejected.len() > REJECTIONS_AHEAD {
            return Err(Status::resource_exhausted(
                "the client does not read which of its messages are rejected",
            ));
        }
        self.accept(parcel)
    }

    /// Refuses the message up to which the parcel goes: its number is used up.
    fn reject<R>(&mut self, parcel: &mut Parcel<R>, violations: Vec<v1::FieldViolation>) {
        parcel.rejected = true;
        self.rejected.push_back(v1::Rejected {
            sequence: parcel.through,
            violations,
        });
    }

    fn accept(&mut self, parcel: Parcel<<P::Journal as Journal>::Record>) -> Result<(), Status> {
        let through = parcel.through;
        match self.feed.accept(parcel) {
            Ok(()) => {
                self.accepted = self.accepted.max(through);
                Ok(())
            }
            Err(Refusal::Full { retry_after }) => {
                // Not taken, so nothing of it is rejected for good either.
                self.rejected
                    .retain(|rejected| rejected.sequence <= self.accepted);
                Err(status::exhausted(
                    "the queue is full: come back after the delay and resume",
                    retry_after,
                ))
            }
            Err(Refusal::Superseded) => Err(superseded()),
            Err(Refusal::Closing) => Err(stopping()),
        }
    }
}

/// Refuses the end of a snapshot that has not begun: it says nothing of what is active.
fn in_order(step: Step, snapshot_open: &mut bool) -> Result<(), v1::FieldViolation> {
    match step {
        Step::SnapshotBegin => *snapshot_open = true,
        Step::SnapshotEnd if !*snapshot_open => {
            return Err(status::violation(
                "snapshot_end",
                "",
                "a snapshot_begin before it, since the latest snapshot_end",
            ));
        }
        Step::SnapshotEnd => *snapshot_open = false,
        Step::Plain | Step::Whole => {}
    }
    Ok(())
}

/// Takes what has arrived; waits only when that is nothing.
async fn read_ready<M>(stream: &mut Streaming<M>, into: &mut Vec<M>) -> Read {
    std::future::poll_fn(|cx| {
        while into.len() < READ_AT_ONCE {
            match Pin::new(&mut *stream).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => into.push(message),
                Poll::Ready(Some(Err(status))) => return Poll::Ready(Read::Failed(status)),
                Poll::Ready(None) => return Poll::Ready(Read::Finished),
                Poll::Pending if into.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Read::More)
    })
    .await
}

fn superseded() -> Status {
    Status::aborted("a newer stream of this source has begun")
}

fn stopping() -> Status {
    Status::unavailable("the server is shutting down: reconnect and resume")
}
