//! `forewarn simulate`: plays faults, writes what a network would report beside the truth, and can
//! send it to a running service.

mod send;
mod write;

use super::client::ClientArgs;
use super::gateways::GatewayArgs;
use crate::clock::is_believable;
use crate::generate::{GenerateSettings, MOST_SUBSCRIBERS, generate};
use crate::simulate::{
    Customers, FaultKind, Impairments, Reporting, SCENARIOS, Scenario, SettingProblem, Simulation,
    World, believed, check_amount, check_settings, check_speed, complaints, misplace,
    named_scenario, random_scenario, scenario_kinds,
};
use crate::subscriber::{Subscriber, read_subscribers};
use crate::topology::{GatewayRule, NetworkDefinition, read_topology};
use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};

/// When a scenario begins if nobody says otherwise: 2026-01-12T08:00:00Z, a Monday morning.
const DEFAULT_START: &str = "2026-01-12T08:00:00Z";

/// Play faults on a network: alarms as they would come, and the truth beside them.
///
/// The same options give the same files. Written are topology.jsonl (the network as the inventory
/// believes it to be), subscribers.jsonl, alarms.jsonl, telemetry.jsonl, truth.json and
/// complaints.csv (of customers who were told nothing).
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// Folder with the network: files "topology" and "subscribers", .jsonl or .csv; the topology may
    /// be a map (.graphml) too
    #[arg(long, value_name = "DIR")]
    pub network: Option<PathBuf>,
    #[command(flatten)]
    pub gateways: GatewayArgs,
    /// Generate a network of so many subscribers instead
    #[arg(long, value_name = "N", conflicts_with = "network", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SUBSCRIBERS)))]
    pub generate: Option<u32>,
    /// Another seed gives other faults at other places, and other noise
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What happens; `list` shows the scenarios
    #[arg(long, value_name = "NAME", required_unless_present = "faults")]
    pub scenario: Option<String>,
    /// So many random faults instead, at most 200
    #[arg(long, value_name = "K", conflicts_with = "scenario", value_parser = clap::value_parser!(u32).range(1..=200))]
    pub faults: Option<u32>,
    /// Kinds of the random faults, for instance `feeder_cut,olt_death` [default: all that cost
    /// several people their service]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', requires = "faults")]
    pub kinds: Vec<String>,
    /// Minutes that are played
    #[arg(long, default_value_t = 360, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub minutes: u32,
    /// When it begins
    #[arg(long, value_name = "TIME", default_value = DEFAULT_START, value_parser = start)]
    pub start: jiff::Timestamp,
    /// TOML with the sections [reporting], [impairments] and [customers]; what is not named keeps
    /// its default
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Folder for the files; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Send the alarms and measured values to the service at --server as well, in their time from now on
    #[arg(long)]
    pub send: bool,
    /// So many times faster, from 0.001 to 1,000,000
    #[arg(
        long,
        default_value_t = 1.0,
        requires = "send",
        value_name = "X",
        allow_negative_numbers = true
    )]
    pub speed: f64,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// A time that a service takes alarms of.
fn start(text: &str) -> Result<jiff::Timestamp, String> {
    let start: jiff::Timestamp = text.parse().map_err(|error| format!("{error}"))?;
    let at_ms = start.as_millisecond();
    if is_believable(at_ms, at_ms) {
        Ok(start)
    } else {
        Err("expected a time from 2000-01-01T00:00:00Z on".to_owned())
    }
}

/// The file of `--settings`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    reporting: Reporting,
    impairments: Impairments,
    customers: Customers,
}

/// Of so many homes one is dark for reasons of its own, unless the settings say otherwise.
const HOMES_PER_DARK_ONE: usize = 2_000;

/// What is played, and on what.
struct Stage {
    definition: NetworkDefinition,
    subscribers: Vec<Subscriber>,
    world: World,
    settings: Settings,
}

