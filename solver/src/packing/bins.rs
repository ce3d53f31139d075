//! Nodes as the packer sees them: what is free, what is on them, what they are to be.

use crate::constraints::topology_spread::Standing;
use crate::constraints::{gpu_shares, host_ports, pod_anti_affinity, topology_spread};
use crate::model::{HostPort, Labels, Name, Taint};

use super::dimensions::{self, Amounts};
use super::problem::Problem;
use super::topology::Topology;

/// What a bin stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A node that is there.
    Node(Name),
    /// The node of a claim, not fully up yet.
    Claim(Name),
}

/// A node that is there or on its way.
#[derive(Clone, Debug)]
pub struct Bin {
    /// Which.
    pub place: Place,
    /// Whether it takes new pods.
    pub open: bool,
    /// Its labels.
    pub labels: Labels,
    /// Its taints, as they will be once it is up.
    pub taints: Box<[Taint]>,
    /// Which combination of domains it is in.
    pub tuple: usize,
    /// Whether it is a domain of the host name's.
    pub has_host: bool,
    /// What is on it.
    pub load: Load,
}

impl Bin {
    /// What decides whether pods on it count.
    pub fn standing(&self) -> Standing<'_> {
        Standing { labels: &self.labels, taints: &self.taints, named: self.has_host }
    }
}

/// The host counters of a node that is being filled, by counter: [`Load::counted`] without a walk
/// over what is on it.
#[derive(Clone, Debug)]
pub struct Tally {
    /// How many pods of each counter are on the node.
    counted: Vec<u32>,
    /// How many groups on it must be spread by each counter.
    spread: Vec<u32>,
}

impl Tally {
    /// The counters of a load.
    pub fn of(load: &Load, topology: &Topology) -> Self {
        let nothing = vec![0; topology.counters.len()];
        let mut tally = Self { counted: nothing.clone(), spread: nothing };
        for (counter, count) in &load.counts {
            tally.counted[*counter] = *count;
        }
        for (group, count) in &load.contents {
            tally.put(topology, *group, *count);
        }
        tally
    }

    /// Counts pods of a group that come to the node.
    pub fn put(&mut self, topology: &Topology, group: usize, count: u32) {
        for counter in &topology.counted_by[group] {
            self.counted[*counter] = self.counted[*counter].saturating_add(count);
        }
        for rule in topology.host_rules[group].spread.iter().filter(|rule| rule.hard) {
            self.spread[rule.counter] += 1;
        }
    }
}

/// What is free on a node and what limits pods on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// What is left.
    pub free: Amounts,
    /// Ports taken by pods that the plan does not place.
    pub ports: Vec<HostPort>,
    /// Counts of the host counters for pods that the plan does not place: counter and count.
    pub counts: Vec<(usize, u32)>,
    /// Shares of GPUs of pods that the plan does not place, in the order in which these came, where
    /// shares matter at all.
    pub shares: Vec<i64>,
    /// Pods that the plan places on it: group and how many.
    pub contents: Vec<(usize, u32)>,
}

impl Load {
    /// Adds to a host counter.
    pub fn count(&mut self, counter: usize, more: u32) {
        match self.counts.iter_mut().find(|(other, _)| *other == counter) {
            Some((_, count)) => *count = count.saturating_add(more),
            None => self.counts.push((counter, more)),
        }
    }

