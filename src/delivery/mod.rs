//! Delivery: when to try again, and links that let people say no.

pub mod backoff;
pub mod unsubscribe;
