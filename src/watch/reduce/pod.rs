use std::sync::Arc;

use berth_solver::model::{
    DoNotDisrupt, HostPort, Name, Owner, Pod, PodKey, PodPhase, PodShape, Protocol, Timestamp,
    Toleration, TolerationOperator, well_known,
};

use super::affinity::Reader;
use super::{Defects, named, taint_effect, timestamp};
use crate::api::parse_duration;
use crate::watch::Interner;
use crate::watch::accounting::pod_requests;
use crate::watch::objects::{self, Meta, PodTemplate};

const DEFAULT_SCHEDULER: &str = "default-scheduler";
const EVERY_ADDRESS: &str = "0.0.0.0";
/// What Kubernetes 1.35 and newer copies from the node to each pod that is bound
/// (`PodTopologyLabels`). A pod's shape has no part in it: its successor comes without.
const LABELS_OF_THE_NODE: [&str; 2] = [well_known::ZONE_LABEL, well_known::REGION_LABEL];

/// A pod. One that makes no sense becomes a record with a defect, never an error.
pub fn pod(pod: &objects::Pod, interner: &Interner) -> Pod {
    let mut defects = Defects::default();
    let shape = shape(pod, interner, &mut defects);
    let (meta, status) = (&pod.metadata, &pod.status);
    Pod {
        key: PodKey { namespace: shape.namespace.clone(), name: Name::from(meta.name.as_str()) },
        uid: Name::from(meta.uid.as_str()),
        volume_claims: volume_claims(pod, interner),
        node: named(&pod.spec.node_name, interner),
        nominated_node: named(&status.nominated_node_name, interner),
        phase: phase(&status.phase),
        unschedulable: status.conditions.iter().any(|condition| {
            condition.kind == "PodScheduled"
                && condition.status == "False"
                && condition.reason == "Unschedulable"
        }),
        created: timestamp(&meta.creation_timestamp).unwrap_or_default(),
        started: timestamp(&status.start_time),
        deleted: timestamp(&meta.deletion_timestamp),
        owner: owner(meta, interner),
        do_not_disrupt: do_not_disrupt(meta),
        deletion_cost: deletion_cost(meta),
        replace_first: meta.annotations.get(well_known::REPLACE_FIRST_ANNOTATION) == Some("true"),
        gated: !pod.spec.scheduling_gates.is_empty(),
        defect: defects.first().map(Name::from),
        shape,
    }
}

/// The pod that a workload's template makes, unbound, under that name and UID.
///
/// For manifests: what only a cluster knows (its status, defaults that admission adds) is empty.
pub fn pod_of_template(
    template: &PodTemplate,
    key: &PodKey,
    uid: Name,
    owner: Owner,
    created: Timestamp,
    interner: &Interner,
) -> Pod {
    let object = of_template(template, &key.namespace, &key.name);
    Pod { uid, owner, created, ..pod(&object, interner) }
}

pub(super) fn of_template(template: &PodTemplate, namespace: &str, name: &str) -> objects::Pod {
    let mut metadata = template.metadata.clone();
    namespace.clone_into(&mut metadata.namespace);
    name.clone_into(&mut metadata.name);
    objects::Pod { metadata, spec: template.spec.clone(), ..objects::Pod::default() }
}

/// What scheduling looks at, shared with equal pods.
pub(super) fn shape(
    pod: &objects::Pod,
    interner: &Interner,
    defects: &mut Defects,
) -> Arc<PodShape> {
    let (meta, spec) = (&pod.metadata, &pod.spec);
    // A manifest without a namespace means this one.
    let namespace = if meta.namespace.is_empty() { "default" } else { &meta.namespace };
    let reader = Reader { interner, namespace, labels: &meta.labels };
    let affinity = &spec.affinity;
    let scheduler =
        if spec.scheduler_name.is_empty() { DEFAULT_SCHEDULER } else { &spec.scheduler_name };
    interner.shape(PodShape {
        namespace: interner.name(namespace),
        labels: interner.labels(own_labels(meta)),
        requests: pod_requests(pod, interner, defects),
        node_selector: interner.labels(&spec.node_selector),
        node_affinity: reader.required_nodes(&affinity.node_affinity, defects),
        preferred_node_affinity: reader.preferred_nodes(&affinity.node_affinity, defects),
        tolerations: tolerations(&spec.tolerations, interner, defects),
        topology_spread: reader.topology_spread(&spec.topology_spread_constraints, defects),
        affinity: reader.required_pods(&affinity.pod_affinity, "podAffinity", defects),
        anti_affinity: reader.required_pods(
            &affinity.pod_anti_affinity,
            "podAntiAffinity",
            defects,
        ),
        preferred_affinity: reader.preferred_pods(&affinity.pod_affinity, "podAffinity", defects),
        preferred_anti_affinity: reader.preferred_pods(
            &affinity.pod_anti_affinity,
            "podAntiAffinity",
            defects,
        ),
        host_ports: host_ports(spec, interner, defects),
        priority: spec.priority,
        scheduler: interner.name(scheduler),
    })
}

fn own_labels(meta: &Meta) -> impl Iterator<Item = (&str, &str)> {
    let all = meta.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    all.filter(|(key, _)| !LABELS_OF_THE_NODE.contains(key))
}

