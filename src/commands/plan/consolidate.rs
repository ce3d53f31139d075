//! `berth plan --consolidate`: which of the nodes in the files could go, and why the others stay.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use berth_solver::disruption::{Inputs, Round, Settings, consolidate};
use berth_solver::model::{
    Change, ClusterEvent, ClusterState, Condition, ConditionStatus, ExpireAfter, Name, Node,
    NodeClaim, Price, Requirements, Resources, Snapshot, Target, well_known::condition,
};
use serde::Serialize;

use super::input::Input;
use super::{Arguments, budget, settings};
use crate::api::HASH_VERSION;
use crate::autoscaler::closed_budgets;
use crate::commands::output::{Output, plural, table};
use crate::commands::{Failure, output};

/// Works one round out and renders it.
pub(super) fn text(input: &Input, arguments: &Arguments) -> Result<String, Failure> {
    let snapshot = &input.snapshot;
    let going_by = Settings {
        // In files everything may be as young as the picture.
        least_age: if arguments.live { Settings::default().least_age } else { Duration::ZERO },
        ..arguments.consolidation.settings(settings(input, arguments))
    };
    let inputs = Inputs {
        closed_budgets: closed_budgets(snapshot, input.now),
        hash_version: HASH_VERSION.into(),
        ..Inputs::default()
    };
    let started = Instant::now();
    let over = budget(arguments);
    let round = consolidate(snapshot, &inputs, &going_by, input.now, arguments.seed, &over);
    let took = started.elapsed();
    match arguments.output {
        Output::Json => json(snapshot, &round, took, arguments.seed),
        Output::Table => Ok(human(snapshot, &round, took, arguments.seed)),
    }
}

/// Gives nodes of NodePools that come without their NodeClaims such claims as they would have: in
/// files they are often left out.
pub(super) fn add_claims(cluster: &mut ClusterState) {
    let picture = cluster.picture();
    let claims: Vec<NodeClaim> = picture
        .nodes
        .values()
        .filter(|state| picture.claim_of_node(&state.node).is_none())
        .filter(|state| state.node.pool().is_some_and(|pool| picture.pools.contains_key(pool)))
        .map(|state| claim_of(&state.node))
        .collect();
    for claim in claims {
        cluster.apply(ClusterEvent::NodeClaim(Change::Applied(claim)));
    }
}

fn claim_of(node: &Node) -> NodeClaim {
    let kinds =
        [condition::INITIALIZED, condition::LAUNCHED, condition::READY, condition::REGISTERED];
    let conditions = kinds.map(|kind| Condition {
        kind: kind.into(),
        status: ConditionStatus::True,
        reason: kind.into(),
        since: node.created,
    });
    NodeClaim {
        name: node.name.clone(),
        uid: Name::from(format!("NodeClaim//{}", node.name)),
        labels: node.labels.clone(),
        created: node.created,
        deleted: None,
        has_termination_finalizer: true,
        requirements: Requirements::default(),
        requests: Resources::default(),
        taints: node.taints.clone(),
        startup_taints: Box::default(),
        expire_after: ExpireAfter::Never,
        termination_grace_period: None,
        provider_id: node.provider_id.clone(),
        node_name: Some(node.name.clone()),
        capacity: Some(node.capacity.clone()),
        allocatable: Some(node.allocatable.clone()),
        conditions: Box::from(conditions),
        last_pod_event: None,
        terminate_by: None,
        planned_pods: Box::default(),
        price: None,
        template_hash: None,
        template_hash_version: None,
        reason: None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    remove: Vec<Entry<'a>>,
    launch: Vec<New<'a>>,
    moves: Vec<Moved<'a>>,
    stay: Vec<Entry<'a>>,
    price_per_hour_before: Price,
    price_per_hour_after: Price,
    lower_bound_per_hour: Price,
    evictions: usize,
    elapsed_ms: f64,
    seed: u64,
}

/// A node and why it goes or stays.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    reason: String,
}

