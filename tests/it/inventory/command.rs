//! Imports of files, and the places that errors name.

use super::{NOW, person, quiet, small_network};
use crate::support::{Backend, store};
use clap::{Args as _, FromArgMatches as _};
use forewarn::cli::import::{self, ImportArgs};
use forewarn::pipeline::importer::{ImportError, import_subscribers};
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
    let run = async |words: &[&str]| import::run(import_args(words), &t.store, NOW).await;
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
    let complaints = "id,at_ms,channel,account\nT-1,1795405569000,call,A-1\n\
                      T-2,1795405570000,chat,A-1\n";
    std::fs::write(dir.path().join("c.csv"), complaints).unwrap();
    for (added, duplicates) in [(2, 0), (0, 2)] {
        let args = ["import", "complaints", "c.csv", "--json"];
        let (code, report, errors) = forewarn(dir.path(), &args).await;
        assert_eq!(code, Some(0), "{errors}");
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let expected = serde_json::json!({"added": added, "duplicates": duplicates, "matched": 0});
        assert_eq!(report, expected);
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
