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
