//! Imports by client streams.

use super::NOW;
use crate::support::{Backend, store};
use forewarn::clock::Clock;
use forewarn::proto::v1;
use forewarn::proto::v1::inventory_service_client::InventoryServiceClient;
use forewarn::proto::v1::inventory_service_server::InventoryServiceServer;
use forewarn::proto::v1::topology_record::Record;
use forewarn::rpc::auth::{Caller, Role};
use forewarn::rpc::inventory::Inventory;
use forewarn::store::{DatasetVersions, Store};
use rstest::rstest;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

/// A server with the one service, whose callers have that role.
async fn serve(store: &Store, role: Role) -> InventoryServiceClient<Channel> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = InventoryServiceServer::with_interceptor(
        Inventory::new(store.clone(), Clock::manual(NOW)),
        move |mut request: tonic::Request<()>| {
            request.extensions_mut().insert(Caller {
                name: "test".to_owned(),
                role,
            });
            Ok(request)
        },
    );
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(incoming);
    #[allow(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(server);
    InventoryServiceClient::connect(format!("http://{address}"))
        .await
        .unwrap()
}

fn record(record: Record) -> v1::TopologyRecord {
    v1::TopologyRecord {
        record: Some(record),
    }
}

fn network_messages() -> Vec<v1::ImportTopologyRequest> {
    let element = |id: &str, kind: &str, gateway| {
        record(Record::Element(v1::Element {
            id: id.to_owned(),
            kind: kind.to_owned(),
            gateway,
            ..v1::Element::default()
        }))
    };
    let link = v1::Link {
        id: "l1".to_owned(),
        a: "bng1".to_owned(),
        b: "ont1".to_owned(),
        transit: None,
    };
    vec![
        v1::ImportTopologyRequest {
            records: vec![record(Record::Link(link)), element("ont1", "ont", false)],
        },
        v1::ImportTopologyRequest {
            records: vec![element("bng1", "bng", true)],
        },
    ]
}

fn subscriber_message(account: &str, served_by: &str) -> v1::SubscriberRecord {
    v1::SubscriberRecord {
        account: account.to_owned(),
        language: "it".to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        segment: "residential".to_owned(),
        served_by: vec![served_by.to_owned()],
        ..v1::SubscriberRecord::default()
    }
}

#[rstest]
#[tokio::test]
async fn networks_and_subscribers_come_in_over_grpc(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut client = serve(&t.store, Role::Admin).await;
    let people = |served_by: &str| {
        tokio_stream::iter([v1::ImportSubscribersRequest {
            subscribers: vec![subscriber_message("a", served_by)],
        }])
    };
    let early = client.import_subscribers(people("ont1")).await.unwrap_err();
    assert_eq!(early.code(), tonic::Code::FailedPrecondition);

    let report = client
        .import_topology(tokio_stream::iter(network_messages()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((report.changed, report.records, report.added), (true, 3, 3));
    let again = client
        .import_topology(tokio_stream::iter(network_messages()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((again.changed, again.version), (false, report.version));

    let stray = client.import_subscribers(people("ont9")).await.unwrap_err();
    assert_eq!(stray.code(), tonic::Code::InvalidArgument);
    let violations = stray.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "subscriber[\"a\"].served_by");
    client.import_subscribers(people("ont1")).await.unwrap();
    let inventory = client
        .get_inventory(v1::GetInventoryRequest {})
        .await
        .unwrap()
        .into_inner();
    let counts = [
        inventory.elements,
        inventory.links,
        inventory.gateways,
        inventory.subscribers,
        inventory.sites,
    ];
    assert_eq!(counts, [2, 1, 1, 1, 0]);
    assert_eq!(inventory.topology_version, report.version);
}

#[tokio::test]
async fn every_wrong_record_of_a_stream_is_named() {
    let t = store(Backend::Sqlite).await;
    let mut client = serve(&t.store, Role::Admin).await;
    let mut messages = network_messages();
    if let Some(Record::Element(element)) = &mut messages[1].records[0].record {
        element.kind = "toaster".to_owned();
    }
    messages[0]
        .records
        .push(v1::TopologyRecord { record: None });
    let refused = client
        .import_topology(tokio_stream::iter(messages))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
    assert!(fields.contains(&"records[3].kind"), "{fields:?}");
    assert!(fields.contains(&"records[2].type"), "{fields:?}");
    assert!(violations.iter().any(|v| v.description.contains("toaster")));
    let versions = t.store.dataset_versions().await.unwrap();
    assert_eq!(versions, DatasetVersions::default());
}

/// What a status takes among the trailers, as gRPC's C core counts it.
fn trailer_bytes(status: tonic::Status) -> usize {
    let response = status.into_http::<()>();
    let headers = response.headers().iter();
    headers
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum()
}

#[tokio::test]
async fn a_refusal_lists_what_fits_into_the_trailers() {
    let t = store(Backend::Sqlite).await;
    let mut client = serve(&t.store, Role::Admin).await;
    for (count, id) in [(46, "e"), (101, "e"), (5_000, "e"), (300, "%é\u{1f4a5}")] {
        let wrong = |number: usize| {
            record(Record::Element(v1::Element {
                id: format!("{}-{number}", id.repeat(20)),
                kind: id.repeat(400),
                ..v1::Element::default()
            }))
        };
        let records = (0..count).map(wrong).collect();
        let message = v1::ImportTopologyRequest { records };
        let refused = client.import_topology(tokio_stream::iter([message])).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        let listed = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!(listed[0].field, "records[0].kind");
        assert!(listed.len() >= 10, "{}", listed.len());
        let says = format!(
            "nothing changed: {count} errors; the first {} are listed; `forewarn import` lists up to 100",
            listed.len()
        );
        assert!(refused.message().ends_with(&says), "{}", refused.message());
        let bytes = trailer_bytes(refused);
        assert!(bytes < 7_000, "{bytes}");
    }
}

#[tokio::test]
async fn only_an_admin_imports_and_ingest_may_not_even_look() {
    let t = store(Backend::Sqlite).await;
    for role in [Role::Operator, Role::Care, Role::Ingest] {
        let mut client = serve(&t.store, role).await;
        let refused = client
            .import_topology(tokio_stream::iter(network_messages()))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        let expected = format!("role `{}` may not do this; it takes admin", role.as_str());
        assert_eq!(refused.message(), expected);
        let looked = client.get_inventory(v1::GetInventoryRequest {}).await;
        assert_eq!(looked.is_ok(), role != Role::Ingest);
    }
}

#[tokio::test]
async fn a_second_stream_is_refused_while_one_runs() {
    let t = store(Backend::Sqlite).await;
    let mut first = serve(&t.store, Role::Admin).await;
    let mut second = first.clone();
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let running = first.import_topology(tokio_stream::wrappers::ReceiverStream::new(receive));
    let intruder = async {
        // Once a second message finds room, the server has taken the first, so the import runs.
        for message in network_messages() {
            send.send(message).await.unwrap();
        }
        send.send(v1::ImportTopologyRequest::default())
            .await
            .unwrap();
        let refused = loop {
            let all = tokio_stream::iter(network_messages());
            match second.import_topology(all).await {
                Err(status) => break status,
                // The other call had not reached the server yet.
                Ok(_) => tokio::task::yield_now().await,
            }
        };
        drop(send);
        refused
    };
    let (outcome, refused) = tokio::join!(running, intruder);
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    outcome.unwrap();
}
