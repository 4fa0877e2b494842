//! All SQL of the service. Two engines, one text per query.
//!
//! Invariant: no other module names `sqlx`, a pool or a table.

mod alarm_log;
mod area;
mod assignment;
mod bulk;
mod care;
mod checkpoint;
mod complaint;
mod dataset;
mod declared;
mod detector;
mod effect;
mod experience;
mod incident;
mod instance_lock;
mod list;
mod notice;
mod outbox;
mod secret;
mod source;
mod subscriber;
mod subscriber_key;
mod sweep;
mod telemetry;
mod token;
mod topology;

pub use area::{AreaTaken, Declarant};
pub use assignment::ClusterAssignment;
pub use checkpoint::Checkpoint;
pub use complaint::{ComplaintFilter, ComplaintsTaken, KeptComplaint};
pub use dataset::{DatasetKind, DatasetVersions, ImportTicket, InventoryCounts};
pub use declared::DeclaredPosition;
pub use detector::{DetectorCheckpoint, SourceTick};
pub use effect::EffectScope;
pub use incident::{IncidentFilter, NoticeOutcome};
pub use instance_lock::{InstanceLock, LockError, LockLost};
pub use notice::{AttemptRecord, Histories, NoticeCursor, NoticeFilter, NoticePage, NoticeRecord};
pub use outbox::{Claimed, Outcome, Settlement};
pub use source::{SourceHealth, SourceProgress, SourceStream, StoredSource};
pub use subscriber_key::{KeyKind, PremisesPosition, SubscriberKey};
pub use telemetry::StoredSample;
pub use token::StoredToken;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use std::str::FromStr;
use std::time::Duration;

/// Failure of the store, already free of driver types.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("database URL must start with sqlite: or postgres:")]
    UnknownScheme,
    #[error("the folder of the SQLite file does not exist")]
    NoFolder,
    #[error("the database did not answer within {} s", CONNECT_PATIENCE.as_secs())]
    Unreachable,
    #[error("database refused the statement or is not reachable")]
    Database(#[from] sqlx::Error),
    #[error("migrations could not be applied")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("stored {what} cannot be read: {reason}")]
    Corrupt { what: &'static str, reason: String },
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Handle on the database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
}

#[derive(Clone, Debug)]
enum Engine {
    /// SQLite has one writer, so writes queue in a pool of one instead of failing as "locked".
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
    },
    Postgres(PgPool),
}

/// One transaction.
pub enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Runs the body once per engine with `$conn` as that engine's executor.
macro_rules! on_read {
    ($store:expr, $conn:ident => $body:expr) => {
        match &$store.engine {
            $crate::store::Engine::Sqlite { read: $conn, .. } => $body,
            $crate::store::Engine::Postgres($conn) => $body,
        }
    };
}

/// Like [`on_read`], inside a transaction.
macro_rules! on_tx {
    ($tx:expr, $conn:ident => $body:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(tx) => {
                let $conn = &mut **tx;
                $body
            }
            $crate::store::Tx::Postgres(tx) => {
                let $conn = &mut **tx;
                $body
            }
        }
    };
}

#[allow(unused_imports, reason = "each table module takes the ones it needs")]
pub(in crate::store) use {on_read, on_tx};

/// Connections that read at the same time, on either engine.
const READ_CONNECTIONS: u32 = 8;
/// How often SQLite is asked for its write lock while another process has it, and for how long.
const WRITE_LOCK_POLL: Duration = Duration::from_millis(2);
const WRITE_LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// How long the database may take to accept the first connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Connected; nothing is known of the schema yet.
enum Connected {
    Sqlite {
        options: Box<SqliteConnectOptions>,
        first: SqlitePool,
    },
    Postgres(PgPool),
}

/// Whether a database can be looked for at this URL; nothing is connected.
pub fn check_url(url: &str) -> Result<()> {
    if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url)?;
        let folder = options.get_filename().parent();
        let is_there = folder.is_none_or(|f| f.as_os_str().is_empty() || f.is_dir());
        return if is_there {
            Ok(())
        } else {
            Err(StoreError::NoFolder)
        };
    }
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        PgConnectOptions::from_str(url)?;
        return Ok(());
    }
    Err(StoreError::UnknownScheme)
}

impl Connected {
    async fn to(url: &str) -> Result<Self> {
        check_url(url)?;
        if url.starts_with("sqlite:") {
            Self::to_sqlite(url).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::to_postgres(PgConnectOptions::from_str(url)?).await
        } else {
            Err(StoreError::UnknownScheme)
        }
    }

