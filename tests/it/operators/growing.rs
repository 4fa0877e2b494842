//! Planning for those who lose service, or have it again, while an incident goes on.

use super::*;
use crate::delivery::dispatcher;
use forewarn::channel::recorder::Recorder;
use forewarn::channel::{Channel, Outgoing, SendOutcome};
use forewarn::effect::holdout::Experiment;
use forewarn::incident::IncidentChange;
use forewarn::notice::NoticeState;
use forewarn::notice::plan::NoticePolicy;
use forewarn::pipeline::importer::LoadedNetwork;
use forewarn::pipeline::planner::{Ground, Planner};
use forewarn::store::{NoticeFilter, NoticePage};
use forewarn::topology::SubscriberSet;
use std::collections::BTreeMap;

const MINUTE: i64 = 60_000;

struct Desk {
    t: TestStore,
    loaded: LoadedNetwork,
    planner: Planner,
    lost: SubscriberSet,
    revision: i64,
}

impl Desk {
    /// An incident of A1 and A2; one person may not be told anything.
    async fn start(backend: Backend, without_consent: &str) -> Self {
        let t = store(backend).await;
        import_topology(&t.store, network(), NOW_MS, &|_, _, _| {})
            .await
            .unwrap();
        import_people(&t.store, without_consent).await;
        let experiment = Experiment {
            name: "none".to_owned(),
            holdout_percent: 0.0,
        };
        let mut desk = Self {
            loaded: load_network(&t.store).await.unwrap(),
            t,
            planner: Planner::new(NoticePolicy::default(), experiment, [1; 32]),
            lost: SubscriberSet::new(),
            revision: 0,
        };
        desk.lose(&["A1", "A2"], NOW_MS).await;
        desk
    }

    fn ranks(&self, accounts: &[&str]) -> SubscriberSet {
        let network = &self.loaded.network;
        let of = |account: &&str| network.rank_of(network.subscriber(account).unwrap());
        SubscriberSet::from_runs(
            accounts
                .iter()
                .map(of)
                .map(|rank| (rank, rank + 1))
                .collect(),
        )
    }

    /// Who is without service by an incident, and who was before.
    fn change(&mut self, no: i64, lost: &[&str], before: &[&str]) -> IncidentChange {
        self.revision += 1;
        let lost = self.ranks(lost);
        let mut incident = incident(no, IncidentState::Confirmed);
        incident.confirmed_ms = Some(NOW_MS);
        incident.affected = lost.len() as u64;
        incident.revision = self.revision.try_into().unwrap();
        IncidentChange {
            incident,
            timeline: Vec::new(),
            lost,
            at_risk: SubscriberSet::new(),
            previously_lost: self.ranks(before),
            never_lost: SubscriberSet::new(),
        }
    }

    /// From now on these are without service by the first incident, and nobody else.
    async fn lose(&mut self, accounts: &[&str], now_ms: i64) {
        let mut change = self.change(1, accounts, &[]);
        change.previously_lost = std::mem::replace(&mut self.lost, change.lost.clone());
        self.write(vec![change], accounts, now_ms).await;
    }

