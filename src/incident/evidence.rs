//! What the alarms behind a failure say: since when, how surely, and what kind of failure it is.

use super::company::{has_company, is_about_home, is_feed, plant_of};
use super::declared::Stated;
use super::likelihood::is_home;
use super::localise::Failure;
use super::onset::Onset;
use super::{CauseKind, CorrelatorSettings, DeclarationRef, EVIDENCE_KEPT, Evidence};
use crate::alarm::{
    AlarmBook, AlarmState, RETENTION_MS, is_hardware_fault, is_power, is_signal_loss,
};
use crate::clock::Millis;
use crate::topology::{ElementKind, GroupKind, Network, Part};

/// The summary of the evidence for one failure, or for several that make one incident.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    /// Sorted by id.
    pub(super) parts: Vec<Part>,
    /// At most [`EVIDENCE_KEPT`], sorted.
    pub(super) evidence: Vec<Evidence>,
    pub(super) evidence_count: u64,
    pub(super) onset: Onset,
    /// Since when each of the parts takes service from people; sorted by part.
    pub(super) failed_since: Vec<(Part, Millis)>,
    /// When half of the alarms had been raised, by the clock of the source; where the plant itself
    /// speaks, half of its alarms.
    pub(super) half_raised_ms: Millis,
    pub(super) newest_raise_ms: Millis,
    /// When the first of the alarms arrived, by our clock.
    pub(super) first_received_ms: Millis,
    /// When half of the alarms had arrived, or half of what the plant itself says if that was later: of
    /// the homes behind it some have been dark for long. Of several failures the latest.
    pub(super) half_received_ms: Millis,
    pub(super) is_stale: bool,
    /// Until when one of the alarms counts as coming and going, if nothing more is reported.
    pub(super) unstable_until_ms: Option<Millis>,
    /// Subscribers who are without service by failures that do not rest on a lone alarm, and by
    /// those that do.
    pub(super) backed: usize,
    pub(super) unbacked: usize,
    /// It is a lone alarm, and only an operator believes it.
    pub(super) is_lone: bool,
    pub(super) kind: CauseKind,
    /// See [`super::Cause::reasoning`].
    pub(super) reasoning: String,
    /// The declarations that it is the failure of; by id.
    pub(super) stated: Vec<Stated>,
    /// The planned work that has left it behind.
    pub(super) overrun: Option<Stated>,
}

impl Summary {
    /// Whether more than lone alarms speak for it, or for most of it.
    pub(super) fn has_company(&self) -> bool {
        self.backed > self.unbacked
    }

    /// Whether its alarms are so much older than an instant that the clears of others like them may
    /// have been forgotten by then: what was a failure begins nothing new.
    pub(super) fn is_left_over(&self, since_ms: Millis) -> bool {
        // What planned work has left behind has waited for the end of its window.
        self.overrun.is_none() && since_ms > self.half_received_ms + RETENTION_MS
    }

    /// Numbers and revisions of the declarations behind it.
    pub(super) fn references(&self) -> Vec<DeclarationRef> {
        let stated = self.stated.iter().chain(&self.overrun);
        stated.map(|stated| stated.statement.reference).collect()
    }
}

/// Shares of the evidence.
#[derive(Clone, Copy, Debug, Default)]
struct Votes {
    power: usize,
    signal: usize,
    all: usize,
    /// One of the failed parts says that it is broken itself.
    is_hardware: bool,
}