/// Plays, writes, and sends where that is asked for.
pub async fn run(args: &SimulateArgs) -> anyhow::Result<()> {
    if args.scenario.as_deref() == Some("list") {
        return list();
    }
    if args.network.is_none() && args.generate.is_none() {
        bail!(
            "on what network? Name its folder with --network, or have one made with --generate N"
        );
    }
    if args.out.is_none() && !args.send {
        bail!("nothing to do: name a folder with --out, or a service with --send");
    }
    let stage = stage(args)?;
    let scenario = scenario(args, &stage)?;
    let simulation = Simulation::new(&stage.world, &scenario);
    report(args, &stage, &simulation)?;
    let time = send::Time::from_now(scenario.start_ms, args.speed);
    if let Some(out) = &args.out {
        let share = stage.settings.impairments.wrong_topology;
        let misplaced = misplace(&stage.world, share, args.seed);
        let played = write::Played {
            believed: believed(&stage.world, &stage.definition, &misplaced),
            complaints: complaints(
                &stage.world,
                &simulation.truth,
                &stage.settings.customers,
                args.seed,
                &|_| None,
            ),
            time: args.send.then_some(time),
            misplaced,
            subscribers: &stage.subscribers,
            simulation: &simulation,
        };
        write::all(out, &played, &stage.world)?;
    }
    if args.send {
        send::run(&args.client, &simulation, time).await?;
    }
    Ok(())
}

fn list() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, what, _) in SCENARIOS {
        writeln!(out, "{name:16} {what}")?;
    }
    Ok(())
}

fn stage(args: &SimulateArgs) -> anyhow::Result<Stage> {
    let text = match &args.settings {
        None => String::new(),
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?
        }
    };
    let name = || {
        args.settings
            .as_deref()
            .map(|path| path.display().to_string())
    };
    let mut settings: Settings =
        toml::from_str(&text).with_context(|| name().unwrap_or_default())?;
    let given: toml::Table = text.parse().with_context(|| name().unwrap_or_default())?;
    let mut problems = check_settings(
        &settings.reporting,
        &settings.impairments,
        &settings.customers,
    );
    problems.extend(check_speed(args.speed));
    refuse(&problems)?;
    let gateways = args.gateways.rule();
    if args.network.is_none() && gateways.is_some() {
        bail!("--gateway and --gateway-rule are for a map in the folder of --network");
    }
    let (definition, subscribers) = match (&args.network, args.generate) {
        (Some(folder), _) => read(folder, gateways.as_ref())?,
        (None, count) => {
            let count = count.unwrap_or_default();
            let generated = generate(&GenerateSettings::embedded(count, args.seed)?)?;
            (generated.definition, generated.subscribers)
        }
    };
    let world = World::new(&definition, &subscribers).map_err(|errors| {
        let shown = errors.iter().take(10).map(ToString::to_string);
        let mut shown: Vec<String> = shown.collect();
        if errors.len() > shown.len() {
            shown.push(format!("and {} more", errors.len() - shown.len()));
        }
        anyhow!("the network is wrong:\n  {}", shown.join("\n  "))
    })?;
    let says_how_many = given
        .get("impairments")
        .is_some_and(|impairments| impairments.get("dark_homes").is_some());
    if !says_how_many {
        let homes = (subscribers.len() / HOMES_PER_DARK_ONE).min(world.onts().len());
        settings.impairments.dark_homes = u32::try_from(homes).unwrap_or(u32::MAX);
    }
    let duration_ms = i64::from(args.minutes) * 60_000;
    refuse(&check_amount(&world, &settings.impairments, duration_ms))?;
    Ok(Stage {
        definition,
        subscribers,
        world,
        settings,
    })
}

/// All that is wrong, at once.
fn refuse(problems: &[SettingProblem]) -> anyhow::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    bail!("the settings cannot be played:\n  {}", lines.join("\n  "))
}

fn read(
    folder: &Path,
    gateways: Option<&GatewayRule>,
) -> anyhow::Result<(NetworkDefinition, Vec<Subscriber>)> {
    let topology = existing(folder, "topology", &["jsonl", "ndjson", "csv", "graphml"])?;
    let subscribers = existing(folder, "subscribers", &["jsonl", "ndjson", "csv"])?;
    let open = |path: &Path| {
        let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        Ok::<_, anyhow::Error>(BufReader::new(file))
    };
    let name = |path: &Path| path.display().to_string();
    let definition = read_topology(open(&topology)?, &name(&topology), gateways)?;
    let subscribers = read_subscribers(open(&subscribers)?, &name(&subscribers))?;
    Ok((definition, subscribers))
}

