//! Counters of pods by domain, and which groups go by which of them.
//!
//! Spread, affinity and anti-affinity all ask the same: how many pods of a kind are in each
//! domain of a node label? Each such question is a [`Counter`]. The host name's domains are the
//! bins themselves, so their counts live there; all other labels' domains are counted here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::constraints::topology_spread::Standing;
use crate::constraints::{pod_affinity, topology_spread};
use crate::model::{
    Labels, Name, Pod, PodAffinityTerm, PodShape, Snapshot, TopologySpread, well_known,
};

use super::groups::Group;

/// The domain of a node that does not carry the label.
pub const NO_DOMAIN: u32 = u32::MAX;

/// Where a counter's domains come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The host name: each bin is its own domain.
    Host,
    /// Another label, by its index in [`Topology::keys`].
    Label(usize),
}

/// Which pods a counter counts.
#[derive(Clone, Debug)]
enum Kind {
    /// Those a spread constraint of this shape selects.
    Spread(Arc<PodShape>, TopologySpread),
    /// Those that match all affinity terms of this shape.
    Affinity(Arc<PodShape>),
    /// Those that a term of anti-affinity means.
    Anti(PodAffinityTerm),
    /// Those that have this term of anti-affinity themselves.
    Owners(PodAffinityTerm),
}

impl Kind {
    /// Whether both count the same pods on the same nodes.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Spread(one, left), Self::Spread(another, right)) => {
                left == right
                    && one.namespace == another.namespace
                    && one.node_selector == another.node_selector
                    && one.node_affinity == another.node_affinity
                    && one.tolerations == another.tolerations
                    && one.topology_spread == another.topology_spread
            }
            (Self::Affinity(one), Self::Affinity(another)) => {
                one.namespace == another.namespace && one.affinity == another.affinity
            }
            (Self::Anti(left), Self::Anti(right)) | (Self::Owners(left), Self::Owners(right)) => {
                left == right
            }
            _ => false,
        }
    }
}

/// How many pods of a kind are in each domain.
#[derive(Clone, Debug)]
pub struct Counter {
    kind: Kind,
    /// Where its domains come from.
    pub key: Key,
    /// Pods by domain; unused for hosts.
    pub counts: Vec<u32>,
    /// Whether a node of the domain is there that counts for the constraint.
    pub present: Vec<bool>,
    /// All of them.
    pub total: u32,
}

impl Counter {
    /// How many pods the emptiest of these domains has, and how many domains they are.
    pub fn emptiest(&self, present: &[bool]) -> (u32, usize) {
        let there = || present.iter().zip(&self.counts).filter(|(there, _)| **there);
        (there().map(|(_, count)| *count).min().unwrap_or(0), there().count())
    }
}

/// A spread constraint as a group goes by it.
#[derive(Clone, Debug)]
pub struct SpreadRule {
    /// The counter of matching pods.
    pub counter: usize,
    /// The constraint.
    pub constraint: TopologySpread,
    /// Whether it selects the group's own pods.
    pub own: bool,
    /// Whether it must hold.
    pub hard: bool,
}

/// What a group goes by, of one kind of key.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Spread constraints.
    pub spread: Vec<SpreadRule>,
    /// Counters of pods to stay away from, and whether the group's own are among them.
    pub anti: Vec<(usize, bool)>,
    /// Counters of pods that want this group's to stay away.
    pub inverse: Vec<usize>,
    /// Counters of hard spread constraints that other groups go by and that count this group's
    /// pods, with the most that may be together where pods of those groups are.
    pub crowding: Vec<(usize, u32)>,
    /// Counters of pods to be with: each must be above zero, or all pods' absence and `own`.
    pub affinity: Vec<usize>,
    /// Whether the group's own pods match its affinity.
    pub own_affinity: bool,
}

impl Rules {
    /// Whether nothing has to be looked at.
    pub fn is_empty(&self) -> bool {
        self.spread.is_empty()
            && self.anti.is_empty()
            && self.inverse.is_empty()
            && self.crowding.is_empty()
            && self.affinity.is_empty()
    }

