//! kube-scheduler's default filters, as far as they decide where pods may go.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_solver::constraints::resources;
use berth_solver::model::{
    HostPort, Name, Node, NodeState, Pod, PodAffinityTerm, PodKey, PodShape, Snapshot,
    WhenUnsatisfiable, well_known,
};

use super::domains::{Spread, node_affinity_allows, pods_by_domain, term_means};

/// The nodes that may take a pod, by name.
pub(super) fn feasible(
    pod: &Pod,
    cluster: &Snapshot,
    repelling: &BTreeMap<PodKey, (Name, Arc<PodShape>)>,
) -> Vec<Name> {
    let shape = &*pod.shape;
    let spreads = hard_spreads(shape, cluster);
    let affinity = Affinity::new(shape, cluster, repelling);
    cluster
        .nodes
        .values()
        .filter(|state| {
            fits_alone(shape, state)
                && spreads.iter().all(|spread| spread.allows(&state.node))
                && affinity.allows(&state.node)
        })
        .map(|state| state.node.name.clone())
        .collect()
}

/// NodeUnschedulable, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit.
fn fits_alone(shape: &PodShape, state: &NodeState) -> bool {
    let node = &state.node;
    (!node.unschedulable || tolerates_cordon(shape))
        && shape.first_untolerated(&node.taints).is_none()
        && resources::fits_on(&shape.requests, state)
        && node_affinity_allows(shape, node)
        && ports_are_free(&shape.host_ports, state)
}

fn tolerates_cordon(shape: &PodShape) -> bool {
    shape.tolerates(&berth_solver::model::Taint {
        key: well_known::UNSCHEDULABLE_TAINT.into(),
        value: Name::default(),
        effect: berth_solver::model::TaintEffect::NoSchedule,
    })
}

fn ports_are_free(wanted: &[HostPort], state: &NodeState) -> bool {
    wanted.is_empty()
        || !state.pods.values().any(|other| {
            other
                .shape
                .host_ports
                .iter()
                .any(|taken| wanted.iter().any(|port| port.conflicts(taken)))
        })
}

fn hard_spreads<'a>(shape: &'a PodShape, cluster: &Snapshot) -> Vec<Spread<'a>> {
    let hard: Vec<_> = shape
        .topology_spread
        .iter()
        .filter(|constraint| constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
        .collect();
    let keys: Vec<&Name> = hard.iter().map(|constraint| &constraint.topology_key).collect();
    hard.iter().map(|constraint| Spread::new(constraint, shape, cluster, &keys)).collect()
}

/// InterPodAffinity.
struct Affinity<'a> {
    /// Each required term and, by domain, the pods that are meant by all terms.
    near: Vec<(&'a PodAffinityTerm, BTreeMap<Name, i64>)>,
    /// Nobody is there yet, but the pod itself is what its terms ask for.
    first_of_its_kind: bool,
    /// Domains that the pod itself avoids, by topology key.
    avoids: Vec<(&'a PodAffinityTerm, BTreeMap<Name, i64>)>,
    /// Domains (topology key and value) that bound pods keep this one out of.
    kept_out: Vec<(Name, Name)>,
}

impl<'a> Affinity<'a> {
    fn new(
        shape: &'a PodShape,
        cluster: &Snapshot,
        repelling: &BTreeMap<PodKey, (Name, Arc<PodShape>)>,
    ) -> Self {
        let all_mean =
            |other: &PodShape| shape.affinity.iter().all(|term| term_means(term, other, cluster));
        let near: Vec<_> = shape
            .affinity
            .iter()
            .map(|term| {
                (term, pods_by_domain(cluster, &term.topology_key, |pod| all_mean(&pod.shape)))
            })
            .collect();
        let nobody = near.iter().all(|(_, domains)| domains.is_empty());
        let avoids = shape
            .anti_affinity
            .iter()
            .map(|term| {
                let meant = |pod: &Pod| term_means(term, &pod.shape, cluster);
                (term, pods_by_domain(cluster, &term.topology_key, meant))
            })
            .collect();
        let mut kept_out: Vec<(Name, Name)> = repelling
            .values()
            .flat_map(|(node, other)| other.anti_affinity.iter().map(move |term| (node, term)))
            .filter(|(_, term)| term_means(term, shape, cluster))
            .filter_map(|(node, term)| {
                let domain = cluster.nodes.get(node)?.node.label(&term.topology_key)?;
                Some((term.topology_key.clone(), domain.clone()))
            })
            .collect();
        kept_out.sort_unstable();
        kept_out.dedup();
        Self { first_of_its_kind: nobody && all_mean(shape), near, avoids, kept_out }
    }

    fn allows(&self, node: &Node) -> bool {
        let near = self.near.iter().all(|(term, domains)| {
            node.label(&term.topology_key)
                .is_some_and(|domain| self.first_of_its_kind || domains.contains_key(domain))
        });
        let apart = self.avoids.iter().all(|(term, domains)| {
            node.label(&term.topology_key).is_none_or(|domain| !domains.contains_key(domain))
        });
        let let_in = self.kept_out.iter().all(|(key, domain)| node.label(key) != Some(domain));
        near && apart && let_in
    }
}
