//! A price that no set of launches can beat that places the same pods.
//!
//! By weak duality: give each group a value so that no machine can hold more than its price's
//! worth, and what the placed pods are worth together is a lower bound, less what nodes that are
//! there can hold for nothing. Values come from the fluid relaxation of each kind of requirement
//! alone and are scaled down together until they are feasible: whatever their source, the bound
//! holds, and it is rounded down.

use std::collections::BTreeMap;

use crate::model::Price;

use super::columns::{Generation, Model};
use super::dimensions;
use super::duals;
use super::knapsack::Knapsack;
use super::master::Column;
use super::models::{self, Bin, Member};
use super::problem::Problem;
use super::repack::{self, Repack};
use super::state::{NewNode, State};

/// How many parts of a search for the best content of a node are looked at.
const PARTS: u32 = 50;
/// What float arithmetic may have gained.
const SAFETY: f64 = 1.0 - 1e-6;

/// The bound for what the state places.
pub fn lower_bound(state: &State<'_, '_>) -> Price {
    let problem = state.problem;
    let dimensions = problem.dimensions.len();
    let mut demand: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let loads = state.loads.iter().chain(state.nodes.iter().map(|node| &node.load));
    for (group, count) in loads.flat_map(|load| &load.contents) {
        let data = &problem.groups[*group];
        let sums = demand.entry(data.relaxed).or_insert_with(|| vec![0.0; dimensions]);
        for (sum, amount) in sums.iter_mut().zip(&data.demand) {
            *sum += *amount as f64 * f64::from(*count);
        }
    }
    let machines: Vec<(Vec<f64>, f64)> = problem
        .candidates
        .iter()
        .map(|candidate| {
            let room = candidate.room.iter().map(|has| (*has).max(0) as f64).collect();
            (room, candidate.cost)
        })
        .collect();
    let mut prices: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (signature, sums) in &demand {
        let usable: Vec<(&[f64], f64)> = problem
            .candidates
            .iter()
            .zip(&machines)
            .filter(|(candidate, _)| problem.cells[candidate.cell].allowed[*signature])
            .map(|(_, (room, cost))| (room.as_slice(), *cost))
            .collect();
        prices.insert(*signature, duals::resource_prices(sums, &usable));
    }
    let worth = |room: &[f64], allowed: &dyn Fn(usize) -> bool| -> f64 {
        (0..dimensions)
            .map(|dimension| {
                let dearest = prices
                    .iter()
                    .filter(|(signature, _)| allowed(**signature))
                    .map(|(_, prices)| prices[dimension])
                    .fold(0.0, f64::max);
                room[dimension] * dearest
            })
            .sum()
    };
    let mut scale: f64 = 1.0;
    for (candidate, (room, cost)) in problem.candidates.iter().zip(&machines) {
        let cell = &problem.cells[candidate.cell];
        let content = worth(room, &|signature| cell.allowed[signature]);
        if content > *cost {
            scale = scale.min(cost / content);
        }
    }
    let pods: f64 = demand
        .iter()
        .map(|(signature, sums)| {
            sums.iter().zip(&prices[signature]).map(|(sum, price)| sum * price).sum::<f64>()
        })
        .sum();
    let there: f64 = problem
        .bins
        .iter()
        .enumerate()
        .filter(|(_, bin)| bin.open)
        .map(|(index, _)| {
            let free = state.free_before(index);
            let free: Vec<f64> = free.iter().map(|has| (*has).max(0) as f64).collect();
            worth(&free, &|signature| problem.bin_allowed[signature][index])
        })
        .sum();
    rounded((pods - there) * scale)
}

/// The pods that a state places, each free to go wherever its own requirements and the weights of
/// pools let it, whatever other pods ask: whatever column generation proves of this model holds for
/// every plan.
///
/// It holds for plans that count a host that is still to come as empty where pods are spread over
/// hosts, as Karpenter does and this planner: kube-scheduler may meet the new nodes in any order.
#[derive(Debug)]
pub struct Relaxed {
    signatures: Vec<usize>,
    /// The pods.
    pub members: Vec<Member>,
    /// Whether they are all that was placed.
    pub is_all: bool,
    /// The model of them.
    pub model: Model,
}

