//! Why the parts of a failure are held to have failed, and which other explanations they beat, in words
//! that an operator can check against the alarms.

use super::candidates::Candidates;
use super::evidence::{name, thousands};
use super::joint::window_of;
use super::likelihood::{ANY_TIME, NAT, Nats, WINDOW_MS, is_home};
use super::outward::{MOST_PARTS, Region, replaced};
use super::power_area::gain_of_gasps;
use crate::alarm::AlarmBook;
use crate::topology::{ElementNo, LinkNo, Network, Part};

/// Parts whose reasons are given.
const EXPLAINED: usize = 3;

/// See [`super::Cause::reasoning`].
pub(super) fn reasoning(
    parts: &[Part],
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> String {
    let mut sentences: Vec<String> = Vec::new();
    if parts.len() > 1 {
        let alone: usize = parts.iter().map(|&p| network.lost_alone(p).len()).sum();
        let together = network.lost(parts).len();
        if together > 2 * alone {
            sentences.push(format!(
                "Only together do these {} parts cut off all {} subscribers.",
                thousands(parts.len()),
                thousands(together)
            ));
            sentences.extend(of_region(parts, candidates, network, book));
        } else if let Some(device) = common_end(parts, network) {
            let behind = network.lost(&[Part::Element(device)]).len();
            sentences.push(format!(
                "These {} links failed at the same time and all end at {}: if that has failed itself, \
                 it takes {} with it.",
                thousands(parts.len()),
                name(Part::Element(device), network),
                subscribers(behind)
            ));
        } else {
            sentences.push(format!(
                "These {} parts failed at the same time.",
                thousands(parts.len())
            ));
            sentences.extend(of_homes(parts, candidates, network));
        }
    }
    let reasons = parts.iter().filter_map(|&part| match part {
        Part::Element(element) => of_element(element, candidates, network),
        Part::Group(_) => of_group(part, candidates, network),
        Part::Link(_) => None,
    });
    sentences.extend(reasons.take(EXPLAINED));
    if sentences.is_empty() {
        let own = parts.iter();
        let own = own.filter_map(|&part| of_alarms(part, candidates, network));
        sentences.extend(own.take(EXPLAINED));
    }
    if let &[part] = parts {
        sentences.extend(of_alike(part, candidates, network));
    }
    if let Some(device) = candidates.ran_on_battery(parts, network, book) {
        let device = name(Part::Element(device), network);
        sentences.push(format!(
            "Before, {device} had said that it lives on its battery."
        ));
    }
    sentences.join(" ")
}

/// The device at which all of the parts end, where these are links.
fn common_end(parts: &[Part], network: &Network) -> Option<ElementNo> {
    let ends = |part: &Part| match part {
        Part::Link(link) => Some(network.link_ends(*link)),
        _ => None,
    };
    let (a, b) = ends(parts.first()?)?;
    let is_common = |&end: &ElementNo| {
        let mut each = parts.iter();
        each.all(|part| ends(part).is_some_and(|(a, b)| a == end || b == end))
    };
    [a, b].into_iter().find(is_common)
}

/// How well the failure of these parts together explains what is dark behind them.
fn of_region(
    parts: &[Part],
    candidates: &Candidates,
    network: &Network,
    book: &AlarmBook,
) -> Option<String> {
    if parts.len() > MOST_PARTS {
        return None;
    }
    let windows = parts.iter();
    let windows = windows.filter_map(|&part| window_of(part, candidates, book));
    let window = windows.min()?;
    let region = Region::of(parts.to_vec(), network);
    let links: Vec<LinkNo> = candidates.alarmed_links().collect();
    let failures = Nats::try_from(parts.len()).unwrap_or(Nats::MAX);
    let cost = candidates.likelihood().penalty().saturating_mul(failures);
    let gain = region
        .darkness(window, &links, candidates, network)
        .saturating_sub(cost);
    // What they say themselves has joined them.
    if gain <= 0 {
        return Some(
            "What is heard of those behind them does not speak for that by itself.".to_owned(),
        );
    }
    let mut text = format!(
        "What is dark behind them is {} likelier by their failure than by chance",
        times(gain)
    );
    let alone = replaced(region.cut(), candidates);
    if !alone.is_empty() {
        let separate: Nats = alone.iter().sum();
        if separate < gain {
            text += "; by separate failures of ";
            text += &thousands(alone.len());
            text += " parts behind them: ";
            text += &times(separate);
        } else {
            text += "; whatever else seems to have failed behind them is cut off by them";
        }
    }
    text.push('.');
    Some(text)
}

/// How much likelier than by chance so many homes lose power together.
fn of_homes(parts: &[Part], candidates: &Candidates, network: &Network) -> Option<String> {
    let homes = parts.iter().map(|&part| match part {
        Part::Element(element) if is_home(network, element) => Some(element),
        _ => None,
    });
    let homes: Vec<ElementNo> = homes.collect::<Option<_>>()?;
    let gasps = homes
        .iter()
        .filter_map(|home| candidates.without_power().get(home));
    let times_ms: Vec<i64> = gasps.copied().collect();
    let first_ms = times_ms.iter().min()?;
    let gain = gain_of_gasps(times_ms.len(), first_ms.div_euclid(WINDOW_MS), candidates);
    Some(format!(
        "{} of them say that they have no power: {} likelier by one power cut than by chance.",
        thousands(times_ms.len()),
        times(gain)
    ))
}

fn of_element(element: ElementNo, candidates: &Candidates, network: &Network) -> Option<String> {
    let verdict = candidates.failed().get(&element)?;
    let subject = name(Part::Element(element), network);
    let runs = network.lost_alone_runs(Part::Element(element));
    let behind: u32 = runs.as_slice().iter().map(|(from, to)| to - from).sum();
    let when = if verdict.window == ANY_TIME {
        String::new()
    } else {
        format!(", raised within {} minutes", 2 * WINDOW_MS / 60_000)
    };
    let mut text = format!(
        "{} at and below {subject}, which has {}{when}: {} likelier by its failure than by chance",
        alarms(verdict.alarmed.into()),
        subscribers(behind as usize),
        times(verdict.gain)
    );
    if verdict.instead > 0 {
        text += "; by separate failures below it: ";
        text += &times(verdict.instead);
    }
    if let Some(above) = network.immediate_dominator(element) {
        let likelihood = candidates.likelihood();
        let gain = likelihood.darkness_at(verdict.window, above) - likelihood.penalty();
        let above = name(Part::Element(above), network);
        if gain < verdict.gain {
            text += "; by failure of ";
            text += &above;
            text += ": ";
            text += &times(gain);
        }
    }
    text.push('.');
    Some(text)
}

fn of_group(part: Part, candidates: &Candidates, network: &Network) -> Option<String> {
    let Part::Group(group) = part else {
        return None;
    };
    let gain = candidates.group_gain(group)?;
    let mut text = format!(
        "All {} members of {} fail with it: what is heard of them is {} likelier by its failure than \
         by chance",
        thousands(network.group_members(group).len()),
        name(part, network),
        times(gain.gain)
    );
    if gain.instead > 0 {
        text += "; by separate failures of what is in it: ";
        text += &times(gain.instead);
    }
    text.push('.');
    Some(text)
}

/// The other parts that would cut off the same people: who is dark does not tell them apart, only what
/// they say themselves does.
fn of_alike(part: Part, candidates: &Candidates, network: &Network) -> Option<String> {
    let lost = network.lost_alone_runs(part);
    if lost.is_empty() {
        return None;
    }
    let is_alike = |&other: &ElementNo| {
        let runs = || network.lost_alone_runs(Part::Element(other));
        !is_home(network, other) && runs().as_slice() == lost.as_slice()
    };
    let (end, above) = match part {
        Part::Element(element) => (element, network.immediate_dominator(element)),
        Part::Link(link) => {
            let (_, end) = network.link_ends(link);
            (end, network.immediate_dominator(end))
        }
        Part::Group(_) => return None,
    };
    let up = |element: &ElementNo| network.immediate_dominator(*element).filter(is_alike);
    let down = |element: &ElementNo| network.dominator_children(*element).find(is_alike);
    let mut alike: Vec<Part> = std::iter::successors(above.filter(is_alike), up)
        .take(EXPLAINED)
        .map(Part::Element)
        .collect();
    alike.reverse();
    let below = std::iter::successors(Some(end), down);
    let below = below
        .take(1 + EXPLAINED)
        .filter(is_alike)
        .map(Part::Element);
    alike.extend(below.filter(|&other| other != part));
    alike.truncate(EXPLAINED);
    let said = alike.iter().map(|&other| {
        let count = candidates.alarms_at(other);
        let said = (count > 0).then(|| format!(" ({} itself)", alarms(count)));
        name(other, network) + &said.unwrap_or_default()
    });
    let said: Vec<String> = said.collect();
    let last = said.last()?;
    let others = said.split_last().map_or(&[][..], |(_, others)| others);
    let named = match others {
        [] => last.clone(),
        others => format!("{} or {last}", others.join(", ")),
    };
    Some(format!("Failure of {named} would cut off the same people."))
}

/// What a part says itself, where nothing had to be inferred.
fn of_alarms(part: Part, candidates: &Candidates, network: &Network) -> Option<String> {
    let count = candidates.alarms_at(part);
    let text = format!("{} at {} itself.", alarms(count), name(part, network));
    (count > 0).then_some(text)
}

/// "1 subscriber", "2,000 subscribers".
fn subscribers(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} subscriber{plural}", thousands(count))
}

/// "1 alarm", "2,000 alarms".
pub(super) fn alarms(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    format!("{} alarm{plural}", thousands(count))
}

/// Odds as a power of ten: "10^12 times"; small ones, which may be compared with one another, with one
/// digit more.
fn times(gain: Nats) -> String {
    let tens = tens(gain);
    let digits = usize::from(tens.abs() < 9.95);
    format!("10^{tens:.digits$} times")
}

#[allow(clippy::cast_precision_loss, reason = "shown with two digits")]
fn tens(gain: Nats) -> f64 {
    gain as f64 / NAT as f64 / std::f64::consts::LN_10
}
