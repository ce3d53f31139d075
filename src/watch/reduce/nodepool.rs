use std::collections::BTreeMap;
use std::time::Duration;

use berth_solver::model::{
    ConsolidateAfter, ConsolidationPolicy, DisruptionBudget, DisruptionReason, ExpireAfter, Limits,
    Name, NodeClassReference, NodePool, NodesLimit,
};

use super::Defects;
use super::limits::{limits, price_limit};
use super::requirement::{api_taints, labels, moment, optional, requirements};
use crate::api::{self, parse_duration, parse_never, parse_schedule, template_hash};
use crate::watch::Interner;

const TEMPLATE: &str = "spec.template.spec";
const DISRUPTION: &str = "spec.disruption";

/// A NodePool. One that makes no sense becomes a record with a defect, never an error: what
/// cannot be understood launches nothing and disturbs nothing.
pub fn node_pool(pool: &api::NodePool, interner: &Interner) -> NodePool {
    let mut defects = Defects::default();
    let (meta, spec) = (&pool.metadata, &pool.spec);
    let (template, disruption) = (&spec.template, &spec.disruption);
    let within = |field: &str| format!("{TEMPLATE}.{field}");
    let limits = limits(spec.limits.as_ref(), interner, &mut defects);
    NodePool {
        name: optional(meta.name.as_ref(), interner).unwrap_or_default(),
        uid: optional(meta.uid.as_ref(), interner).unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        deleted: moment(meta.deletion_timestamp.as_ref()),
        weight: spec.weight.unwrap_or_default(),
        labels: labels(Some(&template.metadata.labels), interner),
        annotations: labels(Some(&template.metadata.annotations), interner),
        requirements: requirements(
            &template.spec.requirements,
            &within("requirements"),
            interner,
            &mut defects,
        ),
        min_values: min_values(&template.spec.requirements, interner),
        taints: api_taints(&template.spec.taints, &within("taints"), interner, &mut defects),
        startup_taints: api_taints(
            &template.spec.startup_taints,
            &within("startupTaints"),
            interner,
            &mut defects,
        ),
        node_class: node_class(&template.spec.node_class_ref, interner),
        expire_after: never(&template.spec.expire_after, &within("expireAfter"), &mut defects)
            .map_or(ExpireAfter::Never, ExpireAfter::After),
        termination_grace_period: grace_period(
            template.spec.termination_grace_period.as_deref(),
            &within("terminationGracePeriod"),
            &mut defects,
        ),
        limits: Limits {
            price: price_limit(meta.annotations.as_ref(), &mut defects).or(limits.price),
            ..limits
        },
        consolidate_after: never(
            &disruption.consolidate_after,
            &format!("{DISRUPTION}.consolidateAfter"),
            &mut defects,
        )
        .map_or(ConsolidateAfter::Never, ConsolidateAfter::After),
        consolidation_policy: policy(&disruption.consolidation_policy, &mut defects),
        budgets: budgets(&disruption.budgets, interner, &mut defects),
        replicas: spec.replicas.map(|replicas| u32::try_from(replicas.max(0)).unwrap_or(u32::MAX)),
        hash: Name::from(template_hash(template)),
        ready: is_ready(pool.status.as_ref()),
        defect: defects.first().map(Name::from),
    }
}

