//! Which provider serves a claim, and why no other.
//!
//! Pure: the same claim, providers and prices give the same choice. Of all providers that can serve
//! it the cheapest is taken, of equally cheap ones the first by name. A choice that was made is
//! kept, whatever becomes cheaper later: what was created cannot move.

mod suits;

use std::collections::BTreeMap;
use std::fmt;

use suits::suits;

use super::claim::Claim;
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
    /// What the claim would cost a month where the size has no price of its own (kubernetes), or
    /// why nobody knows.
    pub price: Result<Monthly, String>,
    /// Why it cannot be asked for anything now, if so.
    pub problem: Option<String>,
    /// What other claims have of it, by namespace.
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
    /// Why it was not each of the others, by name.
    pub others: BTreeMap<String, Reason>,
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

/// Why a provider does not serve a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// A label is not what the claim selects.
    Label {
        /// The label.
        key: String,
        /// What the claim selects.
        wanted: String,
        /// What the provider has.
        found: Option<String>,
    },
    /// The namespace may not use it.
    Namespace(String),
    /// It has nothing of this size.
    Size {
        /// What for.
        service: Service,
        /// The size.
        size: String,
    },
    /// This version of Berth cannot have it make such a thing.
    Unserved {
        /// What for.
        service: Service,
        /// The provider's type.
        kind: String,
    },
    /// It cannot do what a parameter asks for.
    Parameter(String),
    /// Nobody knows what it costs.
    NoPrice(String),
    /// It cannot be asked for anything now.
    Unusable(String),
    /// More than the budget of all claims on it.
    Budget {
        /// What the claim costs.
        price: Monthly,
        /// What is used.
        used: Monthly,
        /// What there is.
        budget: Monthly,
    },
    /// More claims than a namespace may have on it.
    Claims(i64),
    /// More money than a namespace may spend on it.
    Quota {
        /// What the claim costs.
        price: Monthly,
        /// What the namespace spends.
        used: Monthly,
        /// What it may spend.
        quota: Monthly,
    },
    /// It could, but costs more.
    Dearer(Monthly),
    /// It could for the same price, but comes later by name.
    SamePrice,
    /// Another one was chosen before.
    ChosenBefore,
    /// The claim adopts something that the provider does not let this namespace have.
    NotAdoptable(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label { key, wanted, found: Some(found) } => {
                write!(formatter, "its label {key} is {found:?}, not {wanted:?}")
            }
            Self::Label { key, wanted, found: None } => {
                write!(formatter, "it has no label {key} (wanted {wanted:?})")
            }
            Self::Namespace(name) => write!(formatter, "namespace {name} may not use it"),
            Self::Size { service, size } => write!(formatter, "it has no {service} of size {size}"),
            Self::Unserved { service, kind } => {
                write!(formatter, "this version of Berth makes no {service} at type {kind}")
            }
            Self::Parameter(problem) | Self::NoPrice(problem) => formatter.write_str(problem),
            Self::Unusable(problem) => write!(formatter, "not usable now: {problem}"),
            Self::Budget { price, used, budget } => {
                write!(formatter, "{price} a month is over its budget: {used} of {budget} are used")
            }
            Self::Claims(most) => write!(formatter, "the namespace has its {most} claims already"),
            Self::Quota { price, used, quota } => write!(
                formatter,
                "{price} a month is over the namespace's quota: {used} of {quota} are used"
            ),
            Self::Dearer(price) => write!(formatter, "it costs {price}"),
            Self::SamePrice => formatter.write_str("it costs the same, and comes later by name"),
            Self::ChosenBefore => formatter.write_str("the choice was made before"),
            Self::NotAdoptable(name) => {
                write!(formatter, "it does not let the namespace adopt {name:?}")
            }
        }
    }
}

