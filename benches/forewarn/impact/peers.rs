//! The same question, both ends of a ring lost, put to others.
//!
//! All answer how many of the subscribers with one serving element are cut off, over the same
//! network; those with several are left out here, which favours the peers.

use super::network::Synthetic;
use crate::figure::Figure;
use forewarn::topology::{ElementKind, Network, Part};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Bfs, NodeFiltered};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use std::collections::HashMap;
use std::fmt::Write;
use std::time::Instant;

/// The network in plain numbers.
struct Plain {
    gateways: Vec<u32>,
    /// Element, and whether it belongs to the transport part.
    transport: Vec<bool>,
    arcs: Vec<(u32, u32)>,
    /// Serving element and OLT of subscribers with one serving element.
    subscribers: Vec<(u32, u32)>,
    failed: Vec<u32>,
}

impl Plain {
    fn of(synthetic: &Synthetic) -> Self {
        let elements = &synthetic.definition.elements;
        let numbers: HashMap<&str, u32> = (0..)
            .zip(elements)
            .map(|(no, e)| (e.id.as_str(), no))
            .collect();
        let mut arcs = Vec::new();
        // Each element of an access tree comes after what it hangs on.
        let mut olt_of: Vec<u32> = (0..).take(elements.len()).collect();
        for link in &synthetic.definition.links {
            let (a, b) = (numbers[link.a.as_str()], numbers[link.b.as_str()]);
            let below = &elements[b as usize];
            arcs.push((a, b));
            if below.kind.transits_by_default() {
                arcs.push((b, a));
            } else if below.kind != ElementKind::Olt {
                olt_of[b as usize] = olt_of[a as usize];
            }
        }
        let single = synthetic
            .attachments
            .iter()
            .filter(|a| a.served_by.len() == 1);
        let serving = single.map(|a| numbers[a.served_by[0].as_str()]);
        let in_transport =
            |kind: ElementKind| kind.transits_by_default() || kind == ElementKind::Olt;
        Self {
            gateways: synthetic
                .gateways
                .iter()
                .map(|id| numbers[id.as_str()])
                .collect(),
            transport: elements.iter().map(|e| in_transport(e.kind)).collect(),
            arcs,
            subscribers: serving.map(|e| (e, olt_of[e as usize])).collect(),
            failed: synthetic
                .ring_ends
                .iter()
                .map(|id| numbers[id.as_str()])
                .collect(),
        }
    }
}

