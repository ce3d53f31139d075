//! As Karpenter provisions: one pod at a time, the most CPU first, onto the first thing that takes
//! it.
//!
//! Nodes that are there come first (those that are up before those on their way, by name), then
//! the claims of this round, those with the fewest pods first, then a new claim from the heaviest
//! pool that works. Prices play no part in any of this: a claim keeps every offering that still
//! fits all of its pods, and its node becomes the cheapest of those that are left. What a pod
//! would like is required of a node until nothing takes it (see [`relax`]).
//!
//! Where this departs from Karpenter: ties between domains go by the order in which domains are
//! met (there, by a hash map's order). The zone of a claim whose pods are counted by the spread or
//! affinity of others, but have none themselves, stays open until the cloud chooses; such pods are
//! not counted, and what was decided without them may turn out not to hold. kube-scheduler would
//! then refuse to bind a pod: it has no place in the plan.

mod claim;
pub mod consolidation;
mod order;
mod queue;
mod relax;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::constraints::pool_limits::{self, Usage};
use crate::model::{Method, Plan, Price, Resources, Snapshot, TaintEffect, Timestamp};
use crate::packing::bins::Place;
use crate::packing::dimensions::{self, Amounts};
use crate::packing::{Settings, Stop};

use self::claim::{Claim, Trial};
use self::queue::Queue;
use super::bits::Bits;
use super::counters::Tally;
use super::explain;
use super::outcome::{Launching, Member, Outcome, empty_plan};
use super::rules::{self, Part, Refusal};
use super::world::{Host, World};

/// A claim names no more instance types than this to its cloud, the cheapest ones.
const MOST_TYPES: usize = 600;

/// Finds a place for each pending pod as Karpenter does.
pub(super) fn plan(
    snapshot: &Snapshot,
    settings: &Settings,
    now: Timestamp,
    seed: u64,
    stop: &dyn Stop,
) -> Plan {
    let plan = empty_plan(snapshot, now, seed);
    let soft_taints = snapshot
        .pools
        .values()
        .any(|pool| pool.taints.iter().any(|taint| taint.effect == TaintEffect::PreferNoSchedule));
    let world = World::new(snapshot, settings, |shape| relax::steps(shape, soft_taints));
    if world.groups.is_empty() && world.defective.is_empty() {
        return plan;
    }
    let mut scheduler = Scheduler::new(&world);
    let mut queue = Queue::of(&world);
    let mut stopped = false;
    while let Some(member) = queue.pop() {
        stopped = stop.should_stop();
        if stopped || !scheduler.place(&member) {
            queue.push(member);
        }
        if stopped {
            break;
        }
    }
    scheduler.finish(queue, stopped).into_plan(&world, Method::Karpenter, plan)
}

/// A round in the making.
struct Scheduler<'w, 'a> {
    world: &'w World<'a>,
    tally: Tally,
    /// The nodes that are there, in the order in which they are tried.
    bins: Vec<usize>,
    free: Vec<Amounts>,
    hosts: Vec<Host>,
    on_bins: Vec<Vec<Member>>,
    claims: Vec<Claim>,
    /// The claims as they were last sorted, those with the fewest pods first, and then new ones.
    order: Vec<usize>,
    /// The pools, in the order in which they are tried, and their offerings.
    pools: Vec<(usize, Bits)>,
    /// What each pool holds, each claim counted as the largest of what it could be when it was
    /// made.
    usage: Vec<Usage>,
}

impl<'w, 'a> Scheduler<'w, 'a> {
    fn new(world: &'w World<'a>) -> Self {
        let mut bins: Vec<usize> = (0..world.bins.len()).collect();
        bins.sort_by_key(|bin| match &world.bins[*bin].place {
            Place::Node(name) => (false, name),
            Place::Claim(name) => (true, name),
        });
        let mut pools: Vec<usize> = (0..world.pools.len()).collect();
        pools.sort_by(|left, right| {
            let rank = |pool: usize| (world.pools[pool].pool.weight, &world.pools[pool].pool.name);
            rank(*right).cmp(&rank(*left))
        });
        let rows_of = |pool: usize| Bits::of(world.rows.len(), |row| world.rows[row].pool == pool);
        Self {
            world,
            tally: world.tally.clone(),
            bins,
            free: world.bins.iter().map(|bin| bin.load.free.clone()).collect(),
            hosts: world.bin_hosts.clone(),
            on_bins: vec![Vec::new(); world.bins.len()],
            claims: Vec::new(),
            order: Vec::new(),
            pools: pools.into_iter().map(|pool| (pool, rows_of(pool))).collect(),
            usage: world.pools.iter().map(|data| data.usage.clone()).collect(),
        }
    }

    /// Places a pod, giving up one of its wishes after the other; `false` if nothing takes it.
    fn place(&mut self, member: &Member) -> bool {
        let world = self.world;
        let actual = &world.kinds[world.groups[member.group].actual];
        let steps = world.groups[member.group].steps.clone();
        steps.into_iter().any(|step| {
            let trial = Trial { kind: &world.kinds[step], actual };
            self.add_to_bin(member, trial)
                || self.add_to_claim(member, trial)
                || self.add_new_claim(member, trial)
        })
    }

