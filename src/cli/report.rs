//! `forewarn report`: what the service was worth.

use super::client::{self, ClientArgs, explain};
use super::incident::incident_id;
use super::table::{Output, grouped};
use crate::clock::Millis;
use crate::proto::v1;
use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Arguments of `forewarn report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub report: Report,
}

/// What to report on.
#[derive(Clone, Debug, Subcommand)]
pub enum Report {
    /// Complaints of people told against people held out at random
    Effect(EffectArgs),
}

/// Which incidents, and which complaints.
#[derive(Clone, Debug, Args)]
pub struct EffectArgs {
    /// Only these incidents (default: all with an onset between --from and --to)
    #[arg(value_name = "INCIDENT", value_parser = incident_id)]
    incidents: Vec<String>,
    /// First onset: a day, or an instant such as 2026-03-01T12:00:00Z
    #[arg(long, value_parser = instant, value_name = "WHEN", conflicts_with = "incidents")]
    from: Option<Millis>,
    /// Onset before this: a day, or an instant
    #[arg(long, value_parser = instant, value_name = "WHEN", conflicts_with = "incidents")]
    to: Option<Millis>,
    /// Complaints count from onset for this long, such as 24h (default: `effect.window_s` of the
    /// server)
    #[arg(long, value_parser = window, value_name = "DURATION")]
    window: Option<u32>,
}

/// A day starts at midnight of this machine's zone.
fn instant(text: &str) -> Result<Millis, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    text.parse::<Date>()
        .and_then(|day| day.to_zoned(TimeZone::system()))
        .map(|start| start.timestamp().as_millisecond())
        .map_err(|_| "expected a day such as 2026-03-01, or 2026-03-01T12:00:00Z".to_owned())
}

/// Seconds of "24h", "90m", "36h 30m".
fn window(text: &str) -> Result<u32, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|duration| u32::try_from(duration.as_secs()).ok())
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| "expected a duration such as 24h or 90m".to_owned())
}

/// Runs `forewarn report`.
pub async fn run(args: ReportArgs) -> anyhow::Result<()> {
    let out = Output::new(&args.client);
    let connection = client::connect(&args.client).await?;
    let Report::Effect(effect) = args.report;
    let report = client::effect(&connection)
        .report(v1::ReportRequest {
            incident_ids: effect.incidents,
            from_ms: effect.from.unwrap_or_default(),
            to_ms: effect.to.unwrap_or_default(),
            // 0: what the server is set to.
            window_s: effect.window.unwrap_or_default(),
        })
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    show(&out, &report)
}

/// Prints a report: for people as tables and a sentence, for scripts as one object.
pub fn show(out: &Output, report: &v1::EffectReport) -> anyhow::Result<()> {
    if out.json {
        return out.record(&record(report));
    }
    let header = [
        "incident",
        "to be told",
        "complained",
        "held out",
        "complained",
        "difference",
        "ratio",
        "reduction",
    ];
    out.table(&header, rows(report), "No incidents.")?;
    let lead = report.lead_time.unwrap_or_default();
    out.facts(&[
        ("notice after onset, median", seconds(lead.median_s)),
        ("notice after onset, 9 of 10", seconds(lead.p90_s)),
        ("complained before the notice", grouped(lead.before_notice)),
        ("complained after the notice", grouped(lead.after_notice)),
        ("told, never complained", grouped(lead.never)),
    ])?;
    out.line(format!("\n{}", report.claim))
}

/// One row per incident, and one for all together.
fn rows(report: &v1::EffectReport) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = report
        .incidents
        .iter()
        .map(|effect| {
            let mut row = vec![effect.incident_id.clone()];
            row.extend(counts(effect.told, effect.held_out));
            row.push(percent(effect.risk_difference));
            row.push(ratio(effect.risk_ratio));
            row.push(percent(effect.reduction));
            row
        })
        .collect();
    if let (Some(pooled), true) = (&report.pooled, rows.len() > 1) {
        let mut row = vec![format!("pooled ({})", pooled.incidents)];
        row.extend(counts(pooled.told, pooled.held_out));
        row.extend([
            String::new(),
            ratio(pooled.risk_ratio),
            percent(pooled.reduction),
        ]);
        rows.push(row);
    }
    rows
}

fn counts(told: Option<v1::Arm>, held_out: Option<v1::Arm>) -> [String; 4] {
    let (told, held_out) = (told.unwrap_or_default(), held_out.unwrap_or_default());
    [
        told.subscribers,
        told.complained,
        held_out.subscribers,
        held_out.complained,
    ]
    .map(grouped)
}

fn ratio(estimate: Option<v1::Estimate>) -> String {
    estimate.map_or_else(
        || "-".to_owned(),
        |e| format!("{:.2} ({:.2} to {:.2})", e.value, e.low, e.high),
    )
}

fn percent(estimate: Option<v1::Estimate>) -> String {
    estimate.map_or_else(
        || "-".to_owned(),
        |e| {
            let [value, low, high] = [e.value, e.low, e.high].map(|share| share * 100.0);
            format!("{value:.1} % ({low:.1} to {high:.1})")
        },
    )
}

fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds.abs() < 120.0 => format!("{seconds:.0} s"),
        Some(seconds) if seconds.abs() < 7_200.0 => format!("{:.1} min", seconds / 60.0),
        Some(seconds) => format!("{:.1} h", seconds / 3_600.0),
    }
}

/// The report for scripts; what could not be computed is `null`.
pub fn record(report: &v1::EffectReport) -> Value {
    let incidents = report.incidents.iter().map(|effect| {
        json!({
            "incident_id": effect.incident_id,
            "told": arm(effect.told),
            "held_out": arm(effect.held_out),
            "risk_difference": effect.risk_difference.map(estimate),
            "risk_ratio": effect.risk_ratio.map(estimate),
            "reduction": effect.reduction.map(estimate),
        })
    });
    let pooled = report.pooled.unwrap_or_default();
    let lead = report.lead_time.unwrap_or_default();
    json!({
        "incidents": incidents.collect::<Vec<_>>(),
        "pooled": {
            "incidents": pooled.incidents,
            "told": arm(pooled.told),
            "held_out": arm(pooled.held_out),
            "risk_ratio": pooled.risk_ratio.map(estimate),
            "reduction": pooled.reduction.map(estimate),
        },
        "lead_time": {
            "before_notice": lead.before_notice,
            "after_notice": lead.after_notice,
            "never": lead.never,
            "median_s": lead.median_s,
            "p90_s": lead.p90_s,
        },
        "claim": report.claim,
        "claim_allowed": report.claim_allowed,
        "window_s": report.window_s,
    })
}

fn arm(arm: Option<v1::Arm>) -> Value {
    let arm = arm.unwrap_or_default();
    json!({"subscribers": arm.subscribers, "complained": arm.complained})
}

fn estimate(estimate: v1::Estimate) -> Value {
    json!({"value": estimate.value, "low": estimate.low, "high": estimate.high})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_instants_are_read_or_explained() {
        assert_eq!(window("24h"), Ok(86_400));
        assert_eq!(window("90m"), Ok(5_400));
        for wrong in ["", "24", "-1h", "0s", "soon"] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
        assert_eq!(instant("2026-03-01T12:00:00Z"), Ok(1_772_366_400_000));
        assert!(instant("2026-03-01").is_ok());
        assert!(instant("yesterday").is_err());
    }

    #[test]
    fn rows_show_what_is_not_computable_as_a_dash() {
        let effect = v1::IncidentEffect {
            incident_id: "INC-1".to_owned(),
            told: Some(v1::Arm {
                subscribers: 12_000,
                complained: 300,
            }),
            risk_ratio: Some(v1::Estimate {
                value: 0.5,
                low: 0.25,
                high: 1.0,
            }),
            ..v1::IncidentEffect::default()
        };
        let report = v1::EffectReport {
            incidents: vec![effect],
            ..v1::EffectReport::default()
        };
        let row = [
            "INC-1",
            "12,000",
            "300",
            "0",
            "0",
            "-",
            "0.50 (0.25 to 1.00)",
            "-",
        ];
        assert_eq!(rows(&report), [row.map(str::to_owned).to_vec()]);
        assert_eq!(record(&report)["incidents"][0]["reduction"], Value::Null);
    }
}
