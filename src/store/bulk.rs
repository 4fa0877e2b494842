//! Many rows in few statements: fixed-size multi-row inserts on SQLite, binary COPY on PostgreSQL;
//! and many rows as one value, because SQLite's driver hands each row from thread to thread.
//!
//! Invariant: the columns of the table, the calls on [`RowWriter`] and their order agree, for every
//! row. A text column must not hold U+0000: PostgreSQL refuses it.

use crate::store::{Engine, Result, Store, StoreError, Tx, on_read};
use serde::de::DeserializeOwned;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments as _, AssertSqlSafe};
use std::sync::Arc;
use uuid::Uuid;

/// A table and the columns that every row gives.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    pub(in crate::store) columns: &'static [&'static str],
}

/// Rows of one SQLite statement, where the limit of its parameters allows.
const ROWS_PER_STATEMENT: usize = 1_000;
/// Sizes of the statements for what is left over; few, so that all stay prepared.
const SMALLER_STATEMENTS: [usize; 3] = [100, 10, 1];
/// SQLite's limit of parameters in one statement.
const SQLITE_PARAMETERS: usize = 32_766;
/// COPY data is handed to the driver in pieces of about this many bytes.
const COPY_PIECE_BYTES: usize = 256 * 1024;

/// Takes the values of one row, in the order of the columns.
pub(in crate::store) struct RowWriter<'a> {
    target: Target<'a>,
    fields: usize,
    failed: Option<StoreError>,
}

enum Target<'a> {
    Sqlite(&'a mut SqliteArguments),
    /// Fields of the binary COPY format: length, then bytes in network order.
    Postgres(&'a mut Vec<u8>),
}

impl RowWriter<'_> {
    /// A 64-bit integer (BIGINT).
    pub(in crate::store) fn i64(&mut self, value: i64) {
        match &mut self.target {
            Target::Sqlite(arguments) => {
                let added = arguments.add(value);
                self.end(added);
            }
            Target::Postgres(buffer) => {
                buffer.extend_from_slice(&8_i32.to_be_bytes());
                buffer.extend_from_slice(&value.to_be_bytes());
                self.fields += 1;
            }
        }
    }

    /// A 64-bit integer (BIGINT), or NULL.
    pub(in crate::store) fn optional_i64(&mut self, value: Option<i64>) {
        if let Some(value) = value {
            return self.i64(value);
        }
        match &mut self.target {
            Target::Sqlite(arguments) => {
                let added = arguments.add(value);
                self.end(added);
            }
            Target::Postgres(_) => self.copy_null(),
        }
    }

    /// A 64-bit float (REAL, DOUBLE PRECISION), or NULL.
    pub(in crate::store) fn f64(&mut self, value: impl Into<Option<f64>>) {
        let value = value.into();
        match &mut self.target {
            Target::Sqlite(arguments) => {
                let added = arguments.add(value);
                self.end(added);
            }
            Target::Postgres(_) => match value {
                Some(value) => self.copy_bytes(&value.to_be_bytes()),
                None => self.copy_null(),
            },
        }
    }

    /// A truth value, or NULL.
    pub(in crate::store) fn bool(&mut self, value: impl Into<Option<bool>>) {
        let value = value.into();
        match &mut self.target {
            Target::Sqlite(arguments) => {
                let added = arguments.add(value);
                self.end(added);
            }
            Target::Postgres(_) => match value {
                Some(value) => self.copy_bytes(&[u8::from(value)]),
                None => self.copy_null(),
            },
        }
    }

    /// A text without U+0000, or NULL.
    pub(in crate::store) fn text<'t>(&mut self, value: impl Into<Option<&'t str>>) {
        let value = value.into();
        match &mut self.target {
            Target::Sqlite(arguments) => {
                // One allocation and copy; `&str` would make two.
                let added = arguments.add(value.map(Arc::<str>::from));
                self.end(added);
            }
            Target::Postgres(_) => match value {
                Some(value) => self.copy_bytes(value.as_bytes()),
                None => self.copy_null(),
            },
        }
    }

    /// A text that many rows share; not copied on its way to SQLite's driver.
    pub(in crate::store) fn shared_text(&mut self, value: &Arc<str>) {
        match &mut self.target {
            Target::Sqlite(arguments) => {
                let added = arguments.add(Arc::clone(value));
                self.end(added);
            }
            Target::Postgres(_) => self.copy_bytes(value.as_bytes()),
        }
    }

    /// An id (BLOB of 16 bytes, UUID).
    pub(in crate::store) fn uuid(&mut self, value: Uuid) {
        match &mut self.target {
            Target::Sqlite(arguments) => {
                let added = arguments.add(value);
                self.end(added);
            }
            Target::Postgres(_) => self.copy_bytes(value.as_bytes()),
        }
    }

    fn end(&mut self, added: std::result::Result<(), sqlx::error::BoxDynError>) {
        self.fields += 1;
        if let Err(error) = added {
            self.failed = Some(StoreError::Database(sqlx::Error::Encode(error)));
        }
    }

    fn copy_bytes(&mut self, bytes: &[u8]) {
        self.fields += 1;
        let Target::Postgres(buffer) = &mut self.target else {
            return;
        };
        if let Ok(length) = i32::try_from(bytes.len()) {
            buffer.extend_from_slice(&length.to_be_bytes());
            buffer.extend_from_slice(bytes);
        } else {
            self.failed = Some(StoreError::Database(sqlx::Error::Encode(
                "a value of 2 GiB or more cannot be stored".into(),
            )));
        }
    }

    fn copy_null(&mut self) {
        self.fields += 1;
        if let Target::Postgres(buffer) = &mut self.target {
            buffer.extend_from_slice(&(-1_i32).to_be_bytes());
        }
    }
}

