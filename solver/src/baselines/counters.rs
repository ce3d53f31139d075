//! How many pods of a kind are in each domain: what spread, affinity and anti-affinity ask.
//!
//! Questions that several shapes share are counted once, as Karpenter shares its topology groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::constraints::topology_spread::Standing;
use crate::constraints::{pod_affinity, topology_spread};
use crate::model::{
    LabelSelector, Labels, Name, NodeInclusion, Pod, PodAffinityTerm, PodShape, Requirements,
    Snapshot, Toleration, TopologySpread, well_known,
};

use super::world::Kind;

/// The domain of a node that does not carry the label.
pub(super) const NO_DOMAIN: u32 = u32::MAX;

/// Where a counter's domains come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Each host is a domain of its own; the counter's index among those of hosts.
    Host(usize),
    /// Another label, by its index in [`Counters::keys`].
    Shared(usize),
}

/// Which pods are counted, in which domains.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Spread(Box<SpreadQuestion>),
    /// Those that match all of these terms, by one of their keys.
    Affinity(Box<[PodAffinityTerm]>, Name),
    /// Those that the term means.
    Anti(PodAffinityTerm),
    /// Those that have the term themselves.
    Owners(PodAffinityTerm),
}

/// What tells one spread constraint's counts from another's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SpreadQuestion {
    namespace: Name,
    selector: LabelSelector,
    key: Name,
    /// The keys that a node must carry to count.
    carried: Vec<Name>,
    affinity: Option<(Labels, Box<[Requirements]>)>,
    tolerations: Option<Box<[Toleration]>>,
}

impl SpreadQuestion {
    fn of(shape: &PodShape, constraint: &TopologySpread) -> Self {
        let honours_affinity = constraint.node_affinity_policy == NodeInclusion::Honor;
        let honours_taints = constraint.node_taints_policy == NodeInclusion::Honor;
        let kind = constraint.when_unsatisfiable;
        let mut carried: Vec<Name> = shape
            .topology_spread
            .iter()
            .filter(|other| other.when_unsatisfiable == kind)
            .map(|other| other.topology_key.clone())
            .collect();
        carried.sort();
        carried.dedup();
        Self {
            namespace: shape.namespace.clone(),
            selector: constraint.selector.clone(),
            key: constraint.topology_key.clone(),
            carried,
            affinity: honours_affinity
                .then(|| (shape.node_selector.clone(), shape.node_affinity.clone())),
            tolerations: honours_taints.then(|| shape.tolerations.clone()),
        }
    }
}

/// A question, and where its domains come from.
#[derive(Clone, Debug)]
struct Counter {
    question: Question,
    scope: Scope,
    /// For spread: a shape that asks, and its constraint.
    asker: Option<(Arc<PodShape>, TopologySpread)>,
}

/// A spread constraint as a kind of pod goes by it.
#[derive(Clone, Debug)]
pub(super) struct SpreadRule {
    /// The counter of matching pods.
    pub counter: usize,
    /// The constraint.
    pub constraint: TopologySpread,
    /// Whether it selects the kind's own pods.
    pub own: bool,
}

/// What a kind of pod goes by, on its own host or in shared domains.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Hard spread constraints.
    pub spread: Vec<SpreadRule>,
    /// Counters of pods to stay away from, and whether its own are among them.
    pub anti: Vec<(usize, bool)>,
    /// Counters of pods that want this kind to stay away.
    pub inverse: Vec<usize>,
    /// Counters of pods to be with, and whether its own are among them.
    pub affinity: Vec<(usize, bool)>,
}

impl Rules {
    /// Whether nothing has to be looked at.
    pub fn is_empty(&self) -> bool {
        self.spread.is_empty()
            && self.anti.is_empty()
            && self.inverse.is_empty()
            && self.affinity.is_empty()
    }
}

/// All that a kind of pod has to do with counters.
#[derive(Clone, Debug, Default)]
pub(super) struct KindRules {
    /// On its host.
    pub host: Rules,
    /// In shared domains.
    pub shared: Rules,
    /// The counters that count its pods.
    pub counted: Vec<usize>,
}