    /// Plans for these changes; `lost` by the first incident.
    async fn write(&mut self, changes: Vec<IncidentChange>, lost: &[&str], now_ms: i64) {
        let live = BTreeMap::from([(IncidentNo(1), Arc::new(self.ranks(lost)))]);
        let ground = Ground {
            network: &self.loaded.network,
            versions: self.loaded.versions,
        };
        let people = self
            .planner
            .read_people(&self.t.store, &changes, ground, now_ms)
            .await
            .unwrap();
        let mut tx = self.t.store.begin().await.unwrap();
        self.planner
            .write(&mut tx, &changes, &live, people, (ground, now_ms))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Looks at everybody again, if it is time.
    async fn look(&mut self, now_ms: i64) {
        assert_eq!(self.planner.due(now_ms), [IncidentNo(1)]);
        let ground = Ground {
            network: &self.loaded.network,
            versions: self.loaded.versions,
        };
        let incident = self.t.store.incident(IncidentNo(1)).await.unwrap().unwrap();
        let mut tx = self.t.store.begin().await.unwrap();
        self.planner
            .look(&mut tx, &incident, &self.lost, ground, now_ms)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Sends what is due.
    async fn deliver(
        &self,
        rule: impl Fn(&Outgoing) -> SendOutcome + Send + Sync + 'static,
        now_ms: i64,
    ) {
        let channel = Channel::Recorder(Recorder::new(rule));
        let dispatcher = dispatcher(&self.t.store, channel);
        while dispatcher.step(now_ms).await.unwrap().claimed > 0 {}
    }

    async fn notices(&self) -> Vec<String> {
        let page = NoticePage {
            after: None,
            size: 100,
        };
        let filter = NoticeFilter::default();
        let (notices, _) = self.t.store.list_notices(&filter, page).await.unwrap();
        let mut lines: Vec<String> = notices
            .into_iter()
            .map(|n| {
                let state = match n.state {
                    NoticeState::NotSent => n.decision.as_str(),
                    state => state.as_str(),
                };
                format!("{} {} {state}", n.account, n.stage.as_str())
            })
            .collect();
        lines.sort();
        lines
    }
}

#[rstest]
#[tokio::test]
async fn whoever_joins_or_leaves_is_planned_for_at_once_and_the_others_stay(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut desk = Desk::start(backend, "").await;
    assert_eq!(
        desk.notices().await,
        ["A1 first pending", "A2 first pending"]
    );
    desk.lose(&["A2", "A3"], NOW_MS + MINUTE).await;
    let after = ["A1 first cancelled", "A2 first pending", "A3 first pending"];
    assert_eq!(desk.notices().await, after);
    desk.lose(&["A1", "A2", "A3", "A4"], NOW_MS + 2 * MINUTE)
        .await;
    let all = ["A1", "A2", "A3", "A4"].map(|who| format!("{who} first pending"));
    assert_eq!(desk.notices().await, all);
    // A look at everybody finds nothing else to do, at the time that was meant for it.
    desk.look(NOW_MS + 5 * MINUTE).await;
    assert_eq!(desk.notices().await, all);
}

#[rstest]
#[tokio::test]
async fn after_an_import_everybody_is_planned_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut desk = Desk::start(backend, "A2").await;
    let before = ["A1 first pending", "A2 first no_consent"];
    assert_eq!(desk.notices().await, before);
    import_people(&desk.t.store, "").await;
    // By the version before, nothing has changed for A2.
    desk.lose(&["A1", "A2", "A3"], NOW_MS + MINUTE).await;
    assert_eq!(desk.notices().await[..2], before);
    desk.loaded = load_network(&desk.t.store).await.unwrap();
    desk.lose(&["A1", "A2"], NOW_MS + 2 * MINUTE).await;
    let after = ["A1 first pending", "A2 first pending", "A3 first cancelled"];
    assert_eq!(desk.notices().await, after);
}

#[rstest]
#[tokio::test]
async fn an_incident_that_takes_over_another_goes_on_for_all_its_people(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut desk = Desk::start(backend, "").await;
    let other = desk.change(2, &["A3"], &[]);
    desk.write(vec![other], &["A1", "A2"], NOW_MS + MINUTE)
        .await;
    let mut other = desk.change(2, &[], &["A3"]);
    other.incident.state = IncidentState::Restored;
    other.incident.merged_into = Some(IncidentNo(1));
    let survivor = desk.change(1, &["A1", "A2", "A3"], &["A1", "A2"]);
    let all = ["A1", "A2", "A3"];
    desk.write(vec![survivor, other], &all, NOW_MS + 2 * MINUTE)
        .await;
    let expected = [
        "A1 first pending",
        "A2 first pending",
        "A3 first cancelled",
        "A3 first pending",
    ];
    assert_eq!(desk.notices().await, expected);
}

#[rstest]
#[tokio::test]
async fn whoever_may_be_told_by_now_is_found_also_when_the_others_have_heard_all(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut desk = Desk::start(backend, "A2").await;
    desk.deliver(|_| SendOutcome::Accepted, NOW_MS).await;
    let heard = ["A1 first sent", "A2 first no_consent"];
    for minutes in [5, 15] {
        desk.look(NOW_MS + minutes * MINUTE).await;
        assert_eq!(desk.notices().await, heard);
    }
    import_people(&desk.t.store, "").await;
    desk.loaded = load_network(&desk.t.store).await.unwrap();
    desk.look(NOW_MS + 35 * MINUTE).await;
    let after = ["A1 first sent", "A2 first pending"];
    assert_eq!(desk.notices().await, after);
}

#[rstest]
#[tokio::test]
async fn whoever_loses_service_while_that_it_is_back_is_being_said_does_not_hear_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut desk = Desk::start(backend, "").await;
    desk.deliver(|_| SendOutcome::Accepted, NOW_MS).await;
    desk.look(NOW_MS + 5 * MINUTE).await;
    desk.lose(&["A2"], NOW_MS + 6 * MINUTE).await;
    let busy = |_: &Outgoing| SendOutcome::Retry {
        after: None,
        detail: "busy".to_owned(),
    };
    desk.deliver(busy, NOW_MS + 6 * MINUTE).await;
    desk.lose(&["A1", "A2"], NOW_MS + 7 * MINUTE).await;
    // It may have left; if it has not, it does not any more.
    let is_out = |restored: &str| {
        let restored = format!("A1 restored {restored}");
        let rows = ["A1 first sent", &restored, "A1 update cap_reached"];
        [rows.as_slice(), &["A2 first sent"]].concat().join(", ")
    };
    assert_eq!(desk.notices().await.join(", "), is_out("pending"));
    desk.deliver(|_| SendOutcome::Accepted, NOW_MS + 9 * MINUTE)
        .await;
    desk.look(NOW_MS + 15 * MINUTE).await;
    assert_eq!(desk.notices().await.join(", "), is_out("cancelled"));
}

async fn import_people(store: &Store, without_consent: &str) {
    let people = (1..=4).map(|no| {
        let mut person = person(no, "en", Segment::Residential, false);
        person.consent = person.account != without_consent;
        person
    });
    import_subscribers(store, people.collect(), NOW_MS, &|_, _, _| {})
        .await
        .unwrap();
}
