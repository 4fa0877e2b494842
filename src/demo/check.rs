//! Compares what the service says with what really happened, and tells the person who watches.

use super::fault::{Fault, Faults};
use super::people;
use super::smtp_capture::CapturedMail;
use super::stage::Stage;
use super::world::World;
use crate::proto::v1::{Arm, EffectReport, Estimate, Incident, IncidentState, Notice};
use crate::subscriber::ContactKind;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What the service and the mail server say at the end, by the names of the faults.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) incidents: BTreeMap<&'static str, Incident>,
    pub(super) notices: BTreeMap<&'static str, Vec<Notice>>,
    pub(super) unexpected: Vec<Incident>,
    pub(super) mails: Vec<CapturedMail>,
    pub(super) effect: Option<EffectReport>,
}

/// The figures, and every contradiction.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) figures: Figures,
    pub(super) mismatches: Vec<String>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    subscribers: usize,
    mails: usize,
    faults: Vec<FaultFigures>,
    effect: Option<EffectFigures>,
    mismatches: usize,
}

#[derive(Debug, Serialize)]
struct FaultFigures {
    fault: &'static str,
    incident: String,
    state: &'static str,
    cause: Vec<String>,
    without_service: usize,
    affected_peak: u64,
    told: usize,
    not_told: BTreeMap<String, usize>,
    waiting_for_morning: usize,
    restored: usize,
    retracted: usize,
}

#[derive(Debug, Serialize)]
struct EffectFigures {
    told: u64,
    told_complained: u64,
    held_out: u64,
    held_out_complained: u64,
    reduction: Option<[f64; 3]>,
    claim: String,
}

/// Goes through everything that must be true.
pub(super) fn compare(world: &World, faults: &Faults, ledger: &Ledger) -> Findings {
    let mut wrong = Vec::new();
    let accounts = Accounts::new(world);
    for incident in &ledger.unexpected {
        wrong.push(format!("{} has no fault behind it", incident.id));
    }
    let mut figures = Vec::new();
    for fault in faults.all() {
        let (Some(incident), Some(notices)) = (
            ledger.incidents.get(fault.name),
            ledger.notices.get(fault.name),
        ) else {
            wrong.push(format!("{}: no incident", fault.name));
            continue;
        };
        check_incident(fault, incident, &mut wrong);
        check_decisions(fault, notices, &accounts, &mut wrong);
        check_stages(fault, notices, &mut wrong);
        figures.push(fault_figures(fault, incident, notices));
    }
    check_mails(ledger, &accounts, &mut wrong);
    check_effect(faults, ledger, &mut wrong);
    Findings {
        figures: Figures {
            subscribers: world.subscribers.len(),
            mails: ledger.mails.len(),
            faults: figures,
            effect: ledger.effect.as_ref().map(effect_figures),
            mismatches: wrong.len(),
        },
        mismatches: wrong,
    }
}

/// What is known of the people, independent of the service.
struct Accounts {
    emails: BTreeMap<String, BTreeSet<String>>,
    consent: BTreeSet<String>,
    vulnerable: BTreeSet<String>,
}

impl Accounts {
    fn new(world: &World) -> Self {
        let emails = world.subscribers.iter().map(|s| {
            let points = s.contact_points.iter();
            let emails = points
                .filter(|p| p.kind == ContactKind::Email)
                .map(|p| p.value.to_lowercase());
            (s.account.clone(), emails.collect())
        });
        let named = |wanted: fn(&crate::subscriber::Subscriber) -> bool| {
            let subscribers = world.subscribers.iter();
            subscribers
                .filter(|s| wanted(s))
                .map(|s| s.account.clone())
                .collect()
        };
        Self {
            emails: emails.collect(),
            consent: named(|s| s.consent),
            vulnerable: named(|s| s.vulnerable),
        }
    }
}

