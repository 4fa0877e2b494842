//! The guided run: a generated network, a NOC, faults, people who read mail and complain, and at the
//! end a comparison of what the service says with what really happened.
//!
//! Everything between the actors is real: gRPC over a socket, a database file, an SMTP conversation.

mod check;
mod fault;
mod noc;
mod people;
mod script;
pub mod smtp_capture;
mod stage;
mod world;

use std::path::PathBuf;

/// Play a day of faults on a generated network and compare the outcome with the truth
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// Stop at the end instead of leaving the service running
    #[arg(long)]
    pub once: bool,
    /// Print nothing but the figures, as one JSON object
    #[arg(long, requires = "once")]
    pub json: bool,
    /// Size of the generated network
    #[arg(long, default_value_t = 50_000)]
    pub subscribers: u32,
    /// Another seed gives another network and other reactions
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder for the database, the mails and the token; by default a new one, removed at the end
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// Runs the demo; an error when what the service says is not what happened.
pub async fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let stage = stage::Stage::set(args).await?;
    let outcome = tokio::select! {
        outcome = script::play(&stage, args) => outcome,
        stopped = stage.ended() => Err(anyhow::anyhow!("the service ended early: {stopped}")),
    };
    stage.strike().await?;
    outcome
}
