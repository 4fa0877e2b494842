//! Commits that fail, as on a full disk or when the database restarts: nothing is lost, and nothing
//! happens twice, once it works again.

use crate::operators::{NOW_MS, network, person};
use crate::support::{Backend, TestStore, store};
use forewarn::alarm::{AlarmDetail, AlarmEvent, AlarmEventKind, AlarmKey, LogRecord, Severity};
use forewarn::clock::Clock;
use forewarn::effect::holdout::Experiment;
use forewarn::incident::{CorrelatorSettings, IncidentState};
use forewarn::notice::plan::NoticePolicy;
use forewarn::pipeline::alarm_log::AlarmLog;
use forewarn::pipeline::correlator::{CorrelatorPorts, CorrelatorWorker, nothing_live};
use forewarn::pipeline::importer::{import_subscribers, import_topology};
use forewarn::pipeline::intake::{Feed, Intake, IntakeLimits, Parcel};
use forewarn::pipeline::planner::Planner;
use forewarn::store::{IncidentFilter, NoticeFilter, NoticePage};
use forewarn::subscriber::Segment;
use rstest::rstest;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

async fn intake(t: &TestStore, clock: &Clock) -> (Arc<AlarmLog>, Intake<AlarmLog>) {
    let log = Arc::new(AlarmLog::open(t.store.clone()).await.unwrap());
    let limits = IntakeLimits {
        queue_events: 1_000,
        batch_events: 100,
    };
    let (store, of) = (t.store.clone(), Arc::clone(&log));
    let intake = Intake::open(of, store, clock.clone(), limits).await;
    (log, intake.unwrap())
}

fn raise(resource: &str) -> LogRecord {
    LogRecord::Event(AlarmEvent {
        kind: AlarmEventKind::Raise,
        key: AlarmKey {
            resource: resource.to_owned(),
            alarm_type: "unreachable".to_owned(),
            qualifier: String::new(),
        },
        severity: Severity::Critical,
        event_at_ms: NOW_MS,
        detail: AlarmDetail::default(),
    })
}

fn accept(feed: &Feed<AlarmLog>, first: u64, resources: &[&str]) {
    let records: Vec<_> = (first..)
        .zip(resources.iter().map(|resource| raise(resource)))
        .collect();
    let through = first + resources.len() as u64 - 1;
    let parcel = Parcel {
        records,
        through,
        rejected: false,
    };
    feed.accept(parcel).unwrap();
}

/// The log as (position, sequence).
async fn stored(t: &TestStore) -> Vec<(i64, u64)> {
    let log = t.store.alarms_after(0, usize::MAX).await.unwrap();
    log.iter().map(|e| (e.position, e.sequence)).collect()
}

#[rstest]
#[tokio::test]
async fn alarms_whose_commit_fails_are_kept_once_when_it_works_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let clock = Clock::manual(NOW_MS);
    let (_log, intake) = intake(&t, &clock).await;
    let feed = intake.feed("noc", 0).await.unwrap();
    accept(&feed, 1, &["olt1"]);
    assert_eq!(intake.commit_pending().await.unwrap(), 1);

    // The second of three events is refused: the transaction fails half-way.
    t.refuse_inserts("alarm_log", "NEW.sequence = 3").await;
    accept(&feed, 2, &["olt2", "ont1", "ont2"]);
    let stop = CancellationToken::new();
    let mut running = std::pin::pin!(intake.clone().run(stop.clone()));
    let tries = tokio::time::timeout(Duration::from_millis(350), &mut running);
    assert!(tries.await.is_err(), "it goes on trying");
    assert_eq!(*feed.committed().borrow(), 1, "nothing is acknowledged");
    assert_eq!(stored(&t).await, [(1, 1)]);

    t.accept_inserts("alarm_log").await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(*feed.committed().borrow(), 4);
    assert_eq!(stored(&t).await, [(1, 1), (2, 2), (3, 3), (4, 4)]);
}

#[tokio::test]
async fn alarms_survive_a_restart_of_the_database() {
    let t = store(Backend::Postgres).await;
    let clock = Clock::manual(NOW_MS);
    let (_log, intake) = intake(&t, &clock).await;
    let feed = intake.feed("noc", 0).await.unwrap();
    for round in 0..5 {
        t.cut_connections().await;
        accept(&feed, 2 * round + 1, &["olt1", "olt2"]);
        assert_eq!(intake.commit_pending().await.unwrap(), 1);
    }
    let expected: Vec<(i64, u64)> = (1..=10).zip(1..=10).collect();
    assert_eq!(stored(&t).await, expected);
}

