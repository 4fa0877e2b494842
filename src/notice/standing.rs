//! What a person knows about an incident, read from the notices so far.

use super::{Cover, Decision, Facts, NoticeId, NoticeState, PriorNotice, Stage};
use crate::clock::Millis;
use crate::incident::{IncidentNo, IncidentState};

/// What a person knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing that is still open.
    NotTold,
    /// A first notice is in the outbox and may be on its way.
    MaybeTold,
    /// Was told that service is lost, and nothing since.
    Told,
    /// Was told, and a restored or retraction is in the outbox and may be on its way.
    MaybeClosed,
    /// Another open incident told this person and goes on doing so.
    Elsewhere,
}

/// The notices of one person of one incident, in the order in which they are met.
#[derive(Clone, Debug)]
pub struct History<'a> {
    notices: Vec<&'a PriorNotice>,
}

impl<'a> History<'a> {
    /// Puts notices of one person and one incident in order.
    pub fn new(notices: impl IntoIterator<Item = &'a PriorNotice>) -> Self {
        let mut notices: Vec<_> = notices.into_iter().collect();
        notices.sort_by_key(|n| (n.episode, n.stage, n.stage_no));
        Self { notices }
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &'a PriorNotice> + '_ {
        self.notices.iter().copied()
    }

    /// The newest row of a stage in an episode.
    pub fn last_of(&self, episode: u32, stage: Stage) -> Option<&'a PriorNotice> {
        self.iter()
            .filter(|n| n.episode == episode && n.stage == stage)
            .last()
    }

    /// The notice that began the conversation: the first one that was sent to this person.
    pub fn root(&self) -> Option<NoticeId> {
        let own = self
            .iter()
            .find(|n| n.stage == Stage::First && n.state.is_told())
            .map(|n| n.id);
        own.or_else(|| self.iter().find_map(|n| n.cover?.root))
    }

    /// What the person knows, taking all notices into account.
    pub fn standing(&self) -> Standing {
        knowledge(self.iter()).standing
    }

    /// What the person knew when a notice was planned: everything that goes before it.
    pub fn standing_before(&self, notice: &PriorNotice) -> Standing {
        knowledge(self.before(notice)).standing
    }

    /// Who told what the person knew when a notice was planned.
    pub fn teller_before(&self, notice: &PriorNotice) -> Teller {
        knowledge(self.before(notice)).teller
    }

    /// Whether a row notes that service was lost again after this restored or retraction was planned.
    pub fn notes_relapse_after(&self, closing: &PriorNotice) -> bool {
        self.iter().any(|n| {
            n.episode == closing.episode
                && n.stage == Stage::Update
                && n.decision == Decision::CapReached
                && n.planned_at_ms >= closing.planned_at_ms
        })
    }

    /// The notices that go before this one.
    pub fn before(&self, notice: &PriorNotice) -> impl Iterator<Item = &'a PriorNotice> + '_ {
        let place = (notice.episode, notice.stage, notice.stage_no);
        self.iter()
            .filter(move |n| (n.episode, n.stage, n.stage_no) < place)
    }

    /// When the person was told an update or an estimate last.
    pub fn last_update_ms(&self) -> Option<Millis> {
        let updates = self
            .iter()
            .filter(|n| matches!(n.stage, Stage::Update | Stage::Estimate) && n.state.is_told());
        updates.filter_map(|n| n.sent_at_ms).max()
    }

    /// What the person was told last, or is about to be told, and when.
    pub fn last_facts(&self) -> Option<(Option<Millis>, Facts)> {
        let own = self
            .iter()
            .filter(|n| !n.stage.closes())
            .filter(|n| n.state.is_told() || n.state == NoticeState::Pending)
            .filter_map(|n| Some((n.sent_at_ms, n.facts?)))
            .max_by_key(|(sent_at_ms, _)| sent_at_ms.unwrap_or(Millis::MAX));
        own.or_else(|| {
            self.iter()
                .filter_map(|n| n.cover)
                .filter_map(|cover| Some((cover.facts_at_ms, cover.facts?)))
                .last()
        })
    }
}

/// Who told a person that service is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Teller {
    /// This incident, as far as anybody did; or another one, of which an operator has said that
    /// there was no such fault either.
    #[default]
    Itself,
    /// Another one, in whose place it goes on: what that one said does not hang on this one.
    Another,
}

#[derive(Clone, Copy, Debug)]
struct Knowledge {
    standing: Standing,
    teller: Teller,
    /// When this incident last said that it is over.
    closed_at_ms: Option<Millis>,
}

fn knowledge<'a>(notices: impl Iterator<Item = &'a PriorNotice>) -> Knowledge {
    let mut known = Knowledge {
        standing: Standing::NotTold,
        teller: Teller::Itself,
        closed_at_ms: None,
    };
    let mut firsts = Vec::new();
    for notice in notices {
        match notice.stage {
            Stage::First => {
                known.begin(notice);
                firsts.push(notice);
            }
            Stage::Restored | Stage::Retraction => known.end(notice),
            Stage::Update | Stage::Estimate => {}
        }
    }
    // What another incident has told since this one said that it was over.
    for first in firsts {
        if known.standing == Standing::NotTold {
            known.inherit(first);
        }
    }
    known
}

