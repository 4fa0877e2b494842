//! A full queue, a huge message, a flood of small ones, an end in the middle.

use super::harness::*;
use crate::support::Backend;
use forewarn::pipeline::intake::IntakeLimits;
use forewarn::proto::v1;
use forewarn::proto::v1::stream_alarms_request::Message as Said;
use forewarn::rpc::auth::Role;
use prost::Message as _;
use rstest::rstest;
use std::time::Duration;
use tonic::Code;
use tonic_types::StatusExt as _;

#[rstest]
#[tokio::test]
async fn a_full_queue_ends_the_call_and_nothing_is_lost(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let options = Options {
        committer: false,
        limits: IntakeLimits {
            queue_events: 5,
            batch_events: 1,
        },
        ..Options::default()
    };
    let service = start_with(backend, options).await;
    let mut source = service.source("a", 0).await;
    for sequence in 1..=50 {
        source.event(sequence).await;
    }
    // The call settles what it had taken before it ends.
    let run = spawn(service.alarms.clone().run(service.shutdown.clone()));
    let (status, acknowledged) = source.until_end().await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let delay = status
        .get_details_retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    let delay_bounds = Duration::from_millis(100)..=Duration::from_secs(30);
    assert!(delay_bounds.contains(&delay));
    let metadata = status
        .metadata()
        .get_bin("google.rpc.retryinfo-bin")
        .unwrap();
    let metadata = tonic_types::pb::RetryInfo::decode(metadata.to_bytes().unwrap()).unwrap();
    let metadata: Duration = metadata.retry_delay.unwrap().try_into().unwrap();
    assert_eq!(metadata, delay);

    let mut resumed = service.source("a", 0).await;
    assert_eq!(resumed.resumed, acknowledged);
    for sequence in acknowledged + 1..=50 {
        resumed.event(sequence).await;
        resumed.until_committed(sequence).await.unwrap();
    }
    let all: Vec<u64> = (1..=50).collect();
    assert_eq!(service.stored_sequences().await, all);
    service.shutdown.cancel();
    timely(run).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_oversize_message_is_refused_for_good() {
    let mut options = Options::default();
    options.settings.max_message_bytes = 64 * 1024;
    let service = start_with(Backend::Sqlite, options).await;
    let mut source = service.source("a", 0).await;
    let big = v1::AlarmEvent {
        text: "x".repeat(65 * 1024),
        ..event(1)
    };
    source.say(1, Said::Event(big)).await;
    let (status, _) = source.until_end().await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_none());

    let admin = token(&service.store.store, "admin", Role::Admin).await;
    let mut client = service.client(Some(&admin)).await;
    let big = v1::ListAlarmsRequest {
        page_token: "x".repeat(65 * 1024),
        ..v1::ListAlarmsRequest::default()
    };
    let status = client.list_alarms(big).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_none());
}

#[tokio::test]
async fn a_page_of_alarms_beyond_the_limit_is_refused_as_in_every_list() {
    let service = start(Backend::Sqlite).await;
    let admin = token(&service.store.store, "admin", Role::Admin).await;
    let mut client = service.client(Some(&admin)).await;
    for (page_size, code) in [(1_000, Code::Ok), (1_001, Code::InvalidArgument)] {
        let request = v1::ListAlarmsRequest {
            page_size,
            ..v1::ListAlarmsRequest::default()
        };
        let answer = client.list_alarms(request).await;
        assert_eq!(answer.map_or_else(|s| s.code(), |_| Code::Ok), code);
    }
}

/// HTTP/2 ends a connection on which thousands of small messages are left unread.
#[tokio::test]
async fn a_flood_of_small_messages_does_not_kill_the_connection() {
    let options = Options {
        committer: false,
        ..Options::default()
    };
    let service = start_with(Backend::Sqlite, options).await;
    let mut source = service.source("a", 0).await;
    for sequence in 1..=6_000 {
        source.event(sequence).await;
        // Each message becomes a frame of its own.
        tokio::task::yield_now().await;
    }
    spawn(service.alarms.clone().run(service.shutdown.clone()));
    source.until_committed(6_000).await.unwrap();
    assert_eq!(service.stored_sequences().await.len(), 6_000);
}

#[rstest]
#[tokio::test]
async fn what_was_received_is_committed_and_acknowledged_at_the_end(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let mut source = service.source("a", 0).await;
    for sequence in 1..=500 {
        source.event(sequence).await;
    }
    service.shutdown.cancel();
    let (status, acknowledged) = source.until_end().await;
    assert_eq!(status.code(), Code::Unavailable);
    timely(service.server).await.unwrap().unwrap();
    let stored = service.store.store.alarms_after(0, 1_000).await.unwrap();
    assert_eq!(stored.len() as u64, acknowledged);
}
