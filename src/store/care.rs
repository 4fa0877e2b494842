//! Accounts by whatever an agent can type, in the current version of the subscribers.

use super::{KeyKind, Result, Store, StoreError, on_read};
use crate::care::{Customer, SearchKey};
use crate::subscriber::Segment;
use sqlx::QueryBuilder;

/// Sorts after every text that begins with what stands before it.
const LAST_CHAR: char = '\u{10FFFF}';

type CustomerRow = (String, String, String, String, String, String, bool);

const COLUMNS: &str = "SELECT s.account, s.name, s.address, s.language, s.time_zone, s.segment, \
    s.vulnerable FROM subscriber s ";
const BY_KEY: &str = "JOIN subscriber_key k \
    ON k.version = s.version AND k.subscriber_no = s.subscriber_no \
    WHERE k.version = (SELECT version FROM dataset WHERE kind = 'subscribers') ";
const BY_EQUAL_KEY: &str = "JOIN subscriber_key k \
    ON k.version = s.version AND k.subscriber_no = s.subscriber_no \
    WHERE k.version = (SELECT version FROM dataset WHERE kind = 'subscribers') \
    AND k.key = $1 AND k.kind = $2 ORDER BY s.account LIMIT $3";
/// The plus keeps SQLite, which knows nothing of the data, from reading the whole version by its key
/// instead of the few rows that an index finds.
pub(super) const CURRENT: &str =
    " AND +s.version = (SELECT version FROM dataset WHERE kind = 'subscribers') ";

impl Store {
    /// Up to `limit` accounts that a key finds.
    pub async fn find_customers(&self, key: &SearchKey, limit: i64) -> Result<Vec<Customer>> {
        let (sql, first, second) = match key {
            SearchKey::Account(text) => (
                format!("{COLUMNS}WHERE s.account IN ($1, $2){CURRENT}ORDER BY s.account LIMIT $3"),
                text.clone(),
                text.to_uppercase(),
            ),
            SearchKey::CpeSerial(value) => (
                format!("{COLUMNS}{BY_EQUAL_KEY}"),
                value.clone(),
                KeyKind::CpeSerial.as_str().to_owned(),
            ),
            SearchKey::Email(value) => (
                format!("{COLUMNS}{BY_EQUAL_KEY}"),
                value.clone(),
                KeyKind::Email.as_str().to_owned(),
            ),
            SearchKey::Phone(value) => (
                format!("{COLUMNS}{BY_EQUAL_KEY}"),
                value.clone(),
                KeyKind::Phone.as_str().to_owned(),
            ),
            SearchKey::Address(prefix) => (
                format!(
                    "{COLUMNS}{BY_KEY}AND k.kind = 'address' AND k.key >= $1 AND k.key < $2 \
                     ORDER BY k.key, k.subscriber_no LIMIT $3"
                ),
                prefix.clone(),
                format!("{prefix}{LAST_CHAR}"),
            ),
        };
        let rows: Vec<CustomerRow> = on_read!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .bind(first)
                .bind(second)
                .bind(limit)
                .fetch_all(pool)
                .await)?;
        rows.into_iter().map(customer).collect()
    }

    /// Those of the accounts (at most 1,000) that exist, by account.
    pub async fn customers_by_account(&self, accounts: &[String]) -> Result<Vec<Customer>> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<CustomerRow> = on_read!(self, pool => {
            let mut query = QueryBuilder::new(COLUMNS);
            query.push("WHERE s.account IN (");
            let mut list = query.separated(", ");
            for account in accounts {
                list.push_bind(account.as_str());
            }
            query.push(")").push(CURRENT).push("ORDER BY s.account");
            query.build_query_as().fetch_all(pool).await
        })?;
        rows.into_iter().map(customer).collect()
    }
}

fn customer(row: CustomerRow) -> Result<Customer> {
    let (account, name, address, language, time_zone, segment, vulnerable) = row;
    Ok(Customer {
        account,
        name,
        address,
        language,
        time_zone,
        segment: Segment::parse(&segment).ok_or_else(|| StoreError::Corrupt {
            what: "subscriber",
            reason: format!("unknown segment `{segment}`"),
        })?,
        vulnerable,
    })
}
