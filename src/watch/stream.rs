//! The watch streams themselves.

mod referred;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use berth_solver::model::Change;
use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::staging::{Output, Staging, Step};
use super::watched::{Decoded, Deployment, PodTemplate, ReplicaSet, StatefulSet, Watched};
use super::{Interner, objects};
use crate::api;
use crate::cache::{CacheSender, Kind, Stopped};
use referred::Referred;

/// The kinds that [`spawn_all`] watches: what the cache has to wait for.
pub const KINDS: [Kind; 17] = Kind::ALL;

/// The longest wait before a missing resource definition is looked for again: somebody may be
/// applying it right now.
const LONGEST_WAIT_FOR_DEFINITION: Duration = Duration::from_secs(5);

/// Is told what happens to the watches, for metrics. All methods do nothing by default.
pub trait Observer: Send + Sync {
    /// An event was taken in (a whole list counts as one).
    fn event(&self, _kind: Kind) {}
    /// A complete list of so many objects was taken in.
    fn listed(&self, _kind: Kind, _objects: usize) {}
    /// A list or a watch failed and will be tried again.
    fn failed(&self, _kind: Kind, _cause: Cause) {}
    /// An object could not be understood and is left out.
    fn skipped(&self, _kind: Kind) {}
}

impl Observer for () {}

/// Why a watch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The API server doesn't know the kind (404): its definition is not installed.
    NotInstalled,
    /// Not allowed (401 or 403).
    Forbidden,
    /// The API server has forgotten so old a version (410): a new list follows.
    Expired,
    /// What came could not be decoded.
    Undecodable,
    /// Another answer of the API server.
    Refused,
    /// The API server could not be reached, or the connection broke.
    Unreachable,
}

