//! Public Cloud instances.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::World;
use crate::route::{Answer, Refusal, Request};

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// The id of its flavor.
    pub flavor: String,
    /// The id of its image.
    pub image: String,
    /// Where.
    pub region: String,
    /// What its first boot is told.
    pub user_data: String,
    /// From when on it runs.
    pub runs_at: SystemTime,
    /// When it is gone.
    pub ends_at: Option<SystemTime>,
}

fn json_of(world: &World, id: &str) -> Value {
    let one = &world.instances[id];
    let status = match (one.ends_at, world.now < one.runs_at) {
        (Some(_), _) => "DELETING",
        (None, true) => "BUILD",
        (None, false) => "ACTIVE",
    };
    let addresses = [("2001:db8::9", 6), ("198.51.100.9", 4)];
    let addresses =
        addresses.map(|(ip, version)| json!({ "ip": ip, "type": "public", "version": version }));
    json!({
        "id": id,
        "name": one.name,
        "status": status,
        "region": one.region,
        "flavorId": one.flavor,
        "imageId": one.image,
        "ipAddresses": addresses,
    })
}

fn find<'a>(world: &'a mut World, request: &Request) -> Result<&'a mut Instance, Refusal> {
    world.check_project(request)?;
    let id = request.param(1);
    world.instances.get_mut(id).ok_or_else(|| Refusal::not_found("Instance", id))
}

pub(super) fn flavors(world: &mut World, request: &Request) -> Answer {
    world.check_project(request)?;
    let region = request.asked("region");
    let row = |(id, name): (&String, &String)| json!({ "id": id, "name": name, "region": region });
    Ok(world.flavors.iter().map(row).collect())
}

pub(super) fn list(world: &mut World, request: &Request) -> Answer {
    world.check_project(request)?;
    let region = request.asked("region");
    let is_there = |one: &Instance| region.is_none_or(|region| one.region == region);
    let ids = world.instances.iter().filter(|(_, one)| is_there(one)).map(|(id, _)| id);
    Ok(ids.map(|id| json_of(world, id)).collect())
}

pub(super) fn get(world: &mut World, request: &Request) -> Answer {
    find(world, request)?;
    Ok(json_of(world, request.param(1)))
}

pub(super) fn create(world: &mut World, request: &Request) -> Answer {
    world.check_project(request)?;
    let text = |name: &str| {
        let found = request.text(&format!("/{name}"));
        found.map(str::to_owned).ok_or_else(|| Refusal::invalid(format!("{name} is missing")))
    };
    let flavor = text("flavorId")?;
    if !world.flavors.contains_key(&flavor) {
        return Err(Refusal::not_found("Flavor", &flavor));
    }
    let id = world.new_id();
    let instance = Instance {
        name: text("name")?,
        flavor,
        image: text("imageId")?,
        region: text("region")?,
        user_data: text("userData").unwrap_or_default(),
        runs_at: world.now + world.delay,
        ends_at: None,
    };
    world.instances.insert(id.clone(), instance);
    Ok(json_of(world, &id))
}

pub(super) fn delete(world: &mut World, request: &Request) -> Answer {
    let ends_at = world.now + world.delay;
    find(world, request)?.ends_at = Some(ends_at);
    Ok(Value::Null)
}
