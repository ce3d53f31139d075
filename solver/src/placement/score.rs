use super::candidates::{Candidates, Known};
use super::leaving::leaving;
use super::{Placer, PodInQuestion};
use crate::model::{Name, NodeFigures, Snapshot};

/// The score of a node that nothing new should land on.
pub const LOWEST_SCORE: i64 = 0;
/// The score of the planned node: the most that kube-scheduler takes from an extender.
pub const HIGHEST_SCORE: i64 = 10;

/// Unmanaged nodes cost the same whether they are used or not.
const UNMANAGED_SCORE: i64 = 9;
/// How many points fullness is worth.
const FULLNESS_POINTS: u16 = 4;
/// How many points a low price is worth.
const PRICE_POINTS: u64 = 3;

impl Placer<'_> {
    /// A score from 0 to 10 for each candidate, in their order.
    ///
    /// * 10: the node that the plan has for the pod.
    /// * 9: a node that is in no NodePool. It stays and costs the same whatever runs on it, and
    ///   what runs there needs no node of Berth's.
    /// * 1 to 8: a node of a NodePool, `1 + floor(4 × fullness) + floor(3 × cheapest / price)`.
    ///   Fullness is the larger used share of its CPU and memory, at most 1: full nodes get
    ///   fuller, so that others run empty and can go. The price is that of a core, held against
    ///   the cheapest candidate's: a node at twice the price of another gets new pods only when it
    ///   is much fuller, and so the dear ones run empty first. Nodes whose price is not known,
    ///   and nodes that are not known at all, get no point for it.
    /// * 0: a node that is leaving. Without a complete picture of the cluster every node has 0.
    pub fn prioritize(&self, pod: &PodInQuestion<'_>, candidates: &Candidates<'_, '_>) -> Vec<i64> {
        let Some(snapshot) = self.snapshot else { return vec![LOWEST_SCORE; candidates.len()] };
        let planned = self.planned_node(snapshot, pod);
        let leaving = leaving(snapshot);
        let cheapest = candidates.iter().filter_map(|(_, known)| known?.figures.rate).min();
        let score = |(candidate, known): (&str, Option<Known<'_>>)| {
            let Some(known) = known else { return 1 };
            if planned.as_ref().is_some_and(|planned| *planned == *candidate) {
                HIGHEST_SCORE
            } else if leaving.contains(candidate) {
                LOWEST_SCORE
            } else {
                score_of(known.figures, cheapest)
            }
        };
        candidates.iter().map(score).collect()
    }

    fn planned_node(&self, snapshot: &Snapshot, pod: &PodInQuestion<'_>) -> Option<Name> {
        if !self.plan.is_good_at(self.now) {
            return None;
        }
        self.standing_node(snapshot, self.target(snapshot, pod)?)
    }
}

/// The score of a node that is not leaving, for a pod that is planned for no node. `cheapest` is
/// the lowest rate among the candidates.
pub fn score_of(figures: &NodeFigures, cheapest: Option<u64>) -> i64 {
    if !figures.is_managed {
        return UNMANAGED_SCORE;
    }
    let fullness = i64::from(figures.fullness * FULLNESS_POINTS / 1_000);
    1 + fullness + price_points(figures.rate, cheapest)
}

/// `floor(3 × cheapest / rate)`, from 0 to 3. What costs nothing has all of them.
fn price_points(rate: Option<u64>, cheapest: Option<u64>) -> i64 {
    let (Some(rate), Some(cheapest)) = (rate, cheapest) else { return 0 };
    let points = PRICE_POINTS.saturating_mul(cheapest).checked_div(rate).unwrap_or(PRICE_POINTS);
    i64::try_from(points.min(PRICE_POINTS)).unwrap_or(0)
}
