//! Which declarations hold at an instant, who is without service by them, and which alarms they
//! explain.

use super::cause::Stated;
use super::statement::{Declaration, DeclarationEnd, DeclarationId, DeclarationRef, Statement};
use crate::alarm::{AlarmNo, AlarmState, ServiceEffect};
use crate::clock::Millis;
use crate::geography::Affects;
use crate::incident::candidates::sole_parent;
use crate::incident::life::Impact;
use crate::topology::{CutOff, ElementNo, Network, Part, SubscriberSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Areas are declared late and with rough times: alarms that were raised so long before the onset
/// still are of it.
const AREA_LEAD_MS: i64 = 30 * 60_000;
/// Operators often say no time at all: what is behind the fault and went dark within a day is of it.
const FAULT_LEAD_MS: i64 = 24 * 3_600_000;
/// An overrun is known as one for so long after the end of the window.
const WORK_REMEMBERED_MS: i64 = 30 * 24 * 3_600_000;

/// A declaration that holds, with what it takes away.
#[derive(Debug)]
pub(in crate::incident) struct Standing {
    pub(in crate::incident) declaration: Arc<Declaration>,
    /// What failed by it, by id; empty where an area says who is without service.
    pub(in crate::incident) parts: Vec<Part>,
    pub(in crate::incident) impact: Impact,
    own: BTreeSet<Part>,
    cut: CutOff,
}

/// All that was declared.
#[derive(Debug, Default)]
pub(in crate::incident) struct Declared {
    all: BTreeMap<DeclarationId, Arc<Declaration>>,
    /// Those that hold, by id.
    standing: Vec<Standing>,
    /// Planned work whose window has passed.
    overrun: Vec<Standing>,
    /// Which declaration explains an alarm.
    owners: BTreeMap<AlarmNo, DeclarationId>,
    /// When the next one begins, ends, or takes more away.
    next_ms: Option<Millis>,
    withdrawn: Vec<DeclarationId>,
    is_dirty: bool,
}

impl Declared {
    /// Takes a declaration over, new or changed.
    pub(in crate::incident) fn declare(&mut self, declaration: Declaration) {
        let id = declaration.reference().id;
        self.forget_standing(id);
        self.all.insert(id, Arc::new(declaration));
    }

    fn forget_standing(&mut self, id: DeclarationId) {
        self.standing.retain(|s| s.declaration.reference().id != id);
        self.overrun.retain(|s| s.declaration.reference().id != id);
        self.is_dirty = true;
    }

    /// An operator has ended an incident: what ends with it has ended, and what holds is looked at again.
    pub(in crate::incident) fn withdraw(
        &mut self,
        ids: impl Iterator<Item = DeclarationId>,
        end: &DeclarationEnd,
    ) {
        for id in ids {
            let known = self.all.get_mut(&id);
            let Some(known) = known.filter(|known| known.statement.end.is_none()) else {
                continue;
            };
            let declaration = Arc::make_mut(known);
            let statement = Arc::make_mut(&mut declaration.statement);
            statement.reference.revision += 1;
            statement.end = Some(end.clone());
            self.forget_standing(id);
            self.withdrawn.push(id);
        }
        self.is_dirty = true;
    }

    /// What has ended so since the last call.
    pub(in crate::incident) fn take_withdrawn(&mut self) -> Vec<DeclarationId> {
        std::mem::take(&mut self.withdrawn)
    }

    /// Goes over to another version of the network: what areas hold there must be declared anew.
    pub(in crate::incident) fn move_to_new_network(&mut self) {
        self.all.retain(|_, declaration| declaration.area.is_none());
        self.standing.clear();
        self.overrun.clear();
        self.owners.clear();
        self.is_dirty = true;
    }

    /// When something changes by time alone.
    pub(in crate::incident) fn next_ms(&self) -> Option<Millis> {
        self.next_ms
    }

    /// Works out what holds now. True when alarms may be explained otherwise than before.
    ///
    /// `is_held`: an operator has ended the incident of this state of a declaration.
    pub(in crate::incident) fn refresh(
        &mut self,
        now_ms: Millis,
        network: &Network,
        is_held: impl Fn(DeclarationRef) -> bool,
    ) -> bool {
        let is_due = self.next_ms.is_some_and(|at| at <= now_ms);
        if !std::mem::take(&mut self.is_dirty) && !is_due {
            return false;
        }
        let forgotten_ms = now_ms - WORK_REMEMBERED_MS;
        self.all.retain(|_, d| {
            let until_ms = d.statement.until_ms.filter(|_| d.is_work());
            until_ms.is_none_or(|until_ms| until_ms > forgotten_ms)
        });
        let mut known: BTreeMap<DeclarationId, Standing> = BTreeMap::new();
        let before = std::mem::take(&mut self.standing);
        for standing in before.into_iter().chain(self.overrun.drain(..)) {
            known.insert(standing.declaration.reference().id, standing);
        }
        for declaration in self.all.values() {
            let statement = &declaration.statement;
            let until_ms = statement.until_ms;
            let has_overrun = declaration.is_work()
                && statement.end.is_none()
                && until_ms.is_some_and(|until_ms| until_ms <= now_ms);
            let holds = statement.is_current(now_ms) && !is_held(declaration.reference());
            if !holds && !has_overrun {
                continue;
            }
            let known = known.remove(&declaration.reference().id);
            let standing = Standing::of(declaration, known, now_ms, network);
            match standing {
                Some(standing) if has_overrun => self.overrun.push(standing),
                Some(standing) => self.standing.push(standing),
                None => {}
            }
        }
        let changes = self.all.values().flat_map(|d| next_changes(d, now_ms));
        self.next_ms = changes.flatten().filter(|at| *at > now_ms).min();
        true
    }

    /// Those that hold and are no planned work.
    pub(in crate::incident) fn causes(&self) -> impl Iterator<Item = &Standing> {
        let standing = self.standing.iter();
        standing.filter(|standing| !standing.declaration.is_work())
    }

    /// Planned work that is going on, with who is behind it.
    pub(in crate::incident) fn works(
        &self,
    ) -> impl Iterator<Item = (&Arc<Statement>, &Arc<SubscriberSet>)> {
        let works = self.standing.iter();
        let works = works.filter(|standing| standing.declaration.is_work());
        works.map(|standing| (&standing.declaration.statement, &standing.impact.lost))
    }

    /// Which declaration explains an alarm: the first that does.
    pub(in crate::incident) fn explaining(
        &self,
        alarm: &AlarmState,
        network: &Network,
    ) -> Option<DeclarationId> {
        if self.standing.is_empty() || alarm.effect() != ServiceEffect::Loss {
            return None;
        }
        let part = network.part(&alarm.key().resource)?;
        let mut standing = self.standing.iter();
        let explaining = standing.find(|standing| {
            standing.is_in_time(part, alarm.raised_ms()) && standing.explains(part, network)
        })?;
        Some(explaining.declaration.reference().id)
    }

    /// Notes who explains an alarm; `None`: no declaration. True when it was or is explained.
    pub(in crate::incident) fn assign(&mut self, no: AlarmNo, to: Option<DeclarationId>) -> bool {
        let before = match to {
            Some(id) => self.owners.insert(no, id),
            None if self.owners.is_empty() => None,
            None => self.owners.remove(&no),
        };
        before.is_some() || to.is_some()
    }

    /// The alarms that a declaration explains, by place.
    pub(in crate::incident) fn alarms_of(
        &self,
        id: DeclarationId,
    ) -> impl Iterator<Item = AlarmNo> + '_ {
        let owned = self.owners.iter().filter(move |(_, owner)| **owner == id);
        owned.map(|(no, _)| *no)
    }

    /// Whether the window of planned work has passed that may have left failures behind.
    pub(in crate::incident) fn has_overrun(&self) -> bool {
        !self.overrun.is_empty()
    }

    /// The planned work that has left a failure behind: its parts failed within the window and are
    /// within the scope.
    pub(in crate::incident) fn overrun(
        &self,
        failed_since: &[(Part, Millis)],
        network: &Network,
    ) -> Option<Stated> {
        let overrun = self.overrun.iter().find(|work| {
            let statement = &work.declaration.statement;
            let until_ms = statement.until_ms.unwrap_or(Millis::MAX);
            !failed_since.is_empty()
                && failed_since.iter().all(|&(part, at_ms)| {
                    (statement.since_ms..until_ms).contains(&at_ms) && work.explains(part, network)
                })
        })?;
        Some(Stated::of(overrun))
    }

    /// When the last of these ended, if all have; `None` too when nothing is known of them any more.
    pub(in crate::incident) fn ended_ms(
        &self,
        references: &[DeclarationRef],
        now_ms: Millis,
    ) -> Option<Millis> {
        let ends = references
            .iter()
            .filter_map(|reference| self.all.get(&reference.id)?.statement.ends_ms());
        ends.filter(|at| *at <= now_ms).max()
    }

    /// Whether one of these states of declarations would hold, had no operator ended its incident.
    pub(in crate::incident) fn is_current(
        &self,
        references: &[DeclarationRef],
        now_ms: Millis,
    ) -> bool {
        references.iter().any(|reference| {
            let known = self.all.get(&reference.id);
            known.is_some_and(|d| d.reference() == *reference && d.statement.is_current(now_ms))
        })
    }

    /// Who is without service by those states of declarations that name no parts, ended or not; `None`
    /// when none of them is known.
    pub(in crate::incident) fn lost_inside(
        &self,
        references: &[DeclarationRef],
    ) -> Option<SubscriberSet> {
        let inside = self.inside(references);
        inside.fold(None, |all: Option<SubscriberSet>, more| {
            Some(all.map_or_else(|| more.clone(), |all| all.union(more)))
        })
    }

    /// Whether [`Self::lost_inside`] knows any of them.
    pub(in crate::incident) fn knows_inside(&self, references: &[DeclarationRef]) -> bool {
        self.inside(references).next().is_some()
    }

    fn inside<'a>(
        &'a self,
        references: &'a [DeclarationRef],
    ) -> impl Iterator<Item = &'a SubscriberSet> {
        references.iter().filter_map(|reference| {
            let declaration = self.all.get(&reference.id)?;
            let is_known = declaration.statement.scope_revision() == reference.revision
                && !declaration.is_work();
            let area = declaration.area.as_ref().filter(|_| is_known)?;
            (area.affects == Affects::ServiceLostInside).then_some(&area.inside.subscribers)
        })
    }
}

