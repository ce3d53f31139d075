//! Instances, their types and templates, and quotas.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::catalog::{self, InstanceType};
use super::network::{self, GROUP_LIMIT};
use super::world::{Effect, World};
use crate::route::{Answer, Refusal, Request};

/// The longest user data.
const USER_DATA: usize = 32_768;

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type, `family.size`.
    pub instance_type: String,
    /// Its template.
    pub template: String,
    /// `starting`, `running`, `destroying` and so on.
    pub state: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The size of its disk in GiB.
    pub disk_size: u64,
    /// What its first boot was told, base64.
    pub user_data: String,
    /// `inet4`, `dual` or `none`.
    pub public_ip_assignment: String,
    /// The ids of its security groups.
    pub security_groups: Vec<String>,
    /// The ids of its anti-affinity groups.
    pub anti_affinity_groups: Vec<String>,
    /// The ids of its private networks.
    pub private_networks: Vec<String>,
    /// The ids of its elastic IPs.
    pub elastic_ips: Vec<String>,
    /// When it was created.
    pub created: SystemTime,
    /// When it was gone.
    pub ended: Option<SystemTime>,
}

impl Instance {
    pub(crate) fn new(id: String, name: &str, kind: &str, created: SystemTime) -> Self {
        Self {
            id,
            name: name.to_owned(),
            instance_type: kind.to_owned(),
            template: String::new(),
            state: "starting".to_owned(),
            labels: BTreeMap::new(),
            disk_size: 50,
            user_data: String::new(),
            public_ip_assignment: "inet4".to_owned(),
            security_groups: Vec::new(),
            anti_affinity_groups: Vec::new(),
            private_networks: Vec::new(),
            elastic_ips: Vec::new(),
            created,
            ended: None,
        }
    }

    /// Whether it is being deleted, or gone.
    pub fn is_going(&self) -> bool {
        ["destroying", "destroyed", "expunging"].contains(&self.state.as_str())
    }
}

fn references(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>().into()
}

fn json_of(world: &World, instance: &Instance, whole: bool) -> Value {
    // A type may be sold no more, and is its machines' still.
    let among = |kinds: &[InstanceType]| {
        kinds.iter().find(|kind| kind.name() == instance.instance_type).map(InstanceType::json)
    };
    let kind = among(&world.instance_types)
        .or_else(|| among(&catalog::all(&world.zone)))
        .unwrap_or_else(|| json!({}));
    let mut value = json!({
        "id": instance.id,
        "name": instance.name,
        "labels": instance.labels,
        "state": instance.state,
        // A list names the type by its id only.
        "instance-type": if whole { kind } else { json!({ "id": kind["id"] }) },
        "security-groups": references(&instance.security_groups),
        "private-networks": references(&instance.private_networks),
        "public-ip-assignment": instance.public_ip_assignment,
        "created-at": jiff::Timestamp::try_from(instance.created).map_or_else(
            |_| String::new(),
            |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ),
    });
    if !instance.template.is_empty() {
        value["template"] = json!({ "id": instance.template });
    } else if let Some(id) = world.templates.keys().next() {
        value["template"] = json!({ "id": id });
    } else {
        value["template"] = json!({ "id": "00000000-0000-4000-8000-000000000000" });
    }
    if instance.public_ip_assignment != "none" && instance.state != "starting" {
        value["public-ip"] = address(&instance.id).into();
    }
    if instance.public_ip_assignment == "dual" {
        value["ipv6-address"] = "2001:db8::1".into();
    }
    if whole {
        value["anti-affinity-groups"] = references(&instance.anti_affinity_groups);
        value["elastic-ips"] = references(&instance.elastic_ips);
        value["disk-size"] = instance.disk_size.into();
        if !instance.user_data.is_empty() {
            value["user-data"] = instance.user_data.as_str().into();
        }
    }
    value
}

