//! Access: what hangs on one OLT, down to the premises.
//!
//! An OLT has 16 PON ports, four to a street cabinet where their first-stage splitters stand. The
//! feeders to one of the cabinets share a duct with a link of the ring; the ONTs around a cabinet
//! share its power feed.

use super::people::{person, street};
use super::transport::{OltPlace, rounded};
use crate::geography::{NamedArea, offset};
use crate::subscriber::{Segment, Subscriber};
use crate::topology::{
    Element, ElementKind, GroupKind, Link, NetworkDefinition, Position, SharedRiskGroup, Site,
};
use rand::{Rng, RngExt};

const PONS: u32 = 16;
const PONS_PER_CABINET: u32 = 4;
/// Ways of a second-stage splitter.
const SECOND_STAGE_WAYS: u32 = 8;
/// Share of first-stage splitters that are 1:8; the others are 1:4.
const EIGHT_WAYS: f64 = 0.6;
/// How much of a PON is taken, least and most.
const TAKEN: std::ops::RangeInclusive<f64> = 0.25..=0.75;
/// How many subscribers a second-stage splitter gets before the next one is used: two ways stay
/// free for second connections.
const FILL: u32 = SECOND_STAGE_WAYS - 2;
/// One business subscriber in so many (0.5 %) is dual-homed, beginning with the `FIRST_DUAL_HOMED`th.
const DUAL_HOMED_EVERY: u32 = 200;
const FIRST_DUAL_HOMED: u32 = 100;

/// Metres from an OLT to its cabinets, from a cabinet to the middle of a PON, from there to a
/// second-stage splitter, from there to the premises: each at most.
const CABINET_METRES: f64 = 2000.0;
const PON_METRES: f64 = 400.0;
const SPLITTER_METRES: f64 = 200.0;
const PREMISES_METRES: f64 = 60.0;
/// How often a point near another is tried before that other one is taken.
const NEAR_TRIES: usize = 20;

/// The subscribers so far.
pub(super) struct Access {
    wanted: u32,
    subscribers: Vec<Subscriber>,
    businesses: u32,
    /// How many have become dual-homed.
    dual_homed: u32,
    /// Second-stage splitters of the OLT before this one, where second connections go.
    previous: Vec<Splitter>,
    current: Vec<Splitter>,
}

/// A second-stage splitter with the ways that are taken.
struct Splitter {
    suffix: String,
    taken: u32,
}

/// A PON that is to be filled.
struct Pon<'a> {
    suffix: String,
    /// Subscribers.
    count: u32,
    area: &'a NamedArea,
    /// Where they live, roughly.
    centre: Position,
}

/// A place where people live, on one second-stage splitter.
struct Street<'a> {
    area: &'a NamedArea,
    position: Position,
    name: &'static str,
    first_number: u32,
}

impl Access {
    pub(super) fn new(wanted: u32) -> Self {
        Self {
            wanted,
            subscribers: Vec::with_capacity(wanted as usize),
            businesses: 0,
            dual_homed: 0,
            previous: Vec::new(),
            current: Vec::new(),
        }
    }

    /// How many subscribers are still to come.
    pub(super) fn remaining(&self) -> u32 {
        self.wanted - u32::try_from(self.subscribers.len()).unwrap_or(self.wanted)
    }

    pub(super) fn into_subscribers(self) -> Vec<Subscriber> {
        self.subscribers
    }

    /// Adds what hangs on the OLT of that place, which is connected already.
    pub(super) fn add_olt(
        &mut self,
        place: &OltPlace<'_>,
        network: &mut NetworkDefinition,
        rng: &mut impl Rng,
    ) {
        self.previous = std::mem::take(&mut self.current);
        let cabinet_in_duct = rng.random_range(0..PONS / PONS_PER_CABINET);
        for cabinet in 0..PONS / PONS_PER_CABINET {
            let feeders = self.add_cabinet(place, cabinet, network, rng);
            if cabinet == cabinet_in_duct && !feeders.is_empty() {
                let mut members = vec![place.ring_link.clone()];
                members.extend(feeders);
                network.groups.push(SharedRiskGroup {
                    id: format!("duct-{}", place.suffix),
                    kind: GroupKind::Duct,
                    name: format!("Duct at {}", place.area.name()),
                    members,
                });
            }
        }
    }

