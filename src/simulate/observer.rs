//! From failures to what is said of them: who can see what, and whether it can be heard.
//!
//! The state of the network is kept as it is; each change is turned into reports of those who see
//! it. Who cannot be reached keeps what it would say, and says the difference when it is back.

use super::chance::{Purpose, generator, happens, trait_of, within};
use super::fault::{Fault, FaultKind, Stage};
use super::reporting::{Condition, Origin, Report, Reporting, Source, What};
use super::world::{Role, World, number};
use crate::clock::Millis;
use crate::topology::{ElementKind, ElementNo, LinkNo, Part};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Which trait of a device is asked for.
const HIDES_ONTS: u64 = 1;
const OUT_OF_BAND: u64 = 2;
const POLL_PHASE: u64 = 3;

/// What is known of one condition.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    is_there: bool,
    /// What has been said of it, or will be at the time of the last report.
    is_told: bool,
    last: Option<usize>,
    instance: u32,
}

/// Why an ONT is dark, by the number of reasons.
#[derive(Clone, Copy, Debug, Default)]
struct Cover {
    cuts: u32,
    power: u32,
    was_dark: bool,
}

pub(super) struct Observer<'a> {
    world: &'a World,
    settings: &'a Reporting,
    seed: u64,
    rng: ChaCha8Rng,
    reports: Vec<Option<Report>>,
    known: HashMap<Condition, Known>,
    /// Conditions that changed while their device could not be heard.
    kept_back: BTreeMap<ElementNo, Vec<Condition>>,
    failed: HashMap<Part, u32>,
    /// Failed devices and links between devices.
    transport: BTreeSet<Part>,
    /// Devices that no path reaches, the dead ones included.
    cut_off: BTreeSet<ElementNo>,
    cover: HashMap<ElementNo, Cover>,
    dark_on_port: HashMap<ElementNo, u32>,
    bursts: HashMap<ElementNo, (Millis, i64)>,
    instances: u32,
    at_ms: Millis,
    origin: Origin,
}

impl<'a> Observer<'a> {
    pub(super) fn new(world: &'a World, settings: &'a Reporting, seed: u64) -> Self {
        Self {
            world,
            settings,
            seed,
            rng: generator(seed, Purpose::Reporting),
            reports: Vec::new(),
            known: HashMap::new(),
            kept_back: BTreeMap::new(),
            failed: HashMap::new(),
            transport: BTreeSet::new(),
            cut_off: BTreeSet::new(),
            cover: HashMap::new(),
            dark_on_port: HashMap::new(),
            bursts: HashMap::new(),
            instances: 0,
            at_ms: 0,
            origin: Origin::Fault(0),
        }
    }

    /// What was said, in no order, and how many alarms that is.
    pub(super) fn finish(self) -> (Vec<Report>, u32) {
        (self.reports.into_iter().flatten().collect(), self.instances)
    }

    /// Something of a fault fails or comes back.
    pub(super) fn change(&mut self, fault: &Fault, no: u32, stage: &Stage) {
        self.now(stage.at_ms, Origin::Fault(no));
        let mut onts: Vec<ElementNo> = Vec::new();
        let mut ports: BTreeSet<ElementNo> = BTreeSet::new();
        let mut links: BTreeSet<LinkNo> = BTreeSet::new();
        let mut is_transport = false;
        for (parts, up) in [(&stage.failed, true), (&stage.restored, false)] {
            for part in self.world.primitive(parts) {
                if !self.count(part, up) {
                    continue;
                }
                match self.world.role(part) {
                    Some(Role::Access(element)) => {
                        self.cover_onts(element, part, fault.kind, up, &mut onts);
                        ports.extend(self.world.above(element, ElementKind::PonPort));
                    }
                    Some(Role::Device(device)) => {
                        is_transport = true;
                        links.extend(self.world.links_of(device));
                    }
                    Some(Role::Transport(link)) => {
                        is_transport = true;
                        links.insert(link);
                    }
                    None => {}
                }
                if is_transport {
                    self.note_transport(part, up);
                }
            }
        }
        if is_transport {
            self.look_at_devices(&links);
        }
        self.look_at_card(fault, stage);
        self.look_at_access(onts, ports);
    }

    /// A home goes dark for its own reasons, or is back.
    pub(super) fn dark_home(
        &mut self,
        ont: ElementNo,
        what: What,
        is_dark: bool,
        at_ms: Millis,
        no: u32,
    ) {
        self.now(at_ms, Origin::DarkHome(no));
        let cover = self.cover.entry(ont).or_default();
        let was_dark = cover.was_dark;
        cover.cuts = if is_dark {
            cover.cuts + 1
        } else {
            cover.cuts.saturating_sub(1)
        };
        let now_dark = cover.cuts + cover.power > 0;
        if was_dark == now_dark {
            return;
        }
        cover.was_dark = now_dark;
        self.count_on_port(ont, now_dark);
        if now_dark {
            self.ont(ont, what, true);
        } else {
            self.ont_is_back(ont);
        }
    }

