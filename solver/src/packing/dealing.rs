//! Other ways to deal few pods out than evenly.
//!
//! Which domains pods go to decides what nodes there must be, and rules leave a choice: how uneven
//! a spread may be, which zone the first of those comes to that want to be together. Where pods are
//! many, even is as good as any. Where they are few, one node more or less is a large part of the
//! price, so other ways are tried: now and then a group's pods are dealt out at random, as far as
//! their rules allow, and what packs better is kept.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::bound;
use super::groups::Pending;
use super::priorities;
use super::problem::Problem;
use super::repack;
use super::settle::FEW_PODS;
use super::stages::{self, Leftover};
use super::state::{Class, State};
use super::{Settings, Stop};
use crate::model::Price;

/// So many other ways are tried where pods are few...
const ROUNDS: u32 = 100;
/// ...in that share of the time.
const DEAL_UNTIL: f64 = 0.3;
/// So many percent another way has to save. An uneven spread leaves those who come later, and who
/// move, less choice: on traces whose pods are spread over zones (Azure's, a hundredth of it), plans
/// that saved less made the whole dearer, by up to 4 %; with ten percent it became cheaper in six of
/// seven by up to 0.8 %.
const SAVES_PERCENT: u64 = 10;
/// How often a group that need not be dealt out anew is.
const SHAKEN_TOO: f64 = 0.2;
/// How often a pod goes where the one before it went.
const TOGETHER: f64 = 0.5;

/// Everything packed, once.
pub struct Packed<'p, 'a> {
    /// What was placed where.
    pub state: State<'p, 'a>,
    /// What of each group has no place.
    pub leftovers: Vec<Leftover>,
    /// What was packed.
    pub classes: Vec<Class>,
}

impl<'p, 'a> Packed<'p, 'a> {
    fn of(mut state: State<'p, 'a>, pending: &Pending) -> Self {
        let (mut leftovers, classes) = priorities::run(&mut state, pending);
        stages::enforce_spread(&mut state, &mut leftovers);
        Self { state, leftovers, classes }
    }

    /// How many have no place, the most important first, and what the rest costs.
    fn rank(&self, pending: &Pending) -> (Vec<u32>, Price) {
        (priorities::left(pending, &self.leftovers), self.state.cost())
    }
}

/// Packs everything that waits, beside what `state` holds already.
pub fn pack<'p, 'a>(
    mut state: State<'p, 'a>,
    pending: &Pending,
    settings: &Settings,
    seed: u64,
    stop: &dyn Stop,
) -> Packed<'p, 'a> {
    let problem = state.problem;
    let pods: usize = pending.groups.iter().map(|group| group.pods.len()).sum();
    let free: Vec<bool> = (0..problem.groups.len()).map(|group| is_free(problem, group)).collect();
    if pods > FEW_PODS as usize || !free.contains(&true) || stop.spent() >= DEAL_UNTIL {
        return Packed::of(state, pending);
    }
    let random = SmallRng::seed_from_u64(seed);
    state.dealing = Some(Dealing::evenly(free, random));
    let mut best = Packed::of(state.clone(), pending);
    repack::downsize(&mut best.state, 0, &mut || false);
    let least = bound::lower_bound(&best.state);
    let (mut left, mut most) = best.rank(pending);
    most = most.saturating_sub(Price::from_nanos(most.as_nanos() / 100 * SAVES_PERCENT));
    for _ in 0..ROUNDS.min(settings.search_rounds) {
        if stop.spent() >= DEAL_UNTIL || best.state.cost() <= least {
            break;
        }
        let Some(dealing) = best.state.dealing.as_mut().and_then(Dealing::shaken) else { break };
        let begun = State { dealing: Some(dealing), ..state.clone() };
        let mut other = Packed::of(begun, pending);
        repack::downsize(&mut other.state, 0, &mut || false);
        let rank = other.rank(pending);
        if rank < (left.clone(), most) {
            (left, most) = rank;
            best = other;
        }
    }
    best.state.dealing = None;
    best
}

/// Whether only rules that must hold say which domains a group's pods go to: what is merely wished
/// for is for the even way.
fn is_free(problem: &Problem<'_>, group: usize) -> bool {
    let rules = &problem.topology.domain_rules[group];
    let own = rules.spread.iter().any(|rule| rule.own);
    let parts = own || rules.anti.iter().any(|(_, own)| *own);
    let together = rules.spread.is_empty() && !rules.affinity.is_empty();
    (parts || together) && rules.spread.iter().all(|rule| rule.hard)
}

/// Where groups' pods go, one after the other.
#[derive(Clone, Debug)]
pub struct Dealing {
    /// Groups for which there is a choice.
    free: Vec<bool>,
    /// For each group the combinations of domains that its pods were given.
    given: Vec<Vec<usize>>,
    /// The same of the way before, for groups that keep to it.
    kept: Vec<Vec<usize>>,
    /// Groups that are dealt out at random.
    shaken: Vec<bool>,
    random: SmallRng,
}

