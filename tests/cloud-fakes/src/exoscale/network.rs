//! Security groups, anti-affinity groups, private networks and elastic IPs.

use serde_json::{Value, json};

use super::world::{Effect, World};
use crate::route::{Answer, Refusal, Request};

/// How many instances an anti-affinity group may have.
pub(crate) const GROUP_LIMIT: usize = 8;

/// A security group, an anti-affinity group or a private network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Group {
    fn json(&self) -> Value {
        json!({ "id": self.id, "name": self.name })
    }
}

/// An elastic IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticIp {
    /// Its id.
    pub id: String,
    /// The address.
    pub ip: String,
}

fn list(key: &str, groups: &[Group]) -> Answer {
    Ok(json!({ key: groups.iter().map(Group::json).collect::<Vec<_>>() }))
}

pub(crate) fn security_groups(world: &mut World, _: &Request) -> Answer {
    list("security-groups", &world.security_groups)
}

pub(crate) fn anti_affinity_groups(world: &mut World, _: &Request) -> Answer {
    list("anti-affinity-groups", &world.anti_affinity_groups)
}

pub(crate) fn anti_affinity_group(world: &mut World, request: &Request) -> Answer {
    let id = request.param(0);
    let group = find(&world.anti_affinity_groups, "anti-affinity group", id)?;
    let mut value = group.json();
    let members = world.members(id).map(|instance| json!({ "id": instance })).collect::<Vec<_>>();
    value["instances"] = members.into();
    Ok(value)
}

pub(crate) fn private_networks(world: &mut World, _: &Request) -> Answer {
    list("private-networks", &world.private_networks)
}

pub(crate) fn elastic_ips(world: &mut World, _: &Request) -> Answer {
    let all = world.elastic_ips.iter();
    let json = |one: &ElasticIp| json!({ "id": one.id, "ip": one.ip, "addressfamily": "inet4" });
    Ok(json!({ "elastic-ips": all.map(json).collect::<Vec<_>>() }))
}

pub(crate) fn attach(world: &mut World, request: &Request) -> Answer {
    let id = request.param(0).to_owned();
    find(&world.private_networks, "private network", &id)?;
    let instance = instance_of(world, request)?;
    let effect = Effect::AttachNetwork { instance, network: id.clone() };
    Ok(world.begin("attach-instance-to-private-network", Some(&id), effect))
}

pub(crate) fn attach_elastic_ip(world: &mut World, request: &Request) -> Answer {
    let id = request.param(0).to_owned();
    if !world.elastic_ips.iter().any(|one| one.id == id) {
        return Err(Refusal::not_found("elastic IP", &id));
    }
    let instance = instance_of(world, request)?;
    // So the real one does, with 400.
    if world.instances.get(&instance).is_some_and(|found| found.state == "starting") {
        return Err(Refusal::invalid("the instance is starting"));
    }
    let effect = Effect::AttachElasticIp { instance, elastic_ip: id.clone() };
    Ok(world.begin("attach-instance-to-elastic-ip", Some(&id), effect))
}

fn instance_of(world: &World, request: &Request) -> Result<String, Refusal> {
    let id = request.text("/instance/id").ok_or_else(|| Refusal::invalid("instance is missing"))?;
    match world.instances.get(id).filter(|found| !found.is_going()) {
        Some(_) => Ok(id.to_owned()),
        None => Err(Refusal::not_found("instance", id)),
    }
}

/// A group by its id.
pub(crate) fn find<'a>(groups: &'a [Group], what: &str, id: &str) -> Result<&'a Group, Refusal> {
    let found = groups.iter().find(|group| group.id == id);
    found.ok_or_else(|| Refusal::not_found(what, id))
}