    /// Mains fail at a device or an ONT with a battery, or are back, or the battery is empty. An ONT tells its
    /// OLT ("powering alarm", ITU-T G.988 section 9.1.1).
    pub(super) fn battery(&mut self, device: ElementNo, is_on: bool, at_ms: Millis, no: u32) {
        self.now(at_ms, Origin::Fault(no));
        let condition = Condition {
            what: What::OnBattery,
            part: Part::Element(device),
            by: if self.world.network().kind(device) == ElementKind::Ont {
                self.world.above(device, ElementKind::Olt)
            } else {
                Some(device)
            },
        };
        self.set(condition, is_on, [0, 1_000]);
    }

    /// Light under an element becomes bad, or good again.
    pub(super) fn degrade(&mut self, under: ElementNo, is_bad: bool, at_ms: Millis, no: u32) {
        self.now(at_ms, Origin::Fault(no));
        for &ont in self.world.onts_under(under) {
            let Some(olt) = self.world.above(ont, ElementKind::Olt) else {
                continue;
            };
            let condition = Condition {
                what: What::LowPower,
                part: Part::Element(ont),
                by: Some(olt),
            };
            let is_told = self
                .known
                .get(&condition)
                .is_some_and(|known| known.is_told);
            if is_bad && happens(self.settings.degraded_onts, &mut self.rng) {
                self.set(condition, true, [0, 60_000]);
            } else if !is_bad && is_told {
                self.set(condition, false, [0, 60_000]);
            }
        }
    }

    fn now(&mut self, at_ms: Millis, origin: Origin) {
        self.at_ms = at_ms;
        self.origin = origin;
    }

    /// Counts a failure; whether the part changed between working and failed.
    fn count(&mut self, part: Part, up: bool) -> bool {
        let count = self.failed.entry(part).or_default();
        let before = *count;
        *count = if up {
            before + 1
        } else {
            before.saturating_sub(1)
        };
        (before == 0) != (*count == 0)
    }

    fn is_failed(&self, part: Part) -> bool {
        self.failed.get(&part).is_some_and(|count| *count > 0)
    }

    fn note_transport(&mut self, part: Part, up: bool) {
        if !matches!(
            self.world.role(part),
            Some(Role::Device(_) | Role::Transport(_))
        ) {
            return;
        }
        if up {
            self.transport.insert(part);
        } else {
            self.transport.remove(&part);
        }
    }

