//! The book of alarms: the present state of each, folded from the log.
//!
//! - An alarm is known by its source and its key: two sources may report the same one.
//! - The state follows from the times of the events, not from the order in which they arrive.
//! - The book as of position p follows from the book as of an earlier position and the entries
//!   between, also across [`AlarmBook::pages`].
//! - Size: live alarms, and ended ones for [`RETENTION_MS`].

pub use super::history::Interval;
use super::history::{History, Mark};
use super::{
    AlarmEvent, AlarmEventKind, AlarmKey, FlapThresholds, LogEntry, LogRecord, ServiceEffect,
    Severity, SourceId, effect_of, is_last_word,
};
use crate::clock::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// How long an ended alarm is remembered, by the times of receipt in the log. A straggling event is
/// recognised as old during this time; afterwards it counts as a new alarm, because a source numbers
/// its messages, so what comes that late is a backlog and not a straggler.
pub const RETENTION_MS: i64 = 3_600_000;

/// Form of the pages of [`AlarmBook::pages`].
const PAGES_VERSION: u32 = 3;
/// Alarms of one page: some hundred kilobytes, a millisecond of work.
const ALARMS_PER_PAGE: usize = 2_000;
/// Entries of the queue of ended alarms that may be out of date, besides as many as there are
/// alarms.
const QUEUE_SLACK: usize = 1_024;

/// What says a dying gasp so long after another one has had power in between; one who repeats what is
/// active does so more often. Milliseconds.
const GASP_AGAIN_MS: i64 = 15 * 60_000;

/// Place of an alarm in its book; used again after the alarm is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlarmNo(pub u32);

/// What an entry of the log changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Nothing,
    Alarm(AlarmNo),
    /// Possibly every alarm of the source.
    Source(SourceId),
}

/// Pages that are no book.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("alarm book cannot be read")]
    Encoding(#[from] postcard::Error),
    #[error("alarm book has version {0}, expected {PAGES_VERSION}")]
    Version(u32),
    #[error("alarm book lacks its first page")]
    NoHead,
}

/// One alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmState {
    source: SourceId,
    #[serde(with = "shared_key")]
    key: Arc<AlarmKey>,
    history: History,
    newest: Option<Report>,
    /// When the entry that made it active was received.
    active_received_ms: Millis,
    /// When the entry that ended it was received.
    ended_received_ms: Option<Millis>,
    /// Log position of the latest raise or change.
    listed_position: i64,
    /// A snapshot did not list it.
    swept: Option<Sweep>,
    /// It was cleared while its source was stale: not believed until the source has resynchronised.
    unconfirmed_clear: bool,
}

/// What the latest raise or change says; order decides between two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Report {
    at_ms: Millis,
    /// A change says more than the raise of the same instant.
    is_change: bool,
    sequence: u64,
    severity: Severity,
    effect: ServiceEffect,
    text: String,
}

/// The end that was inferred from a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sweep {
    at_ms: Millis,
    /// Of the snapshot's end; what the source sent before says nothing against it.
    sequence: u64,
}

/// A sending system, as far as its alarms go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SourceState {
    /// Log position of the begin of a snapshot that has not ended.
    snapshot_begin: Option<i64>,
    is_stale: bool,
    heard_since_stale: bool,
}

#[derive(Debug, Default)]
struct SourceBook {
    state: SourceState,
    alarms: HashMap<Arc<AlarmKey>, AlarmNo>,
}

/// The present state of all alarms.
#[derive(Debug, Default)]
pub struct AlarmBook {
    sources: BTreeMap<SourceId, SourceBook>,
    alarms: Vec<Option<AlarmState>>,
    free: Vec<AlarmNo>,
    /// Ended alarms in the order in which they ended; an entry may be out of date.
    ended: VecDeque<(Millis, AlarmNo)>,
    /// Latest time of receipt in the log.
    watermark_ms: Millis,
    active: usize,
}

/// The first page of a book; the others are lists of alarms.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    watermark_ms: Millis,
    sources: Vec<(SourceId, SourceState)>,
}

