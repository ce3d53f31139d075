use berth_solver::model::{CapacityBuffer, Name, PodKey, Template, TemplateKind, TemplateRef};

use super::Defects;
use super::limits::limits;
use super::pod::{of_template, shape};
use super::requirement::optional;
use crate::api;
use crate::watch::Interner;
use crate::watch::objects::{Meta, PodTemplate, StoredTemplate, Workload};

/// Replicas of a workload that does not say how many.
const DEFAULT_REPLICAS: i64 = 1;

/// A CapacityBuffer. One that makes no sense becomes a record that says so, never an error.
pub fn capacity_buffer(buffer: &api::CapacityBuffer, interner: &Interner) -> CapacityBuffer {
    let mut defects = Defects::default();
    let (meta, spec) = (&buffer.metadata, &buffer.spec);
    let template = template_ref(spec, interner, &mut defects);
    let limits = limits(spec.limits.as_ref(), interner, &mut defects);
    let template = match (template, defects.first()) {
        (Some(template), None) => Ok(template),
        (_, defect) => Err(Name::from(defect.unwrap_or_default())),
    };
    let count = |count: Option<i32>| count.map(|count| u32::try_from(count).unwrap_or_default());
    CapacityBuffer {
        key: PodKey {
            namespace: optional(meta.namespace.as_ref(), interner).unwrap_or_default(),
            name: Name::from(meta.name.as_deref().unwrap_or_default()),
        },
        uid: Name::from(meta.uid.as_deref().unwrap_or_default()),
        generation: meta.generation.unwrap_or_default(),
        active: spec.provisioning_strategy == api::ACTIVE_CAPACITY,
        template,
        replicas: count(spec.replicas),
        percentage: count(spec.percentage),
        limits,
    }
}

fn template_ref(
    spec: &api::CapacityBufferSpec,
    interner: &Interner,
    defects: &mut Defects,
) -> Option<TemplateRef> {
    let to = |kind, name: &str| Some(TemplateRef { kind, name: interner.name(name) });
    let scalable = match (&spec.pod_template_ref, &spec.scalable_ref) {
        (Some(template), None) => return to(TemplateKind::PodTemplate, &template.name),
        (None, Some(scalable)) => scalable,
        (given, _) => {
            let given = if given.is_some() { "both" } else { "neither" };
            defects.add(|| {
                format!("spec: {given} of podTemplateRef and scalableRef: expected one of them")
            });
            return None;
        }
    };
    let kind = match (scalable.api_group.as_str(), scalable.kind.as_str()) {
        ("" | "apps", "Deployment") => TemplateKind::Deployment,
        ("" | "apps", "StatefulSet") => TemplateKind::StatefulSet,
        ("" | "apps", "ReplicaSet") => TemplateKind::ReplicaSet,
        (group, kind) => {
            defects.add(|| {
                format!(
                    "spec.scalableRef: {kind} of the group {group:?} is not known: expected a \
                     Deployment, StatefulSet or ReplicaSet of apps"
                )
            });
            return None;
        }
    };
    to(kind, &scalable.name)
}

/// A PodTemplate, for the CapacityBuffers that refer to it.
pub fn pod_template(object: &StoredTemplate, interner: &Interner) -> Template {
    template(&object.metadata, &object.template, 0, "template", interner)
}

/// A Deployment, StatefulSet or ReplicaSet, for the CapacityBuffers that refer to it.
pub fn workload(object: &Workload, interner: &Interner) -> Template {
    let replicas = object.spec.replicas.unwrap_or(DEFAULT_REPLICAS).max(0);
    let replicas = u32::try_from(replicas).unwrap_or(u32::MAX);
    template(&object.metadata, &object.spec.template, replicas, "spec.template", interner)
}

