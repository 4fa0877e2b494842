//! The generated messages and services of `proto/forewarn/v1/`.
//!
//! Invariant: only `rpc` (and the client in `cli`) names these types.
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::clone_on_ref_ptr,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated code"
)]

/// Package `forewarn.v1`.
pub mod v1 {
    tonic::include_proto!("forewarn.v1");
}

/// The encoded descriptor set, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/forewarn_descriptor.bin"));
