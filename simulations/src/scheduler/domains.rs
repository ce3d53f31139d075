use std::collections::BTreeMap;

use berth_solver::model::{
    LabelSelector, Labels, Name, Node, NodeInclusion, NodeState, Pod, PodAffinityTerm, PodShape,
    Snapshot, TaintEffect, TopologySpread,
};

/// Whether a pod's node selector and required node affinity allow a node.
pub(super) fn node_affinity_allows(shape: &PodShape, node: &Node) -> bool {
    let selected =
        shape.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
    selected
        && (shape.node_affinity.is_empty()
            || shape.node_affinity.iter().any(|term| term.allow(&node.labels)))
}

/// Whether a pod of this shape and namespace is what a term of pod affinity means.
pub(super) fn term_means(term: &PodAffinityTerm, shape: &PodShape, cluster: &Snapshot) -> bool {
    let named = term.namespaces.contains(&shape.namespace);
    let selected = || {
        term.namespace_selector.as_ref().is_some_and(|selector| {
            let labels = cluster.namespaces.get(&shape.namespace);
            selector.matches(labels.unwrap_or(&Labels::default()))
        })
    };
    (named || selected()) && term.selector.matches(&shape.labels)
}

/// How many pods that `counts` says yes to are in each domain of a topology key.
pub(super) fn pods_by_domain(
    cluster: &Snapshot,
    topology_key: &str,
    counts: impl Fn(&Pod) -> bool,
) -> BTreeMap<Name, i64> {
    let mut domains = BTreeMap::new();
    for state in cluster.nodes.values() {
        if let Some(domain) = state.node.label(topology_key) {
            let matching = state.pods.values().filter(|pod| counts(pod)).count();
            if matching > 0 {
                *domains.entry(domain.clone()).or_default() += i64::try_from(matching).unwrap_or(0);
            }
        }
    }
    domains
}

/// A spread constraint, counted for one pod.
pub(super) struct Spread<'a> {
    constraint: &'a TopologySpread,
    domains: BTreeMap<Name, i64>,
    /// Pods in the emptiest domain.
    fewest: i64,
    /// Whether the pod itself counts.
    counts_itself: i64,
}

impl<'a> Spread<'a> {
    pub(super) fn new(
        constraint: &'a TopologySpread,
        shape: &PodShape,
        cluster: &Snapshot,
        all_keys: &[&Name],
    ) -> Self {
        let mut domains: BTreeMap<Name, i64> = BTreeMap::new();
        for state in cluster.nodes.values() {
            if !included(constraint, shape, state, all_keys) {
                continue;
            }
            if let Some(domain) = state.node.label(&constraint.topology_key) {
                let matching = state
                    .pods
                    .values()
                    .filter(|pod| counts(&constraint.selector, &shape.namespace, pod))
                    .count();
                *domains.entry(domain.clone()).or_default() += i64::try_from(matching).unwrap_or(0);
            }
        }
        let too_few = constraint.min_domains.is_some_and(|min| domains.len() < min as usize);
        let fewest = if too_few { 0 } else { domains.values().copied().min().unwrap_or(0) };
        let counts_itself = i64::from(constraint.selector.matches(&shape.labels));
        Self { constraint, domains, fewest, counts_itself }
    }

    /// Whether a node may take the pod.
    pub(super) fn allows(&self, node: &Node) -> bool {
        node.label(&self.constraint.topology_key).is_some_and(|domain| {
            let there = self.domains.get(domain).copied().unwrap_or(0);
            there + self.counts_itself - self.fewest <= i64::from(self.constraint.max_skew)
        })
    }

    /// How many pods are in the node's domain.
    pub(super) fn pods_near(&self, node: &Node) -> i64 {
        let domain = node.label(&self.constraint.topology_key);
        domain.and_then(|domain| self.domains.get(domain)).copied().unwrap_or(0)
    }
}

fn counts(selector: &LabelSelector, namespace: &Name, pod: &Pod) -> bool {
    pod.deleted.is_none()
        && pod.shape.namespace == *namespace
        && selector.matches(&pod.shape.labels)
}

fn included(
    constraint: &TopologySpread,
    shape: &PodShape,
    state: &NodeState,
    all_keys: &[&Name],
) -> bool {
    let node = &state.node;
    let affinity = constraint.node_affinity_policy == NodeInclusion::Ignore
        || node_affinity_allows(shape, node);
    let taints = constraint.node_taints_policy == NodeInclusion::Ignore
        || node
            .taints
            .iter()
            .filter(|taint| taint.effect != TaintEffect::PreferNoSchedule)
            .all(|taint| shape.tolerates(taint));
    affinity && taints && all_keys.iter().all(|key| node.label(key).is_some())
}