/// Measures the peers; `ours_s` is the time of the index for the same failures.
pub(super) fn compare(
    synthetic: &Synthetic,
    network: &Network,
    failed: &[Part],
    ours_s: f64,
    figures: &mut Vec<Figure>,
) {
    let plain = Plain::of(synthetic);
    let lost = network.lost(failed);
    let single = network.subscribers(&lost);
    let expected = single.filter(|&s| network.serving(s).count() == 1).count();
    let mut push = |peer: &str, peer_s: f64, goal: Option<f64>| {
        let ratio = peer_s / ours_s;
        let figure = Figure::new("both ends of a ring", ours_s * 1e6, "µs", "1M subscribers");
        let figure = figure.against(peer, peer_s * 1e6, ratio);
        figures.push(match goal {
            Some(goal) => figure.goal(format!("ratio >= {goal}"), ratio >= goal),
            None => figure,
        });
    };
    push("petgraph, search of all", petgraph(&plain, expected), None);
    let Ok(url) = std::env::var("BENCH_POSTGRES_URL") else {
        println!("BENCH_POSTGRES_URL is not set: PostgreSQL is left out");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (whole, careful) = runtime.block_on(postgres(&plain, &url, expected));
    push("PostgreSQL, recursive CTE over all", whole, Some(1e5));
    push(
        "PostgreSQL, CTE over transport and OLT column",
        careful,
        Some(300.0),
    );
}

fn petgraph(plain: &Plain, expected: usize) -> f64 {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(plain.transport.len() + 1, 0);
    for _ in &plain.transport {
        graph.add_node(());
    }
    let root = graph.add_node(());
    for &gateway in &plain.gateways {
        graph.add_edge(root, NodeIndex::from(gateway), ());
    }
    for &(from, to) in &plain.arcs {
        graph.add_edge(NodeIndex::from(from), NodeIndex::from(to), ());
    }
    let failed: Vec<_> = plain.failed.iter().map(|&no| NodeIndex::from(no)).collect();
    let time = || {
        let started = Instant::now();
        let alive = NodeFiltered::from_fn(&graph, |node| !failed.contains(&node));
        let mut reached = vec![false; plain.transport.len() + 1];
        let mut search = Bfs::new(&alive, root);
        while let Some(node) = search.next(&alive) {
            reached[node.index()] = true;
        }
        let subscribers = plain.subscribers.iter();
        let lost = subscribers
            .filter(|&&(serving, _)| !reached[serving as usize])
            .count();
        assert_eq!(lost, expected);
        started.elapsed().as_secs_f64()
    };
    std::iter::repeat_with(time)
        .take(3)
        .fold(f64::MAX, f64::min)
}

/// Seconds of the whole-graph query and of the careful one.
async fn postgres(plain: &Plain, url: &str, expected: usize) -> (f64, f64) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let c = &mut connection;
    run(c, "DROP SCHEMA IF EXISTS bench_impact CASCADE; CREATE SCHEMA bench_impact; SET search_path = bench_impact").await;
    run(c, "CREATE TABLE gateway (element INT); CREATE TABLE arc (a INT, b INT); CREATE TABLE transport (element INT); CREATE TABLE transport_arc (a INT, b INT); CREATE TABLE subscriber (account INT, element INT, olt INT)").await;
    copy(c, "gateway", plain.gateways.iter().map(u32::to_string)).await;
    let arcs = plain.arcs.iter();
    copy(c, "arc", arcs.clone().map(|(a, b)| format!("{a}\t{b}"))).await;
    let inside = |&&(_, b): &&(u32, u32)| plain.transport[b as usize];
    copy(
        c,
        "transport_arc",
        arcs.filter(inside).map(|(a, b)| format!("{a}\t{b}")),
    )
    .await;
    let elements = plain
        .transport
        .iter()
        .enumerate()
        .filter(|(_, inside)| **inside);
    copy(c, "transport", elements.map(|(no, _)| no.to_string())).await;
    let subscribers = plain.subscribers.iter().enumerate();
    let rows = subscribers.map(|(no, (element, olt))| format!("{no}\t{element}\t{olt}"));
    copy(c, "subscriber", rows).await;
    run(c, "CREATE INDEX ON arc (a); CREATE INDEX ON transport_arc (a); CREATE INDEX ON subscriber (olt); ANALYZE").await;
    let failed = plain
        .failed
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let reached = |arc: &str| {
        format!(
            "WITH RECURSIVE reached (element) AS (
               SELECT element FROM gateway WHERE element NOT IN ({failed})
               UNION
               SELECT {arc}.b FROM reached JOIN {arc} ON {arc}.a = reached.element
               WHERE {arc}.b NOT IN ({failed}))"
        )
    };
    let whole = reached("arc")
        + " SELECT count(*) FROM subscriber LEFT JOIN reached USING (element)
            WHERE reached.element IS NULL";
    let careful = reached("transport_arc")
        + " SELECT count(*) FROM subscriber WHERE olt = ANY (ARRAY(
              SELECT element FROM transport EXCEPT SELECT element FROM reached))";
    let mut best = [f64::MAX; 2];
    for (best, (sql, times)) in best.iter_mut().zip([(whole, 3), (careful, 20)]) {
        for _ in 0..times {
            let started = Instant::now();
            let row = sqlx::query(AssertSqlSafe(sql.clone()))
                .fetch_one(&mut *c)
                .await
                .unwrap();
            *best = best.min(started.elapsed().as_secs_f64());
            assert_eq!(row.get::<i64, _>(0), i64::try_from(expected).unwrap());
        }
    }
    run(c, "DROP SCHEMA bench_impact CASCADE").await;
    let [whole, careful] = best;
    (whole, careful)
}

async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

async fn copy(connection: &mut PgConnection, table: &str, rows: impl Iterator<Item = String>) {
    let sql = format!("COPY {table} FROM STDIN");
    let mut copy = connection.copy_in_raw(&sql).await.unwrap();
    let mut text = String::new();
    for row in rows {
        writeln!(text, "{row}").unwrap();
        if text.len() > 1 << 20 {
            copy.send(std::mem::take(&mut text).into_bytes())
                .await
                .unwrap();
        }
    }
    copy.send(text.into_bytes()).await.unwrap();
    copy.finish().await.unwrap();
}