/// Sums up the evidence of a failure that takes so many subscribers; `None` without any.
pub(super) fn summarise(
    failure: &Failure,
    lost: usize,
    book: &AlarmBook,
    network: &Network,
    settings: &CorrelatorSettings,
    (onset, failed_since): (Onset, Vec<(Part, Millis)>),
) -> Option<Summary> {
    let mut alarms: Vec<&AlarmState> = failure
        .alarms
        .iter()
        .filter_map(|no| book.get(*no))
        .collect();
    if alarms.len() > EVIDENCE_KEPT {
        alarms.select_nth_unstable_by(EVIDENCE_KEPT, |a, b| identity(a).cmp(&identity(b)));
    }
    let mut evidence: Vec<Evidence> = alarms
        .iter()
        .take(EVIDENCE_KEPT)
        .map(|a| entry(a))
        .collect();
    evidence.sort_unstable();
    let mut votes = Votes::default();
    for alarm in &alarms {
        votes.all += 1;
        votes.power += usize::from(is_power(&alarm.key().alarm_type));
        votes.signal += usize::from(is_signal_loss(&alarm.key().alarm_type));
    }
    let own = failure.own.iter().filter_map(|no| book.get(*no));
    votes.is_hardware = own
        .clone()
        .any(|alarm| alarm.is_active() && is_hardware_fault(&alarm.key().alarm_type));
    let known = alarms.iter().filter_map(|&alarm| {
        let part = network.part(&alarm.key().resource)?;
        Some((alarm, part))
    });
    let known: Vec<(&AlarmState, Part)> = known.collect();
    let of_plant = known.iter();
    let of_plant = of_plant.filter(|&&(_, part)| !is_about_home(part, network));
    let mut speaking: Vec<&AlarmState> = of_plant.map(|&(alarm, _)| alarm).collect();
    // Where homes have no power, what the plant says is not about that.
    let plant = plant_of(failure, network);
    if speaking.is_empty() || plant.iter().all(|&part| is_feed(part, network)) {
        speaking.clone_from(&alarms);
    }
    let mut received: Vec<Millis> = speaking.iter().map(|a| a.active_received_ms()).collect();
    let mut all_received: Vec<Millis> = alarms.iter().map(|a| a.active_received_ms()).collect();
    let mut raised: Vec<Millis> = speaking.iter().map(|a| a.raised_ms()).collect();
    // Also nobody counts, where all have a way around.
    let counted = lost.max(1);
    let (backed, unbacked) = if has_company(failure, &known, lost, network) {
        (counted, 0)
    } else {
        (0, counted)
    };
    Some(Summary {
        parts: failure.parts.clone(),
        evidence,
        evidence_count: alarms.len() as u64,
        onset,
        failed_since,
        half_raised_ms: median(&mut raised)?,
        newest_raise_ms: alarms.iter().map(|alarm| alarm.raised_ms()).max()?,
        first_received_ms: alarms.iter().map(|a| a.active_received_ms()).min()?,
        half_received_ms: median(&mut received)?.max(median(&mut all_received)?),
        is_stale: alarms.iter().any(|alarm| book.is_stale(alarm.source())),
        backed,
        unbacked,
        is_lone: backed == 0 && settings.lone_alarm_ms.is_none(),
        kind: kind_of(&failure.parts, votes, network),
        reasoning: failure.reasoning.clone(),
        unstable_until_ms: unstable_until_ms(alarms.into_iter().chain(own), settings),
        stated: Vec::new(),
        overrun: None,
    })
}

/// The later one in the middle of an even number.
pub(super) fn median(instants: &mut [Millis]) -> Option<Millis> {
    let middle = instants.len() / 2;
    (!instants.is_empty()).then(|| *instants.select_nth_unstable(middle).1)
}

/// An alarm as evidence, as it stands now.
pub(super) fn entry(alarm: &AlarmState) -> Evidence {
    Evidence {
        key: alarm.key().clone(),
        source: alarm.source(),
        severity: alarm.severity(),
        raised_ms: alarm.raised_ms(),
        cleared_ms: alarm.cleared_ms(),
    }
}

fn identity(alarm: &AlarmState) -> impl Ord + '_ {
    (alarm.key(), alarm.source())
}

/// Until when one of these alarms counts as coming and going, if nothing more is reported.
pub(super) fn unstable_until_ms<'a>(
    alarms: impl Iterator<Item = &'a AlarmState>,
    settings: &CorrelatorSettings,
) -> Option<Millis> {
    let until = alarms.filter_map(|alarm| alarm.unstable_until_ms(settings.flapping));
    until.max()
}