/// Inserts the rows; `write` gives the values of one row.
pub(in crate::store) async fn insert<R: Sync>(
    tx: &mut Tx,
    table: Table,
    rows: &[R],
    write: impl Fn(&R, &mut RowWriter<'_>) + Sync,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    match tx {
        Tx::Sqlite(tx) => insert_sqlite(tx, table, "", rows, &write).await,
        Tx::Postgres(tx) => copy_postgres(tx, table.name, table, rows, &write).await,
    }
}

/// Inserts the rows, with an `ON CONFLICT` clause for those whose key exists. No two of the rows
/// may have the same key.
///
/// COPY knows no conflicts: on PostgreSQL the rows go through a table of the connection.
pub(in crate::store) async fn upsert<R: Sync>(
    tx: &mut Tx,
    table: Table,
    conflict: &str,
    rows: &[R],
    write: impl Fn(&R, &mut RowWriter<'_>) + Sync,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    match tx {
        Tx::Sqlite(tx) => insert_sqlite(tx, table, conflict, rows, &write).await,
        Tx::Postgres(tx) => {
            let staged = format!("{}_staged", table.name);
            let exists = "SELECT to_regclass('pg_temp.' || $1) IS NOT NULL";
            let exists: bool = sqlx::query_scalar(exists)
                .bind(&staged)
                .fetch_one(&mut **tx)
                .await?;
            if !exists {
                let create = format!(
                    "CREATE TEMP TABLE {staged} ON COMMIT DELETE ROWS AS SELECT {} FROM {} LIMIT 0",
                    table.columns.join(", "),
                    table.name
                );
                sqlx::query(AssertSqlSafe(create))
                    .execute(&mut **tx)
                    .await?;
            }
            copy_postgres(tx, &staged, table, rows, &write).await?;
            let columns = table.columns.join(", ");
            let move_over = format!(
                "INSERT INTO {} ({columns}) SELECT {columns} FROM {staged} {conflict}",
                table.name
            );
            sqlx::query(AssertSqlSafe(move_over))
                .execute(&mut **tx)
                .await?;
            // A transaction may plan several incidents.
            let clear = format!("TRUNCATE {staged}");
            sqlx::query(AssertSqlSafe(clear)).execute(&mut **tx).await?;
            Ok(())
        }
    }
}

fn write_row<R>(
    table: Table,
    target: Target<'_>,
    row: &R,
    write: &impl Fn(&R, &mut RowWriter<'_>),
) -> Result<()> {
    let mut writer = RowWriter {
        target,
        fields: 0,
        failed: None,
    };
    write(row, &mut writer);
    debug_assert_eq!(
        writer.fields,
        table.columns.len(),
        "values of a row of {}",
        table.name
    );
    writer.failed.map_or(Ok(()), Err)
}

async fn insert_sqlite<R>(
    conn: &mut SqliteConnection,
    table: Table,
    conflict: &str,
    rows: &[R],
    write: &impl Fn(&R, &mut RowWriter<'_>),
) -> Result<()> {
    let largest = ROWS_PER_STATEMENT.min(SQLITE_PARAMETERS / table.columns.len());
    let mut sql: Arc<str> = Arc::default();
    let mut sql_rows = 0;
    let mut portions = portions(rows, largest).into_iter();
    let mut next = portions.next().map(|p| (p, arguments_of(table, p, write)));
    while let Some((portion, arguments)) = next.take() {
        if sql_rows != portion.len() {
            sql_rows = portion.len();
            sql = sqlite_statement(table, conflict, sql_rows).into();
        }
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&sql)), arguments?);
        // The next values are made ready while the driver's thread writes these.
        let prepare = async { portions.next().map(|p| (p, arguments_of(table, p, write))) };
        let (executed, prepared) = tokio::join!(biased; query.execute(&mut *conn), prepare);
        executed?;
        next = prepared;
    }
    Ok(())
}

/// Rows in portions of the largest size, and what is left over in the smaller ones.
fn portions<R>(mut rows: &[R], largest: usize) -> Vec<&[R]> {
    let mut portions = Vec::with_capacity(rows.len() / largest.max(1) + 30);
    for size in std::iter::once(largest).chain(SMALLER_STATEMENTS) {
        while let Some((portion, rest)) = rows.split_at_checked(size) {
            portions.push(portion);
            rows = rest;
        }
    }
    portions
}

fn arguments_of<R>(
    table: Table,
    rows: &[R],
    write: &impl Fn(&R, &mut RowWriter<'_>),
) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * table.columns.len(), 0);
    for row in rows {
        write_row(table, Target::Sqlite(&mut arguments), row, write)?;
    }
    Ok(arguments)
}

