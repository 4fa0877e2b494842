//! `forewarn notice`: what was sent, and what was not sent and why.

use super::client::{self, ClientArgs, Connection, explain};
use super::incident::incident_id;
use super::table::{Output, at_least_one, instant};
use crate::notice::{Decision, NoticeState, Stage};
use crate::proto::v1;
use crate::proto::v1::notice_service_client::NoticeServiceClient;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Arguments of `forewarn notice`.
#[derive(Clone, Debug, Args)]
pub struct NoticeArgs {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub action: NoticeAction,
}

/// What to do with notices.
#[derive(Clone, Debug, Subcommand)]
pub enum NoticeAction {
    /// List notices, newest first
    List(ListArgs),
    /// Show one notice with its text and the tries to send it
    Show { notice: String },
    /// Put a dead letter back into the queue
    Redrive { notice: String },
}

/// Which notices to list.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Only notices of this incident
    #[arg(long, value_parser = incident_id)]
    incident: Option<String>,
    /// Only notices to this account
    #[arg(long)]
    account: Option<String>,
    /// Only this stage
    #[arg(long, value_parser = Stage::ALL.map(Stage::as_str))]
    stage: Option<String>,
    /// Only this decision: send, or a reason such as `held_out`
    #[arg(long, value_parser = Decision::ALL.map(Decision::as_str))]
    decision: Option<String>,
    /// Only this state
    #[arg(long, value_parser = NoticeState::ALL.map(NoticeState::as_str))]
    state: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    limit: usize,
}

/// Runs `forewarn notice`.
pub async fn run(args: NoticeArgs) -> anyhow::Result<()> {
    let out = Output::new(&args.client);
    let connection = client::connect(&args.client).await?;
    let mut service = client::notices(&connection);
    let notice = match args.action {
        NoticeAction::List(args) => return list(service, &out, args).await,
        NoticeAction::Show { notice } => {
            service
                .get_notice(v1::GetNoticeRequest { id: notice })
                .await
        }
        NoticeAction::Redrive { notice } => {
            let request = v1::RedriveNoticeRequest { id: notice };
            service.redrive_notice(request).await
        }
    };
    let notice = notice.map_err(|status| explain(&status))?.into_inner();
    show(&out, &notice)
}

async fn list(
    mut service: NoticeServiceClient<Connection>,
    out: &Output,
    args: ListArgs,
) -> anyhow::Result<()> {
    let mut request = v1::ListNoticesRequest {
        incident_id: args.incident.unwrap_or_default(),
        account: args.account.unwrap_or_default(),
        stage: args.stage.unwrap_or_default(),
        decision: args.decision.unwrap_or_default(),
        state: args.state.unwrap_or_default(),
        ..v1::ListNoticesRequest::default()
    };
    let mut rows = Vec::new();
    let mut left = args.limit;
    while left > 0 {
        request.page_size = u32::try_from(left.min(1_000))?;
        let page = service
            .list_notices(request.clone())
            .await
            .map_err(|status| explain(&status))?
            .into_inner();
        left = left.saturating_sub(page.notices.len());
        for notice in &page.notices {
            if out.json {
                out.record(&record(notice))?;
            } else {
                rows.push(row(out, notice));
            }
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let goes_on = !request.page_token.is_empty();
    if out.json {
        return if goes_on {
            out.more(args.limit)
        } else {
            Ok(())
        };
    }
    let header = [
        "notice", "incident", "account", "stage", "decision", "state", "planned", "sent",
    ];
    out.table(&header, rows, "No notices.")?;
    if goes_on {
        out.more(args.limit)?;
    }
    Ok(())
}

fn row(out: &Output, notice: &v1::Notice) -> Vec<String> {
    vec![
        notice.id.clone(),
        notice.incident_id.clone(),
        notice.account.clone(),
        notice.stage.clone(),
        notice.decision.clone(),
        notice.state.clone(),
        out.when(notice.planned_ms),
        out.when(notice.sent_ms),
    ]
}

fn show(out: &Output, notice: &v1::Notice) -> anyhow::Result<()> {
    if out.json {
        return out.record(&record_in_full(notice));
    }
    let waits = notice.state == "pending" && notice.not_before_ms > out.now_ms;
    let not_before = if waits { notice.not_before_ms } else { 0 };
    out.facts(&[
        ("notice", notice.id.clone()),
        ("incident", notice.incident_id.clone()),
        ("account", notice.account.clone()),
        ("stage", notice.stage.clone()),
        ("channel", notice.channel.clone()),
        ("decision", notice.decision.clone()),
        ("state", notice.state.clone()),
        ("because", notice.state_reason.clone()),
        ("language", notice.language.clone()),
        ("planned", out.when(notice.planned_ms)),
        ("not before", out.when(not_before)),
        ("sent", out.when(notice.sent_ms)),
        ("message id", notice.message_id.clone()),
        ("template", notice.template_version.clone()),
    ])?;
    if !notice.attempt_log.is_empty() {
        let tries = notice.attempt_log.iter().map(|attempt| {
            vec![
                attempt.number.to_string(),
                out.when(attempt.at_ms),
                attempt.outcome.clone(),
                attempt.detail.clone(),
            ]
        });
        out.line("\nTries")?;
        out.table(&["no", "at", "outcome", "answer"], tries.collect(), "")?;
    }
    if notice.text.is_empty() {
        return Ok(());
    }
    out.line(format!(
        "\n{}\n\n{}",
        notice.subject,
        notice.text.trim_end()
    ))
}

/// A notice without its text.
pub(super) fn record(notice: &v1::Notice) -> Value {
    json!({
        "id": notice.id,
        "incident_id": notice.incident_id,
        "account": notice.account,
        "stage": notice.stage,
        "channel": notice.channel,
        "decision": notice.decision,
        "state": notice.state,
        "state_reason": notice.state_reason,
        "language": notice.language,
        "planned_ms": instant(notice.planned_ms),
        "not_before_ms": instant(notice.not_before_ms),
        "sent_ms": instant(notice.sent_ms),
        "attempts": notice.attempts,
        "message_id": notice.message_id,
        "template_version": notice.template_version,
    })
}

/// A notice with its text and the tries to send it.
pub(super) fn record_in_full(notice: &v1::Notice) -> Value {
    let mut full = record(notice);
    full["subject"] = json!(notice.subject);
    full["text"] = json!(notice.text);
    let tries = notice.attempt_log.iter().map(|attempt| {
        json!({
            "number": attempt.number,
            "at_ms": attempt.at_ms,
            "outcome": attempt.outcome,
            "detail": attempt.detail,
        })
    });
    full["attempt_log"] = tries.collect();
    full
}
