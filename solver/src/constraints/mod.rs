//! What keeps a pod off a node, and a node out of a pool: one rule a file, each with `check`
//! (does it hold?) and `explain` (why not, for people).
//!
//! The rules are kube-scheduler's and Karpenter's. They are pure functions of model records and
//! of counts that the packer keeps.

pub mod attachments;
pub mod daemons;
pub mod gpu_shares;
pub mod host_ports;
pub mod min_values;
pub mod node_affinity;
pub mod node_state;
pub mod pod_affinity;
pub mod pod_anti_affinity;
pub mod pool_limits;
pub mod pool_requirements;
pub mod pool_state;
pub mod preferences;
pub mod reservations;
pub mod resources;
pub mod taints;
pub mod topology_spread;
pub mod volumes;

#[cfg(test)]
pub(crate) mod testing;
