//! Incidents in the store.

use super::*;

fn entry(at_ms: i64, what: TimelineKind, by: &str) -> TimelineEntry {
    TimelineEntry {
        at_ms,
        what,
        reason: format!("because of {at_ms}"),
        by: by.to_owned(),
    }
}

fn numbers(incidents: &[Incident]) -> Vec<i64> {
    incidents.iter().map(|i| i.no.0).collect()
}

#[rstest]
#[tokio::test]
async fn an_incident_is_kept_whole_and_its_timeline_grows(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut first = incident(1, IncidentState::Suspected);
    first.timeline_len = 1;
    let detected = entry(1_500, TimelineKind::Detected, "");
    save(&t.store, &first, std::slice::from_ref(&detected)).await;
    first.state = IncidentState::Confirmed;
    first.revision = 2;
    first.timeline_len = 3;
    let more = [
        entry(2_000, TimelineKind::Confirmed, "noc"),
        entry(2_000, TimelineKind::Note, "noc"),
    ];
    save(&t.store, &first, &more).await;

    assert_eq!(
        t.store.incident(IncidentNo(1)).await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(t.store.incident(IncidentNo(2)).await.unwrap(), None);
    let [confirmed, note] = more;
    assert_eq!(
        t.store.timeline(IncidentNo(1)).await.unwrap(),
        [detected, confirmed, note]
    );
}

#[rstest]
#[tokio::test]
async fn a_start_finds_open_and_lately_restored_incidents(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    for (no, state) in [
        (1, IncidentState::Restored),
        (2, IncidentState::Restored),
        (3, IncidentState::Suspected),
        (4, IncidentState::Rejected),
        (5, IncidentState::Confirmed),
    ] {
        save(&t.store, &incident(no, state), &[]).await;
    }
    assert_eq!(numbers(&t.store.open_incidents().await.unwrap()), [3, 5]);
    let loaded = t.store.load_incidents(2_900).await.unwrap();
    assert_eq!(numbers(&loaded), [2, 3, 5]);
}

#[rstest]
#[tokio::test]
async fn lists_are_filtered_and_paged_newest_first(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    for no in 1..=7 {
        let state = if no % 2 == 0 {
            IncidentState::Restored
        } else {
            IncidentState::Confirmed
        };
        save(&t.store, &incident(no, state), &[]).await;
    }
    let any = IncidentFilter::default();
    let page = t.store.list_incidents(&any, None, 3).await.unwrap();
    assert_eq!(numbers(&page), [7, 6, 5]);
    let page = t
        .store
        .list_incidents(&any, Some(IncidentNo(5)), 3)
        .await
        .unwrap();
    assert_eq!(numbers(&page), [4, 3, 2]);
    let filter = IncidentFilter {
        states: vec![IncidentState::Confirmed, IncidentState::Rejected],
        from_ms: Some(3_000),
        to_ms: Some(7_000),
    };
    let page = t.store.list_incidents(&filter, None, 10).await.unwrap();
    assert_eq!(numbers(&page), [5, 3]);
}

#[rstest]
#[tokio::test]
async fn the_checkpoint_moves_without_losing_the_snapshot(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    assert_eq!(t.store.checkpoint().await.unwrap(), Checkpoint::default());
    let decided = async |position, incident| {
        let mut tx = t.store.begin().await.unwrap();
        tx.save_checkpoint_position(position, incident)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    let long = [b"head".to_vec(), b"live".to_vec(), b"more".to_vec()];
    decided(5, 1).await;
    t.store.save_snapshot(5, &long).await.unwrap();
    decided(10, 2).await;
    let short = [b"head".to_vec(), vec![0; 100_000]];
    t.store.save_snapshot(10, &short).await.unwrap();
    decided(12, 3).await;
    assert_eq!(
        t.store.checkpoint().await.unwrap(),
        Checkpoint {
            position: 12,
            last_incident_no: 3,
            snapshot_position: 10,
        }
    );
    assert_eq!(t.store.snapshot(10).await.unwrap(), short);
    assert!(t.store.snapshot(5).await.unwrap().is_empty());
}
