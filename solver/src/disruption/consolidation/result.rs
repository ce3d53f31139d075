//! Turns a round in the making into a plan, with its reasons.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::super::candidates::{Candidate, price_of};
use super::super::obstacle::{Kept, Obstacle};
use super::lift::Lifted;
use super::relocation::Relocation;
use super::round::{Setting, method};
use super::search::Attempt;
use super::work::{Ground, Kind};
use super::{Move, Round};
use crate::model::{
    Name, Placement, Plan, Pod, PodKey, Price, Removal, RemovalReason, Snapshot, Target,
};
use crate::packing::assemble::Launcher;
use crate::packing::bins::Place;
use crate::packing::names::Names;
use crate::verify::Violation;

/// What all claims' nodes cost, as far as that is known.
pub fn price_of_all(snapshot: &Snapshot) -> Price {
    let staying = snapshot.claims.values().filter(|claim| claim.deleted.is_none());
    staying.filter_map(|claim| price_of(snapshot, claim)).sum()
}

type Queues = BTreeMap<(usize, Option<usize>), VecDeque<(Arc<Pod>, Name)>>;

/// The round that carries an attempt out.
pub fn round(
    setting: &Setting<'_>,
    ground: &Ground<'_, '_>,
    lifted: &Lifted<'_>,
    attempt: Attempt<'_, '_>,
    nothing: Round,
) -> Round {
    let mut queues = Queues::new();
    let mut plan = nothing.plan.clone();
    for (index, candidate) in lifted.candidates.iter().enumerate() {
        if !attempt.work.removed[index] {
            continue;
        }
        plan.removals.push(removal(candidate, nothing.reason));
        let from = &candidate.state.node.name;
        for (pod, (group, tuple, _)) in candidate.pods.iter().zip(&ground.kinds[index]) {
            let queue = queues.entry((*group, *tuple)).or_default();
            queue.push_back((Arc::clone(pod.pod()), from.clone()));
        }
    }
    plan.removals.sort_by(|left, right| left.claim.cmp(&right.claim));
    for Relocation { group, from, to } in &attempt.work.relocated {
        let pod = queues.get_mut(&(*group, Some(*from))).and_then(VecDeque::pop_front);
        queues.entry((*group, Some(*to))).or_default().extend(pod);
    }
    let mut moves = Vec::new();
    for (bin, received) in attempt.work.received.iter().enumerate() {
        let Place::Node(name) = &ground.problem.bins[bin].place else { continue };
        for (kind, count) in received {
            for (pod, from) in take(&mut queues, *kind, *count) {
                moves.push(moved(&pod, from, Target::Node(name.clone())));
            }
        }
    }
    launches(setting, ground, &attempt, &mut queues, &mut plan, &mut moves);
    moves.sort_by(|left, right| left.pod.cmp(&right.pod));
    let places = moves.iter().map(|one| placement(&one.pod, &one.uid, &one.to));
    plan.placements.extend(places);
    for (_, pod, target) in &lifted.promised {
        plan.placements.push(placement(&pod.key, &pod.uid, target));
    }
    plan.placements.sort_unstable();
    plan.method = method(plan.launches.len(), plan.removals.len());
    plan.price = plan.launches.iter().map(|launch| launch.price).sum();
    let gone: Price = lifted
        .candidates
        .iter()
        .enumerate()
        .filter(|(index, _)| attempt.work.removed[*index])
        .map(|(_, candidate)| candidate.price)
        .sum();
    let price_after = nothing.price_before - gone + plan.price;
    Round { plan, moves, price_after, ..nothing }
}

fn moved(pod: &Pod, from: Name, to: Target) -> Move {
    Move { pod: pod.key.clone(), uid: pod.uid.clone(), from, to }
}

fn placement(pod: &PodKey, uid: &Name, target: &Target) -> Placement {
    Placement { pod: pod.clone(), uid: uid.clone(), target: target.clone() }
}

fn take(queues: &mut Queues, kind: Kind, count: u32) -> Vec<(Arc<Pod>, Name)> {
    let queue = queues.entry((kind.0, kind.1)).or_default();
    (0..count).filter_map(|_| queue.pop_front()).collect()
}

