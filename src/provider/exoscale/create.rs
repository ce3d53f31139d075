//! An instance for a claim: found, or created once.
//!
//! Every step may be the last one before the process dies, and the next attempt goes on from what
//! it finds:
//! 1. look for an instance that carries the claim's UID; if there is one, go on at 5
//! 2. a bootstrap token
//! 3. the intent, written to the claim on condition that it has not changed
//! 4. the create, sent once
//! 5. the Node
//! 6. wait until the instance runs; networks and elastic IPs

use std::time::Duration;

use berth_solver::lifecycle::{ClaimRef, Instance, LaunchRequest};

use super::class::Resolved;
use super::groups::Place;
use super::intent::{INTENT_ANNOTATION, Intent, Next, next};
use super::registries::Registries;
use super::user_data::{Joining, user_data};
use super::{Inner, identity, node, token};
use crate::api::{CONFIGURATION_HASH_ANNOTATION, NodeClaim};
use crate::exoscale::compute::{self, InstanceState, NewInstance};
use crate::exoscale::network::Reference;
use crate::exoscale::{ApiError, CLOUD, ErrorKind};
use crate::provider::ProviderError;

/// A create that was declared is sent within this, or not at all: whoever declares the next one
/// counts on it.
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait before an instance that is starting is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Inner {
    /// The instance of a claim, complete.
    pub(super) async fn create(&self, request: &LaunchRequest) -> Result<Instance, ProviderError> {
        let claim = self.live_claim(&request.claim).await?;
        let class = self.class_of(&claim).await?;
        let found = self.instances_of(&request.claim.uid).await?;
        let instance = match self.pick(found).await? {
            Some(instance) => {
                self.introduce(&instance.id, request).await?;
                self.until_it_runs(instance).await?
            }
            None => self.launch(request, claim, &class).await?,
        };
        let instance = self.attach(instance, &class).await?;
        let market = self.market().await?;
        self.describe(&instance, market.type_of(&instance)?, &request.claim, Some(&class.spec))
    }

    /// The claim, if it is still to have an instance.
    async fn live_claim(&self, reference: &ClaimRef) -> Result<NodeClaim, ProviderError> {
        let claim = self.cluster.claim(&reference.name).await?;
        let same = |claim: &NodeClaim| claim.metadata.uid.as_deref() == Some(&*reference.uid);
        match claim.filter(same) {
            Some(claim) if claim.metadata.deletion_timestamp.is_none() => Ok(claim),
            _ => {
                let name = &reference.name;
                Err(ProviderError::Other(format!("NodeClaim {name} is gone or going")))
            }
        }
    }

    async fn class_of(&self, claim: &NodeClaim) -> Result<Resolved, ProviderError> {
        let name = &claim.spec.node_class_ref.name;
        let class = self.cluster.node_class(name).await?;
        let class = class
            .ok_or_else(|| ProviderError::Other(format!("there is no ExoscaleNodeClass {name}")))?;
        Resolved::of(class)
    }

    /// The one of a claim's instances that becomes its machine. One that came up broken is deleted.
    async fn pick(
        &self,
        mut found: Vec<compute::Instance>,
    ) -> Result<Option<compute::Instance>, ProviderError> {
        let any = !found.is_empty();
        found.retain(|instance| !instance.state.is_terminating());
        found.sort_by(|left, right| {
            (&left.created_at, &left.id).cmp(&(&right.created_at, &right.id))
        });
        match found.into_iter().next() {
            Some(broken) if broken.state == InstanceState::Error => {
                let _ = self.client.delete_instance(&broken.id).await.map_err(refusal)?;
                let id = broken.id;
                Err(ProviderError::Other(format!("instance {id} came up in state error: deleted")))
            }
            None if any => {
                let message = "the claim's instance is being deleted".to_owned();
                Err(ProviderError::Other(message))
            }
            first => Ok(first),
        }
    }

    async fn launch(
        &self,
        request: &LaunchRequest,
        claim: NodeClaim,
        class: &Resolved,
    ) -> Result<compute::Instance, ProviderError> {
        let now = self.clock.now();
        let annotations = claim.metadata.annotations.as_ref();
        let last = annotations.and_then(|all| all.get(INTENT_ANNOTATION));
        let last = last.map(|text| Intent::parse(text, now));
        if let Next::Wait(wait) = next(last.as_ref(), self.settings.settle, now) {
            let seconds = wait.as_secs();
            return Err(ProviderError::Other(format!(
                "a create that was sent may still show: another one in {seconds} s at the earliest"
            )));
        }
        let place = self.place(request, class).await?;
        let new = self.new_instance(request, class, place.as_ref()).await?;
        let now = self.clock.now();
        let Next::Declare(intent) = next(last.as_ref(), self.settings.settle, now) else {
            return Err(ProviderError::Other("the clock ran backwards".to_owned()));
        };
        let text = intent.text();
        let mut annotations = vec![(INTENT_ANNOTATION, text.as_str())];
        let hash = class.status.configuration_hash.as_deref();
        annotations.extend(hash.map(|hash| (CONFIGURATION_HASH_ANNOTATION, hash)));
        let claim = self.cluster.annotate(&claim, &annotations).await?;
        if self.clock.now().since(now) > SENT_WITHIN {
            return Err(ProviderError::Other("the intent took too long to be written".to_owned()));
        }
        match self.send(request, &new).await {
            Err(error) if !error.may_have_happened => {
                // If this is lost, the next attempt waits: no more than that.
                let refused = Intent { refused: true, ..intent };
                let text = refused.text();
                let _ = self.cluster.annotate(&claim, &[(INTENT_ANNOTATION, &text)]).await;
                Err(refusal(error))
            }
            Err(error) => Err(refusal(error)),
            Ok(instance) => Ok(instance),
        }
    }

    /// Sends the create and waits for its end. The Node is there as soon as the instance has an
    /// id: its kubelet must not be first.
    async fn send(
        &self,
        request: &LaunchRequest,
        new: &NewInstance,
    ) -> Result<compute::Instance, ApiError> {
        let began = self.client.create_instance(new).await?;
        let happened = |error: ApiError| ApiError { may_have_happened: true, ..error };
        let Some(id) = began.subject().map(str::to_owned) else {
            let operation = "create-instance";
            let message = "the answer names no instance".to_owned();
            let kind = ErrorKind::Unknown;
            let (cloud, may_have_happened) = (CLOUD, true);
            return Err(ApiError { cloud, operation, kind, message, may_have_happened });
        };
        if let Err(error) = self.introduce(&id, request).await {
            // The next attempt finds the instance and tries again.
            tracing::warn!(instance = id, %error, "the Node of a new instance cannot be created");
        }
        self.client.wait("create-instance", began, self.settings.patience).await?;
        self.client.instance(&id).await.map_err(happened)
    }

    /// A place in an anti-affinity group, if the class has any.
    async fn place(
        &self,
        request: &LaunchRequest,
        class: &Resolved,
    ) -> Result<Option<Place<'_>>, ProviderError> {
        let groups = &class.status.anti_affinity_groups;
        if groups.is_empty() {
            return Ok(None);
        }
        let place = self.places.choose(&self.client, groups, &request.claim.uid).await;
        match place.map_err(refusal)? {
            Some(place) => Ok(Some(place)),
            None => Err(ProviderError::InsufficientCapacity(format!(
                "all {} anti-affinity groups of ExoscaleNodeClass {} are full: add one",
                groups.len(),
                class.name
            ))),
        }
    }

    async fn new_instance(
        &self,
        request: &LaunchRequest,
        class: &Resolved,
        place: Option<&Place<'_>>,
    ) -> Result<NewInstance, ProviderError> {
        let market = self.market().await?;
        let kind = market.by_name(&request.instance_type).ok_or_else(|| {
            let name = &request.instance_type;
            ProviderError::InsufficientCapacity(format!("{name} is not sold any more"))
        })?;
        let disk = super::machine::disk_of(kind, class.spec.disk_size);
        let disk = disk.and_then(|gib| u64::try_from(gib).ok()).ok_or_else(|| {
            let (name, asked) = (kind.name(), class.spec.disk_size);
            ProviderError::Refused(format!(
                "spec.diskSize {asked} of ExoscaleNodeClass {}: {name} takes no disk of that size",
                class.name
            ))
        })?;
        let endpoint = self.endpoint().await?;
        let authority = self.cluster.authority().await?;
        let registries = match &class.spec.container_registry {
            Some(named) => Some(Registries::read(self.cluster.as_ref(), named).await?),
            None => None,
        };
        let expires = self.clock.now() + self.settings.token_validity;
        let token = token::renew(self.cluster.as_ref(), &request.claim, expires).await?;
        let joining = Joining {
            endpoint: &endpoint,
            authority: &authority,
            domain: &self.settings.cluster_domain,
            token: &token,
            registries: registries.as_ref(),
        };
        let references = |ids: &[String]| ids.iter().map(Reference::to).collect::<Vec<_>>();
        Ok(NewInstance {
            name: self.node_name(&request.claim),
            instance_type: Reference::to(&kind.id),
            template: Reference::to(&class.image),
            disk_size: disk,
            labels: identity::labels(&self.settings.cluster_id, request),
            user_data: user_data(&class.spec, &joining, request)?,
            security_groups: references(&class.status.security_groups),
            anti_affinity_groups: place
                .map(|place| Reference::to(&place.group))
                .into_iter()
                .collect(),
            public_ip_assignment: class.public_ip_assignment(),
            ssh_keys: Vec::new(),
        })
    }

    /// Creates the Node of an instance, unless it is there.
    async fn introduce(
        &self,
        instance_id: &str,
        request: &LaunchRequest,
    ) -> Result<(), ProviderError> {
        let name = self.node_name(&request.claim);
        let wanted = node::node(&name, instance_id, request)?;
        if self.cluster.create_node(&wanted).await? {
            return Ok(());
        }
        let Some(there) = self.cluster.node(&name).await? else {
            return Err(ProviderError::Other(format!("Node {name} comes and goes")));
        };
        // A kubelet that was first says nothing of it: the cloud controller will.
        let Some(id) = node::provider_id_of(&there) else { return Ok(()) };
        if *id == *identity::provider_id(instance_id) {
            return Ok(());
        }
        // It may be that of an earlier instance of this claim, which came to nothing.
        if node::awaits_its_claim(&there, &request.claim.uid) && self.is_gone(id).await? {
            let uid = there.metadata.uid.clone().unwrap_or_default();
            self.cluster.delete_node(&name, &uid).await?;
            if self.cluster.create_node(&wanted).await? {
                return Ok(());
            }
        }
        Err(ProviderError::Other(format!("Node {name} is the machine {id}")))
    }

    /// Whether a machine is no more, or on its way out.
    async fn is_gone(&self, provider_id: &str) -> Result<bool, ProviderError> {
        let Some(id) = identity::instance_id(provider_id) else { return Ok(false) };
        let instance = self.still_there(id).await?;
        Ok(instance.is_none_or(|instance| instance.state.is_terminating()))
    }

    async fn until_it_runs(
        &self,
        mut instance: compute::Instance,
    ) -> Result<compute::Instance, ProviderError> {
        let deadline = self.clock.now() + self.settings.patience;
        loop {
            // Read singly: a list leaves its groups and elastic IPs out.
            instance = self.client.instance(&instance.id).await.map_err(refusal)?;
            match instance.state {
                InstanceState::Starting | InstanceState::Migrating => {}
                InstanceState::Running => return Ok(instance),
                state => {
                    let id = instance.id;
                    return Err(ProviderError::Other(format!("instance {id} is {state:?}")));
                }
            }
            if self.clock.now() >= deadline {
                let id = instance.id;
                return Err(ProviderError::Other(format!("instance {id} is starting still")));
            }
            self.clock.sleep(LOOK_AGAIN).await;
        }
    }

    /// Attaches the private networks and elastic IPs that are missing, one by one.
    async fn attach(
        &self,
        instance: compute::Instance,
        class: &Resolved,
    ) -> Result<compute::Instance, ProviderError> {
        let (id, patience) = (&instance.id, self.settings.patience);
        let is_in = |list: &[Reference], wanted: &str| list.iter().any(|one| one.id == wanted);
        for network in &class.status.private_networks {
            if !is_in(&instance.private_networks, network) {
                let began = self.client.attach_private_network(network, id).await;
                let began = began.map_err(refusal)?;
                let waited =
                    self.client.wait("attach-instance-to-private-network", began, patience);
                waited.await.map_err(refusal)?;
            }
        }
        for elastic_ip in &class.status.elastic_ips {
            if !is_in(&instance.elastic_ips, elastic_ip) {
                let began = self.client.attach_elastic_ip(elastic_ip, id).await;
                let began = began.map_err(refusal)?;
                let waited = self.client.wait("attach-instance-to-elastic-ip", began, patience);
                waited.await.map_err(refusal)?;
            }
        }
        Ok(instance)
    }
}

/// What an error of the API means to whoever asked for an instance.
pub(super) fn refusal(error: ApiError) -> ProviderError {
    let message = error.to_string();
    match error.kind {
        // Another type, or the same one later.
        ErrorKind::Quota | ErrorKind::InsufficientCapacity => {
            ProviderError::InsufficientCapacity(message)
        }
        ErrorKind::Throttled { retry_after } => ProviderError::Throttled { message, retry_after },
        ErrorKind::Forbidden | ErrorKind::Invalid => ProviderError::Refused(message),
        // A template, a group, a network: not the machine that was asked for.
        ErrorKind::NotFound
        | ErrorKind::ClockSkew { .. }
        | ErrorKind::Busy
        | ErrorKind::NoCredentials
        | ErrorKind::Unavailable
        | ErrorKind::TimedOut
        | ErrorKind::Unknown => ProviderError::Other(message),
    }
}
