//! What pools allow of what their clouds sell, sorted into cells that no requirement tells apart.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::constraints::pool_requirements::{Choices, TypeLabels};
use crate::constraints::{node_affinity, pool_state};
use crate::model::{
    Catalog, Labels, Name, NodePool, Requirements, Resources, Snapshot, Taint, ValueSet, well_known,
};

use super::dimensions::{self, Dimensions};
use super::groups::Group;
use super::inventory::PoolData;
use super::topology::Topology;

/// More label choices than this of one pool are not tried.
const MOST_CHOICES: usize = 64;

/// An offering of a pool, with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct RawOffering {
    /// Index of the instance type in the pool's catalog.
    pub instance_type: usize,
    /// Index of the offering in the type.
    pub offering: usize,
    /// Which choice of labels.
    pub choices: Arc<Choices>,
}

/// Offerings of a pool whose nodes have the same labels as far as anybody looks at them.
#[derive(Clone, Debug, PartialEq)]
pub struct RawCell {
    /// The pool.
    pub pool: usize,
    /// Labels of one of them.
    pub labels: Labels,
    /// The pool's taints.
    pub taints: Box<[Taint]>,
    /// The offerings.
    pub offerings: Arc<[RawOffering]>,
    /// What the largest of them have of each resource.
    largest: Resources,
}

impl RawCell {
    /// Whether one of them might hold a pod, daemons aside.
    pub fn could_hold(&self, demand: &[i64], dimensions: &Dimensions) -> bool {
        dimensions::fits(demand, &dimensions.supply(&self.largest))
    }
}

/// The offerings of all pools that can launch, by the labels that somebody looks at.
pub fn raw_cells(
    snapshot: &Snapshot,
    groups: &[Group],
    pools: &[PoolData],
    topology: &Topology,
) -> Vec<RawCell> {
    let keys = keys_looked_at(snapshot, groups, topology);
    let mut cells = Vec::new();
    for (index, data) in pools.iter().enumerate() {
        let Some(catalog) = &data.catalog else { continue };
        if !pool_state::check(&data.pool) {
            continue;
        }
        KNOWN.with_borrow_mut(|known| {
            let assortment = known.get(index, &data.pool, catalog);
            let choices = label_choices(&assortment.open, groups);
            cells.extend_from_slice(assortment.cells(&keys, &choices));
        });
    }
    cells
}

