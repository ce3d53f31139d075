use berth_solver::model::{
    Change, ClusterEvent, LabelSelector, Pod, PodDisruptionBudget, PodKey, PodPhase,
};

use super::Cluster;

/// How many of a budget's pods must stay, or may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// `minAvailable`.
    AtLeast(u32),
    /// `maxUnavailable`.
    Missing(u32),
}

/// A PodDisruptionBudget as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetSpec {
    /// Namespace and name.
    pub key: PodKey,
    /// Which pods of its namespace it protects.
    pub selector: LabelSelector,
    /// How many.
    pub availability: Availability,
}

/// A budget and what the disruption controller counts for it.
#[derive(Debug)]
pub(super) struct Budget {
    spec: BudgetSpec,
    /// Pods that are meant to be there.
    expected: i64,
    /// Those of them that run.
    healthy: i64,
}

impl Budget {
    fn protects(&self, pod: &Pod) -> bool {
        self.spec.key.namespace == pod.key.namespace
            && self.spec.selector.matches(&pod.shape.labels)
    }

    fn allowed(&self) -> i64 {
        let wanted = match self.spec.availability {
            Availability::AtLeast(count) => i64::from(count),
            Availability::Missing(count) => self.expected - i64::from(count),
        };
        (self.healthy - wanted).max(0)
    }

    fn status(&self) -> PodDisruptionBudget {
        PodDisruptionBudget {
            key: self.spec.key.clone(),
            selector: self.spec.selector.clone(),
            disruptions_allowed: Some(i32::try_from(self.allowed()).unwrap_or(i32::MAX)),
        }
    }

    fn count(&mut self, pod: &Pod, sign: i64) {
        if pod.is_alive() && pod.deleted.is_none() && self.protects(pod) {
            self.expected += sign;
            self.healthy += sign * i64::from(pod.phase == PodPhase::Running);
        }
    }
}

impl Cluster {
    /// Creates or replaces a PodDisruptionBudget; its status follows at once, and with every pod.
    pub fn set_budget(&mut self, spec: BudgetSpec) {
        let mut budget = Budget { spec, expected: 0, healthy: 0 };
        for pod in self.objects().pods.values() {
            budget.count(pod, 1);
        }
        let status = budget.status();
        self.budgets.insert(status.key.clone(), budget);
        self.emit(ClusterEvent::PodDisruptionBudget(Change::Applied(status)));
    }

    /// Deletes a PodDisruptionBudget.
    pub fn delete_budget(&mut self, key: &PodKey) {
        self.budgets.remove(key);
        self.emit(ClusterEvent::PodDisruptionBudget(Change::Deleted(key.clone())));
    }

    /// Follows a pod from what it was to what it is.
    pub(super) fn count_for_budgets(&mut self, before: Option<&Pod>, after: Option<&Pod>) {
        let mut changed = Vec::new();
        for budget in self.budgets.values_mut() {
            let allowed = budget.allowed();
            before.into_iter().for_each(|pod| budget.count(pod, -1));
            after.into_iter().for_each(|pod| budget.count(pod, 1));
            if budget.allowed() != allowed {
                changed.push(budget.status());
            }
        }
        for status in changed {
            self.emit(ClusterEvent::PodDisruptionBudget(Change::Applied(status)));
        }
    }

    /// The first budget that does not let this pod go.
    pub(super) fn first_exhausted_budget(&self, pod: &Pod) -> Option<&PodKey> {
        // Like the eviction API: a pod that does not run yet counts for nothing and may go.
        if pod.phase != PodPhase::Running {
            return None;
        }
        self.budgets
            .iter()
            .find(|(_, budget)| budget.protects(pod) && budget.allowed() == 0)
            .map(|(key, _)| key)
    }
}
