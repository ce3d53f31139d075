//! The appliance on a real control plane, with the fake as its cloud, a process of its own behind
//! Prism: the managed add-on is left, pods are pending, instances are created while answers are lost,
//! items are missing from them and the leader is killed, nodes register, fewer pods need fewer nodes
//! though one is never done being deleted, an upgrade of the API server replaces them one by one, and
//! at no pods there is no instance. The daemons have the rights that are shipped, and their keys those
//! of the shipped IAM policy.

mod addon;
mod front;
mod install;
mod trouble;
mod upgrade;
mod world;

use std::time::Duration;

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
    addon::run(&world).await;
    install::create_deployment(&world.plane, addon::PODS).await;
    world.until_running(addon::PODS).await;
    addon::leave(&mut world).await;

    // Creates take longer than it takes to kill who began them, and their answers are lost.
    let slow = Timing { operation: Duration::from_secs(6), ..Timing::default() };
    world.change(Change::Timing(slow)).await;
    trouble::with_creates(&world).await;
    install::scale(&world.plane, PODS).await;
    let starting = world.until_all_are_starting().await;
    world.kill_the_leader().await;
    println!("the leader dies while {starting} instances start");
    trouble::with_what_starts(&world).await;
    let fast = Timing { operation: Duration::from_millis(1_500), ..Timing::default() };
    world.change(Change::Timing(fast)).await;

    world.until_running(PODS).await;
    let before = world.assert_one_instance_a_claim().await;
    println!("{PODS} pods run on {} instances", before.len());
    trouble::until_met(&world).await;
    world.assert_only_the_leader_changed_anything().await;
    let no_tokens = until("a token ends when its node has joined", LIMIT, || async {
        let tokens = world.tokens().await?;
        if tokens.is_empty() { Ok(()) } else { Err(format!("{tokens:?}")) }
    });
    no_tokens.await.unwrap_or_else(|error| world.fail(&error));

    let class = trouble::with_classes_and_a_delete(&world).await;
    install::scale(&world.plane, FEW).await;
    world.until_running(FEW).await;
    let fewer = until("fewer instances do", LIMIT, || async {
        let now = world.instances().await?;
        let going = now.values().filter(|one| one.is_going()).count();
        let settled = world.claims().await?.len() == now.len() && going == 1;
        if settled && now.len() < before.len() {
            Ok(now.len() - going)
        } else {
            Err(format!("{} left, {going} of them going", now.len()))
        }
    });
    let fewer = fewer.await.unwrap_or_else(|error| world.fail(&error));
    println!("{FEW} pods run on {fewer} instances");
    class.until_over(&world).await;
    println!("the node class is ready again");

    let stuck = trouble::the_stuck(&world).await;
    upgrade::replaces_all_but(&world, &stuck).await;
    world.until_running(FEW).await;
    world.assert_one_instance_a_claim().await;
    trouble::ends(&world, &stuck).await;

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
