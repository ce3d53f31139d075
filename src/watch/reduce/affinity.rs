use std::collections::BTreeMap;

use berth_solver::model::{
    LabelSelector, Name, NodeInclusion, Operator, PodAffinityTerm, Requirements, TopologySpread,
    ValueSet, Weighted, WhenUnsatisfiable, well_known,
};

use super::Defects;
use super::selector::{label_selector, with_own_labels};
use crate::watch::Interner;
use crate::watch::objects;

/// What the terms of one pod are read with.
pub(super) struct Reader<'a> {
    pub(super) interner: &'a Interner,
    /// The pod's namespace.
    pub(super) namespace: &'a str,
    /// The pod's labels.
    pub(super) labels: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    /// Required node affinity: one of these must hold.
    pub(super) fn required_nodes(
        &self,
        affinity: &objects::NodeAffinity,
        defects: &mut Defects,
    ) -> Box<[Requirements]> {
        let Some(selector) = &affinity.required else { return Box::default() };
        node_selector(selector, "spec.affinity.nodeAffinity (required)", self.interner, defects)
    }

    /// Preferred node affinity.
    pub(super) fn preferred_nodes(
        &self,
        affinity: &objects::NodeAffinity,
        defects: &mut Defects,
    ) -> Box<[Weighted<Requirements>]> {
        let terms = affinity.preferred.iter().filter_map(|preferred| {
            let place = "spec.affinity.nodeAffinity (preferred)";
            let term = node_term(&preferred.preference, place, self.interner, defects)?;
            Some(Weighted { weight: preferred.weight, term })
        });
        sorted(terms.collect())
    }

    /// Required pod affinity or anti-affinity.
    pub(super) fn required_pods(
        &self,
        affinity: &objects::PodAffinity,
        place: &str,
        defects: &mut Defects,
    ) -> Box<[PodAffinityTerm]> {
        let terms = affinity.required.iter();
        sorted(terms.map(|term| self.pod_term(term, place, defects)).collect())
    }

    /// Preferred pod affinity or anti-affinity.
    pub(super) fn preferred_pods(
        &self,
        affinity: &objects::PodAffinity,
        place: &str,
        defects: &mut Defects,
    ) -> Box<[Weighted<PodAffinityTerm>]> {
        let terms = affinity.preferred.iter().map(|preferred| Weighted {
            weight: preferred.weight,
            term: self.pod_term(&preferred.pod_affinity_term, place, defects),
        });
        sorted(terms.collect())
    }

    fn pod_term(
        &self,
        term: &objects::PodAffinityTerm,
        place: &str,
        defects: &mut Defects,
    ) -> PodAffinityTerm {
        let place = || format!("spec.affinity.{place}");
        require_topology_key(&term.topology_key, place, defects);
        let selector = label_selector(term.label_selector.as_ref(), self.interner, &place, defects);
        let selector = with_own_labels(
            selector,
            &term.match_label_keys,
            &term.mismatch_label_keys,
            self.labels,
            self.interner,
        );
        let namespace_selector = term
            .namespace_selector
            .as_ref()
            .map(|selector| label_selector(Some(selector), self.interner, &place, defects));
        let mut namespaces: Vec<Name> =
            term.namespaces.iter().map(|name| self.interner.name(name)).collect();
        if namespaces.is_empty() && namespace_selector.is_none() {
            namespaces.push(self.interner.name(self.namespace));
        }
        namespaces.sort_unstable();
        namespaces.dedup();
        PodAffinityTerm {
            topology_key: self.interner.name(&term.topology_key),
            selector,
            namespaces: namespaces.into(),
            namespace_selector,
        }
    }

    /// Topology spread constraints.
    pub(super) fn topology_spread(
        &self,
        constraints: &[objects::TopologySpreadConstraint],
        defects: &mut Defects,
    ) -> Box<[TopologySpread]> {
        let constraints = constraints.iter().enumerate();
        sorted(constraints.map(|(index, one)| self.one_spread(index, one, defects)).collect())
    }

    fn one_spread(
        &self,
        index: usize,
        constraint: &objects::TopologySpreadConstraint,
        defects: &mut Defects,
    ) -> TopologySpread {
        let place = || format!("spec.topologySpreadConstraints[{index}]");
        require_topology_key(&constraint.topology_key, place, defects);
        let selector =
            label_selector(constraint.label_selector.as_ref(), self.interner, &place, defects);
        let keys = &constraint.match_label_keys;
        let selector: LabelSelector =
            with_own_labels(selector, keys, &[], self.labels, self.interner);
        let max_skew = count(constraint.max_skew, || format!("{}.maxSkew", place()), defects);
        let min_domains = constraint
            .min_domains
            .map(|number| count(number, || format!("{}.minDomains", place()), defects));
        TopologySpread {
            topology_key: self.interner.name(&constraint.topology_key),
            max_skew,
            min_domains,
            when_unsatisfiable: match constraint.when_unsatisfiable.as_str() {
                "DoNotSchedule" | "" => WhenUnsatisfiable::DoNotSchedule,
                "ScheduleAnyway" => WhenUnsatisfiable::ScheduleAnyway,
                other => {
                    defects.add(|| {
                        format!(
                            "{}.whenUnsatisfiable: {other:?} is unknown: expected DoNotSchedule or \
                             ScheduleAnyway",
                            place()
                        )
                    });
                    WhenUnsatisfiable::DoNotSchedule
                }
            },
            selector,
            node_affinity_policy: inclusion(&constraint.node_affinity_policy, NodeInclusion::Honor),
            node_taints_policy: inclusion(&constraint.node_taints_policy, NodeInclusion::Ignore),
        }
    }
}

