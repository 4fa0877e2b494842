//! Complaints and the report over gRPC.

use super::world::{HOUR, ONSET, fault, held_out, notify, person, publish, save, told};
use crate::support::{Backend, TestStore, store};
use forewarn::clock::Clock;
use forewarn::effect::holdout::Experiment;
use forewarn::proto::v1;
use forewarn::proto::v1::complaint_service_client::ComplaintServiceClient;
use forewarn::proto::v1::complaint_service_server::ComplaintServiceServer;
use forewarn::proto::v1::effect_service_client::EffectServiceClient;
use forewarn::proto::v1::effect_service_server::EffectServiceServer;
use forewarn::rpc::auth::{Caller, Role};
use forewarn::rpc::complaint::ComplaintApi;
use forewarn::rpc::effect::EffectApi;
use forewarn::store::ComplaintFilter;
use forewarn::subscriber::Numbering;
use rstest::rstest;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Status};

/// The setting of the server.
const WINDOW_S: u32 = 25 * 3_600;

struct Served {
    t: TestStore,
    channel: Channel,
    server: String,
    tasks: TaskTracker,
    stop: DropGuard,
}

/// Both services on a port of their own, called by somebody with the role.
async fn serve(backend: Backend, role: Role) -> Served {
    let t = store(backend).await;
    let tasks = TaskTracker::new();
    let shutdown = CancellationToken::new();
    let caller = move |mut request: Request<()>| -> Result<Request<()>, Status> {
        let name = "test".to_owned();
        request.extensions_mut().insert(Caller { name, role });
        Ok(request)
    };
    let complaints = ComplaintApi {
        store: t.store.clone(),
        numbering: Numbering::default(),
        clock: Clock::manual(ONSET + 2 * HOUR),
        tasks: tasks.clone(),
        shutdown: shutdown.clone(),
    };
    let effect = EffectApi {
        store: t.store.clone(),
        experiment: Experiment {
            name: "spring".to_owned(),
            holdout_percent: 50.0,
        },
        window_s: WINDOW_S,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .add_service(ComplaintServiceServer::with_interceptor(complaints, caller))
        .add_service(EffectServiceServer::with_interceptor(effect, caller))
        .serve_with_incoming_shutdown(
            TcpListenerStream::new(listener),
            shutdown.clone().cancelled_owned(),
        );
    tasks.spawn(server);
    let server = format!("http://{address}");
    let channel = Channel::from_shared(server.clone())
        .unwrap()
        .connect()
        .await
        .unwrap();
    Served {
        t,
        channel,
        server,
        tasks,
        stop: shutdown.drop_guard(),
    }
}

fn complaint(id: &str, account: &str) -> v1::StreamComplaintsRequest {
    v1::StreamComplaintsRequest {
        complaint: Some(v1::Complaint {
            id: id.to_owned(),
            account: account.to_owned(),
            at_ms: ONSET + HOUR,
            channel: "call".to_owned(),
            ..v1::Complaint::default()
        }),
    }
}

/// Sends them all; the last progress, and every refusal.
async fn stream(
    served: &Served,
    requests: Vec<v1::StreamComplaintsRequest>,
) -> Result<(v1::StreamComplaintsResponse, Vec<v1::RejectedComplaint>), Status> {
    let mut answers = ComplaintServiceClient::new(served.channel.clone())
        .stream_complaints(tokio_stream::iter(requests))
        .await?
        .into_inner();
    let (mut last, mut rejected) = (v1::StreamComplaintsResponse::default(), Vec::new());
    while let Some(answer) = answers.message().await? {
        rejected.extend(answer.rejected.clone());
        last = answer;
    }
    Ok((last, rejected))
}

#[rstest]
#[tokio::test]
async fn a_stream_keeps_what_is_sound_and_names_what_is_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let served = serve(backend, Role::Ingest).await;
    publish(&served.t.store, &[person("A1", "", None)]).await;
    let mut requests: Vec<_> = (0..3_000)
        .map(|n| complaint(&format!("T{n}"), "A1"))
        .collect();
    requests[1_499] = complaint("", "A1");
    requests[2_500] = complaint("T7", "A1");
    requests[2_600] = complaint("T2600", "nobody");
    requests.push(v1::StreamComplaintsRequest::default());
    let (last, rejected) = stream(&served, requests.clone()).await.unwrap();
    assert_eq!((last.taken, last.duplicates), (2_999, 1));
    assert_eq!(last.unknown_accounts, 1);
    let named: Vec<_> = rejected
        .iter()
        .map(|one| (one.number, one.violations[0].field.as_str()))
        .collect();
    assert_eq!(named, [(1_500, "complaint.id"), (3_001, "complaint")]);
    let (again, _) = stream(&served, requests).await.unwrap();
    assert_eq!((again.taken, again.duplicates), (2_999, 2_999));
}

