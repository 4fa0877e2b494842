//! The detector: reads the samples in order, lets the pure core detect, and hands what begins or ends
//! to the alarm log, each rule as a source of its own.
//!
//! Invariants:
//! - a detection is in the alarm log before a copy of the state is kept that holds it; after a crash
//!   the samples since the copy are detected in again, give the same detections with the same numbers,
//!   and those that the log has are not taken twice;
//! - what moves the state besides samples (a source that was alive without any) is durable before it
//!   does;
//! - other rules are gone over to at a start, after everything was detected under the old ones.

use crate::alarm::{LogRecord, SourceId};
use crate::clock::{Clock, Millis};
use crate::detect::{Detection, Detector, PagesError, Rule, Sample};
use crate::pipeline::alarm_log::AlarmLog;
use crate::pipeline::intake::{Feed, Intake, Parcel, Refusal, SILENT_INTERVALS};
use crate::pipeline::meter::SampleLog;
use crate::store::{DetectorCheckpoint, SourceTick, Store, StoreError, StoredSample};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Samples of one step.
const SAMPLES_PER_STEP: usize = 20_000;
/// Alarm events that are handed over at a time: less than the smallest queue holds.
const EVENTS_AT_ONCE: usize = 500;
/// The state is copied after so many samples, which bounds what a restart detects in again,
const SAMPLES_PER_COPY: i64 = 200_000;
/// and after this time, which bounds for how long samples are needed.
const COPY_EVERY_MS: i64 = 600_000;
/// Longest sleep: how often it is looked which sources are alive.
const IDLE_SLEEP: Duration = Duration::from_millis(500);
/// Failed steps in a row after which the worker gives up.
const FAILURES_TOLERATED: u32 = 10;
const RETRY_SLEEP: Duration = Duration::from_secs(1);

