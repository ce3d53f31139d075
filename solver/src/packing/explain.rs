//! Why a pod has no place: for each pool and each kind of node the rule that it failed on.

use std::collections::{BTreeMap, BTreeSet};

use crate::constraints::{
    attachments, gpu_shares, min_values, node_affinity, node_state, pool_limits, pool_requirements,
    pool_state, reservations, resources, taints, volumes,
};
use crate::model::{InstanceType, Labels, Name, NodePool, Resources};

use super::bins::{Bin, Place};
use super::inventory::PoolData;
use super::problem::GroupData;
use super::stages::Leftover;
use super::state::State;

/// More reasons than this are counted, not told.
const MOST_REASONS: usize = 8;

/// Why pods of a group found no place.
pub fn unplaced(state: &State<'_, '_>, group: usize, leftover: &Leftover) -> String {
    let problem = state.problem;
    let mut parts: Vec<String> = leftover.reason.iter().cloned().collect();
    for (index, data) in problem.pools.iter().enumerate() {
        parts.push(format!("pool {}: {}", data.pool.name, pool(state, index, data, group)));
    }
    if problem.pools.is_empty() {
        parts.push("there is no NodePool to launch nodes from".to_owned());
    }
    let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (index, bin) in problem.bins.iter().enumerate() {
        let name = match &bin.place {
            Place::Node(name) | Place::Claim(name) => name.as_str(),
        };
        by_reason.entry(node(state, index, bin, group)).or_default().push(name);
    }
    for (reason, names) in by_reason {
        parts.push(match names.as_slice() {
            [name] => format!("node {name}: {reason}"),
            [first, ..] => format!("{} nodes ({first}, ...): {reason}", names.len()),
            [] => reason,
        });
    }
    let more = parts.len().saturating_sub(MOST_REASONS);
    parts.truncate(MOST_REASONS);
    if more > 0 {
        parts.push(format!("and {more} more reasons"));
    }
    parts.join("; ")
}

fn node(state: &State<'_, '_>, index: usize, bin: &Bin, group: usize) -> String {
    let problem = state.problem;
    let data = &problem.groups[group];
    if !bin.open {
        let found = match &bin.place {
            Place::Node(name) => problem.snapshot.nodes.get(name),
            Place::Claim(_) => None,
        };
        let why = found.and_then(|state| node_state::explain(&state.node));
        return why.unwrap_or("takes no new pods").to_owned();
    }
    if let Some(why) =
        taints::explain(&data.shape, &bin.taints).or_else(|| not_there(data, &bin.labels))
    {
        return why;
    }
    let load = &state.loads[index];
    let mut pairs = data.demand.iter().zip(&load.free);
    let short = pairs.position(|(wanted, has)| *wanted > 0 && wanted > has);
    match short {
        Some(dimension) => {
            let name = problem.dimensions.name(dimension);
            let (has, wanted) = (load.free[dimension], data.demand[dimension]);
            if let Some(driver) = attachments::driver(name) {
                return attachments::explain(driver, wanted, has).unwrap_or_default();
            }
            format!(
                "{} free, the pod asks for {}",
                resources::quantity(name, has),
                resources::quantity(name, wanted)
            )
        }
        None if load.room(problem, group) == 0 => {
            let devices = problem.dimensions.shares().and_then(|dimension| {
                gpu_shares::explain(load.free[dimension], &load.all_shares(problem), data.devices)
            });
            devices.unwrap_or_else(|| {
                "host ports, spread over hosts or anti-affinity to pods there keep it off"
                    .to_owned()
            })
        }
        None => "the pod's spread or affinity does not let it go to this domain".to_owned(),
    }
}
/// Why the node's labels don't suit the pod or its volumes.
fn not_there(data: &GroupData, labels: &Labels) -> Option<String> {
    node_affinity::explain(&data.shape, labels).or_else(|| {
        let needs = data.volumes.as_ref()?;
        volumes::explain(needs, labels).or_else(|| node_affinity::explain(&data.needs, labels))
    })
}

