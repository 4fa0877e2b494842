//! A million subscribers with their network: from files to the version that is current.
//!
//! Another process of this program generates the files, so that the peak of memory is the import's.

use crate::figure::Figure;
use forewarn::generate::{GenerateSettings, generate};
use forewarn::pipeline::importer::{
    ImportReport, Phase, import_subscribers, import_topology, load_network,
};
use forewarn::store::{KeyKind, PremisesPosition, Store, SubscriberKey};
use forewarn::subscriber::{self, Subscriber, read_subscribers};
use forewarn::topology::{self, NetworkDefinition, read_topology};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SUBSCRIBERS: u32 = 1_000_000;
const GOAL_SECONDS: f64 = 60.0;
/// Set for the process that generates: where to write the files.
const GENERATE_INTO: &str = "FOREWARN_BENCH_GENERATE_INTO";
const NOW_MS: i64 = 1_790_000_000_000;

pub(crate) fn run() -> Vec<Figure> {
    if let Ok(dir) = std::env::var(GENERATE_INTO) {
        write_files(Path::new(&dir));
        std::process::exit(0);
    }
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new(std::env::current_exe().unwrap())
        .arg("import")
        .env(GENERATE_INTO, dir.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(made.success(), "generating the files failed");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}/import.db", dir.path().display());
        let bare_url = format!("sqlite://{}/bare.db", dir.path().display());
        let mut figures = engine("SQLite", dir.path(), &url, &bare_url).await;
        if let Ok(url) = std::env::var("BENCH_POSTGRES_URL") {
            let mine = crate::postgres::empty_schema(&url, "bench_import").await;
            let bare = crate::postgres::empty_schema(&url, "bench_import_bare").await;
            figures.extend(engine("PostgreSQL", dir.path(), &mine, &bare).await);
        }
        figures
    })
}

fn write_files(dir: &Path) {
    let settings = GenerateSettings::embedded(SUBSCRIBERS, 1).unwrap();
    let generated = generate(&settings).unwrap();
    let mut network = BufWriter::new(File::create(dir.join("network.jsonl")).unwrap());
    topology::write_jsonl(&generated.definition, &mut network).unwrap();
    network.flush().unwrap();
    let mut people = BufWriter::new(File::create(dir.join("subscribers.jsonl")).unwrap());
    subscriber::write_jsonl(&generated.subscribers, &mut people).unwrap();
    people.flush().unwrap();
}

async fn engine(name: &str, dir: &Path, url: &str, bare_url: &str) -> Vec<Figure> {
    let store = Store::open(url).await.unwrap();
    // A service that runs meanwhile has its own connections; alarms are what it writes.
    let other = Store::open(url).await.unwrap();
    forget_peak();
    let before = Instant::now();
    let stop = tokio_util::sync::CancellationToken::new();
    let (reports, longest_wait) = tokio::join!(
        async {
            let reports = import_files(&store, dir).await;
            stop.cancel();
            reports
        },
        longest_wait(&other, &stop),
    );
    let whole = before.elapsed().as_secs_f64();
    let peak = peak_mib();
    let records: u64 = reports.iter().map(|report| report.records).sum();
    assert!(reports.iter().all(|report| report.changed));
    let size = format!("1M subscribers, {records} records");

    let before = Instant::now();
    let again = import_files(&store, dir).await;
    let unchanged = before.elapsed().as_secs_f64();
    assert!(again.iter().all(|report| !report.changed));

    let before = Instant::now();
    let loaded = load_network(&store).await.unwrap();
    let load = before.elapsed().as_secs_f64();
    assert_eq!(loaded.network.subscriber_count(), SUBSCRIBERS as usize);
    drop(loaded);

    let (network, people) = read_files(dir);
    let bare = bare_insert(bare_url, &network, &people).await;
    let of = |what: &str| format!("{name}: {what}");
    let mut import = Figure::new(of("import of files"), whole, "s", size.clone()).against(
        "bare bulk insert, one transaction per file",
        bare,
        bare / whole,
    );
    if name == "SQLite" {
        let goal = format!("< {GOAL_SECONDS} s");
        import = import.goal(goal, whole < GOAL_SECONDS);
    }
    vec![
        import,
        Figure::new(of("the same files again"), unchanged, "s", size.clone()),
        Figure::new(of("load of the current network"), load, "s", size.clone()),
        Figure::new(
            of("longest wait of another writer"),
            longest_wait * 1e3,
            "ms",
            size.clone(),
        ),
        Figure::new(of("peak memory of the import"), peak, "MiB", size),
    ]
}

