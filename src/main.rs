//! The `forewarn` program.

fn main() {}
