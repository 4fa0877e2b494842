//! What happens in the demo, in order.

use super::DemoArgs;
use super::check::{self, Ledger};
use super::fault::{Fault, Faults};
use super::noc::Noc;
use super::people;
use super::stage::{Stage, say};
use crate::proto::v1::effect_service_client::EffectServiceClient;
use crate::proto::v1::incident_service_client::IncidentServiceClient;
use crate::proto::v1::notice_service_client::NoticeServiceClient;
use crate::proto::v1::{
    EffectReport, GetNoticeRequest, Incident, IncidentState, ListIncidentsRequest,
    ListNoticesRequest, Notice, RejectIncidentRequest, ReportRequest, SetEstimateRequest,
};
use anyhow::{Context as _, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often the link goes down and up.
const FLAPS: usize = 5;
/// How long anything may take before the demo calls it broken.
const PATIENCE_MS: i64 = 120_000;
/// No lease of the outbox is longer.
const LEASE_AT_MOST_MS: i64 = 10 * 60_000;
const LOOK_EVERY: Duration = Duration::from_millis(200);
const PAGE: u32 = 1_000;

/// Plays everything and compares it with the truth.
pub(super) async fn play(stage: &Stage, args: &DemoArgs) -> anyhow::Result<()> {
    let faults = Faults::choose(&stage.world, &stage.rings)?;
    let mut noc = Noc::connect(stage.connection.clone(), "demo-noc").await?;
    break_things(stage, &faults, &mut noc).await?;
    let incidents = wait_for_incidents(stage, &faults).await?;
    stage.say("Confirmed after the hold-down; people are being told.");
    wait_until_told(stage, &faults, &incidents).await?;
    act_as_operator(stage, &incidents).await?;
    complain(stage, &faults, &incidents, args.seed).await?;
    repair(stage, &faults, &mut noc).await?;
    wait_until_over(stage, &faults, &incidents).await?;
    let ledger = collect(stage, &faults, &incidents).await?;
    let findings = check::compare(&stage.world, &faults, &ledger);
    if args.json {
        say(false, &serde_json::to_string_pretty(&findings.figures)?);
    } else {
        let example = match check::example(&ledger) {
            Some(notice) => Some(notice_in_full(stage, &notice.id).await?),
            None => None,
        };
        check::tell(stage, &findings, example.as_ref());
    }
    if !findings.mismatches.is_empty() {
        bail!(
            "not what really happened:\n  {}",
            findings.mismatches.join("\n  ")
        );
    }
    if !args.once {
        check::tell_where_to_look(stage, &faults, &ledger);
        stage.say("The service is still running; Ctrl-C ends it.");
    }
    Ok(())
}

async fn break_things(stage: &Stage, faults: &Faults, noc: &mut Noc) -> anyhow::Result<()> {
    for (number, fault) in faults.all().into_iter().enumerate() {
        stage.say(&format!("{}. {}", number + 1, fault.title));
        if let Some(remark) = &fault.remark {
            stage.say(&format!("     {remark}"));
        }
    }
    for fault in [&faults.feeder, &faults.olt, &faults.ring, &faults.phantom] {
        raise(stage, fault, noc).await?;
    }
    for _ in 0..FLAPS {
        raise(stage, &faults.flapping, noc).await?;
        tokio::time::sleep(LOOK_EVERY).await;
        clear(stage, &faults.flapping, noc).await?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    raise(stage, &faults.flapping, noc).await?;
    let sent: usize = faults
        .all()
        .iter()
        .flat_map(|f| &f.alarms)
        .map(|(resources, _, _)| resources.len())
        .sum();
    stage.say(&format!(
        "\nThe NOC has streamed alarms of {sent} resources; each is durable."
    ));
    Ok(())
}

async fn raise(stage: &Stage, fault: &Fault, noc: &mut Noc) -> anyhow::Result<()> {
    for (resources, alarm_type, text) in &fault.alarms {
        noc.raise(resources, alarm_type, text, stage.clock.now_ms())
            .await?;
    }
    Ok(())
}

async fn clear(stage: &Stage, fault: &Fault, noc: &mut Noc) -> anyhow::Result<()> {
    for (resources, alarm_type, _) in &fault.alarms {
        noc.clear(resources, alarm_type, stage.clock.now_ms())
            .await?;
    }
    Ok(())
}

/// The incident of each fault, by the fault's name.
pub(super) type Incidents = BTreeMap<&'static str, Incident>;

async fn list_incidents(stage: &Stage) -> anyhow::Result<Vec<Incident>> {
    let request = ListIncidentsRequest {
        page_size: 500,
        ..ListIncidentsRequest::default()
    };
    let answer = IncidentServiceClient::new(stage.connection.clone())
        .list_incidents(request)
        .await?;
    Ok(answer.into_inner().incidents)
}

/// The open or ended incident whose cause is the fault's.
fn incident_of<'a>(fault: &Fault, incidents: &'a [Incident]) -> Option<&'a Incident> {
    incidents.iter().find(|incident| {
        let cause = incident.cause.as_ref();
        cause.is_some_and(|c| c.resources.iter().any(|r| fault.cause.contains(r)))
    })
}

