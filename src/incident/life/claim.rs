//! What operators have said of an incident and what holds against what is found: which failures are
//! its own, and what caused them.
//!
//! - A claim gives its incident the failures at its parts and, unless it was split off, every failure
//!   that takes service from people behind them.
//! - A cause that was said stands until it is given back. Failures within what the operator has
//!   judged say nothing against it; by those that reach further the incident grows, and shrinks again
//!   when they are gone.
//! - All of this follows from the claims and the failures of the moment, not from how they came about.

use super::Tracked;
use crate::incident::CauseKind;
use crate::incident::localise::is_within;
use crate::incident::matching::Found;
use crate::topology::{Network, Part, SubscriberSet};
use serde::{Deserialize, Serialize};

/// Parts whose failures an operator has given to one incident. Ids are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// Merged into one incident, or split off from another.
    pub parts: Vec<String>,
    /// They were split off: they fail apart from all others, also where all would count as one
    /// failure.
    pub is_apart: bool,
    pub said: Option<Said>,
}

/// A cause that an operator has set. Ids are sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub kind: CauseKind,
    /// Empty: what is found, in words.
    pub text: String,
    /// The parts that failed; empty: those that are found.
    pub parts: Vec<String>,
    /// What was found when it was said.
    pub found: Vec<String>,
    pub found_kind: CauseKind,
}

impl Claim {
    /// Everything that it speaks of.
    fn ids(&self) -> Vec<&str> {
        let said = self
            .said
            .iter()
            .flat_map(|s| s.parts.iter().chain(&s.found));
        let mut ids: Vec<&str> = self.parts.iter().chain(said).map(String::as_str).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Whether it still says anything.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.said.is_none()
    }

    /// The cause, where its parts are said, too.
    fn said_parts(&self, network: &Network) -> Vec<Part> {
        let ids = self.said.iter().flat_map(|said| &said.parts);
        ids.filter_map(|id| network.part(id)).collect()
    }
}

/// A claim on the present network.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    parts: Vec<Part>,
    /// What was merged or split off alone.
    own: Vec<Part>,
    lost: SubscriberSet,
}

impl Scope {
    fn of(claim: &Claim, network: &Network) -> Self {
        let ids = claim.ids();
        let parts: Vec<Part> = ids.iter().filter_map(|id| network.part(id)).collect();
        let lost = network.lost(&parts);
        let own = claim.parts.iter().filter_map(|id| network.part(id));
        let own = own.collect();
        Self { parts, own, lost }
    }

    fn has_part_of(&self, found: &Found) -> bool {
        let parts = &found.summary.parts;
        parts.iter().any(|part| self.parts.contains(part))
    }

    /// Whether the failure reaches no further than the claim.
    fn contains(&self, found: &Found) -> bool {
        let lost = &found.impact.lost;
        let mut parts = found.summary.parts.iter();
        parts.all(|part| self.parts.contains(part))
            || (!lost.is_empty() && is_within(lost, &self.lost))
    }

    fn touches(&self, found: &Found) -> bool {
        !self.lost.intersection(&found.impact.lost).is_empty()
    }
}

/// Decides between claims on one failure, the least wins: one at a part that failed, one that was not
/// split off, and then the names. Nothing in it depends on when which incident was opened.
pub(in crate::incident) type Rank<'a> = (bool, bool, Vec<&'a str>);

/// What an incident makes of its failures by what operators have said.
#[derive(Clone, Debug)]
pub(in crate::incident) struct Judged {
    pub(super) said: Option<Said>,
    /// The parts that failed, sorted by id.
    pub(in crate::incident) parts: Vec<Part>,
    /// Those that were found.
    pub(super) found: Vec<Part>,
}

impl Tracked {
    /// Works out the claims anew.
    pub(super) fn rescope(&mut self, network: &Network) {
        let claims = self.incident.life.claims.iter();
        self.scopes = claims.map(|claim| Scope::of(claim, network)).collect();
        self.taken = None;
        self.is_touched = true;
    }

