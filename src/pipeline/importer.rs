//! Takes a network or its subscribers in as a new version, all or nothing, and gives the current
//! version out.
//!
//! Invariants: nothing is written when nothing differs; readers see the old version until the last,
//! tiny transaction; an import that dies leaves rows that nobody sees. Writes come in short
//! transactions, because alarms wait behind them for SQLite's only writer.

use super::difference::{Difference, SubscriberComparison, compare_networks};
use crate::clock::Millis;
use crate::geography::NetworkMap;
use crate::store::{
    DatasetKind, DatasetVersions, ImportTicket, KeyKind, PremisesPosition, Store, StoreError,
    SubscriberKey, Tx,
};
use crate::subscriber::{SERVING, Subscriber, SubscriberParser};
use crate::topology::{
    Attachment, Element, ElementKind, MAX_ERRORS, Network, NetworkDefinition, NetworkError,
    Position, SubscriberNo,
};
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Version now current; the one before when nothing changed.
    pub version: i64,
    pub changed: bool,
    /// Records of the import.
    pub records: u64,
    #[serde(flatten)]
    pub difference: Difference,
    /// What is odd but allowed.
    pub warnings: Vec<String>,
}

/// Why an import changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// At most [`MAX_ERRORS`].
    #[error("the import was refused; {} reasons were found", .0.len())]
    Invalid(Vec<NetworkError>),
    #[error("the import holds no {0}; an empty import would take away everything")]
    Empty(&'static str),
    #[error("subscribers need a network: import the topology first")]
    NoTopology,
    #[error("another import of the {0} began or ended meanwhile; this one changed nothing")]
    Superseded(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a step of the import was stopped before its end")]
    Stopped(#[from] tokio::task::JoinError),
}

/// What an import is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Compare,
    Check,
    Write,
    /// Writing what subscribers are found by.
    Index,
}

impl Phase {
    /// For a person who waits.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "checking",
            Self::Compare => "comparing",
            Self::Write => "writing",
            Self::Index => "indexing",
        }
    }
}

/// Is told the phase, the records done and their total.
pub type OnProgress<'a> = &'a (dyn Fn(Phase, u64, u64) + Send + Sync);

/// How long it should take to write one transaction where there is one writer at a time: alarms wait
/// behind it, and the import pays for each with a commit and a gap.
const TRANSACTION: Duration = Duration::from_millis(250);
/// Records of the first transaction, and least and most of the later ones.
const FIRST_RECORDS: usize = 1_000;
const FEWEST_RECORDS: usize = 2_000;
const MOST_RECORDS: usize = 20_000;

/// The current network and what serves each subscriber, of one moment.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub versions: DatasetVersions,
    pub definition: NetworkDefinition,
    /// By subscriber number; ids of elements that the network does not have are left out.
    pub attachments: Vec<Attachment>,
    /// Of the premises, by subscriber number.
    pub positions: Vec<Option<Position>>,
    /// What does not fit together between the two.
    pub warnings: Vec<String>,
}

/// The current network with its subscribers, ready to answer.
#[derive(Debug)]
pub struct LoadedNetwork {
    pub versions: DatasetVersions,
    pub network: Network,
    /// Where its subscribers and elements are.
    pub map: NetworkMap,
    /// What does not fit together, or looks wrong.
    pub warnings: Vec<String>,
}

/// Why the current network cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored network is not valid, the first reason of {}: {}", .0.len(), .0[0])]
    Invalid(Vec<NetworkError>),
    #[error("building the network was stopped before its end")]
    Stopped(#[from] tokio::task::JoinError),
}

/// Id of the element that stands in for those that the network does not have. No link leads to it,
/// so no fault hits what hangs from it. Imports refuse ids that begin with a space.
const NOT_IN_NETWORK: &str = " (not in the network)";

/// Reads the current versions and builds the network; an empty one before the first import.
pub async fn load_network(store: &Store) -> Result<LoadedNetwork, LoadError> {
    let inventory = load_inventory(store).await?;
    tokio::task::spawn_blocking(move || build(inventory)).await?
}

