//! `forewarn incident eta`: an estimated time of restoration as people write it.

use super::incident::incident_id;
use crate::clock::Millis;
use anyhow::anyhow;
use clap::{ArgGroup, Args};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};

/// Two times of the clock are never further apart than this: the second is mistyped then.
const LONGEST_SPAN: SignedDuration = SignedDuration::from_hours(18);

/// Arguments of `forewarn incident eta`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    forewarn incident eta INC-4 --from 14:00 --to 15:30\n  \
    forewarn incident eta INC-4 --in 30m..90m\n  \
    forewarn incident eta INC-4 --withdraw")]
#[command(override_usage = "forewarn incident eta [OPTIONS] <INCIDENT> \
    (--in <DURATIONS> | --from <TIME> --to <TIME> | --withdraw)")]
#[command(group = ArgGroup::new("estimate").args(["within", "from", "withdraw"]).required(true))]
#[group(skip)]
pub struct EtaArgs {
    #[arg(value_parser = incident_id, value_name = "INCIDENT")]
    pub id: String,
    /// Earliest time: 14:00 (the next time the clock shows it, if that is within 18 hours),
    /// 2026-03-10T14:00, or with a zone
    #[arg(long, value_name = "TIME", requires = "to")]
    pub from: Option<String>,
    /// Latest time
    #[arg(long, value_name = "TIME", requires = "from")]
    pub to: Option<String>,
    /// Earliest and latest from now on: 30m..90m, 1h..2h30m, or one duration
    #[arg(long = "in", value_name = "DURATIONS")]
    pub within: Option<String>,
    /// Take the estimate back: nobody knows
    #[arg(long)]
    pub withdraw: bool,
}

/// The range that the arguments mean; two zeros withdraw the estimate.
pub fn range(args: &EtaArgs, now_ms: Millis, zone: &TimeZone) -> anyhow::Result<(Millis, Millis)> {
    if let (Some(from), Some(to)) = (&args.from, &args.to) {
        let now = Timestamp::from_millisecond(now_ms)?.to_zoned(zone.clone());
        let is_clock = |text: &str| !text.contains('-');
        let both = format!("--from {from} --to {to}");
        let is_spanned = is_clock(from) && is_clock(to);
        let is_next = is_clock(from);
        let from = instant(from, &now)?;
        if is_next && now.duration_until(&from) > LONGEST_SPAN {
            return Err(anyhow!(
                "{both}: the earliest time is past today; if the next day is meant, write the \
                 day too, as in {}; if it has begun, write --in with what is left",
                from.strftime("%Y-%m-%dT%H:%M")
            ));
        }
        let to = instant(to, &from)?;
        if is_spanned && from.duration_until(&to) > LONGEST_SPAN {
            return Err(anyhow!(
                "{both}: the latest time is before the earliest; if the next day is meant, \
                 write the days too, as in 2026-03-10T14:00"
            ));
        }
        return Ok((
            from.timestamp().as_millisecond(),
            to.timestamp().as_millisecond(),
        ));
    }
    let Some(within) = &args.within else {
        return Ok((0, 0));
    };
    self::within(within, now_ms)
}

/// A range of durations from now on.
pub(super) fn within(range: &str, now_ms: Millis) -> anyhow::Result<(Millis, Millis)> {
    let (from, to) = range.split_once("..").unwrap_or((range, range));
    Ok((now_ms + duration_ms(from)?, now_ms + duration_ms(to)?))
}

/// A time of day means its next occurrence after `after`.
pub(super) fn instant(text: &str, after: &Zoned) -> anyhow::Result<Zoned> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.to_zoned(after.time_zone().clone()));
    }
    // A date is looked for first, since a time of day can be read out of it as well.
    if text.contains('-') {
        if let Ok(at) = text.parse::<DateTime>() {
            return Ok(at.to_zoned(after.time_zone().clone())?);
        }
    } else if let Ok(time) = text.parse::<Time>() {
        let today = after.with().time(time).build()?;
        return Ok(if today >= *after {
            today
        } else {
            today.checked_add(1.day())?
        });
    }
    Err(anyhow!(
        "`{text}` is not a time; write 14:00, 2026-03-10T14:00 or 2026-03-10T14:00:00Z"
    ))
}

