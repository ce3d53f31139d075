//! Static NodePools (`spec.replicas`): so many nodes, whatever pods there are.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory;
use super::names::Names;
use crate::constraints::pool_limits::{self, Usage};
use crate::constraints::pool_requirements::{self, Choices};
use crate::constraints::pool_state;
use crate::lifecycle::ClaimRef;
use crate::model::{
    Launch, Name, NodeClaim, NodePool, Owner, Snapshot, Timestamp, well_known::condition,
};

/// What makes the static pools' nodes as many as they should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StaticPools {
    /// Nodes that are missing: each the cheapest that its pool allows, within its limits.
    pub launches: Vec<Launch>,
    /// Claims that are too many.
    pub surplus: Vec<ClaimRef>,
}

/// Holds the static pools against their `replicas`. `under_way` are the UIDs of claims whose
/// removal has begun, which count as gone; `coming` says of each pool how many claims are about to
/// be created in their place, which count as there.
///
/// Surplus claims go in this order: those whose node has not come up, those without pods, those
/// without pods that forbid it, those with the fewest pods; the youngest first.
pub fn static_pools(
    snapshot: &Snapshot,
    under_way: &BTreeSet<Name>,
    coming: &BTreeMap<Name, usize>,
    now: Timestamp,
    seed: u64,
) -> StaticPools {
    let mut names = Names::new(snapshot, now, seed);
    let usage = inventory::usage(snapshot);
    let mut all = StaticPools::default();
    for pool in snapshot.pools.values().filter(|pool| pool.deleted.is_none()) {
        let Some(replicas) = pool.replicas else { continue };
        let mut claims: Vec<&NodeClaim> = snapshot
            .claims
            .values()
            .map(AsRef::as_ref)
            .filter(|claim| claim.pool() == Some(&pool.name))
            .filter(|claim| claim.deleted.is_none() && !under_way.contains(&claim.uid))
            .collect();
        let replicas = usize::try_from(replicas).unwrap_or(usize::MAX);
        if claims.len() > replicas {
            claims.sort_by_cached_key(|claim| loss(snapshot, claim, now));
            let too_many = claims.len() - replicas;
            all.surplus.extend(claims[..too_many].iter().map(|claim| ClaimRef::from(*claim)));
        } else {
            let coming = coming.get(&pool.name).copied().unwrap_or_default();
            let missing = (replicas - claims.len()).saturating_sub(coming);
            all.launches.extend(launches(snapshot, pool, missing, &usage, &mut names));
        }
    }
    all
}

/// How much is lost with a claim: the least goes first.
fn loss(snapshot: &Snapshot, claim: &NodeClaim, now: Timestamp) -> (bool, bool, usize, i64, Name) {
    let up = claim.is(condition::INITIALIZED);
    let state = snapshot.node_of_claim(claim);
    let pods = state.into_iter().flat_map(|state| state.pods.values());
    let pods: Vec<_> = pods.filter(|pod| pod.is_alive() && !pod.belongs_to_node()).collect();
    let held = state.is_some_and(|state| state.node.do_not_disrupt)
        || pods.iter().any(|pod| pod.forbids_disruption(now) || pod.owner == Owner::None);
    (up, held, pods.len(), -claim.created.as_millis(), claim.name.clone())
}

