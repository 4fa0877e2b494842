//! The house rules that a compiler does not hold: who may use whom, and where things live.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modules from the base to the shell; a module may use those of its own line and of earlier lines.
const LAYERS: [&[&str]; 21] = [
    &["clock"],
    &["observe", "supervisor", "proto"],
    &["topology"],
    &["geography"],
    &["alarm"],
    &["detect"],
    &["subscriber"],
    &["incident"],
    &["experience"],
    &["notice"],
    &["delivery"],
    &["effect"],
    &["care"],
    &["generate"],
    &["simulate"],
    &["config"],
    &["store", "channel"],
    &["pipeline"],
    &["rpc", "web"],
    &["app"],
    &["cli", "demo"],
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// `src/rpc/auth.rs` is in module `rpc`, `src/care.rs` in `care`.
fn module_of(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap();
    let first = below.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Lines of code of a file, without comments.
fn code_lines(path: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim_start().starts_with("//"));
    let mut code: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (line, number) in lines {
        match code.last_mut() {
            // A `use` over several lines counts as one.
            Some((_, last)) if is_open => last.push_str(line.trim()),
            _ => code.push((number, line.to_owned())),
        }
        let (_, last) = code.last().unwrap();
        let start = last.trim_start();
        let is_use =
            start.starts_with("use ") || start.starts_with("pub") && start.contains(" use ");
        is_open = is_use && !last.contains(';');
    }
    code
}

/// A line with `std::{a, b}` also as `std::a std::b`.
fn with_paths_of_std(line: &str) -> String {
    let Some((_, list)) = line.split_once("std::{") else {
        return line.to_owned();
    };
    let mut paths = line.to_owned();
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                paths.push_str(" std::");
                paths.push_str(list[start..at].trim());
                start = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    paths
}

#[test]
fn what_a_line_uses_is_found_however_it_is_written() {
    let line = "use std::{collections::{BTreeMap, BTreeSet}, fs::File, time::Duration};";
    let paths = with_paths_of_std(line);
    for path in [
        "std::collections::{BTreeMap, BTreeSet}",
        "std::fs::File",
        "std::time::Duration",
    ] {
        assert!(paths.contains(path), "{paths}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rs");
    std::fs::write(
        &path,
        "use crate::{\n    alarm,\n    // no code\n    rpc,\n};\nfn f() {}\n",
    )
    .unwrap();
    let lines = code_lines(&path);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(named_modules(&lines[0].1), ["alarm", "rpc"]);
    assert_eq!(lines[1], (6, "fn f() {}".to_owned()));
}

/// The modules of this crate that a line names, as `crate::name` or `crate::{name, ...}`.
fn named_modules(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let parts: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split(',').collect(),
            None => vec![rest],
        };
        for part in parts {
            let name: String = part
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !name.is_empty() {
                names.push(name);
            }
        }
    }
    names
}

#[test]
fn modules_use_only_what_lies_upstream() {
    let layer: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(depth, names)| names.iter().map(move |name| (*name, depth)))
        .collect();
    let mut wrong = Vec::new();
    for path in sources(Path::new("src")) {
        let module = module_of(&path);
        if module == "lib" || module == "main" {
            continue;
        }
        let own = *layer
            .get(module.as_str())
            .unwrap_or_else(|| panic!("module `{module}` has no layer in this test"));
        for (number, line) in code_lines(&path) {
            for used in named_modules(&line) {
                match layer.get(used.as_str()) {
                    Some(depth) if *depth > own => wrong.push(format!(
                        "{}:{number}: `{module}` uses `{used}`, which lies downstream of it",
                        path.display()
                    )),
                    _ => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_named_is_looked_at() {
    assert_eq!(named_modules("use crate::store::Store;"), ["store"]);
    assert_eq!(named_modules("use crate::{rpc, web::x};"), ["rpc", "web"]);
    assert_eq!(named_modules("let x = crate::care::answer();"), ["care"]);
}

/// `needle` may stand only in files whose path begins with one of `homes`.
#[track_caller]
fn only_in(needle: &str, homes: &[&str]) {
    let wrong: Vec<String> = sources(Path::new("src"))
        .into_iter()
        .filter(|path| !homes.iter().any(|home| path.starts_with(home)))
        .flat_map(|path| {
            code_lines(&path)
                .into_iter()
                .filter(|(_, line)| line.contains(needle))
                .map(|(number, _)| format!("{}:{number}", path.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "`{needle}` belongs in {homes:?} only:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn sql_stays_in_the_store() {
    only_in("sqlx::", &["src/store"]);
}

#[test]
fn protobuf_stays_at_the_edge() {
    // The command line and the demo are clients of the interface.
    only_in(
        "proto::",
        &["src/rpc", "src/cli", "src/demo", "src/proto.rs"],
    );
    only_in("prost::", &["src/rpc", "src/cli", "src/proto.rs"]);
}

#[test]
fn smtp_stays_in_its_channel() {
    only_in("lettre::transport", &["src/channel"]);
    only_in("lettre::message", &["src/channel"]);
    // Others may ask it what an address is.
    only_in("lettre::", &["src/channel", "src/config", "src/subscriber"]);
}

#[test]
fn files_have_names_that_say_what_they_hold() {
    let empty_names = ["util", "common", "helper", "misc", "manager"];
    let wrong: Vec<_> = sources(Path::new("src"))
        .into_iter()
        .chain(sources(Path::new("tests")))
        .filter(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            empty_names.iter().any(|empty| name.starts_with(empty))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_core_reads_no_clock_and_does_no_io() {
    for core in [
        "topology",
        "geography",
        "alarm",
        "detect",
        "incident",
        "experience",
        "notice",
        "effect",
        "simulate",
    ] {
        for path in sources(&Path::new("src").join(core)) {
            for (number, line) in code_lines(&path) {
                let line = with_paths_of_std(&line);
                for forbidden in [
                    "tokio::",
                    "std::net",
                    "std::fs",
                    "std::env",
                    "std::process",
                    "SystemTime",
                    "Instant",
                    "Timestamp::now",
                    "Zoned::now",
                    "rand::random",
                    "rand::rng",
                    "async fn",
                ] {
                    assert!(
                        !line.contains(forbidden),
                        "{}:{number}: `{forbidden}` in the pure core",
                        path.display()
                    );
                }
            }
        }
    }
}
