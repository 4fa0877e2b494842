//! The only wiring: settings in, a running service out.

use crate::clock::Clock;
use crate::config::Config;
use crate::effect::holdout::Experiment;
use crate::incident::CorrelatorSettings;
use crate::notice::plan::NoticePolicy;
use crate::pipeline::alarm_log::AlarmLog;
use crate::pipeline::correlator::{CorrelatorPorts, CorrelatorWorker, nothing_live};
use crate::pipeline::housekeeper::Housekeeper;
use crate::pipeline::intake::{Intake, IntakeLimits};
use crate::pipeline::live::LiveReceiver;
use crate::pipeline::meter::SampleLog;
use crate::pipeline::planner::Planner;
use crate::rpc::server::{self, Services, TlsFiles};
use crate::rpc::{alarm, auth, complaint, effect, incident, ingest, inventory, telemetry};
use crate::store::Store;
use crate::supervisor::{Stopped, Supervisor};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Commands and questions that may wait for the correlator.
const PORT_CAPACITY: usize = 256;
/// Secret of the store that keys the holdout's hash.
const HOLDOUT_SECRET: &str = "holdout";

/// Sockets to listen on; `None` binds the one that the settings name.
#[derive(Debug, Default)]
pub struct Listeners {
    pub rpc: Option<TcpListener>,
    pub web: Option<TcpListener>,
}

/// The application.
#[derive(Clone, Copy, Debug)]
pub struct App;

/// A running service.
#[derive(Debug)]
pub struct Running {
    pub rpc_address: SocketAddr,
    pub web_address: SocketAddr,
    pub store: Store,
    pub live: LiveReceiver,
    supervisor: Supervisor,
    grace: Duration,
}
