//! Reserved offerings: how many machines of each are left to launch.

use std::collections::BTreeMap;

use crate::constraints::reservations;
use crate::model::Snapshot;

use super::inventory::PoolData;
use super::offerings::{Candidate, Cell};

/// Machines of one kind that are reserved, for all pools together.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The instance type and the zone.
    pub key: reservations::Key,
    /// How many there are.
    pub count: u32,
    /// How many are left.
    pub left: u32,
}

/// Finds out what is reserved, and which candidates are of which reservation.
pub fn settle(
    snapshot: &Snapshot,
    pools: &[PoolData],
    cells: &[Cell],
    candidates: &mut [Candidate],
) -> Vec<Reservation> {
    let mut reservations: Vec<Reservation> = Vec::new();
    let mut used: Option<BTreeMap<reservations::Key, u32>> = None;
    for candidate in candidates.iter_mut().filter(|candidate| candidate.reservation.is_some()) {
        let catalog = pools[cells[candidate.cell].pool].catalog.as_ref();
        let found = catalog.and_then(|catalog| {
            let machine = catalog.instance_types.get(candidate.instance_type)?;
            let offering = machine.offerings.get(candidate.offering)?;
            Some((machine.name.clone(), offering.zone.clone(), offering.reserved_count?))
        });
        let Some((instance_type, zone, count)) = found else { continue };
        let key = (instance_type, zone);
        let used = used.get_or_insert_with(|| reservations::used(snapshot));
        let used = used.get(&key).copied().unwrap_or(0);
        let known = reservations.iter().position(|other| other.key == key);
        let index = known.unwrap_or_else(|| {
            reservations.push(Reservation { key, count, left: 0 });
            reservations.len() - 1
        });
        let reservation = &mut reservations[index];
        // Pools that disagree see the same machines all the same.
        reservation.count = reservation.count.min(count);
        reservation.left = reservation.count.saturating_sub(used);
        candidate.reservation = Some(index);
    }
    reservations
}
