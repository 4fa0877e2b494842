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
    /// By the elements at their ends, links with other ways around that have come back, and when.
    links: BTreeMap<ElementNo, BTreeMap<LinkNo, Millis>>,
    in_doubt: BTreeSet<Seat>,
}

impl Outlived {
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

    /// Takes note of a link with other ways around that has come back, or failed again.
    pub(super) fn note_link(
        &mut self,
        old: Option<Part>,
        new: Option<Part>,
        alarm: Option<&AlarmState>,
        network: &Network,
    ) {
        let Some(part @ Part::Link(link)) = new.or(old) else {
            return;
        };
        if super::seat_of(network, part).is_some() {
            return;
        }
        let back = alarm.filter(|_| new == Some(part) && !self.alarmed.contains(&part));
        let back = back.and_then(back_ms);
        let (a, b) = network.link_ends(link);
        for end in [a, b] {
            let links = self.outlived.links.entry(end).or_default();
            match back {
                Some(back) => {
                    links.insert(link, back);
                }
                None => {
                    links.remove(&link);
                }
            }
            if links.is_empty() {
                self.outlived.links.remove(&end);
            }
            self.outlived.in_doubt.extend(seats_of(end));
        }
    }

    /// Names the seats whose alarms may have outlived what they tell of, or not any more, because of what
    /// is said at one now.
    pub(super) fn doubt(
        &self,
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
        let is_back = |said: Observation| matches!(said, Observation::Alive(_));
        if !is_back(old) && !is_back(new) {
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
        self.believe(seat, since.map_or(said, Observation::Alive), network);
    }

    /// Since when the alarms at a seat were true, if they have outlived that.
    fn outlived_since(&self, seat: Seat, book: &AlarmBook, network: &Network) -> Option<Millis> {
        let (element, _) = seat;
        if is_home(network, element) {
            return None;
        }
        let active = super::alarms_of(&self.seats.get(&seat)?.alarms, book);
        let active = active.filter(|alarm| alarm.is_evidence());
        let since_ms = active.map(AlarmState::raised_ms).max()?;
        let mut back: Vec<Millis> = Vec::new();
        let mut dark: Vec<Millis> = Vec::new();
        let mut note = |back_ms: Option<Millis>| {
            back.extend(back_ms.filter(|at_ms| *at_ms > since_ms + SINCE_MS));
        };
        let links = self.outlived.links.get(&element).into_iter().flatten();
        links.for_each(|(_, at_ms)| note(Some(*at_ms)));
        let mut open = vec![element];
        while let Some(below) = open.pop() {
            open.extend(network.dominator_children(below));
            for other in seats_of(below).into_iter().filter(|other| *other != seat) {
                let Some(seated) = self.seats.get(&other) else {
                    continue;
                };
                match seated.said {
                    Observation::Alive(_) => {
                        let alarms = super::alarms_of(&seated.alarms, book);
                        note(alarms.filter_map(back_ms).max());
                    }
                    Observation::Alarmed(at_ms) => dark.push(at_ms),
                    _ => {}
                }
            }
        }
        back.sort_unstable();
        let sure_ms = *back.get(FEWEST_BACK - 1)?;
        let dark = dark.iter().filter(|at_ms| **at_ms < sure_ms).count();
        let count = |of: usize| Nats::try_from(of).unwrap_or(Nats::MAX / (8 * NAT));
        let is_outlived = count(back.len()) * -ALIVE > count(dark + 1) * -CLEAR_LOST;
        is_outlived.then_some(since_ms)
    }
}

fn is_dark(said: Observation) -> bool {
    matches!(said, Observation::Alarmed(_) | Observation::NoPower(_))
}
