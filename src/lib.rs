//! Forewarn: tells an internet provider's customers about a network fault before they notice it,
//! and proves what that was worth.
//!
//! The modules stand in the order in which an alarm travels. A module may use the ones above it
//! (and what lies under everything), never the ones below; `tests/it/tidy.rs` holds that.

pub mod clock;
pub mod observe;
pub mod proto;
pub mod supervisor;

pub mod alarm;
pub mod care;
pub mod delivery;
pub mod detect;
pub mod effect;
pub mod experience;
pub mod geography;
pub mod incident;
pub mod notice;
pub mod subscriber;
pub mod topology;

pub mod channel;
pub mod config;
pub mod store;

pub mod pipeline;

pub mod rpc;
pub mod web;

pub mod app;
pub mod cli;
pub mod demo;
pub mod generate;
pub mod simulate;