fn kind_of(parts: &[Part], votes: Votes, network: &Network) -> CauseKind {
    // Of homes that lose power one in four cannot say so, and many are also told to be offline.
    let are_homes = || {
        let mut parts = parts.iter();
        parts.all(|part| matches!(part, Part::Element(element) if is_home(network, *element)))
    };
    let is_power = votes.power * 2 > votes.all
        || (votes.power > 0 && votes.power * 3 >= votes.all && are_homes());
    if is_power {
        return CauseKind::Power;
    }
    let no_signal = votes.signal * 2 > votes.all;
    let Some(&part) = parts.first() else {
        return CauseKind::Unknown;
    };
    match part {
        Part::Link(_) if no_signal => CauseKind::FibreCut,
        Part::Link(_) => CauseKind::Unknown,
        Part::Group(group) => match network.group_kind(group) {
            GroupKind::PowerFeed => CauseKind::Power,
            GroupKind::Duct | GroupKind::Cable => CauseKind::FibreCut,
            _ => CauseKind::Unknown,
        },
        Part::Element(element) if network.is_gateway(element) => CauseKind::Upstream,
        Part::Element(element) => match network.kind(element) {
            ElementKind::PowerFeed => CauseKind::Power,
            ElementKind::Bng => CauseKind::Upstream,
            ElementKind::Router | ElementKind::Switch | ElementKind::Olt | ElementKind::Cmts => {
                CauseKind::Equipment
            }
            ElementKind::PonPort if votes.is_hardware => CauseKind::Equipment,
            _ if no_signal => CauseKind::FibreCut,
            _ => CauseKind::Unknown,
        },
    }
}

/// Failures of one incident whose reasons are given besides those of the first.
const EXPLAINED: usize = 4;

/// Puts failures of one incident together; the largest part of the evidence names the kind.
pub(super) fn combine(mut summaries: Vec<&Summary>, network: &Network) -> Option<Summary> {
    summaries.sort_by_key(|s| std::cmp::Reverse(s.evidence_count));
    let (first, rest) = summaries.split_first()?;
    let mut sum = Summary::clone(first);
    let (mut explained, mut more) = (0, 0);
    for other in rest {
        sum.parts.extend(&other.parts);
        sum.failed_since.extend(&other.failed_since);
        sum.evidence.extend(other.evidence.iter().cloned());
        sum.evidence_count += other.evidence_count;
        sum.onset = sum.onset.earlier(other.onset);
        sum.newest_raise_ms = sum.newest_raise_ms.max(other.newest_raise_ms);
        sum.first_received_ms = sum.first_received_ms.min(other.first_received_ms);
        sum.is_stale |= other.is_stale;
        sum.is_lone &= other.is_lone;
        sum.backed += other.backed;
        sum.unbacked += other.unbacked;
        sum.half_received_ms = sum.half_received_ms.max(other.half_received_ms);
        sum.unstable_until_ms = sum.unstable_until_ms.max(other.unstable_until_ms);
        sum.stated.extend(other.stated.iter().cloned());
        if other.reasoning.is_empty() {
            continue;
        }
        if explained < EXPLAINED {
            explained += 1;
            if !sum.reasoning.is_empty() {
                sum.reasoning.push(' ');
            }
            sum.reasoning.push_str(&other.reasoning);
        } else {
            more += 1;
        }
    }
    // What failed beside the work has another cause.
    if let Some(other) = summaries.iter().find(|summary| summary.overrun.is_none())
        && sum.overrun.take().is_some()
    {
        sum.kind = other.kind;
    }
    if more > 0 {
        let plural = if more == 1 { "" } else { "s" };
        let more = thousands(more);
        sum.reasoning
            .push_str(&[" So for ", &more, " more failure", plural, "."].concat());
    }
    sum.parts
        .sort_unstable_by_key(|&part| network.part_id(part));
    sum.parts.dedup();
    sum.failed_since.sort_unstable();
    sum.failed_since.dedup_by_key(|(part, _)| *part);
    sum.evidence.sort_unstable();
    sum.evidence.truncate(EVIDENCE_KEPT);
    sum.stated
        .sort_unstable_by_key(|stated| stated.statement.reference);
    let mut said = sum.stated.iter().map(|stated| stated.statement.kind);
    if let Some(kind) = said.find(|kind| *kind != CauseKind::Unknown) {
        sum.kind = kind;
    }
    Some(sum)
}

