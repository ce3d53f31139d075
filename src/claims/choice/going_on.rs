//! A claim that has its provider: what it has, and whether it gets what it asks for by now.

use std::fmt;

use super::{Able, Candidate, Reason, afford, mapping, price, suits};
use crate::claims::claim::{Claim, STORAGE};
use crate::claims::definition::Service;
use crate::claims::money::Monthly;

/// What a claim asks for by now and is not given: it stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Who does not give it.
    pub provider: String,
    /// What is asked for.
    pub wanted: String,
    /// What it has, and for how much a month.
    pub has: (String, Monthly),
    /// Why not.
    pub reason: Reason,
}

impl fmt::Display for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, wanted, has: (has, price), reason } = self;
        write!(
            formatter,
            "{wanted} is not given, it stays {has} for {price} a month: {provider}: {reason}: "
        )?;
        match reason {
            Reason::Budget { .. } => write!(
                formatter,
                "take the change back, or have the platform team raise monthlyBudget of \
                 ClaimProvider {provider}"
            ),
            Reason::Quota { .. } => write!(
                formatter,
                "take the change back, or have the platform team raise quotaPerNamespace of \
                 ClaimProvider {provider}"
            ),
            Reason::Machine => formatter.write_str("take the change back, or make another claim"),
            Reason::NoPrice(_) => formatter.write_str("it is tried again"),
            _ => formatter.write_str("take the change back"),
        }
    }
}

/// What the claim's provider goes on giving it. Only what costs more is held against budgets and
/// quotas: whoever changes a price list has seen them.
pub(super) fn can_go_on(
    claim: &Claim,
    service: Service,
    candidate: &Candidate,
) -> Result<Able, Reason> {
    let Some(given) = claim.as_given() else { return as_it_is(claim, service, candidate) };
    let has = as_it_is(&given, service, candidate);
    let before = has.as_ref().ok().map(|has| has.price).or_else(|| claim.status.price());
    match (changed(claim, service, candidate, before), has) {
        (Ok(able), _) => Ok(able),
        (Err(reason), Ok(has)) => {
            let held = Held {
                provider: candidate.name.clone(),
                wanted: shown(claim),
                has: (shown(&given), has.price),
                reason,
            };
            Ok(Able { held: Some(held), ..has })
        }
        (Err(reason), Err(_)) => Err(reason),
    }
}

fn as_it_is(claim: &Claim, service: Service, candidate: &Candidate) -> Result<Able, Reason> {
    let mut size = mapping(claim, service, candidate)?.clone();
    suits(claim, service, candidate, &size)?;
    // The price of what is there is what was said then, where the list does not say another.
    let is_made = service == Service::VirtualMachine && claim.status.created_at.is_some();
    let price = match claim.status.price() {
        Some(before) if is_made || size.price_per_month.is_none() => before,
        _ => price(claim, candidate, &size)?,
    };
    if is_made && claim.status.plan.is_some() {
        // The list may call the size otherwise by now: that is for machines to come.
        size.plan.clone_from(&claim.status.plan);
    }
    Ok(Able { price, size, storage: claim.number(STORAGE), held: None })
}

/// What it asks for.
fn changed(
    claim: &Claim,
    service: Service,
    candidate: &Candidate,
    before: Option<Monthly>,
) -> Result<Able, Reason> {
    if service == Service::VirtualMachine && claim.status.create_requested_at.is_some() {
        return Err(Reason::Machine);
    }
    let size = mapping(claim, service, candidate)?;
    suits(claim, service, candidate, size)?;
    let price = price(claim, candidate, size)?;
    if before.is_none_or(|before| price > before) {
        afford(claim, candidate, price)?;
    }
    Ok(Able { price, size: size.clone(), storage: claim.number(STORAGE), held: None })
}

fn shown(claim: &Claim) -> String {
    let size = format!("size {}", claim.size);
    claim.number(STORAGE).map_or(size.clone(), |storage| format!("{size} with {storage} GB"))
}

#[cfg(test)]
mod tests;