    /// The claims under which a failure falls, by their places.
    pub(in crate::incident) fn claims_on(&self, found: &Found) -> Option<(Rank<'_>, usize)> {
        let claims = self.incident.life.claims.iter().zip(&self.scopes);
        claims
            .enumerate()
            .filter_map(|(at, (claim, scope))| {
                let is_at = scope.has_part_of(found);
                let is_behind = if claim.is_apart {
                    scope.contains(found)
                } else {
                    scope.touches(found)
                };
                (is_at || is_behind).then(|| ((!is_at, claim.is_apart, claim.ids()), at))
            })
            .min()
    }

    /// Parts that were split off into this incident.
    pub(in crate::incident) fn parts_apart(&self) -> impl Iterator<Item = &[Part]> {
        let claims = self.incident.life.claims.iter().zip(&self.scopes);
        claims
            .filter(|(claim, _)| claim.is_apart)
            .map(|(_, scope)| scope.own.as_slice())
    }

    /// What it makes of these failures; `None` where nothing was said.
    pub(in crate::incident) fn judge(
        &self,
        failures: &[&Found],
        network: &Network,
    ) -> Option<Judged> {
        let claims = &self.incident.life.claims;
        if claims.is_empty() {
            return None;
        }
        let mut found: Vec<Part> = Vec::new();
        let mut parts: Vec<Part> = Vec::new();
        let mut said: Option<(Rank<'_>, &Said)> = None;
        for failure in failures {
            found.extend(&failure.summary.parts);
            let claim = if failure.is_stated() {
                // What is declared here has its parts, and the words of whoever set the cause.
                Some(0)
            } else {
                self.claims_on(failure).map(|(_, at)| at)
            };
            let claim = claim.and_then(|at| Some((claims.get(at)?, self.scopes.get(at)?)));
            let Some((claim, scope)) = claim else {
                parts.extend(&failure.summary.parts);
                continue;
            };
            let rank = (false, claim.is_apart, claim.ids());
            if let Some(word) = &claim.said
                && said.as_ref().is_none_or(|(known, _)| rank < *known)
            {
                said = Some((rank, word));
            }
            let cause = claim.said_parts(network);
            if cause.is_empty() || failure.is_stated() || !scope.contains(failure) {
                parts.extend(&failure.summary.parts);
            }
            parts.extend(cause);
        }
        for parts in [&mut found, &mut parts] {
            parts.sort_unstable_by_key(|&part| network.part_id(part));
            parts.dedup();
        }
        Some(Judged {
            said: said.map(|(_, said)| said.clone()),
            parts,
            found,
        })
    }

    /// Whether an operator has said the cause, here and not in a declaration.
    pub(super) fn has_said(&self) -> bool {
        let mut claims = self.incident.life.claims.iter();
        claims.any(|claim| claim.said.is_some())
    }

    /// Makes one claim of all that it has.
    pub(super) fn fuse_claims(&mut self) -> Claim {
        let mut claims = std::mem::take(&mut self.incident.life.claims);
        claims.sort_by(|a, b| (a.is_apart, a.ids()).cmp(&(b.is_apart, b.ids())));
        claims.into_iter().fold(Claim::default(), Claim::with)
    }

    /// Parts of the cause that operators have named.
    pub(super) fn has_said_parts(&self) -> bool {
        let mut claims = self.incident.life.claims.iter();
        claims.any(|claim| {
            claim
                .said
                .as_ref()
                .is_some_and(|said| !said.parts.is_empty())
        })
    }

    /// Moves the claims in these places to another incident, the highest place first.
    pub(in crate::incident) fn give_claims(
        &mut self,
        to: &mut Self,
        mut at: Vec<usize>,
        network: &Network,
    ) {
        at.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
        for at in at {
            if at < self.incident.life.claims.len() {
                let claim = self.incident.life.claims.remove(at);
                if claim.said.is_some() && !self.has_said() {
                    self.incident.cause.set_by_operator = false;
                }
                to.incident.life.claims.push(claim);
            }
        }
        self.rescope(network);
        to.rescope(network);
    }
}

impl Claim {
    /// Both as one.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self.parts.sort_unstable();
        self.parts.dedup();
        self.is_apart |= other.is_apart;
        self.said = self.said.or(other.said);
        self
    }
}