async fn correlator(t: &TestStore, log: Arc<AlarmLog>) -> CorrelatorWorker {
    let settings = CorrelatorSettings {
        gather_ms: 0,
        hold_down_ms: 60_000,
        lone_alarm_ms: Some(0),
        ..CorrelatorSettings::default()
    };
    let experiment = Experiment {
        name: "none".to_owned(),
        holdout_percent: 0.0,
    };
    let planner = Planner::new(NoticePolicy::default(), experiment, [1; 32]);
    let ports = CorrelatorPorts {
        commands: mpsc::channel(1).1,
        queries: mpsc::channel(1).1,
        live: watch::channel(Arc::new(nothing_live())).0,
        planned: Arc::new(Notify::new()),
        declared: Arc::new(Notify::new()),
        batteries: Arc::default(),
    };
    CorrelatorWorker::open(t.store.clone(), log, settings, planner, ports, NOW_MS)
        .await
        .unwrap()
}

/// Incidents as (number, state, entries of the timeline), and notices by account.
async fn decided(t: &TestStore) -> (Vec<(i64, IncidentState, usize)>, Vec<String>) {
    let filter = IncidentFilter::default();
    let incidents = t.store.list_incidents(&filter, None, 10).await.unwrap();
    let mut found = Vec::new();
    for incident in incidents {
        let timeline = t.store.timeline(incident.no).await.unwrap();
        found.push((incident.no.0, incident.state, timeline.len()));
    }
    let page = NoticePage {
        after: None,
        size: 100,
    };
    let filter = NoticeFilter::default();
    let (notices, _) = t.store.list_notices(&filter, page).await.unwrap();
    let mut accounts: Vec<_> = notices.into_iter().map(|notice| notice.account).collect();
    accounts.sort();
    (found, accounts)
}

#[rstest]
#[tokio::test]
async fn decisions_whose_commit_fails_are_taken_again_and_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let quiet = |_, _, _| {};
    import_topology(&t.store, network(), NOW_MS, &quiet)
        .await
        .unwrap();
    let people: Vec<_> = (1..=4)
        .map(|no| person(no, "en", Segment::Residential, false))
        .collect();
    import_subscribers(&t.store, people, NOW_MS, &quiet)
        .await
        .unwrap();
    let clock = Clock::manual(NOW_MS);
    let (log, intake) = intake(&t, &clock).await;
    let mut worker = correlator(&t, log).await;
    worker.step(NOW_MS).await.unwrap();
    let feed = intake.feed("noc", 0).await.unwrap();
    accept(&feed, 1, &["olt1"]);
    intake.commit_pending().await.unwrap();

    // A new incident cannot be written.
    t.refuse_inserts("incident_event", "NEW.incident_no > 0")
        .await;
    for _ in 0..3 {
        worker.step(NOW_MS + 1_000).await.unwrap_err();
        assert_eq!(decided(&t).await, (Vec::new(), Vec::new()));
    }
    assert_eq!(t.store.checkpoint().await.unwrap().position, 0);
    t.accept_inserts("incident_event").await;
    worker.step(NOW_MS + 2_000).await.unwrap();
    let suspected = (1, IncidentState::Suspected, 1);
    assert_eq!(decided(&t).await, (vec![suspected], Vec::new()));
    assert_eq!(t.store.checkpoint().await.unwrap().position, 1);

    // The second of three notices cannot: nor can the confirmation that asks for them.
    t.refuse_inserts("notice", "NEW.account = 'A2'").await;
    for _ in 0..3 {
        worker.step(NOW_MS + 63_000).await.unwrap_err();
        assert_eq!(decided(&t).await, (vec![suspected], Vec::new()));
    }
    t.accept_inserts("notice").await;
    let confirmed = (1, IncidentState::Confirmed, 2);
    let told = ["A1", "A2", "A3"].map(str::to_owned).to_vec();
    for later_ms in [64_000, 65_000, 66_000] {
        worker.step(NOW_MS + later_ms).await.unwrap();
        assert_eq!(decided(&t).await, (vec![confirmed], told.clone()));
    }
}
