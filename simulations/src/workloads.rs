//! Controllers that keep as many pods of a shape as they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_solver::model::{Change, ClusterEvent, Name, Owner, Pod, PodKey, PodPhase, PodShape};

use crate::cluster::{Cluster, NewPod};
use crate::random::{Delay, Seed, Stream};

/// What becomes of a workload's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// They run until they are deleted, and are made again (a ReplicaSet).
    Serving,
    /// Each runs for a while and ends (a Job whose completions are its replicas).
    Batch {
        /// How long each runs.
        runs: Delay,
    },
}

/// A controller's object.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Namespace and name.
    pub key: PodKey,
    /// What its pods are like.
    pub shape: Arc<PodShape>,
    /// How many.
    pub replicas: u32,
    /// What becomes of them.
    pub kind: WorkloadKind,
    /// Whether a pod's successor is to run before it is evicted.
    pub replace_first: bool,
}

#[derive(Debug)]
struct Controller {
    workload: Workload,
    uid: Name,
    names: Stream,
    /// Its pods that are not going.
    pods: BTreeSet<PodKey>,
    /// How many of a Job's pods have ended.
    ended: u32,
    /// The pod that goes once another one runs.
    replacing: Option<PodKey>,
}

impl Controller {
    fn owner(&self) -> Owner {
        let kind = match self.workload.kind {
            WorkloadKind::Serving => "ReplicaSet",
            WorkloadKind::Batch { .. } => "Job",
        };
        Owner::Controller(kind.into(), self.uid.clone())
    }

    fn wanted(&self) -> usize {
        match self.workload.kind {
            WorkloadKind::Serving => {
                self.workload.replicas as usize + usize::from(self.replacing.is_some())
            }
            WorkloadKind::Batch { .. } => {
                self.workload.replicas.saturating_sub(self.ended) as usize
            }
        }
    }
}

/// All workloads.
#[derive(Debug)]
pub struct Workloads {
    seed: Seed,
    /// By UID.
    controllers: BTreeMap<Name, Controller>,
    uids: BTreeMap<PodKey, Name>,
    /// The controller of each pod, until the pod is gone.
    owners: BTreeMap<PodKey, Name>,
}

impl Workloads {
    /// None yet.
    pub const fn new(seed: Seed) -> Self {
        Self { seed, controllers: BTreeMap::new(), uids: BTreeMap::new(), owners: BTreeMap::new() }
    }

    /// The workloads, in the order of their creation.
    pub fn iter(&self) -> impl Iterator<Item = &Workload> {
        self.controllers.values().map(|controller| &controller.workload)
    }

    /// Creates a workload, or gives one of that name another number of pods, and makes or
    /// deletes pods.
    pub fn apply(&mut self, workload: Workload, cluster: &mut Cluster) {
        let uid = if let Some(uid) = self.uids.get(&workload.key) {
            uid.clone()
        } else {
            let uid = cluster.new_uid("workload");
            let names = self.seed.stream(&format!("workload/{}", workload.key));
            self.uids.insert(workload.key.clone(), uid.clone());
            let pods = BTreeSet::new();
            let controller = Controller {
                workload: workload.clone(),
                uid: uid.clone(),
                names,
                pods,
                ended: 0,
                replacing: None,
            };
            self.controllers.insert(uid.clone(), controller);
            uid
        };
        if let Some(controller) = self.controllers.get_mut(&uid) {
            controller.workload.replicas = workload.replicas;
        }
        self.reconcile(&uid, cluster);
    }

    /// Gives a workload another number of pods. Returns whether there is such a workload.
    pub fn scale(&mut self, key: &PodKey, replicas: u32, cluster: &mut Cluster) -> bool {
        let Some(uid) = self.uids.get(key).cloned() else { return false };
        if let Some(controller) = self.controllers.get_mut(&uid) {
            controller.workload.replicas = replicas;
        }
        self.reconcile(&uid, cluster);
        true
    }

    /// Has the only pod of a workload replaced, as a Deployment that rolls does it: another one is
    /// made, and this one goes once that runs. Returns whether that is possible.
    pub fn replace(&mut self, pod: &PodKey, cluster: &mut Cluster) -> bool {
        let Some(uid) = self.owners.get(pod).cloned() else { return false };
        let Some(controller) = self.controllers.get_mut(&uid) else { return false };
        if controller.workload.replicas != 1 || !controller.pods.contains(pod) {
            return false;
        }
        controller.replacing = Some(pod.clone());
        self.reconcile(&uid, cluster);
        true
    }

