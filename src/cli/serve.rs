//! `forewarn serve`: the whole service in one process, until it is asked to stop.

use crate::app::{App, Listeners};
use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::observe;
use crate::supervisor::{StopSignals, Stopped};
use anyhow::Context as _;

/// Serves until SIGTERM or SIGINT; what is under way then may take `shutdown.grace_s`.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let format = match config.log.format {
        LogFormat::Text => observe::Format::Text,
        LogFormat::Json => observe::Format::Json,
    };
    observe::init(format, &config.log.filter)?;
    let mut signals = StopSignals::listen().context("listening for signals")?;
    let running = App::start(config, Listeners::default(), Clock::System).await?;
    tracing::info!(rpc = %running.rpc_address, web = %running.web_address, "forewarn serves");
    let shutdown = running.shutdown();
    let ended = running.wait();
    tokio::pin!(ended);
    let stopped = tokio::select! {
        stopped = &mut ended => stopped,
        () = signals.received() => stop(&shutdown, ended).await,
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
