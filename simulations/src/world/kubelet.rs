use std::collections::BTreeMap;

use berth_solver::model::{Name, Pod, PodKey, PodPhase};

use super::{Timer, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Bound; starts once the node is ready.
    Waiting,
    Starting,
    Running,
    Terminating,
}

#[derive(Debug)]
struct Known {
    uid: Name,
    node: Name,
    stage: Stage,
}

/// What kubelets know of their pods.
#[derive(Debug, Default)]
pub(super) struct Kubelets {
    pods: BTreeMap<PodKey, Known>,
}

impl Kubelets {
    /// Notes that a pod is bound to a node.
    fn learn(&mut self, pod: &Pod, node: &Name) {
        let known = self.pods.get(&pod.key);
        if known.is_none_or(|known| known.uid != pod.uid) {
            let known = Known { uid: pod.uid.clone(), node: node.clone(), stage: Stage::Waiting };
            self.pods.insert(pod.key.clone(), known);
        }
    }

    /// Moves a pod on to a stage; returns false if it is there already, or further.
    fn advance(&mut self, pod: &PodKey, uid: &Name, stage: Stage) -> bool {
        match self.pods.get_mut(pod) {
            Some(known) if known.uid == *uid && known.stage < stage => {
                known.stage = stage;
                true
            }
            _ => false,
        }
    }
}

impl World {
    /// A pod's kubelet takes notice of it.
    pub(super) fn follow_pod(&mut self, pod: &Pod) {
        let Some(node) = &pod.node else { return };
        if !pod.is_alive() {
            self.forget_pod(&pod.key);
            return;
        }
        self.pods_on.entry(node.clone()).or_default().insert(pod.key.clone());
        self.kubelets.learn(pod, node);
        if pod.deleted.is_some() {
            if self.kubelets.advance(&pod.key, &pod.uid, Stage::Terminating) {
                let mut chance = self.settings.seed.stream(&format!("pod/{}/gone", pod.key));
                let at = self.cluster.now() + chance.delay(self.settings.kubelet.pod_gone_after);
                let gone = Timer::PodGone { pod: pod.key.clone(), uid: pod.uid.clone() };
                self.timers.schedule(at, gone);
            }
        } else if pod.phase == PodPhase::Pending
            && self.cluster.objects().nodes.get(node).is_some_and(|state| state.node.ready)
        {
            self.schedule_start(&pod.key, &pod.uid);
        }
    }

    pub(super) fn forget_pod(&mut self, key: &PodKey) {
        let Some(Known { node, .. }) = self.kubelets.pods.remove(key) else { return };
        if let Some(pods) = self.pods_on.get_mut(&node) {
            pods.remove(key);
            if pods.is_empty() {
                self.pods_on.remove(&node);
            }
        }
        self.place_daemons_on(&node);
    }

    /// A node became ready: what is bound to it starts.
    pub(super) fn start_pods_of(&mut self, node: &Name) {
        let objects = self.cluster.objects();
        let waiting: Vec<(PodKey, Name)> = self
            .pods_on
            .get(node)
            .into_iter()
            .flatten()
            .filter_map(|key| objects.pods.get(key))
            .filter(|pod| pod.phase == PodPhase::Pending && pod.deleted.is_none())
            .map(|pod| (pod.key.clone(), pod.uid.clone()))
            .collect();
        for (pod, uid) in waiting {
            self.schedule_start(&pod, &uid);
        }
    }

    fn schedule_start(&mut self, pod: &PodKey, uid: &Name) {
        if self.kubelets.advance(pod, uid, Stage::Starting) {
            let mut chance = self.settings.seed.stream(&format!("pod/{pod}/starts"));
            let at = self.cluster.now() + chance.delay(self.settings.kubelet.pod_starts_after);
            self.timers.schedule(at, Timer::PodStarts { pod: pod.clone(), uid: uid.clone() });
        }
    }

    pub(super) fn start_pod(&mut self, key: &PodKey, uid: &Name) {
        let found = self.cluster.objects().pods.get(key).filter(|pod| pod.uid == *uid).cloned();
        let Some(pod) = found.filter(|pod| pod.deleted.is_none()) else { return };
        // It was there a line ago.
        let _ = self.cluster.set_phase(key, uid, PodPhase::Running);
        self.kubelets.advance(key, uid, Stage::Running);
        if let Some(runs) = self.workloads.runs_for(&pod) {
            let mut chance = self.settings.seed.stream(&format!("pod/{key}/runs"));
            let at = self.cluster.now() + chance.delay(runs);
            self.timers.schedule(at, Timer::PodEnds { pod: key.clone(), uid: uid.clone() });
        }
    }

    pub(super) fn end_pod(&mut self, key: &PodKey, uid: &Name) {
        // A pod that was deleted before it could end is as well.
        let _ = self.cluster.set_phase(key, uid, PodPhase::Ended);
    }

    pub(super) fn finish_pod(&mut self, key: &PodKey, uid: &Name) {
        // The garbage collector may have been faster.
        let _ = self.cluster.remove_pod(key, uid);
    }

    /// The garbage collector: pods of a node that is gone go too.
    pub(super) fn collect_pods_of(&mut self, node: &Name) {
        let orphans: Vec<PodKey> = self.pods_on.get(node).into_iter().flatten().cloned().collect();
        for key in orphans {
            let uid = self.cluster.objects().pods.get(&key).map(|pod| pod.uid.clone());
            if let Some(uid) = uid {
                self.finish_pod(&key, &uid);
            }
        }
    }
}
