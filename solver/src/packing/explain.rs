//! Why a pod has no place: for each pool and each kind of node the rule that it failed on.

use std::collections::BTreeMap;

use crate::constraints::{
    node_affinity, node_state, pool_limits, pool_requirements, pool_state, resources, taints,
};
use crate::model::{InstanceType, NodePool, PodShape, Resources};

use super::bins::{Bin, Place};
use super::inventory::PoolData;
use super::stages::Leftover;
use super::state::State;

/// More reasons than this are counted, not told.
const MOST_REASONS: usize = 8;

/// Why pods of a group found no place.
pub fn unplaced(state: &State<'_, '_>, group: usize, leftover: &Leftover) -> String {
    let problem = state.problem;
    let shape = &problem.groups[group].shape;
    let mut parts: Vec<String> = leftover.reason.iter().cloned().collect();
    for (index, data) in problem.pools.iter().enumerate() {
        parts.push(format!("pool {}: {}", data.pool.name, pool(state, index, data, shape)));
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
    let shape = &problem.groups[group].shape;
    if !bin.open {
        let found = match &bin.place {
            Place::Node(name) => problem.snapshot.nodes.get(name),
            Place::Claim(_) => None,
        };
        let why = found.and_then(|state| node_state::explain(&state.node));
        return why.unwrap_or("takes no new pods").to_owned();
    }
    if let Some(why) =
        taints::explain(shape, &bin.taints).or_else(|| node_affinity::explain(shape, &bin.labels))
    {
        return why;
    }
    let load = &state.loads[index];
    let short = problem.groups[group]
        .demand
        .iter()
        .zip(&load.free)
        .position(|(wanted, has)| *wanted > 0 && wanted > has);
    match short {
        Some(dimension) => {
            let name = problem.dimensions.name(dimension);
            format!(
                "{} free, the pod asks for {}",
                resources::quantity(name, load.free[dimension]),
                resources::quantity(name, problem.groups[group].demand[dimension])
            )
        }
        None if load.room(problem, group) == 0 => {
            "host ports, spread over hosts or anti-affinity to pods there keep it off".to_owned()
        }
        None => "the pod's spread or affinity does not let it go to this domain".to_owned(),
    }
}

fn pool(state: &State<'_, '_>, index: usize, data: &PoolData, shape: &PodShape) -> String {
    let pool = &data.pool;
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
            failing.look(pool, instance_type, offering, shape);
        }
    }
    if failing.fitting == 0 {
        return failing.explain(shape);
    }
    let limit = catalog.instance_types.iter().find_map(|machine| {
        shape.requests.fits(&machine.allocatable()).then(|| {
            let price = machine.offerings.iter().map(|offering| offering.price).min();
            let usage = &state.usage[index];
            pool_limits::explain(pool, usage, &machine.capacity, price.unwrap_or_default())
        })
    });
    match limit.flatten() {
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
    labels: Option<String>,
    requirements: Option<String>,
}

impl<'a> Failing<'a> {
    fn look(
        &mut self,
        pool: &NodePool,
        instance_type: &'a InstanceType,
        offering: &crate::model::Offering,
        shape: &PodShape,
    ) {
        let choices = node_affinity::alternatives(shape)
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
        if let Some(why) = node_affinity::explain(shape, &labels) {
            self.labels.get_or_insert(why);
            return;
        }
        let free = instance_type.allocatable();
        let short = shape.requests.first_exceeding(&free);
        if let Some(resource) = short {
            let has = |resources: &Resources| resources::amount(resources, resource);
            if self.largest.as_ref().is_none_or(|(_, largest)| has(&free) > has(largest)) {
                self.largest = Some((instance_type, free));
            }
        } else if !offering.available {
            self.unavailable += 1;
        } else {
            self.fitting += 1;
        }
    }

    fn explain(self, shape: &PodShape) -> String {
        if self.unavailable > 0 {
            return "the cloud has no capacity now for what would hold it".to_owned();
        }
        if let Some((machine, free)) = self.largest
            && let Some(name) = shape.requests.first_exceeding(&free)
        {
            return format!(
                "largest type {} has {}, the pod asks for {}",
                machine.name,
                resources::quantity(name, resources::amount(&free, name)),
                resources::quantity(name, resources::amount(&shape.requests, name))
            );
        }
        self.labels.or(self.requirements).unwrap_or_else(|| "its cloud sells nothing".to_owned())
    }
}
