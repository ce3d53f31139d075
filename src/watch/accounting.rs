//! What a pod takes from a node, counted as kube-scheduler counts it.
//!
//! The rules are those of `PodRequests` in Kubernetes' component-helpers (1.37), with in-place
//! resize of containers and of pods on, as they are by default; amounts that dynamic resource
//! allocation maps onto node resources (alpha, off) are left out.

use berth_solver::model::{Bytes, MilliCpu, Name, Resources};

use super::Interner;
use super::objects::{Amounts, Container, ContainerStatus, Pod, PodSpec, PodStatus};
use super::quantity::Quantity;
use super::reduce::Defects;

/// What a pod takes from a node, its slot (`pods: 1`) included.
///
/// A quantity that makes no sense becomes a defect; it counts as nothing if it is no quantity or
/// negative, and as the largest one if it is too large.
pub fn pod_requests(pod: &Pod, interner: &Interner, defects: &mut Defects) -> Resources {
    let total = effective_requests(&pod.spec, &pod.status, defects);
    let mut requests = total.to_resources(interner);
    requests.pods = 1;
    requests
}

/// A node's capacity or allocatable. What makes no sense counts as nothing.
pub fn node_resources(amounts: &Amounts, interner: &Interner) -> Resources {
    let mut ignored = Defects::default();
    let list = ResourceList::read(Some(amounts), &mut ignored, || String::from("status"));
    let mut resources = list.to_resources(interner);
    resources.pods = list.get("pods").map_or(0, Quantity::units);
    resources
}

fn effective_requests<'a>(
    spec: &'a PodSpec,
    status: &'a PodStatus,
    defects: &mut Defects,
) -> ResourceList<'a> {
    let infeasible = is_resize_infeasible(status);
    let containers = Containers { spec, status, infeasible };
    let by_spec = containers.aggregate(Source::Spec, defects);
    let pod_allocated = status.allocated_resources.as_ref();
    let pod_actuated = status.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let (allocated, actuated) = match (pod_allocated, pod_actuated) {
        (Some(allocated), Some(actuated)) => (
            ResourceList::read(Some(allocated), defects, || "status.allocatedResources".into()),
            ResourceList::read(Some(actuated), defects, || "status.resources.requests".into()),
        ),
        _ => (
            containers.aggregate(Source::Allocated, defects),
            containers.aggregate(Source::Actuated, defects),
        ),
    };
    let mut total = allocated;
    total.raise_to(&actuated);
    if !infeasible {
        total.raise_to(&by_spec);
    }
    replace_by_pod_level(&mut total, &by_spec, spec, status, defects);
    total.add(&ResourceList::read(Some(&spec.overhead), defects, || "spec.overhead".into()));
    total
}

/// `spec.resources` replaces what the containers say, for the resources that it names.
fn replace_by_pod_level<'a>(
    total: &mut ResourceList<'a>,
    by_containers: &ResourceList<'a>,
    spec: &'a PodSpec,
    status: &'a PodStatus,
    defects: &mut Defects,
) {
    let mut requests = ResourceList::read(spec.resources.requests.as_ref(), defects, || {
        "spec.resources.requests".into()
    });
    // The API server fills in missing requests: with what the containers ask for, or the limit.
    let limits = ResourceList::read(Some(&spec.resources.limits), defects, || {
        "spec.resources.limits".into()
    });
    for (name, limit) in limits.0 {
        if requests.get(name).is_none() {
            requests.set(name, by_containers.get(name).unwrap_or(limit));
        }
    }
    requests.0.retain(|(name, _)| is_pod_level(name));
    if requests.0.is_empty() {
        return;
    }
    if let Some(resources) = &status.resources {
        if is_resize_infeasible(status) {
            requests.0.clear();
        }
        let actuated = resources.requests.as_ref();
        requests.raise_to(&ResourceList::read(actuated, defects, || {
            "status.resources.requests".into()
        }));
        let allocated = status.allocated_resources.as_ref();
        requests.raise_to(&ResourceList::read(allocated, defects, || {
            "status.allocatedResources".into()
        }));
    }
    for (name, amount) in requests.0 {
        if is_pod_level(name) {
            total.set(name, amount);
        }
    }
}

fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// Whether kubelet said that a resize that was asked for can never be.
fn is_resize_infeasible(status: &PodStatus) -> bool {
    status
        .conditions
        .iter()
        .find(|condition| condition.kind == "PodResizePending")
        .is_some_and(|condition| condition.reason == "Infeasible")
}

/// Which of a container's amounts count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// What it asks for.
    Spec,
    /// What kubelet admitted.
    Allocated,
    /// What is enforced.
    Actuated,
}

struct Containers<'a> {
    spec: &'a PodSpec,
    status: &'a PodStatus,
    infeasible: bool,
}

