//! What was declared, as the correlator reads it: areas, faults opened by hand and planned work, with
//! what they mean on the present version of the network.
//!
//! Invariants: what is read is a state, never a difference, so that reading it again changes nothing;
//! a change is read once its transaction is committed, in the order of the commits.

use crate::clock::Millis;
use crate::geography::{Affects, Area, AreaEvent, AreaImpact, AreaNo, Batteries, NetworkMap};
use crate::incident::{Declaration, DeclarationEnd, DeclarationId, Incident, Statement};
use crate::store::{DeclaredPosition, Store, StoreError};
use crate::topology::Network;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Changes read at a time.
const PAGE: i64 = 100;
/// What ended so long ago is forgotten, unless something rests on it. An overrun of planned work is
/// told for as long.
const REMEMBERED_MS: i64 = 30 * 24 * 3_600_000;

/// Declarations that hold, will hold, or ended lately.
#[derive(Debug, Default)]
pub struct Declarations {
    batteries: Arc<Batteries>,
    areas: BTreeMap<AreaNo, KnownArea>,
    /// Those that are no areas.
    others: BTreeMap<DeclarationId, Arc<Statement>>,
    position: DeclaredPosition,
}

#[derive(Debug)]
struct KnownArea {
    statement: Arc<Statement>,
    affects: Affects,
    /// `None` when what was declared cannot be read any more.
    shape: Option<Area>,
}

impl Declarations {
    /// Nothing yet. `batteries`: how long elements run without mains power.
    pub fn new(batteries: Arc<Batteries>) -> Self {
        Self {
            batteries,
            ..Self::default()
        }
    }

    /// Up to where it has read.
    pub(super) fn position(&self) -> DeclaredPosition {
        self.position
    }

    /// Reads everything that may matter, after a start; `followed` are the incidents that go on.
    pub(super) async fn load(
        &mut self,
        store: &Store,
        followed: &[Incident],
        now_ms: Millis,
    ) -> Result<(), StoreError> {
        self.areas.clear();
        self.others.clear();
        let decided = store.declared_position().await?;
        self.position = decided;
        let since_ms = now_ms - REMEMBERED_MS;
        let mut change_no = 0;
        loop {
            let page = store
                .declarations_standing(change_no, decided, since_ms)
                .await?;
            let Some((last, _)) = page.last() else { break };
            change_no = *last;
            for (_, statement) in page {
                self.take_other(statement);
            }
        }
        self.position.declaration_change_no = decided.declaration_change_no.max(change_no);
        let mut change_no = 0;
        loop {
            let page = store.areas_standing(change_no, decided, since_ms).await?;
            let Some((last, _)) = page.last() else { break };
            change_no = *last;
            for (_, event) in page {
                self.take_area(&event);
            }
        }
        self.position.area_change_no = decided.area_change_no.max(change_no);
        for reference in followed.iter().flat_map(|incident| &incident.declared) {
            self.fetch(store, reference.id).await?;
        }
        self.fetch_shapes(store).await
    }

