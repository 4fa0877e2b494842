//! The command line.

pub mod alarm;
pub mod care;
pub mod client;
pub mod complaint;
pub mod config;
pub mod demo;
pub mod eta;
pub mod generate;
pub mod import;
pub mod incident;
pub mod notice;
pub mod report;
pub mod serve;
pub mod table;
pub mod token;

use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::process::ExitCode;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "forewarn",
    version,
    about,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Client commands find the server and the token in FOREWARN_SERVER and \
                  FOREWARN_TOKEN, or take --server and --token."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What `forewarn` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at incidents, and act on them
    Incident(incident::IncidentArgs),
    /// Answer a customer who is on the line
    Care(care::CareArgs),
    /// Look at what was sent, and at what was not sent and why
    Notice(notice::NoticeArgs),
    /// Look at live alarms, and at the systems that send them
    Alarm(alarm::AlarmArgs),
    /// See what telling people was worth
    Report(report::ReportArgs),
}

/// Runs the program: 0 when it did what was asked, 1 when it failed, 2 when it was called wrongly.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when this fails, too.
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    // One TLS provider for the whole process, before anything can ask for it.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(command))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Incident(args) => incident::run(args).await,
        Command::Care(args) => care::run(args).await,
        Command::Notice(args) => notice::run(args).await,
        Command::Alarm(args) => alarm::run(args).await,
        Command::Report(args) => report::run(args).await,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
