//! The network: what there is, and who loses service when something of it fails.

pub mod definition;

pub use definition::*;

mod at_risk;
mod csv;
mod dominators;
mod fields;
mod graphml;
mod impact;
mod import;
mod jsonl;
mod kernel;
mod names;
mod network;
mod order;
mod part;
mod ranks;
pub(crate) mod record;
mod references;
mod resolve;
mod subscriber_set;

pub use csv::write_csv;
pub use fields::{LONGEST_ID, PositionFields, TopologyFields, TopologyParser};
pub(crate) use fields::{parse_position, parse_redundancy, redundancy_name};
pub use graphml::{GatewayRule, read_graphml};
pub use impact::{AloneRuns, CutOff, Impact};
pub use import::{locate_errors, read_topology};
pub use jsonl::write_jsonl;
pub use network::{Network, ResidentBytes};
pub use part::{ElementNo, GroupNo, LinkNo, Part};
pub use record::{REPORTED_ERRORS, ReadError, RecordError, RecordErrors};
pub use resolve::{MAX_ERRORS, NetworkError, Resolved, resolve};
pub use subscriber_set::SubscriberSet;
