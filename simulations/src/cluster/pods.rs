use std::sync::Arc;

use berth_solver::model::{Change, ClusterEvent, Name, Owner, Pod, PodKey, PodPhase, PodShape};

use super::{ApiError, Cluster};

const KIND: &str = "pod";

/// A pod to create.
#[derive(Clone, Debug)]
pub struct NewPod {
    /// Namespace and name.
    pub key: PodKey,
    /// Its shape.
    pub shape: Arc<PodShape>,
    /// Who makes it.
    pub owner: Owner,
    /// The node that it is bound to from the start (DaemonSet pods).
    pub node: Option<Name>,
    /// Whether its successor is to run before it goes.
    pub replace_first: bool,
}

impl Cluster {
    /// Creates a pod, pending. Returns its UID.
    ///
    /// # Errors
    /// [`ApiError::AlreadyExists`].
    pub fn create_pod(&mut self, pod: NewPod) -> Result<Name, ApiError> {
        if self.objects().pods.contains_key(&pod.key) {
            return Err(ApiError::AlreadyExists { kind: KIND, name: pod.key.to_string() });
        }
        let uid = self.new_uid(KIND);
        let pod = Pod {
            node: pod.node,
            unschedulable: false,
            owner: pod.owner,
            replace_first: pod.replace_first,
            ..Pod::waiting(pod.key, uid.clone(), pod.shape, self.now)
        };
        self.apply_pod(None, pod);
        Ok(uid)
    }

    /// Binds a pod to a node (the scheduler's last word). A pod that is bound to that node
    /// already is fine.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if there is no such pod or node, [`ApiError::Conflict`] if the pod
    /// is bound elsewhere or going.
    pub fn bind(&mut self, key: &PodKey, uid: &str, node: &Name) -> Result<(), ApiError> {
        let pod = self.pod(key, Some(uid))?;
        if !self.objects().nodes.contains_key(node) {
            return Err(ApiError::NotFound { kind: "node", name: node.to_string() });
        }
        let conflict = |message: String| {
            Err(ApiError::Conflict { kind: KIND, name: key.to_string(), message })
        };
        match &pod.node {
            Some(bound) if bound == node => return Ok(()),
            Some(bound) => return conflict(format!("is bound to node {bound} already")),
            None if pod.deleted.is_some() => return conflict("is being deleted".to_owned()),
            None => {}
        }
        let node = node.clone();
        self.change_pod(&pod, |pod| {
            pod.node = Some(node);
            pod.unschedulable = false;
            pod.nominated_node = None;
        });
        Ok(())
    }

    /// Says whether the scheduler finds a place for a pod.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn set_unschedulable(
        &mut self,
        key: &PodKey,
        uid: &str,
        unschedulable: bool,
    ) -> Result<(), ApiError> {
        let pod = self.pod(key, Some(uid))?;
        self.change_pod(&pod, |pod| pod.unschedulable = unschedulable);
        Ok(())
    }

    /// Sets how a pod's life goes on: it runs, or it has ended.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn set_phase(&mut self, key: &PodKey, uid: &str, phase: PodPhase) -> Result<(), ApiError> {
        let pod = self.pod(key, Some(uid))?;
        let now = self.now;
        self.change_pod(&pod, |pod| {
            pod.phase = phase;
            if phase == PodPhase::Running {
                pod.started.get_or_insert(now);
            }
        });
        Ok(())
    }

    /// Deletes a pod: at once if no node has it, else it terminates until its kubelet removes it.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn delete_pod(&mut self, key: &PodKey, uid: Option<&str>) -> Result<(), ApiError> {
        let pod = self.pod(key, uid)?;
        if pod.node.is_none() {
            return self.remove_pod(key, &pod.uid);
        }
        let now = self.now;
        self.change_pod(&pod, |pod| {
            pod.deleted.get_or_insert(now);
        });
        Ok(())
    }

    /// Removes a pod for good (its kubelet's last word).
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn remove_pod(&mut self, key: &PodKey, uid: &str) -> Result<(), ApiError> {
        let pod = self.pod(key, Some(uid))?;
        self.emit(ClusterEvent::Pod(Change::Deleted(key.clone())));
        self.count_for_budgets(Some(&pod), None);
        Ok(())
    }

    /// Evicts a pod: deletes it, if every PodDisruptionBudget allows it.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], and [`ApiError::TooManyRequests`] if a budget is exhausted.
    pub fn evict(&mut self, key: &PodKey, uid: Option<&str>) -> Result<(), ApiError> {
        let pod = self.pod(key, uid)?;
        if pod.deleted.is_some() {
            return Ok(());
        }
        if let Some(budget) = self.first_exhausted_budget(&pod) {
            return Err(ApiError::TooManyRequests {
                pod: key.to_string(),
                budget: budget.to_string(),
            });
        }
        self.evictions += 1;
        self.delete_pod(key, Some(&pod.uid))
    }

    fn pod(&self, key: &PodKey, uid: Option<&str>) -> Result<Arc<Pod>, ApiError> {
        self.objects()
            .pods
            .get(key)
            .filter(|pod| uid.is_none_or(|uid| pod.uid == *uid))
            .map(Arc::clone)
            .ok_or_else(|| ApiError::NotFound { kind: KIND, name: key.to_string() })
    }

    fn change_pod(&mut self, before: &Pod, change: impl FnOnce(&mut Pod)) {
        let mut after = before.clone();
        change(&mut after);
        self.apply_pod(Some(before), after);
    }

    fn apply_pod(&mut self, before: Option<&Pod>, after: Pod) {
        self.emit(ClusterEvent::Pod(Change::Applied(after.clone())));
        self.count_for_budgets(before, Some(&after));
    }
}
