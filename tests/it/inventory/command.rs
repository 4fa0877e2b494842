//! Imports of files, and the places that errors name.

use super::{NOW, person, quiet, small_network};
use crate::support::{Backend, store};
use clap::{Args as _, FromArgMatches as _};
use forewarn::cli::import::{self, ImportArgs};
use forewarn::pipeline::importer::{ImportError, import_subscribers};
use forewarn::subscriber::Numbering;
use forewarn::topology::{Network, Redundancy};
use std::process::ExitCode;

fn import_args(words: &[&str]) -> ImportArgs {
    let command = ImportArgs::augment_args(clap::Command::new("import").no_binary_name(true));
    ImportArgs::from_arg_matches(&command.get_matches_from(words)).unwrap()
}

#[tokio::test]
async fn the_command_imports_files_and_refuses_wrong_ones() {
    let t = store(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut file = Vec::new();
    forewarn::topology::write_jsonl(&small_network(), &mut file).unwrap();
    std::fs::write(path("network.jsonl"), &file).unwrap();
    let run = async |words: &[&str]| {
        import::run(import_args(words), &t.store, &Numbering::default(), NOW).await
    };
    let done = run(&["topology", &path("network.jsonl"), "--json"]).await;
    assert_eq!(done.unwrap(), ExitCode::SUCCESS);

    let mut people = Vec::new();
    let wrong = [person("a", "ont1"), person("b", "nowhere")];
    forewarn::subscriber::write_csv(&wrong, &mut people).unwrap();
    std::fs::write(path("people.csv"), &people).unwrap();
    let refused = run(&["subscribers", &path("people.csv")]).await;
    assert_eq!(refused.unwrap(), ExitCode::FAILURE);
    assert_eq!(t.store.dataset_versions().await.unwrap().subscribers, 0);
    let Err(ImportError::Invalid(errors)) =
        import_subscribers(&t.store, wrong.to_vec(), NOW, &quiet).await
    else {
        panic!("an unknown element must be refused");
    };
    let texts =
        forewarn::subscriber::locate_errors(people.as_slice(), "people.csv", &errors).unwrap();
    assert_eq!(
        texts,
        ["people.csv:3: served_by: \"nowhere\" is not the id of an element of the current network"]
    );

    forewarn::subscriber::write_csv(&wrong[..1], std::fs::File::create(path("one.csv")).unwrap())
        .unwrap();
    let done = run(&["subscribers", &path("one.csv")]).await;
    assert_eq!(done.unwrap(), ExitCode::SUCCESS);
    assert!(run(&["topology", &path("missing.csv")]).await.is_err());
}

/// The program on a database of its own: its end, and what it says.
async fn forewarn(dir: &std::path::Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_forewarn"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn complaints_are_reported_as_json_like_the_other_imports() {
    let dir = tempfile::tempdir().unwrap();
    let complaints = "id,at_ms,channel,account\nT-1,1760000000000,call,A-1\n\
                      T-2,1795405570000,chat,A-1\n";
    std::fs::write(dir.path().join("c.csv"), complaints).unwrap();
    for (added, duplicates) in [(2, 0), (0, 2)] {
        let args = ["import", "complaints", "c.csv", "--json"];
        let (code, report, errors) = forewarn(dir.path(), &args).await;
        assert_eq!(code, Some(0), "{errors}");
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let expected = serde_json::json!({
            "added": added, "duplicates": duplicates, "matched": 0, "unknown_accounts": 2,
        });
        assert_eq!(report, expected);
    }
    let (_, report, _) = forewarn(dir.path(), &["import", "complaints", "c.csv"]).await;
    assert_eq!(
        report,
        "0 complaints added (0 of them matched to an incident), 2 were known already\n\
         warning: 2 of the file name an account that no subscriber has\n"
    );
}

#[tokio::test]
async fn errors_of_complaints_are_said_like_those_of_the_other_imports() {
    let dir = tempfile::tempdir().unwrap();
    let complaints = "id,at_ms,channel,account\nT-1,1,call,A-1\nT-2,9999999999999,call,A-1\n";
    std::fs::write(dir.path().join("c.csv"), complaints).unwrap();
    let (code, _, errors) = forewarn(dir.path(), &["import", "complaints", "c.csv"]).await;
    let expected = "milliseconds since 1970, from the year 2000 to one day from now";
    let errors: Vec<&str> = errors.lines().collect();
    assert_eq!(code, Some(1));
    assert_eq!(
        errors,
        [
            format!("c.csv:2: at_ms: \"1\" is not {expected}"),
            format!("c.csv:3: at_ms: \"9999999999999\" is not {expected}"),
            "2 errors; nothing was imported".to_owned(),
        ]
    );
}

#[tokio::test]
async fn only_of_a_map_the_gateways_are_told_by_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let network = r#"{"type":"element","id":"r1","kind":"router","gateway":true}"#;
    std::fs::write(dir.path().join("n.jsonl"), network).unwrap();
    for option in ["--gateway-rule=external", "--gateway=r1"] {
        let args = ["import", "topology", "n.jsonl", option];
        let (code, _, errors) = forewarn(dir.path(), &args).await;
        assert_eq!(code, Some(1));
        assert!(
            errors.contains("n.jsonl: only a map (.graphml)"),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn subscribers_wrong_in_themselves_and_served_by_nothing_are_told_together() {
    let dir = tempfile::tempdir().unwrap();
    let network = "{\"type\":\"element\",\"id\":\"r1\",\"kind\":\"router\",\"gateway\":true}\n";
    std::fs::write(dir.path().join("n.jsonl"), network).unwrap();
    let people = "account,language,time_zone,segment,consent,served_by\n\
                  A1,it,Europe/Rome,vip,true,r1\n\
                  A2,it,Europe/Rome,residential,true,r9\n\
                  A1,it,Europe/Rome,residential,true,r1\n\
                  A3,it,Europe/Rome,residential,true,\n";
    std::fs::write(dir.path().join("p.csv"), people).unwrap();
    let (code, _, errors) = forewarn(dir.path(), &["import", "topology", "n.jsonl"]).await;
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) = forewarn(dir.path(), &["import", "subscribers", "p.csv"]).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        errors.lines().collect::<Vec<_>>(),
        [
            "p.csv:2: segment: \"vip\" is not one of residential, business",
            "p.csv:5: served_by: expected 1 to 16 ids of elements",
            "p.csv:4: account: \"A1\" is not unique: line 2 has it too",
            "p.csv:3: served_by: \"r9\" is not the id of an element of the current network",
            "4 errors; nothing was imported",
        ]
    );

    let account = r#"{"account":"A-1","language":"it","time_zone":"Mars/X","segment":"res","consent":"yes","served_by":["nope"]}"#;
    std::fs::write(dir.path().join("p.jsonl"), account).unwrap();
    let (code, _, errors) = forewarn(dir.path(), &["import", "subscribers", "p.jsonl"]).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        errors.lines().collect::<Vec<_>>(),
        [
            "p.jsonl:1: consent: \"yes\" is not true or false",
            "p.jsonl:1: time_zone: \"Mars/X\" is not an IANA time zone such as Europe/Rome",
            "p.jsonl:1: segment: \"res\" is not one of residential, business",
            "p.jsonl:1: served_by: \"nope\" is not the id of an element of the current network",
            "4 errors; nothing was imported",
        ]
    );
}