impl Relaxed {
    /// What the state places, but for pods that only nodes that are there could take: without them
    /// everything costs no more. `None` if `stop` cut it short.
    pub fn of(state: &State<'_, '_>, stop: &mut dyn FnMut() -> bool) -> Option<Self> {
        let problem = state.problem;
        let mut placed: BTreeMap<usize, u32> = BTreeMap::new();
        let loads = state.loads.iter().chain(state.nodes.iter().map(|node| &node.load));
        for (group, count) in loads.flat_map(|load| &load.contents) {
            *placed.entry(*group).or_default() += count;
        }
        let weigh_alike = problem.weighs_alike();
        let mut is_all = true;
        let mut least: Vec<Vec<i32>> = vec![Vec::new(); problem.groups.len()];
        let mut counts: BTreeMap<((usize, i32), usize), u32> = BTreeMap::new();
        for (group, count) in placed {
            if stop() {
                return None;
            }
            if !could_be_on_a_new_node(problem, group) {
                is_all = false;
                continue;
            }
            if !weigh_alike {
                least[group] = weights(state, group);
            }
            let weight = least[group].iter().copied().min().unwrap_or(i32::MIN);
            counts.insert(((problem.groups[group].relaxed, weight), group), count);
        }
        let (keys, members) = models::members(problem, &counts);
        let signatures: Vec<usize> = keys.into_iter().map(|(signature, _)| signature).collect();
        let goes = |member: usize, cell: usize| {
            let (data, cell) = (&members[member], &problem.cells[cell]);
            cell.allowed[signatures[member]]
                && least[data.group()].get(cell.tuple).is_none_or(|least| *least <= cell.weight)
        };
        let model = Self::model(problem, &members, &goes, stop)?;
        Some(Self { signatures, members, is_all, model })
    }

