//! How `berth serve` makes claims so.

use std::sync::Arc;
use std::time::Duration;

use berth_solver::packing;
use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::appliance::Appliance;
use crate::claims::controller::{self, EXOSCALE_ENDPOINT, Endpoints, Parts, Settings};
use crate::clock::Clock;
use crate::leader::Leadership;
use crate::{ovh, scaleway};

/// How claims are served.
#[derive(Clone, Debug, Args)]
pub(super) struct ClaimArguments {
    /// Make claims so: databases and machines, as ClaimDefinitions and ClaimProviders say
    /// (deploy/options/claims)
    #[arg(long, env = "BERTH_CLAIMS")]
    claims: bool,
    /// Exoscale's API, with {region} for a provider's region
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BERTH_CLAIMS_EXOSCALE_ENDPOINT",
        default_value = EXOSCALE_ENDPOINT
    )]
    claims_exoscale_endpoint: String,
    /// OVH's API
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BERTH_CLAIMS_OVH_ENDPOINT",
        default_value = ovh::ENDPOINT
    )]
    claims_ovh_endpoint: String,
    /// Scaleway's API
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BERTH_CLAIMS_SCALEWAY_ENDPOINT",
        default_value = scaleway::ENDPOINT
    )]
    claims_scaleway_endpoint: String,
}

/// What claims are served with.
pub(super) struct Tools {
    pub(super) client: kube::Client,
    pub(super) leadership: Leadership,
    pub(super) clock: Clock,
    pub(super) identity: String,
    pub(super) namespace: String,
    pub(super) packing: packing::Settings,
    pub(super) seed: u64,
}

/// After the API server did not answer.
const REST: Duration = Duration::from_secs(5);
/// What is under way may take so long when everything ends.
const DRAIN: Duration = Duration::from_secs(10);

/// Claims being served.
pub(super) struct Claims {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Claims {
    /// Begins, if it is wanted.
    pub(super) fn start(arguments: &ClaimArguments, appliance: &Appliance, tools: Tools) -> Self {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        if arguments.claims {
            let parts = Arc::new(Parts {
                client: tools.client,
                leadership: tools.leadership,
                clock: tools.clock,
                metrics: Arc::clone(&appliance.metrics),
                cache: appliance.cache.clone(),
                expected: Arc::clone(&appliance.expected),
                identity: tools.identity,
                witness: Arc::new(()),
                settings: Settings {
                    namespace: tools.namespace,
                    endpoints: Endpoints {
                        exoscale: arguments.claims_exoscale_endpoint.clone(),
                        ovh: arguments.claims_ovh_endpoint.clone(),
                        scaleway: arguments.claims_scaleway_endpoint.clone(),
                    },
                    packing: tools.packing,
                    seed: tools.seed,
                },
            });
            tasks.spawn(serve(parts, stop.clone()));
        }
        Self { stop, tasks }
    }

    /// Ends it; what is under way may end first.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("claims: what was under way is left to the next leader");
        }
    }
}

async fn serve(parts: Arc<Parts>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = controller::run(&parts, stop.clone()).await {
            tracing::warn!(%error, "claims cannot be served yet");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(REST) => {}
        }
    }
}
