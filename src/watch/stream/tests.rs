use std::sync::Arc;
use std::time::Duration;

use kube::core::Status;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::cache::{self, Cache, Settings};

mod buffers;
mod follower;
mod hazards;
mod orders;
mod server;

type Item<T, const GUARDED: bool> = watcher::Result<Event<Decoded<T, GUARDED>>>;

/// Notes what it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn listed(&self, kind: Kind, objects: usize) {
        self.0.lock().push(format!("{kind} listed {objects}"));
    }

    fn failed(&self, kind: Kind, cause: Cause) {
        self.0.lock().push(format!("{kind} failed {cause}"));
    }

    fn skipped(&self, kind: Kind) {
        self.0.lock().push(format!("{kind} skipped"));
    }
}

/// A cache that waits for one kind and those that it may refer to, and what a stream of it brings.
struct Rig<T: Watched> {
    feed: Feed,
    cache: Cache,
    progress: Progress<T>,
    notes: Arc<Notes>,
}

impl<T: Watched> Rig<T> {
    fn new() -> Self {
        let kinds = [T::KIND].into_iter().chain(T::MAY_REFER_TO.iter().copied());
        let (writer, sender, cache) = cache::channel(Settings::default(), kinds);
        tokio::spawn(writer.run());
        let notes = Arc::new(Notes::default());
        let interner = Arc::new(Interner::new());
        let observer: Arc<dyn Observer> = Arc::clone(&notes) as _;
        let feed = Feed::new(&sender, &interner, &observer);
        Self { feed, cache, progress: Progress::new(), notes }
    }

    /// Follows a stream without waiting after failures; returns how many items it left.
    async fn follow<const GUARDED: bool>(&mut self, items: Vec<Item<T, GUARDED>>) -> usize {
        let mut left = items.into_iter();
        let stream = futures::stream::iter(left.by_ref());
        let mut at_once = std::iter::repeat(Duration::ZERO);
        follow(stream, &self.feed, &mut self.progress, &mut at_once).await.unwrap();
        left.len()
    }

    /// Waits until the cache has taken in all that was sent.
    async fn settled(self) -> (Cache, Vec<String>) {
        let Self { feed, mut cache, progress, notes } = self;
        drop((feed, progress));
        let stopped = async { while cache.changed().await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), stopped).await.expect("the cache hangs");
        let notes = notes.0.lock().clone();
        (cache, notes)
    }
}

fn object<T: Watched, const GUARDED: bool>(object: Value) -> Decoded<T, GUARDED> {
    serde_json::from_value(object).unwrap()
}

