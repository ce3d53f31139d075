//! What the figures mean, in sentences.

use serde::Serialize;

use super::Told;
use crate::replay::{Moment, Summary};

const HOUR: f64 = 3_600.0;
const DEAREST: usize = 8;

/// How much dearer than the bound, as text.
pub(super) fn over_bound(summary: &Summary) -> String {
    if summary.cost_lower_bound <= 0.0 {
        return "no bound is known".to_owned();
    }
    format!("{:.1} %", (summary.cost_total / summary.cost_lower_bound - 1.0) * 100.0)
}

/// CPU-hours that were paid for, and that were used.
fn cpu_hours(moments: &[Moment]) -> (f64, f64) {
    let sum = |of: fn(&Moment) -> f64| -> f64 {
        moments.iter().map(|one| of(one) * one.seconds / HOUR).sum()
    };
    (sum(|one| one.cpu), sum(|one| one.cpu_used))
}

/// How each policy differs from the first, and where that comes from.
///
/// Cost is the price of a CPU-hour that is paid for, divided by the share that is used, times the
/// CPU-hours that pods used: three factors, each of which is told.
pub(super) fn differences(policies: &[Told]) -> Vec<String> {
    let Some((first, others)) = policies.split_first() else { return Vec::new() };
    others.iter().filter_map(|other| difference(first, other)).collect()
}

fn difference(first: &Told, other: &Told) -> Option<String> {
    let parts = |told: &Told| {
        let (paid, used) = cpu_hours(&told.moments);
        let cost = told.summary.cost_total;
        (paid > 0.0 && used > 0.0 && cost > 0.0).then(|| (cost, cost / paid, used / paid, used))
    };
    let (cost, rate, share, used) = parts(first)?;
    let (other_cost, other_rate, other_share, other_used) = parts(other)?;
    let (name, other_name) = (&first.summary.policy, &other.summary.policy);
    let change = |new: f64, old: f64, more: &str, less: &str| {
        let percent = (new / old - 1.0) * 100.0;
        if percent.abs() < 0.05 {
            "as much".to_owned()
        } else if percent > 0.0 {
            format!("{percent:.1} % {more}")
        } else {
            format!("{:.1} % {less}", -percent)
        }
    };
    let mut text = format!(
        "{other_name} costs {} than {name}: it pays {} for a CPU-hour of its nodes, and pods use \
         {:.1} % of them instead of {:.1} %.",
        change(other_cost, cost, "more", "less"),
        change(other_rate, rate, "more", "less"),
        other_share * 100.0,
        share * 100.0,
    );
    if (other_used / used - 1.0).abs() > 0.005 {
        let ran = change(other_used, used, "more", "fewer");
        text.push_str(&format!(
            " Its pods ran {ran} CPU-hours within the replayed time, because they waited \
             differently."
        ));
    }
    let (waits, other_waits) = (first.summary.pending_seconds, other.summary.pending_seconds);
    text.push_str(&format!(
        " One pod in a hundred waited longer than {:.0} s ({:.0} s with {name}); {} evictions \
         ({} with {name}).",
        other_waits.p99, waits.p99, other.summary.evictions, first.summary.evictions,
    ));
    Some(text)
}

/// An hour in which much more was paid than had to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct DearHour {
    hour: u64,
    cost: f64,
    bound: f64,
    why: String,
}

#[derive(Clone, Debug, Default)]
struct Hour {
    seconds: f64,
    cost: f64,
    bound: f64,
    cpu: [f64; 2],
    memory: [f64; 2],
    nodes: f64,
    launches: u64,
    removals: u64,
    evictions: u64,
    pods: [f64; 2],
}

