use forewarn::store::Store;
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
    _dir: Option<tempfile::TempDir>,
}

/// A store of its own: a file for SQLite, a schema for PostgreSQL.
pub(crate) async fn store(backend: Backend) -> TestStore {
    match backend {
        Backend::Sqlite => {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&format!("sqlite://{}/t.db", dir.path().display()))
                .await
                .unwrap();
            TestStore {
                store,
                _dir: Some(dir),
            }
        }
        Backend::Postgres => {
            let options = PgConnectOptions::from_str(&postgres_schema_url().await).unwrap();
            let store = Store::open_postgres(options).await.unwrap();
            TestStore { store, _dir: None }
        }
    }
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
