//! One integration binary; modules instead of many test crates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking, and its numbers are small"
)]
mod authority;
mod care;
mod cli_client;
mod cli_tls;
mod config;
mod correlator;
mod crash;
mod declared;
mod delivery;
mod demo;
mod detect;
mod effect;
mod experience;
mod failed_commits;
mod formats;
mod generator;
mod geography;
mod inventory;
mod localise;
mod migrations;
mod notice;
mod one_service;
mod operators;
mod rpc_ingest;
mod simulate;
mod support;
mod tidy;
mod topology;
