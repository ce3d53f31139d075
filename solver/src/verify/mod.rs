//! An independent checker that every plan must pass, whoever made it.
//!
//! It shares nothing with the planner but the model, and judges the end: the picture of the
//! cluster once the plan has been carried out, next to what the snapshot says and what the
//! catalogs sell. It is strict where kube-scheduler or the cloud would refuse, and lenient where a
//! planner may well be more careful than it must (what a leaving node does to topology spread, for
//! instance).

mod affinity;
mod anti_affinity;
mod devices;
mod disruption;
mod headroom;
mod host_ports;
mod launches;
mod limits;
mod listing;
mod min_values;
mod picture;
mod prices;
mod removals;
mod reservations;
mod resources;
mod selection;
mod spread;
mod targets;
#[cfg(test)]
mod testing;
mod volumes;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Name, Plan, PodKey, Snapshot};

use picture::Picture;

pub use disruption::{Limits, verify_disruption};

/// A rule that a plan breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A pod is listed more than once.
    PodListedTwice,
    /// There is no such pod.
    PodUnknown,
    /// There is a pod of that name, but with another UID.
    PodReplaced,
    /// The pod needs no node: it is bound, ended, going, held back, or its node's own.
    PodNeedsNoNode,
    /// The pod makes no sense, so nothing can be planned for it.
    PodDefective,
    /// The pod needs a node and the plan does not speak of it.
    PodForgotten,
    /// There is no such node, claim or launch.
    TargetUnknown,
    /// The target is being deleted or disrupted, or the plan itself removes it.
    TargetLeaving,
    /// The target is cordoned, and the pod does not tolerate that.
    TargetCordoned,
    /// Nobody knows what the target has.
    TargetCapacityUnknown,
    /// The pods (and daemons) planned for a node do not fit.
    TooLittleRoom,
    /// A share of a GPU would not lie on one device.
    GpuShare,
    /// A PersistentVolumeClaim of the pod is not there, cannot be bound, or is another pod's.
    VolumeUnready,
    /// A volume of the pod cannot be used on the node.
    VolumePlace,
    /// More volumes would be attached to the node than it can have.
    VolumeLimit,
    /// The pod's node selector does not select the node.
    NodeSelector,
    /// The pod's required node affinity does not allow the node.
    NodeAffinity,
    /// The pod does not tolerate a taint.
    Taint,
    /// A host port would be taken twice.
    HostPort,
    /// A topology spread constraint would be broken.
    TopologySpread,
    /// A pod affinity would not be met.
    PodAffinity,
    /// A pod anti-affinity would be broken.
    PodAntiAffinity,
    /// The launch's name cannot be a NodeClaim's.
    LaunchName,
    /// The launch's name is taken.
    LaunchNameTaken,
    /// No pod is planned for the launch.
    LaunchUnused,
    /// The launch's pool is not there, being deleted, or not ready.
    LaunchPool,
    /// The pool's cloud does not sell that, or not now.
    LaunchOffering,
    /// The launch's price is not the catalog's.
    LaunchPrice,
    /// The launch's capacity or allocatable is not the catalog's.
    LaunchCapacity,
    /// The launch's labels, taints or requirements are not what pool, type and zone make them.
    LaunchTemplate,
    /// The launch's requests are not what its pods and daemons ask for.
    LaunchRequests,
    /// A limit of the pool would be exceeded.
    PoolLimit,
    /// More reserved machines would be launched than there are.
    ReservationExceeded,
    /// Too few values of a label would have been possible for the launch (`minValues`).
    MinValues,
    /// Room is kept for a buffer that is not there, or not as much as the plan says.
    Headroom,
    /// The plan's price is not the sum of its launches'.
    PriceSum,
    /// The lower bound is over the price.
    LowerBound,
    /// The claim to remove is not there, another one by now, or going already.
    RemovalUnknown,
    /// The claim is removed twice.
    RemovalTwice,
    /// The node to remove as empty has pods that belong elsewhere.
    RemovalNotEmpty,
    /// Something forbids that the node be disrupted.
    RemovalForbidden,
    /// A pod of a removed node has no other place.
    RemovalLosesPod,
    /// More nodes of a pool would go than its disruption budgets allow.
    DisruptionBudget,
    /// A PodDisruptionBudget lets fewer pods go.
    PodDisruptionBudget,
}

/// A rule that a plan breaks, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Violation {
    /// Which rule.
    pub code: Code,
    /// What is wrong, with the names of what it is about.
    pub message: String,
    /// The planned pod whose place is at fault, where it is one pod's: without it there may be
    /// nothing wrong.
    pub pod: Option<PodKey>,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.code, self.message)
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, code: Code, message: impl Into<String>) {
        self.0.push(Violation { code, message: message.into(), pod: None });
    }

    /// The same about the place of one pod.
    fn blame(&mut self, code: Code, pod: &PodKey, message: impl Into<String>) {
        self.0.push(Violation { code, message: message.into(), pod: Some(pod.clone()) });
    }
}

/// Checks a plan against the snapshot that it was made from: nothing, if it may be carried out.
///
/// `schedulers` are the names of the schedulers whose pods must be planned for
/// (`spec.schedulerName`). Time is the plan's own (`made_at`).
pub fn verify(snapshot: &Snapshot, schedulers: &[Name], plan: &Plan) -> Vec<Violation> {
    let mut findings = Findings::default();
    listing::check(snapshot, schedulers, plan, &mut findings);
    let picture = Picture::after(snapshot, plan);
    targets::check(&picture, plan, &mut findings);
    selection::check(&picture, &mut findings);
    resources::check(&picture, &mut findings);
    devices::check(&picture, &mut findings);
    volumes::check(snapshot, &picture, &mut findings);
    host_ports::check(&picture, &mut findings);
    spread::check(&picture, &mut findings);
    affinity::check(&picture, &mut findings);
    anti_affinity::check(&picture, &mut findings);
    headroom::check(snapshot, &picture, plan, &mut findings);
    launches::check(snapshot, plan, &mut findings);
    min_values::check(snapshot, &picture, &mut findings);
    limits::check(snapshot, plan, &mut findings);
    reservations::check(snapshot, plan, &mut findings);
    prices::check(plan, &mut findings);
    removals::check(snapshot, plan, &mut findings);
    findings.0
}
