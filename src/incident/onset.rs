//! When service went: the begin of the run of loss that leads to a failure of now.
//!
//! A run is made of loss at the failed parts, at parts behind them and at parts that cut them off,
//! joined over gaps too short for a restoration. So a cause that moves up or down keeps its begin,
//! also when the alarms of the earlier cause have ended, or arrive late. Everything follows from the
//! book, not from the order of arrival.

use super::CorrelatorSettings;
use super::company::COMPANY_MS;
use super::joining::FAILED_LATER_MS;
use super::likelihood::{GASP_BELIEVED_MS, WINDOW_MS};
use super::localise::Failure;
use crate::alarm::{AlarmBook, AlarmNo, AlarmState, Interval, ServiceEffect, is_power};
use crate::clock::Millis;
use crate::topology::{ElementKind, GroupNo, Network, Part, SubscriberSet};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Begin of a run of loss, by the clock of the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Onset {
    pub(super) at_ms: Millis,
    /// End of the loss before, where the book remembers any: in between there was service.
    pub(super) before_ms: Option<Millis>,
}

impl Onset {
    /// Of two failures of one incident.
    pub(super) fn earlier(self, other: Self) -> Self {
        if other.at_ms < self.at_ms {
            other
        } else {
            self
        }
    }
}

/// Loss alarms in the book, active or ended, by the part they are at; single premises left out.
#[derive(Debug, Default)]
pub(super) struct LossRecord {
    part_of: HashMap<AlarmNo, Part>,
    alarms_at: HashMap<Part, Vec<AlarmNo>>,
    /// By part, the recorded parts that its failure alone cuts off, itself among them.
    behind: HashMap<Part, BTreeSet<Part>>,
    groups_of: HashMap<Part, Vec<GroupNo>>,
    is_changed: bool,
}

/// What the homes behind a failure say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Premises {
    /// When so many were dark that it was no matter of single homes.
    since_ms: Option<Millis>,
    /// Until when as many had been dark before.
    before_ms: Option<Millis>,
    /// There are too few: what they say counts only where nothing else speaks.
    are_few: bool,
}

impl LossRecord {
    /// For a network, without alarms.
    pub(super) fn new(network: &Network) -> Self {
        let mut groups_of: HashMap<Part, Vec<GroupNo>> = HashMap::new();
        for group in (0..).map(GroupNo).take(network.group_count()) {
            for member in network.group_members(group) {
                let groups = groups_of.entry(place(network, *member)).or_default();
                groups.push(group);
            }
        }
        Self {
            groups_of,
            ..Self::default()
        }
    }

    /// Takes over an alarm as it stands in the book; `None` when it is forgotten.
    pub(super) fn update(&mut self, no: AlarmNo, alarm: Option<&AlarmState>, network: &Network) {
        let part = alarm
            .filter(|alarm| alarm.effect() == ServiceEffect::Loss)
            .and_then(|alarm| network.part(&alarm.key().resource))
            .filter(|part| !is_premise(network, *part))
            .map(|part| place(network, part));
        let known = self.part_of.get(&no).copied();
        self.is_changed |= known.is_some() || part.is_some();
        if known == part {
            return;
        }
        if let Some(known) = known {
            self.remove(no, known, network);
        }
        if let Some(part) = part {
            self.part_of.insert(no, part);
            self.alarms_at.entry(part).or_default().push(no);
            for above in self.above(part, network) {
                self.behind.entry(above).or_default().insert(part);
            }
        }
    }

    fn remove(&mut self, no: AlarmNo, part: Part, network: &Network) {
        self.part_of.remove(&no);
        let Some(alarms) = self.alarms_at.get_mut(&part) else {
            return;
        };
        alarms.retain(|other| *other != no);
        if !alarms.is_empty() {
            return;
        }
        self.alarms_at.remove(&part);
        for above in self.above(part, network) {
            if let Some(behind) = self.behind.get_mut(&above) {
                behind.remove(&part);
                if behind.is_empty() {
                    self.behind.remove(&above);
                }
            }
        }
    }

