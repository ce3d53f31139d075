//! Pods of higher priority have a place before those of lower priority, where not all can have one.
//!
//! Everything is packed together first, which is cheapest. Only if that leaves pods out while
//! others of lower priority have a place (a pool's limit, reserved machines, a cloud that has no
//! more) are they packed again, one priority after the other; the result counts if it leaves fewer
//! pods of a higher priority out.

use std::collections::BTreeSet;

use super::groups::{Group, Pending};
use super::stages::{self, Leftover};
use super::state::{Class, State};

/// Places all groups. Returns what was left of each and the classes that were packed.
pub fn run(state: &mut State<'_, '_>, pending: &Pending) -> (Vec<Leftover>, Vec<Class>) {
    let waiting = pending.groups.iter().filter(|group| !group.pods.is_empty());
    let tiers: BTreeSet<i32> = waiting.map(|group| group.shape.priority).collect();
    if tiers.len() < 2 {
        return stages::run(state, pending);
    }
    let before = state.clone();
    let together = stages::run(state, pending);
    if !is_unjust(pending, &together.0) {
        return together;
    }
    let packed_together = std::mem::replace(state, before);
    let mut leftovers = vec![Leftover::default(); pending.groups.len()];
    let mut classes = Vec::new();
    for tier in tiers.iter().rev() {
        let (left, packed) = stages::run(state, &only(pending, *tier));
        classes.extend(packed);
        for (sum, more) in leftovers.iter_mut().zip(left) {
            sum.count += more.count;
            sum.reason = more.reason.or_else(|| sum.reason.take());
        }
    }
    if left(pending, &leftovers) < left(pending, &together.0) {
        return (leftovers, classes);
    }
    *state = packed_together;
    together
}

/// Whether a pod is left out while one of lower priority has a place.
fn is_unjust(pending: &Pending, leftovers: &[Leftover]) -> bool {
    let groups = || pending.groups.iter().zip(leftovers);
    let best_left =
        groups().filter(|(_, left)| left.count > 0).map(|(group, _)| group.shape.priority).max();
    best_left.is_some_and(|best| {
        groups().any(|(group, left)| {
            group.shape.priority < best && (left.count as usize) < group.pods.len()
        })
    })
}

/// How many pods are left of each priority, the highest first.
pub fn left(pending: &Pending, leftovers: &[Leftover]) -> Vec<u32> {
    let tiers: BTreeSet<i32> = pending.groups.iter().map(|group| group.shape.priority).collect();
    tiers.into_iter().rev().map(|tier| left_of(pending, leftovers, tier)).collect()
}

fn left_of(pending: &Pending, leftovers: &[Leftover], tier: i32) -> u32 {
    let groups = pending.groups.iter().zip(leftovers);
    let of_tier = groups.filter(|(group, _)| group.shape.priority == tier);
    of_tier.fold(0, |sum, (_, left)| sum.saturating_add(left.count))
}

/// The same groups, those of other priorities without pods.
fn only(pending: &Pending, tier: i32) -> Pending {
    let groups = pending.groups.iter().map(|group| {
        if group.shape.priority == tier {
            group.clone()
        } else {
            Group { pods: Vec::new(), ..group.clone() }
        }
    });
    Pending { groups: groups.collect(), ..Pending::default() }
}