/// When a declaration changes by time.
fn next_changes(declaration: &Declaration, now_ms: Millis) -> [Option<Millis>; 3] {
    let statement = &declaration.statement;
    if statement.end.is_some() {
        return [None; 3];
    }
    let area = declaration.area.as_ref();
    [
        Some(statement.since_ms),
        statement.until_ms,
        area.and_then(|area| area.next_failure_after(now_ms)),
    ]
}

impl Standing {
    /// What a declaration takes away; `None` when it opens no incident and is no planned work.
    fn of(
        declaration: &Arc<Declaration>,
        known: Option<Self>,
        now_ms: Millis,
        network: &Network,
    ) -> Option<Self> {
        let parts = parts_of(declaration, now_ms, network);
        if let Some(known) = known.filter(|known| known.parts == parts) {
            return Some(known);
        }
        let mut impact = if declaration.is_work() {
            Impact::lost_only(network.lost(&parts))
        } else {
            Impact::of(&parts, network)
        };
        if let Some(area) = &declaration.area
            && (declaration.is_work() || area.affects == Affects::ServiceLostInside)
        {
            let lost = impact.lost.union(&area.inside.subscribers);
            impact.lost = Arc::new(lost);
        }
        let takes_nothing = match declaration.reference().id {
            DeclarationId::Area(_) => impact.lost.is_empty(),
            DeclarationId::Fault(_) => parts.is_empty() && impact.lost.is_empty(),
            DeclarationId::Work(_) => false,
        };
        (!takes_nothing).then(|| Self {
            declaration: Arc::clone(declaration),
            own: parts.iter().copied().collect(),
            cut: network.cut_off(&parts),
            parts,
            impact,
        })
    }