fn build(inventory: Inventory) -> Result<LoadedNetwork, LoadError> {
    let Inventory {
        versions,
        mut definition,
        mut attachments,
        positions,
        mut warnings,
    } = inventory;
    if versions.topology == 0 {
        return Ok(LoadedNetwork {
            versions,
            network: Network::empty(),
            map: NetworkMap::default(),
            warnings,
        });
    }
    let lost = attachments.iter_mut().filter(|a| a.served_by.is_empty());
    let stand_in = lost.map(|a| a.served_by.push(NOT_IN_NETWORK.to_owned()));
    if stand_in.count() > 0 {
        definition.elements.push(Element {
            id: NOT_IN_NETWORK.to_owned(),
            kind: ElementKind::Other,
            name: String::new(),
            site: None,
            gateway: false,
            transit: Some(false),
            redundancy: None,
            battery_minutes: None,
        });
    }
    let network = Network::build(&definition, &attachments).map_err(LoadError::Invalid)?;
    warnings.extend(network.warnings());
    Ok(LoadedNetwork {
        versions,
        map: NetworkMap::build(&network, &positions),
        network,
        warnings,
    })
}

/// Reads the current versions of network and subscribers.
pub async fn load_inventory(store: &Store) -> Result<Inventory, LoadError> {
    loop {
        let versions = store.dataset_versions().await?;
        let (definition, mut attachments, positions) = tokio::try_join!(
            store.load_definition(versions.topology),
            store.load_attachments(versions.subscribers),
            store.load_positions(versions.subscribers),
        )?;
        // Rows of a version that was replaced meanwhile may be half swept.
        if store.dataset_versions().await? != versions {
            continue;
        }
        let checked = tokio::task::spawn_blocking(move || {
            let warnings = detach_unknown(&definition, &mut attachments);
            Inventory {
                versions,
                definition,
                attachments,
                positions,
                warnings,
            }
        });
        return Ok(checked.await?);
    }
}

/// Replaces the network. The caller has checked each record by itself.
pub async fn import_topology(
    store: &Store,
    definition: NetworkDefinition,
    now_ms: Millis,
    progress: OnProgress<'_>,
) -> Result<ImportReport, ImportError> {
    if definition.elements.is_empty() {
        return Err(ImportError::Empty("elements"));
    }
    let records = network_records(&definition);
    let definition = Arc::new(definition);
    progress(Phase::Compare, 0, records);
    let versions = store.dataset_versions().await?;
    let old = store.load_definition(versions.topology).await?;
    let new = Arc::clone(&definition);
    let difference = tokio::task::spawn_blocking(move || compare_networks(&old, &new)).await?;
    progress(Phase::Compare, records, records);
    if difference.is_empty() {
        return Ok(unchanged(versions.topology, records));
    }
    progress(Phase::Check, 0, records);
    let mut attachments = store.load_attachments(versions.subscribers).await?;
    let new = Arc::clone(&definition);
    let warnings = tokio::task::spawn_blocking(move || {
        let network = Network::build(&new, &[]).map_err(ImportError::Invalid)?;
        let mut warnings = network.warnings();
        warnings.extend(detach_unknown(&new, &mut attachments));
        Ok::<_, ImportError>(warnings)
    })
    .await??;
    progress(Phase::Check, records, records);
    let rows = Rows::Network(&definition);
    replace(store, rows, versions, now_ms, progress)
        .await
        .map(|version| changed(version, records, difference, warnings))
}

/// Adds to what is wrong with subscribers what takes the network to see, if anything is: else
/// [`import_subscribers`] says it.
pub async fn check_refused(
    store: &Store,
    mut parser: SubscriberParser,
) -> Result<SubscriberParser, ImportError> {
    let looked = tokio::task::spawn_blocking(move || (parser.is_right(), parser));
    let (is_right, mut parser) = looked.await?;
    let versions = store.dataset_versions().await?;
    if is_right || versions.topology == 0 {
        return Ok(parser);
    }
    let elements = store.load_element_ids(versions.topology).await?;
    let checked = tokio::task::spawn_blocking(move || {
        parser.check_served_by(&elements);
        parser
    });
    Ok(checked.await?)
}

