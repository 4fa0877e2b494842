//! What client commands print: tables for people, one JSON object per record for scripts.

use super::client::ClientArgs;
use crate::clock::{Clock, Millis};
use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt::Display;
use std::io::Write as _;

/// How many records to list: of none a list would say that there are none.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number from 1 on".to_owned()),
        Ok(limit) => Ok(limit),
    }
}

/// How to print: for whom, and by which clock.
#[derive(Clone, Debug)]
pub struct Output {
    pub json: bool,
    pub now_ms: Millis,
    pub zone: TimeZone,
}

impl Output {
    /// As the caller asked, by the clock and zone of this machine.
    pub fn new(args: &ClientArgs) -> Self {
        Self {
            json: args.json,
            now_ms: Clock::System.now_ms(),
            zone: TimeZone::system(),
        }
    }

    /// One line of text.
    pub fn line(&self, text: impl Display) -> anyhow::Result<()> {
        line(text)
    }

    /// One record for scripts.
    pub fn record(&self, record: &serde_json::Value) -> anyhow::Result<()> {
        line(record)
    }

    /// Rows under a header, fitted to the terminal; `none` where there is no row.
    pub fn table(&self, header: &[&str], rows: Vec<Vec<String>>, none: &str) -> anyhow::Result<()> {
        if rows.is_empty() {
            return line(none);
        }
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(header.iter().copied())
            .add_rows(rows);
        line(table)
    }

    /// Says that a list goes on beyond its limit.
    pub fn more(&self, limit: usize) -> anyhow::Result<()> {
        if self.json {
            writeln!(
                std::io::stderr(),
                "stopped after {limit} records; --limit N gives more"
            )
            .context("cannot write to standard error")
        } else {
            line(format!("The first {limit}; --limit N shows more."))
        }
    }

    /// Names with their values, without a header; empty values are left out.
    pub fn facts(&self, facts: &[(&str, String)]) -> anyhow::Result<()> {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            table.add_row([*name, value.as_str()]);
        }
        line(table)
    }

    /// What the zone of the times is called: "Europe/Rome", or how far it is from UTC.
    pub fn zone_name(&self) -> String {
        let now = Timestamp::from_millisecond(self.now_ms).unwrap_or_default();
        let name = self.zone.iana_name().map(str::to_owned);
        name.unwrap_or_else(|| format!("UTC{}", self.zone.to_offset(now)))
    }

    /// "2026-03-10 14:05 (3 min ago)"; nothing for an instant that is not set.
    pub fn when(&self, at_ms: Millis) -> String {
        if at_ms == 0 {
            return String::new();
        }
        format!("{} ({})", self.local(at_ms), self.relative(at_ms))
    }

    /// "2026-03-10 14:05", "14:05" when it is today.
    pub fn local(&self, at_ms: Millis) -> String {
        let local = |ms| {
            let at = Timestamp::from_millisecond(ms).ok()?;
            Some(at.to_zoned(self.zone.clone()))
        };
        let Some(at) = local(at_ms) else {
            return format!("{at_ms} ms after 1970");
        };
        let pattern = if Some(at.date()) == local(self.now_ms).map(|now| now.date()) {
            "%H:%M"
        } else {
            "%Y-%m-%d %H:%M"
        };
        at.strftime(pattern).to_string()
    }

    /// "3 min ago", "in 2 h", "now".
    pub fn relative(&self, at_ms: Millis) -> String {
        let (distance, past) = (self.now_ms.abs_diff(at_ms), at_ms <= self.now_ms);
        if distance < 1_000 {
            return "now".to_owned();
        }
        let amount = amount(distance / 1_000);
        if past {
            format!("{amount} ago")
        } else {
            format!("in {amount}")
        }
    }

    /// "14:00 to 15:30 (in 30 min to 90 min)"; nothing when it is not set.
    pub fn range(&self, from_ms: Millis, to_ms: Millis) -> String {
        if to_ms == 0 {
            String::new()
        } else if from_ms == to_ms {
            self.when(to_ms)
        } else {
            let (from, to) = (self.local(from_ms), self.local(to_ms));
            let latest = amount(self.now_ms.abs_diff(to_ms) / 1_000);
            let relative = if to_ms <= self.now_ms {
                format!("{latest} ago")
            } else if from_ms <= self.now_ms {
                format!("within {latest}")
            } else {
                let earliest = amount(self.now_ms.abs_diff(from_ms) / 1_000);
                format!("in {earliest} to {latest}")
            };
            format!("{from} to {to} ({relative})")
        }
    }
}

/// "45 s", "90 min", "3 h 20 min", "15 h", "3 days".
fn amount(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..7_200 => format!("{} min", seconds / 60),
        7_200..36_000 => match (seconds / 3_600, seconds % 3_600 / 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        36_000..172_800 => format!("{} h", (seconds + 1_800) / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn line(text: impl Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}

/// An instant for scripts: `null` when it is not set.
pub fn instant(at_ms: Millis) -> Option<Millis> {
    (at_ms != 0).then_some(at_ms)
}

/// "12,345": digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_773_133_200_000;

    fn output() -> Output {
        Output {
            json: false,
            now_ms: NOW_MS,
            zone: TimeZone::get("Europe/Rome").unwrap(),
        }
    }

    #[test]
    fn times_are_local_and_relative() {
        let out = output();
        assert_eq!(out.when(0), "");
        assert_eq!(out.when(NOW_MS - 180_000), "09:57 (3 min ago)");
        assert_eq!(out.when(NOW_MS + 7_200_000), "12:00 (in 2 h)");
        assert_eq!(out.when(NOW_MS + 900), "10:00 (now)");
        assert_eq!(
            out.when(NOW_MS - 3 * 86_400_000),
            "2026-03-07 10:00 (3 days ago)"
        );
        let minute = 60_000;
        for (from, to, text) in [
            (1, 2, "10:01 to 10:02 (in 1 min to 2 min)"),
            (30, 90, "10:30 to 11:30 (in 30 min to 90 min)"),
            (60, 150, "11:00 to 12:30 (in 60 min to 2 h 30 min)"),
            (-10, 45, "09:50 to 10:45 (within 45 min)"),
            (-60, -20, "09:00 to 09:40 (20 min ago)"),
        ] {
            let range = out.range(NOW_MS + from * minute, NOW_MS + to * minute);
            assert_eq!(range, text);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
