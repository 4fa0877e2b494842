//! From many streams into one journal: a bounded queue, and one committer that takes all that
//! waits, stores it in one transaction and then tells the streams how far they are durable.
//!
//! Invariants: what is announced as committed is durable; the entries of a source are stored in the
//! order of their numbers, each number once; the queue never holds more than its bound.

use crate::alarm::SourceId;
use crate::clock::{Clock, Millis};
use crate::pipeline::pace::CommitPace;
use crate::store::{SourceHealth, SourceProgress, SourceStream, Store, StoreError, StoredSource};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where entries are kept: the alarm log or the samples.
pub trait Journal: std::fmt::Debug + Send + Sync + 'static {
    /// What a source says.
    type Record: Send + 'static;
    /// A record with its origin.
    type Entry: std::fmt::Debug + Send + Sync + 'static;
    const STREAM: SourceStream;

    /// Joins a record with its origin; the position is given when it is written.
    fn entry(origin: Origin, record: Self::Record) -> Self::Entry;

    /// The entry that says that a source fell silent or came back, if the journal keeps these.
    fn mark(origin: Origin, mark: Mark) -> Option<Self::Entry>;

    /// What a record means for how far the source's state is known.
    fn step(record: &Self::Record) -> Step;

    fn origin(entry: &Self::Entry) -> Origin;

    /// Gives the entries their positions and stores them in one durable transaction.
    fn write(
        &self,
        entries: &mut Vec<Self::Entry>,
        progress: &[SourceProgress],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Hands entries that are durable to the readers.
    fn publish(&self, entries: Vec<Self::Entry>);

    /// Finds its end again, after a transaction that may or may not have been committed.
    fn recover(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub source: SourceId,
    /// 0: written by Forewarn itself.
    pub sequence: u64,
    pub received_at_ms: Millis,
}

/// What a record means for how far the state of its source is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing by itself.
    Plain,
    /// It says all that there is to say.
    Whole,
    /// All that is active follows.
    SnapshotBegin,
    /// All that is active was listed since the begin; without one it says nothing.
    SnapshotEnd,
}

/// What Forewarn itself notes about a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Stale,
    Heard,
}

/// Limits of an intake.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// Entries that may wait.
    pub queue_events: usize,
    /// Entries of one transaction, about.
    pub batch_events: usize,
}

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full: come back after the delay.
    Full { retry_after: Duration },
    /// A newer stream of the same source has begun.
    Superseded,
    /// The service is stopping.
    Closing,
}

/// Tries of one transaction; the pauses between them double from the first.
const COMMIT_ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A source is stale after this many promised intervals of silence.
pub(super) const SILENT_INTERVALS: i64 = 2;

/// Takes what sources send; cheap to clone.
#[derive(Debug)]
pub struct Intake<J: Journal> {
    inner: Arc<Inner<J>>,
}

impl<J: Journal> Clone for Intake<J> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

#[derive(Debug)]
struct Inner<J: Journal> {
    journal: Arc<J>,
    store: Store,
    clock: Clock,
    limits: IntakeLimits,
    queue: Mutex<Queue<J::Entry>>,
    arrived: Notify,
    sources: Mutex<BTreeMap<String, Arc<Source>>>,
    registering: tokio::sync::Mutex<()>,
    /// Cancelled when nothing will be committed any more.
    ended: CancellationToken,
}

#[derive(Debug)]
struct Queue<E> {
    chunks: VecDeque<Chunk<E>>,
    entries: usize,
    pace: CommitPace,
    closed: bool,
}

/// Consecutive entries of one source.
#[derive(Debug)]
struct Chunk<E> {
    source: Arc<Source>,
    entries: Vec<E>,
    progress: SourceProgress,
    /// Whether there is something to store; a mere heartbeat is not.
    durable: bool,
}

#[derive(Debug)]
struct Source {
    id: SourceId,
    name: String,
    last_heard_ms: AtomicI64,
    /// From when on its silence counts: when it was last heard, or when the service started if that
    /// is later.
    quiet_since_ms: AtomicI64,
    saved_heard_ms: AtomicI64,
    committed: watch::Sender<u64>,
    state: Mutex<SourceState>,
}

#[derive(Debug)]
struct SourceState {
    heartbeat_interval_s: u32,
    health: SourceHealth,
    snapshot_open: bool,
    /// Highest number that was taken; what lies above `committed` is on its way.
    accepted: u64,
    /// Of the newest stream; cancelled when a newer one begins.
    stream: CancellationToken,
    generation: u64,
}

/// What one stream of a source has read.
#[derive(Debug)]
pub struct Parcel<R> {
    /// Numbers that rise, above everything taken before.
    pub records: Vec<(u64, R)>,
    /// Highest number, also of what is not stored (rejected events, heartbeats).
    pub through: u64,
    /// Whether numbers were used up by events that are not stored.
    pub rejected: bool,
}