#[tokio::test]
async fn an_import_of_nothing_is_refused_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    for (what, records) in [("topology", "elements"), ("subscribers", "subscribers")] {
        std::fs::write(dir.path().join("empty.jsonl"), "").unwrap();
        let (code, _, errors) = forewarn(dir.path(), &["import", what, "empty.jsonl"]).await;
        assert_eq!(code, Some(1));
        let reason = format!(
            "empty.jsonl: the import holds no {records}; an empty import would take away everything\n\
             1 error; nothing was imported\n"
        );
        assert_eq!(errors, reason);
    }
}

#[tokio::test]
async fn a_network_without_a_gateway_is_refused_with_file_and_expectation() {
    let dir = tempfile::tempdir().unwrap();
    let network = r#"{"type":"element","id":"r1","kind":"router"}"#;
    std::fs::write(dir.path().join("n.jsonl"), network).unwrap();
    let args = ["import", "topology", "n.jsonl"];
    let (code, _, errors) = forewarn(dir.path(), &args).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        errors,
        "n.jsonl: network: gateway: expected at least one element with gateway true: service must \
         come from somewhere\n1 error; nothing was imported\n"
    );
}

#[test]
fn an_error_that_shows_after_reading_is_said_with_its_line() {
    let mut network = small_network();
    network.elements[0].redundancy = Some(Redundancy::All);
    let errors = Network::build(&network, &[]).unwrap_err();
    let mut file = Vec::new();
    forewarn::topology::write_jsonl(&network, &mut file).unwrap();
    let texts = forewarn::topology::locate_errors(file.as_slice(), "n.jsonl", &errors).unwrap();
    assert!(
        texts[0].starts_with("n.jsonl:2: redundancy: \"all\" is not"),
        "{texts:?}"
    );
}
