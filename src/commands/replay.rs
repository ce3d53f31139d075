//! `berth replay`: derives logged decisions again.

mod compare;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use berth_solver::decisions::{Answer, Line, Replay};
use berth_solver::model::{Plan, Price, Snapshot, Timestamp};
use clap::Args;
use serde::Serialize;

use super::Failure;
use super::output::{Output, json, plural, table};
use super::progress::bar;
use crate::decisions::{Lines, ReadError, files};

/// Derive decisions that a daemon logged again, and say whether they come out the same
///
/// A daemon logs with --decision-log. Every line holds what was decided and everything it was
/// decided from. Exit status 1: a decision came out otherwise.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Files of decisions, plain or .gz, or folders with such files
    #[arg(value_name = "FILE_OR_DIR", required = true)]
    files: Vec<PathBuf>,
    /// Print only decisions that do something or come out otherwise
    #[arg(long)]
    brief: bool,
    /// A table for people or JSON for machines
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// One decision, and whether it came out the same.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    file: String,
    line: u64,
    at: String,
    decision: &'static str,
    berth: String,
    nodes: usize,
    pods: usize,
    launches: usize,
    removals: usize,
    placements: usize,
    unschedulable: usize,
    price_per_hour: Price,
    lower_bound_per_hour: Price,
    same: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<String>,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    decisions: &'a [Row],
    same: usize,
    different: usize,
    notes: &'a [String],
}

/// Reads the files, decides again, and prints what came of it to `output`.
///
/// # Errors
/// When a file makes no sense, when a decision came out otherwise, and when nothing can be
/// printed.
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), Failure> {
    let mut paths = Vec::new();
    for path in &arguments.files {
        if path.is_dir() {
            let found = files(path).with_context(|| format!("{}", path.display()));
            let found = found.map_err(Failure::BadInput)?;
            if found.is_empty() {
                let problem = "expected files named decisions-*.jsonl.gz, there are none";
                return Err(Failure::BadInput(anyhow!("{}: {problem}", path.display())));
            }
            paths.extend(found);
        } else {
            paths.push(path.clone());
        }
    }
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for path in &paths {
        replay(path, &mut rows, &mut notes)?;
    }
    let different = rows.iter().filter(|row| !row.same).count();
    let same = rows.len() - different;
    if arguments.brief {
        let does = |row: &Row| row.launches + row.removals + row.placements > 0 || !row.same;
        rows.retain(does);
    }
    let text = match arguments.output {
        Output::Json => json(&Document { decisions: &rows, same, different, notes: &notes })?,
        Output::Table => human(&rows, same, different, &notes),
    };
    output.write_all(text.as_bytes()).context("cannot print")?;
    if different > 0 {
        let decisions = plural(different, "decision");
        return Err(Failure::Failed(anyhow!("{different} {decisions} came out otherwise")));
    }
    Ok(())
}

fn replay(path: &Path, rows: &mut Vec<Row>, notes: &mut Vec<String>) -> Result<(), Failure> {
    let size = path.metadata().map_or(0, |metadata| metadata.len());
    let progress = bar(size, "{msg} {wide_bar} {bytes}/{total_bytes} {eta} left")?;
    progress.set_message(format!("replaying {}", path.display()));
    progress.enable_steady_tick(Duration::from_millis(100));
    let bad = |error: ReadError| Failure::BadInput(error.into());
    let counted = progress.clone();
    let mut lines = Lines::open(path, move |file| counted.wrap_read(file)).map_err(bad)?;
    let mut cluster = Replay::default();
    while let Some(line) = lines.next() {
        let mut line = line.map_err(bad)?;
        let snapshot = cluster.advance(&mut line).map_err(|error| {
            Failure::BadInput(anyhow!("{}:{}: {error}", path.display(), lines.line()))
        })?;
        rows.push(row(path, lines.line(), &line, &snapshot)?);
    }
    progress.finish_and_clear();
    if lines.is_cut_off() {
        notes.push(format!(
            "{}: ends within a line: its daemon was killed, or still writes",
            path.display()
        ));
    }
    Ok(())
}

fn row(path: &Path, number: u64, line: &Line, snapshot: &Snapshot) -> Result<Row, Failure> {
    let again = line.decision.again(snapshot);
    let difference = compare::first_difference(&line.decision.answer, &again)?;
    let nothing = Plan::default();
    let (decision, plan, prices) = match &line.decision.answer {
        Answer::Plan(plan) => {
            let plan = plan.as_deref().unwrap_or(&nothing);
            ("provision", plan, (plan.price, plan.lower_bound))
        }
        Answer::Round(round) => ("disrupt", &round.plan, (round.price_after, round.lower_bound)),
    };
    Ok(Row {
        file: path.display().to_string(),
        line: number,
        at: moment(line.decision.at),
        decision,
        berth: line.berth.to_string(),
        nodes: snapshot.nodes.len(),
        pods: snapshot.pods.len(),
        launches: plan.launches.len(),
        removals: plan.removals.len(),
        placements: plan.placements.len(),
        unschedulable: plan.unschedulable.len(),
        price_per_hour: prices.0,
        lower_bound_per_hour: prices.1,
        same: difference.is_none(),
        difference,
    })
}

fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| at.to_string(), |at| at.to_string())
}

fn human(rows: &[Row], same: usize, different: usize, notes: &[String]) -> String {
    let mut table = table(
        [
            "line", "at", "decision", "result", "nodes", "pods", "launch", "remove", "place",
            "no place", "price", "bound",
        ],
        4,
    );
    for row in rows {
        table.add_row([
            row.line.to_string(),
            row.at.clone(),
            row.decision.to_owned(),
            (if row.same { "the same" } else { "DIFFERENT" }).to_owned(),
            row.nodes.to_string(),
            row.pods.to_string(),
            row.launches.to_string(),
            row.removals.to_string(),
            row.placements.to_string(),
            row.unschedulable.to_string(),
            row.price_per_hour.to_string(),
            row.lower_bound_per_hour.to_string(),
        ]);
    }
    let mut text = format!("{table}\n");
    for row in rows {
        if let Some(difference) = &row.difference {
            let (file, line, berth) = (&row.file, row.line, &row.berth);
            text.push_str(&format!("{file}:{line}: {difference}"));
            if berth != env!("CARGO_PKG_VERSION") {
                let here = env!("CARGO_PKG_VERSION");
                text.push_str(&format!(" (decided by Berth {berth}, this is {here})"));
            }
            text.push('\n');
        }
    }
    for note in notes {
        text.push_str(note);
        text.push('\n');
    }
    text.push_str(&format!("{} {}: ", same + different, plural(same + different, "decision")));
    text.push_str(&format!("{same} came out the same, {different} otherwise\n"));
    text
}

#[cfg(test)]
mod tests;
