//! `forewarn simulate`: its files, and alarms and measured values into a running service.

use forewarn::app::{App, Listeners};
use forewarn::clock::Clock;
use forewarn::config::Config;
use forewarn::effect::complaint::read_csv;
use forewarn::rpc::auth::{Role, new_token};
use forewarn::subscriber::{Numbering, read_subscribers};
use forewarn::supervisor::Stopped;
use forewarn::topology::read_topology;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use tokio::process::Command;

async fn forewarn(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
    command.args(args).env_clear().kill_on_drop(true);
    command.output().await.unwrap()
}

async fn prints(args: &[&str]) -> String {
    let output = forewarn(args).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

async fn fails(args: &[&str]) -> String {
    let output = forewarn(args).await;
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn json_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The files that can be imported, and what was put into a wrong place.
fn check_network(folder: &Path) {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let network = read_topology(&read("topology.jsonl")[..], "t.jsonl", None).unwrap();
    let people = read_subscribers(&read("subscribers.jsonl")[..], "s.jsonl").unwrap();
    assert_eq!(people.len(), 3_000);
    let complaints = read_csv(
        &read("complaints.csv")[..],
        "complaints.csv",
        i64::MAX,
        &Numbering::default(),
    )
    .unwrap();
    assert!(!complaints.is_empty());
    let truth: Value = serde_json::from_slice(&read("truth.json")).unwrap();
    let ids: std::collections::BTreeSet<&str> =
        network.elements.iter().map(|e| e.id.as_str()).collect();
    let wrong = truth["misplaced"].as_array().unwrap();
    assert!((30..=95).contains(&wrong.len()), "{}", wrong.len());
    assert!(
        wrong
            .iter()
            .all(|m| ids.contains(m["believed_on"].as_str().unwrap()))
    );
}

/// Sequence numbers rise by one within each source.
fn check_alarms(folder: &Path) {
    let alarms = json_lines(&folder.join("alarms.jsonl"));
    let mut sequences: BTreeMap<String, u64> = BTreeMap::new();
    for alarm in &alarms {
        let last = sequences
            .entry(alarm["source"].as_str().unwrap().to_owned())
            .or_default();
        *last += 1;
        assert_eq!(alarm["sequence"], *last);
    }
    assert!(sequences.len() >= 3, "{sequences:?}");
}

#[tokio::test]
async fn its_files_are_the_same_every_time_and_can_be_imported() {
    let dir = tempfile::tempdir().unwrap();
    let folders = ["one", "two"].map(|name| dir.path().join(name));
    for folder in &folders {
        let out = folder.to_str().unwrap();
        let said = prints(&[
            "simulate",
            "--generate",
            "3000",
            "--seed",
            "5",
            "--scenario",
            "busy-day",
            "--out",
            out,
        ])
        .await;
        assert!(
            said.contains("feeder_cut") && said.contains("lose service"),
            "{said}"
        );
    }
    let names = [
        "topology.jsonl",
        "subscribers.jsonl",
        "alarms.jsonl",
        "telemetry.jsonl",
        "truth.json",
        "complaints.csv",
    ];
    for name in names {
        let [one, two] = folders
            .each_ref()
            .map(|folder| std::fs::read(folder.join(name)).unwrap());
        assert!(one == two && !one.is_empty(), "{name}");
    }
    check_network(&folders[0]);
    check_alarms(&folders[0]);
    // What it wrote it can read again.
    let folder = folders[0].to_str().unwrap();
    let again = dir.path().join("again");
    let said = prints(&[
        "simulate",
        "--network",
        folder,
        "--faults",
        "2",
        "--kinds",
        "olt-death",
        "--out",
        again.to_str().unwrap(),
    ])
    .await;
    assert_eq!(said.matches("olt_death").count(), 2, "{said}");
}

#[tokio::test]
async fn it_says_what_is_wrong() {
    let unknown = fails(&[
        "simulate",
        "--generate",
        "500",
        "--scenario",
        "x",
        "--out",
        "/nowhere",
    ]);
    assert!(unknown.await.contains("expected one of feeder, olt, ring"));
    let kinds = [
        "simulate",
        "--generate",
        "500",
        "--faults",
        "1",
        "--kinds",
        "y",
        "--send",
    ];
    assert!(
        fails(&kinds)
            .await
            .contains("--kinds y: expected one of feeder_cut")
    );
    let nothing = fails(&["simulate", "--generate", "500", "--scenario", "olt"]).await;
    assert!(
        nothing.contains("--out") && nothing.contains("--send"),
        "{nothing}"
    );
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("s.toml");
    std::fs::write(&settings, "[impairments]\nlate = 7").unwrap();
    let out = dir.path().join("out");
    let wrong = [
        "simulate",
        "--generate",
        "500",
        "--scenario",
        "olt",
        "--settings",
        settings.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let share = fails(&wrong);
    assert!(
        share
            .await
            .contains("impairments.late = 7: expected a share from 0 to 1")
    );
    assert!(
        prints(&["simulate", "--scenario", "list"])
            .await
            .contains("busy-day")
    );
    let nowhere = fails(&["simulate", "--scenario", "busy-day", "--out", "x"]).await;
    assert!(nowhere.contains("--network, or have one made"), "{nowhere}");
}

/// What it says of these settings; it must not play.
async fn refusal(settings: &str, more: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.toml");
    std::fs::write(&path, settings).unwrap();
    let out = dir.path().join("out");
    let (path, out) = (path.to_str().unwrap(), out.to_str().unwrap());
    let args = [
        "simulate",
        "--scenario",
        "olt",
        "--settings",
        path,
        "--out",
        out,
    ];
    let network: &[&str] = if more.contains(&"--generate") {
        &[]
    } else {
        &["--generate", "500"]
    };
    let args = [&args[..], network, more].concat();
    let run = tokio::time::timeout(std::time::Duration::from_mins(1), fails(&args));
    run.await.expect("it hangs")
}

#[tokio::test]
async fn rates_that_are_no_numbers_do_not_hang() {
    for key in ["spurious_per_hour", "poller_outages_per_day"] {
        for value in ["nan", "inf", "-1.0", "1e300"] {
            let said = refusal(&format!("[impairments]\n{key} = {value}"), &[]).await;
            assert!(said.contains(&format!("impairments.{key} = ")), "{said}");
        }
    }
}

#[tokio::test]
async fn all_that_is_wrong_with_settings_is_said_at_once() {
    let settings = "
        [reporting]
        gasp_heard = nan
        out_of_band = -0.1
        latency_ms = [9223372036854775807, 9223372036854775807]
        los_ms = [3000, 50]
        back_ms = [-5, 5]
        burst_gap_ms = -20
        poll_every_ms = 0
        missed_polls = 9223372036854775807
        poll_timeout_ms = 9223372036854775807
        session_timeout_ms = -1
        [impairments]
        missed = 1.5
        late_ms = [600000, 5000]
        clock_skew_ms = inf
        dark_home_stay_ms = 1
        [customers]
        notice_ms = -1
        untold_per_minute = nan
        business_factor = -2.0
        patience_ms = 9223372036854775807
    ";
    let said = refusal(settings, &["--send", "--speed", "nan"]).await;
    for expected in [
        "reporting.gasp_heard = NaN: expected a share from 0 to 1",
        "reporting.out_of_band = -0.1: expected a share from 0 to 1",
        "reporting.latency_ms = [9223372036854775807, 9223372036854775807]: expected",
        "reporting.los_ms = [3000, 50]: expected the least and the most, in this order",
        "reporting.back_ms = [-5, 5]: expected",
        "reporting.burst_gap_ms = -20: expected",
        "reporting.poll_every_ms = 0: expected milliseconds from 1 to",
        "reporting.missed_polls = 9223372036854775807: expected a whole number from 1 to 1000",
        "reporting.poll_timeout_ms = 9223372036854775807: expected",
        "reporting.session_timeout_ms = -1: expected",
        "impairments.missed = 1.5: expected a share from 0 to 1",
        "impairments.late_ms = [600000, 5000]: expected the least and the most, in this order",
        "impairments.clock_skew_ms = inf: expected",
        "impairments.dark_home_stay_ms = 1: expected",
        "customers.notice_ms = -1: expected",
        "customers.untold_per_minute = NaN: expected",
        "customers.business_factor = -2: expected",
        "customers.patience_ms = 9223372036854775807: expected",
        "--speed = NaN: expected",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(said.matches(": expected").count(), 19, "{said}");
    for speed in ["0", "-2", "inf", "1e-300", "1e300"] {
        let speed = format!("--speed={speed}");
        let said = refusal("", &["--send", &speed]).await;
        assert!(said.contains("--speed = "), "{speed}: {said}");
    }
}

#[tokio::test]
async fn nobody_no_working_clock_and_more_dark_homes_than_homes_are_refused() {
    let said = refusal("", &["--generate", "0"]).await;
    assert!(said.contains("0 is not in 1..=20000000"), "{said}");
    for start in ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z"] {
        let said = refusal("", &["--start", start]).await;
        let expected = "expected a time from 2000-01-01T00:00:00Z on";
        assert!(said.contains(expected), "{said}");
    }
    let said = refusal("[impairments]\ndark_homes = 501", &[]).await;
    let expected = "impairments.dark_homes = 501: expected a whole number from 0 to 500";
    assert!(said.contains(expected), "{said}");
    let said = refusal("[impairments]\ndark_homes = -4\nlate = 7.0", &[]).await;
    assert!(said.contains("dark_homes = -4"), "{said}");
}

#[tokio::test]
async fn settings_that_would_never_end_are_refused() {
    let many = "[impairments]\nspurious_per_hour = 100000.0";
    let said = refusal(many, &["--generate", "20000", "--minutes", "100000"]).await;
    assert!(
        said.contains("impairments.spurious_per_hour = 100000: expected")
            && said.contains("on this network"),
        "{said}"
    );
}

/// A map, with people at its nodes.
fn write_map(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let map = "fixtures/topology-zoo/Abilene.graphml";
    std::fs::copy(map, folder.join("topology.graphml")).unwrap();
    let cities = [
        "New York", "Chicago", "Seattle", "Denver", "Houston", "Atlanta",
    ];
    let people: Vec<String> = (0..600)
        .map(|no| {
            let city = cities[no % cities.len()];
            json!({
                "account": format!("A{no}"), "language": "en", "time_zone": "UTC",
                "segment": "residential", "consent": true, "served_by": [city],
            })
            .to_string()
        })
        .collect();
    std::fs::write(folder.join("subscribers.jsonl"), people.join("\n")).unwrap();
}

#[tokio::test]
async fn it_plays_a_map() {
    let dir = tempfile::tempdir().unwrap();
    let network = dir.path().join("abilene");
    write_map(&network);
    let out = dir.path().join("out");
    let (folder, out) = (network.to_str().unwrap(), out.to_str().unwrap());
    let play = [
        "simulate",
        "--network",
        folder,
        "--faults",
        "2",
        "--kinds",
        "aggregation_node",
        "--out",
        out,
    ];
    // A map does not say where service comes from.
    let said = fails(&play).await;
    assert!(
        said.contains("topology.graphml") && said.contains("gateways"),
        "{said}"
    );
    for gateway in [
        ["--gateway", "New York"],
        ["--gateway-rule", "most-connected=1"],
    ] {
        let said = prints(&[&play[..], &gateway[..]].concat()).await;
        assert!(said.contains("aggregation_node"), "{said}");
        assert!(said.contains("on 600 subscribers"), "{said}");
        let written = std::fs::read(Path::new(out).join("topology.jsonl")).unwrap();
        let written = read_topology(&written[..], "t.jsonl", None).unwrap();
        assert_eq!((written.elements.len(), written.links.len()), (11, 14));
        assert_eq!(written.elements.iter().filter(|e| e.gateway).count(), 1);
        let alarms = std::fs::read_to_string(Path::new(out).join("alarms.jsonl")).unwrap();
        assert!(alarms.contains("device-down"), "{alarms}");
    }
    // As at the import, gateways are for maps only.
    let other = ["--network", out, "--gateway", "New York"];
    let said =
        fails(&[&["simulate", "--scenario", "olt", "--out", out], &other[..]].concat()).await;
    assert!(said.contains("only a map (.graphml)"), "{said}");
    let none = [
        "simulate",
        "--generate",
        "500",
        "--gateway",
        "x",
        "--scenario",
        "olt",
        "--out",
        out,
    ];
    let said = fails(&none).await;
    assert!(said.contains("--network"), "{said}");
    let nothing = dir.path().join("nothing");
    std::fs::create_dir_all(&nothing).unwrap();
    let empty = [
        "simulate",
        "--network",
        nothing.to_str().unwrap(),
        "--scenario",
        "olt",
        "--out",
        out,
    ];
    let said = fails(&empty).await;
    assert!(
        said.contains("expected topology as .jsonl, .ndjson, .csv, .graphml"),
        "{said}"
    );
}

/// How far the service has come with each source of alarms.
async fn committed_by_source(server: &str, secret: &str) -> BTreeMap<String, u64> {
    let sources = [
        "alarm", "sources", "--json", "--server", server, "--token", secret,
    ];
    let listed = prints(&sources).await;
    listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|source| {
            let name = source["name"]
                .as_str()
                .or(source["source"].as_str())
                .unwrap();
            let through = source["last_committed_sequence"].as_u64().unwrap();
            (name.to_owned(), through)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_streams_into_a_running_service_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let mail = dir.path().join("mail").display().to_string();
    let settings = [
        (
            "FOREWARN_DATABASE__URL",
            format!("sqlite:{}", dir.path().join("t.db").display()),
        ),
        ("FOREWARN_RPC__LISTEN", "127.0.0.1:0".to_owned()),
        ("FOREWARN_WEB__LISTEN", "127.0.0.1:0".to_owned()),
        ("FOREWARN_EMAIL__DIRECTORY", mail),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    let config = Config::load(None, settings.into_iter()).unwrap();
    let running = App::start(&config, Listeners::default(), Clock::System)
        .await
        .unwrap();
    let (secret, token) = new_token("console", Role::Admin, Clock::System.now_ms());
    running.store.add_token(&token).await.unwrap();
    let server = format!("http://{}", running.rpc_address);
    let folder = dir.path().join("out");
    let send = [
        "simulate",
        "--generate",
        "2000",
        "--scenario",
        "feeder",
        "--minutes",
        "60",
        "--send",
        "--speed",
        "36000",
        "--server",
        &server,
        "--token",
        &secret,
        "--out",
        folder.to_str().unwrap(),
    ];
    for _ in 0..2 {
        let said = prints(&send).await;
        assert!(said.contains("all of them are durable"), "{said}");
    }
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for alarm in json_lines(&folder.join("alarms.jsonl")) {
        *expected
            .entry(alarm["source"].as_str().unwrap().to_owned())
            .or_default() += 2;
    }
    // And what the BNG has measured, under its time of sending.
    let written = json_lines(&folder.join("telemetry.jsonl"));
    assert!(written.len() > 2);
    expected.insert("bng".to_owned(), 2 * u64::try_from(written.len()).unwrap());
    assert_eq!(committed_by_source(&server, &secret).await, expected);
    let stored = running.store.samples_after(0, 10_000).await.unwrap();
    assert_eq!(stored.len(), 2 * written.len());
    let now_ms = Clock::System.now_ms();
    for (stored, sample) in stored.iter().zip(written.iter().chain(&written)) {
        let sample = &sample["sample"];
        assert_eq!(sample["resource"], *stored.resource);
        assert_eq!(sample["metric"], *stored.metric);
        assert_eq!(sample["value"], stored.value);
        assert!((now_ms - 600_000..=now_ms).contains(&stored.sampled_at_ms));
    }
    running.shutdown().cancel();
    assert_eq!(running.wait().await, Stopped::Requested);
}
