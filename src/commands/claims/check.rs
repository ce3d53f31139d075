//! Claims in files: what is wrong with them, who would serve them, and what an update would do.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::anyhow;
use berth_solver::model::{Change, ClusterEvent, Name, Snapshot, Timestamp};
use berth_solver::packing;

use super::CheckArguments;
use crate::catalog;
use crate::claims::choice::{Candidate, Choice, Used, choose};
use crate::claims::claim::Claim;
use crate::claims::definition::{Change as Allowed, Definition, Service};
use crate::claims::demand;
use crate::claims::files::{self, Platform, Provider, Written};
use crate::claims::money::Monthly;
use crate::claims::schema::Problem;
use crate::commands::Failure;
use crate::manifests::{self, ManifestError};
use crate::watch::Interner;

/// What was found out.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) claims: Vec<Checked>,
    pub(super) removed: Vec<Removed>,
}

/// A claim.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) size: Option<String>,
    pub(super) choice: Option<Choice>,
    pub(super) problems: Vec<ManifestError>,
    /// What an update changes; `None` if it is new, or if there is nothing to compare with.
    pub(super) update: Option<Vec<String>>,
}

/// A claim that was there before.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// What becomes of what it stood for.
    pub(super) retain: bool,
}

impl Report {
    /// What all claims cost together in a month.
    pub(super) fn price(&self) -> Monthly {
        self.claims.iter().filter_map(|one| Some(one.choice.as_ref()?.price)).sum()
    }

    /// The exit status, as an error that names the first problem.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let mut problems = self.claims.iter().flat_map(|one| &one.problems);
        let Some(first) = problems.next() else { return Ok(()) };
        let more = match problems.count() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Err(Failure::BadInput(anyhow!("{first}{more}")))
    }
}

pub(super) fn check(arguments: &CheckArguments) -> Result<Report, Failure> {
    let bad = |error: ManifestError| Failure::BadInput(error.into());
    let (mut platform, objects) = files::platform(&arguments.claims).map_err(bad)?;
    if !arguments.platform.is_empty() {
        let (more, _) = files::platform(&arguments.platform).map_err(bad)?;
        platform.kinds.extend(more.kinds);
        platform.providers.extend(more.providers);
        platform.namespaces.extend(more.namespaces);
    }
    if platform.kinds.is_empty() {
        return Err(Failure::BadInput(anyhow!(
            "there is no ClaimDefinition in these files: expected some, or --platform with them"
        )));
    }
    let mut previous: BTreeMap<Key, Written> = BTreeMap::new();
    if !arguments.previous.is_empty() {
        let (_, objects) = files::platform(&arguments.previous).map_err(bad)?;
        let written = files::claims(&platform, objects);
        previous.extend(written.into_iter().map(|one| (key(&one), one)));
    }
    let cluster = Cluster::read(arguments)?;
    let mut checker = Checker { platform: &platform, cluster, used: BTreeMap::new() };
    let mut seen: BTreeMap<Key, (String, u64)> = BTreeMap::new();
    let mut claims = Vec::new();
    for written in files::claims(&platform, objects) {
        let (file, line) = written.place();
        let place = (file.to_owned(), line);
        let before = previous.remove(&key(&written));
        let mut checked = checker.check(&written, before.as_ref());
        if !arguments.previous.is_empty() && before.is_none() {
            checked.update = None;
        }
        if let Some((file, line)) = seen.insert(key(&written), place) {
            let message = format!("is there already, {file} line {line}: expected it once");
            checked.problems.push(written.error(&Problem::at("", message)));
        }
        claims.push(checked);
    }
    let removed = previous.into_values().map(|written| removed(&platform, &written)).collect();
    Ok(Report { claims, removed })
}

/// Group and kind, namespace and name.
type Key = ((String, String), (String, String));

fn key(written: &Written) -> Key {
    (written.kind.clone(), written.key())
}

fn removed(platform: &Platform, written: &Written) -> Removed {
    let (namespace, name) = written.key();
    let by_default = platform.kinds.get(&written.kind).is_none_or(|kind| kind.definition.retain);
    let retain = written.claim.as_ref().map_or(by_default, |claim| claim.retain);
    Removed { kind: written.kind.1.clone(), namespace, name, retain }
}

struct Checker<'a> {
    platform: &'a Platform,
    cluster: Option<Cluster>,
    /// By provider and namespace: what the claims so far have.
    used: BTreeMap<String, BTreeMap<String, Used>>,
}

