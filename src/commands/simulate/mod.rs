//! `berth simulate`: what a trace would have cost.

mod basis;
mod files;
mod manual;
mod part;
mod settings;
pub(super) mod sweep;
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use berth_simulations::replay::{
    Moment, PolicyName, Recorded, Replay, ReplaySettings, Replayed, Sink, Summary,
};
use berth_simulations::report::{self, About, Told};
use berth_simulations::trace::TraceError;
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::Failure;
use super::output::{Output, json};
use super::progress::bar;
use crate::catalog;
use files::Folder;
pub(super) use part::{FileFormat, Opened, Part};

/// Replay a trace: what it would have cost under a policy, and what at least
///
/// The deciding code is the daemon's. The peers' policies keep their own times, waits and limits.
/// Time is simulated: the same trace, catalog, seed and settings give the same figures.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Which pods came when, and what they asked for; for azure-v1 the file with the arrivals
    #[arg(long, value_name = "FILE", required_unless_present_any = ["sweep", "print_settings"])]
    trace: Option<PathBuf>,
    /// What the cloud sells, as CSV or as the JSON of Karpenter's kwok provider
    #[arg(long, value_name = "FILE", required_unless_present = "print_settings")]
    catalog: Option<PathBuf>,
    /// Who decides: berth, karpenter, cluster-autoscaler, cluster-autoscaler-price, static or all;
    /// several are separated by commas
    #[arg(long, value_name = "POLICY", default_value = "berth", value_parser = policies)]
    policy: Policies,
    /// Settings, as YAML; --print-settings shows which there are
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Print every setting with its value and what it means, as a file to begin with, and replay
    /// nothing
    #[arg(long)]
    print_settings: bool,
    #[command(flatten)]
    part: Part,
    /// A folder for report.html, summary.json, timeline.csv, rounds.jsonl (what each round of a policy
    /// came to) and decisions.jsonl (Berth's decisions, for `berth replay`)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Settings to try, as YAML; the results are added to those in the folder of --out. What is
    /// there already from the same --settings, catalog, trace and part of it is not done again
    #[arg(long, value_name = "FILE", requires = "out")]
    sweep: Option<PathBuf>,
    /// Of a sweep's runs only every Nth, from the Ith on, counted from 0 (such as 3/16)
    #[arg(long, value_name = "I/N", value_parser = slice, requires = "sweep")]
    slice: Option<(usize, usize)>,
    /// A table for people or JSON for machines
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

impl Arguments {
    /// The catalog's file. The command line has one wherever it is asked for.
    fn catalog(&self) -> &Path {
        self.catalog.as_deref().unwrap_or(Path::new(""))
    }

    fn catalog_name(&self) -> String {
        self.catalog().display().to_string()
    }
}

/// Policies to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Policies(Vec<PolicyName>);

fn policies(text: &str) -> Result<Policies, String> {
    if text == "all" {
        return Ok(Policies(PolicyName::ALL.to_vec()));
    }
    let named = text.split(',').map(str::parse).collect::<Result<Vec<_>, _>>();
    named.map(Policies).map_err(|problem| format!("{problem}, or all"))
}

fn slice(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/');
    let parts = parts.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
    let sound = parts.filter(|(index, count)| index < count);
    sound.ok_or_else(|| "expected two numbers, the first below the second, such as 3/16".to_owned())
}

/// The figures of all policies, as printed and as written to `summary.json`.
#[derive(Debug, Serialize)]
struct Document {
    trace: String,
    catalog: String,
    seed: u64,
    policies: Vec<Summary>,
}

/// Replays and prints the figures to `output`.
///
/// # Errors
/// When a file makes no sense, and when what comes of it cannot be written.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> Result<(), Failure> {
    if arguments.print_settings {
        let text = manual::text(&settings::read(arguments.settings.as_deref())?)?;
        output.write_all(text.as_bytes()).context("cannot write to standard output")?;
        return Ok(());
    }
    if let Some(file) = &arguments.sweep {
        return sweep::run(arguments, file, output);
    }
    let bar = bar(1_000, "{msg:24} {bar:40} {percent:>3} %  {eta} left")?;
    bar.set_message("reading");
    let trace = arguments.trace.clone().unwrap_or_default();
    let settings = settings::read(arguments.settings.as_deref())?;
    let replay = prepare_one(arguments, &trace, settings)?;
    let mut folder = match &arguments.out {
        Some(path) => Some(Folder::create(path)?),
        None => None,
    };
    let (mut policies, mut told) = (Vec::new(), Vec::new());
    for policy in &arguments.policy.0 {
        bar.set_message(policy.to_string());
        bar.set_position(0);
        let (replayed, moments, wall) = replay_one(&replay, *policy, &bar, folder.as_mut())?;
        told.push(Told { summary: replayed.summary.clone(), moments });
        let wall_seconds = Some(wall.as_secs_f64());
        policies.push(Summary { wall_seconds, ..replayed.summary });
    }
    bar.finish_and_clear();
    let document = Document {
        trace: trace.display().to_string(),
        catalog: arguments.catalog_name(),
        seed: arguments.part.seed,
        policies,
    };
    if let Some(folder) = folder {
        let page = report::html(&about(arguments, &replay)?, &told).context("no report")?;
        folder.finish(&document, &page)?;
    }
    let text = match arguments.output {
        Output::Json => json(&document)?,
        Output::Table => table::text(&replay, &document.policies),
    };
    output.write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(())
}

