//! One integration binary; modules instead of many test crates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
mod migrations;
mod support;
