//! A synthetic network, fast to make: rings of aggregation switches between two nodes of a
//! backbone, OLTs of which every second one is on two switches, 16 PON ports of 64 subscribers
//! each behind two stages of splitters.

use forewarn::topology::{Attachment, Element, ElementKind, Link, NetworkDefinition, Redundancy};

const CORES: u32 = 32;
const SWITCHES_OF_RING: u32 = 8;
const OLTS_OF_SWITCH: u32 = 2;
const PORTS_OF_OLT: u32 = 16;
/// Of each stage.
const SPLIT: u32 = 8;
const SUBSCRIBERS_OF_OLT: u32 = PORTS_OF_OLT * SPLIT * SPLIT;
/// One in so many subscribers is served from two places.
const ONE_IN_HAS_TWO: u32 = 331;

pub(crate) struct Synthetic {
    pub(crate) definition: NetworkDefinition,
    pub(crate) attachments: Vec<Attachment>,
    /// Ids of routers, switches and OLTs, without gateways.
    pub(crate) transport: Vec<String>,
    pub(crate) gateways: Vec<String>,
    /// The two switches by which the first ring hangs on the backbone.
    pub(crate) ring_ends: [String; 2],
}

impl Synthetic {
    pub(crate) fn of(subscribers: u32) -> Self {
        let mut synthetic = Self {
            definition: NetworkDefinition::default(),
            attachments: Vec::new(),
            transport: Vec::new(),
            gateways: Vec::new(),
            ring_ends: [switch(0, 0), switch(0, SWITCHES_OF_RING - 1)],
        };
        synthetic.backbone();
        let mut ring = 0;
        while synthetic.attachments.len() < subscribers as usize {
            synthetic.ring(ring);
            ring += 1;
        }
        synthetic.second_places();
        synthetic
    }

    /// Rings of aggregation switches.
    pub(crate) fn rings(&self) -> u32 {
        let homes = u32::try_from(self.attachments.len()).unwrap();
        homes / (SWITCHES_OF_RING * OLTS_OF_SWITCH * SUBSCRIBERS_OF_OLT)
    }

    /// The ring to which an element belongs; none for the backbone.
    pub(crate) fn ring_of(id: &str) -> Option<u32> {
        let (kind, place) = id.split_once('-')?;
        let is_above = kind == "core" || kind == "bng";
        let ring = place.split('-').next().filter(|_| !is_above)?;
        ring.parse().ok()
    }

    fn element(&mut self, id: &str, kind: ElementKind, gateway: bool) {
        self.definition.elements.push(Element {
            id: id.to_owned(),
            kind,
            name: String::new(),
            site: None,
            gateway,
            transit: None,
            redundancy: Some(Redundancy::Any),
            battery_minutes: None,
        });
    }

    fn link(&mut self, id: String, a: &str, b: &str) {
        self.definition.links.push(Link {
            id,
            a: a.to_owned(),
            b: b.to_owned(),
            transit: None,
        });
    }

    fn below(&mut self, id: &str, kind: ElementKind, above: &str) {
        self.element(id, kind, false);
        self.link(format!("lnk-{id}"), above, id);
    }

    fn backbone(&mut self) {
        for no in 0..CORES {
            self.element(&core(no), ElementKind::Router, false);
            self.transport.push(core(no));
        }
        for no in 0..CORES {
            for (kind, other) in [("ring", no + 1), ("chord", no + 5)] {
                let other = other % CORES;
                self.link(format!("lnk-{kind}-{no:02}"), &core(no), &core(other));
            }
        }
        for no in 0..2 {
            let id = format!("bng-{no}");
            self.element(&id, ElementKind::Bng, true);
            self.link(format!("lnk-{id}"), &id, &core(no * CORES / 2));
            self.link(format!("lnk-{id}-2"), &id, &core(no * CORES / 2 + 1));
            self.gateways.push(id);
        }
    }

    fn ring(&mut self, ring: u32) {
        for no in 0..SWITCHES_OF_RING {
            let id = switch(ring, no);
            self.element(&id, ElementKind::Switch, false);
            if no > 0 {
                self.link(format!("lnk-{id}"), &switch(ring, no - 1), &id);
            }
            self.transport.push(id);
        }
        let ends = [(0, ring), (SWITCHES_OF_RING - 1, ring + 1 + ring % 7)];
        for (no, pop) in ends {
            let id = switch(ring, no);
            self.link(format!("lnk-{id}-up"), &core(pop % CORES), &id);
        }
        for no in 0..SWITCHES_OF_RING * OLTS_OF_SWITCH {
            self.olt(ring, no);
        }
    }

    fn olt(&mut self, ring: u32, no: u32) {
        let place = format!("{ring:04}-{no:02}");
        let olt = format!("olt-{place}");
        let own = no / OLTS_OF_SWITCH;
        self.below(&olt, ElementKind::Olt, &switch(ring, own));
        if no % 2 == 1 {
            let other = switch(ring, (own + 1) % SWITCHES_OF_RING);
            self.link(format!("lnk-{olt}-2"), &other, &olt);
        }
        for port in 1..=PORTS_OF_OLT {
            let place = format!("{place}-{port}");
            let pon = format!("pon-{place}");
            let first = format!("spl-{place}");
            self.below(&pon, ElementKind::PonPort, &olt);
            self.below(&first, ElementKind::Splitter, &pon);
            for second in 1..=SPLIT {
                let place = format!("{place}-{second}");
                let splitter = format!("spl-{place}");
                self.below(&splitter, ElementKind::Splitter, &first);
                for home in 1..=SPLIT {
                    let ont = format!("ont-{place}-{home}");
                    self.below(&ont, ElementKind::Ont, &splitter);
                    self.attachments.push(Attachment {
                        account: format!("A{:07}", self.attachments.len() + 1),
                        served_by: vec![ont],
                        redundancy: Redundancy::Any,
                    });
                }
            }
        }
        self.transport.push(olt);
    }

    /// Gives some subscribers a second ONT, four OLTs further on; a third of them need both.
    fn second_places(&mut self) {
        let count = self.attachments.len();
        let step = ONE_IN_HAS_TWO as usize;
        for no in (0..count).step_by(step) {
            let other = (no + 4 * SUBSCRIBERS_OF_OLT as usize + 1) % count;
            let second = self.attachments[other].served_by[0].clone();
            let attachment = &mut self.attachments[no];
            attachment.served_by.push(second);
            if no % (3 * step) == 0 {
                attachment.redundancy = Redundancy::All;
            }
        }
    }
}

fn core(no: u32) -> String {
    format!("core-{no:02}")
}

fn switch(ring: u32, no: u32) -> String {
    format!("agg-{ring:04}-{no}")
}
