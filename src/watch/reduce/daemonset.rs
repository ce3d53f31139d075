use berth_solver::model::{DaemonSet, PodKey};

use super::Defects;
use super::pod::{of_template, shape};
use crate::watch::Interner;
use crate::watch::objects::{self, Toleration};

/// A DaemonSet: its pod's shape, with the tolerations that the DaemonSet controller adds.
///
/// # Errors
/// When its template makes no sense (where, what, what would be right): counting such a pod on
/// every node would keep every node from being launched.
pub fn daemon_set(daemon: &objects::DaemonSet, interner: &Interner) -> Result<DaemonSet, String> {
    let meta = &daemon.metadata;
    let mut pod = of_template(&daemon.spec.template, &meta.namespace, &meta.name);
    add_tolerations(&mut pod.spec);
    let mut defects = Defects::default();
    let shape = shape(&pod, interner, &mut defects);
    match defects.first() {
        Some(defect) => Err(format!("spec.template.{defect}")),
        None => Ok(DaemonSet {
            key: PodKey { namespace: shape.namespace.clone(), name: interner.name(&meta.name) },
            uid: interner.name(&meta.uid),
            shape,
        }),
    }
}

/// `AddOrUpdateDaemonPodTolerations` of Kubernetes' DaemonSet controller.
fn add_tolerations(spec: &mut objects::PodSpec) {
    const ALWAYS: [(&str, &str); 6] = [
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ];
    const ON_HOST_NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");
    let on_host_network = spec.host_network.then_some(ON_HOST_NETWORK);
    for (key, effect) in ALWAYS.into_iter().chain(on_host_network) {
        spec.tolerations.push(Toleration {
            key: key.to_owned(),
            operator: "Exists".to_owned(),
            value: String::new(),
            effect: effect.to_owned(),
        });
    }
}