impl Checker<'_> {
    fn check(&mut self, written: &Written, before: Option<&Written>) -> Checked {
        let (file, line) = written.place();
        let (namespace, name) = written.key();
        let mut checked = Checked {
            file: file.to_owned(),
            line,
            kind: written.kind.1.clone(),
            namespace,
            name,
            size: None,
            choice: None,
            problems: Vec::new(),
            update: None,
        };
        let Some(kind) = self.platform.kinds.get(&written.kind) else { return checked };
        let definition = &kind.definition;
        let claim = match &written.claim {
            Ok(claim) => claim,
            Err(problems) => {
                checked.problems.clone_from(problems);
                return checked;
            }
        };
        checked.size = Some(claim.size.clone());
        match self.choose(claim, definition.service) {
            Ok(choice) => checked.choice = Some(choice),
            Err(problem) => checked.problems.push(written.error(&Problem::at("", problem))),
        }
        if let Some(Ok(before)) = before.map(|before| before.claim.as_ref()) {
            let (changes, refused) = compare(definition, before, claim);
            checked.update = Some(changes);
            checked.problems.extend(refused.iter().map(|problem| written.error(problem)));
        }
        checked
    }

    fn choose(&mut self, claim: &Claim, service: Service) -> Result<Choice, String> {
        let candidates: Vec<Candidate> = self
            .platform
            .providers
            .iter()
            .map(|(name, provider)| self.candidate(name, provider, claim))
            .collect();
        let labels = self.platform.namespaces.get(&claim.namespace).cloned().unwrap_or_default();
        let choice = choose(claim, service, &labels, &candidates).map_err(|no| no.to_string())?;
        let used = self.used.entry(choice.provider.clone()).or_default();
        let used = used.entry(claim.namespace.clone()).or_default();
        used.claims += 1;
        used.price = used.price + choice.price;
        if let Some(cluster) = &mut self.cluster {
            cluster.take(claim, &choice);
        }
        Ok(choice)
    }

    fn candidate(&self, name: &str, provider: &Provider, claim: &Claim) -> Candidate {
        let size = provider.spec.sizes.iter().find(|size| size.size == claim.size);
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

/// The present cluster, with the claims so far.
struct Cluster {
    snapshot: Snapshot,
    interner: Interner,
}

impl Cluster {
    fn read(arguments: &CheckArguments) -> Result<Option<Self>, Failure> {
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

    fn pods(
        &self,
        claim: &Claim,
        size: &crate::api::SizeMapping,
    ) -> Result<Vec<berth_solver::model::Pod>, String> {
        demand::pods(claim, size, &claim.name, Timestamp::default(), &self.interner)
    }

    fn price(&self, claim: &Claim, size: &crate::api::SizeMapping) -> Result<Monthly, String> {
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

/// What an update changes, and what it may not change.
fn compare(definition: &Definition, before: &Claim, after: &Claim) -> (Vec<String>, Vec<Problem>) {
    let mut changes = Vec::new();
    let mut refused = Vec::new();
    if before.size != after.size {
        changes.push(format!("size: {} becomes {}, in place", before.size, after.size));
    }
    for parameter in &definition.parameters {
        let name = parameter.known.name;
        let (was, is) = (before.parameters.get(name), after.parameters.get(name));
        if was == is {
            continue;
        }
        let shown = |value: Option<&serde_json::Value>| {
            value.map_or_else(|| "nothing".to_owned(), ToString::to_string)
        };
        let change = format!("{} becomes {}", shown(was), shown(is));
        let grows = before.number(name) < after.number(name) && was.is_some();
        match parameter.known.change {
            Allowed::Free => changes.push(format!("{name}: {change}, in place")),
            Allowed::Grow if grows => changes.push(format!("{name}: {change}, in place")),
            Allowed::Grow => refused.push(immutable(name, &change, "it can only grow")),
            Allowed::Never => refused.push(immutable(name, &change, "it is immutable")),
        }
    }
    if before.secret.is_some() && before.secret != after.secret {
        let change = "another Secret";
        refused.push(Problem::at(
            "/spec/writeConnectionSecretToRef",
            format!("{change}: it is immutable, so that this would take another claim"),
        ));
    }
    if before.adopt != after.adopt {
        let message = "it is immutable, so that this would take another claim";
        refused.push(Problem::at("/spec/adopt", message));
    }
    if before.retain != after.retain {
        let policy = |retain: bool| if retain { "Retain" } else { "Delete" };
        let (was, is) = (policy(before.retain), policy(after.retain));
        changes.push(format!("deletionPolicy: {was} becomes {is}"));
    }
    (changes, refused)
}

fn immutable(name: &str, change: &str, why: &str) -> Problem {
    let message = format!(
        "{change}: {why}, so that this would take another claim (a replacement, which moves no data)"
    );
    Problem::at(&format!("/spec/parameters/{name}"), message)
}