impl Dealing {
    fn evenly(free: Vec<bool>, random: SmallRng) -> Self {
        let groups = free.len();
        let (given, kept) = (vec![Vec::new(); groups], vec![Vec::new(); groups]);
        Self { free, given, kept, shaken: vec![false; groups], random }
    }

    /// A way that some groups keep to and others do not; `None` if there is no choice.
    fn shaken(&mut self) -> Option<Self> {
        let dealt = |group: &usize| self.free[*group] && !self.given[*group].is_empty();
        let groups: Vec<usize> = (0..self.free.len()).filter(dealt).collect();
        let one = *groups.choose(&mut self.random)?;
        let mut shaken = vec![false; self.free.len()];
        for group in groups {
            shaken[group] = group == one || self.random.random_bool(SHAKEN_TOO);
        }
        let random = SmallRng::from_rng(&mut self.random);
        let given = vec![Vec::new(); self.free.len()];
        Some(Self { free: self.free.clone(), given, kept: self.given.clone(), shaken, random })
    }

    /// Which of the places that may take a pod of the group gets it; `usual` is the one that keeps
    /// domains even, `tuple_of` tells a place's combination of domains.
    pub fn choose(
        &mut self,
        group: usize,
        allowed: &[usize],
        usual: usize,
        tuple_of: impl Fn(usize) -> usize,
    ) -> usize {
        let before = self.given[group].last().copied();
        let kept = self.kept[group].get(self.given[group].len()).copied();
        let place_in = |tuple| allowed.iter().copied().find(|place| tuple_of(*place) == tuple);
        let wanted = if self.shaken[group] {
            let again = before.filter(|_| self.random.random_bool(TOGETHER));
            again.and_then(place_in).or_else(|| allowed.choose(&mut self.random).copied())
        } else {
            kept.and_then(place_in)
        };
        let place = wanted.unwrap_or(usual);
        self.given[group].push(tuple_of(place));
        place
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::model::{
        CapacityType, Catalog, Launch, Plan, Snapshot, Target, Timestamp, WhenUnsatisfiable,
        well_known,
    };
    use crate::packing::{Never, plan};
    use crate::testing::{cluster, instance_type, labels, node, offering, pods, pool, shape};
    use crate::verify::verify;

    use super::*;

    fn planned(snapshot: &Snapshot, settings: &Settings) -> Plan {
        let plan = plan(snapshot, settings, Timestamp::from_seconds(1), 7, &Never);
        assert_eq!(verify(snapshot, &settings.scheduler_names, &plan), []);
        assert!(plan.unschedulable.is_empty(), "{:?}", plan.unschedulable);
        plan
    }

    #[test]
    fn few_pods_are_dealt_out_so_that_they_pack_well() {
        // Three zones hold one node each in any case. Beside each of two databases, which keep away
        // from each other, there is room for one web server; the third node takes three. Evenly,
        // two of them would be in a zone with a database, which takes a fourth node.
        let sold =
            ["a", "b", "c"].map(|zone| offering(zone, CapacityType::OnDemand, 0.05)).to_vec();
        let catalog = Catalog::new(vec![instance_type("small", 1_800, 3_700, sold)]);
        let web = shape(500, 512).label("app", "web").spread(well_known::ZONE_LABEL, 2).build();
        let database = shape(1_000, 2_048).label("app", "db").alone_in(well_known::HOSTNAME_LABEL);
        let mut old = node("old", 600, 1_000);
        let zone = labels(&[(well_known::ZONE_LABEL, "z")]);
        old.labels = old.labels.with(zone.iter().cloned());
        let snapshot = cluster()
            .pool(pool("general"), catalog)
            .node(old)
            .pods(pods("web", 6, &web))
            .pods(pods("db", 2, &database.build()))
            .snapshot();
        let evenly = Settings { search_rounds: 0, ..Settings::default() };
        assert_eq!(planned(&snapshot, &evenly).launches.len(), 4);
        assert_eq!(planned(&snapshot, &Settings::default()).launches.len(), 3);
    }

    #[test]
    fn what_is_only_wished_for_is_kept_even() {
        let sold = ["a", "b"].map(|zone| offering(zone, CapacityType::OnDemand, 0.05)).to_vec();
        let catalog = Catalog::new(vec![instance_type("large", 4_000, 8_000, sold)]);
        let must = shape(500, 512).label("app", "web").spread(well_known::ZONE_LABEL, 3).build();
        let mut wishes = (*must).clone();
        for spread in &mut wishes.topology_spread {
            spread.when_unsatisfiable = WhenUnsatisfiable::ScheduleAnyway;
        }
        let wishes = Arc::new(wishes);
        let snapshot =
            cluster().pool(pool("general"), catalog).pods(pods("web", 4, &wishes)).snapshot();
        let plan = planned(&snapshot, &Settings::default());
        let on = |launch: &Launch| {
            let here = Target::Claim(launch.name.clone());
            plan.placements.iter().filter(|one| one.target == here).count()
        };
        assert_eq!(plan.launches.iter().map(on).collect::<Vec<_>>(), [2, 2]);
    }
}
