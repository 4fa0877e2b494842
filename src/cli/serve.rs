//! `forewarn serve`: the whole service in one process, until it is asked to stop.

use crate::app::{App, Listeners};
use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::observe;
use crate::supervisor::Stopped;
use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Serves until SIGTERM or SIGINT; what is under way then may take `shutdown.grace_s`.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let format = match config.log.format {
        LogFormat::Text => observe::Format::Text,
        LogFormat::Json => observe::Format::Json,
    };
    observe::init(format, &config.log.filter)?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let running = App::start(config, Listeners::default(), Clock::System).await?;
    tracing::info!(rpc = %running.rpc_address, web = %running.web_address, "forewarn serves");
    let shutdown = running.shutdown();
    let ended = running.wait();
    tokio::pin!(ended);
    let stopped = tokio::select! {
        stopped = &mut ended => stopped,
        _ = terminate.recv() => stop(&shutdown, ended).await,
        _ = interrupt.recv() => stop(&shutdown, ended).await,
    };
    match stopped {
        Stopped::Requested => {
            tracing::info!("forewarn has stopped");
            Ok(())
        }
        failed => Err(failed.into()),
    }
}

async fn stop(
    shutdown: &tokio_util::sync::CancellationToken,
    ended: impl Future<Output = Stopped>,
) -> Stopped {
    tracing::info!("asked to stop");
    shutdown.cancel();
    ended.await
}