/// All questions, and the domains that they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    /// The labels, other than the host name, that make domains.
    pub keys: Vec<Name>,
    list: Vec<Counter>,
    index: BTreeMap<Question, usize>,
    hosts: usize,
    domains: Vec<BTreeMap<Name, u32>>,
}

impl Counters {
    /// The questions of these kinds, and those that `objecting` shapes and pods of the cluster ask
    /// about them; for each kind its rules.
    pub fn of<'s>(
        snapshot: &Snapshot,
        kinds: &[Kind],
        objecting: impl Iterator<Item = &'s Arc<PodShape>>,
    ) -> (Self, Vec<KindRules>) {
        let mut counters = Self::default();
        let terms = objecting_terms(snapshot, objecting);
        let mut rules: Vec<KindRules> =
            kinds.iter().map(|kind| counters.rules_of(snapshot, kind, &terms)).collect();
        for (rules, kind) in rules.iter_mut().zip(kinds) {
            rules.counted = counters.counting(snapshot, &kind.shape);
        }
        (counters, rules)
    }

    fn rules_of(
        &mut self,
        snapshot: &Snapshot,
        kind: &Kind,
        terms: &BTreeSet<PodAffinityTerm>,
    ) -> KindRules {
        let shape = &kind.shape;
        let mut found = KindRules::default();
        for constraint in shape.topology_spread.iter().filter(|one| topology_spread::is_hard(one)) {
            let question = Question::Spread(Box::new(SpreadQuestion::of(shape, constraint)));
            let asker = Some((Arc::clone(shape), constraint.clone()));
            let counter = self.counter(question, &constraint.topology_key, asker);
            self.side(counter, &mut found).spread.push(SpreadRule {
                counter,
                constraint: constraint.clone(),
                own: topology_spread::matches_itself(constraint, shape),
            });
        }
        let liked = kind.liked.iter().map(std::slice::from_ref);
        for terms in std::iter::once(&*shape.affinity).chain(liked) {
            let own = pod_affinity::counts(terms, snapshot, shape);
            let keys: BTreeSet<&Name> = terms.iter().map(|term| &term.topology_key).collect();
            for key in keys {
                let question = Question::Affinity(terms.into(), key.clone());
                let counter = self.counter(question, key, None);
                self.side(counter, &mut found).affinity.push((counter, own));
            }
        }
        for term in &shape.anti_affinity {
            let own = pod_affinity::matches(term, snapshot, &shape.namespace, &shape.labels);
            let counter = self.counter(Question::Anti(term.clone()), &term.topology_key, None);
            self.side(counter, &mut found).anti.push((counter, own));
        }
        for term in terms {
            if pod_affinity::matches(term, snapshot, &shape.namespace, &shape.labels) {
                let question = Question::Owners(term.clone());
                let counter = self.counter(question, &term.topology_key, None);
                self.side(counter, &mut found).inverse.push(counter);
            }
        }
        found
    }

    fn side<'r>(&self, counter: usize, rules: &'r mut KindRules) -> &'r mut Rules {
        match self.list[counter].scope {
            Scope::Host(_) => &mut rules.host,
            Scope::Shared(_) => &mut rules.shared,
        }
    }

    fn counter(
        &mut self,
        question: Question,
        key: &Name,
        asker: Option<(Arc<PodShape>, TopologySpread)>,
    ) -> usize {
        if let Some(counter) = self.index.get(&question) {
            return *counter;
        }
        let scope = if *key == *well_known::HOSTNAME_LABEL {
            self.hosts += 1;
            Scope::Host(self.hosts - 1)
        } else {
            let known = self.keys.iter().position(|other| other == key);
            Scope::Shared(known.unwrap_or_else(|| {
                self.keys.push(key.clone());
                self.domains.push(BTreeMap::new());
                self.keys.len() - 1
            }))
        };
        self.index.insert(question.clone(), self.list.len());
        self.list.push(Counter { question, scope, asker });
        self.list.len() - 1
    }

    /// The counters that count pods of this shape.
    pub fn counting(&self, snapshot: &Snapshot, shape: &PodShape) -> Vec<usize> {
        let matches = |counter: &Counter| match &counter.question {
            Question::Spread(spread) => {
                spread.namespace == shape.namespace && spread.selector.matches(&shape.labels)
            }
            Question::Affinity(terms, _) => pod_affinity::counts(terms, snapshot, shape),
            Question::Anti(term) => {
                pod_affinity::matches(term, snapshot, &shape.namespace, &shape.labels)
            }
            Question::Owners(term) => shape.anti_affinity.contains(term),
        };
        let numbered = self.list.iter().enumerate();
        numbered.filter(|(_, counter)| matches(counter)).map(|(index, _)| index).collect()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// How many of them go by hosts.
    pub fn hosts(&self) -> usize {
        self.hosts
    }

    /// Where a counter's domains come from.
    pub fn scope(&self, counter: usize) -> Scope {
        self.list[counter].scope
    }

    /// Whether it counts for a spread constraint.
    pub fn is_spread(&self, counter: usize) -> bool {
        self.list[counter].asker.is_some()
    }

    /// Whether it counts for anti-affinity.
    pub fn is_anti(&self, counter: usize) -> bool {
        matches!(self.list[counter].question, Question::Anti(_) | Question::Owners(_))
    }

    /// Whether pods on a node count.
    pub fn counts_node(&self, counter: usize, node: Standing<'_>) -> bool {
        self.list[counter]
            .asker
            .as_ref()
            .is_none_or(|(shape, constraint)| topology_spread::counts_node(constraint, shape, node))
    }

    /// Whether a pod counts: kube-scheduler passes terminating ones over where it spreads.
    pub fn counts_pod(&self, counter: usize, pod: &Pod) -> bool {
        pod.deleted.is_none() || !self.is_spread(counter)
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

    /// How many domains a counter has; none where it goes by hosts.
    pub fn breadth(&self, counter: usize) -> usize {
        match self.scope(counter) {
            Scope::Host(_) => 0,
            Scope::Shared(key) => self.domains[key].len(),
        }
    }
}

/// The required anti-affinity terms of pods that are there, of daemons, and of these shapes.
fn objecting_terms<'s>(
    snapshot: &Snapshot,
    shapes: impl Iterator<Item = &'s Arc<PodShape>>,
) -> BTreeSet<PodAffinityTerm> {
    let bound = snapshot.nodes.values().flat_map(|state| state.pods.values());
    bound
        .map(|pod| &*pod.shape)
        .chain(shapes.map(|shape| &**shape))
        .chain(snapshot.daemon_sets.values().map(|daemon| &*daemon.shape))
        .flat_map(|shape| shape.anti_affinity.iter().cloned())
        .collect()
}

