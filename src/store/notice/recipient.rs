//! The people whom a plan is about.

use super::{OPTED_OUT, PEOPLE_PER_STATEMENT, read_quiet_hours, read_segment};
use crate::clock::Millis;
use crate::notice::{Arm, Recipient};
use crate::store::{Result, StoreError, Tx, list, on_tx};
use crate::subscriber::ChannelKind;
use crate::topology::SubscriberNo;
use sqlx::AssertSqlSafe;
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
            lost_since_ms: None,
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
        let listed = self.listed();
        let sql = format!(
            "SELECT s.account, s.language, s.time_zone, s.segment, s.vulnerable, s.consent, \
             s.quiet_hours, s.channels, {HAS_EMAIL} AS has_email, {USABLE_EMAIL} AS usable_email, \
             {OPTED_OUT} AS opted_out FROM {} ORDER BY s.subscriber_no",
            listed.rows(
                "subscriber",
                "s",
                "s.version = $2 AND s.subscriber_no = CAST(listed.value AS BIGINT)"
            )
        );
        let mut recipients = Vec::with_capacity(numbers.len());
        for chunk in numbers.chunks(PEOPLE_PER_STATEMENT) {
            let list = list::numbers(chunk.iter().map(|number| i64::from(number.0)));
            let rows: Vec<RecipientRow> = on_tx!(self, conn =>
                sqlx::query_as(AssertSqlSafe(sql.as_str())).persistent(listed.keeps_plan())
                    .bind(list).bind(subscribers_version)
                    .fetch_all(conn).await)?;
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
        let listed = self.listed();
        let sql = format!(
            "SELECT n.account, count(*) FROM {} GROUP BY n.account",
            listed.rows(
                "notice",
                "n",
                "n.account = listed.value AND n.state IN ('sent', 'delivered') \
                 AND n.stage IN ('first', 'update', 'estimate') AND n.sent_at_ms > $2"
            )
        );
        let accounts: Vec<&str> = recipients.iter().map(|r| r.account.as_str()).collect();
        let counts: Vec<(String, i64)> = on_tx!(self, conn =>
            sqlx::query_as(AssertSqlSafe(sql)).persistent(listed.keeps_plan())
                .bind(list::texts(&accounts)).bind(now_ms - DAY_MS)
                .fetch_all(conn).await)?;
        let counts: BTreeMap<String, i64> = counts.into_iter().collect();
        for recipient in recipients {
            let count = counts.get(&recipient.account).copied().unwrap_or(0);
            recipient.sent_last_day = u32::try_from(count).unwrap_or(u32::MAX);
        }
        Ok(())
    }
}
