//! Many rows in few statements: fixed-size multi-row inserts on SQLite, binary COPY on PostgreSQL.
//!
//! Invariant: the columns of the table, the calls on [`RowWriter`] and their order agree, for every
//! row. A text column must not hold U+0000: PostgreSQL refuses it.

use crate::store::{Result, StoreError, Tx};
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
    #[allow(dead_code, reason = "for tables with ids: notices")]
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
        Tx::Sqlite(tx) => insert_sqlite(tx, table, rows, &write).await,
        Tx::Postgres(tx) => copy_postgres(tx, table, rows, &write).await,
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
    mut rows: &[R],
    write: &impl Fn(&R, &mut RowWriter<'_>),
) -> Result<()> {
    let largest = ROWS_PER_STATEMENT.min(SQLITE_PARAMETERS / table.columns.len());
    for size in std::iter::once(largest).chain(SMALLER_STATEMENTS) {
        if rows.len() < size {
            continue;
        }
        let sql: Arc<str> = sqlite_statement(table, size).into();
        while rows.len() >= size {
            let (chunk, rest) = rows.split_at(size);
            let mut arguments = SqliteArguments::default();
            arguments.reserve(size * table.columns.len(), 0);
            for row in chunk {
                write_row(table, Target::Sqlite(&mut arguments), row, write)?;
            }
            sqlx::query_with(AssertSqlSafe(Arc::clone(&sql)), arguments)
                .execute(&mut *conn)
                .await?;
            rows = rest;
        }
    }
    Ok(())
}

/// Nameless parameters: named ones would be looked up by name for each value.
fn sqlite_statement(table: Table, rows: usize) -> String {
    let row = format!("({})", vec!["?"; table.columns.len()].join(","));
    format!(
        "INSERT INTO {} ({}) VALUES {}",
        table.name,
        table.columns.join(", "),
        vec![row.as_str(); rows].join(",")
    )
}

async fn copy_postgres<R>(
    conn: &mut PgConnection,
    table: Table,
    rows: &[R],
    write: &impl Fn(&R, &mut RowWriter<'_>),
) -> Result<()> {
    let statement = format!(
        "COPY {} ({}) FROM STDIN (FORMAT binary)",
        table.name,
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
