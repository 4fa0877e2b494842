//! The network: what there is, and who loses service when something of it fails.

pub mod definition;

pub use definition::*;

mod csv;
mod graphml;
mod impact;
mod jsonl;
mod network;
mod part;
mod resolve;
mod subscriber_set;

pub use impact::{AloneRuns, CutOff};
pub use network::Network;
pub use part::{ElementNo, GroupNo, LinkNo, Part};
pub use resolve::{MAX_ERRORS, NetworkError};
pub use subscriber_set::SubscriberSet;
