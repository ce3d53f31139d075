//! What an instance's first boot is told: TOML for Exoscale's sks-node-agent, compressed and in
//! base64. Built as a table and never as text: names from the cluster end up in it.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_solver::lifecycle::{LaunchRequest, unregistered_taint};
use berth_solver::model::{Labels, Taint, TaintEffect};
use flate2::{Compression, GzBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use toml::{Table, Value};

use super::registries::Registries;
use crate::api::{ExoscaleNodeClassSpec, Kubelet};
use crate::provider::ProviderError;

/// The longest user data that the API takes.
const LONGEST: usize = 32_768;

/// What nodes are told of their cluster.
#[derive(Clone, Debug)]
pub struct Joining<'a> {
    /// Where the API server is.
    pub endpoint: &'a str,
    /// Its authority's certificate, PEM.
    pub authority: &'a str,
    /// The cluster's DNS domain.
    pub domain: &'a str,
    /// The bootstrap token.
    pub token: &'a SecretString,
    /// Where images are pulled from, and as whom.
    pub registries: Option<&'a Registries>,
}

/// The user data of the instance of a claim.
///
/// # Errors
/// [`ProviderError::Refused`] if the node class' own user data is no TOML, or all of it is too
/// long.
pub fn user_data(
    class: &ExoscaleNodeClassSpec,
    joining: &Joining<'_>,
    request: &LaunchRequest,
) -> Result<String, ProviderError> {
    let mut table = ours(class, joining, request);
    if let Some(text) = &class.user_data {
        merge(&mut table, given(text)?);
    }
    let text = toml::to_string(&table).map_err(|error| refused(&error))?;
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    let bytes = gzip.write_all(text.as_bytes()).and_then(|()| gzip.finish());
    let encoded = STANDARD.encode(bytes.map_err(|error| refused(&error))?);
    if encoded.len() > LONGEST {
        return Err(refused(&format!(
            "{} characters when compressed, the API takes {LONGEST}",
            encoded.len()
        )));
    }
    Ok(encoded)
}

/// What a node class gives as its own user data.
///
/// # Errors
/// [`ProviderError::Refused`] if it is no TOML.
pub fn given(text: &str) -> Result<Table, ProviderError> {
    text.parse().map_err(|error: toml::de::Error| refused(&error.message()))
}

fn refused(why: &dyn std::fmt::Display) -> ProviderError {
    ProviderError::Refused(format!("spec.userData of the node class: {why}"))
}

/// Adds what is not there yet, table by table.
fn merge(table: &mut Table, other: Table) {
    for (key, value) in other {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(ours)), Value::Table(theirs)) => merge(ours, theirs),
            (Some(_), _) => {}
            (None, value) => {
                table.insert(key, value);
            }
        }
    }
}

fn ours(class: &ExoscaleNodeClassSpec, joining: &Joining<'_>, request: &LaunchRequest) -> Table {
    let mut kubernetes = kubelet(&class.kubelet.clone().unwrap_or_default());
    let texts = [
        ("api-server", joining.endpoint.to_owned()),
        ("bootstrap-token", joining.token.expose_secret().to_owned()),
        ("cloud-provider", "external".to_owned()),
        ("cluster-certificate", STANDARD.encode(joining.authority)),
        ("cluster-domain", joining.domain.to_owned()),
    ];
    kubernetes.extend(texts.map(|(key, text)| (key.to_owned(), Value::String(text))));
    kubernetes.insert("node-labels".to_owned(), labels(&request.labels).into());
    let taints = request.taints.iter().cloned().chain([unregistered_taint()]);
    kubernetes.insert("node-taints".to_owned(), self::taints(taints).into());
    let mut settings = Table::new();
    settings.insert("kubernetes".to_owned(), kubernetes.into());
    let registries = joining.registries.map(Registries::settings).filter(|one| !one.is_empty());
    if let Some(registries) = registries {
        settings.insert("container-registry".to_owned(), registries.clone().into());
    }
    [("settings".to_owned(), settings.into())].into_iter().collect()
}

