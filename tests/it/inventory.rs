//! Imports of networks and subscribers: versions, reports, and what a failed one leaves behind.

use crate::support::{Backend, store};
use clap::{Args as _, FromArgMatches as _};
use forewarn::cli::import::{self, ImportArgs};
use forewarn::clock::Clock;
use forewarn::pipeline::difference::Difference;
use forewarn::pipeline::importer::{
    ImportError, ImportReport, Phase, import_subscribers, import_topology, load_inventory,
    load_network,
};
use forewarn::proto::v1;
use forewarn::proto::v1::inventory_service_client::InventoryServiceClient;
use forewarn::proto::v1::inventory_service_server::InventoryServiceServer;
use forewarn::proto::v1::topology_record::Record;
use forewarn::rpc::auth::{Caller, Role};
use forewarn::rpc::inventory::Inventory;
use forewarn::store::{DatasetKind, DatasetVersions, Store};
use forewarn::subscriber::{
    ChannelKind, ContactKind, ContactPoint, QuietHours, Segment, Subscriber,
};
use forewarn::topology::{
    Element, ElementKind, GroupKind, Link, Network, NetworkDefinition, Position, Redundancy,
    SharedRiskGroup, Site, SubscriberNo,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

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
        for number in 0..1_000 {
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

prop_compose! {
    fn any_element()(
        number in 0..12_u8,
        kind in prop::sample::select(&ElementKind::ALL[..]),
        name in "\\PC{0,12}",
        site in prop::option::of(0..4_u8),
        gateway in prop::bool::weighted(0.3),
        transit: Option<bool>,
        all in prop::bool::weighted(0.3),
    ) -> Element {
        Element {
            id: format!("e{number}"),
            kind,
            name,
            site: site.map(|site| format!("s{site}")),
            gateway,
            transit,
            redundancy: Some(if all && !gateway && transit == Some(false) {
                Redundancy::All
            } else {
                Redundancy::Any
            }),
        }
    }
}

/// Networks whose references hold.
fn any_network() -> impl Strategy<Value = NetworkDefinition> {
    let elements = prop::collection::vec(any_element(), 1..12);
    let links = prop::collection::vec(
        (0..30_u8, 0..12_usize, 0..12_usize, any::<Option<bool>>()),
        0..20,
    );
    let groups = prop::collection::vec(
        (
            0..5_u8,
            prop::sample::select(&GroupKind::ALL[..]),
            prop::collection::vec(0..12_usize, 1..4),
        ),
        0..4,
    );
    let positions = prop::collection::vec(prop::option::of((-90.0..90.0, -180.0..180.0)), 4);
    (elements, links, groups, positions)
        .prop_map(|(elements, links, groups, positions)| {
            let elements: BTreeMap<_, _> =
                elements.into_iter().map(|e| (e.id.clone(), e)).collect();
            let elements: Vec<_> = elements.into_values().collect();
            let id = |at: usize| elements[at % elements.len()].id.clone();
            let links: BTreeMap<_, _> = links
                .into_iter()
                .filter(|(_, a, b, _)| id(*a) != id(*b))
                .map(|(number, a, b, transit)| {
                    let link = Link {
                        id: format!("l{number}"),
                        a: id(a),
                        b: id(b),
                        transit,
                    };
                    (number, link)
                })
                .collect();
            let groups: BTreeMap<_, _> = groups
                .into_iter()
                .map(|(number, kind, members)| {
                    let members: BTreeSet<_> = members.into_iter().map(id).collect();
                    let group = SharedRiskGroup {
                        id: format!("g{number}"),
                        kind,
                        name: String::new(),
                        members: members.into_iter().collect(),
                    };
                    (number, group)
                })
                .collect();
            let sites = positions.into_iter().enumerate().map(|(number, at)| Site {
                id: format!("s{number}"),
                name: "site".to_owned(),
                position: at.map(|(latitude, longitude)| Position {
                    latitude,
                    longitude,
                }),
            });
            NetworkDefinition {
                sites: sites.collect(),
                links: links.into_values().collect(),
                groups: groups.into_values().collect(),
                elements,
            }
        })
        .prop_filter("a network that can be built", |network| {
            Network::build(network, &[]).is_ok()
        })
}

/// The difference, found by looking at every pair.
fn slow_difference(old: &NetworkDefinition, new: &NetworkDefinition) -> Difference {
    fn of<T: PartialEq>(old: &[T], new: &[T], same: impl Fn(&T, &T) -> bool) -> [u64; 3] {
        let count = |n: usize| n as u64;
        let was = |n: &&T| old.iter().find(|o| same(o, n)).is_some();
        let is = |o: &&T| new.iter().find(|n| same(o, n)).is_some();
        let both = new.iter().filter(was);
        [
            count(new.len() - new.iter().filter(was).count()),
            count(old.len() - old.iter().filter(is).count()),
            count(both.filter(|n| !old.contains(n)).count()),
        ]
    }
    let parents = |network: &NetworkDefinition, id: &str| {
        let incoming = network.links.iter().filter(|link| link.b == id);
        let mut from: Vec<_> = incoming.map(|link| link.a.clone()).collect();
        from.sort();
        from
    };
    let parts = [
        of(&old.sites, &new.sites, |x, y| x.id == y.id),
        of(&old.elements, &new.elements, |x, y| x.id == y.id),
        of(&old.links, &new.links, |x, y| x.id == y.id),
        of(&old.groups, &new.groups, |x, y| x.id == y.id),
    ];
    let moved = new.elements.iter().filter(|n| {
        old.elements.iter().any(|o| o.id == n.id) && parents(old, &n.id) != parents(new, &n.id)
    });
    Difference {
        added: parts.iter().map(|p| p[0]).sum(),
        removed: parts.iter().map(|p| p[1]).sum(),
        modified: parts.iter().map(|p| p[2]).sum(),
        moved: moved.count() as u64,
    }
}

#[rstest]
#[tokio::test]
async fn any_network_is_read_back_and_compared_right(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut runner = TestRunner::new(Config::default());
    let mut before = NetworkDefinition::default();
    for _ in 0..40 {
        let network = any_network().new_tree(&mut runner).unwrap().current();
        let report = topology(&t.store, &network).await;
        assert_eq!(
            report.difference,
            slow_difference(&before, &network),
            "from {before:#?} to {network:#?}"
        );
        let read = load_inventory(&t.store).await.unwrap().definition;
        assert_eq!(sorted(read), sorted(network.clone()));
        before = network;
    }
}

/// A server with the one service, whose callers have that role.
async fn serve(store: &Store, role: Role) -> InventoryServiceClient<Channel> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = InventoryServiceServer::with_interceptor(
        Inventory::new(store.clone(), Clock::manual(NOW)),
        move |mut request: tonic::Request<()>| {
            request.extensions_mut().insert(Caller {
                name: "test".to_owned(),
                role,
            });
            Ok(request)
        },
    );
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(incoming);
    #[allow(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(server);
    InventoryServiceClient::connect(format!("http://{address}"))
        .await
        .unwrap()
}

fn record(record: Record) -> v1::TopologyRecord {
    v1::TopologyRecord {
        record: Some(record),
    }
}

fn network_messages() -> Vec<v1::ImportTopologyRequest> {
    let element = |id: &str, kind: &str, gateway| {
        record(Record::Element(v1::Element {
            id: id.to_owned(),
            kind: kind.to_owned(),
            gateway,
            ..v1::Element::default()
        }))
    };
    let link = v1::Link {
        id: "l1".to_owned(),
        a: "bng1".to_owned(),
        b: "ont1".to_owned(),
        transit: None,
    };
    vec![
        v1::ImportTopologyRequest {
            records: vec![record(Record::Link(link)), element("ont1", "ont", false)],
        },
        v1::ImportTopologyRequest {
            records: vec![element("bng1", "bng", true)],
        },
    ]
}

fn subscriber_message(account: &str, served_by: &str) -> v1::SubscriberRecord {
    v1::SubscriberRecord {
        account: account.to_owned(),
        language: "it".to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        segment: "residential".to_owned(),
        served_by: vec![served_by.to_owned()],
        ..v1::SubscriberRecord::default()
    }
}

#[rstest]
#[tokio::test]
async fn networks_and_subscribers_come_in_over_grpc(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let mut client = serve(&t.store, Role::Admin).await;
    let people = |served_by: &str| {
        tokio_stream::iter([v1::ImportSubscribersRequest {
            subscribers: vec![subscriber_message("a", served_by)],
        }])
    };
    let early = client.import_subscribers(people("ont1")).await.unwrap_err();
    assert_eq!(early.code(), tonic::Code::FailedPrecondition);

    let report = client
        .import_topology(tokio_stream::iter(network_messages()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((report.changed, report.records, report.added), (true, 3, 3));
    let again = client
        .import_topology(tokio_stream::iter(network_messages()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((again.changed, again.version), (false, report.version));

    let stray = client.import_subscribers(people("ont9")).await.unwrap_err();
    assert_eq!(stray.code(), tonic::Code::InvalidArgument);
    let violations = stray.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "subscriber[\"a\"].served_by");
    client.import_subscribers(people("ont1")).await.unwrap();
    let inventory = client
        .get_inventory(v1::GetInventoryRequest {})
        .await
        .unwrap()
        .into_inner();
    let counts = [
        inventory.elements,
        inventory.links,
        inventory.gateways,
        inventory.subscribers,
        inventory.sites,
    ];
    assert_eq!(counts, [2, 1, 1, 1, 0]);
    assert_eq!(inventory.topology_version, report.version);
}

#[tokio::test]
async fn every_wrong_record_of_a_stream_is_named() {
    let t = store(Backend::Sqlite).await;
    let mut client = serve(&t.store, Role::Admin).await;
    let mut messages = network_messages();
    if let Some(Record::Element(element)) = &mut messages[1].records[0].record {
        element.kind = "toaster".to_owned();
    }
    messages[0]
        .records
        .push(v1::TopologyRecord { record: None });
    let refused = client
        .import_topology(tokio_stream::iter(messages))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
    assert!(fields.contains(&"records[3].kind"), "{fields:?}");
    assert!(fields.contains(&"records[2].type"), "{fields:?}");
    assert!(violations.iter().any(|v| v.description.contains("toaster")));
    let versions = t.store.dataset_versions().await.unwrap();
    assert_eq!(versions, DatasetVersions::default());
}

#[tokio::test]
async fn only_an_admin_imports_and_ingest_may_not_even_look() {
    let t = store(Backend::Sqlite).await;
    for role in [Role::Operator, Role::Care, Role::Ingest] {
        let mut client = serve(&t.store, role).await;
        let refused = client
            .import_topology(tokio_stream::iter(network_messages()))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        let looked = client.get_inventory(v1::GetInventoryRequest {}).await;
        assert_eq!(looked.is_ok(), role != Role::Ingest);
    }
}

#[tokio::test]
async fn a_second_stream_is_refused_while_one_runs() {
    let t = store(Backend::Sqlite).await;
    let mut first = serve(&t.store, Role::Admin).await;
    let mut second = first.clone();
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let running = first.import_topology(tokio_stream::wrappers::ReceiverStream::new(receive));
    let intruder = async {
        // Once a second message finds room, the server has taken the first, so the import runs.
        for message in network_messages() {
            send.send(message).await.unwrap();
        }
        send.send(v1::ImportTopologyRequest::default())
            .await
            .unwrap();
        let refused = loop {
            let all = tokio_stream::iter(network_messages());
            match second.import_topology(all).await {
                Err(status) => break status,
                // The other call had not reached the server yet.
                Ok(_) => tokio::task::yield_now().await,
            }
        };
        drop(send);
        refused
    };
    let (outcome, refused) = tokio::join!(running, intruder);
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    outcome.unwrap();
}

fn import_args(words: &[&str]) -> ImportArgs {
    let command = ImportArgs::augment_args(clap::Command::new("import").no_binary_name(true));
    ImportArgs::from_arg_matches(&command.get_matches_from(words)).unwrap()
}

#[tokio::test]
async fn the_command_imports_files_and_refuses_wrong_ones() {
    let t = store(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut file = Vec::new();
    forewarn::topology::write_jsonl(&small_network(), &mut file).unwrap();
    std::fs::write(path("network.jsonl"), &file).unwrap();
    let run = async |words: &[&str]| import::run(import_args(words), &t.store, NOW).await;
    let done = run(&["topology", &path("network.jsonl"), "--json"]).await;
    assert_eq!(done.unwrap(), ExitCode::SUCCESS);

    let mut people = Vec::new();
    let wrong = [person("a", "ont1"), person("b", "nowhere")];
    forewarn::subscriber::write_csv(&wrong, &mut people).unwrap();
    std::fs::write(path("people.csv"), &people).unwrap();
    let refused = run(&["subscribers", &path("people.csv")]).await;
    assert_eq!(refused.unwrap(), ExitCode::FAILURE);
    assert_eq!(t.store.dataset_versions().await.unwrap().subscribers, 0);
    let Err(ImportError::Invalid(errors)) =
        import_subscribers(&t.store, wrong.to_vec(), NOW, &quiet).await
    else {
        panic!("an unknown element must be refused");
    };
    let texts =
        forewarn::subscriber::locate_errors(people.as_slice(), "people.csv", &errors).unwrap();
    assert_eq!(
        texts,
        ["people.csv:3: served_by: \"nowhere\" is not the id of an element of the current network"]
    );

    forewarn::subscriber::write_csv(&wrong[..1], std::fs::File::create(path("one.csv")).unwrap())
        .unwrap();
    let done = run(&["subscribers", &path("one.csv")]).await;
    assert_eq!(done.unwrap(), ExitCode::SUCCESS);
    assert!(run(&["topology", &path("missing.csv")]).await.is_err());
}

#[test]
fn an_error_that_shows_after_reading_is_said_with_its_line() {
    let mut network = small_network();
    network.elements[0].redundancy = Some(Redundancy::All);
    let errors = Network::build(&network, &[]).unwrap_err();
    let mut file = Vec::new();
    forewarn::topology::write_jsonl(&network, &mut file).unwrap();
    let texts = forewarn::topology::locate_errors(file.as_slice(), "n.jsonl", &errors).unwrap();
    assert!(
        texts[0].starts_with("n.jsonl:2: redundancy: \"all\" is not"),
        "{texts:?}"
    );
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