    /// How many pods of a host counter are on the node.
    pub fn counted(&self, topology: &Topology, counter: usize) -> u32 {
        let there =
            self.counts.iter().find(|(other, _)| *other == counter).map_or(0, |(_, count)| *count);
        self.contents
            .iter()
            .filter(|(group, _)| topology.counted_by[*group].contains(&counter))
            .fold(there, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// How many more pods of a group the node takes: resources, ports, and what goes by hosts,
    /// but for host affinity.
    pub fn room(&self, problem: &Problem<'_>, group: usize) -> u32 {
        let room = dimensions::room(&problem.groups[group].demand, &self.free);
        if room == 0 || problem.groups[group].plain {
            return room;
        }
        let topology = &problem.topology;
        let counted = |counter: usize| self.counted(topology, counter);
        let spreads = |group: usize, counter| topology.host_rules[group].must_spread_by(counter);
        let is_spread = |counter| self.contents.iter().any(|(group, _)| spreads(*group, counter));
        room.min(self.host_room(problem, group, &counted, &is_spread))
    }

    /// Whether the node, whose counters these are, takes one more pod of a group: whether
    /// [`Self::room`] is above zero.
    pub fn takes(&self, problem: &Problem<'_>, group: usize, tally: &Tally) -> bool {
        let data = &problem.groups[group];
        let counted = |counter: usize| tally.counted[counter];
        let is_spread = |counter: usize| tally.spread[counter] > 0;
        dimensions::fits(&data.demand, &self.free)
            && (data.plain || self.host_room(problem, group, &counted, &is_spread) > 0)
    }

    /// `counted` tells how many pods of a counter are here, `is_spread` whether pods here must be
    /// spread by one.
    fn host_room(
        &self,
        problem: &Problem<'_>,
        group: usize,
        counted: &impl Fn(usize) -> u32,
        is_spread: &impl Fn(usize) -> bool,
    ) -> u32 {
        let topology = &problem.topology;
        let rules = &topology.host_rules[group];
        let mut room = u32::MAX;
        for rule in rules.spread.iter().filter(|rule| rule.hard) {
            // A host that is still to come holds none, so the emptiest one always counts zero.
            let count = counted(rule.counter);
            room = room.min(topology_spread::room(&rule.constraint, rule.own, count, 0, 1));
        }
        for (counter, own) in &rules.anti {
            if !pod_anti_affinity::check(counted(*counter), 0) {
                return 0;
            }
            if *own {
                room = room.min(1);
            }
        }
        for counter in &rules.inverse {
            if !pod_anti_affinity::check(0, counted(*counter)) {
                return 0;
            }
        }
        for (counter, most) in &rules.crowding {
            if is_spread(*counter) {
                room = room.min(most.saturating_sub(counted(*counter)));
            }
        }
        let wanted = &problem.groups[group].shape.host_ports;
        if !wanted.is_empty() {
            let planned = self
                .contents
                .iter()
                .flat_map(|(other, _)| problem.groups[*other].shape.host_ports.iter());
            let taken: Vec<HostPort> = self.ports.iter().chain(planned).cloned().collect();
            if !host_ports::check(wanted, &taken) {
                return 0;
            }
            room = room.min(1);
        }
        if let Some(dimension) = problem.dimensions.shares() {
            room = room.min(self.device_room(problem, group, dimension));
        }
        room
    }

    /// How many more pods of a group its GPUs take, each share on one device.
    fn device_room(&self, problem: &Problem<'_>, group: usize, dimension: usize) -> u32 {
        let ask = problem.groups[group].devices;
        if ask.is_nothing() {
            return u32::MAX;
        }
        gpu_shares::room(self.free[dimension], &self.all_shares(problem), ask)
    }

    /// Whether the shares of GPUs on the node can lie on its devices, one each.
    pub fn devices_hold(&self, problem: &Problem<'_>) -> bool {
        let Some(dimension) = problem.dimensions.shares() else { return true };
        let nothing = gpu_shares::Ask::default();
        gpu_shares::check(self.free[dimension], &self.all_shares(problem), nothing)
    }

    /// The shares of GPUs on the node: those that are there, then planned ones by falling size.
    pub fn all_shares(&self, problem: &Problem<'_>) -> Vec<i64> {
        let mut shares = self.shares.clone();
        for (group, count) in &self.contents {
            let share = problem.groups[*group].devices.share;
            if share > 0 {
                shares.extend(std::iter::repeat_n(share, *count as usize));
            }
        }
        shares[self.shares.len()..].sort_unstable_by(|left, right| right.cmp(left));
        shares
    }

    /// Puts pods of a group on the node.
    pub fn put(&mut self, problem: &Problem<'_>, group: usize, count: u32) {
        dimensions::take(&mut self.free, &problem.groups[group].demand, count);
        match self.contents.iter_mut().find(|(other, _)| *other == group) {
            Some((_, there)) => *there += count,
            None => self.contents.push((group, count)),
        }
    }

    /// Takes planned pods of a group off again.
    pub fn remove(&mut self, problem: &Problem<'_>, group: usize, count: u32) {
        dimensions::give(&mut self.free, &problem.groups[group].demand, count);
        if let Some((_, there)) = self.contents.iter_mut().find(|(other, _)| *other == group) {
            *there = there.saturating_sub(count);
        }
        self.contents.retain(|(_, there)| *there > 0);
    }
}
