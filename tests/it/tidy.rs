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
    assert_eq!(named_modules(&lines[0].1, &[]), ["alarm", "rpc"]);
    assert_eq!(lines[1], (6, "fn f() {}".to_owned()));
}

/// The modules of this crate that a line names, by paths from the root or, with `super`, from the module
/// `own` in which it stands.
fn named_modules(line: &str, own: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for path in paths_in(line) {
        let ups = path.iter().take_while(|part| **part == "super").count();
        let from_root = match path.first() {
            Some(&"crate") => path.get(1),
            // One that stays within its module names no other.
            _ if ups >= own.len() => path.get(ups),
            _ => None,
        };
        names.extend(from_root.map(|name| (*name).to_owned()));
    }
    names
}

/// The paths of a line that begin with `crate` or `super`; of a list each with what stands before it.
fn paths_in(line: &str) -> Vec<Vec<&str>> {
    let mut paths = Vec::new();
    let mut rest = line;
    while let Some(at) = ["crate::", "super::"]
        .iter()
        .filter_map(|start| rest.find(start))
        .min()
    {
        rest = read_path(&rest[at..], &mut Vec::new(), &mut paths);
    }
    paths
}

/// Reads one path or list; answers what follows it.
fn read_path<'a>(
    text: &'a str,
    before: &mut Vec<&'a str>,
    paths: &mut Vec<Vec<&'a str>>,
) -> &'a str {
    let text = text.trim_start();
    let Some(mut rest) = text.strip_prefix('{') else {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let (word, rest) = text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()));
        before.extend(Some(word).filter(|word| !word.is_empty()));
        return if let Some(rest) = rest.strip_prefix("::") {
            read_path(rest, before, paths)
        } else {
            paths.push(before.clone());
            rest
        };
    };
    let depth = before.len();
    while let Some(found) = rest.find(|c: char| c != ',' && !c.is_whitespace()) {
        rest = &rest[found..];
        if let Some(rest) = rest.strip_prefix('}') {
            return rest;
        }
        rest = read_path(rest, before, paths);
        before.truncate(depth);
        // Over what is no path, such as `as name` and `*`.
        rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
    }
    rest
}

/// `src/rpc/alarm/event.rs` is `rpc::alarm::event`, `src/rpc/mod.rs` is `rpc`.
fn path_of(file: &Path) -> Vec<String> {
    let below = file.strip_prefix("src").unwrap().with_extension("");
    let parts = below.iter().map(|part| part.to_str().unwrap().to_owned());
    parts.filter(|part| part != "mod").collect()
}

/// Follows the modules within a file by their indentation, which rustfmt keeps.
#[derive(Default)]
struct InnerModules(Vec<(usize, String)>);

impl InnerModules {
    /// The path of the module in which a line stands; lines in their order.
    fn path(&mut self, file: &[String], line: &str) -> Vec<String> {
        let indent = line.len() - line.trim_start().len();
        if !line.trim().is_empty() {
            self.0.retain(|(outer, _)| indent > *outer);
        }
        let inner = self.0.iter().map(|(_, name)| name.clone());
        let path = file.iter().cloned().chain(inner).collect();
        if let Some(head) = line.trim_end().strip_suffix(" {")
            && let Some((_, name)) = format!(" {head}").split_once(" mod ")
        {
            self.0.push((indent, name.to_owned()));
        }
        path
    }
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
        let file = path_of(&path);
        let mut inner = InnerModules::default();
        for (number, line) in code_lines(&path) {
            let own_path = inner.path(&file, &line);
            for used in named_modules(&line, &own_path) {
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
    #[track_caller]
    fn check(file: &str, line: &str, expected: &[&str]) {
        let named = named_modules(line, &path_of(Path::new(file)));
        assert_eq!(named, expected, "{line}");
    }
    check("src/care.rs", "use crate::store::Store;", &["store"]);
    check("src/care.rs", "use crate::{rpc, web::x};", &["rpc", "web"]);
    check("src/care.rs", "let x = crate::care::answer();", &["care"]);
    let nested = "use crate::{alarm::{AlarmBook, AlarmNo as No, *}, rpc::status};";
    let each = ["alarm", "alarm", "alarm", "rpc"];
    check("src/care.rs", nested, &each);

    check("src/care.rs", "use super::store::Store;", &["store"]);
    let leaving = "use super::super::{store, web::page};";
    check("src/alarm/book.rs", leaving, &["store", "web"]);
    let in_list = "use super::{Severity, super::store::Store};";
    check("src/alarm/book.rs", in_list, &["store"]);
    check(
        "src/rpc/alarm/event.rs",
        "use super::super::auth::Role;",
        &[],
    );
    check("src/rpc/mod.rs", "super::store::open()", &["store"]);
    check("src/rpc/mod.rs", "pub(super) fn f() {}", &[]);
}

#[test]
fn a_module_within_a_file_counts_as_one() {
    let mut inner = InnerModules::default();
    let file = path_of(Path::new("src/alarm/book.rs"));
    let mut named = |line| {
        let own = inner.path(&file, line);
        named_modules(line, &own)
    };
    assert_eq!(named("use super::super::store;"), ["store"]);
    assert_eq!(named("mod tests {"), [""; 0]);
    assert_eq!(named("    use super::super::Severity;"), [""; 0]);
    assert_eq!(named("    use super::super::super::store;"), ["store"]);
    assert_eq!(named("}"), [""; 0]);
    assert_eq!(named("use super::super::store;"), ["store"]);
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
