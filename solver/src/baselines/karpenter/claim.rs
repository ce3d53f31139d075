//! A node claim in the making: it keeps every offering that could still become its node.

use std::collections::BTreeSet;

use smallvec::smallvec;

use crate::constraints::{pod_affinity, pod_anti_affinity};
use crate::model::{Name, well_known};
use crate::packing::dimensions::{self, Amounts};

use crate::baselines::bits::Bits;
use crate::baselines::counters::{NO_DOMAIN, Scope, Tally};
use crate::baselines::outcome::Member;
use crate::baselines::rules::{self, Refusal};
use crate::baselines::world::{Host, KindData, World};

/// A claim.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// Its pool.
    pub pool: usize,
    /// What it could still be.
    pub rows: Bits,
    /// What its pods take.
    used: Amounts,
    /// The most that one of its offerings has, of each resource.
    most: Amounts,
    host: Host,
    /// Its pods.
    pub members: Vec<Member>,
}

/// A pod as it is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial<'w> {
    /// What it asks for at this step.
    pub kind: &'w KindData,
    /// What it is in truth.
    pub actual: &'w KindData,
}

/// What a claim becomes with one more pod.
#[derive(Debug)]
pub(super) struct Grown {
    rows: Bits,
    used: Amounts,
    most: Amounts,
}

impl Claim {
    /// A claim without pods, for one of these offerings.
    pub fn new(world: &World<'_>, pool: usize, rows: Bits) -> Self {
        Self {
            pool,
            rows,
            used: smallvec![0; world.dimensions.len()],
            most: smallvec![i64::MAX; world.dimensions.len()],
            host: world.empty_host(true),
            members: Vec::new(),
        }
    }

    /// What it becomes with the pod of a trial.
    pub fn try_add(
        &self,
        world: &World<'_>,
        tally: &Tally,
        trial: Trial<'_>,
    ) -> Result<Grown, Refusal> {
        let kind = trial.kind;
        let mut used = self.used.clone();
        dimensions::give(&mut used, &kind.demand, 1);
        let fits = |room: &[i64]| {
            room.iter().zip(&used).all(|(has, wanted)| *wanted <= 0 || wanted <= has)
        };
        if !fits(&self.most) {
            return Err(Refusal::Resources);
        }
        rules::host_room(world, Some(tally), kind, &self.host)?;
        let mut rows = self.rows.intersection(&kind.rows);
        if rows.is_empty() {
            return Err(Refusal::Requirements);
        }
        narrow(world, tally, kind, &mut rows)?;
        let mut last = (usize::MAX, false);
        let mut most: Amounts = smallvec![0; used.len()];
        rows.retain(|row| {
            let size = world.rows[row].size;
            if size != last.0 {
                let room = &world.sizes[size];
                last = (size, fits(room));
                if last.1 {
                    most.iter_mut().zip(room).for_each(|(most, has)| *most = (*most).max(*has));
                }
            }
            last.1
        });
        if rows.is_empty() {
            return Err(Refusal::Resources);
        }
        if !enough_values(world, self.pool, &rows) {
            return Err(Refusal::MinValues);
        }
        Ok(Grown { rows, used, most })
    }

    /// Adds the pod.
    pub fn add(
        &mut self,
        world: &World<'_>,
        tally: &mut Tally,
        grown: Grown,
        actual: &KindData,
        member: Member,
    ) {
        self.rows = grown.rows;
        self.used = grown.used;
        self.most = grown.most;
        self.members.push(member);
        rules::put_on_host(world, actual, &mut self.host, 1);
        self.record(world, tally, actual);
    }

    /// Counts a pod: where it is, if that is certain; wherever it could be, for anti-affinity.
    fn record(&self, world: &World<'_>, tally: &mut Tally, actual: &KindData) {
        if actual.rules.counted.is_empty() {
            return;
        }
        let tuples = tuples(world, &self.rows);
        let Some(first) = self.rows.iter().next() else { return };
        let counts = &world.cells[world.rows[first].cell].counts;
        for counter in actual.rules.counted.iter().copied().filter(|counter| counts[*counter]) {
            tally.add_total(counter, 1);
            let Scope::Shared(key) = world.counters.scope(counter) else { continue };
            let domains = domains(world, &tuples, key);
            if domains.len() == 1 || world.counters.is_anti(counter) {
                domains.into_iter().for_each(|domain| tally.add(counter, domain, 1));
            }
        }
    }
}

