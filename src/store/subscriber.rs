//! Tables `subscriber`, `contact_point`: the versions of the subscribers.

use super::bulk::{self, RowWriter, Table, VersionedRows};
use super::topology::{
    json_list, list_of, numbered, position, redundancy_name, redundancy_of, row_no, unknown,
};
use super::{Result, Store, StoreError, Tx, on_read};
use crate::subscriber::{
    ChannelKind, ContactKind, ContactPoint, QuietHours, Segment, Subscriber, contact_key,
};
use crate::topology::{Attachment, Position, SubscriberNo};

const SUBSCRIBER: Table = Table {
    name: "subscriber",
    columns: &[
        "version",
        "subscriber_no",
        "account",
        "name",
        "language",
        "time_zone",
        "segment",
        "vulnerable",
        "channels",
        "quiet_hours",
        "consent",
        "address",
        "latitude",
        "longitude",
        "served_by",
        "redundancy",
        "cpe_serial",
    ],
};
const CONTACT_POINT: Table = Table {
    name: "contact_point",
    columns: &[
        "version",
        "subscriber_no",
        "contact_no",
        "kind",
        "value",
        "value_key",
    ],
};

/// Subscribers that one read takes; versions do not change, so pages need no common snapshot.
const PAGE: i64 = 20_000;
/// Subscribers that one read by number names.
const NUMBERS_PER_STATEMENT: usize = 5_000;

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
/// A [`SubscriberRow`] without the position, truth values as 0 and 1.
type TextRow = (
    i64,
    String,
    String,
    String,
    String,
    String,
    u8,
    String,
    String,
    u8,
    String,
    String,
    String,
    String,
);

const SUBSCRIBER_COLUMNS: &str = "SELECT subscriber_no, account, name, language, time_zone, \
    segment, vulnerable, channels, quiet_hours, consent, address, latitude, longitude, served_by, \
    redundancy, cpe_serial FROM subscriber WHERE version = $1 AND subscriber_no ";
const CONTACT_COLUMNS: &str =
    "SELECT subscriber_no, kind, value FROM contact_point WHERE version = $1 AND subscriber_no ";

impl Store {
    /// What serves each subscriber of a version; the index is the subscriber's number.
    pub async fn load_attachments(&self, version: i64) -> Result<Vec<Attachment>> {
        const ROWS: VersionedRows = VersionedRows {
            table: "subscriber",
            number: "subscriber_no",
            columns: "account, served_by, redundancy",
            then: "",
        };
        let numbered = bulk::read_version(self, ROWS, version, attachment).await?;
        let mut all = Vec::with_capacity(numbered.len());
        for (number, attachment) in numbered {
            check_dense(number, all.len())?;
            all.push(attachment);
        }
        Ok(all)
    }

    /// Where the premises of each subscriber of a version are; the index is the subscriber's number.
    pub async fn load_positions(&self, version: i64) -> Result<Vec<Option<Position>>> {
        const ROWS: VersionedRows = VersionedRows {
            table: "subscriber",
            number: "subscriber_no",
            columns: "latitude, longitude",
            then: "",
        };
        type Row = (i64, Option<f64>, Option<f64>);
        let numbered = bulk::read_version(self, ROWS, version, |row: Row| {
            Ok((row.0, position(row.1, row.2)))
        });
        let mut all = Vec::new();
        for (number, position) in numbered.await? {
            check_dense(number, all.len())?;
            all.push(position);
        }
        Ok(all)
    }

    /// Up to 20,000 subscribers of a version from a number on, in order; empty at the end.
    pub async fn subscriber_page(
        &self,
        version: i64,
        from: SubscriberNo,
    ) -> Result<Vec<Subscriber>> {
        let range = (i64::from(from.0), i64::from(from.0) + PAGE);
        let page = match &self.engine {
            super::Engine::Sqlite { .. } => self.page_of_texts(version, range).await?,
            super::Engine::Postgres(_) => self.page_of_rows(version, range).await?,
        };
        Ok(page.into_iter().map(|(_, subscriber)| subscriber).collect())
    }

