//! `InventoryService`: networks and subscribers in, and what is loaded.

use super::auth::{Role, require};
use super::status;
use crate::clock::Clock;
use crate::pipeline::importer::{self, ImportError, Phase};
use crate::proto::v1;
use crate::proto::v1::inventory_service_server::InventoryService;
use crate::proto::v1::topology_record::Record;
use crate::store::{Store, StoreError};
use crate::subscriber::{ContactFields, SubscriberFields, SubscriberParser};
use crate::topology::{
    MAX_ERRORS, NetworkError, PositionFields, REPORTED_ERRORS, RecordError, RecordErrors,
    TopologyFields, TopologyParser,
};
use tokio::sync::{Mutex, MutexGuard};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::FieldViolation;

/// The service; one for the whole process, so that imports do not overlap.
#[derive(Debug)]
pub struct Inventory {
    store: Store,
    clock: Clock,
    importing: Mutex<()>,
}

impl Inventory {
    /// Works on that store.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self {
            store,
            clock,
            importing: Mutex::new(()),
        }
    }

    fn begin_import(&self) -> Result<MutexGuard<'_, ()>, Status> {
        self.importing
            .try_lock()
            .map_err(|_| Status::failed_precondition("another import is running"))
    }
}

#[tonic::async_trait]
impl InventoryService for Inventory {
    async fn import_topology(
        &self,
        request: Request<Streaming<v1::ImportTopologyRequest>>,
    ) -> Result<Response<v1::ImportReport>, Status> {
        require(&request, &[]).map_err(|status| *status)?;
        let _running = self.begin_import()?;
        let mut stream = request.into_inner();
        let mut parser = TopologyParser::new(RecordErrors::of_stream());
        let mut number = 0;
        while let Some(batch) = stream.message().await? {
            for record in batch.records {
                number += 1;
                parser.push(number, topology_fields(record));
            }
        }
        let definition = off_the_runtime(move || parser.finish()).await?;
        let definition = definition.map_err(|errors| refused_records(&errors))?;
        let now_ms = self.clock.now_ms();
        importer::import_topology(&self.store, definition, now_ms, &no_progress)
            .await
            .map(|report| Response::new(report_message(report)))
            .map_err(refused_import)
    }

    async fn import_subscribers(
        &self,
        request: Request<Streaming<v1::ImportSubscribersRequest>>,
    ) -> Result<Response<v1::ImportReport>, Status> {
        require(&request, &[]).map_err(|status| *status)?;
        let _running = self.begin_import()?;
        let mut stream = request.into_inner();
        let mut parser = SubscriberParser::new(RecordErrors::of_stream());
        let mut number = 0;
        while let Some(batch) = stream.message().await? {
            for record in batch.subscribers {
                number += 1;
                parser.push(number, subscriber_fields(record));
            }
        }
        let parser = importer::check_refused(&self.store, parser).await;
        let subscribers = parser.map_err(refused_import)?.finish();
        let subscribers = subscribers.map_err(|errors| refused_records(&errors))?;
        let now_ms = self.clock.now_ms();
        importer::import_subscribers(&self.store, subscribers, now_ms, &no_progress)
            .await
            .map(|report| Response::new(report_message(report)))
            .map_err(refused_import)
    }

    async fn get_inventory(
        &self,
        request: Request<v1::GetInventoryRequest>,
    ) -> Result<Response<v1::Inventory>, Status> {
        require(&request, &[Role::Operator, Role::Care]).map_err(|status| *status)?;
        let versions = self.store.dataset_versions().await.map_err(store_failed)?;
        let counts = self
            .store
            .inventory_counts(versions)
            .await
            .map_err(store_failed)?;
        let count = |n: i64| u64::try_from(n).unwrap_or_default();
        Ok(Response::new(v1::Inventory {
            topology_version: versions.topology,
            subscribers_version: versions.subscribers,
            elements: count(counts.elements),
            links: count(counts.links),
            groups: count(counts.groups),
            sites: count(counts.sites),
            gateways: count(counts.gateways),
            subscribers: count(counts.subscribers),
        }))
    }
}

fn no_progress(_: Phase, _: u64, _: u64) {}

/// Runs what computes for long where it keeps no other call waiting.
async fn off_the_runtime<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(compute)
        .await
        .map_err(|_| Status::internal("the import was stopped before its end"))
}

