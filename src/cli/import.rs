//! `forewarn import`: a network or its subscribers from a file into the configured database.

use super::complaint::{self, ImportComplaintsArgs};
use super::gateways::GatewayArgs;
use crate::clock::Millis;
use crate::pipeline::importer::{
    ImportError, ImportReport, Phase, check_refused, import_subscribers, import_topology,
};
use crate::store::Store;
use crate::subscriber::Numbering;
use crate::topology::{NetworkError, ReadError};
use crate::{subscriber, topology};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Import a network, its subscribers or complaints, all or nothing
#[derive(Clone, Debug, clap::Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    what: ImportWhat,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum ImportWhat {
    /// Replace the network by what a file says (.jsonl, .ndjson, .csv, .graphml)
    Topology(TopologyArgs),
    /// Replace the subscribers by what a file says (.jsonl, .ndjson, .csv)
    Subscribers(SubscribersArgs),
    /// Add complaints, matched to the incidents that cover them (.csv)
    Complaints(ImportComplaintsArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct TopologyArgs {
    /// The file; its name tells the format
    file: PathBuf,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct SubscribersArgs {
    /// The file; its name tells the format
    file: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Why nothing was imported, with one text for each reason.
pub(super) enum Failure {
    /// Reasons that name places in the file, and how many more there are.
    Refused {
        reasons: Vec<String>,
        further: u64,
    },
    Other(anyhow::Error),
}

/// Runs the command on the database; `numbering` is for the phone numbers of complaints. A service that runs on it notices the new version by itself.
pub async fn run(
    args: ImportArgs,
    store: &Store,
    numbering: &Numbering,
    now_ms: Millis,
) -> anyhow::Result<ExitCode> {
    let bar = progress_bar();
    let (outcome, what, json) = match args.what {
        ImportWhat::Topology(args) => {
            let json = args.json;
            (
                run_topology(args, store, now_ms, &bar).await,
                "network",
                json,
            )
        }
        ImportWhat::Subscribers(args) => {
            let json = args.json;
            let outcome = run_subscribers(args, store, now_ms, &bar).await;
            (outcome, "subscribers", json)
        }
        ImportWhat::Complaints(args) => {
            bar.finish_and_clear();
            return match complaint::import(&args.file, store, numbering, now_ms).await {
                Ok(taken) => {
                    let report = if args.json {
                        serde_json::to_string(&taken)?
                    } else {
                        complaint::summary(taken)
                    };
                    writeln!(std::io::stdout(), "{report}")?;
                    Ok(ExitCode::SUCCESS)
                }
                Err(failure) => fail(failure),
            };
        }
    };
    bar.finish_and_clear();
    match outcome {
        Ok(report) => {
            show(&report, what, json)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => fail(failure),
    }
}

fn fail(failure: Failure) -> anyhow::Result<ExitCode> {
    match failure {
        Failure::Refused { reasons, further } => {
            complain(&reasons, further)?;
            Ok(ExitCode::FAILURE)
        }
        Failure::Other(error) => Err(error),
    }
}

async fn run_topology(
    args: TopologyArgs,
    store: &Store,
    now_ms: Millis,
    bar: &ProgressBar,
) -> Result<ImportReport, Failure> {
    let rule = args.gateways.rule();
    let path = args.file.clone();
    let definition = read(bar, &args.file, move |reader, name| {
        topology::read_topology(reader, name, rule.as_ref())
    })
    .await?;
    import_topology(store, definition, now_ms, &shown_on(bar))
        .await
        .map_err(|error| {
            failure(error, &path, |errors| {
                let (reader, name) = open(&path, &ProgressBar::hidden())?;
                Ok(topology::locate_errors(reader, &name, errors)?)
            })
        })
}

async fn run_subscribers(
    args: SubscribersArgs,
    store: &Store,
    now_ms: Millis,
    bar: &ProgressBar,
) -> Result<ImportReport, Failure> {
    let parser = read(bar, &args.file, subscriber::parse_subscribers).await?;
    let parser = check_refused(store, parser).await;
    let parser = parser.map_err(|error| Failure::Other(error.into()))?;
    let subscribers = parser.finish().map_err(|errors| refused(errors.into()))?;
    import_subscribers(store, subscribers, now_ms, &shown_on(bar))
        .await
        .map_err(|error| {
            failure(error, &args.file, |errors| {
                let (reader, name) = open(&args.file, &ProgressBar::hidden())?;
                Ok(subscriber::locate_errors(reader, &name, errors)?)
            })
        })
}

type Reader = BufReader<indicatif::ProgressBarIter<File>>;

/// Reads a file on a thread where it keeps nothing waiting.
async fn read<T: Send + 'static>(
    bar: &ProgressBar,
    path: &Path,
    parse: impl FnOnce(Reader, &str) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Failure> {
    bar.set_message("reading");
    let (reader, name) = open(path, bar).map_err(Failure::Other)?;
    let parsed = tokio::task::spawn_blocking(move || parse(reader, &name)).await;
    match parsed
        .context("reading was stopped")
        .map_err(Failure::Other)?
    {
        Ok(records) => Ok(records),
        Err(error) => Err(refused(error)),
    }
}

/// Why a file was not taken in.
pub(super) fn refused(error: ReadError) -> Failure {
    match error {
        ReadError::Records(errors) => Failure::Refused {
            reasons: errors.errors().iter().map(ToString::to_string).collect(),
            further: errors.further(),
        },
        error => Failure::Other(error.into()),
    }
}

fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<(Reader, String)> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    bar.set_length(file.metadata().map_or(0, |about| about.len()));
    Ok((BufReader::with_capacity(1 << 20, bar.wrap_read(file)), name))
}

fn failure(
    error: ImportError,
    file: &Path,
    locate: impl FnOnce(&[NetworkError]) -> anyhow::Result<Vec<String>>,
) -> Failure {
    let errors = match error {
        ImportError::Invalid(errors) => errors,
        ImportError::Empty(_) => {
            return Failure::Refused {
                reasons: vec![format!("{}: {error}", file.display())],
                further: 0,
            };
        }
        error => return Failure::Other(error.into()),
    };
    match locate(&errors) {
        Ok(reasons) => Failure::Refused {
            reasons,
            further: 0,
        },
        Err(error) => Failure::Other(error),
    }
}

/// A bar on standard error, which stays away where that is no terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:10} {wide_bar} {percent:>3} %  {elapsed}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn shown_on(bar: &ProgressBar) -> impl Fn(Phase, u64, u64) + Send + Sync {
    |phase, done, total| {
        bar.set_message(phase.as_str());
        bar.set_length(total);
        bar.set_position(done);
    }
}

fn show(report: &ImportReport, what: &str, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    let ImportReport {
        version,
        records,
        difference,
        ..
    } = report;
    if report.changed {
        writeln!(
            out,
            "{what}: version {version} is current: {records} records, {} added, {} removed, {} \
             modified, {} moved",
            difference.added, difference.removed, difference.modified, difference.moved
        )?;
    } else {
        writeln!(
            out,
            "{what}: nothing changed, version {version} stays current: {records} records"
        )?;
    }
    for warning in &report.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

fn complain(reasons: &[String], further: u64) -> anyhow::Result<()> {
    let mut out = std::io::stderr().lock();
    for reason in reasons {
        writeln!(out, "{reason}")?;
    }
    let total = reasons.len() as u64 + further;
    let shown = match further {
        0 => String::new(),
        _ => format!(", the first {} are shown", reasons.len()),
    };
    let errors = if total == 1 { "error" } else { "errors" };
    writeln!(out, "{total} {errors}{shown}; nothing was imported")?;
    Ok(())
}