    /// Gives every workload no pods.
    pub fn scale_all_to_zero(&mut self, cluster: &mut Cluster) {
        let keys: Vec<PodKey> = self.uids.keys().cloned().collect();
        for key in keys {
            self.scale(&key, 0, cluster);
        }
    }

    /// How long a pod runs until it ends by itself; `None`: until it is deleted.
    pub fn runs_for(&self, pod: &Pod) -> Option<Delay> {
        match self.controller_of(pod)?.workload.kind {
            WorkloadKind::Serving => None,
            WorkloadKind::Batch { runs } => Some(runs),
        }
    }

    /// Follows what happened to pods.
    pub fn observe(&mut self, event: &ClusterEvent, cluster: &mut Cluster) {
        let uid = match event {
            ClusterEvent::Pod(Change::Applied(pod)) => self.follow(pod, cluster),
            ClusterEvent::Pod(Change::Deleted(key)) => self.forget(key),
            _ => None,
        };
        if let Some(uid) = uid {
            self.reconcile(&uid, cluster);
        }
    }

    fn follow(&mut self, pod: &Pod, cluster: &mut Cluster) -> Option<Name> {
        let Owner::Controller(_, uid) = &pod.owner else { return None };
        let controller = self.controllers.get_mut(uid)?;
        if pod.deleted.is_none()
            && pod.phase == PodPhase::Running
            && let Some(old) = controller.replacing.take_if(|old| *old != pod.key)
        {
            controller.pods.remove(&old);
            // It may be gone already, which is as good.
            let _ = cluster.delete_pod(&old, None);
        }
        if pod.deleted.is_none() && pod.is_alive() {
            return None;
        }
        controller.replacing.take_if(|old| *old == pod.key);
        if controller.pods.remove(&pod.key) {
            if pod.phase == PodPhase::Ended {
                controller.ended += 1;
                self.owners.remove(&pod.key);
            }
            return Some(uid.clone());
        }
        None
    }

    fn forget(&mut self, key: &PodKey) -> Option<Name> {
        let uid = self.owners.remove(key)?;
        let controller = self.controllers.get_mut(&uid)?;
        controller.pods.remove(key).then_some(uid)
    }

    fn controller_of(&self, pod: &Pod) -> Option<&Controller> {
        match &pod.owner {
            Owner::Controller(_, uid) => self.controllers.get(uid),
            _ => None,
        }
    }

    fn reconcile(&mut self, uid: &Name, cluster: &mut Cluster) {
        let Some(controller) = self.controllers.get_mut(uid) else { return };
        while controller.pods.len() < controller.wanted() {
            let name = format!("{}-{}", controller.workload.key.name, controller.names.suffix(5));
            let namespace = controller.workload.key.namespace.clone();
            let key = PodKey { namespace, name: name.into() };
            let shape = Arc::clone(&controller.workload.shape);
            let owner = controller.owner();
            // A name that was drawn before is drawn again.
            let replace_first = controller.workload.replace_first;
            let pod = NewPod { key: key.clone(), shape, owner, node: None, replace_first };
            if cluster.create_pod(pod).is_ok() {
                self.owners.insert(key.clone(), uid.clone());
                controller.pods.insert(key);
            }
        }
        let excess = controller.pods.len().saturating_sub(controller.wanted());
        if excess > 0 {
            for key in first_to_go(&controller.pods, excess, cluster) {
                controller.pods.remove(&key);
                // It may be gone already, which is as good.
                let _ = cluster.delete_pod(&key, None);
            }
        }
    }
}

/// Which pods a ReplicaSet deletes first: unbound before bound, pending before running, young
/// before old.
fn first_to_go(pods: &BTreeSet<PodKey>, count: usize, cluster: &Cluster) -> Vec<PodKey> {
    let objects = cluster.objects();
    let mut ranked: Vec<_> = pods
        .iter()
        .map(|key| {
            let rank = objects.pods.get(key).map(|pod| {
                let running = pod.phase == PodPhase::Running;
                (pod.node.is_some(), running, std::cmp::Reverse(pod.created))
            });
            (rank, key.clone())
        })
        .collect();
    ranked.sort();
    ranked.into_iter().take(count).map(|(_, key)| key).collect()
}