mod shared_key {
    use super::{AlarmKey, Arc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &Arc<AlarmKey>, to: S) -> Result<S::Ok, S::Error> {
        AlarmKey::serialize(key, to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Arc<AlarmKey>, D::Error> {
        AlarmKey::deserialize(from).map(Arc::new)
    }
}

impl AlarmState {
    pub fn source(&self) -> SourceId {
        self.source
    }

    pub fn key(&self) -> &AlarmKey {
        &self.key
    }

    /// Whether the condition is there, as far as its source has said.
    pub fn is_active(&self) -> bool {
        self.swept.is_none() && self.history.is_active()
    }

    /// Whether it counts as evidence: active, or cleared by a source that has not resynchronised.
    pub fn is_evidence(&self) -> bool {
        self.is_active() || self.unconfirmed_clear
    }

    pub fn severity(&self) -> Severity {
        self.newest
            .as_ref()
            .map_or(Severity::Indeterminate, |r| r.severity)
    }

    pub fn effect(&self) -> ServiceEffect {
        self.newest
            .as_ref()
            .map_or(ServiceEffect::None, |r| r.effect)
    }

    pub fn text(&self) -> &str {
        self.newest.as_ref().map_or("", |r| &r.text)
    }

    /// Time of the latest raise or change, by the clock of the source.
    pub fn changed_ms(&self) -> Millis {
        self.newest.as_ref().map_or(0, |r| r.at_ms)
    }

    /// Begin of the latest activity, by the clock of the source.
    pub fn raised_ms(&self) -> Millis {
        self.intervals()
            .last()
            .map_or(self.changed_ms(), |i| i.start_ms)
    }

    /// End of the latest activity; `None` while active.
    pub fn cleared_ms(&self) -> Option<Millis> {
        if self.is_active() {
            return None;
        }
        self.intervals().last().and_then(|i| i.end_ms)
    }

    /// Whether its latest raise or clear arrived at another instant than it tells of: late, or before
    /// something of earlier that came late.
    pub fn is_told_late(&self) -> bool {
        let ended = self.ended_received_ms.zip(self.cleared_ms());
        self.active_received_ms != self.raised_ms()
            || ended.is_some_and(|(received_ms, at_ms)| received_ms != at_ms)
    }

    /// When the report that made it active arrived, by our clock.
    pub fn active_received_ms(&self) -> Millis {
        self.active_received_ms
    }

    /// Whether it ended because a snapshot of its source left it out.
    pub fn is_swept(&self) -> bool {
        self.swept.is_some()
    }

    /// Until when it counts as coming and going if nothing more is reported, by the clock of the
    /// source; `None` if it lately did not.
    pub fn unstable_until_ms(&self, thresholds: FlapThresholds) -> Option<Millis> {
        self.history.unstable_until_ms(thresholds)
    }

    /// The times of activity that are remembered, oldest first, by the clock of the source.
    pub fn intervals(&self) -> impl Iterator<Item = Interval> + '_ {
        let swept_ms = self.swept.map(|sweep| sweep.at_ms);
        self.history
            .intervals(self.again_ms())
            .map(move |interval| Interval {
                end_ms: interval
                    .end_ms
                    .or(swept_ms.map(|at_ms| at_ms.max(interval.start_ms))),
                ..interval
            })
    }

    fn new(source: SourceId, key: Arc<AlarmKey>) -> Self {
        Self {
            source,
            key,
            history: History::default(),
            newest: None,
            active_received_ms: 0,
            ended_received_ms: None,
            listed_position: 0,
            swept: None,
            unconfirmed_clear: false,
        }
    }

    fn is_expired(&self, watermark_ms: Millis) -> bool {
        !self.is_evidence()
            && self
                .ended_received_ms
                .is_some_and(|at| at + RETENTION_MS < watermark_ms)
    }

    /// From what time on a report that it is active tells of a new begin, if it says so twice.
    fn again_ms(&self) -> i64 {
        if is_last_word(&self.key.alarm_type) {
            GASP_AGAIN_MS
        } else {
            i64::MAX
        }
    }

    /// `is_listed`: a snapshot says it, which tells of old alarms as of new ones.
    fn apply(&mut self, event: &AlarmEvent, entry: &LogEntry, is_listed: bool) {
        let at_ms = event.event_at_ms;
        let is_clear = event.kind == AlarmEventKind::Clear;
        if !is_clear {
            self.listed_position = entry.position;
            self.withdraw_sweep(at_ms, entry.sequence);
            let report = Report {
                at_ms,
                is_change: event.kind == AlarmEventKind::Change,
                sequence: entry.sequence,
                severity: event.severity,
                effect: effect_of(event),
                text: event.detail.text.clone(),
            };
            if self.newest.as_ref().is_none_or(|newest| *newest < report) {
                self.newest = Some(report);
            }
        }
        // What is listed as active has said nothing since.
        let is_news = is_clear || !is_listed || !self.history.is_active();
        if is_news || self.again_ms() == i64::MAX {
            self.history
                .insert(Mark { at_ms, is_clear }, self.again_ms());
        }
        if !self.history.is_active() {
            self.swept = None;
        }
    }

    /// The end was only inferred: what the source says afterwards is worth more. An old event time
    /// means that the alarm never ended, a new one that it began again.
    fn withdraw_sweep(&mut self, at_ms: Millis, sequence: u64) {
        let Some(sweep) = self.swept else { return };
        if sequence != 0 && sequence <= sweep.sequence {
            return;
        }
        self.swept = None;
        if self
            .history
            .latest_ms()
            .is_some_and(|latest| at_ms > latest)
        {
            let end = Mark {
                at_ms: sweep.at_ms.min(at_ms - 1),
                is_clear: true,
            };
            self.history.insert(end, self.again_ms());
        }
    }
}

impl AlarmBook {
    /// A book without alarms.
    pub fn new() -> Self {
        Self::default()
    }