    fn add_to_bin(&mut self, member: &Member, trial: Trial<'w>) -> bool {
        let world = self.world;
        let Trial { kind, actual } = trial;
        let takes = |bin: usize| {
            kind.bins.contains(bin)
                && dimensions::fits(&kind.demand, &self.free[bin])
                && rules::host_room(world, Some(&self.tally), kind, &self.hosts[bin]).is_ok()
                && rules::shared_room(
                    world,
                    &self.tally,
                    kind,
                    world.bin_site(bin).domains,
                    &world.possible,
                )
                .is_ok()
        };
        let Some(bin) = self.bins.iter().copied().find(|bin| takes(*bin)) else { return false };
        dimensions::take(&mut self.free[bin], &kind.demand, 1);
        rules::put_on_host(world, actual, &mut self.hosts[bin], 1);
        rules::count_in(world, &mut self.tally, actual, world.bin_site(bin), Part::Both, 1);
        self.on_bins[bin].push(member.clone());
        true
    }

    fn add_to_claim(&mut self, member: &Member, trial: Trial<'w>) -> bool {
        let world = self.world;
        order::sort(&mut self.order, |claim| self.claims[*claim].members.len());
        let found = self.order.iter().find_map(|claim| {
            let grown = self.claims[*claim].try_add(world, &self.tally, trial);
            Some((*claim, grown.ok()?))
        });
        let Some((index, grown)) = found else { return false };
        self.claims[index].add(world, &mut self.tally, grown, trial.actual, member.clone());
        true
    }

    fn add_new_claim(&mut self, member: &Member, trial: Trial<'w>) -> bool {
        let world = self.world;
        let found = self.pools.iter().find_map(|(pool, rows)| {
            let claim = self.new_claim(*pool, rows).ok()?;
            let grown = claim.try_add(world, &self.tally, trial).ok()?;
            Some((claim, grown))
        });
        let Some((mut claim, grown)) = found else { return false };
        claim.add(world, &mut self.tally, grown, trial.actual, member.clone());
        if world.pools[claim.pool].limited {
            let (capacity, price) = self.largest(&claim);
            self.usage[claim.pool] = self.usage[claim.pool].with(&capacity, price);
        }
        self.order.push(self.claims.len());
        self.claims.push(claim);
        true
    }

    /// A claim for what the pool's limits still allow.
    fn new_claim(&self, pool: usize, rows: &Bits) -> Result<Claim, Refusal> {
        let data = &self.world.pools[pool];
        let mut rows = rows.clone();
        if data.limited {
            rows.retain(|row| {
                let row = &self.world.rows[row];
                self.world.machine(row).is_some_and(|machine| {
                    let usage = &self.usage[pool];
                    pool_limits::check(&data.pool, usage, &machine.capacity, row.price)
                })
            });
        }
        if rows.is_empty() {
            return Err(if data.limited { Refusal::Limits } else { Refusal::Requirements });
        }
        Ok(Claim::new(self.world, pool, rows))
    }

    /// The most that a claim may turn out to have and to cost.
    fn largest(&self, claim: &Claim) -> (Resources, Price) {
        let rows = claim.rows.iter().map(|row| &self.world.rows[row]);
        rows.fold((Resources::default(), Price::ZERO), |(capacity, price), row| {
            let machine = self.world.machine(row);
            let capacity =
                machine.map_or(capacity.clone(), |machine| capacity.larger(&machine.capacity));
            (capacity, price.max(row.price))
        })
    }

    /// Lets the cloud choose, and says why the rest has no place.
    fn finish(self, queue: Queue, stopped: bool) -> Outcome {
        let world = self.world;
        let mut outcome = Outcome::default();
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        for member in queue.rest() {
            let reason = reasons.entry(member.group).or_insert_with(|| {
                if stopped {
                    return "time ran out before it was looked at".to_owned();
                }
                explain::unplaced(world, member.group, |pool| self.refusal(pool, member.group))
            });
            outcome.unplaced.push((member, reason.clone()));
        }
        for claim in self.claims {
            match chosen(world, &claim) {
                Some(row) => {
                    outcome.launches.push(Launching { row, members: claim.members });
                }
                None => {
                    let reason = format!("pool {}: {}", world.pools[claim.pool].pool.name, {
                        Refusal::MinValues
                    });
                    let members = claim.members.into_iter();
                    outcome.unplaced.extend(members.map(|member| (member, reason.clone())));
                }
            }
        }
        outcome.on_bins = self.on_bins;
        outcome
    }

    /// Why a pool launches nothing for a pod of the group, all its wishes given up.
    fn refusal(&self, pool: usize, group: usize) -> Option<Refusal> {
        let data = &self.world.groups[group];
        let (_, rows) = self.pools.iter().find(|(other, _)| *other == pool)?;
        let kind = &self.world.kinds[data.steps.end.saturating_sub(1)];
        let actual = &self.world.kinds[data.actual];
        let trial = Trial { kind, actual };
        self.new_claim(pool, rows)
            .and_then(|claim| claim.try_add(self.world, &self.tally, trial))
            .err()
    }
}

/// What the cloud launches for a claim: the cheapest offering of the cheapest types, unless too
/// few values remain possible.
fn chosen(world: &World<'_>, claim: &Claim) -> Option<usize> {
    let mut cheapest: BTreeMap<usize, Price> = BTreeMap::new();
    for row in claim.rows.iter().map(|row| &world.rows[row]) {
        let price = cheapest.entry(row.instance_type).or_insert(row.price);
        *price = row.price.min(*price);
    }
    let mut types: Vec<(Price, usize)> =
        cheapest.into_iter().map(|(kind, price)| (price, kind)).collect();
    types.sort_unstable();
    let mut rows = claim.rows.clone();
    if types.len() > MOST_TYPES {
        types.truncate(MOST_TYPES);
        rows.retain(|row| types.iter().any(|(_, kind)| *kind == world.rows[row].instance_type));
    }
    if !claim::enough_values(world, claim.pool, &rows) {
        return None;
    }
    rows.iter().min_by_key(|row| world.rows[*row].price)
}
