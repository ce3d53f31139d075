use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{Name, Price};

/// What becomes of a node for which the pool's `minValues` cannot be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MinValuesPolicy {
    /// It is not launched.
    #[default]
    Strict,
    /// It is, and marked.
    BestEffort,
}

impl MinValuesPolicy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Strict, Self::BestEffort];

    /// Karpenter's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::BestEffort => "BestEffort",
        }
    }
}

impl fmt::Display for MinValuesPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for MinValuesPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text).ok_or_else(|| {
            format!("{text:?} is no policy for minValues: expected Strict or BestEffort")
        })
    }
}

/// What the packer goes by, beside the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What a node costs in an hour beyond its offering's price: what its existence costs
    /// (licences, addresses, churn). It counts where plans are compared, is part of a plan's bound
    /// and never of its price.
    ///
    /// Nothing, so that the price alone counts. Replays of Azure's trace and openb's on
    /// AWS, GCP and Exoscale, twelve in all, of ten nodes up to several hundred, with 0.02 instead:
    /// they cost between 1.8 % less and 2.1 % more, on average as much. Between 3 % more and 71 %
    /// fewer nodes were launched, 23 % fewer in the median, and up to nine times fewer were there
    /// at once. With 0.05 or 0.1 small clusters get dearer, by up to 4 %.
    pub price_per_node: Price,
    /// Names of the schedulers whose pods are planned for (`spec.schedulerName`).
    pub scheduler_names: Box<[Name]>,
    /// What becomes of nodes that NodePools' `minValues` forbid (Karpenter's `MIN_VALUES_POLICY`).
    pub min_values: MinValuesPolicy,
    /// Whether pods keep the claims that were launched for them. A plan in which they cannot (their
    /// spread has become uneven, say) is made anew without.
    pub keep_claims: bool,
    /// How many rounds of column generation may follow the greedy plan, 0 for none.
    pub column_rounds: u32,
    /// How many neighbourhoods the local search may try, 0 for none.
    pub search_rounds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            price_per_node: Price::ZERO,
            scheduler_names: Box::from([Name::from("default-scheduler")]),
            min_values: MinValuesPolicy::Strict,
            keep_claims: true,
            column_rounds: 400,
            search_rounds: 4_000,
        }
    }
}

impl Settings {
    /// Whether pods of that scheduler are planned for.
    pub fn serves(&self, scheduler: &str) -> bool {
        self.scheduler_names.iter().any(|name| name == scheduler)
    }
}

/// Says when to stop improving a plan. Work is limited by counts, so that a plan follows from its
/// inputs alone; a stop only cuts it short.
pub trait Stop {
    /// Whether to stop now. Asked often: it must be cheap.
    fn should_stop(&self) -> bool;

    /// The share of the time that is over, from 0 to 1, for dividing it among methods. Whoever
    /// knows only whether to stop says 0 until then.
    fn spent(&self) -> f64 {
        if self.should_stop() { 1.0 } else { 0.0 }
    }
}

/// A budget of which a function says what share is spent.
#[derive(Clone, Copy, Debug)]
pub struct Budget<F>(pub F);

impl<F: Fn() -> f64> Stop for Budget<F> {
    fn should_stop(&self) -> bool {
        self.spent() >= 1.0
    }

    fn spent(&self) -> f64 {
        (self.0)()
    }
}

/// A part of somebody's time: from now until a share of it is over.
#[derive(Clone, Copy)]
pub(crate) struct Part<'s> {
    stop: &'s dyn Stop,
    from: f64,
    until: f64,
}

impl<'s> Part<'s> {
    /// Begins now.
    pub(crate) fn until(until: f64, stop: &'s dyn Stop) -> Self {
        Self { stop, from: stop.spent(), until }
    }
}

impl Stop for Part<'_> {
    fn should_stop(&self) -> bool {
        self.spent() >= 1.0
    }

    fn spent(&self) -> f64 {
        let left = self.until - self.from;
        if left <= 0.0 { 1.0 } else { (self.stop.spent() - self.from) / left }
    }
}

/// Lets the planner go on until its work limits are reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl Stop for Never {
    fn should_stop(&self) -> bool {
        false
    }
}

impl<F: Fn() -> bool> Stop for F {
    fn should_stop(&self) -> bool {
        self()
    }
}
