//! What a round of disruption may take: the pools' budgets, PodDisruptionBudgets, and no pod
//! without another place.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashSet;

use crate::model::{
    DisruptionReason, Name, NodeClaim, NodePool, Plan, Pod, PodKey, Removal, RemovalReason,
    Snapshot, well_known::condition,
};

use super::{Code, Findings, Violation};

/// What the snapshot does not say about budgets.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Budgets whose window is closed now: pool and index.
    pub closed_budgets: &'a BTreeSet<(Name, usize)>,
    /// The UIDs of claims whose removal has begun.
    pub under_way: &'a BTreeSet<Name>,
    /// The UIDs of pods that asked to be replaced before they go, and that cannot be.
    pub irreplaceable: &'a BTreeSet<Name>,
}

/// Checks what [`verify`](super::verify) cannot see of a plan that removes nodes: nothing, if it
/// may be carried out.
pub fn verify_disruption(snapshot: &Snapshot, limits: Limits<'_>, plan: &Plan) -> Vec<Violation> {
    let mut findings = Findings::default();
    let removed: Vec<(&Removal, &NodeClaim)> = plan
        .removals
        .iter()
        .filter_map(|removal| Some((removal, &**snapshot.claims.get(&removal.claim)?)))
        .collect();
    check_pools(snapshot, limits, &removed, &mut findings);
    check_pods(snapshot, limits, plan, &removed, &mut findings);
    findings.0
}

/// The reason as budgets name it; the others are no budget's concern.
fn budgeted(reason: RemovalReason) -> Option<DisruptionReason> {
    match reason {
        RemovalReason::Empty => Some(DisruptionReason::Empty),
        RemovalReason::Underutilized => Some(DisruptionReason::Underutilized),
        RemovalReason::Drifted => Some(DisruptionReason::Drifted),
        RemovalReason::Expired | RemovalReason::Unhealthy => None,
    }
}

fn check_pools(
    snapshot: &Snapshot,
    limits: Limits<'_>,
    removed: &[(&Removal, &NodeClaim)],
    findings: &mut Findings,
) {
    let mut wanted: BTreeMap<(&Name, DisruptionReason), u32> = BTreeMap::new();
    for (removal, claim) in removed {
        if let (Some(pool), Some(reason)) = (claim.pool(), budgeted(removal.reason)) {
            *wanted.entry((pool, reason)).or_default() += 1;
        }
    }
    let chosen: BTreeSet<&Name> = removed.iter().map(|(_, claim)| &claim.uid).collect();
    for ((name, reason), count) in wanted {
        let Some(pool) = snapshot.pools.get(name) else {
            findings.add(Code::DisruptionBudget, format!("NodePool {name} is not there"));
            continue;
        };
        let (mut nodes, mut away) = (0, 0);
        for claim in snapshot.claims.values().filter(|claim| claim.pool() == Some(name)) {
            if !claim.is(condition::INITIALIZED) || claim.is(condition::INSTANCE_TERMINATING) {
                continue;
            }
            nodes += 1;
            let up = snapshot.node_of_claim(claim).is_some_and(|state| state.node.ready);
            let begun = limits.under_way.contains(&claim.uid) && !chosen.contains(&claim.uid);
            if claim.deleted.is_some() || !up || begun {
                away += 1;
            }
        }
        let most = least_budget(pool, reason, nodes, limits);
        if most.is_some_and(|most| count + away > most) {
            let most = most.unwrap_or_default();
            let problem = format!(
                "{count} nodes of NodePool {name} would go and {away} are away: its budgets allow \
                 {most}"
            );
            findings.add(Code::DisruptionBudget, problem);
        }
    }
}

/// What the strictest budget allows that is active for the reason.
fn least_budget(
    pool: &NodePool,
    reason: DisruptionReason,
    nodes: u32,
    limits: Limits<'_>,
) -> Option<u32> {
    let mut least = None;
    for (index, budget) in pool.budgets.iter().enumerate() {
        let concerns = budget.reasons.is_empty() || budget.reasons.contains(&reason);
        let open = !limits.closed_budgets.contains(&(pool.name.clone(), index));
        if concerns && (budget.broken || open) {
            let most = if budget.broken { 0 } else { budget.nodes.of(nodes) };
            least = Some(least.map_or(most, |other: u32| other.min(most)));
        }
    }
    least
}

fn check_pods(
    snapshot: &Snapshot,
    limits: Limits<'_>,
    plan: &Plan,
    removed: &[(&Removal, &NodeClaim)],
    findings: &mut Findings,
) {
    let placed: HashSet<&Name> = plan.placements.iter().map(|one| &one.uid).collect();
    // For each PodDisruptionBudget, how many pods go from each node.
    let mut going: BTreeMap<&PodKey, BTreeMap<&Name, u32>> = BTreeMap::new();
    for (removal, claim) in removed {
        if budgeted(removal.reason).is_none() {
            continue;
        }
        let forced =
            removal.reason == RemovalReason::Drifted && claim.termination_grace_period.is_some();
        let Some(state) = snapshot.node_of_claim(claim) else { continue };
        for pod in state.pods.values().filter(|pod| needs_place(pod)) {
            if !placed.contains(&pod.uid) {
                let node = &state.node.name;
                let problem =
                    format!("node {node} goes and its pod {} has no other place", pod.key);
                findings.add(Code::RemovalLosesPod, problem);
            }
            // One whose successor runs first is not evicted.
            if !forced && !pod.is_replaced_first(limits.irreplaceable) {
                count_budgets(snapshot, pod, &state.node.name, &mut going, findings);
            }
        }
    }
    for (key, nodes) in going {
        let budget = snapshot.pod_disruption_budgets.get(key);
        let allowed = budget.and_then(|budget| budget.disruptions_allowed).unwrap_or(0);
        let pods: u32 = nodes.values().sum();
        // One node alone may hold more: its pods go one after the other.
        let too_many = i64::from(pods) > i64::from(allowed) && nodes.len() > 1;
        if allowed < 1 || too_many {
            findings.add(
                Code::PodDisruptionBudget,
                format!("{pods} pods go and PodDisruptionBudget {key} allows {allowed}"),
            );
        }
    }
}