/// An address of the documentation's range, by the id's counter.
fn address(id: &str) -> String {
    let counter = u64::from_str_radix(id.get(..8).unwrap_or_default(), 16).unwrap_or_default();
    format!("198.51.{}.{}", 100 + counter / 250 % 100, 1 + counter % 250)
}

pub(crate) fn zones(world: &mut World, _: &Request) -> Answer {
    let endpoint = format!("https://api-{}.exoscale.com/v2", world.zone);
    Ok(json!({ "zones": [{ "name": world.zone, "api-endpoint": endpoint }] }))
}

pub(crate) fn types(world: &mut World, _: &Request) -> Answer {
    let types: Vec<Value> = world.instance_types.iter().map(InstanceType::json).collect();
    Ok(json!({ "instance-types": types }))
}

pub(crate) fn one_type(world: &mut World, request: &Request) -> Answer {
    let id = request.param(0);
    let found = world.instance_types.iter().find(|kind| kind.id == id);
    found.map(InstanceType::json).ok_or_else(|| Refusal::not_found("instance type", id))
}

fn usage(world: &World, resource: &str) -> i64 {
    let gpus = |instance: &Instance| {
        let kind = world.instance_types.iter().find(|kind| kind.name() == instance.instance_type);
        kind.map_or(0, |kind| i64::from(kind.gpus))
    };
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    match resource {
        "instance" => count(world.instances.len()),
        "gpu" => world.instances.values().map(gpus).sum(),
        "elastic-ip" => count(world.elastic_ips.len()),
        "database" => count(world.databases.len()),
        _ => 0,
    }
}

fn quota_json(world: &World, resource: &str, limit: i64) -> Value {
    json!({ "resource": resource, "usage": usage(world, resource), "limit": limit })
}

pub(crate) fn quotas(world: &mut World, _: &Request) -> Answer {
    let all = world.quotas.iter();
    let all: Vec<Value> = all.map(|(name, limit)| quota_json(world, name, *limit)).collect();
    Ok(json!({ "quotas": all }))
}

pub(crate) fn quota(world: &mut World, request: &Request) -> Answer {
    let name = request.param(0);
    let limit = world.quotas.get(name).ok_or_else(|| Refusal::not_found("quota", name))?;
    Ok(quota_json(world, name, *limit))
}

/// Whether the organisation may have so many more of something.
pub(crate) fn check_quota(world: &World, resource: &str, more: i64) -> Result<(), Refusal> {
    let limit = world.quotas.get(resource).copied().unwrap_or(-1);
    if more > 0 && limit >= 0 && usage(world, resource) + more > limit {
        return Err(Refusal(403, format!("Quota exceeded for {resource}: the limit is {limit}")));
    }
    Ok(())
}

pub(crate) fn templates(world: &mut World, _: &Request) -> Answer {
    let json = |(id, name): (&String, &String)| json!({ "id": id, "name": name });
    Ok(json!({ "templates": world.templates.iter().map(json).collect::<Vec<_>>() }))
}

pub(crate) fn template(world: &mut World, request: &Request) -> Answer {
    let id = request.param(0);
    let name = world.templates.get(id).ok_or_else(|| Refusal::not_found("template", id))?;
    Ok(json!({ "id": id, "name": name }))
}

pub(crate) fn list(world: &mut World, request: &Request) -> Answer {
    let wanted: Vec<(&str, &str)> = request
        .query
        .get("labels")
        .filter(|_| world.filters_labels)
        .map_or("", String::as_str)
        .split(' ')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let carries = |instance: &&Instance| {
        wanted
            .iter()
            .all(|(key, value)| instance.labels.get(*key).is_some_and(|found| found == value))
    };
    let timing = world.timing;
    let shown = |instance: &&Instance| world.now >= instance.created + timing.listed_after;
    let lingers = |instance: &&Instance| {
        instance.ended.is_some_and(|ended| world.now < ended + timing.unlisted_after)
    };
    let present = world.instances.values().filter(shown);
    let all = present.chain(world.past.iter().filter(lingers)).filter(carries);
    let all: Vec<Value> = all.map(|instance| json_of(world, instance, false)).collect();
    Ok(json!({ "instances": all }))
}

