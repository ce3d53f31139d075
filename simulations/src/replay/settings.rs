//! Everything that a replay goes by, beside trace, catalog and seed.

use std::time::Duration;

use berth_solver::baselines::Expander;
use berth_solver::disruption;
use berth_solver::model::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of a replay. What a file leaves out keeps its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplaySettings {
    /// The NodePool that all policies launch from.
    pub pool: PoolSettings,
    /// How the cloud behaves.
    pub cloud: CloudSettings,
    /// From a pod's binding to its start on a node that its workload is new to, in seconds.
    pub image_pull_seconds: Quantiles,
    /// Berth.
    pub berth: BerthSettings,
    /// Karpenter.
    pub karpenter: KarpenterSettings,
    /// Cluster Autoscaler.
    pub cluster_autoscaler: AutoscalerSettings,
    /// Berth looks at nodes with pods for consolidation at most so often in the whole replay, and
    /// Karpenter looks again at most so often after it found nothing: a look at thousands of nodes
    /// takes real time. The policies' own intervals count where they are longer.
    pub most_looks: u32,
    /// How many rows the timeline has at most.
    pub timeline_rows: u32,
    /// What happens to the cloud, and when.
    pub incidents: Vec<Incident>,
}

impl Default for ReplaySettings {
    fn default() -> Self {
        Self {
            pool: PoolSettings::default(),
            cloud: CloudSettings::default(),
            image_pull_seconds: Quantiles([0.5, 2.0, 8.0, 20.0, 45.0]),
            berth: BerthSettings::default(),
            karpenter: KarpenterSettings::default(),
            cluster_autoscaler: AutoscalerSettings::default(),
            most_looks: 500,
            timeline_rows: 500,
            incidents: Vec::new(),
        }
    }
}

/// The NodePool.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolSettings {
    /// `spec.disruption.consolidateAfter`, in seconds.
    pub consolidate_after_seconds: u64,
    /// `spec.disruption.budgets[0].nodes`, in percent.
    pub budget_percent: u32,
    /// What daemons take on each node: CPU in thousandths.
    pub daemon_cpu_milli: i64,
    /// What daemons take on each node: memory in mebibytes.
    pub daemon_memory_mib: i64,
    /// Whether spot capacity may be bought.
    pub spot: bool,
    /// What each node costs in an hour beside its machine's price in the catalog: its root disk,
    /// say.
    pub node_price: f64,
}

impl Default for PoolSettings {
    /// Karpenter's defaults, no daemons.
    fn default() -> Self {
        Self {
            consolidate_after_seconds: 0,
            budget_percent: 10,
            daemon_cpu_milli: 0,
            daemon_memory_mib: 0,
            spot: true,
            node_price: 0.0,
        }
    }
}

/// The least, the median, the values that 10 % and 1 % exceed, and the most. Between them all
/// values are equally likely.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Quantiles(pub [f64; 5]);

/// Whose machines they are: sets how long they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// EC2.
    #[default]
    Aws,
    /// Compute Engine.
    Gcp,
    /// Azure's virtual machines.
    Azure,
    /// Exoscale.
    Exoscale,
    /// Machines that are there at once: what is left is the policy alone.
    Instant,
}

impl Provider {
    /// From the request to the node being ready, in seconds.
    ///
    /// On AWS users see 30 to 40 s, and about 80 s where images are large
    /// (karpenter-provider-aws#6165, karpenter#1281); the other clouds' values are assumptions of
    /// the same shape.
    pub const fn ready_seconds(self) -> Quantiles {
        Quantiles(match self {
            Self::Aws => [25.0, 38.0, 60.0, 95.0, 180.0],
            Self::Gcp => [25.0, 42.0, 65.0, 110.0, 200.0],
            Self::Azure => [50.0, 85.0, 140.0, 240.0, 420.0],
            Self::Exoscale => [40.0, 60.0, 90.0, 150.0, 300.0],
            Self::Instant => [0.0; 5],
        })
    }

    /// From the request to be gone to the end of the bill, in seconds.
    pub const fn gone_seconds(self) -> Quantiles {
        Quantiles(match self {
            Self::Aws | Self::Gcp => [5.0, 20.0, 45.0, 90.0, 180.0],
            Self::Azure => [10.0, 40.0, 90.0, 180.0, 360.0],
            Self::Exoscale => [5.0, 15.0, 30.0, 60.0, 120.0],
            Self::Instant => [0.0; 5],
        })
    }
}

/// How the cloud behaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CloudSettings {
    /// Whose machines they are.
    pub provider: Provider,
    /// From the request to the node being ready, instead of the provider's.
    pub ready_seconds: Option<Quantiles>,
    /// From the request to be gone to the end of the bill, instead of the provider's.
    pub gone_seconds: Option<Quantiles>,
    /// How often a day an offering runs out, on average.
    pub shortages_per_day: f64,
    /// How long it is out then, in seconds.
    pub shortage_seconds: Quantiles,
    /// How often an hour a spot machine is taken back, on average.
    pub spot_interruptions_per_hour: f64,
}

