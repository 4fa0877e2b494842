//! Alarms of the plant that have outlived what they tell of: their clear was lost.
//!
//! Of a device that is dead nothing behind it comes back. So where parts behind it, or links at it, have
//! come back since its alarm was raised, far more than are still dark of those that were before, it is
//! the clear of its own alarm that is missing. The alarm stays active; it only speaks for no failure.

use super::{Candidates, Seat};
use crate::alarm::{AlarmBook, AlarmNo, AlarmState};
use crate::clock::Millis;
use crate::incident::likelihood::{ALIVE, Aspect, NAT, Nats, Observation, is_home};
use crate::topology::{ElementNo, LinkNo, Network, Part};
use std::collections::{BTreeMap, BTreeSet};

/// A clear tells of what came after an alarm when it is later than the alarm by more than this, by the
/// clocks of their sources: these differ, and some systems clear what hangs on a device when they raise
/// its own alarm.
const SINCE_MS: i64 = 2 * 60_000;

/// So many must be back at least: one may have been put elsewhere, or be reported wrongly.
const FEWEST_BACK: usize = 2;

/// How likely it is that a clear is lost: one in twenty.
const CLEAR_LOST: Nats = -3 * NAT;

/// Which alarms have outlived what they tell of, and where that is to be looked at.
#[derive(Debug, Default)]
pub(super) struct Outlived {
    seats: BTreeSet<Seat>,
    /// Elements at which something is said of their service.
    heard: BTreeSet<ElementNo>,
    /// Those of them of which it is said that they are back.
    back: BTreeSet<ElementNo>,
    /// By the elements at their ends, what the alarms of links with other ways around say.
    links: BTreeMap<ElementNo, BTreeMap<LinkNo, BTreeMap<AlarmNo, Said>>>,
    in_doubt: BTreeSet<Seat>,
}

/// What an alarm says of a link, and since when.
#[derive(Clone, Copy, Debug)]
enum Said {
    Down(Millis),
    Back(Millis),
}

impl Outlived {
    fn note_link(&mut self, end: ElementNo, link: LinkNo, no: AlarmNo, said: Option<Said>) {
        let links = self.links.entry(end).or_default();
        let alarms = links.entry(link).or_default();
        match said {
            Some(said) => alarms.insert(no, said),
            None => alarms.remove(&no),
        };
        if alarms.is_empty() {
            links.remove(&link);
        }
        if links.is_empty() {
            self.links.remove(&end);
        }
        self.in_doubt.extend(seats_of(end));
    }

    pub(super) fn take_in_doubt(&mut self) -> BTreeSet<Seat> {
        std::mem::take(&mut self.in_doubt)
    }
}

/// Both seats of an element.
fn seats_of(element: ElementNo) -> [Seat; 2] {
    [(element, Aspect::Own), (element, Aspect::WayIn)]
}

/// When it was said that an alarm is over. Of what a snapshot leaves out that was never said.
fn back_ms(alarm: &AlarmState) -> Option<Millis> {
    alarm.cleared_ms().filter(|_| !alarm.is_swept())
}

impl Candidates {
    /// Whether the alarms of a part have outlived what they tell of.
    pub(in crate::incident) fn is_outlived(&self, part: Part, network: &Network) -> bool {
        !self.outlived.seats.is_empty()
            && super::seat_of(network, part).is_some_and(|seat| self.outlived.seats.contains(&seat))
    }

