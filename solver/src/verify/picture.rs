//! The cluster as it will be once the plan has been carried out.

use std::fmt;
use std::sync::Arc;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashSet};

use crate::model::{
    DaemonSet, LabelSelector, Labels, Launch, Name, NodeClaim, NodeState, Owner, Plan, Pod,
    PodAffinityTerm, PodShape, Resident, Resources, Snapshot, Taint, TaintEffect, Target,
    well_known,
};

use super::listing;

/// Which of the picture's shapes.
pub(super) type ShapeId = usize;
/// Which of the picture's hosts.
pub(super) type HostId = usize;

/// How many pods of one shape are on a host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// Bound to it and staying, or daemons to come.
    pub there: u32,
    /// Bound to it and terminating.
    pub terminating: u32,
    /// Placed there by the plan.
    pub placed: u32,
}

impl Count {
    /// All of them.
    pub fn all(self) -> u32 {
        self.there + self.terminating + self.placed
    }
}

/// What a host is and its name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Title<'a> {
    Node(&'a Name),
    NodeClaim(&'a Name),
    Launch(&'a Name),
}

impl fmt::Display for Title<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(formatter, "node {name}"),
            Self::NodeClaim(name) => write!(formatter, "NodeClaim {name}"),
            Self::Launch(name) => write!(formatter, "launch {name}"),
        }
    }
}

/// A node, or what becomes one.
#[derive(Debug)]
pub(super) struct Host<'a> {
    /// What people call it.
    pub title: Title<'a>,
    /// The launch, if it is one.
    pub launch: Option<&'a Launch>,
    /// The node, if it is there.
    pub node: Option<&'a NodeState>,
    /// Labels that it will have.
    pub labels: Labels,
    /// Taints that it will keep.
    pub taints: Vec<Taint>,
    /// Why it takes no pods any more.
    pub leaving: Option<&'static str>,
    /// Whether it is cordoned.
    pub cordoned: bool,
    /// What pods can have of it; `None` if nobody knows.
    pub allocatable: Option<Resources>,
    /// What pods that are there, and daemons that are still to come, take.
    pub taken: Resources,
    /// The daemons among that.
    pub daemons: Resources,
    /// What the plan's pods take on top.
    pub planned: Resources,
    /// Pods by shape: most hosts have few.
    pub pods: Vec<(ShapeId, Count)>,
}

impl Host<'_> {
    /// How many pods of a shape are on it.
    pub fn count(&self, shape: ShapeId) -> Count {
        let at = self.pods.binary_search_by_key(&shape, |(other, _)| *other);
        at.map_or_else(|_| Count::default(), |at| self.pods[at].1)
    }

    fn count_mut(&mut self, shape: ShapeId) -> &mut Count {
        let at = self.pods.binary_search_by_key(&shape, |(other, _)| *other);
        let at = at.unwrap_or_else(|at| {
            self.pods.insert(at, (shape, Count::default()));
            at
        });
        &mut self.pods[at].1
    }
}

/// A pod and where the plan puts it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub pod: &'a Pod,
    pub shape: ShapeId,
    pub host: HostId,
}

/// The cluster once the plan has been carried out.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    pub hosts: Vec<Host<'a>>,
    pub shapes: Vec<&'a PodShape>,
    pub placed: Vec<Placed<'a>>,
    namespaces: &'a imbl::OrdMap<Name, Labels>,
    shape_ids: HashMap<*const PodShape, ShapeId>,
    by_node: HashMap<&'a str, HostId>,
    by_claim: HashMap<&'a str, HostId>,
}

impl<'a> Picture<'a> {
    /// The picture after `plan`. Pods, nodes and claims that are not there are left out.
    pub fn after(snapshot: &'a Snapshot, plan: &'a Plan) -> Self {
        let most_hosts = snapshot.nodes.len() + snapshot.claims.len() + plan.launches.len();
        let mut picture = Self {
            hosts: Vec::with_capacity(most_hosts),
            shapes: Vec::new(),
            placed: Vec::with_capacity(plan.placements.len()),
            namespaces: &snapshot.namespaces,
            shape_ids: HashMap::default(),
            by_node: HashMap::with_capacity_and_hasher(most_hosts, RandomState::default()),
            by_claim: HashMap::with_capacity_and_hasher(most_hosts, RandomState::default()),
        };
        // Pods that the plan moves off nodes that it removes count where they go.
        let removed = listing::removed_nodes(plan);
        let placed: HashSet<&Name> = plan.placements.iter().map(|one| &one.uid).collect();
        let moved = |pod: &Pod| listing::leaves(pod) && placed.contains(&pod.uid);
        for state in snapshot.nodes.values() {
            let goes = removed.contains(&state.node.name);
            picture.add_node(snapshot, state, &|pod| goes && moved(pod));
        }
        for claim in snapshot.claims.values() {
            if !picture.by_claim.contains_key(claim.name.as_str()) {
                picture.add_claim(snapshot, claim);
            }
        }
        for launch in &plan.launches {
            picture.add_launch(snapshot, launch);
        }
        for removal in &plan.removals {
            if let Some(host) = picture.by_claim.get(removal.claim.as_str()) {
                picture.hosts[*host].leaving = Some("is removed by the same plan");
            }
        }
        for placement in &plan.placements {
            let pod = snapshot.pods.get(&placement.pod).filter(|pod| pod.uid == placement.uid);
            if let (Some(pod), Some(host)) = (pod, picture.host_of(&placement.target)) {
                picture.place(pod, host);
            }
        }
        for headroom in &plan.headroom {
            let buffer = snapshot.buffers.get(&headroom.buffer);
            let host = headroom.target.as_ref().and_then(|target| picture.host_of(target));
            if let (Some(buffer), Some(host)) = (buffer, host) {
                let mut asked = asked_for(&buffer.shape);
                asked.pods = asked.pods.max(1);
                picture.hosts[host].planned += &asked.times(i64::from(headroom.places));
            }
        }
        picture
    }