impl CloudSettings {
    /// From the request to the node being ready.
    pub fn ready(&self) -> Quantiles {
        self.ready_seconds.unwrap_or_else(|| self.provider.ready_seconds())
    }

    /// From the request to be gone to the end of the bill.
    pub fn gone(&self) -> Quantiles {
        self.gone_seconds.unwrap_or_else(|| self.provider.gone_seconds())
    }
}

impl Default for Quantiles {
    fn default() -> Self {
        Self([600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0])
    }
}

/// How Berth works. Where the daemon works against the clock, a replay counts steps, so that it
/// does not depend on the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct BerthSettings {
    /// A plan is begun when no pod has come for so long...
    pub batch_idle_seconds: f64,
    /// ...and at the latest so long after the first.
    pub batch_longest_seconds: f64,
    /// How many steps a plan may take: what stands for the daemon's budget of time. How long that
    /// is depends on what is planned; 3000 are some ten milliseconds where pods are few.
    pub steps: u32,
    /// How many rounds of column generation a plan may take.
    pub column_rounds: u32,
    /// How many neighbourhoods its local search may try.
    pub search_rounds: u32,
    /// Whether nodes with pods are consolidated.
    pub consolidate: bool,
    /// At least so long between two looks at nodes with pods, in seconds.
    pub consolidate_every_seconds: f64,
    /// A saving counts for so long, when it is held against what moving costs.
    pub horizon_hours: f64,
    /// What evicting a pod must save over the horizon, in the catalog's currency...
    pub price_per_eviction: f64,
    /// ...and on top of that, in percent of what the pod costs over the horizon.
    pub eviction_percent: u32,
    /// What a node counts for in an hour beyond its price, in the catalog's currency: larger nodes
    /// are taken where that makes fewer of them. Nobody pays it.
    pub price_per_node: f64,
    /// How many orders of removal a look tries.
    pub orders: u32,
    /// How many exchanges of a few nodes it tries.
    pub exchanges: u32,
    /// Whether the extender has pods follow the plan.
    pub steer: bool,
}

impl Default for BerthSettings {
    fn default() -> Self {
        let daemon = disruption::Settings::default();
        Self {
            batch_idle_seconds: 1.0,
            batch_longest_seconds: 10.0,
            steps: 3_000,
            column_rounds: 20,
            search_rounds: 100,
            consolidate: true,
            consolidate_every_seconds: 10.0,
            horizon_hours: daemon.horizon.as_secs_f64() / 3_600.0,
            price_per_eviction: daemon.price_per_eviction.as_f64(),
            eviction_percent: daemon.eviction_percent,
            price_per_node: daemon.packing.price_per_node.as_f64(),
            orders: 4,
            exchanges: 40,
            steer: true,
        }
    }
}

/// How Karpenter works; the defaults are its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct KarpenterSettings {
    /// `BATCH_IDLE_DURATION`.
    pub batch_idle_seconds: f64,
    /// `BATCH_MAX_DURATION`.
    pub batch_max_seconds: f64,
    /// Its disruption controller's poll.
    pub poll_seconds: f64,
    /// How long a command waits before it is validated and carried out.
    pub validation_seconds: f64,
    /// Whether nodes with pods are consolidated.
    pub consolidate: bool,
    /// Whether `pool.nodePrice` is a part of the prices that it decides by. Exoscale's own provider
    /// leaves the root disk out. It is paid either way.
    pub sees_node_price: bool,
}

impl Default for KarpenterSettings {
    fn default() -> Self {
        Self {
            batch_idle_seconds: 1.0,
            batch_max_seconds: 10.0,
            poll_seconds: 10.0,
            validation_seconds: 15.0,
            consolidate: true,
            sees_node_price: true,
        }
    }
}

/// How Cluster Autoscaler works; the defaults are its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoscalerSettings {
    /// `--expander`, of the policy `cluster-autoscaler`: `least-waste` or `price`.
    #[schemars(with = "String")]
    pub expander: Expander,
    /// `--scan-interval`.
    pub scan_seconds: f64,
    /// `--scale-down-unneeded-time`.
    pub unneeded_seconds: f64,
    /// `--scale-down-delay-after-add`.
    pub delay_after_add_seconds: f64,
    /// `--scale-down-utilization-threshold`.
    pub utilization_threshold: f64,
    /// `--max-scale-down-parallelism`: empty nodes that go at once.
    pub max_empty_at_once: usize,
    /// `--scale-down-non-empty-candidates-count`: nodes with pods that are looked at in a scan.
    pub non_empty_candidates: usize,
}

impl Default for AutoscalerSettings {
    fn default() -> Self {
        Self {
            expander: Expander::LeastWaste,
            scan_seconds: 10.0,
            unneeded_seconds: 600.0,
            delay_after_add_seconds: 600.0,
            utilization_threshold: 0.5,
            max_empty_at_once: 10,
            non_empty_candidates: 30,
        }
    }
}