    fn cover_onts(
        &mut self,
        element: ElementNo,
        part: Part,
        kind: FaultKind,
        up: bool,
        touched: &mut Vec<ElementNo>,
    ) {
        let is_power = part == Part::Element(element)
            && self.world.network().kind(element) == ElementKind::Ont
            && kind.is_power();
        for &ont in self.world.onts_under(element) {
            let cover = self.cover.entry(ont).or_default();
            let count = if is_power {
                &mut cover.power
            } else {
                &mut cover.cuts
            };
            *count = if up {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            touched.push(ont);
        }
    }

    fn look_at_access(&mut self, mut onts: Vec<ElementNo>, mut ports: BTreeSet<ElementNo>) {
        onts.sort_unstable();
        onts.dedup();
        onts.retain(|ont| {
            let Some(cover) = self.cover.get_mut(ont) else {
                return false;
            };
            let is_dark = cover.cuts + cover.power > 0;
            std::mem::replace(&mut cover.was_dark, is_dark) != is_dark
        });
        for &ont in &onts {
            let is_dark = self.is_dark(ont);
            ports.extend(self.count_on_port(ont, is_dark));
        }
        let mut uncovered: BTreeSet<ElementNo> = BTreeSet::new();
        for &port in &ports {
            let Some(olt) = self.world.above(port, ElementKind::Olt) else {
                continue;
            };
            let is_failed = self.is_failed(Part::Element(port));
            let is_dark = self.is_all_dark(port) && !is_failed;
            let of_port = |what| Condition {
                what,
                part: Part::Element(port),
                by: Some(olt),
            };
            let was_covered =
                self.is_there(of_port(What::PonLos)) || self.is_there(of_port(What::PortDown));
            self.set(of_port(What::PortDown), is_failed, [0, 1_000]);
            let delay_ms = if is_dark {
                self.settings.los_ms
            } else {
                self.settings.back_ms
            };
            self.set(of_port(What::PonLos), is_dark, delay_ms);
            if was_covered && !is_dark && !is_failed && self.hides_onts(olt) {
                let under = self.world.onts_under(port).iter();
                uncovered.extend(under.copied().filter(|&ont| self.is_dark(ont)));
            }
        }
        for &ont in &onts {
            if self.is_dark(ont) {
                self.ont_is_dark(ont);
            } else {
                self.ont_is_back(ont);
            }
        }
        for ont in uncovered {
            if !onts.contains(&ont) {
                self.ont(ont, What::OntLos, true);
            }
        }
    }

    fn is_dark(&self, ont: ElementNo) -> bool {
        self.cover.get(&ont).is_some_and(|cover| cover.was_dark)
    }

    fn count_on_port(&mut self, ont: ElementNo, is_dark: bool) -> Option<ElementNo> {
        let port = self.world.above(ont, ElementKind::PonPort)?;
        let count = self.dark_on_port.entry(port).or_default();
        *count = if is_dark {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
        Some(port)
    }

    fn is_all_dark(&self, port: ElementNo) -> bool {
        let dark = self.dark_on_port.get(&port).copied().unwrap_or(0);
        dark > 0 && dark as usize == self.world.onts_under(port).len()
    }

    fn ont_is_dark(&mut self, ont: ElementNo) {
        let by_power = self
            .cover
            .get(&ont)
            .is_some_and(|c| c.power > 0 && c.cuts == 0);
        if by_power && happens(self.settings.gasp_heard, &mut self.rng) {
            self.ont(ont, What::DyingGasp, true);
            if happens(self.settings.offline_after_gasp, &mut self.rng) {
                self.ont(ont, What::Offline, true);
            }
            return;
        }
        let port = self.world.above(ont, ElementKind::PonPort);
        let is_hidden = port.is_some_and(|port| {
            let covered = self.is_all_dark(port) || self.is_failed(Part::Element(port));
            let olt = self.world.above(port, ElementKind::Olt);
            covered && olt.is_some_and(|olt| self.hides_onts(olt))
        });
        if !is_hidden {
            self.ont(ont, What::OntLos, true);
        }
    }

    fn ont_is_back(&mut self, ont: ElementNo) {
        for what in [What::OntLos, What::DyingGasp, What::Offline] {
            self.ont(ont, what, false);
        }
    }

    fn ont(&mut self, ont: ElementNo, what: What, is_there: bool) {
        let Some(olt) = self.world.above(ont, ElementKind::Olt) else {
            return;
        };
        let delay_ms = match (is_there, what) {
            (false, _) => self.settings.back_ms,
            (true, What::DyingGasp) => [0, 200],
            (true, What::Offline) => self.settings.offline_ms,
            (true, _) => self.settings.los_ms,
        };
        let condition = Condition {
            what,
            part: Part::Element(ont),
            by: Some(olt),
        };
        self.set(condition, is_there, delay_ms);
    }

    /// The OLT names the card when all that failed of it are its ports.
    fn look_at_card(&mut self, fault: &Fault, stage: &Stage) {
        if fault.kind != FaultKind::LineCard {
            return;
        }
        let parts = fault.parts();
        let Some(&Part::Element(port)) = parts.first() else {
            return;
        };
        let Some(olt) = self.world.above(port, ElementKind::Olt) else {
            return;
        };
        let is_down = parts.iter().any(|&part| self.is_failed(part));
        let card = Condition {
            what: What::Card(self.card_number(olt, port, parts.len())),
            part: Part::Element(port),
            by: Some(olt),
        };
        let is_first = fault.stages.first() == Some(stage);
        if is_first || !is_down {
            self.set(card, is_down, [0, 2_000]);
        }
    }

    /// Cards are numbered from 1, in the order of the ids of their ports.
    fn card_number(&self, olt: ElementNo, port: ElementNo, size: usize) -> u32 {
        let network = self.world.network();
        let id = network.part_id(Part::Element(port));
        let before = network.dominator_children(olt).filter(|&other| {
            network.kind(other) == ElementKind::PonPort
                && network.part_id(Part::Element(other)) < id
        });
        number(before.count() / size.max(1) + 1)
    }

    /// After devices or the links between them changed: who is reached, what links are down.
    fn look_at_devices(&mut self, links: &BTreeSet<LinkNo>) {
        let network = self.world.network();
        let failed: Vec<Part> = self.transport.iter().copied().collect();
        let cut = network.cut_off(&failed);
        let now: BTreeSet<ElementNo> = self
            .world
            .devices()
            .filter(|&d| cut.is_cut_off(d))
            .collect();
        let before = std::mem::replace(&mut self.cut_off, now);
        for &link in links {
            let (a, b) = network.link_ends(link);
            let is_down = [Part::Link(link), Part::Element(a), Part::Element(b)]
                .into_iter()
                .any(|part| self.is_failed(part));
            for end in [a, b] {
                let condition = Condition {
                    what: What::LinkDown,
                    part: Part::Link(link),
                    by: Some(end),
                };
                self.set(condition, is_down, self.settings.link_down_ms);
            }
        }
        let changed: Vec<ElementNo> = before
            .symmetric_difference(&self.cut_off)
            .copied()
            .collect();
        let devices = links
            .iter()
            .flat_map(|&link| <[ElementNo; 2]>::from(network.link_ends(link)));
        let looked_at: BTreeSet<ElementNo> = changed.into_iter().chain(devices).collect();
        for device in looked_at {
            self.poll(device);
            if self.is_heard(device) {
                for condition in self.kept_back.remove(&device).unwrap_or_default() {
                    let is_there = self.is_there(condition);
                    self.set(condition, is_there, [1_000, 10_000]);
                }
            }
        }
    }

    /// The poller asks again and again; it speaks after so many missed answers.
    fn poll(&mut self, device: ElementNo) {
        let is_silent = !self.is_heard(device);
        let condition = Condition {
            what: What::Unreachable,
            part: Part::Element(device),
            by: None,
        };
        let every_ms = self.settings.poll_every_ms.max(1);
        let phase = trait_of(self.seed, POLL_PHASE, device.0) * every_ms as f64;
        let phase_ms = super::chance::whole(phase);
        let next_ms = every_ms - (self.at_ms - phase_ms).rem_euclid(every_ms);
        let delay_ms = if is_silent {
            next_ms
                + (self.settings.missed_polls - 1).max(0) * every_ms
                + self.settings.poll_timeout_ms
        } else {
            next_ms
        };
        self.set(condition, is_silent, [delay_ms, delay_ms]);
    }

    /// Whether what a device says reaches its management system.
    fn is_heard(&self, device: ElementNo) -> bool {
        let out_of_band = trait_of(self.seed, OUT_OF_BAND, device.0) < self.settings.out_of_band;
        !self.is_failed(Part::Element(device)) && (out_of_band || !self.cut_off.contains(&device))
    }

    fn hides_onts(&self, olt: ElementNo) -> bool {
        hides_onts(self.seed, self.settings, olt)
    }

    fn is_there(&self, condition: Condition) -> bool {
        self.known
            .get(&condition)
            .is_some_and(|known| known.is_there)
    }

    fn source(&self, condition: Condition) -> Source {
        let network = self.world.network();
        match (condition.what, condition.by) {
            (What::Unreachable, _) => Source::Poller,
            (What::Silent, _) | (_, None) => Source::Bng,
            (_, Some(by)) if network.kind(by) != ElementKind::Olt => Source::Transport,
            (_, Some(olt)) if self.hides_onts(olt) => Source::OltsB,
            _ => Source::OltsA,
        }
    }

    /// A condition is there or not; it is said after a delay, if it is news and can be heard.
    fn set(&mut self, condition: Condition, is_there: bool, delay_ms: [i64; 2]) {
        let is_heard = condition.by.is_none_or(|by| self.is_heard(by));
        let source = self.source(condition);
        let known = self.known.entry(condition).or_default();
        known.is_there = is_there;
        if !is_heard {
            if let Some(by) = condition.by {
                self.kept_back.entry(by).or_default().push(condition);
            }
            return;
        }
        if known.is_told == is_there {
            return;
        }
        known.is_told = is_there;
        let last = known.last.and_then(|last| self.reports.get_mut(last));
        if let Some(last) = last
            && last.is_some_and(|report| report.at_ms > self.at_ms)
        {
            // It is over before anybody saw it.
            *last = None;
            known.last = None;
            return;
        }
        if is_there {
            known.instance = self.instances;
            self.instances += 1;
        }
        known.last = Some(self.reports.len());
        let instance = known.instance;
        let at_ms = self.at_ms + within(delay_ms, &mut self.rng);
        let latency_ms = within(self.settings.latency_ms, &mut self.rng) + self.wait(condition);
        self.reports.push(Some(Report {
            at_ms,
            latency_ms,
            is_raise: is_there,
            condition,
            source,
            origin: self.origin,
            instance,
        }));
    }

    /// An OLT with much to say says it one after another.
    fn wait(&mut self, condition: Condition) -> i64 {
        let Some(by) = condition.by else { return 0 };
        let burst = self.bursts.entry(by).or_insert((self.at_ms, 0));
        if burst.0 != self.at_ms {
            *burst = (self.at_ms, 0);
        }
        burst.1 += 1;
        (burst.1 - 1) * self.settings.burst_gap_ms
    }
}

/// Whether an OLT tells nothing of single ONTs while the alarm of their port stands.
pub(super) fn hides_onts(seed: u64, settings: &Reporting, olt: ElementNo) -> bool {
    trait_of(seed, HIDES_ONTS, olt.0) < settings.port_alarm_hides_onts
}