impl Cause {
    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotInstalled => "not_installed",
            Self::Forbidden => "forbidden",
            Self::Expired => "expired",
            Self::Undecodable => "undecodable",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        }
    }

    fn of(error: &watcher::Error) -> Self {
        let by_code = |code: u16| match code {
            401 | 403 => Self::Forbidden,
            404 => Self::NotInstalled,
            410 => Self::Expired,
            _ => Self::Refused,
        };
        match error {
            watcher::Error::WatchError(status) => by_code(status.code),
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => match error {
                kube::Error::Api(status) => by_code(status.code),
                kube::Error::SerdeError(_) => Self::Undecodable,
                _ => Self::Unreachable,
            },
            watcher::Error::NoResourceVersion => Self::Undecodable,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Starts a watch of each of [`KINDS`], which feeds the cache until it stops. Dropping what is
/// returned ends them all.
pub fn spawn_all(
    client: &Client,
    sender: &CacheSender,
    interner: &Arc<Interner>,
    observer: &Arc<dyn Observer>,
) -> JoinSet<()> {
    spawn_with(client, sender, interner, observer, watcher::DefaultBackoff::default)
}

/// Starts a watch of pods alone, which every cluster has. Otherwise as [`spawn_all`].
pub fn spawn_pods(
    client: &Client,
    sender: &CacheSender,
    interner: &Arc<Interner>,
    observer: &Arc<dyn Observer>,
) -> JoinSet<()> {
    let feed = Feed::new(sender, interner, observer);
    let backoff = watcher::DefaultBackoff::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(watch::<objects::Pod>(client.clone(), feed, backoff));
    tasks
}

/// As [`spawn_all`], with waits after failures that the caller chooses.
fn spawn_with<B: Iterator<Item = Duration> + Send + 'static>(
    client: &Client,
    sender: &CacheSender,
    interner: &Arc<Interner>,
    observer: &Arc<dyn Observer>,
    backoff: impl Fn() -> B,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let shared = Feed::new(sender, interner, observer);
    let feed = || shared.clone();
    tasks.spawn(watch::<objects::Pod>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<objects::Node>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<api::NodeClaim>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<api::NodePool>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<objects::DaemonSet>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<objects::Namespace>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<objects::PodDisruptionBudget>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<objects::PersistentVolumeClaim>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<objects::PersistentVolume>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<objects::StorageClass>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<objects::CsiNode>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<objects::VolumeAttachment>(client.clone(), feed(), backoff()));
    tasks.spawn(watch::<api::CapacityBuffer>(client.clone(), feed(), backoff()));
    tasks.spawn(watch_once_referred_to::<PodTemplate>(client.clone(), feed(), backoff()));
    tasks.spawn(watch_once_referred_to::<Deployment>(client.clone(), feed(), backoff()));
    tasks.spawn(watch_once_referred_to::<StatefulSet>(client.clone(), feed(), backoff()));
    tasks.spawn(watch_once_referred_to::<ReplicaSet>(client.clone(), feed(), backoff()));
    tasks
}

/// Where what a stream brings goes.
#[derive(Clone)]
struct Feed {
    sender: CacheSender,
    interner: Arc<Interner>,
    observer: Arc<dyn Observer>,
    referred: Arc<Referred>,
}

impl Feed {
    fn new(sender: &CacheSender, interner: &Arc<Interner>, observer: &Arc<dyn Observer>) -> Self {
        Self {
            sender: sender.clone(),
            interner: Arc::clone(interner),
            observer: Arc::clone(observer),
            referred: Arc::default(),
        }
    }
}

async fn watch_once_referred_to<T: Watched>(
    client: Client,
    feed: Feed,
    backoff: impl Iterator<Item = Duration> + Send,
) {
    feed.referred.wait_for(T::KIND).await;
    watch::<T>(client, feed, backoff).await;
}

async fn watch<T: Watched>(
    client: Client,
    feed: Feed,
    mut backoff: impl Iterator<Item = Duration> + Send,
) {
    let mut progress = Progress::new();
    loop {
        let client = client.clone();
        let ended = if progress.guarded {
            follow(listed_and_watched::<T, true>(client), &feed, &mut progress, &mut backoff).await
        } else {
            follow(listed_and_watched::<T, false>(client), &feed, &mut progress, &mut backoff).await
        };
        if ended == Err(Stopped) {
            return debug!(kind = %T::KIND, "watch ended: the cache has stopped");
        }
    }
}

/// What outlives the streams of one kind.
struct Progress<T: Watched> {
    staging: Staging<T::Record>,
    /// Why it failed last, until it works again: the same cause is logged once.
    last_cause: Option<Cause>,
    /// Whether objects are decoded so that a bad one doesn't spoil its list.
    guarded: bool,
}

fn listed_and_watched<T: Watched, const GUARDED: bool>(
    client: Client,
) -> impl Stream<Item = watcher::Result<Event<Decoded<T, GUARDED>>>> + Send {
    let api: Api<Decoded<T, GUARDED>> = Api::all(client);
    watcher::watcher(api, watcher::Config::default())
}

/// Follows one stream until it has to be begun anew (`Ok`) or the cache stops.
///
/// `backoff` says how long to wait after each failure; it starts over when there has been none
/// for a while.
async fn follow<T: Watched, const GUARDED: bool>(
    stream: impl Stream<Item = watcher::Result<Event<Decoded<T, GUARDED>>>>,
    feed: &Feed,
    progress: &mut Progress<T>,
    backoff: &mut (impl Iterator<Item = Duration> + Send),
) -> Result<(), Stopped> {
    let mut stream = std::pin::pin!(stream);
    while let Some(item) = stream.next().await {
        let event = match item {
            Ok(event) => event,
            Err(error) => {
                let begin_anew = progress.failed(&error, feed);
                let wait = backoff.next().unwrap_or(LONGEST_WAIT_FOR_DEFINITION);
                let wait = match progress.last_cause {
                    Some(Cause::NotInstalled) if T::IS_OPTIONAL => {
                        progress.take_none(feed).await?;
                        wait
                    }
                    Some(Cause::NotInstalled) => wait.min(LONGEST_WAIT_FOR_DEFINITION),
                    _ => wait,
                };
                // The timer's ticks would make some of no wait at all.
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                if begin_anew {
                    return Ok(());
                }
                continue;
            }
        };
        progress.take(event, feed).await?;
    }
    Ok(())
}

impl<T: Watched> Progress<T> {
    const fn new() -> Self {
        Self { staging: Staging::new(), last_cause: None, guarded: false }
    }

    /// Notes a failure; returns whether the stream has to be begun anew.
    fn failed(&mut self, error: &watcher::Error, feed: &Feed) -> bool {
        let cause = Cause::of(error);
        if !(T::IS_OPTIONAL && cause == Cause::NotInstalled) {
            feed.observer.failed(T::KIND, cause);
        }
        let was_listing = self.staging.is_listing();
        let _: Option<Output<T::Key, T::Record>> = self.staging.step(Step::Failed);
        if self.last_cause != Some(cause) {
            self.last_cause = Some(cause);
            report::<T>(cause, error);
        }
        // One bad object would fail its list for ever.
        let bad_object = cause == Cause::Undecodable && !self.guarded;
        self.guarded |= bad_object;
        // Some answer 410 to the request instead of ending the watch with it. The watcher would
        // ask for the same version again, for ever.
        let too_old =
            cause == Cause::Expired && matches!(error, watcher::Error::WatchStartFailed(_));
        was_listing || too_old || cause == Cause::Undecodable
    }

    async fn take<const GUARDED: bool>(
        &mut self,
        event: Event<Decoded<T, GUARDED>>,
        feed: &Feed,
    ) -> Result<(), Stopped> {
        let step = match event {
            Event::Init => Step::Begun,
            Event::InitDone => Step::Completed,
            Event::InitApply(object) => match reduce(&object, feed) {
                Some(record) if T::is_kept(&record) => Step::Listed(shared::<T>(record, feed)),
                Some(_) | None => return Ok(()),
            },
            // What cannot be understood any more is not there any more.
            Event::Apply(object) => match reduce(&object, feed) {
                Some(record) => Step::Applied(record),
                None => Step::Deleted(T::key(object.identity(), &feed.interner)),
            },
            Event::Delete(object) => Step::Deleted(T::key(object.identity(), &feed.interner)),
        };
        let works = !matches!(step, Step::Begun);
        if works && let Some(cause) = self.last_cause.take() {
            info!(kind = %T::KIND, after = %cause, "watch works again");
        }
        match self.staging.step(step) {
            Some(output) => tell::<T>(output, feed).await,
            None => Ok(()),
        }
    }

    /// The kind is not installed: there are no objects of it.
    async fn take_none(&mut self, feed: &Feed) -> Result<(), Stopped> {
        for step in [Step::Begun, Step::Completed] {
            if let Some(output) = self.staging.step(step) {
                tell::<T>(output, feed).await?;
            }
        }
        Ok(())
    }
}

/// Tells the cache.
async fn tell<T: Watched>(output: Output<T::Key, T::Record>, feed: &Feed) -> Result<(), Stopped> {
    feed.observer.event(T::KIND);
    let referred: BTreeSet<Kind> = match &output.change {
        Change::Replaced(list) => {
            feed.observer.listed(T::KIND, list.len());
            debug!(kind = %T::KIND, objects = list.len(), "complete list");
            list.iter().filter_map(|record| T::refers_to(record)).collect()
        }
        Change::Applied(record) => T::refers_to(record).into_iter().collect(),
        Change::Deleted(_) => BTreeSet::new(),
    };
    feed.referred.add(referred);
    feed.sender.send(T::event(output.change)).await?;
    if output.first_list {
        feed.sender.synced(T::KIND).await?;
        // What nothing refers to is not waited for.
        for kind in T::MAY_REFER_TO.iter().filter(|kind| !feed.referred.contains(**kind)) {
            feed.sender.synced(*kind).await?;
        }
    }
    Ok(())
}

/// The picture's own copy of a record if it is equal: a list that repeats what is known is held
/// beside the picture until it is complete, and must not double it.
fn shared<T: Watched>(record: T::Record, feed: &Feed) -> Arc<T::Record> {
    let known = feed.sender.look(|picture| {
        T::known(picture, &record).filter(|known| ***known == record).map(Arc::clone)
    });
    known.unwrap_or_else(|| Arc::new(record))
}

/// The model's record; `None`, with a warning, if there can be none.
fn reduce<T: Watched, const GUARDED: bool>(
    object: &Decoded<T, GUARDED>,
    feed: &Feed,
) -> Option<T::Record> {
    let reduced = match &object.object {
        Ok(decoded) => decoded.reduce(&feed.interner),
        Err(error) => Err(error.clone()),
    };
    match reduced {
        Ok(record) => Some(record),
        Err(defect) => {
            feed.observer.skipped(T::KIND);
            warn!(kind = %T::KIND, object = %object.identity(), defect, "object left out");
            None
        }
    }
}

fn report<T: Watched>(cause: Cause, error: &watcher::Error) {
    let kind = T::KIND;
    let error = error as &dyn std::error::Error;
    match cause {
        Cause::Expired => info!(%kind, "watch is too old: a new list follows"),
        Cause::NotInstalled if T::IS_OPTIONAL => info!(
            %kind,
            "the API server has no {}.{}, so there are none; looking for it again",
            T::RESOURCE.plural,
            T::RESOURCE.group
        ),
        Cause::NotInstalled => warn!(
            %kind,
            "the API server has no {}.{}: install the definitions with \
             `berth crds | kubectl apply -f -`; trying again",
            T::RESOURCE.plural,
            T::RESOURCE.group
        ),
        Cause::Forbidden => warn!(
            %kind,
            error,
            "not allowed to list and watch {}.{}: grant it with the ClusterRole in deploy/; \
             trying again",
            T::RESOURCE.plural,
            T::RESOURCE.group
        ),
        _ => warn!(%kind, %cause, error, "watch failed; trying again"),
    }
}

#[cfg(test)]
mod tests;