/// The cause in plain words, for operators.
pub(super) fn describe(parts: &[Part], kind: CauseKind, lost: usize, network: &Network) -> String {
    const NAMED: usize = 3;
    let is_home =
        |part: &Part| matches!(part, Part::Element(e) if network.kind(*e) == ElementKind::Ont);
    let (homes, others): (Vec<Part>, Vec<Part>) = parts.iter().copied().partition(is_home);
    let is_power = kind == CauseKind::Power;
    if homes.len() > 1 && (others.is_empty() || is_power) {
        let predicate = if is_power {
            "have no power"
        } else {
            "are dark"
        };
        let with_them = if others.is_empty() {
            String::new()
        } else {
            format!(", and with them {}", listed(&others, NAMED, network))
        };
        return format!(
            "{} homes near one another {predicate}, {} to {}{with_them}; {} subscribers",
            thousands(homes.len()),
            homes.first().map_or("", |&part| network.part_id(part)),
            homes.last().map_or("", |&part| network.part_id(part)),
            thousands(lost)
        );
    }
    let (subject, several) = (listed(parts, NAMED, network), parts.len() > 1);
    let active = matches!(
        parts.first(),
        Some(Part::Element(e)) if matches!(
            network.kind(*e),
            ElementKind::Router | ElementKind::Switch | ElementKind::Bng | ElementKind::Olt
                | ElementKind::Cmts | ElementKind::Cell | ElementKind::Ont
        )
    );
    let predicate = match (kind, several) {
        (CauseKind::Power, false) => "has no power",
        (CauseKind::Power, true) => "have no power",
        (CauseKind::FibreCut, false) => "has no signal",
        (CauseKind::FibreCut, true) => "have no signal",
        (_, false) if active => "does not answer",
        (_, true) if active => "do not answer",
        (_, false) => "is down",
        (_, true) => "are down",
    };
    let mut letters = subject.chars();
    let subject: String = letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default();
    let behind = match lost {
        0 => "nobody is without service".to_owned(),
        1 => "1 subscriber behind it".to_owned(),
        n if several => format!("{} subscribers behind them", thousands(n)),
        n => format!("{} subscribers behind it", thousands(n)),
    };
    format!("{subject} {predicate}; {behind}")
}

/// "A, B and 3 more"; so many are named.
fn listed(parts: &[Part], named: usize, network: &Network) -> String {
    let first = parts.iter().take(named);
    let mut names: Vec<String> = first.map(|&part| name(part, network)).collect();
    if parts.len() > named {
        names.push(format!("{} more", parts.len() - named));
    }
    let last = names.pop().unwrap_or_default();
    if names.is_empty() {
        last
    } else {
        format!("{} and {last}", names.join(", "))
    }
}

pub(super) fn name(part: Part, network: &Network) -> String {
    let id = network.part_id(part);
    match part {
        Part::Link(_) => format!("link {id}"),
        Part::Group(group) => format!(
            "{} {id}",
            network.group_kind(group).as_str().replace('_', " ")
        ),
        Part::Element(element) => {
            let kind = match network.kind(element) {
                ElementKind::Olt => "OLT",
                ElementKind::Ont => "ONT",
                ElementKind::Bng => "BNG",
                ElementKind::Cmts => "CMTS",
                ElementKind::PonPort => "PON port",
                ElementKind::Other => "element",
                kind => return format!("{} {id}", kind.as_str().replace('_', " ")),
            };
            format!("{kind} {id}")
        }
    }
}

/// 16384 as "16,384".
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