/// Nameless parameters: named ones would be looked up by name for each value.
fn sqlite_statement(table: Table, conflict: &str, rows: usize) -> String {
    let row = format!("({})", vec!["?"; table.columns.len()].join(","));
    format!(
        "INSERT INTO {} ({}) VALUES {} {conflict}",
        table.name,
        table.columns.join(", "),
        vec![row.as_str(); rows].join(",")
    )
}

async fn copy_postgres<R>(
    conn: &mut PgConnection,
    into: &str,
    table: Table,
    rows: &[R],
    write: &impl Fn(&R, &mut RowWriter<'_>),
) -> Result<()> {
    let statement = format!(
        "COPY {into} ({}) FROM STDIN (FORMAT binary)",
        table.columns.join(", ")
    );
    let fields = i16::try_from(table.columns.len()).map_err(|_| StoreError::Corrupt {
        what: "table",
        reason: "more than 32,767 columns".to_owned(),
    })?;
    let mut copy = conn.copy_in_raw(&statement).await?;
    let mut buffer = Vec::with_capacity(COPY_PIECE_BYTES + 16 * 1024);
    // Signature, flags, length of the header extension.
    buffer.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for row in rows {
        buffer.extend_from_slice(&fields.to_be_bytes());
        write_row(table, Target::Postgres(&mut buffer), row, write)?;
        if buffer.len() >= COPY_PIECE_BYTES {
            copy.send(buffer.as_slice()).await?;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(buffer.as_slice()).await?;
    copy.finish().await?;
    Ok(())
}

/// Rows of a version of a dataset, to be read by their number.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct VersionedRows {
    pub(in crate::store) table: &'static str,
    /// Column that numbers the rows from 0, without gaps.
    pub(in crate::store) number: &'static str,
    /// What of a row is read besides its number. Truth values as 0 and 1; floating-point numbers
    /// come with 15 digits only from SQLite, which is a tenth of a micrometre of a position.
    pub(in crate::store) columns: &'static str,
    /// Columns by which rows of one number are sorted, each after a comma; none where there is one row
    /// for each number.
    pub(in crate::store) then: &'static str,
}

/// Rows that one statement reads: a few megabytes.
const ROWS_PER_READ: i64 = 20_000;

/// All rows of a version in the order of their numbers, each given to `take`: its number, then the
/// columns.
///
/// The database joins many rows into one JSON text; for a million rows of SQLite that takes a
/// quarter of the time of reading them one by one. Versions do not change, so that the reads need
/// no common snapshot.
pub(in crate::store) async fn read_version<R, T>(
    store: &Store,
    rows: VersionedRows,
    version: i64,
    take: fn(R) -> Result<T>,
) -> Result<Vec<T>>
where
    R: DeserializeOwned + 'static,
    T: Send + 'static,
{
    let mut all = Vec::new();
    loop {
        let from = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let text = read_text(store, rows, version, (from, from + ROWS_PER_READ)).await?;
        let read = tokio::task::spawn_blocking(move || {
            let page = text.rows::<R>()?;
            page.into_iter().map(take).collect::<Result<Vec<T>>>()
        });
        let page = read.await.map_err(|error| corrupt(rows, &error))??;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Rows as the database joined them.
pub(in crate::store) struct RowsText {
    of: VersionedRows,
    text: Option<String>,
}

impl RowsText {
    /// The rows, each its number and then the columns. Takes its time: a matter for a blocking thread.
    pub(in crate::store) fn rows<R: DeserializeOwned>(&self) -> Result<Vec<R>> {
        let text = self.text.as_deref().unwrap_or("[]");
        serde_json::from_str(text).map_err(|error| corrupt(self.of, &error))
    }
}

/// The rows of a version from a number on, before another one.
pub(in crate::store) async fn read_text(
    store: &Store,
    rows: VersionedRows,
    version: i64,
    (from, before): (i64, i64),
) -> Result<RowsText> {
    let sql = read_statement(&store.engine, rows);
    let text: Option<String> = on_read!(store, pool =>
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(version).bind(from).bind(before)
            .fetch_one(pool).await)?;
    Ok(RowsText { of: rows, text })
}

fn corrupt(rows: VersionedRows, error: &dyn std::error::Error) -> StoreError {
    StoreError::Corrupt {
        what: rows.table,
        reason: error.to_string(),
    }
}

fn read_statement(engine: &Engine, rows: VersionedRows) -> String {
    let VersionedRows {
        table,
        number,
        columns,
        then,
    } = rows;
    let among = format!("FROM {table} WHERE version = $1 AND {number} >= $2 AND {number} < $3");
    match engine {
        Engine::Sqlite { .. } => format!(
            "SELECT json_group_array(json_array({number}, {columns})) \
             FROM (SELECT * {among} ORDER BY {number}{then})"
        ),
        Engine::Postgres(_) => format!(
            "SELECT CAST(json_agg(json_build_array({number}, {columns}) ORDER BY {number}{then}) \
             AS TEXT) {among}"
        ),
    }
}
