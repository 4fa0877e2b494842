//! What becomes of versions that were replaced.

use super::{NOW, person, quiet, small_network, subscribers, topology};
use crate::support::{Backend, insert_people, store};
use forewarn::clock::Clock;
use forewarn::pipeline::alarm_log::AlarmLog;
use forewarn::pipeline::housekeeper::Housekeeper;
use forewarn::pipeline::importer::{import_subscribers, import_topology};
use forewarn::pipeline::intake::{Intake, IntakeLimits};
use forewarn::pipeline::meter::SampleLog;
use forewarn::store::{DatasetKind, Store};
use forewarn::subscriber::Subscriber;
use forewarn::topology::{ElementKind, NetworkDefinition};
use rstest::rstest;
use std::sync::Arc;

const MINUTE_MS: i64 = 60_000;

async fn housekeeper(store: &Store) -> Housekeeper {
    let limits = IntakeLimits {
        queue_events: 10,
        batch_events: 10,
    };
    let clock = Clock::manual(NOW);
    let alarms = Arc::new(AlarmLog::open(store.clone()).await.unwrap());
    let samples = Arc::new(SampleLog::open(store.clone()).await.unwrap());
    Housekeeper {
        store: store.clone(),
        alarms: Intake::open(alarms, store.clone(), clock.clone(), limits)
            .await
            .unwrap(),
        samples: Intake::open(samples, store.clone(), clock, limits)
            .await
            .unwrap(),
        telemetry_retention_ms: MINUTE_MS,
    }
}

/// The network with one more ONT, and so another version.
fn larger_network() -> NetworkDefinition {
    let mut network = small_network();
    network
        .elements
        .push(super::element("ont4", ElementKind::Ont));
    network.links.push(super::link("olt1", "ont4"));
    network
}

fn rows(network: &NetworkDefinition) -> u64 {
    let NetworkDefinition {
        sites,
        elements,
        links,
        groups,
    } = network;
    (sites.len() + elements.len() + links.len() + groups.len()) as u64
}

/// Each is a row, has a position and an address, a serial number and contacts, and the contacts are keys.
fn rows_of_people(people: &[Subscriber]) -> u64 {
    let rows = people.iter().map(|p| 4 + 2 * p.contact_points.len());
    rows.sum::<usize>() as u64
}

#[rstest]
#[tokio::test]
async fn subscribers_of_a_dead_import_are_swept_to_the_last_row(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    topology(&t.store, &small_network()).await;
    let people = [person("a", "ont1"), person("b", "ont2")];
    subscribers(&t.store, &people).await;
    let kind = DatasetKind::Subscribers;
    let dead = t.store.begin_version(kind, NOW).await.unwrap();
    let mut tx = t.store.begin().await.unwrap();
    insert_people(&mut tx, dead.version, &people).await;
    tx.commit().await.unwrap();

    let next = t.store.begin_version(kind, NOW).await.unwrap();
    let swept = t.store.sweep_unpublished(kind, next.version).await;
    assert_eq!(swept.unwrap(), rows_of_people(&people));
    let again = t.store.sweep_unpublished(kind, next.version).await;
    assert_eq!(again.unwrap(), 0);
    assert_eq!(t.store.load_attachments(1).await.unwrap().len(), 2);
}

#[rstest]
#[tokio::test]
async fn a_replaced_version_stays_ten_minutes_and_the_current_one_for_ever(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let people = [person("a", "ont1"), person("b", "ont2")];
    let (first, second) = (small_network(), larger_network());
    let replaced_at = NOW + 5 * MINUTE_MS;
    import_topology(&t.store, first.clone(), NOW, &quiet)
        .await
        .unwrap();
    import_subscribers(&t.store, people.to_vec(), NOW, &quiet)
        .await
        .unwrap();
    let housekeeper = housekeeper(&t.store).await;
    // The only version is the current one, however old.
    let kept = housekeeper.step(NOW + 100_000 * MINUTE_MS).await.unwrap();
    assert_eq!(kept.rows_deleted, 0);

    import_topology(&t.store, second.clone(), replaced_at, &quiet)
        .await
        .unwrap();
    import_subscribers(&t.store, people[..1].to_vec(), replaced_at, &quiet)
        .await
        .unwrap();
    // A third version is being built.
    let ticket = t
        .store
        .begin_version(DatasetKind::Topology, replaced_at)
        .await
        .unwrap();
    let mut tx = t.store.begin().await.unwrap();
    tx.insert_sites(ticket.version, 0, &first.sites)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let kept = housekeeper
        .step(replaced_at + 10 * MINUTE_MS)
        .await
        .unwrap();
    assert_eq!(kept.rows_deleted, 0, "ten minutes are not over");
    let old = t.store.load_definition(1).await.unwrap();
    assert_eq!(rows(&old), rows(&first));
    let kept = housekeeper
        .step(replaced_at + 10 * MINUTE_MS + 1)
        .await
        .unwrap();
    assert_eq!(kept.rows_deleted, rows(&first) + rows_of_people(&people));
    let gone = t.store.load_definition(1).await.unwrap();
    assert_eq!(gone, NetworkDefinition::default());
    assert_eq!(t.store.load_attachments(1).await.unwrap().len(), 0);

    let current = t.store.load_definition(2).await.unwrap();
    assert_eq!(rows(&current), rows(&second));
    assert_eq!(t.store.load_attachments(2).await.unwrap().len(), 1);
    let building = t.store.load_definition(ticket.version).await.unwrap();
    assert_eq!(building.sites, first.sites);
    let again = housekeeper
        .step(replaced_at + 60 * MINUTE_MS)
        .await
        .unwrap();
    assert_eq!(again.rows_deleted, 0);
}

#[rstest]
#[tokio::test]
async fn large_versions_go_in_small_steps(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let first = small_network();
    import_topology(&t.store, first.clone(), NOW, &quiet)
        .await
        .unwrap();
    import_topology(&t.store, larger_network(), NOW, &quiet)
        .await
        .unwrap();
    let mut deleted = Vec::new();
    loop {
        let step = t.store.sweep_old_versions(NOW + 1, 2).await.unwrap();
        if step == 0 {
            break;
        }
        // At most two rows of each of the four tables of a network.
        assert!(step <= 8);
        deleted.push(step);
    }
    assert_eq!(deleted.iter().sum::<u64>(), rows(&first));
    assert_eq!(deleted.len(), 3, "six elements, two at a time");
}
