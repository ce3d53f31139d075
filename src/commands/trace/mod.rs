//! `berth trace`: what is in a trace, the same trace in Berth's own format, and a cluster's.

mod record;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use berth_simulations::replay::Source;
use berth_simulations::report;
use berth_simulations::trace::write::{Columns, WriteError, write};
use berth_simulations::trace::{Description, describe};
use clap::{Args, Subcommand};

use super::Failure;
use super::output::{Output, json, table};
use super::simulate::{FileFormat, Opened, Part, bad};

/// Look at a workload trace, write it in Berth's own format, or record one
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Say what is in a trace: pods, sizes, lifetimes, how many at once
    Describe(Describe),
    /// Write a trace as Berth's own CSV, sorted by time; compressed if the name ends in .zst
    Convert(Convert),
    /// Record which pods come and go in a cluster, until it is ended (Ctrl-C, SIGTERM)
    Record(record::Arguments),
}

/// Which trace, and which part of it.
#[derive(Clone, Debug, Args)]
struct Input {
    /// The trace; for azure-v1 the file with the arrivals
    #[arg(value_name = "FILE")]
    trace: PathBuf,
    #[command(flatten)]
    part: Part,
}

#[derive(Clone, Debug, Args)]
struct Describe {
    #[command(flatten)]
    input: Input,
    /// A table for people or JSON for machines
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Draw it, too: what ran over time and how large pods are, as SVG
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
struct Convert {
    #[command(flatten)]
    input: Input,
    /// The file to write
    #[arg(value_name = "OUT")]
    out: PathBuf,
}

/// Does what is asked for and prints to `output`.
///
/// # Errors
/// When a file makes no sense, and when what comes of it cannot be written.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> Result<(), Failure> {
    let text = match &arguments.command {
        Command::Describe(arguments) => describe_trace(arguments)?,
        Command::Convert(arguments) => convert(arguments)?,
        Command::Record(arguments) => record::run(arguments)?,
    };
    output.write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(())
}

fn convert(arguments: &Convert) -> Result<String, Failure> {
    let Input { trace, part } = &arguments.input;
    let (Opened { source, notes, .. }, out) = (part.open(trace)?, &arguments.out);
    if out == trace {
        return Err(Failure::BadInput(anyhow!(
            "{} would be written over: expected another file",
            out.display()
        )));
    }
    Ok(write_to(&source, out)? + &lines(&notes))
}

/// Writes a trace into a file. Says what was written.
fn write_to(source: &Source, out: &Path) -> Result<String, Failure> {
    let columns = Columns::of(source.records_in_any_order().map_err(bad)?).map_err(bad)?;
    let cannot = || format!("{} cannot be written", out.display());
    let mut file = BufWriter::new(File::create(out).with_context(cannot)?);
    let records = source.records_in_any_order().map_err(bad)?;
    let compressed = out.extension().is_some_and(|extension| extension == "zst");
    let pods = match write(records, &columns, compressed, &mut file) {
        Ok(pods) => pods,
        Err(WriteError::Trace(error)) => return Err(bad(error)),
        Err(WriteError::Output(error)) => {
            return Err(Failure::Failed(anyhow::Error::new(error).context(cannot())));
        }
    };
    let mut text = format!("{pods} pods written to {}\n", out.display());
    if columns.any_model > 0 {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{} of them take one of several models of graphics cards, which the format cannot say: \
             they take any",
            columns.any_model
        );
    }
    Ok(text)
}

fn describe_trace(arguments: &Describe) -> Result<String, Failure> {
    let Opened { source, format, notes } = arguments.input.part.open(&arguments.input.trace)?;
    let told = describe(source.records_in_any_order().map_err(bad)?).map_err(bad)?;
    if let Some(path) = &arguments.picture {
        draw(&told, path)?;
    }
    match arguments.output {
        Output::Json => json(&told),
        Output::Table => Ok(human(&told, format) + &lines(&notes)),
    }
}

/// Each on a line of its own.
fn lines(notes: &[String]) -> String {
    notes.iter().map(|note| format!("{note}\n")).collect()
}

fn draw(told: &Description, path: &Path) -> Result<(), Failure> {
    let picture = report::trace_picture(told).context("the picture cannot be drawn")?;
    std::fs::write(path, picture)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(())
}

fn human(told: &Description, format: FileFormat) -> String {
    let hours = (told.last_seconds - told.first_seconds) / 3_600.0;
    let lines = [
        ("format", format.to_string()),
        ("pods", format!("{}, {} of them past the end", told.pods, told.open_ended)),
        ("workloads", told.workloads.to_string()),
        ("shapes", told.shapes.to_string()),
        ("with GPUs", told.with_gpu.to_string()),
        ("with rules", told.with_rules.to_string()),
        ("span", format!("{hours:.1} h, from {} s to {} s", told.first_seconds, told.last_seconds)),
        ("most pods", format!("{} at {} s", told.most_pods.pods, told.most_pods.at_seconds)),
        (
            "most CPU",
            format!(
                "{:.1} with {:.1} GiB at {} s",
                told.most_cpu.cpu, told.most_cpu.memory_gib, told.most_cpu.at_seconds
            ),
        ),
    ];
    let mut text = lines.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:12}{value}");
        text
    });
    let mut rows = table(["", "least", "p50", "p90", "p99", "most"], 1);
    let distributions = [
        ("CPU of a pod", told.cpu),
        ("GiB of a pod", told.memory_gib),
        ("lifetime, s", told.lifetime_seconds),
    ];
    for (name, one) in distributions {
        let cells = [one.min, one.p50, one.p90, one.p99, one.max].map(|one| format!("{one:.2}"));
        rows.add_row(std::iter::once(name.to_owned()).chain(cells));
    }
    let _ = writeln!(text, "{rows}");
    let mut rows = table(["CPU up to", "GiB up to", "pods", "share"], 0);
    let mut sizes = told.sizes.clone();
    sizes.sort_by_key(|size| std::cmp::Reverse(size.pods));
    for size in sizes.iter().take(12) {
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let share = size.pods as f64 / told.pods.max(1) as f64 * 100.0;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (cpu, memory) = (size.cpu_milli as f64 / 1e3, size.memory_mib as f64 / 1_024.0);
        rows.add_row([
            format!("{cpu:.2}"),
            format!("{memory:.2}"),
            size.pods.to_string(),
            format!("{share:.1} %"),
        ]);
    }
    let _ = writeln!(text, "{rows}");
    text
}