/// A node selector, as alternatives: one of them must hold.
pub(super) fn node_selector(
    selector: &objects::NodeSelector,
    place: &str,
    interner: &Interner,
    defects: &mut Defects,
) -> Box<[Requirements]> {
    // A term without expressions matches no node.
    let mut terms: Vec<Requirements> = selector
        .node_selector_terms
        .iter()
        .filter_map(|term| node_term(term, place, interner, defects))
        .collect();
    if terms.is_empty() {
        let impossible = (Name::from(well_known::NODE_NAME_FIELD), ValueSet::nothing());
        terms.push(Requirements::from_iter([impossible]));
    }
    terms.sort_unstable();
    terms.dedup();
    terms.into()
}

fn node_term(
    term: &objects::NodeSelectorTerm,
    place: &str,
    interner: &Interner,
    defects: &mut Defects,
) -> Option<Requirements> {
    if term.match_expressions.is_empty() && term.match_fields.is_empty() {
        return None;
    }
    let mut requirements = Requirements::default();
    for expression in term.match_expressions.iter().chain(&term.match_fields) {
        let Some(operator) = operator(&expression.operator) else {
            defects.add(|| {
                format!(
                    "{place}: operator {:?} of key {:?} is unknown: expected In, NotIn, Exists, \
                     DoesNotExist, Gt or Lt",
                    expression.operator, expression.key
                )
            });
            return None;
        };
        let values = expression.values.iter().map(|value| interner.name(value));
        let set = ValueSet::of(operator, values);
        requirements.require(interner.name(&expression.key), &set);
    }
    Some(requirements)
}

fn require_topology_key(key: &str, place: impl Fn() -> String, defects: &mut Defects) {
    if key.is_empty() {
        defects.add(|| format!("{}.topologyKey is missing: expected a node label's key", place()));
    }
}

/// A number of at least one.
fn count(number: i64, place: impl Fn() -> String, defects: &mut Defects) -> u32 {
    match u32::try_from(number) {
        Ok(count) if count > 0 => count,
        _ => {
            defects.add(|| format!("{}: {number} is not possible: expected 1 or more", place()));
            1
        }
    }
}

fn inclusion(text: &str, default: NodeInclusion) -> NodeInclusion {
    match text {
        "Honor" => NodeInclusion::Honor,
        "Ignore" => NodeInclusion::Ignore,
        _ => default,
    }
}

fn operator(text: &str) -> Option<Operator> {
    Some(match text {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Gt,
        "Lt" => Operator::Lt,
        _ => return None,
    })
}

/// The order in which terms are written means nothing: equal pods must have equal shapes.
fn sorted<T: Ord>(mut terms: Vec<T>) -> Box<[T]> {
    terms.sort_unstable();
    terms.into()
}
