//! The worker over a store: what it tells the alarm log, whatever happens to it.

use super::{MINUTE_MS, NOW_MS, absence, fall, low_power, rule};
use crate::support::{Backend, TestStore, store};
use forewarn::alarm::AlarmEventKind::{self, Clear, Raise};
use forewarn::alarm::{LogEntry, LogRecord, SourceId};
use forewarn::clock::Clock;
use forewarn::detect::{Condition, Detector, Rule, Sample as CoreSample};
use forewarn::pipeline::alarm_log::AlarmLog;
use forewarn::pipeline::detector::DetectorWorker;
use forewarn::pipeline::intake::{Feed, Intake, IntakeLimits, Parcel};
use forewarn::pipeline::meter::{Sample, SampleLog};
use rand::{RngExt as _, SeedableRng as _};
use rstest::rstest;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// One life of the service, as far as detection goes.
struct Life {
    log: Arc<SampleLog>,
    samples: Intake<SampleLog>,
    worker: Option<DetectorWorker>,
    feed: Feed<SampleLog>,
    clock: Clock,
    _tasks: JoinSet<()>,
}

impl Life {
    async fn begin(t: &TestStore, clock: &Clock, rules: &[Rule]) -> Self {
        let db = || t.store.clone();
        let limits = IntakeLimits {
            queue_events: 1_000,
            batch_events: 100,
        };
        let alarm_log = Arc::new(AlarmLog::open(db()).await.unwrap());
        let alarms = Intake::open(alarm_log, db(), clock.clone(), limits)
            .await
            .unwrap();
        let mut tasks = JoinSet::new();
        let committer = alarms.clone();
        tasks.spawn(async move {
            drop(committer.run(CancellationToken::new()).await);
        });
        let log = Arc::new(SampleLog::open(db()).await.unwrap());
        let samples = Intake::open(Arc::clone(&log), db(), clock.clone(), limits)
            .await
            .unwrap();
        let worker = DetectorWorker::open(
            db(),
            Arc::clone(&log),
            samples.clone(),
            alarms,
            rules.to_vec(),
            clock.now_ms(),
        );
        let worker = worker.await.unwrap();
        Self {
            feed: samples.feed("bng", 60).await.unwrap(),
            log,
            samples,
            worker,
            clock: clock.clone(),
            _tasks: tasks,
        }
    }

    /// Takes samples (resource, metric, time, value) and makes them durable.
    async fn sample(&self, all: &[(&str, &str, i64, f64)]) {
        let from = self.feed.accepted() + 1;
        let taken = *self.feed.committed().borrow();
        let records: Vec<_> = (from.max(taken + 1)..)
            .zip(all.iter().map(|(resource, metric, at_ms, value)| Sample {
                resource: (*resource).to_owned(),
                metric: (*metric).to_owned(),
                value: *value,
                sampled_at_ms: NOW_MS + at_ms,
            }))
            .collect();
        let parcel = Parcel {
            through: records.last().unwrap().0,
            records,
            rejected: false,
        };
        self.feed.accept(parcel).unwrap();
        while self.samples.commit_pending().await.unwrap() > 0 {}
    }

    /// A sign of life without samples.
    fn heartbeat(&self) {
        let parcel = Parcel {
            records: Vec::new(),
            through: 0,
            rejected: false,
        };
        self.feed.accept(parcel).unwrap();
    }

    async fn step(&mut self) {
        let now_ms = self.clock.now_ms();
        let worker = self.worker.as_mut().unwrap();
        while worker.step(now_ms).await.unwrap() {}
    }
}

/// What the alarm log says: begin or end, alarm type with resource, and when.
async fn logged(t: &TestStore) -> Vec<(AlarmEventKind, String, i64)> {
    let log: Vec<LogEntry> = t.store.alarms_after(0, usize::MAX).await.unwrap();
    let mut last = std::collections::BTreeMap::new();
    let mut events = Vec::new();
    for entry in log {
        let before = last.insert(entry.source, entry.sequence).unwrap_or(0);
        assert_eq!(entry.sequence, before + 1, "numbers without gaps");
        if let LogRecord::Event(event) = entry.record {
            assert_eq!(event.key.qualifier, "bng");
            let alarm = format!("{} {}", event.key.alarm_type, event.key.resource);
            events.push((event.kind, alarm, event.event_at_ms - NOW_MS));
        }
    }
    events
}