/// Where nobody looks after node classes, there is nothing to wait for.
fn is_ready(status: Option<&api::NodePoolStatus>) -> bool {
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    !conditions
        .iter()
        .any(|condition| condition.r#type == "NodeClassReady" && condition.status == "False")
}

fn node_class(reference: &api::NodeClassReference, interner: &Interner) -> NodeClassReference {
    NodeClassReference {
        group: interner.name(&reference.group),
        kind: interner.name(&reference.kind),
        name: interner.name(&reference.name),
    }
}

/// The largest `minValues` of each key.
fn min_values(list: &[api::Requirement], interner: &Interner) -> Box<[(Name, u32)]> {
    let mut largest: BTreeMap<&str, u32> = BTreeMap::new();
    for requirement in list {
        if let Some(count) = requirement.min_values.and_then(|count| u32::try_from(count).ok()) {
            let entry = largest.entry(&requirement.key).or_default();
            *entry = count.max(*entry);
        }
    }
    largest.into_iter().map(|(key, count)| (interner.name(key), count)).collect()
}

/// A duration; `None` for `Never` and for what makes no sense.
fn never(text: &str, place: &str, defects: &mut Defects) -> Option<Duration> {
    parse_never(text).unwrap_or_else(|error| {
        defects.add(|| format!("{place}: {error}, or Never"));
        None
    })
}

fn grace_period(text: Option<&str>, place: &str, defects: &mut Defects) -> Option<Duration> {
    parse_duration(text?).map_err(|error| defects.add(|| format!("{place}: {error}"))).ok()
}

fn policy(text: &str, defects: &mut Defects) -> ConsolidationPolicy {
    match text {
        "WhenEmpty" => ConsolidationPolicy::WhenEmpty,
        "WhenEmptyOrUnderutilized" => ConsolidationPolicy::WhenEmptyOrUnderutilized,
        "Balanced" => ConsolidationPolicy::Balanced,
        _ => {
            defects.add(|| {
                format!(
                    "{DISRUPTION}.consolidationPolicy: {text:?} is unknown: expected WhenEmpty, \
                     WhenEmptyOrUnderutilized or Balanced"
                )
            });
            ConsolidationPolicy::WhenEmpty
        }
    }
}

fn budgets(
    list: &[api::Budget],
    interner: &Interner,
    defects: &mut Defects,
) -> Box<[DisruptionBudget]> {
    let budgets = list.iter().enumerate().map(|(index, written)| {
        budget(written, interner).unwrap_or_else(|wrong| {
            defects.add(|| format!("{DISRUPTION}.budgets[{index}].{wrong}"));
            DisruptionBudget {
                nodes: NodesLimit::Count(0),
                reasons: Box::default(),
                schedule: written.schedule.as_deref().map(|text| interner.name(text)),
                duration: None,
                broken: true,
            }
        })
    });
    budgets.collect()
}

fn budget(written: &api::Budget, interner: &Interner) -> Result<DisruptionBudget, String> {
    let reasons: Result<Box<[_]>, String> =
        written.reasons.iter().map(|text| reason(text)).collect();
    let schedule = written
        .schedule
        .as_deref()
        .map(|text| parse_schedule(text).map_err(|error| format!("schedule: {error}")))
        .transpose()?;
    let duration = written
        .duration
        .as_deref()
        .map(|text| parse_duration(text).map_err(|error| format!("duration: {error}")))
        .transpose()?;
    if schedule.is_some() != duration.is_some() {
        return Err("schedule: expected both of 'schedule' and 'duration', or neither".to_owned());
    }
    Ok(DisruptionBudget {
        nodes: nodes_limit(&written.nodes)?,
        reasons: reasons?,
        schedule: schedule.map(|fields| interner.name(&fields)),
        duration,
        broken: false,
    })
}

fn reason(text: &str) -> Result<DisruptionReason, String> {
    match text {
        "Underutilized" => Ok(DisruptionReason::Underutilized),
        "Empty" => Ok(DisruptionReason::Empty),
        "Drifted" => Ok(DisruptionReason::Drifted),
        _ => Err(format!("reasons: {text:?} is unknown: expected Underutilized, Empty or Drifted")),
    }
}

fn nodes_limit(text: &str) -> Result<NodesLimit, String> {
    let limit = match text.strip_suffix('%') {
        Some(percent) => number(percent).filter(|percent| *percent <= 100).map(NodesLimit::Percent),
        None => number(text).map(NodesLimit::Count),
    };
    limit.ok_or_else(|| {
        format!("nodes: {text:?} is no number of nodes: expected a number or 0% to 100%")
    })
}

/// Digits alone; more nodes than fit are as many as fit.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_solver::model::{Operator, Price, Taint, TaintEffect, ValueSet};

    fn reduced(yaml: &str) -> NodePool {
        let pool: api::NodePool = serde_saphyr::from_str(yaml).unwrap();
        node_pool(&pool, &Interner::new())
    }

    fn minimal(spec: &str, template: &str) -> String {
        format!(
            "apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {{ name: default }}
spec:
  template:
    spec:
      nodeClassRef: {{ group: karpenter.kwok.sh, kind: KWOKNodeClass, name: default }}
{template}
{spec}"
        )
    }

    #[test]
    fn every_field_is_kept() {
        let pool = reduced(
            "apiVersion: karpenter.sh/v1
kind: NodePool
metadata: { name: spot, uid: u-1, generation: 3, deletionTimestamp: \"2026-01-02T03:04:05Z\" }
spec:
  template:
    metadata:
      labels: { team: blue }
      annotations: { note: x }
    spec:
      nodeClassRef: { group: g, kind: K, name: n }
      requirements:
      - { key: karpenter.sh/capacity-type, operator: In, values: [spot] }
      - { key: node.kubernetes.io/instance-type, operator: Exists, minValues: 3 }
      - { key: node.kubernetes.io/instance-type, operator: NotIn, values: [tiny], minValues: 2 }
      - { key: example.com/generation, operator: Gt, values: [\"2\"] }
      taints: [{ key: b, effect: NoExecute }, { key: a, value: v, effect: NoSchedule }]
      startupTaints: [{ key: s, effect: PreferNoSchedule }]
      expireAfter: Never
      terminationGracePeriod: 48h
  limits: { cpu: 1500m, memory: 10Gi, nodes: 5, nvidia.com/gpu: \"2\", price: \"1.5\" }
  disruption:
    consolidateAfter: 1m30s
    consolidationPolicy: WhenEmpty
    budgets:
    - nodes: \"5\"
    - { nodes: 20%, reasons: [Empty, Drifted], schedule: \"@midnight\", duration: 10h30m0s }
  weight: 7
status:
  conditions:
  - { type: NodeClassReady, status: \"False\", lastTransitionTime: \"2026-01-02T03:04:05Z\" }
",
        );
        assert_eq!(pool.defect, None);
        assert_eq!((&*pool.name, &*pool.uid, pool.generation), ("spot", "u-1", 3));
        assert_eq!(pool.deleted.unwrap().as_millis(), 1_767_323_045_000);
        assert_eq!((pool.weight, pool.replicas, pool.ready), (7, None, false));
        assert_eq!(pool.labels.get("team").unwrap().as_str(), "blue");
        assert_eq!(pool.annotations.get("note").unwrap().as_str(), "x");
        assert_eq!(pool.requirements.iter().count(), 3);
        assert_eq!(
            pool.requirements.get("example.com/generation"),
            Some(&ValueSet::of(Operator::Gt, ["2".into()]))
        );
        assert_eq!(*pool.min_values, [("node.kubernetes.io/instance-type".into(), 3)]);
        let taint =
            |key: &str, value: &str, effect| Taint { key: key.into(), value: value.into(), effect };
        assert_eq!(
            *pool.taints,
            [taint("a", "v", TaintEffect::NoSchedule), taint("b", "", TaintEffect::NoExecute)]
        );
        assert_eq!(*pool.startup_taints, [taint("s", "", TaintEffect::PreferNoSchedule)]);
        assert_eq!(&*pool.node_class.kind, "K");
        assert_eq!(pool.expire_after, ExpireAfter::Never);
        assert_eq!(pool.termination_grace_period, Some(Duration::from_secs(172_800)));
        assert_eq!(pool.limits.cpu, Some(1_500));
        assert_eq!(pool.limits.memory, Some(10 << 30));
        assert_eq!((pool.limits.nodes, pool.limits.pods), (Some(5), None));
        assert_eq!(*pool.limits.extended, [("nvidia.com/gpu".into(), 2)]);
        assert_eq!(pool.limits.price, Some(Price::from_nanos(1_500_000_000)));
        assert_eq!(pool.consolidate_after, ConsolidateAfter::After(Duration::from_secs(90)));
        assert_eq!(pool.consolidation_policy, ConsolidationPolicy::WhenEmpty);
        let expected = [
            DisruptionBudget {
                nodes: NodesLimit::Count(5),
                reasons: Box::default(),
                schedule: None,
                duration: None,
                broken: false,
            },
            DisruptionBudget {
                nodes: NodesLimit::Percent(20),
                reasons: [DisruptionReason::Empty, DisruptionReason::Drifted].into(),
                schedule: Some("0 0 * * *".into()),
                duration: Some(Duration::from_secs(37_800)),
                broken: false,
            },
        ];
        assert_eq!(*pool.budgets, expected);
    }

    #[test]
    fn an_annotation_limits_what_the_nodes_cost_together() {
        let with =
            |limit: &str| {
                let text = minimal("  limits: { price: \"9\" }", "      requirements: []");
                let annotation =
                    format!("annotations: {{ berth.sh/limit-price-per-hour: \"{limit}\" }}");
                reduced(&text.replace(
                    "name: default }\nspec",
                    &format!("name: default, {annotation} }}\nspec"),
                ))
            };
        let pool = with("1.25");
        assert_eq!(pool.defect, None);
        assert_eq!(pool.limits.price, Some(Price::from_nanos(1_250_000_000)));
        for wrong in ["much", "-1", "NaN", "inf", ""] {
            let defect = with(wrong).defect.unwrap();
            assert_eq!(
                &*defect,
                format!(
                    "metadata.annotations.berth.sh/limit-price-per-hour: {wrong:?} is no price per \
                     hour: expected a number such as 1.25, 0 or more"
                )
            );
        }
    }

    #[test]
    fn what_is_absent_is_what_the_api_server_would_have_put_there() {
        let pool = reduced(&minimal("", "      requirements: []"));
        assert_eq!(pool.defect, None);
        assert_eq!(pool.expire_after, ExpireAfter::After(Duration::from_secs(720 * 3600)));
        assert_eq!(pool.consolidate_after, ConsolidateAfter::After(Duration::ZERO));
        assert_eq!(pool.consolidation_policy, ConsolidationPolicy::WhenEmptyOrUnderutilized);
        assert_eq!(pool.budgets.len(), 1);
        assert_eq!(pool.budgets[0].nodes, NodesLimit::Percent(10));
        assert_eq!((pool.weight, pool.ready), (0, true));
        assert_eq!(pool.limits, Limits::default());
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_place_and_what_would_be_right() {
        let requirement = |text: &str| minimal("", &format!("      requirements: [{text}]"));
        let spec = |text: &str| minimal(text, "      requirements: []");
        let template = |text: &str| minimal("", &format!("      requirements: []\n      {text}"));
        let cases = [
            (
                requirement("{ key: a, operator: Like, values: [x] }"),
                "spec.template.spec.requirements[0] (a): operator \"Like\" is unknown: expected \
                 In, NotIn, Exists, DoesNotExist, Gt, Lt, Gte or Lte",
            ),
            (
                requirement("{ key: a, operator: In }"),
                "spec.template.spec.requirements[0] (a): operator In has values []: expected at \
                 least one value",
            ),
            (
                requirement("{ key: a, operator: Lte, values: [many] }"),
                "spec.template.spec.requirements[0] (a): operator Lte has values [\"many\"]: \
                 expected one integer",
            ),
            (
                template("taints: [{ key: a, effect: Never }]"),
                "spec.template.spec.taints[0] (a): effect \"Never\" is unknown: expected \
                 NoSchedule, PreferNoSchedule or NoExecute",
            ),
            (
                template("expireAfter: 30d"),
                "spec.template.spec.expireAfter: \"30d\" is no duration: expected hours, minutes \
                 and seconds, such as 720h, 1h30m or 90s, or Never",
            ),
            (spec("  limits: { cpu: -1 }"), "spec.limits.cpu: -1 is negative: expected 0 or more"),
            (
                spec("  limits: { memory: much }"),
                "spec.limits.memory: \"much\" is no quantity: expected a number with an optional \
                 suffix, such as 250m, 2, 1.5Gi or 1e3",
            ),
            (
                spec("  disruption: { consolidationPolicy: WhenUnderutilized }"),
                "spec.disruption.consolidationPolicy: \"WhenUnderutilized\" is unknown: expected \
                 WhenEmpty, WhenEmptyOrUnderutilized or Balanced",
            ),
            (
                spec("  disruption: { budgets: [{ nodes: 10%, schedule: '@daily' }] }"),
                "spec.disruption.budgets[0].schedule: expected both of 'schedule' and \
                 'duration', or neither",
            ),
            (
                spec("  disruption: { budgets: [{ nodes: 101% }] }"),
                "spec.disruption.budgets[0].nodes: \"101%\" is no number of nodes: expected a \
                 number or 0% to 100%",
            ),
        ];
        for (yaml, expected) in cases {
            assert_eq!(reduced(&yaml).defect.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_budget_with_a_bad_cron_allows_nothing_at_any_time() {
        let yaml = minimal(
            "  disruption: { budgets: [{ nodes: 50%, schedule: 99 9 * * *, duration: 1h }] }",
            "      requirements: []",
        );
        let pool = reduced(&yaml);
        assert!(pool.budgets[0].broken);
        assert_eq!(pool.budgets[0].nodes.of(100), 0);
        let defect = pool.defect.unwrap();
        assert!(
            defect.starts_with(
                "spec.disruption.budgets[0].schedule: \"99 9 * * *\" is no cron expression ("
            ),
            "{defect}"
        );
    }
}
