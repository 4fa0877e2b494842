//! `forewarn work`: what is taken down on purpose, and when.

use super::client::{self, ClientArgs, Connection, explain};
use super::eta;
use super::table::{Output, at_least_one, instant};
use crate::clock::Millis;
use crate::incident::DeclarationId;
use crate::proto::v1;
use crate::proto::v1::work_service_client::WorkServiceClient;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Arguments of `forewarn work`.
#[derive(Clone, Debug, Args)]
pub struct WorkArgs {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub action: WorkAction,
}

/// What to do with planned work.
#[derive(Clone, Debug, Subcommand)]
pub enum WorkAction {
    /// Say what will be down and when: its alarms make no incident, until the window has passed
    Declare(DeclareArgs),
    /// List planned work, newest first
    List {
        /// Also what was cancelled and what is over
        #[arg(long)]
        all: bool,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = at_least_one)]
        limit: usize,
    },
    /// Say that work does not take place, or has ended before its time
    Cancel {
        #[arg(value_parser = work_id, value_name = "WORK")]
        id: String,
        /// Kept with it
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// What is planned.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    forewarn work declare \"New line cards\" OLT-7 --from 2026-03-11T01:00 --to 05:00\n  \
    forewarn work declare \"Duct moved\" --area AREA-3 --to 16:00")]
pub struct DeclareArgs {
    /// What people call it
    title: String,
    /// Ids of the elements, links and groups that will be down
    #[arg(required_unless_present = "area", conflicts_with = "area")]
    resources: Vec<String>,
    /// What stands and who lives inside this declared area
    #[arg(long, value_name = "AREA")]
    area: Option<String>,
    /// Begin of the window, 14:00 (the next time the clock shows it) or 2026-03-11T01:00 (default: now)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End of the window; a time of day means the first one after the begin
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Of several calls with one id only the first declares
    #[arg(long, value_name = "ID", default_value = "")]
    request_id: String,
}

fn work_id(text: &str) -> Result<String, String> {
    match DeclarationId::parse(text) {
        Some(id @ DeclarationId::Work(_)) => Ok(id.to_string()),
        _ => Err("planned work is written as WORK-3".to_owned()),
    }
}

/// Runs `forewarn work`.
pub async fn run(args: WorkArgs) -> anyhow::Result<()> {
    let out = Output::new(&args.client);
    let connection = client::connect(&args.client).await?;
    let mut service = client::works(&connection);
    let work = match args.action {
        WorkAction::List { all, limit } => return list(service, &out, all, limit).await,
        WorkAction::Declare(declare) => {
            let request = request(declare, &out)?;
            service.declare_work(request).await
        }
        WorkAction::Cancel { id, reason } => {
            let request = v1::CancelWorkRequest { id, reason };
            service.cancel_work(request).await
        }
    };
    let work = work.map_err(|status| explain(&status))?.into_inner();
    if out.json {
        return out.record(&record(&work));
    }
    out.facts(&[
        ("work", work.id.clone()),
        ("state", work.state.clone()),
        ("title", work.title.clone()),
        ("scope", scope(&work)),
        ("from", out.when(work.from_ms)),
        ("to", out.when(work.to_ms)),
        (
            "declared",
            format!("{} by {}", out.when(work.declared_ms), work.declared_by),
        ),
        ("cancelled", out.when(work.cancelled_ms)),
        ("cancelled by", work.cancelled_by.clone()),
        ("because", work.cancel_reason.clone()),
        ("incidents", work.incident_ids.join(", ")),
    ])
}

fn request(args: DeclareArgs, out: &Output) -> anyhow::Result<v1::DeclareWorkRequest> {
    let now = Timestamp::from_millisecond(out.now_ms)?.to_zoned(out.zone.clone());
    let from = args.from.as_deref();
    let from = from.map(|text| eta::instant(text, &now)).transpose()?;
    let to = eta::instant(&args.to, from.as_ref().unwrap_or(&now))?;
    let from_ms: Millis = from.map_or(0, |at| at.timestamp().as_millisecond());
    Ok(v1::DeclareWorkRequest {
        title: args.title,
        resources: args.resources,
        area_id: args.area.unwrap_or_default(),
        from_ms,
        to_ms: to.timestamp().as_millisecond(),
        request_id: args.request_id,
    })
}

async fn list(
    mut service: WorkServiceClient<Connection>,
    out: &Output,
    all: bool,
    limit: usize,
) -> anyhow::Result<()> {
    let mut request = v1::ListWorkRequest {
        all,
        ..v1::ListWorkRequest::default()
    };
    let (mut rows, mut left) = (Vec::new(), limit);
    while left > 0 {
        request.page_size = u32::try_from(left.min(500))?;
        let page = service.list_work(request.clone()).await;
        let page = page.map_err(|status| explain(&status))?.into_inner();
        left = left.saturating_sub(page.works.len());
        for work in &page.works {
            if out.json {
                out.record(&record(work))?;
            } else {
                rows.push(vec![
                    work.id.clone(),
                    work.state.clone(),
                    work.title.clone(),
                    scope(work),
                    out.when(work.from_ms),
                    out.when(work.to_ms),
                    work.declared_by.clone(),
                    work.incident_ids.join(", "),
                ]);
            }
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    if out.json {
        return Ok(());
    }
    let header = [
        "work",
        "state",
        "title",
        "scope",
        "from",
        "to",
        "declared by",
        "incidents",
    ];
    out.table(&header, rows, "No planned work.")
}

fn scope(work: &v1::PlannedWork) -> String {
    const NAMED: usize = 3;
    let mut named: Vec<String> = work.resources.iter().take(NAMED).cloned().collect();
    if work.resources.len() > NAMED {
        named.push(format!("{} more", work.resources.len() - NAMED));
    }
    named.extend((!work.area_id.is_empty()).then(|| work.area_id.clone()));
    named.join(", ")
}

fn record(work: &v1::PlannedWork) -> Value {
    json!({
        "id": work.id,
        "state": work.state,
        "title": work.title,
        "resources": work.resources,
        "area_id": work.area_id,
        "from_ms": work.from_ms,
        "to_ms": work.to_ms,
        "declared_ms": instant(work.declared_ms),
        "declared_by": work.declared_by,
        "cancelled_ms": instant(work.cancelled_ms),
        "cancelled_by": work.cancelled_by,
        "cancel_reason": work.cancel_reason,
        "incident_ids": work.incident_ids,
    })
}
