//! `berth simulate --sweep`: many settings over traces, on all cores, to be gone on with later.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow};
use berth_simulations::random::Seed;
use berth_simulations::replay::{Moment, PolicyName, Replay, ReplaySettings, Sink, Summary};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Arguments, bad, basis, prepare_one, settings};
use crate::commands::Failure;
use crate::commands::pareto;
use crate::commands::progress::bar;

/// The file in a sweep's folder that results are added to.
pub(in crate::commands) const RESULTS: &str = "results.jsonl";
/// More runs than this are a slip of the pen.
const MOST_RUNS: usize = 100_000;
const LONGEST: u64 = 1 << 20;

/// What to try.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sweep {
    /// Traces; without any, the one of the command line.
    #[serde(default)]
    traces: Vec<PathBuf>,
    /// Policies; without any, those of the command line.
    #[serde(default)]
    policies: Vec<String>,
    /// Settings by their path, such as `berth.horizonHours`, and the values to try.
    settings: BTreeMap<String, Vec<Value>>,
    /// So many points of the grid, drawn by the seed; all of them without it.
    #[serde(default)]
    random: Option<usize>,
}

/// A point of a sweep: which setting has which value.
pub(in crate::commands) type Point = BTreeMap<String, Value>;

/// A line of the results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::commands) struct Outcome {
    pub(in crate::commands) trace: String,
    pub(in crate::commands) catalog: String,
    pub(in crate::commands) seed: u64,
    /// What it follows from beside the policy and these settings: a digest of [`basis::of`].
    /// Empty in results of older versions.
    #[serde(default)]
    pub(in crate::commands) basis: String,
    pub(in crate::commands) settings: Point,
    pub(in crate::commands) summary: Summary,
}

/// A trace that is replayed again and again.
struct Trace {
    path: PathBuf,
    basis: String,
}

/// What tells two runs apart: trace, basis, policy, point.
type Key = (String, String, String, String);

/// A run that is to be done.
struct Run {
    trace: usize,
    policy: PolicyName,
    point: Point,
    settings: ReplaySettings,
}

/// Runs the sweep, and prints the Pareto front of all results in its folder.
pub(super) fn run(
    arguments: &Arguments,
    file: &Path,
    output: &mut dyn Write,
) -> Result<(), Failure> {
    let out = arguments.out.as_deref().ok_or_else(|| {
        Failure::BadInput(anyhow!("a sweep keeps its results in a folder: expected --out DIR"))
    })?;
    let sweep = read(file)?;
    let base = settings::read(arguments.settings.as_deref())?;
    let traces = traces(&sweep, arguments, &base)?;
    let runs = runs(&sweep, arguments, file, &base, traces.len())?;
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let results = out.join(RESULTS);
    let done: BTreeSet<Key> = outcomes(&results)?.iter().map(Outcome::key).collect();
    let (index, count) = arguments.slice.unwrap_or((0, 1));
    let key = |run: &Run| {
        let trace = &traces[run.trace];
        key_of(&trace.name(), &trace.basis, run.policy.as_str(), &run.point)
    };
    let waiting: Vec<&Run> = runs
        .iter()
        .enumerate()
        .filter(|(number, run)| number % count == index && !done.contains(&key(run)))
        .map(|(_, run)| run)
        .collect();
    if !waiting.is_empty() {
        work(arguments, &traces, &waiting, &base, &results)?;
    }
    // The folder may hold results of other settings, or of files that have changed since.
    let own: BTreeSet<Key> = runs.iter().map(key).collect();
    let mut found = outcomes(&results)?;
    found.retain(|outcome| own.contains(&outcome.key()));
    pareto::print(found, arguments.output, output)
}

fn read(file: &Path) -> Result<Sweep, Failure> {
    let refuse = |problem: String| {
        let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
        Failure::BadInput(anyhow!("{}: {problem}", file.display()))
    };
    let cannot = |error: std::io::Error| refuse(format!("cannot be read: {error}"));
    if std::fs::metadata(file).map_err(cannot)?.len() > LONGEST {
        return Err(refuse("is longer than 1 MiB: expected a sweep".to_owned()));
    }
    let text = std::fs::read_to_string(file).map_err(cannot)?;
    let sweep: Sweep = serde_saphyr::from_str(&text)
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    match sweep.settings.iter().find(|(_, values)| values.is_empty()) {
        Some((path, _)) => Err(refuse(format!("{path} has no values: expected some to try"))),
        None => Ok(sweep),
    }
}

