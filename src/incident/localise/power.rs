//! Power cuts among the failures: what they explain, and which failures are of one power cut.
//!
//! - Homes near one another that say that they have no power are one failure, which follows no part of
//!   the network ([`PowerArea`]).
//! - Power feeds that fail there at that time, and devices that lost their mains then and go down when
//!   their batteries are empty, are failures of their own, of the same power cut.

use super::Search;
use crate::geography::are_within;
use crate::incident::candidates::NumberMap;
use crate::incident::company::is_feed;
use crate::incident::joint::window_of;
use crate::incident::likelihood::{Observation, WINDOW_MS, is_home, is_polled};
use crate::incident::power_area::{
    NEAR_METRES, PowerArea, by_id, is_then, mostly_without_power, place_of, power_areas,
};
use crate::incident::power_region::{Ground, Regions, Spot};
use crate::incident::surrounded::is_divided;
use crate::topology::{CutOff, ElementNo, GroupKind, GroupNo, Network, Part, SubscriberSet};
use std::collections::{BTreeSet, HashSet};

/// A power feed of which one home is back for so many that are dark has power again; who is still dark
/// is said home by home.
const ONE_BACK_OF: usize = 10;

/// The power cut that a failure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::incident) struct PowerCut {
    /// Means something only among the failures of one localisation.
    pub(in crate::incident) number: usize,
    /// It is what went down for want of mains, and not where power is seen to have failed.
    pub(in crate::incident) is_device: bool,
}

