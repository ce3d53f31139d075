use super::leaving::is_leaving;
use super::{Placer, PodInQuestion};
use crate::model::{Name, NodeState, Price, Snapshot};

/// The score of a node that nothing new should land on.
pub const LOWEST_SCORE: i64 = 0;
/// The score of the planned node: the most that kube-scheduler takes from an extender.
pub const HIGHEST_SCORE: i64 = 10;

/// Unmanaged nodes cost the same whether they are used or not.
const UNMANAGED_SCORE: i64 = 9;
/// How many points fullness is worth.
const FULLNESS_POINTS: i64 = 6;

impl Placer<'_> {
    /// A score from 0 to 10 for each candidate, in their order.
    ///
    /// * 10: the node that the plan has for the pod.
    /// * 9: a node that is in no NodePool. It stays and costs the same whatever runs on it, and
    ///   what runs there needs no node of Berth's.
    /// * 1 to 8: a node of a NodePool, `1 + floor(6 × fullness) + c`. Fullness is the larger used
    ///   share of its CPU and memory, at most 1: full nodes get fuller, so that others run empty
    ///   and can go. `c` is 1 if no candidate's price per CPU is lower: among equally full nodes
    ///   the dearer one runs empty. Nodes whose price is not known, and nodes that are not known
    ///   at all, have `c` = 0.
    /// * 0: a node that is leaving. Without a complete picture of the cluster every node has 0.
    pub fn prioritize(&self, pod: &PodInQuestion<'_>, candidates: &[&str]) -> Vec<i64> {
        let Some(snapshot) = self.snapshot else {
            return candidates.iter().map(|_| LOWEST_SCORE).collect();
        };
        let planned = self.planned_node(snapshot, pod);
        let nodes: Vec<Option<&NodeState>> = candidates
            .iter()
            .map(|candidate| snapshot.nodes.get(*candidate).map(AsRef::as_ref))
            .collect();
        let rates: Vec<Option<Rate>> =
            nodes.iter().map(|state| rate(snapshot, (*state)?)).collect();
        let cheapest = rates.iter().flatten().copied().min_by(Rate::compare);
        nodes
            .into_iter()
            .zip(rates)
            .map(|(state, rate)| {
                let Some(state) = state else { return 1 };
                if planned.as_ref() == Some(&state.node.name) {
                    HIGHEST_SCORE
                } else if is_leaving(snapshot, state) {
                    LOWEST_SCORE
                } else if state.node.pool().is_none() {
                    UNMANAGED_SCORE
                } else {
                    let is_cheapest = rate
                        .zip(cheapest)
                        .is_some_and(|(rate, cheapest)| rate.compare(&cheapest).is_le());
                    1 + fullness_points(state) + i64::from(is_cheapest)
                }
            })
            .collect()
    }

    fn planned_node(&self, snapshot: &Snapshot, pod: &PodInQuestion<'_>) -> Option<Name> {
        if !self.plan.is_good_at(self.now) {
            return None;
        }
        self.standing_node(snapshot, self.target(snapshot, pod)?)
    }
}

/// `floor(6 × the larger used share of CPU and memory)`, from 0 to 6.
fn fullness_points(state: &NodeState) -> i64 {
    let points = |used: i64, of: i64| {
        if of <= 0 {
            return 0;
        }
        let points = i128::from(FULLNESS_POINTS) * i128::from(used) / i128::from(of);
        i64::try_from(points).unwrap_or(FULLNESS_POINTS).clamp(0, FULLNESS_POINTS)
    };
    let (used, all) = (&state.used, &state.node.allocatable);
    points(used.cpu.0, all.cpu.0).max(points(used.memory.0, all.memory.0))
}

/// What a node's CPU costs.
#[derive(Clone, Copy)]
struct Rate {
    price: Price,
    cpu: u64,
}

impl Rate {
    /// Compares price ÷ CPU exactly.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let cross = |one: &Self, two: &Self| u128::from(one.price.as_nanos()) * u128::from(two.cpu);
        cross(self, other).cmp(&cross(other, self))
    }
}

fn rate(snapshot: &Snapshot, state: &NodeState) -> Option<Rate> {
    state.node.pool()?;
    // Only the look-up by name: a node under another name than its claim's does without.
    let price = snapshot.claims.get(&state.node.name)?.price?;
    let cpu = u64::try_from(state.node.allocatable.cpu.0).ok().filter(|cpu| *cpu > 0)?;
    Some(Rate { price, cpu })
}
