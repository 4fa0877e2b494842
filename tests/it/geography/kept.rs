//! Areas in both databases.

use super::{NOW_MS, at};
use crate::support::{Backend, store};
use CapMessage::{Alert, Cancel, Update};
use forewarn::geography::{
    Affects, AlertChain, AreaDeclaration, AreaDocument, AreaNo, AreaState, CapIdentity, CapMessage,
    CapText,
};
use forewarn::store::{AreaTaken, Declarant};
use rstest::rstest;
use tokio::task::JoinSet;

pub(super) fn by(now_ms: i64) -> Declarant<'static> {
    Declarant {
        name: "noc",
        now_ms,
    }
}

pub(super) fn declaration(name: &str) -> AreaDeclaration {
    AreaDeclaration {
        name: name.to_owned(),
        affects: Affects::PowerLostInside,
        document: AreaDocument::Disc {
            centre: at(41.9, 12.5),
            radius_m: 250.5,
        },
        onset_ms: NOW_MS,
        expires_ms: Some(NOW_MS + 1_000),
        texts: vec![CapText {
            language: "it".to_owned(),
            event: "Interruzione".to_owned(),
            headline: "Piazza Re di Roma: \u{26a1} \"blackout\"".to_owned(),
        }],
        note: "crew on its way".to_owned(),
    }
}

fn identity(identifier: &str) -> CapIdentity {
    CapIdentity {
        sender: "power@example.net".to_owned(),
        identifier: identifier.to_owned(),
        sent_ms: NOW_MS,
    }
}

fn chain(identifier: &str, message: CapMessage, references: &[&str]) -> AlertChain {
    AlertChain {
        identity: identity(identifier),
        message,
        references: references.iter().map(|id| identity(id)).collect(),
    }
}

#[rstest]
#[tokio::test]
async fn an_area_is_kept_whole_through_its_life(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let declared = declaration("Tuscolano");
    let taken = t
        .store
        .declare_area(Some(&declared), None, by(NOW_MS))
        .await;
    let AreaTaken::Declared(event) = taken.unwrap() else {
        panic!("a new area is declared");
    };
    assert_eq!(event.no, AreaNo(1));
    assert_eq!(event.declaration, declared);
    assert_eq!(t.store.area(AreaNo(1)).await.unwrap(), Some(event.clone()));
    assert_eq!(event.state(NOW_MS - 1), AreaState::Scheduled);
    assert_eq!(event.state(NOW_MS), AreaState::Active);
    assert_eq!(event.state(NOW_MS + 1_000), AreaState::Expired);

    let endless = AreaDeclaration {
        expires_ms: None,
        ..declaration("second")
    };
    t.store
        .declare_area(Some(&endless), None, by(NOW_MS))
        .await
        .unwrap();
    let numbers = async |open_at_ms, before, limit| -> Vec<i64> {
        let listed = t.store.list_areas(open_at_ms, before, limit).await.unwrap();
        listed.iter().map(|event| event.no.0).collect()
    };
    assert_eq!(numbers(Some(NOW_MS), None, 10).await, [2, 1]);
    assert_eq!(numbers(Some(NOW_MS + 1_000), None, 10).await, [2]);
    assert_eq!(numbers(None, None, 1).await, [2]);
    assert_eq!(numbers(None, Some(AreaNo(2)), 1).await, [1]);

    let (ended, changed) = t
        .store
        .end_area(AreaNo(2), "mended", by(NOW_MS + 5))
        .await
        .unwrap()
        .unwrap();
    assert!(changed && ended.state(NOW_MS) == AreaState::Ended);
    assert_eq!(ended.end.as_ref().unwrap().reason, "mended");
    let again = t
        .store
        .end_area(AreaNo(2), "again", by(NOW_MS + 9))
        .await
        .unwrap();
    assert_eq!(again, Some((ended, false)));
    assert_eq!(
        t.store.end_area(AreaNo(3), "", by(NOW_MS)).await.unwrap(),
        None
    );
    assert_eq!(numbers(Some(NOW_MS), None, 10).await, [1]);

    // A reader keeps up by the number of the change.
    let changes = t.store.areas_changed_after(0, 10).await.unwrap();
    let changes: Vec<(i64, i64, u32)> = changes
        .iter()
        .map(|(no, event)| (*no, event.no.0, event.revision))
        .collect();
    assert_eq!(changes, [(1, 1, 1), (3, 2, 2)]);
    assert!(t.store.areas_changed_after(3, 10).await.unwrap().is_empty());
}

