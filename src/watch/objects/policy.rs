use super::{LabelSelector, Meta, compact};

compact! {
    /// `v1` Namespace.
    struct Namespace {
        /// `metadata`.
        metadata: Meta,
    }

    /// `policy/v1` PodDisruptionBudget.
    struct PodDisruptionBudget {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: PodDisruptionBudgetSpec,
        /// `status`; `None` until the disruption controller has seen it.
        status: Option<PodDisruptionBudgetStatus>,
    }

    /// `spec`.
    struct PodDisruptionBudgetSpec {
        /// `selector`.
        selector: Option<LabelSelector>,
    }

    /// `status`.
    struct PodDisruptionBudgetStatus {
        /// `disruptionsAllowed`.
        disruptions_allowed: i32,
        /// `observedGeneration`.
        observed_generation: i64,
    }
}
