//! The network: what there is, and who loses service when something of it fails.

pub mod definition;

pub use definition::*;

mod csv;
mod graphml;
mod impact;
mod jsonl;
mod network;
mod subscriber_set;

pub use network::Network;
pub use subscriber_set::SubscriberSet;