    /// Whether an alarm changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// The part itself, and everything that alone cuts it off, or something of a group.
    fn above(&self, part: Part, network: &Network) -> Vec<Part> {
        if let Part::Group(group) = part {
            let members = network.group_members(group).iter();
            let above: BTreeSet<Part> = members
                .flat_map(|&member| self.above(place(network, member), network))
                .collect();
            return std::iter::once(part)
                .chain(above.into_iter().filter(|&other| other != part))
                .collect();
        }
        let mut parts = vec![part];
        let mut next = match part {
            Part::Element(element) => network.immediate_dominator(element),
            Part::Link(link) => network.immediate_dominator(network.link_ends(link).1),
            Part::Group(_) => None,
        };
        while let Some(element) = next {
            parts.push(Part::Element(element));
            next = network.immediate_dominator(element);
        }
        let groups: BTreeSet<GroupNo> = parts
            .iter()
            .filter_map(|part| self.groups_of.get(part))
            .flatten()
            .copied()
            .collect();
        parts.extend(groups.into_iter().map(Part::Group));
        parts
    }

    /// The recorded alarms at these parts, behind them, and at what cuts one of them off.
    pub(super) fn near(&self, parts: &[Part], network: &Network) -> Vec<AlarmNo> {
        let mut open: Vec<Part> = parts.iter().map(|&part| place(network, part)).collect();
        let behind = open.iter().filter_map(|part| self.behind.get(part));
        let mut near: BTreeSet<Part> = behind.flatten().copied().collect();
        // Of many parts most hang on the same few.
        let mut climbed: HashSet<Part> = HashSet::new();
        while let Some(part) = open.pop() {
            if !climbed.insert(part) {
                continue;
            }
            near.insert(part);
            let above = match part {
                Part::Element(element) => network.immediate_dominator(element),
                Part::Link(link) => network.immediate_dominator(network.link_ends(link).1),
                Part::Group(group) => {
                    let members = network.group_members(group).iter();
                    open.extend(members.map(|&member| place(network, member)));
                    continue;
                }
            };
            open.extend(above.map(Part::Element));
            let groups = self.groups_of.get(&part).into_iter().flatten();
            near.extend(groups.map(|&group| Part::Group(group)));
        }
        let alarms = near.iter().filter_map(|part| self.alarms_at.get(part));
        alarms.flatten().copied().collect()
    }

    /// What the homes among the alarms of a failure say that takes service from `lost` subscribers:
    /// it begins when a quarter of them is dark, two at least, because single ones may have been
    /// dark for days.
    pub(super) fn premises(
        &self,
        failure: &Failure,
        lost: usize,
        book: &AlarmBook,
        settings: &CorrelatorSettings,
    ) -> Premises {
        let homes = failure
            .alarms
            .iter()
            .filter(|no| !self.part_of.contains_key(no))
            .filter_map(|no| book.get(*no));
        let mut by_home: BTreeMap<&str, Vec<&AlarmState>> = BTreeMap::new();
        for alarm in homes {
            let alarms = by_home.entry(alarm.key().resource.as_str());
            alarms.or_default().push(alarm);
        }
        let gasps_from_ms = book.watermark_ms().saturating_sub(GASP_BELIEVED_MS);
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for alarms in by_home.into_values() {
            let (start_ms, before_ms) = home_since(&alarms, gasps_from_ms, settings);
            starts.extend(start_ms);
            ends.extend(before_ms);
        }
        let last = lost.saturating_sub(1);
        let quarter = (last / 4).max(last.min(1));
        let are_few = starts.len() <= quarter;
        let place = if are_few {
            starts.len().saturating_sub(1) / 4
        } else {
            quarter
        };
        starts.sort_unstable();
        ends.sort_unstable_by_key(|end| std::cmp::Reverse(*end));
        Premises {
            since_ms: starts.get(place).copied(),
            before_ms: ends.get(place).copied(),
            are_few,
        }
    }

    /// When service went by a failure that takes so many subscribers, and by each of its parts; `None`
    /// without evidence.
    pub(super) fn date(
        &self,
        failure: FailedParts<'_>,
        (lost, premises): (usize, Premises),
        book: &AlarmBook,
        network: &Network,
        settings: &CorrelatorSettings,
    ) -> Option<(Onset, Vec<(Part, Millis)>)> {
        let onset = self.onset(failure, premises, book, network, settings)?;
        let loss = Loss {
            lost,
            premises,
            onset,
        };
        let failed_since = self.failed_since(failure, loss, book, network, settings);
        Some((onset, failed_since))
    }