fn duration_ms(text: &str) -> anyhow::Result<i64> {
    let wrong = || anyhow!("`{text}` is not a duration from now; write 30m, 2h or 1h30m");
    let duration: SignedDuration = text.trim().parse().map_err(|_| wrong())?;
    let ms = i64::try_from(duration.as_millis()).map_err(|_| wrong())?;
    if ms <= 0 {
        return Err(wrong());
    }
    Ok(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-10 10:00 in Rome.
    const NOW_MS: i64 = 1_773_133_200_000;
    const MINUTE_MS: i64 = 60_000;

    fn parse(from: &str, to: &str, within: &str) -> anyhow::Result<(i64, i64)> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let args = EtaArgs {
            id: "INC-1".to_owned(),
            from: given(from),
            to: given(to),
            within: given(within),
            withdraw: false,
        };
        let (from, to) = range(&args, NOW_MS, &TimeZone::get("Europe/Rome").unwrap())?;
        Ok(((from - NOW_MS) / MINUTE_MS, (to - NOW_MS) / MINUTE_MS))
    }

    #[track_caller]
    fn check(from: &str, to: &str, within: &str, minutes: (i64, i64)) {
        assert_eq!(parse(from, to, within).unwrap(), minutes);
    }

    #[test]
    fn times_and_durations_are_understood() {
        check("14:00", "15:30", "", (240, 330));
        check("23:00", "01:00", "", (13 * 60, 15 * 60));
        check("03:00", "03:30", "", (17 * 60, 17 * 60 + 30));
        check("2026-03-11T10:00", "12:00", "", (1_440, 1_560));
        check("2026-03-10T10:00:00Z", "2026-03-10T12:00", "", (60, 120));
        check("", "", "30m..90m", (30, 90));
        check("", "", "1h..2h30m", (60, 150));
        check("", "", "45m", (45, 45));
    }

    /// What the command line is answered if it is wrong.
    fn refusal(words: &[&str]) -> String {
        let command = EtaArgs::augment_args(clap::Command::new("eta").no_binary_name(true));
        let parsed = command.try_get_matches_from(words);
        parsed
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn one_way_to_say_an_estimate_is_asked_for() {
        assert_eq!(
            refusal(&["INC-3"]),
            "error: the following required arguments were not provided:\n  \
             <--in <DURATIONS>|--from <TIME>|--withdraw>\n\n\
             Usage: forewarn incident eta [OPTIONS] <INCIDENT> \
             (--in <DURATIONS> | --from <TIME> --to <TIME> | --withdraw)\n\n\
             For more information, try '--help'.\n"
        );
        assert!(refusal(&["3", "--from", "14:00"]).contains("--to <TIME>"));
        for two in [
            ["3", "--in", "1h", "--withdraw"].as_slice(),
            &["3", "--from", "14:00", "--to", "15:00", "--withdraw"],
            &["3", "--from", "14:00", "--to", "15:00", "--in", "1h"],
        ] {
            assert!(refusal(two).contains("cannot be used with"), "{two:?}");
        }
        for one in [
            ["3", "--withdraw"].as_slice(),
            &["3", "--in", "1h"],
            &["3", "--from", "14:00", "--to", "15:00"],
        ] {
            assert_eq!(refusal(one), "", "{one:?}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for (from, to, within) in [
            ("noon", "15:00", ""),
            ("14:00", "25:00", ""),
            ("14:00", "13:00", ""),
            // Two minutes ago.
            ("09:58", "10:30", ""),
            ("", "", "soon"),
            ("", "", "-5m..10m"),
            ("", "", "0s"),
        ] {
            assert!(parse(from, to, within).is_err(), "{from} {to} {within}");
        }
    }
}
