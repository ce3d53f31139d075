//! Whatever happens in whatever order, the cache ends with what the API server holds.

use proptest::prelude::*;

use super::follower::{Follower, run};
use super::server::{CLAIMS, COLLECTIONS, Fault, ModelServer, NAMESPACES, NODES, PODS};
use super::*;

/// What happens next: to the objects, or between the server and the watches.
#[derive(Clone, Debug)]
enum Happening {
    Put(&'static str, Value),
    Delete(&'static str, String),
    Between(&'static str, Between),
    Run(usize),
}

#[derive(Clone, Debug)]
enum Between {
    Deliver(usize),
    Repeat(usize),
    Lose(usize),
    Bookmark,
    Close,
    Cut,
    Expire,
    Forget,
    Fail(Fault),
}

/// A moment of a clock that jumps about.
fn moment() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "1969-12-31T23:59:59Z",
        "2026-01-01T00:00:00Z",
        "2038-01-19T03:14:08Z",
    ])
    .prop_map(str::to_owned)
}

fn pod() -> impl Strategy<Value = Value> {
    let node = prop::option::of(0..3_u8);
    let phase = prop::sample::select(vec!["Pending", "Running", "Succeeded", "Failed"]);
    (0..5_u8, 0..2_u8, node, phase, 1..4_u8, any::<bool>(), moment()).prop_map(
        |(name, uid, node, phase, cpu, going, created)| {
            let deleted = going.then_some("2026-01-02T00:00:00Z");
            json!({
                "metadata": {"name": format!("p{name}"), "namespace": "apps",
                    "uid": format!("p{name}-{uid}"), "creationTimestamp": created,
                    "deletionTimestamp": deleted},
                "spec": {"nodeName": node.map(|node| format!("n{node}")),
                    "containers": [{"resources": {"requests": {"cpu": cpu.to_string()}}}]},
                "status": {"phase": phase}})
        },
    )
}

fn node() -> impl Strategy<Value = Value> {
    (0..3_u8, 0..2_u8, prop::option::of(0..3_u8), any::<bool>(), moment()).prop_map(
        |(name, uid, machine, cordoned, created)| {
            json!({
                "metadata": {"name": format!("n{name}"), "uid": format!("n{name}-{uid}"),
                    "creationTimestamp": created},
                "spec": {"providerID": machine.map(|id| format!("machine-{id}")),
                    "unschedulable": cordoned},
                "status": {"allocatable": {"cpu": "8", "pods": "110"}}})
        },
    )
}

fn claim() -> impl Strategy<Value = Value> {
    let machine = prop::option::of(0..3_u8);
    (0..3_u8, machine, prop::option::of(0..3_u8)).prop_map(|(name, machine, node)| {
        json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {"name": format!("c{name}"), "uid": format!("c{name}")},
            "spec": {"requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}},
            "status": {"providerID": machine.map(|id| format!("machine-{id}")),
                "nodeName": node.map(|node| format!("n{node}"))}})
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    let name = |name: u8| json!({"metadata": {"name": format!("s{name}"), "uid": "u"}});
    prop_oneof![
        6 => pod().prop_map(|pod| Happening::Put(PODS, pod)),
        3 => node().prop_map(|node| Happening::Put(NODES, node)),
        2 => claim().prop_map(|claim| Happening::Put(CLAIMS, claim)),
        1 => (0..2_u8).prop_map(move |which| Happening::Put(NAMESPACES, name(which))),
        2 => (0..5_u8).prop_map(|name| Happening::Delete(PODS, format!("apps/p{name}"))),
        1 => (0..3_u8).prop_map(|name| Happening::Delete(NODES, format!("n{name}"))),
        1 => (0..3_u8).prop_map(|name| Happening::Delete(CLAIMS, format!("c{name}"))),
        12 => (prop::sample::select(&COLLECTIONS[..]), between())
            .prop_map(|(collection, between)| Happening::Between(collection, between)),
        8 => (1..40_usize).prop_map(Happening::Run),
    ]
}

fn between() -> impl Strategy<Value = Between> {
    let code = prop::sample::select(vec![403, 404, 410, 429, 500, 503]);
    prop_oneof![
        6 => (1..5_usize).prop_map(Between::Deliver),
        2 => (1..5_usize).prop_map(Between::Repeat),
        1 => (1..4_usize).prop_map(Between::Lose),
        1 => Just(Between::Bookmark),
        1 => Just(Between::Close),
        1 => Just(Between::Cut),
        1 => Just(Between::Expire),
        1 => Just(Between::Forget),
        2 => code.prop_map(|code| Between::Fail(Fault::Status(code))),
        1 => Just(Between::Fail(Fault::Unreachable)),
        1 => Just(Between::Fail(Fault::Cut)),
    ]
}

fn happens(server: &ModelServer, client: usize, collection: &str, between: Between) {
    match between {
        Between::Deliver(events) => server.deliver(client, collection, events),
        Between::Repeat(events) => server.repeat(client, collection, events),
        Between::Lose(events) => server.lose(client, collection, events),
        Between::Bookmark => server.bookmark(client, collection),
        Between::Close => server.close(client, collection),
        Between::Cut => server.cut(client, collection),
        Between::Expire => server.expire(client, collection),
        Between::Forget => server.forget(collection),
        Between::Fail(fault) => server.fail_next(client, collection, fault),
    }
}

/// Two replicas meet different faults, and hold the same in the end.
async fn play(happenings: Vec<(bool, Happening)>, page: usize) {
    let server = ModelServer::with_pages_of(page);
    let mut replicas = [Follower::start(&server), Follower::start(&server)];
    for (second, happening) in happenings {
        let client = replicas[usize::from(second)].client;
        match happening {
            Happening::Put(collection, object) => server.put(collection, object),
            Happening::Delete(collection, key) => server.delete(collection, &key),
            Happening::Between(collection, between) => {
                happens(&server, client, collection, between);
            }
            Happening::Run(turns) => run(turns).await,
        }
        replicas.iter().for_each(Follower::check);
    }
    server.heal();
    for replica in &mut replicas {
        replica.settles_at(&server).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_cache_ends_with_what_the_server_holds(
        happenings in prop::collection::vec((any::<bool>(), happening()), 0..150),
        page in 0..4_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // As a task among the others it sees every turn that they take.
        runtime.block_on(async { tokio::spawn(play(happenings, page)).await.unwrap() });
    }
}
