//! Compiles `proto/` with protox, so that a build needs no protoc.

use std::path::PathBuf;

const SERVICES: [&str; 11] = [
    "forewarn/v1/common.proto",
    "forewarn/v1/alarm.proto",
    "forewarn/v1/telemetry.proto",
    "forewarn/v1/inventory.proto",
    "forewarn/v1/incident.proto",
    "forewarn/v1/notice.proto",
    "forewarn/v1/care.proto",
    "forewarn/v1/complaint.proto",
    "forewarn/v1/effect.proto",
    "forewarn/v1/area.proto",
    "forewarn/v1/work.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=migrations");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(SERVICES)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // `compile_fds` ignores `file_descriptor_set_path`, so the set for reflection is written here.
    std::fs::write(
        out.join("forewarn_descriptor.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure()
        .btree_map(".")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
