//! A plan as JSON.

use std::collections::BTreeMap;
use std::io::Write;

use berth_solver::model::{Name, PodKey, Price, Snapshot, Target};
use serde::{Serialize, Serializer};

use super::Made;
use super::input::Input;
use crate::commands::{Failure, output};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    nodes: Vec<Node<'a>>,
    existing: Vec<Existing<'a>>,
    unschedulable: Vec<Unschedulable<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headroom: Vec<Room<'a>>,
    price_per_hour: Price,
    /// What each node counts for beyond its price.
    #[serde(skip_serializing_if = "Price::is_zero")]
    price_per_node: Price,
    /// Of the price and of what nodes count for beyond it.
    lower_bound_per_hour: Price,
    /// `null` if the bound is nothing but the price is not.
    gap: Option<f64>,
    elapsed_ms: f64,
    method: String,
    seed: u64,
}

/// A node to launch.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node<'a> {
    name: &'a str,
    instance_type: &'a str,
    zone: &'a str,
    capacity_type: &'a str,
    price_per_hour: Price,
    /// The pool's `minValues` had to be given up for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    min_values_relaxed: bool,
    #[serde(serialize_with = "as_texts")]
    pods: Vec<&'a PodKey>,
}

/// A node that is there, and the pods that the plan brings to it.
#[derive(Serialize)]
struct Existing<'a> {
    name: &'a str,
    #[serde(serialize_with = "as_texts")]
    pods: Vec<&'a PodKey>,
}

#[derive(Serialize)]
struct Unschedulable<'a> {
    pod: String,
    reason: &'a str,
}

/// Room that is kept free for a CapacityBuffer.
#[derive(Serialize)]
struct Room<'a> {
    buffer: String,
    places: u32,
    /// A launch's, a node's, or a NodeClaim's; none if there is no place.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

/// Why a pod that the plan does not speak of has no place.
pub(super) const GATED: &str = "its schedulingGates hold it back";

/// Pods as people write them, one after the other: there are more of them than of all else.
fn as_texts<S: Serializer>(pods: &[&PodKey], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(pods.iter().map(ToString::to_string))
}

/// Prints the document.
pub(super) fn print(input: &Input, made: &Made, output: &mut dyn Write) -> Result<(), Failure> {
    let plan = &made.plan;
    let mut pods = pods_by_target(&input.snapshot, made);
    let nodes = plan.launches.iter().map(|launch| Node {
        name: &launch.name,
        instance_type: &launch.instance_type,
        zone: &launch.zone,
        capacity_type: launch.capacity_type.as_str(),
        price_per_hour: launch.price,
        min_values_relaxed: launch.min_values_relaxed,
        pods: pods.remove(&launch.name).unwrap_or_default(),
    });
    let nodes = nodes.collect();
    let joined = input.snapshot.nodes.keys().map(|name| (name, Vec::new()));
    let mut existing: BTreeMap<&Name, Vec<&PodKey>> = joined.collect();
    existing.extend(pods);
    let planned = plan.unschedulable.iter().map(|one| (&one.pod, one.reason.as_str()));
    let mut without: Vec<_> = planned.chain(input.gated().map(|pod| (&pod.key, GATED))).collect();
    without.sort_unstable();
    let document = Document {
        nodes,
        existing: existing
            .into_iter()
            .map(|(name, pods)| Existing { name: name.as_str(), pods })
            .collect(),
        unschedulable: without
            .into_iter()
            .map(|(pod, reason)| Unschedulable { pod: pod.to_string(), reason })
            .collect(),
        headroom: plan
            .headroom
            .iter()
            .map(|room| Room {
                buffer: room.buffer.to_string(),
                places: room.places,
                node: room.target.as_ref().map(|target| host(&input.snapshot, target).as_str()),
                reason: &room.reason,
            })
            .collect(),
        price_per_hour: plan.price,
        price_per_node: plan.price_per_node,
        lower_bound_per_hour: plan.lower_bound,
        gap: plan.gap(),
        elapsed_ms: (made.took.as_secs_f64() * 1e6).round() / 1e3,
        method: plan.method.to_string(),
        seed: plan.seed,
    };
    output::print_json(&document, output)
}

/// The pods that the plan brings to each node, by the node's name: a launch's, a node's, or, for
/// a node that has not joined yet, its NodeClaim's.
pub(super) fn pods_by_target<'a>(
    snapshot: &'a Snapshot,
    made: &'a Made,
) -> BTreeMap<&'a Name, Vec<&'a PodKey>> {
    let mut pods: BTreeMap<&Name, Vec<&PodKey>> = BTreeMap::new();
    for placement in &made.plan.placements {
        let name = host(snapshot, &placement.target);
        pods.entry(name).or_default().push(&placement.pod);
    }
    pods
}

/// What a target is called.
fn host<'a>(snapshot: &'a Snapshot, target: &'a Target) -> &'a Name {
    let (Target::Node(name) | Target::Claim(name)) = target;
    snapshot.node_of_target(target).map_or(name, |state| &state.node.name)
}