/// When a source was last heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignOfLife {
    pub id: SourceId,
    /// Promised interval between messages; 0: no promise.
    pub promised_ms: i64,
    /// The start of the service if it has not been heard since.
    pub last_heard_ms: Millis,
    /// Everything that it had sent by then is durable.
    pub is_settled: bool,
}

/// The stream of a source that is the newest, as far as it knows.
#[derive(Debug)]
pub struct Feed<J: Journal> {
    intake: Intake<J>,
    source: Arc<Source>,
    generation: u64,
    superseded: CancellationToken,
    /// Highest number that was taken when the stream began.
    accepted: u64,
}

impl<J: Journal> Intake<J> {
    /// An intake into the journal, with the sources that are stored.
    pub async fn open(
        journal: Arc<J>,
        store: Store,
        clock: Clock,
        limits: IntakeLimits,
    ) -> Result<Self, StoreError> {
        let now_ms = clock.now_ms();
        // While the service was down nobody could be heard: that is no silence.
        let sources = store.sources(J::STREAM).await?.into_iter().map(|stored| {
            let source = Source::new(&stored, now_ms);
            (stored.name, Arc::new(source))
        });
        let inner = Inner {
            journal,
            sources: Mutex::new(sources.collect()),
            store,
            clock,
            limits,
            queue: Mutex::new(Queue {
                chunks: VecDeque::new(),
                entries: 0,
                pace: CommitPace::default(),
                closed: false,
            }),
            arrived: Notify::new(),
            registering: tokio::sync::Mutex::default(),
            ended: CancellationToken::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Begins a stream of a source; an older one of the same source ends.
    pub async fn feed(&self, name: &str, heartbeat_interval_s: u32) -> Result<Feed<J>, StoreError> {
        let _registering = self.inner.registering.lock().await;
        let now_ms = self.inner.clock.now_ms();
        let stored = self
            .inner
            .store
            .register_source(J::STREAM, name, heartbeat_interval_s, now_ms)
            .await?;
        let source = Arc::clone(
            lock(&self.inner.sources)
                .entry(name.to_owned())
                .or_insert_with(|| Arc::new(Source::new(&stored, now_ms))),
        );
        let superseded = CancellationToken::new();
        let (generation, accepted) = {
            let mut state = lock(&source.state);
            state.stream.cancel();
            state.stream = superseded.clone();
            state.generation += 1;
            state.heartbeat_interval_s = heartbeat_interval_s;
            (state.generation, state.accepted)
        };
        Ok(Feed {
            intake: self.clone(),
            source,
            generation,
            superseded,
            accepted,
        })
    }

    /// All sources by name, as they are now.
    pub fn sources(&self) -> Vec<StoredSource> {
        let sources = lock(&self.inner.sources);
        sources.values().map(|source| source.present()).collect()
    }

    /// When each source was last heard.
    pub fn signs_of_life(&self) -> Vec<SignOfLife> {
        let sources = lock(&self.inner.sources);
        sources
            .values()
            .map(|source| source.sign_of_life())
            .collect()
    }

    /// Notes the sources that were silent for longer than they promised; returns how many.
    pub fn mark_silent(&self, now_ms: Millis) -> usize {
        let all: Vec<_> = lock(&self.inner.sources).values().cloned().collect();
        let mut marked = 0;
        for source in all {
            let mut state = lock(&source.state);
            let promised_ms = SILENT_INTERVALS * 1_000 * i64::from(state.heartbeat_interval_s);
            let silent_ms = now_ms - source.quiet_since_ms.load(Ordering::Relaxed);
            if promised_ms == 0 || silent_ms <= promised_ms || state.health == SourceHealth::Silent
            {
                continue;
            }
            tracing::warn!(source = source.name, silent_ms, "source is silent");
            state.health = SourceHealth::Silent;
            marked += 1;
            let mark = J::mark(source.origin(0, now_ms), Mark::Stale);
            let chunk = source.chunk(&state, mark.into_iter().collect(), true);
            self.push_unbounded(chunk);
        }
        marked
    }

    /// Keeps when the sources were last heard, where it has changed.
    pub async fn save_last_heard(&self) -> Result<(), StoreError> {
        let all: Vec<_> = lock(&self.inner.sources).values().cloned().collect();
        let mut heard = Vec::new();
        for source in all {
            let at_ms = source.last_heard_ms.load(Ordering::Relaxed);
            if source.saved_heard_ms.swap(at_ms, Ordering::Relaxed) != at_ms {
                heard.push((source.id, at_ms));
            }
        }
        if heard.is_empty() {
            return Ok(());
        }
        self.inner.store.save_last_heard(&heard).await
    }

    /// Commits until `shutdown`, and then what had been taken before.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StoreError> {
        let _ended = self.inner.ended.clone().drop_guard();
        loop {
            if self.commit_pending().await? > 0 {
                continue;
            }
            if shutdown.is_cancelled() {
                let mut queue = lock(&self.inner.queue);
                if queue.chunks.is_empty() {
                    queue.closed = true;
                    return Ok(());
                }
            } else {
                tokio::select! {
                    () = self.inner.arrived.notified() => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }

    /// Commits what waits, about one batch of it; returns how many chunks that were.
    pub async fn commit_pending(&self) -> Result<usize, StoreError> {
        let chunks = self.take();
        if chunks.is_empty() {
            return Ok(0);
        }
        let taken = chunks.len();
        let durable = chunks.iter().any(|chunk| chunk.durable);
        let mut progress = BTreeMap::new();
        let mut sources = HashMap::new();
        let mut entries = Vec::with_capacity(chunks.iter().map(|c| c.entries.len()).sum());
        for chunk in chunks {
            entries.extend(chunk.entries);
            progress.insert(chunk.progress.id.0, chunk.progress);
            sources.insert(chunk.progress.id.0, chunk.source);
        }
        let progress: Vec<_> = progress.into_values().collect();
        if durable {
            lock(&self.inner.queue).pace.begin(Instant::now());
            let stored = entries.len();
            self.write(&mut entries, &progress).await?;
            lock(&self.inner.queue).pace.end(stored, Instant::now());
            self.inner.journal.publish(entries);
        }
        for progress in progress {
            if let Some(source) = sources.get(&progress.id.0) {
                source.committed.send_replace(progress.last_sequence);
            }
        }
        Ok(taken)
    }

    async fn write(
        &self,
        entries: &mut Vec<J::Entry>,
        progress: &[SourceProgress],
    ) -> Result<(), StoreError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..COMMIT_ATTEMPTS {
            let Err(error) = self.inner.journal.write(entries, progress).await else {
                return Ok(());
            };
            tracing::warn!(%error, "alarms or samples could not be committed; trying again");
            tokio::time::sleep(pause).await;
            pause *= 2;
            if let Err(error) = self.recover(entries).await {
                tracing::warn!(%error, "the journal cannot be read");
            }
        }
        self.inner.journal.write(entries, progress).await
    }

    /// The transaction may have been committed although its answer was lost: what is durable is not
    /// written again.
    async fn recover(&self, entries: &mut Vec<J::Entry>) -> Result<(), StoreError> {
        self.inner.journal.recover().await?;
        let stored = self.inner.store.sources(J::STREAM).await?;
        let durable: HashMap<_, _> = stored.iter().map(|s| (s.id, s.last_sequence)).collect();
        entries.retain(|entry| {
            let origin = J::origin(entry);
            origin.sequence == 0
                || origin.sequence > durable.get(&origin.source).copied().unwrap_or(0)
        });
        Ok(())
    }

    fn take(&self) -> Vec<Chunk<J::Entry>> {
        let mut queue = lock(&self.inner.queue);
        let mut chunks = Vec::new();
        let mut entries = 0;
        while entries < self.inner.limits.batch_events
            && let Some(chunk) = queue.chunks.pop_front()
        {
            queue.entries -= chunk.weight();
            entries += chunk.weight();
            chunks.push(chunk);
        }
        chunks
    }

    fn has_room(&self, weight: usize) -> Result<MutexGuard<'_, Queue<J::Entry>>, Refusal> {
        let queue = lock(&self.inner.queue);
        if queue.closed {
            return Err(Refusal::Closing);
        }
        if queue.entries + weight > self.inner.limits.queue_events {
            let chance = rand::random();
            let retry_after = queue
                .pace
                .retry_after(queue.entries, Instant::now(), chance);
            return Err(Refusal::Full { retry_after });
        }
        Ok(queue)
    }

    fn push_unbounded(&self, chunk: Chunk<J::Entry>) {
        let mut queue = lock(&self.inner.queue);
        if !queue.closed {
            queue.push(chunk);
            drop(queue);
            self.inner.arrived.notify_one();
        }
    }
}

impl<J: Journal> Feed<J> {
    /// Everything up to this number was taken before this stream began; some of it may still be on
    /// its way to the journal.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Everything up to this number is durable; changes with each commit.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.source.committed.subscribe()
    }

    /// Ends when a newer stream of this source has begun.
    pub async fn superseded(&self) {
        self.superseded.cancelled().await;
    }

    /// Ends when nothing is committed any more.
    pub async fn ended(&self) {
        self.intake.inner.ended.cancelled().await;
    }

    /// The present instant, by the clock of the intake.
    pub fn now_ms(&self) -> Millis {
        self.intake.inner.clock.now_ms()
    }

    /// Whether a snapshot has begun that has not ended, as far as was taken.
    pub fn is_snapshot_open(&self) -> bool {
        lock(&self.source.state).snapshot_open
    }

    /// Notes that the source is alive, and takes what it has sent: all of it or nothing.
    pub fn accept(&self, parcel: Parcel<J::Record>) -> Result<(), Refusal> {
        let now_ms = self.intake.inner.clock.now_ms();
        let mut state = lock(&self.source.state);
        if state.generation != self.generation {
            return Err(Refusal::Superseded);
        }
        self.source.hear(now_ms);
        let returns = state.health == SourceHealth::Silent;
        if !returns && parcel.through <= state.accepted {
            return Ok(());
        }
        let mut queue = self.intake.has_room(parcel.records.len().max(1))?;
        let mut entries = Vec::with_capacity(parcel.records.len() + usize::from(returns));
        if returns {
            state.health = SourceHealth::Returned;
            entries.extend(J::mark(self.source.origin(0, now_ms), Mark::Heard));
        }
        for (sequence, record) in parcel.records {
            let is_whole = state.take_step(J::step(&record));
            if is_whole && state.health == SourceHealth::Returned {
                state.health = SourceHealth::Current;
            }
            entries.push(J::entry(self.source.origin(sequence, now_ms), record));
        }
        state.accepted = state.accepted.max(parcel.through);
        let durable = returns || parcel.rejected || !entries.is_empty();
        queue.push(self.source.chunk(&state, entries, durable));
        drop(queue);
        self.intake.inner.arrived.notify_one();
        Ok(())
    }
}

impl<E> Queue<E> {
    fn push(&mut self, chunk: Chunk<E>) {
        self.entries += chunk.weight();
        self.chunks.push_back(chunk);
    }
}

impl<E> Chunk<E> {
    /// Places it takes in the queue; one without entries takes one too.
    fn weight(&self) -> usize {
        self.entries.len().max(1)
    }
}

impl SourceState {
    /// Notes a record; whether with it nothing is missing any more of a source that had been silent.
    fn take_step(&mut self, step: Step) -> bool {
        match step {
            Step::Plain => false,
            Step::Whole => true,
            Step::SnapshotBegin => {
                self.snapshot_open = true;
                false
            }
            Step::SnapshotEnd => std::mem::take(&mut self.snapshot_open),
        }
    }
}

impl Source {
    fn new(stored: &StoredSource, now_ms: Millis) -> Self {
        let state = SourceState {
            heartbeat_interval_s: stored.heartbeat_interval_s,
            health: stored.health,
            snapshot_open: stored.snapshot_open,
            accepted: stored.last_sequence,
            stream: CancellationToken::new(),
            generation: 0,
        };
        Self {
            id: stored.id,
            name: stored.name.clone(),
            last_heard_ms: AtomicI64::new(stored.last_heard_ms),
            quiet_since_ms: AtomicI64::new(now_ms),
            saved_heard_ms: AtomicI64::new(stored.last_heard_ms),
            committed: watch::Sender::new(stored.last_sequence),
            state: Mutex::new(state),
        }
    }

