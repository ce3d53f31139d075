//! Only what is there, and may go, is removed.

use std::collections::BTreeSet;

use crate::model::{NodeState, Owner, Plan, Removal, RemovalReason, Snapshot, Timestamp};

use super::{Code, Findings};

pub(super) fn check(snapshot: &Snapshot, plan: &Plan, findings: &mut Findings) {
    let mut removed = BTreeSet::new();
    for removal in &plan.removals {
        if !removed.insert(&removal.claim) {
            let problem = format!("NodeClaim {} is removed twice", removal.claim);
            findings.add(Code::RemovalTwice, problem);
        }
        check_removal(snapshot, removal, plan.made_at, findings);
    }
}

fn check_removal(snapshot: &Snapshot, removal: &Removal, now: Timestamp, findings: &mut Findings) {
    let name = &removal.claim;
    let mut unknown =
        |problem: String| findings.add(Code::RemovalUnknown, format!("NodeClaim {name} {problem}"));
    let Some(claim) = snapshot.claims.get(name) else {
        unknown("is not there".to_owned());
        return;
    };
    if claim.uid != removal.claim_uid {
        unknown(format!("has UID {} now, not {}", claim.uid, removal.claim_uid));
    }
    if claim.deleted.is_some() {
        unknown("is being deleted already".to_owned());
    }
    let state = snapshot.node_of_claim(claim);
    let node = state.map(|state| &state.node.name);
    if let Some(said) = removal.node.as_ref().filter(|said| node != Some(*said)) {
        unknown(format!("is not that of node {said}"));
    }
    if let Some(state) = state {
        let has_grace_period = claim.termination_grace_period.is_some();
        check_node(state, removal, has_grace_period, now, findings);
    }
}

