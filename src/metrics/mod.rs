//! What Berth tells Prometheus.
//!
//! A metric that means what one of Karpenter's means has Karpenter's name and labels, so that
//! dashboards and alerts go on working; Karpenter's labels that make no sense here are left out.
//! Everything else starts with `berth_`.

mod labels;

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

pub use labels::*;

/// A gauge with fractions.
pub type FloatGauge = Gauge<f64, AtomicU64>;
/// Histograms of seconds, one for each set of labels.
pub type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The type of what [`Metrics::encode`] returns, for `Content-Type`.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the appliance.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// `karpenter_nodes_created_total`: Nodes that joined.
    pub nodes_created: Family<PoolLabels, Counter>,
    /// `karpenter_nodes_terminated_total`: Nodes that were removed.
    pub nodes_terminated: Family<PoolZoneLabels, Counter>,
    /// `karpenter_nodes_drained_total`: Nodes that were drained.
    pub nodes_drained: Family<PoolLabels, Counter>,
    /// `karpenter_nodeclaims_created_total`: NodeClaims created.
    pub nodeclaims_created: Family<PoolReasonLabels, Counter>,
    /// `karpenter_nodeclaims_terminated_total`: NodeClaims that are gone.
    pub nodeclaims_terminated: Family<CapacityLabels, Counter>,
    /// `karpenter_nodeclaims_disrupted_total`: NodeClaims disrupted.
    pub nodeclaims_disrupted: Family<DisruptionLabels, Counter>,
    /// `karpenter_nodeclaims_unhealthy_disrupted_total`: NodeClaims disrupted because their node
    /// was unhealthy.
    pub nodeclaims_unhealthy_disrupted: Family<UnhealthyLabels, Counter>,
    /// `karpenter_nodeclaims_termination_duration_seconds`:
    /// Seconds from the deletion of a NodeClaim until it is gone.
    pub nodeclaims_termination_duration: Histograms<PoolLabels>,
    /// `karpenter_voluntary_disruption_decisions_total`: Decisions to disrupt nodes.
    pub disruption_decisions: Family<DecisionLabels, Counter>,
    /// `karpenter_voluntary_disruption_eligible_nodes`: Nodes that may be disrupted.
    pub disruption_eligible_nodes: Family<ReasonLabels, Gauge>,
    /// `karpenter_voluntary_disruption_failed_validations_total`:
    /// Disruptions given up because the live state had changed.
    pub disruption_failed_validations: Family<ReasonLabels, Counter>,
    /// `karpenter_nodepools_allowed_disruptions`: Nodes that the budgets allow to disrupt now.
    pub nodepools_allowed_disruptions: Family<PoolReasonLabels, Gauge>,
    /// `karpenter_nodepools_limit`: Limit of a NodePool, in cores, bytes or counts.
    pub nodepools_limit: Family<PoolResourceLabels, FloatGauge>,
    /// `karpenter_nodepools_usage`: Capacity of a NodePool's nodes, in cores, bytes or counts.
    pub nodepools_usage: Family<PoolResourceLabels, FloatGauge>,
    /// `karpenter_nodepools_cost_total`: Price per hour of a NodePool's nodes.
    pub nodepools_cost: Family<PoolLabels, FloatGauge>,
    /// `karpenter_pods_eviction_requests_total`: Evictions asked for, by the API server's answer.
    pub pods_eviction_requests: Family<CodeLabels, Counter>,
    /// `karpenter_pods_drained_total`: Pods evicted from nodes that leave.
    pub pods_drained: Family<ReasonLabels, Counter>,
    /// `karpenter_scheduler_scheduling_duration_seconds`: Seconds that a planning round took.
    pub scheduling_duration: Histograms<ControllerLabels>,
    /// `karpenter_scheduler_queue_depth`: Pods that the present round plans for.
    pub scheduler_queue_depth: Family<ControllerLabels, Gauge>,
    /// `karpenter_scheduler_unschedulable_pods_count`: Pods that the last plan found no place for.
    pub scheduler_unschedulable_pods: Family<ControllerLabels, Gauge>,
    /// `karpenter_scheduler_ignored_pods_count`:
    /// Pending pods that are not planned for: defective, or another scheduler's.
    pub scheduler_ignored_pods: Gauge,
    /// `karpenter_cluster_state_node_count`: Nodes in the cluster cache.
    pub cluster_state_node_count: Gauge,
    /// `karpenter_cluster_state_synced`: 1 once every watch has ended its first list.
    pub cluster_state_synced: Gauge,
    /// `karpenter_cluster_state_unsynced_time_seconds`:
    /// For how many seconds the cluster cache has not been synced.
    pub cluster_state_unsynced_time: FloatGauge,
    /// `karpenter_cluster_utilization_percent`:
    /// Share of the nodes' allocatable resources that pods ask for.
    pub cluster_utilization: Family<ResourceLabels, FloatGauge>,
    /// `karpenter_cloudprovider_duration_seconds`: Seconds that a call to the cloud took.
    pub cloudprovider_duration: Histograms<CloudLabels>,
    /// `karpenter_cloudprovider_errors_total`: Calls to the cloud that failed.
    pub cloudprovider_errors: Family<CloudErrorLabels, Counter>,
    /// `berth_cluster_price_per_hour`: Price per hour of all nodes of all NodePools.
    pub cluster_price: FloatGauge,
    /// `berth_plan_price_per_hour`: Price per hour of the nodes that the last plan launches.
    pub plan_price: FloatGauge,
    /// `berth_plan_lower_bound_per_hour`: What any plan for the same pods costs per hour at least,
    /// what nodes count for beyond their price included.
    pub plan_lower_bound: FloatGauge,
    /// `berth_plan_gap_ratio`: (price - lower bound) / lower bound of the last plan.
    pub plan_gap: FloatGauge,
    /// `berth_plan_duration_seconds`: Seconds that the solver took for a plan.
    pub plan_duration: Histograms<MethodLabels>,
    /// `berth_plans_total`: Plans made.
    pub plans: Family<MethodLabels, Counter>,
    /// `berth_plans_rejected_total`:
    /// Plans that the checker found a fault in, and that were dropped.
    pub plans_rejected: Family<MethodLabels, Counter>,
    /// `berth_pending_pods`: Pods that need a node and have none.
    pub pending_pods: Gauge,
    /// `berth_unschedulable_pods`: Pods that the last plan found no place for.
    pub unschedulable_pods: Gauge,
    /// `berth_standing_plan_pods`: Pods that the standing plan speaks of.
    pub standing_plan_pods: Gauge,
    /// `berth_planned_pods_bound_total`: Pods that the plan had a node for, by where they were bound.
    pub planned_pods_bound: Family<PlaceLabels, Counter>,
    /// `berth_buffer_places`: Places that are kept for CapacityBuffers, by where the last plan has them.
    pub buffer_places: Family<PlaceLabels, Gauge>,
    /// `berth_effects_total`: External writes, by name and outcome.
    pub effects: Family<EffectLabels, Counter>,
    /// `berth_leader`: 1 while this replica acts.
    pub leader: Gauge,
    /// `berth_watch_restarts_total`: Watches that had to list again.
    pub watch_restarts: Family<KindLabels, Counter>,
    /// `berth_cache_generation`: Changes that the cluster cache has seen.
    pub cache_generation: Gauge,
    /// `berth_objects_defective`:
    /// Objects that are left out because something in them makes no sense.
    pub objects_defective: Family<KindLabels, Gauge>,
    /// `berth_extender_requests_total`: Calls of the scheduler, by verb and HTTP status.
    pub extender_requests: Family<VerbCodeLabels, Counter>,
    /// `berth_extender_duration_seconds`: Seconds that the answer to a call took, its body read.
    pub extender_duration: Histograms<VerbLabels>,
    /// `berth_extender_verdicts_total`: Filter calls, by the rule that answered.
    pub extender_verdicts: Family<VerdictLabels, Counter>,
    /// `berth_claims`: Claims of databases and machines, by kind and state.
    pub claims: Family<ClaimLabels, Gauge>,
    /// `berth_claims_price_per_month`: What claims cost a month, by namespace and provider.
    pub claims_price: Family<ClaimPriceLabels, FloatGauge>,
    /// `berth_claim_ready_duration_seconds`: Seconds from a claim's creation until it was ready.
    pub claim_ready_duration: Histograms<ClaimSizeLabels>,
    /// `berth_claim_effects_total`: External writes for claims, by name and outcome.
    pub claim_effects: Family<EffectLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[expect(clippy::too_many_lines, reason = "a table: one line a metric")]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let build = Info::new(BuildLabels { version: env!("CARGO_PKG_VERSION") });
        registry.register("berth_build", "What runs", build);
        let r = &mut registry;
        Self {
            nodes_created: add(
                r,
                "karpenter_nodes_created",
                "Nodes that joined",
                Default::default(),
            ),
            nodes_terminated: add(
                r,
                "karpenter_nodes_terminated",
                "Nodes that were removed",
                Default::default(),
            ),
            nodes_drained: add(
                r,
                "karpenter_nodes_drained",
                "Nodes that were drained",
                Default::default(),
            ),
            nodeclaims_created: add(
                r,
                "karpenter_nodeclaims_created",
                "NodeClaims created",
                Default::default(),
            ),
            nodeclaims_terminated: add(
                r,
                "karpenter_nodeclaims_terminated",
                "NodeClaims that are gone",
                Default::default(),
            ),
            nodeclaims_disrupted: add(
                r,
                "karpenter_nodeclaims_disrupted",
                "NodeClaims disrupted",
                Default::default(),
            ),
            nodeclaims_unhealthy_disrupted: add(
                r,
                "karpenter_nodeclaims_unhealthy_disrupted",
                "NodeClaims disrupted because their node was unhealthy",
                Default::default(),
            ),
            nodeclaims_termination_duration: add(
                r,
                "karpenter_nodeclaims_termination_duration_seconds",
                "Seconds from the deletion of a NodeClaim until it is gone",
                seconds(),
            ),
            disruption_decisions: add(
                r,
                "karpenter_voluntary_disruption_decisions",
                "Decisions to disrupt nodes",
                Default::default(),
            ),
            disruption_eligible_nodes: add(
                r,
                "karpenter_voluntary_disruption_eligible_nodes",
                "Nodes that may be disrupted",
                Default::default(),
            ),
            disruption_failed_validations: add(
                r,
                "karpenter_voluntary_disruption_failed_validations",
                "Disruptions given up because the live state had changed",
                Default::default(),
            ),
            nodepools_allowed_disruptions: add(
                r,
                "karpenter_nodepools_allowed_disruptions",
                "Nodes that the budgets allow to disrupt now",
                Default::default(),
            ),
            nodepools_limit: add(
                r,
                "karpenter_nodepools_limit",
                "Limit of a NodePool, in cores, bytes or counts",
                Default::default(),
            ),
            nodepools_usage: add(
                r,
                "karpenter_nodepools_usage",
                "Capacity of a NodePool's nodes, in cores, bytes or counts",
                Default::default(),
            ),
            nodepools_cost: add(
                r,
                "karpenter_nodepools_cost_total",
                "Price per hour of a NodePool's nodes",
                Default::default(),
            ),
            pods_eviction_requests: add(
                r,
                "karpenter_pods_eviction_requests",
                "Evictions asked for, by the API server's answer",
                Default::default(),
            ),
            pods_drained: add(
                r,
                "karpenter_pods_drained",
                "Pods evicted from nodes that leave",
                Default::default(),
            ),
            scheduling_duration: add(
                r,
                "karpenter_scheduler_scheduling_duration_seconds",
                "Seconds that a planning round took",
                seconds(),
            ),
            scheduler_queue_depth: add(
                r,
                "karpenter_scheduler_queue_depth",
                "Pods that the present round plans for",
                Default::default(),
            ),
            scheduler_unschedulable_pods: add(
                r,
                "karpenter_scheduler_unschedulable_pods_count",
                "Pods that the last plan found no place for",
                Default::default(),
            ),
            scheduler_ignored_pods: add(
                r,
                "karpenter_scheduler_ignored_pods_count",
                "Pending pods that are not planned for: defective, or another scheduler's",
                Default::default(),
            ),
            cluster_state_node_count: add(
                r,
                "karpenter_cluster_state_node_count",
                "Nodes in the cluster cache",
                Default::default(),
            ),
            cluster_state_synced: add(
                r,
                "karpenter_cluster_state_synced",
                "1 once every watch has ended its first list",
                Default::default(),
            ),
            cluster_state_unsynced_time: add(
                r,
                "karpenter_cluster_state_unsynced_time_seconds",
                "For how many seconds the cluster cache has not been synced",
                Default::default(),
            ),
            cluster_utilization: add(
                r,
                "karpenter_cluster_utilization_percent",
                "Share of the nodes' allocatable resources that pods ask for",
                Default::default(),
            ),
            cloudprovider_duration: add(
                r,
                "karpenter_cloudprovider_duration_seconds",
                "Seconds that a call to the cloud took",
                seconds(),
            ),
            cloudprovider_errors: add(
                r,
                "karpenter_cloudprovider_errors",
                "Calls to the cloud that failed",
                Default::default(),
            ),
            cluster_price: add(
                r,
                "berth_cluster_price_per_hour",
                "Price per hour of all nodes of all NodePools",
                Default::default(),
            ),
            plan_price: add(
                r,
                "berth_plan_price_per_hour",
                "Price per hour of the nodes that the last plan launches",
                Default::default(),
            ),
            plan_lower_bound: add(
                r,
                "berth_plan_lower_bound_per_hour",
                "What any plan for the same pods costs per hour at least, --price-per-node included",
                Default::default(),
            ),
            plan_gap: add(
                r,
                "berth_plan_gap_ratio",
                "(cost - lower bound) / lower bound of the last plan, --price-per-node included",
                Default::default(),
            ),
            plan_duration: add(
                r,
                "berth_plan_duration_seconds",
                "Seconds that the solver took for a plan",
                seconds(),
            ),
            plans: add(r, "berth_plans", "Plans made", Default::default()),
            plans_rejected: add(
                r,
                "berth_plans_rejected",
                "Plans that the checker found a fault in, and that were dropped",
                Default::default(),
            ),
            pending_pods: add(
                r,
                "berth_pending_pods",
                "Pods that need a node and have none",
                Default::default(),
            ),
            unschedulable_pods: add(
                r,
                "berth_unschedulable_pods",
                "Pods that the last plan found no place for",
                Default::default(),
            ),
            standing_plan_pods: add(
                r,
                "berth_standing_plan_pods",
                "Pods that the standing plan speaks of",
                Default::default(),
            ),
            planned_pods_bound: add(
                r,
                "berth_planned_pods_bound",
                "Pods that the plan had a node for, by where they were bound",
                Default::default(),
            ),
            buffer_places: add(
                r,
                "berth_buffer_places",
                "Places that are kept for CapacityBuffers, by where the last plan has them",
                Default::default(),
            ),
            effects: add(
                r,
                "berth_effects",
                "External writes, by name and outcome",
                Default::default(),
            ),
            leader: add(r, "berth_leader", "1 while this replica acts", Default::default()),
            watch_restarts: add(
                r,
                "berth_watch_restarts",
                "Watches that had to list again",
                Default::default(),
            ),
            cache_generation: add(
                r,
                "berth_cache_generation",
                "Changes that the cluster cache has seen",
                Default::default(),
            ),
            objects_defective: add(
                r,
                "berth_objects_defective",
                "Objects that are left out because something in them makes no sense",
                Default::default(),
            ),
            extender_requests: add(
                r,
                "berth_extender_requests",
                "Calls of the scheduler, by verb and HTTP status",
                Default::default(),
            ),
            extender_duration: add(
                r,
                "berth_extender_duration_seconds",
                "Seconds that the answer to a call took, its body read",
                seconds(),
            ),
            extender_verdicts: add(
                r,
                "berth_extender_verdicts",
                "Filter calls, by the rule that answered",
                Default::default(),
            ),
            claims: add(
                r,
                "berth_claims",
                "Claims of databases and machines, by kind and state",
                Default::default(),
            ),
            claims_price: add(
                r,
                "berth_claims_price_per_month",
                "What claims cost a month, by namespace and provider",
                Default::default(),
            ),
            claim_ready_duration: add(
                r,
                "berth_claim_ready_duration_seconds",
                "Seconds from a claim's creation until it was ready",
                seconds(),
            ),
            claim_effects: add(
                r,
                "berth_claim_effects",
                "External writes for claims, by name and outcome",
                Default::default(),
            ),
            registry,
        }
    }

    /// Everything in OpenMetrics' text format.
    ///
    /// # Errors
    /// None in practice: writing to a string does not fail.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Registers a metric and returns it.
fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// From a tenth of a millisecond to more than an hour and a half.
fn seconds<L: Clone + std::hash::Hash + Eq>() -> Histograms<L> {
    Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0001, 3.0, 17)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_scraped_parses_and_has_the_names_and_labels_of_karpenter() {
        let metrics = Metrics::new();
        let pool = || "default".to_owned();
        let created = PoolReasonLabels { reason: "provisioned", nodepool: pool() };
        metrics.nodeclaims_created.get_or_create(&created).inc_by(3);
        metrics.nodepools_cost.get_or_create(&PoolLabels { nodepool: pool() }).set(1.25);
        let verb = VerbLabels { verb: "filter" };
        metrics.extender_duration.get_or_create(&verb).observe(0.002);
        let text = metrics.encode().unwrap();
        let samples: BTreeSet<(&str, &str)> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').unwrap())
            .inspect(|(_, value)| assert!(value.parse::<f64>().is_ok(), "{value}"))
            .collect();
        for sample in [
            (r#"karpenter_nodeclaims_created_total{reason="provisioned",nodepool="default"}"#, "3"),
            (r#"karpenter_nodepools_cost_total{nodepool="default"}"#, "1.25"),
            ("karpenter_cluster_state_node_count", "0"),
            (r#"berth_extender_duration_seconds_count{verb="filter"}"#, "1"),
            (concat!("berth_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), "1"),
        ] {
            assert!(samples.contains(&sample), "{sample:?} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn no_metric_is_named_twice() {
        let text = Metrics::new().encode().unwrap();
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(
            names.iter().all(|name| name.starts_with("karpenter_") || name.starts_with("berth_"))
        );
    }
}
