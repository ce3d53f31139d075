//! Kubernetes manifests in files, as a picture of a cluster.
//!
//! Files hold YAML (many documents) or JSON; folders are read recursively, their `.yaml`, `.yml`
//! and `.json` files sorted by path. Objects are decoded and reduced by the very code that watch
//! streams are ([`crate::watch`]). Nodes and bound pods are the present cluster; unbound pods, and
//! the pods that workloads are short of, are what to place.
//!
//! What only a cluster would fill in is filled in here: the namespace `default`; UIDs; the
//! priority of a pod's class; a node's host name label, its readiness if it says nothing of it,
//! its allocatable if it only says its capacity, and 110 pods if it does not say how many; the
//! name label of namespaces.
//!
//! A workload's pods are named after it with the lowest numbers that are free. Pods that it
//! controls already (by owner reference, those of a Deployment through its ReplicaSets) count as
//! its own.
//!
//! Objects of other kinds are skipped and counted. Whatever else makes no sense is an error that
//! names file, line, object and field: here, unlike in a cluster, somebody can put it right.

mod buffers;
mod documents;
mod error;
pub mod export;
mod files;
mod fill;
mod lines;
mod nodes;
mod object;
mod picture;
mod priorities;
mod workloads;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use berth_solver::model::ClusterState;

pub use error::ManifestError;
pub use object::Object;
pub use picture::assumed_pool;

use crate::watch::Interner;

/// What was read.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The cluster. No pool has a catalog yet.
    pub cluster: ClusterState,
    /// How many objects were taken in.
    pub objects: usize,
    /// How many objects of which kinds were skipped.
    pub skipped: BTreeMap<String, usize>,
    /// How many pods are bound to nodes that are not among the objects, and so count nowhere.
    pub stray_pods: usize,
}

/// Reads the objects in files and folders, as they were written.
///
/// # Errors
/// When one cannot be read, or holds something that is no object.
pub fn objects(paths: &[PathBuf]) -> Result<Vec<Object>, ManifestError> {
    let mut objects = Vec::new();
    for file in files::list(paths)? {
        documents::read(&file, &mut objects)?;
    }
    Ok(objects)
}

/// Reads files and folders.
///
/// # Errors
/// When one cannot be read, and for the first object that makes no sense.
pub fn read(paths: &[PathBuf], interner: &Interner) -> Result<Manifests, ManifestError> {
    picture::of(objects(paths)?, interner)
}
