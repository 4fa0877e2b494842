//! One service at a time works on a database, whoever starts a second one.

use crate::support::{Backend, postgres_schema_url};
use rstest::rstest;
use sqlx::Connection as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

async fn database(backend: Backend, dir: &Path) -> String {
    match backend {
        Backend::Sqlite => format!("sqlite:{}", dir.join("one.db").display()),
        Backend::Postgres => postgres_schema_url().await,
    }
}

fn forewarn(url: &str, dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
    command
        .args(args)
        .env_clear()
        .env("FOREWARN_DATABASE__URL", url)
        .env("FOREWARN_RPC__LISTEN", "127.0.0.1:0")
        .env("FOREWARN_WEB__LISTEN", "127.0.0.1:0")
        .env("FOREWARN_EMAIL__DIRECTORY", dir.join("mail"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A service that serves, with the rest of its log.
async fn served(url: &str, dir: &Path) -> (Child, BufReader<ChildStderr>) {
    let mut child = forewarn(url, dir, &["serve"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("forewarn serves") {
        line.clear();
        let read = timeout(PATIENCE, log.read_line(&mut line)).await;
        assert!(read.unwrap().unwrap() > 0, "the service has ended");
    }
    (child, log)
}

async fn output(url: &str, dir: &Path, args: &[&str]) -> Output {
    let ended = timeout(PATIENCE, forewarn(url, dir, args).output()).await;
    ended.expect("the command ends").unwrap()
}

#[rstest]
#[tokio::test]
async fn a_second_service_is_refused_until_the_first_has_ended(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let dir = tempfile::tempdir().unwrap();
    let url = database(backend, dir.path()).await;
    let (mut first, _log) = served(&url, dir.path()).await;

    let second = output(&url, dir.path(), &["serve"]).await;
    let errors = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{errors}");
    let holder = format!("process {}", first.id().unwrap());
    for said in ["another forewarn service", &holder, "database.url"] {
        assert!(errors.contains(said), "{said}: {errors}");
    }
    assert_eq!(first.try_wait().unwrap(), None, "the first one serves on");

    let token = ["token", "create", "--name", "beside", "--role", "care"];
    let beside = output(&url, dir.path(), &token).await;
    assert!(beside.status.success(), "other commands work beside it");

    first.kill().await.unwrap();
    let (mut next, _log) = served(&url, dir.path()).await;
    next.kill().await.unwrap();
}

#[tokio::test]
async fn a_database_file_is_locked_by_whatever_path_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let url = database(Backend::Sqlite, dir.path()).await;
    let (_first, _log) = served(&url, dir.path()).await;
    let link = dir.path().join("link.db");
    std::os::unix::fs::symlink(dir.path().join("one.db"), &link).unwrap();
    let by_link = format!("sqlite:{}", link.display());
    let second = output(&by_link, dir.path(), &["serve"]).await;
    let errors = String::from_utf8(second.stderr).unwrap();
    assert!(errors.contains("one.db.lock"), "{errors}");
}

#[tokio::test]
async fn a_service_whose_lock_is_lost_stops_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let url = postgres_schema_url().await;
    let (mut service, mut log) = served(&url, dir.path()).await;
    let mut admin = sqlx::PgConnection::connect(&url).await.unwrap();
    let name = format!("forewarn serve, process {}", service.id().unwrap());
    let ended: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
    )
    .bind(name)
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(ended, [true]);
    let status = timeout(PATIENCE, service.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(1));
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut log, &mut said)
        .await
        .unwrap();
    assert!(
        said.contains("the connection that held the database for this service is lost"),
        "{said}"
    );
    let (mut next, _log) = served(&url, dir.path()).await;
    next.kill().await.unwrap();
}