    /// The active alarms that have outlived what they tell of.
    pub(in crate::incident) fn outlived(&self) -> impl Iterator<Item = AlarmNo> + '_ {
        let seats = self.outlived.seats.iter();
        let seated = seats.filter_map(|seat| self.seats.get(seat));
        seated.flat_map(|seated| seated.alarms.iter().copied())
    }

    /// Takes note of what an alarm says of a link with other ways around.
    pub(super) fn note_link(
        &mut self,
        no: AlarmNo,
        (old, new): (Option<Part>, Option<Part>),
        alarm: Option<&AlarmState>,
        network: &Network,
    ) {
        for part in [old.filter(|_| old != new), new].into_iter().flatten() {
            let Part::Link(link) = part else { continue };
            if super::seat_of(network, part).is_some() {
                continue;
            }
            let alarm = alarm.filter(|_| new == Some(part));
            let said = alarm.and_then(|alarm| match back_ms(alarm) {
                _ if alarm.is_evidence() => Some(Said::Down(alarm.raised_ms())),
                back => back.map(Said::Back),
            });
            let (a, b) = network.link_ends(link);
            for end in [a, b] {
                self.outlived.note_link(end, link, no, said);
            }
        }
    }

    /// Takes note of what is said at a seat, and names the seats whose alarms may have outlived what they
    /// tell of because of it, or not any more.
    pub(super) fn doubt(
        &mut self,
        seat: Seat,
        old: Observation,
        new: Observation,
        in_doubt: &mut BTreeSet<Seat>,
        network: &Network,
    ) {
        let (element, _) = seat;
        if !is_home(network, element) {
            in_doubt.insert(seat);
        }
        // What is back may be so since a later instant.
        if old == new && !is_back(new) {
            return;
        }
        let said = |of: fn(Observation) -> bool| {
            let mut seats = seats_of(element).into_iter();
            seats.any(|seat| self.seats.get(&seat).is_some_and(|s| of(s.said)))
        };
        let is_heard = said(|said| said != Observation::Silent);
        let back = said(is_back);
        place(&mut self.outlived.heard, element, is_heard);
        place(&mut self.outlived.back, element, back);
        if self.outlived.back.is_empty() && self.outlived.seats.is_empty() && !is_back(old) {
            return;
        }
        let line = std::iter::successors(Some(element), |&e| network.immediate_dominator(e));
        for above in line.flat_map(seats_of) {
            let is_alarmed = self.seats.get(&above).is_some_and(|s| is_dark(s.said));
            if above != seat && (is_alarmed || self.outlived.seats.contains(&above)) {
                in_doubt.insert(above);
            }
        }
    }

    /// Judges the alarms at a seat anew, and takes over what follows.
    pub(super) fn judge_outlived(&mut self, seat: Seat, book: &AlarmBook, network: &Network) {
        let was = self.outlived.seats.contains(&seat);
        let Some(seated) = self.seats.get(&seat) else {
            self.outlived.seats.remove(&seat);
            return;
        };
        let said = seated.said;
        let since = if is_dark(said) {
            self.outlived_since(seat, book, network)
        } else {
            None
        };
        if !was && since.is_none() {
            return;
        }
        if since.is_some() {
            self.outlived.seats.insert(seat);
        } else {
            self.outlived.seats.remove(&seat);
        }
        let alarms: Vec<AlarmNo> = seated.alarms.clone();
        for no in alarms {
            let is_evidence = since.is_none() && book.get(no).is_some_and(AlarmState::is_evidence);
            let Some(seen) = self.seen.get_mut(no.0 as usize) else {
                continue;
            };
            let Some(part) = seen.part.filter(|_| seen.is_evidence != is_evidence) else {
                continue;
            };
            seen.is_evidence = is_evidence;
            if !std::mem::replace(&mut seen.is_fresh, true) {
                self.fresh.push(no);
            }
            self.count_at(no, part, is_evidence);
        }
        if is_dark(said) {
            self.believe(seat, since.map_or(said, Observation::Alive), network);
        }
    }

    /// Since when the alarms at a seat were true, if they have outlived that.
    fn outlived_since(&self, seat: Seat, book: &AlarmBook, network: &Network) -> Option<Millis> {
        let (element, _) = seat;
        if is_home(network, element) || super::is_premise(network, Part::Element(element)) {
            return None;
        }
        let active = super::alarms_of(&self.seats.get(&seat)?.alarms, book);
        let active = active.filter(|alarm| alarm.is_evidence());
        let since_ms = active.map(AlarmState::raised_ms).max()?;
        let links = || self.outlived.links.get(&element).into_iter().flatten();
        let subtree = || network.dominator_subtree(element);
        let others = |elements: &BTreeSet<ElementNo>| -> Vec<Seat> {
            let elements = elements.range(subtree());
            let seats = elements.flat_map(|&element| seats_of(element));
            seats.filter(|other| *other != seat).collect()
        };
        let seats_back = others(&self.outlived.back);
        let seats_back = seats_back.iter().filter_map(|other| {
            let seated = self.seats.get(other).filter(|s| is_back(s.said))?;
            super::alarms_of(&seated.alarms, book)
                .filter_map(back_ms)
                .max()
        });
        let links_back = links().filter_map(|(_, alarms)| {
            let back = alarms.values().map(|said| match said {
                Said::Back(at_ms) => Some(*at_ms),
                Said::Down(_) => None,
            });
            back.collect::<Option<Vec<Millis>>>()?.into_iter().max()
        });
        let back = seats_back.chain(links_back);
        let mut back: Vec<Millis> = back.filter(|at_ms| *at_ms > since_ms + SINCE_MS).collect();
        back.sort_unstable();
        let sure_ms = *back.get(FEWEST_BACK - 1)?;
        let seats_dark = others(&self.outlived.heard);
        let seats_dark = seats_dark
            .iter()
            .filter_map(|other| match self.seats.get(other)?.said {
                Observation::Alarmed(at_ms) => Some(at_ms),
                _ => None,
            });
        let links_dark = links().filter_map(|(_, alarms)| {
            let down = alarms.values().filter_map(|said| match said {
                Said::Down(at_ms) => Some(*at_ms),
                Said::Back(_) => None,
            });
            down.min()
        });
        let dark = seats_dark.chain(links_dark);
        let dark = dark.filter(|at_ms| *at_ms < sure_ms).count();
        let count = |of: usize| Nats::try_from(of).unwrap_or(Nats::MAX / (8 * NAT));
        let is_outlived = count(back.len()) * -ALIVE > count(dark + 1) * -CLEAR_LOST;
        is_outlived.then_some(since_ms)
    }
}

fn is_dark(said: Observation) -> bool {
    matches!(said, Observation::Alarmed(_) | Observation::NoPower(_))
}

fn is_back(said: Observation) -> bool {
    matches!(said, Observation::Alive(_))
}

fn place(set: &mut BTreeSet<ElementNo>, element: ElementNo, is_in: bool) {
    if is_in {
        set.insert(element);
    } else {
        set.remove(&element);
    }
}
