//! Who lives on a battery: devices and homes that say that they have no mains, but work.

use super::candidates::NumberMap;
use super::likelihood::is_home;
use crate::alarm::{AlarmNo, AlarmState, ServiceEffect, is_power};
use crate::clock::Millis;
use crate::topology::{ElementNo, Network, Part};
use std::collections::BTreeMap;

/// By where the alarms are that say so, each with the time of its raise.
type Said = BTreeMap<ElementNo, BTreeMap<AlarmNo, Millis>>;

/// Devices and homes that live on a battery, or did until they failed.
#[derive(Debug, Default)]
pub(super) struct Batteries {
    devices: Said,
    homes: Said,
    place_of: NumberMap<AlarmNo, ElementNo>,
}

impl Batteries {
    /// Takes over what an alarm says of a battery; whether that is news.
    pub(super) fn note(
        &mut self,
        no: AlarmNo,
        alarm: Option<&AlarmState>,
        part: Option<Part>,
        network: &Network,
    ) -> bool {
        let says_so = |alarm: &&AlarmState| {
            alarm.is_active()
                && alarm.effect() != ServiceEffect::Loss
                && is_power(&alarm.key().alarm_type)
        };
        let new = match (part, alarm.filter(says_so)) {
            (Some(Part::Element(element)), Some(alarm)) => Some((element, alarm.raised_ms())),
            _ => None,
        };
        let place = match new {
            Some((element, _)) => self.place_of.insert(no, element),
            None if self.place_of.is_empty() => None,
            None => self.place_of.remove(&no),
        };
        let old = place.and_then(|element| {
            let said = self.said_by(element, network);
            let alarms = said.get_mut(&element)?;
            let since_ms = alarms.remove(&no)?;
            if alarms.is_empty() {
                said.remove(&element);
            }
            Some((element, since_ms))
        });
        if let Some((element, since_ms)) = new {
            let alarms = self.said_by(element, network).entry(element).or_default();
            alarms.insert(no, since_ms);
        }
        old != new
    }

    fn said_by(&mut self, element: ElementNo, network: &Network) -> &mut Said {
        if is_home(network, element) {
            &mut self.homes
        } else {
            &mut self.devices
        }
    }

    pub(super) fn has_home(&self, home: ElementNo) -> bool {
        self.homes.contains_key(&home)
    }

    /// Since when a device says that it has no mains; the first time, if it said so several times.
    pub(super) fn device_since_ms(&self, device: ElementNo) -> Option<Millis> {
        self.since_ms(device).min()
    }

    /// Each time that a device said so.
    pub(super) fn since_ms(&self, device: ElementNo) -> impl Iterator<Item = Millis> + '_ {
        let alarms = self.devices.get(&device).into_iter();
        alarms.flat_map(|alarms| alarms.values().copied())
    }
}
