//! What operators, care and customers see of it.

use super::*;
use crate::operators::World;
use crate::support::Backend;
use forewarn::cli::client::{self, connect};
use forewarn::proto::v1;
use forewarn::store::IncidentFilter;
use rstest::rstest;

/// Sixty OLTs that were down for 31 to 90 minutes.
fn sixty() -> Vec<Episode> {
    let minutes: Vec<i64> = (1..=60).map(|n| 31 + n * 7 % 60).collect();
    episodes(OLTS, &minutes)
}

async fn get(world: &World, id: &str) -> v1::Incident {
    let connection = connect(&world.args("operator")).await.unwrap();
    let request = v1::GetIncidentRequest { id: id.to_owned() };
    let got = client::incidents(&connection).get_incident(request).await;
    got.unwrap().into_inner()
}

async fn listed(world: &World) -> Vec<Option<v1::LearnedEstimate>> {
    let connection = connect(&world.args("care")).await.unwrap();
    let request = v1::ListIncidentsRequest::default();
    let page = client::incidents(&connection).list_incidents(request).await;
    let incidents = page.unwrap().into_inner().incidents.into_iter();
    incidents.map(|i| i.learned_estimate).collect()
}

async fn lookup(world: &World, account: &str, language: &str) -> v1::CareAnswer {
    let connection = connect(&world.args("care")).await.unwrap();
    let request = v1::LookupRequest {
        query: account.to_owned(),
        language: language.to_owned(),
    };
    let answer = client::care(&connection).lookup(request).await;
    answer.unwrap().into_inner().answers.remove(0)
}

#[rstest]
#[tokio::test]
async fn operators_and_care_see_it_until_somebody_knows_better(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::start(backend).await;
    world.remember(sixty());
    let mut down = fault(1, 10);
    world.show(&[(down.clone(), "olt1")]).await;

    let learned = get(&world, "INC-1").await.learned_estimate.unwrap();
    assert_eq!(learned.from_ms, NOW_MS + 26 * MINUTE_MS);
    assert_eq!(learned.to_ms, NOW_MS + 75 * MINUTE_MS);
    assert_eq!((learned.tried, learned.learned_from), (40, 60));
    assert_eq!(learned.likeness, "equipment, olt, 10 to 99 affected");
    assert_eq!(listed(&world).await, [Some(learned.clone())]);

    let answer = lookup(&world, "A2", "en").await;
    assert_eq!(answer.incidents[0].learned_estimate, Some(learned.clone()));
    assert_eq!(answer.incidents[0].estimate_to_ms, 0);
    let expected = format!(
        "We do not know yet when it will work again. Faults like this one usually end between \
         10:25 and 11:15 today: {} of 40 did so in the time that we would have named. That is \
         what experience says, and no promise.",
        learned.held
    );
    assert!(
        answer.what_to_say.contains(&expected),
        "{}",
        answer.what_to_say
    );
    let answer = lookup(&world, "A1", "").await;
    let expected = format!(
        "Guasti come questo di solito si risolvono tra le ore 10:25 e le ore 11:15 di oggi: {} su \
         40 si sono risolti nel tempo che avremmo indicato.",
        learned.held
    );
    assert!(
        answer.what_to_say.contains(&expected),
        "{}",
        answer.what_to_say
    );
    let other = lookup(&world, "A4", "en").await;
    assert!(other.incidents.is_empty() && !other.what_to_say.contains("usually"));

    down.estimate = Some(Estimate {
        from_ms: NOW_MS + HOUR_MS,
        to_ms: NOW_MS + 2 * HOUR_MS,
    });
    down.revision += 1;
    world.show(&[(down, "olt1")]).await;
    let told = get(&world, "INC-1").await;
    assert_eq!(told.learned_estimate, None);
    assert_eq!(told.estimate_to_ms, NOW_MS + 2 * HOUR_MS);
    assert_eq!(listed(&world).await, [None]);
    let answer = lookup(&world, "A2", "en").await;
    assert!(answer.what_to_say.contains("We expect it to work again"));
    assert!(!answer.what_to_say.contains("usually"));
    assert_eq!(answer.incidents[0].learned_estimate, None);
    world.stop().await;
}

#[tokio::test]
async fn a_list_of_what_is_over_and_suspected_shows_none() {
    let world = World::start(Backend::Sqlite).await;
    world.remember(sixty());
    let mut suspected = fault(1, 10);
    suspected.state = IncidentState::Suspected;
    let mut over = fault(2, 10);
    over.state = IncidentState::Restored;
    over.restored_ms = Some(NOW_MS);
    world.show(&[(suspected, "olt1"), (over, "olt2")]).await;
    assert_eq!(listed(&world).await, [None, None]);
    let filter = IncidentFilter::default();
    let stored = world.t.store.list_incidents(&filter, None, 9).await;
    assert!(stored.unwrap().iter().all(|i| i.estimate.is_none()));
    world.stop().await;
}
