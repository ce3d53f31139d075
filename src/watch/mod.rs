//! Watch streams: Kubernetes objects in, the cluster cache's events out.
//!
//! * [`objects`]: the objects, decoded only as far as Berth looks at them
//! * [`reduce`]: objects to the model's records; pure, used for manifests in files too
//! * [`Interner`]: equal strings, labels and pod shapes share one copy
//! * [`Staging`]: a list is collected first and then swapped in as a whole
//! * [`spawn_all`]: the streams themselves
//! * [`applied`]: one object from elsewhere, as its kind's watch would bring it

pub mod accounting;
mod interner;
pub mod objects;
pub mod quantity;
pub mod reduce;
mod staging;
mod stream;
mod watched;

pub use interner::Interner;
pub use quantity::{InvalidQuantity, Quantity};
pub use staging::{Output, Staging, Step};
pub use stream::{Cause, KINDS, Observer, spawn_all, spawn_pods};
pub use watched::{applied, group_of};