/// The claims that it uses, sorted; one of an ephemeral volume is named after pod and volume.
fn volume_claims(pod: &objects::Pod, interner: &Interner) -> Box<[Name]> {
    let claims = pod.spec.volumes.iter().filter_map(|volume| {
        if let Some(source) = &volume.persistent_volume_claim {
            return Some(interner.name(&source.claim_name));
        }
        let own = || Name::from(format!("{}-{}", pod.metadata.name, volume.name));
        volume.ephemeral.as_ref().map(|_| own())
    });
    let mut claims: Vec<Name> = claims.collect();
    claims.sort_unstable();
    claims.dedup();
    claims.into()
}

fn phase(text: &str) -> PodPhase {
    match text {
        "Succeeded" | "Failed" => PodPhase::Ended,
        "Running" => PodPhase::Running,
        _ => PodPhase::Pending,
    }
}

fn owner(meta: &Meta, interner: &Interner) -> Owner {
    let controller = meta.owner_references.iter().find(|owner| owner.controller);
    match controller {
        None => Owner::None,
        Some(owner) if owner.kind == "DaemonSet" => Owner::DaemonSet(interner.name(&owner.uid)),
        Some(owner) if owner.kind == "Node" => Owner::Node,
        Some(owner) => Owner::Controller(interner.name(&owner.kind), interner.name(&owner.uid)),
    }
}

fn do_not_disrupt(meta: &Meta) -> DoNotDisrupt {
    let annotation = |key| meta.annotations.get(key);
    if annotation(well_known::SAFE_TO_EVICT_ANNOTATION) == Some("false") {
        return DoNotDisrupt::Never;
    }
    match annotation(well_known::DO_NOT_DISRUPT_ANNOTATION) {
        Some("true") => DoNotDisrupt::Never,
        // As in Karpenter, what is neither `true` nor a duration above zero protects nothing.
        Some(text) => match parse_duration(text) {
            Ok(duration) if !duration.is_zero() => DoNotDisrupt::For(duration),
            _ => DoNotDisrupt::Allowed,
        },
        None => DoNotDisrupt::Allowed,
    }
}

fn deletion_cost(meta: &Meta) -> i32 {
    let annotation = meta.annotations.get(well_known::POD_DELETION_COST_ANNOTATION);
    annotation.and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

/// Tolerations, sorted.
pub(super) fn tolerations(
    tolerations: &[objects::Toleration],
    interner: &Interner,
    defects: &mut Defects,
) -> Box<[Toleration]> {
    let tolerations = tolerations.iter().enumerate();
    let mut list: Vec<Toleration> =
        tolerations.filter_map(|(index, one)| toleration(index, one, interner, defects)).collect();
    list.sort_unstable();
    list.dedup();
    list.into()
}

/// `None` for one that covers nothing.
fn toleration(
    index: usize,
    toleration: &objects::Toleration,
    interner: &Interner,
    defects: &mut Defects,
) -> Option<Toleration> {
    let effect = match toleration.effect.as_str() {
        "" => None,
        text => match taint_effect(text) {
            Some(effect) => Some(effect),
            None => {
                defects.add(|| {
                    format!(
                        "spec.tolerations[{index}].effect: {text:?} is unknown: expected \
                         NoSchedule, PreferNoSchedule, NoExecute or nothing"
                    )
                });
                return None;
            }
        },
    };
    let operator = match toleration.operator.as_str() {
        "" | "Equal" => TolerationOperator::Equal,
        "Exists" => TolerationOperator::Exists,
        // Numeric comparison is behind a feature gate that is off: such a toleration covers
        // nothing.
        "Gt" | "Lt" => return None,
        text => {
            defects.add(|| {
                format!(
                    "spec.tolerations[{index}].operator: {text:?} is unknown: expected Equal or \
                     Exists"
                )
            });
            return None;
        }
    };
    let value = if operator == TolerationOperator::Exists { "" } else { &toleration.value };
    Some(Toleration {
        key: interner.name(&toleration.key),
        operator,
        value: interner.name(value),
        effect,
    })
}

/// The ports of the node that its containers and sidecars take, sorted.
fn host_ports(
    spec: &objects::PodSpec,
    interner: &Interner,
    defects: &mut Defects,
) -> Box<[HostPort]> {
    let sidecars = spec.init_containers.iter().filter(|container| container.is_sidecar());
    let ports =
        spec.containers.iter().chain(sidecars).flat_map(|container| {
            container.ports.iter().map(|port| (container.name.as_str(), port))
        });
    let mut taken = Vec::new();
    for (container, port) in ports {
        // On the host's network every port is the host's: the API server's default.
        let number = match port.host_port {
            0 if spec.host_network => port.container_port,
            number => number,
        };
        if number == 0 {
            continue;
        }
        let (Ok(number), Some(protocol)) = (u16::try_from(number), protocol(&port.protocol)) else {
            defects.add(|| {
                format!(
                    "ports of container {container:?}: host port {number} {:?} is not possible: \
                     expected 1 to 65535 and TCP, UDP or SCTP",
                    port.protocol
                )
            });
            continue;
        };
        let ip = if port.host_ip.is_empty() { EVERY_ADDRESS } else { &port.host_ip };
        taken.push(HostPort { ip: interner.name(ip), protocol, port: number });
    }
    taken.sort_unstable();
    taken.dedup();
    taken.into()
}

fn protocol(text: &str) -> Option<Protocol> {
    Some(match text {
        "" | "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => return None,
    })
}