thread_local! {
    /// What pools allow of their catalogs follows from nothing but both of them, and is asked anew
    /// for each plan: with thousands of offerings it took a fifth of a replay's time.
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// So many pools are remembered.
const MOST_KNOWN: usize = 16;
/// And so many questions about each.
const MOST_ASKED: usize = 4;

/// The pools that were asked about last, the latest first.
#[derive(Default)]
struct Known(Vec<Assortment>);

impl Known {
    fn get(
        &mut self,
        index: usize,
        pool: &Arc<NodePool>,
        catalog: &Arc<Catalog>,
    ) -> &mut Assortment {
        let is_it = |assortment: &Assortment| {
            assortment.index == index
                && Arc::ptr_eq(&assortment.pool, pool)
                && Arc::ptr_eq(&assortment.catalog, catalog)
        };
        latest(&mut self.0, MOST_KNOWN, is_it, || Assortment::new(index, pool, catalog))
    }
}

/// The entry that is meant, made where there is none. It comes first now, and those go that are one
/// too many: what nobody has meant for longest.
pub fn latest<T>(
    list: &mut Vec<T>,
    most: usize,
    is_it: impl Fn(&T) -> bool,
    make: impl FnOnce() -> T,
) -> &mut T {
    let entry = match list.iter().position(is_it) {
        Some(place) => list.remove(place),
        None => make(),
    };
    list.truncate(most - 1);
    list.insert(0, entry);
    &mut list[0]
}

/// What a pool allows of a catalog.
struct Assortment {
    /// Which pool it is.
    index: usize,
    pool: Arc<NodePool>,
    catalog: Arc<Catalog>,
    /// Labels that are left open.
    open: BTreeMap<Name, ValueSet>,
    /// What was worked out last, the latest first.
    asked: Vec<Asked>,
}

/// Cells by the labels that tell them apart and the choices that there are.
struct Asked {
    keys: Vec<Name>,
    choices: Vec<Arc<Choices>>,
    cells: Vec<RawCell>,
}

impl Assortment {
    fn new(index: usize, pool: &Arc<NodePool>, catalog: &Arc<Catalog>) -> Self {
        let open = open_keys(pool, catalog);
        let (pool, catalog) = (Arc::clone(pool), Arc::clone(catalog));
        Self { index, pool, catalog, open, asked: Vec::new() }
    }

    /// The pool's offerings by these labels.
    fn cells(&mut self, keys: &[Name], choices: &[Arc<Choices>]) -> &[RawCell] {
        let is_it = |asked: &Asked| asked.keys == keys && asked.choices == choices;
        let Self { index, pool, catalog, asked, .. } = self;
        let asked = latest(asked, MOST_ASKED, is_it, || Asked {
            keys: keys.to_vec(),
            choices: choices.to_vec(),
            cells: work_out(*index, pool, catalog, keys, choices),
        });
        &asked.cells
    }
}

fn work_out(
    index: usize,
    pool: &NodePool,
    catalog: &Catalog,
    keys: &[Name],
    choices: &[Arc<Choices>],
) -> Vec<RawCell> {
    let mut cells: BTreeMap<Vec<Option<Name>>, Gathered> = BTreeMap::new();
    for choices in choices {
        for (type_index, instance_type) in catalog.instance_types.iter().enumerate() {
            let Some(of_type) = TypeLabels::of(pool, instance_type, choices) else { continue };
            let allocatable = instance_type.allocatable();
            for (offering_index, offering) in instance_type.offerings.iter().enumerate() {
                if !offering.available || !of_type.allows(offering) {
                    continue;
                }
                let seen = keys.iter().map(|key| of_type.get(key, offering)).collect();
                let cell = cells.entry(seen).or_insert_with(|| Gathered {
                    labels: of_type.labels(offering),
                    offerings: Vec::new(),
                    largest: Resources::default(),
                });
                if cell.offerings.last().is_none_or(|last| last.instance_type != type_index) {
                    cell.largest = cell.largest.larger(&allocatable);
                }
                cell.offerings.push(RawOffering {
                    instance_type: type_index,
                    offering: offering_index,
                    choices: Arc::clone(choices),
                });
            }
        }
    }
    let cells = cells.into_values().map(|cell| RawCell {
        pool: index,
        labels: cell.labels,
        taints: pool.taints.clone(),
        offerings: cell.offerings.into(),
        largest: cell.largest,
    });
    cells.collect()
}

/// A cell whose offerings are still to come.
struct Gathered {
    labels: Labels,
    offerings: Vec<RawOffering>,
    largest: Resources,
}

/// The labels that some pod, daemon or spread looks at.
fn keys_looked_at(snapshot: &Snapshot, groups: &[Group], topology: &Topology) -> Vec<Name> {
    let mut keys: BTreeSet<Name> = topology.keys.iter().cloned().collect();
    let shapes = groups
        .iter()
        .map(|group| &group.needs)
        .chain(snapshot.daemon_sets.values().map(|daemon| &daemon.shape));
    for shape in shapes {
        keys.extend(shape.node_selector.iter().map(|(key, _)| key.clone()));
        let preferred = shape.preferred_node_affinity.iter().map(|weighted| &weighted.term);
        for term in shape.node_affinity.iter().chain(preferred) {
            keys.extend(term.iter().map(|(key, _)| key.clone()));
        }
    }
    keys.into_iter().collect()
}

/// The values that labels get where the pool (or a type) leaves a choice: what nobody asks for
/// differently, and what each group asks for.
fn label_choices(open: &BTreeMap<Name, ValueSet>, groups: &[Group]) -> Vec<Arc<Choices>> {
    let mut found: BTreeSet<Choices> = BTreeSet::from([Choices::new()]);
    if !open.is_empty() {
        for group in groups {
            let preferred =
                group.needs.preferred_node_affinity.iter().map(|weighted| weighted.term.clone());
            for term in node_affinity::alternatives(&group.needs).into_iter().chain(preferred) {
                if found.len() >= MOST_CHOICES {
                    break;
                }
                found.insert(choices_of(&term, open));
            }
        }
    }
    found.into_iter().map(Arc::new).collect()
}

fn choices_of(term: &Requirements, open: &BTreeMap<Name, ValueSet>) -> Choices {
    term.iter()
        .filter_map(|(key, set)| {
            let allowed = open.get(key)?.intersection(set);
            Some((key.clone(), allowed.listed()?.first()?.clone()))
        })
        .collect()
}

/// Labels that the pool's template, type and offering leave open, and what they may be.
fn open_keys(pool: &NodePool, catalog: &Catalog) -> BTreeMap<Name, ValueSet> {
    const FIXED: [&str; 4] = [
        well_known::NODEPOOL_LABEL,
        well_known::INSTANCE_TYPE_LABEL,
        well_known::ZONE_LABEL,
        well_known::CAPACITY_TYPE_LABEL,
    ];
    let is_fixed = |key: &str| FIXED.contains(&key) || pool.labels.get(key).is_some();
    let mut open = BTreeMap::new();
    let mut consider = |key: &Name, set: &ValueSet| {
        if set.single().is_none() && !is_fixed(key) && set.allows_some_value() {
            open.insert(key.clone(), pool.requirements.get(key).unwrap_or(set).clone());
        }
    };
    let mut typed: BTreeSet<&Name> = BTreeSet::new();
    for instance_type in &catalog.instance_types {
        for (key, set) in instance_type.labels.iter() {
            typed.insert(key);
            consider(key, set);
        }
    }
    for (key, set) in pool.requirements.iter().filter(|(key, _)| !typed.contains(key)) {
        consider(key, set);
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Change;
    use crate::packing::groups::Pending;
    use crate::packing::{Settings, inventory};
    use crate::testing::{exoscale_catalog, pod, pool, random_problem, shape};

    fn asked(snapshot: &Snapshot) -> Vec<RawCell> {
        let groups = Pending::of(snapshot, &Settings::default()).groups;
        let topology = Topology::of(snapshot, &groups);
        raw_cells(snapshot, &groups, &inventory::pools(snapshot), &topology)
    }

    /// A thread that has not been asked before remembers nothing.
    fn asked_anew(snapshot: &Snapshot) -> Vec<RawCell> {
        std::thread::scope(|scope| scope.spawn(|| asked(snapshot)).join().unwrap())
    }

    #[test]
    fn what_is_remembered_is_what_is_worked_out_anew() {
        let by_type = shape(100, 128).node_selector(well_known::INSTANCE_TYPE_LABEL, "any").build();
        let mut other_answers = 0;
        for seed in 0..40 {
            let plain = random_problem(seed);
            let other_question = plain.imagine([Change::Applied(pod("by-type", &by_type))]);
            let mut one_pool_more = plain.clone();
            let name = Name::from("a-pool-before-all");
            one_pool_more.pools.insert(name.clone(), Arc::new(pool(&name)));
            one_pool_more.catalogs.insert(name, Arc::new(exoscale_catalog(&["a", "b"])));
            let first = asked_anew(&plain);
            other_answers += usize::from(asked_anew(&other_question) != first);
            assert_ne!(asked_anew(&one_pool_more), first, "seed {seed}");
            let questions = [&plain, &other_question, &one_pool_more];
            for snapshot in questions.into_iter().chain(questions).chain([&plain]) {
                assert_eq!(asked(snapshot), asked_anew(snapshot), "seed {seed}");
            }
        }
        assert!(other_answers > 20, "{other_answers}");
    }
}
