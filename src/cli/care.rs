//! `forewarn care`: the answer for a customer who is on the line.

use super::client::{self, ClientArgs, explain};
use super::incident::{expected_in_short, learned_record, plain_state};
use super::notice;
use super::table::{Output, instant};
use crate::proto::v1;
use clap::{Args, Subcommand};
use serde_json::json;

/// Arguments of `forewarn care`.
#[derive(Clone, Debug, Args)]
pub struct CareArgs {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub action: CareAction,
}

/// What to do for a customer.
#[derive(Clone, Debug, Subcommand)]
pub enum CareAction {
    /// Find a customer: is service lost, why, until when, what was said, what to say now
    Lookup {
        /// An account, a phone number, an e-mail address, the beginning of an address, or the
        /// serial number of the customer's equipment
        query: String,
        /// Language of what to say: en or it (default: the customer's)
        #[arg(long, default_value = "", hide_default_value = true)]
        language: String,
    },
}

/// Runs `forewarn care`.
pub async fn run(args: CareArgs) -> anyhow::Result<()> {
    let out = Output::new(&args.client);
    let connection = client::connect(&args.client).await?;
    let CareAction::Lookup { query, language } = args.action;
    let found = client::care(&connection)
        .lookup(v1::LookupRequest { query, language })
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    for (number, answer) in found.answers.iter().enumerate() {
        if out.json {
            out.record(&record(answer))?;
            continue;
        }
        if number > 0 {
            out.line("")?;
        }
        show(&out, answer)?;
    }
    match (out.json, found.answers.is_empty(), found.more) {
        (true, ..) | (false, false, false) => Ok(()),
        (false, true, _) => out.line("No customer matches."),
        (false, false, true) => out.line("\nThere are more matches: say more of the address."),
    }
}

fn show(out: &Output, answer: &v1::CareAnswer) -> anyhow::Result<()> {
    let state = match (answer.affected, answer.at_risk) {
        (true, _) => "AFFECTED: service is lost",
        (false, true) => "has service, but no redundancy left",
        (false, false) => "not affected",
    };
    let vulnerable = if answer.vulnerable { "yes" } else { "" };
    out.facts(&[
        ("account", answer.account.clone()),
        ("name", answer.name.clone()),
        ("address", answer.address.clone()),
        ("language", answer.language.clone()),
        ("time zone", answer.time_zone.clone()),
        ("segment", answer.segment.clone()),
        ("vulnerable", vulnerable.to_owned()),
        ("found by", answer.matched_by.replace('_', " ")),
        ("state", state.to_owned()),
        ("planned work", answer.planned_work.clone()),
        ("until", out.when(answer.planned_work_until_ms)),
    ])?;
    // Two clocks in one answer: whose is whose?
    let (theirs, ours) = if out.zone_name() == answer.time_zone {
        (String::new(), String::new())
    } else {
        let theirs = format!(" (times in {})", answer.time_zone);
        (theirs, format!(" (times in {})", out.zone_name()))
    };
    out.line(format!("\nSay{theirs}: {}", answer.what_to_say))?;
    show_incidents(out, answer, &ours)?;
    for sent in &answer.sent {
        out.line(format!(
            "\nSent {}{ours} ({} of {}, {})\n{}\n\n{}",
            out.when(sent.sent_ms),
            sent.stage,
            sent.incident_id,
            sent.state,
            sent.subject,
            sent.text.trim_end()
        ))?;
    }
    if answer.not_sent.is_empty() {
        return Ok(());
    }
    let not_sent = answer.not_sent.iter().map(|notice| {
        vec![
            notice.incident_id.clone(),
            notice.stage.clone(),
            notice.state.clone(),
            notice.decision.clone(),
            notice.state_reason.clone(),
            out.when(notice.planned_ms),
        ]
    });
    out.line(format!("\nNot sent (not to be told to the customer){ours}"))?;
    let header = [
        "incident", "stage", "state", "decision", "reason", "planned",
    ];
    out.table(&header, not_sent.collect(), "")
}

fn show_incidents(out: &Output, answer: &v1::CareAnswer, ours: &str) -> anyhow::Result<()> {
    if answer.incidents.is_empty() {
        return Ok(());
    }
    let incidents = answer.incidents.iter().map(|incident| {
        vec![
            incident.id.clone(),
            state_in_words(incident),
            incident.cause.clone(),
            out.when(incident.since_ms),
            expected_in_short(
                out,
                (incident.estimate_from_ms, incident.estimate_to_ms),
                incident.learned_estimate.as_ref(),
            ),
            out.when(incident.restored_ms),
        ]
    });
    let header = [
        "incident", "state", "cause", "since", "expected", "restored",
    ];
    out.line(format!("\nIncidents{ours}"))?;
    out.table(&header, incidents.collect(), "")
}

fn state_in_words(incident: &v1::CareIncident) -> String {
    match incident.merged_into.as_str() {
        "" => plain_state(incident.state()),
        survivor => format!("merged into {survivor}"),
    }
}

fn record(answer: &v1::CareAnswer) -> serde_json::Value {
    let incidents = answer.incidents.iter().map(|incident| {
        json!({
            "id": incident.id,
            "state": plain_state(incident.state()),
            "merged_into": Some(&incident.merged_into).filter(|survivor| !survivor.is_empty()),
            "since_ms": instant(incident.since_ms),
            "restored_ms": instant(incident.restored_ms),
            "cause": incident.cause,
            "estimate_from_ms": instant(incident.estimate_from_ms),
            "estimate_to_ms": instant(incident.estimate_to_ms),
            "learned_estimate": incident.learned_estimate.as_ref().map(learned_record),
        })
    });
    let sent = answer.sent.iter().map(notice::record_in_full);
    let not_sent = answer.not_sent.iter().map(notice::record);
    json!({
        "account": answer.account,
        "name": answer.name,
        "address": answer.address,
        "language": answer.language,
        "time_zone": answer.time_zone,
        "segment": answer.segment,
        "vulnerable": answer.vulnerable,
        "matched_by": answer.matched_by,
        "affected": answer.affected,
        "at_risk": answer.at_risk,
        "incidents": incidents.collect::<Vec<_>>(),
        "sent": sent.collect::<Vec<_>>(),
        "not_sent": not_sent.collect::<Vec<_>>(),
        "what_to_say": answer.what_to_say,
        "planned_work": answer.planned_work,
        "planned_work_until_ms": instant(answer.planned_work_until_ms),
    })
}
