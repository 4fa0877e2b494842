//! `forewarn area`.

use super::service::{CENTRE, World};
use crate::support::Backend;
use serde_json::Value;
use std::process::Output;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The program with these arguments, as an operator.
async fn run(world: &World, args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_forewarn"));
    command
        .args(args)
        .env_clear()
        .env("FOREWARN_SERVER", &world.server)
        .env("FOREWARN_TOKEN", "operator")
        .env("TZ", "Europe/Rome");
    command.output().await.unwrap()
}

async fn prints(world: &World, args: &[&str]) -> (String, String) {
    let output = run(world, args).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
    (out, err)
}

fn flood(identifier: &str, message: &str, references: &str, info: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\
         <alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">\
         <identifier>{identifier}</identifier><sender>pc@example.net</sender>\
         <sent>2026-03-10T09:00:00+01:00</sent><status>Actual</status><msgType>{message}</msgType>\
         <scope>Public</scope>{references}{info}</alert>"
    )
}

#[tokio::test]
async fn an_operator_declares_by_the_command_line() {
    let world = World::start(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    // In Latin 1, as declared.
    let write = |name: &str, text: &str| {
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
        std::fs::write(path(name), bytes).unwrap();
    };
    let info = |south: f64| {
        format!(
            "<info><language>it</language><event>Alluvione</event><headline>Il Tevere è in piena</headline>\
         <expires>2099-01-01T00:00:00+01:00</expires><area><areaDesc>Città</areaDesc>\
         <polygon>{south},12.3 {south},12.7 42.1,12.7 42.1,12.3 {south},12.3</polygon></area></info>"
        )
    };
    write("flood.xml", &flood("f1", "Alert", "", &info(41.7)));
    let references = "<references>pc@example.net,f1,2026-03-10T09:00:00+01:00</references>";
    write(
        "update.xml",
        &flood("f2", "Update", references, &info(41.8)),
    );
    let references = references.replace("f1", "f2");
    write("cancel.xml", &flood("f3", "Cancel", &references, ""));

    let affects = ["--affects", "service_lost_inside"];
    let args = |action: &'static str, file: &str| -> Vec<String> {
        let head = ["area", action].map(str::to_owned);
        head.into_iter()
            .chain([path(file)])
            .chain(affects.map(str::to_owned))
            .collect()
    };
    let on_file = async |action: &'static str, file: &str| {
        let args = args(action, file);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        prints(&world, &args).await
    };
    let (out, err) = on_file("preview", "flood.xml").await;
    assert!(out.contains("subscribers inside"), "{out}");
    assert!(out.contains(&world.inside(CENTRE).to_string()), "{out}");
    assert!(
        err.contains("WARNING: 1 of 2000 subscribers have no position"),
        "{err}"
    );
    let (out, _) = on_file("declare", "flood.xml").await;
    assert!(
        out.contains("AREA-1") && out.contains("Il Tevere è in piena (it)"),
        "{out}"
    );
    assert!(out.contains("Città"), "{out}");
    let (out, _) = on_file("declare", "flood.xml").await;
    assert!(out.contains("declared before; nothing changed"), "{out}");
    let (out, _) = on_file("declare", "update.xml").await;
    assert!(out.contains("took the place"), "{out}");
    let (out, _) = prints(&world, &["area", "list", "--json"]).await;
    let listed: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["revision"]),
        (&"AREA-1".into(), &2.into())
    );
    let (out, _) = prints(&world, &["area", "show", "1", "--document"]).await;
    assert!(out.contains("<identifier>f2</identifier>"), "{out}");
    let (out, _) = on_file("declare", "cancel.xml").await;
    assert!(out.contains("Ended: AREA-1"), "{out}");
    assert_eq!(prints(&world, &["area", "list"]).await.0, "No areas.\n");
}

#[tokio::test]
async fn what_is_odd_or_wrong_is_said_on_standard_error() {
    let world = World::start(Backend::Sqlite).await;
    // A disc in the wrong place.
    let disc = [
        "area",
        "declare",
        "--at",
        "12.5,41.9",
        "--radius-m",
        "60000",
        "--affects",
        "power_lost_inside",
    ];
    let (out, err) = prints(&world, &[&disc[..], &["--json"]].concat()).await;
    let answer: Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(answer["area"]["id"], "AREA-1");
    assert_eq!(answer["preview"]["subscribers"], 0);
    assert!(
        err.contains("WARNING: no subscriber lives inside this area"),
        "{err}"
    );
    assert!(err.contains("latitude and longitude were swapped"), "{err}");
    let (out, _) = prints(&world, &["area", "end", "AREA-1", "--reason", "a slip"]).await;
    assert!(out.contains("ended") && out.contains("a slip"), "{out}");

    for (args, says) in [
        (
            &[
                "area",
                "preview",
                "/nowhere/a.json",
                "--affects",
                "information",
            ][..],
            "cannot read",
        ),
        (&["area", "show", "AREA-9"][..], "there is no area AREA-9"),
    ] {
        let output = run(&world, args).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains(says),
            "{}",
            text(&output.stderr)
        );
    }
    let without = run(&world, &["area", "declare", "--affects", "information"]).await;
    assert_eq!(without.status.code(), Some(2));
}