pub(crate) fn get(world: &mut World, request: &Request) -> Answer {
    let id = request.param(0);
    let found = world.instances.get(id).ok_or_else(|| Refusal::not_found("instance", id))?;
    Ok(json_of(world, found, true))
}

pub(crate) fn create(world: &mut World, request: &Request) -> Answer {
    let missing = |what: &str| Refusal::invalid(format!("{what} is missing"));
    let kind = request.text("/instance-type/id").ok_or_else(|| missing("instance-type"))?;
    let found = world.instance_types.iter().find(|known| known.id == kind);
    let kind = found.ok_or_else(|| Refusal::not_found("instance type", kind))?.clone();
    let name = kind.name();
    if !kind.authorized || !kind.zones.contains(&world.zone) {
        return Err(Refusal(403, format!("{name} is not authorized")));
    }
    let template = request.text("/template/id").ok_or_else(|| missing("template"))?;
    if !world.templates.contains_key(template) {
        return Err(Refusal::not_found("template", template));
    }
    let disk_size = request.body.get("disk-size").and_then(Value::as_u64);
    let disk_size = disk_size.ok_or_else(|| missing("disk-size"))?;
    if !(10..=51_200).contains(&disk_size) {
        return Err(Refusal::invalid("disk-size must be from 10 to 51200"));
    }
    let user_data = request.text("/user-data").unwrap_or_default().to_owned();
    if user_data.len() > USER_DATA {
        return Err(Refusal::invalid(format!("user-data has more than {USER_DATA} characters")));
    }
    let (groups, apart) = (request.ids("security-groups"), request.ids("anti-affinity-groups"));
    for id in &groups {
        network::find(&world.security_groups, "security group", id)?;
    }
    for id in &apart {
        let group = network::find(&world.anti_affinity_groups, "anti-affinity group", id)?;
        if world.members(id).count() >= GROUP_LIMIT {
            return Err(Refusal(409, format!("{} has {GROUP_LIMIT} instances", group.name)));
        }
    }
    check_quota(world, "instance", 1)?;
    check_quota(world, "gpu", kind.gpus.into())?;
    if world.room.get(&name) == Some(&0) {
        world.fail_next("unavailable", "Insufficient capacity in zone");
    } else if let Some(room) = world.room.get_mut(&name) {
        *room -= 1;
    }
    let id = world.new_id();
    let given = request.text("/name").unwrap_or(&id).to_owned();
    let assignment = request.text("/public-ip-assignment").unwrap_or("inet4").to_owned();
    world.instances.insert(
        id.clone(),
        Instance {
            template: template.to_owned(),
            labels: labels(&request.body),
            disk_size,
            user_data,
            public_ip_assignment: assignment,
            security_groups: groups,
            anti_affinity_groups: apart,
            ..Instance::new(id.clone(), &given, &name, world.now)
        },
    );
    Ok(world.begin("create-instance", Some(&id), Effect::Start { instance: id.clone() }))
}

fn labels(body: &Value) -> BTreeMap<String, String> {
    let found = body.get("labels").and_then(Value::as_object);
    let pairs = found.into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

pub(crate) fn update(world: &mut World, request: &Request) -> Answer {
    let id = request.param(0).to_owned();
    if !world.instances.contains_key(&id) {
        return Err(Refusal::not_found("instance", &id));
    }
    let effect = match request.body.get("labels") {
        Some(_) => Effect::Label { instance: id.clone(), labels: labels(&request.body) },
        None => Effect::Nothing,
    };
    Ok(world.begin("update-instance", Some(&id), effect))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Answer {
    let id = request.param(0).to_owned();
    let Some(found) = world.instances.get_mut(&id) else {
        return Err(Refusal::not_found("instance", &id));
    };
    "destroying".clone_into(&mut found.state);
    Ok(world.begin("delete-instance", Some(&id), Effect::Destroy { instance: id.clone() }))
}