    /// Folds in the next entry of the log.
    pub fn apply(&mut self, entry: &LogEntry) -> Applied {
        self.watermark_ms = self.watermark_ms.max(entry.received_at_ms);
        match &entry.record {
            LogRecord::Event(event) => self.apply_event(event, entry),
            LogRecord::SnapshotBegin => {
                self.source_mut(entry.source).snapshot_begin = Some(entry.position);
                Applied::Nothing
            }
            LogRecord::SnapshotEnd => self.end_snapshot(entry),
            LogRecord::Stale => {
                let state = self.source_mut(entry.source);
                state.is_stale = true;
                state.heard_since_stale = false;
                Applied::Source(entry.source)
            }
            LogRecord::Heard => {
                self.source_mut(entry.source).heard_since_stale = true;
                Applied::Nothing
            }
        }
    }

    fn source_mut(&mut self, source: SourceId) -> &mut SourceState {
        &mut self.sources.entry(source).or_default().state
    }

    fn apply_event(&mut self, event: &AlarmEvent, entry: &LogEntry) -> Applied {
        let (no, is_stale) = self.place(entry.source, &event.key);
        let is_listed = self.source_mut(entry.source).snapshot_begin.is_some();
        let watermark_ms = self.watermark_ms;
        let Some(alarm) = self.alarms.get_mut(no.0 as usize).and_then(Option::as_mut) else {
            return Applied::Nothing;
        };
        if alarm.is_expired(watermark_ms) {
            *alarm = AlarmState::new(alarm.source, Arc::clone(&alarm.key));
        }
        let was_active = alarm.is_active();
        let raised_ms = alarm.raised_ms();
        alarm.apply(event, entry, is_listed);
        match (was_active, alarm.is_active()) {
            (false, true) => {
                alarm.active_received_ms = entry.received_at_ms;
                alarm.ended_received_ms = None;
                alarm.unconfirmed_clear = false;
                self.active += 1;
            }
            (_, false) => {
                alarm.unconfirmed_clear |= was_active && is_stale;
                alarm.ended_received_ms = Some(entry.received_at_ms);
                self.ended.push_back((entry.received_at_ms, no));
                self.active -= usize::from(was_active);
                self.bound_queue();
            }
            (true, true) => {
                // It began again, and its end was not reported.
                if alarm.raised_ms() > raised_ms {
                    alarm.active_received_ms = entry.received_at_ms;
                }
            }
        }
        Applied::Alarm(no)
    }

