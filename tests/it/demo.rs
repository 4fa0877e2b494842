//! The guided run, as a user starts it.

use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn what_the_service_says_is_what_happened() {
    let output = Command::new(env!("CARGO_BIN_EXE_forewarn"))
        .args([
            "demo",
            "--once",
            "--json",
            "--subscribers",
            "6000",
            "--seed",
            "3",
        ])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["mismatches"], 0);
    let faults = figures["faults"].as_array().unwrap();
    let of = |name: &str| faults.iter().find(|f| f["fault"] == name).unwrap();
    assert_eq!(faults.len(), 5);
    for name in ["feeder", "olt", "ring"] {
        let fault = of(name);
        assert_eq!(fault["affected_peak"], fault["without_service"]);
        assert_eq!(fault["restored"], fault["told"]);
        assert_eq!(fault["state"], "restored");
    }
    assert_eq!(of("phantom")["state"], "rejected");
    assert_eq!(of("phantom")["retracted"], of("phantom")["told"]);
    assert_eq!(of("flapping")["told"], 0);
}

#[tokio::test]
async fn a_network_without_room_for_the_faults_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_forewarn"))
        .args(["demo", "--once", "--json", "--subscribers", "50"])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ask for more subscribers"), "{said}");
}

#[tokio::test]
async fn a_demo_that_is_stopped_leaves_no_folder_behind() {
    let folders = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_forewarn"))
        .args(["demo", "--subscribers", "6000"])
        .env("TMPDIR", folders.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("has streamed alarms") {
            break;
        }
    }
    assert_eq!(std::fs::read_dir(folders.path()).unwrap().count(), 1);
    let id = demo.id().unwrap().to_string();
    let asked = Command::new("kill").args(["-TERM", &id]).status().await;
    assert!(asked.unwrap().success());
    let output = demo.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped before the end"), "{said}");
    assert_eq!(std::fs::read_dir(folders.path()).unwrap().count(), 0);
}
