//! A plan in the making.

use std::sync::Arc;

use crate::constraints::pool_limits::{self, Usage};
use crate::model::{InstanceType, Price};

use super::bins::Load;
use super::dealing::Dealing;
use super::dimensions::{self, Amounts};
use super::groups::Held;
use super::offerings::Candidate;
use super::problem::Problem;
use super::topology::Topology;

/// Pods of a group that may go to the same places.
#[derive(Clone, Debug)]
pub struct Class {
    /// Their group.
    pub group: usize,
    /// Their node requirements, by index.
    pub signature: usize,
    /// The combinations of domains that they may go to; `None`: all.
    pub tuples: Option<Arc<[bool]>>,
    /// How many are still without a place.
    pub remaining: u32,
    /// Whether shared domains count them already, at the only place they may go to.
    pub pinned: bool,
}

impl Class {
    /// Whether nodes with that combination of domains will do.
    pub fn goes_to(&self, tuple: usize) -> bool {
        self.tuples.as_ref().is_none_or(|tuples| tuples.get(tuple).copied().unwrap_or(false))
    }
}

/// A node to be launched.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// What is launched.
    pub candidate: usize,
    /// What is on it.
    pub load: Load,
    /// Whether it must stay as it is: somebody's place depends on what is on it.
    pub fixed: bool,
}

/// A plan in the making: what was placed where, and the counts that follow from it.
#[derive(Clone, Debug)]
pub struct State<'p, 'a> {
    /// The problem.
    pub problem: &'p Problem<'a>,
    /// Rules and counts.
    pub topology: Topology,
    /// Loads of the problem's bins.
    pub loads: Vec<Load>,
    /// Nodes to be launched.
    pub nodes: Vec<NewNode>,
    /// What each pool holds, the new nodes with it.
    pub usage: Vec<Usage>,
    /// Pods that stay with their claims: the bin and the pod.
    pub held: Vec<(usize, Held)>,
    /// How pods are dealt out over domains, if not evenly.
    pub dealing: Option<Dealing>,
}

impl<'p, 'a> State<'p, 'a> {
    /// Nothing placed yet.
    pub fn new(problem: &'p Problem<'a>) -> Self {
        Self {
            problem,
            topology: problem.topology.clone(),
            loads: problem.bins.iter().map(|bin| bin.load.clone()).collect(),
            nodes: Vec::new(),
            usage: problem.pools.iter().map(|data| data.usage.clone()).collect(),
            held: Vec::new(),
            dealing: None,
        }
    }

    /// The instance type of a candidate.
    pub fn instance_type(&self, candidate: &Candidate) -> Option<&'p InstanceType> {
        let pool = self.problem.cells[candidate.cell].pool;
        self.problem.pools[pool].catalog.as_ref()?.instance_types.get(candidate.instance_type)
    }

    /// Whether the pool's limits leave room for one more of that candidate.
    pub fn within_limits(&self, candidate: &Candidate) -> bool {
        let pool = self.problem.cells[candidate.cell].pool;
        let data = &self.problem.pools[pool];
        let left = candidate.reservation.is_none_or(|index| self.reserved_left(index) > 0);
        left && (!data.limited
            || self.instance_type(candidate).is_some_and(|machine| {
                pool_limits::check(
                    &data.pool,
                    &self.usage[pool],
                    &machine.capacity,
                    candidate.price,
                )
            }))
    }

    /// Whether reservations let a planned node become another candidate.
    pub fn may_become(&self, old: usize, new: usize) -> bool {
        let reservation = |candidate: usize| self.problem.candidates[candidate].reservation;
        reservation(new) == reservation(old)
            || reservation(new).is_none_or(|index| self.reserved_left(index) > 0)
    }

    /// How many machines of a reservation the plan leaves.
    pub fn reserved_left(&self, reservation: usize) -> u32 {
        let launched = self.nodes.iter().filter(|node| {
            self.problem.candidates[node.candidate].reservation == Some(reservation)
        });
        let launched = u32::try_from(launched.count()).unwrap_or(u32::MAX);
        self.problem.reservations[reservation].left.saturating_sub(launched)
    }

    /// What the new nodes cost together in an hour.
    pub fn price(&self) -> Price {
        self.nodes.iter().map(|node| self.problem.candidates[node.candidate].price).sum()
    }

    /// What they count for, beyond their price too.
    pub fn cost(&self) -> Price {
        self.price() + self.problem.price_per_node * self.nodes.len() as u64
    }

    /// Launches a candidate with that load.
    pub fn launch(&mut self, candidate: usize, load: Load) {
        let data = &self.problem.candidates[candidate];
        let pool = self.problem.cells[data.cell].pool;
        if self.problem.pools[pool].limited
            && let Some(machine) = self.instance_type(data)
        {
            self.usage[pool] = self.usage[pool].with(&machine.capacity, data.price);
        }
        self.nodes.push(NewNode { candidate, load, fixed: false });
    }

    /// The load of a new node of that candidate before anything is on it.
    pub fn empty_load(&self, candidate: usize) -> Load {
        let data = &self.problem.candidates[candidate];
        let daemons = &self.problem.cells[data.cell].daemons;
        Load {
            free: data.room.clone(),
            ports: daemons.ports.clone(),
            counts: daemons.counts.clone(),
            shares: daemons.shares.clone(),
            contents: Vec::new(),
        }
    }

    /// What a bin had free before this plan put anything there, held pods aside.
    pub fn free_before(&self, bin: usize) -> Amounts {
        let load = &self.loads[bin];
        let mut free = load.free.clone();
        for (group, count) in &load.contents {
            dimensions::give(&mut free, &self.problem.groups[*group].demand, *count);
        }
        free
    }

    /// A bin as it was then.
    pub fn load_before(&self, bin: usize) -> Load {
        Load { free: self.free_before(bin), contents: Vec::new(), ..self.loads[bin].clone() }
    }

    /// Counts pods of a group in (or with `more` false out of) the shared domains of a tuple.
    pub fn count(&mut self, group: usize, tuple: usize, count: u32, more: bool) {
        for index in 0..self.topology.counted_by[group].len() {
            let counter = self.topology.counted_by[group][index];
            if self.counts_there(counter, group, tuple) {
                self.topology.add(counter, &self.problem.tuples[tuple], count, more);
            }
        }
    }

    /// Whether pods of a group that go to nodes in those domains count for a counter: not if it
    /// passes over all such nodes that the group can go to.
    fn counts_there(&self, counter: usize, group: usize, tuple: usize) -> bool {
        let problem = self.problem;
        let signature = problem.groups[group].relaxed;
        let mut some = false;
        for cell in problem.cells.iter().filter(|cell| cell.tuple == tuple) {
            if cell.allowed[signature] {
                some = true;
                if self.topology.counts_node(counter, problem.standing(cell)) {
                    return true;
                }
            }
        }
        for (bin, allowed) in problem.bins.iter().zip(&problem.bin_allowed[signature]) {
            if *allowed && bin.tuple == tuple {
                some = true;
                if self.topology.counts_node(counter, bin.standing()) {
                    return true;
                }
            }
        }
        !some
    }

    /// Puts pods of a class on a bin.
    pub fn put_on_bin(&mut self, class: &mut Class, bin: usize, count: u32) {
        self.loads[bin].put(self.problem, class.group, count);
        class.remaining -= count;
        if !class.pinned {
            self.count(class.group, self.problem.bins[bin].tuple, count, true);
        }
    }

    /// Which combination of domains a new node is in.
    pub fn tuple_of(&self, candidate: usize) -> usize {
        self.problem.cells[self.problem.candidates[candidate].cell].tuple
    }
}
