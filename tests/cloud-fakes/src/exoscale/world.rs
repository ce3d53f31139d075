//! What there is, and what is under way.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::KEY;
use super::catalog::{self, InstanceType};
use super::compute::Instance;
use super::dbaas::Database;
use super::network::{ElasticIp, Group};
use super::sks::Cluster;
use crate::faults::Fault;
use crate::route::{Answer, Refusal, Request};

/// How long things take, by the fake's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// From a change until its operation has ended.
    pub operation: Duration,
    /// From the end of a create until the list shows the instance.
    pub listed_after: Duration,
    /// For so long after its end the list still shows a deleted instance.
    pub unlisted_after: Duration,
    /// From the create of a database until it runs.
    pub database: Duration,
}

impl Default for Timing {
    /// Changes end at once, and lists are right.
    fn default() -> Self {
        Self {
            operation: Duration::ZERO,
            listed_after: Duration::ZERO,
            unlisted_after: Duration::ZERO,
            database: Duration::ZERO,
        }
    }
}

/// An organisation in one zone. All fields may be changed by tests at any time.
#[derive(Debug)]
pub struct World {
    /// The zone.
    pub zone: String,
    /// How long things take.
    pub timing: Timing,
    /// Whether the list of instances heeds its parameter `labels`.
    pub filters_labels: bool,
    /// What is sold.
    pub instance_types: Vec<InstanceType>,
    /// How many more instances of a type (`family.size`) there is room for; not there: any number.
    pub room: BTreeMap<String, u32>,
    /// How much the organisation may have of something; -1: no limit.
    pub quotas: BTreeMap<String, i64>,
    /// Templates, by id: their names.
    pub templates: BTreeMap<String, String>,
    /// The active templates of SKS nodes, by Kubernetes version and variant.
    pub sks_templates: BTreeMap<(String, String), String>,
    /// Instances, by id, those that are being deleted too.
    pub instances: BTreeMap<String, Instance>,
    /// Instances that are no more, in the order in which they went.
    pub past: Vec<Instance>,
    /// Security groups.
    pub security_groups: Vec<Group>,
    /// Anti-affinity groups.
    pub anti_affinity_groups: Vec<Group>,
    /// Private networks.
    pub private_networks: Vec<Group>,
    /// Elastic IPs.
    pub elastic_ips: Vec<ElasticIp>,
    /// SKS clusters.
    pub clusters: Vec<Cluster>,
    /// PostgreSQL services, by name.
    pub databases: BTreeMap<String, Database>,
    operations: BTreeMap<String, Operation>,
    /// What the operation that is begun next meets.
    pub(crate) next_fault: Option<Fault>,
    pub(crate) now: SystemTime,
    /// Keys, and their secrets.
    pub(crate) keys: BTreeMap<String, String>,
    /// What the keys' role allows; `None`: everything.
    pub(crate) allowed: Option<Vec<String>>,
    /// How far the `Date` of answers is behind the fake's clock.
    pub(crate) late_date: Duration,
    /// What is published as prices; null: nothing is.
    pub(crate) prices: Value,
    ids: u64,
}

/// A change under way.
#[derive(Clone, Debug)]
struct Operation {
    command: &'static str,
    subject: Option<String>,
    /// `None`: never.
    due: Option<SystemTime>,
    effect: Effect,
    outcome: Option<(Cow<'static, str>, String)>,
    ended: bool,
}

/// What happens at the end of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Nothing,
    Start { instance: String },
    Destroy { instance: String },
    AttachNetwork { instance: String, network: String },
    AttachElasticIp { instance: String, elastic_ip: String },
    Label { instance: String, labels: BTreeMap<String, String> },
    DropDatabase { name: String },
}

