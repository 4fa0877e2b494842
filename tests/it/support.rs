use forewarn::store::{KeyKind, PremisesPosition, Store, SubscriberKey, Tx};
use forewarn::subscriber::Subscriber;
use proptest::test_runner::Config as ProptestConfig;
use sqlx::Connection as _;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;
use uuid::Uuid;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

pub(crate) struct TestStore {
    pub(crate) store: Store,
    /// By which another connection finds the same tables.
    url: String,
    _dir: Option<tempfile::TempDir>,
}

/// A store of its own: a file for SQLite, a schema for PostgreSQL.
pub(crate) async fn store(backend: Backend) -> TestStore {
    match backend {
        Backend::Sqlite => {
            let dir = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}/t.db", dir.path().display());
            TestStore {
                store: Store::open(&url).await.unwrap(),
                url,
                _dir: Some(dir),
            }
        }
        Backend::Postgres => {
            let url = postgres_schema_url().await;
            // The name by which `cut_connections` finds them.
            let options = PgConnectOptions::from_str(&url)
                .unwrap()
                .application_name(schema_of(&url));
            TestStore {
                store: Store::open_postgres(options).await.unwrap(),
                url,
                _dir: None,
            }
        }
    }
}

/// Writes subscribers of a version with all that they are found by.
pub(crate) async fn insert_people(tx: &mut Tx, version: i64, people: &[Subscriber]) {
    tx.insert_subscribers(version, 0, people).await.unwrap();
    for kind in KeyKind::ALL {
        let keys = SubscriberKey::sorted(kind, people);
        tx.insert_subscriber_keys(version, &keys).await.unwrap();
    }
    let positions = PremisesPosition::sorted(people);
    tx.insert_subscriber_positions(version, &positions)
        .await
        .unwrap();
}

impl TestStore {
    /// Makes the database refuse to insert into a table where `condition` on `NEW` holds, as a full
    /// disk would: the transaction fails as a whole.
    pub(crate) async fn refuse_inserts(&self, table: &str, condition: &str) {
        self.execute(&if self.is_sqlite() {
            format!(
                "CREATE TRIGGER refused BEFORE INSERT ON {table} WHEN {condition}
                 BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
        } else {
            format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN RAISE EXCEPTION 'no room'; END $$;
                 CREATE TRIGGER refused BEFORE INSERT ON {table}
                 FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse()"
            )
        })
        .await;
    }

    /// Of these tables those whose rows PostgreSQL has not counted: its plans for them are guesses.
    pub(crate) async fn uncounted(&self, tables: &[&str]) -> Vec<String> {
        let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(
            "SELECT CAST(relname AS TEXT) FROM pg_class WHERE relname = ANY($1) \
             AND relnamespace = CAST(current_schema() AS regnamespace) AND reltuples <= 0",
        )
        .bind(tables)
        .fetch_all(&mut connection)
        .await
        .unwrap()
    }

    /// Takes that back.
    pub(crate) async fn accept_inserts(&self, table: &str) {
        let sql = if self.is_sqlite() {
            "DROP TRIGGER refused".to_owned()
        } else {
            format!("DROP TRIGGER refused ON {table}; DROP FUNCTION refuse()")
        };
        self.execute(&sql).await;
    }

    /// Ends every connection of the store to PostgreSQL, as a restart of the server does.
    pub(crate) async fn cut_connections(&self) {
        let schema = schema_of(&self.url);
        let url = self.url.split('?').next().unwrap();
        let mut admin = sqlx::PgConnection::connect(url).await.unwrap();
        let cut: Vec<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
        )
        .bind(schema)
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert!(!cut.is_empty(), "the store has connections");
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    async fn execute(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
    }
}

fn schema_of(url: &str) -> &str {
    url.rsplit("%3D").next().unwrap()
}

/// URL of a new, empty schema of the test server.
pub(crate) async fn postgres_schema_url() -> String {
    let url = std::env::var("TEST_POSTGRES_URL")
        .expect("TEST_POSTGRES_URL names a PostgreSQL; `make test` starts one");
    let schema = format!("t_{}", Uuid::from_u128(rand_u128()).simple());
    let admin = sqlx::PgPool::connect(&url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
        .execute(&admin)
        .await
        .unwrap();
    admin.close().await;
    format!("{url}?options=-c%20search_path%3D{schema}")
}

fn rand_u128() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let a = RandomState::new().hash_one(std::process::id());
    u128::from(a) << 64 | u128::from(RandomState::new().hash_one(a))
}

/// How many cases a property is tried on, times the `DRAWS` of the environment.
pub(crate) fn draws(cases: u32) -> ProptestConfig {
    let times = std::env::var("DRAWS");
    let times: u32 = times.map_or(1, |times| times.parse().expect("DRAWS is a number"));
    let times = |count: u32| count.saturating_mul(times);
    let once = ProptestConfig::default();
    ProptestConfig {
        cases: times(cases),
        max_local_rejects: times(once.max_local_rejects),
        max_global_rejects: times(once.max_global_rejects),
        ..once
    }
}