/// Failure of the detector.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    #[error("the store failed while detecting")]
    Store(#[from] StoreError),
    #[error("the copy of the state of detection cannot be used")]
    Pages(#[from] PagesError),
    #[error("the alarm log takes nothing any more")]
    LogEnded,
}

/// The worker.
#[derive(Debug)]
pub struct DetectorWorker {
    store: Store,
    log: Arc<SampleLog>,
    samples: Intake<SampleLog>,
    alarms: Intake<AlarmLog>,
    core: Detector,
    /// By rule.
    feeds: Vec<Feed<AlarmLog>>,
    reporters: HashMap<SourceId, String>,
    /// Last sample that was detected in, and last tick.
    position: i64,
    tick_no: i64,
    kept: DetectorCheckpoint,
    kept_tick_no: i64,
    kept_ms: Millis,
    alive: HashMap<SourceId, Alive>,
    ignored: u64,
}

/// For how long a source has been alive since its latest sample, by our clock.
#[derive(Clone, Copy, Debug)]
struct Alive {
    heard_ms: Millis,
    lived_ms: i64,
}

impl DetectorWorker {
    /// Takes up where the store stands, under the rules as they are now; `None` without rules. To be
    /// called before samples are taken, and while alarms are committed.
    pub async fn open(
        store: Store,
        log: Arc<SampleLog>,
        samples: Intake<SampleLog>,
        alarms: Intake<AlarmLog>,
        rules: Vec<Rule>,
        now_ms: Millis,
    ) -> Result<Option<Self>, DetectorError> {
        let checkpoint = store.detector_checkpoint().await?;
        if checkpoint.is_none() && rules.is_empty() {
            return Ok(None);
        }
        log.read_along();
        let (core, kept) = if let Some(kept) = checkpoint {
            let pages = store.detector_pages(kept.snapshot_no).await?;
            (Detector::from_pages(pages.iter().map(Vec::as_slice))?, kept)
        } else {
            // Only what is measured from now on.
            let kept = DetectorCheckpoint {
                snapshot_no: 0,
                position: log.last_position(),
            };
            (Detector::new(Vec::new()), kept)
        };
        let mut worker = Self {
            feeds: feeds(&alarms, core.rules()).await?,
            store,
            log,
            samples,
            alarms,
            core,
            reporters: HashMap::new(),
            position: kept.position,
            tick_no: 0,
            kept,
            kept_tick_no: 0,
            kept_ms: now_ms,
            alive: HashMap::new(),
            ignored: 0,
        };
        worker.replay().await?;
        worker.adopt(rules).await?;
        if worker.feeds.is_empty() {
            worker.store.forget_detector().await?;
            return Ok(None);
        }
        worker.keep(now_ms).await?;
        Ok(Some(worker))
    }

    /// Detects in everything that was taken since the copy was kept.
    async fn replay(&mut self) -> Result<(), DetectorError> {
        let ticks = self.store.detector_ticks().await?;
        let mut ticks = ticks.into_iter().peekable();
        loop {
            let samples = self.log.read_after(self.position, SAMPLES_PER_STEP).await?;
            let mut found = Vec::new();
            for sample in samples.iter() {
                while let Some(tick) = ticks.next_if(|tick| tick.position < sample.position) {
                    self.take_tick(tick, &mut found);
                }
                self.take(sample, &mut found);
            }
            if samples.is_empty() {
                for tick in ticks.by_ref() {
                    self.take_tick(tick, &mut found);
                }
            }
            self.deliver(found).await?;
            if samples.is_empty() {
                return Ok(());
            }
        }
    }

    /// Goes over to these rules. A rule that has changed, or whose numbers do not follow on those of
    /// the log, lists what it has raised: the rest of its alarms is cleared, as are those of a rule
    /// that is no more.
    async fn adopt(&mut self, rules: Vec<Rule>) -> Result<(), DetectorError> {
        let old: Vec<Rule> = self.core.rules().cloned().collect();
        for (no, rule) in old.iter().enumerate() {
            if !rules.iter().any(|new| new.name == rule.name) {
                tracing::info!(rule = rule.name, "rule is gone; its alarms are cleared");
                self.list(no, Vec::new()).await?;
            }
        }
        let follows = |no: usize| {
            let feed = self.feeds.get(no);
            feed.is_some_and(|feed| self.core.sequence(no) >= *feed.committed().borrow())
        };
        let unchanged: Vec<String> = old
            .iter()
            .enumerate()
            .filter(|(no, rule)| rules.contains(rule) && follows(*no))
            .map(|(_, rule)| rule.name.clone())
            .collect();
        let sequences: HashMap<String, u64> = old
            .iter()
            .enumerate()
            .map(|(no, rule)| (rule.name.clone(), self.core.sequence(no)))
            .collect();
        self.core = std::mem::take(&mut self.core).with_rules(rules);
        self.feeds = feeds(&self.alarms, self.core.rules()).await?;
        let names: Vec<String> = self.core.rules().map(|rule| rule.name.clone()).collect();
        for (no, name) in names.iter().enumerate() {
            if unchanged.contains(name) {
                let sequence = sequences.get(name).copied().unwrap_or(0);
                self.core.set_sequence(no, sequence);
                continue;
            }
            let committed = self.feeds.get(no).map_or(0, |f| *f.committed().borrow());
            // After `snapshot_begin`.
            self.core.set_sequence(no, committed + 1);
            let raised = self.core.list(no);
            if committed == 0 && raised.is_empty() {
                self.core.set_sequence(no, 0);
                continue;
            }
            tracing::info!(rule = name, raised = raised.len(), "rule has changed");
            self.list(no, raised).await?;
        }
        Ok(())
    }

    /// Tells the log that these are all the alarms of a rule.
    async fn list(&mut self, rule: usize, raised: Vec<Detection>) -> Result<(), DetectorError> {
        self.learn_reporters(&raised);
        let Some(feed) = self.feeds.get(rule) else {
            return Ok(());
        };
        let begin = *feed.committed().borrow() + 1;
        let end = begin + 1 + raised.len() as u64;
        let mut records = vec![(begin, LogRecord::SnapshotBegin)];
        records.extend(raised.iter().filter_map(|found| self.record(found)));
        records.push((end, LogRecord::SnapshotEnd));
        hand_over(feed, records, end).await?;
        self.core.set_sequence(rule, end);
        Ok(())
    }

    fn take(&mut self, sample: &StoredSample, found: &mut Vec<Detection>) {
        let read = Sample {
            position: sample.position,
            source: sample.source,
            resource: &sample.resource,
            metric: &sample.metric,
            value: sample.value,
            sampled_at_ms: sample.sampled_at_ms,
            received_at_ms: sample.received_at_ms,
        };
        self.core.apply(&read, found);
        self.position = sample.position;
        let alive = Alive {
            heard_ms: sample.received_at_ms,
            lived_ms: 0,
        };
        self.alive.insert(sample.source, alive);
    }

    fn take_tick(&mut self, tick: SourceTick, found: &mut Vec<Detection>) {
        self.core.tick(tick.source, tick.clock_ms, found);
        self.tick_no = tick.tick_no;
        if let Some(alive) = self.alive.get_mut(&tick.source) {
            alive.lived_ms = 0;
        }
    }

    /// Hands detections to the alarm log, and waits until they are durable.
    async fn deliver(&mut self, found: Vec<Detection>) -> Result<(), DetectorError> {
        self.learn_reporters(&found);
        let mut by_rule: Vec<Vec<(u64, LogRecord)>> = Vec::new();
        by_rule.resize_with(self.feeds.len(), Vec::new);
        for detection in &found {
            if let Some(records) = by_rule.get_mut(detection.rule) {
                records.extend(self.record(detection));
            }
        }
        for (feed, mut records) in self.feeds.iter().zip(by_rule) {
            // Those that were taken before a crash.
            records.retain(|(sequence, _)| *sequence > feed.accepted());
            if let Some((through, _)) = records.last() {
                let through = *through;
                hand_over(feed, records, through).await?;
            }
        }
        Ok(())
    }

    fn record(&self, detection: &Detection) -> Option<(u64, LogRecord)> {
        let reporter = self
            .reporters
            .get(&detection.reporter)
            .map_or("", String::as_str);
        let event = self.core.event(detection, reporter)?;
        Some((detection.sequence, LogRecord::Event(event)))
    }

    fn learn_reporters(&mut self, found: &[Detection]) {
        if found
            .iter()
            .any(|d| !self.reporters.contains_key(&d.reporter))
        {
            let sources = self.samples.sources().into_iter();
            self.reporters = sources.map(|source| (source.id, source.name)).collect();
        }
    }

    /// Detects in what is new; true when there may be more at once.
    pub async fn step(&mut self, now_ms: Millis) -> Result<bool, DetectorError> {
        let samples = self.log.read_after(self.position, SAMPLES_PER_STEP).await?;
        let mut found = Vec::new();
        for sample in samples.iter() {
            self.take(sample, &mut found);
        }
        self.deliver(found).await?;
        if samples.is_empty() {
            self.follow_sources().await?;
        }
        let moved = self.position - self.kept.position;
        let is_due = now_ms - self.kept_ms >= COPY_EVERY_MS
            && (moved > 0 || self.tick_no > self.kept_tick_no);
        if moved >= SAMPLES_PER_COPY || is_due {
            self.keep(now_ms).await?;
        }
        Ok(self.position < self.log.last_position())
    }

    /// A source that is alive, and sends no samples, moves its clock on: where that makes somebody
    /// absent.
    async fn follow_sources(&mut self) -> Result<(), DetectorError> {
        let signs = self.samples.signs_of_life();
        if self.log.last_position() != self.position {
            return Ok(());
        }
        for sign in signs.into_iter().filter(|sign| sign.promised_ms > 0) {
            let alive = self.alive.entry(sign.id).or_insert(Alive {
                heard_ms: sign.last_heard_ms,
                lived_ms: 0,
            });
            let passed_ms = sign.last_heard_ms - alive.heard_ms;
            // Longer than promised: nobody knows what was lost meanwhile.
            if (0..=SILENT_INTERVALS * sign.promised_ms).contains(&passed_ms) {
                alive.lived_ms += passed_ms;
            }
            alive.heard_ms = alive.heard_ms.max(sign.last_heard_ms);
            let lived_ms = alive.lived_ms;
            let (Some(shown_ms), Some(due_ms)) =
                (self.core.clock_ms(sign.id), self.core.next_due_ms(sign.id))
            else {
                continue;
            };
            let clock_ms = shown_ms + lived_ms;
            if !sign.is_settled || clock_ms <= due_ms {
                continue;
            }
            let tick = SourceTick {
                tick_no: self.tick_no + 1,
                position: self.position,
                source: sign.id,
                clock_ms,
            };
            self.store.add_detector_tick(tick).await?;
            let mut found = Vec::new();
            self.take_tick(tick, &mut found);
            self.deliver(found).await?;
        }
        Ok(())
    }

    /// Keeps a copy of the state: all that it holds is in the alarm log.
    async fn keep(&mut self, now_ms: Millis) -> Result<(), DetectorError> {
        let kept = DetectorCheckpoint {
            snapshot_no: self.kept.snapshot_no + 1,
            position: self.position,
        };
        let pages = self.core.pages()?;
        self.store.save_detector(kept, self.tick_no, &pages).await?;
        self.kept = kept;
        self.kept_tick_no = self.tick_no;
        self.kept_ms = now_ms;
        let ignored = self.core.ignored();
        if ignored > self.ignored {
            let count = ignored - self.ignored;
            tracing::warn!(
                count,
                "samples were too late or came twice, and were not looked at"
            );
            self.ignored = ignored;
        }
        Ok(())
    }

    /// Steps until asked to stop; wakes up for new samples.
    pub async fn run(
        mut self,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Result<(), DetectorError> {
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            match self.step(clock.now_ms()).await {
                Ok(true) => failures = 0,
                Ok(false) => {
                    failures = 0;
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = self.log.changed_after(self.position) => {}
                        () = tokio::time::sleep(IDLE_SLEEP) => {}
                    }
                }
                // What could not be handed over is detected again at the next start.
                Err(DetectorError::LogEnded) if shutdown.is_cancelled() => return Ok(()),
                Err(DetectorError::Store(error)) if failures < FAILURES_TOLERATED => {
                    failures += 1;
                    tracing::warn!(%error, failures, "detection waits for the store");
                    tokio::time::sleep(RETRY_SLEEP).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.keep(clock.now_ms()).await
    }
}

/// The feeds of the rules, by place.
async fn feeds(
    alarms: &Intake<AlarmLog>,
    rules: impl Iterator<Item = &Rule>,
) -> Result<Vec<Feed<AlarmLog>>, StoreError> {
    let mut feeds = Vec::new();
    for rule in rules {
        feeds.push(alarms.feed(&rule.alarm_source(), 0).await?);
    }
    Ok(feeds)
}

/// Hands records to the log, and waits until they are durable.
async fn hand_over(
    feed: &Feed<AlarmLog>,
    records: Vec<(u64, LogRecord)>,
    through: u64,
) -> Result<(), DetectorError> {
    for chunk in records.chunks(EVENTS_AT_ONCE) {
        loop {
            let parcel = Parcel {
                records: chunk.to_vec(),
                through: chunk.last().map_or(0, |(sequence, _)| *sequence),
                rejected: false,
            };
            match feed.accept(parcel) {
                Ok(()) => break,
                Err(Refusal::Full { retry_after }) => tokio::time::sleep(retry_after).await,
                Err(Refusal::Superseded | Refusal::Closing) => {
                    return Err(DetectorError::LogEnded);
                }
            }
        }
    }
    let mut committed = feed.committed();
    tokio::select! {
        biased;
        done = committed.wait_for(|number| *number >= through) => {
            done.map(drop).map_err(|_| DetectorError::LogEnded)
        }
        () = feed.ended() => Err(DetectorError::LogEnded),
    }
}
