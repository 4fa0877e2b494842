//! Tables `subscriber`, `contact_point`: the versions of the subscribers.

use super::topology::{
    json_list, list_of, numbered, position, redundancy_name, redundancy_of, row_no, unknown,
};
use super::{Result, Store, StoreError, Tx, on_read, on_tx};
use crate::subscriber::{
    ChannelKind, ContactKind, ContactPoint, QuietHours, Segment, Subscriber, address_key,
    contact_key,
};
use crate::topology::{Attachment, SubscriberNo};
use sqlx::QueryBuilder;

/// Subscribers that one read takes; versions do not change, so pages need no common snapshot.
const PAGE: i64 = 20_000;
/// Subscribers that one read by number names.
const NUMBERS_PER_STATEMENT: usize = 5_000;
/// Rows per statement: 6 binds each.
const CONTACTS_PER_STATEMENT: usize = 1_000;

type SubscriberRow = (
    i64,
    String,
    String,
    String,
    String,
    String,
    bool,
    String,
    String,
    bool,
    String,
    Option<f64>,
    Option<f64>,
    String,
    String,
    String,
);
type ContactRow = (i64, String, String);

const SUBSCRIBER_COLUMNS: &str = "SELECT subscriber_no, account, name, language, time_zone, \
    segment, vulnerable, channels, quiet_hours, consent, address, latitude, longitude, served_by, \
    redundancy, cpe_serial FROM subscriber WHERE version = $1 AND subscriber_no ";
const CONTACT_COLUMNS: &str =
    "SELECT subscriber_no, kind, value FROM contact_point WHERE version = $1 AND subscriber_no ";

impl Store {
    /// What serves each subscriber of a version; the index is the subscriber's number.
    pub async fn load_attachments(&self, version: i64) -> Result<Vec<Attachment>> {
        const SQL: &str = "SELECT subscriber_no, account, served_by, redundancy FROM subscriber \
            WHERE version = $1 AND subscriber_no >= $2 AND subscriber_no < $3 \
            ORDER BY subscriber_no";
        let mut all = Vec::new();
        loop {
            let from = row_no(all.len());
            let page: Vec<(i64, String, String, String)> = on_read!(self, pool =>
                sqlx::query_as(SQL).bind(version).bind(from).bind(from + PAGE)
                    .fetch_all(pool).await)?;
            if page.is_empty() {
                return Ok(all);
            }
            for (number, account, served_by, redundancy) in page {
                check_dense(number, all.len())?;
                all.push(Attachment {
                    account,
                    served_by: list_of("serving elements", &served_by)?,
                    redundancy: redundancy_of(&redundancy)?,
                });
            }
        }
    }

    /// Up to 20,000 subscribers of a version from a number on, in order; empty at the end.
    pub async fn subscriber_page(
        &self,
        version: i64,
        from: SubscriberNo,
    ) -> Result<Vec<Subscriber>> {
        let (from, to) = (i64::from(from.0), i64::from(from.0) + PAGE);
        let condition = ">= $2 AND subscriber_no < $3 ORDER BY subscriber_no";
        let subscribers = format!("{SUBSCRIBER_COLUMNS}{condition}");
        let contacts = format!("{CONTACT_COLUMNS}{condition}, contact_no");
        let rows: Vec<SubscriberRow> = on_read!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(subscribers))
                .bind(version).bind(from).bind(to).fetch_all(pool).await)?;
        let points: Vec<ContactRow> = on_read!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(contacts))
                .bind(version).bind(from).bind(to).fetch_all(pool).await)?;
        let page = join(rows, points)?;
        Ok(page.into_iter().map(|(_, subscriber)| subscriber).collect())
    }

    /// One subscriber of a version.
    pub async fn subscriber_by_no(
        &self,
        version: i64,
        number: SubscriberNo,
    ) -> Result<Option<Subscriber>> {
        let mut found = self.subscribers_by_no(version, &[number]).await?;
        Ok(found.pop().map(|(_, subscriber)| subscriber))
    }

    /// The named subscribers of a version, by number; numbers that do not exist are left out.
    pub async fn subscribers_by_no(
        &self,
        version: i64,
        numbers: &[SubscriberNo],
    ) -> Result<Vec<(SubscriberNo, Subscriber)>> {
        let mut all = Vec::with_capacity(numbers.len());
        for chunk in numbers.chunks(NUMBERS_PER_STATEMENT) {
            all.extend(self.subscribers_chunk(version, chunk).await?);
        }
        all.sort_unstable_by_key(|(number, _)| *number);
        all.dedup_by_key(|(number, _)| *number);
        Ok(all)
    }

    async fn subscribers_chunk(
        &self,
        version: i64,
        numbers: &[SubscriberNo],
    ) -> Result<Vec<(SubscriberNo, Subscriber)>> {
        // One bind for the whole list keeps the statement the same for every length.
        let list: Vec<String> = numbers.iter().map(|number| number.0.to_string()).collect();
        let (list, among) = match &self.engine {
            super::Engine::Sqlite { .. } => (
                format!("[{}]", list.join(",")),
                "IN (SELECT value FROM json_each($2))",
            ),
            super::Engine::Postgres(_) => (
                format!("{{{}}}", list.join(",")),
                "= ANY (CAST(CAST($2 AS TEXT) AS BIGINT[]))",
            ),
        };
        let subscribers = format!("{SUBSCRIBER_COLUMNS}{among} ORDER BY subscriber_no");
        let contacts = format!("{CONTACT_COLUMNS}{among} ORDER BY subscriber_no, contact_no");
        let rows: Vec<SubscriberRow> = on_read!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(subscribers))
                .bind(version).bind(&list).fetch_all(pool).await)?;
        let points: Vec<ContactRow> = on_read!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(contacts))
                .bind(version).bind(&list).fetch_all(pool).await)?;
        join(rows, points)
    }
}

