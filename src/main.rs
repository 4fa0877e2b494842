//! The `forewarn` program.

fn main() -> std::process::ExitCode {
    forewarn::cli::main()
}
