//! Who is found by what: the same as by looking at everybody.

use super::{person, small_network, subscribers, topology};
use crate::support::{Backend, store};
use forewarn::care::SearchKey;
use forewarn::store::Store;
use forewarn::subscriber::{
    ContactKind, ContactPoint, Subscriber, address_key, contact_key, serial_key,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;
use std::collections::BTreeSet;

const ADDRESSES: [&str; 7] = [
    "",
    "Via Po 1",
    "VIA PO, 1",
    "Via Po 12",
    "Largo Àncona 3",
    "Largo A\u{300}ncona 3",
    "LARGO ANCONA 4",
];
const SERIALS: [&str; 5] = ["", "ab1", " AB1", "CD2", "cd2"];
const CONTACTS: [(ContactKind, &str); 7] = [
    (ContactKind::Email, "A@example.net"),
    (ContactKind::Email, "a@example.net"),
    (ContactKind::Email, "b@example.net"),
    (ContactKind::Phone, "+39 06 5550 0100"),
    (ContactKind::Phone, "0039 0655500100"),
    (ContactKind::Phone, "+39 06 5550 0101"),
    (ContactKind::Push, "a@example.net"),
];

prop_compose! {
    fn any_person(no: usize)(
        address in prop::sample::select(&ADDRESSES[..]),
        serial in prop::sample::select(&SERIALS[..]),
        contacts in prop::collection::vec(prop::sample::select(&CONTACTS[..]), 0..4),
    ) -> Subscriber {
        let points = contacts.into_iter().map(|(kind, value)| ContactPoint {
            kind,
            value: value.to_owned(),
        });
        Subscriber {
            address: address.to_owned(),
            cpe_serial: serial.to_owned(),
            contact_points: points.collect(),
            ..person(&format!("a{no}"), "ont1")
        }
    }
}

fn any_people() -> impl Strategy<Value = Vec<Subscriber>> {
    (1_usize..9).prop_flat_map(|count| (0..count).map(any_person).collect::<Vec<_>>())
}

fn is_meant(key: &SearchKey, person: &Subscriber) -> bool {
    let has = |kind: ContactKind, key: &str| {
        let mut points = person.contact_points.iter();
        points.any(|point| point.kind == kind && contact_key(kind, &point.value) == key)
    };
    match key {
        SearchKey::Account(text) => [text.clone(), text.to_uppercase()].contains(&person.account),
        SearchKey::CpeSerial(key) => serial_key(&person.cpe_serial) == *key,
        SearchKey::Email(key) => has(ContactKind::Email, key),
        SearchKey::Phone(key) => has(ContactKind::Phone, key),
        SearchKey::Address(prefix) => address_key(&person.address).starts_with(prefix),
    }
}

async fn compare(store: &Store, people: &[Subscriber]) {
    let keys = [
        SearchKey::Account("a0".to_owned()),
        SearchKey::CpeSerial("AB1".to_owned()),
        SearchKey::CpeSerial("CD2".to_owned()),
        SearchKey::Email("a@example.net".to_owned()),
        SearchKey::Email("b@example.net".to_owned()),
        SearchKey::Phone("390655500100".to_owned()),
        SearchKey::Phone("390655500101".to_owned()),
        SearchKey::Address("via po 1".to_owned()),
        SearchKey::Address("largo anc".to_owned()),
    ];
    for key in keys {
        let found = store.find_customers(&key, 100).await.unwrap();
        let meant: BTreeSet<&str> = people
            .iter()
            .filter(|person| is_meant(&key, person))
            .map(|person| person.account.as_str())
            .collect();
        let accounts: BTreeSet<&str> = found.iter().map(|c| c.account.as_str()).collect();
        assert_eq!(accounts, meant, "{key:?} among {people:#?}");
        assert_eq!(found.len(), meant.len(), "{key:?}: nobody twice");
    }
}

/// Each import replaces the one before, so that old versions lie about whose people must not be found.
#[rstest]
#[tokio::test]
async fn people_are_found_as_by_looking_at_everybody(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    topology(&t.store, &small_network()).await;
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..30 {
        let people = any_people().new_tree(&mut runner).unwrap().current();
        subscribers(&t.store, &people).await;
        compare(&t.store, &people).await;
    }
}