async fn wait_for_incidents(stage: &Stage, faults: &Faults) -> anyhow::Result<Incidents> {
    wait(
        stage,
        "every fault to become a confirmed incident",
        async || {
            let all = list_incidents(stage).await?;
            let mut found = Incidents::new();
            for fault in faults.all() {
                match incident_of(fault, &all) {
                    Some(i) if i.state() == IncidentState::Confirmed => {
                        found.insert(fault.name, i.clone())
                    }
                    _ => return Ok(None),
                };
            }
            Ok(Some(found))
        },
    )
    .await
}

/// All notices of an incident, oldest first.
async fn notices_of(stage: &Stage, incident: &str) -> anyhow::Result<Vec<Notice>> {
    let mut client = NoticeServiceClient::new(stage.connection.clone());
    let mut notices = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListNoticesRequest {
            incident_id: incident.to_owned(),
            page_size: PAGE,
            page_token,
            ..ListNoticesRequest::default()
        };
        let page = client.list_notices(request).await?.into_inner();
        notices.extend(page.notices);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            notices.reverse();
            return Ok(notices);
        }
    }
}

/// Whether nothing that is due waits in the outbox, or is on its way: what is being handed over waits
/// for the end of its lease.
fn is_settled(notices: &[Notice], now_ms: i64) -> bool {
    let is_due = |notice: &Notice| {
        let leased_ms = if notice.attempts > 0 {
            LEASE_AT_MOST_MS
        } else {
            0
        };
        notice.state == "pending" && notice.not_before_ms <= now_ms + leased_ms
    };
    !notices.iter().any(is_due)
}

async fn wait_until_told(
    stage: &Stage,
    faults: &Faults,
    incidents: &Incidents,
) -> anyhow::Result<()> {
    for fault in faults.all() {
        let incident = &incidents[fault.name];
        wait(stage, "everyone due to be told", async || {
            let notices = notices_of(stage, &incident.id).await?;
            let complete = notices.len() >= fault.believed.len();
            let settled = is_settled(&notices, stage.clock.now_ms());
            Ok((complete && settled).then_some(()))
        })
        .await?;
    }
    stage.say(&format!(
        "{} mails have reached the people's mail server.\n",
        stage.mails.count()
    ));
    Ok(())
}

/// Gives an estimate for one incident, and rejects the one that is not true.
async fn act_as_operator(stage: &Stage, incidents: &Incidents) -> anyhow::Result<()> {
    let mut client = IncidentServiceClient::new(stage.connection.clone());
    let (olt, phantom) = (&incidents["olt"], &incidents["phantom"]);
    let now_ms = stage.clock.now_ms();
    client
        .set_estimate(SetEstimateRequest {
            id: olt.id.clone(),
            from_ms: now_ms + 45 * 60_000,
            to_ms: now_ms + 90 * 60_000,
        })
        .await
        .context("setting an estimate")?;
    client
        .reject_incident(RejectIncidentRequest {
            id: phantom.id.clone(),
            reason: "the poller was broken; the OLT carries traffic".to_owned(),
        })
        .await
        .context("rejecting an incident")?;
    stage.say(&format!(
        "An operator expects {} back in 45 to 90 minutes, and rejects {}: whoever was told gets a \
         retraction.",
        olt.id, phantom.id
    ));
    Ok(())
}

