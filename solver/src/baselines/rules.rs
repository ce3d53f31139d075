//! Whether a node, or a domain, takes one more pod of a kind, by what is there already.

use std::fmt;

use crate::constraints::{host_ports, pod_affinity, pod_anti_affinity, topology_spread};

use super::counters::{NO_DOMAIN, Scope, SpreadRule, Tally};
use super::world::{Host, KindData, World};

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// No offering goes with labels and taints.
    Requirements,
    /// The pool's limits leave no room.
    Limits,
    /// Too little of a resource.
    Resources,
    /// Too few values of a label would remain possible.
    MinValues,
    /// A host port is taken.
    HostPort,
    /// Topology spread.
    Spread,
    /// Pod anti-affinity, its own or others'.
    AntiAffinity,
    /// Pod affinity.
    Affinity,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Requirements => "nothing that it sells goes with the pod's node requirements",
            Self::Limits => "its limits leave no room for another node",
            Self::Resources => "nothing that it sells is large enough",
            Self::MinValues => "too few values would remain possible for its minValues",
            Self::HostPort => "a host port that the pod wants is taken",
            Self::Spread => "topology spread keeps the pod out of every domain that it could go to",
            Self::AntiAffinity => "pod anti-affinity keeps the pod off",
            Self::Affinity => "the pods that it must be with are nowhere that it could go to",
        })
    }
}

/// How many more pods a host takes, resources and shared domains aside. Without a tally, a pod
/// that must be with others is taken to find them.
pub(super) fn host_room(
    world: &World<'_>,
    tally: Option<&Tally>,
    kind: &KindData,
    host: &Host,
) -> Result<u32, Refusal> {
    let rules = &kind.rules.host;
    let mut room = u32::MAX;
    let wanted = &kind.shape.host_ports;
    if !wanted.is_empty() {
        if !host_ports::check(wanted, &host.ports) {
            return Err(Refusal::HostPort);
        }
        room = 1;
    }
    if rules.is_empty() {
        return Ok(room);
    }
    let count = |counter: usize| match world.counters.scope(counter) {
        Scope::Host(slot) => host.counts.get(slot).copied().unwrap_or(0),
        Scope::Shared(_) => 0,
    };
    for (counter, own) in &rules.anti {
        if !pod_anti_affinity::check(count(*counter), 0) {
            return Err(Refusal::AntiAffinity);
        }
        room = if *own { room.min(1) } else { room };
    }
    if rules.inverse.iter().any(|counter| !pod_anti_affinity::check(0, count(*counter))) {
        return Err(Refusal::AntiAffinity);
    }
    for rule in &rules.spread {
        // A host that is still to come holds none, so that the emptiest one always counts zero.
        let more = topology_spread::room(&rule.constraint, rule.own, count(rule.counter), 0, 1);
        if more == 0 || !host.named {
            return Err(Refusal::Spread);
        }
        room = room.min(more);
    }
    for (counter, own) in &rules.affinity {
        let found = tally
            .is_none_or(|tally| pod_affinity::check(count(*counter), tally.total(*counter), *own));
        if !found || !host.named {
            return Err(Refusal::Affinity);
        }
    }
    Ok(room)
}

/// How many more pods a combination of domains takes while others stay as they are. `possible`
/// says for each counter which domains count, be it as empty ones.
pub(super) fn shared_room(
    world: &World<'_>,
    tally: &Tally,
    kind: &KindData,
    domains: &[u32],
    possible: &[Vec<bool>],
) -> Result<u32, Refusal> {
    let rules = &kind.rules.shared;
    let mut room = u32::MAX;
    if rules.is_empty() {
        return Ok(room);
    }
    let domain = |counter: usize| match world.counters.scope(counter) {
        Scope::Shared(key) => domains[key],
        Scope::Host(_) => NO_DOMAIN,
    };
    let count = |counter: usize| tally.count(counter, domain(counter));
    for (counter, own) in &rules.anti {
        if !pod_anti_affinity::check(count(*counter), 0) {
            return Err(Refusal::AntiAffinity);
        }
        room = if *own && domain(*counter) != NO_DOMAIN { room.min(1) } else { room };
    }
    if rules.inverse.iter().any(|counter| !pod_anti_affinity::check(0, count(*counter))) {
        return Err(Refusal::AntiAffinity);
    }
    for rule in &rules.spread {
        let more = spread_room(tally, rule, domain(rule.counter), &possible[rule.counter]);
        if more == 0 {
            return Err(Refusal::Spread);
        }
        room = room.min(more);
    }
    for (counter, own) in &rules.affinity {
        let found = pod_affinity::check(count(*counter), tally.total(*counter), *own);
        if !found || domain(*counter) == NO_DOMAIN {
            return Err(Refusal::Affinity);
        }
    }
    Ok(room)
}

/// How many more pods a spread constraint lets into a domain of those that are possible.
pub(super) fn spread_room(tally: &Tally, rule: &SpreadRule, domain: u32, possible: &[bool]) -> u32 {
    if domain == NO_DOMAIN {
        return 0;
    }
    let there =
        || possible.iter().zip(tally.counts(rule.counter)).filter(|(possible, _)| **possible);
    let emptiest = there().map(|(_, count)| *count).min().unwrap_or(0);
    let count = tally.count(rule.counter, domain);
    topology_spread::room(&rule.constraint, rule.own, count, emptiest, there().count())
}

/// Puts `count` pods on a host: its ports, and the counters of hosts.
pub(super) fn put_on_host(world: &World<'_>, kind: &KindData, host: &mut Host, count: u32) {
    host.ports.extend(kind.shape.host_ports.iter().cloned());
    for counter in &kind.rules.counted {
        if let Scope::Host(slot) = world.counters.scope(*counter) {
            host.counts[slot] += count;
        }
    }
}

/// Which counters are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those of shared domains.
    Shared,
    /// Those of hosts.
    Hosts,
    /// All.
    Both,
}

impl Part {
    fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Shared(_) => self != Self::Hosts,
            Scope::Host(_) => self != Self::Shared,
        }
    }
}

/// Where pods are: the node's domains, and for which counters it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'s> {
    /// One domain a key.
    pub domains: &'s [u32],
    /// One answer a counter.
    pub counting: &'s [bool],
}

/// Counts `count` pods at a node.
pub(super) fn count_in(
    world: &World<'_>,
    tally: &mut Tally,
    kind: &KindData,
    site: Site<'_>,
    part: Part,
    count: u32,
) {
    for (counter, scope) in counted(world, kind, site, part) {
        tally.add_total(counter, count);
        if let Scope::Shared(key) = scope {
            tally.add(counter, site.domains[key], count);
        }
    }
}

/// The opposite of [`count_in`].
pub(super) fn count_out(
    world: &World<'_>,
    tally: &mut Tally,
    kind: &KindData,
    site: Site<'_>,
    part: Part,
    count: u32,
) {
    for (counter, scope) in counted(world, kind, site, part) {
        tally.remove_total(counter, count);
        if let Scope::Shared(key) = scope {
            tally.remove(counter, site.domains[key], count);
        }
    }
}

fn counted<'s>(
    world: &'s World<'_>,
    kind: &'s KindData,
    site: Site<'s>,
    part: Part,
) -> impl Iterator<Item = (usize, Scope)> + 's {
    kind.rules
        .counted
        .iter()
        .copied()
        .filter(move |counter| site.counting[*counter])
        .map(|counter| (counter, world.counters.scope(counter)))
        .filter(move |(_, scope)| part.has(*scope))
}
