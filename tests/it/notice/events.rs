//! What happens to incidents in the random lives.

use super::*;

impl World {
    /// What happens to one incident by itself; answers which changed.
    fn change(&mut self, event: &Event) -> Option<usize> {
        let mut changed = None;
        match *event {
            Event::Grow(i, p) if self.incidents[i].state.is_open() => {
                self.lost[i].insert(p);
                changed = Some(i);
            }
            Event::Shrink(i, p) => {
                self.lost[i].remove(&p);
                changed = Some(i);
            }
            Event::Confirm(i) if self.incidents[i].state == IncidentState::Suspected => {
                self.incidents[i].state = IncidentState::Confirmed;
                changed = Some(i);
            }
            Event::Restore(i)
                if self.incidents[i].state == IncidentState::Confirmed
                    || self.incidents[i].state == IncidentState::Suspected
                        && self.incidents[i].reopened > 0 =>
            {
                self.incidents[i].state = IncidentState::Restored;
                self.lost[i].clear();
                changed = Some(i);
            }
            Event::Reopen(i)
                if self.incidents[i].state == IncidentState::Restored
                    && self.incidents[i].merged_into.is_none() =>
            {
                self.incidents[i].state = IncidentState::Confirmed;
                self.incidents[i].reopened += 1;
                self.lost[i].extend([0, 1, HELD_OUT]);
                // What had not been said of the episode before is said with this one.
                self.corrected.retain(|(incident, _)| *incident != i);
                changed = Some(i);
            }
            Event::Suspect(i)
                if self.incidents[i].state == IncidentState::Restored
                    && self.incidents[i].merged_into.is_none() =>
            {
                self.incidents[i].state = IncidentState::Suspected;
                self.incidents[i].detected_ms = self.now_ms;
                self.incidents[i].reopened += 1;
                self.lost[i].extend([0, 1, HELD_OUT]);
                self.corrected.retain(|(incident, _)| *incident != i);
                changed = Some(i);
            }
            Event::Reject(i) if self.incidents[i].state.is_open() => {
                self.incidents[i].state = IncidentState::Rejected;
                self.lost[i].clear();
                changed = Some(i);
            }
            Event::SetEstimate(i, minutes) => {
                let from_ms = self.now_ms + minutes * MINUTE;
                self.incidents[i].estimate = Some(Estimate {
                    from_ms,
                    to_ms: from_ms + 60 * MINUTE,
                });
                changed = Some(i);
            }
            Event::SetCause(i) => {
                self.incidents[i].cause.kind = CauseKind::FibreCut;
                changed = Some(i);
            }
            Event::Advance(minutes) => self.now_ms += minutes * MINUTE,
            Event::Claim => self.claim(),
            Event::Settle(works) => self.settle(works),
            _ => {}
        }
        changed
    }

    /// What is done with people of incidents; answers which is still to be planned.
    fn rearrange(&mut self, event: &Event) -> Option<usize> {
        let mut changed = None;
        match *event {
            Event::Merge(from, to, kept)
                if self.incidents[from].state.is_open() && self.incidents[to].state.is_open() =>
            {
                if self.incidents[from].state == IncidentState::Confirmed {
                    self.incidents[to].state = IncidentState::Confirmed;
                }
                self.incidents[from].state = IncidentState::Restored;
                self.incidents[from].merged_into = Some(self.incidents[to].no);
                let moved = std::mem::take(&mut self.lost[from]);
                self.lost[to].extend(moved.into_iter().filter(|person| kept[*person]));
                self.plan(from);
                changed = Some(to);
            }
            Event::Split(from, to, off) if self.may_split(from, to) => {
                self.incidents[to].state = IncidentState::Confirmed;
                self.incidents[to].split_from = Some(self.incidents[from].no);
                let (off, left) = self.lost[from].iter().partition(|person| off[**person]);
                (self.lost[to], self.lost[from]) = (off, left);
                self.plan(to);
                changed = Some(from);
            }
            Event::Correct(i, p) if self.lost[i].contains(&p) => {
                self.lost[i].remove(&p);
                if self.incidents[i].state == IncidentState::Confirmed {
                    self.corrected.insert((i, p));
                    self.once_corrected.insert((i, p));
                    self.plan_with(i, &BTreeSet::from([account(p)]));
                }
            }
            _ => {}
        }
        changed
    }

    pub(super) fn apply(&mut self, event: &Event) {
        self.now_ms += 1;
        self.moved = match *event {
            Event::Grow(i, p) | Event::Shrink(i, p) | Event::Correct(i, p) => Some((i, p)),
            _ => None,
        };
        // What changes an incident otherwise, or may, is planned for everybody.
        let changed: &[usize] = match event {
            Event::Confirm(i)
            | Event::Restore(i)
            | Event::Reopen(i)
            | Event::Suspect(i)
            | Event::Reject(i)
            | Event::SetEstimate(i, _)
            | Event::SetCause(i) => &[*i],
            Event::Merge(i, j, _) | Event::Split(i, j, _) => &[*i, *j],
            _ => &[],
        };
        for which in changed {
            self.leaves_out_told[*which] = false;
        }
        let changed = match event {
            Event::Merge(..) | Event::Split(..) | Event::Correct(..) => self.rearrange(event),
            _ => self.change(event),
        };
        // Whom it concerns again is no longer corrected.
        let lost = &self.lost;
        self.corrected
            .retain(|(i, person)| !lost[*i].contains(person));
        // After it was taken over, an incident is planned no more.
        if let Some(which) = changed.filter(|i| self.incidents[*i].merged_into.is_none()) {
            self.incidents[which].affected = self.lost[which].len() as u64;
            self.plan(which);
            if !self.incidents[which].state.is_open() {
                self.plan_confirmed();
            }
        }
    }

    fn may_split(&self, from: usize, to: usize) -> bool {
        let no = self.incidents[to].no;
        self.incidents[from].state == IncidentState::Confirmed
            && self.incidents[to].state == IncidentState::Suspected
            && self.lost[to].is_empty()
            && self.rows.iter().all(|row| row.planned.incident != no)
    }
}