impl Search<'_> {
    /// Finds power cuts that follow no part of the network, and takes what they explain from the
    /// candidates: a port that misses the signal of homes without power has no fault.
    pub(super) fn take_power_areas(&mut self) -> Vec<PowerArea> {
        if self.all.without_power().is_empty() {
            self.neighbourhoods.clear();
            return Vec::new();
        }
        let lacks_power = |&part: &Part| match part {
            Part::Element(element) if is_home(self.network, element) => {
                self.all.without_power().contains_key(&element)
            }
            Part::Element(element) => {
                !self.all.has_own_fault(self.book, part)
                    && !is_polled(self.network.kind(element))
                    && mostly_without_power(&[element], self.all, self.network)
            }
            _ => false,
        };
        let explained: Vec<Part> = self
            .candidates
            .iter()
            .copied()
            .filter(lacks_power)
            .collect();
        let others: Vec<Part> = self
            .candidates
            .iter()
            .copied()
            .filter(|part| !lacks_power(part))
            .collect();
        // A device whose battery is empty leaves its homes as dark as they have been without mains.
        let batteries = self.all.batteries();
        let is_on_battery = |device| batteries.device_since_ms(device).is_some();
        let mut mains: Vec<Part> = others
            .iter()
            .copied()
            .filter(|&part| !devices_of(part, self.network).any(is_on_battery))
            .collect();
        self.leave_devices_to_power(&mut mains);
        let cut = self.network.cut_off(&mains);
        let mut areas = self.power_areas_beside(&mains, &cut);
        for part in explained {
            let below = self.network.cut_off(&[part]);
            let area = areas.iter_mut().find_map(|area| {
                let is_below =
                    |home: &&Part| matches!(home, Part::Element(home) if below.is_cut_off(*home));
                let home = area.homes.iter().find(is_below).copied()?;
                Some((&mut area.homes, &area.spots, home))
            });
            let Some((homes, spots, home)) = area else {
                continue;
            };
            self.candidates.remove(&part);
            self.symptoms.insert(part, home);
            let raised_ms = self.all.raised_ms(part, self.book);
            let is_of_cut = raised_ms.is_some_and(|raised_ms| {
                let window = raised_ms.div_euclid(WINDOW_MS);
                spots.iter().any(|spot| is_then(window, spot.window))
            });
            if is_of_cut {
                // Nothing is heard of any home behind it, also of those that say nothing.
                let dark = below.elements().filter(|&element| {
                    is_home(self.network, element)
                        && self.all.observation(element) == Observation::Silent
                });
                homes.extend(dark.map(Part::Element));
            }
        }
        let owners = owners_of(&areas);
        for part in others {
            self.leave_to_power(part, &mut areas, &owners);
        }
        self.take_surrounded(&mut areas, &cut);
        areas
    }

    /// The power cuts beside failures that have cut off homes.
    fn power_areas_beside(&self, failed: &[Part], cut: &CutOff) -> Vec<PowerArea> {
        let cut_off = self.network.lost(failed);
        power_areas(self.ground(&cut_off), |home| cut.is_cut_off(home))
    }

    fn ground<'a>(&'a self, cut_off: &'a SubscriberSet) -> Ground<'a> {
        Ground {
            candidates: self.all,
            network: self.network,
            premises: &self.map.premises,
            cut_off,
        }
    }

    /// Whether the homes behind a duct or cable went dark for want of power: those that cannot say so
    /// look as if their line had been cut, wherever power fails around several of its lines.
    pub(super) fn lacks_power_behind(&self, group: GroupNo) -> bool {
        let part = Part::Group(group);
        if is_feed(part, self.network) || self.all.has_alarm(part) {
            return false;
        }
        let mut behind: Vec<ElementNo> = Vec::new();
        for &member in self.network.group_members(group) {
            let element = match member {
                Part::Element(element) => element,
                Part::Link(link) => self.network.link_ends(link).1,
                Part::Group(_) => continue,
            };
            if !is_polled(self.network.kind(element)) {
                behind.push(element);
            } else if self.all.contains(member) {
                // What joins devices has failed with it, and not for want of power in homes.
                return false;
            }
            if self.all.has_own_fault(self.book, member) {
                return false;
            }
        }
        mostly_without_power(&behind, self.all, self.network)
    }

    /// Whether only some of the homes of a power feed have no power: some have it back, or those not
    /// heard of live together.
    pub(super) fn is_fed_in_part(&self, group: GroupNo) -> bool {
        if self.network.group_kind(group) != GroupKind::PowerFeed
            || self.all.has_alarm(Part::Group(group))
        {
            return false;
        }
        let members = self.network.group_members(group).iter();
        let homes = members.filter_map(|&member| match member {
            Part::Element(element) => Some((member, self.all.observation(element))),
            _ => None,
        });
        let homes: Vec<(Part, Observation)> = homes.collect();
        let failed = homes.iter().filter_map(|(_, said)| match said {
            Observation::NoPower(at_ms) => Some(at_ms.div_euclid(WINDOW_MS)),
            _ => None,
        });
        let failed: BTreeSet<i64> = failed.collect();
        // A sign of life says since when service was gone that is back.
        let is_back = |said: Observation| match said {
            Observation::Alive(at_ms) => {
                let window = at_ms.div_euclid(WINDOW_MS);
                failed.iter().any(|&failed| is_then(window, failed))
            }
            _ => false,
        };
        let back = homes.iter().filter(|(_, said)| is_back(*said)).count();
        let dark = homes.iter().filter(|(_, said)| is_dark(*said)).count();
        if back > 0 && ONE_BACK_OF * back >= dark {
            return true;
        }
        let home = |&(member, said): &(Part, Observation)| {
            let first = self.network.lost_alone_runs(member);
            let (rank, _) = *first.as_slice().first()?;
            Some((self.map.premises.position(rank)?, is_dark(said)))
        };
        is_divided(&homes.iter().filter_map(home).collect::<Vec<_>>())
    }

    /// A home on a power feed that failed, and that says that it lives on a battery, has service: names
    /// the other homes in the place of the feed.
    pub(super) fn spare_batteries(&self, parts: &mut Vec<Part>) {
        let lives = |&member: &Part| match member {
            Part::Element(home) => {
                self.all.batteries().has_home(home) && !is_dark(self.all.observation(home))
            }
            _ => false,
        };
        let spares_some = |part: &Part| match *part {
            Part::Group(group) if is_feed(*part, self.network) => {
                self.network.group_members(group).iter().any(lives)
            }
            _ => false,
        };
        if !parts.iter().any(spares_some) {
            return;
        }
        let mut rest = Vec::with_capacity(parts.len());
        for part in std::mem::take(parts) {
            match part {
                Part::Group(group) if spares_some(&part) => {
                    let members = self.network.group_members(group).iter();
                    rest.extend(members.filter(|member| !lives(member)));
                }
                part => rest.push(part),
            }
        }
        *parts = by_id(rest, self.network);
    }

    /// Adds the homes amid the power cuts that have lost power as well ([`super::Neighbourhoods::is_amid`]).
    fn take_surrounded(&mut self, areas: &mut [PowerArea], cut: &CutOff) {
        if areas.is_empty() || self.map.premises.placed() == 0 {
            self.neighbourhoods.clear();
            return;
        }
        let homes = areas.iter().flat_map(|area| &area.homes);
        let mut taken: HashSet<Part> = homes.copied().collect();
        let gasped = self.all.without_power().iter();
        let elsewhere = gasped.map(|(&home, &at_ms)| (home, at_ms.div_euclid(WINDOW_MS)));
        let elsewhere: Vec<(ElementNo, i64)> = elsewhere
            .filter(|&(home, _)| !taken.contains(&Part::Element(home)) && !cut.is_cut_off(home))
            .collect();
        let batteries = self.all.batteries();
        for area in areas {
            let runs = |&home: &Part| self.network.lost_alone_runs(home).as_slice().to_vec();
            let dark = SubscriberSet::from_runs(area.homes.iter().flat_map(runs).collect());
            let failed_then =
                |window: i64| area.spots.iter().any(|spot| is_then(window, spot.window));
            let elsewhere = elsewhere.iter().filter(|(_, window)| failed_then(*window));
            let elsewhere = elsewhere.map(|(home, _)| *home);
            let silent = std::mem::take(&mut area.silent);
            let silent = silent.into_iter().filter(|&home| !batteries.has_home(home));
            for home in silent.chain(elsewhere).map(Part::Element) {
                let first = self.network.lost_alone_runs(home);
                let first = first.as_slice().first().map(|(rank, _)| *rank);
                let is_amid =
                    first.is_some_and(|rank| self.neighbourhoods.is_amid(rank, &dark, self.map));
                if is_amid && taken.insert(home) {
                    area.homes.push(home);
                }
            }
        }
    }

    /// Takes devices that were only inferred from the candidates, and from these parts, where power that
    /// failed explains as much: nobody hears a home's last words through a device that is dead.
    fn leave_devices_to_power(&mut self, mains: &mut Vec<Part>) {
        let is_inferred = |part: &Part| match *part {
            Part::Element(element) => {
                is_polled(self.network.kind(element)) && !self.all.has_alarm(*part)
            }
            _ => false,
        };
        let (inferred, rest): (Vec<Part>, Vec<Part>) = mains.iter().partition(|p| is_inferred(p));
        if inferred.is_empty() {
            return;
        }
        let cut = self.network.cut_off(&rest);
        let mut areas = self.power_areas_beside(&rest, &cut);
        let owners = owners_of(&areas);
        for part in inferred {
            self.leave_to_power(part, &mut areas, &owners);
        }
        mains.retain(|part| self.candidates.contains(part));
    }

    /// An element that was only inferred, from some of its homes, all of which went dark when power
    /// failed beside it, has no fault: its homes that are dark are part of the power cut.
    fn leave_to_power(
        &mut self,
        part: Part,
        areas: &mut [PowerArea],
        owners: &NumberMap<Part, usize>,
    ) {
        let Part::Element(element) = part else { return };
        if areas.is_empty() || self.all.has_alarm(part) || is_home(self.network, element) {
            return;
        }
        let window = window_of(part, self.all, self.book);
        let is_later = |at: i64| window.is_some_and(|w| at > w && !is_then(at, w));
        // A device has many homes, some of which have been dark for long.
        let is_device = is_polled(self.network.kind(element));
        let is_of_old = |at: i64| is_device && window.is_some_and(|w| at < w && !is_then(w, at));
        let below = self.network.cut_off(&[part]);
        let homes = below.elements().filter(|&e| is_home(self.network, e));
        let (mut dark, mut later, mut silent) = (Vec::new(), Vec::new(), 0);
        for home in homes {
            let at_ms = match self.all.observation(home) {
                Observation::Alarmed(at_ms) | Observation::NoPower(at_ms) => at_ms,
                Observation::Silent => {
                    silent += 1;
                    continue;
                }
                Observation::Alive(_) => continue,
            };
            match at_ms.div_euclid(WINDOW_MS) {
                at if is_later(at) => later.push((home, at)),
                at if is_of_old(at) => {}
                at => dark.push((home, at)),
            }
        }
        if silent == 0 {
            return;
        }
        for (no, area) in areas.iter_mut().enumerate() {
            // What another power cut has taken is not of this one.
            let is_open = |&&(home, _): &&(ElementNo, i64)| {
                let owner = owners.get(&Part::Element(home));
                owner.is_none_or(|&owner| owner == no)
            };
            let dark: Vec<(ElementNo, i64)> = dark.iter().filter(is_open).copied().collect();
            let later: Vec<(ElementNo, i64)> = later.iter().filter(is_open).copied().collect();
            let Some(&(first, _)) = dark.first() else {
                continue;
            };
            // Where power has failed, homes that go dark later had batteries.
            if area.explains(&dark, self.network) && area.outlasted_by(&later, self.network) {
                self.candidates.remove(&part);
                self.symptoms.insert(part, Part::Element(first));
                let homes = dark.into_iter().chain(later);
                area.homes
                    .extend(homes.map(|(home, _)| Part::Element(home)));
                return;
            }
        }
    }

    /// For each failure the power cut that it is of, if it is of one.
    pub(super) fn power_cuts(
        &self,
        sets: &[Vec<Part>],
        areas: &[PowerArea],
    ) -> Vec<Option<PowerCut>> {
        let mut spots: Vec<Vec<Spot>> = areas.iter().map(|area| area.spots.clone()).collect();
        let mut area_of: NumberMap<Part, usize> = NumberMap::default();
        for (at, area) in areas.iter().enumerate() {
            area_of.extend(area.homes.iter().map(|&home| (home, at)));
        }
        let source = |set: &Vec<Part>| {
            let in_area = set.first().and_then(|part| area_of.get(part)).copied();
            in_area.or_else(|| {
                let of_feed = self.spots_of_feed(set)?;
                spots.push(of_feed);
                Some(spots.len() - 1)
            })
        };
        let sources: Vec<Option<usize>> = sets.iter().map(source).collect();
        if spots.is_empty() {
            return vec![None; sets.len()];
        }
        let others = sets.iter().zip(&sources);
        let others = others.filter(|(_, source)| source.is_none());
        let others: Vec<Part> = others.flat_map(|(set, _)| set).copied().collect();
        let cut_off = self.network.lost(&others);
        let regions = Regions::of(&spots, self.ground(&cut_off));
        let cut = |(set, source): (&Vec<Part>, Option<usize>)| {
            let of_device = || {
                self.mains_lost_in(set, &regions)
                    .or_else(|| self.outlasted_by(set, &spots, &regions))
            };
            let outage = source.or_else(of_device)?;
            Some(PowerCut {
                number: regions.cut(outage),
                is_device: source.is_none(),
            })
        };
        sets.iter().zip(sources).map(cut).collect()
    }

    /// Where homes say that they have no power, if these parts are a power feed that failed.
    fn spots_of_feed(&self, set: &[Part]) -> Option<Vec<Spot>> {
        let [Part::Group(group)] = *set else {
            return None;
        };
        if self.network.group_kind(group) != GroupKind::PowerFeed {
            return None;
        }
        let spot = |&member: &Part| {
            let Part::Element(home) = member else {
                return None;
            };
            let at_ms = self.all.without_power().get(&home)?;
            let place = place_of(home, self.network)?;
            Some((place, at_ms.div_euclid(WINDOW_MS)))
        };
        let members = self.network.group_members(group).iter();
        let places: BTreeSet<(ElementNo, i64)> = members.filter_map(spot).collect();
        let at = |(place, window)| {
            let position = self.network.position(place)?;
            Some(Spot { position, window })
        };
        Some(places.into_iter().filter_map(at).collect())
    }

    /// The place of a power cut in whose region one of the devices said at that time that it has lost
    /// its mains.
    fn mains_lost_in(&self, set: &[Part], regions: &Regions) -> Option<usize> {
        let devices = set.iter().flat_map(|&part| {
            let devices = devices_of(part, self.network);
            devices.map(move |device| (part, device))
        });
        let mut devices = devices.filter_map(|(part, device)| {
            let since_ms = self.all.batteries().device_since_ms(device)?;
            let position = self.network.position(device)?;
            let is_after = self.all.failed_after(since_ms, part, self.book);
            is_after.then_some((position, since_ms.div_euclid(WINDOW_MS)))
        });
        devices.find_map(|(position, window)| {
            regions.nearest(position, |failed| is_then(window, failed))
        })
    }

    /// The place of a power cut in the midst of which a device that said nothing went down later.
    fn outlasted_by(&self, set: &[Part], spots: &[Vec<Spot>], regions: &Regions) -> Option<usize> {
        let [part @ Part::Element(device)] = *set else {
            return None;
        };
        if !is_polled(self.network.kind(device)) {
            return None;
        }
        let there = self.network.position(device)?;
        let window = window_of(part, self.all, self.book)?;
        let outlasts = |failed: i64| window > failed && !is_then(window, failed);
        let nearest = regions.nearest(there, outlasts)?;
        let mut spots = spots.get(nearest).into_iter().flatten();
        let is_amid =
            |spot: &Spot| outlasts(spot.window) && are_within(spot.position, there, NEAR_METRES);
        spots.any(is_amid).then_some(nearest)
    }
}

/// Of which of the power cuts a home is.
fn owners_of(areas: &[PowerArea]) -> NumberMap<Part, usize> {
    let areas = areas.iter().enumerate();
    let homes = areas.flat_map(|(no, area)| area.homes.iter().map(move |&home| (home, no)));
    homes.collect()
}

fn is_dark(said: Observation) -> bool {
    matches!(said, Observation::NoPower(_) | Observation::Alarmed(_))
}

/// The devices that a part is or joins.
fn devices_of(part: Part, network: &Network) -> impl Iterator<Item = ElementNo> + '_ {
    let ends = match part {
        Part::Element(element) => [Some(element), None],
        Part::Link(link) => {
            let (a, b) = network.link_ends(link);
            [Some(a), Some(b)]
        }
        Part::Group(_) => [None, None],
    };
    let ends = ends.into_iter().flatten();
    ends.filter(|&end| is_polled(network.kind(end)))
}
