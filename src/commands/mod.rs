//! The command line: one subcommand a module.

pub mod claims;
mod cluster;
mod consolidation;
pub mod crds;
pub mod demo;
pub mod explain;
mod output;
mod packing;
pub mod pareto;
pub mod plan;
mod progress;
pub mod replay;
pub mod serve;
mod signals;
pub mod simulate;
pub mod trace;
mod values;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One picture of a Kubernetes cluster and one plan for it: which nodes it should have and where
/// each pod should go.
#[derive(Debug, Parser)]
#[command(name = "berth", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Claims(claims::Arguments),
    Crds(crds::Arguments),
    Demo(demo::Arguments),
    Explain(explain::Arguments),
    Pareto(pareto::Arguments),
    Plan(plan::Arguments),
    Replay(replay::Arguments),
    Serve(Box<serve::Arguments>),
    Simulate(Box<simulate::Arguments>),
    Trace(trace::Arguments),
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for makes no sense: exit status 2. The message is one line: the file and
    /// line where there is one, what is wrong, what was expected.
    #[error("{0:#}")]
    BadInput(anyhow::Error),
    /// It could not be done: exit status 1.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl Failure {
    fn status(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::BadInput(_) => ExitCode::from(2),
        }
    }
}

/// Runs what the arguments (the first is the program's name) ask for. The exit status is 0 when it
/// is done, 1 when it failed, 2 when the arguments or the files they name are not right.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Standard output or error may be closed: then there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match arguments.command {
        Command::Claims(arguments) => claims::run(&arguments, &mut std::io::stdout().lock()),
        Command::Crds(arguments) => crds::run(&arguments, &mut std::io::stdout().lock()),
        Command::Demo(arguments) => demo::run(&arguments, &mut std::io::stdout()),
        Command::Explain(arguments) => explain::run(&arguments, &mut std::io::stdout().lock()),
        Command::Pareto(arguments) => pareto::run(&arguments, &mut std::io::stdout().lock()),
        Command::Plan(arguments) => plan::run(&arguments, &mut std::io::stdout().lock()),
        Command::Replay(arguments) => replay::run(&arguments, &mut std::io::stdout().lock()),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments, &mut std::io::stdout().lock()),
        Command::Trace(arguments) => trace::run(&arguments, &mut std::io::stdout().lock()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "berth: {failure}");
            failure.status()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn everything_that_the_daemon_goes_by_can_be_set_by_environment_variables() {
        let command = Arguments::command();
        let serve = command.find_subcommand("serve").unwrap();
        let without = serve.get_arguments().filter(|argument| argument.get_env().is_none());
        let names: Vec<&str> = without.map(|argument| argument.get_id().as_str()).collect();
        assert!(names.is_empty(), "{names:?}");
    }
}