    /// Whether a spread constraint that must hold goes by this counter.
    pub fn must_spread_by(&self, counter: usize) -> bool {
        self.spread.iter().any(|rule| rule.hard && rule.counter == counter)
    }
}

/// All counters, and the groups' rules.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// The labels, other than the host name, that make domains.
    pub keys: Vec<Name>,
    /// For each key the domains' indices by their values.
    domains: Vec<BTreeMap<Name, u32>>,
    /// The counters.
    pub counters: Vec<Counter>,
    /// For each group, what it goes by on its own host.
    pub host_rules: Vec<Rules>,
    /// For each group, what it goes by in shared domains.
    pub domain_rules: Vec<Rules>,
    /// For each group, the counters that count its pods.
    pub counted_by: Vec<Vec<usize>>,
}

impl Topology {
    /// The questions that these groups ask, and that pods of the cluster ask about them.
    pub fn of(snapshot: &Snapshot, groups: &[Group]) -> Self {
        let mut topology = Self::default();
        let terms = objecting_terms(snapshot, groups);
        for group in groups {
            let (host, shared) = topology.rules_of(&group.shape, snapshot, &terms);
            topology.host_rules.push(host);
            topology.domain_rules.push(shared);
        }
        topology.counted_by =
            groups.iter().map(|group| topology.counters_of(snapshot, &group.shape)).collect();
        topology.find_crowding();
        topology
    }

    /// Whose pods count for hosts that others' spread constraints look at.
    fn find_crowding(&mut self) {
        let rules: BTreeMap<usize, u32> = self
            .host_rules
            .iter()
            .flat_map(|rules| &rules.spread)
            .filter(|rule| rule.hard)
            .map(|rule| (rule.counter, rule.constraint.max_skew))
            .collect();
        for (counted_by, own) in self.counted_by.iter().zip(&mut self.host_rules) {
            let others = counted_by.iter().filter(|counter| !own.must_spread_by(**counter));
            own.crowding =
                others.filter_map(|counter| Some((*counter, *rules.get(counter)?))).collect();
        }
    }

    fn rules_of(
        &mut self,
        shape: &Arc<PodShape>,
        snapshot: &Snapshot,
        terms: &BTreeSet<PodAffinityTerm>,
    ) -> (Rules, Rules) {
        let (mut host, mut shared) = (Rules::default(), Rules::default());
        for constraint in &shape.topology_spread {
            let kind = Kind::Spread(Arc::clone(shape), constraint.clone());
            let (counter, rules) =
                self.counter(kind, &constraint.topology_key, &mut host, &mut shared);
            rules.spread.push(SpreadRule {
                counter,
                constraint: constraint.clone(),
                own: topology_spread::matches_itself(constraint, shape),
                hard: topology_spread::is_hard(constraint),
            });
        }
        let own_affinity = pod_affinity::counts(&shape.affinity, snapshot, shape);
        let keys: BTreeSet<&Name> = shape.affinity.iter().map(|term| &term.topology_key).collect();
        for key in keys {
            let kind = Kind::Affinity(Arc::clone(shape));
            let (counter, rules) = self.counter(kind, key, &mut host, &mut shared);
            rules.affinity.push(counter);
            rules.own_affinity = own_affinity;
        }
        for term in &shape.anti_affinity {
            let own = pod_affinity::matches(term, snapshot, &shape.namespace, &shape.labels);
            let kind = Kind::Anti(term.clone());
            let (counter, rules) = self.counter(kind, &term.topology_key, &mut host, &mut shared);
            rules.anti.push((counter, own));
        }
        for term in terms {
            if pod_affinity::matches(term, snapshot, &shape.namespace, &shape.labels) {
                let kind = Kind::Owners(term.clone());
                let (counter, rules) =
                    self.counter(kind, &term.topology_key, &mut host, &mut shared);
                rules.inverse.push(counter);
            }
        }
        (host, shared)
    }

