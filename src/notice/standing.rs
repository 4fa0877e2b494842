//! What a person knows about an incident, read from the notices so far.

use super::{Cover, Decision, Facts, NoticeId, NoticeState, PriorNotice, Stage};
use crate::clock::Millis;
use crate::incident::IncidentNo;

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
        standing(self.iter())
    }

    /// What the person knew when a notice was planned: everything that goes before it.
    pub fn standing_before(&self, notice: &PriorNotice) -> Standing {
        let place = (notice.episode, notice.stage, notice.stage_no);
        standing(
            self.iter()
                .filter(|n| (n.episode, n.stage, n.stage_no) < place),
        )
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
                .filter_map(|n| n.cover?.facts.map(|facts| (None, facts)))
                .last()
        })
    }
}

fn standing<'a>(notices: impl Iterator<Item = &'a PriorNotice>) -> Standing {
    let mut standing = Standing::NotTold;
    for notice in notices {
        standing = match (notice.stage, notice.state) {
            (Stage::First, state) if state.is_told() => Standing::Told,
            (Stage::First, NoticeState::Pending) if standing == Standing::NotTold => {
                Standing::MaybeTold
            }
            (Stage::First, _) if notice.decision != Decision::HeldOut => match notice.cover {
                Some(cover) if cover.told && cover.open => Standing::Elsewhere,
                Some(cover) if cover.told => Standing::Told,
                Some(cover) if cover.pending && !cover.open && standing == Standing::NotTold => {
                    Standing::MaybeTold
                }
                _ => standing,
            },
            (Stage::Restored | Stage::Retraction, state)
                if state.is_told() || notice.handed_over =>
            {
                Standing::NotTold
            }
            (Stage::Restored | Stage::Retraction, NoticeState::Pending) => match standing {
                Standing::NotTold => Standing::NotTold,
                _ => Standing::MaybeClosed,
            },
            _ => standing,
        };
    }
    standing
}

/// What another incident means to a person to whom it sent these notices.
pub fn cover(incident: IncidentNo, open: bool, notices: &[PriorNotice]) -> Cover {
    let handed_over = History::new(notices).iter().fold(false, |before, n| {
        n.handed_over || before && !(n.stage == Stage::First && n.state.is_told())
    });
    // What was handed over is still to be said, by the incident that asks here.
    let history = History::new(notices.iter().filter(|n| !n.handed_over));
    let standing = history.standing();
    Cover {
        incident,
        open: open && !handed_over,
        told: standing == Standing::Told,
        pending: matches!(standing, Standing::MaybeTold | Standing::MaybeClosed),
        facts: history.last_facts().map(|(_, facts)| facts),
        root: history.root(),
    }
}
