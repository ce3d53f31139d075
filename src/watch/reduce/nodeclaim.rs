use std::collections::BTreeMap;

use berth_solver::model::{Condition, ExpireAfter, Name, NodeClaim, Price, well_known};

use super::requirement::{amounts, api_taints, labels, moment, optional, requirements};
use super::{Defects, condition_status, timestamp};
use crate::api::{self, parse_duration, parse_never};
use crate::watch::Interner;

/// A NodeClaim. What makes no sense is read so that it does the least: a requirement that nothing
/// meets, no expiry, no end of the grace period.
pub fn node_claim(claim: &api::NodeClaim, interner: &Interner) -> NodeClaim {
    let mut ignored = Defects::default();
    let (meta, spec) = (&claim.metadata, &claim.spec);
    let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key));
    let status = claim.status.as_ref();
    let launched = |list: fn(&api::NodeClaimStatus) -> &BTreeMap<String, api::Quantity>| {
        status.map(list).filter(|list| !list.is_empty()).map(|list| amounts(list, interner))
    };
    NodeClaim {
        name: optional(meta.name.as_ref(), interner).unwrap_or_default(),
        uid: optional(meta.uid.as_ref(), interner).unwrap_or_default(),
        labels: labels(meta.labels.as_ref(), interner),
        created: moment(meta.creation_timestamp.as_ref()).unwrap_or_default(),
        deleted: moment(meta.deletion_timestamp.as_ref()),
        has_termination_finalizer: meta
            .finalizers
            .iter()
            .flatten()
            .any(|finalizer| finalizer == well_known::TERMINATION_FINALIZER),
        requirements: requirements(&spec.requirements, "", interner, &mut ignored),
        requests: amounts(&spec.resources.requests, interner),
        taints: api_taints(&spec.taints, "", interner, &mut ignored),
        startup_taints: api_taints(&spec.startup_taints, "", interner, &mut ignored),
        expire_after: parse_never(&spec.expire_after)
            .ok()
            .flatten()
            .map_or(ExpireAfter::Never, ExpireAfter::After),
        termination_grace_period: spec
            .termination_grace_period
            .as_deref()
            .and_then(|text| parse_duration(text).ok()),
        terminate_by: annotation(well_known::TERMINATION_TIMESTAMP_ANNOTATION)
            .and_then(|text| timestamp(text)),
        provider_id: optional(status.and_then(|status| status.provider_id.as_ref()), interner),
        node_name: optional(status.and_then(|status| status.node_name.as_ref()), interner),
        capacity: launched(|status| &status.capacity),
        allocatable: launched(|status| &status.allocatable),
        conditions: conditions(status, interner),
        last_pod_event: moment(status.and_then(|status| status.last_pod_event_time.as_ref())),
        planned_pods: planned_pods(annotation(well_known::PLANNED_PODS_ANNOTATION)),
        price: annotation(well_known::PRICE_ANNOTATION)
            .and_then(|text| Price::per_hour(text.parse().ok()?).ok()),
        template_hash: optional(annotation(well_known::NODEPOOL_HASH_ANNOTATION), interner),
        template_hash_version: optional(
            annotation(well_known::NODEPOOL_HASH_VERSION_ANNOTATION),
            interner,
        ),
        reason: optional(annotation(well_known::REASON_ANNOTATION), interner),
    }
}

