//! Durable alarms per second through the whole service, over loopback TCP.
//!
//! Peers, in the same run and on the same rows: the database alone (multi-row INSERT on SQLite, COPY
//! on PostgreSQL), and a bare tonic server that only acknowledges.

mod database;
mod load;
mod server;

use crate::figure::Figure;
use database::Database;
use load::Load;
use server::{Bare, Scene, Whole};
use std::time::{Duration, Instant};

/// Alarms of one measured run.
const ALARMS: u64 = 1_000_000;
/// Alarms over which memory must stay flat, and where it is first looked at.
const FLAT_FROM: u64 = 1_000_000;
const FLAT_TO: u64 = 5_000_000;
/// Share of the bare bulk insert that is to be reached.
const SHARE: f64 = 0.6;
const ALONE: &str = "commits of the same rows as they come due, with no service";
const P99: Duration = Duration::from_millis(50);
/// Memory that may come and go without being a leak.
const SLACK_MIB: f64 = 64.0;

pub(crate) fn run() -> Vec<Figure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(all())
}

async fn all() -> Vec<Figure> {
    let mut figures = Vec::new();
    let scene = Scene::new();
    for streams in [1, 16] {
        let bare = Bare::start().await;
        let load = Load::new(bare.address, None, streams, &scene.plant);
        let rate = load.full_speed(ALARMS).await;
        figures.push(Figure::new(
            format!("bare tonic server that only acknowledges, {streams} streams"),
            rate,
            "alarms/s",
            format!("{ALARMS} alarms"),
        ));
    }
    let mut databases = vec![Database::sqlite()];
    match std::env::var("BENCH_POSTGRES_URL") {
        Ok(url) => databases.push(Database::postgres(url)),
        Err(_) => println!("BENCH_POSTGRES_URL is not set: PostgreSQL is left out"),
    }
    for database in databases {
        let bulk = database.bulk_insert(ALARMS, &scene.plant).await;
        println!("{}: {} {bulk:.0}/s", database.name(), database.peer());
        for streams in [1, 16] {
            let service = Whole::start(&database, &scene).await;
            let load = Load::new(
                service.address,
                Some(service.token.clone()),
                streams,
                &scene.plant,
            );
            let started = Instant::now();
            let rate = load.full_speed(ALARMS).await;
            service.read_to(ALARMS).await;
            let correlated = ALARMS as f64 / started.elapsed().as_secs_f64();
            println!(
                "{}: {streams} streams {rate:.0}/s, correlated {correlated:.0}/s",
                database.name()
            );
            let latency = load.acknowledgements_at(rate / 2.0).await;
            service.stop().await;
            let alone = database.commits_at(rate / 2.0, &scene.plant).await;
            figures.extend(through_service(
                &database,
                streams,
                [rate, bulk],
                [&latency, &alone],
            ));
        }
    }
    figures.push(flat_memory(&scene).await);
    figures
}

fn through_service(
    database: &Database,
    streams: u64,
    [rate, bulk]: [f64; 2],
    [latency, alone]: [&load::Latency; 2],
) -> [Figure; 3] {
    let name = database.name();
    let ratio = rate / bulk;
    let half = format!("{:.0} alarms/s", rate / 2.0);
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    [
        Figure::new(
            format!("durable alarms through the service, {name}, {streams} streams"),
            rate,
            "alarms/s",
            format!("{ALARMS} alarms"),
        )
        .against(database.peer(), bulk, ratio)
        .goal(format!("ratio >= {SHARE}"), ratio >= SHARE),
        Figure::new(
            format!("acknowledgement p50 at half that rate, {name}, {streams} streams"),
            ms(latency.p50),
            "ms",
            half.clone(),
        )
        .against(ALONE, ms(alone.p50), ms(latency.p50) / ms(alone.p50)),
        Figure::new(
            format!("acknowledgement p99 at half that rate, {name}, {streams} streams"),
            ms(latency.p99),
            "ms",
            half,
        )
        .against(ALONE, ms(alone.p99), ms(latency.p99) / ms(alone.p99))
        .goal(format!("< {} ms", P99.as_millis()), latency.p99 < P99),
    ]
}

async fn flat_memory(scene: &Scene) -> Figure {
    let database = Database::sqlite();
    let service = Whole::start(&database, scene).await;
    let load = Load::new(
        service.address,
        Some(service.token.clone()),
        16,
        &scene.plant,
    );
    load.full_speed(FLAT_FROM).await;
    service.read_to(FLAT_FROM).await;
    let before = resident_mib();
    load.full_speed(FLAT_TO - FLAT_FROM).await;
    service.read_to(FLAT_TO).await;
    let after = resident_mib();
    service.stop().await;
    Figure::new(
        "growth of resident memory",
        after - before,
        "MiB",
        format!(
            "from {FLAT_FROM} to {FLAT_TO} alarms; {after:.0} MiB in the end, clients included"
        ),
    )
    .goal(format!("< {SLACK_MIB} MiB"), after - before < SLACK_MIB)
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}
