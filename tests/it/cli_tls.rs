//! What `forewarn` says when client and server do not agree on TLS: what happened and what to do.

use crate::authority::Authority;
use forewarn::app::{App, Listeners, Running};
use forewarn::clock::Clock;
use forewarn::config::Config;
use forewarn::rpc::auth::{Role, new_token};
use forewarn::supervisor::Stopped;
use std::path::Path;
use tokio::process::Command;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    None,
    Tls,
    Mutual,
}

/// A whole service on a port of its own, and a token for it.
async fn service(authority: &Authority, encryption: Encryption) -> (Running, String) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let files = authority.server_files(false);
    let path = |path: &Path| path.display().to_string();
    let mut settings = vec![
        (
            "DATABASE__URL",
            format!("sqlite:{}", path(&authority.path("t.db"))),
        ),
        ("RPC__LISTEN", "127.0.0.1:0".to_owned()),
        ("WEB__LISTEN", "127.0.0.1:0".to_owned()),
        ("EMAIL__DIRECTORY", path(&authority.path("mail"))),
    ];
    if encryption != Encryption::None {
        settings.push(("RPC__TLS_CERTIFICATE", path(&files.certificate)));
        settings.push(("RPC__TLS_KEY", path(&files.key)));
    }
    if encryption == Encryption::Mutual {
        settings.push(("RPC__CLIENT_CA", path(&authority.path("ca.pem"))));
    }
    let settings = settings
        .into_iter()
        .map(|(name, value)| (format!("FOREWARN_{name}"), value));
    let config = Config::load(None, settings).unwrap();
    let running = App::start(&config, Listeners::default(), Clock::System).await;
    let running = running.unwrap();
    let (secret, token) = new_token("operator", Role::Operator, Clock::System.now_ms());
    running.store.add_token(&token).await.unwrap();
    (running, secret)
}

/// `forewarn incident list` against a server: how it ended, and all it said.
async fn list(server: &str, token: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_forewarn"))
        .args(["incident", "list", "--server", server])
        .args(args)
        .env_clear()
        .env("FOREWARN_TOKEN", token)
        .output()
        .await
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

async fn stop(running: Running) {
    running.shutdown().cancel();
    assert_eq!(running.wait().await, Stopped::Requested);
}

/// Each refusal says what happened and what to do, in two or three lines, without debug text.
#[track_caller]
fn check((code, said): (Option<i32>, String), expected: &[&str]) {
    assert_eq!(code, Some(1), "{said}");
    for expected in expected {
        assert!(said.contains(expected), "`{expected}` in: {said}");
    }
    assert!(said.lines().count() <= 3, "{said}");
    for debug in ["Error(", "Error {", "transport error", "InvalidCertificate"] {
        assert!(!said.contains(debug), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_cannot_be_trusted_is_explained() {
    let authority = Authority::new();
    let (running, token) = service(&authority, Encryption::Tls).await;
    let port = running.rpc_address.port();
    let server = format!("https://localhost:{port}");
    let ca = authority.path("ca.pem").display().to_string();
    let fine = list(&server, &token, &["--ca", &ca]).await;
    assert_eq!(fine, (Some(0), "No incidents.\n".to_owned()));

    let other = Authority::new();
    let wrong = other.path("ca.pem").display().to_string();
    check(
        list(&server, &token, &["--ca", &wrong]).await,
        &["was not signed by the authority in", &wrong, "FOREWARN_CA"],
    );
    check(
        list(&server, &token, &[]).await,
        &["was not signed by a public authority", "--ca"],
    );
    let by_address = format!("https://127.0.0.1:{port}");
    check(
        list(&by_address, &token, &["--ca", &ca]).await,
        &["certificate is for localhost, not for 127.0.0.1"],
    );
    let key = authority.path("server.key").display().to_string();
    check(
        list(&server, &token, &["--ca", &key]).await,
        &[&key, "holds no certificate"],
    );
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_against_encrypted_is_explained_either_way() {
    let authority = Authority::new();
    let (running, token) = service(&authority, Encryption::Tls).await;
    let address = running.rpc_address;
    check(
        list(&format!("http://{address}"), &token, &[]).await,
        &[
            "does not speak gRPC without TLS",
            &format!("https://{address}"),
        ],
    );
    stop(running).await;

    let authority = Authority::new();
    let (running, token) = service(&authority, Encryption::None).await;
    let port = running.rpc_address.port();
    let ca = authority.path("ca.pem").display().to_string();
    check(
        list(&format!("https://localhost:{port}"), &token, &["--ca", &ca]).await,
        &["does not speak TLS", "http://"],
    );
    let web = running.web_address;
    check(
        list(&format!("http://{web}"), &token, &[]).await,
        &["does not speak gRPC"],
    );
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_or_foreign_certificate_of_the_client_is_explained() {
    let authority = Authority::new();
    let (running, token) = service(&authority, Encryption::Mutual).await;
    let server = format!("https://localhost:{}", running.rpc_address.port());
    let ca = authority.path("ca.pem").display().to_string();
    check(
        list(&server, &token, &["--ca", &ca]).await,
        &["asks for a certificate of the client", "--client-cert"],
    );
    let identity = |from: &Authority, name: &str| {
        let (certificate, key) = from.issue("noc");
        let files = [format!("{name}.pem"), format!("{name}.key")].map(|f| authority.path(&f));
        std::fs::write(&files[0], certificate).unwrap();
        std::fs::write(&files[1], key).unwrap();
        files.map(|file| file.display().to_string())
    };
    let [certificate, key] = identity(&Authority::new(), "foreign");
    let foreign = [
        "--ca",
        &ca,
        "--client-cert",
        &certificate,
        "--client-key",
        &key,
    ];
    check(
        list(&server, &token, &foreign).await,
        &[
            "not accept the certificate of --client-cert",
            "rpc.client_ca",
        ],
    );
    let [certificate, key] = identity(&authority, "known");
    let known = [
        "--ca",
        &ca,
        "--client-cert",
        &certificate,
        "--client-key",
        &key,
    ];
    assert_eq!(list(&server, &token, &known).await.0, Some(0));
    stop(running).await;
}