fn needs_place(pod: &Pod) -> bool {
    pod.is_alive() && pod.deleted.is_none() && !pod.belongs_to_node()
}

fn count_budgets<'a>(
    snapshot: &'a Snapshot,
    pod: &Pod,
    node: &'a Name,
    going: &mut BTreeMap<&'a PodKey, BTreeMap<&'a Name, u32>>,
    findings: &mut Findings,
) {
    let mine = snapshot.pod_disruption_budgets.values().filter(|budget| {
        budget.key.namespace == pod.key.namespace && budget.selector.matches(&pod.shape.labels)
    });
    let mut count = 0;
    for budget in mine {
        count += 1;
        *going.entry(&budget.key).or_default().entry(node).or_default() += 1;
    }
    if count > 1 {
        let problem = format!("pod {} goes and {count} PodDisruptionBudgets protect it", pod.key);
        findings.add(Code::PodDisruptionBudget, problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelSelector, PodDisruptionBudget};
    use crate::testing::{
        bound, claim, cluster, exoscale_catalog, node_of_claim, percent, place_on_node, pod, pool,
        shape, type_of, up,
    };

    /// Nodes a, b, c of one pool with two pods each; `removed` go, and the pods of `placed` nodes
    /// have a place on c.
    fn found(
        budget: u32,
        allowed: &[i32],
        removed: &[&str],
        placed: &[&str],
        under_way: &[&str],
    ) -> Vec<Code> {
        let general = NodePool { budgets: percent(budget), ..pool("general") };
        let catalog = exoscale_catalog(&["z"]);
        let web = shape(100, 100).label("app", "web").build();
        let mut world = cluster().pool(general.clone(), catalog.clone());
        let mut plan = Plan::default();
        for name in ["a", "b", "c"] {
            let claim = up(claim(name, &general, type_of(&catalog, "standard.large")));
            world = world.node(node_of_claim(&claim)).claim(claim);
            for index in 0..2 {
                let pod = bound(pod(&format!("{name}-{index}"), &web), name);
                if placed.contains(&name) {
                    plan.placements.push(place_on_node(&pod, "c"));
                }
                world = world.pod(pod);
            }
        }
        for (index, allowed) in allowed.iter().enumerate() {
            world = world.pod_disruption_budget(PodDisruptionBudget {
                key: PodKey { namespace: "default".into(), name: format!("pdb-{index}").into() },
                selector: LabelSelector::match_labels(&web.labels),
                disruptions_allowed: Some(*allowed),
            });
        }
        plan.removals.extend(removed.iter().map(|name| Removal {
            claim: (*name).into(),
            claim_uid: format!("uid-{name}").into(),
            node: Some((*name).into()),
            reason: RemovalReason::Underutilized,
            explanation: "a test".to_owned(),
        }));
        let under_way = under_way.iter().map(|name| format!("uid-{name}").into()).collect();
        let none = BTreeSet::new();
        let limits = Limits {
            closed_budgets: &BTreeSet::new(),
            under_way: &under_way,
            irreplaceable: &none,
        };
        let violations = verify_disruption(&world.snapshot(), limits, &plan);
        violations.into_iter().map(|violation| violation.code).collect()
    }

    #[test]
    fn no_more_nodes_go_than_the_budget_allows() {
        assert_eq!(found(34, &[], &["a", "b"], &["a", "b"], &[]), []);
        assert_eq!(found(33, &[], &["a", "b"], &["a", "b"], &[]), [Code::DisruptionBudget]);
        assert_eq!(found(34, &[], &["a", "b"], &["a", "b"], &["a", "b"]), []);
        assert_eq!(found(34, &[], &["a", "b"], &["a", "b"], &["c"]), [Code::DisruptionBudget]);
        assert_eq!(found(0, &[], &["a"], &["a"], &[]), [Code::DisruptionBudget]);
    }

    #[test]
    fn every_pod_of_a_node_that_goes_has_another_place() {
        let lost = [Code::RemovalLosesPod, Code::RemovalLosesPod];
        assert_eq!(found(100, &[], &["a"], &[], &[]), lost);
    }

    #[test]
    fn no_more_pods_go_than_their_budget_allows_unless_from_one_node() {
        let broken = [Code::PodDisruptionBudget];
        assert_eq!(found(100, &[4], &["a", "b"], &["a", "b"], &[]), []);
        assert_eq!(found(100, &[3], &["a", "b"], &["a", "b"], &[]), broken);
        assert_eq!(found(100, &[1], &["a"], &["a"], &[]), []);
        assert_eq!(found(100, &[0], &["a"], &["a"], &[]), broken);
        let twice = [Code::PodDisruptionBudget, Code::PodDisruptionBudget];
        assert_eq!(found(100, &[9, 9], &["a"], &["a"], &[]), twice);
    }
}
