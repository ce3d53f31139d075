//! Who decides.

mod berth;
mod cluster_autoscaler;
mod empties;
mod fixed;
mod karpenter;
mod swap;

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use berth_solver::baselines::Expander;
use berth_solver::model::Timestamp;
use berth_solver::packing::Stop;
use serde::Serialize;

use super::demand::Demand;
use super::place::Style;
use super::settings::ReplaySettings;
use super::world::World;

/// The policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyName {
    /// Berth: its solver, its extender, its consolidation.
    Berth,
    /// Karpenter beside an unsteered kube-scheduler.
    Karpenter,
    /// Cluster Autoscaler with its settings' expander, least-waste by default.
    ClusterAutoscaler,
    /// Cluster Autoscaler with the expander `price`.
    ClusterAutoscalerPrice,
    /// No autoscaler: the cheapest nodes found for the trace's peak, all the time.
    Static,
}

impl PolicyName {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Berth,
        Self::Karpenter,
        Self::ClusterAutoscaler,
        Self::ClusterAutoscalerPrice,
        Self::Static,
    ];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Berth => "berth",
            Self::Karpenter => "karpenter",
            Self::ClusterAutoscaler => "cluster-autoscaler",
            Self::ClusterAutoscalerPrice => "cluster-autoscaler-price",
            Self::Static => "static",
        }
    }

    /// How its pods are placed.
    pub(super) fn style(self, settings: &ReplaySettings) -> Style {
        Style { steered: self == Self::Berth && settings.berth.steer }
    }

    /// Whether it decides by what nodes cost beside their machines, too.
    pub(super) fn sees_node_price(self, settings: &ReplaySettings) -> bool {
        self != Self::Karpenter || settings.karpenter.sees_node_price
    }

    pub(super) fn start(
        self,
        settings: &ReplaySettings,
        demand: &Demand,
        seed: u64,
    ) -> Box<dyn Policy> {
        match self {
            Self::Berth => Box::new(berth::Berth::new(settings, demand, seed)),
            Self::Karpenter => Box::new(karpenter::Karpenter::new(settings, demand, seed)),
            Self::ClusterAutoscaler => {
                let expander = settings.cluster_autoscaler.expander;
                Box::new(cluster_autoscaler::Autoscaler::new(settings, expander, seed))
            }
            Self::ClusterAutoscalerPrice => {
                Box::new(cluster_autoscaler::Autoscaler::new(settings, Expander::Price, seed))
            }
            Self::Static => Box::new(fixed::Fixed::new(demand, seed)),
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for PolicyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no policy: expected one of {all}")
        })
    }
}

/// What a policy decided in a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Decision {
    /// When, in seconds of the trace.
    pub at_seconds: f64,
    /// What it decided about: `launch`, `remove-empty`, `consolidate`.
    pub round: &'static str,
    /// Pods that waited.
    pub pending: usize,
    /// Nodes that were there or on their way.
    pub nodes: usize,
    /// What it launches: number by instance type, zone and capacity type.
    pub launches: std::collections::BTreeMap<String, u32>,
    /// What it removes.
    pub removals: Vec<String>,
    /// Pods that it evicts for that.
    pub evictions: usize,
    /// Pods that it found no place for.
    pub unschedulable: usize,
    /// What the launches cost in an hour, or all nodes after the round.
    pub price_per_hour: f64,
    /// What they cost at least, as far as the policy knows.
    pub lower_bound_per_hour: f64,
    /// How it found that.
    pub method: String,
}

/// Looks at the world now and then, and decides.
pub(super) trait Policy {
    /// Looks, decides and has it done. Returns when it wants to look again, though nothing
    /// happens.
    fn look(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) -> Option<Timestamp>;
}

/// A budget in steps of the solver's, so that a plan does not depend on how fast the machine is.
pub(super) struct Steps {
    asked: Cell<u64>,
    most: u64,
}

impl Steps {
    pub fn new(most: u32) -> Self {
        Self { asked: Cell::new(0), most: u64::from(most.max(1)) }
    }
}

impl Stop for Steps {
    fn should_stop(&self) -> bool {
        self.spent() >= 1.0
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn spent(&self) -> f64 {
        let asked = self.asked.get() + 1;
        self.asked.set(asked);
        asked as f64 / self.most as f64
    }
}

/// The earlier of two moments.
pub(super) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A decision about the world as it is.
pub(super) fn decision(world: &World<'_>, round: &'static str) -> Decision {
    Decision {
        at_seconds: world.now.as_millis() as f64 / 1e3,
        round,
        pending: world.waiting(),
        nodes: world.fleet.alive(),
        ..Decision::default()
    }
}

/// At most so often in the whole replay.
pub(super) fn look_interval(settings: &ReplaySettings, demand: &Demand, own: f64) -> i64 {
    let span = demand.until.as_millis().saturating_sub(demand.from.as_millis());
    let thinned = span / i64::from(settings.most_looks.max(1));
    super::settings::millis(own).max(thinned).max(100)
}
