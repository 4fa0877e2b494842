//! What nobody believes by itself must not hide what else fails: a lone alarm of an OLT would explain
//! every dark home below it, and while it waits for company those are told nothing.

use super::Correlator;
use crate::alarm::{AlarmNo, AlarmState};
use crate::incident::IncidentState;
use crate::incident::company::{has_company, plant_of, speaks_of_whole};
use crate::incident::localise::{Failure, localise};
use crate::topology::Part;
use std::collections::BTreeSet;

/// Below a part that is doubted there may be others: a switch, an OLT, a port.
const MOST_ROUNDS: usize = 4;

impl Correlator {
    /// The failures behind the alarms. One that rests on a lone alarm, and that no incident is
    /// believed of, explains that alarm only; the rest is explained without it.
    pub(super) fn find_failures(&mut self) -> Vec<Failure> {
        let split_off = self.parts_apart();
        let apart = (split_off.as_slice(), &self.declared);
        let ground = (&*self.network, &*self.map);
        self.candidates.weigh(&self.book, &self.network);
        let near = &mut self.neighbourhoods;
        let mut failures = localise(&self.candidates, ground, &self.book, apart, near);
        let mut doubted: Vec<Failure> = Vec::new();
        // Where lone alarms are believed after a time, they are believed of what they would explain.
        if self.settings.lone_alarm_ms.is_none() {
            for _ in 0..MOST_ROUNDS {
                let lone = self.lone(&failures);
                if lone.is_empty() {
                    break;
                }
                for no in lone.iter().flat_map(|failure| &failure.alarms) {
                    self.candidates
                        .update(*no, None, &self.network, &self.settings);
                }
                doubted.extend(lone);
                self.candidates.weigh(&self.book, &self.network);
                let near = &mut self.neighbourhoods;
                failures = localise(&self.candidates, ground, &self.book, apart, near);
            }
        }
        for no in doubted.iter().flat_map(|failure| &failure.alarms) {
            let alarm = self.book.get(*no);
            self.candidates
                .update(*no, alarm, &self.network, &self.settings);
        }
        for lone in doubted {
            // What fails also without its own alarm has it, too.
            let shares = |failure: &&mut Failure| {
                let mut parts = lone.parts.iter();
                parts.any(|part| failure.parts.contains(part))
            };
            match failures.iter_mut().find(shares) {
                Some(failure) => {
                    failure.alarms.extend(&lone.alarms);
                    failure.alarms.sort_unstable();
                    failure.own.extend(&lone.own);
                    failure.own.sort_unstable();
                    failure.own.dedup();
                    failure.is_fresh |= lone.is_fresh;
                }
                None => failures.push(lone),
            }
        }
        failures.sort_by_cached_key(|failure| {
            let first = failure.parts.first();
            first.map(|&part| self.network.part_id(part).to_owned())
        });
        failures
    }

    /// Those of these failures that are doubted, with nothing but the alarms of the plant that speak
    /// for them.
    fn lone(&self, failures: &[Failure]) -> Vec<Failure> {
        let network = &self.network;
        let lone = |failure: &Failure| {
            if failure.parts.iter().all(|part| self.trusted.contains(part)) {
                return None;
            }
            let lost = network.lost(&failure.parts).len();
            let plant = plant_of(failure, network);
            let part_of = |no: &AlarmNo| self.candidates.part_of(*no);
            let mut own = failure.alarms.clone();
            own.retain(|no| {
                part_of(no).is_some_and(|part| speaks_of_whole(part, &plant, lost, network))
            });
            if own.is_empty() || own.len() == failure.alarms.len() {
                return None;
            }
            let known = |no: &AlarmNo| Some((self.book.get(*no)?, part_of(no)?));
            let alarms: Vec<(&AlarmState, Part)> =
                failure.alarms.iter().filter_map(known).collect();
            if has_company(failure, &alarms, lost, network) {
                return None;
            }
            Some(Failure {
                parts: failure.parts.clone(),
                alarms: own,
                own: failure.own.clone(),
                is_fresh: failure.is_fresh,
                ran_on_battery: failure.ran_on_battery,
                power_cut: None,
                reasoning:
                    "Too little of what it would take is heard of: it explains nothing else \
                            until more is, or an operator confirms it."
                        .to_owned(),
            })
        };
        failures.iter().filter_map(lone).collect()
    }

    /// Parts that incidents are believed of.
    pub(super) fn believed_parts(&self) -> BTreeSet<Part> {
        let tracked = self.tracked.values();
        tracked
            .filter(|tracked| tracked.incident.state == IncidentState::Confirmed)
            .flat_map(|tracked| tracked.parts.iter().copied())
            .collect()
    }
}
