//! What the cloud said about machines since this replica leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_solver::lifecycle::{Effect, Instance, Observation};
use berth_solver::model::{Name, Snapshot, well_known::condition};

use super::executor::Outcome;
use super::hands::{Done, Failure, Hands};
use crate::provider::ProviderError;

/// What is known about claims' machines, by the claims' UIDs.
#[derive(Debug, Default)]
pub(super) struct Machines(BTreeMap<Name, Observation>);

impl Machines {
    /// What is known about a claim's machine.
    pub(super) fn of(&self, claim_uid: &Name) -> Option<&Observation> {
        self.0.get(claim_uid)
    }

    /// Takes in what a call to the cloud led to.
    pub(super) fn learn(&mut self, outcome: &Outcome) {
        let (claim, observation) = match (&outcome.effect, &outcome.result) {
            (Effect::LaunchInstance(request), Ok(Done::Launched(machine))) => {
                (&request.claim, Observation::Present((**machine).clone()))
            }
            (
                Effect::LaunchInstance(request),
                Err(Failure::Provider(ProviderError::InsufficientCapacity(_))),
            ) => (&request.claim, Observation::OutOfCapacity),
            (Effect::TerminateInstance { claim, .. }, Ok(Done::Terminating)) => {
                (claim, Observation::Terminating)
            }
            (Effect::TerminateInstance { claim, .. }, Ok(Done::Gone)) => (claim, Observation::Gone),
            _ => return,
        };
        self.0.insert(claim.uid.clone(), observation);
    }

    /// Takes in a complete list.
    pub(super) fn learn_list(&mut self, listing: &Listing) {
        for machine in &listing.machines {
            let observation = if machine.terminating {
                Observation::Terminating
            } else {
                Observation::Present(machine.clone())
            };
            self.0.insert(machine.claim.uid.clone(), observation);
        }
        for uid in &listing.gone {
            self.0.insert(uid.clone(), Observation::Gone);
        }
    }

    /// Forgets the machines of claims that are no more.
    pub(super) fn keep_known(&mut self, snapshot: &Snapshot) {
        let known: BTreeSet<&Name> = snapshot.claims.values().map(|claim| &claim.uid).collect();
        self.0.retain(|uid, _| known.contains(uid));
    }
}

/// A complete list of machines, held against the claims.
#[derive(Debug)]
pub(super) struct Listing {
    /// All machines.
    pub(super) machines: Vec<Instance>,
    /// Machines whose claim is gone: nobody will ask for their end but us.
    pub(super) orphans: Vec<Instance>,
    /// The UIDs of launched claims whose machine is gone: not in the list, and the cloud says so
    /// when asked for it.
    pub(super) gone: Vec<Name>,
    /// The names of all NodeClaims, read after the list.
    pub(super) live_claims: BTreeSet<Name>,
}

/// Lists machines. `snapshot` is from before the list: a claim launched since then is not missed.
pub(super) async fn list(hands: Arc<Hands>, snapshot: Arc<Snapshot>) -> Result<Listing, Failure> {
    let machines = hands.timed("List", hands.provider.list()).await?;
    // After the list: a claim precedes its machine, so a machine without one has lost it.
    let claims = hands.writer.live_claims().await?;
    let known: BTreeSet<&Name> = claims.iter().map(|claim| &claim.uid).collect();
    let orphan = |machine: &&Instance| !machine.terminating && !known.contains(&machine.claim.uid);
    let orphans = machines.iter().filter(orphan).cloned().collect();
    let listed: BTreeSet<&Name> = machines.iter().map(|machine| &machine.claim.uid).collect();
    let mut gone = Vec::new();
    for claim in snapshot.claims.values().filter(|claim| claim.is(condition::LAUNCHED)) {
        let Some(id) = claim.provider_id.as_ref().filter(|_| !listed.contains(&claim.uid)) else {
            continue;
        };
        if let Err(ProviderError::NotFound(_)) = hands.timed("Get", hands.provider.get(id)).await {
            gone.push(claim.uid.clone());
        }
    }
    let live_claims = claims.iter().map(|claim| claim.name.clone()).collect();
    Ok(Listing { orphans, gone, live_claims, machines })
}