    /// Reads one that an incident stands for, if it is not known.
    async fn fetch(&mut self, store: &Store, id: DeclarationId) -> Result<(), StoreError> {
        match id {
            DeclarationId::Area(no) if !self.areas.contains_key(&no) => {
                if let Some(event) = store.area(no).await? {
                    self.take_area(&event);
                }
            }
            DeclarationId::Fault(_) | DeclarationId::Work(_) if !self.others.contains_key(&id) => {
                if let Some(statement) = store.declaration(id).await? {
                    self.take_other(statement);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads the areas whose shape something has.
    async fn fetch_shapes(&mut self, store: &Store) -> Result<(), StoreError> {
        let wanted: BTreeSet<AreaNo> = self.others.values().filter_map(|s| s.area).collect();
        for no in wanted {
            self.fetch(store, DeclarationId::Area(no)).await?;
        }
        Ok(())
    }

    /// Reads what has changed since; answers what that concerns.
    pub(super) async fn read_changes(
        &mut self,
        store: &Store,
        now_ms: Millis,
    ) -> Result<BTreeSet<DeclarationId>, StoreError> {
        let mut changed = BTreeSet::new();
        loop {
            let after = self.position.declaration_change_no;
            let page = store.declarations_changed_after(after).await?;
            let Some((last, _)) = page.last() else { break };
            self.position.declaration_change_no = *last;
            for (_, statement) in page {
                let id = statement.reference.id;
                // What ended long ago.
                if statement.end.is_none() || self.others.contains_key(&id) {
                    changed.insert(id);
                    self.take_other(statement);
                }
            }
        }
        loop {
            let after = self.position.area_change_no;
            let page = store.areas_changed_after(after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            self.position.area_change_no = *last;
            for (_, event) in page {
                let no = event.no;
                changed.insert(DeclarationId::Area(no));
                let others = self.others.iter();
                let resting = others.filter(|(_, statement)| statement.area == Some(no));
                changed.extend(resting.map(|(id, _)| *id));
                self.take_area(&event);
            }
        }
        if !changed.is_empty() {
            self.fetch_shapes(store).await?;
            self.forget(now_ms);
        }
        Ok(changed)
    }

    /// Operators have ended these by ending their incident, which may hold back their alarms still.
    pub(super) fn withdraw(&mut self, ids: &[DeclarationId], end: &DeclarationEnd) {
        for id in ids {
            let Some(statement) = self.others.get_mut(id) else {
                continue;
            };
            if statement.end.is_none() {
                let statement = Arc::make_mut(statement);
                statement.reference.revision += 1;
                statement.end = Some(end.clone());
            }
        }
    }

    fn forget(&mut self, now_ms: Millis) {
        let is_recent = |statement: &Statement| {
            let ends_ms = statement.ends_ms();
            ends_ms.is_none_or(|ends_ms| ends_ms > now_ms - REMEMBERED_MS)
        };
        self.others.retain(|_, statement| is_recent(statement));
        let wanted: BTreeSet<AreaNo> = self.others.values().filter_map(|s| s.area).collect();
        self.areas
            .retain(|no, area| is_recent(&area.statement) || wanted.contains(no));
    }

    fn take_other(&mut self, statement: Statement) {
        self.others
            .insert(statement.reference.id, Arc::new(statement));
    }

    fn take_area(&mut self, event: &AreaEvent) {
        let shape = match event.declaration.document.read() {
            Ok(read) => Some(read.area),
            Err(errors) => {
                let reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
                let reasons = reasons.join("; ");
                tracing::error!(area = %event.no, reasons, "a declared area cannot be read");
                None
            }
        };
        let known = KnownArea {
            statement: Arc::new(Statement::of_area(event)),
            affects: event.declaration.affects,
            shape,
        };
        self.areas.insert(event.no, known);
    }

    /// All of them, by id.
    pub(super) fn ids(&self) -> BTreeSet<DeclarationId> {
        let areas = self.areas.keys().map(|no| DeclarationId::Area(*no));
        areas.chain(self.others.keys().copied()).collect()
    }

    /// One of them as it bears on a version of the network.
    pub(super) fn resolve(
        &self,
        id: DeclarationId,
        ground: (&Network, &NetworkMap),
    ) -> Option<Declaration> {
        let (statement, affects) = match id {
            DeclarationId::Area(no) => {
                let area = self.areas.get(&no)?;
                (&area.statement, area.affects)
            }
            // An area says for them where, not what.
            _ => (self.others.get(&id)?, Affects::ServiceLostInside),
        };
        let shape = statement
            .area
            .and_then(|no| self.areas.get(&no)?.shape.as_ref());
        let area = shape.map(|shape| {
            let since_ms = statement.since_ms;
            let impact = AreaImpact::of(shape, affects, since_ms, ground, &self.batteries);
            Arc::new(impact)
        });
        Some(Declaration {
            statement: Arc::clone(statement),
            area,
        })
    }
}
