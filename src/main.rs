//! The `berth` command.

use std::process::ExitCode;

/// Gives memory back after a large list, which the system's own allocator keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    berth::commands::run(std::env::args_os())
}
