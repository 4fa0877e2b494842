//! Alarms and samples over gRPC, against a server in this process.

mod access;
mod harness;
mod housekeeping;
mod limits;
mod streams;
