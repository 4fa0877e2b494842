//! Imports of networks and subscribers: versions, reports, and what a failed one leaves behind.

mod command;
mod grpc;
mod property;
mod search;
mod sweep;

use crate::support::{Backend, store};
use forewarn::pipeline::difference::Difference;
use forewarn::pipeline::importer::{
    ImportError, ImportReport, Phase, import_subscribers, import_topology, load_inventory,
    load_network,
};
use forewarn::store::{DatasetKind, DatasetVersions, Store};
use forewarn::subscriber::{
    ChannelKind, ContactKind, ContactPoint, QuietHours, Segment, Subscriber,
};
use forewarn::topology::{
    Element, ElementKind, GroupKind, Link, NetworkDefinition, Position, Redundancy,
    SharedRiskGroup, Site, SubscriberNo,
};
use rstest::rstest;
use std::sync::atomic::{AtomicBool, Ordering};

const NOW: i64 = 1_790_000_000_000;

fn quiet(_: Phase, _: u64, _: u64) {}

async fn topology(store: &Store, network: &NetworkDefinition) -> ImportReport {
    import_topology(store, network.clone(), NOW, &quiet)
        .await
        .unwrap()
}

async fn subscribers(store: &Store, people: &[Subscriber]) -> ImportReport {
    import_subscribers(store, people.to_vec(), NOW, &quiet)
        .await
        .unwrap()
}

fn element(id: &str, kind: ElementKind) -> Element {
    Element {
        id: id.to_owned(),
        kind,
        name: format!("{id} in the cabinet"),
        site: None,
        gateway: kind == ElementKind::Bng,
        transit: None,
        redundancy: None,
        battery_minutes: None,
    }
}

fn link(a: &str, b: &str) -> Link {
    Link {
        id: format!("{a}--{b}"),
        a: a.to_owned(),
        b: b.to_owned(),
        transit: None,
    }
}

/// bng1 and bng2; olt1 on bng1; ONTs ont1 to ont3 on olt1.
fn small_network() -> NetworkDefinition {
    NetworkDefinition {
        sites: vec![Site {
            id: "s1".to_owned(),
            name: "Centrale Trastevere".to_owned(),
            position: Some(Position {
                latitude: 41.8825,
                longitude: 12.4695,
            }),
        }],
        elements: vec![
            element("bng1", ElementKind::Bng),
            element("bng2", ElementKind::Bng),
            Element {
                site: Some("s1".to_owned()),
                ..element("olt1", ElementKind::Olt)
            },
            element("ont1", ElementKind::Ont),
            element("ont2", ElementKind::Ont),
            element("ont3", ElementKind::Ont),
        ],
        links: vec![
            link("bng1", "bng2"),
            link("bng1", "olt1"),
            link("olt1", "ont1"),
            link("olt1", "ont2"),
            link("olt1", "ont3"),
        ],
        groups: vec![SharedRiskGroup {
            id: "duct1".to_owned(),
            kind: GroupKind::Duct,
            name: "Via dei Salumi".to_owned(),
            members: vec!["olt1".to_owned(), "bng1--bng2".to_owned()],
        }],
    }
}

fn person(account: &str, served_by: &str) -> Subscriber {
    Subscriber {
        account: account.to_owned(),
        name: format!("Person {account}"),
        language: "it".to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        segment: Segment::Residential,
        vulnerable: false,
        contact_points: vec![
            ContactPoint {
                kind: ContactKind::Email,
                value: format!("{account}@example.net"),
            },
            ContactPoint {
                kind: ContactKind::Phone,
                value: "+39 06 5550 0100".to_owned(),
            },
        ],
        channels: vec![ChannelKind::Sms, ChannelKind::Email],
        quiet_hours: QuietHours::parse("22:00-07:00"),
        consent: true,
        address: "Via dei Salumi 12, Roma".to_owned(),
        position: Some(Position {
            latitude: 41.888_123_456_789,
            longitude: 12.477_000_000_1,
        }),
        served_by: vec![served_by.to_owned()],
        redundancy: Redundancy::Any,
        cpe_serial: format!("CPE{account}"),
    }
}

fn sorted(mut network: NetworkDefinition) -> NetworkDefinition {
    network.sites.sort_by(|x, y| x.id.cmp(&y.id));
    network.elements.sort_by(|x, y| x.id.cmp(&y.id));
    network.links.sort_by(|x, y| x.id.cmp(&y.id));
    network.groups.sort_by(|x, y| x.id.cmp(&y.id));
    network
}

