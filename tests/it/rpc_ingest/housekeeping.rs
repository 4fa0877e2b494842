//! Silence, samples, retention.

use super::harness::*;
use crate::support::Backend;
use forewarn::alarm::LogRecord;
use forewarn::clock::Clock;
use forewarn::pipeline::housekeeper::Housekeeper;
use forewarn::proto::v1;
use forewarn::proto::v1::stream_alarms_request::Message as Said;
use forewarn::proto::v1::stream_samples_request::Message as SaidSample;
use forewarn::proto::v1::stream_samples_response::Message as Told;
use forewarn::proto::v1::telemetry_service_client::TelemetryServiceClient;
use forewarn::rpc::auth::Role;
use rstest::rstest;

const DAY_MS: i64 = 86_400_000;

fn housekeeper(service: &Service) -> Housekeeper {
    Housekeeper {
        store: service.store.store.clone(),
        alarms: service.alarms.clone(),
        samples: service.samples.clone(),
        telemetry_retention_ms: 30 * DAY_MS,
    }
}

async fn is_stale(service: &Service) -> bool {
    let care = token(&service.store.store, "care", Role::Care).await;
    let mut client = service.client(Some(&care)).await;
    let sources = client
        .list_sources(v1::ListSourcesRequest {})
        .await
        .unwrap();
    sources.into_inner().sources[0].stale
}

/// Names of those who send measured values, and whether they are stale.
async fn meters(service: &Service) -> Vec<(String, bool)> {
    let care = token(&service.store.store, "care", Role::Care).await;
    let mut client = service.client(Some(&care)).await;
    let request = v1::ListSourcesRequest {};
    let sources = client.list_sources(request).await.unwrap().into_inner();
    let meters = sources.sources.into_iter().filter(|s| s.telemetry);
    meters.map(|s| (s.name, s.stale)).collect()
}

async fn records(service: &Service) -> Vec<LogRecord> {
    let entries = service.store.store.alarms_after(0, 100).await.unwrap();
    entries
        .into_iter()
        .map(|entry| entry.record)
        .filter(|record| !matches!(record, LogRecord::Event(_)))
        .collect()
}

#[rstest]
#[tokio::test]
async fn silence_is_noted_and_so_is_the_return(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let housekeeper = housekeeper(&service);
    let mut source = service.source("a", 10).await;
    service.source("without promise", 0).await;
    source.event(1).await;
    source.until_committed(1).await.unwrap();

    service.clock.advance_ms(20_000);
    let kept = housekeeper.step(service.clock.now_ms()).await.unwrap();
    assert_eq!(kept.silent, 0, "twice the interval has not passed");
    assert!(!is_stale(&service).await);

    service.clock.advance_ms(1);
    drop(source);
    let kept = housekeeper.step(service.clock.now_ms()).await.unwrap();
    assert_eq!(kept.silent, 1);
    timely(service.log.changed_after(1)).await;
    assert_eq!(records(&service).await, [LogRecord::Stale]);
    assert!(is_stale(&service).await);
    let again = housekeeper.step(service.clock.now_ms()).await.unwrap();
    assert_eq!(again.silent, 0, "noted once");
    service.shutdown.cancel();
    service.server.await.unwrap().unwrap();

    // What was silent before a restart is still.
    let service = start_on(service.store, Options::default()).await;
    assert!(is_stale(&service).await);
    let mut source = service.source("a", 10).await;
    source.event(2).await;
    source.until_committed(2).await.unwrap();
    assert_eq!(
        records(&service).await,
        [LogRecord::Stale, LogRecord::Heard]
    );
    assert!(is_stale(&service).await, "not resynchronised yet");
    source
        .say(3, Said::SnapshotBegin(v1::SnapshotBegin {}))
        .await;
    source.say(4, Said::SnapshotEnd(v1::SnapshotEnd {})).await;
    source.until_committed(4).await.unwrap();
    assert!(!is_stale(&service).await);
    let log = service.store.store.alarms_after(0, 100).await.unwrap();
    let heard = log
        .iter()
        .position(|e| e.record == LogRecord::Heard)
        .unwrap();
    let second = log.iter().position(|e| e.sequence == 2).unwrap();
    assert!(heard < second, "the return stands before what followed");
}

#[rstest]
#[tokio::test]
async fn a_restart_is_neither_a_sign_of_life_nor_silence(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut source = service.source("a", 10).await;
    source.event(1).await;
    source.until_committed(1).await.unwrap();
    drop(source);
    service.shutdown.cancel();
    service.server.await.unwrap().unwrap();

    let hour_later = Clock::manual(NOW_MS + 3_600_000);
    let service = start_at(hour_later, service.store, Options::default()).await;
    let last_heard_ms = || service.alarms.sources()[0].last_heard_ms;
    assert_eq!(last_heard_ms(), NOW_MS);
    let housekeeper = housekeeper(&service);
    service.clock.advance_ms(20_000);
    let kept = housekeeper.step(service.clock.now_ms()).await.unwrap();
    assert_eq!(kept.silent, 0, "nobody could be heard before");
    service.clock.advance_ms(1);
    let kept = housekeeper.step(service.clock.now_ms()).await.unwrap();
    assert_eq!(kept.silent, 1);
    assert!(is_stale(&service).await);
    assert_eq!(last_heard_ms(), NOW_MS);
    let stored = service
        .store
        .store
        .sources(forewarn::store::SourceStream::Alarm)
        .await;
    assert_eq!(stored.unwrap()[0].last_heard_ms, NOW_MS);
}

