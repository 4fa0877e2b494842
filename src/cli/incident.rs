//! `forewarn incident`: look at incidents, and act on them.

mod facts;

use super::client::{self, ClientArgs, Connection, explain};
use super::eta;
use super::open::{self, OpenArgs};
use super::table::{Output, at_least_one, grouped};
use crate::incident::IncidentNo;
use crate::notice::Decision;
use crate::proto::v1;
use crate::proto::v1::incident_service_client::IncidentServiceClient;
use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};
use facts::{affected_line, cause_in_short, cause_line, facts, record, record_in_full};
pub(super) use facts::{expected_in_short, learned_record};
use serde_json::json;

/// Arguments of `forewarn incident`.
#[derive(Clone, Debug, Args)]
pub struct IncidentArgs {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub action: IncidentAction,
}

/// What to do with incidents.
#[derive(Clone, Debug, Subcommand)]
pub enum IncidentAction {
    /// List incidents, newest first
    List {
        /// Only incidents in this state; may be given several times
        #[arg(long, value_enum)]
        state: Vec<State>,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = at_least_one)]
        limit: usize,
    },
    /// Show one incident: cause, impact, notices, evidence, timeline
    Show {
        #[arg(value_parser = incident_id, value_name = "INCIDENT")]
        id: String,
    },
    /// Show the open incidents, then each change as it happens, until interrupted
    Watch,
    /// List the subscribers of an incident, with what each was told
    Affected(AffectedArgs),
    /// Open an incident by hand, confirmed from the start
    Open(OpenArgs),
    /// Say that an incident is real, before its hold-down ends
    Confirm {
        #[arg(value_parser = incident_id, value_name = "INCIDENT")]
        id: String,
        /// Kept in the timeline
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Say that there is no such fault; whoever was told gets a retraction
    Reject {
        #[arg(value_parser = incident_id, value_name = "INCIDENT")]
        id: String,
        /// Why; kept in the timeline
        #[arg(long)]
        reason: String,
    },
    /// Set the estimated time of restoration
    Eta(eta::EtaArgs),
    /// Say what the cause is, or give it back to what is found
    Cause(CauseArgs),
    /// Let an incident go on in another, which keeps the parts of both
    Merge {
        #[arg(value_parser = incident_id, value_name = "INCIDENT")]
        id: String,
        /// The incident that goes on
        #[arg(long, value_parser = incident_id, value_name = "INCIDENT")]
        into: String,
        /// Kept in both timelines
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let parts of the cause go on as an incident of their own
    Split {
        #[arg(value_parser = incident_id, value_name = "INCIDENT")]
        id: String,
        /// Resources of the cause, not all of them
        #[arg(long = "resource", required = true, num_args = 1.., value_name = "RESOURCE")]
        resources: Vec<String>,
        /// Kept in both timelines
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Add a note to the timeline
    Note {
        #[arg(value_parser = incident_id, value_name = "INCIDENT")]
        id: String,
        text: String,
    },
    /// End an incident by hand, as restored
    Resolve {
        #[arg(value_parser = incident_id, value_name = "INCIDENT")]
        id: String,
        /// Kept in the timeline
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// What the cause is.
#[derive(Clone, Debug, Args)]
pub struct CauseArgs {
    #[arg(value_parser = incident_id, value_name = "INCIDENT")]
    id: String,
    /// What kind of failure it is
    #[arg(value_enum, required_unless_present = "auto")]
    kind: Option<Kind>,
    /// In plain words, for operators
    #[arg(long, default_value = "", conflicts_with = "auto")]
    text: String,
    /// The elements, links or groups that failed; not given: as found, or as named before
    #[arg(long = "resource", num_args = 1.., value_name = "RESOURCE", conflicts_with = "auto")]
    resources: Vec<String>,
    /// Give the cause back: it is what is found again
    #[arg(long, conflicts_with = "kind")]
    auto: bool,
    /// Why it is given back; kept in the timeline
    #[arg(long, default_value = "", requires = "auto")]
    reason: String,
}

/// Whom to list.
#[derive(Clone, Debug, Args)]
pub struct AffectedArgs {
    #[arg(value_parser = incident_id, value_name = "INCIDENT")]
    id: String,
    /// Also those who kept service but lost redundancy
    #[arg(long)]
    at_risk: bool,
    /// Only residential or business
    #[arg(long, value_parser = ["residential", "business"])]
    segment: Option<String>,
    /// Only people who depend on the service more than others
    #[arg(long)]
    vulnerable: bool,
    /// Only those with this decision on the first notice, such as `send` or `held_out`
    #[arg(long, value_parser = Decision::ALL.map(Decision::as_str))]
    decision: Option<String>,
    /// Only those with this language, such as it
    #[arg(long)]
    language: Option<String>,
}

/// State of an incident on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum State {
    Suspected,
    Confirmed,
    Restored,
    Rejected,
}

impl From<State> for v1::IncidentState {
    fn from(state: State) -> Self {
        match state {
            State::Suspected => Self::Suspected,
            State::Confirmed => Self::Confirmed,
            State::Restored => Self::Restored,
            State::Rejected => Self::Rejected,
        }
    }
}

/// Kind of a cause on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Kind {
    FibreCut,
    Equipment,
    Power,
    Upstream,
    PlannedWork,
    Unknown,
}

/// Reads `INC-42` or `42`.
pub(super) fn incident_id(text: &str) -> Result<String, String> {
    IncidentNo::parse(text)
        .map(|no| no.to_string())
        .ok_or_else(|| "an incident is written as INC-42 or 42".to_owned())
}

/// Runs `forewarn incident`.
pub async fn run(args: IncidentArgs) -> anyhow::Result<()> {
    let out = Output::new(&args.client);
    let connection = client::connect(&args.client).await?;
    let mut service = client::incidents(&connection);
    let changed = match args.action {
        IncidentAction::List { state, limit } => {
            return list(service, &out, &state, limit).await;
        }
        IncidentAction::Show { id } => return show(service, &out, id).await,
        IncidentAction::Watch => return watch(service, &out).await,
        IncidentAction::Affected(args) => return affected(service, &out, args).await,
        IncidentAction::Open(args) => service.open_incident(open::request(args, &out)?).await,
        IncidentAction::Confirm { id, note } => {
            let request = v1::ConfirmIncidentRequest { id, note };
            service.confirm_incident(request).await
        }
        IncidentAction::Reject { id, reason } => {
            let request = v1::RejectIncidentRequest { id, reason };
            service.reject_incident(request).await
        }
        IncidentAction::Eta(args) => {
            let id = args.id.clone();
            let (from_ms, to_ms) = eta::range(&args, out.now_ms, &out.zone)?;
            let request = v1::SetEstimateRequest { id, from_ms, to_ms };
            service.set_estimate(request).await
        }
        IncidentAction::Cause(args) => set_cause(&mut service, args).await,
        IncidentAction::Merge { id, into, reason } => {
            let request = v1::MergeIncidentsRequest { id, into, reason };
            service.merge_incidents(request).await
        }
        IncidentAction::Split {
            id,
            resources,
            reason,
        } => {
            let request = v1::SplitIncidentRequest {
                id,
                resources,
                reason,
            };
            service.split_incident(request).await
        }
        IncidentAction::Note { id, text } => {
            service.add_note(v1::AddNoteRequest { id, text }).await
        }
        IncidentAction::Resolve { id, reason } => {
            let request = v1::ResolveIncidentRequest { id, reason };
            service.resolve_incident(request).await
        }
    };
    let incident = changed.map_err(|status| explain(&status))?.into_inner();
    if out.json {
        return out.record(&record(&incident));
    }
    out.facts(&facts(&out, &incident))
}

async fn set_cause(
    service: &mut IncidentServiceClient<Connection>,
    args: CauseArgs,
) -> Result<tonic::Response<v1::Incident>, tonic::Status> {
    let CauseArgs {
        id, text, reason, ..
    } = args;
    let Some(kind) = args.kind else {
        let request = v1::WithdrawCauseRequest { id, reason };
        return service.withdraw_cause(request).await;
    };
    let kind = kind
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default();
    let request = v1::SetCauseRequest {
        id,
        kind,
        text,
        resources: args.resources,
    };
    service.set_cause(request).await
}

async fn list(
    mut service: IncidentServiceClient<Connection>,
    out: &Output,
    states: &[State],
    limit: usize,
) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut left = limit;
    let mut page_token = String::new();
    while left > 0 {
        let request = v1::ListIncidentsRequest {
            states: states
                .iter()
                .map(|state| v1::IncidentState::from(*state).into())
                .collect(),
            page_size: u32::try_from(left.min(500))?,
            page_token,
            ..v1::ListIncidentsRequest::default()
        };
        let page = service
            .list_incidents(request)
            .await
            .map_err(|status| explain(&status))?
            .into_inner();
        left = left.saturating_sub(page.incidents.len());
        for incident in &page.incidents {
            if out.json {
                out.record(&record(incident))?;
            } else {
                rows.push(row(out, incident));
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if !out.json {
        out.table(&HEADER, rows, "No incidents.")?;
    }
    if !page_token.is_empty() {
        out.more(limit)?;
    }
    Ok(())
}

const HEADER: [&str; 7] = [
    "incident", "state", "cause", "affected", "since", "expected", "restored",
];

fn row(out: &Output, incident: &v1::Incident) -> Vec<String> {
    let state = match incident.merged_into.as_str() {
        "" => state_name(incident),
        survivor => format!("merged into {survivor}"),
    };
    vec![
        incident.id.clone(),
        state,
        cause_in_short(incident),
        affected_line(incident),
        out.when(incident.onset_ms),
        expected_in_short(
            out,
            (incident.estimate_from_ms, incident.estimate_to_ms),
            incident.learned_estimate.as_ref(),
        ),
        out.when(incident.restored_ms),
    ]
}

async fn show(
    mut service: IncidentServiceClient<Connection>,
    out: &Output,
    id: String,
) -> anyhow::Result<()> {
    let incident = service
        .get_incident(v1::GetIncidentRequest { id })
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    if out.json {
        return out.record(&record_in_full(&incident));
    }
    out.facts(&facts(out, &incident))?;
    let timeline = incident.timeline.iter().map(|entry| {
        vec![
            out.local(entry.at_ms),
            entry.what.clone(),
            entry.reason.clone(),
            entry.by.clone(),
        ]
    });
    out.line("\nTimeline")?;
    out.table(&["at", "what", "why", "by"], timeline.collect(), "Nothing.")?;
    let evidence = incident.evidence.iter().map(|alarm| {
        vec![
            alarm.resource.clone(),
            alarm.alarm_type.clone(),
            alarm.severity.clone(),
            alarm.source.clone(),
            out.when(alarm.raised_ms),
            out.when(alarm.cleared_ms),
        ]
    });
    let shown = grouped(incident.evidence.len() as u64);
    let all = grouped(incident.evidence_count);
    out.line(format!("\nEvidence: {all} live alarms, {shown} shown"))?;
    let header = [
        "resource", "alarm", "severity", "source", "raised", "cleared",
    ];
    out.table(&header, evidence.collect(), "No alarms.")
}

async fn watch(mut service: IncidentServiceClient<Connection>, out: &Output) -> anyhow::Result<()> {
    let mut stream = service
        .watch_incidents(v1::WatchIncidentsRequest {})
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    while let Some(change) = stream.message().await.map_err(|status| explain(&status))? {
        let incident = change
            .incident
            .ok_or_else(|| anyhow!("the server sent a change without an incident"))?;
        if out.json {
            let mut record = record(&incident);
            record["live"] = json!(change.live);
            out.record(&record)?;
            continue;
        }
        let out = Output {
            now_ms: crate::clock::Clock::System.now_ms(),
            ..out.clone()
        };
        let expected = out.range(incident.estimate_from_ms, incident.estimate_to_ms);
        out.line(format!(
            "{} {:<8} {:<9} {} | {} | since {}{}{expected}",
            out.local(out.now_ms),
            incident.id,
            state_name(&incident),
            cause_line(&incident),
            affected_line(&incident),
            out.when(incident.onset_ms),
            if expected.is_empty() {
                ""
            } else {
                " | expected "
            },
        ))?;
    }
    Ok(())
}

async fn affected(
    mut service: IncidentServiceClient<Connection>,
    out: &Output,
    args: AffectedArgs,
) -> anyhow::Result<()> {
    let request = v1::ListAffectedRequest {
        incident_id: args.id,
        include_at_risk: args.at_risk,
        segment: args.segment.unwrap_or_default(),
        vulnerable_only: args.vulnerable,
        decision: args.decision.unwrap_or_default(),
        language: args.language.unwrap_or_default(),
    };
    let mut stream = service
        .list_affected(request)
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    let mut rows = Vec::new();
    while let Some(person) = stream.message().await.map_err(|status| explain(&status))? {
        if out.json {
            out.record(&json!({
                "account": person.account,
                "name": person.name,
                "segment": person.segment,
                "vulnerable": person.vulnerable,
                "language": person.language,
                "impact": person.impact,
                "decision": person.decision,
                "notice_state": person.notice_state,
            }))?;
            continue;
        }
        let vulnerable = if person.vulnerable { "yes" } else { "" };
        rows.push(vec![
            person.account,
            person.name,
            person.segment,
            vulnerable.to_owned(),
            person.language,
            person.impact,
            person.decision,
            person.notice_state,
        ]);
    }
    if out.json {
        return Ok(());
    }
    let count = grouped(rows.len() as u64);
    let header = [
        "account",
        "name",
        "segment",
        "vulnerable",
        "language",
        "impact",
        "decision",
        "notice",
    ];
    out.table(&header, rows, "Nobody.")?;
    out.line(format!("{count} subscribers"))
}

/// "confirmed", as in the database.
pub(super) fn state_name(incident: &v1::Incident) -> String {
    plain_state(incident.state())
}

/// Name of a state without the prefix of its enum.
pub(super) fn plain_state(state: v1::IncidentState) -> String {
    let name = state.as_str_name();
    name.strip_prefix("INCIDENT_STATE_")
        .unwrap_or(name)
        .to_lowercase()
}
