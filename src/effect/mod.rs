//! Effect: what telling people was worth.

pub mod complaint;
pub mod estimate;
pub mod holdout;
pub mod report;
