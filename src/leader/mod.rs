//! Which of several replicas acts: leader election over a `coordination.k8s.io/v1` Lease.
//!
//! Only the leader writes to the cluster and to the cloud; every replica serves the extender. A
//! lease is no fence: a leader that was paused may go on for a moment after another has taken
//! over. What makes that harmless are the writes themselves (they name the UIDs they mean, and
//! creates are idempotent), this only keeps two replicas from working against each other.

mod election;

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff;
use kube::api::{Api, ObjectMeta, PostParams};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub use election::{Election, LeaseRecord, Step, Timing};

/// Tells whether this process leads. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Leadership {
    until: Arc<Mutex<Until>>,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    Forever,
    Never,
    Moment(Instant),
}

impl Leadership {
    /// Leads always: without election there is one replica.
    pub fn always() -> Self {
        Self { until: Arc::new(Mutex::new(Until::Forever)) }
    }

    fn follower() -> Self {
        Self { until: Arc::new(Mutex::new(Until::Never)) }
    }

    /// Whether this process leads now. Ends by itself when renewals fail.
    pub fn is_held(&self) -> bool {
        match *self.until.lock() {
            Until::Forever => true,
            Until::Never => false,
            Until::Moment(moment) => Instant::now() < moment,
        }
    }

    fn set(&self, until: Option<Instant>) {
        *self.until.lock() = until.map_or(Until::Never, Until::Moment);
    }
}

/// Takes part in the election for one Lease.
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    timing: Timing,
    election: Election,
    leadership: Leadership,
}

impl Candidate {
    /// A candidate for the Lease `name` in `namespace`. `identity` must be unique among all
    /// processes that ever take part: a pod's name will do.
    pub fn new(client: kube::Client, namespace: &str, name: &str, identity: String) -> Self {
        let timing = Timing::default();
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            timing,
            election: Election::new(identity, timing),
            leadership: Leadership::follower(),
        }
    }

    /// What tells others in this process whether it leads.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Takes part until `stop` is cancelled, then gives the Lease back if it has it, so that
    /// another replica takes over at once.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let led = self.leadership.is_held();
            // A request that hangs must not outlive the leadership that it was to renew.
            match tokio::time::timeout(self.timing.renew_deadline / 2, self.turn()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, %error, "leader election: no answer");
                }
                Err(_) => tracing::warn!(lease = self.name, "leader election: timed out"),
            }
            self.leadership.set(self.election.leading_until());
            let leads = self.leadership.is_held();
            if led != leads {
                let identity = self.election.identity();
                tracing::info!(lease = self.name, identity, leads, "leadership changed");
            }
            // Up to a fifth longer, so that candidates do not all look at the same moment.
            let wait = self.timing.retry_period.mul_f64(1.0 + rand::random::<f64>() / 5.0);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        if self.leadership.is_held() {
            self.release().await;
        }
    }

    async fn turn(&mut self) -> Result<(), kube::Error> {
        let lease = self.leases.get_opt(&self.name).await?;
        let step = self.election.observe(lease.as_ref().map(record), Instant::now());
        let sent_at = Instant::now();
        let written = match step {
            Step::Wait => return Ok(()),
            Step::Create => {
                let lease = self.lease(None, 0, self.election.identity());
                self.leases.create(&PostParams::default(), &lease).await
            }
            Step::Write { resource_version, transitions } => {
                let lease =
                    self.lease(Some(resource_version), transitions, self.election.identity());
                self.leases.replace(&self.name, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(_) => self.election.written(sent_at),
            // Somebody was faster: the next look tells who.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn release(&mut self) {
        // Whatever happens to the write below, this process stops acting first.
        self.election.released();
        self.leadership.set(None);
        let give_back = async {
            let Some(lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
            let known = record(&lease);
            if known.holder != self.election.identity() {
                return Ok(());
            }
            let lease = self.lease(Some(known.resource_version), known.transitions, "");
            self.leases.replace(&self.name, &PostParams::default(), &lease).await.map(|_| ())
        };
        match tokio::time::timeout(Duration::from_secs(2), give_back).await {
            Ok(Ok(())) => tracing::info!(lease = self.name, "leadership released"),
            Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "could not release"),
            Err(_) => tracing::warn!(lease = self.name, "could not release in time"),
        }
    }

    fn lease(&self, resource_version: Option<String>, transitions: i32, holder: &str) -> Lease {
        let now = MicroTime(jiff::Timestamp::now());
        let seconds = i32::try_from(self.timing.lease_duration.as_secs()).unwrap_or(i32::MAX);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(seconds),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn record(lease: &Lease) -> LeaseRecord {
    let spec = lease.spec.clone().unwrap_or_default();
    LeaseRecord {
        holder: spec.holder_identity.unwrap_or_default(),
        renewed: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}
