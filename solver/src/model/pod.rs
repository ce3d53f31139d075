use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LabelSelector, Labels, Name, Requirements, Resources, Taint, TaintEffect, Timestamp};

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodKey {
    /// `metadata.namespace`.
    pub namespace: Name,
    /// `metadata.name`.
    pub name: Name,
}

impl fmt::Display for PodKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// The scheduler of pods that name none.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// A pod, reduced to what decisions need. Pods made from one template share their [`PodShape`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Namespace and name.
    pub key: PodKey,
    /// `metadata.uid`: a pod of the same name with another UID is another pod.
    pub uid: Name,
    /// What scheduling looks at, shared between equal pods.
    pub shape: Arc<PodShape>,
    /// The PersistentVolumeClaims of its namespace that it uses, sorted. What they ask of its node
    /// is looked up when it is planned for.
    pub volume_claims: Box<[Name]>,
    /// `spec.nodeName`: the node that it is bound to.
    pub node: Option<Name>,
    /// `status.nominatedNodeName`.
    pub nominated_node: Option<Name>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Whether kube-scheduler said (condition `PodScheduled` false, reason `Unschedulable`) that
    /// it fits nowhere.
    pub unschedulable: bool,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// `status.startTime`.
    pub started: Option<Timestamp>,
    /// `metadata.deletionTimestamp`: it is terminating but still takes its room.
    pub deleted: Option<Timestamp>,
    /// Who made it.
    pub owner: Owner,
    /// Whether it may be evicted to save money.
    pub do_not_disrupt: DoNotDisrupt,
    /// `controller.kubernetes.io/pod-deletion-cost`, 0 if absent.
    pub deletion_cost: i32,
    /// Whether its successor is to run before it goes (annotation
    /// `berth.sh/replace-before-eviction: "true"`).
    #[serde(default)]
    pub replace_first: bool,
    /// Whether `spec.schedulingGates` hold it back: not to be planned for yet.
    pub gated: bool,
    /// Why it cannot be planned for, if something in it makes no sense (a quantity such as
    /// `1e30`, an unknown operator): what, where, and what would be right.
    pub defect: Option<Name>,
}

/// `status.phase`, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PodPhase {
    /// Not started yet (or unknown).
    Pending,
    /// Running.
    Running,
    /// Succeeded or failed: it takes no room any more.
    Ended,
}

/// Who made a pod (its controlling owner).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// Nobody: nothing would make it again.
    None,
    /// A DaemonSet: one a node, neither planned for nor drained.
    DaemonSet(Name),
    /// The node itself (a static pod's mirror).
    Node,
    /// A controller that makes another one when it goes: kind and UID.
    Controller(Name, Name),
}

/// Whether a pod lets its node be disrupted voluntarily.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoNotDisrupt {
    /// It does.
    Allowed,
    /// Never (`true`, or Cluster Autoscaler's `safe-to-evict: "false"`).
    Never,
    /// Not before it has run for so long.
    For(Duration),
}

/// Everything about a pod that scheduling looks at. Pods of equal shape are interchangeable.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodShape {
    /// Its namespace: selectors of affinity and spread are bound to it.
    pub namespace: Name,
    /// Its labels: other pods' selectors look at them.
    pub labels: Labels,
    /// What it takes from a node, as kube-scheduler counts it, its slot (`pods: 1`) included.
    pub requests: Resources,
    /// `spec.nodeSelector` .
    pub node_selector: Labels,
    /// Required node affinity: one of these terms must hold; empty: any node will do.
    pub node_affinity: Box<[Requirements]>,
    /// Preferred node affinity.
    pub preferred_node_affinity: Box<[Weighted<Requirements>]>,
    /// `spec.tolerations`, sorted.
    pub tolerations: Box<[Toleration]>,
    /// `spec.topologySpreadConstraints`.
    pub topology_spread: Box<[TopologySpread]>,
    /// Required pod affinity: all must hold.
    pub affinity: Box<[PodAffinityTerm]>,
    /// Required pod anti-affinity: none may be violated, by this pod or towards it.
    pub anti_affinity: Box<[PodAffinityTerm]>,
    /// Preferred pod affinity.
    pub preferred_affinity: Box<[Weighted<PodAffinityTerm>]>,
    /// Preferred pod anti-affinity.
    pub preferred_anti_affinity: Box<[Weighted<PodAffinityTerm>]>,
    /// Host ports, sorted.
    pub host_ports: Box<[HostPort]>,
    /// `spec.priority`.
    pub priority: i32,
    /// `spec.schedulerName`.
    pub scheduler: Name,
}

/// A preference and how much it counts (1 to 100).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Weighted<T> {
    /// 1 to 100.
    pub weight: i32,
    /// What is preferred.
    pub term: T,
}

/// How a toleration compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TolerationOperator {
    /// Key and value are equal.
    Equal,
    /// The key is equal, or empty for every taint.
    Exists,
}

/// A pod's toleration of taints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Toleration {
    /// The taint's key; empty with `Exists`: every taint.
    pub key: Name,
    /// How it compares.
    pub operator: TolerationOperator,
    /// The taint's value, for `Equal`.
    pub value: Name,
    /// The taint's effect; `None`: every effect.
    pub effect: Option<TaintEffect>,
}

impl Toleration {
    /// Whether this toleration covers that taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        if self.effect.is_some_and(|effect| effect != taint.effect) {
            return false;
        }
        match self.operator {
            TolerationOperator::Exists => self.key.is_empty() || self.key == taint.key,
            TolerationOperator::Equal => self.key == taint.key && self.value == taint.value,
        }
    }
}

/// What to do with a pod that a spread constraint leaves no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WhenUnsatisfiable {
    /// It stays pending.
    DoNotSchedule,
    /// It goes where it skews least.
    ScheduleAnyway,
}