/// Replaces the subscribers. The caller has checked each record by itself.
pub async fn import_subscribers(
    store: &Store,
    subscribers: Vec<Subscriber>,
    now_ms: Millis,
    progress: OnProgress<'_>,
) -> Result<ImportReport, ImportError> {
    if subscribers.is_empty() {
        return Err(ImportError::Empty("subscribers"));
    }
    let records = subscribers.len() as u64;
    progress(Phase::Check, 0, records);
    let versions = store.dataset_versions().await?;
    if versions.topology == 0 {
        return Err(ImportError::NoTopology);
    }
    let elements = store.load_element_ids(versions.topology).await?;
    let subscribers =
        tokio::task::spawn_blocking(move || check_subscribers(subscribers, &elements)).await??;
    progress(Phase::Check, records, records);
    let difference = compare_subscribers(store, versions, &subscribers, progress).await?;
    if difference.is_empty() {
        return Ok(unchanged(versions.subscribers, records));
    }
    let subscribers = Arc::new(subscribers);
    let rows = Rows::Subscribers(&subscribers);
    replace(store, rows, versions, now_ms, progress)
        .await
        .map(|version| changed(version, records, difference, Vec::new()))
}

fn network_records(definition: &NetworkDefinition) -> u64 {
    let NetworkDefinition {
        sites,
        elements,
        links,
        groups,
    } = definition;
    (sites.len() + elements.len() + links.len() + groups.len()) as u64
}

fn unchanged(version: i64, records: u64) -> ImportReport {
    ImportReport {
        version,
        changed: false,
        records,
        difference: Difference::default(),
        warnings: Vec::new(),
    }
}

fn changed(
    version: i64,
    records: u64,
    difference: Difference,
    warnings: Vec<String>,
) -> ImportReport {
    ImportReport {
        version,
        changed: true,
        records,
        difference,
        warnings,
    }
}

/// Takes out of the attachments what the network does not have, and says how many that hit.
///
/// A network is replaced first and its subscribers after: in between, subscribers may hang from
/// elements that are gone, and the service goes on with what it knows.
fn detach_unknown(definition: &NetworkDefinition, attachments: &mut [Attachment]) -> Vec<String> {
    let known: HashSet<&str> = definition.elements.iter().map(|e| e.id.as_str()).collect();
    let (mut whole, mut part) = (0_u64, 0_u64);
    for attachment in attachments.iter_mut() {
        let before = attachment.served_by.len();
        attachment
            .served_by
            .retain(|id| known.contains(id.as_str()));
        match attachment.served_by.len() {
            0 => whole += 1,
            after if after < before => part += 1,
            _ => {}
        }
    }
    let of = attachments.len();
    let mut warnings = Vec::new();
    if whole > 0 {
        warnings.push(format!(
            "{whole} of {of} subscribers are served by no element of this network: no fault will be \
             seen to hit them until subscribers are imported again"
        ));
    }
    if part > 0 {
        warnings.push(format!(
            "{part} of {of} subscribers lost some of their serving elements: they count on the rest \
             until subscribers are imported again"
        ));
    }
    warnings
}

/// Sorts by account, so that rows, index and comparison run in one order, and checks what takes all
/// records or the network to see.
fn check_subscribers(
    mut subscribers: Vec<Subscriber>,
    elements: &[String],
) -> Result<Vec<Subscriber>, ImportError> {
    let known: HashSet<&str> = elements.iter().map(String::as_str).collect();
    let mut errors = Vec::new();
    for subscriber in &subscribers {
        let strangers = subscriber
            .served_by
            .iter()
            .filter(|id| !known.contains(id.as_str()));
        errors.extend(strangers.map(|id| NetworkError {
            record: "subscriber",
            id: subscriber.account.clone(),
            field: "served_by",
            value: id.clone(),
            expected: SERVING.to_owned(),
        }));
        if errors.len() >= MAX_ERRORS {
            break;
        }
    }
    subscribers.sort_unstable_by(|a, b| a.account.cmp(&b.account));
    let twice = subscribers
        .windows(2)
        .filter(|pair| pair[0].account == pair[1].account);
    errors.extend(twice.take(MAX_ERRORS).map(|pair| NetworkError {
        record: "subscriber",
        id: pair[0].account.clone(),
        field: "account",
        value: pair[0].account.clone(),
        expected: "an account used once".to_owned(),
    }));
    if errors.is_empty() {
        return Ok(subscribers);
    }
    errors.truncate(MAX_ERRORS);
    Err(ImportError::Invalid(errors))
}