    /// Keeps the queue no longer than there are alarms, however often they end.
    fn bound_queue(&mut self) {
        if self.ended.len() > 2 * self.alarms.len() + QUEUE_SLACK {
            self.queue_anew();
        }
    }

    /// Queues the ended alarms, each once.
    fn queue_anew(&mut self) {
        let alarms = (0..).map(AlarmNo).zip(&self.alarms);
        let ended = alarms.filter_map(|(no, alarm)| Some((alarm.as_ref()?.ended_received_ms?, no)));
        self.ended = ended.collect();
        self.ended.make_contiguous().sort_unstable();
    }

    /// The place of the alarm, new or known, and whether its source is stale.
    fn place(&mut self, source: SourceId, key: &AlarmKey) -> (AlarmNo, bool) {
        let book = self.sources.entry(source).or_default();
        if let Some(no) = book.alarms.get(key) {
            return (*no, book.state.is_stale);
        }
        let key = Arc::new(key.clone());
        let alarm = AlarmState::new(source, Arc::clone(&key));
        let no = if let Some(no) = self.free.pop() {
            self.alarms[no.0 as usize] = Some(alarm);
            no
        } else {
            self.alarms.push(Some(alarm));
            AlarmNo(u32::try_from(self.alarms.len() - 1).unwrap_or(u32::MAX))
        };
        book.alarms.insert(key, no);
        (no, book.state.is_stale)
    }

    fn end_snapshot(&mut self, entry: &LogEntry) -> Applied {
        let Some(book) = self.sources.get_mut(&entry.source) else {
            return Applied::Nothing;
        };
        let Some(begin) = book.state.snapshot_begin.take() else {
            return Applied::Nothing;
        };
        let resynchronised = !book.state.is_stale || book.state.heard_since_stale;
        if resynchronised {
            book.state.is_stale = false;
        }
        let mut swept = Vec::new();
        for no in book.alarms.values() {
            let Some(alarm) = self.alarms.get_mut(no.0 as usize).and_then(Option::as_mut) else {
                continue;
            };
            if resynchronised {
                alarm.unconfirmed_clear = false;
            }
            if alarm.is_active() && alarm.listed_position < begin {
                alarm.swept = Some(Sweep {
                    at_ms: entry.received_at_ms,
                    sequence: entry.sequence,
                });
                alarm.ended_received_ms = Some(entry.received_at_ms);
                alarm.unconfirmed_clear = !resynchronised;
                swept.push(*no);
            }
        }
        self.active -= swept.len();
        self.ended
            .extend(swept.into_iter().map(|no| (entry.received_at_ms, no)));
        self.bound_queue();
        Applied::Source(entry.source)
    }

    /// Drops the alarms that ended long ago, and names their places.
    pub fn forget_expired(&mut self) -> Vec<AlarmNo> {
        let mut forgotten = Vec::new();
        while let Some((at_ms, no)) = self.ended.front().copied() {
            if at_ms + RETENTION_MS >= self.watermark_ms {
                break;
            }
            self.ended.pop_front();
            let slot = &mut self.alarms[no.0 as usize];
            if let Some(alarm) = slot.take_if(|alarm| alarm.is_expired(self.watermark_ms)) {
                if let Some(book) = self.sources.get_mut(&alarm.source) {
                    book.alarms.remove(&alarm.key);
                }
                self.free.push(no);
                forgotten.push(no);
            }
        }
        forgotten
    }

    /// The alarm at that place.
    pub fn get(&self, no: AlarmNo) -> Option<&AlarmState> {
        self.alarms.get(no.0 as usize).and_then(Option::as_ref)
    }

    /// Where the alarm of that source and key is.
    pub fn find(&self, source: SourceId, key: &AlarmKey) -> Option<AlarmNo> {
        self.sources.get(&source)?.alarms.get(key).copied()
    }

