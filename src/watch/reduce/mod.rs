//! Kubernetes objects to the model's records.
//!
//! Pure functions: they need no cluster, so that manifests in files are reduced by the same code
//! as what a watch brings.

mod affinity;
mod buffer;
mod daemonset;
mod limits;
mod namespace;
mod node;
mod nodeclaim;
mod nodepool;
mod pdb;
mod pod;
mod requirement;
mod selector;
mod storage;

use berth_solver::model::{ConditionStatus, Name, Taint, TaintEffect, Timestamp};

pub use buffer::{capacity_buffer, pod_template, workload};
pub use daemonset::daemon_set;
pub use namespace::namespace;
pub use node::node;
pub use nodeclaim::node_claim;
pub use nodepool::node_pool;
pub use pdb::pod_disruption_budget;
pub use pod::{pod, pod_of_template};
pub use storage::{csi_node, storage_class, volume, volume_attachment, volume_claim};

use super::Interner;
use super::objects;

/// What makes no sense in an object: where, what, and what would be right. The first thing found
/// is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defects(Option<String>);

impl Defects {
    /// Notes a defect.
    pub fn add(&mut self, defect: impl FnOnce() -> String) {
        self.0.get_or_insert_with(defect);
    }

    /// The first defect, if there is one.
    pub fn first(self) -> Option<String> {
        self.0
    }
}

/// A moment as Kubernetes writes it (RFC 3339); `None` if there is none.
pub fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(|moment| Timestamp::from_millis(moment.as_millisecond()))
}

/// Taints as written, sorted; one with an unknown effect is left out.
pub fn taints(taints: &[objects::Taint], interner: &Interner) -> Box<[Taint]> {
    let mut list: Vec<Taint> = taints
        .iter()
        .filter_map(|taint| {
            Some(Taint {
                key: interner.name(&taint.key),
                value: interner.name(&taint.value),
                effect: taint_effect(&taint.effect)?,
            })
        })
        .collect();
    list.sort_unstable();
    list.dedup();
    list.into()
}

/// The status of a condition.
pub fn condition_status(text: &str) -> ConditionStatus {
    match text {
        "True" => ConditionStatus::True,
        "False" => ConditionStatus::False,
        _ => ConditionStatus::Unknown,
    }
}

/// The effect of that name.
pub fn taint_effect(text: &str) -> Option<TaintEffect> {
    Some(match text {
        "NoSchedule" => TaintEffect::NoSchedule,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        "NoExecute" => TaintEffect::NoExecute,
        _ => return None,
    })
}

fn named(text: &str, interner: &Interner) -> Option<Name> {
    (!text.is_empty()).then(|| interner.name(text))
}

#[cfg(test)]
mod tests;