#[rstest]
#[tokio::test]
async fn the_end_of_a_snapshot_that_never_began_makes_nothing_current(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut source = service.source("a", 10).await;
    source.event(1).await;
    source.until_committed(1).await.unwrap();
    service.clock.advance_ms(20_001);
    let now_ms = service.clock.now_ms();
    housekeeper(&service).step(now_ms).await.unwrap();
    let end = || Said::SnapshotEnd(v1::SnapshotEnd {});
    source.say(2, end()).await;
    let rejected = source.until_committed(2).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].sequence, 2);
    assert_eq!(rejected[0].violations[0].field, "snapshot_end");
    assert!(
        rejected[0].violations[0]
            .expected
            .contains("snapshot_begin")
    );
    assert!(is_stale(&service).await);
    assert_eq!(
        records(&service).await,
        [LogRecord::Stale, LogRecord::Heard]
    );

    // One that began before a restart may end after it, and only once.
    source
        .say(3, Said::SnapshotBegin(v1::SnapshotBegin {}))
        .await;
    source.until_committed(3).await.unwrap();
    drop(source);
    service.shutdown.cancel();
    service.server.await.unwrap().unwrap();
    let service = start_on(service.store, Options::default()).await;
    assert!(is_stale(&service).await);
    let mut source = service.source("a", 10).await;
    source.say(4, end()).await;
    source.say(5, end()).await;
    let rejected = source.until_committed(5).await.unwrap();
    let rejected: Vec<u64> = rejected.iter().map(|r| r.sequence).collect();
    assert_eq!(rejected, [5]);
    assert!(!is_stale(&service).await);
}

#[rstest]
#[tokio::test]
async fn a_heartbeat_is_a_sign_of_life(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut source = service.source("a", 10).await;
    service.clock.advance_ms(15_000);
    source.say(1, Said::Heartbeat(v1::Heartbeat {})).await;
    source.until_committed(1).await.unwrap();
    service.clock.advance_ms(15_000);
    let kept = housekeeper(&service)
        .step(service.clock.now_ms())
        .await
        .unwrap();
    assert_eq!(kept.silent, 0);
    assert_eq!(service.stored_sequences().await, [0_u64; 0]);
    let stored = service
        .store
        .store
        .sources(forewarn::store::SourceStream::Alarm)
        .await;
    assert_eq!(stored.unwrap()[0].last_heard_ms, NOW_MS + 15_000);
}

#[rstest]
#[tokio::test]
async fn samples_are_stored_and_deleted_when_old(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let bearer = Bearer(Some(service.token.clone()));
    let mut client = TelemetryServiceClient::with_interceptor(service.channel().await, bearer);
    let sample = |value: f64| {
        SaidSample::Sample(v1::Sample {
            resource: "pon-1".to_owned(),
            metric: "rx_power_dbm".to_owned(),
            value,
            sampled_at_ms: NOW_MS,
        })
    };
    let messages = [
        SaidSample::Hello(hello("meters", 60)),
        sample(-19.5),
        sample(f64::NAN),
        sample(-20.0),
    ];
    let requests = (0..)
        .zip(messages)
        .map(|(sequence, message)| v1::StreamSamplesRequest {
            sequence,
            message: Some(message),
        });
    let requests: Vec<_> = requests.collect();
    let answers = client
        .stream_samples(tokio_stream::iter(requests))
        .await
        .unwrap();
    let mut answers = answers.into_inner();
    let mut told = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        told.push(answer.message.unwrap());
    }
    assert!(matches!(&told[0], Told::Resume(r) if r.last_committed_sequence == 0));
    assert!(told.iter().any(|t| matches!(t, Told::Rejected(r)
        if r.sequence == 2 && r.violations[0].field == "sample.value")));
    assert!(matches!(told.last(), Some(Told::Committed(c)) if c.through_sequence == 3));
    let store = &service.store.store;
    assert_eq!(store.count_samples().await.unwrap(), 2);

    let housekeeper = housekeeper(&service);
    housekeeper.step(NOW_MS + 120_000).await.unwrap();
    assert_eq!(meters(&service).await, [("meters".to_owned(), false)]);
    housekeeper.step(NOW_MS + 120_001).await.unwrap();
    assert_eq!(meters(&service).await, [("meters".to_owned(), true)]);

    let kept = housekeeper.step(NOW_MS + 30 * DAY_MS).await.unwrap();
    assert_eq!(kept.samples_deleted, 0);
    let kept = housekeeper.step(NOW_MS + 30 * DAY_MS + 1).await.unwrap();
    assert_eq!(kept.samples_deleted, 2);
    assert_eq!(store.count_samples().await.unwrap(), 0);
}