/// A record without content becomes one without a type, which the parser refuses.
fn topology_fields(record: v1::TopologyRecord) -> TopologyFields {
    match record.record {
        None => TopologyFields::default(),
        Some(Record::Site(site)) => TopologyFields {
            record_type: "site".to_owned(),
            id: site.id,
            name: site.name,
            position: site.position.map(position_fields),
            ..TopologyFields::default()
        },
        Some(Record::Element(element)) => TopologyFields {
            record_type: "element".to_owned(),
            id: element.id,
            kind: element.kind,
            name: element.name,
            site: element.site,
            gateway: element.gateway.then_some(true),
            transit: element.transit,
            redundancy: element.redundancy,
            battery_minutes: element.battery_minutes,
            ..TopologyFields::default()
        },
        Some(Record::Link(link)) => TopologyFields {
            record_type: "link".to_owned(),
            id: link.id,
            a: link.a,
            b: link.b,
            transit: link.transit,
            ..TopologyFields::default()
        },
        Some(Record::Group(group)) => TopologyFields {
            record_type: "group".to_owned(),
            id: group.id,
            kind: group.kind,
            name: group.name,
            members: group.members,
            ..TopologyFields::default()
        },
    }
}

fn subscriber_fields(record: v1::SubscriberRecord) -> SubscriberFields {
    SubscriberFields {
        account: record.account,
        name: record.name,
        language: record.language,
        time_zone: record.time_zone,
        segment: record.segment,
        vulnerable: Some(record.vulnerable),
        contact_points: record
            .contact_points
            .into_iter()
            .map(|point| ContactFields {
                kind: point.kind,
                value: point.value,
            })
            .collect(),
        channels: record.channels,
        quiet_hours: record.quiet_hours,
        consent: Some(record.consent),
        address: record.address,
        position: record.position.map(position_fields),
        served_by: record.served_by,
        redundancy: record.redundancy,
        cpe_serial: record.cpe_serial,
    }
}

fn position_fields(position: v1::Position) -> PositionFields {
    PositionFields {
        latitude: Some(position.latitude),
        longitude: Some(position.longitude),
    }
}

fn report_message(report: importer::ImportReport) -> v1::ImportReport {
    v1::ImportReport {
        version: report.version,
        changed: report.changed,
        records: report.records,
        added: report.difference.added,
        removed: report.difference.removed,
        modified: report.difference.modified,
        moved: report.difference.moved,
        warnings: report.warnings.into_iter().take(MAX_WARNINGS).collect(),
    }
}

/// Warnings that a report carries.
const MAX_WARNINGS: usize = 100;

fn refused_records(errors: &RecordErrors) -> Status {
    let violation = |error: &RecordError| {
        let field = match error.line.checked_sub(1) {
            Some(place) => format!("records[{place}].{}", error.field),
            None => format!("network.{}", error.field),
        };
        FieldViolation::new(field, error.to_string())
    };
    let total = errors.errors().len() as u64 + errors.further();
    invalid("", total, errors.errors().iter().map(violation).collect())
}

fn refused_import(error: ImportError) -> Status {
    let violation = |error: &NetworkError| {
        let field = if error.id.is_empty() {
            format!("{}.{}", error.record, error.field)
        } else {
            format!("{}[\"{}\"].{}", error.record, error.id, error.field)
        };
        FieldViolation::new(field, error.to_string())
    };
    match error {
        ImportError::Invalid(errors) => {
            // Who finds as many looks for no more.
            let least = if errors.len() < MAX_ERRORS {
                ""
            } else {
                "at least "
            };
            let violations = errors.iter().map(violation).collect();
            invalid(least, errors.len() as u64, violations)
        }
        ImportError::Empty(_) => Status::invalid_argument(error.to_string()),
        ImportError::NoTopology | ImportError::Superseded(_) => {
            Status::failed_precondition(error.to_string())
        }
        ImportError::Store(error) => store_failed(error),
        ImportError::Stopped(_) => Status::internal(error.to_string()),
    }
}

fn invalid(least: &str, total: u64, violations: Vec<FieldViolation>) -> Status {
    let errors = if total == 1 { "error" } else { "errors" };
    let summary = format!("the import was refused and nothing changed: {least}{total} {errors}");
    let hint = format!("; `forewarn import` lists up to {REPORTED_ERRORS}");
    status::refused(&summary, total, &hint, violations)
}

#[allow(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn store_failed(error: StoreError) -> Status {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "inventory: the database failed"
    );
    Status::internal("the database failed; the server's log says how")
}
