//! The databases, and what they take in without a service.

use super::load::{self, LATENCY_RUN, Latency, Plant, TICK};
use forewarn::proto::v1;
use forewarn::store::Store;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder, Sqlite};
use std::ops::Range;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

/// Rows of one statement, and of one transaction: what the service commits at a time.
const STATEMENT: u64 = 1_000;
const TRANSACTION: u64 = 10_000;

/// Columns of `alarm_log`.
const COLUMNS: &str = "position, source_id, sequence, kind, resource, alarm_type, qualifier, \
                       severity, event_at_ms, received_at_ms, detail";

/// Where a fresh database is made.
pub(super) enum Database {
    Sqlite(tempfile::TempDir),
    Postgres(String),
}

impl Database {
    pub(super) fn sqlite() -> Self {
        // Not /tmp, which may be memory.
        std::fs::create_dir_all("target/bench").unwrap();
        Self::Sqlite(tempfile::tempdir_in("target/bench").unwrap())
    }

    pub(super) fn postgres(url: String) -> Self {
        Self::Postgres(url)
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite (FULL)",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    pub(super) fn peer(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "bulk insert alone, 1,000 rows a statement, 10,000 a transaction",
            Self::Postgres(_) => "COPY alone, 10,000 rows a transaction",
        }
    }

    /// Where the service finds it.
    pub(super) fn service_url(&self) -> String {
        match self {
            Self::Sqlite(dir) => format!("sqlite://{}/b.db", dir.path().display()),
            Self::Postgres(url) => {
                let separator = if url.contains('?') { '&' } else { '?' };
                format!("{url}{separator}options=-csearch_path%3Dbench_ingest")
            }
        }
    }

    /// An empty store in the same place.
    pub(super) async fn open(&self) -> Store {
        match self {
            Self::Sqlite(dir) => {
                for file in ["b.db", "b.db-wal", "b.db-shm"] {
                    drop(std::fs::remove_file(dir.path().join(file)));
                }
                Store::open(&self.service_url()).await.unwrap()
            }
            Self::Postgres(url) => {
                let options = PgConnectOptions::from_str(url).unwrap();
                let mut admin = options.connect().await.unwrap();
                sqlx::raw_sql(
                    "DROP SCHEMA IF EXISTS bench_ingest CASCADE; CREATE SCHEMA bench_ingest",
                )
                .execute(&mut admin)
                .await
                .unwrap();
                Store::open(&self.service_url()).await.unwrap()
            }
        }
    }

    /// Rows a second, inserted with nothing around.
    pub(super) async fn bulk_insert(&self, rows: u64, plant: &Plant) -> f64 {
        let mut bare = self.bare().await;
        let started = Instant::now();
        for from in (1..=rows).step_by(TRANSACTION as usize) {
            bare.insert(from..from + TRANSACTION, plant).await;
        }
        rows as f64 / started.elapsed().as_secs_f64()
    }

    /// How long rows wait until they are committed that come due at a steady rate, with nothing around:
    /// whatever is due is inserted in one transaction, again and again.
    pub(super) async fn commits_at(&self, rate: f64, plant: &Plant) -> Latency {
        let mut bare = self.bare().await;
        let mut waited = Vec::new();
        let started = Instant::now();
        let mut done = 0;
        while started.elapsed() < LATENCY_RUN {
            let due = (started.elapsed().as_secs_f64() * rate) as u64;
            if due == done {
                tokio::time::sleep(TICK).await;
                continue;
            }
            bare.insert(done + 1..due + 1, plant).await;
            let at = started.elapsed();
            let due_at = |n: u64| Duration::from_secs_f64(n as f64 / rate);
            waited.extend((done + 1..=due).map(|n| at.saturating_sub(due_at(n))));
            done = due;
        }
        Latency::of(waited)
    }

    /// The schema, with the same indexes, and a connection.
    async fn bare(&self) -> Bare {
        self.open().await.close().await;
        match self {
            Self::Sqlite(dir) => {
                let options = SqliteConnectOptions::new()
                    .filename(dir.path().join("b.db"))
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .pragma("cache_size", "-65536");
                Bare::Sqlite(options.connect().await.unwrap())
            }
            Self::Postgres(url) => {
                let options = PgConnectOptions::from_str(url).unwrap();
                let options = options.options([("search_path", "bench_ingest")]);
                Bare::Postgres(options.connect().await.unwrap())
            }
        }
    }
}

/// A database without a service.
enum Bare {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Bare {
    /// Inserts the alarms of these numbers in one transaction.
    async fn insert(&mut self, numbers: Range<u64>, plant: &Plant) {
        match self {
            Self::Sqlite(connection) => insert_sqlite(connection, numbers, plant).await,
            Self::Postgres(connection) => copy_postgres(connection, numbers, plant).await,
        }
    }
}

async fn insert_sqlite(connection: &mut SqliteConnection, numbers: Range<u64>, plant: &Plant) {
    let mut tx = connection.begin().await.unwrap();
    let mut from = numbers.start;
    while from < numbers.end {
        // Smaller ones in steps, so that there are few different statements.
        let left = numbers.end - from;
        let sizes = [STATEMENT, 100, 10, 1];
        let size = sizes.into_iter().find(|size| *size <= left).unwrap();
        let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT INTO alarm_log ({COLUMNS}) "));
        query.push_values(from..from + size, |mut row, n| {
            let event = load::event(plant, 0, 1, n);
            row.push_bind(n.cast_signed())
                .push_bind(1_i64)
                .push_bind(n.cast_signed())
                .push_bind(kind(&event))
                .push_bind(event.resource)
                .push_bind(event.alarm_type)
                .push_bind(event.alarm_type_qualifier)
                .push_bind("major")
                .push_bind(event.event_time_ms)
                .push_bind(event.event_time_ms)
                .push_bind(detail(&event.text));
        });
        query.build().execute(&mut *tx).await.unwrap();
        from += size;
    }
    tx.commit().await.unwrap();
}

async fn copy_postgres(connection: &mut PgConnection, numbers: Range<u64>, plant: &Plant) {
    use std::fmt::Write as _;
    let mut tx = connection.begin().await.unwrap();
    let mut copy = tx
        .copy_in_raw(&format!("COPY alarm_log ({COLUMNS}) FROM STDIN"))
        .await
        .unwrap();
    let mut text = String::new();
    for n in numbers {
        let event = load::event(plant, 0, 1, n);
        let at = event.event_time_ms;
        writeln!(
            text,
            "{n}\t1\t{n}\t{}\t{}\t{}\t{}\tmajor\t{at}\t{at}\t{}",
            kind(&event),
            event.resource,
            event.alarm_type,
            event.alarm_type_qualifier,
            detail(&event.text)
        )
        .unwrap();
    }
    copy.send(text.as_bytes()).await.unwrap();
    copy.finish().await.unwrap();
    tx.commit().await.unwrap();
}

fn detail(text: &str) -> String {
    format!("{{\"text\":\"{text}\"}}")
}

fn kind(event: &v1::AlarmEvent) -> &'static str {
    if event.kind() == v1::AlarmEventKind::Clear {
        "clear"
    } else {
        "raise"
    }
}
