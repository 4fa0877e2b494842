//! Exact impact: who loses service, how fast and in how much memory, against other ways to ask.

pub(crate) mod network;
mod peers;

use crate::figure::Figure;
use forewarn::topology::{Impact, LinkNo, Network, Part, SubscriberSet, resolve};
use network::Synthetic;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use std::time::{Duration, Instant};

const MILLION: u32 = 1 << 20;

pub(crate) fn run() -> Vec<Figure> {
    let mut figures = Vec::new();
    for (subscribers, size) in [(MILLION, "1M"), (10 * MILLION, "10M")] {
        let bench = Bench {
            size,
            small: subscribers == MILLION,
        };
        bench.run(subscribers, &mut figures);
    }
    figures
}

struct Bench {
    size: &'static str,
    small: bool,
}

impl Bench {
    fn run(&self, subscribers: u32, figures: &mut Vec<Figure>) {
        let synthetic = Synthetic::of(subscribers);
        let network = self.build(&synthetic, figures);
        let part = |id: &String| network.part(id).unwrap();
        let transport: Vec<Part> = synthetic.transport.iter().map(part).collect();
        let gateways: Vec<Part> = synthetic.gateways.iter().map(part).collect();
        let ends: Vec<Part> = synthetic.ring_ends.iter().map(part).collect();
        self.single(&network, &transport, figures);
        self.sets(&network, &transport, figures);
        let both_ends = self.named_sets(&network, &gateways, &ends, figures);
        self.at_risk(&network, &ends, figures);
        self.accounts(&network, figures);
        if self.small {
            peers::compare(&synthetic, &network, &ends, both_ends, figures);
        }
        drop(synthetic);
        self.memory(network, subscribers, figures);
    }

    fn figure(&self, figure: impl Into<String>, value: f64, unit: &'static str) -> Figure {
        Figure::new(figure, value, unit, format!("{} subscribers", self.size))
    }

    fn build(&self, synthetic: &Synthetic, figures: &mut Vec<Figure>) -> Network {
        let (definition, attachments) = (&synthetic.definition, &synthetic.attachments);
        let resolved = resolve(definition, attachments).unwrap();
        let index = fastest(3, || drop(black_box(Impact::of(&resolved)))).as_secs_f64();
        drop(resolved);
        let started = Instant::now();
        let network = Network::build(definition, attachments).unwrap();
        let all = started.elapsed().as_secs_f64();
        let rebuild = self.figure("rebuild of the impact index", index, "s");
        figures.push(if self.small {
            rebuild
        } else {
            rebuild.goal("< 1.5 s", index < 1.5)
        });
        figures.push(self.figure("build of all, with checks and names", all, "s"));
        network
    }

    fn single(&self, network: &Network, transport: &[Part], figures: &mut Vec<Figure>) {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let elements = u32::try_from(network.element_count()).unwrap();
        let links = u32::try_from(network.link_count()).unwrap();
        let any = (0..1_000_000).map(|_| {
            if random.random() {
                let no = random.random_range(0..elements);
                Part::Element(forewarn::topology::ElementNo(no))
            } else {
                let no = random.random_range(0..links);
                Part::Link(forewarn::topology::LinkNo(no))
            }
        });
        let any: Vec<Part> = any.collect();
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let transport = (0..1_000_000).map(|_| *transport.choose(&mut random).unwrap());
        let transport: Vec<Part> = transport.collect();
        for (what, parts) in [
            ("any element or link", any),
            ("transport element", transport),
        ] {
            let ns = median_of_batches(&parts, |batch| {
                let lost = batch
                    .iter()
                    .map(|&part| network.lost_alone_runs(part).len());
                black_box(lost.sum::<usize>());
            });
            let alone = reads_alone(network, &parts);
            let name = format!("single failure: {what}");
            let figure = self.figure(name, ns, "ns").goal("< 50 ns", ns < 50.0);
            figures.push(figure.against(
                "reads of one entry for an element, and of two for a link, with nothing done",
                alone,
                ns / alone,
            ));
        }
    }

    fn bound(&self, figure: Figure) -> Figure {
        let bound = if self.small { 20.0 } else { 200.0 };
        let met = figure.value < bound;
        figure.goal(format!("< {bound} µs"), met)
    }

    fn sets(&self, network: &Network, transport: &[Part], figures: &mut Vec<Figure>) {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for count in [2, 5, 50] {
            let sets: Vec<Vec<Part>> = (0..1000)
                .map(|_| transport.sample(&mut random, count).copied().collect())
                .collect();
            let (mean, worst) = measure(network, &sets);
            let name = format!("{count} transport elements");
            figures.push(self.bound(self.figure(format!("{name}, mean"), mean, "µs")));
            figures.push(self.bound(self.figure(format!("{name}, worst of 1,000"), worst, "µs")));
        }
        let elements = u32::try_from(network.element_count()).unwrap();
        let mixed = (0..200).map(|_| {
            let mut any = || forewarn::topology::ElementNo(random.random_range(0..elements));
            (0..500).map(|_| Part::Element(any())).collect()
        });
        let (mean, _) = measure(network, &mixed.collect::<Vec<Vec<Part>>>());
        figures.push(self.figure("500 mixed elements, mean", mean, "µs"));
    }

