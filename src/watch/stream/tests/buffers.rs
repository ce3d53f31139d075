//! A kind that clusters may do without, and kinds that are watched once it refers to them.

use super::*;

fn not_installed() -> watcher::Error {
    watcher::Error::InitialListFailed(kube::Error::Api(status(404)))
}

fn buffer(name: &str, spec: Value) -> Decoded<api::CapacityBuffer, false> {
    object(json!({
        "metadata": {"name": name, "namespace": "apps", "resourceVersion": "5"},
        "spec": spec}))
}

fn of_deployment(name: &str) -> Decoded<api::CapacityBuffer, false> {
    buffer(name, json!({"scalableRef": {"kind": "Deployment", "name": "web"}}))
}

fn of_template(name: &str, strategy: &str) -> Decoded<api::CapacityBuffer, false> {
    let template = json!({"name": "web"});
    buffer(name, json!({"podTemplateRef": template, "provisioningStrategy": strategy}))
}

#[tokio::test]
async fn a_cluster_without_the_definition_is_synced_and_is_asked_again() {
    let mut rig = Rig::<api::CapacityBuffer>::new();
    let left = rig.follow::<false>(vec![Ok(Event::Init), Err(not_installed())]).await;
    assert_eq!(left, 0);
    rig.follow::<false>(vec![Ok(Event::Init), Err(not_installed())]).await;
    rig.follow::<false>(vec![
        Ok(Event::Init),
        Ok(Event::InitApply(buffer("spare", json!({})))),
        Ok(Event::InitDone),
    ])
    .await;
    let (cache, notes) = rig.settled().await;
    assert!(cache.is_synced(), "{:?}", cache.unsynced());
    let listed = |count| format!("CapacityBuffer listed {count}");
    assert_eq!(notes, [listed(0), listed(0), listed(1)], "to miss it is no failure");
    assert_eq!(cache.snapshot().buffers.len(), 1);
}

#[tokio::test]
async fn buffers_of_a_definition_that_is_taken_away_are_gone() {
    let mut rig = Rig::<api::CapacityBuffer>::new();
    rig.follow::<false>(vec![
        Ok(Event::Init),
        Ok(Event::InitApply(buffer("spare", json!({})))),
        Ok(Event::InitDone),
        Err(not_installed()),
    ])
    .await;
    let (cache, _) = rig.settled().await;
    assert!(cache.snapshot().buffers.is_empty());
}

#[tokio::test]
async fn only_what_is_referred_to_is_watched_and_waited_for() {
    let mut rig = Rig::<api::CapacityBuffer>::new();
    rig.follow::<false>(vec![
        Ok(Event::Init),
        Ok(Event::InitApply(of_deployment("spare"))),
        Ok(Event::InitApply(of_template("theirs", "buffer.gke.io/standby-capacity"))),
        Ok(Event::InitDone),
    ])
    .await;
    let referred = Arc::clone(&rig.feed.referred);
    referred.wait_for(Kind::Deployment).await;
    assert!(!referred.contains(Kind::PodTemplate), "its strategy is somebody else's");
    rig.follow::<false>(vec![Ok(Event::Apply(of_template("more", api::ACTIVE_CAPACITY)))]).await;
    referred.wait_for(Kind::PodTemplate).await;
    let (cache, _) = rig.settled().await;
    assert_eq!(cache.unsynced(), [Kind::Deployment], "what comes later holds nobody up");
}