fn traces(
    sweep: &Sweep,
    arguments: &Arguments,
    base: &ReplaySettings,
) -> Result<Vec<Trace>, Failure> {
    let of_command = arguments.trace.iter().filter(|_| sweep.traces.is_empty());
    let paths: Vec<&PathBuf> = sweep.traces.iter().chain(of_command).collect();
    if paths.is_empty() {
        let problem = "the sweep names no traces: expected some, or --trace FILE";
        return Err(Failure::BadInput(anyhow!(problem)));
    }
    let trace =
        |path: &PathBuf| Ok(Trace { path: path.clone(), basis: basis::of(arguments, path, base)? });
    paths.into_iter().map(trace).collect()
}

impl Trace {
    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// All runs, in the order in which slices count them.
fn runs(
    sweep: &Sweep,
    arguments: &Arguments,
    file: &Path,
    base: &ReplaySettings,
    traces: usize,
) -> Result<Vec<Run>, Failure> {
    let refuse = |problem: String| Failure::BadInput(anyhow!("{}: {problem}", file.display()));
    let policies = if sweep.policies.is_empty() {
        arguments.policy.0.clone()
    } else {
        let named = sweep.policies.iter().map(|name| name.parse());
        named.collect::<Result<_, _>>().map_err(refuse)?
    };
    let points = points(sweep, arguments.part.seed).map_err(refuse)?;
    let mut runs = Vec::new();
    for point in &points {
        let settings = with(base, point).map_err(refuse)?;
        for trace in 0..traces {
            for policy in &policies {
                let (point, settings) = (point.clone(), settings.clone());
                runs.push(Run { trace, policy: *policy, point, settings });
            }
        }
    }
    if runs.len() > MOST_RUNS {
        return Err(refuse(format!(
            "asks for {} runs: expected {MOST_RUNS} at most, or `random`",
            runs.len()
        )));
    }
    Ok(runs)
}

fn points(sweep: &Sweep, seed: u64) -> Result<Vec<Point>, String> {
    let sizes = sweep.settings.values().map(Vec::len);
    let all = sizes.fold(1_usize, usize::saturating_mul);
    let at = |mut number: usize| -> Point {
        let choose = |(path, values): (&String, &Vec<Value>)| {
            let value = values[number % values.len()].clone();
            number /= values.len();
            (path.clone(), value)
        };
        sweep.settings.iter().map(choose).collect()
    };
    match sweep.random {
        Some(count) if count < all => {
            let mut stream = Seed(seed).stream("sweep");
            let mut chosen = BTreeSet::new();
            while chosen.len() < count {
                chosen.insert(stream.below(all));
            }
            Ok(chosen.into_iter().map(at).collect())
        }
        _ if all > MOST_RUNS => {
            Err(format!("has {all} points: expected {MOST_RUNS} at most, or `random`"))
        }
        _ => Ok((0..all).map(at).collect()),
    }
}

/// The settings with some of them set.
fn with(base: &ReplaySettings, point: &Point) -> Result<ReplaySettings, String> {
    let mut value = serde_json::to_value(base).map_err(|error| error.to_string())?;
    for (path, wanted) in point {
        let pointer = format!("/{}", path.replace('.', "/"));
        let slot = value.pointer_mut(&pointer).ok_or_else(|| {
            format!("{path} is no setting: expected one such as berth.horizonHours")
        })?;
        *slot = wanted.clone();
    }
    let settings: ReplaySettings =
        serde_json::from_value(value).map_err(|error| format!("{point:?}: {error}"))?;
    settings.check()?;
    Ok(settings)
}

fn key_of(trace: &str, basis: &str, policy: &str, point: &Point) -> Key {
    let point = serde_json::to_string(point).unwrap_or_default();
    (trace.to_owned(), basis.to_owned(), policy.to_owned(), point)
}

impl Outcome {
    fn key(&self) -> Key {
        key_of(&self.trace, &self.basis, &self.summary.policy, &self.settings)
    }
}

/// The results of a file, as far as they are whole: a last line that was cut off is none.
pub(in crate::commands) fn outcomes(results: &Path) -> Result<Vec<Outcome>, Failure> {
    if !results.exists() {
        return Ok(Vec::new());
    }
    let cannot = || format!("{} cannot be read", results.display());
    let file = File::open(results).with_context(cannot)?;
    let mut outcomes = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.with_context(cannot)?;
        if let Ok(outcome) = serde_json::from_str(&line) {
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

fn work(
    arguments: &Arguments,
    traces: &[Trace],
    waiting: &[&Run],
    base: &ReplaySettings,
    results: &Path,
) -> Result<(), Failure> {
    let progress = bar(waiting.len() as u64, "{msg:10} {pos}/{len} {bar:40} {eta} left")?;
    progress.set_message("reading");
    let prepared = traces.iter().map(|trace| prepare_one(arguments, &trace.path, base.clone()));
    let prepared: Vec<Replay> = prepared.collect::<Result<_, _>>()?;
    progress.set_message("replays");
    let cannot = || format!("{} cannot be written to", results.display());
    let file = append_to(results).with_context(cannot)?;
    let (file, broken) = (Mutex::new(file), Mutex::new(None));
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(waiting.len()) {
            scope.spawn(|| {
                while let Some(run) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = replay(arguments, &prepared[run.trace], run, traces);
                    let kept = outcome.and_then(|outcome| keep(&file, &outcome, results));
                    if let Err(failure) = kept {
                        if let Ok(mut broken) = broken.lock() {
                            broken.get_or_insert(failure);
                        }
                        return;
                    }
                    progress.inc(1);
                }
            });
        }
    });
    progress.finish_and_clear();
    match broken.into_inner() {
        Ok(None) => Ok(()),
        Ok(Some(failure)) => Err(failure),
        Err(_) => Err(Failure::Failed(anyhow!("a replay broke down"))),
    }
}

