//! Virtual machines.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::{World, nothing, page, texts};
use crate::route::{Answer, Refusal, Request};

/// A virtual machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its type.
    pub commercial_type: String,
    /// Its image.
    pub image: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its security group.
    pub security_group: Option<String>,
    /// Whether it has a public address.
    pub has_address: bool,
    /// Its disks, as they were asked for.
    pub volumes: Value,
    /// What its first boot is told, by key.
    pub user_data: BTreeMap<String, String>,
    /// `stopped`, `starting`, `running`, `stopping`.
    pub state: String,
    /// What comes next, and when; no state: it is gone.
    pub next: Option<(SystemTime, Option<String>)>,
}

impl Server {
    /// Brings it up to the present. Whether it is gone.
    pub(super) fn settle(&mut self, now: SystemTime) -> bool {
        match self.next.take_if(|(at, _)| *at <= now) {
            Some((_, Some(state))) => self.state = state,
            Some((_, None)) => return true,
            None => {}
        }
        false
    }
}

fn json_of(world: &World, id: &str, zone: &str) -> Value {
    let one = &world.servers[id];
    let addresses: &[&str] = if one.has_address { &["198.51.100.8"] } else { &[] };
    let address = |address: &&str| {
        json!({ "id": "a", "address": address, "dynamic": true, "family": "inet",
                "provisioning_mode": "dhcp", "tags": [], "ipam_id": "i", "state": "attached" })
    };
    let can: &[&str] = match one.state.as_str() {
        "running" => &["poweroff", "terminate", "reboot", "stop_in_place", "backup"],
        "stopped" => &["poweron", "backup"],
        _ => &[],
    };
    json!({
        "id": id,
        "zone": zone,
        "organization": "organization",
        "project": world.project,
        "name": one.name,
        "hostname": one.name,
        "commercial_type": one.commercial_type,
        "tags": one.tags,
        "state": one.state,
        "state_detail": "",
        "allowed_actions": can,
        "dynamic_ip_required": one.has_address,
        "public_ips": addresses.iter().map(address).collect::<Vec<_>>(),
        "volumes": {},
        "protected": false,
        "mac_address": "de:00:00:00:00:01",
        "boot_type": "local",
        "arch": "x86_64",
    })
}

fn find<'a>(world: &'a mut World, request: &Request) -> Result<&'a mut Server, Refusal> {
    let id = request.param(1);
    world.servers.get_mut(id).ok_or_else(|| Refusal::not_found("instance", id))
}

pub(super) fn list(world: &mut World, request: &Request) -> Answer {
    let ids: Vec<String> = world.servers.keys().cloned().collect();
    let row = |id: &String| (world.servers[id].tags.clone(), json_of(world, id, request.param(0)));
    let (total, found) = page(request, ids.iter().map(row).collect(), "per_page");
    Ok(json!({ "servers": found, "total_count": total }))
}

pub(super) fn get(world: &mut World, request: &Request) -> Answer {
    find(world, request)?;
    Ok(json!({ "server": json_of(world, request.param(1), request.param(0)) }))
}

pub(super) fn create(world: &mut World, request: &Request) -> Answer {
    if request.text("/project") != Some(&world.project) {
        return Err(Refusal(403, "insufficient permissions".to_owned()));
    }
    let text = |name: &str| {
        let found = request.text(&format!("/{name}"));
        found.map(str::to_owned).ok_or_else(|| Refusal::invalid(format!("{name} is missing")))
    };
    let id = world.new_id();
    let server = Server {
        name: text("name")?,
        commercial_type: text("commercial_type")?,
        image: text("image")?,
        tags: texts(request.body.get("tags")),
        security_group: text("security_group").ok(),
        has_address: request.body["dynamic_ip_required"].as_bool().unwrap_or(true),
        volumes: request.body["volumes"].clone(),
        user_data: BTreeMap::new(),
        state: "stopped".to_owned(),
        next: None,
    };
    world.servers.insert(id.clone(), server);
    Ok(json!({ "server": json_of(world, &id, request.param(0)) }))
}

pub(super) fn act(world: &mut World, request: &Request) -> Answer {
    let at = world.now + world.delay;
    let server = find(world, request)?;
    let action = request.text("/action").unwrap_or_default().to_owned();
    let (state, next) = match (action.as_str(), server.state.as_str()) {
        ("poweron", "stopped") => ("starting", Some("running".to_owned())),
        ("poweroff", "running") => ("stopping", Some("stopped".to_owned())),
        ("terminate", "running") => ("stopping", None),
        (action, state) => {
            return Err(Refusal::invalid(format!("{action} is not allowed: it is {state}")));
        }
    };
    state.clone_into(&mut server.state);
    server.next = Some((at, next));
    Ok(json!({ "task": { "id": "t", "description": action, "progress": 0, "status": "pending",
                         "href_from": "", "href_result": "", "zone": request.param(0) } }))
}

pub(super) fn set_user_data(world: &mut World, request: &Request) -> Answer {
    let text = request.body.as_str().unwrap_or_default().to_owned();
    find(world, request)?.user_data.insert(request.param(2).to_owned(), text);
    nothing()
}