async fn compare_subscribers(
    store: &Store,
    versions: DatasetVersions,
    subscribers: &[Subscriber],
    progress: OnProgress<'_>,
) -> Result<Difference, ImportError> {
    let total = subscribers.len() as u64;
    let mut comparison = SubscriberComparison::new(subscribers);
    let mut from = SubscriberNo(0);
    loop {
        progress(Phase::Compare, u64::from(from.0).min(total), total);
        let page = store.subscriber_page(versions.subscribers, from).await?;
        if page.is_empty() {
            return Ok(comparison.finish());
        }
        comparison.take_old(&page);
        from.0 += u32::try_from(page.len()).unwrap_or(u32::MAX);
    }
}

/// Takes a version number and clears the ground.
async fn begin(
    store: &Store,
    kind: DatasetKind,
    compared: DatasetVersions,
    now_ms: Millis,
) -> Result<ImportTicket, ImportError> {
    let ticket = store.begin_version(kind, now_ms).await?;
    if ticket.base != compared {
        return Err(ImportError::Superseded(kind.as_str()));
    }
    store.sweep_unpublished(kind, ticket.version).await?;
    Ok(ticket)
}

/// Publishes what was written, or takes it away again.
async fn finish(
    store: &Store,
    ticket: &ImportTicket,
    written: Result<(), ImportError>,
    now_ms: Millis,
) -> Result<(), ImportError> {
    if written.is_ok()
        && let Err(error) = store.gather_statistics(ticket.kind).await
    {
        tracing::warn!(
            dataset = ticket.kind.as_str(),
            version = ticket.version,
            %error,
            "what an import wrote was not counted; the database does so later by itself"
        );
    }
    let outcome = match written {
        Ok(()) if store.publish_version(ticket, now_ms).await? => return Ok(()),
        Ok(()) => ImportError::Superseded(ticket.kind.as_str()),
        Err(error) => error,
    };
    if let Err(error) = store
        .sweep_unpublished(ticket.kind, ticket.version + 1)
        .await
    {
        tracing::warn!(
            dataset = ticket.kind.as_str(),
            version = ticket.version,
            %error,
            "rows of a failed import stay until the next import"
        );
    }
    Err(outcome)
}

/// A write transaction of an import, as long as no later import began.
async fn begin_chunk(store: &Store, ticket: &ImportTicket) -> Result<Tx, ImportError> {
    let mut tx = store.begin().await?;
    if tx.holds(ticket).await? {
        Ok(tx)
    } else {
        Err(ImportError::Superseded(ticket.kind.as_str()))
    }
}

/// Records of the next transaction, when one of so many took so long to write; at most twice as many.
fn next_records(store: &Store, records: usize, took: Duration) -> usize {
    if !store.has_one_writer() {
        return MOST_RECORDS;
    }
    let fitting = TRANSACTION.as_micros() * records as u128 / took.as_micros().max(1);
    usize::try_from(fitting)
        .unwrap_or(MOST_RECORDS)
        .min(2 * records)
        .clamp(FEWEST_RECORDS, MOST_RECORDS)
}

/// Writes a list in short transactions, whatever the machine and the size of the records. `$insert` is
/// the method of the transaction; numbered rows are told the number of the first.
macro_rules! write_chunks {
    ($store:expr, $ticket:expr, $rows:expr, $insert:ident numbered, $tell:expr) => {
        write_chunks!(@ $store, $ticket, $rows, $tell, |tx, first_no, chunk|
            tx.$insert($ticket.version, first_no, chunk))
    };
    ($store:expr, $ticket:expr, $rows:expr, $insert:ident, $tell:expr) => {
        write_chunks!(@ $store, $ticket, $rows, $tell, |tx, _first_no, chunk|
            tx.$insert($ticket.version, chunk))
    };
    (@ $store:expr, $ticket:expr, $rows:expr, $tell:expr,
     |$tx:ident, $first_no:ident, $chunk:ident| $insert:expr) => {
        let mut records = FIRST_RECORDS;
        let mut first_no = 0;
        while first_no < $rows.len() {
            let end = $rows.len().min(first_no + records);
            let ($first_no, $chunk) = (first_no, &$rows[first_no..end]);
            let mut $tx = begin_chunk($store, $ticket).await?;
            let begun = Instant::now();
            $insert.await?;
            // The commit takes its time, however few the records.
            records = next_records($store, records, begun.elapsed());
            $tx.commit().await?;
            $tell((end - first_no) as u64);
            first_no = end;
            $store.let_others_write().await;
        }
    };
}