    fn hear(&self, now_ms: Millis) {
        self.last_heard_ms.store(now_ms, Ordering::Relaxed);
        self.quiet_since_ms.store(now_ms, Ordering::Relaxed);
    }

    fn origin(&self, sequence: u64, received_at_ms: Millis) -> Origin {
        Origin {
            source: self.id,
            sequence,
            received_at_ms,
        }
    }

    fn chunk<E>(self: &Arc<Self>, state: &SourceState, entries: Vec<E>, durable: bool) -> Chunk<E> {
        Chunk {
            source: Arc::clone(self),
            entries,
            progress: SourceProgress {
                id: self.id,
                last_sequence: state.accepted,
                last_heard_ms: self.last_heard_ms.load(Ordering::Relaxed),
                health: state.health,
                snapshot_open: state.snapshot_open,
            },
            durable,
        }
    }

    fn sign_of_life(&self) -> SignOfLife {
        // Before the state: what is taken meanwhile is not settled.
        let last_heard_ms = self.quiet_since_ms.load(Ordering::Relaxed);
        let state = lock(&self.state);
        SignOfLife {
            id: self.id,
            promised_ms: 1_000 * i64::from(state.heartbeat_interval_s),
            last_heard_ms,
            is_settled: state.accepted <= *self.committed.borrow(),
        }
    }

    fn present(&self) -> StoredSource {
        let state = lock(&self.state);
        StoredSource {
            id: self.id,
            name: self.name.clone(),
            heartbeat_interval_s: state.heartbeat_interval_s,
            last_sequence: *self.committed.borrow(),
            last_heard_ms: self.last_heard_ms.load(Ordering::Relaxed),
            health: state.health,
            snapshot_open: state.snapshot_open,
        }
    }
}

/// Nothing that holds one of these locks can leave its value half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
