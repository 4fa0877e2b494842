//! What became of single people and incidents: printed only to explain mistakes.

use super::Step;
use super::ledger::{Counted, Ledger};
use forewarn::incident::IncidentNo;
use forewarn::store::{NoticeFilter, NoticePage, Store};
use forewarn::topology::{Network, Part};
use std::collections::{BTreeMap, BTreeSet};

impl Counted {
    /// The incidents that told most people wrongly.
    pub(super) async fn print_mistakes(
        &self,
        store: &Store,
        evidence: Option<&BTreeMap<IncidentNo, Vec<String>>>,
    ) {
        let mistaken = self.mistaken.iter();
        let mistaken = mistaken.map(|(no, people)| ("told wrongly", no, people.len()));
        let early = self.early.iter();
        let early = early.map(|(no, people)| ("told too early of the end", no, people.len()));
        let misdated = self.misdated.iter();
        let misdated = misdated.map(|(no, people)| ("told a wrong begin", no, people.len()));
        let mut mistaken: Vec<_> = mistaken.chain(early).chain(misdated).collect();
        mistaken.sort_by_key(|(.., people)| std::cmp::Reverse(*people));
        for (rank, (what, no, people)) in mistaken.into_iter().take(60).enumerate() {
            let Ok(Some(incident)) = store.incident(*no).await else {
                continue;
            };
            let alarms: Vec<String> = incident
                .evidence
                .iter()
                .take(6)
                .map(|e| format!("{} {}", e.key.resource, e.key.alarm_type))
                .collect();
            println!(
                "{no}: {people} {what}, {} at most affected, {}; {}",
                incident.affected_peak,
                incident.cause.text,
                alarms.join(", ")
            );
            let believed = evidence.and_then(|all| all.get(no)).into_iter().flatten();
            for line in believed.take(3) {
                println!("    evidence at {line}");
            }
            let timeline = store.timeline(*no).await.unwrap_or_default();
            for entry in timeline.iter().take(if rank < 24 { 24 } else { 0 }) {
                println!(
                    "    {} {}: {}",
                    entry.at_ms,
                    entry.what.as_str(),
                    entry.reason
                );
            }
        }
    }

    /// The outages of which most people were not told, and which incidents had one of them then.
    pub(super) async fn print_untold(&self, story: &Story<'_>) {
        let mut untold: Vec<_> = self.untold.iter().collect();
        untold.sort_by_key(|(_, people)| std::cmp::Reverse(people.len()));
        for ((from_ms, to_ms, kind), people) in untold.into_iter().take(60) {
            let seconds = (to_ms - from_ms) / 1_000;
            println!(
                "{kind} at {from_ms} for {seconds} s: {} not told",
                people.len()
            );
            // Best somebody of whom more could have been made.
            let heard = people
                .iter()
                .find(|&&rank| story.ledger.is_heard(rank, [*from_ms, *to_ms]));
            if let Some(&rank) = heard.or(people.first()) {
                story.print(rank, [*from_ms, *to_ms]).await;
            }
        }
    }

    /// The incidents that told most people wrongly, too early that service was back, or a wrong begin,
    /// and two of these people.
    pub(super) async fn print_people(&self, story: &Story<'_>) {
        for (what, people) in [
            ("told wrongly", &self.mistaken),
            ("told too early of the end", &self.early),
            ("told a wrong begin", &self.misdated),
        ] {
            let mut by_incident: Vec<_> = people.iter().collect();
            by_incident.sort_by_key(|(_, people)| std::cmp::Reverse(people.len()));
            for (no, people) in by_incident.into_iter().take(12) {
                println!("people of {no}: {} {what}", people.len());
                for &(rank, at_ms) in people.iter().take(2) {
                    story.print(rank, [at_ms; 2]).await;
                }
            }
        }
    }
}

/// What became of single people; kept only to explain mistakes.
pub(super) struct Story<'a> {
    pub(super) ledger: &'a Ledger<'a>,
    pub(super) store: &'a Store,
    pub(super) network: &'a Network,
    pub(super) trail: &'a [Step],
}

impl Story<'_> {
    /// Notices, outages, and the incidents that had the person around a time.
    async fn print(&self, rank: u32, [from_ms, to_ms]: [i64; 2]) {
        const AROUND_MS: i64 = 15 * 60_000;
        let world = self.ledger.world.network();
        let account = world.account(world.subscriber_at_rank(rank));
        for outage in self.ledger.outages.get(&rank).into_iter().flatten() {
            let kind = outage.kind.as_str();
            println!(
                "    {account} lost service {} to {}: {kind}",
                outage.from_ms, outage.to_ms
            );
        }
        let filter = NoticeFilter {
            account: Some(account.to_owned()),
            ..NoticeFilter::default()
        };
        let page = NoticePage {
            after: None,
            size: 20,
        };
        let (notices, _) = self.store.list_notices(&filter, page).await.unwrap();
        for ont in world.serving(world.subscriber_at_rank(rank)) {
            let times = self.ledger.heard.get(&ont).into_iter().flatten();
            let times: Vec<i64> = times
                .copied()
                .filter(|at_ms| (from_ms - AROUND_MS..=to_ms + AROUND_MS).contains(at_ms))
                .collect();
            let id = world.part_id(Part::Element(ont));
            let misplaced = self.ledger.misplaced.contains(&ont);
            println!("    {id}, misplaced: {misplaced}, alarms at {times:?}");
        }
        for notice in notices {
            println!(
                "    {} {}, since {}: {:?} {:?} {:?}, sent at {:?}",
                notice.planned_at_ms,
                notice.incident,
                notice.lost_since_ms,
                notice.stage,
                notice.decision,
                notice.state,
                notice.sent_at_ms
            );
        }
        let rank = self
            .network
            .rank_of(self.network.subscriber(account).unwrap());
        let mut holders: BTreeSet<IncidentNo> = BTreeSet::new();
        for step in self.trail {
            let is_held = step.lost.contains(rank);
            let was_held = if is_held {
                !holders.insert(step.incident)
            } else {
                holders.remove(&step.incident)
            };
            let is_then = (from_ms - AROUND_MS..to_ms + AROUND_MS).contains(&step.at_ms);
            let is_news = is_held != was_held || (is_held && step.text != "[]");
            if is_then && is_news {
                let people = step.lost.len();
                println!(
                    "    {} {}, {people} people, {}: {}",
                    step.at_ms,
                    step.incident,
                    if is_held { "holds" } else { "left" },
                    step.text
                );
            }
        }
    }
}
