//! What there is to plan, read from files.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use berth_simulations::trace::{self, Shapes};
use berth_solver::decisions::difference;
use berth_solver::model::{Change, ClusterEvent, ClusterState, Name, Pod, Snapshot, Timestamp};

use super::{Arguments, consolidate};
use crate::catalog;
use crate::clock::Clock;
use crate::commands::Failure;
use crate::manifests::{self, Manifests};
use crate::watch::Interner;

/// What there is to plan.
pub(super) struct Input {
    pub(super) snapshot: Snapshot,
    /// The schedulers that its pods name.
    pub(super) schedulers: Box<[Name]>,
    /// The time of the picture. For files it is when the youngest thing in them was made, so that
    /// the same files give the same plan tomorrow.
    pub(super) now: Timestamp,
    /// Things that somebody may want to know.
    notes: Vec<String>,
}

impl Input {
    pub(super) fn read(arguments: &Arguments) -> Result<Self, Failure> {
        if arguments.manifests.is_empty() && arguments.pods.is_none() && !arguments.live {
            let problem =
                anyhow!("there is nothing to plan: expected --manifests, --pods or --live");
            return Err(Failure::BadInput(problem));
        }
        let interner = Interner::new();
        let catalog =
            catalog::read(&arguments.catalog).map_err(|error| Failure::BadInput(error.into()))?;
        let (mut cluster, mut notes) = if arguments.live {
            (live(arguments)?, Vec::new())
        } else {
            let manifests = manifests::read(&arguments.manifests, &interner)
                .map_err(|error| Failure::BadInput(error.into()))?;
            let notes = notes_of(&manifests);
            (manifests.cluster, notes)
        };
        if cluster.picture().pools.is_empty() {
            let pool = manifests::assumed_pool(&interner)
                .ok_or_else(|| anyhow!("no NodePool can be assumed"))?;
            cluster.apply(ClusterEvent::NodePool(Change::Applied(pool)));
        }
        if let Some(file) = &arguments.pods {
            add_pods(file, &mut cluster, &mut notes)?;
        }
        let catalog = Arc::new(catalog);
        let pools: Vec<Name> = cluster.picture().pools.keys().cloned().collect();
        for pool in pools {
            let catalog = Arc::clone(&catalog);
            cluster.apply(ClusterEvent::Catalog(Change::Applied((pool, catalog))));
        }
        if arguments.consolidate {
            consolidate::add_claims(&mut cluster);
        }
        let snapshot = cluster.snapshot();
        let now = if arguments.live { Clock::system().now() } else { youngest(&snapshot) };
        Ok(Self { schedulers: schedulers(&snapshot), now, snapshot, notes })
    }

    /// How many pods are to be placed.
    pub(super) fn pending(&self) -> usize {
        self.snapshot.unbound.values().filter(|pod| is_to_place(pod)).count()
    }

    /// Pods that wait for something else than a node, by namespace and name.
    pub(super) fn gated(&self) -> impl Iterator<Item = &Arc<Pod>> {
        let waits = |pod: &&Arc<Pod>| pod.gated && pod.deleted.is_none() && !pod.belongs_to_node();
        self.snapshot.unbound.values().filter(waits)
    }

    /// Tells what somebody may want to know, on standard error.
    pub(super) fn tell_notes(&self) {
        for note in &self.notes {
            // If it is closed, nobody wants to know.
            let _ = writeln!(std::io::stderr(), "berth: note: {note}");
        }
    }
}

fn is_to_place(pod: &Pod) -> bool {
    pod.needs_node() && !pod.belongs_to_node()
}

fn schedulers(snapshot: &Snapshot) -> Box<[Name]> {
    let names = snapshot.unbound.values().map(|pod| pod.shape.scheduler.clone());
    names.collect::<BTreeSet<Name>>().into_iter().collect()
}

fn youngest(snapshot: &Snapshot) -> Timestamp {
    let pods = snapshot.pods.values().map(|pod| pod.created);
    let nodes = snapshot.nodes.values().map(|state| state.node.created);
    let claims = snapshot.claims.values().map(|claim| claim.created);
    pods.chain(nodes).chain(claims).max().unwrap_or_default().max(Timestamp::default())
}

/// A cluster as it is now.
fn live(arguments: &Arguments) -> Result<ClusterState, Failure> {
    let snapshot = crate::commands::cluster::picture(arguments.kubeconfig.as_deref())?;
    let mut cluster = ClusterState::new();
    for event in difference(&Snapshot::default(), &snapshot) {
        cluster.apply(event);
    }
    Ok(cluster)
}

fn notes_of(manifests: &Manifests) -> Vec<String> {
    let mut notes = Vec::new();
    if !manifests.skipped.is_empty() {
        let kinds: Vec<String> =
            manifests.skipped.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
        notes.push(format!(
            "objects of kinds that do not matter here were skipped: {}",
            kinds.join(", ")
        ));
    }
    if manifests.stray_pods > 0 {
        notes.push(format!(
            "{} pods are bound to nodes that are not in the manifests: they count nowhere",
            manifests.stray_pods
        ));
    }
    notes
}

/// Adds the pods of a workload trace that are there at its time 0.
fn add_pods(
    file: &Path,
    cluster: &mut ClusterState,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let bad = |error: trace::TraceError| Failure::BadInput(error.into());
    let mut shapes = Shapes::new();
    let (mut later, mut over) = (0_usize, 0_usize);
    let start = Timestamp::default();
    for record in trace::csv::Reader::open(file).map_err(bad)? {
        let record = record.map_err(bad)?;
        if record.submit > start {
            later += 1;
        } else if !record.is_alive_at(start) {
            over += 1;
        } else {
            let pod = shapes.pod(&record);
            if cluster.picture().pods.contains_key(&pod.key) {
                return Err(Failure::BadInput(anyhow!(
                    "{}: pod {} is in the manifests already: expected it once",
                    file.display(),
                    pod.key
                )));
            }
            // Its age means nothing here.
            let pod = Pod { created: start, ..pod };
            cluster.apply(ClusterEvent::Pod(Change::Applied(pod)));
        }
    }
    if later + over > 0 {
        notes.push(format!(
            "{}: {} pods that come after time 0 and {} that have ended by then were left out",
            file.display(),
            later,
            over
        ));
    }
    Ok(())
}