fn check_incident(fault: &Fault, incident: &Incident, wrong: &mut Vec<String>) {
    let expected = match fault.name {
        "phantom" => IncidentState::Rejected,
        "flapping" => IncidentState::Confirmed,
        _ => IncidentState::Restored,
    };
    if incident.state() != expected {
        wrong.push(format!(
            "{}: {} is {:?}, expected {expected:?}",
            fault.name,
            incident.id,
            incident.state()
        ));
    }
    if incident.affected_peak != fault.believed.len() as u64 {
        wrong.push(format!(
            "{}: {} counted {} people without service, expected {}",
            fault.name,
            incident.id,
            incident.affected_peak,
            fault.believed.len()
        ));
    }
    let mut cause = incident.cause.clone().unwrap_or_default().resources;
    let mut expected = fault.cause.clone();
    cause.sort();
    expected.sort();
    if cause != expected {
        wrong.push(format!(
            "{}: cause {cause:?}, expected {expected:?}",
            fault.name
        ));
    }
    if fault.name == "flapping" && !incident.unstable {
        wrong.push("flapping: the incident is not marked unstable".to_owned());
    }
}

fn of_stage<'a>(notices: &'a [Notice], stage: &'a str) -> impl Iterator<Item = &'a Notice> {
    notices.iter().filter(move |n| n.stage == stage)
}

fn accounts_told(notices: &[Notice], stage: &str) -> BTreeSet<String> {
    of_stage(notices, stage)
        .filter(|n| n.state == "sent")
        .map(|n| n.account.clone())
        .collect()
}

/// Everyone believed to be affected has one decision, and it is one that the person allows.
fn check_decisions(
    fault: &Fault,
    notices: &[Notice],
    accounts: &Accounts,
    wrong: &mut Vec<String>,
) {
    let mut decided = BTreeSet::new();
    for notice in of_stage(notices, "first") {
        if !decided.insert(notice.account.clone()) {
            wrong.push(format!(
                "{}: two decisions for {}",
                fault.name, notice.account
            ));
        }
        let may_be_told = accounts.consent.contains(&notice.account)
            && accounts
                .emails
                .get(&notice.account)
                .is_some_and(|emails| !emails.is_empty());
        if notice.decision == "send" && !may_be_told {
            wrong.push(format!(
                "{}: {} must not be told",
                fault.name, notice.account
            ));
        }
        if notice.decision == "held_out" && accounts.vulnerable.contains(&notice.account) {
            wrong.push(format!(
                "{}: vulnerable {} held out",
                fault.name, notice.account
            ));
        }
    }
    if decided != fault.believed {
        wrong.push(format!(
            "{}: decisions for {} people, expected {}; {} too many, {} missing",
            fault.name,
            decided.len(),
            fault.believed.len(),
            decided.difference(&fault.believed).count(),
            fault.believed.difference(&decided).count()
        ));
    }
}

/// Whoever was told hears the end, and nobody else does.
fn check_stages(fault: &Fault, notices: &[Notice], wrong: &mut Vec<String>) {
    let told = accounts_told(notices, "first");
    for (stage, expected) in [
        ("restored", !matches!(fault.name, "phantom" | "flapping")),
        ("retraction", fault.name == "phantom"),
    ] {
        let heard = accounts_told(notices, stage);
        let due = if expected {
            told.clone()
        } else {
            BTreeSet::new()
        };
        if heard != due {
            wrong.push(format!(
                "{}: {} people got `{stage}`, expected {}",
                fault.name,
                heard.len(),
                due.len()
            ));
        }
    }
    // All of them may be held out: a feeder is one cluster.
    let may_be_told = of_stage(notices, "first").any(|n| n.decision == "send");
    if may_be_told && told.is_empty() {
        wrong.push(format!("{}: nobody was told", fault.name));
    }
}

/// Each notice that was sent is one mail to one address of its account, and there are no others.
fn check_mails(ledger: &Ledger, accounts: &Accounts, wrong: &mut Vec<String>) {
    let mut sent: BTreeMap<&str, &Notice> = BTreeMap::new();
    for notice in ledger.notices.values().flatten() {
        if notice.state == "sent" {
            sent.insert(bare_id(&notice.message_id), notice);
        }
    }
    let mut seen = BTreeSet::new();
    for mail in &ledger.mails {
        let id = message_id(mail).unwrap_or_default();
        let Some(notice) = sent.get(bare_id(&id)) else {
            wrong.push(format!(
                "a mail with Message-ID {id} belongs to no sent notice"
            ));
            continue;
        };
        if !seen.insert(notice.id.clone()) {
            wrong.push(format!("notice {} was mailed twice", notice.id));
        }
        let addresses = accounts.emails.get(&notice.account);
        let is_theirs = |to: &String| addresses.is_some_and(|a| a.contains(&to.to_lowercase()));
        if mail.to.len() != 1 || !mail.to.iter().all(is_theirs) {
            wrong.push(format!("notice {} went to a wrong address", notice.id));
        }
    }
    if seen.len() != sent.len() {
        wrong.push(format!(
            "{} notices count as sent, {} of them reached the mail server",
            sent.len(),
            seen.len()
        ));
    }
}

