//! Which DaemonSets put a pod on a node, so that their room is kept.

use crate::model::{DaemonSet, Labels, Owner, Pod, Taint};

use super::{node_affinity, taints};

/// Whether the DaemonSet runs a pod on a node with these labels and taints.
pub fn check(daemon: &DaemonSet, labels: &Labels, node_taints: &[Taint]) -> bool {
    explain(daemon, labels, node_taints).is_none()
}

/// Why it does not.
pub fn explain(daemon: &DaemonSet, labels: &Labels, node_taints: &[Taint]) -> Option<String> {
    node_affinity::explain(&daemon.shape, labels)
        .or_else(|| taints::explain(&daemon.shape, node_taints))
}

/// Whether this pod is the DaemonSet's own.
pub fn owns(daemon: &DaemonSet, pod: &Pod) -> bool {
    // Owners are named by UID; a name serves where a source of pods has no UIDs.
    matches!(&pod.owner, Owner::DaemonSet(owner)
        if *owner == daemon.uid
            || (*owner == daemon.key.name && pod.key.namespace == daemon.key.namespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::{labels, shape};
    use crate::model::{Name, PodKey, TaintEffect};

    #[test]
    fn a_daemon_runs_where_its_selector_and_tolerations_let_it() {
        let mut template = shape();
        template.node_selector = labels(&[("gpu", "yes")]);
        let daemon = DaemonSet {
            key: PodKey { namespace: Name::from("kube-system"), name: Name::from("driver") },
            uid: Name::from("u"),
            shape: template.into(),
        };
        assert!(!check(&daemon, &labels(&[]), &[]));
        assert!(check(&daemon, &labels(&[("gpu", "yes")]), &[]));
        let taint =
            Taint { key: Name::from("x"), value: Name::from(""), effect: TaintEffect::NoSchedule };
        assert!(!check(&daemon, &labels(&[("gpu", "yes")]), &[taint]));
    }
}
