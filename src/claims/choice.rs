//! Which provider serves a claim, and why no other.
//!
//! Pure: the same claim, providers and prices give the same choice. Of all providers that can serve
//! it the cheapest is taken, of equally cheap ones the first by name. A choice that was made is
//! kept, whatever becomes cheaper later: what was created cannot move.

mod going_on;
mod reason;
mod suits;

use std::collections::BTreeMap;
use std::fmt;

pub use going_on::Held;
use going_on::can_go_on;
pub use reason::Reason;
use suits::suits;

use super::claim::{Claim, STORAGE};
use super::definition::Service;
use super::money::Monthly;
use crate::api::{ClaimProviderSpec, SizeMapping};

/// A provider, and what is known of it at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The name of the ClaimProvider.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it offers, to whom.
    pub spec: ClaimProviderSpec,
    /// What the claim would cost a month in all where the size has no price of its own
    /// (kubernetes), or why nobody knows.
    pub price: Result<Monthly, String>,
    /// Why it cannot be asked for anything now, if so.
    pub problem: Option<String>,
    /// What other claims have of it, by namespace. It counts for claims that are new or ask for
    /// more.
    pub used: BTreeMap<String, Used>,
}

/// What claims of a namespace have of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// How many.
    pub claims: i64,
    /// What they cost together in a month.
    pub price: Monthly,
}

/// Which provider serves a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The provider's name.
    pub provider: String,
    /// What the claim costs a month there.
    pub price: Monthly,
    /// The provider's word for the size.
    pub size: SizeMapping,
    /// The disk that it has there, in GB, where the claim says so.
    pub storage: Option<i64>,
    /// Why it was not each of the others, by name.
    pub others: BTreeMap<String, Reason>,
    /// What the claim asks for by now and is not given.
    pub held: Option<Held>,
}

impl fmt::Display for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} for {} a month", self.provider, self.price)?;
        for (name, reason) in &self.others {
            write!(formatter, "; not {name}: {reason}")?;
        }
        Ok(())
    }
}

/// No provider serves a claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoChoice {
    /// Why not, by provider.
    pub reasons: BTreeMap<String, Reason>,
}

impl fmt::Display for NoChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reasons.is_empty() {
            return formatter.write_str("there is no ClaimProvider: ask the platform team for one");
        }
        formatter.write_str("no ClaimProvider serves it")?;
        for (index, (name, reason)) in self.reasons.iter().enumerate() {
            let sign = if index == 0 { ": " } else { "; " };
            write!(formatter, "{sign}{name}: {reason}")?;
        }
        Ok(())
    }
}

impl NoChoice {
    /// Whether it may be another answer soon, though nobody changes anything: a provider is down,
    /// or its price is not known yet.
    pub fn may_pass(&self) -> bool {
        let passing = |reason: &Reason| matches!(reason, Reason::Unusable(_) | Reason::NoPrice(_));
        self.reasons.values().any(passing)
    }
}

/// Chooses. A provider that the claim has already (`status.provider`) is kept; what the claim asks
/// for beyond what it has is [`Choice::held`] if it is not given.
///
/// # Errors
/// [`NoChoice`] if none can; for a claim that has a provider already, if that one cannot any more:
/// labels, namespaces, budgets and quotas do not count then, for what is there is there.
pub fn choose(
    claim: &Claim,
    service: Service,
    namespace_labels: &BTreeMap<String, String>,
    candidates: &[Candidate],
) -> Result<Choice, NoChoice> {
    let mut reasons = BTreeMap::new();
    let mut able: Vec<(Able, &Candidate)> = Vec::new();
    let current = claim.status.provider.as_deref();
    for candidate in candidates {
        let is_current = current == Some(candidate.name.as_str());
        let able_to = match (current, is_current) {
            (Some(_), false) => Err(Reason::ChosenBefore),
            (_, true) => can_go_on(claim, service, candidate),
            (None, false) => can_begin(claim, service, namespace_labels, candidate),
        };
        match able_to {
            Ok(terms) => able.push((terms, candidate)),
            Err(reason) => {
                reasons.insert(candidate.name.clone(), reason);
            }
        }
    }
    if let Some(name) = current.filter(|name| candidates.iter().all(|one| one.name != **name)) {
        let gone = format!("ClaimProvider {name} is gone, and has what this claim stands for");
        reasons.insert(name.to_owned(), Reason::Parameter(gone));
    }
    able.sort_by(|one, other| (one.0.price, &one.1.name).cmp(&(other.0.price, &other.1.name)));
    let mut able = able.into_iter();
    let Some((Able { price, size, storage, held }, chosen)) = able.next() else {
        return Err(NoChoice { reasons });
    };
    for (other, candidate) in able {
        let is_dearer = other.price > price;
        let reason = if is_dearer { Reason::Dearer(other.price) } else { Reason::SamePrice };
        reasons.insert(candidate.name.clone(), reason);
    }
    Ok(Choice { provider: chosen.name.clone(), price, size, storage, others: reasons, held })
}