/// The counts of shared domains, and of all pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    counts: Vec<Vec<u32>>,
    totals: Vec<u32>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(counters: &Counters) -> Self {
        Self {
            counts: (0..counters.len()).map(|index| vec![0; counters.breadth(index)]).collect(),
            totals: vec![0; counters.len()],
        }
    }

    /// Pods in one domain.
    pub fn count(&self, counter: usize, domain: u32) -> u32 {
        self.counts[counter].get(domain as usize).copied().unwrap_or(0)
    }

    /// Pods by domain.
    pub fn counts(&self, counter: usize) -> &[u32] {
        &self.counts[counter]
    }

    /// All pods, those in no domain too.
    pub fn total(&self, counter: usize) -> u32 {
        self.totals[counter]
    }

    /// Adds pods without a domain.
    pub fn add_total(&mut self, counter: usize, count: u32) {
        self.totals[counter] = self.totals[counter].saturating_add(count);
    }

    /// Takes pods without a domain away.
    pub fn remove_total(&mut self, counter: usize, count: u32) {
        self.totals[counter] = self.totals[counter].saturating_sub(count);
    }

    /// Adds pods to a domain, not to the total.
    pub fn add(&mut self, counter: usize, domain: u32, count: u32) {
        if let Some(slot) = self.counts[counter].get_mut(domain as usize) {
            *slot = slot.saturating_add(count);
        }
    }

    /// Takes pods out of a domain, not out of the total.
    pub fn remove(&mut self, counter: usize, domain: u32, count: u32) {
        if let Some(slot) = self.counts[counter].get_mut(domain as usize) {
            *slot = slot.saturating_sub(count);
        }
    }
}
