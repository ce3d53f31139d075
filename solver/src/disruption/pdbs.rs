//! Which PodDisruptionBudget protects which pod, and what it lets go.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;

use super::obstacle::Obstacle;
use crate::model::{Name, PodDisruptionBudget, PodKey, PodShape, Resident, Snapshot};

/// The PodDisruptionBudgets of a cluster, ready to be asked about many pods.
#[derive(Debug)]
pub struct PodBudgets<'a> {
    by_namespace: BTreeMap<&'a Name, Vec<&'a PodDisruptionBudget>>,
    /// By the address of the shape, which the snapshot keeps in its place.
    known: RefCell<HashMap<*const PodShape, Protection<'a>>>,
}

/// What protects pods of a shape.
#[derive(Clone, Copy, Debug)]
enum Protection<'a> {
    Nothing,
    One(&'a PodDisruptionBudget),
    Several,
}

impl<'a> PodBudgets<'a> {
    /// Those of a snapshot.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut by_namespace: BTreeMap<&Name, Vec<&PodDisruptionBudget>> = BTreeMap::new();
        for budget in snapshot.pod_disruption_budgets.values() {
            by_namespace.entry(&budget.key.namespace).or_default().push(budget);
        }
        Self { by_namespace, known: RefCell::default() }
    }

    fn protection(&self, shape: &PodShape) -> Protection<'a> {
        let all = self.by_namespace.get(&shape.namespace).into_iter().flatten().copied();
        let mut budgets = all.filter(|budget| budget.selector.matches(&shape.labels));
        match (budgets.next(), budgets.next()) {
            (None, _) => Protection::Nothing,
            (Some(budget), None) => Protection::One(budget),
            _ => Protection::Several,
        }
    }

    /// The key of the one budget that protects the pod (one of the snapshot's), if one does.
    ///
    /// # Errors
    /// Why it cannot be evicted now: its budget has none to spare, or nobody knows whether it has
    /// (its status is behind its spec), or several budgets protect it.
    pub fn budget_of(&self, pod: &'a Resident) -> Result<Option<&'a PodKey>, Obstacle> {
        let shape = pod.shape();
        let mut known = self.known.borrow_mut();
        match *known.entry(Arc::as_ptr(shape)).or_insert_with(|| self.protection(shape)) {
            Protection::Nothing => Ok(None),
            Protection::Several => Err(Obstacle::SeveralBudgets(pod.key.clone())),
            Protection::One(budget) => match budget.disruptions_allowed {
                Some(allowed) if allowed > 0 => Ok(Some(&budget.key)),
                _ => Err(Obstacle::PodDisruptionBudget(pod.key.clone(), budget.key.clone())),
            },
        }
    }
}
