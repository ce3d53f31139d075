//! `berth trace record`.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use berth_simulations::replay::{Content, Source, Window};
use clap::Args;

use super::{lines, write_to};
use crate::clock::Clock;
use crate::commands::progress::Progress;
use crate::commands::values::duration;
use crate::commands::{Failure, cluster, signals};
use crate::traces::{self, Names, Recorder, Recording, Salt};

/// The first list of all pods may take so long.
const PATIENCE: Duration = Duration::from_secs(120);
/// A recording ends when it has so many pods: they are kept in memory.
const MOST_PODS: usize = 5_000_000;

#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// The file to write at the end, compressed if its name ends in .zst
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Record so long (such as 24h); otherwise until it is ended
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// Write hashes instead of the names of pods, workloads and namespaces. Each recording has a
    /// secret of its own: nobody can try names out, and two recordings cannot be matched. Labels
    /// that nodes must have and the names of resources stay as they are
    #[arg(long)]
    hash_names: bool,
    /// How to reach the cluster; by default $KUBECONFIG, ~/.kube/config or the pod's account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Records, writes, and says what was written.
pub(super) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let out = &arguments.out;
    // After a day it is too late to find out.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(out)
        .with_context(|| format!("{} cannot be written", out.display()))
        .map_err(Failure::BadInput)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let Recording { records, with_more_rules } = runtime.block_on(record(arguments))?;
    let window = Window::default();
    let source =
        Source { path: out.clone(), content: Content::Kept(records.into()), window, seed: 0 };
    let notes: Vec<String> = traces::rules_left_out(with_more_rules).into_iter().collect();
    Ok(write_to(&source, out)? + &lines(&notes))
}

async fn record(arguments: &Arguments) -> Result<Recording, Failure> {
    let client = cluster::client(arguments.kubeconfig.as_deref()).await?;
    let names = match arguments.hash_names {
        true => Names::hashed(Salt::new(&rand::random())),
        false => Names::plain(),
    };
    let clock = Clock::system();
    let recorder = Recorder::new(clock.now(), names);
    let mut live = traces::Live::start(client, recorder, clock, MOST_PODS);
    let progress = Progress::start("listing the pods");
    match tokio::time::timeout(PATIENCE, live.begun()).await {
        Ok(true) => {}
        Ok(false) => return Err(Failure::Failed(anyhow!("the recording broke down"))),
        Err(_) => {
            return Err(Failure::Failed(anyhow!(
                "the cluster did not list its pods within {} s: can it be reached, and may this \
                 account list and watch pods in all namespaces?",
                PATIENCE.as_secs()
            )));
        }
    }
    progress.say("recording; Ctrl-C ends it");
    let time = async {
        match arguments.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time => {}
        () = signals::ended() => {}
        () = live.full() => {}
    }
    live.finish().await.ok_or_else(|| Failure::Failed(anyhow!("the recording broke down")))
}
