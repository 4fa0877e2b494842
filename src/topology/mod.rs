//! The network: what there is, and who loses service when something of it fails.

pub mod definition;

pub use definition::*;
