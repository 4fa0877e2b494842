//! gRPC: the only part that knows protobuf.

pub mod alarm;
pub mod area;
pub mod auth;
pub mod care;
pub mod complaint;
mod declared;
pub mod effect;
pub mod incident;
pub mod ingest;
pub mod inventory;
pub mod notice;
pub mod server;
pub mod status;
pub mod telemetry;
pub mod work;
