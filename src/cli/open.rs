//! `forewarn incident open`: something is down, whether or not alarms say so.

use super::eta;
use super::incident::Kind;
use super::table::Output;
use crate::clock::Millis;
use crate::proto::v1;
use anyhow::anyhow;
use clap::{Args, ValueEnum as _};
use jiff::civil::Time;
use jiff::{Timestamp, ToSpan as _};

/// What to open.
#[derive(Clone, Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
#[command(after_help = "Examples:\n  \
    forewarn incident open OLT-7 --kind equipment --since 14:05 --eta 1h..2h\n  \
    forewarn incident open --area AREA-3 --kind power --text \"Substation on fire\"")]
pub struct OpenArgs {
    /// Ids of the elements, links or groups that failed
    #[arg(group = "what")]
    resources: Vec<String>,
    /// Everybody inside this declared area has lost service
    #[arg(long, value_name = "AREA", group = "what")]
    area: Option<String>,
    /// What kind of failure it is
    #[arg(long, value_enum, default_value = "unknown")]
    kind: Kind,
    /// Since when: 14:05 (the last time the clock showed it), 2026-03-10T14:05, or with a zone (default: now)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// In plain words, for operators (default: what the network says of the resources)
    #[arg(long, default_value = "")]
    text: String,
    /// Earliest and latest restoration from now on: 30m..90m, 1h..2h30m, or one duration
    #[arg(long, value_name = "DURATIONS")]
    eta: Option<String>,
    /// Of several calls with one id only the first opens an incident
    #[arg(long, value_name = "ID", default_value = "")]
    request_id: String,
}

/// The request that the arguments mean.
pub(super) fn request(args: OpenArgs, out: &Output) -> anyhow::Result<v1::OpenIncidentRequest> {
    let kind = args.kind.to_possible_value();
    let since = args.since.as_deref();
    let estimate = args.eta.as_deref();
    let estimate = estimate.map(|range| eta::within(range, out.now_ms));
    let (estimate_from_ms, estimate_to_ms) = estimate.transpose()?.unwrap_or((0, 0));
    Ok(v1::OpenIncidentRequest {
        resources: args.resources,
        area_id: args.area.unwrap_or_default(),
        kind: kind
            .map(|kind| kind.get_name().to_owned())
            .unwrap_or_default(),
        since_ms: since.map_or(Ok(0), |text| past(text, out))?,
        text: args.text,
        estimate_from_ms,
        estimate_to_ms,
        request_id: args.request_id,
    })
}

/// A time of day means its last occurrence.
fn past(text: &str, out: &Output) -> anyhow::Result<Millis> {
    let now = Timestamp::from_millisecond(out.now_ms)?.to_zoned(out.zone.clone());
    if let (false, Ok(time)) = (text.contains('-'), text.parse::<Time>()) {
        let today = now.with().time(time).build()?;
        let at = if today <= now {
            today
        } else {
            today.checked_sub(1.day())?
        };
        return Ok(at.timestamp().as_millisecond());
    }
    let at = eta::instant(text, &now).map_err(|error| anyhow!("--since: {error}"))?;
    Ok(at.timestamp().as_millisecond())
}
