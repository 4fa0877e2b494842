//! A national failure: a million alarm events at once, on top of the dark homes of any day.
//!
//! Every gateway of the network fails: all devices above the homes are unreachable, and the session of
//! every home is reported as lost, in random order, by one source as fast as it is acknowledged.
//!
//! 1. Through the whole service, the real binary on SQLite, with a network of `BENCH_SUBSCRIBERS`
//!    (default 1,000,000): how long until the right incident stands, and how much memory it takes.
//!    Then it is confirmed, and everybody's notice is planned.
//! 2. The correlator alone, on networks of one and of ten million subscribers with the same number of
//!    events: the cost of an event. On the larger one the failure is a tenth of the network.
//!    `BENCH_STORM=correlator` leaves the service out.

mod alone;
mod service;

use crate::figure::Figure;
use forewarn::topology::{ElementKind, NetworkDefinition};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Dark homes of a million.
const DARK_HOMES: usize = 500;
const SEED: u64 = 9;

pub(crate) fn run() -> Vec<Figure> {
    let subscribers = std::env::var("BENCH_SUBSCRIBERS").map_or(1_000_000, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("BENCH_SUBSCRIBERS: `{text}` is not a number"))
    });
    let mut figures = Vec::new();
    if std::env::var("BENCH_STORM").is_ok_and(|only| only == "correlator") {
        figures.extend(alone::run(subscribers));
        return figures;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    figures.extend(runtime.block_on(service::run(subscribers)));
    figures.extend(alone::run(subscribers));
    figures
}

/// One alarm: what it is about, and when after the failure it was raised, milliseconds; negative for
/// the dark homes of before.
struct Alarm {
    resource: String,
    alarm_type: &'static str,
    at_ms: i64,
}

/// What is reported when everything fails of which `is_cut` says so, dark homes first.
fn alarms(network: &NetworkDefinition, is_cut: impl Fn(&str) -> bool) -> Vec<Alarm> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut storm = Vec::new();
    let mut homes: Vec<&str> = Vec::new();
    for element in &network.elements {
        let alarm_type = match element.kind {
            ElementKind::Ont => {
                homes.push(&element.id);
                "session-down"
            }
            ElementKind::Splitter | ElementKind::PonPort => continue,
            _ => "unreachable",
        };
        if is_cut(&element.id) {
            storm.push(Alarm {
                resource: element.id.clone(),
                alarm_type,
                at_ms: rng.random_range(0..60_000),
            });
        }
    }
    storm.shuffle(&mut rng);
    homes.shuffle(&mut rng);
    let dark = homes.iter().take(DARK_HOMES).map(|home| Alarm {
        resource: (*home).to_owned(),
        alarm_type: "offline",
        at_ms: -rng.random_range(600_000..24 * 3_600_000),
    });
    let mut all: Vec<Alarm> = dark.collect();
    all.extend(storm);
    all
}
