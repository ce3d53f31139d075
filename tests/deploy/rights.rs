//! What the service accounts may do.

use anyhow::Result;
use berth_controlplane::ControlPlane;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::NAMESPACE;

const ANY: &str = "default";

/// Verbs on a resource (`group/resource/subresource`, the core group is empty) in a namespace,
/// and the name, if it matters.
type Right = (&'static [&'static str], &'static str, &'static str, &'static str);

/// What the daemon does.
const NEEDED: &[Right] = &[
    (&["get", "list", "watch"], "/pods", "", ""),
    (&["get", "list", "watch"], "/nodes", "", ""),
    (&["get", "list", "watch"], "/namespaces", "", ""),
    (&["get", "list", "watch"], "/persistentvolumeclaims", "", ""),
    (&["get", "list", "watch"], "/persistentvolumes", "", ""),
    (&["get", "list", "watch"], "storage.k8s.io/storageclasses", "", ""),
    (&["get", "list", "watch"], "storage.k8s.io/csinodes", "", ""),
    (&["get", "list", "watch"], "storage.k8s.io/volumeattachments", "", ""),
    (&["get", "list", "watch"], "apps/daemonsets", "", ""),
    (&["get", "list", "watch"], "policy/poddisruptionbudgets", "", ""),
    (&["get", "list", "watch"], "karpenter.sh/nodepools", "", ""),
    (&["get", "list", "watch", "create", "patch", "delete"], "karpenter.sh/nodeclaims", "", ""),
    (&["patch"], "karpenter.sh/nodeclaims/status", "", ""),
    (&["get", "list", "watch"], "autoscaling.x-k8s.io/capacitybuffers", "", ""),
    (&["patch"], "autoscaling.x-k8s.io/capacitybuffers/status", ANY, ""),
    (&["get", "list", "watch"], "/podtemplates", "", ""),
    (&["get", "list", "watch"], "apps/deployments", "", ""),
    (&["get", "list", "watch"], "apps/statefulsets", "", ""),
    (&["get", "list", "watch"], "apps/replicasets", "", ""),
    (&["patch"], "karpenter.sh/nodepools/status", "", ""),
    (&["update"], "karpenter.sh/nodeclaims/finalizers", "", ""),
    (&["create", "patch", "delete"], "/nodes", "", ""),
    (&["create", "get", "list", "patch", "delete"], "/configmaps", NAMESPACE, ""),
    (&["get"], "karpenter.kwok.sh/kwoknodeclasses", "", ""),
    (&["create"], "/pods/eviction", ANY, ""),
    (&["delete"], "/pods", ANY, ""),
    (&["patch"], "/pods/status", ANY, ""),
    (&["create", "patch"], "events.k8s.io/events", ANY, ""),
    (&["create"], "coordination.k8s.io/leases", NAMESPACE, ""),
    (&["get", "update"], "coordination.k8s.io/leases", NAMESPACE, "berth"),
    (&["get", "update"], "coordination.k8s.io/leases", NAMESPACE, "berth-scheduler"),
];

/// What kube-scheduler does and the daemon does not.
const SCHEDULER: &[Right] = &[
    (&["create"], "/pods/binding", ANY, ""),
    (&["update", "patch"], "/persistentvolumeclaims", ANY, ""),
    (&["get", "update"], "coordination.k8s.io/leases", NAMESPACE, "berth-scheduler"),
];