impl World {
    pub(crate) fn new(zone: &str, now: SystemTime) -> Self {
        let quotas = [("instance", 100), ("gpu", 0), ("elastic-ip", 20), ("database", 20)];
        Self {
            zone: zone.to_owned(),
            timing: Timing::default(),
            filters_labels: true,
            instance_types: catalog::all(zone),
            room: BTreeMap::new(),
            quotas: quotas.into_iter().map(|(name, limit)| (name.to_owned(), limit)).collect(),
            templates: BTreeMap::new(),
            sks_templates: BTreeMap::new(),
            instances: BTreeMap::new(),
            past: Vec::new(),
            security_groups: Vec::new(),
            anti_affinity_groups: Vec::new(),
            private_networks: Vec::new(),
            elastic_ips: Vec::new(),
            clusters: Vec::new(),
            databases: BTreeMap::new(),
            operations: BTreeMap::new(),
            next_fault: None,
            now,
            keys: [(KEY.0.to_owned(), KEY.1.to_owned())].into_iter().collect(),
            allowed: None,
            late_date: Duration::ZERO,
            prices: catalog::prices(),
            ids: 0,
        }
    }

    /// What time it is, by the fake's clock, at the last call.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// A new id.
    pub fn new_id(&mut self) -> String {
        self.ids += 1;
        format!("{:08x}-ec50-4000-8000-{:012x}", self.ids, self.ids)
    }

    /// Adds a security group; gives its id.
    pub fn add_security_group(&mut self, name: &str) -> String {
        let group = Group { id: self.new_id(), name: name.to_owned() };
        self.security_groups.push(group.clone());
        group.id
    }

    /// Adds an anti-affinity group; gives its id.
    pub fn add_anti_affinity_group(&mut self, name: &str) -> String {
        let group = Group { id: self.new_id(), name: name.to_owned() };
        self.anti_affinity_groups.push(group.clone());
        group.id
    }

    /// Adds a private network; gives its id.
    pub fn add_private_network(&mut self, name: &str) -> String {
        let group = Group { id: self.new_id(), name: name.to_owned() };
        self.private_networks.push(group.clone());
        group.id
    }

    /// Adds an elastic IP; gives its id.
    pub fn add_elastic_ip(&mut self, ip: &str) -> String {
        let id = self.new_id();
        self.elastic_ips.push(ElasticIp { id: id.clone(), ip: ip.to_owned() });
        id
    }

    /// Adds a template; gives its id.
    pub fn add_template(&mut self, name: &str) -> String {
        let id = self.new_id();
        self.templates.insert(id.clone(), name.to_owned());
        id
    }

    /// Adds a template and makes it that of SKS nodes of a version and variant; gives its id.
    pub fn add_sks_template(&mut self, version: &str, variant: &str) -> String {
        let id = self.add_template(&format!("sks-node-{version}-{variant}"));
        self.sks_templates.insert((version.to_owned(), variant.to_owned()), id.clone());
        id
    }

    /// Adds an SKS cluster; gives its id.
    pub fn add_cluster(&mut self, name: &str, version: &str) -> String {
        let id = self.new_id();
        self.clusters.push(Cluster {
            endpoint: format!("https://{id}.sks-{}.exo.io:443", self.zone),
            id: id.clone(),
            name: name.to_owned(),
            version: version.to_owned(),
            default_security_group: None,
        });
        id
    }

    /// Adds an instance that runs, as somebody else would create it; gives its id.
    pub fn add_instance(&mut self, name: &str, kind: &str, labels: &[(&str, &str)]) -> String {
        let id = self.new_id();
        let pairs = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut instance = Instance::new(id.clone(), name, kind, self.now);
        instance.labels = pairs.collect();
        "running".clone_into(&mut instance.state);
        self.instances.insert(id.clone(), instance);
        id
    }

    /// The instances in an anti-affinity group.
    pub fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a String> {
        let is_in = move |one: &&Instance| one.anti_affinity_groups.iter().any(|id| id == group);
        self.instances.values().filter(is_in).map(|one| &one.id)
    }