/// A node to launch.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct New<'a> {
    name: &'a str,
    instance_type: &'a str,
    zone: &'a str,
    capacity_type: &'a str,
    price_per_hour: Price,
}

/// A pod that moves.
#[derive(Serialize)]
struct Moved<'a> {
    pod: String,
    from: &'a str,
    to: &'a str,
}

fn name_of(target: &Target) -> &str {
    match target {
        Target::Node(name) | Target::Claim(name) => name,
    }
}

/// A claim's node, or the claim itself.
fn node_of<'a>(snapshot: &'a Snapshot, claim: &'a Name) -> &'a str {
    let found = snapshot.claims.get(claim).and_then(|claim| claim.node_name.as_ref());
    found.unwrap_or(claim)
}

fn json(snapshot: &Snapshot, round: &Round, took: Duration, seed: u64) -> Result<String, Failure> {
    let document = Document {
        remove: round
            .plan
            .removals
            .iter()
            .map(|one| Entry {
                name: node_of(snapshot, &one.claim),
                reason: one.explanation.clone(),
            })
            .collect(),
        launch: round
            .plan
            .launches
            .iter()
            .map(|one| New {
                name: &one.name,
                instance_type: &one.instance_type,
                zone: &one.zone,
                capacity_type: one.capacity_type.as_str(),
                price_per_hour: one.price,
            })
            .collect(),
        moves: round
            .moves
            .iter()
            .map(|one| Moved { pod: one.pod.to_string(), from: &one.from, to: name_of(&one.to) })
            .collect(),
        stay: round
            .kept
            .iter()
            .map(|one| Entry {
                name: node_of(snapshot, &one.claim),
                reason: one.obstacle.to_string(),
            })
            .collect(),
        price_per_hour_before: round.price_before,
        price_per_hour_after: round.price_after,
        lower_bound_per_hour: round.lower_bound,
        evictions: round.moves.len(),
        elapsed_ms: took.as_secs_f64() * 1e3,
        seed,
    };
    output::json(&document)
}

fn human(snapshot: &Snapshot, round: &Round, took: Duration, seed: u64) -> String {
    let mut text = String::new();
    if !round.plan.removals.is_empty() {
        let mut rows = table(["remove", "why"], 2);
        for one in &round.plan.removals {
            rows.add_row([node_of(snapshot, &one.claim), &one.explanation]);
        }
        text.push_str(&format!("{rows}\n"));
    }
    if !round.plan.launches.is_empty() {
        let mut rows = table(["launch", "type", "zone", "capacity", "price per hour"], 4);
        for one in &round.plan.launches {
            let (zone, capacity) = (one.zone.as_str(), one.capacity_type.as_str());
            let price = one.price.to_string();
            rows.add_row([one.name.as_str(), &one.instance_type, zone, capacity, &price]);
        }
        text.push_str(&format!("{rows}\n"));
    }
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for kept in &round.kept {
        let names = reasons.entry(kept.obstacle.to_string()).or_default();
        names.push(node_of(snapshot, &kept.claim));
    }
    if !reasons.is_empty() {
        let mut rows = table(["stay", "why"], 2);
        for (reason, names) in reasons {
            let more = if names.len() > 1 {
                format!(" and {} more", names.len() - 1)
            } else {
                String::new()
            };
            rows.add_row([format!("{}{more}", names.first().copied().unwrap_or_default()), reason]);
        }
        text.push_str(&format!("{rows}\n"));
    }
    let evictions = round.moves.len();
    let pods = plural(evictions, "pod");
    text.push_str(&format!(
        "price per hour  {} before, {} after, lower bound {}\nevictions       {evictions} {pods}\n\
         found in        {:.1} ms, seed {seed}\n",
        round.price_before,
        round.price_after,
        round.lower_bound,
        took.as_secs_f64() * 1e3
    ));
    text
}