fn launches(
    snapshot: &Snapshot,
    pool: &NodePool,
    missing: usize,
    usage: &BTreeMap<Name, Usage>,
    names: &mut Names<'_>,
) -> Vec<Launch> {
    // Its being static is why it is looked at here: nothing else may be wrong with it.
    let plain = NodePool { replicas: None, ..pool.clone() };
    let Some(catalog) = snapshot.catalogs.get(&pool.name).filter(|_| pool_state::check(&plain))
    else {
        return Vec::new();
    };
    let choice = catalog
        .instance_types
        .iter()
        .flat_map(|kind| kind.offerings.iter().map(move |offering| (kind, offering)))
        .filter(|(_, offering)| offering.available)
        .filter_map(|(kind, offering)| {
            let labels = pool_requirements::labels(pool, kind, offering, &Choices::new())?;
            Some((kind, offering, labels))
        })
        .min_by_key(|(kind, offering, _)| (offering.price, &kind.name, &offering.zone));
    let Some((kind, offering, labels)) = choice else { return Vec::new() };
    let mut usage = usage.get(&pool.name).cloned().unwrap_or_default();
    let replicas = pool.replicas.unwrap_or_default();
    let reason =
        format!("static pool {} has {replicas} nodes: {} is its cheapest", pool.name, kind.name);
    let mut all = Vec::new();
    for index in 0..missing {
        if !pool_limits::check(pool, &usage, &kind.capacity, offering.price) {
            break;
        }
        usage = usage.with(&kind.capacity, offering.price);
        let name = names.give(&pool.name, "", index);
        let launch = Launch::new(name, pool, kind, offering, labels.clone());
        all.push(Launch { reason: reason.clone(), ..launch });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const NOW: Timestamp = Timestamp::from_seconds(100_000);

    fn fixed(replicas: u32) -> NodePool {
        NodePool { replicas: Some(replicas), ..pool("fixed") }
    }

    /// A static pool with that many nodes, of which the first has a pod.
    fn world(pool: NodePool, nodes: usize) -> ClusterBuilder {
        let catalog = exoscale_catalog(&["z"]);
        let kind = type_of(&catalog, "standard.small").clone();
        let world = cluster().pool(pool.clone(), catalog);
        let world = (0..nodes).fold(world, |world, index| {
            let claim = up(claim(&format!("n{index}"), &pool, &kind));
            world.node(node_of_claim(&claim)).claim(claim)
        });
        world.pod(bound(pod("web", &shape(100, 64).build()), "n0"))
    }

    fn look(snapshot: &Snapshot) -> (usize, Vec<String>) {
        let found = static_pools(snapshot, &BTreeSet::new(), &BTreeMap::new(), NOW, 1);
        let names: BTreeSet<&Name> = found.launches.iter().map(|one| &one.name).collect();
        assert_eq!(names.len(), found.launches.len(), "names differ");
        let surplus = found.surplus.iter().map(|claim| claim.name.to_string()).collect();
        (found.launches.len(), surplus)
    }

    #[test]
    fn missing_nodes_are_launched_and_surplus_ones_go_those_without_pods_first() {
        assert_eq!(look(&world(fixed(3), 0).snapshot()), (3, vec![]));
        assert_eq!(look(&world(fixed(3), 2).snapshot()), (1, vec![]));
        assert_eq!(look(&world(fixed(3), 3).snapshot()), (0, vec![]));
        let surplus = vec!["n1".to_owned(), "n2".to_owned()];
        assert_eq!(look(&world(fixed(1), 3).snapshot()), (0, surplus));
        assert_eq!(look(&world(fixed(0), 1).snapshot()), (0, vec!["n0".to_owned()]));
        assert_eq!(look(&world(pool("fixed"), 3).snapshot()), (0, vec![]));
    }

    #[test]
    fn each_missing_node_is_the_cheapest_that_the_pool_allows() {
        let catalog = exoscale_catalog(&["z"]);
        let snapshot = world(fixed(1), 0).snapshot();
        let found = static_pools(&snapshot, &BTreeSet::new(), &BTreeMap::new(), NOW, 1);
        let prices = catalog.instance_types.iter().flat_map(|kind| &kind.offerings);
        assert_eq!(Some(found.launches[0].price), prices.map(|one| one.price).min());
        assert!(found.launches[0].labels.get(crate::model::well_known::NODEPOOL_LABEL).is_some());
    }

    #[test]
    fn i8_limits_hold_inside_one_batch_and_a_pool_with_a_defect_launches_nothing() {
        let mut limited = fixed(5);
        limited.limits.nodes = Some(3);
        assert_eq!(look(&world(limited, 1).snapshot()).0, 2);
        let broken = NodePool { defect: Some("spec: bad".into()), ..fixed(5) };
        assert_eq!(look(&world(broken, 0).snapshot()).0, 0);
        let unready = NodePool { ready: false, ..fixed(5) };
        assert_eq!(look(&world(unready, 0).snapshot()).0, 0);
    }

    #[test]
    fn what_leaves_already_is_replaced_and_not_counted_as_surplus() {
        let snapshot = world(fixed(2), 2).snapshot();
        let under_way = BTreeSet::from([snapshot.claims["n1"].uid.clone()]);
        let look = |coming: &[(&str, usize)]| {
            let coming = coming.iter().map(|(pool, count)| (Name::from(*pool), *count)).collect();
            let found = static_pools(&snapshot, &under_way, &coming, NOW, 1);
            (found.launches.len(), found.surplus.len())
        };
        assert_eq!(look(&[]), (1, 0));
        assert_eq!(look(&[("another", 1)]), (1, 0));
        assert_eq!(look(&[("fixed", 1)]), (0, 0), "a round launches it");
    }
}