    /// The sets that take most with them; the time for both ends of a ring in seconds.
    fn named_sets(
        &self,
        network: &Network,
        gateways: &[Part],
        ends: &[Part],
        figures: &mut Vec<Figure>,
    ) -> f64 {
        let (all, _) = measure(network, &[gateways.to_vec()]);
        figures.push(self.figure("all gateways", all, "µs"));
        let (ends, _) = measure(network, &[ends.to_vec()]);
        figures.push(self.bound(self.figure("both ends of a ring", ends, "µs")));
        ends / 1e6
    }

    /// One of the switches by which a ring hangs on the backbone, and both.
    fn at_risk(&self, network: &Network, ends: &[Part], figures: &mut Vec<Figure>) {
        for (what, parts) in [
            ("one aggregation switch", &ends[..1]),
            ("both ends of a ring", ends),
        ] {
            let time = fastest(5, || drop(black_box(network.at_risk(parts))));
            let ms = time.as_secs_f64() * 1e3;
            figures.push(self.figure(format!("at risk: {what}"), ms, "ms"));
        }
    }

    fn accounts(&self, network: &Network, figures: &mut Vec<Figure>) {
        let start = u32::try_from(network.subscriber_count()).unwrap() / 3;
        let set = SubscriberSet::from_runs(vec![(start, start + 100_000)]);
        let time = fastest(5, || {
            let accounts = network.subscribers(&set).map(|s| network.account(s));
            black_box(accounts.collect::<Vec<&str>>());
        });
        let ms = time.as_secs_f64() * 1e3;
        figures.push(self.figure("accounts of 100,000 lost", ms, "ms"));
    }

    fn memory(&self, network: Network, subscribers: u32, figures: &mut Vec<Figure>) {
        let of = network.resident_bytes();
        let each = |bytes: usize| bytes as f64 / f64::from(subscribers);
        let parts = [
            ("impact", of.impact),
            ("names", of.names),
            ("lookup", of.lookup),
            ("facts", of.facts),
        ];
        for (what, bytes) in parts {
            figures.push(self.figure(format!("resident: {what}"), each(bytes), "bytes/subscriber"));
        }
        let total = each(of.total());
        let total = self
            .figure("resident: all", total, "bytes/subscriber")
            .goal("<= 120", total <= 120.0);
        figures.push(total);
        // Large arrays go back to the system when they are dropped, so the difference shows.
        let before = resident_set_bytes();
        drop(network);
        let freed = each(before.saturating_sub(resident_set_bytes()));
        figures.push(self.figure(
            "resident: freed as seen by the system",
            freed,
            "bytes/subscriber",
        ));
    }
}

/// What the memory of the machine allows: nanoseconds for the reads that no answer can do without, from
/// tables of the size of the network: the entry of an element, and before it that of a link.
fn reads_alone(network: &Network, parts: &[Part]) -> f64 {
    let elements = (0..network.element_count() as u64).collect::<Vec<u64>>();
    let links = (0..network.link_count() as u32).map(LinkNo);
    let links: Vec<(u32, u32)> = links
        .map(|link| network.link_ends(link))
        .map(|(a, b)| (a.0, b.0))
        .collect();
    median_of_batches(parts, |batch| {
        let entries = batch.iter().map(|&part| match part {
            Part::Element(element) => elements[element.0 as usize],
            Part::Link(link) => elements[links[link.0 as usize].1 as usize],
            Part::Group(_) => 0,
        });
        black_box(entries.sum::<u64>());
    })
}

/// Mean and worst time of a search in microseconds; of each set the fastest of five.
fn measure(network: &Network, sets: &[Vec<Part>]) -> (f64, f64) {
    let times: Vec<f64> = sets
        .iter()
        .map(|set| fastest(5, || drop(black_box(network.lost(set)))).as_secs_f64() * 1e6)
        .collect();
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    (mean, times.into_iter().fold(0.0, f64::max))
}

/// Nanoseconds for one, as the median over batches of 1,000 that are each seen once.
///
/// So caches are as cold as the parts are scattered, and a pause of the machine does not count.
fn median_of_batches(parts: &[Part], mut work: impl FnMut(&[Part])) -> f64 {
    let batches = parts.chunks(1000);
    let mut times: Vec<f64> = batches
        .map(|batch| {
            let started = Instant::now();
            work(batch);
            started.elapsed().as_secs_f64() * 1e9 / batch.len() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn fastest(times: usize, mut work: impl FnMut()) -> Duration {
    let time = |()| {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    std::iter::repeat_n((), times)
        .map(time)
        .min()
        .unwrap_or_default()
}

/// What the system counts as ours.
fn resident_set_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}
