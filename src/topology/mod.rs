//! The network: what there is, and who loses service when something of it fails.

pub mod definition;

pub use definition::*;

mod at_risk;
mod csv;
mod dominators;
mod graphml;
mod impact;
mod jsonl;
mod kernel;
mod names;
mod network;
mod order;
mod part;
mod ranks;
mod resolve;
mod subscriber_set;

pub use impact::{AloneRuns, CutOff};
pub use network::{Network, ResidentBytes};
pub use part::{ElementNo, GroupNo, LinkNo, Part};
pub use resolve::{MAX_ERRORS, NetworkError};
pub use subscriber_set::SubscriberSet;