    /// The host that a target means.
    pub fn host_of(&self, target: &Target) -> Option<HostId> {
        match target {
            Target::Node(name) => self.by_node.get(name.as_str()).copied(),
            Target::Claim(name) => self.by_claim.get(name.as_str()).copied(),
        }
    }

    /// Which shapes a selector means, if it looks at pods of one namespace.
    pub fn selected_in(&self, namespace: &str, selector: &LabelSelector) -> Vec<bool> {
        self.shapes
            .iter()
            .map(|shape| shape.namespace == *namespace && selector.matches(&shape.labels))
            .collect()
    }

    /// Which shapes an affinity term means.
    pub fn selected_by(&self, term: &PodAffinityTerm) -> Vec<bool> {
        let no_labels = Labels::default();
        self.shapes
            .iter()
            .map(|shape| {
                let in_namespace = term.namespaces.contains(&shape.namespace)
                    || term.namespace_selector.as_ref().is_some_and(|selector| {
                        let labels = self.namespaces.get(&shape.namespace).unwrap_or(&no_labels);
                        selector.matches(labels)
                    });
                in_namespace && term.selector.matches(&shape.labels)
            })
            .collect()
    }

    /// The plan's pods of one shape.
    pub fn placed_of(&self, shape: ShapeId) -> impl Iterator<Item = &Placed<'a>> {
        self.placed.iter().filter(move |placed| placed.shape == shape)
    }

    fn shape_id(&mut self, shape: &'a Arc<PodShape>) -> ShapeId {
        *self.shape_ids.entry(Arc::as_ptr(shape)).or_insert_with(|| {
            self.shapes.push(shape);
            self.shapes.len() - 1
        })
    }

    fn place(&mut self, pod: &'a Pod, host: HostId) {
        let shape = self.shape_id(&pod.shape);
        let at = &mut self.hosts[host];
        at.count_mut(shape).placed += 1;
        at.planned += &asked_for(&pod.shape);
        self.placed.push(Placed { pod, shape, host });
    }

    fn add_node(
        &mut self,
        snapshot: &'a Snapshot,
        state: &'a NodeState,
        moved: &impl Fn(&Pod) -> bool,
    ) {
        let node = &*state.node;
        let claim = snapshot.claim_of_node(node);
        let coming_up = claim.filter(|claim| {
            !claim.is(well_known::condition::INITIALIZED)
                && node.label(well_known::INITIALIZED_LABEL).is_none_or(|value| *value != *"true")
        });
        let leaving = if node.deleted.is_some() || claim.is_some_and(|one| one.deleted.is_some()) {
            Some("is being deleted")
        } else if node.has_taint(well_known::DISRUPTED_TAINT) {
            Some("is being disrupted")
        } else {
            None
        };
        let kept = |taint: &&Taint| coming_up.is_none_or(|claim| !passes(taint, claim));
        let allocatable = match coming_up.and_then(|claim| claim.allocatable.as_ref()) {
            // Device plugins have not spoken yet, kubelet perhaps neither.
            Some(promised) => node.allocatable.larger(promised),
            None => node.allocatable.clone(),
        };
        let host = Host {
            title: Title::Node(&node.name),
            launch: None,
            node: Some(state),
            labels: node.labels.clone(),
            taints: node.taints.iter().filter(kept).cloned().collect(),
            leaving,
            cordoned: node.unschedulable,
            allocatable: Some(allocatable),
            taken: Resources::default(),
            daemons: Resources::default(),
            planned: Resources::default(),
            pods: Vec::new(),
        };
        let id = self.add(host);
        self.by_node.insert(node.name.as_str(), id);
        if let Some(claim) = claim {
            self.by_claim.insert(claim.name.as_str(), id);
        }
        // What is common has not ended and does not terminate.
        let is_there = |pod: &&Resident| pod.common().is_some() || pod.is_alive();
        for pod in state.pods.values().filter(|pod| is_there(pod) && !moved(pod)) {
            let shape = self.shape_id(pod.shape());
            let count = self.hosts[id].count_mut(shape);
            if pod.common().is_none() && pod.deleted.is_some() {
                count.terminating += 1;
            } else {
                count.there += 1;
            }
            self.hosts[id].taken += &pod.shape().requests;
        }
        if coming_up.is_some() {
            self.add_daemons(snapshot, id, |daemon| {
                !state.pods.values().any(|pod| is_of(daemon, pod))
            });
        }
    }

    fn add_claim(&mut self, snapshot: &'a Snapshot, claim: &'a NodeClaim) {
        let allocatable = claim.allocatable.clone().or_else(|| {
            let catalog = snapshot.catalogs.get(claim.pool()?)?;
            Some(catalog.get(claim.instance_type()?)?.allocatable())
        });
        let id = self.add(Host {
            title: Title::NodeClaim(&claim.name),
            launch: None,
            node: None,
            labels: with_host_name(&claim.node_labels(), &claim.name),
            taints: claim.taints.to_vec(),
            leaving: claim.deleted.map(|_| "is being deleted"),
            cordoned: false,
            allocatable,
            taken: Resources::default(),
            daemons: Resources::default(),
            planned: Resources::default(),
            pods: Vec::new(),
        });
        self.by_claim.insert(claim.name.as_str(), id);
        self.add_daemons(snapshot, id, |_| true);
    }

    fn add_launch(&mut self, snapshot: &'a Snapshot, launch: &'a Launch) {
        let id = self.add(Host {
            title: Title::Launch(&launch.name),
            launch: Some(launch),
            node: None,
            labels: with_host_name(&launch.labels, &launch.name),
            taints: launch.taints.to_vec(),
            leaving: None,
            cordoned: false,
            allocatable: Some(launch.allocatable.clone()),
            taken: Resources::default(),
            daemons: Resources::default(),
            planned: Resources::default(),
            pods: Vec::new(),
        });
        // A name that is taken is reported elsewhere; the first one keeps it here.
        self.by_claim.entry(launch.name.as_str()).or_insert(id);
        self.add_daemons(snapshot, id, |_| true);
    }

    fn add(&mut self, host: Host<'a>) -> HostId {
        self.hosts.push(host);
        self.hosts.len() - 1
    }

    /// Adds the pods that DaemonSets will put on a host.
    fn add_daemons(
        &mut self,
        snapshot: &'a Snapshot,
        host: HostId,
        is_missing: impl Fn(&DaemonSet) -> bool,
    ) {
        for daemon in snapshot.daemon_sets.values() {
            let at = &self.hosts[host];
            let runs = selects(&daemon.shape, &at.labels)
                && !at.taints.iter().any(|taint| keeps_off(taint, &daemon.shape));
            if runs && is_missing(daemon) {
                let shape = self.shape_id(&daemon.shape);
                let at = &mut self.hosts[host];
                at.count_mut(shape).there += 1;
                let requests = asked_for(&daemon.shape);
                at.taken += &requests;
                at.daemons += &requests;
            }
        }
    }
}