#[rstest]
#[tokio::test]
async fn the_same_import_twice_changes_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let people = [person("b", "ont2"), person("a", "ont1")];
    let first = topology(&t.store, &small_network()).await;
    assert!(first.changed);
    assert_eq!((first.records, first.difference.added), (13, 13));
    let of_people = subscribers(&t.store, &people).await;
    assert_eq!((of_people.records, of_people.difference.added), (2, 2));
    let versions = t.store.dataset_versions().await.unwrap();
    assert_eq!(
        (versions.topology, versions.subscribers),
        (first.version, of_people.version)
    );

    let mut shuffled = small_network();
    shuffled.elements.reverse();
    shuffled.links.reverse();
    shuffled.groups[0].members.reverse();
    let again = topology(&t.store, &shuffled).await;
    assert_eq!((again.changed, again.version), (false, first.version));
    assert_eq!(again.difference, Difference::default());
    let again = subscribers(&t.store, &[person("a", "ont1"), person("b", "ont2")]).await;
    assert_eq!((again.changed, again.version), (false, of_people.version));
    assert_eq!(t.store.dataset_versions().await.unwrap(), versions);
}

#[rstest]
#[tokio::test]
async fn a_report_says_what_was_added_removed_modified_and_moved(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    topology(&t.store, &small_network()).await;
    subscribers(
        &t.store,
        &[
            person("a", "ont1"),
            person("b", "ont2"),
            person("c", "ont3"),
        ],
    )
    .await;

    // olt1 moves to bng2 (one link goes, one comes), ont3 goes with its link, ont4 comes, ont1 gets
    // another name.
    let mut network = small_network();
    network.links[1] = link("bng2", "olt1");
    network.elements[5] = element("ont4", ElementKind::Ont);
    network.links[4] = link("olt1", "ont4");
    network.elements[3].name = "renamed".to_owned();
    let report = topology(&t.store, &network).await;
    assert_eq!(
        report.difference,
        Difference {
            added: 3,
            removed: 3,
            modified: 1,
            moved: 1,
        }
    );
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    assert!(report.warnings[0].starts_with("1 of 3 subscribers"));

    // a moves and changes its language, b changes its contacts, c goes, d comes.
    let mut people = [
        person("a", "ont4"),
        person("b", "ont2"),
        person("d", "ont1"),
    ];
    people[0].language = "en".to_owned();
    people[1].contact_points.pop();
    let report = subscribers(&t.store, &people).await;
    assert_eq!(
        report.difference,
        Difference {
            added: 1,
            removed: 1,
            modified: 2,
            moved: 1,
        }
    );
    let inventory = load_inventory(&t.store).await.unwrap();
    assert_eq!(inventory.warnings, Vec::<String>::new());
    assert_eq!(sorted(inventory.definition), sorted(network));
}

#[rstest]
#[tokio::test]
async fn a_member_named_twice_is_one_member(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut network = small_network();
    let members = &mut network.groups[0].members;
    members.push(members[0].clone());
    topology(&t.store, &network).await;
    for network in [network, small_network()] {
        let again = topology(&t.store, &network).await;
        assert_eq!(
            (again.changed, again.difference),
            (false, Difference::default())
        );
    }
}