fn launches(
    setting: &Setting<'_>,
    ground: &Ground<'_, '_>,
    attempt: &Attempt<'_, '_>,
    queues: &mut Queues,
    plan: &mut Plan,
    moves: &mut Vec<Move>,
) {
    let names = Names::new(setting.snapshot, setting.now, setting.seed);
    let mut launcher = Launcher::new(names);
    let state = &attempt.work.state;
    for (index, node) in state.nodes.iter().enumerate() {
        let tuple = state.tuple_of(node.candidate);
        let mut contents = node.load.contents.clone();
        contents.sort_unstable();
        let mut pods = Vec::new();
        for (group, count) in contents {
            let stays = ground.stays[group].then_some(tuple);
            pods.extend(take(queues, (group, stays, true), count));
        }
        let mine: Vec<Arc<Pod>> = pods.iter().map(|(pod, _)| Arc::clone(pod)).collect();
        let launch = launcher.launch(state, node.candidate, &mine, index);
        let Some(mut launch) = launch else { continue };
        launch.reason = format!(
            "{} pods move to it: {} of pool {} at {:.5} per hour",
            mine.len(),
            launch.instance_type,
            launch.pool,
            launch.price
        );
        for (pod, from) in pods {
            moves.push(moved(&pod, from, Target::Claim(launch.name.clone())));
        }
        plan.launches.push(launch);
    }
}

fn removal(candidate: &Candidate<'_>, reason: RemovalReason) -> Removal {
    let pods = candidate.pods.len();
    let explanation = match &candidate.drift {
        Some(drift) => format!("{drift}; {pods} pods move"),
        None => format!("{pods} pods move, {:.5} per hour less", candidate.price),
    };
    Removal {
        claim: candidate.claim.name.clone(),
        claim_uid: candidate.claim.uid.clone(),
        node: Some(candidate.state.node.name.clone()),
        reason,
        explanation,
    }
}

/// Says of every candidate that stays why it does; takes the round back if it saves too little.
/// `moves` is what moving all pods of each candidate costs, in money an hour.
pub fn explain(setting: &Setting<'_>, lifted: &Lifted<'_>, moves: &[f64], round: &mut Round) {
    let goes: BTreeSet<&Name> = round.plan.removals.iter().map(|one| &one.claim).collect();
    let moved = lifted.candidates.iter().zip(moves);
    let moved: f64 =
        moved.filter(|(one, _)| goes.contains(&one.claim.name)).map(|(_, each)| each).sum();
    let each = setting.settings.packing.price_per_node.as_f64();
    let fewer = round.plan.removals.len() as f64 - round.plan.launches.len() as f64;
    let saved = (round.price_before - round.price_after).as_f64() + each * fewer - moved;
    let least = setting.settings.least_saving.as_f64() / setting.settings.hours();
    let is_drift = round.reason == RemovalReason::Drifted;
    let too_little = !is_drift && !round.is_empty() && saved < least;
    let mut quota = setting.quota.clone();
    let going = lifted.candidates.iter().filter(|one| goes.contains(&one.claim.name));
    going.for_each(|one| quota.take(one));
    let mut known: BTreeSet<Name> = round.kept.iter().map(|kept| kept.claim.clone()).collect();
    known.extend(round.plan.removals.iter().map(|removal| removal.claim.clone()));
    for candidate in lifted.candidates.iter().filter(|one| !known.contains(&one.claim.name)) {
        let limit = setting.quota.pools.get(setting.quota.pool(&candidate.pool.name));
        let obstacle = if quota.has_node(candidate) {
            Obstacle::NothingCheaper
        } else {
            Obstacle::Budget { limit: limit.map_or(0, |(_, limit)| *limit) }
        };
        round.kept.push(Kept { claim: candidate.claim.name.clone(), obstacle });
    }
    if too_little {
        let removals = std::mem::take(&mut round.plan.removals);
        round.kept.extend(
            removals
                .into_iter()
                .map(|removal| Kept { claim: removal.claim, obstacle: Obstacle::TooLittleSaved }),
        );
        round.plan.launches.clear();
        round.plan.placements.clear();
        round.plan.price = Price::ZERO;
        round.plan.method = crate::model::Method::Nothing;
        round.moves.clear();
        round.price_after = round.price_before;
    }
}

/// The nodes whose pods the checker finds at fault: the pod and what is wrong.
pub fn blamed(round: &Round, wrong: &[Violation]) -> BTreeMap<Name, (PodKey, Name)> {
    let from: BTreeMap<&PodKey, &Name> =
        round.moves.iter().map(|one| (&one.pod, &one.from)).collect();
    wrong
        .iter()
        .filter_map(|violation| {
            let pod = violation.pod.as_ref()?;
            let node = (*from.get(pod)?).clone();
            Some((node, (pod.clone(), Name::from(violation.message.as_str()))))
        })
        .collect()
}
