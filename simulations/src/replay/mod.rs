//! Replay: a trace, a catalog and a policy become what that would have cost.
//!
//! Discrete events on rows: pods and nodes are small records, the scheduler's model works on
//! them directly, and pictures for the deciding code ([`Snapshot`](berth_solver::model::Snapshot))
//! are brought up to date only when somebody decides. Only what is alive is kept, so that memory
//! does not grow with the length of a trace. What is decided is decided by the daemon's own code:
//! [`planning`](berth_solver::planning), [`disruption`](berth_solver::disruption), the extender's
//! scores; the baselines are those of [`baselines`](berth_solver::baselines) with the times,
//! waits and budgets of their peers.
//!
//! What the model leaves out, for every policy alike:
//! * a pod that waits ends later by as long as it waited; one that was evicted goes on where it was
//! * a pod that fitted nowhere is tried again the moment that something makes room for it:
//!   kube-scheduler's queueing hints do that, but for a backoff of a few seconds
//! * a node joins, is ready and counts as initialised at once; it is paid from the request on
//!   until it is gone
//! * preemption, volumes and PodDisruptionBudgets: traces have none

mod bound;
mod chance;
mod demand;
mod fleet;
mod kinds;
mod ledger;
mod mirror;
mod objects;
mod place;
mod pods;
mod policy;
mod ranks;
mod run;
mod settings;
mod source;
mod summary;
mod timeline;
mod world;

pub use bound::Yardstick;
pub use demand::Demand;
pub use policy::PolicyName;
pub use run::{Replay, Replayed, Sink};
pub use settings::{
    AutoscalerSettings, BerthSettings, CloudSettings, Incident, KarpenterSettings, PoolSettings,
    Provider, Quantiles, ReplaySettings,
};
pub use source::{Content, Source, Window};
pub use summary::{Quantities, Summary, Utilization};
pub use timeline::Moment;
pub use world::Recorded;