    /// The counter of that kind and key, and the rules that it belongs to.
    fn counter<'r>(
        &mut self,
        kind: Kind,
        key: &Name,
        host: &'r mut Rules,
        shared: &'r mut Rules,
    ) -> (usize, &'r mut Rules) {
        let (key, rules) = if *key == *well_known::HOSTNAME_LABEL {
            (Key::Host, host)
        } else {
            let index = self.keys.iter().position(|other| other == key).unwrap_or_else(|| {
                self.keys.push(key.clone());
                self.domains.push(BTreeMap::new());
                self.keys.len() - 1
            });
            (Key::Label(index), shared)
        };
        // What several shapes ask alike is counted once.
        let same = |other: &Counter| other.key == key && other.kind.is_same(&kind);
        let index = self.counters.iter().position(same).unwrap_or_else(|| {
            let counter = Counter { kind, key, counts: Vec::new(), present: Vec::new(), total: 0 };
            self.counters.push(counter);
            self.counters.len() - 1
        });
        (index, rules)
    }

    /// The counters that count pods of this shape, wherever they are.
    pub fn counters_of(&self, snapshot: &Snapshot, shape: &PodShape) -> Vec<usize> {
        (0..self.counters.len())
            .filter(|index| match &self.counters[*index].kind {
                Kind::Spread(owner, constraint) => {
                    owner.namespace == shape.namespace && constraint.selector.matches(&shape.labels)
                }
                Kind::Affinity(owner) => pod_affinity::counts(&owner.affinity, snapshot, shape),
                Kind::Anti(term) => {
                    pod_affinity::matches(term, snapshot, &shape.namespace, &shape.labels)
                }
                Kind::Owners(term) => shape.anti_affinity.contains(term),
            })
            .collect()
    }

    /// Whether pods on a node count at all.
    pub fn counts_node(&self, counter: usize, node: Standing<'_>) -> bool {
        match &self.counters[counter].kind {
            Kind::Spread(owner, constraint) => {
                topology_spread::counts_node(constraint, owner, node)
            }
            Kind::Affinity(_) | Kind::Anti(_) | Kind::Owners(_) => true,
        }
    }

    /// Whether a pod counts: kube-scheduler passes terminating ones over where it spreads.
    pub fn counts_pod(&self, counter: usize, pod: &Pod) -> bool {
        pod.deleted.is_none() || !matches!(self.counters[counter].kind, Kind::Spread(..))
    }

    /// The domains of a node with these labels, one a key.
    pub fn domains_of(&mut self, labels: &Labels) -> Vec<u32> {
        let mut domains = Vec::with_capacity(self.keys.len());
        for (key, known) in self.keys.iter().zip(&mut self.domains) {
            domains.push(labels.get(key).map_or(NO_DOMAIN, |value| {
                let next = u32::try_from(known.len()).unwrap_or(NO_DOMAIN);
                *known.entry(value.clone()).or_insert(next)
            }));
        }
        domains
    }

    /// Makes room in the counters for all domains seen so far.
    pub fn settle_domains(&mut self) {
        for counter in &mut self.counters {
            if let Key::Label(key) = counter.key {
                counter.counts.resize(self.domains[key].len(), 0);
                counter.present.resize(self.domains[key].len(), false);
            }
        }
    }

    /// Adds (or with `more` false takes away) pods to a counter's domain.
    pub fn add(&mut self, counter: usize, domains: &[u32], count: u32, more: bool) {
        let counter = &mut self.counters[counter];
        let change = |value: u32| {
            if more { value.saturating_add(count) } else { value.saturating_sub(count) }
        };
        counter.total = change(counter.total);
        if let Key::Label(key) = counter.key
            && let Some(slot) = counter.counts.get_mut(domains[key] as usize)
        {
            *slot = change(*slot);
        }
    }
}

/// The required anti-affinity terms of pods that are there, of daemons, and of these groups.
fn objecting_terms(snapshot: &Snapshot, groups: &[Group]) -> BTreeSet<PodAffinityTerm> {
    let bound = snapshot
        .nodes
        .values()
        .flat_map(|state| state.pods.values())
        .filter(|pod| !pod.shape.anti_affinity.is_empty())
        .map(|pod| &pod.shape);
    bound
        .chain(groups.iter().map(|group| &group.shape))
        .chain(snapshot.daemon_sets.values().map(|daemon| &daemon.shape))
        .flat_map(|shape| shape.anti_affinity.iter().cloned())
        .collect()
}
