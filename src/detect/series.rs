//! One series whose values are judged, with the latest samples kept one by one so that late ones find
//! their place.

use super::fall::Past;
use super::phase::{Phase, Raised};
use super::{Condition, REORDERED};
use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) at_ms: Millis,
    pub(super) value: f64,
}

/// What a sample did to a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Taken {
    /// No change of the alarm.
    Nothing,
    /// Too late, or there is one of that time: as if it had not come.
    Ignored,
    Raised {
        at_ms: Millis,
        raised: Raised,
    },
    Cleared {
        at_ms: Millis,
    },
}

/// A series of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Series {
    /// As of [`Self::folded_ms`].
    folded: State,
    folded_ms: Option<Millis>,
    /// Later samples, at most [`REORDERED`], by time.
    recent: Vec<Point>,
    /// What was said last.
    said: Option<Raised>,
    /// Time of the last event; the next one is later.
    said_ms: Option<Millis>,
    /// Clock of the source when the last sample came.
    pub(super) heard_ms: Millis,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    phase: Phase,
    /// Empty but for drops.
    past: Past,
}

impl State {
    fn take(&mut self, condition: &Condition, point: Point) {
        match condition {
            Condition::Threshold(rule) => rule.take(&mut self.phase, point),
            Condition::Drop(rule) => rule.take(&mut self.phase, &mut self.past, point),
            Condition::Absence(_) => {}
        }
    }
}

impl Series {
    pub(super) fn new(heard_ms: Millis) -> Self {
        Self {
            folded: State::default(),
            folded_ms: None,
            recent: Vec::new(),
            said: None,
            said_ms: None,
            heard_ms,
        }
    }

    /// What the alarm says, and since when, if it is raised.
    pub(super) fn raised(&self) -> Option<(Raised, Millis)> {
        self.said.zip(self.said_ms)
    }

    pub(super) fn take(&mut self, condition: &Condition, point: Point) -> Taken {
        if self.folded_ms.is_some_and(|folded| point.at_ms <= folded) {
            return Taken::Ignored;
        }
        match self.recent.binary_search_by_key(&point.at_ms, |p| p.at_ms) {
            Ok(_) => return Taken::Ignored,
            Err(place) => self.recent.insert(place, point),
        }
        if self.recent.len() > REORDERED {
            let oldest = self.recent.remove(0);
            self.folded.take(condition, oldest);
            self.folded_ms = Some(oldest.at_ms);
        }
        self.say(condition)
    }

    /// Judges all samples in the order of their times.
    fn say(&mut self, condition: &Condition) -> Taken {
        let mut state = self.folded.clone();
        for point in &self.recent {
            state.take(condition, *point);
        }
        let raised = state.phase.raised();
        if raised.is_some() == self.said.is_some() {
            return Taken::Nothing;
        }
        // A late sample may move a begin or an end; what was said cannot be unsaid, only followed.
        let after = |at_ms: Option<Millis>| match (at_ms, self.said_ms) {
            (Some(at_ms), Some(said)) => at_ms.max(said + 1),
            (at_ms, said) => at_ms.or(said.map(|at| at + 1)).unwrap_or(0),
        };
        let at_ms = after(raised.map_or(state.phase.ended_ms(), |r| Some(r.since_ms)));
        self.said = raised;
        self.said_ms = Some(at_ms);
        match raised {
            Some(raised) => Taken::Raised { at_ms, raised },
            None => Taken::Cleared { at_ms },
        }
    }

    /// The length of the parts of the past has changed: it is learnt anew.
    pub(super) fn forget_past(&mut self) {
        self.folded.past.clear();
    }
}