#[rstest]
#[tokio::test]
async fn alerts_of_a_chain_are_one_area_in_whatever_order_they_come(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let take = async |name: &str, chain: AlertChain| {
        let cancels = chain.message == CapMessage::Cancel;
        let declared = declaration(name);
        let declared = (!cancels).then_some(&declared);
        t.store
            .declare_area(declared, Some(&chain), by(NOW_MS))
            .await
            .unwrap()
    };
    assert!(
        matches!(take("a", chain("a", Alert, &[])).await, AreaTaken::Declared(e) if e.no.0 == 1)
    );
    assert!(
        matches!(take("a", chain("a", Alert, &[])).await, AreaTaken::Unchanged(e) if e.no.0 == 1)
    );
    assert!(
        matches!(take("b", chain("b", Alert, &[])).await, AreaTaken::Declared(e) if e.no.0 == 2)
    );
    // One update joins both.
    let AreaTaken::Updated(event, ended) = take("ab", chain("u", Update, &["a", "b"])).await else {
        panic!("an update replaces");
    };
    assert_eq!(
        (event.no.0, event.revision, event.declaration.name.as_str()),
        (1, 2, "ab")
    );
    assert_eq!(ended.iter().map(|e| e.no.0).collect::<Vec<_>>(), [2]);
    // An update of something that never came declares; the late original does nothing.
    assert!(
        matches!(take("l", chain("l2", Update, &["l1"])).await, AreaTaken::Declared(e) if e.no.0 == 3)
    );
    assert!(
        matches!(take("l", chain("l1", Alert, &[])).await, AreaTaken::Unchanged(e) if e.no.0 == 3)
    );
    // A cancellation ends, also by a message in the middle of the chain, and also what comes after it.
    let AreaTaken::Cancelled(ended) = take("", chain("c", Cancel, &["l1", "late"])).await else {
        panic!("a cancellation ends");
    };
    assert_eq!(ended.iter().map(|e| e.no.0).collect::<Vec<_>>(), [3]);
    assert_eq!(
        take("late", chain("late", Alert, &[])).await,
        AreaTaken::Withdrawn
    );
    // Somebody ended it: an update declares anew.
    t.store.end_area(AreaNo(1), "", by(NOW_MS)).await.unwrap();
    assert!(
        matches!(take("n", chain("n", Update, &["u"])).await, AreaTaken::Declared(e) if e.no.0 == 4)
    );
    assert_eq!(t.store.list_areas(None, None, 10).await.unwrap().len(), 4);
}

#[rstest]
#[tokio::test]
async fn areas_declared_at_the_same_time_get_numbers_of_their_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let store = t.store.clone();
        tasks.spawn(async move {
            let alert = chain(&format!("i{}", number / 2), CapMessage::Alert, &[]);
            let declared = declaration("x");
            store
                .declare_area(Some(&declared), Some(&alert), by(NOW_MS))
                .await
                .unwrap()
        });
    }
    let taken = tasks.join_all().await;
    let new = taken
        .iter()
        .filter(|taken| matches!(taken, AreaTaken::Declared(_)));
    assert_eq!(new.count(), 6);
    let changes = t.store.areas_changed_after(0, 20).await.unwrap();
    assert_eq!(
        changes.iter().map(|(no, _)| *no).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
}
