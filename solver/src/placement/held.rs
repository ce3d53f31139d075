use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::HashMap;
use foldhash::fast::RandomState;
use imbl::ordmap::DiffItem;
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdMap};

use super::exchange::Exchange;
use super::{Kept, Placer, StandingPlan};
use crate::model::{Name, NodeClaim, NodeState, Pod, PodKey, Resources, Snapshot, Target};

/// A standing plan the other way round: which pods go to a place.
///
/// Made once for each standing plan, since it takes a walk over all pending pods, and brought up
/// to date with what changed since: kube-scheduler must not wait for a walk in each call.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The pods that waited and the claims that there were when this was up to date.
    unbound: OrdMap<PodKey, Arc<Pod>>,
    claims: OrdMap<Name, Arc<NodeClaim>>,
    places: GenericHashMap<Target, Arc<Place>, RandomState, DefaultSharedPtr>,
    /// The places that have a node's name.
    by_node: GenericHashMap<Name, Vec<Home>, RandomState, DefaultSharedPtr>,
    /// Claims that do not say yet which node is theirs.
    unsettled: imbl::OrdSet<Name>,
    /// Where pods that are as good as each other are to come.
    exchange: Exchange,
}

/// A place and the pods that are to come.
#[derive(Clone, Debug, Default, PartialEq)]
struct Place {
    pods: Vec<Arc<Pod>>,
    /// What those take together whose priority is at least so much, the highest first.
    taken: Vec<(i32, Resources)>,
}

/// A place that a node's name stands for.
#[derive(Clone, Debug, PartialEq)]
struct Home {
    target: Target,
    /// The claim's machine: a node of that name on another one is not the place.
    provider_id: Option<Name>,
}

impl Place {
    fn count(&mut self) {
        let mut alive: Vec<&Arc<Pod>> =
            self.pods.iter().filter(|pod| pod.deleted.is_none()).collect();
        alive.sort_by_key(|pod| std::cmp::Reverse(pod.shape.priority));
        let (mut taken, mut sum) = (Vec::new(), Resources::default());
        for pod in alive {
            sum += &pod.shape.requests;
            match taken.last_mut() {
                Some((priority, so_far)) if *priority == pod.shape.priority => {
                    *so_far = sum.clone();
                }
                _ => taken.push((pod.shape.priority, sum.clone())),
            }
        }
        self.taken = taken;
    }

    /// What pods take that matter as much as this one, itself left out where this is its own place.
    fn taken_from(&self, pod: &Pod, is_own: bool) -> Resources {
        if is_own {
            let others = self.pods.iter().filter(|one| one.uid != pod.uid);
            let others = others.filter(|one| one.deleted.is_none());
            let others = others.filter(|one| one.shape.priority >= pod.shape.priority);
            return others.map(|one| &one.shape.requests).sum();
        }
        let matter = self.taken.iter().rev().find(|(from, _)| *from >= pod.shape.priority);
        matter.map(|(_, taken)| taken.clone()).unwrap_or_default()
    }
}

impl Expected {
    /// Of the pods that are pending, those that the plan speaks of.
    pub fn of(plan: &StandingPlan, snapshot: &Snapshot) -> Self {
        Self::default().follow(plan, snapshot)
    }

    /// Whether this is up to date with a snapshot.
    pub fn is_up_to_date(&self, snapshot: &Snapshot) -> bool {
        self.unbound.ptr_eq(&snapshot.unbound) && self.claims.ptr_eq(&snapshot.claims)
    }

    /// The same plan with a newer snapshot (or an older one). Takes as long as much has changed.
    #[must_use]
    pub fn follow(&self, plan: &StandingPlan, snapshot: &Snapshot) -> Self {
        let mut next = self.clone();
        next.claims = snapshot.claims.clone();
        next.unbound = snapshot.unbound.clone();
        for change in self.claims.diff(&snapshot.claims) {
            let (name, old, new) = match change {
                DiffItem::Add(name, new) => (name, None, Some(new)),
                DiffItem::Update { old: (name, old), new: (_, new) } => {
                    (name, Some(old), Some(new))
                }
                DiffItem::Remove(name, old) => (name, Some(old), None),
            };
            let target = Target::Claim(name.clone());
            if next.places.contains_key(&target) {
                next.leave(&target, old.map(AsRef::as_ref));
                next.settle(&target, new.map(AsRef::as_ref));
            }
        }
        let mut touched = BTreeSet::new();
        for change in self.unbound.diff(&snapshot.unbound) {
            let (old, new) = match change {
                DiffItem::Add(_, new) => (None, Some(new)),
                DiffItem::Update { old: (_, old), new: (_, new) } => (Some(old), Some(new)),
                DiffItem::Remove(_, old) => (Some(old), None),
            };
            if let Some((target, old)) =
                old.and_then(|pod| Some((plan.targets.get(&pod.uid)?, pod)))
            {
                let place = Arc::make_mut(next.places.entry(target.clone()).or_default());
                place.pods.retain(|pod| pod.uid != old.uid);
                next.exchange.remove(old, target);
                touched.insert(target);
            }
            if let Some((target, new)) =
                new.and_then(|pod| Some((plan.targets.get(&pod.uid)?, pod)))
            {
                let place = next.places.entry(target.clone()).or_default();
                Arc::make_mut(place).pods.push(Arc::clone(new));
                next.exchange.add(new, target);
                touched.insert(target);
            }
        }
        touched.into_iter().for_each(|target| next.count(target));
        next
    }

