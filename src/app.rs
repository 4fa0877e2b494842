//! The only wiring: settings in, a running service out.

use crate::alarm::FlapThresholds;
use crate::channel::Channel;
use crate::channel::email::EmailChannel;
use crate::channel::smtp_pool::{SmtpOptions, SmtpTls};
use crate::clock::Clock;
use crate::config::{Config, EmailTls, EmailTransport, HoldDownClass, MailUrl};
use crate::delivery::backoff::Backoff;
use crate::delivery::unsubscribe::UnsubscribeLinks;
use crate::effect::holdout::Experiment;
use crate::geography::Batteries;
use crate::incident::{CorrelatorSettings, HoldDown};
use crate::notice::compose::Sender;
use crate::notice::plan::NoticePolicy;
use crate::notice::template::Templates;
use crate::pipeline::alarm_log::AlarmLog;
use crate::pipeline::alarm_query::AlarmQuery;
use crate::pipeline::correlator::{CorrelatorPorts, CorrelatorWorker, nothing_live};
use crate::pipeline::detector::DetectorWorker;
use crate::pipeline::dispatcher::{DispatchOptions, Dispatcher, Outlet};
use crate::pipeline::housekeeper::Housekeeper;
use crate::pipeline::intake::{Intake, IntakeLimits};
use crate::pipeline::live::{LiveReceiver, PendingCommand};
use crate::pipeline::meter::SampleLog;
use crate::pipeline::planner::Planner;
use crate::rpc::server::{self, Services, TlsFiles};
use crate::rpc::{
    alarm, area, auth, care, complaint, effect, incident, ingest, inventory, notice, telemetry,
    work,
};
use crate::store::{InstanceLock, Store};
use crate::supervisor::{Stopped, Supervisor};
use crate::topology::ElementKind;
use crate::web::{self, Web};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Commands and questions that may wait for the correlator.
const PORT_CAPACITY: usize = 256;
/// Secret of the store that keys the holdout's hash.
pub(crate) const HOLDOUT_SECRET: &str = "holdout";
/// Secret that signs the links in messages.
const LINK_SECRET: &str = "links";

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
    /// Held until the store is closed.
    lock: InstanceLock,
}

impl App {
    /// Opens the store, binds the sockets and starts every part. Fails with the first reason why
    /// the service cannot run.
    pub async fn start(
        config: &Config,
        listeners: Listeners,
        clock: Clock,
    ) -> anyhow::Result<Running> {
        let (store, lock) = Store::open_alone(&config.database.url)
            .await
            .context("opening the database (database.url)")?;
        let rpc = bind(listeners.rpc, config.rpc.listen, "rpc.listen").await?;
        let web_listener = bind(listeners.web, config.web.listen, "web.listen").await?;
        let (rpc_address, web_address) = (rpc.local_addr()?, web_listener.local_addr()?);
        let mut supervisor = Supervisor::default();
        let started = start_parts(config, &store, &clock, &mut supervisor).await?;
        let settings = rpc_settings(config);
        let shutdown = supervisor.shutdown();
        supervisor.spawn("rpc", async move {
            let served = server::serve(rpc, &settings, started.services, shutdown).await;
            served.map_err(|error| explain(&error))
        });
        let (page, shutdown) = (started.web, supervisor.shutdown());
        supervisor.spawn("web", async move {
            let served = web::serve(web_listener, page, shutdown).await;
            served.map_err(|error| explain(&error))
        });
        Ok(Running {
            rpc_address,
            web_address,
            store,
            live: started.live,
            supervisor,
            grace: Duration::from_secs(config.shutdown.grace_s.into()),
            lock,
        })
    }
}

impl Running {
    /// Cancelling it stops the service.
    pub fn shutdown(&self) -> CancellationToken {
        self.supervisor.shutdown()
    }

