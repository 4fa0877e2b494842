//! Tables `subscriber_key`, `subscriber_position`: what finds a subscriber besides account and number.
//!
//! Invariant: both lists come sorted, each in the order of its table's key. A list in any other order
//! is right as well, but costs a change to almost every page of the table for each few thousand rows:
//! as indexes of `subscriber`, filled in the order of the accounts, these took three quarters of the
//! time of an import.

use super::bulk::{self, Table};
use super::{Result, Tx};
use crate::subscriber::{ContactKind, Subscriber, address_key, contact_key, serial_key};
use crate::topology::{Position, SubscriberNo};

const KEY: Table = Table {
    name: "subscriber_key",
    columns: &["version", "kind", "key", "subscriber_no"],
};
const POSITION: Table = Table {
    name: "subscriber_position",
    columns: &["version", "latitude", "longitude", "subscriber_no"],
};

/// What a key is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    Address,
    CpeSerial,
    Email,
    Phone,
}

impl KeyKind {
    /// In the order of their names, which is that of the table.
    pub const ALL: [Self; 4] = [Self::Address, Self::CpeSerial, Self::Email, Self::Phone];

    /// Name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::CpeSerial => "cpe_serial",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    fn keys_of(self, subscriber: &Subscriber) -> Vec<String> {
        let contacts = |kind: ContactKind| {
            let points = subscriber.contact_points.iter();
            let of_kind = points.filter(move |point| point.kind == kind);
            of_kind
                .map(|point| contact_key(kind, &point.value))
                .collect()
        };
        match self {
            Self::Address => vec![address_key(&subscriber.address)],
            Self::CpeSerial => vec![serial_key(&subscriber.cpe_serial)],
            Self::Email => contacts(ContactKind::Email),
            Self::Phone => contacts(ContactKind::Phone),
        }
    }
}

/// A text by which a subscriber is found: an address key, a contact key or a serial key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscriberKey {
    kind: KeyKind,
    key: String,
    number: SubscriberNo,
}

impl SubscriberKey {
    /// The keys of one kind of the subscribers numbered from 0, sorted; none that is empty.
    pub fn sorted(kind: KeyKind, subscribers: &[Subscriber]) -> Vec<Self> {
        let mut keys: Vec<Self> = (0_u32..)
            .zip(subscribers)
            .flat_map(|(number, subscriber)| {
                let keys = kind.keys_of(subscriber).into_iter();
                keys.map(move |key| Self {
                    kind,
                    key,
                    number: SubscriberNo(number),
                })
            })
            .filter(|key| !key.key.is_empty())
            .collect();
        keys.sort_unstable();
        // A person may give the same number twice.
        keys.dedup();
        keys
    }
}

/// Where a subscriber's premises are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PremisesPosition {
    position: Position,
    number: SubscriberNo,
}

impl PremisesPosition {
    /// The positions of the subscribers numbered from 0, sorted; those without one are left out.
    pub fn sorted(subscribers: &[Subscriber]) -> Vec<Self> {
        let mut all: Vec<Self> = (0_u32..)
            .zip(subscribers)
            .filter_map(|(number, subscriber)| {
                let position = subscriber.position?;
                let number = SubscriberNo(number);
                Some(Self { position, number })
            })
            .collect();
        all.sort_unstable_by(|a, b| {
            let by_latitude = a.position.latitude.total_cmp(&b.position.latitude);
            by_latitude
                .then_with(|| a.position.longitude.total_cmp(&b.position.longitude))
                .then_with(|| a.number.cmp(&b.number))
        });
        all
    }
}

impl Tx {
    /// Writes what subscribers of a version are found by.
    pub async fn insert_subscriber_keys(
        &mut self,
        version: i64,
        keys: &[SubscriberKey],
    ) -> Result<()> {
        bulk::insert(self, KEY, keys, |key, row| {
            row.i64(version);
            row.text(key.kind.as_str());
            row.text(key.key.as_str());
            row.i64(i64::from(key.number.0));
        })
        .await
    }

    /// Writes where premises of a version are.
    pub async fn insert_subscriber_positions(
        &mut self,
        version: i64,
        positions: &[PremisesPosition],
    ) -> Result<()> {
        bulk::insert(self, POSITION, positions, |premises, row| {
            row.i64(version);
            row.f64(premises.position.latitude);
            row.f64(premises.position.longitude);
            row.i64(i64::from(premises.number.0));
        })
        .await
    }
}
