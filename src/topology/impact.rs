//! Who loses service when parts fail.

use super::{ElementNo, LinkNo, Network, Part, SubscriberNo, SubscriberSet};

/// The runs that one part takes with it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AloneRuns {
    /// The usual case, without allocation; an empty run where nobody is lost.
    One([(u32, u32); 1]),
    Many(SubscriberSet),
}

impl AloneRuns {
    /// The half-open runs of ranks: sorted, disjoint, none empty.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        match self {
            Self::One(run) if run[0].0 == run[0].1 => &[],
            Self::One(run) => run,
            Self::Many(set) => set.runs(),
        }
    }
}

/// The elements that a set of failures cuts off.
#[derive(Clone, Debug)]
pub struct CutOff {
    cut: Vec<bool>,
}

impl CutOff {
    /// Whether the element failed itself or lost service by the failures.
    ///
    /// An element that no gateway reaches anyway is cut off by nothing but its own failure.
    pub fn is_cut_off(&self, element: ElementNo) -> bool {
        self.cut[element.0 as usize]
    }
}

impl Network {
    /// The subscribers who lose service when this part fails alone.
    pub fn lost_alone(&self, part: Part) -> SubscriberSet {
        self.lost(&[part])
    }

    /// As [`Self::lost_alone`], without allocation for nearly all elements and links.
    pub fn lost_alone_runs(&self, part: Part) -> AloneRuns {
        AloneRuns::Many(self.lost_alone(part))
    }

    /// The subscribers who lose service when all these parts fail together.
    pub fn lost(&self, failed: &[Part]) -> SubscriberSet {
        let up = self.with_service(failed);
        let mut runs = Vec::new();
        for (no, _) in (0..).zip(&self.resolved.serving_end) {
            let subscriber = SubscriberNo(no);
            if self.has_service(subscriber, &self.served) && !self.has_service(subscriber, &up) {
                runs.push((no, no + 1));
            }
        }
        SubscriberSet::from_runs(runs)
    }

    /// The subscribers who keep service when all these parts fail together, but then depend on a
    /// single element or link on which they did not depend before.
    pub fn at_risk(&self, failed: &[Part]) -> SubscriberSet {
        let lost = self.lost(failed);
        let elements = (0..).map(ElementNo).take(self.element_count());
        let links = (0..).map(LinkNo).take(self.link_count());
        let single = elements.map(Part::Element).chain(links.map(Part::Link));
        let mut more = failed.to_vec();
        let mut at_risk = SubscriberSet::new();
        for part in single {
            more.push(part);
            let new = self.lost(&more).difference(&lost);
            at_risk = at_risk.union(&new.difference(&self.lost_alone(part)));
            more.pop();
        }
        at_risk
    }

    /// The elements that these failures cut off.
    pub fn cut_off(&self, failed: &[Part]) -> CutOff {
        let up = self.with_service(failed);
        let mut cut: Vec<bool> = self.served.iter().zip(up).map(|(&s, u)| s && !u).collect();
        for part in self.with_members(failed) {
            if let Part::Element(element) = part {
                cut[element.0 as usize] = true;
            }
        }
        CutOff { cut }
    }

    fn with_members(&self, parts: &[Part]) -> Vec<Part> {
        let mut all = Vec::new();
        for &part in parts {
            match part {
                Part::Group(group) => all.extend_from_slice(self.group_members(group)),
                part => all.push(part),
            }
        }
        all
    }

    pub(super) fn with_service(&self, failed: &[Part]) -> Vec<bool> {
        let failed = self.with_members(failed);
        let mut up = vec![false; self.element_count()];
        loop {
            let mut changed = false;
            for (e, no) in (0..self.element_count()).zip(0..) {
                if up[e] || failed.contains(&Part::Element(ElementNo(no))) {
                    continue;
                }
                let alive = |&(from, link): &(u32, u32)| {
                    up[from as usize] && !failed.contains(&Part::Link(LinkNo(link)))
                };
                let parents = &self.parents[e];
                let fed = if self.resolved.needs_all[e] {
                    !parents.is_empty() && parents.iter().all(alive)
                } else {
                    parents.iter().any(alive)
                };
                if self.resolved.gateway[e] || fed {
                    up[e] = true;
                    changed = true;
                }
            }
            if !changed {
                return up;
            }
        }
    }

    fn has_service(&self, subscriber: SubscriberNo, up: &[bool]) -> bool {
        let mut serving = self.serving(subscriber);
        if self.resolved.subscriber_needs_all[subscriber.0 as usize] {
            serving.all(|e| up[e.0 as usize])
        } else {
            serving.any(|e| up[e.0 as usize])
        }
    }
}