fn pod<const GUARDED: bool>(name: &str, cpu: &str) -> Decoded<objects::Pod, GUARDED> {
    object(json!({
        "metadata": {"name": name, "namespace": "apps", "resourceVersion": "5"},
        "spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}}))
}

fn status(code: u16) -> Box<Status> {
    Status::failure("no", "reason").with_code(code).boxed()
}

fn pod_names(cache: &Cache) -> Vec<String> {
    cache.snapshot().pods.keys().map(|key| key.name.to_string()).collect()
}

#[tokio::test]
async fn a_list_is_swapped_in_as_a_whole_and_then_followed() {
    let mut rig = Rig::new();
    let left = rig
        .follow::<false>(vec![
            Ok(Event::Init),
            Ok(Event::InitApply(pod("a", "1"))),
            Ok(Event::InitApply(pod("b", "1"))),
            Ok(Event::InitDone),
            Ok(Event::Apply(pod("c", "1"))),
            Ok(Event::Delete(pod("a", "1"))),
        ])
        .await;
    let (cache, notes) = rig.settled().await;
    assert_eq!((left, pod_names(&cache)), (0, vec!["b".to_owned(), "c".to_owned()]));
    assert!(cache.is_synced());
    assert_eq!(notes, ["Pod listed 2"]);
}

#[tokio::test]
async fn a_list_that_fails_is_begun_anew_and_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let broken = watcher::Error::InitialListFailed(kube::Error::Api(status(500)));
    let left = rig
        .follow::<false>(vec![
            Ok(Event::Init),
            Ok(Event::InitApply(pod("ghost", "1"))),
            Err(broken),
            Ok(Event::InitDone),
        ])
        .await;
    assert_eq!(left, 1, "what goes on after a failed list is not listened to");
    assert!(!rig.cache.is_synced());
    rig.follow::<false>(vec![
        Ok(Event::Init),
        Ok(Event::InitApply(pod("a", "1"))),
        Ok(Event::InitDone),
    ])
    .await;
    let (cache, notes) = rig.settled().await;
    assert_eq!((pod_names(&cache), cache.is_synced()), (vec!["a".to_owned()], true));
    assert_eq!(notes, ["Pod failed refused", "Pod listed 1"]);
}

#[tokio::test]
async fn a_version_that_is_too_old_leads_to_a_new_list_without_the_deleted() {
    let mut rig = Rig::new();
    rig.follow::<false>(vec![
        Ok(Event::Init),
        Ok(Event::InitApply(pod("gone", "1"))),
        Ok(Event::InitApply(pod("stays", "1"))),
        Ok(Event::InitDone),
        Err(watcher::Error::WatchError(status(410))),
        Ok(Event::Init),
        Ok(Event::InitApply(pod("stays", "1"))),
        Ok(Event::InitDone),
    ])
    .await;
    let (cache, notes) = rig.settled().await;
    assert_eq!(pod_names(&cache), ["stays"]);
    assert_eq!(notes, ["Pod listed 2", "Pod failed expired", "Pod listed 1"]);
}

#[tokio::test]
async fn what_cannot_be_decoded_is_left_out_and_the_rest_goes_on() {
    let mut rig = Rig::new();
    let error = serde_json::from_str::<u8>("{}").unwrap_err();
    let broken = watcher::Error::InitialListFailed(kube::Error::SerdeError(error));
    let left = rig.follow::<false>(vec![Ok(Event::Init), Err(broken)]).await;
    assert_eq!((left, rig.progress.guarded), (0, true), "from now on each object by itself");
    let wrong = || {
        let spec = json!({"containers": "none"});
        object(json!({"metadata": {"name": "b", "namespace": "apps", "resourceVersion": "5"},
            "spec": spec}))
    };
    rig.follow::<true>(vec![
        Ok(Event::Init),
        Ok(Event::InitApply(pod("a", "1"))),
        Ok(Event::InitApply(wrong())),
        Ok(Event::InitDone),
        Ok(Event::Apply(pod("b", "1"))),
        Ok(Event::Apply(wrong())),
        Ok(Event::Apply(pod("bad", "1e30"))),
    ])
    .await;
    let (cache, notes) = rig.settled().await;
    assert_eq!(pod_names(&cache), ["a", "bad"], "an unclear state of a pod is no state");
    let defects = cache.snapshot().pods.values().filter(|pod| pod.defect.is_some()).count();
    assert_eq!(defects, 1, "a quantity that makes no sense is a defect of one pod");
    assert_eq!(notes, ["Pod failed undecodable", "Pod skipped", "Pod listed 1", "Pod skipped"]);
}

#[tokio::test]
async fn a_daemon_set_that_makes_no_sense_is_left_out() {
    let mut rig = Rig::<objects::DaemonSet>::new();
    let daemon = |name: &str, memory: &str| {
        object(json!({"metadata": {"name": name, "namespace": "apps", "resourceVersion": "5"},
            "spec": {"template": {"spec": {"containers": [
                {"resources": {"requests": {"memory": memory}}}]}}}}))
    };
    rig.follow::<false>(vec![
        Ok(Event::Init),
        Ok(Event::InitApply(daemon("good", "1Mi"))),
        Ok(Event::InitApply(daemon("bad", "1e30"))),
        Ok(Event::InitDone),
    ])
    .await;
    let (cache, notes) = rig.settled().await;
    assert_eq!(cache.snapshot().daemon_sets.len(), 1);
    assert_eq!(notes, ["DaemonSet skipped", "DaemonSet listed 1"]);
}

#[test]
fn causes() {
    let api = |code| watcher::Error::InitialListFailed(kube::Error::Api(status(code)));
    for (error, cause) in [
        (api(404), Cause::NotInstalled),
        (api(401), Cause::Forbidden),
        (api(403), Cause::Forbidden),
        (api(410), Cause::Expired),
        (api(429), Cause::Refused),
        (watcher::Error::WatchError(status(410)), Cause::Expired),
        (watcher::Error::NoResourceVersion, Cause::Undecodable),
        (
            watcher::Error::WatchFailed(kube::Error::ReadEvents(std::io::Error::other("x"))),
            Cause::Unreachable,
        ),
    ] {
        assert_eq!(Cause::of(&error), cause, "{error}");
    }
}

#[test]
fn the_resources_are_where_the_api_server_has_them() {
    fn path<T: Watched>() -> String {
        <Decoded<T, false> as kube::Resource>::url_path(&(), None)
    }
    assert_eq!(path::<objects::Pod>(), "/api/v1/pods");
    assert_eq!(path::<objects::DaemonSet>(), "/apis/apps/v1/daemonsets");
    assert_eq!(path::<objects::PodDisruptionBudget>(), "/apis/policy/v1/poddisruptionbudgets");
    let buffers = "/apis/autoscaling.x-k8s.io/v1beta1/capacitybuffers";
    assert_eq!(path::<api::CapacityBuffer>(), buffers);
    assert_eq!(path::<PodTemplate>(), "/api/v1/podtemplates");
    assert_eq!(path::<ReplicaSet>(), "/apis/apps/v1/replicasets");
}

#[tokio::test]
async fn a_list_holds_no_pods_that_have_ended_not_even_while_it_comes() {
    let ended = |name: &str, phase: &str| {
        object(json!({
            "metadata": {"name": name, "namespace": "apps", "resourceVersion": "5"},
            "status": {"phase": phase}}))
    };
    let mut rig = Rig::new();
    rig.follow::<false>(vec![
        Ok(Event::Init),
        Ok(Event::InitApply(pod("a", "1"))),
        Ok(Event::InitApply(ended("b", "Succeeded"))),
        Ok(Event::InitApply(ended("c", "Failed"))),
        Ok(Event::InitDone),
        // One that was left out may still go, and one that ends leaves.
        Ok(Event::Delete(ended("b", "Succeeded"))),
        Ok(Event::Apply(pod("d", "1"))),
        Ok(Event::Apply(ended("d", "Succeeded"))),
    ])
    .await;
    let (cache, notes) = rig.settled().await;
    assert_eq!(notes, ["Pod listed 1"]);
    assert_eq!(pod_names(&cache), ["a"]);
}
