//! A real control plane for tests: etcd, kube-apiserver, kube-controller-manager, kube-scheduler
//! and kwok, on free loopback ports, with certificates of their own.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use berth_controlplane::{ControlPlane, Extender};
//!
//! let Some(plane) = ControlPlane::builder()
//!     .extender(Extender::at("http://127.0.0.1:8888"))
//!     .start_or_skip("pods_find_a_berth")
//!     .await
//! else {
//!     return Ok(()); // a notice was printed: neither Go nor KUBEBUILDER_ASSETS is there
//! };
//! let client = plane.client();
//! # Ok(())
//! # }
//! ```
//!
//! The binaries come from `KUBEBUILDER_ASSETS` when it is set, else from `build.sh` beside this
//! crate, which finds them in the user's cache or builds them. Several control planes can run
//! side by side. Everything is stopped when a [`ControlPlane`] is dropped; should the test
//! process die in a way that runs no destructors, a small shell process that waits for the end
//! of a pipe stops it all.

mod assets;
mod certificates;
mod component;
mod janitor;
mod kubeconfig;
mod launcher;
mod plane;
mod scheduling;
mod settings;
mod wait;

pub use assets::{Assets, in_ci};
pub use component::Component;
pub use plane::{Builder, ControlPlane};
pub use scheduling::metric;
pub use settings::{Extender, SchedulerSettings};
pub use wait::{free_port, until, until_ok};
