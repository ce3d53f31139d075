//! NodePools for catalogs.

use std::collections::BTreeSet;

use berth_solver::model::{Catalog, InstanceType, Name, NodePool, Operator, ValueSet, well_known};
use berth_solver::testing::pool;

/// A pool of the types that these are.
pub fn pool_of(catalog: &Catalog, name: &str, wanted: impl Fn(&InstanceType) -> bool) -> NodePool {
    let types = catalog.instance_types.iter().filter(|kind| wanted(kind));
    let names: BTreeSet<Name> = types.map(|kind| kind.name.clone()).collect();
    let mut pool = pool(name);
    let set = ValueSet::of(Operator::In, names);
    pool.requirements.require(well_known::INSTANCE_TYPE_LABEL.into(), &set);
    pool
}

/// The pools that people have, of the catalog of that name: one for general purposes, of the
/// families that the providers' guides name, and a lighter one of machines with cards.
pub fn usual_pools(name: &str, catalog: &Catalog) -> Vec<NodePool> {
    let is_usual = |kind: &InstanceType| !has_cards(kind) && is_general(name, &kind.name);
    let general = NodePool { weight: 10, ..pool_of(catalog, "general", is_usual) };
    vec![general, pool_of(catalog, "cards", has_cards)]
}

fn has_cards(kind: &InstanceType) -> bool {
    kind.capacity.extended().iter().any(|(name, amount)| name.ends_with("/gpu") && *amount > 0)
}

/// Karpenter's guide for AWS: categories c, m and r, from the third generation on.
fn is_general(catalog: &str, kind: &str) -> bool {
    let (family, rest) = kind.split_once(['.', '-']).unwrap_or((kind, ""));
    if catalog.starts_with("aws") {
        let generation = family.get(1..2).and_then(|digit| digit.parse::<u32>().ok());
        return family.starts_with(['c', 'm', 'r'])
            && generation.is_some_and(|number| number > 2)
            && !rest.starts_with("metal");
    }
    if catalog.starts_with("gcp") {
        let families = ["e2", "n2", "n2d", "n4", "c3", "c3d", "c4"];
        return families.contains(&family)
            && ["standard", "highcpu", "highmem"].iter().any(|one| rest.starts_with(one));
    }
    ["standard", "cpu", "memory"].contains(&family)
}