fn pool(state: &State<'_, '_>, index: usize, data: &PoolData, group: usize) -> String {
    let pool = &data.pool;
    let group = &state.problem.groups[group];
    let shape = &group.shape;
    if let Some(why) = pool_state::explain(pool) {
        return why;
    }
    let Some(catalog) = &data.catalog else {
        return "what its cloud sells is not known yet".to_owned();
    };
    if let Some(why) = taints::explain(shape, &pool.taints) {
        return why;
    }
    let mut failing = Failing::default();
    for instance_type in &catalog.instance_types {
        for offering in &instance_type.offerings {
            failing.look(pool, instance_type, offering, group);
        }
    }
    if failing.fitting == 0 {
        return failing.explain(group);
    }
    for (index, (key, wanted)) in pool.min_values.iter().enumerate() {
        let possible = failing.values.get(index).map_or(0, BTreeSet::len);
        if let Some(why) = min_values::explain(key, possible, *wanted) {
            return why;
        }
    }
    let limit = catalog.instance_types.iter().find_map(|machine| {
        resources::check(&shape.requests, &machine.allocatable()).then(|| {
            let price = machine.offerings.iter().map(|offering| offering.price).min();
            let usage = &state.usage[index];
            pool_limits::explain(pool, usage, &machine.capacity, price.unwrap_or_default())
        })
    });
    let used_up = || {
        let reserved = state.problem.reservations.iter().enumerate();
        let mut whys = reserved.filter_map(|(index, reservation)| {
            let used = reservation.count.saturating_sub(state.reserved_left(index));
            reservations::explain(&reservation.key, reservation.count, used)
        });
        whys.next()
    };
    match limit.flatten().or_else(used_up) {
        Some(why) => why,
        None => "spread, affinity, daemons or host ports leave no room on its nodes".to_owned(),
    }
}

/// How far a pod comes with a pool's offerings.
#[derive(Default)]
struct Failing<'a> {
    /// Offerings that would hold it.
    fitting: usize,
    unavailable: usize,
    largest: Option<(&'a InstanceType, Resources)>,
    /// Of those, the values of the keys of the pool's `minValues`.
    values: Vec<BTreeSet<Name>>,
    labels: Option<String>,
    requirements: Option<String>,
}

impl<'a> Failing<'a> {
    fn look(
        &mut self,
        pool: &NodePool,
        instance_type: &'a InstanceType,
        offering: &crate::model::Offering,
        group: &GroupData,
    ) {
        let shape = &group.shape;
        let choices = node_affinity::alternatives(&group.needs)
            .iter()
            .flat_map(|term| {
                term.iter()
                    .filter_map(|(key, set)| Some((key.clone(), set.listed()?.first()?.clone())))
                    .collect::<Vec<_>>()
            })
            .collect();
        let Some(labels) = pool_requirements::labels(pool, instance_type, offering, &choices)
        else {
            if self.requirements.is_none() {
                self.requirements = pool_requirements::explain(pool, instance_type, offering);
            }
            return;
        };
        if let Some(why) = not_there(group, &labels) {
            self.labels.get_or_insert(why);
            return;
        }
        let free = instance_type.allocatable();
        if let Some(resource) = resources::first_short(&shape.requests, &free) {
            let has = |resources: &Resources| resources::available(resources, resource);
            if self.largest.as_ref().is_none_or(|(_, largest)| has(&free) > has(largest)) {
                self.largest = Some((instance_type, free));
            }
        } else if !offering.available {
            self.unavailable += 1;
        } else {
            self.fitting += 1;
            self.values.resize(pool.min_values.len(), BTreeSet::new());
            for ((key, _), seen) in pool.min_values.iter().zip(&mut self.values) {
                seen.extend(min_values::values(key, pool, instance_type, offering));
            }
        }
    }

    fn explain(self, group: &GroupData) -> String {
        let requests = &group.shape.requests;
        if self.unavailable > 0 {
            return "the cloud has no capacity now for what would hold it".to_owned();
        }
        if let Some((machine, free)) = self.largest
            && let Some(name) = resources::first_short(requests, &free)
        {
            return format!(
                "largest type {} has {}, the pod asks for {}",
                machine.name,
                resources::quantity(name, resources::available(&free, name)),
                resources::quantity(name, resources::amount(requests, name))
            );
        }
        self.labels.or(self.requirements).unwrap_or_else(|| "its cloud sells nothing".to_owned())
    }
}