fn conditions(status: Option<&api::NodeClaimStatus>, interner: &Interner) -> Box<[Condition]> {
    let mut conditions: Vec<Condition> = status
        .into_iter()
        .flat_map(|status| &status.conditions)
        .map(|condition| Condition {
            kind: interner.name(&condition.r#type),
            status: condition_status(&condition.status),
            reason: interner.name(&condition.reason),
            since: moment(Some(&condition.last_transition_time)).unwrap_or_default(),
        })
        .collect();
    conditions.sort_by(|left, right| left.kind.cmp(&right.kind));
    conditions.into()
}

fn planned_pods(annotation: Option<&String>) -> Box<[Name]> {
    let mut uids: Vec<Name> = annotation
        .into_iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|uid| !uid.is_empty())
        .map(Name::from)
        .collect();
    uids.sort_unstable();
    uids.dedup();
    uids.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use berth_solver::model::{Bytes, MilliCpu, Resources};

    #[test]
    fn every_field_is_kept() {
        let claim: api::NodeClaim = serde_saphyr::from_str(
            "apiVersion: karpenter.sh/v1
kind: NodeClaim
metadata:
  name: default-1
  uid: u-1
  creationTimestamp: \"2026-01-02T03:04:05Z\"
  finalizers: [karpenter.sh/termination]
  labels: { karpenter.sh/nodepool: default, topology.kubernetes.io/zone: z-1 }
  annotations:
    berth.sh/planned-pods: \"b,a,,b\"
    berth.sh/price-per-hour: \"0.04666\"
    karpenter.sh/nodeclaim-termination-timestamp: \"2026-01-03T03:04:05Z\"
    berth.sh/reason: 2 pending pods need a node
spec:
  nodeClassRef: { group: g, kind: K, name: n }
  requirements:
  - { key: node.kubernetes.io/instance-type, operator: In, values: [small] }
  resources: { requests: { cpu: 500m, memory: 1Gi, pods: 3, nvidia.com/gpu: \"1\" } }
  taints: [{ key: a, effect: NoSchedule }]
  expireAfter: 24h
  terminationGracePeriod: 1h
status:
  nodeName: default-1
  providerID: kwok://default-1
  capacity: { cpu: \"2\" }
  lastPodEventTime: \"2026-01-02T03:04:07Z\"
  conditions:
  - { type: Registered, status: Unknown, lastTransitionTime: \"2026-01-02T03:04:06Z\" }
  - { type: Launched, status: \"True\", reason: Launched, lastTransitionTime: \"2026-01-02T03:04:05Z\" }
",
        )
        .unwrap();
        let claim = node_claim(&claim, &Interner::new());
        assert_eq!((&*claim.name, &*claim.uid), ("default-1", "u-1"));
        assert_eq!(claim.created.as_millis(), 1_767_323_045_000);
        assert!(claim.has_termination_finalizer && claim.deleted.is_none());
        assert_eq!(claim.pool().unwrap().as_str(), "default");
        assert_eq!(claim.zone().unwrap().as_str(), "z-1");
        assert_eq!(claim.instance_type().unwrap().as_str(), "small");
        let mut requests = Resources::new(MilliCpu(500), Bytes(1 << 30));
        requests.pods = 3;
        requests.set_extended("nvidia.com/gpu".into(), 1);
        assert_eq!(claim.requests, requests);
        assert_eq!(claim.taints.len(), 1);
        assert_eq!(claim.expire_after, ExpireAfter::After(Duration::from_secs(86_400)));
        assert_eq!(claim.termination_grace_period, Some(Duration::from_secs(3_600)));
        assert_eq!(claim.terminate_by, Some(claim.created + Duration::from_hours(24)));
        assert_eq!(claim.node_name.as_deref(), Some("default-1"));
        assert_eq!(claim.provider_id.as_deref(), Some("kwok://default-1"));
        assert_eq!(claim.capacity, Some(Resources::new(MilliCpu(2_000), Bytes(0))));
        assert_eq!(claim.allocatable, None);
        let kinds: Vec<&str> = claim.conditions.iter().map(|found| found.kind.as_str()).collect();
        assert_eq!(kinds, ["Launched", "Registered"]);
        assert!(claim.is(well_known::condition::LAUNCHED));
        assert_eq!(claim.conditions[0].since.as_millis(), 1_767_323_045_000);
        assert_eq!(claim.last_pod_event.unwrap().as_millis(), 1_767_323_047_000);
        assert_eq!(*claim.planned_pods, [Name::from("a"), Name::from("b")]);
        assert_eq!(claim.price, Some(Price::from_nanos(46_660_000)));
        assert_eq!(claim.reason.as_deref(), Some("2 pending pods need a node"));
    }

    #[test]
    fn what_makes_no_sense_does_the_least() {
        let claim: api::NodeClaim = serde_saphyr::from_str(
            "apiVersion: karpenter.sh/v1
kind: NodeClaim
metadata: { name: odd, annotations: { berth.sh/price-per-hour: cheap } }
spec:
  nodeClassRef: { group: g, kind: K, name: n }
  requirements: [{ key: a, operator: Like, values: [x] }]
  resources: { requests: { cpu: lots, memory: 1Mi } }
  expireAfter: soon
  terminationGracePeriod: later
",
        )
        .unwrap();
        let claim = node_claim(&claim, &Interner::new());
        assert_eq!(claim.requirements.first_impossible().map(Name::as_str), Some("a"));
        assert_eq!(claim.requests, Resources::new(MilliCpu(0), Bytes(1 << 20)));
        assert_eq!(claim.expire_after, ExpireAfter::Never);
        assert_eq!(claim.termination_grace_period, None);
        assert_eq!(claim.price, None);
        assert!(claim.planned_pods.is_empty());
    }
}