    /// When service went by a failure; `None` without evidence.
    fn onset(
        &self,
        failure: FailedParts<'_>,
        premises: Premises,
        book: &AlarmBook,
        network: &Network,
        settings: &CorrelatorSettings,
    ) -> Option<Onset> {
        // Of several homes that fail together single ones may have been dark before.
        let is_home = failure.parts.len() == 1;
        let speaks = |no: &AlarmNo| is_home || self.part_of.contains_key(no);
        let mut alarms: BTreeSet<AlarmNo> = failure.own.iter().copied().filter(speaks).collect();
        let explained = failure.alarms.iter().copied();
        alarms.extend(explained.filter(|no| self.part_of.contains_key(no)));
        let lasting = alarms.iter().filter_map(|no| book.get(*no));
        let mut run = Run::of(lasting, settings);
        match premises.since_ms {
            Some(at_ms) if !premises.are_few || run.start_ms.is_none() => run.start_with(at_ms),
            _ => {}
        }
        // What has been active for so much longer, and is not of this failure, is of another one.
        let start_ms = run.start_ms?;
        let is_other =
            |alarm: &AlarmState| alarm.is_evidence() && alarm.raised_ms() + COMPANY_MS < start_ms;
        for no in self.near(failure.parts, network) {
            if alarms.insert(no)
                && let Some(alarm) = book.get(no).filter(|alarm| !is_other(alarm))
            {
                run.ended.extend(alarm.intervals());
            }
        }
        run.join();
        Some(Onset {
            at_ms: run.start_ms?,
            before_ms: run.before_ms().max(premises.before_ms),
        })
    }

    /// Since when each part of a failure takes service from people: by its own alarms; or earlier, when
    /// most of the `lost` subscribers were cut off by what else speaks for it. The onset where nothing
    /// tells, and not before it. Sorted by part.
    fn failed_since(
        &self,
        failure: FailedParts<'_>,
        Loss {
            lost,
            premises,
            onset,
        }: Loss,
        book: &AlarmBook,
        network: &Network,
        settings: &CorrelatorSettings,
    ) -> Vec<(Part, Millis)> {
        let mut runs: HashMap<Part, Run<'_>> = HashMap::new();
        for alarm in failure.own.iter().filter_map(|no| book.get(*no)) {
            if let Some(part) = network.part(&alarm.key().resource) {
                let run = runs.entry(place(network, part));
                run.or_insert_with(|| Run::of([], settings)).add(alarm);
            }
        }
        let mut before_of: HashMap<Part, Option<Millis>> = HashMap::new();
        let parts = failure.parts.iter().map(|&part| {
            let run = runs.get_mut(&place(network, part));
            let own = run.map(|run| {
                run.join();
                (run.start_ms, run.before_ms())
            });
            let (own_ms, before_ms) = own.unwrap_or_default();
            before_of.insert(part, before_ms);
            (part, own_ms)
        });
        let mut own: Vec<(Part, Option<Millis>)> = parts.collect();
        own.sort_unstable();
        let is_later = |at_ms: Millis| at_ms > onset.at_ms + FAILED_LATER_MS;
        let at_onset = own
            .iter()
            .filter(|(_, own)| own.is_some_and(|at_ms| !is_later(at_ms)));
        let at_onset: Vec<Part> = at_onset.map(|(part, _)| *part).collect();
        let early = if at_onset.len() < own.len() {
            network.lost(&at_onset)
        } else {
            SubscriberSet::new()
        };
        let is_much_later = |no: &AlarmNo| {
            let alarm = book.get(*no);
            alarm.is_some_and(|alarm| alarm.raised_ms() > onset.at_ms + COMPANY_MS)
        };
        let behind = if at_onset.len() < own.len() || failure.alarms.iter().any(is_much_later) {
            self.spread_ms(failure, (lost, &early), book, network, settings)
        } else {
            None
        };
        // Of whom the homes speak that are dark is not known where some were cut off before.
        let by_premises = premises
            .since_ms
            .filter(|_| !premises.are_few && early.is_empty());
        // A home of which nothing is heard went with the others.
        let unheard_ms = premises.since_ms.filter(|_| !premises.are_few);
        let since = own.into_iter().map(|(part, own_ms)| {
            // Of several homes each speaks for itself.
            let is_one_of = failure.parts.len() > 1 && is_premise(network, part);
            let by_premises = by_premises.filter(|_| !is_one_of);
            // Homes that were dark long before what cut them off says so had gone dark for another reason:
            // their mains failed, and the battery of their OLT has ended now. Unless it had said so then, too.
            let before_ms = before_of.get(&part).copied().flatten();
            let is_before = |at_ms: &Millis| {
                own_ms.is_some_and(|own| at_ms + COMPANY_MS < own)
                    && before_ms.is_none_or(|before_ms| before_ms < *at_ms)
            };
            let by_premises = by_premises.filter(|at_ms| !is_before(at_ms));
            let behind = behind.filter(|_| !is_one_of);
            let spread_ms = behind.into_iter().chain(by_premises).min();
            // What is so much older than all else was never taken back, or was about nothing before.
            let is_of_now = |own_ms: &Millis| {
                let is_much_later = |at_ms: Millis| at_ms > own_ms + COMPANY_MS;
                failure.parts.len() > 1 || !spread_ms.is_some_and(is_much_later)
            };
            let own_ms = own_ms.filter(is_of_now);
            let first = own_ms.into_iter().chain(spread_ms);
            let at_ms = first.min().or(unheard_ms).unwrap_or(onset.at_ms);
            (part, at_ms.max(onset.at_ms))
        });
        since.collect()
    }

