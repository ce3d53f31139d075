use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;

use super::figures::{Figures, NodeFigures};
use super::links::Links;
use super::resident::Resident;
use crate::model::{
    Buffer, Catalog, CsiNode, DaemonSet, Labels, Name, Node, NodeClaim, NodePool, Pod,
    PodDisruptionBudget, PodKey, Resources, StorageClass, Target, Volume, VolumeAttachment,
    VolumeClaim,
};

/// A node and what runs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    /// The node.
    pub node: Arc<Node>,
    /// The pods bound to it that take room (terminating ones too), by namespace and name.
    pub pods: BTreeMap<PodKey, Resident>,
    /// What those pods take together.
    pub used: Resources,
}

impl NodeState {
    /// What is left for pods; negative where the node is overcommitted.
    pub fn free(&self) -> Resources {
        &self.node.allocatable - &self.used
    }
}

/// An immutable picture of the cluster, taken from a [`ClusterState`](super::ClusterState).
/// Cloning it copies a few pointers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Grows with every change.
    pub generation: u64,
    /// All nodes, by name.
    pub nodes: OrdMap<Name, Arc<NodeState>>,
    /// All pods that have not ended, by namespace and name.
    pub pods: OrdMap<PodKey, Arc<Pod>>,
    /// Those of them that no node was found for yet.
    pub unbound: OrdMap<PodKey, Arc<Pod>>,
    /// All NodeClaims, by name.
    pub claims: OrdMap<Name, Arc<NodeClaim>>,
    /// All NodePools, by name.
    pub pools: OrdMap<Name, Arc<NodePool>>,
    /// What each NodePool's cloud sells, by the pool's name. A pool without a catalog is one of
    /// which nothing is known yet: nothing may be launched for it.
    pub catalogs: OrdMap<Name, Arc<Catalog>>,
    /// All DaemonSets, by namespace and name.
    pub daemon_sets: OrdMap<PodKey, Arc<DaemonSet>>,
    /// Labels of all namespaces, by name.
    pub namespaces: OrdMap<Name, Labels>,
    /// All PodDisruptionBudgets, by namespace and name.
    pub pod_disruption_budgets: OrdMap<PodKey, Arc<PodDisruptionBudget>>,
    /// All PersistentVolumeClaims, by namespace and name.
    pub volume_claims: OrdMap<PodKey, Arc<VolumeClaim>>,
    /// All PersistentVolumes, by name.
    pub volumes: OrdMap<Name, Arc<Volume>>,
    /// All StorageClasses, by name.
    pub storage_classes: OrdMap<Name, Arc<StorageClass>>,
    /// All CSINodes, by the node's name.
    pub csi_nodes: OrdMap<Name, Arc<CsiNode>>,
    /// All VolumeAttachments, by name.
    pub volume_attachments: OrdMap<Name, Arc<VolumeAttachment>>,
    /// Room to keep free, by namespace and name.
    pub buffers: OrdMap<PodKey, Arc<Buffer>>,
    /// Who belongs to whom.
    pub(super) links: Links,
    /// What scoring wants to know of each node.
    pub(super) figures: Figures,
}

impl Snapshot {
    /// The claim whose node this is: by `status.nodeName`, or by provider ID.
    ///
    /// A node of the name that a claim says, but with another provider ID, is another machine.
    pub fn claim_of_node(&self, node: &Node) -> Option<&Arc<NodeClaim>> {
        let by_name = self.links.claims_of_node(&node.name);
        let by_provider = node.provider_id.iter().flat_map(|id| self.links.claims_of_provider(id));
        by_name
            .chain(by_provider)
            .filter_map(|name| self.claims.get(name))
            .find(|claim| !contradict(node, claim))
    }

    /// Whether kube-scheduler has evicted pods to make room for this one on a node that is there,
    /// and they are still going: it will go there, and nothing has to be planned for it.
    ///
    /// A nomination alone says less: Berth nominates pods too, and one that leads nowhere stays.
    pub fn is_nominated(&self, pod: &Pod) -> bool {
        let node = pod.nominated_node.as_ref().and_then(|node| self.nodes.get(node));
        node.is_some_and(|state| state.pods.values().any(|pod| pod.deleted.is_some()))
    }

    /// What scoring wants to know of a node, and a number below [`Snapshot::numbers_of_nodes`],
    /// which no other node of this snapshot has.
    pub fn figures_of_node(&self, name: &str) -> Option<(usize, &NodeFigures)> {
        self.figures.get(name)
    }

    /// The node of that number.
    pub fn numbered_node(&self, number: usize) -> Option<&Arc<NodeState>> {
        self.figures.state(number)
    }

    /// All nodes' numbers are below: a little more than there are nodes.
    pub fn numbers_of_nodes(&self) -> usize {
        self.figures.numbers()
    }

    /// The nodes of which something says that they go: their taint, their deletion, or that of a
    /// claim that names them. Found without a walk over all nodes; a node may come twice.
    pub fn nodes_said_to_leave(&self) -> impl Iterator<Item = &Arc<NodeState>> {
        let claims = self.links.leaving_claims().filter_map(|name| self.claims.get(name));
        let of_claims = claims.flat_map(|claim| {
            let of_provider = claim.provider_id.iter();
            let of_provider = of_provider.flat_map(|id| self.links.nodes_of_provider(id));
            claim.node_name.iter().chain(of_provider)
        });
        self.links.leaving_nodes().chain(of_claims).filter_map(|name| self.nodes.get(name))
    }

    /// The node of a claim, if it has joined.
    pub fn node_of_claim(&self, claim: &NodeClaim) -> Option<&Arc<NodeState>> {
        let by_provider = claim.provider_id.iter().flat_map(|id| self.links.nodes_of_provider(id));
        match &claim.node_name {
            Some(name) => self.nodes.get(name).filter(|state| !contradict(&state.node, claim)),
            None => by_provider.filter_map(|name| self.nodes.get(name)).next(),
        }
    }

    /// The node that a target means, if it is there.
    pub fn node_of_target(&self, target: &Target) -> Option<&Arc<NodeState>> {
        match target {
            Target::Node(name) => self.nodes.get(name),
            Target::Claim(name) => self.node_of_claim(self.claims.get(name)?),
        }
    }
}

/// Whether node and claim name different machines.
fn contradict(node: &Node, claim: &NodeClaim) -> bool {
    node.provider_id.is_some()
        && claim.provider_id.is_some()
        && node.provider_id != claim.provider_id
}
