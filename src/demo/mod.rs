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

use crate::supervisor::{StopSignals, Stopped};
use anyhow::{Context as _, anyhow, bail};
use std::path::{Path, PathBuf};

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
    let mut stop = StopSignals::listen().context("listening for signals")?;
    let folder = Folder::make(args)?;
    let stage = tokio::select! {
        stage = stage::Stage::set(args, folder.path()) => stage?,
        () = stop.received() => bail!("stopped before it began"),
    };
    let played = tokio::select! {
        played = script::play(&stage, args) => played,
        stopped = stage.ended() => Err(ended_early(&stopped)),
        () = stop.received() => Err(anyhow!("stopped before the end")),
    };
    let outcome = match played {
        Ok(()) if !args.once => tokio::select! {
            () = stop.received() => Ok(()),
            stopped = stage.ended() => Err(ended_early(&stopped)),
        },
        played => played,
    };
    stage.strike().await;
    outcome
}

fn ended_early(stopped: &Stopped) -> anyhow::Error {
    anyhow!("the service ended early: {stopped}")
}

/// Where the database and the mails are; removed at the end, unless it was named.
struct Folder {
    path: PathBuf,
    is_kept: bool,
}

impl Folder {
    fn make(args: &DemoArgs) -> anyhow::Result<Self> {
        let path = args.directory.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("forewarn-demo-{}", std::process::id()))
        });
        std::fs::create_dir_all(&path)
            .with_context(|| format!("making the folder {}", path.display()))?;
        anyhow::ensure!(
            !path.join("forewarn.db").exists(),
            "{} holds a database already; name an empty folder",
            path.display()
        );
        Ok(Self {
            path,
            is_kept: args.directory.is_some(),
        })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, folder = %self.path.display(), "could not remove the folder");
        }
    }
}
