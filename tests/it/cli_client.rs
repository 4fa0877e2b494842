//! `forewarn` as a client of the service, and a client that shares no code with us.

use crate::experience::episodes;
use crate::operators::{NOW_MS, World, incident};
use crate::support::Backend;
use forewarn::app::{App, Listeners, Running};
use forewarn::clock::Clock;
use forewarn::config::Config;
use forewarn::experience::{Like, Size};
use forewarn::incident::{CauseKind, IncidentState, PartClass};
use forewarn::notice::{Decision, Stage};
use forewarn::rpc::auth::{Role, new_token};
use forewarn::supervisor::Stopped;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;
use tokio::process::Command;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The program with these arguments, as the holder of a role; nothing of our environment reaches it.
async fn forewarn(server: &str, role: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
    command
        .args(args)
        .env_clear()
        .env("FOREWARN_SERVER", server)
        .env("TZ", "Europe/Rome");
    if !role.is_empty() {
        command.env("FOREWARN_TOKEN", role);
    }
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What the program prints; it must succeed.
async fn prints(world: &World, args: &[&str]) -> String {
    let output = forewarn(&world.server, "operator", args).await;
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {errors}");
    text(&output.stdout)
}

async fn records(world: &World, args: &[&str]) -> Vec<Value> {
    let printed = prints(world, &[args, &["--json"]].concat()).await;
    let lines = printed.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn an_operator_works_by_the_command_line() {
    let world = World::start(Backend::Sqlite).await;
    let suspected = incident(1, IncidentState::Suspected);
    world.show(&[(suspected.clone(), "olt1")]).await;
    let decision = Decision::HeldOut;
    world.notice(&suspected, "A1", Stage::First, decision).await;
    let decision = Decision::Send;
    let sent = world.notice(&suspected, "A2", Stage::First, decision).await;
    let sent = sent.to_string();

    let listed = records(&world, &["incident", "list"]).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], "INC-1");
    assert_eq!(listed[0]["state"], "suspected");
    assert_eq!(listed[0]["restored_ms"], Value::Null);
    assert_eq!(listed[0]["notices"]["held_out"], 1);
    let table = prints(&world, &["incident", "list", "--state", "suspected"]).await;
    assert!(
        table.contains("INC-1") && table.contains("10 (peak 12)"),
        "{table}"
    );
    let none = prints(&world, &["incident", "list", "--state", "restored"]).await;
    assert_eq!(none, "No incidents.\n");

    let confirmed = records(&world, &["incident", "confirm", "1"]).await;
    assert_eq!(confirmed[0]["state"], "confirmed");
    // The server's clock stands still long ago, so that any time of ours lies in its future.
    let eta = ["incident", "eta", "INC-1", "--in", "30m..90m"];
    let set = records(&world, &eta).await;
    let (from, to) = (&set[0]["estimate_from_ms"], &set[0]["estimate_to_ms"]);
    assert!(from.as_i64().unwrap() > NOW_MS);
    assert_eq!(to.as_i64().unwrap() - from.as_i64().unwrap(), 3_600_000);
    let withdrawn = records(&world, &["incident", "eta", "1", "--withdraw"]).await;
    assert_eq!(withdrawn[0]["estimate_to_ms"], Value::Null);
    let cause = ["incident", "cause", "1", "fibre_cut", "--text", "digger"];
    let named = [&cause[..], &["--resource", "pon-1", "pon-2"]].concat();
    let set = prints(&world, &named).await;
    assert!(set.contains("fibre cut, pon-1 + pon-2, digger"), "{set}");
    assert!(set.contains("cause set by an operator"), "{set}");
    let back = ["incident", "cause", "1", "--auto", "--reason", "measured"];
    let given_back = records(&world, &back).await;
    assert_eq!(given_back[0]["cause"]["set_by_operator"], false);
    let off = ["incident", "split", "1", "--resource", "pon-2"];
    let split = records(&world, &off).await;
    assert_eq!(split[0]["cause"]["resources"], serde_json::json!(["pon-2"]));
    let into = [
        "incident", "merge", "1", "--into", "2", "--reason", "one cut",
    ];
    assert_eq!(records(&world, &into).await[0]["merged_into"], "INC-2");

    let affected = records(&world, &["incident", "affected", "1"]).await;
    let who: Vec<_> = affected.iter().map(|p| &p["account"]).collect();
    assert_eq!(who, ["A1", "A2", "A3"]);
    let notices = records(&world, &["notice", "list", "--state", "sent"]).await;
    assert_eq!(notices[0]["id"], sent.as_str());
    let shown = prints(&world, &["notice", "show", &sent]).await;
    assert!(
        shown.contains("About INC-1") && shown.contains("Dear A2"),
        "{shown}"
    );
    let answer = prints(&world, &["care", "lookup", "A2"]).await;
    assert!(
        answer.contains("AFFECTED") && answer.contains("Say: "),
        "{answer}"
    );

    let rejected = ["incident", "reject", "1", "--reason", "a test"];
    assert_eq!(records(&world, &rejected).await[0]["state"], "rejected");
    world.stop().await;
}