    /// Waits for the end: asked for, or because a part has failed. When the lock of the database is
    /// lost every part stops where it is, without the grace: what is committed is whole.
    pub async fn wait(self) -> Stopped {
        tokio::select! {
            stopped = self.supervisor.run(self.grace) => {
                self.store.close().await;
                stopped
            }
            lost = self.lock.lost() => Stopped::Failed("database lock", lost.to_string()),
        }
    }
}

struct Started {
    services: Services,
    web: Web,
    live: LiveReceiver,
}

/// What takes alarms and samples.
struct Intakes {
    log: Arc<AlarmLog>,
    alarms: Intake<AlarmLog>,
    sample_log: Arc<SampleLog>,
    samples: Intake<SampleLog>,
}

/// How the rest of the process reaches the correlator.
struct CorrelatorHandle {
    commands: mpsc::Sender<PendingCommand>,
    queries: mpsc::Sender<AlarmQuery>,
    live: LiveReceiver,
    planned: Arc<Notify>,
    declared: Arc<Notify>,
}

async fn start_parts(
    config: &Config,
    store: &Store,
    clock: &Clock,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Started> {
    let intakes = start_intakes(config, store, clock, supervisor).await?;
    start_detector(config, store, clock, &intakes, supervisor).await?;
    let log = Arc::clone(&intakes.log);
    let correlator = start_correlator(config, store, clock, log, supervisor).await?;
    let planned = Arc::clone(&correlator.planned);
    let live = correlator.live.clone();
    let from_correlator = (planned, live.clone());
    let web = start_dispatcher(config, store, clock, from_correlator, supervisor).await?;
    let shutdown = supervisor.shutdown();
    let services = services(config, store, clock, intakes, correlator, &shutdown);
    Ok(Started {
        services,
        web,
        live,
    })
}

async fn start_intakes(
    config: &Config,
    store: &Store,
    clock: &Clock,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Intakes> {
    let limits = IntakeLimits {
        queue_events: config.ingest.queue_events,
        batch_events: config.ingest.batch_events,
    };
    let log = Arc::new(AlarmLog::open(store.clone()).await?);
    let sample_log = Arc::new(SampleLog::open(store.clone()).await?);
    let alarms = Intake::open(Arc::clone(&log), store.clone(), clock.clone(), limits).await?;
    let measured = Arc::clone(&sample_log);
    let samples = Intake::open(measured, store.clone(), clock.clone(), limits).await?;
    spawn_intake(supervisor, "alarm intake", &alarms);
    spawn_intake(supervisor, "sample intake", &samples);
    let housekeeper = Housekeeper {
        store: store.clone(),
        alarms: alarms.clone(),
        samples: samples.clone(),
        telemetry_retention_ms: i64::from(config.ingest.telemetry_retention_days) * 86_400_000,
    };
    let (clock, shutdown) = (clock.clone(), supervisor.shutdown());
    supervisor.spawn("housekeeper", async move {
        housekeeper.run(clock, shutdown).await;
        Ok(())
    });
    Ok(Intakes {
        log,
        alarms,
        sample_log,
        samples,
    })
}

/// Starts detection in the samples, if there are rules; before samples are taken.
async fn start_detector(
    config: &Config,
    store: &Store,
    clock: &Clock,
    intakes: &Intakes,
    supervisor: &mut Supervisor,
) -> anyhow::Result<()> {
    let opened = DetectorWorker::open(
        store.clone(),
        Arc::clone(&intakes.sample_log),
        intakes.samples.clone(),
        intakes.alarms.clone(),
        config.detect.rule.clone(),
        clock.now_ms(),
    )
    .await
    .context("starting detection")?;
    let Some(detector) = opened else {
        return Ok(());
    };
    let (clock, shutdown) = (clock.clone(), supervisor.shutdown());
    supervisor.spawn("detector", async move {
        let ended = detector.run(clock, shutdown).await;
        ended.map_err(|error| explain(&error))
    });
    Ok(())
}

async fn start_correlator(
    config: &Config,
    store: &Store,
    clock: &Clock,
    log: Arc<AlarmLog>,
    supervisor: &mut Supervisor,
) -> anyhow::Result<CorrelatorHandle> {
    let (commands, commands_in) = mpsc::channel(PORT_CAPACITY);
    let (queries, queries_in) = mpsc::channel(PORT_CAPACITY);
    let planned = Arc::new(Notify::new());
    let declared = Arc::new(Notify::new());
    let (live_out, live) = watch::channel(Arc::new(nothing_live()));
    let ports = CorrelatorPorts {
        commands: commands_in,
        queries: queries_in,
        live: live_out,
        planned: Arc::clone(&planned),
        declared: Arc::clone(&declared),
        batteries: Arc::new(batteries(config)),
    };
    let correlator = CorrelatorWorker::open(
        store.clone(),
        log,
        correlator_settings(config),
        planner(config, store).await?,
        ports,
        clock.now_ms(),
    )
    .await
    .context("starting the correlator")?;
    let (clock, shutdown) = (clock.clone(), supervisor.shutdown());
    supervisor.spawn("correlator", async move {
        let ended = correlator.run(clock, shutdown).await;
        ended.map_err(|error| explain(&error))
    });
    Ok(CorrelatorHandle {
        commands,
        queries,
        live,
        planned,
        declared,
    })
}

fn services(
    config: &Config,
    store: &Store,
    clock: &Clock,
    intakes: Intakes,
    correlator: CorrelatorHandle,
    shutdown: &CancellationToken,
) -> Services {
    let tasks = TaskTracker::new();
    Services {
        authenticator: auth::Authenticator::new(store.clone()),
        alarm: alarm::AlarmApi {
            intake: intakes.alarms,
            samples: intakes.samples.clone(),
            streams: ingest::Streams::new(shutdown.clone()),
            live_alarms: correlator.queries,
        },
        telemetry: telemetry::TelemetryApi {
            intake: intakes.samples,
            streams: ingest::Streams::new(shutdown.clone()),
        },
        inventory: inventory::Inventory::new(store.clone(), clock.clone()),
        incident: incident::IncidentApi {
            store: store.clone(),
            live: correlator.live.clone(),
            commands: correlator.commands,
            declared: Arc::clone(&correlator.declared),
            clock: clock.clone(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        },
        notice: notice::NoticeApi {
            store: store.clone(),
            clock: clock.clone(),
            useful_for_ms: seconds(config.notice.useless_after_s),
            message_id_domain: message_id_domain(config),
        },
        area: area::AreaApi {
            store: store.clone(),
            live: correlator.live.clone(),
            batteries: Arc::new(batteries(config)),
            declared: Arc::clone(&correlator.declared),
            clock: clock.clone(),
        },
        work: work::WorkApi {
            store: store.clone(),
            live: correlator.live.clone(),
            declared: correlator.declared,
            clock: clock.clone(),
        },
        care: care::CareApi {
            store: store.clone(),
            live: correlator.live,
            clock: clock.clone(),
            message_id_domain: message_id_domain(config),
            numbering: config.care.numbering(),
        },
        complaint: complaint::ComplaintApi {
            store: store.clone(),
            numbering: config.care.numbering(),
            clock: clock.clone(),
            tasks,
            shutdown: shutdown.clone(),
        },
        effect: effect::EffectApi {
            store: store.clone(),
            experiment: experiment(config),
            window_s: config.effect.window_s,
        },
    }
}

/// Starts the sending of notices; answers what the web pages need of it.
async fn start_dispatcher(
    config: &Config,
    store: &Store,
    clock: &Clock,
    (planned, live): (Arc<Notify>, LiveReceiver),
    supervisor: &mut Supervisor,
) -> anyhow::Result<Web> {
    let templates = Templates::built_in(&config.notice.default_language)?;
    let key = store
        .server_secret(LINK_SECRET, rand::random())
        .await
        .context("reading the key of the links")?;
    let links = UnsubscribeLinks::new(key, &config.web.public_url);
    if config.email.transport == EmailTransport::Smtp && config.web.public_url.starts_with("http:")
    {
        tracing::warn!(
            "web.public_url is not https: subscribers can unsubscribe by the link in a mail, but their \
             mail programs offer no button for it (RFC 8058)"
        );
    }
    let outlet = Outlet {
        channel: Channel::Email(email_channel(config)?),
        templates: Templates::built_in(&config.notice.default_language)?,
        sender: Sender {
            brand: config.notice.provider_name.clone(),
            phone: config.notice.provider_phone.clone(),
            status_url: config.notice.provider_url.clone(),
        },
        links: links.clone(),
        policy: notice_policy(config),
        options: DispatchOptions {
            batch: config.email.batch,
            lease_ms: seconds(config.email.lease_s),
            concurrency: config.email.connections,
            backoff: Backoff {
                max_attempts: config.email.max_attempts,
                ..Backoff::default()
            },
        },
    };
    let mut dispatcher = Dispatcher::new(store.clone(), outlet);
    if config.notice.tell_learned_estimates {
        dispatcher = dispatcher.telling_experience(live);
    }
    let (dispatch_clock, shutdown) = (clock.clone(), supervisor.shutdown());
    supervisor.spawn("dispatcher", async move {
        dispatcher.run(dispatch_clock, planned, shutdown).await;
        Ok(())
    });
    Ok(Web {
        store: store.clone(),
        links,
        clock: clock.clone(),
        brand: config.notice.provider_name.clone(),
        phone: config.notice.provider_phone.clone(),
        templates: Arc::new(templates),
    })
}

/// The way out for mails that the settings describe. Connects only when there is something to send.
pub fn email_channel(config: &Config) -> anyhow::Result<EmailChannel> {
    let channel = email_transport(config)?.with_name(&config.notice.provider_name);
    channel
        .with_reply_to(&config.notice.reply_to)
        .context("preparing mails (notice.reply_to)")
}

fn email_transport(config: &Config) -> anyhow::Result<EmailChannel> {
    let from = &config.notice.from_address;
    if config.email.transport == EmailTransport::File {
        return EmailChannel::files(from, &config.email.directory)
            .context("writing mails to files (email.directory)");
    }
    let email = &config.email;
    let relay = MailUrl::parse(&email.url)
        .context("email.url is not of the form smtp://USER:PASSWORD@HOST:PORT")?;
    let tls = match email.tls {
        EmailTls::Starttls => SmtpTls::StartTls,
        EmailTls::Tls => SmtpTls::Implicit,
        EmailTls::None => SmtpTls::None,
    };
    let port = relay.port.unwrap_or(email.tls.usual_port());
    let mut options = SmtpOptions::new(&relay.host, port, tls);
    options.login = relay.login;
    if !email.ca_file.as_os_str().is_empty() {
        let pem = std::fs::read(&email.ca_file).context("reading email.ca_file")?;
        options.ca_pem = Some(pem);
    }
    options.hello_name = (!email.ehlo_name.is_empty()).then(|| email.ehlo_name.clone());
    options.connections = email.connections;
    options.step_timeout = Duration::from_secs(email.timeout_s.into());
    options.data_timeout = Duration::from_secs(email.data_timeout_s.into());
    EmailChannel::smtp(from, options).context("preparing SMTP (email.url)")
}

fn spawn_intake<J>(supervisor: &mut Supervisor, name: &'static str, intake: &Intake<J>)
where
    J: crate::pipeline::intake::Journal,
{
    let (intake, shutdown) = (intake.clone(), supervisor.shutdown());
    supervisor.spawn(name, async move {
        intake.run(shutdown).await.map_err(|error| explain(&error))
    });
}

async fn bind(
    given: Option<TcpListener>,
    address: SocketAddr,
    key: &'static str,
) -> anyhow::Result<TcpListener> {
    match given {
        Some(listener) => Ok(listener),
        None => TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {key} = {address}")),
    }
}

async fn planner(config: &Config, store: &Store) -> anyhow::Result<Planner> {
    let secret = store
        .server_secret(HOLDOUT_SECRET, rand::random())
        .await
        .context("reading the key of the holdout")?;
    let key: [u8; 32] = secret
        .try_into()
        .map_err(|_| anyhow::anyhow!("the key of the holdout does not have 32 bytes"))?;
    Ok(Planner::new(notice_policy(config), experiment(config), key))
}

fn experiment(config: &Config) -> Experiment {
    Experiment {
        name: config.notice.experiment.clone(),
        holdout_percent: config.notice.holdout_percent,
    }
}

fn notice_policy(config: &Config) -> NoticePolicy {
    NoticePolicy {
        min_affected: config.notice.minimum_subscribers.into(),
        max_per_day: config.notice.frequency_cap_per_day,
        update_interval_ms: seconds(config.notice.update_interval_s),
        reopened_wait_ms: seconds(config.notice.reopened_wait_s),
        first_useless_after_ms: seconds(config.notice.useless_after_s),
        ..NoticePolicy::default()
    }
}

fn hold_down(class: &HoldDownClass) -> HoldDown {
    HoldDown {
        cause: class.cause,
        min_affected: class.subscribers.into(),
        hold_down_ms: seconds(class.seconds),
    }
}

fn correlator_settings(config: &Config) -> CorrelatorSettings {
    let correlation = &config.correlation;
    CorrelatorSettings {
        hold_down_ms: seconds(correlation.hold_down_s),
        hold_downs: correlation.hold_down.iter().map(hold_down).collect(),
        unstable_factor: correlation.unstable_factor,
        lone_alarm_ms: (correlation.lone_alarm_s > 0).then_some(seconds(correlation.lone_alarm_s)),
        decide_within_ms: seconds(correlation.decide_within_s),
        restore_quiet_ms: seconds(correlation.restore_quiet_s),
        reopen_within_ms: seconds(correlation.reopen_within_s),
        flapping: FlapThresholds {
            raised_percent: correlation.flap_raised_percent,
            ended_percent: correlation.flap_ended_percent,
        },
        single_premise_incidents: correlation.single_premise_incidents,
        ..CorrelatorSettings::default()
    }
}

/// Kinds without a setting need no power.
fn batteries(config: &Config) -> Batteries {
    let battery = &config.battery;
    Batteries(BTreeMap::from([
        (ElementKind::Router, battery.router_minutes),
        (ElementKind::Switch, battery.switch_minutes),
        (ElementKind::Bng, battery.bng_minutes),
        (ElementKind::Olt, battery.olt_minutes),
        (ElementKind::PonPort, battery.pon_port_minutes),
        (ElementKind::Ont, battery.ont_minutes),
        (ElementKind::Cmts, battery.cmts_minutes),
        (ElementKind::FibreNode, battery.fibre_node_minutes),
        (ElementKind::Cell, battery.cell_minutes),
        (ElementKind::PowerFeed, battery.power_feed_minutes),
        (ElementKind::Other, battery.other_minutes),
    ]))
}

fn rpc_settings(config: &Config) -> server::Settings {
    let set = |path: &Path| (!path.as_os_str().is_empty()).then(|| path.to_owned());
    let (certificate, key) = (set(&config.rpc.tls_certificate), set(&config.rpc.tls_key));
    server::Settings {
        tls: certificate.zip(key).map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            client_ca: set(&config.rpc.client_ca),
        }),
        allow_plaintext_beyond_loopback: config.rpc.allow_plaintext_beyond_loopback,
        max_message_bytes: config.rpc.max_message_mib << 20,
    }
}

/// What stands behind the `@` of a Message-ID: the domain that messages come from.
fn message_id_domain(config: &Config) -> String {
    let (_, domain) = config
        .notice
        .from_address
        .rsplit_once('@')
        .unwrap_or_default();
    domain.trim_end_matches('>').to_owned()
}

fn seconds(seconds: u32) -> i64 {
    i64::from(seconds) * 1_000
}

/// An error with all its causes, on one line.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
