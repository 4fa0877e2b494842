//! `forewarn alarm`: live alarms, and the systems that send them.

use super::client::{self, ClientArgs, Connection, explain};
use super::table::{Output, at_least_one, grouped, instant};
use crate::proto::v1;
use crate::proto::v1::alarm_service_client::AlarmServiceClient;
use clap::{Args, Subcommand};
use serde_json::json;

/// Arguments of `forewarn alarm`.
#[derive(Clone, Debug, Args)]
pub struct AlarmArgs {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub action: AlarmAction,
}

/// What to look at.
#[derive(Clone, Debug, Subcommand)]
pub enum AlarmAction {
    /// List live alarms
    List {
        /// Only alarms whose resource no imported topology knows
        #[arg(long)]
        unmapped: bool,
        /// At most this many
        #[arg(long, default_value_t = 100, value_parser = at_least_one)]
        limit: usize,
    },
    /// List the systems that send, with their state
    Sources,
}

/// Runs `forewarn alarm`.
pub async fn run(args: AlarmArgs) -> anyhow::Result<()> {
    let out = Output::new(&args.client);
    let connection = client::connect(&args.client).await?;
    let service = client::alarms(&connection);
    match args.action {
        AlarmAction::List { unmapped, limit } => list(service, &out, unmapped, limit).await,
        AlarmAction::Sources => sources(service, &out).await,
    }
}

async fn list(
    mut service: AlarmServiceClient<Connection>,
    out: &Output,
    unmapped_only: bool,
    limit: usize,
) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut left = limit;
    let mut page_token = String::new();
    let mut totals = (0, 0);
    while left > 0 {
        let request = v1::ListAlarmsRequest {
            unmapped_only,
            page_size: u32::try_from(left.min(1_000))?,
            page_token,
        };
        let page = service
            .list_alarms(request)
            .await
            .map_err(|status| explain(&status))?
            .into_inner();
        totals = (page.total, page.unmapped);
        left = left.saturating_sub(page.alarms.len());
        for alarm in page.alarms {
            if out.json {
                out.record(&record(&alarm))?;
            } else {
                rows.push(row(out, alarm));
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let goes_on = !page_token.is_empty();
    if out.json {
        return if goes_on { out.more(limit) } else { Ok(()) };
    }
    let header = [
        "resource", "alarm", "severity", "source", "raised", "text", "",
    ];
    out.table(&header, rows, "No live alarms.")?;
    if goes_on {
        out.more(limit)?;
    }
    let (total, unmapped) = totals;
    out.line(format!(
        "{} live alarms, {} of them on resources that no imported topology knows",
        grouped(total),
        grouped(unmapped)
    ))
}

fn row(out: &Output, alarm: v1::Alarm) -> Vec<String> {
    let severity = name(alarm.severity().as_str_name(), "SEVERITY_");
    let kind = if alarm.alarm_type_qualifier.is_empty() {
        alarm.alarm_type
    } else {
        format!("{} {}", alarm.alarm_type, alarm.alarm_type_qualifier)
    };
    let unmapped = if alarm.unmapped { "unmapped" } else { "" };
    vec![
        alarm.resource,
        kind,
        severity,
        alarm.source,
        out.when(alarm.raised_ms),
        alarm.text,
        unmapped.to_owned(),
    ]
}

fn record(alarm: &v1::Alarm) -> serde_json::Value {
    json!({
        "source": alarm.source,
        "resource": alarm.resource,
        "alarm_type": alarm.alarm_type,
        "alarm_type_qualifier": alarm.alarm_type_qualifier,
        "severity": name(alarm.severity().as_str_name(), "SEVERITY_"),
        "service_effect": name(alarm.service_effect().as_str_name(), "SERVICE_EFFECT_"),
        "raised_ms": instant(alarm.raised_ms),
        "changed_ms": instant(alarm.changed_ms),
        "text": alarm.text,
        "unmapped": alarm.unmapped,
    })
}

/// The name of an enum's value without its prefix.
fn name(full: &str, prefix: &str) -> String {
    full.strip_prefix(prefix).unwrap_or(full).to_lowercase()
}

async fn sources(mut service: AlarmServiceClient<Connection>, out: &Output) -> anyhow::Result<()> {
    let sources = service
        .list_sources(v1::ListSourcesRequest {})
        .await
        .map_err(|status| explain(&status))?
        .into_inner()
        .sources;
    let mut rows = Vec::new();
    for source in sources {
        if out.json {
            out.record(&json!({
                "name": source.name,
                "last_committed_sequence": source.last_committed_sequence,
                "last_heard_ms": instant(source.last_heard_ms),
                "heartbeat_interval_s": source.heartbeat_interval_s,
                "stale": source.stale,
                "sends": sends(&source),
            }))?;
            continue;
        }
        let promise = match source.heartbeat_interval_s {
            0 => "none".to_owned(),
            seconds => format!("every {seconds} s"),
        };
        let state = if source.stale { "STALE" } else { "live" };
        rows.push(vec![
            source.name.clone(),
            sends(&source).to_owned(),
            state.to_owned(),
            out.when(source.last_heard_ms),
            promise,
            grouped(source.last_committed_sequence),
        ]);
    }
    if out.json {
        return Ok(());
    }
    let header = [
        "source",
        "sends",
        "state",
        "last heard",
        "promise",
        "committed through",
    ];
    out.table(&header, rows, "No system has sent anything yet.")
}

fn sends(source: &v1::Source) -> &'static str {
    if source.telemetry {
        "measured values"
    } else {
        "alarms"
    }
}