/// Something that happens to the cloud. Times are seconds of the trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[serde(deny_unknown_fields)]
pub enum Incident {
    /// All nodes of a zone are lost, and none can be launched there until it is over.
    ZoneOutage {
        /// When.
        at_seconds: f64,
        /// The zone.
        #[schemars(with = "String")]
        zone: Name,
        /// How long.
        for_seconds: f64,
    },
    /// So many percent of all spot machines are taken back.
    SpotStorm {
        /// When.
        at_seconds: f64,
        /// How many of a hundred.
        percent: u32,
    },
    /// Offerings cost something else from then on.
    PriceChange {
        /// When.
        at_seconds: f64,
        /// Instance types whose names begin so; empty: all.
        #[serde(default)]
        #[schemars(with = "String")]
        instance_type_prefix: Name,
        /// The price is multiplied by this.
        factor: f64,
    },
    /// An instance type cannot be had for a while.
    Shortage {
        /// When.
        at_seconds: f64,
        /// Instance types whose names begin so; empty: all.
        #[serde(default)]
        #[schemars(with = "String")]
        instance_type_prefix: Name,
        /// How long.
        for_seconds: f64,
    },
}

impl Incident {
    /// When it happens, in milliseconds of the trace.
    pub fn at_millis(&self) -> i64 {
        let (Self::ZoneOutage { at_seconds, .. }
        | Self::SpotStorm { at_seconds, .. }
        | Self::PriceChange { at_seconds, .. }
        | Self::Shortage { at_seconds, .. }) = self;
        millis(*at_seconds)
    }
}

/// Seconds as milliseconds; what is no time is none.
pub(super) fn millis(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate")]
    let millis = (seconds * 1_000.0).round() as i64;
    millis.clamp(0, 1 << 50)
}

/// Seconds as a duration; what is no time is none.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::from_millis(millis(seconds).unsigned_abs())
}

impl ReplaySettings {
    /// What is wrong with them, if anything: the field and what would be right.
    ///
    /// # Errors
    /// The first thing that makes no sense.
    pub fn check(&self) -> Result<(), String> {
        let quantiles = [
            ("imagePullSeconds", Some(self.image_pull_seconds)),
            ("cloud.readySeconds", self.cloud.ready_seconds),
            ("cloud.goneSeconds", self.cloud.gone_seconds),
            ("cloud.shortageSeconds", Some(self.cloud.shortage_seconds)),
        ];
        for (field, quantiles) in quantiles {
            let Some(Quantiles(values)) = quantiles else { continue };
            let sound = values[0] >= 0.0 && values.is_sorted() && values[4] <= 1e7;
            if !sound {
                return Err(format!(
                    "{field} is {values:?}: expected five growing numbers of seconds from 0 on"
                ));
            }
        }
        let positive = [
            ("pool.nodePrice", self.pool.node_price),
            ("berth.batchIdleSeconds", self.berth.batch_idle_seconds),
            ("berth.batchLongestSeconds", self.berth.batch_longest_seconds),
            ("berth.consolidateEverySeconds", self.berth.consolidate_every_seconds),
            ("berth.horizonHours", self.berth.horizon_hours),
            ("berth.pricePerEviction", self.berth.price_per_eviction),
            ("berth.pricePerNode", self.berth.price_per_node),
            ("karpenter.batchIdleSeconds", self.karpenter.batch_idle_seconds),
            ("karpenter.batchMaxSeconds", self.karpenter.batch_max_seconds),
            ("karpenter.pollSeconds", self.karpenter.poll_seconds),
            ("karpenter.validationSeconds", self.karpenter.validation_seconds),
            ("clusterAutoscaler.scanSeconds", self.cluster_autoscaler.scan_seconds),
            ("clusterAutoscaler.unneededSeconds", self.cluster_autoscaler.unneeded_seconds),
            ("cloud.shortagesPerDay", self.cloud.shortages_per_day),
            ("cloud.spotInterruptionsPerHour", self.cloud.spot_interruptions_per_hour),
        ];
        for (field, value) in positive {
            if !(0.0..=1e6).contains(&value) {
                return Err(format!("{field} is {value}: expected a number from 0 to 1000000"));
            }
        }
        for (field, value) in [
            ("karpenter.pollSeconds", self.karpenter.poll_seconds),
            ("clusterAutoscaler.scanSeconds", self.cluster_autoscaler.scan_seconds),
        ] {
            if value < 0.1 {
                return Err(format!("{field} is {value}: expected at least 0.1"));
            }
        }
        let changes = |one: &Incident| matches!(one, Incident::PriceChange { .. });
        if !self.karpenter.sees_node_price && self.incidents.iter().any(changes) {
            return Err(
                "karpenter.seesNodePrice is false and a price changes: expected only one of \
                        them"
                    .to_owned(),
            );
        }
        if self.most_looks == 0 || self.timeline_rows == 0 {
            return Err("mostLooks and timelineRows: expected at least 1".to_owned());
        }
        Ok(())
    }
}
