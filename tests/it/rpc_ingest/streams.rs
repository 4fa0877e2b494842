//! Resuming, acknowledging, rejecting.

use super::harness::*;
use crate::support::Backend;
use forewarn::alarm::{AlarmEventKind, LogRecord, ServiceEffect, Severity};
use forewarn::pipeline::alarm_log::AlarmLog;
use forewarn::proto::v1;
use forewarn::proto::v1::stream_alarms_request::Message as Said;
use forewarn::proto::v1::stream_alarms_response::Message as Told;
use forewarn::topology::Position;
use rstest::rstest;
use tonic::Code;

#[rstest]
#[tokio::test]
async fn what_is_acknowledged_is_stored(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut source = service.source("a", 0).await;
    assert_eq!(source.resumed, 0);
    for sequence in 1..=700 {
        source.event(sequence).await;
        if sequence % 100 == 0
            && let Told::Committed(committed) = source.hear().await.unwrap()
        {
            let stored = service.stored_sequences().await;
            assert!(stored.len() as u64 >= committed.through_sequence);
        }
    }
    source.finish();
    let (status, acknowledged) = source.until_end().await;
    assert_eq!((status.code(), acknowledged), (Code::Ok, 700));
    let all: Vec<u64> = (1..=700).collect();
    assert_eq!(service.stored_sequences().await, all);
}

#[rstest]
#[tokio::test]
async fn nothing_is_acknowledged_before_the_commit(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let options = Options {
        committer: false,
        ..Options::default()
    };
    let service = start_with(backend, options).await;
    let mut source = service.source("a", 0).await;
    source.event(1).await;
    // The answer to the duplicate shows that both messages were read.
    source.event(1).await;
    match source.hear().await.unwrap() {
        Told::Committed(committed) => assert_eq!(committed.through_sequence, 0),
        other => panic!("{other:?}"),
    }
    assert_eq!(service.stored_sequences().await, [0_u64; 0]);
    service.commit().await;
    source.until_committed(1).await.unwrap();
    assert_eq!(service.stored_sequences().await, [1]);
}

#[rstest]
#[tokio::test]
async fn a_source_resumes_after_its_last_committed_number(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut first = service.source("a", 0).await;
    for sequence in [1, 2, 7] {
        first.event(sequence).await;
    }
    first.until_committed(7).await.unwrap();
    drop(first);
    let mut second = service.source("a", 0).await;
    assert_eq!(second.resumed, 7);
    for sequence in [2, 7, 8] {
        second.event(sequence).await;
    }
    second.until_committed(8).await.unwrap();
    assert_eq!(service.source("b", 0).await.resumed, 0);
    service.shutdown.cancel();
    service.server.await.unwrap().unwrap();

    let restarted = start_on(service.store, Options::default()).await;
    assert_eq!(restarted.source("a", 0).await.resumed, 8);
    assert_eq!(restarted.stored_sequences().await, [1, 2, 7, 8]);
}

#[rstest]
#[tokio::test]
async fn a_duplicate_is_acknowledged_and_not_stored(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut source = service.source("a", 0).await;
    source.event(1).await;
    source.event(2).await;
    source.until_committed(2).await.unwrap();
    source.event(1).await;
    source.until_committed(2).await.unwrap();
    assert_eq!(service.stored_sequences().await, [1, 2]);
}

#[rstest]
#[tokio::test]
async fn the_newest_stream_of_a_source_wins(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let options = Options {
        committer: false,
        ..Options::default()
    };
    let service = start_with(backend, options).await;
    let mut older = service.source("a", 0).await;
    for sequence in 1..=3 {
        older.event(sequence).await;
    }
    let mut newer = service.source("a", 0).await;
    assert_eq!(newer.resumed, 0);
    for sequence in 1..=4 {
        newer.event(sequence).await;
    }
    spawn(service.alarms.clone().run(service.shutdown.clone()));
    newer.until_committed(4).await.unwrap();
    assert_eq!(older.until_end().await.0.code(), Code::Aborted);
    assert_eq!(service.stored_sequences().await, [1, 2, 3, 4]);
}

