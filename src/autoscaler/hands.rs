//! What touches the world: one effect at a time, counted, timed and reported.

use std::sync::Arc;
use std::time::Instant;

use berth_solver::lifecycle::{ClaimRef, Effect, Instance, LaunchRequest, Write};
use berth_solver::model::Name;

use super::{ClusterWriter, Reporter, WriteError};
use crate::clock::Clock;
use crate::leader::Leadership;
use crate::metrics::{CloudErrorLabels, CloudLabels, CodeLabels, EffectLabels, Metrics};
use crate::provider::{CloudProvider, ProviderError};

/// API server and cloud, and what is said about what is done with them.
pub(super) struct Hands {
    pub(super) writer: Arc<dyn ClusterWriter>,
    pub(super) provider: Arc<dyn CloudProvider>,
    pub(super) clock: Clock,
    pub(super) leadership: Leadership,
    pub(super) metrics: Arc<Metrics>,
    pub(super) reporter: Arc<dyn Reporter>,
}

/// What an effect led to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Done {
    /// The API server took it.
    Written,
    /// The machine of the claim is there.
    Launched(Box<Instance>),
    /// The cloud accepted to delete the machine of the claim.
    Terminating,
    /// The cloud has no machine of the claim.
    Gone,
}

/// Why an effect came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// This replica does not lead (any more).
    #[error("this replica does not lead any more")]
    NotLeading,
    /// The API server's answer.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The cloud's.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl Failure {
    /// As the metric names it.
    const fn outcome(&self) -> &'static str {
        match self {
            Self::Write(WriteError::Conflict(_) | WriteError::NotFound(_)) => "conflict",
            _ => "failed",
        }
    }
}

impl Hands {
    /// Carries one effect out, if this replica leads.
    pub(super) async fn carry_out(&self, effect: &Effect) -> Result<Done, Failure> {
        let result = match self.leadership.is_held() {
            false => Err(Failure::NotLeading),
            true => match effect {
                Effect::Write(write) => self.write_one(write).await,
                Effect::LaunchInstance(request) => self.launch(request).await,
                Effect::TerminateInstance { claim, provider_id } => {
                    self.terminate(claim, provider_id.as_ref()).await
                }
            },
        };
        self.report(effect, result.as_ref().err());
        result
    }

    /// As [`Hands::carry_out`], for a write.
    pub(super) async fn write(&self, write: Write) -> Result<(), Failure> {
        self.carry_out(&Effect::Write(write)).await.map(|_| ())
    }

    async fn write_one(&self, write: &Write) -> Result<Done, Failure> {
        self.writer.write(write).await?;
        if let Write::RecordRegistered { claim, .. } = write
            && let Err(error) = self.timed("Joined", self.provider.joined(claim)).await
        {
            tracing::warn!(nodeclaim = %claim.name, %error, "what let it join is still there");
        }
        Ok(Done::Written)
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Done, Failure> {
        let created = self.timed("Create", self.provider.create(request)).await;
        Ok(Done::Launched(Box::new(created?)))
    }

    async fn terminate(&self, claim: &ClaimRef, id: Option<&Name>) -> Result<Done, Failure> {
        match self.timed("Delete", self.provider.delete(claim, id)).await {
            Ok(()) => Ok(Done::Terminating),
            Err(ProviderError::NotFound(_)) => Ok(Done::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for a call to the cloud and measures it. That something is not found is an answer.
    pub(super) async fn timed<T>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let (controller, provider) = ("autoscaler", self.provider.name());
        let began = Instant::now();
        let result = call.await;
        let labels = CloudLabels { controller, method, provider };
        let took = began.elapsed().as_secs_f64();
        self.metrics.cloudprovider_duration.get_or_create(&labels).observe(took);
        match &result {
            Ok(_) | Err(ProviderError::NotFound(_)) => {}
            Err(error) => {
                let error = error.kind();
                let labels = CloudErrorLabels { controller, method, provider, error };
                self.metrics.cloudprovider_errors.get_or_create(&labels).inc();
            }
        }
        result
    }

    fn report(&self, effect: &Effect, failure: Option<&Failure>) {
        let (name, subject) = (effect.name(), effect.subject());
        let outcome = failure.map_or("done", Failure::outcome);
        self.metrics.effects.get_or_create(&EffectLabels { effect: name, outcome }).inc();
        if let Effect::Write(Write::EvictPod { .. }) = effect {
            let code = match failure {
                None => 201,
                Some(Failure::Write(WriteError::Later { .. })) => 429,
                Some(Failure::Write(WriteError::NotFound(_))) => 404,
                Some(Failure::Write(WriteError::Conflict(_))) => 409,
                Some(_) => 500,
            };
            self.metrics.pods_eviction_requests.get_or_create(&CodeLabels { code }).inc();
        }
        match failure {
            None => {
                tracing::info!(effect = name, subject, "done");
                self.reporter.done(effect);
            }
            // The picture was a moment old: the next one tells.
            Some(failure) if failure.outcome() == "conflict" => {
                tracing::debug!(effect = name, subject, %failure, "overtaken");
            }
            Some(Failure::Write(WriteError::Later { message, .. })) => {
                tracing::info!(effect = name, subject, message, "not now");
            }
            Some(failure) => {
                tracing::warn!(effect = name, subject, %failure, "failed");
                self.reporter.failed(effect, &failure.to_string());
            }
        }
    }
}