impl<'a> Containers<'a> {
    /// The most that containers take at one time: when all run, or when one of the init
    /// containers does, with the sidecars that were started before it.
    fn aggregate(&self, source: Source, defects: &mut Defects) -> ResourceList<'a> {
        let mut running = ResourceList::default();
        for (index, container) in self.spec.containers.iter().enumerate() {
            let place = ("containers", index);
            running.add(&self.requests(container, source, place, defects));
        }
        let mut sidecars = ResourceList::default();
        let mut peak = ResourceList::default();
        for (index, container) in self.spec.init_containers.iter().enumerate() {
            let place = ("initContainers", index);
            let mut requests = self.requests(container, source, place, defects);
            if container.is_sidecar() {
                running.add(&requests);
                sidecars.add(&requests);
                peak.raise_to(&sidecars);
            } else {
                requests.add(&sidecars);
                peak.raise_to(&requests);
            }
        }
        running.raise_to(&peak);
        running
    }

    fn requests(
        &self,
        container: &'a Container,
        source: Source,
        (list, index): (&str, usize),
        defects: &mut Defects,
    ) -> ResourceList<'a> {
        let status = (source != Source::Spec).then(|| self.status_of(&container.name)).flatten();
        let allocated = status.and_then(|status| status.allocated_resources.as_ref());
        let actuated = status
            .filter(|_| source == Source::Actuated)
            .and_then(|status| status.resources.as_ref()?.requests.as_ref());
        if let Some(amounts) = actuated.or(allocated) {
            return ResourceList::read(Some(amounts), defects, || {
                format!("status of container {}", container.name)
            });
        }
        if source != Source::Spec && self.infeasible {
            return ResourceList::default();
        }
        let place = |what: &str| format!("spec.{list}[{index}].resources.{what}");
        let mut requests =
            ResourceList::read(container.resources.requests.as_ref(), defects, || {
                place("requests")
            });
        // What is limited but not requested is requested as limited: the API server's default.
        let limits =
            ResourceList::read(Some(&container.resources.limits), defects, || place("limits"));
        for (name, limit) in limits.0 {
            if requests.get(name).is_none() {
                requests.set(name, limit);
            }
        }
        requests
    }

    fn status_of(&self, name: &str) -> Option<&'a ContainerStatus> {
        let lists = [&self.status.container_statuses, &self.status.init_container_statuses];
        lists.into_iter().flatten().find(|status| status.name == name)
    }
}

/// Amounts by resource. Lists are short: looking through them is faster than a map.
#[derive(Clone, Debug, Default)]
struct ResourceList<'a>(Vec<(&'a str, Quantity)>);

impl<'a> ResourceList<'a> {
    fn read(
        amounts: Option<&'a Amounts>,
        defects: &mut Defects,
        place: impl Fn() -> String,
    ) -> Self {
        let amounts = amounts.into_iter().flatten();
        let read = amounts.map(|(name, amount)| {
            let quantity = Quantity::parse(&amount.0);
            let (quantity, wrong) = match quantity {
                Err(error) => (Quantity::default(), error.to_string()),
                Ok(quantity) if quantity.is_negative() => {
                    let wrong = format!("{:?} is negative: expected zero or more", amount.0);
                    (Quantity::default(), wrong)
                }
                Ok(quantity) if quantity.was_too_large() => {
                    let largest = Quantity::LARGEST;
                    let wrong = format!("{:?} is too large: expected at most {largest}", amount.0);
                    (Quantity::LARGEST, wrong)
                }
                Ok(quantity) => return (name.as_str(), quantity),
            };
            defects.add(|| format!("{}.{name}: {wrong}", place()));
            (name.as_str(), quantity)
        });
        Self(read.collect())
    }

    fn get(&self, name: &str) -> Option<Quantity> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, amount)| *amount)
    }

    fn set(&mut self, name: &'a str, amount: Quantity) {
        self.combine(name, amount, |_, new| new);
    }

    fn add(&mut self, others: &Self) {
        for (name, amount) in &others.0 {
            self.combine(name, *amount, Quantity::plus);
        }
    }

    /// The larger amount of each resource.
    fn raise_to(&mut self, others: &Self) {
        for (name, amount) in &others.0 {
            self.combine(name, *amount, Quantity::max);
        }
    }

    fn combine(
        &mut self,
        name: &'a str,
        amount: Quantity,
        how: impl Fn(Quantity, Quantity) -> Quantity,
    ) {
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, known)) => *known = how(*known, amount),
            None => self.0.push((name, amount)),
        }
    }

    /// Only what kube-scheduler looks at; other names mean nothing to it.
    fn to_resources(&self, interner: &Interner) -> Resources {
        let mut resources = Resources::default();
        for (name, amount) in &self.0 {
            match *name {
                "cpu" => resources.cpu = MilliCpu(amount.milli()),
                "memory" => resources.memory = Bytes(amount.units()),
                "ephemeral-storage" => resources.ephemeral_storage = Bytes(amount.units()),
                name if is_countable(name) => {
                    let name: Name = interner.name(name);
                    resources.set_extended(name, amount.units());
                }
                _ => {}
            }
        }
        resources
    }
}

/// Whether kube-scheduler counts a resource of this name (its `IsScalarResourceName`).
fn is_countable(name: &str) -> bool {
    name.contains('/') || name.starts_with("hugepages-") || name.starts_with("attachable-volumes-")
}

#[cfg(test)]
mod tests;
