//! SKS clusters and the templates of their nodes.

use serde_json::{Value, json};

use super::world::World;
use crate::route::{Answer, Refusal, Request};

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The Kubernetes version of its control plane.
    pub version: String,
    /// The address of its API server.
    pub endpoint: String,
    /// The security group that its nodes have by default.
    pub default_security_group: Option<String>,
}

impl Cluster {
    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "endpoint": self.endpoint,
            "default-security-group-id": self.default_security_group,
            "state": "running",
            "level": "pro",
            "nodepools": [],
        })
    }
}

pub(crate) fn clusters(world: &mut World, _: &Request) -> Answer {
    Ok(json!({ "sks-clusters": world.clusters.iter().map(Cluster::json).collect::<Vec<_>>() }))
}

pub(crate) fn cluster(world: &mut World, request: &Request) -> Answer {
    let id = request.param(0);
    let found = world.clusters.iter().find(|cluster| cluster.id == id);
    found.map(Cluster::json).ok_or_else(|| Refusal::not_found("cluster", id))
}

pub(crate) fn versions(world: &mut World, _: &Request) -> Answer {
    let mut versions: Vec<&String> =
        world.sks_templates.keys().map(|(version, _)| version).collect();
    versions.dedup();
    Ok(json!({ "sks-cluster-versions": versions }))
}

pub(crate) fn active_template(world: &mut World, request: &Request) -> Answer {
    let key = (request.param(0).to_owned(), request.param(1).to_owned());
    match world.sks_templates.get(&key) {
        Some(id) => Ok(json!({ "active-template": id })),
        None => Err(Refusal::not_found("template", &format!("{} {}", key.0, key.1))),
    }
}