impl Knowledge {
    fn begin(&mut self, first: &PriorNotice) {
        if first.state.is_told() {
            self.standing = Standing::Told;
            self.teller = Teller::Itself;
            return;
        }
        let is_sending = first.state == NoticeState::Pending;
        if is_sending && self.standing == Standing::NotTold {
            self.standing = Standing::MaybeTold;
            self.teller = Teller::Itself;
        }
        // That it is over may just be being said.
        if !is_sending && self.standing != Standing::MaybeClosed {
            self.inherit(first);
        }
    }

    fn inherit(&mut self, first: &PriorNotice) {
        let cover = first.cover.filter(|cover| !self.has_closed(cover));
        let Some(cover) = cover.filter(|_| first.decision != Decision::HeldOut) else {
            return;
        };
        let standing = match (cover.told, cover.open) {
            (true, true) => Standing::Elsewhere,
            (true, false) => Standing::Told,
            (false, false) if cover.pending && self.standing == Standing::NotTold => {
                Standing::MaybeTold
            }
            _ => return,
        };
        self.standing = standing;
        self.teller = if cover.rejected {
            Teller::Itself
        } else {
            Teller::Another
        };
    }

    fn end(&mut self, closing: &PriorNotice) {
        if closing.state.is_told() || closing.handed_over {
            self.standing = Standing::NotTold;
            self.closed_at_ms = self.closed_at_ms.max(closing.sent_at_ms);
        } else if closing.state == NoticeState::Pending && self.standing != Standing::NotTold {
            self.standing = Standing::MaybeClosed;
        }
    }

    /// Whether it has already said that what another incident told is over.
    fn has_closed(&self, cover: &Cover) -> bool {
        let told_at_ms = cover.told_at_ms;
        told_at_ms.is_some() && told_at_ms <= self.closed_at_ms
    }
}

/// A restored or retraction by another incident to a person to whom it does not speak alone: it
/// goes on in the place of the one that told the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    pub by: IncidentNo,
    /// `None` while it may be on its way.
    pub sent_at_ms: Option<Millis>,
    /// Claims since it was planned: with one it may have left.
    pub attempt: u32,
    /// End of the lease of who is sending it, or when it is tried again.
    pub available_at_ms: Millis,
}

impl Closing {
    /// Of several that may be on their way, the one with the least turn goes first: it may have left
    /// with an earlier claim, or when the others were not claimed yet. Those of one claim are told
    /// apart by their incidents.
    fn turn(&self) -> (bool, Millis, IncidentNo) {
        (self.attempt <= 1, self.available_at_ms, self.by)
    }
}

/// Whether one of these says, or may be saying, that what a person was told then is over.
pub fn is_closed_by(told_at_ms: Option<Millis>, closings: &[Closing]) -> bool {
    closings.iter().any(|closing| match closing.sent_at_ms {
        Some(_) => closing.sent_at_ms >= told_at_ms,
        None => closing.attempt > 0,
    })
}

/// What another incident means to a person to whom it sent these notices, for `asking`, which goes
/// on in its place; it and the others that do have sent `closings`.
pub fn cover(
    asking: IncidentNo,
    (incident, state): (IncidentNo, IncidentState),
    notices: &[PriorNotice],
    closings: &[Closing],
) -> Cover {
    let handed_over = History::new(notices).iter().fold(false, |before, n| {
        n.handed_over || before && !(n.stage == Stage::First && n.state.is_told())
    });
    // What was handed over is still to be said, by the incident that asks here.
    let history = History::new(notices.iter().filter(|n| !n.handed_over));
    let standing = history.standing();
    let told_at_ms = history.iter().filter_map(PriorNotice::first_sent_ms).max();
    let (own, others): (Vec<&Closing>, Vec<&Closing>) =
        closings.iter().partition(|c| c.by == asking);
    let is_closed = told_at_ms.is_some() && others.iter().any(|c| c.sent_at_ms >= told_at_ms);
    let on_its_way = |c: &&&Closing| c.sent_at_ms.is_none();
    let own_turn = own.iter().filter(on_its_way).map(|c| c.turn()).min();
    let goes_first = |c: &Closing| c.attempt > 0 && own_turn.is_none_or(|own| c.turn() < own);
    let mut on_their_way = others.iter().filter(on_its_way);
    let is_closing = on_their_way.any(|c| goes_first(c));
    let is_waiting = |n: &PriorNotice| n.stage.closes() && n.is_unsent();
    let last = history.last_facts();
    let is_pending = matches!(standing, Standing::MaybeTold | Standing::MaybeClosed);
    Cover {
        incident,
        open: state.is_open() && !handed_over,
        rejected: state == IncidentState::Rejected,
        told: standing == Standing::Told && !is_closed && !is_closing,
        pending: !is_closed && (is_pending || standing == Standing::Told && is_closing),
        first_planned_ms: history
            .iter()
            .filter(|n| n.stage == Stage::First && n.state == NoticeState::Pending)
            .map(|n| n.planned_at_ms)
            .max(),
        closing_planned_ms: history
            .iter()
            .filter(|n| n.stage.closes() && n.state == NoticeState::Pending)
            .map(|n| n.planned_at_ms)
            .max(),
        closing_waits: !is_closed
            && !is_closing
            && state != IncidentState::Rejected
            && standing == Standing::MaybeClosed
            && History::new(history.iter().filter(|n| !is_waiting(n))).standing() == Standing::Told,
        closing_elsewhere: others.iter().any(|c| c.sent_at_ms.is_none()),
        told_at_ms,
        facts: last.map(|(_, facts)| facts),
        facts_at_ms: last.and_then(|(at_ms, _)| at_ms),
        root: history.root(),
    }
}