    /// Where pods that are as good as each other are to come.
    pub(super) const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Adds up anew who comes to a place, and forgets it when nobody does.
    fn count(&mut self, target: &Target) {
        let claim = match target {
            Target::Node(_) => None,
            Target::Claim(name) => self.claims.get(name).map(Arc::clone),
        };
        let claim = claim.as_deref();
        match self.places.get_mut(target) {
            Some(place) if !place.pods.is_empty() => {
                Arc::make_mut(place).count();
                self.settle(target, claim);
            }
            _ => {
                self.places.remove(target);
                self.leave(target, claim);
            }
        }
    }

    /// Notes by which node's name a place is found.
    fn settle(&mut self, target: &Target, claim: Option<&NodeClaim>) {
        let Some(node) = node_name(target, claim) else {
            if let (Target::Claim(name), Some(_)) = (target, claim) {
                self.unsettled.insert(name.clone());
            }
            return;
        };
        let provider_id = claim.and_then(|claim| claim.provider_id.clone());
        let home = Home { target: target.clone(), provider_id };
        let homes = self.by_node.entry(node.clone()).or_default();
        if !homes.contains(&home) {
            homes.push(home);
        }
    }

    fn leave(&mut self, target: &Target, claim: Option<&NodeClaim>) {
        if let Target::Claim(name) = target {
            self.unsettled.remove(name);
        }
        let Some(node) = node_name(target, claim) else { return };
        let Some(homes) = self.by_node.get_mut(node) else { return };
        homes.retain(|home| home.target != *target);
        if homes.is_empty() {
            self.by_node.remove(node);
        }
    }
}

fn node_name<'a>(target: &'a Target, claim: Option<&'a NodeClaim>) -> Option<&'a Name> {
    match target {
        Target::Node(name) => Some(name),
        Target::Claim(_) => claim?.node_name.as_ref(),
    }
}

/// What is to be kept free on nodes, for one pod.
pub(super) struct Held<'a> {
    expected: &'a Expected,
    /// Places of claims that do not say which node is theirs, by the node that has their machine.
    unsettled: HashMap<&'a str, Vec<(&'a Name, &'a Place)>>,
    /// Places of pods that do not exist yet, by node.
    kept: HashMap<&'a str, Vec<&'a Kept>>,
    /// Where the plan wants the pod itself. If nowhere, one of the kept places may be its own.
    own: Option<&'a Target>,
    pod: &'a Pod,
}

impl<'a> Placer<'a> {
    /// What is to be kept free on each node for pods that the plan sends there and that are not
    /// bound yet, as far as they matter as much as this pod.
    ///
    /// A pod counts here until a watch shows it bound, and from then on among the pods of the
    /// node: never twice, never not at all.
    pub(super) fn held(&self, snapshot: &'a Snapshot, pod: &'a Pod) -> Option<Held<'a>> {
        let expected = self.expected?;
        let mut unsettled: HashMap<_, Vec<_>> = HashMap::default();
        for name in &expected.unsettled {
            let claim = snapshot.claims.get(name);
            let node = claim.and_then(|claim| snapshot.node_of_claim(claim));
            let place = expected.places.get(&Target::Claim(name.clone()));
            if let (Some(node), Some(place)) = (node, place) {
                unsettled.entry(&*node.node.name).or_default().push((name, &**place));
            }
        }
        let mut kept: HashMap<_, Vec<_>> = HashMap::default();
        for one in &self.plan.kept {
            kept.entry(one.node.as_str()).or_default().push(one);
        }
        let own = self.plan.targets.get(&pod.uid);
        Some(Held { expected, unsettled, kept, own, pod })
    }
}

impl Held<'_> {
    /// Whether anything may have to be kept free on the node of that name.
    pub(super) fn is_any_on(&self, node: &str) -> bool {
        self.expected.by_node.contains_key(node)
            || self.unsettled.contains_key(node)
            || self.kept.contains_key(node)
    }

    /// What is to be kept free on a node, if that is anything.
    pub(super) fn on(&self, state: &NodeState) -> Option<Resources> {
        let node = &*state.node.name;
        let homes = self.expected.by_node.get(node);
        let unsettled = self.unsettled.get(node);
        let kept = self.kept.get(node);
        let mut taken = Resources::default();
        for home in homes.into_iter().flatten() {
            let other_machine = |id: &Name| *id != *state.node.provider_id.as_ref().unwrap_or(id);
            if home.provider_id.as_ref().is_some_and(other_machine) {
                continue;
            }
            if let Some(place) = self.expected.places.get(&home.target) {
                taken += &place.taken_from(self.pod, self.own == Some(&home.target));
            }
        }
        for (claim, place) in unsettled.into_iter().flatten() {
            let is_own = matches!(self.own, Some(Target::Claim(own)) if own == *claim);
            taken += &place.taken_from(self.pod, is_own);
        }
        let mut own = self.own.is_none();
        for one in kept.into_iter().flatten() {
            if own && one.suits(self.pod) {
                own = false;
            } else if one.shape.priority >= self.pod.shape.priority {
                taken += &one.shape.requests;
            }
        }
        (taken != Resources::default()).then_some(taken)
    }
}

#[cfg(test)]
mod tests;