/// Whether a spread constraint counts nodes that the pod could not run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeInclusion {
    /// Such nodes are not counted.
    Honor,
    /// They are.
    Ignore,
}

/// `spec.topologySpreadConstraints[]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopologySpread {
    /// The node label that makes the domains.
    pub topology_key: Name,
    /// How many more matching pods a domain may hold than the emptiest one.
    pub max_skew: u32,
    /// Fewer domains than this count as one with no pods; `None`: 1.
    pub min_domains: Option<u32>,
    /// Hard or soft.
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// Which pods (of the pod's own namespace) are counted; `matchLabelKeys` are merged in.
    pub selector: LabelSelector,
    /// `nodeAffinityPolicy`, default `Honor`.
    pub node_affinity_policy: NodeInclusion,
    /// `nodeTaintsPolicy`, default `Ignore`.
    pub node_taints_policy: NodeInclusion,
}

/// A term of pod affinity or anti-affinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodAffinityTerm {
    /// The node label that makes the domains.
    pub topology_key: Name,
    /// Which pods are meant; `matchLabelKeys` and `mismatchLabelKeys` are merged in.
    pub selector: LabelSelector,
    /// In these namespaces (the pod's own if the object names none and selects none); sorted.
    pub namespaces: Box<[Name]>,
    /// And in namespaces with such labels.
    pub namespace_selector: Option<LabelSelector>,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of the node that a pod takes for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// The address; `0.0.0.0` is every address.
    pub ip: Name,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Whether both cannot be on one node.
    pub fn conflicts(&self, other: &Self) -> bool {
        const EVERY: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || self.ip == EVERY || other.ip == EVERY)
    }
}

/// A DaemonSet: its pod takes room on every node that it runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonSet {
    /// Namespace and name.
    pub key: PodKey,
    /// `metadata.uid`.
    pub uid: Name,
    /// Its pod, with the tolerations that the DaemonSet controller adds.
    pub shape: Arc<PodShape>,
}

/// A PodDisruptionBudget as the disruption controller last computed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodDisruptionBudget {
    /// Namespace and name.
    pub key: PodKey,
    /// Which pods of its namespace it protects.
    pub selector: LabelSelector,
    /// `status.disruptionsAllowed`; `None` while the status is behind the spec (unknown is not
    /// zero, and not many either).
    pub disruptions_allowed: Option<i32>,
}

impl Pod {
    /// A pod that nobody made, that is bound to no node, and that kube-scheduler has found no place
    /// for since `created`.
    pub fn waiting(key: PodKey, uid: Name, shape: Arc<PodShape>, created: Timestamp) -> Self {
        Self {
            key,
            uid,
            shape,
            volume_claims: Box::default(),
            node: None,
            nominated_node: None,
            phase: PodPhase::Pending,
            unschedulable: true,
            created,
            started: None,
            deleted: None,
            owner: Owner::None,
            do_not_disrupt: DoNotDisrupt::Allowed,
            deletion_cost: 0,
            replace_first: false,
            gated: false,
            defect: None,
        }
    }

    /// Whether it is as good as another of this owner and shape.
    pub fn is_like(&self, owner: &Owner, shape: &Arc<PodShape>) -> bool {
        self.owner == *owner && self.shape == *shape
    }

    /// Whether it takes room on a node.
    pub fn is_alive(&self) -> bool {
        self.phase != PodPhase::Ended
    }

    /// Whether a node must be found for it: not bound, not ended, not going, not held back.
    pub fn needs_node(&self) -> bool {
        self.node.is_none() && self.is_alive() && self.deleted.is_none() && !self.gated
    }

    /// Whether it comes and goes with its node (DaemonSet and static pods).
    pub const fn belongs_to_node(&self) -> bool {
        matches!(self.owner, Owner::DaemonSet(_) | Owner::Node)
    }

    /// Whether its successor runs before it goes, so that no PodDisruptionBudget is asked.
    /// `irreplaceable` are the UIDs of pods that want it so and cannot have it.
    pub fn is_replaced_first(&self, irreplaceable: &BTreeSet<Name>) -> bool {
        self.replace_first && !irreplaceable.contains(&self.uid)
    }

    /// Whether its shape tolerates a taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.shape.tolerates(taint)
    }

    /// Whether it forbids at `now` that its node be disrupted.
    pub fn forbids_disruption(&self, now: Timestamp) -> bool {
        match self.do_not_disrupt {
            DoNotDisrupt::Allowed => false,
            DoNotDisrupt::Never => true,
            DoNotDisrupt::For(duration) => {
                self.started.is_none_or(|started| now < started + duration)
            }
        }
    }
}

impl PodShape {
    /// A pod of that namespace that asks for so much and goes anywhere, for `default-scheduler`.
    pub fn plain(namespace: Name, requests: Resources) -> Self {
        Self {
            namespace,
            labels: Labels::default(),
            requests,
            node_selector: Labels::default(),
            node_affinity: Box::default(),
            preferred_node_affinity: Box::default(),
            tolerations: Box::default(),
            topology_spread: Box::default(),
            affinity: Box::default(),
            anti_affinity: Box::default(),
            preferred_affinity: Box::default(),
            preferred_anti_affinity: Box::default(),
            host_ports: Box::default(),
            priority: 0,
            scheduler: DEFAULT_SCHEDULER.into(),
        }
    }

    /// Whether one of its tolerations covers that taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    }

    /// The first taint that keeps it off a node (`PreferNoSchedule` does not).
    pub fn first_untolerated<'a>(&self, taints: &'a [Taint]) -> Option<&'a Taint> {
        taints
            .iter()
            .filter(|taint| taint.effect != TaintEffect::PreferNoSchedule)
            .find(|taint| !self.tolerates(taint))
    }
}
