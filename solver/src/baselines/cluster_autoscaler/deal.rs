//! Settles the domains of pods that are spread over shared domains, or that count for others who
//! are.
//!
//! Cluster Autoscaler leaves this to kube-scheduler, which fills domains evenly as nodes come up,
//! over many loops of ten seconds each. Here the pods are dealt out evenly at once: that is where
//! those loops end.

use crate::baselines::counters::{NO_DOMAIN, Scope, Tally};
use crate::baselines::rules::{self, Part, Site};
use crate::baselines::world::{KindData, World};
use crate::packing::dimensions;

/// Whether a group's pods are dealt out.
pub(super) fn is_dealt(world: &World<'_>, group: usize) -> bool {
    let rules = &world.kinds[world.groups[group].actual].rules;
    !rules.shared.spread.is_empty() || !spread_counters(world, group).is_empty()
}

/// The counters by which the group's pods are kept even: its own, or those of others.
fn spread_counters(world: &World<'_>, group: usize) -> Vec<usize> {
    let rules = &world.kinds[world.groups[group].actual].rules;
    if !rules.shared.spread.is_empty() {
        return rules.shared.spread.iter().map(|rule| rule.counter).collect();
    }
    let shared = |counter: &usize| matches!(world.counters.scope(*counter), Scope::Shared(_));
    let pinning = |counter: &usize| world.pinning[*counter] && world.counters.is_spread(*counter);
    rules.counted.iter().copied().filter(|one| pinning(one) && shared(one)).collect()
}

/// A combination of domains that could take pods.
struct Place<'w> {
    tuple: usize,
    site: Site<'w>,
    /// How many pods it can take, as far as existing nodes limit it.
    room: u32,
    dealt: u32,
}

/// Deals out `count` pods of a group, and counts them where they go. Returns how many go to which
/// combination of domains; `blocked` ones turned out to be unable to take them.
pub(super) fn deal(
    world: &World<'_>,
    tally: &mut Tally,
    free: &[dimensions::Amounts],
    group: usize,
    count: u32,
    blocked: &[usize],
) -> Vec<(usize, u32)> {
    let kind = &world.kinds[world.groups[group].actual];
    let counters = spread_counters(world, group);
    let mut places = places(world, kind, free, blocked);
    let mut possible = world.present.clone();
    for place in &places {
        for rule in &kind.rules.shared.spread {
            if let Scope::Shared(key) = world.counters.scope(rule.counter)
                && let Some(slot) = possible[rule.counter].get_mut(place.site.domains[key] as usize)
            {
                *slot = true;
            }
        }
    }
    for _ in 0..count {
        let crowd = |place: &Place<'_>| -> u64 {
            let count = |counter: &usize| match world.counters.scope(*counter) {
                Scope::Shared(key) => u64::from(tally.count(*counter, place.site.domains[key])),
                Scope::Host(_) => 0,
            };
            counters.iter().map(count).sum()
        };
        let takes = |place: &&mut Place<'_>| {
            let domains = place.site.domains;
            place.room > 0
                && rules::shared_room(world, tally, kind, domains, &possible).is_ok()
                && counters.iter().all(|counter| match world.counters.scope(*counter) {
                    Scope::Shared(key) => domains[key] != NO_DOMAIN,
                    Scope::Host(_) => true,
                })
        };
        let best = places.iter_mut().filter(takes).min_by_key(|place| crowd(place));
        let Some(place) = best else { break };
        place.room = place.room.saturating_sub(u32::from(place.room != u32::MAX));
        place.dealt += 1;
        rules::count_in(world, tally, kind, place.site, Part::Shared, 1);
    }
    places.retain(|place| place.dealt > 0);
    places.into_iter().map(|place| (place.tuple, place.dealt)).collect()
}

fn places<'w>(
    world: &'w World<'_>,
    kind: &KindData,
    free: &[dimensions::Amounts],
    blocked: &[usize],
) -> Vec<Place<'w>> {
    let mut places: Vec<Place<'w>> = Vec::new();
    let mut add = |tuple: usize, site: Site<'w>, room: u32| {
        if room == 0 || blocked.contains(&tuple) {
            return;
        }
        match places.iter_mut().find(|place| place.tuple == tuple) {
            Some(place) => place.room = place.room.saturating_add(room),
            None => places.push(Place { tuple, site, room, dealt: 0 }),
        }
    };
    for row in kind.rows.iter() {
        if dimensions::fits(&kind.demand, world.size(row)) {
            add(world.rows[row].tuple, world.row_site(row), u32::MAX);
        }
    }
    for bin in kind.bins.iter() {
        let room = dimensions::room(&kind.demand, &free[bin]);
        add(world.bins[bin].tuple, world.bin_site(bin), room);
    }
    places.sort_by_key(|place| place.tuple);
    places
}