    /// Begins an operation: the answer to a change.
    pub(crate) fn begin(
        &mut self,
        command: &'static str,
        subject: Option<&str>,
        effect: Effect,
    ) -> Value {
        let id = self.new_id();
        let (due, outcome) = match self.next_fault.take() {
            Some(Fault::OperationStuck) => (None, None),
            Some(Fault::OperationFails { reason, message }) => {
                (Some(self.now + self.timing.operation), Some((reason, message)))
            }
            _ => (Some(self.now + self.timing.operation), None),
        };
        let subject = subject.map(str::to_owned);
        let operation = Operation { command, subject, due, effect, outcome, ended: false };
        self.operations.insert(id.clone(), operation);
        // Even the fastest change is answered as pending.
        let answer = self.operation_json(&id);
        self.bring_up_to(self.now);
        answer
    }

    /// Makes the operation that is begun next fail, unless it is to meet another fault.
    pub(crate) fn fail_next(&mut self, reason: &'static str, message: &str) {
        let message = message.to_owned();
        self.next_fault.get_or_insert(Fault::OperationFails { reason: reason.into(), message });
    }

    /// Ends what is due.
    pub(crate) fn bring_up_to(&mut self, now: SystemTime) {
        self.now = now;
        let is_due = |one: &Operation| !one.ended && one.due.is_some_and(|due| due <= now);
        let due: Vec<String> = self
            .operations
            .iter()
            .filter(|(_, one)| is_due(one))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let Some(operation) = self.operations.get_mut(&id) else { continue };
            operation.ended = true;
            let (effect, failed) = (operation.effect.clone(), operation.outcome.is_some());
            if failed { self.undo(&effect) } else { self.apply(effect) }
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Start { instance } => {
                if let Some(found) = self.instances.get_mut(&instance)
                    && !found.is_going()
                {
                    "running".clone_into(&mut found.state);
                }
            }
            Effect::Destroy { instance } => self.remove(&instance),
            Effect::AttachNetwork { instance, network } => {
                if let Some(found) = self.instances.get_mut(&instance)
                    && !found.private_networks.contains(&network)
                {
                    found.private_networks.push(network);
                }
            }
            Effect::AttachElasticIp { instance, elastic_ip } => {
                if let Some(found) = self.instances.get_mut(&instance)
                    && !found.elastic_ips.contains(&elastic_ip)
                {
                    found.elastic_ips.push(elastic_ip);
                }
            }
            Effect::Label { instance, labels } => {
                if let Some(found) = self.instances.get_mut(&instance) {
                    found.labels = labels;
                }
            }
            Effect::DropDatabase { name } => {
                self.databases.remove(&name);
            }
        }
    }

    fn undo(&mut self, effect: &Effect) {
        match effect {
            Effect::Start { instance } => self.remove(instance),
            Effect::Destroy { instance } => {
                if let Some(found) = self.instances.get_mut(instance) {
                    "running".clone_into(&mut found.state);
                }
            }
            _ => {}
        }
    }

    /// Somebody deletes an instance.
    pub fn remove(&mut self, instance: &str) {
        if let Some(mut gone) = self.instances.remove(instance) {
            gone.ended = Some(self.now);
            "destroyed".clone_into(&mut gone.state);
            self.past.push(gone);
        }
    }

    pub(crate) fn look_at_operation(&mut self, request: &Request) -> Answer {
        let id = request.param(0);
        if !self.operations.contains_key(id) {
            return Err(Refusal::not_found("operation", id));
        }
        Ok(self.operation_json(id))
    }

    fn operation_json(&self, id: &str) -> Value {
        let Some(operation) = self.operations.get(id) else { return Value::Null };
        let state = match &operation.outcome {
            _ if !operation.ended => "pending",
            None => "success",
            Some(_) => "failure",
        };
        let mut value = json!({ "id": id, "state": state });
        if let Some((reason, message)) = operation.outcome.as_ref().filter(|_| operation.ended) {
            value["reason"] = reason.as_ref().into();
            value["message"] = message.as_str().into();
        }
        if let Some(subject) = &operation.subject {
            let command = operation.command;
            value["reference"] = json!({ "id": subject, "command": command });
        }
        value
    }
}
