//! What a peer itself decided, in the form of our plans, so that `verify` can look at it.

use std::collections::{BTreeMap, HashMap};

use thiserror::Error;

use crate::model::{CapacityType, Method, Name, Plan, PodKey, Snapshot, Timestamp};
use crate::packing::Settings;
use crate::packing::bins::Place;

use super::outcome::{Launching, Member, Outcome, empty_plan};
use super::world::{Kind, World};

/// A node that a peer launches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerNode {
    /// The NodePool that it is of.
    pub pool: Name,
    /// The instance type.
    pub instance_type: Name,
    /// The zone.
    pub zone: Name,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// The pods that it is for.
    pub pods: Vec<PodKey>,
}

/// What a peer decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerPlan {
    /// The nodes that it launches.
    pub launches: Vec<PeerNode>,
    /// The pods that it brings to nodes that are there, by the node's name.
    pub existing: Vec<(Name, Vec<PodKey>)>,
    /// The pods that it leaves without a place, and why.
    pub unplaced: Vec<(PodKey, String)>,
}

/// Something that a peer speaks of and that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no {kind} {name} to plan with")]
pub struct UnknownName {
    kind: &'static str,
    name: String,
}

impl UnknownName {
    fn new(kind: &'static str, name: impl ToString) -> Self {
        Self { kind, name: name.to_string() }
    }
}

impl PeerPlan {
    /// The plan that says the same. It is what the peer decided, whether it holds or not: its
    /// bound is nothing, and nobody has checked it yet.
    ///
    /// # Errors
    /// When it speaks of a pod, a node or an offering that the snapshot does not have.
    pub fn into_plan(
        self,
        snapshot: &Snapshot,
        settings: &Settings,
        method: Method,
        now: Timestamp,
    ) -> Result<Plan, UnknownName> {
        let world = World::new(snapshot, settings, |shape| vec![Kind::actual(shape)]);
        let waiting = Waiting::of(&world);
        let rows = rows(&world);
        let mut outcome =
            Outcome { on_bins: vec![Vec::new(); world.bins.len()], ..Default::default() };
        for (name, pods) in self.existing {
            let bin = world.bins.iter().position(|bin| match &bin.place {
                Place::Node(other) | Place::Claim(other) => *other == name,
            });
            match bin {
                Some(bin) => outcome.on_bins[bin] = waiting.members(&pods)?,
                None if pods.is_empty() => {}
                None => return Err(UnknownName::new("node", name)),
            }
        }
        for node in self.launches {
            let members = waiting.members(&node.pods)?;
            let row = chosen(&world, &rows, &node, &members)?;
            outcome.launches.push(Launching { row, members });
        }
        for (pod, why) in self.unplaced {
            // Pods that make no sense are listed by the world itself.
            if let Ok(member) = waiting.member(&pod) {
                outcome.unplaced.push((member, why));
            }
        }
        Ok(outcome.into_unchecked(&world, method, empty_plan(snapshot, now, 0)))
    }
}

/// The pods that wait, by name.
struct Waiting(HashMap<PodKey, Member>);

impl Waiting {
    fn of(world: &World<'_>) -> Self {
        let groups = world.groups.iter().enumerate();
        let members = groups.flat_map(|(group, data)| {
            data.pods.iter().map(move |pod| (pod.key.clone(), Member { group, pod: pod.clone() }))
        });
        Self(members.collect())
    }

    fn member(&self, pod: &PodKey) -> Result<Member, UnknownName> {
        self.0.get(pod).cloned().ok_or_else(|| UnknownName::new("pending pod", pod))
    }

    fn members(&self, pods: &[PodKey]) -> Result<Vec<Member>, UnknownName> {
        pods.iter().map(|pod| self.member(pod)).collect()
    }
}

/// What is sold, by pool, type, zone and capacity type.
type Rows<'w> = BTreeMap<(&'w str, &'w str, &'w str, CapacityType), Vec<usize>>;

fn rows<'w>(world: &'w World<'_>) -> Rows<'w> {
    let mut rows: Rows<'w> = BTreeMap::new();
    for (index, row) in world.rows.iter().enumerate() {
        let Some(machine) = world.machine(row) else { continue };
        let Some(sold) = machine.offerings.get(row.offering) else { continue };
        let pool = world.pools[row.pool].pool.name.as_str();
        let key = (pool, machine.name.as_str(), sold.zone.as_str(), sold.capacity_type);
        rows.entry(key).or_default().push(index);
    }
    rows
}

/// The row of a node: where there is a choice of labels, one that goes with its pods.
fn chosen(
    world: &World<'_>,
    rows: &Rows<'_>,
    node: &PeerNode,
    members: &[Member],
) -> Result<usize, UnknownName> {
    let key =
        (node.pool.as_str(), node.instance_type.as_str(), node.zone.as_str(), node.capacity_type);
    let choices = rows.get(&key).map_or(&[][..], Vec::as_slice);
    let goes = |row: &&usize| {
        members.iter().all(|one| world.kinds[world.groups[one.group].actual].rows.contains(**row))
    };
    choices.iter().find(goes).or_else(|| choices.first()).copied().ok_or_else(|| {
        let (pool, kind, zone, capacity_type) = key;
        UnknownName::new("offering", format!("{kind} in {zone}, {capacity_type}, of pool {pool}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, mixed_catalog, pool, price, shape};
    use crate::verify::{Code, verify};

    fn node(pods: &[&str]) -> PeerNode {
        let key = |name: &&str| PodKey { namespace: "default".into(), name: Name::from(*name) };
        PeerNode {
            pool: "default".into(),
            instance_type: "c2.amd64".into(),
            zone: "zone-a".into(),
            capacity_type: CapacityType::OnDemand,
            pods: pods.iter().map(key).collect(),
        }
    }

    fn snapshot() -> Snapshot {
        let shape = shape(1_500, 512).build();
        let pods = crate::testing::pods("p", 2, &shape);
        cluster().pool(pool("default"), mixed_catalog()).pods(pods).snapshot()
    }

    fn plan(launches: Vec<PeerNode>) -> Result<Plan, UnknownName> {
        let decided = PeerPlan { launches, ..Default::default() };
        let now = Timestamp::from_seconds(1);
        decided.into_plan(&snapshot(), &Settings::default(), Method::Karpenter, now)
    }

    #[test]
    fn what_a_peer_decided_is_checked_as_ours_is() {
        let codes = |plan: &Plan| -> Vec<Code> {
            let names = Settings::default().scheduler_names;
            verify(&snapshot(), &names, plan).into_iter().map(|one| one.code).collect()
        };
        let good = plan(vec![node(&["p-0"]), node(&["p-1"])]).unwrap();
        assert_eq!(codes(&good), []);
        let each = snapshot().catalogs["default"]
            .price("c2.amd64", "zone-a", CapacityType::OnDemand)
            .unwrap();
        assert_eq!(good.price, each + each);
        assert!(good.price > price(0.0));
        let crowded = plan(vec![node(&["p-0", "p-1"])]).unwrap();
        assert_eq!(codes(&crowded), [Code::TooLittleRoom]);
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        let lost = plan(vec![node(&["p-9"])]).unwrap_err();
        assert_eq!(lost.to_string(), "there is no pending pod default/p-9 to plan with");
        let dream = PeerNode { zone: "moon".into(), ..node(&["p-0"]) };
        assert_eq!(
            plan(vec![dream]).unwrap_err().to_string(),
            "there is no offering c2.amd64 in moon, on-demand, of pool default to plan with"
        );
    }
}