/// Without that it may read all subscribers for a few of them, until its daemon comes by.
#[tokio::test]
async fn postgresql_has_counted_what_an_import_wrote() {
    let t = store(Backend::Postgres).await;
    let tables = [
        "site",
        "element",
        "link",
        "risk_group",
        "subscriber",
        "contact_point",
        "subscriber_key",
        "subscriber_position",
    ];
    assert_eq!(t.uncounted(&tables).await.len(), tables.len());
    topology(&t.store, &small_network()).await;
    subscribers(&t.store, &[person("somebody", "ont1")]).await;
    assert_eq!(t.uncounted(&tables).await, Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn subscribers_are_read_back_as_they_came(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    topology(&t.store, &small_network()).await;
    let bare = Subscriber {
        contact_points: Vec::new(),
        channels: Vec::new(),
        quiet_hours: None,
        consent: false,
        vulnerable: true,
        segment: Segment::Business,
        position: None,
        served_by: vec!["ont2".to_owned(), "ont1".to_owned()],
        redundancy: Redundancy::All,
        cpe_serial: String::new(),
        name: "Müller \"& figli\" עברית".to_owned(),
        ..person("bare", "ont2")
    };
    let full = person("full", "ont1");
    let version = subscribers(&t.store, &[full.clone(), bare.clone()])
        .await
        .version;

    let attachments = t.store.load_attachments(version).await.unwrap();
    let number = attachments
        .iter()
        .position(|attachment| attachment.account == "bare")
        .unwrap();
    assert_eq!(attachments[number].served_by, bare.served_by);
    assert_eq!(attachments[number].redundancy, Redundancy::All);
    let number = SubscriberNo(u32::try_from(number).unwrap());
    let other = SubscriberNo(1 - number.0);
    let read = t.store.subscriber_by_no(version, number).await.unwrap();
    assert_eq!(read.as_ref(), Some(&bare));
    let read = t
        .store
        .subscribers_by_no(version, &[other, number, SubscriberNo(7), other])
        .await
        .unwrap();
    let of_other = read.iter().find(|(no, _)| *no == other).unwrap();
    assert_eq!((read.len(), &of_other.1), (2, &full));
    let none = t.store.subscriber_by_no(version + 1, number).await.unwrap();
    assert_eq!(none, None);
}

#[rstest]
#[tokio::test]
async fn a_refused_import_leaves_nothing_behind(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let early = import_subscribers(&t.store, vec![person("a", "ont1")], NOW, &quiet).await;
    assert!(matches!(early, Err(ImportError::NoTopology)), "{early:?}");
    let empty = import_topology(&t.store, NetworkDefinition::default(), NOW, &quiet).await;
    assert!(matches!(empty, Err(ImportError::Empty("elements"))));
    assert_eq!(
        t.store.dataset_versions().await.unwrap(),
        DatasetVersions::default()
    );

    topology(&t.store, &small_network()).await;
    let before = t.store.dataset_versions().await.unwrap();
    let people = vec![
        person("a", "ont9"),
        person("b", "ont1"),
        person("b", "ont2"),
    ];
    let Err(ImportError::Invalid(violations)) =
        import_subscribers(&t.store, people, NOW, &quiet).await
    else {
        panic!("an unknown element and an account that stands twice must be refused");
    };
    let said: Vec<_> = violations
        .iter()
        .map(|v| (v.record, v.id.as_str(), v.field, v.value.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("subscriber", "a", "served_by", "ont9"),
            ("subscriber", "b", "account", "b")
        ]
    );
    assert_eq!(t.store.dataset_versions().await.unwrap(), before);
    let rows = t.store.load_attachments(1).await.unwrap();
    assert_eq!(rows, Vec::new());
}

#[rstest]
#[tokio::test]
async fn an_import_that_died_before_the_swap_is_never_seen(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let network = small_network();
    topology(&t.store, &network).await;
    // What a crash leaves: a number taken, some rows committed.
    let dead = t
        .store
        .begin_version(DatasetKind::Topology, NOW)
        .await
        .unwrap();
    let mut tx = t.store.begin().await.unwrap();
    tx.insert_elements(dead.version, 0, &network.elements[..4])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let inventory = load_inventory(&t.store).await.unwrap();
    assert_eq!(sorted(inventory.definition), sorted(network.clone()));

    let mut other = network.clone();
    other.elements[0].name = "changed".to_owned();
    let report = topology(&t.store, &other).await;
    assert!(report.version > dead.version);
    let inventory = load_inventory(&t.store).await.unwrap();
    assert_eq!(sorted(inventory.definition), sorted(other));
    let left = t.store.load_definition(dead.version).await.unwrap();
    assert_eq!(left, NetworkDefinition::default());
}

#[rstest]
#[tokio::test]
async fn of_two_imports_at_a_time_the_one_that_began_last_wins(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let kind = DatasetKind::Topology;
    let first = t.store.begin_version(kind, NOW).await.unwrap();
    let second = t.store.begin_version(kind, NOW).await.unwrap();
    let mut tx = t.store.begin().await.unwrap();
    assert!(!tx.holds(&first).await.unwrap());
    assert!(tx.holds(&second).await.unwrap());
    drop(tx);
    assert!(!t.store.publish_version(&first, NOW).await.unwrap());
    assert!(t.store.publish_version(&second, NOW).await.unwrap());

    // Subscribers that were checked against a network that is no longer current.
    let people = t
        .store
        .begin_version(DatasetKind::Subscribers, NOW)
        .await
        .unwrap();
    topology(&t.store, &small_network()).await;
    assert!(!t.store.publish_version(&people, NOW).await.unwrap());
}

#[rstest]
#[tokio::test]
async fn readers_see_the_old_network_or_the_new_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let large = |name: &str| {
        let mut network = small_network();
        for number in 0..25_000 {
            network.elements.push(Element {
                name: name.to_owned(),
                ..element(&format!("x{number}"), ElementKind::Router)
            });
        }
        network
    };
    let (old, new) = (large("old"), large("new"));
    topology(&t.store, &old).await;
    let (old, new_sorted) = (sorted(old), sorted(new.clone()));
    let (finished, ended) = tokio::sync::oneshot::channel::<()>();
    let writer = async {
        topology(&t.store, &new).await;
        finished.send(()).unwrap();
    };
    let reader = async {
        let (mut ended, mut seen) = (ended, 0);
        while ended.try_recv().is_err() {
            let read = sorted(load_inventory(&t.store).await.unwrap().definition);
            assert!(read == old || read == new_sorted, "a mix was read");
            seen += 1;
        }
        seen
    };
    let ((), seen) = tokio::join!(writer, reader);
    assert!(seen > 0);
    let read = load_inventory(&t.store).await.unwrap().definition;
    assert!(sorted(read) == new_sorted);
}

#[rstest]
#[tokio::test]
async fn subscribers_of_elements_that_are_gone_do_not_stop_the_service(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    topology(&t.store, &small_network()).await;
    let mut both = person("both", "ont1");
    both.served_by.push("ont3".to_owned());
    subscribers(&t.store, &[both, person("one", "ont3")]).await;
    let mut network = small_network();
    network.elements.truncate(5);
    network.links.truncate(4);
    let report = topology(&t.store, &network).await;
    let inventory = load_inventory(&t.store).await.unwrap();
    assert_eq!(report.warnings, inventory.warnings);
    assert_eq!(inventory.warnings.len(), 2, "{:?}", inventory.warnings);
    let served: Vec<_> = inventory.attachments.iter().map(|a| &a.served_by).collect();
    assert_eq!(served, [&vec!["ont1".to_owned()], &vec![]]);
    let loaded = load_network(&t.store).await.unwrap();
    assert_eq!(loaded.network.subscriber_count(), 2);
    assert!(loaded.network.subscriber("one").is_some());
}

#[tokio::test]
async fn progress_ends_at_the_total() {
    let t = store(Backend::Sqlite).await;
    let told = std::sync::Mutex::new(Vec::new());
    let progress = |phase: Phase, done: u64, total: u64| {
        told.lock().unwrap().push((phase.as_str(), done, total));
    };
    import_topology(&t.store, small_network(), NOW, &progress)
        .await
        .unwrap();
    let told = told.into_inner().unwrap();
    assert_eq!(told.last(), Some(&("writing", 13, 13)));
    assert!(told.iter().all(|(_, done, total)| done <= total));
}

#[tokio::test]
async fn another_process_can_write_between_the_chunks_of_an_import() {
    const CHUNKS: usize = 30;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/t.db", dir.path().display());
    // Two stores on one file are to SQLite what two processes are.
    let (importing, serving) = (
        Store::open(&url).await.unwrap(),
        Store::open(&url).await.unwrap(),
    );
    let elements: Vec<_> = (0..2_000)
        .map(|number| element(&format!("x{number}"), ElementKind::Ont))
        .collect();
    let ended = AtomicBool::new(false);
    let import = async {
        for chunk in 0..CHUNKS {
            let mut tx = importing.begin().await.unwrap();
            tx.insert_elements(1, chunk * elements.len(), &elements)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            importing.let_others_write().await;
        }
        ended.store(true, Ordering::Relaxed);
    };
    let alarms = async {
        let mut written = 0;
        while !ended.load(Ordering::Relaxed) {
            serving.begin().await.unwrap().commit().await.unwrap();
            written += 1;
        }
        written
    };
    let ((), written) = tokio::join!(import, alarms);
    assert!(written >= CHUNKS, "{written} writes in {CHUNKS} gaps");
}
