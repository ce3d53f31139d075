//! `berth claims`: what there is to know of claims without a cluster.

mod check;
mod chooser;
mod document;
mod table;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::Failure;
use super::output::Output;

/// Databases and machines that developers claim
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Check(CheckArguments),
}

/// Check claims in files before they are merged, without a cluster
///
/// Each claim is held against the schema of its kind. Then it is said which provider would serve
/// it, what that costs a month, and why no other. Exit status 2 if a claim would be refused, or
/// none could serve it.
#[derive(Clone, Debug, Args)]
struct CheckArguments {
    /// Kubernetes manifests with claims; folders are read with all that is in them
    #[arg(value_name = "FILE_OR_DIR", required = true)]
    claims: Vec<PathBuf>,
    /// More manifests: the ClaimDefinitions, ClaimProviders and Namespaces, where they are not
    /// among the others
    #[arg(long, value_name = "FILE_OR_DIR")]
    platform: Vec<PathBuf>,
    /// The claims as they were: says what an update would change, replace or remove
    #[arg(long, value_name = "FILE_OR_DIR")]
    previous: Vec<PathBuf>,
    /// What nodes cost, as CSV or as the JSON of Karpenter's kwok provider: for the price of
    /// providers of type kubernetes
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// The present cluster, as manifests of its nodes, pods and NodePools
    #[arg(long, value_name = "FILE_OR_DIR", requires = "catalog")]
    cluster: Vec<PathBuf>,
    /// A table for people or JSON for machines
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Does it, and prints to `output`.
///
/// # Errors
/// When a file makes no sense, when a claim would be refused or not served, and when it cannot be
/// printed.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> Result<(), Failure> {
    let Command::Check(arguments) = &arguments.command;
    let report = check::check(arguments)?;
    let text = match arguments.output {
        Output::Json => document::json(&report)?,
        Output::Table => table::text(&report),
    };
    output.write_all(text.as_bytes()).context("cannot write to standard output")?;
    report.verdict()
}
