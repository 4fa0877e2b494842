//! The lock that lets one service at a time work on a database.
//!
//! Invariant: while a service decides, it holds the lock. SQLite: an exclusive lock on a file beside
//! the database, which the operating system frees when the process ends. PostgreSQL: a session's
//! advisory lock, which the server frees when the connection ends; so the connection is watched.
//! Commands that only read or import take no lock.

use super::StoreError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;

/// Why the lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "another forewarn service works on this database: {holder}. Stop it first, or name another \
         database (database.url). {advice}"
    )]
    Held { holder: String, advice: String },
    #[error("the lock file {} cannot be used", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the lock of the database cannot be asked for")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for LockError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The lock is gone although nobody gave it back: another service may work on the database now.
#[derive(Debug, thiserror::Error)]
#[error(
    "the connection that held the database for this service is lost ({0}); another service may work \
     on it now, so this one decides nothing more. Start it again when the database answers"
)]
pub struct LockLost(String);

/// Proof that this service alone works on the database, until it is dropped.
#[derive(Debug)]
pub struct InstanceLock {
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// Open as long as the lock is to be held.
    Sqlite {
        _file: File,
    },
    Postgres(Mutex<PgConnection>),
}

/// First half of the key of the advisory lock, "FWRN"; the second is a hash of the schema.
const LOCK_CLASS: i32 = 0x4657_524E;
/// The server needs a moment to notice that a process was killed.
const LINGER_PATIENCE: Duration = Duration::from_secs(5);
const LINGER_POLL: Duration = Duration::from_millis(100);
/// How often PostgreSQL is asked whether the session is alive, and how long it may take to answer.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

impl InstanceLock {
    /// Locks `FILE.lock` for the database `FILE`, wherever the path leads.
    pub(super) fn sqlite(database: &Path) -> Result<Self, LockError> {
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| LockError::File { path, source }
        };
        let mut path = database
            .canonicalize()
            .map_err(wrong(database))?
            .into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        // Not truncated: who holds the lock has written its name there.
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(wrong(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    holder: named_in(&mut file),
                    advice: format!("The lock file is {}.", path.display()),
                });
            }
            Err(TryLockError::Error(source)) => return Err(LockError::File { path, source }),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(wrong(&path))?;
        Ok(Self {
            held: Held::Sqlite { _file: file },
        })
    }

    /// Takes the advisory lock of the schema on a connection of its own.
    pub(super) async fn postgres(options: &PgConnectOptions) -> Result<Self, LockError> {
        let name = format!("forewarn serve, process {}", std::process::id());
        let options = options.clone().application_name(&name);
        let mut connection = PgConnection::connect_with(&options).await?;
        let mut waited = Duration::ZERO;
        while !try_advisory_lock(&mut connection).await? {
            if waited >= LINGER_PATIENCE {
                let (holder, advice) = holder(&mut connection).await?;
                return Err(LockError::Held { holder, advice });
            }
            tokio::time::sleep(LINGER_POLL).await;
            waited += LINGER_POLL;
        }
        Ok(Self {
            held: Held::Postgres(Mutex::new(connection)),
        })
    }

    /// Ends when the lock is lost, and not before: SQLite's is never lost.
    pub async fn lost(&self) -> LockLost {
        let connection = match &self.held {
            Held::Sqlite { .. } => return std::future::pending().await,
            Held::Postgres(connection) => connection,
        };
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let mut connection = connection.lock().await;
            let answer = tokio::time::timeout(ANSWER_PATIENCE, connection.execute("SELECT 1"));
            match answer.await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return LockLost(error.to_string()),
                Err(_) => return LockLost("the database does not answer".to_owned()),
            }
        }
    }
}

/// Who has written its process number into the lock file.
fn named_in(file: &mut File) -> String {
    let mut text = String::new();
    // The holder may be writing just now; then its number is not known.
    let read = file
        .rewind()
        .and_then(|()| file.take(32).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(process)) => format!("process {process} on this machine"),
        _ => "a process that has not written its number yet".to_owned(),
    }
}

async fn try_advisory_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    const SQL: &str = "SELECT pg_try_advisory_lock($1, hashtext(current_schema()::text))";
    sqlx::query_scalar(SQL)
        .bind(LOCK_CLASS)
        .fetch_one(connection)
        .await
}

/// Who holds the lock, as far as the server says, and how to end its session if it is dead.
async fn holder(connection: &mut PgConnection) -> Result<(String, String), sqlx::Error> {
    const SQL: &str = "SELECT a.pid, a.application_name, host(a.client_addr) \
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 \
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
        AND l.classid = $1::oid AND l.objid = hashtext(current_schema()::text)::oid";
    let row: Option<(i32, Option<String>, Option<String>)> = sqlx::query_as(SQL)
        .bind(LOCK_CLASS)
        .fetch_optional(connection)
        .await?;
    let Some((session, name, address)) = row else {
        return Ok((
            "one that has just taken or given back the lock".to_owned(),
            String::new(),
        ));
    };
    let name = name
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "a process of another database user".to_owned());
    let address = address.unwrap_or_else(|| "this machine".to_owned());
    Ok((
        format!("{name} at {address}"),
        format!(
            "If that machine is dead, end its session: SELECT pg_terminate_backend({session})."
        ),
    ))
}
