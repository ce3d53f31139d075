//! Why a pod has no place, pool by pool.

use crate::constraints::{node_affinity, pool_state, resources, taints};
use crate::model::InstanceType;
use crate::packing::dimensions;

use super::rules::Refusal;
use super::world::{World, bin_name};

/// Why pods of a group found no place. `refusals` says what each pool failed on in the end.
pub(super) fn unplaced(
    world: &World<'_>,
    group: usize,
    refusals: impl Fn(usize) -> Option<Refusal>,
) -> String {
    let mut parts: Vec<String> = (0..world.pools.len())
        .map(|pool| {
            let why = pool_reason(world, pool, group).unwrap_or_else(|| {
                let why = refusals(pool).unwrap_or(Refusal::Resources);
                why.to_string()
            });
            format!("pool {}: {why}", world.pools[pool].pool.name)
        })
        .collect();
    if parts.is_empty() {
        parts.push("there is no NodePool to launch nodes from".to_owned());
    }
    match world.bins.as_slice() {
        [] => {}
        [bin] => parts.push(format!("node {} does not take it", bin_name(bin))),
        [bin, ..] => {
            let (count, name) = (world.bins.len(), bin_name(bin));
            parts.push(format!("{count} nodes ({name}, ...) do not take it"));
        }
    }
    parts.join("; ")
}

/// What keeps the pool from ever taking such a pod, whatever else is placed.
fn pool_reason(world: &World<'_>, pool: usize, group: usize) -> Option<String> {
    let data = &world.pools[pool];
    let kind = &world.kinds[world.groups[group].actual];
    if let Some(why) = pool_state::explain(&data.pool) {
        return Some(why);
    }
    let Some(catalog) = &data.catalog else {
        return Some("what its cloud sells is not known yet".to_owned());
    };
    if let Some(why) = taints::explain(&kind.shape, &data.pool.taints) {
        return Some(why);
    }
    let rows = || (0..world.rows.len()).filter(|row| world.rows[*row].pool == pool);
    let allowed = || rows().filter(|row| kind.rows.contains(*row));
    if allowed().next().is_none() {
        let first = rows().next().map(|row| &world.cells[world.rows[row].cell]);
        return Some(match first {
            None => "its cloud sells nothing that it allows".to_owned(),
            Some(cell) => node_affinity::explain(&kind.shape, &cell.labels)
                .unwrap_or_else(|| Refusal::Requirements.to_string()),
        });
    }
    if allowed().any(|row| dimensions::fits(&kind.demand, world.size(row))) {
        return None;
    }
    let short = |machine: &InstanceType| {
        resources::explain(&kind.shape.requests, &machine.allocatable())
            .map(|why| format!("largest type {}: {why}", machine.name))
    };
    let largest = catalog.instance_types.iter().max_by_key(|machine| {
        let name = kind.shape.requests.first_exceeding(&machine.allocatable()).unwrap_or("cpu");
        resources::amount(&machine.capacity, name)
    });
    largest.and_then(short).or_else(|| Some(Refusal::Resources.to_string()))
}