fn kubelet(kubelet: &Kubelet) -> Table {
    let strings = |list: &[String]| -> Value {
        list.iter().map(|text| Value::String(text.clone())).collect::<Vec<_>>().into()
    };
    let mut table = Table::new();
    let mut set = |key: &str, value: Value| {
        table.insert(key.to_owned(), value);
    };
    set("cluster-dns-ip", strings(&kubelet.cluster_dns));
    let (high, low) =
        (kubelet.image_gc_high_threshold_percent, kubelet.image_gc_low_threshold_percent);
    set("image-gc-high-threshold-percent", high.into());
    set("image-gc-low-threshold-percent", low.into());
    set("image-minimum-gc-age", kubelet.image_minimum_gc_age.clone().into());
    let kube = kubelet.kube_reserved.clone().unwrap_or_default();
    set("kube-reserved", reserved(&kube.cpu, &kube.memory, &kube.ephemeral_storage).into());
    let system = kubelet.system_reserved.clone().unwrap_or_default();
    let system = reserved(&system.cpu, &system.memory, &system.ephemeral_storage);
    set("system-reserved", system.into());
    if let Some(policy) = &kubelet.cpu_manager_policy {
        set("cpu-manager-policy", policy.clone().into());
        set("cpu-manager-reconcile-period", kubelet.cpu_manager_reconcile_period.clone().into());
        if !kubelet.cpu_manager_policy_options.is_empty() {
            set("cpu-manager-policy-options", strings(&kubelet.cpu_manager_policy_options));
        }
    }
    if let Some(pods) = kubelet.max_pods {
        set("max-pods", pods.into());
    }
    if !kubelet.feature_gates.is_empty() {
        let gates = kubelet.feature_gates.iter();
        let gates: Table = gates.map(|(name, on)| (name.clone(), (*on).into())).collect();
        set("feature-gates", gates.into());
    }
    table
}

fn reserved(cpu: &str, memory: &str, disk: &str) -> Table {
    let pairs = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", disk)];
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Value::String(value.to_owned())))
        .collect()
}

/// The labels that a kubelet may give its own node: it refuses to start with others of
/// Kubernetes' own. Those are set by registration.
fn labels(labels: &Labels) -> Table {
    let pairs = labels.iter().filter(|(key, _)| kubelet_may_set(key));
    pairs.map(|(key, value)| (key.to_string(), Value::String(value.to_string()))).collect()
}

/// As kubelet's own check of `--node-labels` has it.
fn kubelet_may_set(key: &str) -> bool {
    const SINGLE: [&str; 5] = [
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
    ];
    let Some((domain, _)) = key.split_once('/') else { return true };
    let is_of = |root: &str| domain == root || domain.ends_with(&format!(".{root}"));
    let kubernetes = is_of("kubernetes.io") || is_of("k8s.io");
    !kubernetes
        || SINGLE.contains(&key)
        || is_of("kubelet.kubernetes.io")
        || is_of("node.kubernetes.io")
}

fn taints(taints: impl Iterator<Item = Taint>) -> Table {
    let mut table = Table::new();
    for taint in taints {
        let effect = match taint.effect {
            TaintEffect::NoSchedule => "NoSchedule",
            TaintEffect::PreferNoSchedule => "PreferNoSchedule",
            TaintEffect::NoExecute => "NoExecute",
        };
        // The agent refuses an empty value.
        let value = if taint.value.is_empty() { "true" } else { &taint.value };
        let entry = Value::String(format!("{value}:{effect}"));
        match table.get_mut(taint.key.as_str()) {
            Some(Value::Array(list)) => list.push(entry),
            _ => {
                table.insert(taint.key.to_string(), vec![entry].into());
            }
        }
    }
    table
}
