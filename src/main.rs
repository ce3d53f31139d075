//! The `berth` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    berth::commands::run(std::env::args_os())
}
