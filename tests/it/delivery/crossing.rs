//! Incidents that concern one person at the same time, through the database and the gate.

use super::*;

const SECOND: i64 = 1_000;

/// Two incidents that are confirmed.
fn two() -> (Incident, Incident) {
    let mut second = confirmed();
    second.no = IncidentNo(2);
    (confirmed(), second)
}

async fn sent(store: &Store) -> Vec<(i64, Stage)> {
    let mut sent: Vec<NoticeRecord> = records(store).await;
    sent.retain(|notice| notice.state == NoticeState::Sent);
    sent.sort_by_key(|notice| notice.sent_at_ms);
    let each = sent.into_iter();
    each.map(|notice| (notice.incident.0, notice.stage))
        .collect()
}

#[rstest]
#[tokio::test]
async fn an_incident_that_waits_for_one_that_ends_goes_on_in_its_place(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let worker = dispatcher(&t.store, accept());
    let (mut ends, mut goes_on) = two();
    change(&t.store, &ends, &[0], NOW_MS).await;
    change(&t.store, &goes_on, &[0], NOW_MS + 1).await;
    assert_eq!(worker.step(NOW_MS + 2).await.unwrap().sent, 1);
    ends.state = IncidentState::Restored;
    change(&t.store, &ends, &[], NOW_MS + SECOND).await;
    for second in 2..70 {
        worker.step(NOW_MS + second * SECOND).await.unwrap();
        if second == 10 {
            change(&t.store, &goes_on, &[0], NOW_MS + second * SECOND).await;
        }
    }
    assert_eq!(sent(&t.store).await, [(1, Stage::First)]);
    goes_on.state = IncidentState::Restored;
    change(&t.store, &goes_on, &[], NOW_MS + 70 * SECOND).await;
    worker.step(NOW_MS + 71 * SECOND).await.unwrap();
    let told = [(1, Stage::First), (2, Stage::Restored)];
    assert_eq!(sent(&t.store).await, told);
}

#[rstest]
#[tokio::test]
async fn of_two_firsts_that_know_nothing_of_each_other_one_is_sent(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let worker = dispatcher(&t.store, accept());
    let (first, second) = two();
    let people = People {
        lost: &[0],
        is_unaware: true,
        ..People::default()
    };
    change_for(&t.store, &second, people, NOW_MS).await;
    change_for(&t.store, &first, people, NOW_MS + 1).await;
    for pass in 0..4 {
        worker.step(NOW_MS + 2 + 6 * pass * SECOND).await.unwrap();
    }
    assert_eq!(sent(&t.store).await, [(2, Stage::First)]);
    let other = &records(&t.store).await[0];
    assert_eq!(
        (other.incident.0, other.state_reason.as_str()),
        (1, "covered")
    );
}

#[rstest]
#[tokio::test]
async fn whom_another_incident_leaves_without_service_hears_no_retraction(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let worker = dispatcher(&t.store, accept());
    let (corrected, mut other) = two();
    change(&t.store, &corrected, &[0], NOW_MS).await;
    worker.step(NOW_MS).await.unwrap();
    change(&t.store, &other, &[0], NOW_MS + SECOND).await;
    let people = People {
        never_lost: &["A-0"],
        ..People::default()
    };
    change_for(&t.store, &corrected, people, NOW_MS + MINUTE).await;
    for minute in 1..6 {
        worker.step(NOW_MS + minute * MINUTE).await.unwrap();
    }
    assert_eq!(sent(&t.store).await, [(1, Stage::First)]);
    other.state = IncidentState::Restored;
    change(&t.store, &other, &[], NOW_MS + 6 * MINUTE).await;
    worker.step(NOW_MS + 7 * MINUTE).await.unwrap();
    let told = [(1, Stage::First), (2, Stage::Restored)];
    assert_eq!(sent(&t.store).await, told);
}

#[rstest]
#[tokio::test]
async fn who_was_told_the_end_by_what_was_split_off_hears_of_it_when_it_fails_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let worker = dispatcher(&t.store, accept());
    let (mut whole, mut split) = two();
    change(&t.store, &whole, &[0], NOW_MS).await;
    worker.step(NOW_MS).await.unwrap();
    split.split_from = Some(whole.no);
    change(&t.store, &split, &[0], NOW_MS + MINUTE).await;
    change(&t.store, &whole, &[], NOW_MS + MINUTE).await;
    worker.step(NOW_MS + 2 * MINUTE).await.unwrap();
    assert_eq!(sent(&t.store).await.len(), 1);
    for incident in [&mut whole, &mut split] {
        incident.state = IncidentState::Restored;
        change(&t.store, incident, &[], NOW_MS + 3 * MINUTE).await;
    }
    worker.step(NOW_MS + 4 * MINUTE).await.unwrap();
    whole.state = IncidentState::Confirmed;
    whole.reopened = 1;
    change(&t.store, &whole, &[0], NOW_MS + 5 * MINUTE).await;
    worker.step(NOW_MS + 6 * MINUTE).await.unwrap();
    let told = [(1, Stage::First), (2, Stage::Restored), (1, Stage::First)];
    assert_eq!(sent(&t.store).await, told);
}

#[rstest]
#[tokio::test]
async fn a_restored_that_is_driven_again_is_withheld_when_service_is_lost_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let worker = dispatcher(&t.store, accept());
    let (incident, _) = two();
    change(&t.store, &incident, &[0], NOW_MS).await;
    worker.step(NOW_MS).await.unwrap();
    let restored = change(&t.store, &incident, &[], NOW_MS + MINUTE).await;
    let busy = Channel::Recorder(Recorder::new(|_| SendOutcome::Retry {
        after: None,
        detail: "busy".to_owned(),
    }));
    let busy = dispatcher(&t.store, busy);
    for minute in 1..4 {
        busy.step(NOW_MS + minute * MINUTE).await.unwrap();
    }
    change(&t.store, &incident, &[0], NOW_MS + 5 * MINUTE).await;
    let now_ms = NOW_MS + 6 * MINUTE;
    let mut tx = t.store.begin().await.unwrap();
    let redriven = tx
        .redrive_notice(restored.notices[0].id, now_ms, now_ms + MINUTE)
        .await;
    assert!(redriven.unwrap(), "it was a dead letter");
    tx.commit().await.unwrap();
    worker.step(now_ms).await.unwrap();
    assert_eq!(sent(&t.store).await, [(1, Stage::First)]);
    change(&t.store, &incident, &[], NOW_MS + 7 * MINUTE).await;
    worker.step(NOW_MS + 7 * MINUTE).await.unwrap();
    let told = [(1, Stage::First), (1, Stage::Restored)];
    assert_eq!(sent(&t.store).await, told);
}
