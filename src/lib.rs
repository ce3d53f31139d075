//! Berth's daemon: everything that touches the world. What is decided is decided in
//! [`berth_solver`], the virtual world is in [`berth_simulations`].
//!
//! * [`api`]: the custom resources
//! * [`appliance`]: all of it, put together
//! * [`autoscaler`]: snapshot, plan, effects, each carried out against API server and cloud
//! * [`background`]: work that may take its time
//! * [`cache`]: the one cluster cache: one writer, immutable snapshots
//! * [`catalog`]: what a cloud sells, read from files
//! * [`claims`]: databases and machines that developers claim
//! * [`clock`]: what time it is
//! * [`cloud`]: what all clouds' APIs have in common: a call, made carefully
//! * [`commands`]: the command line
//! * [`decisions`]: what was decided, remembered and written down
//! * [`exoscale`]: a client of Exoscale's API
//! * [`explain`]: why a node or a pod is as it is
//! * [`extender`]: the webhook that kube-scheduler asks
//! * [`leader`]: which of several replicas acts
//! * [`manifests`]: Kubernetes manifests in files, as a picture of a cluster
//! * [`metrics`]: what Berth tells Prometheus
//! * [`ovh`]: a client of OVHcloud's API
//! * [`provider`]: clouds, where machines come from
//! * [`scaleway`]: a client of Scaleway's API
//! * [`server`]: the listeners: small, bounded HTTP servers
//! * [`telemetry`]: what Berth logs, and how
//! * [`traces`]: traces of real clusters, recorded or read from other tools' files
//! * [`watch`]: watch streams of Kubernetes objects, reduced to the model's records

pub mod api;
pub mod appliance;
pub mod autoscaler;
pub mod background;
pub mod cache;
pub mod catalog;
pub mod claims;
pub mod clock;
pub mod cloud;
pub mod commands;
pub mod decisions;
pub mod exoscale;
pub mod explain;
pub mod extender;
pub mod leader;
pub mod manifests;
pub mod metrics;
pub mod ovh;
pub mod provider;
pub mod scaleway;
pub mod server;
pub mod telemetry;
pub mod traces;
pub mod watch;