    /// When most of so many subscribers, without those who were cut off `early`, were by what speaks for a
    /// failure besides its parts and single homes.
    fn spread_ms(
        &self,
        failure: FailedParts<'_>,
        (lost, early): (usize, &SubscriberSet),
        book: &AlarmBook,
        network: &Network,
        settings: &CorrelatorSettings,
    ) -> Option<Millis> {
        let lost = lost.saturating_sub(early.len());
        let own: HashSet<Part> = failure.parts.iter().map(|&p| place(network, p)).collect();
        let others = failure.alarms.iter().filter_map(|no| {
            let part = *self.part_of.get(no).filter(|part| !own.contains(part))?;
            let mut run = Run::of([book.get(*no)?], settings);
            run.join();
            Some((run.start_ms?, part))
        });
        let mut others: Vec<(Millis, Part)> = others.collect();
        others.sort_unstable();
        let are_most = |count: usize| {
            let parts: Vec<Part> = others.iter().take(count).map(|(_, part)| *part).collect();
            2 * network.lost(&parts).difference(early).len() > lost
        };
        if others.is_empty() || lost == 0 || !are_most(others.len()) {
            return None;
        }
        let (mut few, mut enough) = (0, others.len());
        while few + 1 < enough {
            let middle = few.midpoint(enough);
            if are_most(middle) {
                enough = middle;
            } else {
                few = middle;
            }
        }
        others.get(enough - 1).map(|(at_ms, _)| *at_ms)
    }
}

/// Since when a home is dark by its alarms, and when the darkness before ended. A dying gasp that is much
/// older than all else was never taken back (`observe` of the likelihood), and says nothing.
fn home_since(
    alarms: &[&AlarmState],
    gasps_from_ms: Millis,
    settings: &CorrelatorSettings,
) -> (Option<Millis>, Option<Millis>) {
    let (mut gasps, others): (Vec<&AlarmState>, Vec<&AlarmState>) = alarms
        .iter()
        .copied()
        .partition(|alarm| is_power(&alarm.key().alarm_type));
    gasps.retain(|alarm| alarm.active_received_ms() >= gasps_from_ms);
    let run_of = |alarms: &[&AlarmState]| {
        let mut run = Run::of(alarms.iter().copied(), settings);
        run.join();
        (run.start_ms, run.before_ms())
    };
    let (dark, gasp) = (run_of(&others), run_of(&gasps));
    match (dark.0, gasp.0) {
        (Some(dark_ms), Some(gasp_ms)) if (dark_ms - gasp_ms).abs() <= 2 * WINDOW_MS => {
            (Some(dark_ms.min(gasp_ms)), dark.1.max(gasp.1))
        }
        (Some(_), _) => dark,
        _ => gasp,
    }
}

