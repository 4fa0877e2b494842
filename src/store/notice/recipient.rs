//! The people whom a plan is about.

use super::{OPTED_OUT, ROWS_PER_STATEMENT, read_quiet_hours, read_segment};
use crate::clock::Millis;
use crate::notice::{Arm, Recipient};
use crate::store::{Result, StoreError, Tx, on_tx};
use crate::subscriber::ChannelKind;
use crate::topology::SubscriberNo;
use sqlx::QueryBuilder;
use std::collections::BTreeMap;

const DAY_MS: Millis = 24 * 3_600_000;

#[allow(clippy::struct_excessive_bools, reason = "columns of a row")]
#[derive(Debug, sqlx::FromRow)]
struct RecipientRow {
    account: String,
    language: String,
    time_zone: String,
    segment: String,
    vulnerable: bool,
    consent: bool,
    quiet_hours: String,
    channels: String,
    has_email: bool,
    usable_email: bool,
    opted_out: bool,
}

impl RecipientRow {
    fn read(self) -> Result<Recipient> {
        let channels: Vec<ChannelKind> =
            serde_json::from_str(&self.channels).map_err(|error| StoreError::Corrupt {
                what: "subscriber.channels",
                reason: error.to_string(),
            })?;
        Ok(Recipient {
            account: self.account,
            language: self.language,
            time_zone: self.time_zone,
            segment: read_segment(&self.segment)?,
            vulnerable: self.vulnerable,
            consent: self.consent,
            quiet_hours: read_quiet_hours(&self.quiet_hours)?,
            channels,
            has_email: self.has_email,
            opted_out: self.opted_out,
            suppressed: self.has_email && !self.usable_email,
            sent_last_day: 0,
            cluster: String::new(),
            arm: Arm::NotAssigned,
            covered_by: None,
        })
    }
}

/// True when the person has an e-mail address.
const HAS_EMAIL: &str = "EXISTS (SELECT 1 FROM contact_point c WHERE c.version = s.version \
     AND c.subscriber_no = s.subscriber_no AND c.kind = 'email')";

/// True when one of them has not been refused for good.
const USABLE_EMAIL: &str = "EXISTS (SELECT 1 FROM contact_point c WHERE c.version = s.version \
     AND c.subscriber_no = s.subscriber_no AND c.kind = 'email' AND NOT EXISTS \
     (SELECT 1 FROM suppression p WHERE p.address_key = c.value_key))";

impl Tx {
    /// The people behind subscriber numbers of a version of the subscribers; numbers that do not
    /// exist there are left out. Cluster, arm and coverage are the caller's to fill in.
    pub async fn recipients(
        &mut self,
        subscribers_version: i64,
        numbers: &[SubscriberNo],
        now_ms: Millis,
    ) -> Result<Vec<Recipient>> {
        let mut recipients = Vec::with_capacity(numbers.len());
        for chunk in numbers.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<RecipientRow> = on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "SELECT s.account, s.language, s.time_zone, s.segment, s.vulnerable, s.consent, \
                     s.quiet_hours, s.channels, ");
                query.push(HAS_EMAIL).push(" AS has_email, ")
                    .push(USABLE_EMAIL).push(" AS usable_email, ")
                    .push(OPTED_OUT).push(" AS opted_out FROM subscriber s WHERE s.version = ")
                    .push_bind(subscribers_version).push(" AND s.subscriber_no IN (");
                let mut list = query.separated(", ");
                for number in chunk {
                    list.push_bind(i64::from(number.0));
                }
                query.push(")");
                query.build_query_as().fetch_all(conn).await?
            });
            let start = recipients.len();
            for row in rows {
                recipients.push(row.read()?);
            }
            self.fill_sent_last_day(&mut recipients[start..], now_ms)
                .await?;
        }
        Ok(recipients)
    }

    async fn fill_sent_last_day(
        &mut self,
        recipients: &mut [Recipient],
        now_ms: Millis,
    ) -> Result<()> {
        if recipients.is_empty() {
            return Ok(());
        }
        let counts: Vec<(String, i64)> = on_tx!(self, conn => {
            let mut query = QueryBuilder::new(
                "SELECT account, count(*) FROM notice WHERE state IN ('sent', 'delivered') \
                 AND stage IN ('first', 'update', 'estimate') AND sent_at_ms > ");
            query.push_bind(now_ms - DAY_MS).push(" AND account IN (");
            let mut list = query.separated(", ");
            for recipient in recipients.iter() {
                list.push_bind(&recipient.account);
            }
            query.push(") GROUP BY account");
            query.build_query_as().fetch_all(conn).await?
        });
        let counts: BTreeMap<String, i64> = counts.into_iter().collect();
        for recipient in recipients {
            let count = counts.get(&recipient.account).copied().unwrap_or(0);
            recipient.sent_last_day = u32::try_from(count).unwrap_or(u32::MAX);
        }
        Ok(())
    }
}
