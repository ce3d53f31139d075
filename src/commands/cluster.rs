//! How commands reach a cluster.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use berth_solver::model::Snapshot;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::Failure;
use crate::cache::{self, Kind};
use crate::watch::{self, Interner, Observer};

/// How long the first lists of everything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client of the API server that the file names; without one, of that of `$KUBECONFIG`,
/// `~/.kube/config` or the pod's service account.
///
/// # Errors
/// When there is none, or the file makes no sense.
pub async fn client(kubeconfig: Option<&Path>) -> Result<kube::Client, Failure> {
    let config = match kubeconfig {
        Some(file) => {
            let read = Kubeconfig::read_from(file)
                .map_err(|error| Failure::BadInput(anyhow!("--kubeconfig: {error}")))?;
            kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .map_err(|error| {
                    Failure::BadInput(anyhow!("--kubeconfig {}: {error}", file.display()))
                })?
        }
        None => kube::Config::infer().await.map_err(|error| {
            Failure::BadInput(anyhow!(
                "no cluster is known: give --kubeconfig FILE, set KUBECONFIG, or run in a pod with \
                 a service account ({error})"
            ))
        })?,
    };
    Ok(kube::Client::try_from(config).context("cannot make a client of the API server")?)
}

/// A picture of a cluster as it is now. Nothing is written.
///
/// # Errors
/// When there is no cluster, or when it does not tell everything in time.
pub fn picture(kubeconfig: Option<&Path>) -> Result<Arc<Snapshot>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let client = client(kubeconfig).await?;
        let (writer, sender, mut cache) = cache::channel(cache::Settings::default(), Kind::ALL);
        let writing = tokio::spawn(writer.run());
        // What fails is tried again, and told at the end.
        let observer: Arc<dyn Observer> = Arc::new(());
        let watches = watch::spawn_all(&client, &sender, &Arc::new(Interner::new()), &observer);
        let synced = tokio::time::timeout(PATIENCE, cache.until_synced()).await;
        let missing: Vec<&str> = cache.unsynced().into_iter().map(Kind::as_str).collect();
        let snapshot = cache.snapshot();
        drop(watches);
        writing.abort();
        match synced {
            Ok(Ok(())) => Ok(snapshot),
            Ok(Err(stopped)) => Err(Failure::Failed(anyhow!("{stopped}"))),
            Err(_) => Err(Failure::Failed(anyhow!(
                "the cluster did not list {} within {} s: are Karpenter's CRDs there \
                 (berth crds), and may this account list and watch them?",
                missing.join(", "),
                PATIENCE.as_secs()
            ))),
        }
    })
}