    /// When each of its parts failed by it; sorted by part.
    pub(super) fn failed_since(&self) -> Vec<(Part, Millis)> {
        let area = self.declaration.area.as_ref();
        let by_battery: BTreeMap<Part, Millis> = area
            .into_iter()
            .flat_map(|area| &area.failures)
            .map(|failure| (Part::Element(failure.element), failure.at_ms))
            .collect();
        let declared_ms = self.declaration.statement.since_ms;
        let parts = self.own.iter();
        let since = parts.map(|part| (*part, *by_battery.get(part).unwrap_or(&declared_ms)));
        since.collect()
    }

    /// Whether an alarm that was raised then can be of it.
    fn is_in_time(&self, part: Part, raised_ms: Millis) -> bool {
        let lead_ms = match self.declaration.reference().id {
            DeclarationId::Fault(_) if self.own.contains(&part) => return true,
            DeclarationId::Area(_) => AREA_LEAD_MS,
            DeclarationId::Fault(_) => FAULT_LEAD_MS,
            DeclarationId::Work(_) => 0,
        };
        raised_ms >= self.declaration.statement.since_ms.saturating_sub(lead_ms)
    }

    /// Whether a part is without service by it, or is there for nobody else.
    fn explains(&self, part: Part, network: &Network) -> bool {
        if self.own.contains(&part) {
            return true;
        }
        match part {
            Part::Element(element) => {
                self.cut.is_cut_off(element) || self.is_for_these(element, network)
            }
            Part::Link(link) => {
                let (a, b) = network.link_ends(link);
                let leads_to_these =
                    || sole_parent(network, b) == Some(a) && self.is_for_these(b, network);
                self.cut.is_cut_off(a) || self.cut.is_cut_off(b) || leads_to_these()
            }
            Part::Group(group) => {
                let mut members = network.group_members(group).iter();
                members.len() > 0 && members.all(|&member| self.explains(member, network))
            }
        }
    }

