//! A virtual cluster and a virtual cloud on a virtual clock.
//!
//! Discrete events: the caller says what time it is ([`World::advance_to`]), the world does
//! everything that was due by then and tells its subscribers, and says when something happens
//! next ([`World::next_event_at`]). Nothing here looks at a wall clock, and everything random is
//! drawn from one seed, with a stream of its own for each object, so that one more pod does not
//! change what happens to the others.
//!
//! * [`cluster`]: an API server's face: objects, finalizers, evictions, binding, watches
//! * [`cloud`]: machines, how long they take, how often they fail, what they cost
//! * [`scheduler`]: a model of kube-scheduler with an extender
//! * [`workloads`]: controllers that keep pods of a shape
//! * [`World`]: all of it together, kubelets included
//! * [`operator`]: the autoscaler, with the daemon's deciding code
//! * [`scenario`]: the demo's script
//! * [`trace`]: readers of workload traces
//! * [`replay`]: what a trace would have cost under a policy
//! * [`report`]: a replay as a page

pub mod cloud;
pub mod cluster;
pub mod events;
pub mod operator;
pub mod random;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod scheduler;
pub mod trace;
pub mod workloads;
mod world;

pub use world::{KubeletSettings, World, WorldSettings};
