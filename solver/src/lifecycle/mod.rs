//! What happens to a NodeClaim next: pure steps from a snapshot, what the provider said, and the
//! time, to named [`Effect`]s, each one external write.
//!
//! A claim is a state machine whose whole state is in the API server and in the cloud; the process
//! remembers nothing that it could not ask for again ([`Observation`]s). So it may die at any
//! moment: whoever comes next derives the same next step.
//!
//! ```text
//!                plan
//!                 | CreateClaim          the durable intent: nothing is asked of a cloud before it
//!                 v
//!   +--------> Pending ----- no capacity, nothing fits, 5 min ----------------------+
//!   |             | LaunchInstance       idempotent by the claim's UID              |
//!   | (restart)   v                                                                 |
//!   +--------- observed Present                                                     |
//!                 | RecordLaunched                                                  |
//!                 v                                                                 |
//!              Launched ---- instance gone, 15 min without a node ------------------+
//!                 | RegisterNode, RecordRegistered                                  |
//!                 v                                                                 |
//!             Registered --- instance gone, node deleted by somebody, expired ------+
//!                 | InitializeNode, RecordInitialized                               |
//!                 v                                                                 |
//!            Initialized --- the same; or disrupted -------------------------------+
//!                                                                                   |
//!                                                                   DeleteClaim     |
//!                                                                                   v
//!             gone <---- Gone <-------------------- Drained <------------------ Deleting
//!       ReleaseClaim      |  RecordDetached, TerminateInstance     TaintNode, EvictPod (tier by
//!                         |  until the cloud says "no such         tier; or ReplacePod),
//!                         |  machine"                              RecordDrained
//!                         +- DeleteNode, ReleaseNode
//! ```
//!
//! * Every arrow to *Deleting* is a DeleteClaim; the claim's finalizer holds it until the end.
//! * *Deleting* works from every state, also when nothing was ever created: the cloud is asked by
//!   the claim's UID, and says that there is nothing.
//! * A node that has not joined, or that has gone, is not waited for.
//! * A machine goes once no volume is attached to its node, or its deadline is over.
//! * A node that is unhealthy for too long is repaired: its claim is to be gone at once
//!   (SetTerminationTime, then DeleteClaim).

mod buffer_status;
mod consequences;
mod effect;
mod health;
mod launch;
mod nominate;
mod repair;
mod steps;
mod termination;
mod volumes;

pub use buffer_status::{BufferStatus, Verdict, buffer_status};
pub use consequences::{Refused, consequences};
pub use effect::{
    Cause, ClaimRef, Effect, Instance, LaunchRequest, NewClaim, NodeRef, Observation, PodRef,
    PoolStatus, Registration, Write,
};
pub use health::PoolHealth;
pub use launch::{launch_request, new_claim, node_capacity};
pub use nominate::{Nominated, nominations};
pub use repair::{
    MOST_UNHEALTHY_PERCENT, RepairBlocked, RepairPolicy, Repairs, repairs, unhealthy_by,
};
pub use steps::{Settings, steps};
pub use termination::{disrupted_taint, unregistered_taint};

#[cfg(test)]
mod tests;
