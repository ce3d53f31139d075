//! The nodes that are there or on their way, as a table.

use std::collections::BTreeMap;

use berth_solver::model::{Name, PodKey, Resources, Snapshot};

use super::table::fill;
use crate::commands::output::{plural, table};

/// More nodes than these are counted, not listed.
const MOST_NODES: usize = 20;

/// The nodes that get pods, and how full they are then; empty if there are no nodes.
pub(super) fn table_of(snapshot: &Snapshot, pods: &BTreeMap<&Name, Vec<&PodKey>>) -> String {
    let coming = snapshot.claims.values().filter(|claim| snapshot.node_of_claim(claim).is_none());
    let names: Vec<&Name> = snapshot.nodes.keys().chain(coming.map(|claim| &claim.name)).collect();
    if names.is_empty() {
        return String::new();
    }
    let takers: Vec<(&Name, &Vec<&PodKey>)> =
        names.iter().filter_map(|name| Some((*name, pods.get(*name)?))).collect();
    let nodes = format!("{} {} already there", names.len(), plural(names.len(), "node"));
    if takers.is_empty() {
        return format!("{nodes}, none takes a pod\n");
    }
    let requests = |pod: &&PodKey| Some(&snapshot.unbound.get(*pod)?.shape.requests);
    let mut rows = table(["already there", "pods more", "cpu", "memory"], 1);
    for (name, more) in takers.iter().take(MOST_NODES) {
        // What one that is on its way will have is up to its claim.
        let (cpu, memory) = match snapshot.nodes.get(*name) {
            Some(state) => {
                let added: Resources = more.iter().filter_map(requests).sum();
                fill(&(&state.used + &added), &state.node.allocatable)
            }
            None => ("to come".to_owned(), "to come".to_owned()),
        };
        rows.add_row([name.to_string(), more.len().to_string(), cpu, memory]);
    }
    let taken: usize = takers.iter().map(|(_, more)| more.len()).sum();
    let pods = plural(taken, "pod");
    let unlisted = takers.len().saturating_sub(MOST_NODES);
    let unlisted = if unlisted > 0 { format!(" ({unlisted} not listed)") } else { String::new() };
    format!("{rows}\n{nodes}, {} of them take {taken} {pods}{unlisted}\n", takers.len())
}