    async fn to_sqlite(url: &str) -> Result<Self> {
        // FULL: an acknowledged alarm must survive power loss; group commit pays for it once.
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(30))
            .pragma("cache_size", "-65536")
            .pragma("temp_store", "memory");
        let first = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        let options = Box::new(options);
        Ok(Self::Sqlite { options, first })
    }

    async fn to_postgres(options: PgConnectOptions) -> Result<Self> {
        // A pool tries again and again in silence: the first connection says what is wrong.
        let first = PgConnection::connect_with(&options);
        let first = tokio::time::timeout(CONNECT_PATIENCE, first).await;
        first.map_err(|_| StoreError::Unreachable)??.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(READ_CONNECTIONS + 4)
            .after_connect(|connection, _| Box::pin(be_quiet(connection)))
            .connect_with(options)
            .await?;
        Ok(Self::Postgres(pool))
    }

    async fn lock(&self) -> Result<InstanceLock, LockError> {
        match self {
            Self::Sqlite { options, .. } => InstanceLock::sqlite(options.get_filename()),
            Self::Postgres(pool) => InstanceLock::postgres(&pool.connect_options()).await,
        }
    }

    /// Brings the schema up to date.
    async fn prepare(self) -> Result<Store> {
        let engine = match self {
            Self::Sqlite { options, first } => {
                sqlx::migrate!("migrations/sqlite").run(&first).await?;
                first.close().await;
                sqlite_pools(*options).await?
            }
            Self::Postgres(pool) => {
                sqlx::migrate!("migrations/postgres").run(&pool).await?;
                Engine::Postgres(pool)
            }
        };
        Ok(Store { engine })
    }
}

/// Keeps notes such as "relation already exists, skipping" out of the log.
async fn be_quiet(connection: &mut PgConnection) -> sqlx::Result<()> {
    let warnings = "SET client_min_messages = warning";
    sqlx::query(warnings).execute(connection).await?;
    Ok(())
}

async fn sqlite_pools(options: SqliteConnectOptions) -> Result<Engine> {
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async move {
                let answer_at_once = "PRAGMA busy_timeout = 0";
                sqlx::query(answer_at_once).execute(connection).await?;
                Ok(())
            })
        })
        .connect_with(options.clone())
        .await?;
    let read = SqlitePoolOptions::new()
        .max_connections(READ_CONNECTIONS)
        .connect_with(options.read_only(true))
        .await?;
    Ok(Engine::Sqlite { read, write })
}

impl Store {
    /// Opens the database and brings its schema up to date. Any number of commands may do so beside
    /// a service.
    pub async fn open(url: &str) -> Result<Self> {
        Connected::to(url).await?.prepare().await
    }

    /// Opens the database for a service, which must be alone on it; refused before anything in it
    /// is changed.
    pub async fn open_alone(url: &str) -> Result<(Self, InstanceLock), LockError> {
        let connected = Connected::to(url).await?;
        let lock = connected.lock().await?;
        Ok((connected.prepare().await?, lock))
    }

    /// Public so that a test can open one schema of a shared server.
    pub async fn open_postgres(options: PgConnectOptions) -> Result<Self> {
        Connected::to_postgres(options).await?.prepare().await
    }

    /// Begins a write transaction.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match &self.engine {
            Engine::Sqlite { write, .. } => Tx::Sqlite(begin_sqlite(write).await?),
            Engine::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Begins a transaction that only reads, and so keeps no writer waiting.
    pub async fn begin_read(&self) -> Result<Tx> {
        Ok(match &self.engine {
            Engine::Sqlite { read, .. } => Tx::Sqlite(read.begin().await?),
            Engine::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Closes all connections, after what runs on them has ended.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}

/// Takes SQLite's write lock. Another process may hold it (an import from the command line beside
/// the service); SQLite's own wait asks ever more seldom, up to every 100 ms, and so misses the
/// gaps that bulk work leaves.
async fn begin_sqlite(pool: &SqlitePool) -> Result<Transaction<'static, Sqlite>> {
    let mut waited = Duration::ZERO;
    loop {
        match pool.begin_with("BEGIN IMMEDIATE").await {
            Err(sqlx::Error::Database(error))
                if is_sqlite_busy(&*error) && waited < WRITE_LOCK_PATIENCE =>
            {
                tokio::time::sleep(WRITE_LOCK_POLL).await;
                waited += WRITE_LOCK_POLL;
            }
            begun => return Ok(begun?),
        }
    }
}

/// The low byte of the extended code tells `SQLITE_BUSY`.
fn is_sqlite_busy(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

impl Tx {
    /// Makes the transaction durable.
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}
