//! The real Karpenter, as the Go module in `karpenter/` runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use berth::manifests::export;
use berth_solver::baselines::{PeerNode, PeerPlan};
use berth_solver::model::{CapacityType, Method, Name, Plan, PodKey, Snapshot, Timestamp};
use berth_solver::packing::Settings;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[path = "../shared/go.rs"]
mod go;

/// The program, and a folder for what it reads.
pub struct Karpenter {
    program: PathBuf,
    folder: tempfile::TempDir,
}

/// What it answers: what `berth plan --output json` writes, and some more.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    pub nodes: Vec<Launched>,
    pub existing: Vec<Existing>,
    pub unschedulable: Vec<Left>,
    pub price_per_hour: f64,
    pub elapsed_ms: f64,
    pub solve_ms: f64,
    pub peak_rss_mib: f64,
    pub method: String,
}

/// What its consolidation came to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consolidated {
    pub commands: Vec<serde_json::Value>,
    pub price_per_hour_before: f64,
    pub price_per_hour_after: f64,
    pub evictions: usize,
    pub elapsed_ms: f64,
    pub method: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Launched {
    pub node_pool: String,
    pub instance_type: String,
    pub zone: String,
    pub capacity_type: CapacityType,
    pub pods: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Existing {
    pub name: String,
    pub pods: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Left {
    pub pod: String,
    pub reason: String,
}

/// How it is run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// How many candidates it looks at at a time.
    pub workers: usize,
    /// How often; the time is the median.
    pub times: usize,
}

impl Karpenter {
    /// Builds the program; quick when that was done before. Says what is missing if it cannot be.
    pub fn build() -> Result<Self, String> {
        let program = go::build(".", "karpenter")?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        Ok(Self { program, folder })
    }

    /// Has it plan what waits in the snapshot, on the catalog in the file.
    pub fn plan(&self, catalog: &Path, snapshot: &Snapshot, run: Run) -> Result<Document, String> {
        let (workers, times) = (run.workers.to_string(), run.times.to_string());
        self.run(catalog, snapshot, &["-workers", &workers, "-runs", &times])
    }

    /// Has it consolidate the nodes of the snapshot until it finds nothing more to do.
    pub fn consolidate(&self, catalog: &Path, snapshot: &Snapshot) -> Result<Consolidated, String> {
        self.run(catalog, snapshot, &["-consolidate"])
    }

    fn run<T: DeserializeOwned>(
        &self,
        catalog: &Path,
        snapshot: &Snapshot,
        arguments: &[&str],
    ) -> Result<T, String> {
        let manifests = self.folder.path().join("problem.json");
        std::fs::write(&manifests, export::list(snapshot).to_string())
            .map_err(|error| error.to_string())?;
        let output = Command::new(&self.program)
            .arg("-catalog")
            .arg(catalog)
            .arg("-manifests")
            .arg(&manifests)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }
}

impl Document {
    /// Its plan in the form of ours, so that `verify` can look at it.
    pub fn as_plan(&self, snapshot: &Snapshot, settings: &Settings) -> Result<Plan, String> {
        let keys = |pods: &[String]| pods.iter().map(|pod| key(pod)).collect::<Vec<_>>();
        let name = |text: &String| Name::from(text.as_str());
        let decided = PeerPlan {
            launches: self
                .nodes
                .iter()
                .map(|node| PeerNode {
                    pool: name(&node.node_pool),
                    instance_type: name(&node.instance_type),
                    zone: name(&node.zone),
                    capacity_type: node.capacity_type,
                    pods: keys(&node.pods),
                })
                .collect(),
            existing: self
                .existing
                .iter()
                .map(|node| (name(&node.name), keys(&node.pods)))
                .collect(),
            unplaced: self
                .unschedulable
                .iter()
                .map(|one| (key(&one.pod), one.reason.clone()))
                .collect(),
        };
        let now = Timestamp::from_seconds(1);
        let made = decided.into_plan(snapshot, settings, Method::Karpenter, now);
        made.map_err(|error| error.to_string())
    }
}

fn key(text: &str) -> PodKey {
    let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
    PodKey { namespace: namespace.into(), name: name.into() }
}