fn power_rule() -> Rule {
    rule("low", "dbm", Condition::Threshold(low_power(60)))
}

#[rstest]
#[tokio::test]
async fn a_crash_at_any_point_loses_no_alarm_and_repeats_none(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(1, 2, 3)] seed: u64,
) {
    let t = store(backend).await;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let rules = [
        power_rule(),
        rule("drop", "sessions", Condition::Drop(fall())),
        rule("gone", "sessions", Condition::Absence(absence(60))),
    ];
    let clock = Clock::manual(NOW_MS);
    let mut life = Life::begin(&t, &clock, &rules).await;
    let (mut core, mut expected, mut position) = (Detector::new(rules.to_vec()), Vec::new(), 0);
    for minute in 0..240_i64 {
        clock.advance_ms(MINUTE_MS);
        let mut all = Vec::new();
        for resource in ["x", "y", "z"] {
            let sessions = if random.random_bool(0.1) { 5.0 } else { 100.0 };
            let dbm = if random.random_bool(0.3) {
                -20.0
            } else {
                -30.0
            };
            let late_ms = random.random_range(0..100_000);
            if resource != "z" || !(60..100).contains(&minute) {
                all.push((resource, "sessions", minute * MINUTE_MS - late_ms, sessions));
            }
            all.push((resource, "dbm", minute * MINUTE_MS - late_ms, dbm));
        }
        life.sample(&all).await;
        for (resource, metric, at_ms, value) in all {
            position += 1;
            let sample = CoreSample {
                position,
                source: SourceId(1),
                resource,
                metric,
                value,
                sampled_at_ms: NOW_MS + at_ms,
                received_at_ms: clock.now_ms(),
            };
            core.apply(&sample, &mut expected);
        }
        if random.random_bool(0.5) {
            life.step().await;
        }
        // The process is gone; what is not in the database is lost.
        if random.random_bool(0.15) {
            life = Life::begin(&t, &clock, &rules).await;
        }
    }
    life.step().await;
    assert!(expected.len() > 30, "{}", expected.len());
    let in_order = |mut events: Vec<(AlarmEventKind, String, i64)>| {
        // Each alarm's in the order in which they were said.
        events.sort_by(|a, b| a.1.cmp(&b.1));
        events
    };
    let expected = expected
        .into_iter()
        .map(|d| {
            let alarm = format!("{} {}", rules[d.rule].alarm_type, d.resource);
            (d.kind, alarm, d.at_ms - NOW_MS)
        })
        .collect();
    assert_eq!(in_order(logged(&t).await), in_order(expected));
}

#[rstest]
#[tokio::test]
async fn a_source_that_lives_without_samples_makes_its_resources_absent(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let clock = Clock::manual(NOW_MS);
    let rules = [rule("gone", "up", Condition::Absence(absence(60)))];
    let mut life = Life::begin(&t, &clock, &rules).await;
    life.sample(&[("olt", "up", 0, 1.0)]).await;
    life.step().await;
    // The source says nothing for an hour: nobody knows.
    clock.advance_ms(60 * MINUTE_MS);
    life.step().await;
    life.heartbeat();
    life.step().await;
    assert_eq!(logged(&t).await, []);
    // Then it lives, and the resource does not.
    for _ in 0..7 {
        clock.advance_ms(MINUTE_MS / 2);
        life.heartbeat();
        life.step().await;
    }
    let absent = (Raise, "gone olt".to_owned(), MINUTE_MS);
    assert_eq!(logged(&t).await, std::slice::from_ref(&absent));
    // What the heartbeats did is known after a crash.
    life = Life::begin(&t, &clock, &rules).await;
    life.step().await;
    assert_eq!(logged(&t).await, std::slice::from_ref(&absent));
    life.sample(&[("olt", "up", 64 * MINUTE_MS, 1.0)]).await;
    life.step().await;
    life = Life::begin(&t, &clock, &rules).await;
    life.step().await;
    let back = (Clear, "gone olt".to_owned(), 63 * MINUTE_MS + MINUTE_MS / 2);
    assert_eq!(
        logged(&t).await,
        [absent, back],
        "never later than received"
    );
}

