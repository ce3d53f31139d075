//! Why a provider does not serve a claim, or does not give it more.

use std::fmt;

use crate::claims::definition::Service;
use crate::claims::money::Monthly;

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
    /// A machine stays what it was made as.
    Machine,
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
                let over = *used + *price - *budget;
                write!(
                    formatter,
                    "{price} a month is {over} over its budget: {used} of {budget} are used"
                )
            }
            Self::Claims(most) => write!(formatter, "the namespace has its {most} claims already"),
            Self::Quota { price, used, quota } => {
                let over = *used + *price - *quota;
                write!(
                    formatter,
                    "{price} a month is {over} over the namespace's quota: {used} of {quota} are \
                     used"
                )
            }
            Self::Dearer(price) => write!(formatter, "it costs {price}"),
            Self::SamePrice => formatter.write_str("it costs the same, and comes later by name"),
            Self::ChosenBefore => formatter.write_str("the choice was made before"),
            Self::Machine => formatter.write_str("a machine is not changed in place"),
            Self::NotAdoptable(name) => {
                write!(formatter, "it does not let the namespace adopt {name:?}")
            }
        }
    }
}