/// On what terms a provider serves a claim.
struct Able {
    price: Monthly,
    size: SizeMapping,
    storage: Option<i64>,
    held: Option<Held>,
}

fn can_begin(
    claim: &Claim,
    service: Service,
    namespace_labels: &BTreeMap<String, String>,
    candidate: &Candidate,
) -> Result<Able, Reason> {
    for (key, wanted) in claim.selector.iter().flatten() {
        let found = candidate.labels.get(key);
        if found != Some(wanted) {
            let (key, wanted, found) = (key.clone(), wanted.clone(), found.cloned());
            return Err(Reason::Label { key, wanted, found });
        }
    }
    let spec = &candidate.spec;
    if let Some(allowed) = &spec.namespaces {
        let has = |(key, value): (&String, &String)| namespace_labels.get(key) == Some(value);
        let by_labels = !allowed.match_labels.is_empty() && allowed.match_labels.iter().all(has);
        if !by_labels && !allowed.names.contains(&claim.namespace) {
            return Err(Reason::Namespace(claim.namespace.clone()));
        }
    }
    let size = mapping(claim, service, candidate)?;
    suits(claim, service, candidate, size)?;
    if let Some(name) = &claim.adopt {
        let fits = |one: &crate::api::Adoptable| {
            one.namespace == claim.namespace && one.external_name == *name
        };
        if !spec.adoptable.iter().any(fits) {
            return Err(Reason::NotAdoptable(name.clone()));
        }
    }
    if let Some(problem) = &candidate.problem {
        return Err(Reason::Unusable(problem.clone()));
    }
    if let Some(most) = most_claims(candidate).filter(|most| used(claim, candidate).claims >= *most)
    {
        return Err(Reason::Claims(most));
    }
    let price = price(claim, candidate, size)?;
    afford(claim, candidate, price)?;
    Ok(Able { price, size: size.clone(), storage: claim.number(STORAGE), held: None })
}

fn mapping<'a>(
    claim: &Claim,
    service: Service,
    candidate: &'a Candidate,
) -> Result<&'a SizeMapping, Reason> {
    let found = candidate.spec.mapping(service.as_str(), &claim.size);
    found.ok_or_else(|| Reason::Size { service, size: claim.size.clone() })
}

fn price(claim: &Claim, candidate: &Candidate, size: &SizeMapping) -> Result<Monthly, Reason> {
    let Some(text) = &size.price_per_month else {
        return candidate.price.clone().map_err(Reason::NoPrice);
    };
    let amount = |text: &str| {
        text.parse::<Monthly>().map_err(|error| {
            Reason::NoPrice(format!("the price of its size {}: {error}", size.size))
        })
    };
    let each = size.price_per_gb.as_deref().map_or(Ok(Monthly::ZERO), amount)?;
    let beyond = claim.disk().unwrap_or_default() - size.storage_gb.unwrap_or_default();
    Ok(amount(text)? + each * u64::try_from(beyond).unwrap_or_default())
}

fn used(claim: &Claim, candidate: &Candidate) -> Used {
    candidate.used.get(&claim.namespace).copied().unwrap_or_default()
}

fn most_claims(candidate: &Candidate) -> Option<i64> {
    candidate.spec.quota_per_namespace.as_ref()?.claims
}

/// Whether budget and quota allow that a claim costs this in all.
fn afford(claim: &Claim, candidate: &Candidate, price: Monthly) -> Result<(), Reason> {
    let amount = |text: &String| text.parse::<Monthly>().ok();
    let by_all: Monthly = candidate.used.values().map(|used| used.price).sum();
    if let Some(budget) = candidate.spec.monthly_budget.as_ref().and_then(amount)
        && by_all + price > budget
    {
        return Err(Reason::Budget { price, used: by_all, budget });
    }
    let used = used(claim, candidate).price;
    let quota = candidate.spec.quota_per_namespace.as_ref();
    if let Some(quota) = quota.and_then(|quota| quota.price_per_month.as_ref()).and_then(amount)
        && used + price > quota
    {
        return Err(Reason::Quota { price, used, quota });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