fn bare_id(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

/// The header's value.
fn message_id(mail: &CapturedMail) -> Option<String> {
    let text = String::from_utf8_lossy(&mail.data);
    let head = text.split("\r\n\r\n").next()?;
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    unfolded.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("message-id")
            .then(|| value.trim().to_owned())
    })
}

/// The report counts the people whom the demo counts itself.
fn check_effect(faults: &Faults, ledger: &Ledger, wrong: &mut Vec<String>) {
    let Some(pooled) = ledger.effect.as_ref().and_then(|e| e.pooled.as_ref()) else {
        wrong.push("the effect report has no pooled figures".to_owned());
        return;
    };
    let reported = ledger.effect.iter().flat_map(|effect| &effect.incidents);
    let reported: BTreeMap<&str, (u64, u64)> = reported
        .map(|one| {
            let of = |arm: Option<Arm>| arm.map_or(0, |a| a.subscribers);
            (one.incident_id.as_str(), (of(one.told), of(one.held_out)))
        })
        .collect();
    let (mut told, mut held_out) = (0, 0);
    for fault in faults.all().into_iter().filter(|f| f.name != "phantom") {
        let notices = ledger.notices.get(fault.name).map_or(&[][..], |n| n);
        let first = |decision| {
            let decided = of_stage(notices, "first").filter(|n| n.decision == decision);
            decided.count() as u64
        };
        let incident = ledger
            .incidents
            .get(fault.name)
            .map_or("", |i| i.id.as_str());
        let (said_told, said_held_out) = reported.get(incident).copied().unwrap_or_default();
        if said_held_out != first("held_out") {
            wrong.push(format!(
                "{}: the effect report counts {said_held_out} held out, expected {}",
                fault.name,
                first("held_out")
            ));
        }
        // The vulnerable are told outside the experiment.
        if said_told > first("send") {
            wrong.push(format!(
                "{}: the effect report counts {said_told} told, expected at most {}",
                fault.name,
                first("send")
            ));
        }
        // Where all fell to one arm, as those on a single PON do, there is nothing to compare.
        if said_told > 0 && said_held_out > 0 {
            told += said_told;
            held_out += said_held_out;
        }
    }
    let of = |arm: Option<Arm>| arm.map_or(0, |a| a.subscribers);
    let pooled_arms = (of(pooled.told), of(pooled.held_out));
    if pooled_arms != (told, held_out) || told == 0 {
        wrong.push(format!(
            "the effect report pools {} told and {} held out, expected {told} and {held_out}",
            pooled_arms.0, pooled_arms.1
        ));
    }
    let truth = people::COMPLAINS_TOLD / people::COMPLAINS_UNTOLD;
    match pooled.risk_ratio {
        Some(ratio) if ratio.low < ratio.value && ratio.value < ratio.high => {
            // Three times the interval: a right report is outside of that about once in 10^8 runs.
            let spread = (ratio.high / ratio.low).ln() / 2.0 * 3.0;
            if (ratio.value / truth).ln().abs() > spread {
                wrong.push(format!(
                    "risk ratio {:.3} is far from the true {truth:.3}",
                    ratio.value
                ));
            }
        }
        other => wrong.push(format!(
            "the effect report has no usable risk ratio: {other:?}"
        )),
    }
}