fn read_files(dir: &Path) -> (NetworkDefinition, Vec<Subscriber>) {
    let open = |name: &str| BufReader::with_capacity(1 << 20, File::open(dir.join(name)).unwrap());
    let network = read_topology(open("network.jsonl"), "network.jsonl", None).unwrap();
    let people = read_subscribers(open("subscribers.jsonl"), "subscribers.jsonl").unwrap();
    (network, people)
}

/// What `forewarn import` does, for both files; says on the way what took how long.
async fn import_files(store: &Store, dir: &Path) -> [ImportReport; 2] {
    let open = |name: &str| BufReader::with_capacity(1 << 20, File::open(dir.join(name)).unwrap());
    let phases = Phases::new();
    let progress = |phase: Phase, done: u64, total: u64| phases.tell(phase.as_str(), done == total);
    let network = read_topology(open("network.jsonl"), "network.jsonl", None).unwrap();
    phases.tell("reading", true);
    let of_network = import_topology(store, network, NOW_MS, &progress)
        .await
        .unwrap();
    phases.tell("swapping", true);
    let people = read_subscribers(open("subscribers.jsonl"), "subscribers.jsonl").unwrap();
    phases.tell("reading", true);
    let of_people = import_subscribers(store, people, NOW_MS, &progress)
        .await
        .unwrap();
    phases.tell("swapping", true);
    println!("   {}", phases.text());
    [of_network, of_people]
}

/// How long each phase took, as text.
struct Phases(std::sync::Mutex<(Instant, String)>);

impl Phases {
    fn new() -> Self {
        Self(std::sync::Mutex::new((Instant::now(), String::new())))
    }

    fn tell(&self, phase: &str, ended: bool) {
        let mut state = self.0.lock().unwrap();
        if ended {
            let seconds = state.0.elapsed().as_secs_f64();
            write!(state.1, "{phase} {seconds:.1} s; ").unwrap();
            state.0 = Instant::now();
        }
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().1.clone()
    }
}

/// Begins a write transaction ever again and says how long the slowest took to come about, seconds.
async fn longest_wait(store: &Store, stop: &tokio_util::sync::CancellationToken) -> f64 {
    let mut longest = 0.0_f64;
    while !stop.is_cancelled() {
        let before = Instant::now();
        store.begin().await.unwrap().commit().await.unwrap();
        longest = longest.max(before.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    longest
}

/// The same rows into the same tables with no service around them, seconds.
async fn bare_insert(url: &str, network: &NetworkDefinition, people: &[Subscriber]) -> f64 {
    let store = Store::open(url).await.unwrap();
    let before = Instant::now();
    let mut tx = store.begin().await.unwrap();
    tx.insert_sites(1, 0, &network.sites).await.unwrap();
    tx.insert_elements(1, 0, &network.elements).await.unwrap();
    tx.insert_links(1, 0, &network.links).await.unwrap();
    tx.insert_groups(1, 0, &network.groups).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.insert_subscribers(1, 0, people).await.unwrap();
    for kind in KeyKind::ALL {
        let keys = SubscriberKey::sorted(kind, people);
        tx.insert_subscriber_keys(1, &keys).await.unwrap();
    }
    let positions = PremisesPosition::sorted(people);
    tx.insert_subscriber_positions(1, &positions).await.unwrap();
    tx.commit().await.unwrap();
    let seconds = before.elapsed().as_secs_f64();
    store.close().await;
    seconds
}

/// Lets the kernel measure the peak of resident memory anew (Linux).
fn forget_peak() {
    // Where it is not allowed the peak is that of the whole process, which is no less.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// Peak of resident memory, MiB; 0 where the system does not say.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
