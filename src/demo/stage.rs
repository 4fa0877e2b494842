//! Sets the stage: network, database, mail server, service and client.

use super::DemoArgs;
use super::smtp_capture::{Capture, CaptureOptions};
use super::world::World;
use crate::app::{App, HOLDOUT_SECRET, Listeners};
use crate::cli::client::{BearerToken, Connection};
use crate::clock::Clock;
use crate::config::Config;
use crate::generate::{GenerateSettings, Generated, Ring, generate};
use crate::pipeline::importer::{import_subscribers, import_topology};
use crate::rpc::auth::{Role, new_token};
use crate::store::Store;
use crate::subscriber::QuietHours;
use crate::supervisor::Stopped;
use anyhow::Context as _;
use rand::SeedableRng as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

/// Hold-down of the demo: short, so that nobody has to wait a minute.
const HOLD_DOWN_S: &str = "3";
const LONE_ALARM_S: &str = "9";
const RESTORE_QUIET_S: &str = "2";
/// Share of the affected who are not told.
const HOLDOUT_PERCENT: &str = "15";
/// One person in so many sleeps while the demo runs.
const SLEEPS_ONE_IN: usize = 25;

/// Everything that the script works with.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) rings: Vec<Ring>,
    pub(super) mails: Capture,
    pub(super) connection: Connection,
    pub(super) server: String,
    pub(super) token: String,
    pub(super) clock: Clock,
    quiet: bool,
    service: Mutex<JoinSet<Stopped>>,
    stop_service: CancellationToken,
    mail_server: JoinSet<()>,
    stop_mails: CancellationToken,
}

impl Stage {
    pub(super) async fn set(args: &DemoArgs, directory: &Path) -> anyhow::Result<Self> {
        let clock = Clock::System;
        let quiet = args.json;
        let begin = clock.now_ms();
        let (world, rings) = people_and_network(args, begin)?;
        say(
            quiet,
            &format!(
                "Generated {} subscribers behind {} elements and {} links ({:.1} s)",
                world.subscribers.len(),
                world.definition.elements.len(),
                world.definition.links.len(),
                since(&clock, begin),
            ),
        );
        let shutdown = CancellationToken::new();
        let smtp = TcpListener::bind("127.0.0.1:0").await?;
        let web = TcpListener::bind("127.0.0.1:0").await?;
        let config = config(directory, smtp.local_addr()?, web.local_addr()?)?;
        let (mails, mail_server) = Capture::new(smtp, CaptureOptions::default(), shutdown.clone());
        let mut mail_server_task = JoinSet::new();
        mail_server_task.spawn(mail_server);
        let begin = clock.now_ms();
        let token = fill_store(&config, &world, &clock, args.seed).await?;
        say(
            quiet,
            &format!(
                "Imported them into {} ({:.1} s)",
                config.database.url,
                since(&clock, begin)
            ),
        );
        let rpc = TcpListener::bind(config.rpc.listen).await;
        let listeners = Listeners {
            rpc: Some(match rpc {
                Ok(listener) => listener,
                Err(_) => TcpListener::bind("127.0.0.1:0").await?,
            }),
            web: Some(web),
        };
        let running = App::start(&config, listeners, clock.clone()).await?;
        let server = format!("http://{}", running.rpc_address);
        let channel = Endpoint::from_shared(server.clone())?
            .tcp_nodelay(true)
            .connect()
            .await
            .context("connecting to the service")?;
        say(quiet, &format!("The service answers at {server}\n"));
        let stop_service = running.shutdown();
        let mut service = JoinSet::new();
        service.spawn(running.wait());
        Ok(Self {
            world,
            rings,
            mails,
            connection: InterceptedService::new(channel, BearerToken::new(Some(&token))?),
            server,
            token,
            clock,
            quiet,
            stop_service,
            mail_server: mail_server_task,
            stop_mails: shutdown,
            service: Mutex::new(service),
        })
    }

    pub(super) fn say(&self, text: &str) {
        say(self.quiet, text);
    }

