//! What is known of a claim: who serves it, what the provider says, whose the Secret is.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_solver::model::{Pod, Timestamp};
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

use super::kind::Kind;
use super::{clients, secrets};
use crate::api::{ClaimProvider, SizeMapping};
use crate::background;
use crate::claims::choice::{Candidate, Choice, NoChoice, Reason, Used, choose};
use crate::claims::claim::{Claim, STORAGE};
use crate::claims::definition::Service;
use crate::claims::lifecycle::{External, Failure, Secret};
use crate::claims::money::Monthly;
use crate::claims::providers::{Backend, Wanted};
use crate::claims::{demand, names};

/// What people may say of a claim for a catalogue, handed on to what is made of it.
const HANDED_ON: [&str; 3] =
    ["backstage.io/", "terasky.backstage.io/", "argocd.argoproj.io/tracking"];

/// What is known of a claim.
pub(super) struct Picture {
    pub(super) choice: Result<Choice, NoChoice>,
    pub(super) external_name: String,
    pub(super) external: External,
    pub(super) secret: Secret,
    /// What it is served by, if a provider was chosen and can be asked.
    pub(super) served: Option<(Arc<dyn Backend>, Wanted)>,
    /// Why the provider did not say what is there.
    pub(super) failure: Option<Failure>,
}

/// Labels and annotations that are handed on.
pub(super) fn handed_on(claim: &Claim) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let of = |map: &BTreeMap<String, String>| {
        let pairs = map.iter().filter(|(key, _)| HANDED_ON.iter().any(|one| key.starts_with(one)));
        pairs.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    (of(&claim.labels), of(&claim.annotations))
}

impl Kind {
    /// Looks at everything that the next step depends on.
    pub(super) async fn look(&self, claim: &Claim) -> Result<Picture, kube::Error> {
        let external_name = claim.adopt.clone().unwrap_or_else(|| {
            names::external(&self.shared.cluster_uid, &claim.namespace, &claim.uid)
        });
        let mut picture = Picture {
            choice: Err(NoChoice::default()),
            external: External::NotAsked,
            secret: Secret::NotWanted,
            served: None,
            failure: None,
            external_name,
        };
        let is_idle = claim.is_paused() || !claim.has_finalizer;
        if is_idle || (claim.is_deleted && claim.status.provider.is_none()) {
            return Ok(picture);
        }
        picture.secret = secrets::look(&self.shared, claim).await?;
        let api: Api<ClaimProvider> = Api::all(self.shared.client.clone());
        let providers = api.list(&ListParams::default()).await?.items;
        picture.choice = self.choose(claim, &providers, &picture.external_name).await?;
        if claim.status.provider.is_some()
            && let Ok(choice) = picture.choice.clone()
        {
            self.ask(claim, &providers, &choice, &mut picture).await;
        }
        Ok(picture)
    }

    /// Asks the provider what is there.
    async fn ask(
        &self,
        claim: &Claim,
        providers: &[ClaimProvider],
        choice: &Choice,
        picture: &mut Picture,
    ) {
        let answer = self.backend(claim, providers, choice, &picture.external_name).await;
        let (backend, wanted) = match answer {
            Ok(served) => served,
            Err(message) => {
                picture.failure = Some(Failure { message, create_refused: false });
                return;
            }
        };
        match backend.observe(&wanted).await {
            Ok(None) => picture.external = External::Absent,
            Ok(Some(found)) => picture.external = External::Found(found),
            Err(error) => {
                picture.failure =
                    Some(Failure { message: error.to_string(), create_refused: false });
            }
        }
        picture.served = Some((backend, wanted));
    }

    async fn backend(
        &self,
        claim: &Claim,
        providers: &[ClaimProvider],
        choice: &Choice,
        external_name: &str,
    ) -> Result<(Arc<dyn Backend>, Wanted), String> {
        let named = |one: &&ClaimProvider| one.metadata.name.as_ref() == Some(&choice.provider);
        let provider = providers.iter().find(named);
        let spec = provider.map(|one| one.spec.clone()).ok_or_else(|| "it is gone".to_owned())?;
        let service = self.definition.service;
        let backend = clients::backend(&self.shared, &choice.provider, &spec, service).await?;
        let (labels, annotations) = handed_on(claim);
        let mut parameters = claim.parameters.clone();
        if let Some(storage) = choice.storage {
            parameters.insert(STORAGE.to_owned(), storage.into());
        }
        let wanted = Wanted {
            external_name: external_name.to_owned(),
            namespace: claim.namespace.clone(),
            claim_uid: claim.uid.clone(),
            is_adopted: claim.adopt.is_some(),
            size: choice.size.clone(),
            provider: spec,
            parameters,
            labels,
            annotations,
        };
        Ok((backend, wanted))
    }