/// What a new version holds.
#[derive(Clone, Copy)]
enum Rows<'a> {
    Network(&'a NetworkDefinition),
    Subscribers(&'a Arc<Vec<Subscriber>>),
}

impl Rows<'_> {
    fn kind(self) -> DatasetKind {
        match self {
            Self::Network(_) => DatasetKind::Topology,
            Self::Subscribers(_) => DatasetKind::Subscribers,
        }
    }

    fn count(self) -> u64 {
        match self {
            Self::Network(definition) => network_records(definition),
            Self::Subscribers(subscribers) => subscribers.len() as u64,
        }
    }

    async fn write(
        self,
        store: &Store,
        ticket: &ImportTicket,
        progress: OnProgress<'_>,
    ) -> Result<(), ImportError> {
        let total = self.count();
        let mut done = 0;
        let mut tell = |written: u64| {
            done += written;
            progress(Phase::Write, done, total);
        };
        match self {
            Self::Network(definition) => {
                write_chunks!(store, ticket, definition.sites, insert_sites numbered, tell);
                write_chunks!(store, ticket, definition.elements, insert_elements numbered, tell);
                write_chunks!(store, ticket, definition.links, insert_links numbered, tell);
                write_chunks!(store, ticket, definition.groups, insert_groups numbered, tell);
            }
            Self::Subscribers(subscribers) => {
                write_chunks!(store, ticket, subscribers, insert_subscribers numbered, tell);
                write_index(store, ticket, subscribers, progress).await?;
            }
        }
        Ok(())
    }
}

/// Writes what subscribers are found by, one sorted list after the other.
async fn write_index(
    store: &Store,
    ticket: &ImportTicket,
    subscribers: &Arc<Vec<Subscriber>>,
    progress: OnProgress<'_>,
) -> Result<(), ImportError> {
    // A list for each kind of key and one of positions; their lengths are not known before.
    let lists = KeyKind::ALL.len() as u64 + 1;
    let sort = |kind| {
        let of = Arc::clone(subscribers);
        tokio::task::spawn_blocking(move || SubscriberKey::sorted(kind, &of))
    };
    // Each list is sorted while the one before is written.
    let mut kinds = KeyKind::ALL.into_iter();
    let mut sorting = kinds.next().map(sort);
    let mut done = 0;
    while let Some(sorted) = sorting.take() {
        progress(Phase::Index, done, lists);
        let keys = sorted.await?;
        sorting = kinds.next().map(sort);
        write_chunks!(store, ticket, keys, insert_subscriber_keys, |_: u64| ());
        done += 1;
    }
    progress(Phase::Index, done, lists);
    let of = Arc::clone(subscribers);
    let positions = tokio::task::spawn_blocking(move || PremisesPosition::sorted(&of)).await?;
    write_chunks!(
        store,
        ticket,
        positions,
        insert_subscriber_positions,
        |_: u64| ()
    );
    progress(Phase::Index, lists, lists);
    Ok(())
}

/// Writes a version aside and makes it the current one; returns its number. `compared` are the
/// versions against which the difference was found.
async fn replace(
    store: &Store,
    rows: Rows<'_>,
    compared: DatasetVersions,
    now_ms: Millis,
    progress: OnProgress<'_>,
) -> Result<i64, ImportError> {
    let ticket = begin(store, rows.kind(), compared, now_ms).await?;
    let written = rows.write(store, &ticket, progress).await;
    finish(store, &ticket, written, now_ms).await?;
    Ok(ticket.version)
}