/// Opens the results to add to them; a line that was cut off stays one of its own.
fn append_to(results: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(results)?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

fn replay(
    arguments: &Arguments,
    prepared: &Replay,
    run: &Run,
    traces: &[Trace],
) -> Result<Outcome, Failure> {
    let replay = prepared.with_settings(run.settings.clone());
    let replayed = replay.run(run.policy, &mut Silent).map_err(bad)?;
    Ok(Outcome {
        trace: traces[run.trace].name(),
        catalog: arguments.catalog_name(),
        seed: arguments.part.seed,
        basis: traces[run.trace].basis.clone(),
        settings: run.point.clone(),
        summary: replayed.summary,
    })
}

fn keep(file: &Mutex<File>, outcome: &Outcome, results: &Path) -> Result<(), Failure> {
    let cannot = || format!("{} cannot be written to", results.display());
    let line = serde_json::to_string(outcome).context("a result cannot be written")? + "\n";
    let mut file = file.lock().map_err(|_| anyhow!("a replay broke down"))?;
    file.write_all(line.as_bytes()).with_context(cannot)?;
    Ok(())
}

/// Hears nothing.
struct Silent;

impl Sink for Silent {
    fn moment(&mut self, _: &Moment) {}
    fn decision(&mut self, _: &str) {}
    fn progress(&mut self, _: f64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(text: &str) -> Sweep {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn a_grid_has_every_combination_and_chance_draws_different_ones() {
        let text = "settings:\n  berth.steer: [true, false]\n  pool.budgetPercent: [5, 10, 20]\n";
        let all = points(&sweep(text), 1).unwrap();
        assert_eq!(all.len(), 6);
        assert_eq!(all.iter().map(|one| format!("{one:?}")).collect::<BTreeSet<_>>().len(), 6);
        let some = points(&sweep(&format!("{text}random: 4\n")), 1).unwrap();
        assert_eq!(some.len(), 4);
        assert!(some.iter().all(|one| all.contains(one)));
    }

    #[test]
    fn a_point_sets_what_it_names_and_nothing_else() {
        let base = ReplaySettings::default();
        let point = |path: &str, value: Value| Point::from([(path.to_owned(), value)]);
        let set = with(&base, &point("berth.horizonHours", Value::from(6.0))).unwrap();
        assert!((set.berth.horizon_hours - 6.0).abs() < 1e-9);
        assert_eq!(set.karpenter, base.karpenter);
        let unknown = with(&base, &point("berth.horizon", Value::from(6))).unwrap_err();
        assert!(unknown.starts_with("berth.horizon is no setting"), "{unknown}");
        assert!(with(&base, &point("berth.steer", Value::from("maybe"))).is_err());
    }
}