impl Tx {
    /// Writes subscribers of a version with their contact points, numbered from `first_no`.
    pub async fn insert_subscribers(
        &mut self,
        version: i64,
        first_no: usize,
        subscribers: &[Subscriber],
    ) -> Result<()> {
        for (chunk, numbers) in numbered(subscribers, first_no) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "INSERT INTO subscriber (version, subscriber_no, account, name, language, \
                     time_zone, segment, vulnerable, channels, quiet_hours, consent, address, \
                     address_key, latitude, longitude, served_by, redundancy, cpe_serial) ",
                );
                query.push_values(chunk.iter().zip(numbers), |mut row, (s, number)| {
                    row.push_bind(version)
                        .push_bind(number)
                        .push_bind(s.account.as_str())
                        .push_bind(s.name.as_str())
                        .push_bind(s.language.as_str())
                        .push_bind(s.time_zone.as_str())
                        .push_bind(s.segment.as_str())
                        .push_bind(s.vulnerable)
                        .push_bind(json_list(s.channels.iter().map(|c| c.as_str())))
                        .push_bind(s.quiet_hours.map(|q| q.to_string()).unwrap_or_default())
                        .push_bind(s.consent)
                        .push_bind(s.address.as_str())
                        .push_bind(address_key(&s.address))
                        .push_bind(s.position.map(|p| p.latitude))
                        .push_bind(s.position.map(|p| p.longitude))
                        .push_bind(json_list(s.served_by.iter().map(String::as_str)))
                        .push_bind(redundancy_name(s.redundancy))
                        .push_bind(s.cpe_serial.as_str());
                });
                query.build().execute(conn).await?;
            });
        }
        self.insert_contact_points(version, first_no, subscribers)
            .await
    }

    async fn insert_contact_points(
        &mut self,
        version: i64,
        first_no: usize,
        subscribers: &[Subscriber],
    ) -> Result<()> {
        let points: Vec<(i64, i64, &ContactPoint)> = subscribers
            .iter()
            .zip(row_no(first_no)..)
            .flat_map(|(s, number)| {
                let of_one = s.contact_points.iter().zip(0_i64..);
                of_one.map(move |(point, contact_no)| (number, contact_no, point))
            })
            .collect();
        for chunk in points.chunks(CONTACTS_PER_STATEMENT) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "INSERT INTO contact_point (version, subscriber_no, contact_no, kind, value, \
                     value_key) ",
                );
                query.push_values(chunk, |mut row, (number, contact_no, point)| {
                    row.push_bind(version)
                        .push_bind(*number)
                        .push_bind(*contact_no)
                        .push_bind(point.kind.as_str())
                        .push_bind(point.value.as_str())
                        .push_bind(contact_key(point.kind, &point.value));
                });
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }
}

/// Puts contact points to their subscribers; both are sorted by subscriber number.
fn join(
    rows: Vec<SubscriberRow>,
    points: Vec<ContactRow>,
) -> Result<Vec<(SubscriberNo, Subscriber)>> {
    let mut points = points.into_iter().peekable();
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let number = row.0;
        let mut subscriber = subscriber(row)?;
        while let Some((_, kind, value)) = points.next_if(|point| point.0 == number) {
            let kind = ContactKind::parse(&kind).ok_or_else(|| unknown("contact kind", &kind))?;
            subscriber.contact_points.push(ContactPoint { kind, value });
        }
        let number = u32::try_from(number).map_err(|_| out_of_range(number))?;
        all.push((SubscriberNo(number), subscriber));
    }
    Ok(all)
}

fn subscriber(row: SubscriberRow) -> Result<Subscriber> {
    let channels = list_of("channels", &row.7)?
        .iter()
        .map(|name| ChannelKind::parse(name).ok_or_else(|| unknown("channel", name)))
        .collect::<Result<_>>()?;
    let quiet_hours = match row.8.as_str() {
        "" => None,
        text => Some(QuietHours::parse(text).ok_or_else(|| unknown("quiet hours", text))?),
    };
    Ok(Subscriber {
        account: row.1,
        name: row.2,
        language: row.3,
        time_zone: row.4,
        segment: Segment::parse(&row.5).ok_or_else(|| unknown("segment", &row.5))?,
        vulnerable: row.6,
        contact_points: Vec::new(),
        channels,
        quiet_hours,
        consent: row.9,
        address: row.10,
        position: position(row.11, row.12),
        served_by: list_of("serving elements", &row.13)?,
        redundancy: redundancy_of(&row.14)?,
        cpe_serial: row.15,
    })
}

/// Numbers are indexes: a gap would shift every subscriber after it.
fn check_dense(number: i64, index: usize) -> Result<()> {
    if number == row_no(index) {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        what: "subscriber numbers",
        reason: format!("number {number} stands where {index} was expected"),
    })
}

fn out_of_range(number: i64) -> StoreError {
    StoreError::Corrupt {
        what: "subscriber number",
        reason: format!("{number} is not a number of 32 bits"),
    }
}
