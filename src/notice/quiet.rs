//! When a person does not want to be disturbed.

use crate::clock::Millis;
use crate::subscriber::QuietHours;
use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};

/// The time zone of that IANA name; UTC when this machine does not know it.
pub fn time_zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// The end of the quiet time that `now_ms` lies in, if it does.
///
/// Local clock times that a change of the clocks skips or repeats are read as `jiff` does by
/// default: a skipped one is moved forward, of a repeated one the first counts.
pub fn quiet_until(now_ms: Millis, zone: &TimeZone, quiet: QuietHours) -> Option<Millis> {
    let now = Timestamp::from_millisecond(now_ms)
        .ok()?
        .to_zoned(zone.clone());
    let minute = u16::try_from(now.hour()).ok()? * 60 + u16::try_from(now.minute()).ok()?;
    let (from, to) = (quiet.from_minute, quiet.to_minute);
    let ends_tomorrow = match (from <= to, minute >= from, minute < to) {
        (true, true, true) | (false, false, true) => false,
        (false, true, _) => true,
        _ => return None,
    };
    let mut day = now.date();
    if ends_tomorrow {
        day = day.checked_add(1.day()).ok()?;
    }
    let end = civil::time(
        i8::try_from(to / 60).ok()?,
        i8::try_from(to % 60).ok()?,
        0,
        0,
    );
    let end = zone.to_zoned(day.to_datetime(end)).ok()?;
    // A repeated hour can put the first reading of the end before now.
    Some(end.timestamp().as_millisecond()).filter(|end_ms| *end_ms > now_ms)
}