#[rstest]
#[tokio::test]
async fn an_invalid_event_does_not_stop_its_neighbours(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut source = service.source("a", 0).await;
    source.event(1).await;
    let invalid = v1::AlarmEvent {
        kind: 17,
        resource: "olt\0".to_owned(),
        alarm_type: String::new(),
        severity: 0,
        event_time_ms: 0,
        text: "x".repeat(4_097),
        position: Some(v1::Position {
            latitude: f64::NAN,
            longitude: 12.0,
        }),
        ..v1::AlarmEvent::default()
    };
    source.say(2, Said::Event(invalid)).await;
    source.event(3).await;
    let rejected = source.until_committed(3).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].sequence, 2);
    let fields: Vec<&str> = rejected[0]
        .violations
        .iter()
        .map(|v| v.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "event.kind",
            "event.severity",
            "event.resource",
            "event.alarm_type",
            "event.text",
            "event.event_time_ms",
            "event.position",
        ]
    );
    assert!(
        rejected[0]
            .violations
            .iter()
            .all(|v| !v.expected.is_empty())
    );
    assert_eq!(service.stored_sequences().await, [1, 3]);

    // The number of a rejected event counts as committed, also when it is the last.
    source.say(4, Said::Event(v1::AlarmEvent::default())).await;
    source.until_committed(4).await.unwrap();
    drop(source);
    assert_eq!(service.source("a", 0).await.resumed, 4);
}

#[rstest]
#[tokio::test]
async fn an_event_is_stored_as_it_was_sent(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut source = service.source("a", 0).await;
    let sent = v1::AlarmEvent {
        kind: v1::AlarmEventKind::Change.into(),
        alarm_type_qualifier: "λ1".to_owned(),
        probable_cause: "fibre".to_owned(),
        text: "il \"segnale\"\n è\tperso".to_owned(),
        attributes: [("onu-id".to_owned(), "7".to_owned())].into(),
        service_effect: v1::ServiceEffect::Degraded.into(),
        position: Some(v1::Position {
            latitude: 41.89,
            longitude: 12.49,
        }),
        ..event(1)
    };
    source
        .say(1, Said::SnapshotBegin(v1::SnapshotBegin {}))
        .await;
    source.say(2, Said::Event(sent)).await;
    source.say(3, Said::SnapshotEnd(v1::SnapshotEnd {})).await;
    source.until_committed(3).await.unwrap();

    // From memory, and from the database as after a restart.
    let restarted = AlarmLog::open(service.store.store.clone()).await.unwrap();
    for log in [&*service.log, &restarted] {
        let mut entries = Vec::new();
        let mut position = 0;
        while position < log.last_position() {
            let slice = log.read_after(position, 2).await.unwrap();
            assert!((1..=2).contains(&slice.len()));
            position = slice.last().unwrap().position;
            entries.extend(slice.to_vec());
        }
        assert_eq!(entries[0].record, LogRecord::SnapshotBegin);
        assert_eq!(entries[2].record, LogRecord::SnapshotEnd);
        let LogRecord::Event(event) = &entries[1].record else {
            panic!("{:?}", entries[1].record);
        };
        assert_eq!(event.kind, AlarmEventKind::Change);
        assert_eq!(event.severity, Severity::Major);
        assert_eq!(event.key.qualifier, "λ1");
        assert_eq!(event.detail.text, "il \"segnale\"\n è\tperso");
        assert_eq!(event.detail.service_effect, Some(ServiceEffect::Degraded));
        assert_eq!(event.detail.attributes["onu-id"], "7");
        let rome = Position {
            latitude: 41.89,
            longitude: 12.49,
        };
        assert_eq!(event.detail.position, Some(rome));
        assert_eq!(entries[1].received_at_ms, NOW_MS);
    }
    let end = restarted.read_after(3, 10).await.unwrap();
    assert_eq!(end.len(), 0);
}

#[rstest]
#[tokio::test]
async fn a_reader_is_woken_by_a_commit(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let log = std::sync::Arc::clone(&service.log);
    let reader = spawn(async move {
        let mut seen = 0_i64;
        while seen < 300 {
            log.changed_after(seen).await;
            for entry in log.read_after(seen, 7).await.unwrap().iter() {
                assert_eq!(entry.position, seen + 1);
                seen = entry.position;
            }
        }
    });
    let mut source = service.source("a", 0).await;
    for sequence in 1..=300 {
        source.event(sequence).await;
    }
    source.until_committed(300).await.unwrap();
    timely(reader).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_stream_begins_with_hello(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut client = service.client(Some(&service.token)).await;
    let wrong = [
        Said::Heartbeat(v1::Heartbeat {}),
        Said::Hello(hello("", 0)),
        Said::Hello(hello(&"x".repeat(129), 0)),
        Said::Hello(hello("a", 86_401)),
    ];
    for message in wrong {
        let mut source = Source::open(&mut client).await.unwrap();
        source.say(0, message).await;
        assert_eq!(
            source.hear().await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
}