/// Chooses. A provider that the claim has already (`status.provider`) is kept.
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
    let mut able: Vec<(Monthly, &Candidate, &SizeMapping)> = Vec::new();
    let current = claim.status.provider.as_deref();
    for candidate in candidates {
        let is_current = current == Some(candidate.name.as_str());
        let able_to = match (current, is_current) {
            (Some(_), false) => Err(Reason::ChosenBefore),
            (_, true) => can_go_on(claim, service, candidate),
            (None, false) => can_begin(claim, service, namespace_labels, candidate),
        };
        match able_to {
            Ok((price, size)) => able.push((price, candidate, size)),
            Err(reason) => {
                reasons.insert(candidate.name.clone(), reason);
            }
        }
    }
    if let Some(name) = current.filter(|name| candidates.iter().all(|one| one.name != **name)) {
        let gone = format!("ClaimProvider {name} is gone, and has what this claim stands for");
        reasons.insert(name.to_owned(), Reason::Parameter(gone));
    }
    able.sort_by(|one, other| (one.0, &one.1.name).cmp(&(other.0, &other.1.name)));
    let mut able = able.into_iter();
    let Some((price, chosen, size)) = able.next() else { return Err(NoChoice { reasons }) };
    for (other, candidate, _) in able {
        let reason = if other > price { Reason::Dearer(other) } else { Reason::SamePrice };
        reasons.insert(candidate.name.clone(), reason);
    }
    Ok(Choice { provider: chosen.name.clone(), price, size: size.clone(), others: reasons })
}

type Able<'a> = Result<(Monthly, &'a SizeMapping), Reason>;

fn can_go_on<'a>(claim: &Claim, service: Service, candidate: &'a Candidate) -> Able<'a> {
    let size = mapping(claim, service, candidate)?;
    suits(claim, service, candidate, size)?;
    // The price of what is there is what was said then, where the list does not say another.
    let before = claim.status.price_per_month.as_ref().and_then(|text| text.parse().ok());
    let price = match (&size.price_per_month, before) {
        (None, Some(before)) => before,
        _ => price(candidate, size)?,
    };
    Ok((price, size))
}

fn can_begin<'a>(
    claim: &Claim,
    service: Service,
    namespace_labels: &BTreeMap<String, String>,
    candidate: &'a Candidate,
) -> Able<'a> {
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
    let price = price(candidate, size)?;
    afford(claim, candidate, price)?;
    Ok((price, size))
}

fn mapping<'a>(
    claim: &Claim,
    service: Service,
    candidate: &'a Candidate,
) -> Result<&'a SizeMapping, Reason> {
    let fits = |one: &&SizeMapping| one.service == service.as_str() && one.size == claim.size;
    let found = candidate.spec.sizes.iter().find(fits);
    found.ok_or_else(|| Reason::Size { service, size: claim.size.clone() })
}

fn price(candidate: &Candidate, size: &SizeMapping) -> Result<Monthly, Reason> {
    match &size.price_per_month {
        Some(text) => text.parse().map_err(|error| {
            Reason::NoPrice(format!("the price of its size {}: {error}", size.size))
        }),
        None => candidate.price.clone().map_err(Reason::NoPrice),
    }
}

fn afford(claim: &Claim, candidate: &Candidate, price: Monthly) -> Result<(), Reason> {
    let amount =
        |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Monthly>().ok());
    let used: Monthly = candidate.used.values().map(|used| used.price).sum();
    if let Some(budget) = amount(&candidate.spec.monthly_budget)
        && used + price > budget
    {
        return Err(Reason::Budget { price, used, budget });
    }
    let Some(limits) = &candidate.spec.quota_per_namespace else { return Ok(()) };
    let Used { claims, price: used } =
        candidate.used.get(&claim.namespace).copied().unwrap_or_default();
    if let Some(most) = limits.claims.filter(|most| claims >= *most) {
        return Err(Reason::Claims(most));
    }
    if let Some(quota) = amount(&limits.price_per_month)
        && used + price > quota
    {
        return Err(Reason::Quota { price, used, quota });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