    /// The page as rows: PostgreSQL takes longer to join them into texts than to send them.
    async fn page_of_rows(
        &self,
        version: i64,
        (from, before): (i64, i64),
    ) -> Result<Vec<(SubscriberNo, Subscriber)>> {
        let among = ">= $2 AND subscriber_no < $3 ORDER BY subscriber_no";
        let subscribers = format!("{SUBSCRIBER_COLUMNS}{among}");
        let contacts = format!("{CONTACT_COLUMNS}{among}, contact_no");
        let rows: Vec<SubscriberRow> = on_read!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(subscribers))
                .bind(version).bind(from).bind(before).fetch_all(pool).await)?;
        let points: Vec<ContactRow> = on_read!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(contacts))
                .bind(version).bind(from).bind(before).fetch_all(pool).await)?;
        join(rows, points)
    }

    /// The page as joined texts: SQLite hands single rows from thread to thread.
    async fn page_of_texts(
        &self,
        version: i64,
        range: (i64, i64),
    ) -> Result<Vec<(SubscriberNo, Subscriber)>> {
        const TEXTS: VersionedRows = VersionedRows {
            table: "subscriber",
            number: "subscriber_no",
            columns: "account, name, language, time_zone, segment, \
                CASE WHEN vulnerable THEN 1 ELSE 0 END, channels, quiet_hours, \
                CASE WHEN consent THEN 1 ELSE 0 END, address, served_by, redundancy, cpe_serial",
            then: "",
        };
        const CONTACTS: VersionedRows = VersionedRows {
            table: "contact_point",
            number: "subscriber_no",
            columns: "kind, value",
            then: ", contact_no",
        };
        // By themselves, because texts of numbers do not give all digits back.
        const POSITIONS: &str = "SELECT latitude, longitude FROM subscriber \
            WHERE version = $1 AND subscriber_no >= $2 AND subscriber_no < $3 ORDER BY subscriber_no";
        let (texts, contacts, positions) = tokio::try_join!(
            bulk::read_text(self, TEXTS, version, range),
            bulk::read_text(self, CONTACTS, version, range),
            async {
                let positions: Vec<(Option<f64>, Option<f64>)> = on_read!(self, pool =>
                    sqlx::query_as(POSITIONS).bind(version).bind(range.0).bind(range.1)
                        .fetch_all(pool).await)?;
                Ok(positions)
            },
        )?;
        let read = tokio::task::spawn_blocking(move || {
            let texts: Vec<TextRow> = texts.rows()?;
            if texts.len() != positions.len() {
                return Err(StoreError::Corrupt {
                    what: "subscriber",
                    reason: "a version changed while it was read".to_owned(),
                });
            }
            let rows = texts.into_iter().zip(positions).map(with_position);
            join(rows.collect(), contacts.rows()?)
        });
        read.await.map_err(|error| StoreError::Corrupt {
            what: "subscriber",
            reason: error.to_string(),
        })?
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
    /// Writes subscribers of a version with their contact points, numbered from `first_no`. What they
    /// are found by is written apart ([`super::SubscriberKey`], [`super::PremisesPosition`]).
    pub async fn insert_subscribers(
        &mut self,
        version: i64,
        first_no: usize,
        subscribers: &[Subscriber],
    ) -> Result<()> {
        let rows = numbered(subscribers, first_no);
        bulk::insert(self, SUBSCRIBER, &rows, |&(number, subscriber), row| {
            row.i64(version);
            row.i64(number);
            write_subscriber(subscriber, row);
        })
        .await?;
        let points: Vec<(i64, i64, &ContactPoint)> = rows
            .iter()
            .flat_map(|&(number, subscriber)| {
                let of_one = (0_i64..).zip(&subscriber.contact_points);
                of_one.map(move |(contact_no, point)| (number, contact_no, point))
            })
            .collect();
        bulk::insert(
            self,
            CONTACT_POINT,
            &points,
            |&(number, contact_no, point), row| {
                row.i64(version);
                row.i64(number);
                row.i64(contact_no);
                row.text(point.kind.as_str());
                row.text(point.value.as_str());
                row.text(contact_key(point.kind, &point.value).as_str());
            },
        )
        .await
    }
}

fn write_subscriber(subscriber: &Subscriber, row: &mut RowWriter<'_>) {
    let quiet_hours = subscriber.quiet_hours.map(|hours| hours.to_string());
    row.text(subscriber.account.as_str());
    row.text(subscriber.name.as_str());
    row.text(subscriber.language.as_str());
    row.text(subscriber.time_zone.as_str());
    row.text(subscriber.segment.as_str());
    row.bool(subscriber.vulnerable);
    row.text(json_list(subscriber.channels.iter().map(|c| c.as_str())).as_str());
    row.text(quiet_hours.as_deref().unwrap_or_default());
    row.bool(subscriber.consent);
    row.text(subscriber.address.as_str());
    row.f64(subscriber.position.map(|p| p.latitude));
    row.f64(subscriber.position.map(|p| p.longitude));
    row.text(json_list(subscriber.served_by.iter().map(String::as_str)).as_str());
    row.text(redundancy_name(subscriber.redundancy));
    row.text(subscriber.cpe_serial.as_str());
}

fn with_position(
    (row, (latitude, longitude)): (TextRow, (Option<f64>, Option<f64>)),
) -> SubscriberRow {
    let (no, account, name, language, time_zone, segment, vulnerable, channels, quiet_hours, ..) =
        row;
    let (.., consent, address, served_by, redundancy, cpe_serial) = row;
    (
        no,
        account,
        name,
        language,
        time_zone,
        segment,
        vulnerable == 1,
        channels,
        quiet_hours,
        consent == 1,
        address,
        latitude,
        longitude,
        served_by,
        redundancy,
        cpe_serial,
    )
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

fn attachment(row: (i64, String, String, String)) -> Result<(i64, Attachment)> {
    let (number, account, served_by, redundancy) = row;
    let attachment = Attachment {
        account,
        served_by: list_of("serving elements", &served_by)?,
        redundancy: redundancy_of(&redundancy)?,
    };
    Ok((number, attachment))
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
