//! Whose an instance is: the labels that say so.
//!
//! Every cluster of an organisation sees the instances of all others. Two labels tell whose one is:
//! the cluster's id and the NodeClaim's UID. Instances of the existing provider have the first, and
//! the claim's name in place of its UID.

use std::collections::BTreeMap;

use berth_solver::lifecycle::{ClaimRef, LaunchRequest};
use berth_solver::model::Name;

use crate::api::NodeClaim;
use crate::exoscale::compute::Instance;

/// Before an instance's id in `spec.providerID`.
pub const PROVIDER_SCHEME: &str = "exoscale://";
/// Who created an instance: `berth`, or `karpenter` for the existing provider's.
pub const MANAGED_BY_LABEL: &str = "exoscale.com/managed-by";
/// The id of the cluster that it is for.
pub const CLUSTER_LABEL: &str = "exoscale.com/cluster-id";
/// The name of its NodeClaim.
pub const CLAIM_LABEL: &str = "exoscale.com/node-claim";
/// The name of its NodePool.
pub const POOL_LABEL: &str = "exoscale.com/nodepool-name";
// The UID of its NodeClaim; on instances, bootstrap tokens and Nodes that Berth creates.
pub use berth_solver::model::well_known::CLAIM_UID_LABEL;
const MANAGER: &str = "berth";

/// The labels of the instance that is created for a claim.
pub fn labels(cluster_id: &str, request: &LaunchRequest) -> BTreeMap<String, String> {
    [
        (MANAGED_BY_LABEL, MANAGER),
        (CLUSTER_LABEL, cluster_id),
        (CLAIM_LABEL, &request.claim.name),
        (CLAIM_UID_LABEL, &request.claim.uid),
        (POOL_LABEL, &request.pool),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// What an instance's provider ID is.
pub fn provider_id(instance_id: &str) -> Name {
    format!("{PROVIDER_SCHEME}{instance_id}").into()
}

/// The instance's id in a provider ID; `None` if it is another cloud's.
pub fn instance_id(provider_id: &str) -> Option<&str> {
    provider_id.strip_prefix(PROVIDER_SCHEME).filter(|id| !id.is_empty())
}

/// The claim that Berth created an instance of this cluster for; `None` if it did not.
pub fn claim_of(cluster_id: &str, instance: &Instance) -> Option<ClaimRef> {
    let label = |key: &str| instance.labels.get(key).map(String::as_str);
    let ours = label(CLUSTER_LABEL) == Some(cluster_id) && label(MANAGED_BY_LABEL) == Some(MANAGER);
    let (name, uid) = (label(CLAIM_LABEL)?, label(CLAIM_UID_LABEL)?);
    (ours && !uid.is_empty()).then(|| ClaimRef { name: name.into(), uid: uid.into() })
}

/// The claim that an instance of this cluster is for: the one that Berth created it for, or, if the
/// existing provider created it, the one of `claims` that records it.
pub fn owner(cluster_id: &str, instance: &Instance, claims: &[NodeClaim]) -> Option<ClaimRef> {
    let recorded = || {
        let id = provider_id(&instance.id);
        let records = |claim: &&NodeClaim| {
            claim.status.as_ref().and_then(|status| status.provider_id.as_deref()) == Some(&*id)
        };
        let meta = &claims.iter().find(records)?.metadata;
        let claim =
            ClaimRef { name: meta.name.as_deref()?.into(), uid: meta.uid.as_deref()?.into() };
        belongs_to(cluster_id, instance, &claim).then_some(claim)
    };
    claim_of(cluster_id, instance).or_else(recorded)
}

/// Whether an instance may be deleted for a claim that records it as its own: Berth created it for
/// that very claim, or the existing provider did for a claim of that name in this cluster.
pub fn belongs_to(cluster_id: &str, instance: &Instance, claim: &ClaimRef) -> bool {
    let label = |key: &str| instance.labels.get(key).map(String::as_str);
    let named = label(CLAIM_LABEL) == Some(&*claim.name);
    let uid = label(CLAIM_UID_LABEL).is_none_or(|uid| uid == &*claim.uid);
    label(CLUSTER_LABEL) == Some(cluster_id) && named && uid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(labels: &[(&str, &str)]) -> Instance {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        serde_json::from_value(serde_json::json!({
            "id": "i", "state": "running", "labels": labels,
            "instance-type": { "id": "t" }, "template": { "id": "m" },
        }))
        .unwrap()
    }

    #[test]
    fn only_what_this_cluster_created_for_a_claim_counts_as_created_for_it() {
        let ours = [
            (MANAGED_BY_LABEL, "berth"),
            (CLUSTER_LABEL, "c1"),
            (CLAIM_LABEL, "general-a"),
            (CLAIM_UID_LABEL, "u1"),
        ];
        let claim = ClaimRef { name: "general-a".into(), uid: "u1".into() };
        let recreated = ClaimRef { uid: "u2".into(), ..claim.clone() };
        let found = instance(&ours);
        assert_eq!(claim_of("c1", &found), Some(claim.clone()));
        assert_eq!(claim_of("c2", &found), None, "another cluster's");
        assert!(belongs_to("c1", &found, &claim));
        assert!(!belongs_to("c1", &found, &recreated), "an older claim of that name had it");
        assert!(!belongs_to("c2", &found, &claim));

        let addon = instance(&[
            (MANAGED_BY_LABEL, "karpenter"),
            (CLUSTER_LABEL, "c1"),
            (CLAIM_LABEL, "general-a"),
        ]);
        assert_eq!(claim_of("c1", &addon), None, "the existing provider's is never collected");
        assert!(belongs_to("c1", &addon, &claim), "and goes with the claim that records it");
        assert!(!belongs_to("c1", &instance(&[]), &claim));

        let mut its = NodeClaim::default();
        its.metadata.name = Some("general-a".to_owned());
        its.metadata.uid = Some("u1".to_owned());
        assert_eq!(owner("c1", &addon, std::slice::from_ref(&its)), None, "no claim records it");
        its.status.get_or_insert_default().provider_id = Some("exoscale://i".to_owned());
        assert_eq!(owner("c1", &addon, std::slice::from_ref(&its)), Some(claim));
        assert_eq!(owner("c2", &addon, std::slice::from_ref(&its)), None, "another cluster's");
        its.metadata.name = Some("general-b".to_owned());
        assert_eq!(owner("c1", &addon, &[its]), None, "another claim's");
    }

    #[test]
    fn provider_ids_of_other_clouds_are_none_of_ours() {
        assert_eq!(instance_id(&provider_id("a-b")), Some("a-b"));
        assert_eq!(instance_id("kwok://a"), None);
        assert_eq!(instance_id("exoscale://"), None);
    }
}
