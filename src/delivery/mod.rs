//! Delivery: attempts, receipts, backoff.

pub mod backoff;