/// The hours in which most was paid beyond the bound, the dearest first, and why.
pub(super) fn dearest_hours(moments: &[Moment]) -> Vec<DearHour> {
    let mut hours: std::collections::BTreeMap<u64, Hour> = std::collections::BTreeMap::new();
    for one in moments {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hours")]
        let hour = hours.entry((one.at_seconds / HOUR).max(0.0) as u64).or_default();
        let part = one.seconds / HOUR;
        if hour.seconds == 0.0 {
            hour.pods[0] = one.pods;
        }
        hour.pods[1] = one.pods;
        hour.seconds += one.seconds;
        hour.cost += one.cost_per_hour * part;
        hour.bound += one.bound_per_hour * part;
        hour.nodes += one.nodes * part;
        hour.cpu = [hour.cpu[0] + one.cpu_used * part, hour.cpu[1] + one.cpu * part];
        hour.memory = [hour.memory[0] + one.memory_used * part, hour.memory[1] + one.memory * part];
        hour.launches += one.launches;
        hour.removals += one.removals;
        hour.evictions += one.evictions;
    }
    let mut hours: Vec<(u64, Hour)> = hours.into_iter().collect();
    let excess = |hour: &Hour| hour.cost - hour.bound;
    hours.sort_by(|(_, one), (_, other)| excess(other).total_cmp(&excess(one)));
    hours
        .into_iter()
        .take(DEAREST)
        .map(|(hour, data)| DearHour { hour, cost: data.cost, bound: data.bound, why: why(&data) })
        .collect()
}

fn why(hour: &Hour) -> String {
    let share = |[used, of]: [f64; 2]| if of > 0.0 { used / of * 100.0 } else { 0.0 };
    let (cpu, memory) = (share(hour.cpu), share(hour.memory));
    let mut reasons = vec![format!(
        "pods used {cpu:.0} % of CPU and {memory:.0} % of memory of {:.0} nodes",
        hour.nodes * HOUR / hour.seconds.max(1.0)
    )];
    let [before, after] = hour.pods;
    if after < before * 0.9 {
        reasons.push(format!("pods fell from {before:.0} to {after:.0}, nodes go later"));
    }
    if after > before * 1.1 {
        reasons.push(format!("pods grew from {before:.0} to {after:.0}, nodes come ahead of them"));
    }
    if (cpu - memory).abs() > 25.0 {
        let (full, empty) = if cpu > memory { ("CPU", "memory") } else { ("memory", "CPU") };
        reasons.push(format!("nodes are full of {full} while {empty} is left over"));
    }
    reasons.push(format!(
        "{} nodes asked for, {} told to go, {} pods evicted",
        hour.launches, hour.removals, hour.evictions
    ));
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(policy: &str, cost: f64, cpu: f64) -> Told {
        let moment = Moment {
            seconds: HOUR,
            cost_per_hour: cost,
            bound_per_hour: 1.0,
            cpu,
            cpu_used: 4.0,
            memory: 8.0,
            memory_used: 7.9,
            nodes: 3.0,
            ..Moment::default()
        };
        let summary = Summary {
            policy: policy.to_owned(),
            cost_total: cost,
            cost_lower_bound: 1.0,
            ..Summary::default()
        };
        Told { summary, moments: vec![moment] }
    }

    #[test]
    fn a_difference_is_told_by_its_parts() {
        let text = differences(&[told("berth", 2.0, 5.0), told("karpenter", 3.0, 10.0)]);
        assert_eq!(
            text,
            ["karpenter costs 50.0 % more than berth: it pays 25.0 % less for a CPU-hour of its \
              nodes, and pods use 40.0 % of them instead of 80.0 %. One pod in a hundred waited \
              longer than 0 s (0 s with berth); 0 evictions (0 with berth)."]
        );
    }

    #[test]
    fn dear_hours_say_why() {
        let hours = dearest_hours(&told("berth", 2.0, 10.0).moments);
        assert_eq!(hours.len(), 1);
        assert!((hours[0].cost - 2.0).abs() < 1e-9);
        assert_eq!(
            hours[0].why,
            "pods used 40 % of CPU and 99 % of memory of 3 nodes; nodes are full of memory while \
             CPU is left over; 0 nodes asked for, 0 told to go, 0 pods evicted"
        );
    }
}