/// How far back, from an instant on, the activity of these alarms goes without a gap in which service
/// counts as restored.
pub(super) fn reaches_back<'a>(
    alarms: impl Iterator<Item = &'a AlarmState>,
    from_ms: Millis,
    settings: &CorrelatorSettings,
) -> Millis {
    let mut run = Run {
        settings,
        start_ms: Some(from_ms),
        heard_ms: None,
        ended: alarms.flat_map(AlarmState::intervals).collect(),
    };
    run.join();
    run.start_ms.unwrap_or(from_ms)
}

/// What a failure did, and when.
#[derive(Clone, Copy, Debug)]
struct Loss {
    /// Subscribers without service by it.
    lost: usize,
    premises: Premises,
    onset: Onset,
}

/// A failure, as far as its begin goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedParts<'a> {
    pub(super) parts: &'a [Part],
    /// The alarms that it explains.
    pub(super) alarms: &'a [AlarmNo],
    /// Those of the failed parts themselves, also ended ones.
    pub(super) own: &'a [AlarmNo],
}

impl<'a> FailedParts<'a> {
    pub(super) fn of(failure: &'a Failure) -> Self {
        Self {
            parts: &failure.parts,
            alarms: &failure.alarms,
            own: &failure.own,
        }
    }
}

/// Activity that leads up to now.
struct Run<'a> {
    settings: &'a CorrelatorSettings,
    /// Begin of what lasts.
    start_ms: Option<Millis>,
    /// When that was heard of, by our clock.
    heard_ms: Option<Millis>,
    /// What may have gone before, the latest end first once it is joined.
    ended: Vec<Interval>,
}

impl<'a> Run<'a> {
    fn of<'b>(
        alarms: impl IntoIterator<Item = &'b AlarmState>,
        settings: &'a CorrelatorSettings,
    ) -> Self {
        let mut run = Self {
            settings,
            start_ms: None,
            heard_ms: None,
            ended: Vec::new(),
        };
        for alarm in alarms {
            run.add(alarm);
        }
        run
    }

    fn add(&mut self, alarm: &AlarmState) {
        self.ended.extend(alarm.intervals());
        if alarm.is_evidence()
            && let Some(last) = self.ended.pop()
        {
            self.start_with(last.start_ms);
            let heard_ms = alarm.active_received_ms();
            self.heard_ms = Some(self.heard_ms.map_or(heard_ms, |known| known.min(heard_ms)));
        }
    }

    fn start_with(&mut self, at_ms: Millis) {
        self.start_ms = Some(self.start_ms.map_or(at_ms, |start_ms| start_ms.min(at_ms)));
    }

    /// Goes back over every gap that is too short for a restoration; what is left ended before.
    fn join(&mut self) {
        let Some(mut start_ms) = self.start_ms else {
            return;
        };
        self.ended
            .sort_unstable_by_key(|interval| interval.end_ms.unwrap_or(Millis::MAX));
        let quiet_ms = self.settings.restore_quiet_ms;
        let joins = |interval: &Interval, start_ms: Millis| {
            interval
                .end_ms
                .is_none_or(|end_ms| end_ms + quiet_ms >= start_ms)
        };
        while let Some(interval) = self.ended.pop_if(|interval| joins(interval, start_ms)) {
            start_ms = start_ms.min(interval.start_ms);
        }
        // The clock of a source may be ahead: nothing is heard of before it happens.
        self.start_ms = Some(self.heard_ms.map_or(start_ms, |heard| start_ms.min(heard)));
    }

    fn before_ms(&self) -> Option<Millis> {
        self.ended.last().and_then(|interval| interval.end_ms)
    }
}

/// Where an alarm counts: the only link into an element stands for the element.
fn place(network: &Network, part: Part) -> Part {
    match part {
        Part::Link(link) => {
            let below = network.link_ends(link).1;
            if network.parents(below).count() == 1 {
                Part::Element(below)
            } else {
                part
            }
        }
        _ => part,
    }
}

/// Whether a part serves one home only: its ONT, or the drop to it.
fn is_premise(network: &Network, part: Part) -> bool {
    match place(network, part) {
        Part::Element(element) => {
            network.kind(element) == ElementKind::Ont && network.lost_alone_runs(part).len() <= 1
        }
        _ => false,
    }
}