/// What would make it worth stealing.
const WITHHELD: &[Right] = &[
    (&["get", "list", "watch", "create", "update", "patch", "delete"], "/secrets", ANY, ""),
    (&["get", "list"], "/secrets", "kube-system", ""),
    (&["get", "list", "create", "update"], "/configmaps", ANY, ""),
    (&["create", "update", "patch"], "/pods", ANY, ""),
    (&["create", "get"], "/pods/exec", ANY, ""),
    (&["create", "get"], "/pods/portforward", ANY, ""),
    (&["create", "get"], "/nodes/proxy", "", ""),
    (&["update", "deletecollection"], "/nodes", "", ""),
    (&["patch", "update"], "/nodes/status", "", ""),
    (&["create"], "/serviceaccounts/token", NAMESPACE, ""),
    (&["impersonate"], "/users", "", ""),
    (&["impersonate"], "/groups", "", ""),
    (&["impersonate"], "/serviceaccounts", "kube-system", ""),
    (&["bind", "escalate", "create", "update"], "rbac.authorization.k8s.io/clusterroles", "", ""),
    (&["create"], "rbac.authorization.k8s.io/clusterrolebindings", "", ""),
    (&["create", "update", "patch", "delete"], "apps/deployments", ANY, ""),
    (&["create", "update", "patch", "delete"], "apps/daemonsets", ANY, ""),
    // kube-scheduler beside it updates them, to bind volumes.
    (&["create", "delete"], "/persistentvolumeclaims", ANY, ""),
    (&["create", "delete"], "/persistentvolumes", "", ""),
    (&["create", "update", "patch", "delete"], "policy/poddisruptionbudgets", ANY, ""),
    (&["create", "update", "patch", "delete"], "karpenter.sh/nodepools", "", ""),
    (&["create", "update", "patch", "delete"], "autoscaling.x-k8s.io/capacitybuffers", ANY, ""),
    (&["update", "deletecollection"], "karpenter.sh/nodeclaims", "", ""),
    (&["create", "update", "delete"], "/namespaces", "", ""),
    (&["create", "update"], "apiextensions.k8s.io/customresourcedefinitions", "", ""),
    (&["get", "update", "delete"], "coordination.k8s.io/leases", NAMESPACE, "another"),
    (&["update", "delete"], "coordination.k8s.io/leases", "kube-node-lease", ""),
];

/// Asks the API server about every right in the tables.
pub(super) async fn are_what_is_needed_and_no_more(plane: &ControlPlane) -> Result<()> {
    assert_rights(plane, "berth", &[(NEEDED, true), (WITHHELD, false)]).await
}

/// The same where kube-scheduler has an account of its own: what only it needs is not the
/// daemon's.
pub(super) async fn are_apart(plane: &ControlPlane) -> Result<()> {
    let of_the_scheduler = |right: &&Right| right.3 == "berth-scheduler";
    let needed: Vec<Right> =
        NEEDED.iter().filter(|right| !of_the_scheduler(right)).copied().collect();
    let daemon = [(&needed[..], true), (WITHHELD, false), (SCHEDULER, false)];
    assert_rights(plane, "berth", &daemon).await?;
    let daemons: [Right; 5] = [
        (&["create", "patch", "delete"], "karpenter.sh/nodeclaims", "", ""),
        (&["create", "patch"], "/nodes", "", ""),
        (&["create"], "/pods/eviction", ANY, ""),
        (&["get", "list"], "/secrets", NAMESPACE, ""),
        (&["create", "patch"], "/configmaps", NAMESPACE, ""),
    ];
    assert_rights(plane, "berth-scheduler", &[(SCHEDULER, true), (&daemons, false)]).await
}

async fn assert_rights(
    plane: &ControlPlane,
    account: &str,
    tables: &[(&[Right], bool)],
) -> Result<()> {
    let mut wrong = Vec::new();
    for &(table, expected) in tables {
        for (verbs, resource, namespace, name) in table {
            for verb in *verbs {
                if may(plane, account, verb, resource, namespace, name).await? != expected {
                    let not = if expected { "not " } else { "" };
                    wrong.push(format!(
                        "{account} is {not}allowed: {verb} {resource} {namespace} {name}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

async fn may(
    plane: &ControlPlane,
    account: &str,
    verb: &str,
    resource: &str,
    namespace: &str,
    name: &str,
) -> Result<bool> {
    let mut parts = resource.split('/').map(str::to_owned);
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{NAMESPACE}:{account}")),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{NAMESPACE}"),
                "system:authenticated".to_owned(),
            ]),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: parts.next(),
                resource: parts.next(),
                subresource: parts.next(),
                namespace: text(namespace),
                name: text(name),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(plane.client());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