fn fault_figures(fault: &Fault, incident: &Incident, notices: &[Notice]) -> FaultFigures {
    let mut not_told: BTreeMap<String, usize> = BTreeMap::new();
    for notice in of_stage(notices, "first").filter(|n| n.decision != "send") {
        *not_told.entry(notice.decision.clone()).or_default() += 1;
    }
    FaultFigures {
        fault: fault.name,
        incident: incident.id.clone(),
        state: match incident.state() {
            IncidentState::Suspected => "suspected",
            IncidentState::Confirmed => "confirmed",
            IncidentState::Restored => "restored",
            IncidentState::Rejected => "rejected",
            IncidentState::Unspecified => "unknown",
        },
        cause: incident.cause.clone().unwrap_or_default().resources,
        without_service: fault.without_service.len(),
        affected_peak: incident.affected_peak,
        told: accounts_told(notices, "first").len(),
        not_told,
        waiting_for_morning: of_stage(notices, "first")
            .filter(|n| n.decision == "send" && n.state != "sent")
            .count(),
        restored: accounts_told(notices, "restored").len(),
        retracted: accounts_told(notices, "retraction").len(),
    }
}

fn effect_figures(report: &EffectReport) -> EffectFigures {
    let pooled = report.pooled.unwrap_or_default();
    let (told, held_out) = (
        pooled.told.unwrap_or_default(),
        pooled.held_out.unwrap_or_default(),
    );
    EffectFigures {
        told: told.subscribers,
        told_complained: told.complained,
        held_out: held_out.subscribers,
        held_out_complained: held_out.complained,
        reduction: pooled
            .reduction
            .map(|Estimate { value, low, high }| [value, low, high]),
        claim: report.claim.clone(),
    }
}

/// Shows the outcome.
pub(super) fn tell(stage: &Stage, findings: &Findings, example: Option<&Notice>) {
    stage.say(&outcome_table(findings));
    if let Some(notice) = example {
        stage.say(&format!(
            "One message in full ({}, account {}):\n\n  Subject: {}\n\n{}\n",
            notice.incident_id,
            notice.account,
            notice.subject,
            indented(&notice.text)
        ));
    }
    if let Some(effect) = &findings.figures.effect {
        stage.say(&format!(
            "Effect: {} of {} told complained, {} of {} held out.\n{}\n",
            effect.told_complained,
            effect.told,
            effect.held_out_complained,
            effect.held_out,
            effect.claim
        ));
    }
    if findings.mismatches.is_empty() {
        stage
            .say("All of it is what really happened: impact, decisions, mails and counts agree.\n");
    }
}

/// Shows how to look around in the service.
pub(super) fn tell_where_to_look(stage: &Stage, faults: &Faults, ledger: &Ledger) {
    let account = faults.ring.without_service.iter().next();
    let olt = ledger
        .incidents
        .get("olt")
        .map_or("INC-1", |i| i.id.as_str());
    stage.say(&format!(
        "Look around in another terminal:\n\n  export PATH=\"{}:$PATH\"\n  \
         export FOREWARN_SERVER={} FOREWARN_TOKEN={}\n  \
         forewarn incident list\n  forewarn incident show {olt}\n  forewarn notice list --incident {olt}\n  \
         forewarn care lookup {}\n  forewarn report effect\n",
        program_directory(),
        stage.server,
        stage.token,
        account.map_or("A0000001", |a| a.as_str())
    ));
}

/// Where the running program lies.
fn program_directory() -> String {
    let program = std::env::current_exe().ok();
    let directory = program.as_deref().and_then(std::path::Path::parent);
    directory.map_or_else(|| ".".to_owned(), |d| d.display().to_string())
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

fn outcome_table(findings: &Findings) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "incident",
        "fault",
        "state",
        "lost service",
        "told",
        "not told",
        "asleep",
        "restored",
        "retracted",
    ]);
    for f in &findings.figures.faults {
        let reasons: Vec<String> = f.not_told.iter().map(|(r, n)| format!("{n} {r}")).collect();
        table.add_row([
            f.incident.clone(),
            f.fault.to_owned(),
            f.state.to_owned(),
            f.without_service.to_string(),
            f.told.to_string(),
            reasons.join("\n"),
            f.waiting_for_morning.to_string(),
            f.restored.to_string(),
            f.retracted.to_string(),
        ]);
    }
    table.to_string()
}

/// A first notice that somebody who reads Italian got.
pub(super) fn example(ledger: &Ledger) -> Option<&Notice> {
    let notices = ledger.notices.get("ring")?;
    of_stage(notices, "first").find(|n| n.state == "sent" && n.language == "it")
}
