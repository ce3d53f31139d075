//! An upgrade of the control plane: the API server has another version, for which there is another
//! template, and nodes are replaced as the budget allows.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_cloud_fakes::Fault;
use berth_cloud_fakes::exoscale::Change;
use berth_controlplane::until;
use futures::TryStreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::world::World;
use super::{LIMIT, addon, trouble};

/// The version after one.
fn after(version: &str) -> String {
    let (minor, patch) = version.rsplit_once('.').unwrap();
    format!("{minor}.{}", patch.parse::<u32>().unwrap() + 1)
}

/// The API server is upgraded, and every instance is replaced but the one whose delete is pending for
/// ever, one at a time.
pub async fn replaces_all_but(world: &World, stuck: &str) {
    addon::budgets(world, "1").await;
    let most = Arc::new(Mutex::new(0));
    let mut watching = JoinSet::new();
    watching.spawn(watch(world.objects("NodeClaim"), Arc::clone(&most)));
    // The first replacement finds no machine of its type.
    world.fake.faults("create-instance", 1, Fault::no_capacity()).await.unwrap();
    trouble::with_a_replacement(world).await;
    let version = after(&world.version);
    let template = Change::AddSksTemplate(version.clone(), "standard".to_owned());
    let template = world.change(template).await;
    world.front.upgrade_to(&version);
    let replaced = until("every instance has the new template", LIMIT, || async {
        let mut now = world.instances().await?;
        let settled = world.claims().await?.len() == now.len();
        now.remove(stuck);
        if settled && !now.is_empty() && now.values().all(|one| one.template == template) {
            Ok(now.len())
        } else {
            let left = now.values().filter(|one| one.template != template).map(|one| &one.name);
            let left: Vec<&String> = left.collect();
            Err(format!("{left:?} have not\n{}", world.said_of_nodes().await?))
        }
    });
    let replaced = replaced.await.unwrap_or_else(|error| world.fail(&error));
    println!("{replaced} instances with the template of {version}");
    assert_eq!(*most.lock(), 1, "one at a time, as the budget says");
    addon::budgets(world, "100%").await;
}

/// Finds out how many NodeClaims were on their way out at a time, as budgets count: those whose nodes
/// were up, until their machines are being deleted.
async fn watch(claims: kube::Api<DynamicObject>, most: Arc<Mutex<usize>>) {
    let mut going = BTreeSet::new();
    let events = watcher::watcher(claims, watcher::Config::default());
    let watched = events.try_for_each(|event| {
        let (claim, is_there) = match event {
            Event::Apply(claim) | Event::InitApply(claim) => (claim, true),
            Event::Delete(claim) => (claim, false),
            Event::Init | Event::InitDone => return std::future::ready(Ok(())),
        };
        let name = claim.metadata.name.clone().unwrap();
        if is_there && is_disrupted(&claim) {
            going.insert(name);
        } else {
            going.remove(&name);
        }
        let mut most = most.lock();
        *most = going.len().max(*most);
        std::future::ready(Ok(()))
    });
    watched.await.unwrap();
}

fn is_disrupted(claim: &DynamicObject) -> bool {
    let conditions = claim.data["status"]["conditions"].as_array();
    let is = |kind: &str| {
        let holds = |one: &serde_json::Value| one["type"] == kind && one["status"] == "True";
        conditions.is_some_and(|all| all.iter().any(holds))
    };
    claim.metadata.deletion_timestamp.is_some() && is("Initialized") && !is("InstanceTerminating")
}