    /// All alarms, also those that ended lately, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (AlarmNo, &AlarmState)> {
        (0..)
            .zip(&self.alarms)
            .filter_map(|(no, alarm)| Some((AlarmNo(no), alarm.as_ref()?)))
    }

    /// The places of the alarms of a source.
    pub fn of_source(&self, source: SourceId) -> impl Iterator<Item = AlarmNo> + '_ {
        self.sources
            .get(&source)
            .into_iter()
            .flat_map(|book| book.alarms.values().copied())
    }

    /// When the latest entry arrived, by our clock.
    pub fn watermark_ms(&self) -> Millis {
        self.watermark_ms
    }

    /// Places for alarms: as many as were ever remembered at a time.
    pub fn places(&self) -> usize {
        self.alarms.len()
    }

    /// Alarms that are active.
    pub fn active_count(&self) -> usize {
        self.active
    }

    /// Whether the source fell silent and has not resynchronised since.
    pub fn is_stale(&self, source: SourceId) -> bool {
        self.sources
            .get(&source)
            .is_some_and(|book| book.state.is_stale)
    }

    /// The book for a checkpoint, in pages that are made as they are asked for.
    pub fn pages(&self) -> impl Iterator<Item = Result<Vec<u8>, BookError>> + '_ {
        let sources = self.sources.iter();
        let head = Head {
            version: PAGES_VERSION,
            watermark_ms: self.watermark_ms,
            sources: sources.map(|(no, book)| (*no, book.state)).collect(),
        };
        let head = postcard::to_stdvec(&head).map_err(BookError::from);
        let alarms = self.alarms.chunks(ALARMS_PER_PAGE).map(|chunk| {
            let alarms = chunk.iter().flatten();
            let kept: Vec<&AlarmState> = alarms
                .filter(|alarm| !alarm.is_expired(self.watermark_ms))
                .collect();
            Ok(postcard::to_stdvec(&kept)?)
        });
        std::iter::once(head).chain(alarms)
    }

    /// The book of [`Self::pages`]; no pages are an empty book.
    pub fn from_pages<'a>(pages: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, BookError> {
        let mut pages = pages.into_iter();
        let Some(head) = pages.next() else {
            return Ok(Self::new());
        };
        let (version, _) = postcard::take_from_bytes::<u32>(head).map_err(|_| BookError::NoHead)?;
        if version != PAGES_VERSION {
            return Err(BookError::Version(version));
        }
        let head: Head = postcard::from_bytes(head)?;
        let mut book = Self {
            watermark_ms: head.watermark_ms,
            ..Self::default()
        };
        for (source, state) in head.sources {
            *book.source_mut(source) = state;
        }
        for page in pages {
            for alarm in postcard::from_bytes::<Vec<AlarmState>>(page)? {
                let (no, _) = book.place(alarm.source, &alarm.key);
                book.active += usize::from(alarm.is_active());
                book.alarms[no.0 as usize] = Some(alarm);
            }
        }
        book.queue_anew();
        Ok(book)
    }

    /// What is remembered, in an order that depends on nothing else.
    fn remembered(&self) -> Vec<&AlarmState> {
        let mut alarms: Vec<&AlarmState> = self
            .iter()
            .map(|(_, alarm)| alarm)
            .filter(|alarm| !alarm.is_expired(self.watermark_ms))
            .collect();
        alarms.sort_unstable_by(|a, b| (a.source, &a.key).cmp(&(b.source, &b.key)));
        alarms
    }
}

/// Books are equal that remember the same, wherever in them it stands.
impl PartialEq for AlarmBook {
    fn eq(&self, other: &Self) -> bool {
        let states = |book: &Self| -> Vec<(SourceId, SourceState)> {
            let sources = book.sources.iter();
            sources.map(|(no, book)| (*no, book.state)).collect()
        };
        self.watermark_ms == other.watermark_ms
            && states(self) == states(other)
            && self.remembered() == other.remembered()
    }
}
