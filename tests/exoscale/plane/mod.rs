//! The appliance on a real control plane, with the fake as its cloud, a process of its own behind
//! Prism: pods are pending, instances are created while answers are lost and the leader is killed,
//! nodes register, fewer pods need fewer nodes, a new template replaces them all, and at no pods
//! there is no instance. The daemons have the rights that are shipped, and their keys those of the
//! shipped IAM policy.

mod install;
mod world;

use std::time::Duration;

use berth_cloud_fakes::Fault;
use berth_cloud_fakes::exoscale::{Change, Timing};
use berth_controlplane::{ControlPlane, Extender, free_port, until};

use world::World;

/// Nothing that the test waits for may take longer.
const LIMIT: Duration = Duration::from_secs(240);
const NAMESPACE: &str = "default";
const PODS: usize = 30;
const FEW: usize = 6;
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// What new nodes are told, and nobody else.
const REGISTRY_PASSWORD: &str = "the-password-of-the-registry";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_get_instances_that_follow_them_down_to_none_and_nothing_foreign_goes() {
    let test = "pods_get_instances_that_follow_them_down_to_none_and_nothing_foreign_goes";
    let extender = free_port().unwrap();
    let asked = Extender::at(format!("http://127.0.0.1:{extender}"));
    let Some(plane) = ControlPlane::builder().extender(asked).start_or_skip(test).await else {
        return;
    };
    let mut world = World::new(plane, extender).await;
    world.lead_with_another().await;

    // Creates take longer than it takes to kill who began them, and their answers are lost.
    let slow = Timing { operation: Duration::from_secs(6), ..Timing::default() };
    world.change(Change::Timing(slow)).await;
    for fault in [Fault::LoseReply, Fault::FailAfter(502), Fault::Throttle(1)] {
        world.fake.faults("create-instance", 1, fault).await.unwrap();
    }
    install::create_deployment(&world.plane, PODS).await;
    let starting = world.until_all_are_starting().await;
    world.kill_the_leader().await;
    println!("the leader dies while {starting} instances start");
    let fast = Timing { operation: Duration::from_millis(1_500), ..Timing::default() };
    world.change(Change::Timing(fast)).await;

    world.until_running(PODS).await;
    let before = world.assert_one_instance_a_claim().await;
    println!("{PODS} pods run on {} instances", before.len());
    world.assert_only_the_leader_changed_anything().await;
    let no_tokens = until("a token ends when its node has joined", LIMIT, || async {
        let tokens = world.tokens().await?;
        if tokens.is_empty() { Ok(()) } else { Err(format!("{tokens:?}")) }
    });
    no_tokens.await.unwrap_or_else(|error| world.fail(&error));

    install::scale(&world.plane, FEW).await;
    world.until_running(FEW).await;
    let fewer = until("fewer instances do", LIMIT, || async {
        let now = world.instances().await?;
        let settled = world.claims().await?.len() == now.len();
        if settled && now.len() < before.len() {
            Ok(now.len())
        } else {
            Err(format!("{} left", now.len()))
        }
    });
    let fewer = fewer.await.unwrap_or_else(|error| world.fail(&error));
    println!("{FEW} pods run on {fewer} instances");

    // The first replacement finds no machine of its type.
    world.fake.faults("create-instance", 1, Fault::no_capacity()).await.unwrap();
    let newer = Change::AddSksTemplate(world.version.clone(), "standard".to_owned());
    let newer = world.change(newer).await;
    let replaced = until("every instance has the new template", LIMIT, || async {
        let now = world.instances().await?;
        let settled = world.claims().await?.len() == now.len();
        if settled && !now.is_empty() && now.values().all(|one| one.template == newer) {
            Ok(now.len())
        } else {
            Err(format!("{now:?}"))
        }
    });
    let replaced = replaced.await.unwrap_or_else(|error| world.fail(&error));
    world.until_running(FEW).await;
    println!("drift: {replaced} instances with the new template");
    world.assert_one_instance_a_claim().await;

    install::scale(&world.plane, 0).await;
    let empty = until("no instance is left", LIMIT, || async {
        let (claims, instances) = (world.claims().await?.len(), world.instances().await?.len());
        let nodes = world.nodes().await?;
        if claims == 0 && instances == 0 && nodes.is_empty() {
            return Ok(());
        }
        Err(format!("{claims} claims, {instances} instances, nodes {nodes:?}"))
    });
    empty.await.unwrap_or_else(|error| world.fail(&error));
    world.assert_journal_is_clean().await;
    world.assert_first_boots_were_told().await;
    world.assert_secrets_are_nowhere().await;
    if let Some(prism) = &world.prism {
        prism.assert_no_violation();
    }
}