/// The first that is there.
fn existing(folder: &Path, stem: &str, extensions: &[&str]) -> anyhow::Result<PathBuf> {
    let named = |extension: &&str| folder.join(stem).with_extension(extension);
    let found = extensions.iter().map(named).find(|path| path.is_file());
    found.with_context(|| {
        let extensions = extensions.join(", .");
        format!("{}: expected {stem} as .{extensions}", folder.display())
    })
}

fn scenario(args: &SimulateArgs, stage: &Stage) -> anyhow::Result<Scenario> {
    let start_ms = args.start.as_millisecond();
    let duration_ms = i64::from(args.minutes) * 60_000;
    let world = &stage.world;
    let mut scenario = match (&args.scenario, args.faults) {
        (Some(name), _) => named_scenario(world, name, args.seed, start_ms, duration_ms)
            .with_context(|| {
                let names: Vec<&str> = SCENARIOS.iter().map(|(name, _, _)| *name).collect();
                format!("--scenario {name}: expected one of {}", names.join(", "))
            })?,
        (None, count) => {
            let kinds = kinds(&args.kinds)?;
            let count = count.unwrap_or_default() as usize;
            random_scenario(world, &kinds, count, args.seed, start_ms, duration_ms)
        }
    };
    scenario.reporting = stage.settings.reporting.clone();
    scenario.impairments = stage.settings.impairments.clone();
    Ok(scenario)
}

fn kinds(names: &[String]) -> anyhow::Result<Vec<FaultKind>> {
    if names.is_empty() {
        let cost_nobody = [
            FaultKind::DropCut,
            FaultKind::Flapping,
            FaultKind::Degradation,
            FaultKind::Upstream,
        ];
        let mut kinds = FaultKind::ALL.to_vec();
        kinds.retain(|kind| !cost_nobody.contains(kind));
        return Ok(kinds);
    }
    let parse = |name: &String| {
        FaultKind::parse(name).with_context(|| {
            let known: Vec<&str> = FaultKind::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("--kinds {name}: expected one of {}", known.join(", "))
        })
    };
    names.iter().map(parse).collect()
}

fn report(args: &SimulateArgs, stage: &Stage, simulation: &Simulation) -> anyhow::Result<()> {
    let network = stage.world.network();
    let mut out = std::io::stdout().lock();
    for truth in &simulation.truth.faults {
        let parts = truth.fault.parts();
        let names: Vec<&str> = parts.iter().take(3).map(|&p| network.part_id(p)).collect();
        let more = parts.len().saturating_sub(names.len());
        let onset = jiff::Timestamp::from_millisecond(truth.fault.onset_ms())?;
        writeln!(
            out,
            "{onset}  {:17} {}{}; {} lose service",
            truth.fault.kind.as_str(),
            names.join(", "),
            if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            },
            truth.ever_lost().len()
        )?;
    }
    let drawn = simulation.truth.faults.len();
    if let Some(wanted) = args.faults
        && drawn < wanted as usize
    {
        writeln!(
            out,
            "the network has room for {drawn} of {wanted} faults that do not touch"
        )?;
    }
    let mut without_place = scenario_kinds(args.scenario.as_deref().unwrap_or_default()).to_vec();
    for truth in &simulation.truth.faults {
        let drawn = without_place
            .iter()
            .position(|kind| *kind == truth.fault.kind);
        drawn.map(|at| without_place.remove(at));
    }
    if !without_place.is_empty() {
        let names: Vec<&str> = without_place.iter().map(|kind| kind.as_str()).collect();
        writeln!(out, "the network has no place for: {}", names.join(", "))?;
    }
    writeln!(
        out,
        "{} alarm messages in {} minutes on {} subscribers",
        simulation.entries.len(),
        args.minutes,
        stage.subscribers.len()
    )?;
    Ok(())
}
