//! `make bench` and `make bench NAME=impact`: measures, prints a table, writes
//! `target/bench/NAME.json`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::too_many_lines,
    clippy::struct_field_names,
    unreachable_pub,
    reason = "a benchmark reads the clock, prints, and fails by panicking"
)]

mod care;
mod deliver;
mod figure;
mod geography;
mod impact;
mod import;
mod ingest;
mod interval;
mod localise;
mod month;
mod postgres;
mod storm;

use figure::Figure;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A benchmark by name.
type Benchmark = (&'static str, fn() -> Vec<Figure>);

const BENCHMARKS: [Benchmark; 9] = [
    ("impact", impact::run),
    ("import", import::run),
    ("ingest", ingest::run),
    ("care", care::run),
    ("localise", localise::run),
    ("geography", geography::run),
    ("deliver", deliver::run),
    ("month", month::run),
    ("storm", storm::run),
];

fn main() {
    // Cargo itself passes `--bench`.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|w| BENCHMARKS.iter().all(|(n, _)| n != w))
    {
        let names: Vec<_> = BENCHMARKS.iter().map(|(n, _)| *n).collect();
        println!("no benchmark `{unknown}`; there are: {}", names.join(", "));
        std::process::exit(2);
    }
    for (name, run) in BENCHMARKS {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("== {name}");
            figure::report(name, &run());
        }
    }
}
