//! Which address is which operation.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::World;
use crate::{compute, dbaas, network, sks};

/// A call, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// What stands for the variable parts of the path.
    pub(crate) params: Vec<String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Request {
    /// A part of the path.
    pub(crate) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// A text of the body.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    /// The ids of a list of references in the body.
    pub(crate) fn ids(&self, field: &str) -> Vec<String> {
        let list = self.body.get(field).and_then(Value::as_array);
        let ids = list.into_iter().flatten().filter_map(|item| item.get("id")?.as_str());
        ids.map(str::to_owned).collect()
    }
}

/// An error's status and message.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) u16, pub(crate) String);

impl Refusal {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self(400, message.into())
    }

    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self(404, format!("{what} {id} not found"))
    }

    /// The body that says so.
    pub(crate) fn body(&self) -> Value {
        json!({ "message": self.1 })
    }
}

/// What a call leads to.
pub(crate) type Answer = Result<Value, Refusal>;

/// Who carries a call out.
pub(crate) type Handler = fn(&mut World, &Request) -> Answer;

/// Method, path, the operation's name, and who carries it out.
const ROUTES: &[(&str, &str, &str, Handler)] = &[
    ("GET", "/zone", "list-zones", compute::zones),
    ("GET", "/instance-type", "list-instance-types", compute::types),
    ("GET", "/instance-type/{}", "get-instance-type", compute::one_type),
    ("GET", "/quota", "list-quotas", compute::quotas),
    ("GET", "/quota/{}", "get-quota", compute::quota),
    ("GET", "/template", "list-templates", compute::templates),
    ("GET", "/template/{}", "get-template", compute::template),
    ("GET", "/operation/{}", "get-operation", World::look_at_operation),
    ("GET", "/instance", "list-instances", compute::list),
    ("POST", "/instance", "create-instance", compute::create),
    ("GET", "/instance/{}", "get-instance", compute::get),
    ("PUT", "/instance/{}", "update-instance", compute::update),
    ("DELETE", "/instance/{}", "delete-instance", compute::delete),
    ("GET", "/security-group", "list-security-groups", network::security_groups),
    ("GET", "/anti-affinity-group", "list-anti-affinity-groups", network::anti_affinity_groups),
    ("GET", "/anti-affinity-group/{}", "get-anti-affinity-group", network::anti_affinity_group),
    ("GET", "/private-network", "list-private-networks", network::private_networks),
    ("PUT", "/private-network/{}:attach", "attach-instance-to-private-network", network::attach),
    ("GET", "/elastic-ip", "list-elastic-ips", network::elastic_ips),
    ("PUT", "/elastic-ip/{}:attach", "attach-instance-to-elastic-ip", network::attach_elastic_ip),
    ("GET", "/sks-cluster", "list-sks-clusters", sks::clusters),
    ("GET", "/sks-cluster/{}", "get-sks-cluster", sks::cluster),
    ("GET", "/sks-cluster-version", "list-sks-cluster-versions", sks::versions),
    ("GET", "/sks-template/{}/{}", "get-active-nodepool-template", sks::active_template),
    ("GET", "/dbaas-service", "list-dbaas-services", dbaas::services),
    ("GET", "/dbaas-service-type/{}", "get-dbaas-service-type", dbaas::service_type),
    ("GET", "/dbaas-ca-certificate", "get-dbaas-ca-certificate", dbaas::authority),
    ("GET", "/dbaas-postgres/{}", "get-dbaas-service-pg", dbaas::get),
    ("POST", "/dbaas-postgres/{}", "create-dbaas-service-pg", dbaas::create),
    ("PUT", "/dbaas-postgres/{}", "update-dbaas-service-pg", dbaas::update),
    ("DELETE", "/dbaas-postgres/{}", "delete-dbaas-service-pg", dbaas::delete),
    ("POST", "/dbaas-postgres/{}/user", "create-dbaas-postgres-user", dbaas::create_user),
    ("DELETE", "/dbaas-postgres/{}/user/{}", "delete-dbaas-postgres-user", dbaas::delete_user),
    (
        "GET",
        "/dbaas-postgres/{}/user/{}/password/reveal",
        "reveal-dbaas-postgres-user-password",
        dbaas::reveal,
    ),
    (
        "PUT",
        "/dbaas-postgres/{}/user/{}/password/reset",
        "reset-dbaas-postgres-user-password",
        dbaas::reset,
    ),
    ("POST", "/dbaas-postgres/{}/database", "create-dbaas-pg-database", dbaas::create_database),
    ("DELETE", "/dbaas-postgres/{}/database/{}", "delete-dbaas-pg-database", dbaas::drop_database),
];

/// The operation at an address: its name, who carries it out, and the path's variable parts.
/// `segments` are decoded.
pub(crate) fn find(
    method: &str,
    segments: &[String],
) -> Option<(&'static str, Handler, Vec<String>)> {
    ROUTES.iter().find_map(|(allowed, pattern, name, handler)| {
        let params = (*allowed == method).then(|| matches(pattern, segments)).flatten()?;
        Some((*name, *handler, params))
    })
}

fn matches(pattern: &str, segments: &[String]) -> Option<Vec<String>> {
    let parts: Vec<&str> = pattern.split('/').skip(1).collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut params = Vec::new();
    for (part, segment) in parts.iter().zip(segments) {
        match part.strip_prefix("{}") {
            // `{}:attach` is another operation than `{}`.
            Some("") if segment.contains(':') => return None,
            Some(verb) => params.push(segment.strip_suffix(verb)?.to_owned()),
            None if part == segment => {}
            None => return None,
        }
    }
    Some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_after_the_id_is_another_operation() {
        let found = |method: &str, path: &str| {
            let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
            find(method, &segments).map(|(name, _, params)| (name, params.join(" ")))
        };
        let attach = "attach-instance-to-private-network";
        assert_eq!(found("PUT", "private-network/a:attach"), Some((attach, "a".to_owned())));
        assert_eq!(found("PUT", "private-network/a"), None);
        assert_eq!(found("PUT", "instance/a"), Some(("update-instance", "a".to_owned())));
        assert_eq!(found("PUT", "instance/a:stop"), None);
        let template = ("get-active-nodepool-template", "1.36.2 standard".to_owned());
        assert_eq!(found("GET", "sks-template/1.36.2/standard"), Some(template));
        assert_eq!(found("PATCH", "instance/a"), None);
    }
}