/// Reads a trace and the catalog.
fn prepare_one(
    arguments: &Arguments,
    trace: &Path,
    settings: ReplaySettings,
) -> Result<Replay, Failure> {
    let catalog =
        catalog::read(arguments.catalog()).map_err(|error| Failure::BadInput(error.into()))?;
    let source = arguments.part.open(trace)?.source;
    let replay = Replay::prepare(source, catalog, settings, arguments.part.seed).map_err(bad)?;
    if replay.demand.pods == 0 {
        return Err(Failure::BadInput(anyhow!(
            "{}: has no pods in that window: expected some to replay",
            trace.display()
        )));
    }
    Ok(replay)
}

pub(super) fn bad(error: TraceError) -> Failure {
    Failure::BadInput(error.into())
}

fn replay_one(
    replay: &Replay,
    policy: PolicyName,
    bar: &ProgressBar,
    mut folder: Option<&mut Folder>,
) -> Result<(Replayed, Vec<Moment>, Duration), Failure> {
    let started = Instant::now();
    let mut listener = Listener { policy, bar, folder: folder.as_deref_mut(), moments: Vec::new() };
    let replayed = replay.run(policy, &mut listener).map_err(bad)?;
    let moments = listener.moments;
    if let Some(folder) = folder {
        folder.check()?;
    }
    Ok((replayed, moments, started.elapsed()))
}

/// What a report says of how it came about.
fn about(arguments: &Arguments, replay: &Replay) -> Result<About, Failure> {
    let demand = &replay.demand;
    let seconds = demand.until.since(demand.from).as_secs();
    let thinned = seconds / u64::from(replay.settings.most_looks.max(1));
    Ok(About {
        trace: replay.source.path.display().to_string(),
        catalog: arguments.catalog_name(),
        seed: arguments.part.seed,
        pods: demand.pods,
        shapes: demand.shapes(),
        most_pods: demand.most_pods,
        command: command(arguments),
        settings: serde_json::to_string_pretty(&replay.settings)
            .context("the settings cannot be written")?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        thinned_seconds: Some(thinned).filter(|seconds| *seconds > 10),
    })
}

/// The command line that does it again, output aside.
fn command(arguments: &Arguments) -> String {
    let Arguments { settings, part, .. } = arguments;
    let trace = arguments.trace.clone().unwrap_or_default();
    let names: Vec<&str> = arguments.policy.0.iter().map(|policy| policy.as_str()).collect();
    let mut parts = vec![
        "berth simulate".to_owned(),
        format!("--trace {}", trace.display()),
        format!("--catalog {}", arguments.catalog_name()),
        format!("--policy {}", names.join(",")),
    ];
    parts.extend(settings.as_ref().map(|file| format!("--settings {}", file.display())));
    parts.extend(part.options());
    parts.join(" \\\n  ")
}

/// Shows how far it is, and writes what comes into files.
struct Listener<'a> {
    policy: PolicyName,
    bar: &'a ProgressBar,
    folder: Option<&'a mut Folder>,
    /// For the report; no more than the timeline's rows.
    moments: Vec<Moment>,
}

impl Sink for Listener<'_> {
    fn moment(&mut self, moment: &Moment) {
        self.moments.push(moment.clone());
        if let Some(folder) = &mut self.folder {
            folder.moment(self.policy, moment);
        }
    }

    fn decision(&mut self, line: &str) {
        if let Some(folder) = &mut self.folder {
            folder.round(self.policy, line);
        }
    }

    fn wants_recorded(&self) -> bool {
        self.folder.is_some()
    }

    fn recorded(&mut self, recorded: Recorded) {
        if let Some(folder) = &mut self.folder {
            folder.recorded(recorded);
        }
    }

    fn progress(&mut self, share: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        self.bar.set_position((share.clamp(0.0, 1.0) * 1_000.0) as u64);
    }
}
