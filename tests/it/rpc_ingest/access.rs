//! Tokens, roles, TLS.

use super::harness::*;
use crate::authority::Authority;
use crate::support::{self, Backend};
use forewarn::cli::token::{self as command, TokenCommand};
use forewarn::proto::v1;
use forewarn::proto::v1::alarm_service_client::AlarmServiceClient;
use forewarn::rpc::auth::{Authenticator, Role};
use forewarn::rpc::server::{self, ServeError, Settings, TlsFiles};
use rstest::rstest;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

#[rstest]
#[tokio::test]
async fn every_service_wants_a_token(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    for token in [None, Some("fw_wrong")] {
        let bearer = Bearer(token.map(str::to_owned));
        let channel = service.channel().await;
        let mut client = service.client(token).await;
        let codes = [
            Source::open(&mut client).await.err().unwrap().code(),
            client
                .list_sources(v1::ListSourcesRequest {})
                .await
                .unwrap_err()
                .code(),
            HealthClient::with_interceptor(channel.clone(), bearer.clone())
                .check(HealthCheckRequest::default())
                .await
                .unwrap_err()
                .code(),
            ServerReflectionClient::with_interceptor(channel, bearer)
                .server_reflection_info(tokio_stream::iter([ServerReflectionRequest::default()]))
                .await
                .unwrap_err()
                .code(),
        ];
        assert_eq!(codes, [Code::Unauthenticated; 4]);
    }
    let health = HealthClient::with_interceptor(
        service.channel().await,
        Bearer(Some(service.token.clone())),
    )
    .check(HealthCheckRequest::default())
    .await
    .unwrap();
    assert_eq!(health.into_inner().status, 1);
}

#[rstest]
#[case(Role::Ingest, Code::Ok, Code::PermissionDenied)]
#[case(Role::Care, Code::PermissionDenied, Code::Ok)]
#[case(Role::Operator, Code::PermissionDenied, Code::Ok)]
#[case(Role::Admin, Code::Ok, Code::Ok)]
#[tokio::test]
async fn a_role_allows_what_it_is_for(
    #[case] role: Role,
    #[case] streaming: Code,
    #[case] listing: Code,
) {
    let service = start(Backend::Sqlite).await;
    let token = token(&service.store.store, "t", role).await;
    let mut client = service.client(Some(&token)).await;
    let streams = Source::open(&mut client)
        .await
        .err()
        .map_or(Code::Ok, |s| s.code());
    let lists = client.list_sources(v1::ListSourcesRequest {}).await;
    let lists = lists.err().map_or(Code::Ok, |s| s.code());
    assert_eq!((streams, lists), (streaming, listing));
    if role == Role::Ingest {
        let refused = client.list_sources(v1::ListSourcesRequest {}).await;
        assert_eq!(
            refused.unwrap_err().message(),
            "role `ingest` may not do this; it takes one of: operator, care, admin"
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_revoked_token_is_worthless_within_five_seconds(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = start(backend).await;
    let store = &service.store.store;
    let create = TokenCommand::Create {
        name: "noc".to_owned(),
        role: "ingest".to_owned(),
    };
    let printed = command::run(create.clone(), store, NOW_MS).await.unwrap();
    let token = printed.trim();
    assert!(token.starts_with("fw_") && token.len() == 46, "{token}");
    assert!(
        command::run(create, store, NOW_MS).await.is_err(),
        "name is taken"
    );
    let mut client = service.client(Some(token)).await;
    let mut source = Source::open(&mut client).await.unwrap();
    source
        .say(0, v1::stream_alarms_request::Message::Hello(hello("a", 0)))
        .await;
    source.hear().await.unwrap();

    let revoke = TokenCommand::Revoke {
        name: "noc".to_owned(),
    };
    command::run(revoke.clone(), store, NOW_MS).await.unwrap();
    let started = tokio::time::Instant::now();
    let (status, _) = source.until_end().await;
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(started.elapsed() < Duration::from_secs(5));
    let refused = Source::open(&mut client).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(command::run(revoke, store, NOW_MS).await.is_err());
    let listed = command::run(TokenCommand::List, store, NOW_MS)
        .await
        .unwrap();
    assert!(listed.contains("noc") && !listed.contains(token));
}

fn client_config(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority.pem()))
        .domain_name("localhost")
}

async fn start_tls(authority: &Authority, client_ca: bool) -> Service {
    // The process may have more than one test with TLS.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut options = Options::default();
    options.settings.tls = Some(authority.server_files(client_ca));
    start_with(Backend::Sqlite, options).await
}

async fn list_over(service: &Service, tls: ClientTlsConfig) -> Result<(), String> {
    let channel: Channel = Endpoint::from_shared(format!("https://{}", service.address))
        .unwrap()
        .tls_config(tls)
        .map_err(|e| e.to_string())?
        .connect()
        .await
        .map_err(|e| e.to_string())?;
    let token = token(&service.store.store, "tls", Role::Care).await;
    let mut client = AlarmServiceClient::with_interceptor(channel, Bearer(Some(token)));
    let answer = client
        .list_sources(Request::new(v1::ListSourcesRequest {}))
        .await;
    answer.map(drop).map_err(|e| e.to_string())
}

#[tokio::test]
async fn tls_serves_those_who_trust_the_authority() {
    let authority = Authority::new();
    let service = start_tls(&authority, false).await;
    list_over(&service, client_config(&authority))
        .await
        .unwrap();
    let other = Authority::new();
    list_over(&service, client_config(&other))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn mutual_tls_serves_only_clients_with_a_certificate() {
    let authority = Authority::new();
    let service = start_tls(&authority, true).await;
    list_over(&service, client_config(&authority))
        .await
        .unwrap_err();
    let (certificate, key) = authority.issue("noc");
    let known = client_config(&authority).identity(Identity::from_pem(certificate, key));
    list_over(&service, known).await.unwrap();
    let (certificate, key) = Authority::new().issue("noc");
    let unknown = client_config(&authority).identity(Identity::from_pem(certificate, key));
    list_over(&service, unknown).await.unwrap_err();
}

/// Serves on this address until `stop`.
async fn serve(
    address: &str,
    settings: &Settings,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let store = support::store(Backend::Sqlite).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let authenticator = Authenticator::new(store.store.clone());
    timely(server::serve_routes(
        listener,
        settings,
        authenticator,
        Routes::default(),
        stop,
    ))
    .await
}

#[tokio::test]
async fn plain_text_beyond_loopback_is_refused() {
    let mut settings = Settings::default();
    let refused = serve("0.0.0.0:0", &settings, CancellationToken::new()).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("allow_plaintext_beyond_loopback"), "{text}");

    settings.allow_plaintext_beyond_loopback = true;
    let stop = CancellationToken::new();
    stop.cancel();
    serve("0.0.0.0:0", &settings, stop).await.unwrap();
}

#[tokio::test]
async fn a_missing_certificate_is_named() {
    let settings = Settings {
        tls: Some(TlsFiles {
            certificate: Path::new("/nonexistent/server.pem").into(),
            key: Path::new("/nonexistent/server.key").into(),
            client_ca: None,
        }),
        ..Settings::default()
    };
    let error = serve("127.0.0.1:0", &settings, CancellationToken::new()).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("rpc.tls_certificate"), "{text}");
}