#[tokio::test]
async fn who_is_not_allowed_is_refused() {
    let served = serve(Backend::Sqlite, Role::Operator).await;
    let refused = stream(&served, vec![complaint("T1", "A1")])
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let served = serve(Backend::Sqlite, Role::Ingest).await;
    let refused = ComplaintServiceClient::new(served.channel.clone())
        .list_complaints(v1::ListComplaintsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = EffectServiceClient::new(served.channel.clone())
        .report(v1::ReportRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[rstest]
#[tokio::test]
async fn complaints_are_listed_by_page_and_counted_in_the_report(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let served = serve(backend, Role::Care).await;
    let incident = fault(1, ONSET, None);
    save(&served.t.store, &incident).await;
    notify(
        &served.t.store,
        &incident,
        &[told("A1", 1), told("A2", 1), held_out("A3")],
    )
    .await;
    let requests = vec![
        complaint("T1", "A1"),
        complaint("T2", "A3"),
        complaint("T3", "A9"),
    ];
    stream(&served, requests).await.unwrap();

    let mut client = ComplaintServiceClient::new(served.channel.clone());
    let mut request = v1::ListComplaintsRequest {
        page_size: 2,
        ..v1::ListComplaintsRequest::default()
    };
    let first = client
        .list_complaints(request.clone())
        .await
        .unwrap()
        .into_inner();
    request.page_token = first.next_page_token.clone();
    let second = client.list_complaints(request).await.unwrap().into_inner();
    assert_eq!(second.next_page_token, "");
    let mut listed = first.complaints;
    listed.extend(second.complaints);
    let listed: Vec<_> = listed
        .iter()
        .map(|one| {
            (
                one.id.as_str(),
                one.incident_id.as_str(),
                one.matched_by.as_str(),
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("T3", "", ""),
            ("T2", "INC-1", "account"),
            ("T1", "INC-1", "account")
        ]
    );

    let mut client = EffectServiceClient::new(served.channel.clone());
    let report = client
        .report(v1::ReportRequest::default())
        .await
        .unwrap()
        .into_inner();
    let effect = &report.incidents[0];
    let arm = |subscribers, complained| {
        Some(v1::Arm {
            subscribers,
            complained,
        })
    };
    assert_eq!((effect.told, effect.held_out), (arm(2, 1), arm(1, 1)));
    assert!(!report.claim_allowed);
    assert_eq!(report.window_s, WINDOW_S);

    let unknown = v1::ReportRequest {
        incident_ids: vec!["INC-1".to_owned(), "INC-8".to_owned()],
        ..v1::ReportRequest::default()
    };
    let refused = client.report(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(refused.message().contains("INC-8"), "{}", refused.message());
}

#[tokio::test]
async fn the_command_counts_for_as_long_as_the_server_is_set_to() {
    let served = serve(Backend::Sqlite, Role::Care).await;
    for (window, expected) in [(&[][..], WINDOW_S), (&["--window", "2h"], 7_200)] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_forewarn"));
        let output = command
            .args(["report", "effect", "--json", "--token", "care"])
            .args(["--server", &served.server])
            .args(window)
            .env_clear()
            .output();
        let output = output.await.unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["window_s"], expected, "{output:?}");
    }
}

#[tokio::test]
async fn a_stopping_server_ends_streams_after_keeping_what_it_read() {
    let served = serve(Backend::Sqlite, Role::Ingest).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    sender.send(complaint("T1", "A1")).await.unwrap();
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = ComplaintServiceClient::new(served.channel.clone())
        .stream_complaints(requests)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().taken, 1);
    let Served { t, tasks, stop, .. } = served;
    drop(stop);
    assert_eq!(
        answers.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    drop((answers, sender));
    tasks.close();
    tasks.wait().await;
    let filter = ComplaintFilter {
        limit: 5,
        ..ComplaintFilter::default()
    };
    assert_eq!(t.store.complaints(&filter).await.unwrap().len(), 1);
}
