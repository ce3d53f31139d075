use std::time::Duration;

use berth_solver::model::{Change, ClusterState, Labels, Name};

use super::*;

fn namespace(name: &str) -> ClusterEvent {
    ClusterEvent::Namespace(Change::Applied((Name::from(name), Labels::default())))
}

/// Waits for something that must happen soon.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("it did not happen in time")
}

#[tokio::test]
async fn readers_see_what_was_sent_and_are_told() {
    let (writer, sender, mut cache) = channel(Settings::default(), []);
    let writer = tokio::spawn(writer.run());
    assert_eq!(cache.snapshot().generation, 0);
    sender.send(namespace("apps")).await.unwrap();
    soon(cache.changed()).await.unwrap();
    assert_eq!(cache.snapshot().namespaces.keys().next().map(Name::as_str), Some("apps"));
    drop(sender);
    soon(writer).await.unwrap();
    assert_eq!(soon(cache.changed()).await, Err(Stopped));
    assert_eq!(cache.snapshot().namespaces.len(), 1, "the last snapshot stays readable");
}

#[tokio::test]
async fn ready_only_after_every_kinds_first_list() {
    let (writer, sender, mut cache) = channel(Settings::default(), [Kind::Pod, Kind::Namespace]);
    tokio::spawn(writer.run());
    assert_eq!(cache.unsynced(), [Kind::Pod, Kind::Namespace]);
    sender.send(namespace("apps")).await.unwrap();
    sender.synced(Kind::Namespace).await.unwrap();
    soon(async {
        while cache.unsynced() != [Kind::Pod] {
            cache.changed().await.unwrap();
        }
    })
    .await;
    assert!(!cache.is_synced());
    assert_eq!(cache.snapshot().namespaces.len(), 1, "synced means its objects are there");
    sender.synced(Kind::Pod).await.unwrap();
    soon(cache.until_synced()).await.unwrap();
    assert!(cache.is_synced());
    sender.synced(Kind::Pod).await.unwrap();
    sender.send(namespace("more")).await.unwrap();
    soon(async {
        while cache.snapshot().namespaces.len() < 2 {
            cache.changed().await.unwrap();
        }
    })
    .await;
    assert!(cache.is_synced(), "a kind stays synced");
}

#[tokio::test]
async fn what_changes_nothing_wakes_nobody() {
    let (writer, sender, mut cache) = channel(Settings::default(), [Kind::Pod]);
    tokio::spawn(writer.run());
    sender.send(namespace("apps")).await.unwrap();
    soon(cache.changed()).await.unwrap();
    let before = cache.snapshot();
    sender.send(namespace("apps")).await.unwrap();
    sender.synced(Kind::Pod).await.unwrap();
    soon(cache.until_synced()).await.unwrap();
    assert!(Arc::ptr_eq(&before, &cache.snapshot()), "nothing new was published");
}

#[tokio::test]
async fn a_full_queue_makes_senders_wait_and_loses_nothing() {
    let settings = Settings { queue: 1, batch: 2, ..Settings::default() };
    let (writer, sender, mut cache) = channel(settings, []);
    let many = tokio::spawn(async move {
        for index in 0..1_000 {
            sender.send(namespace(&format!("n{index}"))).await.unwrap();
        }
    });
    tokio::spawn(writer.run());
    soon(many).await.unwrap();
    while soon(cache.changed()).await.is_ok() {}
    assert_eq!(cache.snapshot().namespaces.len(), 1_000);
}

#[test]
fn a_fixed_cache_is_synced() {
    let mut state = ClusterState::new();
    state.apply(namespace("apps"));
    let cache = Cache::of(state.snapshot());
    assert!(cache.is_synced());
    assert_eq!(*cache.snapshot(), state.snapshot());
}