#[tokio::test]
async fn an_answer_for_care_says_whose_clock_its_times_are_of() {
    let world = World::start(Backend::Sqlite).await;
    let fault = incident(1, IncidentState::Confirmed);
    world.show(&[(fault.clone(), "olt1")]).await;
    let decision = Decision::Send;
    world.notice(&fault, "A2", Stage::First, decision).await;
    let here = prints(&world, &["care", "lookup", "A2"]).await;
    assert!(
        here.contains("Europe/Rome") && !here.contains("times in"),
        "{here}"
    );
    let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_forewarn"));
    elsewhere.args(["care", "lookup", "A2"]).env_clear();
    elsewhere.env("FOREWARN_SERVER", &world.server);
    elsewhere
        .env("FOREWARN_TOKEN", "care")
        .env("TZ", "America/Lima");
    let answer = text(&elsewhere.output().await.unwrap().stdout);
    for label in [
        "time zone  Europe/Rome",
        "Say (times in Europe/Rome): ",
        "Incidents (times in America/Lima)",
        "(times in America/Lima) (first of INC-1",
    ] {
        assert!(answer.contains(label), "{label} in {answer}");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_learned_is_shown_apart_from_what_is_estimated() {
    let world = World::start(Backend::Sqlite).await;
    let minutes: Vec<i64> = (1..=60).map(|n| 31 + n * 7 % 60).collect();
    let like = Like {
        kind: CauseKind::Equipment,
        class: PartClass::Unknown,
        size: Size::Tens,
    };
    world.remember(episodes(like, &minutes));
    let mut down = incident(1, IncidentState::Confirmed);
    down.onset_ms = NOW_MS - 600_000;
    world.show(&[(down, "olt1")]).await;

    let shown = prints(&world, &["incident", "show", "1"]).await;
    let usually = shown.lines().find(|l| l.starts_with(" usually"));
    let usually = usually.unwrap_or_default();
    for expected in [
        "2026-03-10 10:26 to 2026-03-10 11:15",
        "of 40 like faults (equipment) ",
        " ended within such a range",
    ] {
        assert!(usually.contains(expected), "{shown}");
    }
    assert!(!shown.contains("expected"), "{shown}");
    let listed = prints(&world, &["incident", "list"]).await;
    assert!(listed.contains("usually"), "{listed}");
    let answer = prints(&world, &["care", "lookup", "A2"]).await;
    assert!(answer.contains("usually"), "{answer}");

    let record = records(&world, &["incident", "show", "1"]).await.remove(0);
    assert_eq!(record["estimate_to_ms"], Value::Null);
    let learned = &record["learned_estimate"];
    assert_eq!(learned["from_ms"], NOW_MS + 26 * 60_000);
    assert_eq!(learned["tried"], 40);
    let answer = records(&world, &["care", "lookup", "A2"]).await.remove(0);
    assert_eq!(answer["incidents"][0]["learned_estimate"], *learned);

    prints(&world, &["incident", "eta", "1", "--in", "1h..2h"]).await;
    let record = records(&world, &["incident", "show", "1"]).await.remove(0);
    assert_eq!(record["learned_estimate"], Value::Null);
    let shown = prints(&world, &["incident", "show", "1"]).await;
    assert!(shown.contains("expected") && !shown.contains("usually"));
    world.stop().await;
}

#[tokio::test]
async fn what_went_wrong_is_said_with_what_to_do() {
    let world = World::start(Backend::Sqlite).await;
    let nobody = "http://127.0.0.1:1";
    let list: &[&str] = &["incident", "list"];
    for (server, role, args, code, says) in [
        (nobody, "care", list, 1, "Start one with `forewarn serve`"),
        (&world.server, "", list, 1, "forewarn token create"),
        (
            &world.server,
            "care",
            &["incident", "confirm", "1"],
            1,
            "this token is not allowed",
        ),
        (
            &world.server,
            "operator",
            &["incident", "confirm", "7"],
            1,
            "there is no incident INC-7",
        ),
        (
            &world.server,
            "operator",
            &["incident", "confirm", "fibre"],
            2,
            "INC-42",
        ),
        (
            &world.server,
            "operator",
            &["incident", "cause", "1", "power", "--auto"],
            2,
            "cannot be used with",
        ),
        (
            &world.server,
            "operator",
            &["incident", "split", "1"],
            2,
            "--resource",
        ),
        (
            &world.server,
            "operator",
            &["incident", "eta", "1"],
            2,
            "--in",
        ),
        (
            &world.server,
            "operator",
            &["incident", "affected", "1", "--decision", "nonsense"],
            2,
            "held_out",
        ),
        (
            &world.server,
            "operator",
            &["notice", "show", "7"],
            1,
            "the id of a notice, a UUID",
        ),
    ] {
        let output = forewarn(server, role, args).await;
        let errors = text(&output.stderr);
        assert!(errors.contains(says), "{args:?}: {errors}");
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(output.stdout.is_empty());
    }
    world.stop().await;
}

#[tokio::test]
async fn a_list_of_nothing_and_a_server_without_a_scheme_are_refused() {
    for what in ["incident", "notice", "alarm", "area", "work"] {
        let args = [what, "list", "--limit", "0"];
        let output = forewarn("http://127.0.0.1:1", "operator", &args).await;
        let errors = text(&output.stderr);
        let expected = "'--limit <LIMIT>': expected a whole number from 1 on";
        assert!(errors.contains(expected), "{what}: {errors}");
        assert_eq!(output.status.code(), Some(2), "{what}");
    }
    let output = forewarn("127.0.0.1:1", "operator", &["incident", "list"]).await;
    let errors = text(&output.stderr);
    let expected = "http:// or https:// is missing; write http://127.0.0.1:1";
    assert!(errors.contains(expected), "{errors}");
    assert_eq!(output.status.code(), Some(1));
}

/// Python with the packages of `tests/python/requirements.txt`; made once below `target/`.
async fn python() -> PathBuf {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python-venv");
    let requirements = "tests/python/requirements.txt";
    let wanted = std::fs::read_to_string(requirements).unwrap();
    let (python, ready) = (venv.join("bin/python"), venv.join("ready"));
    if std::fs::read_to_string(&ready).is_ok_and(|has| has == wanted) {
        return python;
    }
    let venv = venv.to_str().unwrap();
    run("python3", &["-m", "venv", "--clear", venv]).await;
    let pip = ["-m", "pip", "install", "--quiet", "-r", requirements];
    run(python.to_str().unwrap(), &pip).await;
    std::fs::write(ready, wanted).unwrap();
    python
}

async fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().await;
    let output = output.unwrap_or_else(|error| {
        panic!("this test needs Python 3 with venv, and PyPI: cannot run {program}: {error}")
    });
    assert!(
        output.status.success(),
        "this test needs Python 3 with venv, and PyPI: {program} {args:?} failed:\n{}",
        text(&output.stderr)
    );
}

/// A service with everything, and a token for all of it.
async fn whole_service(dir: &std::path::Path) -> (Running, String) {
    let database = format!("sqlite:{}", dir.join("t.db").display());
    let settings = [
        ("FOREWARN_DATABASE__URL", database),
        ("FOREWARN_RPC__LISTEN", "127.0.0.1:0".to_owned()),
        ("FOREWARN_WEB__LISTEN", "127.0.0.1:0".to_owned()),
        (
            "FOREWARN_EMAIL__DIRECTORY",
            dir.join("mail").display().to_string(),
        ),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    let config = Config::load(None, settings.into_iter()).unwrap();
    let running = App::start(&config, Listeners::default(), Clock::System)
        .await
        .unwrap();
    let (secret, token) = new_token("admin", Role::Admin, Clock::System.now_ms());
    running.store.add_token(&token).await.unwrap();
    (running, secret)
}

#[tokio::test]
async fn each_service_tells_its_own_health() {
    let dir = tempfile::tempdir().unwrap();
    let (running, secret) = whole_service(dir.path()).await;
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", running.rpc_address));
    let mut health = HealthClient::new(channel.unwrap().connect().await.unwrap());
    let mut check = async |service: String| {
        let mut request = tonic::Request::new(HealthCheckRequest { service });
        let bearer = format!("Bearer {secret}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let answer = health.check(request).await;
        answer.map(|answer| answer.into_inner().status())
    };
    let mut services = vec![String::new()];
    for file in std::fs::read_dir("proto/forewarn/v1").unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let declared = text
            .lines()
            .filter_map(|line| line.strip_prefix("service "));
        let names = declared.map(|line| line.trim_end_matches(" {"));
        services.extend(names.map(|name| format!("forewarn.v1.{name}")));
    }
    assert_eq!(services.len(), 1 + 10, "{services:?}");
    for service in services {
        let status = check(service.clone()).await;
        assert_eq!(status.unwrap(), ServingStatus::Serving, "{service}");
    }
    let unknown = check("forewarn.v1.TeaService".to_owned()).await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);
    running.shutdown().cancel();
    assert_eq!(running.wait().await, Stopped::Requested);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_knows_only_reflection_can_call_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (running, secret) = whole_service(dir.path()).await;
    let mut script = Command::new(python().await);
    script.args([
        "tests/python/reflect_all.py",
        &running.rpc_address.to_string(),
        &secret,
    ]);
    let output = script.output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let called = text(&output.stdout);
    let methods: BTreeSet<String> = called
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|call| call["method"].as_str().unwrap().to_owned())
        .collect();
    let services: BTreeSet<&str> = methods.iter().filter_map(|m| m.split('/').next()).collect();
    let all = [
        "AlarmService",
        "AreaService",
        "CareService",
        "ComplaintService",
        "EffectService",
        "IncidentService",
        "InventoryService",
        "NoticeService",
        "TelemetryService",
        "WorkService",
    ];
    assert_eq!(services, BTreeSet::from(all));
    assert_eq!(methods.len(), 36, "{methods:?}");
    running.shutdown().cancel();
    assert_eq!(running.wait().await, Stopped::Requested);
}