    /// Adds a street cabinet with its PONs; returns the links that feed it.
    fn add_cabinet(
        &mut self,
        place: &OltPlace<'_>,
        cabinet: u32,
        network: &mut NetworkDefinition,
        rng: &mut impl Rng,
    ) -> Vec<String> {
        let suffix = format!("{}-{}", place.suffix, cabinet + 1);
        let position = near(place.area, place.position, CABINET_METRES, rng);
        let site = format!("site-cab-{suffix}");
        network.sites.push(Site {
            id: site.clone(),
            name: format!("{}, street cabinet {suffix}", place.area.name()),
            position: Some(position),
        });
        let mut feeders = Vec::new();
        let mut onts = Vec::new();
        for pon in 0..PONS_PER_CABINET {
            let suffix = format!(
                "{}-{:02}",
                place.suffix,
                cabinet * PONS_PER_CABINET + pon + 1
            );
            let olt = format!("olt-{}", place.suffix);
            let port = format!("pon-{suffix}");
            add_child(network, ElementKind::PonPort, &port, &olt, None);
            let ways = if rng.random_bool(EIGHT_WAYS) { 8 } else { 4 };
            let capacity = f64::from(ways * SECOND_STAGE_WAYS);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 8 and 48"
            )]
            let count = (capacity * rng.random_range(TAKEN)) as u32;
            let count = count.min(self.remaining());
            if count == 0 {
                continue;
            }
            let first = format!("spl-{suffix}");
            add_child(network, ElementKind::Splitter, &first, &port, Some(&site));
            feeders.push(format!("lnk-{first}"));
            let centre = near(place.area, position, PON_METRES, rng);
            let pon = Pon {
                suffix,
                count,
                area: place.area,
                centre,
            };
            onts.extend(self.add_pon(&pon, network, rng));
        }
        if !onts.is_empty() {
            network.groups.push(SharedRiskGroup {
                id: format!("pwr-{suffix}"),
                kind: GroupKind::PowerFeed,
                name: format!("Power around street cabinet {suffix}"),
                members: onts,
            });
        }
        feeders
    }
    /// Adds the second-stage splitters of a PON and who hangs on them; returns the ONTs.
    fn add_pon(
        &mut self,
        pon: &Pon<'_>,
        network: &mut NetworkDefinition,
        rng: &mut impl Rng,
    ) -> Vec<String> {
        let first = format!("spl-{}", pon.suffix);
        let splitters = pon.count.div_ceil(FILL);
        let mut onts = Vec::with_capacity(pon.count as usize);
        for number in 0..splitters {
            let suffix = format!("{}-{}", pon.suffix, number + 1);
            add_child(
                network,
                ElementKind::Splitter,
                &format!("spl-{suffix}"),
                &first,
                None,
            );
            let street = Street {
                area: pon.area,
                position: near(pon.area, pon.centre, SPLITTER_METRES, rng),
                name: street(rng),
                first_number: rng.random_range(1..=120),
            };
            self.current.push(Splitter { suffix, taken: 0 });
            let here = self.current.len() - 1;
            // Evenly: the first ones get one more where it does not come out even.
            let count = pon.count / splitters + u32::from(number < pon.count % splitters);
            for house in 0..count {
                let mut subscriber = self.next_person(&street, house, rng);
                onts.push(add_ont(&mut self.current[here], &mut subscriber, network));
                if self.wants_second_connection(&subscriber)
                    && let Some(other) = self.previous.iter_mut().find(|one| one.has_room())
                {
                    onts.push(add_ont(other, &mut subscriber, network));
                    self.dual_homed += 1;
                }
                self.subscribers.push(subscriber);
            }
        }
        onts
    }

    fn next_person(&mut self, street: &Street<'_>, house: u32, rng: &mut impl Rng) -> Subscriber {
        let number = self.wanted - self.remaining() + 1;
        let mut subscriber = person(number, rng);
        self.businesses += u32::from(subscriber.segment == Segment::Business);
        subscriber.address = format!(
            "{} {}, {}",
            street.name,
            street.first_number + 2 * house,
            street.area.name()
        );
        let position = near(street.area, street.position, PREMISES_METRES, rng);
        subscriber.position = Some(position);
        subscriber
    }

    /// Whether it is the turn of a business subscriber to be dual-homed. One that comes while there
    /// is no OLT before this one leaves its turn to the next.
    fn wants_second_connection(&self, subscriber: &Subscriber) -> bool {
        let due = FIRST_DUAL_HOMED + self.dual_homed * DUAL_HOMED_EVERY;
        subscriber.segment == Segment::Business && self.businesses >= due
    }
}

/// Links the OLT of that place to its switches.
pub(super) fn connect_olt(place: &OltPlace<'_>, network: &mut NetworkDefinition) {
    let olt = format!("olt-{}", place.suffix);
    for (number, switch) in place.switches.iter().enumerate() {
        let id = if number == 0 {
            format!("lnk-{olt}")
        } else {
            format!("lnk-{olt}-{}", number + 1)
        };
        network.links.push(link(id, switch, &olt));
    }
}

impl Splitter {
    fn has_room(&self) -> bool {
        self.taken < SECOND_STAGE_WAYS
    }
}

/// Connects a subscriber by an ONT on the splitter; returns the id of the ONT.
fn add_ont(
    splitter: &mut Splitter,
    subscriber: &mut Subscriber,
    network: &mut NetworkDefinition,
) -> String {
    splitter.taken += 1;
    let ont = format!("ont-{}-{}", splitter.suffix, splitter.taken);
    let parent = format!("spl-{}", splitter.suffix);
    add_child(network, ElementKind::Ont, &ont, &parent, None);
    subscriber.served_by.push(ont.clone());
    ont
}

/// Adds an element with the link from its parent, which is named after it.
fn add_child(
    network: &mut NetworkDefinition,
    kind: ElementKind,
    id: &str,
    parent: &str,
    site: Option<&str>,
) {
    network.elements.push(Element {
        id: id.to_owned(),
        kind,
        name: String::new(),
        site: site.map(str::to_owned),
        gateway: false,
        transit: None,
        redundancy: None,
        battery_minutes: None,
    });
    network.links.push(link(format!("lnk-{id}"), parent, id));
}

fn link(id: String, a: &str, b: &str) -> Link {
    Link {
        id,
        a: a.to_owned(),
        b: b.to_owned(),
        transit: None,
    }
}

/// A position inside the area at most so many metres from another one inside it.
fn near(area: &NamedArea, centre: Position, metres: f64, rng: &mut impl Rng) -> Position {
    for _ in 0..NEAR_TRIES {
        let north = rng.random_range(-1.0..=1.0);
        let east = rng.random_range(-1.0..=1.0);
        // A point of the square around the circle; no sine or cosine, whose last digit differs
        // from machine to machine.
        if north * north + east * east > 1.0 {
            continue;
        }
        let tried = rounded(offset(centre, north * metres, east * metres));
        if area.contains(tried) {
            return tried;
        }
    }
    centre
}