/// The live alarms by the log: what a correlator makes of it.
async fn live(t: &TestStore) -> Vec<(String, String)> {
    let mut book = forewarn::alarm::AlarmBook::new();
    for entry in t.store.alarms_after(0, usize::MAX).await.unwrap() {
        book.apply(&entry);
    }
    let active = book.iter().filter(|(_, alarm)| alarm.is_evidence());
    let mut keys: Vec<_> = active
        .map(|(_, alarm)| (alarm.key().alarm_type.clone(), alarm.key().resource.clone()))
        .collect();
    keys.sort();
    keys
}

fn keys(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[rstest]
#[tokio::test]
async fn other_rules_leave_no_alarm_behind(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let clock = Clock::manual(NOW_MS + 10 * MINUTE_MS);
    let mut rules = vec![
        rule("low", "dbm", Condition::Threshold(low_power(0))),
        rule("second", "dbm", Condition::Threshold(low_power(0))),
    ];
    let mut life = Life::begin(&t, &clock, &rules).await;
    life.sample(&[("ont-1", "dbm", 0, -30.0), ("ont-2", "dbm", 1, -30.0)])
        .await;
    life.step().await;
    let both = [
        ("low", "ont-1"),
        ("low", "ont-2"),
        ("second", "ont-1"),
        ("second", "ont-2"),
    ];
    assert_eq!(live(&t).await, keys(&both));

    // Samples that came before a crash are detected in under the old rules.
    life.sample(&[("ont-1", "dbm", 2, -20.0)]).await;
    rules[0].alarm_type = "dim".to_owned();
    rules[1].resource_prefix = "ont-3".to_owned();
    life = Life::begin(&t, &clock, &rules).await;
    assert_eq!(live(&t).await, keys(&[("dim", "ont-2")]));
    life.sample(&[("ont-2", "dbm", 3, -20.0), ("ont-3", "dbm", 4, -30.0)])
        .await;
    life.step().await;
    assert_eq!(
        live(&t).await,
        keys(&[("dim", "ont-3"), ("second", "ont-3")])
    );

    rules.remove(0);
    drop(life);
    let life = Life::begin(&t, &clock, &rules).await;
    assert_eq!(live(&t).await, keys(&[("second", "ont-3")]));
    drop(life);
    assert!(Life::begin(&t, &clock, &[]).await.worker.is_none());
    assert_eq!(live(&t).await, []);
    assert_eq!(t.store.detector_checkpoint().await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn samples_are_kept_as_long_as_a_restart_needs_them(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let clock = Clock::manual(NOW_MS);
    let rules = [power_rule()];
    let mut life = Life::begin(&t, &clock, &rules).await;
    for second in 0..5 {
        life.sample(&[("x", "dbm", second * 1_000, -30.0)]).await;
    }
    life.step().await;
    let later_ms = NOW_MS + 86_400_000;
    assert_eq!(t.store.delete_samples(later_ms, 100).await.unwrap(), 0);
    clock.advance_ms(11 * MINUTE_MS);
    life.step().await;
    assert_eq!(t.store.delete_samples(later_ms, 100).await.unwrap(), 5);

    // No position is given twice, or the samples after it would not be looked at.
    life = Life::begin(&t, &clock, &rules).await;
    assert_eq!(life.log.last_position(), 5);
    life.sample(&[("x", "dbm", 60_000, -30.0)]).await;
    life.step().await;
    assert_eq!(logged(&t).await, [(Raise, "low x".to_owned(), 0)]);
}