    /// Chooses; one that cannot be asked for anything is passed over, and that is a reason.
    async fn choose(
        &self,
        claim: &Claim,
        providers: &[ClaimProvider],
        external_name: &str,
    ) -> Result<Result<Choice, NoChoice>, kube::Error> {
        let service = self.definition.service;
        let current = claim.status.provider.as_deref();
        let is_new = current.is_none();
        let is_asking = claim.is_asking();
        let used = if is_asking {
            self.shared.kinds.used(&self.shared, claim).await?
        } else {
            BTreeMap::new()
        };
        let mut candidates = Vec::new();
        for provider in providers {
            let name = provider.metadata.name.clone().unwrap_or_default();
            let is_asked = is_new || current == Some(&*name);
            let price = match self.shape(claim, provider).filter(|_| is_asked) {
                Some(size) if is_asking => self.price(claim, size.clone(), external_name).await,
                _ => Err("it has no price".to_owned()),
            };
            candidates.push(Candidate {
                labels: provider.metadata.labels.clone().unwrap_or_default().into_iter().collect(),
                spec: provider.spec.clone(),
                price,
                problem: None,
                used: used.get(&name).cloned().unwrap_or_default(),
                name,
            });
        }
        let labels = self.namespace_labels(&claim.namespace);
        loop {
            let choice = match choose(claim, service, &labels, &candidates) {
                Ok(choice) if is_new => choice,
                other => return Ok(other),
            };
            let Some(problem) = self.problem(claim, providers, &choice, external_name).await else {
                return Ok(Ok(choice));
            };
            let refused = candidates.iter_mut().find(|one| one.name == choice.provider);
            match refused {
                Some(candidate) => candidate.problem = Some(problem),
                None => {
                    let reasons = BTreeMap::from([(choice.provider, Reason::Unusable(problem))]);
                    return Ok(Err(NoChoice { reasons }));
                }
            }
        }
    }

    /// Why a provider cannot be asked for anything: it is asked for what is there already.
    async fn problem(
        &self,
        claim: &Claim,
        providers: &[ClaimProvider],
        choice: &Choice,
        external_name: &str,
    ) -> Option<String> {
        match self.backend(claim, providers, choice, external_name).await {
            Ok((backend, wanted)) => {
                backend.observe(&wanted).await.err().map(|error| error.to_string())
            }
            Err(problem) => Some(problem),
        }
    }

    /// The provider's size, if it has no price but that of the cluster's nodes.
    fn shape<'a>(&self, claim: &Claim, provider: &'a ClaimProvider) -> Option<&'a SizeMapping> {
        let size = provider.spec.mapping(self.definition.service.as_str(), &claim.size)?;
        (provider.spec.r#type == "kubernetes").then_some(size)
    }

    /// What the cluster would have to add, from the one cache's picture. What a database has that
    /// is to be another is there already, and makes room.
    async fn price(
        &self,
        claim: &Claim,
        size: SizeMapping,
        external_name: &str,
    ) -> Result<Monthly, String> {
        if !self.shared.cache.is_synced() {
            return Err("the picture of the cluster is not complete yet".to_owned());
        }
        let now = self.shared.clock.now();
        let pods = demand::pods(claim, &size, external_name, now, &self.shared.interner)?;
        let snapshot = self.shared.cache.snapshot();
        // Others that are on their way need their room too.
        let expected = self.shared.figures.expected();
        let snapshot = demand::overlay(&snapshot, &expected);
        let snapshot = demand::without(&snapshot, &claim.namespace, external_name);
        let before = claim.status.price();
        let generation = snapshot.generation;
        let (packing, seed) = (self.shared.settings.packing.clone(), self.shared.settings.seed);
        let priced = tokio::task::spawn_blocking(move || {
            background::run(|| demand::price(&snapshot, &pods, &packing, now, seed))
        });
        let added = priced.await.map_err(|error| format!("planning broke down: {error}"))?;
        let price = added.map(|added| added + before.unwrap_or_default());
        let shown = price.as_ref().map_or_else(Clone::clone, ToString::to_string);
        tracing::info!(
            namespace = claim.namespace,
            claim = claim.name,
            generation,
            price_per_month = shown,
            "priced a claim by what this cluster would have to add"
        );
        price
    }

    fn namespace_labels(&self, name: &str) -> BTreeMap<String, String> {
        let snapshot = self.shared.cache.snapshot();
        let labels = snapshot.namespaces.get(name);
        let pairs = labels.into_iter().flat_map(|labels| labels.iter());
        pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    /// The pods that a claim is going to bring to this cluster, until it is ready.
    pub(super) fn pods_to_come(&self, claim: &Claim, picture: &Picture) -> Vec<Pod> {
        let is_coming = claim.status.provider.is_some()
            && claim.status.ready_at.is_none()
            && !claim.is_deleted
            && self.definition.service == Service::PostgreSql;
        let Ok(choice) = &picture.choice else { return Vec::new() };
        if !is_coming || choice.size.cpu.is_none() {
            return Vec::new();
        }
        let since = claim.status.create_requested_at.as_ref();
        let since = since.map_or(Timestamp::default(), crate::api::conditions::timestamp);
        let name = &picture.external_name;
        demand::pods(claim, &choice.size, name, since, &self.shared.interner).unwrap_or_default()
    }
}

/// What a claim has of a provider, from its status.
pub(super) fn used_by(object: &DynamicObject) -> Option<(String, String, Used)> {
    let text = |name: &str| object.data.pointer(&format!("/status/{name}")).and_then(Value::as_str);
    let provider = text("provider")?.to_owned();
    let price = text("pricePerMonth").and_then(|text| text.parse().ok()).unwrap_or_default();
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    Some((provider, namespace, Used { claims: 1, price }))
}
