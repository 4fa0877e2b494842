//! Episodes in the store.

use super::*;
use crate::support::{Backend, store};
use forewarn::store::Store;
use rstest::rstest;

async fn save(store: &Store, incident: &Incident) {
    let mut tx = store.begin().await.unwrap();
    tx.save_incident(incident, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

/// One that began so many hours after [`NOW_MS`] and lasted an hour.
fn over(no: i64) -> Incident {
    let mut over = fault(no, 0);
    over.state = IncidentState::Restored;
    over.onset_ms = NOW_MS + no * HOUR_MS;
    over.restored_ms = Some(over.onset_ms + HOUR_MS);
    over
}

async fn kept(store: &Store) -> Vec<(i64, u32)> {
    let episodes = store.ended_episodes(0, KEPT).await.unwrap();
    episodes.iter().map(|e| (e.incident.0, e.number)).collect()
}

#[rstest]
#[tokio::test]
async fn what_counts_is_kept_and_what_is_taken_back_is_forgotten(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut first = over(1);
    save(&t.store, &first).await;
    save(&t.store, &fault(2, 10)).await;
    let mut suspicion = over(3);
    suspicion.confirmed_ms = None;
    let mut merged = over(4);
    merged.merged_into = Some(first.no);
    let mut planned = over(5);
    planned.cause.kind = CauseKind::PlannedWork;
    for other in [suspicion, merged, planned, over(6)] {
        save(&t.store, &other).await;
    }
    assert_eq!(kept(&t.store).await, [(6, 0), (1, 0)]);
    let episodes = t.store.ended_episodes(0, 1).await.unwrap();
    assert_eq!(episodes, [Episode::of(&over(6)).unwrap()]);
    let since_ms = over(6).restored_ms.unwrap();
    assert_eq!(t.store.ended_episodes(since_ms, 9).await.unwrap().len(), 1);
    let later = t.store.ended_episodes(since_ms + 1, 9).await.unwrap();
    assert_eq!(later, []);

    // It comes back: how long the first episode took stays known.
    first.state = IncidentState::Confirmed;
    first.reopened = 1;
    first.onset_ms += 9 * HOUR_MS;
    first.restored_ms = None;
    save(&t.store, &first).await;
    assert_eq!(kept(&t.store).await, [(6, 0), (1, 0)]);
    first.state = IncidentState::Restored;
    first.restored_ms = Some(first.onset_ms + 2 * HOUR_MS);
    save(&t.store, &first).await;
    assert_eq!(kept(&t.store).await, [(1, 1), (6, 0), (1, 0)]);
    // There was no such fault, in none of its episodes.
    first.state = IncidentState::Rejected;
    first.restored_ms = None;
    save(&t.store, &first).await;
    assert_eq!(kept(&t.store).await, [(6, 0)]);
}
