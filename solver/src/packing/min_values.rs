//! Keeps `minValues`: a candidate is given no more room than so many others of its cell have too,
//! so that whatever is put on it would fit on those as well.

use std::collections::{BTreeMap, BTreeSet};

use crate::constraints::min_values;
use crate::model::Name;

use super::dimensions::{Amounts, room};
use super::inventory::PoolData;
use super::offerings::Candidate;
use super::settings::MinValuesPolicy;

/// Narrows the candidates of one cell, whose nodes no pod tells apart. With the policy `BestEffort`
/// they are there as they are too where that is the only way for a pod.
pub fn keep(
    data: &PoolData,
    policy: MinValuesPolicy,
    demands: &[Amounts],
    candidates: Vec<Candidate>,
) -> Vec<Candidate> {
    if data.pool.min_values.is_empty() {
        return candidates;
    }
    let others: Vec<Other<'_>> = candidates
        .iter()
        .map(|candidate| Other { room: &candidate.room, values: values_of(data, candidate) })
        .collect();
    let narrowed = candidates.iter().filter_map(|candidate| {
        let wanted = data.pool.min_values.iter().enumerate();
        let room =
            wanted.into_iter().try_fold(candidate.room.clone(), |room, (index, wanted)| {
                narrow(room, index, wanted.1, &others)
            })?;
        Some(Candidate { room, ..candidate.clone() })
    });
    let mut kept: Vec<Candidate> = narrowed.collect();
    if policy == MinValuesPolicy::BestEffort {
        let holds = |candidate: &Candidate, demand: &[i64]| room(demand, &candidate.room) > 0;
        let helpless: Vec<&Amounts> = demands
            .iter()
            .filter(|demand| !kept.iter().any(|candidate| holds(candidate, demand)))
            .collect();
        let relaxed = candidates
            .into_iter()
            .filter(|candidate| helpless.iter().any(|demand| holds(candidate, demand)));
        kept.extend(relaxed.map(|one| Candidate { min_values_relaxed: true, ..one }));
    }
    kept
}

/// What else could be launched: its room, and its values of each key of the pool's `minValues`.
struct Other<'a> {
    room: &'a [i64],
    values: Vec<Vec<Name>>,
}

fn values_of(data: &PoolData, candidate: &Candidate) -> Vec<Vec<Name>> {
    let machine = data
        .catalog
        .as_ref()
        .and_then(|catalog| catalog.instance_types.get(candidate.instance_type));
    let offering = machine.and_then(|machine| machine.offerings.get(candidate.offering));
    let (Some(machine), Some(offering)) = (machine, offering) else { return Vec::new() };
    let keys = data.pool.min_values.iter();
    keys.map(|(key, _)| min_values::values(key, &data.pool, machine, offering)).collect()
}

/// The room that is left once it is no more than what others with `count` values of a key have;
/// `None` if there are not so many values.
fn narrow(mut room: Amounts, key: usize, count: u32, others: &[Other<'_>]) -> Option<Amounts> {
    loop {
        let mut possible: BTreeSet<&Name> = BTreeSet::new();
        let mut nearest: BTreeMap<&Name, (f64, &[i64])> = BTreeMap::new();
        for other in others {
            let left = share_left(&room, other.room);
            for value in other.values.get(key).into_iter().flatten() {
                if left >= 1.0 {
                    possible.insert(value);
                }
                let best = nearest.entry(value).or_insert((left, other.room));
                if left > best.0 {
                    *best = (left, other.room);
                }
            }
        }
        if min_values::check(possible.len(), count) {
            return Some(room);
        }
        let missing = nearest.iter().filter(|(value, _)| !possible.contains(**value));
        let (_, (_, next)) = missing.max_by(|left, right| {
            left.1.0.total_cmp(&right.1.0).then_with(|| right.0.cmp(left.0))
        })?;
        room = room.iter().zip(*next).map(|(ours, theirs)| *ours.min(theirs)).collect();
    }
}

/// The part of a room that is left of its scarcest resource if it may be no more than `other`.
fn share_left(room: &[i64], other: &[i64]) -> f64 {
    room.iter()
        .zip(other)
        .filter(|(ours, _)| **ours > 0)
        .map(|(ours, theirs)| if theirs >= ours { 1.0 } else { *theirs as f64 / *ours as f64 })
        .fold(1.0, f64::min)
}