    /// That many pods of each signature and group, wherever they may run; `None` if `stop` cut it
    /// short.
    pub fn of_counts(
        problem: &Problem<'_>,
        placed: &BTreeMap<(usize, usize), u32>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Self> {
        let (signatures, members) = models::members(problem, placed);
        let goes = |member: usize, cell: usize| problem.cells[cell].allowed[signatures[member]];
        let model = Self::model(problem, &members, &goes, stop)?;
        Some(Self { signatures, members, is_all: true, model })
    }

    fn model(
        problem: &Problem<'_>,
        members: &[Member],
        goes: &dyn Fn(usize, usize) -> bool,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Model> {
        let sets = models::host_sets(problem);
        let price = |candidate: usize| problem.candidates[candidate].cost;
        models::model(problem, &sets, members, goes, &price, stop)
    }

    /// For each group its member.
    fn of_group(&self) -> BTreeMap<usize, usize> {
        let members = self.members.iter().enumerate();
        members
            .flat_map(|(index, member)| member.groups.iter().map(move |(group, _)| (*group, index)))
            .collect()
    }

    /// What is on nodes, those aside that are left alone, as columns of the model.
    pub fn columns(&self, problem: &Problem<'_>, nodes: &[NewNode]) -> Vec<Column> {
        let of_group = self.of_group();
        repack::columns(problem, nodes, |node| {
            self.column(problem, node.candidate, &node.load.contents, &of_group)
        })
    }

    fn column(
        &self,
        problem: &Problem<'_>,
        candidate: usize,
        contents: &[(usize, u32)],
        of_group: &BTreeMap<usize, usize>,
    ) -> Column {
        let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
        for (group, count) in contents {
            if let Some(member) = of_group.get(group) {
                *counts.entry(*member).or_default() += count;
            }
        }
        let cost = problem.candidates[candidate].cost;
        Column { cost, candidate, counts: counts.into_iter().collect() }
    }

    /// Columns of what is packed anew, as columns of the model.
    pub fn translated<'c>(
        &self,
        problem: &Problem<'_>,
        repack: &Repack,
        columns: impl Iterator<Item = &'c Column>,
    ) -> Vec<Column> {
        let of_group = self.of_group();
        let group = |(member, count): &(usize, u32)| (repack.members[*member].group(), *count);
        let translated = |column: &Column| {
            let contents: Vec<(usize, u32)> = column.counts.iter().map(group).collect();
            self.column(problem, column.candidate, &contents, &of_group)
        };
        columns.map(translated).collect()
    }

    /// Values of what is packed anew, as values of the model: of several for one the least.
    pub fn values(&self, repack: &Repack, values: &[f64]) -> Vec<f64> {
        let of_group = self.of_group();
        let mut least = vec![f64::INFINITY; self.members.len()];
        for (member, value) in repack.members.iter().zip(values) {
            for (group, _) in &member.groups {
                if let Some(mine) = of_group.get(group) {
                    least[*mine] = least[*mine].min(*value);
                }
            }
        }
        least.into_iter().map(|value| if value.is_finite() { value } else { 0.0 }).collect()
    }

    /// The bound that a generation's values prove; `None` if `stop` cut the proof short.
    pub fn bound(
        &self,
        state: &State<'_, '_>,
        generation: &Generation<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Price> {
        let problem = state.problem;
        let values = &generation.values;
        let mut knapsack = Knapsack::default();
        let bins = problem.bins.iter().enumerate().filter(|(_, bin)| bin.open);
        let mut there = 0.0;
        for (index, _) in bins {
            if stop() {
                return None;
            }
            let free = state.free_before(index);
            let allowed = |signature: usize| problem.bin_allowed[signature][index];
            there += self.worth_in(problem, &mut knapsack, values, &allowed, &free);
        }
        let gained = self.by_reservations(problem, &mut knapsack, values, stop)?;
        Some(rounded(self.model.total(values) - there - gained))
    }

    /// The nodes that are there and take some of the pods.
    pub fn bins(&self, state: &State<'_, '_>) -> Vec<Bin> {
        let allowed =
            |member: usize, bin: usize| state.problem.bin_allowed[self.signatures[member]][bin];
        models::bins(state, &self.members, &allowed)
    }

    /// What a pod of each group is worth if one of each member is worth that.
    pub fn by_group(&self, values: &[f64]) -> BTreeMap<usize, f64> {
        let groups = self.members.iter().zip(values);
        groups
            .flat_map(|(member, value)| {
                member.groups.iter().map(move |(group, _)| (*group, *value))
            })
            .collect()
    }

    /// What reserved machines, of which there are only so many, can hold beyond their price.
    fn by_reservations(
        &self,
        problem: &Problem<'_>,
        knapsack: &mut Knapsack,
        values: &[f64],
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<f64> {
        let mut most = vec![0.0_f64; problem.reservations.len()];
        for candidate in &problem.candidates {
            let Some(reservation) = candidate.reservation else { continue };
            if stop() {
                return None;
            }
            let allowed = |signature: usize| problem.cells[candidate.cell].allowed[signature];
            let worth = self.worth_in(problem, knapsack, values, &allowed, &candidate.room);
            let gain = (worth - candidate.cost).max(0.0);
            most[reservation] = most[reservation].max(gain);
        }
        let left = problem.reservations.iter().map(|reservation| f64::from(reservation.left));
        Some(most.iter().zip(left).map(|(gain, left)| gain * left).sum())
    }

    /// What pods in that much room can be worth at most.
    fn worth_in(
        &self,
        problem: &Problem<'_>,
        knapsack: &mut Knapsack,
        values: &[f64],
        allowed: &dyn Fn(usize) -> bool,
        free: &[i64],
    ) -> f64 {
        knapsack.begin(free);
        for (index, member) in self.members.iter().enumerate() {
            if allowed(self.signatures[index]) {
                let demand = &problem.groups[member.group()].demand;
                let most = dimensions::room(demand, free).min(member.count);
                knapsack.add(index, values[index], demand, most);
            }
        }
        knapsack.search(0.0, 0.0, PARTS, usize::MAX, &mut || false).bound
    }
}

/// Whether there is anything to launch that takes a pod of the group.
fn could_be_on_a_new_node(problem: &Problem<'_>, group: usize) -> bool {
    let data = &problem.groups[group];
    problem.candidates.iter().any(|candidate| {
        candidate.reservation.is_none()
            && problem.cells[candidate.cell].allowed[data.relaxed]
            && dimensions::fits(&data.demand, &candidate.room)
    })
}

/// The weight of the pools that a group's pods go to wherever they go, by the combination of
/// domains: heavier pools come first, so that what pods cost in lighter ones is no bound. Nothing is
/// known where room in heavier pools may run out, or where preferences and other pods' places count
/// for more than weights.
fn weights(state: &State<'_, '_>, group: usize) -> Vec<i32> {
    let problem = state.problem;
    let data = &problem.groups[group];
    let mut weights = vec![i32::MIN; problem.tuples.len()];
    if data.signature != data.relaxed || !problem.topology.host_rules[group].affinity.is_empty() {
        return weights;
    }
    for (index, candidate) in problem.candidates.iter().enumerate() {
        let cell = &problem.cells[candidate.cell];
        let never_runs_out = !problem.pools[cell.pool].limited && candidate.reservation.is_none();
        if cell.weight > weights[cell.tuple]
            && never_runs_out
            && cell.allowed[data.signature]
            && dimensions::fits(&data.demand, &candidate.room)
            && (data.plain || state.empty_load(index).room(problem, group) > 0)
        {
            weights[cell.tuple] = cell.weight;
        }
    }
    weights
}

/// As a price, a hair's breadth lower.
pub fn rounded(bound: f64) -> Price {
    // One billionth for the rounding of the price itself.
    let price = Price::per_hour((bound * SAFETY).max(0.0)).unwrap_or_default();
    price.saturating_sub(Price::from_nanos(1))
}