/// Lets the people who lost service react, those who read mail less than the others.
async fn complain(
    stage: &Stage,
    faults: &Faults,
    incidents: &Incidents,
    seed: u64,
) -> anyhow::Result<()> {
    let mut taken = 0;
    for (number, fault) in faults.all().into_iter().enumerate() {
        let notices = notices_of(stage, &incidents[fault.name].id).await?;
        let told: BTreeSet<String> = notices
            .iter()
            .filter(|n| n.stage == "first" && n.state == "sent")
            .map(|n| n.account.clone())
            .collect();
        let seed = seed.wrapping_mul(31).wrapping_add(number as u64);
        let accounts = people::complainers(&fault.without_service, &told, seed);
        let now_ms = stage.clock.now_ms();
        taken += people::complain(stage.connection.clone(), fault.name, &accounts, now_ms).await?;
    }
    stage.say(&format!(
        "{taken} customers have complained: {:.0} % of those who were told, {:.0} % of the others, \
         more or less.",
        people::COMPLAINS_TOLD * 100.0,
        people::COMPLAINS_UNTOLD * 100.0
    ));
    Ok(())
}

async fn repair(stage: &Stage, faults: &Faults, noc: &mut Noc) -> anyhow::Result<()> {
    for fault in [&faults.feeder, &faults.olt, &faults.ring, &faults.phantom] {
        clear(stage, fault, noc).await?;
    }
    stage.say("Everything but the flapping link is repaired.\n");
    Ok(())
}

async fn wait_until_over(
    stage: &Stage,
    faults: &Faults,
    incidents: &Incidents,
) -> anyhow::Result<()> {
    for fault in [&faults.feeder, &faults.olt, &faults.ring, &faults.phantom] {
        let id = &incidents[fault.name].id;
        wait(
            stage,
            "the end of an incident and of what is said about it",
            async || {
                let all = list_incidents(stage).await?;
                let over = all.iter().any(|i| {
                    i.id == *id
                        && matches!(i.state(), IncidentState::Restored | IncidentState::Rejected)
                });
                let notices = notices_of(stage, id).await?;
                let settled = is_settled(&notices, stage.clock.now_ms());
                Ok((over && settled).then_some(()))
            },
        )
        .await?;
    }
    Ok(())
}

async fn collect(stage: &Stage, faults: &Faults, incidents: &Incidents) -> anyhow::Result<Ledger> {
    let all = list_incidents(stage).await?;
    let mut ledger = Ledger::default();
    for fault in faults.all() {
        let id = &incidents[fault.name].id;
        let now = all.iter().find(|i| i.id == *id);
        let incident = now.with_context(|| format!("{id} is gone"))?.clone();
        ledger
            .notices
            .insert(fault.name, notices_of(stage, id).await?);
        ledger.incidents.insert(fault.name, incident);
    }
    ledger.unexpected = all
        .into_iter()
        .filter(|i| ledger.incidents.values().all(|known| known.id != i.id))
        .collect();
    ledger.mails = stage.mails.mails();
    ledger.effect = Some(effect(stage).await?);
    Ok(ledger)
}

/// A notice with its text, as the history keeps it.
async fn notice_in_full(stage: &Stage, id: &str) -> anyhow::Result<Notice> {
    let answer = NoticeServiceClient::new(stage.connection.clone())
        .get_notice(GetNoticeRequest { id: id.to_owned() })
        .await
        .context("reading a notice")?;
    Ok(answer.into_inner())
}

async fn effect(stage: &Stage) -> anyhow::Result<EffectReport> {
    let report = EffectServiceClient::new(stage.connection.clone())
        .report(ReportRequest {
            from_ms: 1,
            to_ms: stage.clock.now_ms() + 1,
            ..ReportRequest::default()
        })
        .await
        .context("asking for the effect")?;
    Ok(report.into_inner())
}

/// Looks again and again until there is an answer.
async fn wait<T>(
    stage: &Stage,
    what: &str,
    look: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begin_ms = stage.clock.now_ms();
    while stage.clock.now_ms() - begin_ms < PATIENCE_MS {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("waited {} s in vain for {what}", PATIENCE_MS / 1_000)
}