fn template(
    meta: &Meta,
    template: &PodTemplate,
    replicas: u32,
    place: &str,
    interner: &Interner,
) -> Template {
    let pod = of_template(template, &meta.namespace, &meta.name);
    let mut defects = Defects::default();
    let shape = shape(&pod, interner, &mut defects);
    Template {
        key: PodKey { namespace: shape.namespace.clone(), name: Name::from(meta.name.as_str()) },
        generation: meta.generation,
        replicas,
        shape,
        defect: defects.first().map(|defect| format!("{place}.{defect}").into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(spec: Value) -> CapacityBuffer {
        let object = json!({
            "metadata": { "name": "spare", "namespace": "shop", "uid": "u", "generation": 2 },
            "spec": spec,
        });
        capacity_buffer(&serde_json::from_value(object).unwrap(), &Interner::new())
    }

    #[test]
    fn a_buffer_says_what_it_is_for_and_how_much() {
        let read = read(json!({
            "scalableRef": { "apiGroup": "apps", "kind": "Deployment", "name": "web" },
            "replicas": 3,
            "percentage": 20,
            "limits": { "cpu": "2500m", "memory": 1024, "nvidia.com/gpu": "4" },
        }));
        let template = TemplateRef { kind: TemplateKind::Deployment, name: "web".into() };
        assert_eq!(read.key.to_string(), "shop/spare");
        assert_eq!((read.template, read.generation, read.active), (Ok(template), 2, true));
        assert_eq!((read.replicas, read.percentage), (Some(3), Some(20)));
        assert_eq!((read.limits.cpu, read.limits.memory), (Some(2_500), Some(1_024)));
        assert_eq!(*read.limits.extended, [(Name::from("nvidia.com/gpu"), 4)]);
    }

    #[test]
    fn what_makes_no_sense_in_a_buffer_is_told() {
        let defect = |spec: Value| read(spec).template.unwrap_err().to_string();
        let template = json!({ "name": "t" });
        let web = json!({ "kind": "Deployment", "name": "web" });
        assert_eq!(
            defect(json!({})),
            "spec: neither of podTemplateRef and scalableRef: expected one of them"
        );
        assert_eq!(
            defect(json!({ "podTemplateRef": template, "scalableRef": web })),
            "spec: both of podTemplateRef and scalableRef: expected one of them"
        );
        assert_eq!(
            defect(json!({ "scalableRef": { "kind": "Job", "name": "j", "apiGroup": "batch" } })),
            "spec.scalableRef: Job of the group \"batch\" is not known: expected a Deployment, \
             StatefulSet or ReplicaSet of apps"
        );
        let limits = json!({ "cpu": "-1" });
        assert_eq!(
            defect(json!({ "podTemplateRef": { "name": "t" }, "limits": limits })),
            "spec.limits.cpu: -1 is negative: expected 0 or more"
        );
    }

    #[test]
    fn other_strategies_are_somebody_elses() {
        let template = json!({ "name": "t" });
        let strategy = "buffer.gke.io/standby-capacity";
        assert!(
            !read(json!({ "podTemplateRef": template, "provisioningStrategy": strategy })).active
        );
    }

    #[test]
    fn templates_have_the_shape_of_their_pods() {
        let template = |cpu: &str| {
            json!({
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "resources": { "requests": { "cpu": cpu } } }] },
            })
        };
        let metadata = json!({ "name": "web", "namespace": "shop", "generation": 4 });
        let object = json!({ "metadata": metadata, "template": template("250m") });
        let of_pods = pod_template(&serde_json::from_value(object).unwrap(), &Interner::new());
        assert_eq!(of_pods.key.to_string(), "shop/web");
        assert_eq!((of_pods.shape.requests.cpu.0, of_pods.shape.requests.pods), (250, 1));
        assert_eq!((of_pods.generation, of_pods.replicas, of_pods.defect), (4, 0, None));
        let of_workload = |spec: Value| {
            let object = json!({ "metadata": metadata, "spec": spec });
            workload(&serde_json::from_value(object).unwrap(), &Interner::new())
        };
        let twelve = of_workload(json!({ "replicas": 12, "template": template("1") }));
        assert_eq!((twelve.replicas, twelve.shape.requests.cpu.0), (12, 1_000));
        let wrong = of_workload(json!({ "template": template("much") }));
        assert_eq!(wrong.replicas, 1);
        let defect = wrong.defect.unwrap();
        assert!(defect.starts_with("spec.template.spec.containers[0]"), "{defect}");
    }
}
