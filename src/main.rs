//! The `forewarn` program.

/// Alarms are made in one thread and dropped in another by the million, which the allocator of the
/// C library is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    forewarn::cli::main()
}