    /// Waits until the service ends, for whatever reason.
    pub(super) async fn ended(&self) -> Stopped {
        match self.service.lock().await.join_next().await {
            Some(Ok(stopped)) => stopped,
            Some(Err(_)) | None => Stopped::Panicked("service"),
        }
    }

    /// Clears the stage.
    pub(super) async fn strike(mut self) {
        self.stop_service.cancel();
        while self.service.get_mut().join_next().await.is_some() {}
        self.stop_mails.cancel();
        while self.mail_server.join_next().await.is_some() {}
    }
}

/// Prints a line for whoever watches.
#[allow(clippy::print_stdout, reason = "the demo talks to a person")]
pub(super) fn say(quiet: bool, text: &str) {
    if !quiet {
        println!("{text}");
        std::io::stdout().flush().ok();
    }
}

/// Seconds since an instant.
fn since(clock: &Clock, begin_ms: i64) -> f64 {
    Duration::from_millis(u64::try_from(clock.now_ms() - begin_ms).unwrap_or(0)).as_secs_f64()
}

/// Generates; then lets a few people sleep right now and nobody else, so that the run does not
/// depend on the hour of the day.
fn people_and_network(args: &DemoArgs, now_ms: i64) -> anyhow::Result<(World, Vec<Ring>)> {
    let Generated {
        definition,
        mut subscribers,
        rings,
    } = generate(&GenerateSettings::embedded(args.subscribers, args.seed)?)?;
    let now = jiff::Timestamp::from_millisecond(now_ms)?;
    for (number, subscriber) in subscribers.iter_mut().enumerate() {
        let local = now.in_tz(&subscriber.time_zone)?;
        let minute = u16::try_from(local.hour())? * 60 + u16::try_from(local.minute())?;
        subscriber.quiet_hours = (number % SLEEPS_ONE_IN == 0).then_some(QuietHours {
            from_minute: (minute + 1_440 - 60) % 1_440,
            to_minute: (minute + 120) % 1_440,
        });
    }
    Ok((World::new(definition, subscribers), rings))
}

fn config(directory: &Path, smtp: SocketAddr, web: SocketAddr) -> anyhow::Result<Config> {
    let database = format!("sqlite:{}", directory.join("forewarn.db").display());
    let url = format!("smtp://{smtp}");
    let public_url = format!("http://{web}");
    let settings = [
        ("FOREWARN_DATABASE__URL", database.as_str()),
        ("FOREWARN_CORRELATION__HOLD_DOWN_S", HOLD_DOWN_S),
        ("FOREWARN_CORRELATION__LONE_ALARM_S", LONE_ALARM_S),
        ("FOREWARN_CORRELATION__RESTORE_QUIET_S", RESTORE_QUIET_S),
        // The failures of the flapping link lie within a minute, of which two changes count.
        ("FOREWARN_CORRELATION__FLAP_RAISED_PERCENT", "10"),
        ("FOREWARN_CORRELATION__FLAP_ENDED_PERCENT", "5"),
        ("FOREWARN_NOTICE__HOLDOUT_PERCENT", HOLDOUT_PERCENT),
        ("FOREWARN_WEB__PUBLIC_URL", public_url.as_str()),
        ("FOREWARN_EMAIL__TRANSPORT", "smtp"),
        ("FOREWARN_EMAIL__URL", url.as_str()),
        ("FOREWARN_EMAIL__TLS", "none"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Config::load(None, settings.into_iter())?)
}

/// Imports the network and makes a token.
async fn fill_store(
    config: &Config,
    world: &World,
    clock: &Clock,
    seed: u64,
) -> anyhow::Result<String> {
    let store = Store::open(&config.database.url).await?;
    let progress = |_, _, _| {};
    import_topology(&store, world.definition.clone(), clock.now_ms(), &progress).await?;
    import_subscribers(&store, world.subscribers.clone(), clock.now_ms(), &progress).await?;
    // The same seed holds the same people out.
    let mut key = [0; 32];
    rand::Rng::fill_bytes(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed), &mut key);
    store.server_secret(HOLDOUT_SECRET, key).await?;
    let (secret, token) = new_token("demo", Role::Admin, clock.now_ms());
    store.add_token(&token).await?;
    store.close().await;
    Ok(secret)
}
