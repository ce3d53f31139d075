//! Who would serve claims in files, from what the files say.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::anyhow;
use berth_solver::model::{Change, ClusterEvent, Name, Pod, Snapshot, Timestamp};
use berth_solver::packing;

use super::CheckArguments;
use super::check::Key;
use crate::api::conditions::time;
use crate::api::{ClaimStatus, SizeMapping};
use crate::catalog;
use crate::claims::choice::{Candidate, Choice, Used, choose};
use crate::claims::claim::Claim;
use crate::claims::definition::Service;
use crate::claims::demand;
use crate::claims::files::{Platform, Provider};
use crate::claims::money::Monthly;
use crate::commands::Failure;
use crate::manifests;
use crate::watch::Interner;

/// Chooses for one claim after the other: budgets, quotas and room are what those before have left.
pub(super) struct Chooser<'a> {
    platform: &'a Platform,
    cluster: Option<Cluster>,
    /// What claims have: those as they were, until they are chosen for anew.
    has: BTreeMap<Key, Choice>,
    /// The sum of it, by provider and namespace.
    used: BTreeMap<String, BTreeMap<String, Used>>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(platform: &'a Platform, cluster: Option<Cluster>) -> Self {
        Self { platform, cluster, has: BTreeMap::new(), used: BTreeMap::new() }
    }

    /// Takes down what claims have as they were before: it is theirs.
    pub(super) fn look_back<'b>(&mut self, before: impl Iterator<Item = (Key, &'b Claim)>) {
        let room = self.cluster.as_ref().map(|cluster| cluster.snapshot.clone());
        for (key, claim) in before {
            // What nothing served has nothing.
            let _ = self.choose(&key, claim);
        }
        if let (Some(cluster), Some(room)) = (&mut self.cluster, room) {
            cluster.snapshot = room;
        }
    }

    /// Chooses for a claim. What it has already is kept, or changed.
    pub(super) fn choose(&mut self, key: &Key, claim: &Claim) -> Result<Choice, String> {
        let Some(kind) = self.platform.kinds.get(&key.0) else {
            return Err("no ClaimDefinition makes this kind".to_owned());
        };
        let service = kind.definition.service;
        let mut claim = claim.clone();
        if let Some(choice) = self.has.remove(key) {
            let used = self.used_by(&choice, &claim.namespace);
            used.claims -= 1;
            used.price = used.price - choice.price;
            claim.status = status(&choice);
        }
        let candidates: Vec<Candidate> = self
            .platform
            .providers
            .iter()
            .map(|(name, provider)| self.candidate(name, provider, &claim, service))
            .collect();
        let labels = self.platform.namespaces.get(&claim.namespace).cloned().unwrap_or_default();
        let choice = choose(&claim, service, &labels, &candidates).map_err(|no| no.to_string())?;
        let used = self.used_by(&choice, &claim.namespace);
        used.claims += 1;
        used.price = used.price + choice.price;
        self.has.insert(key.clone(), choice.clone());
        if let Some(cluster) = &mut self.cluster {
            cluster.take(&claim, &choice);
        }
        Ok(choice)
    }

    fn used_by(&mut self, choice: &Choice, namespace: &str) -> &mut Used {
        let used = self.used.entry(choice.provider.clone()).or_default();
        used.entry(namespace.to_owned()).or_default()
    }

    fn candidate(
        &self,
        name: &str,
        provider: &Provider,
        claim: &Claim,
        service: Service,
    ) -> Candidate {
        let size = provider.spec.mapping(service.as_str(), &claim.size);
        let price = match (&self.cluster, size) {
            (Some(cluster), Some(size)) if provider.spec.r#type == "kubernetes" => {
                cluster.price(claim, size)
            }
            _ => {
                Err("its price is what the cluster has to add: give --catalog, and --cluster for \
                      the room that there is"
                    .to_owned())
            }
        };
        Candidate {
            name: name.to_owned(),
            labels: provider.labels.clone(),
            spec: provider.spec.clone(),
            price,
            problem: None,
            used: self.used.get(name).cloned().unwrap_or_default(),
        }
    }
}

/// What the status of a claim says that has this.
fn status(choice: &Choice) -> ClaimStatus {
    let long_ago = Some(time(Timestamp::default()));
    ClaimStatus {
        provider: Some(choice.provider.clone()),
        size: Some(choice.size.size.clone()),
        storage_gb: choice.storage,
        plan: choice.size.plan.clone(),
        price_per_month: Some(choice.price.to_string()),
        create_requested_at: long_ago.clone(),
        created_at: long_ago,
        ..ClaimStatus::default()
    }
}

/// The present cluster, with the claims so far.
pub(super) struct Cluster {
    snapshot: Snapshot,
    interner: Interner,
}

impl Cluster {
    pub(super) fn read(arguments: &CheckArguments) -> Result<Option<Self>, Failure> {
        let Some(file) = &arguments.catalog else { return Ok(None) };
        let catalog = catalog::read(file).map_err(|error| Failure::BadInput(error.into()))?;
        let interner = Interner::new();
        let read = manifests::read(&arguments.cluster, &interner)
            .map_err(|error| Failure::BadInput(error.into()))?;
        let mut cluster = read.cluster;
        if cluster.picture().pools.is_empty() {
            let pool = manifests::assumed_pool(&interner)
                .ok_or_else(|| anyhow!("no NodePool can be assumed"))?;
            cluster.apply(ClusterEvent::NodePool(Change::Applied(pool)));
        }
        let catalog = Arc::new(catalog);
        let pools: Vec<Name> = cluster.picture().pools.keys().cloned().collect();
        for pool in pools {
            let catalog = Arc::clone(&catalog);
            cluster.apply(ClusterEvent::Catalog(Change::Applied((pool, catalog))));
        }
        Ok(Some(Self { snapshot: cluster.snapshot(), interner }))
    }

    fn pods(&self, claim: &Claim, size: &SizeMapping) -> Result<Vec<Pod>, String> {
        demand::pods(claim, size, &claim.name, Timestamp::default(), &self.interner)
    }

    fn price(&self, claim: &Claim, size: &SizeMapping) -> Result<Monthly, String> {
        let pods = self.pods(claim, size)?;
        let scheduler_names = [Name::from("default-scheduler")].into();
        let settings = packing::Settings { scheduler_names, ..packing::Settings::default() };
        demand::price(&self.snapshot, &pods, &settings, Timestamp::default(), 0)
    }

    /// The pods of a claim that is served from here are there for the next one.
    fn take(&mut self, claim: &Claim, choice: &Choice) {
        if choice.size.cpu.is_some()
            && let Ok(pods) = self.pods(claim, &choice.size)
        {
            self.snapshot = demand::with(&self.snapshot, &pods);
        }
    }
}