fn check_node(
    state: &NodeState,
    removal: &Removal,
    has_grace_period: bool,
    now: Timestamp,
    findings: &mut Findings,
) {
    let node = &state.node.name;
    if removal.reason == RemovalReason::Empty {
        let other = state
            .pods
            .values()
            .find(|pod| pod.is_alive() && pod.deleted.is_none() && !pod.belongs_to_node());
        if let Some(pod) = other {
            findings.add(
                Code::RemovalNotEmpty,
                format!("node {node} is removed as empty and has pod {}", pod.key),
            );
        }
    }
    let voluntary = matches!(
        removal.reason,
        RemovalReason::Empty | RemovalReason::Underutilized | RemovalReason::Drifted
    );
    if !voluntary {
        return;
    }
    if state.node.do_not_disrupt {
        let problem = format!("node {node} is marked do-not-disrupt");
        findings.add(Code::RemovalForbidden, problem);
    }
    // What has to go within a grace period goes whatever its pods say (Karpenter does the same).
    if removal.reason == RemovalReason::Drifted && has_grace_period {
        return;
    }
    let forbids = state.pods.values().find(|pod| {
        pod.is_alive()
            && pod.deleted.is_none()
            && pod.owner != Owner::Node
            && pod.forbids_disruption(now)
    });
    if let Some(pod) = forbids {
        findings.add(
            Code::RemovalForbidden,
            format!("pod {} forbids that node {node} be disrupted", pod.key),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::model::{
        DoNotDisrupt, Node, NodeClaim, Owner, Plan, Pod, Removal, RemovalReason, Timestamp,
        well_known::condition,
    };
    use crate::testing::{
        bound, claim, claim_with_condition, cluster, exoscale_catalog, node_of_claim, pod, pool,
        shape, type_of,
    };
    use crate::verify::Code;
    use crate::verify::testing::codes;

    fn up() -> NodeClaim {
        let catalog = exoscale_catalog(&["z"]);
        let claim = claim("general-1", &pool("general"), type_of(&catalog, "standard.small"));
        [condition::LAUNCHED, condition::REGISTERED, condition::INITIALIZED]
            .into_iter()
            .fold(claim, claim_with_condition)
    }

    fn removal(reason: RemovalReason) -> Removal {
        Removal {
            claim: "general-1".into(),
            claim_uid: "uid-general-1".into(),
            node: Some("general-1".into()),
            reason,
            explanation: "a test".to_owned(),
        }
    }

    fn found(claim: NodeClaim, node: Node, pods: Vec<Pod>, removal: Removal) -> Vec<Code> {
        let snapshot = cluster().claim(claim).node(node).pods(pods).snapshot();
        let plan = Plan {
            made_at: Timestamp::from_seconds(100),
            removals: vec![removal],
            ..Plan::default()
        };
        codes(&snapshot, &plan)
    }

    fn with_pods(pods: Vec<Pod>, reason: RemovalReason) -> Vec<Code> {
        found(up(), node_of_claim(&up()), pods, removal(reason))
    }

    fn on_it(name: &str) -> Pod {
        bound(pod(name, &shape(100, 100).build()), "general-1")
    }

    #[test]
    fn an_empty_node_may_go() {
        let daemon = Pod { owner: Owner::DaemonSet("logs".into()), ..on_it("daemon") };
        let going = Pod { deleted: Some(Timestamp::default()), ..on_it("going") };
        assert_eq!(with_pods(vec![daemon, going], RemovalReason::Empty), []);
        assert_eq!(with_pods(vec![on_it("p")], RemovalReason::Empty), [Code::RemovalNotEmpty]);
        assert_eq!(with_pods(vec![on_it("p")], RemovalReason::Underutilized), []);
    }

    #[test]
    fn the_claim_must_be_there_and_that_one() {
        let old = Removal { claim_uid: "old".into(), ..removal(RemovalReason::Empty) };
        assert_eq!(found(up(), node_of_claim(&up()), vec![], old), [Code::RemovalUnknown]);
        let other = Removal { claim: "other".into(), ..removal(RemovalReason::Empty) };
        assert_eq!(found(up(), node_of_claim(&up()), vec![], other), [Code::RemovalUnknown]);
        let wrong = Removal { node: Some("other".into()), ..removal(RemovalReason::Empty) };
        assert_eq!(found(up(), node_of_claim(&up()), vec![], wrong), [Code::RemovalUnknown]);
        let going = NodeClaim { deleted: Some(Timestamp::default()), ..up() };
        let again = removal(RemovalReason::Empty);
        assert_eq!(found(going, node_of_claim(&up()), vec![], again), [Code::RemovalUnknown]);
    }

    #[test]
    fn a_claim_is_removed_once() {
        let snapshot = cluster().claim(up()).node(node_of_claim(&up())).snapshot();
        let twice = vec![removal(RemovalReason::Empty), removal(RemovalReason::Drifted)];
        let plan = Plan { removals: twice, ..Plan::default() };
        assert_eq!(codes(&snapshot, &plan), [Code::RemovalTwice]);
    }

    #[test]
    fn do_not_disrupt_holds_unless_the_node_must_go() {
        let pinned = Node { do_not_disrupt: true, ..node_of_claim(&up()) };
        let drifted = removal(RemovalReason::Drifted);
        assert_eq!(found(up(), pinned.clone(), vec![], drifted), [Code::RemovalForbidden]);
        assert_eq!(found(up(), pinned, vec![], removal(RemovalReason::Unhealthy)), []);
        let never = Pod { do_not_disrupt: DoNotDisrupt::Never, ..on_it("p") };
        let code = [Code::RemovalForbidden];
        assert_eq!(with_pods(vec![never], RemovalReason::Underutilized), code);
        let lasting = |seconds| Pod {
            do_not_disrupt: DoNotDisrupt::For(Duration::from_secs(seconds)),
            ..on_it("p")
        };
        assert_eq!(with_pods(vec![lasting(100)], RemovalReason::Underutilized), []);
        assert_eq!(with_pods(vec![lasting(101)], RemovalReason::Underutilized), code);
    }
}
