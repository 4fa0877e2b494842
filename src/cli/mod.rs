//! The command line.

pub mod alarm;
pub mod area;
pub mod care;
pub mod client;
pub mod complaint;
pub mod config;
pub mod eta;
pub mod gateways;
pub mod generate;
pub mod import;
pub mod incident;
pub mod notice;
pub mod open;
pub mod report;
pub mod serve;
pub mod simulate;
pub mod source_stream;
pub mod table;
pub mod token;
mod unreachable;
pub mod work;

use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "forewarn",
    version,
    about,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "\
        incident, care, notice, alarm, area, work and report ask a running service: it is found by --server and \
        --token, or by FOREWARN_SERVER and FOREWARN_TOKEN. import, token and config work on this \
        machine by the settings in --config, and need no service."
)]
pub struct Cli {
    /// Settings in TOML, over the built-in ones; variables such as `FOREWARN_RPC__LISTEN` go over both
    #[arg(long, env = "FOREWARN_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

/// What `forewarn` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take alarms, find who is affected, tell them: the whole service, until it is asked to stop
    Serve,
    /// Play a day of faults on a generated network and compare the outcome with the truth
    Demo(crate::demo::DemoArgs),
    /// Look at incidents, and act on them
    Incident(incident::IncidentArgs),
    /// Answer a customer who is on the line
    Care(care::CareArgs),
    /// Look at what was sent, and at what was not sent and why
    Notice(notice::NoticeArgs),
    /// Look at live alarms, and at the systems that send them
    Alarm(alarm::AlarmArgs),
    /// Say that something has happened inside an area: a power cut, a flood, works
    Area(area::AreaArgs),
    /// Say what is taken down on purpose, and when
    Work(work::WorkArgs),
    /// See what telling people was worth
    Report(report::ReportArgs),
    /// Import a network, its subscribers or complaints, all or nothing
    Import(import::ImportArgs),
    /// Write a synthetic access network and its subscribers as import files
    Generate(generate::GenerateArgs),
    /// Play faults on a network: alarms as they would come, and the truth beside them
    Simulate(Box<simulate::SimulateArgs>),
    /// Make, list and revoke access tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Check and show the settings
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Runs the program: 0 when it did what was asked, 1 when it failed, 2 when it was called wrongly.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli) {
        Ok(code) => code,
        // Whoever reads our output has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when this fails, too.
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    // One TLS provider for the whole process, before anything can ask for it.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(cli))
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Incident(args) => incident::run(args).await?,
        Command::Care(args) => care::run(args).await?,
        Command::Notice(args) => notice::run(args).await?,
        Command::Alarm(args) => alarm::run(args).await?,
        Command::Area(args) => area::run(args).await?,
        Command::Work(args) => work::run(args).await?,
        Command::Report(args) => report::run(args).await?,
        Command::Demo(args) => crate::demo::run(&args).await?,
        Command::Serve => serve::run(&Config::load(config, std::env::vars())?).await?,
        Command::Generate(args) => generate::run(&args)?,
        Command::Simulate(args) => simulate::run(&args).await?,
        Command::Config(command) => print(&config::run(command, config)?)?,
        Command::Import(args) => {
            let config = Config::load(config, std::env::vars())?;
            let store = open_store(&config).await?;
            let numbering = config.care.numbering();
            return import::run(args, &store, &numbering, Clock::System.now_ms()).await;
        }
        Command::Token(command) => {
            let store = open_store(&Config::load(config, std::env::vars())?).await?;
            print(&token::run(command, &store, Clock::System.now_ms()).await?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The database that the settings name.
async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let opened = Store::open(&config.database.url).await;
    opened.context("cannot open the database that database.url names")
}

fn print(text: &str) -> std::io::Result<()> {
    std::io::stdout().write_all(text.as_bytes())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