/// What a pod asks for; a negative amount asks for nothing.
pub(super) fn asked_for(shape: &PodShape) -> Resources {
    shape.requests.larger(&Resources::default())
}

/// Whether node selector and required node affinity allow a node with these labels.
pub(super) fn selects(shape: &PodShape, labels: &Labels) -> bool {
    let selected = shape.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value));
    let affine =
        shape.node_affinity.is_empty() || shape.node_affinity.iter().any(|term| term.allow(labels));
    selected && affine
}

/// Whether a taint keeps a pod of that shape off.
pub(super) fn keeps_off(taint: &Taint, shape: &PodShape) -> bool {
    taint.effect != TaintEffect::PreferNoSchedule
        && !shape.tolerations.iter().any(|toleration| toleration.tolerates(taint))
}

/// Whether a taint will be gone once the claim's node is up.
fn passes(taint: &Taint, claim: &NodeClaim) -> bool {
    const UNTIL_UP: [&str; 4] = [
        well_known::NOT_READY_TAINT,
        well_known::UNREACHABLE_TAINT,
        well_known::CLOUD_UNINITIALIZED_TAINT,
        well_known::UNREGISTERED_TAINT,
    ];
    UNTIL_UP.contains(&taint.key.as_str())
        || claim
            .startup_taints
            .iter()
            .any(|startup| startup.key == taint.key && startup.effect == taint.effect)
}

fn is_of(daemon: &DaemonSet, pod: &Pod) -> bool {
    matches!(&pod.owner, Owner::DaemonSet(owner)
        if *owner == daemon.uid
            || (*owner == daemon.key.name && pod.key.namespace == daemon.key.namespace))
}

/// A node that Berth launches has its claim's name for a host name.
fn with_host_name(labels: &Labels, name: &Name) -> Labels {
    if labels.get(well_known::HOSTNAME_LABEL).is_some() {
        return labels.clone();
    }
    labels.with([(well_known::HOSTNAME_LABEL.into(), name.clone())])
}