    /// Whether an element serves only those who are without service by it, and nothing else rests on
    /// it, not even together with other elements.
    fn is_for_these(&self, element: ElementNo, network: &Network) -> bool {
        let runs = network.lost_alone_runs(Part::Element(element));
        let runs = runs.as_slice();
        if runs.is_empty() || !self.impact.lost.covers(runs) {
            return false;
        }
        let mut open = vec![element];
        while let Some(above) = open.pop() {
            for below in network.children(above) {
                if sole_parent(network, below) != Some(above) {
                    return false;
                }
                open.push(below);
            }
        }
        true
    }
}

fn parts_of(declaration: &Declaration, now_ms: Millis, network: &Network) -> Vec<Part> {
    let resources = declaration.statement.resources.iter();
    let mut parts: BTreeSet<Part> = resources.filter_map(|id| network.part(id)).collect();
    if let Some(area) = &declaration.area {
        if declaration.is_work() {
            parts.extend(area.inside.elements.iter().copied().map(Part::Element));
        } else {
            let failed = area.failed_by(now_ms).iter();
            parts.extend(failed.map(|failure| Part::Element(failure.element)));
        }
    }
    let mut parts: Vec<Part> = parts.into_iter().collect();
    parts.sort_unstable_by_key(|&part| network.part_id(part));
    parts
}
