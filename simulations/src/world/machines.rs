use berth_solver::model::{Labels, Name, Node, Taint, TaintEffect, well_known};

use crate::cloud::{Instance, InstanceState};

use super::{Timer, World};

fn taint(key: &str, effect: TaintEffect) -> Taint {
    Taint { key: key.into(), value: Name::default(), effect }
}

impl World {
    /// A machine's kubelet registers its node, as kubelets of claims do: not ready, and tainted
    /// until the autoscaler has matched it to its claim. A machine that was told to go has stopped.
    pub(super) fn join(&mut self, provider_id: &str) {
        let instance = self.cloud.get(provider_id).cloned();
        let stays = |instance: &Instance| instance.state != InstanceState::Terminating;
        let Some(instance) = instance.filter(stays) else { return };
        let node = self.node_of(&instance);
        let (name, uid) = (node.name.clone(), node.uid.clone());
        if self.cluster.create_node(node).is_err() {
            return;
        }
        let mut chance = self.settings.seed.stream(&format!("node/{name}/ready"));
        let at = self.cluster.now() + chance.delay(self.settings.kubelet.ready_after);
        self.timers.schedule(at, Timer::NodeReady { node: name, uid });
    }

    fn node_of(&mut self, instance: &Instance) -> Node {
        let request = &instance.request;
        let of_type = self.cloud.catalog().get(&request.instance_type);
        let labels: Labels = of_type
            .iter()
            .flat_map(|found| found.labels.iter())
            .filter_map(|(key, set)| Some((key.clone(), set.single()?.clone())))
            .chain([
                (well_known::HOSTNAME_LABEL.into(), request.name.clone()),
                (well_known::ZONE_LABEL.into(), request.zone.clone()),
                (
                    well_known::CAPACITY_TYPE_LABEL.into(),
                    Name::from(request.capacity_type.as_str()),
                ),
            ])
            .chain(request.labels.iter().cloned())
            .collect();
        let mut taints: Vec<Taint> =
            request.taints.iter().chain(&request.startup_taints).cloned().collect();
        taints.push(taint(well_known::UNREGISTERED_TAINT, TaintEffect::NoExecute));
        taints.push(taint(well_known::NOT_READY_TAINT, TaintEffect::NoSchedule));
        taints.sort();
        Node {
            name: request.name.clone(),
            uid: self.cluster.new_uid("node"),
            labels,
            taints: taints.into(),
            unschedulable: false,
            provider_id: Some(instance.provider_id.clone()),
            capacity: instance.capacity.clone(),
            allocatable: instance.allocatable.clone(),
            ready: false,
            ready_since: None,
            conditions: Box::default(),
            created: self.cluster.now(),
            deleted: None,
            has_termination_finalizer: false,
            do_not_disrupt: false,
        }
    }

    pub(super) fn make_ready(&mut self, name: &Name, uid: &Name) {
        let Some(state) = self.cluster.objects().nodes.get(name) else { return };
        let machine = state.node.provider_id.as_ref().and_then(|id| self.cloud.get(id));
        let startup: Vec<Taint> =
            machine.map(|found| found.request.startup_taints.clone()).unwrap_or_default();
        let now = self.cluster.now();
        let changed = self.cluster.update_node(name, Some(uid), |node| {
            node.ready = true;
            node.ready_since = Some(now);
            let kept = node.taints.iter().filter(|taint| {
                taint.key != well_known::NOT_READY_TAINT && !startup.contains(taint)
            });
            node.taints = kept.cloned().collect();
        });
        if changed.is_ok() {
            self.start_pods_of(name);
        }
    }

    /// A machine is gone: its node stays behind, not ready, until somebody deletes it.
    pub(super) fn lose(&mut self, provider_id: &str) {
        let now = self.cluster.now();
        let Some(instance) = self.cloud.remove(provider_id, now) else { return };
        let name = &instance.request.name;
        let there = self.cluster.objects().nodes.get(name);
        let uid = there
            .filter(|state| state.node.provider_id.as_ref() == Some(&instance.provider_id))
            .map(|state| state.node.uid.clone());
        if let Some(uid) = uid {
            // It was there a line ago.
            let _ = self.cluster.update_node(name, Some(&uid), |node| {
                node.ready = false;
                node.ready_since = Some(now);
                let unreachable = taint(well_known::UNREACHABLE_TAINT, TaintEffect::NoSchedule);
                node.taints = node.taints.iter().cloned().chain([unreachable]).collect();
            });
        }
    }
}
