//! `berth pareto`: what of many replays nothing else beats.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;

use super::Failure;
use super::output::{Output, json, table};
use super::simulate::sweep::{Outcome, Point, RESULTS, outcomes};

/// Merge the results of sweeps, and show which settings nothing beats
///
/// A policy with its settings is in the front if no other has lower cost, shorter waiting (the
/// 99th percentile), fewer evictions and fewer unplaced pods, or is as good in some and better in
/// one. Costs, evictions and unplaced pods of several traces are added, of waiting the longest
/// counts. Settings that were not tried on every trace are left out.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Folders of `berth simulate --sweep`
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// A table for people or JSON for machines
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// A policy with its settings, on all traces.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    policy: String,
    settings: Point,
    cost_total: f64,
    cost_lower_bound: f64,
    pending_seconds_p99: f64,
    evictions: u64,
    unplaced: u64,
}

#[derive(Serialize)]
struct Document {
    traces: Vec<String>,
    candidates: usize,
    front: Vec<Candidate>,
}

/// Merges and prints.
///
/// # Errors
/// When a folder holds no results, and when nothing can be printed.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> Result<(), Failure> {
    let mut all = Vec::new();
    for folder in &arguments.folders {
        let found = outcomes(&folder.join(RESULTS))?;
        if found.is_empty() {
            return Err(Failure::BadInput(anyhow!(
                "{}: holds no results: expected a folder of `berth simulate --sweep`",
                folder.display()
            )));
        }
        all.extend(found);
    }
    comparable(&all)?;
    print(all, arguments.output, output)
}

/// What is compared must follow from the same.
fn comparable(all: &[Outcome]) -> Result<(), Failure> {
    let mut bases: BTreeMap<String, &str> = BTreeMap::new();
    for one in all {
        let basis = bases.entry(name(one)).or_insert(&one.basis);
        if *basis != one.basis {
            return Err(Failure::BadInput(anyhow!(
                "{}: there are results that follow from different things (--settings, catalog, \
                 trace, which part of it, or Berth's version): expected those of one sweep",
                one.trace
            )));
        }
    }
    Ok(())
}

pub(super) fn print(
    all: Vec<Outcome>,
    form: Output,
    output: &mut dyn Write,
) -> Result<(), Failure> {
    let (traces, candidates) = merged(all);
    let front = front(&candidates);
    let document = Document { traces, candidates: candidates.len(), front };
    let text = match form {
        Output::Json => json(&document)?,
        Output::Table => human(&document),
    };
    output.write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(())
}

/// What a result is about.
fn name(one: &Outcome) -> String {
    format!("{} on {} (seed {})", one.trace, one.catalog, one.seed)
}

/// The traces, and each policy with its settings over all of them.
fn merged(all: Vec<Outcome>) -> (Vec<String>, Vec<Candidate>) {
    let traces: BTreeSet<String> = all.iter().map(name).collect();
    let mut runs: BTreeMap<(String, String), BTreeMap<String, Outcome>> = BTreeMap::new();
    for one in all {
        let point = serde_json::to_string(&one.settings).unwrap_or_default();
        let key = (one.summary.policy.clone(), point);
        runs.entry(key).or_default().insert(name(&one), one);
    }
    let whole = runs.into_values().filter(|runs| runs.len() == traces.len());
    let candidates = whole.filter_map(|runs| candidate(runs.into_values().collect())).collect();
    (traces.into_iter().collect(), candidates)
}

fn candidate(runs: Vec<Outcome>) -> Option<Candidate> {
    let first = runs.first()?;
    let mut candidate = Candidate {
        policy: first.summary.policy.clone(),
        settings: first.settings.clone(),
        cost_total: 0.0,
        cost_lower_bound: 0.0,
        pending_seconds_p99: 0.0,
        evictions: 0,
        unplaced: 0,
    };
    for Outcome { summary, .. } in &runs {
        candidate.cost_total += summary.cost_total;
        candidate.cost_lower_bound += summary.cost_lower_bound;
        let waited = summary.pending_seconds.p99;
        candidate.pending_seconds_p99 = candidate.pending_seconds_p99.max(waited);
        candidate.evictions += summary.evictions;
        candidate.unplaced += summary.unplaced;
    }
    Some(candidate)
}

/// Those that nothing beats, the cheapest first.
fn front(candidates: &[Candidate]) -> Vec<Candidate> {
    let is_beaten = |one: &&Candidate| candidates.iter().any(|other| beats(other, one));
    let mut front: Vec<Candidate> =
        candidates.iter().filter(|one| !is_beaten(one)).cloned().collect();
    front.sort_by(|one, other| one.cost_total.total_cmp(&other.cost_total));
    front
}

fn beats(one: &Candidate, other: &Candidate) -> bool {
    let no_worse = one.cost_total <= other.cost_total
        && one.pending_seconds_p99 <= other.pending_seconds_p99
        && one.evictions <= other.evictions
        && one.unplaced <= other.unplaced;
    let better = one.cost_total < other.cost_total
        || one.pending_seconds_p99 < other.pending_seconds_p99
        || one.evictions < other.evictions
        || one.unplaced < other.unplaced;
    no_worse && better
}

fn human(document: &Document) -> String {
    let header = ["policy", "settings", "cost", "over bound", "wait p99", "evictions", "unplaced"];
    let mut rows = table(header, 2);
    for one in &document.front {
        let settings = one.settings.iter().map(|(path, value)| format!("{path}={value}"));
        let over = if one.cost_lower_bound > 0.0 {
            format!("{:.1} %", (one.cost_total / one.cost_lower_bound - 1.0) * 100.0)
        } else {
            "?".to_owned()
        };
        rows.add_row([
            one.policy.clone(),
            settings.collect::<Vec<_>>().join(" "),
            format!("{:.2}", one.cost_total),
            over,
            format!("{:.1} s", one.pending_seconds_p99),
            one.evictions.to_string(),
            one.unplaced.to_string(),
        ]);
    }
    format!(
        "{rows}\n{} of {} are not beaten, on {}\n",
        document.front.len(),
        document.candidates,
        document.traces.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(policy: &str, cost: f64, wait: f64, evictions: u64) -> Candidate {
        Candidate {
            policy: policy.to_owned(),
            settings: Point::new(),
            cost_total: cost,
            cost_lower_bound: 1.0,
            pending_seconds_p99: wait,
            evictions,
            unplaced: 0,
        }
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let all = [
            one("dear", 3.0, 10.0, 0),
            one("cheap", 1.0, 90.0, 50),
            one("beaten", 3.0, 90.0, 50),
            one("middle", 2.0, 10.0, 20),
            one("same", 2.0, 10.0, 20),
        ];
        let names: Vec<String> = front(&all).into_iter().map(|one| one.policy).collect();
        assert_eq!(names, ["cheap", "middle", "same", "dear"]);
    }
}
