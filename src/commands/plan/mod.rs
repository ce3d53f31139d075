//! `berth plan`: one plan from files, a what-if.

mod consolidate;
mod document;
mod existing;
mod input;
mod policy;
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use berth_solver::model::{Name, Plan, Snapshot};
use berth_solver::packing;
use berth_solver::verify::verify;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::Failure;
use super::consolidation::ConsolidationArguments;
use super::output::Output;
use super::packing::PackingArguments;
use super::progress::Progress;
use super::values::duration;
use input::Input;
use policy::Policy;

/// Plan once from files: which nodes to launch for these pods, and what that costs at least
///
/// Nodes and bound pods in the manifests are the present cluster; unbound pods and the replicas
/// of workloads are what to place. Without a NodePool, one that allows every offering is assumed.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// What the cloud sells, as CSV or as the JSON of Karpenter's kwok provider
    #[arg(long, value_name = "FILE")]
    catalog: PathBuf,
    /// Kubernetes manifests; folders are read with all that is in them
    #[arg(long, value_name = "FILE_OR_DIR", num_args = 1..)]
    manifests: Vec<PathBuf>,
    /// Look at the cluster that kubectl would talk to, as it is now, instead of at manifests;
    /// nothing is written
    #[arg(long, conflicts_with = "manifests")]
    live: bool,
    /// Which cluster to look at [default: $KUBECONFIG, ~/.kube/config, or the pod's service
    /// account]
    #[arg(long, value_name = "FILE", requires = "live")]
    kubeconfig: Option<PathBuf>,
    /// Pods as a workload trace in CSV, plain or .zst: those that are there at its time 0
    #[arg(long, value_name = "FILE.csv")]
    pods: Option<PathBuf>,
    /// How long to look for a better plan
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = duration)]
    budget: Duration,
    /// Where the solver's random choices come from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Who plans
    #[arg(
        long,
        default_value_t = Policy::Berth,
        value_parser = PossibleValuesParser::new(Policy::ALL.map(Policy::as_str))
            .try_map(|text| text.parse::<Policy>())
    )]
    policy: Policy,
    #[command(flatten)]
    packing: PackingArguments,
    /// Say which of the nodes that are there could go, instead of placing pods
    #[arg(long, conflicts_with = "policy")]
    consolidate: bool,
    #[command(flatten)]
    consolidation: ConsolidationArguments,
    /// A table for people or JSON for machines
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Makes the plan and prints it to `output`.
///
/// # Errors
/// When a file makes no sense, when no checked plan could be made, and when it cannot be printed.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> Result<(), Failure> {
    let progress = Progress::start("reading");
    let input = Input::read(arguments)?;
    if arguments.consolidate {
        progress.say("looking for nodes that could go");
        let text = consolidate::text(&input, arguments)?;
        progress.end();
        input.tell_notes();
        return print(&text, output);
    }
    progress.say(&format!("planning {} pods", input.pending()));
    let mut made = make(arguments.policy, &input, arguments)?;
    if arguments.policy != Policy::Berth {
        progress.say("looking for a bound");
        let settings = settings(&input, arguments);
        let over = budget(arguments);
        policy::bound(&mut made.plan, &input, &settings, arguments.seed, &over);
    }
    let others = match arguments.output {
        Output::Json => Vec::new(),
        Output::Table => compare(arguments, &input, &progress),
    };
    progress.end();
    input.tell_notes();
    match arguments.output {
        Output::Json => document::print(&input, &made, output),
        Output::Table => print(&table::text(&input, &made, &others), output),
    }
}

fn print(text: &str, output: &mut dyn Write) -> Result<(), Failure> {
    output.write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(())
}

/// A plan that passed the checker.
#[derive(Clone, Debug)]
struct Made {
    plan: Plan,
    took: Duration,
}

fn settings(input: &Input, arguments: &Arguments) -> packing::Settings {
    arguments.packing.settings(input.schedulers.clone())
}

/// The time from now on that `--budget` leaves.
fn budget(arguments: &Arguments) -> packing::Budget<impl Fn() -> f64> {
    let (started, most) = (Instant::now(), arguments.budget.max(Duration::from_millis(1)));
    packing::Budget(move || started.elapsed().as_secs_f64() / most.as_secs_f64())
}

/// Has a policy plan, and its plan checked.
fn make(policy: Policy, input: &Input, arguments: &Arguments) -> Result<Made, Failure> {
    let settings = settings(input, arguments);
    let started = Instant::now();
    let over = budget(arguments);
    let plan = policy::plan(policy, input, &settings, arguments.seed, &over);
    let took = started.elapsed();
    check(&input.snapshot, &input.schedulers, &plan)?;
    Ok(Made { plan, took })
}

fn check(snapshot: &Snapshot, schedulers: &[Name], plan: &Plan) -> Result<(), Failure> {
    let violations = verify(snapshot, schedulers, plan);
    if violations.is_empty() {
        return Ok(());
    }
    let method = plan.method;
    let list: Vec<String> = violations.iter().map(|one| format!("\n  {one}")).collect();
    Err(Failure::Failed(anyhow!(
        "the {method} plan breaks {} rules, so it is not shown:{}",
        list.len(),
        list.concat()
    )))
}

/// A policy, and its plan or what is wrong with it.
type Compared = (Policy, Result<Made, String>);

/// What the peers' policies would do. One whose plan breaks a rule
/// has no price to compare with: it comes with what is wrong instead.
fn compare(arguments: &Arguments, input: &Input, progress: &Progress) -> Vec<Compared> {
    let others = policy::BASELINES.into_iter().filter(|policy| *policy != arguments.policy);
    others
        .map(|policy| {
            progress.say(&format!("comparing with {policy}"));
            (policy, make(policy, input, arguments).map_err(|failure| failure.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use berth_solver::testing::{cluster, pod, shape};

    use super::*;

    #[test]
    fn a_plan_that_breaks_a_rule_is_a_failure_that_lists_what_it_breaks() {
        let web = shape(100, 100).build();
        let snapshot = cluster().pod(pod("one", &web)).pod(pod("two", &web)).snapshot();
        let schedulers = [Name::from("default-scheduler")];
        let refused = check(&snapshot, &schedulers, &Plan::default());
        let Err(Failure::Failed(error)) = refused else { panic!("{refused:?}") };
        let text = error.to_string();
        assert!(
            text.starts_with("the nothing plan breaks 2 rules, so it is not shown:\n"),
            "{text}"
        );
        assert!(text.contains("PodForgotten: pod default/one needs a node"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(check(&snapshot, &[], &Plan::default()).is_ok());
    }
}