/// The combinations of domains that offerings are in.
fn tuples(world: &World<'_>, rows: &Bits) -> Vec<usize> {
    (0..world.tuples.len()).filter(|tuple| world.tuple_rows[*tuple].meets(rows)).collect()
}

/// The domains of one key in these combinations.
fn domains(world: &World<'_>, tuples: &[usize], key: usize) -> BTreeSet<u32> {
    tuples.iter().map(|tuple| world.tuples[*tuple][key]).collect()
}

/// Keeps what the kind's rules over shared domains allow. Spread pins the claim to the domain that
/// holds fewest, whether or not anything large enough is sold there; anti-affinity leaves every
/// domain where nobody could be; affinity those where somebody is, or one for the first.
fn narrow(
    world: &World<'_>,
    tally: &Tally,
    kind: &KindData,
    rows: &mut Bits,
) -> Result<(), Refusal> {
    let shared = &kind.rules.shared;
    if shared.is_empty() {
        return Ok(());
    }
    let mut tuples = tuples(world, rows);
    let key_of = |counter: usize| match world.counters.scope(counter) {
        Scope::Shared(key) => key,
        Scope::Host(_) => 0,
    };
    for rule in &shared.spread {
        let key = key_of(rule.counter);
        let possible = &world.possible[rule.counter];
        let best = domains(world, &tuples, key)
            .into_iter()
            .filter(|domain| rules::spread_room(tally, rule, *domain, possible) > 0)
            .min_by_key(|domain| tally.count(rule.counter, *domain));
        let best = best.ok_or(Refusal::Spread)?;
        tuples.retain(|tuple| world.tuples[*tuple][key] == best);
    }
    let away = shared.anti.iter().map(|(counter, _)| counter).chain(&shared.inverse);
    for counter in away {
        let key = key_of(*counter);
        let free = |tuple: &usize| {
            pod_anti_affinity::check(tally.count(*counter, world.tuples[*tuple][key]), 0)
        };
        tuples.retain(free);
        if tuples.is_empty() {
            return Err(Refusal::AntiAffinity);
        }
    }
    for (counter, own) in &shared.affinity {
        let key = key_of(*counter);
        let total = tally.total(*counter);
        let mut good: Vec<u32> = domains(world, &tuples, key)
            .into_iter()
            .filter(|domain| *domain != NO_DOMAIN)
            .filter(|domain| pod_affinity::check(tally.count(*counter, *domain), total, *own))
            .collect();
        if total == 0 {
            good.truncate(1);
        }
        tuples.retain(|tuple| good.contains(&world.tuples[*tuple][key]));
        if tuples.is_empty() {
            return Err(Refusal::Affinity);
        }
    }
    keep(world, &tuples, rows);
    Ok(())
}

fn keep(world: &World<'_>, tuples: &[usize], rows: &mut Bits) {
    let mut kept = Bits::empty(world.rows.len());
    tuples.iter().for_each(|tuple| kept.unite(&world.tuple_rows[*tuple]));
    rows.intersect(&kept);
}

/// Whether as many values of each label remain possible as the pool's `minValues` say.
pub(super) fn enough_values(world: &World<'_>, pool: usize, rows: &Bits) -> bool {
    world.pools[pool].pool.min_values.iter().all(|(key, wanted)| {
        let mut values: BTreeSet<&str> = BTreeSet::new();
        for row in rows.iter().map(|row| &world.rows[row]) {
            let Some(machine) = world.machine(row) else { continue };
            let offering = machine.offerings.get(row.offering);
            match key.as_str() {
                well_known::INSTANCE_TYPE_LABEL => {
                    values.insert(&machine.name);
                }
                well_known::ZONE_LABEL => {
                    values.extend(offering.map(|offering| offering.zone.as_str()));
                }
                well_known::CAPACITY_TYPE_LABEL => {
                    values.extend(offering.map(|offering| offering.capacity_type.as_str()));
                }
                key => {
                    let listed = machine.labels.get(key).and_then(|set| set.listed());
                    values.extend(listed.into_iter().flatten().map(Name::as_str));
                }
            }
        }
        u32::try_from(values.len()).unwrap_or(u32::MAX) >= *wanted
    })
}
