//! A plan as tables for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use berth_solver::model::{CapacityType, Launch, Name, Plan, PodKey, Price, Resources};

use super::document::{GATED, pods_by_target};
use super::input::Input;
use super::{Compared, Made, existing};
use crate::commands::output::{plural, table};

/// More reasons than these are counted, not told.
const MOST_REASONS: usize = 20;

/// All of it, with a line end.
pub(super) fn text(input: &Input, made: &Made, others: &[Compared]) -> String {
    let pods = pods_by_target(&input.snapshot, made);
    let count = |name: &Name| pods.get(name).map_or(0, Vec::len);
    let mut text = launches(&made.plan, count);
    text.push_str(&existing::table_of(&input.snapshot, &pods));
    text.push_str(&without_place(input, &made.plan));
    text.push_str(&headroom(&made.plan));
    text.push_str(&summary(made, others));
    text
}

/// Nodes to launch that are alike.
#[derive(Default)]
struct Row {
    nodes: u64,
    pods: usize,
    requests: Resources,
    allocatable: Resources,
}

impl Row {
    fn add(&mut self, launch: &Launch, pods: usize) {
        self.nodes += 1;
        self.pods += pods;
        self.requests += &launch.requests;
        self.allocatable += &launch.allocatable;
    }

    fn cells(&self, kind: [String; 3], each: String, all: Price) -> [String; 9] {
        let [instance_type, zone, bought] = kind;
        let (cpu, memory) = fill(&self.requests, &self.allocatable);
        let (nodes, pods) = (self.nodes.to_string(), self.pods.to_string());
        [instance_type, zone, bought, nodes, each, all.to_string(), pods, cpu, memory]
    }
}

fn launches(plan: &Plan, pods: impl Fn(&Name) -> usize) -> String {
    if plan.launches.is_empty() {
        return "no nodes to launch\n".to_owned();
    }
    let mut rows: BTreeMap<(&Name, &Name, CapacityType, Price), Row> = BTreeMap::new();
    let mut all = Row::default();
    for launch in &plan.launches {
        let key = (&launch.instance_type, &launch.zone, launch.capacity_type, launch.price);
        let pods = pods(&launch.name);
        rows.entry(key).or_default().add(launch, pods);
        all.add(launch, pods);
    }
    let mut table = table(
        [
            "to launch",
            "zone",
            "capacity type",
            "nodes",
            "price each",
            "in all",
            "pods",
            "cpu",
            "memory",
        ],
        3,
    );
    for ((instance_type, zone, bought, price), row) in &rows {
        let kind = [instance_type.to_string(), zone.to_string(), bought.to_string()];
        table.add_row(row.cells(kind, price.to_string(), *price * row.nodes));
    }
    let kind = ["in all".to_owned(), String::new(), String::new()];
    table.add_row(all.cells(kind, String::new(), plan.price));
    format!("{table}\n")
}

/// How much of CPU and memory is asked for.
pub(super) fn fill(requests: &Resources, allocatable: &Resources) -> (String, String) {
    (percent(requests.cpu.0, allocatable.cpu.0), percent(requests.memory.0, allocatable.memory.0))
}

fn percent(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return "-".to_owned();
    }
    let tenths = (i128::from(part) * 1_000 + i128::from(whole) / 2) / i128::from(whole);
    format!("{}.{} %", tenths / 10, (tenths % 10).abs())
}

/// Pods without a place, by reason.
fn without_place(input: &Input, plan: &Plan) -> String {
    let planned = plan.unschedulable.iter().map(|one| (one.reason.as_str(), &one.pod));
    let gated = input.gated().map(|pod| (GATED, &pod.key));
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (reason, pod) in planned.chain(gated) {
        reasons.entry(reason).or_default().push(pod.to_string());
    }
    if reasons.is_empty() {
        return String::new();
    }
    let total: usize = reasons.values().map(Vec::len).sum();
    let mut ranked: Vec<(&str, Vec<String>)> = reasons.into_iter().collect();
    ranked.sort_by_key(|(reason, pods)| (std::cmp::Reverse(pods.len()), *reason));
    let mut text = format!("{total} {} without a place\n", plural(total, "pod"));
    for (reason, pods) in ranked.iter().take(MOST_REASONS) {
        let first = &pods[0];
        let more = pods.len() - 1;
        let others = if more > 0 { format!(" and {more} more") } else { String::new() };
        // Writing to a String never fails.
        let _ = writeln!(text, "  {first}{others}: {reason}");
    }
    if ranked.len() > MOST_REASONS {
        let _ = writeln!(text, "  and {} more reasons", ranked.len() - MOST_REASONS);
    }
    text
}

/// How much room is kept free, buffer by buffer.
fn headroom(plan: &Plan) -> String {
    #[derive(Default)]
    struct Room<'a> {
        kept: u32,
        missing: u32,
        why: &'a str,
    }
    let mut rooms: BTreeMap<&PodKey, Room<'_>> = BTreeMap::new();
    for found in &plan.headroom {
        let room = rooms.entry(&found.buffer).or_default();
        match &found.target {
            Some(_) => room.kept += found.places,
            None => (room.missing, room.why) = (room.missing + found.places, &found.reason),
        }
    }
    rooms.iter().fold(String::new(), |mut text, (buffer, Room { kept, missing, why })| {
        let _ = write!(text, "room for {kept} more of buffer {buffer}");
        if *missing > 0 {
            let _ = write!(text, ", none for {missing}: {why}");
        }
        text.push('\n');
        text
    })
}

fn summary(made: &Made, others: &[Compared]) -> String {
    let plan = &made.plan;
    let gap = plan.gap().map_or("-".to_owned(), |gap| format!("{:.2} %", gap * 100.0));
    let took = made.took.as_secs_f64() * 1e3;
    let mut lines = vec![("price per hour", plan.price.to_string())];
    if !plan.price_per_node.is_zero() {
        let each = plan.price_per_node;
        lines.push(("counts for", format!("{}, {each} more for each node", plan.cost())));
    }
    lines.push(("lower bound", format!("{}, gap {gap}", plan.lower_bound)));
    lines.push(("found by", format!("{} in {took:.1} ms, seed {}", plan.method, plan.seed)));
    let names: Vec<String> =
        others.iter().map(|(policy, _)| format!("{policy} would cost")).collect();
    for (name, (_, other)) in names.iter().zip(others) {
        lines.push((name, against(plan, other)));
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:width$}  {value}");
        text
    })
}

/// What another policy's plan costs beside this one.
fn against(plan: &Plan, other: &Result<Made, String>) -> String {
    let other = match other {
        Ok(made) => &made.plan,
        Err(problem) => return format!("- ({problem})"),
    };
    let mut text = other.price.to_string();
    if plan.price > Price::ZERO {
        let share = (other.price.as_f64() / plan.price.as_f64() - 1.0) * 100.0;
        let _ = write!(text, " ({share:+.1} %)");
    }
    let nodes = other.launches.len();
    let _ = write!(text, ", {nodes} {}", plural(nodes, "node"));
    if other.unschedulable.len() != plan.unschedulable.len() {
        let pods = other.unschedulable.len();
        let _ = write!(text, ", {pods} {} without a place", plural(pods, "pod"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_to_tenths_of_a_percent() {
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(2, 3), "66.7 %");
        assert_eq!(percent(3, 3), "100.0 %");
        assert_eq!(percent(1, 0), "-");
    }
}
